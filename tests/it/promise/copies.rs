//! Files that are copied, put back, mounted twice and overtaken.

use std::path::Path;
use std::time::Duration;

use nix::sys::signal::Signal;

use super::server::{Deed, How, Manner, Reply};
use super::{Place, World, copy_folder, further_manifest, next_commands, signal};
use crate::common::{Ran, enrollments, guid, wait_until};

const N_ROWS: u32 = 200;

#[test]
fn a_copy_of_the_ledger_file_alone_sends_nothing_twice() {
    for host in ["host", "another"] {
        let world = World::new(Manner::slow(4));
        let original = world.with_rows("a", N_ROWS);
        original.submit_killed_at(70, &[]);
        let copy = world.on_host("b", host);
        copy.write("wave.csv", enrollments(N_ROWS));
        copy.take(&original, "wave.ledger");
        copy.until_done(&["submit", "wave.csv"]);
        copy.all_once("wave.ledger", N_ROWS as usize);
    }
}

#[test]
fn a_ledger_without_its_log_sends_nothing_twice() {
    let world = World::new(Manner::slow(4));
    let place = world.with_rows("a", N_ROWS);
    place.submit_killed_at(70, &[]);
    for end in ["-wal", "-shm", ".lock"] {
        let _ = std::fs::remove_file(place.file(&format!("wave.ledger{end}")));
    }
    place.until_done(&["submit", "wave.csv"]);
    place.all_once("wave.ledger", N_ROWS as usize);
}

/// Runs the list to its end; what its folder and the host's state were in the middle is kept beside it.
fn with_backup(world: &World, more: &[&str]) {
    let place = world.with_rows("a", N_ROWS);
    let mut run = place.start(&[&["submit", "wave.csv"], more].concat());
    wait_until(|| world.server.n_posts() >= 60);
    signal(&run, Signal::SIGSTOP);
    copy_folder(&place.folder, &world.root.path().join("backup"));
    copy_folder(&place.state, &world.root.path().join("backup-state"));
    signal(&run, Signal::SIGCONT);
    assert!(run.wait().unwrap().success());
    assert_eq!(world.server.n_made(), N_ROWS as usize);
}

/// Copies the backup over the files: their names, places and inodes stay.
fn put_back(world: &World) -> Place<'_> {
    let (place, backup) = (world.place("a"), world.root.path().join("backup"));
    for name in ["wave.ledger", "wave.ledger-wal", "wave.ledger-shm"] {
        if backup.join(name).exists() {
            std::fs::copy(backup.join(name), place.file(name)).unwrap();
        } else {
            let _ = std::fs::remove_file(place.file(name));
        }
    }
    place
}

#[test]
fn a_backup_put_back_over_the_files_sends_nothing_twice() {
    let world = World::new(Manner::slow(4));
    with_backup(&world, &[]);
    let place = put_back(&world);
    place.until_done(&["submit", "wave.csv"]);
    place.all_once("wave.ledger", N_ROWS as usize);
}

#[test]
fn a_backup_put_back_without_a_whole_list_sends_nothing_twice() {
    let lists: [fn() -> Manner; 4] = [
        || Manner::default().list_as(How::Status(403)),
        || Manner::default().showing(|place, n, _| place >= n / 2),
        || Manner::default().showing(|place, n, _| place < n / 2),
        || Manner::default().showing(|place, _, _| place % 2 == 0),
    ];
    let world = World::new(Manner::slow(4));
    with_backup(&world, &[]);
    for (number, list) in lists.into_iter().enumerate() {
        let place = put_back(&world);
        world.server.behave(list());
        for _ in 0..2 {
            let ran = place.submit(&[]);
            if number == 0 {
                ran.exits(4);
                assert_eq!(world.server.n_posts(), N_ROWS as usize);
            }
        }
        let twice = world.server.twice();
        // A row that is sent alone shows a list that lacks it; it is named.
        assert!(twice.len() <= 1, "list {number}: {twice:?}");
    }
}

#[test]
fn a_backup_put_back_of_a_run_without_tags_sends_nothing() {
    let world = World::new(Manner::slow(4));
    with_backup(&world, &["--no-tag"]);
    let place = put_back(&world);
    for _ in 0..2 {
        place.submit(&["--no-tag"]).exits(2);
        assert_eq!(world.server.n_posts(), N_ROWS as usize);
    }
}

