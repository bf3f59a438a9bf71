//! What was seen of one call.

use std::time::Duration;

use bytes::Bytes;
use jiff::Timestamp;

/// An answer that was read to its end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HttpAnswer {
    /// The status code.
    pub status: u16,
    /// The `Location` header, where there is one and it is text.
    pub location: Option<String>,
    /// `Retry-After`, as a time to wait from now, from seconds or an HTTP date (RFC 9110, 10.2.3).
    pub retry_after: Option<Duration>,
    /// The server's clock when it answered (`Date`), to the second.
    pub date: Option<Timestamp>,
    /// What to do about a 401, from what the server takes and what it was given.
    pub advice: Option<String>,
    /// The body as UTF-8, at most 64 KiB; where what it is coded with is not understood, a sentence that says so.
    pub body: Bytes,
}

/// How a call ended without a whole answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TransportFault {
    /// The server refused the connection. Certain: nothing was sent.
    ConnectionRefused,
    /// The name has no address. Certain: nothing was sent.
    NameNotResolved,
    /// The TLS handshake failed. Certain: nothing was sent.
    TlsFailed,
    /// No connection was made, for another reason. Certain: nothing was sent.
    NotConnected,
    /// The call's time to leave passed before its body was taken. Certain: nothing was sent.
    TooLate,
    /// The proxy does not let this caller through (407). Certain: nothing was sent on.
    ProxyRefused,
    /// There is no sign-in that the server takes. Certain: it did not act.
    NotSignedIn,
    /// The total time-out passed; the request may have been sent.
    Timeout,
    /// The connection was lost; the request may have been sent.
    ConnectionLost,
    /// The answer's head came, its body broke off or was over 64 KiB.
    AnswerBroken {
        /// The status of the head.
        status: u16,
    },
}

/// What was seen of one call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answer {
    /// A whole answer.
    Http(HttpAnswer),
    /// None.
    None {
        /// How it ended.
        fault: TransportFault,
        /// What the HTTP library said, without URL credentials.
        message: String,
    },
}
