//! Verdicts: what is decided about rows outside of their attempts, inside one transaction. A row that is left out keeps all that is
//! known of it, beneath a line that says why; without that line it is what it was.

use rusqlite::Connection;

use super::error::Fault;
use super::history::{OutcomeLine, RowHistory, Source, load_histories};
use super::item::{LoadRow, load_row};
use super::lookup::rows_of;
use super::query::{self, Micros};
use super::run::Stamp;
use super::state::{IllegalTransition, RowEvent, RowState};
use super::step::Requeue;
use super::tally::TallyChanges;
use super::working::Working;
use crate::request::{AttemptNo, ErrorCode, RequestUri, RequestUuid, RowId};

/// A decision about one row that is not how an attempt ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Resolution {
    /// The row.
    pub row: RowId,
    /// What is decided.
    pub verdict: RowVerdict,
    /// Who says so.
    pub source: Source,
    /// Why, in words for people; kept as the row's message. None keeps the message of its last attempt.
    pub reason: Option<String>,
}

/// What can be decided about a row, and from which states.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RowVerdict {
    /// The request exists: in_doubt, pending, failed, skipped, replaced or created (as another request) -> created. No two rows
    /// are one request when all verdicts of a call are taken, so that two rows can exchange theirs.
    Exists(RequestUri),
    /// It does not, and the row may be sent again: in_doubt -> pending.
    Absent,
    /// It does not, and the row is not sent again by itself: in_doubt -> failed, with the cause of its last attempt.
    AbsentForGood,
    /// The server has a request with the row's tag that is not the row's, or the row's request under another row's tag:
    /// in_doubt, pending, failed or created -> in_doubt.
    Contradicted,
    /// It is left out on purpose: pending or failed -> skipped.
    LeftOut,
    /// It is left out because this request of another run stands for it: pending or failed -> skipped.
    Elsewhere(RequestUuid),
    /// It is closed by a person: pending, failed, in_doubt or invalid -> skipped.
    Dropped,
    /// It is not left out any more, and is what it was before: its state, its cause, its place among the pending, its next attempt
    /// and what counts of the earlier ones. Not for rows that were skipped when they were loaded.
    Restored,
    /// It is to be sent again on a person's order: failed -> pending. Attempts before this no longer count.
    Again,
}

/// An entry for the audit trail.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AuditEvent {
    /// What kind of event.
    pub kind: String,
    /// What happened.
    pub detail: String,
}

/// Among how many rows histories are read together.
const ROWS_A_LOOK: u32 = 1000;

/// Decides about rows. The caller commits, or rolls back and forgets `working`.
///
/// # Errors
/// A row cannot go that way, or SQLite failed. Either way the transaction must be rolled back.
pub(super) fn resolve(
    conn: &Connection,
    working: &mut Working,
    mut resolutions: Vec<Resolution>,
    stamp: Stamp,
) -> Result<(), Fault> {
    // Stable, so that two verdicts on one row are taken in their order.
    resolutions.sort_by_key(|resolution| resolution.row);
    let mut exec = ResolveExec { conn, working, stamp, tallies: TallyChanges::default(), settled: Vec::new() };
    // Those whose histories are read together, each row once.
    let is_near = |one: &Resolution, next: &Resolution| {
        one.row < next.row && one.row.get() / ROWS_A_LOOK == next.row.get() / ROWS_A_LOOK
    };
    for near in resolutions.chunk_by(is_near) {
        let (first, last) = (near[0].row.get(), near[near.len() - 1].row.get());
        let mut histories = load_histories(conn, first, last)?;
        for resolution in near {
            exec.resolve_one(resolution, &histories.remove(&resolution.row.get()).unwrap_or_default())?;
        }
    }
    check_owners(conn, &exec.settled)?;
    Ok(exec.tallies.write(conn)?)
}

/// How a row goes from one state to another.
#[derive(Debug)]
pub(super) struct Change {
    pub(super) loaded: LoadRow,
    pub(super) before: RowState,
    pub(super) after: RowState,
}

impl Change {
    /// Returns how the row goes by the event that `event` returns for the state that it has when it is not left out.
    ///
    /// # Errors
    /// The run has no such row, it cannot go that way, or SQLite failed.
    pub(super) fn of(
        conn: &Connection,
        row: RowId,
        history: &RowHistory,
        event: impl FnOnce(RowState) -> RowEvent,
    ) -> Result<Self, Fault> {
        let loaded = load_row(conn, row)?.ok_or_else(|| Fault::no_such_row(row))?;
        let event = event(history.beneath(loaded.state()));
        let before = history.state(loaded.state());
        let after = match before.next(event) {
            // It was never a request, whatever became of it since.
            Ok(RowState::Created) if loaded.request().is_none() => {
                Err(IllegalTransition { state: loaded.state(), event })
            }
            next => next,
        };
        let after = after.map_err(|illegal| Fault::illegal(row, illegal))?;
        Ok(Self { loaded, before, after })
    }
}

