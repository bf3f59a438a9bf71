//! What the writer remembers between steps, so that a step needs no look at rows that it does not touch.

use std::collections::HashMap;

use rusqlite::Connection;

use super::kinds::KnownKinds;
use super::pending::fresh_after;
use super::query;
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
    /// The kinds of request of which one was created.
    pub(super) kinds: KnownKinds,
}

impl Working {
    /// Reads what a new session needs to know. No row is claimed then, and none is held, since its holders are dead.
    pub(super) fn load(conn: &Connection, session: u32) -> rusqlite::Result<Self> {
        Ok(Self {
            session,
            in_flight: HashMap::new(),
            fresh_after: fresh_after(conn)?,
            n_free: query::value(conn, "SELECT count(*) FROM pending_again WHERE run = ?", [RUN])?,
            kinds: KnownKinds::load(conn)?,
        })
    }
}
