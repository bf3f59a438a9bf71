//! Several ledgers for the same rows.

use jiff::SignedDuration;

use super::server::{ACCOUNT, Deed, How, Made, Manner, Reply, Shown, uuid_of};
use super::{World, next_commands};
use crate::common::{Ran, TEMPLATE, enrollments, guid, wait_until};

#[test]
fn a_pilot_that_goes_on_sees_what_another_ledger_sent_meanwhile() {
    for host in ["host", "another"] {
        let world = World::new(Manner::default());
        let pilot = world.with_rows("a", 30);
        pilot.submit(&["--limit", "10"]).exits(0);
        let rest = world.on_host("b", host);
        rest.write("wave.csv", enrollments(30));
        let stopped = rest.submit(&[]).exits(2).says("10 rows");
        let n_ways = if host == "host" { 3 } else { 2 };
        assert_eq!(next_commands(&stopped.stderr).len(), n_ways, "{}", stopped.stderr);
        let ran = rest.run_next(&stopped, "--already skip");
        if host == "host" {
            ran.exits(0);
        } else {
            // Nobody knows there yet which account this is.
            let ran = if ran.status == 0 { ran } else { rest.run_next(&ran, "--originator") };
            ran.exits(0);
        }
        assert_eq!(world.server.n_made(), 30);
        let stopped = pilot.submit(&[]).exits(2).says("20 rows");
        assert_eq!(world.server.n_made(), 30);
        pilot.run_next(&stopped, "--already skip").exits(0);
        world.server.never_twice();
        assert_eq!(pilot.n_in("wave.ledger", "skipped"), 20);
    }
}

#[test]
fn a_ledger_whose_first_start_found_no_server_asks_at_its_second() {
    let world = World::new(Manner::default());
    let late = world.with_rows("b", 30);
    world.server.away(true);
    late.submit(&["--already", "skip"]).exits(4);
    world.server.away(false);
    let first = world.with_rows("a", 30);
    first.submit(&["--limit", "25"]).exits(0);
    late.submit(&["--already", "skip"]).exits(0);
    world.server.never_twice();
    assert_eq!(world.server.n_made(), 30);
}

#[test]
fn without_a_list_nothing_is_sent() {
    for how in [How::Status(403), How::Status(400), How::Status(204)] {
        let world = World::new(Manner::default());
        world.with_rows("a", 10).submit(&[]).exits(0);
        world.server.behave(Manner::default().list_as(how.clone()));
        let place = world.with_rows("b", 10);
        for _ in 0..2 {
            let ran = place.submit(&["--already", "skip"]);
            if how != How::Status(204) {
                ran.exits(4);
                assert_eq!(world.server.n_posts(), 10, "{how:?}");
            }
        }
    }
}

#[test]
fn a_list_that_fails_once_is_asked_for_again() {
    let world = World::new(Manner::default());
    world.with_rows("a", 10).submit(&[]).exits(0);
    let n_lists = world.server.n_lists();
    let once = move |number: u32, made: Vec<Made>| Shown {
        made,
        how: if number == n_lists + 1 { How::Status(503) } else { How::Whole },
    };
    world.server.behave(Manner::default().listing(once));
    world.with_rows("b", 10).submit(&[]).exits(2).says("10 rows");
    assert_eq!(world.server.n_posts(), 10);
}

#[test]
fn clocks_that_are_months_apart_hide_no_other_ledger() {
    for days in [-60, 60] {
        let off = || Manner { clock: SignedDuration::from_hours(24 * days), ..Manner::default() };
        let world = World::new(off());
        world.with_rows("a", 10).submit(&[]).exits(0);
        world.with_rows("b", 10).submit(&[]).exits(2).says("10 rows");
        assert_eq!(world.server.n_posts(), 10, "{days} days");
    }
}

#[test]
fn two_new_ledgers_at_once_on_one_host_send_each_row_once() {
    let world = World::new(Manner::slow(10));
    let (a, b) = (world.with_rows("a", 100), world.with_rows("b", 100));
    let first = a.start(&["submit", "wave.csv", "--rate", "60/s"]);
    let second = b.start(&["submit", "wave.csv", "--rate", "60/s"]);
    let first: Ran = first.wait_with_output().unwrap().into();
    let second: Ran = second.wait_with_output().unwrap().into();
    world.server.never_twice();
    let mut both = [first.status, second.status];
    both.sort_unstable();
    assert!(both == [0, 8] || both == [8, 8], "{both:?}\n{}\n{}", first.stderr, second.stderr);
    // Whoever stopped goes on when the other one has ended, and leaves out what is there.
    for place in [&a, &b] {
        place.submit(&["--already", "skip"]).exits(0);
    }
    world.server.never_twice();
    assert_eq!(world.server.n_made(), 100);
}

