//! Rows on their way to a call: claimed and not sent, waiting for their next attempt, on their way back.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap, VecDeque};

use tokio::time::Instant;

use super::setup::Work;
use crate::ledger::ClaimedRow;
use crate::request::{AttemptNo, RequestKind, RowId};

/// How many rows may wait for their next attempt before no fresh ones are claimed (about 24 bytes each).
const MAX_WAITING: usize = 1_024;
/// How many rows may be set aside; more, and their kind holds up the others after all.
const MAX_ASIDE: usize = 1_024;

/// Where rows come from that were not claimed in this round.
enum Supply {
    /// From the ledger, in row order.
    InOrder {
        /// Whether a claim came back short: nothing is left.
        exhausted: bool,
    },
    /// From a list.
    Listed(VecDeque<RowId>),
}

/// The rows that a round of sending has at hand.
pub(crate) struct Rows {
    /// Claimed and durable, not sent.
    ready: VecDeque<ClaimedRow>,
    /// Pending rows that wait for their next attempt.
    waiting: BinaryHeap<Reverse<(Instant, RowId)>>,
    /// Claimed rows that are not sent and go back in the next step.
    give_back: Vec<(RowId, AttemptNo)>,
    /// The same, of those that this session keeps for itself.
    set_aside: Vec<(RowId, AttemptNo)>,
    /// Rows whose kind is held up for long: pending, and claimed by number once it is not.
    aside: BTreeMap<RequestKind, VecDeque<RowId>>,
    supply: Supply,
}

impl Rows {
    pub(crate) fn new(work: Work) -> Self {
        let supply = match work {
            Work::InOrder => Supply::InOrder { exhausted: false },
            Work::Rows(rows) => Supply::Listed(rows.into()),
        };
        Self {
            ready: VecDeque::new(),
            waiting: BinaryHeap::new(),
            give_back: Vec::new(),
            set_aside: Vec::new(),
            aside: BTreeMap::new(),
            supply,
        }
    }

    pub(crate) fn n_ready(&self) -> usize {
        self.ready.len()
    }

    /// Returns the place of the first ready row that may be sent.
    pub(crate) fn find_ready(&self, may_start: impl Fn(RequestKind) -> bool) -> Option<usize> {
        self.ready.iter().position(|row| may_start(row.request.request_kind()))
    }

    /// Takes out the ready row at a place.
    pub(crate) fn take_ready(&mut self, place: usize) -> Option<ClaimedRow> {
        self.ready.remove(place)
    }

    /// Returns whether a row of this kind is at hand.
    pub(crate) fn has_any(&self, kind: RequestKind) -> bool {
        self.aside.contains_key(&kind) || self.ready_kinds().any(|ready| ready == kind)
    }

    /// Returns the kinds of the ready rows, each as often as it is there.
    pub(crate) fn ready_kinds(&self) -> impl Iterator<Item = RequestKind> {
        self.ready.iter().map(|row| row.request.request_kind())
    }

    /// Sets the ready rows of kinds aside that are held up for long, so that there is room for rows of others.
    pub(crate) fn set_aside(&mut self, is_stuck: impl Fn(RequestKind) -> bool) {
        let mut room = MAX_ASIDE.saturating_sub(self.aside.values().map(VecDeque::len).sum());
        self.ready.retain(|row| {
            let kind = row.request.request_kind();
            let stays = room == 0 || !is_stuck(kind);
            if !stays {
                room -= 1;
                self.aside.entry(kind).or_default().push_back(row.row);
                self.set_aside.push((row.row, row.attempt));
            }
            stays
        });
    }

    /// Returns whether rows were set aside whose kind is no longer held up.
    pub(crate) fn may_take_up(&self, may_start: impl Fn(RequestKind) -> bool) -> bool {
        self.aside.keys().any(|kind| may_start(*kind))
    }

    /// Takes rows up again whose kind is no longer held up: all of them where it is `open`, else one at a time.
    pub(crate) fn take_up(
        &mut self,
        now: Instant,
        may_start: impl Fn(RequestKind) -> bool,
        open: impl Fn(RequestKind) -> bool,
    ) {
        for (kind, mut rows) in std::mem::take(&mut self.aside) {
            let n_taken = match (may_start(kind), open(kind)) {
                (true, true) => rows.len(),
                (true, false) if !self.ready_kinds().any(|ready| ready == kind) => 1,
                (true | false, false) | (false, true) => 0,
            };
            rows.drain(..n_taken).for_each(|row| self.wait(row, now));
            if !rows.is_empty() {
                self.aside.insert(kind, rows);
            }
        }
    }

