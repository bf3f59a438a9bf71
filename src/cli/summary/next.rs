//! What to do next, by how a run stands: the exact command, and what a person has to do before it.

use std::path::Path;

use crate::app::{Ending, Lead, Next, Piece};
use crate::cli::commands::check::{has_row, rejects_name};
use crate::cli::invocation::{Invocation, quoted};
use crate::ledger::{Finding, FindingKind, LedgerError, RowState};
use crate::request::{ErrorCode, RowId, RunMark};
use crate::submit::{StopReason, Trip};

/// Returns what to do after a command that ended so. `is_replay` says that it put failed rows back.
pub(super) fn of(ending: &Ending, invocation: &Invocation, is_replay: bool) -> String {
    let recorded = ending.last_sent_by.as_deref().and_then(Invocation::parse);
    let run = Run { ending, invocation, recorded, is_replay };
    match &ending.stopped_by {
        Some(reason) => run.after_stop(reason),
        None if !ending.findings.is_empty() => about_findings(&ending.findings, &run),
        None => run.by_state(),
    }
}

/// A run, and how it was worked on.
struct Run<'a> {
    ending: &'a Ending,
    invocation: &'a Invocation,
    /// The command that sent rows last.
    recorded: Option<Invocation>,
    is_replay: bool,
}

