use std::time::Duration;

use super::*;
use crate::app::testing::*;
use crate::ledger::Ledger;
use crate::request::{ErrorCode, Fault, Outcome};

async fn enter(place: &Place, ledger: &Ledger, account: &str) -> Result<Note, Failure> {
    let (machine, session) = (place.clock.machine(), place.session(account));
    place.state().enter(&machine, ledger.run().id, ledger.path(), &session).await
}

fn check(place: &Place, note: &Note, ledger: &Ledger) -> Result<(), Failure> {
    let reader = Reader::open(ledger.path()).unwrap();
    note.check_others(&place.clock.machine(), &reader, &[RowState::Pending], &Hits::default())
}

fn left(ledger: &Ledger) -> Left {
    Left { extent: extent(ledger), is_quiet: false }
}

fn extent(ledger: &Ledger) -> Extent {
    Reader::open(ledger.path()).unwrap().extent().unwrap()
}

#[tokio::test]
async fn two_processes_do_not_work_on_one_run_whatever_the_ledgers_path() {
    let place = Place::new();
    let ledger = place.ledger("a.ledger", &[1]);
    let note = enter(&place, &ledger, "svc").await.unwrap();
    let refused = enter(&place, &ledger, "svc").await.unwrap_err();
    assert_eq!(refused.exit, Exit::InUse);
    assert!(refused.message.contains("a.ledger") && refused.message.contains("4711"), "{}", refused.message);
    drop(note);
    enter(&place, &ledger, "svc").await.unwrap();
}

#[tokio::test]
async fn another_run_that_has_to_send_the_same_row_stops_this_one_and_other_lists_run_beside_it() {
    let place = Place::new();
    let (first, same, other) =
        (place.ledger("a.ledger", &[1, 2]), place.ledger("b.ledger", &[2, 3]), place.ledger("c.ledger", &[3, 4]));
    let _at_work = enter(&place, &first, "svc").await.unwrap();
    let note = enter(&place, &same, "svc").await.unwrap();
    let refused = check(&place, &note, &same).unwrap_err();
    assert_eq!(refused.exit, Exit::InUse);
    assert!(refused.message.contains("has 1 row of these"), "{}", refused.message);
    assert!(refused.message.contains("a.ledger") && refused.message.contains("pid 4711"), "{}", refused.message);
    drop(note);
    let note = enter(&place, &other, "svc").await.unwrap();
    check(&place, &note, &other).unwrap();
}

#[tokio::test]
async fn what_a_run_sent_that_ended_lately_counts_until_a_list_can_show_it() {
    let in_doubt = || Outcome::InDoubt(Fault::without_answer(ErrorCode::Timeout, ""));
    let refused = || Outcome::Failed(Fault::without_answer(ErrorCode::Forbidden, ""));
    for (outcome, minutes, is_stopped) in [
        (Some(created(7)), 1, true),
        (Some(created(7)), 16, false),
        (Some(in_doubt()), 1, true),
        (Some(in_doubt()), 16, false),
        (Some(refused()), 1, false),
        (None, 1, false),
    ] {
        let place = Place::new();
        let (first, second) = (place.ledger("a.ledger", &[1]), place.ledger("b.ledger", &[1]));
        let note = enter(&place, &first, "svc").await.unwrap();
        send(&first, outcome.clone());
        note.end(&place.clock.machine(), Some(left(&first)));
        place.clock.pass(Duration::from_secs(minutes * 60));
        let note = enter(&place, &second, "svc").await.unwrap();
        assert_eq!(check(&place, &note, &second).is_err(), is_stopped, "{outcome:?} {minutes} min ago");
    }
}

