//! From a use case to what is seen of it: the plan, the question, progress, the end.

use std::path::PathBuf;
use std::time::Duration;

use tokio::runtime::Runtime;
use tokio::sync::watch;

use super::doubt;
use super::target::Target;
use crate::app::{Ending, Exit, Failure, Next, Plan, Prepared, Ready, StoppedBy};
use crate::cli::invocation::Invocation;
use crate::cli::output::{Shell, grouped, rows};
use crate::cli::plan::ShownPlan;
use crate::cli::progress::Reporter;
use crate::cli::reach::{Destination, Reach};
use crate::cli::signals::{self, Before};
use crate::cli::summary::Summary;
use crate::client::Client;
use crate::ledger::SessionInfo;
use crate::machine::Machine;
use crate::reconcile::Trust;
use crate::submit::StopLevel;

/// What a command needs besides its options.
pub(crate) struct Context<'a> {
    pub(crate) shell: &'a Shell,
    pub(crate) verbose: u8,
    pub(crate) invocation: &'a Invocation,
    pub(crate) session: SessionInfo,
    pub(crate) config_files: &'a [PathBuf],
    pub(crate) machine: Machine,
    /// What a signal does until sending begins.
    pub(crate) before: Before,
}

/// A command that may send: its way to the server, and the number that confirms.
pub(crate) struct Order<'a> {
    pub(crate) context: &'a Context<'a>,
    pub(crate) reach: &'a Reach,
    pub(crate) target: &'a Target,
    pub(crate) confirm: Option<u64>,
    /// Whether failed rows are put back to pending by it.
    pub(crate) is_replay: bool,
}

impl Order<'_> {
    /// Carries out what was prepared: shows it, asks for confirmation, sends. `before_sending` is done in between.
    pub(crate) async fn carry_out(
        &self,
        prepared: Prepared<'_, Client>,
        n_rows: (u64, u64),
        before_sending: impl FnOnce(bool) -> Result<(), Failure>,
    ) -> Result<Summary, Failure> {
        let Self { context, .. } = self;
        match prepared {
            Prepared::NoRows => {
                context.shell.say("the manifest has no rows, and --allow-empty takes that as a success");
                Ok(Summary::without_rows())
            }
            Prepared::Planned(plan) => {
                context.shell.always(&self.shown(&plan).lines());
                let text = format!("dry run: {} would be sent; nothing was", rows(plan.n_rows()));
                Ok(Summary::dry_run(n_rows.0, n_rows.1, text)
                    .with_next(context.invocation.for_real(plan.n_destructive())))
            }
            Prepared::Ended(ending) => {
                before_sending(false)?;
                doubt::warn_at_end(&ending, context.invocation, context.shell);
                Ok(self.summary(&ending))
            }
            Prepared::Ready(ready) => self.send(*ready, before_sending).await,
        }
    }

    async fn send(
        &self,
        ready: Ready<'_, Client>,
        before_sending: impl FnOnce(bool) -> Result<(), Failure>,
    ) -> Result<Summary, Failure> {
        let Self { context, reach, target, .. } = self;
        if reach.patience.trust == Trust::List {
            context.shell.warn(
                "--trust-list: the server's list is taken for complete; a request that it does not show is made a second time",
            );
        }
        if let Some(report) = &ready.first_list {
            doubt::warn(report, &ready.plan.ledger, context.invocation, context.shell);
        }
        let plan = self.shown(&ready.plan);
        context.shell.always(&plan.lines());
        let confirmed = self.confirmed(&plan, target.host()).and_then(|confirmed| {
            ready.plan.check_confirmed(confirmed)?;
            before_sending(ready.took_in)?;
            Ok(confirmed)
        });
        let confirmed = match confirmed {
            Ok(confirmed) => confirmed,
            Err(failure) => return Err(ready.refuse(failure)),
        };
        context.before.over();
        let reporter = Reporter::start(context.shell, context.verbose);
        let (level, control) = watch::channel(StopLevel::Run);
        let listener = signals::listen(level);
        let ended = ready.send(confirmed, &reporter, control).await;
        drop(listener);
        drop(reporter);
        let unrecorded = match &ended {
            Ok(ending) => &ending.unrecorded,
            Err(failure) => &failure.unrecorded,
        };
        for lost in unrecorded {
            context.shell.error(&format!(
                "row {} was created as {} and could not be recorded",
                lost.row,
                lost.uri.as_str()
            ));
        }
        let ending = ended?;
        doubt::warn_at_end(&ending, context.invocation, context.shell);
        Ok(self.summary(&ending))
    }

    pub(crate) fn summary(&self, ending: &Ending) -> Summary {
        Summary::of_ending(ending, self.context.invocation, self.is_replay)
    }

    fn shown<'p>(&self, plan: &'p Plan) -> ShownPlan<'p> {
        let account = self.target.account(self.reach);
        ShownPlan::new(plan, self.reach, self.context.config_files, self.target.server(), account)
    }

    /// Returns the number that confirms rows which take certificates away, and asks for it where that is possible.
    fn confirmed(&self, plan: &ShownPlan<'_>, host: &str) -> Result<Option<u64>, Failure> {
        let shell = self.context.shell;
        let wanted = plan.plan.n_destructive();
        match self.confirm {
            Some(given) => {
                if wanted == 0 && given > 0 {
                    shell.warn(&format!(
                        "--confirm {given} is not needed: no row that would be sent now takes certificates away"
                    ));
                }
                Ok(Some(given))
            }
            None if wanted > 0 && Shell::can_ask() => {
                let answer = shell.ask(&plan.question(host)).unwrap_or_default();
                if answer == wanted.to_string() || answer == grouped(wanted) {
                    return Ok(Some(wanted));
                }
                let failure = Failure::new(Exit::Usage, "not confirmed; nothing was sent");
                Err(failure.stopping(StoppedBy::NotConfirmed).with_next(Next::confirming(wanted)))
            }
            None => Ok(None),
        }
    }
}

/// A runtime that waits for nothing at its end: neither for a call that outlived its row, nor for a KDC that does not answer.
pub(crate) struct OwnRuntime(Option<Runtime>);

impl OwnRuntime {
    pub(crate) fn new() -> Result<Self, Failure> {
        Ok(Self(Some(tokio::runtime::Builder::new_current_thread().enable_all().build()?)))
    }

    pub(crate) fn block_on<F: Future>(&self, work: F) -> F::Output {
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

/// Runs some work on a runtime of its own.
pub(crate) fn block_on<F: Future>(work: F) -> Result<F::Output, Failure> {
    Ok(OwnRuntime::new()?.block_on(work))
}

/// Warns where the sign-in would be read by everybody on the way.
pub(crate) fn warn_of_clear_text(reach: &Reach, shell: &Shell) {
    if let Destination::Server(endpoint) = &reach.destination
        && endpoint.sends_secrets_in_clear()
    {
        shell.warn("the sign-in goes over plain http, where everybody on the way can read it");
    }
}
