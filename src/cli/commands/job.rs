//! A run at work: what `submit`, `replay`, `reconcile` and `settle` do alike once the ledger is theirs.

use std::path::{Path, PathBuf};
use std::time::Duration;

use tokio::runtime::Runtime;
use tokio::sync::watch;

use super::doubt;
use super::part::left_as_asked;
use super::target::Target;
use crate::cli::exit::Exit;
use crate::cli::failure::{Failure, chain, remedy};
use crate::cli::invocation::{Invocation, quoted};
use crate::cli::output::{Shell, grouped, rows};
use crate::cli::plan::{Plan, by_type};
use crate::cli::progress::{Lines, Reporter};
use crate::cli::reach::{Destination, Reach};
use crate::cli::signals::{self, Before};
use crate::cli::summary::{Summary, stop_text};
use crate::ledger::{Ledger, LedgerError, Reader, RowState, SessionEnd, SessionInfo, Standing};
use crate::reconcile::{Completeness, Report, Trust};
use crate::report::Counts;
use crate::request::printable;
use crate::submit::{Session, SessionReport, Setting, StopLevel, StopReason, Wire, Work};

/// What a command needs besides its options.
pub(crate) struct Context<'a> {
    pub(crate) shell: &'a Shell,
    pub(crate) verbose: u8,
    pub(crate) invocation: &'a Invocation,
    pub(crate) session: SessionInfo,
    pub(crate) config_files: &'a [PathBuf],
    /// What a signal does until sending begins.
    pub(crate) before: Before,
}

/// A run whose ledger this process holds.
pub(crate) struct Job<'a> {
    context: &'a Context<'a>,
    reach: &'a Reach,
    path: PathBuf,
    target: Target,
    pub(crate) ledger: Ledger,
    session: Session,
    runtime: OwnRuntime,
}

impl<'a> Job<'a> {
    /// Begins with a ledger that was just opened, at the path as it was typed.
    pub(crate) fn begin(
        context: &'a Context<'a>,
        reach: &'a Reach,
        path: &Path,
        mut target: Target,
        ledger: Ledger,
        wire: Wire,
    ) -> Result<Self, Failure> {
        if reach.patience.trust == Trust::List {
            context.shell.warn(
                "--trust-list: the server's list is taken for complete; a request that it does not show is made a second time",
            );
        }
        target.start(path, reach, &wire)?;
        let session = Session::begin(&ledger, wire, reach.limits.clone(), reach.patience)?;
        Ok(Self { context, reach, path: path.to_owned(), target, ledger, session, runtime: OwnRuntime::new()? })
    }

    pub(crate) fn reader(&self) -> &Reader {
        self.session.reader()
    }

    pub(crate) const fn target(&self) -> &Target {
        &self.target
    }

    /// Asks the server first where the ledger's own word is not enough: rows are in doubt, or its last session did not end by
    /// itself, or it is a copy.
    pub(crate) fn ask_first(&mut self) -> Result<Option<Report>, Failure> {
        if self.ledger.standing() == Standing::Clean && self.reader().n_in_doubt()? == 0 {
            return Ok(None);
        }
        self.ask().map(Some)
    }

