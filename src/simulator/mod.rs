//! An embedded CM server with scripted faults, for rehearsals and tests.
//!
//! **Owns**: the routes, the life of a request, faults, the log of arrivals.
//!
//! **Must not know**: anything of this crate but `request`.
//!
//! **Flow**: takes a script; serves HTTP on loopback until it is stopped.
