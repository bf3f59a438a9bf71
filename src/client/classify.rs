//! What an answer means for its row.

use crate::request::{ErrorCode, Fault, Outcome, RequestUri};

use super::answer::{Answer, HttpAnswer, TransportFault};
use super::message;

/// What a 503 means.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum On503 {
    /// It may have happened: a proxy answers 503 too when the server died after it had the request.
    #[default]
    InDoubt,
    /// The server did not act (`--resend-503`), for sites where nothing in front of CM makes a 503 of its own.
    NotActedOn,
}

/// Returns what an answer means for its row: the design's table, row by row.
///
/// Two statuses of the 4xx range are not the server's refusal, though every other one is:
///
/// - 407 is a forward proxy's, which sent nothing on: the row is pending, as where the proxy refuses to connect.
/// - 408 and 499 are said by gateways of requests that the server had in whole (Envoy answered 408 to those until it
///   changed to 504: its release notes, `override_request_timeout_by_gateway_timeout`): the row is in doubt. `failed` would
///   say that the request is known not to exist, and replay would send it again.
///
/// ```
/// use cmbatch::client::{Answer, On503, TransportFault, classify};
/// use cmbatch::request::Outcome;
/// let refused = Answer::None { fault: TransportFault::ConnectionRefused, message: "refused".into() };
/// assert!(matches!(classify(&refused, On503::InDoubt), Outcome::Pending(_)));
/// let lost = Answer::None { fault: TransportFault::ConnectionLost, message: "lost".into() };
/// assert!(matches!(classify(&lost, On503::InDoubt), Outcome::InDoubt(_)));
/// ```
pub fn classify(answer: &Answer, unavailable: On503) -> Outcome {
    match answer {
        Answer::Http(answer) if answer.status == 201 => created(answer),
        Answer::Http(answer) => refused(answer, unavailable),
        Answer::None { fault, message } => unanswered(*fault, message),
    }
}

fn unanswered(fault: TransportFault, message: &str) -> Outcome {
    let without = |code| Fault::without_answer(code, message::cut(message));
    match fault {
        TransportFault::ConnectionRefused => Outcome::Pending(without(ErrorCode::ConnectionRefused)),
        TransportFault::NameNotResolved => Outcome::Pending(without(ErrorCode::NameNotResolved)),
        TransportFault::TlsFailed => Outcome::Pending(without(ErrorCode::TlsFailed)),
        TransportFault::NotConnected | TransportFault::ProxyRefused => {
            Outcome::Pending(without(ErrorCode::NotConnected))
        }
        TransportFault::TooLate => Outcome::Pending(without(ErrorCode::Expired)),
        TransportFault::NotSignedIn => Outcome::Pending(without(ErrorCode::NotSignedIn)),
        TransportFault::Timeout => Outcome::InDoubt(without(ErrorCode::Timeout)),
        TransportFault::ConnectionLost => Outcome::InDoubt(without(ErrorCode::ConnectionLost)),
        TransportFault::AnswerBroken { status } => {
            Outcome::InDoubt(Fault { http_status: Some(status), ..without(ErrorCode::AnswerBroken) })
        }
    }
}

fn refused(answer: &HttpAnswer, unavailable: On503) -> Outcome {
    match answer.status {
        401 => Outcome::Pending(fault(answer, ErrorCode::NotSignedIn)),
        // The API's own words are of what the row names; a page, or words about the address, are of what stands where it should be.
        404 if message::is_of_address(&answer.body) => Outcome::Pending(fault(answer, ErrorCode::ApiNotFound)),
        404 => Outcome::Failed(fault(answer, ErrorCode::Refused)),
        407 => Outcome::Pending(fault(answer, ErrorCode::NotConnected)),
        429 => Outcome::Pending(fault(answer, ErrorCode::Throttled)),
        400 => Outcome::Failed(fault(answer, ErrorCode::BadRequest)),
        // A page is what stands before the API, or around it: why it says no is on the page.
        403 if message::is_page(&answer.body) => Outcome::Failed(fault(answer, ErrorCode::Refused)),
        403 => Outcome::Failed(fault(answer, ErrorCode::Forbidden)),
        408 | 499 => Outcome::InDoubt(fault(answer, ErrorCode::UnexpectedStatus)),
        402..=498 => Outcome::Failed(fault(answer, ErrorCode::Refused)),
        500 => Outcome::InDoubt(fault(answer, ErrorCode::ServerError)),
        502 => Outcome::InDoubt(fault(answer, ErrorCode::BadGateway)),
        503 => match unavailable {
            On503::InDoubt => Outcome::InDoubt(fault(answer, ErrorCode::Unavailable)),
            On503::NotActedOn => Outcome::Pending(fault(answer, ErrorCode::Unavailable)),
        },
        504 => Outcome::InDoubt(fault(answer, ErrorCode::GatewayTimeout)),
        _ => Outcome::InDoubt(fault(answer, ErrorCode::UnexpectedStatus)),
    }
}

fn created(answer: &HttpAnswer) -> Outcome {
    let in_body = uri_in_body(&answer.body);
    let in_location = answer.location.as_deref().and_then(|text| text.trim().parse::<RequestUri>().ok());
    match (in_body, in_location) {
        (Some(body), Some(location)) if body.uuid() != location.uuid() => {
            let message =
                format!("the body names request {} and Location names request {}", body.uuid(), location.uuid());
            Outcome::InDoubt(Fault { message, ..fault(answer, ErrorCode::NoUri) })
        }
        // The body is what the page documents; Location is not on it.
        (Some(uri), _) | (None, Some(uri)) => Outcome::Created(uri),
        (None, None) => Outcome::InDoubt(fault(answer, ErrorCode::NoUri)),
    }
}

/// Returns the URI in a 201's body: a JSON string, as the page shows it, or the bare text.
fn uri_in_body(body: &[u8]) -> Option<RequestUri> {
    let text = std::str::from_utf8(body).ok()?;
    let text = text.trim_start_matches('\u{feff}').trim();
    if text.starts_with('"') {
        serde_json::from_str::<String>(text).ok()?.trim().parse().ok()
    } else {
        text.parse().ok()
    }
}

fn fault(answer: &HttpAnswer, code: ErrorCode) -> Fault {
    let message = message::of_answer(answer.status, answer.location.as_deref(), answer.advice.as_deref(), &answer.body);
    let correlation_id = message::correlation_id(&message, &answer.body);
    Fault { code, http_status: Some(answer.status), message, correlation_id }
}

#[cfg(test)]
mod tests;
