//! What these tests share: a run in a ledger on disk, a machine whose clock the test turns, and a server's list as a value.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use futures_util::{Stream, stream};
use jiff::Timestamp;
use tempfile::TempDir;

use crate::client::{ListItem, ListTimeouts, ReadError, RequestObject, RequestStatus};
use crate::ledger::{
    AttemptRecord, FirstLook, Ledger, LedgerError, Reader, Requeue, ResultRow, RowState, SessionInfo, Step, testing,
};
use crate::machine::Clock;
use crate::machine::hand::HandClock;
use crate::reconcile::{
    Asking, DoubtTimes, Identity, Lists, OwnDoubts, Probe, Recent, Report, ServerList, Tagging, Trust, Waits, look,
};
use crate::request::{
    AttemptNo, CreateRequest, ErrorCode, Fault, Guid, Outcome, RequestKind, RequestType, RequestUri, RequestUuid,
    RowId, RunId, RunKey, Tag, TagPosition,
};

/// The account that most sessions work as.
pub(in crate::reconcile) const ACCOUNT: &str = "CONTOSO\\svc";

/// The server's clock is so far ahead of the machine's.
const SERVER_AHEAD: Duration = Duration::from_secs(3 * 3600);

pub(in crate::reconcile) const SETTLE: Duration = Duration::from_secs(30);
pub(in crate::reconcile) const SERVER_LIMIT: Duration = Duration::from_secs(125);

pub(in crate::reconcile) fn row(number: u32) -> RowId {
    RowId::new(number).unwrap()
}

pub(in crate::reconcile) fn guid(number: u128) -> Guid {
    Guid::from_bytes(number.to_be_bytes())
}

pub(in crate::reconcile) fn uuid(number: u128) -> RequestUuid {
    RequestUuid::new(guid(number))
}

pub(in crate::reconcile) fn template(number: u32) -> Option<Guid> {
    Some(guid(0x9000 + u128::from(number)))
}

/// What a row asks for: its own target, one template.
pub(in crate::reconcile) fn request(number: u32) -> CreateRequest {
    CreateRequest {
        target: Some(guid(0x7000_0000 + u128::from(number))),
        template: template(0),
        ..CreateRequest::new(RequestType::Enroll)
    }
}

pub(in crate::reconcile) fn requests(n: u32) -> Vec<CreateRequest> {
    (1..=n).map(request).collect()
}

pub(in crate::reconcile) fn lost(code: ErrorCode) -> Outcome {
    Outcome::InDoubt(Fault::without_answer(code, "no answer"))
}

pub(in crate::reconcile) fn timed_out() -> Outcome {
    lost(ErrorCode::Timeout)
}

pub(in crate::reconcile) fn refused() -> Outcome {
    Outcome::Failed(Fault { http_status: Some(400), ..Fault::without_answer(ErrorCode::BadRequest, "no") })
}

/// A server's list.
#[derive(Clone, Debug, Default)]
pub(in crate::reconcile) struct MadeUp {
    pub(in crate::reconcile) objects: Vec<RequestObject>,
    pub(in crate::reconcile) n_unread: u64,
    pub(in crate::reconcile) date: Option<Timestamp>,
    pub(in crate::reconcile) is_cut_off: bool,
}

impl Lists for MadeUp {
    async fn list(
        &self,
        _timeouts: ListTimeouts,
    ) -> Result<ServerList<impl Stream<Item = Result<ListItem, ReadError>>>, ReadError> {
        let unread = |number| ListItem::Unread { number, reason: "no Uuid".to_owned() };
        let items: Vec<_> = self
            .objects
            .iter()
            .cloned()
            .map(ListItem::Request)
            .chain((0..self.n_unread).map(unread))
            .map(Ok)
            .chain(self.is_cut_off.then_some(Err(ReadError::CutOff { after: 1 })))
            .collect();
        Ok(ServerList { date: self.date, items: stream::iter(items) })
    }
}

