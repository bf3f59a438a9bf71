//! What a ledger says about its run as a whole, and about the sessions of it: who worked on it, from when to when, and the audit
//! trail of what happened.

use jiff::Timestamp;
use rusqlite::types::Type;
use rusqlite::{Connection, Row};

use super::error::{Damage, Fault};
use super::item::{ManifestPart, RunIdentity, SessionInfo};
use super::query::{self, Micros, Uuids};
use crate::request::{Guid, NamedValue, NamedValues, RequestUuid, RunId, RunKey};

/// A run: what was loaded, and when it was told to run.
#[derive(Clone, Debug)]
pub struct RunInfo {
    /// The run's id.
    pub id: RunId,
    /// The key of its tags. Never printed.
    pub key: RunKey,
    /// The server and the options that shape rows.
    pub identity: RunIdentity,
    /// Its manifests, in order.
    pub parts: Vec<ManifestPart>,
    /// When it was loaded.
    pub created_at: Timestamp,
    /// When it was told to run; none where it was only loaded.
    pub started_at: Option<Timestamp>,
}

impl RunInfo {
    /// Returns how many rows it has, invalid ones included.
    pub fn n_rows(&self) -> u64 {
        n_rows(&self.parts)
    }

    /// Returns the manifest of the run that has this content, where there is one.
    pub fn part_of(&self, sha256: &[u8; 32]) -> Option<&ManifestPart> {
        self.parts.iter().find(|part| part.sha256 == *sha256)
    }
}

/// Returns how many rows these manifests have.
pub(super) fn n_rows(parts: &[ManifestPart]) -> u64 {
    parts.iter().map(|part| u64::from(part.n_rows)).sum()
}

/// Returns options as the ledger keeps them.
pub(super) fn options_to_pairs(options: &[(String, String)]) -> NamedValues {
    options.iter().map(|(name, value)| NamedValue::new(name, value)).collect()
}

/// Returns options from what the ledger keeps.
pub(super) fn options_of(pairs: &NamedValues) -> Vec<(String, String)> {
    pairs.to_vec().into_iter().map(|pair| (pair.name, pair.value)).collect()
}

/// Writes the run and its manifests.
pub(super) fn insert_run(conn: &Connection, run: &RunInfo) -> rusqlite::Result<()> {
    query::change(
        conn,
        "INSERT INTO run (id, key, server, rehearsal, options, created_at) VALUES (?, ?, ?, ?, ?, ?)",
        (
            run.id.as_bytes(),
            run.key.as_bytes(),
            &run.identity.server,
            run.identity.rehearsal,
            options_to_pairs(&run.identity.options),
            Micros(run.created_at),
        ),
    )?;
    insert_parts(conn, &run.parts)
}

/// Writes manifests of the run.
pub(super) fn insert_parts(conn: &Connection, parts: &[ManifestPart]) -> rusqlite::Result<()> {
    let sql = "INSERT INTO manifests (part, name, size_bytes, sha256, first_row, n_rows) VALUES (?, ?, ?, ?, ?, ?)";
    for part in parts {
        let ManifestPart { part, name, size_bytes, sha256, first_row, n_rows } = part;
        query::change(conn, sql, (part, name, size_bytes, sha256, first_row, n_rows))?;
    }
    Ok(())
}

/// Reads the run, and checks that its rows add up.
pub(super) fn load_run(conn: &Connection) -> Result<RunInfo, Fault> {
    let parts = load_parts(conn)?;
    let sql = "SELECT id, key, server, rehearsal, options, created_at, started_at FROM run";
    let run = query::first(conn, sql, [], |line| {
        Ok(RunInfo {
            id: RunId::from_bytes(line.get(0)?),
            key: RunKey::from_bytes(line.get(1)?),
            identity: RunIdentity { server: line.get(2)?, rehearsal: line.get(3)?, options: options_of(&line.get(4)?) },
            parts,
            created_at: line.get::<_, Micros>(5)?.0,
            started_at: line.get::<_, Option<Micros>>(6)?.map(|at| at.0),
        })
    })?;
    let n_runs: u64 = query::value(conn, "SELECT count(*) FROM run", [])?;
    let run = run
        .filter(|_| n_runs == 1)
        .ok_or_else(|| Damage::Contradiction("it does not hold exactly one run".to_owned()))?;
    let tallied: u64 = query::value(conn, "SELECT coalesce(sum(n), 0) FROM tallies", [])?;
    if tallied != run.n_rows() {
        let why = format!("its tallies count {tallied} rows, and it was loaded with {}", run.n_rows());
        return Err(Damage::Contradiction(why).into());
    }
    Ok(run)
}

