use super::*;
use crate::app::testing::*;
use crate::client::RequestStatus;
use crate::ledger::RowState;
use crate::reconcile::{Double, Firsts, Gap, Stray};

fn some<T, const MAX: usize>(one: T) -> Firsts<T, MAX> {
    Firsts { n: 1, first: vec![one] }
}

#[test]
fn each_thing_that_is_wrong_is_a_finding_that_names_its_requests() {
    assert_eq!(of_report(&Report::default()), []);
    let report = Report {
        doubles: some(Double { row: row(1), uuids: vec![uuid(1), uuid(2)] }),
        strays: some(Stray { row: row(2), uuid: uuid(3), state: None }),
        audit: Audit {
            missing: some(Gap { row: row(4), uuid: uuid(4) }),
            not_shown: Firsts { n: 9, first: Vec::new() },
            elsewhere: some((row(5), uuid(5), vec![uuid(8)])),
            come_to_nothing: vec![(row(6), uuid(6), None), (row(7), uuid(7), Some(RequestStatus::Denied))],
            ..Audit::default()
        },
        ..Report::default()
    };
    let found = of_report(&report);
    let told: Vec<_> = found.iter().map(|one| (one.kind, one.row, one.uuids.clone())).collect();
    assert_eq!(
        told,
        [
            (FindingKind::Double, Some(row(1)), vec![uuid(1), uuid(2)]),
            (FindingKind::Unsent, Some(row(2)), vec![uuid(3)]),
            (FindingKind::Missing, Some(row(4)), vec![uuid(4)]),
            (FindingKind::Elsewhere, Some(row(5)), vec![uuid(5), uuid(8)]),
            (FindingKind::SkippedGone, Some(row(6)), vec![uuid(6)]),
            (FindingKind::SkippedGone, Some(row(7)), vec![uuid(7)]),
        ]
    );
    for one in &found {
        one.uuids.iter().for_each(|uuid| assert!(one.detail.contains(&uuid.to_string()), "{}", one.detail));
    }
    assert!(found[1].detail.contains("is not in this ledger"), "{}", found[1].detail);
    let stray = Stray { row: row(2), uuid: uuid(3), state: Some(RowState::Pending) };
    let found = of_report(&Report { strays: some(stray), ..Report::default() });
    assert!(found[0].detail.contains("is pending and another one here"), "{}", found[0].detail);
}

#[test]
fn the_last_one_that_is_named_says_how_many_more_there_are() {
    let gap = |number: u32| Gap { row: row(number), uuid: uuid(number.try_into().unwrap()) };
    let missing = |n, named| Report {
        audit: Audit { missing: Firsts { n, first: (1..=named).map(gap).collect() }, ..Audit::default() },
        ..Report::default()
    };
    for (n, named, said) in [(3, 3, None), (6, 5, Some("; and 1 more")), (1_705, 5, Some("; and 1,700 more"))] {
        let found = of_report(&missing(n, named));
        assert_eq!(found.len(), named as usize);
        let ends = |finding: &Finding| said.is_some_and(|said| finding.detail.ends_with(said));
        assert_eq!(found.iter().position(ends), said.map(|_| 4), "{found:?}");
    }
}
