//! Lists that are cut, lag, hide and lie, while an answer was lost.

use serde_json::{Value, json};

use super::server::{Deed, How, Made, Manner, Reply, Shown, uuid_of};
use super::{World, further_manifest};
use crate::common::{TEMPLATE, enrollments, guid};

const N_ROWS: u32 = 40;

/// The answers to these calls are lost, and their requests are made.
fn lossy(lost: &'static [u32]) -> Manner {
    Manner::default()
        .posting(move |number, _| Deed::done(if lost.contains(&number) { Reply::Lost } else { Reply::Own }))
}

const OTHER: &str = "b039b4d0-5ce8-4eff-8651-181c6576fda3";

/// Rows of two templates and two types.
fn mixed() -> String {
    let mut text = "type,profiletemplateuuid,target\n".to_owned();
    for row in 1..=N_ROWS {
        let (kind, template) = match row % 4 {
            0 => ("Enroll", OTHER),
            1 => ("Unblock", TEMPLATE),
            _ => ("Enroll", TEMPLATE),
        };
        text += &format!("{kind},{template},{}\n", guid(row));
    }
    text
}

/// The rows 6 (the first of the other template is 4), 9 and 8 lose their answers; a list that never had them proves nothing.
#[test]
fn a_list_that_is_cut_proves_no_absence() {
    type Shows = fn(usize, usize, &Made) -> bool;
    let lists: [(&str, Shows); 8] = [
        ("old end", |place, n, _| place + 20 >= n),
        ("older half", |place, n, _| place >= n / 2),
        ("new end", |place, _, _| place < 5),
        ("all but two", |place, _, _| place < 2),
        ("without a template", |_, _, made| made.text("profiletemplateuuid") != OTHER),
        ("without a type", |_, _, made| made.text("type") != "Unblock"),
        ("only another template", |_, _, made| made.text("profiletemplateuuid") == OTHER),
        ("nothing", |_, _, _| false),
    ];
    std::thread::scope(|scope| {
        for (_, shows) in lists {
            scope.spawn(move || {
                let lost: &[u32] = &[6, 8, 9];
                let world = World::new(lossy(lost).showing(shows));
                let place = world.place("a");
                place.write("wave.csv", mixed());
                for _ in 0..3 {
                    place.submit(&["--concurrency", "1"]);
                    world.server.never_twice();
                    place.never_lost("wave.ledger");
                }
                world.server.behave(Manner::default());
                place.submit(&[]);
                // What earlier lists lacked is there now.
                place.run(&["settle", "wave.ledger", "--all"]).exits(0);
                place.all_once("wave.ledger", N_ROWS as usize);
            });
        }
    });
}

#[test]
fn a_list_that_drops_older_days_proves_nothing_for_appended_rows() {
    let world = World::new(Manner::default());
    let place = world.with_rows("a", 20);
    place.submit(&[]).exits(0);
    place.write("more.csv", further_manifest(20, "a1b2c3d4"));
    let n_before = world.server.n_made();
    let lost: &[u32] = &[25, 26];
    // Of what there is, it has what is new, and of that not what was lost.
    world.server.behave(lossy(lost).showing(move |place, _, made| place >= n_before && !lost.contains(&made.number)));
    for _ in 0..2 {
        place.run(&["submit", "more.csv", "--append", "--ledger", "wave.ledger", "--concurrency", "1"]);
        world.server.never_twice();
    }
    world.server.behave(Manner::default());
    place.run(&["submit", "more.csv", "--append", "--ledger", "wave.ledger"]);
    place.run(&["settle", "wave.ledger", "--all"]).exits(0);
    place.all_once("wave.ledger", 40);
}

#[test]
fn a_list_that_lags_proves_nothing_until_it_is_up_to_date() {
    let lag = |made: &Made| made.arrived.elapsed().as_secs_f64() > 4.0;
    let lost: &[u32] = &[38, 39, 40];
    let world = World::new(lossy(lost).showing(move |_, _, made| lag(made)));
    let place = world.with_rows("a", N_ROWS);
    place.submit(&[]);
    world.server.never_twice();
    place.until_done(&["submit", "wave.csv"]);
    place.all_once("wave.ledger", N_ROWS as usize);
}

