//! How long a row waits before it is sent again.

use std::time::Duration;

/// The longest time of the first wait.
const BASE: Duration = Duration::from_millis(500);
/// The longest time of any wait.
const CAP: Duration = Duration::from_secs(30);

/// Returns the wait after the `failures`-th attempt in vain (from 1): full jitter, so anything from nothing to
/// 0.5 s, 1 s, 2 s, ... and at most 30 s. `random` is any number.
pub(crate) fn delay(failures: u32, random: u64) -> Duration {
    let longest = BASE.saturating_mul(1 << failures.saturating_sub(1).min(16)).min(CAP);
    let micros = u64::try_from(longest.as_micros()).unwrap_or(u64::MAX);
    Duration::from_micros(random % (micros + 1))
}

/// Returns how long the whole run waits after a 429 without `Retry-After`: 1 s, 2 s, 4 s, ... at most 60 s.
pub(crate) fn throttle_delay(throttles_in_a_row: u32) -> Duration {
    Duration::from_secs(1 << throttles_in_a_row.min(6)).min(Duration::from_secs(60))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_grow_and_stay_bounded() {
        for (failures, longest_ms) in [(1, 500), (2, 1_000), (3, 2_000), (7, 30_000), (40, 30_000), (0, 500)] {
            let longest = Duration::from_millis(longest_ms);
            for random in [0, 1, 12_345, u64::MAX, u64::MAX / 3] {
                assert!(delay(failures, random) <= longest);
            }
            assert_eq!(delay(failures, longest_ms * 1_000), longest);
            assert_eq!(delay(failures, 0), Duration::ZERO);
        }
        let waits: Vec<u64> = (0..9).map(|n| throttle_delay(n).as_secs()).collect();
        assert_eq!(waits, [1, 2, 4, 8, 16, 32, 60, 60, 60]);
    }
}
