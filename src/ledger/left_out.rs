//! Rows that are left out since they were loaded, and rows that are not any more. A row that is left out keeps all that is known of
//! it, beneath a line that says why; without that line it is what it was.

use jiff::Timestamp;
use rusqlite::{Connection, OptionalExtension as _, params};

use super::error::LedgerError;
use super::history::Source;
use super::reader::Reader;
use super::schema::RUN;
use super::sql::Micros;
use super::state::RowState;
use super::tally::{count_in, load_tallies};
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
            self.row,
            self.attempt,
            self.source,
            session,
            Micros(now),
            self.reason,
            self.uuid,
        ])?;
        Ok(())
    }
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
    conn.prepare_cached("DELETE FROM left_out WHERE run = ? AND row = ?")?.execute((RUN, row))?;
    Ok(())
}

impl Reader {
    /// Returns why rows are skipped, with the first of each.
    ///
    /// # Errors
    /// The ledger cannot be read.
    pub fn skipped(&self) -> Result<Vec<SkipReason>, LedgerError> {
        self.read(|transaction| {
            let n_skipped = count_in(&load_tallies(transaction)?, RowState::Skipped);
            // The other columns are those of the line with the least row.
            let mut statement = transaction.prepare_cached(
                "SELECT count(*), min(row), reason, uuid FROM left_out WHERE run = ? GROUP BY uuid IS NULL ORDER BY uuid IS NULL",
            )?;
            let later = statement.query_map([RUN], |line| {
                let uuid: Option<RequestUuid> = line.get(3)?;
                Ok(SkipReason {
                    cause: if uuid.is_some() { SkipCause::Elsewhere } else { SkipCause::Dropped },
                    n: line.get(0)?,
                    row: Some(line.get(1)?),
                    message: line.get(2)?,
                    uuid,
                })
            })?;
            let later = later.collect::<rusqlite::Result<Vec<_>>>()?;
            let n_loaded = n_skipped.saturating_sub(later.iter().map(|reason| reason.n).sum());
            let mut all = Vec::new();
            if n_loaded > 0 {
                all.push(first_loaded(transaction, n_loaded)?);
            }
            all.extend(later);
            Ok(all)
        })
    }

    /// Returns who dropped a row, and why; none where no person did.
    ///
    /// # Errors
    /// The ledger cannot be read.
    pub fn dropped_by(&self, row: RowId) -> Result<Option<String>, LedgerError> {
        self.read(|transaction| {
            let mut statement = transaction.prepare_cached(
                "SELECT ifnull(reason, '') FROM left_out WHERE run = ? AND row = ? AND uuid IS NULL AND source = ?",
            )?;
            let reason = statement.query_row(params![RUN, row, Source::Person], |line| line.get(0));
            Ok(reason.optional()?)
        })
    }

    /// Returns the rows that are left out because a request of another run stands for theirs, with that request, in order.
    ///
    /// # Errors
    /// The ledger cannot be read.
    pub fn skipped_elsewhere(&self) -> Result<Vec<(RowId, RequestUuid)>, LedgerError> {
        self.read(|transaction| {
            let mut statement = transaction
                .prepare_cached("SELECT row, uuid FROM left_out WHERE run = ? AND uuid IS NOT NULL ORDER BY row")?;
            let rows = statement.query_map([RUN], |line| Ok((line.get(0)?, line.get(1)?)))?;
            Ok(rows.collect::<rusqlite::Result<_>>()?)
        })
    }
}

/// Returns the first row that was left out when it was loaded, and about which nothing was decided since.
fn first_loaded(conn: &Connection, n: u64) -> rusqlite::Result<SkipReason> {
    let mut statement = conn.prepare_cached(
        "SELECT row, skipped FROM items AS item WHERE run = ?1 AND skipped IS NOT NULL
             AND NOT EXISTS (SELECT 1 FROM outcomes WHERE run = ?1 AND row = item.row) ORDER BY row LIMIT 1",
    )?;
    let first = statement.query_row([RUN], |line| Ok((line.get(0)?, line.get(1)?))).optional()?;
    let (row, message) = first.unzip();
    Ok(SkipReason { cause: SkipCause::Loaded, n, row, message, uuid: None })
}
