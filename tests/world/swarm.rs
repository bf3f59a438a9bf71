//! Swarms: histories whose steps are all drawn.

use crate::draws::{A, Draws, Writer, setup};
use crate::step::{
    Already, Beside, Carry, Cmd, Crossing, Fate, Fault, Files, History, ListFault, Opts, Place, ReadFault, Setup, Step,
    Timed, hash,
};

fn opts(draws: &mut Draws) -> Opts {
    Opts {
        limit: if draws.one_in(5) { draws.small(1, 5) } else { 0 },
        no_tag: draws.one_in(12),
        already: draws.pick(&[
            Already::Stop,
            Already::Stop,
            Already::Stop,
            Already::Skip,
            Already::Skip,
            Already::Send,
        ]),
        trust_list: draws.one_in(30),
        without_list: draws.one_in(30),
        wait_s: draws.pick(&[0, 0, 0, 600]),
        other_template: draws.one_in(40),
    }
}

fn crossing(draws: &mut Draws) -> Crossing {
    let n = draws.small(1, 8);
    let points = [
        "step-committed",
        "step-before-commit",
        "resolve-committed",
        "takeover-committed",
        "close",
        "append",
        "-committed",
    ];
    match draws.below(8) {
        0 => Crossing::CallLeaves(n),
        1 | 2 => Crossing::CallMade(n),
        3 => Crossing::Answer(n),
        4 => Crossing::ListAsked(draws.small(1, 2)),
        5 => Crossing::Object(n),
        _ => Crossing::Point(draws.pick(&points).to_owned(), n),
    }
}

fn list_fault(draws: &mut Draws, setup: &Setup) -> ListFault {
    let rows = setup.rows;
    let few = |draws: &mut Draws| usize::try_from(draws.of(1, u64::from(rows) + 3)).unwrap();
    match draws.below(16) {
        0 => ListFault::CutOld { keep: few(draws) },
        1 => ListFault::CutNew { lacks: few(draws) },
        2 => ListFault::WithoutKind { kind: u8::try_from(draws.below(3)).unwrap() },
        3 => ListFault::Since { ago_s: draws.pick(&[5, 60, 600]) },
        4 => ListFault::OtherAccountsOnly,
        5 =>
        // A list that lags by more than --settle is what nobody promises to survive.
        {
            ListFault::Lags { by_s: draws.of(1, setup.settle_s - 1) }
        }
        6 => ListFault::HidesEvery { nth: few(draws).max(2) },
        7 => ListFault::HidesRow { row: draws.small(1, rows) },
        8 => ListFault::Repeats,
        9 => ListFault::CutsComments { to: draws.pick(&[0, 10, 39, 45]) },
        10 => ListFault::Odd { every: few(draws) },
        11 => ListFault::Unreadable,
        12 => ListFault::Forbidden,
        13 => ListFault::Trickles,
        14 => ListFault::Bare { row: draws.small(1, rows) },
        _ => ListFault::OlderTags { row: draws.small(0, rows) },
    }
}

fn fault(draws: &mut Draws, setup: &Setup) -> Fault {
    let every = draws.small(1, 5);
    match draws.below(16) {
        0 => Fault::Away,
        1 => Fault::Slow { by_ms: draws.pick(&[2_000, 60_000, 200_000]) },
        2 => Fault::Throttled,
        3 | 4 => Fault::Lost { every, acts_after_ms: draws.pick(&[0, 1, 5_000, 60_000, 120_000]) },
        5 => Fault::Fails { every, acted: draws.one_in(2), status: draws.pick(&[500, 500, 503, 504]) },
        6 => Fault::Repeated { every },
        7 => Fault::Swapped,
        8 => Fault::SharedUuid,
        9 => Fault::RefusesKind { kind: u8::try_from(draws.below(3)).unwrap() },
        10 => Fault::WrongTarget,
        11 => Fault::Reads(draws.pick(&[
            ReadFault::Reset,
            ReadFault::NotFound,
            ReadFault::Forbidden,
            ReadFault::Fails,
            ReadFault::Odd,
        ])),
        _ => Fault::List(list_fault(draws, setup)),
    }
}

fn fate(draws: &mut Draws) -> Fate {
    draws.pick(&[
        Fate::CreatedAndLost,
        Fate::CreatedAndLost,
        Fate::CreatedAndLost,
        Fate::CreatedAndLost,
        Fate::Lost,
        Fate::Lost,
        Fate::Late { by_s: 20 },
        Fate::CreatedAnd500,
        Fate::Is500,
        Fate::Is404,
        Fate::Is400,
        Fate::Late { by_s: 100 },
        Fate::Repeated,
    ])
}

fn place(draws: &mut Draws, hosts: u8, ledgers: u64) -> Place {
    let host = u8::try_from(draws.of(1, u64::from(hosts))).unwrap();
    Place { host, ledger: u8::try_from(draws.below(ledgers).saturating_sub(draws.below(2))).unwrap() }
}

const FAMILIES: usize = 7;

