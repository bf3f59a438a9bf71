//! Making a new ledger with all its rows, or nothing.

use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};

use jiff::Timestamp;
use rusqlite::{Connection, params};
use tempfile::TempPath;

use super::connection::{open_for_load, use_write_ahead_log};
use super::error::{Fault, LedgerError, LoadError};
use super::handle::Ledger;
use super::item::{InvalidItem, Item, LoadRow, ManifestPart, RunIdentity, SessionInfo};
use super::open::take_lock;
use super::path::{beside, check_is_free, check_is_local, resolve};
use super::run::{RunInfo, insert_run};
use super::schema::{RUN, create_indexes_and_view, create_tables};
use super::sql::{Sql, pairs_to_json};
use super::state::RowState;
use super::tally::{TallyChanges, TallyKey};
use crate::platform::{create_private, folder_of, sync_folder};
use crate::request::{Guid, RowId, RunId, RunKey};

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
        path: &Path,
        identity: &RunIdentity,
        session: &SessionInfo,
        feed: impl FnOnce(&mut Loader) -> Result<Vec<ManifestPart>, E>,
    ) -> Result<Self, CreateError<E>> {
        let path = resolve(path)?;
        check_is_local(&path)?;
        check_is_free(&path)?;
        let lock = take_lock(&path)?;
        // Asked again, now that nobody else can make it.
        check_is_free(&path)?;
        let loading = Loading::begin(&path)?;
        let mut loader = loading.loader()?;
        let parts = feed(&mut loader).map_err(CreateError::Feed)?;
        let mut key = [0; 32];
        getrandom::fill(&mut key).map_err(LedgerError::NoRandomBytes)?;
        loader.finish(RunInfo {
            id: RunId::random(),
            key: RunKey::from_bytes(key),
            identity: identity.clone(),
            n_rows: parts.iter().map(|part| u64::from(part.n_rows)).sum(),
            parts,
            created_at: Timestamp::now(),
            started_at: None,
        })?;
        loading.finish()?;
        Ok(Self::open_locked(&path, session, lock)?)
    }
}

/// The private file that rows are loaded into. Dropped before it is finished, it is deleted.
#[derive(Debug)]
struct Loading {
    ledger: PathBuf,
    file: TempPath,
}

impl Loading {
    /// Makes the file, under the ledger's lock: one that is there is left of a process that died.
    fn begin(ledger: &Path) -> Result<Self, LedgerError> {
        let path = beside(ledger, ".loading");
        let failed = |source| LedgerError::Unwritable { path: path.clone(), source };
        for suffix in ["", "-wal", "-shm", "-journal"] {
            match std::fs::remove_file(beside(&path, suffix)) {
                Ok(()) => {}
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                Err(source) => return Err(failed(source)),
            }
        }
        // Closed before SQLite opens it: the file is empty and private from the very first moment.
        drop(create_private(&path).map_err(failed)?);
        let file = TempPath::try_from_path(&path).map_err(failed)?;
        Ok(Self { ledger: ledger.to_owned(), file })
    }

    fn loader(&self) -> Result<Loader, LedgerError> {
        let make = || {
            let conn = open_for_load(&self.file)?;
            create_tables(&conn)?;
            conn.execute_batch("BEGIN")?;
            Ok(conn)
        };
        let conn = make().map_err(|error| LedgerError::of_sqlite(&self.ledger, error))?;
        Ok(Loader { conn, ledger: self.ledger.clone(), tallies: TallyChanges::default(), n_rows: 0, last: 0 })
    }

    /// Makes the content durable, then the name.
    fn finish(self) -> Result<(), LedgerError> {
        let Self { ledger, file } = self;
        let failed = |source| LedgerError::Unwritable { path: ledger.clone(), source };
        // No connection is open on it, so closing this handle takes no lock of SQLite's away.
        File::open(&file).and_then(|file| file.sync_all()).map_err(failed)?;
        file.persist_noclobber(&ledger).map_err(|error| match error.error.kind() {
            io::ErrorKind::AlreadyExists => LedgerError::AlreadyExists { path: ledger.clone() },
            _ => failed(error.error),
        })?;
        sync_folder(folder_of(&ledger)).map_err(failed)
    }
}

