//! What is printed to be typed next works as it is printed, and says what people ask for who were not there.

use serde_json::Value;

use super::server::{Deed, How, Made, Manner, Reading, Reply, Shown, uuid_of};
use super::{Place, World, further_manifest, next_commands};
use crate::common::{TEMPLATE, enrollments, guid, wait_until};

/// A server whose lists cannot be read from the second one on.
fn one_list() -> Manner {
    Manner::default()
        .listing(|number, made| Shown { made, how: if number == 1 { How::Whole } else { How::Status(403) } })
}

/// Writes a configuration that says all that tests of this kind need, and a token.
fn with_config(place: &Place<'_>, server: &str) {
    let text = format!("server = \"{server}\"\nsettle = \"1s\"\nserver-limit = \"1s\"\nrate = \"unlimited\"\n");
    place.write("c.toml", text);
    place.write("token", "made-up\n");
    let mode = std::os::unix::fs::PermissionsExt::from_mode(0o600);
    std::fs::set_permissions(place.file("token"), mode).unwrap();
}

#[test]
fn what_to_look_again_with_has_the_options_that_were_given() {
    let world = World::new(one_list());
    let place = world.with_rows("a", 10);
    with_config(&place, &world.server.url());
    let ran = place.shell("cmbatch submit wave.csv --config c.toml --token-file token --state-dir s").exits(0);
    let command = "cmbatch settle wave.ledger --all --config c.toml --token-file token --state-dir s";
    assert!(ran.stderr.contains(&format!("look again with: {command}\n")), "{}", ran.stderr);
    world.server.behave(Manner::default());
    place.shell(command).exits(0);
    // A command that asks nobody says nothing of how rows were sent.
    let status = place.shell("cmbatch --config c.toml export wave.ledger --format manifest --state in_doubt").exits(2);
    let told = "next: cmbatch reconcile wave.ledger --config c.toml --token-file token --state-dir s; then: ";
    assert!(status.stderr.contains(told), "{}", status.stderr);
}

const BAD: &str = "L-2,Enroll,a039b4d0-5ce8-4eff-8651-181c6576fda3,nobody,late\n";

#[test]
fn a_further_list_with_an_invalid_row_is_taken_in_as_the_last_line_says() {
    let world = World::new(Manner::default());
    let place = world.with_rows("a", 5);
    place.submit(&[]).exits(0);
    let header = "id;type;profiletemplateuuid;target;comment\n";
    let sound = format!("L-1,Enroll,{TEMPLATE},{},late\n", guid(101));
    let no_id = format!(",Enroll,{TEMPLATE},noone,late\n");
    place.write("late.csv", format!("{header}{}", [&sound, BAD, &no_id].concat().replace(',', ";")));
    let words = ["submit", "late.csv", "--ledger", "wave.ledger", "--append", "--delimiter", ";"];
    let ran = place.run(&words).exits(3);
    let ran = place.run_next(&ran, "--on-invalid skip").exits(1);
    assert_eq!((world.server.n_made(), place.n_in("wave.ledger", "invalid")), (6, 2), "{}", ran.stderr);
    // Rejects have the numbers that their rows have in the ledger.
    let rejects = std::fs::read_to_string(place.file("late.rejects.csv")).unwrap();
    assert!(rejects.contains(";7;") || rejects.contains(",7,"), "{rejects}");
    place.write("late.rejects.csv", rejects.replace("nobody", &guid(102)).replace("noone", &guid(103)));
    place.run_next(&ran, "replay").exits(0);
    assert_eq!(world.server.n_made(), 8);
}

