//! A run at work: what `submit`, `replay` and `reconcile` do alike once the ledger is theirs.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::time::Duration;

use tokio::sync::watch;

use super::ending::{Ending, Sent, n_destructive};
use super::env::Env;
use super::exit::Exit;
use super::failure::{Failure, chain};
use super::findings;
use super::look::{self, Already, Refused};
use super::next::Next;
use super::state::{Left, Note, StateFolder};
use super::stopped_by::StoppedBy;
use crate::client::ReadError;
use crate::ledger::{
    Extent, Ledger, LedgerError, Reader, Resolution, RowState, RowVerdict, SessionEnd, SessionFate, Source,
};
use crate::machine::Machine;
use crate::reconcile::{Hits, Lists, Report};
use crate::report::Counts;
use crate::request::{Guid, RunMark, TagPosition, printable};
use crate::submit::{
    Calls, Limits, Patience, Session, SessionReport, Setting, StopLevel, StopReason, Unrecorded, Wire, Work,
};

/// How the server is asked before anything is sent, and how rows are sent then.
#[derive(Clone, Debug)]
pub struct Sending {
    /// How fast.
    pub limits: Limits,
    /// How patiently.
    pub patience: Patience,
    /// Where runs from this machine note themselves; none for a rehearsal, whose server nobody else has.
    pub state: Option<StateFolder>,
    /// Whether rows are sent though the list cannot be read (`--without-list`).
    pub without_list: bool,
    /// What rows do that were requested from another ledger before.
    pub already: Already,
    /// How far back requests of other ledgers count.
    pub look_back: Duration,
    /// Accounts on the server whose requests are the site's own, beside this one's.
    pub originators: Vec<Guid>,
}

const NO_TAGS: &str = "the run sends no tags";

/// A run whose ledger this process holds.
pub(super) struct Job {
    machine: Machine,
    path: PathBuf,
    pub(super) ledger: Ledger,
    pub(super) session: Session,
    note: Option<Note>,
    sends_tags: bool,
    /// Only rows that were never claimed may be sent: there is no list to ask.
    pub(super) is_without_list: bool,
    /// Whether all rows that may be sent are to be sent now, as far as is known.
    pub(super) sends_all: bool,
    /// Of rows that were chosen, how many take certificates away, as far as that is known before the first list.
    pub(super) n_asked: Option<u64>,
    /// Whether the ledger was as its last session left it.
    is_as_left: bool,
    /// Whether the first list showed all that was created before.
    has_seen_all: bool,
    /// Why the first list could not be read, where nothing is to be sent.
    unchecked: Option<ReadError>,
}

impl Job {
    /// Begins with a ledger that was just opened, at the path as it was named. `before` is how far it was before that; none of one that
    /// was just made.
    pub(super) async fn begin<S>(
        env: &Env<'_, S>,
        path: &Path,
        ledger: Ledger,
        wire: Wire,
        sending: &Sending,
        before: Option<Extent>,
    ) -> Result<Self, Failure> {
        let note = match &sending.state {
            Some(folder) => match folder.enter(env.machine, ledger.run().id, ledger.path(), env.session).await {
                Ok(note) => Some(note),
                Err(failure) => return Err(refused(ledger, failure)),
            },
            None => None,
        };
        let sends_tags = wire.tag_position != TagPosition::None;
        let look_back = sending.state.is_some().then_some(sending.look_back);
        let (limits, patience) = (sending.limits.clone(), sending.patience);
        let mut session = Session::begin(env.machine, &ledger, wire, limits, patience, look_back)?;
        let mut is_without_list = false;
        if let Some(note) = &note {
            let sessions = session.reader().sessions()?;
            let left_open = sessions.iter().rev().nth(1).filter(|earlier| earlier.fate == SessionFate::Died);
            let is_unknown = note.left_open_by().is_some_and(|pid| {
                !sessions.iter().any(|earlier| earlier.fate == SessionFate::Died && earlier.info.pid == pid)
            });
            let claims = note.last_claims();
            let reader = session.reader();
            let is_short = match claims {
                Some((number, n_rows)) => reader.n_claimed(number)? < n_rows,
                None => false,
            };
            if is_unknown
                || is_short
                || note.is_ahead_of(before.unwrap_or_default())
                || left_open.is_some_and(|died| !note.knows_that_it_died(died.info.pid))
            {
                session.suspect();
            }
            is_without_list = !sends_tags || sending.without_list;
        }
        let is_as_left = note.as_ref().is_none_or(|note| note.agrees(before));
        if is_without_list && !is_as_left {
            if let Some(note) = note {
                note.undo();
            }
            return Err(refused(ledger, not_as_left(sends_tags)));
        }
        let machine = env.machine.clone();
        Ok(Self {
            machine,
            path: path.to_owned(),
            ledger,
            session,
            note,
            sends_tags,
            is_without_list,
            sends_all: false,
            n_asked: None,
            is_as_left,
            has_seen_all: false,
            unchecked: None,
        })
    }

