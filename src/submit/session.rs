//! A whole session: ask the server first, send, settle what is in doubt, send again what was not created.

use std::time::Duration;

use jiff::Timestamp;
use tokio::sync::watch;
use tokio::time::{Instant, sleep};

use super::breaker::Trip;
use super::memory::{DoubtTimes, KnownKind, Memory};
use super::pipeline::run;
use super::setup::{Calls, Limits, Sending, Wire, Work};
use super::stop::{StopLevel, StopReason, SubmitReport};
use crate::event::{Event, EventKind, EventSink};
use crate::ledger::{Ledger, LedgerError, Reader, RowState};
use crate::platform::since_boot;
use crate::reconcile::{
    Ask, Doubts, Identity, LedgerBook, Lists, OwnDoubts, ReconcileError, Report, Tagging, Trust, Waits, reconcile,
    ripe_at, worth_asking_again,
};
use crate::request::{ErrorCode, RowId, TagPosition};

/// How often the list is asked for until it is taken that it will prove no more: a list may lag behind.
const MAX_LISTS: u32 = 3;
/// The time between two lists where none is asked for.
const SHORTEST_WAIT: Duration = Duration::from_millis(100);
/// The time between two looks whether a server is back.
const PROBE_EVERY: Duration = Duration::from_secs(30);
/// How many looks there are at least within the time that a server is waited for.
const MIN_PROBES: u32 = 10;

/// How patiently rows in doubt are settled, and a server that went away is waited for.
#[derive(Clone, Copy, Debug)]
pub struct Patience {
    /// How long after an attempt ended the server's list may still miss its request.
    pub settle: Duration,
    /// How long after an attempt began the server may still act on it.
    pub server_limit: Duration,
    /// Whether the list must prove that it is complete.
    pub trust: Trust,
    /// How long a server is waited for that went away during the run; zero stops the run instead.
    pub wait_for_server: Duration,
}

/// What a session did, all its rounds together.
#[derive(Debug)]
pub struct SessionReport {
    /// Why it ended early, with the sums of all rounds.
    pub sent: SubmitReport,
    /// What the last list said; none where nothing was in doubt, or nobody asked.
    pub last_list: Option<Report>,
}

/// What a session works with.
pub struct Setting<'a, C> {
    /// The ledger, which this process holds.
    pub ledger: &'a Ledger,
    /// The server.
    pub calls: &'a C,
    /// Who is told.
    pub sink: &'a dyn EventSink,
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
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Ended {
    /// Nothing is left to do, or a reason to stop was found.
    Whole,
    /// Rows are pending that are to be sent now.
    Further,
}

/// Whether a server that went away came back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Outage {
    Over,
    Lasts,
    Interrupted,
}

/// One process's work on a run. Whoever makes it holds the ledger.
pub struct Session {
    wire: Wire,
    limits: Limits,
    patience: Patience,
    memory: Memory,
    reader: Reader,
    /// When the ledger was taken over, on the clock that runs during sleep: attempts of earlier sessions had ended by then.
    began: Duration,
    /// How many rows were in doubt then.
    n_earlier: u64,
    /// Whether anything was created since the server was waited for, or in the whole run where it never was.
    has_created: bool,
}

impl Session {
    /// Begins to work on a ledger that was just opened.
    ///
    /// # Errors
    /// The ledger cannot be read.
    pub fn begin(ledger: &Ledger, wire: Wire, limits: Limits, patience: Patience) -> Result<Self, LedgerError> {
        let reader = Reader::open(ledger.path())?;
        let memory = Memory::new(&limits, KnownKind::of_ledger(&reader)?);
        let n_earlier = reader.n_in_doubt()?;
        let has_created = reader.by_type(RowState::Created)?.iter().any(|(_, n)| *n > 0);
        Ok(Self { wire, limits, patience, memory, reader, began: since_boot(), n_earlier, has_created })
    }

    /// Returns a reader of the ledger.
    pub const fn reader(&self) -> &Reader {
        &self.reader
    }

    /// Asks the server for its list once, without waiting, and settles what it says for certain.
    ///
    /// # Errors
    /// The ledger cannot be read or written. A list that cannot be read is no error: the report says so.
    pub async fn look<C: Lists>(&mut self, setting: &Setting<'_, C>) -> Result<Report, LedgerError> {
        tell(setting.sink, EventKind::Reconciling);
        let ask = Ask {
            ripe: since_boot() >= self.ripe_at(),
            trust: self.patience.trust,
            max_attempts: self.limits.max_attempts.get(),
        };
        let book = LedgerBook::new(setting.ledger, &self.reader);
        let report = reconcile(&book, setting.calls, &self.identity(), &ask).await;
        let report = report.map_err(|ReconcileError::Ledger(error)| error)?;
        let settled = report.absent + report.failed;
        tell(setting.sink, EventKind::Reconciled { found: report.found, absent: settled, left: report.left });
        Ok(report)
    }

