//! The requests of other runs beside which a person wants those of this run sent.

use jiff::Timestamp;
use rusqlite::{Connection, params};

use super::error::LedgerError;
use super::reader::Reader;
use super::schema::RUN;
use super::sql::Micros;
use crate::request::RequestUuid;

/// Writes accepted requests; those that are there stay as they are.
pub(super) fn accept_hits(
    conn: &Connection,
    session: u32,
    now: Timestamp,
    hits: &[RequestUuid],
) -> rusqlite::Result<()> {
    let mut insert = conn.prepare_cached(
        "INSERT INTO accepted_hits (run, uuid, session, recorded_at) VALUES (?, ?, ?, ?) ON CONFLICT DO NOTHING",
    )?;
    for &uuid in hits {
        insert.execute(params![RUN, uuid, session, Micros(now)])?;
    }
    Ok(())
}

impl Reader {
    /// Returns the requests of other runs that a person has accepted ([`Ledger::accept_hits`](super::Ledger::accept_hits)),
    /// sorted.
    ///
    /// # Errors
    /// The ledger cannot be read.
    pub fn accepted_hits(&self) -> Result<Vec<RequestUuid>, LedgerError> {
        self.read(|transaction| {
            let mut statement =
                transaction.prepare_cached("SELECT uuid FROM accepted_hits WHERE run = ? ORDER BY uuid")?;
            let hits = statement.query_map([RUN], |line| line.get(0))?;
            Ok(hits.collect::<rusqlite::Result<_>>()?)
        })
    }
}
