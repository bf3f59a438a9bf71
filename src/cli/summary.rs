//! How a command ended: the last line for people, one JSON object for scripts.

mod next;
mod stops;

use std::io;
use std::path::Path;
use std::time::Duration;

use serde_json::{Map, Value, json};

pub(crate) use self::next::{about_contradicted, starting};
use self::stops::stop_text;
use super::commands::doubt;
use super::invocation::Invocation;
use super::output::{self, Shell, grouped, rows, shown};
use super::progress::span;
use crate::app::{Ending, Exit, Failure, Lead, StoppedBy};
use crate::client::ReadError;
use crate::ledger::{Finding, RowState};
use crate::reconcile::Report;
use crate::report::Counts;
use crate::request::RowId;
use crate::submit::StopReason;

/// What a command did.
#[derive(Clone, Debug)]
pub(crate) struct Summary {
    pub(crate) exit: Exit,
    message: String,
    next: Option<String>,
    stopped_by: Option<StoppedBy>,
    already_finished: bool,
    run: Option<String>,
    ledger: Option<String>,
    /// None where nobody has looked at the run.
    counts: Option<Counts>,
    rows: Option<u64>,
    created_now: Option<(u64, Duration)>,
    /// What lists showed to be wrong, and nobody has closed.
    findings: Vec<Finding>,
    /// Rows in doubt whose requests on the server are not theirs, with what was seen.
    contradicted: Vec<(RowId, String)>,
    more: Map<String, Value>,
}

impl Summary {
    pub(crate) fn new(exit: Exit, message: impl Into<String>) -> Self {
        Self {
            exit,
            message: message.into(),
            next: None,
            stopped_by: StoppedBy::of_exit(exit),
            already_finished: false,
            run: None,
            ledger: None,
            counts: Some(Counts::default()),
            rows: Some(0),
            created_now: None,
            findings: Vec::new(),
            contradicted: Vec::new(),
            more: Map::new(),
        }
    }

    /// A manifest without rows that is allowed to be one.
    pub(crate) fn without_rows() -> Self {
        Self::new(Exit::Done, "nothing to do: the manifest has no rows")
    }

    /// A dry run.
    pub(crate) fn dry_run(n_rows: u64, n_invalid: u64, message: String) -> Self {
        let exit = if n_invalid > 0 { Exit::SomeRows } else { Exit::Done };
        let mut summary = Self::new(exit, message);
        summary.rows = Some(n_rows);
        summary.more.insert("dry_run".to_owned(), true.into());
        summary.more.insert("invalid".to_owned(), n_invalid.into());
        summary
    }

    /// How a run ended. `is_replay` says that failed rows were put back by it.
    pub(crate) fn of_ending(ending: &Ending, invocation: &Invocation, is_replay: bool) -> Self {
        let counts = &ending.counts;
        let elsewhere = |state| {
            let is_told = state == RowState::Skipped && ending.n_elsewhere > 0;
            is_told.then(|| format!("{} requested before from another ledger", grouped(ending.n_elsewhere)))
        };
        let mut summary = Self::new(ending.exit(), counts.in_words_with(elsewhere));
        summary.run = Some(ending.run.to_string());
        summary.ledger = Some(ending.ledger.to_string_lossy().into_owned());
        summary.counts = Some(counts.clone());
        summary.rows = Some(counts.total());
        summary.next = Some(next::of(ending, invocation, is_replay));
        summary.stopped_by = ending.stopped_by.as_ref().map(StoppedBy::from);
        match &ending.lead {
            Lead::None => {}
            Lead::AlreadyFinished => summary.lead("nothing is left to send: "),
            Lead::NothingAskedFor => summary.lead("none of the rows that were asked for is to be sent: "),
            Lead::NothingInDoubt => summary.lead("nothing is in doubt: "),
            Lead::Recorded(what) => summary.lead(&format!("{what}; ")),
        }
        summary.already_finished = ending.lead == Lead::AlreadyFinished;
        if let Some(sent) = ending.sent {
            summary.created_now = Some((sent.created, sent.elapsed));
            summary.message = format!("{} (in {})", summary.message, span(sent.elapsed));
        }
        if let Some(report) = &ending.last_list {
            let unreadable = match &ending.stopped_by {
                Some(StopReason::NoList(error)) => Some(error),
                _ => report.unreadable.as_ref(),
            };
            summary = summary.with_doubt(report, unreadable);
        }
        summary = summary.with_findings(ending);
        // Where the run stopped for one of them, that says all.
        if !matches!(ending.stopped_by, Some(StopReason::NotAsAsked { .. })) {
            summary.contradicted.clone_from(&ending.contradicted);
        }
        if let Some(reason) = &ending.stopped_by {
            summary.message = format!("{}: {}; {}", reason.what(), stop_text(reason, &ending.ledger), summary.message);
        } else if ending.is_part && ending.sent.is_some() && counts.get(RowState::Pending) > 0 {
            let left = rows(counts.get(RowState::Pending));
            summary.message = format!("{}; {left} left pending as asked", summary.message);
        }
        summary
    }

    /// Begins the message with this.
    fn lead(&mut self, lead: &str) {
        self.message.insert_str(0, lead);
    }

    /// Names what stopped it more exactly than the exit status does.
    pub(crate) fn stopped_by(mut self, by: Option<StoppedBy>) -> Self {
        self.stopped_by = by;
        self
    }

    /// Says that no rows were looked at.
    pub(crate) fn uncounted(mut self) -> Self {
        (self.rows, self.counts) = (None, None);
        self
    }

    pub(crate) fn with_next(mut self, next: impl Into<String>) -> Self {
        self.next = Some(next.into());
        self
    }

