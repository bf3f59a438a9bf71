//! How a command ended: the last line for people, one JSON object for scripts.

use std::io;
use std::path::Path;
use std::time::Duration;

use jiff::Timestamp;
use serde_json::{Map, Value, json};

use super::commands::doubt;
use super::invocation::{Invocation, quoted};
use super::output::{self, MAX_REASON, Shell, grouped, rows, shown};
use super::progress::span;
use crate::app::{Ending, Exit, Failure, Lead, NO_API_REMEDY, chain};
use crate::ledger::{Finding, FindingKind, RowState};
use crate::reconcile::{Disagreement, Report};
use crate::report::Counts;
use crate::request::{ErrorCode, Fault, RequestKind, RequestUuid, RowId, printable_up_to};
use crate::submit::{StopReason, Trip};

/// What a command did.
#[derive(Clone, Debug)]
pub(crate) struct Summary {
    pub(crate) exit: Exit,
    message: String,
    next: Option<String>,
    stopped_by: Option<&'static str>,
    already_finished: bool,
    run: Option<String>,
    ledger: Option<String>,
    /// None where nobody has looked at the run.
    counts: Option<Counts>,
    rows: Option<u64>,
    created_now: Option<(u64, Duration)>,
    /// What lists showed to be wrong, and nobody has closed.
    findings: Vec<Finding>,
    more: Map<String, Value>,
}

impl Summary {
    pub(crate) fn new(exit: Exit, message: impl Into<String>) -> Self {
        Self {
            exit,
            message: message.into(),
            next: None,
            stopped_by: None,
            already_finished: false,
            run: None,
            ledger: None,
            counts: Some(Counts::default()),
            rows: Some(0),
            created_now: None,
            findings: Vec::new(),
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
        let ledger = quoted(&ending.ledger.to_string_lossy());
        let elsewhere = |state| {
            let is_told = state == RowState::Skipped && ending.n_elsewhere > 0;
            is_told.then(|| format!("{} requested before from another ledger", grouped(ending.n_elsewhere)))
        };
        let mut summary = Self::new(ending.exit(), counts.in_words_with(elsewhere));
        summary.run = Some(ending.run.to_string());
        summary.ledger = Some(ending.ledger.to_string_lossy().into_owned());
        summary.counts = Some(counts.clone());
        summary.rows = Some(counts.total());
        summary.next = Some(next_step(counts, &ledger));
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
            summary = summary.with_doubt(report);
        }
        summary = summary.with_findings(ending);
        let again = again(ending, invocation, is_replay);
        let n_pending = counts.get(RowState::Pending);
        match &ending.stopped_by {
            Some(reason) => summary.stopped(reason, &again),
            None if ending.sent.is_some() && n_pending > 0 => {
                if ending.is_part {
                    summary.message = format!("{}; {} left pending as asked", summary.message, rows(n_pending));
                }
                summary.with_next(again)
            }
            None => summary,
        }
    }

