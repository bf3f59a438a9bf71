//! What follows from one outcome: a pure decision.

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
            | ErrorCode::Contradicted => {
                if counted_attempts + 1 < max_attempts {
                    Next::Retry
                } else {
                    Next::GiveUp
                }
            }
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::request::Fault;

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
