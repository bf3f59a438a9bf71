//! What differs by operating system.
//!
//! **Owns**: file locks, private files, folder syncs, the kind of a file system, names of user and host.
//!
//! **Must not know**: anything of this crate.
//!
//! **Flow**: small functions that `ledger`, `report` and `cli` call.
