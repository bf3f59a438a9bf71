//! How a use case ended: what became of the run, and what is needed to say what is next.

use std::path::{Path, PathBuf};
use std::time::Duration;

use super::exit::Exit;
use super::stored::submits;
use crate::client::ReadError;
use crate::ledger::{Finding, LedgerError, Reader, RowState, SessionInfo, SkipCause};
use crate::reconcile::Report;
use crate::report::Counts;
use crate::request::{ErrorCode, RequestType, RowId, RunId};
use crate::submit::{StopReason, Unrecorded};

/// How a use case ended that did something with a run.
#[derive(Debug)]
pub struct Ending {
    /// The ledger, as it was named.
    pub ledger: PathBuf,
    /// The run.
    pub run: RunId,
    /// Its rows by state, at the end.
    pub counts: Counts,
    /// How many of the skipped ones were requested before from another ledger.
    pub n_elsewhere: u64,
    /// What is to be said before the counts.
    pub lead: Lead,
    /// What was sent; none where nothing was to be.
    pub sent: Option<Sent>,
    /// Why it ended early.
    pub stopped_by: Option<StopReason>,
    /// What the last list said, where one was read.
    pub last_list: Option<Report>,
    /// Whether that list was asked for after the last call had ended.
    pub is_audited: bool,
    /// Why the last look could not be had, where one was tried in vain.
    pub unchecked: Option<ReadError>,
    /// What lists showed to be wrong, and nobody has closed.
    pub findings: Vec<Finding>,
    /// Rows that were created and that the ledger could not keep.
    pub unrecorded: Vec<Unrecorded>,
    /// Whether only a part of the rows was asked for.
    pub is_part: bool,
    /// How many pending rows take certificates away.
    pub n_left_destructive: u64,
    /// How many failed rows do.
    pub n_failed_destructive: u64,
    /// Invalid rows, the first few.
    pub invalid: Vec<RowId>,
    /// Rows in doubt whose requests on the server are not theirs, the first few, with what was seen.
    pub contradicted: Vec<(RowId, String)>,
    /// Why most of the failed rows failed, where that is known.
    pub failed_by: Option<ErrorCode>,
    /// The command that sent rows last, as it was typed, where it is recorded.
    pub last_sent_by: Option<String>,
    /// The server; none for a rehearsal.
    pub server: Option<String>,
    /// The manifest of the first invalid row, as it was named; the first one where there is none.
    pub manifest: String,
    /// The commands that submitted lists, as they were typed, the last one first, where they are recorded.
    pub submitted_by: Vec<String>,
    /// Whether it was told to run.
    pub is_started: bool,
    /// The words of the command that submits its lists, as far as the ledger knows them.
    pub submits: Vec<String>,
}

/// The commands that send rows.
const SENDING: [&str; 2] = ["submit", "replay"];
/// How many reasons for failures are looked at.
const MAX_REASONS: usize = 10;

/// How many rows are named.
const MAX_NAMED: usize = 5;
/// How many rows in doubt are looked at a time.
const PAGE: u32 = 1_000;

/// What is to be said before the counts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Lead {
    /// Nothing.
    None,
    /// Nothing is left to send.
    AlreadyFinished,
    /// None of the rows that were asked for is to be sent; others are pending.
    NothingAskedFor,
    /// Nothing is in doubt.
    NothingInDoubt,
    /// What was recorded, which is a success whatever the states of the rows are.
    Recorded(String),
}

/// What was sent in a session.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sent {
    /// How many rows were created.
    pub created: u64,
    /// How long it took.
    pub elapsed: Duration,
}

