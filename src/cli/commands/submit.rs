//! `cmbatch submit`: check, plan, confirm, send, sum up.

use std::path::{Path, PathBuf};

use super::check::{InLedger, check, confirming, rejects_name, way_out, write_findings, write_missing};
use super::job::{Context, Order, OwnRuntime, warn_of_clear_text};
use super::target::Target;
use crate::app::{self, Checked, Env, Exit, Failure, Next, Piece, Submission};
use crate::cli::config::{OnInvalid, SubmitConfig, part, refuse_ledger};
use crate::cli::invocation::quoted;
use crate::cli::progress::Lines;
use crate::cli::reach::Destination;
use crate::cli::summary::Summary;
use crate::ledger::{self, Purpose, Reader, RunIdentity};
use crate::request::RunMark;

/// Runs the command.
pub(crate) fn run(config: &SubmitConfig, context: &Context<'_>) -> Result<Summary, Failure> {
    warn_of_clear_text(&config.reach, context.shell);
    let checked = check(&config.checking, context.shell)?;
    let path = ledger_path(config, &checked);
    if let Ok(path) = &path {
        let outputs = [&config.checking.findings.errors, &config.checking.findings.rejects];
        outputs.into_iter().flatten().try_for_each(|output| refuse_ledger(output, path))?;
    }
    if let Err(refusal) = refuse_invalid(&checked, config, context) {
        write_findings(&checked, None, &config.checking)?;
        return Err(refusal.counting(checked.counts()));
    }
    let path = path?;
    let is_new = path.symlink_metadata().is_err();
    // Of a ledger that exists, it alone knows how its rows stand.
    send(config, context, &checked, path).map_err(
        |failure| {
            if is_new { failure.counting(checked.counts()) } else { failure }
        },
    )
}

fn send(config: &SubmitConfig, context: &Context<'_>, checked: &Checked, path: PathBuf) -> Result<Summary, Failure> {
    let part = part(&config.part)?;
    let submission = Submission {
        checked,
        rules: &config.checking.rules,
        path,
        identity: identity(config),
        existing: config.existing,
        dry_run: config.dry_run,
        part,
        tag_position: config.tag_position,
        data: config.data,
        sending: config.reach.sending()?,
    };
    let target = Target::prepare(&config.reach, &submission.path)?;
    let session = target.session(context, &config.reach);
    let lines = Lines::new(context.shell, context.verbose);
    let env = Env { machine: &context.machine, server: target.client(), sink: &lines, session: &session };
    let order = Order { context, reach: &config.reach, target: &target, confirm: config.confirm, is_replay: false };
    OwnRuntime::new()?.block_on(async {
        let prepared = app::prepare_submit(&submission, env).await?;
        let n_rows = (checked.survey.n_rows, checked.survey.n_invalid);
        let findings = |took_in| {
            if config.dry_run {
                return Ok(());
            }
            let (asked, place) = (&config.checking, place_of(checked, &submission.path)?);
            if took_in {
                write_findings(checked, place, asked)
            } else {
                write_missing(checked, place, asked, context.shell)
            }
        };
        order.carry_out(prepared, n_rows, findings).await
    })
}

/// Returns where these manifests stand in the ledger.
fn place_of(checked: &Checked, path: &Path) -> Result<Option<InLedger>, Failure> {
    let Some(first) = checked.survey.parts.first() else { return Ok(None) };
    let reader = Reader::open(path)?;
    let n_before = reader.run().part_of(&first.sha256).map_or(0, |part| part.first_row.get() - 1);
    Ok(Some(InLedger { run: RunMark::of(reader.run().id), n_before }))
}

fn refuse_invalid(checked: &Checked, config: &SubmitConfig, context: &Context<'_>) -> Result<(), Failure> {
    let leave_out = config.on_invalid == OnInvalid::Skip && !checked.survey.header_invalid;
    if checked.survey.is_valid() || leave_out {
        return Ok(());
    }
    let manifest = checked.manifests.first().map_or("-", |manifest| manifest.name());
    let rejects = rejects_name(Path::new(manifest));
    let good = |n: &str| {
        let confirming = confirming(checked);
        let words = ["--on-invalid", "skip", "--rejects", &rejects].into_iter();
        let words: Vec<&str> = words.chain(confirming.iter().map(String::as_str)).collect();
        let command = context.invocation.instead(&["--on-invalid", "--rejects", "--confirm"], &words);
        format!("send the {n} good and write the rejects: {command}")
    };
    let next = way_out(checked, &context.invocation.instead(&[], &["--allow-empty"]), good);
    Err(Failure::new(Exit::InvalidManifest, "the manifest is invalid; nothing was sent").with_next(next))
}

fn ledger_path(config: &SubmitConfig, checked: &Checked) -> Result<PathBuf, Failure> {
    if let Some(path) = &config.ledger {
        return Ok(path.clone());
    }
    let manifest = checked.manifests.first().and_then(|manifest| manifest.path());
    let manifest = manifest.ok_or_else(|| Failure::new(Exit::Usage, "standard input needs --ledger FILE"))?;
    let purpose = match config.reach.destination {
        Destination::Server(_) => Purpose::Sending,
        Destination::Simulator(_) => Purpose::Rehearsal,
    };
    if let Some(dir) = config.ledger_dir.as_ref().filter(|dir| !dir.is_dir()) {
        let shown = dir.display();
        return Err(Failure::new(Exit::Usage, format!("--ledger-dir: there is no folder {shown}"))
            .with_next(Next::from(format!("mkdir {}, then: ", quoted(&dir.to_string_lossy()))).and(Piece::Again)));
    }
    match (&config.ledger_dir, checked.survey.parts.first()) {
        (Some(dir), Some(part)) => Ok(ledger::path_in_dir(dir, manifest, &part.sha256, purpose)),
        _ => Ok(ledger::default_path(manifest, purpose)),
    }
}

fn identity(config: &SubmitConfig) -> RunIdentity {
    let (server, rehearsal) = match &config.reach.destination {
        Destination::Server(endpoint) => (endpoint.base.to_string(), false),
        Destination::Simulator(_) => ("simulator".to_owned(), true),
    };
    RunIdentity { server, rehearsal, options: config.identity.clone() }
}
