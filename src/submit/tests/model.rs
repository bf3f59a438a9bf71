//! An engine and a server made of plain values.

use std::cell::RefCell;
use std::collections::{BTreeMap, HashMap};
use std::num::{NonZeroU32, NonZeroUsize};
use std::sync::Mutex;
use std::time::Duration;

use bytes::Bytes;
use jiff::Timestamp;
use serde_json::Value;
use tokio::sync::watch;
use tokio::time::{Instant, sleep};

use crate::client::{
    Answer, ClientError, HttpAnswer, On503, ReadError, Renewed, RequestObject, RequestStatus, TransportFault,
};
use crate::event::{Event, EventKind, EventSink};
use crate::ledger::{ClaimKinds, ClaimedRow, LedgerError, Requeue, Step, StepAnswer};
use crate::machine::Machine;
use crate::request::{
    AttemptNo, CreateRequest, DataEncoding, Guid, Outcome, RequestKind, RequestType, RequestUuid, RowId, RunId, RunKey,
    TagPosition,
};
use crate::submit::read_back::tests::object;
use crate::submit::{
    BreakerRules, Calls, CheckFirst, Engine, KnownKind, Limits, Memory, Sending, StopLevel, SubmitReport, Wire, Work,
    run,
};

/// Where a row of the model ledger stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Place {
    Fresh,
    Waiting,
    Claimed,
    Done(Outcome),
}

/// A row of the model ledger.
pub(super) struct ModelRow {
    pub(super) place: Place,
    attempts: u32,
    counted: u32,
    request: CreateRequest,
}

/// An engine that checks what the pipeline asks of it.
pub(super) struct Model {
    pub(super) rows: RefCell<BTreeMap<u32, ModelRow>>,
    claimed: RefCell<usize>,
    pub(super) most_claimed: RefCell<usize>,
    steps: RefCell<u64>,
    pub(super) fail_at: Option<u64>,
    pub(super) fail_notes: bool,
    /// Whether earlier sessions created rows of the kinds.
    pub(super) knows_kinds: bool,
    /// What was noted of kinds.
    pub(super) notes: RefCell<Vec<(RequestKind, String)>>,
}

impl Model {
    /// Rows of one kind.
    pub(super) fn new(n_rows: u32) -> Self {
        Self::of((0..n_rows).map(|_| CreateRequest::new(RequestType::Unblock)))
    }

    pub(super) fn of(requests: impl IntoIterator<Item = CreateRequest>) -> Self {
        let row = |request| ModelRow { place: Place::Fresh, attempts: 0, counted: 0, request };
        let rows = (1..).zip(requests).map(|(number, request)| (number, row(request))).collect();
        Self {
            rows: RefCell::new(rows),
            claimed: RefCell::new(0),
            most_claimed: RefCell::new(0),
            steps: RefCell::new(0),
            fail_at: None,
            fail_notes: false,
            knows_kinds: false,
            notes: RefCell::default(),
        }
    }

    pub(super) fn count(&self, wanted: impl Fn(&Place) -> bool) -> usize {
        self.rows.borrow().values().filter(|row| wanted(&row.place)).count()
    }

    /// How many rows are pending.
    pub(super) fn unsent(&self) -> usize {
        self.count(|place| matches!(place, Place::Fresh | Place::Waiting))
    }

    pub(super) fn created(&self) -> usize {
        self.count(|place| matches!(place, Place::Done(Outcome::Created(_))))
    }

