//! Replaying a run: what is in doubt is settled, then failed and pending rows are sent again.

use std::collections::BTreeMap;
use std::path::PathBuf;

use super::check::Checked;
use super::ending::n_destructive;
use super::env::Env;
use super::exit::Exit;
use super::failure::Failure;
use super::job::{Job, Sending};
use super::mended::{self, Mended};
use super::part::Part;
use super::plan::Plan;
use super::stored::{check_free, no_row, renamed_templates, row_of_id, wire_of};
use super::submit::{Prepared, Ready, never_sent};
use super::words::{grouped, rows};
use crate::ledger::{Ledger, Reader, Resolution, ResultRow, RowState, RowVerdict, Source};
use crate::reconcile::Lists;
use crate::report::Counts;
use crate::request::{ErrorCode, Guid, RequestType, RowId};
use crate::submit::{Calls, Work};
use crate::validate::Rules;

/// How many rows are put back to pending at once.
const BATCH: usize = 10_000;

/// What is replayed, and how.
pub struct Replay<'a> {
    /// The ledger.
    pub path: PathBuf,
    /// Which rows.
    pub choice: Choice,
    /// Corrected rows that take the place of failed or invalid ones; they are sent then, and no others.
    pub from: Option<Corrected<'a>>,
    /// Whether only the plan is wanted.
    pub dry_run: bool,
    /// What the names of templates mean today. Rows keep what they meant when the run was made.
    pub templates: &'a BTreeMap<String, Guid>,
    /// How the server is asked, and rows are sent.
    pub sending: Sending,
}

/// A corrected list.
#[derive(Clone, Copy)]
pub struct Corrected<'a> {
    /// The list; all of its rows are valid.
    pub checked: &'a Checked,
    /// The rules that it was checked by.
    pub rules: &'a Rules,
}

/// How the last attempt on a row ended, roughly.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cause {
    /// Nothing arrived: no connection, no sign-in, throttled.
    NotSent,
    /// The server refused the row (4xx).
    Refused,
    /// The server failed (500).
    ServerError,
    /// The answer was lost, broken or of a kind that the API does not document.
    Unknown,
}

/// Which rows are sent again.
#[derive(Debug, Default)]
pub struct Choice {
    /// Only rows in these states; failed and pending ones where none is named.
    pub states: Vec<RowState>,
    /// Only rows whose last attempt ended so.
    pub causes: Vec<Cause>,
    /// Only these rows.
    pub rows: Vec<RowId>,
    /// Only the rows with these ids.
    pub ids: Vec<String>,
    /// Only a part of them.
    pub part: Option<Part>,
}

