//! The program killed while it sends as fast as it can: how much a kill leaves in doubt has a bound.

use std::collections::BTreeSet;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use crate::common::{Folder, enrollments, wait_until};
use crate::oracle::{assert_kept, rows};
use crate::random::Random;
use crate::servers::{Server, SimulatorProcess};

const CONCURRENCY: usize = 64;
/// How many rows may be claimed and not in flight, or ended and not yet recorded.
const AHEAD: usize = 256;
const LEDGER: &str = "wave.ledger";
/// More than the server logs before the first create call of a session.
const UNDER_WAY_BYTES: u64 = 20_000;

/// Sends a manifest without a rate through a program that is killed so often, and lets it finish.
pub(crate) fn torture(seed: u64, n_kills: u32) {
    let folder = Folder::new();
    let n_rows = n_kills * 1_500;
    folder.write("wave.csv", enrollments(n_rows));
    let server = SimulatorProcess::without_faults(&folder);
    let mut random = Random::new(seed);
    let mut in_doubt = BTreeSet::new();
    for kill in 1..=n_kills {
        let before = server.progress();
        let mut child = start(&folder, &server);
        wait_until(|| server.progress() > before + UNDER_WAY_BYTES || child.try_wait().unwrap().is_some());
        // A kill comes at a time, not after an event: that is what is tried here.
        std::thread::sleep(Duration::from_micros(random.below(150_000)));
        child.kill().unwrap();
        child.wait().unwrap();
        let sent = rows(&folder, LEDGER);
        assert_kept(&sent, &server.seen(), n_rows as usize);
        let left: BTreeSet<u64> = sent.iter().filter(|row| row.state == "in_doubt").map(|row| row.number).collect();
        let n_new = left.difference(&in_doubt).count();
        assert!(n_new <= CONCURRENCY + AHEAD, "seed {seed}, kill {kill}: {n_new} rows in doubt by one kill");
        in_doubt = left;
    }
    let ended = start(&folder, &server).wait().unwrap();
    assert_eq!(ended.code(), Some(0), "seed {seed}");
    let (sent, seen) = (rows(&folder, LEDGER), server.seen());
    assert_kept(&sent, &seen, n_rows as usize);
    assert!(sent.iter().all(|row| row.state == "created"), "seed {seed}");
    assert_eq!(seen.iter().filter(|call| call.created.is_some()).count(), n_rows as usize, "seed {seed}");
}

fn start(folder: &Folder, server: &SimulatorProcess) -> Child {
    Command::new(env!("CARGO_BIN_EXE_cmbatch"))
        .current_dir(folder.path())
        .envs(folder.host())
        .args(["submit", "wave.csv", "--server", &server.url(), "--rate", "unlimited"])
        .args(["--concurrency", &CONCURRENCY.to_string(), "--settle", "200ms", "--server-limit", "1s"])
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap()
}
