//! What the writer remembers between steps, so that a step needs no look at rows that it does not touch.

use std::collections::HashMap;

use rusqlite::Connection;

use super::schema::RUN;
use super::state::RowState;
use super::tally::{count_in, load_tallies};
use crate::request::{AttemptNo, ErrorCode, RequestType, RowId};

/// A row that is claimed.
#[derive(Clone, Copy, Debug)]
pub(super) struct InFlight {
    /// The attempt that may be made.
    pub(super) attempt: AttemptNo,
    /// The row's type.
    pub(super) kind: RequestType,
    /// What the attempt before ended with, where there was one.
    pub(super) last_code: Option<ErrorCode>,
}

/// Returns the last row that was claimed in row order, or 0.
pub(super) fn last_claimed(conn: &Connection) -> rusqlite::Result<u32> {
    conn.prepare_cached(
        "SELECT ifnull((SELECT last_row FROM claims WHERE run = ? AND attempt = 1 ORDER BY first_row DESC LIMIT 1), 0)",
    )?
    .query_row([RUN], |row| row.get(0))
}

/// The writer's memory. All of it follows from the tables; a step works on a copy, which takes the place of the original when
/// the step's commit is durable.
#[derive(Clone, Debug)]
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
}

impl Working {
    /// Reads what a new session needs to know. No row is claimed then, and none is held, since its holders are dead.
    pub(super) fn load(conn: &Connection, session: u32) -> rusqlite::Result<Self> {
        let fresh_after = last_claimed(conn)?;
        let n_free: i64 =
            conn.query_row("SELECT count(*) FROM pending_again WHERE run = ?", [RUN], |row| row.get(0))?;
        Ok(Self {
            session,
            in_flight: HashMap::new(),
            fresh_after,
            n_free: n_free.unsigned_abs(),
            n_pending: count_in(&load_tallies(conn)?, RowState::Pending),
        })
    }
}