/// Writes the history of a seed: all its steps are drawn.
pub(crate) fn swarm(seed: u64) -> History {
    let mut draws = Draws::new(hash(&[seed, 1]));
    let setup = Setup { twin: draws.one_in(30), ..setup(&mut draws) };
    let hosts = u8::try_from(draws.pick(&[1_u64, 1, 1, 2, 3])).unwrap();
    // With several ledgers for one list hardly anything else comes to light.
    let ledgers = draws.pick(&[1, 1, 3]);
    // Families that are left out make room for the others.
    let is_without_faults = draws.one_in(10);
    let base = [30, 20, 15, 12, 10, 8, 5];
    let mut weights = [0; FAMILIES];
    for (family, weight) in weights.iter_mut().enumerate() {
        let is_on = family == 0 || (!is_without_faults && draws.one_in(2));
        *weight = if is_on { base[family] * draws.of(1, 100) } else { 0 };
    }
    let mut writer = Writer { at: 0, p: 0, steps: Vec::new() };
    writer.submit(10, A);
    if draws.one_in(2) {
        // Half of the kills come while a row is in doubt.
        let row = draws.small(1, setup.rows);
        writer.steps.insert(0, Timed { at: 1, step: Step::Fate { row, nth: 1, fate: fate(&mut draws) } });
    }
    let n_steps = draws.of(4, 30);
    for _ in 0..n_steps {
        let mut draw = draws.below(weights.iter().sum());
        let family = weights.iter().position(|weight| {
            let is_it = draw < *weight;
            draw = draw.saturating_sub(*weight);
            is_it
        });
        let step = step_of(&mut draws, family.unwrap_or(0), &setup, (hosts, ledgers), &mut writer.p);
        let after = draws.pick(&[1, 50, 300, 1_000, 5_000, 40_000, 170_000]);
        writer.after(after, step);
    }
    History { seed, shows: None, setup, steps: writer.steps }
}

fn step_of(draws: &mut Draws, family: usize, setup: &Setup, (hosts, ledgers): (u8, u64), p: &mut u32) -> Step {
    let at = place(draws, hosts, ledgers);
    let old_p = draws.small(1, (*p).max(1));
    let row = draws.small(1, setup.rows);
    let host = at.host;
    match family {
        0 if draws.one_in(12) => Step::Verdict { at, nth: draws.small(0, 2), truly: draws.one_in(2) },
        0 if draws.one_in(15) => Step::Export { at, list: 8 },
        0 => {
            *p += 1;
            let cmd = match draws.below(10) {
                0 => Cmd::Append { list: 1 },
                1 => Cmd::Append { list: 2 },
                2 | 3 => Cmd::Replay,
                4 => Cmd::From { list: u8::try_from(draws.below(2)).unwrap(), swap: draws.one_in(3) },
                5 => Cmd::Reconcile,
                6 => Cmd::Submit { list: 8 },
                _ => Cmd::Submit { list: 0 },
            };
            let dies = draws.one_in(3).then(|| crossing(draws));
            Step::Run { p: *p, at, cmd, opts: opts(draws), dies }
        }
        1 => Step::Fault { fault: fault(draws, setup), for_ms: draws.pick(&[2_000, 30_000, 300_000, 1_000_000]) },
        2 => match draws.below(5) {
            0 => Step::Kill { p: old_p },
            1 | 2 => Step::Stop { p: old_p },
            3 => Step::Resume { p: old_p },
            _ => Step::Interrupt { p: old_p },
        },
        3 => {
            let slot = u8::try_from(draws.below(2)).unwrap();
            match draws.below(9) {
                0 | 1 => {
                    let files = draws.pick(&[Files::Single, Files::WithLog, Files::All]);
                    Step::Copy { from: at, to: place(draws, hosts, 3), files }
                }
                2 | 3 => Step::Keep { host, slot },
                4 => Step::PutBack { host, slot, state_too: draws.one_in(2) },
                5 => Step::Revert { host, slot },
                6 => Step::Clone { from: host, to: hosts + 1 },
                7 => Step::Power { host, keep: u8::try_from(draws.below(11)).unwrap() },
                _ => {
                    let what =
                        draws.pick(&[Beside::Lock, Beside::Log, Beside::LogAndLock, Beside::Ledger, Beside::State]);
                    Step::Move { at, what }
                }
            }
        }
        4 => Step::Fate { row, nth: draws.small(1, 2), fate: fate(draws) },
        5 => match draws.below(3) {
            0 => Step::Stranger { row, tagged: draws.one_in(2) },
            _ => Step::Carry {
                what: draws.pick(&[Carry::Complete, Carry::Deny, Carry::Archive]),
                of_ten: u8::try_from(draws.of(1, 10)).unwrap(),
            },
        },
        _ => match draws.below(3) {
            0 => Step::WallClock { host, by_s: draws.pick(&[-172_800, -60, 60, 172_800, 60 * 86_400]) },
            1 => Step::Suspend { host, for_s: draws.pick(&[10, 200, 36_000]) },
            _ => Step::ServerClock { by_s: draws.pick(&[-3_600, -60, 60, 3_600]) },
        },
    }
}
