//! The world: histories of many processes, hosts, files, people and a server, on one thread in paused time, judged by the
//! server's memory.
//!
//! - `cargo nextest run --test world`: histories that were kept, a fixed number of new ones, canaries, determinism.
//! - `WORLD_SEEDS=100000 WORLD_FROM=0 cargo test --profile world --test world long -- --nocapture`: the long form, a line each
//!   5,000.
//! - `WORLD_STEPS=tests/world/found/x.json cargo test --test world steps -- --nocapture`: one history, step by step;
//!   `WORLD_STEPS=7` takes that of seed 7, `two_ledgers_at_once:7` that of a plan, `swarm:7` one that is all drawn.
//! - `WORLD_RED=dir cargo test --test world red -- --nocapture`: how many histories each plan takes until it breaks something;
//!   the shrunk histories go to that folder. With `WORLD_SWARM=100` the first 100 histories are tried whose steps are all drawn,
//!   with `WORLD_LIST=7,19` those of these seeds.

#![expect(
    clippy::unwrap_used,
    clippy::print_stderr,
    clippy::format_push_string,
    reason = "tests may end, print, and take their time"
)]

mod draws;
mod host;
mod link;
mod marks;
mod oracle;
mod plan;
mod process;
mod server;
mod shrink;
mod step;
mod swarm;
mod world;

use std::path::{Path, PathBuf};
use std::time::Instant;

use crate::marks::{MUST, Marks, RARE};
use crate::oracle::Violation;
use crate::plan::plans;
use crate::step::{History, Opts, Step, hash};
use crate::swarm::swarm;
use crate::world::{Outcome, run};

/// How many histories the short form runs.
const SHORT: u64 = 1_600;

/// Returns the history of a seed: every third one is a plan's.
fn history(seed: u64) -> History {
    let plans = plans();
    let n = usize::try_from(hash(&[seed, 2]) % (3 * plans.len() as u64)).unwrap();
    plans.get(n).map_or_else(|| swarm(seed), |plan| plan.history(seed))
}

#[expect(clippy::disallowed_methods, reason = "tests are told by the environment what to do")]
fn var(name: &str) -> Option<String> {
    std::env::var(name).ok()
}

fn number(name: &str) -> Option<u64> {
    var(name).and_then(|text| text.parse().ok())
}

fn found_folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/world/found")
}

fn show(history: &History, outcome: &Outcome) -> String {
    let mut text = format!("seed {}, {:?}\n", history.seed, history.setup);
    outcome.log.iter().for_each(|line| text.push_str(&format!("{line}\n")));
    text
}

/// Prints a failing history, then the same, shrunk.
fn report(history: &History, violation: &Violation, is_strict: bool) -> History {
    eprintln!("seed {}: {:?}: {}", history.seed, violation.broken, violation.text);
    eprintln!("{}", serde_json::to_string(history).unwrap());
    let small = shrink::shrink(history, violation.broken, is_strict);
    let outcome = run(&small, is_strict);
    assert_eq!(outcome.digest(), run(&small, is_strict).digest(), "the shrunk history runs in two ways");
    eprintln!("{}", show(&small, &outcome));
    eprintln!("{}\n(keep it in a file, then WORLD_STEPS=FILE shows it again)", serde_json::to_string(&small).unwrap());
    small
}

/// Runs seeds; returns what happened in them, and the first violation.
fn run_seeds(seeds: impl Iterator<Item = u64>) -> (Marks, Vec<(History, Violation)>) {
    let (mut marks, mut broken) = (Marks::default(), Vec::new());
    for (n, seed) in seeds.enumerate() {
        let history = history(seed);
        let outcome = run(&history, false);
        if n % 20 == 0 {
            assert_eq!(outcome.digest(), run(&history, false).digest(), "seed {seed} runs in two ways");
        }
        marks.add(&outcome.marks);
        broken.extend(outcome.violation.map(|violation| (history, violation)));
    }
    (marks, broken)
}

#[test]
fn short() {
    // The same seeds each time, so that a red one is this change's; WORLD_SEED=WORD takes others.
    let other = var("WORLD_SEED").map(|word| word.bytes().fold(0, |sum, byte| hash(&[sum, u64::from(byte)])));
    let seeds = (0..SHORT).map(|n| other.map_or(n, |other| hash(&[other, n, 3])));
    let (marks, broken) = run_seeds(seeds);
    if let Some((history, violation)) = broken.first() {
        report(history, violation, false);
        panic!("{} of {SHORT} histories break the promise", broken.len());
    }
    let is_missing = |what: &&&str| {
        !marks.0.keys().any(|mark| mark.starts_with(**what)) && !RARE.iter().any(|rare| rare.0 == **what)
    };
    let missing: Vec<_> = MUST.iter().filter(is_missing).collect();
    assert!(missing.is_empty(), "never happened: {missing:?}; what did: {:#?}", marks.0);
}