    /// Begins the message with this.
    fn lead(&mut self, lead: &str) {
        self.message.insert_str(0, lead);
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
    pub(crate) fn with_doubt(mut self, report: &Report) -> Self {
        let settled = json!({
            "found": report.found + report.taken_over.n,
            "absent": report.absent,
            "failed": report.failed,
            "in_doubt": report.left,
            "why": doubt::reason(report),
        });
        self.more.insert("reconciled".to_owned(), settled);
        if report.left > 0
            && let Some(ledger) = &self.ledger
        {
            // What no list settles, a person does; one that could not be read has settled nothing yet.
            if report.unreadable.is_some() {
                self.next = Some(format!("cmbatch reconcile {}", quoted(ledger)));
            } else if report.ask_again_at.is_none() {
                self.next = Some(format!("cmbatch settle {} --list", quoted(ledger)));
            }
        }
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
        let is_asked = ending.is_audited || !findings.is_empty();
        self.more.insert("audit".to_owned(), if is_asked { json!(findings) } else { Value::Null });
        self.findings.clone_from(&ending.findings);
        if !ending.findings.is_empty() {
            let what = match ending.findings.len() {
                1 => "1 finding".to_owned(),
                n => format!("{} findings", grouped(n as u64)),
            };
            self.message = format!("{}; {what} to be looked at", self.message);
            self.next = Some(about_findings(&ending.findings, &quoted(&ending.ledger.to_string_lossy())));
        }
        self
    }

    /// The run was stopped before its end.
    pub(crate) fn stopped(mut self, reason: &StopReason, again: &str) -> Self {
        self.exit = Exit::of_stop(reason);
        self.stopped_by = Some(stop_name(reason));
        self.message = format!("{}: {}; {}", reason.what(), stop_text(reason), self.message);
        self.next = Some(again.to_owned());
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
        doubt::warn_of_findings(&self.findings, shell);
        shell.always(&format!("{}{ledger}{next}", self.message));
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
        object.insert("stopped_by".to_owned(), json!(self.stopped_by));
        object.insert("message".to_owned(), json!(self.message));
        object.insert("next".to_owned(), json!(self.next));
        object.extend(self.more.clone());
        Value::Object(object)
    }
}

impl Summary {
    /// A use case that could not be carried out.
    pub(crate) fn of_failure(failure: Failure, invocation: &Invocation) -> Self {
        // What stopped a run before its first call knows the rows; anything else may have looked at none.
        let rows = failure.stopped_by.map(|_| failure.n_pending);
        let counts = rows.map(|n_pending| {
            let mut counts = Counts::default();
            counts.add(RowState::Pending, n_pending);
            counts
        });
        Self {
            next: failure.next.map(|next| invocation.shown_next(&next)),
            stopped_by: failure.stopped_by,
            rows,
            counts,
            ..Self::new(failure.exit, failure.message)
        }
    }
}

/// Returns the command that goes on, with the number to confirm where rows that take certificates away are left. Of how many of
/// them a part of the rows has, the next run says.
fn again(ending: &Ending, invocation: &Invocation, is_replay: bool) -> String {
    // Failed rows that a replay put back are pending now.
    let command = if is_replay { invocation.replaying_the_rest() } else { invocation.again() };
    match ending.n_left_destructive {
        0 => command,
        _ if ending.is_part => command,
        n => format!("{command} --confirm {n}"),
    }
}

/// Returns the next command for a run in this state.
fn next_step(counts: &Counts, ledger: &str) -> String {
    if counts.get(RowState::Failed) > 0 {
        return format!("cmbatch status {ledger}");
    }
    if counts.get(RowState::InDoubt) > 0 {
        return format!("cmbatch reconcile {ledger}");
    }
    if counts.get(RowState::Pending) > 0 {
        return format!("cmbatch replay {ledger}");
    }
    if counts.get(RowState::Invalid) > 0 {
        return format!(
            "correct the invalid rows (--rejects wrote them), then: cmbatch replay {ledger} --from REJECTS"
        );
    }
    format!("cmbatch export {ledger} --format csv --output results.csv")
}

/// How many rows a command names.
const MAX_ROWS: usize = 5;

/// Returns what to do about findings, by their kinds, and how to close them.
fn about_findings(findings: &[Finding], ledger: &str) -> String {
    let has = |kinds: &[FindingKind]| findings.iter().any(|finding| kinds.contains(&finding.kind));
    let are_skipped = |finding: &Finding| finding.kind == FindingKind::SkippedGone;
    let mut rows: Vec<RowId> = findings.iter().filter_map(|finding| finding.row).collect();
    rows.sort_unstable();
    rows.dedup();
    let words = if rows.len() > MAX_ROWS {
        "--row N".to_owned()
    } else {
        rows.iter().map(|row| format!("--row {row}")).collect::<Vec<_>>().join(" ")
    };
    let looked_at = format!("cmbatch settle {ledger} {words} --looked-at --reason TEXT");
    if findings.iter().all(are_skipped) {
        return format!(
            "look in the CM portal why these requests came to nothing; to send the rows all the same: cmbatch drop {ledger} {words} --undo; \
             or, where they are not to be sent: {looked_at}"
        );
    }
    let mut first = vec!["look at the requests named above in the CM portal"];
    if has(&[FindingKind::Double, FindingKind::Elsewhere]) {
        first.push("cancel there what is too many");
    }
    if has(&[FindingKind::Unsent]) {
        first.push("cancel there what nobody wants");
    }
    if has(&[FindingKind::Missing]) {
        first.push("find out why the list lacks what is missing");
    }
    if has(&[FindingKind::SkippedGone]) {
        first.push("find out why requests came to nothing for which rows were left out");
    }
    format!(
        "{}, then: cmbatch settle {ledger} --all; or, where that still tells of them: {looked_at}",
        first.join(", ")
    )
}

/// Returns the stable name of a reason to stop.
pub(crate) const fn stop_name(reason: &StopReason) -> &'static str {
    match reason {
        StopReason::Breaker(_) => "breaker",
        StopReason::Unreachable(_) => "unreachable",
        StopReason::Stalled { .. } => "stall",
        StopReason::NotAsAsked { .. } => "not-as-asked",
        StopReason::FirstInDoubt { .. } => "first-in-doubt",
        StopReason::NotReadBack { .. } => "not-read-back",
        StopReason::NotShown(_) => "not-shown",
        StopReason::Lacking(_) => "list-not-whole",
        StopReason::AnotherAtWork { .. } => "another-at-work",
        StopReason::RequestedElsewhere { .. } => "requested-elsewhere",
        StopReason::ClockJumped => "clock",
        StopReason::NoList(_) => "no-list",
        StopReason::Refused { .. } => "refused",
        StopReason::NotSignedIn(_) => "sign-in",
        StopReason::ApiNotFound(_) => "api-not-found",
        StopReason::Interrupted => "interrupted",
        StopReason::StoppedElsewhere => "stopped-elsewhere",
        StopReason::Ledger(_) => "ledger",
    }
}

