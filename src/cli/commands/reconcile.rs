//! `cmbatch reconcile`: settle what is in doubt, send nothing.

use super::job::{Context, Job, warn_of_clear_text};
use super::stored;
use super::target::Target;
use crate::cli::args::ReconcileArgs;
use crate::cli::config::World;
use crate::cli::failure::Failure;
use crate::cli::layers::Origins;
use crate::cli::reach::{Reach, ReachArgs};
use crate::cli::summary::Summary;
use crate::ledger::{Ledger, LedgerError, Reader, RowState};
use crate::report::Counts;

/// Runs the command.
pub(crate) fn run(
    args: &ReconcileArgs,
    origins: &Origins,
    world: World,
    context: &Context<'_>,
) -> Result<Summary, Failure> {
    let reader = Reader::open(&args.ledger)?;
    let rehearsal = stored::rehearsal(&reader, &args.rehearsal);
    let in_ledger = stored::server(&reader, &args.ledger, &args.server, context.shell)?;
    let reach = ReachArgs {
        server: &args.server,
        rehearsal: &rehearsal,
        pace: None,
        doubt: Some(&args.doubt),
        in_ledger: in_ledger.as_deref(),
    };
    let mut reach = Reach::resolve(&reach, origins, world)?;
    reach.limits.max_attempts = args.max_attempts;
    stored::check_destination(&reader, &reach.destination, &args.ledger)?;
    warn_of_clear_text(&reach, context.shell);
    let counts = Counts::of(&reader)?;
    if let Some(holder) = reader.holder()? {
        return Err(LedgerError::InUse { path: args.ledger.clone(), holder: Some(Box::new(holder)) }.into());
    }
    if counts.get(RowState::InDoubt) == 0 {
        return Ok(Summary::of_counts(&reader, &args.ledger, &counts).with_lead("nothing is in doubt"));
    }
    let wire = stored::wire(reader.run());
    drop(reader);
    let target = Target::prepare(&reach.destination)?;
    let ledger = Ledger::open(&args.ledger, &context.session)?;
    Job::begin(context, &reach, &args.ledger, target, ledger, wire)?.settle()
}
