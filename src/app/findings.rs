//! What a list shows to be wrong that no state of a row tells: kept in the ledger until a list or a person closes it.

use super::look::uuids;
use super::words::grouped;
use crate::ledger::{Finding, FindingKind};
use crate::reconcile::{Audit, Report, Some5};
use crate::request::RequestUuid;

/// Returns the findings of a list that ended well. Only the first few of each kind are named; how many more there are stands in the
/// last one.
pub(super) fn of_report(report: &Report) -> Vec<Finding> {
    let Audit { missing, probe, elsewhere, come_to_nothing, still_open, .. } = &report.audit;
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
    for stray in &report.strays.first {
        let state =
            stray.state.map_or("is not in this ledger".to_owned(), |state| format!("is {state} and another one here"));
        let detail = format!("request {} carries the tag of row {}, which {state}", stray.uuid, stray.row);
        all.push(finding(FindingKind::Unsent, Some(stray.row), vec![stray.uuid], detail));
    }
    say_more(&mut all, &report.strays);
    for gap in missing.first.iter().filter(|gap| Some(*gap) != probe.as_ref()) {
        let detail = format!(
            "row {} was created as request {}, and the server's list does not have it, though it has earlier and later ones",
            gap.row, gap.uuid
        );
        all.push(finding(FindingKind::Missing, Some(gap.row), vec![gap.uuid], detail));
    }
    say_more(&mut all, missing);
    if let Some(gap) = probe {
        let detail = format!(
            "row {} was not in the server's list and was sent again, and no list shows that request, {}, since: the row may exist twice",
            gap.row, gap.uuid
        );
        all.push(finding(FindingKind::Missing, Some(gap.row), vec![gap.uuid], detail));
    }
    for (row, [own, other]) in &elsewhere.first {
        let detail = format!("row {row} was created as request {own}, and another run requested the same, as {other}");
        all.push(finding(FindingKind::Elsewhere, Some(*row), vec![*own, *other], detail));
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

/// What stands between what is said of a finding and how many more of its kind there are.
const MORE: (&str, &str) = ("; and ", " more");

/// Has the last finding, which is the last that is named of these, say how many more there are.
fn say_more<T>(all: &mut [Finding], of: &Some5<T>) {
    let n_more = of.n.saturating_sub(of.first.len() as u64);
    if let Some(last) = all.last_mut().filter(|_| n_more > 0) {
        last.detail.push_str(&format!("{}{}{}", MORE.0, grouped(n_more), MORE.1));
    }
}

/// Returns how many findings there are, those included that none is kept of.
pub fn n_findings(named: &[Finding]) -> u64 {
    let n_more = |finding: &Finding| {
        let (_, end) = finding.detail.rsplit_once(MORE.0)?;
        end.strip_suffix(MORE.1)?.replace(',', "").parse::<u64>().ok()
    };
    named.len() as u64 + named.iter().filter_map(n_more).sum::<u64>()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::reconcile::Gap;
    use crate::request::{Guid, RowId};

    #[test]
    fn the_last_one_that_is_named_says_how_many_more_there_are() {
        let gap = |number: u32| Gap {
            row: RowId::new(number).unwrap(),
            uuid: RequestUuid::new(Guid::from_bytes([number.try_into().unwrap(); 16])),
        };
        let missing = |n, named| Report {
            audit: Audit { missing: Some5 { n, first: (1..=named).map(gap).collect() }, ..Audit::default() },
            ..Report::default()
        };
        for (n, named, said) in [
            (0, 0, None),
            (3, 3, None),
            (5, 5, None),
            (6, 5, Some("; and 1 more")),
            (1_705, 5, Some("; and 1,700 more")),
        ] {
            let found = of_report(&missing(n, named));
            assert_eq!((found.len() as u64, n_findings(&found)), (named.into(), n));
            let ends = |finding: &Finding| said.is_some_and(|said| finding.detail.ends_with(said));
            assert_eq!(found.iter().position(ends), said.map(|_| 4), "{found:?}");
        }
    }
}
