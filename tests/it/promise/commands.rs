//! Commands that are repeated after kills, a row's own fault, and what a person says.

use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::server::{Deed, Manner, Reply, uuid_of};
use super::{Place, World, next_commands};
use crate::common::{Ran, TEMPLATE, enrollments, guid, wait_until};

/// Refuses rows whose comment says so.
fn refusing(status: u16) -> Manner {
    Manner::default().posting(move |_, body| {
        if body["comment"].as_str().unwrap().ends_with("bad") { Deed::refused(status) } else { Deed::done(Reply::Own) }
    })
}

/// A list in which these rows are refused.
fn with_bad(n_rows: u32, bad: &[u32]) -> String {
    bad.iter().fold(enrollments(n_rows), |text, row| {
        text.replace(&format!("{},new hire", guid(*row)), &format!("{},bad", guid(*row)))
    })
}

fn corrected(rows: &[(u32, u32)]) -> String {
    let mut text = "id,type,profiletemplateuuid,target,comment\n".to_owned();
    for (id, target) in rows {
        text += &format!("E-{id},Enroll,{TEMPLATE},{},right\n", guid(*target));
    }
    text
}

#[test]
fn an_exported_manifest_has_no_rows_that_may_exist() {
    let lost = |number: u32, _: &Value| match number {
        4 => Deed::done(Reply::Lost),
        6 => Deed::refused(400),
        _ => Deed::done(Reply::Own),
    };
    // The last list cannot be read, so that the row stays in doubt.
    let world = World::new(Manner::default().posting(lost).listing(|number, made| super::server::Shown {
        made,
        how: if number == 1 { super::server::How::Whole } else { super::server::How::Status(403) },
    }));
    let place = world.with_rows("a", 10);
    place.submit(&["--concurrency", "1"]).exits(1);
    assert_eq!(place.row("wave.ledger", 4)["state"], "in_doubt");
    for states in ["failed,in_doubt", "in_doubt", "failed,in_doubt,created"] {
        let words = ["export", "wave.ledger", "--format", "manifest", "--state", states];
        let ran = place.run(&words);
        assert!(!ran.stdout.contains(&guid(4)) && !ran.stdout.contains(&guid(5)), "{states}: {}", ran.stdout);
        assert!(ran.stderr.contains("in_doubt") || ran.stderr.contains("in doubt"), "{states}: {}", ran.stderr);
    }
    let ran = place.run(&["export", "wave.ledger", "--format", "manifest", "--state", "failed"]).exits(0);
    assert!(ran.stdout.contains(&guid(6)), "{}", ran.stdout);
    world.server.behave(Manner::default());
    place.write("again.csv", &ran.stdout);
    place.run(&["submit", "again.csv"]).exits(0);
    world.server.never_twice();
}

#[test]
fn a_rows_own_404_fails_that_row_alone_and_a_person_closes_it() {
    let world = World::new(refusing(404));
    let place = world.place("a");
    place.write("wave.csv", with_bad(60, &[41]));
    let ran = place.submit(&[]).exits(1);
    assert_eq!((world.server.n_made(), place.n_in("wave.ledger", "created")), (59, 59), "{}", ran.stderr);
    assert_eq!(place.row("wave.ledger", 41)["state"], "failed");
    let status = place.run_next(&ran, "status").exits(1);
    assert!(status.stdout.contains("41"), "the row is not named:\n{}", status.stdout);
    place.run(&["drop", "wave.ledger", "--row", "41", "--reason", "left the company"]).exits(0);
    place.run(&["status", "wave.ledger"]).exits(0);
    place.run(&["replay", "wave.ledger"]).exits(0);
    place.submit(&[]).exits(0);
    assert_eq!(world.server.n_posts(), 60);
    place.run(&["drop", "wave.ledger", "--row", "41", "--undo"]).exits(0);
    assert_eq!(place.row("wave.ledger", 41)["state"], "failed");
    world.server.behave(Manner::default());
    place.run(&["replay", "wave.ledger"]).exits(0);
    world.server.never_twice();
    assert_eq!(place.n_in("wave.ledger", "created"), 60);
}

