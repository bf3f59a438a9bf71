//! Whole lists against whole ledgers.

mod memory;
mod property;
mod settling;
pub(super) mod support;
mod world;
