//! The pipeline against an engine and a server made of plain values, in paused time.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::num::{NonZeroU32, NonZeroUsize};
use std::sync::Mutex;
use std::time::Duration;

use bytes::Bytes;
use tokio::sync::watch;
use tokio::time::{Instant, sleep};

use super::{
    BreakerRules, Calls, Engine, Limits, Memory, Rate, Sending, StopLevel, StopReason, SubmitReport, Trip, Wire, Work,
    run,
};
use crate::client::{Answer, HttpAnswer, On503, ReadError, RequestObject, TransportFault};
use crate::event::{Event, EventKind, EventSink};
use crate::ledger::{ClaimedRow, LedgerError, Requeue, RunState, Step, StepAnswer};
use crate::request::{
    AttemptNo, CreateRequest, DataEncoding, ErrorCode, Guid, Outcome, RequestKind, RequestType, RequestUuid, RowId,
    RunId, RunKey, TagPosition,
};

/// Where a row of the model ledger stands.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Place {
    Fresh,
    Waiting,
    Claimed,
    Done(Outcome),
}

/// An engine that checks what the pipeline asks of it.
struct Model {
    rows: RefCell<BTreeMap<u32, (Place, u32)>>,
    most_claimed: RefCell<usize>,
    steps: RefCell<u64>,
    fail_at: Option<u64>,
}

impl Model {
    fn new(n_rows: u32) -> Self {
        let rows = (1..=n_rows).map(|row| (row, (Place::Fresh, 0))).collect();
        Self { rows: RefCell::new(rows), most_claimed: RefCell::new(0), steps: RefCell::new(0), fail_at: None }
    }

    fn count(&self, wanted: impl Fn(&Place) -> bool) -> usize {
        self.rows.borrow().values().filter(|(place, _)| wanted(place)).count()
    }

    fn created(&self) -> usize {
        self.count(|place| matches!(place, Place::Done(Outcome::Created(_))))
    }

    fn apply(&self, step: &Step) -> Vec<ClaimedRow> {
        let mut rows = self.rows.borrow_mut();
        for record in &step.record {
            let (place, _) = rows.get_mut(&record.row.get()).unwrap();
            assert_eq!(*place, Place::Claimed, "row {} was not claimed", record.row);
            *place = match (&record.outcome, record.then) {
                (Outcome::Pending(_), Requeue::Anyone) => Place::Fresh,
                (Outcome::Pending(_), Requeue::Listed) => Place::Waiting,
                (done, _) => Place::Done(done.clone()),
            };
        }
        for (row, _) in &step.give_back {
            let (place, attempts) = rows.get_mut(&row.get()).unwrap();
            assert_eq!(*place, Place::Claimed);
            *place = Place::Fresh;
            *attempts -= 1;
        }
        let listed = step.claim_rows.iter().map(|row| row.get());
        let fresh = rows.iter().filter(|(_, (place, _))| *place == Place::Fresh).map(|(row, _)| *row);
        let chosen: Vec<u32> = listed.chain(fresh.take(step.claim as usize)).collect();
        let claim = |row: u32| {
            let (place, attempts) = rows.get_mut(&row).unwrap();
            assert_ne!(*place, Place::Claimed);
            *place = Place::Claimed;
            *attempts += 1;
            ClaimedRow {
                row: RowId::new(row).unwrap(),
                attempt: AttemptNo::new(*attempts).unwrap(),
                counted_attempts: *attempts - 1,
                request: CreateRequest::new(RequestType::Unblock),
            }
        };
        chosen.into_iter().map(claim).collect()
    }
}

impl Engine for Model {
    async fn step(&self, step: Step) -> Result<StepAnswer, LedgerError> {
        *self.steps.borrow_mut() += 1;
        assert_eq!(step.number, *self.steps.borrow());
        sleep(Duration::from_micros(200)).await;
        if self.fail_at.is_some_and(|at| step.number >= at) {
            return Err(LedgerError::Closed { path: "model.ledger".into() });
        }
        let rows = self.apply(&step);
        let claimed = self.count(|place| *place == Place::Claimed);
        let mut most = self.most_claimed.borrow_mut();
        *most = claimed.max(*most);
        let pending_left = self.count(|place| matches!(place, Place::Fresh | Place::Waiting)) as u64;
        Ok(StepAnswer {
            number: step.number,
            rows,
            send_before: None,
            slots: None,
            state: RunState::Running,
            pending_left,
        })
    }

