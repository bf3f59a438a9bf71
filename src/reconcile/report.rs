//! What reconciling found.

use std::fmt;

use jiff::Timestamp;

use crate::client::ReadError;
use crate::ledger::RowState;
use crate::request::{RequestUuid, RowId};

use super::proof::{Completeness, Gaps, Loss};

/// How many rows are named of each kind of thing that a person must look at.
const MAX_NAMED: usize = 5;

/// How many rows are named that stand on the server twice.
const MAX_DOUBLES: usize = 100;

/// What reconciling found and settled.
#[derive(Debug, Default)]
pub struct Report {
    /// How many requests of the list were read.
    pub read: u64,
    /// How many rows in doubt are created now.
    pub found: u64,
    /// How many pending or failed rows are created now: the ledger was older than the server, or a verdict was wrong.
    pub found_unexpectedly: u64,
    /// How many rows in doubt are pending again.
    pub absent: u64,
    /// How many rows in doubt are failed now: proven absent, and not sent again by themselves.
    pub failed: u64,
    /// How many rows carry their tag on a request that is not theirs. They are in doubt.
    pub contradicted: u64,
    /// How many rows are in doubt still.
    pub left: u64,
    /// Why, where rows are; the same reason once.
    pub why_left: Vec<WhyLeft>,
    /// What the list showed of itself, also where nothing was in doubt; none where it did not end well.
    pub completeness: Option<Completeness>,
    /// Rows that stand on the server more than once.
    pub doubles: Doubles,
    /// Tags of rows that this ledger cannot have sent.
    pub strays: Strays,
}

impl Report {
    /// Returns why the list could not be read to its end, where it could not.
    pub fn unreadable(&self) -> Option<&ReadError> {
        self.why_left.iter().find_map(|why| match why {
            WhyLeft::Unreadable(error) => Some(error),
            WhyLeft::NotRipe { .. }
            | WhyLeft::Incomplete(_)
            | WhyLeft::NothingKnown
            | WhyLeft::Contradicted { .. }
            | WhyLeft::Ambiguous(_)
            | WhyLeft::LostTag(_) => None,
        })
    }
}

/// Why rows are in doubt still.
#[derive(Debug)]
pub enum WhyLeft {
    /// The server may still be at work on them: the list was asked for too early to prove that they are absent.
    NotRipe {
        /// How many rows.
        n: u64,
    },
    /// The list lacks requests that the ledger knows as created, so that what it does not have proves nothing.
    Incomplete(Gaps),
    /// The ledger knows of no request that was created, so that nothing shows whether the list is complete.
    NothingKnown,
    /// The list could not be read to its end. Nothing was settled; stands also where no row is in doubt.
    Unreadable(ReadError),
    /// Their tags stand on requests that are not theirs, in this list or an earlier one. A person must look.
    Contradicted {
        /// How many rows.
        n: u64,
        /// The first few.
        first: Vec<RowId>,
    },
    /// Without tags: more than one request may be theirs, or one may be another row's too. A person must look.
    Ambiguous(Ambiguous),
    /// The list has requests without a readable tag that may be theirs: the server may cut some comments. A person must look.
    LostTag(Ambiguous),
}

/// Rows of which it is not clear which request is theirs.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Ambiguous {
    /// How many.
    pub n: u64,
    /// The first few.
    pub first: Vec<Ambiguity>,
}

/// A row and the requests that may be its.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ambiguity {
    /// The row.
    pub row: RowId,
    /// At most 5 of them.
    pub candidates: Vec<Candidate>,
}

/// A request that may be a row's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Candidate {
    /// The request.
    pub uuid: RequestUuid,
    /// When it was submitted, by the server.
    pub submitted: Option<Timestamp>,
}

impl Ambiguous {
    /// The most candidates that are named of a row.
    pub(super) const MAX_CANDIDATES: usize = 5;

    pub(super) fn add(&mut self, row: RowId, candidates: impl Iterator<Item = Candidate>) {
        self.n += 1;
        if self.first.len() < MAX_NAMED {
            self.first.push(Ambiguity { row, candidates: candidates.take(Self::MAX_CANDIDATES).collect() });
        }
    }
}

/// Rows that stand on the server more than once.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Doubles {
    /// How many; beyond those that are named, each further request of a row counts.
    pub n: u64,
    /// The first 100.
    pub first: Vec<Double>,
}

/// A row that stands on the server more than once.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Double {
    /// The row.
    pub row: RowId,
    /// Its requests: the one that counts as the row's, then the others.
    pub uuids: Vec<RequestUuid>,
}

impl Doubles {
    /// Takes note of requests of one row, which differ.
    pub(super) fn add(&mut self, row: RowId, uuids: &[RequestUuid]) {
        if let Some(known) = self.first.iter_mut().find(|double| double.row == row) {
            for uuid in uuids {
                if known.uuids.len() < MAX_DOUBLES && !known.uuids.contains(uuid) {
                    known.uuids.push(*uuid);
                }
            }
            return;
        }
        self.n += 1;
        if self.first.len() < MAX_DOUBLES {
            self.first.push(Double { row, uuids: uuids.to_vec() });
        }
    }