impl Ending {
    /// Returns how a run stands that nothing was done with.
    ///
    /// # Errors
    /// The ledger cannot be read.
    pub fn of(reader: &Reader, ledger: &Path) -> Result<Self, LedgerError> {
        let invalid: Vec<RowId> =
            reader.invalid(MAX_NAMED, &[RowState::Invalid])?.into_iter().map(|row| row.row).collect();
        let run = reader.run();
        let first = invalid.first().map_or(0, |row| row.get());
        let part = run.parts.iter().rev().find(|part| part.first_row.get() <= first).or(run.parts.first());
        Ok(Self {
            ledger: ledger.to_owned(),
            run: reader.run().id,
            counts: Counts::of(reader)?,
            n_elsewhere: reader
                .skipped()?
                .iter()
                .filter(|one| one.cause == SkipCause::Elsewhere)
                .map(|one| one.n)
                .sum(),
            lead: Lead::None,
            sent: None,
            stopped_by: None,
            last_list: None,
            is_audited: false,
            unchecked: None,
            findings: reader.open_findings()?.into_iter().map(|open| open.finding).collect(),
            unrecorded: Vec::new(),
            is_part: false,
            n_left_destructive: n_destructive(&reader.by_type(RowState::Pending)?),
            n_failed_destructive: n_destructive(&reader.by_type(RowState::Failed)?),
            invalid,
            contradicted: contradicted(reader)?,
            failed_by: failed_by(reader)?,
            last_sent_by: typed(reader, &SENDING)?.into_iter().next(),
            manifest: part.map(|part| part.name.clone()).unwrap_or_default(),
            submitted_by: typed(reader, &SENDING[..1])?,
            is_started: run.started_at.is_some(),
            submits: submits(run, ledger),
            server: (!run.identity.rehearsal).then(|| run.identity.server.clone()),
        })
    }

    pub(super) fn nothing_to_send(self) -> Self {
        let lead = if self.counts.get(RowState::Pending) == 0 { Lead::AlreadyFinished } else { Lead::NothingAskedFor };
        Self { lead, ..self }
    }

    /// Returns whom to call.
    pub fn exit(&self) -> Exit {
        let is_well = self.findings.is_empty();
        match (&self.stopped_by, &self.lead) {
            (Some(reason), _) => Exit::of_stop(reason),
            (None, Lead::Recorded(_)) => Exit::Done,
            (None, _) if is_well && self.counts.is_settled() => Exit::Done,
            // Only a part of the rows was asked for, and the others wait.
            (None, _)
                if is_well && self.is_part && self.sent.is_some() && self.counts.is_settled_but(RowState::Pending) =>
            {
                Exit::Done
            }
            (None, _) => Exit::SomeRows,
        }
    }
}

/// Returns why most of the failed rows failed, where that is known.
fn failed_by(reader: &Reader) -> Result<Option<ErrorCode>, LedgerError> {
    let reasons = reader.failures(MAX_REASONS)?;
    Ok(reasons.iter().find(|reason| reason.state == RowState::Failed).and_then(|reason| reason.code))
}

/// Returns the first rows in doubt whose requests on the server are not theirs, with what was seen.
fn contradicted(reader: &Reader) -> Result<Vec<(RowId, String)>, LedgerError> {
    let (mut found, mut after) = (Vec::new(), 0);
    let has_any = reader.failures(usize::MAX)?.iter().any(|reason| reason.code == Some(ErrorCode::Contradicted));
    while has_any && found.len() < MAX_NAMED {
        let page = reader.in_doubt(after, PAGE)?;
        let Some(last) = page.last() else { break };
        after = last.row.get();
        for row in page.iter().filter(|row| row.code == Some(ErrorCode::Contradicted)).take(MAX_NAMED - found.len()) {
            let known = reader.page(row.row.get() - 1, 1, &[])?.into_iter().next();
            found.push((row.row, known.and_then(|known| known.error_message).unwrap_or_default()));
        }
    }
    Ok(found)
}

/// Returns these commands as they were typed, the last one first, where they are recorded.
fn typed(reader: &Reader, commands: &[&str]) -> Result<Vec<String>, LedgerError> {
    let sessions = reader.sessions()?;
    let of_them = sessions.iter().rev().filter(|session| commands.contains(&session.info.command.as_str()));
    Ok(of_them.filter_map(|session| session.info.option(SessionInfo::COMMAND_LINE).map(str::to_owned)).collect())
}

/// Returns how many rows of these take certificates away.
pub(super) fn n_destructive(by_type: &[(RequestType, u64)]) -> u64 {
    by_type.iter().filter(|(kind, _)| kind.is_destructive()).map(|(_, n)| n).sum()
}
