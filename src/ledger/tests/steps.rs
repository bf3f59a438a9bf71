use super::support::*;
use crate::ledger::{AttemptRecord, Ledger, LedgerError, LedgerTrouble, Requeue, RowEvent, RowState, SessionEnd, Step};
use crate::request::{ErrorCode, Fault, Outcome, RequestType};

fn pending(code: ErrorCode) -> Outcome {
    Outcome::Pending(Fault::without_answer(code, "to be sent again"))
}

fn listed(number: u32, attempt_number: u32, code: ErrorCode) -> AttemptRecord {
    AttemptRecord { then: Requeue::Listed, ..record(number, attempt_number, pending(code)) }
}

#[test]
fn rows_are_claimed_in_order_and_only_those_that_are_to_be_sent() {
    let place = Place::new();
    let item = full_item(1);
    let rows = vec![
        load(item.clone()),
        skipped(2),
        invalid(3),
        load(bare_item(4, RequestType::Renew)),
        load(full_item(5)),
        skipped(6),
    ];
    let ledger = place.started(rows);
    let mut steps = Steps::of(&ledger);
    let answer = steps.do_step(Step { claim: 2, ..Step::default() }).unwrap();
    assert_eq!(pairs(&answer), [(1, 1), (4, 1)]);
    assert_eq!((&answer.rows[0].request, answer.rows[0].counted_attempts), (&item.request, 0));
    assert_eq!(steps.claim(9), [(5, 1)]);
    assert_eq!(steps.claim(9), []);
    assert_eq!(
        place.states(),
        [
            RowState::Sending,
            RowState::Skipped,
            RowState::Invalid,
            RowState::Sending,
            RowState::Sending,
            RowState::Skipped
        ]
    );
}

#[test]
fn each_outcome_leaves_its_row_in_its_state() {
    for place in Place::both() {
        let ledger = place.started(bare_rows(5));
        let mut steps = Steps::of(&ledger);
        steps.claim(5);
        steps.record(vec![
            record(1, 1, created(7)),
            record(2, 1, Outcome::Failed(fault(ErrorCode::BadRequest, 400))),
            record(3, 1, Outcome::InDoubt(fault(ErrorCode::ServerError, 500))),
            record(4, 1, pending(ErrorCode::ConnectionRefused)),
        ]);
        assert_eq!(
            place.states(),
            [RowState::Created, RowState::Failed, RowState::InDoubt, RowState::Pending, RowState::Sending]
        );
        let first = place.row(1);
        assert_eq!(first.request_uuid.unwrap().guid(), &guid(7));
        assert_eq!(first.request_uri.unwrap().as_str(), format!("api/v1.0/requests/{}", guid(7)));
        assert_eq!((first.http_status, first.error_code, first.attempts), (Some(201), None, 1));
        assert_eq!(first.first_attempt_at, Some(time("2026-03-01T08:00:01.25Z")));
        assert_eq!((first.last_attempt_at, first.latency_ms), (first.first_attempt_at, Some(12)));
        let second = place.row(2);
        assert_eq!((second.http_status, second.error_code), (Some(400), Some(ErrorCode::BadRequest)));
        assert_eq!(second.error_message.as_deref(), Some("the server said 400"));
        assert_eq!(second.correlation_id.unwrap().as_str(), "c-1");
    }
}

#[test]
fn a_step_records_gives_back_and_claims_at_once() {
    for place in Place::both() {
        let ledger = place.started(bare_rows(9));
        let mut steps = Steps::of(&ledger);
        steps.claim(4);
        steps.record(vec![listed(4, 1, ErrorCode::Throttled)]);
        let answer = steps
            .do_step(Step {
                record: vec![record(1, 1, created(1)), record(2, 1, pending(ErrorCode::NotConnected))],
                give_back: vec![(row(3), attempt(1))],
                claim_rows: vec![row(4)],
                claim: 4,
                ..Step::default()
            })
            .unwrap();
        assert_eq!(pairs(&answer), [(4, 2), (2, 2), (3, 2), (5, 1), (6, 1)]);
    }
}

