use super::support::*;
use crate::ledger::{
    AttemptRecord, AuditEvent, LedgerError, Requeue, Resolution, RowState, RowVerdict, SkipCause, SkipReason, Source,
    Step,
};
use crate::request::{ErrorCode, Outcome};

fn person(number: u32, verdict: RowVerdict) -> Resolution {
    Resolution { row: row(number), verdict, source: Source::Person, reason: Some("not wanted".to_owned()) }
}

/// A ledger with an open session: row 1 in doubt, row 2 failed, row 3 in backoff, row 4 given back, rows 5 to 7 never claimed, row
/// 8 invalid.
fn mixed() -> (Place, crate::ledger::Ledger, u64) {
    let place = Place::new();
    let mut rows = bare_rows(7);
    rows.push(invalid(8));
    let ledger = place.started(rows);
    let mut steps = Steps::of(&ledger);
    steps.claim(4);
    let unavailable = Outcome::Pending(fault(ErrorCode::Unavailable, 503));
    steps
        .do_step(Step {
            record: vec![
                record(1, 1, Outcome::InDoubt(fault(ErrorCode::Timeout, 504))),
                record(2, 1, Outcome::Failed(fault(ErrorCode::Forbidden, 403))),
                AttemptRecord { then: Requeue::Listed, ..record(3, 1, unavailable) },
            ],
            give_back: vec![(row(4), attempt(1))],
            ..Step::default()
        })
        .unwrap();
    let number = steps.number;
    (place, ledger, number)
}

#[test]
fn a_dropped_row_is_skipped_with_its_reason_and_comes_back_as_it_was() {
    let (place, ledger, number) = mixed();
    let before = place.reader().page(0, 9, &[]).unwrap();
    let tallies = place.reader().tallies().unwrap();
    let all = |verdict: &RowVerdict| (1..=8).map(|number| person(number, verdict.clone())).collect::<Vec<_>>();
    ledger.resolve_blocking(all(&RowVerdict::Dropped), None).unwrap();
    assert_eq!(place.states(), [RowState::Skipped; 8]);
    assert!(
        place.reader().page(0, 9, &[]).unwrap().iter().all(|row| row.error_message.as_deref() == Some("not wanted"))
    );
    assert_eq!((place.reader().n_in_doubt().unwrap(), place.reader().in_doubt(0, 9).unwrap()), (0, vec![]));
    assert_eq!(place.reader().pending(0, 9).unwrap(), []);
    let mut steps = Steps { ledger: &ledger, number };
    let answer = steps.do_step(Step { claim: 9, ..Step::default() }).unwrap();
    assert_eq!(pairs(&answer), []);

    ledger.resolve_blocking(all(&RowVerdict::Restored), None).unwrap();
    assert_eq!(place.reader().page(0, 9, &[]).unwrap(), before);
    assert_eq!(place.reader().tallies().unwrap(), tallies);
    let answer = steps.do_step(Step { claim: 9, ..Step::default() }).unwrap();
    // Claims in row order had passed rows 5 to 7; what counts of row 3 is what it was.
    assert_eq!(pairs(&answer), [(3, 2), (4, 2), (5, 1), (6, 1), (7, 1)]);
    assert_eq!(answer.rows.iter().map(|row| row.counted_attempts).collect::<Vec<_>>(), [1, 0, 0, 0, 0]);
}

#[test]
fn rows_that_were_never_claimed_keep_their_place() {
    let (place, ledger, number) = mixed();
    ledger.resolve_blocking(vec![person(6, RowVerdict::Dropped)], None).unwrap();
    let mut steps = Steps { ledger: &ledger, number };
    assert_eq!(steps.claim(2), [(4, 2), (5, 1)]);
    ledger.resolve_blocking(vec![person(6, RowVerdict::Restored)], None).unwrap();
    assert_eq!(place.reader().pending(0, 9).unwrap(), [3, 6, 7].map(row));
    assert_eq!(steps.claim(1), [(6, 1)]);
    drop(ledger);
    // A crash finds each of them once.
    let ledger = place.open();
    ledger.resolve_blocking(vec![person(7, RowVerdict::Dropped)], None).unwrap();
    drop(ledger);
    let ledger = place.open();
    assert_eq!(Steps::of(&ledger).claim(9), [(3, 2)]);
    ledger.resolve_blocking(vec![person(7, RowVerdict::Restored)], None).unwrap();
    drop(ledger);
    let ledger = place.open();
    assert_eq!(place.reader().pending(0, 9).unwrap(), [row(7)]);
    assert_eq!(Steps::of(&ledger).claim(9), [(7, 1)]);
}

