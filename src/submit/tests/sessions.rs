//! Whole sessions: the first list, claims, the first of a kind, a ledger that is behind, the last look.

use std::time::Duration;

use jiff::SignedDuration;
use tokio::sync::watch;
use tokio::time::{Instant, sleep};

use super::server::{Deed, Run, Server, request, row, status};
use crate::client::{ReadError, RequestObject, TransportFault};
use crate::event::EventKind;
use crate::ledger::RowState;
use crate::reconcile::Trust;
use crate::request::{CreateRequest, ErrorCode, RequestType};
use crate::submit::{CheckFirst, FinalLook, Limits, Setting, StopLevel, StopReason, Work};

fn seconds(all: &[Duration]) -> Vec<u64> {
    all.iter().map(Duration::as_secs).collect()
}

#[tokio::test(start_paused = true)]
async fn a_session_asks_first_sends_all_and_looks_once_more() {
    let server = Server::new(|_| Deed::Create);
    let run = Run::new(&server, 30);
    let report = run.send(&server).await;
    assert!(report.sent.stopped_by.is_none(), "{:?}", report.sent.stopped_by);
    assert_eq!((report.sent.created, report.is_audited, run.count(RowState::Created)), (30, true, 30));
    let (lists, calls) = (server.lists.borrow(), server.calls.borrow());
    assert_eq!((lists.len(), server.reads.borrow().len()), (2, 1));
    assert!(lists[0] < calls[0] && *calls.last().unwrap() < lists[1]);
}

#[tokio::test(start_paused = true)]
async fn the_last_look_is_not_made_where_nobody_wants_it_nothing_was_sent_or_the_run_stopped() {
    let server = Server::new(|_| Deed::Create);
    let mut run = Run::new(&server, 3);
    run.patience.final_look = FinalLook::No;
    let report = run.send(&server).await;
    assert_eq!((report.is_audited, server.lists.borrow().len()), (false, 1));
    run.patience.final_look = FinalLook::Yes;
    run.restart();
    assert_eq!(run.send(&server).await.sent.calls, 0);
    assert_eq!(server.lists.borrow().len(), 2, "nothing was sent");
    let server = Server::new(|_| Deed::Refuse(401));
    let run = Run::new(&server, 3);
    let report = run.send(&server).await;
    assert!(matches!(report.sent.stopped_by, Some(StopReason::NotSignedIn(_))));
    assert_eq!((report.is_audited, server.lists.borrow().len()), (false, 1));
}

#[tokio::test(start_paused = true)]
async fn a_crash_after_the_first_claim_leaves_one_row_of_each_unproven_kind() {
    let server = Server::new(|_| Deed::Hang);
    let requests = (1..=100).map(|n| if n % 2 == 0 { request(n) } else { CreateRequest::new(RequestType::Unblock) });
    let mut run = Run::of(&server, requests.collect());
    tokio::select! {
        report = run.send(&server) => panic!("{report:?}"),
        () = sleep(Duration::from_secs(60)) => {}
    }
    run.restart();
    assert_eq!((run.count(RowState::InDoubt), run.count(RowState::Pending)), (2, 98));
}

#[tokio::test(start_paused = true)]
async fn a_slow_rate_does_not_hold_a_claim_for_the_time_between_two_calls() {
    let server = Server::new(|_| Deed::Create);
    let mut run = Run::new(&server, 6);
    run.limits.rate = "1/m".parse().unwrap();
    let watching = async {
        let mut n_claimed = 0;
        for _ in 0..200 {
            sleep(Duration::from_secs(1)).await;
            n_claimed += run.count(RowState::Sending);
        }
        n_claimed
    };
    let (report, n_claimed) = tokio::join!(run.send(&server), watching);
    assert_eq!(report.sent.created, 6);
    assert!(n_claimed <= 4, "claimed for {n_claimed} s of 200");
    let calls = server.calls.borrow();
    assert!(calls.windows(2).skip(1).all(|pair| pair[1] - pair[0] >= Duration::from_secs(59)), "{calls:?}");
}