    /// Asks the server for its list, without waiting, and tells what it said.
    pub(crate) fn ask(&mut self) -> Result<Report, Failure> {
        let lines = Lines::new(self.context.shell, self.context.verbose);
        let client = self.target.client()?;
        let setting = Setting { ledger: &self.ledger, calls: client, sink: &lines };
        let counts = Counts::of(self.session.reader())?;
        let may_lack = self.ledger.standing() == Standing::Copied
            && counts.get(RowState::Pending) + counts.get(RowState::Failed) > 0;
        let report = if may_lack {
            self.context.shell.warn(
                "the ledger is a copy, or was restored, moved or changed: rows that it has as pending may have been sent, so \
                 that the server's list is waited for before anything is sent",
            );
            self.runtime.block_on(self.session.look_when_ripe(&setting))?
        } else {
            self.runtime.block_on(self.session.look(&setting))?
        };
        doubt::warn(&report, self.context.shell);
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
            (Some(error), _) => (doubt::exit_of(error), format!("the server's list cannot be read ({error})")),
            (None, Some(Completeness::Incomplete(gaps))) => (Exit::Server, gaps.to_string()),
            // Of a copy in which nothing was created yet nothing shows whether the list is complete.
            (None, Some(Completeness::NothingKnown)) if self.ledger.standing() == Standing::Copied => {
                (Exit::Server, "nothing shows whether the server's list is complete".to_owned())
            }
            (None, Some(Completeness::Complete | Completeness::NothingKnown) | None) => return Ok(()),
        };
        let why = printable(&why);
        if self.reach.patience.trust == Trust::List {
            self.context.shell.warn(&format!(
                "the ledger {what}, and {why}: rows that were sent after the copy was made may be sent twice"
            ));
            return Ok(());
        }
        Err(Failure::new(
            exit,
            format!(
                "the ledger {what}, so that rows that it has as pending may have been sent, and {why}; nothing was sent"
            ),
        )
        .with_next(format!(
            "go on with the newest ledger, or let the account read the whole list of requests, then: {}",
            self.context.invocation.again()
        )))
    }

    /// Ends without sending.
    pub(crate) fn refuse(self, failure: Failure) -> Failure {
        // What it was refused for says more than that the end could not be noted.
        let _ = self.ledger.close(SessionEnd::Stopped(failure.message.lines().next().unwrap_or_default().to_owned()));
        failure
    }

    /// Ends with nothing to send.
    pub(crate) fn finish(self) -> Result<(PathBuf, Reader), Failure> {
        let Self { ledger, path, .. } = self;
        ledger.close(SessionEnd::Finished)?;
        let reader = Reader::open(&path)?;
        Ok((path, reader))
    }

    /// Settles what is in doubt and sends nothing.
    pub(crate) fn settle(mut self) -> Result<Summary, Failure> {
        let reporter = Reporter::start(self.context.shell, self.context.verbose);
        let client = self.target.client()?;
        self.context.before.over();
        let (settled, interrupted) = self.runtime.block_on(async {
            let (level, mut control) = watch::channel(StopLevel::Run);
            let listener = signals::listen(level);
            let setting = Setting { ledger: &self.ledger, calls: client, sink: &reporter };
            let settled = self.session.settle(&setting, &mut control).await;
            drop(listener);
            (settled, *control.borrow() != StopLevel::Run)
        });
        drop(reporter);
        let report = settled?;
        doubt::warn(&report, self.context.shell);
        let end = if interrupted { SessionEnd::Interrupted } else { SessionEnd::Finished };
        self.ledger.close(end)?;
        let reader = Reader::open(&self.path)?;
        let counts = Counts::of(&reader)?;
        let mut summary = Summary::of_counts(&reader, &self.path, &counts).with_doubt(&report);
        if interrupted {
            summary = summary.stopped(&StopReason::Interrupted, &self.context.invocation.again());
        }
        Ok(summary)
    }

    /// Sends, settles and sums up. `is_part` says that only some of the pending rows were asked for.
    pub(crate) fn send(mut self, work: Work) -> Result<Summary, Failure> {
        let is_part = matches!(work, Work::Rows(_));
        if let Work::Rows(chosen) = &work
            && let Some(last) = chosen.iter().max()
        {
            self.ledger.detach(*last)?;
        }
        self.context.before.over();
        let reporter = Reporter::start(self.context.shell, self.context.verbose);
        let client = self.target.client()?;
        let report = self.runtime.block_on(async {
            let (level, control) = watch::channel(StopLevel::Run);
            let listener = signals::listen(level);
            let setting = Setting { ledger: &self.ledger, calls: client, sink: &reporter };
            let report = self.session.send(&setting, work, control).await;
            drop(listener);
            report
        });
        drop(reporter);
        drop(self.runtime);
        drop(self.session);
        end(report, self.context, self.ledger, &self.path, is_part)
    }
}

/// A runtime that waits for nothing at its end: neither for a call that outlived its row, nor for a KDC that does not answer.
struct OwnRuntime(Option<Runtime>);

impl OwnRuntime {
    fn new() -> Result<Self, Failure> {
        Ok(Self(Some(tokio::runtime::Builder::new_current_thread().enable_all().build()?)))
    }

    fn block_on<F: Future>(&self, work: F) -> F::Output {
        self.0.as_ref().expect("it is taken out at its end alone").block_on(work)
    }
}

impl Drop for OwnRuntime {
    fn drop(&mut self) {
        if let Some(runtime) = self.0.take() {
            runtime.shutdown_timeout(Duration::from_millis(100));
        }
    }
}

/// Returns a runtime for calls before there is a job.
pub(crate) fn block_on<F: Future>(work: F) -> Result<F::Output, Failure> {
    Ok(OwnRuntime::new()?.block_on(work))
}