/// A list that hides the very row that is in doubt, for a reason of its own: twice is possible, once, and is named.
#[test]
fn a_list_that_hides_a_row_for_reasons_of_its_own_ends_with_that_row_named() {
    let hidden = guid(6);
    let of_target = hidden.clone();
    let lost: &[u32] = &[6, 9];
    let world = World::new(lossy(lost).showing(move |_, _, made| made.target() != of_target));
    let place = world.with_rows("a", N_ROWS);
    for _ in 0..2 {
        let ran = place.submit(&["--concurrency", "1"]);
        let twice = world.server.twice();
        assert!(twice.len() <= 1, "{twice:?}");
        if let Some((what, _)) = twice.first() {
            assert!(what.ends_with(&hidden), "{what}");
            assert_ne!(ran.status, 0, "{}", ran.stderr);
            assert!(ran.stderr.contains("row 6"), "row 6 is not named:\n{}", ran.stderr);
        }
    }
    assert_ne!(place.row("wave.ledger", 9)["state"], "pending");
}

/// A list that ends for good before the last row, which is in doubt: as if it hid that one.
#[test]
fn a_list_that_ends_before_the_row_in_doubt_ends_with_that_row_named() {
    let lost: &[u32] = &[12];
    let world = World::new(lossy(lost).showing(|place, _, _| place < 11));
    let place = world.with_rows("a", 12);
    for _ in 0..2 {
        let ran = place.submit(&["--concurrency", "1"]);
        let twice = world.server.twice();
        assert!(twice.len() <= 1, "{twice:?}");
        assert_ne!(ran.status, 0, "{}", ran.stderr);
        assert!(twice.is_empty() || ran.stderr.contains("row 12"), "row 12 is not named:\n{}", ran.stderr);
    }
}

#[test]
fn every_third_request_hidden_ends_with_what_is_twice_named() {
    let lost: &[u32] = &[6, 9, 12];
    let world = World::new(lossy(lost).showing(|place, _, _| place % 3 != 2));
    let place = world.with_rows("a", N_ROWS);
    for _ in 0..2 {
        let ran = place.submit(&["--concurrency", "1"]);
        for (what, _) in world.server.twice() {
            assert_ne!(ran.status, 0, "{what}:\n{}", ran.stderr);
        }
    }
    world.server.never_twice();
}

#[test]
fn a_list_that_shows_requests_more_than_once_makes_no_row_a_double() {
    let lost: &[u32] = &[5];
    let repeat = |_: u32, made: Vec<Made>| {
        let again = made.clone().into_iter().rev();
        Shown { made: made.into_iter().chain(again).collect(), how: How::Whole }
    };
    let world = World::new(lossy(lost).listing(repeat));
    let place = world.with_rows("a", 12);
    place.submit(&[]).exits(0);
    place.all_once("wave.ledger", 12);
}

#[test]
fn a_list_without_end_ends_with_its_time() {
    let world = World::new(Manner::default().list_as(How::Trickle));
    let place = world.with_rows("a", 5);
    let begin = std::time::Instant::now();
    place.submit(&["--list-timeout", "2s"]).exits(4).says("2s");
    assert!(begin.elapsed().as_secs() < 8, "{:?}", begin.elapsed());
    assert_eq!(world.server.n_posts(), 0);
}

#[test]
fn a_kept_list_is_no_list() {
    let world = World::new(Manner::default().list_as(How::Aged(600)));
    let place = world.with_rows("a", 5);
    let ran = place.submit(&[]).exits(4);
    assert_eq!(world.server.n_posts(), 0);
    world.server.behave(Manner::default());
    place.run_next(&ran, "submit wave.csv").exits(0);
    place.all_once("wave.ledger", 5);
}

