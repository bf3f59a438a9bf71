//! A whole session: ask the server first, send, settle what is in doubt, send again what was not created, look once more.

mod behind;
mod doubt;
mod look;
mod outage;

use std::cell::Cell;
use std::collections::BTreeSet;
use std::time::Duration;

use jiff::Timestamp;
use tokio::sync::watch;
use tokio::time::{Instant, sleep};

use super::memory::{KnownKind, Memory};
use super::pipeline::run;
use super::setup::{Calls, Engine, Limits, Patience, Sending, Wire, Work};
use super::stop::{StopLevel, StopReason, SubmitReport};
use crate::client::ReadError;
use crate::event::{Event, EventKind, EventSink};
use crate::ledger::{Ledger, LedgerError, Reader, RowState, Step, StepAnswer};
use crate::machine::Machine;
use crate::reconcile::{Identity, Lists, Probe, Report, Tagging, Waits};
use crate::request::{Guid, RequestKind, RequestUuid, RowId, TagPosition};

/// How often the list is asked for until it is taken that it will prove no more: a list may lag behind.
const MAX_LISTS: u32 = 3;
/// The time between two lists where none is asked for.
const SHORTEST_WAIT: Duration = Duration::from_millis(100);
/// The time between two looks whether a server is back.
const PROBE_EVERY: Duration = Duration::from_secs(30);
/// How many looks there are at least within the time that a server is waited for.
const MIN_PROBES: u32 = 10;
/// How long the first list is waited for after it could not be read, again and again.
const LIST_AGAIN: [Duration; 3] = [Duration::from_secs(10), Duration::from_secs(30), Duration::from_secs(60)];

/// What a session did, all its rounds together.
#[derive(Debug)]
pub struct SessionReport {
    /// Why it ended early, with the sums of all rounds.
    pub sent: SubmitReport,
    /// What the last list said that could be read or was asked for; none where none was.
    pub last_list: Option<Report>,
    /// Whether that list was asked for after the last call had ended: it is the audit of the session.
    pub is_audited: bool,
    /// Why the last look could not be had, where one was tried in vain.
    pub unchecked: Option<ReadError>,
}

/// What a session works with.
pub struct Setting<'a, C> {
    /// The ledger, which this process holds.
    pub ledger: &'a Ledger,
    /// The server.
    pub calls: &'a C,
    /// Who is told.
    pub sink: &'a dyn EventSink,
    /// Whether somebody asks to stop.
    pub control: watch::Receiver<StopLevel>,
    /// Is told how many rows this session has claimed, after that is durable and before any of them is sent.
    pub on_claim: &'a dyn Fn(u64),
}

/// A ledger whose claims are told.
struct Telling<'a> {
    ledger: &'a Ledger,
    n_claimed: Cell<u64>,
    on_claim: &'a dyn Fn(u64),
}

impl Engine for Telling<'_> {
    async fn step(&self, step: Step) -> Result<StepAnswer, LedgerError> {
        let answer = self.ledger.step(step).await?;
        if !answer.rows.is_empty() {
            self.n_claimed.set(self.n_claimed.get() + answer.rows.len() as u64);
            (self.on_claim)(self.n_claimed.get());
        }
        Ok(answer)
    }

    fn now(&self) -> Timestamp {
        self.ledger.now()
    }

    async fn note_read_back(&self, kind: RequestKind, text: String) -> Result<(), LedgerError> {
        self.ledger.note_read_back(kind, text).await
    }
}

impl<C> Setting<'_, C> {
    /// Returns whether somebody does.
    pub fn is_stopped(&self) -> bool {
        *self.control.borrow() != StopLevel::Run
    }

    /// Waits until somebody asks to stop; for ever, where nobody is left to.
    async fn until_stopped(&self) {
        if self.control.clone().wait_for(|level| *level != StopLevel::Run).await.is_err() {
            std::future::pending::<()>().await;
        }
    }
}

/// How waiting ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Waited {
    /// The time is over.
    Over,
    /// A person or the system asked to stop.
    Interrupted,
}

/// Whether a session goes on after a round.
#[derive(Debug)]
enum Ended {
    /// Nothing is left to do.
    Whole,
    /// Rows are pending that are to be sent now.
    Further,
    /// It stops.
    Stopped(StopReason),
}

/// What is known of the ledger beside the server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Standing {
    /// It has what the server has.
    Level,
    /// The server has requests of the run that it did not have: a copy, a restored backup, a reverted snapshot. What another process
    /// sent last may still come into the list.
    Behind,
}

