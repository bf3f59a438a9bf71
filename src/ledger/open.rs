//! Opening a ledger to write it, and what a session does first with the rows that a dead one left open.

use std::collections::BTreeMap;
use std::path::Path;

use rusqlite::Connection;

use super::clock::SessionClock;
use super::connection::{never_fold, open_for_writing};
use super::crash;
use super::error::{Damage, Fault, LedgerError};
use super::handle::Ledger;
use super::history::{ClaimLine, OutcomeLine};
use super::item::{SessionInfo, load_row};
use super::path::{check_is_file, check_is_local, resolve};
use super::query;
use super::reader::Reader;
use super::run::{RunInfo, Stamp, begin_session, insert_event, last_session, load_run};
use super::state::RowState;
use super::tally::{TallyChanges, n_in};
use super::working::Working;
use super::writer::{Writer, transact};
use crate::machine::Machine;
use crate::platform::DataLock;
use crate::request::RowId;

impl Ledger {
    /// Opens a ledger and begins a session. Rows that a dead session left open are in doubt when this returns.
    ///
    /// # Errors
    /// Any [`LedgerError`] but those of a step; [`LedgerError::InUse`] at once where another process holds it.
    pub fn open(machine: &Machine, path: &Path, session: &SessionInfo) -> Result<Self, LedgerError> {
        let path = resolve(path)?;
        let lock = lock_existing(&path)?;
        begin(&SessionClock::start(machine), &path, session, lock, |_, _, _| Ok(()))
    }
}

/// Takes the lock of a ledger that exists, or says who holds it. `path` is resolved.
pub(super) fn lock_existing(path: &Path) -> Result<DataLock, LedgerError> {
    check_is_file(path)?;
    check_is_local(path)?;
    let failed = |source| LedgerError::Unreadable(path.to_owned(), source);
    let mut lock = DataLock::open(path).map_err(failed)?;
    if lock.makes_a_file() {
        // The file may be anything, and a lock is not put beside someone else's.
        Reader::open(path)?;
    }
    if !lock.try_hold().map_err(failed)? {
        let holder = Reader::open(path).and_then(|reader| reader.last_open_session()).ok().flatten();
        return Err(LedgerError::InUse { path: path.to_owned(), holder: holder.map(Box::new) });
    }
    Ok(lock)
}

/// Begins a session on a ledger whose lock is held, takes over what a dead one left open, and does something else in the same
/// transaction: `also` is given the connection, the run as it is before, and the session with its time.
///
/// # Errors
/// Any [`LedgerError`] but those of a step, or what `also` returned; then no session has begun.
pub(super) fn begin<E: From<LedgerError>>(
    clock: &SessionClock,
    path: &Path,
    session: &SessionInfo,
    lock: DataLock,
    also: impl FnOnce(&Connection, &RunInfo, Stamp) -> Result<(), E>,
) -> Result<Ledger, E> {
    let mut conn = open_for_writing(path)?;
    let at = |fault: Fault| fault.at(path);
    let (run, working) = transact(&mut conn, path, |conn| {
        // What was locked may have lost its name before SQLite opened what has it now.
        if !lock.is_of(path).unwrap_or(false) {
            return Err(LedgerError::Gone(path.to_owned()).into());
        }
        let (run, stamp) = begin_in(conn, session, clock).map_err(at)?;
        also(conn, &run, stamp)?;
        let run = load_run(conn).map_err(at)?;
        let working = Working::load(conn, stamp.session, run.started_at).map_err(|error| at(error.into()))?;
        crash::point("takeover-before-commit");
        Ok::<_, E>((run, working))
    })?;
    // From here only `Ledger::close` folds the log into the file: a ledger that is dropped is left as a crash would leave it.
    never_fold(&conn).map_err(|error| at(error.into()))?;
    crash::point("takeover-committed");
    let (clock, path) = (clock.clone(), path.to_owned());
    let writer = Writer { conn, clock, path, working, last: None, has_failed: false, lock };
    Ok(Ledger::start(writer, run)?)
}

/// Writes the session and takes over, and returns the run as it is, and the session with its time.
fn begin_in(conn: &Connection, session: &SessionInfo, clock: &SessionClock) -> Result<(RunInfo, Stamp), Fault> {
    let run = load_run(conn)?;
    let previous = last_session(conn)?;
    let stamp = Stamp { session: begin_session(conn, session, clock.began_wall())?, at: clock.now() };
    take_over(conn, previous, stamp)?;
    Ok((run, stamp))
}

/// Records the rows in doubt that the session before (`previous`) claimed and that have no outcome. Part of the transaction
/// that begins the session, so that it happens once.
fn take_over(conn: &Connection, previous: u32, stamp: Stamp) -> Result<(), Fault> {
    let tallied = n_in(conn, RowState::Sending)?;
    if tallied == 0 {
        return Ok(());
    }
    // The session before took over what was open then, so what is open now is its own.
    let open_rows = open_claims(conn, previous)?;
    let open = open_rows.len() as u64;
    if open != tallied {
        let why = format!("its tallies count {tallied} open rows, and its claims leave {open} open");
        return Err(Damage::Contradiction(why).into());
    }
    let (mut tallies, mut insert) = (TallyChanges::default(), OutcomeLine::prepare_insert(conn)?);
    for (row, claim) in open_rows {
        let line = claim.left_open(stamp);
        line.insert(&mut insert, row)?;
        let kind = load_row(conn, row)?.ok_or_else(|| Damage::row_gone(row))?.request_type();
        tallies.shift(kind, (RowState::Sending, None), (line.state, line.code));
    }
    tallies.write(conn)?;
    let detail = format!("{open} rows that session {previous} left open are in doubt");
    Ok(insert_event(conn, stamp, "takeover", &detail)?)
}

// Ranges hold nothing but the rows that they claim. Of a row that came back and was claimed again, the later claim is last.
const OPEN_CLAIMS: &str = "SELECT i.row, c.attempt, c.session, c.claimed_at
    FROM claims c JOIN items i ON i.row BETWEEN c.first_row AND c.last_row
    WHERE c.session = ?
        AND NOT EXISTS (SELECT 1 FROM outcomes o WHERE o.row = i.row AND o.attempt >= c.attempt)
        AND NOT EXISTS (SELECT 1 FROM pending_again p WHERE p.row = i.row)
        AND NOT EXISTS (SELECT 1 FROM left_out l WHERE l.row = i.row)
    ORDER BY c.attempt";

/// Returns the claims of a session that have no outcome and were not given back, by row. It looks at the rows that this
/// session claimed.
pub(super) fn open_claims(conn: &Connection, session: u32) -> rusqlite::Result<BTreeMap<RowId, ClaimLine>> {
    let claims = query::all(conn, OPEN_CLAIMS, [session], |line| Ok((line.get(0)?, ClaimLine::read(line, 1)?)))?;
    Ok(claims.into_iter().collect())
}
