//! Disks that are full, folders that cannot be written, files that are no ledger or a damaged one: a clear message, nothing
//! sent that is not on record, and afterwards the same command goes on.

use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Command;

use cmbatch::simulator::Simulator;

use crate::common::{Folder, Ran, enrollments, posts, simulator, wait_until};
use crate::oracle::{Seen, assert_kept, rows};

const N_ROWS: u32 = 300;

const PATIENCE: &[&str] = &["--settle", "100ms", "--server-limit", "300ms", "--timeout", "5s"];

/// Runs the command behind another one.
fn behind(folder: &Folder, wrapper: &[&str], words: &[&str]) -> Ran {
    let mut command = Command::new(wrapper[0]);
    command
        .args(&wrapper[1..])
        .arg(env!("CARGO_BIN_EXE_cmbatch"))
        .args(words)
        .current_dir(folder.path())
        .envs(folder.host());
    command.output().unwrap().into()
}

fn submit<'a>(url: &'a str, more: &[&'a str]) -> Vec<&'a str> {
    [&["submit", "wave.csv", "--server", url, "--json"], PATIENCE, more].concat()
}

#[test]
fn a_log_that_cannot_be_written_ends_nothing() {
    for format in ["json", "text"] {
        let folder = Folder::new();
        folder.write("wave.csv", enrollments(N_ROWS));
        let server = simulator(&[]);
        let url = server.base_url();
        for more in [&["--rate", "unlimited", "--log-format", format, "-vv"][..], &["--log-format", format, "--quiet"]]
        {
            let ran = behind(&folder, &["sh", "-c", "exec \"$0\" \"$@\" 2>/dev/full"], &submit(&url, more)).exits(0);
            assert_eq!(ran.json()["created"], N_ROWS);
        }
        assert_all_created(&folder, &server);
        // Who reads the log has gone away.
        let script = "{ \"$0\" \"$@\"; echo $? >status; } 2>&1 >/dev/null | true";
        behind(&folder, &["sh", "-c", script], &["validate", "wave.csv", "--log-format", format]);
        assert_eq!(folder.read("status"), "0\n", "{format}");
        behind(&folder, &["sh", "-c", "exec \"$0\" \"$@\" 2>/dev/full"], &["status", "none", "--log-format", format])
            .exits(2);
    }
}

/// All rows are created, each once.
#[track_caller]
fn assert_all_created(folder: &Folder, simulator: &Simulator) {
    let read = |body: &[u8]| serde_json::from_slice(body).unwrap();
    let seen: Vec<Seen> = posts(simulator)
        .iter()
        .map(|call| Seen::new(&read(&call.body), call.created.map(|uuid| uuid.to_string())))
        .collect();
    let rows = rows(folder, "wave.ledger");
    assert_kept(&rows, &seen, N_ROWS as usize);
    assert!(rows.iter().all(|row| row.state == "created"));
    assert_eq!(simulator.requests().len(), N_ROWS as usize);
}

/// Files may grow to so many KiB: what is beyond fails as on a full disk, at a place that depends on nothing else. (The
/// signal that would end the process is ignored, as it is for a service whose disk is full.)
fn limited(kib: u32) -> Vec<String> {
    let script = format!("trap '' XFSZ; ulimit -f {}; exec \"$0\" \"$@\"", kib * 2);
    // dash, which is /bin/sh on Debian, and POSIX count blocks of 512 bytes; bash would count 1,024 unless it is told.
    vec!["sh".to_owned(), "-c".to_owned(), script]
}

#[test]
fn a_ledger_that_can_grow_no_further_stops_the_run_and_the_same_command_goes_on() {
    for kib in [100, 150, 220] {
        let folder = Folder::new();
        folder.write("wave.csv", enrollments(N_ROWS));
        // The ledger is loaded first, with room: its rows are pending.
        let server = simulator(&["401=first 1"]);
        let url = server.base_url();
        folder.run(&submit(&url, &["--rate", "unlimited"])).exits(5);
        let wrapper = limited(kib);
        let wrapper: Vec<&str> = wrapper.iter().map(String::as_str).collect();
        let ran = behind(&folder, &wrapper, &submit(&url, &["--rate", "500/s"]));
        let ran = ran.exits(7).says("wave.ledger").says("next:");
        assert_eq!(ran.json()["exit"], 7);
        assert!(server.requests().len() < N_ROWS as usize, "it did not stop at {kib} KiB");
        folder.run(&submit(&url, &["--rate", "unlimited"])).exits(0);
        assert_all_created(&folder, &server);
    }
}

#[test]
fn a_ledger_that_cannot_be_loaded_sends_nothing_and_leaves_nothing() {
    let folder = Folder::new();
    folder.write("wave.csv", enrollments(N_ROWS));
    let server = simulator(&[]);
    let url = server.base_url();
    let wrapper = limited(16);
    let wrapper: Vec<&str> = wrapper.iter().map(String::as_str).collect();
    behind(&folder, &wrapper, &submit(&url, &[])).exits(7).says("wave.ledger");
    assert!(posts(&server).is_empty());
    assert!(!folder.file("wave.ledger").exists());
    folder.run(&submit(&url, &["--rate", "unlimited"])).exits(0);
    assert_all_created(&folder, &server);
}

fn set_mode(path: &Path, mode: u32) {
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).unwrap();
}

/// Modes of files mean nothing to root, unless it has given up the capability to pass them over.
fn as_anybody() -> Vec<&'static str> {
    if nix::unistd::geteuid().is_root() {
        vec!["setpriv", "--bounding-set", "-dac_override,-dac_read_search"]
    } else {
        vec!["env"]
    }
}

