//! The first request of its kind.

use std::time::Duration;

use tokio::sync::watch;
use tokio::time::{Instant, sleep};

use super::model::{Arrival, Collected, Model, Place, Server, http, limits, round, timed_out, wire};
use crate::client::{Answer, ReadError, RequestObject, RequestStatus};
use crate::event::EventKind;
use crate::machine::Machine;
use crate::request::{CreateRequest, Guid, Outcome, RequestKind, RequestType, RequestUuid, RowId};
use crate::submit::kinds::Awaiting;
use crate::submit::{CheckFirst, KnownKind, Limits, Memory, Sending, StopLevel, StopReason, SubmitReport, Work, run};

fn enroll(number: u8) -> CreateRequest {
    CreateRequest {
        template: Some(Guid::from_bytes([7; 16])),
        target: Some(Guid::from_bytes([number; 16])),
        ..CreateRequest::new(RequestType::Enroll)
    }
}

fn enrolls(n_rows: u8) -> Model {
    Model::of((1..=n_rows).map(enroll))
}

fn kind() -> RequestKind {
    enroll(1).request_kind()
}

async fn send<F: Fn(&Arrival) -> Answer>(
    model: &Model,
    server: &Server<F>,
    known: Vec<KnownKind>,
    sink: &Collected,
) -> SubmitReport {
    let limits = limits("unlimited");
    round(model, server, &limits, &mut Memory::new(&Machine::system(), &limits, known), Work::InOrder, sink).await
}

fn other_target(object: RequestObject) -> Result<RequestObject, ReadError> {
    Ok(RequestObject { target: Some(Guid::from_bytes([99; 16])), ..object })
}

fn cut_comment(object: RequestObject) -> Result<RequestObject, ReadError> {
    Ok(RequestObject { comment: object.comment[..20].to_owned(), ..object })
}

fn forbidden(_: RequestObject) -> Result<RequestObject, ReadError> {
    Err(ReadError::Status { status: 403, message: "no".to_owned(), correlation_id: None, retry_after: None })
}

#[tokio::test(start_paused = true)]
async fn one_call_goes_first_and_the_others_after_it_was_read_back() {
    let (model, mut server, sink) = (enrolls(100), Server::new(|_| http(201)), Collected::default());
    server.reading_takes = Duration::from_secs(1);
    let report = send(&model, &server, Vec::new(), &sink).await;
    assert!(report.stopped_by.is_none(), "{:?}", report.stopped_by);
    assert_eq!(report.created, 100);
    let arrivals = server.arrivals.borrow();
    assert!(arrivals[1].at - arrivals[0].at >= Duration::from_millis(1_020), "{:?}", arrivals[1].at - arrivals[0].at);
    assert!(arrivals[15].at - arrivals[1].at < Duration::from_millis(5), "then all at once");
    assert_eq!(server.readings.borrow().len(), 1);
    assert_eq!(*model.notes.borrow(), [(kind(), "read back: status Approved".to_owned())]);
    assert_eq!(sink.count(|kind| matches!(kind, EventKind::ReadBack { .. })), 1);
}

#[tokio::test(start_paused = true)]
async fn a_request_that_is_not_what_was_asked_for_stops_the_run_after_one() {
    for read in [other_target, cut_comment] {
        let (model, mut server) = (enrolls(100), Server::new(|_| http(201)));
        server.read = read;
        let report = send(&model, &server, Vec::new(), &Collected::default()).await;
        match report.stopped_by {
            Some(StopReason::NotAsAsked { row, kind: seen, disagreements, .. }) => {
                assert_eq!((row.get(), seen, disagreements.len()), (1, kind(), 1));
            }
            other => panic!("{other:?}"),
        }
        assert_eq!((report.calls, model.created()), (1, 1), "the one that was made is recorded");
        assert_eq!(model.unsent(), 99);
        assert!(model.notes.borrow().is_empty(), "the next session reads it back again");
    }
}