struct ResolveExec<'a> {
    conn: &'a Connection,
    working: &'a mut Working,
    stamp: Stamp,
    tallies: TallyChanges,
    /// The rows that were settled as created, with their requests.
    settled: Vec<(RowId, RequestUuid)>,
}

impl ResolveExec<'_> {
    fn resolve_one(&mut self, resolution: &Resolution, history: &RowHistory) -> Result<(), Fault> {
        let Resolution { row, verdict, source, reason } = resolution;
        let change = Change::of(self.conn, *row, history, |beneath| RowEvent::of_verdict(verdict, beneath))?;
        let code = match verdict {
            RowVerdict::Exists(_)
            | RowVerdict::Absent
            | RowVerdict::AbsentForGood
            | RowVerdict::Contradicted
            | RowVerdict::Again => {
                let line = line_of(resolution, history, change.after, self.stamp);
                line.insert(&mut OutcomeLine::prepare_insert(self.conn)?, *row)?;
                line.code
            }
            RowVerdict::LeftOut | RowVerdict::Elsewhere(_) | RowVerdict::Dropped => {
                let uuid = if let RowVerdict::Elsewhere(uuid) = verdict { Some(uuid) } else { None };
                let (attempt, Stamp { session, at }) = (history.next_attempt, self.stamp);
                let sql = "INSERT INTO left_out (row, attempt, source, session, recorded_at, reason, uuid)
                    VALUES (?, ?, ?, ?, ?, ?, ?)";
                query::change(self.conn, sql, (row, attempt, source, session, Micros(at), reason, uuid))?;
                None
            }
            RowVerdict::Restored => history.code(),
        };
        if history.left_out.is_some() {
            query::change(self.conn, "DELETE FROM left_out WHERE row = ?", [row])?;
        }
        if change.before == RowState::Pending {
            // A fresh row is not listed: its new line keeps it from being claimed.
            self.working.unlist(self.conn, *row)?;
        }
        if change.after == RowState::Pending {
            self.list(*row, history)?;
        }
        if let (RowVerdict::Exists(uri), Some(request)) = (verdict, change.loaded.request()) {
            self.working.see_created(self.conn, request.request_kind(), *row, uri.uuid())?;
            self.settled.push((*row, uri.uuid()));
        }
        let kind = change.loaded.request_type();
        self.tallies.shift(kind, (change.before, history.code()), (change.after, code));
        Ok(())
    }

    /// Lists a row as pending again, for anyone to claim.
    fn list(&mut self, row: RowId, history: &RowHistory) -> rusqlite::Result<()> {
        let attempt = match &history.left_out {
            None => history.attempt_after(),
            Some(left_out) => match left_out.attempt {
                Some(attempt) => attempt,
                // Claims in row order have passed it meanwhile.
                None if row.get() <= self.working.fresh_after => AttemptNo::FIRST,
                None => return Ok(()),
            },
        };
        self.working.list(self.conn, row, attempt, Requeue::Anyone)
    }
}

/// Returns the line to append about a row that goes to `after`.
fn line_of(resolution: &Resolution, history: &RowHistory, after: RowState, stamp: Stamp) -> OutcomeLine {
    let Resolution { verdict, source, reason, .. } = resolution;
    let line = OutcomeLine::new(history.next_verdict(), after, *source, stamp);
    if let RowVerdict::Exists(uri) = verdict {
        return OutcomeLine { message: reason.clone(), uri: Some(uri.clone()), ..line };
    }
    let last = history.last_attempt();
    let is_contradicted = *verdict == RowVerdict::Contradicted;
    let code = if is_contradicted { Some(ErrorCode::Contradicted) } else { last.and_then(|last| last.code) };
    OutcomeLine {
        code,
        message: reason.clone().or_else(|| last.and_then(|last| last.message.clone())),
        http_status: last.and_then(|last| last.http_status),
        correlation_id: last.and_then(|last| last.correlation_id.clone()),
        ..line
    }
}

/// Checks that none of the requests that rows were settled with is another row's too.
fn check_owners(conn: &Connection, settled: &[(RowId, RequestUuid)]) -> Result<(), Fault> {
    for &(row, uuid) in settled {
        if let Some(other) = rows_of(conn, uuid)?.into_iter().find(|owner| *owner != row) {
            return Err(Fault::Refused(format!("row {row} cannot be request {uuid}, which is that of row {other}")));
        }
    }
    Ok(())
}