    fn apply(&self, step: &Step) -> Claimed {
        let mut rows = self.rows.borrow_mut();
        for record in &step.record {
            let row = rows.get_mut(&record.row.get()).unwrap();
            assert_eq!(row.place, Place::Claimed, "row {} was not claimed", record.row);
            row.counted += u32::from(record.outcome.fault().is_none_or(|fault| !fault.code.is_no_try()));
            row.place = match (&record.outcome, record.then) {
                (Outcome::Pending(_), Requeue::Anyone) => Place::Fresh,
                (Outcome::Pending(_), Requeue::Listed) => Place::Waiting,
                (done, _) => Place::Done(done.clone()),
            };
        }
        for (row, _) in &step.give_back {
            let row = rows.get_mut(&row.get()).unwrap();
            assert_eq!(row.place, Place::Claimed);
            row.place = Place::Fresh;
            row.attempts -= 1;
        }
        let mut admission = Admission::of(step, &rows);
        let fresh = rows.iter().filter(|(number, row)| {
            row.place == Place::Fresh && !step.claim_rows.iter().any(|listed| listed.get() == **number)
        });
        let (fresh, listed): (Vec<u32>, Vec<u32>) =
            (fresh.map(|(row, _)| *row).collect(), step.claim_rows.iter().map(|row| row.get()).collect());
        for number in listed {
            admission.listed(number, rows[&number].request.request_kind());
        }
        for number in fresh {
            if admission.chosen_fresh >= step.claim || !admission.fresh(number, rows[&number].request.request_kind()) {
                break;
            }
        }
        let Admission { chosen, passed_over, stopped_short, .. } = admission;
        for (row, _) in &passed_over {
            rows.get_mut(&row.get()).unwrap().place = Place::Waiting;
        }
        let claim = |number: u32| {
            let row = rows.get_mut(&number).unwrap();
            assert!(matches!(row.place, Place::Fresh | Place::Waiting), "row {number} is {:?}", row.place);
            row.place = Place::Claimed;
            row.attempts += 1;
            ClaimedRow {
                row: RowId::new(number).unwrap(),
                attempt: AttemptNo::new(row.attempts).unwrap(),
                counted_attempts: row.counted,
                request: row.request.clone(),
            }
        };
        Claimed { rows: chosen.into_iter().map(claim).collect(), passed_over, stopped_short }
    }
}

/// What a step claimed.
struct Claimed {
    rows: Vec<ClaimedRow>,
    passed_over: Vec<(RowId, RequestKind)>,
    stopped_short: bool,
}

/// Decides which rows a step claims, as a ledger does: of kinds that are not open one at a time.
struct Admission<'a> {
    kinds: &'a ClaimKinds,
    taken: Vec<RequestKind>,
    room: u32,
    chosen: Vec<u32>,
    chosen_fresh: u32,
    passed_over: Vec<(RowId, RequestKind)>,
    stopped_short: bool,
}

impl<'a> Admission<'a> {
    fn of(step: &'a Step, rows: &BTreeMap<u32, ModelRow>) -> Self {
        let taken = rows.values().filter(|row| row.place == Place::Claimed).map(|row| row.request.request_kind());
        let room = if let ClaimKinds::Guarded { pass_over, .. } = &step.kinds { *pass_over } else { 0 };
        Self {
            kinds: &step.kinds,
            taken: taken.collect(),
            room,
            chosen: Vec::new(),
            chosen_fresh: 0,
            passed_over: Vec::new(),
            stopped_short: false,
        }
    }

    fn admits(&mut self, kind: RequestKind) -> bool {
        let ClaimKinds::Guarded { open, held, .. } = self.kinds else { return true };
        let is_admitted = open.contains(&kind) || !(held.contains(&kind) || self.taken.contains(&kind));
        self.taken.push(kind);
        is_admitted
    }

    fn listed(&mut self, number: u32, kind: RequestKind) {
        if self.admits(kind) {
            self.chosen.push(number);
        } else {
            self.passed_over.push((RowId::new(number).unwrap(), kind));
        }
    }

    /// Returns whether the claim goes on behind the row.
    fn fresh(&mut self, number: u32, kind: RequestKind) -> bool {
        if self.admits(kind) {
            self.chosen.push(number);
            self.chosen_fresh += 1;
            return true;
        }
        self.stopped_short = self.room == 0;
        if !self.stopped_short {
            self.room -= 1;
            self.passed_over.push((RowId::new(number).unwrap(), kind));
        }
        !self.stopped_short
    }
}

impl Engine for Model {
    async fn step(&self, step: Step) -> Result<StepAnswer, LedgerError> {
        *self.steps.borrow_mut() += 1;
        assert_eq!(step.number, *self.steps.borrow());
        sleep(Duration::from_micros(200)).await;
        if self.fail_at.is_some_and(|at| step.number >= at) {
            return Err(LedgerError::Closed("model.ledger".into()));
        }
        let Claimed { rows, passed_over, stopped_short } = self.apply(&step);
        let ended = step.record.len() + step.give_back.len();
        let mut claimed = self.claimed.borrow_mut();
        *claimed = *claimed + rows.len() - ended;
        let mut most = self.most_claimed.borrow_mut();
        *most = (*most).max(*claimed);
        Ok(StepAnswer { number: step.number, rows, passed_over, stopped_short, shared: Vec::new() })
    }

    fn now(&self) -> Timestamp {
        Machine::system().now()
    }