#[tokio::test(start_paused = true)]
async fn a_claim_that_is_older_than_five_seconds_is_not_sent() {
    // The server checks each call's claim.
    let mut server = Server::new(|_| Deed::Create);
    server.takes = Duration::from_secs(10);
    let mut run = Run::new(&server, 12);
    run.limits.concurrency = std::num::NonZeroUsize::MIN;
    let report = run.send(&server).await;
    assert!(report.sent.stopped_by.is_none(), "{:?}", report.sent.stopped_by);
    assert_eq!((report.sent.created, report.sent.calls), (12, 12));
    // A machine that sleeps while rows are claimed.
    let server = Server::new(|_| Deed::Create);
    let mut run = Run::new(&server, 100);
    run.limits.rate = "20/s".parse().unwrap();
    let sleeping = async {
        for _ in 0..10 {
            sleep(Duration::from_millis(350)).await;
            server.clock.pass(Duration::from_secs(60));
        }
    };
    let (report, ()) = tokio::join!(run.send(&server), sleeping);
    assert_eq!((report.sent.created, report.sent.calls, run.count(RowState::Created)), (100, 100, 100));
}

#[tokio::test(start_paused = true)]
async fn a_clock_that_jumps_has_the_list_asked_for_again() {
    let server = Server::new(|_| Deed::Create);
    let mut run = Run::new(&server, 100);
    run.limits.rate = "10/s".parse().unwrap();
    let turning = async {
        sleep(Duration::from_secs(4)).await;
        server.clock.turn_wall(SignedDuration::from_secs(-3600));
    };
    let (report, ()) = tokio::join!(run.send(&server), turning);
    assert!(report.sent.stopped_by.is_none(), "{:?}", report.sent.stopped_by);
    assert_eq!(report.sent.created, 100);
    let (lists, calls) = (server.lists.borrow(), server.calls.borrow());
    assert_eq!(seconds(&lists)[..2], [0, 4]);
    assert_eq!(lists.len(), 3);
    assert!(!calls.iter().any(|call| (lists[1]..lists[1] + Duration::from_millis(100)).contains(call)), "none between");
}

async fn first_list(errors: Vec<ReadError>, wait_for_server: u64) -> (Vec<u64>, bool) {
    let server = Server::new(|_| Deed::Create);
    server.list_errors.replace(errors.into());
    server.list_takes.set(Duration::ZERO);
    let mut run = Run::new(&server, 3);
    run.patience.wait_for_server = Duration::from_secs(wait_for_server);
    let report = run.session().look_first(&run.setting(&server)).await.unwrap();
    let lists = seconds(&server.lists.borrow());
    (lists, report.unreadable.is_none())
}

#[tokio::test(start_paused = true)]
async fn the_first_list_is_asked_for_again_after_resets_and_server_errors_only() {
    let cut_off = || ReadError::CutOff { after: 3 };
    let transport = |fault| ReadError::Transport { fault, message: "gone".to_owned() };
    assert_eq!(first_list(vec![cut_off(), status(503), cut_off()], 0).await, (vec![0, 10, 40, 100], true));
    assert_eq!(first_list((0..4).map(|_| cut_off()).collect(), 0).await, (vec![0, 10, 40, 100], false));
    assert_eq!(first_list((0..4).map(|_| status(500)).collect(), 0).await, (vec![0, 10, 40, 100], false));
    assert_eq!(first_list(vec![transport(TransportFault::ConnectionLost)], 0).await, (vec![0, 10], true));
    for error in [status(403), status(401), ReadError::NoContent, transport(TransportFault::ConnectionRefused)] {
        let told = error.to_string();
        assert_eq!(first_list(vec![error], 0).await, (vec![0], false), "{told}");
    }
    // A server that is waited for is waited for at the start, too.
    let gone = || transport(TransportFault::ConnectionRefused);
    assert_eq!(first_list(vec![gone(), gone()], 600).await, (vec![0, 10, 40], true));
    let (lists, is_read) = first_list((0..99).map(|_| gone()).collect(), 300).await;
    assert!(!is_read && (300..=330).contains(lists.last().unwrap()), "{lists:?}");
    assert_eq!(first_list(vec![status(403)], 600).await, (vec![0], false));
}