#[test]
fn an_invalid_row_that_nobody_corrects_is_named_and_dropped() {
    let world = World::new(Manner::default());
    let place = world.place("a");
    let bad: String = (10..40).map(|row| format!("E-{row},Enroll,{TEMPLATE},nobody,x\n")).collect();
    place.write("wave.csv", format!("{}{bad}", enrollments(3)));
    place.submit(&["--on-invalid", "skip", "--rejects", "wave.rejects.csv"]).exits(1);
    let status = place.run(&["status", "wave.ledger"]).exits(1);
    assert!(status.stdout.contains("row 4 (E-10) is invalid:\n    wave.csv:5:"), "{}", status.stdout);
    assert!(status.stdout.contains("and 10 more invalid rows"), "{}", status.stdout);
    assert!(status.stderr.contains("--row 8 --reason TEXT; and likewise of the others (25)"), "{}", status.stderr);
    // One is corrected, the others are deleted from the file.
    let fine = format!("id,type,profiletemplateuuid,target,comment\nE-10,Enroll,{TEMPLATE},{},x\n", guid(10));
    place.write("wave.rejects.csv", fine);
    let ran = place.run(&["replay", "wave.ledger", "--from", "wave.rejects.csv"]).exits(1);
    let drop = next_commands(&ran.stderr).into_iter().find(|command| command.starts_with("cmbatch drop")).unwrap();
    assert_eq!(drop, "cmbatch drop wave.ledger --row 5 --row 6 --row 7 --row 8 --row 9 --reason TEXT");
    place.shell(&drop).exits(0);
    let ids: String = (16..40).map(|row| format!("E-{row}\n")).collect();
    place.write("gone.txt", ids);
    place.run(&["drop", "wave.ledger", "--ids", "gone.txt", "--reason", "left"]).exits(0);
    place.run(&["drop", "wave.ledger", "--id", "E-15", "--undo"]).exits(0);
    place.run(&["drop", "wave.ledger", "--id", "E-15", "--reason", "left"]).exits(0);
    place.run(&["status", "wave.ledger"]).exits(0);
    // What they were is in the export.
    let row = place.row("wave.ledger", 33);
    assert_eq!((&row["id"], &row["type"], &row["target"]), (&"E-39".into(), &"Enroll".into(), &"nobody".into()));
}

#[test]
fn a_request_for_another_target_is_named_with_both_and_what_to_do() {
    let world = World::new(Manner::default().keeping(|mut made| {
        if made.number == 1 {
            made.body["target"] = guid(77).into();
        }
        made
    }));
    let place = world.with_rows("a", 5);
    let ran = place.submit(&[]).exits(4);
    let status = place.run(&["status", "wave.ledger"]).exits(1);
    let list = place.run(&["settle", "wave.ledger", "--list"]).exits(0);
    let settle = "cmbatch settle wave.ledger --row 1 --not-created --reason TEXT";
    for (told, next) in [(&ran.stderr, &ran), (&status.stderr, &status), (&list.stdout, &list)] {
        let told = told.split_whitespace().collect::<Vec<_>>().join(" ");
        for word in [uuid_of(1, 1), guid(77), guid(1)] {
            assert!(told.contains(&word), "{word} is missing in:\n{told}");
        }
        assert_eq!(next_commands(&next.stderr), [settle]);
    }
    assert!(status.stdout.lines().all(|line| line.chars().count() <= 80), "{}", status.stdout);
    let cancel = |made: Made| if made.number == 1 { made.with("Status", Some(17.into())) } else { made };
    world.server.behave(
        Manner::default()
            .reading(move |_, made| Reading::Whole(Box::new(cancel(made))))
            .listing(move |_, made| Shown { made: made.into_iter().map(cancel).collect(), how: How::Whole }),
    );
    let ran = place.shell(settle).exits(0);
    place.run_next(&ran, "submit").exits(0);
    assert_eq!((world.server.n_posts(), place.n_in("wave.ledger", "created")), (6, 5));
}

#[test]
fn while_a_run_is_at_work_what_is_next_is_to_wait() {
    let world = World::new(Manner::slow(200));
    let place = world.with_rows("a", 30);
    let mut run = place.start(&["submit", "wave.csv", "--concurrency", "1"]);
    wait_until(|| world.server.n_posts() >= 3);
    let at_work = format!("(pid {}) is at work on it; wait until it has ended, then: ", run.id());
    place.run(&["status", "wave.ledger"]).exits(1).says(&format!("{at_work}cmbatch status wave.ledger\n"));
    let ran = place.submit(&[]).exits(8).says("wait until it has ended, then: cmbatch submit");
    assert!(ran.stderr.ends_with("; how far it is: cmbatch status wave.ledger\n"), "{}", ran.stderr);
    let ran = place.submit(&["--ledger", "b.ledger"]).exits(8).says("or go on with that ledger: cmbatch status");
    place.run_next(&ran, "status").exits(1);
    run.kill().unwrap();
    run.wait().unwrap();
    // What a process that died left open has an example before any other has taken it over.
    let status = place.run(&["status", "wave.ledger"]).exits(1);
    assert!(status.stdout.contains("left-open          row "), "{}", status.stdout);
    std::fs::remove_file(place.file("wave.ledger")).unwrap();
    place.submit(&["--ledger", "b.ledger"]).exits(8).says("which is missing: put it back");
}

