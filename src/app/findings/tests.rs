use super::*;
use crate::app::testing::*;
use crate::client::RequestStatus;
use crate::ledger::RowState;
use crate::reconcile::{Double, Gap, Some5, Stray};

fn some<T>(one: T) -> Some5<T> {
    Some5 { n: 1, first: vec![one] }
}

#[test]
fn each_thing_that_is_wrong_is_a_finding_that_names_its_requests() {
    assert_eq!(of_report(&Report::default()), []);
    let report = Report {
        doubles: some(Double { row: row(1), uuids: vec![uuid(1), uuid(2)] }),
        strays: some(Stray { row: row(2), uuid: uuid(3), state: None }),
        audit: Audit {
            missing: some(Gap { row: row(4), uuid: uuid(4) }),
            n_not_shown: 9,
            elsewhere: some((row(5), uuid(5))),
            come_to_nothing: vec![(uuid(6), None), (uuid(7), Some(RequestStatus::Denied))],
        },
        ..Report::default()
    };
    let found = of_report(&report);
    let told: Vec<_> = found.iter().map(|one| (one.kind, one.row, one.uuids.clone())).collect();
    assert_eq!(
        told,
        [
            (FindingKind::Double, Some(row(1)), vec![uuid(1), uuid(2)]),
            (FindingKind::Unsent, None, vec![uuid(3)]),
            (FindingKind::Missing, Some(row(4)), vec![uuid(4)]),
            (FindingKind::Elsewhere, Some(row(5)), vec![uuid(5)]),
            (FindingKind::SkippedGone, None, vec![uuid(6)]),
            (FindingKind::SkippedGone, None, vec![uuid(7)]),
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
