//! Whole lists against whole ledgers.

mod memory;
mod property;
mod real;
mod settling;
pub(super) mod support;
mod world;
