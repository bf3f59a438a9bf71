//! What a list has: whose a request is, and what follows for its row.

use super::world::*;
use crate::client::{RequestObject, RequestStatus};
use crate::ledger::{Resolution, RowState, RowVerdict, Source};
use crate::reconcile::{Double, Stray, Tagging, TakenOver, WhyLeft};
use crate::request::{CreateRequest, ErrorCode, RequestType};

#[test]
fn a_row_in_doubt_is_found_by_its_tag() {
    let mut world = World::begun(4);
    world.create([1]);
    world.put(2);
    world.attempt([(2, timed_out())]);
    let report = world.look();
    assert_eq!((report.found, report.left, report.taken_over.n), (1, 0, 0));
    assert!(!report.is_behind() && report.not_ours.is_none());
    world.assert_row(2, RowState::Created, Some(2));
    world.assert_row(3, RowState::Pending, None);
}

#[test]
fn all_tags_of_a_comment_are_read() {
    let mut world = World::begun(3);
    world.lose(1);
    let older = strangers_tag(9, world.request(3));
    let own = world.object(1);
    let comment = format!("{older} {} {}", &older.to_string()[..20], own.comment);
    world.list.objects.push(RequestObject { comment, ..own });
    let report = world.look();
    assert_eq!(report.found, 1);
    world.assert_row(1, RowState::Created, Some(1));
    assert_eq!(report.hits.iter().count(), 1, "the older one is another run's");
}

#[test]
fn what_stands_for_another_server_object_is_not_settled_by_a_list_that_is_cut_off() {
    let mut world = World::begun(2);
    world.lose(1);
    world.put(1);
    world.list.is_cut_off = true;
    let report = world.look();
    assert!(report.unreadable.is_some());
    assert_eq!((report.found, report.left), (0, 1));
    world.assert_row(1, RowState::InDoubt, None);
}

#[test]
fn a_tag_of_the_row_with_another_fingerprint_is_another_runs_and_makes_the_ledger_behind() {
    let mut world = World::begun(3);
    let other = CreateRequest { target: Some(guid(77)), ..request(1) };
    let tag = crate::request::Tag::new(world.identity().run, &world.identity().key, row(1), other.fingerprint());
    world.list.objects.push(object(501, &other, tag.to_string()));
    let report = world.look();
    assert!(report.is_behind());
    assert_eq!(report.strays.first, [Stray { row: row(1), uuid: uuid(501), state: Some(RowState::Pending) }]);
    world.assert_row(1, RowState::Pending, None);
}

#[test]
fn a_tag_of_a_row_that_the_ledger_does_not_have_is_a_stray() {
    let mut world = World::begun(2);
    let request = request(9);
    let tag = crate::request::Tag::new(world.identity().run, &world.identity().key, row(9), request.fingerprint());
    world.list.objects.push(object(501, &request, tag.to_string()));
    let report = world.look();
    assert!(report.is_behind());
    assert_eq!(report.strays.first, [Stray { row: row(9), uuid: uuid(501), state: None }]);
}

#[test]
fn a_tag_that_is_not_made_with_the_runs_key_is_a_strangers() {
    let mut world = World::begun(2);
    world.lose(1);
    let forged = crate::request::Tag::new(
        world.identity().run,
        &crate::request::RunKey::from_bytes([1; 32]),
        row(1),
        world.request(1).fingerprint(),
    );
    world.list.objects.push(object(501, &request(1), forged.to_string()));
    let report = world.look();
    assert_eq!((report.found, report.strays.n, report.left), (0, 0, 1));
}

#[test]
fn rows_that_the_ledger_has_as_not_sent_are_taken_over_from_every_state() {
    let mut world = World::begun(5);
    world.attempt([(2, refused())]);
    let skip = Resolution {
        row: row(3),
        verdict: RowVerdict::Dropped,
        source: Source::Person,
        reason: Some("done by hand".to_owned()),
    };
    world.ledger().resolve_blocking(vec![skip], None).unwrap();
    for number in 1..=3 {
        world.put(number);
    }
    let report = world.look();
    assert!(report.is_behind());
    let taken = |number, was| TakenOver { row: row(number), uuid: uuid(u128::from(number)), was, dropped_by: None };
    let dropped = TakenOver { dropped_by: Some("done by hand".to_owned()), ..taken(3, RowState::Skipped) };
    assert_eq!(report.taken_over.first, [taken(1, RowState::Pending), taken(2, RowState::Failed), dropped]);
    assert_eq!((report.found, report.taken_over.n), (0, 3));
    let (created, pending) = (RowState::Created, RowState::Pending);
    world.assert_states([created, created, created, pending, pending]);
    assert!(!world.look().is_behind(), "once");
}

