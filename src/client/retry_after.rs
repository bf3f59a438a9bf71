//! `Retry-After` as a time to wait.

use std::time::{Duration, SystemTime};

/// The longest wait that is believed: a day. Longer ones are cut, so that nothing overflows on them.
const LONGEST: Duration = Duration::from_hours(24);

/// Reads `Retry-After` (RFC 9110, 10.2.3): seconds, or an HTTP date in any of its three forms. The date is compared with
/// the answer's own `Date` where that can be read, else with this machine's clock, which may be wrong. A date in the past
/// is no wait; anything else is none.
pub(crate) fn parse(value: &str, date: Option<&str>, now: SystemTime) -> Option<Duration> {
    let value = value.trim();
    if !value.is_empty() && value.bytes().all(|byte| byte.is_ascii_digit()) {
        // Digits that do not fit are more than a day too.
        let seconds = value.parse().unwrap_or(u64::MAX);
        return Some(Duration::from_secs(seconds).min(LONGEST));
    }
    let until = httpdate::parse_http_date(value).ok()?;
    let now = date.and_then(|date| httpdate::parse_http_date(date.trim()).ok()).unwrap_or(now);
    Some(until.duration_since(now).unwrap_or_default().min(LONGEST))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn seconds_and_dates_are_read_and_nothing_else() {
        let now = httpdate::parse_http_date("Sun, 06 Nov 1994 08:49:07 GMT").unwrap();
        let seconds = |n| Some(Duration::from_secs(n));
        for (value, expect) in [
            ("0", seconds(0)),
            (" 120 ", seconds(120)),
            ("99999999999999999999999", Some(LONGEST)),
            ("Sun, 06 Nov 1994 08:49:37 GMT", seconds(30)),
            ("Sunday, 06-Nov-94 08:49:37 GMT", seconds(30)),
            ("Sun Nov  6 08:49:37 1994", seconds(30)),
            ("Sun, 06 Nov 1994 08:00:00 GMT", seconds(0)),
            ("Sat, 06 Nov 2094 08:00:00 GMT", Some(LONGEST)),
            ("-1", None),
            ("1.5", None),
            ("+3", None),
            ("", None),
            ("soon", None),
        ] {
            assert_eq!(parse(value, None, now), expect, "{value:?}");
        }
    }

    #[test]
    fn the_servers_own_date_wins_over_this_machines_clock() {
        let wrong = SystemTime::UNIX_EPOCH;
        let date = Some("Sun, 06 Nov 1994 08:49:07 GMT");
        assert_eq!(parse("Sun, 06 Nov 1994 08:49:37 GMT", date, wrong), Some(Duration::from_secs(30)));
        assert_eq!(parse("Sun, 06 Nov 1994 08:49:37 GMT", Some("yesterday"), wrong), Some(LONGEST));
    }
}