    async fn note_read_back(&self, kind: RequestKind, text: String) -> Result<(), LedgerError> {
        if self.fail_notes {
            return Err(LedgerError::Closed("model.ledger".into()));
        }
        let is_created = |row: &ModelRow| {
            row.request.request_kind() == kind && matches!(row.place, Place::Done(Outcome::Created(_)))
        };
        assert!(
            self.rows.borrow().values().any(is_created) || self.knows_kinds,
            "the created row of {kind} is recorded first"
        );
        self.notes.borrow_mut().push((kind, text));
        Ok(())
    }
}

/// A create call as it arrives.
#[derive(Clone, Debug)]
pub(super) struct Arrival {
    /// From 1.
    pub(super) number: usize,
    pub(super) at: Instant,
    body: Value,
}

impl Arrival {
    /// The request type, as the body names it.
    pub(super) fn request_type(&self) -> &str {
        self.body["type"].as_str().unwrap()
    }
}

/// What a reading makes of the request that was created.
pub(super) type Read = fn(RequestObject) -> Result<RequestObject, ReadError>;

/// A server that answers by what arrives.
pub(super) struct Server<F> {
    answer: F,
    pub(super) arrivals: RefCell<Vec<Arrival>>,
    in_flight: RefCell<(usize, usize)>,
    pub(super) takes: Duration,
    /// How long the first call takes, where it is another time.
    pub(super) first_takes: Option<Duration>,
    pub(super) renewals: RefCell<u32>,
    /// What comes of every renewal after the first one.
    pub(super) renews: fn() -> Result<Renewed, ClientError>,
    objects: RefCell<HashMap<RequestUuid, RequestObject>>,
    pub(super) read: Read,
    pub(super) reading_takes: Duration,
    /// When readings began.
    pub(super) readings: RefCell<Vec<Instant>>,
}

impl Server<()> {
    /// A server that answers by the number of the call, from 1.
    pub(super) fn new(answer: impl Fn(usize) -> Answer) -> Server<impl Fn(&Arrival) -> Answer> {
        Server::by(move |arrival| answer(arrival.number))
    }
}

impl<F: Fn(&Arrival) -> Answer> Server<F> {
    pub(super) fn by(answer: F) -> Self {
        Self {
            answer,
            arrivals: RefCell::default(),
            in_flight: RefCell::default(),
            takes: Duration::from_millis(20),
            first_takes: None,
            renewals: RefCell::default(),
            renews: || Ok(Renewed::Same),
            objects: RefCell::default(),
            read: Ok,
            reading_takes: Duration::from_millis(20),
            readings: RefCell::default(),
        }
    }

    /// The most calls that were in flight at once.
    pub(super) fn most_in_flight(&self) -> usize {
        self.in_flight.borrow().1
    }

    /// Keeps a created request, to be read back.
    fn keep(&self, answer: &HttpAnswer, body: &Value) {
        let uri: String = serde_json::from_slice(&answer.body).unwrap();
        let uuid = RequestUuid::new(uri.rsplit('/').next().unwrap().parse().unwrap());
        let guid = |name: &str| body[name].as_str().map(|text| text.parse::<Guid>().unwrap());
        let kept = object(RequestStatus::Approved, body["comment"].as_str().unwrap(), guid("target"));
        self.objects.borrow_mut().insert(uuid, RequestObject { uuid, template: guid("profiletemplateuuid"), ..kept });
    }
}

impl<F: Fn(&Arrival) -> Answer> Calls for Server<F> {
    async fn create(&self, body: Vec<u8>, _: Option<Duration>) -> Answer {
        let body: Value = serde_json::from_slice(&body).unwrap();
        let arrival = Arrival { number: self.arrivals.borrow().len() + 1, at: Instant::now(), body: body.clone() };
        self.arrivals.borrow_mut().push(arrival.clone());
        {
            let mut in_flight = self.in_flight.borrow_mut();
            in_flight.0 += 1;
            in_flight.1 = in_flight.1.max(in_flight.0);
        }
        // What a server decides it decides when the call arrives.
        let answer = (self.answer)(&arrival);
        sleep(self.first_takes.filter(|_| arrival.number == 1).unwrap_or(self.takes)).await;
        self.in_flight.borrow_mut().0 -= 1;
        match &answer {
            Answer::Http(answer) if answer.status == 201 => self.keep(answer, &body),
            Answer::Http(_) | Answer::None { .. } => {}
        }
        answer
    }