#[tokio::test(start_paused = true)]
async fn no_row_fails_while_a_server_that_is_waited_for_is_away() {
    let server = Server::new(|n| if (2..=12).contains(&n) { Deed::Away } else { Deed::Create });
    server.away.set(3);
    let mut run = Run::new(&server, 4);
    run.patience.wait_for_server = Duration::from_secs(1_800);
    let report = run.send(&server).await;
    assert!(report.sent.stopped_by.is_none(), "{:?}", report.sent.stopped_by);
    assert_eq!((run.count(RowState::Created), run.count(RowState::Failed)), (4, 0));
    let away = Server::new(|n| if n > 1 { Deed::Away } else { Deed::Create });
    away.away.set(1_000);
    let mut run = Run::new(&away, 4);
    run.patience.wait_for_server = Duration::from_secs(60);
    let report = run.send(&away).await;
    assert!(matches!(report.sent.stopped_by, Some(StopReason::Unreachable(_))), "{:?}", report.sent.stopped_by);
    assert_eq!((run.count(RowState::Pending), run.count(RowState::Failed)), (3, 0));
}

#[tokio::test(start_paused = true)]
async fn a_ledger_that_is_behind_waits_and_sends_one_row_before_the_rest() {
    let server = Server::new(|_| Deed::Create);
    let run = Run::behind(&server, 8);
    let report = run.send(&server).await;
    assert!(report.sent.stopped_by.is_none(), "{:?}", report.sent.stopped_by);
    assert_eq!((report.sent.created, run.count(RowState::Created)), (7, 8));
    let (lists, calls) = (server.lists.borrow(), server.calls.borrow());
    assert!((155..157).contains(&calls[0].as_secs()), "{calls:?}");
    // One list before it, one that shows it before the next one.
    assert!(lists[1] < calls[0] && calls[0] < lists[2] && lists[2] < calls[1], "{lists:?} {calls:?}");
    let behind = |event: &EventKind| matches!(event, EventKind::Behind { .. });
    assert_eq!(run.sink.count(behind), 1);
}

#[tokio::test(start_paused = true)]
async fn a_ledger_that_is_behind_from_before_the_first_list_sends_nothing_unless_a_person_vouches_for_the_list() {
    for (trust, calls) in [(Trust::Proof, 0), (Trust::List, 7)] {
        let server = Server::new(|_| Deed::Create);
        let mut run = Run::new(&server, 8);
        run.patience.trust = trust;
        let older = run.object(&server, 1);
        server.objects.borrow_mut().push(older);
        let report = run.send(&server).await;
        let is_refused = matches!(report.sent.stopped_by, Some(StopReason::Lacking(0)));
        assert_eq!((report.sent.calls, is_refused), (calls, calls == 0), "{:?}", report.sent.stopped_by);
    }
}

#[tokio::test(start_paused = true)]
async fn chosen_rows_of_a_ledger_that_is_behind_are_sent_once_each() {
    let server = Server::new(|_| Deed::Create);
    let run = Run::behind(&server, 8);
    let (mut session, setting) = (run.session(), run.setting(&server));
    session.look_first(&setting).await.unwrap();
    let chosen = vec![row(3), row(5), row(6)];
    run.ledger().detach(row(6)).unwrap();
    let report = session.send(&setting, Work::Rows(chosen)).await;
    assert!(report.sent.stopped_by.is_none(), "{:?}", report.sent.stopped_by);
    assert_eq!((report.sent.created, report.sent.calls, run.count(RowState::Pending)), (3, 3, 4));
}

#[tokio::test(start_paused = true)]
async fn a_ledger_that_is_behind_stops_where_another_process_is_at_work_or_the_list_shows_nothing() {
    let server = Server::new(|_| Deed::Create);
    let run = Run::behind(&server, 8);
    let another = async {
        sleep(Duration::from_secs(140)).await;
        let late = run.object(&server, 5);
        server.objects.borrow_mut().push(late);
    };
    let (report, ()) = tokio::join!(run.send(&server), another);
    assert!(matches!(report.sent.stopped_by, Some(StopReason::AnotherAtWork { row: seen, .. }) if seen == row(5)));
    assert_eq!(report.sent.calls, 0);

    let server = Server::new(|_| Deed::Create);
    let run = Run::behind(&server, 8);
    server.hides.set(|object: &RequestObject| object.target == request(2).target);
    let report = run.send(&server).await;
    assert!(matches!(report.sent.stopped_by, Some(StopReason::NotShown(seen)) if seen == row(2)));
    assert_eq!((report.sent.calls, run.count(RowState::Pending)), (1, 6));
}

