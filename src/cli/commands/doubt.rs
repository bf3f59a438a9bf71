//! What the server's list says of a run, for people.

use crate::cli::output::{Shell, grouped, rows};
use crate::ledger::Finding;
use crate::reconcile::{Ambiguity, Candidate, Firsts, Report, WhyLeft};
use crate::request::printable;

/// How many findings are shown.
const MAX_FINDINGS: usize = 20;

/// Warns of what a person has to know: a ledger that is behind, and why rows stay in doubt.
pub(crate) fn warn(report: &Report, shell: &Shell) {
    let taken = &report.taken_over;
    if taken.n > 0 {
        shell.warn(&format!(
            "the ledger is behind the server: {} that it had as not sent exist there; another copy of it sent them, or this one was \
             restored; they are created now and not sent again",
            rows(taken.n)
        ));
    }
    for stray in &report.strays.first {
        shell.warn(&format!(
            "request {} carries the tag of row {}, which this ledger cannot have sent: another copy of it did",
            stray.uuid, stray.row
        ));
    }
    if report.corrected > 0 {
        shell.warn(&format!(
            "{} were answered with another row's request; their tags in the server's list say which is whose, and the ledger \
             has that now",
            rows(report.corrected)
        ));
    }
    if report.audit.n_not_shown > 0 {
        shell.warn(&format!(
            "the server's list does not show {} of this session yet; cmbatch settle LEDGER --all looks again",
            rows(report.audit.n_not_shown)
        ));
    }
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

/// Warns of what lists showed to be wrong and nobody has closed.
pub(crate) fn warn_of_findings(findings: &[Finding], shell: &Shell) {
    for finding in findings.iter().take(MAX_FINDINGS) {
        shell.warn(&printable(&finding.detail));
    }
    if findings.len() > MAX_FINDINGS {
        shell.warn(&format!("... and {} more", grouped((findings.len() - MAX_FINDINGS) as u64)));
    }
}

/// Returns why rows stay in doubt, where that is more than a matter of time.
fn warning(why: &WhyLeft, n_left: u64) -> Option<String> {
    let said = printable(&why.to_string());
    match why {
        WhyLeft::NotRipe { .. } => None,
        WhyLeft::Incomplete { .. }
        | WhyLeft::NothingAlike { .. }
        | WhyLeft::OldEnd { .. }
        | WhyLeft::NewEnd { .. }
        | WhyLeft::Archived { .. } => Some(format!(
            "{} in doubt: {said}; look for them in the CM portal, or give --trust-list where you know that the list is complete",
            rows(n_left)
        )),
        WhyLeft::OtherAccount { .. } | WhyLeft::Unread { .. } | WhyLeft::Probe { .. } => {
            Some(format!("{} in doubt: {said}; look for them in the CM portal", rows(n_left)))
        }
        WhyLeft::Contradicted { first, .. } => {
            let named: Vec<String> = first.iter().map(|row| format!("row {row}")).collect();
            Some(format!("{said}: {}; compare them in the CM portal", named.join(", ")))
        }
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
pub(crate) fn reason(report: &Report) -> Option<String> {
    let unreadable = report.unreadable.as_ref().map(|error| format!("the server's list could not be read ({error})"));
    let why = unreadable.or_else(|| report.why_left.first().map(ToString::to_string));
    why.map(|why| printable(&why))
}