#[test]
fn a_list_that_was_kept_from_before_the_call_is_no_list() {
    // What was kept is from before the run.
    let kept = |number: u32, made: Vec<Made>| match number {
        1 => Shown { made, how: How::Whole },
        _ => Shown { made: Vec::new(), how: How::Dated(600) },
    };
    let world = World::new(Manner { list: Box::new(kept), ..lossy(&[3]) });
    let place = world.with_rows("a", 5);
    let ran = place.submit(&[]);
    assert_ne!(ran.status, 0, "{}", ran.stderr);
    assert_eq!(world.server.n_posts(), 5, "{}", ran.stderr);
    assert!(ran.stderr.contains("before the call"), "{}", ran.stderr);
    world.server.behave(Manner::default());
    place.submit(&[]).exits(0);
    place.all_once("wave.ledger", 5);
}

#[test]
fn requests_that_cannot_be_read_stop_proofs_and_not_the_start() {
    // Its comment and template are missing: it may be anybody's.
    let blank = |made: Made| {
        if made.number == 4 { made.with("Comment", Some(json!(7))).with("ProfileTemplateUuid", None) } else { made }
    };
    let lost: &[u32] = &[4];
    let world = World::new(lossy(lost).keeping(blank));
    let place = world.with_rows("a", 10);
    for _ in 0..2 {
        place.submit(&["--concurrency", "1"]).exits(1);
        world.server.never_twice();
        assert_eq!(place.row("wave.ledger", 4)["state"], "in_doubt");
    }
    assert_eq!(place.n_in("wave.ledger", "created"), 9);
}

#[test]
fn a_listed_request_without_comment_and_template_is_not_taken_for_a_strangers() {
    for (properties, days) in [
        (&["Comment", "ProfileTemplateUuid"][..], 0),
        (&["Comment", "TargetUserUuid"], 0),
        (&["Comment", "ProfileTemplateUuid", "TargetUserUuid", "RequestType"], 0),
        (&["Comment"], -60),
        (&["Comment", "Submitted"], 60),
    ] {
        let blank = move |made: Made| {
            let is_blank = made.number == 4;
            properties.iter().fold(made, |made, name| if is_blank { made.with(name, None) } else { made })
        };
        let lost: &[u32] = &[4];
        let clock = jiff::SignedDuration::from_hours(24 * days);
        let world = World::new(Manner { clock, ..lossy(lost) }.keeping(blank));
        let place = world.with_rows("a", 10);
        for _ in 0..2 {
            place.submit(&["--concurrency", "1"]).exits(1);
            world.server.never_twice();
            assert_eq!(place.row("wave.ledger", 4)["state"], "in_doubt", "without {properties:?}");
        }
    }
}

#[test]
fn odd_properties_of_others_requests_keep_nobody_from_anything() {
    let odd = |made: Made| {
        let value: Value = match made.number % 3 {
            0 => json!("/Date(1700000000000)/"),
            1 => json!({"a": [1]}),
            _ => Value::Null,
        };
        made.with("Completed", Some(value.clone()))
            .with("Status", Some(json!("Approved")))
            .with("RequestType", Some(value))
    };
    let lost: &[u32] = &[5];
    let world = World::new(lossy(lost).keeping(odd));
    let place = world.with_rows("a", 12);
    place.until_done(&["submit", "wave.csv"]);
    place.all_once("wave.ledger", 12);
}

#[test]
fn an_older_tag_in_front_of_the_rows_own_does_not_hide_it() {
    let older = |mut made: Made| {
        let tag = "[cmb:AAAAAAAAAAAAAAAAAAAAAAAA-AAAAAAAA]";
        made.body["comment"] = format!("{tag} renewed: {}", made.comment()).into();
        made
    };
    let lost: &[u32] = &[1, 5];
    let world = World::new(lossy(lost).keeping(older));
    let place = world.with_rows("a", 12);
    place.until_done(&["submit", "wave.csv", "--concurrency", "1"]);
    place.all_once("wave.ledger", 12);
    assert_eq!(place.row("wave.ledger", 5)["request_uuid"], uuid_of(5, 1));
}

#[test]
fn tags_of_other_runs_in_the_list_change_nothing() {
    let world = World::new(Manner::default());
    let (first, place) = (world.place("a"), world.place("b"));
    first.write("wave.csv", further_manifest(30, "a1b2c3d4"));
    first.submit(&[]).exits(0);
    place.write("wave.csv", enrollments(20));
    let lost: &[u32] = &[35, 36];
    world.server.behave(lossy(lost));
    place.until_done(&["submit", "wave.csv"]);
    place.never_lost("wave.ledger");
    world.server.never_twice();
    assert_eq!(world.server.n_made(), 50);
}

