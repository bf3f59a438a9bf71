//! `cmbatch reconcile`: settle what is in doubt, send nothing.

use super::job::{Context, Job, warn_of_clear_text};
use super::stored::{self, Given};
use super::target::Target;
use crate::cli::args::ReconcileArgs;
use crate::cli::config::World;
use crate::cli::failure::Failure;
use crate::cli::layers::Origins;
use crate::cli::summary::Summary;
use crate::ledger::{Ledger, Reader, RowState};
use crate::report::Counts;

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
    let counts = Counts::of(&reader)?;
    stored::check_free(&reader, &args.ledger)?;
    if counts.get(RowState::InDoubt) == 0 {
        return Ok(Summary::of_counts(&reader, &args.ledger, &counts).with_lead("nothing is in doubt"));
    }
    let wire = stored::wire(reader.run());
    drop(reader);
    let target = Target::prepare(&reach.destination)?;
    let ledger = Ledger::open(&crate::machine::Machine::system(), &args.ledger, &target.session(context, &reach))?;
    Job::begin(context, &reach, &args.ledger, target, ledger, wire)?.settle()
}
