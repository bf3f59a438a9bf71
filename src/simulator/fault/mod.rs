//! What can go wrong on the simulated server, and how it is written.
//!
//! **Owns**: the kinds of fault, the `--fault` syntax, its table for help texts.
//!
//! **Must not know**: HTTP, the store.
//!
//! **Flow**: text in; values that `injector` asks at each stage of a call.

mod error;
mod kind;
mod parse;
mod table;

pub use error::FaultError;
pub(crate) use kind::{
    CallKind, Connection, Delivery, FaultKind, Judgment, Listing, Making, Manner, Refusal, RetryAfter, Scope,
};
pub use parse::Fault;
pub use table::FaultHelp;
