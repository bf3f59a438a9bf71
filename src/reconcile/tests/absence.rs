//! What a list that does not have a request proves.

use std::time::Duration;

use super::world::*;
use crate::client::{RequestObject, RequestStatus};
use crate::ledger::RowState;
use crate::machine::Clock;
use crate::reconcile::{Gap, Probe, Report, Trust, WhyLeft};
use crate::request::{CreateRequest, ErrorCode, RequestType};

/// A run whose row 21 of 40 is in doubt and not on the server, so late that a list can prove it.
fn ripe() -> World {
    let mut world = World::begun(41);
    world.create(1..=20);
    world.lose(21);
    world.create(22..=40);
    world.pass(160);
    world
}

fn why(report: &Report) -> &'static str {
    match &report.why_left[..] {
        [] => "proven",
        [WhyLeft::NotRipe { .. }] => "time",
        [WhyLeft::OtherAccount { .. }] => "account",
        [WhyLeft::Unread { .. }] => "unread",
        [WhyLeft::Incomplete { .. }] => "incomplete",
        [WhyLeft::NothingAlike { .. }] => "nothing alike",
        [WhyLeft::OldEnd { .. }] => "old end",
        [WhyLeft::NewEnd { .. }] => "new end",
        [WhyLeft::Archived { .. }] => "archived",
        [WhyLeft::NoTime { .. }] => "no time",
        [WhyLeft::Probe { .. }] => "probe",
        [WhyLeft::Refuted { .. }] => "refuted",
        [WhyLeft::LostAgain { .. }] => "lost again",
        [WhyLeft::Contradicted { .. }] => "contradicted",
        [WhyLeft::LostTag(_)] => "lost tag",
        [WhyLeft::Untagged(_)] => "untagged",
        [_, _, ..] => "several",
    }
}

#[track_caller]
pub(super) fn check(case: &str, mut world: World, number: u32, expected: &str) -> Report {
    let report = world.look();
    assert_eq!(why(&report), expected, "{case}: {:?}", report.why_left);
    let state = if expected == "proven" { RowState::Pending } else { RowState::InDoubt };
    assert_eq!((world.row(number).state, report.absent), (state, u64::from(expected == "proven")), "{case}");
    report
}

#[test]
fn each_point_of_the_proof_fails_alone_and_all_together_prove() {
    type Change = fn(&mut World);
    let cases: [(&str, &str, Change); 16] = [
        ("nothing is wrong", "proven", |_| {}),
        ("one object cannot be read", "unread", |world| world.list.n_unread = 1),
        ("the one right before is missing", "incomplete", |world| world.hide_row(20)),
        ("the last one that counts before is missing", "incomplete", |world| world.hide_row(18)),
        ("one further before is missing", "proven", |world| world.hide_row(17)),
        ("the first behind is missing", "incomplete", |world| world.hide_row(22)),
        ("the last one that counts behind is missing", "incomplete", |world| world.hide_row(24)),
        ("one further behind is missing", "proven", |world| world.hide_row(25)),
        ("one before has lost its tag", "incomplete", |world| {
            world.listed(19).comment.truncate(12);
        }),
        ("the old end is cut within", "incomplete", |world| world.hide(|object| object.uuid <= uuid(19))),
        ("the new end is cut within", "incomplete", |world| {
            world.hide(|object| (uuid(24)..uuid(1000)).contains(&object.uuid));
        }),
        ("every fifth is hidden", "incomplete", |world| {
            world.hide(|object| object.uuid.guid().as_bytes()[15].is_multiple_of(5));
        }),
        ("the template is hidden", "incomplete", |world| world.hide(|object| object.template == template(0))),
        ("a request without a tag may be the row's", "lost tag", |world| {
            world.put(21).comment = "cut".to_owned();
        }),
        ("one without target may be, too", "lost tag", |world| {
            world.put(21).comment = String::new();
            world.list.objects.last_mut().unwrap().target = None;
        }),
        ("one of another target may not", "proven", |world| {
            world.put(41).comment = String::new();
        }),
    ];
    for (case, expected, change) in cases {
        let mut world = ripe();
        change(&mut world);
        check(case, world, 21, expected);
    }
}

#[test]
fn a_request_without_a_tag_from_long_before_the_attempt_is_not_the_rows() {
    let mut world = ripe();
    let long_ago = world.server_now() - std::time::Duration::from_secs(3 * 86_400);
    let object = world.put(21);
    (object.comment, object.submitted) = (String::new(), Some(long_ago));
    check("submitted days before", world, 21, "proven");
}

