//! `cmbatch reconcile`: settle what is in doubt, send nothing.

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
    let reader = Reader::open(&args.ledger)?;
    let given = Given { server: &args.server, rehearsal: &args.rehearsal, pace: None, doubt: Some(&args.doubt) };
    let mut reach = stored::reach(&reader, &args.ledger, &given, origins, world, context.shell)?;
    reach.limits.max_attempts = args.max_attempts;
    warn_of_clear_text(&reach, context.shell);
    app::check_free(&reader, &args.ledger)?;
    let is_asked = reader.n_in_doubt()? > 0;
    drop(reader);
    let target =
        if is_asked { Target::prepare(&reach, &args.ledger)? } else { Target::unsigned(&reach, &args.ledger)? };
    let session = target.session(context, &reach);
    context.before.over();
    let reporter = Reporter::start(context.shell, context.verbose);
    let env = Env { machine: &context.machine, server: target.client(), sink: &reporter, session: &session };
    let ended = OwnRuntime::new()?.block_on(async {
        let (level, control) = watch::channel(StopLevel::Run);
        let _listener = signals::listen(level);
        app::reconcile(&args.ledger, reach.limits.clone(), reach.patience, &env, control).await
    });
    drop(reporter);
    let ending = ended?;
    if let Some(report) = &ending.last_list {
        doubt::warn(report, context.shell);
    }
    Ok(Summary::of_ending(&ending, context.invocation, false))
}
