use super::support::*;
use super::view::results;
use crate::ledger::{
    CreateError, Item, Ledger, LedgerError, LoadRow, Loader, ManifestPart, RowEvent, RowPlace, RowState, RunInfo,
    SessionEnd, Tally,
};
use crate::request::{ErrorCode, Outcome, RequestType, RowId};

fn second_part(first: u32, n_rows: u32) -> ManifestPart {
    ManifestPart { part: 2, name: "more.csv".to_owned(), first_row: row(first), ..part(n_rows) }
}

fn item(number: u32) -> LoadRow {
    let place = RowPlace { part: 2, ..bare_item(number, RequestType::Renew).place };
    load(Item { place, ..bare_item(number, RequestType::Renew) })
}

fn append(
    place: &Place,
    feed: impl FnOnce(&mut Loader, &RunInfo) -> Result<Vec<ManifestPart>, LedgerError>,
) -> Result<Ledger, LedgerError> {
    Ledger::open_and_append(&machine(), &place.path, &session("submit"), feed).map_err(|error| match error {
        CreateError::Ledger(error) | CreateError::Feed(error) => error,
    })
}

/// A ledger at rest: row 1 created, row 2 failed, row 3 pending, row 4 invalid.
fn at_rest() -> Place {
    let place = Place::new();
    let mut rows: Vec<LoadRow> = (1..=3).map(|number| load(full_item(number))).collect();
    rows.push(invalid(4));
    let ledger = place.started(rows);
    let mut steps = Steps::of(&ledger);
    steps.claim(2);
    steps.record(vec![record(1, 1, created(1)), record(2, 1, Outcome::Failed(fault(ErrorCode::Forbidden, 403)))]);
    ledger.close(SessionEnd::Finished).unwrap();
    place
}

#[test]
fn a_further_manifest_goes_on_where_the_last_one_ended() {
    let place = at_rest();
    let ledger = append(&place, |loader, run| {
        assert_eq!((run.n_rows(), run.parts.len()), (4, 1));
        loader.add(item(6))?;
        loader.add(item(5))?;
        loader.add(invalid(7))?;
        Ok(vec![second_part(5, 3)])
    })
    .unwrap();
    assert_eq!((ledger.run().n_rows(), &ledger.run().parts), (7, &vec![part(4), second_part(5, 3)]));
    assert_eq!(place.reader().run().n_rows(), 7);
    assert_eq!((&*place.row(6).manifest, place.row(7).state), ("more.csv", RowState::Invalid));
    assert_eq!(Steps::of(&ledger).claim(9), [(3, 1), (5, 1), (6, 1)]);
    let events = place.events();
    let last = events.last().unwrap();
    assert_eq!(
        (last.kind.as_str(), last.session, last.detail.as_str()),
        ("append", 2, "3 rows of manifest 2 (\"more.csv\")")
    );
}

#[test]
fn rows_that_a_dead_session_left_open_are_taken_over_too() {
    let place = Place::new();
    let ledger = place.started(bare_rows(2));
    Steps::of(&ledger).claim(1);
    drop(ledger);
    let ledger = append(&place, |loader, _| loader.add(item(3)).map(|()| vec![second_part(3, 1)])).unwrap();
    assert_eq!(place.states(), [RowState::InDoubt, RowState::Pending, RowState::Pending]);
    assert_eq!(Steps::of(&ledger).claim(9), [(2, 1), (3, 1)]);
}

#[test]
fn a_feed_that_fails_leaves_the_ledger_as_it_was() {
    let place = at_rest();
    let before = (std::fs::read(&place.path).unwrap(), dump(&place.path));
    let failed = Ledger::open_and_append(&machine(), &place.path, &session("submit"), |loader, _| {
        loader.add(item(5)).unwrap();
        loader.replace(row(2), row(5)).unwrap();
        Err("the manifest broke off")
    });
    assert!(matches!(failed, Err(CreateError::Feed("the manifest broke off"))));
    assert_eq!(place.names(), ["wave.ledger"]);
    assert_eq!((std::fs::read(&place.path).unwrap(), dump(&place.path)), before);
    assert_eq!(place.open().session(), 2);

    // A log with rows in it stays what it is.
    let log = std::fs::read(place.folder().join("wave.ledger-wal")).unwrap();
    let failed = Ledger::open_and_append(&machine(), &place.path, &session("submit"), |_, _| Err("no manifest"));
    assert!(matches!(failed, Err(CreateError::Feed("no manifest"))));
    assert_eq!(std::fs::read(place.folder().join("wave.ledger-wal")).unwrap(), log);
}

