use super::support::*;
use crate::ledger::{
    AttemptRecord, LedgerError, Requeue, Resolution, ResultRow, RowEvent, RowState, RowVerdict, SessionEnd, Source,
    Step, Tally,
};
use crate::request::{ErrorCode, Outcome};

fn because(number: u32, verdict: RowVerdict, reason: &str) -> Resolution {
    Resolution { reason: Some(reason.to_owned()), ..resolution(number, verdict) }
}

fn in_doubt() -> Outcome {
    Outcome::InDoubt(fault(ErrorCode::GatewayTimeout, 504))
}

fn failed() -> Outcome {
    Outcome::Failed(fault(ErrorCode::Forbidden, 403))
}

/// What a row says of its cause: state, code, status, message, whether it has the server's id, uuid.
type Told = (RowState, Option<ErrorCode>, Option<u16>, Option<String>, bool, bool);

fn told(row: &ResultRow) -> Told {
    let has_id = row.correlation_id.is_some();
    (row.state, row.error_code, row.http_status, row.error_message.clone(), has_id, row.request_uuid.is_some())
}

#[test]
fn a_verdict_leaves_its_row_in_its_state_and_keeps_the_cause_where_that_has_one() {
    let said = || Some("the server said 504".to_owned());
    let reason = || Some("why".to_owned());
    let kept = |state, message| (state, Some(ErrorCode::GatewayTimeout), Some(504), message, true, false);
    let contradicted = |message| (RowState::InDoubt, Some(ErrorCode::Contradicted), Some(504), message, true, false);
    let found = |message| (RowState::Created, None, None, message, false, true);
    let cases: [(Resolution, Told); 8] = [
        (resolution(1, RowVerdict::Exists(uri(7))), found(None)),
        (because(1, RowVerdict::Exists(uri(7)), "why"), found(reason())),
        (resolution(1, RowVerdict::Absent), kept(RowState::Pending, said())),
        (because(1, RowVerdict::Absent, "why"), kept(RowState::Pending, reason())),
        (resolution(1, RowVerdict::AbsentForGood), kept(RowState::Failed, said())),
        (because(1, RowVerdict::AbsentForGood, "why"), kept(RowState::Failed, reason())),
        (resolution(1, RowVerdict::Contradicted), contradicted(said())),
        (because(1, RowVerdict::Contradicted, "why"), contradicted(reason())),
    ];
    for (verdict, expected) in cases {
        let place = Place::new();
        let ledger = place.started(vec![load(full_item(1))]);
        let mut steps = Steps::of(&ledger);
        steps.claim(1);
        steps.record(vec![record(1, 1, in_doubt())]);
        ledger.resolve_blocking(vec![verdict.clone()], None).unwrap();
        let row = place.row(1);
        assert_eq!(told(&row), expected, "{verdict:?}");
        assert_eq!((row.attempts, row.latency_ms), (1, Some(12)), "the attempt stays as it was");
        assert_eq!(place.history(1).outcomes[0].state, RowState::InDoubt);
        let causes = [RowState::Pending, RowState::Failed, RowState::InDoubt];
        let code = expected.1.filter(|_| causes.contains(&expected.0));
        assert_eq!(place.reader().tallies().unwrap(), [Tally { state: expected.0, code, n: 1 }]);
    }
}

#[test]
fn what_contradicted_a_row_is_not_the_cause_of_what_it_fails_with() {
    let place = Place::new();
    let ledger = place.started(bare_rows(1));
    let mut steps = Steps::of(&ledger);
    steps.claim(1);
    steps.record(vec![record(1, 1, failed())]);
    ledger
        .resolve_blocking(
            vec![because(1, RowVerdict::Contradicted, "another target"), resolution(1, RowVerdict::AbsentForGood)],
            None,
        )
        .unwrap();
    let expected = (RowState::Failed, Some(ErrorCode::Forbidden), Some(403), Some("the server said 403".to_owned()));
    let row = place.row(1);
    assert_eq!((row.state, row.error_code, row.http_status, row.error_message), expected);
}

