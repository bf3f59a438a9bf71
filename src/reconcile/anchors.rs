//! What a list must hold around each row in doubt, to show that it would hold that row's request, too.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use jiff::Timestamp;

use crate::ledger::{CreatedAt, DoubtfulRow, FirstLook, LedgerError, Reader, SessionRecord};
use crate::request::{RequestKind, RequestUuid, RowId};

/// A created row near a row in doubt.
#[derive(Clone, Debug)]
pub(super) struct Anchor {
    pub(super) row: RowId,
    pub(super) uuid: RequestUuid,
    pub(super) kind: RequestKind,
    /// The session that made the attempt, and its start by that session's clock.
    pub(super) made: (u32, Timestamp),
}

/// A row in doubt, and which anchors stand around it.
#[derive(Clone, Debug)]
pub(super) struct Around {
    pub(super) doubt: DoubtfulRow,
    /// Its anchors, as places in the order: those before it, and those behind.
    pub(super) before: std::ops::Range<usize>,
    pub(super) behind: std::ops::Range<usize>,
}

/// The rows in doubt, in the order of their numbers, and the created rows around them in the order of their attempts.
#[derive(Debug, Default)]
pub(super) struct Anchors {
    pub(super) around: Vec<Around>,
    pub(super) order: Vec<Anchor>,
    /// Of each kind the row that was created last.
    pub(super) last_of_kind: BTreeMap<RequestKind, RowId>,
}

impl Anchors {
    /// Reads from a ledger what stands around each row in doubt, `n` created rows on each side where there are as many.
    pub(super) fn read(reader: &Reader, doubts: Vec<DoubtfulRow>, n: usize) -> Result<Self, LedgerError> {
        if doubts.is_empty() {
            return Ok(Self::default());
        }
        let mut sorted = doubts;
        sorted.sort_by_key(|doubt| (doubt.session, doubt.sent_at(), doubt.row));
        let mut gathering = Gathering {
            n,
            last: VecDeque::new(),
            n_behind: 0,
            order: Vec::new(),
            around: Vec::new(),
            last_of_kind: BTreeMap::new(),
        };
        let mut next = sorted.into_iter().peekable();
        reader.created_in_order(|created| {
            while let Some(doubt) = next.next_if(|doubt| (doubt.session, doubt.sent_at()) <= made(&created)) {
                gathering.doubt(doubt);
            }
            gathering.created(created);
        })?;
        next.for_each(|doubt| gathering.doubt(doubt));
        Ok(gathering.finish())
    }
}

fn made(created: &CreatedAt) -> (u32, Timestamp) {
    (created.session, created.started_at)
}

struct Gathering {
    n: usize,
    /// The created rows that were passed last and may come to stand before a row in doubt.
    last: VecDeque<Anchor>,
    /// How many of the next created rows stand behind a row in doubt.
    n_behind: usize,
    order: Vec<Anchor>,
    around: Vec<Around>,
    last_of_kind: BTreeMap<RequestKind, RowId>,
}

impl Gathering {
    fn created(&mut self, created: CreatedAt) {
        let made = made(&created);
        self.last_of_kind.insert(created.kind, created.row);
        let anchor = Anchor { row: created.row, uuid: created.uuid, kind: created.kind, made };
        if self.n_behind > 0 {
            self.n_behind -= 1;
            self.order.push(anchor);
            return;
        }
        if self.last.len() == self.n {
            self.last.pop_front();
        }
        self.last.push_back(anchor);
    }

    fn doubt(&mut self, doubt: DoubtfulRow) {
        // Either they are all that stand before it, or those before them in the order were passed right before them.
        self.order.extend(self.last.drain(..));
        let here = self.order.len();
        self.n_behind = self.n;
        self.around.push(Around { doubt, before: here.saturating_sub(self.n)..here, behind: here..here });
    }

    fn finish(mut self) -> Anchors {
        let end = self.order.len();
        for around in &mut self.around {
            around.behind.end = (around.behind.start + self.n).min(end);
        }
        self.around.sort_by_key(|around| around.doubt.row);
        Anchors { around: self.around, order: self.order, last_of_kind: self.last_of_kind }
    }
}

/// The requests of anybody that the sessions saw which made the attempts in doubt, when they first looked.
#[derive(Debug, Default)]
pub(super) struct FirstLooks {
    looks: Vec<(u32, Timestamp, Option<FirstLook>)>,
    /// What this session saw when it first looked, and the last one before it that looked.
    last: BTreeSet<RequestUuid>,
}

impl FirstLooks {
    /// Takes the first looks of the sessions that left rows in doubt, of session `number`, and of the last one before it.
    pub(super) fn of_sessions(all: &[SessionRecord], anchors: &Anchors, number: u32) -> Self {
        let doubtful: BTreeSet<u32> = anchors.around.iter().map(|around| around.doubt.session).collect();
        let looks = all.iter().filter(|session| doubtful.contains(&session.number));
        let looks = looks.map(|session| (session.number, session.began_wall, session.first_look.clone())).collect();
        let looked = |is: fn(&u32, &u32) -> bool| {
            let mut latest = all.iter().rev().filter(move |session| is(&session.number, &number));
            latest.find_map(|session| session.first_look.as_ref())
        };
        let last = looked(u32::eq).into_iter().chain(looked(u32::lt)).flat_map(|look| look.newest.iter().copied());
        Self { looks, last: last.collect() }
    }

    /// Returns what a session saw; none where it read no list.
    pub(super) fn of(&self, session: u32) -> Option<&FirstLook> {
        self.looks.iter().find(|(number, ..)| *number == session).and_then(|(.., look)| look.as_ref())
    }

    /// Returns when an attempt was made by the server's clock, or some minutes later, for as long as the session's first list took
    /// to come; none where the server did not say.
    pub(super) fn server_time(&self, doubt: &DoubtfulRow) -> Option<Timestamp> {
        let (_, began, look) = self.looks.iter().find(|(number, ..)| *number == doubt.session)?;
        look.as_ref()?.date?.checked_add(doubt.sent_at().duration_since(*began)).ok()
    }

    /// Returns all requests that a list is watched for.
    pub(super) fn uuids(&self) -> impl Iterator<Item = RequestUuid> {
        let looks = self.looks.iter().filter_map(|(.., look)| look.as_ref()).flat_map(|look| &look.newest);
        looks.chain(&self.last).copied()
    }

    /// Returns how many of the requests that this session or the last one before it saw when it first looked are among these.
    pub(super) fn n_last_in(&self, unseen: &BTreeSet<RequestUuid>) -> u64 {
        self.last.intersection(unseen).count() as u64
    }
}
