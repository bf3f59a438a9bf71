//! Decides, stage by stage, which faults a call meets.
//!
//! Each fault counts the calls that reach it, and a share is rolled from the seed, the place of the fault in the script
//! and that count: the same sequence of calls meets the same faults, however many other faults stand beside them.

use std::time::{Duration, Instant};

use super::body::NewRequest;
use super::chance::{Dice, When};
use super::fault::{
    CallKind, Connection, Delivery, Fault, FaultKind, Judgment, Listing, Making, Manner, Refusal, RetryAfter, Scope,
};
use super::script::LatencyRange;
use super::status::Fate;
use super::store::Filter;
use super::units::Pace;
use crate::request::RequestType;

/// How a refused call is answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Refused {
    Status { status: http::StatusCode, retry_after: RetryAfter },
    Drop,
    Html,
    ApiDisabled,
    Challenge(&'static str),
}

/// How a judged call is answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Judged {
    Forbidden,
    AlreadyRevoked,
}

/// How a call takes its course.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Course {
    /// The wait before the server acts.
    pub(crate) latency: Duration,
    /// The wait after it acted.
    pub(crate) answer_delay: Duration,
    /// The pause between two bytes of the answer.
    pub(crate) pause: Option<Duration>,
    /// Whether the connection is closed after the answer.
    pub(crate) hang_up: bool,
}

/// The faults of a script, with what they have counted.
#[derive(Debug)]
pub(crate) struct Injector {
    dice: Dice,
    latency: LatencyRange,
    n_calls: u64,
    armed: Vec<Armed>,
}

#[derive(Debug)]
struct Armed {
    kind: FaultKind,
    scope: Scope,
    when: When,
    stream: u64,
    n_reached: u64,
    pacer: Pacer,
}

impl Armed {
    fn meets(&mut self, dice: Dice, call: CallKind) -> bool {
        if !self.scope.covers(call) {
            return false;
        }
        self.n_reached += 1;
        self.when.meets(self.n_reached, dice.roll(self.stream, self.n_reached))
    }
}

/// The streams of the dice that belong to no fault. Those of faults count from 0.
const LATENCY: u64 = u64::MAX - 1;
const REVOKED: u64 = u64::MAX - 2;

impl Injector {
    pub(crate) fn new(seed: u64, latency: LatencyRange, faults: Vec<Fault>) -> Self {
        let arm = |(fault, stream): (Fault, u64)| Armed {
            kind: fault.kind,
            scope: fault.scope,
            when: fault.when,
            stream,
            n_reached: 0,
            pacer: Pacer::default(),
        };
        Self { dice: Dice::new(seed), latency, n_calls: 0, armed: faults.into_iter().zip(0..).map(arm).collect() }
    }

    /// Returns how long a connection may idle.
    pub(crate) fn close_idle(&self) -> Option<Duration> {
        let spans = self.armed.iter().filter_map(|armed| {
            let FaultKind::Connection(Connection::CloseIdle(span)) = &armed.kind else { return None };
            Some(*span)
        });
        spans.min()
    }

    /// Returns whether the call is refused, and how. The first fault that refuses it decides; those behind it are not
    /// reached.
    pub(crate) fn refuse(&mut self, call: CallKind, authorization: Option<&[u8]>, now: Instant) -> Option<Refused> {
        for armed in &mut self.armed {
            let FaultKind::Refuse(refusal) = armed.kind.clone() else { continue };
            if !armed.meets(self.dice, call) {
                continue;
            }
            let refused = match refusal {
                Refusal::Status { status, retry_after } => Some(Refused::Status { status, retry_after }),
                Refusal::Drop => Some(Refused::Drop),
                Refusal::Html => Some(Refused::Html),
                Refusal::ApiDisabled => Some(Refused::ApiDisabled),
                Refusal::Unauthorized => Some(Refused::Challenge("Negotiate")),
                Refusal::Token(token) => {
                    let open = authorization.is_some_and(|authorization| token.opens(authorization));
                    (!open).then_some(Refused::Challenge("Bearer"))
                }
                Refusal::Throttle { pace, burst, retry_after } => {
                    armed.pacer.take(now, pace, burst).err().map(|wait| throttled(wait, retry_after))
                }
            };
            if refused.is_some() {
                return refused;
            }
        }
        None
    }

    /// Returns how the call takes its course. Of several waits the longest counts.
    pub(crate) fn course(&mut self, call: CallKind) -> Course {
        self.n_calls += 1;
        let latency = self.latency.pick(self.dice.roll(LATENCY, self.n_calls));
        let mut course = Course { latency, ..Course::default() };
        for armed in &mut self.armed {
            let FaultKind::Manner(manner) = armed.kind else { continue };
            if !armed.meets(self.dice, call) {
                continue;
            }
            // Another stream than that of the share: else a fault of a small share would only pick from a small range.
            let roll = self.dice.roll(!armed.stream, armed.n_reached);
            match manner {
                Manner::Latency(range) => course.latency = course.latency.max(range.pick(roll)),
                Manner::AnswerDelay(range) => course.answer_delay = course.answer_delay.max(range.pick(roll)),
                Manner::Slow(pause) => course.pause = course.pause.max(Some(pause)),
                Manner::HangUp => course.hang_up = true,
            }
        }
        course
    }