#[test]
fn what_was_given_back_is_pending_and_no_attempt() {
    let place = Place::new();
    let ledger = place.started(bare_rows(2));
    let mut steps = Steps::of(&ledger);
    steps.claim(2);
    steps.do_step(Step { give_back: vec![(row(1), attempt(1))], ..Step::default() }).unwrap();
    assert_eq!((place.row(1).state, place.row(1).attempts), (RowState::Pending, 0));
    assert!(place.history(1).outcomes.is_empty());
    // The number of the attempt that was not made is not used again, so that a late record of it cannot pass.
    let answer = steps.do_step(Step { claim: 1, ..Step::default() }).unwrap();
    assert_eq!((pairs(&answer), answer.rows[0].counted_attempts), (vec![(1, 2)], 0));
    let late = steps.do_step(Step { record: vec![record(1, 1, created(1))], ..Step::default() }).unwrap_err();
    let expected = "row 1: attempt 1 is not the one that is claimed (2)";
    assert!(matches!(&late, LedgerError::Refused(why) if why == expected), "{late}");
    steps.record(vec![record(1, 2, created(1))]);
    assert_eq!((place.row(1).state, place.row(1).attempts), (RowState::Created, 1));
}

#[test]
fn a_row_in_backoff_waits_for_its_session_and_for_nobody_elses() {
    for place in Place::both() {
        let ledger = place.started(bare_rows(3));
        let mut steps = Steps::of(&ledger);
        steps.claim(2);
        steps.record(vec![listed(1, 1, ErrorCode::Unavailable), record(2, 1, pending(ErrorCode::Unavailable))]);
        assert_eq!(steps.claim(9), [(2, 2), (3, 1)]);
        let again = steps.do_step(Step { claim_rows: vec![row(1)], ..Step::default() }).unwrap();
        assert_eq!((pairs(&again), again.rows[0].counted_attempts), (vec![(1, 2)], 1));
        steps.record(vec![listed(1, 2, ErrorCode::Unavailable)]);
        assert_eq!(steps.claim(9), []);
        drop(ledger);
        // Its session is dead, so anyone may take the row.
        assert_eq!(Steps::of(&place.open()).claim(9), [(1, 3)]);
    }
}

#[test]
fn attempts_that_were_no_fair_try_do_not_count() {
    let place = Place::new();
    let ledger = place.started(bare_rows(1));
    let mut steps = Steps::of(&ledger);
    steps.claim(1);
    for (number, code, counted) in [
        (1, ErrorCode::Throttled, 0),
        (2, ErrorCode::Unavailable, 1),
        (3, ErrorCode::NotSignedIn, 1),
        (4, ErrorCode::ApiNotFound, 1),
        (5, ErrorCode::Unavailable, 2),
        (6, ErrorCode::NotConnected, 2),
        (7, ErrorCode::ConnectionRefused, 2),
        (8, ErrorCode::NameNotResolved, 2),
        (9, ErrorCode::TlsFailed, 2),
        (10, ErrorCode::Expired, 2),
    ] {
        steps.record(vec![record(1, number, pending(code))]);
        let answer = steps.do_step(Step { claim: 1, ..Step::default() }).unwrap();
        assert_eq!((pairs(&answer), answer.rows[0].counted_attempts), (vec![(1, number + 1)], counted), "{code:?}");
    }
    assert_eq!(place.row(1).attempts, 11);
}

#[test]
fn a_step_asked_for_again_gives_its_answer_and_does_nothing_twice() {
    for place in Place::both() {
        let ledger = place.started(bare_rows(9));
        let claim = |number| ledger.step_blocking(Step { number, claim: 2, ..Step::default() });
        let first = claim(1).unwrap();
        assert_eq!(claim(1).unwrap(), first);
        let second = claim(2).unwrap();
        assert_eq!(pairs(&second), [(3, 1), (4, 1)]);
        let before = dump(&place.path);
        for number in [0, 1, 4] {
            match claim(number).unwrap_err() {
                LedgerError::Refused(why) => assert_eq!(why, format!("step {number} is out of order; the next is 3")),
                other => panic!("{other}"),
            }
        }
        assert_eq!(claim(2).unwrap(), second);
        assert_eq!(dump(&place.path), before);
    }
}