/// One process's work on a run. Whoever makes it holds the ledger.
pub struct Session {
    machine: Machine,
    wire: Wire,
    limits: Limits,
    patience: Patience,
    memory: Memory,
    reader: Reader,
    number: u32,
    /// The first session whose rows lists are looked through for.
    audited_from: u32,
    /// When the ledger was taken over, on the clock that runs during sleep: attempts of earlier sessions had ended by then.
    began: Duration,
    standing: Standing,
    /// The server's clock at this session's first list.
    first_date: Option<Timestamp>,
    /// Whether a list of this session was read to its end.
    has_list: bool,
    /// How soon after it was created a list of this session showed a request, at best.
    lag: Option<Duration>,
    /// Whether a list of this session lacked what was created longer before it than a list may lag.
    lags: bool,
    /// Rows that lists showed as another request than was answered, with both.
    answered: Vec<(RowId, [RequestUuid; 2])>,
    probe: Probe,
    /// The server's clock at the list that made it so.
    probe_since: Option<Timestamp>,
    /// When the last list ended, and how long it took: the next one begins no sooner than that long after it.
    last_list: Option<(Instant, Duration)>,
    /// How many calls were made when the last list was asked for.
    calls_at_list: Option<u64>,
    n_calls: u64,
    n_claimed: u64,
    /// Whether anything was created since the server was waited for, or in the whole run where it never was.
    has_created: bool,
    look_back: Option<Duration>,
    may_send: &'static [RowState],
    leave_out: BTreeSet<Guid>,
}

impl Session {
    /// Begins to work on a ledger that was just opened. Requests of other runs count that are not older than `look_back`.
    ///
    /// # Errors
    /// The ledger cannot be read.
    pub fn begin(
        machine: &Machine,
        ledger: &Ledger,
        wire: Wire,
        limits: Limits,
        patience: Patience,
        look_back: Option<Duration>,
    ) -> Result<Self, LedgerError> {
        let reader = Reader::open(ledger.path())?;
        let memory = Memory::new(machine, &limits, KnownKind::of_ledger(&reader)?);
        let audited_from = ledger.session().min(reader.looked_to()? + 1);
        let has_created = reader.by_type(RowState::Created)?.iter().any(|(_, n)| *n > 0);
        Ok(Self {
            machine: machine.clone(),
            wire,
            limits,
            patience,
            memory,
            reader,
            number: ledger.session(),
            audited_from,
            began: machine.since_boot(),
            standing: Standing::Level,
            first_date: None,
            has_list: false,
            lag: None,
            lags: false,
            answered: Vec::new(),
            probe: Probe::None,
            probe_since: None,
            last_list: None,
            calls_at_list: None,
            n_calls: 0,
            n_claimed: 0,
            has_created,
            look_back,
            may_send: &[RowState::Pending],
            leave_out: BTreeSet::new(),
        })
    }

    /// Returns a reader of the ledger.
    pub const fn reader(&self) -> &Reader {
        &self.reader
    }

    /// Has lists looked through for the rows of all sessions.
    pub const fn audit_all(&mut self) {
        self.audited_from = 0;
    }

    /// Takes failed rows for ones that may be sent, too.
    pub const fn send_failed(&mut self) {
        self.may_send = &[RowState::Pending, RowState::Failed];
    }

