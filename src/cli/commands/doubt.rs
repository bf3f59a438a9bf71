//! What the server's list says of a run, for people.

use std::path::Path;

use crate::app::{Ending, Next, Piece, chain};
use crate::cli::invocation::{Invocation, quoted};
use crate::cli::output::{Shell, grouped, rows};
use crate::client::ReadError;
use crate::ledger::Finding;
use crate::reconcile::{Ambiguity, Candidate, Firsts, Gap, Report, TakenOver, WhyLeft};
use crate::report::in_words;
use crate::request::{RowId, printable};

/// How many findings are shown.
const MAX_FINDINGS: usize = 20;

/// Warns of what the end of a run showed: what its last list says, or that none could be had.
pub(crate) fn warn_at_end(ending: &Ending, invocation: &Invocation, shell: &Shell) {
    if let Some(report) = &ending.last_list {
        warn(report, &ending.ledger, invocation, shell);
        warn_of_gaps(&report.audit.earlier, "earlier sessions created", &ending.ledger, invocation, shell);
    }
    if let Some(error) = &ending.unchecked {
        shell.warn(&format!(
            "the server's list could not be read once more ({}), and nothing was checked by it; look again with: {}",
            printable(&chain(error)),
            look_again(&ending.ledger, invocation)
        ));
    }
}

fn look_again(ledger: &Path, invocation: &Invocation) -> String {
    invocation.shown_next(&Next(vec![Piece::asking("settle", ledger, &["--all"])]))
}

/// Warns of what a person has to know: a ledger that is behind, and why rows stay in doubt.
pub(crate) fn warn(report: &Report, ledger: &Path, invocation: &Invocation, shell: &Shell) {
    if report.taken_over.n > 0 {
        shell.warn(&taken_over(&report.taken_over));
    }
    for stray in &report.strays.first {
        shell.warn(&format!(
            "request {} carries the tag of row {}, which this ledger cannot have sent: another copy of it did",
            stray.uuid, stray.row
        ));
    }
    if report.corrected > 0 {
        shell.warn(&format!(
            "the server answered {} with other requests than its list has under their tags; the ledger has those of the list now",
            rows(report.corrected)
        ));
    }
    let were_created = if report.audit.not_shown.n == 1 { "was created" } else { "were created" };
    warn_of_gaps(&report.audit.not_shown, were_created, ledger, invocation, shell);
    if let Some(error) = report.unreadable.as_ref().filter(|_| report.left > 0) {
        shell.warn(&format!(
            "{} in doubt: the server's list could not be read ({})",
            rows(report.left),
            printable(&error.to_string())
        ));
    }
    for why in &report.why_left {
        if let Some(text) = warning(why, report.left) {
            shell.warn(&text);
        }
    }
}

/// Warns of requests that are not what their rows asked for.
pub(crate) fn warn_of_contradicted(rows: &[(RowId, String)], shell: &Shell) {
    for (row, what) in rows {
        shell.warn(&format!("row {row} is in doubt: {}", printable(what)));
    }
}

/// Warns of what lists showed to be wrong and nobody has closed.
pub(crate) fn warn_of_findings(findings: &[Finding], ledger: Option<&str>, shell: &Shell) {
    for finding in findings.iter().take(MAX_FINDINGS) {
        shell.warn(&printable(&finding.detail));
    }
    if findings.len() > MAX_FINDINGS {
        let n_more = grouped((findings.len() - MAX_FINDINGS) as u64);
        let all = ledger.map_or_else(String::new, |ledger| {
            format!("; all of them stand in \"audit\" of: cmbatch status {} --json", quoted(ledger))
        });
        shell.warn(&format!("... and {n_more} more{all}"));
    }
}

/// Warns of rows that a list lacks, and names the first with their requests.
fn warn_of_gaps(gaps: &Firsts<Gap>, whose: &str, ledger: &Path, invocation: &Invocation, shell: &Shell) {
    if gaps.n == 0 {
        return;
    }
    let named = gaps.first.iter().map(|gap| format!("row {} ({})", gap.row, gap.uuid));
    let n_more = gaps.n.saturating_sub(gaps.first.len() as u64);
    let named: Vec<String> = named.chain((n_more > 0).then(|| format!("{} more", grouped(n_more)))).collect();
    let (n_rows, named, again) = (rows(gaps.n), named.join(", "), look_again(ledger, invocation));
    shell.warn(&format!("the server's list does not show {n_rows} that {whose}: {named}; look again with: {again}"));
}

