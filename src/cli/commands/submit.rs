//! `cmbatch submit`: check, plan, confirm, load, send, sum up.

use std::path::{Path, PathBuf};
use std::time::Duration;

use tokio::sync::watch;

use super::check::{Checked, check, way_out, write_findings};
use super::load;
use super::target::Target;
use crate::cli::config::{Destination, OnInvalid, SubmitConfig};
use crate::cli::exit::Exit;
use crate::cli::failure::{Failure, chain};
use crate::cli::invocation::{Invocation, quoted};
use crate::cli::output::{Shell, grouped, rows};
use crate::cli::plan::{Plan, by_type};
use crate::cli::progress::Reporter;
use crate::cli::signals::{self, Before};
use crate::cli::summary::{Summary, stop_text};
use crate::ledger::{
    self, Ledger, LedgerError, Purpose, Reader, RowState, RunIdentity, RunInfo, SessionEnd, SessionInfo,
};
use crate::report::Counts;
use crate::submit::{self, KnownKind, Memory, Sending, StopLevel, StopReason, SubmitReport, Work};

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

/// Runs the command.
pub(crate) fn run(config: SubmitConfig, context: &Context<'_>) -> Result<Summary, Failure> {
    if let Destination::Server(endpoint) = &config.destination
        && endpoint.sends_secrets_in_clear()
    {
        context.shell.warn("the sign-in goes over plain http, where everybody on the way can read it");
    }
    let checked = check(&config.checking, context.shell)?;
    if let Err(refusal) = refuse_invalid(&checked, &config, context) {
        write_findings(&checked, &config.checking)?;
        return Err(refusal);
    }
    let path = ledger_path(&config, &checked)?;
    let identity = identity(&config);
    let exists = path.symlink_metadata().is_ok();
    if exists && config.new {
        return Err(Failure::new(Exit::Usage, format!("the ledger {} exists, and --new refuses it", path.display()))
            .with_next(format!("cmbatch status {}", quoted(&path.to_string_lossy()))));
    }
    if exists {
        go_on(&config, &checked, context, &path, &identity)
    } else {
        begin(&config, &checked, context, &path, &identity)
    }
}

fn refuse_invalid(checked: &Checked, config: &SubmitConfig, context: &Context<'_>) -> Result<(), Failure> {
    let leave_out = config.on_invalid == OnInvalid::Skip && !checked.survey.header_invalid;
    if checked.survey.is_valid() || leave_out {
        return Ok(());
    }
    let manifest = checked.manifests.first().map_or("-", |manifest| manifest.name());
    let command = |words: &[&str]| {
        if words.is_empty() { context.invocation.again() } else { context.invocation.instead("--on-invalid", words) }
    };
    Err(Failure::new(Exit::InvalidManifest, "the manifest is invalid; nothing was sent").with_next(way_out(
        checked,
        Path::new(manifest),
        command,
    )))
}

fn ledger_path(config: &SubmitConfig, checked: &Checked) -> Result<PathBuf, Failure> {
    if let Some(path) = &config.ledger {
        return Ok(path.clone());
    }
    let manifest = checked.manifests.first().and_then(|manifest| manifest.path());
    let manifest = manifest.ok_or_else(|| Failure::new(Exit::Usage, "standard input needs --ledger FILE"))?;
    let purpose = match config.destination {
        Destination::Server(_) => Purpose::Sending,
        Destination::Simulator(_) => Purpose::Rehearsal,
    };
    match (&config.ledger_dir, checked.survey.parts.first()) {
        (Some(dir), Some(part)) => Ok(ledger::path_in_dir(dir, manifest, &part.sha256, purpose)),
        _ => Ok(ledger::default_path(manifest, purpose)),
    }
}

fn identity(config: &SubmitConfig) -> RunIdentity {
    let (server, rehearsal) = match &config.destination {
        Destination::Server(endpoint) => (endpoint.base.to_string(), false),
        Destination::Simulator(_) => ("simulator".to_owned(), true),
    };
    RunIdentity { server, rehearsal, options: config.identity.clone() }
}

