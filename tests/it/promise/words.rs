//! What is printed to be typed next works as it is printed, and says what people ask for who were not there.

use super::server::{How, Manner, Shown};
use super::{Place, World, next_commands};
use crate::common::{TEMPLATE, enrollments, guid};

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
