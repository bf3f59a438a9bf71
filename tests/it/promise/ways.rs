//! Ways out: what a person is told to do next works as it is printed, and leads somewhere.

use std::process::Command;

use serde_json::{Value, json};

use super::server::{Deed, How, Manner, Reply};
use super::{Place, World, next_commands};
use crate::common::{Ran, TEMPLATE, enrollments, guid};

/// Two rows in doubt that nobody knows of, and a list that answers with this status from now on.
fn doubtful(world: &World, status: u16) -> Place<'_> {
    let place = world.with_rows("a", 6);
    let lost = |number: u32, _: &Value| {
        if [3, 4].contains(&number) { Deed::done(Reply::Lost) } else { Deed::done(Reply::Own) }
    };
    world.server.behave(Manner::default().posting(lost).listing(move |number, made| super::server::Shown {
        made,
        how: if number == 1 { How::Whole } else { How::Status(status) },
    }));
    place.submit(&["--concurrency", "1"]).exits(1);
    place
}

#[test]
fn a_list_that_cannot_be_read_ends_asking_alike_and_the_way_out_is_another_command() {
    for status in [403, 500] {
        let world = World::new(Manner::default());
        let place = doubtful(&world, status);
        for words in
            [&["settle", "wave.ledger"][..], &["reconcile", "wave.ledger"], &["settle", "wave.ledger", "--all"]]
        {
            let ran = place.run(&[words, &["--json"]].concat()).exits(4);
            let json = ran.json();
            assert_eq!(
                (&json["stopped_by"], &json["exit"], &json["in_doubt"]),
                (&json!("no-list"), &json!(4), &json!(2))
            );
            assert!(!ran.stderr.contains("settled by the server's list"), "{}", ran.stderr);
            let next = next_commands(&ran.stderr);
            assert!(next[0].starts_with("cmbatch doctor --server http://127.0.0.1"), "{next:?}");
            assert!(next.iter().any(|command| command.ends_with("--list")), "{next:?}");
            // It says the same by its status, and what is wrong.
            place.run_next(&ran, "doctor").exits(4);
            let json = place.shell(&format!("{} --json", next[0])).json();
            assert_eq!((&json["stopped_by"], &json["rows"]), (&json!("no-list"), &Value::Null));
        }
        world.server.behave(Manner::default());
        let ran = place.run(&["reconcile", "wave.ledger"]).exits(0);
        assert_eq!(place.n_in("wave.ledger", "created"), 6, "{}", ran.stderr);
    }
}

#[test]
fn a_server_out_of_reach_is_not_gone_on_with_without_its_list() {
    let world = World::new(Manner::default());
    let place = world.place("a");
    place.write("wave.csv", enrollments(3).replace("Enroll", "Revoke"));
    for server in ["http://127.0.0.1:1", "nobody.invalid", "https://127.0.0.1:1"] {
        let mut command = place.command(env!("CARGO_BIN_EXE_cmbatch"));
        let ran: Ran = command.args(["submit", "wave.csv", "--server", server, "--json"]).output().unwrap().into();
        let ran = ran.exits(4);
        assert_eq!(ran.json()["stopped_by"], "unreachable");
        assert_eq!((&ran.json()["rows"], &ran.json()["pending"]), (&json!(3), &json!(3)));
        assert!(!ran.stderr.contains("--without-list"), "{}", ran.stderr);
        let next = next_commands(&ran.stderr);
        assert!(next[0].starts_with("cmbatch doctor") && next[1].ends_with("--confirm 3"), "{next:?}");
    }
}

