use super::support::*;
use crate::ledger::{RowState, SessionEnd, Step, Tally};
use crate::request::{ErrorCode, Outcome, RequestType};

fn failed(code: ErrorCode, status: u16) -> Outcome {
    Outcome::Failed(fault(code, status))
}

#[test]
fn tallies_count_by_state_and_cause() {
    let place = Place::new();
    let mut rows = bare_rows(8);
    rows.extend([skipped(9), invalid(10)]);
    let ledger = place.started(rows);
    let mut steps = Steps::of(&ledger);
    steps.claim(7);
    steps.record(vec![
        record(1, 1, created(1)),
        record(2, 1, failed(ErrorCode::Forbidden, 403)),
        record(3, 1, failed(ErrorCode::Forbidden, 403)),
        record(4, 1, failed(ErrorCode::BadRequest, 400)),
        record(5, 1, Outcome::Pending(fault(ErrorCode::Throttled, 429))),
    ]);
    steps.do_step(Step { give_back: vec![(row(6), attempt(1))], ..Step::default() }).unwrap();
    let tally = |state, code, n| Tally { state, code, n };
    let mut expected = vec![
        tally(RowState::Pending, None, 2),
        tally(RowState::Pending, Some(ErrorCode::Throttled), 1),
        tally(RowState::Sending, None, 1),
        tally(RowState::Created, None, 1),
        tally(RowState::Failed, Some(ErrorCode::BadRequest), 1),
        tally(RowState::Failed, Some(ErrorCode::Forbidden), 2),
        tally(RowState::Invalid, None, 1),
        tally(RowState::Skipped, None, 1),
    ];
    assert_eq!(place.reader().tallies().unwrap(), expected);
    // Without its process the open row is in doubt.
    drop(ledger);
    expected.remove(2);
    expected.insert(4, tally(RowState::InDoubt, Some(ErrorCode::LeftOpen), 1));
    let mut tallies = place.reader().tallies().unwrap();
    tallies.sort_by_key(|tally| (tally.state, tally.code));
    expected.sort_by_key(|tally| (tally.state, tally.code));
    assert_eq!(tallies, expected);
}

#[test]
fn pending_rows_are_counted_by_type() {
    let place = Place::new();
    let kinds = [RequestType::Revoke, RequestType::Enroll, RequestType::Revoke, RequestType::Revoke];
    let mut rows: Vec<_> = (1..).zip(kinds).map(|(number, kind)| load(bare_item(number, kind))).collect();
    rows.extend([skipped(5), invalid(6)]);
    let ledger = place.started(rows);
    assert_eq!(
        place.reader().by_type(RowState::Pending).unwrap(),
        [(RequestType::Enroll, 1), (RequestType::Revoke, 3)]
    );
    let mut steps = Steps::of(&ledger);
    steps.claim(3);
    steps.record(vec![record(1, 1, created(1)), record(2, 1, Outcome::Pending(fault(ErrorCode::Throttled, 429)))]);
    assert_eq!(
        place.reader().by_type(RowState::Pending).unwrap(),
        [(RequestType::Enroll, 1), (RequestType::Revoke, 1)]
    );
}

#[test]
fn the_most_frequent_reasons_come_first_with_an_example_that_still_holds() {
    let place = Place::new();
    let ledger = place.started(bare_rows(7));
    let mut steps = Steps::of(&ledger);
    steps.claim(6);
    steps.record(vec![
        record(1, 1, Outcome::InDoubt(fault(ErrorCode::Timeout, 504))),
        record(2, 1, Outcome::Pending(fault(ErrorCode::Forbidden, 403))),
        record(3, 1, failed(ErrorCode::Forbidden, 403)),
        record(4, 1, failed(ErrorCode::Forbidden, 403)),
        record(5, 1, failed(ErrorCode::BadRequest, 400)),
    ]);
    let reasons = place.reader().failures(2).unwrap();
    assert_eq!(reasons.len(), 2);
    assert_eq!((reasons[0].state, reasons[0].code, reasons[0].n), (RowState::Failed, Some(ErrorCode::Forbidden), 2));
    assert_eq!((reasons[0].row, reasons[0].message.as_deref()), (Some(row(3)), Some("the server said 403")));
    assert_eq!(place.reader().failures(9).unwrap().len(), 3);
    drop(ledger);
    let left = place.reader().failures(9).unwrap().into_iter().find(|reason| reason.code == Some(ErrorCode::LeftOpen));
    assert_eq!(left.map(|reason| (reason.state, reason.n)), Some((RowState::InDoubt, 1)));
}

