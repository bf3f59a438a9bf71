//! A whole session: ask the server first, send, settle what is in doubt, send again what was not created, look once more.

use std::time::Duration;

use jiff::Timestamp;
use tokio::sync::watch;
use tokio::time::{Instant, sleep};

use super::breaker::Trip;
use super::kinds::Awaiting;
use super::memory::{KnownKind, Memory};
use super::pipeline::run;
use super::setup::{Calls, CheckFirst, Limits, Sending, Wire, Work};
use super::stop::{StopLevel, StopReason, SubmitReport};
use crate::client::{ListTimeouts, ReadError, TransportFault};
use crate::event::{Event, EventKind, EventSink};
use crate::ledger::{FirstLook, Ledger, LedgerError, Reader, RowState};
use crate::machine::Machine;
use crate::reconcile::{self, Asking, Hits, Identity, Lists, Probe, Report, Tagging, Trust, Waits};
use crate::request::{ErrorCode, RequestKind, RequestUuid, RowId, TagPosition};

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

/// How patiently rows in doubt are settled, lists are read, and a server that went away is waited for.
#[derive(Clone, Copy, Debug)]
pub struct Patience {
    /// How long the server's list may lag behind what it did.
    pub settle: Duration,
    /// How long after an attempt began the server may still act on it.
    pub server_limit: Duration,
    /// What shows that a request is absent which the list does not have.
    pub trust: Trust,
    /// How long a server is waited for that is away; zero stops the run instead.
    pub wait_for_server: Duration,
    /// How long lists may take.
    pub lists: ListTimeouts,
    /// Whether the list is read once more at the end.
    pub final_look: FinalLook,
}

/// Whether the list is read once more at the end of a session that sent (`--no-final-look`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum FinalLook {
    /// It is.
    #[default]
    Yes,
    /// It is not.
    No,
}

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
}

