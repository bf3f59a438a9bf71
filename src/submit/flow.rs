//! The state of a session of sending, and how each thing that happens changes it. No I/O here.

mod answers;

use std::collections::BTreeMap;
use std::time::Duration;

use jiff::Timestamp;
use tokio::time::Instant;

use super::memory::Memory;
use super::read_back::{Finding, ReadEnded, ToRead};
use super::rows::{Ready, Rows};
use super::setup::{CheckFirst, Limits, Work};
use super::steps::{Guard, Reach, StepEnd, Steps};
use super::stop::{StopLevel, StopReason, Unrecorded};
use crate::client::Answer;
use crate::event::{Bound, Event, EventKind, EventSink};
use crate::ledger::{ClaimKinds, LedgerError, Requeue, Step, StepAnswer};
use crate::request::{AttemptNo, CreateRequest, ErrorCode, Fault, Outcome, RequestKind, RowId};

/// How far claims reach ahead of the calls in flight, at most. All of it would be in doubt after a crash.
pub(crate) const MAX_AHEAD: usize = 256;
/// How long rows are claimed ahead, at the run's rate: many times what a sync takes, and half of what the design allows.
const AHEAD_S: f64 = 0.1;
/// A pause of the whole run that is longer than this gives claimed rows back, so that a crash leaves them pending.
const LONG_PAUSE: Duration = Duration::from_millis(200);
/// How long a claim is good, by the clock that runs during sleep: what leaves later is not sent.
const CLAIM_GOOD: Duration = Duration::from_secs(5);
/// The longest time between two turns of the loop, by which a process that stood still is told from one that waited.
const TURN_EVERY: Duration = Duration::from_secs(1);
/// A row that the pace lets wait for longer than this goes back, and is claimed again when its time comes.
const PACE_WAIT: Duration = Duration::from_secs(1);

/// A call in flight.
#[derive(Debug)]
struct InFlight {
    kind: RequestKind,
    /// What was asked for, where nothing of the kind was created before.
    first: Option<Box<CreateRequest>>,
    attempt: AttemptNo,
    counted_attempts: u32,
    started: Instant,
    started_at: Timestamp,
    /// Until when its body may leave, by the clock that runs during sleep.
    send_before: Duration,
}

/// A call that ended.
pub(crate) struct Ended {
    pub(crate) row: RowId,
    pub(crate) answer: Answer,
}

pub(crate) struct Flow<'a> {
    limits: &'a Limits,
    sink: &'a dyn EventSink,
    pub(crate) memory: &'a mut Memory,
    rows: Rows,
    steps: Steps,
    in_flight: BTreeMap<RowId, InFlight>,
    /// The last step that is durable.
    recorded: u64,
    /// How many requests are being read back.
    reading: usize,
    /// No row is claimed before this: the pace would let it wait for long.
    claim_from: Option<Instant>,
    renewed: Option<Instant>,
    /// Why they could not be renewed, the last time that was due.
    not_renewed: Option<String>,
    pub(crate) stop: Option<StopReason>,
    /// The time by the session's clock, as of the last turn of the loop.
    now_at: Timestamp,
    pub(crate) created: u64,
    pub(crate) calls: u64,
    pub(crate) unrecorded: Vec<Unrecorded>,
}

impl<'a> Flow<'a> {
    pub(crate) fn new(limits: &'a Limits, sink: &'a dyn EventSink, memory: &'a mut Memory, work: Work) -> Self {
        Self {
            limits,
            sink,
            recorded: memory.step_number,
            memory,
            rows: Rows::new(work),
            steps: Steps::default(),
            in_flight: BTreeMap::new(),
            reading: 0,
            claim_from: None,
            renewed: None,
            not_renewed: None,
            stop: None,
            now_at: Timestamp::UNIX_EPOCH,
            created: 0,
            calls: 0,
            unrecorded: Vec::new(),
        }
    }

