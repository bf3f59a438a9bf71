//! Never twice, across ledgers: rows that were requested before, from another ledger.

use jiff::Timestamp;

use super::doubt::exit_of;
use super::job::{Job, block_on};
use super::submit::Submission;
use super::target::Target;
use crate::cli::config::Already;
use crate::cli::exit::{Exit, NO_API_REMEDY};
use crate::cli::failure::{Failure, chain};
use crate::cli::output::{MAX_REASON, rows};
use crate::cli::reach::Destination;
use crate::client::{Client, ReadError, TransportFault};
use crate::ledger::{Resolution, RowState, RowVerdict, Source};
use crate::reconcile::{Hit, Hits, Look, RunHits, Strangers};
use crate::report::Counts;
use crate::request::{CreateRequest, RunId, RunMark, TagPosition, printable, printable_up_to};
use crate::validate::{self, CheckedRow};

/// What the look across ledgers gave.
#[derive(Debug)]
pub(crate) enum Looked {
    /// There was no reason to look, or nobody wants to know.
    NotDone,
    /// A dry run asks no server.
    Unasked,
    /// The list was read; rows that it has of other runs are left out.
    Done(Hits),
    /// The list could not be read.
    Unreadable(String),
}

impl Looked {
    pub(crate) fn has_hits(&self) -> bool {
        matches!(self, Self::Done(hits) if !hits.is_empty())
    }

    /// Returns why a row is left out, where it is.
    pub(crate) fn reason(&self, request: &CreateRequest) -> Option<String> {
        match self {
            Self::Done(hits) => hits.of(request).map(reason),
            Self::NotDone | Self::Unasked | Self::Unreadable(_) => None,
        }
    }

    /// Returns what the plan says of it.
    pub(crate) fn note(&self) -> Option<String> {
        match self {
            Self::NotDone => None,
            Self::Unasked => {
                Some("whether another ledger requested rows before is not looked for in a dry run".to_owned())
            }
            Self::Done(hits) if hits.is_empty() => None,
            Self::Done(_) => Some("rows that another ledger requested before are left out (--already skip)".to_owned()),
            Self::Unreadable(why) => Some(format!(
                "not looked for requests of other ledgers: the server's list cannot be read ({})",
                printable(why)
            )),
        }
    }
}

fn reason(hit: &Hit) -> String {
    format!("requested before as {} by run {}", hit.uuid, hit.run)
}

/// What a dry run says, which asks no server.
pub(crate) fn not_in_a_dry_run(submission: &Submission<'_>) -> Looked {
    match submission.config.reach.destination {
        Destination::Server(_) => Looked::Unasked,
        Destination::Simulator(_) => Looked::NotDone,
    }
}

/// Looks before a new ledger is made, or before a further manifest is taken into the ledger of the run `own`.
pub(crate) fn before_new(submission: &Submission<'_>, target: &Target, own: Option<RunId>) -> Result<Looked, Failure> {
    let Submission { config, checked, .. } = submission;
    let Some(client) = who_to_ask(submission, target)? else { return Ok(Looked::NotDone) };
    let looked = search(submission, client, own, |look| {
        validate::deliver(&checked.manifests, &config.checking.rules, &checked.survey, |row| -> Result<(), Failure> {
            if let CheckedRow::Valid(row) = row {
                look.add(&row.request);
            }
            Ok(())
        })?;
        Ok(())
    })?;
    if config.already == Already::Stop
        && let Looked::Done(hits) = &looked
        && !hits.is_empty()
    {
        let mut n_rows = 0;
        validate::deliver(&checked.manifests, &config.checking.rules, &checked.survey, |row| -> Result<(), Failure> {
            if let CheckedRow::Valid(row) = row {
                n_rows += u64::from(hits.of(&row.request).is_some());
            }
            Ok(())
        })?;
        stop_for(submission, hits, n_rows)?;
    }
    Ok(looked)
}

/// Looks again before the first call of a ledger that exists and of which nothing was sent yet; rows that were requested
/// before are left out of it where the options say so.
pub(crate) fn before_first_call(submission: &Submission<'_>, job: &Job<'_>) -> Result<Looked, Failure> {
    let counts = Counts::of(job.reader())?;
    let untouched: u64 = [RowState::Pending, RowState::Skipped, RowState::Invalid, RowState::Replaced]
        .iter()
        .map(|state| counts.get(*state))
        .sum();
    if untouched != counts.total() || job.reader().tallies()?.iter().any(|tally| tally.code.is_some()) {
        return Ok(Looked::NotDone);
    }
    let Some(client) = who_to_ask(submission, job.target())? else { return Ok(Looked::NotDone) };
    let looked = search(submission, client, Some(job.ledger.run().id), |look| {
        job.reader().for_each_row(&[RowState::Pending], |row| -> Result<(), Failure> {
            row.request.iter().for_each(|request| look.add(request));
            Ok(())
        })
    })?;
    let Looked::Done(hits) = &looked else { return Ok(looked) };
    if hits.is_empty() {
        return Ok(looked);
    }
    let mut found = Vec::new();
    job.reader().for_each_row(&[RowState::Pending], |row| -> Result<(), Failure> {
        if let Some(hit) = row.request.as_ref().and_then(|request| hits.of(request)) {
            found.push(Resolution {
                row: row.row,
                verdict: RowVerdict::LeftOut,
                source: Source::List,
                reason: Some(reason(hit)),
            });
        }
        Ok(())
    })?;
    if submission.config.already == Already::Stop {
        stop_for(submission, hits, found.len() as u64)?;
    }
    if !found.is_empty() {
        job.ledger.resolve_blocking(found)?;
    }
    Ok(looked)
}

