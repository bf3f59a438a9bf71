use super::support::*;
use crate::ledger::{
    Ledger, LedgerError, ManifestPart, Reader, RowState, RowVerdict, SessionEnd, SessionInfo, Standing, Step, lock_path,
};
use crate::request::{ErrorCode, Outcome, RequestType};

fn at_rest() -> Place {
    let place = Place::new();
    place.started(bare_rows(4)).close(SessionEnd::Finished).unwrap();
    place
}

#[test]
fn a_ledger_as_its_last_session_left_it_is_clean_whoever_read_it_meanwhile() {
    let place = Place::new();
    let ledger = place.started(bare_rows(4));
    assert_eq!((ledger.standing(), ledger.session()), (Standing::Clean, 1));
    ledger.close(SessionEnd::Finished).unwrap();
    for number in 2..5 {
        let (one, other) = (place.reader(), place.reader());
        assert_eq!(one.page(0, 9, &[]).unwrap().len(), 4);
        other.tallies().unwrap();
        drop((one, other));
        let ledger = place.open();
        assert_eq!((ledger.standing(), ledger.session()), (Standing::Clean, number));
        Steps::of(&ledger).claim(1);
        let reader = place.reader();
        reader.tallies().unwrap();
        drop(reader);
        ledger.close(SessionEnd::Interrupted).unwrap();
    }
}

#[test]
fn a_reader_that_outlives_the_session_makes_no_copy_of_the_ledger() {
    let place = Place::new();
    let ledger = place.started(bare_rows(4));
    Steps::of(&ledger).claim(1);
    let reader = place.reader();
    ledger.close(SessionEnd::Finished).unwrap();
    assert_eq!(reader.page(0, 9, &[]).unwrap().len(), 4);
    drop(reader);
    assert_eq!(place.open().standing(), Standing::Clean);
}

#[test]
fn a_session_that_did_not_end_is_seen() {
    let place = at_rest();
    drop(place.open());
    assert_eq!(place.open().standing(), Standing::Unclean);
    assert_eq!(place.open().standing(), Standing::Unclean);
}

#[test]
fn a_ledger_elsewhere_or_changed_since_is_a_copy() {
    type Change = fn(&Place);
    let changes: &[(&str, Change)] = &[
        #[cfg(unix)]
        ("another mode", |place| {
            crate::platform::set_mode(&place.path, 0o640);
        }),
        ("another file", |place| {
            let beside = place.folder().join("beside");
            std::fs::copy(&place.path, &beside).unwrap();
            std::fs::rename(&beside, &place.path).unwrap();
        }),
        ("written by others", |place| {
            let conn = rusqlite::Connection::open(&place.path).unwrap();
            conn.execute_batch("UPDATE items SET comment = 'other' WHERE row = 1").unwrap();
        }),
        ("no note", |place| std::fs::remove_file(lock_path(&place.path)).unwrap()),
        ("another note", |place| std::fs::write(lock_path(&place.path), "run 7 session 1 claimed 2\n").unwrap()),
    ];
    for (name, change) in changes {
        let place = at_rest();
        change(&place);
        let ledger = place.open();
        assert_eq!(ledger.standing(), Standing::Copied, "{name}");
        assert_eq!(Steps::of(&ledger).claim(9).len(), 4, "what is pending stays so");
        ledger.close(SessionEnd::Finished).unwrap();
        assert_eq!(place.open().standing(), Standing::Clean, "{name}");
    }
    let place = at_rest();
    let elsewhere = SessionInfo { host: "ops2".to_owned(), ..session("submit") };
    assert_eq!(Ledger::open(&machine(), &place.path, &elsewhere).unwrap().standing(), Standing::Copied);
}

#[test]
fn of_an_older_ledger_all_that_may_have_been_sent_is_in_doubt() {
    let place = Place::new();
    let mut rows = bare_rows(7);
    rows.extend([skipped(8), load(bare_item(9, RequestType::Unblock)), load(bare_item(10, RequestType::Unblock))]);
    let ledger = place.started(rows);
    let mut steps = Steps::of(&ledger);
    steps.claim(4);
    let throttled = Outcome::Pending(fault(ErrorCode::Throttled, 429));
    let refused = Outcome::Failed(fault(ErrorCode::Forbidden, 403));
    steps.record(vec![record(1, 1, created(1)), record(2, 1, throttled), record(3, 1, refused)]);
    ledger.resolve_blocking(vec![resolution(5, RowVerdict::LeftOut)]).unwrap();
    let backup = place.backup();
    // Goes on to row 9, and dies.
    assert_eq!(steps.claim(4), [(2, 2), (6, 1), (7, 1), (9, 1)]);
    drop(ledger);

    place.restore(&backup);
    let ledger = place.open();
    assert_eq!((ledger.standing(), ledger.session()), (Standing::Older, 2));
    let doubt = RowState::InDoubt;
    let expected = [
        RowState::Created,
        doubt,
        RowState::Failed,
        doubt,
        RowState::Skipped,
        doubt,
        doubt,
        RowState::Skipped,
        doubt,
        RowState::Pending,
    ];
    assert_eq!(place.states(), expected);
    let attempts = place.reader().attempts(row(2)).unwrap();
    assert_eq!(attempts.iter().map(|attempt| attempt.attempt.get()).collect::<Vec<_>>(), [1, 2]);
    assert_eq!((attempts[1].state, attempts[1].error_code), (doubt, Some(ErrorCode::LeftOpen)));
    let doubtful = place.reader().in_doubt(0, 9).unwrap();
    assert_eq!(doubtful.iter().map(|one| one.row.get()).collect::<Vec<_>>(), [2, 4, 6, 7, 9]);
    let event = place.reader().events().unwrap().pop().unwrap();
    assert_eq!(
        (event.kind.as_str(), event.detail.as_str()),
        ("older", "older than its last session: 4 rows that may have been sent since are in doubt")
    );
    assert_eq!(Steps::of(&ledger).claim(9), [(10, 1)]);
    ledger.close(SessionEnd::Finished).unwrap();
    // It is the newest now.
    assert_eq!(place.open().standing(), Standing::Clean);
}