/// Makes everything ready to send again.
///
/// # Errors
/// Nothing was sent then.
pub async fn prepare<'a, S: Calls + Lists>(replay: &Replay<'_>, env: Env<'a, S>) -> Result<Prepared<'a, S>, Failure> {
    let reader = Reader::open(&replay.path)?;
    let mut chosen = Chosen::of(&replay.choice, &reader)?;
    let mut mended =
        replay.from.map(|from| mended::read(from.checked, from.rules, &replay.path, &reader)).transpose()?;
    if replay.dry_run {
        return plan_only(&chosen, mended.as_ref(), &reader, replay).map(Prepared::Planned);
    }
    check_free(&reader, &replay.path)?;
    let wire = wire_of(reader.run());
    let before = reader.extent()?;
    drop(reader);
    let mut notes = None;
    if let Some(mended) = mended.as_mut().filter(|mended| !mended.is_taken_in()) {
        // A failed row that exists all the same is created by this, and can no longer be replaced.
        let ledger = Ledger::open(env.machine, &replay.path, env.session)?;
        let mut job = Job::begin(&env, &replay.path, ledger, wire.clone(), &replay.sending, Some(before)).await?;
        job.n_asked = Some(n_destructive(&mended.by_type()));
        match job.ask_first(&env, &replay.sending).await {
            Ok(asked) => notes = Some(asked),
            Err(failure) => return Err(job.refuse(failure)),
        }
        job.finish(&env, None).await?;
        mended.match_again(&Reader::open(&replay.path)?)?;
    }
    let before = Reader::open(&replay.path)?.extent()?;
    let ledger = match mended {
        None => Ledger::open(env.machine, &replay.path, env.session)?,
        Some(mended) => {
            let (ledger, new_rows) = mended.take_in(env.machine, &replay.path, env.session)?;
            chosen = Chosen::Rows(new_rows);
            ledger
        }
    };
    let mut job = Job::begin(&env, &replay.path, ledger, wire, &replay.sending, Some(before)).await?;
    job.send_failed();
    job.sends_all = !chosen.is_part();
    let asked = chosen.rows(job.reader()).and_then(|chosen| counted(chosen.as_deref(), job.reader()));
    job.n_asked = asked.ok().map(|asked| n_destructive(&asked.by_type));
    let asked = match (job.ask_first(&env, &replay.sending).await, notes) {
        (Ok((report, new)), Some((earlier, mut all))) => {
            all.extend(new);
            (report.or(earlier), all)
        }
        (Ok(asked), None) => asked,
        (Err(failure), _) => return Err(job.refuse(failure)),
    };
    match plan_work(&chosen, replay, &job, asked.1) {
        Ok(Some((work, plan))) => {
            let ready = Ready::new(env, job, work, plan, asked.0).with_failed();
            Ok(Prepared::Ready(Box::new(ready)))
        }
        Ok(None) => Ok(Prepared::Ended(job.finish(&env, asked.0).await?.nothing_to_send())),
        Err(failure) => Err(job.refuse(failure)),
    }
}

/// Which rows are sent again, looked up in the ledger.
#[derive(Debug)]
enum Chosen<'a> {
    /// Every failed and pending one.
    All,
    /// Those that pass a filter.
    Filter(Filter<'a>),
    /// These, where they are failed or pending.
    Rows(Vec<RowId>),
}

#[derive(Debug)]
struct Filter<'a> {
    choice: &'a Choice,
    /// None where all rows are meant.
    rows: Option<Vec<RowId>>,
}

impl<'a> Chosen<'a> {
    fn of(choice: &'a Choice, reader: &Reader) -> Result<Self, Failure> {
        let named = !choice.rows.is_empty() || !choice.ids.is_empty();
        if choice.states.is_empty() && choice.causes.is_empty() && !named && choice.part.is_none() {
            return Ok(Self::All);
        }
        let mut rows = choice.rows.clone();
        for id in &choice.ids {
            rows.push(row_of_id(reader, id, "sent")?);
        }
        for row in &rows {
            check_can_be_sent(reader, *row)?;
        }
        rows.sort_unstable();
        rows.dedup();
        Ok(Self::Filter(Filter { choice, rows: named.then_some(rows) }))
    }

    /// Returns whether only some of the failed and pending rows are meant.
    const fn is_part(&self) -> bool {
        match self {
            Self::All => false,
            Self::Filter(_) | Self::Rows(_) => true,
        }
    }

    /// Returns the rows that are meant, in row order; none where all are.
    fn rows(&self, reader: &Reader) -> Result<Option<Vec<RowId>>, Failure> {
        match self {
            Self::All => Ok(None),
            Self::Rows(rows) => Ok(Some(rows.clone())),
            Self::Filter(filter) => filter.rows(reader).map(Some),
        }
    }
}

/// A row that was named must be one that can be sent again, or will be once it is settled.
fn check_can_be_sent(reader: &Reader, row: RowId) -> Result<(), Failure> {
    let message = match reader.facts(row)?.map(|facts| facts.state) {
        None => return Err(no_row(reader, row, "sent")),
        Some(RowState::Failed | RowState::Pending | RowState::Sending | RowState::InDoubt) => return Ok(()),
        Some(state @ (RowState::Created | RowState::Skipped)) => {
            format!("row {row} is {state} and is not sent again")
        }
        Some(state @ (RowState::Invalid | RowState::Replaced)) => {
            format!("row {row} is {state}; correct it in a manifest and give that with --from")
        }
    };
    Err(Failure::new(Exit::Usage, format!("{message}; nothing was sent")))
}