fn load_parts(conn: &Connection) -> rusqlite::Result<Vec<ManifestPart>> {
    let sql = "SELECT part, name, size_bytes, sha256, first_row, n_rows FROM manifests ORDER BY part";
    query::all(conn, sql, [], |line| {
        Ok(ManifestPart {
            part: line.get(0)?,
            name: line.get(1)?,
            size_bytes: line.get(2)?,
            sha256: line.get(3)?,
            first_row: line.get(4)?,
            n_rows: line.get(5)?,
        })
    })
}

/// By which session something is recorded, and when by its time.
#[derive(Clone, Copy, Debug)]
pub(super) struct Stamp {
    pub(super) session: u32,
    pub(super) at: Timestamp,
}

/// How a session ended that ended by itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SessionEnd {
    /// It did what it was started for.
    Finished,
    /// It stopped before that, for this reason.
    Stopped(String),
    /// A person or the system interrupted it.
    Interrupted,
}

/// What became of a session.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SessionFate {
    /// It has not ended: it is at work, or its process died and no other has taken over yet.
    Open,
    /// Its process died; the next session took over what it left open.
    Died,
    /// It ended by itself.
    Ended {
        /// When.
        at: Timestamp,
        /// How.
        end: SessionEnd,
    },
}

/// One session as the ledger keeps it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SessionRecord {
    /// Its number in the run, from 1.
    pub number: u32,
    /// Who, where, what and when.
    pub info: SessionInfo,
    /// Where the wall clock stood when it began. All times that it recorded go on from there, by the clock that runs during sleep.
    pub began_wall: Timestamp,
    /// What it saw of the server when it first asked for the list; none where it did not.
    pub first_look: Option<FirstLook>,
    /// What became of it.
    pub fate: SessionFate,
}

/// What a session saw of the server when it first asked for the list.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct FirstLook {
    /// The server's own date.
    pub date: Option<Timestamp>,
    /// The newest requests of anybody, the newest one first; at most [`MAX_NEWEST`](Self::MAX_NEWEST).
    pub newest: Vec<RequestUuid>,
    /// The account that asked.
    pub account: Option<String>,
    /// What the server calls the originator of that account's requests.
    pub originator: Option<Guid>,
}

impl FirstLook {
    /// How many requests are kept.
    pub const MAX_NEWEST: usize = 100;
}

impl SessionRecord {
    /// Returns the account that the session signed in with, where it did.
    pub fn account(&self) -> Option<&str> {
        self.info.account()
    }
}

// What stands in `how`.
const DIED: &str = "died";
const FINISHED: &str = "finished";
const INTERRUPTED: &str = "interrupted";
const STOPPED: &str = "stopped";

/// Writes a new session and returns its number: above all others. Sessions before it that have not ended are dead, since the lock
/// is held by this one.
pub(super) fn begin_session(conn: &Connection, info: &SessionInfo, began_wall: Timestamp) -> rusqlite::Result<u32> {
    query::change(conn, "UPDATE sessions SET how = ? WHERE how IS NULL", [DIED])?;
    let number = last_session(conn)? + 1;
    query::change(
        conn,
        "INSERT INTO sessions (session, version, user, host, pid, command, options, started_at, began_at)
         VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
        (
            number,
            &info.version,
            &info.user,
            &info.host,
            info.pid,
            &info.command,
            options_to_pairs(&info.options),
            Micros(info.started_at),
            Micros(began_wall),
        ),
    )?;
    Ok(number)
}

/// Returns the number of the newest session, or 0.
pub(super) fn last_session(conn: &Connection) -> rusqlite::Result<u32> {
    query::value(conn, "SELECT ifnull(max(session), 0) FROM sessions", [])
}

