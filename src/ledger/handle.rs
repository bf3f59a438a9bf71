//! The ledger as its one holder sees it.

use std::path::{Path, PathBuf};
use std::sync::mpsc::{SyncSender, sync_channel};
use std::sync::{Mutex, PoisonError};
use std::thread::JoinHandle;

use jiff::Timestamp;
use tokio::sync::oneshot;

use super::clock::SessionClock;
use super::error::LedgerError;
use super::findings::{Finding, accept_hits, close_findings, set_findings};
use super::run::{FirstLook, RunInfo, SessionEnd, insert_first_look, note_looked};
use super::step::{Step, StepAnswer};
use super::verdict::{AuditEvent, Resolution};
use super::writer::{Command, Writer};
use crate::machine::Threads;
use crate::request::{RequestKind, RequestUuid, RowId};

/// How many commands wait for the writer. A run has one dispatcher that waits for each answer, and now and then an event or a
/// verdict, so more than a few never do; a command takes about 200 bytes, its step some KiB, its verdicts what their lists take.
const QUEUE: usize = 8;

/// A run's ledger, held exclusively: by a lock on its file, and one writer that owns the only writable connection. The
/// writer has a thread of its own, unless the machine has one thread only ([`Threads::One`]); then it works where it is asked.
///
/// [`close`](Self::close) leaves one file. Dropped without it, the ledger is left as by a crash, which loses nothing: what was
/// answered is durable, and what was claimed and not recorded is in doubt for the next session.
///
/// ```
/// use cmbatch::ledger::{Item, Ledger, LedgerError, LoadRow, ManifestPart, RowPlace, RunIdentity, SessionEnd, SessionInfo, Step};
/// use cmbatch::machine::Machine;
/// use cmbatch::request::{CreateRequest, NamedValues, RequestType, RowId};
///
/// let machine = Machine::system();
/// let folder = tempfile::tempdir().unwrap();
/// let path = folder.path().join("wave.ledger");
/// let identity = RunIdentity { server: "https://cm.example.test".into(), rehearsal: false, options: vec![] };
/// let session = SessionInfo {
///     version: "0.1.0".into(),
///     user: "alice".into(),
///     host: "ops1".into(),
///     pid: 4711,
///     command: "submit".into(),
///     options: vec![],
///     started_at: machine.now(),
/// };
/// let row = RowId::new(1).unwrap();
/// let mut ledger = Ledger::create(&machine, &path, &identity, &session, |loader| {
///     loader.add(LoadRow::Item(Box::new(Item {
///         row,
///         place: RowPlace { part: 1, part_row: 1, line: 2 },
///         id: None,
///         request: CreateRequest::new(RequestType::Unblock),
///         notes: NamedValues::new(),
///         skipped: None,
///     })))?;
///     let part = ManifestPart { part: 1, name: "wave.csv".into(), size_bytes: 30, sha256: [0; 32], first_row: row, n_rows: 1 };
///     Ok::<_, LedgerError>(vec![part])
/// })
/// .unwrap();
/// ledger.start_run().unwrap();
/// let answer = ledger.step_blocking(Step { number: 1, claim: 10, ..Step::default() }).unwrap();
/// assert_eq!(answer.rows[0].row, row);
/// let unsent = vec![(row, answer.rows[0].attempt)];
/// ledger.step_blocking(Step { number: 2, give_back: unsent, ..Step::default() }).unwrap();
/// ledger.close(SessionEnd::Interrupted).unwrap();
/// ```
#[derive(Debug)]
pub struct Ledger {
    path: PathBuf,
    clock: SessionClock,
    run: RunInfo,
    session: u32,
    writer: Served,
}

/// Where the writer works.
#[derive(Debug)]
enum Served {
    /// On a thread of its own. None once it was told to end.
    Thread(Option<(SyncSender<Command>, JoinHandle<()>)>),
    /// Where it is asked. None once it has ended.
    Here(Mutex<Option<Box<Writer>>>),
}

impl Served {
    fn start(writer: Box<Writer>) -> Result<Self, LedgerError> {
        if writer.clock.machine().threads() == Threads::One {
            return Ok(Self::Here(Mutex::new(Some(writer))));
        }
        let path = writer.path.clone();
        let (commands, received) = sync_channel(QUEUE);
        let thread = std::thread::Builder::new()
            .name("ledger".to_owned())
            .spawn(move || writer.serve(&received))
            .map_err(|source| LedgerError::Unwritable(path, source))?;
        Ok(Self::Thread(Some((commands, thread))))
    }

    /// Has a command done, sooner or later. One that is not done drops whom it was to answer.
    fn give(&self, command: Command) {
        match self {
            // The queue is longer than there are askers; were it full, this would wait for one commit.
            Self::Thread(thread) => drop(thread.as_ref().map(|(commands, _)| commands.send(command))),
            // Where the command unwinds, the writer is gone, as after a crash.
            Self::Here(writer) => {
                let slot = || writer.lock().unwrap_or_else(PoisonError::into_inner);
                let taken = slot().take();
                if let Some(taken) = taken {
                    let left = command(taken);
                    *slot() = left;
                }
            }
        }
    }
}