#[test]
fn long() {
    let Some(n_seeds) = number("WORLD_SEEDS") else { return };
    let from = number("WORLD_FROM").unwrap_or(0);
    let mut n_broken = 0;
    for begin in (from..from + n_seeds).step_by(5_000) {
        let end = (begin + 5_000).min(from + n_seeds);
        let started = Instant::now();
        let (marks, broken) = run_seeds(begin..end);
        #[expect(clippy::cast_precision_loss, reason = "small counts")]
        let rate = (end - begin) as f64 / started.elapsed().as_secs_f64();
        let never: Vec<_> = MUST.iter().filter(|what| !marks.0.keys().any(|mark| mark.starts_with(**what))).collect();
        eprintln!("{begin}..{end}: {rate:.0}/s, {} broken, never: {never:?}", broken.len());
        n_broken += broken.len();
        for (history, violation) in &broken {
            eprintln!("  seed {}: {:?}: {}", history.seed, violation.broken, violation.text);
        }
        if let Some((history, violation)) = broken.first() {
            report(history, violation, false);
        }
    }
    assert_eq!(n_broken, 0, "histories break the promise");
}

#[test]
fn steps() {
    let Some(which) = var("WORLD_STEPS") else { return };
    let plan = plans().into_iter().find(|plan| which.starts_with(plan.name));
    let seed = which.rsplit(':').next().and_then(|seed| seed.parse().ok());
    let history: History = match (plan, seed) {
        (Some(plan), Some(seed)) => plan.history(seed),
        (None, Some(seed)) if which.starts_with("swarm:") => swarm(seed),
        (None, Some(seed)) => history(seed),
        _ => serde_json::from_slice(&std::fs::read(which).unwrap()).unwrap(),
    };
    let outcome = run(&history, false);
    eprintln!("{}", show(&history, &outcome));
    assert!(outcome.violation.is_none());
}

#[test]
fn found_histories_stay_green() {
    let mut red = Vec::new();
    for entry in std::fs::read_dir(found_folder()).unwrap() {
        let path = entry.unwrap().path();
        let history: History = serde_json::from_slice(&std::fs::read(&path).unwrap()).unwrap();
        if let Some(violation) = run(&history, false).violation {
            red.push(format!("{}: {:?}: {}", path.file_stem().unwrap().display(), violation.broken, violation.text));
        }
    }
    red.sort();
    assert!(red.is_empty(), "{} are red:\n{}", red.len(), red.join("\n"));
}

#[test]
fn red() {
    let Some(folder) = var("WORLD_RED") else { return };
    let only = var("WORLD_ONLY");
    if let Some(n) = number("WORLD_SWARM") {
        return shrink_all(&folder, (0..n).map(|seed| (seed, swarm(seed))));
    }
    if let Some(seeds) = var("WORLD_LIST") {
        let seeds = seeds.split(',').map(|seed| seed.parse().unwrap());
        return shrink_all(&folder, seeds.map(|seed| (seed, history(seed))));
    }
    for plan in plans().into_iter().filter(|plan| only.as_ref().is_none_or(|only| plan.name.contains(only.as_str()))) {
        let broken = (0..500).find_map(|seed| {
            let history = plan.history(seed);
            run(&history, false).violation.map(|violation| (seed, history, violation))
        });
        let Some((seed, history, violation)) = broken else {
            eprintln!("| {} | {} | not found in 500 | |", plan.finding, plan.name);
            continue;
        };
        let mut small = report(&history, &violation, false);
        small.shows = Some(format!("{:?}", violation.broken));
        eprintln!("| {} | {} | {} | {:?}: {} |", plan.finding, plan.name, seed + 1, violation.broken, violation.text);
        let file = Path::new(&folder).join(format!("{}.json", plan.name));
        std::fs::write(file, serde_json::to_string_pretty(&small).unwrap()).unwrap();
    }
}

/// Shrinks what histories break, a line each.
fn shrink_all(folder: &str, histories: impl Iterator<Item = (u64, History)>) {
    for (seed, history) in histories {
        let Some(violation) = run(&history, false).violation else { continue };
        let small = shrink::shrink(&history, violation.broken, false);
        let steps: Vec<String> = small.steps.iter().map(ToString::to_string).collect();
        std::fs::write(Path::new(folder).join(format!("red-{seed}.json")), serde_json::to_string(&small).unwrap())
            .unwrap();
        eprintln!("| {seed} | {:?} | {} rows: {} |", violation.broken, small.setup.rows, steps.join("; "));
    }
}

/// Where no excuse counts, what a person may say must go red: else nobody judges.
#[test]
fn canaries() {
    let is_person = |opts: &Opts| opts.already == step::Already::Send || opts.trust_list || opts.without_list;
    let mut seen = [false; 2];
    for seed in 0..400 {
        for (n, seen) in seen.iter_mut().enumerate().filter(|(_, seen)| !**seen) {
            let history = plan::canary(n, seed);
            debug_assert!(
                history.steps.iter().any(|step| matches!(&step.step, Step::Run { opts, .. } if is_person(opts)))
            );
            *seen = run(&history, true).violation.is_some_and(|violation| violation.broken == oracle::Broken::Twice);
        }
    }
    assert_eq!(seen, [true; 2], "--already send, --trust-list");
}
