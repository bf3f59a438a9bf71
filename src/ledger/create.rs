//! Making a new ledger with all its rows, or nothing; taking further manifests into one that exists, or nothing of them.

use std::io;
use std::path::{Path, PathBuf};

use rusqlite::{Connection, Statement, params};
use tempfile::TempPath;

use super::clock::SessionClock;
use super::connection::{open_for_load, use_write_ahead_log};
use super::crash;
use super::error::{Fault, LedgerError};
use super::handle::Ledger;
use super::history::{OutcomeLine, Source, history_of};
use super::item::{InvalidItem, Item, LoadRow, ManifestPart, RunIdentity, SessionInfo};
use super::open::{begin, lock_existing};
use super::path::{beside, check_is_free, check_is_local, resolve};
use super::query;
use super::run::{RunInfo, Stamp, insert_event, insert_parts, insert_run, n_rows};
use super::schema::{create_indexes_and_view, create_tables};
use super::state::RowEvent;
use super::tally::TallyChanges;
use super::verdict::Change;
use crate::machine::Machine;
use crate::platform::{DataLock, folder_of, sync_folder};
use crate::request::{NamedValues, RowId, RunId, RunKey};

/// A new ledger could not be made. Nothing is left of it.
#[derive(Debug, thiserror::Error)]
pub enum CreateError<E> {
    /// The ledger failed.
    #[error(transparent)]
    Ledger(#[from] LedgerError),
    /// What feeds the rows failed.
    #[error("the rows could not be read")]
    Feed(#[source] E),
}

impl Ledger {
    /// Makes a new ledger with all its rows, or nothing: `feed` adds the rows, in any order, and returns the manifests they
    /// are of. When this returns, the ledger is durable under its name, and a session has begun.
    ///
    /// The rows go into a private file beside the ledger (`X.ledger.loading`), which is renamed when it is whole. A process
    /// that dies before leaves that file and no ledger; the next `create` removes it.
    ///
    /// # Errors
    /// Any [`LedgerError`] but those of a step ([`LedgerError::AlreadyExists`] among them), or what `feed` returned.
    pub fn create<E>(
        machine: &Machine,
        path: &Path,
        identity: &RunIdentity,
        session: &SessionInfo,
        feed: impl FnOnce(&mut Loader) -> Result<Vec<ManifestPart>, E>,
    ) -> Result<Self, CreateError<E>> {
        let path = resolve(path)?;
        check_is_local(&path)?;
        check_is_free(&path)?;
        let clock = SessionClock::start(machine);
        let loading = Loading::begin(&path)?;
        // Asked again, now that nobody else can make it.
        check_is_free(&path)?;
        let conn = loading.open()?;
        let mut loader = Loader::new(&conn, &path, Stamp { session: FIRST_SESSION, at: clock.now() }, &[])?;
        let parts = feed(&mut loader).map_err(CreateError::Feed)?;
        let (mut id, mut key) = ([0; 16], [0; 32]);
        machine.fill(&mut id).and_then(|()| machine.fill(&mut key)).map_err(LedgerError::NoRandomBytes)?;
        let run = RunInfo {
            id: RunId::from_bytes(id),
            key: RunKey::from_bytes(key),
            identity: identity.clone(),
            parts,
            created_at: clock.now(),
            started_at: None,
        };
        let at = |fault: Fault| fault.at(&path);
        loader.finish(&run.parts).map_err(at)?;
        finish_run(&conn, &run).map_err(at)?;
        conn.close().map_err(|(_, error)| at(error.into()))?;
        let lock = loading.finish()?;
        Ok(begin(&clock, &path, session, lock, |_, _, _| Ok::<_, LedgerError>(()))?)
    }

    /// Opens a ledger as [`open`](Self::open) does, and takes further rows into it, in the transaction that begins the session:
    /// all or nothing, and of a ledger that nothing was added to no session is on record either.
    ///
    /// `feed` is given the run as it is. It adds the rows, numbered on from the last, in any order, and returns the manifests
    /// that they are of, numbered on too. With [`Loader::replace`] rows stand for earlier ones. Readers, one of `feed`'s own among
    /// them, see the ledger as it was until this returns.
    ///
    /// # Errors
    /// Those of [`open`](Self::open), [`LedgerError::Refused`], or what `feed` returned.
    pub fn open_and_append<E>(
        machine: &Machine,
        path: &Path,
        session: &SessionInfo,
        feed: impl FnOnce(&mut Loader, &RunInfo) -> Result<Vec<ManifestPart>, E>,
    ) -> Result<Self, CreateError<E>> {
        let path = resolve(path)?;
        let lock = lock_existing(&path)?;
        let clock = SessionClock::start(machine);
        let ledger = begin(&clock, &path, session, lock, |conn, run, stamp| {
            let mut loader = Loader::new(conn, &path, stamp, &run.parts)?;
            let parts = feed(&mut loader, run).map_err(CreateError::Feed)?;
            let finished = loader.finish(&parts).and_then(|()| append_parts(conn, stamp, &parts));
            finished.map_err(|fault| fault.at(&path))?;
            crash::point("append-before-commit");
            Ok::<_, CreateError<E>>(())
        })?;
        crash::point("append-committed");
        Ok(ledger)
    }
}

/// The number of the session that begins when the ledger is made.
const FIRST_SESSION: u32 = 1;

/// Writes what the rows belong to, and makes the file whole.
fn finish_run(conn: &Connection, run: &RunInfo) -> Result<(), Fault> {
    insert_run(conn, run)?;
    create_indexes_and_view(conn)?;
    conn.execute_batch("COMMIT")?;
    use_write_ahead_log(conn)
}

/// Writes the manifests of further rows.
fn append_parts(conn: &Connection, stamp: Stamp, parts: &[ManifestPart]) -> Result<(), Fault> {
    insert_parts(conn, parts)?;
    for part in parts {
        let detail = format!("{} rows of manifest {} ({:?})", part.n_rows, part.part, part.name);
        insert_event(conn, stamp, "append", &detail)?;
    }
    Ok(())
}

/// The private file that rows are loaded into. Dropped before it is finished, it is deleted.
#[derive(Debug)]
struct Loading {
    ledger: PathBuf,
    file: TempPath,
    lock: DataLock,
}

impl Loading {
    /// Makes the file, with its lock held: one that is there is left of a process that died.
    fn begin(ledger: &Path) -> Result<Self, LedgerError> {
        let path = beside(ledger, ".loading");
        let failed = |source| LedgerError::Unwritable(path.clone(), source);
        let Some(lock) = DataLock::create(&path, ledger).map_err(failed)? else {
            return Err(LedgerError::InUse { path: ledger.to_owned(), holder: None });
        };
        let file = TempPath::try_from_path(&path).map_err(failed)?;
        for suffix in ["-wal", "-shm", "-journal"] {
            match std::fs::remove_file(beside(&path, suffix)) {
                Ok(()) => {}
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                Err(source) => return Err(failed(source)),
            }
        }
        Ok(Self { ledger: ledger.to_owned(), file, lock })
    }

    /// Opens it with its tables made, in a transaction.
    fn open(&self) -> Result<Connection, LedgerError> {
        let make = || {
            let conn = open_for_load(&self.file)?;
            create_tables(&conn)?;
            conn.execute_batch("BEGIN")?;
            Ok(conn)
        };
        make().map_err(|error| LedgerError::of_sqlite(&self.ledger, error))
    }

    /// Makes the content durable, then the name. The lock stays the ledger's.
    fn finish(self) -> Result<DataLock, LedgerError> {
        let Self { ledger, file, lock } = self;
        let failed = |source| LedgerError::Unwritable(ledger.clone(), source);
        lock.sync(&file).map_err(failed)?;
        crash::point("create-before-rename");
        file.persist_noclobber(&ledger).map_err(|error| match error.error.kind() {
            io::ErrorKind::AlreadyExists => LedgerError::AlreadyExists(ledger.clone()),
            _ => failed(error.error),
        })?;
        crash::point("create-after-rename");
        sync_folder(folder_of(&ledger)).map_err(failed)?;
        Ok(lock)
    }
}

const INSERT_ITEM: &str =
    "INSERT INTO items (row, part, part_row, line, reason, id, notes, type, template, target, smartcard, profile,
        comment, priority, data, body)
     VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)";

