//! Histories from a seed: swarms of steps, and plans that build a dangerous state on purpose.

use crate::step::{
    Already, Beside, Carry, Cmd, Crossing, Fate, Fault, Files, History, ListFault, Opts, Place, ReadFault, Setup, Step,
    Timed, hash,
};

/// A stream of draws for the making of one history.
pub(crate) struct Draws {
    seed: u64,
    n: u64,
}

impl Draws {
    pub(crate) fn new(seed: u64) -> Self {
        Self { seed, n: 0 }
    }

    /// Draws from 0 to below `end`.
    fn below(&mut self, end: u64) -> u64 {
        self.n += 1;
        hash(&[self.seed, self.n]) % end.max(1)
    }

    fn of(&mut self, from: u64, to: u64) -> u64 {
        from + self.below(to + 1 - from)
    }

    fn small(&mut self, from: u32, to: u32) -> u32 {
        u32::try_from(self.of(u64::from(from), u64::from(to))).unwrap()
    }

    fn one_in(&mut self, n: u64) -> bool {
        self.below(n) == 0
    }

    fn pick<T: Clone>(&mut self, of: &[T]) -> T {
        of[usize::try_from(self.below(of.len() as u64)).unwrap()].clone()
    }
}

/// A history that is being written.
struct Writer {
    at: u64,
    p: u32,
    steps: Vec<Timed>,
}

const A: Place = Place { host: 1, ledger: 0 };
const B: Place = Place { host: 1, ledger: 1 };
const A2: Place = Place { host: 2, ledger: 0 };

impl Writer {
    fn after(&mut self, ms: u64, step: Step) -> &mut Self {
        self.at += ms;
        self.steps.push(Timed { at: self.at, step });
        self
    }

    fn run(&mut self, ms: u64, at: Place, cmd: Cmd, opts: Opts) -> &mut Self {
        self.run_to(ms, at, cmd, opts, None)
    }

    fn run_to(&mut self, ms: u64, at: Place, cmd: Cmd, opts: Opts, dies: Option<Crossing>) -> &mut Self {
        self.p += 1;
        let p = self.p;
        self.after(ms, Step::Run { p, at, cmd, opts, dies })
    }

    fn submit(&mut self, ms: u64, at: Place) -> &mut Self {
        self.run(ms, at, Cmd::Submit { list: 0 }, Opts::default())
    }
}

fn setup(draws: &mut Draws) -> Setup {
    let rows = match draws.below(4) {
        0 => draws.small(1, 2),
        1 | 2 => draws.small(3, 8),
        _ => draws.small(9, 30),
    };
    let settle_s = draws.pick(&[2, 10, 30]);
    Setup {
        rows,
        kinds: u8::try_from(draws.pick(&[1_u64, 1, 2, 3])).unwrap(),
        twin: false,
        concurrency: usize::try_from(draws.pick(&[1_u64, 2, 4, 16])).unwrap(),
        per_minute: draws.pick(&[0, 0, 20, 60, 300]),
        max_attempts: draws.pick(&[2, 5]),
        breaker: draws.pick(&[3, 5, 25]),
        latency_ms: draws.pick(&[20, 100, 500]),
        settle_s,
        limit_s: draws.pick(&[125, 125, 130]),
        others: draws.pick(&[0, 2, 10]),
    }
}