#[test]
fn the_server_may_be_at_work_for_its_limit_and_the_list_lag_by_settle() {
    for (seconds, expected) in [(154, "time"), (155, "proven")] {
        let mut world = World::begun(41);
        world.create(1..=3);
        world.lose(21);
        // The attempt has started a second ago.
        world.create(22..=24);
        world.pass(seconds - 4);
        let report = check("of this session", world, 21, expected);
        assert_eq!(report.ask_again_at.is_some(), expected == "time");
    }
    // What a dead process left had ended when the next one began.
    for (seconds, expected) in [(154, "time"), (155, "proven")] {
        let mut world = ripe();
        world.pass(10_000);
        world.restart(ACCOUNT);
        world.pass(seconds);
        check("of an earlier session", world, 21, expected);
    }
}

#[test]
fn a_row_that_a_dead_process_left_open_is_settled_by_what_came_before_it() {
    let mut world = World::begun(10);
    world.create(1..=5);
    world.claim(6);
    world.restart(ACCOUNT);
    world.first_look();
    world.assert_row(6, RowState::InDoubt, None);
    world.pass(200);
    assert_eq!(why(&world.look()), "new end");
    world.create([7]);
    let report = world.look();
    assert_eq!((why(&report), report.lag.is_some()), ("proven", true));
    world.assert_row(6, RowState::Pending, None);
}

#[test]
fn another_account_proves_nothing() {
    let mut world = ripe();
    world.restart("CONTOSO\\other");
    world.pass(200);
    check("another account", world, 21, "account");
}

#[test]
fn something_of_the_rows_type_and_template_must_be_there() {
    let change: [fn(&mut CreateRequest); 2] =
        [|request| request.template = template(1), |request| request.kind = RequestType::Unblock];
    for change in change {
        let mut requests = requests(41);
        change(&mut requests[20]);
        for (alike, expected) in [(None, "nothing alike"), (Some(22), "proven"), (Some(30), "proven")] {
            let mut requests = requests.clone();
            if let Some(alike) = alike {
                change(&mut requests[alike]);
            }
            let mut world = World::of(requests);
            world.first_look();
            world.create(1..=20);
            world.lose(21);
            world.create(22..=40);
            world.pass(160);
            check(&format!("alike {alike:?}"), world, 21, expected);
        }
    }
}

#[test]
fn where_few_were_created_before_the_list_reaches_back_to_what_was_there_before_the_run() {
    type Change = fn(&mut World);
    let strangers = |object: &RequestObject| object.uuid >= uuid(0xFFFF_0000);
    let cases: [(&str, Change); 3] = [
        ("proven", |_| {}),
        ("old end", |world| world.hide_row(0xFFFF_0000)),
        ("old end", |world| world.hide(|object| object.uuid >= uuid(0xFFFF_0000))),
    ];
    for (expected, change) in cases {
        let mut world = World::begun(20);
        world.create(1..=2);
        world.lose(3);
        world.create(4..=10);
        world.pass(160);
        assert_eq!(world.list.objects.iter().filter(|object| strangers(object)).count(), 5);
        change(&mut world);
        check(expected, world, 3, expected);
    }
    // Where the session never saw a list, nobody knows what was there.
    let mut world = World::of(requests(20));
    world.create(1..=2);
    world.lose(3);
    world.create(4..=10);
    world.pass(160);
    check("no first look", world, 3, "old end");
}

#[test]
fn where_few_were_created_behind_the_list_shows_what_came_last() {
    let scene = || {
        let mut world = World::begun(20);
        world.create(1..=10);
        world.lose(11);
        world.create([12]);
        world
    };
    let world = scene();
    world.pass(160);
    check("nothing new", world, 11, "new end");
    // A list of this session showed a row that was just created.
    let mut world = scene();
    assert!(world.look().lag.is_some());
    world.pass(160);
    world.lag = Some(Duration::ZERO);
    check("an earlier list was fresh", world, 11, "proven");
    let mut world = scene();
    world.pass(160);
    world.create([13]);
    check("this list is fresh", world, 11, "proven");
    let mut world = scene();
    world.pass(160);
    world.create([13]);
    world.hide_row(13);
    check("this list lacks what came last", world, 11, "incomplete");
    // A row that was made when the server no longer worked on the lost one.
    let mut world = scene();
    world.pass(130);
    world.create([13]);
    world.pass(40);
    check("made later than the server's limit", world, 11, "proven");
    let mut world = scene();
    world.pass(110);
    world.create([13]);
    world.pass(60);
    check("made within the server's limit", world, 11, "new end");
}

