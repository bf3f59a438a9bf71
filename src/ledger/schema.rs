//! The tables.

use std::path::Path;

use rusqlite::Connection;

use super::error::{Fault, LedgerError};
use super::view::results_view;

/// What tells a ledger from other SQLite files: `cmba` in ASCII.
pub(super) const APPLICATION_ID: i64 = 0x636D_6261;

/// The version of the tables below. A change to them raises it and comes with a migration.
pub(super) const VERSION: i64 = 1;

/// The number of the one run that a ledger file holds; all tables carry it, so that they could hold more.
pub(super) const RUN: i64 = 1;

// Times are microseconds since 1970 UTC. GUIDs are 16 bytes in written order. Named values are JSON arrays of single-key
// objects, or NULL for none. STRICT makes SQLite refuse a value of another type.
const TABLES: &str = "
CREATE TABLE runs (
    run INTEGER PRIMARY KEY,      -- the short number that stands for the id in the other tables
    id BLOB NOT NULL UNIQUE,
    key BLOB NOT NULL,            -- secret: makes the tags unforgeable
    server TEXT NOT NULL,
    rehearsal INTEGER NOT NULL,
    options TEXT,                 -- the options that shape rows, as named values
    n_rows INTEGER NOT NULL,
    created_at INTEGER NOT NULL,
    started_at INTEGER            -- when it was told to run
) STRICT;

CREATE TABLE manifests (
    run INTEGER NOT NULL,
    part INTEGER NOT NULL,
    name TEXT NOT NULL,
    size_bytes INTEGER NOT NULL,
    sha256 BLOB NOT NULL,
    first_row INTEGER NOT NULL,
    n_rows INTEGER NOT NULL,
    PRIMARY KEY (run, part)
) STRICT, WITHOUT ROWID;

-- The rows that passed validation. Never rewritten.
CREATE TABLE items (
    run INTEGER NOT NULL,
    row INTEGER NOT NULL,
    part INTEGER NOT NULL,
    part_row INTEGER NOT NULL,
    line INTEGER NOT NULL,
    id TEXT,
    type TEXT NOT NULL,
    template BLOB,
    target BLOB,
    smartcard BLOB,
    profile BLOB,
    comment TEXT NOT NULL,
    priority INTEGER,
    data TEXT,
    body TEXT,
    notes TEXT,
    skipped TEXT,                 -- why the row was left out from the start; NULL where it is to be sent
    PRIMARY KEY (run, row)
) STRICT, WITHOUT ROWID;

-- The rows that did not, as text. Never rewritten.
CREATE TABLE invalid_rows (
    run INTEGER NOT NULL,
    row INTEGER NOT NULL,
    part INTEGER NOT NULL,
    part_row INTEGER NOT NULL,
    line INTEGER NOT NULL,
    original TEXT NOT NULL,
    errors TEXT NOT NULL,
    PRIMARY KEY (run, row)
) STRICT, WITHOUT ROWID;

-- The intents. Append-only. Attempt 1 is claimed in ranges that hold nothing but the rows that they claim; later attempts are
-- listed, one row each (first_row = last_row).
CREATE TABLE claims (
    run INTEGER NOT NULL,
    first_row INTEGER NOT NULL,
    attempt INTEGER NOT NULL,
    last_row INTEGER NOT NULL,
    session INTEGER NOT NULL,
    claimed_at INTEGER NOT NULL,
    PRIMARY KEY (run, first_row, attempt)
) STRICT, WITHOUT ROWID;

-- What became of a row. Append-only: the latest (attempt, verdict) counts. Verdict 0 is how the attempt itself ended; what
-- is decided about the row afterwards gets the next verdicts of its last attempt, or of attempt 0 where it had none.
CREATE TABLE outcomes (
    run INTEGER NOT NULL,
    row INTEGER NOT NULL,
    attempt INTEGER NOT NULL,
    verdict INTEGER NOT NULL,
    state TEXT NOT NULL,          -- the state that the row went to
    source TEXT NOT NULL,         -- who says so: 'answer', or 'takeover' where a dead session left the attempt open
    session INTEGER NOT NULL,     -- the session that recorded it
    recorded_at INTEGER NOT NULL,
    started_at INTEGER,           -- when the call started; after a takeover when it was claimed
    latency_us INTEGER,
    http_status INTEGER,
    code TEXT,
    message TEXT,
    correlation_id TEXT,
    uuid BLOB,
    uri TEXT,
    replaced_by INTEGER,          -- the row that stands for this one
    PRIMARY KEY (run, row, attempt, verdict)
) STRICT, WITHOUT ROWID;

