//! The program, as the world runs it: the one place that knows the use cases.

use std::collections::BTreeMap;
use std::fs;
use std::num::{NonZeroU32, NonZeroUsize};
use std::path::{Path, PathBuf};
use std::pin::Pin;
use std::time::Duration;

use cmbatch::app::{
    self, Already, Checked, Choice, Corrected, Ending, Env, Existing, Failure, Next, Part, Piece, Prepared, Replay,
    Said as Verdict, Sending, StateFolder, Submission,
};
use cmbatch::client::{ListTimeouts, On503};
use cmbatch::event::NoSink;
use cmbatch::ledger::{LedgerError, Reader, RowState, RunIdentity, SessionInfo, TEMPLATE_NAME};
use cmbatch::machine::Machine;
use cmbatch::manifest::{ReadOptions, Source};
use cmbatch::reconcile::{Asking, Trust};
use cmbatch::report::{self, manifest_csv};
use cmbatch::request::{DataEncoding, Guid, RequestUuid, TagPosition};
use cmbatch::submit::{BreakerRules, CheckFirst, FinalLook, Limits, Patience, Period, Rate, StopLevel};
use cmbatch::validate::Rules;
use tokio::sync::watch;

use crate::link::Link;
use crate::server::{ACCOUNT, KINDS, TEMPLATE, guid, target};
use crate::step::{self, Cmd, Opts, Setup};

/// The server's address.
const SERVER: &str = "https://cm.example.test/CertificateManagement";

/// What a command said at its end.
#[derive(Clone, Debug)]
pub(crate) struct Said {
    pub(crate) exit: u8,
    /// All that stands in the outcome, uuids among it.
    pub(crate) text: String,
    /// What stands in its first line.
    pub(crate) short: String,
    /// Whether it proposes to leave out what was requested before.
    pub(crate) proposes_skip: bool,
}

/// What is said where no row can be corrected.
pub(crate) const NOTHING: &str = "nothing to correct";

/// A process about to run.
pub(crate) struct Order {
    pub(crate) cmd: Cmd,
    pub(crate) opts: Opts,
    pub(crate) setup: Setup,
    /// The host's folder; its notes are to lie in `state` there.
    pub(crate) folder: PathBuf,
    pub(crate) ledger: PathBuf,
    pub(crate) machine: Machine,
    pub(crate) link: Link,
    pub(crate) host: u8,
    pub(crate) control: watch::Receiver<StopLevel>,
}

pub(crate) type Running = Pin<Box<dyn Future<Output = Said>>>;

/// Makes the process of an order.
pub(crate) fn run(order: Order) -> Running {
    Box::pin(async move {
        match carry_out(&order).await {
            Ok(said) => said,
            Err(failure) => of_failure(&failure),
        }
    })
}

fn of_failure(failure: &Failure) -> Said {
    Said {
        exit: failure.exit.status(),
        text: format!("{} {:?}", failure.message, failure.unrecorded),
        short: failure.message.lines().next().unwrap_or_default().to_owned(),
        proposes_skip: failure.next.as_ref().is_some_and(proposes_skip),
    }
}

fn proposes_skip(next: &Next) -> bool {
    next.0.iter().any(|piece| matches!(piece, Piece::With { words, .. } if words.iter().any(|word| word == "skip")))
}

fn of_ending(ending: &Ending) -> Said {
    let stopped = ending.stopped_by.as_ref().map_or("", |reason| reason.what());
    Said {
        exit: ending.exit().status(),
        text: format!("{ending:?}"),
        short: format!("{} {stopped}", ending.counts.in_words()),
        proposes_skip: false,
    }
}

fn said(exit: u8, short: &str) -> Said {
    Said { exit, text: short.to_owned(), short: short.to_owned(), proposes_skip: false }
}

