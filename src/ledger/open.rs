//! Opening a ledger to write it.

use std::convert::Infallible;
use std::path::Path;

use rusqlite::Connection;

use super::connection::{LogFile, open_for_writing};
use super::crash;
use super::error::{Fault, LedgerError};
use super::handle::Ledger;
use super::item::SessionInfo;
use super::migrate::migrate;
use super::older::doubt_what_may_be_sent;
use super::path::{check_is_file, check_is_local, lock_path, resolve};
use super::reader::Reader;
use super::resolution::Standing;
use super::run::{RunInfo, load_run};
use super::session::{begin_session, load_sessions};
use super::standing::Found;
use super::takeover::take_over;
use super::watermark::Note;
use super::working::{Working, load_progress};
use super::writer::{Writer, transact};
use crate::machine::Machine;
use crate::platform::{FileLock, FileMark, file_mark};

impl Ledger {
    /// Opens a ledger and begins a session. Rows that a dead session left open are in doubt when this returns, and so are rows of
    /// an older ledger that may have been sent since it was copied. A ledger of an older program is brought to this one's
    /// tables.
    ///
    /// # Errors
    /// Any [`LedgerError`] but those of a step; [`LedgerError::InUse`] at once where another process holds it.
    pub fn open(machine: &Machine, path: &Path, session: &SessionInfo) -> Result<Self, LedgerError> {
        let path = resolve(path)?;
        let lock = lock_existing(&path)?;
        Self::open_locked(machine, &path, session, lock)
    }

    /// Opens a ledger whose lock is held.
    pub(super) fn open_locked(
        machine: &Machine,
        path: &Path,
        session: &SessionInfo,
        lock: FileLock,
    ) -> Result<Self, LedgerError> {
        let (writer, run) = begin(machine, path, session, &lock)?;
        Self::start(writer, run, lock)
    }
}

/// Takes the lock of a ledger that exists. `path` is resolved.
pub(super) fn lock_existing(path: &Path) -> Result<FileLock, LedgerError> {
    check_is_file(path)?;
    check_is_local(path)?;
    if lock_path(path).symlink_metadata().is_err() {
        // Without a lock beside it the file may be anything; a lock is not put beside someone else's.
        Reader::open(path)?;
    }
    take_lock(path)
}

/// Begins a session on a ledger whose lock is held, and takes over what a dead one left open.
pub(super) fn begin(
    machine: &Machine,
    path: &Path,
    session: &SessionInfo,
    lock: &FileLock,
) -> Result<(Writer, RunInfo), LedgerError> {
    begin_with(machine, path, session, lock, |_, _, _| Ok(())).map_err(|error: BeginError<Infallible>| match error {
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
/// run as it is before, and the session's number.
pub(super) fn begin_with<E>(
    machine: &Machine,
    path: &Path,
    session: &SessionInfo,
    lock: &FileLock,
    also: impl FnOnce(&Connection, &RunInfo, u32) -> Result<(), Undone<E>>,
) -> Result<(Writer, RunInfo), BeginError<E>> {
    // Before SQLite opens it.
    let file = file_mark(path)
        .map_err(|source| BeginError::Ledger(LedgerError::Unreadable { path: path.to_owned(), source }))?;
    let log = LogFile::look(path);
    let mut conn = open_for_writing(path).map_err(BeginError::Ledger)?;
    let begun = transact(&mut conn, |conn| {
        let begun = Begun::begin(machine, conn, session, lock, file)?;
        also(conn, &begun.run, begun.number)?;
        let (run, working) = (load_run(conn)?, Working::load(conn, begun.number)?);
        crash::point("takeover-before-commit");
        Ok((begun.standing, run, working))
    });
    let (standing, run, working) = match begun {
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
    let lock =
        lock.share().map_err(|source| BeginError::Ledger(LedgerError::Unwritable { path: lock_path(path), source }))?;
    let writer = Writer {
        conn,
        machine: machine.clone(),
        path: path.to_owned(),
        run: run.id,
        lock,
        standing,
        inode: file.inode,
        working,
        started_at: run.started_at,
        spare: None,
        last: None,
        has_failed: false,
    };
    writer.note(None);
    Ok((writer, run))
}

/// A session that has begun, in a transaction that is not committed yet.
struct Begun {
    run: RunInfo,
    number: u32,
    standing: Standing,
}

impl Begun {
    fn begin(
        machine: &Machine,
        conn: &Connection,
        session: &SessionInfo,
        lock: &FileLock,
        file: FileMark,
    ) -> Result<Self, Fault> {
        let now = machine.now();
        let run = load_run(conn)?;
        let note = Note::read(run.id, lock);
        let noted = note.map(|note| note.progress).unwrap_or_default();
        let newest = load_sessions(conn)?.pop();
        let previous = newest.as_ref().map_or(0, |session| session.number);
        let number = begin_session(conn, session, file.inode, noted.session)?;
        migrate(conn, number, now)?;
        let progress = load_progress(conn, previous)?;
        let standing = Found { newest: newest.as_ref(), progress, note, file, host: &session.host }.standing();
        take_over(conn, previous, number, now)?;
        match standing {
            Standing::Older => doubt_what_may_be_sent(conn, number, now, &progress, &noted)?,
            Standing::Clean | Standing::Unclean | Standing::Copied => {}
        }
        Ok(Self { run, number, standing })
    }
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
