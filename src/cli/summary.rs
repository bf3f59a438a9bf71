//! How a command ended: the last line for people, one JSON object for scripts.

use std::io;
use std::path::Path;
use std::time::Duration;

use jiff::Timestamp;
use serde_json::{Map, Value, json};

use super::commands::doubt;
use super::exit::{Exit, NO_API_REMEDY};
use super::failure::{Failure, chain};
use super::invocation::quoted;
use super::output::{self, MAX_REASON, Shell, rows};
use super::progress::span;
use crate::ledger::{Reader, RowState};
use crate::reconcile::{Disagreement, Report, worth_asking_again};
use crate::report::Counts;
use crate::request::{ErrorCode, Fault, RequestKind, RequestUuid, RowId, printable, printable_up_to};
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
    counts: Counts,
    rows: u64,
    created_now: Option<(u64, Duration)>,
    /// Whether the message names the ledger by itself.
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
            counts: Counts::default(),
            rows: 0,
            created_now: None,
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
        summary.rows = n_rows;
        summary.more.insert("dry_run".to_owned(), true.into());
        summary.more.insert("invalid".to_owned(), n_invalid.into());
        summary
    }

    /// The state of a run, as its ledger has it.
    pub(crate) fn of_counts(reader: &Reader, path: &Path, counts: &Counts) -> Self {
        let exit = if counts.is_settled() { Exit::Done } else { Exit::SomeRows };
        let shown = quoted(&path.to_string_lossy());
        let mut summary = Self::new(exit, counts.in_words());
        summary.run = Some(reader.run().id.to_string());
        summary.ledger = Some(path.to_string_lossy().into_owned());
        summary.counts = counts.clone();
        summary.rows = counts.total();
        summary.next = Some(next_step(counts, &shown));
        summary
    }

    pub(crate) fn already_finished(mut self) -> Self {
        self.already_finished = true;
        self.message = format!("nothing is left to send: {}", self.message);
        self
    }

    /// None of the rows that were asked for is to be sent.
    pub(crate) fn nothing_to_send(mut self) -> Self {
        let n_pending = self.counts.get(RowState::Pending);
        if n_pending == 0 {
            return self.already_finished();
        }
        self.message = format!("none of the rows that were asked for is to be sent: {}", self.message);
        self
    }

    pub(crate) fn with_speed(mut self, created: u64, elapsed: Duration) -> Self {
        self.created_now = Some((created, elapsed));
        self.message = format!("{} (in {})", self.message, span(elapsed));
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
    pub(crate) fn with_doubt(mut self, report: &Report) -> Self {
        let settled = json!({
            "found": report.found + report.found_unexpectedly,
            "absent": report.absent,
            "failed": report.failed,
            "in_doubt": report.left,
            "why": doubt::reason(report),
        });
        self.more.insert("reconciled".to_owned(), settled);
        // What no list settles, a person does.
        if report.left > 0
            && !worth_asking_again(report)
            && let Some(ledger) = &self.ledger
        {
            self.next = Some(format!("cmbatch settle {} --list", quoted(ledger)));
        }
        self
    }

    /// Only a part of the rows was asked for; the others wait. Nothing else may be amiss for that to be a success.
    pub(crate) fn left_pending(mut self, text: &str, all_else_is_settled: bool) -> Self {
        self.message = format!("{}; {text}", self.message);
        if all_else_is_settled {
            self.exit = Exit::Done;
        }
        self
    }

    /// Begins the message with this.
    pub(crate) fn with_lead(mut self, lead: &str) -> Self {
        self.message = format!("{lead}: {}", self.message);
        self
    }

    /// Something was recorded, which is a success whatever the states of the rows are.
    pub(crate) fn recorded(mut self, what: &str) -> Self {
        self.exit = Exit::Done;
        self.message = format!("{what}; {}", self.message);
        self
    }

    /// The run was stopped before its end.
    pub(crate) fn stopped(mut self, reason: &StopReason, again: &str) -> Self {
        let (name, text) = stop_text(reason);
        self.exit = Exit::of_stop(reason);
        self.stopped_by = Some(stop_name(reason));
        self.message = format!("{name}: {text}; {}", self.message);
        self.next = Some(again.to_owned());
        self
    }

    /// Prints the summary: JSON to standard output where asked for, the last line to standard error.
    ///
    /// # Errors
    /// The JSON object could not be written.
    pub(crate) fn print(&self, shell: &Shell, as_json: bool) -> io::Result<()> {
        let written = if as_json { output::result(&self.json_line()) } else { Ok(()) };
        let ledger = self.ledger.as_ref().map_or_else(String::new, |ledger| format!("\nledger: {}", printable(ledger)));
        let next = self.next.as_ref().map_or_else(String::new, |next| format!("\nnext: {next}"));
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
            object.insert(state.as_str().to_owned(), json!(self.counts.get(state)));
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

impl From<Failure> for Summary {
    fn from(failure: Failure) -> Self {
        let mut counts = Counts::default();
        counts.add(RowState::Pending, failure.n_pending);
        Self {
            next: failure.next,
            stopped_by: failure.stopped_by,
            rows: failure.n_pending,
            counts,
            ..Self::new(failure.exit, failure.message)
        }
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
        return format!("mend the invalid rows (--rejects wrote them), then: cmbatch replay {ledger} --from REJECTS");
    }
    format!("cmbatch export {ledger} --format csv --output results.csv")
}

/// Returns the stable name of a reason to stop.
pub(crate) const fn stop_name(reason: &StopReason) -> &'static str {
    match reason {
        StopReason::Breaker(_) => "breaker",
        StopReason::Unreachable(_) => "unreachable",
        StopReason::Stalled { .. } => "stall",
        StopReason::NotAsAsked { .. } => "not-as-asked",
        StopReason::FirstTimedOut { .. } => "first-timed-out",
        StopReason::Refused { .. } => "refused",
        StopReason::NotSignedIn(_) => "sign-in",
        StopReason::ApiNotFound(_) => "api-not-found",
        StopReason::Interrupted => "interrupted",
        StopReason::StoppedElsewhere => "stopped-elsewhere",
        StopReason::Ledger(_) => "ledger",
    }
}

/// Returns a reason to stop in a person's words: what happened, and whom it concerns.
pub(crate) fn stop_text(reason: &StopReason) -> (String, String) {
    let seen = |fault: &Fault| {
        let message = printable_up_to(&fault.message, MAX_REASON);
        if message.is_empty() {
            fault.code.meaning().to_owned()
        } else {
            format!("{} ({message})", fault.code.meaning())
        }
    };
    let (what, text) = match reason {
        StopReason::Breaker(Trip::InARow { failures, last, seen }) => (
            "stopped by the circuit breaker",
            format!("{failures} calls failed in a row, {}; {}", failures_seen(*last, seen), whom_it_concerns(seen)),
        ),
        StopReason::Breaker(Trip::Share { failures, calls, last, seen }) => (
            "stopped by the circuit breaker",
            format!(
                "{failures} of the last {calls} calls failed, {}; {}",
                failures_seen(*last, seen),
                whom_it_concerns(seen)
            ),
        ),
        StopReason::Unreachable(fault) => ("the server cannot be reached", format!("{}; {CHECK_THE_WAY}", seen(fault))),
        StopReason::Stalled { quiet, come_back } => {
            ("stopped because the server throttles", stalled(*quiet, *come_back, Timestamp::now()))
        }
        StopReason::NotAsAsked { row, uuid, kind, disagreements } => {
            ("the server made another request than was asked for", not_as_asked(*row, *uuid, kind, disagreements))
        }
        StopReason::FirstTimedOut { kind, row } => (
            "the first calls were not answered",
            format!(
                "two calls in a row for {kind} timed out before anything was created, row {row} the last of them; both may have been \
                 created all the same; this is for the team that runs the CM server: look whether requests hang there"
            ),
        ),
        StopReason::Refused { kind, status, n_rows, last } => {
            ("all rows were refused alike", refused(kind, *status, *n_rows, last))
        }
        // Its message says what to do.
        StopReason::NotSignedIn(fault) => ("the sign-in was not accepted", seen(fault)),
        StopReason::ApiNotFound(fault) => {
            ("there is no API at this address", format!("{}; {NO_API_REMEDY}", seen(fault)))
        }
        StopReason::Interrupted => ("interrupted", "no further row was sent".to_owned()),
        StopReason::StoppedElsewhere => ("stopped", "the run was stopped in its ledger".to_owned()),
        StopReason::Ledger(error) => ("the ledger failed", chain(error)),
    };
    (what.to_owned(), text)
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
        "row {row} ({kind}) became request {uuid}, and {}; no other row of that kind was sent; show this to the team that runs \
         the CM server, and cancel request {uuid} in the CM portal before going on{way_round}",
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
        "the first {n_rows} rows of {kind} were all answered {status}, and none was created; {advice}; once that is mended, cmbatch replay \
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
        let (what, text) = stop_text(reason);
        format!("{} {}: {what}: {text}", Exit::of_stop(reason).status(), stop_name(reason))
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
            told(&StopReason::FirstTimedOut { kind, row }),
            told(&refused(403)),
            told(&refused(400)),
            told(&StopReason::Refused { kind, status: 403, n_rows: 25, last: page }),
            told(&refused(500)),
            in_a_row(vec![(ErrorCode::Timeout, 20), (ErrorCode::Unavailable, 5)]),
            in_a_row(vec![(ErrorCode::NotConnected, 20), (ErrorCode::Timeout, 5)]),
            in_a_row(vec![(ErrorCode::NotConnected, 20), (ErrorCode::ConnectionRefused, 5)]),
        ];
        insta::assert_snapshot!(lines.join("\n"), @r#"
        4 not-as-asked: the server made another request than was asked for: row 12 (Enroll of template 07070707-0707-0707-0707-070707070707) became request 01010101-0101-0101-0101-010101010101, and it has no target, and the row's is 02020202-0202-0202-0202-020202020202; no other row of that kind was sent; show this to the team that runs the CM server, and cancel request 01010101-0101-0101-0101-010101010101 in the CM portal before going on
        4 first-timed-out: the first calls were not answered: two calls in a row for Enroll of template 07070707-0707-0707-0707-070707070707 timed out before anything was created, row 12 the last of them; both may have been created all the same; this is for the team that runs the CM server: look whether requests hang there
        5 refused: all rows were refused alike: the first 25 rows of Enroll of template 07070707-0707-0707-0707-070707070707 were all answered 403, and none was created; this is for the team that grants rights in CM: the account of this run needs the right "FIM CM Request Enroll" on the profile template and on its target users; once that is mended, cmbatch replay sends these rows again
        5 refused: all rows were refused alike: the first 25 rows of Enroll of template 07070707-0707-0707-0707-070707070707 were all answered 400, and none was created; this is for whoever made the manifest, with the team that looks after the profile template: the messages are in `cmbatch status`; once that is mended, cmbatch replay sends these rows again
        5 refused: all rows were refused alike: the first 25 rows of Enroll of template 07070707-0707-0707-0707-070707070707 were all answered 403, and none was created; the answer is a page, of what stands before CM perhaps, and says: headers are too long; this is for whoever runs that; once that is mended, cmbatch replay sends these rows again
        5 refused: all rows were refused alike: the first 25 rows of Enroll of template 07070707-0707-0707-0707-070707070707 were all answered 500, and none was created; other kinds succeed, so this is for the team that looks after the profile template; the server's event log has the correlation ids of `cmbatch export`; once that is mended, cmbatch replay sends these rows again
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