fn end(
    report: SessionReport,
    context: &Context<'_>,
    ledger: Ledger,
    path: &Path,
    is_part: bool,
) -> Result<Summary, Failure> {
    let SessionReport { sent, last_list } = report;
    for lost in &sent.unrecorded {
        context.shell.error(&format!(
            "row {} was created as {} and could not be recorded",
            lost.row,
            lost.uri.as_str()
        ));
    }
    if let Some(report) = &last_list {
        doubt::warn(report, context.shell);
    }
    let how = match &sent.stopped_by {
        None => SessionEnd::Finished,
        Some(StopReason::Interrupted) => SessionEnd::Interrupted,
        Some(reason) => SessionEnd::Stopped(stop_text(reason).0),
    };
    let closed = ledger.close(how);
    let stopped_by = match (sent.stopped_by, closed) {
        (Some(reason), _) => Some(reason),
        (None, Err(error)) => Some(StopReason::Ledger(error)),
        (None, Ok(())) => None,
    };
    let reader = match (&stopped_by, Reader::open(path)) {
        (_, Ok(reader)) => reader,
        (Some(StopReason::Ledger(error)), Err(_)) => return Err(ledger_failure(error, context)),
        (_, Err(error)) => return Err(error.into()),
    };
    let counts = Counts::of(&reader)?;
    let mut summary = Summary::of_counts(&reader, path, &counts).with_speed(sent.created, sent.elapsed);
    if let Some(report) = &last_list {
        summary = summary.with_doubt(report);
    }
    let again = again(&reader, context, is_part)?;
    match stopped_by {
        None => {
            let n_pending = counts.get(RowState::Pending);
            if is_part && n_pending > 0 {
                summary = summary.left_pending(&left_as_asked(n_pending), counts.is_settled_but(RowState::Pending));
            }
            if n_pending > 0 {
                summary = summary.with_next(again);
            }
        }
        Some(StopReason::Ledger(error)) => return Err(ledger_failure(&error, context)),
        Some(reason) => summary = summary.stopped(&reason, &again),
    }
    Ok(summary)
}

/// Returns the command that goes on, with the number to confirm where rows that take certificates away are left. Of how many of
/// them a part of the rows has, the next run says.
fn again(reader: &Reader, context: &Context<'_>, is_part: bool) -> Result<String, Failure> {
    // Failed rows that a replay put back are pending now.
    let is_replay = context.session.command == "replay";
    let command = if is_replay { context.invocation.replaying_the_rest() } else { context.invocation.again() };
    if is_part {
        return Ok(command);
    }
    let destructive = reader.unsettled_by_type()?.into_iter().filter(|(kind, _)| kind.is_destructive());
    let n_destructive: u64 = destructive.map(|(_, n)| n).sum();
    Ok(if n_destructive > 0 { format!("{command} --confirm {n_destructive}") } else { command })
}

fn ledger_failure(error: &LedgerError, context: &Context<'_>) -> Failure {
    let failure = Failure::new(Exit::of_ledger(error), format!("the run was stopped: {}", chain(error)));
    match error {
        // A new ledger would send again what this one sent.
        LedgerError::Gone { path } | LedgerError::TakenOver { path } => {
            failure.with_next(format!("cmbatch status {}", quoted(&path.to_string_lossy())))
        }
        _ => {
            let remedy = remedy(error).unwrap_or("make room or mend the disk");
            failure.with_next(format!("{remedy}, then go on with: {}", context.invocation.again()))
        }
    }
}

/// Asks for the number of rows that take certificates away, where there are any.
pub(crate) fn confirm(plan: &Plan, given: Option<u64>, context: &Context<'_>, host: &str) -> Result<(), Failure> {
    let wanted = plan.n_destructive();
    if given == Some(wanted) || (wanted == 0 && given.is_none()) {
        return Ok(());
    }
    let right = context.invocation.instead("--confirm", &["--confirm", &wanted.to_string()]);
    if let Some(given) = given {
        let found = if wanted == 0 {
            "no row that would be sent now takes certificates away".to_owned()
        } else {
            format!("{} would be sent now ({})", rows(wanted), by_type(&plan.destructive()))
        };
        // With nothing destructive left, --confirm 0 was handled above and any other number is a misunderstanding.
        if wanted == 0 {
            context.shell.warn(&format!("--confirm {given} is not needed: {found}"));
            return Ok(());
        }
        return Err(Failure::new(
            Exit::Usage,
            format!(
                "--confirm {given} is not the number of rows that take certificates away: {found}; nothing was sent"
            ),
        )
        .with_next(format!("check the list, then: {right}")));
    }
    if Shell::can_ask() {
        let answer = context.shell.ask(&plan.question(host)).unwrap_or_default();
        if answer == wanted.to_string() || answer == grouped(wanted) {
            return Ok(());
        }
        return Err(Failure::new(Exit::Usage, "not confirmed; nothing was sent").with_next(right));
    }
    Err(Failure::new(
        Exit::Usage,
        format!(
            "this takes certificates away ({}) and is not confirmed; nothing was sent",
            by_type(&plan.destructive())
        ),
    )
    .with_next(format!("check the list, then: {right}")))
}

/// Warns where the sign-in would be read by everybody on the way.
pub(crate) fn warn_of_clear_text(reach: &Reach, shell: &Shell) {
    if let Destination::Server(endpoint) = &reach.destination
        && endpoint.sends_secrets_in_clear()
    {
        shell.warn("the sign-in goes over plain http, where everybody on the way can read it");
    }
}