/// A run in its ledger, and the server.
pub(in crate::reconcile) struct World {
    _folder: TempDir,
    pub(in crate::reconcile) clock: Arc<HandClock>,
    ledger: Option<Ledger>,
    requests: Vec<CreateRequest>,
    n_steps: u64,
    pub(in crate::reconcile) list: MadeUp,
    pub(in crate::reconcile) tagging: Tagging,
    pub(in crate::reconcile) trust: Trust,
    pub(in crate::reconcile) probe: Probe,
    pub(in crate::reconcile) probe_since: Option<Timestamp>,
    pub(in crate::reconcile) n_around: usize,
    pub(in crate::reconcile) audited_from: u32,
    pub(in crate::reconcile) look_back: Option<Duration>,
    pub(in crate::reconcile) leave_out: BTreeSet<Guid>,
    pub(in crate::reconcile) lag: Option<Duration>,
    pub(in crate::reconcile) list_lags: bool,
    first_date: Option<Timestamp>,
    began: Duration,
    doubts: OwnDoubts,
    recent: Vec<Recent>,
}

impl World {
    /// A run of these requests, as its first session begins. Somebody else's requests stand on the server.
    pub(in crate::reconcile) fn of(requests: Vec<CreateRequest>) -> Self {
        let (folder, clock) = (tempfile::tempdir().unwrap(), HandClock::standing());
        let ledger = create(&clock, &folder, &requests);
        let mut world = Self {
            _folder: folder,
            began: clock.since_boot(),
            clock,
            ledger: Some(ledger),
            requests,
            n_steps: 0,
            list: MadeUp::default(),
            tagging: Tagging::Tagged,
            trust: Trust::Proof,
            probe: Probe::None,
            probe_since: None,
            n_around: 3,
            audited_from: u32::MAX,
            look_back: Some(Duration::from_secs(30 * 86_400)),
            leave_out: BTreeSet::new(),
            lag: None,
            list_lags: false,
            first_date: None,
            doubts: OwnDoubts::new(),
            recent: Vec::new(),
        };
        for number in 0..5 {
            let object = RequestObject {
                status: RequestStatus::Completed,
                submitted: Some(world.server_now() - Duration::from_secs(86_400 + number)),
                ..object(0xFFFF_0000 + u128::from(number), &request(1), "by hand".to_owned())
            };
            let target = Some(guid(0x6000_0000 + u128::from(number)));
            world.list.objects.push(RequestObject { target, ..object });
        }
        world
    }

    /// A run of rows of one kind, whose first session has looked at the server.
    pub(in crate::reconcile) fn begun(n_rows: u32) -> Self {
        let mut world = Self::of(requests(n_rows));
        world.first_look();
        world
    }

    pub(in crate::reconcile) fn ledger(&self) -> &Ledger {
        self.ledger.as_ref().unwrap()
    }

    pub(in crate::reconcile) fn reader(&self) -> Reader {
        Reader::open(self.ledger().path()).unwrap()
    }

    pub(in crate::reconcile) fn request(&self, number: u32) -> &CreateRequest {
        &self.requests[number as usize - 1]
    }

    /// Returns the time by the server's clock.
    pub(in crate::reconcile) fn server_now(&self) -> Timestamp {
        self.clock.now() + SERVER_AHEAD
    }

    pub(in crate::reconcile) fn pass(&self, seconds: u64) {
        self.clock.pass(Duration::from_secs(seconds));
    }

    pub(in crate::reconcile) fn identity(&self) -> Identity {
        let run = self.ledger().run();
        Identity { run: run.id, key: run.key.clone(), tagging: self.tagging }
    }

