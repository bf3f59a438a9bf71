//! A server, a ledger and a clock that are played against each other.

use std::collections::BTreeMap;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};

use super::support::*;
use crate::client::RequestObject;
use crate::ledger::RowState;
use crate::reconcile::{
    Ask, Book, Doubts, Identity, OwnDoubts, Report, Tagging, Trust, Waits, WhyLeft, reconcile, ripe_at,
};
use crate::request::{CreateRequest, ErrorCode, Fault, Outcome, RequestUri, RequestUuid, RowId};

pub(super) const MAX_ATTEMPTS: u32 = 3;

const WAITS: Waits = Waits { settle: Duration::from_secs(30), server_limit: Duration::from_secs(150) };

/// How long the server may work on after its client went away. With a list that lags by `WAITS.settle` it is the most that
/// `WAITS.server_limit` allows for.
pub(super) const LONGEST_WORK: u64 = 120;

/// The ledger's side: what a process that sends does with it.
pub(super) trait Desk: Book {
    /// Claims up to so many pending rows, and says how many of their attempts count.
    fn claim(&mut self, n: usize) -> Vec<(RowId, u32, CreateRequest)>;
    /// Records how the attempt on a claimed row ended.
    fn record(&mut self, row: RowId, started_at: Timestamp, took: Duration, outcome: Outcome);
    /// The process dies, and another one takes over: what was claimed is in doubt.
    fn crash(&mut self, now: Timestamp);
    /// Keeps a copy of the ledger.
    fn back_up(&mut self);
    /// Puts the copy in its place, which the next process notices: what may have been sent since is in doubt.
    fn restore(&mut self, now: Timestamp);
}

/// What becomes of a call.
#[derive(Clone, Copy, Debug)]
pub(super) enum Call {
    /// 201 in time.
    Created,
    /// No answer; the server creates the request so many seconds after the call started.
    LostAndCreated(u64),
    /// No answer, and nothing created.
    Lost,
    /// As `LostAndCreated(0)`, but what the server has is not what was asked for.
    LostAndWrong,
    /// 500, and created all the same, or not.
    ServerError {
        created: bool,
    },
    Refused,
    Throttled,
    NotSent,
}

/// What the server does with its list.
#[derive(Clone, Copy, Debug)]
pub(super) enum Listing {
    Complete,
    /// It breaks off after so many requests.
    CutOff(usize),
    /// It hides every so manieth, and one that the ledger knows of.
    Hides(usize),
    /// What was created in the last seconds is not in it.
    Lags(u64),
    /// It has lost the ends of its comments.
    CutsComments,
    Refused(u16),
}

#[derive(Clone, Debug)]
pub(super) enum Act {
    /// Claims as many rows as there are calls, and sends them.
    Send(Vec<Call>),
    /// Claims rows; the process dies with these calls open, of which the server creates some, so many seconds later.
    Die(Vec<Option<u64>>),
    Wait(u64),
    Reconcile(Listing),
    BackUp,
    Restore,
}

struct Made {
    row: RowId,
    object: RequestObject,
    at: Duration,
}

/// All of it.
pub(super) struct World<D> {
    pub(super) desk: D,
    n_rows: u32,
    who: Identity,
    /// The clock that runs during sleep.
    now: Duration,
    /// How far the server's wall clock is from this machine's.
    skew: SignedDuration,
    made: Vec<Made>,
    began: Duration,
    own: Option<OwnDoubts>,
    n_earlier: u64,
}

impl<D: Desk> World<D> {
    pub(super) fn new(desk: D, n_rows: u32, who: Identity, skew: SignedDuration) -> Self {
        let now = Duration::from_secs(1000);
        Self { desk, n_rows, who, now, skew, made: Vec::new(), began: now, own: None, n_earlier: 0 }
    }

