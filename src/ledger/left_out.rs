//! Reading why rows are skipped.

use rusqlite::Connection;

use super::error::LedgerError;
use super::history::Source;
use super::query;
use super::reader::Reader;
use super::state::RowState;
use super::tally::{count_in, load_tallies};
use crate::request::{RequestUuid, RowId};

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

impl Reader {
    /// Returns why rows are skipped, with the first of each.
    ///
    /// # Errors
    /// The ledger cannot be read.
    pub fn skipped(&self) -> Result<Vec<SkipReason>, LedgerError> {
        // The other columns are those of the line with the least row.
        let sql = "SELECT count(*), min(row), reason, uuid FROM left_out
            GROUP BY uuid IS NULL ORDER BY uuid IS NULL";
        self.read(|conn| {
            let n_skipped = count_in(&load_tallies(conn)?, RowState::Skipped);
            let later = query::all(conn, sql, [], |line| {
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
        let sql = "SELECT ifnull(reason, '') FROM left_out WHERE row = ? AND uuid IS NULL AND source = ?";
        self.read(|conn| query::first(conn, sql, (row, Source::Person), |line| line.get(0)))
    }

    /// Returns the rows that are left out because a request of another run stands for theirs, with that request, in order.
    ///
    /// # Errors
    /// The ledger cannot be read.
    pub fn skipped_elsewhere(&self) -> Result<Vec<(RowId, RequestUuid)>, LedgerError> {
        let sql = "SELECT row, uuid FROM left_out WHERE uuid IS NOT NULL ORDER BY row";
        self.read(|conn| query::all(conn, sql, [], |line| line.try_into()))
    }
}

/// Returns the first row that was left out when it was loaded, and about which nothing was decided since.
fn first_loaded(conn: &Connection, n: u64) -> rusqlite::Result<SkipReason> {
    let sql = "SELECT row, reason FROM items i WHERE reason IS NOT NULL AND original IS NULL
        AND NOT EXISTS (SELECT 1 FROM outcomes o WHERE o.row = i.row) ORDER BY row LIMIT 1";
    let (row, message) = query::first(conn, sql, [], |line| Ok((line.get(0)?, line.get(1)?)))?.unzip();
    Ok(SkipReason { cause: SkipCause::Loaded, n, row, message, uuid: None })
}