    /// Returns the next row that may be sent now, as a call in flight; or when to ask again, where time alone helps.
    pub(crate) fn start_call(&mut self, now: Instant) -> Result<Ready, Option<Instant>> {
        if self.stop.is_some() || self.rows.n_ready() == 0 {
            return Err(None);
        }
        let window = self.memory.window;
        if self.in_flight.len() >= window.limit() {
            self.held_back(if window.is_open() { Bound::Concurrency } else { Bound::Server }, now);
            return Err(None);
        }
        let since_boot = self.memory.machine.since_boot();
        if self.rows.is_too_late(since_boot) {
            self.rows.give_ready_back();
            return Err(None);
        }
        let kinds = &self.memory.kinds;
        let Some(place) = self.rows.find_ready(|kind| kinds.may_start(kind)) else { return Err(None) };
        if let Err(again) = self.memory.throttle.check(now) {
            self.held_back(Bound::Server, now);
            return Err(Some(again));
        }
        if let Err(wait) = self.memory.pace.start() {
            self.held_back(Bound::Rate, now);
            if wait > PACE_WAIT {
                self.rows.give_ready_back();
                self.claim_from = Some(now + wait - PACE_WAIT / 2);
            }
            return Err(Some(now + wait));
        }
        let ready = self.rows.take_ready(place).ok_or(None)?;
        let row = &ready.row;
        self.memory.throttle.started(now);
        self.calls += 1;
        let kind = row.request.request_kind();
        let first = self.memory.kinds.started(kind).then(|| Box::new(row.request.clone()));
        self.in_flight.insert(
            row.row,
            InFlight {
                kind,
                first,
                attempt: row.attempt,
                counted_attempts: row.counted_attempts,
                started: now,
                started_at: self.now_at,
                send_before: ready.send_before,
            },
        );
        Ok(ready)
    }

    /// Begins a turn of the loop.
    pub(crate) fn turn(&mut self, now_at: Timestamp) {
        self.now_at = now_at;
        let Memory { drift, machine, .. } = &mut *self.memory;
        let stood_still = drift.stood_still(machine);
        if (drift.take_jump(machine) || stood_still) && self.stop.is_none() {
            self.stop_for(StopReason::ClockJumped);
        }
    }

    fn held_back(&mut self, by: Bound, now: Instant) {
        if let Some(by) = self.memory.binding.held_back(by, now) {
            self.tell(EventKind::Bound { by });
        }
    }

    /// Returns the next request to read back, where there is one.
    pub(crate) fn next_read_back(&mut self) -> Option<ToRead> {
        if self.stop.is_some() {
            return None;
        }
        let (rows, recorded) = (&self.rows, self.recorded);
        let first = self.memory.kinds.next_read_back(|step| step <= recorded, |kind| rows.has_any(kind))?;
        self.reading += 1;
        Some(first)
    }

    /// Takes the end of a reading.
    pub(crate) fn read_back_ended(&mut self, ended: ReadEnded) {
        self.reading = self.reading.saturating_sub(1);
        let ToRead { kind, row, uuid, .. } = ended.first;
        match ended.finding {
            Finding::Agrees(_) => {
                self.memory.kinds.confirm(kind);
                self.tell(EventKind::ReadBack { kind, row, uuid });
            }
            Finding::Unread(why) => match self.limits.check_first {
                CheckFirst::Warn => {
                    self.memory.kinds.confirm(kind);
                    self.tell(EventKind::NotReadBack { kind, why });
                }
                CheckFirst::Stop => self.stop_for(StopReason::NotReadBack { kind, row, uuid, why }),
            },
            Finding::NotThere | Finding::OtherRows => self.memory.kinds.await_list(kind, row, uuid),
            Finding::Away(why) => {
                self.stop_for(StopReason::Unreachable(Fault::without_answer(ErrorCode::NotConnected, why)));
            }
            Finding::Withdrawn(status) => {
                self.memory.kinds.try_anew(kind);
                let why =
                    format!("request {uuid} differs from row {row} and is {status}; the next one is looked at instead");
                self.tell(EventKind::NotReadBack { kind, why });
            }
            Finding::Differs(disagreements) => {
                self.stop_for(StopReason::NotAsAsked { row, uuid, kind, disagreements });
            }
        }
        if let Err(error) = ended.noted {
            self.ledger_failed(error);
        }
    }

    /// Returns the next step where one is due, and takes what it records out of the buffers.
    pub(crate) fn next_step(&mut self, now: Instant) -> Option<Step> {
        if matches!(self.stop, Some(StopReason::Ledger(_))) {
            return None;
        }
        let reach = self.reach(now);
        if !self.steps.may_begin(now, reach) {
            return None;
        }
        self.rows.take_up(now, &self.memory.kinds);
        let kinds = &self.memory.kinds;
        let guard = Guard {
            kinds: ClaimKinds::Guarded { open: kinds.open(), held: kinds.held(), pass_over: self.rows.room_aside() },
            send_before: self.memory.machine.since_boot() + CLAIM_GOOD,
        };
        let step = self.steps.next(now, &mut self.rows, reach, self.memory.step_number + 1, guard)?;
        self.memory.step_number = step.number;
        Some(step)
    }