fn limits(setup: &Setup) -> Limits {
    let count = |n: u32| NonZeroU32::new(n.max(1)).unwrap();
    let calls = count(setup.per_minute);
    let rate = if setup.per_minute == 0 { Rate::Unlimited } else { Rate::Limited { calls, per: Period::Minute } };
    Limits {
        rate,
        burst: count(2),
        concurrency: NonZeroUsize::new(setup.concurrency.max(1)).unwrap(),
        max_attempts: count(setup.max_attempts),
        stall: Duration::from_secs(600),
        breaker: BreakerRules { in_a_row: setup.breaker, window: 20, window_min: 8, kind_refusals: setup.breaker },
        on_503: On503::InDoubt,
        read_back: Duration::from_secs(setup.settle_s),
        check_first: CheckFirst::Stop,
        // Of some histories the runs are longer than what a list has to hold around a row in doubt.
        n_around: if setup.rows.is_multiple_of(2) { Asking::N_AROUND } else { 8 },
    }
}

fn patience(setup: &Setup, opts: &Opts) -> Patience {
    Patience {
        settle: Duration::from_secs(setup.settle_s),
        server_limit: Duration::from_secs(setup.limit_s),
        trust: if opts.trust_list { Trust::List } else { Trust::Proof },
        wait_for_server: Duration::from_secs(opts.wait_s),
        lists: ListTimeouts::default(),
        final_look: FinalLook::Yes,
    }
}

fn sending(order: &Order) -> Result<Sending, Failure> {
    let Order { setup, opts, .. } = order;
    Ok(Sending {
        limits: limits(setup),
        patience: patience(setup, opts),
        state: Some(StateFolder::open(&order.folder.join("state"), SERVER)?),
        without_list: opts.without_list,
        already: match opts.already {
            step::Already::Stop => Already::Stop,
            step::Already::Skip => Already::Skip,
            step::Already::Send => Already::Send,
        },
        look_back: Duration::from_secs(30 * 86_400),
        originators: vec![ACCOUNT],
    })
}

fn session(order: &Order) -> SessionInfo {
    SessionInfo {
        version: "0".to_owned(),
        user: "alice".to_owned(),
        host: format!("h{}", order.host),
        // Above what a machine gives: no process of the machine that this runs on is taken for it.
        pid: order.link.process + 10_000_000,
        command: "submit".to_owned(),
        options: Vec::new(),
        started_at: order.machine.now(),
    }
}

fn rules(opts: &Opts) -> Rules {
    let template = if opts.other_template { guid(0x91, 1) } else { TEMPLATE };
    Rules { templates: BTreeMap::from([("cards".to_owned(), template)]), tagged: !opts.no_tag, ..Rules::default() }
}

/// Returns what the run keeps of the name that the lists use for their template.
fn template_option(rules: &Rules) -> (String, String) {
    (format!("{TEMPLATE_NAME}cards"), rules.templates["cards"].to_string())
}

fn check(file: &Path, rules: &Rules) -> Result<Checked, Failure> {
    app::check::check(&[Source::File(file.to_owned())], &ReadOptions::default(), rules, &|_| {})
}

async fn carry_out(order: &Order) -> Result<Said, Failure> {
    let session = session(order);
    let env = Env { machine: &order.machine, server: &order.link, sink: &NoSink, session: &session };
    match &order.cmd {
        Cmd::Submit { list } => submit(order, *list, Existing::GoOn, env).await,
        Cmd::Append { list } => submit(order, *list, Existing::Append, env).await,
        Cmd::Replay => replay(order, None, env).await,
        Cmd::From { list, swap } => match corrected(order, *list, *swap) {
            Some(file) => replay(order, Some(file), env).await,
            None => Ok(said(2, NOTHING)),
        },
        Cmd::Reconcile => {
            let ending = app::reconcile(&order.ledger, &sending(order)?, false, &env, order.control.clone()).await?;
            Ok(of_ending(&ending))
        }
    }
}

