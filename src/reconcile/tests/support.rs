//! What the tests of reconciling share: a ledger in memory, and lists that are made up.

use std::cell::RefCell;
use std::collections::BTreeMap;

use futures_util::{Stream, stream};
use jiff::{SignedDuration, Timestamp};

use crate::client::{ReadError, RequestObject, RequestStatus};
use crate::ledger::{
    CreatedMarks, CreatedRow, DoubtfulRow, LedgerError, Resolution, RowFacts, RowPlace, RowState, RowVerdict, Source,
};
use crate::reconcile::{Ask, Book, Identity, Lists, Report, Tagging, Trust, reconcile};
use crate::request::{
    AttemptNo, CreateRequest, ErrorCode, Guid, RequestType, RequestUuid, RowId, RunId, RunKey, Tag, TagPosition,
};

pub(in crate::reconcile) fn row(number: u32) -> RowId {
    RowId::new(number).unwrap()
}

pub(in crate::reconcile) fn time(text: &str) -> Timestamp {
    text.parse().unwrap()
}

/// The time that most things happen at.
pub(in crate::reconcile) fn noon() -> Timestamp {
    time("2026-03-01T12:00:00Z")
}

pub(in crate::reconcile) fn guid(number: u128) -> Guid {
    Guid::from_bytes(number.to_be_bytes())
}

pub(in crate::reconcile) fn uuid(number: u128) -> RequestUuid {
    RequestUuid::new(guid(number))
}

/// A run; another one for another byte.
pub(in crate::reconcile) fn identity(byte: u8, tagging: Tagging) -> Identity {
    Identity { run: RunId::from_bytes([byte; 16]), key: RunKey::from_bytes([byte; 32]), tagging }
}

pub(in crate::reconcile) fn tagged() -> Identity {
    identity(0xAB, Tagging::Tagged)
}

pub(in crate::reconcile) fn untagged() -> Identity {
    identity(0xAB, Tagging::Untagged)
}

/// What a row asks for: its own target, one template.
pub(in crate::reconcile) fn request(number: u32) -> CreateRequest {
    CreateRequest {
        target: Some(guid(0x7000 + u128::from(number))),
        template: Some(guid(0x9000)),
        ..CreateRequest::new(RequestType::Enroll)
    }
}

/// What the server has of a request with this comment, submitted at noon.
pub(in crate::reconcile) fn object(number: u128, request: &CreateRequest, comment: String) -> RequestObject {
    RequestObject {
        uuid: uuid(number),
        request_type: request.kind.confirmed_number().unwrap_or(2),
        status: RequestStatus::Approved,
        target: request.target,
        template: request.template,
        originator: Some(guid(0xAA)),
        old_profile: None,
        new_profile: None,
        old_smartcard: None,
        new_smartcard: None,
        comment,
        submitted: Some(noon()),
        completed: None,
        priority: None,
    }
}

/// The comment that a row of a run is sent with.
pub(in crate::reconcile) fn comment(who: &Identity, row: RowId, request: &CreateRequest) -> String {
    let position = match who.tagging {
        Tagging::Tagged => TagPosition::Start,
        Tagging::Untagged => TagPosition::None,
    };
    Tag::new(who.run, &who.key, row, request.fingerprint()).into_comment(&request.comment, position)
}

/// What the server has of row `number` as its request `number`.
pub(in crate::reconcile) fn object_of(who: &Identity, number: u32) -> RequestObject {
    let request = request(number);
    object(u128::from(number), &request, comment(who, row(number), &request))
}

/// A row of a ledger in memory.
#[derive(Clone, Debug)]
pub(in crate::reconcile) struct BookRow {
    pub(in crate::reconcile) request: CreateRequest,
    pub(in crate::reconcile) state: RowState,
    pub(in crate::reconcile) uuid: Option<RequestUuid>,
    pub(in crate::reconcile) code: Option<ErrorCode>,
    pub(in crate::reconcile) message: Option<String>,
    pub(in crate::reconcile) attempts: u32,
    pub(in crate::reconcile) counted: u32,
    pub(in crate::reconcile) started_at: Option<Timestamp>,
    pub(in crate::reconcile) recorded_at: Timestamp,
    /// The place of its creation among the others.
    pub(in crate::reconcile) created_as: u64,
}