#[test]
fn a_folder_that_cannot_be_written_sends_nothing() {
    let folder = Folder::new();
    folder.write("wave.csv", enrollments(N_ROWS));
    let server = simulator(&["401=after 40"]);
    let url = server.base_url();
    let run = |words: &[&str]| behind(&folder, &as_anybody(), words);
    set_mode(folder.path(), 0o555);
    run(&submit(&url, &[])).exits(7).says("wave.ledger");
    assert!(posts(&server).is_empty());
    set_mode(folder.path(), 0o755);
    run(&submit(&url, &["--rate", "unlimited"])).exits(5);
    let n_sent = posts(&server).len();
    set_mode(folder.path(), 0o555);
    // What only reads works on, and says the same.
    let status = run(&["status", "wave.ledger", "--json"]).exits(1).json();
    assert_eq!(status["created"], 40);
    assert_eq!(run(&["export", "wave.ledger"]).exits(0).stdout.lines().count(), N_ROWS as usize + 1);
    run(&submit(&url, &[])).exits(7).says("wave.ledger");
    assert_eq!(posts(&server).len(), n_sent);
    set_mode(folder.path(), 0o755);
    set_mode(&folder.file("wave.ledger"), 0o400);
    run(&submit(&url, &[])).exits(7).says("wave.ledger");
    assert_eq!(posts(&server).len(), n_sent);
    set_mode(&folder.file("wave.ledger"), 0o600);
}

/// Ends a run in its middle.
fn killed_midway(folder: &Folder, server: &Simulator) {
    folder.write("wave.csv", enrollments(N_ROWS));
    let url = server.base_url();
    let mut run = folder.start(&submit(&url, &["--rate", "200/s"]));
    wait_until(|| posts(server).len() >= 50);
    run.kill().unwrap();
    run.wait().unwrap();
}

#[test]
fn a_damaged_ledger_is_refused_until_it_is_restored() {
    let folder = Folder::new();
    let server = simulator(&[]);
    let url = server.base_url();
    killed_midway(&folder, &server);
    let read = |name: &str| std::fs::read(folder.file(name)).unwrap();
    let (good, log) = (read("wave.ledger"), read("wave.ledger-wal"));
    let n_sent = posts(&server).len();
    // Its pages are overwritten, all but the first; cut off in a page; empty.
    let scribbled = [&good[..4_096], &vec![0xAA; good.len() - 4_096]].concat();
    for bad in [scribbled.as_slice(), &good[..good.len() / 2 + 100], &[]] {
        std::fs::write(folder.file("wave.ledger"), bad).unwrap();
        let _ = std::fs::remove_file(folder.file("wave.ledger-shm"));
        folder.run(&submit(&url, &[])).exits(2).says("wave.ledger").says("next:");
        folder.run(&["status", "wave.ledger"]).exits(2).says("wave.ledger");
        assert_eq!(posts(&server).len(), n_sent, "{} bytes", bad.len());
        // Who restores the file needs the log beside it: it holds what was sent last.
        assert!(read("wave.ledger-wal") == log, "the log was changed beside {} bytes", bad.len());
    }
    std::fs::write(folder.file("wave.ledger"), &good).unwrap();
    let _ = std::fs::remove_file(folder.file("wave.ledger-shm"));
    folder.run(&submit(&url, &["--rate", "unlimited"])).exits(0);
    assert_all_created(&folder, &server);
}

#[test]
fn what_is_no_file_is_no_ledger() {
    let folder = Folder::new();
    folder.write("wave.csv", enrollments(3));
    let server = simulator(&[]);
    let url = server.base_url();
    std::fs::create_dir(folder.file("folder.ledger")).unwrap();
    nix::unistd::mkfifo(&folder.file("pipe.ledger"), nix::sys::stat::Mode::S_IRWXU).unwrap();
    folder.run(&submit(&url, &["--ledger", "real.ledger"])).exits(0);
    std::os::unix::fs::symlink("real.ledger", folder.file("link.ledger")).unwrap();
    for name in ["folder.ledger", "pipe.ledger", "link.ledger", "wave.csv"] {
        folder.run(&submit(&url, &["--ledger", name])).exits(2).says(name);
    }
    assert_eq!(posts(&server).len(), 3);
    assert_eq!(folder.read("wave.csv"), enrollments(3));
}

#[test]
fn a_ledger_in_use_is_left_alone_by_every_command_that_writes() {
    let folder = Folder::new();
    let server = simulator(&["502=at 3"]);
    let url = server.base_url();
    folder.write("wave.csv", enrollments(N_ROWS));
    let mut first = folder.start(&submit(&url, &["--rate", "20/s"]));
    let in_doubt = || rows(&folder, "wave.ledger").into_iter().find(|row| row.code.as_deref() == Some("bad-gateway"));
    wait_until(|| folder.file("wave.ledger").exists() && in_doubt().is_some());
    let pid = first.id().to_string();
    let number = in_doubt().unwrap().number.to_string();
    let writers: [&[&str]; 4] = [
        &["submit", "wave.csv", "--server", &url],
        &["replay", "wave.ledger"],
        &["reconcile", "wave.ledger"],
        &["settle", "wave.ledger", "--row", &number, "--not-created", "--reason", "x"],
    ];
    for words in writers {
        folder.run(words).exits(8).says(&pid);
    }
    folder.run(&["status", "wave.ledger"]).exits(1);
    first.kill().unwrap();
    first.wait().unwrap();
    folder.run(&submit(&url, &["--rate", "unlimited"])).exits(0);
    assert_all_created(&folder, &server);
}
