use rusqlite::Connection;

use super::support::*;
use crate::ledger::{AttemptRecord, Item, LedgerError, LoadRow, RowState, RowVerdict};
use crate::request::{CreateRequest, ErrorCode, Outcome, RequestKind, RequestType};

fn kind(request_type: RequestType, template: Option<u8>) -> RequestKind {
    RequestKind { request_type, template: template.map(guid) }
}

fn of_kind(number: u32, kind: RequestKind) -> LoadRow {
    let item = bare_item(number, kind.request_type);
    load(Item { request: CreateRequest { template: kind.template, ..item.request }, ..item })
}

#[test]
fn the_first_created_row_of_a_kind_is_kept_with_what_was_read_back() {
    let place = Place::new();
    let enroll = kind(RequestType::Enroll, Some(1));
    let renew = kind(RequestType::Renew, None);
    let other = kind(RequestType::Enroll, Some(2));
    let rows = [enroll, renew, enroll, other, renew].into_iter().zip(1..).map(|(kind, number)| of_kind(number, kind));
    let ledger = place.started(rows.collect());
    let note = |kind: RequestKind, text: &str| block_on(ledger.note_read_back(kind, text.to_owned()));
    assert_eq!(place.reader().kinds().unwrap(), []);
    let refused = note(enroll, "too early").unwrap_err();
    assert!(matches!(&refused, LedgerError::Refused(why) if *why == format!("no {enroll} was created")), "{refused}");
    let mut steps = Steps::of(&ledger);
    steps.claim(4);
    steps.record(vec![record(3, 1, created(3))]);
    steps.record(vec![record(1, 1, created(1))]);
    ledger.resolve_blocking(vec![resolution(5, RowVerdict::Exists(uri(5)))], None).unwrap();
    note(renew, "tag missing").unwrap();
    note(renew, "as sent").unwrap();
    let told = || -> Vec<_> {
        let kinds = place.reader().kinds().unwrap();
        kinds.into_iter().map(|one| (one.kind, one.row.get(), *one.uuid.guid(), one.read_back)).collect()
    };
    let mut expected = vec![(enroll, 3, guid(3), None), (renew, 5, guid(5), Some("as sent".to_owned()))];
    assert_eq!(told(), expected);
    drop(ledger);
    let ledger = place.open();
    ledger
        .resolve_blocking(
            vec![resolution(2, RowVerdict::Exists(uri(2))), resolution(4, RowVerdict::Exists(uri(4)))],
            None,
        )
        .unwrap();
    expected.insert(1, (other, 4, guid(4), None));
    assert_eq!(told(), expected);
}

