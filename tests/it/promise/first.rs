//! The first rows of a kind, and what is read back of them.

use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::World;
use super::server::{Deed, How, Made, Manner, Reading, Reply, Shown, uuid_of};
use crate::common::guid;

#[test]
fn first_rows_in_doubt_do_not_hold_the_others() {
    for n_lost in [1, 2, 3] {
        let lost = move |number: u32, _: &Value| {
            if number <= n_lost { Deed::done(Reply::Status(502, "")) } else { Deed::done(Reply::Own) }
        };
        let world = World::new(Manner::default().posting(lost));
        let place = world.with_rows("a", 10);
        place.until_done(&["submit", "wave.csv"]);
        place.all_once("wave.ledger", 10);
    }
}

#[test]
fn a_list_that_only_loses_answers_leaves_two_rows_in_doubt_a_start_and_not_25() {
    let lost = |_: u32, _: &Value| Deed { times: 0, ..Deed::done(Reply::Status(504, "")) };
    let world = World::new(Manner::default().posting(lost));
    let place = world.with_rows("a", 100);
    for start in 1..=3 {
        place.submit(&[]).exits(4);
        assert!(
            place.n_in("wave.ledger", "in_doubt") <= 2 * start,
            "{} in doubt",
            place.n_in("wave.ledger", "in_doubt")
        );
        assert!(world.server.n_posts() <= 2 * start, "{} calls", world.server.n_posts());
    }
}

/// Revokes that all go to the wrong target, and a reading back that fails.
#[test]
fn what_cannot_be_read_back_stops_after_one_request() {
    let readings: [fn(u32, Made) -> Reading; 3] = [
        |_, _| Reading::Status(403),
        |_, made| Reading::Whole(Box::new(made.with("Comment", Some(json!([1]))))),
        |_, made| Reading::Whole(Box::new(made.with("TargetUserUuid", Some(guid(77).into())))),
    ];
    for read in readings {
        let world = World::new(Manner::default().reading(read));
        let place = world.with_rows("a", 50);
        let ran = place.submit(&[]).exits(4).says(&uuid_of(1, 1));
        assert_eq!(world.server.n_posts(), 1, "{}", ran.stderr);
    }
    let world = World::new(Manner::default().reading(|_, _| Reading::Status(403)));
    let place = world.with_rows("a", 50);
    place.submit(&["--check-first", "warn"]).exits(0);
    place.all_once("wave.ledger", 50);
}

#[test]
fn a_first_request_for_the_wrong_target_stops_the_run_whatever_the_reading_is() {
    let wrong = |mut made: Made| {
        made.body["target"] = guid(77).into();
        made
    };
    let readings: [fn(u32, Made) -> Reading; 5] = [
        |_, made| Reading::Whole(Box::new(made)),
        |number, made| if number <= 1 { Reading::Reset } else { Reading::Whole(Box::new(made)) },
        |number, made| if number <= 1 { Reading::Status(404) } else { Reading::Whole(Box::new(made)) },
        |number, made| if number <= 1 { Reading::Status(500) } else { Reading::Whole(Box::new(made)) },
        |_, _| Reading::Status(404),
    ];
    std::thread::scope(|scope| {
        for read in readings {
            scope.spawn(move || {
                let world = World::new(Manner::default().keeping(wrong).reading(read));
                let place = world.with_rows("a", 50);
                for _ in 0..2 {
                    let ran = place.submit(&["--settle", "3s"]);
                    assert_ne!(ran.status, 0, "{}", ran.stderr);
                    assert!(world.server.n_posts() <= 1, "{} calls:\n{}", world.server.n_posts(), ran.stderr);
                }
            });
        }
    });
}

#[test]
fn resets_and_server_errors_of_the_reading_back_are_waited_out() {
    let readings: [fn(u32, Made) -> Reading; 3] = [
        |number, made| if number <= 2 { Reading::Reset } else { Reading::Whole(Box::new(made)) },
        |number, made| if number <= 2 { Reading::Status(500) } else { Reading::Whole(Box::new(made)) },
        |number, made| if number <= 1 { Reading::Status(404) } else { Reading::Whole(Box::new(made)) },
    ];
    for read in readings {
        let world = World::new(Manner::default().reading(read));
        let place = world.with_rows("a", 20);
        place.until_done(&["submit", "wave.csv", "--settle", "5s"]);
        place.all_once("wave.ledger", 20);
    }
}

