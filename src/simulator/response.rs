//! The HTTP form of an answer: whole, in the middle broken off, or a byte at a time.

use std::convert::Infallible;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use axum::response::Response;
use bytes::Bytes;
use futures_util::stream::unfold;
use http::{HeaderValue, header};
use tokio::task::yield_now;
use tokio::time::sleep;

use super::injector::Course;
use super::objects::write_request;
use super::reply::{Answer, Content, Length};
use super::server::Shared;
use super::store::{Filter, Visit};
use super::wire::Wire;

const JSON: HeaderValue = HeaderValue::from_static("application/json");
const HTML: HeaderValue = HeaderValue::from_static("text/html");

/// Returns what stands for the answer on a connection that was cut; it is never sent.
pub(crate) fn empty_response() -> Response {
    Response::new(Body::empty())
}

/// Returns the response for an answer.
pub(crate) fn respond(answer: Answer, course: Course, shared: &Arc<Shared>, wire: &Arc<Wire>) -> Response {
    let Answer { status, headers, content, length } = answer;
    let (kind, content) = match content {
        Content::Nothing => (None, Sent::Bytes(Bytes::new())),
        Content::Json(bytes) => (Some(JSON), Sent::Bytes(bytes)),
        Content::Html(page) => (Some(HTML), Sent::Bytes(Bytes::from_static(page.as_bytes()))),
        Content::Requests { filter, from, end } => (Some(JSON), Sent::Requests { filter, from, end }),
        Content::Arrivals => (Some(JSON), Sent::Arrivals),
    };
    let mut response = Response::new(Body::empty());
    *response.status_mut() = status;
    if let Some(kind) = kind {
        response.headers_mut().insert(header::CONTENT_TYPE, kind);
    }
    response.headers_mut().extend(headers.into_iter().map(|(name, value)| (Some(name), value)));
    let hang_up = course.hang_up.then(|| Arc::clone(wire));
    *response.body_mut() = match content {
        Sent::Bytes(bytes) if course.pause.is_none() && length == Length::Whole => {
            // The head and these bytes are written before the next flush.
            if let Some(wire) = hang_up {
                wire.close_after_flush();
            }
            Body::from(bytes)
        }
        Sent::Bytes(bytes) => {
            if !bytes.is_empty() {
                response.headers_mut().insert(header::CONTENT_LENGTH, HeaderValue::from(bytes.len()));
            }
            trickle(bytes, course.pause, length, hang_up)
        }
        Sent::Requests { filter, from, end } => {
            stream_requests(Arc::clone(shared), List { filter, next: from, end, length, pause: course.pause, hang_up })
        }
        Sent::Arrivals => stream_arrivals(Arc::clone(shared)),
    };
    response
}

enum Sent {
    Bytes(Bytes),
    Requests { filter: Filter, from: usize, end: usize },
    Arrivals,
}

/// What ends the connection in the middle of a body.
fn broken_off() -> io::Error {
    io::Error::new(io::ErrorKind::ConnectionAborted, "the script breaks this answer off")
}

/// Sends bytes one at a time with a pause between, or without one at once; in any case only as many as are to be sent.
fn trickle(bytes: Bytes, pause: Option<Duration>, length: Length, hang_up: Option<Arc<Wire>>) -> Body {
    let end = match length {
        Length::Whole => bytes.len(),
        Length::Half => bytes.len() / 2,
    };
    let step = if pause.is_some() { 1 } else { end.max(1) };
    Body::from_stream(unfold(Some(0), move |place| {
        let (bytes, hang_up) = (bytes.clone(), hang_up.clone());
        async move {
            let from: usize = place?;
            if from >= end {
                // What was sent so far is written while this waits; an error before would take it along.
                yield_now().await;
                return (length == Length::Half).then(|| (Err(broken_off()), None));
            }
            if let Some(pause) = pause {
                sleep(pause).await;
            }
            let to = (from + step).min(end);
            if to == bytes.len()
                && let Some(wire) = hang_up
            {
                wire.close_after_flush();
            }
            Some((Ok(bytes.slice(from..to)), Some(to)))
        }
    }))
}

/// The state of a list that is being sent.
struct List {
    filter: Filter,
    next: usize,
    end: usize,
    length: Length,
    pause: Option<Duration>,
    hang_up: Option<Arc<Wire>>,
}

/// How much of a list is made at once, in bytes: what a connection of the simulator holds in memory.
const LIST_CHUNK: usize = 32 * 1024;

/// Sends the requests of a list, a part at a time: a hundred thousand of them would be some 80 MB.
fn stream_requests(shared: Arc<Shared>, list: List) -> Body {
    let end = match list.length {
        Length::Whole => list.end,
        Length::Half => list.next + (list.end - list.next) / 2,
    };
    let start = (list, ListPart::First);
    Body::from_stream(unfold(start, move |(mut list, part)| {
        let shared = Arc::clone(&shared);
        async move {
            let mut out = match part {
                ListPart::First => vec![b'['],
                ListPart::Further => Vec::new(),
                ListPart::Broken => {
                    yield_now().await;
                    return Some((Err(broken_off()), (list, ListPart::Done)));
                }
                ListPart::Done => {
                    if let Some(wire) = &list.hang_up {
                        wire.close_after_flush();
                    }
                    return None;
                }
            };
            if let Some(pause) = list.pause {
                sleep(pause).await;
            }
            let chunk = if list.pause.is_some() { 1 } else { LIST_CHUNK };
            write_requests(&shared, &mut list, end, part, chunk, &mut out);
            let part = match (list.next < end, list.length) {
                (true, _) => ListPart::Further,
                (false, Length::Half) => ListPart::Broken,
                (false, Length::Whole) => {
                    out.push(b']');
                    ListPart::Done
                }
            };
            Some((Ok(Bytes::from(out)), (list, part)))
        }
    }))
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum ListPart {
    First,
    Further,
    Broken,
    Done,
}

fn write_requests(shared: &Shared, list: &mut List, end: usize, part: ListPart, chunk: usize, out: &mut Vec<u8>) {
    let mut is_first = part == ListPart::First;
    list.next = shared.world().store.visit(&list.filter, list.next, end, |seen| {
        if !is_first {
            out.push(b',');
        }
        is_first = false;
        write_request(seen, out);
        if out.len() >= chunk { Visit::Enough } else { Visit::More }
    });
}

/// How many arrivals are written at once.
const ARRIVALS_CHUNK: usize = 64;

fn stream_arrivals(shared: Arc<Shared>) -> Body {
    Body::from_stream(unfold(Some(0), move |from| {
        let shared = Arc::clone(&shared);
        async move {
            let from: u64 = from?;
            let mut out = Vec::new();
            let next = shared.arrivals.write_from(from, ARRIVALS_CHUNK, &mut out);
            // The first chunk begins at 0, which no arrival has.
            if from == 0 {
                out.insert(0, b'[');
            } else if !out.is_empty() {
                out.insert(0, b',');
            }
            if next.is_none() {
                out.push(b']');
            }
            Some((Ok::<_, Infallible>(Bytes::from(out)), next))
        }
    }))
}
