//! What became of a run, for people, spreadsheets and scripts.
//!
//! **Owns**: counts and reasons, exports as CSV, JSONL and manifest.
//!
//! **Must not know**: HTTP.
//!
//! **Flow**: takes pages of a `ledger`; gives tables and files to the CLI.

mod columns;
mod export;
mod manifest;
mod status;
mod wrap;

pub use columns::RESULT_COLUMNS;
pub use export::{ExportError, results_csv, results_jsonl};
pub use manifest::{Choice, ChoiceError, Written, manifest_csv};
pub use status::{Counts, Reason, Status, in_words, meaning};
pub use wrap::wrapped;