    /// Adds rows whose claim is durable. `asked` were asked for in row order, and `n_fresh` came.
    pub(crate) fn claimed(&mut self, rows: Vec<ClaimedRow>, asked: u32, n_fresh: usize) {
        match &mut self.supply {
            Supply::InOrder { exhausted } if asked > 0 => *exhausted = n_fresh < asked as usize,
            Supply::InOrder { .. } | Supply::Listed(_) => {}
        }
        self.ready.extend(rows);
    }

    /// Lets a row wait for its next attempt.
    pub(crate) fn wait(&mut self, row: RowId, until: Instant) {
        self.waiting.push(Reverse((until, row)));
    }

    /// Takes out the rows that are to be claimed by number now, as many as fit: waiting ones whose time has come, then listed
    /// ones.
    pub(crate) fn due(&mut self, now: Instant, ahead: usize) -> Vec<RowId> {
        let mut rows = Vec::new();
        let mut room = ahead.saturating_sub(self.ready.len());
        while room > 0
            && let Some(Reverse((at, row))) = self.waiting.peek().copied()
            && at <= now
        {
            self.waiting.pop();
            rows.push(row);
            room -= 1;
        }
        match &mut self.supply {
            Supply::Listed(listed) if self.waiting.len() < MAX_WAITING => {
                rows.extend(listed.drain(..room.min(listed.len())));
            }
            Supply::InOrder { .. } | Supply::Listed(_) => {}
        }
        rows
    }

    /// Returns how many rows to claim in row order beside `n_listed` other ones.
    pub(crate) fn fresh_wanted(&self, ahead: usize, n_listed: usize) -> u32 {
        match &self.supply {
            Supply::InOrder { exhausted: false } if self.waiting.len() < MAX_WAITING => {
                u32::try_from(ahead.saturating_sub(self.ready.len() + n_listed)).unwrap_or(0)
            }
            Supply::InOrder { .. } | Supply::Listed(_) => 0,
        }
    }

    /// Returns whether there may be rows to claim that do not wait.
    pub(crate) fn may_have_fresh(&self) -> bool {
        self.waiting.len() < MAX_WAITING && !self.is_used_up()
    }

    fn is_used_up(&self) -> bool {
        match &self.supply {
            Supply::InOrder { exhausted } => *exhausted,
            Supply::Listed(listed) => listed.is_empty(),
        }
    }

    /// Returns when the first of the waiting rows may be claimed again.
    pub(crate) fn next_due(&self) -> Option<Instant> {
        self.waiting.peek().map(|Reverse((at, _))| *at)
    }

    /// Gives all claimed rows back. They are pending again, and claimed again where the round goes on.
    pub(crate) fn give_ready_back(&mut self) {
        match &mut self.supply {
            Supply::InOrder { exhausted } => *exhausted &= self.ready.is_empty(),
            Supply::Listed(listed) => {
                for row in self.ready.iter().rev() {
                    listed.push_front(row.row);
                }
            }
        }
        self.give_back.extend(self.ready.drain(..).map(|row| (row.row, row.attempt)));
    }

    pub(crate) fn gives_back(&self) -> bool {
        !self.give_back.is_empty() || !self.set_aside.is_empty()
    }

    pub(crate) fn take_give_back(&mut self) -> Vec<(RowId, AttemptNo)> {
        std::mem::take(&mut self.give_back)
    }

    pub(crate) fn take_set_aside(&mut self) -> Vec<(RowId, AttemptNo)> {
        std::mem::take(&mut self.set_aside)
    }

    /// Forgets the rows that wait or were set aside: they stay pending.
    pub(crate) fn forget_waiting(&mut self) {
        self.waiting.clear();
        self.aside.clear();
    }

    /// Forgets the claimed rows: they stay claimed, and the next process finds them in doubt, which is safe.
    pub(crate) fn forget_ready(&mut self) {
        self.ready.clear();
    }

    /// Returns whether no row is left to be claimed or sent.
    pub(crate) fn is_empty(&self) -> bool {
        self.ready.is_empty() && self.waiting.is_empty() && self.aside.is_empty() && self.is_used_up()
    }
}
