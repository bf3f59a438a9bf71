//! One file for each command.
//!
//! **Owns**: the order in which a command calls the other modules, and what it says at its end.
//!
//! **Must not know**: SQL, HTTP details.
//!
//! **Flow**: takes a resolved configuration; gives a summary or a failure to `cli`.

pub(super) mod check;
pub(super) mod export;
pub(super) mod load;
pub(super) mod simulate;
pub(super) mod status;
pub(super) mod submit;
pub(super) mod target;
pub(super) mod validate;
