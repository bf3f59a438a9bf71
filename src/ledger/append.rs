//! Taking a further manifest into a ledger that exists, or nothing of it.

use std::path::Path;

use rusqlite::{Connection, params};

use super::clock::SessionClock;
use super::crash;
use super::create::CreateError;
use super::error::Fault;
use super::handle::Ledger;
use super::item::{ManifestPart, SessionInfo};
use super::loader::{Held, Loader};
use super::open::{BeginError, Undone, begin_with, lock_existing};
use super::path::resolve;
use super::run::{RunInfo, insert_parts};
use super::schema::RUN;
use super::session::{Stamp, insert_event};
use crate::machine::Machine;

impl Ledger {
    /// Opens a ledger as [`open`](Self::open) does, and takes further rows into it, in the transaction that begins the session:
    /// all or nothing, and of a ledger that nothing was added to no session is on record either.
    ///
    /// `feed` is given the run as it is. It adds the rows, numbered on from the last, in any order, and returns the manifests
    /// that they are of, numbered on too. With [`Loader::replace`] rows stand for earlier ones. Readers, one of `feed`'s own among
    /// them, see the ledger as it was until this returns.
    ///
    /// # Errors
    /// Those of [`open`](Self::open), [`LedgerError::Load`](super::LedgerError::Load), or what `feed` returned.
    pub fn open_and_append<E>(
        machine: &Machine,
        path: &Path,
        session: &SessionInfo,
        feed: impl FnOnce(&mut Loader, &RunInfo) -> Result<Vec<ManifestPart>, E>,
    ) -> Result<Self, CreateError<E>> {
        let path = resolve(path)?;
        let lock = lock_existing(&path)?;
        let clock = SessionClock::start(machine);
        let begun = begin_with(&clock, &path, session, lock, |conn, run, stamp| {
            let mut loader = Loader::new(conn, &path, stamp, Held::of(run));
            let parts = feed(&mut loader, run).map_err(Undone::Other)?;
            loader.finish(&parts)?;
            append_parts(conn, stamp, &parts)?;
            crash::point("append-before-commit");
            Ok(())
        });
        let (writer, run) = begun.map_err(|error| match error {
            BeginError::Ledger(error) => CreateError::Ledger(error),
            BeginError::Other(error) => CreateError::Feed(error),
        })?;
        crash::point("append-committed");
        Ok(Self::start(writer, run)?)
    }
}

fn append_parts(conn: &Connection, stamp: Stamp, parts: &[ManifestPart]) -> Result<(), Fault> {
    insert_parts(conn, parts)?;
    let n_rows: u64 = parts.iter().map(|part| u64::from(part.n_rows)).sum();
    conn.execute("UPDATE runs SET n_rows = n_rows + ? WHERE run = ?", params![n_rows, RUN])?;
    for part in parts {
        let detail = format!("{} rows of manifest {} ({:?})", part.n_rows, part.part, part.name);
        insert_event(conn, stamp, "append", &detail)?;
    }
    Ok(())
}