#[test]
fn an_illegal_step_changes_nothing_and_says_why() {
    for place in Place::both() {
        let mut rows = bare_rows(6);
        rows.extend([skipped(7), invalid(8)]);
        let ledger = place.started(rows);
        let mut steps = Steps::of(&ledger);
        steps.claim(4);
        steps.record(vec![
            record(1, 1, created(1)),
            record(2, 1, Outcome::InDoubt(fault(ErrorCode::Timeout, 504))),
            listed(3, 1, ErrorCode::NotConnected),
        ]);
        let before = dump(&place.path);
        let again = |number: u32| Step { record: vec![record(number, 1, created(number))], ..Step::default() };
        let claim = |number: u32| Step { claim_rows: vec![row(number)], ..Step::default() };
        let give_back =
            |number: u32, tries: u32| Step { give_back: vec![(row(number), attempt(tries))], ..Step::default() };
        let illegal =
            |number: u32, state: RowState, event: RowEvent| format!("row {number}: {}", state.next(event).unwrap_err());
        let cases = [
            (again(1), illegal(1, RowState::Created, RowEvent::Created)),
            (again(2), illegal(2, RowState::InDoubt, RowEvent::Created)),
            (again(3), illegal(3, RowState::Pending, RowEvent::Created)),
            (again(5), illegal(5, RowState::Pending, RowEvent::Created)),
            (again(7), illegal(7, RowState::Skipped, RowEvent::Created)),
            (again(8), illegal(8, RowState::Invalid, RowEvent::Created)),
            (again(9), "the run has no row 9".to_owned()),
            (claim(1), illegal(1, RowState::Created, RowEvent::Claimed)),
            (claim(2), illegal(2, RowState::InDoubt, RowEvent::Claimed)),
            (claim(4), illegal(4, RowState::Sending, RowEvent::Claimed)),
            (claim(5), "row 5 was never attempted; such rows are claimed in row order".to_owned()),
            (claim(9), "the run has no row 9".to_owned()),
            (give_back(1, 1), illegal(1, RowState::Created, RowEvent::GivenBack)),
            (give_back(4, 2), "row 4: attempt 2 is not the one that is claimed (1)".to_owned()),
        ];
        for (step, expected) in cases {
            // Legal parts of the same step fall with it.
            let step = Step { claim: 1, record: [vec![record(4, 1, created(4))], step.record].concat(), ..step };
            let step = if step.give_back.is_empty() && expected != illegal(4, RowState::Sending, RowEvent::Claimed) {
                step
            } else {
                Step { record: Vec::new(), ..step }
            };
            match steps.do_step(step).unwrap_err() {
                LedgerError::Refused(why) => assert_eq!(why, expected),
                other => panic!("{expected}: {other}"),
            }
            assert_eq!(dump(&place.path), before, "{expected}");
        }
        let twice = vec![record(4, 1, created(4)), record(4, 1, created(4))];
        assert!(steps.do_step(Step { record: twice, ..Step::default() }).is_err());
        assert_eq!(dump(&place.path), before);
        steps.do_step(Step { record: vec![record(4, 1, created(4))], claim: 1, ..Step::default() }).unwrap();
    }
}

#[test]
fn nothing_is_claimed_of_a_run_that_was_not_started() {
    let place = Place::new();
    let mut ledger = create(&place.path, bare_rows(1)).unwrap();
    let claim = || Step { number: 1, claim: 1, ..Step::default() };
    let refused = ledger.step_blocking(claim()).unwrap_err();
    assert!(matches!(refused, LedgerError::NotStarted(..)), "{refused}");
    assert_eq!(place.states(), [RowState::Pending]);
    ledger.start_run().unwrap();
    assert_eq!(pairs(&ledger.step_blocking(claim()).unwrap()), [(1, 1)]);
}

#[tokio::test]
async fn steps_are_done_for_tasks_too() {
    let place = Place::new();
    let ledger = place.started(bare_rows(40));
    // More askers than the queue has places; each learns its answer or that its number was not the next.
    let steps = (1..=20).map(|number| ledger.step(Step { number, claim: 1, ..Step::default() }));
    let answers = futures_util::future::join_all(steps).await;
    let claimed: usize = answers.iter().flatten().map(|answer| answer.rows.len()).sum();
    assert_eq!(claimed, place.states().iter().filter(|state| **state == RowState::Sending).count());
    assert_eq!(pairs(answers[0].as_ref().unwrap()), [(1, 1)]);
}

