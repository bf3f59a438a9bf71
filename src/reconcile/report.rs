//! What a list said.

use std::fmt;
use std::time::Duration;

use jiff::Timestamp;

use crate::client::{ReadError, RequestStatus};
use crate::ledger::{Finding, FirstLook, RowState};
use crate::request::{RequestKind, RequestUuid, RowId};

use super::ask::Probe;
use super::hits::Hits;

/// How many findings of each kind are kept: whoever looks for what exists twice needs each of them.
pub(super) const MAX_FOUND: usize = 1_000;

/// How many things there are, and the first of them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Firsts<T, const MAX: usize = 5> {
    /// How many.
    pub n: u64,
    /// The first few.
    pub first: Vec<T>,
}

impl Audit {
    /// Returns whether the list has all that was sent.
    pub const fn is_whole(&self) -> bool {
        self.not_shown.n == 0 && self.again.n == 0 && self.ripe_at.is_none()
    }
}

impl<T, const MAX: usize> Default for Firsts<T, MAX> {
    fn default() -> Self {
        Self { n: 0, first: Vec::new() }
    }
}

impl<T, const MAX: usize> Firsts<T, MAX> {
    pub(super) fn add(&mut self, one: T) {
        self.n += 1;
        if self.first.len() < MAX {
            self.first.push(one);
        }
    }
}

/// What a list said, and what was settled by it.
#[derive(Debug, Default)]
pub struct Report {
    /// How many requests of the list were read.
    pub read: u64,
    /// How many of them nobody can say whose they are.
    pub unread: u64,
    /// The server's clock when it began to answer.
    pub date: Option<Timestamp>,
    /// Why the list could not be read to its end; nothing was settled then.
    pub unreadable: Option<ReadError>,
    /// How many rows in doubt are created now.
    pub found: u64,
    /// Rows that the ledger had as not sent, and that are created now: it is behind.
    pub taken_over: Firsts<TakenOver>,
    /// Rows in doubt that were sent again because a list did not have them, and whose answers were lost again.
    pub lost_again: Firsts<RowId, MAX_FOUND>,
    /// How many created rows are another request than the ledger had.
    pub corrected: u64,
    /// How many rows in doubt are pending again.
    pub absent: u64,
    /// How many rows in doubt are failed now: proven absent, and not sent again by themselves.
    pub failed: u64,
    /// How many rows are in doubt because of what this list says of them.
    pub contradicted: u64,
    /// How many rows are in doubt still.
    pub left: u64,
    /// Why, where rows are.
    pub why_left: Vec<WhyLeft>,
    /// When asking again may prove more, by the clock that runs during sleep; none where only a person can.
    pub ask_again_at: Option<Duration>,
    /// Rows that are on the server more than once.
    pub doubles: Firsts<Double, MAX_FOUND>,
    /// Rows that are another request than was answered, and that the list does not have as that: the request, and the answered one.
    pub answered: Firsts<(RowId, [RequestUuid; 2]), MAX_FOUND>,
    /// Tags of this run that match no row of this ledger.
    pub strays: Firsts<Stray, MAX_FOUND>,
    /// Requests of other runs that ask for what pending rows ask for.
    pub hits: Hits,
    /// How soon after it was created a list of this session showed a request, at best.
    pub lag: Option<Duration>,
    /// Whether a list of this session lacked what was created more than `settle` before it.
    pub lags: bool,
    /// The row that is sent before other absent ones; where that is new, it is pending now.
    pub probe: Probe,
    /// The kinds whose first request it showed to be what was asked for.
    pub kinds_seen: Vec<RequestKind>,
    /// A request of this run that this session did not send, submitted after its first list.
    pub not_ours: Option<(RowId, RequestUuid)>,
    /// A pending row that another run requested since this session's first list, and that request.
    pub requested: Option<(RowId, RequestUuid)>,
    /// What it says for a session's records.
    pub first_look: FirstLook,
    /// What is to be told beside the states of rows.
    pub audit: Audit,
}

