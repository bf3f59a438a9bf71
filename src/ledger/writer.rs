//! The writer: it owns the only writable connection and does one thing after the other, on a thread of its own or on the one that
//! asks.

use std::path::PathBuf;
use std::sync::mpsc::{Receiver, SyncSender};

use jiff::Timestamp;
use rusqlite::config::DbConfig;
use rusqlite::{Connection, TransactionBehavior};
use tokio::sync::oneshot;

use super::clock::SessionClock;
use super::crash;
use super::error::{Fault, LedgerError, StepError};
use super::findings::{Finding, accept_hits, close_findings, set_findings};
use super::kinds::note_read_back;
use super::resolution::{AuditEvent, Resolution};
use super::schema::RUN;
use super::session::{FirstLook, SessionEnd, Stamp, end_session, insert_event, insert_first_look, last_session};
use super::sql::Micros;
use super::step::{Step, StepAnswer};
use super::step_exec::execute;
use super::verdict::resolve;
use super::working::Working;
use crate::platform::DataLock;
use crate::request::{RequestKind, RequestUuid, RowId};

/// What the writer is asked for.
#[derive(Debug)]
pub(super) enum Command {
    /// Do a step.
    Step(Step, Reply<StepAnswer>),
    /// Decide about rows, and write an event about it into the audit trail.
    Resolve(Vec<Resolution>, Option<AuditEvent>, Reply<()>),
    /// Note what was read back of a kind's first row.
    ReadBack(RequestKind, String, Reply<()>),
    /// Make rows that were never claimed claimable by number, up to this one.
    Detach(RowId, Reply<()>),
    /// Let any claim take the rows that this session holds for itself.
    Release(Reply<()>),
    /// Mark the run as told to run; the answer is since when it is.
    StartRun(Reply<Timestamp>),
    /// Keep requests of other runs as accepted.
    AcceptHits(Vec<RequestUuid>, Reply<()>),
    /// Make exactly these the open findings.
    SetFindings(Vec<Finding>, Reply<()>),
    /// Close the findings about a row, for this reason.
    CloseFinding(RowId, String, Reply<()>),
    /// Note what the session saw of the server first.
    FirstLook(FirstLook, Reply<()>),
    /// End the session and fold the log into the file. The writer ends.
    Close(SessionEnd, Reply<()>),
}

/// Where an answer goes. Whoever asked may be gone; the work is done all the same.
#[derive(Debug)]
pub(super) enum Reply<T> {
    /// To a task.
    Task(oneshot::Sender<Result<T, LedgerError>>),
    /// To a thread that waits.
    Thread(SyncSender<Result<T, LedgerError>>),
}

impl<T> Reply<T> {
    fn send(self, answer: Result<T, LedgerError>) {
        match self {
            Self::Task(sender) => drop(sender.send(answer)),
            Self::Thread(sender) => drop(sender.send(answer)),
        }
    }
}

/// A transaction in which something is recorded.
struct Recording<'a> {
    conn: &'a Connection,
    stamp: Stamp,
}

impl Recording<'_> {
    /// Writes an event into the audit trail.
    fn write(&self, event: &AuditEvent) -> Result<(), Fault> {
        Ok(insert_event(self.conn, self.stamp, &event.kind, &event.detail)?)
    }
}

/// The writer's own state.
#[derive(Debug)]
pub(super) struct Writer {
    pub(super) conn: Connection,
    pub(super) clock: SessionClock,
    pub(super) path: PathBuf,
    pub(super) working: Working,
    pub(super) started_at: Option<Timestamp>,
    /// The memory as it was a step ago, of which nothing but the room is used again.
    pub(super) spare: Option<Working>,
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
    pub(super) fn serve(mut self, commands: &Receiver<Command>) {
        while let Ok(command) = commands.recv() {
            match self.handle(command) {
                Some(writer) => self = writer,
                None => return,
            }
        }
    }

    /// Does what is asked for and answers it. Returns the writer for the next command, or none once it is closed.
    pub(super) fn handle(mut self, command: Command) -> Option<Self> {
        match command {
            Command::Step(step, reply) => reply.send(self.step(&step)),
            Command::Resolve(resolutions, event, reply) => reply.send(self.resolve(resolutions, event.as_ref())),
            Command::ReadBack(kind, text, reply) => reply.send(self.read_back(kind, &text)),
            Command::Detach(through, reply) => reply.send(self.detach(through)),
            Command::Release(reply) => reply.send(self.release()),
            Command::StartRun(reply) => reply.send(self.start_run()),
            Command::AcceptHits(hits, reply) => {
                reply.send(self.record("accept-hits", |done| Ok(accept_hits(done.conn, done.stamp, &hits)?)));
            }
            Command::SetFindings(findings, reply) => {
                reply.send(self.record("set-findings", |done| Ok(set_findings(done.conn, done.stamp, findings)?)));
            }
            Command::CloseFinding(row, reason, reply) => {
                reply.send(self.record("close-finding", |done| close_findings(done.conn, done.stamp.at, row, &reason)));
            }
            Command::FirstLook(look, reply) => {
                reply.send(
                    self.record("first-look", |done| Ok(insert_first_look(done.conn, done.stamp.session, &look)?)),
                );
            }
            Command::Close(end, reply) => {
                reply.send(self.close(&end));
                return None;
            }
        }
        debug_assert!(self.conn.is_autocommit(), "a command leaves no transaction open");
        Some(self)
    }