#[test]
fn a_404_before_anything_was_created_is_the_rows_own_where_the_list_was_read() {
    let world = World::new(refusing(404));
    let place = world.place("a");
    place.write("wave.csv", with_bad(20, &[1]));
    place.submit(&[]).exits(1);
    assert_eq!((world.server.n_made(), place.n_in("wave.ledger", "failed")), (19, 1));
}

/// A ledger of ten rows of which three are refused, with a list that corrects them: two of them exchange targets.
fn with_failures(world: &World) -> Place<'_> {
    let place = world.place("a");
    place.write("wave.csv", with_bad(10, &[2, 5, 7]));
    place.submit(&["--concurrency", "1"]).exits(1);
    place.write("right.csv", corrected(&[(2, 5), (5, 2), (7, 70)]));
    place
}

const REPLAY: &[&str] = &["replay", "wave.ledger", "--from", "right.csv"];

/// All targets that are asked for exist once; the ledger has nothing left.
#[track_caller]
fn assert_corrected(world: &World, place: &Place<'_>, point: &str) {
    let twice = world.server.twice();
    assert!(twice.is_empty(), "after {point}: {twice:?}");
    assert_eq!(world.server.n_made(), 10, "after {point}");
    place.never_lost("wave.ledger");
    assert_eq!(place.n_in("wave.ledger", "created"), 10, "after {point}");
}

#[test]
fn corrected_rows_may_exchange_their_targets() {
    let world = World::new(refusing(400));
    let place = with_failures(&world);
    place.run(REPLAY).exits(0);
    assert_corrected(&world, &place, "nothing");
    place.run(REPLAY).exits(0);
    assert_corrected(&world, &place, "a repetition");
}

#[test]
fn a_replay_with_corrected_rows_can_be_killed_anywhere_and_repeated() {
    let points = [
        "append-before-commit:1",
        "append-committed:1",
        "start-committed:1",
        "step-begin:1",
        "step-begin:2",
        "step-recorded:1",
        "step-recorded:2",
        "step-claimed:1",
        "step-claimed:2",
        "step-committed:1",
        "step-committed:2",
        "send-before:1",
        "send-before:2",
        "send-after:1",
        "send-after:2",
        "send-after:3",
        "resolve-before-commit:1",
        "resolve-committed:1",
        "takeover-before-commit:1",
        "close-before-checkpoint:1",
    ];
    let n_died = &std::sync::atomic::AtomicUsize::new(0);
    for some in points.chunks(4) {
        std::thread::scope(|scope| {
            for point in some {
                scope.spawn(move || {
                    let world = World::new(refusing(400));
                    let place = with_failures(&world);
                    // A point that this command does not come to kills nothing: it ends well then.
                    for _ in 0..2 {
                        let ran = place.run_with(REPLAY, &[("CMBATCH_CRASH_AT", point)]);
                        if ran.status == -1 {
                            n_died.fetch_add(1, std::sync::atomic::Ordering::SeqCst);
                        } else {
                            assert_eq!(ran.status, 0, "{point}: {}", ran.stderr);
                        }
                    }
                    place.until_done(REPLAY);
                    assert_corrected(&world, &place, point);
                });
            }
        });
    }
    assert!(n_died.load(std::sync::atomic::Ordering::SeqCst) >= 12, "the points are not where this command comes by");
}

#[test]
fn a_replay_that_was_stopped_goes_on_with_the_same_command() {
    let world = World::new(refusing(400));
    let place = with_failures(&world);
    world.server.behave(Manner::default().posting(|_, _| Deed::refused(401)));
    let ran = place.run(REPLAY).exits(5);
    world.server.behave(Manner::default());
    let again = place.run_next(&ran, "replay");
    assert_ne!(again.status, 2, "{}", again.stderr);
    place.until_done(REPLAY);
    assert_corrected(&world, &place, "a stop");
}

