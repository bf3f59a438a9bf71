//! Submitting lists: into a new ledger, on with one that exists, or behind the rows of one.

use std::path::{Path, PathBuf};

use tokio::sync::watch;

use super::append;
use super::check::Checked;
use super::ending::{Ending, n_destructive};
use super::env::Env;
use super::exit::Exit;
use super::failure::Failure;
use super::job::{Job, Sending};
use super::known::Repeats;
use super::load;
use super::next::{Next, Piece};
use super::part::Part;
use super::plan::Plan;
use super::replay;
use super::stopped_by::StoppedBy;
use crate::event::EventSink;
use crate::ledger::{Difference, Extent, Ledger, LedgerError, Reader, RowState, RunIdentity, RunInfo};
use crate::reconcile::{Lists, Report};
use crate::report::Counts;
use crate::request::{DataEncoding, RequestType, RowId, TagPosition};
use crate::submit::{Calls, StopLevel, Wire, Work};
use crate::validate::Rules;

/// What is submitted, and how.
pub struct Submission<'a> {
    /// The lists. Rows that are invalid are left out: whoever does not want that does not submit.
    pub checked: &'a Checked,
    /// The rules that they were checked by.
    pub rules: &'a Rules,
    /// The ledger.
    pub path: PathBuf,
    /// The server and the options that shape rows.
    pub identity: RunIdentity,
    /// What a ledger that exists means.
    pub existing: Existing,
    /// Whether only the plan is wanted.
    pub dry_run: bool,
    /// The part that is to be sent now; none for all.
    pub part: Option<Part>,
    /// Where the tag stands in comments.
    pub tag_position: TagPosition,
    /// How the data collection is written.
    pub data: DataEncoding,
    /// How the server is asked, and rows are sent.
    pub sending: Sending,
}

/// What a ledger that exists means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Existing {
    /// The run goes on.
    GoOn,
    /// It is refused (`--new`).
    Refuse,
    /// The manifests are taken into it (`--append`).
    Append,
}

/// What came of preparing.
#[expect(clippy::large_enum_variant, reason = "there is one a run")]
pub enum Prepared<'a, S> {
    /// Nothing is to be sent.
    Ended(Ending),
    /// The manifest has no rows, and that is allowed.
    NoRows,
    /// A dry run: what would be sent.
    Planned(Plan),
    /// All is ready to send.
    Ready(Box<Ready<'a, S>>),
}

/// A run that is ready to send. Dropped, it is left as by a crash, which loses nothing.
pub struct Ready<'a, S> {
    env: Env<'a, S>,
    pub(super) job: Job,
    pub(super) work: Work,
    /// What is about to be sent.
    pub plan: Plan,
    /// What the first list said, where one was asked for.
    pub first_list: Option<Report>,
    /// Whether rows of the manifests were taken into the ledger by this.
    pub took_in: bool,
    /// Whether failed rows are among those that are sent.
    sends_failed: bool,
}

impl<'a, S> Ready<'a, S> {
    pub(super) fn new(env: Env<'a, S>, job: Job, work: Work, plan: Plan, first_list: Option<Report>) -> Self {
        Self { env, job, work, plan, first_list, took_in: false, sends_failed: false }
    }

    /// The same, of a run whose failed rows are sent again.
    pub(super) fn with_failed(self) -> Self {
        Self { sends_failed: true, ..self }
    }

    /// Ends without sending; a ledger that was made for this is taken away again.
    pub fn refuse(self, failure: Failure) -> Failure {
        let made = self.plan.ledger_is_new.then(|| self.job.ledger.path().to_owned());
        let failure = self.job.refuse(failure);
        if let Some(path) = made {
            remove(&path);
        }
        failure
    }
}

impl<S: Calls + Lists> Ready<'_, S> {
    /// Sends, settles what is left in doubt, and sums up, telling `sink`. `confirmed` is the number of rows that take certificates
    /// away.
    ///
    /// # Errors
    /// It is not confirmed, or the ledger failed.
    pub async fn send(
        self,
        confirmed: Option<u64>,
        sink: &dyn EventSink,
        control: watch::Receiver<StopLevel>,
    ) -> Result<Ending, Failure> {
        if let Err(failure) = self.plan.check_confirmed(confirmed) {
            return Err(self.refuse(failure));
        }
        let Self { env, mut job, work, sends_failed, plan, .. } = self;
        let env = Env { sink, ..env };
        job.ledger.start_run()?;
        if sends_failed {
            replay::put_back(&work, &job).await?;
        }
        job.send(&env, work, control, plan.is_part).await
    }
}

