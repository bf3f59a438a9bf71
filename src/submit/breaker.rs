//! The circuit breaker: stops a run when the failures say that the server, not the rows, is at fault.

use std::collections::VecDeque;

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
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Trip {
    /// So many failed calls in a row.
    InARow {
        /// How many.
        failures: u32,
        /// What the last one was.
        last: ErrorCode,
    },
    /// More than half of the last calls failed.
    Share {
        /// How many failed.
        failures: u32,
        /// Of how many calls.
        calls: u32,
        /// What the last one was.
        last: ErrorCode,
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
        | ErrorCode::Contradicted => Weight::Failure(fault.code),
    }
}

/// Counts failures and says when to stop.
#[derive(Clone, Debug)]
pub(crate) struct Breaker {
    rules: BreakerRules,
    in_a_row: u32,
    /// The last calls, true for a failed one.
    recent: VecDeque<bool>,
    failed_recently: u32,
}

impl Breaker {
    pub(crate) fn new(rules: BreakerRules) -> Self {
        Self { rules, in_a_row: 0, recent: VecDeque::new(), failed_recently: 0 }
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
                self.in_a_row = 0;
                self.remember(false);
                None
            }
            Weight::Answered => {
                self.remember(false);
                None
            }
            Weight::ServerError => {
                self.in_a_row += 1;
                self.trip_in_a_row(ErrorCode::ServerError)
            }
            Weight::Failure(code) => {
                self.in_a_row += 1;
                self.remember(true);
                self.trip_in_a_row(code).or_else(|| self.trip_share(code))
            }
        }
    }

    fn trip_in_a_row(&self, last: ErrorCode) -> Option<Trip> {
        (self.in_a_row >= self.rules.in_a_row).then_some(Trip::InARow { failures: self.in_a_row, last })
    }

    fn trip_share(&self, last: ErrorCode) -> Option<Trip> {
        let calls = u32::try_from(self.recent.len()).unwrap_or(u32::MAX);
        let tripped = calls >= self.rules.window_min && self.failed_recently * 2 > calls;
        tripped.then_some(Trip::Share { failures: self.failed_recently, calls, last })
    }

    fn remember(&mut self, failed: bool) {
        self.recent.push_back(failed);
        self.failed_recently += u32::from(failed);
        if self.recent.len() > self.rules.window as usize
            && let Some(old) = self.recent.pop_front()
        {
            self.failed_recently -= u32::from(old);
        }
    }
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
            assert_eq!(trip, Some((25, Trip::InARow { failures: 25, last: code })));
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
        assert_eq!(first_trip(outcomes), Some((30, Trip::Share { failures: 20, calls: 30, last: ErrorCode::Timeout })));
        let outcomes = (0..2_000).map(|n| if n % 3 == 0 { created() } else { failed(ErrorCode::ServerError) });
        assert_eq!(first_trip(outcomes), None);
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
