//! cmbatch: a batch request processor for bulk provisioning with Microsoft Identity Manager Certificate Management.
//!
//! Data flows one way:
//!
//! ```text
//! manifest  ->  validate  ->  ledger  ->  submit  ->  ledger  ->  report / export
//! (bytes)      (rows)        (pending)   (attempts)  (outcomes)
//! ```
//!
//! The promise is **never twice, never lost**: nothing is sent before its intent is durable in the ledger, an attempt
//! whose answer was not seen is never resent blindly, and every row is in exactly one state whatever ends the process.

pub mod app;
pub mod cli;
pub mod client;
pub mod event;
pub mod ledger;
pub mod machine;
pub mod manifest;
pub mod platform;
pub mod reconcile;
pub mod report;
pub mod request;
pub mod simulator;
pub mod submit;
pub mod validate;