/// Takes a ledger away that nothing was sent from.
fn remove(path: &Path) {
    for end in ["", "-wal", "-shm", ".lock"] {
        let mut name = path.as_os_str().to_owned();
        name.push(end);
        // What stays is a run that was loaded and never told to run, which is harmless.
        let _ = std::fs::remove_file(name);
    }
}

/// Makes everything ready to send: ledger, look at the server, plan.
///
/// # Errors
/// Nothing was sent then.
pub async fn prepare<'a, S: Calls + Lists>(
    submission: &Submission<'_>,
    env: Env<'a, S>,
) -> Result<Prepared<'a, S>, Failure> {
    match (submission.path.symlink_metadata().is_ok(), submission.existing) {
        (true, Existing::Refuse) => {
            let shown = submission.path.display();
            Err(Failure::new(Exit::Usage, format!("the ledger {shown} exists, and --new refuses it"))
                .with_next(Next::on_ledger("status", &submission.path, &[])))
        }
        (true, Existing::GoOn) => go_on(submission, env).await,
        (true, Existing::Append) => append::prepare(submission, env).await,
        (false, Existing::Append) => Err(LedgerError::NotFound(submission.path.clone()).into()),
        (false, Existing::GoOn | Existing::Refuse) => begin(submission, env).await,
    }
}

/// A ledger that does not exist yet is made first: what is in it and was not told to run is sent by nobody.
async fn begin<'a, S: Calls + Lists>(submission: &Submission<'_>, env: Env<'a, S>) -> Result<Prepared<'a, S>, Failure> {
    if submission.checked.survey.n_rows == 0 {
        return Ok(Prepared::NoRows);
    }
    if submission.dry_run {
        return plan_new(submission, &env).map(Prepared::Planned);
    }
    let ledger = load::create(
        env.machine,
        &submission.path,
        &submission.identity,
        env.session,
        submission.rules,
        submission.checked,
    )?;
    let made = ledger.path().to_owned();
    let prepared = ready(submission, env, ledger, None, true).await;
    if prepared.is_err() {
        remove(&made);
    }
    prepared
}

/// Returns what a new ledger would send, from one that is made in a folder of its own and thrown away.
fn plan_new<S>(submission: &Submission<'_>, env: &Env<'_, S>) -> Result<Plan, Failure> {
    let folder = tempfile::tempdir()?;
    let path = folder.path().join("plan.ledger");
    let ledger =
        load::create(env.machine, &path, &submission.identity, env.session, submission.rules, submission.checked)?;
    drop(ledger);
    let reader = Reader::open(&path)?;
    let by_type = by_type(&work(submission.part.as_ref(), &reader)?, &reader)?;
    let unasked = "whether another ledger requested rows before is not looked for in a dry run";
    Ok(Plan {
        by_type,
        ledger: submission.path.clone(),
        ledger_is_new: true,
        is_part: submission.part.is_some(),
        notes: submission.sending.state.iter().map(|_| unasked.to_owned()).collect(),
        ..Plan::default()
    })
}

/// A ledger that exists: the same manifests, server and options go on where they stopped.
async fn go_on<'a, S: Calls + Lists>(submission: &Submission<'_>, env: Env<'a, S>) -> Result<Prepared<'a, S>, Failure> {
    // Nothing is written before it is certain that this run goes on.
    let reader = Reader::open(&submission.path)?;
    refuse_another_run(&reader, submission)?;
    go_on_with(submission, env, reader).await
}

/// Goes on with a ledger that is known to be this run's.
pub(super) async fn go_on_with<'a, S: Calls + Lists>(
    submission: &Submission<'_>,
    env: Env<'a, S>,
    reader: Reader,
) -> Result<Prepared<'a, S>, Failure> {
    let path = &submission.path;
    let counts = Counts::of(&reader)?;
    let n_pending = counts.get(RowState::Pending);
    let holder = reader.holder()?;
    // What came to be late, or beside, shows in a list alone; of a rehearsal and of a run without tags in none.
    let is_told_by_list = !reader.run().identity.rehearsal && submission.tag_position != TagPosition::None;
    if n_pending + counts.get(RowState::InDoubt) == 0 && holder.is_none() && !is_told_by_list {
        return Ok(Prepared::Ended(Ending::of(&reader, path)?.nothing_to_send()));
    }
    if submission.dry_run {
        return Ok(Prepared::Planned(Plan {
            by_type: by_type(&work(submission.part.as_ref(), &reader)?, &reader)?,
            settled: counts.total().saturating_sub(n_pending),
            ledger: path.clone(),
            ..Plan::default()
        }));
    }
    if let Some(holder) = holder {
        return Err(LedgerError::InUse { path: path.clone(), holder: Some(Box::new(holder)) }.into());
    }
    let before = reader.extent()?;
    drop(reader);
    let ledger = Ledger::open(env.machine, path, env.session)?;
    ready(submission, env, ledger, Some(before), false).await
}