/// Returns which rows the ledger had as not sent, and that exist.
fn taken_over(taken: &Firsts<TakenOver>) -> String {
    let named = |one: &TakenOver| match &one.dropped_by {
        Some(why) => format!("row {} was dropped ({}) and is request {}", one.row, printable(why), one.uuid),
        None => format!("row {} was {} and is request {}", one.row, in_words(one.was), one.uuid),
    };
    let named: Vec<String> = taken.first.iter().map(named).collect();
    let n_more = taken.n.saturating_sub(taken.first.len() as u64);
    let more = if n_more > 0 { format!("; and {} more", grouped(n_more)) } else { String::new() };
    let (exist, they_are, them) = if taken.n == 1 { ("exists", "it is", "it") } else { ("exist", "they are", "them") };
    format!(
        "the ledger is behind the server: {} that it had as not sent {exist} there: {}{more}; {they_are} created now and not sent again; \
         another copy of the ledger sent {them}, this one was restored, or the server did what it had answered otherwise",
        rows(taken.n),
        named.join("; ")
    )
}

/// Returns why rows stay in doubt, where that is more than a matter of time.
fn warning(why: &WhyLeft, n_left: u64) -> Option<String> {
    let said = printable(&why.to_string());
    match why {
        // The second is told of each row, at the end.
        WhyLeft::NotRipe { .. } | WhyLeft::Contradicted { .. } => None,
        WhyLeft::Incomplete { .. }
        | WhyLeft::NothingAlike { .. }
        | WhyLeft::OldEnd { .. }
        | WhyLeft::NewEnd { .. }
        | WhyLeft::Archived { .. }
        | WhyLeft::NoTime { .. } => Some(format!(
            "{} in doubt: {said}; look for them in the CM portal, or give --trust-list where you know that the list is complete",
            rows(n_left)
        )),
        WhyLeft::OtherAccount { .. }
        | WhyLeft::Unread { .. }
        | WhyLeft::Refuted { .. }
        | WhyLeft::LostAgain { .. }
        | WhyLeft::Probe { .. } => Some(format!("{} in doubt: {said}; look for them in the CM portal", rows(n_left))),
        WhyLeft::LostTag(ambiguous) | WhyLeft::Untagged(ambiguous) => {
            Some(format!("{said}: {}; look at them in the CM portal", candidates(ambiguous)))
        }
    }
}

fn candidates(ambiguous: &Firsts<Ambiguity>) -> String {
    let named = |one: &Ambiguity| {
        let uuids: Vec<String> = one.candidates.iter().map(|Candidate { uuid, .. }| uuid.to_string()).collect();
        let uuids = if uuids.is_empty() { "no request is like it".to_owned() } else { uuids.join(", ") };
        format!("row {} ({uuids})", one.row)
    };
    let named: Vec<String> = ambiguous.first.iter().map(named).collect();
    named.join("; ")
}

/// Returns why rows stay in doubt, in one sentence for the last line; none where no reason was found.
pub(crate) fn reason(report: &Report, unreadable: Option<&ReadError>) -> Option<String> {
    let unreadable = unreadable.map(|error| format!("the server's list could not be read ({error})"));
    let why = unreadable.or_else(|| report.why_left.first().map(ToString::to_string));
    why.map(|why| printable(&why))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ledger::RowState;
    use crate::request::{Guid, RequestUuid};

    fn one(number: u8, was: RowState, dropped_by: Option<&str>) -> TakenOver {
        let uuid = RequestUuid::new(Guid::from_bytes([number; 16]));
        TakenOver { row: RowId::new(number.into()).unwrap(), uuid, was, dropped_by: dropped_by.map(str::to_owned) }
    }

    #[test]
    fn rows_that_a_ledger_had_as_not_sent_are_named_with_their_requests_and_what_they_were() {
        let alone = Firsts { n: 1, first: vec![one(1, RowState::Failed, None)] };
        let several = [one(1, RowState::Pending, None), one(2, RowState::Skipped, Some("eva@host: by hand"))];
        insta::assert_snapshot!([taken_over(&alone), taken_over(&Firsts { n: 1_002, first: several.into() })].join("\n"), @r"
        the ledger is behind the server: 1 row that it had as not sent exists there: row 1 was failed and is request 01010101-0101-0101-0101-010101010101; it is created now and not sent again; another copy of the ledger sent it, this one was restored, or the server did what it had answered otherwise
        the ledger is behind the server: 1,002 rows that it had as not sent exist there: row 1 was pending and is request 01010101-0101-0101-0101-010101010101; row 2 was dropped (eva@host: by hand) and is request 02020202-0202-0202-0202-020202020202; and 1,000 more; they are created now and not sent again; another copy of the ledger sent them, this one was restored, or the server did what it had answered otherwise
        ");
    }
}
