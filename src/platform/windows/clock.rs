//! The clock that runs during sleep.

use std::sync::OnceLock;
use std::time::{Duration, Instant};

/// How far the clock is when it is first asked, so that a time somewhat before can be written.
const HEAD_START: Duration = Duration::from_secs(24 * 3600);

/// Returns a time that never goes back, times of sleep included: what std counts with here, QueryPerformanceCounter, runs on while the
/// machine sleeps. It means nothing to another process.
pub fn since_boot() -> Duration {
    static FIRST_ASKED: OnceLock<Instant> = OnceLock::new();
    FIRST_ASKED.get_or_init(Instant::now).elapsed() + HEAD_START
}