#[test]
fn two_nights_that_overlap_send_each_row_once() {
    let world = World::new(Manner::slow(10));
    let (first, second) = (world.with_rows("a", 60), world.place("b"));
    second.write("wave.csv", enrollments(90));
    let night = first.start(&["submit", "wave.csv", "--rate", "30/s"]);
    wait_until(|| world.server.n_posts() >= 10);
    let ran = second.submit(&["--already", "skip"]).exits(8).says("wave.ledger").says(&night.id().to_string());
    let night: Ran = night.wait_with_output().unwrap().into();
    night.exits(0);
    second.run_next(&ran, "--already skip").exits(0);
    world.server.never_twice();
    assert_eq!(world.server.n_made(), 90);
}

#[test]
fn different_lists_run_side_by_side() {
    let world = World::new(Manner::slow(5));
    let (a, b) = (world.with_rows("a", 60), world.place("b"));
    b.write("wave.csv", super::further_manifest(60, "a1b2c3d4"));
    let night = a.start(&["submit", "wave.csv", "--rate", "40/s"]);
    wait_until(|| world.server.n_posts() >= 5);
    b.submit(&[]).exits(0);
    let night: Ran = night.wait_with_output().unwrap().into();
    night.exits(0);
    world.server.never_twice();
    assert_eq!(world.server.n_made(), 120);
}

/// Two hosts at once: twice is possible, and whoever sees it names it and does not end with 0.
#[test]
fn two_new_ledgers_at_once_on_two_hosts_name_what_is_twice() {
    let world = World::new(Manner::slow(10));
    let (a, b) = (world.with_rows("a", 60), world.on_host("b", "another"));
    b.write("wave.csv", enrollments(60));
    let first = a.start(&["submit", "wave.csv", "--rate", "40/s"]);
    let second = b.start(&["submit", "wave.csv", "--rate", "40/s"]);
    let first: Ran = first.wait_with_output().unwrap().into();
    let second: Ran = second.wait_with_output().unwrap().into();
    let twice = world.server.twice();
    if twice.is_empty() {
        return;
    }
    let said = format!("{}\n{}", first.stderr, second.stderr);
    assert!(first.status != 0 || second.status != 0, "{} twice:\n{said}", twice.len());
    let uuids: Vec<&String> = twice.iter().flat_map(|(_, uuids)| uuids).collect();
    assert!(uuids.iter().any(|uuid| said.contains(uuid.as_str())), "no uuid of {} twice:\n{said}", twice.len());
}

#[test]
fn requests_of_strangers_are_not_left_out() {
    let world = World::new(Manner::default());
    world.with_rows("a", 5).submit(&[]).exits(0);
    let theirs = world.server.made();
    let stranger = |made: Made| made.with("OriginatorUserUuid", Some(guid(999).into()));
    let world = World::new(Manner::default());
    for made in theirs {
        world.server.add(stranger(made));
    }
    let place = world.with_rows("b", 5);
    place.submit(&["--already", "skip"]).exits(2).says("anybody can write a comment");
    assert_eq!(world.server.n_posts(), 0);
}

#[test]
fn a_skipped_row_whose_request_came_to_nothing_is_named_and_can_be_sent() {
    let world = World::new(Manner::default());
    world.with_rows("a", 5).submit(&["--concurrency", "1"]).exits(0);
    // On the same host nothing would be sent for a while that another run there has just sent.
    let place = world.on_host("b", "another");
    place.write("wave.csv", enrollments(7));
    place
        .submit(&["--already", "skip", "--originator", ACCOUNT])
        .exits(0)
        .says("5 skipped (5 requested before from another ledger)");
    let status = place.run(&["status", "wave.ledger"]).exits(0).stdout;
    assert!(status.contains("requested-before") && status.contains(&uuid_of(1, 1)), "{status}");
    // One of the others is denied.
    let denied = uuid_of(2, 1);
    let of_list = denied.clone();
    let deny = move |_: u32, made: Vec<Made>| Shown {
        made: made
            .into_iter()
            .map(|made| if made.uuid == of_list { made.with("Status", Some(4.into())) } else { made })
            .collect(),
        how: How::Whole,
    };
    world.server.behave(Manner::default().listing(deny));
    place.run(&["settle", "wave.ledger", "--all"]).exits(1).says(&denied);
    place.run(&["drop", "wave.ledger", "--row", "2", "--undo"]).exits(0);
    let ran = place.submit(&[]);
    assert_eq!(world.server.n_made(), 8, "the row that was denied is not sent:\n{}", ran.stderr);
}

