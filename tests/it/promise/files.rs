//! Files that a command is given or writes: rejects of another run, ledgers, and what is told to be typed next of them.

use super::server::{Deed, Manner, Reply};
use super::{Place, World, further_manifest, next_commands};
use crate::common::{TEMPLATE, guid};

/// A list of so many rows, with ids and targets of its own, and one more whose target is no GUID.
fn with_a_bad_row(n_rows: u32, begin: &str) -> String {
    format!("{}{begin}-bad,Enroll,{TEMPLATE},nobody,x\n", further_manifest(n_rows, begin))
}

/// Writes a file with a GUID for the target that is none.
fn correct(place: &Place<'_>, name: &str, number: u32) {
    let text = std::fs::read_to_string(place.file(name)).unwrap();
    assert!(text.contains("nobody"), "{text}");
    place.write(name, text.replace("nobody", &guid(number)));
}

/// The mark of a ledger's run, as its rejects have it.
fn run_of(place: &Place<'_>, ledger: &str) -> String {
    place.run(&["status", ledger, "--json"]).json()["run"].as_str().unwrap()[..11].to_owned()
}

const SKIP: &[&str] = &["submit", "wave.csv", "--on-invalid", "skip"];

#[test]
fn rejects_of_another_run_replace_nothing_and_are_not_taken_for_this_ones() {
    let world = World::new(Manner::default());
    let place = world.place("a");
    let night = |begin: &str, more: &[&str]| {
        place.write("wave.csv", with_a_bad_row(1, begin));
        place.run(&[SKIP, &["--ledger", begin], more].concat()).exits(1)
    };
    night("11111111", &["--rejects", "wave.rejects.csv"]);
    correct(&place, "wave.rejects.csv", 101);
    place.run(&["replay", "11111111", "--from", "wave.rejects.csv"]).exits(0);
    // The list of the next night has the same name, and another user in row 2.
    let ran = night("22222222", &[]);
    let (run, own) = (run_of(&place, "11111111"), run_of(&place, "22222222"));
    let told =
        format!("wave.rejects.csv:2: the row is of run {run} by its _run, and 22222222 is the ledger of run {own}");
    let refused = place.run(&["replay", "22222222", "--from", "wave.rejects.csv"]).exits(2).says(&told);
    place.run_next(&refused, "status 22222222").exits(1).says("--rejects wave.rejects-2.csv");
    assert_eq!(place.row("22222222", 2)["state"], "invalid");
    let ran = place.run_next(&ran, "--rejects wave.rejects-2.csv").exits(1);
    assert!(ran.stderr.contains("correct the rows in wave.rejects-2.csv, then: "), "{}", ran.stderr);
    correct(&place, "wave.rejects-2.csv", 102);
    place.run_next(&ran, "--from wave.rejects-2.csv").exits(0);
    assert_eq!((world.server.n_made(), place.row("22222222", 3)["target"].as_str()), (4, Some(guid(102).as_str())));
}

#[test]
fn an_export_of_another_run_replaces_nothing_by_its_numbers() {
    let refuses = |number: u32| if number == 2 { Deed::refused(400) } else { Deed::done(Reply::Own) };
    let world = World::new(Manner::default().posting(move |number, _| refuses((number - 1) % 3 + 1)));
    let place = world.place("a");
    let export = |name: &str| {
        place.write("wave.csv", further_manifest(3, name));
        place.run(&["submit", "wave.csv", "--ledger", name, "--concurrency", "1"]).exits(1);
        let words = ["export", name, "--format", "manifest", "--state", "failed", "--output", &format!("{name}.csv")];
        place.run(&words).exits(0);
        std::fs::read_to_string(place.file(&format!("{name}.csv"))).unwrap()
    };
    let (one, two) = (export("11111111"), export("22222222"));
    let (run, own) = (run_of(&place, "11111111"), run_of(&place, "22222222"));
    assert!(one.starts_with("_row,_run,id,") && one.contains(&format!("2,{run},11111111-2,")), "{one}");
    place.write("mended.csv", one.replace("new hire", "fixed"));
    let replay = ["replay", "22222222", "--from", "mended.csv"];
    place.run(&replay).exits(2).says(&run).says(&own);
    // Where the run is not said, the number counts for the row with the same id alone.
    let without_run = |text: &str| {
        text.replace("_row,_run,", "_row,").replace(&format!("{run},"), "").replace(&format!("{own},"), "")
    };
    place.write("mended.csv", without_run(&one).replace("new hire", "fixed"));
    place.run(&replay).exits(3).says("its id is \"11111111-2\", and row 2 of the ledger has the id \"22222222-2\"");
    assert_eq!((world.server.n_posts(), place.row("22222222", 2)["state"].as_str()), (6, Some("failed")));
    // A name that nobody knows is a column that was meant to be another one.
    place.write("mended.csv", without_run(&two).replace("new hire", "x").replace(",comment", ",fixed omment"));
    place.run(&replay).exits(3).says("unknown-column");
    place.write("mended.csv", without_run(&two).replace("new hire", "fixed"));
    world.server.behave(Manner::default());
    place.run(&replay).exits(0);
    assert_eq!(place.row("22222222", 2)["state"], "replaced");
}

