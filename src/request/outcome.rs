//! What became of one attempt.

use super::ids::{CorrelationId, RequestUri};

/// Why a row was not created, as a stable code: the `error_code` of exports.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum ErrorCode {
    /// The server refused the connection.
    ConnectionRefused,
    /// The host's name has no address.
    NameNotResolved,
    /// The TLS handshake failed.
    TlsFailed,
    /// No connection was made, for another reason (unreachable, connect time-out).
    NotConnected,
    /// The claim on the row was too old when the call was about to leave.
    Expired,
    /// 429.
    Throttled,
    /// 401.
    NotSignedIn,
    /// 404 on the requests route: the API is disabled or the address is wrong.
    ApiNotFound,
    /// 400.
    BadRequest,
    /// 403.
    Forbidden,
    /// Another 4xx.
    Refused,
    /// 500.
    ServerError,
    /// 502.
    BadGateway,
    /// 503.
    Unavailable,
    /// 504.
    GatewayTimeout,
    /// 201 without a usable URI.
    NoUri,
    /// A status that no page of the API names (a redirect among them).
    UnexpectedStatus,
    /// No answer within the time-out.
    Timeout,
    /// The connection was lost after the request may have been sent.
    ConnectionLost,
    /// The answer began and did not end well, or was longer than what is read.
    AnswerBroken,
    /// The process ended (or stopped waiting) before the answer came.
    LeftOpen,
    /// The server has a request with the row's tag whose target or template is another one.
    Contradicted,
    /// The server answered with a request that is another row's.
    UuidShared,
}

impl ErrorCode {
    /// All codes.
    pub const ALL: [Self; 23] = [
        Self::ConnectionRefused,
        Self::NameNotResolved,
        Self::TlsFailed,
        Self::NotConnected,
        Self::Expired,
        Self::Throttled,
        Self::NotSignedIn,
        Self::ApiNotFound,
        Self::BadRequest,
        Self::Forbidden,
        Self::Refused,
        Self::ServerError,
        Self::BadGateway,
        Self::Unavailable,
        Self::GatewayTimeout,
        Self::NoUri,
        Self::UnexpectedStatus,
        Self::Timeout,
        Self::ConnectionLost,
        Self::AnswerBroken,
        Self::LeftOpen,
        Self::Contradicted,
        Self::UuidShared,
    ];

    /// Returns the stable name, as exports and the ledger write it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::ConnectionRefused => "connection-refused",
            Self::NameNotResolved => "name-not-resolved",
            Self::TlsFailed => "tls-failed",
            Self::NotConnected => "not-connected",
            Self::Expired => "claim-expired",
            Self::Throttled => "throttled",
            Self::NotSignedIn => "not-signed-in",
            Self::ApiNotFound => "api-not-found",
            Self::BadRequest => "bad-request",
            Self::Forbidden => "forbidden",
            Self::Refused => "refused",
            Self::ServerError => "server-error",
            Self::BadGateway => "bad-gateway",
            Self::Unavailable => "unavailable",
            Self::GatewayTimeout => "gateway-timeout",
            Self::NoUri => "no-uri",
            Self::UnexpectedStatus => "unexpected-status",
            Self::Timeout => "timeout",
            Self::ConnectionLost => "connection-lost",
            Self::AnswerBroken => "answer-broken",
            Self::LeftOpen => "left-open",
            Self::Contradicted => "contradicted",
            Self::UuidShared => "uuid-shared",
        }
    }

    /// Returns whether the call certainly did not come as far as the server.
    pub const fn is_not_sent(self) -> bool {
        matches!(self, Self::ConnectionRefused | Self::NameNotResolved | Self::TlsFailed | Self::NotConnected)
    }

    /// Returns whether an attempt that ended so says nothing of its row: it did not leave, or the server would not look at it.
    pub const fn is_no_try(self) -> bool {
        self.is_not_sent() || matches!(self, Self::Expired | Self::Throttled | Self::NotSignedIn | Self::ApiNotFound)
    }

    /// Returns the code of this name.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|code| code.as_str() == name)
    }

    /// Returns what the code means, in a person's words.
    pub const fn meaning(self) -> &'static str {
        match self {
            Self::ConnectionRefused => "the server refused the connection; nothing was sent",
            Self::NameNotResolved => "the server's name has no address; nothing was sent",
            Self::TlsFailed => "the secure connection could not be made; nothing was sent",
            Self::NotConnected => "no connection to the server; nothing was sent",
            Self::Expired => "the call was about to leave too late; nothing was sent",
            Self::Throttled => "the server asked to slow down",
            Self::NotSignedIn => "the server did not accept the sign-in",
            Self::ApiNotFound => "no API at this address (disabled, or a wrong address)",
            Self::BadRequest => "the server could not read the request",
            Self::Forbidden => "a right is missing on the template or the target",
            Self::Refused => "the server refused the request",
            Self::ServerError => "the server failed; it may have happened all the same",
            Self::BadGateway => "a proxy lost the server; it may have happened",
            Self::Unavailable => "the server or a proxy was unavailable; it may have happened",
            Self::GatewayTimeout => "a proxy stopped waiting; it may have happened",
            Self::NoUri => "201 without a usable request URI",
            Self::UnexpectedStatus => "an answer that the API does not document",
            Self::Timeout => "no answer in time; it may have happened",
            Self::ConnectionLost => "the connection was lost; it may have happened",
            Self::AnswerBroken => "the answer broke off; it may have happened",
            Self::LeftOpen => "the program ended before the answer came; it may have happened",
            Self::Contradicted => "the server has this row's tag on a request that is not the row's",
            Self::UuidShared => "the server answered with another row's request; the row's own may exist",
        }
    }
}

/// What went wrong in an attempt. `message` is text from outside: at most 4 KiB, never printed unescaped.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fault {
    /// The stable code.
    pub code: ErrorCode,
    /// The HTTP status, where there was an answer.
    pub http_status: Option<u16>,
    /// What the server or the library said.
    pub message: String,
    /// The server's correlation id, where the answer has one.
    pub correlation_id: Option<CorrelationId>,
}

impl Fault {
    /// Returns a fault without answer.
    pub fn without_answer(code: ErrorCode, message: impl Into<String>) -> Self {
        Self { code, http_status: None, message: message.into(), correlation_id: None }
    }
}

/// What became of an attempt: the state that its row goes to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// The request exists.
    Created(RequestUri),
    /// Nothing was created; the row may be sent again by itself.
    Pending(Fault),
    /// Nothing was created, and the row is not sent again by itself.
    Failed(Fault),
    /// It may or may not have been created.
    InDoubt(Fault),
}

impl Outcome {
    /// Returns the fault, where there is one.
    pub const fn fault(&self) -> Option<&Fault> {
        match self {
            Self::Created(_) => None,
            Self::Pending(fault) | Self::Failed(fault) | Self::InDoubt(fault) => Some(fault),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_code_is_found_by_its_name() {
        for code in ErrorCode::ALL {
            assert_eq!(ErrorCode::from_name(code.as_str()), Some(code));
            assert!(!code.meaning().is_empty());
        }
        assert_eq!(ErrorCode::from_name("surprise"), None);
    }
}
