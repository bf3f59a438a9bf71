//! A run at work: what `submit`, `replay` and `reconcile` do alike once the ledger is theirs.

use std::path::{Path, PathBuf};
use std::time::Duration;

use tokio::sync::watch;

use super::env::Env;
use super::exit::Exit;
use super::failure::{Failure, chain, exit_of};
use super::next::{Next, Piece};
use crate::ledger::{Ledger, LedgerError, Reader, RowState, SessionEnd, Standing};
use crate::reconcile::{Completeness, Lists, Report, Trust};
use crate::report::Counts;
use crate::request::{RunId, printable};
use crate::submit::{
    Calls, Limits, Patience, Session, SessionReport, Setting, StopLevel, StopReason, Unrecorded, Wire, Work,
};

/// How a use case ended that did something with a run.
#[derive(Debug)]
pub struct Ending {
    /// The ledger, as it was named.
    pub ledger: PathBuf,
    /// The run.
    pub run: RunId,
    /// Its rows by state, at the end.
    pub counts: Counts,
    /// What is to be said before the counts.
    pub lead: Lead,
    /// What was sent; none where nothing was to be.
    pub sent: Option<Sent>,
    /// Why it ended early.
    pub stopped_by: Option<StopReason>,
    /// What the last list said, where one was read.
    pub last_list: Option<Report>,
    /// Rows that were created and that the ledger could not keep.
    pub unrecorded: Vec<Unrecorded>,
    /// Whether only a part of the rows was asked for.
    pub is_part: bool,
    /// How many pending rows take certificates away.
    pub n_left_destructive: u64,
}

/// What is to be said before the counts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Lead {
    /// Nothing.
    None,
    /// Nothing is left to send.
    AlreadyFinished,
    /// None of the rows that were asked for is to be sent; others are pending.
    NothingAskedFor,
    /// Nothing is in doubt.
    NothingInDoubt,
    /// What was recorded, which is a success whatever the states of the rows are.
    Recorded(String),
}

/// What was sent in a session.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sent {
    /// How many rows were created.
    pub created: u64,
    /// How long it took.
    pub elapsed: Duration,
}

impl Ending {
    /// Returns how a run stands that nothing was done with.
    ///
    /// # Errors
    /// The ledger cannot be read.
    pub fn of(reader: &Reader, ledger: &Path) -> Result<Self, LedgerError> {
        let destructive = reader.unsettled_by_type()?.into_iter().filter(|(kind, _)| kind.is_destructive());
        Ok(Self {
            ledger: ledger.to_owned(),
            run: reader.run().id,
            counts: Counts::of(reader)?,
            lead: Lead::None,
            sent: None,
            stopped_by: None,
            last_list: None,
            unrecorded: Vec::new(),
            is_part: false,
            n_left_destructive: destructive.map(|(_, n)| n).sum(),
        })
    }

    pub(super) fn nothing_to_send(self) -> Self {
        let lead = if self.counts.get(RowState::Pending) == 0 { Lead::AlreadyFinished } else { Lead::NothingAskedFor };
        Self { lead, ..self }
    }

    /// Returns whom to call.
    pub fn exit(&self) -> Exit {
        match (&self.stopped_by, &self.lead) {
            (Some(reason), _) => Exit::of_stop(reason),
            (None, Lead::Recorded(_)) => Exit::Done,
            (None, _) if self.counts.is_settled() => Exit::Done,
            // Only a part of the rows was asked for, and the others wait.
            (None, _) if self.is_part && self.sent.is_some() && self.counts.is_settled_but(RowState::Pending) => {
                Exit::Done
            }
            (None, _) => Exit::SomeRows,
        }
    }
}

/// A run whose ledger this process holds.
pub(super) struct Job {
    path: PathBuf,
    pub(super) ledger: Ledger,
    session: Session,
    trust: Trust,
}

impl Job {
    /// Begins with a ledger that was just opened, at the path as it was named.
    pub(super) fn begin<S>(
        env: &Env<'_, S>,
        path: &Path,
        ledger: Ledger,
        wire: Wire,
        limits: Limits,
        patience: Patience,
    ) -> Result<Self, Failure> {
        let session = Session::begin(env.machine, &ledger, wire, limits, patience)?;
        Ok(Self { path: path.to_owned(), ledger, session, trust: patience.trust })
    }

    pub(super) fn reader(&self) -> &Reader {
        self.session.reader()
    }

    /// Asks the server first where the ledger's own word is not enough: rows are in doubt, or its last session did not end by
    /// itself, or it is a copy.
    pub(super) async fn ask_first<S: Lists>(&mut self, env: &Env<'_, S>) -> Result<Option<Report>, Failure> {
        if self.ledger.standing() == Standing::Clean && self.reader().n_in_doubt()? == 0 {
            return Ok(None);
        }
        self.ask(env).await.map(Some)
    }

    /// Asks the server for its list, and settles what it says.
    pub(super) async fn ask<S: Lists>(&mut self, env: &Env<'_, S>) -> Result<Report, Failure> {
        let setting = Setting { ledger: &self.ledger, calls: env.server, sink: env.sink };
        let counts = Counts::of(self.session.reader())?;
        let may_lack = self.ledger.standing() == Standing::Copied
            && counts.get(RowState::Pending) + counts.get(RowState::Failed) > 0;
        let report =
            if may_lack { self.session.look_when_ripe(&setting).await? } else { self.session.look(&setting).await? };
        self.check_standing(&report)?;
        Ok(report)
    }