/// Takes the rows of a new ledger, or further rows of one that exists.
#[derive(Debug)]
pub struct Loader<'a> {
    conn: &'a Connection,
    /// What adds an item; looking it up costs a fifth of running it.
    insert: Statement<'a>,
    ledger: &'a Path,
    /// With which session the rows come, and when.
    stamp: Stamp,
    /// The manifests that the run has already.
    parts: &'a [ManifestPart],
    tallies: TallyChanges,
    n_rows: u64,
    last: u32,
    /// The rows that are replaced, each with the one that stands for it.
    replaced: Vec<(RowId, RowId)>,
}

impl<'a> Loader<'a> {
    fn new(
        conn: &'a Connection,
        ledger: &'a Path,
        stamp: Stamp,
        parts: &'a [ManifestPart],
    ) -> Result<Self, LedgerError> {
        let insert = conn.prepare(INSERT_ITEM).map_err(|error| LedgerError::of_sqlite(ledger, error))?;
        let tallies = TallyChanges::default();
        Ok(Self { conn, insert, ledger, stamp, parts, tallies, n_rows: 0, last: 0, replaced: Vec::new() })
    }

    /// Adds one row. Rows in order of their numbers are fastest.
    ///
    /// # Errors
    /// The row came twice, or SQLite could not write. The load has failed then.
    pub fn add(&mut self, row: LoadRow) -> Result<(), LedgerError> {
        let added = match &row {
            LoadRow::Item(item) => self.add_item(item),
            LoadRow::Invalid(item) => self.add_invalid(item),
        };
        added.map_err(|error| self.failed(row.row(), error))?;
        self.tallies.add(row.request_type(), (row.state(), None));
        self.n_rows += 1;
        self.last = self.last.max(row.row().get());
        Ok(())
    }

