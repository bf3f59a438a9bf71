//! The clock that runs during sleep.

use std::time::Duration;

use nix::time::{ClockId, clock_gettime};

/// Returns the time since this machine was started, times of sleep included. It never goes back, and means nothing to another
/// machine or after a restart.
pub fn since_boot() -> Duration {
    #[cfg(target_os = "linux")]
    const CLOCK: ClockId = ClockId::CLOCK_BOOTTIME;
    // On macOS this one goes on during sleep.
    #[cfg(not(target_os = "linux"))]
    const CLOCK: ClockId = ClockId::CLOCK_MONOTONIC;
    // The clock exists on every system that this program is built for.
    clock_gettime(CLOCK).map_or(Duration::ZERO, Duration::from)
}
