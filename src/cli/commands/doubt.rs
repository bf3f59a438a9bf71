//! What the server's list says of rows in doubt, for people.

use crate::cli::output::{Shell, grouped, rows};
use crate::reconcile::{Candidate, Report, WhyLeft};
use crate::request::printable;

/// How many rows are named of each kind of finding.
const MAX_NAMED: usize = 5;

/// Warns of what a person has to know: rows that the ledger had wrong, rows that exist twice, and why rows stay in doubt.
pub(crate) fn warn(report: &Report, shell: &Shell) {
    if report.found_unexpectedly > 0 {
        shell.warn(&format!(
            "the ledger is older than the server: {} that it had as not created exist there; they are created now and not \
             sent again",
            rows(report.found_unexpectedly)
        ));
    }
    for double in report.doubles.first.iter().take(MAX_NAMED) {
        let uuids: Vec<String> = double.uuids.iter().map(ToString::to_string).collect();
        shell.warn(&format!(
            "row {} exists more than once on the server: {}; it counts as the first; look at the others in the CM portal",
            double.row,
            uuids.join(", ")
        ));
    }
    if report.doubles.n > MAX_NAMED as u64 {
        shell.warn(&format!("... and {} more such rows", grouped(report.doubles.n - MAX_NAMED as u64)));
    }
    for stray in &report.strays.first {
        shell.warn(&format!(
            "request {} carries the tag of row {}, which this ledger cannot have sent: another copy of it did",
            stray.uuid, stray.row
        ));
    }
    for why in &report.why_left {
        if let Some(text) = warning(why, report.left) {
            shell.warn(&text);
        }
    }
}

/// Returns why rows stay in doubt, where that is more than a matter of time.
fn warning(why: &WhyLeft, n_left: u64) -> Option<String> {
    match why {
        WhyLeft::NotRipe { .. } => None,
        WhyLeft::Unreadable(_) if n_left == 0 => None,
        WhyLeft::Unreadable(_) => Some(format!("{} in doubt: {}", rows(n_left), printable(&why.to_string()))),
        WhyLeft::Incomplete(_) | WhyLeft::NothingKnown => Some(format!(
            "{} in doubt: {}; look for them in the CM portal, or give --trust-list where you know that \
             the list is complete",
            rows(n_left),
            printable(&why.to_string())
        )),
        WhyLeft::Contradicted { first, .. } => {
            let named: Vec<String> = first.iter().map(|row| format!("row {row}")).collect();
            Some(format!("{why}: {}; compare them in the CM portal", named.join(", ")))
        }
        WhyLeft::Ambiguous(ambiguous) | WhyLeft::LostTag(ambiguous) => {
            let named: Vec<String> = ambiguous
                .first
                .iter()
                .map(|one| {
                    let uuids: Vec<String> =
                        one.candidates.iter().map(|Candidate { uuid, .. }| uuid.to_string()).collect();
                    format!("row {} ({})", one.row, uuids.join(", "))
                })
                .collect();
            Some(format!("{why}: {}", named.join("; ")))
        }
    }
}

/// Returns why rows stay in doubt, in one sentence for the last line; none where no reason was found.
pub(crate) fn reason(report: &Report) -> Option<String> {
    report.why_left.first().map(|why| printable(&why.to_string()))
}