#[test]
fn pages_go_through_all_rows_of_the_wanted_states() {
    let place = Place::new();
    let ledger = place.started(bare_rows(2500));
    let mut steps = Steps::of(&ledger);
    steps.claim(2500);
    let outcome =
        |number: u32| if number.is_multiple_of(700) { failed(ErrorCode::Refused, 409) } else { created(number) };
    steps.record((1..=2500).map(|number| record(number, 1, outcome(number))).collect());
    let reader = place.reader();
    let numbers = |after, limit, states: &[RowState]| -> Vec<u32> {
        reader.page(after, limit, states).unwrap().iter().map(|row| row.row.get()).collect()
    };
    assert_eq!(numbers(0, 10, &[RowState::Failed]), [700, 1400, 2100]);
    assert_eq!(numbers(0, 2, &[RowState::Failed]), [700, 1400]);
    assert_eq!(numbers(1400, 10, &[RowState::Failed]), [2100]);
    assert_eq!(numbers(2498, 10, &[]), [2499, 2500]);
    assert_eq!(numbers(2500, 10, &[]), [0; 0]);
    assert_eq!(numbers(0, 5000, &[RowState::Failed, RowState::Created]).len(), 2500);
    assert_eq!(numbers(0, 5000, &[RowState::Pending]), [0; 0]);
}

#[test]
fn an_open_attempt_counts_and_hides_what_the_one_before_ended_with() {
    let place = Place::new();
    let ledger = place.started(bare_rows(1));
    let mut steps = Steps::of(&ledger);
    steps.claim(1);
    steps.record(vec![record(1, 1, Outcome::Pending(fault(ErrorCode::Throttled, 429)))]);
    steps.claim(1);
    // An open call has no status yet; that of the attempt before would mislead.
    let open = place.row(1);
    assert_eq!((open.state, open.attempts, open.http_status, open.error_code), (RowState::Sending, 2, None, None));
}

#[test]
fn a_reader_sees_what_is_done_while_it_is_open() {
    let place = Place::new();
    let ledger = place.started(bare_rows(2));
    let reader = place.reader();
    assert_eq!(reader.holder().unwrap(), Some(session("submit")));
    let mut steps = Steps::of(&ledger);
    steps.claim(1);
    assert_eq!(reader.page(0, 1, &[]).unwrap()[0].state, RowState::Sending);
    steps.record(vec![record(1, 1, created(1))]);
    assert_eq!(reader.page(0, 1, &[]).unwrap()[0].state, RowState::Created);
    ledger.close(SessionEnd::Finished).unwrap();
    assert_eq!(reader.holder().unwrap(), None);
    drop(reader);
    assert_eq!(place.names(), ["wave.ledger"]);
}

#[test]
fn a_reader_leaves_a_ledger_as_it_found_it() {
    let place = Place::new();
    create(&place.path, bare_rows(2)).unwrap().close(SessionEnd::Finished).unwrap();
    let before = std::fs::read(&place.path).unwrap();
    assert_eq!(place.states(), [RowState::Pending; 2]);
    assert_eq!(place.names(), ["wave.ledger"]);
    assert_eq!(std::fs::read(&place.path).unwrap(), before);

    // A log with rows in it is folded in by the next session, not by a reader.
    drop(place.open());
    let before = std::fs::read(&place.path).unwrap();
    let log = std::fs::read(place.folder().join("wave.ledger-wal")).unwrap();
    assert_eq!(place.states(), [RowState::Pending; 2]);
    assert_eq!(std::fs::read(&place.path).unwrap(), before);
    assert_eq!(std::fs::read(place.folder().join("wave.ledger-wal")).unwrap(), log);
}

#[cfg(unix)]
#[test]
fn a_ledger_at_rest_can_be_read_where_nothing_can_be_written() {
    use crate::platform::set_mode;

    let place = Place::new();
    create(&place.path, bare_rows(2)).unwrap().close(SessionEnd::Finished).unwrap();
    set_mode(&place.path, 0o444);
    set_mode(place.folder(), 0o555);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            // Root may write anything, so this thread stops being root for file access; elsewhere nothing changes.
            nix::unistd::setfsuid(nix::unistd::Uid::from_raw(65_534));
            assert!(!crate::platform::can_write(place.folder()));
            assert_eq!(place.states(), [RowState::Pending; 2]);
            assert_eq!(place.reader().holder().unwrap(), None);
        });
    });
    assert_eq!(place.names(), ["wave.ledger"]);
    set_mode(place.folder(), 0o755);
}