    /// A ledger that may lack what was sent is not sent on without the server's word.
    fn check_standing(&self, report: &Report) -> Result<(), Failure> {
        let what = match self.ledger.standing() {
            Standing::Clean | Standing::Unclean => return Ok(()),
            Standing::Copied => "is a copy, or was restored or moved",
            Standing::Older => "is older than its last session",
        };
        let (exit, why) = match (report.unreadable(), &report.completeness) {
            (Some(error), _) => (exit_of(error), format!("the server's list cannot be read ({error})")),
            (None, Some(Completeness::Incomplete(gaps))) => (Exit::Server, gaps.to_string()),
            // Of a copy in which nothing was created yet nothing shows whether the list is complete.
            (None, Some(Completeness::NothingKnown)) if self.ledger.standing() == Standing::Copied => {
                (Exit::Server, "nothing shows whether the server's list is complete".to_owned())
            }
            (None, Some(Completeness::Complete | Completeness::NothingKnown) | None) => return Ok(()),
        };
        if self.trust == Trust::List {
            return Ok(());
        }
        let why = printable(&why);
        Err(Failure::new(
            exit,
            format!(
                "the ledger {what}, so that rows that it has as pending may have been sent, and {why}; nothing was sent"
            ),
        )
        .with_next(
            Next::again().after("go on with the newest ledger, or let the account read the whole list of requests"),
        ))
    }

    /// Ends without sending.
    pub(super) fn refuse(self, failure: Failure) -> Failure {
        // What it was refused for says more than that the end could not be noted.
        let _ = self.ledger.close(SessionEnd::Stopped(failure.message.lines().next().unwrap_or_default().to_owned()));
        failure
    }

    /// Ends with nothing to send.
    pub(super) fn finish(self) -> Result<Ending, Failure> {
        let Self { ledger, path, session, .. } = self;
        drop(session);
        ledger.close(SessionEnd::Finished)?;
        Ok(Ending::of(&Reader::open(&path)?, &path)?)
    }

    /// Settles what is in doubt and sends nothing.
    pub(super) async fn settle<S: Lists>(
        mut self,
        env: &Env<'_, S>,
        mut control: watch::Receiver<StopLevel>,
    ) -> Result<Ending, Failure> {
        let setting = Setting { ledger: &self.ledger, calls: env.server, sink: env.sink };
        let report = self.session.settle(&setting, &mut control).await?;
        let is_interrupted = *control.borrow() != StopLevel::Run;
        drop(self.session);
        self.ledger.close(if is_interrupted { SessionEnd::Interrupted } else { SessionEnd::Finished })?;
        Ok(Ending {
            last_list: Some(report),
            stopped_by: is_interrupted.then_some(StopReason::Interrupted),
            ..Ending::of(&Reader::open(&self.path)?, &self.path)?
        })
    }

    /// Sends, settles and sums up.
    pub(super) async fn send<S: Calls + Lists>(
        mut self,
        env: &Env<'_, S>,
        work: Work,
        control: watch::Receiver<StopLevel>,
    ) -> Result<Ending, Failure> {
        let is_part = matches!(work, Work::Rows(_));
        if let Work::Rows(chosen) = &work
            && let Some(last) = chosen.iter().max()
        {
            self.ledger.detach(*last)?;
        }
        let setting = Setting { ledger: &self.ledger, calls: env.server, sink: env.sink };
        let report = self.session.send(&setting, work, control).await;
        drop(self.session);
        end(report, self.ledger, &self.path, is_part)
    }
}

fn end(report: SessionReport, ledger: Ledger, path: &Path, is_part: bool) -> Result<Ending, Failure> {
    let SessionReport { sent, last_list } = report;
    let how = match &sent.stopped_by {
        None => SessionEnd::Finished,
        Some(StopReason::Interrupted) => SessionEnd::Interrupted,
        Some(reason) => SessionEnd::Stopped(reason.what().to_owned()),
    };
    let closed = ledger.close(how);
    let stopped_by = match (sent.stopped_by, closed) {
        (Some(reason), _) => Some(reason),
        (None, Err(error)) => Some(StopReason::Ledger(error)),
        (None, Ok(())) => None,
    };
    if let Some(StopReason::Ledger(error)) = &stopped_by {
        return Err(ledger_failure(error, sent.unrecorded));
    }
    let reader = Reader::open(path)?;
    Ok(Ending {
        sent: Some(Sent { created: sent.created, elapsed: sent.elapsed }),
        stopped_by,
        last_list,
        unrecorded: sent.unrecorded,
        is_part,
        ..Ending::of(&reader, path)?
    })
}

fn ledger_failure(error: &LedgerError, unrecorded: Vec<Unrecorded>) -> Failure {
    let failure = Failure::new(Exit::of_ledger(error), format!("the run was stopped: {}", chain(error)));
    let next = match error {
        // A new ledger would send again what this one sent.
        LedgerError::Gone { path } | LedgerError::TakenOver { path } => Next::on_ledger("status", path, &[]),
        _ => Next::from("make room or mend the disk, then go on with: ").and(Piece::Again),
    };
    Failure { unrecorded, ..failure.with_next(next) }
}
