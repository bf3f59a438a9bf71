//! Settling rows in doubt against the server's own list of requests.
//!
//! **Owns**: what a request on the server says of a row, when a list proves that a request does not exist, the look for
//! requests of other ledgers.
//!
//! **Must not know**: the terminal, the pace.
//!
//! **Flow**: takes rows in doubt from `ledger` and the server's list from `client`; gives resolutions back to `ledger`, and
//! what it found to `submit` and the CLI.

mod matching;

pub use matching::{Disagreement, disagreements};
