//! Rules, and what they find.
//!
//! **Owns**: every rule and its message, diagnostics with file, line and column, duplicates, parallelism by rayon.
//!
//! **Must not know**: HTTP, the ledger.
//!
//! **Flow**: takes the raw rows of `manifest`; gives checked rows, in manifest order, to the CLI, which loads them.

// What is asked, and what is said.
mod diagnostic;
mod finding;
mod quote;
mod rule;
mod rules;

// One cell.
mod damage;
mod guid_cell;
mod lookalike;
mod suggest;

// One row.
mod cells;
mod columns;
mod data_collection;
mod fault;
mod row;

mod build;

// All rows.
mod chunk;
mod duplicates;
mod key_hash;
mod pass;

mod checked;
mod original;

mod survey;

mod deliver;

// Files about rows.
mod errors_file;
mod rejects;

pub use checked::{CheckedRow, InvalidRow, ValidRow};
pub use deliver::{DeliverError, deliver};
pub use diagnostic::Diagnostic;
pub use errors_file::ErrorsWriter;
pub use original::Original;
pub use rejects::{RejectsError, RejectsWriter};
pub use rule::Rule;
pub use rules::{Defaults, ExtraColumns, OnDuplicate, Rules, RulesError};
pub use survey::{PartDigest, Phase, Progress, Survey, ValidateError, survey};

#[cfg(test)]
mod test_helpers;
#[cfg(test)]
mod tests;