#[test]
fn rows_that_do_not_go_on_from_the_last_are_refused() {
    type Case = (Vec<LoadRow>, Option<(u32, u32)>, ManifestPart, String);
    let first = |number| ManifestPart { part: number, ..second_part(5, 1) };
    let wrong_part =
        |part, first: u32| format!("manifest {part} begins with row {first}, where manifest 2 with row 5 was due");
    let repeated = |number: u32| format!("row {number} was loaded twice");
    let count = |loaded: u32, last: u32| {
        format!("{loaded} rows were loaded, the last of them row {last}, and the manifests have 1")
    };
    let no_valid = |by: u32| format!("row 2 cannot be replaced by row {by}, which is no valid row of this load");
    let cases: [Case; 9] = [
        (vec![item(3)], None, first(2), repeated(3)),
        (vec![item(4)], None, first(2), repeated(4)),
        (vec![invalid(1)], None, first(2), repeated(1)),
        (vec![item(6)], None, first(2), count(1, 6)),
        (vec![], None, first(2), count(0, 0)),
        (vec![item(5)], None, first(3), wrong_part(3, 5)),
        (vec![item(5)], None, second_part(1, 1), wrong_part(2, 1)),
        (vec![item(5)], Some((2, 3)), first(2), no_valid(3)),
        (vec![invalid(5)], Some((2, 5)), first(2), no_valid(5)),
    ];
    let place = at_rest();
    let before = dump(&place.path);
    for (rows, replaced, part, expected) in cases {
        let refused = append(&place, |loader, _| {
            rows.into_iter().try_for_each(|row| loader.add(row))?;
            replaced.into_iter().try_for_each(|(old, new)| loader.replace(row(old), row(new)))?;
            Ok(vec![part])
        });
        match refused {
            Err(LedgerError::Refused(why)) => assert_eq!(why, expected),
            other => panic!("{expected}: {other:?}"),
        }
        assert_eq!(dump(&place.path), before, "{expected}");
    }
}

#[test]
fn a_mended_row_stands_for_a_failed_or_invalid_one() {
    let place = at_rest();
    let mended =
        |number: u32, id: &str| load(Item { id: Some(id.to_owned()), ..bare_item(number, RequestType::Enroll) });
    let ledger = append(&place, |loader, _| {
        loader.replace(row(2), row(5))?;
        loader.add(mended(5, "E-2"))?;
        loader.add(mended(6, "E-4"))?;
        loader.replace(row(4), row(6))?;
        Ok(vec![second_part(5, 2)])
    })
    .unwrap();
    let told: Vec<(RowState, Option<RowId>)> =
        place.reader().page(0, 9, &[]).unwrap().iter().map(|row| (row.state, row.replaced_by)).collect();
    let expected = [
        (RowState::Created, None),
        (RowState::Replaced, Some(row(5))),
        (RowState::Pending, None),
        (RowState::Replaced, Some(row(6))),
        (RowState::Pending, None),
        (RowState::Pending, None),
    ];
    assert_eq!(told, expected);
    assert_eq!(place.row(2).error_message.as_deref(), Some("row 5 stands for it"));
    assert!(results(&place).lines().nth(4).unwrap().contains("|replaced|||||row 6 stands for it|"));
    assert_eq!(place.reader().row_of_id("E-2").unwrap(), Some(row(5)));
    let tally = |state, n| Tally { state, code: None, n };
    let mut tallies = place.reader().tallies().unwrap();
    tallies.sort_by_key(|tally| tally.state);
    assert_eq!(tallies, [tally(RowState::Pending, 3), tally(RowState::Created, 1), tally(RowState::Replaced, 2)]);
    assert_eq!(Steps::of(&ledger).claim(9), [(3, 1), (5, 1), (6, 1)]);
    assert_eq!(place.reader().failures(9).unwrap(), []);
}

#[test]
fn only_failed_and_invalid_rows_are_replaced_and_each_once() {
    let place = at_rest();
    let before = dump(&place.path);
    for (old, state) in [(1, RowState::Created), (3, RowState::Pending), (2, RowState::Replaced)] {
        let refused = append(&place, |loader, _| {
            loader.add(item(5))?;
            loader.replace(row(2), row(5))?;
            loader.replace(row(old), row(5))?;
            Ok(vec![second_part(5, 1)])
        });
        let illegal = state.next(RowEvent::Replaced).unwrap_err();
        match refused {
            Err(LedgerError::Refused(why)) => assert_eq!(why, format!("row {old}: {illegal}")),
            other => panic!("{other:?}"),
        }
        assert_eq!(dump(&place.path), before);
    }
    let unknown = append(&place, |loader, _| loader.replace(row(9), row(5)).map(|()| vec![]));
    assert!(matches!(unknown, Err(LedgerError::Refused(_))), "{unknown:?}");
}

#[test]
fn a_ledger_in_use_takes_no_further_manifest() {
    let place = Place::new();
    let ledger = place.started(bare_rows(1));
    let refused = append(&place, |_, _| panic!("nothing is read of it"));
    assert!(matches!(refused, Err(LedgerError::InUse { .. })), "{refused:?}");
    drop(ledger);
    std::fs::remove_file(&place.path).unwrap();
    assert!(matches!(append(&place, |_, _| panic!("there is none")), Err(LedgerError::NotFound(..))));
}
