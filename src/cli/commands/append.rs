//! `cmbatch submit --append`: a further manifest for a ledger that exists.

use super::check::write_findings;
use super::known::Repeats;
use super::load;
use super::look;
use super::stored;
use super::submit::{Submission, another_run, continue_run, differences, dry_run, go_on_with, plan};
use super::target::Target;
use crate::cli::exit::Exit;
use crate::cli::failure::Failure;
use crate::cli::summary::Summary;
use crate::ledger::{Reader, RunInfo};
use crate::request::printable;

/// Takes the manifests in, and goes on with the whole run. Manifests that are in it already are gone on with.
pub(crate) fn run(submission: &Submission<'_>) -> Result<Summary, Failure> {
    let Submission { config, context, checked, identity, path, .. } = submission;
    let reader = Reader::open(path)?;
    let found = differences(reader.run(), identity);
    if !found.is_empty() {
        return Err(another_run(path, &found));
    }
    match known_parts(reader.run(), submission) {
        Known::All => return go_on_with(submission, reader),
        Known::Some(name) => {
            return Err(Failure::new(
                Exit::Usage,
                format!("{} is in the ledger already; append the others alone", printable(&name)),
            ));
        }
        Known::None => {}
    }
    if checked.survey.n_rows == 0 {
        return go_on_with(submission, reader);
    }
    let repeats = Repeats::find(&reader, checked, &config.checking.rules, |_| None)?;
    let target = Target::prepare(&config.reach.destination)?;
    if config.dry_run {
        let plan = plan(submission, &target, checked.survey.by_type.clone(), reader.run().n_rows, false);
        context.shell.always(&plan.lines());
        return Ok(dry_run(&plan, checked, context));
    }
    stored::check_free(&reader, path)?;
    let looked = look::before_new(submission, &target, Some(reader.run().id))?;
    drop(reader);
    write_findings(checked, &config.checking)?;
    let left_out = |row: &crate::validate::ValidRow| repeats.reason(row.row).or_else(|| looked.reason(&row.request));
    let ledger = load::append(
        path,
        context,
        &target.session(context, &config.reach),
        &config.checking.rules,
        checked,
        load::LeftOut(&left_out),
    )?;
    continue_run(submission, target, ledger)
}

/// Which of the manifests a ledger has already.
enum Known {
    All,
    /// Some, such as this one.
    Some(String),
    None,
}

fn known_parts(run: &RunInfo, submission: &Submission<'_>) -> Known {
    let parts = &submission.checked.survey.parts;
    let is_known = |sha256: &[u8; 32]| run.part_of(sha256).is_some();
    let known: Vec<&str> = parts.iter().filter(|part| is_known(&part.sha256)).map(|part| part.name.as_str()).collect();
    match known.first() {
        None => Known::None,
        Some(_) if known.len() == parts.len() => Known::All,
        Some(name) => Known::Some((*name).to_owned()),
    }
}
