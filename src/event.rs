//! What happens during a run, told as plain values.
//!
//! **Owns**: [`Event`] and [`EventSink`].
//!
//! **Must not know**: who listens, and how it is shown.
//!
//! **Flow**: `submit` tells events; the CLI's reporter turns them into a progress bar, log lines or nothing. The ledger,
//! not the event stream, is the truth.

use std::time::Duration;

use jiff::Timestamp;

use crate::request::{AttemptNo, ErrorCode, RequestKind, RequestUuid, RowId};

/// Something that happened, and when.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Event {
    /// When it happened, by the wall clock.
    pub at: Timestamp,
    /// What happened.
    pub kind: EventKind,
}

/// What can happen during a run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum EventKind {
    /// Sending begins, with so many rows pending.
    Started {
        /// Rows that are pending.
        pending: u64,
    },
    /// A row was created.
    Created {
        /// The row.
        row: RowId,
        /// The uuid of its request.
        uuid: RequestUuid,
    },
    /// An attempt failed for good.
    Failed {
        /// The row.
        row: RowId,
        /// Why.
        code: ErrorCode,
    },
    /// An attempt's answer was not seen, or says nothing certain.
    InDoubt {
        /// The row.
        row: RowId,
        /// Why.
        code: ErrorCode,
    },
    /// Nothing was created; the row is sent again after the delay.
    Retrying {
        /// The row.
        row: RowId,
        /// The attempt that ended.
        attempt: AttemptNo,
        /// Why.
        code: ErrorCode,
        /// How long the row waits.
        delay: Duration,
    },
    /// The server asked the whole run to wait.
    Throttled {
        /// How long no call starts.
        delay: Duration,
    },
    /// The server throttled: calls start more slowly from now on, and then gradually faster again.
    RateCut {
        /// How many calls a second.
        to_per_second: u32,
    },
    /// The server does not keep up: fewer calls are in flight from now on, and then gradually more again.
    WindowCut {
        /// How many.
        to: usize,
    },
    /// Another thing than before keeps the run from being faster.
    Bound {
        /// What it is.
        by: Bound,
    },
    /// The first request of a kind was read back, and it is what its row asked for.
    ReadBack {
        /// The kind.
        kind: RequestKind,
        /// The row.
        row: RowId,
        /// Its request.
        uuid: RequestUuid,
    },
    /// The first request of a kind could not be read back; the run goes on.
    NotReadBack {
        /// The kind.
        kind: RequestKind,
        /// Why. Text from outside.
        why: String,
    },
    /// The server's list is read, to settle rows in doubt.
    Reconciling,
    /// The list was read to its end.
    Reconciled {
        /// Rows whose request was found.
        found: u64,
        /// Rows that are proven absent.
        absent: u64,
        /// Rows that stay in doubt.
        left: u64,
    },
    /// Rows in doubt wait until a list can prove that they were not created, or what was created until one shows it; nothing is sent
    /// meanwhile.
    WaitingForProof {
        /// How long.
        left: Duration,
        /// How many rows in doubt; none where all are settled.
        rows: u64,
        /// The first of them; where one was sent alone to see whether lists show it, that one.
        row: Option<RowId>,
        /// How many rows are pending meanwhile.
        pending: u64,
    },
    /// The server's list could not be read, and is asked for again after the wait.
    ListAgain {
        /// How long.
        wait: Duration,
        /// Why it could not be read. Text from outside.
        why: String,
    },
    /// The ledger is behind what the server has: what another process sent last may still come into the list.
    Behind {
        /// How long that is waited for.
        left: Duration,
    },
    /// The server went away; it is asked from time to time whether it is back.
    ServerGone {
        /// How long it is waited for, at most.
        wait: Duration,
        /// Rows that are pending.
        pending: u64,
    },
    /// The server is back; sending goes on slowly.
    ServerBack,
    /// No new calls start; those in flight are waited for.
    Draining {
        /// How many are in flight.
        in_flight: usize,
    },
}

/// What keeps a run from being faster.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Bound {
    /// The rate that was asked for.
    Rate,
    /// The server: it throttles, or does not keep up.
    Server,
    /// The calls that may be in flight.
    Concurrency,
}

/// Who listens to events. A sink must not block and must not fail: a slow one would slow the run.
pub trait EventSink: Send + Sync {
    /// Takes one event.
    fn emit(&self, event: Event);
}

/// A sink that drops everything.
#[derive(Clone, Copy, Debug, Default)]
pub struct NoSink;

impl EventSink for NoSink {
    fn emit(&self, _event: Event) {}
}