impl Run<'_> {
    fn n(&self, state: RowState) -> u64 {
        self.ending.counts.get(state)
    }

    /// Returns another command on the ledger, which asks no server.
    fn local(&self, command: &str, words: &[&str]) -> String {
        self.invocation.shown_next(&Next::on_ledger(command, &self.ending.ledger, words))
    }

    /// Returns a command on the ledger that asks the server, in the way that was typed last.
    fn asking(&self, command: &str, words: &[&str]) -> String {
        let next = Next(vec![Piece::asking(command, &self.ending.ledger, words)]);
        self.invocation.way(self.recorded.as_ref()).shown_next(&next)
    }

    /// Returns the command that sends failed and pending rows again.
    fn replay(&self) -> String {
        let n = self.ending.n_left_destructive + self.ending.n_failed_destructive;
        let number = n.to_string();
        let words = ["--confirm", number.as_str()];
        self.asking("replay", if n > 0 { &words } else { &[] })
    }

    /// Returns the same command once more, with the number that it needs. Of how many rows a part has, the next run says.
    fn again(&self) -> String {
        let pending = if self.ending.is_part { 0 } else { self.ending.n_left_destructive };
        match self.invocation.command() {
            // Failed rows that it put back are pending now, and those that failed again are sent, too.
            Some("replay") if self.is_replay => {
                let failed = if self.ending.is_part { 0 } else { self.ending.n_failed_destructive };
                self.invocation.replaying_the_rest(pending + failed)
            }
            Some("submit") => self.invocation.going_on(pending),
            _ => self.invocation.again(),
        }
    }

    /// Returns the command that goes on sending.
    fn going_on(&self) -> String {
        if self.ending.sent.is_some() {
            return self.again();
        }
        let is_whole = |typed: &&Invocation| !typed.has("--ids") && self.ending.lead != Lead::NothingAskedFor;
        match self.recorded.as_ref().filter(is_whole) {
            Some(typed) if typed.command() == Some("submit") => {
                typed.going_on(if typed.has("--limit") { 0 } else { self.ending.n_left_destructive })
            }
            Some(_) | None => self.replay(),
        }
    }

    /// Returns the command that submitted this list, as it was typed where that is known.
    fn submitting(&self, list: &str) -> Invocation {
        let recorded = self.ending.submitted_by.iter().filter_map(|typed| Invocation::parse(typed));
        let mut typed = std::iter::once(self.invocation.clone()).chain(recorded);
        let found = typed.find(|typed| typed.command() == Some("submit") && typed.names(list));
        found.unwrap_or_else(|| Invocation::of_words(self.ending.submits.clone()))
    }

    /// Returns the command that tells a run to run which was loaded alone.
    pub(crate) fn starting(&self) -> String {
        let typed = self.submitting(&self.ending.manifest);
        let is_part = typed.has("--limit") || typed.has("--ids");
        typed.going_on(if is_part { 0 } else { self.ending.n_left_destructive })
    }

    /// Returns what shows what is wrong with the way to the server, and then the same command.
    fn look_into_it(&self) -> String {
        let again = self.again();
        match &self.ending.server {
            Some(server) => {
                let doctor = Next(vec![Piece::Doctor(server.clone())]);
                let doctor = self.invocation.way(self.recorded.as_ref()).shown_next(&doctor);
                format!("see what is wrong: {doctor}; then, once that is corrected: {again}")
            }
            None => format!("once that is corrected: {again}"),
        }
    }

    fn after_stop(&self, reason: &StopReason) -> String {
        let again = self.again();
        let on_the_way = |code: &ErrorCode| {
            matches!(
                code,
                ErrorCode::ConnectionRefused
                    | ErrorCode::NameNotResolved
                    | ErrorCode::TlsFailed
                    | ErrorCode::NotConnected
            )
        };
        match reason {
            StopReason::NoList(_) if self.n(RowState::InDoubt) > 0 => {
                let by_hand = self.local("settle", &["--list"]);
                format!("{}; or, where a person looks for the rows in the CM portal: {by_hand}", self.look_into_it())
            }
            StopReason::Unreachable(_)
            | StopReason::NoList(_)
            | StopReason::NotSignedIn(_)
            | StopReason::ApiNotFound(_) => self.look_into_it(),
            StopReason::Breaker(Trip::InARow { last, .. } | Trip::Share { last, .. }) if on_the_way(last) => {
                self.look_into_it()
            }
            StopReason::Breaker(_) => format!("once the server works again: {again}"),
            StopReason::Refused { .. } => format!("once that is corrected: {}", self.replay()),
            StopReason::FirstInDoubt { .. } => {
                format!("look for these rows in the CM portal: {}; then: {again}", self.local("settle", &["--list"]))
            }
            StopReason::NotAsAsked { .. } => self.by_state(),
            StopReason::NotReadBack { .. } | StopReason::NotShown(_) => {
                format!("once that is settled: {again}")
            }
            StopReason::Lacking(_) => format!("once it is known why: {again}"),
            StopReason::AnotherAtWork { .. } | StopReason::RequestedElsewhere { .. } => {
                format!("once the other one has ended: {again}")
            }
            StopReason::Ledger(LedgerError::Gone(..) | LedgerError::TakenOver(..)) => self.local("status", &[]),
            StopReason::Ledger(_) => format!("make room or repair the disk, then: {again}"),
            StopReason::Stalled { .. } | StopReason::ClockJumped | StopReason::Interrupted => again,
        }
    }

    fn by_state(&self) -> String {
        let is_left = |state| self.n(state) > 0;
        if !self.ending.is_started {
            return self.starting();
        }
        if let Some(undo) = about_contradicted(self.ending, self.invocation) {
            return undo;
        }
        if is_left(RowState::Pending) || is_left(RowState::Sending) {
            return self.going_on();
        }
        if is_left(RowState::InDoubt) {
            return self.about_doubt();
        }
        if is_left(RowState::Failed) {
            // Which rows failed, and with what words, status tells.
            let see = match self.invocation.command() {
                Some("status") => String::new(),
                Some(_) | None => format!("see which and why: {}; then: ", self.local("status", &[])),
            };
            return format!("{see}{}", self.about_failed());
        }
        if is_left(RowState::Invalid) {
            return self.about_invalid();
        }
        self.local("export", &["--format", "csv", "--output", &free_name("results.csv")])
    }

    /// What no list settles, a person does.
    fn about_doubt(&self) -> String {
        let by_hand = self.local("settle", &["--list"]);
        let ask = self.asking("reconcile", &[]);
        match &self.ending.last_list {
            None => ask,
            Some(list) if list.unreadable.is_some() => {
                format!("once the server's list can be read: {ask}; or look for the rows in the CM portal: {by_hand}")
            }
            Some(list) if list.ask_again_at.is_some() => {
                format!("ask again a few minutes later: {ask}; or look for the rows in the CM portal: {by_hand}")
            }
            Some(_) => by_hand,
        }
    }

    /// What to do before failed rows are sent again depends on why they failed.
    fn about_failed(&self) -> String {
        let replay = self.replay();
        let dropped = || self.local("drop", &["--cause", "refused", "--reason", "TEXT"]);
        let instead = |way: String| format!("{way}; or, where they are not to be sent: {}", dropped());
        match self.ending.failed_by {
            Some(ErrorCode::Forbidden) => {
                instead(format!("have the right that the account lacks (403) given to it, then: {replay}"))
            }
            Some(ErrorCode::BadRequest | ErrorCode::Refused) => {
                let name = free_name("failed.csv");
                let list = ["--format", "manifest", "--state", "failed", "--output", &name];
                let from = self.asking("replay", &["--from", &name]);
                instead(format!("{}; then, with the rows corrected in it: {from}", self.local("export", &list)))
            }
            Some(ErrorCode::ServerError) => {
                format!("have the team that runs the CM server look at it (500), then: {replay}")
            }
            Some(
                ErrorCode::ConnectionRefused
                | ErrorCode::NameNotResolved
                | ErrorCode::TlsFailed
                | ErrorCode::NotConnected
                | ErrorCode::Expired
                | ErrorCode::Throttled
                | ErrorCode::NotSignedIn
                | ErrorCode::ApiNotFound
                | ErrorCode::BadGateway
                | ErrorCode::Unavailable
                | ErrorCode::GatewayTimeout
                | ErrorCode::NoUri
                | ErrorCode::UnexpectedStatus
                | ErrorCode::Timeout
                | ErrorCode::ConnectionLost
                | ErrorCode::AnswerBroken
                | ErrorCode::LeftOpen
                | ErrorCode::Contradicted
                | ErrorCode::UuidShared,
            )
            | None => replay,
        }
    }

    /// Invalid rows are corrected in the file of rejects, which the same command writes.
    fn about_invalid(&self) -> String {
        let typed = self.submitting(&self.ending.manifest);
        let name = typed.value_of("--rejects").unwrap_or_else(|| rejects_name(Path::new(&self.ending.manifest)));
        let replay = |name: &str| self.asking("replay", &["--from", name]);
        let has = |row: &RowId| has_row(Path::new(&name), RunMark::of(self.ending.run), *row);
        let corrected = if self.ending.invalid.first().is_some_and(has) {
            format!("correct the rows in {}, then: {}", quoted(&name), replay(&name))
        } else {
            // What stands there is of another run, or of another list of this one.
            let name = free_name(&name);
            let written = typed.instead(&["--rejects", "--force", "--new", "--confirm"], &["--rejects", &name]);
            let replay = replay(&name);
            format!("write the invalid rows to a file: {written}; then, with the rows corrected in it: {replay}")
        };
        let (named, more) = named(&self.ending.invalid, self.n(RowState::Invalid));
        let words: Vec<&str> = named.iter().map(String::as_str).chain(["--reason", "TEXT"]).collect();
        let dropped = self.local("drop", &words);
        format!("{corrected}; or, where they are not to be sent: {dropped}{more}")
    }
}

