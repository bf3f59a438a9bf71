//! The points of the ledger's work at which a test can end the process.

/// Ends the process here where a test has armed this point; nothing in a release build.
#[cfg(debug_assertions)]
pub(super) fn point(name: &str) {
    crate::platform::crash::point(name);
}

/// Nothing: the points are for debug builds.
#[cfg(not(debug_assertions))]
pub(super) const fn point(_name: &str) {}