#[tokio::test]
async fn a_wall_clock_that_was_turned_does_not_make_a_run_older() {
    for outcome in [created(7), Outcome::InDoubt(Fault::without_answer(ErrorCode::Timeout, ""))] {
        let place = Place::new();
        let (first, second) = (place.ledger("a.ledger", &[1]), place.ledger("b.ledger", &[1]));
        let note = enter(&place, &first, "svc").await.unwrap();
        send(&first, [outcome]);
        note.end(&place.clock.machine(), Some(left(&first)));
        place.clock.turn_wall(SignedDuration::from_hours(24));
        let note = enter(&place, &second, "svc").await.unwrap();
        assert_eq!(check(&place, &note, &second).unwrap_err().exit, Exit::InUse);
    }
}

#[tokio::test]
async fn a_run_that_died_counts_from_when_it_was_found_dead() {
    let place = Place::new();
    let (first, second) = (place.ledger("a.ledger", &[1]), place.ledger("b.ledger", &[1]));
    let died = enter(&place, &first, "svc").await.unwrap();
    send(&first, [Outcome::InDoubt(Fault::without_answer(ErrorCode::Timeout, ""))]);
    drop(died);
    for (minutes, is_stopped) in [(600, true), (14, true), (2, false)] {
        place.clock.pass(Duration::from_secs(minutes * 60));
        let note = enter(&place, &second, "svc").await.unwrap();
        assert_eq!(check(&place, &note, &second).is_err(), is_stopped, "after {minutes} minutes more");
        note.undo();
    }
    // Its own next session knows all the same that it was left open.
    assert!(enter(&place, &first, "svc").await.unwrap().left_open_by().is_some());
}

#[tokio::test]
async fn a_machine_that_was_started_anew_may_have_lost_what_a_dead_run_wrote_last() {
    for (is_booted, is_stopped) in [(false, false), (true, true)] {
        let place = Place::new();
        let (first, second) = (place.ledger("a.ledger", &[1]), place.ledger("b.ledger", &[1]));
        drop(enter(&place, &first, "svc").await.unwrap());
        if is_booted {
            place.clock.boot();
        }
        let note = enter(&place, &second, "svc").await.unwrap();
        assert_eq!(check(&place, &note, &second).is_err(), is_stopped, "started anew: {is_booted}");
    }
}

#[tokio::test]
async fn a_ledger_that_is_gone_counts_while_its_run_lives_and_after_an_end_that_left_something_open() {
    let place = Place::new();
    let (first, second) = (place.ledger("a.ledger", &[1]), place.ledger("b.ledger", &[2]));
    let at_work = enter(&place, &first, "svc").await.unwrap();
    let at_end = left(&first);
    std::fs::rename(place.path("a.ledger"), place.path("moved.ledger")).unwrap();
    let note = enter(&place, &second, "svc").await.unwrap();
    let refused = check(&place, &note, &second).unwrap_err();
    assert_eq!(refused.exit, Exit::InUse);
    assert!(refused.message.contains("may have to send some of these rows"), "{}", refused.message);
    drop(note);
    drop(at_work);
    // What it sent last nobody knows, unless a list had shown all of it.
    for (is_quiet, is_stopped) in [(false, true), (true, false)] {
        let note = enter(&place, &first, "svc").await.unwrap();
        note.end(&place.clock.machine(), Some(Left { is_quiet, ..at_end }));
        let note = enter(&place, &second, "svc").await.unwrap();
        assert_eq!(check(&place, &note, &second).is_err(), is_stopped, "quiet: {is_quiet}");
        note.undo();
    }
    place.clock.pass(Duration::from_secs(16 * 60));
    std::fs::write(place.state().path_of(&first.run().id.to_string()), "{\"run\":").unwrap();
    let note = enter(&place, &second, "svc").await.unwrap();
    check(&place, &note, &second).unwrap();
}

