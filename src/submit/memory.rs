//! What a session keeps over several rounds of sending.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use jiff::Timestamp;
use tokio::time::Instant;

use super::binding::Binding;
use super::breaker::Breaker;
use super::drift::Drift;
use super::kinds::Kinds;
use super::rate::Pace;
use super::setup::Limits;
use super::throttle::Throttle;
use super::window::Window;
use crate::ledger::{KindRecord, LedgerError, Reader, RowState};
use crate::machine::Machine;
use crate::reconcile::{DoubtTimes, OwnDoubts, Recent};
use crate::request::{CreateRequest, RequestKind, RequestUuid, RowId};

/// How many of the rows that were created last are kept, to see how soon a list shows them.
const MAX_RECENT: usize = 16;

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
}

impl KnownKind {
    /// Returns what a ledger knows of all its kinds.
    ///
    /// # Errors
    /// The ledger cannot be read.
    pub fn of_ledger(reader: &Reader) -> Result<Vec<Self>, LedgerError> {
        let mut known = Vec::new();
        for KindRecord { kind, row, uuid, read_back } in reader.kinds()? {
            if read_back.is_some() {
                known.push(Self::Confirmed(kind));
                continue;
            }
            // A list may have corrected which request it is; one that is not what was asked for may have been withdrawn since.
            let Some(facts) = reader.facts(row)? else { continue };
            let is_to_read = matches!(facts.state, RowState::Created | RowState::InDoubt);
            if let Some(request) = facts.request.filter(|_| is_to_read) {
                known.push(Self::Unread { row, uuid: facts.uuid.unwrap_or(uuid), request: Box::new(request) });
            }
        }
        Ok(known)
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
    /// Whether a list was read, or anything was created: the server has the API.
    pub(crate) reached: bool,
    /// How many calls in a row were certainly not sent, without an answer to any other between.
    pub(crate) not_sent: u32,
    /// When a row was created last, or else sending began; time between rounds left out.
    pub(crate) last_created: Instant,
    pub(crate) drift: Drift,
    /// When the last round ended.
    round_ended: Instant,
    doubts: OwnDoubts,
    /// How often rows were certainly not sent since the server was away last.
    rows_not_sent: BTreeMap<RowId, u32>,
    recent: VecDeque<Recent>,
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
            kinds: Kinds::new(kinds, limits.breaker.kind_refusals),
            step_number: 0,
            reached: false,
            not_sent: 0,
            last_created: now,
            drift: Drift::new(machine),
            round_ended: now,
            doubts: OwnDoubts::new(),
            rows_not_sent: BTreeMap::new(),
            recent: VecDeque::new(),
        }
    }

    /// Returns the attempts of this session that ended in doubt.
    pub const fn doubts(&self) -> &OwnDoubts {
        &self.doubts
    }

    /// Returns the rows that this session created last.
    pub(crate) fn recent(&mut self) -> &[Recent] {
        self.recent.make_contiguous()
    }

    /// Lets the next round begin slowly, as after an outage of the server: with one call in flight, then 2, 4, ... up to the
    /// concurrency. What the circuit breaker had counted is forgotten.
    pub fn after_outage(&mut self) {
        self.window.begin_slowly();
        self.breaker.restart();
        self.not_sent = 0;
        self.rows_not_sent.clear();
    }

    /// Notes that a call for this row did not come as far as the server.
    pub(crate) fn was_not_sent(&mut self, row: RowId) {
        self.not_sent = self.not_sent.saturating_add(1);
        *self.rows_not_sent.entry(row).or_default() += 1;
    }

    /// Returns how often that was since the server was away last.
    pub(crate) fn n_not_sent(&self, row: RowId) -> u32 {
        self.rows_not_sent.get(&row).copied().unwrap_or(0)
    }

    /// Begins a round: the time since the last one was not one of sending.
    pub(crate) fn round_begins(&mut self, now: Instant) {
        self.drift.round_begins();
        self.last_created += now.saturating_duration_since(self.round_ended);
    }

    pub(crate) fn round_ends(&mut self, now: Instant) {
        self.kinds.round_ends();
        self.round_ended = now;
    }

    /// Notes an attempt that ended in doubt now. Its body left before `send_before`, or not at all.
    pub(crate) fn doubt(&mut self, row: RowId, send_before: Duration) {
        let ended = self.machine.since_boot();
        self.doubts.insert(row, DoubtTimes { started: send_before.min(ended), ended });
    }

    /// Notes a row whose answer, which came by now, was another row's request.
    pub(crate) fn shared(&mut self, row: RowId) {
        self.doubt(row, self.machine.since_boot());
        self.recent.retain(|recent| recent.row != row);
    }

    /// Notes a row that was created now.
    pub(crate) fn created(&mut self, row: RowId, uuid: RequestUuid) {
        self.reached = true;
        if self.recent.len() == MAX_RECENT {
            self.recent.pop_front();
        }
        self.recent.push_back(Recent { row, uuid, at: self.machine.since_boot() });
    }

    /// Notes the server's clock in an answer.
    pub(crate) fn answered_at(&mut self, date: Option<Timestamp>) {
        self.not_sent = 0;
        if let Some(date) = date {
            self.drift.server(date, &self.machine);
        }
    }
}
