//! `cmbatch replay`: settle what is in doubt, then send failed and pending rows again.

use std::collections::BTreeMap;
use std::path::Path;

use super::check::check;
use super::job::{Context, Order, OwnRuntime, warn_of_clear_text};
use super::stored::{self, Given};
use super::target::Target;
use crate::app::{self, Cause, Checked, Choice, Corrected, Ending, Env, Exit, Failure, Replay};
use crate::cli::args::{CauseArg, ReplayArgs};
use crate::cli::config::{Findings, ValidateConfig, World, extra_columns, part};
use crate::cli::layers::Origins;
use crate::cli::progress::Lines;
use crate::cli::summary::{Summary, starting};
use crate::ledger::Reader;
use crate::manifest::{ReadOptions, Source};
use crate::platform::Overwrite;
use crate::request::{Guid, RowId};
use crate::validate::Rules;

/// Runs the command.
pub(crate) fn run(
    args: &ReplayArgs,
    origins: &Origins,
    world: World,
    context: &Context<'_>,
) -> Result<Summary, Failure> {
    let reader = Reader::open(&args.ledger)?;
    if let Err(failure) = app::check_started(reader.run(), &args.ledger) {
        return Err(failure.with_next(starting(&Ending::of(&reader, &args.ledger)?, context.invocation)));
    }
    let templates = world.templates.clone();
    let given =
        Given { server: &args.server, rehearsal: &args.rehearsal, pace: Some(&args.pace), doubt: Some(&args.doubt) };
    let reach = stored::reach(&reader, &args.ledger, &given, origins, world, context.shell)?;
    warn_of_clear_text(&reach, context.shell);
    let corrected =
        args.from.as_deref().map(|from| read_corrected(from, args, &reader, templates.clone(), context)).transpose()?;
    let replay = Replay {
        path: args.ledger.clone(),
        choice: choice(args)?,
        from: corrected.as_ref().map(|(checked, rules)| Corrected { checked, rules }),
        dry_run: args.dry_run,
        templates: &templates,
        sending: reach.sending()?,
    };
    let n_rows = reader.run().n_rows();
    drop(reader);
    let target = Target::prepare(&reach, &args.ledger)?;
    let session = target.session(context, &reach);
    let lines = Lines::new(context.shell, context.verbose);
    let env = Env { machine: &context.machine, server: target.client(), sink: &lines, session: &session };
    let order = Order { context, reach: &reach, target: &target, confirm: args.confirm, is_replay: true };
    OwnRuntime::new()?.block_on(async {
        let prepared = app::prepare_replay(&replay, env).await?;
        order.carry_out(prepared, (n_rows, 0), |_| Ok(())).await
    })
}

fn choice(args: &ReplayArgs) -> Result<Choice, Failure> {
    Ok(Choice {
        states: args.state.clone(),
        causes: args.cause.iter().map(|cause| cause_of(*cause)).collect(),
        rows: args.row.iter().map(|number| RowId::from(*number)).collect(),
        ids: args.id.clone(),
        part: part(&args.part)?,
    })
}

pub(super) const fn cause_of(cause: CauseArg) -> Cause {
    match cause {
        CauseArg::NotSent => Cause::NotSent,
        CauseArg::Refused => Cause::Refused,
        CauseArg::ServerError => Cause::ServerError,
        CauseArg::Unknown => Cause::Unknown,
    }
}

/// Reads a corrected list, by the rules that the run's own rows were checked by.
fn read_corrected(
    from: &Path,
    args: &ReplayArgs,
    reader: &Reader,
    templates: BTreeMap<String, Guid>,
    context: &Context<'_>,
) -> Result<(Checked, Rules), Failure> {
    let extra_columns =
        args.extra_columns.map_or_else(|| app::extra_columns_of(reader), |arg| Ok(extra_columns(arg)))?;
    let rules = Rules { extra_columns, ..app::rules_of(reader.run(), templates) };
    let reading = &args.reading;
    let config = ValidateConfig {
        sources: vec![Source::File(from.to_owned())],
        reading: ReadOptions { format: reading.input_format, encoding: reading.encoding, delimiter: reading.delimiter },
        rules,
        findings: Findings { errors: None, rejects: None, overwrite: Overwrite::Refuse },
    };
    let checked = check(&config, context.shell)?;
    if !checked.survey.is_valid() {
        return Err(Failure::new(Exit::InvalidManifest, "the corrected manifest is invalid; nothing was sent"));
    }
    Ok((checked, config.rules))
}