#[test]
fn a_dropped_row_whose_claim_was_given_back_is_not_left_open_by_a_dead_session() {
    let (place, ledger, _) = mixed();
    ledger.resolve_blocking(vec![person(4, RowVerdict::Dropped)], None).unwrap();
    drop(ledger);
    let ledger = place.open();
    assert_eq!(place.row(4).state, RowState::Skipped);
    ledger.resolve_blocking(vec![person(4, RowVerdict::Restored)], None).unwrap();
    assert_eq!((place.row(4).state, place.row(4).attempts), (RowState::Pending, 0));
}

#[test]
fn a_request_of_another_run_stands_for_a_row_until_it_is_restored() {
    let (place, ledger, _) = mixed();
    let elsewhere = |number: u32| resolution(number, RowVerdict::Elsewhere(uuid(number)));
    ledger.resolve_blocking(vec![elsewhere(6), elsewhere(3)], None).unwrap();
    assert_eq!(place.reader().skipped_elsewhere().unwrap(), [(row(3), uuid(3)), (row(6), uuid(6))]);
    assert_eq!((place.row(6).state, place.row(6).request_uuid), (RowState::Skipped, None));
    assert_eq!(place.reader().row_of_uuid(uuid(6)).unwrap(), None, "it is not the row's own request");
    ledger.resolve_blocking(vec![person(6, RowVerdict::Restored)], None).unwrap();
    assert_eq!(place.reader().skipped_elsewhere().unwrap(), [(row(3), uuid(3))]);
    assert_eq!(place.row(6).state, RowState::Pending);
    // Found all the same: it is left out no more.
    ledger.resolve_blocking(vec![resolution(3, RowVerdict::Exists(uri(33)))], None).unwrap();
    assert_eq!((place.row(3).state, place.reader().skipped_elsewhere().unwrap()), (RowState::Created, vec![]));
}

#[test]
fn skipped_rows_are_counted_by_cause_with_the_first_of_each() {
    let place = Place::new();
    let mut rows = bare_rows(6);
    rows[1] = skipped(2);
    rows[2] = skipped(3);
    let ledger = place.started(rows);
    let told = |cause, n, first, message: &str, uuid| SkipReason {
        cause,
        n,
        row: Some(row(first)),
        message: Some(message.to_owned()),
        uuid,
    };
    let loaded = told(SkipCause::Loaded, 2, 2, "same as row 1", None);
    assert_eq!(place.reader().skipped().unwrap(), std::slice::from_ref(&loaded));
    let elsewhere = |number: u32| Resolution {
        reason: Some(format!("requested before, {number}")),
        ..resolution(number, RowVerdict::Elsewhere(uuid(number)))
    };
    ledger.resolve_blocking(vec![elsewhere(6), elsewhere(5), person(4, RowVerdict::Dropped)], None).unwrap();
    let all = [
        loaded,
        told(SkipCause::Elsewhere, 2, 5, "requested before, 5", Some(uuid(5))),
        told(SkipCause::Dropped, 1, 4, "not wanted", None),
    ];
    assert_eq!(place.reader().skipped().unwrap(), all);
    let dropped_by = |number| place.reader().dropped_by(row(number)).unwrap();
    assert_eq!([2, 4, 5].map(dropped_by), [None, Some("not wanted".to_owned()), None]);
}

#[test]
fn an_event_about_verdicts_is_written_with_them_or_not_at_all() {
    let (place, ledger, _) = mixed();
    let event = || Some(AuditEvent { kind: "drop".to_owned(), detail: "alice: row 2".to_owned() });
    let n_events = || place.events().len();
    let before = n_events();
    let refused =
        ledger.resolve_blocking(vec![person(2, RowVerdict::Dropped), person(9, RowVerdict::Dropped)], event());
    assert!(matches!(refused, Err(LedgerError::Refused(_))), "{refused:?}");
    assert_eq!((n_events(), place.row(2).state), (before, RowState::Failed));
    block_on(ledger.resolve(vec![person(2, RowVerdict::Dropped)], event())).unwrap();
    let events = place.events();
    let last = events.last().unwrap();
    assert_eq!((events.len(), last.kind.as_str(), last.detail.as_str()), (before + 1, "drop", "alice: row 2"));
    assert_eq!(place.row(2).state, RowState::Skipped);
}
