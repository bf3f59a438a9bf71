//! The state of a session of sending, and how each thing that happens changes it. No I/O here.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap, VecDeque};
use std::time::Duration;

use jiff::Timestamp;
use tokio::time::Instant;

use super::backoff;
use super::breaker::Breaker;
use super::policy::{self, Next};
use super::rate::Pace;
use super::setup::Limits;
use super::stop::{StopLevel, StopReason, Unrecorded};
use crate::client::{Answer, classify};
use crate::event::{Event, EventKind, EventSink};
use crate::ledger::{AttemptRecord, ClaimedRow, LedgerError, Requeue, RunState, Step, StepAnswer};
use crate::request::{AttemptNo, ErrorCode, Fault, Outcome, RowId};

/// How far claims reach ahead of the calls in flight, at most. All of it would be in doubt after a crash.
pub(crate) const MAX_AHEAD: usize = 256;
/// How long rows are claimed ahead, at the run's rate: many times what a sync takes, and half of what the design allows.
const AHEAD_S: f64 = 0.1;
/// The time between two steps, unless rows run short: groups the outcomes of that time into one sync.
const TICK: Duration = Duration::from_millis(3);
/// A pause of the whole run that is longer than this gives claimed rows back, so that a crash leaves them pending.
const LONG_PAUSE: Duration = Duration::from_millis(200);
/// How many rows may wait for their next attempt before no fresh ones are claimed (about 24 bytes each).
const MAX_WAITING: usize = 1_024;

/// A call in flight.
#[derive(Clone, Copy, Debug)]
struct InFlight {
    attempt: AttemptNo,
    counted_attempts: u32,
    started: Instant,
    started_at: Timestamp,
}

/// What the step under way asked for.
struct Asked {
    claim: u32,
    n_listed: usize,
    /// The created rows that it records, to be told should the ledger fail.
    created: Vec<Unrecorded>,
}

/// A call that ended.
pub(crate) struct Ended {
    pub(crate) row: RowId,
    pub(crate) answer: Answer,
}

pub(crate) struct Flow<'a> {
    limits: &'a Limits,
    sink: &'a dyn EventSink,
    pace: Pace,
    breaker: Breaker,
    /// Claimed and durable, not sent.
    ready: VecDeque<ClaimedRow>,
    send_before: Option<std::time::Instant>,
    slots: Option<u32>,
    in_flight: BTreeMap<RowId, InFlight>,
    /// Ended, not yet in a step.
    records: Vec<AttemptRecord>,
    give_back: Vec<(RowId, AttemptNo)>,
    /// Pending rows that wait for their next attempt.
    waiting: BinaryHeap<Reverse<(Instant, RowId)>>,
    /// The step under way.
    asked: Option<Asked>,
    /// Whether a claim came back short: nothing fresh is left.
    exhausted: bool,
    step_number: u64,
    last_step: Option<Instant>,
    hold_until: Option<Instant>,
    throttles_in_a_row: u32,
    renewed: Option<Instant>,
    reached: bool,
    last_created: Instant,
    pub(crate) stop: Option<StopReason>,
    pub(crate) created: u64,
    pub(crate) calls: u64,
    pub(crate) unrecorded: Vec<Unrecorded>,
}

impl<'a> Flow<'a> {
    pub(crate) fn new(limits: &'a Limits, sink: &'a dyn EventSink, now: Instant) -> Self {
        Self {
            limits,
            sink,
            pace: Pace::new(limits.rate, limits.burst),
            breaker: Breaker::new(limits.breaker),
            ready: VecDeque::new(),
            send_before: None,
            slots: None,
            in_flight: BTreeMap::new(),
            records: Vec::new(),
            give_back: Vec::new(),
            waiting: BinaryHeap::new(),
            asked: None,
            exhausted: false,
            step_number: 0,
            last_step: None,
            hold_until: None,
            throttles_in_a_row: 0,
            renewed: None,
            reached: false,
            last_created: now,
            stop: None,
            created: 0,
            calls: 0,
            unrecorded: Vec::new(),
        }
    }