    async fn note_read_back(&self, _kind: RequestKind, _text: String) -> Result<(), LedgerError> {
        Ok(())
    }
}

/// A server that answers by the number of the call, from 1.
struct Server<F> {
    answer: F,
    calls: RefCell<Vec<Instant>>,
    in_flight: RefCell<(usize, usize)>,
    takes: Duration,
    renewals: RefCell<u32>,
}

impl<F: Fn(usize) -> Answer> Server<F> {
    fn new(answer: F) -> Self {
        Self {
            answer,
            calls: RefCell::default(),
            in_flight: RefCell::default(),
            takes: Duration::from_millis(20),
            renewals: RefCell::default(),
        }
    }
}

impl<F: Fn(usize) -> Answer> Calls for Server<F> {
    async fn create(&self, _body: Vec<u8>) -> Answer {
        self.calls.borrow_mut().push(Instant::now());
        let number = self.calls.borrow().len();
        {
            let mut in_flight = self.in_flight.borrow_mut();
            in_flight.0 += 1;
            in_flight.1 = in_flight.1.max(in_flight.0);
        }
        sleep(self.takes).await;
        self.in_flight.borrow_mut().0 -= 1;
        (self.answer)(number)
    }

    fn renew(&self) -> bool {
        *self.renewals.borrow_mut() += 1;
        *self.renewals.borrow() == 1
    }

    async fn read_back(&self, _uuid: RequestUuid) -> Result<RequestObject, ReadError> {
        Err(ReadError::NoContent)
    }

    async fn probe(&self) -> Result<(), ReadError> {
        Ok(())
    }
}

fn http(status: u16) -> Answer {
    let body = if status == 201 { format!("\"api/v1.0/requests/{}\"", Guid::random()) } else { String::new() };
    Answer::Http(HttpAnswer { status, location: None, retry_after: None, body: Bytes::from(body) })
}

fn throttled(seconds: u64) -> Answer {
    Answer::Http(HttpAnswer {
        status: 429,
        location: None,
        retry_after: Some(Duration::from_secs(seconds)),
        body: Bytes::new(),
    })
}

fn refused() -> Answer {
    Answer::None { fault: TransportFault::ConnectionRefused, message: "refused".to_owned() }
}

fn limits(rate: &str) -> Limits {
    Limits {
        rate: rate.parse().unwrap(),
        burst: NonZeroU32::new(2).unwrap(),
        concurrency: NonZeroUsize::new(16).unwrap(),
        max_attempts: NonZeroU32::new(5).unwrap(),
        stall: Duration::from_secs(600),
        breaker: BreakerRules::default(),
        on_503: On503::InDoubt,
    }
}

#[derive(Default)]
struct Collected(Mutex<Vec<EventKind>>);

impl EventSink for Collected {
    fn emit(&self, event: Event) {
        self.0.lock().unwrap().push(event.kind);
    }
}

async fn sent<F: Fn(usize) -> Answer>(model: &Model, server: &Server<F>, limits: &Limits) -> SubmitReport {
    sent_under(model, server, limits, watch::channel(StopLevel::Run).1, &Collected::default()).await
}

async fn sent_under<F: Fn(usize) -> Answer>(
    model: &Model,
    server: &Server<F>,
    limits: &Limits,
    control: watch::Receiver<StopLevel>,
    sink: &Collected,
) -> SubmitReport {
    let wire = Wire {
        run: RunId::random(),
        key: RunKey::from_bytes([1; 32]),
        tag_position: TagPosition::Start,
        data: DataEncoding::Array,
    };
    let n_rows = model.rows.borrow().len() as u64;
    let mut memory = Memory::new(limits, Vec::new());
    let sending = Sending { engine: model, calls: server, wire: &wire, limits, sink };
    run(&sending, &mut memory, Work::InOrder, n_rows, control).await
}

#[tokio::test(start_paused = true)]
async fn every_row_is_sent_once_and_recorded() {
    let (model, server) = (Model::new(1_000), Server::new(|_| http(201)));
    let sink = Collected::default();
    let report = sent_under(&model, &server, &limits("unlimited"), watch::channel(StopLevel::Run).1, &sink).await;
    assert!(report.stopped_by.is_none());
    assert_eq!((model.created(), report.created, report.calls), (1_000, 1_000, 1_000));
    assert_eq!(server.in_flight.borrow().1, 16, "concurrency is used and kept");
    let events = sink.0.lock().unwrap();
    assert_eq!(events[0], EventKind::Started { pending: 1_000 });
    assert_eq!(events.iter().filter(|event| matches!(event, EventKind::Created { .. })).count(), 1_000);
}

