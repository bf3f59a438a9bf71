//! What a list shows to be wrong that no state of a row tells: kept in the ledger until a list or a person closes it.

use super::look::uuids;
use super::words::grouped;
use crate::ledger::{Finding, FindingKind};
use crate::reconcile::{Audit, Double, Firsts, Gap, Probe, Report, Stray};
use crate::request::{RequestUuid, RowId};

/// Returns that more than one request stands for a row that is left out.
pub(super) fn elsewhere_twice(row: RowId, all: Vec<RequestUuid>) -> Finding {
    let detail = format!("row {row} was requested more than once from other ledgers: {}", uuids(&all));
    Finding { kind: FindingKind::Elsewhere, row: Some(row), uuids: all, detail }
}

/// Returns the findings of a list that ended well. Only the first few of each kind are named; how many more there are stands in the
/// last one.
pub(super) fn of_report(report: &Report) -> Vec<Finding> {
    let Audit { missing, again, untagged, elsewhere, come_to_nothing, still_open, .. } = &report.audit;
    let mut all = still_open.clone();
    let finding =
        |kind, row, uuids: &[RequestUuid], detail| Finding { kind, row: Some(row), uuids: uuids.to_vec(), detail };
    tell(&mut all, &report.doubles, |Double { row, uuids: requests }| {
        let detail = format!(
            "row {row} exists more than once on the server: {}; the first one counts as the row's",
            uuids(requests)
        );
        finding(FindingKind::Double, *row, requests, detail)
    });
    if let Probe::Refuted { row, uuid } = report.probe {
        let detail = format!(
            "row {row} was not in the server's list and was sent again, and is request {uuid}, which was there already: it may exist twice"
        );
        all.push(finding(FindingKind::Double, row, &[uuid], detail));
    }
    tell(&mut all, &report.answered, |(row, [own, answered])| {
        let detail = format!(
            "row {row} is request {own} by its tag, and was answered with {answered}, which the server's list does not have: where that \
             exists, too, the row exists twice"
        );
        finding(FindingKind::Missing, *row, &[*own, *answered], detail)
    });
    tell(&mut all, &report.lost_again, |row| {
        let detail = format!(
            "row {row} was not in the server's list and was sent again, no answer came either time, and no list shows it: it may exist twice"
        );
        finding(FindingKind::Missing, *row, &[], detail)
    });
    tell(&mut all, &report.strays, |Stray { row, uuid, state }| {
        let state =
            state.map_or("is not in this ledger".to_owned(), |state| format!("is {state} and another one here"));
        let detail = format!("request {uuid} carries the tag of row {row}, which {state}");
        finding(FindingKind::Unsent, *row, &[*uuid], detail)
    });
    tell(&mut all, missing, |Gap { row, uuid }| {
        let detail = format!(
            "row {row} was created as request {uuid}, and the server's list does not have it, though it has earlier and later ones"
        );
        finding(FindingKind::Missing, *row, &[*uuid], detail)
    });
    tell(&mut all, again, |Gap { row, uuid }| {
        let detail = format!(
            "row {row} was not in the server's list and was sent again, and no list shows that request, {uuid}, since: the row may exist \
             twice"
        );
        finding(FindingKind::Missing, *row, &[*uuid], detail)
    });
    tell(&mut all, untagged, |Gap { row, uuid }| {
        let detail = format!(
            "row {row} was created as request {uuid}, which is in the server's list without the row's tag: something rewrites comments, so \
             that no list finds a row whose answer is lost"
        );
        finding(FindingKind::Missing, *row, &[*uuid], detail)
    });
    tell(&mut all, elsewhere, |(row, own, others)| {
        let detail =
            format!("row {row} was created as request {own}, and another run requested the same, as {}", uuids(others));
        finding(FindingKind::Elsewhere, *row, &[&[*own], others.as_slice()].concat(), detail)
    });
    all.extend(come_to_nothing.iter().map(|(row, uuid, status)| {
        let what = status.map_or("is gone from the server's list".to_owned(), |status| format!("is {status}"));
        let detail =
            format!("request {uuid}, for which row {row} was left out, {what}; drop --undo --row {row} takes it back");
        finding(FindingKind::SkippedGone, *row, &[*uuid], detail)
    }));
    all
}

/// Adds the findings that are named; the last of them says how many more there are.
fn tell<T, const MAX: usize>(all: &mut Vec<Finding>, of: &Firsts<T, MAX>, finding: impl Fn(&T) -> Finding) {
    let n_more = of.n.saturating_sub(of.first.len() as u64);
    all.extend(of.first.iter().map(finding));
    if let Some(last) = all.last_mut().filter(|_| n_more > 0) {
        last.detail = format!("{}; and {} more", last.detail, grouped(n_more));
    }
}

#[cfg(test)]
mod tests;