    pub(super) fn reader(&self) -> &Reader {
        self.session.reader()
    }

    /// Has lists looked through for the rows of all sessions.
    pub(super) const fn audit_all(&mut self) {
        self.session.audit_all();
    }

    /// Takes failed rows for ones that may be sent, too.
    pub(super) const fn send_failed(&mut self) {
        self.session.send_failed();
    }

    /// Returns in which states rows are that may be sent.
    pub(super) const fn may_send(&self) -> &'static [RowState] {
        self.session.may_send()
    }

    /// Asks the server for its list before anything is sent, and settles what it says.
    ///
    /// # Errors
    /// The list cannot be read, or it shows that rows were requested before: nothing may be sent.
    pub(super) async fn ask_first<S: Lists>(
        &mut self,
        env: &Env<'_, S>,
        sending: &Sending,
    ) -> Result<(Option<Report>, Vec<String>), Failure> {
        let (_never_stopped, control) = watch::channel(StopLevel::Run);
        let setting = Setting { ledger: &self.ledger, calls: env.server, sink: env.sink, control, on_claim: &|_| {} };
        let mut report = self.session.look_first(&setting).await?;
        if let Some(error) = report.unreadable.take() {
            if sending.without_list && self.is_without_list {
                let note = format!(
                    "the server's list cannot be read ({}): only rows that were never sent are sent (--without-list)",
                    printable(&chain(&error))
                );
                if let Some(note) = &self.note {
                    note.check_others(env.machine, self.reader(), self.may_send(), &Hits::default())?;
                }
                return Ok((None, vec![note]));
            }
            // Nothing is to be sent: only what the last session could not look at is not looked at.
            let counts = Counts::of(self.reader())?;
            let states = self.may_send().iter().chain(&[RowState::InDoubt]);
            if states.map(|state| counts.get(*state)).sum::<u64>() == 0 {
                self.unchecked = Some(error);
                return Ok((None, Vec::new()));
            }
            // Nothing is settled yet: what was asked for is what is to be sent.
            let of = self.refused()?;
            return Err(look::no_list(&error, &Refused { n_destructive: self.n_asked.or(of.n_destructive), ..of }));
        }
        // Without tags a list tells what others sent, and nothing of this run.
        self.is_without_list = !self.sends_tags && self.note.is_some();
        self.has_seen_all = self.sends_tags && report.audit.is_whole();
        let mut found = findings::of_report(&report);
        self.ledger.set_findings(found.clone())?;
        let mut notes = Vec::new();
        if let Some(note) = &mut self.note {
            note.learn(report.first_look.originator);
            let mut own: BTreeSet<Guid> = note.originators();
            own.extend(sending.originators.iter().copied());
            let hits = std::mem::take(&mut report.hits);
            // What another one there still has to send is left to it, whatever is to become of what it sent.
            if let Some(note) = &self.note {
                note.check_others(env.machine, self.reader(), self.may_send(), &hits)?;
            }
            let n_found = found.len();
            let n_skipped = look::others(sending.already, self, hits, &own, &mut found).await?;
            if found.len() > n_found {
                self.ledger.set_findings(found)?;
            }
            notes = look::notes(n_skipped, report.unread);
            if !self.sends_tags {
                notes.push(format!("{NO_TAGS}: only rows that were never sent are sent"));
            }
        }
        Ok((Some(report), notes))
    }

    /// Returns what is said of the run where it is refused.
    pub(super) fn refused(&self) -> Result<Refused<'_>, Failure> {
        let mut n = 0;
        for state in self.may_send() {
            n += n_destructive(&self.reader().by_type(*state)?);
        }
        // Of part of the rows nobody knows here how many take certificates away, unless none does.
        let n_destructive = Some(n).filter(|n| self.sends_all || *n == 0);
        let server = self.note.is_some().then(|| self.ledger.run().identity.server.as_str());
        Ok(Refused { ledger: &self.path, server, n_destructive })
    }

    /// Returns the ledger of a run, where it is known on this machine and there.
    pub(super) fn ledger_of(&self, run: RunMark) -> Option<PathBuf> {
        self.note.as_ref().and_then(|note| note.ledger_of(run))
    }

    /// Ends without sending.
    pub(super) fn refuse(self, failure: Failure) -> Failure {
        let Self { ledger, session, note, machine, path, .. } = self;
        let counts = Counts::of(session.reader());
        let failure = match counts {
            Ok(counts) => failure.counting(counts),
            Err(_) => failure,
        };
        drop(session);
        let failure = refused(ledger, failure);
        if self.is_as_left {
            leave(note, &machine, &path);
        } else if let Some(note) = note {
            note.undo();
        }
        failure
    }

    /// Ends with nothing to send, after this list.
    pub(super) async fn finish<S: Calls>(
        self,
        env: &Env<'_, S>,
        mut last_list: Option<Report>,
    ) -> Result<Ending, Failure> {
        let (_never_stopped, control) = watch::channel(StopLevel::Run);
        let setting = Setting { ledger: &self.ledger, calls: env.server, sink: env.sink, control, on_claim: &|_| {} };
        if let Some(list) = &mut last_list {
            self.session.read_the_missing(&setting, list).await?;
        }
        let Self { mut ledger, path, session, note, machine, has_seen_all, unchecked, .. } = self;
        drop(session);
        ledger.start_run()?;
        if has_seen_all {
            ledger.note_looked()?;
        }
        ledger.close(SessionEnd::Finished)?;
        leave(note, &machine, &path);
        let is_audited = last_list.is_some();
        Ok(Ending { unchecked, last_list, is_audited, ..Ending::of(&Reader::open(&path)?, &path)? })
    }

    /// Settles what is in doubt and sends nothing.
    pub(super) async fn settle<S: Calls + Lists>(
        mut self,
        env: &Env<'_, S>,
        control: watch::Receiver<StopLevel>,
    ) -> Result<Ending, Failure> {
        let setting = Setting { ledger: &self.ledger, calls: env.server, sink: env.sink, control, on_claim: &|_| {} };
        let mut report = self.session.settle(&setting).await?;
        let is_interrupted = setting.is_stopped();
        let unreadable = report.unreadable.take();
        let is_audited = unreadable.is_none();
        if is_audited && !is_interrupted {
            self.ledger.set_findings(findings::of_report(&report))?;
            if report.audit.is_whole() {
                self.ledger.note_looked()?;
            } else {
                self.session.read_the_missing(&setting, &mut report).await?;
            }
        }
        let Self { ledger, path, session, note, machine, .. } = self;
        drop(session);
        let stopped_by =
            if is_interrupted { Some(StopReason::Interrupted) } else { unreadable.map(StopReason::NoList) };
        ledger.close(stopped_by.as_ref().map_or(SessionEnd::Finished, StopReason::session_end))?;
        leave(note, &machine, &path);
        Ok(Ending { is_audited, last_list: Some(report), stopped_by, ..Ending::of(&Reader::open(&path)?, &path)? })
    }

    /// Sends, settles and sums up.
    pub(super) async fn send<S: Calls + Lists>(
        mut self,
        env: &Env<'_, S>,
        work: Work,
        control: watch::Receiver<StopLevel>,
        is_part: bool,
    ) -> Result<Ending, Failure> {
        if let Work::Rows(chosen) = &work
            && let Some(last) = chosen.iter().max()
        {
            self.ledger.detach(*last)?;
        }
        let (note, number) = (&self.note, self.ledger.session());
        let on_claim = |n_rows| {
            if let Some(note) = note {
                note.claimed(number, n_rows);
            }
        };
        let setting = Setting { ledger: &self.ledger, calls: env.server, sink: env.sink, control, on_claim: &on_claim };
        let report = self.session.send(&setting, work).await;
        if let Some(list) = report.last_list.as_ref().filter(|list| list.unreadable.is_none()) {
            if report.sent.stopped_by.as_ref().is_none_or(|reason| !matches!(reason, StopReason::Ledger(_))) {
                self.ledger.set_findings(findings::of_report(list))?;
            }
            if let Some(note) = &mut self.note {
                note.learn(list.first_look.originator);
            }
        }
        if let Some(StopReason::NotAsAsked { row, uuid, disagreements, .. }) = &report.sent.stopped_by {
            // It is not the row's: a person ends it, and says so.
            let what: Vec<String> = disagreements.iter().map(ToString::to_string).collect();
            let reason = format!("its request {uuid} is not what was asked for: {}", printable(&what.join("; ")));
            let (verdict, source) = (RowVerdict::Contradicted, Source::List);
            self.ledger.resolve(vec![Resolution { row: *row, verdict, source, reason: Some(reason) }], None).await?;
        }
        let Self { ledger, path, session, note, machine, .. } = self;
        drop(session);
        let ended = end(report, ledger, &path, is_part);
        leave(note, &machine, &path);
        ended
    }
}

