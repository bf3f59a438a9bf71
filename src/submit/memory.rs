//! What a session keeps over several rounds of sending.

use std::time::Duration;

use tokio::time::Instant;

use super::binding::Binding;
use super::breaker::Breaker;
use super::kinds::Kinds;
use super::rate::Pace;
use super::setup::Limits;
use super::throttle::Throttle;
use super::window::Window;
use crate::ledger::{KindRecord, KindRefusals, LedgerError, Reader};
use crate::machine::Machine;
use crate::request::{CreateRequest, RequestKind, RequestUuid, RowId};

/// What is known of a kind of request before a session's first call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum KnownKind {
    /// One was created, and it was looked at.
    Confirmed(RequestKind),
    /// One was created, and nobody looked at it yet: it is read back before the next call of its kind.
    Unread {
        /// The row.
        row: RowId,
        /// Its request.
        uuid: RequestUuid,
        /// What was asked for, without tag.
        request: Box<CreateRequest>,
    },
    /// None was created, and rows were refused.
    Refused(KindRefusals),
}

impl KnownKind {
    /// Returns what a ledger knows of all its kinds.
    ///
    /// # Errors
    /// The ledger cannot be read.
    pub fn of_ledger(reader: &Reader) -> Result<Vec<Self>, LedgerError> {
        let mut known = Vec::new();
        for KindRecord { kind, row, uuid, read_back } in reader.kinds()? {
            let request = match read_back {
                Some(_) => None,
                None => reader.facts(row)?.and_then(|facts| facts.request),
            };
            known.push(match request {
                Some(request) => Self::Unread { row, uuid, request: Box::new(request) },
                None => Self::Confirmed(kind),
            });
        }
        known.extend(reader.refusals()?.into_iter().map(Self::Refused));
        Ok(known)
    }
}

/// When the latest attempts were made that ended in doubt, by the clock that runs during sleep
/// ([`Machine::since_boot`]). A list asked for long enough after both may prove an absence.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DoubtTimes {
    /// When the last one of them started.
    pub started: Duration,
    /// When the last one of them ended; not always the same attempt.
    pub ended: Duration,
}

impl DoubtTimes {
    /// Returns the times with another attempt's taken in.
    fn with(earlier: Option<Self>, started: Duration, ended: Duration) -> Self {
        let earlier = earlier.unwrap_or(Self { started, ended });
        Self { started: earlier.started.max(started), ended: earlier.ended.max(ended) }
    }
}

/// What a session keeps over its rounds of [`run`](super::run): its pace, what it learnt of the server, and the number of its
/// last step. One for each session: a second one would start with a full burst, and number its steps anew.
pub struct Memory {
    pub(crate) machine: Machine,
    /// `--rate`: one limiter for the whole session, because a second one would start with a full burst.
    pub(crate) pace: Pace,
    /// What the server's throttling makes of it.
    pub(crate) throttle: Throttle,
    pub(crate) window: Window,
    pub(crate) binding: Binding,
    pub(crate) breaker: Breaker,
    pub(crate) kinds: Kinds,
    /// The number of the last step; the ledger counts them over the session.
    pub(crate) step_number: u64,
    /// Whether any call was answered.
    pub(crate) reached: bool,
    /// When a row was created last, or else sending began; time between rounds left out.
    pub(crate) last_created: Instant,
    /// When the last round ended.
    round_ended: Instant,
    doubts: Option<DoubtTimes>,
}

impl Memory {
    /// Begins a session's memory, with what its ledger knows of the kinds of request.
    pub fn new(machine: &Machine, limits: &Limits, kinds: Vec<KnownKind>) -> Self {
        let now = Instant::now();
        Self {
            machine: machine.clone(),
            pace: Pace::new(limits.rate, limits.burst),
            throttle: Throttle::new(limits.rate.per_second(), now),
            window: Window::new(limits.concurrency),
            binding: Binding::default(),
            breaker: Breaker::new(limits.breaker),
            kinds: Kinds::new(kinds, limits.breaker.kind_refusals, now),
            step_number: 0,
            reached: false,
            last_created: now,
            round_ended: now,
            doubts: None,
        }
    }

    /// Returns when the latest attempts of this session were made that ended in doubt.
    pub const fn latest_doubt(&self) -> Option<DoubtTimes> {
        self.doubts
    }

    /// Lets the next round begin slowly, as after an outage of the server: with one call in flight, then 2, 4, ... up to the
    /// concurrency. What the circuit breaker had counted is forgotten.
    pub fn after_outage(&mut self) {
        self.window.begin_slowly();
        self.breaker.restart();
    }

    /// Begins a round: the time since the last one was not one of sending.
    pub(crate) fn round_begins(&mut self, now: Instant) {
        self.last_created += now.saturating_duration_since(self.round_ended);
    }

    pub(crate) fn round_ends(&mut self, now: Instant) {
        self.kinds.round_ends();
        self.round_ended = now;
    }

    /// Notes an attempt that ended in doubt now.
    pub(crate) fn doubt(&mut self, started: Duration) {
        self.doubts = Some(DoubtTimes::with(self.doubts, started, self.machine.since_boot()));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_latest_start_and_the_latest_end_are_kept() {
        let s = Duration::from_secs;
        let one = DoubtTimes::with(None, s(10), s(140));
        assert_eq!(one, DoubtTimes { started: s(10), ended: s(140) });
        // A later start that ended sooner.
        assert_eq!(DoubtTimes::with(Some(one), s(20), s(30)), DoubtTimes { started: s(20), ended: s(140) });
        assert_eq!(DoubtTimes::with(Some(one), s(5), s(150)), DoubtTimes { started: s(10), ended: s(150) });
    }
}
