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

use crate::request::{AttemptNo, ErrorCode, RequestUuid, RowId};

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
    /// No new calls start; those in flight are waited for.
    Draining {
        /// How many are in flight.
        in_flight: usize,
    },
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
