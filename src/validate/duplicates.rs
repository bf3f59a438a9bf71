//! Rows that ask for the same, and ids that stand twice, over a whole run.
//!
//! A hash set of keys would cost more than all other rules together. Instead each good row leaves 12 bytes (24 with an
//! id): a keyed hash and its number. Those are compared once at the end; only rows whose hashes are equal are read again
//! and compared by a digest of their values.

use rayon::prelude::*;
use sha2::{Digest, Sha256};

use super::cells::{self, Value};
use super::columns::{Layout, Role};
use super::row::Judged;
use crate::manifest::Cells;
use crate::request::{Guid, RequestType};

/// The hash of a row's key, or of its id, and the row's number. As three numbers it has no padding.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Entry {
    high: u32,
    low: u32,
    row: u32,
}

impl Entry {
    #[expect(clippy::cast_possible_truncation, reason = "the two halves of the hash")]
    pub(super) const fn new(hash: u64, row: u32) -> Self {
        Self { high: (hash >> 32) as u32, low: hash as u32, row }
    }

    const fn hash(&self) -> u64 {
        (self.high as u64) << 32 | self.low as u64
    }
}

/// Returns the rows whose hash another row has too. Takes the entries, chunk by chunk as they came, so that their memory is
/// free afterwards.
///
/// Most rows are ruled out by a table of bits, without being sorted: of rows without repeats about one in ten is left.
pub(super) fn suspects(entries: Vec<Vec<Entry>>) -> RowSet {
    const BITS_FOR_EACH: usize = 16;
    let n_entries: usize = entries.iter().map(Vec::len).sum();
    let bits = (n_entries * BITS_FOR_EACH).next_power_of_two().ilog2().clamp(6, 32);
    let bit_of = |entry: &Entry| entry.high >> (32 - bits);
    let (mut seen, mut again) = (RowSet::up_to(1 << bits), RowSet::up_to(1 << bits));
    for entry in entries.iter().flatten() {
        let bit = bit_of(entry);
        if seen.contains(bit) {
            again.insert(bit);
        }
        seen.insert(bit);
    }
    drop(seen);
    let mut entries: Vec<Entry> = entries.into_iter().flatten().filter(|entry| again.contains(bit_of(entry))).collect();
    entries.par_sort_unstable_by_key(Entry::hash);
    let mut rows = RowSet::default();
    for pair in entries.windows(2) {
        if pair[0].hash() == pair[1].hash() {
            rows.insert(pair[0].row);
            rows.insert(pair[1].row);
        }
    }
    rows
}

/// Type, target, template and smartcard, each with a mark whether it is there.
fn fixed_key(judged: &Judged<'_>) -> [u8; 52] {
    let mut key = [0; 52];
    key[0] = judged.kind as u8;
    let guids = [judged.target, judged.template, judged.smartcard];
    for (part, guid) in key[1..].chunks_exact_mut(17).zip(guids) {
        if let Some(guid) = guid {
            part[0] = 1;
            part[1..].copy_from_slice(guid.as_bytes());
        }
    }
    key
}

/// Gives the further properties that a row sends with their names in lower case: its `body.` values, and its profile where
/// that is sent.
pub(super) fn for_each_body_value(
    judged: &Judged<'_>,
    layout: &Layout,
    row: Cells<'_>,
    mut each: impl FnMut(&str, &[u8]),
) {
    for (column, role) in layout.roles.iter().enumerate() {
        if let (Role::Body { folded, .. }, Value::Text(bytes)) = (role, cells::value(row, column)) {
            each(folded, bytes);
        }
    }
    if let (Some(property), Some(profile)) = (&layout.profile_property, judged.profile) {
        each(property, profile.encode(&mut [0; Guid::LEN]).as_bytes());
    }
}

/// 128 bits of a SHA-256 over values: two rows that have the same one are the same.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct ValueDigest([u8; 16]);

impl ValueDigest {
    pub(super) fn of_row(judged: &Judged<'_>, layout: &Layout, cells: Cells<'_>) -> Self {
        let mut hash = Sha256::new();
        hash.update(fixed_key(judged));
        let mut body = Vec::new();
        for_each_body_value(judged, layout, cells, |name, value| body.push((name.to_owned(), value.to_vec())));
        body.sort_unstable();
        for (name, value) in &body {
            for text in [name.as_bytes(), value] {
                hash.update((text.len() as u64).to_le_bytes());
                hash.update(text);
            }
        }
        Self::finish(hash)
    }

    pub(super) fn of_id(id: &[u8]) -> Self {
        Self::finish(Sha256::new_with_prefix(id))
    }

    fn finish(hash: Sha256) -> Self {
        let digest = hash.finalize();
        let mut first = [0; 16];
        first.copy_from_slice(&digest[..16]);
        Self(first)
    }
}