/// Ends a session that sends nothing.
fn refused(ledger: Ledger, failure: Failure) -> Failure {
    // What it was refused for says more than that the end could not be noted.
    let _ = ledger.close(SessionEnd::Stopped(failure.message.lines().next().unwrap_or_default().to_owned()));
    failure
}

/// Notes in the state folder that the work has ended, and how far the ledger is.
fn leave(note: Option<Note>, machine: &Machine, path: &Path) {
    if let Some(note) = note {
        let left = Reader::open(path).and_then(|reader| {
            let is_quiet = reader.is_looked_through()? && reader.n_in_doubt()? == 0;
            Ok(Left { extent: reader.extent()?, is_quiet })
        });
        note.end(machine, left.ok());
    }
}

fn not_as_left(sends_tags: bool) -> Failure {
    let why = if sends_tags {
        "--without-list sends only from a ledger that is as its last session left it on this machine"
    } else {
        "a run without tags goes on only from a ledger that is as its last session left it on this machine"
    };
    let next = if sends_tags {
        Next::from("leave --without-list out: the server's list tells what was sent")
    } else {
        Next::from("look in the CM portal what was created, and submit what was not as a new list")
    };
    Failure::new(Exit::Usage, format!("{why}, and this one is not, or was not worked on here; nothing was sent"))
        .with_next(next)
}