    fn add_item(&mut self, item: &Item) -> rusqlite::Result<()> {
        let request = &item.request;
        self.insert.execute(params![
            item.row,
            item.place.part,
            item.place.part_row,
            item.place.line,
            item.skipped,
            item.id,
            item.notes,
            request.kind,
            request.template,
            request.target,
            request.smartcard,
            request.profile,
            request.comment,
            request.priority,
            request.data,
            NamedValues::from_iter(request.body.iter().cloned()),
        ])?;
        Ok(())
    }

    fn add_invalid(&self, item: &InvalidItem) -> rusqlite::Result<()> {
        let InvalidItem { row, place, original_json, errors } = item;
        let sql = "INSERT INTO items (row, part, part_row, line, reason, original) VALUES (?, ?, ?, ?, ?, ?)";
        query::change(self.conn, sql, (row, place.part, place.part_row, place.line, errors, original_json)).map(drop)
    }

    fn failed(&self, row: RowId, error: rusqlite::Error) -> LedgerError {
        match error.sqlite_error_code() {
            Some(rusqlite::ErrorCode::ConstraintViolation) => {
                LedgerError::Refused(format!("row {row} was loaded twice"))
            }
            Some(_) | None => LedgerError::of_sqlite(self.ledger, error),
        }
    }

    /// Lets a row of this load stand for one that is failed or invalid, which is `replaced` then. The new row may be added
    /// before or after.
    ///
    /// # Errors
    /// [`LedgerError::Refused`]: the run has no such row, or it is neither failed nor invalid. Where the new row is not valid or is
    /// none of this load, the load fails at its end.
    pub fn replace(&mut self, old: RowId, new: RowId) -> Result<(), LedgerError> {
        self.append_replaced(old, new).map_err(|fault| fault.at(self.ledger))
    }

    fn append_replaced(&mut self, old: RowId, new: RowId) -> Result<(), Fault> {
        let history = history_of(self.conn, old)?;
        let Change { loaded, before, after } = Change::of(self.conn, old, &history, |_| RowEvent::Replaced)?;
        let line = OutcomeLine {
            message: Some(format!("row {new} stands for it")),
            replaced_by: Some(new),
            ..OutcomeLine::new(history.next_verdict(), after, Source::Replay, self.stamp)
        };
        line.insert(&mut OutcomeLine::prepare_insert(self.conn)?, old)?;
        self.tallies.shift(loaded.request_type(), (before, history.code()), (after, None));
        self.replaced.push((old, new));
        Ok(())
    }

    /// Checks that all rows of these manifests are there, and writes their counts.
    ///
    /// # Errors
    /// They are not, or SQLite failed. The load has failed then.
    pub(super) fn finish(self, parts: &[ManifestPart]) -> Result<(), Fault> {
        let expected = n_rows(parts);
        if self.n_rows != expected || u64::from(self.last) > n_rows(self.parts) + expected {
            let (loaded, last) = (self.n_rows, self.last);
            return Err(Fault::Refused(format!(
                "{loaded} rows were loaded, the last of them row {last}, and the manifests have {expected}"
            )));
        }
        self.check_parts(parts)?;
        self.check_replaced()?;
        self.tallies.write(self.conn)?;
        Ok(())
    }

    fn check_parts(&self, parts: &[ManifestPart]) -> Result<(), Fault> {
        let mut row = n_rows(self.parts) + 1;
        for (number, part) in (self.parts.len() as u64 + 1..).zip(parts) {
            if u64::from(part.part) != number || u64::from(part.first_row.get()) != row {
                return Err(Fault::Refused(format!(
                    "manifest {} begins with row {}, where manifest {number} with row {row} was due",
                    part.part, part.first_row
                )));
            }
            row += u64::from(part.n_rows);
        }
        Ok(())
    }

    fn check_replaced(&self) -> Result<(), Fault> {
        let mut is_item = self.conn.prepare("SELECT 1 FROM items WHERE row = ? AND original IS NULL")?;
        for &(row, by) in &self.replaced {
            if u64::from(by.get()) <= n_rows(self.parts) || !is_item.exists([by])? {
                return Err(Fault::Refused(format!(
                    "row {row} cannot be replaced by row {by}, which is no valid row of this load"
                )));
            }
        }
        Ok(())
    }
}
