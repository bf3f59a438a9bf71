//! What one list settles, and what it leaves.

use super::support::*;
use crate::ledger::RowState;
use crate::reconcile::{Ask, Completeness, Double, Loss, Report, Stray, Trust, WhyLeft, worth_asking_again};
use crate::request::ErrorCode;

/// Rows 1 and 2 created, 3 and 4 in doubt, 5 pending, 6 failed.
fn book() -> MemoryBook {
    MemoryBook::default()
        .with(1, RowState::Created)
        .with(2, RowState::Created)
        .with(3, RowState::InDoubt)
        .with(4, RowState::InDoubt)
        .with(5, RowState::Pending)
        .with(6, RowState::Failed)
}

fn list(rows: impl IntoIterator<Item = u32>) -> MadeUp {
    MadeUp::of(rows.into_iter().map(|number| object_of(&tagged(), number)).collect())
}

fn states(book: &MemoryBook) -> Vec<RowState> {
    book.rows.borrow().values().map(|known| known.state).collect()
}

/// The counts of a report: found, unexpectedly, absent, failed, contradicted, left.
fn counts(report: &Report) -> [u64; 6] {
    let Report { found, found_unexpectedly, absent, failed, contradicted, left, .. } = report;
    [*found, *found_unexpectedly, *absent, *failed, *contradicted, *left]
}

#[test]
fn what_the_list_has_is_created_and_what_it_lacks_is_pending_again() {
    let book = book();
    let report = reconciled(&book, &list([1, 3, 2]), &tagged(), RIPE);
    assert_eq!((report.read, counts(&report)), (3, [1, 0, 1, 0, 0, 0]));
    assert!(report.why_left.is_empty() && !worth_asking_again(&report));
    assert_eq!(report.completeness, Some(Completeness::Complete));
    assert_eq!(book.get(3).uuid, Some(uuid(3)));
    assert_eq!(book.get(3).message.as_deref(), Some("found in the server's list by its tag"));
    use RowState::{Created, Failed, Pending};
    assert_eq!(states(&book), [Created, Created, Created, Pending, Pending, Failed]);
}

#[test]
fn pending_and_failed_rows_that_are_found_are_created_and_counted_apart() {
    let book = book();
    let report = reconciled(&book, &list(1..=6), &tagged(), Ask { ripe: false, ..RIPE });
    assert_eq!(counts(&report), [2, 2, 0, 0, 0, 0]);
    assert_eq!(states(&book), [RowState::Created; 6]);
}

#[test]
fn a_list_that_does_not_end_well_settles_nothing() {
    for (end, again) in
        [(End::CutOff, true), (End::Refused(503), true), (End::Refused(403), false), (End::Refused(404), false)]
    {
        let book = book();
        let list = MadeUp { end, ..list(1..=6) };
        let report = reconciled(&book, &list, &tagged(), Ask { trust: Trust::List, ..RIPE });
        assert_eq!(counts(&report), [0, 0, 0, 0, 0, 2], "{end:?}");
        assert_eq!(states(&book), states(&self::book()), "{end:?}");
        assert_eq!(worth_asking_again(&report), again, "{end:?}");
        let status = report.unreadable().unwrap().status();
        assert_eq!(status, if let End::Refused(status) = end { Some(status) } else { None });
        assert_eq!(report.completeness, None);
    }
}

#[test]
fn a_list_asked_for_too_early_settles_what_it_has_and_nothing_else() {
    let book = book();
    let report = reconciled(&book, &list([1, 2, 3]), &tagged(), Ask { ripe: false, ..RIPE });
    assert_eq!(counts(&report), [1, 0, 0, 0, 0, 1]);
    assert!(matches!(report.why_left.as_slice(), [WhyLeft::NotRipe { n: 1 }]));
    assert!(worth_asking_again(&report));
}

#[test]
fn a_list_that_hides_a_row_known_as_created_is_not_believed() {
    let book = book();
    let report = reconciled(&book, &list([2, 3]), &tagged(), RIPE);
    assert_eq!(counts(&report), [1, 0, 0, 0, 0, 1]);
    let [WhyLeft::Incomplete(gaps)] = report.why_left.as_slice() else { panic!("{:?}", report.why_left) };
    assert_eq!((gaps.n_expected, gaps.n_missing, gaps.n_untagged), (2, 1, 0));
    assert_eq!((gaps.first[0].row, gaps.first[0].loss), (row(1), Loss::Missing));
    assert!(worth_asking_again(&report));
    // A person who vouches for the list is believed.
    let report = reconciled(&book, &list([2, 3]), &tagged(), Ask { trust: Trust::List, ..RIPE });
    assert_eq!(counts(&report), [0, 0, 1, 0, 0, 0]);
    assert!(book.get(4).message.unwrap().contains("trusted without proof"));
}

