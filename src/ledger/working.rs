//! What the writer remembers between steps, so that a step needs no look at rows that it does not touch; and what of it stands in
//! the file: the rows that are listed as pending again, how far claims in row order have come, the kinds that were created.

use std::collections::{HashMap, HashSet};

use jiff::Timestamp;
use rusqlite::Connection;

use super::error::Fault;
use super::item::kind_of;
use super::query::{self, UNDECIDED};
use super::step::Requeue;
use crate::request::{AttemptNo, ErrorCode, RequestKind, RequestUuid, RowId};

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
    /// When the run was told to run; none where it was only loaded.
    pub(super) started_at: Option<Timestamp>,
    /// The rows that are claimed; never more than the pipeline's window.
    pub(super) in_flight: HashMap<RowId, InFlight>,
    /// The last row that was claimed in row order, or was looked at for that; 0 before the first.
    pub(super) fresh_after: u32,
    /// How many rows are pending again and free for any claim.
    pub(super) n_free: u64,
    /// The kinds of request of which one was created.
    kinds: HashSet<RequestKind>,
}

impl Working {
    /// Reads what a new session needs to know. No row is claimed then, and none is held, since its holders are dead.
    pub(super) fn load(conn: &Connection, session: u32, started_at: Option<Timestamp>) -> rusqlite::Result<Self> {
        Ok(Self {
            session,
            started_at,
            in_flight: HashMap::new(),
            fresh_after: fresh_after(conn)?,
            n_free: query::value(conn, "SELECT count(*) FROM pending_again", [])?,
            kinds: load_kinds(conn)?.into_iter().map(|known| known.kind).collect(),
        })
    }

    /// Lists a row as pending again, with the number of its next attempt.
    pub(super) fn list(
        &mut self,
        conn: &Connection,
        row: RowId,
        attempt: AttemptNo,
        then: Requeue,
    ) -> rusqlite::Result<()> {
        let holder = match then {
            Requeue::Anyone => None,
            Requeue::Listed => Some(self.session),
        };
        let sql = "INSERT INTO pending_again (row, attempt, session) VALUES (?, ?, ?)";
        query::change(conn, sql, (row, attempt, holder))?;
        self.n_free += u64::from(holder.is_none());
        // No claim tells of a row that is listed and was never claimed how far claims in row order have come.
        if attempt == AttemptNo::FIRST { note_fresh_after(conn, row.get()) } else { Ok(()) }
    }

    /// Takes a row off the list, and returns the number of its next attempt; none where it is not on it.
    pub(super) fn unlist(&mut self, conn: &Connection, row: RowId) -> rusqlite::Result<Option<AttemptNo>> {
        let sql = "DELETE FROM pending_again WHERE row = ? RETURNING attempt, session";
        let listed: Option<(_, Option<u32>)> = query::first(conn, sql, [row], |line| line.try_into())?;
        let is_free = listed.is_some_and(|(_, holder)| holder != Some(self.session));
        self.n_free -= u64::from(is_free);
        Ok(listed.map(|(attempt, _)| attempt))
    }

    /// Keeps a listed row for this session's claims by number.
    pub(super) fn hold(&mut self, conn: &Connection, row: RowId) -> rusqlite::Result<()> {
        let sql = "UPDATE pending_again SET session = ?1 WHERE row = ?2 AND session IS NOT ?1";
        self.n_free -= query::change(conn, sql, (self.session, row))? as u64;
        Ok(())
    }

    /// Lets any claim take the rows that this session holds for itself.
    pub(super) fn release(&mut self, conn: &Connection) -> rusqlite::Result<()> {
        let sql = "UPDATE pending_again SET session = NULL WHERE session = ?";
        self.n_free += query::change(conn, sql, [self.session])? as u64;
        Ok(())
    }