    /// Returns in which states rows are that may be sent.
    pub const fn may_send(&self) -> &'static [RowState] {
        self.may_send
    }

    /// Leaves rows out that are found absent where a request of another run by one of these accounts stands for them.
    pub fn leave_out(&mut self, accounts: BTreeSet<Guid>) {
        self.leave_out = accounts;
    }

    /// Goes on carefully, as with a ledger that is behind, for another reason than what the list says.
    pub const fn suspect(&mut self) {
        self.standing = Standing::Behind;
    }

    /// Sends `work`, settles what is in doubt, sends again what was not created, and so on until nothing is left to do or a
    /// reason to stop is found; then looks once more.
    pub async fn send<C: Calls + Lists>(&mut self, setting: &Setting<'_, C>, work: Work) -> SessionReport {
        let begin = Instant::now();
        let mut report = SessionReport { sent: nothing_sent(), last_list: None, is_audited: false, unchecked: None };
        if let Err(error) = self.send_all(setting, work, &mut report).await {
            report.sent.stopped_by = Some(StopReason::Ledger(error));
        }
        report.sent.elapsed = begin.elapsed();
        report
    }

    async fn send_all<C: Calls + Lists>(
        &mut self,
        setting: &Setting<'_, C>,
        work: Work,
        report: &mut SessionReport,
    ) -> Result<(), LedgerError> {
        let chosen = match work {
            Work::InOrder => None,
            Work::Rows(rows) => Some(rows),
        };
        // Chosen rows that are in doubt are sent once a list shows them to be absent.
        let mut next = Some(self.still_pending(chosen.as_deref())?);
        while let Some(mut work) = next.take() {
            if self.standing == Standing::Behind {
                match self.catch_up(setting, chosen.as_deref(), report).await? {
                    Some(reason) => {
                        report.sent.stopped_by = Some(reason);
                        break;
                    }
                    None => {
                        self.standing = Standing::Level;
                        // One of them was sent alone, and lists may have shown others.
                        work = self.still_pending(chosen.as_deref())?;
                    }
                }
            }
            let round = self.round(setting, work).await;
            let ended = match add(&mut report.sent, round) {
                None => self.settle_round(setting, report).await?,
                Some(reason) => self.stop_or_wait(setting, reason, report).await?,
            };
            next = match ended {
                Ended::Whole => None,
                Ended::Further => {
                    // What the last round kept for itself and did not come to is the next one's.
                    setting.ledger.release().await?;
                    Some(self.still_pending(chosen.as_deref())?).filter(|work| *work != Work::Rows(Vec::new()))
                }
                Ended::Stopped(reason) => {
                    report.sent.stopped_by = Some(reason);
                    None
                }
            };
        }
        self.look_last(setting, report).await
    }

    async fn round<C: Calls>(&mut self, setting: &Setting<'_, C>, work: Work) -> SubmitReport {
        let pending = match &work {
            Work::Rows(rows) => rows.len() as u64,
            Work::InOrder => self.n_pending().unwrap_or(0),
        };
        let Setting { ledger, calls, sink, control, on_claim } = setting;
        let engine = Telling { ledger, n_claimed: Cell::new(self.n_claimed), on_claim: *on_claim };
        let sending = Sending { engine: &engine, calls: *calls, wire: &self.wire, limits: &self.limits, sink: *sink };
        let round = run(&sending, &mut self.memory, work, pending, control.clone()).await;
        self.n_claimed = engine.n_claimed.get();
        self.n_calls += round.calls;
        self.has_created |= round.created > 0;
        round
    }

    /// Returns the work that is left of what was asked for.
    fn still_pending(&self, chosen: Option<&[RowId]>) -> Result<Work, LedgerError> {
        let Some(chosen) = chosen else { return Ok(Work::InOrder) };
        let mut rows = Vec::new();
        for &row in chosen {
            if self.reader.facts(row)?.is_some_and(|facts| facts.state == RowState::Pending) {
                rows.push(row);
            }
        }
        Ok(Work::Rows(rows))
    }

    /// Waits for a time of the clock that runs during sleep, which tokio's does not.
    async fn wait_until<C>(&self, until: Duration, setting: &Setting<'_, C>) -> Waited {
        loop {
            if setting.is_stopped() {
                return Waited::Interrupted;
            }
            let left = until.saturating_sub(self.machine.since_boot());
            if left.is_zero() {
                return Waited::Over;
            }
            tokio::select! {
                biased;
                () = setting.until_stopped() => {}
                () = sleep(left.min(PROBE_EVERY)) => {}
            }
        }
    }

    fn n_pending(&self) -> Result<u64, LedgerError> {
        Ok(self.reader.by_type(RowState::Pending)?.iter().map(|(_, n)| n).sum())
    }

    fn identity(&self) -> Identity {
        let tagging = match self.wire.tag_position {
            TagPosition::Start | TagPosition::End => Tagging::Tagged,
            TagPosition::None => Tagging::Untagged,
        };
        Identity { run: self.wire.run, key: self.wire.key.clone(), tagging }
    }

    const fn waits(&self) -> Waits {
        Waits { settle: self.patience.settle, server_limit: self.patience.server_limit }
    }

    fn tell(&self, sink: &dyn EventSink, kind: EventKind) {
        sink.emit(Event { at: self.machine.now(), kind });
    }
}

const fn nothing_sent() -> SubmitReport {
    SubmitReport { stopped_by: None, created: 0, calls: 0, elapsed: Duration::ZERO, unrecorded: Vec::new() }
}

/// Adds a round to the sums; returns why it ended early.
fn add(sums: &mut SubmitReport, round: SubmitReport) -> Option<StopReason> {
    sums.created += round.created;
    sums.calls += round.calls;
    sums.unrecorded.extend(round.unrecorded);
    round.stopped_by
}