    fn step(&mut self, step: &Step) -> Result<StepAnswer, LedgerError> {
        let expected = self.last.as_ref().map_or(0, |answer| answer.number) + 1;
        if step.number != expected {
            let again = self.last.as_ref().filter(|answer| answer.number == step.number);
            return again.cloned().ok_or(StepError::OutOfOrder { expected, found: step.number }.into());
        }
        let is_started = self.started_at.is_some();
        let mut working = match self.spare.take() {
            Some(mut spare) => {
                spare.clone_from(&self.working);
                spare
            }
            None => self.working.clone(),
        };
        let stamp = self.stamp();
        let answer = self.transact("step", |conn| {
            if !is_started && (step.claim > 0 || !step.claim_rows.is_empty()) {
                return Err(Fault::NotStarted);
            }
            execute(conn, &mut working, step, stamp)
        })?;
        self.remember(working);
        self.last = Some(answer.clone());
        Ok(answer)
    }

    fn resolve(&mut self, resolutions: Vec<Resolution>, event: Option<&AuditEvent>) -> Result<(), LedgerError> {
        let mut working = self.working.clone();
        self.record("resolve", |done| {
            resolve(done.conn, &mut working, resolutions, done.stamp)?;
            event.map_or(Ok(()), |event| done.write(event))
        })?;
        self.remember(working);
        Ok(())
    }

    fn read_back(&mut self, kind: RequestKind, text: &str) -> Result<(), LedgerError> {
        self.transact("read-back", |conn| note_read_back(conn, kind, text))
    }

    fn detach(&mut self, through: RowId) -> Result<(), LedgerError> {
        let mut working = self.working.clone();
        self.transact("detach", |conn| Ok(working.detach(conn, through)?))?;
        self.remember(working);
        Ok(())
    }

    fn release(&mut self) -> Result<(), LedgerError> {
        let mut working = self.working.clone();
        self.transact("release", |conn| Ok(working.release(conn)?))?;
        self.remember(working);
        Ok(())
    }

    /// Takes what is durable now for the writer's memory.
    fn remember(&mut self, working: Working) {
        self.spare = Some(std::mem::replace(&mut self.working, working));
    }

    fn start_run(&mut self) -> Result<Timestamp, LedgerError> {
        if let Some(at) = self.started_at {
            return Ok(at);
        }
        let stamp = self.stamp();
        self.transact("start", |conn| {
            conn.execute("UPDATE runs SET started_at = ? WHERE run = ?", (Micros(stamp.at), RUN))?;
            Ok(insert_event(conn, stamp, "start", "told to run")?)
        })?;
        self.started_at = Some(stamp.at);
        Ok(stamp.at)
    }

    /// Runs `work` in one transaction, and tells it the session and its time.
    fn record(
        &mut self,
        command: &str,
        work: impl FnOnce(&Recording<'_>) -> Result<(), Fault>,
    ) -> Result<(), LedgerError> {
        let stamp = self.stamp();
        self.transact(command, |conn| work(&Recording { conn, stamp }))
    }

    /// Returns the session, and what its time is now.
    fn stamp(&self) -> Stamp {
        Stamp { session: self.working.session, at: self.clock.now() }
    }

    fn close(mut self, end: &SessionEnd) -> Result<(), LedgerError> {
        let stamp = self.stamp();
        self.transact("close", |conn| Ok(end_session(conn, stamp, end)?))?;
        crash::point("close-before-checkpoint");
        let Self { conn, path, lock, .. } = self;
        let at = |error| Fault::from(error).at(&path);
        // A reader in the middle of a page keeps the log from being emptied. Nothing is lost then; it stays beside the file.
        conn.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(())).map_err(at)?;
        conn.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, false).map_err(at)?;
        let closed = conn.close().map_err(|(conn, error)| {
            drop(conn);
            at(error)
        });
        drop(lock);
        closed
    }

    /// Runs `work` in one transaction that is durable when this returns, or did nothing. The command's name is in the points before
    /// and after the commit.
    fn transact<T>(
        &mut self,
        command: &str,
        work: impl FnOnce(&Connection) -> Result<T, Fault>,
    ) -> Result<T, LedgerError> {
        if self.has_failed {
            return Err(LedgerError::Closed { path: self.path.clone() });
        }
        let session = self.working.session;
        let is_gone = !self.lock.is_of(&self.path).unwrap_or(false);
        let done = transact(&mut self.conn, |conn| {
            // What is written into a file without a name, or with another one, is lost when the process ends.
            if is_gone {
                return Err(Fault::Gone);
            }
            // The lock keeps others out, unless the file system only says so. The newest session is the holder then.
            if last_session(conn)? != session {
                return Err(Fault::TakenOver);
            }
            let result = work(conn)?;
            crash::before_commit(command);
            Ok(result)
        });
        if done.is_ok() {
            crash::committed(command);
        }
        done.map_err(|fault| {
            self.has_failed = !fault.is_callers();
            fault.at(&self.path)
        })
    }
}

/// Runs `work` in one transaction, which is rolled back where it fails.
pub(super) fn transact<T, E: From<rusqlite::Error>>(
    conn: &mut Connection,
    work: impl FnOnce(&Connection) -> Result<T, E>,
) -> Result<T, E> {
    let transaction = conn.transaction_with_behavior(TransactionBehavior::Immediate)?;
    let result = work(&transaction)?;
    transaction.commit()?;
    Ok(result)
}