/// Takes the rows of a new ledger.
#[derive(Debug)]
pub struct Loader {
    conn: Connection,
    ledger: PathBuf,
    tallies: TallyChanges,
    n_rows: u64,
    last: u32,
}

impl Loader {
    /// Adds one row. Rows in order of their numbers are fastest.
    ///
    /// # Errors
    /// [`LoadError::RepeatedRow`], or SQLite could not write. The load has failed then.
    pub fn add(&mut self, row: LoadRow) -> Result<(), LedgerError> {
        let (number, added) = match &row {
            LoadRow::Item(item) => (item.row, self.add_item(item)),
            LoadRow::Invalid(item) => (item.row, self.add_invalid(item)),
        };
        added.map_err(|error| self.failed(number, error))?;
        self.n_rows += 1;
        self.last = self.last.max(number.get());
        Ok(())
    }

    fn add_item(&mut self, item: &Item) -> rusqlite::Result<()> {
        let request = &item.request;
        let guid = |guid: Option<Guid>| guid.map(Sql);
        self.conn
            .prepare_cached(
                "INSERT INTO items (run, row, part, part_row, line, id, type, template, target, smartcard, profile,
                     comment, priority, data, body, notes, skipped)
                 VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
            )?
            .execute(params![
                RUN,
                Sql(item.row),
                item.place.part,
                item.place.part_row,
                Sql(item.place.line),
                item.id,
                Sql(request.kind),
                guid(request.template),
                guid(request.target),
                guid(request.smartcard),
                guid(request.profile),
                request.comment,
                request.priority,
                pairs_to_json(&request.data),
                pairs_to_json(&request.body),
                pairs_to_json(&item.notes),
                item.skipped,
            ])?;
        let state = if item.skipped.is_some() { RowState::Skipped } else { RowState::Pending };
        self.tallies.add(TallyKey::new(state, None, request.kind));
        Ok(())
    }

    fn add_invalid(&mut self, item: &InvalidItem) -> rusqlite::Result<()> {
        self.conn
            .prepare_cached(
                "INSERT INTO invalid_rows (run, row, part, part_row, line, original, errors) VALUES (?, ?, ?, ?, ?, ?, ?)",
            )?
            .execute(params![
                RUN,
                Sql(item.row),
                item.place.part,
                item.place.part_row,
                Sql(item.place.line),
                item.original_json,
                item.errors,
            ])?;
        self.tallies.add(TallyKey { state: RowState::Invalid, code: None, kind: None });
        Ok(())
    }

    fn failed(&self, row: RowId, error: rusqlite::Error) -> LedgerError {
        match error.sqlite_error_code() {
            Some(rusqlite::ErrorCode::ConstraintViolation) => LoadError::RepeatedRow(row).into(),
            Some(_) | None => LedgerError::of_sqlite(&self.ledger, error),
        }
    }

    /// Checks that all rows of the run are there, and closes the file, whole.
    fn finish(self, run: RunInfo) -> Result<(), LedgerError> {
        let Self { conn, ledger, tallies, n_rows, last } = self;
        if n_rows != run.n_rows || u64::from(last) > n_rows {
            return Err(LoadError::WrongCount { loaded: n_rows, last, expected: run.n_rows }.into());
        }
        let at = |fault: Fault| fault.at(&ledger);
        // Each table refuses a number twice; with none above the count, one in both is all that could still be wrong.
        let both = conn.query_row(
            "SELECT min(v.row) FROM invalid_rows v JOIN items i ON i.run = v.run AND i.row = v.row",
            [],
            |line| line.get::<_, Option<Sql<RowId>>>(0),
        );
        if let Some(row) = both.map_err(|error| at(error.into()))? {
            return Err(LoadError::RepeatedRow(row.0).into());
        }
        let write = || -> Result<(), Fault> {
            tallies.write(&conn)?;
            insert_run(&conn, &run)?;
            create_indexes_and_view(&conn)?;
            conn.execute_batch("COMMIT")?;
            use_write_ahead_log(&conn)
        };
        write().map_err(at)?;
        conn.close().map_err(|(_, error)| at(error.into()))
    }
}
