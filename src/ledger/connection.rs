//! Opening the SQLite file, with what keeps it durable and private.

use std::path::Path;
use std::time::Duration;

use rusqlite::config::DbConfig;
use rusqlite::{Connection, OpenFlags};
use url::Url;

use super::error::{Fault, LedgerError};
use super::path::{beside, check_has_one_name, check_is_file, check_is_local};
use super::schema::check_file;
use crate::platform::{can_write, folder_of};

/// How long SQLite waits for another connection's moment (a reader that opens, a reader's page during a checkpoint).
const BUSY_TIMEOUT: Duration = Duration::from_secs(5);

/// How many statements stay prepared; the writer uses about twenty.
const PREPARED_STATEMENTS: usize = 48;

/// Opens the file that a new ledger is loaded into: private to this process, so without journal, and durable only by the
/// sync at the end.
pub(super) fn open_for_load(path: &Path) -> rusqlite::Result<Connection> {
    let conn = open(path, OpenFlags::SQLITE_OPEN_READ_WRITE)?;
    conn.execute_batch("PRAGMA journal_mode = OFF; PRAGMA synchronous = OFF; PRAGMA cache_size = -4096;")?;
    Ok(conn)
}

/// Opens the one writable connection of a ledger whose lock is held.
pub(super) fn open_for_writing(path: &Path) -> Result<Connection, LedgerError> {
    check_is_file(path)?;
    check_has_one_name(path)?;
    let at = |error| Fault::from(error).at(path);
    let conn = open(path, OpenFlags::SQLITE_OPEN_READ_WRITE).map_err(at)?;
    if has_log_with_rows(path) {
        // What is left of a dead session is not touched before the ledger is known to be sound.
        never_fold(&conn).map_err(at)?;
    }
    check_file(&conn, path)?;
    distrust_schema(&conn).map_err(at)?;
    use_write_ahead_log(&conn).map_err(|fault| fault.at(path))?;
    // FULL syncs the log at every commit; fullfsync makes that reach the platter on macOS and is nothing elsewhere.
    conn.execute_batch("PRAGMA synchronous = FULL; PRAGMA fullfsync = ON;").map_err(at)?;
    #[cfg(debug_assertions)]
    if crate::platform::crash::leaves_out_syncs() {
        conn.execute_batch("PRAGMA synchronous = OFF;").map_err(at)?;
    }
    Ok(conn)
}

/// Turns the write-ahead log on; the file remembers it.
pub(super) fn use_write_ahead_log(conn: &Connection) -> Result<(), Fault> {
    let mode: String = conn.query_row("PRAGMA journal_mode = WAL", [], |row| row.get(0))?;
    if mode == "wal" { Ok(()) } else { Err(Fault::Ledger(LedgerError::NoWriteAheadLog)) }
}

/// The file comes from a disk that others may have written: its schema is data, not code to trust.
fn distrust_schema(conn: &Connection) -> rusqlite::Result<()> {
    conn.set_db_config(DbConfig::SQLITE_DBCONFIG_DEFENSIVE, true)?;
    conn.set_db_config(DbConfig::SQLITE_DBCONFIG_TRUSTED_SCHEMA, false)?;
    Ok(())
}

/// Returns whether rows of a session are in the log beside a ledger.
pub(super) fn has_log_with_rows(path: &Path) -> bool {
    beside(path, "-wal").symlink_metadata().is_ok_and(|log| log.len() > 0)
}

/// Lets a connection fold the log into the file, and delete it, where it is the last to close: the ledger is one file then.
pub(super) fn fold_when_last(conn: &Connection) -> rusqlite::Result<()> {
    conn.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, false).map(drop)
}

/// Keeps a connection from that: the log stays beside the file as it is.
pub(super) fn never_fold(conn: &Connection) -> rusqlite::Result<()> {
    conn.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, true).map(drop)
}

/// Returns whether a ledger is read as a file that nobody changes, without locks and side files, not as one of several connections.
/// A log beside it counts, too, so that the file alone is not the ledger then.
const fn is_fixed(has_log: bool, is_writable: bool) -> bool {
    !has_log && !is_writable
}

/// Opens a connection that reads, for as long as it likes, while another process writes.
pub(super) fn open_for_reading(path: &Path) -> Result<Connection, LedgerError> {
    let at = |error| Fault::from(error).at(path);
    let has_log = beside(path, "-wal").symlink_metadata().is_ok();
    let opened = if is_fixed(has_log, can_write(path) && can_write(folder_of(path))) {
        let access = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_URI;
        open(Path::new(&immutable_uri(path)?), access)
    } else {
        // The index of the log is shared memory, which works on one machine only. The reader may make it, so it needs to be
        // able to write, and writes no row.
        check_is_local(path)?;
        open(path, OpenFlags::SQLITE_OPEN_READ_WRITE)
    };
    let conn = opened.map_err(at)?;
    distrust_schema(&conn).map_err(at)?;
    conn.pragma_update(None, "query_only", true).map_err(at)?;
    // Beside a damaged file the log is what is left of the last session: it is not folded into it.
    never_fold(&conn).map_err(at)?;
    check_file(&conn, path)?;
    Ok(conn)
}

fn open(path: &Path, access: OpenFlags) -> rusqlite::Result<Connection> {
    let flags = access | OpenFlags::SQLITE_OPEN_NO_MUTEX | OpenFlags::SQLITE_OPEN_NOFOLLOW;
    let conn = Connection::open_with_flags(path, flags)?;
    conn.busy_timeout(BUSY_TIMEOUT)?;
    conn.set_prepared_statement_cache_capacity(PREPARED_STATEMENTS);
    // Without it SQLite looks at the values bound to a statement to see whether a partial index serves them, and prepares the
    // statement anew each time that other values are bound. The states that our indexes are about stand in the text.
    conn.set_db_config(DbConfig::SQLITE_DBCONFIG_ENABLE_QPSG, true)?;
    Ok(conn)
}

fn immutable_uri(path: &Path) -> Result<String, LedgerError> {
    let mut uri = Url::from_file_path(path).map_err(|()| LedgerError::NotALedger(path.to_owned()))?;
    uri.set_query(Some("immutable=1"));
    Ok(uri.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_read_as_immutable_only_where_nothing_can_change_and_nothing_lies_beside_it() {
        let all = [(false, false), (false, true), (true, false), (true, true)];
        assert_eq!(all.map(|(has_log, is_writable)| is_fixed(has_log, is_writable)), [true, false, false, false]);
    }

    #[cfg(unix)]
    #[test]
    fn the_path_in_a_uri_is_escaped() {
        assert_eq!(
            immutable_uri(Path::new("/a b/100%?#ü.ledger")).unwrap(),
            "file:///a%20b/100%25%3F%23%C3%BC.ledger?immutable=1"
        );
    }
}
