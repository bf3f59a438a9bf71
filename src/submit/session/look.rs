//! Asking for the list: before anything is sent, on the way, and once more at the end.

use tokio::time::Instant;

use super::{LIST_AGAIN, MAX_LISTS, PROBE_EVERY, Session, SessionReport, Setting, Standing, Waited};
use crate::client::{ReadError, TransportFault};
use crate::event::EventKind;
use crate::ledger::{FirstLook, LedgerError, Resolution, RowState, RowVerdict, Source};
use crate::reconcile::{self, Asking, Firsts, Gap, Hits, Lists, Report, WhyLeft, disagreements};
use crate::request::{RequestUuid, RowId, TagPosition};
use crate::submit::setup::{Calls, FinalLook};
use crate::submit::stop::StopReason;

impl Session {
    /// Asks the server for its list before anything is sent, and again a few times where that is reset or fails on the server's side;
    /// as long as a server is waited for at all. What it says is settled.
    ///
    /// # Errors
    /// The ledger cannot be read or written. A list that cannot be read is no error: the report says so.
    pub async fn look_first<C: Lists>(&mut self, setting: &Setting<'_, C>) -> Result<Report, LedgerError> {
        let give_up = self.machine.since_boot().saturating_add(self.patience.wait_for_server);
        let mut waits = LIST_AGAIN.into_iter();
        loop {
            let report = self.look(setting).await?;
            let Some(error) = report.unreadable.as_ref() else { return Ok(report) };
            let hope = Hope::of(error);
            let is_waited_for = self.machine.since_boot() < give_up;
            let wait = waits.next().filter(|_| hope == Hope::Soon || is_waited_for);
            let wait = wait.or_else(|| is_waited_for.then_some(PROBE_EVERY)).filter(|_| hope != Hope::None);
            let Some(wait) = wait else { return Ok(report) };
            self.tell(setting.sink, EventKind::ListAgain { wait, why: error.to_string() });
            let until = self.machine.since_boot().saturating_add(wait);
            if self.wait_until(until, setting).await == Waited::Interrupted {
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
            audited_from: self.audited_from,
            began: self.began,
            asked_at,
            own_doubts: &own_doubts,
            recent: self.memory.recent(),
            lag: self.lag,
            lags: self.lags,
            first_date: self.first_date,
            probe: self.probe,
            probe_since: self.probe_since,
            may_send: self.may_send,
            leave_out: &self.leave_out,
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
            // What was answered and no list has may be there all the same, whatever later lists show.
            self.answered.extend(
                report.answered.first.iter().copied().filter(|one| !self.answered.contains(one)).collect::<Vec<_>>(),
            );
            report.answered = Firsts { n: self.answered.len() as u64, first: self.answered.clone() };
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
        self.lags = report.lags;
        if self.probe != report.probe {
            (self.probe, self.probe_since) = (report.probe, report.date);
        }
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

    pub(super) async fn look_unless_stopped<C: Lists>(
        &mut self,
        setting: &Setting<'_, C>,
    ) -> Result<Option<Report>, LedgerError> {
        tokio::select! {
            biased;
            () = setting.until_stopped() => Ok(None),
            report = self.look(setting) => report.map(Some),
        }
    }

    /// Reads the list; returns the reason where it cannot be read or shows another process at work.
    pub(super) async fn look_for_others<C: Lists>(
        &mut self,
        setting: &Setting<'_, C>,
        report: &mut SessionReport,
    ) -> Result<Option<StopReason>, LedgerError> {
        let Some(list) = self.look_unless_stopped(setting).await? else {
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

    /// Looks once more after a session that sent: what gateways, lists and other processes did that no answer told.
    pub(super) async fn look_last<C: Calls + Lists>(
        &mut self,
        setting: &Setting<'_, C>,
        report: &mut SessionReport,
    ) -> Result<(), LedgerError> {
        report.is_audited = self.n_calls > 0 && self.calls_at_list == Some(self.n_calls);
        let is_tagged = self.wire.tag_position != TagPosition::None;
        let is_wanted = self.patience.final_look == FinalLook::Yes
            && self.n_calls > 0
            && is_tagged
            && report.sent.stopped_by.is_none();
        let is_whole = |report: &SessionReport| report.last_list.as_ref().is_some_and(|list| list.audit.is_whole());
        // What the list does not show yet it shows soon, where it lags; a row that was sent again is told as possibly twice where no
        // list shows it.
        let mut n_lists = 0;
        while is_wanted && !(report.is_audited && is_whole(report)) && n_lists < MAX_LISTS {
            let ripe_at = report.last_list.as_ref().and_then(|list| list.audit.ripe_at);
            let until = (self.machine.since_boot() + self.patience.settle).max(ripe_at.unwrap_or_default());
            if n_lists > 0 {
                let left = until.saturating_sub(self.machine.since_boot());
                self.tell_of_waiting(setting, left, self.reader.n_in_doubt()?)?;
                if self.wait_until(until, setting).await == Waited::Interrupted {
                    break;
                }
            }
            n_lists += 1;
            let Some(list) = self.look_unless_stopped(setting).await? else { break };
            if list.unreadable.is_some() {
                report.unchecked = list.unreadable;
                return Ok(());
            }
            if let Some((row, uuid)) = list.not_ours {
                report.sent.stopped_by.get_or_insert(StopReason::AnotherAtWork { row, uuid });
            }
            report.last_list = Some(list);
            report.is_audited = true;
        }
        let Some(list) = report.last_list.as_mut().filter(|_| is_tagged && report.is_audited) else { return Ok(()) };
        if list.audit.is_whole() {
            return setting.ledger.note_looked();
        }
        if is_wanted { self.read_the_missing(setting, list).await } else { Ok(()) }
    }

    /// Asks by their uuids for the first of the created rows that a list does not show. Those that the server does not have so either
    /// are in doubt: it lost them, or never made them. So are those that it has as something else.
    ///
    /// # Errors
    /// The ledger cannot be read or written.
    pub async fn read_the_missing<C: Calls>(
        &self,
        setting: &Setting<'_, C>,
        list: &mut Report,
    ) -> Result<(), LedgerError> {
        let gaps = [&list.audit.not_shown, &list.audit.earlier].map(|gaps| gaps.first.clone()).concat();
        let mut gone = Vec::new();
        for Gap { row, uuid } in gaps {
            let read = tokio::select! {
                biased;
                () = setting.until_stopped() => break,
                read = setting.calls.read_back(uuid) => read,
            };
            let reason = match read {
                Ok(object) => {
                    let request = self.reader.facts(row)?.and_then(|facts| facts.request);
                    let differs = request.map(|request| disagreements(&request, self.wire.tag(row, &request), &object));
                    let differs: Vec<String> = differs.unwrap_or_default().iter().map(ToString::to_string).collect();
                    (!differs.is_empty())
                        .then(|| format!("its request {uuid} is not what was asked for: {}", differs.join("; ")))
                }
                Err(ReadError::Status { status: 404, .. } | ReadError::NoContent) => {
                    Some(format!("its request {uuid} is gone: the server neither lists it nor has it by its uuid"))
                }
                Err(_) => None,
            };
            if reason.is_some() {
                gone.push(Resolution { row, verdict: RowVerdict::Contradicted, source: Source::List, reason });
            }
        }
        if !gone.is_empty() {
            let first = gone.iter().map(|one| one.row).collect();
            list.why_left.push(WhyLeft::Contradicted { n: gone.len() as u64, first });
            setting.ledger.resolve(gone, None).await?;
            list.left = self.reader.n_in_doubt()?;
        }
        Ok(())
    }
}

/// What may become of a list that could not be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Hope {
    /// The server had the call and failed on it: it is there, and may do better at once.
    Soon,
    /// It may be readable later.
    Later,
    /// What the server writes, or somebody keeps before it, does not change by waiting.
    None,
}

impl Hope {
    fn of(error: &ReadError) -> Self {
        use TransportFault::{AnswerBroken, ConnectionLost, NotSignedIn, ProxyRefused, TlsFailed};
        match error {
            ReadError::CutOff { .. } => Self::Soon,
            ReadError::Status { status, .. } if *status >= 500 => Self::Soon,
            ReadError::Status { status: 408 | 429, .. } => Self::Later,
            ReadError::Transport { fault: ConnectionLost | AnswerBroken { .. }, .. } => Self::Soon,
            ReadError::Transport { fault: NotSignedIn | ProxyRefused | TlsFailed, .. } => Self::None,
            ReadError::Transport { .. } => Self::Later,
            ReadError::Status { .. }
            | ReadError::NoContent
            | ReadError::Malformed { .. }
            | ReadError::Object { .. }
            | ReadError::Cached(_)
            | ReadError::Page(_)
            | ReadError::NotUnderstood(_)
            | ReadError::TooLong { .. } => Self::None,
        }
    }
}

/// Returns whether the same list may be readable a little later: it was reset, or the server failed.
pub(super) fn may_pass(error: &ReadError) -> bool {
    Hope::of(error) != Hope::None
}

/// Returns why a session stops where a list shows another one at work.
pub(super) fn overtaken(list: &Report) -> Option<StopReason> {
    let not_ours = list.not_ours.map(|(row, uuid)| StopReason::AnotherAtWork { row, uuid });
    not_ours.or(list.requested.map(|(row, uuid)| StopReason::RequestedElsewhere { row, uuid }))
}
