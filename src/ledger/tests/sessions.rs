#[cfg(debug_assertions)]
use std::{cell::RefCell, rc::Rc};

use std::time::Duration;

use super::support::*;
#[cfg(debug_assertions)]
use crate::ledger::LedgerError;
use crate::ledger::{FirstLook, RowState, SessionEnd, SessionFate, Source, Step};
#[cfg(debug_assertions)]
use crate::platform::crash;
use crate::request::{ErrorCode, Outcome, RequestUuid};

#[test]
fn sessions_keep_how_they_ended() {
    for place in Place::both() {
        place.created(bare_rows(1)).close(SessionEnd::Stopped("breaker".to_owned())).unwrap();
        drop(place.open());
        place.open().close(SessionEnd::Interrupted).unwrap();
        let ledger = place.open();
        let sessions = place.reader().sessions().unwrap();
        let fates: Vec<_> = sessions.iter().map(|session| session.fate.clone()).collect();
        assert!(
            matches!(&fates[0], SessionFate::Ended { end: SessionEnd::Stopped(reason), .. } if reason == "breaker")
        );
        assert_eq!(fates[1], SessionFate::Died);
        assert!(matches!(fates[2], SessionFate::Ended { end: SessionEnd::Interrupted, .. }));
        assert_eq!(fates[3], SessionFate::Open);
        assert_eq!(sessions.iter().map(|session| session.number).collect::<Vec<_>>(), [1, 2, 3, 4]);
        assert_eq!((&sessions[0].info, &sessions[1].info), (&session("submit"), &session("replay")));
        assert_eq!(sessions[0].account(), None);
        assert_eq!(place.reader().holder().unwrap(), Some(session("replay")));
        ledger.close(SessionEnd::Finished).unwrap();
        assert_eq!(place.reader().holder().unwrap(), None);
        assert!(matches!(
            place.reader().sessions().unwrap()[3].fate,
            SessionFate::Ended { end: SessionEnd::Finished, .. }
        ));
    }
}

#[test]
fn a_run_is_started_once() {
    for place in Place::both() {
        let mut ledger = place.created(bare_rows(1));
        assert_eq!(ledger.run().started_at, None);
        ledger.start_run().unwrap();
        let since = ledger.run().started_at.unwrap();
        ledger.start_run().unwrap();
        drop(ledger);
        let mut ledger = place.open();
        ledger.start_run().unwrap();
        // The ledger keeps microseconds.
        assert_eq!(ledger.run().started_at.unwrap().as_microsecond(), since.as_microsecond());
        let kinds: Vec<_> = place.events().into_iter().map(|event| event.kind).collect();
        assert_eq!(kinds, ["start"]);
    }
}

#[test]
fn events_are_kept_in_order_with_their_session() {
    let place = Place::new();
    let ledger = create(&place.path, bare_rows(1)).unwrap();
    write_event(&ledger, "confirm", "12 rows that revoke").unwrap();
    drop(ledger);
    write_event(&place.open(), "note", "").unwrap();
    let events = place.events();
    let told: Vec<_> = events.iter().map(|e| (e.session, e.kind.as_str(), e.detail.as_str())).collect();
    assert_eq!(told, [(1, "confirm", "12 rows that revoke"), (2, "note", "")]);
}

#[test]
fn rows_that_a_dead_session_left_open_are_in_doubt_once() {
    for place in Place::both() {
        let ledger = place.started(bare_rows(6));
        let mut steps = Steps::of(&ledger);
        steps.claim(4);
        steps
            .do_step(Step {
                record: vec![record(1, 1, created(9))],
                give_back: vec![(row(3), attempt(1))],
                ..Step::default()
            })
            .unwrap();
        assert_eq!(place.states()[1], RowState::Sending);
        drop(ledger);

        // Before anyone takes over, readers already say so.
        assert_eq!(place.row(2).state, RowState::InDoubt);
        assert_eq!((place.row(2).error_code, place.row(2).attempts), (Some(ErrorCode::LeftOpen), 1));

        let ledger = place.open();
        let expected = [
            RowState::Created,
            RowState::InDoubt,
            RowState::Pending,
            RowState::InDoubt,
            RowState::Pending,
            RowState::Pending,
        ];
        assert_eq!(place.states(), expected);
        let ended = place.history(2).outcomes;
        assert_eq!(ended.len(), 1);
        assert_eq!((ended[0].source, ended[0].session, ended[0].made_by), (Source::Takeover, 2, Some(1)));
        assert_eq!((ended[0].state, ended[0].code), (RowState::InDoubt, Some(ErrorCode::LeftOpen)));
        assert!(ended[0].started_at.is_some() && ended[0].latency_us.is_none());
        drop(ledger);

        let ledger = place.open();
        assert_eq!(place.states(), expected);
        assert_eq!(place.history(2).outcomes.len(), 1);
        let events = place.events();
        let takeovers: Vec<_> =
            events.iter().filter(|event| event.kind == "takeover").map(|event| &event.detail).collect();
        assert_eq!(takeovers, ["2 rows that session 1 left open are in doubt"]);
        assert_eq!(Steps::of(&ledger).claim(9), [(3, 2), (5, 1), (6, 1)]);
    }
}

