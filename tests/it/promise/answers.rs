//! Answers that are lost, late, swapped, shared and repeated.

use std::time::Duration;

use serde_json::{Value, json};

use super::World;
use super::server::{Deed, Made, Manner, Reply, uuid_of};

fn on(numbers: &'static [u32], deed: impl Fn(u32) -> Deed + Send + Sync + 'static) -> Manner {
    let done = move |number: u32, _: &Value| {
        if numbers.contains(&number) { deed(number) } else { Deed::done(Reply::Own) }
    };
    Manner::default().posting(done)
}

#[test]
fn a_uuid_that_another_row_has_makes_neither_row_lost() {
    let world = World::new(on(&[6], |_| Deed::done(Reply::As(uuid_of(3, 1)))));
    let place = world.with_rows("a", 12);
    place.until_done(&["submit", "wave.csv", "--concurrency", "1"]);
    place.all_once("wave.ledger", 12);
    assert_eq!(place.row("wave.ledger", 3)["request_uuid"], uuid_of(3, 1));
    assert_eq!(place.row("wave.ledger", 6)["request_uuid"], uuid_of(6, 1));
}

#[test]
fn a_uuid_that_another_row_has_and_nothing_made_is_not_created() {
    let world = World::new(on(&[6], |_| Deed { times: 0, ..Deed::done(Reply::As(uuid_of(3, 1))) }));
    let place = world.with_rows("a", 12);
    place.until_done(&["submit", "wave.csv", "--concurrency", "1"]);
    place.all_once("wave.ledger", 12);
}

#[test]
fn swapped_answers_are_put_right_and_no_good_request_is_called_too_many() {
    let world = World::new(on(&[5, 6], |number| Deed::done(Reply::As(uuid_of(11 - number, 1)))));
    let place = world.with_rows("a", 12);
    let ran = place.submit(&["--concurrency", "1"]);
    assert!(!ran.stderr.contains("more than once"), "{}", ran.stderr);
    place.until_done(&["submit", "wave.csv"]);
    place.all_once("wave.ledger", 12);
    assert_eq!(place.row("wave.ledger", 5)["request_uuid"], uuid_of(5, 1));
    assert_eq!(place.row("wave.ledger", 6)["request_uuid"], uuid_of(6, 1));
}

#[test]
fn a_gateway_that_repeats_calls_is_named_by_the_last_look() {
    let world = World::new(on(&[3, 5], |_| Deed { times: 2, ..Deed::done(Reply::Own) }));
    let place = world.with_rows("a", 6);
    let ran = place.submit(&["--json", "--concurrency", "1"]).exits(1);
    for number in [3, 5] {
        let (one, other) = (uuid_of(number, 1), uuid_of(number, 2));
        assert!(ran.stderr.contains(&format!("row {number}")), "{}", ran.stderr);
        assert!(ran.stderr.contains(&one) && ran.stderr.contains(&other), "{}", ran.stderr);
        let audit = ran.json()["audit"].to_string();
        assert!(audit.contains(&one) && audit.contains(&other), "{audit}");
    }
    assert_eq!(world.server.n_posts(), 6);
    // It stays said until a list or a person closes it.
    place.run(&["reconcile", "wave.ledger"]).exits(1).says(&uuid_of(3, 2));
    place.run(&["status", "wave.ledger"]).exits(1).says(&uuid_of(3, 2));
    place.submit(&[]).exits(1);
    let ran = place.run(&["settle", "wave.ledger", "--all"]).exits(1);
    assert_eq!(place.run_next(&ran, "settle").status, 1, "{}", ran.stderr);
    let looked = ["settle", "wave.ledger", "--row", "3", "--row", "5", "--looked-at", "--reason", "both are wanted"];
    place.run(&looked).exits(0);
    place.run(&["status", "wave.ledger"]).exits(0);
}

#[test]
fn every_call_repeated_is_named() {
    let world = World::new(Manner::default().posting(|_, _| Deed { times: 2, ..Deed::done(Reply::Own) }));
    let place = world.with_rows("a", 6);
    place.submit(&[]).exits(1).says("row 1").says(&uuid_of(1, 2));
    assert_eq!((world.server.n_posts(), world.server.n_made()), (6, 12));
}

#[test]
fn a_call_that_is_acted_on_late_is_not_sent_again() {
    // A gateway gives up, and the server works on: within its limit.
    let late = |_| Deed { times: 1, late: Some(Duration::from_millis(1_500)), reply: Reply::Status(504, "") };
    let world = World::new(on(&[8, 9], late));
    let place = world.with_rows("a", 12);
    place.until_done(&["submit", "wave.csv", "--server-limit", "2s"]);
    place.all_once("wave.ledger", 12);
}

#[test]
fn a_500_either_way_is_neither_lost_nor_sent_again_by_itself() {
    let failed = |number| Deed {
        times: u32::from(number == 8),
        late: None,
        reply: Reply::Status(500, r#"{"Message":"An error has occurred."}"#),
    };
    let world = World::new(on(&[8, 9], failed));
    let place = world.with_rows("a", 12);
    place.submit(&["--concurrency", "1"]).exits(1);
    world.server.never_twice();
    assert_eq!(place.row("wave.ledger", 8)["state"], "created");
    assert_eq!(place.row("wave.ledger", 9)["state"], "failed");
    assert_eq!(world.server.n_posts(), 12);
    place.run(&["replay", "wave.ledger"]).exits(0);
    place.all_once("wave.ledger", 12);
}

#[test]
fn lost_answers_either_way_are_settled_by_themselves() {
    let lost = |number: u32| Deed { times: number % 2, late: None, reply: Reply::Lost };
    let world = World::new(on(&[7, 8, 9, 10, 14, 15], lost));
    let place = world.with_rows("a", 30);
    place.until_done(&["submit", "wave.csv"]);
    place.all_once("wave.ledger", 30);
}

#[test]
fn a_request_for_somebody_else_that_lost_its_comment_is_not_the_rows() {
    for wrong in [12_u32, 7] {
        let somebody = crate::common::guid(4711);
        let kept = move |made: Made| {
            let is_wrong = made.number == wrong;
            let with =
                |made: Made| made.with("Comment", Some(json!("by hand"))).with("TargetUserUuid", Some(json!(somebody)));
            if is_wrong { with(made) } else { made }
        };
        let world = World::new(Manner::default().keeping(kept));
        let place = world.with_rows("a", 12);
        let ran = place.submit(&["--concurrency", "1"]).exits(1);
        assert!(ran.stderr.contains(&uuid_of(wrong, 1)), "{}", ran.stderr);
        assert_eq!(place.row("wave.ledger", wrong.into())["state"], "in_doubt");
        place.run(&["settle", "wave.ledger", "--all"]).exits(1);
    }
}
