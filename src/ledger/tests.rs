//! Tests of the ledger as a whole.

mod agreement;
mod append;
mod detach;
mod load;
mod lookups;
mod migration;
mod model;
mod opening;
mod property;
mod reading;
mod sessions;
mod standing;
mod steps;
mod support;
mod verdicts;
mod view;
