//! Rows on their way to a call: claimed and not sent, waiting for their next attempt, passed over, on their way back.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap, VecDeque};
use std::time::Duration;

use tokio::time::Instant;

use super::kinds::Kinds;
use super::setup::Work;
use crate::ledger::{ClaimedRow, StepAnswer};
use crate::request::{AttemptNo, RequestKind, RowId};

/// How many rows may wait for their next attempt before no fresh ones are claimed (about 24 bytes each).
const MAX_WAITING: usize = 1_024;
/// How many rows may be passed over because their kind is held; more, and the kind holds up the others after all.
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

/// A row that may be sent.
#[derive(Debug)]
pub(crate) struct Ready {
    pub(crate) row: ClaimedRow,
    /// Until when its claim is good, by the clock that runs during sleep.
    pub(crate) send_before: Duration,
}

/// The rows that a round of sending has at hand.
pub(crate) struct Rows {
    /// Claimed and durable, not sent.
    ready: VecDeque<Ready>,
    /// Pending rows that wait for their next attempt.
    waiting: BinaryHeap<Reverse<(Instant, RowId)>>,
    /// Claimed rows that are not sent and go back in the next step.
    give_back: Vec<(RowId, AttemptNo)>,
    /// Rows whose kind is held up: pending, and claimed by number once it is not.
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
            aside: BTreeMap::new(),
            supply,
        }
    }

    pub(crate) fn n_ready(&self) -> usize {
        self.ready.len()
    }

    /// Returns the place of the first ready row that may be sent.
    pub(crate) fn find_ready(&self, may_start: impl Fn(RequestKind) -> bool) -> Option<usize> {
        self.ready.iter().position(|ready| may_start(ready.row.request.request_kind()))
    }

    /// Returns whether the claim of a ready row is no longer good.
    pub(crate) fn is_too_late(&self, since_boot: Duration) -> bool {
        self.ready.iter().any(|ready| ready.send_before <= since_boot)
    }

    /// Takes out the ready row at a place.
    pub(crate) fn take_ready(&mut self, place: usize) -> Option<Ready> {
        self.ready.remove(place)
    }

    /// Returns whether a row of this kind is at hand.
    pub(crate) fn has_any(&self, kind: RequestKind) -> bool {
        self.aside.contains_key(&kind) || self.has_ready(kind)
    }

    fn has_ready(&self, kind: RequestKind) -> bool {
        self.ready.iter().any(|ready| ready.row.request.request_kind() == kind)
    }

    fn n_aside(&self) -> usize {
        self.aside.values().map(VecDeque::len).sum()
    }

    /// Returns how many further rows may be passed over because their kind is held.
    pub(crate) fn room_aside(&self) -> u32 {
        u32::try_from(MAX_ASIDE.saturating_sub(self.n_aside())).unwrap_or(0)
    }

    /// Returns whether rows were passed over whose kind is no longer held up.
    pub(crate) fn may_take_up(&self, kinds: &Kinds) -> bool {
        self.aside.keys().any(|kind| kinds.is_open(*kind) || (kinds.may_start(*kind) && !self.has_ready(*kind)))
    }

    /// Takes rows up again whose kind is no longer held up: all of them where it is open, else one at a time.
    pub(crate) fn take_up(&mut self, now: Instant, kinds: &Kinds) {
        for (kind, mut rows) in std::mem::take(&mut self.aside) {
            let n_taken = match (kinds.is_open(kind), kinds.may_start(kind)) {
                (true, _) => rows.len(),
                (false, true) if !self.has_ready(kind) => 1,
                (false, true | false) => 0,
            };
            rows.drain(..n_taken).for_each(|row| self.wait(row, now));
            if !rows.is_empty() {
                self.aside.insert(kind, rows);
            }
        }
    }

    /// Adds rows whose claim is durable, and which were passed over. `asked` were asked for in row order, and those that are
    /// `listed`, in order, by number; the claims are good until `send_before`.
    pub(crate) fn claimed(&mut self, answer: StepAnswer, asked: u32, listed: &[RowId], send_before: Duration) {
        let is_listed = |row: RowId| listed.binary_search(&row).is_ok();
        let n_fresh = answer.rows.iter().filter(|claimed| !is_listed(claimed.row)).count();
        match &mut self.supply {
            Supply::InOrder { exhausted } if asked > 0 => {
                *exhausted = n_fresh < asked as usize && !answer.stopped_short;
            }
            Supply::InOrder { .. } | Supply::Listed(_) => {}
        }
        self.ready.extend(answer.rows.into_iter().map(|row| Ready { row, send_before }));
        for (row, kind) in answer.passed_over {
            self.aside.entry(kind).or_default().push_back(row);
        }
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
        let is_full = self.waiting.len() >= MAX_WAITING || self.n_aside() >= MAX_ASIDE;
        match &mut self.supply {
            Supply::Listed(listed) if !is_full => rows.extend(listed.drain(..room.min(listed.len()))),
            Supply::InOrder { .. } | Supply::Listed(_) => {}
        }
        rows
    }

    /// Returns how many rows to claim in row order beside `n_listed` other ones.
    pub(crate) fn fresh_wanted(&self, ahead: usize, n_listed: usize) -> u32 {
        match &self.supply {
            Supply::InOrder { exhausted: false } if self.has_room() => {
                u32::try_from(ahead.saturating_sub(self.ready.len() + n_listed)).unwrap_or(0)
            }
            Supply::InOrder { .. } | Supply::Listed(_) => 0,
        }
    }

    fn has_room(&self) -> bool {
        self.waiting.len() < MAX_WAITING && self.n_aside() < MAX_ASIDE
    }

    /// Returns whether there may be rows to claim that do not wait.
    pub(crate) fn may_have_fresh(&self) -> bool {
        self.has_room() && !self.is_used_up()
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
                for ready in self.ready.iter().rev() {
                    listed.push_front(ready.row.row);
                }
            }
        }
        self.give_back.extend(self.ready.drain(..).map(|ready| (ready.row.row, ready.row.attempt)));
    }

    pub(crate) fn gives_back(&self) -> bool {
        !self.give_back.is_empty()
    }

    pub(crate) fn take_give_back(&mut self) -> Vec<(RowId, AttemptNo)> {
        std::mem::take(&mut self.give_back)
    }

    /// Forgets the rows that wait or were passed over: they stay pending.
    pub(crate) fn forget_waiting(&mut self) {
        self.waiting.clear();
        self.aside.clear();
    }

    /// Forgets the claimed rows: they stay claimed, and the next process finds them in doubt, which is safe.
    pub(crate) fn forget_ready(&mut self) {
        self.ready.clear();
    }

    /// Returns whether nothing is left to be claimed or sent, but for rows of kinds of which only a list can tell.
    pub(crate) fn is_empty_but(&self, awaits_list: impl Fn(RequestKind) -> bool) -> bool {
        let all_await = self.aside.keys().all(|kind| awaits_list(*kind));
        // Where too many rows were passed over, what is behind them waits with them.
        let is_behind = self.n_aside() >= MAX_ASIDE;
        self.ready.is_empty() && self.waiting.is_empty() && all_await && (self.is_used_up() || is_behind)
    }
}
