//! The points of the ledger's work at which a test can end the process.

/// Ends the process here where a test has armed this point, or unwinds; nothing in a release build.
#[cfg(debug_assertions)]
pub(super) fn point(name: &str) {
    crate::platform::crash::point(name);
}

/// The point `COMMAND-WHEN` of a command.
pub(super) fn point_of(command: &str, when: &str) {
    if cfg!(debug_assertions) {
        point(&format!("{command}-{when}"));
    }
}

/// Nothing: the points are for debug builds.
#[cfg(not(debug_assertions))]
pub(super) const fn point(_name: &str) {}
