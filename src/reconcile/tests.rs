//! Lists given as values, against real ledgers.

mod absence;
mod audit;
mod found;
mod lags;
mod property;
pub(in crate::reconcile) mod world;