#[tokio::test(start_paused = true)]
async fn the_first_of_a_kind_is_read_back_again_while_it_is_not_there_yet() {
    let server = Server::new(|_| Deed::Create);
    server.read_errors.replace([status(404), status(404), ReadError::NoContent].into());
    let run = Run::new(&server, 8);
    let report = run.send(&server).await;
    assert!(report.sent.stopped_by.is_none(), "{:?}", report.sent.stopped_by);
    let reads = server.reads.borrow();
    assert_eq!(seconds(&reads), [0, 1, 3, 7]);
    assert!(server.calls.borrow()[1] > reads[3]);
}

#[tokio::test(start_paused = true)]
async fn what_is_never_there_is_looked_for_in_the_list_and_what_nobody_may_read_stops() {
    let not_there = || (0..50).map(|_| status(404)).collect();
    let server = Server::new(|_| Deed::Create);
    server.read_errors.replace(not_there());
    let run = Run::new(&server, 8);
    let report = run.send(&server).await;
    assert!(report.sent.stopped_by.is_none(), "{:?}", report.sent.stopped_by);
    assert_eq!(run.count(RowState::Created), 8, "the list shows it");
    assert!(server.calls.borrow()[1] > Duration::from_secs(30));

    let server = Server::new(|_| Deed::Create);
    server.read_errors.replace(not_there());
    server.hides.set(|_| true);
    let run = Run::new(&server, 8);
    let report = run.send(&server).await;
    assert!(matches!(report.sent.stopped_by, Some(StopReason::NotReadBack { .. })), "{:?}", report.sent.stopped_by);
    assert_eq!(report.sent.calls, 1);

    for (check_first, calls) in [(CheckFirst::Stop, 1), (CheckFirst::Warn, 8)] {
        let server = Server::new(|_| Deed::Create);
        server.read_errors.replace([status(403)].into());
        let mut run = Run::new(&server, 8);
        run.limits = Limits { check_first, ..run.limits };
        let report = run.send(&server).await;
        assert_eq!(report.sent.calls, calls, "{check_first:?}: {:?}", report.sent.stopped_by);
    }
    let server = Server::new(|_| Deed::Create);
    server.read_errors.replace((0..50).map(|_| status(503)).collect());
    let run = Run::new(&server, 8);
    let report = run.send(&server).await;
    assert!(matches!(report.sent.stopped_by, Some(StopReason::Unreachable(_))), "{:?}", report.sent.stopped_by);
    assert_eq!(report.sent.calls, 1);
}

#[tokio::test(start_paused = true)]
async fn after_two_doubts_of_a_kind_a_list_tells() {
    let server = Server::new(|n| if n <= 2 { Deed::Lose } else { Deed::Create });
    let run = Run::new(&server, 6);
    let report = run.send(&server).await;
    assert!(report.sent.stopped_by.is_none(), "{:?}", report.sent.stopped_by);
    assert_eq!((run.count(RowState::Created), report.sent.calls), (6, 6));
    let (lists, calls) = (server.lists.take(), server.calls.take());
    assert!(calls[1] < lists[1] && lists[1] < calls[2]);

    let server = Server::new(|_| Deed::Drop);
    let run = Run::new(&server, 6);
    let report = run.send(&server).await;
    match report.sent.stopped_by {
        Some(StopReason::FirstInDoubt { rows, .. }) => assert_eq!(rows, [row(1), row(2)]),
        other => panic!("{other:?}"),
    }
    assert_eq!((report.sent.calls, run.count(RowState::Pending)), (2, 4));
}

#[tokio::test(start_paused = true)]
async fn two_rows_answered_with_500_wait_for_one_list_and_go_on_where_it_has_neither() {
    let server = Server::new(|_| Deed::Refuse(500));
    let run = Run::new(&server, 200);
    let report = run.send(&server).await;
    assert!(matches!(report.sent.stopped_by, Some(StopReason::Breaker(_))), "{:?}", report.sent.stopped_by);
    assert_eq!(report.sent.calls, 25);
    let calls = seconds(&server.calls.borrow());
    assert_eq!((calls[1], calls[2], calls[24]), (0, 30, 30));

    let server = Server::new(|n| if n == 2 { Deed::Mistake } else { Deed::Refuse(500) });
    let run = Run::new(&server, 200);
    let report = run.send(&server).await;
    match report.sent.stopped_by {
        Some(StopReason::FirstInDoubt { rows, .. }) => assert_eq!(rows, [row(1), row(2)]),
        other => panic!("{other:?}"),
    }
    assert_eq!(report.sent.calls, 2);
}