impl Drop for Served {
    fn drop(&mut self) {
        if let Self::Thread(thread) = self
            && let Some((commands, thread)) = thread.take()
        {
            drop(commands);
            // A writer that panicked has told its askers by hanging up.
            drop(thread.join());
        }
    }
}

impl Ledger {
    /// Starts the writer.
    pub(super) fn start(writer: Writer, run: RunInfo) -> Result<Self, LedgerError> {
        let (path, session, clock) = (writer.path.clone(), writer.working.session, writer.clock.clone());
        let writer = Served::start(Box::new(writer))?;
        Ok(Self { path, clock, run, session, writer })
    }

    /// Returns what the ledger says about its run.
    pub const fn run(&self) -> &RunInfo {
        &self.run
    }

    /// Returns this session's number in the run, from 1. Numbers only grow; some may be missing.
    pub const fn session(&self) -> u32 {
        self.session
    }

    /// Returns the path of the ledger, its folder's links resolved.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Returns the session's time, which all that it records is stamped with: the wall clock's when the session began, and what
    /// has passed since by the clock that runs during sleep. It never goes back.
    pub fn now(&self) -> Timestamp {
        self.clock.now()
    }

    /// Marks the run as told to run, durably. A second time it changes nothing.
    ///
    /// # Errors
    /// The mark could not be written.
    pub fn start_run(&mut self) -> Result<(), LedgerError> {
        let since = self.ask_blocking(Writer::start_run)?;
        self.run.started_at = Some(since);
        Ok(())
    }

    /// Does a step. When this returns, all of it is durable, and its rows may be sent.
    ///
    /// Dropping the future does not undo the step; the same number again gives its answer.
    ///
    /// # Errors
    /// [`LedgerError::Refused`] and [`LedgerError::NotStarted`]: it cannot be done, and nothing changed. Any other: nothing of it
    /// is recorded, and no later step is taken ([`LedgerError::Closed`]).
    pub async fn step(&self, step: Step) -> Result<StepAnswer, LedgerError> {
        self.ask(move |writer| writer.step(&step)).await
    }

    /// Does a step, and blocks the thread until it is durable. As [`step`](Self::step) in everything else.
    ///
    /// # Errors
    /// Those of [`step`](Self::step).
    pub fn step_blocking(&self, step: Step) -> Result<StepAnswer, LedgerError> {
        self.ask_blocking(move |writer| writer.step(&step))
    }

    /// Decides about rows, in the order of their numbers; two verdicts on one row in their own order. An event about it goes into
    /// the audit trail with them. When this returns, all of it is durable, or none of it is recorded.
    ///
    /// # Errors
    /// [`LedgerError::Refused`]: a row cannot go that way (one that this session has claimed among them), two rows would be one
    /// request, or the run has no such row; nothing changed. Any other: nothing is recorded, and no later step is taken.
    pub async fn resolve(&self, resolutions: Vec<Resolution>, event: Option<AuditEvent>) -> Result<(), LedgerError> {
        self.ask(|writer| writer.resolve(resolutions, event)).await
    }

    /// Notes durably what was read back of the first created row of a kind, or why nothing could be. A later note takes the
    /// place of an earlier one.
    ///
    /// # Errors
    /// [`LedgerError::Refused`]: nothing of this kind was created; nothing changed. Any other: it is not recorded, and no later step
    /// is taken.
    pub async fn note_read_back(&self, kind: RequestKind, read_back: String) -> Result<(), LedgerError> {
        self.ask(move |writer| writer.read_back(kind, &read_back)).await
    }

    /// Notes what was read back, and blocks the thread until that is durable. As [`note_read_back`](Self::note_read_back) in
    /// everything else.
    ///
    /// # Errors
    /// Those of [`note_read_back`](Self::note_read_back).
    pub fn note_read_back_blocking(&self, kind: RequestKind, read_back: String) -> Result<(), LedgerError> {
        self.ask_blocking(move |writer| writer.read_back(kind, &read_back))
    }

    /// Makes the rows up to and including `through` that were never claimed claimable by number ([`Step::claim_rows`]), as
    /// rows are that are pending again; claims in row order take them first then. Blocks the thread until that is durable.
    ///
    /// # Errors
    /// It could not be written; no later step is taken.
    pub fn detach(&self, through: RowId) -> Result<(), LedgerError> {
        self.ask_blocking(move |writer| writer.change("detach", |conn, working, _| working.detach(conn, through)))
    }

