//! `cmbatch replay`: settle what is in doubt, then send failed and pending rows again.

use std::collections::BTreeMap;

use super::job::{Context, Job, confirm, warn_of_clear_text};
use super::mended;
use super::part::Part;
use super::stored::{self, Given};
use super::target::Target;
use crate::cli::args::{CauseArg, ReplayArgs};
use crate::cli::config::World;
use crate::cli::exit::Exit;
use crate::cli::failure::Failure;
use crate::cli::layers::Origins;
use crate::cli::output::{grouped, rows};
use crate::cli::plan::Plan;
use crate::cli::reach::Reach;
use crate::cli::summary::Summary;
use crate::ledger::{Ledger, Reader, Resolution, ResultRow, RowState, RowVerdict, Source};
use crate::report::Counts;
use crate::request::{ErrorCode, RequestType, RowId};
use crate::submit::{Wire, Work};

/// How many rows are put back to pending at once.
const BATCH: usize = 10_000;

/// Runs the command.
pub(crate) fn run(
    args: &ReplayArgs,
    origins: &Origins,
    world: World,
    context: &Context<'_>,
) -> Result<Summary, Failure> {
    let reader = Reader::open(&args.ledger)?;
    stored::check_started(reader.run(), &args.ledger)?;
    let templates = world.templates.clone();
    let given =
        Given { server: &args.server, rehearsal: &args.rehearsal, pace: Some(&args.pace), doubt: Some(&args.doubt) };
    let reach = stored::reach(&reader, &args.ledger, &given, origins, world, context.shell)?;
    warn_of_clear_text(&reach, context.shell);
    let mut choice = Choice::of(args, &reader)?;
    let mut mended =
        args.from.as_deref().map(|from| mended::read(from, args, &reader, templates, context)).transpose()?;
    if args.dry_run {
        return dry_run(&choice, mended.as_ref(), &reader, &reach, args, context);
    }
    stored::check_free(&reader, &args.ledger)?;
    let wire = stored::wire(reader.run());
    drop(reader);
    let is_asked = mended.as_ref().is_some_and(|mended| !mended.is_taken_in());
    if let Some(mended) = mended.as_mut().filter(|_| is_asked) {
        // A failed row that exists all the same is created by this, and can no longer be replaced.
        ask(args, &reach, &wire, context)?;
        mended.match_again(&Reader::open(&args.ledger)?)?;
    }
    let target = Target::prepare(&reach.destination)?;
    let session = target.session(context, &reach);
    let ledger = match mended {
        None => Ledger::open(&crate::machine::Machine::system(), &args.ledger, &session)?,
        Some(mended) => {
            let (ledger, new_rows) = mended.take_in(args, context, &session)?;
            choice = Choice::Rows(new_rows);
            ledger
        }
    };
    let mut job = Job::begin(context, &reach, &args.ledger, target, ledger, wire)?;
    let asked = if is_asked { Ok(()) } else { ask_for_replay(&mut job) };
    match asked.and_then(|()| prepare(&choice, args, &reach, &job, context)) {
        Ok(Some(work)) => job.send(work),
        Ok(None) => {
            let (path, reader) = job.finish()?;
            Ok(Summary::of_counts(&reader, &path, &Counts::of(&reader)?).nothing_to_send())
        }
        Err(failure) => Err(job.refuse(failure)),
    }
}

/// Asks the server what it has of the run, in a session of its own.
fn ask(args: &ReplayArgs, reach: &Reach, wire: &Wire, context: &Context<'_>) -> Result<(), Failure> {
    let target = Target::prepare(&reach.destination)?;
    let ledger = Ledger::open(&crate::machine::Machine::system(), &args.ledger, &target.session(context, reach))?;
    let mut job = Job::begin(context, reach, &args.ledger, target, ledger, wire.clone())?;
    match job.ask() {
        Ok(_) => job.finish().map(|_| ()),
        Err(failure) => Err(job.refuse(failure)),
    }
}