/// What a list shows to be wrong that no state of a row tells.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Audit {
    /// Rows of this session that it lacks, though it has earlier and later ones.
    pub missing: Firsts<Gap, MAX_FOUND>,
    /// How many requests of earlier sessions it lacks.
    pub n_lacking: u64,
    /// How many of the requests of anybody it lacks that were the newest when this session first looked, or the one before it.
    pub n_old_end: u64,
    /// Rows that were not in an earlier list and were sent again, and that this one does not have either.
    pub again: Firsts<Gap, MAX_FOUND>,
    /// When the server will have acted on rows that were sent again and of which a request was found, by the clock that runs during
    /// sleep; none where that is over.
    pub ripe_at: Option<Duration>,
    /// Rows of this session that it lacks at an end, or without any order: it lags, or shows only a part.
    pub not_shown: Firsts<Gap>,
    /// Rows whose requests it has without their tags.
    pub untagged: Firsts<Gap, MAX_FOUND>,
    /// Rows of earlier sessions that it lacks: a list had them then.
    pub earlier: Firsts<Gap>,
    /// Rows that other runs requested, too, which nobody accepted: their own request, and those.
    pub elsewhere: Firsts<(RowId, RequestUuid, Vec<RequestUuid>), MAX_FOUND>,
    /// Rows that were skipped for a request that came to nothing; without a status it is gone.
    pub come_to_nothing: Vec<(RowId, RequestUuid, Option<RequestStatus>)>,
    /// Findings of earlier lists that this one does not close.
    pub still_open: Vec<Finding>,
}

/// A row that the ledger had as not sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TakenOver {
    /// The row.
    pub row: RowId,
    /// Its request.
    pub uuid: RequestUuid,
    /// The state that it had.
    pub was: RowState,
    /// Who had dropped it, and why, where a person had.
    pub dropped_by: Option<String>,
}

/// A row that is on the server more than once.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Double {
    /// The row.
    pub row: RowId,
    /// Its requests: the one that counts as the row's, then the others.
    pub uuids: Vec<RequestUuid>,
}

/// A tag of the run that matches no row of this ledger.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stray {
    /// The row that the tag is of.
    pub row: RowId,
    /// The request that carries it.
    pub uuid: RequestUuid,
    /// The state of that row; none where the ledger has no such row.
    pub state: Option<RowState>,
}

/// A request that a list should hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Gap {
    /// The row.
    pub row: RowId,
    /// Its request.
    pub uuid: RequestUuid,
}

/// What a list lacks.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Loss {
    /// How many requests were looked for.
    pub n_expected: u64,
    /// Those of them that are not in the list with their tag.
    pub missing: Firsts<Gap, MAX_FOUND>,
}

/// Why rows are in doubt still. `n` says how many.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum WhyLeft {
    /// The server may still be at work on them, or the list may lag.
    NotRipe {
        /// How many rows.
        n: u64,
    },
    /// The attempts were made by another account, which may see other requests.
    OtherAccount {
        /// How many rows.
        n: u64,
    },
    /// The list has requests that cannot be read.
    Unread {
        /// How many rows.
        n: u64,
        /// How many requests.
        n_unread: u64,
    },
    /// The list lacks requests that were created before or after them.
    Incomplete {
        /// How many rows.
        n: u64,
        /// What it lacks for the first of them.
        loss: Loss,
    },
    /// No request of their type and template is known to be in the list.
    NothingAlike {
        /// How many rows.
        n: u64,
    },
    /// The list lacks requests that were there before this run's, or nobody knows which these were.
    OldEnd {
        /// How many rows.
        n: u64,
    },
    /// Nothing shows that the list has what was created lately.
    NewEnd {
        /// How many rows.
        n: u64,
    },
    /// They are older than an hour, and the list has no request in an end state from before.
    Archived {
        /// How many rows.
        n: u64,
    },
    /// Nobody knows whether they are older than an hour: the server does not say its time, or did not when they were sent.
    NoTime {
        /// How many rows.
        n: u64,
    },
    /// A row was sent again because a list did not have it, and more than one request may be that row's: the server's lists lack
    /// what is there.
    Refuted {
        /// How many rows.
        n: u64,
    },
    /// They were not in the list, were sent again, and their answers were lost again. No list shows them.
    LostAgain {
        /// How many rows.
        n: u64,
        /// The first of them. It may exist twice.
        first: RowId,
    },
    /// Another absent row was sent first, and no list has shown it.
    Probe {
        /// How many rows.
        n: u64,
        /// That row. It may exist twice.
        row: RowId,
    },
    /// What the list says of them cannot be, in this list or an earlier one. A person must look.
    Contradicted {
        /// How many rows.
        n: u64,
        /// The first few.
        first: Vec<RowId>,
    },
    /// Requests without a readable tag may be theirs. A person must look.
    LostTag(Firsts<Ambiguity>),
    /// The run sends no tags: a person must look. Some may be these requests.
    Untagged(Firsts<Ambiguity>),
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

