//! Closing rows that were not created: not wanted any more, or done elsewhere. And taking that back.

use std::path::Path;

use super::ending::{Ending, Lead};
use super::env::Env;
use super::exit::Exit;
use super::failure::Failure;
use super::next::Next;
use super::part::Ids;
use super::replay::{Cause, cause};
use super::stored::check_free;
use super::stored::{no_row, row_of_id};
use super::words::rows;
use crate::ledger::{AuditEvent, FindingKind, Ledger, Reader, Resolution, RowState, RowVerdict, SessionEnd, Source};
use crate::report::in_words;
use crate::request::RowId;

/// How many rows are named that cannot be dropped.
const MAX_NAMED: usize = 5;

/// Which rows are dropped, or taken back.
#[derive(Debug, Default)]
pub struct Selection {
    /// These rows.
    pub rows: Vec<RowId>,
    /// The rows with these ids.
    pub ids: Vec<String>,
    /// The rows whose ids stand in a file.
    pub file: Option<Ids>,
    /// The rows that are not created and whose last attempt ended so.
    pub causes: Vec<Cause>,
}

/// What is done with them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Drop {
    /// They are skipped from now on.
    Close,
    /// What was dropped, or was left out for another run's request, is what it was before.
    Undo,
}

impl Drop {
    /// Returns the states that a row can be in for this.
    const fn from(self) -> &'static [RowState] {
        match self {
            Self::Close => &[RowState::Pending, RowState::Failed, RowState::InDoubt, RowState::Invalid],
            Self::Undo => &[RowState::Skipped],
        }
    }
}

impl Selection {
    /// Returns the rows, in order; each is in a state that it can be in.
    fn find(&self, path: &Path, reader: &Reader, what: Drop) -> Result<Vec<RowId>, Failure> {
        let mut chosen = self.rows.clone();
        for id in &self.ids {
            chosen.push(row_of_id(reader, id, "recorded")?);
        }
        if let Some(ids) = &self.file {
            chosen.extend(ids.rows(reader)?);
        }
        let mut wrong = Vec::new();
        for row in &chosen {
            match reader.facts(*row)?.map(|facts| facts.state) {
                Some(state) if what.from().contains(&state) => {}
                Some(state) => wrong.push(format!("row {row} is {}", in_words(state))),
                None => return Err(no_row(reader, *row, "recorded")),
            }
        }
        if !wrong.is_empty() {
            let rule = match what {
                Drop::Close => "only rows that are pending, failed, in doubt or invalid can be dropped",
                Drop::Undo => "only rows that were dropped or left out can be taken back",
            };
            let n_more = wrong.len().saturating_sub(MAX_NAMED);
            wrong.truncate(MAX_NAMED);
            let more = if n_more > 0 { format!(" and {n_more} more") } else { String::new() };
            let message = format!("{}{more}; {rule}; nothing was recorded", wrong.join(", "));
            let next = Next::on_ledger("export", path, &["--format", "csv"]);
            return Err(
                Failure::new(Exit::Usage, message).with_next(Next::from("see how the rows stand: ").and_all(next))
            );
        }
        if !self.causes.is_empty() {
            reader.for_each_row(what.from(), |row| -> Result<(), Failure> {
                if row.error_code.is_some_and(|code| self.causes.contains(&cause(code))) {
                    chosen.push(row.row);
                }
                Ok(())
            })?;
        }
        chosen.sort_unstable();
        chosen.dedup();
        Ok(chosen)
    }
}

/// Drops rows of a ledger, or takes that back; who and why is recorded with each row, and in the audit trail.
///
/// # Errors
/// A row cannot be dropped, none is chosen, or the ledger is in use or failed. Nothing is recorded then.
pub async fn drop_rows<S>(
    path: &Path,
    selection: &Selection,
    what: Drop,
    reason: &str,
    env: &Env<'_, S>,
) -> Result<Ending, Failure> {
    let reader = Reader::open(path)?;
    check_free(&reader, path)?;
    let chosen = selection.find(path, &reader, what)?;
    let mut n_sent = 0;
    for row in &chosen {
        n_sent += u64::from(reader.facts(*row)?.is_some_and(|facts| facts.state == RowState::InDoubt));
    }
    let answered = if what == Drop::Undo { answered(&reader, &chosen)? } else { Vec::new() };
    drop(reader);
    if chosen.is_empty() {
        return Err(Failure::new(Exit::Usage, "no row of the ledger is meant by that; nothing was recorded"));
    }
    let who = format!("{}@{}", env.session.user, env.session.host);
    let n_rows = rows(chosen.len() as u64);
    let (verdict, text) = match what {
        Drop::Close if n_sent > 0 => {
            let text = format!(
                "{n_rows} dropped; {n_sent} of them may exist or still come to be, and every later list is asked for them"
            );
            (RowVerdict::Dropped, text)
        }
        Drop::Close => (RowVerdict::Dropped, format!("{n_rows} dropped")),
        Drop::Undo => (RowVerdict::Restored, format!("{n_rows} taken back")),
    };
    let resolution = |row| Resolution {
        row,
        verdict: verdict.clone(),
        source: Source::Person,
        reason: Some(format!("{who}: {reason}")),
    };
    let ledger = Ledger::open(env.machine, path, env.session)?;
    let event = AuditEvent { kind: "drop".to_owned(), detail: format!("{who}: {text}: {reason}") };
    let resolved = ledger.resolve(chosen.into_iter().map(resolution).collect(), Some(event)).await;
    if resolved.is_ok() {
        for row in answered {
            ledger.close_finding(row, &format!("{who}: {reason}"))?;
        }
    }
    ledger.close(SessionEnd::Finished)?;
    resolved?;
    Ok(Ending { lead: Lead::Recorded(text), ..Ending::of(&Reader::open(path)?, path)? })
}

/// Returns which of these rows have a finding that taking them back answers: the request that they were left out for came to nothing.
fn answered(reader: &Reader, chosen: &[RowId]) -> Result<Vec<RowId>, Failure> {
    let open = reader.open_findings()?;
    let is_answered = |row: &RowId| {
        let mut of_row = open.iter().filter(|open| open.finding.row == Some(*row)).peekable();
        of_row.peek().is_some() && of_row.all(|open| open.finding.kind == FindingKind::SkippedGone)
    };
    Ok(chosen.iter().copied().filter(is_answered).collect())
}