#[test]
fn what_is_printed_carries_the_number_and_the_way_to_the_server() {
    let world = World::new(Manner::default());
    let place = world.place("a");
    place.write("wave.csv", enrollments(3).replace("Enroll", "Revoke"));
    let dry = place.submit(&["--dry-run"]).exits(0);
    place.run_next(&dry, "--confirm 3").exits(0);
    assert_eq!(world.server.n_made(), 3);
    let json = place.run(&["submit", "wave.csv", "--json", "--ledger", "other.ledger"]).exits(2).json();
    assert_eq!((&json["stopped_by"], &json["rows"]), (&json!("requested-before"), &json!(3)));
    place.write("more.csv", enrollments(4).replace("Enroll", "Revoke").replace("97cc3493", "87cc3493"));
    let refused = place.run(&["submit", "more.csv", "--json"]).exits(2);
    assert_eq!((&refused.json()["stopped_by"], &refused.json()["pending"]), (&json!("not-confirmed"), &json!(4)));
    // Without the options that were typed, another host would not find the state folder or wait as long.
    world.server.behave(Manner::default().posting(|_, _| Deed::refused(403)));
    let ran = place.run(&["submit", "more.csv", "--confirm", "4"]).exits(1);
    let replay = next_commands(&ran.stderr).into_iter().find(|command| command.contains("replay")).unwrap();
    assert!(
        replay.contains("--confirm 4") && replay.contains("--server http") && replay.contains("--settle 1s"),
        "{replay}"
    );
    world.server.behave(Manner::default());
    place.run_next(&ran, "replay").exits(0);
    assert_eq!(place.n_in("more.ledger", "created"), 4);
}

#[test]
fn rows_without_a_right_are_sent_again_once_it_is_given_or_dropped() {
    let world = World::new(
        Manner::default().posting(|number, _| if number == 2 { Deed::refused(403) } else { Deed::done(Reply::Own) }),
    );
    let place = world.with_rows("a", 4);
    let ran = place.submit(&["--concurrency", "1"]).exits(1).says("have the right that the account lacks (403)");
    // Neither leads back to the other.
    let status = place.run_next(&ran, "status").exits(1);
    assert!(!next_commands(&status.stderr).iter().any(|command| command.contains("status")), "{}", status.stderr);
    let again = place.run_next(&status, "drop").exits(0);
    assert!(again.stderr.contains("1 row dropped"), "{}", again.stderr);
    let undone = place.run(&["drop", "wave.ledger", "--id", "E-2", "--undo"]).exits(0);
    assert!(!undone.stderr.contains("--undo"), "{}", undone.stderr);
    place.run(&["drop", "wave.ledger", "--id", "E-9", "--reason", "x"]).exits(2).says("no row with id");
    let missing = place.run(&["drop", "wave.ledger", "--id", "E-2"]).exits(2);
    place.run_next(&missing, "--reason TEXT").exits(0);
    assert_eq!(place.row("wave.ledger", 2)["state"], "skipped");
    let ran = place.run(&["drop", "wave.ledger", "--row", "99", "--reason", "x"]).exits(2);
    assert!(!ran.stderr.contains("only rows that are"), "{}", ran.stderr);
}

#[test]
fn an_address_that_is_gone_in_the_middle_stops_the_run() {
    const PAGE: &str = "<html><head><title>404</title></head><body><h2>File or directory not found.</h2></body></html>";
    let world = World::new(Manner::default().posting(|number, _| {
        let gone = Deed { times: 0, late: None, reply: Reply::Status(404, PAGE) };
        if number > 5 { gone } else { Deed::done(Reply::Own) }
    }));
    let place = world.with_rows("a", 60);
    let json = place.submit(&["--json", "--concurrency", "2"]).exits(6).json();
    assert_eq!(
        (&json["stopped_by"], &json["failed"], &json["created"]),
        (&json!("api-not-found"), &json!(0), &json!(5))
    );
    world.server.behave(Manner::default());
    place.submit(&[]).exits(0);
    place.all_once("wave.ledger", 60);
}

