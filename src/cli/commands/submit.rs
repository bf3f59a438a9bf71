//! `cmbatch submit`: check, plan, confirm, load, send, sum up.

use std::path::{Path, PathBuf};

use super::append;
use super::check::{Checked, check, way_out, write_findings};
use super::job::{Context, Job, confirm, warn_of_clear_text};
use super::load::{self, LeftOut};
use super::look::{self, Looked};
use super::part::Part;
use super::target::Target;
use crate::cli::config::{Existing, OnInvalid, SubmitConfig};
use crate::cli::exit::Exit;
use crate::cli::failure::Failure;
use crate::cli::invocation::quoted;
use crate::cli::output::rows;
use crate::cli::plan::Plan;
use crate::cli::reach::Destination;
use crate::cli::summary::Summary;
use crate::ledger::{self, Ledger, LedgerError, Purpose, Reader, RowState, RunIdentity, RunInfo};
use crate::report::Counts;
use crate::request::RequestType;
use crate::submit::Work;
use crate::validate::{self, CheckedRow};

/// Runs the command.
pub(crate) fn run(config: &SubmitConfig, context: &Context<'_>) -> Result<Summary, Failure> {
    warn_of_clear_text(&config.reach, context.shell);
    let checked = check(&config.checking, context.shell)?;
    if let Err(refusal) = refuse_invalid(&checked, config, context) {
        write_findings(&checked, &config.checking)?;
        return Err(refusal);
    }
    let part = Part::read(&config.part)?;
    let path = ledger_path(config, &checked, context)?;
    let submission = Submission { config, context, checked: &checked, part, identity: identity(config), path };
    match (submission.path.symlink_metadata().is_ok(), config.existing) {
        (true, Existing::Refuse) => {
            let shown = submission.path.display();
            Err(Failure::new(Exit::Usage, format!("the ledger {shown} exists, and --new refuses it"))
                .with_next(format!("cmbatch status {}", quoted(&submission.path.to_string_lossy()))))
        }
        (true, Existing::GoOn) => go_on(&submission),
        (true, Existing::Append) => append::run(&submission),
        (false, Existing::Append) => Err(LedgerError::NotFound { path: submission.path.clone() }.into()),
        (false, Existing::GoOn | Existing::Refuse) => begin(&submission),
    }
}

/// What is submitted: checked manifests, and the ledger that they belong to.
pub(crate) struct Submission<'a> {
    pub(crate) config: &'a SubmitConfig,
    pub(crate) context: &'a Context<'a>,
    pub(crate) checked: &'a Checked,
    pub(crate) part: Option<Part>,
    pub(crate) identity: RunIdentity,
    pub(crate) path: PathBuf,
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