#[tokio::test(start_paused = true)]
async fn what_cannot_be_read_back_stops_the_run_after_one_unless_a_warning_is_enough() {
    let why = "the server answered 403: no";
    let (model, mut server) = (enrolls(50), Server::new(|_| http(201)));
    server.read = forbidden;
    let report = send(&model, &server, Vec::new(), &Collected::default()).await;
    match report.stopped_by {
        Some(StopReason::NotReadBack { kind: seen, row, why: told, .. }) => {
            assert_eq!((seen, row.get(), told.as_str()), (kind(), 1, why));
        }
        other => panic!("{other:?}"),
    }
    assert_eq!((report.calls, model.unsent()), (1, 49));

    let (model, mut server, sink) = (enrolls(50), Server::new(|_| http(201)), Collected::default());
    server.read = forbidden;
    let limits = Limits { check_first: CheckFirst::Warn, ..limits("unlimited") };
    let mut memory = Memory::new(&Machine::system(), &limits, Vec::new());
    let report = round(&model, &server, &limits, &mut memory, Work::InOrder, &sink).await;
    assert!(report.stopped_by.is_none(), "{:?}", report.stopped_by);
    assert_eq!(report.created, 50);
    assert_eq!(sink.count(|event| *event == EventKind::NotReadBack { kind: kind(), why: why.to_owned() }), 1);
    assert!(model.notes.borrow().is_empty(), "the next session tries again");
}