/// A ledger that does not exist yet: plan and confirmation come before it is made.
fn begin(
    config: &SubmitConfig,
    checked: &Checked,
    context: &Context<'_>,
    path: &Path,
    identity: &RunIdentity,
) -> Result<Summary, Failure> {
    let shell = context.shell;
    if checked.survey.n_rows == 0 {
        shell.say("the manifest has no rows, and --allow-empty takes that as a success");
        return Ok(Summary::without_rows());
    }
    let mut target = Target::prepare(&config.destination)?;
    let plan = plan(config, context, &target, path, checked.survey.by_type.clone(), 0, true);
    shell.always(&plan.lines());
    if config.dry_run {
        return Ok(dry_run(&plan, checked, context));
    }
    confirm(&plan, config, context, &target)?;
    write_findings(checked, &config.checking)?;
    let mut ledger = load::create(path, identity, context, &config.checking.rules, checked)?;
    target.start(&ledger, config)?;
    ledger.start_run()?;
    send(config, context, &plan, &target, ledger, path)
}

/// A ledger that exists: the same manifests, server and options go on where they stopped.
fn go_on(
    config: &SubmitConfig,
    checked: &Checked,
    context: &Context<'_>,
    path: &Path,
    identity: &RunIdentity,
) -> Result<Summary, Failure> {
    // Nothing is written before it is certain that this run goes on.
    let reader = Reader::open(path)?;
    refuse_another_run(reader.run(), checked, identity, path)?;
    let counts = Counts::of(&reader)?;
    let pending = reader.unsettled_by_type()?;
    let holder = reader.holder()?;
    if pending.iter().all(|(_, n)| *n == 0) && holder.is_none() {
        return Ok(Summary::of_counts(&reader, path, &counts).already_finished());
    }
    let mut target = Target::prepare(&config.destination)?;
    let n_pending: u64 = pending.iter().map(|(_, n)| n).sum();
    let settled = counts.total().saturating_sub(n_pending);
    let plan = plan(config, context, &target, path, pending, settled, false);
    if config.dry_run {
        context.shell.always(&plan.lines());
        return Ok(dry_run(&plan, checked, context));
    }
    if let Some(holder) = holder {
        return Err(LedgerError::InUse { path: path.to_owned(), holder: Some(Box::new(holder)) }.into());
    }
    context.shell.always(&plan.lines());
    confirm(&plan, config, context, &target)?;
    let mut ledger = Ledger::open(path, &context.session)?;
    if reader.unsettled_by_type()? != plan.by_type {
        ledger.close(SessionEnd::Stopped("another process worked on it meanwhile".to_owned()))?;
        return Err(Failure::new(Exit::InUse, "another process worked on the ledger meanwhile; nothing was sent")
            .with_next(context.invocation.again()));
    }
    drop(reader);
    target.start(&ledger, config)?;
    ledger.start_run()?;
    send(config, context, &plan, &target, ledger, path)
}

fn refuse_another_run(run: &RunInfo, checked: &Checked, now: &RunIdentity, path: &Path) -> Result<(), Failure> {
    let mut found: Vec<String> = run
        .identity
        .differences(now)
        .into_iter()
        .map(|difference| {
            format!("{}: {} in the ledger, {} now", difference.what, difference.in_ledger, difference.now)
        })
        .collect();
    let same = run.parts.len() == checked.survey.parts.len()
        && run.parts.iter().zip(&checked.survey.parts).all(|(old, new)| old.sha256 == new.sha256);
    if !same {
        let names = |names: Vec<&str>| names.join(", ");
        found.push(format!(
            "manifest: the ledger was loaded from {} with other content than {} has now",
            names(run.parts.iter().map(|part| part.name.as_str()).collect()),
            names(checked.survey.parts.iter().map(|part| part.name.as_str()).collect()),
        ));
    }
    if found.is_empty() {
        return Ok(());
    }
    Err(Failure::new(
        Exit::Usage,
        format!("the ledger {} belongs to another run; nothing was sent\n  {}", path.display(), found.join("\n  ")),
    )
    .with_next("use the values of the ledger, or give this run a ledger of its own with --ledger FILE"))
}

fn plan(
    config: &SubmitConfig,
    context: &Context<'_>,
    target: &Target,
    path: &Path,
    by_type: Vec<(crate::request::RequestType, u64)>,
    settled: u64,
    ledger_is_new: bool,
) -> Plan {
    Plan {
        by_type,
        settled,
        server: target.server().to_owned(),
        label: config.label.clone(),
        account: config.account.clone(),
        config_files: context.config_files.to_vec(),
        ledger: path.to_owned(),
        ledger_is_new,
        rate: config.limits.rate,
        concurrency: config.limits.concurrency.get(),
    }
}