#[test]
fn rows_left_open_at_a_clean_end_are_in_doubt_too() {
    for place in Place::both() {
        let ledger = place.started(bare_rows(2));
        Steps::of(&ledger).claim(1);
        ledger.close(SessionEnd::Interrupted).unwrap();
        assert_eq!(place.states(), [RowState::InDoubt, RowState::Pending]);
        place.open();
        assert_eq!(place.states(), [RowState::InDoubt, RowState::Pending]);
        assert_eq!(place.history(1).outcomes[0].source, Source::Takeover);
    }
}

#[test]
fn the_times_of_a_session_go_on_from_its_start_whatever_the_wall_clock_does() {
    let clock = HandClock::at(time("2026-03-01T08:00:00Z"));
    let place = Place::on(clock.machine());
    let ledger = place.started(bare_rows(2));
    let mut steps = Steps::of(&ledger);
    clock.pass(Duration::from_secs(5), time("2026-03-01T09:00:00Z"));
    steps.claim(2);
    assert_eq!(ledger.now(), time("2026-03-01T08:00:05Z"));
    clock.pass(Duration::from_secs(5), time("2020-01-01T00:00:00Z"));
    steps.record(vec![record(1, 1, Outcome::InDoubt(fault(ErrorCode::Timeout, 504)))]);
    write_event(&ledger, "note", "").unwrap();
    assert_eq!(place.reader().in_doubt(0, 1).unwrap()[0].recorded_at, time("2026-03-01T08:00:10Z"));
    drop(ledger);
    drop(place.open());
    let reader = place.reader();
    let at: Vec<_> = place.events().into_iter().map(|event| event.at).collect();
    assert_eq!(at[..2], [time("2026-03-01T08:00:00Z"), time("2026-03-01T08:00:10Z")]);
    let began: Vec<_> = reader.sessions().unwrap().into_iter().map(|session| session.began_wall).collect();
    assert_eq!(began, [time("2026-03-01T08:00:00Z"), time("2020-01-01T00:00:00Z")]);
    assert_eq!(reader.run().created_at, began[0]);
}

#[test]
fn what_a_session_saw_first_of_the_server_is_kept_with_it() {
    for place in Place::both() {
        let ledger = place.created(bare_rows(1));
        assert_eq!(place.reader().session(1).unwrap().unwrap().first_look, None);
        let newest: Vec<_> = (0..120).map(|byte| RequestUuid::new(guid(byte))).collect();
        let look = FirstLook {
            date: Some(time("2026-03-01T08:00:01Z")),
            newest,
            account: Some("CONTOSO\\svc".to_owned()),
            originator: Some(guid(7)),
        };
        ledger.note_first_look(FirstLook::default()).unwrap();
        assert_eq!(place.reader().session(1).unwrap().unwrap().first_look, Some(FirstLook::default()));
        ledger.note_first_look(look.clone()).unwrap();
        drop(ledger);
        drop(place.open());
        let sessions = place.reader().sessions().unwrap();
        let kept = FirstLook { newest: look.newest[..100].to_vec(), ..look };
        assert_eq!((&sessions[0].first_look, &sessions[1].first_look), (&Some(kept), &None));
        let mut named = sessions[0].clone();
        named.info.options.push(("account".to_owned(), "CONTOSO\\svc".to_owned()));
        assert_eq!((sessions[0].account(), named.account()), (None, Some("CONTOSO\\svc")));
        assert_eq!(place.reader().session(3).unwrap(), None);
    }
}

/// Does something on this thread that is to die at a point, and tells whether it did.
#[cfg(debug_assertions)]
fn dies_at(point: &'static str, work: impl FnOnce()) -> bool {
    let before = crash::set_hook(Some(Box::new(move |name| name == point)));
    let done = std::panic::catch_unwind(std::panic::AssertUnwindSafe(work));
    crash::set_hook(before);
    done.is_err_and(|payload| payload.is::<crash::Died>())
}

#[cfg(debug_assertions)]
#[test]
fn a_writer_without_thread_dies_at_a_point_as_its_process_would() {
    let claim = || Step { number: 1, claim: 1, ..Step::default() };
    for (point, state) in [("step-before-commit", RowState::Pending), ("step-committed", RowState::InDoubt)] {
        let [_, place] = Place::both();
        let ledger = place.started(bare_rows(2));
        assert!(dies_at(point, || drop(ledger.step_blocking(claim()))), "{point}");
        assert!(matches!(ledger.step_blocking(claim()), Err(LedgerError::Closed(..))));
        drop(ledger);
        assert_eq!(place.states()[0], state, "{point}");
    }
}

#[cfg(debug_assertions)]
#[test]
fn every_command_comes_to_a_point_before_its_commit_and_to_one_after_it() {
    let [_, place] = Place::both();
    let ledger = place.created(bare_rows(2));
    let seen = Rc::new(RefCell::new(Vec::new()));
    let told = Rc::clone(&seen);
    let before = crash::set_hook(Some(Box::new(move |name| {
        told.borrow_mut().push(name.to_owned());
        false
    })));
    let mut ledger = ledger;
    ledger.start_run().unwrap();
    ledger.detach(row(1)).unwrap();
    block_on(ledger.release()).unwrap();
    ledger.resolve_blocking(Vec::new(), None).unwrap();
    ledger.close(SessionEnd::Finished).unwrap();
    crash::set_hook(before);
    let names = ["start", "detach", "release", "resolve", "close"];
    let mut expected: Vec<_> =
        names.iter().flat_map(|name| [format!("{name}-before-commit"), format!("{name}-committed")]).collect();
    expected.push("close-before-checkpoint".to_owned());
    assert_eq!(*seen.borrow(), expected);
}