    /// Returns the next row that may be sent now, as a call in flight; or when to ask again, where time alone helps.
    pub(crate) fn start_call(&mut self, now: Instant) -> Result<ClaimedRow, Option<Instant>> {
        if self.stop.is_some() || self.ready.is_empty() || self.in_flight.len() >= self.limits.concurrency.get() {
            return Err(None);
        }
        if let Some(until) = self.hold_until {
            if now < until {
                return Err(Some(until));
            }
            self.hold_until = None;
        }
        if self.slots == Some(0) {
            return Err(None);
        }
        if self.send_before.is_some_and(|deadline| std::time::Instant::now() >= deadline) {
            self.give_ready_back();
            return Err(None);
        }
        self.pace.start().map_err(|wait| Some(now + wait))?;
        let Some(row) = self.ready.pop_front() else { return Err(None) };
        self.slots = self.slots.map(|slots| slots - 1);
        self.calls += 1;
        self.in_flight.insert(
            row.row,
            InFlight {
                attempt: row.attempt,
                counted_attempts: row.counted_attempts,
                started: now,
                started_at: Timestamp::now(),
            },
        );
        Ok(row)
    }

    /// Returns the next step where one is due, and takes what it records out of the buffers.
    pub(crate) fn next_step(&mut self, now: Instant) -> Option<Step> {
        if matches!(self.stop, Some(StopReason::Ledger(_))) || self.asked.is_some() {
            return None;
        }
        let ahead = self.ahead();
        let claim_rows = self.due(now, ahead);
        let claim = self.fresh_wanted(now, ahead, claim_rows.len());
        let work = self.has_unrecorded() || !claim_rows.is_empty() || claim > 0 || self.needs_slots();
        let urgent = self.last_step.is_none_or(|at| now >= at + TICK)
            || self.records.len() * 4 >= ahead + self.limits.concurrency.get();
        if !work || !urgent {
            self.wait_again(now, &claim_rows);
            return None;
        }
        self.step_number += 1;
        let step = Step {
            number: self.step_number,
            record: std::mem::take(&mut self.records),
            give_back: std::mem::take(&mut self.give_back),
            claim_rows,
            claim,
        };
        self.asked = Some(Asked { claim, n_listed: step.claim_rows.len(), created: created_in(&step.record) });
        Some(step)
    }

    fn has_unrecorded(&self) -> bool {
        !self.records.is_empty() || !self.give_back.is_empty()
    }

    /// Returns whether rows are ready that the engine lets start only after another step.
    fn needs_slots(&self) -> bool {
        self.slots == Some(0) && !self.ready.is_empty()
    }

    /// Returns how many rows may be claimed and not in flight.
    fn ahead(&self) -> usize {
        match self.limits.rate.per_second() {
            None => MAX_AHEAD,
            #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "small and positive")]
            Some(rate) => ((rate * AHEAD_S).ceil() as usize).clamp(1, MAX_AHEAD),
        }
    }

    fn may_claim(&self, now: Instant) -> bool {
        self.stop.is_none() && self.hold_until.is_none_or(|until| now >= until)
    }

    /// Takes out the waiting rows whose time has come, as many as fit.
    fn due(&mut self, now: Instant, ahead: usize) -> Vec<RowId> {
        let mut rows = Vec::new();
        if !self.may_claim(now) {
            return rows;
        }
        // Rows whose last attempt is not yet in the ledger are recorded in this same step, before the claim.
        while self.ready.len() + rows.len() < ahead
            && let Some(Reverse((at, row))) = self.waiting.peek().copied()
            && at <= now
        {
            self.waiting.pop();
            rows.push(row);
        }
        rows
    }

    fn wait_again(&mut self, now: Instant, rows: &[RowId]) {
        self.waiting.extend(rows.iter().map(|row| Reverse((now, *row))));
    }

    fn fresh_wanted(&self, now: Instant, ahead: usize, listed: usize) -> u32 {
        if self.exhausted || !self.may_claim(now) || self.waiting.len() >= MAX_WAITING {
            return 0;
        }
        u32::try_from(ahead.saturating_sub(self.ready.len() + listed)).unwrap_or(0)
    }

    /// Takes the answer to a step.
    pub(crate) fn step_ended(&mut self, answer: Result<StepAnswer, LedgerError>, now: Instant) {
        let Some(asked) = self.asked.take() else { return };
        self.last_step = Some(now);
        match answer {
            Ok(answer) => {
                self.slots = answer.slots;
                self.send_before = answer.send_before;
                let n_fresh = answer.rows.len().saturating_sub(asked.n_listed);
                if asked.claim > 0 {
                    self.exhausted = n_fresh < asked.claim as usize;
                }
                match answer.state {
                    RunState::Running => {}
                    RunState::Stopped => self.stop_for(StopReason::StoppedElsewhere),
                }
                self.ready.extend(answer.rows);
                if self.stop.is_some() || self.hold_until.is_some_and(|until| until > now + LONG_PAUSE) {
                    self.give_ready_back();
                }
            }
            Err(error) => {
                self.unrecorded.extend(asked.created);
                // What was claimed stays claimed: the next process finds it in doubt, which is safe.
                self.ready.clear();
                self.stop = Some(StopReason::Ledger(error));
            }
        }
    }