/// Works on an open ledger: asks the server first, then plans. `took_in` says that rows were taken into it by this.
pub(super) async fn ready<'a, S: Calls + Lists>(
    submission: &Submission<'_>,
    env: Env<'a, S>,
    ledger: Ledger,
    before: Option<Extent>,
    took_in: bool,
) -> Result<Prepared<'a, S>, Failure> {
    let wire = wire(submission, ledger.run());
    let mut job = Job::begin(&env, &submission.path, ledger, wire, &submission.sending, before).await?;
    job.sends_all = submission.part.is_none();
    let asked = |part| by_type(&work(Some(part), job.reader())?, job.reader());
    job.n_asked = submission.part.as_ref().and_then(|part| asked(part).ok()).map(|asked| n_destructive(&asked));
    match look_and_plan(submission, &mut job, took_in, &env).await {
        Ok((Some((work, plan)), first_list)) => {
            let ready = Ready { took_in, ..Ready::new(env, job, work, plan, first_list) };
            Ok(Prepared::Ready(Box::new(ready)))
        }
        Ok((None, first_list)) => Ok(Prepared::Ended(job.finish(&env, first_list).await?.nothing_to_send())),
        Err(failure) => Err(job.refuse(failure)),
    }
}

/// Returns what is to be sent now, or none where neither a pending row nor one in doubt is left; and what the list said.
async fn look_and_plan<S: Lists>(
    submission: &Submission<'_>,
    job: &mut Job,
    took_in: bool,
    env: &Env<'_, S>,
) -> Result<(Option<(Work, Plan)>, Option<Report>), Failure> {
    let (first_list, notes) = job.ask_first(env, &submission.sending).await?;
    let counts = Counts::of(job.reader())?;
    let in_doubt = counts.get(RowState::InDoubt);
    let work = work_now(submission.part.as_ref(), job)?;
    let by_type = by_type(&work, job.reader())?;
    let n_pending: u64 = by_type.iter().map(|(_, n)| n).sum();
    if n_pending + in_doubt == 0 {
        return Ok((None, first_list));
    }
    let is_new = took_in && submission.existing != Existing::Append;
    let settled = counts.total().saturating_sub(counts.get(RowState::Pending) + in_doubt);
    let plan = Plan {
        by_type,
        settled: if is_new { 0 } else { settled },
        ledger: submission.path.clone(),
        ledger_is_new: is_new,
        in_doubt,
        is_part: submission.part.is_some(),
        is_without_list: job.is_without_list,
        notes,
    };
    Ok((Some((work, plan)), first_list))
}

fn wire(submission: &Submission<'_>, run: &RunInfo) -> Wire {
    Wire { run: run.id, key: run.key.clone(), tag_position: submission.tag_position, data: submission.data }
}

/// Returns what may be sent now of what is asked for.
fn work_now(part: Option<&Part>, job: &Job) -> Result<Work, Failure> {
    let work = work(part, job.reader())?;
    if !job.is_without_list {
        return Ok(work);
    }
    Ok(Work::Rows(never_sent(work, job)?))
}

/// Returns the rows of some work that were never claimed: what was may have been sent by a copy of the ledger.
pub(super) fn never_sent(work: Work, job: &Job) -> Result<Vec<RowId>, Failure> {
    let never = job.reader().never_claimed()?;
    Ok(match work {
        Work::InOrder => never,
        Work::Rows(chosen) => chosen.into_iter().filter(|row| never.binary_search(row).is_ok()).collect(),
    })
}

fn work(part: Option<&Part>, reader: &Reader) -> Result<Work, Failure> {
    match part {
        None => Ok(Work::InOrder),
        Some(part) => Ok(Work::Rows(part.pending(reader)?)),
    }
}

/// Returns the pending rows of some work by type.
fn by_type(work: &Work, reader: &Reader) -> Result<Vec<(RequestType, u64)>, Failure> {
    let of_rows = |chosen: &[RowId]| replay::by_type(reader, chosen);
    match work {
        Work::InOrder => Ok(reader.by_type(RowState::Pending)?),
        Work::Rows(chosen) => of_rows(chosen),
    }
}