    /// Asks the server for its list once, when it can prove what is not in it. For ledgers that may lack what was sent: what an
    /// earlier process sent last may still come into the list.
    ///
    /// # Errors
    /// The ledger cannot be read or written.
    pub async fn look_when_ripe<C: Lists>(&mut self, setting: &Setting<'_, C>) -> Result<Report, LedgerError> {
        let report = self.look(setting).await?;
        // Whatever is pending counts as sent by an earlier session.
        self.n_earlier = self.n_earlier.max(1);
        let wait = self.ripe_at().saturating_sub(since_boot());
        if report.unreadable().is_some() || wait.is_zero() {
            return Ok(report);
        }
        tell(setting.sink, EventKind::WaitingForProof { left: wait, rows: report.left + self.n_pending()? });
        let (_never_stopped, mut control) = watch::channel(StopLevel::Run);
        self.wait_until_boot(since_boot() + wait, &mut control).await;
        Ok(added(report, self.look(setting).await?))
    }

    /// Settles what is in doubt: looks at once, then waits until the server's list can prove what is absent, and asks a few
    /// times more where it cannot. Ends early when `control` says to stop.
    ///
    /// # Errors
    /// The ledger cannot be read or written.
    pub async fn settle<C: Lists>(
        &mut self,
        setting: &Setting<'_, C>,
        control: &mut watch::Receiver<StopLevel>,
    ) -> Result<Report, LedgerError> {
        let mut report = self.look(setting).await?;
        for _ in 1..MAX_LISTS {
            if !worth_asking_again(&report) {
                break;
            }
            let until_ripe = self.ripe_at().saturating_sub(since_boot());
            let wait = if until_ripe.is_zero() { self.patience.settle.max(SHORTEST_WAIT) } else { until_ripe };
            tell(setting.sink, EventKind::WaitingForProof { left: wait, rows: report.left });
            if self.wait_until_boot(since_boot() + wait, control).await == Waited::Interrupted {
                break;
            }
            report = added(report, self.look(setting).await?);
        }
        Ok(report)
    }

    /// Sends `work`, settles what is in doubt, sends again what was not created, and so on until nothing is left to do or a
    /// reason to stop is found.
    pub async fn send<C: Calls + Lists>(
        &mut self,
        setting: &Setting<'_, C>,
        mut work: Work,
        mut control: watch::Receiver<StopLevel>,
    ) -> SessionReport {
        let begin = Instant::now();
        let mut report = SessionReport { sent: nothing_sent(), last_list: None };
        let chosen = match &work {
            Work::InOrder => None,
            Work::Rows(rows) => Some(rows.clone()),
        };
        loop {
            let round = self.round(setting, work, control.clone()).await;
            self.has_created |= round.created > 0;
            let ended = match add(&mut report.sent, round) {
                None => self.settle_round(setting, &mut control, &mut report).await,
                Some(reason) => self.stop_or_wait(setting, reason, &mut control, &mut report).await,
            };
            let next = match ended {
                Ok(ended) => self.next_work(setting, ended, chosen.as_deref()).await,
                Err(error) => Err(error),
            };
            match next {
                Ok(Some(next)) => work = next,
                Ok(None) => break,
                Err(error) => {
                    report.sent.stopped_by = Some(StopReason::Ledger(error));
                    break;
                }
            }
        }
        report.sent.elapsed = begin.elapsed();
        report
    }

    async fn round<C: Calls>(
        &mut self,
        setting: &Setting<'_, C>,
        work: Work,
        control: watch::Receiver<StopLevel>,
    ) -> SubmitReport {
        let pending = match &work {
            Work::Rows(rows) => rows.len() as u64,
            Work::InOrder => self.n_pending().unwrap_or(0),
        };
        let Setting { ledger, calls, sink } = *setting;
        let sending = Sending { engine: ledger, calls, wire: &self.wire, limits: &self.limits, sink };
        run(&sending, &mut self.memory, work, pending, control).await
    }

    /// Settles what the rounds so far left in doubt.
    async fn settle_round<C: Lists>(
        &mut self,
        setting: &Setting<'_, C>,
        control: &mut watch::Receiver<StopLevel>,
        report: &mut SessionReport,
    ) -> Result<Ended, LedgerError> {
        if self.reader.n_in_doubt()? == 0 {
            return Ok(Ended::Whole);
        }
        let settled = self.settle(setting, control).await?;
        let is_again = settled.absent > 0;
        report.last_list = Some(settled);
        if *control.borrow() != StopLevel::Run {
            report.sent.stopped_by = Some(StopReason::Interrupted);
            return Ok(Ended::Whole);
        }
        Ok(if is_again { Ended::Further } else { Ended::Whole })
    }

    /// Ends the session for a reason, unless that is a server which is waited for and comes back.
    async fn stop_or_wait<C: Calls + Lists>(
        &mut self,
        setting: &Setting<'_, C>,
        reason: StopReason,
        control: &mut watch::Receiver<StopLevel>,
        report: &mut SessionReport,
    ) -> Result<Ended, LedgerError> {
        if !self.waits_out(&reason) {
            report.sent.stopped_by = Some(reason);
            return Ok(Ended::Whole);
        }
        report.sent.stopped_by = match self.wait_out(setting, control, report).await? {
            Outage::Over => return Ok(Ended::Further),
            Outage::Lasts => Some(reason),
            Outage::Interrupted => Some(StopReason::Interrupted),
        };
        Ok(Ended::Whole)
    }

