//! Steps: when one is due, and what it asks the ledger for.

use std::time::Duration;

use tokio::time::Instant;

use super::rows::Rows;
use super::stop::Unrecorded;
use crate::ledger::{AttemptRecord, ClaimKinds, LedgerError, Step, StepAnswer};
use crate::request::{Outcome, RowId};

/// The time between two steps, unless rows run short: groups the outcomes of that time into one sync.
const TICK: Duration = Duration::from_millis(5);

/// What the step under way asked for.
struct Asked {
    claim: u32,
    /// The rows that were to be claimed by number, in order.
    listed: Vec<RowId>,
    /// Until when its claims are good.
    send_before: Duration,
    /// The created rows that it records, to be told should the ledger fail.
    created: Vec<Unrecorded>,
}

/// How far rows may be claimed now.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Reach {
    /// Whether rows may be claimed at all.
    pub(crate) may_claim: bool,
    /// How many rows may be claimed and not in flight.
    pub(crate) ahead: usize,
    /// How many calls may be in flight.
    pub(crate) concurrency: usize,
    /// Whether rows that were set aside may be claimed again.
    pub(crate) may_take_up: bool,
}

/// On which terms rows may be claimed.
#[derive(Clone, Debug)]
pub(crate) struct Guard {
    /// Of which kinds.
    pub(crate) kinds: ClaimKinds,
    /// Until when the claims are good, by the clock that runs during sleep.
    pub(crate) send_before: Duration,
}

/// What the ledger said to a step.
pub(crate) enum StepEnd {
    /// The rows are among the ready ones.
    Recorded,
    /// Nothing of it is recorded. These rows were created.
    Failed(LedgerError, Vec<Unrecorded>),
}

/// The steps of a session, one at a time.
#[derive(Default)]
pub(crate) struct Steps {
    /// Calls that ended, not yet in a step.
    records: Vec<AttemptRecord>,
    asked: Option<Asked>,
    last: Option<Instant>,
}

impl Steps {
    /// Adds what became of an attempt, for the next step.
    pub(crate) fn record(&mut self, record: AttemptRecord) {
        self.records.push(record);
    }

    /// Returns whether a step may be made now: none is under way, and the last one is long enough ago or much is to be
    /// recorded.
    pub(crate) fn may_begin(&self, now: Instant, reach: Reach) -> bool {
        let is_time = self.last.is_none_or(|at| now >= at + TICK);
        self.asked.is_none() && (is_time || self.records.len() * 8 >= (reach.ahead + reach.concurrency) * 3)
    }

    /// Returns the next step where there is anything to do in it, and takes what it records out of the buffers.
    pub(crate) fn next(
        &mut self,
        now: Instant,
        rows: &mut Rows,
        reach: Reach,
        number: u64,
        guard: Guard,
    ) -> Option<Step> {
        // Rows whose last attempt is not yet in the ledger are recorded in this same step, before the claim.
        let claim_rows = if reach.may_claim { rows.due(now, reach.ahead) } else { Vec::new() };
        let claim = if reach.may_claim { rows.fresh_wanted(reach.ahead, claim_rows.len()) } else { 0 };
        let work = self.has_unrecorded(rows) || !claim_rows.is_empty() || claim > 0;
        if !work {
            return None;
        }
        let step = Step {
            number,
            record: std::mem::take(&mut self.records),
            give_back: rows.take_give_back(),
            claim_rows,
            claim,
            kinds: guard.kinds,
        };
        let mut listed = step.claim_rows.clone();
        listed.sort_unstable();
        self.asked = Some(Asked { claim, listed, send_before: guard.send_before, created: created_in(&step.record) });
        Some(step)
    }

    /// Takes the answer to the step under way.
    pub(crate) fn ended(&mut self, answer: Result<StepAnswer, LedgerError>, now: Instant, rows: &mut Rows) -> StepEnd {
        let Some(asked) = self.asked.take() else { return StepEnd::Recorded };
        self.last = Some(now);
        match answer {
            Ok(answer) => {
                rows.claimed(answer, asked.claim, &asked.listed, asked.send_before);
                StepEnd::Recorded
            }
            Err(error) => StepEnd::Failed(error, asked.created),
        }
    }

    pub(crate) fn has_unrecorded(&self, rows: &Rows) -> bool {
        !self.records.is_empty() || rows.gives_back()
    }

    pub(crate) fn is_under_way(&self) -> bool {
        self.asked.is_some()
    }

    /// Returns when the next step is due, where there is anything to do in it.
    pub(crate) fn next_due(&self, now: Instant, rows: &Rows, reach: Reach) -> Option<Instant> {
        let tick = self.last.map_or(now, |at| at + TICK);
        let room = reach.may_claim && rows.n_ready() < reach.ahead;
        let fresh = room && (rows.may_have_fresh() || reach.may_take_up);
        let work = self.has_unrecorded(rows) || fresh;
        let step = (work && self.asked.is_none()).then_some(tick);
        let due = rows.next_due().filter(|_| room).map(|at| at.max(tick));
        [step, due].into_iter().flatten().min()
    }

    /// Gives up on what the ledger could not keep; returns the created rows of it, so that they are not lost.
    pub(crate) fn take_unrecorded(&mut self) -> Vec<Unrecorded> {
        created_in(&std::mem::take(&mut self.records))
    }
}

fn created_in(records: &[AttemptRecord]) -> Vec<Unrecorded> {
    let created = |record: &AttemptRecord| match &record.outcome {
        Outcome::Created(uri) => Some(Unrecorded { row: record.row, uri: uri.clone() }),
        Outcome::Pending(_) | Outcome::Failed(_) | Outcome::InDoubt(_) => None,
    };
    records.iter().filter_map(created).collect()
}
