//! That all ways of reading a ledger tell the same.

use std::collections::BTreeMap;

use super::support::*;
use super::view::results;
use crate::ledger::{Reader, ResultRow, RowState};
use crate::request::{ErrorCode, RowId};

/// Checks everything that a reader tells against the rows as it tells them one by one.
pub(super) fn check_agreement(place: &Place, reader: &Reader, rows: &[ResultRow]) {
    check_tallies(reader, rows);
    check_view(place, rows);
    check_lookups(reader, rows);
}

fn check_tallies(reader: &Reader, rows: &[ResultRow]) {
    let mut counted = BTreeMap::new();
    for row in rows {
        let has_cause = matches!(row.state, RowState::Pending | RowState::Failed | RowState::InDoubt);
        *counted.entry((row.state, row.error_code.filter(|_| has_cause))).or_insert(0) += 1;
    }
    let tallied: BTreeMap<_, _> =
        reader.tallies().unwrap().into_iter().map(|tally| ((tally.state, tally.code), tally.n)).collect();
    assert_eq!(tallied, counted);
}

fn check_view(place: &Place, rows: &[ResultRow]) {
    let view = results(place);
    let lines: Vec<Vec<&str>> = view.lines().skip(1).map(|line| line.split('|').collect()).collect();
    assert_eq!(lines.len(), rows.len());
    for (line, row) in lines.iter().zip(rows) {
        let state = if row.state == RowState::Sending { RowState::InDoubt } else { row.state };
        assert_eq!((line[0], line[6]), (row.row.to_string().as_str(), state.as_str()));
        assert_eq!(line[13], row.attempts.to_string(), "attempts of row {}", row.row);
        for (column, at) in [(14, row.first_attempt_at), (15, row.last_attempt_at)] {
            let millis = at.map(|at| jiff::Timestamp::from_millisecond(at.as_millisecond()).unwrap());
            assert_eq!(line[column], millis.map_or_else(String::new, |at| format!("{at:.3}")), "row {}", row.row);
        }
        if row.state != RowState::Sending {
            assert_eq!(line[10], row.error_code.map_or("", ErrorCode::as_str), "row {}", row.row);
            assert_eq!(
                line[9],
                row.http_status.map_or_else(String::new, |status| status.to_string()),
                "row {}",
                row.row
            );
            assert_eq!(line[8], row.request_uuid.map_or_else(String::new, |uuid| uuid.to_string()), "row {}", row.row);
            let invalid = row.invalid.as_ref().map(|invalid| &invalid.errors);
            let message = row.error_message.as_ref().or(invalid).or(row.skipped.as_ref());
            assert_eq!(line[11], message.map_or("", String::as_str), "row {}", row.row);
        }
    }
}

fn check_lookups(reader: &Reader, rows: &[ResultRow]) {
    let numbers =
        |state: RowState| -> Vec<RowId> { rows.iter().filter(|row| row.state == state).map(|row| row.row).collect() };
    let doubtful = reader.in_doubt(0, u32::MAX).unwrap();
    assert_eq!(doubtful.iter().map(|row| row.row).collect::<Vec<_>>(), numbers(RowState::InDoubt));
    assert_eq!(reader.n_in_doubt().unwrap(), doubtful.len() as u64);
    for doubt in &doubtful {
        let row = rows.iter().find(|row| row.row == doubt.row).unwrap();
        assert_eq!((doubt.code, doubt.started_at), (row.error_code, row.last_attempt_at), "row {}", row.row);
        assert_eq!((&doubt.id, doubt.place, Some(&doubt.request)), (&row.id, row.place, row.request.as_ref()));
    }
    assert_eq!(reader.pending(0, u32::MAX).unwrap(), numbers(RowState::Pending));
    let mut in_order = Vec::new();
    reader.created_in_order(|created| in_order.push(created)).unwrap();
    assert!(in_order.is_sorted_by_key(|created| (created.session, created.started_at, created.row)));
    let mut created: Vec<_> = in_order.iter().map(|created| (created.row, Some(created.uuid))).collect();
    created.sort();
    let known: Vec<_> = rows.iter().filter(|row| row.state == RowState::Created).collect();
    assert_eq!(created, known.iter().map(|row| (row.row, row.request_uuid)).collect::<Vec<_>>());
    let marks = reader.created_marks().unwrap();
    for row in known {
        let uuid = row.request_uuid.unwrap();
        assert_eq!((reader.row_of_uuid(uuid).unwrap(), marks.has(row.row, uuid, None, None)), (Some(row.row), true));
    }
    for row in rows {
        let facts = reader.facts(row.row).unwrap().unwrap();
        assert_eq!((facts.state, &facts.request, facts.uuid), (row.state, &row.request, row.request_uuid));
    }
    assert_eq!(reader.facts(row(u32::MAX)).unwrap(), None);
}