#[test]
fn a_reverted_snapshot_of_folder_and_state_sends_nothing_twice() {
    for with_state in [false, true] {
        let world = World::new(Manner::slow(4));
        with_backup(&world, &[]);
        let place = world.place("a");
        std::fs::remove_dir_all(&place.folder).unwrap();
        copy_folder(&world.root.path().join("backup"), &place.folder);
        if with_state {
            std::fs::remove_dir_all(&place.state).unwrap();
            copy_folder(&world.root.path().join("backup-state"), &place.state);
        }
        place.until_done(&["submit", "wave.csv"]);
        place.all_once("wave.ledger", N_ROWS as usize);
    }
}

#[test]
fn a_cloned_machine_sends_nothing_twice_beside_the_other() {
    let world = World::new(Manner::slow(20));
    let place = world.with_rows("a", N_ROWS);
    let original = place.start(&["submit", "wave.csv", "--rate", "40/s"]);
    wait_until(|| world.server.n_posts() >= 20);
    signal(&original, Signal::SIGSTOP);
    let clone = world.on_host("b", "clone");
    copy_folder(&place.folder, &clone.folder);
    copy_folder(&place.state, &clone.state);
    signal(&original, Signal::SIGCONT);
    let ran = clone.submit(&[]);
    let output: Ran = original.wait_with_output().unwrap().into();

    assert!([0, 1, 8].contains(&output.status), "exit {}: {}", output.status, output.stderr);
    assert_ne!(ran.status, 0, "{}", ran.stderr);
    world.server.never_twice();
    place.until_done(&["submit", "wave.csv"]);
    clone.until_done(&["submit", "wave.csv"]);
    place.all_once("wave.ledger", N_ROWS as usize);
}

#[test]
fn a_copy_beside_the_running_original_is_told_who_is_at_work() {
    let world = World::new(Manner::slow(10));
    let place = world.with_rows("a", N_ROWS);
    let original = place.start(&["submit", "wave.csv", "--rate", "60/s"]);
    wait_until(|| world.server.n_posts() >= 20);
    let copy = world.place("b");
    copy_folder(&place.folder, &copy.folder);
    let n_posts = world.server.n_posts();
    let ran = copy.submit(&[]).exits(8).says("another copy").says(&original.id().to_string());
    assert!(next_commands(&ran.stderr)[0].contains("submit wave.csv"), "{}", ran.stderr);
    assert!(world.server.n_posts() > n_posts, "the original goes on");
    let output: Ran = original.wait_with_output().unwrap().into();
    output.exits(0);
    copy.run_next(&ran, "submit wave.csv").exits(0);
    copy.all_once("wave.ledger", N_ROWS as usize);
}

/// Runs a script in a file system of its own, as root; false where this machine allows no such thing.
fn unshared(place: &Place<'_>, script: &str) -> bool {
    let mut command = place.command("unshare");
    let output = command.args(["-m", "sh", "-c", script]).output().unwrap();
    if String::from_utf8_lossy(&output.stderr).contains("unshare failed") {
        return false;
    }
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    true
}

#[test]
fn a_ledger_mounted_under_a_second_name_has_one_lock() {
    for host in ["host", "another"] {
        let world = World::new(Manner::slow(10));
        let place = world.with_rows("a", N_ROWS);
        place.submit(&["--limit", "5"]).exits(0);
        let beside = world.on_host("b", host);
        beside.write("wave.csv", enrollments(N_ROWS));
        beside.write("wave.ledger", "");
        let words: Vec<String> = place.words(&["submit", "wave.csv", "--rate", "60/s"]);
        let program = env!("CARGO_BIN_EXE_cmbatch");
        let (a, b) = (place.folder.display(), beside.folder.display());
        let (words, state) = (words.join(" "), beside.state.display());
        let script = format!(
            "mount --bind {a}/wave.ledger {b}/wave.ledger || exit 9
             (cd {a} && {program} {words} >a.out 2>&1; echo $? >a.exit) &
             sleep 1
             cd {b} && XDG_STATE_HOME={state} {program} {words} >b.out 2>&1; echo $? >b.exit
             wait"
        );
        if !unshared(&place, &script) {
            return;
        }
        world.server.never_twice();
        let read = |path: &Path| std::fs::read_to_string(path).unwrap();
        assert_eq!(read(&beside.file("b.exit")).trim(), "8", "{}", read(&beside.file("b.out")));
        assert_eq!(read(&place.file("a.exit")).trim(), "0", "{}", read(&place.file("a.out")));
        place.all_once("wave.ledger", N_ROWS as usize);
    }
}

