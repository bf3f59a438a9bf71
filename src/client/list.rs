//! The server's list of requests, as a stream.

use std::time::Duration;

use bytes::{Buf, Bytes};
use futures_util::{Stream, stream};
use jiff::Timestamp;
use tokio::time::{Instant, timeout_at};

use super::answer::TransportFault;
use super::error::ReadError;
use super::object::{ObjectFault, RequestObject};
use super::splitter::{SplitError, Splitter};
use super::transport;

/// How long a list may take.
///
/// ```
/// use std::time::Duration;
/// use cmbatch::client::ListTimeouts;
/// let patient = ListTimeouts { whole: Duration::from_secs(2 * 3600), ..ListTimeouts::default() };
/// assert_eq!(patient.silence, Duration::from_secs(60));
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ListTimeouts {
    /// Until its first byte: the server may gather the whole list before.
    pub first_byte: Duration,
    /// Between two bytes.
    pub silence: Duration,
    /// In all.
    pub whole: Duration,
}

impl Default for ListTimeouts {
    fn default() -> Self {
        let (first_byte, silence) = (Duration::from_secs(600), Duration::from_secs(60));
        Self { first_byte, silence, whole: Duration::from_secs(1800) }
    }
}

/// The times of one list, from its call on.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Clocked {
    timeouts: ListTimeouts,
    begun: Instant,
    has_begun: bool,
}

impl Clocked {
    pub(crate) fn start(timeouts: ListTimeouts) -> Self {
        Self { timeouts, begun: Instant::now(), has_begun: false }
    }

    /// Waits for the next thing, as long as that may take.
    pub(crate) async fn wait<T>(&self, next: impl Future<Output = T>) -> Result<T, ReadError> {
        let ListTimeouts { first_byte, silence, whole } = self.timeouts;
        let until = if self.has_begun { Instant::now() + silence } else { self.begun + first_byte };
        let end = self.begun + whole;
        let timed_out = |_| {
            let message = match self.has_begun {
                _ if end <= until => format!("the list did not end within {whole:?}"),
                false => format!("the server sent nothing of its list for {first_byte:?}"),
                true => format!("the server sent nothing more of its list for {silence:?}"),
            };
            ReadError::Transport { fault: TransportFault::Timeout, message }
        };
        timeout_at(until.min(end), next).await.map_err(timed_out)
    }
}

/// One of the list's requests.
#[derive(Clone, Debug, PartialEq, Eq)]
#[expect(clippy::large_enum_variant, reason = "nearly all are requests, and one is held at a time")]
pub enum ListItem {
    /// A request.
    Request(RequestObject),
    /// A request of which nobody can say whose it is: it has no readable `Uuid` or `Comment`.
    Unread {
        /// Its number in the list, from 1.
        number: u64,
        /// What is wrong with it.
        reason: String,
    },
}

/// The server's list, read object by object in constant memory, whatever its length.
///
/// [`next`](Self::next) gives none only after a list that ended well: its closing bracket came, and the answer ended there.
/// A list that was cut off, went silent or is malformed gives the objects so far, then one error, then none.
#[derive(Debug)]
pub struct RequestStream {
    source: Source,
    splitter: Splitter,
    chunk: Bytes,
    clocked: Clocked,
    date: Option<Timestamp>,
}

#[derive(Debug)]
enum Source {
    /// More may come.
    Open(Box<reqwest::Response>),
    /// The list ended, or an error was given.
    Done,
}

impl RequestStream {
    /// Returns the list of an answer whose head came.
    pub(crate) fn new(response: reqwest::Response, clocked: Clocked, date: Option<Timestamp>) -> Self {
        let source = Source::Open(Box::new(response));
        Self { source, splitter: Splitter::new(), chunk: Bytes::new(), clocked, date }
    }

    /// Returns a list without requests (204).
    pub(crate) const fn empty(clocked: Clocked, date: Option<Timestamp>) -> Self {
        Self { source: Source::Done, splitter: Splitter::new(), chunk: Bytes::new(), clocked, date }
    }

    /// Returns the server's clock when it began to answer (`Date`), to the second; none where it does not say.
    pub const fn date(&self) -> Option<Timestamp> {
        self.date
    }

    /// Returns the next request. Nothing is lost when the future is dropped before it is done.
    pub async fn next(&mut self) -> Option<Result<ListItem, ReadError>> {
        loop {
            let Source::Open(response) = &mut self.source else { return None };
            match Self::cut(&mut self.splitter, &mut self.chunk) {
                Ok(Some(object)) => return Some(Ok(object)),
                Ok(None) => {}
                Err(error) => return self.end_with(error),
            }
            let status = response.status().as_u16();
            match self.clocked.wait(response.chunk()).await {
                Ok(Ok(Some(chunk))) => {
                    self.clocked.has_begun = true;
                    self.chunk = chunk;
                }
                Ok(Ok(None)) => match self.splitter.finish() {
                    Ok(()) => {
                        self.source = Source::Done;
                        return None;
                    }
                    Err(error) => {
                        let error = read_error(error, self.splitter.n_objects());
                        return self.end_with(error);
                    }
                },
                Ok(Err(error)) => {
                    let fault = TransportFault::AnswerBroken { status };
                    return self.end_with(ReadError::Transport { fault, message: transport::message(&error) });
                }
                Err(error) => return self.end_with(error),
            }
        }
    }

    /// Returns the requests as a [`Stream`], for those who combine streams.
    pub fn into_stream(self) -> impl Stream<Item = Result<ListItem, ReadError>> + Send {
        stream::unfold(self, |mut list| async move { list.next().await.map(|request| (request, list)) })
    }

    fn cut(splitter: &mut Splitter, chunk: &mut Bytes) -> Result<Option<ListItem>, ReadError> {
        let mut rest = chunk.as_ref();
        let found = splitter.next(&mut rest).map(|object| object.map(RequestObject::from_json));
        let n_read = chunk.len() - rest.len();
        chunk.advance(n_read);
        let number = splitter.n_objects();
        match found {
            Ok(None) => Ok(None),
            Ok(Some(Ok(object))) => Ok(Some(ListItem::Request(object))),
            // What stands alone and is no request is no list: an error's message, say.
            Ok(Some(Err(ObjectFault::Unread(reason)))) if !splitter.is_alone() => {
                Ok(Some(ListItem::Unread { number, reason }))
            }
            Ok(Some(Err(fault))) => Err(ReadError::Object { number, reason: fault.to_string() }),
            Err(error) => Err(read_error(error, number)),
        }
    }

    /// Gives the error, and lets go of the connection.
    fn end_with(&mut self, error: ReadError) -> Option<Result<ListItem, ReadError>> {
        self.source = Source::Done;
        Some(Err(error))
    }
}

fn read_error(error: SplitError, after: u64) -> ReadError {
    match error {
        SplitError::Unexpected { at, found, expected } => {
            ReadError::Malformed { at, found: char::from(found), expected }
        }
        SplitError::TooLong { number } => ReadError::TooLong { number },
        SplitError::CutOff => ReadError::CutOff { after },
    }
}
