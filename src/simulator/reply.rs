//! What a call is answered with, before it takes the form of HTTP.

use std::time::Duration;

use bytes::Bytes;
use http::{HeaderName, HeaderValue, StatusCode, header};
use jiff::Timestamp;
use serde::Serialize;

use super::fault::{Delivery, RetryAfter};
use super::injector::{Judged, Refused};
use super::objects::json;
use super::store::Filter;
use crate::request::{Guid, RequestUuid};

/// What becomes of the connection of a call.
#[derive(Debug)]
pub(crate) enum Reply {
    /// It carries an answer.
    Answer(Answer),
    /// It is closed.
    Close,
    /// The whole server goes away for this time.
    Reboot(Duration),
}

/// An answer.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) headers: Vec<(HeaderName, HeaderValue)>,
    pub(crate) content: Content,
    pub(crate) length: Length,
}

/// How much of an answer is sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Length {
    Whole,
    /// Half of the body; then the connection is closed.
    Half,
}

/// The body of an answer.
#[derive(Debug)]
pub(crate) enum Content {
    Nothing,
    Json(Bytes),
    /// A page by something else than CM: IIS, or a proxy before it.
    Html(&'static str),
    /// The requests that a filter shows, from a place on and before another.
    Requests {
        filter: Filter,
        from: usize,
        end: usize,
    },
    /// The log of arrivals.
    Arrivals,
}

/// The shape of error messages. No page shows it: only that a correlation id stands in the message of a 500.
#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Message<'a> {
    message: &'a str,
}

impl Answer {
    pub(crate) fn new(status: StatusCode, content: Content) -> Self {
        Self { status, headers: Vec::new(), content, length: Length::Whole }
    }

    /// 200 with JSON.
    pub(crate) fn json(body: Vec<u8>) -> Self {
        Self::new(StatusCode::OK, Content::Json(body.into()))
    }

    /// 204: there is nothing of that name. No page explains when it is used; *chosen* for a single object that does not
    /// exist and for an empty list.
    pub(crate) fn nothing() -> Self {
        Self::new(StatusCode::NO_CONTENT, Content::Nothing)
    }

    /// An error with a message.
    pub(crate) fn message(status: StatusCode, text: &str) -> Self {
        Self::new(status, Content::Json(json(&Message { message: text }).into()))
    }

    /// 500 with a correlation id, and why where there is something to say. The form is invented.
    pub(crate) fn internal_error(why: Option<&str>) -> Self {
        let id = Guid::random();
        let text = match why {
            Some(why) => format!("An error has occurred: {why}. Correlation id: {id}"),
            None => format!("An error has occurred. Correlation id: {id}"),
        };
        Self::message(StatusCode::INTERNAL_SERVER_ERROR, &text)
    }

    /// 201 with the URI as a JSON string, and no `Location`: as published.
    pub(crate) fn created(uuid: RequestUuid) -> Self {
        Self::new(StatusCode::CREATED, Content::Json(json(&created_uri(uuid)).into()))
    }

    fn with_header(mut self, name: HeaderName, value: HeaderValue) -> Self {
        self.headers.push((name, value));
        self
    }

    fn with_retry_after(self, retry_after: RetryAfter) -> Self {
        let value = match retry_after {
            RetryAfter::Absent => return self,
            RetryAfter::Seconds(seconds) => HeaderValue::from(seconds),
            RetryAfter::Date(seconds) => http_date(seconds),
        };
        self.with_header(header::RETRY_AFTER, value)
    }

    /// An answer of this status in place of the real one. 500 comes from CM; 502 to 504 from a proxy.
    fn instead(status: StatusCode, retry_after: RetryAfter) -> Self {
        let answer = match status {
            StatusCode::INTERNAL_SERVER_ERROR => Self::internal_error(None),
            StatusCode::UNAUTHORIZED => Self::challenge("Negotiate"),
            StatusCode::BAD_GATEWAY | StatusCode::SERVICE_UNAVAILABLE | StatusCode::GATEWAY_TIMEOUT => {
                Self::new(status, Content::Html(PROXY_PAGE))
            }
            StatusCode::NO_CONTENT | StatusCode::RESET_CONTENT => Self::new(status, Content::Nothing),
            _ if status.is_redirection() => Self::new(status, Content::Nothing)
                .with_header(header::LOCATION, HeaderValue::from_static("/CertificateManagement/elsewhere")),
            _ => Self::message(status, status.canonical_reason().unwrap_or("Error")),
        };
        answer.with_retry_after(retry_after)
    }