/// A ledger in memory. It refuses what a ledger must refuse.
#[derive(Clone, Debug, Default)]
pub(in crate::reconcile) struct MemoryBook {
    pub(in crate::reconcile) rows: RefCell<BTreeMap<RowId, BookRow>>,
    /// How many batches were recorded.
    pub(in crate::reconcile) n_batches: RefCell<usize>,
}

impl MemoryBook {
    /// Adds row `number` in a state, after one attempt that began at noon and took two minutes.
    pub(in crate::reconcile) fn with(self, number: u32, state: RowState) -> Self {
        self.with_code(number, state, ErrorCode::Timeout)
    }

    pub(in crate::reconcile) fn with_code(self, number: u32, state: RowState, code: ErrorCode) -> Self {
        let is_created = state == RowState::Created;
        let known = BookRow {
            request: request(number),
            state,
            uuid: is_created.then(|| uuid(u128::from(number))),
            code: (!is_created).then_some(code),
            message: None,
            attempts: 1,
            counted: 1,
            started_at: Some(noon()),
            recorded_at: noon() + SignedDuration::from_secs(120),
            created_as: u64::from(number),
        };
        self.rows.borrow_mut().insert(row(number), known);
        self
    }

    /// Changes a row.
    pub(in crate::reconcile) fn edit(&self, number: u32, change: impl FnOnce(&mut BookRow)) {
        change(self.rows.borrow_mut().get_mut(&row(number)).unwrap());
    }

    pub(in crate::reconcile) fn get(&self, number: u32) -> BookRow {
        self.rows.borrow()[&row(number)].clone()
    }

    pub(in crate::reconcile) fn state(&self, number: u32) -> RowState {
        self.get(number).state
    }

    fn in_state(&self, state: RowState) -> Vec<(RowId, BookRow)> {
        let rows = self.rows.borrow();
        rows.iter().filter(|(_, known)| known.state == state).map(|(row, known)| (*row, known.clone())).collect()
    }

    fn apply(&self, Resolution { row, verdict, source, reason }: Resolution) {
        assert_eq!(source, Source::List);
        let mut rows = self.rows.borrow_mut();
        let next = rows.values().map(|known| known.created_as).max().unwrap_or(0) + 1;
        let known = rows.get_mut(&row).unwrap();
        let before = known.state;
        let (legal, after): (&[RowState], _) = match verdict {
            RowVerdict::Exists(uri) => {
                known.uuid = Some(uri.uuid());
                known.code = None;
                known.created_as = next;
                (&[RowState::InDoubt, RowState::Pending, RowState::Failed], RowState::Created)
            }
            RowVerdict::Absent => (&[RowState::InDoubt], RowState::Pending),
            RowVerdict::AbsentForGood => (&[RowState::InDoubt], RowState::Failed),
            RowVerdict::Contradicted => {
                known.code = Some(ErrorCode::Contradicted);
                (&[RowState::InDoubt, RowState::Pending, RowState::Failed], RowState::InDoubt)
            }
            RowVerdict::LeftOut
            | RowVerdict::Elsewhere(_)
            | RowVerdict::Dropped
            | RowVerdict::Restored
            | RowVerdict::Again => panic!("no list says so"),
        };
        assert!(legal.contains(&before), "row {row} is {before} and cannot become {after}");
        known.state = after;
        known.message = reason.or(known.message.take());
    }
}

fn page<T>(all: impl Iterator<Item = (RowId, T)>, after: u32, limit: u32) -> impl Iterator<Item = (RowId, T)> {
    all.filter(move |(row, _)| row.get() > after).take(limit as usize)
}