/// Returns a reason to stop in a person's words: what was seen, and whom it concerns.
pub(crate) fn stop_text(reason: &StopReason) -> String {
    let seen = |fault: &Fault| {
        let message = printable_up_to(&fault.message, MAX_REASON);
        if message.is_empty() {
            fault.code.meaning().to_owned()
        } else {
            format!("{} ({message})", fault.code.meaning())
        }
    };
    match reason {
        StopReason::Breaker(Trip::InARow { failures, last, seen }) => {
            format!("{failures} calls failed in a row, {}; {}", failures_seen(*last, seen), whom_it_concerns(seen))
        }
        StopReason::Breaker(Trip::Share { failures, calls, last, seen }) => format!(
            "{failures} of the last {calls} calls failed, {}; {}",
            failures_seen(*last, seen),
            whom_it_concerns(seen)
        ),
        StopReason::Unreachable(fault) => format!("{}; {CHECK_THE_WAY}", seen(fault)),
        StopReason::Stalled { quiet, come_back } => stalled(*quiet, *come_back, Timestamp::now()),
        StopReason::NotAsAsked { row, uuid, kind, disagreements } => not_as_asked(*row, *uuid, kind, disagreements),
        StopReason::FirstInDoubt { kind, rows } => format!(
            "the first calls for {kind} were not answered ({}), and the server's list has none of them; they may have been created \
             all the same; this is for the team that runs the CM server: look whether requests hang there",
            rows.iter().map(|row| format!("row {row}")).collect::<Vec<_>>().join(", ")
        ),
        StopReason::NotReadBack { kind, row, uuid, why } => format!(
            "row {row} ({kind}) was created as request {uuid}, which cannot be read ({}), so that nobody knows whether it is what was \
             asked for; no other row of that kind was sent; look at it in the CM portal; where it is right, have the account read \
             requests, or give --check-first warn",
            printable_up_to(why, MAX_REASON)
        ),
        StopReason::Lacking(n) => format!(
            "this ledger lacks what another copy of it sent, and the server's list lacks {} that the ledger has as created, so that it \
             may lack the other copy's, too; find out in the CM portal why, or give --trust-list where they were archived",
            rows(*n)
        ),
        StopReason::NotShown(row) => format!(
            "row {row} was sent alone, and no list shows it since: the list cannot tell what else was sent from another copy of this \
             ledger; look in the CM portal"
        ),
        StopReason::AnotherAtWork { row, uuid } => format!(
            "the server has request {uuid} with the tag of row {row}, which this session did not send; end the other one (another \
             host, a copy of this ledger, a machine that was put back) before going on"
        ),
        StopReason::RequestedElsewhere { row, uuid } => format!(
            "another run requested row {row} as {uuid} while this one was at work; wait until that one has ended: the next start \
             says what it left"
        ),
        StopReason::ClockJumped => "the clock of this machine or of the server jumped".to_owned(),
        StopReason::NoList(error) => printable_up_to(&chain(error), MAX_REASON),
        StopReason::Refused { kind, status, n_rows, last } => refused(kind, *status, *n_rows, last),
        // Its message says what to do.
        StopReason::NotSignedIn(fault) => seen(fault),
        StopReason::ApiNotFound(fault) => format!("{}; {NO_API_REMEDY}", seen(fault)),
        StopReason::Interrupted => "no further row was sent".to_owned(),
        StopReason::StoppedElsewhere => "the run was stopped in its ledger".to_owned(),
        StopReason::Ledger(error) => chain(error),
    }
}

