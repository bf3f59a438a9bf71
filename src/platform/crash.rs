//! What tests need to show that the ledger is durable: points at which the process ends as by a crash, and a way to leave
//! syncs out, so that a test can be seen to notice that. Debug builds only.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, Ordering};

static ARMED: OnceLock<Armed> = OnceLock::new();
static SYNCHRONOUS: OnceLock<String> = OnceLock::new();

struct Armed {
    point: String,
    /// How often the point is passed before the process ends there.
    left: AtomicU32,
}

/// Arms a point, once: `NAME` or `NAME:N`, the N-th time (from 1) that it is come to.
pub fn arm(text: &str) {
    let (point, number) = text.split_once(':').unwrap_or((text, "1"));
    let left = AtomicU32::new(number.parse().unwrap_or(1));
    // Armed twice, the first one stays.
    let _ = ARMED.set(Armed { point: point.to_owned(), left });
}

/// Sets SQLite's `synchronous` for the ledgers of this process, once: `OFF`.
pub fn set_synchronous(level: &str) {
    let _ = SYNCHRONOUS.set(level.to_owned());
}

/// Returns whether syncs are to be left out.
pub fn leaves_out_syncs() -> bool {
    SYNCHRONOUS.get().is_some_and(|level| level == "OFF")
}

/// Ends the process at once where this point is armed and its turn has come: nothing is written, closed or dropped.
pub fn point(name: &str) {
    if let Some(armed) = ARMED.get()
        && armed.point == name
        && armed.left.fetch_sub(1, Ordering::Relaxed) == 1
    {
        std::process::abort();
    }
}