#[tokio::test(start_paused = true)]
async fn claims_stay_within_their_window() {
    for (rate, most) in [("unlimited", 16 + 256), ("50/s", 16 + 5), ("1/s", 16 + 1)] {
        let (model, server) = (Model::new(600), Server::new(|_| http(201)));
        let (stop, control) = watch::channel(StopLevel::Run);
        let (limits, sink) = (limits(rate), Collected::default());
        let run = sent_under(&model, &server, &limits, control, &sink);
        let halt = async {
            sleep(Duration::from_millis(400)).await;
            stop.send(StopLevel::Drain).unwrap();
            std::future::pending::<()>().await;
        };
        tokio::select! {
            _ = run => {}
            () = halt => {}
        }
        assert!(*model.most_claimed.borrow() <= most, "{rate}: {} claimed", model.most_claimed.borrow());
        assert_eq!(model.count(|place| *place == Place::Claimed), 0, "{rate}: what was not sent went back");
    }
}

#[tokio::test(start_paused = true)]
async fn refused_connections_are_tried_again_and_the_row_is_created() {
    let server = Server::new(|n| if n % 3 == 0 { http(201) } else { refused() });
    let model = Model::new(20);
    let mut limits = limits("unlimited");
    limits.max_attempts = NonZeroU32::new(100).unwrap();
    limits.breaker.window_min = 10_000;
    let report = sent(&model, &server, &limits).await;
    assert!(report.stopped_by.is_none(), "{:?}", report.stopped_by);
    assert_eq!(model.created(), 20);
}

#[tokio::test(start_paused = true)]
async fn a_server_that_refuses_every_connection_stops_the_run_and_leaves_all_rows_pending() {
    let model = Model::new(500);
    let report = sent(&model, &Server::new(|_| refused()), &limits("unlimited")).await;
    assert!(matches!(
        report.stopped_by,
        Some(StopReason::Breaker(Trip::InARow { last: ErrorCode::ConnectionRefused, .. }))
    ));
    assert_eq!(model.count(|place| matches!(place, Place::Fresh | Place::Waiting)), 500);

    let model = Model::new(2);
    let report = sent(&model, &Server::new(|_| refused()), &limits("unlimited")).await;
    assert!(matches!(report.stopped_by, Some(StopReason::Unreachable(_))), "{:?}", report.stopped_by);
    assert_eq!(model.count(|place| matches!(place, Place::Fresh | Place::Waiting)), 2);
}

#[tokio::test(start_paused = true)]
async fn retries_that_run_out_fail_the_row_where_the_server_is_there() {
    let model = Model::new(2);
    let server = Server::new(|n| if n == 1 { http(201) } else { refused() });
    let report = sent(&model, &server, &limits("unlimited")).await;
    assert!(report.stopped_by.is_none());
    assert_eq!(report.calls, 1 + 5);
    assert_eq!(model.count(|place| matches!(place, Place::Done(Outcome::Failed(_)))), 1);
}

#[tokio::test(start_paused = true)]
async fn throttling_holds_the_whole_run_and_costs_no_attempt() {
    let model = Model::new(40);
    let server = Server::new(|n| if (10..30).contains(&n) { throttled(7) } else { http(201) });
    let report = sent(&model, &server, &limits("unlimited")).await;
    assert!(report.stopped_by.is_none());
    assert_eq!(model.created(), 40);
    let calls = server.calls.borrow();
    let longest = calls.windows(2).map(|pair| pair[1] - pair[0]).max().unwrap();
    assert!(longest >= Duration::from_secs(6), "the run waited {longest:?}");
}

#[tokio::test(start_paused = true)]
async fn a_run_that_is_only_throttled_ends_after_the_stall_time() {
    let model = Model::new(40);
    let begin = Instant::now();
    let report = sent(&model, &Server::new(|_| throttled(30)), &limits("unlimited")).await;
    assert!(matches!(report.stopped_by, Some(StopReason::Stalled(_))), "{:?}", report.stopped_by);
    assert!((Duration::from_secs(540)..Duration::from_secs(601)).contains(&begin.elapsed()), "{:?}", begin.elapsed());
    assert_eq!(model.count(|place| *place == Place::Fresh || *place == Place::Waiting), 40);
}

