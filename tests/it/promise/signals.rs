//! Signals end every wait.

use std::process::Child;
use std::time::{Duration, Instant};

use nix::sys::signal::Signal;
use serde_json::Value;

use super::server::{Deed, How, Made, Manner, Reply, Shown};
use super::{World, signal};
use crate::common::{Ran, wait_until};

/// Ends the process by a signal, which must not take long.
#[track_caller]
fn ends_soon(run: Child, by: Signal) -> Ran {
    let begin = Instant::now();
    signal(&run, by);
    let ran: Ran = run.wait_with_output().unwrap().into();
    assert!(begin.elapsed() < Duration::from_secs(5), "{:?}: {}", begin.elapsed(), ran.stderr);
    assert!(!ran.stderr.contains("panicked"), "{}", ran.stderr);
    ran
}

#[test]
fn a_signal_ends_a_list_that_never_does() {
    for how in [How::Trickle, How::Silence] {
        for by in [Signal::SIGTERM, Signal::SIGINT] {
            let world = World::new(Manner::default().list_as(how.clone()));
            let place = world.with_rows("a", 5);
            let run = place.start(&["submit", "wave.csv"]);
            wait_until(|| world.server.n_lists() > 0);
            std::thread::sleep(Duration::from_millis(300));
            ends_soon(run, by).exits(130);
            assert_eq!(world.server.n_posts(), 0);
            world.server.behave(Manner::default());
            place.submit(&[]).exits(0);
            place.all_once("wave.ledger", 5);
        }
    }
}

#[test]
fn a_signal_ends_the_wait_between_two_lists() {
    let world = World::new(Manner::default().list_as(How::Status(503)));
    let place = world.with_rows("a", 5);
    let run = place.start(&["submit", "wave.csv"]);
    wait_until(|| world.server.n_lists() > 0);
    std::thread::sleep(Duration::from_millis(500));
    ends_soon(run, Signal::SIGTERM).exits(130);
}

#[test]
fn a_signal_ends_the_last_list_and_the_list_that_settles() {
    let first_only =
        |number: u32, made: Vec<Made>| Shown { made, how: if number == 1 { How::Whole } else { How::Trickle } };
    for lost in [0, 4] {
        let post = move |number: u32, _: &Value| Deed::done(if number == lost { Reply::Lost } else { Reply::Own });
        let world = World::new(Manner::default().posting(post).listing(first_only));
        let place = world.with_rows("a", 10);
        let run = place.start(&["submit", "wave.csv"]);
        wait_until(|| world.server.n_lists() > 1);
        std::thread::sleep(Duration::from_millis(300));
        ends_soon(run, Signal::SIGTERM);
        world.server.behave(Manner::default());
        place.until_done(&["submit", "wave.csv"]);
        place.all_once("wave.ledger", 10);
    }
}

#[test]
fn a_signal_ends_the_wait_for_proof() {
    let post =
        |number: u32, _: &Value| Deed { times: 0, ..Deed::done(if number == 4 { Reply::Lost } else { Reply::Own }) };
    let post = move |number: u32, body: &Value| if number == 4 { post(number, body) } else { Deed::done(Reply::Own) };
    let world = World::new(Manner::default().posting(post));
    let place = world.with_rows("a", 10);
    let run = place.start(&["submit", "wave.csv", "--settle", "60s", "--server-limit", "60s"]);
    wait_until(|| world.server.n_made() >= 9);
    std::thread::sleep(Duration::from_secs(1));
    ends_soon(run, Signal::SIGTERM).exits(130);
    place.never_lost("wave.ledger");
    place.until_done(&["submit", "wave.csv"]);
    place.all_once("wave.ledger", 10);
}

#[test]
fn a_signal_ends_the_wait_for_a_server() {
    let world = World::new(Manner::slow(10));
    let place = world.with_rows("a", 60);
    let run = place.start(&["submit", "wave.csv", "--wait-for-server", "10m", "--rate", "40/s"]);
    wait_until(|| world.server.n_made() >= 20);
    world.server.away(true);
    std::thread::sleep(Duration::from_secs(3));
    ends_soon(run, Signal::SIGTERM).exits(130);
    world.server.away(false);
    place.until_done(&["submit", "wave.csv"]);
    place.all_once("wave.ledger", 60);
}

#[test]
fn a_signal_ends_the_reading_of_a_reconcile() {
    let world = World::new(
        Manner::default()
            .posting(|number, _| Deed::done(if number == 4 { Reply::Lost } else { Reply::Own }))
            .listing(|number, made| Shown { made, how: if number == 1 { How::Whole } else { How::Status(403) } }),
    );
    let place = world.with_rows("a", 10);
    place.submit(&["--concurrency", "1"]).exits(1);
    world.server.behave(Manner::default().list_as(How::Trickle));
    let n_lists = world.server.n_lists();
    let run = place.start(&["reconcile", "wave.ledger"]);
    wait_until(|| world.server.n_lists() > n_lists);
    std::thread::sleep(Duration::from_millis(300));
    ends_soon(run, Signal::SIGINT).exits(130);
}