    /// Returns whether the server says no to what is asked.
    pub(crate) fn judge(&mut self, new: &NewRequest) -> Option<Judged> {
        for armed in &mut self.armed {
            let FaultKind::Judge(judgment) = &armed.kind else { continue };
            let judged = match judgment {
                Judgment::ForbidType(kind) => (new.kind == *kind).then_some(Judged::Forbidden),
                Judgment::ForbidTemplate(template) => (new.template == Some(*template)).then_some(Judged::Forbidden),
                Judgment::ForbidTarget(target) => (new.target == Some(*target)).then_some(Judged::Forbidden),
                Judgment::AlreadyRevoked(share) => {
                    // By what is to be revoked, so that the same row is refused however often it is sent.
                    let what = new.target.or(new.smartcard).or(new.profile);
                    let taken = what.is_some_and(|what| share.takes(self.dice.roll_for(REVOKED, &what)));
                    (new.kind == RequestType::Revoke && taken).then_some(Judged::AlreadyRevoked)
                }
            };
            if judged.is_some() && armed.meets(self.dice, CallKind::Create) {
                return judged;
            }
        }
        None
    }

    /// Changes what will be created, and returns its fate.
    pub(crate) fn make(&mut self, new: &mut NewRequest) -> Fate {
        let mut fate = Fate::Completed;
        for armed in &mut self.armed {
            let FaultKind::Make(making) = armed.kind else { continue };
            if !armed.meets(self.dice, CallKind::Create) {
                continue;
            }
            match making {
                Making::CommentLimit(limit) => cut(&mut new.comment, limit),
                Making::Deny => fate = Fate::Denied,
                Making::Fail => fate = Fate::Failed,
            }
        }
        fate
    }

    /// Returns how the answer goes wrong, for a call that the server acted on. The first fault decides.
    pub(crate) fn deliver(&mut self, call: CallKind) -> Option<Delivery> {
        for armed in &mut self.armed {
            let FaultKind::Deliver(delivery) = armed.kind else { continue };
            if armed.meets(self.dice, call) {
                return Some(delivery);
            }
        }
        None
    }

    /// Returns for how long the server goes away now, after a call that it acted on.
    pub(crate) fn reboot(&mut self, call: CallKind) -> Option<Duration> {
        let mut longest = None;
        for armed in &mut self.armed {
            let FaultKind::Connection(Connection::Reboot { after, down }) = armed.kind else { continue };
            if armed.meets(self.dice, call) && armed.n_reached == after {
                longest = longest.max(Some(down));
            }
        }
        longest
    }

    /// Puts what is wrong with the list into its filter.
    pub(crate) fn list(&mut self, filter: &mut Filter) {
        for armed in &mut self.armed {
            let FaultKind::List(listing) = armed.kind else { continue };
            if !armed.meets(self.dice, CallKind::List) {
                continue;
            }
            match listing {
                Listing::Hides(share) => filter.hides = Some((share, self.dice)),
                Listing::Lags(lag) => filter.lags = filter.lags.max(Some(lag)),
            }
        }
    }
}

fn throttled(wait: Duration, retry_after: Option<RetryAfter>) -> Refused {
    // A whole number of seconds, and never 0, which would ask for a call at once.
    let seconds = wait.as_millis().div_ceil(1000).max(1);
    let seconds = u32::try_from(seconds).unwrap_or(u32::MAX);
    let retry_after = retry_after.unwrap_or(RetryAfter::Seconds(seconds));
    Refused::Status { status: http::StatusCode::TOO_MANY_REQUESTS, retry_after }
}

fn cut(text: &mut String, limit: usize) {
    if let Some((end, _)) = text.char_indices().nth(limit) {
        text.truncate(end);
    }
}

/// Lets calls through at a pace, with a burst: the generic cell rate algorithm.
#[derive(Clone, Copy, Debug, Default)]
struct Pacer {
    /// When the calls let through so far would all have come at the pace.
    due: Option<Instant>,
}

impl Pacer {
    /// Lets a call through, or says how long until one would be.
    fn take(&mut self, now: Instant, pace: Pace, burst: u32) -> Result<(), Duration> {
        let ahead = pace.interval() * (burst - 1);
        let due = self.due.map_or(now, |due| due.max(now));
        let early = due.saturating_duration_since(now).saturating_sub(ahead);
        if early > Duration::ZERO {
            return Err(early);
        }
        self.due = Some(due + pace.interval());
        Ok(())
    }
}

#[cfg(test)]
mod tests;
