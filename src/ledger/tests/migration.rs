use rusqlite::Connection;

use super::agreement::check_agreement;
use super::support::*;
use crate::ledger::{CreateError, KindRecord, KindRefusals, Ledger, RowState, Standing};
use crate::request::{RequestKind, RequestType, RequestUuid};

/// A ledger that the program of version 1 left when it died.
fn of_version_1() -> Place {
    let place = Place::new();
    Connection::open(&place.path).unwrap().execute_batch(include_str!("v1.sql")).unwrap();
    place
}

fn version(place: &Place) -> i64 {
    Connection::open(&place.path).unwrap().query_row("PRAGMA user_version", [], |row| row.get(0)).unwrap()
}

const STATES: [RowState; 12] = [
    RowState::Created,
    RowState::Created,
    RowState::Failed,
    RowState::InDoubt,
    RowState::Created,
    RowState::Pending,
    RowState::Pending,
    RowState::InDoubt,
    RowState::Skipped,
    RowState::Invalid,
    RowState::Pending,
    RowState::Pending,
];

fn kinds() -> [KindRecord; 2] {
    let created = |request_type, template, number, byte| KindRecord {
        kind: RequestKind { request_type, template },
        row: row(number),
        uuid: RequestUuid::new(guid(byte)),
        read_back: None,
    };
    [created(RequestType::Enroll, Some(guid(1)), 1, 0xC1), created(RequestType::Renew, None, 2, 0xC2)]
}

#[test]
fn a_ledger_of_version_1_is_read_without_being_written() {
    let place = of_version_1();
    let before = std::fs::read(&place.path).unwrap();
    let reader = place.reader();
    let rows = reader.page(0, 99, &[]).unwrap();
    assert_eq!(rows.iter().map(|row| row.state).collect::<Vec<_>>(), STATES);
    check_agreement(&place, &reader, &rows);
    assert_eq!(reader.kinds().unwrap(), kinds());
    assert_eq!(reader.refusals().unwrap(), []);
    assert_eq!(reader.row_of_id("E-7").unwrap(), Some(row(7)));
    drop(reader);
    assert_eq!(std::fs::read(&place.path).unwrap(), before);
    assert_eq!(version(&place), 1);
}

#[test]
fn a_ledger_of_version_1_is_brought_to_this_one_when_it_is_opened_to_write() {
    let place = of_version_1();
    let ledger = place.open();
    assert_eq!((ledger.standing(), ledger.session()), (Standing::Copied, 3));
    assert_eq!((version(&place), place.states()), (2, STATES.to_vec()));
    let reader = place.reader();
    assert_eq!(reader.kinds().unwrap(), kinds());
    check_agreement(&place, &reader, &reader.page(0, 99, &[]).unwrap());
    let events: Vec<_> = reader.events().unwrap().into_iter().map(|event| (event.session, event.kind)).collect();
    assert_eq!(events, [(1, "start"), (3, "migration"), (3, "takeover")].map(|(n, kind)| (n, kind.to_owned())));
    assert_eq!(reader.events().unwrap()[1].detail, "from version 1 of the tables to 2");
    let mut steps = Steps::of(&ledger);
    assert_eq!(steps.claim(9), [(6, 2), (7, 2), (11, 1), (12, 1)]);
    steps.record(vec![record(6, 2, created(6))]);
    assert_eq!(reader.kinds().unwrap(), kinds(), "both kinds were known");
    drop(ledger);
    place.open();
    assert_eq!(place.reader().events().unwrap().iter().filter(|event| event.kind == "migration").count(), 1);
}

#[test]
fn a_migration_that_is_not_committed_leaves_the_old_ledger() {
    let place = of_version_1();
    let before = dump_of_1(&place);
    let failed = Ledger::open_and_append(&machine(), &place.path, &session("submit"), |_, _| Err("no manifest"));
    assert!(matches!(failed, Err(CreateError::Feed("no manifest"))));
    assert_eq!((version(&place), dump_of_1(&place)), (1, before));
}

fn dump_of_1(place: &Place) -> Vec<String> {
    let conn = Connection::open(&place.path).unwrap();
    let mut statement = conn.prepare("SELECT name || ifnull(sql, '') FROM sqlite_schema ORDER BY name").unwrap();
    statement.query_map([], |row| row.get(0)).unwrap().collect::<Result<_, _>>().unwrap()
}

#[test]
fn a_migrated_ledger_has_the_tables_of_a_new_one() {
    let (migrated, new) = (of_version_1(), Place::new());
    drop((migrated.open(), new.started(bare_rows(1))));
    // Comments are what may differ.
    let plain = |sql: &String| -> String {
        let code = sql.lines().flat_map(|line| line.split("--").next().unwrap_or_default().split_whitespace());
        code.collect::<Vec<_>>().join(" ")
    };
    let schema = |place: &Place| dump_of_1(place).iter().map(plain).collect::<Vec<_>>();
    for (one, other) in schema(&migrated).iter().zip(schema(&new)) {
        assert_eq!(*one, other);
    }
    assert_eq!(schema(&migrated).len(), schema(&new).len());
}

#[test]
fn refusals_of_version_1_leave_out_kinds_that_were_created() {
    let place = of_version_1();
    let conn = Connection::open(&place.path).unwrap();
    conn.execute_batch("UPDATE items SET type = 'Revoke' WHERE row IN (3, 4)").unwrap();
    drop(conn);
    let revoke = RequestKind { request_type: RequestType::Revoke, template: Some(guid(1)) };
    assert_eq!(place.reader().refusals().unwrap(), [KindRefusals { kind: revoke, n_rows: 2, status: None }]);
}
