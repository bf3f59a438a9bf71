//! What a list shows to be wrong that no state of a row tells.

use super::world::*;
use crate::client::{RequestObject, RequestStatus};
use crate::ledger::{Finding, FindingKind};
use crate::reconcile::{Audit, Gap, Tagging};
use crate::request::RequestUuid;

/// A session that created rows 1 to 10.
fn sent() -> World {
    let mut world = World::begun(12);
    world.create(1..=10);
    world
}

fn missing(audit: &Audit) -> Vec<u32> {
    audit.missing.first.iter().map(|gap| gap.row.get()).collect()
}

#[test]
fn a_row_that_is_missing_between_others_is_a_finding_and_one_at_the_new_end_a_count() {
    let cases: [(&[u32], &[u32], u64); 7] = [
        (&[], &[], 0),
        (&[5], &[5], 0),
        (&[3, 5, 6], &[3, 5, 6], 0),
        (&[10], &[], 1),
        (&[4, 9, 10], &[4], 2),
        (&[1], &[], 1),
        (&[2, 3, 4, 5, 6, 7], &[], 6),
    ];
    for (hidden, expected, n_not_shown) in cases {
        let mut world = sent();
        hidden.iter().for_each(|number| world.hide_row(*number));
        let audit = world.look().audit;
        assert_eq!((missing(&audit), audit.not_shown.n), (expected.to_vec(), n_not_shown), "without {hidden:?}");
    }
    let mut world = sent();
    world.hide_row(5);
    assert_eq!(world.look().audit.missing.first, [Gap { row: row(5), uuid: uuid(5) }]);
}

#[test]
fn a_request_that_lost_its_tag_is_told() {
    let mut world = sent();
    world.listed(5).comment.clear();
    let audit = world.look().audit;
    assert_eq!((missing(&audit), audit.untagged.first), (vec![], vec![Gap { row: row(5), uuid: uuid(5) }]));
}

#[test]
fn rows_of_earlier_sessions_are_not_looked_for() {
    let mut world = sent();
    world.restart(ACCOUNT);
    world.first_look();
    world.hide_row(5);
    world.create([11]);
    assert!(missing(&world.look().audit).is_empty());
}

#[test]
fn what_another_run_requested_of_created_rows_is_told_unless_somebody_accepted_it() {
    for (hours, is_accepted) in [(-2_i64, false), (1, false), (1, true)] {
        let mut world = World::begun(3);
        let first = world.server_now();
        world.create([1, 2]);
        let comment = strangers_tag(9, world.request(2)).to_string();
        let submitted = Some(first + jiff::SignedDuration::from_hours(hours));
        for number in [700, 701] {
            let stranger = object(number, world.request(2), comment.clone());
            world.list.objects.push(RequestObject { submitted, ..stranger });
        }
        if is_accepted {
            world.ledger().accept_hits(vec![uuid(700), uuid(701)]).unwrap();
        }
        let told = world.look().audit.elsewhere.first;
        let all = vec![(row(2), world.object(2).uuid, vec![uuid(700), uuid(701)])];
        // By whatever clock: a list may lag, and the server's clock may jump.
        assert_eq!(told, if is_accepted { Vec::new() } else { all }, "{hours}");
    }
}

#[test]
fn a_finding_is_closed_by_a_list_that_shows_what_closes_it_and_by_no_other() {
    let about = |kind, uuids: &[RequestUuid]| Finding {
        kind,
        row: Some(row(5)),
        uuids: uuids.to_vec(),
        detail: "as an earlier list showed".to_owned(),
    };
    let ended = [(RequestStatus::Denied, true), (RequestStatus::Canceled, true), (RequestStatus::Approved, false)];
    for (status, closes) in ended {
        for kind in [FindingKind::Double, FindingKind::Elsewhere] {
            let mut world = sent();
            let finding = about(kind, &[world.object(5).uuid, uuid(700)]);
            world.ledger().set_findings(vec![finding.clone()]).unwrap();
            assert_eq!(world.look().audit.still_open, std::slice::from_ref(&finding), "the list does not show it");
            world.list.objects.push(RequestObject { status, ..object(700, world.request(5), String::new()) });
            let left = if closes { vec![] } else { vec![finding] };
            assert_eq!(world.look().audit.still_open, left, "{kind:?}, {status:?}");
        }
    }
    let mut world = sent();
    let missing = about(FindingKind::Missing, &[world.object(5).uuid]);
    world.ledger().set_findings(vec![missing.clone()]).unwrap();
    assert_eq!(world.look().audit.still_open, []);
    world.hide_row(5);
    assert_eq!(world.look().audit.still_open, [missing]);
}

#[test]
fn a_run_without_tags_is_not_looked_for() {
    let mut world = sent();
    world.tagging = Tagging::Untagged;
    assert_eq!(world.look().audit, Audit::default());
}

#[test]
fn what_was_the_newest_at_the_first_look_of_the_session_before_is_looked_for() {
    let mut world = World::begun(3);
    world.create([1]);
    world.restart(ACCOUNT);
    assert_eq!(world.first_look().audit.n_old_end, 0);
    world.hide(|object| object.comment == "by hand");
    assert_eq!(world.look().audit.n_old_end, 5);
}

#[test]
fn what_was_the_newest_at_this_sessions_first_look_is_looked_for() {
    let mut world = World::begun(3);
    assert_eq!(world.look().audit.n_old_end, 0);
    world.hide(|object| object.comment == "by hand");
    assert_eq!(world.look().audit.n_old_end, 5);
}
