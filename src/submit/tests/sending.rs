//! What is sent, claimed, retried and recorded.

use std::num::NonZeroU32;
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::{Instant, sleep};

use super::model::{Collected, Model, Place, Server, http, limits, refused, sent, sent_under, throttled};
use crate::client::{Answer, ClientError, TokenError, TokenFault, TokenPlace, TransportFault};
use crate::event::EventKind;
use crate::request::{CreateRequest, ErrorCode, Outcome, RequestType};
use crate::submit::{Rate, StopLevel, StopReason, Trip};

#[tokio::test(start_paused = true)]
async fn every_row_is_sent_once_and_recorded() {
    let (model, server) = (Model::new(1_000), Server::new(|_| http(201)));
    let sink = Collected::default();
    let report = sent_under(&model, &server, &limits("unlimited"), watch::channel(StopLevel::Run).1, &sink).await;
    assert!(report.stopped_by.is_none());
    assert_eq!((model.created(), report.created, report.calls), (1_000, 1_000, 1_000));
    assert_eq!(server.most_in_flight(), 16, "concurrency is used and kept");
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
    let enroll = CreateRequest::new(RequestType::Enroll);
    let unblocks = (0..400).map(|_| CreateRequest::new(RequestType::Unblock));
    let model = Model::of(std::iter::once(enroll).chain(unblocks));
    let server = Server::by(|arrival| if arrival.request_type() == "Enroll" { refused() } else { http(201) });
    let report = sent(&model, &server, &limits("20/s")).await;
    assert!(report.stopped_by.is_none(), "{:?}", report.stopped_by);
    assert_eq!(report.calls, 400 + 5);
    assert_eq!(model.count(|place| matches!(place, Place::Done(Outcome::Failed(_)))), 1);
}

#[tokio::test(start_paused = true)]
async fn a_server_that_went_away_stops_the_run_and_fails_no_row() {
    let model = Model::new(3);
    let server = Server::new(|n| if n == 1 { http(201) } else { refused() });
    let report = sent(&model, &server, &limits("unlimited")).await;
    assert!(matches!(report.stopped_by, Some(StopReason::Unreachable(_))), "{:?}", report.stopped_by);
    assert_eq!((model.created(), model.unsent()), (1, 2));
}

#[tokio::test(start_paused = true)]
async fn throttling_holds_the_whole_run_and_costs_no_attempt() {
    let model = Model::new(40);
    let server = Server::new(|n| if (10..30).contains(&n) { throttled(7) } else { http(201) });
    let report = sent(&model, &server, &limits("unlimited")).await;
    assert!(report.stopped_by.is_none());
    assert_eq!(model.created(), 40);
    let calls = server.arrivals.borrow();
    let longest = calls.windows(2).map(|pair| pair[1].at - pair[0].at).max().unwrap();
    assert!(longest >= Duration::from_secs(6), "the run waited {longest:?}");
}

#[tokio::test(start_paused = true)]
async fn a_run_that_is_only_throttled_ends_after_the_stall_time() {
    let model = Model::new(40);
    let begin = Instant::now();
    let report = sent(&model, &Server::new(|_| throttled(30)), &limits("unlimited")).await;
    assert!(matches!(report.stopped_by, Some(StopReason::Stalled { .. })), "{:?}", report.stopped_by);
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

    // Where the file of the credentials is no longer taken, that is what is to be known.
    let mut server = Server::new(|_| http(401));
    server.renews = || {
        let place = TokenPlace::File("token.txt".into());
        Err(ClientError::Token(TokenError { place, fault: TokenFault::Empty }))
    };
    let report = sent(&Model::new(100), &server, &limits("unlimited")).await;
    match report.stopped_by {
        Some(StopReason::NotSignedIn(fault)) => {
            assert_eq!(
                (fault.http_status, &*fault.message),
                (Some(401), r#"the bearer token in "token.txt" is empty"#)
            );
        }
        other => panic!("{other:?}"),
    }
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
