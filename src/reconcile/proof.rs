//! Whether a list shows itself to be complete.

use crate::client::RequestObject;
use crate::ledger::CreatedRow;
use crate::request::{RequestUuid, RowId};

use super::ask::Tagging;
use super::matching::check_person;

/// How many of the newest created rows a list must hold.
pub(super) const N_NEWEST: u32 = 1000;

/// How many requests are named that a list does not hold.
const MAX_NAMED: usize = 5;

/// What a list showed of itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Completeness {
    /// It holds the newest requests that the ledger knew as created before it was asked for, each with its tag; without tags,
    /// each with the properties that its row names.
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
    /// How many of them, in a run without tags, have not the properties that their rows name.
    pub n_unlike: u64,
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
    /// The properties that its row names.
    Unlike,
}

/// The requests that a list must hold, and what was seen of them.
#[derive(Clone, Debug)]
pub(super) struct Expected {
    /// By uuid.
    requests: Vec<Awaited>,
    tagging: Tagging,
}

#[derive(Clone, Debug)]
struct Awaited {
    known: CreatedRow,
    /// What the list lacks of it so far.
    loss: Option<Loss>,
}

impl Expected {
    /// Takes the newest created rows, as they were known before the list was asked for.
    pub(super) fn new(newest: Vec<CreatedRow>, tagging: Tagging) -> Self {
        let awaited = |known| Awaited { known, loss: Some(Loss::Missing) };
        let mut requests: Vec<_> = newest.into_iter().map(awaited).collect();
        requests.sort_unstable_by_key(|awaited| *awaited.known.uuid.guid());
        Self { requests, tagging }
    }

    /// Takes note of a request in the list, and of the row that it has a genuine tag of.
    pub(super) fn see(&mut self, object: &RequestObject, tagged: Option<RowId>) {
        let first = self.requests.partition_point(|awaited| awaited.known.uuid.guid() < object.uuid.guid());
        // Two rows have one uuid only where a person said so; both are seen then.
        for awaited in self.requests[first..].iter_mut().take_while(|awaited| awaited.known.uuid == object.uuid) {
            let loss = match self.tagging {
                Tagging::Tagged => (tagged != Some(awaited.known.row)).then_some(Loss::Untagged),
                Tagging::Untagged => check_person(&awaited.known.request, None, object).err().map(|_| Loss::Unlike),
            };
            // Whole once is whole: a list that is made while requests come in may give one twice.
            if awaited.loss.is_some() {
                awaited.loss = loss;
            }
        }
    }

    /// Returns what a list showed of itself that ended well.
    pub(super) fn completeness(&self) -> Completeness {
        if self.requests.is_empty() {
            return Completeness::NothingKnown;
        }
        let mut gaps = Gaps { n_expected: self.requests.len() as u64, ..Gaps::default() };
        for Awaited { known, loss } in &self.requests {
            let Some(loss) = *loss else { continue };
            match loss {
                Loss::Missing => gaps.n_missing += 1,
                Loss::Untagged => gaps.n_untagged += 1,
                Loss::Unlike => gaps.n_unlike += 1,
            }
            if gaps.first.len() < MAX_NAMED {
                gaps.first.push(Gap { row: known.row, uuid: known.uuid, loss });
            }
        }
        if gaps.first.is_empty() { Completeness::Complete } else { Completeness::Incomplete(gaps) }
    }
}

#[cfg(test)]
mod tests;
