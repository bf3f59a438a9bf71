//! The kinds of fault, by the stage of a call at which they act.

use std::fmt;
use std::time::Duration;

use http::StatusCode;

use crate::request::{Guid, RequestType};
use crate::simulator::chance::Share;
use crate::simulator::script::LatencyRange;
use crate::simulator::units::Pace;

/// What a call asks for, as far as faults are concerned.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum CallKind {
    /// POST a request.
    Create,
    /// GET the list of requests.
    List,
    /// GET one request.
    Get,
    /// PUT a request.
    Put,
    /// Any other route of the API.
    Other,
}

/// Which calls a fault looks at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Scope {
    /// One kind alone.
    Only(CallKind),
    /// All routes of the API.
    Any,
}

impl Scope {
    /// The scopes that can be written before a fault.
    pub(crate) const NAMES: [(&'static str, Self); 5] = [
        ("create", Self::Only(CallKind::Create)),
        ("list", Self::Only(CallKind::List)),
        ("get", Self::Only(CallKind::Get)),
        ("put", Self::Only(CallKind::Put)),
        ("any", Self::Any),
    ];

    /// Returns whether a call of this kind is looked at.
    pub(crate) fn covers(self, call: CallKind) -> bool {
        match self {
            Self::Only(kind) => kind == call,
            Self::Any => true,
        }
    }
}

/// The `Retry-After` header of an answer, in either form of RFC 9110, 10.2.3.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum RetryAfter {
    /// None.
    Absent,
    /// Seconds.
    Seconds(u32),
    /// A date so many seconds from now.
    Date(u32),
}

/// The token that a simulated sign-in asks for.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Token(String);

impl Token {
    pub(crate) fn new(text: &str) -> Self {
        Self(text.to_owned())
    }

    /// Returns whether this `Authorization` header carries the token.
    pub(crate) fn opens(&self, authorization: &[u8]) -> bool {
        let Some((scheme, rest)) = authorization.split_at_checked(7) else { return false };
        scheme.eq_ignore_ascii_case(b"Bearer ") && rest.trim_ascii() == self.0.as_bytes()
    }
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Token([redacted])")
    }
}

/// The call is refused before the server acts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Refusal {
    /// With this status.
    Status { status: StatusCode, retry_after: RetryAfter },
    /// The connection is closed instead.
    Drop,
    /// With a proxy's sign-in page: 200 and HTML.
    Html,
    /// With the 404 of a site where the API is not enabled.
    ApiDisabled,
    /// With 401 and a challenge.
    Unauthorized,
    /// With 401 unless the call carries this bearer token.
    Token(Token),
    /// With 429 above this pace.
    Throttle { pace: Pace, burst: u32, retry_after: Option<RetryAfter> },
}

/// The server looks at what is asked and says no.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Judgment {
    /// 403 for this type.
    ForbidType(RequestType),
    /// 403 for this template.
    ForbidTemplate(Guid),
    /// 403 for this target.
    ForbidTarget(Guid),
    /// 500 for a share of all targets, when they are to be revoked.
    AlreadyRevoked(Share),
}

/// The request is made, but not as asked, or with a fate of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Making {
    /// Its comment is cut at so many characters.
    CommentLimit(usize),
    /// It will be Denied where it would be Approved.
    Deny,
    /// It will be Failed where it would be Completed.
    Fail,
}

/// The server acted, and its answer does not arrive as it should.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Delivery {
    /// Another status instead.
    Status { status: StatusCode, retry_after: RetryAfter },
    /// The connection is closed instead.
    Drop,
    /// Half of the body, then the connection is closed.
    Truncate,
    /// 201 with something that is no URI.
    Garbage,
    /// 201 without a body.
    Empty,
    /// 201 with `null`.
    Null,
    /// 201 without a body, the URI in `Location`.
    LocationOnly,
    /// 201 with the form of the URI that the enrollment walkthrough shows.
    RootedUri,
}

/// How the call takes its course, whatever its answer is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Manner {
    /// A wait before the server acts.
    Latency(LatencyRange),
    /// A wait after it acted.
    AnswerDelay(LatencyRange),
    /// The body comes a byte at a time, with this pause between.
    Slow(Duration),
    /// The connection is closed after the answer, without notice.
    HangUp,
}

/// What is wrong with the list of requests.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Listing {
    /// A share of the requests is missing, always the same ones.
    Hides(Share),
    /// Requests younger than this are missing.
    Lags(Duration),
}

/// What happens to connections.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Connection {
    /// When so many create calls were acted on, the server goes away for a time.
    Reboot { after: u64, down: Duration },
    /// Idle connections are closed after this time.
    CloseIdle(Duration),
}

/// A kind of fault.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum FaultKind {
    /// Refused before the server acts.
    Refuse(Refusal),
    /// Looked at and refused.
    Judge(Judgment),
    /// Made otherwise.
    Make(Making),
    /// Answered otherwise.
    Deliver(Delivery),
    /// Slowly, or with an end of the connection.
    Manner(Manner),
    /// A wrong list.
    List(Listing),
    /// Connections.
    Connection(Connection),
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_opens_with_the_bearer_scheme_alone_and_is_not_shown() {
        let token = Token::new("made-up");
        for opens in ["Bearer made-up", "bearer made-up", "BEARER  made-up "] {
            assert!(token.opens(opens.as_bytes()), "{opens}");
        }
        for closed in ["", "Bearer", "Bearer ", "Bearer made-u", "Bearer made-up2", "Basic made-up", "made-up"] {
            assert!(!token.opens(closed.as_bytes()), "{closed}");
        }
        assert_eq!(format!("{token:?}"), "Token([redacted])");
    }
}
