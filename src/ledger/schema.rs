//! The tables, and the view `results` for people with `sqlite3`.

use std::path::Path;

use rusqlite::Connection;

use super::error::{Fault, LedgerError};
use super::state::RowState;
use crate::request::ErrorCode;

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

/// Returns the statement that makes the view.
///
/// The view cannot ask whether the process that holds the ledger still lives, so a row whose call is open reads as in doubt.
fn results_view() -> String {
    let guid = |column: &str| {
        format!(
            "CASE WHEN {column} IS NOT NULL THEN lower(substr(hex({column}),1,8)||'-'||substr(hex({column}),9,4)||'-'||substr(hex({column}),13,4)||'-'\
             ||substr(hex({column}),17,4)||'-'||substr(hex({column}),21)) END"
        )
    };
    let time = |column: &str| {
        format!(
            "strftime('%Y-%m-%dT%H:%M:%S', {column} / 1000000, 'unixepoch')||printf('.%03dZ', {column} / 1000 % 1000)"
        )
    };
    format!(
        "CREATE VIEW results AS
-- One line for each row of the run, with the columns of `cmbatch export`; add ORDER BY row. GUIDs are text, times RFC 3339
-- in UTC, latency_ms is the last attempt's. A row whose call is open reads as in_doubt: whether its process still lives,
-- `cmbatch status` can tell and this view cannot. error_message of an invalid row is what is wrong with it, of a skipped
-- row why it was left out.
WITH placed AS (
    SELECT i.run, i.row, i.id, i.type, i.template, i.target, i.smartcard, i.skipped,
        p.attempt AS next_attempt,
        coalesce(
            (SELECT max(c.attempt) FROM claims c WHERE c.run = i.run AND c.first_row = i.row AND c.attempt > 1),
            (SELECT CASE WHEN c.last_row >= i.row THEN 1 ELSE 0 END FROM claims c
                WHERE c.run = i.run AND c.first_row <= i.row AND c.attempt = 1 ORDER BY c.first_row DESC LIMIT 1),
            0) AS claimed
    FROM items i LEFT JOIN pending_again p ON p.run = i.run AND p.row = i.row
),
judged AS (
    SELECT a.*, o.state, o.uri, o.uuid, o.http_status, o.code, o.message, o.correlation_id,
        a.next_attempt IS NULL AND a.claimed > coalesce(o.attempt, 0) AS open,
        (SELECT max(c.claimed_at) FROM claims c WHERE c.run = a.run AND c.attempt = a.claimed AND c.first_row =
            (SELECT max(f.first_row) FROM claims f
                WHERE f.run = a.run AND f.attempt = a.claimed AND f.first_row <= a.row)) AS claimed_at,
        (SELECT count(*) FROM outcomes x
            WHERE x.run = a.run AND x.row = a.row AND x.attempt > 0 AND x.verdict = 0) AS ended,
        (SELECT x.started_at FROM outcomes x WHERE x.run = a.run AND x.row = a.row AND x.attempt > 0 AND x.verdict = 0
            ORDER BY x.attempt LIMIT 1) AS first_at,
        (SELECT x.started_at FROM outcomes x WHERE x.run = a.run AND x.row = a.row AND x.attempt > 0 AND x.verdict = 0
            ORDER BY x.attempt DESC LIMIT 1) AS last_at,
        (SELECT x.latency_us / 1000 FROM outcomes x
            WHERE x.run = a.run AND x.row = a.row AND x.attempt > 0 AND x.verdict = 0
            ORDER BY x.attempt DESC LIMIT 1) AS last_ms
    FROM placed a LEFT JOIN outcomes o ON o.run = a.run AND o.row = a.row AND NOT EXISTS
        (SELECT 1 FROM outcomes x WHERE x.run = o.run AND x.row = o.row AND (x.attempt, x.verdict) > (o.attempt, o.verdict))
)
SELECT row, id, type, {template} AS profiletemplateuuid, {target} AS target, {smartcard} AS smartcard,
    CASE WHEN open THEN '{in_doubt}' WHEN next_attempt IS NOT NULL THEN '{pending}' WHEN state IS NOT NULL THEN state
        WHEN skipped IS NOT NULL THEN '{skipped}' ELSE '{pending}' END AS state,
    CASE WHEN NOT open THEN uri END AS request_uri,
    CASE WHEN NOT open THEN {uuid} END AS request_uuid,
    CASE WHEN NOT open THEN http_status END AS http_status,
    CASE WHEN open THEN '{left_open}' ELSE code END AS error_code,
    CASE WHEN NOT open THEN CASE WHEN state IS NULL THEN skipped ELSE message END END AS error_message,
    CASE WHEN NOT open THEN correlation_id END AS correlation_id,
    ended + open AS attempts,
    CASE WHEN open AND first_at IS NULL THEN {claimed_at} ELSE {first_at} END AS first_attempt_at,
    CASE WHEN open THEN {claimed_at} ELSE {last_at} END AS last_attempt_at,
    CASE WHEN NOT open THEN last_ms END AS latency_ms
FROM judged
UNION ALL
SELECT v.row, NULL, NULL, NULL, NULL, NULL,
    coalesce((SELECT o.state FROM outcomes o WHERE o.run = v.run AND o.row = v.row
        ORDER BY o.attempt DESC, o.verdict DESC LIMIT 1), '{invalid}'),
    NULL, NULL, NULL, NULL, v.errors, NULL, 0, NULL, NULL, NULL
FROM invalid_rows v;",
        template = guid("template"),
        target = guid("target"),
        smartcard = guid("smartcard"),
        uuid = guid("uuid"),
        claimed_at = time("claimed_at"),
        first_at = time("first_at"),
        last_at = time("last_at"),
        in_doubt = RowState::InDoubt,
        pending = RowState::Pending,
        skipped = RowState::Skipped,
        invalid = RowState::Invalid,
        left_open = ErrorCode::LeftOpen.as_str(),
    )
}