#[tokio::test]
async fn the_folder_knows_how_far_the_ledger_was() {
    let place = Place::new();
    let ledger = place.ledger("a.ledger", &[1, 2]);
    let machine = place.clock.machine();
    let at_first = extent(&ledger);
    let note = enter(&place, &ledger, "svc").await.unwrap();
    assert!(note.agrees(None) && !note.is_ahead_of(at_first), "it was just made");
    assert!(!note.agrees(Some(at_first)), "it may be a copy");
    send(&ledger, [created(1)]);
    assert!(!note.agrees(Some(extent(&ledger))), "nobody knows the run here");
    note.end(&machine, Some(left(&ledger)));
    let note = enter(&place, &ledger, "svc").await.unwrap();
    let now = extent(&ledger);
    assert!(note.agrees(Some(now)) && !note.is_ahead_of(now));
    assert!(!note.agrees(Some(at_first)) && note.is_ahead_of(at_first), "an older copy");
    let further = Extent { n_outcomes: now.n_outcomes + 1, ..now };
    assert!(!note.agrees(Some(further)) && !note.is_ahead_of(further), "it was worked on elsewhere");
    // A process that dies leaves nothing that agrees.
    drop(note);
    let note = enter(&place, &ledger, "svc").await.unwrap();
    assert!(!note.agrees(Some(now)) && !note.is_ahead_of(now));
}

#[tokio::test]
async fn the_accounts_user_on_the_server_is_learnt_and_is_not_another_accounts() {
    let place = Place::new();
    let ledger = place.ledger("a.ledger", &[1]);
    let mut note = enter(&place, &ledger, "svc").await.unwrap();
    assert!(note.originators().is_empty());
    note.learn(Some(guid(0xAA)));
    note.end(&place.clock.machine(), None);
    let next = place.ledger("b.ledger", &[2]);
    assert_eq!(enter(&place, &next, "svc").await.unwrap().originators(), BTreeSet::from([guid(0xAA)]));
    assert!(enter(&place, &next, "other").await.unwrap().originators().is_empty());
}

#[test]
fn a_folder_that_cannot_be_made_says_how_to_name_another_one() {
    let place = Place::new();
    std::fs::write(place.path("state"), "a file").unwrap();
    let failure = StateFolder::open(&place.path("state"), SERVER).unwrap_err();
    assert_eq!(failure.exit, Exit::Disk);
    assert!(failure.message.contains("nothing was sent"), "{}", failure.message);
    assert!(failure.next.is_some());
}

const RUN: &str = "5a1e0f77-2c3d-4b8a-8e10-9d0c7b6a5f02";

#[test]
fn a_note_that_is_there_and_cannot_be_read_is_not_passed_over() {
    let root = tempfile::tempdir().unwrap();
    let folder = StateFolder::open(root.path(), "https://cm").unwrap();
    assert!(folder.read(RUN).unwrap().is_none());
    std::fs::write(folder.path_of(RUN), "torn").unwrap();
    assert!(folder.all().unwrap().is_empty());
    std::fs::remove_file(folder.path_of(RUN)).unwrap();
    std::fs::create_dir(folder.path_of(RUN)).unwrap();
    assert_eq!(folder.all().unwrap_err().exit, Exit::Disk);
}

#[tokio::test]
async fn what_a_session_claimed_is_known_though_it_died() {
    let place = Place::new();
    let ledger = place.ledger("a.ledger", &[1, 2]);
    let note = enter(&place, &ledger, "svc").await.unwrap();
    assert_eq!(note.last_claims(), None);
    note.claimed(1, 100_000);
    note.claimed(2, 7);
    drop(note);
    assert_eq!(enter(&place, &ledger, "svc").await.unwrap().last_claims(), Some((2, 7)));
}

#[tokio::test]
async fn one_server_has_many_names() {
    let place = Place::new();
    let (first, second) = (place.ledger("a.ledger", &[1]), place.ledger("b.ledger", &[1]));
    let _at_work = enter(&place, &first, "svc").await.unwrap();
    let folder = StateFolder::open(&place.path("state"), "http://cm.contoso.test").unwrap();
    let (machine, session) = (place.clock.machine(), place.session("svc"));
    let note = folder.enter(&machine, second.run().id, second.path(), &session).await.unwrap();
    assert_eq!(check(&place, &note, &second).unwrap_err().exit, Exit::InUse);
}
