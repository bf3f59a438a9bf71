//! What time it is on the server, by what it said.

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, SystemTime};

use http::header::{self, HeaderMap};
use jiff::{SignedDuration, Timestamp};

use super::error::Kept;

/// How much older than expected a `Date` may be, of several servers behind one name.
const DIFFER: SignedDuration = SignedDuration::from_secs(5);

/// The server's clock as its latest answer showed it. Wall clocks are never compared: how long ago that was is told by the clock
/// that runs during sleep.
#[derive(Debug, Default)]
pub(crate) struct ServerTime(Mutex<Option<(Duration, Timestamp)>>);

impl ServerTime {
    /// Takes the `Date` of an answer to a call that nothing on the way can have answered before.
    pub(crate) fn take(&self, now: Duration, date: Option<Timestamp>) {
        if let Some(date) = date {
            *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some((now, date));
        }
    }

    /// Takes the `Date` of an answer that may have been kept on the way: then it is too early, never too late.
    pub(crate) fn take_later(&self, now: Duration, date: Option<Timestamp>) {
        if date.is_some_and(|date| self.at(now).is_none_or(|known| date > known)) {
            self.take(now, date);
        }
    }

    /// Returns what the server's clock shows at a time; none where it never said.
    fn at(&self, now: Duration) -> Option<Timestamp> {
        let (then, date) = (*self.0.lock().unwrap_or_else(PoisonError::into_inner))?;
        let since = SignedDuration::try_from(now.saturating_sub(then)).ok()?;
        date.saturating_add(since).ok()
    }

    /// Returns whether an answer is none to the call that was `begun` then, but was kept from before.
    pub(crate) fn kept(&self, headers: &HeaderMap, begun: Duration) -> Option<Kept> {
        let age = headers.get(header::AGE).and_then(|age| age.to_str().ok()?.trim().parse().ok());
        if let Some(seconds @ 1..) = age {
            return Some(Kept::Age(seconds));
        }
        let before = self.at(begun)?.duration_since(date_of(headers)?);
        (before > DIFFER).then(|| Kept::Date(before.unsigned_abs()))
    }
}

/// Returns an answer's `Date`.
pub(crate) fn date_of(headers: &HeaderMap) -> Option<Timestamp> {
    let date: SystemTime = httpdate::parse_http_date(headers.get(header::DATE)?.to_str().ok()?.trim()).ok()?;
    Timestamp::try_from(date).ok()
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    fn headers(date: u64, age: Option<&'static str>) -> HeaderMap {
        let date = httpdate::fmt_http_date(SystemTime::UNIX_EPOCH + Duration::from_secs(date));
        let mut headers = HeaderMap::from_iter([(header::DATE, HeaderValue::from_str(&date).unwrap())]);
        headers.extend(age.map(|age| (header::AGE, HeaderValue::from_static(age))));
        headers
    }

    #[test]
    fn an_answer_from_before_the_call_is_known_by_what_the_server_said_earlier() {
        let (time, at) = (ServerTime::default(), Duration::from_secs);
        assert_eq!(time.kept(&headers(5_000, None), at(100)), None, "nothing is known of its clock");
        time.take_later(at(100), date_of(&headers(5_000, None)));
        for (begun, date, expect) in [
            (100, 5_000, None),
            (100, 4_995, None),
            (100, 4_994, Some(Kept::Date(at(6)))),
            (160, 5_060, None),
            (160, 5_000, Some(Kept::Date(at(60)))),
            (160, 9_000, None),
        ] {
            assert_eq!(time.kept(&headers(date, None), at(begun)), expect, "{begun} {date}");
        }
        // An older one changes nothing, unless it is the server's for certain.
        time.take_later(at(100), date_of(&headers(4_000, None)));
        assert!(time.kept(&headers(4_000, None), at(100)).is_some());
        time.take(at(100), date_of(&headers(4_000, None)));
        assert_eq!(time.kept(&headers(4_000, None), at(100)), None);
    }

    #[test]
    fn an_age_says_so_by_itself() {
        let kept = |age| ServerTime::default().kept(&headers(5_000, Some(age)), Duration::ZERO);
        assert_eq!((kept("30"), kept("0"), kept("old")), (Some(Kept::Age(30)), None, None));
    }
}
