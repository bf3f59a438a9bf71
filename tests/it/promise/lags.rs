//! Lists that lag, and what is known in the meantime.

use std::time::Duration;

use nix::sys::signal::Signal;

use super::server::{Deed, Made, Manner, Reply, uuid_of};
use super::{Place, World, signal};
use crate::common::wait_until;

/// The list shows a request so long after its call came.
fn lagging(manner: Manner, lag: Duration) -> Manner {
    manner.showing(move |_, _, made| made.arrived.elapsed() >= lag)
}

fn ledger_files(place: &Place<'_>) -> Vec<(String, Vec<u8>)> {
    let names = ["wave.ledger", "wave.ledger-wal"].map(str::to_owned);
    names.into_iter().filter_map(|name| Some((name.clone(), std::fs::read(place.file(&name)).ok()?))).collect()
}

fn remove_ledger(place: &Place<'_>) {
    for end in ["", "-wal", "-shm", ".lock"] {
        let _ = std::fs::remove_file(place.file(&format!("wave.ledger{end}")));
    }
}

const LAGS: Duration = Duration::from_millis(900);
const WAITS: &[&str] = &["--settle", "2s", "--server-limit", "2s", "--rate", "60/s", "--concurrency", "4"];

#[test]
fn a_ledger_that_is_deleted_after_a_stop_does_not_make_its_rows_anybodys() {
    let world = World::new(lagging(Manner::slow(20), LAGS));
    let place = world.with_rows("a", 120);
    let mut run = place.start(&[&["submit", "wave.csv"], WAITS].concat());
    wait_until(|| world.server.n_posts() >= 30);
    signal(&run, Signal::SIGTERM);
    assert_eq!(run.wait().unwrap().code(), Some(130));
    remove_ledger(&place);
    place.submit(WAITS).exits(8).says("ended a short time ago");
    world.server.never_twice();
}

#[test]
fn a_copy_from_a_session_that_was_killed_later_is_known_as_older() {
    let world = World::new(lagging(Manner::slow(60), LAGS));
    let place = world.with_rows("a", 120);
    let mut run = place.start(&[&["submit", "wave.csv"], WAITS].concat());
    wait_until(|| world.server.n_posts() >= 20);
    signal(&run, Signal::SIGSTOP);
    let copy = ledger_files(&place);
    signal(&run, Signal::SIGCONT);
    wait_until(|| world.server.n_posts() >= 70);
    run.kill().unwrap();
    run.wait().unwrap();
    remove_ledger(&place);
    copy.iter().for_each(|(name, bytes)| place.write(name, bytes));
    place.until_done(&[&["submit", "wave.csv"], WAITS].concat());
    place.all_once("wave.ledger", 120);
}

#[test]
fn a_list_that_lags_longer_than_all_waits_makes_one_row_twice_at_most_and_names_it() {
    let lost: &[u32] = &[6, 8, 9, 10];
    let lossy = Manner::default()
        .posting(|number, _| Deed::done(if lost.contains(&number) { Reply::Lost } else { Reply::Own }));
    let lag = Duration::from_secs(4);
    let world = World::new(lagging(lossy, lag));
    let place = world.with_rows("a", 10);
    place.submit(&["--concurrency", "1"]);
    assert!(world.server.twice().len() <= 1, "{:?}", world.server.twice());
    std::thread::sleep(lag);
    let ran = place.run(&["settle", "wave.ledger", "--all"]);
    for (what, uuids) in world.server.twice() {
        assert_eq!(ran.status, 1, "{what}: {}", ran.stderr);
        assert!(uuids.iter().all(|uuid| ran.stderr.contains(uuid)), "{what} {uuids:?}:\n{}", ran.stderr);
    }
    place.submit(&[]);
    assert!(world.server.twice().len() <= 1, "{:?}", world.server.twice());
    place.never_lost("wave.ledger");
}

#[test]
fn a_run_without_tags_sees_what_others_sent() {
    let world = World::new(Manner::default());
    let place = world.with_rows("a", 10);
    place.submit(&[]).exits(0);
    place.submit(&["--no-tag", "--ledger", "two.ledger"]).exits(2).says("10 rows");
    assert_eq!(world.server.n_posts(), 10);
    // One without tags shows in no list, and in the notes for a while.
    let world = World::new(Manner::default());
    let place = world.with_rows("a", 10);
    place.submit(&["--no-tag"]).exits(0);
    place.submit(&["--no-tag", "--ledger", "two.ledger"]).exits(8);
    place.submit(&["--ledger", "three.ledger"]).exits(8);
    assert_eq!(world.server.n_posts(), 10);
}

#[test]
fn a_request_of_another_type_is_found_with_one_made() {
    let revoke = |made: Made| made.with("RequestType", Some(4.into()));
    let world = World::new(Manner::default().keeping(revoke));
    let place = world.with_rows("a", 20);
    let ran = place.submit(&[]).exits(4);
    assert!(ran.stderr.contains(&uuid_of(1, 1)) && ran.stderr.contains("its type is number 4"), "{}", ran.stderr);
    assert_eq!(world.server.n_posts(), 1);
}
