//! Verdicts: what is decided about rows outside of their attempts, inside one transaction.

use jiff::Timestamp;
use rusqlite::Connection;

use super::error::{Fault, StepError};
use super::history::{OutcomeLine, RowHistory, Source, load_histories};
use super::left_out::{LeaveOut, take_back};
use super::loaded::Loaded;
use super::resolution::{Resolution, RowVerdict};
use super::schema::RUN;
use super::state::{IllegalTransition, RowEvent, RowState};
use super::tally::{TallyChanges, TallyKey};
use super::uuids::check_owners;
use super::working::{Working, note_fresh_after};
use crate::request::{AttemptNo, ErrorCode, RequestUri, RequestUuid, RowId};

/// Up to how far apart rows lie whose histories are read together.
const ROWS_A_LOOK: u32 = 1000;

/// Decides about rows. The caller commits, or rolls back and forgets `working`.
///
/// # Errors
/// A row cannot go that way, or SQLite failed. Either way the transaction must be rolled back.
pub(super) fn resolve(
    conn: &Connection,
    working: &mut Working,
    mut resolutions: Vec<Resolution>,
    now: Timestamp,
) -> Result<(), Fault> {
    // Stable, so that two verdicts on one row are taken in their order.
    resolutions.sort_by_key(|resolution| resolution.row);
    let mut exec = ResolveExec { conn, working, now, tallies: TallyChanges::default(), settled: Vec::new() };
    let mut rest = resolutions.as_slice();
    while let [first, ..] = rest {
        let (near, later) = rest.split_at(n_near(first.row, rest));
        exec.resolve_near(near)?;
        rest = later;
    }
    exec.finish()
}

/// Returns how many of the first rows are looked at together: those near the first one, each of them once.
fn n_near(first: RowId, rest: &[Resolution]) -> usize {
    let is_near = |pair: &[Resolution]| pair[0].row < pair[1].row && pair[1].row.get() - first.get() < ROWS_A_LOOK;
    1 + rest.windows(2).take_while(|pair| is_near(pair)).count()
}

/// A decision about one row, whoever made it.
#[derive(Debug)]
pub(super) struct Decision<'a> {
    pub(super) row: RowId,
    pub(super) event: RowEvent,
    pub(super) source: Source,
    pub(super) reason: Option<&'a str>,
    /// The request, where it exists.
    pub(super) uri: Option<&'a RequestUri>,
    /// The row that stands for this one, where it is replaced.
    pub(super) replaced_by: Option<RowId>,
}

impl<'a> Decision<'a> {
    /// A verdict that is a line of its own.
    fn of(resolution: &'a Resolution) -> Self {
        let uri = match &resolution.verdict {
            RowVerdict::Exists(uri) => Some(uri),
            RowVerdict::Absent
            | RowVerdict::AbsentForGood
            | RowVerdict::Contradicted
            | RowVerdict::LeftOut
            | RowVerdict::Elsewhere(_)
            | RowVerdict::Dropped
            | RowVerdict::Restored
            | RowVerdict::Again => None,
        };
        Self {
            row: resolution.row,
            event: RowEvent::of_verdict(&resolution.verdict, RowState::Skipped),
            source: resolution.source,
            reason: resolution.reason.as_deref(),
            uri,
            replaced_by: None,
        }
    }

    /// Returns the line to append about the row, which goes to `state`.
    fn line(&self, history: &RowHistory, state: RowState, session: u32, now: Timestamp) -> OutcomeLine {
        let line = OutcomeLine::new(history.next_verdict(), state, self.source, session, now);
        let reason = self.reason.map(str::to_owned);
        if !state.has_cause() {
            return OutcomeLine { message: reason, uri: self.uri.cloned(), replaced_by: self.replaced_by, ..line };
        }
        let last = history.last_attempt();
        let is_contradicted = self.event == RowEvent::Contradicted;
        let code = if is_contradicted { Some(ErrorCode::Contradicted) } else { last.and_then(|last| last.code) };
        OutcomeLine {
            code,
            message: reason.or_else(|| last.and_then(|last| last.message.clone())),
            http_status: last.and_then(|last| last.http_status),
            correlation_id: last.and_then(|last| last.correlation_id.clone()),
            ..line
        }
    }

    /// Appends the decision to what is known of its row.
    ///
    /// # Errors
    /// The run has no such row, it cannot go that way, or SQLite failed.
    pub(super) fn append(
        &self,
        conn: &Connection,
        history: &RowHistory,
        session: u32,
        now: Timestamp,
        tallies: &mut TallyChanges,
    ) -> Result<Decided, Fault> {
        let row = self.row;
        let loaded = Loaded::read(conn, row)?.ok_or(StepError::NoSuchRow { row })?;
        let before = history.state(loaded.state);
        let illegal = |illegal| StepError::Illegal { row, illegal };
        let after = before.next(self.event).map_err(illegal)?;
        if after == RowState::Created && loaded.kind.is_none() {
            // It was never a request, whatever became of it since.
            return Err(illegal(IllegalTransition { state: loaded.state, event: self.event }).into());
        }
        let line = self.line(history, after, session, now);
        line.insert(&mut OutcomeLine::prepare_insert(conn)?, row)?;
        let kind = loaded.request_type();
        tallies.shift(TallyKey::of(before, history.code(), kind), TallyKey::of(after, line.code, kind));
        Ok(Decided { before, after, loaded })
    }
}

/// What a decision did to its row.
#[derive(Debug)]
pub(super) struct Decided {
    before: RowState,
    after: RowState,
    loaded: Loaded,
}