#[test]
fn a_row_that_comes_to_be_beside_the_one_that_stands_for_it_is_named() {
    // Row 5's call is acted on long after the server has answered that it failed.
    let late = |number: u32, _: &Value| match number {
        5 => Deed { late: Some(Duration::from_secs(6)), ..Deed::done(Reply::Status(500, r#"{"Message":"no"}"#)) },
        _ => Deed::done(Reply::Own),
    };
    let world = World::new(Manner::default().posting(late));
    let place = world.with_rows("a", 12);
    place.submit(&["--concurrency", "1"]).exits(1);
    assert_eq!(place.row("wave.ledger", 5)["state"], "failed");
    place.write("corrected.csv", corrected(&[(5, 5)]));
    place.run(&["replay", "wave.ledger", "--from", "corrected.csv"]).exits(0);
    wait_until(|| world.server.n_made() == 13);
    let ran = place.run(&["settle", "wave.ledger", "--all"]).exits(1);
    assert!(ran.stderr.contains("row 5 exists more than once"), "{}", ran.stderr);
    let uuids = [5, 13].map(|row| place.row("wave.ledger", row)["request_uuid"].as_str().unwrap().to_owned());
    assert!(uuids.iter().all(|uuid| ran.stderr.contains(uuid)), "{}", ran.stderr);
    place.run(&["settle", "wave.ledger", "--all"]).exits(1);
    place.run(&["status", "wave.ledger"]).exits(1);
}

#[test]
fn a_corrected_row_that_is_skipped_or_dropped_stands_in_nobodys_way() {
    let world = World::new(refusing(400));
    let place = with_failures(&world);
    // Row 70 was requested by somebody else meanwhile.
    let other = world.place("b");
    other.write("wave.csv", corrected(&[(70, 70)]));
    other.submit(&[]).exits(0);
    let ran = place.run(&[REPLAY, &["--already", "skip"]].concat());
    assert_eq!(ran.status, 0, "{}", ran.stderr);
    place.run(REPLAY).exits(0);
    world.server.never_twice();
}

#[test]
fn the_templates_names_stay_the_runs() {
    let world = World::new(refusing(400));
    let place = world.place("a");
    let config = |template: &str| place.write("cmbatch.toml", format!("[templates]\ncard = \"{template}\"\n"));
    config(TEMPLATE);
    let manifest = with_bad(10, &[7]).replace(TEMPLATE, "card");
    place.write("wave.csv", manifest);
    place.submit(&[]).exits(1);
    config("b039b4d0-5ce8-4eff-8651-181c6576fda3");
    place.write("right.csv", corrected(&[(7, 70)]).replace(TEMPLATE, "card"));
    place.run(REPLAY);
    let templates: Vec<String> =
        world.server.made().iter().map(|made| made.text("profiletemplateuuid").to_owned()).collect();
    assert!(templates.iter().all(|template| template == TEMPLATE), "{templates:?}");
    // The list itself has another meaning now, and that is said.
    place.submit(&[]).exits(2).says("template");
}

#[test]
fn every_command_can_be_killed_at_its_commit_and_repeated() {
    let world = World::new(refusing(400));
    let place = with_failures(&world);
    let commands: [(&[&str], &str); 2] = [
        (&["drop", "wave.ledger", "--row", "2", "--reason", "not wanted"], "skipped"),
        (&["drop", "wave.ledger", "--row", "2", "--undo"], "failed"),
    ];
    for (words, state) in commands {
        for point in ["resolve-before-commit:1", "resolve-committed:1", "close-before-checkpoint:1"] {
            place.run_with(words, &[("CMBATCH_CRASH_AT", point)]);
        }
        let ran = place.run(words);
        assert_eq!(place.row("wave.ledger", 2)["state"], state, "exit {}: {}", ran.status, ran.stderr);
    }
}

#[test]
fn a_dropped_row_that_comes_to_be_is_told_by_the_next_start() {
    let late = |number: u32, _: &Value| match number {
        5 => Deed { late: Some(Duration::from_secs(4)), ..Deed::done(Reply::Lost) },
        _ => Deed::done(Reply::Own),
    };
    // The later lists cannot be read, so that the row stays in doubt.
    let world = World::new(Manner::default().posting(late).listing(|number, made| super::server::Shown {
        made,
        how: if number == 1 { super::server::How::Whole } else { super::server::How::Status(403) },
    }));
    let place = world.with_rows("a", 10);
    place.submit(&["--concurrency", "1"]).exits(1);
    place.run(&["drop", "wave.ledger", "--row", "5", "--reason", "x"]).exits(0).says("may exist or still come to be");
    wait_until(|| world.server.n_made() == 10);
    world.server.behave(Manner::default());
    let ran = place.submit(&[]);
    assert!(ran.stderr.contains("row 5"), "{}", ran.stderr);
    place.all_once("wave.ledger", 10);
}

#[test]
fn a_refused_verdict_leaves_no_trace() {
    let lost = |number: u32, _: &Value| Deed::done(if number == 4 { Reply::Lost } else { Reply::Own });
    let world = World::new(Manner::default().posting(lost).listing(|number, made| super::server::Shown {
        made,
        how: if number == 1 { super::server::How::Whole } else { super::server::How::Status(403) },
    }));
    let place = world.with_rows("a", 10);
    place.submit(&["--concurrency", "1"]).exits(1);
    let events = || -> Vec<String> {
        let ledger = rusqlite::Connection::open(place.file("wave.ledger")).unwrap();
        let mut query = ledger.prepare("SELECT kind || ' ' || detail FROM events ORDER BY event").unwrap();
        query.query_map([], |row| row.get(0)).unwrap().map(Result::unwrap).collect()
    };
    let before = events();
    let (wrong, other) = (guid(5_000), uuid_of(5, 1));
    let refused: [&[&str]; 4] = [
        &["--row", "4", "--created", &wrong],
        &["--row", "4", "--created", &other],
        &["--row", "5", "--not-created", "--reason", "x"],
        &["--row", "99", "--not-created", "--reason", "x"],
    ];
    for words in refused {
        let ran = place.run(&[&["settle", "wave.ledger"], words].concat());
        assert_ne!(ran.status, 0, "{words:?}: {}", ran.stderr);
        assert_eq!(events(), before, "{words:?}");
    }
    place.run(&["settle", "wave.ledger", "--row", "4", "--created", &uuid_of(4, 1)]).exits(0);
    assert_eq!(place.row("wave.ledger", 4)["request_uuid"], uuid_of(4, 1));
    assert!(events().len() > before.len(), "a verdict is kept with who gave it");
}

#[test]
fn rows_that_differ_in_an_unsent_profile_alone_are_the_same_call() {
    let world = World::new(Manner::default());
    let place = world.place("a");
    let row = |profile: u32| format!("Renew,{TEMPLATE},{},{}\n", guid(1), guid(profile));
    place.write("wave.csv", format!("type,profiletemplateuuid,target,profile\n{}{}", row(10), row(11)));
    place.submit(&[]).exits(3).says("duplicate-row");
    assert_eq!(world.server.n_posts(), 0);
    place.submit(&["--profile-property", "profileuuid"]).exits(0);
    assert_eq!(world.server.n_posts(), 2);
}

#[test]
fn a_list_without_a_byte_of_rows_is_a_success_where_that_is_allowed() {
    use std::io::Write;
    let world = World::new(Manner::default());
    let place = world.place("a");
    let gzip = |bytes: &[u8]| {
        let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
        encoder.write_all(bytes).unwrap();
        encoder.finish().unwrap()
    };
    for (number, content) in [&b""[..], b"\n", b"\r\n", b"\xef\xbb\xbf", b"\xef\xbb\xbf\n"].into_iter().enumerate() {
        for (name, bytes) in
            [(format!("e{number}.csv"), content.to_vec()), (format!("e{number}.csv.gz"), gzip(content))]
        {
            place.write(&name, bytes);
            place.run(&["submit", &name, "--allow-empty"]).exits(0).says("nothing to do");
            let ran = place.run(&["submit", &name]);
            assert!([2, 3].contains(&ran.status), "{name}: exit {}", ran.status);
            assert!(!ran.stderr.contains("standard input"), "{name}: {}", ran.stderr);
        }
    }
}

#[test]
fn a_pipe_in_the_place_of_a_ledgers_files_hangs_nothing() {
    let world = World::new(Manner::default());
    let place = world.with_rows("a", 3);
    place.submit(&[]).exits(0);
    for end in [".lock", "-wal", "-shm"] {
        let pipe = place.file(&format!("wave.ledger{end}"));
        let _ = std::fs::remove_file(&pipe);
        nix::unistd::mkfifo(&pipe, nix::sys::stat::Mode::S_IRWXU).unwrap();
        for words in [&["status", "wave.ledger"][..], &["submit", "wave.csv"], &["replay", "wave.ledger"]] {
            let mut run = place.start(words);
            let begin = Instant::now();
            while run.try_wait().unwrap().is_none() {
                if begin.elapsed() > Duration::from_secs(10) {
                    run.kill().unwrap();
                    panic!("{words:?} hangs with a pipe as {end}");
                }
                std::thread::sleep(Duration::from_millis(20));
            }
        }
        let _ = std::fs::remove_file(&pipe);
    }
    assert_eq!(world.server.n_posts(), 3);
}

#[test]
fn a_start_waits_for_a_server_that_is_away() {
    let world = World::new(Manner::default());
    let place = world.with_rows("a", 6);
    world.server.away(true);
    let run = place.start(&["submit", "wave.csv", "--wait-for-server", "1m"]);
    std::thread::sleep(Duration::from_secs(2));
    world.server.away(false);
    let ran: Ran = run.wait_with_output().unwrap().into();
    ran.exits(0);
    place.all_once("wave.ledger", 6);
}

#[test]
fn the_last_rows_wait_for_a_server_that_goes_away() {
    let world = World::new(Manner::slow(10));
    let place = world.with_rows("a", 40);
    let run = place.start(&["submit", "wave.csv", "--wait-for-server", "30s", "--rate", "40/s", "--concurrency", "1"]);
    wait_until(|| world.server.n_made() >= 36);
    world.server.away(true);
    std::thread::sleep(Duration::from_secs(4));
    world.server.away(false);
    let ran: Ran = run.wait_with_output().unwrap().into();
    ran.exits(0);
    place.all_once("wave.ledger", 40);
}

#[test]
fn rows_that_take_certificates_away_go_on_without_a_list_only_as_they_were_left() {
    let world = World::new(Manner::default());
    let place = world.place("a");
    let revocations = enrollments(10).replace("Enroll", "Revoke");
    place.write("wave.csv", &revocations);
    place.submit(&["--limit", "4", "--confirm", "4"]).exits(0);
    world.server.behave(Manner::default().list_as(super::server::How::Status(403)));
    let ran = place.submit(&["--confirm", "6"]).exits(4).says("--without-list");
    assert!(next_commands(&ran.stderr).len() >= 2, "{}", ran.stderr);
    // A copy is not as its last session left it on this host.
    let copy = world.on_host("b", "another");
    super::copy_folder(&place.folder, &copy.folder);
    copy.submit(&["--confirm", "6", "--without-list", "--check-first", "warn"]).exits(2);
    assert_eq!(world.server.n_made(), 4);
    place.run_next(&ran, "--without-list").exits(0);
    place.all_once("wave.ledger", 10);
    assert_eq!(json!(world.server.n_posts()), json!(10));
}