fn end(report: SessionReport, ledger: Ledger, path: &Path, is_part: bool) -> Result<Ending, Failure> {
    let SessionReport { sent, last_list, is_audited, unchecked } = report;
    let closed = ledger.close(sent.stopped_by.as_ref().map_or(SessionEnd::Finished, StopReason::session_end));
    let stopped_by = match (sent.stopped_by, closed) {
        (Some(reason), _) => Some(reason),
        (None, Err(error)) => Some(StopReason::Ledger(error)),
        (None, Ok(())) => None,
    };
    // What can still be read is told beside the reason.
    let standing = Reader::open(path).and_then(|reader| Ending::of(&reader, path));
    let standing = match (standing, &stopped_by) {
        (Ok(standing), _) => standing,
        (Err(_), Some(StopReason::Ledger(error))) => return Err(ledger_failure(error, sent.unrecorded)),
        (Err(error), _) => return Err(error.into()),
    };
    Ok(Ending {
        sent: Some(Sent { created: sent.created, elapsed: sent.elapsed }),
        stopped_by,
        last_list,
        is_audited,
        unchecked,
        unrecorded: sent.unrecorded,
        is_part,
        ..standing
    })
}

fn ledger_failure(error: &LedgerError, unrecorded: Vec<Unrecorded>) -> Failure {
    let failure = Failure::new(Exit::of_ledger(error), format!("the run was stopped: {}", chain(error)));
    let failure = failure.stopping(StoppedBy::Ledger);
    let next = match error {
        // A new ledger would send again what this one sent.
        LedgerError::Gone(path) | LedgerError::TakenOver(path) => Next::on_ledger("status", path, &[]),
        _ => Next::again().after("make room or repair the disk"),
    };
    Failure { unrecorded, ..failure.with_next(next) }
}