struct ResolveExec<'a> {
    conn: &'a Connection,
    working: &'a mut Working,
    now: Timestamp,
    tallies: TallyChanges,
    /// The rows that were settled as created, with their requests.
    settled: Vec<(RowId, RequestUuid)>,
}

impl ResolveExec<'_> {
    /// Resolves rows that lie near each other, in the order of their numbers and each once.
    fn resolve_near(&mut self, near: &[Resolution]) -> Result<(), Fault> {
        let [first, ..] = near else { return Ok(()) };
        let last = near.last().unwrap_or(first);
        let mut histories = load_histories(self.conn, first.row.get(), last.row.get())?;
        for resolution in near {
            let history = histories.remove(&resolution.row.get()).unwrap_or_default();
            self.resolve_one(resolution, &history)?;
        }
        Ok(())
    }

    fn resolve_one(&mut self, resolution: &Resolution, history: &RowHistory) -> Result<(), Fault> {
        match &resolution.verdict {
            RowVerdict::Exists(_)
            | RowVerdict::Absent
            | RowVerdict::AbsentForGood
            | RowVerdict::Contradicted
            | RowVerdict::Again => self.decide(resolution, history),
            RowVerdict::LeftOut | RowVerdict::Dropped => self.leave_out(resolution, history, None),
            RowVerdict::Elsewhere(uuid) => self.leave_out(resolution, history, Some(*uuid)),
            RowVerdict::Restored => self.restore(resolution, history),
        }
    }

    fn decide(&mut self, resolution: &Resolution, history: &RowHistory) -> Result<(), Fault> {
        let decision = Decision::of(resolution);
        let done = decision.append(self.conn, history, self.working.session, self.now, &mut self.tallies)?;
        if history.left_out.is_some() {
            take_back(self.conn, resolution.row)?;
        }
        if done.before == RowState::Pending {
            self.unqueue(resolution.row, history)?;
        }
        if done.after == RowState::Pending {
            self.queue(resolution.row, history.attempt_after())?;
        }
        if let (Some(uri), Some(kind)) = (decision.uri, done.loaded.kind) {
            self.working.kinds.see(self.conn, kind, resolution.row, uri.uuid())?;
            self.settled.push((resolution.row, uri.uuid()));
        }
        Ok(())
    }

    fn leave_out(
        &mut self,
        resolution: &Resolution,
        history: &RowHistory,
        uuid: Option<RequestUuid>,
    ) -> Result<(), Fault> {
        let Resolution { row, verdict, source, reason } = resolution;
        let (loaded, before, after) = self.change(*row, verdict, history)?;
        let (attempt, reason) = (history.next_attempt, reason.as_deref());
        LeaveOut { row: *row, attempt, source: *source, reason, uuid }.insert(
            self.conn,
            self.working.session,
            self.now,
        )?;
        if before == RowState::Pending {
            self.unqueue(*row, history)?;
        }
        self.tallies.shift(
            TallyKey::of(before, history.code(), loaded.request_type()),
            TallyKey::of(after, None, loaded.request_type()),
        );
        Ok(())
    }

    fn restore(&mut self, resolution: &Resolution, history: &RowHistory) -> Result<(), Fault> {
        let row = resolution.row;
        let (loaded, before, after) = self.change(row, &resolution.verdict, history)?;
        take_back(self.conn, row)?;
        if after == RowState::Pending {
            match history.left_out.as_ref().and_then(|line| line.attempt).and_then(AttemptNo::new) {
                Some(attempt) => self.queue(row, attempt)?,
                // Claims in row order have passed it meanwhile. How far they came is written down, because a listed row tells
                // them nothing.
                None if row.get() <= self.working.fresh_after => {
                    self.queue(row, AttemptNo::FIRST)?;
                    note_fresh_after(self.conn, row)?;
                }
                None => {}
            }
        }
        self.tallies.shift(
            TallyKey::of(before, None, loaded.request_type()),
            TallyKey::of(after, history.code(), loaded.request_type()),
        );
        Ok(())
    }

    /// Returns what a row was loaded as, its state, and the one that a verdict takes it to.
    fn change(
        &self,
        row: RowId,
        verdict: &RowVerdict,
        history: &RowHistory,
    ) -> Result<(Loaded, RowState, RowState), Fault> {
        let loaded = Loaded::read(self.conn, row)?.ok_or(StepError::NoSuchRow { row })?;
        let before = history.state(loaded.state);
        let event = RowEvent::of_verdict(verdict, history.beneath(loaded.state));
        let after = before.next(event).map_err(|illegal| StepError::Illegal { row, illegal })?;
        Ok((loaded, before, after))
    }

    /// Takes a row out of those that may be claimed. A fresh one is not listed: its new line keeps it from being claimed.
    fn unqueue(&mut self, row: RowId, history: &RowHistory) -> rusqlite::Result<()> {
        if history.next_attempt.is_some() {
            let holder: Option<u32> = self
                .conn
                .prepare_cached("DELETE FROM pending_again WHERE run = ? AND row = ? RETURNING session")?
                .query_row((RUN, row), |line| line.get(0))?;
            self.working.n_free -= u64::from(holder != Some(self.working.session));
        }
        Ok(())
    }

    /// Lists a row as pending again, for anyone to claim.
    fn queue(&mut self, row: RowId, attempt: AttemptNo) -> rusqlite::Result<()> {
        self.conn
            .prepare_cached("INSERT INTO pending_again (run, row, attempt) VALUES (?, ?, ?)")?
            .execute((RUN, row, attempt))?;
        self.working.n_free += 1;
        Ok(())
    }

    fn finish(self) -> Result<(), Fault> {
        check_owners(self.conn, &self.settled)?;
        Ok(self.tallies.write(self.conn)?)
    }
}
