use rusqlite::Connection;
use rusqlite::types::ValueRef;

use super::support::*;
use crate::ledger::{Requeue, Step};
use crate::request::{ErrorCode, Fault, Outcome};

/// Returns the view as `sqlite3 -header` prints it, ordered by row.
pub(super) fn results(place: &Place) -> String {
    let conn = Connection::open(&place.path).unwrap();
    let mut statement = conn.prepare("SELECT * FROM results ORDER BY row").unwrap();
    let mut lines = vec![statement.column_names().collect::<Vec<_>>().join("|")];
    let n_columns = statement.column_count();
    let mut rows = statement.query([]).unwrap();
    while let Some(row) = rows.next().unwrap() {
        let value = |column| match row.get_ref(column).unwrap() {
            ValueRef::Null => String::new(),
            ValueRef::Integer(number) => number.to_string(),
            ValueRef::Text(text) => String::from_utf8(text.to_vec()).unwrap().replace('\n', "\\n"),
            other => panic!("{other:?}"),
        };
        lines.push((0..n_columns).map(value).collect::<Vec<_>>().join("|"));
    }
    lines.join("\n")
}

#[test]
fn the_view_shows_every_row_as_text() {
    let place = Place::new();
    let rows = (1..=7).map(|number| load(full_item(number))).chain([skipped(8), invalid(9)]).collect();
    let ledger = place.started(rows);
    let mut steps = Steps::of(&ledger);
    steps.claim(6);
    let throttled = Outcome::Pending(fault(ErrorCode::Throttled, 429));
    steps
        .do_step(Step {
            record: vec![
                record(1, 1, created(0xC5)),
                record(2, 1, Outcome::Failed(fault(ErrorCode::BadRequest, 400))),
                record(3, 1, throttled.clone()),
                crate::ledger::AttemptRecord { then: Requeue::Listed, ..record(4, 1, throttled) },
            ],
            give_back: vec![(row(5), attempt(1))],
            ..Step::default()
        })
        .unwrap();
    steps.do_step(Step { claim_rows: vec![row(3)], ..Step::default() }).unwrap();
    let later = crate::ledger::AttemptRecord {
        started_at: time("2026-03-01T08:00:59.9996Z"),
        latency_us: 999,
        ..record(3, 2, Outcome::InDoubt(Fault::without_answer(ErrorCode::Timeout, "no answer")))
    };
    steps.record(vec![later]);
    let claimed_at = place.row(6).last_attempt_at.unwrap();
    let claimed_at = format!("{:.3}", jiff::Timestamp::from_millisecond(claimed_at.as_millisecond()).unwrap());
    drop(ledger);

    let who = "Enroll|01010101-0101-0101-0101-010101010101|02020202-0202-0202-0202-020202020202|\
               03030303-0303-0303-0303-030303030303";
    let (first, third) = ("2026-03-01T08:00:01.250Z", "2026-03-01T08:00:59.999Z");
    let uuid = "c5c5c5c5-c5c5-c5c5-c5c5-c5c5c5c5c5c5";
    let expected = [
        "row|id|type|profiletemplateuuid|target|smartcard|state|request_uri|request_uuid|http_status|error_code|\
         error_message|correlation_id|attempts|first_attempt_at|last_attempt_at|latency_ms"
            .to_owned(),
        format!("1|E-1|{who}|created|api/v1.0/requests/{uuid}|{uuid}|201||||1|{first}|{first}|12"),
        format!("2|E-2|{who}|failed|||400|bad-request|the server said 400|c-1|1|{first}|{first}|12"),
        format!("3|E-3|{who}|in_doubt||||timeout|no answer||2|{first}|{third}|0"),
        format!("4|E-4|{who}|pending|||429|throttled|the server said 429|c-1|1|{first}|{first}|12"),
        format!("5|E-5|{who}|pending|||||||0|||"),
        format!("6|E-6|{who}|in_doubt||||left-open|||1|{claimed_at}|{claimed_at}|"),
        format!("7|E-7|{who}|pending|||||||0|||"),
        "8||Unblock||||skipped|||||same as row 1||0|||".to_owned(),
        "9||||||invalid|||||type \"Enrol\" is not known||0|||".to_owned(),
    ];
    assert_eq!(results(&place), expected.join("\n"));

    // Taken over, the open row reads as it did.
    drop(place.open());
    assert_eq!(results(&place), expected.join("\n"));
}

#[test]
fn the_key_of_the_run_is_not_in_the_view() {
    let place = Place::new();
    let ledger = create(&place.path, vec![load(full_item(1))]).unwrap();
    let key = data_encoding::HEXLOWER.encode(ledger.run().key.as_bytes());
    assert!(!results(&place).to_lowercase().contains(&key[..16]));
    let conn = Connection::open(&place.path).unwrap();
    let sql: String =
        conn.query_row("SELECT sql FROM sqlite_schema WHERE name = 'results'", [], |row| row.get(0)).unwrap();
    assert!(!sql.contains("runs") && !sql.contains("key"), "{sql}");
    assert!(sql.contains("add ORDER BY row"), "{sql}");
}