-- The rows that were claimed once and are pending again, each with the number of its next attempt. A row that a session
-- holds is claimed by that session's own list only, as long as it lives.
CREATE TABLE pending_again (
    run INTEGER NOT NULL,
    row INTEGER NOT NULL,
    attempt INTEGER NOT NULL,
    session INTEGER,
    PRIMARY KEY (run, row)
) STRICT, WITHOUT ROWID;

-- How many rows are in each state, for which cause (of pending, failed and in_doubt rows: the last outcome's) and of which
-- type; '' where there is none. Changed in the transaction that changes the rows.
CREATE TABLE tallies (
    run INTEGER NOT NULL,
    state TEXT NOT NULL,
    code TEXT NOT NULL,
    type TEXT NOT NULL,
    n INTEGER NOT NULL CHECK (n >= 0),
    PRIMARY KEY (run, state, code, type)
) STRICT, WITHOUT ROWID;

CREATE TABLE sessions (
    run INTEGER NOT NULL,
    session INTEGER NOT NULL,
    version TEXT NOT NULL,
    user TEXT NOT NULL,
    host TEXT NOT NULL,
    pid INTEGER NOT NULL,
    command TEXT NOT NULL,
    options TEXT,
    started_at INTEGER NOT NULL,
    ledger_inode INTEGER NOT NULL, -- the ledger file's, so that a copy can be told
    ended_at INTEGER,
    how TEXT,                     -- 'finished', 'stopped', 'interrupted'; 'died' where the next session found it open
    reason TEXT,
    PRIMARY KEY (run, session)
) STRICT, WITHOUT ROWID;

CREATE TABLE events (
    run INTEGER NOT NULL,
    event INTEGER NOT NULL,
    at INTEGER NOT NULL,
    session INTEGER NOT NULL,
    kind TEXT NOT NULL,
    detail TEXT NOT NULL,
    PRIMARY KEY (run, event)
) STRICT, WITHOUT ROWID;
";

// Made after the rows are in: sorting once is faster than keeping an index sorted.
const INDEXES: &str = "
CREATE INDEX items_by_id ON items (run, id) WHERE id IS NOT NULL;
CREATE INDEX outcomes_by_code ON outcomes (run, code, row) WHERE code IS NOT NULL;
";

/// Makes the tables in an empty database.
pub(super) fn create_tables(conn: &Connection) -> rusqlite::Result<()> {
    conn.pragma_update(None, "application_id", APPLICATION_ID)?;
    conn.pragma_update(None, "user_version", VERSION)?;
    conn.execute_batch(TABLES)
}

/// Makes the indexes and the view, once the rows are in.
pub(super) fn create_indexes_and_view(conn: &Connection) -> rusqlite::Result<()> {
    conn.execute_batch(INDEXES)?;
    conn.execute_batch(&results_view())
}

/// Checks that the open file is a ledger that this program knows.
///
/// # Errors
/// `NotALedger`, `Damaged`, `NewerVersion`.
pub(super) fn check_file(conn: &Connection, path: &Path) -> Result<(), LedgerError> {
    let pragma = |name: &str| {
        conn.query_row(&format!("PRAGMA {name}"), [], |row| row.get::<_, i64>(0))
            .map_err(|error| Fault::from(error).at(path))
    };
    if pragma("application_id")? != APPLICATION_ID {
        return Err(LedgerError::NotALedger { path: path.to_owned() });
    }
    match pragma("user_version")? {
        VERSION => Ok(()),
        found if found > VERSION => Err(LedgerError::NewerVersion { path: path.to_owned(), found, known: VERSION }),
        // A ledger appears under its name only when it is whole, with its version.
        _ => Err(LedgerError::NotALedger { path: path.to_owned() }),
    }
}
