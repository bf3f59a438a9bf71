//! What a list shows to be wrong that no state of a row tells: kept in the ledger until a list or a person closes it.

use super::look::uuids;
use crate::ledger::{Finding, FindingKind};
use crate::reconcile::{Audit, Report};
use crate::request::RequestUuid;

/// Returns the findings of a list that ended well. Only the first few of each kind are named; the count stands in the last one.
pub(super) fn of_report(report: &Report) -> Vec<Finding> {
    let Audit { missing, elsewhere, come_to_nothing, .. } = &report.audit;
    let mut all = Vec::new();
    let mut add = |kind, row, uuids: Vec<RequestUuid>, detail: String| all.push(Finding { kind, row, uuids, detail });
    for double in &report.doubles.first {
        let detail = format!(
            "row {} exists more than once on the server: {}; the first one counts as the row's",
            double.row,
            uuids(&double.uuids)
        );
        add(FindingKind::Double, Some(double.row), double.uuids.clone(), detail);
    }
    for stray in &report.strays.first {
        let state =
            stray.state.map_or("is not in this ledger".to_owned(), |state| format!("is {state} and another one here"));
        let detail = format!("request {} carries the tag of row {}, which {state}", stray.uuid, stray.row);
        add(FindingKind::Unsent, None, vec![stray.uuid], detail);
    }
    for gap in &missing.first {
        let detail = format!(
            "row {} was created as request {}, and the server's list does not have it, though it has earlier and later ones",
            gap.row, gap.uuid
        );
        add(FindingKind::Missing, Some(gap.row), vec![gap.uuid], detail);
    }
    for (row, uuid) in &elsewhere.first {
        let detail = format!("another run requested the same as row {row} at the same time, as {uuid}");
        add(FindingKind::Elsewhere, Some(*row), vec![*uuid], detail);
    }
    for (uuid, status) in come_to_nothing {
        let what = status.map_or("is gone from the server's list".to_owned(), |status| format!("is {status}"));
        let detail = format!("request {uuid}, for which a row was left out, {what}; drop --undo sends that row");
        add(FindingKind::SkippedGone, None, vec![*uuid], detail);
    }
    all
}

#[cfg(test)]
mod tests;