    /// Returns what the next round sends, or none where the session is at its end.
    async fn next_work<C>(
        &self,
        setting: &Setting<'_, C>,
        ended: Ended,
        chosen: Option<&[RowId]>,
    ) -> Result<Option<Work>, LedgerError> {
        match ended {
            Ended::Whole => Ok(None),
            Ended::Further => {
                // What the last round kept for itself and did not come to is the next one's.
                setting.ledger.release().await?;
                Ok(Some(self.still_pending(chosen)?).filter(|work| *work != Work::Rows(Vec::new())))
            }
        }
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

    /// Returns whether the reason is a server that went away and may come back. One that answers and fails does not count, nor
    /// one that created nothing since the last time: it would be waited for again and again.
    fn waits_out(&self, reason: &StopReason) -> bool {
        let is_away = match reason {
            StopReason::Breaker(Trip::InARow { last, .. } | Trip::Share { last, .. }) => {
                *last != ErrorCode::ServerError
            }
            StopReason::Unreachable(_) => true,
            StopReason::Stalled { .. }
            | StopReason::NotSignedIn(_)
            | StopReason::ApiNotFound(_)
            | StopReason::NotAsAsked { .. }
            | StopReason::FirstTimedOut { .. }
            | StopReason::Refused { .. }
            | StopReason::Interrupted
            | StopReason::StoppedElsewhere
            | StopReason::Ledger(_) => false,
        };
        is_away && self.has_created && !self.patience.wait_for_server.is_zero()
    }

    /// Waits until the server answers again, then settles what it has of the rows in doubt.
    async fn wait_out<C: Calls + Lists>(
        &mut self,
        setting: &Setting<'_, C>,
        control: &mut watch::Receiver<StopLevel>,
        report: &mut SessionReport,
    ) -> Result<Outage, LedgerError> {
        let wait = self.patience.wait_for_server;
        let every = PROBE_EVERY.min(wait / MIN_PROBES);
        let give_up = since_boot().saturating_add(wait);
        tell(setting.sink, EventKind::ServerGone { wait, pending: self.n_pending()? });
        loop {
            let next = since_boot().saturating_add(every).min(give_up);
            if self.wait_until_boot(next, control).await == Waited::Interrupted {
                return Ok(Outage::Interrupted);
            }
            if setting.calls.probe().await.is_ok() {
                break;
            }
            if since_boot() >= give_up {
                return Ok(Outage::Lasts);
            }
        }
        tell(setting.sink, EventKind::ServerBack);
        self.has_created = false;
        if self.reader.n_in_doubt()? > 0 {
            report.last_list = Some(self.look(setting).await?);
        }
        self.memory.after_outage();
        Ok(Outage::Over)
    }

    /// Waits for a time of the clock that runs during sleep, which tokio's does not.
    async fn wait_until_boot(&self, until: Duration, control: &mut watch::Receiver<StopLevel>) -> Waited {
        loop {
            if *control.borrow() != StopLevel::Run {
                return Waited::Interrupted;
            }
            let left = until.saturating_sub(since_boot());
            if left.is_zero() {
                return Waited::Over;
            }
            tokio::select! {
                () = sleep(left.min(PROBE_EVERY)) => {}
                changed = control.changed() => {
                    if changed.is_err() {
                        // Nobody is left to ask for a stop.
                        sleep(left).await;
                    }
                }
            }
        }
    }

    fn n_pending(&self) -> Result<u64, LedgerError> {
        Ok(self.reader.unsettled_by_type()?.iter().map(|(_, n)| n).sum())
    }

    fn identity(&self) -> Identity {
        let tagging = match self.wire.tag_position {
            TagPosition::Start | TagPosition::End => Tagging::Tagged,
            TagPosition::None => Tagging::Untagged,
        };
        Identity { run: self.wire.run, key: self.wire.key.clone(), tagging }
    }

    fn ripe_at(&self) -> Duration {
        let own = |DoubtTimes { started, ended }| OwnDoubts { last_started: started, last_ended: ended };
        let doubts = Doubts { n_earlier: self.n_earlier, own: self.memory.latest_doubt().map(own) };
        let waits = Waits { settle: self.patience.settle, server_limit: self.patience.server_limit };
        ripe_at(self.began, &doubts, &waits)
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

/// Returns what two lists in a row settled, with what the later one left.
fn added(earlier: Report, later: Report) -> Report {
    Report {
        found: earlier.found + later.found,
        found_unexpectedly: earlier.found_unexpectedly + later.found_unexpectedly,
        absent: earlier.absent + later.absent,
        failed: earlier.failed + later.failed,
        contradicted: earlier.contradicted + later.contradicted,
        ..later
    }
}

fn tell(sink: &dyn EventSink, kind: EventKind) {
    sink.emit(Event { at: Timestamp::now(), kind });
}