#[test]
fn a_row_that_keeps_others_waiting_is_named() {
    // Its answer is lost each time, and nothing is done.
    let world = World::new(Manner::default().posting(|_, body| {
        let lost = Deed { times: 0, late: None, reply: Reply::Lost };
        if body["target"] == guid(3) { lost } else { Deed::done(Reply::Own) }
    }));
    let place = world.with_rows("a", 6);
    let ran = place.submit(&["--max-attempts", "2", "--log-format", "json"]);
    let lines: Vec<Value> = ran.stderr.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let message = |line: &Value| line["fields"]["message"].as_str().unwrap().to_owned();
    let waits = lines.iter().map(message).find(|text| text.contains("row 3 is in doubt: waiting")).unwrap();
    assert!(waits.contains(", until ") && waits.contains("can prove what was not created"), "{waits}");
    // How it ended is no news: something is left.
    assert_eq!((ran.status, &lines.last().unwrap()["level"]), (1, &"WARN".into()), "{}", ran.stderr);
}

#[test]
fn a_stop_is_an_error_in_the_log_and_a_failure_has_all_that_a_result_has() {
    let world = World::new(Manner::default().posting(|_, _| Deed::refused(403)));
    let place = world.with_rows("a", 40);
    let ran = place.submit(&["--log-format", "json", "--json", "--concurrency", "1"]).exits(5);
    let last: Value = serde_json::from_str(ran.stderr.lines().last().unwrap()).unwrap();
    assert_eq!(last["level"], "ERROR", "{last}");
    world.server.behave(one_list().listing(|_, made| Shown { made, how: How::Status(403) }));
    let ran = place.run(&["replay", "wave.ledger", "--json"]).exits(4);
    assert!(ran.json().as_object().unwrap().contains_key("audit"), "{}", ran.stdout);
}

#[test]
fn what_is_next_after_a_list_that_cannot_be_read_has_the_number_that_confirms() {
    let revoke = |list: String| list.replace("Enroll", "Revoke");
    let world = World::new(Manner::default().posting(|number, _| match number {
        2 | 3 => Deed::refused(400),
        _ => Deed::done(Reply::Own),
    }));
    let place = world.place("a");
    place.write("wave.csv", revoke(enrollments(6)));
    place.submit(&["--concurrency", "1", "--confirm", "4", "--limit", "4"]).exits(1);
    let header = "id,type,profiletemplateuuid,target,comment\n";
    place.write("mended.csv", format!("{header}E-2,Revoke,{TEMPLATE},{},x\n", guid(102)));
    world.server.behave(one_list().listing(|_, made| Shown { made, how: How::Status(403) }));
    for (words, n) in [
        (&["submit", "wave.csv"][..], 2),
        (&["submit", "wave.csv", "--limit", "1", "--confirm", "1"], 1),
        (&["replay", "wave.ledger"], 4),
        (&["replay", "wave.ledger", "--row", "2"], 1),
        (&["replay", "wave.ledger", "--from", "mended.csv", "--confirm", "1"], 1),
    ] {
        let ran = place.run(words).exits(4);
        let again = next_commands(&ran.stderr).into_iter().find(|command| command.contains(words[0])).unwrap();
        assert!(again.contains(&format!(" --confirm {n}")), "{words:?}: {}", ran.stderr);
    }
}

#[test]
fn a_list_that_is_not_the_ledgers_goes_behind_it_before_it_gets_a_ledger_of_its_own() {
    let world = World::new(Manner::default());
    let place = world.with_rows("a", 5);
    place.submit(&[]).exits(0);
    place.write("wave.csv", further_manifest(3, "11111111"));
    let ran = place.submit(&[]).exits(2);
    place.run_next(&ran, "--append").exits(0);
    assert_eq!((world.server.n_made(), place.n_in("wave.ledger", "created")), (8, 8));
    // One that has grown has rows twice.
    place.write("wave.csv", enrollments(7));
    let ran = place.submit(&[]).exits(2);
    assert!(!ran.stderr.contains(" --append\n"), "{}", ran.stderr);
    place.run_next(&ran, "--already skip").exits(0);
    assert_eq!(world.server.n_made(), 10);
}

