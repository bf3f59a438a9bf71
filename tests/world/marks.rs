//! What must happen in the world, counted: a world in which a thing never happens proves nothing about it.

use std::collections::BTreeMap;

use crate::step::Fault;

/// How often what happened.
#[derive(Clone, Debug, Default)]
pub(crate) struct Marks(pub(crate) BTreeMap<String, u64>);

impl Marks {
    pub(crate) fn hit(&mut self, what: &str) {
        *self.0.entry(what.to_owned()).or_default() += 1;
    }

    /// A fault that took effect, by its name without its numbers.
    pub(crate) fn hit_fault(&mut self, at: &str, fault: &Fault) {
        let name = format!("{fault:?}");
        let name: String = name.chars().take_while(|c| *c != '{').collect();
        self.hit(&format!("{at}: {}", name.trim()));
    }

    pub(crate) fn add(&mut self, other: &Self) {
        for (what, n) in &other.0 {
            *self.0.entry(what.clone()).or_default() += n;
        }
    }
}

/// What must happen in each run of the short form.
pub(crate) const MUST: &[&str] = &[
    "call: away",
    "call: Fails",
    "call: Lost",
    "call: RefusesKind",
    "call: Repeated",
    "call: Throttled",
    "call: shared uuid",
    "call: swapped",
    "claim: seen in a copy",
    "excuse: AtOnce",
    "excuse: Denied",
    "excuse: Hidden",
    "excuse: NoTags",
    "excuse: Person",
    "excuse: Repeated",
    "excuse: Unseen",
    "exit 0",
    "exit 1",
    "exit 2",
    "exit 4",
    "exit 6",
    "exit 8",
    "exit 130",
    "fate: CreatedAndLost",
    "fate: Is",
    "fate: Lost",
    "fate: Repeated",
    "list, told: List(CutNew",
    "list, told: List(CutOld",
    "list, told: List(HidesEvery",
    "list, told: List(HidesRow",
    "list, told: List(Lags",
    "list, told: List(OtherAccountsOnly)",
    "list, told: List(Repeats)",
    "list, told: List(Since",
    "list, told: List(WithoutKind",
    "list: 403",
    "list: 503",
    "list: List(Bare",
    "list: List(CutsComments",
    "list: List(Odd",
    "list: List(OlderTags",
    "list: List(Trickles)",
    "list: read",
    "process: died at a crossing",
    "process: killed",
    "process: overtaken while stopped",
    "process: stopped",
    "read: Fails",
    "read: Forbidden",
    "read: NotFound",
    "read: Odd",
    "read: Reset",
    "step: Carry",
    "step: Clone",
    "step: Copy",
    "step: Export",
    "step: Interrupt",
    "step: Move",
    "step: Power",
    "step: PutBack",
    "step: Revert",
    "step: Verdict",
];

/// What need not happen in each run of the short form, and why.
pub(crate) const RARE: &[(&str, &str)] = &[
    ("exit 6", "takes a fate of 404 that meets a row's call"),
    ("process: overtaken while stopped", "takes a lock moved away at the right moment"),
    ("call: swapped", "takes two calls in flight together during one episode"),
];