/// A row that is read again, because another one has its hash.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Suspect {
    pub(super) digest: ValueDigest,
    pub(super) row: u32,
    /// The row's line, for messages; the largest number stands for all beyond, to keep this at 28 bytes.
    pub(super) line: u32,
    pub(super) kind: RequestType,
}

/// What a row has in common with an earlier one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Same {
    /// It asks for the same.
    Request,
    /// It has the same id.
    Id,
}

/// A row that repeats an earlier one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Repeat {
    pub(super) row: u32,
    /// The first row of its kind, which stays.
    pub(super) first: u32,
    /// The line of that first row.
    pub(super) first_line: u32,
    pub(super) same: Same,
    /// The type of the row (not of the first).
    pub(super) kind: RequestType,
}

/// A set of row numbers, one bit each.
#[derive(Clone, Debug, Default)]
pub(super) struct RowSet(Vec<u64>);

impl RowSet {
    /// Returns an empty set with room for numbers below this one.
    fn up_to(end: usize) -> Self {
        Self(vec![0; end.div_ceil(64)])
    }

    fn insert(&mut self, row: u32) {
        let word = row as usize / 64;
        if word >= self.0.len() {
            self.0.resize(word + 1, 0);
        }
        self.0[word] |= 1 << (row % 64);
    }

    pub(super) fn contains(&self, row: u32) -> bool {
        self.0.get(row as usize / 64).is_some_and(|word| word >> (row % 64) & 1 == 1)
    }

    /// Returns how many rows are in the set.
    pub(super) fn n_rows(&self) -> usize {
        self.0.iter().map(|word| word.count_ones() as usize).sum()
    }
}

/// Returns the rows that repeat an earlier one, in the order of rows.
///
/// A row that asks for the same as an earlier one takes no part in the comparison of ids: it is one error, not two, and
/// a skipped row's id is not in use.
pub(super) fn repeats(requests: Vec<Suspect>, mut ids: Vec<Suspect>) -> Vec<Repeat> {
    let mut found = Vec::new();
    collect_repeats(requests, Same::Request, &mut found);
    let mut repeated = RowSet::default();
    for repeat in &found {
        repeated.insert(repeat.row);
    }
    ids.retain(|suspect| !repeated.contains(suspect.row));
    collect_repeats(ids, Same::Id, &mut found);
    found.par_sort_unstable_by_key(|repeat| repeat.row);
    found
}

fn collect_repeats(mut suspects: Vec<Suspect>, same: Same, found: &mut Vec<Repeat>) {
    suspects.par_sort_unstable();
    for group in suspects.chunk_by(|a, b| a.digest == b.digest) {
        let [first, later @ ..] = group else { continue };
        found.extend(later.iter().map(|suspect| Repeat {
            row: suspect.row,
            first: first.row,
            first_line: first.line,
            same,
            kind: suspect.kind,
        }));
    }
}

