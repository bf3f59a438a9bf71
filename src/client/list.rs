//! The server's list of requests, as a stream.

use std::time::Duration;

use bytes::{Buf, Bytes};
use futures_util::{Stream, stream};
use jiff::Timestamp;
use tokio::time::{Instant, timeout_at};

use super::answer::TransportFault;
use super::body::Decoder;
use super::error::ReadError;
use super::object::{ObjectFault, RequestObject};
use super::server_time::date_of;
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
            let message = if end <= until {
                format!("the list did not end within {whole:?}")
            } else if self.has_begun {
                format!("the server sent nothing more of its list for {silence:?}")
            } else {
                format!("the server sent nothing of its list for {first_byte:?}")
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
    /// What came and is not decoded yet.
    coded: Bytes,
    chunk: Bytes,
    splitter: Splitter,
    clocked: Clocked,
    date: Option<Timestamp>,
}

#[derive(Debug)]
enum Source {
    /// More may come.
    Open(Box<(reqwest::Response, Decoder)>),
    /// The answer ended; what is in the last chunk is still to be read.
    Ended,
    /// The list ended, or an error was given.
    Done,
}

impl RequestStream {
    /// Returns the list of an answer whose head came.
    pub(crate) fn new(response: reqwest::Response, decoder: Decoder, clocked: Clocked) -> Self {
        let date = date_of(response.headers());
        Self { source: Source::Open(Box::new((response, decoder))), ..Self::empty(clocked, date) }
    }

    /// Returns a list without requests (204).
    pub(crate) fn empty(clocked: Clocked, date: Option<Timestamp>) -> Self {
        let (coded, chunk) = (Bytes::new(), Bytes::new());
        Self { source: Source::Done, coded, chunk, splitter: Splitter::new(), clocked, date }
    }

    /// Returns the server's clock when it began to answer (`Date`), to the second; none where it does not say.
    pub const fn date(&self) -> Option<Timestamp> {
        self.date
    }

    /// Returns the next request. Nothing is lost when the future is dropped before it is done.
    pub async fn next(&mut self) -> Option<Result<ListItem, ReadError>> {
        loop {
            if let Source::Done = self.source {
                return None;
            }
            let item = match Self::cut(&mut self.splitter, &mut self.chunk) {
                Ok(Some(item)) => return Some(Ok(item)),
                Ok(None) => self.read_on().await,
                Err(error) => Err(error),
            };
            if let Err(error) = item {
                // Lets go of the connection.
                self.source = Source::Done;
                return Some(Err(error));
            }
        }
    }

    /// Gets the next chunk, after the last was used up.
    async fn read_on(&mut self) -> Result<(), ReadError> {
        let Source::Open(open) = &mut self.source else {
            self.splitter.finish().map_err(|error| read_error(error, self.splitter.n_objects()))?;
            self.source = Source::Done;
            return Ok(());
        };
        let (response, decoder) = &mut **open;
        if self.coded.is_empty() {
            match self.clocked.wait(response.chunk()).await? {
                Ok(Some(chunk)) => {
                    self.clocked.has_begun = true;
                    self.coded = chunk;
                }
                Ok(None) => {
                    self.chunk = decoder.finish().map_err(ReadError::NotUnderstood)?;
                    self.source = Source::Ended;
                }
                Err(error) => {
                    let fault = TransportFault::AnswerBroken { status: response.status().as_u16() };
                    return Err(ReadError::Transport { fault, message: transport::message(&error) });
                }
            }
        } else {
            self.chunk = decoder.next(&mut self.coded).map_err(ReadError::NotUnderstood)?;
        }
        Ok(())
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