#[test]
fn answers_of_two_rows_that_were_swapped_are_corrected() {
    let mut world = World::begun(3);
    world.put(1);
    world.put(2);
    world.attempt([(1, created(2)), (2, created(1))]);
    let report = world.look();
    assert_eq!((report.corrected, report.doubles.n, report.contradicted, report.left), (2, 0, 0, 0));
    world.assert_row(1, RowState::Created, Some(1));
    world.assert_row(2, RowState::Created, Some(2));
}

#[test]
fn a_created_row_whose_request_has_another_rows_tag_is_in_doubt_again() {
    let mut world = World::begun(3);
    // Row 2's call was answered with what became of row 1's, whose answer was lost.
    world.put(1);
    world.attempt([(1, timed_out()), (2, created(1))]);
    let report = world.look();
    world.assert_row(1, RowState::Created, Some(1));
    world.assert_row(2, RowState::InDoubt, None);
    assert_eq!(world.row(2).error_code, Some(ErrorCode::Contradicted));
    assert!(
        report.why_left.iter().any(|why| matches!(why, WhyLeft::Contradicted { n: 1, first } if *first == [row(2)]))
    );
    world.pass(10_000);
    let report = world.look();
    assert_eq!(report.absent, 0, "no list says that it is absent");
    world.assert_row(2, RowState::InDoubt, None);
    assert!(report.why_left.iter().any(|why| matches!(why, WhyLeft::Contradicted { n: 1, .. })));
}

#[test]
fn a_request_with_the_tag_and_another_target_or_template_leaves_the_row_in_doubt_and_names_both() {
    let change: [fn(&mut RequestObject); 2] = [|found| found.target = Some(guid(1)), |found| found.template = None];
    for change in change {
        let mut world = World::begun(3);
        world.lose(1);
        change(world.put(1));
        let report = world.look();
        assert_eq!((report.found, report.contradicted, report.left), (0, 1, 1));
        let message = world.row(1).error_message.unwrap();
        assert!(message.contains(&uuid(1).to_string()), "{message}");
    }
}

#[test]
fn two_requests_with_a_rows_tag_are_a_double_whatever_the_row_was() {
    for was in [RowState::InDoubt, RowState::Created] {
        let mut world = World::begun(3);
        world.put(1);
        world.attempt([(1, if was == RowState::Created { created(1) } else { timed_out() })]);
        world.pass(5);
        let again = RequestObject { uuid: uuid(900), ..world.object(1) };
        world.list.objects.insert(0, again);
        let report = world.look();
        assert_eq!(report.doubles.first, [Double { row: row(1), uuids: vec![uuid(1), uuid(900)] }], "{was}");
        world.assert_row(1, RowState::Created, Some(1));
    }
}

#[test]
fn a_comment_with_the_tags_of_several_rows_is_the_row_that_it_agrees_with() {
    for is_known in [true, false] {
        let mut world = World::begun(4);
        world.create([1]);
        world.put(2);
        world.attempt([(2, if is_known { created(2) } else { timed_out() }), (3, timed_out())]);
        let copied = format!("{} {} {}", world.tag(1), world.tag(3), world.listed(2).comment);
        world.listed(2).comment = copied;
        let report = world.look();
        world.assert_row(2, RowState::Created, Some(2));
        world.assert_row(1, RowState::Created, Some(1));
        world.assert_row(3, RowState::InDoubt, None);
        assert_eq!((report.doubles.n, report.contradicted, report.taken_over.n), (0, 0, 0), "{is_known}");
    }
    // Rows that ask for the same, on purpose: nobody can tell.
    let mut world = World::of(vec![request(1), request(1), request(2)]);
    world.first_look();
    world.attempt([(1, timed_out()), (2, timed_out())]);
    let both = format!("{} {}", world.tag(1), world.tag(2));
    world.put(1).comment = both;
    let report = world.look();
    assert_eq!((report.found, report.contradicted, report.left), (0, 2, 2));
}