impl Filter<'_> {
    fn rows(&self, reader: &Reader) -> Result<Vec<RowId>, Failure> {
        let states: &[RowState] =
            if self.choice.states.is_empty() { &[RowState::Failed, RowState::Pending] } else { &self.choice.states };
        let mut chosen = Vec::new();
        match &self.rows {
            Some(rows) => {
                for row in rows {
                    let page = reader.page(row.get() - 1, 1, &[])?;
                    chosen.extend(
                        page.iter().filter(|one| states.contains(&one.state) && self.takes(one)).map(|one| one.row),
                    );
                }
            }
            None => reader.for_each_row(states, |row| -> Result<(), Failure> {
                if self.takes(&row) {
                    chosen.push(row.row);
                }
                Ok(())
            })?,
        }
        match &self.choice.part {
            Some(part) => part.narrow(reader, chosen),
            None => Ok(chosen),
        }
    }

    fn takes(&self, row: &ResultRow) -> bool {
        self.choice.causes.is_empty() || row.error_code.is_some_and(|code| self.choice.causes.contains(&cause(code)))
    }
}

/// Returns the class of a cause.
pub(super) fn cause(code: ErrorCode) -> Cause {
    match code {
        ErrorCode::ConnectionRefused
        | ErrorCode::NameNotResolved
        | ErrorCode::TlsFailed
        | ErrorCode::NotConnected
        | ErrorCode::Expired
        | ErrorCode::Throttled
        | ErrorCode::NotSignedIn
        | ErrorCode::ApiNotFound => Cause::NotSent,
        ErrorCode::BadRequest | ErrorCode::Forbidden | ErrorCode::Refused => Cause::Refused,
        ErrorCode::ServerError => Cause::ServerError,
        ErrorCode::BadGateway
        | ErrorCode::Unavailable
        | ErrorCode::GatewayTimeout
        | ErrorCode::NoUri
        | ErrorCode::UnexpectedStatus
        | ErrorCode::Timeout
        | ErrorCode::ConnectionLost
        | ErrorCode::AnswerBroken
        | ErrorCode::LeftOpen
        | ErrorCode::Contradicted
        | ErrorCode::UuidShared => Cause::Unknown,
    }
}

/// What a replay would send now.
struct Counted {
    n_failed: u64,
    n_pending: u64,
    by_type: Vec<(RequestType, u64)>,
}

fn counted(chosen: Option<&[RowId]>, reader: &Reader) -> Result<Counted, Failure> {
    let mut by_type: BTreeMap<RequestType, u64> = BTreeMap::new();
    let (mut n_failed, mut n_pending) = (0, 0);
    match chosen {
        None => {
            for (state, sum) in [(RowState::Failed, &mut n_failed), (RowState::Pending, &mut n_pending)] {
                for (kind, n) in reader.by_type(state)? {
                    *sum += n;
                    *by_type.entry(kind).or_default() += n;
                }
            }
        }
        Some(chosen) => {
            for &row in chosen {
                let Some(facts) = reader.facts(row)? else { continue };
                match facts.state {
                    RowState::Failed => n_failed += 1,
                    RowState::Pending => n_pending += 1,
                    _ => continue,
                }
                if let Some(request) = facts.request {
                    *by_type.entry(request.kind).or_default() += 1;
                }
            }
        }
    }
    Ok(Counted { n_failed, n_pending, by_type: by_type.into_iter().collect() })
}

/// Returns these rows by type, as far as they are pending.
pub(super) fn by_type(reader: &Reader, chosen: &[RowId]) -> Result<Vec<(RequestType, u64)>, Failure> {
    Ok(counted(Some(chosen), reader)?.by_type)
}

