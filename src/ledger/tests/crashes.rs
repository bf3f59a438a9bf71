//! A process that dies at each point that it comes to: what it was told is durable, and the next one finds a whole ledger.

use std::cell::{Cell, RefCell};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::rc::Rc;

use super::agreement::check_agreement;
use super::support::*;
use crate::ledger::{AuditEvent, Finding, FindingKind, Ledger, Reader, RowState, RowVerdict, SessionEnd, Step};
use crate::platform::crash;

/// What a process was told, in this order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Told {
    Nothing,
    Made,
    Started,
    Claimed,
    Recorded,
    Dropped,
    Found,
    Closed,
    Reopened,
}

fn play(place: &Place, told: &Cell<Told>) {
    let mut ledger = place.created(bare_rows(4));
    told.set(Told::Made);
    ledger.start_run().unwrap();
    told.set(Told::Started);
    let mut steps = Steps::of(&ledger);
    steps.claim(2);
    told.set(Told::Claimed);
    steps.do_step(Step { record: vec![record(1, 1, created(1))], claim: 1, ..Step::default() }).unwrap();
    told.set(Told::Recorded);
    let event = AuditEvent { kind: "drop".to_owned(), detail: "row 4".to_owned() };
    ledger.resolve_blocking(vec![resolution(4, RowVerdict::Dropped)], Some(event)).unwrap();
    told.set(Told::Dropped);
    let finding = Finding { kind: FindingKind::Double, row: Some(row(1)), uuids: vec![uuid(9)], detail: String::new() };
    ledger.set_findings(vec![finding]).unwrap();
    told.set(Told::Found);
    ledger.close(SessionEnd::Finished).unwrap();
    told.set(Told::Closed);
    drop(place.open());
    told.set(Told::Reopened);
}

/// Plays until the point of this number, from 0; returns what was told, and how many points were come to.
fn play_until(place: &Place, number: usize) -> (Told, Vec<String>) {
    let (told, points) = (Cell::new(Told::Nothing), Rc::new(RefCell::new(Vec::new())));
    let seen = Rc::clone(&points);
    let before = crash::set_hook(Some(Box::new(move |name| {
        seen.borrow_mut().push(name.to_owned());
        seen.borrow().len() > number
    })));
    let done = catch_unwind(AssertUnwindSafe(|| play(place, &told)));
    crash::set_hook(before);
    if let Err(payload) = done {
        assert!(payload.is::<crash::Died>(), "it failed for another reason");
    }
    (told.get(), points.take())
}

fn check(place: &Place, told: Told, point: &str) {
    if told == Told::Nothing && !place.path.exists() {
        drop(place.started(bare_rows(4)));
        return;
    }
    drop(Ledger::open(&place.machine, &place.path, &session("submit")).unwrap());
    let reader = Reader::open(&place.path).unwrap();
    let rows = reader.page(0, 9, &[]).unwrap();
    check_agreement(place, &reader, &rows);
    let states: Vec<_> = rows.iter().map(|row| row.state).collect();
    let is_event_there = place.events().iter().any(|event| event.kind == "drop");
    assert_eq!(
        is_event_there,
        states[3] == RowState::Skipped,
        "{point}: the event without the verdict, or the reverse"
    );
    let started = reader.run().started_at.is_some();
    for (since, is_so) in [
        (Told::Started, started),
        (Told::Claimed, states[0] != RowState::Pending && states[1] == RowState::InDoubt),
        (Told::Recorded, states[0] == RowState::Created && states[2] == RowState::InDoubt),
        (Told::Dropped, states[3] == RowState::Skipped),
        (Told::Found, reader.open_findings().unwrap().len() == 1),
    ] {
        assert!(told < since || is_so, "{point}: {told:?} was told, and {states:?} is there");
    }
}

#[test]
fn what_was_told_is_durable_wherever_the_process_dies() {
    let whole = || {
        let [_, place] = Place::both();
        place
    };
    let (told, points) = play_until(&whole(), usize::MAX);
    assert_eq!(told, Told::Reopened);
    assert!(points.len() > 20, "{points:?}");
    for (number, point) in points.iter().enumerate() {
        let place = whole();
        let (told, _) = play_until(&place, number);
        assert!(told < Told::Reopened);
        check(&place, told, point);
    }
}
