//! Opening a ledger to write it.

use std::convert::Infallible;
use std::path::Path;

use rusqlite::Connection;

use super::clock::SessionClock;
use super::connection::{LogFile, open_for_writing};
use super::crash;
use super::error::{Fault, LedgerError};
use super::handle::Ledger;
use super::item::SessionInfo;
use super::path::{check_is_file, check_is_local, resolve};
use super::reader::Reader;
use super::run::{RunInfo, load_run};
use super::session::{Stamp, begin_session, last_session};
use super::takeover::take_over;
use super::working::Working;
use super::writer::{Writer, transact};
use crate::machine::Machine;
use crate::platform::DataLock;

impl Ledger {
    /// Opens a ledger and begins a session. Rows that a dead session left open are in doubt when this returns.
    ///
    /// # Errors
    /// Any [`LedgerError`] but those of a step; [`LedgerError::InUse`] at once where another process holds it.
    pub fn open(machine: &Machine, path: &Path, session: &SessionInfo) -> Result<Self, LedgerError> {
        let path = resolve(path)?;
        let lock = lock_existing(&path)?;
        Self::open_locked(&SessionClock::start(machine), &path, session, lock)
    }

    /// Opens a ledger whose lock is held.
    pub(super) fn open_locked(
        clock: &SessionClock,
        path: &Path,
        session: &SessionInfo,
        lock: DataLock,
    ) -> Result<Self, LedgerError> {
        let (writer, run) = begin(clock, path, session, lock)?;
        Self::start(writer, run)
    }
}

/// Takes the lock of a ledger that exists, or says who holds it. `path` is resolved.
pub(super) fn lock_existing(path: &Path) -> Result<DataLock, LedgerError> {
    check_is_file(path)?;
    check_is_local(path)?;
    let failed = |source| LedgerError::Unreadable { path: path.to_owned(), source };
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

/// Begins a session on a ledger whose lock is held, and takes over what a dead one left open.
pub(super) fn begin(
    clock: &SessionClock,
    path: &Path,
    session: &SessionInfo,
    lock: DataLock,
) -> Result<(Writer, RunInfo), LedgerError> {
    begin_with(clock, path, session, lock, |_, _, _| Ok(())).map_err(|error: BeginError<Infallible>| match error {
        BeginError::Ledger(error) => error,
        BeginError::Other(never) => match never {},
    })
}

/// A session could not begin.
#[derive(Debug)]
pub(super) enum BeginError<E> {
    /// The ledger failed.
    Ledger(LedgerError),
    /// What else was to be done failed.
    Other(E),
}

/// Why the transaction that begins a session is rolled back.
#[derive(Debug)]
pub(super) enum Undone<E> {
    /// The ledger failed.
    Fault(Fault),
    /// What else was to be done failed.
    Other(E),
}

impl<E> From<Fault> for Undone<E> {
    fn from(fault: Fault) -> Self {
        Self::Fault(fault)
    }
}

impl<E> From<rusqlite::Error> for Undone<E> {
    fn from(error: rusqlite::Error) -> Self {
        Self::Fault(error.into())
    }
}

/// Begins a session as [`begin`] does, and does something else in the same transaction: `also` is given the connection, the
/// run as it is before, and the session with its time.
pub(super) fn begin_with<E>(
    clock: &SessionClock,
    path: &Path,
    session: &SessionInfo,
    lock: DataLock,
    also: impl FnOnce(&Connection, &RunInfo, Stamp) -> Result<(), Undone<E>>,
) -> Result<(Writer, RunInfo), BeginError<E>> {
    let log = LogFile::look(path);
    let mut conn = open_for_writing(path).map_err(BeginError::Ledger)?;
    let begun = transact(&mut conn, |conn| {
        // What was locked may have lost its name before SQLite opened what has it now.
        if !lock.is_of(path).unwrap_or(false) {
            return Err(Fault::Gone.into());
        }
        let run = load_run(conn)?;
        let previous = last_session(conn)?;
        let number = begin_session(conn, session, clock.began_wall())?;
        let stamp = Stamp { session: number, at: clock.now() };
        take_over(conn, previous, stamp)?;
        also(conn, &run, stamp)?;
        let (run, working) = (load_run(conn)?, Working::load(conn, number)?);
        crash::point("takeover-before-commit");
        Ok((run, working))
    });
    let (run, working) = match begun {
        Ok(begun) => begun,
        Err(undone) => {
            log.leave(conn);
            return Err(match undone {
                Undone::Fault(fault) => BeginError::Ledger(fault.at(path)),
                Undone::Other(error) => BeginError::Other(error),
            });
        }
    };
    crash::point("takeover-committed");
    let writer = Writer {
        conn,
        clock: clock.clone(),
        path: path.to_owned(),
        working,
        started_at: run.started_at,
        spare: None,
        last: None,
        has_failed: false,
        lock,
    };
    Ok((writer, run))
}
