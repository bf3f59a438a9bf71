//! Whose a request is: a uuid belongs to one row.

use rusqlite::{Connection, Statement};

use super::error::{Fault, LedgerError};
use super::query::LAST_WORD;
use super::reader::Reader;
use crate::request::{ErrorCode, Fault as Answer, RequestUuid, RowId};

/// Returns the statement that finds the rows that are created now as a request. Left to itself, SQLite would rather pass over all outcomes, which are in the
/// wanted order.
pub(super) fn rows_of_uuid() -> String {
    format!(
        "SELECT row FROM outcomes o INDEXED BY outcomes_by_uuid WHERE uuid = ? AND state = 'created' AND {LAST_WORD}
         ORDER BY row LIMIT 2"
    )
}

/// Returns the first row that is created now as this request, and a second one, which is only there while verdicts are taken.
pub(super) fn rows_of(
    lookup: &mut Statement<'_>,
    uuid: RequestUuid,
) -> rusqlite::Result<(Option<RowId>, Option<RowId>)> {
    let mut rows = lookup.query([uuid])?;
    let mut next = || rows.next()?.map(|line| line.get(0)).transpose();
    Ok((next()?, next()?))
}

/// What becomes of a row whose call was answered with another row's request: nobody knows which of them it is.
pub(super) fn shared_with(other: RowId, uuid: RequestUuid) -> Answer {
    Answer {
        code: ErrorCode::UuidShared,
        http_status: Some(201),
        message: format!("the server answered with request {uuid}, which is that of row {other}"),
        correlation_id: None,
    }
}

/// Checks that none of the requests that rows were settled with is another row's too.
///
/// # Errors
/// One of them is, or SQLite failed.
pub(super) fn check_owners(conn: &Connection, settled: &[(RowId, RequestUuid)]) -> Result<(), Fault> {
    let mut lookup = conn.prepare_cached(&rows_of_uuid())?;
    for &(row, uuid) in settled {
        if let (Some(first), Some(second)) = rows_of(&mut lookup, uuid)? {
            let other = if first == row { second } else { first };
            return Err(Fault::Refused(format!("row {row} cannot be request {uuid}, which is that of row {other}")));
        }
    }
    Ok(())
}

impl Reader {
    /// Returns the row that is created now as this request, or none. One lookup by index.
    ///
    /// # Errors
    /// The ledger cannot be read.
    pub fn row_of_uuid(&self, uuid: RequestUuid) -> Result<Option<RowId>, LedgerError> {
        self.read(|conn| Ok(rows_of(&mut *conn.prepare_cached(&rows_of_uuid())?, uuid)?.0))
    }
}