async fn submit(order: &Order, list: u8, existing: Existing, env: Env<'_, Link>) -> Result<Said, Failure> {
    let Order { opts, setup, .. } = order;
    let rules = rules(opts);
    let checked = check(&list_file(&order.folder, setup, list), &rules)?;
    if !checked.survey.is_valid() {
        return Ok(said(3, "the manifest is invalid"));
    }
    let tag = if opts.no_tag { "no" } else { "yes" };
    let submission = Submission {
        checked: &checked,
        rules: &rules,
        path: order.ledger.clone(),
        identity: RunIdentity {
            server: SERVER.to_owned(),
            rehearsal: false,
            options: vec![("tag".to_owned(), tag.to_owned()), template_option(&rules)],
        },
        existing,
        dry_run: false,
        part: (opts.limit > 0).then_some(Part { limit: Some(opts.limit as usize), ids: None }),
        tag_position: if opts.no_tag { TagPosition::None } else { TagPosition::Start },
        data: DataEncoding::Array,
        sending: sending(order)?,
    };
    let prepared = app::prepare_submit(&submission, env).await?;
    end(prepared, order).await
}

async fn replay(order: &Order, from: Option<PathBuf>, env: Env<'_, Link>) -> Result<Said, Failure> {
    let reader = Reader::open(&order.ledger)?;
    app::check_started(reader.run(), &order.ledger)?;
    let today = rules(&order.opts).templates;
    let rules = app::rules_of(reader.run(), today.clone());
    drop(reader);
    let checked = from.map(|file| check(&file, &rules)).transpose()?;
    if checked.as_ref().is_some_and(|checked| !checked.survey.is_valid()) {
        return Ok(said(3, "the corrected manifest is invalid"));
    }
    let part = (order.opts.limit > 0).then_some(Part { limit: Some(order.opts.limit as usize), ids: None });
    let replay = Replay {
        path: order.ledger.clone(),
        choice: Choice { part, ..Choice::default() },
        from: checked.as_ref().map(|checked| Corrected { checked, rules: &rules }),
        dry_run: false,
        templates: &today,
        sending: sending(order)?,
    };
    let prepared = app::prepare_replay(&replay, env).await?;
    end(prepared, order).await
}

async fn end(prepared: Prepared<'_, Link>, order: &Order) -> Result<Said, Failure> {
    match prepared {
        Prepared::Ended(ending) => Ok(of_ending(&ending)),
        Prepared::NoRows | Prepared::Planned(_) => Ok(said(0, "nothing")),
        Prepared::Ready(ready) => {
            // The person looks at the number and confirms it.
            let confirmed = Some(ready.plan.n_destructive());
            let notes = ready.plan.notes.join(" ");
            let said = of_ending(&ready.send(confirmed, &NoSink, order.control.clone()).await?);
            Ok(Said { text: format!("{notes} {}", said.text), ..said })
        }
    }
}

/// Returns a list's file, which is written where it does not exist.
fn list_file(folder: &Path, setup: &Setup, list: u8) -> PathBuf {
    let file = folder.join(format!("list{list}.csv"));
    if !file.exists() {
        let mut text = "id,type,profiletemplateuuid,target,profile,comment\n".to_owned();
        let rows = list_rows(setup, list);
        // A profile is not sent: it is there to tell twins apart.
        let profile_of = |number| if setup.twin { guid(0x60, number).to_string() } else { String::new() };
        let line = |row: u32, profile: u64| {
            let kind = KINDS[(row as usize - 1) % usize::from(setup.kinds.max(1)) % KINDS.len()].0;
            format!("r{row}-{profile},{kind},cards,{},{},of row {row}\n", target(row), profile_of(profile))
        };
        rows.clone().for_each(|row| text.push_str(&line(row, 1)));
        if setup.twin {
            text.push_str(&line(*rows.end(), 2));
        }
        fs::write(&file, text).unwrap();
    }
    file
}

/// Returns the rows of a list, numbered through all lists.
pub(crate) fn list_rows(setup: &Setup, list: u8) -> std::ops::RangeInclusive<u32> {
    let first = u32::from(list) * setup.rows;
    first + 1..=first + setup.rows
}

