//! The points of the ledger's work at which a test can end the process.

/// Ends the process here where a test has armed this point, or unwinds; nothing in a release build.
#[cfg(debug_assertions)]
pub(super) fn point(name: &str) {
    crate::platform::crash::point(name);
}

/// The point before a command is committed: `NAME-before-commit`.
pub(super) fn before_commit(command: &str) {
    if cfg!(debug_assertions) {
        point(&format!("{command}-before-commit"));
    }
}

/// The point after that: `NAME-committed`.
pub(super) fn committed(command: &str) {
    if cfg!(debug_assertions) {
        point(&format!("{command}-committed"));
    }
}

/// Nothing: the points are for debug builds.
#[cfg(not(debug_assertions))]
pub(super) const fn point(_name: &str) {}
