//! Settling what is in doubt, with as many lists as that takes.

use std::time::Duration;

use super::look::{may_pass, overtaken};
use super::{Ended, MAX_LISTS, SHORTEST_WAIT, Session, SessionReport, Setting, Standing, Waited};
use crate::event::EventKind;
use crate::ledger::{LedgerError, RowState};
use crate::reconcile::{Lists, Probe, Report};
use crate::request::{ErrorCode, RequestKind};
use crate::submit::kinds::Awaiting;
use crate::submit::setup::CheckFirst;
use crate::submit::stop::StopReason;

impl Session {
    /// Settles what is in doubt: looks at once, then when the list may prove more, a few times. Ends early when `control` says to
    /// stop.
    ///
    /// # Errors
    /// The ledger cannot be read or written.
    pub async fn settle<C: Lists>(&mut self, setting: &Setting<'_, C>) -> Result<Report, LedgerError> {
        let Some(mut report) = self.look_unless_stopped(setting).await? else {
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
            self.tell_of_waiting(setting, left, report.left)?;
            let until = self.machine.since_boot() + left;
            if self.wait_until(until, setting).await == Waited::Interrupted {
                break;
            }
            let Some(next) = self.look_unless_stopped(setting).await? else { break };
            let is_settled_by_it = report.absent > 0;
            report = added(report, next);
            if is_settled_by_it || report.absent > 0 {
                break;
            }
        }
        Ok(report)
    }

    /// Tells that so many rows in doubt keep the session from going on for a time, and which one of them.
    pub(super) fn tell_of_waiting<C>(
        &self,
        setting: &Setting<'_, C>,
        left: Duration,
        rows: u64,
    ) -> Result<(), LedgerError> {
        let row = match self.probe {
            Probe::Sent(row) | Probe::Refuted { row, .. } => Some(row),
            Probe::None | Probe::Seen => self.reader.in_doubt(0, 1)?.first().map(|first| first.row),
        };
        let pending = self.n_pending()?;
        self.tell(setting.sink, EventKind::WaitingForProof { left, rows, row, pending });
        Ok(())
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

    /// Settles what the rounds so far left in doubt, and what kinds are held that only a list can tell of.
    pub(super) async fn settle_round<C: Lists>(
        &mut self,
        setting: &Setting<'_, C>,
        report: &mut SessionReport,
    ) -> Result<Ended, LedgerError> {
        let awaiting = self.memory.kinds.awaiting();
        if self.reader.n_in_doubt()? == 0 && awaiting.is_empty() {
            return Ok(Ended::Whole);
        }
        let is_for_errors = !awaiting.is_empty() && awaiting.iter().all(|(_, of)| matches!(of, Awaiting::Errors(_)));
        let settled = if is_for_errors { self.look_for_errors(setting).await? } else { self.settle(setting).await? };
        let is_again = settled.absent > 0 || self.standing == Standing::Behind;
        let overtaken = overtaken(&settled);
        report.last_list = Some(settled);
        if setting.is_stopped() {
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

    /// Looks whether rows that were answered with 500 were created all the same, as soon as a list must show that.
    async fn look_for_errors<C: Lists>(&mut self, setting: &Setting<'_, C>) -> Result<Report, LedgerError> {
        let until = self.machine.since_boot() + self.patience.settle;
        self.tell_of_waiting(setting, self.patience.settle, self.reader.n_in_doubt()?)?;
        let looked = match self.wait_until(until, setting).await {
            Waited::Over => self.look_unless_stopped(setting).await?,
            Waited::Interrupted => None,
        };
        Ok(looked.unwrap_or_default())
    }

    /// Confirms the kinds that waited for a list and of which it had a row; returns the reason to stop where it had none.
    pub(super) fn confirm_found<C>(
        &mut self,
        awaiting: Vec<(RequestKind, Awaiting)>,
        setting: &Setting<'_, C>,
        report: &mut SessionReport,
    ) -> Result<Option<StopReason>, LedgerError> {
        for (kind, awaiting) in awaiting {
            if self.memory.kinds.is_open(kind) {
                continue;
            }
            let is_for_errors = matches!(awaiting, Awaiting::Errors(_));
            match awaiting {
                Awaiting::Errors(rows) | Awaiting::Doubts(rows) => {
                    let (mut is_found, mut is_wrong) = (false, false);
                    for row in &rows {
                        for row in self.reader.page(row.get() - 1, 1, &[])? {
                            is_found |= row.state == RowState::Created;
                            is_wrong |= row.error_code == Some(ErrorCode::Contradicted);
                        }
                    }
                    let is_read = report.last_list.as_ref().is_some_and(|list| list.unreadable.is_none());
                    if is_for_errors && is_read && !is_found && !is_wrong {
                        self.memory.kinds.go_on(kind, rows);
                        continue;
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
