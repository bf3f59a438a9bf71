//! What the writer remembers between steps, so that a step needs no look at rows that it does not touch.

use std::collections::HashMap;

use rusqlite::Connection;

use super::kinds::KnownKinds;
use super::schema::RUN;
use super::sql::Sql;
use super::state::RowState;
use super::tally::{count_in, load_tallies};
use super::watermark::Progress;
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
    Ok(passed_over.max(fresh_after_of_1(conn)?))
}

/// Returns what [`fresh_after`] does of a ledger of version 1, in which no row was passed over.
pub(super) fn fresh_after_of_1(conn: &Connection) -> rusqlite::Result<u32> {
    conn.prepare_cached(LAST_FIRST_CLAIM)?.query_row([RUN], |row| row.get(0))
}

/// Reads how far the run has come, as the tables tell it; passes over all claims.
pub(super) fn load_progress(conn: &Connection, session: u32) -> rusqlite::Result<Progress> {
    let (claimed, n_claims): (u32, i64) =
        conn.query_row("SELECT ifnull(max(last_row), 0), count(*) FROM claims WHERE run = ?", [RUN], |row| {
            Ok((row.get(0)?, row.get(1)?))
        })?;
    let n_again: Sql<u64> = conn.query_row("SELECT n_again FROM progress WHERE run = ?", [RUN], |row| row.get(0))?;
    Ok(Progress {
        session,
        claimed: claimed.max(fresh_after(conn)?),
        n_claims: n_claims.unsigned_abs(),
        n_again: n_again.0,
    })
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
    /// How many rows are pending in all.
    pub(super) n_pending: u64,
    /// The kinds of request of which one was created.
    pub(super) kinds: KnownKinds,
    /// The highest row that was ever claimed, or passed over; 0 before the first.
    pub(super) claimed: u32,
    /// How many claims are on record.
    pub(super) n_claims: u64,
    /// How many failed rows a person has ordered to be sent again.
    pub(super) n_again: u64,
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
        let Progress { claimed, n_claims, n_again, .. } = load_progress(conn, session)?;
        Ok(Self {
            session,
            in_flight: HashMap::new(),
            fresh_after: fresh_after(conn)?,
            n_free: n_free.unsigned_abs(),
            n_pending: count_in(&load_tallies(conn)?, RowState::Pending),
            kinds: KnownKinds::load(conn)?,
            claimed,
            n_claims,
            n_again,
        })
    }

    /// Returns how far the run has come.
    pub(super) const fn progress(&self) -> Progress {
        Progress { session: self.session, claimed: self.claimed, n_claims: self.n_claims, n_again: self.n_again }
    }
}