impl Report {
    /// Returns whether the list shows the ledger to be behind what the server has: rows that it had as not sent exist.
    pub const fn is_behind(&self) -> bool {
        self.taken_over.n + self.strays.n > 0
    }
}

impl fmt::Display for WhyLeft {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotRipe { n } => write!(
                f,
                "the server may still be at work on {n} of them, so that not being in its list proves nothing yet"
            ),
            Self::OtherAccount { n } => {
                write!(f, "{n} of them were sent by another account, which may see other requests than this one")
            }
            Self::Unread { n_unread, .. } => {
                write!(f, "{n_unread} requests of the server's list cannot be read, and may be theirs")
            }
            Self::Incomplete { loss, .. } => write!(f, "the server's list proves nothing: {loss}"),
            Self::NothingAlike { n } => write!(
                f,
                "no request of the same type and template is known to be in the server's list, so that nothing shows whether it \
                 would have {n} of them"
            ),
            Self::OldEnd { n } => write!(
                f,
                "nothing shows that the server's list reaches back to before this run, so that it proves nothing for {n} of them"
            ),
            Self::NewEnd { n } => write!(
                f,
                "nothing shows that the server's list has what was created last, so that it proves nothing for {n} of them"
            ),
            Self::Archived { n } => write!(
                f,
                "{n} of them are older than an hour, and the server's list has no finished request from before: it may leave \
                 finished ones out"
            ),
            Self::NoTime { n } => write!(
                f,
                "the server does not say its time, so that {n} of them may be old, and its list may leave old finished ones out"
            ),
            Self::Refuted { n } => write!(
                f,
                "a row was sent again because the server's list did not have it, and may exist twice (see the findings): until a person has \
                 looked at that, no list proves that {n} of them do not exist"
            ),
            Self::LostAgain { n, first } => write!(
                f,
                "the server's list did not have {n} of them (the first is row {first}), they were sent again, and no answer came either \
                 time: they may exist twice, and are not sent a third time"
            ),
            Self::Probe { row, .. } => write!(
                f,
                "row {row} was not in the server's list and was sent again, and no list has shown it since: it may exist twice"
            ),
            Self::Contradicted { n, .. } => write!(f, "the tags of {n} of them stand on requests that are not theirs"),
            Self::LostTag(ambiguous) => {
                write!(f, "requests without a readable tag may be those of {} of them", ambiguous.n)
            }
            Self::Untagged(ambiguous) => {
                write!(
                    f,
                    "this run sends no tags, so that only a person can tell whether {} of them exist",
                    ambiguous.n
                )
            }
        }
    }
}

impl fmt::Display for Loss {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { n_expected, missing } = self;
        write!(f, "of {n_expected} requests known as created around a row in doubt, {} are not in it", missing.n)?;
        for (n, gap) in missing.first.iter().enumerate() {
            write!(f, "{}row {}: {}", if n == 0 { " (" } else { ", " }, gap.row, gap.uuid)?;
        }
        f.write_str(if missing.first.is_empty() { "" } else { ")" })
    }
}
