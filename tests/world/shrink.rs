//! Shrinking: fewer steps, then fewer rows, then less waiting. What counts was replayed to the same kind of violation.

use crate::oracle::Broken;
use crate::step::{Crossing, Fault, History, ListFault, Step, Timed};
use crate::world;

const MOST_REPLAYS: u32 = 3_000;

struct Shrinker {
    best: History,
    broken: Broken,
    is_strict: bool,
    left: u32,
}

impl Shrinker {
    /// Takes a candidate where it breaks the same.
    fn takes(&mut self, candidate: History) -> bool {
        if self.left == 0 || candidate == self.best {
            return false;
        }
        self.left -= 1;
        let violation = world::run(&candidate, self.is_strict).violation;
        let is_same = violation.is_some_and(|violation| violation.broken == self.broken);
        if is_same {
            self.best = candidate;
        }
        is_same
    }

    fn with_steps(&self, steps: Vec<Timed>) -> History {
        History { steps, ..self.best.clone() }
    }

    /// Deletes halves, quarters and so on, down to single steps.
    fn delete(&mut self) {
        let mut size = self.best.steps.len().div_ceil(2);
        while size > 0 {
            let mut from = 0;
            while from < self.best.steps.len() {
                let mut steps = self.best.steps.clone();
                steps.drain(from..(from + size).min(steps.len()));
                if !self.takes(self.with_steps(steps)) {
                    from += size;
                }
            }
            size = if size == 1 { 0 } else { size.div_ceil(2) };
        }
    }

    fn simplify(&mut self) {
        for rows in 1..self.best.setup.rows {
            let mut less = self.best.clone();
            less.setup.rows = rows;
            less.steps.iter_mut().for_each(|step| keep_within(&mut step.step, rows));
            if self.takes(less) {
                break;
            }
        }
        let changes: [fn(&mut History); 7] = [
            |history| history.setup.kinds = 1,
            |history| history.setup.others = 0,
            |history| history.setup.concurrency = 1,
            |history| history.setup.per_minute = 0,
            |history| history.setup.latency_ms = 20,
            |history| history.setup.twin = false,
            |history| history.setup.breaker = 25,
        ];
        for change in changes {
            let mut simpler = self.best.clone();
            change(&mut simpler);
            self.takes(simpler);
        }
        // Waits are halved, from the last one on.
        for n in (1..self.best.steps.len()).rev() {
            loop {
                let mut sooner = self.best.clone();
                let gap = (sooner.steps[n].at - sooner.steps[n - 1].at) / 2;
                sooner.steps[n..].iter_mut().for_each(|step| step.at -= gap);
                if gap < 1_000 || !self.takes(sooner) {
                    break;
                }
            }
        }
    }
}

/// Keeps the rows that a step names, and where a process dies, within so many rows.
fn keep_within(step: &mut Step, rows: u32) {
    match step {
        Step::Run { dies: Some(dies), .. } => match dies {
            Crossing::CallLeaves(n) | Crossing::CallMade(n) | Crossing::Answer(n) => *n = (*n).min(rows),
            Crossing::ListAsked(n) | Crossing::Object(n) | Crossing::Point(_, n) => *n = (*n).min(rows),
        },
        Step::Fate { row, .. } | Step::Stranger { row, .. } => *row = (*row).min(rows),
        Step::Fault {
            fault: Fault::List(ListFault::HidesRow { row } | ListFault::OlderTags { row } | ListFault::Bare { row }),
            ..
        } => {
            *row = (*row).min(rows);
        }
        _ => {}
    }
}

/// Returns the smallest history found that breaks the same.
pub(crate) fn shrink(history: &History, broken: Broken, is_strict: bool) -> History {
    let mut best = history.clone();
    best.steps.sort_by_key(|step| step.at);
    let mut shrinker = Shrinker { best, broken, is_strict, left: MOST_REPLAYS };
    loop {
        let before = shrinker.best.clone();
        shrinker.delete();
        shrinker.simplify();
        if shrinker.best == before || shrinker.left == 0 {
            return shrinker.best;
        }
    }
}