#[test]
fn a_session_that_was_taken_over_records_nothing_more() {
    let place = Place::new();
    let first = place.started(bare_rows(3));
    let mut steps = Steps::of(&first);
    steps.claim(1);
    // A file system that says that it has locks, and has none.
    let conn = rusqlite::Connection::open(&place.path).unwrap();
    conn.execute_batch(
        "INSERT INTO sessions (session, version, user, host, pid, command, started_at, began_at)
         VALUES (2, '0.1.0', 'bob', 'ops2', 1, 'submit', 0, 0)",
    )
    .unwrap();
    let before = dump(&place.path);
    let refused =
        steps.do_step(Step { record: vec![record(1, 1, created(1))], claim: 1, ..Step::default() }).unwrap_err();
    assert!(matches!(refused, LedgerError::TakenOver(..)), "{refused}");
    assert_eq!(refused.trouble(), LedgerTrouble::InUse);
    assert!(first.close(SessionEnd::Finished).is_err());
    assert_eq!(dump(&place.path), before);
}

// Windows renames no file that SQLite has open.
#[cfg(unix)]
#[test]
fn nothing_is_claimed_in_a_file_that_lost_its_name() {
    for place in Place::both() {
        let ledger = place.started(bare_rows(2));
        let mut steps = Steps::of(&ledger);
        steps.claim(1);
        std::fs::rename(&place.path, place.folder().join("moved.ledger")).unwrap();
        let refused = steps.do_step(Step { claim: 1, ..Step::default() }).unwrap_err();
        assert!(matches!(refused, LedgerError::Gone(..)), "{refused}");
        std::fs::write(&place.path, "another file").unwrap();
        let refused = steps.do_step(Step { claim: 1, ..Step::default() }).unwrap_err();
        assert!(matches!(refused, LedgerError::Closed(..)), "{refused}");
    }
}

/// Opens a ledger and changes its writer.
fn open_changed(place: &Place, change: impl FnOnce(&rusqlite::Connection) + Send + 'static) -> Ledger {
    let ledger = place.open();
    let changed = ledger.ask_blocking(|writer| {
        change(&writer.conn);
        Ok(())
    });
    changed.unwrap();
    ledger
}

#[test]
fn a_full_disk_stops_the_writer_and_half_records_nothing() {
    let place = Place::new();
    drop(place.started(bare_rows(500)));
    let ledger = open_changed(&place, |conn| {
        // SQLite answers a file that may not grow as it answers a full disk.
        let n_pages: i64 = conn.query_row("PRAGMA page_count", [], |row| row.get(0)).unwrap();
        conn.query_row(&format!("PRAGMA max_page_count = {n_pages}"), [], |_| Ok(())).unwrap();
    });
    let mut steps = Steps::of(&ledger);
    let claimed = steps.claim(500);
    let before = dump(&place.path);
    let records = claimed.iter().map(|(number, tries)| record(*number, *tries, created(*number))).collect();
    let full = steps.do_step(Step { record: records, ..Step::default() }).unwrap_err();
    assert!(matches!(full, LedgerError::DiskFull(..)), "{full}");
    assert_eq!(full.trouble(), LedgerTrouble::Unwritable);
    let next = steps.do_step(Step::default()).unwrap_err();
    assert!(matches!(next, LedgerError::Closed(..)), "{next}");
    assert!(matches!(write_event(&ledger, "note", "x").unwrap_err(), LedgerError::Closed(..)));
    assert!(ledger.close(SessionEnd::Finished).is_err());
    assert_eq!(dump(&place.path), before);
    place.open();
    assert_eq!(place.states(), [RowState::InDoubt; 500]);
}

#[test]
fn a_disk_that_turned_read_only_is_told_from_a_full_one() {
    let place = Place::new();
    drop(place.started(bare_rows(2)));
    let ledger = open_changed(&place, |conn| conn.pragma_update(None, "query_only", true).unwrap());
    let refused = Steps::of(&ledger).do_step(Step { claim: 1, ..Step::default() }).unwrap_err();
    assert!(matches!(refused, LedgerError::Sqlite(..)), "{refused}");
    assert_eq!(refused.trouble(), LedgerTrouble::Unwritable);
    drop(ledger);
    assert_eq!(place.states(), [RowState::Pending; 2]);
}