#[test]
fn a_ledger_whose_log_was_deleted_is_older() {
    let place = at_rest();
    let ledger = place.open();
    Steps::of(&ledger).claim(2);
    drop(ledger);
    std::fs::remove_file(place.folder().join("wave.ledger-wal")).unwrap();
    let ledger = place.open();
    // The session of the log is not in the ledger, and its number is not given again.
    assert_eq!((ledger.standing(), ledger.session()), (Standing::Older, 3));
    assert_eq!(place.states(), [RowState::InDoubt, RowState::InDoubt, RowState::Pending, RowState::Pending]);
    drop(ledger);
    assert_eq!(place.open().standing(), Standing::Unclean);
    assert_eq!(place.states()[2], RowState::Pending);
}

#[test]
fn a_ledger_that_is_behind_in_second_attempts_only_is_older() {
    let place = Place::new();
    let ledger = place.started(bare_rows(3));
    let mut steps = Steps::of(&ledger);
    steps.claim(3);
    let not_sent = || Outcome::Pending(fault(ErrorCode::NotConnected, 0));
    steps.record((1..=3).map(|number| record(number, 1, not_sent())).collect());
    let backup = place.backup();
    assert_eq!(steps.claim(1), [(1, 2)]);
    drop(ledger);
    place.restore(&backup);
    let ledger = place.open();
    assert_eq!(ledger.standing(), Standing::Older);
    assert_eq!(place.states(), [RowState::InDoubt; 3]);
}

#[test]
fn failed_rows_are_in_doubt_where_some_were_ordered_to_be_sent_again() {
    let place = Place::new();
    let ledger = place.started(bare_rows(3));
    let mut steps = Steps::of(&ledger);
    steps.claim(2);
    let refused = || Outcome::Failed(fault(ErrorCode::Forbidden, 403));
    steps.record(vec![record(1, 1, refused()), record(2, 1, refused())]);
    let backup = place.backup();
    ledger.resolve_blocking(vec![resolution(2, RowVerdict::Again)]).unwrap();
    assert_eq!(steps.claim(1), [(2, 2)]);
    drop(ledger);
    place.restore(&backup);
    let ledger = place.open();
    assert_eq!(place.states(), [RowState::InDoubt, RowState::InDoubt, RowState::Pending]);
    assert_eq!(place.reader().attempts(row(2)).unwrap().len(), 2);
    ledger.resolve_blocking(vec![resolution(2, RowVerdict::Absent)]).unwrap();
    assert_eq!(Steps::of(&ledger).claim(9), [(2, 3), (3, 1)]);
}

#[test]
fn the_newest_ledger_is_older_once_a_copy_was_worked_on_in_its_place() {
    let place = Place::new();
    let ledger = place.started(bare_rows(6));
    let backup = place.backup();
    Steps::of(&ledger).claim(2);
    drop(ledger);
    let newest = place.backup();
    place.restore(&backup);
    let ledger = place.open();
    assert_eq!(Steps::of(&ledger).claim(2), [(3, 1), (4, 1)]);
    drop(ledger);
    place.restore(&newest);
    let ledger = place.open();
    assert_eq!(ledger.standing(), Standing::Older);
    assert_eq!(Steps::of(&ledger).claim(9), [(5, 1), (6, 1)]);
}

#[test]
fn rows_that_were_only_passed_over_are_in_doubt_too_in_an_older_ledger() {
    let place = Place::new();
    let ledger = place.started(bare_rows(4));
    let backup = place.backup();
    ledger.detach(row(3)).unwrap();
    Steps::of(&ledger).do_step(Step { claim_rows: vec![row(2)], ..Step::default() }).unwrap();
    drop(ledger);
    place.restore(&backup);
    assert_eq!(place.open().standing(), Standing::Older);
    assert_eq!(place.states()[3], RowState::Pending);
    assert_eq!(place.states()[..3], [RowState::InDoubt; 3]);
}

#[test]
fn an_older_ledger_that_lacks_rows_which_were_sent_is_refused() {
    let place = at_rest();
    let backup = place.backup();
    let ledger = Ledger::open_and_append(&machine(), &place.path, &session("submit"), |loader, _| {
        loader.add(load(bare_item(5, RequestType::Renew)))?;
        Ok::<_, LedgerError>(vec![ManifestPart { part: 2, first_row: row(5), ..part(1) }])
    })
    .unwrap();
    assert_eq!(Steps::of(&ledger).claim(9).len(), 5);
    drop(ledger);
    place.restore(&backup);
    let before = dump(&place.path);
    let refused = Ledger::open(&machine(), &place.path, &session("submit")).unwrap_err();
    assert!(matches!(refused, LedgerError::Older { .. }), "{refused}");
    assert!(refused.to_string().contains("lacks rows that were appended since and may have been sent"), "{refused}");
    assert_eq!(dump(&place.path), before);
    assert_eq!(Reader::open(&place.path).unwrap().run().n_rows, 4);
}