#[test]
fn columns_that_a_list_was_allowed_to_have_are_allowed_in_its_rejects() {
    let world = World::new(Manner::default());
    let place = world.place("a");
    place.write("wave.csv", with_a_bad_row(1, "11111111").replace("comment", "Floor"));
    let ran = place.run(&[SKIP, &["--extra-columns", "keep", "--rejects", "r.csv"]].concat()).exits(1);
    correct(&place, "r.csv", 101);
    place.run_next(&ran, "--from r.csv").exits(0);
    assert_eq!(world.server.n_made(), 2);
}

#[test]
fn the_rejects_of_a_further_list_are_named_one_file_after_the_other() {
    let world = World::new(Manner::default());
    let place = world.place("a");
    place.write("wave.csv", with_a_bad_row(1, "11111111"));
    place.write("late.csv", with_a_bad_row(1, "22222222"));
    place.run(&[SKIP, &["--rejects", "r.csv"]].concat()).exits(1);
    // Those of the first list make way for those of the second.
    let append = ["submit", "late.csv", "--ledger", "wave.ledger", "--append", "--on-invalid", "skip"];
    let ran = place.run(&[&append[..], &["--rejects", "r.csv", "--force"]].concat()).exits(1);
    assert!(ran.stderr.contains("submit wave.csv --on-invalid skip "), "{}", ran.stderr);
    let ran = place.run_next(&ran, "--rejects r-2.csv").exits(1);
    correct(&place, "r-2.csv", 101);
    let ran = place.run_next(&ran, "--from r-2.csv").exits(1);
    assert!(ran.stderr.contains("correct the rows in r.csv, then: "), "{}", ran.stderr);
    correct(&place, "r.csv", 102);
    place.run_next(&ran, "--from r.csv").exits(0);
    assert_eq!((world.server.n_made(), place.n_in("wave.ledger", "replaced")), (4, 2));
}

#[test]
fn no_output_takes_the_place_of_a_ledger_or_of_a_file_beside_one() {
    let world = World::new(Manner::default());
    let place = world.place("a");
    place.write("wave.csv", with_a_bad_row(2, "11111111"));
    let rejects = |name: &str, more: &[&str]| {
        let ran = place.run(&[SKIP, &["--rejects", name, "--force"], more].concat()).exits(2).says(name);
        assert!(ran.stderr.contains("take another name"), "{}", ran.stderr);
        assert_eq!((world.server.n_made() % 2, place.file("wave.ledger-wal").exists()), (0, false));
    };
    let own = [
        "wave.ledger",
        "./wave.ledger",
        "wave.ledger-wal",
        "wave.ledger-shm",
        "wave.ledger-journal",
        "wave.ledger.lock",
    ];
    // The list's own ledger, which is yet to be made, also where nothing would be sent.
    own.iter().for_each(|name| rejects(name, &[]));
    rejects("wave.ledger", &["--on-invalid", "abort"]);
    rejects("b.ledger-wal", &["--ledger", "b.ledger"]);
    assert!(!place.file("wave.ledger").exists() && world.server.n_posts() == 0);
    place.run(SKIP).exits(1);
    own.iter().for_each(|name| rejects(name, &[]));
    // Another run's, and as another command's output.
    place.write("wave.csv", with_a_bad_row(2, "22222222"));
    own.iter().for_each(|name| rejects(name, &["--ledger", "b.ledger"]));
    assert!(!place.file("b.ledger").exists());
    place.run(&[SKIP, &["--ledger", "b.ledger"]].concat()).exits(1);
    for name in own {
        for (ledger, force) in [("wave.ledger", "--force"), ("b.ledger", "--force"), ("b.ledger", "--json")] {
            let ran = place.run(&["export", ledger, "--output", name, force]).exits(2);
            assert!(!ran.stderr.contains("--force"), "{}", ran.stderr);
        }
        place.run(&["validate", "wave.csv", "--errors", name, "--force"]).exits(2);
    }
    place.write("ids.txt", "22222222-1\n");
    let ids = ["--ids", "ids.txt", "--errors", "ids.txt", "--force", "--ledger", "b.ledger"];
    place.run(&[SKIP, &ids].concat()).exits(2).says("ids.txt is an input");
    assert_eq!((place.n_in("wave.ledger", "created"), place.n_in("b.ledger", "created")), (2, 2));
}

#[test]
fn rows_that_a_later_copy_of_the_ledger_sent_are_not_said_to_be_of_another_ledger() {
    let world = World::new(Manner::default());
    let place = world.place("a");
    place.write("wave.csv", further_manifest(3, "11111111"));
    place.write("late.csv", further_manifest(3, "22222222"));
    place.write("last.csv", further_manifest(3, "33333333"));
    place.submit(&[]).exits(0);
    std::fs::copy(place.file("wave.ledger"), place.file("before")).unwrap();
    let append = |list: &str| place.run(&["submit", list, "--ledger", "wave.ledger", "--append"]);
    append("late.csv").exits(0);
    std::thread::sleep(std::time::Duration::from_secs(3));
    std::fs::rename(place.file("before"), place.file("wave.ledger")).unwrap();
    append("last.csv");
    let ran = append("late.csv").exits(2).says("requested before, from another copy of this ledger");
    assert!(!ran.stderr.contains("cmbatch status"), "{}", ran.stderr);
    assert!(next_commands(&ran.stderr)[0].contains("--already skip"), "{}", ran.stderr);
}