#[tokio::test(start_paused = true)]
async fn other_kinds_are_not_held_up() {
    let requests = (0..60).map(|n| if n % 2 == 0 { enroll(n) } else { CreateRequest::new(RequestType::Unblock) });
    let model = Model::of(requests);
    let mut server = Server::new(|_| http(201));
    server.reading_takes = Duration::from_secs(5);
    let unblock = CreateRequest::new(RequestType::Unblock).request_kind();
    let begin = Instant::now();
    let report = send(&model, &server, vec![KnownKind::Confirmed(unblock)], &Collected::default()).await;
    assert_eq!(report.created, 60);
    let arrivals = server.arrivals.borrow();
    let early = arrivals.iter().filter(|arrival| arrival.at - begin < Duration::from_secs(1));
    let types: Vec<&str> = early.map(Arrival::request_type).collect();
    assert_eq!(types.iter().filter(|name| **name == "Unblock").count(), 30, "all of the other kind");
    assert_eq!(types.iter().filter(|name| **name == "Enroll").count(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_kind_whose_first_call_hangs_does_not_hold_up_the_others() {
    // At this rate no more than five rows are claimed ahead; all of the hanging kind come first.
    let requests =
        (0..300).map(|n| if n < 100 || n % 3 == 0 { enroll(1) } else { CreateRequest::new(RequestType::Unblock) });
    let model = Model::of(requests);
    let mut server = Server::by(|arrival: &Arrival| if arrival.number == 1 { timed_out() } else { http(201) });
    server.first_takes = Some(Duration::from_secs(130));
    let unblock = CreateRequest::new(RequestType::Unblock).request_kind();
    let (limits, sink) = (limits("50/s"), Collected::default());
    let mut memory = Memory::new(&Machine::system(), &limits, vec![KnownKind::Confirmed(unblock)]);
    let begin = Instant::now();
    let report = round(&model, &server, &limits, &mut memory, Work::InOrder, &sink).await;
    assert!(report.stopped_by.is_none(), "{:?}", report.stopped_by);
    assert_eq!((report.calls, report.created), (300, 299));
    assert!(*model.most_claimed.borrow() <= 16 + 5, "{} claimed", model.most_claimed.borrow());
    let arrivals = server.arrivals.borrow();
    let early = arrivals.iter().filter(|arrival| arrival.at - begin < Duration::from_secs(10));
    let n_early = early.filter(|arrival| arrival.request_type() == "Unblock").count();
    assert_eq!(n_early, 134, "all of the other kind");
}

#[tokio::test(start_paused = true)]
async fn rows_that_were_set_aside_are_taken_up_as_soon_as_their_kind_may_go() {
    let model = Model::of((0..40).map(|_| enroll(1)));
    let mut server = Server::new(|_| http(201));
    server.reading_takes = Duration::from_secs(60);
    let begin = Instant::now();
    let report = send(&model, &server, Vec::new(), &Collected::default()).await;
    assert_eq!((report.calls, report.created), (40, 40));
    assert!(begin.elapsed() < Duration::from_secs(61), "{:?}", begin.elapsed());
    // One at a time, where nothing of the kind is created: each call takes long enough for the others to be set aside.
    let model = Model::of((0..20).map(|_| enroll(1)));
    let mut server = Server::new(|_| http(400));
    server.takes = Duration::from_secs(2);
    let begin = Instant::now();
    let report = send(&model, &server, Vec::new(), &Collected::default()).await;
    assert_eq!((report.calls, server.most_in_flight()), (20, 1));
    assert!(begin.elapsed() < Duration::from_secs(41), "{:?}", begin.elapsed());
}

fn unread() -> KnownKind {
    KnownKind::Unread {
        row: RowId::new(77).unwrap(),
        uuid: RequestUuid::new(Guid::from_bytes([8; 16])),
        request: Box::new(enroll(77)),
    }
}

/// The request of [`unread`], as it was asked for.
fn as_asked(object: RequestObject) -> Result<RequestObject, ReadError> {
    let request = enroll(77);
    let comment = wire().comment(RowId::new(77).unwrap(), &request);
    Ok(RequestObject { comment, target: request.target, template: request.template, ..object })
}

#[tokio::test(start_paused = true)]
async fn what_an_earlier_session_created_is_read_back_before_the_next_call() {
    let (mut model, mut server) = (enrolls(30), Server::new(|_| http(201)));
    model.knows_kinds = true;
    server.read = as_asked;
    let report = send(&model, &server, vec![unread()], &Collected::default()).await;
    assert!(report.stopped_by.is_none(), "{:?}", report.stopped_by);
    assert_eq!(report.created, 30);
    assert!(server.readings.borrow()[0] < server.arrivals.borrow()[0].at);
    assert_eq!(server.readings.borrow().len(), 1);

    let (model, mut server) = (enrolls(30), Server::new(|_| http(201)));
    server.read = other_target;
    let report = send(&model, &server, vec![unread()], &Collected::default()).await;
    assert!(matches!(report.stopped_by, Some(StopReason::NotAsAsked { .. })), "{:?}", report.stopped_by);
    assert_eq!(report.calls, 0);
}

#[tokio::test(start_paused = true)]
async fn an_earlier_request_that_was_canceled_gives_way_to_a_new_first_one() {
    let (model, mut server, sink) = (enrolls(30), Server::new(|_| http(201)), Collected::default());
    server.read = |object| match object.comment.as_str() {
        "" => Ok(RequestObject { status: RequestStatus::Canceled, ..object }),
        _ => Ok(object),
    };
    let report = send(&model, &server, vec![unread()], &sink).await;
    assert!(report.stopped_by.is_none(), "{:?}", report.stopped_by);
    assert_eq!((report.created, server.readings.borrow().len()), (30, 2));
    assert_eq!(sink.count(|kind| matches!(kind, EventKind::NotReadBack { .. })), 1);
    let arrivals = server.arrivals.borrow();
    assert!(arrivals[1].at - arrivals[0].at >= Duration::from_millis(40), "one goes first again");
}

#[tokio::test(start_paused = true)]
async fn a_template_without_rights_stops_the_run_after_25_refusals() {
    let model =
        Model::of((0..200).map(|n| if n % 4 == 0 { CreateRequest::new(RequestType::Unblock) } else { enroll(n) }));
    let server = Server::by(|arrival| if arrival.request_type() == "Enroll" { http(403) } else { http(201) });
    let report = send(&model, &server, Vec::new(), &Collected::default()).await;
    match report.stopped_by {
        Some(StopReason::Refused { kind: seen, status, n_rows, .. }) => {
            assert_eq!((seen, status, n_rows), (kind(), 403, 25));
        }
        other => panic!("{other:?}"),
    }
    assert_eq!(model.count(|place| matches!(place, Place::Done(Outcome::Failed(_)))), 25);
}

#[tokio::test(start_paused = true)]
async fn a_row_in_doubt_does_not_hold_the_next_of_its_kind_and_two_hold_it_and_no_other() {
    let requests = (0..100).map(|n| if n % 2 == 0 { enroll(n) } else { CreateRequest::new(RequestType::Unblock) });
    let model = Model::of(requests);
    let server = Server::by(|arrival| if arrival.request_type() == "Enroll" { timed_out() } else { http(201) });
    let limits = limits("unlimited");
    let mut memory = Memory::new(&Machine::system(), &limits, Vec::new());
    let report = round(&model, &server, &limits, &mut memory, Work::InOrder, &Collected::default()).await;
    assert!(report.stopped_by.is_none(), "a list is to tell: {:?}", report.stopped_by);
    assert_eq!((report.calls, model.created()), (52, 50));
    assert_eq!(model.count(|place| matches!(place, Place::Done(Outcome::InDoubt(_)))), 2);
    let rows = [1, 3].map(|number| RowId::new(number).unwrap()).into();
    assert_eq!(memory.kinds.awaiting(), [(kind(), Awaiting::Doubts(rows))]);
}

#[tokio::test(start_paused = true)]
async fn two_rows_answered_with_500_hold_their_kind_until_a_list_tells() {
    let requests = (0..200).map(|n| if n % 4 == 0 { CreateRequest::new(RequestType::Unblock) } else { enroll(n) });
    let model = Model::of(requests);
    let server = Server::by(|arrival| if arrival.request_type() == "Enroll" { http(500) } else { http(201) });
    let limits = limits("unlimited");
    let mut memory = Memory::new(&Machine::system(), &limits, Vec::new());
    let sink = Collected::default();
    let report = round(&model, &server, &limits, &mut memory, Work::InOrder, &sink).await;
    assert!(report.stopped_by.is_none(), "a list is to tell: {:?}", report.stopped_by);
    let awaiting = memory.kinds.awaiting();
    let [(kind, Awaiting::Errors(rows))] = awaiting.as_slice() else { panic!("{awaiting:?}") };
    assert_eq!(rows.len(), 2);
    assert_eq!((kind.request_type, model.created()), (RequestType::Enroll, 50));
}

#[tokio::test(start_paused = true)]
async fn a_reading_is_not_waited_for_when_the_run_stops() {
    for level in [StopLevel::Drain, StopLevel::Leave] {
        let (model, mut server) = (enrolls(100), Server::new(|_| http(201)));
        server.reading_takes = Duration::from_secs(60);
        let (limits, sink) = (limits("unlimited"), Collected::default());
        let (stop, control) = watch::channel(StopLevel::Run);
        let halt = async {
            sleep(Duration::from_secs(1)).await;
            stop.send(level).unwrap();
        };
        let begin = Instant::now();
        let mut memory = Memory::new(&Machine::system(), &limits, Vec::new());
        let sending = Sending { engine: &model, calls: &server, wire: &wire(), limits: &limits, sink: &sink };
        let (report, ()) = tokio::join!(run(&sending, &mut memory, Work::InOrder, 100, control), halt);
        assert!(matches!(report.stopped_by, Some(StopReason::Interrupted)));
        assert_eq!((report.calls, model.created()), (1, 1));
        assert!(begin.elapsed() < Duration::from_secs(2), "{level:?}: {:?}", begin.elapsed());
        assert!(model.notes.borrow().is_empty(), "the next session reads it back");
    }
}

#[tokio::test(start_paused = true)]
async fn a_ledger_that_cannot_keep_what_was_read_stops_the_run() {
    let (mut model, server) = (enrolls(10), Server::new(|_| http(201)));
    model.fail_notes = true;
    let report = send(&model, &server, Vec::new(), &Collected::default()).await;
    assert!(matches!(report.stopped_by, Some(StopReason::Ledger(_))), "{:?}", report.stopped_by);
    assert_eq!(report.calls, 1);
}
