//! The tables.

use std::path::Path;

use rusqlite::Connection;

use super::error::{Fault, LedgerError};
use super::view::results_view;

/// What tells a ledger from other SQLite files: `cmba` in ASCII.
pub(super) const APPLICATION_ID: i64 = 0x636D_6261;

/// The version of the tables below. Versions 1 and 2 were never released.
pub(super) const VERSION: i64 = 3;

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
    began_at INTEGER NOT NULL,    -- the wall clock when it began; its other times go on from there by the clock since boot
    ended_at INTEGER,
    how TEXT,                     -- 'finished', 'stopped', 'interrupted'; 'died' where the next session found it open
    reason TEXT,
    first_date INTEGER,           -- of its first look at the server: the server's date
    first_newest BLOB,            -- the newest requests of anybody, 16 bytes each; NULL where it did not look yet
    first_account TEXT,           -- the account that looked
    first_originator BLOB,        -- what the server calls the originator of that account's requests
    looked INTEGER,               -- 1 where a list showed all that this session and earlier ones had created by its end
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
    fresh_after INTEGER NOT NULL  -- up to here no row is claimed in row order any more, whether it was or not
) STRICT;
INSERT INTO progress (run, fresh_after) VALUES (1, 0);

-- The rows that are left out since they were loaded. Beneath this they are what they were, and are that again when their line is
-- deleted.
CREATE TABLE left_out (
    run INTEGER NOT NULL,
    row INTEGER NOT NULL,
    attempt INTEGER,              -- the number of the next attempt, of a row that was listed as pending again
    source TEXT NOT NULL,
    session INTEGER NOT NULL,
    recorded_at INTEGER NOT NULL,
    reason TEXT,
    uuid BLOB,                    -- the request of another run that stands for the row's
    PRIMARY KEY (run, row)
) STRICT, WITHOUT ROWID;

-- Requests of other runs beside which a person wants those of this run sent.
CREATE TABLE accepted_hits (
    run INTEGER NOT NULL,
    uuid BLOB NOT NULL,
    session INTEGER NOT NULL,
    recorded_at INTEGER NOT NULL,
    PRIMARY KEY (run, uuid)
) STRICT, WITHOUT ROWID;

-- What lists showed that is not as it should be. Never deleted; open where closed_at is NULL.
CREATE TABLE findings (
    run INTEGER NOT NULL,
    finding INTEGER NOT NULL,
    kind TEXT NOT NULL,
    row INTEGER,
    uuids BLOB NOT NULL,          -- 16 bytes each, sorted
    detail TEXT NOT NULL,
    found_at INTEGER NOT NULL,
    session INTEGER NOT NULL,     -- the session that found it
    closed_at INTEGER,
    reason TEXT,                  -- why it is closed
    PRIMARY KEY (run, finding)
) STRICT, WITHOUT ROWID;
";

// Made after the rows are in: sorting once is faster than keeping an index sorted.
const INDEXES: &str = "
CREATE INDEX items_by_id ON items (run, id) WHERE id IS NOT NULL;
CREATE INDEX outcomes_by_code ON outcomes (run, code, row) WHERE code IS NOT NULL;
CREATE INDEX outcomes_by_uuid ON outcomes (run, uuid) WHERE uuid IS NOT NULL;
CREATE INDEX outcomes_in_doubt ON outcomes (run, row) WHERE state = 'in_doubt';
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