    fn renew(&self) -> Result<Renewed, ClientError> {
        *self.renewals.borrow_mut() += 1;
        if *self.renewals.borrow() == 1 { Ok(Renewed::Changed) } else { (self.renews)() }
    }

    async fn read_back(&self, uuid: RequestUuid) -> Result<RequestObject, ReadError> {
        self.readings.borrow_mut().push(Instant::now());
        sleep(self.reading_takes).await;
        let kept = self.objects.borrow().get(&uuid).cloned();
        (self.read)(kept.unwrap_or_else(|| object(RequestStatus::Approved, "", None)))
    }

    async fn probe(&self) -> Result<(), ReadError> {
        Ok(())
    }
}

pub(super) fn http(status: u16) -> Answer {
    let body = if status == 201 { format!("\"api/v1.0/requests/{}\"", Guid::random()) } else { String::new() };
    Answer::Http(HttpAnswer {
        status,
        location: None,
        retry_after: None,
        date: None,
        advice: None,
        body: Bytes::from(body),
    })
}

/// An answer that says when to come again.
pub(super) fn come_again(status: u16, seconds: u64) -> Answer {
    Answer::Http(HttpAnswer {
        status,
        location: None,
        retry_after: Some(Duration::from_secs(seconds)),
        date: None,
        advice: None,
        body: Bytes::new(),
    })
}

pub(super) fn throttled(seconds: u64) -> Answer {
    come_again(429, seconds)
}

pub(super) fn refused() -> Answer {
    Answer::None { fault: TransportFault::ConnectionRefused, message: "refused".to_owned() }
}

pub(super) fn timed_out() -> Answer {
    Answer::None { fault: TransportFault::Timeout, message: String::new() }
}

pub(super) fn limits(rate: &str) -> Limits {
    Limits {
        rate: rate.parse().unwrap(),
        burst: NonZeroU32::new(2).unwrap(),
        concurrency: NonZeroUsize::new(16).unwrap(),
        max_attempts: NonZeroU32::new(5).unwrap(),
        stall: Duration::from_secs(600),
        breaker: BreakerRules::default(),
        on_503: On503::InDoubt,
        read_back: Duration::from_secs(30),
        check_first: CheckFirst::Stop,
        n_around: 100,
    }
}

/// The kind of [`Model::new`]'s rows, as one that was created before.
pub(super) fn known() -> Vec<KnownKind> {
    vec![KnownKind::Confirmed(CreateRequest::new(RequestType::Unblock).request_kind())]
}

pub(super) fn wire() -> Wire {
    Wire {
        run: RunId::from_bytes([5; 16]),
        key: RunKey::from_bytes([1; 32]),
        tag_position: TagPosition::Start,
        data: DataEncoding::Array,
    }
}

#[derive(Default)]
pub(super) struct Collected(pub(super) Mutex<Vec<EventKind>>);

impl Collected {
    pub(super) fn count(&self, wanted: impl Fn(&EventKind) -> bool) -> usize {
        self.0.lock().unwrap().iter().filter(|kind| wanted(kind)).count()
    }
}

impl EventSink for Collected {
    fn emit(&self, event: Event) {
        self.0.lock().unwrap().push(event.kind);
    }
}

/// Sends all rows of a kind that was created before.
pub(super) async fn sent<F: Fn(&Arrival) -> Answer>(
    model: &Model,
    server: &Server<F>,
    limits: &Limits,
) -> SubmitReport {
    sent_under(model, server, limits, watch::channel(StopLevel::Run).1, &Collected::default()).await
}

pub(super) async fn sent_under<F: Fn(&Arrival) -> Answer>(
    model: &Model,
    server: &Server<F>,
    limits: &Limits,
    control: watch::Receiver<StopLevel>,
    sink: &Collected,
) -> SubmitReport {
    let mut memory = Memory::new(&Machine::system(), limits, known());
    let sending = Sending { engine: model, calls: server, wire: &wire(), limits, sink };
    let n_rows = model.rows.borrow().len() as u64;
    run(&sending, &mut memory, Work::InOrder, n_rows, control).await
}

/// Sends one round with a memory.
pub(super) async fn round<F: Fn(&Arrival) -> Answer>(
    model: &Model,
    server: &Server<F>,
    limits: &Limits,
    memory: &mut Memory,
    work: Work,
    sink: &Collected,
) -> SubmitReport {
    let sending = Sending { engine: model, calls: server, wire: &wire(), limits, sink };
    run(&sending, memory, work, 0, watch::channel(StopLevel::Run).1).await
}
