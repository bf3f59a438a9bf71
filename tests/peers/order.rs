//! No call leaves before its claim is on the disk.
//!
//! A process that is killed leaves the page cache behind, so kills prove nothing about syncs. Here the system calls of a run
//! are recorded by strace and played on a disk that keeps only what was synced (`power`). At the first byte of each POST the
//! power goes: the ledger that the disk holds then is opened, and the row that the POST is about must not be pending in it —
//! else it would be sent a second time. That is exactly the promise, whatever the number of calls in flight, the size of a
//! group or the tables of the ledger.

use std::path::Path;
use std::process::Command;

use cmbatch::ledger::{Reader, RowState};
use cmbatch::request::{RowId, Tag};

use crate::chaos::{Answer, Chaos, Fate, Script, status};
use crate::common::{Folder, enrollments};
use crate::oracle::{assert_kept, rows};
use crate::power::Disk;
use crate::trace::{Call, Event, read};

const N_ROWS: u32 = 60;

const LEDGER: &str = "wave.ledger";

/// The variable with which debug builds can be told to leave syncs out, so that this test can be seen to fail.
const SYNCHRONOUS: &str = "CMBATCH_TEST_SYNCHRONOUS";

/// What the power loss at each POST would have left.
struct Found {
    n_posts: usize,
    n_syncs: usize,
    /// The rows that were on their way and pending on the disk.
    unclaimed: Vec<RowId>,
}

/// Loads a ledger whose rows are pending, and lets it rest: one file, nothing beside it.
fn at_rest(folder: &Folder, server: &Chaos) -> Disk {
    folder.write("wave.csv", enrollments(N_ROWS));
    server.behave(Script { fate: Box::new(|_, _| Fate::refuses(status("401 Unauthorized"))), ..Script::default() });
    folder.run(&["submit", "wave.csv", "--server", &server.base_url()]).exits(5);
    server.behave(Script::default());
    assert!(!folder.file("wave.ledger-wal").exists(), "the ledger is not at rest");
    let mut disk = Disk::default();
    disk.put(&folder.file(LEDGER), std::fs::read(folder.file(LEDGER)).unwrap());
    disk
}

/// Sends the rows under strace, and returns what it saw.
fn traced(folder: &Folder, server: &Chaos, options: &[&str], environment: &[(&str, &str)]) -> Vec<Event> {
    let trace = folder.file("trace.txt");
    let mut command = Command::new("strace");
    command.args(["-f", "-e", "trace=fdatasync,fsync,pwrite64,write,writev,sendto", "-yy", "-xx", "-s", "1000000"]);
    command.arg("-o").arg(&trace).arg(env!("CARGO_BIN_EXE_cmbatch"));
    command.args(["submit", "wave.csv", "--server", &server.base_url()]).args(options);
    let output =
        command.current_dir(folder.path()).envs(folder.host()).envs(environment.iter().copied()).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    read(&std::fs::read_to_string(trace).unwrap())
}

/// Returns the row that a call on a connection sends, where it is the first of a POST.
fn row_of(call: &Call) -> Option<RowId> {
    if !call.target.starts_with("TCP") || !call.bytes.starts_with(b"POST ") {
        return None;
    }
    let text = String::from_utf8_lossy(&call.bytes);
    Some(Tag::find(&text).expect("head and body of a POST leave in one call").row().unwrap())
}

/// Returns the pending rows of the ledger that the disk holds.
fn pending_on(disk: &Disk, ledger: &Path) -> Vec<RowId> {
    let folder = Folder::new();
    let log = ledger.with_extension("ledger-wal");
    for (path, name) in [(ledger, LEDGER), (log.as_path(), "wave.ledger-wal")] {
        if let Some(content) = disk.after_power_loss(path) {
            folder.write(name, content);
        }
    }
    let reader = Reader::open(&folder.file(LEDGER)).unwrap();
    reader.page(0, N_ROWS, &[RowState::Pending]).unwrap().into_iter().map(|row| row.row).collect()
}

fn power_losses(mut disk: Disk, events: &[Event], ledger: &Path) -> Found {
    let mut found = Found { n_posts: 0, n_syncs: 0, unclaimed: Vec::new() };
    // Opening the ledger takes a while; it changes only when something was synced.
    let mut pending = (usize::MAX, Vec::new());
    for event in events {
        if let Event::Begins(call) = event
            && let Some(row) = row_of(call)
        {
            if pending.0 != disk.n_syncs {
                pending = (disk.n_syncs, pending_on(&disk, ledger));
            }
            found.n_posts += 1;
            if pending.1.contains(&row) {
                found.unclaimed.push(row);
            }
        }
        disk.take(event);
    }
    found.n_syncs = disk.n_syncs;
    found
}

fn run(options: &[&str], environment: &[(&str, &str)], script: Script) -> Found {
    let folder = Folder::new();
    // The paths in a trace are resolved ones.
    let ledger = folder.path().canonicalize().unwrap().join(LEDGER);
    let server = Chaos::start(Script::default());
    let mut disk = at_rest(&folder, &server);
    disk.put(&ledger, std::fs::read(&ledger).unwrap());
    server.behave(script);
    let events = traced(&folder, &server, options, environment);
    assert_kept(&rows(&folder, LEDGER), &server.seen(), N_ROWS as usize);
    power_losses(disk, &events, &ledger)
}

#[test]
fn each_call_follows_a_sync_of_its_claim() {
    for options in [
        &["--rate", "unlimited", "--concurrency", "1"][..],
        &["--rate", "unlimited", "--concurrency", "16"],
        &["--rate", "300/s", "--concurrency", "4"],
    ] {
        let found = run(options, &[], Script::default());
        assert_eq!((found.n_posts, found.unclaimed), (N_ROWS as usize, vec![]), "{options:?}");
        assert!(found.n_syncs > 2, "{} syncs", found.n_syncs);
    }
}

#[test]
fn so_does_each_further_attempt() {
    let throttled = |number: u32| (40..44).contains(&number);
    let script = Script {
        fate: Box::new(move |number, _| {
            let refused = crate::chaos::answer("429 Too Many Requests", "Retry-After: 0\r\n", "");
            if throttled(number) { Fate::refuses(refused) } else { Fate::creates(Answer::Created) }
        }),
        ..Script::default()
    };
    let found = run(&["--rate", "unlimited", "--concurrency", "4"], &[], script);
    assert_eq!((found.n_posts, found.unclaimed), (N_ROWS as usize + 4, vec![]));
}

/// The test above would see a ledger that does not sync.
#[test]
fn without_syncs_the_calls_are_seen_to_come_too_early() {
    let found = run(&["--rate", "unlimited"], &[(SYNCHRONOUS, "OFF")], Script::default());
    assert_eq!(found.n_posts, N_ROWS as usize);
    assert!(!found.unclaimed.is_empty(), "no call came too early, and nothing was synced in time");
}
