//! What a list shows to be wrong that no state of a row tells: kept in the ledger until a list or a person closes it.

use super::look::uuids;
use super::words::grouped;
use crate::ledger::{Finding, FindingKind};
use crate::reconcile::{Audit, Firsts, Report};
use crate::request::{RequestUuid, RowId};

/// Returns that more than one request stands for a row that is left out.
pub(super) fn elsewhere_twice(row: RowId, all: Vec<RequestUuid>) -> Finding {
    let detail = format!("row {row} was requested more than once from other ledgers: {}", uuids(&all));
    Finding { kind: FindingKind::Elsewhere, row: Some(row), uuids: all, detail }
}

/// Returns the findings of a list that ended well. Only the first few of each kind are named; how many more there are stands in the
/// last one.
pub(super) fn of_report(report: &Report) -> Vec<Finding> {
    let Audit { missing, again, elsewhere, come_to_nothing, still_open, .. } = &report.audit;
    let mut all = still_open.clone();
    let finding = |kind, row, uuids: Vec<RequestUuid>, detail: String| Finding { kind, row, uuids, detail };
    for double in &report.doubles.first {
        let detail = format!(
            "row {} exists more than once on the server: {}; the first one counts as the row's",
            double.row,
            uuids(&double.uuids)
        );
        all.push(finding(FindingKind::Double, Some(double.row), double.uuids.clone(), detail));
    }
    say_more(&mut all, &report.doubles);
    for (row, [own, answered]) in &report.answered.first {
        let detail = format!(
            "row {row} is request {own} by its tag, and was answered with {answered}, which the server's list does not have: where that \
             exists, too, the row exists twice"
        );
        all.push(finding(FindingKind::Missing, Some(*row), vec![*own, *answered], detail));
    }
    say_more(&mut all, &report.answered);
    for stray in &report.strays.first {
        let state =
            stray.state.map_or("is not in this ledger".to_owned(), |state| format!("is {state} and another one here"));
        let detail = format!("request {} carries the tag of row {}, which {state}", stray.uuid, stray.row);
        all.push(finding(FindingKind::Unsent, Some(stray.row), vec![stray.uuid], detail));
    }
    say_more(&mut all, &report.strays);
    for gap in &missing.first {
        let detail = format!(
            "row {} was created as request {}, and the server's list does not have it, though it has earlier and later ones",
            gap.row, gap.uuid
        );
        all.push(finding(FindingKind::Missing, Some(gap.row), vec![gap.uuid], detail));
    }
    say_more(&mut all, missing);
    for gap in &again.first {
        let detail = format!(
            "row {} was not in the server's list and was sent again, and no list shows that request, {}, since: the row may exist twice",
            gap.row, gap.uuid
        );
        all.push(finding(FindingKind::Missing, Some(gap.row), vec![gap.uuid], detail));
    }
    say_more(&mut all, again);
    for (row, own, others) in &elsewhere.first {
        let detail =
            format!("row {row} was created as request {own}, and another run requested the same, as {}", uuids(others));
        let all_of_it = std::iter::once(*own).chain(others.iter().copied()).collect();
        all.push(finding(FindingKind::Elsewhere, Some(*row), all_of_it, detail));
    }
    say_more(&mut all, elsewhere);
    for (row, uuid, status) in come_to_nothing {
        let what = status.map_or("is gone from the server's list".to_owned(), |status| format!("is {status}"));
        let detail =
            format!("request {uuid}, for which row {row} was left out, {what}; drop --undo --row {row} takes it back");
        all.push(finding(FindingKind::SkippedGone, Some(*row), vec![*uuid], detail));
    }
    all
}

/// Has the last finding, which is the last that is named of these, say how many more there are.
fn say_more<T, const MAX: usize>(all: &mut [Finding], of: &Firsts<T, MAX>) {
    let n_more = of.n.saturating_sub(of.first.len() as u64);
    if let Some(last) = all.last_mut().filter(|_| n_more > 0) {
        last.detail = format!("{}; and {} more", last.detail, grouped(n_more));
    }
}

#[cfg(test)]
mod tests;
