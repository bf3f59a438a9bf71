//! What histories are written with: draws from a seed, and steps one behind the other.

use crate::step::{Cmd, Crossing, Opts, Place, Setup, Step, Timed, hash};

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
    pub(crate) fn below(&mut self, end: u64) -> u64 {
        self.n += 1;
        hash(&[self.seed, self.n]) % end.max(1)
    }

    pub(crate) fn of(&mut self, from: u64, to: u64) -> u64 {
        from + self.below(to + 1 - from)
    }

    pub(crate) fn small(&mut self, from: u32, to: u32) -> u32 {
        u32::try_from(self.of(u64::from(from), u64::from(to))).unwrap()
    }

    pub(crate) fn one_in(&mut self, n: u64) -> bool {
        self.below(n) == 0
    }

    pub(crate) fn pick<T: Clone>(&mut self, of: &[T]) -> T {
        of[usize::try_from(self.below(of.len() as u64)).unwrap()].clone()
    }
}

/// A history that is being written.
pub(crate) struct Writer {
    pub(crate) at: u64,
    pub(crate) p: u32,
    pub(crate) steps: Vec<Timed>,
}

pub(crate) const A: Place = Place { host: 1, ledger: 0 };
pub(crate) const B: Place = Place { host: 1, ledger: 1 };
pub(crate) const A2: Place = Place { host: 2, ledger: 0 };

impl Writer {
    pub(crate) fn after(&mut self, ms: u64, step: Step) -> &mut Self {
        self.at += ms;
        self.steps.push(Timed { at: self.at, step });
        self
    }

    pub(crate) fn run(&mut self, ms: u64, at: Place, cmd: Cmd, opts: Opts) -> &mut Self {
        self.run_to(ms, at, cmd, opts, None)
    }

    pub(crate) fn run_to(&mut self, ms: u64, at: Place, cmd: Cmd, opts: Opts, dies: Option<Crossing>) -> &mut Self {
        self.p += 1;
        let p = self.p;
        self.after(ms, Step::Run { p, at, cmd, opts, dies })
    }

    pub(crate) fn submit(&mut self, ms: u64, at: Place) -> &mut Self {
        self.run(ms, at, Cmd::Submit { list: 0 }, Opts::default())
    }
}

/// Draws what does not change in a history.
pub(crate) fn setup(draws: &mut Draws) -> Setup {
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