#[test]
fn a_kill_after_the_first_claim_leaves_at_most_one_row_in_doubt() {
    let world = World::new(Manner::default());
    let place = world.with_rows("a", 200);
    for point in ["step-committed:1", "send-before:1", "send-after:1"] {
        let ran = place.run_with(&["submit", "wave.csv"], &[("CMBATCH_CRASH_AT", point)]);
        assert_eq!(ran.status, -1, "{point}: {}", ran.stderr);
        let json = place.run(&["status", "wave.ledger", "--json"]).json();
        let open = json["in_doubt"].as_u64().unwrap() + json["sending"].as_u64().unwrap();
        assert!(open <= 3, "{point}: {json}");
        assert!(place.n_in("wave.ledger", "pending") >= 197, "{point}: {json}");
    }
    place.until_done(&["submit", "wave.csv"]);
    place.all_once("wave.ledger", 200);
}

#[test]
fn a_kill_with_calls_in_flight_costs_the_next_start_no_waiting() {
    let world = World::new(Manner::slow(150));
    let place = world.with_rows("a", 150);
    place.submit_killed_at(50, &["--rate", "80/s", "--concurrency", "16"]);
    world.server.behave(Manner::default());
    let begin = Instant::now();
    let run = place.start(&["submit", "wave.csv", "--settle", "8s", "--server-limit", "8s"]);
    // Those that were never claimed go at once; what was in flight is asked for first and waited for last.
    while world.server.n_made() < 120 {
        assert!(begin.elapsed() < Duration::from_secs(6), "{} after {:?}", world.server.n_made(), begin.elapsed());
        std::thread::sleep(Duration::from_millis(10));
    }
    let ran: crate::common::Ran = run.wait_with_output().unwrap().into();
    ran.exits(0);
    place.all_once("wave.ledger", 150);
}

#[test]
fn a_list_that_cannot_be_read_at_the_end_changes_no_exit_status() {
    let world = World::new(Manner::default().listing(|number, made| super::server::Shown {
        made,
        how: if number == 1 { How::Whole } else { How::Status(403) },
    }));
    let place = world.with_rows("a", 10);
    let ran = place.submit(&["--json"]).exits(0);
    assert!(ran.json()["audit"].is_null(), "{}", ran.stdout);
}

/// Returns what the server keeps of this call for somebody else.
fn kept_for_another(number: u32) -> Manner {
    Manner::default().keeping(move |mut made| {
        if made.number == number {
            made.body["target"] = guid(77).into();
        }
        made
    })
}

#[test]
fn a_wrong_first_request_that_was_canceled_and_settled_is_sent_anew() {
    let world = World::new(kept_for_another(1));
    let place = world.with_rows("a", 20);
    let ran = place.submit(&[]).exits(4);
    assert!(ran.stderr.contains("--not-created"), "{}", ran.stderr);
    assert_eq!(place.row("wave.ledger", 1)["state"], "in_doubt");
    place.submit(&[]).exits(4);
    assert_eq!(world.server.n_posts(), 1);
    let cancel = |made: Made| if made.number == 1 { made.with("Status", Some(17.into())) } else { made };
    world.server.behave(
        Manner::default()
            .reading(move |_, made| Reading::Whole(Box::new(cancel(made))))
            .listing(move |_, made| Shown { made: made.into_iter().map(cancel).collect(), how: How::Whole }),
    );
    let settle = ["settle", "wave.ledger", "--row", "1", "--not-created", "--reason", "canceled in the portal"];
    place.run(&settle).exits(0);
    place.submit(&[]).exits(0);
    assert_eq!((world.server.n_posts(), place.n_in("wave.ledger", "created")), (21, 20));
    place.never_lost("wave.ledger");
}

#[test]
fn a_later_request_for_the_wrong_target_is_in_doubt_and_named() {
    let world = World::new(kept_for_another(12));
    let place = world.with_rows("a", 20);
    let ran = place.submit(&["--concurrency", "1"]).exits(1);
    let row = place.row("wave.ledger", 12);
    assert_eq!((&row["state"], place.n_in("wave.ledger", "created")), (&"in_doubt".into(), 19), "{}", ran.stderr);
    let message = row["error_message"].as_str().unwrap();
    assert!(message.contains(&uuid_of(12, 1)) && message.contains(&guid(77)), "{message}");
}

#[test]
fn a_session_that_is_killed_before_its_last_look_has_it_by_the_next_start() {
    let repeated = |number: u32, _: &Value| Deed { times: if number == 9 { 2 } else { 1 }, ..Deed::done(Reply::Own) };
    let silent_last = |number: u32, made| Shown { made, how: if number == 1 { How::Whole } else { How::Silence } };
    let world = World::new(Manner::default().posting(repeated).listing(silent_last));
    let place = world.with_rows("a", 20);
    let mut run = place.start(&["submit", "wave.csv"]);
    crate::common::wait_until(|| world.server.n_lists() >= 2);
    run.kill().unwrap();
    run.wait().unwrap();
    world.server.behave(Manner::default());
    let ran = place.submit(&[]).exits(1);
    for time in [1, 2] {
        assert!(ran.stderr.contains(&uuid_of(9, time)), "{}", ran.stderr);
    }
}
