use std::time::Duration;

use jiff::SignedDuration;

use super::*;
use crate::reconcile::tests::world::*;
use crate::request::RequestType;

const DAY: u64 = 86_400;

/// A request of another run for what row 1 asks for, submitted so long ago.
fn other(world: &World, number: u128, seconds_ago: u64) -> RequestObject {
    let comment = strangers_tag(9, world.request(1)).to_string();
    let submitted = Some(world.server_now() - Duration::from_secs(seconds_ago));
    RequestObject { submitted, ..object(number, world.request(1), comment) }
}

fn hit_of(world: &mut World, number: u32) -> Option<RequestUuid> {
    let report = world.look();
    report.hits.of(world.request(number)).map(|hit| hit.uuid)
}

#[test]
fn a_request_of_another_run_for_the_same_is_a_hit() {
    let mut world = World::begun(3);
    let found = other(&world, 800, 100);
    world.list.objects.push(found.clone());
    let report = world.look();
    let hit = *report.hits.of(world.request(1)).unwrap();
    let expected = Hit {
        uuid: uuid(800),
        run: strangers_tag(9, world.request(1)).run_mark(),
        originator: found.originator,
        submitted: found.submitted,
        status: found.status,
    };
    assert_eq!(hit, expected);
    assert!(report.hits.of(world.request(2)).is_none());
    assert!(report.hits.clone().filtered(|hit| hit.uuid != uuid(800)).is_empty(), "one that was accepted");
    assert!(report.strays.n == 0 && !report.is_behind());
    // What is not pending any more needs none.
    world.create([1]);
    assert!(world.look().hits.is_empty());
}

#[test]
fn what_stands_for_a_row_is_open_or_done_asks_for_the_same_and_is_not_too_old() {
    type Change = fn(&mut RequestObject);
    let cases: [(&str, bool, Change); 17] = [
        ("open", true, |found| found.status = RequestStatus::Pending),
        ("done", true, |found| found.status = RequestStatus::Completed),
        ("of a status that no page names", true, |found| found.status = RequestStatus::Other(99)),
        ("denied", false, |found| found.status = RequestStatus::Denied),
        ("failed", false, |found| found.status = RequestStatus::Failed),
        ("canceled", false, |found| found.status = RequestStatus::Canceled),
        ("another target", false, |found| found.target = Some(guid(5))),
        ("no target", true, |found| found.target = None),
        ("another template", false, |found| found.template = template(5)),
        ("no template", true, |found| found.template = None),
        ("another type", false, |found| found.request_type = Some(5)),
        ("a type of no known number", false, |found| found.request_type = Some(2)),
        ("no type", true, |found| found.request_type = None),
        ("no time", true, |found| found.submitted = None),
        ("a cut tag", false, |found| found.comment.truncate(38)),
        ("a tag behind another one", true, |found| {
            found.comment = format!("{} {}", strangers_tag(8, &request(2)), found.comment);
        }),
        ("a tag for another row's request", false, |found| found.comment = strangers_tag(9, &request(2)).to_string()),
    ];
    for (case, is_hit, change) in cases {
        let mut world = World::begun(3);
        let mut found = other(&world, 800, 100);
        change(&mut found);
        world.list.objects.push(found);
        assert_eq!(hit_of(&mut world, 1).is_some(), is_hit, "{case}");
    }
}

#[test]
fn how_far_back_requests_count_is_by_the_servers_clock() {
    for (days, is_hit) in [(29, true), (31, false)] {
        let mut world = World::begun(3);
        // The wall clock of this machine is wrong by months.
        world.clock.turn_wall(SignedDuration::from_hours(24 * 60));
        let found = other(&world, 800, 0);
        let submitted = found.submitted.map(|at| at - Duration::from_secs(days * DAY));
        world.list.objects.push(RequestObject { submitted, ..found });
        assert_eq!(hit_of(&mut world, 1).is_some(), is_hit, "{days}");
        world.look_back = None;
        assert!(hit_of(&mut world, 1).is_none(), "nobody asks");
    }
}

#[test]
fn of_several_the_latest_stands_and_runs_are_counted_by_rows() {
    let mut world = World::of(vec![request(1), request(1), request(2)]);
    for (number, seconds_ago) in [(800, 100), (801, 50), (802, 70)] {
        let found = other(&world, number, seconds_ago);
        world.list.objects.push(found);
    }
    let third = strangers_tag(7, &request(2)).to_string();
    world.list.objects.push(object(900, &request(2), third));
    let report = world.look();
    assert_eq!(report.hits.of(&request(1)).map(|hit| hit.uuid), Some(uuid(801)));
    let by_run: Vec<_> = report.hits.by_run().iter().map(|run| (run.n_rows, run.first_submitted.is_some())).collect();
    assert_eq!(by_run, [(2, true), (1, false)]);
}

#[test]
fn memory_stays_flat_over_a_list_of_200_000_strangers() {
    let world = World::begun(4);
    let reader = world.reader();
    let mut strangers = Strangers::default();
    let of = |number: u32| CreateRequest { kind: RequestType::Renew, ..request(number) };
    for number in 0..200_000_u32 {
        let request = if number.is_multiple_of(50_000) { request(number / 50_000 + 1) } else { of(number) };
        let tag = strangers_tag(9, &request);
        strangers.take(&object(u128::from(number) + 1, &request, String::new()), &tag, None, &reader).unwrap();
    }
    assert!(strangers.kept.len() <= 4, "{}", strangers.kept.len());
    assert_eq!(strangers.hits(&reader, &[RowState::Pending]).unwrap().iter().count(), 4);
}
