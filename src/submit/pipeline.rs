//! The loop: steps, calls and signals, on one task.

use std::future::poll_fn;
use std::pin::{Pin, pin};
use std::task::Poll;
use std::time::Duration;

use futures_util::stream::{FuturesUnordered, StreamExt};
use tokio::sync::watch;
use tokio::time::{Instant, sleep_until};

use super::flow::{Ended, Flow};
use super::memory::Memory;
use super::read_back::{self, ReadEnded, ToRead};
use super::rows::Ready;
use super::setup::{Calls, Engine, Sending, Wire, Work};
use super::stop::{StopLevel, SubmitReport};
use crate::event::EventKind;
use crate::request::RowId;

/// Sends rows that are pending, until none of them is left or a reason to stop is found: one round of a session, whose
/// `memory` goes from round to round. `pending` is how many rows that is, for those who are told.
///
/// No call starts before the claim of its row is durable. A call in flight is never dropped, unless `control` says
/// [`StopLevel::Leave`]; its row is recorded in doubt then. What was claimed and not sent goes back in the last step.
pub async fn run<E: Engine, C: Calls>(
    sending: &Sending<'_, E, C>,
    memory: &mut Memory,
    work: Work,
    pending: u64,
    mut control: watch::Receiver<StopLevel>,
) -> SubmitReport {
    let Sending { engine, calls, wire, limits, sink } = *sending;
    let begin = Instant::now();
    memory.round_begins(begin);
    let mut flow = Flow::new(limits, sink, memory, work);
    flow.tell(EventKind::Started { pending });
    let mut in_flight = FuturesUnordered::new();
    let mut reading = FuturesUnordered::new();
    let mut step = Pin::from(Box::new(futures_util::future::OptionFuture::default()));
    // One timer for the whole round: setting it anew is cheaper than another one, and most times it stands right already.
    let mut timer = pin!(sleep_until(begin));
    let mut controlled = true;
    flow.asked_to_stop(*control.borrow_and_update(), begin);
    loop {
        let now = Instant::now();
        flow.turn(engine.now());
        let next_start = loop {
            match flow.start_call(now) {
                Ok(Ready { row, send_before }) => {
                    let body = wire.body(row.row, &row.request);
                    in_flight.push(call(calls, row.row, body, send_before));
                }
                Err(again) => break again,
            }
        };
        if let Some(next) = flow.next_step(now) {
            step.set(Some(engine.step(next)).into());
        }
        while let Some(first) = flow.next_read_back() {
            reading.push(read_back(engine, calls, wire, first, limits.read_back));
        }
        if flow.stop.is_some() {
            // What is being read changes nothing any more, and may take long.
            reading.clear();
        }
        if flow.is_done() {
            break;
        }
        let wake_at = flow.wake_at(now, next_start);
        if timer.deadline() != wake_at {
            timer.as_mut().reset(wake_at);
        }
        tokio::select! {
            biased;
            changed = control.changed(), if controlled => {
                controlled = changed.is_ok();
                let level = *control.borrow_and_update();
                flow.asked_to_stop(level, Instant::now());
                if level == StopLevel::Leave {
                    in_flight.clear();
                    reading.clear();
                }
            }
            Some(answer) = &mut step => {
                step.set(None.into());
                flow.step_ended(answer, Instant::now());
            }
            Some(mut ended) = in_flight.next(), if !in_flight.is_empty() => {
                // Answers come in crowds. All that are there are taken before the rounds of the loop, which cost as much as
                // taking one.
                loop {
                    let now = Instant::now();
                    if flow.needs_renewal(&ended) {
                        flow.credentials_renewed(calls.renew(), now);
                    }
                    flow.call_ended(ended, now);
                    match poll_fn(|context| Poll::Ready(in_flight.poll_next_unpin(context))).await {
                        Poll::Ready(Some(next)) => ended = next,
                        Poll::Ready(None) | Poll::Pending => break,
                    }
                }
            }
            Some(ended) = reading.next(), if !reading.is_empty() => flow.read_back_ended(ended),
            () = &mut timer => {}
        }
    }
    flow.take_unrecorded();
    flow.memory.round_ends(Instant::now());
    SubmitReport {
        stopped_by: flow.stop,
        created: flow.created,
        calls: flow.calls,
        elapsed: begin.elapsed(),
        unrecorded: flow.unrecorded,
    }
}

/// Makes the call for a row whose claim is durable.
async fn call<C: Calls>(calls: &C, row: RowId, body: Vec<u8>, send_before: Duration) -> Ended {
    #[cfg(debug_assertions)]
    crate::platform::crash::point("send-before");
    let answer = calls.create(body, Some(send_before)).await;
    #[cfg(debug_assertions)]
    crate::platform::crash::point("send-after");
    Ended { row, answer }
}

/// Reads a created request and keeps what that says.
async fn read_back<E: Engine, C: Calls>(
    engine: &E,
    calls: &C,
    wire: &Wire,
    first: ToRead,
    patience: Duration,
) -> ReadEnded {
    let finding = read_back::read(calls, &first, wire.tag(first.row, &first.request), patience).await;
    let noted = match finding.note() {
        Some(text) => engine.note_read_back(first.kind, text).await,
        None => Ok(()),
    };
    ReadEnded { first, finding, noted }
}
