//! A server and a ledger on disk, for whole sessions in paused time.

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::num::{NonZeroU32, NonZeroUsize};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures_util::{Stream, stream};
use jiff::Timestamp;
use serde_json::Value;
use tempfile::TempDir;
use tokio::sync::watch;
use tokio::time::sleep;

use super::model::{Collected, http, refused, timed_out};
use crate::client::{
    Answer, ClientError, HttpAnswer, ListItem, ListTimeouts, ReadError, Renewed, RequestObject, RequestStatus,
};
use crate::ledger::{FirstLook, Ledger, RowState, SessionInfo, testing};
use crate::machine::Clock;
use crate::machine::hand::HandClock;
use crate::reconcile::{Lists, ServerList, Trust};
use crate::request::{CreateRequest, DataEncoding, Guid, RequestType, RequestUuid, RowId, RunKey, Tag, TagPosition};
use crate::submit::read_back::tests::object;
use crate::submit::{Calls, FinalLook, Limits, Patience, Session, SessionReport, Setting, StopLevel, Wire, Work};

/// What a server does with a create call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Deed {
    Create,
    /// It creates the request and the answer is lost.
    Lose,
    /// Nothing is created and the answer is lost.
    Drop,
    /// It answers with the first request that was created.
    Repeat,
    /// It answers with this status.
    Refuse(u16),
    /// It creates a request for another target, and answers with 500.
    Mistake,
    /// It is not there.
    Away,
    /// It never answers.
    Hang,
}

pub(super) fn status(status: u16) -> ReadError {
    ReadError::Status { status, message: "no".to_owned(), correlation_id: None, retry_after: None }
}

/// A server that does with the n-th call, from 1, what it is told.
pub(super) struct Server {
    pub(super) clock: Arc<HandClock>,
    does: Box<dyn Fn(usize) -> Deed>,
    pub(super) takes: Duration,
    pub(super) objects: RefCell<Vec<RequestObject>>,
    /// When calls came, by the time since the test began.
    pub(super) calls: RefCell<Vec<Duration>>,
    /// What the next lists end with; those after them end well.
    pub(super) list_errors: RefCell<VecDeque<ReadError>>,
    pub(super) lists: RefCell<Vec<Duration>>,
    pub(super) list_takes: Cell<Duration>,
    /// What the list leaves out.
    pub(super) hides: Cell<fn(&RequestObject) -> bool>,
    pub(super) read_errors: RefCell<VecDeque<ReadError>>,
    pub(super) reads: RefCell<Vec<Duration>>,
    /// What the next probes say; those after them say that it is there.
    pub(super) away: Cell<u32>,
}

impl Server {
    pub(super) fn new(does: impl Fn(usize) -> Deed + 'static) -> Self {
        Self {
            clock: HandClock::going(),
            does: Box::new(does),
            takes: Duration::from_millis(20),
            objects: RefCell::default(),
            calls: RefCell::default(),
            list_errors: RefCell::default(),
            lists: RefCell::default(),
            list_takes: Cell::new(Duration::from_millis(100)),
            hides: Cell::new(|_| false),
            read_errors: RefCell::default(),
            reads: RefCell::default(),
            away: Cell::new(0),
        }
    }

    pub(super) fn now(&self) -> Timestamp {
        self.clock.now()
    }

    fn add(&self, body: &Value) -> RequestUuid {
        let guid = |name: &str| body[name].as_str().map(|text| text.parse::<Guid>().unwrap());
        let uuid = RequestUuid::new(Guid::random());
        let comment = body["comment"].as_str().unwrap();
        let kept = object(RequestStatus::Approved, comment, guid("target"));
        let template = guid("profiletemplateuuid");
        let submitted = Some(self.now());
        self.objects.borrow_mut().push(RequestObject { uuid, template, submitted, ..kept });
        uuid
    }
}

fn created(uuid: RequestUuid) -> Answer {
    let body = Bytes::from(format!("\"api/v1.0/requests/{uuid}\""));
    Answer::Http(HttpAnswer { status: 201, location: None, retry_after: None, date: None, advice: None, body })
}

impl Calls for Server {
    async fn create(&self, body: Vec<u8>, send_before: Option<Duration>) -> Answer {
        assert!(send_before.unwrap() > self.clock.since_boot(), "the claim is good");
        self.calls.borrow_mut().push(self.clock.passed());
        let deed = (self.does)(self.calls.borrow().len());
        let body: Value = serde_json::from_slice(&body).unwrap();
        let answer = match deed {
            Deed::Create => created(self.add(&body)),
            Deed::Lose => {
                self.add(&body);
                timed_out()
            }
            Deed::Drop => timed_out(),
            Deed::Repeat => created(self.objects.borrow()[0].uuid),
            Deed::Refuse(status) => http(status),
            Deed::Mistake => {
                self.add(&body);
                let target = Some(Guid::random());
                self.objects.borrow_mut().last_mut().into_iter().for_each(|object| object.target = target);
                http(500)
            }
            Deed::Away => refused(),
            Deed::Hang => std::future::pending().await,
        };
        sleep(self.takes).await;
        answer
    }

    fn renew(&self) -> Result<Renewed, ClientError> {
        Ok(Renewed::Same)
    }

    async fn read_back(&self, uuid: RequestUuid) -> Result<RequestObject, ReadError> {
        self.reads.borrow_mut().push(self.clock.passed());
        sleep(self.takes).await;
        if let Some(error) = self.read_errors.borrow_mut().pop_front() {
            return Err(error);
        }
        self.objects.borrow().iter().find(|object| object.uuid == uuid).cloned().ok_or_else(|| status(404))
    }

    async fn probe(&self) -> Result<(), ReadError> {
        match self.away.get().checked_sub(1) {
            Some(left) => {
                self.away.set(left);
                Err(status(503))
            }
            None => Ok(()),
        }
    }
}