#[test]
fn a_run_of_six_rows_whose_first_answer_was_lost_ends_with_six_created_by_itself() {
    for creates in [true, false] {
        let deed = move |number: u32, _: &Value| Deed {
            times: u32::from(number != 1 || creates),
            late: None,
            reply: if number == 1 { Reply::Lost } else { Reply::Own },
        };
        let world = World::new(Manner::default().posting(deed));
        // What a list can show for row 1 to be absent: requests from before.
        let before = world.place("b");
        before.write("wave.csv", further_manifest(3, "a1b2c3d4"));
        let begin = std::time::Instant::now();
        let place = world.with_rows("a", 6);
        let ran = place.submit(&["--settle", "3s", "--server-limit", "1s"]).exits(0);
        assert!(begin.elapsed().as_secs_f64() < 6.0, "{:?}: {}", begin.elapsed(), ran.stderr);
        place.all_once("wave.ledger", 6);
    }
}

/// Of two rows in doubt the first is not there and goes alone; the list hides the other one's requests, which only now are two.
#[test]
fn a_row_that_was_sent_again_and_stays_hidden_is_named() {
    let hidden = guid(9);
    let of_target = hidden.clone();
    let lost = |number: u32, _: &Value| match number {
        6 => Deed { times: 0, ..Deed::done(Reply::Lost) },
        9 => Deed::done(Reply::Lost),
        _ => Deed::done(Reply::Own),
    };
    let world = World::new(Manner::default().posting(lost).showing(move |_, _, made| made.target() != of_target));
    let place = world.with_rows("a", N_ROWS);
    for _ in 0..2 {
        let ran = place.submit(&["--concurrency", "1"]).exits(1);
        assert!(ran.stderr.contains("row 9") && ran.stderr.contains("may exist twice"), "{}", ran.stderr);
    }
    assert_eq!(world.server.twice().len(), 1);
}

#[test]
fn a_row_whose_answers_are_always_lost_and_that_no_list_shows_is_sent_twice_and_no_third_time() {
    let hidden = guid(9);
    let (of_target, lost) = (hidden.clone(), hidden.clone());
    let post = move |_: u32, body: &Value| Deed::done(if body["target"] == *lost { Reply::Lost } else { Reply::Own });
    let world = World::new(Manner::default().posting(post).showing(move |_, _, made| made.target() != of_target));
    let place = world.with_rows("a", N_ROWS);
    for _ in 0..3 {
        let ran = place.submit(&["--concurrency", "1"]).exits(1);
        assert!(ran.stderr.contains("row 9") && ran.stderr.contains("may exist twice"), "{}", ran.stderr);
    }
    place.run(&["replay", "wave.ledger"]).exits(1);
    let twice = world.server.twice();
    assert_eq!(twice.len(), 1, "{twice:?}");
    assert_eq!(world.server.n_posts(), N_ROWS as usize + 1, "{twice:?}");
}

#[test]
fn a_created_row_that_the_server_neither_lists_nor_has_by_its_uuid_is_with_a_person() {
    // The last call is answered, and nothing is made.
    let lied = guid(4711);
    let answer = lied.clone();
    let post = move |number: u32, _: &Value| match number {
        N_ROWS => Deed { times: 0, ..Deed::done(Reply::As(answer.clone())) },
        _ => Deed::done(Reply::Own),
    };
    let world = World::new(Manner::default().posting(post));
    let place = world.with_rows("a", N_ROWS);
    let ran = place.submit(&["--concurrency", "1"]).exits(1);
    assert!(ran.stderr.contains(&lied) && ran.stderr.contains("is gone"), "{}", ran.stderr);
    assert_eq!(place.row("wave.ledger", N_ROWS.into())["state"], "in_doubt");
    let number = N_ROWS.to_string();
    place.run(&["settle", "wave.ledger", "--row", &number, "--not-created", "--reason", "looked"]).exits(0);
    world.server.behave(Manner::default());
    place.submit(&[]).exits(0);
    place.all_once("wave.ledger", N_ROWS as usize);
}