/// Returns the command that tells a run to run which was loaded alone.
pub(crate) fn starting(ending: &Ending, invocation: &Invocation) -> String {
    Run { ending, invocation, recorded: None, is_replay: false }.starting()
}

/// Returns what a person has to do about requests that are not what their rows asked for. It comes before all else: until then each
/// start stops for them.
pub(crate) fn about_contradicted(ending: &Ending, invocation: &Invocation) -> Option<String> {
    let rows: Vec<RowId> = ending.contradicted.iter().map(|(row, _)| *row).collect();
    let (named, _) = named(&rows, 0);
    let words: Vec<&str> = named.iter().map(String::as_str).chain(["--not-created", "--reason", "TEXT"]).collect();
    let settle = invocation.shown_next(&Next::on_ledger("settle", &ending.ledger, &words));
    let what =
        "cancel in the CM portal the requests that are not what was asked for, and record it, which says what is next";
    (!rows.is_empty()).then(|| format!("{what}: {settle}"))
}

/// How many names are tried for a file that does not exist yet.
const MAX_NAMES: u32 = 100;

/// Returns a name that no file has: `results.csv`, `results-2.csv`.
fn free_name(name: &str) -> String {
    // One without an end is numbered at its end.
    let end = Path::new(name).extension().map_or(0, |end| end.len() + 1);
    let (stem, end) = name.split_at(name.len() - end);
    let names = std::iter::once(name.to_owned()).chain((2..MAX_NAMES).map(|n| format!("{stem}-{n}{end}")));
    let mut free = names.filter(|name| Path::new(name).symlink_metadata().is_err());
    free.next().unwrap_or_else(|| name.to_owned())
}

