//! Rows that are left out since they were loaded, and rows that are not any more. A row that is left out keeps all that is known of
//! it, beneath a line that says why; without that line it is what it was.

use rusqlite::Connection;

use super::error::LedgerError;
use super::history::Source;
use super::query;
use super::reader::Reader;
use super::resolution::{Resolution, RowVerdict};
use super::schema::RUN;
use super::session::Stamp;
use super::sql::Micros;
use super::state::RowState;
use super::tally::{count_in, load_tallies};
use crate::request::{AttemptNo, RequestUuid, RowId};

/// Why a row is left out, and what takes it back.
#[derive(Clone, Debug)]
pub(super) struct LeftOutLine {
    /// The number of its next attempt, where it was listed as pending again.
    pub(super) attempt: Option<AttemptNo>,
    pub(super) reason: Option<String>,
}

/// Leaves a row out, as is resolved; `attempt` is that of a listed row.
pub(super) fn insert_left_out(
    conn: &Connection,
    resolution: &Resolution,
    attempt: Option<AttemptNo>,
    stamp: Stamp,
) -> rusqlite::Result<()> {
    let Resolution { row, verdict, source, reason } = resolution;
    let uuid = if let RowVerdict::Elsewhere(uuid) = verdict { Some(uuid) } else { None };
    let sql = "INSERT INTO left_out (run, row, attempt, source, session, recorded_at, reason, uuid)
        VALUES (?, ?, ?, ?, ?, ?, ?, ?)";
    let Stamp { session, at } = stamp;
    query::change(conn, sql, (RUN, row, attempt, source, session, Micros(at), reason, uuid)).map(drop)
}

/// Why rows are skipped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SkipCause {
    /// They were left out when they were loaded.
    Loaded,
    /// A request of another run stands for them.
    Elsewhere,
    /// A person dropped them.
    Dropped,
}

/// How many rows are skipped for a cause, and the first of them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SkipReason {
    /// The cause.
    pub cause: SkipCause,
    /// How many rows.
    pub n: u64,
    /// The first of them; none where the ledger does not have it any more.
    pub row: Option<RowId>,
    /// Why that one is, in words for people.
    pub message: Option<String>,
    /// The request that stands for it.
    pub uuid: Option<RequestUuid>,
}

/// Deletes the line of a row.
pub(super) fn take_back(conn: &Connection, row: RowId) -> rusqlite::Result<()> {
    query::change(conn, "DELETE FROM left_out WHERE run = ? AND row = ?", (RUN, row)).map(drop)
}

impl Reader {
    /// Returns why rows are skipped, with the first of each.
    ///
    /// # Errors
    /// The ledger cannot be read.
    pub fn skipped(&self) -> Result<Vec<SkipReason>, LedgerError> {
        // The other columns are those of the line with the least row.
        let sql = "SELECT count(*), min(row), reason, uuid FROM left_out WHERE run = ?
            GROUP BY uuid IS NULL ORDER BY uuid IS NULL";
        self.read(|conn| {
            let n_skipped = count_in(&load_tallies(conn)?, RowState::Skipped);
            let later = query::all(conn, sql, [RUN], |line| {
                let uuid: Option<RequestUuid> = line.get(3)?;
                Ok(SkipReason {
                    cause: if uuid.is_some() { SkipCause::Elsewhere } else { SkipCause::Dropped },
                    n: line.get(0)?,
                    row: Some(line.get(1)?),
                    message: line.get(2)?,
                    uuid,
                })
            })?;
            let n_loaded = n_skipped.saturating_sub(later.iter().map(|reason| reason.n).sum());
            let loaded = if n_loaded > 0 { Some(first_loaded(conn, n_loaded)?) } else { None };
            Ok(loaded.into_iter().chain(later).collect())
        })
    }

    /// Returns who dropped a row, and why; none where no person did.
    ///
    /// # Errors
    /// The ledger cannot be read.
    pub fn dropped_by(&self, row: RowId) -> Result<Option<String>, LedgerError> {
        let sql = "SELECT ifnull(reason, '') FROM left_out WHERE run = ? AND row = ? AND uuid IS NULL AND source = ?";
        self.read(|conn| query::first(conn, sql, (RUN, row, Source::Person), |line| line.get(0)))
    }

    /// Returns the rows that are left out because a request of another run stands for theirs, with that request, in order.
    ///
    /// # Errors
    /// The ledger cannot be read.
    pub fn skipped_elsewhere(&self) -> Result<Vec<(RowId, RequestUuid)>, LedgerError> {
        let sql = "SELECT row, uuid FROM left_out WHERE run = ? AND uuid IS NOT NULL ORDER BY row";
        self.read(|conn| query::all(conn, sql, [RUN], |line| line.try_into()))
    }
}

/// Returns the first row that was left out when it was loaded, and about which nothing was decided since.
fn first_loaded(conn: &Connection, n: u64) -> rusqlite::Result<SkipReason> {
    let sql = "SELECT row, skipped FROM items AS item WHERE run = ?1 AND skipped IS NOT NULL
        AND NOT EXISTS (SELECT 1 FROM outcomes WHERE run = ?1 AND row = item.row) ORDER BY row LIMIT 1";
    let (row, message) = query::first(conn, sql, [RUN], |line| Ok((line.get(0)?, line.get(1)?)))?.unzip();
    Ok(SkipReason { cause: SkipCause::Loaded, n, row, message, uuid: None })
}