/// Writes a list of corrected rows, where it does not exist; none where nothing is to be corrected.
fn corrected(order: &Order, list: u8, swap: bool) -> Option<PathBuf> {
    let name = order.ledger.file_stem().unwrap_or_default().to_string_lossy();
    let file = order.folder.join(format!("corrected{list}-{name}.csv"));
    if file.exists() {
        return Some(file);
    }
    let failed: Vec<RowSeen> =
        rows(&order.ledger).ok()?.into_iter().filter(|row| row.state == RowState::Failed).collect();
    if failed.is_empty() {
        return None;
    }
    let mut targets: Vec<Guid> = failed.iter().map(|row| row.target).collect();
    if swap {
        targets.chunks_mut(2).for_each(<[Guid]>::reverse);
    }
    let mut text = "_row,type,profiletemplateuuid,target,comment\n".to_owned();
    let template = if swap { "cards".to_owned() } else { guid(0x92, 1).to_string() };
    for (row, target) in failed.iter().zip(targets) {
        text.push_str(&format!("{},{},{template},{target},corrected\n", row.row, row.kind));
    }
    fs::write(&file, text).unwrap();
    Some(file)
}

/// A row of a ledger, as its reader shows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct RowSeen {
    pub(crate) row: u32,
    pub(crate) state: RowState,
    pub(crate) target: Guid,
    pub(crate) uuid: Option<Guid>,
    pub(crate) kind: String,
    pub(crate) template: Option<Guid>,
    /// Whether a list had it absent, and it was sent again for that.
    pub(crate) is_again: bool,
}

/// Reads the rows of a ledger.
pub(crate) fn rows(ledger: &Path) -> Result<Vec<RowSeen>, LedgerError> {
    let reader = Reader::open(ledger)?;
    let (mut rows, again) = (Vec::new(), reader.found_absent()?);
    reader.for_each_row(&[], |row| -> Result<(), LedgerError> {
        if let Some(request) = &row.request {
            rows.push(RowSeen {
                row: row.row.get(),
                state: row.state,
                target: request.target.unwrap_or(guid(0, 0)),
                uuid: row.request_uuid.map(|uuid| *uuid.guid()),
                kind: request.kind.to_string(),
                template: request.template,
                is_again: again.contains(&row.row),
            });
        }
        Ok(())
    })?;
    Ok(rows)
}

/// Exports failed rows and rows in doubt as a list.
pub(crate) fn export(ledger: &Path, folder: &Path, list: u8) -> bool {
    let Ok(reader) = Reader::open(ledger) else { return false };
    let mut text = Vec::new();
    // What the person would like to have is refused: rows in doubt may exist.
    assert!(report::Choice::new(&[RowState::Failed, RowState::InDoubt], None).is_err());
    let choice = report::Choice::new(&[RowState::Failed], None).expect("failed rows can be exported");
    match manifest_csv(&reader, &choice, &mut text) {
        Ok(written) if written.n_rows > 0 => fs::write(folder.join(format!("list{list}.csv")), text).is_ok(),
        Ok(_) | Err(_) => false,
    }
}

/// Records a person's verdict on a row in doubt: it was created as `created`, or not.
pub(crate) async fn settle(order: &Order, row: u32, created: Option<Guid>) -> Said {
    let settled = async {
        let session = session(order);
        let env = Env { machine: &order.machine, server: &order.link, sink: &NoSink, session: &session };
        let reader = Reader::open(&order.ledger)?;
        app::check_free(&reader, &order.ledger)?;
        let row = app::find_doubtful(&order.ledger, &reader, cmbatch::request::RowId::new(row).unwrap())?;
        let verdict = match created.map(RequestUuid::new) {
            Some(uuid) => {
                app::check_created(&reader, &row, uuid, &order.link).await?;
                Verdict::Created(uuid)
            }
            None => Verdict::NotCreated,
        };
        drop(reader);
        app::record_verdicts(&order.ledger, &[(row, verdict)], "looked in the portal", &env).await
    };
    match settled.await {
        Ok(ending) => of_ending(&ending),
        Err(failure) => of_failure(&failure),
    }
}
