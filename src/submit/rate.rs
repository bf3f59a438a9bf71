//! The rate, and the pace that keeps it.

use std::fmt;
use std::num::NonZeroU32;
use std::str::FromStr;
use std::time::{Duration, Instant};

use governor::clock::Clock;
use governor::middleware::NoOpMiddleware;
use governor::state::{InMemoryState, NotKeyed};
use governor::{Quota, RateLimiter};

/// How many create calls may start, retries included.
///
/// ```
/// use cmbatch::submit::Rate;
/// let rate: Rate = "120/m".parse().unwrap();
/// assert_eq!(rate.per_second(), Some(2.0));
/// assert_eq!("unlimited".parse::<Rate>().unwrap().per_second(), None);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rate {
    /// So many calls in each period.
    Limited {
        /// How many.
        calls: NonZeroU32,
        /// In which time.
        per: Period,
    },
    /// As fast as the server and `--concurrency` allow.
    Unlimited,
}

/// The time that a rate counts over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Period {
    /// `/s`
    Second,
    /// `/m`
    Minute,
    /// `/h`
    Hour,
}

impl Period {
    const fn duration(self) -> Duration {
        match self {
            Self::Second => Duration::from_secs(1),
            Self::Minute => Duration::from_secs(60),
            Self::Hour => Duration::from_secs(3600),
        }
    }
}

impl Rate {
    /// The default: 50 calls a second.
    pub const DEFAULT: Self = Self::Limited { calls: NonZeroU32::new(50).expect("50 is not 0"), per: Period::Second };

    /// Returns the calls a second, or none where there is no limit.
    pub fn per_second(self) -> Option<f64> {
        match self {
            Self::Limited { calls, per } => Some(f64::from(calls.get()) / per.duration().as_secs_f64()),
            Self::Unlimited => None,
        }
    }

    /// Returns the burst that is used where none is asked for: one hundredth of a second's calls, at least 2.
    ///
    /// A burst of a whole second would double the first second; a burst of 1 loses time at high rates to the
    /// granularity of timers.
    pub fn default_burst(self) -> NonZeroU32 {
        let hundredth = match self {
            Self::Limited { calls, per: Period::Second } => calls.get() / 100,
            Self::Limited { calls, per: Period::Minute } => calls.get() / 6_000,
            Self::Limited { calls, per: Period::Hour } => calls.get() / 360_000,
            Self::Unlimited => 0,
        };
        NonZeroU32::new(hundredth.max(2)).expect("at least 2")
    }
}

impl fmt::Display for Rate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Limited { calls, per: Period::Second } => write!(f, "{calls}/s"),
            Self::Limited { calls, per: Period::Minute } => write!(f, "{calls}/m"),
            Self::Limited { calls, per: Period::Hour } => write!(f, "{calls}/h"),
            Self::Unlimited => f.write_str("unlimited"),
        }
    }
}

/// The text is not a rate.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not a rate: write calls and time, such as 50/s, 120/m or 1000/h (at most 1000000/s), or unlimited")]
pub struct InvalidRate;

impl FromStr for Rate {
    type Err = InvalidRate;

    fn from_str(text: &str) -> Result<Self, InvalidRate> {
        let text = text.trim();
        if text.eq_ignore_ascii_case("unlimited") {
            return Ok(Self::Unlimited);
        }
        let (calls, per) = text.split_once('/').ok_or(InvalidRate)?;
        let calls: NonZeroU32 = calls.trim().parse().map_err(|_| InvalidRate)?;
        let per = match per.trim() {
            "s" | "sec" | "second" => Period::Second,
            "m" | "min" | "minute" => Period::Minute,
            "h" | "hour" => Period::Hour,
            _ => return Err(InvalidRate),
        };
        let rate = Self::Limited { calls, per };
        if rate.per_second().is_some_and(|calls| calls > 1_000_000.0) { Err(InvalidRate) } else { Ok(rate) }
    }
}

/// The runtime's clock, which tests can stop; else the system's monotonic one.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct RuntimeClock;

impl Clock for RuntimeClock {
    type Instant = Instant;

    fn now(&self) -> Instant {
        tokio::time::Instant::now().into_std()
    }
}