fn who_to_ask<'t>(submission: &Submission<'_>, target: &'t Target) -> Result<Option<&'t Client>, Failure> {
    let config = submission.config;
    let is_real = matches!(config.reach.destination, Destination::Server(_));
    let wanted = is_real && config.tag_position != TagPosition::None && config.already != Already::Send;
    if wanted { target.client().map(Some) } else { Ok(None) }
}

/// Reads the server's list; asks for the rows only where it has requests of other runs.
fn search(
    submission: &Submission<'_>,
    client: &Client,
    own: Option<RunId>,
    add_rows: impl FnOnce(&mut Look) -> Result<(), Failure>,
) -> Result<Looked, Failure> {
    let since = Timestamp::now().checked_sub(submission.config.look_back).unwrap_or(Timestamp::MIN);
    // A run that is not there yet has no requests.
    let own = RunMark::of(own.unwrap_or_else(RunId::random));
    let strangers = match block_on(Strangers::read(client, own, since))? {
        Ok(strangers) => strangers,
        Err(error) => return unread(&error, submission),
    };
    if let Some(hits) = strangers.no_hits() {
        return Ok(Looked::Done(hits));
    }
    let mut look = Look::default();
    add_rows(&mut look)?;
    match strangers.hits(look) {
        Ok(hits) => Ok(Looked::Done(hits)),
        Err(look) => match block_on(look.search(client, own, since))? {
            Ok(hits) => Ok(Looked::Done(hits)),
            Err(error) => unread(&error, submission),
        },
    }
}

fn unread(error: &ReadError, submission: &Submission<'_>) -> Result<Looked, Failure> {
    match error {
        // These would meet every call, too.
        ReadError::Status { status: 401 | 404, .. }
        | ReadError::Transport { fault: TransportFault::ProxyRefused | TransportFault::NotSignedIn, .. } => {
            Err(unasked(error, submission))
        }
        _ => Ok(Looked::Unreadable(chain(error))),
    }
}

fn unasked(error: &ReadError, submission: &Submission<'_>) -> Failure {
    let (by, what) = match error {
        ReadError::Status { status: 404, .. } => {
            ("api-not-found", format!("there is no API at this address; {NO_API_REMEDY}"))
        }
        ReadError::Transport { fault: TransportFault::ProxyRefused, .. } => {
            ("unreachable", "the server cannot be reached".to_owned())
        }
        ReadError::Transport { .. } => ("sign-in", "the sign-in was not accepted".to_owned()),
        _ => ("sign-in", "the sign-in was not accepted".to_owned()),
    };
    let n_rows = submission.checked.survey.n_valid;
    Failure::new(
        exit_of(error),
        format!("{what}: {}; nothing was sent", printable_up_to(&error.to_string(), MAX_REASON)),
    )
    .stopping(by, n_rows)
    .with_next(submission.context.invocation.again())
}

fn stop_for(submission: &Submission<'_>, hits: &Hits, n_rows: u64) -> Result<(), Failure> {
    if n_rows == 0 {
        return Ok(());
    }
    let again = |words: &[&str]| submission.context.invocation.instead("--already", words);
    let runs: Vec<String> = hits.by_run().iter().map(|run| format!("  {}", of_run(run))).collect();
    let verb = if n_rows == 1 { "was" } else { "were" };
    Err(Failure::new(
        Exit::Usage,
        format!(
            "{} of this list {verb} requested before, from another ledger; nothing was sent\n{}",
            rows(n_rows),
            runs.join("\n")
        ),
    )
    .with_next(format!(
        "go on with that ledger; or leave them out: {}; or send them a second time: {}",
        again(&["--already", "skip"]),
        again(&["--already", "send"])
    )))
}

fn of_run(run: &RunHits) -> String {
    let when = match (run.first_submitted, run.last_submitted) {
        (Some(first), Some(last)) if first == last => format!(", submitted {first:.0}"),
        (Some(first), Some(last)) => format!(", submitted {first:.0} to {last:.0}"),
        _ => String::new(),
    };
    let by: Vec<String> = run.originators.iter().map(ToString::to_string).collect();
    let by = if by.is_empty() { String::new() } else { format!(" by user {}", by.join(", ")) };
    format!("run {}: {}{when}{by}", run.run, rows(run.n_rows))
}