#[test]
fn a_server_that_cuts_comments_settles_what_still_has_its_tag() {
    let book = book();
    let mut list = list([1, 2, 3]);
    list.objects[1].comment.truncate(30);
    let report = reconciled(&book, &list, &tagged(), RIPE);
    assert_eq!(counts(&report), [1, 0, 0, 0, 0, 1]);
    let [WhyLeft::Incomplete(gaps)] = report.why_left.as_slice() else { panic!("{:?}", report.why_left) };
    assert_eq!((gaps.n_missing, gaps.n_untagged, gaps.first[0].loss), (0, 1, Loss::Untagged));
}

#[test]
fn a_ledger_that_knows_of_nothing_created_proves_nothing() {
    let book = MemoryBook::default().with(1, RowState::InDoubt).with(2, RowState::InDoubt);
    let report = reconciled(&book, &list([1]), &tagged(), RIPE);
    // The row that this list shows as created was not known before it was asked for.
    assert_eq!(counts(&report), [1, 0, 0, 0, 0, 1]);
    assert!(matches!(report.why_left.as_slice(), [WhyLeft::NothingKnown]));
    assert!(!worth_asking_again(&report));
    let report = reconciled(&book, &list([1]), &tagged(), RIPE);
    assert_eq!(counts(&report), [0, 0, 1, 0, 0, 0]);
}

#[test]
fn an_empty_list_is_a_list() {
    let book = MemoryBook::default().with(1, RowState::InDoubt);
    let report = reconciled(&book, &MadeUp::of(vec![]), &tagged(), Ask { trust: Trust::List, ..RIPE });
    assert_eq!((report.read, counts(&report)), (0, [0, 0, 1, 0, 0, 0]));
}

#[test]
fn after_a_500_or_the_last_attempt_an_absent_row_is_failed() {
    let book = book().with_code(3, RowState::InDoubt, ErrorCode::ServerError);
    book.edit(4, |known| known.counted = 5);
    let report = reconciled(&book, &list([1, 2]), &tagged(), RIPE);
    assert_eq!(counts(&report), [0, 0, 0, 2, 0, 0]);
}

#[test]
fn a_request_that_is_not_what_its_row_asked_for_leaves_the_row_in_doubt_for_good() {
    let book = book();
    let mut wrong = list([1, 2, 3, 5]);
    wrong.objects[2].target = Some(guid(0x666));
    wrong.objects[3].template = None;
    let report = reconciled(&book, &wrong, &tagged(), RIPE);
    assert_eq!(counts(&report), [0, 0, 1, 0, 2, 2]);
    let [WhyLeft::Contradicted { n: 2, first }] = report.why_left.as_slice() else { panic!("{:?}", report.why_left) };
    assert_eq!(first, &[row(3), row(5)]);
    let reason = book.get(3).message.unwrap();
    for part in [uuid(3).to_string(), "target".to_owned(), guid(0x666).to_string(), guid(0x7003).to_string()] {
        assert!(reason.contains(&part), "{reason}");
    }
    // Recorded once; gone from the list it is still not absent; come right it is created.
    let n_batches = *book.n_batches.borrow();
    reconciled(&book, &wrong, &tagged(), RIPE);
    assert_eq!(*book.n_batches.borrow(), n_batches);
    let report = reconciled(&book, &list([1, 2]), &tagged(), Ask { trust: Trust::List, ..RIPE });
    assert_eq!((counts(&report), worth_asking_again(&report)), ([0, 0, 0, 0, 0, 2], false));
    let report = reconciled(&book, &list([1, 2, 3]), &tagged(), RIPE);
    assert_eq!(counts(&report), [1, 0, 0, 0, 0, 1]);
}

#[test]
fn of_two_requests_of_a_row_the_earlier_is_the_rows_and_both_are_reported() {
    let book = book();
    let mut list = list([1, 2, 3]);
    let mut first = list.objects[2].clone();
    (first.uuid, first.submitted) = (uuid(33), Some(noon() - jiff::SignedDuration::from_secs(9)));
    let mut unlike = list.objects[2].clone();
    (unlike.uuid, unlike.target) = (uuid(34), None);
    let mut further = list.objects[0].clone();
    further.uuid = uuid(11);
    let same = list.objects[1].clone();
    list.objects.extend([first, unlike, further, same]);
    let report = reconciled(&book, &list, &tagged(), RIPE);
    assert_eq!(book.get(3).uuid, Some(uuid(33)));
    assert_eq!(counts(&report), [1, 0, 1, 0, 0, 0]);
    assert_eq!(report.doubles.n, 2);
    let double = |number, uuids: &[u128]| Double { row: row(number), uuids: uuids.iter().map(|n| uuid(*n)).collect() };
    assert_eq!(report.doubles.first, [double(1, &[1, 11]), double(3, &[33, 3, 34])]);
}