/// Lets calls start at a rate: in any window of t seconds at most burst + rate × t of them.
pub(crate) struct Pace<C: Clock<Instant = Instant> + Clone = RuntimeClock> {
    limiter: Option<RateLimiter<NotKeyed, InMemoryState, C, NoOpMiddleware<Instant>>>,
    clock: C,
}

impl Pace {
    pub(crate) fn new(rate: Rate, burst: NonZeroU32) -> Self {
        Self::with_clock(rate, burst, RuntimeClock)
    }
}

impl<C: Clock<Instant = Instant> + Clone> Pace<C> {
    fn with_clock(rate: Rate, burst: NonZeroU32, clock: C) -> Self {
        let limiter = match rate {
            Rate::Unlimited => None,
            Rate::Limited { calls, per } => {
                // At most 1,000,000/s, so the period is never zero.
                let period = per.duration() / calls.get();
                Quota::with_period(period)
                    .map(|quota| RateLimiter::direct_with_clock(quota.allow_burst(burst), clock.clone()))
            }
        };
        Self { limiter, clock }
    }

    /// Lets one call start now, or says how long to wait before asking again.
    pub(crate) fn start(&self) -> Result<(), Duration> {
        match &self.limiter {
            None => Ok(()),
            Some(limiter) => limiter.check().map_err(|not_until| not_until.wait_time_from(self.clock.now())),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rates_are_read_and_written_back() {
        for (text, per_second) in [("50/s", 50.0), ("120/m", 2.0), ("3600/h", 1.0), ("1/h", 1.0 / 3600.0)] {
            let rate: Rate = text.parse().unwrap();
            assert_eq!(rate.per_second(), Some(per_second), "{text}");
            assert_eq!(rate.to_string(), text);
        }
        assert_eq!("Unlimited".parse(), Ok(Rate::Unlimited));
        for bad in ["", "50", "0/s", "-1/s", "1.5/s", "50/d", "50 per second", "/s", "1000001/s", "99999999999/s"] {
            assert_eq!(bad.parse::<Rate>(), Err(InvalidRate), "{bad}");
        }
    }

    #[test]
    fn the_default_burst_is_a_hundredth_of_a_second_and_at_least_two() {
        for (text, burst) in
            [("50/s", 2), ("200/s", 2), ("2000/s", 20), ("120/m", 2), ("60000/m", 10), ("unlimited", 2)]
        {
            assert_eq!(text.parse::<Rate>().unwrap().default_burst().get(), burst, "{text}");
        }
    }

    /// A clock that the test moves by hand.
    #[derive(Clone)]
    struct HandClock(std::sync::Arc<std::sync::Mutex<Instant>>);

    impl Clock for HandClock {
        type Instant = Instant;
        fn now(&self) -> Instant {
            *self.0.lock().unwrap()
        }
    }

    #[test]
    fn no_window_has_more_starts_than_burst_plus_rate_times_its_length() {
        for (rate, burst) in [("50/s", 2u32), ("2000/s", 20), ("7/s", 1), ("120/m", 5)] {
            let rate: Rate = rate.parse().unwrap();
            let begin = Instant::now();
            let clock = HandClock(std::sync::Arc::new(std::sync::Mutex::new(begin)));
            let pace = Pace::with_clock(rate, NonZeroU32::new(burst).unwrap(), clock.clone());
            let mut starts = Vec::new();
            // A timer of 1.3 ms, coarser than the time between calls at 2,000/s.
            for _ in 0..8_000 {
                while pace.start().is_ok() {
                    starts.push(clock.now().duration_since(begin).as_secs_f64());
                }
                *clock.0.lock().unwrap() += Duration::from_micros(1_300);
            }
            let per_second = rate.per_second().unwrap();
            for (first, from) in starts.iter().enumerate() {
                for window in [0.1, 0.5, 1.0, 3.0] {
                    let n = starts[first..].iter().take_while(|at| **at - from < window).count();
                    #[expect(clippy::cast_precision_loss, reason = "small counts")]
                    let n = n as f64;
                    assert!(n <= f64::from(burst) + per_second * window + 1e-6, "{rate}: {n} in {window} s");
                }
            }
            #[expect(clippy::cast_precision_loss, reason = "small counts")]
            let share = starts.len() as f64 / (per_second * 8_000.0 * 0.0013);
            assert!(share > 0.97, "{rate}: only {share} of what the rate allows");
        }
    }
}