#[test]
fn the_same_request_listed_twice_is_one() {
    let mut world = World::begun(3);
    world.lose(1);
    world.put(1);
    world.put(1);
    let report = world.look();
    assert_eq!((report.found, report.doubles.n), (1, 0));
}

#[test]
fn a_request_of_this_run_that_this_session_did_not_send_and_that_is_new_is_anothers_work() {
    let mut world = World::begun(4);
    world.pass(200);
    world.put(3);
    let report = world.look();
    assert_eq!(report.not_ours, Some((row(3), uuid(3))));
    // One that may still be what an earlier session left open is not.
    let mut world = World::begun(4);
    world.pass(100);
    world.put(3);
    assert_eq!(world.look().not_ours, None);
    // Nor is what this session sent.
    let mut world = World::begun(4);
    world.pass(200);
    world.lose(1);
    world.put(1);
    assert_eq!(world.look().not_ours, None);
}

#[test]
fn the_kinds_whose_first_request_is_seen_as_asked_for_are_told() {
    let other = CreateRequest { template: template(1), ..request(2) };
    let unblock = CreateRequest { kind: RequestType::Unblock, ..request(3) };
    let mut world = World::of(vec![request(1), other.clone(), unblock]);
    world.first_look();
    world.create([1]);
    world.put(2).template = template(5);
    world.attempt([(2, created(2))]);
    let report = world.look();
    assert_eq!(report.kinds_seen, [kind_of(&request(1))], "the other one is not what was asked for");
}

#[test]
fn a_run_without_tags_settles_nothing_and_names_candidates() {
    let mut world = World::begun(3);
    world.tagging = Tagging::Untagged;
    world.attempt([(1, timed_out()), (2, timed_out())]);
    world.put(1);
    world.pass(1_000);
    let report = world.look();
    assert_eq!((report.found, report.absent, report.left), (0, 0, 2));
    let [WhyLeft::Untagged(untagged)] = &report.why_left[..] else { panic!("{:?}", report.why_left) };
    let named: Vec<_> = untagged.first.iter().map(|one| (one.row, one.candidates.len())).collect();
    assert_eq!(named, [(row(1), 1), (row(2), 0)]);
    assert_eq!(report.ask_again_at, None, "a person settles");
}

#[test]
fn what_became_of_the_requests_that_stand_for_skipped_rows_is_told() {
    for (status, expected) in [
        (Some(RequestStatus::Pending), None),
        (Some(RequestStatus::Denied), Some(Some(RequestStatus::Denied))),
        (Some(RequestStatus::Canceled), Some(Some(RequestStatus::Canceled))),
        (None, Some(None)),
    ] {
        let mut world = World::begun(2);
        let elsewhere =
            Resolution { row: row(1), verdict: RowVerdict::Elsewhere(uuid(700)), source: Source::List, reason: None };
        world.ledger().resolve_blocking(vec![elsewhere], None).unwrap();
        if let Some(status) = status {
            let comment = strangers_tag(9, &request(1)).to_string();
            world.list.objects.push(RequestObject { status, ..object(700, &request(1), comment) });
        }
        let report = world.look();
        let told: Vec<_> = expected.into_iter().map(|status| (row(1), uuid(700), status)).collect();
        assert_eq!(report.audit.come_to_nothing, told, "{status:?}");
    }
}

#[test]
fn a_created_row_whose_request_is_for_somebody_else_is_in_doubt_again() {
    for (what, is_wrong) in [
        ("another target", (|object| object.target = Some(guid(99))) as fn(&mut RequestObject)),
        ("another template", |object| object.template = template(9)),
    ] {
        let mut world = World::begun(3);
        world.create([1, 2, 3]);
        is_wrong(world.listed(2));
        let report = world.look();
        world.assert_row(2, RowState::InDoubt, None);
        let row_2 = world.row(2);
        assert_eq!((row_2.error_code, report.contradicted), (Some(ErrorCode::Contradicted), 1), "{what}");
        let message = row_2.error_message.unwrap();
        assert!(message.contains("is not what was asked for") && message.contains(&uuid(2).to_string()), "{message}");
        assert_eq!(world.look().left, 1, "{what}: once");
    }
    // What the server does not say is no sign against its answer.
    let mut world = World::begun(3);
    world.create([1, 2, 3]);
    world.listed(2).target = None;
    assert_eq!(world.look().contradicted, 0);
    world.assert_row(2, RowState::Created, Some(2));
}