impl<C> Clone for Setting<'_, C> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<C> Copy for Setting<'_, C> {}

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
    /// When the ledger was taken over, on the clock that runs during sleep: attempts of earlier sessions had ended by then.
    began: Duration,
    standing: Standing,
    /// The server's clock at this session's first list.
    first_date: Option<Timestamp>,
    /// Whether a list of this session was read to its end.
    has_list: bool,
    /// How soon after it was created a list of this session showed a request, at best.
    lag: Option<Duration>,
    probe: Probe,
    /// When the last list ended, and how long it took: the next one begins no sooner than that long after it.
    last_list: Option<(Instant, Duration)>,
    /// How many calls were made when the last list was asked for.
    calls_at_list: Option<u64>,
    n_calls: u64,
    /// Whether anything was created since the server was waited for, or in the whole run where it never was.
    has_created: bool,
    look_back: Option<Duration>,
    may_send: &'static [RowState],
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
        let has_created = reader.by_type(RowState::Created)?.iter().any(|(_, n)| *n > 0);
        Ok(Self {
            machine: machine.clone(),
            wire,
            limits,
            patience,
            memory,
            reader,
            number: ledger.session(),
            began: machine.since_boot(),
            standing: Standing::Level,
            first_date: None,
            has_list: false,
            lag: None,
            probe: Probe::None,
            last_list: None,
            calls_at_list: None,
            n_calls: 0,
            has_created,
            look_back,
            may_send: &[RowState::Pending],
        })
    }

    /// Returns a reader of the ledger.
    pub const fn reader(&self) -> &Reader {
        &self.reader
    }

    /// Takes it that the ledger may lack what was sent, for another reason than what the list says.
    /// Takes failed rows for ones that may be sent, too.
    pub const fn send_failed(&mut self) {
        self.may_send = &[RowState::Pending, RowState::Failed];
    }

    /// Returns in which states rows are that may be sent.
    pub const fn may_send(&self) -> &'static [RowState] {
        self.may_send
    }

    /// Goes on carefully, as with a ledger that is behind.
    pub const fn suspect(&mut self) {
        self.standing = Standing::Behind;
    }

    /// Asks the server for its list before anything is sent, and again a few times where that is reset or fails on the server's side;
    /// as long as a server is waited for at all. What it says is settled.
    ///
    /// # Errors
    /// The ledger cannot be read or written. A list that cannot be read is no error: the report says so.
    pub async fn look_first<C: Lists>(
        &mut self,
        setting: &Setting<'_, C>,
        control: &mut watch::Receiver<StopLevel>,
    ) -> Result<Report, LedgerError> {
        let give_up = self.machine.since_boot().saturating_add(self.patience.wait_for_server);
        let mut waits = LIST_AGAIN.into_iter();
        loop {
            let report = self.look(setting).await?;
            let Some(error) = report.unreadable.as_ref().filter(|error| may_pass(error)) else { return Ok(report) };
            let is_waited_for = self.machine.since_boot() < give_up;
            let wait = waits.next().filter(|_| was_reset(error) || is_waited_for);
            let Some(wait) = wait.or_else(|| is_waited_for.then_some(PROBE_EVERY)) else { return Ok(report) };
            self.tell(setting.sink, EventKind::ListAgain { wait, why: error.to_string() });
            let until = self.machine.since_boot().saturating_add(wait);
            if self.wait_until_boot(until, control).await == Waited::Interrupted {
                return Ok(report);
            }
        }
    }

    /// Asks the server for its list once, without waiting, and settles what it says for certain.
    ///
    /// # Errors
    /// The ledger cannot be read or written. A list that cannot be read is no error: the report says so.
    pub async fn look<C: Lists>(&mut self, setting: &Setting<'_, C>) -> Result<Report, LedgerError> {
        if let Some((ended, took)) = self.last_list {
            tokio::time::sleep_until(ended + took).await;
        }
        self.tell(setting.sink, EventKind::Reconciling);
        let (begun, n_calls) = (Instant::now(), self.n_calls);
        let who = self.identity();
        let asked_at = self.machine.since_boot();
        let own_doubts = self.memory.doubts().clone();
        let asking = Asking {
            who: &who,
            trust: self.patience.trust,
            waits: self.waits(),
            max_attempts: self.limits.max_attempts.get(),
            session: self.number,
            began: self.began,
            asked_at,
            own_doubts: &own_doubts,
            recent: self.memory.recent(),
            lag: self.lag,
            first_date: self.first_date,
            probe: self.probe,
            may_send: self.may_send,
            look_back: self.look_back,
            n_around: self.limits.n_around,
        };
        let lists = self.patience.lists;
        let mut report = reconcile::look(setting.ledger, &self.reader, setting.calls, lists, &asking).await?;
        // Who works decides what the first list's mean.
        if self.has_list && !report.hits.is_empty() {
            report.requested = self.requested(&report.hits)?;
        }
        self.last_list = Some((Instant::now(), begun.elapsed()));
        // A list that could not be read has settled nothing.
        if report.unreadable.is_none() {
            self.calls_at_list = Some(n_calls);
            self.learn(setting, &report)?;
            let settled = report.absent + report.failed;
            self.tell(setting.sink, EventKind::Reconciled { found: report.found, absent: settled, left: report.left });
        }
        Ok(report)
    }

    /// Returns a pending row that another run requested and nobody has accepted, with that request.
    fn requested(&self, hits: &Hits) -> Result<Option<(RowId, RequestUuid)>, LedgerError> {
        let accepted = self.reader.accepted_hits()?;
        let mut found = None;
        self.reader.for_each_row(&[RowState::Pending], |row| -> Result<(), LedgerError> {
            let hit = row.request.as_ref().and_then(|request| hits.of(request));
            if let Some(hit) = hit.filter(|hit| accepted.binary_search(&hit.uuid).is_err()) {
                found.get_or_insert((row.row, hit.uuid));
            }
            Ok(())
        })?;
        Ok(found)
    }

    /// Takes what a list says of the kinds, of the ledger's standing, and of lists.
    fn learn<C>(&mut self, setting: &Setting<'_, C>, report: &Report) -> Result<(), LedgerError> {
        self.memory.reached = true;
        if !self.has_list {
            self.has_list = true;
            self.first_date = report.date;
            setting.ledger.note_first_look(FirstLook { account: None, ..report.first_look.clone() })?;
        }
        self.lag = report.lag;
        self.probe = match (report.probe, report.shows_probe) {
            (Some(row), _) => Probe::Sent(row),
            (None, true) => Probe::Seen,
            (None, false) => self.probe,
        };
        if report.is_behind() {
            self.standing = Standing::Behind;
        }
        for kind in &report.kinds_seen {
            setting.ledger.note_read_back_blocking(*kind, "seen in the server's list".to_owned())?;
            self.memory.kinds.confirm(*kind);
        }
        if self.standing == Standing::Behind {
            self.memory.kinds.forget();
        }
        Ok(())
    }

    /// Settles what is in doubt: looks at once, then when the list may prove more, a few times. Ends early when `control` says to
    /// stop.
    ///
    /// # Errors
    /// The ledger cannot be read or written.
    pub async fn settle<C: Lists>(
        &mut self,
        setting: &Setting<'_, C>,
        control: &mut watch::Receiver<StopLevel>,
    ) -> Result<Report, LedgerError> {
        let Some(mut report) = self.look_unless_stopped(setting, control).await? else {
            return Ok(Report { left: self.reader.n_in_doubt()?, ..Report::default() });
        };
        let give_up = self.machine.since_boot().saturating_add(self.patience.wait_for_server);
        for n in 1.. {
            // A server that is away is waited for as long as it is at all.
            let is_away = report.unreadable.is_some() && self.machine.since_boot() < give_up;
            if n >= MAX_LISTS && !is_away {
                break;
            }
            let Some(at) = self.ask_again_at(&report) else { break };
            let left = at.saturating_sub(self.machine.since_boot()).max(SHORTEST_WAIT);
            self.tell(setting.sink, EventKind::WaitingForProof { left, rows: report.left });
            let until = self.machine.since_boot() + left;
            if self.wait_until_boot(until, control).await == Waited::Interrupted {
                break;
            }
            let Some(next) = self.look_unless_stopped(setting, control).await? else { break };
            let is_settled_by_it = report.absent > 0;
            report = added(report, next);
            if is_settled_by_it || report.absent > 0 {
                break;
            }
        }
        Ok(report)
    }

    /// Returns when the next list may prove more; none where none will.
    fn ask_again_at(&mut self, report: &Report) -> Option<Duration> {
        if report.absent > 0 {
            return None;
        }
        let at = match &report.unreadable {
            Some(error) if may_pass(error) => self.machine.since_boot() + self.patience.settle,
            Some(_) => return None,
            None => report.ask_again_at?,
        };
        // A list shows that it lags by less than `settle` only where it is asked for before that is over.
        let newest = self.memory.recent().last().map(|recent| recent.at + self.patience.settle);
        let fresh_until = newest.filter(|until| self.lag.is_none() && *until > self.machine.since_boot());
        Some(fresh_until.map_or(at, |until| at.min(until)))
    }

    async fn look_unless_stopped<C: Lists>(
        &mut self,
        setting: &Setting<'_, C>,
        control: &mut watch::Receiver<StopLevel>,
    ) -> Result<Option<Report>, LedgerError> {
        let mut stop = control.clone();
        tokio::select! {
            biased;
            () = until_stopped(&mut stop) => Ok(None),
            report = self.look(setting) => report.map(Some),
        }
    }

    /// Sends `work`, settles what is in doubt, sends again what was not created, and so on until nothing is left to do or a
    /// reason to stop is found; then looks once more.
    pub async fn send<C: Calls + Lists>(
        &mut self,
        setting: &Setting<'_, C>,
        work: Work,
        mut control: watch::Receiver<StopLevel>,
    ) -> SessionReport {
        let begin = Instant::now();
        let mut report = SessionReport { sent: nothing_sent(), last_list: None, is_audited: false, unchecked: None };
        if let Err(error) = self.send_all(setting, work, &mut control, &mut report).await {
            report.sent.stopped_by = Some(StopReason::Ledger(error));
        }
        report.sent.elapsed = begin.elapsed();
        report
    }

    async fn send_all<C: Calls + Lists>(
        &mut self,
        setting: &Setting<'_, C>,
        work: Work,
        control: &mut watch::Receiver<StopLevel>,
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
                match self.catch_up(setting, chosen.as_deref(), control, report).await? {
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
            let round = self.round(setting, work, control.clone()).await;
            let ended = match add(&mut report.sent, round) {
                None => self.settle_round(setting, control, report).await?,
                Some(reason) => self.stop_or_wait(setting, reason, control, report).await?,
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
        self.look_last(setting, control, report).await
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
        let round = run(&sending, &mut self.memory, work, pending, control).await;
        self.n_calls += round.calls;
        self.has_created |= round.created > 0;
        round
    }

    /// Goes on carefully with a ledger that is behind: waits until what another process sent last is in the list, sends one row, and
    /// has the list show that row and nothing new. Returns the reason where the run is to stop.
    async fn catch_up<C: Calls + Lists>(
        &mut self,
        setting: &Setting<'_, C>,
        chosen: Option<&[RowId]>,
        control: &mut watch::Receiver<StopLevel>,
        report: &mut SessionReport,
    ) -> Result<Option<StopReason>, LedgerError> {
        let ripe_at = self.waits().ripe_at(self.began, None);
        let left = ripe_at.saturating_sub(self.machine.since_boot());
        self.tell(setting.sink, EventKind::Behind { left });
        if self.wait_until_boot(ripe_at, control).await == Waited::Interrupted {
            return Ok(Some(StopReason::Interrupted));
        }
        if let Some(reason) = self.look_for_others(setting, control, report).await? {
            return Ok(Some(reason));
        }
        // Failed rows may have been corrected in the newer ledger, and then sent under other numbers.
        let unknown = report.last_list.iter().flat_map(|list| &list.strays.first).find(|stray| stray.state.is_none());
        if let Some(stray) = unknown.filter(|_| self.may_send.contains(&RowState::Failed)) {
            return Ok(Some(StopReason::AnotherAtWork { row: stray.row, uuid: stray.uuid }));
        }
        let n_lacking = report.last_list.as_ref().map_or(0, |list| list.audit.n_lacking);
        if n_lacking > 0 && self.patience.trust != Trust::List {
            return Ok(Some(StopReason::Lacking(n_lacking)));
        }
        let n_strays = report.last_list.as_ref().map_or(0, |list| list.strays.n);
        let first = loop {
            let first = match self.still_pending(chosen)? {
                Work::Rows(rows) => rows.first().copied(),
                Work::InOrder => self.reader.pending(0, 1)?.first().copied(),
            };
            let Some(first) = first else { return Ok(None) };
            self.probe = Probe::Sent(first);
            setting.ledger.detach(first)?;
            let round = self.round(setting, Work::Rows(vec![first]), control.clone()).await;
            if let Some(reason) = add(&mut report.sent, round) {
                return Ok(Some(reason));
            }
            // One that the server refused shows nothing: the next one goes in its place.
            if self.reader.facts(first)?.is_none_or(|facts| facts.state != RowState::Failed) {
                break first;
            }
        };
        for n in 1..=MAX_LISTS {
            if let Some(reason) = self.look_for_others(setting, control, report).await? {
                return Ok(Some(reason));
            }
            let list = report.last_list.as_ref();
            let another = list.and_then(|list| {
                let taken = list.taken_over.first.first().map(|one| (one.row, one.uuid));
                let stray = list.strays.first.last().filter(|_| list.strays.n > n_strays);
                // Another copy sent the same row alone.
                let double = list.doubles.first.iter().find(|double| double.row == first);
                taken
                    .or(stray.map(|one| (one.row, one.uuid)))
                    .or(double.and_then(|double| Some((first, *double.uuids.last()?))))
            });
            if another.is_some() {
                return Ok(another.map(|(row, uuid)| StopReason::AnotherAtWork { row, uuid }));
            }
            if self.probe == Probe::Seen {
                return Ok(None);
            }
            let until = self.machine.since_boot() + self.patience.settle;
            if n < MAX_LISTS && self.wait_until_boot(until, control).await == Waited::Interrupted {
                return Ok(Some(StopReason::Interrupted));
            }
        }
        Ok(Some(StopReason::NotShown(first)))
    }

    /// Reads the list; returns the reason where it cannot be read or shows another process at work.
    async fn look_for_others<C: Lists>(
        &mut self,
        setting: &Setting<'_, C>,
        control: &mut watch::Receiver<StopLevel>,
        report: &mut SessionReport,
    ) -> Result<Option<StopReason>, LedgerError> {
        let Some(list) = self.look_unless_stopped(setting, control).await? else {
            return Ok(Some(StopReason::Interrupted));
        };
        let mut reason = overtaken(&list);
        let mut list = list;
        if let Some(error) = list.unreadable.take() {
            reason = Some(StopReason::NoList(error));
        }
        report.last_list = Some(list);
        Ok(reason)
    }

    /// Settles what the rounds so far left in doubt, and what kinds are held that only a list can tell of.
    async fn settle_round<C: Lists>(
        &mut self,
        setting: &Setting<'_, C>,
        control: &mut watch::Receiver<StopLevel>,
        report: &mut SessionReport,
    ) -> Result<Ended, LedgerError> {
        let awaiting = self.memory.kinds.awaiting();
        if self.reader.n_in_doubt()? == 0 && awaiting.is_empty() {
            return Ok(Ended::Whole);
        }
        let settled = self.settle(setting, control).await?;
        let is_again = settled.absent > 0 || self.standing == Standing::Behind;
        let overtaken = overtaken(&settled);
        report.last_list = Some(settled);
        if *control.borrow() != StopLevel::Run {
            return Ok(Ended::Stopped(StopReason::Interrupted));
        }
        if let Some(reason) = overtaken {
            return Ok(Ended::Stopped(reason));
        }
        let is_unlocked = !awaiting.is_empty();
        if let Some(reason) = self.confirm_found(awaiting, setting, report)? {
            return Ok(Ended::Stopped(reason));
        }
        Ok(if (is_again || is_unlocked) && self.n_pending()? > 0 { Ended::Further } else { Ended::Whole })
    }

    /// Confirms the kinds that waited for a list and of which it had a row; returns the reason to stop where it had none.
    fn confirm_found<C>(
        &mut self,
        awaiting: Vec<(RequestKind, Awaiting)>,
        setting: &Setting<'_, C>,
        report: &mut SessionReport,
    ) -> Result<Option<StopReason>, LedgerError> {
        for (kind, awaiting) in awaiting {
            if self.memory.kinds.is_open(kind) {
                continue;
            }
            match awaiting {
                Awaiting::Doubts(rows) => {
                    let mut is_found = false;
                    for row in &rows {
                        is_found |= self.reader.facts(*row)?.is_some_and(|facts| facts.state == RowState::Created);
                    }
                    if !is_found {
                        // A list that could not be read says nothing of them.
                        let unreadable = report.last_list.as_mut().and_then(|list| list.unreadable.take());
                        let reason = unreadable.map_or(StopReason::FirstInDoubt { kind, rows }, StopReason::NoList);
                        return Ok(Some(reason));
                    }
                    setting.ledger.note_read_back_blocking(kind, "found in the server's list".to_owned())?;
                }
                Awaiting::Created(row, uuid) => {
                    let why = "neither its uuid nor the server's list finds it".to_owned();
                    match self.limits.check_first {
                        CheckFirst::Stop => return Ok(Some(StopReason::NotReadBack { kind, row, uuid, why })),
                        CheckFirst::Warn => self.tell(setting.sink, EventKind::NotReadBack { kind, why }),
                    }
                }
            }
            self.memory.kinds.confirm(kind);
        }
        Ok(None)
    }

    /// Ends the session for a reason, unless that is a server which is waited for and comes back, or a clock that jumped.
    async fn stop_or_wait<C: Calls + Lists>(
        &mut self,
        setting: &Setting<'_, C>,
        reason: StopReason,
        control: &mut watch::Receiver<StopLevel>,
        report: &mut SessionReport,
    ) -> Result<Ended, LedgerError> {
        if matches!(reason, StopReason::ClockJumped) {
            return Ok(match self.look_for_others(setting, control, report).await? {
                Some(reason) => Ended::Stopped(reason),
                None => Ended::Further,
            });
        }
        if !self.waits_out(&reason) {
            return Ok(Ended::Stopped(reason));
        }
        self.wait_out(setting, reason, control, report).await
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
    /// one that came back and created nothing since: it would be waited for again and again.
    fn waits_out(&self, reason: &StopReason) -> bool {
        if self.patience.wait_for_server.is_zero() {
            return false;
        }
        match reason {
            StopReason::Breaker(Trip::InARow { last, .. } | Trip::Share { last, .. }) => {
                *last != ErrorCode::ServerError && self.has_created
            }
            StopReason::Unreachable(_) => true,
            StopReason::Stalled { .. }
            | StopReason::NotSignedIn(_)
            | StopReason::ApiNotFound(_)
            | StopReason::NotAsAsked { .. }
            | StopReason::NotReadBack { .. }
            | StopReason::FirstInDoubt { .. }
            | StopReason::NotShown(_)
            | StopReason::Lacking(_)
            | StopReason::AnotherAtWork { .. }
            | StopReason::RequestedElsewhere { .. }
            | StopReason::NoList(_)
            | StopReason::ClockJumped
            | StopReason::Refused { .. }
            | StopReason::Interrupted
            | StopReason::StoppedElsewhere
            | StopReason::Ledger(_) => false,
        }
    }

    /// Waits until the server answers again, then settles what it has of the rows in doubt.
    async fn wait_out<C: Calls + Lists>(
        &mut self,
        setting: &Setting<'_, C>,
        reason: StopReason,
        control: &mut watch::Receiver<StopLevel>,
        report: &mut SessionReport,
    ) -> Result<Ended, LedgerError> {
        let wait = self.patience.wait_for_server;
        let every = PROBE_EVERY.min(wait / MIN_PROBES);
        let give_up = self.machine.since_boot().saturating_add(wait);
        self.tell(setting.sink, EventKind::ServerGone { wait, pending: self.n_pending()? });
        loop {
            let next = self.machine.since_boot().saturating_add(every).min(give_up);
            if self.wait_until_boot(next, control).await == Waited::Interrupted {
                return Ok(Ended::Stopped(StopReason::Interrupted));
            }
            let mut stop = control.clone();
            let is_back = tokio::select! {
                biased;
                () = until_stopped(&mut stop) => return Ok(Ended::Stopped(StopReason::Interrupted)),
                probed = setting.calls.probe() => probed.is_ok(),
            };
            if is_back {
                break;
            }
            if self.machine.since_boot() >= give_up {
                return Ok(Ended::Stopped(reason));
            }
        }
        self.tell(setting.sink, EventKind::ServerBack);
        self.has_created = false;
        self.memory.after_outage();
        // Others may have come back sooner.
        let awaiting = self.memory.kinds.awaiting();
        if let Some(reason) = self.look_for_others(setting, control, report).await? {
            return Ok(Ended::Stopped(reason));
        }
        Ok(match self.confirm_found(awaiting, setting, report)? {
            Some(reason) => Ended::Stopped(reason),
            None => Ended::Further,
        })
    }

    /// Looks once more after a session that sent: what gateways, lists and other processes did that no answer told.
    async fn look_last<C: Lists>(
        &mut self,
        setting: &Setting<'_, C>,
        control: &mut watch::Receiver<StopLevel>,
        report: &mut SessionReport,
    ) -> Result<(), LedgerError> {
        report.is_audited = self.n_calls > 0 && self.calls_at_list == Some(self.n_calls);
        let is_wanted = self.patience.final_look == FinalLook::Yes
            && self.n_calls > 0
            && self.wire.tag_position != TagPosition::None
            && report.sent.stopped_by.as_ref().is_none_or(StopReason::lets_look);
        if !is_wanted || report.is_audited && !self.is_probe_open() {
            return Ok(());
        }
        for n in 1..=MAX_LISTS {
            let Some(list) = self.look_unless_stopped(setting, control).await? else { return Ok(()) };
            if list.unreadable.is_some() {
                report.unchecked = list.unreadable;
                return Ok(());
            }
            if let Some((row, uuid)) = list.not_ours {
                report.sent.stopped_by.get_or_insert(StopReason::AnotherAtWork { row, uuid });
            }
            report.last_list = Some(list);
            report.is_audited = true;
            // What the list does not show yet it shows soon, where it lags; a row that was sent again is told as possibly twice
            // where no list shows it.
            let is_whole = report.last_list.as_ref().is_none_or(|list| list.audit.n_not_shown == 0);
            let until = self.machine.since_boot() + self.patience.settle;
            if n == MAX_LISTS
                || (is_whole && !self.is_probe_open())
                || self.wait_until_boot(until, control).await == Waited::Interrupted
            {
                break;
            }
        }
        Ok(())
    }

    const fn is_probe_open(&self) -> bool {
        matches!(self.probe, Probe::Sent(_))
    }

    /// Waits for a time of the clock that runs during sleep, which tokio's does not.
    async fn wait_until_boot(&self, until: Duration, control: &mut watch::Receiver<StopLevel>) -> Waited {
        loop {
            if *control.borrow() != StopLevel::Run {
                return Waited::Interrupted;
            }
            let left = until.saturating_sub(self.machine.since_boot());
            if left.is_zero() {
                return Waited::Over;
            }
            tokio::select! {
                biased;
                () = until_stopped(control) => {}
                () = sleep(left.min(PROBE_EVERY)) => {}
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

    const fn waits(&self) -> Waits {
        Waits { settle: self.patience.settle, server_limit: self.patience.server_limit }
    }

    fn tell(&self, sink: &dyn EventSink, kind: EventKind) {
        sink.emit(Event { at: self.machine.now(), kind });
    }
}

/// Waits until somebody asks to stop; for ever, where nobody is left to.
async fn until_stopped(control: &mut watch::Receiver<StopLevel>) {
    if control.wait_for(|level| *level != StopLevel::Run).await.is_err() {
        std::future::pending::<()>().await;
    }
}

/// Returns whether the server had the call and failed on it: it is there, and may do better at once.
const fn was_reset(error: &ReadError) -> bool {
    match error {
        ReadError::CutOff { .. } => true,
        ReadError::Status { status, .. } => *status >= 500,
        ReadError::Transport { fault, .. } => {
            matches!(fault, TransportFault::ConnectionLost | TransportFault::AnswerBroken { .. })
        }
        ReadError::NoContent
        | ReadError::Malformed { .. }
        | ReadError::Object { .. }
        | ReadError::Cached(_)
        | ReadError::Page(_)
        | ReadError::NotUnderstood(_)
        | ReadError::TooLong { .. } => false,
    }
}

/// Returns whether the same list may be readable a little later: it was reset, or the server failed.
pub(super) const fn may_pass(error: &ReadError) -> bool {
    match error {
        ReadError::CutOff { .. } => true,
        ReadError::Transport { fault, .. } => {
            !matches!(fault, TransportFault::NotSignedIn | TransportFault::ProxyRefused | TransportFault::TlsFailed)
        }
        ReadError::Status { status, .. } => *status >= 500 || *status == 429 || *status == 408,
        // What the server writes, or somebody keeps before it, does not change by waiting.
        ReadError::NoContent
        | ReadError::Malformed { .. }
        | ReadError::Object { .. }
        | ReadError::Cached(_)
        | ReadError::Page(_)
        | ReadError::NotUnderstood(_)
        | ReadError::TooLong { .. } => false,
    }
}

/// Returns why a session stops where a list shows another one at work.
fn overtaken(list: &Report) -> Option<StopReason> {
    let not_ours = list.not_ours.map(|(row, uuid)| StopReason::AnotherAtWork { row, uuid });
    not_ours.or(list.requested.map(|(row, uuid)| StopReason::RequestedElsewhere { row, uuid }))
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
        absent: earlier.absent + later.absent,
        failed: earlier.failed + later.failed,
        corrected: earlier.corrected + later.corrected,
        contradicted: earlier.contradicted + later.contradicted,
        taken_over: if later.taken_over.n > 0 { later.taken_over } else { earlier.taken_over },
        not_ours: later.not_ours.or(earlier.not_ours),
        requested: later.requested.or(earlier.requested),
        ..later
    }
}