fn dry_run(plan: &Plan, checked: &Checked, context: &Context<'_>) -> Summary {
    let text = format!("dry run: {} would be sent; nothing was", rows(plan.n_rows()));
    Summary::dry_run(checked.survey.n_rows, checked.survey.n_invalid, text).with_next(context.invocation.again())
}

/// Asks for the number of rows that take certificates away, where there are any.
fn confirm(plan: &Plan, config: &SubmitConfig, context: &Context<'_>, target: &Target) -> Result<(), Failure> {
    let wanted = plan.n_destructive();
    if config.confirm == Some(wanted) || (wanted == 0 && config.confirm.is_none()) {
        return Ok(());
    }
    let right = context.invocation.instead("--confirm", &["--confirm", &wanted.to_string()]);
    if let Some(given) = config.confirm {
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
        let answer = context.shell.ask(&plan.question(target.host())).unwrap_or_default();
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

fn send(
    config: &SubmitConfig,
    context: &Context<'_>,
    plan: &Plan,
    target: &Target,
    ledger: Ledger,
    path: &Path,
) -> Result<Summary, Failure> {
    let wire = config.wire(ledger.run());
    context.before.over();
    let reporter = Reporter::start(context.shell, context.verbose);
    let client = target.client()?;
    let known = KnownKind::of_ledger(&Reader::open(path)?)?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let report = runtime.block_on(async {
        let (level, control) = watch::channel(StopLevel::Run);
        let listener = signals::listen(level);
        let mut memory = Memory::new(&config.limits, known);
        let sending = Sending { engine: &ledger, calls: client, wire: &wire, limits: &config.limits, sink: &reporter };
        let report = submit::run(&sending, &mut memory, Work::InOrder, plan.n_rows(), control).await;
        drop(listener);
        report
    });
    drop(reporter);
    // A call that outlived its row is not waited for.
    runtime.shutdown_timeout(Duration::from_millis(100));
    end(report, context, ledger, path)
}

fn end(report: SubmitReport, context: &Context<'_>, ledger: Ledger, path: &Path) -> Result<Summary, Failure> {
    for lost in &report.unrecorded {
        context.shell.error(&format!(
            "row {} was created as {} and could not be recorded",
            lost.row,
            lost.uri.as_str()
        ));
    }
    let how = match &report.stopped_by {
        None => SessionEnd::Finished,
        Some(StopReason::Interrupted) => SessionEnd::Interrupted,
        Some(reason) => SessionEnd::Stopped(stop_text(reason).0),
    };
    let closed = ledger.close(how);
    let stopped_by = match (report.stopped_by, closed) {
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
    let mut summary = Summary::of_counts(&reader, path, &counts).with_speed(report.created, report.elapsed);
    let again = again(&reader, context)?;
    match stopped_by {
        None => {
            if counts.get(RowState::Pending) > 0 {
                summary = summary.with_next(again);
            }
        }
        Some(StopReason::Ledger(error)) => return Err(ledger_failure(&error, context)),
        Some(reason) => summary = summary.stopped(&reason, &again),
    }
    Ok(summary)
}

/// Returns the command that goes on, with the number to confirm where rows that take certificates away are left.
fn again(reader: &Reader, context: &Context<'_>) -> Result<String, Failure> {
    let destructive = reader.unsettled_by_type()?.into_iter().filter(|(kind, _)| kind.is_destructive());
    let n_destructive: u64 = destructive.map(|(_, n)| n).sum();
    let command = context.invocation.again();
    Ok(if n_destructive > 0 { format!("{command} --confirm {n_destructive}") } else { command })
}

fn ledger_failure(error: &LedgerError, context: &Context<'_>) -> Failure {
    let failure = Failure::new(Exit::of_ledger(error), format!("the run was stopped: {}", chain(error)));
    match error {
        // A new ledger would send again what this one sent.
        LedgerError::Gone { path } | LedgerError::TakenOver { path } => {
            failure.with_next(format!("cmbatch status {}", quoted(&path.to_string_lossy())))
        }
        _ => failure.with_next(format!("make room or mend the disk, then go on with: {}", context.invocation.again())),
    }
}
