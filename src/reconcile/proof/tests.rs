use super::*;
use crate::reconcile::tests::support::*;

fn expected(rows: std::ops::RangeInclusive<u32>, tagging: Tagging) -> Expected {
    let newest: Vec<_> =
        rows.map(|n| CreatedRow { row: row(n), uuid: uuid(u128::from(n)), request: request(n) }).collect();
    Expected::new(newest, tagging)
}

#[test]
fn a_list_is_complete_when_it_has_each_with_its_own_tag() {
    let mut list = expected(1..=3, Tagging::Tagged);
    for number in [3, 1, 9, 2] {
        list.see(&object_of(&tagged(), number), Some(row(number)));
    }
    assert_eq!(list.completeness(), Completeness::Complete);
    assert_eq!(Expected::new(vec![], Tagging::Tagged).completeness(), Completeness::NothingKnown);
}

#[test]
fn a_request_without_its_tag_or_with_another_rows_has_lost_it() {
    for found in [None, Some(row(2))] {
        let mut list = expected(1..=2, Tagging::Tagged);
        list.see(&object_of(&tagged(), 1), found);
        let Completeness::Incomplete(gaps) = list.completeness() else { panic!() };
        assert_eq!((gaps.n_expected, gaps.n_missing, gaps.n_untagged), (2, 1, 1));
        let losses: Vec<_> = gaps.first.iter().map(|gap| (gap.row, gap.loss)).collect();
        assert_eq!(losses, [(row(1), Loss::Untagged), (row(2), Loss::Missing)]);
    }
}

#[test]
fn without_tags_the_uuid_is_enough_where_the_properties_are_the_rows() {
    let mut list = expected(1..=2, Tagging::Untagged);
    list.see(&object_of(&untagged(), 1), None);
    let unlike = RequestObject { request_type: Some(5), ..object_of(&untagged(), 2) };
    list.see(&unlike, None);
    let Completeness::Incomplete(gaps) = list.completeness() else { panic!() };
    assert_eq!((gaps.n_missing, gaps.n_untagged, gaps.n_unlike, gaps.first[0].loss), (0, 0, 1, Loss::Unlike));
    list.see(&object_of(&untagged(), 2), None);
    assert_eq!(list.completeness(), Completeness::Complete);
}

#[test]
fn all_gaps_are_counted_and_few_are_named() {
    let Completeness::Incomplete(gaps) = expected(1..=1000, Tagging::Tagged).completeness() else { panic!() };
    assert_eq!((gaps.n_missing, gaps.first.len()), (1000, MAX_NAMED));
}
