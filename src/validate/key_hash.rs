//! The keyed hash by which rows and ids that may be equal are found.
//!
//! It runs once or twice for every row, and SipHash over the same bytes takes as long as all GUIDs of the row take to
//! read. Two rows are never called equal by it alone, so it need not withstand more than chance: nobody who writes a
//! manifest knows the key.

use std::hash::{BuildHasher, RandomState};

use super::columns::Layout;
use super::duplicates::for_each_body_value;
use super::row::Judged;
use crate::manifest::Cells;
use crate::request::Guid;

/// Hashes keys with a random key of this process.
#[derive(Clone, Copy, Debug)]
pub(super) struct KeyHasher {
    /// One for each GUID of a row, and one for everything else.
    keys: [u64; 4],
}

impl KeyHasher {
    pub(super) fn new() -> Self {
        let random = RandomState::new();
        Self { keys: [0_u8, 1, 2, 3].map(|number| random.hash_one(number)) }
    }

    /// Returns the hash of what makes a second row the same request: type, target, template, smartcard and the further
    /// properties that are sent, whose order does not matter.
    pub(super) fn row(&self, judged: &Judged<'_>, layout: &Layout, cells: Cells<'_>) -> u64 {
        let [.., rest] = self.keys;
        let guids = [judged.target, judged.template, judged.smartcard];
        let mut hash = fold(rest ^ judged.kind as u64, rest.rotate_left(32));
        for (guid, key) in guids.iter().zip(self.keys) {
            hash = match guid {
                Some(guid) => fold(hash ^ high(guid), key ^ low(guid)),
                None => hash.rotate_left(1),
            };
        }
        // A sum, because the order of the columns may differ from file to file.
        let mut body: u64 = 0;
        for_each_body_value(judged, layout, cells, |name, value| {
            body = body.wrapping_add(fold(self.bytes(name.as_bytes()), self.bytes(value).rotate_left(1)));
        });
        fold(hash ^ body, rest)
    }

    /// Returns the hash of an id.
    pub(super) fn id(&self, id: &[u8]) -> u64 {
        self.bytes(id)
    }

    fn bytes(&self, bytes: &[u8]) -> u64 {
        let [first, second, third, ..] = self.keys;
        let mut hash = first ^ bytes.len() as u64;
        let (blocks, rest) = bytes.as_chunks::<16>();
        for block in blocks {
            hash = mix(hash, block, second);
        }
        let mut last = [0; 16];
        last[..rest.len()].copy_from_slice(rest);
        fold(mix(hash, &last, third), first)
    }
}

/// Takes 16 bytes into a hash.
fn mix(hash: u64, block: &[u8; 16], key: u64) -> u64 {
    let (high, low) = halves(u128::from_le_bytes(*block));
    fold(hash ^ low, key ^ high)
}

/// The 128-bit product of both, its halves folded into one: each bit of either reaches all bits of the result.
const fn fold(a: u64, b: u64) -> u64 {
    let (high, low) = halves(a as u128 * b as u128);
    high ^ low
}

#[expect(clippy::cast_possible_truncation, reason = "the two halves")]
const fn halves(wide: u128) -> (u64, u64) {
    ((wide >> 64) as u64, wide as u64)
}

const fn high(guid: &Guid) -> u64 {
    halves(u128::from_be_bytes(*guid.as_bytes())).0
}

const fn low(guid: &Guid) -> u64 {
    halves(u128::from_be_bytes(*guid.as_bytes())).1
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;
    use crate::request::RequestType;
    use crate::validate::Rules;
    use crate::validate::columns::Form;

    #[test]
    fn ids_that_differ_a_little_have_other_hashes() {
        let hasher = KeyHasher::new();
        let numbered = (0..100_000).map(|number| format!("E{number:07}"));
        let long = (0..100).map(|length| "x".repeat(length));
        let zeros = (0..40).map(|length| "\0".repeat(length));
        let hashes: HashSet<u64> =
            numbered.chain(long).chain(zeros.skip(1)).map(|id| hasher.id(id.as_bytes())).collect();
        assert_eq!(hashes.len(), 100_000 + 100 + 39);
    }

    #[test]
    fn every_hasher_has_its_own_key() {
        assert_ne!(KeyHasher::new().id(b"A17"), KeyHasher::new().id(b"A17"));
    }

    #[test]
    fn each_guid_counts_in_its_own_place() {
        let hasher = KeyHasher::new();
        let layout = Layout::resolve(Form::Csv, [], &Rules::default());
        let record = csv::ByteRecord::new();
        let mut hashes = HashSet::new();
        let mut n_rows = 0;
        for number in 0..1000_u128 {
            let guid = Some(Guid::from_bytes((number << 60).to_be_bytes()));
            for place in 0..3 {
                let mut guids = [None; 3];
                guids[place] = guid;
                let [target, template, smartcard] = guids;
                for kind in [RequestType::Enroll, RequestType::Unblock] {
                    let judged = Judged {
                        kind,
                        target,
                        template,
                        smartcard,
                        profile: None,
                        priority: None,
                        id: None,
                        collection: Vec::new(),
                    };
                    hashes.insert(hasher.row(&judged, &layout, Cells::Csv(&record)));
                    n_rows += 1;
                }
            }
        }
        assert_eq!(hashes.len(), n_rows);
    }
}