#[test]
fn rows_that_are_right_in_a_list_that_is_not_are_rehearsed_as_the_last_line_says() {
    let place = World::new(Manner::default());
    let place = place.place("a");
    let rows = format!("E-8,Revoke,{TEMPLATE},{},x\nE-9,Revoke,{TEMPLATE},nobody,x\n", guid(8));
    place.write("wave.csv", format!("{}{rows}", enrollments(2)));
    let ran = place.run(&["validate", "wave.csv"]).exits(3);
    place.run_next(&ran, "submit").exits(1).says("3 created, 1 invalid");
}

#[test]
fn created_rows_that_a_later_list_lacks_are_named_with_what_finds_them_all() {
    let world = World::new(Manner::default());
    let place = world.with_rows("a", 20);
    place.submit(&["--limit", "10", "--concurrency", "1"]).exits(0);
    let hides = |_: u32, made: Vec<Made>| Shown {
        made: made.into_iter().filter(|made| !(3..6).contains(&made.number)).collect(),
        how: How::Whole,
    };
    world.server.behave(Manner::default().listing(hides));
    let told = format!("does not show 3 rows that earlier sessions created: row 3 ({}), row 4", uuid_of(3, 1));
    let ran = place.submit(&[]).exits(0).says(&told);
    let command = ran.stderr.lines().find_map(|line| line.split_once("; look again with: ")).unwrap().1.to_owned();
    place.shell(&command).exits(1).says("3 findings");
    place.run(&["status", "wave.ledger"]).exits(1).says("--row 3 --row 4 --row 5 --looked-at");
}

#[test]
fn a_run_that_was_loaded_and_not_told_to_run_is_started_as_the_last_line_says() {
    let world = World::new(Manner::default());
    let list = format!("{}E-9,Enroll,{TEMPLATE},nobody,\nE-8,Enroll,{TEMPLATE},{},\n", enrollments(3), guid(8));
    // Of the first one no session is on record, and the ledger alone knows what was asked for.
    for (n, name, point, told) in [
        (1, "a", "create-after-rename", "submit wave.csv --ledger wave.ledger --server "),
        (2, "b", "takeover-committed", "submit wave.csv --on-invalid skip "),
    ] {
        let place = world.place(name);
        let list = list.replace("97cc3493", &format!("{name}7cc3493"));
        place.write("wave.csv", &list);
        let words = ["submit", "wave.csv", "--on-invalid", "skip", "--tag-position", "end", "--comment", "it's late"];
        let died = place.run_with(&words, &[("CMBATCH_CRASH_AT", point)]);
        assert!(died.status < 0 && place.file("wave.ledger").exists(), "{}", died.stderr);
        let status = place.run(&["status", "wave.ledger"]).exits(1).says(told);
        let refused = place.run(&["replay", "wave.ledger"]).exits(2).says(told);
        assert_eq!(next_commands(&status.stderr), next_commands(&refused.stderr));
        place.run_next(&refused, "submit").exits(1).says("4 created, 1 invalid");
        let is_tagged_so = |made: &&Made| made.text("comment").starts_with("it's late [cmb:");
        assert_eq!(world.server.made().iter().filter(is_tagged_so).count(), n);
    }
}

#[test]
fn the_state_folder_of_a_service_stands_in_what_is_next_for_who_has_another() {
    let world = World::new(Manner::default());
    let place = world.with_rows("a", 4);
    let folder = place.file("service").to_string_lossy().into_owned();
    let service = [("STATE_DIRECTORY", folder.as_str())];
    let told = format!(" --state-dir {folder}");
    let ran = place.run_with(&["submit", "wave.csv", "--limit", "1"], &service).exits(0).says(&told);
    place.run(&["status", "wave.ledger"]).exits(1).says(&told);
    place.run_with(&["status", "wave.ledger"], &service).exits(1).says(&told);
    place.run_next(&ran, "submit").exits(0).says(&told);
    // One that was typed is the one that holds, and who has none is told of none.
    let ran = place.run_with(&["submit", "wave.csv", "--limit", "1", "--state-dir", "own"], &service).exits(0);
    assert!(ran.stderr.contains(" --state-dir own") && !ran.stderr.contains(&told), "{}", ran.stderr);
    let dry = place.shell("STATE_DIRECTORY=service cmbatch submit wave.csv --simulate --dry-run").exits(0);
    assert!(!dry.stderr.contains("--state-dir"), "{}", dry.stderr);
    assert_eq!(world.server.n_made(), 3);
}
