//! The circuit breaker: stops a run when the failures say that the server, not the rows, is at fault.

use std::collections::{BTreeMap, VecDeque};

use crate::request::{ErrorCode, Outcome};

/// When the breaker trips.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BreakerRules {
    /// So many failed calls in a row, without a 201 between.
    pub in_a_row: u32,
    /// The calls that the share is taken of.
    pub window: u32,
    /// The calls before which no share is taken.
    pub window_min: u32,
    /// So many rows of one kind, the first ones, all refused alike; 0 for no such rule.
    pub kind_refusals: u32,
}

impl Default for BreakerRules {
    fn default() -> Self {
        Self { in_a_row: 25, window: 100, window_min: 30, kind_refusals: 25 }
    }
}

/// What made the breaker trip.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Trip {
    /// So many failed calls in a row.
    InARow {
        /// How many.
        failures: u32,
        /// What the last one was.
        last: ErrorCode,
        /// How many there were of each, the most frequent first.
        seen: Vec<(ErrorCode, u32)>,
    },
    /// More than half of the last calls failed.
    Share {
        /// How many failed.
        failures: u32,
        /// Of how many calls.
        calls: u32,
        /// What the last one was.
        last: ErrorCode,
        /// How many there were of each, the most frequent first.
        seen: Vec<(ErrorCode, u32)>,
    },
}

/// How a call counts for the breaker.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Weight {
    Success,
    /// The row's fault: a call that did not fail.
    Answered,
    /// The server's fault.
    Failure(ErrorCode),
    /// 500: in a row it counts, in the share it does not, because a server answers 500 to a row's own faults too.
    ServerError,
    /// 429, 401 and 404: other rules see to these.
    Nothing,
}

fn weigh(outcome: &Outcome) -> Weight {
    let Some(fault) = outcome.fault() else { return Weight::Success };
    match fault.code {
        ErrorCode::Throttled | ErrorCode::NotSignedIn | ErrorCode::ApiNotFound => Weight::Nothing,
        ErrorCode::ServerError => Weight::ServerError,
        ErrorCode::BadRequest | ErrorCode::Forbidden | ErrorCode::Refused => Weight::Answered,
        ErrorCode::ConnectionRefused
        | ErrorCode::NameNotResolved
        | ErrorCode::TlsFailed
        | ErrorCode::NotConnected
        | ErrorCode::BadGateway
        | ErrorCode::Unavailable
        | ErrorCode::GatewayTimeout
        | ErrorCode::NoUri
        | ErrorCode::UnexpectedStatus
        | ErrorCode::Timeout
        | ErrorCode::ConnectionLost
        | ErrorCode::AnswerBroken
        | ErrorCode::LeftOpen
        | ErrorCode::Contradicted
        | ErrorCode::UuidShared => Weight::Failure(fault.code),
    }
}

/// Counts failures and says when to stop.
#[derive(Clone, Debug)]
pub(crate) struct Breaker {
    rules: BreakerRules,
    /// How many calls failed of each code since the last created row.
    in_a_row: BTreeMap<ErrorCode, u32>,
    /// The last calls, with the code of those that failed.
    recent: VecDeque<Option<ErrorCode>>,
    failed_recently: u32,
}

impl Breaker {
    pub(crate) fn new(rules: BreakerRules) -> Self {
        Self { rules, in_a_row: BTreeMap::new(), recent: VecDeque::new(), failed_recently: 0 }
    }

    /// Forgets what was counted.
    pub(crate) fn restart(&mut self) {
        *self = Self::new(self.rules);
    }

    /// Takes the outcome of one call; gives the reason where the run is to stop.
    pub(crate) fn take(&mut self, outcome: &Outcome) -> Option<Trip> {
        match weigh(outcome) {
            Weight::Nothing => None,
            Weight::Success => {
                self.in_a_row.clear();
                self.remember(None);
                None
            }
            Weight::Answered => {
                self.remember(None);
                None
            }
            Weight::ServerError => self.trip_in_a_row(ErrorCode::ServerError),
            Weight::Failure(code) => {
                self.remember(Some(code));
                self.trip_in_a_row(code).or_else(|| self.trip_share(code))
            }
        }
    }

    fn trip_in_a_row(&mut self, last: ErrorCode) -> Option<Trip> {
        *self.in_a_row.entry(last).or_default() += 1;
        let failures = self.in_a_row.values().sum();
        let seen = || by_frequency(self.in_a_row.clone());
        (failures >= self.rules.in_a_row).then(|| Trip::InARow { failures, last, seen: seen() })
    }

    fn trip_share(&self, last: ErrorCode) -> Option<Trip> {
        let calls = u32::try_from(self.recent.len()).unwrap_or(u32::MAX);
        let tripped = calls >= self.rules.window_min && self.failed_recently * 2 > calls;
        tripped.then(|| {
            let mut seen: BTreeMap<ErrorCode, u32> = BTreeMap::new();
            self.recent.iter().flatten().for_each(|code| *seen.entry(*code).or_default() += 1);
            Trip::Share { failures: self.failed_recently, calls, last, seen: by_frequency(seen) }
        })
    }