/// Writes how a session ended.
pub(super) fn end_session(conn: &Connection, stamp: Stamp, end: &SessionEnd) -> rusqlite::Result<()> {
    let (how, reason) = match end {
        SessionEnd::Finished => (FINISHED, None),
        SessionEnd::Stopped(reason) => (STOPPED, Some(reason)),
        SessionEnd::Interrupted => (INTERRUPTED, None),
    };
    let sql = "UPDATE sessions SET ended_at = ?, how = ?, reason = ? WHERE session = ?";
    query::change(conn, sql, (Micros(stamp.at), how, reason, stamp.session)).map(drop)
}

/// Notes what a session saw of the server when it first asked.
pub(super) fn insert_first_look(conn: &Connection, session: u32, look: &FirstLook) -> rusqlite::Result<()> {
    let FirstLook { date, newest, account, originator } = look;
    let sql = "UPDATE sessions SET first_date = ?, first_newest = ?, first_account = ?, first_originator = ?
        WHERE session = ?";
    let look = (date.map(Micros), Uuids(newest.as_slice()), account, originator, session);
    query::change(conn, sql, look).map(drop)
}

/// Notes that a list showed all that a session and earlier ones had created.
pub(super) fn note_looked(conn: &Connection, session: u32) -> rusqlite::Result<()> {
    query::change(conn, "UPDATE sessions SET looked = 1 WHERE session = ?", [session]).map(drop)
}

fn first_look_of(row: &Row<'_>) -> rusqlite::Result<Option<FirstLook>> {
    let Some(Uuids(newest)) = row.get::<_, Option<Uuids<_>>>(13)? else { return Ok(None) };
    Ok(Some(FirstLook {
        date: row.get::<_, Option<Micros>>(12)?.map(|at| at.0),
        newest,
        account: row.get(14)?,
        originator: row.get(15)?,
    }))
}

/// Reads the sessions from one number to another, the first one first.
pub(super) fn load_sessions(conn: &Connection, first: u32, last: u32) -> rusqlite::Result<Vec<SessionRecord>> {
    let sql = "SELECT session, version, user, host, pid, command, options, started_at, began_at, ended_at, how, reason,
            first_date, first_newest, first_account, first_originator
        FROM sessions WHERE session BETWEEN ? AND ? ORDER BY session";
    query::all(conn, sql, (first, last), |row| {
        Ok(SessionRecord {
            number: row.get(0)?,
            info: SessionInfo {
                version: row.get(1)?,
                user: row.get(2)?,
                host: row.get(3)?,
                pid: row.get(4)?,
                command: row.get(5)?,
                options: options_of(&row.get(6)?),
                started_at: row.get::<_, Micros>(7)?.0,
            },
            began_wall: row.get::<_, Micros>(8)?.0,
            first_look: first_look_of(row)?,
            fate: fate_of(row)?,
        })
    })
}

fn fate_of(row: &Row<'_>) -> rusqlite::Result<SessionFate> {
    let how: Option<String> = row.get(10)?;
    let end = match how.as_deref() {
        None => return Ok(SessionFate::Open),
        Some(DIED) => return Ok(SessionFate::Died),
        Some(FINISHED) => SessionEnd::Finished,
        Some(INTERRUPTED) => SessionEnd::Interrupted,
        Some(STOPPED) => SessionEnd::Stopped(row.get::<_, Option<String>>(11)?.unwrap_or_default()),
        Some(_) => return Err(rusqlite::Error::InvalidColumnType(10, "how".to_owned(), Type::Text)),
    };
    Ok(SessionFate::Ended { at: row.get::<_, Micros>(9)?.0, end })
}

/// Writes one event into the audit trail.
pub(super) fn insert_event(conn: &Connection, stamp: Stamp, kind: &str, detail: &str) -> rusqlite::Result<()> {
    let sql = "INSERT INTO events (at, session, kind, detail) VALUES (?, ?, ?, ?)";
    query::change(conn, sql, (Micros(stamp.at), stamp.session, kind, detail)).map(drop)
}
