//! The server's list of requests, as a stream.

use std::time::Duration;

use bytes::{Buf, Bytes};
use futures_util::{Stream, stream};

use super::answer::TransportFault;
use super::error::ReadError;
use super::object::RequestObject;
use super::splitter::{SplitError, Splitter};
use super::transport;

/// The server's list, read object by object in constant memory, whatever its length.
///
/// [`next`](Self::next) gives none only after a list that ended well: its closing bracket came, and the answer ended there.
/// A list that was cut off, went silent or is malformed gives the objects so far, then one error, then none.
#[derive(Debug)]
pub struct RequestStream {
    source: Source,
    splitter: Splitter,
    chunk: Bytes,
    /// How long the server may send nothing.
    silence: Duration,
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
    pub(crate) fn new(response: reqwest::Response, silence: Duration) -> Self {
        Self { source: Source::Open(Box::new(response)), splitter: Splitter::new(), chunk: Bytes::new(), silence }
    }

    /// Returns a list without requests (204).
    pub(crate) const fn empty(silence: Duration) -> Self {
        Self { source: Source::Done, splitter: Splitter::new(), chunk: Bytes::new(), silence }
    }

    /// Returns the next request. Nothing is lost when the future is dropped before it is done.
    pub async fn next(&mut self) -> Option<Result<RequestObject, ReadError>> {
        loop {
            let Source::Open(response) = &mut self.source else { return None };
            match Self::cut(&mut self.splitter, &mut self.chunk) {
                Ok(Some(object)) => return Some(Ok(object)),
                Ok(None) => {}
                Err(error) => return self.end_with(error),
            }
            let status = response.status().as_u16();
            match tokio::time::timeout(self.silence, response.chunk()).await {
                Ok(Ok(Some(chunk))) => self.chunk = chunk,
                Ok(Ok(None)) => match self.splitter.finish() {
                    Ok(()) => {
                        self.source = Source::Done;
                        return None;
                    }
                    Err(error) => {
                        let error = self.read_error(error);
                        return self.end_with(error);
                    }
                },
                Ok(Err(error)) => {
                    let fault = TransportFault::AnswerBroken { status };
                    return self.end_with(ReadError::Transport { fault, message: transport::message(&error) });
                }
                Err(_) => {
                    let message = format!("the server sent nothing more of its list for {:?}", self.silence);
                    return self.end_with(ReadError::Transport { fault: TransportFault::Timeout, message });
                }
            }
        }
    }

    /// Returns the requests as a [`Stream`], for those who combine streams.
    pub fn into_stream(self) -> impl Stream<Item = Result<RequestObject, ReadError>> + Send {
        stream::unfold(self, |mut list| async move { list.next().await.map(|request| (request, list)) })
    }

    fn cut(splitter: &mut Splitter, chunk: &mut Bytes) -> Result<Option<RequestObject>, ReadError> {
        let mut rest = chunk.as_ref();
        let found = splitter.next(&mut rest).map(|object| object.map(RequestObject::from_json));
        let n_read = chunk.len() - rest.len();
        chunk.advance(n_read);
        match found {
            Ok(None) => Ok(None),
            Ok(Some(Ok(object))) => Ok(Some(object)),
            Ok(Some(Err(reason))) => Err(ReadError::Object { number: splitter.n_objects(), reason }),
            Err(error) => Err(read_error(error, splitter.n_objects())),
        }
    }

    fn read_error(&self, error: SplitError) -> ReadError {
        read_error(error, self.splitter.n_objects())
    }

    /// Gives the error, and lets go of the connection.
    fn end_with(&mut self, error: ReadError) -> Option<Result<RequestObject, ReadError>> {
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