    /// Takes the end of a call.
    pub(crate) fn call_ended(&mut self, ended: Ended, now: Instant) {
        let Some(call) = self.in_flight.remove(&ended.row) else { return };
        let retry_after = match &ended.answer {
            Answer::Http(answer) => answer.retry_after,
            Answer::None { .. } => None,
        };
        let outcome = classify(&ended.answer, self.limits.on_503);
        if matches!(ended.answer, Answer::Http(_)) {
            self.reached = true;
        }
        let trip = self.breaker.take(&outcome);
        let (outcome, then) = self.decide(ended.row, &call, outcome, retry_after, now);
        if let Some(trip) = trip {
            self.stop_for(StopReason::Breaker(trip));
        }
        let latency = now.saturating_duration_since(call.started);
        self.records.push(AttemptRecord {
            row: ended.row,
            attempt: call.attempt,
            started_at: call.started_at,
            latency_us: u64::try_from(latency.as_micros()).unwrap_or(u64::MAX),
            outcome,
            then,
        });
    }

    fn decide(
        &mut self,
        row: RowId,
        call: &InFlight,
        outcome: Outcome,
        retry_after: Option<Duration>,
        now: Instant,
    ) -> (Outcome, Requeue) {
        let next = policy::next(&outcome, call.counted_attempts, self.limits.max_attempts.get());
        match (next, outcome) {
            (Next::Retry, Outcome::Pending(fault)) => {
                let delay = backoff::delay(call.counted_attempts + 1, backoff::random());
                self.tell(EventKind::Retrying { row, attempt: call.attempt, code: fault.code, delay });
                self.wait(row, now + delay);
                (Outcome::Pending(fault), Requeue::Listed)
            }
            (Next::Throttle, Outcome::Pending(fault)) => {
                self.throttled(retry_after, now);
                self.wait(row, self.hold_until.unwrap_or(now));
                (Outcome::Pending(fault), Requeue::Listed)
            }
            (Next::Renew, Outcome::Pending(fault)) => {
                // A call that began before the renewal used the old credentials: it says nothing of the new ones.
                if self.renewed.is_some_and(|at| call.started < at) && self.stop.is_none() {
                    self.wait(row, now);
                    return (Outcome::Pending(fault), Requeue::Listed);
                }
                self.stop_for(StopReason::NotSignedIn(fault.clone()));
                (Outcome::Pending(fault), Requeue::Anyone)
            }
            (Next::ApiNotFound, Outcome::Pending(fault)) => {
                self.stop_for(StopReason::ApiNotFound(fault.clone()));
                (Outcome::Pending(fault), Requeue::Anyone)
            }
            (Next::GiveUp, Outcome::Pending(fault)) if !self.reached => {
                self.stop_for(StopReason::Unreachable(fault.clone()));
                (Outcome::Pending(fault), Requeue::Anyone)
            }
            (Next::GiveUp, Outcome::Pending(fault)) => {
                (self.settled(row, Outcome::Failed(fault), now), Requeue::Anyone)
            }
            (_, outcome) => (self.settled(row, outcome, now), Requeue::Anyone),
        }
    }

    fn settled(&mut self, row: RowId, outcome: Outcome, now: Instant) -> Outcome {
        match &outcome {
            Outcome::Created(uri) => {
                self.created += 1;
                self.last_created = now;
                self.throttles_in_a_row = 0;
                self.tell(EventKind::Created { row, uuid: uri.uuid() });
            }
            Outcome::Failed(fault) => self.tell(EventKind::Failed { row, code: fault.code }),
            Outcome::InDoubt(fault) => self.tell(EventKind::InDoubt { row, code: fault.code }),
            Outcome::Pending(_) => {}
        }
        outcome
    }

    fn wait(&mut self, row: RowId, until: Instant) {
        if self.stop.is_none() {
            self.waiting.push(Reverse((until, row)));
        }
    }

    fn throttled(&mut self, retry_after: Option<Duration>, now: Instant) {
        // Calls that were in flight together are throttled together: they are one sign, not many.
        let holding = self.hold_until.is_some_and(|until| until > now);
        let delay = retry_after.unwrap_or_else(|| backoff::throttle_delay(self.throttles_in_a_row));
        if holding && retry_after.is_none() {
            return;
        }
        self.throttles_in_a_row = self.throttles_in_a_row.saturating_add(u32::from(!holding));
        let until = now + delay;
        if self.hold_until.is_none_or(|old| until > old) {
            self.hold_until = Some(until);
            self.tell(EventKind::Throttled { delay });
        }
        if delay > LONG_PAUSE {
            self.give_ready_back();
        }
        let quiet = now.saturating_duration_since(self.last_created);
        if quiet >= self.limits.stall || quiet + delay > self.limits.stall {
            self.stop_for(StopReason::Stalled(quiet));
        }
    }

