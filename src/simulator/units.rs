//! Time spans and paces, as the fault syntax writes them.

use std::time::Duration;

/// The text is no time span.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("\"{text}\" is not a time span; write a whole number and a unit, as 20ms, 5s, 2m or 1h")]
pub struct InvalidSpan {
    text: String,
}

/// The longest span that is taken: a day. It keeps all sums of spans far from overflow.
const LONGEST: Duration = Duration::from_secs(24 * 60 * 60);

/// Reads a whole number with `ms`, `s`, `m` or `h`, at most a day.
pub(crate) fn parse_span(text: &str) -> Result<Duration, InvalidSpan> {
    let invalid = || InvalidSpan { text: text.to_owned() };
    let digits = text.len() - text.trim_start_matches(|c: char| c.is_ascii_digit()).len();
    let (number, unit) = text.split_at(digits);
    let number: u64 = number.parse().map_err(|_| invalid())?;
    let unit_ms = match unit {
        "ms" => 1,
        "s" => 1_000,
        "m" => 60_000,
        "h" => 3_600_000,
        _ => return Err(invalid()),
    };
    let span = number.checked_mul(unit_ms).map(Duration::from_millis).ok_or_else(invalid)?;
    if span > LONGEST { Err(invalid()) } else { Ok(span) }
}

/// A number of calls in a span of time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Pace {
    calls: u32,
    span: Duration,
}

impl Pace {
    /// Reads `60/s`, `100/m` or `10/h`; none for anything else or for 0.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let (calls, unit) = text.split_once('/')?;
        let calls = calls.parse().ok().filter(|calls| *calls > 0)?;
        let seconds = match unit {
            "s" => 1,
            "m" => 60,
            "h" => 3_600,
            _ => return None,
        };
        Some(Self { calls, span: Duration::from_secs(seconds) })
    }

    /// Returns the time between two calls at this pace.
    pub(crate) fn interval(self) -> Duration {
        self.span / self.calls
    }

    /// Returns how many calls this pace lets through in a second, rounded up.
    pub(crate) fn per_second(self) -> u32 {
        let seconds = u32::try_from(self.span.as_secs()).expect("a pace is at most per hour");
        self.calls.div_ceil(seconds)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spans_have_a_unit_and_a_bound() {
        for (text, ms) in [("0ms", 0), ("20ms", 20), ("5s", 5_000), ("2m", 120_000), ("1h", 3_600_000)] {
            assert_eq!(parse_span(text), Ok(Duration::from_millis(ms)), "{text}");
        }
        for bad in ["", "5", "s", "-5s", "1.5s", "5 s", "5d", "25h", "99999999999999999999s", "18446744073709551615h"] {
            let error = parse_span(bad).unwrap_err();
            assert!(error.to_string().starts_with(&format!("\"{bad}\" is not a time span; write")), "{error}");
        }
    }

    #[test]
    fn paces_are_calls_in_a_second_a_minute_or_an_hour() {
        let pace = Pace::parse("60/s").unwrap();
        assert_eq!((pace.interval(), pace.per_second()), (Duration::from_secs(1) / 60, 60));
        let pace = Pace::parse("90/m").unwrap();
        assert_eq!((pace.interval(), pace.per_second()), (Duration::from_secs(60) / 90, 2));
        for bad in ["", "60", "0/s", "60/d", "-1/s", "1.5/s", "/s"] {
            assert_eq!(Pace::parse(bad), None, "{bad}");
        }
    }
}
