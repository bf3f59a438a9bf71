use super::support::*;
use crate::ledger::{LedgerError, RowState, RowVerdict, Step};
use crate::request::{ErrorCode, Outcome};

#[test]
fn a_row_that_is_answered_with_another_rows_request_is_in_doubt() {
    for place in Place::both() {
        let ledger = place.started(bare_rows(4));
        let mut steps = Steps::of(&ledger);
        steps.claim(4);
        steps.record(vec![record(2, 1, created(7))]);
        // One row of an earlier step, and one of the same.
        let answer = steps.record(vec![record(4, 1, created(8)), record(1, 1, created(7)), record(3, 1, created(8))]);
        assert_eq!(answer.shared, [(row(1), row(2), uuid(7)), (row(4), row(3), uuid(8))]);
        let expected = [RowState::InDoubt, RowState::Created, RowState::Created, RowState::InDoubt];
        assert_eq!(place.states(), expected);
        let doubt = place.row(1);
        assert_eq!(
            (doubt.error_code, doubt.http_status, doubt.request_uuid),
            (Some(ErrorCode::UuidShared), Some(201), None)
        );
        let expected = format!("the server answered with request {}, which is that of row 2", uuid(7));
        assert_eq!(doubt.error_message, Some(expected));
        assert_eq!(place.reader().row_of_uuid(uuid(7)).unwrap(), Some(row(2)));
        assert_eq!(place.reader().row_of_uuid(uuid(9)).unwrap(), None);
        let again = ledger.step_blocking(Step { number: steps.number, ..Step::default() }).unwrap();
        assert_eq!(again.shared, answer.shared);
    }
}

#[test]
fn the_request_of_a_row_that_is_not_created_any_more_is_nobodys() {
    let place = Place::new();
    let ledger = place.started(bare_rows(2));
    let mut steps = Steps::of(&ledger);
    steps.claim(2);
    steps.record(vec![record(1, 1, created(7))]);
    ledger.resolve_blocking(vec![resolution(1, RowVerdict::Contradicted)], None).unwrap();
    let doubt = place.row(1);
    assert_eq!((doubt.state, doubt.error_code), (RowState::InDoubt, Some(ErrorCode::Contradicted)));
    assert_eq!(place.reader().row_of_uuid(uuid(7)).unwrap(), None);
    place.reader().created_in_order(|created| panic!("{created:?}")).unwrap();
    assert!(!place.reader().created_marks().unwrap().has(row(1), uuid(7), None, None));
    assert_eq!(steps.record(vec![record(2, 1, created(7))]).shared, []);
    assert_eq!(place.reader().row_of_uuid(uuid(7)).unwrap(), Some(row(2)));
}

#[test]
fn a_request_that_was_found_stands_above_what_the_ledger_knew() {
    let place = Place::new();
    let mut rows = bare_rows(4);
    rows.extend([skipped(5), invalid(6)]);
    let ledger = place.started(rows);
    let mut steps = Steps::of(&ledger);
    steps.claim(3);
    steps.record(vec![record(1, 1, created(1)), record(2, 1, Outcome::Failed(fault(ErrorCode::Forbidden, 403)))]);
    steps.record(vec![record(3, 1, Outcome::InDoubt(fault(ErrorCode::Timeout, 504)))]);
    let found = (1..=5).map(|number| resolution(number, RowVerdict::Exists(uri(10 + number)))).collect();
    ledger.resolve_blocking(found, None).unwrap();
    assert_eq!(place.states()[..5], [RowState::Created; 5]);
    for number in 1..=5 {
        assert_eq!(place.row(number).request_uuid, Some(uuid(10 + number)));
    }
    assert_eq!(place.reader().row_of_uuid(uuid(1)).unwrap(), None);
    let refused = ledger.resolve_blocking(vec![resolution(6, RowVerdict::Exists(uri(6)))], None).unwrap_err();
    assert!(matches!(refused, LedgerError::Refused(_)), "{refused}");
    assert_eq!(steps.claim(9), []);
}

#[test]
fn two_rows_exchange_their_requests_in_one_call_and_share_none() {
    let place = Place::new();
    let ledger = place.started(bare_rows(3));
    let mut steps = Steps::of(&ledger);
    steps.claim(2);
    steps.record(vec![record(1, 1, created(1)), record(2, 1, created(2))]);
    let exists = |number: u32, request: u32| resolution(number, RowVerdict::Exists(uri(request)));
    let before = dump(&place.path);
    for (verdicts, row_number, other) in
        [(vec![exists(1, 2)], 1, 2), (vec![exists(3, 1)], 3, 1), (vec![exists(2, 9), exists(3, 9)], 2, 3)]
    {
        match ledger.resolve_blocking(verdicts, None).unwrap_err() {
            LedgerError::Refused(why) => {
                let (begins, ends) =
                    (format!("row {row_number} cannot be request "), format!(", which is that of row {other}"));
                assert!(why.starts_with(&begins) && why.ends_with(&ends), "{why}");
            }
            refused => panic!("{refused}"),
        }
        assert_eq!(dump(&place.path), before);
    }
    ledger.resolve_blocking(vec![exists(1, 2), exists(2, 1)], None).unwrap();
    let reader = place.reader();
    assert_eq!([1, 2].map(|number| reader.row_of_uuid(uuid(number)).unwrap()), [Some(row(2)), Some(row(1))]);
    // The tag decides: the one that it is not is in doubt, in the same call.
    ledger.resolve_blocking(vec![resolution(2, RowVerdict::Contradicted), exists(3, 1)], None).unwrap();
    assert_eq!(place.states(), [RowState::Created, RowState::InDoubt, RowState::Created]);
}
