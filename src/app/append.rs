//! Taking a further list into a ledger that exists.

use super::env::Env;
use super::exit::Exit;
use super::failure::Failure;
use super::known::Repeats;
use super::load::{self, LeftOut};
use super::plan::Plan;
use super::stored::check_free;
use super::submit::{Prepared, Submission, another_run, differences, go_on_with, leave_out, ready};
use crate::ledger::{Reader, RunInfo};
use crate::reconcile::Lists;
use crate::request::printable;
use crate::submit::Calls;
use crate::validate::ValidRow;

/// How a list is read differs from list to list.
const HOW_IT_IS_READ: [&str; 2] = ["encoding", "delimiter"];

/// Takes the manifests in, and goes on with the whole run. Manifests that are in it already are gone on with.
pub(super) async fn prepare<'a, S: Calls + Lists>(
    submission: &Submission<'_>,
    env: Env<'a, S>,
) -> Result<Prepared<'a, S>, Failure> {
    let Submission { checked, rules, path, .. } = submission;
    let reader = Reader::open(path)?;
    let found = differences(reader.run(), &submission.identity, &HOW_IT_IS_READ);
    if !found.is_empty() {
        return Err(another_run(path, &found));
    }
    match known_parts(reader.run(), submission) {
        Known::All => return go_on_with(submission, env, reader).await,
        Known::Some(name) => {
            return Err(Failure::new(
                Exit::Usage,
                format!("{} is in the ledger already; append the others alone", printable(&name)),
            ));
        }
        Known::None => {}
    }
    if checked.survey.n_rows == 0 {
        return go_on_with(submission, env, reader).await;
    }
    let repeats = Repeats::find(&reader, checked, rules, |_| None).map_err(|failure| match failure.exit {
        Exit::InvalidManifest => failure.with_next(leave_out("leave these rows out of the list", path)),
        _ => failure,
    })?;
    if submission.dry_run {
        return Ok(Prepared::Planned(Plan {
            by_type: checked.survey.by_type.clone(),
            settled: reader.run().n_rows(),
            ledger: path.clone(),
            ..Plan::default()
        }));
    }
    check_free(&reader, path)?;
    let before = reader.extent()?;
    drop(reader);
    let left_out = |row: &ValidRow| repeats.reason(row.row);
    let ledger = load::append(env.machine, path, env.session, rules, checked, LeftOut(&left_out), &|_| None)?;
    ready(submission, env, ledger, Some(before), true).await
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