    /// Makes attempts at rows that are pending: each starts a second after the last one and ends at once. A created row's request
    /// has the row's number.
    pub(in crate::reconcile) fn attempt(&mut self, attempts: impl IntoIterator<Item = (u32, Outcome)>) {
        let attempts: Vec<_> = attempts.into_iter().collect();
        self.ledger().detach(row(u32::try_from(self.requests.len()).unwrap())).unwrap();
        let claim_rows: Vec<RowId> = attempts.iter().map(|(number, _)| row(*number)).collect();
        let claimed = self.step(Step { claim_rows, ..Step::default() });
        let mut record = Vec::new();
        for ((number, outcome), attempt) in attempts.into_iter().zip(claimed) {
            let at = self.clock.since_boot();
            match &outcome {
                Outcome::Created(uri) => self.recent.push(Recent { row: row(number), uuid: uri.uuid(), at }),
                Outcome::InDoubt(_) => {
                    self.doubts.insert(row(number), DoubtTimes { started: at, ended: at });
                }
                Outcome::Pending(_) | Outcome::Failed(_) => {}
            }
            let (started_at, then) = (self.ledger().now(), Requeue::Anyone);
            record.push(AttemptRecord { row: row(number), attempt, started_at, latency_us: 1, outcome, then });
            self.pass(1);
        }
        self.step(Step { record, ..Step::default() });
    }

    /// Claims a row and leaves it open, as a process that dies on it.
    pub(in crate::reconcile) fn claim(&mut self, number: u32) {
        self.ledger().detach(row(number)).unwrap();
        self.step(Step { claim_rows: vec![row(number)], ..Step::default() });
    }

    fn step(&mut self, step: Step) -> Vec<AttemptNo> {
        self.n_steps += 1;
        let answer = self.ledger().step_blocking(Step { number: self.n_steps, ..step }).unwrap();
        answer.rows.iter().map(|claimed| claimed.attempt).collect()
    }

    /// Creates rows in this order, each a second after the last one: in the ledger and on the server.
    pub(in crate::reconcile) fn create(&mut self, numbers: impl IntoIterator<Item = u32>) {
        for number in numbers {
            self.put(number);
            self.attempt([(number, created(number))]);
        }
    }

    /// Attempts a row, whose answer is lost; nothing of it is on the server.
    pub(in crate::reconcile) fn lose(&mut self, number: u32) {
        self.attempt([(number, timed_out())]);
    }

    /// Puts a row's request on the server, now.
    pub(in crate::reconcile) fn put(&mut self, number: u32) -> &mut RequestObject {
        let object = self.object(number);
        self.list.objects.push(object);
        self.list.objects.last_mut().unwrap()
    }

    /// Returns what the server has of a row whose request comes now.
    pub(in crate::reconcile) fn object(&self, number: u32) -> RequestObject {
        let request = self.request(number);
        let tag = self.tag(number);
        let comment = match self.tagging {
            Tagging::Tagged => tag.into_comment(&request.comment, TagPosition::Start),
            Tagging::Untagged => request.comment.clone(),
        };
        RequestObject { submitted: Some(self.server_now()), ..object(u128::from(number), request, comment) }
    }

    pub(in crate::reconcile) fn tag(&self, number: u32) -> Tag {
        let Identity { run, key, .. } = self.identity();
        Tag::new(run, &key, row(number), self.request(number).fingerprint())
    }

    /// Returns a row's request in the list.
    pub(in crate::reconcile) fn listed(&mut self, number: u32) -> &mut RequestObject {
        let uuid = uuid(u128::from(number));
        self.list.objects.iter_mut().find(|object| object.uuid == uuid).unwrap()
    }

    /// Hides requests from the list.
    pub(in crate::reconcile) fn hide(&mut self, is_hidden: impl Fn(&RequestObject) -> bool) {
        self.list.objects.retain(|object| !is_hidden(object));
    }

    /// Hides a row's request.
    pub(in crate::reconcile) fn hide_row(&mut self, number: u32) {
        self.hide(|object| object.uuid == uuid(u128::from(number)));
    }

    /// Ends the process as a crash does, and begins another session as this account.
    pub(in crate::reconcile) fn restart(&mut self, account: &str) {
        let path = self.ledger().path().to_owned();
        drop(self.ledger.take());
        self.pass(1);
        self.ledger = Some(Ledger::open(&self.clock.machine(), &path, &session(&self.clock, account)).unwrap());
        (self.n_steps, self.first_date, self.lag) = (0, None, None);
        (self.began, self.probe) = (self.clock.since_boot(), Probe::None);
        self.doubts.clear();
        self.recent.clear();
    }