fn ledger_path(config: &SubmitConfig, checked: &Checked, context: &Context<'_>) -> Result<PathBuf, Failure> {
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
        return Err(Failure::new(Exit::Usage, format!("--ledger-dir: there is no folder {shown}")).with_next(format!(
            "mkdir {}, then: {}",
            quoted(&dir.to_string_lossy()),
            context.invocation.again()
        )));
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

/// A ledger that does not exist yet: look, plan and confirmation come before it is made.
fn begin(submission: &Submission<'_>) -> Result<Summary, Failure> {
    let Submission { config, context, checked, part, identity, path } = submission;
    if checked.survey.n_rows == 0 {
        context.shell.say("the manifest has no rows, and --allow-empty takes that as a success");
        return Ok(Summary::without_rows());
    }
    let target = Target::prepare(&config.reach.destination)?;
    let looked =
        if config.dry_run { look::not_in_a_dry_run(submission) } else { look::before_new(submission, &target, None)? };
    let by_type = match (part, looked.has_hits()) {
        (None, false) => checked.survey.by_type.clone(),
        _ => count(submission, &looked)?,
    };
    let plan = Plan { note: looked.note(), ..plan(submission, &target, by_type, 0, true) };
    context.shell.always(&plan.lines());
    if config.dry_run {
        return Ok(dry_run(&plan, checked, context));
    }
    confirm(&plan, config.confirm, context, target.host())?;
    write_findings(checked, &config.checking)?;
    let left_out = |row: &validate::ValidRow| looked.reason(&row.request);
    let ledger = load::create(
        path,
        identity,
        context,
        &target.session(context, &config.reach),
        &config.checking.rules,
        checked,
        LeftOut(&left_out),
    )?;
    let wire = config.wire(ledger.run());
    let mut job = Job::begin(context, &config.reach, path, target, ledger, wire)?;
    job.ledger.start_run()?;
    let work = work(part.as_ref(), job.reader())?;
    job.send(work)
}

/// Counts the rows of a new ledger that would be sent now.
fn count(submission: &Submission<'_>, looked: &Looked) -> Result<Vec<(RequestType, u64)>, Failure> {
    let Submission { config, checked, part, .. } = submission;
    let mut counts = std::collections::BTreeMap::new();
    let mut ids = std::collections::HashSet::new();
    let mut takes = part.as_ref().map(Part::filter);
    validate::deliver(&checked.manifests, &config.checking.rules, &checked.survey, |row| -> Result<(), Failure> {
        let CheckedRow::Valid(row) = row else { return Ok(()) };
        if looked.reason(&row.request).is_some() {
            return Ok(());
        }
        ids.extend(row.id.clone().filter(|_| part.is_some()));
        if takes.as_mut().is_none_or(|takes| takes(row.id.as_deref())) {
            *counts.entry(row.request.kind).or_insert(0) += 1;
        }
        Ok(())
    })?;
    if let Some(part) = part {
        part.check_ids(|id| ids.contains(id))?;
    }
    Ok(counts.into_iter().collect())
}

/// A ledger that exists: the same manifests, server and options go on where they stopped.
fn go_on(submission: &Submission<'_>) -> Result<Summary, Failure> {
    // Nothing is written before it is certain that this run goes on.
    let reader = Reader::open(&submission.path)?;
    refuse_another_run(reader.run(), submission.checked, &submission.identity, &submission.path)?;
    go_on_with(submission, reader)
}

/// Goes on with a ledger that is known to be this run's.
pub(crate) fn go_on_with(submission: &Submission<'_>, reader: Reader) -> Result<Summary, Failure> {
    let Submission { config, context, checked, path, .. } = submission;
    let counts = Counts::of(&reader)?;
    let pending = reader.unsettled_by_type()?;
    let holder = reader.holder()?;
    let n_pending: u64 = pending.iter().map(|(_, n)| n).sum();
    if n_pending + counts.get(RowState::InDoubt) == 0 && holder.is_none() {
        return Ok(Summary::of_counts(&reader, path, &counts).already_finished());
    }
    let target = Target::prepare(&config.reach.destination)?;
    if config.dry_run {
        let settled = counts.total().saturating_sub(n_pending);
        let by_type = by_type(&work(submission.part.as_ref(), &reader)?, &reader)?;
        let plan = plan(submission, &target, by_type, settled, false);
        context.shell.always(&plan.lines());
        return Ok(dry_run(&plan, checked, context));
    }
    if let Some(holder) = holder {
        return Err(LedgerError::InUse { path: path.clone(), holder: Some(Box::new(holder)) }.into());
    }
    drop(reader);
    let ledger = Ledger::open(&crate::machine::Machine::system(), path, &target.session(context, &config.reach))?;
    continue_run(submission, target, ledger)
}

/// Works on an open ledger: asks the server first, plans, asks for confirmation, sends.
pub(crate) fn continue_run(submission: &Submission<'_>, target: Target, ledger: Ledger) -> Result<Summary, Failure> {
    let Submission { config, context, path, .. } = submission;
    let wire = config.wire(ledger.run());
    let mut job = Job::begin(context, &config.reach, path, target, ledger, wire)?;
    match prepare(submission, &mut job) {
        Ok(Some(work)) => {
            job.ledger.start_run()?;
            job.send(work)
        }
        Ok(None) => {
            let (_, reader) = job.finish()?;
            Ok(Summary::of_counts(&reader, path, &Counts::of(&reader)?).nothing_to_send())
        }
        Err(failure) => Err(job.refuse(failure)),
    }
}

/// Returns what is to be sent now, or none where neither a pending row nor one in doubt is left.
fn prepare(submission: &Submission<'_>, job: &mut Job<'_>) -> Result<Option<Work>, Failure> {
    let Submission { config, context, part, .. } = submission;
    job.ask_first()?;
    let looked = look::before_first_call(submission, job)?;
    let counts = Counts::of(job.reader())?;
    let n_in_doubt = counts.get(RowState::InDoubt);
    let work = work(part.as_ref(), job.reader())?;
    let by_type = by_type(&work, job.reader())?;
    let n_pending: u64 = by_type.iter().map(|(_, n)| n).sum();
    if n_pending + n_in_doubt == 0 {
        return Ok(None);
    }
    let settled = counts.total().saturating_sub(counts.get(RowState::Pending) + n_in_doubt);
    let plan = Plan {
        note: looked.note(),
        in_doubt: n_in_doubt,
        is_part: part.is_some(),
        ..plan(submission, job.target(), by_type, settled, false)
    };
    context.shell.always(&plan.lines());
    confirm(&plan, config.confirm, context, job.target().host())?;
    Ok(Some(work))
}

fn work(part: Option<&Part>, reader: &Reader) -> Result<Work, Failure> {
    match part {
        None => Ok(Work::InOrder),
        Some(part) => Ok(Work::Rows(part.pending(reader)?)),
    }
}

/// Returns the pending rows of some work by type.
fn by_type(work: &Work, reader: &Reader) -> Result<Vec<(RequestType, u64)>, Failure> {
    match work {
        Work::InOrder => Ok(reader.unsettled_by_type()?),
        Work::Rows(chosen) => super::replay::by_type(reader, chosen),
    }
}

/// Returns in what this run is another one than the ledger's, manifests left out.
pub(crate) fn differences(run: &RunInfo, now: &RunIdentity) -> Vec<String> {
    let told = |difference: ledger::Difference| {
        format!("{}: {} in the ledger, {} now", difference.what, difference.in_ledger, difference.now)
    };
    run.identity.differences(now).into_iter().map(told).collect()
}

pub(crate) fn another_run(path: &Path, found: &[String]) -> Failure {
    Failure::new(
        Exit::Usage,
        format!("the ledger {} belongs to another run; nothing was sent\n  {}", path.display(), found.join("\n  ")),
    )
    .with_next("use the values of the ledger, or give this run a ledger of its own with --ledger FILE")
}

fn refuse_another_run(run: &RunInfo, checked: &Checked, now: &RunIdentity, path: &Path) -> Result<(), Failure> {
    let mut found = differences(run, now);
    // Manifests that were appended since, or stand for mended rows, belong to the run too.
    let same = run.parts.first().map(|part| part.sha256) == checked.survey.parts.first().map(|part| part.sha256)
        && checked.survey.parts.iter().all(|part| run.part_of(&part.sha256).is_some());
    if !same {
        let names = |names: Vec<&str>| names.join(", ");
        found.push(format!(
            "manifest: the ledger was loaded from {} with other content than {} has now (--append takes a further one in)",
            names(run.parts.iter().map(|part| part.name.as_str()).collect()),
            names(checked.survey.parts.iter().map(|part| part.name.as_str()).collect()),
        ));
    }
    if found.is_empty() { Ok(()) } else { Err(another_run(path, &found)) }
}

pub(crate) fn plan(
    submission: &Submission<'_>,
    target: &Target,
    by_type: Vec<(RequestType, u64)>,
    settled: u64,
    ledger_is_new: bool,
) -> Plan {
    let Submission { config, context, path, .. } = submission;
    let account = target.account(&config.reach);
    let plan = Plan::new(&config.reach, context.config_files, target.server(), path, by_type);
    Plan { settled, ledger_is_new, account, ..plan }
}

pub(crate) fn dry_run(plan: &Plan, checked: &Checked, context: &Context<'_>) -> Summary {
    let text = format!("dry run: {} would be sent; nothing was", rows(plan.n_rows()));
    Summary::dry_run(checked.survey.n_rows, checked.survey.n_invalid, text).with_next(context.invocation.for_real())
}