#[test]
fn rows_in_doubt_come_in_pages_with_what_is_needed_to_settle_them() {
    let place = Place::new();
    let ledger = place.started((1..=6).map(|number| load(full_item(number))).collect());
    let mut steps = Steps::of(&ledger);
    steps.claim(5);
    let in_doubt = || Outcome::InDoubt(fault(ErrorCode::Unavailable, 503));
    steps.record([1, 2, 4].map(|number| record(number, 1, in_doubt())).into());
    ledger
        .resolve_blocking(vec![resolution(1, RowVerdict::Exists(uri(1))), resolution(2, RowVerdict::Absent)], None)
        .unwrap();
    assert_eq!(steps.claim(1), [(2, 2)]);
    steps.record(vec![record(2, 2, in_doubt())]);
    let numbers = |after, limit| -> Vec<u32> {
        place.reader().in_doubt(after, limit).unwrap().iter().map(|one| one.row.get()).collect()
    };
    assert_eq!((numbers(0, 9), numbers(0, 1), numbers(2, 9), numbers(4, 9)), (vec![2, 4], vec![2], vec![4], vec![]));
    let doubt = place.reader().in_doubt(0, 1).unwrap().remove(0);
    assert_eq!((doubt.attempt, doubt.session, doubt.counted_attempts), (attempt(2), 1, 2));
    assert_eq!((doubt.id.as_deref(), doubt.request), (Some("E-2"), full_item(2).request));
    assert_eq!(doubt.started_at, Some(time("2026-03-01T08:00:01.25Z")));
    assert!(doubt.recorded_at > time("2026-03-02T00:00:00Z"));
    // Rows that are being sent are in doubt once their process is gone, before and after another one takes over.
    drop(ledger);
    assert_eq!(numbers(0, 9), [2, 3, 4, 5]);
    let open = place.reader().in_doubt(2, 1).unwrap().remove(0);
    assert_eq!((open.code, open.session, open.counted_attempts), (Some(ErrorCode::LeftOpen), 1, 0));
    assert_eq!(open.started_at, Some(open.recorded_at));
    let ledger = place.open();
    assert_eq!(numbers(0, 9), [2, 3, 4, 5]);
    let taken = place.reader().in_doubt(2, 1).unwrap().remove(0);
    // The session that made the attempt is the dead one.
    assert_eq!((taken.code, taken.session, taken.started_at), (open.code, 1, open.started_at));
    assert_eq!((open.recorded_by, taken.recorded_by), (1, ledger.session()));
    let reasons = place.reader().failures(9).unwrap();
    let left_open = reasons.iter().find(|reason| reason.code == Some(ErrorCode::LeftOpen)).unwrap();
    assert_eq!(
        (left_open.n, left_open.row, &left_open.message),
        (2, Some(row(3)), &None),
        "nobody said anything of it"
    );
}

#[test]
fn created_rows_come_in_the_order_in_which_they_came_to_be() {
    let place = Place::new();
    let ledger = place.started(bare_rows(6));
    let mut steps = Steps::of(&ledger);
    steps.claim(4);
    let at = |number: u32, tries, minute: i8, outcome| AttemptRecord {
        started_at: time("2026-03-01T08:00:00Z") + jiff::SignedDuration::from_mins(minute.into()),
        ..record(number, tries, outcome)
    };
    steps.record(vec![
        at(1, 1, 9, created(1)),
        at(2, 1, 3, Outcome::InDoubt(fault(ErrorCode::Timeout, 504))),
        at(3, 1, 5, created(3)),
    ]);
    drop(ledger);
    let ledger = place.open();
    let mut steps = Steps::of(&ledger);
    assert_eq!(steps.claim(1), [(5, 1)]);
    steps.record(vec![at(5, 1, 0, created(5))]);
    // Row 4 was left open by the first session, row 6 was never sent by this ledger.
    let verdicts = [2, 4, 6].map(|number| resolution(number, RowVerdict::Exists(uri(number))));
    ledger.resolve_blocking(verdicts.into(), None).unwrap();
    ledger.resolve_blocking(vec![resolution(3, RowVerdict::Contradicted)], None).unwrap();
    let mut told = Vec::new();
    place.reader().created_in_order(|created| told.push((created.session, created.row.get(), created.uuid))).unwrap();
    assert_eq!(told, [(1, 2, uuid(2)), (1, 1, uuid(1)), (1, 4, uuid(4)), (2, 5, uuid(5)), (2, 6, uuid(6))]);
}

#[test]
fn facts_are_known_of_every_row() {
    let place = Place::new();
    let ledger = place.started(vec![load(full_item(1)), load(full_item(2)), skipped(3), invalid(4)]);
    let mut steps = Steps::of(&ledger);
    steps.claim(2);
    steps.record(vec![record(1, 1, created(7))]);
    let facts = |number: u32| place.reader().facts(row(number)).unwrap();
    let first = facts(1).unwrap();
    assert_eq!((first.state, first.request), (RowState::Created, Some(full_item(1).request)));
    assert_eq!(first.uuid.map(|uuid| *uuid.guid()), Some(guid(7)));
    assert_eq!((facts(2).unwrap().state, facts(2).unwrap().uuid), (RowState::Sending, None));
    assert_eq!(facts(3).unwrap().state, RowState::Skipped);
    assert_eq!((facts(4).unwrap().state, facts(4).unwrap().request), (RowState::Invalid, None));
    assert_eq!(facts(5), None);
    drop(ledger);
    assert_eq!(facts(2).unwrap().state, RowState::InDoubt);
}

