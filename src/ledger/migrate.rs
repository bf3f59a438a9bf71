//! Bringing an older ledger to the tables of this program.

use jiff::Timestamp;
use rusqlite::Connection;

use super::kinds::KINDS_OF_ROWS;
use super::schema::{INDEX_OF_2, TABLES_OF_2, VERSION, version};
use super::session::insert_event;
use super::view::results_view;

/// Brings an older ledger to [`VERSION`], as a part of the transaction that begins a session: a process that dies leaves the old
/// ledger or the new one.
pub(super) fn migrate(conn: &Connection, session: u32, now: Timestamp) -> rusqlite::Result<()> {
    let found = version(conn)?;
    if found == VERSION {
        return Ok(());
    }
    conn.execute_batch(TABLES_OF_2)?;
    conn.execute_batch(INDEX_OF_2)?;
    conn.execute_batch(&format!(
        "INSERT INTO kinds (run, type, template, row, uuid, read_back) {KINDS_OF_ROWS}; DROP VIEW IF EXISTS results;"
    ))?;
    conn.execute_batch(&results_view())?;
    conn.pragma_update(None, "user_version", VERSION)?;
    insert_event(conn, session, now, "migration", &format!("from version {found} of the tables to {VERSION}"))
}