#[tokio::test(start_paused = true)]
async fn sign_in_is_renewed_once_and_then_stops_the_run() {
    let model = Model::new(100);
    let server = Server::new(|n| if n <= 16 { http(401) } else { http(201) });
    let report = sent(&model, &server, &limits("unlimited")).await;
    assert!(report.stopped_by.is_none(), "{:?}", report.stopped_by);
    assert_eq!((model.created(), *server.renewals.borrow()), (100, 1));

    let model = Model::new(100);
    let server = Server::new(|_| http(401));
    let report = sent(&model, &server, &limits("unlimited")).await;
    assert!(matches!(report.stopped_by, Some(StopReason::NotSignedIn(_))));
    assert_eq!(model.count(|place| matches!(place, Place::Fresh | Place::Waiting)), 100);
    assert!(report.calls <= 48, "{}", report.calls);
}

#[tokio::test(start_paused = true)]
async fn a_missing_api_stops_the_run_at_once() {
    let model = Model::new(100);
    let report = sent(&model, &Server::new(|_| http(404)), &limits("unlimited")).await;
    assert!(matches!(report.stopped_by, Some(StopReason::ApiNotFound(_))));
    assert!(report.calls <= 16);
    assert_eq!(model.count(|place| *place == Place::Fresh), 100);
}

#[tokio::test(start_paused = true)]
async fn answers_that_were_not_seen_are_never_sent_again() {
    let lost = |n: usize| match n % 4 {
        0 => Answer::None { fault: TransportFault::Timeout, message: String::new() },
        1 => http(500),
        _ => http(201),
    };
    let model = Model::new(400);
    let report = sent(&model, &Server::new(lost), &limits("unlimited")).await;
    assert!(report.stopped_by.is_none());
    assert_eq!(report.calls, 400);
    assert_eq!(model.count(|place| matches!(place, Place::Done(Outcome::InDoubt(_)))), 200);
}

#[tokio::test(start_paused = true)]
async fn the_first_stop_waits_for_calls_in_flight_and_the_second_does_not() {
    for (level, in_doubt) in [(StopLevel::Drain, 0), (StopLevel::Leave, 16)] {
        let model = Model::new(1_000);
        let mut server = Server::new(|_| http(201));
        server.takes = Duration::from_secs(30);
        let (stop, control) = watch::channel(StopLevel::Run);
        let limits = limits("unlimited");
        let halt = async {
            sleep(Duration::from_secs(10)).await;
            stop.send(level).unwrap();
        };
        let begin = Instant::now();
        let sink = Collected::default();
        let (report, ()) = tokio::join!(sent_under(&model, &server, &limits, control, &sink), halt);
        assert!(matches!(report.stopped_by, Some(StopReason::Interrupted)));
        assert_eq!(report.calls, 16);
        assert_eq!(model.count(|place| matches!(place, Place::Done(Outcome::InDoubt(_)))), in_doubt);
        assert_eq!(model.created(), 16 - in_doubt);
        assert_eq!(model.count(|place| *place == Place::Fresh), 1_000 - 16);
        let waited = begin.elapsed();
        assert_eq!(waited >= Duration::from_secs(30), level == StopLevel::Drain, "{waited:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_ledger_that_fails_stops_the_run_and_created_rows_are_told() {
    let mut model = Model::new(1_000);
    model.fail_at = Some(20);
    let server = Server::new(|_| http(201));
    let report = sent(&model, &server, &limits("unlimited")).await;
    assert!(matches!(report.stopped_by, Some(StopReason::Ledger(_))));
    assert_eq!(report.unrecorded.len() as u64 + model.created() as u64, report.calls);
    assert!(!report.unrecorded.is_empty());
}

#[tokio::test(start_paused = true)]
async fn an_empty_run_ends_at_once() {
    let report = sent(&Model::new(0), &Server::new(|_| http(201)), &limits("50/s")).await;
    assert!(report.stopped_by.is_none());
    assert_eq!(report.calls, 0);
    assert_eq!(Rate::DEFAULT.to_string(), "50/s");
}