impl Lists for Server {
    async fn list(
        &self,
        _timeouts: ListTimeouts,
    ) -> Result<ServerList<impl Stream<Item = Result<ListItem, ReadError>>>, ReadError> {
        self.lists.borrow_mut().push(self.clock.passed());
        sleep(self.list_takes.get()).await;
        if let Some(error) = self.list_errors.borrow_mut().pop_front() {
            return Err(error);
        }
        let hides = self.hides.get();
        let shown: Vec<_> = self.objects.borrow().iter().filter(|object| !hides(object)).cloned().collect();
        let items = shown.into_iter().map(|object| Ok(ListItem::Request(object)));
        Ok(ServerList { date: Some(self.now()), items: stream::iter(items.collect::<Vec<_>>()) })
    }
}

/// A run in its ledger.
pub(super) struct Run {
    folder: TempDir,
    pub(super) ledger: Option<Ledger>,
    clock: Arc<HandClock>,
    requests: Vec<CreateRequest>,
    pub(super) limits: Limits,
    pub(super) patience: Patience,
    pub(super) sink: Collected,
}

pub(super) fn row(number: u32) -> RowId {
    RowId::new(number).unwrap()
}

/// What a row asks for: its own target, one template.
pub(super) fn request(number: u8) -> CreateRequest {
    CreateRequest {
        target: Some(Guid::from_bytes([number; 16])),
        template: Some(Guid::from_bytes([7; 16])),
        ..CreateRequest::new(RequestType::Enroll)
    }
}

impl Run {
    pub(super) fn of(server: &Server, requests: Vec<CreateRequest>) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let clock = Arc::clone(&server.clock);
        let limits = Limits {
            burst: NonZeroU32::new(2).unwrap(),
            concurrency: NonZeroUsize::new(4).unwrap(),
            n_around: 3,
            ..super::model::limits("unlimited")
        };
        let patience = Patience {
            settle: Duration::from_secs(30),
            server_limit: Duration::from_secs(125),
            trust: Trust::Proof,
            wait_for_server: Duration::ZERO,
            lists: ListTimeouts::default(),
            final_look: FinalLook::Yes,
        };
        let mut run = Self { folder, ledger: None, clock, requests, limits, patience, sink: Collected::default() };
        run.ledger = Some(run.create());
        run
    }

    /// Rows of one kind.
    pub(super) fn new(server: &Server, n_rows: u8) -> Self {
        Self::of(server, (1..=n_rows).map(request).collect())
    }

    /// Rows of one kind in a ledger that a session had open which asked the server; another copy of it sent the first row since.
    pub(super) fn behind(server: &Server, n_rows: u8) -> Self {
        let mut run = Self::new(server, n_rows);
        run.ledger().note_first_look(FirstLook::default()).unwrap();
        run.restart();
        let older = run.object(server, 1);
        server.objects.borrow_mut().push(older);
        run
    }

    fn session_info(&self) -> SessionInfo {
        testing::session(self.clock.now(), None)
    }

    fn create(&self) -> Ledger {
        let path = self.folder.path().join("wave.ledger");
        testing::ledger_of(&self.clock.machine(), &path, "https://cm", &self.session_info(), &self.requests)
    }

    pub(super) fn ledger(&self) -> &Ledger {
        self.ledger.as_ref().unwrap()
    }

    /// Lets the process die, and opens the ledger anew.
    pub(super) fn restart(&mut self) {
        let path = self.ledger().path().to_owned();
        drop(self.ledger.take());
        self.ledger = Some(Ledger::open(&self.clock.machine(), &path, &self.session_info()).unwrap());
    }

    fn key(&self) -> &RunKey {
        &self.ledger().run().key
    }

    /// Begins a session.
    pub(super) fn session(&self) -> Session {
        let wire = Wire {
            run: self.ledger().run().id,
            key: self.key().clone(),
            tag_position: TagPosition::Start,
            data: DataEncoding::Array,
        };
        let look_back = Some(Duration::from_secs(86_400));
        let (limits, patience) = (self.limits.clone(), self.patience);
        Session::begin(&self.clock.machine(), self.ledger(), wire, limits, patience, look_back).unwrap()
    }

    pub(super) fn setting<'a>(&'a self, server: &'a Server) -> Setting<'a, Server> {
        // Nobody asks to stop.
        let control = watch::channel(StopLevel::Run).1;
        Setting { ledger: self.ledger(), calls: server, sink: &self.sink, control, on_claim: &|_| {} }
    }

    /// Asks for the list and sends, as a process does.
    pub(super) async fn send(&self, server: &Server) -> SessionReport {
        let (mut session, setting) = (self.session(), self.setting(server));
        session.look_first(&setting).await.unwrap();
        session.send(&setting, Work::InOrder).await
    }

    /// What the server has of a row that another copy of the ledger sent now.
    pub(super) fn object(&self, server: &Server, number: u8) -> RequestObject {
        let request = request(number);
        let tag = Tag::new(self.ledger().run().id, self.key(), row(number.into()), request.fingerprint());
        let found = object(RequestStatus::Approved, &tag.to_string(), request.target);
        let uuid = RequestUuid::new(Guid::random());
        RequestObject { uuid, template: request.template, submitted: Some(server.now()), ..found }
    }

    pub(super) fn states(&self) -> Vec<RowState> {
        let reader = crate::ledger::Reader::open(self.ledger().path()).unwrap();
        reader.page(0, u32::MAX, &[]).unwrap().into_iter().map(|row| row.state).collect()
    }

    pub(super) fn count(&self, state: RowState) -> usize {
        self.states().iter().filter(|one| **one == state).count()
    }
}
