//! What the server's list of requests says of a run, and what a list that does not have a request proves.
//!
//! **Owns**: reading a list once, which requests are the run's own and which are other runs', when a list shows that a request
//! does not exist, what a list shows to be wrong.
//!
//! **Must not know**: the terminal, the pace.
//!
//! **Flow**: takes the rows of `ledger` and the server's list from `client`; gives what it found as a [`Report`], and settles rows
//! in the ledger by it.

mod anchors;
mod ask;
mod hits;
mod lists;
mod matching;
mod proof;
mod report;
mod settle;
mod sight;
mod tagless;
#[cfg(test)]
mod tests;

pub use ask::{Asking, DoubtTimes, Identity, OwnDoubts, Probe, Recent, Tagging, Trust, Waits};
pub use hits::{Hit, Hits, RunHits};
pub use lists::{Lists, ServerList};
pub use matching::{Disagreement, check_person, disagreements};
pub use report::{Ambiguity, Audit, Candidate, Double, Firsts, Gap, Loss, Report, Stray, TakenOver, WhyLeft};
pub use settle::look;