/// What to look at where calls do not come as far as the server.
const CHECK_THE_WAY: &str = "check --server, the network and the proxy";

/// Whose the next step is.
fn whom_it_concerns(seen: &[(ErrorCode, u32)]) -> &'static str {
    let is_on_the_way = |code: &ErrorCode| {
        matches!(
            code,
            ErrorCode::ConnectionRefused | ErrorCode::NameNotResolved | ErrorCode::TlsFailed | ErrorCode::NotConnected
        )
    };
    if !seen.is_empty() && seen.iter().all(|(code, _)| is_on_the_way(code)) {
        CHECK_THE_WAY
    } else {
        "this is for the team that runs the CM server"
    }
}

/// Which failures a breaker saw.
fn failures_seen(last: ErrorCode, seen: &[(ErrorCode, u32)]) -> String {
    match seen {
        [] | [_] => format!("the last one because {}", last.meaning()),
        several => {
            let counts: Vec<String> = several.iter().map(|(code, n)| format!("{n} {}", code.as_str())).collect();
            format!("the last one because {} ({})", last.meaning(), counts.join(", "))
        }
    }
}

/// What to do about a request that is not what its row asked for.
fn not_as_asked(row: RowId, uuid: RequestUuid, kind: &RequestKind, disagreements: &[Disagreement]) -> String {
    let differs: Vec<String> = disagreements.iter().map(Disagreement::to_string).collect();
    let cuts_comments = disagreements.iter().any(|one| matches!(one, Disagreement::Tag { .. }));
    let way_round =
        if cuts_comments { "; where the server must change comments, start a new run with --no-tag" } else { "" };
    format!(
        "row {row} ({kind}) became request {uuid}, and {}; no other row of that kind was sent, and the row is in doubt; show \
         this to the team that runs the CM server; cancel request {uuid} in the CM portal, then settle row {row} with \
         --not-created{way_round}",
        differs.join(", ")
    )
}

/// How long a server throttles, and when to come back to it.
fn stalled(quiet: Duration, come_back: Option<Duration>, now: Timestamp) -> String {
    let quiet =
        (come_back.is_none() || quiet.as_secs() > 0).then(|| format!("nothing was created for {}", span(quiet)));
    let come_back = come_back.map(|wait| {
        let at = now.checked_add(wait).map(|at| format!(", at {}", at.strftime("%H:%M UTC"))).unwrap_or_default();
        format!("the server asks to come back in {}{at}", span(wait))
    });
    [quiet, come_back].into_iter().flatten().collect::<Vec<_>>().join("; ")
}

/// What to do about a kind of request that is always refused.
fn refused(kind: &RequestKind, status: u16, n_rows: u32, last: &Fault) -> String {
    let advice = match status {
        // A page, and not the API's words.
        403 if last.code == ErrorCode::Refused => format!(
            "the answer is a page, of what stands before CM perhaps, and says: {}; this is for whoever runs that",
            printable_up_to(&last.message, MAX_REASON)
        ),
        401..=403 => format!(
            "this is for the team that grants rights in CM: the account of this run needs the right \"FIM CM Request {}\" on the \
             profile template and on its target users",
            kind.request_type
        ),
        500.. => "other kinds succeed, so this is for the team that looks after the profile template; the server's event log has \
                  the correlation ids of `cmbatch export`"
            .to_owned(),
        _ => "this is for whoever made the manifest, with the team that looks after the profile template: the messages are in \
              `cmbatch status`"
            .to_owned(),
    };
    format!(
        "the first {n_rows} rows of {kind} were all answered {status}, and none was created; {advice}; once that is corrected, cmbatch replay \
         sends these rows again"
    )
}

