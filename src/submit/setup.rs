//! What the pipeline needs to know, and whom it talks to.

use std::num::{NonZeroU32, NonZeroUsize};
use std::time::Duration;

use jiff::Timestamp;

use super::breaker::BreakerRules;
use super::rate::Rate;
use crate::client::{Answer, Client, ClientError, ListTimeouts, On503, ReadError, Renewed, RequestObject};
use crate::event::EventSink;
use crate::ledger::{Ledger, LedgerError, Step, StepAnswer};
use crate::reconcile::Trust;
use crate::request::{CreateRequest, DataEncoding, RequestKind, RequestUuid, RowId, RunId, RunKey, Tag, TagPosition};

/// How fast and how patiently rows are sent.
#[derive(Clone, Debug)]
pub struct Limits {
    /// How many calls may start.
    pub rate: Rate,
    /// How many may start at once after a pause.
    pub burst: NonZeroU32,
    /// How many calls may be in flight.
    pub concurrency: NonZeroUsize,
    /// How often a row is sent at most, where it is certain that nothing arrived.
    pub max_attempts: NonZeroU32,
    /// How long a throttled run goes on without creating anything.
    pub stall: Duration,
    /// When the run is stopped for the server's sake.
    pub breaker: BreakerRules,
    /// What a 503 means here.
    pub on_503: On503,
    /// How long the first request of a kind may take until it can be read back (`--settle`).
    pub read_back: Duration,
    /// What happens where it cannot be.
    pub check_first: CheckFirst,
    /// How many created rows on each side of a row in doubt a list must hold, to prove that it does not exist: 100, but for
    /// tests.
    pub n_around: usize,
}

/// How patiently rows in doubt are settled, lists are read, and a server that went away is waited for.
#[derive(Clone, Copy, Debug)]
pub struct Patience {
    /// How long the server's list may lag behind what it did.
    pub settle: Duration,
    /// How long after an attempt began the server may still act on it.
    pub server_limit: Duration,
    /// What shows that a request is absent which the list does not have.
    pub trust: Trust,
    /// How long a server is waited for that is away; zero stops the run instead.
    pub wait_for_server: Duration,
    /// How long lists may take.
    pub lists: ListTimeouts,
    /// Whether the list is read once more at the end.
    pub final_look: FinalLook,
}

/// Whether the list is read once more at the end of a session that sent (`--no-final-look`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum FinalLook {
    /// It is.
    #[default]
    Yes,
    /// It is not.
    No,
}

/// What happens where the first request of a kind cannot be read back (`--check-first`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum CheckFirst {
    /// The run stops, with one request made.
    #[default]
    Stop,
    /// It goes on, with a warning.
    Warn,
}

/// What turns a row into a wire body.
#[derive(Clone, Debug)]
pub struct Wire {
    /// The run.
    pub run: RunId,
    /// Its key, for the tags.
    pub key: RunKey,
    /// Where the tag stands.
    pub tag_position: TagPosition,
    /// How the data collection is written.
    pub data: DataEncoding,
}

impl Wire {
    /// Returns the tag of a row, or none where tags are not sent.
    pub fn tag(&self, row: RowId, request: &CreateRequest) -> Option<Tag> {
        match self.tag_position {
            TagPosition::Start | TagPosition::End => Some(Tag::new(self.run, &self.key, row, request.fingerprint())),
            TagPosition::None => None,
        }
    }

    /// Returns the comment of the call for a row: its own with the row's tag.
    pub fn comment(&self, row: RowId, request: &CreateRequest) -> String {
        match self.tag(row, request) {
            Some(tag) => tag.into_comment(&request.comment, self.tag_position),
            None => request.comment.clone(),
        }
    }

    /// Returns the body of the call for a row.
    pub fn body(&self, row: RowId, request: &CreateRequest) -> Vec<u8> {
        request.wire_body(&self.comment(row, request), self.data)
    }
}

/// Where steps are made durable. SQLite is one such engine.
pub trait Engine {
    /// Makes one step; its answer is given after the commit is durable.
    fn step(&self, step: Step) -> impl Future<Output = Result<StepAnswer, LedgerError>>;

    /// Returns the time by the session's clock, which never goes back.
    fn now(&self) -> Timestamp;

    /// Notes what was read back of the first created request of a kind, or why nothing could be; durable when answered. The
    /// step that records that row as created was answered before.
    fn note_read_back(&self, kind: RequestKind, text: String) -> impl Future<Output = Result<(), LedgerError>>;
}

impl Engine for Ledger {
    async fn step(&self, step: Step) -> Result<StepAnswer, LedgerError> {
        Self::step(self, step).await
    }

    fn now(&self) -> Timestamp {
        Self::now(self)
    }

    async fn note_read_back(&self, kind: RequestKind, text: String) -> Result<(), LedgerError> {
        Self::note_read_back(self, kind, text).await
    }
}

/// Who makes the calls.
pub trait Calls {
    /// Makes one create call. Its body leaves this process until `send_before` of the clock that runs during sleep, or not at all.
    fn create(&self, body: Vec<u8>, send_before: Option<Duration>) -> impl Future<Output = Answer>;

    /// Renews the credentials after a 401; says whether there are other ones now, or why there can be none.
    fn renew(&self) -> Result<Renewed, ClientError>;

    /// Reads a request that was created.
    fn read_back(&self, uuid: RequestUuid) -> impl Future<Output = Result<RequestObject, ReadError>>;

    /// Asks the server for something harmless; an error says that it is not there.
    fn probe(&self) -> impl Future<Output = Result<(), ReadError>>;
}

impl Calls for Client {
    async fn create(&self, body: Vec<u8>, send_before: Option<Duration>) -> Answer {
        Self::create(self, body, send_before).await
    }

    fn renew(&self) -> Result<Renewed, ClientError> {
        Self::renew(self)
    }

    async fn read_back(&self, uuid: RequestUuid) -> Result<RequestObject, ReadError> {
        self.request(uuid).await
    }

    async fn probe(&self) -> Result<(), ReadError> {
        Self::probe(self).await
    }
}

/// Who and what sends: the same for every round of a session.
pub struct Sending<'a, E, C> {
    /// Where steps are made durable.
    pub engine: &'a E,
    /// Who makes the calls.
    pub calls: &'a C,
    /// What turns a row into a wire body.
    pub wire: &'a Wire,
    /// How fast and how patiently rows are sent.
    pub limits: &'a Limits,
    /// Who is told.
    pub sink: &'a dyn EventSink,
}

/// Which rows a round sends.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Work {
    /// All that are pending, in row order.
    InOrder,
    /// These rows and no others, in this order. Each is pending, and one that a claim by number finds
    /// ([`Step::claim_rows`]).
    Rows(Vec<RowId>),
}
