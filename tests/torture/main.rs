//! The program killed at random moments, again and again, against servers that misbehave at random: whatever happens, every
//! row is created at most once, and once when the run says so.
//!
//! `tests/run.sh` runs the short form; `tests/run.sh --torture 500` kills that often in each test. A failure prints its seed;
//! `CMBATCH_TORTURE_SEED` runs the same faults and moments again (which call meets which moment is still the machine's to say).

// They kill processes as Unix does.
#![cfg(unix)]
#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]
#![expect(clippy::format_push_string, reason = "manifests are written as they read")]

#[path = "../it/chaos/mod.rs"]
#[expect(dead_code, unused_imports, reason = "this test needs a part of it")]
mod chaos;
#[path = "../it/common.rs"]
#[expect(dead_code, reason = "this test needs a part of it")]
mod common;
#[path = "../it/oracle.rs"]
mod oracle;

mod full_speed;
mod killing;
mod log;
mod random;
mod servers;

use std::time::Duration;

use killing::{Plan, torture};
use random::Random;
use servers::{RawServer, SimulatorProcess};

/// Returns what a variable of the test says, where it is set.
fn variable(name: &str) -> Option<u64> {
    #[expect(clippy::disallowed_methods, reason = "how long a test runs is said by its environment")]
    let value = std::env::var(name).ok()?;
    Some(value.parse().unwrap_or_else(|error| panic!("{name}: {error}")))
}

fn seed() -> u64 {
    variable("CMBATCH_TORTURE_SEED").unwrap_or_else(|| getrandom::u64().unwrap())
}

/// How often to kill, where the environment does not say.
fn n_kills(short: u64) -> u64 {
    variable("CMBATCH_TORTURE_KILLS").unwrap_or(short)
}

/// So many rows for each kill that some are left at the end.
fn n_rows(n_kills: u64, a_kill: u64) -> u32 {
    u32::try_from(n_kills * a_kill).unwrap()
}

fn against_the_simulator() {
    let (seed, n_kills) = (seed(), n_kills(30));
    let server_limit = Duration::from_secs(3);
    let plan = Plan { seed, n_kills, n_rows: n_rows(n_kills, 13), rate: "120/s", server_limit };
    torture(&plan, |folder| SimulatorProcess::start(folder, &mut Random::new(seed)));
}

#[test]
fn a_simulator_with_random_faults() {
    against_the_simulator();
}

#[test]
fn a_simulator_with_other_random_faults() {
    against_the_simulator();
}

#[test]
fn a_simulator_with_further_random_faults() {
    against_the_simulator();
}

#[test]
fn another_server_and_1500_rows() {
    let (seed, n_kills) = (seed(), n_kills(25));
    let server_limit = Duration::from_millis(500);
    let plan = Plan { seed, n_kills, n_rows: n_rows(n_kills, 60), rate: "400/s", server_limit };
    torture(&plan, |_| RawServer::start(seed));
}

#[test]
fn at_full_speed_a_kill_leaves_no_more_in_doubt_than_was_claimed_ahead() {
    full_speed::torture(seed(), u32::try_from(n_kills(8)).unwrap());
}
