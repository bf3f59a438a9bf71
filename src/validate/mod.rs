//! Rules, and what they find.
//!
//! **Owns**: every rule and its message, diagnostics with file, line and column, duplicates, parallelism by rayon.
//!
//! **Must not know**: HTTP, the ledger.
//!
//! **Flow**: takes the raw rows of `manifest`; gives checked rows, in manifest order, to the CLI, which loads them.