#[test]
fn where_nothing_is_left_to_send_what_stands_before_a_row_proves_its_absence() {
    let scene = |n_rows: u32| {
        let mut world = World::begun(n_rows);
        world.create(1..=5);
        world.lose(6);
        world.pass(160);
        world
    };
    check("a row is pending", scene(7), 6, "new end");
    check("none is", scene(6), 6, "proven");
    let mut world = scene(6);
    world.hide_row(5);
    check("the one before is missing", world, 6, "incomplete");
    let mut world = World::begun(6);
    world.create(1..=2);
    world.lose(6);
    world.attempt([3, 4, 5].map(|number| (number, refused())));
    world.pass(160);
    world.hide(|object| object.uuid >= uuid(0xFFFF_0000));
    check("the old end is cut", world, 6, "old end");
}

#[test]
fn the_first_of_the_last_rows_is_sent_before_the_others_are_taken_for_absent() {
    let mut world = World::begun(8);
    world.create(1..=5);
    world.attempt([6, 7, 8].map(|number| (number, timed_out())));
    world.pass(160);
    let report = world.look();
    assert_eq!((report.absent, report.probe, report.left), (1, Probe::Sent(row(6)), 2));
    world.probe = Probe::Sent(row(6));
    // It is pending: now a list has something to show, and does not yet.
    let report = world.look();
    assert_eq!((report.absent, report.left, why(&report)), (0, 2, "new end"));
    world.create([6]);
    let report = world.look();
    assert_eq!((report.absent, report.probe, report.left), (2, Probe::Seen, 0));
}

#[test]
fn an_old_attempt_is_absent_only_from_a_list_that_has_finished_requests_from_before() {
    for (seconds, expected) in [(3_500, "proven"), (3_700, "archived")] {
        let mut world = ripe();
        world.pass(seconds - 160);
        world.hide(|object| object.status == RequestStatus::Completed);
        check("this session's", world, 21, expected);
    }
    for (is_kept, expected) in [(true, "proven"), (false, "archived")] {
        let mut world = ripe();
        world.pass(4_000);
        world.restart(ACCOUNT);
        world.pass(160);
        if !is_kept {
            world.hide(|object| object.status == RequestStatus::Completed);
            // One that ended later says nothing.
            world.list.objects.last_mut().unwrap().status = RequestStatus::Completed;
        }
        check("an earlier session's", world, 21, expected);
    }
    // No first list, and so no time of the server.
    let mut world = World::of(requests(40));
    world.n_around = 5;
    world.create(1..=20);
    world.lose(21);
    world.create(22..=40);
    world.restart(ACCOUNT);
    world.pass(160);
    let report = check("an unknown session's", world, 21, "no time");
    assert!(report.why_left[0].to_string().contains("does not say its time"), "{}", report.why_left[0]);
}

#[test]
fn with_trust_the_time_is_all_that_counts() {
    for (seconds, expected) in [(100, "time"), (160, "proven")] {
        let mut world = World::of(requests(5));
        world.trust = Trust::List;
        world.lose(1);
        world.pass(seconds);
        world.list.n_unread = 3;
        check("trusted", world, 1, expected);
    }
}

#[test]
fn after_a_500_or_the_last_attempt_an_absent_row_is_failed() {
    let mut world = World::begun(41);
    world.create(1..=20);
    world.attempt([(21, lost(ErrorCode::ServerError))]);
    world.create(22..=40);
    world.pass(160);
    let report = world.look();
    assert_eq!((report.absent, report.failed, report.left, report.probe), (0, 1, 0, Probe::None));
    world.assert_row(21, RowState::Failed, None);
    assert_eq!(world.row(21).error_code, Some(ErrorCode::ServerError));
}

#[test]
fn a_hundred_on_each_side_are_looked_for() {
    let n = u32::try_from(crate::reconcile::Asking::N_AROUND).unwrap();
    for (hidden, expected) in
        [(None, "proven"), (Some(150 - n), "incomplete"), (Some(150 - n - 1), "proven"), (Some(150 + n), "incomplete")]
    {
        let mut world = World::begun(300);
        world.n_around = n as usize;
        let others = || (1..=300).filter(|number| *number != 150);
        for number in others() {
            world.put(number);
        }
        world.attempt((1..150).map(|number| (number, created(number))));
        world.lose(150);
        world.attempt((151..=300).map(|number| (number, created(number))));
        if let Some(hidden) = hidden {
            world.hide_row(hidden);
        }
        world.pass(160);
        check(&format!("without {hidden:?}"), world, 150, expected);
    }
}

