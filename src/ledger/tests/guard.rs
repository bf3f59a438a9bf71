use super::support::*;
use crate::ledger::{ClaimKinds, Item, LoadRow, RowState, Step, StepAnswer};
use crate::request::{AttemptNo, CreateRequest, RequestKind, RequestType};

fn kind(byte: u8) -> RequestKind {
    RequestKind { request_type: RequestType::Enroll, template: Some(guid(byte)) }
}

/// Rows of these kinds, in order.
fn rows_of(kinds: &[u8]) -> Vec<LoadRow> {
    let item = |(number, byte): (u32, &u8)| {
        let item = bare_item(number, RequestType::Enroll);
        load(Item { request: CreateRequest { template: Some(guid(*byte)), ..item.request }, ..item })
    };
    (1..).zip(kinds).map(item).collect()
}

fn guarded(claim: u32, open: &[u8], held: &[u8], pass_over: u32) -> Step {
    let all = |bytes: &[u8]| bytes.iter().map(|byte| kind(*byte)).collect();
    Step { claim, kinds: ClaimKinds::Guarded { open: all(open), held: all(held), pass_over }, ..Step::default() }
}

fn passed(answer: &StepAnswer) -> Vec<u32> {
    answer.passed_over.iter().map(|(row, _)| row.get()).collect()
}

#[test]
fn of_a_kind_that_is_not_known_one_row_is_claimed_at_a_time() {
    for place in Place::both() {
        let ledger = place.started(rows_of(&[1, 1, 2, 1, 3, 2, 1]));
        let mut steps = Steps::of(&ledger);
        let answer = steps.do_step(guarded(7, &[1], &[3], 9)).unwrap();
        assert_eq!((pairs(&answer), passed(&answer)), (vec![(1, 1), (2, 1), (3, 1), (4, 1), (7, 1)], vec![5, 6]));
        assert_eq!((answer.passed_over[0], answer.stopped_short), ((row(5), kind(3)), false));
        // This session has them for itself, and claims them by number.
        let answer = steps.do_step(guarded(7, &[1, 2, 3], &[], 9)).unwrap();
        assert_eq!(pairs(&answer), []);
        let again = ledger.step_blocking(Step { number: 1, ..Step::default() });
        assert!(again.is_err());
        let answer = steps
            .do_step(Step {
                record: vec![record(3, 1, created(3))],
                claim_rows: vec![row(6)],
                ..guarded(7, &[], &[], 9)
            })
            .unwrap();
        assert_eq!(pairs(&answer), [(6, 1)]);
        drop(ledger);
        // A crash leaves those pending that were passed over.
        let ledger = place.open();
        assert_eq!((place.row(5).state, place.row(6).state), (RowState::Pending, RowState::InDoubt));
        assert_eq!(Steps::of(&ledger).claim(9), [(5, 1)]);
    }
}

#[test]
fn a_claim_that_stopped_short_goes_on_where_it_stopped() {
    let place = Place::new();
    let ledger = place.started(rows_of(&[1, 1, 1, 1, 2]));
    let mut steps = Steps::of(&ledger);
    let answer = steps.do_step(guarded(3, &[], &[], 2)).unwrap();
    assert_eq!((pairs(&answer), passed(&answer), answer.stopped_short), (vec![(1, 1)], vec![2, 3], true));
    let again = ledger.step_blocking(Step { number: steps.number, ..Step::default() }).unwrap();
    assert_eq!(again, answer);
    let answer = steps.do_step(guarded(3, &[], &[], 0)).unwrap();
    assert_eq!((pairs(&answer), answer.stopped_short), (vec![], true));
    let answer = steps.do_step(guarded(3, &[], &[], 1)).unwrap();
    assert_eq!((pairs(&answer), passed(&answer), answer.stopped_short), (vec![(5, 1)], vec![4], false));
    drop(ledger);
    let ledger = place.open();
    assert_eq!(place.reader().pending(0, 9).unwrap(), [2, 3, 4].map(row));
    assert_eq!(Steps::of(&ledger).claim(9), [(2, 1), (3, 1), (4, 1)]);
}

#[test]
fn rows_that_are_pending_again_are_guarded_too() {
    let place = Place::new();
    let ledger = place.started(rows_of(&[1, 1, 2]));
    let mut steps = Steps::of(&ledger);
    steps.claim(3);
    let give_back = (1..=3).map(|number| (row(number), AttemptNo::FIRST)).collect();
    let answer = steps.do_step(Step { give_back, ..guarded(2, &[], &[], 1) }).unwrap();
    assert_eq!((pairs(&answer), passed(&answer), answer.stopped_short), (vec![(1, 2), (3, 2)], vec![2], false));
    assert_eq!(steps.claim(9), [], "it is this session's own");
    block_on(ledger.release()).unwrap();
    assert_eq!(steps.claim(9), [(2, 2)]);
}