#[test]
fn rejects_are_written_where_nothing_is_left_to_send_too() {
    let world = World::new(Manner::default());
    let place = world.place("a");
    place.write("wave.csv", format!("{}E-9,Enroll,{TEMPLATE},nobody,\n", enrollments(2)));
    place.submit(&["--on-invalid", "skip"]).exits(1);
    // The first run was given no file for them.
    let ran = place.submit(&["--on-invalid", "skip"]).exits(1).says("nothing is left to send");
    let ran = place.run_next(&ran, "--rejects wave.rejects.csv").exits(1);
    let rejects = std::fs::read_to_string(place.file("wave.rejects.csv")).unwrap();
    assert!(rejects.contains("nobody") && ran.stderr.contains("wave.rejects.csv"), "{}", ran.stderr);
    place.write("wave.rejects.csv", rejects.replace("nobody", &guid(9)));
    place.run_next(&ran, "--from wave.rejects.csv").exits(0);
    // All rows are invalid.
    place.write("none.csv", format!("id,type,profiletemplateuuid,target\nE-9,Enroll,{TEMPLATE},nobody\n"));
    place.run(&["submit", "none.csv", "--on-invalid", "skip", "--rejects", "none.rejects.csv"]).exits(1);
    assert!(place.file("none.rejects.csv").exists());
    let json = place.run(&["submit", "none.csv", "--ledger", "x.ledger", "--json"]).exits(3).json();
    assert_eq!(
        (&json["rows"], &json["invalid"], &json["stopped_by"]),
        (&json!(1), &json!(1), &json!("invalid-manifest"))
    );
}

#[test]
fn a_list_that_has_grown_is_sent_with_a_ledger_of_its_own() {
    let world = World::new(Manner::default());
    let place = world.with_rows("a", 3);
    place.submit(&[]).exits(0);
    place.write("wave.csv", enrollments(5));
    let ran = place.submit(&[]).exits(2);
    let appended = place.submit(&["--append", "--ledger", "wave.ledger"]).exits(3);
    assert_eq!(appended.stderr.matches("error[").count(), 3, "{}", appended.stderr);
    assert!(appended.stderr.contains("--ledger wave-2.ledger"), "{}", appended.stderr);
    place.run_next(&ran, "--already skip").exits(0);
    world.server.never_twice();
    assert_eq!((world.server.n_made(), place.n_in("wave-2.ledger", "skipped")), (5, 3));
}

#[test]
fn the_size_limit_of_a_user_is_an_error_and_does_not_end_the_process() {
    let world = World::new(Manner::default());
    let place = world.with_rows("a", 400);
    let mut limited: Command = place.command("sh");
    let program = env!("CARGO_BIN_EXE_cmbatch");
    limited
        .args(["-c", "ulimit -f 64; exec \"$0\" \"$@\"", program])
        .args(place.words(&["submit", "wave.csv", "--json"]));
    let ran: Ran = limited.output().unwrap().into();
    let json = ran.exits(7).says("wave.ledger").json();
    assert_eq!((&json["stopped_by"], &json["rows"]), (&json!("ledger"), &json!(400)));
    place.submit(&[]).exits(0);
    place.all_once("wave.ledger", 400);
    // An export, too.
    let mut limited: Command = place.command("sh");
    let words = ["export", "wave.ledger", "--output", "out.csv"];
    let ran: Ran =
        limited.args(["-c", "ulimit -f 8; exec \"$0\" \"$@\"", program]).args(words).output().unwrap().into();
    ran.exits(7).says("out.csv");
}

#[test]
fn status_names_all_sessions_and_breaks_no_sentence_off() {
    let said = "The profile template does not allow requests of this type for users that are not in the group of those who may \
                have them, says the server at great length";
    let body = Box::leak(format!(r#"{{"Message":"{said}"}}"#).into_boxed_str());
    let world = World::new(Manner::default().posting(|number, _| {
        if number == 2 {
            Deed { times: 0, late: None, reply: Reply::Status(400, body) }
        } else {
            Deed::done(Reply::Own)
        }
    }));
    let place = world.with_rows("a", 8);
    for _ in 0..4 {
        place.submit(&["--limit", "2", "--concurrency", "1"]);
    }
    let status = place.run(&["status", "wave.ledger"]).exits(1);
    let words = status.stdout.split_whitespace().collect::<Vec<_>>().join(" ");
    assert!(words.contains(said), "{}", status.stdout);
    assert!(status.stdout.lines().all(|line| line.chars().count() <= 80), "{}", status.stdout);
    assert!(words.contains("1 earlier session is in \"sessions\" of: cmbatch status wave.ledger --json"), "{words}");
    let json = place.run(&["status", "wave.ledger", "--json"]).exits(1).json();
    assert_eq!(json["sessions"].as_array().unwrap().len(), 4);
}
