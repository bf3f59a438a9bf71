//! Tests of the ledger as a whole.

mod load;
mod opening;
mod property;
mod reading;
mod sessions;
mod steps;
mod support;
mod view;