#[test]
fn a_row_that_was_decided_before_its_first_attempt_is_never_claimed_in_order() {
    let place = Place::new();
    let ledger = place.started(bare_rows(8));
    Steps::of(&ledger).claim(1);
    ledger
        .resolve_blocking(
            vec![
                resolution(3, RowVerdict::Exists(uri(3))),
                because(5, RowVerdict::LeftOut, "already on the server"),
                resolution(6, RowVerdict::Contradicted),
            ],
            None,
        )
        .unwrap();
    let row5 = place.row(5);
    assert_eq!((row5.state, row5.error_message.as_deref()), (RowState::Skipped, Some("already on the server")));
    assert_eq!((place.row(3).state, place.row(3).attempts), (RowState::Created, 0));
    assert_eq!((place.row(6).state, place.row(6).error_code), (RowState::InDoubt, Some(ErrorCode::Contradicted)));
    let doubt = &place.reader().in_doubt(0, 9).unwrap()[0];
    assert_eq!((doubt.attempt, doubt.started_at, doubt.counted_attempts), (attempt(1), None, 0));
    drop(ledger);

    let ledger = place.open();
    let mut steps = Steps::of(&ledger);
    assert_eq!(steps.claim(2), [(2, 1), (4, 1)]);
    // Attempt 1 is for claims in row order, which have not come this far.
    ledger.resolve_blocking(vec![resolution(6, RowVerdict::Absent)], None).unwrap();
    assert_eq!(steps.claim(1), [(6, 2)]);
    drop(ledger);
    let ledger = place.open();
    assert_eq!(Steps::of(&ledger).claim(9), [(7, 1), (8, 1)]);
}

#[test]
fn a_row_that_was_given_back_is_settled_like_any_other() {
    let place = Place::new();
    let ledger = place.started(bare_rows(2));
    let mut steps = Steps::of(&ledger);
    steps.claim(2);
    let give_back = vec![(row(1), attempt(1)), (row(2), attempt(1))];
    steps.do_step(Step { give_back, ..Step::default() }).unwrap();
    ledger
        .resolve_blocking(
            vec![resolution(1, RowVerdict::Exists(uri(1))), resolution(2, RowVerdict::Contradicted)],
            None,
        )
        .unwrap();
    // The claim that came back does not read as open.
    assert_eq!(place.states(), [RowState::Created, RowState::InDoubt]);
    ledger.resolve_blocking(vec![resolution(2, RowVerdict::Absent)], None).unwrap();
    assert_eq!((steps.claim(9), place.row(2).attempts), (vec![(2, 2)], 1));
}

#[test]
fn a_row_in_backoff_can_be_settled() {
    let place = Place::new();
    let ledger = place.started(bare_rows(3));
    let mut steps = Steps::of(&ledger);
    steps.claim(2);
    let throttled =
        |number, then| AttemptRecord { then, ..record(number, 1, Outcome::Pending(fault(ErrorCode::Throttled, 429))) };
    steps.record(vec![throttled(1, Requeue::Listed), throttled(2, Requeue::Anyone)]);
    ledger
        .resolve_blocking(
            vec![resolution(1, RowVerdict::Exists(uri(1))), resolution(2, RowVerdict::Exists(uri(2)))],
            None,
        )
        .unwrap();
    let answer = steps.do_step(Step { claim: 9, ..Step::default() }).unwrap();
    assert_eq!(pairs(&answer), [(3, 1)]);
}

#[test]
fn an_illegal_verdict_changes_nothing_and_says_why() {
    let place = Place::new();
    let mut rows = bare_rows(5);
    rows.extend([skipped(6), invalid(7)]);
    let ledger = place.started(rows);
    let mut steps = Steps::of(&ledger);
    steps.claim(4);
    steps.record(vec![record(1, 1, created(1)), record(2, 1, in_doubt()), record(3, 1, failed())]);
    let before = dump(&place.path);
    for (number, verdict, state) in [
        (1, RowVerdict::Dropped, RowState::Created),
        (1, RowVerdict::Restored, RowState::Created),
        (2, RowVerdict::LeftOut, RowState::InDoubt),
        (2, RowVerdict::Again, RowState::InDoubt),
        (3, RowVerdict::Absent, RowState::Failed),
        (4, RowVerdict::Exists(uri(1)), RowState::Sending),
        (4, RowVerdict::Absent, RowState::Sending),
        (5, RowVerdict::Absent, RowState::Pending),
        (6, RowVerdict::Restored, RowState::Skipped),
        (6, RowVerdict::Dropped, RowState::Skipped),
        (7, RowVerdict::Exists(uri(1)), RowState::Invalid),
    ] {
        let illegal = state.next(RowEvent::of_verdict(&verdict, state)).unwrap_err();
        // A legal verdict of the same call falls with it.
        let both = vec![resolution(2, RowVerdict::Exists(uri(2))), resolution(number, verdict)];
        match ledger.resolve_blocking(if number == 2 { both[1..].to_vec() } else { both }, None).unwrap_err() {
            LedgerError::Refused(why) => assert_eq!(why, format!("row {number}: {illegal}")),
            other => panic!("{other}"),
        }
        assert_eq!(dump(&place.path), before);
    }
    let unknown = ledger.resolve_blocking(vec![resolution(8, RowVerdict::Absent)], None).unwrap_err();
    assert!(matches!(&unknown, LedgerError::Refused(why) if why == "the run has no row 8"), "{unknown}");
    assert_eq!(dump(&place.path), before);
    steps.record(vec![record(4, 1, created(4))]);
    ledger.resolve_blocking(vec![resolution(2, RowVerdict::Absent)], None).unwrap();
    ledger.close(SessionEnd::Finished).unwrap();
}