    /// Asks for the list, and settles rows by it.
    pub(in crate::reconcile) fn look(&mut self) -> Report {
        self.try_look().unwrap()
    }

    pub(in crate::reconcile) fn try_look(&mut self) -> Result<Report, LedgerError> {
        self.list.date = Some(self.server_now());
        let (who, reader) = (self.identity(), self.reader());
        let asking = Asking {
            who: &who,
            trust: self.trust,
            waits: Waits { settle: SETTLE, server_limit: SERVER_LIMIT },
            max_attempts: 5,
            session: self.ledger().session(),
            audited_from: self.audited_from.min(self.ledger().session()),
            began: self.began,
            asked_at: self.clock.since_boot(),
            own_doubts: &self.doubts,
            recent: &self.recent,
            lag: self.lag,
            lags: self.list_lags,
            first_date: self.first_date,
            probe: self.probe,
            probe_since: self.probe_since,
            may_send: &[RowState::Pending],
            leave_out: &self.leave_out,
            look_back: self.look_back,
            n_around: self.n_around,
        };
        block_on(look(self.ledger(), &reader, &self.list, ListTimeouts::default(), &asking))
    }

    /// Asks for the list as a session does first, which remembers what it saw.
    pub(in crate::reconcile) fn first_look(&mut self) -> Report {
        let report = self.look();
        self.first_date = report.date;
        self.ledger().note_first_look(FirstLook { account: None, ..report.first_look.clone() }).unwrap();
        report
    }

    pub(in crate::reconcile) fn row(&self, number: u32) -> ResultRow {
        self.reader().page(number - 1, 1, &[]).unwrap().remove(0)
    }

    /// Returns a row's state, and its request where it is created.
    #[track_caller]
    pub(in crate::reconcile) fn assert_row(&self, number: u32, state: RowState, request: Option<u128>) {
        let row = self.row(number);
        assert_eq!((row.state, row.request_uuid), (state, request.map(uuid)), "row {number}");
    }

    #[track_caller]
    pub(in crate::reconcile) fn assert_states<const N: usize>(&self, states: [RowState; N]) {
        let all: Vec<_> = self.reader().page(0, u32::MAX, &[]).unwrap().into_iter().map(|row| row.state).collect();
        assert_eq!(all, states);
    }
}

pub(in crate::reconcile) fn created(number: u32) -> Outcome {
    created_as(u128::from(number))
}

pub(in crate::reconcile) fn created_as(number: u128) -> Outcome {
    Outcome::Created(RequestUri::published(uuid(number)).unwrap())
}

pub(in crate::reconcile) fn kind_of(request: &CreateRequest) -> RequestKind {
    request.request_kind()
}

/// What the server has of a request with this comment.
pub(in crate::reconcile) fn object(number: u128, request: &CreateRequest, comment: String) -> RequestObject {
    RequestObject {
        uuid: uuid(number),
        request_type: Some(request.kind.confirmed_number().unwrap_or(2)),
        status: RequestStatus::Approved,
        target: request.target,
        template: request.template,
        originator: Some(guid(0xAA)),
        old_profile: None,
        new_profile: None,
        old_smartcard: None,
        new_smartcard: None,
        comment,
        submitted: None,
        completed: None,
        priority: None,
    }
}

/// The tag of another run's row that asks for the same.
pub(in crate::reconcile) fn strangers_tag(run: u8, request: &CreateRequest) -> Tag {
    Tag::new(RunId::from_bytes([run; 16]), &RunKey::from_bytes([run; 32]), row(1), request.fingerprint())
}

fn session(clock: &Arc<HandClock>, account: &str) -> SessionInfo {
    testing::session(clock.now(), Some(account))
}

fn create(clock: &Arc<HandClock>, folder: &TempDir, requests: &[CreateRequest]) -> Ledger {
    let path = folder.path().join("wave.ledger");
    testing::ledger_of(&clock.machine(), &path, "https://cm.example.test", &session(clock, ACCOUNT), requests)
}

pub(in crate::reconcile) fn block_on<T>(future: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(future)
}
