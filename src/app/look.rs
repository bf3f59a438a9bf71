//! Never twice, across ledgers: rows that were requested before, from another ledger.

use super::env::Env;
use super::exit::{Exit, NO_API_REMEDY};
use super::failure::{Failure, chain, exit_of};
use super::job::Job;
use super::next::{Next, Piece};
use super::submit::{Already, Submission};
use super::words::rows;
use crate::client::{ReadError, TransportFault};
use crate::ledger::{Resolution, RowState, RowVerdict, Source};
use crate::reconcile::{Hit, Hits, Lists, Look, RunHits, Strangers};
use crate::report::Counts;
use crate::request::{RunMark, TagPosition, printable, printable_up_to};

/// The longest reason to stop, in characters: what is to be done stands last.
const MAX_REASON: usize = 1_000;

/// What the look across ledgers gave.
#[derive(Debug)]
pub enum Looked {
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
    /// Returns what the plan says of it.
    pub(super) fn note(&self) -> Option<String> {
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

/// Looks before the first call of a ledger of which nothing was sent yet, or that took rows in; rows that were requested before
/// are left out of it where the options say so.
pub(super) async fn look<S: Lists>(
    submission: &Submission<'_>,
    job: &Job,
    took_in: bool,
    env: &Env<'_, S>,
) -> Result<Looked, Failure> {
    let wanted = submission.is_real
        && submission.tag_position != TagPosition::None
        && submission.already != Already::Send
        && (took_in || is_untouched(job)?);
    if !wanted {
        return Ok(Looked::NotDone);
    }
    let looked = search(submission, job, env).await?;
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
    if submission.already == Already::Stop {
        stop_for(hits, found.len() as u64)?;
    }
    if !found.is_empty() {
        job.ledger.resolve(found).await?;
    }
    Ok(looked)
}

fn is_untouched(job: &Job) -> Result<bool, Failure> {
    let counts = Counts::of(job.reader())?;
    let untouched: u64 = [RowState::Pending, RowState::Skipped, RowState::Invalid, RowState::Replaced]
        .iter()
        .map(|state| counts.get(*state))
        .sum();
    Ok(untouched == counts.total() && job.reader().tallies()?.iter().all(|tally| tally.code.is_none()))
}

/// Reads the server's list; asks for the rows only where it has requests of other runs.
async fn search<S: Lists>(submission: &Submission<'_>, job: &Job, env: &Env<'_, S>) -> Result<Looked, Failure> {
    let since = env.machine.now().saturating_sub(submission.look_back).unwrap_or(jiff::Timestamp::MIN);
    let own = RunMark::of(job.ledger.run().id);
    let n_rows = submission.checked.survey.n_valid;
    let strangers = match Strangers::read(env.server, own, since).await {
        Ok(strangers) => strangers,
        Err(error) => return unread(&error, n_rows),
    };
    if let Some(hits) = strangers.no_hits() {
        return Ok(Looked::Done(hits));
    }
    let mut look = Look::default();
    job.reader().for_each_row(&[RowState::Pending], |row| -> Result<(), Failure> {
        row.request.iter().for_each(|request| look.add(request));
        Ok(())
    })?;
    match strangers.hits(look) {
        Ok(hits) => Ok(Looked::Done(hits)),
        Err(look) => match look.search(env.server, own, since).await {
            Ok(hits) => Ok(Looked::Done(hits)),
            Err(error) => unread(&error, n_rows),
        },
    }
}

fn unread(error: &ReadError, n_rows: u64) -> Result<Looked, Failure> {
    match error {
        // These would meet every call, too.
        ReadError::Status { status: 401 | 404, .. }
        | ReadError::Transport { fault: TransportFault::ProxyRefused | TransportFault::NotSignedIn, .. } => {
            Err(unasked(error, n_rows))
        }
        _ => Ok(Looked::Unreadable(chain(error))),
    }
}

fn unasked(error: &ReadError, n_rows: u64) -> Failure {
    let (by, what) = match error {
        ReadError::Status { status: 404, .. } => {
            ("api-not-found", format!("there is no API at this address; {NO_API_REMEDY}"))
        }
        ReadError::Transport { fault: TransportFault::ProxyRefused, .. } => {
            ("unreachable", "the server cannot be reached".to_owned())
        }
        ReadError::Transport { .. } => ("sign-in", "the sign-in was not accepted".to_owned()),
        _ => ("sign-in", "the sign-in was not accepted; check the token or the account".to_owned()),
    };
    Failure::new(
        exit_of(error),
        format!("{what}: {}; nothing was sent", printable_up_to(&error.to_string(), MAX_REASON)),
    )
    .stopping(by, n_rows)
    .with_next(Next::again())
}

fn stop_for(hits: &Hits, n_rows: u64) -> Result<(), Failure> {
    if n_rows == 0 {
        return Ok(());
    }
    let runs: Vec<String> = hits.by_run().iter().map(|run| format!("  {}", of_run(run))).collect();
    let verb = if n_rows == 1 { "was" } else { "were" };
    let already = |what: &str| Piece::with("--already", &["--already", what]);
    Err(Failure::new(
        Exit::Usage,
        format!(
            "{} of this list {verb} requested before, from another ledger; nothing was sent\n{}",
            rows(n_rows),
            runs.join("\n")
        ),
    )
    .with_next(
        Next::from("go on with that ledger; or leave them out: ")
            .and(already("skip"))
            .text("; or send them a second time: ")
            .and(already("send")),
    ))
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
