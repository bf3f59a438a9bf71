//! `cmbatch drop`: closes rows that were not created.

use super::job::{Context, OwnRuntime};
use super::replay::cause_of;
use crate::app::{self, Drop, Env, Exit, Failure, Ids, Next, Selection};
use crate::cli::args::DropArgs;
use crate::cli::progress::Lines;
use crate::cli::summary::Summary;
use crate::request::RowId;

/// Runs the command.
pub(crate) fn run(args: &DropArgs, context: &Context<'_>) -> Result<Summary, Failure> {
    let what = if args.undo { Drop::Undo } else { Drop::Close };
    let reason = match (&args.reason, what) {
        (Some(reason), _) if !reason.trim().is_empty() => reason.clone(),
        (_, Drop::Undo) => "taken back".to_owned(),
        (_, Drop::Close) => {
            return Err(Failure::new(
                Exit::Usage,
                "--reason is missing: say why these rows are not to be sent, for those who ask later",
            )
            .with_next(Next::with("--reason", &["--reason", "TEXT"])));
        }
    };
    let selection = Selection {
        rows: args.row.iter().map(|number| RowId::from(*number)).collect(),
        ids: args.id.clone(),
        file: args.ids.as_deref().map(Ids::read).transpose()?,
        causes: args.cause.iter().map(|cause| cause_of(*cause)).collect(),
    };
    let lines = Lines::new(context.shell, context.verbose);
    let env = Env { machine: &context.machine, server: &(), sink: &lines, session: &context.session };
    let dropped = app::drop_rows(&args.ledger, &selection, what, &reason, &env);
    let ending = OwnRuntime::new()?.block_on(dropped)?;
    Ok(Summary::of_ending(&ending, context.invocation, false))
}