/// What becomes of the invalid rows of one list says nothing of others, and nothing of the rows that are loaded.
const OF_NO_ROW: &str = "on-invalid";

/// Returns in what this run is another one than the ledger's, manifests and some options left out.
pub(super) fn differences(run: &RunInfo, now: &RunIdentity, left_out: &[&str]) -> Vec<String> {
    let told = |Difference { what, in_ledger, now }| format!("{what}: {in_ledger} in the ledger, {now} now");
    let counts =
        |difference: &Difference| difference.what != OF_NO_ROW && !left_out.contains(&difference.what.as_str());
    run.identity.differences(now).into_iter().filter(counts).map(told).collect()
}

pub(super) fn another_run(path: &Path, found: &[String]) -> Failure {
    Failure::new(
        Exit::Usage,
        format!("the ledger {} belongs to another run; nothing was sent\n  {}", path.display(), found.join("\n  ")),
    )
    .stopping(StoppedBy::OtherRun)
    .with_next("use the values of the ledger, or give this run a ledger of its own with --ledger FILE")
}

fn refuse_another_run(reader: &Reader, submission: &Submission<'_>) -> Result<(), Failure> {
    let run = reader.run();
    let survey = &submission.checked.survey;
    let mut found = differences(run, &submission.identity, &[]);
    // Manifests that were appended since, or stand for mended rows, belong to the run too.
    let same = run.parts.first().map(|part| part.sha256) == survey.parts.first().map(|part| part.sha256)
        && survey.parts.iter().all(|part| run.part_of(&part.sha256).is_some());
    if !same {
        let names = |names: Vec<&str>| names.join(", ");
        found.push(format!(
            "manifest: the ledger was loaded from {} with other content than {} has now (--append takes a further one in)",
            names(run.parts.iter().map(|part| part.name.as_str()).collect()),
            names(survey.parts.iter().map(|part| part.name.as_str()).collect()),
        ));
    }
    match found.as_slice() {
        [] => Ok(()),
        [_] if !same => Err(another_run(&submission.path, &found).with_next(other_list(submission, reader)?)),
        _ => Err(another_run(&submission.path, &found)),
    }
}

/// Returns what to do with a list that is not the ledger's: a further one, one in which rows were corrected, or one that has grown.
fn other_list(submission: &Submission<'_>, reader: &Reader) -> Result<Next, Failure> {
    let Submission { checked, rules, path, .. } = submission;
    let next = Next::from("give the ledger the list that it was loaded from; or, ");
    if Repeats::find(reader, checked, rules, |_| None).is_ok() {
        let words = ["--ledger", &path.to_string_lossy(), "--append"];
        let append = Piece::with(&["--ledger", "--ledger-dir", "--append", "--confirm"], &words);
        return Ok(next.text("to take this one in behind it: ").and(append));
    }
    let counts = Counts::of(reader)?;
    let name = checked.survey.parts.first().map_or("LIST", |part| &part.name);
    let corrected = Piece::asking("replay", path, &["--from", name]);
    Ok(if counts.get(RowState::Failed) + counts.get(RowState::Invalid) > 0 {
        next.text("where failed or invalid rows were corrected in it, leave these alone in it, then: ")
            .and(corrected)
            .text("; or, ")
            .and_all(in_its_own(path))
    } else {
        next.and_all(in_its_own(path))
    })
}

/// How many names are tried for a ledger that does not exist yet.
const MAX_NAMES: u32 = 1_000;

/// Returns what to do with a list that has rows of a ledger among others: correct it, or send it with a ledger of its own.
pub(super) fn leave_out(corrected: &str, ledger: &Path) -> Next {
    Next::from(corrected).text("; or, ").and_all(in_its_own(ledger))
}

fn in_its_own(ledger: &Path) -> Next {
    let stem = ledger.file_stem().unwrap_or_default().to_string_lossy();
    let names = (2..MAX_NAMES).map(|n| ledger.with_file_name(format!("{stem}-{n}.ledger")));
    let free = names.into_iter().find(|name| name.symlink_metadata().is_err());
    let other = free.unwrap_or_else(|| ledger.with_file_name("other.ledger"));
    let words = ["--ledger", &other.to_string_lossy(), "--already", "skip"];
    Next::from(
        "where the list has grown, send it with a ledger of its own, which leaves out what was requested before: ",
    )
    .and(Piece::with(&["--ledger", "--ledger-dir", "--append", "--already", "--confirm"], &words))
}
