//! What can go wrong with a ledger.

use std::io;
use std::path::{Path, PathBuf};

use super::item::SessionInfo;
use super::schema::VERSION;
use super::state::IllegalTransition;
use crate::platform::{NetworkFileSystem, lacks_files};
use crate::request::RowId;

/// A ledger cannot be made, opened, read or written.
#[derive(Debug, thiserror::Error)]
pub enum LedgerError {
    /// Another process works on it.
    #[error("{}", in_use(path, holder.as_deref()))]
    InUse {
        /// The ledger.
        path: PathBuf,
        /// Who works on it, where that could be read.
        holder: Option<Box<SessionInfo>>,
    },
    /// It lies on another machine's disk.
    #[error("{0:?} lies on a network file system ({1}), where locks do not hold; put the ledger on a local disk")]
    NetworkFileSystem(PathBuf, NetworkFileSystem),
    /// The file is something else.
    #[error("{0:?} is not a cmbatch ledger; name another file")]
    NotALedger(PathBuf),
    /// The file is a ledger, and what it holds is not whole.
    #[error("the ledger {0:?} is damaged; restore it from a backup")]
    Damaged(PathBuf, #[source] Damage),
    /// A newer program made it: this is its version.
    #[error("the ledger {0:?} has version {1}, and this program knows versions up to {VERSION}; use a newer cmbatch")]
    NewerVersion(PathBuf, i64),
    /// A program that was never released made it: this is its version.
    #[error("the ledger {0:?} has version {1}, of an older cmbatch that was never released; make a new ledger")]
    OlderVersion(PathBuf, i64),
    /// There is no such file.
    #[error("there is no ledger {0:?}")]
    NotFound(PathBuf),
    /// A new ledger was asked for, and a file is there.
    #[error("{0:?} already exists; move it away, or name another ledger")]
    AlreadyExists(PathBuf),
    /// The file has so many names.
    #[error(
        "the ledger {0:?} has {1} names (hard links), and its log has only one; keep one name and delete the \
         others, or make a copy"
    )]
    HardLinked(PathBuf, u64),
    /// The path is a symbolic link.
    #[error("{0:?} is a symbolic link; name the file itself")]
    Symlink(PathBuf),
    /// The file, its lock or its folder cannot be written.
    #[error("cannot write {0:?}")]
    Unwritable(PathBuf, #[source] io::Error),
    /// The file, its lock or its folder cannot be read.
    #[error("cannot read {0:?}")]
    Unreadable(PathBuf, #[source] io::Error),
    /// The disk is full. Nothing of the step is recorded.
    #[error("the disk of the ledger {0:?} is full; make room and start again")]
    DiskFull(PathBuf, #[source] rusqlite::Error),
    /// SQLite could not read or write the file. Nothing of the step is recorded.
    #[error("cannot read or write the ledger {0:?}")]
    Sqlite(PathBuf, #[source] rusqlite::Error),
    /// SQLite has no write-ahead log there.
    #[error(
        "the disk of the ledger {0:?} offers no shared memory for a write-ahead log; put the ledger on another disk"
    )]
    NoWriteAheadLog(PathBuf),
    /// The file was deleted, moved or replaced while it was open. Nothing more is recorded.
    #[error("the ledger {0:?} was deleted, moved or replaced while it was in use; put it back before anything is sent")]
    Gone(PathBuf),
    /// Another process took the ledger over, though this one lives. Nothing more is recorded.
    #[error("another process has taken over the ledger {0:?}, so that its disk keeps no locks; put it on a local disk")]
    TakenOver(PathBuf),
    /// An earlier write failed, or the writer is gone; nothing more is recorded.
    #[error("nothing more is recorded in the ledger {0:?} after an earlier failure; start again")]
    Closed(PathBuf),
    /// Rows were to be claimed of a run that was never told to run.
    #[error("the run in the ledger {0:?} was loaded and not started; nothing of it is sent")]
    NotStarted(PathBuf),
    /// What was asked for cannot be done: a row cannot go that way, a step is out of order, or what was to be loaded is not one
    /// whole run. It changed nothing.
    #[error("{0}")]
    Refused(String),
    /// The system gave no random bytes for the run's key.
    #[error("the system gives no random bytes")]
    NoRandomBytes(#[source] getrandom::Error),
}

/// What is wrong with a damaged ledger.
#[derive(Debug, thiserror::Error)]
pub enum Damage {
    /// SQLite cannot read it, or a value is none that this program writes.
    #[error("a part of it cannot be read")]
    Unreadable(#[source] rusqlite::Error),
    /// What it holds contradicts itself.
    #[error("{0}")]
    Contradiction(String),
}

impl Damage {
    /// A row that was claimed, or decided about, is gone.
    pub(super) fn row_gone(row: RowId) -> Self {
        Self::Contradiction(format!("row {row} was claimed and is not in it"))
    }
}

/// What kind of trouble an error is, by whom to call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LedgerTrouble {
    /// The ledger is foreign, damaged, missing, or not where it may be (exit status 2).
    Unusable,
    /// It cannot be written (exit status 7).
    Unwritable,
    /// Another process works on it (exit status 8).
    InUse,
    /// The program asked for what is not allowed; the ledger is unharmed.
    Misuse,
}

impl LedgerError {
    /// Returns what kind of trouble it is.
    pub const fn trouble(&self) -> LedgerTrouble {
        match self {
            Self::InUse { .. } | Self::TakenOver(..) => LedgerTrouble::InUse,
            Self::NetworkFileSystem(..)
            | Self::NotALedger(..)
            | Self::Damaged(..)
            | Self::NewerVersion(..)
            | Self::OlderVersion(..)
            | Self::NotFound(..)
            | Self::AlreadyExists(..)
            | Self::NoWriteAheadLog(..)
            | Self::Unreadable(..)
            | Self::Symlink(..)
            | Self::HardLinked(..) => LedgerTrouble::Unusable,
            Self::Unwritable(..)
            | Self::DiskFull(..)
            | Self::Sqlite(..)
            | Self::Gone(..)
            | Self::Closed(..)
            | Self::NoRandomBytes(_) => LedgerTrouble::Unwritable,
            Self::NotStarted(..) | Self::Refused(_) => LedgerTrouble::Misuse,
        }
    }

    /// Files what SQLite said of the ledger at `path`.
    pub(super) fn of_sqlite(path: &Path, source: rusqlite::Error) -> Self {
        use rusqlite::ffi::SQLITE_IOERR_SHORT_READ;
        use rusqlite::{Error, ErrorCode};
        let path = path.to_owned();
        match source {
            Error::SqliteFailure(failure, _) => match failure.code {
                ErrorCode::DiskFull => Self::DiskFull(path, source),
                ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked => Self::InUse { path, holder: None },
                ErrorCode::NotADatabase => Self::NotALedger(path),
                // SQLite does not say why; that nothing else can be opened does.
                ErrorCode::CannotOpen => match std::fs::File::open(&path) {
                    Err(error) if lacks_files(&error) => Self::Unwritable(path, error),
                    Ok(_) | Err(_) => Self::Sqlite(path, source),
                },
                // A constraint fails only where the tables contradict each other, since a step is checked before it is written; a
                // read is short where the file ends before the page that is asked for.
                code if matches!(code, ErrorCode::DatabaseCorrupt | ErrorCode::ConstraintViolation)
                    || failure.extended_code == SQLITE_IOERR_SHORT_READ =>
                {
                    Self::Damaged(path, Damage::Unreadable(source))
                }
                // SQLite's own list, not ours: whatever else it says is a failure to read or write.
                _ => Self::Sqlite(path, source),
            },
            Error::FromSqlConversionFailure(..)
            | Error::IntegralValueOutOfRange(..)
            | Error::InvalidColumnType(..)
            | Error::Utf8Error(..)
            | Error::QueryReturnedNoRows => Self::Damaged(path, Damage::Unreadable(source)),
            _ => Self::Sqlite(path, source),
        }
    }
}

/// A failure inside the ledger, before it is known which file it is about.
#[derive(Debug, thiserror::Error)]
pub(super) enum Fault {
    /// SQLite failed, or a value in the file is none of ours.
    #[error(transparent)]
    Sql(#[from] rusqlite::Error),
    /// What the file holds contradicts itself.
    #[error(transparent)]
    Damage(#[from] Damage),
    /// What was asked for cannot be done.
    #[error("{0}")]
    Refused(String),
    /// What else there is to say of a ledger.
    #[error("the ledger cannot be used")]
    Ledger(fn(PathBuf) -> LedgerError),
}

impl Fault {
    /// A row cannot go that way.
    pub(super) fn illegal(row: RowId, illegal: IllegalTransition) -> Self {
        Self::Refused(format!("row {row}: {illegal}"))
    }

    /// The run has no such row.
    pub(super) fn no_such_row(row: RowId) -> Self {
        Self::Refused(format!("the run has no row {row}"))
    }

    /// Names the ledger.
    pub(super) fn at(self, path: &Path) -> LedgerError {
        match self {
            Self::Sql(source) => LedgerError::of_sqlite(path, source),
            Self::Damage(damage) => LedgerError::Damaged(path.to_owned(), damage),
            Self::Refused(why) => LedgerError::Refused(why),
            Self::Ledger(error) => error(path.to_owned()),
        }
    }
}

fn in_use(path: &Path, holder: Option<&SessionInfo>) -> String {
    match holder {
        Some(SessionInfo { user, host, pid, command, started_at, .. }) => format!(
            "the ledger {path:?} is in use: {command} of {user} on {host} (process {pid}) since {started_at:.0}; \
             wait until it ends"
        ),
        None => format!("the ledger {path:?} is in use by another process; wait until it ends"),
    }
}

#[cfg(test)]
mod tests {
    use rusqlite::ffi;

    use super::*;
    use crate::ledger::testing::session;

    fn failure(code: i32) -> LedgerError {
        let source = rusqlite::Error::SqliteFailure(ffi::Error::new(code), None);
        LedgerError::of_sqlite(Path::new("w.ledger"), source)
    }

    #[test]
    fn what_sqlite_says_is_filed_by_whom_to_call() {
        for (code, trouble) in [
            (ffi::SQLITE_FULL, LedgerTrouble::Unwritable),
            (ffi::SQLITE_IOERR_WRITE, LedgerTrouble::Unwritable),
            (ffi::SQLITE_IOERR_FSYNC, LedgerTrouble::Unwritable),
            (ffi::SQLITE_READONLY, LedgerTrouble::Unwritable),
            (ffi::SQLITE_CANTOPEN, LedgerTrouble::Unwritable),
            (ffi::SQLITE_NOTADB, LedgerTrouble::Unusable),
            (ffi::SQLITE_CORRUPT, LedgerTrouble::Unusable),
            (ffi::SQLITE_IOERR_SHORT_READ, LedgerTrouble::Unusable),
            (ffi::SQLITE_CONSTRAINT, LedgerTrouble::Unusable),
            (ffi::SQLITE_BUSY, LedgerTrouble::InUse),
        ] {
            assert_eq!(failure(code).trouble(), trouble, "{code}");
        }
        assert!(matches!(failure(ffi::SQLITE_FULL), LedgerError::DiskFull(..)));
    }

    #[test]
    fn the_holder_is_named_with_all_that_helps_to_find_it() {
        let holder = session("2026-03-01T08:00:00.5Z".parse().unwrap(), None);
        let error = LedgerError::InUse { path: "w.ledger".into(), holder: Some(Box::new(holder)) };
        assert_eq!(
            error.to_string(),
            "the ledger \"w.ledger\" is in use: submit of alice on ops1 (process 4711) since 2026-03-01T08:00:00Z; \
             wait until it ends"
        );
    }

    #[test]
    fn a_newer_ledger_is_refused_with_both_versions() {
        let error = LedgerError::NewerVersion("w.ledger".into(), 7);
        assert_eq!(
            error.to_string(),
            "the ledger \"w.ledger\" has version 7, and this program knows versions up to 4; use a newer cmbatch"
        );
    }
}