#[test]
fn tags_of_rows_that_the_ledger_cannot_have_sent_are_named() {
    let book = book().with(7, RowState::Skipped);
    let report = reconciled(&book, &list([1, 2, 3, 4, 7, 99]), &tagged(), RIPE);
    let stray = |number, state| Stray { row: row(number), uuid: uuid(u128::from(number)), state };
    assert_eq!(report.strays.first, [stray(7, Some(RowState::Skipped)), stray(99, None)]);
    assert_eq!((report.strays.n, book.state(7)), (2, RowState::Skipped));
}

#[test]
fn tags_of_other_runs_and_forged_ones_are_nobodys() {
    let book = book();
    let others = MadeUp::of(vec![
        object_of(&tagged(), 1),
        object_of(&tagged(), 2),
        object_of(&identity(0xCD, tagged().tagging), 3),
        object_of(&crate::reconcile::Identity { key: identity(1, tagged().tagging).key, ..tagged() }, 4),
    ]);
    let report = reconciled(&book, &others, &tagged(), RIPE);
    assert_eq!(counts(&report), [0, 0, 2, 0, 0, 0]);
}

#[test]
fn a_call_that_is_open_is_left_to_its_answer() {
    let book = book().with(7, RowState::Sending);
    let report = reconciled(&book, &list([1, 2, 7]), &tagged(), RIPE);
    assert_eq!((counts(&report), book.state(7)), ([0, 0, 2, 0, 0, 0], RowState::Sending));
}

#[test]
fn many_rows_are_settled_in_batches() {
    let mut book = MemoryBook::default().with(1, RowState::Created);
    for number in 2..=3001 {
        book = book.with(number, RowState::InDoubt);
    }
    let report = reconciled(&book, &list(1..=1501), &tagged(), RIPE);
    assert_eq!(counts(&report), [1500, 0, 1500, 0, 0, 0]);
    assert_eq!(*book.n_batches.borrow(), 4);
}

#[test]
fn without_tags_a_row_is_found_by_its_properties_and_time() {
    let book = book();
    let list = MadeUp::of((1..=3).map(|number| object_of(&untagged(), number)).collect());
    let report = reconciled(&book, &list, &untagged(), RIPE);
    assert_eq!(counts(&report), [1, 0, 1, 0, 0, 0]);
    assert_eq!(book.get(3).uuid, Some(uuid(3)));
    assert!(book.get(3).message.unwrap().contains("properties"));
}

#[test]
fn without_tags_a_list_proves_itself_by_the_uuids() {
    let book = book();
    let list = MadeUp::of(vec![object_of(&untagged(), 1)]);
    let report = reconciled(&book, &list, &untagged(), RIPE);
    let [WhyLeft::Incomplete(gaps)] = report.why_left.as_slice() else { panic!("{:?}", report.why_left) };
    assert_eq!((gaps.n_missing, gaps.n_unlike, counts(&report)), (1, 0, [0, 0, 0, 0, 0, 2]));
}

#[test]
fn without_tags_a_server_that_writes_other_properties_proves_nothing() {
    let book = book();
    let mut list = MadeUp::of((1..=2).map(|number| object_of(&untagged(), number)).collect());
    list.objects.iter_mut().for_each(|object| object.template = None);
    let report = reconciled(&book, &list, &untagged(), RIPE);
    let [WhyLeft::Incomplete(gaps)] = report.why_left.as_slice() else { panic!("{:?}", report.why_left) };
    assert_eq!((gaps.n_missing, gaps.n_unlike, gaps.first[0].loss), (0, 2, Loss::Unlike));
}

#[test]
fn without_tags_what_is_not_clear_stays_in_doubt_with_its_candidates() {
    let book = book();
    let mut twin = object_of(&untagged(), 3);
    twin.uuid = uuid(33);
    let mut objects: Vec<_> = (1..=3).map(|number| object_of(&untagged(), number)).collect();
    objects.push(twin);
    let report = reconciled(&book, &MadeUp::of(objects), &untagged(), RIPE);
    assert_eq!(counts(&report), [0, 0, 1, 0, 0, 1]);
    let [WhyLeft::Ambiguous(ambiguous)] = report.why_left.as_slice() else { panic!("{:?}", report.why_left) };
    let candidates: Vec<_> = ambiguous.first[0].candidates.iter().map(|candidate| candidate.uuid).collect();
    assert_eq!((ambiguous.n, ambiguous.first[0].row, candidates), (1, row(3), vec![uuid(3), uuid(33)]));
    assert!(!worth_asking_again(&report));
}

#[test]
fn without_tags_pending_rows_are_not_guessed_at() {
    let book = book();
    let list = MadeUp::of((1..=6).map(|number| object_of(&untagged(), number)).collect());
    let report = reconciled(&book, &list, &untagged(), RIPE);
    assert_eq!(counts(&report), [2, 0, 0, 0, 0, 0]);
    assert_eq!((book.state(5), book.state(6)), (RowState::Pending, RowState::Failed));
}
