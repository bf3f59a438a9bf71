//! The writer: it owns the only writable connection and does one thing after the other, on a thread of its own or on the one that
//! asks.

use std::path::{Path, PathBuf};
use std::sync::mpsc::Receiver;

use jiff::Timestamp;
use rusqlite::{Connection, TransactionBehavior};

use super::clock::SessionClock;
use super::connection::fold_when_last;
use super::crash;
use super::error::{Fault, LedgerError, LedgerTrouble};
use super::query::{self, Micros};
use super::run::{SessionEnd, Stamp, end_session, insert_event, last_session};
use super::step::{Step, StepAnswer, execute};
use super::verdict::{AuditEvent, Resolution, resolve};
use super::working::{Working, note_read_back};
use crate::platform::DataLock;
use crate::request::RequestKind;

/// What the writer is asked for: it does it, and answers whoever asked. Returns the writer for the next command, or none once
/// it is closed.
pub(super) type Command = Box<dyn FnOnce(Box<Writer>) -> Option<Box<Writer>> + Send>;

/// The writer's own state.
#[derive(Debug)]
pub(super) struct Writer {
    pub(super) conn: Connection,
    pub(super) clock: SessionClock,
    pub(super) path: PathBuf,
    pub(super) working: Working,
    /// The answer to the last step, for when it is asked for again.
    pub(super) last: Option<StepAnswer>,
    /// Whether a write failed. After a failed sync nobody knows what the disk holds, and another commit could look durable on
    /// top of one that is not; the next session reads what is there.
    pub(super) has_failed: bool,
    /// Given up last, after SQLite has closed the file.
    pub(super) lock: DataLock,
}

impl Writer {
    /// Serves until it is closed or nobody is left to ask. Then the log stays beside the file, as after a crash.
    pub(super) fn serve(mut self: Box<Self>, commands: &Receiver<Command>) {
        while let Ok(command) = commands.recv() {
            match command(self) {
                Some(writer) => self = writer,
                None => return,
            }
        }
    }

    /// Does a step, or gives the answer to the last one again.
    pub(super) fn step(&mut self, step: &Step) -> Result<StepAnswer, LedgerError> {
        let expected = self.last.as_ref().map_or(0, |answer| answer.number) + 1;
        if step.number != expected {
            let again = self.last.as_ref().filter(|answer| answer.number == step.number);
            return again.cloned().ok_or_else(|| {
                LedgerError::Refused(format!("step {} is out of order; the next is {expected}", step.number))
            });
        }
        let answer = self.change("step", |conn, working, stamp| {
            if working.started_at.is_none() && (step.claim > 0 || !step.claim_rows.is_empty()) {
                return Err(Fault::Ledger(LedgerError::NotStarted));
            }
            execute(conn, working, step, stamp)
        })?;
        self.last = Some(answer.clone());
        Ok(answer)
    }

    /// Decides about rows, and writes an event about it into the audit trail.
    pub(super) fn resolve(
        &mut self,
        resolutions: Vec<Resolution>,
        event: Option<AuditEvent>,
    ) -> Result<(), LedgerError> {
        self.change("resolve", |conn, working, stamp| -> Result<(), Fault> {
            resolve(conn, working, resolutions, stamp)?;
            event.map_or(Ok(()), |event| Ok(insert_event(conn, stamp, &event.kind, &event.detail)?))
        })
    }

    /// Notes what was read back of a kind's first row.
    pub(super) fn read_back(&mut self, kind: RequestKind, text: &str) -> Result<(), LedgerError> {
        self.change("read-back", |conn, _, _| note_read_back(conn, kind, text))
    }

    /// Marks the run as told to run, and returns since when it is.
    pub(super) fn start_run(&mut self) -> Result<Timestamp, LedgerError> {
        if let Some(at) = self.working.started_at {
            return Ok(at);
        }
        self.change("start", |conn, working, stamp| -> rusqlite::Result<_> {
            query::change(conn, "UPDATE run SET started_at = ?", [Micros(stamp.at)])?;
            insert_event(conn, stamp, "start", "told to run")?;
            working.started_at = Some(stamp.at);
            Ok(stamp.at)
        })
    }

    /// Runs `work` in one transaction that is durable when this returns, or did nothing, on a copy of the memory that is kept
    /// then. The command's name is in the points before and after the commit.
    pub(super) fn change<T, E: Into<Fault>>(
        &mut self,
        command: &str,
        work: impl FnOnce(&Connection, &mut Working, Stamp) -> Result<T, E>,
    ) -> Result<T, LedgerError> {
        if self.has_failed {
            return Err(LedgerError::Closed(self.path.clone()));
        }
        let mut working = self.working.clone();
        let stamp = Stamp { session: working.session, at: self.clock.now() };
        let is_gone = !self.lock.is_of(&self.path).unwrap_or(false);
        let path = &self.path;
        let done = transact(&mut self.conn, path, |conn| {
            // What is written into a file without a name, or with another one, is lost when the process ends.
            if is_gone {
                return Err(LedgerError::Gone(path.clone()));
            }
            // The lock keeps others out, unless the file system only says so. The newest session is the holder then.
            if last_session(conn).map_err(|error| LedgerError::of_sqlite(path, error))? != stamp.session {
                return Err(LedgerError::TakenOver(path.clone()));
            }
            let result = work(conn, &mut working, stamp).map_err(|error| error.into().at(path))?;
            crash::point_of(command, "before-commit");
            Ok(result)
        });
        match &done {
            Ok(_) => {
                self.working = working;
                crash::point_of(command, "committed");
            }
            // Where the caller was wrong, and not the disk, the file can still be trusted to take the next step.
            Err(error) => self.has_failed = error.trouble() != LedgerTrouble::Misuse,
        }
        done
    }

    /// Folds the log into the file, so that whoever has that file alone has what was done until now. What readers keep from that
    /// stays in the log.
    pub(super) fn fold(&self) -> Result<(), LedgerError> {
        let folded = self.conn.query_row("PRAGMA wal_checkpoint(PASSIVE)", [], |_| Ok(()));
        folded.map_err(|error| Fault::from(error).at(&self.path))
    }

    /// Ends the session and folds the log into the file.
    pub(super) fn close(mut self, end: &SessionEnd) -> Result<(), LedgerError> {
        self.change("close", |conn, _, stamp| end_session(conn, stamp, end))?;
        crash::point("close-before-checkpoint");
        let Self { conn, path, lock, .. } = self;
        let at = |error| Fault::from(error).at(&path);
        // A reader in the middle of a page keeps the log from being emptied. Nothing is lost then; it stays beside the file.
        conn.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(())).map_err(at)?;
        fold_when_last(&conn).map_err(at)?;
        let closed = conn.close().map_err(|(conn, error)| {
            drop(conn);
            at(error)
        });
        drop(lock);
        closed
    }
}

/// Runs `work` in one transaction of the ledger at `path`, which is rolled back where it fails.
pub(super) fn transact<T, E: From<LedgerError>>(
    conn: &mut Connection,
    path: &Path,
    work: impl FnOnce(&Connection) -> Result<T, E>,
) -> Result<T, E> {
    let at = |error| LedgerError::of_sqlite(path, error);
    let transaction = conn.transaction_with_behavior(TransactionBehavior::Immediate).map_err(at)?;
    let result = work(&transaction)?;
    transaction.commit().map_err(at)?;
    Ok(result)
}