#[test]
fn a_wrong_request_that_was_canceled_keeps_nobody_from_asking_anew() {
    let mut world = World::begun(3);
    world.create([1, 2]);
    world.listed(2).target = Some(guid(99));
    world.look();
    world.assert_row(2, RowState::InDoubt, None);
    let absent = Resolution { row: row(2), verdict: RowVerdict::Absent, source: Source::Person, reason: None };
    // While the wrong one is open, a person's word is not enough.
    world.ledger().resolve_blocking(vec![absent.clone()], None).unwrap();
    world.look();
    world.assert_row(2, RowState::InDoubt, None);
    world.ledger().resolve_blocking(vec![absent], None).unwrap();
    world.listed(2).status = RequestStatus::Canceled;
    let report = world.look();
    world.assert_row(2, RowState::Pending, None);
    assert!(!report.is_behind());
}

#[test]
fn a_strangers_copy_of_a_comment_says_nothing_of_a_created_row() {
    for (account, left) in [(guid(0xBAD), 0), (guid(0xACC), 1)] {
        let mut world = World::of(requests(3));
        world.create([1, 2]);
        for number in [1, 2] {
            world.listed(number).originator = Some(guid(0xACC));
        }
        world.first_look();
        // Its own request has left the list.
        let own = world.listed(2).clone();
        world.hide_row(2);
        world.list.objects.push(RequestObject {
            uuid: uuid(700),
            target: Some(guid(99)),
            originator: Some(account),
            ..own
        });
        assert_eq!(world.look().left, left, "made by {account}");
    }
}

#[test]
fn an_answer_with_a_request_that_no_list_has_is_told() {
    let mut world = World::begun(3);
    world.put(1);
    world.attempt([(1, created(77))]);
    let report = world.look();
    assert_eq!((report.corrected, report.doubles.n), (1, 0));
    assert_eq!(report.answered.first, [(row(1), [uuid(1), uuid(77)])]);
    world.assert_row(1, RowState::Created, Some(1));
}

#[test]
fn rows_that_are_absent_and_were_requested_elsewhere_by_known_accounts_are_left_out_at_once() {
    for (known, is_left_out) in [(&[700][..], true), (&[], false), (&[701], false)] {
        let mut world = World::begun(43);
        world.create(1..=20);
        world.lose(21);
        world.lose(22);
        world.create(23..=42);
        world.pass(160);
        world.leave_out = known.iter().copied().map(guid).collect();
        for number in [21_u32, 22] {
            let comment = strangers_tag(9, world.request(number)).to_string();
            let others = object(700 + u128::from(number), world.request(number), comment);
            world.list.objects.push(RequestObject { originator: Some(guid(700)), ..others });
        }
        let report = world.look();
        assert_eq!(report.hits.iter().count(), 2, "those of rows in doubt are told, too");
        let states = [21, 22].map(|number| world.row(number).state);
        // Where they are sent, one goes alone.
        let sent = [RowState::Pending, RowState::InDoubt];
        assert_eq!(states, if is_left_out { [RowState::Skipped; 2] } else { sent }, "{known:?}");
        assert_eq!((report.absent, report.left), if is_left_out { (0, 0) } else { (1, 1) }, "{known:?}");
        let skipped = if is_left_out { vec![(row(21), uuid(721)), (row(22), uuid(722))] } else { vec![] };
        assert_eq!(world.reader().skipped_elsewhere().unwrap(), skipped);
    }
}

#[test]
fn what_a_row_was_answered_with_is_looked_at_without_its_tag_too() {
    let scene = |change: fn(&mut RequestObject)| {
        let mut world = World::begun(12);
        world.create(1..=10);
        world.create([11, 12]);
        let object = world.listed(11);
        object.comment = "by hand".to_owned();
        change(object);
        world.look()
    };
    let report = scene(|_| {});
    assert_eq!((report.contradicted, report.audit.not_shown.n, report.audit.missing.n), (0, 0, 0), "it is there");
    let report = scene(|object| object.target = Some(guid(4711)));
    assert_eq!((report.contradicted, report.left, report.audit.missing.n), (1, 1, 0));
    assert!(
        report.why_left.iter().any(|why| matches!(why, WhyLeft::Contradicted { n: 1, first } if *first == [row(11)]))
    );
    assert_eq!(scene(|object| object.target = None).contradicted, 0, "what the server does not say is no sign");
}
