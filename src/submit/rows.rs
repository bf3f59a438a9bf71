//! Rows on their way to a call: claimed and not sent, waiting for their next attempt, on their way back.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, VecDeque};

use tokio::time::Instant;

use crate::ledger::ClaimedRow;
use crate::request::{AttemptNo, RowId};

/// How many rows may wait for their next attempt before no fresh ones are claimed (about 24 bytes each).
const MAX_WAITING: usize = 1_024;

/// The rows that a session has at hand.
#[derive(Default)]
pub(crate) struct Rows {
    /// Claimed and durable, not sent.
    ready: VecDeque<ClaimedRow>,
    /// Pending rows that wait for their next attempt.
    waiting: BinaryHeap<Reverse<(Instant, RowId)>>,
    /// Claimed rows that are not sent and go back in the next step.
    give_back: Vec<(RowId, AttemptNo)>,
    /// Whether a claim came back short: nothing fresh is left.
    exhausted: bool,
}

impl Rows {
    pub(crate) fn n_ready(&self) -> usize {
        self.ready.len()
    }

    /// Takes out the next row that may be sent.
    pub(crate) fn take_ready(&mut self) -> Option<ClaimedRow> {
        self.ready.pop_front()
    }

    /// Adds rows whose claim is durable. `asked` fresh ones were asked for and `n_fresh` came.
    pub(crate) fn claimed(&mut self, rows: Vec<ClaimedRow>, asked: u32, n_fresh: usize) {
        if asked > 0 {
            self.exhausted = n_fresh < asked as usize;
        }
        self.ready.extend(rows);
    }

    /// Lets a row wait for its next attempt.
    pub(crate) fn wait(&mut self, row: RowId, until: Instant) {
        self.waiting.push(Reverse((until, row)));
    }

    /// Takes out the waiting rows whose time has come, as many as fit.
    pub(crate) fn due(&mut self, now: Instant, ahead: usize) -> Vec<RowId> {
        let mut rows = Vec::new();
        while self.ready.len() + rows.len() < ahead
            && let Some(Reverse((at, row))) = self.waiting.peek().copied()
            && at <= now
        {
            self.waiting.pop();
            rows.push(row);
        }
        rows
    }

    /// Returns how many fresh rows to claim beside `n_listed` other ones.
    pub(crate) fn fresh_wanted(&self, ahead: usize, n_listed: usize) -> u32 {
        if self.exhausted || self.waiting.len() >= MAX_WAITING {
            return 0;
        }
        u32::try_from(ahead.saturating_sub(self.ready.len() + n_listed)).unwrap_or(0)
    }

    /// Returns whether there may be fresh rows to claim.
    pub(crate) fn may_have_fresh(&self) -> bool {
        !self.exhausted && self.waiting.len() < MAX_WAITING
    }

    /// Returns when the first of the waiting rows may be claimed again.
    pub(crate) fn next_due(&self) -> Option<Instant> {
        self.waiting.peek().map(|Reverse((at, _))| *at)
    }

    /// Gives all claimed rows back.
    pub(crate) fn give_ready_back(&mut self) {
        self.exhausted &= self.ready.is_empty();
        self.give_back.extend(self.ready.drain(..).map(|row| (row.row, row.attempt)));
    }

    pub(crate) fn gives_back(&self) -> bool {
        !self.give_back.is_empty()
    }

    pub(crate) fn take_give_back(&mut self) -> Vec<(RowId, AttemptNo)> {
        std::mem::take(&mut self.give_back)
    }

    /// Forgets the rows that wait: they stay pending.
    pub(crate) fn forget_waiting(&mut self) {
        self.waiting.clear();
    }

    /// Forgets the claimed rows: they stay claimed, and the next process finds them in doubt, which is safe.
    pub(crate) fn forget_ready(&mut self) {
        self.ready.clear();
    }

    /// Returns whether no row is left to be claimed or sent.
    pub(crate) fn is_empty(&self) -> bool {
        self.ready.is_empty() && self.waiting.is_empty() && self.exhausted
    }
}
