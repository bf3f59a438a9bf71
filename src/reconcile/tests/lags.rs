//! How far a list lags behind the server, and what that means for what it does not have.

use std::time::Duration;

use super::absence::check;
use super::world::*;
use crate::ledger::{Finding, FindingKind};
use crate::machine::Clock;
use crate::reconcile::{Probe, WhyLeft};
use crate::request::{ErrorCode, Fault, Outcome};

#[test]
fn a_list_lags_by_no_more_than_what_it_showed_soonest() {
    let mut world = World::begun(20);
    world.create(1..=12);
    world.pass(31);
    let seconds = |n| Some(Duration::from_secs(n));
    assert_eq!(world.look().lag, seconds(32), "the last one was created so long ago");
    world.create([13]);
    world.hide_row(13);
    assert_eq!(world.look().lag, seconds(33), "what is not shown says nothing");
    world.lag = seconds(32);
    assert_eq!(world.look().lag, seconds(32), "an earlier list showed it sooner");
    world.create([14]);
    assert_eq!(world.look().lag, seconds(1));
}

#[test]
fn a_list_that_lags_is_asked_for_when_it_has_what_the_server_did() {
    for (lag, ripe) in [(Some(0), 155), (Some(30), 155), (Some(40), 165), (None, 154 + 125)] {
        let scene = |seconds: u64| {
            let mut world = World::begun(20);
            world.lag = lag.map(Duration::from_secs);
            world.create(1..=10);
            let lost_at = world.clock.since_boot();
            world.lose(11);
            world.create([12]);
            world.pass(seconds - 2);
            (world, lost_at)
        };
        if ripe > 155 {
            let (world, lost_at) = scene(155);
            let report = check(&format!("lags by {lag:?}"), world, 11, "new end");
            assert_eq!(report.ask_again_at, Some(lost_at + Duration::from_secs(ripe)), "lags by {lag:?}");
            if lag.is_some() {
                check(&format!("lags by {lag:?}"), scene(ripe - 1).0, 11, "new end");
            }
        }
        let (mut world, _) = scene(ripe);
        // What the list that was too early showed.
        world.lag = world.lag.or(Some(Duration::from_secs(154)));
        check(&format!("lags by {lag:?}"), world, 11, "proven");
    }
}

#[test]
fn where_a_list_was_seen_to_lag_longer_no_row_is_sent_as_a_sign() {
    let mut world = World::begun(11);
    world.create(1..=10);
    world.lose(11);
    world.pass(160);
    world.list_lags = true;
    let report = world.look();
    assert_eq!((report.absent, report.left), (0, 1), "{:?}", report.why_left);
    world.list_lags = false;
    assert_eq!(world.look().absent, 1);
}

#[test]
fn an_older_request_of_a_row_says_nothing_of_how_fresh_a_list_is() {
    let mut world = World::begun(20);
    world.create(1..=10);
    world.lose(11);
    world.pass(160);
    world.create([12]);
    // What row 12 was answered with is hidden, and another of its requests stands in the list: the row is that one from now on.
    let older = object(500, world.request(12), world.tag(12).to_string());
    world.hide_row(12);
    world.list.objects.push(older);
    let report = world.look();
    assert_eq!((report.corrected, report.absent), (1, 0), "{:?}", report.why_left);
    world.pass(31);
    let report = world.look();
    assert_eq!((report.lag, report.lags), (Some(Duration::from_secs(194)), true), "{:?}", report.why_left);
}

#[test]
fn a_request_that_a_list_found_is_taken_for_that_of_the_first_attempt() {
    let mut world = World::begun(20);
    world.create(1..=10);
    world.lose(11);
    world.attempt([(12, Outcome::Pending(Fault::without_answer(ErrorCode::Throttled, "later")))]);
    world.pass(160);
    world.lose(12);
    world.put(12);
    assert_eq!(world.look().found, 1);
    check("the only one behind may be as old as the row", world, 11, "new end");
}

#[test]
fn a_row_that_was_there_when_a_list_did_not_have_it_ends_all_proofs_until_a_person_has_looked() {
    let mut world = World::begun(12);
    world.create(1..=10);
    let there = [11, 12].map(|number| world.object(number));
    world.lose(11);
    world.lose(12);
    world.pass(160);
    // The list lacks the newest two, and no row is left that would show it.
    let report = world.look();
    assert_eq!((report.absent, report.probe), (1, Probe::Sent(row(11))));
    (world.probe, world.probe_since) = (report.probe, report.date);
    world.lose(11);
    world.list.objects.push(there[0].clone());
    world.pass(160);
    let report = world.look();
    let refuted = Probe::Refuted { row: row(11), uuid: uuid(11) };
    assert_eq!((report.found, report.absent, report.probe), (1, 0, refuted));
    assert_eq!(report.why_left, [WhyLeft::Refuted { n: 1 }]);
    world.probe = refuted;
    assert_eq!(world.look().why_left, [WhyLeft::Refuted { n: 1 }], "nothing is forgotten");
    let double =
        Finding { kind: FindingKind::Double, row: Some(row(11)), uuids: vec![uuid(11)], detail: String::new() };
    world.ledger().set_findings(vec![double.clone()]).unwrap();
    // Another session knows it from the finding.
    world.restart(ACCOUNT);
    world.first_look();
    world.pass(160);
    let report = world.look();
    assert_eq!((report.absent, &report.why_left[..]), (0, &[WhyLeft::Refuted { n: 1 }][..]));
    assert_eq!(report.audit.still_open, [double]);
    world.ledger().set_findings(Vec::new()).unwrap();
    assert_eq!(world.look().absent, 1, "a person has looked");
}

#[test]
fn a_row_whose_second_request_shows_refutes_nothing() {
    let mut world = World::begun(12);
    world.create(1..=10);
    world.lose(11);
    world.lose(12);
    world.pass(160);
    let report = world.look();
    (world.probe, world.probe_since) = (report.probe, report.date);
    world.put(11);
    world.lose(11);
    world.pass(160);
    let report = world.look();
    assert_eq!((report.found, report.absent, report.probe), (1, 1, Probe::Sent(row(12))));
}
