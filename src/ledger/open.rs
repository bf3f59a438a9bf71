//! Opening a ledger to write it.

use std::path::Path;

use jiff::Timestamp;
use rusqlite::{Connection, OptionalExtension};

use super::connection::open_for_writing;
use super::error::{Fault, LedgerError};
use super::handle::Ledger;
use super::item::SessionInfo;
use super::path::{check_is_file, check_is_local, lock_path, resolve};
use super::reader::Reader;
use super::run::{RunInfo, load_run};
use super::session::{begin_session, last_session};
use super::takeover::take_over;
use super::watermark::Watermark;
use super::working::{Working, last_claimed};
use super::writer::{Writer, transact};
use crate::platform::{FileLock, inode};
use crate::request::RunId;

impl Ledger {
    /// Opens a ledger and begins a session. Rows that a dead session left open are in doubt when this returns.
    ///
    /// # Errors
    /// Any [`LedgerError`] but those of a step; [`LedgerError::InUse`] at once where another process holds it.
    pub fn open(path: &Path, session: &SessionInfo) -> Result<Self, LedgerError> {
        let path = resolve(path)?;
        check_is_file(&path)?;
        check_is_local(&path)?;
        if lock_path(&path).symlink_metadata().is_err() {
            // Without a lock beside it the file may be anything; a lock is not put beside someone else's.
            Reader::open(&path)?;
        }
        let lock = take_lock(&path)?;
        Self::open_locked(&path, session, lock)
    }

    /// Opens a ledger whose lock is held.
    pub(super) fn open_locked(path: &Path, session: &SessionInfo, lock: FileLock) -> Result<Self, LedgerError> {
        let (writer, run) = begin(path, session, &lock)?;
        Self::start(writer, run, lock)
    }
}

/// Begins a session on a ledger whose lock is held, and takes over what a dead one left open.
pub(super) fn begin(path: &Path, session: &SessionInfo, lock: &FileLock) -> Result<(Writer, RunInfo), LedgerError> {
    let mut conn = open_for_writing(path)?;
    let inode = inode(path).map_err(|source| LedgerError::Unreadable { path: path.to_owned(), source })?;
    let at = |fault: Fault| fault.at(path);
    let run = load_run(&conn).map_err(at)?;
    let mark = before(&conn, run.id).map_err(|error| at(error.into()))?;
    mark.check(path, lock)?;
    let working = transact(&mut conn, |conn| {
        let number = begin_session(conn, session, inode)?;
        take_over(conn, number, Timestamp::now())?;
        Ok(Working::load(conn, number)?)
    })
    .map_err(at)?;
    let lock = lock.share().map_err(|source| LedgerError::Unwritable { path: lock_path(path), source })?;
    let writer = Writer {
        conn,
        path: path.to_owned(),
        run: run.id,
        lock,
        inode,
        working,
        started_at: run.started_at,
        last: None,
        has_failed: false,
    };
    writer.note();
    Ok((writer, run))
}

/// Returns how far the ledger says that the run had come before this session.
fn before(conn: &Connection, run: RunId) -> rusqlite::Result<Watermark> {
    let session = last_session(conn).optional()?.unwrap_or(0);
    Ok(Watermark { run, session, claimed: last_claimed(conn)? })
}

/// Takes the lock of a ledger, or says who holds it.
pub(super) fn take_lock(path: &Path) -> Result<FileLock, LedgerError> {
    let lock_path = lock_path(path);
    match FileLock::try_acquire(&lock_path) {
        Ok(Some(lock)) => Ok(lock),
        Ok(None) => {
            let holder = Reader::open(path).and_then(|reader| reader.last_open_session()).ok().flatten();
            Err(LedgerError::InUse { path: path.to_owned(), holder: holder.map(Box::new) })
        }
        Err(source) => Err(LedgerError::Unwritable { path: lock_path, source }),
    }
}
