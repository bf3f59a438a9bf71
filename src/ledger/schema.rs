//! The tables.

use std::path::Path;

use rusqlite::Connection;

use super::error::{Fault, LedgerError};
use super::view::results_view;

/// What tells a ledger from other SQLite files: `cmba` in ASCII.
pub(super) const APPLICATION_ID: i64 = 0x636D_6261;

/// The version of the tables below. Earlier ones were never released.
pub(super) const VERSION: i64 = 4;

// Times are microseconds since 1970 UTC. GUIDs are 16 bytes in written order. Named values are JSON arrays of single-key
// objects, or NULL for none. STRICT makes SQLite refuse a value of another type. A file holds one run.
const TABLES: &str = "
CREATE TABLE run (
    id BLOB NOT NULL,
    key BLOB NOT NULL,            -- secret: makes the tags unforgeable
    server TEXT NOT NULL,
    rehearsal INTEGER NOT NULL,
    options TEXT,                 -- the options that shape rows, as named values
    created_at INTEGER NOT NULL,
    started_at INTEGER,           -- when it was told to run
    -- What claims and outcomes do not tell: up to here no row is claimed in row order any more, whether it was or not.
    fresh_after INTEGER NOT NULL DEFAULT 0
) STRICT;

CREATE TABLE manifests (
    part INTEGER PRIMARY KEY,
    name TEXT NOT NULL,
    size_bytes INTEGER NOT NULL,
    sha256 BLOB NOT NULL,
    first_row INTEGER NOT NULL,
    n_rows INTEGER NOT NULL
) STRICT;

-- The rows as they were loaded. Never rewritten.
CREATE TABLE items (
    row INTEGER PRIMARY KEY,
    part INTEGER NOT NULL,
    part_row INTEGER NOT NULL,
    line INTEGER NOT NULL,
    reason TEXT,                  -- why the row was left out from the start, or what is wrong with it; NULL where it is to be sent
    original TEXT,                -- the text of a row that did not pass validation, for which all below is NULL
    id TEXT,
    notes TEXT,
    type TEXT,
    template BLOB,
    target BLOB,
    smartcard BLOB,
    profile BLOB,
    comment TEXT,
    priority INTEGER,
    data TEXT,
    body TEXT
) STRICT;

-- The intents. Append-only. Attempt 1 is claimed in ranges that hold nothing but the rows that they claim; later attempts are
-- listed, one row each (first_row = last_row).
CREATE TABLE claims (
    first_row INTEGER NOT NULL,
    attempt INTEGER NOT NULL,
    last_row INTEGER NOT NULL,
    session INTEGER NOT NULL,
    claimed_at INTEGER NOT NULL,
    PRIMARY KEY (first_row, attempt)
) STRICT, WITHOUT ROWID;

-- What became of a row. Append-only: the latest (attempt, verdict) counts. Verdict 0 is how the attempt itself ended; what
-- is decided about the row afterwards gets the next verdicts of its last attempt, or of attempt 0 where it had none.
CREATE TABLE outcomes (
    row INTEGER NOT NULL,
    attempt INTEGER NOT NULL,
    verdict INTEGER NOT NULL,
    state TEXT NOT NULL,          -- the state that the row went to
    source TEXT NOT NULL,         -- who says so: 'answer', 'takeover' where a dead session left the attempt open, 'list' (the
                                  -- server's), 'person', 'replay' (a person's order)
    session INTEGER NOT NULL,     -- the session that recorded it
    made_by INTEGER,              -- the session that made the attempt, where that is another one
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
    PRIMARY KEY (row, attempt, verdict)
) STRICT, WITHOUT ROWID;

-- The rows that are pending and not claimed in row order (any more), each with the number of its next attempt: those that were
-- claimed once, those about which something was decided, and with attempt 1 those that were passed over. A row that a
-- session holds is claimed by that session's own list only, as long as it lives.
CREATE TABLE pending_again (
    row INTEGER PRIMARY KEY,
    attempt INTEGER NOT NULL,
    session INTEGER
) STRICT;