#[test]
fn a_copy_of_a_run_without_tags_sends_nothing() {
    let world = World::new(Manner::default());
    let place = world.with_rows("a", 30);
    place.submit(&["--no-tag", "--limit", "10"]).exits(0);
    let copy = world.on_host("b", "another");
    super::copy_folder(&place.folder, &copy.folder);
    place.submit(&["--no-tag"]).exits(0);
    copy.submit(&["--no-tag"]).exits(2);
    assert_eq!(world.server.n_made(), 30);
    // On the same host, too.
    let beside = world.place("c");
    super::copy_folder(&copy.folder, &beside.folder);
    beside.submit(&["--no-tag"]).exits(2);
    world.server.never_twice();
}

#[test]
fn a_failed_row_without_tags_that_exists_is_not_sent_again() {
    let failed = |number: u32, _: &serde_json::Value| {
        if number == 5 { Deed::done(Reply::Status(500, "")) } else { Deed::done(Reply::Own) }
    };
    let world = World::new(Manner::default().posting(failed));
    let place = world.with_rows("a", 10);
    place.submit(&["--no-tag", "--concurrency", "1"]).exits(1);
    for _ in 0..2 {
        place.run(&["replay", "wave.ledger"]);
        world.server.never_twice();
    }
    place.never_lost("wave.ledger");
}

#[test]
fn a_strangers_request_of_the_same_seconds_is_not_taken_for_an_untagged_row() {
    for hours in [0, 48, -48] {
        let lost = |number: u32, _: &serde_json::Value| {
            if number == 5 { Deed { times: 0, ..Deed::done(Reply::Lost) } } else { Deed::done(Reply::Own) }
        };
        let world = World::new(Manner { clock: SignedDuration::from_hours(hours), ..Manner::default() }.posting(lost));
        let place = world.with_rows("a", 10);
        let body = serde_json::json!({
            "type": "Enroll", "profiletemplateuuid": TEMPLATE, "target": guid(5), "comment": "from the portal",
        });
        let mut by_hand = Made::by_hand(&guid(1_000), body);
        by_hand.submitted += SignedDuration::from_hours(hours);
        world.server.add(by_hand);
        place.submit(&["--no-tag", "--concurrency", "1"]).exits(1);
        assert_eq!(place.row("wave.ledger", 5)["state"], "in_doubt");
        place.run(&["settle", "wave.ledger", "--list"]).exits(0);
        assert_eq!(world.server.n_posts(), 10);
    }
}

#[test]
fn a_request_from_before_the_run_is_not_taken_for_an_untagged_row_whatever_a_person_says() {
    let lost = |number: u32, _: &serde_json::Value| {
        if number == 5 { Deed { times: 0, ..Deed::done(Reply::Lost) } } else { Deed::done(Reply::Own) }
    };
    let world = World::new(Manner::default().posting(lost));
    let place = world.with_rows("a", 10);
    let body =
        serde_json::json!({ "type": "Enroll", "profiletemplateuuid": TEMPLATE, "target": guid(5), "comment": "" });
    let mut old = Made::by_hand(&guid(1_000), body);
    old.submitted -= SignedDuration::from_hours(72);
    world.server.add(old);
    place.submit(&["--no-tag", "--concurrency", "1"]).exits(1);
    let verdict = ["settle", "wave.ledger", "--row", "5", "--created", &guid(1_000), "--reason", "x"];
    place.run(&verdict).exits(2).says("was submitted at");
    assert_eq!(place.row("wave.ledger", 5)["state"], "in_doubt");
}

#[test]
fn a_killed_run_without_tags_sends_nothing_twice() {
    let world = World::new(Manner::slow(5));
    let place = world.with_rows("a", 60);
    place.submit_killed_at(20, &["--no-tag", "--rate", "100/s"]);
    for _ in 0..2 {
        place.submit(&["--no-tag"]);
        world.server.never_twice();
    }
    place.never_lost("wave.ledger");
}
