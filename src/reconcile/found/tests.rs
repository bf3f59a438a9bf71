use super::*;
use crate::reconcile::tests::support::*;

fn facts(state: RowState, known: Option<u128>) -> RowFacts {
    RowFacts { state, request: Some(request(1)), uuid: known.map(uuid) }
}

#[test]
fn what_a_tag_says_depends_on_what_the_ledger_knows() {
    let object = object_of(&tagged(), 1);
    for (facts, expected) in [
        (Some(facts(RowState::Created, Some(1))), Reading::Known),
        (Some(facts(RowState::Created, Some(2))), Reading::Further(uuid(2))),
        (Some(facts(RowState::Canceled, Some(1))), Reading::Known),
        (Some(facts(RowState::Canceled, None)), Reading::Known),
        (Some(facts(RowState::Sending, None)), Reading::Open),
        (Some(facts(RowState::InDoubt, None)), Reading::Exists(Before::InDoubt)),
        (Some(facts(RowState::Pending, None)), Reading::Exists(Before::Pending)),
        (Some(facts(RowState::Failed, None)), Reading::Exists(Before::Failed)),
        (Some(facts(RowState::Skipped, None)), Reading::Stray(Some(RowState::Skipped))),
        (Some(facts(RowState::Replaced, None)), Reading::Stray(Some(RowState::Replaced))),
        (Some(RowFacts { request: None, ..facts(RowState::Invalid, None) }), Reading::Stray(Some(RowState::Invalid))),
        (None, Reading::Stray(None)),
    ] {
        assert_eq!(read(facts.as_ref(), &object), expected, "{facts:?}");
    }
    let other = RequestObject { target: None, ..object };
    let reading = read(Some(&facts(RowState::Pending, None)), &other);
    assert!(matches!(reading, Reading::Contradicts(differs) if differs.len() == 1));
}

#[test]
fn a_row_that_is_found_takes_little_memory() {
    assert!(size_of::<Exists>() <= 32);
}

#[test]
fn a_request_without_a_time_counts_as_the_later_one() {
    let who = tagged();
    let book = MemoryBook::default().with(1, RowState::InDoubt);
    let mut scan = TagScan::new(&who, Expected::new(vec![], Tagging::Tagged), Tagless::default());
    let without_time = RequestObject { submitted: None, ..object_of(&who, 1) };
    let with_time = RequestObject { uuid: uuid(99), ..object_of(&who, 1) };
    for object in [without_time, with_time] {
        scan.take(&book, &object).unwrap();
    }
    let seen = scan.finish();
    assert_eq!(seen.exists.iter().map(|found| found.uuid).collect::<Vec<_>>(), [uuid(99)]);
    assert_eq!(seen.doubles.first[0].uuids, [uuid(99), uuid(1)]);
}
