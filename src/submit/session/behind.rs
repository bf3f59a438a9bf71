//! Going on with a ledger that is behind: a copy, a restored backup, a reverted snapshot.

use super::{MAX_LISTS, Session, SessionReport, Setting, Waited, add};
use crate::event::EventKind;
use crate::ledger::{LedgerError, RowState};
use crate::reconcile::{Lists, Probe, Trust};
use crate::request::RowId;
use crate::submit::setup::{Calls, Work};
use crate::submit::stop::StopReason;

impl Session {
    /// Goes on carefully with a ledger that is behind: waits until what another process sent last is in the list, sends one row, and
    /// has the list show that row and nothing new. Returns the reason where the run is to stop.
    pub(super) async fn catch_up<C: Calls + Lists>(
        &mut self,
        setting: &Setting<'_, C>,
        chosen: Option<&[RowId]>,
        report: &mut SessionReport,
    ) -> Result<Option<StopReason>, LedgerError> {
        let ripe_at = self.waits().ripe_at(self.began, None);
        let left = ripe_at.saturating_sub(self.machine.since_boot());
        self.tell(setting.sink, EventKind::Behind { left });
        if self.wait_until(ripe_at, setting).await == Waited::Interrupted {
            return Ok(Some(StopReason::Interrupted));
        }
        if let Some(reason) = self.look_for_others(setting, report).await? {
            return Ok(Some(reason));
        }
        // Rows that are left here may have been corrected in the newer ledger, and then sent under other numbers.
        let stray = report.last_list.iter().find_map(|list| list.strays.first.first());
        if let Some(stray) = stray {
            return Ok(Some(StopReason::AnotherAtWork { row: stray.row, uuid: stray.uuid }));
        }
        let n_lacking = report.last_list.as_ref().map_or(0, |list| list.audit.n_lacking + list.audit.n_old_end);
        let mut earlier = self.reader.sessions()?.into_iter().filter(|session| session.number < self.number);
        let has_looked = earlier.any(|session| session.first_look.is_some());
        // What another copy is known to have sent may go back further than the list.
        let is_unmeasured = !has_looked && self.reader.by_type(RowState::Created)?.iter().any(|(_, n)| *n > 0);
        if (n_lacking > 0 || is_unmeasured) && self.patience.trust != Trust::List {
            return Ok(Some(StopReason::Lacking(n_lacking)));
        }
        let n_strays = report.last_list.as_ref().map_or(0, |list| list.strays.n);
        let first = loop {
            let first = match self.still_pending(chosen)? {
                Work::Rows(rows) => rows.first().copied(),
                Work::InOrder => self.reader.pending(0, 1)?.first().copied(),
            };
            let Some(first) = first else { return Ok(None) };
            (self.probe, self.probe_since) = (Probe::Sent(first), None);
            setting.ledger.detach(first)?;
            let round = self.round(setting, Work::Rows(vec![first])).await;
            if let Some(reason) = add(&mut report.sent, round) {
                return Ok(Some(reason));
            }
            // One that the server refused shows nothing: the next one goes in its place.
            if self.reader.facts(first)?.is_none_or(|facts| facts.state != RowState::Failed) {
                break first;
            }
        };
        for n in 1..=MAX_LISTS {
            if let Some(reason) = self.look_for_others(setting, report).await? {
                return Ok(Some(reason));
            }
            let list = report.last_list.as_ref();
            let another = list.and_then(|list| {
                let taken = list.taken_over.first.first().map(|one| (one.row, one.uuid));
                let stray = list.strays.first.last().filter(|_| list.strays.n > n_strays);
                // Another copy sent the same row alone.
                let double = list.doubles.first.iter().find(|double| double.row == first);
                let answered = list.answered.first.iter().find(|(row, _)| *row == first);
                taken
                    .or(stray.map(|one| (one.row, one.uuid)))
                    .or(double.and_then(|double| Some((first, *double.uuids.last()?))))
                    .or(answered.map(|(row, [own, _])| (*row, *own)))
            });
            if another.is_some() {
                return Ok(another.map(|(row, uuid)| StopReason::AnotherAtWork { row, uuid }));
            }
            if self.probe == Probe::Seen {
                return Ok(None);
            }
            let until = self.machine.since_boot() + self.patience.settle;
            if n < MAX_LISTS && self.wait_until(until, setting).await == Waited::Interrupted {
                return Ok(Some(StopReason::Interrupted));
            }
        }
        Ok(Some(StopReason::NotShown(first)))
    }
}
