use std::path::Path;

use rusqlite::Connection;

use super::support::*;
use crate::ledger::{CreateError, Damage, Ledger, LedgerError, LedgerTrouble, Reader, SessionEnd};
use crate::platform::DataLock;

fn refused_both_ways(path: &Path) -> LedgerError {
    let reading = Reader::open(path).unwrap_err();
    let writing = Ledger::open(&machine(), path, &session("submit")).unwrap_err();
    assert_eq!(reading.to_string(), writing.to_string());
    writing
}

fn at_rest() -> Place {
    let place = Place::new();
    create(&place.path, bare_rows(200)).unwrap().close(SessionEnd::Finished).unwrap();
    place
}

fn change(place: &Place, sql: &str) {
    Connection::open(&place.path).unwrap().execute_batch(sql).unwrap();
}

#[test]
fn only_a_ledger_is_opened_and_nothing_is_left_beside_other_files() {
    let place = Place::new();
    assert!(matches!(refused_both_ways(&place.path), LedgerError::NotFound(..)));
    for content in ["", "row,type\n1,Enroll\n", "SQLite format 3\0 and then nothing of the kind"] {
        std::fs::write(&place.path, content).unwrap();
        let refused = refused_both_ways(&place.path);
        assert!(matches!(refused, LedgerError::NotALedger(..)), "{content:?}: {refused}");
        assert_eq!(refused.trouble(), LedgerTrouble::Unusable);
        assert_eq!(std::fs::read_to_string(&place.path).unwrap(), content);
    }
    std::fs::remove_file(&place.path).unwrap();
    Connection::open(&place.path).unwrap().execute_batch("CREATE TABLE diary (day TEXT)").unwrap();
    let before = std::fs::read(&place.path).unwrap();
    assert!(matches!(refused_both_ways(&place.path), LedgerError::NotALedger(..)));
    assert_eq!(std::fs::read(&place.path).unwrap(), before);
    assert_eq!(place.names(), ["wave.ledger"]);
}

#[test]
fn a_newer_ledger_is_refused() {
    let place = at_rest();
    change(&place, "PRAGMA user_version = 5");
    let refused = refused_both_ways(&place.path);
    assert!(matches!(refused, LedgerError::NewerVersion(_, 5)), "{refused}");
    let text = refused.to_string();
    assert!(text.ends_with("has version 5, and this program knows versions up to 4; use a newer cmbatch"), "{text}");
}

#[test]
fn a_ledger_of_a_program_that_was_never_released_is_refused() {
    for version in [1, 3] {
        let place = at_rest();
        change(&place, &format!("PRAGMA user_version = {version}"));
        let refused = refused_both_ways(&place.path);
        assert_eq!(refused.trouble(), LedgerTrouble::Unusable);
        let text = refused.to_string();
        let expected = format!("has version {version}, of an older cmbatch that was never released; make a new ledger");
        assert!(text.ends_with(&expected), "{text}");
    }
}

#[cfg(unix)]
#[test]
fn a_symbolic_link_to_a_ledger_is_refused() {
    let place = at_rest();
    let link = place.folder().join("link.ledger");
    std::os::unix::fs::symlink(&place.path, &link).unwrap();
    assert!(matches!(refused_both_ways(&link), LedgerError::Symlink(..)));
}

#[test]
fn a_truncated_ledger_is_damaged() {
    let place = at_rest();
    let file = std::fs::OpenOptions::new().write(true).open(&place.path).unwrap();
    file.set_len(8192).unwrap();
    let refused = refused_both_ways(&place.path);
    assert!(matches!(refused, LedgerError::Damaged(_, Damage::Unreadable(_))), "{refused:?}");
    assert_eq!(refused.trouble(), LedgerTrouble::Unusable);
}