/// Which rows are sent again.
#[derive(Debug)]
enum Choice {
    /// Every failed and pending one.
    All,
    /// Those that pass a filter.
    Filter(Box<Filter>),
    /// These, where they are failed or pending.
    Rows(Vec<RowId>),
}

#[derive(Debug)]
struct Filter {
    states: Vec<RowState>,
    causes: Vec<CauseArg>,
    /// None where all rows are meant.
    rows: Option<Vec<RowId>>,
    part: Option<Part>,
}

impl Choice {
    fn of(args: &ReplayArgs, reader: &Reader) -> Result<Self, Failure> {
        let part = Part::read(&args.part)?;
        let named = !args.row.is_empty() || !args.id.is_empty();
        if args.state.is_empty() && args.cause.is_empty() && !named && part.is_none() {
            return Ok(Self::All);
        }
        let mut rows: Vec<RowId> = args.row.iter().map(|number| RowId::from(*number)).collect();
        for id in &args.id {
            rows.push(reader.row_of_id(id)?.ok_or_else(|| {
                Failure::new(Exit::Usage, format!("--id: the run has no row with id {id:?}; nothing was sent"))
            })?);
        }
        for row in &rows {
            check_can_be_sent(reader, *row)?;
        }
        rows.sort_unstable();
        rows.dedup();
        Ok(Self::Filter(Box::new(Filter {
            states: args.state.clone(),
            causes: args.cause.clone(),
            rows: named.then_some(rows),
            part,
        })))
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
        None => format!("the run has no row {row}; it has rows 1 to {}", reader.run().n_rows),
        Some(RowState::Failed | RowState::Pending | RowState::Sending | RowState::InDoubt) => return Ok(()),
        Some(state @ (RowState::Created | RowState::Skipped | RowState::Canceled)) => {
            format!("row {row} is {state} and is not sent again")
        }
        Some(state @ (RowState::Invalid | RowState::Replaced)) => {
            format!("row {row} is {state}; mend it in a manifest and give that with --from")
        }
    };
    Err(Failure::new(Exit::Usage, format!("{message}; nothing was sent")))
}

impl Filter {
    fn rows(&self, reader: &Reader) -> Result<Vec<RowId>, Failure> {
        let states: &[RowState] =
            if self.states.is_empty() { &[RowState::Failed, RowState::Pending] } else { &self.states };
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
        match &self.part {
            Some(part) => part.narrow(reader, chosen),
            None => Ok(chosen),
        }
    }

    fn takes(&self, row: &ResultRow) -> bool {
        self.causes.is_empty() || row.error_code.is_some_and(|code| self.causes.contains(&cause(code)))
    }
}

