//! Rows that are left out since they were loaded, and rows that are not any more. A row that is left out keeps all that is known of
//! it, beneath a line that says why; without that line it is what it was.

use jiff::Timestamp;
use rusqlite::{Connection, params};

use super::error::LedgerError;
use super::history::Source;
use super::reader::Reader;
use super::schema::RUN;
use super::sql::Sql;
use crate::request::{RequestUuid, RowId};

/// Why a row is left out, and what takes it back.
#[derive(Clone, Debug)]
pub(super) struct LeftOutLine {
    /// The number of its next attempt, where it was listed as pending again.
    pub(super) attempt: Option<u32>,
    pub(super) reason: Option<String>,
}

/// A row to leave out.
#[derive(Debug)]
pub(super) struct LeaveOut<'a> {
    pub(super) row: RowId,
    pub(super) attempt: Option<u32>,
    pub(super) source: Source,
    pub(super) reason: Option<&'a str>,
    /// The request of another run that stands for the row's.
    pub(super) uuid: Option<RequestUuid>,
}

impl LeaveOut<'_> {
    /// Writes the line.
    pub(super) fn insert(&self, conn: &Connection, session: u32, now: Timestamp) -> rusqlite::Result<()> {
        conn.prepare_cached(
            "INSERT INTO left_out (run, row, attempt, source, session, recorded_at, reason, uuid)
             VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
        )?
        .execute(params![
            RUN,
            Sql(self.row),
            self.attempt,
            Sql(self.source),
            session,
            Sql(now),
            self.reason,
            self.uuid.map(Sql),
        ])?;
        Ok(())
    }
}

/// Deletes the line of a row.
pub(super) fn take_back(conn: &Connection, row: RowId) -> rusqlite::Result<()> {
    conn.prepare_cached("DELETE FROM left_out WHERE run = ? AND row = ?")?.execute((RUN, Sql(row)))?;
    Ok(())
}

impl Reader {
    /// Returns the rows that are left out because a request of another run stands for theirs, with that request, in order.
    ///
    /// # Errors
    /// The ledger cannot be read.
    pub fn skipped_elsewhere(&self) -> Result<Vec<(RowId, RequestUuid)>, LedgerError> {
        self.read(|transaction| {
            let mut statement = transaction
                .prepare_cached("SELECT row, uuid FROM left_out WHERE run = ? AND uuid IS NOT NULL ORDER BY row")?;
            let rows = statement.query_map([RUN], |line| {
                Ok((line.get::<_, Sql<RowId>>(0)?.0, line.get::<_, Sql<RequestUuid>>(1)?.0))
            })?;
            Ok(rows.collect::<rusqlite::Result<_>>()?)
        })
    }
}
