//! A request body that can leave this process once.

use std::fmt;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};

use crate::machine::Machine;

const WAITING: u8 = 0;
const TAKEN: u8 = 1;
const WITHDRAWN: u8 = 2;
const TOO_LATE: u8 = 3;

/// The body of one call.
///
/// This is what makes "nothing was sent" a fact and not a guess. hyper takes a body's bytes only when it writes the
/// request (hyper 1.12 `src/proto/h1/dispatch.rs`, `poll_write`: head and body go into one buffer, then `poll_flush`), so
/// a body that nobody asked for bytes was not sent, whatever error came. And since the bytes can be taken once, no layer
/// above the connection can send the request a second time in whole.
pub(crate) struct OnceBody {
    bytes: Option<Bytes>,
    leave_by: Option<LeaveBy>,
    state: Arc<AtomicU8>,
}

/// Until when a body may be taken, by the clock that runs during sleep.
#[derive(Clone, Debug)]
pub(crate) struct LeaveBy {
    pub(crate) machine: Machine,
    pub(crate) at: Duration,
}

/// What the caller keeps of a [`OnceBody`], to ask afterwards.
pub(crate) struct Sent(Arc<AtomicU8>);

/// Whether any of a request may have left this process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Departed {
    /// No, and it never will.
    No,
    /// No: its time to leave had passed when it was to be written.
    TooLate,
    /// It may have.
    Maybe,
}

impl OnceBody {
    /// Returns the body, and what tells whether it was taken.
    pub(crate) fn new(bytes: Bytes, leave_by: Option<LeaveBy>) -> (Self, Sent) {
        // hyper never asks an empty body for bytes, so its head may be sent unnoticed.
        let state = Arc::new(AtomicU8::new(if bytes.is_empty() { TAKEN } else { WAITING }));
        let bytes = Some(bytes).filter(|bytes| !bytes.is_empty());
        (Self { bytes, leave_by, state: Arc::clone(&state) }, Sent(state))
    }
}

impl Sent {
    /// Returns whether the body was taken; if not, takes it back, so that a connection's task that comes to it only now
    /// (the call timed out while it was queued) finds nothing to send.
    pub(crate) fn withdraw(self) -> Departed {
        match self.0.compare_exchange(WAITING, WITHDRAWN, Ordering::AcqRel, Ordering::Acquire) {
            Ok(_) => Departed::No,
            Err(TOO_LATE) => Departed::TooLate,
            Err(_) => Departed::Maybe,
        }
    }
}

/// The call was given up, or came too late, before its body was sent.
#[derive(Debug)]
pub(crate) struct Withdrawn;

impl fmt::Display for Withdrawn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the call was given up before it was sent")
    }
}

impl std::error::Error for Withdrawn {}

impl Body for OnceBody {
    type Data = Bytes;
    type Error = Withdrawn;

    fn poll_frame(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Withdrawn>>> {
        let Some(bytes) = self.bytes.take() else { return Poll::Ready(None) };
        let is_late = self.leave_by.as_ref().is_some_and(|by| by.machine.since_boot() > by.at);
        let next = if is_late { TOO_LATE } else { TAKEN };
        Poll::Ready(Some(match self.state.compare_exchange(WAITING, next, Ordering::AcqRel, Ordering::Acquire) {
            Ok(_) if !is_late => Ok(Frame::data(bytes)),
            Ok(_) | Err(_) => Err(Withdrawn),
        }))
    }

    fn is_end_stream(&self) -> bool {
        self.bytes.is_none()
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.bytes.as_ref().map_or(0, |bytes| bytes.len() as u64))
    }
}

#[cfg(test)]
mod tests {
    use std::task::Waker;

    use super::*;

    fn poll(body: &mut OnceBody) -> Option<Result<Bytes, Withdrawn>> {
        match Pin::new(body).poll_frame(&mut Context::from_waker(Waker::noop())) {
            Poll::Ready(frame) => frame.map(|frame| frame.map(|frame| frame.into_data().unwrap())),
            Poll::Pending => panic!("a body in memory is never pending"),
        }
    }

    #[test]
    fn the_bytes_can_be_taken_once_and_then_the_request_may_have_left() {
        let (mut body, sent) = OnceBody::new(Bytes::from_static(b"{}"), None);
        assert_eq!(body.size_hint().exact(), Some(2));
        assert_eq!(poll(&mut body).unwrap().unwrap(), "{}");
        assert!(body.is_end_stream() && poll(&mut body).is_none());
        assert_eq!(sent.withdraw(), Departed::Maybe);
    }

    #[test]
    fn a_body_taken_back_gives_nothing_to_a_late_connection() {
        let (mut body, sent) = OnceBody::new(Bytes::from_static(b"{}"), None);
        assert_eq!(sent.withdraw(), Departed::No);
        assert!(poll(&mut body).unwrap().is_err());
        assert!(poll(&mut body).is_none());
    }

    #[test]
    fn a_body_is_not_taken_after_its_time() {
        let machine = Machine::system();
        let now = machine.since_boot();
        let leave_by = |at| Some(LeaveBy { machine: machine.clone(), at });
        let early = now.saturating_sub(Duration::from_secs(1));
        let (mut body, sent) = OnceBody::new(Bytes::from_static(b"{}"), leave_by(early));
        assert!(poll(&mut body).unwrap().is_err());
        assert_eq!(sent.withdraw(), Departed::TooLate);
        let (mut body, sent) = OnceBody::new(Bytes::from_static(b"{}"), leave_by(now + Duration::from_secs(60)));
        assert_eq!(poll(&mut body).unwrap().unwrap(), "{}");
        assert_eq!(sent.withdraw(), Departed::Maybe);
    }

    #[test]
    fn an_empty_body_counts_as_sent_from_the_start() {
        let (body, sent) = OnceBody::new(Bytes::new(), None);
        assert!(body.is_end_stream());
        assert_eq!(sent.withdraw(), Departed::Maybe);
    }
}