    pub(super) fn act(&mut self, act: &Act) {
        match act {
            Act::Send(calls) => self.send(calls),
            Act::Die(calls) => self.die(calls),
            Act::Wait(seconds) => self.now += Duration::from_secs(*seconds),
            Act::Reconcile(listing) => drop(self.reconcile(*listing, Trust::Proof)),
            Act::BackUp => self.desk.back_up(),
            Act::Restore => {
                self.desk.restore(self.wall());
                self.begin();
            }
        }
        self.check();
    }

    fn wall(&self) -> Timestamp {
        noon() + SignedDuration::try_from(self.now).unwrap()
    }

    /// A new process opens the ledger.
    fn begin(&mut self) {
        self.now += Duration::from_secs(2);
        (self.began, self.own) = (self.now, None);
        self.n_earlier = self.desk.n_in_doubt().unwrap();
    }

    /// The server makes a request, so many seconds from now.
    fn make(&mut self, row: RowId, request: &CreateRequest, after: u64) -> RequestUuid {
        let mut object = object(self.made.len() as u128 + 1, request, comment(&self.who, row, request));
        let at = self.now + Duration::from_secs(after);
        object.submitted = Some(self.wall() + SignedDuration::try_from(at - self.now).unwrap() + self.skew);
        let uuid = object.uuid;
        self.made.push(Made { row, object, at });
        uuid
    }

    fn send(&mut self, calls: &[Call]) {
        let claimed = self.desk.claim(calls.len());
        for ((row, counted, request), call) in claimed.into_iter().zip(calls) {
            let took = Duration::from_secs(3);
            let started_at = self.wall();
            let outcome = self.outcome(row, counted, &request, *call);
            if matches!(outcome, Outcome::InDoubt(_)) {
                self.own = Some(OwnDoubts { last_started: self.now, last_ended: self.now + took });
            }
            self.now += took;
            self.desk.record(row, started_at, took, outcome);
        }
    }

    fn outcome(&mut self, row: RowId, counted: u32, request: &CreateRequest, call: Call) -> Outcome {
        let fault = |code| Fault::without_answer(code, "said");
        match call {
            Call::Created => Outcome::Created(uri_of(self.make(row, request, 0))),
            Call::LostAndCreated(after) => {
                self.make(row, request, after);
                Outcome::InDoubt(fault(ErrorCode::Timeout))
            }
            Call::Lost => Outcome::InDoubt(fault(ErrorCode::ConnectionLost)),
            Call::LostAndWrong => {
                self.make(row, request, 0);
                self.made.last_mut().unwrap().object.target = Some(guid(0x666));
                Outcome::InDoubt(fault(ErrorCode::BadGateway))
            }
            Call::ServerError { created } => {
                if created {
                    self.make(row, request, 0);
                }
                Outcome::InDoubt(fault(ErrorCode::ServerError))
            }
            Call::Refused => Outcome::Failed(fault(ErrorCode::Forbidden)),
            Call::Throttled => Outcome::Pending(fault(ErrorCode::Throttled)),
            Call::NotSent if counted + 1 >= MAX_ATTEMPTS => Outcome::Failed(fault(ErrorCode::ConnectionRefused)),
            Call::NotSent => Outcome::Pending(fault(ErrorCode::ConnectionRefused)),
        }
    }

    fn die(&mut self, calls: &[Option<u64>]) {
        let claimed = self.desk.claim(calls.len());
        for ((row, _, request), call) in claimed.into_iter().zip(calls) {
            if let Some(after) = call {
                self.make(row, &request, *after);
            }
        }
        self.desk.crash(self.wall());
        self.begin();
    }

    pub(super) fn reconcile(&mut self, listing: Listing, trust: Trust) -> Report {
        let doubts = Doubts { n_earlier: self.n_earlier, own: self.own };
        let ask = Ask { ripe: self.now >= ripe_at(self.began, &doubts, &WAITS), max_attempts: MAX_ATTEMPTS, trust };
        let list = self.list(listing);
        let report = block_on(reconcile(&self.desk, &list, &self.who, &ask)).unwrap();
        assert_eq!(report.left, self.desk.n_in_doubt().unwrap());
        assert!(report.left == 0 || !report.why_left.is_empty(), "{} rows are in doubt without a reason", report.left);
        if report.left == 0 {
            (self.own, self.n_earlier) = (None, 0);
        }
        report
    }

