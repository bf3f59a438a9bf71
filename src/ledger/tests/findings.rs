use super::support::*;
use crate::ledger::{Finding, FindingKind, LedgerError};

fn finding(kind: FindingKind, about: Option<u32>, uuids: &[u32]) -> Finding {
    let detail = format!("{} seen", kind.as_str());
    Finding { kind, row: about.map(row), uuids: uuids.iter().map(|number| uuid(*number)).collect(), detail }
}

#[test]
fn findings_stay_open_with_their_first_date_until_a_list_or_a_person_says_otherwise() {
    let clock = HandClock::at(time("2026-03-01T08:00:00Z"));
    let place = Place::on(clock.machine());
    let ledger = place.created(bare_rows(3));
    let told = || -> Vec<_> {
        let open = place.reader().open_findings().unwrap();
        open.into_iter().map(|open| (open.number, open.found_at, open.session, open.finding)).collect()
    };
    let double = finding(FindingKind::Double, Some(1), &[1, 2]);
    let missing = finding(FindingKind::Missing, Some(2), &[3]);
    let first = time("2026-03-01T08:00:00Z");
    ledger.set_findings(vec![double.clone(), missing.clone(), double.clone()]).unwrap();
    assert_eq!(told(), [(1, first, 1, double.clone()), (2, first, 1, missing)]);
    drop(ledger);

    clock.pass(std::time::Duration::from_secs(60), time("2026-03-01T08:01:00Z"));
    let ledger = place.open();
    let later = time("2026-03-01T08:01:00Z");
    let elsewhere = finding(FindingKind::Elsewhere, None, &[9]);
    let turned = Finding { uuids: vec![uuid(2), uuid(1)], detail: "seen anew".to_owned(), ..double.clone() };
    ledger.set_findings(vec![elsewhere.clone(), turned]).unwrap();
    let anew = Finding { detail: "seen anew".to_owned(), ..double.clone() };
    assert_eq!(told(), [(1, first, 1, anew), (3, later, 2, elsewhere.clone())]);

    let refused = ledger.close_finding(row(2), "seen to").unwrap_err();
    assert!(matches!(&refused, LedgerError::Refused(why) if why == "no finding about row 2 is open"), "{refused}");
    ledger.close_finding(row(1), "withdrawn by hand").unwrap();
    assert_eq!(told(), [(3, later, 2, elsewhere)]);
    ledger.set_findings(vec![double.clone()]).unwrap();
    assert_eq!(told(), [], "what a person has looked at stays closed");
    let more = finding(FindingKind::Double, Some(1), &[1, 2, 5]);
    ledger.set_findings(vec![double, more.clone()]).unwrap();
    assert_eq!(told(), [(4, later, 2, more)]);
    ledger.set_findings(Vec::new()).unwrap();
    assert_eq!(told(), []);
    let reasons: Vec<String> = rusqlite::Connection::open(&place.path)
        .unwrap()
        .prepare("SELECT reason FROM findings ORDER BY finding")
        .unwrap()
        .query_map([], |line| line.get(0))
        .unwrap()
        .map(Result::unwrap)
        .collect();
    assert_eq!(reasons, ["withdrawn by hand", "not seen any more", "not seen any more", "not seen any more"]);
}

#[test]
fn accepted_requests_of_other_runs_are_kept_once() {
    let place = Place::new();
    let ledger = place.created(bare_rows(1));
    assert_eq!(place.reader().accepted_hits().unwrap(), []);
    ledger.accept_hits(vec![uuid(7), uuid(3)]).unwrap();
    drop(ledger);
    place.open().accept_hits(vec![uuid(5), uuid(7)]).unwrap();
    assert_eq!(place.reader().accepted_hits().unwrap(), [3, 5, 7].map(uuid));
}