#[test]
fn a_process_that_was_stopped_and_overtaken_sends_nothing_when_it_wakes() {
    let world = World::new(Manner::slow(10));
    let place = world.with_rows("a", 120);
    let sleeper = place.start(&["submit", "wave.csv", "--rate", "30/s", "--concurrency", "4"]);
    wait_until(|| world.server.n_posts() >= 20);
    signal(&sleeper, Signal::SIGSTOP);
    let stopped_at = std::time::Instant::now();
    let other = world.on_host("b", "another");
    copy_folder(&place.folder, &other.folder);
    other.until_done(&["submit", "wave.csv"]);

    assert_eq!(world.server.n_made(), 120);
    // A claim is good for 5 s.
    while stopped_at.elapsed() < Duration::from_millis(6_500) {
        std::thread::sleep(Duration::from_millis(50));
    }
    signal(&sleeper, Signal::SIGCONT);
    let output: Ran = sleeper.wait_with_output().unwrap().into();

    world.server.never_twice();
    assert!([0, 8].contains(&output.status), "exit {}: {}", output.status, output.stderr);
    place.until_done(&["submit", "wave.csv"]);
    place.all_once("wave.ledger", 120);
}

#[test]
fn lists_that_are_appended_in_copies_come_to_nothing_twice_and_nothing_lost() {
    let world = World::new(Manner::default());
    let place = world.with_rows("a", 20);
    place.write("more.csv", further_manifest(10, "a1b2c3d4"));
    place.submit(&["--limit", "10"]).exits(0);
    let copy = world.on_host("b", "another");
    copy_folder(&place.folder, &copy.folder);
    copy.write("other.csv", further_manifest(10, "b1b2c3d4"));
    let append = |name| ["submit", name, "--append", "--ledger", "wave.ledger"];
    place.run(&append("more.csv")).exits(0);
    assert_eq!(world.server.n_made(), 30);
    // The same list in the copy: what the original sent is there already.
    copy.run(&append("more.csv"));
    world.server.never_twice();
    // Another list, whose rows have the numbers of the first one's.
    let other = world.on_host("c", "third");
    copy_folder(&copy.folder, &other.folder);
    std::fs::copy(world.root.path().join("a/wave.csv"), other.file("wave.csv")).unwrap();
    for _ in 0..3 {
        other.run(&append("other.csv"));
        other.submit(&[]);
    }
    world.server.never_twice();
    other.never_lost("wave.ledger");
}

#[test]
fn a_replay_with_corrected_rows_in_a_copy_sends_nothing_twice() {
    let refuses = |_: u32, body: &serde_json::Value| {
        if body["comment"].as_str().unwrap().ends_with("bad") { Deed::refused(400) } else { Deed::done(Reply::Own) }
    };
    let world = World::new(Manner::default().posting(refuses));
    let place = world.place("a");
    place.write("wave.csv", enrollments(10).replace(&format!("{},new hire", guid(7)), &format!("{},bad", guid(7))));
    place.submit(&[]).exits(1);
    let copy = world.on_host("b", "another");
    copy_folder(&place.folder, &copy.folder);
    let header = "id,type,profiletemplateuuid,target,comment\n";
    let corrected = format!("{header}E-7,Enroll,{},{},right\n", crate::common::TEMPLATE, guid(7));
    for place in [&place, &copy] {
        place.write("right.csv", &corrected);
    }
    let replay = ["replay", "wave.ledger", "--from", "right.csv"];
    place.run(&replay).exits(0);
    assert_eq!(world.server.n_made(), 10);
    for _ in 0..2 {
        copy.run(&replay);
        copy.submit(&[]);
        world.server.never_twice();
    }
}