#[test]
fn attempts_before_an_order_to_send_again_do_not_count() {
    let place = Place::new();
    let ledger = place.started(bare_rows(1));
    let mut steps = Steps::of(&ledger);
    steps.claim(1);
    let unavailable = || Outcome::Pending(fault(ErrorCode::Unavailable, 503));
    for number in 1..4 {
        steps.record(vec![record(1, number, unavailable())]);
        steps.claim(1);
    }
    steps.record(vec![record(1, 4, failed())]);
    ledger.resolve_blocking(vec![because(1, RowVerdict::Again, "rights were granted")], None).unwrap();
    let answer = steps.do_step(Step { claim: 1, ..Step::default() }).unwrap();
    assert_eq!((pairs(&answer), answer.rows[0].counted_attempts), (vec![(1, 5)], 0));
    steps.record(vec![record(1, 5, unavailable())]);
    let answer = steps.do_step(Step { claim: 1, ..Step::default() }).unwrap();
    assert_eq!((pairs(&answer), answer.rows[0].counted_attempts), (vec![(1, 6)], 1));
    assert_eq!(place.row(1).attempts, 6);
}

#[test]
fn the_reasons_of_failures_tell_what_was_decided_last() {
    let place = Place::new();
    let ledger = place.started(bare_rows(2));
    let mut steps = Steps::of(&ledger);
    steps.claim(2);
    steps.record(vec![record(1, 1, in_doubt()), record(2, 1, in_doubt())]);
    let verdict = Resolution { source: Source::Person, ..because(1, RowVerdict::AbsentForGood, "asked the desk") };
    ledger.resolve_blocking(vec![verdict], None).unwrap();
    let reasons = place.reader().failures(9).unwrap();
    let told: Vec<_> = reasons.iter().map(|reason| (reason.state, reason.row, reason.message.as_deref())).collect();
    assert_eq!(told.len(), 2);
    assert!(told.contains(&(RowState::Failed, Some(row(1)), Some("asked the desk"))), "{told:?}");
    assert!(told.contains(&(RowState::InDoubt, Some(row(2)), Some("the server said 504"))), "{told:?}");
}

#[tokio::test]
async fn many_rows_are_settled_in_one_call_in_any_order() {
    let place = Place::new();
    let ledger = place.started(bare_rows(3000));
    let mut steps = Steps::of(&ledger);
    steps.claim(2500);
    steps.record((1..=2500).map(|number| record(number, 1, in_doubt())).collect());
    let verdict = |number: u32| match number {
        ..=2500 if number.is_multiple_of(2) => RowVerdict::Absent,
        ..=2500 => RowVerdict::Exists(uri(number)),
        _ => RowVerdict::LeftOut,
    };
    ledger.resolve((1..=3000).rev().map(|number| resolution(number, verdict(number))).collect(), None).await.unwrap();
    ledger.resolve(Vec::new(), None).await.unwrap();
    let tally = |state, code, n| Tally { state, code, n };
    let mut expected = vec![
        tally(RowState::Created, None, 1250),
        tally(RowState::Pending, Some(ErrorCode::GatewayTimeout), 1250),
        tally(RowState::Skipped, None, 500),
    ];
    expected.sort_by_key(|tally| tally.state);
    let mut tallies = place.reader().tallies().unwrap();
    tallies.sort_by_key(|tally| tally.state);
    assert_eq!(tallies, expected);
    let answer = ledger.step(Step { number: steps.number + 1, claim: 2000, ..Step::default() }).await.unwrap();
    assert_eq!(pairs(&answer), (1..=1250).map(|half| (half * 2, 2)).collect::<Vec<_>>());
}
