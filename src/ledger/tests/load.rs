use super::support::*;
use crate::ledger::{CreateError, Ledger, LedgerError, RowState, SessionEnd};
use crate::platform::is_private;
use crate::request::RequestType;

/// The names of no files.
const NOTHING: [&str; 0] = [];

#[test]
fn what_is_loaded_comes_back_as_it_was() {
    let place = Place::new();
    let item = full_item(1);
    let ledger = create(&place.path, vec![load(item.clone()), invalid(2), skipped(3)]).unwrap();
    let made = ledger.run().clone();
    ledger.close(SessionEnd::Finished).unwrap();

    let ledger = place.open();
    let run = ledger.run();
    assert_eq!((run.id, run.key.as_bytes()), (made.id, made.key.as_bytes()));
    assert_eq!(run.identity, identity());
    assert_eq!(run.parts, [part(3)]);
    assert_eq!((run.n_rows(), run.started_at), (3, None));

    let rows = place.reader().page(0, 10, &[]).unwrap();
    assert_eq!(rows.len(), 3);
    assert_eq!((rows[0].row, rows[0].place, &*rows[0].manifest), (item.row, item.place, "wave.csv"));
    assert_eq!((&rows[0].id, rows[0].request.as_ref()), (&item.id, Some(&item.request)));
    assert_eq!((&rows[0].notes, rows[0].state), (&item.notes, RowState::Pending));
    let wrong = rows[1].invalid.as_ref().unwrap();
    assert_eq!((rows[1].state, wrong.original_json.as_str()), (RowState::Invalid, r#"{"type":"Enrol"}"#));
    assert_eq!(wrong.errors, "type \"Enrol\" is not known");
    assert_eq!((rows[2].state, rows[2].skipped.as_deref()), (RowState::Skipped, Some("same as row 1")));
}

#[test]
fn two_ledgers_have_two_ids_and_keys() {
    let (one, other) = (Place::new(), Place::new());
    let (one, other) = (create(&one.path, bare_rows(1)).unwrap(), create(&other.path, bare_rows(1)).unwrap());
    assert_ne!(one.run().id, other.run().id);
    assert_ne!(one.run().key.as_bytes(), other.run().key.as_bytes());
}

#[test]
fn a_run_may_have_no_rows_and_rows_may_come_in_any_order() {
    let place = Place::new();
    create(&place.path, Vec::new()).unwrap().close(SessionEnd::Finished).unwrap();
    assert_eq!(place.states(), []);

    let place = Place::new();
    let rows = [3, 1, 2].map(|number| load(bare_item(number, RequestType::Unblock)));
    let ledger = place.started(rows.into());
    assert_eq!(Steps::of(&ledger).claim(9), [(1, 1), (2, 1), (3, 1)]);
}

#[test]
fn a_ledger_at_rest_is_one_file_and_all_of_its_files_are_private() {
    let place = Place::new();
    let ledger = place.started(bare_rows(3));
    Steps::of(&ledger).claim(1);
    assert_eq!(place.names(), ["wave.ledger", "wave.ledger-shm", "wave.ledger-wal"]);
    for name in place.names() {
        assert!(is_private(&place.folder().join(&name)), "{name}");
    }
    ledger.close(SessionEnd::Finished).unwrap();
    assert_eq!(place.names(), ["wave.ledger"]);
    assert!(is_private(&place.path));
}

#[test]
fn the_file_is_private_while_it_is_loaded() {
    let place = Place::new();
    let loaded = Ledger::create(&machine(), &place.path, &identity(), &session("submit"), |loader| {
        assert_eq!(place.names(), ["wave.ledger.loading"]);
        assert!(is_private(&place.folder().join("wave.ledger.loading")));
        feed(loader, bare_rows(1), 1)
    });
    loaded.unwrap();
}

#[test]
fn a_feed_that_fails_leaves_no_ledger() {
    let place = Place::new();
    let failed = Ledger::create(&machine(), &place.path, &identity(), &session("submit"), |loader| {
        loader.add(load(full_item(1))).unwrap();
        Err("the manifest broke off")
    });
    assert!(matches!(failed, Err(CreateError::Feed("the manifest broke off"))));
    assert_eq!(place.names(), NOTHING);
    create(&place.path, bare_rows(2)).unwrap();
}

#[test]
fn what_a_killed_load_left_is_not_in_the_way() {
    let place = Place::new();
    for suffix in ["", "-wal", "-shm", "-journal"] {
        std::fs::write(place.folder().join(format!("wave.ledger.loading{suffix}")), "half a ledger").unwrap();
    }
    create(&place.path, bare_rows(2)).unwrap().close(SessionEnd::Finished).unwrap();
    assert_eq!(place.names(), ["wave.ledger"]);
}

#[test]
fn rows_that_are_not_one_whole_run_are_refused() {
    let count = |loaded: u32, last: u32| {
        format!("{loaded} rows were loaded, the last of them row {last}, and the manifests have 2")
    };
    let cases = [
        (vec![load(full_item(1)), load(full_item(1))], 2, "row 1 was loaded twice".to_owned()),
        (vec![load(full_item(1)), invalid(1)], 2, "row 1 was loaded twice".to_owned()),
        (vec![load(full_item(1))], 2, count(1, 1)),
        (bare_rows(3), 2, count(3, 3)),
        (vec![load(full_item(1)), load(full_item(3))], 2, count(2, 3)),
    ];
    for (rows, n_rows, expected) in cases {
        let place = Place::new();
        let refused = Ledger::create(&machine(), &place.path, &identity(), &session("submit"), |loader| {
            feed(loader, rows, n_rows)
        });
        match refused {
            Err(CreateError::Ledger(LedgerError::Refused(why)) | CreateError::Feed(LedgerError::Refused(why))) => {
                assert_eq!(why, expected);
            }
            other => panic!("{expected}: {other:?}"),
        }
        assert_eq!(place.names(), NOTHING);
    }
}

#[test]
fn an_existing_file_or_link_is_never_touched() {
    let place = Place::new();
    std::fs::write(&place.path, "mine").unwrap();
    let refused = create(&place.path, bare_rows(1)).unwrap_err();
    assert!(matches!(refused, CreateError::Ledger(LedgerError::AlreadyExists(..))), "{refused}");
    assert_eq!(std::fs::read(&place.path).unwrap(), b"mine");
    assert_eq!(place.names(), ["wave.ledger"]);

    #[cfg(unix)]
    {
        std::fs::remove_file(&place.path).unwrap();
        std::os::unix::fs::symlink(place.folder().join("elsewhere"), &place.path).unwrap();
        let refused = create(&place.path, bare_rows(1)).unwrap_err();
        assert!(matches!(refused, CreateError::Ledger(LedgerError::Symlink(..))), "{refused}");
        assert_eq!(place.names(), ["wave.ledger"]);
    }
}

#[test]
fn a_file_that_comes_while_rows_are_loaded_is_kept() {
    let place = Place::new();
    let refused = Ledger::create(&machine(), &place.path, &identity(), &session("submit"), |loader| {
        std::fs::write(&place.path, "theirs").unwrap();
        feed(loader, bare_rows(1), 1)
    });
    assert!(matches!(refused, Err(CreateError::Ledger(LedgerError::AlreadyExists(..)))));
    assert_eq!(std::fs::read(&place.path).unwrap(), b"theirs");
    assert_eq!(place.names(), ["wave.ledger"]);
}

#[cfg(unix)]
#[test]
fn the_folder_may_be_reached_through_a_link() {
    let place = Place::new();
    let link = place.folder().join("link");
    std::os::unix::fs::symlink(place.folder(), &link).unwrap();
    let ledger = create(&link.join("wave.ledger"), bare_rows(1)).unwrap();
    assert_eq!(ledger.path().file_name(), place.path.file_name());
    assert_eq!(place.states(), [RowState::Pending]);
}

#[test]
fn a_ledger_cannot_be_made_twice_at_once() {
    let place = Place::new();
    let outer = Ledger::create(&machine(), &place.path, &identity(), &session("submit"), |loader| {
        let inner = create(&place.path, bare_rows(1)).unwrap_err();
        assert!(matches!(inner, CreateError::Ledger(LedgerError::InUse { holder: None, .. })), "{inner}");
        feed(loader, bare_rows(1), 1)
    });
    outer.unwrap();
}

#[test]
fn a_missing_folder_is_named() {
    let place = Place::new();
    let refused = create(&place.folder().join("no/wave.ledger"), bare_rows(1)).unwrap_err();
    assert!(
        matches!(&refused, CreateError::Ledger(LedgerError::Unreadable(path, _)) if path.ends_with("no")),
        "{refused:?}"
    );
}