/// How many rows a command names.
const MAX_ROWS: usize = 5;

/// Returns the words that name these rows to a command, and what is said of the others.
fn named(rows: &[RowId], n_rows: u64) -> (Vec<String>, String) {
    let n_more = n_rows.saturating_sub(rows.len() as u64);
    let more = if n_more > 0 { format!("; and likewise of the others ({n_more})") } else { String::new() };
    (rows.iter().flat_map(|row| ["--row".to_owned(), row.to_string()]).collect(), more)
}

/// Returns what to do about findings, by their kinds, and how to close them.
fn about_findings(findings: &[Finding], run: &Run<'_>) -> String {
    let has = |kinds: &[FindingKind]| findings.iter().any(|finding| kinds.contains(&finding.kind));
    let are_skipped = |finding: &Finding| finding.kind == FindingKind::SkippedGone;
    let mut rows: Vec<RowId> = findings.iter().filter_map(|finding| finding.row).collect();
    rows.sort_unstable();
    rows.dedup();
    let n_rows = rows.len() as u64;
    rows.truncate(MAX_ROWS);
    let (named, more) = named(&rows, n_rows);
    let with = |more: &[&'static str]| named.iter().map(String::as_str).chain(more.iter().copied()).collect::<Vec<_>>();
    let looked_at = run.local("settle", &with(&["--looked-at", "--reason", "TEXT"]));
    if findings.iter().all(are_skipped) {
        return format!(
            "look in the CM portal why these requests came to nothing; to send the rows all the same: {}; \
             or, where they are not to be sent: {looked_at}{more}",
            run.local("drop", &with(&["--undo"]))
        );
    }
    // Of a row whose answers were lost each time only a person can say whether it exists.
    if findings.iter().any(|finding| finding.uuids.is_empty()) {
        let list = run.local("settle", &["--list"]);
        return format!("look for the rows named above in the CM portal, and record what is there: {list}");
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
        "{}, then: {}; or, where that still tells of them: {looked_at}{more}",
        first.join(", "),
        run.asking("settle", &["--all"])
    )
}

#[cfg(test)]
mod tests {
    use std::ffi::OsString;

    use super::*;
    use crate::client::ReadError;
    use crate::ledger::RowState;
    use crate::reconcile::Report;
    use crate::report::Counts;
    use crate::request::{Fault, Guid, RequestKind, RequestType, RequestUuid, RunId};

    fn ending(rows: &[(RowState, u64)]) -> Ending {
        let mut counts = Counts::default();
        rows.iter().for_each(|(state, n)| counts.add(*state, *n));
        Ending {
            ledger: "wave.ledger".into(),
            run: RunId::from_bytes([7; 16]),
            counts,
            n_elsewhere: 0,
            lead: Lead::None,
            sent: None,
            stopped_by: None,
            last_list: None,
            is_audited: false,
            unchecked: None,
            findings: Vec::new(),
            unrecorded: Vec::new(),
            is_part: false,
            n_left_destructive: 0,
            n_failed_destructive: 0,
            invalid: Vec::new(),
            contradicted: Vec::new(),
            failed_by: None,
            last_sent_by: Some("cmbatch submit wave.csv --token-file t --rate 5/s".to_owned()),
            submitted_by: vec!["cmbatch submit wave.csv --token-file t --rate 5/s".to_owned()],
            is_started: true,
            submits: Vec::new(),
            server: Some("https://cm.test".to_owned()),
            manifest: "wave.csv".to_owned(),
        }
    }

    fn after(typed: &str, ending: &Ending) -> String {
        let argv: Vec<OsString> = typed.split(' ').map(Into::into).collect();
        of(ending, &Invocation::new(&argv), typed.starts_with("cmbatch replay"))
    }

    fn told(ending: &Ending) -> String {
        after("cmbatch status wave.ledger", ending)
    }

    #[test]
    fn what_is_left_says_what_to_do_and_each_command_has_what_it_needs() {
        let failed =
            |code| Ending { failed_by: Some(code), ..ending(&[(RowState::Created, 4), (RowState::Failed, 1)]) };
        let doubtful = ending(&[(RowState::InDoubt, 2)]);
        let nothing_proven = Ending { last_list: Some(Report::default()), ..ending(&[(RowState::InDoubt, 2)]) };
        let revocations = Ending {
            n_left_destructive: 3,
            n_failed_destructive: 2,
            failed_by: Some(ErrorCode::Forbidden),
            ..ending(&[(RowState::Pending, 3), (RowState::Failed, 2)])
        };
        let lines = [
            told(&ending(&[(RowState::Pending, 3)])),
            told(&revocations),
            told(&doubtful),
            after("cmbatch reconcile wave.ledger", &nothing_proven),
            told(&failed(ErrorCode::Forbidden)),
            told(&failed(ErrorCode::BadRequest)),
            told(&failed(ErrorCode::ServerError)),
            told(&failed(ErrorCode::NotConnected)),
            told(&Ending {
                failed_by: Some(ErrorCode::Forbidden),
                n_failed_destructive: 2,
                ..ending(&[(RowState::Failed, 2)])
            }),
            told(&Ending {
                invalid: vec![RowId::new(3).unwrap(), RowId::new(8).unwrap()],
                ..ending(&[(RowState::Invalid, 2)])
            }),
            told(&ending(&[(RowState::Created, 4)])),
        ];
        insta::assert_snapshot!(lines.join("\n"), @r"
        cmbatch submit wave.csv --token-file t --rate 5/s
        cmbatch submit wave.csv --token-file t --rate 5/s --confirm 3
        cmbatch reconcile wave.ledger --token-file t
        cmbatch settle wave.ledger --list
        have the right that the account lacks (403) given to it, then: cmbatch replay wave.ledger --token-file t --rate 5/s; or, where they are not to be sent: cmbatch drop wave.ledger --cause refused --reason TEXT
        cmbatch export wave.ledger --format manifest --state failed --output failed.csv; then, with the rows corrected in it: cmbatch replay wave.ledger --from failed.csv --token-file t --rate 5/s; or, where they are not to be sent: cmbatch drop wave.ledger --cause refused --reason TEXT
        have the team that runs the CM server look at it (500), then: cmbatch replay wave.ledger --token-file t --rate 5/s
        cmbatch replay wave.ledger --token-file t --rate 5/s
        have the right that the account lacks (403) given to it, then: cmbatch replay wave.ledger --confirm 2 --token-file t --rate 5/s; or, where they are not to be sent: cmbatch drop wave.ledger --cause refused --reason TEXT
        write the invalid rows to a file: cmbatch submit wave.csv --token-file t --rate 5/s --rejects wave.rejects.csv; then, with the rows corrected in it: cmbatch replay wave.ledger --from wave.rejects.csv --token-file t --rate 5/s; or, where they are not to be sent: cmbatch drop wave.ledger --row 3 --row 8 --reason TEXT
        cmbatch export wave.ledger --format csv --output results.csv
        ");
    }

    #[test]
    fn no_command_that_just_failed_is_next_without_what_has_to_be_done_before_it() {
        let kind = RequestKind { request_type: RequestType::Enroll, template: Some(Guid::from_bytes([7; 16])) };
        let stopped = |typed: &str, reason| {
            let ending =
                Ending { stopped_by: Some(reason), ..ending(&[(RowState::Pending, 5), (RowState::InDoubt, 1)]) };
            after(typed, &ending)
        };
        let status =
            |status| ReadError::Status { status, message: "no".into(), correlation_id: None, retry_after: None };
        let fault = |code| Fault::without_answer(code, "gone");
        let submit = "cmbatch submit wave.csv --server cm.test --token-file t --confirm 5";
        let lines = [
            stopped("cmbatch settle wave.ledger", StopReason::NoList(status(403))),
            stopped("cmbatch reconcile wave.ledger --server cm.test", StopReason::NoList(status(500))),
            stopped(submit, StopReason::Unreachable(fault(ErrorCode::ConnectionRefused))),
            stopped(submit, StopReason::NotSignedIn(fault(ErrorCode::NotSignedIn))),
            stopped(submit, StopReason::Refused { kind, status: 403, n_rows: 25, last: fault(ErrorCode::Forbidden) }),
            stopped(submit, StopReason::FirstInDoubt { kind, rows: Vec::new() }),
            stopped(submit, StopReason::Interrupted),
        ];
        insta::assert_snapshot!(lines.join("\n"), @r"
        see what is wrong: cmbatch doctor --server https://cm.test --token-file t; then, once that is corrected: cmbatch settle wave.ledger; or, where a person looks for the rows in the CM portal: cmbatch settle wave.ledger --list
        see what is wrong: cmbatch doctor --server cm.test; then, once that is corrected: cmbatch reconcile wave.ledger --server cm.test; or, where a person looks for the rows in the CM portal: cmbatch settle wave.ledger --list
        see what is wrong: cmbatch doctor --server cm.test --token-file t; then, once that is corrected: cmbatch submit wave.csv --server cm.test --token-file t
        see what is wrong: cmbatch doctor --server cm.test --token-file t; then, once that is corrected: cmbatch submit wave.csv --server cm.test --token-file t
        once that is corrected: cmbatch replay wave.ledger --server cm.test --token-file t
        look for these rows in the CM portal: cmbatch settle wave.ledger --list; then: cmbatch submit wave.csv --server cm.test --token-file t
        cmbatch submit wave.csv --server cm.test --token-file t
        ");
    }

    #[test]
    fn what_to_do_about_findings_depends_on_their_kinds_and_names_their_rows() {
        let uuids = vec![RequestUuid::new(Guid::from_bytes([1; 16]))];
        let finding =
            |kind, number| Finding { kind, row: RowId::new(number), uuids: uuids.clone(), detail: String::new() };
        let told = |kinds: &[FindingKind]| {
            let findings: Vec<Finding> = (20..).zip(kinds).map(|(number, kind)| finding(*kind, number)).collect();
            told(&Ending { findings, ..ending(&[]) })
        };
        let findings = vec![Finding { uuids: Vec::new(), ..finding(FindingKind::Missing, 20) }];
        let lost_twice = self::told(&Ending { findings, ..ending(&[]) });
        let lines = [
            told(&[FindingKind::Double, FindingKind::Elsewhere]),
            told(&[FindingKind::Unsent]),
            told(&[FindingKind::Missing; 6]),
            told(&[FindingKind::SkippedGone; 2]),
            told(&FindingKind::ALL[1..]),
            lost_twice,
        ];
        insta::assert_snapshot!(lines.join("\n"), @r"
        look at the requests named above in the CM portal, cancel there what is too many, then: cmbatch settle wave.ledger --all --token-file t; or, where that still tells of them: cmbatch settle wave.ledger --row 20 --row 21 --looked-at --reason TEXT
        look at the requests named above in the CM portal, cancel there what nobody wants, then: cmbatch settle wave.ledger --all --token-file t; or, where that still tells of them: cmbatch settle wave.ledger --row 20 --looked-at --reason TEXT
        look at the requests named above in the CM portal, find out why the list lacks what is missing, then: cmbatch settle wave.ledger --all --token-file t; or, where that still tells of them: cmbatch settle wave.ledger --row 20 --row 21 --row 22 --row 23 --row 24 --looked-at --reason TEXT; and likewise of the others (1)
        look in the CM portal why these requests came to nothing; to send the rows all the same: cmbatch drop wave.ledger --row 20 --row 21 --undo; or, where they are not to be sent: cmbatch settle wave.ledger --row 20 --row 21 --looked-at --reason TEXT
        look at the requests named above in the CM portal, cancel there what is too many, cancel there what nobody wants, find out why the list lacks what is missing, find out why requests came to nothing for which rows were left out, then: cmbatch settle wave.ledger --all --token-file t; or, where that still tells of them: cmbatch settle wave.ledger --row 20 --row 21 --row 22 --row 23 --looked-at --reason TEXT
        look for the rows named above in the CM portal, and record what is there: cmbatch settle wave.ledger --list
        ");
    }
}