#[tokio::test(start_paused = true)]
async fn six_rows_whose_first_answer_was_lost_are_created_in_under_two_settle_times() {
    let server = Server::new(|n| if n == 1 { Deed::Lose } else { Deed::Create });
    let run = Run::new(&server, 6);
    let begin = Instant::now();
    let report = run.send(&server).await;
    assert!(report.sent.stopped_by.is_none(), "{:?}", report.sent.stopped_by);
    assert_eq!((run.count(RowState::Created), report.sent.calls), (6, 6));
    assert!(begin.elapsed() < Duration::from_secs(60), "{:?}", begin.elapsed());
}

#[tokio::test(start_paused = true)]
async fn a_lost_row_that_is_not_there_is_sent_again_once_that_is_proven() {
    let server = Server::new(|n| if n == 6 { Deed::Drop } else { Deed::Create });
    let run = Run::new(&server, 12);
    let report = run.send(&server).await;
    assert!(report.sent.stopped_by.is_none(), "{:?}", report.sent.stopped_by);
    assert_eq!((run.count(RowState::Created), report.sent.calls), (12, 13));
    assert!(server.calls.borrow()[12] >= Duration::from_secs(155));
}

#[tokio::test(start_paused = true)]
async fn a_row_that_is_answered_with_another_rows_request_is_in_doubt_and_waits_for_its_own_proof() {
    let server = Server::new(|n| if n == 11 { Deed::Repeat } else { Deed::Create });
    let mut run = Run::new(&server, 12);
    // One a minute: the session began long before the attempt.
    run.limits.rate = "1/m".parse().unwrap();
    let report = run.send(&server).await;
    assert!(report.sent.stopped_by.is_none(), "{:?}", report.sent.stopped_by);
    assert_eq!((run.count(RowState::Created), report.sent.calls), (12, 13));
    let calls = server.calls.borrow();
    assert!(calls[12] - calls[10] >= Duration::from_secs(155), "{calls:?}");
    let shared = |event: &EventKind| matches!(event, EventKind::InDoubt { code: ErrorCode::UuidShared, .. });
    assert_eq!(run.sink.count(shared), 1);
}

#[tokio::test(start_paused = true)]
async fn a_last_look_that_fails_is_told_and_changes_nothing() {
    let server = Server::new(|_| Deed::Create);
    let run = Run::new(&server, 3);
    let (mut session, setting) = (run.session(), run.setting(&server));
    session.look_first(&setting).await.unwrap();
    server.list_errors.borrow_mut().push_back(status(503));
    let report = session.send(&setting, Work::InOrder).await;
    assert!(matches!(report.unchecked, Some(ReadError::Status { status: 503, .. })), "{:?}", report.unchecked);
    assert_eq!((report.is_audited, report.sent.stopped_by.is_none(), report.sent.created), (false, true, 3));
}

#[tokio::test(start_paused = true)]
async fn looks_and_waits_end_when_a_stop_is_asked_for() {
    // While the last list is read, and while a proof is waited for.
    for (deed, seconds) in [(Deed::Create, 5), (Deed::Drop, 60)] {
        let server = Server::new(move |n| if n == 6 { deed } else { Deed::Create });
        let run = Run::new(&server, 12);
        let (stop, control) = watch::channel(StopLevel::Run);
        let (mut session, setting) = (run.session(), Setting { control, ..run.setting(&server) });
        session.look_first(&setting).await.unwrap();
        if deed == Deed::Create {
            server.list_takes.set(Duration::from_secs(3_600));
        }
        let halt = async {
            sleep(Duration::from_secs(seconds)).await;
            stop.send(StopLevel::Drain).unwrap();
        };
        let begin = Instant::now();
        let (report, ()) = tokio::join!(session.send(&setting, Work::InOrder), halt);
        assert_eq!(begin.elapsed().as_secs(), seconds);
        assert_eq!(report.sent.created, if deed == Deed::Create { 12 } else { 11 });
        assert!(!report.is_audited || deed == Deed::Drop);
    }
}
