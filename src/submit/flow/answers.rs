//! What the end of a call changes: the row, the pace, the kind, and whether the run goes on.

use std::time::Duration;

use tokio::time::Instant;

use super::{Ended, Flow, InFlight, LONG_PAUSE};
use crate::client::{Answer, ClientError, Renewed, classify};
use crate::event::EventKind;
use crate::ledger::{AttemptRecord, Requeue};
use crate::request::{ErrorCode, Fault, Outcome, RowId};
use crate::submit::backoff;
use crate::submit::policy::{self, Next, Pressure};
use crate::submit::read_back::ToRead;
use crate::submit::stop::StopReason;

impl Flow<'_> {
    /// Takes the end of a call.
    pub(crate) fn call_ended(&mut self, ended: Ended, now: Instant) {
        let Some(mut call) = self.in_flight.remove(&ended.row) else { return };
        let retry_after = match &ended.answer {
            Answer::Http(answer) => answer.retry_after,
            Answer::None { .. } => None,
        };
        let outcome = self.of_row(classify(&ended.answer, self.limits.on_503));
        match &ended.answer {
            Answer::Http(answer) => self.memory.answered_at(answer.date),
            Answer::None { .. } => {}
        }
        if matches!(&outcome, Outcome::Pending(fault) if fault.code.is_not_sent()) {
            self.memory.was_not_sent(ended.row);
        }
        // What ends after a stop is recorded and says nothing more of the server.
        let trip = if self.stop.is_none() { self.memory.breaker.take(&outcome) } else { None };
        if self.stop.is_none() {
            self.feel(policy::pressure(&outcome, retry_after), retry_after, call.started, now);
        }
        let (outcome, then) = self.decide(ended.row, &call, outcome, now);
        self.learn(ended.row, &mut call, &outcome);
        if let Some(trip) = trip {
            self.stop_for(StopReason::Breaker(trip));
        }
        self.record(ended.row, &call, outcome, then, now);
    }

    pub(super) fn record(&mut self, row: RowId, call: &InFlight, outcome: Outcome, then: Requeue, now: Instant) {
        match &outcome {
            // Its body may have left as late as its claim was good.
            Outcome::InDoubt(_) => self.memory.doubt(row, call.send_before),
            Outcome::Created(uri) => self.memory.created(row, uri.uuid()),
            Outcome::Pending(_) | Outcome::Failed(_) => {}
        }
        let latency = now.saturating_duration_since(call.started);
        self.steps.record(AttemptRecord {
            row,
            attempt: call.attempt,
            started_at: call.started_at,
            latency_us: u64::try_from(latency.as_micros()).unwrap_or(u64::MAX),
            outcome,
            then,
        });
    }

    /// Takes a 404 for the row's own fault only where the server is known to have the API: it gave its list, or created something.
    fn of_row(&self, outcome: Outcome) -> Outcome {
        match outcome {
            Outcome::Failed(fault) if fault.http_status == Some(404) && !self.memory.reached => {
                Outcome::Pending(Fault { code: ErrorCode::ApiNotFound, ..fault })
            }
            outcome => outcome,
        }
    }

    /// Returns whether the server is away: not one of several calls came as far as it, with no answer between. What is not sent
    /// then is nothing of the row's.
    fn is_away(&self) -> bool {
        self.memory.not_sent >= self.limits.max_attempts.get()
    }

    fn decide(&mut self, row: RowId, call: &InFlight, outcome: Outcome, now: Instant) -> (Outcome, Requeue) {
        let counted = call.counted_attempts + self.memory.n_not_sent(row).saturating_sub(1);
        let next = policy::next(&outcome, counted, self.limits.max_attempts.get());
        match (next, outcome) {
            (Next::Retry, Outcome::Pending(fault)) => {
                let delay = backoff::delay(counted + 1, self.memory.machine.random());
                self.tell(EventKind::Retrying { row, attempt: call.attempt, code: fault.code, delay });
                self.wait(row, now + delay);
                (Outcome::Pending(fault), Requeue::Listed)
            }
            (Next::Throttle, Outcome::Pending(fault)) => {
                self.wait(row, self.memory.throttle.held_until(now).unwrap_or(now));
                (Outcome::Pending(fault), Requeue::Listed)
            }
            (Next::Renew, Outcome::Pending(fault)) => {
                // A call that began before the renewal used the old credentials: it says nothing of the new ones.
                if self.renewed.is_some_and(|at| call.started < at) && self.stop.is_none() {
                    self.wait(row, now);
                    return (Outcome::Pending(fault), Requeue::Listed);
                }
                let message = self.not_renewed.take().unwrap_or_else(|| fault.message.clone());
                self.stop_for(StopReason::NotSignedIn(Fault { message, ..fault.clone() }));
                (Outcome::Pending(fault), Requeue::Anyone)
            }
            (Next::ApiNotFound, Outcome::Pending(fault)) => {
                self.stop_for(StopReason::ApiNotFound(fault.clone()));
                (Outcome::Pending(fault), Requeue::Anyone)
            }
            (Next::GiveUp, Outcome::Pending(fault)) if self.is_away() => {
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
                self.memory.last_created = now;
                self.memory.throttle.created();
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
            self.rows.wait(row, until);
        }
    }

    /// Goes slower, or not so slow any more.
    fn feel(&mut self, pressure: Pressure, retry_after: Option<Duration>, started: Instant, now: Instant) {
        match pressure {
            Pressure::Throttled => self.throttled(retry_after, started, now),
            Pressure::Crowded => {
                if let Some(to) = self.memory.window.trouble(started, now) {
                    self.tell(EventKind::WindowCut { to });
                }
            }
            Pressure::Eased => self.memory.window.answered(),
            Pressure::Unknown => {}
        }
    }

    fn throttled(&mut self, retry_after: Option<Duration>, started: Instant, now: Instant) {
        let slowed = self.memory.throttle.throttled(retry_after, started, now);
        if let Some(delay) = slowed.hold {
            self.tell(EventKind::Throttled { delay });
        }
        if let Some(rate) = slowed.cut_to {
            #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "at most 1,000,000")]
            self.tell(EventKind::RateCut { to_per_second: rate.ceil() as u32 });
        }
        if slowed.delay > LONG_PAUSE {
            self.rows.give_ready_back();
        }
        let quiet = now.saturating_duration_since(self.memory.last_created);
        if quiet >= self.limits.stall || quiet + slowed.delay > self.limits.stall {
            self.stop_for(StopReason::Stalled { quiet, come_back: retry_after });
        }
    }

    /// Takes what a call says of its kind.
    fn learn(&mut self, row: RowId, call: &mut InFlight, outcome: &Outcome) {
        match outcome {
            Outcome::Created(uri) => {
                let first = call.first.take().map(|request| ToRead {
                    kind: call.kind,
                    row,
                    uuid: uri.uuid(),
                    request,
                    recorded_by: Some(self.memory.step_number + 1),
                });
                self.memory.kinds.created(first);
            }
            Outcome::Pending(_) | Outcome::Failed(_) | Outcome::InDoubt(_) => {
                if let Some(reason) = self.memory.kinds.ended(call.kind, row, outcome) {
                    self.stop_for(reason);
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

    /// Notes whether the credentials are other ones from now on.
    pub(crate) fn credentials_renewed(&mut self, renewed: Result<Renewed, ClientError>, now: Instant) {
        match renewed {
            Ok(Renewed::Changed) => self.renewed = Some(now + Duration::from_nanos(1)),
            Ok(Renewed::Same | Renewed::NotPossible) => {}
            Err(error) => self.not_renewed = Some(error.to_string()),
        }
    }
}