#[test]
fn rows_are_found_by_their_ids() {
    let place = Place::new();
    let ledger = place.started(vec![load(full_item(1)), load(bare_item(2, RequestType::Unblock)), invalid(3)]);
    drop(ledger);
    assert_eq!(place.reader().row_of_id("E-1").unwrap(), Some(row(1)));
    assert_eq!(place.reader().row_of_id("e-1").unwrap(), None);
    assert_eq!(place.reader().row_of_id("").unwrap(), None);
}

#[test]
fn pending_rows_are_listed_in_order() {
    let place = Place::new();
    let mut rows = bare_rows(5);
    rows.extend([skipped(6), load(bare_item(7, RequestType::Unblock))]);
    let ledger = place.started(rows);
    let mut steps = Steps::of(&ledger);
    steps.claim(3);
    steps.record(vec![record(2, 1, Outcome::Pending(fault(ErrorCode::Throttled, 429)))]);
    ledger.resolve_blocking(vec![resolution(5, RowVerdict::LeftOut)], None).unwrap();
    let pending = |after, limit| place.reader().pending(after, limit).unwrap();
    assert_eq!(
        (pending(0, 9), pending(0, 2), pending(4, 9)),
        ([2, 4, 7].map(row).into(), [2, 4].map(row).into(), vec![row(7)])
    );
}

/// What SQLite would do, one line a step.
fn plan(place: &Place, sql: &str) -> String {
    let conn = Connection::open(&place.path).unwrap();
    let mut statement = conn.prepare(&format!("EXPLAIN QUERY PLAN {sql}")).unwrap();
    let values = vec![1; statement.parameter_count()];
    let lines = statement.query_map(rusqlite::params_from_iter(values), |line| line.get::<_, String>(3)).unwrap();
    lines.map(Result::unwrap).collect::<Vec<_>>().join("\n")
}

#[test]
fn what_is_asked_often_passes_over_no_table() {
    let place = Place::new();
    drop(place.started(bare_rows(3)));
    let doubt = plan(&place, &crate::ledger::doubt::rows_in_doubt());
    assert!(doubt.contains("outcomes_in_doubt"), "{doubt}");
    let pending = plan(&place, &crate::ledger::lookup::pending_rows());
    assert!(pending.contains("MERGE (UNION ALL)"), "{pending}");
    let owner = plan(&place, &crate::ledger::lookup::rows_of_uuid());
    assert!(owner.contains("outcomes_by_uuid"), "{owner}");
    for plan in [doubt, pending, owner] {
        assert!(!plan.contains("SCAN") && !plan.contains("TEMP B-TREE"), "{plan}");
    }
}

#[test]
fn marks_tell_the_created_rows_and_no_others() {
    let place = Place::new();
    let kind = kind(RequestType::Enroll, Some(1));
    let ledger = place.started((1..=4).map(|number| of_kind(number, kind)).collect());
    let mut steps = Steps::of(&ledger);
    steps.claim(3);
    steps.record(vec![record(1, 1, created(1)), record(2, 1, Outcome::Failed(fault(ErrorCode::Forbidden, 403)))]);
    ledger.resolve_blocking(vec![resolution(4, RowVerdict::Exists(uri(4)))], None).unwrap();
    let marks = place.reader().created_marks().unwrap();
    let known = |number: u32| marks.has(row(number), uuid(number), None, None);
    assert_eq!([1, 2, 3, 4, 5].map(known), [true, false, false, true, false]);
    assert!(!marks.has(row(1), uri(4).uuid(), None, None), "another request of the row is not passed over");
    let template = kind.template;
    assert!(marks.has(row(1), uuid(1), Some(guid(9)), template), "rows without target may be for anybody");
    assert!(!marks.has(row(1), uuid(1), None, Some(guid(9))), "another template");
}
