//! Settling rows in doubt against the server's own list of requests.
//!
//! **Owns**: what a request on the server says of a row, when a list proves that a request does not exist, the look for
//! requests of other ledgers.
//!
//! **Must not know**: the terminal, the pace.
//!
//! **Flow**: takes rows in doubt from `ledger` and the server's list from `client`; gives resolutions back to `ledger`, and
//! what it found to `submit` and the CLI.

mod absence;
mod ask;
mod book;
mod found;
mod lists;
mod look;
mod matching;
mod proof;
mod report;
mod scan;
mod settle;
mod tagless;
mod untagged;

pub use ask::{Ask, Doubts, Identity, OwnDoubts, Tagging, Trust, Waits, ripe_at};
pub use book::{Book, LedgerBook};
pub use lists::Lists;
pub use look::{Hit, Hits, Look, RunHits, Strangers};
pub use matching::{Disagreement, check_person, disagreements};
pub use proof::{Completeness, Gap, Gaps, Loss};
pub use report::{
    Ambiguity, Ambiguous, Candidate, Double, Doubles, Report, Stray, Strays, WhyLeft, worth_asking_again,
};
pub use settle::{ReconcileError, reconcile};

#[cfg(test)]
mod tests;
