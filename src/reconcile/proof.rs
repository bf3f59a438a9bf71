//! Whether a list shows itself to be complete.

use crate::ledger::CreatedRow;
use crate::request::{RequestUuid, RowId};

use super::ask::Tagging;

/// How many of the newest created rows a list must hold.
pub(super) const N_NEWEST: u32 = 1000;

/// How many requests are named that a list does not hold.
const MAX_NAMED: usize = 5;

/// What a list showed of itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Completeness {
    /// It holds the newest requests that the ledger knew as created before it was asked for, each with its tag.
    Complete,
    /// It lacks some of them.
    Incomplete(Gaps),
    /// The ledger knew of none that was created, so that nothing could be shown.
    NothingKnown,
}

/// What a list lacks.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Gaps {
    /// How many requests were looked for.
    pub n_expected: u64,
    /// How many of them are not in the list: the account sees only part of it, or it lags.
    pub n_missing: u64,
    /// How many of them are there without their tag: the server cuts or rewrites comments.
    pub n_untagged: u64,
    /// The first few.
    pub first: Vec<Gap>,
}

/// A request that a list should hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Gap {
    /// The row.
    pub row: RowId,
    /// Its request.
    pub uuid: RequestUuid,
    /// What the list has of it.
    pub loss: Loss,
}

/// What a list lacks of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Loss {
    /// The request.
    Missing,
    /// Its tag.
    Untagged,
}

/// The requests that a list must hold, and what was seen of them. About 24 bytes each.
#[derive(Clone, Debug)]
pub(super) struct Expected {
    /// By uuid.
    requests: Vec<Request>,
    tagging: Tagging,
}

#[derive(Clone, Copy, Debug)]
struct Request {
    uuid: RequestUuid,
    row: RowId,
    sight: Sight,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Sight {
    Nothing,
    WithoutTag,
    Whole,
}

impl Expected {
    /// Takes the newest created rows, as they were known before the list was asked for.
    pub(super) fn new(newest: &[CreatedRow], tagging: Tagging) -> Self {
        let request = |known: &CreatedRow| Request { uuid: known.uuid, row: known.row, sight: Sight::Nothing };
        let mut requests: Vec<_> = newest.iter().map(request).collect();
        requests.sort_unstable_by_key(|request| *request.uuid.guid());
        Self { requests, tagging }
    }

    /// Takes note of a request in the list, and of the row that it has a genuine tag of.
    pub(super) fn see(&mut self, uuid: RequestUuid, tagged: Option<RowId>) {
        // Two rows can have one uuid only where a person said so; both are seen then.
        let first = self.requests.partition_point(|request| request.uuid.guid() < uuid.guid());
        for request in self.requests[first..].iter_mut().take_while(|request| request.uuid == uuid) {
            let is_whole = match self.tagging {
                Tagging::Tagged => tagged == Some(request.row),
                Tagging::Untagged => true,
            };
            if is_whole {
                request.sight = Sight::Whole;
            } else if request.sight == Sight::Nothing {
                request.sight = Sight::WithoutTag;
            }
        }
    }

    /// Returns what a list showed of itself that ended well.
    pub(super) fn completeness(&self) -> Completeness {
        if self.requests.is_empty() {
            return Completeness::NothingKnown;
        }
        let mut gaps = Gaps { n_expected: self.requests.len() as u64, ..Gaps::default() };
        for request in &self.requests {
            let loss = match request.sight {
                Sight::Whole => continue,
                Sight::Nothing => Loss::Missing,
                Sight::WithoutTag => Loss::Untagged,
            };
            match loss {
                Loss::Missing => gaps.n_missing += 1,
                Loss::Untagged => gaps.n_untagged += 1,
            }
            if gaps.first.len() < MAX_NAMED {
                gaps.first.push(Gap { row: request.row, uuid: request.uuid, loss });
            }
        }
        if gaps.first.is_empty() { Completeness::Complete } else { Completeness::Incomplete(gaps) }
    }

    /// Returns how many bytes are kept.
    #[cfg(test)]
    pub(super) fn kept_bytes(&self) -> usize {
        self.requests.capacity() * size_of::<Request>()
    }
}

#[cfg(test)]
mod tests;