    /// 401 by IIS.
    fn challenge(scheme: &'static str) -> Self {
        Self::new(StatusCode::UNAUTHORIZED, Content::Html(UNAUTHORIZED_PAGE))
            .with_header(header::WWW_AUTHENTICATE, HeaderValue::from_static(scheme))
    }

    /// 404 by IIS: no route is mapped here.
    pub(crate) fn not_mapped() -> Self {
        Self::new(StatusCode::NOT_FOUND, Content::Html(NOT_FOUND_PAGE))
    }
}

const PROXY_PAGE: &str = "<html><head><title>Error</title></head><body>The server did not answer.</body></html>";
const SIGN_IN_PAGE: &str = "<html><head><title>Sign in</title></head><body>Sign in to go on.</body></html>";
const UNAUTHORIZED_PAGE: &str =
    "<html><head><title>401</title></head><body>401 - Unauthorized: Access is denied.</body></html>";
const NOT_FOUND_PAGE: &str =
    "<html><head><title>404</title></head><body>404 - File or directory not found.</body></html>";

impl From<Refused> for Reply {
    fn from(refused: Refused) -> Self {
        match refused {
            Refused::Status { status, retry_after } => Self::Answer(Answer::instead(status, retry_after)),
            Refused::Drop => Self::Close,
            Refused::Html => Self::Answer(Answer::new(StatusCode::OK, Content::Html(SIGN_IN_PAGE))),
            Refused::ApiDisabled => Self::Answer(Answer::not_mapped()),
            Refused::Challenge(scheme) => Self::Answer(Answer::challenge(scheme)),
        }
    }
}

impl From<Judged> for Answer {
    fn from(judged: Judged) -> Self {
        match judged {
            Judged::Forbidden => {
                Self::message(StatusCode::FORBIDDEN, "You do not have the permission to create this request.")
            }
            Judged::AlreadyRevoked => Self::internal_error(Some("The certificate has already been revoked")),
        }
    }
}

/// Returns what is sent for a request that was created, where the answer goes wrong.
pub(crate) fn delivered(uuid: RequestUuid, delivery: Delivery) -> Reply {
    let created = |content| Answer::new(StatusCode::CREATED, content);
    Reply::Answer(match delivery {
        Delivery::Status { status, retry_after } => Answer::instead(status, retry_after),
        Delivery::Drop => return Reply::Close,
        Delivery::Truncate => Answer { length: Length::Half, ..Answer::created(uuid) },
        Delivery::Garbage => created(Content::Json(Bytes::from_static(b"\"Your request was created.\""))),
        Delivery::Empty => created(Content::Nothing),
        Delivery::Null => created(Content::Json(Bytes::from_static(b"null"))),
        Delivery::LocationOnly => {
            let uri = HeaderValue::try_from(rooted_uri(uuid)).expect("a GUID is ASCII");
            created(Content::Nothing).with_header(header::LOCATION, uri)
        }
        Delivery::RootedUri => created(Content::Json(json(&rooted_uri(uuid)).into())),
    })
}

/// Relative and without a leading slash, as published.
fn created_uri(uuid: RequestUuid) -> String {
    format!("api/v1.0/requests/{uuid}")
}

fn rooted_uri(uuid: RequestUuid) -> String {
    format!("/CertificateManagement/{}", created_uri(uuid))
}

/// Writes a date as RFC 9110, 5.6.7 wants it. The time is rounded up, so that no one comes too early.
fn http_date(seconds: u32) -> HeaderValue {
    let at = Timestamp::now().as_second().saturating_add(1 + i64::from(seconds));
    let at = Timestamp::from_second(at).unwrap_or(Timestamp::MAX);
    let text = at.strftime("%a, %d %b %Y %H:%M:%S GMT").to_string();
    HeaderValue::try_from(text).expect("a date is ASCII")
}