    fn list(&self, listing: Listing) -> MadeUp {
        let known = self.desk.newest_created(1).unwrap().pop().map(|known| known.uuid);
        let since = |seconds| self.now.saturating_sub(Duration::from_secs(seconds));
        let until = match listing {
            Listing::Lags(seconds) => since(seconds),
            Listing::Complete
            | Listing::CutOff(_)
            | Listing::Hides(_)
            | Listing::CutsComments
            | Listing::Refused(_) => self.now,
        };
        let there = self.made.iter().filter(|made| made.at <= until).map(|made| made.object.clone());
        let mut list = MadeUp::of(there.collect());
        match listing {
            Listing::Complete | Listing::Lags(_) => {}
            Listing::CutOff(n) => {
                list.objects.truncate(n);
                list.end = End::CutOff;
            }
            Listing::Hides(each) => {
                let mut n = 0;
                list.objects.retain(|object| {
                    n += 1;
                    Some(object.uuid) != known && n % each != 0
                });
            }
            Listing::CutsComments => list.objects.iter_mut().for_each(|object| object.comment.truncate(38)),
            Listing::Refused(status) => list.end = End::Refused(status),
        }
        list
    }

    /// How many requests the server has of each row, those that it will yet make included.
    fn made_of(&self) -> BTreeMap<RowId, Vec<&Made>> {
        let mut of: BTreeMap<RowId, Vec<&Made>> = BTreeMap::new();
        self.made.iter().for_each(|made| of.entry(made.row).or_default().push(made));
        of
    }

    fn check(&self) {
        let made = self.made_of();
        for number in 1..=self.n_rows {
            let row = row(number);
            let facts = self.desk.facts(row).unwrap().unwrap();
            let on_server: Vec<RequestUuid> =
                made.get(&row).into_iter().flatten().map(|made| made.object.uuid).collect();
            assert!(on_server.len() <= 1, "row {row} was created twice");
            match facts.state {
                // Such a row may be sent.
                RowState::Pending => assert_eq!(on_server, [], "row {row} is pending and exists"),
                RowState::Failed => assert_eq!(on_server, [], "row {row} is failed and exists"),
                RowState::Created => assert_eq!(Some(on_server[0]), facts.uuid),
                RowState::InDoubt => {}
                RowState::Sending | RowState::Invalid | RowState::Skipped | RowState::Canceled | RowState::Replaced => {
                    panic!("row {row} is {}", facts.state)
                }
            }
        }
    }

    /// From now on all goes well: every row that is not failed must come to exist, except those that a person must look at.
    pub(super) fn end_well(&mut self) {
        for _ in 0..2 * MAX_ATTEMPTS {
            self.act(&Act::Wait(200));
            let report = self.reconcile(Listing::Complete, Trust::Proof);
            if report.why_left.iter().any(|why| matches!(why, WhyLeft::NothingKnown)) {
                self.reconcile(Listing::Complete, Trust::List);
            }
            self.act(&Act::Send(vec![Call::Created; self.n_rows as usize]));
        }
        let odd = self.made.iter().filter(|made| made.object.target == Some(guid(0x666))).map(|made| made.row);
        let odd: Vec<RowId> = odd.collect();
        for number in 1..=self.n_rows {
            let state = self.desk.facts(row(number)).unwrap().unwrap().state;
            let is_settled = matches!(state, RowState::Created | RowState::Failed);
            let needs_a_person = odd.contains(&row(number)) || self.who.tagging == Tagging::Untagged;
            assert!(is_settled || (needs_a_person && state == RowState::InDoubt), "row {number} is {state} at the end");
        }
    }
}

pub(super) fn uri_of(uuid: RequestUuid) -> RequestUri {
    format!("api/v1.0/requests/{uuid}").parse().unwrap()
}