fn opts(draws: &mut Draws) -> Opts {
    Opts {
        limit: if draws.one_in(5) { draws.small(1, 5) } else { 0 },
        no_tag: draws.one_in(12),
        already: draws.pick(&[Already::Stop, Already::Stop, Already::Skip]),
        trust_list: false,
        wait_s: draws.pick(&[0, 0, 0, 600]),
        other_template: false,
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

fn list_fault(draws: &mut Draws, rows: u32) -> ListFault {
    let few = |draws: &mut Draws| usize::try_from(draws.of(1, u64::from(rows) + 3)).unwrap();
    match draws.below(15) {
        0 => ListFault::CutOld { keep: few(draws) },
        1 => ListFault::CutNew { lacks: few(draws) },
        2 => ListFault::WithoutKind { kind: u8::try_from(draws.below(3)).unwrap() },
        3 => ListFault::Since { ago_s: draws.pick(&[5, 60, 600]) },
        4 => ListFault::OtherAccountsOnly,
        5 => ListFault::Lags { by_s: draws.pick(&[1, 10, 25]) },
        6 => ListFault::HidesEvery { nth: few(draws).max(2) },
        7 => ListFault::HidesRow { row: draws.small(1, rows) },
        8 => ListFault::Repeats,
        9 => ListFault::CutsComments { to: draws.pick(&[0, 10, 39, 45]) },
        10 => ListFault::Odd { every: few(draws) },
        11 => ListFault::Unreadable,
        12 => ListFault::Forbidden,
        13 => ListFault::Trickles,
        _ => ListFault::OlderTags { row: draws.small(0, rows) },
    }
}

fn fault(draws: &mut Draws, rows: u32) -> Fault {
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
        _ => Fault::List(list_fault(draws, rows)),
    }
}

fn fate(draws: &mut Draws) -> Fate {
    draws.pick(&[
        Fate::CreatedAndLost,
        Fate::CreatedAndLost,
        Fate::Lost,
        Fate::CreatedAnd500,
        Fate::Is500,
        Fate::Is404,
        Fate::Is400,
        Fate::Late { by_s: 100 },
        Fate::Repeated,
    ])
}

fn place(draws: &mut Draws, hosts: u8) -> Place {
    Place {
        host: u8::try_from(draws.of(1, u64::from(hosts))).unwrap(),
        ledger: u8::try_from(draws.pick(&[0_u64, 0, 0, 1, 2])).unwrap(),
    }
}

const FAMILIES: usize = 7;

/// Writes the history of a seed: all its steps are drawn.
pub(crate) fn swarm(seed: u64) -> History {
    let mut draws = Draws::new(hash(&[seed, 1]));
    let setup = Setup { twin: draws.one_in(30), ..setup(&mut draws) };
    let hosts = u8::try_from(draws.pick(&[1_u64, 1, 2, 3])).unwrap();
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
        let step = step_of(&mut draws, family.unwrap_or(0), &setup, hosts, &mut writer.p);
        let after = draws.pick(&[1, 50, 300, 1_000, 5_000, 40_000, 170_000]);
        writer.after(after, step);
    }
    History { seed, shows: None, setup, steps: writer.steps }
}