-- How many rows are in each state, for which cause (of pending, failed and in_doubt rows: the last outcome's) and of which
-- type. Changed in the transaction that changes the rows.
CREATE TABLE tallies (
    state TEXT NOT NULL,
    code TEXT,
    type TEXT,
    n INTEGER NOT NULL CHECK (n >= 0)
) STRICT;
CREATE UNIQUE INDEX one_tally ON tallies (state, ifnull(code, ''), ifnull(type, ''));

CREATE TABLE sessions (
    session INTEGER PRIMARY KEY,
    version TEXT NOT NULL,
    user TEXT NOT NULL,
    host TEXT NOT NULL,
    pid INTEGER NOT NULL,
    command TEXT NOT NULL,
    options TEXT,
    started_at INTEGER NOT NULL,
    began_at INTEGER NOT NULL,    -- the wall clock when it began; its other times go on from there by the clock since boot
    ended_at INTEGER,
    how TEXT,                     -- 'finished', 'stopped', 'interrupted'; 'died' where the next session found it open
    reason TEXT,
    first_date INTEGER,           -- of its first look at the server: the server's date
    first_newest BLOB,            -- the newest requests of anybody, 16 bytes each; NULL where it did not look yet
    first_account TEXT,           -- the account that looked
    first_originator BLOB,        -- what the server calls the originator of that account's requests
    looked INTEGER                -- 1 where a list showed all that this session and earlier ones had created by its end
) STRICT;

CREATE TABLE events (
    event INTEGER PRIMARY KEY,
    at INTEGER NOT NULL,
    session INTEGER NOT NULL,
    kind TEXT NOT NULL,
    detail TEXT NOT NULL
) STRICT;

-- The kinds of request of which one was created: its first row, and what was read back of that.
CREATE TABLE kinds (
    type TEXT NOT NULL,
    template BLOB,                -- NULL where the rows name none
    row INTEGER NOT NULL,
    uuid BLOB NOT NULL,
    read_back TEXT                -- NULL where nobody looked yet
) STRICT;
CREATE UNIQUE INDEX one_kind ON kinds (type, ifnull(template, ''));

-- The rows that are left out since they were loaded. Beneath this they are what they were, and are that again when their line is
-- deleted.
CREATE TABLE left_out (
    row INTEGER PRIMARY KEY,
    attempt INTEGER,              -- the number of the next attempt, of a row that was listed as pending again
    source TEXT NOT NULL,
    session INTEGER NOT NULL,
    recorded_at INTEGER NOT NULL,
    reason TEXT,
    uuid BLOB                     -- the request of another run that stands for the row's
) STRICT;

-- Requests of other runs beside which a person wants those of this run sent.
CREATE TABLE accepted_hits (
    uuid BLOB PRIMARY KEY,
    session INTEGER NOT NULL,
    recorded_at INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

-- What lists showed that is not as it should be. Never deleted; open where closed_at is NULL.
CREATE TABLE findings (
    finding INTEGER PRIMARY KEY,
    kind TEXT NOT NULL,
    row INTEGER,
    uuids BLOB NOT NULL,          -- 16 bytes each, sorted
    detail TEXT NOT NULL,
    found_at INTEGER NOT NULL,
    session INTEGER NOT NULL,     -- the session that found it
    closed_at INTEGER,
    reason TEXT                   -- why it is closed
) STRICT;
";

// Made after the rows are in: sorting once is faster than keeping an index sorted.
const INDEXES: &str = "
CREATE INDEX items_by_id ON items (id) WHERE id IS NOT NULL;
CREATE INDEX outcomes_by_code ON outcomes (code, row) WHERE code IS NOT NULL;
CREATE INDEX outcomes_by_uuid ON outcomes (uuid) WHERE uuid IS NOT NULL;
CREATE INDEX outcomes_in_doubt ON outcomes (row) WHERE state = 'in_doubt';
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
/// `NotALedger`, `Damaged`, `NewerVersion`, `OlderVersion`.
pub(super) fn check_file(conn: &Connection, path: &Path) -> Result<(), LedgerError> {
    let at = |error| Fault::from(error).at(path);
    let id: i64 = conn.query_row("PRAGMA application_id", [], |row| row.get(0)).map_err(at)?;
    if id != APPLICATION_ID {
        return Err(LedgerError::NotALedger(path.to_owned()));
    }
    let found: i64 = conn.query_row("PRAGMA user_version", [], |row| row.get(0)).map_err(at)?;
    match found {
        VERSION => Ok(()),
        1..VERSION => Err(LedgerError::OlderVersion(path.to_owned(), found)),
        _ if found > VERSION => Err(LedgerError::NewerVersion(path.to_owned(), found)),
        // A ledger appears under its name only when it is whole, with its version.
        _ => Err(LedgerError::NotALedger(path.to_owned())),
    }
}