/// Returns the last words of `validate`.
pub(crate) fn validated(n_rows: u64, by_type: &str) -> String {
    format!("{} valid ({by_type})", rows(n_rows))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::request::{Guid, RequestType};

    fn told(reason: &StopReason) -> String {
        let (what, text) = (reason.what(), stop_text(reason));
        format!("{} {}: {what}: {text}", Exit::of_stop(reason).status(), stop_name(reason))
    }

    #[test]
    fn a_fault_says_null_of_rows_that_nobody_has_counted() {
        let json = |failure: Failure| Summary::of_failure(failure, &Invocation::new(&[])).json();
        let unknown = json(Failure::new(Exit::InUse, "in use"));
        for name in ["rows", "created", "pending", "in_doubt", "failed"] {
            assert_eq!(unknown.get(name), Some(&Value::Null), "{name}");
        }
        let stopped = json(Failure::new(Exit::Server, "gone").stopping("unreachable", 7));
        assert_eq!((&stopped["rows"], &stopped["pending"], &stopped["created"]), (&7.into(), &7.into(), &0.into()));
    }

    #[test]
    fn what_to_do_about_findings_depends_on_their_kinds_and_names_their_rows() {
        let finding =
            |kind, number| Finding { kind, row: RowId::new(number), uuids: Vec::new(), detail: String::new() };
        let told = |kinds: &[FindingKind]| {
            let findings: Vec<Finding> = (20..).zip(kinds).map(|(number, kind)| finding(*kind, number)).collect();
            about_findings(&findings, "wave.ledger")
        };
        let lines = [
            told(&[FindingKind::Double, FindingKind::Elsewhere]),
            told(&[FindingKind::Unsent]),
            told(&[FindingKind::Missing; 6]),
            told(&[FindingKind::SkippedGone; 2]),
            told(&FindingKind::ALL[1..]),
        ];
        insta::assert_snapshot!(lines.join("\n"), @r"
        look at the requests named above in the CM portal, cancel there what is too many, then: cmbatch settle wave.ledger --all; or, where that still tells of them: cmbatch settle wave.ledger --row 20 --row 21 --looked-at --reason TEXT
        look at the requests named above in the CM portal, cancel there what nobody wants, then: cmbatch settle wave.ledger --all; or, where that still tells of them: cmbatch settle wave.ledger --row 20 --looked-at --reason TEXT
        look at the requests named above in the CM portal, find out why the list lacks what is missing, then: cmbatch settle wave.ledger --all; or, where that still tells of them: cmbatch settle wave.ledger --row N --looked-at --reason TEXT
        look in the CM portal why these requests came to nothing; to send the rows all the same: cmbatch drop wave.ledger --row 20 --row 21 --undo; or, where they are not to be sent: cmbatch settle wave.ledger --row 20 --row 21 --looked-at --reason TEXT
        look at the requests named above in the CM portal, cancel there what is too many, cancel there what nobody wants, find out why the list lacks what is missing, find out why requests came to nothing for which rows were left out, then: cmbatch settle wave.ledger --all; or, where that still tells of them: cmbatch settle wave.ledger --row 20 --row 21 --row 22 --row 23 --looked-at --reason TEXT
        ");
    }

    #[test]
    fn a_stop_says_what_was_seen_whom_it_concerns_and_how_to_go_on() {
        let kind = RequestKind { request_type: RequestType::Enroll, template: Some(Guid::from_bytes([7; 16])) };
        let (row, uuid) = (RowId::new(12).unwrap(), RequestUuid::new(Guid::from_bytes([1; 16])));
        let target = Disagreement::Guid { property: "target", sent: Guid::from_bytes([2; 16]), found: None };
        let refused = |status| {
            let last = Fault::without_answer(ErrorCode::Forbidden, "");
            StopReason::Refused { kind, status, n_rows: 25, last }
        };
        let page = Fault::without_answer(ErrorCode::Refused, "headers are too long");
        let in_a_row = |seen: Vec<(ErrorCode, u32)>| {
            told(&StopReason::Breaker(Trip::InARow { failures: 25, last: seen[0].0, seen }))
        };
        let lines = [
            told(&StopReason::NotAsAsked { row, uuid, kind, disagreements: vec![target] }),
            told(&StopReason::FirstInDoubt { kind, rows: vec![row] }),
            told(&refused(403)),
            told(&refused(400)),
            told(&StopReason::Refused { kind, status: 403, n_rows: 25, last: page }),
            told(&refused(500)),
            in_a_row(vec![(ErrorCode::Timeout, 20), (ErrorCode::Unavailable, 5)]),
            in_a_row(vec![(ErrorCode::NotConnected, 20), (ErrorCode::Timeout, 5)]),
            in_a_row(vec![(ErrorCode::NotConnected, 20), (ErrorCode::ConnectionRefused, 5)]),
        ];
        insta::assert_snapshot!(lines.join("\n"), @r#"
        4 not-as-asked: the server made another request than was asked for: row 12 (Enroll of template 07070707-0707-0707-0707-070707070707) became request 01010101-0101-0101-0101-010101010101, and it has no target, and the row's is 02020202-0202-0202-0202-020202020202; no other row of that kind was sent, and the row is in doubt; show this to the team that runs the CM server; cancel request 01010101-0101-0101-0101-010101010101 in the CM portal, then settle row 12 with --not-created
        4 first-in-doubt: the first calls were not answered: the first calls for Enroll of template 07070707-0707-0707-0707-070707070707 were not answered (row 12), and the server's list has none of them; they may have been created all the same; this is for the team that runs the CM server: look whether requests hang there
        5 refused: all rows were refused alike: the first 25 rows of Enroll of template 07070707-0707-0707-0707-070707070707 were all answered 403, and none was created; this is for the team that grants rights in CM: the account of this run needs the right "FIM CM Request Enroll" on the profile template and on its target users; once that is corrected, cmbatch replay sends these rows again
        5 refused: all rows were refused alike: the first 25 rows of Enroll of template 07070707-0707-0707-0707-070707070707 were all answered 400, and none was created; this is for whoever made the manifest, with the team that looks after the profile template: the messages are in `cmbatch status`; once that is corrected, cmbatch replay sends these rows again
        5 refused: all rows were refused alike: the first 25 rows of Enroll of template 07070707-0707-0707-0707-070707070707 were all answered 403, and none was created; the answer is a page, of what stands before CM perhaps, and says: headers are too long; this is for whoever runs that; once that is corrected, cmbatch replay sends these rows again
        5 refused: all rows were refused alike: the first 25 rows of Enroll of template 07070707-0707-0707-0707-070707070707 were all answered 500, and none was created; other kinds succeed, so this is for the team that looks after the profile template; the server's event log has the correlation ids of `cmbatch export`; once that is corrected, cmbatch replay sends these rows again
        4 breaker: stopped by the circuit breaker: 25 calls failed in a row, the last one because no answer in time; it may have happened (20 timeout, 5 unavailable); this is for the team that runs the CM server
        4 breaker: stopped by the circuit breaker: 25 calls failed in a row, the last one because no connection to the server; nothing was sent (20 not-connected, 5 timeout); this is for the team that runs the CM server
        4 breaker: stopped by the circuit breaker: 25 calls failed in a row, the last one because no connection to the server; nothing was sent (20 not-connected, 5 connection-refused); check --server, the network and the proxy
        "#);
    }

    #[test]
    fn a_server_that_says_when_to_come_back_is_quoted() {
        let now = "2026-12-01T13:05:00Z".parse().unwrap();
        let hour = Some(Duration::from_secs(3600));
        assert_eq!(stalled(Duration::ZERO, hour, now), "the server asks to come back in 1 h 0 min, at 14:05 UTC");
        assert_eq!(
            stalled(Duration::from_secs(600), Some(Duration::from_secs(30)), now),
            "nothing was created for 10 min; the server asks to come back in 30 s, at 13:05 UTC"
        );
        assert_eq!(stalled(Duration::from_secs(600), None, now), "nothing was created for 10 min");
    }
}
