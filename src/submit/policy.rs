//! What follows from one outcome: a pure decision.

use std::time::Duration;

use crate::request::{ErrorCode, Outcome};

/// What the pipeline does after one call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Next {
    /// Record the outcome; the row is done for this session.
    Settle,
    /// Nothing was sent: the row waits and is sent again.
    Retry,
    /// Nothing was sent, and the row's attempts are used up: it failed.
    GiveUp,
    /// The server asked the whole run to slow down; the row is sent again and loses no attempt.
    Throttle,
    /// The sign-in was not accepted: renew the credentials once, else stop.
    Renew,
    /// There is no API at this address: stop.
    ApiNotFound,
}

/// Decides what follows from an outcome; `counted_attempts` are the row's earlier ones that count against `max_attempts`.
pub(crate) fn next(outcome: &Outcome, counted_attempts: u32, max_attempts: u32) -> Next {
    match outcome {
        Outcome::Created(_) | Outcome::Failed(_) | Outcome::InDoubt(_) => Next::Settle,
        Outcome::Pending(fault) => match fault.code {
            ErrorCode::Throttled => Next::Throttle,
            ErrorCode::Expired => Next::Retry,
            ErrorCode::NotSignedIn => Next::Renew,
            ErrorCode::ApiNotFound => Next::ApiNotFound,
            ErrorCode::ConnectionRefused
            | ErrorCode::NameNotResolved
            | ErrorCode::TlsFailed
            | ErrorCode::NotConnected
            | ErrorCode::BadRequest
            | ErrorCode::Forbidden
            | ErrorCode::Refused
            | ErrorCode::ServerError
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
            | ErrorCode::UuidShared => {
                if counted_attempts + 1 < max_attempts {
                    Next::Retry
                } else {
                    Next::GiveUp
                }
            }
        },
    }
}

/// What a call says of the pressure on the server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Pressure {
    /// It asks for fewer calls a second: 429, or a 503 that says when to come again.
    Throttled,
    /// It does not keep up with the calls in flight: a time-out (a gateway's too), or a 503 that says no more.
    Crowded,
    /// It keeps up: it said what became of a row.
    Eased,
    /// Nothing.
    Unknown,
}

/// Returns what a call says of the pressure on the server.
pub(crate) fn pressure(outcome: &Outcome, retry_after: Option<Duration>) -> Pressure {
    let Some(fault) = outcome.fault() else { return Pressure::Eased };
    match (fault.code, retry_after) {
        (ErrorCode::Throttled, _) | (ErrorCode::Unavailable, Some(_)) => Pressure::Throttled,
        (ErrorCode::Unavailable, None) | (ErrorCode::Timeout | ErrorCode::GatewayTimeout, _) => Pressure::Crowded,
        (ErrorCode::BadRequest | ErrorCode::Forbidden | ErrorCode::Refused, _) => Pressure::Eased,
        (
            ErrorCode::ConnectionRefused
            | ErrorCode::NameNotResolved
            | ErrorCode::TlsFailed
            | ErrorCode::NotConnected
            | ErrorCode::Expired
            | ErrorCode::NotSignedIn
            | ErrorCode::ApiNotFound
            | ErrorCode::ServerError
            | ErrorCode::BadGateway
            | ErrorCode::NoUri
            | ErrorCode::UnexpectedStatus
            | ErrorCode::ConnectionLost
            | ErrorCode::AnswerBroken
            | ErrorCode::LeftOpen
            | ErrorCode::Contradicted
            | ErrorCode::UuidShared,
            _,
        ) => Pressure::Unknown,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::request::Fault;

    #[test]
    fn throttling_and_crowding_are_told_apart() {
        let fault = |code| Fault::without_answer(code, "");
        let wait = Some(Duration::from_secs(1));
        for (outcome, retry_after, expect) in [
            (Outcome::Pending(fault(ErrorCode::Throttled)), None, Pressure::Throttled),
            (Outcome::InDoubt(fault(ErrorCode::Unavailable)), wait, Pressure::Throttled),
            (Outcome::InDoubt(fault(ErrorCode::Unavailable)), None, Pressure::Crowded),
            (Outcome::Pending(fault(ErrorCode::Unavailable)), None, Pressure::Crowded),
            (Outcome::InDoubt(fault(ErrorCode::Timeout)), None, Pressure::Crowded),
            (Outcome::Failed(fault(ErrorCode::Forbidden)), wait, Pressure::Eased),
            (Outcome::InDoubt(fault(ErrorCode::ServerError)), wait, Pressure::Unknown),
        ] {
            assert_eq!(pressure(&outcome, retry_after), expect, "{outcome:?}");
        }
    }

    #[test]
    fn only_pending_rows_are_sent_again() {
        let fault = |code| Fault::without_answer(code, "");
        for code in ErrorCode::ALL {
            assert_eq!(next(&Outcome::InDoubt(fault(code)), 0, 5), Next::Settle);
            assert_eq!(next(&Outcome::Failed(fault(code)), 0, 5), Next::Settle);
        }
        let cases = [
            (ErrorCode::ConnectionRefused, 0, Next::Retry),
            (ErrorCode::ConnectionRefused, 3, Next::Retry),
            (ErrorCode::ConnectionRefused, 4, Next::GiveUp),
            (ErrorCode::NameNotResolved, 9, Next::GiveUp),
            (ErrorCode::Expired, 99, Next::Retry),
            (ErrorCode::Unavailable, 0, Next::Retry),
            (ErrorCode::Throttled, 0, Next::Throttle),
            (ErrorCode::Throttled, 99, Next::Throttle),
            (ErrorCode::NotSignedIn, 0, Next::Renew),
            (ErrorCode::ApiNotFound, 0, Next::ApiNotFound),
        ];
        for (code, counted, expected) in cases {
            assert_eq!(next(&Outcome::Pending(fault(code)), counted, 5), expected, "{code:?} after {counted}");
        }
    }
}