impl Book for MemoryBook {
    fn in_doubt(&self, after: u32, limit: u32) -> Result<Vec<DoubtfulRow>, LedgerError> {
        let doubtful = |(row, known): (RowId, BookRow)| DoubtfulRow {
            row,
            place: RowPlace { part: 1, part_row: row.get(), line: u64::from(row.get()) + 1 },
            id: None,
            request: known.request,
            attempt: AttemptNo::new(known.attempts).unwrap_or(AttemptNo::FIRST),
            session: 1,
            recorded_by: 1,
            code: known.code,
            started_at: known.started_at,
            recorded_at: known.recorded_at,
            counted_attempts: known.counted,
        };
        Ok(page(self.in_state(RowState::InDoubt).into_iter(), after, limit).map(doubtful).collect())
    }

    fn n_in_doubt(&self) -> Result<u64, LedgerError> {
        Ok(self.in_state(RowState::InDoubt).len() as u64)
    }

    fn newest_created(&self, limit: u32) -> Result<Vec<CreatedRow>, LedgerError> {
        let mut all = self.in_state(RowState::Created);
        all.sort_by_key(|(_, known)| std::cmp::Reverse(known.created_as));
        all.truncate(limit as usize);
        Ok(all.into_iter().map(created_row).collect())
    }

    fn created(&self, after: u32, limit: u32) -> Result<Vec<CreatedRow>, LedgerError> {
        Ok(page(self.in_state(RowState::Created).into_iter(), after, limit).map(created_row).collect())
    }

    fn facts(&self, row: RowId) -> Result<Option<RowFacts>, LedgerError> {
        Ok(self.rows.borrow().get(&row).map(|known| RowFacts {
            state: known.state,
            request: Some(known.request.clone()),
            uuid: known.uuid,
        }))
    }

    fn created_marks(&self) -> Result<CreatedMarks, LedgerError> {
        let mut marks = CreatedMarks::default();
        for (row, known) in self.in_state(RowState::Created) {
            known.uuid.into_iter().for_each(|uuid| marks.add(row, uuid));
        }
        Ok(marks)
    }

    async fn resolve(&self, resolutions: Vec<Resolution>) -> Result<(), LedgerError> {
        assert!(!resolutions.is_empty(), "an empty batch costs a sync");
        *self.n_batches.borrow_mut() += 1;
        resolutions.into_iter().for_each(|resolution| self.apply(resolution));
        Ok(())
    }
}

fn created_row((row, known): (RowId, BookRow)) -> CreatedRow {
    CreatedRow { row, uuid: known.uuid.unwrap(), request: known.request }
}

/// How a made-up list ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::reconcile) enum End {
    Well,
    /// The answer breaks off.
    CutOff,
    /// No list begins; the server answers with this status.
    Refused(u16),
}

impl End {
    fn error(self, after: u64) -> Option<ReadError> {
        match self {
            Self::Well => None,
            Self::CutOff => Some(ReadError::CutOff { after }),
            Self::Refused(status) => {
                Some(ReadError::Status { status, message: "no".to_owned(), correlation_id: None, retry_after: None })
            }
        }
    }
}

/// A made-up list.
#[derive(Clone, Debug)]
pub(in crate::reconcile) struct MadeUp {
    pub(in crate::reconcile) objects: Vec<RequestObject>,
    pub(in crate::reconcile) end: End,
}

impl MadeUp {
    pub(in crate::reconcile) const fn of(objects: Vec<RequestObject>) -> Self {
        Self { objects, end: End::Well }
    }
}

impl Lists for MadeUp {
    async fn list(&self) -> Result<impl Stream<Item = Result<RequestObject, ReadError>>, ReadError> {
        if let End::Refused(_) = self.end
            && let Some(error) = self.end.error(0)
        {
            return Err(error);
        }
        let error = self.end.error(self.objects.len() as u64).map(Err);
        Ok(stream::iter(self.objects.clone().into_iter().map(Ok).chain(error)))
    }
}

pub(in crate::reconcile) const RIPE: Ask = Ask { ripe: true, max_attempts: 5, trust: Trust::Proof };

pub(in crate::reconcile) fn block_on<T>(future: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(future)
}

/// Reconciles a ledger in memory with a list.
pub(in crate::reconcile) fn reconciled(book: &MemoryBook, list: &MadeUp, who: &Identity, ask: Ask) -> Report {
    block_on(reconcile(book, list, who, &ask)).unwrap()
}