fn plan(counted: Counted, reader: &Reader, replay: &Replay<'_>, is_part: bool) -> Result<Plan, Failure> {
    let counts = Counts::of(reader)?;
    let (failed, pending) = (grouped(counted.n_failed), grouped(counted.n_pending));
    let note = match &replay.from {
        Some(_) => format!("{} corrected", rows(counted.n_failed + counted.n_pending)),
        None => format!("again: {failed} failed and {pending} pending"),
    };
    let renamed = renamed_templates(reader.run(), replay.templates);
    let is_done = [RowState::Created, RowState::Skipped, RowState::Replaced];
    Ok(Plan {
        by_type: counted.by_type,
        settled: is_done.iter().map(|state| counts.get(*state)).sum(),
        ledger: replay.path.clone(),
        ledger_is_new: false,
        in_doubt: counts.get(RowState::InDoubt),
        is_part,
        is_without_list: false,
        notes: std::iter::once(note).chain(renamed).collect(),
    })
}

fn plan_only(
    chosen: &Chosen<'_>,
    mended: Option<&Mended<'_>>,
    reader: &Reader,
    replay: &Replay<'_>,
) -> Result<Plan, Failure> {
    let counted = match mended {
        Some(mended) => Counted { n_failed: 0, n_pending: mended.n_rows(), by_type: mended.by_type() },
        None => counted(chosen.rows(reader)?.as_deref(), reader)?,
    };
    plan(counted, reader, replay, mended.is_some() || chosen.is_part())
}

/// Plans what is sent again; none where nothing is left to do. Failed rows are put back to pending when it is confirmed.
fn plan_work(
    chosen: &Chosen<'_>,
    replay: &Replay<'_>,
    job: &Job,
    notes: Vec<String>,
) -> Result<Option<(Work, Plan)>, Failure> {
    let mut chosen_rows = chosen.rows(job.reader())?;
    if job.is_without_list {
        chosen_rows = Some(never_sent(chosen_rows.map_or(Work::InOrder, Work::Rows), job)?);
    }
    // What is created or skipped meanwhile is not sent; what is in doubt may come to be.
    if let Some(rows) = &mut chosen_rows {
        let mut left = Vec::new();
        for row in rows.drain(..) {
            let state = job.reader().facts(row)?.map(|facts| facts.state);
            if matches!(state, Some(RowState::Failed | RowState::Pending | RowState::Sending | RowState::InDoubt)) {
                left.push(row);
            }
        }
        *rows = left;
    }
    let counted = counted(chosen_rows.as_deref(), job.reader())?;
    if counted.n_failed + counted.n_pending + job.reader().n_in_doubt()? == 0 {
        return Ok(None);
    }
    let mut plan = plan(counted, job.reader(), replay, chosen.is_part())?;
    plan.is_without_list = job.is_without_list;
    plan.notes.extend(notes);
    Ok(Some((chosen_rows.map_or(Work::InOrder, Work::Rows), plan)))
}

/// Puts failed rows back to pending.
pub(super) async fn put_back(work: &Work, job: &Job) -> Result<(), Failure> {
    let again = |row| Resolution { row, verdict: RowVerdict::Again, source: Source::Replay, reason: None };
    let mut failed = Vec::new();
    match work {
        Work::InOrder => job.reader().for_each_row(&[RowState::Failed], |row| -> Result<(), Failure> {
            failed.push(row.row);
            Ok(())
        })?,
        Work::Rows(chosen) => {
            for &row in chosen {
                if job.reader().facts(row)?.is_some_and(|facts| facts.state == RowState::Failed) {
                    failed.push(row);
                }
            }
        }
    }
    for batch in failed.chunks(BATCH) {
        job.ledger.resolve(batch.iter().map(|row| again(*row)).collect(), None).await?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_cause_has_a_class() {
        let of = |class| ErrorCode::ALL.into_iter().filter(|code| cause(*code) == class).count();
        let classes = [Cause::NotSent, Cause::Refused, Cause::ServerError, Cause::Unknown].map(of);
        assert_eq!(classes, [8, 3, 1, 11]);
    }
}
