//! How a session of sending ended.

use std::time::Duration;

use super::breaker::Trip;
use crate::ledger::LedgerError;
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
        /// The row; it is recorded as created.
        row: RowId,
        /// Its request on the server.
        uuid: RequestUuid,
        /// The kind.
        kind: RequestKind,
        /// In what it differs; not empty.
        disagreements: Vec<Disagreement>,
    },
    /// Two calls of a kind in a row timed out before the run's first 201.
    FirstTimedOut {
        /// The kind.
        kind: RequestKind,
        /// The row of the second call. Both rows are in doubt.
        row: RowId,
    },
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
    /// Someone else stopped the run in its ledger.
    StoppedElsewhere,
    /// The ledger could not be written.
    Ledger(LedgerError),
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