/// Returns the repeat of a row, where it is one. `repeats` are in the order of rows.
pub(super) fn repeat_of(repeats: &[Repeat], row: u32) -> Option<&Repeat> {
    repeats.binary_search_by_key(&row, |repeat| repeat.row).ok().map(|index| &repeats[index])
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::validate::columns::Form;
    use crate::validate::finding::Findings;
    use crate::validate::key_hash::KeyHasher;
    use crate::validate::{Rules, row};

    const CARD: &str = "17cf063d-e337-4aa9-a822-346554ddd3c9";

    /// The hash and the digest of a row.
    fn key(hasher: &KeyHasher, columns: &[&str], row_cells: &[&str]) -> (u64, ValueDigest) {
        key_by(&Rules::default(), hasher, columns, row_cells)
    }

    fn key_by(rules: &Rules, hasher: &KeyHasher, columns: &[&str], row_cells: &[&str]) -> (u64, ValueDigest) {
        let layout = Layout::resolve(Form::Csv, columns.iter().copied(), rules);
        let record = csv::ByteRecord::from(row_cells.to_vec());
        let cells = Cells::Csv(&record);
        let judged = row::check(rules, &layout, cells, &mut Findings::default()).unwrap();
        (hasher.row(&judged, &layout, cells), ValueDigest::of_row(&judged, &layout, cells))
    }

    #[test]
    fn hash_and_digest_agree_with_each_other_and_with_the_fingerprint() {
        let hasher = KeyHasher::new();
        let base = key(&hasher, &["type", "smartcard", "body.A", "body.b"], &["Unblock", CARD, "1", "2"]);
        for (columns, cells) in [
            (["type", "smartcard", "Body.B", "body.a"], ["unblock", CARD, "2", "1"]),
            (["body.b", "smartcard", "Type", "BODY.a"], ["2", CARD, "UNBLOCK", "1"]),
        ] {
            assert_eq!(key(&hasher, &columns, &cells), base, "{columns:?}");
        }
        for (columns, cells) in [
            (["type", "smartcard", "body.a", "body.b"], ["Renew", CARD, "1", "2"]),
            (["type", "smartcard", "body.a", "body.b"], ["Unblock", CARD, "2", "1"]),
            (["type", "smartcard", "body.a", "body.b"], ["Unblock", CARD, "1", ""]),
            (["type", "smartcard", "body.a", "body.b1"], ["Unblock", CARD, "1", "2"]),
        ] {
            let other = key(&hasher, &columns, &cells);
            assert!(other.0 != base.0 && other.1 != base.1, "{cells:?}");
        }
    }

    #[test]
    fn notes_comments_and_priority_do_not_make_a_row_another_one() {
        let hasher = KeyHasher::new();
        assert_eq!(
            key(&hasher, &["type", "smartcard"], &["Unblock", CARD]),
            key(
                &hasher,
                &["id", "type", "smartcard", "comment", "priority", "data.x", "note.x"],
                &["1", "Unblock", CARD, "x", "4", "y", "z"]
            )
        );
    }

    #[test]
    fn a_profile_counts_where_it_is_sent_and_is_the_property_then() {
        const PROFILE: &str = "97cc3493-f556-4c9b-9d8b-982434201527";
        let hasher = KeyHasher::new();
        let (plain, with) = (["type", "smartcard"], ["type", "smartcard", "profile"]);
        let none = key(&hasher, &plain, &["Unblock", CARD]);
        assert_eq!(key(&hasher, &with, &["Unblock", CARD, PROFILE]), none);
        let rules = Rules { profile_property: Some("ProfileUuid".to_owned()), ..Rules::default() };
        let sent = key_by(&rules, &hasher, &with, &["Unblock", CARD, PROFILE]);
        assert!(sent.0 != none.0 && sent.1 != none.1);
        let body = key_by(&rules, &hasher, &["type", "smartcard", "body.profileuuid"], &["Unblock", CARD, PROFILE]);
        assert_eq!(body, sent);
    }

    #[test]
    fn a_target_is_not_a_template() {
        let guid = Some(Guid::from_bytes([7; 16]));
        let judged = |target, template| Judged {
            kind: RequestType::Renew,
            template,
            target,
            smartcard: None,
            profile: None,
            priority: None,
            id: None,
            collection: Vec::new(),
        };
        assert_ne!(fixed_key(&judged(guid, None)), fixed_key(&judged(None, guid)));
    }

    fn suspect(value: u8, row: u32) -> Suspect {
        Suspect { digest: ValueDigest([value; 16]), row, line: row + 1, kind: RequestType::Renew }
    }

    #[test]
    fn equal_hashes_are_suspects_and_only_equal_values_repeats() {
        let entries = [Entry::new(9, 4), Entry::new(u64::MAX, 2), Entry::new(9, 1), Entry::new(8, 3)];
        let rows = suspects(entries.chunks(3).map(<[Entry]>::to_vec).collect());
        assert_eq!((1..=70).filter(|row| rows.contains(*row)).collect::<Vec<_>>(), [1, 4]);
        assert!(suspects(vec![vec![Entry::new(9, 4), Entry::new(8, 4)]]).n_rows() == 0);
        assert_eq!(repeats(vec![suspect(1, 4), suspect(2, 1)], Vec::new()), []);
        let found = repeats(vec![suspect(1, 4), suspect(1, 9), suspect(1, 1)], Vec::new());
        assert_eq!(found.iter().map(|r| (r.row, r.first, r.first_line)).collect::<Vec<_>>(), [(4, 1, 2), (9, 1, 2)]);
        assert_eq!(repeat_of(&found, 9).map(|repeat| repeat.first), Some(1));
        assert_eq!(repeat_of(&found, 1), None);
    }

    #[test]
    fn a_repeated_row_takes_no_part_in_the_comparison_of_ids() {
        // Row 2 repeats row 1; rows 2, 3 and 5 have one id: 3 is then its first, 5 its repeat.
        let found = repeats(vec![suspect(1, 1), suspect(1, 2)], vec![suspect(8, 2), suspect(8, 3), suspect(8, 5)]);
        assert_eq!(
            found.iter().map(|r| (r.row, r.first, r.same)).collect::<Vec<_>>(),
            [(2, 1, Same::Request), (5, 3, Same::Id)]
        );
    }

    #[test]
    fn what_a_row_costs_in_memory() {
        assert_eq!(size_of::<Entry>(), 12);
        assert_eq!(size_of::<Suspect>(), 28);
        assert_eq!(size_of::<Repeat>(), 16);
    }
}