    pub(crate) fn with(mut self, name: &str, value: impl Into<Value>) -> Self {
        self.more.insert(name.to_owned(), value.into());
        self
    }

    /// What the server's list left in doubt, and why.
    fn with_doubt(mut self, report: &Report, unreadable: Option<&ReadError>) -> Self {
        let settled = json!({
            "found": report.found + report.taken_over.n,
            "absent": report.absent,
            "failed": report.failed,
            "in_doubt": report.left,
            "why": doubt::reason(report, unreadable),
        });
        self.more.insert("reconciled".to_owned(), settled);
        self
    }

    /// What lists showed to be wrong, and nobody has closed.
    fn with_findings(mut self, ending: &Ending) -> Self {
        let as_json = |finding: &Finding| {
            json!({
                "kind": finding.kind.as_str(), "row": finding.row.map(|row| row.get()),
                "uuids": finding.uuids.iter().map(ToString::to_string).collect::<Vec<_>>(), "detail": finding.detail,
            })
        };
        let findings: Vec<Value> = ending.findings.iter().map(as_json).collect();
        // A list that showed a part has found nothing, which says nothing.
        let is_whole = ending.last_list.as_ref().is_none_or(|list| list.audit.is_whole());
        let is_asked = ending.is_audited && is_whole || !findings.is_empty();
        self.more.insert("audit".to_owned(), if is_asked { json!(findings) } else { Value::Null });
        self.findings.clone_from(&ending.findings);
        if !ending.findings.is_empty() {
            let what = match ending.findings.len() {
                1 => "1 finding".to_owned(),
                n => format!("{} findings", grouped(n as u64)),
            };
            self.message = format!("{}; {what} to be looked at", self.message);
        }
        self
    }

    /// Prints the summary: JSON to standard output where asked for, the last line to standard error.
    ///
    /// # Errors
    /// The JSON object could not be written.
    pub(crate) fn print(&self, shell: &Shell, as_json: bool) -> io::Result<()> {
        let written = if as_json { output::result(&self.json_line()) } else { Ok(()) };
        let ledger =
            self.ledger.as_ref().map_or_else(String::new, |ledger| format!("\nledger: {}", shown(Path::new(ledger))));
        let next = self.next.as_ref().map_or_else(String::new, |next| format!("\nnext: {next}"));
        doubt::warn_of_contradicted(&self.contradicted, shell);
        doubt::warn_of_findings(&self.findings, self.ledger.as_deref(), shell);
        shell.ended(self.exit, &format!("{}{ledger}{next}", self.message));
        written
    }

    /// Returns the JSON object as one line.
    pub(crate) fn json_line(&self) -> String {
        format!("{}\n", self.json())
    }

    fn json(&self) -> Value {
        let per_second = self.created_now.map(|(created, elapsed)| {
            #[expect(clippy::cast_precision_loss, reason = "a rate for people")]
            let created = created as f64;
            (created / elapsed.as_secs_f64().max(0.001) * 10.0).round() / 10.0
        });
        let elapsed = self.created_now.map(|(_, elapsed)| (elapsed.as_secs_f64() * 1_000.0).round() / 1_000.0);
        let mut object = Map::new();
        object.insert("run".to_owned(), json!(self.run));
        object.insert("ledger".to_owned(), json!(self.ledger));
        object.insert("rows".to_owned(), json!(self.rows));
        for state in RowState::ALL {
            object.insert(state.as_str().to_owned(), json!(self.counts.as_ref().map(|counts| counts.get(state))));
        }
        object.insert("elapsed_s".to_owned(), json!(elapsed));
        object.insert("per_second".to_owned(), json!(per_second));
        object.insert("already_finished".to_owned(), json!(self.already_finished));
        object.insert("exit".to_owned(), json!(self.exit.status()));
        object.insert("stopped_by".to_owned(), json!(self.stopped_by.map(StoppedBy::name)));
        object.insert("message".to_owned(), json!(self.message));
        object.insert("next".to_owned(), json!(self.next));
        object.insert("audit".to_owned(), Value::Null);
        object.extend(self.more.clone());
        Value::Object(object)
    }
}

impl Summary {
    /// A use case that could not be carried out.
    pub(crate) fn of_failure(failure: Failure, invocation: &Invocation) -> Self {
        // Where nobody has looked at the rows, nothing is said of them.
        let counts = failure.counts.map(|counts| *counts);
        Self {
            next: failure.next.map(|next| invocation.shown_next(&next)),
            stopped_by: failure.stopped_by,
            rows: counts.as_ref().map(Counts::total),
            counts,
            ..Self::new(failure.exit, failure.message)
        }
    }
}

/// Returns the last words of `validate`.
pub(crate) fn validated(n_rows: u64, by_type: &str) -> String {
    format!("{} valid ({by_type})", rows(n_rows))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fault_says_null_of_rows_that_nobody_has_counted() {
        let json = |failure: Failure| Summary::of_failure(failure, &Invocation::new(&[])).json();
        let unknown = json(Failure::new(Exit::InUse, "in use"));
        for name in ["rows", "created", "pending", "in_doubt", "failed"] {
            assert_eq!(unknown.get(name), Some(&Value::Null), "{name}");
        }
        assert_eq!(unknown.get("stopped_by"), Some(&"ledger-in-use".into()));
        let mut counts = Counts::default();
        counts.add(RowState::Pending, 7);
        let refused = Failure::new(Exit::Usage, "no").stopping(StoppedBy::NotConfirmed).counting(counts);
        let stopped = json(refused);
        assert_eq!((&stopped["rows"], &stopped["pending"], &stopped["created"]), (&7.into(), &7.into(), &0.into()));
        assert_eq!(stopped["stopped_by"], "not-confirmed");
    }
}
