//! Rules, and what they find.
//!
//! **Owns**: every rule and its message, diagnostics with file, line and column, duplicates, parallelism by rayon.
//!
//! **Must not know**: HTTP, the ledger.
//!
//! **Flow**: takes the raw rows of `manifest`; gives checked rows, in manifest order, to the CLI, which loads them.

mod rules;

mod rule;

mod quote;

mod diagnostic;
mod finding;

mod damage;
mod guid_cell;
mod lookalike;
mod suggest;

mod cells;
mod columns;
mod data_collection;
mod row;

pub use diagnostic::Diagnostic;
pub use rule::Rule;
pub use rules::{Defaults, ExtraColumns, OnDuplicate, Rules};
