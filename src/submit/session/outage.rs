//! What stops a round and not the session: a server that went away and is waited for, a clock that jumped.

use super::{Ended, MIN_PROBES, PROBE_EVERY, Session, SessionReport, Setting, Waited};
use crate::event::EventKind;
use crate::ledger::LedgerError;
use crate::reconcile::Lists;
use crate::request::ErrorCode;
use crate::submit::breaker::Trip;
use crate::submit::setup::Calls;
use crate::submit::stop::StopReason;

impl Session {
    /// Ends the session for a reason, unless that is a server which is waited for and comes back, or a clock that jumped.
    pub(super) async fn stop_or_wait<C: Calls + Lists>(
        &mut self,
        setting: &Setting<'_, C>,
        reason: StopReason,
        report: &mut SessionReport,
    ) -> Result<Ended, LedgerError> {
        if matches!(reason, StopReason::ClockJumped) {
            return Ok(match self.look_for_others(setting, report).await? {
                Some(reason) => Ended::Stopped(reason),
                None => Ended::Further,
            });
        }
        if !self.waits_out(&reason) {
            return Ok(Ended::Stopped(reason));
        }
        self.wait_out(setting, reason, report).await
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
            reason => matches!(reason, StopReason::Unreachable(_)),
        }
    }

    /// Waits until the server answers again, then settles what it has of the rows in doubt.
    async fn wait_out<C: Calls + Lists>(
        &mut self,
        setting: &Setting<'_, C>,
        reason: StopReason,
        report: &mut SessionReport,
    ) -> Result<Ended, LedgerError> {
        let wait = self.patience.wait_for_server;
        let every = PROBE_EVERY.min(wait / MIN_PROBES);
        let give_up = self.machine.since_boot().saturating_add(wait);
        self.tell(setting.sink, EventKind::ServerGone { wait, pending: self.n_pending()? });
        loop {
            let next = self.machine.since_boot().saturating_add(every).min(give_up);
            if self.wait_until(next, setting).await == Waited::Interrupted {
                return Ok(Ended::Stopped(StopReason::Interrupted));
            }
            let is_back = tokio::select! {
                biased;
                () = setting.until_stopped() => return Ok(Ended::Stopped(StopReason::Interrupted)),
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
        if let Some(reason) = self.look_for_others(setting, report).await? {
            return Ok(Ended::Stopped(reason));
        }
        Ok(match self.confirm_found(awaiting, setting, report)? {
            Some(reason) => Ended::Stopped(reason),
            None => Ended::Further,
        })
    }
}
