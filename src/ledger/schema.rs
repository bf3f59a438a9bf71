//! The tables.

use std::path::Path;

use rusqlite::Connection;

use super::error::{Fault, LedgerError};
use super::view::results_view;

/// What tells a ledger from other SQLite files: `cmba` in ASCII.
pub(super) const APPLICATION_ID: i64 = 0x636D_6261;

/// The version of the tables below. A change to them raises it and comes with a migration.
pub(super) const VERSION: i64 = 2;

/// The oldest version that this program reads, and that it brings to [`VERSION`] when it writes.
pub(super) const OLDEST_VERSION: i64 = 1;

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
    source TEXT NOT NULL,         -- who says so: 'answer', 'takeover' where a dead session left the attempt open, 'list' (the
                                  -- server's), 'person', 'replay' (a person's order)
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

-- The rows that are pending and not claimed in row order (any more), each with the number of its next attempt: those that were
-- claimed once, those about which something was decided, and with attempt 1 those that were passed over. A row that a
-- session holds is claimed by that session's own list only, as long as it lives.
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

/// The tables that version 2 brought.
pub(super) const TABLES_OF_2: &str = "
-- The kinds of request of which one was created: its first row, and what was read back of that.
CREATE TABLE kinds (
    run INTEGER NOT NULL,
    type TEXT NOT NULL,
    template BLOB NOT NULL,       -- empty where the rows name none
    row INTEGER NOT NULL,
    uuid BLOB NOT NULL,
    read_back TEXT,               -- NULL where nobody looked yet
    PRIMARY KEY (run, type, template)
) STRICT, WITHOUT ROWID;

-- What claims and outcomes do not tell of how far the run has come.
CREATE TABLE progress (
    run INTEGER PRIMARY KEY,
    fresh_after INTEGER NOT NULL, -- up to here no row is claimed in row order any more, whether it was or not
    n_again INTEGER NOT NULL      -- how many failed rows a person has ordered to be sent again
) STRICT;
INSERT INTO progress (run, fresh_after, n_again) VALUES (1, 0, 0);
";

/// The index that version 2 brought: the rows that are or were in doubt.
pub(super) const INDEX_OF_2: &str = "CREATE INDEX outcomes_in_doubt ON outcomes (run, row) WHERE state = 'in_doubt';";

// Made after the rows are in: sorting once is faster than keeping an index sorted.
const INDEXES: &str = "
CREATE INDEX items_by_id ON items (run, id) WHERE id IS NOT NULL;
CREATE INDEX outcomes_by_code ON outcomes (run, code, row) WHERE code IS NOT NULL;
";

/// Makes the tables in an empty database.
pub(super) fn create_tables(conn: &Connection) -> rusqlite::Result<()> {
    conn.pragma_update(None, "application_id", APPLICATION_ID)?;
    conn.pragma_update(None, "user_version", VERSION)?;
    conn.execute_batch(TABLES)?;
    conn.execute_batch(TABLES_OF_2)
}

/// Makes the indexes and the view, once the rows are in.
pub(super) fn create_indexes_and_view(conn: &Connection) -> rusqlite::Result<()> {
    conn.execute_batch(INDEXES)?;
    conn.execute_batch(INDEX_OF_2)?;
    conn.execute_batch(&results_view())
}

/// Returns the version of the tables in a file. It can change while another process has the ledger.
pub(super) fn version(conn: &Connection) -> rusqlite::Result<i64> {
    conn.query_row("PRAGMA user_version", [], |row| row.get(0))
}

/// Checks that the open file is a ledger that this program knows.
///
/// # Errors
/// `NotALedger`, `Damaged`, `NewerVersion`.
pub(super) fn check_file(conn: &Connection, path: &Path) -> Result<(), LedgerError> {
    let at = |error| Fault::from(error).at(path);
    let id: i64 = conn.query_row("PRAGMA application_id", [], |row| row.get(0)).map_err(at)?;
    if id != APPLICATION_ID {
        return Err(LedgerError::NotALedger { path: path.to_owned() });
    }
    match version(conn).map_err(at)? {
        OLDEST_VERSION..=VERSION => Ok(()),
        found if found > VERSION => Err(LedgerError::NewerVersion { path: path.to_owned(), found, known: VERSION }),
        // A ledger appears under its name only when it is whole, with its version.
        _ => Err(LedgerError::NotALedger { path: path.to_owned() }),
    }
}