#[test]
fn of_several_absent_rows_the_first_goes_alone_until_a_list_shows_it() {
    let scene = || {
        let mut world = World::begun(41);
        world.create(1..=10);
        world.attempt([11, 12, 13].map(|number| (number, timed_out())));
        world.create(14..=30);
        world.pass(160);
        world
    };
    let mut world = scene();
    let report = world.look();
    assert_eq!((report.absent, report.probe, report.left), (1, Probe::Sent(row(11)), 2));
    world.probe = Probe::Sent(row(11));
    // It is sent, and is in the list.
    world.create([11]);
    let report = world.look();
    assert_eq!((report.absent, report.probe, report.left), (2, Probe::Seen, 0));

    let mut world = scene();
    world.look();
    world.probe = Probe::Sent(row(11));
    world.create([11]);
    world.hide_row(11);
    let report = world.look();
    assert_eq!((report.absent, report.probe, report.left), (0, Probe::Sent(row(11)), 2));
    let probe = WhyLeft::Probe { n: 2, row: row(11) };
    assert!(report.why_left.contains(&probe), "{:?}", report.why_left);
    assert!(report.ask_again_at.is_some(), "a list may lag");

    // It shows, and so does what the list that had it absent lacked: the others may be there as well.
    let mut world = scene();
    world.look();
    world.probe = Probe::Sent(row(11));
    world.create([11]);
    let late = RequestObject { uuid: uuid(511), ..world.object(11) };
    world.list.objects.push(late);
    let report = world.look();
    assert_eq!((report.absent, report.probe, report.left), (0, Probe::Sent(row(11)), 2));

    // Its answer was lost again, and one request shows: nobody knows which. The next one goes alone.
    let mut world = scene();
    world.look();
    world.probe = Probe::Sent(row(11));
    world.lose(11);
    let late = RequestObject { uuid: uuid(511), ..world.object(11) };
    world.list.objects.push(late);
    let report = world.look();
    assert_eq!((report.found, report.absent, report.probe), (1, 1, Probe::Sent(row(12))));
    assert!(report.audit.ripe_at.is_some_and(|at| at > world.clock.since_boot()), "another one may come");

    let mut world = scene();
    world.probe = Probe::Seen;
    assert_eq!(world.look().absent, 3);
}

#[test]
fn rows_that_are_found_say_nothing_of_the_absent_ones() {
    let mut world = World::begun(41);
    world.create(1..=10);
    world.attempt([11, 12, 13].map(|number| (number, timed_out())));
    world.put(11);
    world.create(14..=30);
    world.pass(160);
    let report = world.look();
    assert_eq!((report.found, report.absent, report.probe, report.left), (1, 1, Probe::Sent(row(12)), 1));
}

#[test]
fn a_row_that_was_sent_again_and_does_not_show_is_named_wherever_it_stands() {
    let mut world = World::begun(11);
    world.create(1..=10);
    world.lose(11);
    world.pass(160);
    assert_eq!(world.look().absent, 1);
    world.create([11]);
    world.hide_row(11);
    // The newest of all, which an ordinary row may be for a while.
    let audit = world.look().audit;
    assert_eq!((audit.again.n, audit.not_shown.n, audit.is_whole()), (1, 0, false));
    assert_eq!(audit.again.first, [Gap { row: row(11), uuid: uuid(11) }]);
    world.put(11);
    assert!(world.look().audit.is_whole());
}

#[test]
fn rows_of_sessions_that_died_before_their_last_look_are_looked_for() {
    let mut world = World::begun(12);
    world.create(1..=8);
    world.hide_row(4);
    world.restart(ACCOUNT);
    assert_eq!(world.first_look().audit.missing.n, 0, "they are an earlier session's");
    world.audited_from = 1;
    let audit = world.look().audit;
    assert_eq!((audit.missing.first, audit.n_lacking), (vec![Gap { row: row(4), uuid: uuid(4) }], 1));
}

#[test]
fn a_row_whose_answer_is_lost_twice_is_not_sent_a_third_time() {
    let scene = |code| {
        let mut world = ripe();
        assert_eq!(world.look().absent, 1);
        world.attempt([(21, lost(code))]);
        world.create([41]);
        world.pass(160);
        world
    };
    let mut world = scene(ErrorCode::Timeout);
    let report = world.look();
    assert_eq!((report.absent, report.failed, report.left, report.ask_again_at), (0, 0, 1, None));
    assert_eq!(report.why_left, [WhyLeft::LostAgain { n: 1, first: row(21) }]);
    world.restart(ACCOUNT);
    world.pass(160);
    check("another session", world, 21, "lost again");

    let mut world = scene(ErrorCode::Timeout);
    world.trust = Trust::List;
    assert_eq!(world.look().absent, 1, "a person vouches for the list");
    assert_eq!(scene(ErrorCode::LeftOpen).look().absent, 1, "it may not have been sent");
    assert_eq!(scene(ErrorCode::ServerError).look().failed, 1, "an answer came");
}