    /// Takes note of requests of one row where there is more than one.
    pub(super) fn add_if_several(&mut self, row: RowId, uuids: impl Iterator<Item = RequestUuid>) {
        let mut distinct: Vec<RequestUuid> = Vec::new();
        for uuid in uuids {
            if distinct.len() < MAX_DOUBLES && !distinct.contains(&uuid) {
                distinct.push(uuid);
            }
        }
        if distinct.len() > 1 {
            self.add(row, &distinct);
        }
    }
}

/// Tags of the run on the server that no row of this ledger can have sent: the ledger is an older copy.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Strays {
    /// How many.
    pub n: u64,
    /// The first few.
    pub first: Vec<Stray>,
}

/// A tag of the run that no row of this ledger can have sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stray {
    /// The row that the tag is of.
    pub row: RowId,
    /// The request that carries it.
    pub uuid: RequestUuid,
    /// The row's state, which nothing is sent in; none where the ledger has no such row.
    pub state: Option<RowState>,
}

impl Strays {
    pub(super) fn add(&mut self, row: RowId, uuid: RequestUuid, state: Option<RowState>) {
        self.n += 1;
        if self.first.len() < MAX_NAMED {
            self.first.push(Stray { row, uuid, state });
        }
    }
}

/// Returns whether asking again later, with nothing else changed, may settle more: time passes, a list that lags catches up,
/// a server that was away comes back. What a person must do first does not come by waiting.
pub fn worth_asking_again(report: &Report) -> bool {
    report.left > 0
        && report.why_left.iter().any(|why| match why {
            WhyLeft::NotRipe { .. } => true,
            // What the server cut off a comment does not grow again.
            WhyLeft::Incomplete(gaps) => gaps.n_missing > 0,
            WhyLeft::Unreadable(error) => may_pass(error),
            WhyLeft::NothingKnown | WhyLeft::Contradicted { .. } | WhyLeft::Ambiguous(_) | WhyLeft::LostTag(_) => false,
        })
}

/// Returns whether the same list may be readable later.
const fn may_pass(error: &ReadError) -> bool {
    match error {
        ReadError::CutOff { .. } | ReadError::Transport { .. } => true,
        // 408 and 429 ask for another try; the other 4xx say that it would end as this one did.
        ReadError::Status { status, .. } => *status >= 500 || *status == 429 || *status == 408,
        // What the server writes does not change by waiting.
        ReadError::NoContent
        | ReadError::Malformed { .. }
        | ReadError::Object { .. }
        | ReadError::Cached(_)
        | ReadError::Page(_)
        | ReadError::NotUnderstood(_)
        | ReadError::TooLong { .. } => false,
    }
}

impl fmt::Display for WhyLeft {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotRipe { n } => {
                write!(f, "the server may still be at work on {n} of them, so that not being in its list proves nothing yet")
            }
            Self::Incomplete(gaps) => fmt::Display::fmt(gaps, f),
            Self::NothingKnown => f.write_str(
                "no request of this ledger is known to exist, so that nothing shows whether the server's list is complete",
            ),
            Self::Unreadable(error) => match error.status() {
                Some(403) => write!(f, "the account may not read the server's list ({error})"),
                Some(_) | None => write!(f, "the server's list could not be read ({error})"),
            },
            Self::Contradicted { n, .. } => {
                write!(f, "the tags of {n} of them stand on requests that are not theirs")
            }
            Self::Ambiguous(ambiguous) => {
                write!(f, "more than one request may be that of {} of them", ambiguous.n)
            }
            Self::LostTag(ambiguous) => {
                write!(f, "requests without a readable tag may be those of {} of them", ambiguous.n)
            }
        }
    }
}

impl fmt::Display for Gaps {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { n_expected, n_missing, n_untagged, n_unlike, first } = self;
        write!(f, "the server's list proves nothing: of the newest {n_expected} requests known as created ")?;
        let losses =
            [(n_missing, "are not in it"), (n_untagged, "have lost their tag"), (n_unlike, "have other properties")];
        for (n, (count, loss)) in losses.into_iter().filter(|(count, _)| **count > 0).enumerate() {
            write!(f, "{}{count} {loss}", if n == 0 { "" } else { " and " })?;
        }
        for (n, gap) in first.iter().enumerate() {
            let loss = match gap.loss {
                Loss::Missing => "missing",
                Loss::Untagged => "without tag",
                Loss::Unlike => "with other properties",
            };
            write!(f, "{}row {}: {} {loss}", if n == 0 { " (" } else { ", " }, gap.row, gap.uuid)?;
        }
        f.write_str(if first.is_empty() { "" } else { ")" })
    }
}

#[cfg(test)]
mod tests;
