//! What the writer remembers between steps, so that a step needs no look at rows that it does not touch.

use std::collections::HashMap;

use rusqlite::Connection;

use super::kinds::KnownKinds;
use super::schema::RUN;
use crate::request::{AttemptNo, ErrorCode, RequestKind, RowId};

/// A row that is claimed.
#[derive(Clone, Copy, Debug)]
pub(super) struct InFlight {
    /// The attempt that may be made.
    pub(super) attempt: AttemptNo,
    /// What the row asks for.
    pub(super) kind: RequestKind,
    /// What the attempt before ended with, where there was one.
    pub(super) last_code: Option<ErrorCode>,
}

const LAST_FIRST_CLAIM: &str =
    "SELECT ifnull((SELECT last_row FROM claims WHERE run = ? AND attempt = 1 ORDER BY first_row DESC LIMIT 1), 0)";

/// Returns the row up to which no row is claimed in row order any more, or 0: the last that was, or that was passed over
/// by [`detach`](super::detach::detach).
///
/// Attempt 1 is claimed in row order, or by number after the row was passed over; so the last claim of it and the mark of
/// what was passed over tell it together.
pub(super) fn fresh_after(conn: &Connection) -> rusqlite::Result<u32> {
    let passed_over: u32 =
        conn.prepare_cached("SELECT fresh_after FROM progress WHERE run = ?")?.query_row([RUN], |row| row.get(0))?;
    let claimed: u32 = conn.prepare_cached(LAST_FIRST_CLAIM)?.query_row([RUN], |row| row.get(0))?;
    Ok(passed_over.max(claimed))
}

/// Writes down that no row up to this one is claimed in row order any more: where rows are listed that were never claimed, the
/// claims do not tell it.
pub(super) fn note_fresh_after(conn: &Connection, row: RowId) -> rusqlite::Result<()> {
    conn.prepare_cached("UPDATE progress SET fresh_after = max(fresh_after, ?) WHERE run = ?")?.execute((row, RUN))?;
    Ok(())
}

/// The writer's memory. All of it follows from the tables; a step works on a copy, which takes the place of the original when
/// the step's commit is durable.
#[derive(Debug)]
pub(super) struct Working {
    /// The session's number.
    pub(super) session: u32,
    /// The rows that are claimed; never more than the pipeline's window.
    pub(super) in_flight: HashMap<RowId, InFlight>,
    /// The last row that was claimed in row order, or was looked at for that; 0 before the first.
    pub(super) fresh_after: u32,
    /// How many rows are pending again and free for any claim.
    pub(super) n_free: u64,
    /// The kinds of request of which one was created.
    pub(super) kinds: KnownKinds,
}

impl Clone for Working {
    fn clone(&self) -> Self {
        Self { in_flight: self.in_flight.clone(), kinds: self.kinds.clone(), ..*self }
    }

    /// Uses the room of the rows again, which every step would have to ask for otherwise.
    fn clone_from(&mut self, other: &Self) {
        let mut in_flight = std::mem::take(&mut self.in_flight);
        in_flight.clone_from(&other.in_flight);
        *self = Self { in_flight, kinds: other.kinds.clone(), ..*other };
    }
}

impl Working {
    /// Reads what a new session needs to know. No row is claimed then, and none is held, since its holders are dead.
    pub(super) fn load(conn: &Connection, session: u32) -> rusqlite::Result<Self> {
        let n_free: i64 =
            conn.query_row("SELECT count(*) FROM pending_again WHERE run = ?", [RUN], |row| row.get(0))?;
        Ok(Self {
            session,
            in_flight: HashMap::new(),
            fresh_after: fresh_after(conn)?,
            n_free: n_free.unsigned_abs(),
            kinds: KnownKinds::load(conn)?,
        })
    }
}
