//! Tests of the ledger as a whole.

mod agreement;
mod append;
#[cfg(debug_assertions)]
mod crashes;
mod detach;
mod findings;
mod guard;
mod left_out;
mod load;
mod lookups;
mod model;
mod opening;
mod property;
mod reading;
mod sessions;
mod steps;
mod support;
mod uuids;
mod verdicts;
mod view;
