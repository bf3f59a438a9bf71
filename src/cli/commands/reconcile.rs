//! `cmbatch reconcile`: settle what is in doubt, send nothing.

use std::num::NonZeroU32;
use std::path::Path;

use tokio::sync::watch;

use super::doubt;
use super::job::{Context, OwnRuntime, warn_of_clear_text};
use super::stored::{self, Given};
use super::target::Target;
use crate::app::{self, Env, Failure};
use crate::cli::args::ReconcileArgs;
use crate::cli::config::World;
use crate::cli::layers::Origins;
use crate::cli::progress::Reporter;
use crate::cli::signals;
use crate::cli::summary::Summary;
use crate::ledger::Reader;
use crate::submit::StopLevel;

/// Runs the command.
pub(crate) fn run(
    args: &ReconcileArgs,
    origins: &Origins,
    world: World,
    context: &Context<'_>,
) -> Result<Summary, Failure> {
    let given = Given { server: &args.server, rehearsal: &args.rehearsal, pace: None, doubt: Some(&args.doubt) };
    ask(&args.ledger, &given, args.max_attempts, false, origins, world, context)
}

/// Asks the server for its list, and settles what it says; with `always` where nothing is in doubt, too.
pub(super) fn ask(
    ledger: &Path,
    given: &Given<'_>,
    max_attempts: NonZeroU32,
    always: bool,
    origins: &Origins,
    world: World,
    context: &Context<'_>,
) -> Result<Summary, Failure> {
    let reader = Reader::open(ledger)?;
    let mut reach = stored::reach(&reader, ledger, given, origins, world, context.shell)?;
    reach.limits.max_attempts = max_attempts;
    warn_of_clear_text(&reach, context.shell);
    app::check_free(&reader, ledger)?;
    let is_asked = always || reader.n_in_doubt()? > 0;
    let sending = reach.sending()?;
    drop(reader);
    let target = if is_asked { Target::prepare(&reach, ledger)? } else { Target::unsigned(&reach, ledger)? };
    let session = target.session(context, &reach);
    context.before.over();
    let reporter = Reporter::start(context.shell, context.verbose);
    let env = Env { machine: &context.machine, server: target.client(), sink: &reporter, session: &session };
    let ended = OwnRuntime::new()?.block_on(async {
        let (level, control) = watch::channel(StopLevel::Run);
        let _listener = signals::listen(level);
        app::reconcile(ledger, &sending, always, &env, control).await
    });
    drop(reporter);
    let ending = ended?;
    doubt::warn_at_end(&ending, context.invocation, context.shell);
    Ok(Summary::of_ending(&ending, context.invocation, false))
}