    /// Lists the rows up to `through` that were never claimed as pending, with their first attempt to come, and lets claims in row
    /// order go on behind them.
    ///
    /// A part of a run (`--ids`, `--limit`, a narrowed replay) is claimed by number. Claims in row order know of no gaps: all
    /// they remember is how far they came. So the rows between those that are claimed by number are listed too, else they would be
    /// passed over and never sent; and how far that went is written down, because the claims alone do not tell it when none of
    /// the listed rows was claimed.
    pub(super) fn detach(&mut self, conn: &Connection, through: RowId) -> rusqlite::Result<()> {
        // Rows that are appended later are none of those that are meant, whatever number was given.
        let last: u32 = query::value(conn, "SELECT ifnull(sum(n_rows), 0) FROM manifests", [])?;
        let through = through.get().min(last);
        if self.fresh_after >= through {
            return Ok(());
        }
        let sql = format!(
            "INSERT INTO pending_again (row, attempt) SELECT row, ? FROM items i
             WHERE row > ? AND row <= ? AND reason IS NULL AND {UNDECIDED}"
        );
        let n_listed = query::change(conn, &sql, (AttemptNo::FIRST, self.fresh_after, through))?;
        self.n_free += n_listed as u64;
        self.fresh_after = through;
        note_fresh_after(conn, through)
    }

    /// Writes down a kind of request where this is its first row that is created.
    pub(super) fn see_created(
        &mut self,
        conn: &Connection,
        kind: RequestKind,
        row: RowId,
        uuid: RequestUuid,
    ) -> rusqlite::Result<()> {
        if self.kinds.insert(kind) {
            let sql = "INSERT INTO kinds (type, template, row, uuid) VALUES (?, ?, ?, ?)";
            query::change(conn, sql, (kind.request_type, kind.template, row, uuid))?;
        }
        Ok(())
    }
}

/// Returns the row up to which no row is claimed in row order any more, or 0: the last that was, or that was passed over
/// by [`detach`](Working::detach).
///
/// Attempt 1 is claimed in row order, or by number after the row was passed over; so the last claim of it and the mark of
/// what was passed over tell it together.
pub(super) fn fresh_after(conn: &Connection) -> rusqlite::Result<u32> {
    let sql = "SELECT max(fresh_after, ifnull((SELECT last_row FROM claims
            WHERE attempt = 1 ORDER BY first_row DESC LIMIT 1), 0)) FROM run";
    query::value(conn, sql, [])
}

/// Writes down that no row up to this one is claimed in row order any more: where rows are listed that were never claimed, the
/// claims do not tell it.
fn note_fresh_after(conn: &Connection, row: u32) -> rusqlite::Result<()> {
    query::change(conn, "UPDATE run SET fresh_after = max(fresh_after, ?)", [row]).map(drop)
}

/// A kind of request of which one was created.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KindRecord {
    /// The kind.
    pub kind: RequestKind,
    /// The first row of it that was created.
    pub row: RowId,
    /// That row's request.
    pub uuid: RequestUuid,
    /// What was read back of it, or why nothing could be; none where nobody looked yet.
    pub read_back: Option<String>,
}

/// Notes what was read back of a kind's first row.
///
/// # Errors
/// Nothing of this kind was created, or SQLite failed.
pub(super) fn note_read_back(conn: &Connection, kind: RequestKind, text: &str) -> Result<(), Fault> {
    let n_changed = query::change(
        conn,
        "UPDATE kinds SET read_back = ? WHERE type = ? AND template IS ?",
        (text, kind.request_type, kind.template),
    )?;
    if n_changed == 0 { Err(Fault::Refused(format!("no {kind} was created"))) } else { Ok(()) }
}

/// Reads all kinds, in the order of type and template.
pub(super) fn load_kinds(conn: &Connection) -> rusqlite::Result<Vec<KindRecord>> {
    let sql = "SELECT type, template, row, uuid, read_back FROM kinds ORDER BY type, template";
    query::all(conn, sql, [], |line| {
        Ok(KindRecord { kind: kind_of(line, 0)?, row: line.get(2)?, uuid: line.get(3)?, read_back: line.get(4)? })
    })
}
