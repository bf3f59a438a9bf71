use super::support::*;
use crate::ledger::{AttemptRecord, Ledger, LedgerError, Requeue, RowState, RowVerdict, SessionEnd, Step};
use crate::request::{ErrorCode, Outcome, RequestType};

fn claim_rows(steps: &mut Steps<'_>, numbers: &[u32]) -> Vec<(u32, u32)> {
    let claim_rows = numbers.iter().map(|number| row(*number)).collect();
    pairs(&steps.do_step(Step { claim_rows, ..Step::default() }).unwrap())
}

fn firsts(numbers: impl IntoIterator<Item = u32>) -> Vec<(u32, u32)> {
    numbers.into_iter().map(|number| (number, 1)).collect()
}

#[test]
fn rows_that_are_passed_over_are_not_lost() {
    let place = Place::new();
    let ledger = place.started(bare_rows(10));
    let mut steps = Steps::of(&ledger);
    steps.claim(2);
    ledger.detach(row(8)).unwrap();
    assert_eq!(claim_rows(&mut steps, &[7, 4]), [(7, 1), (4, 1)]);
    assert_eq!(place.reader().pending(0, 99).unwrap(), [3, 5, 6, 8, 9, 10].map(row));
    drop(ledger);

    let ledger = place.open();
    let expected = [1, 2, 3, 4, 5, 6, 7, 8, 9, 10].map(|number: u32| match number {
        1 | 2 | 4 | 7 => RowState::InDoubt,
        _ => RowState::Pending,
    });
    assert_eq!(place.states(), expected);
    assert_eq!(Steps::of(&ledger).claim(99), firsts([3, 5, 6, 8, 9, 10]));
}

#[test]
fn each_row_is_claimed_once_when_none_of_those_passed_over_was() {
    let place = Place::new();
    let ledger = place.started(bare_rows(6));
    ledger.detach(row(4)).unwrap();
    drop(ledger);
    let ledger = place.open();
    let mut steps = Steps::of(&ledger);
    assert_eq!(steps.claim(3), firsts([1, 2, 3]));
    drop(ledger);
    assert_eq!(Steps::of(&place.open()).claim(99), firsts([4, 5, 6]));
}

#[test]
fn passing_over_goes_no_further_back_and_not_beyond_the_last_row() {
    let place = Place::new();
    let ledger = place.started(bare_rows(4));
    ledger.detach(row(3)).unwrap();
    let before = dump(&place.path);
    ledger.detach(row(3)).unwrap();
    ledger.detach(row(1)).unwrap();
    assert_eq!(dump(&place.path), before);
    ledger.detach(row(u32::MAX)).unwrap();
    ledger.close(SessionEnd::Finished).unwrap();
    // Rows that come later were not meant.
    let ledger = Ledger::open_and_append(&machine(), &place.path, &session("submit"), |loader, _| {
        loader.add(load(bare_item(5, RequestType::Renew)))?;
        Ok::<_, LedgerError>(vec![crate::ledger::ManifestPart { part: 2, first_row: row(5), ..part(1) }])
    })
    .unwrap();
    let mut steps = Steps::of(&ledger);
    let refused = steps.do_step(Step { claim_rows: vec![row(5)], ..Step::default() }).unwrap_err();
    assert_eq!(refused.to_string(), "row 5 was never attempted; such rows are claimed in row order");
    assert_eq!(steps.claim(99), firsts([1, 2, 3, 4, 5]));
    // Nothing is left to pass over.
    ledger.detach(row(5)).unwrap();
    assert_eq!(steps.claim(99), []);
}

#[test]
fn only_rows_that_may_be_sent_are_listed() {
    let place = Place::new();
    let mut rows = bare_rows(4);
    rows.extend([skipped(5), invalid(6)]);
    let ledger = place.started(rows);
    ledger
        .resolve_blocking(vec![resolution(2, RowVerdict::Exists(uri(1))), resolution(3, RowVerdict::LeftOut)], None)
        .unwrap();
    ledger.detach(row(6)).unwrap();
    assert_eq!(Steps::of(&ledger).claim(99), firsts([1, 4]));
}

#[test]
fn a_row_claimed_by_number_is_told_from_the_ranges_around_it() {
    let place = Place::new();
    let ledger = place.started(bare_rows(9));
    let mut steps = Steps::of(&ledger);
    steps.claim(2);
    ledger.detach(row(6)).unwrap();
    claim_rows(&mut steps, &[5]);
    assert_eq!(claim_rows(&mut steps, &[4]), [(4, 1)]);
    // What is listed comes first, then a range of rows that were never looked at.
    assert_eq!(steps.claim(4), firsts([3, 6, 7, 8]));
    steps.record([2, 4, 5, 8].map(|number| record(number, 1, created(number))).into());
    steps.do_step(Step { give_back: vec![(row(6), attempt(1))], ..Step::default() }).unwrap();
    let expected = [
        RowState::Sending,
        RowState::Created,
        RowState::Sending,
        RowState::Created,
        RowState::Created,
        RowState::Pending,
        RowState::Sending,
        RowState::Created,
        RowState::Pending,
    ];
    assert_eq!(place.states(), expected);
    for number in 1..=9 {
        let row = row(number);
        assert_eq!(place.reader().facts(row).unwrap().unwrap().state, expected[row.get() as usize - 1], "row {row}");
    }
    drop(ledger);
    let ledger = place.open();
    assert_eq!(Steps::of(&ledger).claim(99), [(6, 2), (9, 1)]);
}

#[test]
fn a_row_passed_over_can_be_settled_and_then_claimed_under_another_number() {
    let place = Place::new();
    let ledger = place.started(bare_rows(3));
    ledger.detach(row(3)).unwrap();
    ledger
        .resolve_blocking(
            vec![resolution(1, RowVerdict::Exists(uri(1))), resolution(2, RowVerdict::Contradicted)],
            None,
        )
        .unwrap();
    let mut steps = Steps::of(&ledger);
    assert_eq!(steps.claim(99), [(3, 1)]);
    ledger.resolve_blocking(vec![resolution(2, RowVerdict::Absent)], None).unwrap();
    assert_eq!(claim_rows(&mut steps, &[2]), [(2, 2)]);
    steps.record(vec![record(2, 2, created(2))]);
    assert_eq!((place.row(2).state, place.row(2).attempts), (RowState::Created, 1));
}

#[tokio::test]
async fn what_a_session_held_for_itself_is_anyones_after_its_release() {
    let place = Place::new();
    let ledger = place.started(bare_rows(3));
    let mut steps = Steps::of(&ledger);
    steps.claim(2);
    let fault = Outcome::Pending(fault(ErrorCode::NotConnected, 503));
    let held = [1, 2].map(|number| AttemptRecord { then: Requeue::Listed, ..record(number, 1, fault.clone()) });
    steps.record(held.into());
    assert_eq!(steps.claim(99), firsts([3]), "held rows are claimed by number alone");
    ledger.release().await.unwrap();
    ledger.release().await.unwrap();
    assert_eq!(steps.claim(99), [(1, 2), (2, 2)]);
}