    fn reach(&self, now: Instant) -> Reach {
        let is_paced = self.claim_from.is_none_or(|from| from <= now);
        let may_claim = self.stop.is_none() && is_paced && self.memory.throttle.held_until(now).is_none();
        let may_take_up = self.rows.may_take_up(&self.memory.kinds);
        Reach { may_claim, ahead: self.ahead(), concurrency: self.memory.window.limit(), may_take_up }
    }

    /// Returns how many rows may be claimed and not in flight.
    fn ahead(&self) -> usize {
        let throttled = self.memory.throttle.per_second();
        let rate = self.limits.rate.per_second();
        match throttled.map_or(rate, |slow| Some(rate.map_or(slow, |rate| rate.min(slow)))) {
            None => MAX_AHEAD,
            #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "small and positive")]
            Some(rate) => ((rate * AHEAD_S).ceil() as usize).clamp(1, MAX_AHEAD),
        }
    }

    /// Takes the answer to a step.
    pub(crate) fn step_ended(&mut self, answer: Result<StepAnswer, LedgerError>, now: Instant) {
        if let Ok(answer) = &answer {
            for (row, ..) in &answer.shared {
                self.memory.shared(*row);
                self.tell(EventKind::InDoubt { row: *row, code: ErrorCode::UuidShared });
            }
        }
        match self.steps.ended(answer, now, &mut self.rows) {
            StepEnd::Recorded => self.recorded = self.memory.step_number,
            StepEnd::Failed(error, created) => {
                self.unrecorded.extend(created);
                self.ledger_failed(error);
                return;
            }
        }
        let held_until = self.memory.throttle.held_until(now);
        if self.stop.is_some() || held_until.is_some_and(|until| until > now + LONG_PAUSE) {
            self.rows.give_ready_back();
        }
    }

    fn ledger_failed(&mut self, error: LedgerError) {
        self.rows.forget_ready();
        self.stop = Some(StopReason::Ledger(error));
    }

    /// Stops the run, once: no call starts any more, claimed rows go back.
    pub(crate) fn stop_for(&mut self, reason: StopReason) {
        if self.stop.is_some() {
            return;
        }
        self.stop = Some(reason);
        self.rows.forget_waiting();
        self.rows.give_ready_back();
        self.tell(EventKind::Draining { in_flight: self.in_flight.len() });
    }

    /// Takes a person's wish to stop.
    pub(crate) fn asked_to_stop(&mut self, level: StopLevel, now: Instant) {
        match level {
            StopLevel::Run => {}
            StopLevel::Drain => self.stop_for(StopReason::Interrupted),
            StopLevel::Leave => {
                self.stop_for(StopReason::Interrupted);
                self.reading = 0;
                for (row, call) in std::mem::take(&mut self.in_flight) {
                    let fault =
                        Fault::without_answer(ErrorCode::LeftOpen, "the run was told not to wait for the answer");
                    self.tell(EventKind::InDoubt { row, code: fault.code });
                    self.record(row, &call, Outcome::InDoubt(fault), Requeue::Anyone, now);
                }
            }
        }
    }

    /// Returns whether nothing is left to do.
    pub(crate) fn is_done(&self) -> bool {
        let idle = self.in_flight.is_empty() && !self.steps.is_under_way();
        let recorded = !self.steps.has_unrecorded(&self.rows);
        match &self.stop {
            Some(StopReason::Ledger(_)) => idle,
            Some(_) => idle && recorded,
            None => {
                let kinds = &self.memory.kinds;
                idle && recorded && self.reading == 0 && self.rows.is_empty_but(|kind| kinds.awaits_list(kind))
            }
        }
    }

    /// Returns when to look again even if nothing happens.
    pub(crate) fn wake_at(&self, now: Instant, next_start: Option<Instant>) -> Instant {
        let step = self.steps.next_due(now, &self.rows, self.reach(now));
        let hold = self.memory.throttle.held_until(now);
        let paced = self.claim_from.filter(|from| *from > now);
        [next_start, step, hold, paced]
            .into_iter()
            .flatten()
            .min()
            .map_or(now + TURN_EVERY, |at| at.min(now + TURN_EVERY))
            .max(now + Duration::from_micros(100))
    }

    /// Gives up on what the ledger could not keep: created rows are told, so that they are not lost.
    pub(crate) fn take_unrecorded(&mut self) {
        self.unrecorded.extend(self.steps.take_unrecorded());
    }

    pub(crate) fn tell(&self, kind: EventKind) {
        self.sink.emit(Event { at: self.memory.machine.now(), kind });
    }
}