/// Returns the class of a cause, as `--cause` names it.
fn cause(code: ErrorCode) -> CauseArg {
    match code {
        ErrorCode::ConnectionRefused
        | ErrorCode::NameNotResolved
        | ErrorCode::TlsFailed
        | ErrorCode::NotConnected
        | ErrorCode::Throttled
        | ErrorCode::NotSignedIn
        | ErrorCode::ApiNotFound => CauseArg::NotSent,
        ErrorCode::BadRequest | ErrorCode::Forbidden | ErrorCode::Refused => CauseArg::Refused,
        ErrorCode::ServerError => CauseArg::ServerError,
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
        | ErrorCode::UuidShared => CauseArg::Unknown,
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
pub(crate) fn by_type(reader: &Reader, chosen: &[RowId]) -> Result<Vec<(RequestType, u64)>, Failure> {
    Ok(counted(Some(chosen), reader)?.by_type)
}

fn plan(
    counted: Counted,
    reader: &Reader,
    reach: &Reach,
    target: &Target,
    args: &ReplayArgs,
    is_part: bool,
    context: &Context<'_>,
) -> Result<Plan, Failure> {
    let counts = Counts::of(reader)?;
    let n_in_doubt = counts.get(RowState::InDoubt);
    let (failed, pending) = (grouped(counted.n_failed), grouped(counted.n_pending));
    let note = match &args.from {
        Some(_) => format!("{} mended", rows(counted.n_failed + counted.n_pending)),
        None => format!("again: {failed} failed and {pending} pending"),
    };
    let is_done = [RowState::Created, RowState::Skipped, RowState::Canceled, RowState::Replaced];
    Ok(Plan {
        note: Some(note),
        in_doubt: n_in_doubt,
        is_part,
        settled: is_done.iter().map(|state| counts.get(*state)).sum(),
        account: target.account(reach),
        ..Plan::new(reach, context.config_files, target.server(), &args.ledger, counted.by_type)
    })
}

fn dry_run(
    choice: &Choice,
    mended: Option<&mended::Mended>,
    reader: &Reader,
    reach: &Reach,
    args: &ReplayArgs,
    context: &Context<'_>,
) -> Result<Summary, Failure> {
    let counted = match mended {
        Some(mended) => Counted { n_failed: 0, n_pending: mended.n_rows(), by_type: mended.by_type() },
        None => counted(choice.rows(reader)?.as_deref(), reader)?,
    };
    let target = Target::prepare(&reach.destination)?;
    let is_part = mended.is_some() || choice.is_part();
    let plan = plan(counted, reader, reach, &target, args, is_part, context)?;
    context.shell.always(&plan.lines());
    let text = format!("dry run: {} would be sent; nothing was", rows(plan.n_rows()));
    Ok(Summary::dry_run(reader.run().n_rows, 0, text).with_next(context.invocation.for_real()))
}

/// Asks the server what it has. A failed row may exist all the same, so that it is asked even where nothing is in doubt.
fn ask_for_replay(job: &mut Job<'_>) -> Result<(), Failure> {
    if Counts::of(job.reader())?.get(RowState::Failed) > 0 {
        job.ask()?;
    } else {
        job.ask_first()?;
    }
    Ok(())
}

/// Plans, asks for confirmation, and puts failed rows back to pending; none where nothing is left to do.
fn prepare(
    choice: &Choice,
    args: &ReplayArgs,
    reach: &Reach,
    job: &Job<'_>,
    context: &Context<'_>,
) -> Result<Option<Work>, Failure> {
    let chosen = choice.rows(job.reader())?;
    let counted = counted(chosen.as_deref(), job.reader())?;
    let n_in_doubt = job.reader().n_in_doubt()?;
    if counted.n_failed + counted.n_pending + n_in_doubt == 0 {
        return Ok(None);
    }
    let plan = plan(counted, job.reader(), reach, job.target(), args, choice.is_part(), context)?;
    context.shell.always(&plan.lines());
    confirm(&plan, args.confirm, context, job.target().host())?;
    put_back(chosen.as_deref(), job)?;
    Ok(Some(match chosen {
        None => Work::InOrder,
        Some(chosen) => Work::Rows(chosen),
    }))
}

/// Puts failed rows back to pending.
fn put_back(chosen: Option<&[RowId]>, job: &Job<'_>) -> Result<(), Failure> {
    let again = |row| Resolution { row, verdict: RowVerdict::Again, source: Source::Replay, reason: None };
    let mut failed = Vec::new();
    match chosen {
        None => job.reader().for_each_row(&[RowState::Failed], |row| -> Result<(), Failure> {
            failed.push(row.row);
            Ok(())
        })?,
        Some(chosen) => {
            for &row in chosen {
                if job.reader().facts(row)?.is_some_and(|facts| facts.state == RowState::Failed) {
                    failed.push(row);
                }
            }
        }
    }
    for batch in failed.chunks(BATCH) {
        job.ledger.resolve_blocking(batch.iter().map(|row| again(*row)).collect(), None)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_cause_has_a_class() {
        let of = |class| ErrorCode::ALL.into_iter().filter(|code| cause(*code) == class).count();
        let classes = [CauseArg::NotSent, CauseArg::Refused, CauseArg::ServerError, CauseArg::Unknown].map(of);
        assert_eq!(classes, [7, 3, 1, 10]);
    }
}
