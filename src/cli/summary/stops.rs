//! Why a run stopped, for people: what was seen, whom it concerns, what to do.

use std::path::Path;
use std::time::Duration;

use jiff::Timestamp;

use crate::app::{NO_API_REMEDY, chain};
use crate::cli::invocation::quoted;
use crate::cli::output::MAX_REASON;
use crate::cli::progress::span;
use crate::reconcile::Disagreement;
use crate::request::{ErrorCode, Fault, RequestKind, RequestUuid, RowId, printable_up_to};
use crate::submit::{StopReason, Trip};

/// Returns a reason to stop in a person's words: what was seen, and whom it concerns.
pub(super) fn stop_text(reason: &StopReason, ledger: &Path) -> String {
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
            "whether {} ({kind}) came to be is not known, and the server's list has none of them as asked for; they may have been \
             created all the same; this is for the team that runs the CM server: look whether requests hang there",
            rows.iter().map(|row| format!("row {row}")).collect::<Vec<_>>().join(", ")
        ),
        StopReason::NotReadBack { kind, row, uuid, why } => format!(
            "row {row} ({kind}) was created as request {uuid}, which cannot be read ({}), so that nobody knows whether it is what was \
             asked for; no other row of that kind was sent; look at it in the CM portal; where it is right, have the account read \
             requests, or give --check-first warn",
            printable_up_to(why, MAX_REASON)
        ),
        StopReason::Lacking(n) => format!(
            "this ledger lacks what another copy of it sent, and the server's list lacks {n} requests that this run has seen there, so \
             that it may lack the other copy's, too; find out in the CM portal why, or give --trust-list where they were archived"
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
            "another run requested row {row}, too, as {uuid}, which the first list did not show yet; wait until that one has ended: the next start \
             says what it left"
        ),
        StopReason::ClockJumped => "the clock of this machine or of the server jumped".to_owned(),
        StopReason::NoList(error) => printable_up_to(&chain(error), MAX_REASON),
        StopReason::Refused { kind, status, n_rows, last } => refused(kind, *status, *n_rows, last, ledger),
        // Its message says what to do.
        StopReason::NotSignedIn(fault) => seen(fault),
        StopReason::ApiNotFound(fault) => format!("{}; {NO_API_REMEDY}", seen(fault)),
        StopReason::Interrupted => "no further row was sent".to_owned(),
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
fn refused(kind: &RequestKind, status: u16, n_rows: u32, last: &Fault, ledger: &Path) -> String {
    let ledger = quoted(&ledger.to_string_lossy());
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
        500.. => format!(
            "other kinds succeed, so this is for the team that looks after the profile template; the server's event log has the \
             correlation ids of `cmbatch export {ledger} --format csv`"
        ),
        _ => format!(
            "this is for whoever made the manifest, with the team that looks after the profile template: the messages are in \
             `cmbatch status {ledger}`"
        ),
    };
    format!("the first {n_rows} rows of {kind} were all answered {status}, and none was created; {advice}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::app::{Exit, StoppedBy};
    use crate::request::{Guid, RequestType};

    fn told(reason: &StopReason) -> String {
        let (what, text) = (reason.what(), stop_text(reason, Path::new("wave.ledger")));
        format!("{} {}: {what}: {text}", Exit::of_stop(reason).status(), StoppedBy::from(reason).name())
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
        4 first-in-doubt: the first calls were not answered: whether row 12 (Enroll of template 07070707-0707-0707-0707-070707070707) came to be is not known, and the server's list has none of them as asked for; they may have been created all the same; this is for the team that runs the CM server: look whether requests hang there
        5 refused: all rows were refused alike: the first 25 rows of Enroll of template 07070707-0707-0707-0707-070707070707 were all answered 403, and none was created; this is for the team that grants rights in CM: the account of this run needs the right "FIM CM Request Enroll" on the profile template and on its target users
        5 refused: all rows were refused alike: the first 25 rows of Enroll of template 07070707-0707-0707-0707-070707070707 were all answered 400, and none was created; this is for whoever made the manifest, with the team that looks after the profile template: the messages are in `cmbatch status wave.ledger`
        5 refused: all rows were refused alike: the first 25 rows of Enroll of template 07070707-0707-0707-0707-070707070707 were all answered 403, and none was created; the answer is a page, of what stands before CM perhaps, and says: headers are too long; this is for whoever runs that
        5 refused: all rows were refused alike: the first 25 rows of Enroll of template 07070707-0707-0707-0707-070707070707 were all answered 500, and none was created; other kinds succeed, so this is for the team that looks after the profile template; the server's event log has the correlation ids of `cmbatch export wave.ledger --format csv`
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