    /// Lets any claim take the rows that this session holds for itself: after a round of sending that ended before they were
    /// due again ([`Requeue::Listed`](super::Requeue::Listed)). Durable when this returns.
    ///
    /// # Errors
    /// It could not be written; no later step is taken.
    pub async fn release(&self) -> Result<(), LedgerError> {
        self.ask(|writer| writer.change("release", |conn, working, _| working.release(conn))).await
    }

    /// Keeps requests of other runs beside which a person wants those of this run sent
    /// ([`Reader::accepted_hits`](super::Reader::accepted_hits)), and blocks the thread until that is durable.
    ///
    /// # Errors
    /// It could not be written; no later step is taken.
    pub fn accept_hits(&self, hits: Vec<RequestUuid>) -> Result<(), LedgerError> {
        self.ask_blocking(move |writer| writer.change("accept-hits", |conn, _, stamp| accept_hits(conn, stamp, &hits)))
    }

    /// Makes exactly these the open findings, and blocks the thread until that is durable: one that was open stays with its first
    /// date, and one that is not among these is closed as not seen any more.
    ///
    /// # Errors
    /// It could not be written; no later step is taken.
    pub fn set_findings(&self, findings: Vec<Finding>) -> Result<(), LedgerError> {
        self.ask_blocking(|writer| writer.change("set-findings", |conn, _, stamp| set_findings(conn, stamp, findings)))
    }

    /// Closes the open findings about a row, for this reason, and blocks the thread until that is durable. A later
    /// [`set_findings`](Self::set_findings) that has one of them leaves it closed.
    ///
    /// # Errors
    /// [`LedgerError::Refused`]: none about this row is open. Any other: it could not be written, and no later step is taken.
    pub fn close_finding(&self, row: RowId, reason: &str) -> Result<(), LedgerError> {
        let reason = reason.to_owned();
        self.ask_blocking(move |writer| {
            writer.change("close-finding", |conn, _, stamp| close_findings(conn, stamp.at, row, &reason))
        })
    }

    /// Notes what the session saw of the server when it first asked for the list ([`SessionRecord::first_look`]), at most the first
    /// [`FirstLook::MAX_NEWEST`] of the newest requests. A later note takes the place of an earlier one. Blocks the thread until it
    /// is durable.
    ///
    /// [`SessionRecord::first_look`]: super::SessionRecord::first_look
    ///
    /// # Errors
    /// It could not be written; no later step is taken.
    pub fn note_first_look(&self, mut look: FirstLook) -> Result<(), LedgerError> {
        look.newest.truncate(FirstLook::MAX_NEWEST);
        self.ask_blocking(move |writer| {
            writer.change("first-look", |conn, _, stamp| insert_first_look(conn, stamp.session, &look))?;
            writer.fold()
        })
    }

    /// Notes that a list shows all that was created in this run. Blocks the thread until it is durable.
    ///
    /// # Errors
    /// It could not be written; no later step is taken.
    pub fn note_looked(&self) -> Result<(), LedgerError> {
        self.ask_blocking(|writer| writer.change("looked", |conn, _, stamp| note_looked(conn, stamp.session)))
    }

    /// Ends the session: writes how, folds the log into the file, and gives the lock up. The ledger is one file then, unless a
    /// reader is at it.
    ///
    /// # Errors
    /// The end could not be written. What was answered before is durable all the same.
    pub fn close(self, end: SessionEnd) -> Result<(), LedgerError> {
        let (sender, answer) = sync_channel(1);
        self.writer.give(Box::new(move |writer| {
            drop(sender.send(writer.close(&end)));
            None
        }));
        answer.recv().unwrap_or_else(|_| Err(self.closed()))
    }

    async fn ask<T: Send + 'static>(
        &self,
        work: impl FnOnce(&mut Writer) -> Result<T, LedgerError> + Send + 'static,
    ) -> Result<T, LedgerError> {
        let (sender, answer) = oneshot::channel();
        self.writer.give(command(work, |done| drop(sender.send(done))));
        answer.await.unwrap_or_else(|_| Err(self.closed()))
    }

    pub(super) fn ask_blocking<T: Send + 'static>(
        &self,
        work: impl FnOnce(&mut Writer) -> Result<T, LedgerError> + Send + 'static,
    ) -> Result<T, LedgerError> {
        let (sender, answer) = sync_channel(1);
        self.writer.give(command(work, move |done| drop(sender.send(done))));
        answer.recv().unwrap_or_else(|_| Err(self.closed()))
    }

    fn closed(&self) -> LedgerError {
        LedgerError::Closed(self.path.clone())
    }
}

/// Returns the command that does this work and replies. Whoever asked may be gone; the work is done all the same.
fn command<T>(
    work: impl FnOnce(&mut Writer) -> Result<T, LedgerError> + Send + 'static,
    reply: impl FnOnce(Result<T, LedgerError>) + Send + 'static,
) -> Command {
    Box::new(move |mut writer| {
        reply(work(&mut writer));
        debug_assert!(writer.conn.is_autocommit(), "a command leaves no transaction open");
        Some(writer)
    })
}
