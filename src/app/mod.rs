//! Use cases: what can be done with a list, a ledger and a server, as functions from values to values.
//!
//! **Owns**: the order in which a use case calls the other modules, what stands between a list and the first call, how a run
//! ends.
//!
//! **Must not know**: the terminal, how options are written, SQL, HTTP. It prints nothing and asks nobody: a confirmation is a
//! number that is handed in, what to do next is a [`Next`].
//!
//! **Flow**: takes what the options mean and an [`Env`]; gives an [`Ending`], or a [`Failure`] with the way out. `cli` shows both.

mod append;
pub mod check;
mod drop;
mod ending;
mod env;
mod exit;
mod failure;
mod findings;
mod job;
mod known;
mod load;
mod look;
mod mended;
mod next;
mod part;
mod plan;
mod reconcile;
mod replay;
mod settle;
mod state;
mod stopped_by;
mod stored;
mod submit;
#[cfg(test)]
mod testing;
pub(crate) mod words;

pub use check::Checked;
pub use drop::{Drop, Selection, drop_rows};
pub use ending::{Ending, Lead, Sent};
pub use env::Env;
pub use exit::Exit;
pub(crate) use exit::NO_API_REMEDY;
pub use failure::Failure;
pub(crate) use failure::{chain, exit_of};
pub use job::Sending;
pub use look::Already;
pub use next::{Next, Piece};
pub use part::{Ids, Part};
pub use plan::Plan;
pub use reconcile::reconcile;
pub use replay::{Cause, Choice, Corrected, Replay, prepare as prepare_replay};
pub use settle::{Said, check_created, close_findings, doubtful_rows, find_doubtful, record_verdicts};
pub use state::{Note, StateFolder};
pub use stopped_by::StoppedBy;
pub use stored::{check_free, check_started, extra_columns_of, rules_of, wire_of};
pub use submit::{Existing, Prepared, Ready, Submission, prepare as prepare_submit};
