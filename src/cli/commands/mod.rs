//! One file for each command.
//!
//! **Owns**: the order in which a command calls the other modules, and what it says at its end.
//!
//! **Must not know**: SQL, HTTP details.
//!
//! **Flow**: takes a resolved configuration; gives a summary or a failure to `cli`.

pub(super) mod check;
pub(super) mod doctor;
pub(super) mod doubt;
pub(super) mod drop;
pub(super) mod export;
pub(super) mod job;
pub(super) mod reconcile;
pub(super) mod replay;
pub(super) mod settle;
pub(super) mod simulate;
pub(super) mod status;
mod stored;
pub(super) mod submit;
pub(super) mod target;
pub(super) mod validate;
