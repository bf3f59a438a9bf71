//! One call to the CM REST API.
//!
//! **Owns**: sign-in, TLS, proxies, the wire form of a call, what an answer means.
//!
//! **Must not know**: rates, retries, the ledger.
//!
//! **Flow**: takes a wire body; gives an [`Answer`], and what it means for the row, to `submit`.

mod answer;

pub use answer::{Answer, HttpAnswer, TransportFault};