fn step_of(draws: &mut Draws, family: usize, setup: &Setup, hosts: u8, p: &mut u32) -> Step {
    let at = place(draws, hosts);
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
        1 => Step::Fault { fault: fault(draws, setup.rows), for_ms: draws.pick(&[2_000, 30_000, 300_000, 1_000_000]) },
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
                    Step::Copy { from: at, to: place(draws, hosts), files }
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

/// A plan that builds a dangerous state on purpose: what it is called, which finding it looks for.
pub(crate) struct Plan {
    pub(crate) name: &'static str,
    pub(crate) finding: &'static str,
    write: fn(&mut Draws, &mut Setup, &mut Writer),
}

impl Plan {
    /// Writes the plan's history of a seed.
    pub(crate) fn history(&self, seed: u64) -> History {
        let name = self.name.bytes().fold(7, |sum, byte| hash(&[sum, u64::from(byte)]));
        let mut draws = Draws::new(hash(&[seed, name]));
        let mut setup = setup(&mut draws);
        let mut writer = Writer { at: 0, p: 0, steps: Vec::new() };
        (self.write)(&mut draws, &mut setup, &mut writer);
        History { seed, shows: None, setup, steps: writer.steps }
    }
}

const SUBMIT: Cmd = Cmd::Submit { list: 0 };
const LONG: u64 = 4_000_000;

fn lists(fault: ListFault) -> Step {
    Step::Fault { fault: Fault::List(fault), for_ms: LONG }
}

/// Returns all plans.
pub(crate) fn plans() -> Vec<Plan> {
    let plan = |name, finding, write| Plan { name, finding, write };
    vec![
        plan("copy_of_a_single_file", "1", |draws, setup, writer| {
            setup.rows = draws.small(4, 30);
            let n = draws.small(1, setup.rows);
            writer.run_to(10, A, SUBMIT, Opts::default(), Some(Crossing::CallMade(n)));
            writer.after(200_000, Step::Copy { from: A, to: B, files: Files::Single }).submit(10, B);
        }),
        plan("log_and_lock_deleted", "1", |draws, setup, writer| {
            let n = draws.small(1, setup.rows);
            writer.run_to(10, A, SUBMIT, Opts::default(), Some(Crossing::CallMade(n)));
            writer.after(200_000, Step::Move { at: A, what: Beside::LogAndLock }).submit(10, A);
        }),
        plan("backup_put_back", "2", |draws, setup, writer| {
            (setup.rows, setup.per_minute) = (draws.small(4, 30), 60);
            let no_tag = draws.one_in(2);
            writer.run(10, A, SUBMIT, Opts { no_tag, ..Opts::default() });
            writer.after(draws.of(500, 9_000), Step::Keep { host: 1, slot: 0 });
            writer.after(600_000, Step::PutBack { host: 1, slot: 0, state_too: draws.one_in(2) });
            let fault =
                draws.pick(&[ListFault::Forbidden, ListFault::CutNew { lacks: 3 }, ListFault::CutOld { keep: 2 }]);
            writer.after(10, lists(fault)).run(10, A, SUBMIT, Opts { no_tag, ..Opts::default() });
        }),
        plan("disk_reverted", "3", |draws, setup, writer| {
            (setup.rows, setup.per_minute) = (draws.small(4, 30), 60);
            writer.submit(10, A).after(draws.of(500, 9_000), Step::Keep { host: 1, slot: 0 });
            writer.after(600_000, Step::Revert { host: 1, slot: 0 });
            let fault = draws.pick(&[ListFault::Forbidden, ListFault::CutNew { lacks: 3 }, ListFault::Unreadable]);
            writer.after(10, lists(fault)).submit(10, A);
        }),
        plan("list_without_the_oldest", "4", |draws, setup, writer| {
            (setup.rows, setup.kinds) = (draws.small(3, 12), 1);
            writer.after(1, Step::Fate { row: 1, nth: 1, fate: Fate::CreatedAndLost });
            let keep = setup.rows as usize - 1;
            writer.after(1, lists(ListFault::CutOld { keep })).submit(10, A);
        }),
        plan("list_without_a_kind", "4", |draws, setup, writer| {
            (setup.rows, setup.kinds) = (draws.small(2, 12), 2);
            writer.after(1, Step::Fate { row: 2, nth: 1, fate: Fate::CreatedAndLost });
            writer.after(1, lists(ListFault::WithoutKind { kind: 1 })).submit(10, A);
        }),
        plan("append_in_a_copy", "5", |draws, setup, writer| {
            setup.rows = draws.small(2, 10);
            writer.submit(10, A).after(600_000, Step::Copy { from: A, to: B, files: Files::Single });
            writer.run(10, A, Cmd::Append { list: 1 }, Opts::default());
            writer.run(600_000, B, Cmd::Append { list: 1 }, Opts::default());
        }),
        plan("appends_in_another_order", "5", |draws, setup, writer| {
            setup.rows = draws.small(2, 10);
            writer.submit(10, A).after(600_000, Step::Copy { from: A, to: B, files: Files::Single });
            writer.run(10, A, Cmd::Append { list: 1 }, Opts::default());
            writer.run(600_000, B, Cmd::Append { list: 2 }, Opts::default());
            writer.run(600_000, B, Cmd::Append { list: 1 }, Opts::default());
        }),
        plan("corrections_in_a_copy", "5", |draws, setup, writer| {
            setup.rows = draws.small(2, 10);
            let row = draws.small(1, setup.rows);
            writer.after(1, Step::Fate { row, nth: 1, fate: Fate::Is400 }).submit(10, A);
            writer.after(600_000, Step::Copy { from: A, to: B, files: Files::Single });
            writer.run(10, A, Cmd::From { list: 0, swap: false }, Opts::default());
            writer.run(600_000, B, Cmd::From { list: 0, swap: false }, Opts::default());
        }),
        plan("copy_beside_the_running_one", "6", |draws, setup, writer| {
            (setup.rows, setup.per_minute) = (draws.small(20, 30), 6);
            let to = B;
            writer.submit(10, A).after(draws.of(2_000, 9_000), Step::Copy { from: A, to, files: Files::WithLog });
            writer.submit(10, to);
        }),
        plan("copy_beside_the_running_one_on_another_host", "6", |draws, setup, writer| {
            (setup.rows, setup.per_minute) = (draws.small(20, 30), 6);
            let to = A2;
            writer.submit(10, A).after(draws.of(2_000, 9_000), Step::Copy { from: A, to, files: Files::WithLog });
            writer.submit(10, to);
        }),
        plan("stopped_and_overtaken", "7", |draws, setup, writer| {
            (setup.rows, setup.per_minute) = (draws.small(3, 12), draws.pick(&[0, 20, 60]));
            writer.submit(10, A).after(draws.of(10, 9_000), Step::Stop { p: 1 });
            writer.after(200_000, Step::Move { at: A, what: Beside::Lock }).submit(10, A);
            writer.after(900_000, Step::Resume { p: 1 });
        }),
        plan("pilot_and_the_rest", "8a", |draws, setup, writer| {
            setup.rows = draws.small(3, 12);
            let limit = draws.small(1, setup.rows - 1);
            writer.run(10, A, SUBMIT, Opts { limit, ..Opts::default() });
            writer.run(600_000, B, SUBMIT, Opts { already: Already::Skip, ..Opts::default() }).submit(600_000, A);
        }),
        plan("away_at_the_first_start", "8b", |_, _, writer| {
            writer.submit(10, A).after(600_000, Step::Fault { fault: Fault::Away, for_ms: 30_000 });
            writer.run(10, B, SUBMIT, Opts { already: Already::Skip, ..Opts::default() });
            writer.run(600_000, B, SUBMIT, Opts { already: Already::Skip, ..Opts::default() });
        }),
        plan("list_unreadable_at_a_second_ledger", "8c", |draws, _, writer| {
            writer
                .submit(10, A)
                .after(600_000, lists(draws.pick(&[ListFault::Unreadable, ListFault::Odd { every: 1 }])))
                .submit(10, B);
        }),
        plan("clock_ahead_at_a_second_ledger", "8d", |_, _, writer| {
            writer.submit(10, A).after(600_000, Step::WallClock { host: 1, by_s: 60 * 86_400 }).submit(10, B);
        }),
        plan("two_ledgers_at_once", "8e", |draws, setup, writer| {
            setup.per_minute = 60;
            writer.submit(10, A).submit(draws.of(1, 400), B);
        }),
        plan("two_ledgers_at_once_on_two_hosts", "8e", |draws, setup, writer| {
            setup.per_minute = 60;
            writer.submit(10, A).submit(draws.of(1, 400), A2);
        }),
        plan("doubts_exported_and_submitted", "9", |draws, setup, writer| {
            let row = draws.small(1, setup.rows);
            writer.after(1, Step::Fate { row, nth: 1, fate: Fate::CreatedAndLost });
            writer.after(1, lists(ListFault::Forbidden)).submit(10, A);
            writer.after(900_000, Step::Export { at: A, list: 8 });
            writer.run(10, B, Cmd::Submit { list: 8 }, Opts::default());
        }),
        plan("uuid_of_two_rows", "10", |draws, setup, writer| {
            setup.rows = draws.small(2, 10);
            writer
                .submit(10, A)
                .after(draws.of(1, 300), Step::Fault { fault: Fault::SharedUuid, for_ms: draws.of(100, 9_000) });
        }),
        plan("answers_of_two_rows_swapped", "10", |draws, setup, writer| {
            (setup.rows, setup.concurrency, setup.per_minute) = (draws.small(4, 10), 4, 0);
            writer.after(1, Step::Fault { fault: Fault::Swapped, for_ms: LONG }).submit(10, A);
        }),
        plan("gateway_that_repeats", "11", |draws, _, writer| {
            writer
                .after(1, Step::Fault { fault: Fault::Repeated { every: draws.small(1, 3) }, for_ms: LONG })
                .submit(10, A);
        }),
        plan("older_tag_in_front", "12", |draws, setup, writer| {
            setup.rows = draws.small(2, 10);
            let row = draws.small(2, setup.rows);
            writer.after(1, Step::Fate { row, nth: 1, fate: Fate::CreatedAndLost });
            writer.after(1, lists(ListFault::OlderTags { row })).submit(10, A);
        }),
        plan("without_tags_in_a_copy", "13", |draws, setup, writer| {
            let opts = Opts { no_tag: true, ..Opts::default() };
            let n = draws.small(1, setup.rows);
            writer.run_to(10, A, SUBMIT, opts.clone(), Some(Crossing::CallMade(n)));
            writer.after(200_000, Step::Copy { from: A, to: B, files: Files::Single }).run(10, B, SUBMIT, opts);
        }),
        plan("without_tags_and_a_stranger", "13", |draws, setup, writer| {
            setup.rows = draws.small(2, 10);
            let row = draws.small(1, setup.rows);
            writer.after(1, Step::Fate { row, nth: 1, fate: Fate::Lost });
            writer.after(1, Step::Fault { fault: Fault::Slow { by_ms: 3_000 }, for_ms: LONG });
            writer.run(10, A, SUBMIT, Opts { no_tag: true, ..Opts::default() });
            writer.after(draws.of(100, 9_000), Step::Stranger { row, tagged: false });
        }),
        plan("first_rows_in_doubt", "14", |draws, setup, writer| {
            (setup.rows, setup.kinds) = (draws.small(1, 8), 1);
            writer
                .after(
                    1,
                    Step::Fault { fault: Fault::Lost { every: 1, acts_after_ms: 0 }, for_ms: draws.of(1_000, 30_000) },
                )
                .submit(10, A);
        }),
        plan("killed_after_the_first_claim", "14", |draws, _, writer| {
            let at = Crossing::Point("step-committed".to_owned(), draws.small(1, 2));
            writer.run_to(10, A, SUBMIT, Opts::default(), Some(at)).submit(10_000, A);
        }),
        plan("wrong_target_and_no_reading", "14", |draws, setup, writer| {
            setup.rows = draws.small(6, 20);
            let reads = draws.pick(&[
                ReadFault::Reset,
                ReadFault::NotFound,
                ReadFault::Forbidden,
                ReadFault::Fails,
                ReadFault::Odd,
            ]);
            writer.after(1, Step::Fault { fault: Fault::WrongTarget, for_ms: LONG });
            writer.after(1, Step::Fault { fault: Fault::Reads(reads), for_ms: draws.of(2_000, LONG) }).submit(10, A);
        }),
        plan("one_row_that_is_not_found", "15", |draws, setup, writer| {
            setup.rows = draws.small(2, 12);
            let row = draws.small(1, setup.rows);
            writer.after(1, Step::Fate { row, nth: 1, fate: Fate::Is404 }).submit(10, A);
        }),
        plan("correction_stopped_and_repeated", "16", |draws, setup, writer| {
            setup.rows = draws.small(3, 10);
            for row in 1..=setup.rows / 2 + 1 {
                writer.after(1, Step::Fate { row, nth: 1, fate: Fate::Is400 });
            }
            setup.breaker = 25;
            writer.submit(10, A);
            let dies = draws.pick(&[Crossing::CallLeaves(2), Crossing::CallMade(1), Crossing::Answer(1)]);
            writer.run_to(600_000, A, Cmd::From { list: 0, swap: false }, Opts::default(), Some(dies));
        }),
        plan("corrected_targets_exchanged", "16", |_, setup, writer| {
            (setup.rows, setup.kinds, setup.breaker) = (4, 1, 25);
            for row in 1..=2 {
                writer.after(1, Step::Fate { row, nth: 1, fate: Fate::Is500 });
            }
            writer.submit(10, A).run(600_000, A, Cmd::From { list: 0, swap: true }, Opts::default());
        }),
        plan("server_away_and_waited_for", "17", |draws, setup, writer| {
            let (wait, away) = (Opts { wait_s: 600, ..Opts::default() }, draws.of(20_000, 200_000));
            setup.per_minute = 60;
            writer.after(draws.of(1, 4_000), Step::Fault { fault: Fault::Away, for_ms: away });
            writer.at = 0;
            writer.run(draws.of(2, 3_000), A, SUBMIT, wait);
        }),
        plan("twins_that_are_one_call", "21", |_, setup, writer| {
            setup.twin = true;
            writer.submit(10, A);
        }),
    ]
}

/// Writes a history in which a person's word makes a row exist twice: `--already send`, `--trust-list`, a false verdict.
pub(crate) fn canary(which: usize, seed: u64) -> History {
    let mut draws = Draws::new(hash(&[seed, 9, which as u64]));
    let mut setup = setup(&mut draws);
    setup.rows = draws.small(2, 8);
    let mut writer = Writer { at: 0, p: 0, steps: Vec::new() };
    let row = draws.small(1, setup.rows);
    match which {
        0 => {
            writer.submit(10, A).run(600_000, B, SUBMIT, Opts { already: Already::Send, ..Opts::default() });
        }
        1 => {
            writer.after(1, Step::Fate { row, nth: 1, fate: Fate::CreatedAndLost });
            writer.after(1, lists(ListFault::HidesRow { row }));
            writer.run(10, A, SUBMIT, Opts { trust_list: true, ..Opts::default() });
        }
        _ => {
            writer.after(1, Step::Fate { row, nth: 1, fate: Fate::CreatedAndLost });
            writer.after(1, lists(ListFault::Forbidden)).submit(10, A);
            writer.after(900_000, Step::Verdict { at: A, nth: 0, truly: false }).submit(10, A);
        }
    }
    History { seed, shows: None, setup, steps: writer.steps }
}
