//! How a session of sending ended.

use std::time::Duration;

use super::breaker::Trip;
use crate::client::ReadError;
use crate::ledger::{LedgerError, SessionEnd};
use crate::reconcile::Disagreement;
use crate::request::{Fault, RequestKind, RequestUri, RequestUuid, RowId};

/// How urgently the run was asked to stop.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum StopLevel {
    /// Not at all.
    #[default]
    Run,
    /// Start no more calls, wait for those in flight.
    Drain,
    /// Do not wait: rows in flight are in doubt.
    Leave,
}

/// Why a session ended before nothing was left to send.
#[derive(Debug)]
pub enum StopReason {
    /// The circuit breaker tripped.
    Breaker(Trip),
    /// No call reached the server, and a row's attempts are used up.
    Unreachable(Fault),
    /// The server throttled, and nothing was created for long, or would be.
    Stalled {
        /// How long nothing was created.
        quiet: Duration,
        /// When the server asks to come back, from then on; none where it does not say.
        come_back: Option<Duration>,
    },
    /// The first request of a kind is not what its row asked for. No other one of that kind was made.
    NotAsAsked {
        /// The row; it is in doubt.
        row: RowId,
        /// Its request on the server.
        uuid: RequestUuid,
        /// The kind.
        kind: RequestKind,
        /// In what it differs; not empty.
        disagreements: Vec<Disagreement>,
    },
    /// The first rows of a kind are in doubt, none of it was created, and a list that was asked for has none of them.
    FirstInDoubt {
        /// The kind.
        kind: RequestKind,
        /// The rows.
        rows: Vec<RowId>,
    },
    /// The first request of a kind cannot be read back, so that nobody knows whether it is what was asked for.
    NotReadBack {
        /// The kind.
        kind: RequestKind,
        /// The row; it is recorded as created.
        row: RowId,
        /// Its request on the server.
        uuid: RequestUuid,
        /// Why it cannot be read. Text from outside.
        why: String,
    },
    /// The server has requests of this run that this session did not send: another copy of the ledger is at work.
    AnotherAtWork {
        /// The row that such a request carries the tag of.
        row: RowId,
        /// The request.
        uuid: RequestUuid,
    },
    /// Another run requested what pending rows of this one ask for, since this session's first list.
    RequestedElsewhere {
        /// The first such row.
        row: RowId,
        /// The request.
        uuid: RequestUuid,
    },
    /// A row was sent alone to see whether the list shows it, and no list has.
    NotShown(RowId),
    /// The list lacks so many requests that the ledger, which is behind, knows of: it may lack what another copy sent, too. 0 where
    /// the ledger knows of none, because no session of it ever saw a list.
    Lacking(u64),
    /// The clocks jumped against each other: the machine may have been put back to an earlier state. The server is asked again.
    ClockJumped,
    /// The server's list could not be read where nothing may be sent without it.
    NoList(ReadError),
    /// The first rows of a kind were all refused alike.
    Refused {
        /// The kind.
        kind: RequestKind,
        /// The HTTP status of all refusals: a 4xx, or 500 where other kinds succeed.
        status: u16,
        /// How many rows, counted over the run.
        n_rows: u32,
        /// The last refusal.
        last: Fault,
    },
    /// The server did not accept the sign-in.
    NotSignedIn(Fault),
    /// The API is disabled or the address is wrong.
    ApiNotFound(Fault),
    /// A person or the system asked for it.
    Interrupted,
    /// The ledger could not be written.
    Ledger(LedgerError),
}

impl StopReason {
    /// Returns how a session ends in the ledger that stopped so.
    pub fn session_end(&self) -> SessionEnd {
        match self {
            Self::Interrupted => SessionEnd::Interrupted,
            reason => SessionEnd::Stopped(reason.what().to_owned()),
        }
    }

    /// Returns what happened, in a few words.
    pub const fn what(&self) -> &'static str {
        match self {
            Self::Breaker(_) => "stopped by the circuit breaker",
            Self::Unreachable(_) => "the server cannot be reached",
            Self::Stalled { .. } => "stopped because the server throttles",
            Self::NotAsAsked { .. } => "the server made another request than was asked for",
            Self::FirstInDoubt { .. } => "the first calls were not answered",
            Self::NotReadBack { .. } => "the first request cannot be checked",
            Self::AnotherAtWork { .. } => "another copy of this ledger is at work",
            Self::RequestedElsewhere { .. } => "another run is at work on these rows",
            Self::NotShown(_) => "the server's list does not show what was sent",
            Self::Lacking(_) => "the server's list is not whole",
            Self::ClockJumped => "the clocks jumped",
            Self::NoList(_) => "the server's list cannot be read",
            Self::Refused { .. } => "all rows were refused alike",
            Self::NotSignedIn(_) => "the sign-in was not accepted",
            Self::ApiNotFound(_) => "there is no API at this address",
            Self::Interrupted => "interrupted",
            Self::Ledger(_) => "the ledger failed",
        }
    }
}

/// A row that was created, and that the ledger could not keep: it reads as in doubt there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unrecorded {
    /// The row.
    pub row: RowId,
    /// The URI of its request.
    pub uri: RequestUri,
}

/// What a session did.
#[derive(Debug)]
pub struct SubmitReport {
    /// Why it ended early; none where nothing was left to send.
    pub stopped_by: Option<StopReason>,
    /// Rows created in this session.
    pub created: u64,
    /// Calls that were started.
    pub calls: u64,
    /// How long it took.
    pub elapsed: Duration,
    /// What the ledger could not keep; empty unless it failed.
    pub unrecorded: Vec<Unrecorded>,
}