#[test]
fn a_ledger_that_contradicts_itself_is_damaged() {
    for (sql, damage) in [
        ("UPDATE tallies SET n = n - 1", "its tallies count 199 rows, and it was loaded with 200"),
        ("DELETE FROM run", "it does not hold exactly one run"),
        ("INSERT INTO run SELECT * FROM run", "it does not hold exactly one run"),
    ] {
        let place = at_rest();
        change(&place, sql);
        match refused_both_ways(&place.path) {
            LedgerError::Damaged(_, found) => assert_eq!(found.to_string(), damage),
            other => panic!("{sql}: {other}"),
        }
    }
    let place = at_rest();
    change(&place, "UPDATE tallies SET state = 'sending'");
    match Ledger::open(&machine(), &place.path, &session("submit")).unwrap_err() {
        LedgerError::Damaged(_, found) => {
            assert_eq!(found.to_string(), "its tallies count 200 open rows, and its claims leave 0 open");
        }
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_name_that_this_program_does_not_know_is_damage_and_no_default() {
    let place = at_rest();
    change(&place, "UPDATE items SET type = 'Borrow' WHERE row = 150");
    match place.reader().page(0, 200, &[]).unwrap_err() {
        LedgerError::Damaged(_, Damage::Unreadable(_)) => {}
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_ledger_has_one_holder_who_is_named() {
    let place = Place::new();
    let ledger = create(&place.path, bare_rows(1)).unwrap();
    match Ledger::open(&machine(), &place.path, &session("replay")).unwrap_err() {
        LedgerError::InUse { holder: Some(holder), .. } => assert_eq!(*holder, session("submit")),
        other => panic!("{other:?}"),
    }
    drop(ledger);
    place.open();
}

#[test]
fn a_lock_without_session_is_respected_too() {
    let place = at_rest();
    let mut lock = DataLock::open(&place.path).unwrap();
    assert!(lock.try_hold().unwrap());
    let refused = Ledger::open(&machine(), &place.path, &session("replay")).unwrap_err();
    assert!(matches!(refused, LedgerError::InUse { holder: None, .. }), "{refused}");
    assert_eq!(refused.trouble(), LedgerTrouble::InUse);
    drop(lock);
    place.open();
}

#[test]
fn a_copy_of_ledger_and_log_is_whole() {
    let place = Place::new();
    let ledger = place.started(bare_rows(3));
    Steps::of(&ledger).claim(2);
    drop(ledger);
    let copy = Place::new();
    for suffix in ["", "-wal"] {
        let name = format!("wave.ledger{suffix}");
        std::fs::copy(place.folder().join(&name), copy.folder().join(&name)).unwrap();
    }
    assert_eq!(copy.states(), place.states());
    assert_eq!(copy.open().session(), 2);
}

#[cfg(unix)]
#[test]
fn a_pipe_in_a_ledgers_place_is_an_error_and_nothing_waits() {
    let place = Place::new();
    let made = std::process::Command::new("mkfifo").arg(&place.path).status().unwrap();
    assert!(made.success());
    assert!(matches!(refused_both_ways(&place.path), LedgerError::NotALedger(..)));
    std::fs::rename(&place.path, place.folder().join("wave.ledger.loading")).unwrap();
    let refused = create(&place.path, bare_rows(1)).unwrap_err();
    assert!(matches!(&refused, CreateError::Ledger(LedgerError::Unwritable(..))), "{refused:?}");
}

#[test]
fn a_ledger_with_a_second_name_is_refused_by_both() {
    let place = at_rest();
    let second = place.folder().join("second.ledger");
    std::fs::hard_link(&place.path, &second).unwrap();
    for path in [&place.path, &second] {
        let refused = Ledger::open(&machine(), path, &session("replay")).unwrap_err();
        assert!(matches!(refused, LedgerError::HardLinked(_, 2)), "{refused}");
    }
    std::fs::remove_file(&second).unwrap();
    place.open();
}

#[cfg(target_os = "linux")]
#[test]
fn another_process_meets_the_lock_however_many_readers_come_and_go_here() {
    let place = Place::new();
    let ledger = place.started(bare_rows(1));
    for _ in 0..3 {
        assert!(place.reader().holder().unwrap().is_some());
        let locked = std::process::Command::new("flock").args(["-n", place.path.to_str().unwrap(), "true"]).status();
        assert!(!locked.unwrap().success());
    }
    let reader = place.reader();
    ledger.close(SessionEnd::Finished).unwrap();
    assert_eq!(reader.holder().unwrap(), None);
    drop(place.open());
}