    /// Stops the run, once: no call starts any more, claimed rows go back.
    pub(crate) fn stop_for(&mut self, reason: StopReason) {
        if self.stop.is_some() {
            return;
        }
        self.stop = Some(reason);
        self.waiting.clear();
        self.give_ready_back();
        self.tell(EventKind::Draining { in_flight: self.in_flight.len() });
    }

    /// Takes a person's wish to stop.
    pub(crate) fn asked_to_stop(&mut self, level: StopLevel, now: Instant) {
        match level {
            StopLevel::Run => {}
            StopLevel::Drain => self.stop_for(StopReason::Interrupted),
            StopLevel::Leave => {
                self.stop_for(StopReason::Interrupted);
                for (row, call) in std::mem::take(&mut self.in_flight) {
                    let latency = now.saturating_duration_since(call.started);
                    let fault =
                        Fault::without_answer(ErrorCode::LeftOpen, "the run was told not to wait for the answer");
                    self.tell(EventKind::InDoubt { row, code: fault.code });
                    self.records.push(AttemptRecord {
                        row,
                        attempt: call.attempt,
                        started_at: call.started_at,
                        latency_us: u64::try_from(latency.as_micros()).unwrap_or(u64::MAX),
                        outcome: Outcome::InDoubt(fault),
                        then: Requeue::Anyone,
                    });
                }
            }
        }
    }

    /// Returns whether the credentials are to be renewed before the 401 of this call is taken.
    pub(crate) fn needs_renewal(&self, ended: &Ended) -> bool {
        let signed_out = matches!(&ended.answer, Answer::Http(answer) if answer.status == 401);
        let call = self.in_flight.get(&ended.row);
        signed_out && self.stop.is_none() && call.is_some_and(|call| self.renewed.is_none_or(|at| call.started >= at))
    }

    /// Notes that the credentials are other ones from now on.
    pub(crate) fn credentials_renewed(&mut self, now: Instant) {
        self.renewed = Some(now + Duration::from_nanos(1));
    }

    fn give_ready_back(&mut self) {
        self.exhausted &= self.ready.is_empty();
        self.give_back.extend(self.ready.drain(..).map(|row| (row.row, row.attempt)));
    }

    /// Returns whether nothing is left to do.
    pub(crate) fn is_done(&self) -> bool {
        let idle = self.in_flight.is_empty() && self.asked.is_none();
        let recorded = !self.has_unrecorded();
        match &self.stop {
            Some(StopReason::Ledger(_)) => idle,
            Some(_) => idle && recorded,
            None => idle && recorded && self.ready.is_empty() && self.waiting.is_empty() && self.exhausted,
        }
    }

    /// Returns when to look again even if nothing happens.
    pub(crate) fn wake_at(&self, now: Instant, next_start: Option<Instant>) -> Instant {
        let tick = self.last_step.map_or(now, |at| at + TICK);
        let room = self.may_claim(now) && self.ready.len() < self.ahead();
        let fresh = room && !self.exhausted && self.waiting.len() < MAX_WAITING;
        let work = self.has_unrecorded() || fresh || self.needs_slots();
        let step = (work && self.asked.is_none()).then_some(tick);
        let due = self.waiting.peek().filter(|_| room).map(|Reverse((at, _))| (*at).max(tick));
        let hold = self.hold_until.filter(|until| *until > now);
        [next_start, step, due, hold]
            .into_iter()
            .flatten()
            .min()
            .unwrap_or(now + Duration::from_secs(3600))
            .max(now + Duration::from_micros(100))
    }

    /// Gives up on what the ledger could not keep: created rows are told, so that they are not lost.
    pub(crate) fn take_unrecorded(&mut self) {
        self.unrecorded.extend(created_in(&self.records));
        self.records.clear();
    }

    pub(crate) fn tell(&self, kind: EventKind) {
        self.sink.emit(Event { at: Timestamp::now(), kind });
    }
}

fn created_in(records: &[AttemptRecord]) -> Vec<Unrecorded> {
    let created = |record: &AttemptRecord| match &record.outcome {
        Outcome::Created(uri) => Some(Unrecorded { row: record.row, uri: uri.clone() }),
        Outcome::Pending(_) | Outcome::Failed(_) | Outcome::InDoubt(_) => None,
    };
    records.iter().filter_map(created).collect()
}
