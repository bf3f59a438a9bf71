//! Points at which a test ends the process, as a crash would. Debug builds only.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, Ordering};

static ARMED: OnceLock<Armed> = OnceLock::new();

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

/// Ends the process at once where this point is armed and its turn has come: nothing is written, closed or dropped.
pub fn point(name: &str) {
    if let Some(armed) = ARMED.get()
        && armed.point == name
        && armed.left.fetch_sub(1, Ordering::Relaxed) == 1
    {
        std::process::abort();
    }
}