    fn remember(&mut self, failed: Option<ErrorCode>) {
        self.recent.push_back(failed);
        self.failed_recently += u32::from(failed.is_some());
        if self.recent.len() > self.rules.window as usize
            && let Some(old) = self.recent.pop_front()
        {
            self.failed_recently -= u32::from(old.is_some());
        }
    }
}

fn by_frequency(seen: BTreeMap<ErrorCode, u32>) -> Vec<(ErrorCode, u32)> {
    let mut seen: Vec<_> = seen.into_iter().collect();
    seen.sort_by_key(|(_, n)| std::cmp::Reverse(*n));
    seen
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::request::Fault;

    fn created() -> Outcome {
        Outcome::Created("api/v1.0/requests/a9b4b42c-cc50-4c9b-89d1-bbc0bcd5a099".parse().unwrap())
    }

    fn failed(code: ErrorCode) -> Outcome {
        Outcome::InDoubt(Fault::without_answer(code, ""))
    }

    fn first_trip(outcomes: impl IntoIterator<Item = Outcome>) -> Option<(usize, Trip)> {
        let mut breaker = Breaker::new(BreakerRules::default());
        outcomes.into_iter().enumerate().find_map(|(n, outcome)| breaker.take(&outcome).map(|trip| (n + 1, trip)))
    }

    #[test]
    fn twenty_five_failures_in_a_row_trip_it() {
        for code in [ErrorCode::ServerError, ErrorCode::Unavailable, ErrorCode::Timeout, ErrorCode::ConnectionRefused] {
            let trip = first_trip(std::iter::repeat_with(|| failed(code)).take(40));
            assert_eq!(trip, Some((25, Trip::InARow { failures: 25, last: code, seen: vec![(code, 25)] })));
        }
    }

    #[test]
    fn a_created_row_between_starts_the_count_again() {
        let outcomes = (0..200).map(|n| if n % 20 == 0 { created() } else { failed(ErrorCode::ServerError) });
        assert_eq!(first_trip(outcomes), None);
    }

    #[test]
    fn more_than_half_of_the_last_calls_trips_it_but_500_does_not_count_there() {
        let outcomes = (0..200).map(|n| if n % 3 == 0 { created() } else { failed(ErrorCode::Timeout) });
        let last = ErrorCode::Timeout;
        assert_eq!(
            first_trip(outcomes),
            Some((30, Trip::Share { failures: 20, calls: 30, last, seen: vec![(last, 20)] }))
        );
        let outcomes = (0..2_000).map(|n| if n % 3 == 0 { created() } else { failed(ErrorCode::ServerError) });
        assert_eq!(first_trip(outcomes), None);
    }

    #[test]
    fn a_trip_says_which_failures_there_were() {
        let codes = [ErrorCode::Timeout, ErrorCode::Unavailable, ErrorCode::Timeout];
        let outcomes = (0..40).map(|n| failed(if n == 3 { ErrorCode::ServerError } else { codes[n % 3] }));
        let seen = vec![(ErrorCode::Timeout, 16), (ErrorCode::Unavailable, 8), (ErrorCode::ServerError, 1)];
        assert_eq!(first_trip(outcomes), Some((25, Trip::InARow { failures: 25, last: ErrorCode::Timeout, seen })));
    }

    #[test]
    fn it_is_useful_for_a_wave_of_fifty_rows() {
        // A server that comes and goes: three of five calls in vain, never 25 in a row.
        let outcomes = (0..50).map(|n| if n % 5 < 3 { failed(ErrorCode::Unavailable) } else { created() });
        assert!(matches!(first_trip(outcomes), Some((31, Trip::Share { failures: 19, calls: 31, .. }))));
        // One that went away in the middle.
        let outcomes = (0..50).map(|n| if n < 10 { created() } else { failed(ErrorCode::ConnectionRefused) });
        assert!(matches!(first_trip(outcomes), Some((30..=35, _))));
    }

    #[test]
    fn it_starts_anew_after_an_outage() {
        let mut breaker = Breaker::new(BreakerRules::default());
        for _ in 0..24 {
            assert_eq!(breaker.take(&failed(ErrorCode::Timeout)), None);
        }
        breaker.restart();
        for _ in 0..24 {
            assert_eq!(breaker.take(&failed(ErrorCode::Timeout)), None);
        }
        assert!(breaker.take(&failed(ErrorCode::Timeout)).is_some());
    }

    #[test]
    fn refusals_of_rows_and_throttling_never_trip_it() {
        for code in [ErrorCode::Forbidden, ErrorCode::BadRequest, ErrorCode::Refused, ErrorCode::Throttled] {
            assert_eq!(first_trip(std::iter::repeat_with(|| failed(code)).take(500)), None);
        }
    }

    #[test]
    fn old_failures_leave_the_window() {
        let outcomes = (0..20).map(|_| failed(ErrorCode::Timeout)).chain((0..100).map(|_| created()));
        let outcomes = outcomes.chain((0..24).map(|_| failed(ErrorCode::Timeout)));
        assert_eq!(first_trip(outcomes), None);
    }
}
