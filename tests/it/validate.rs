//! `validate` through the binary.

use std::io::Write;

use crate::common::{Folder, TEMPLATE, enrollments, guid};

#[test]
fn rules_are_listed_with_an_example_each() {
    let ran = Folder::new().run(&["validate", "--rules"]).exits(0);
    for rule in [
        "invalid-guid",
        "unknown-type",
        "missing-target",
        "duplicate-row",
        "duplicate-id",
        "unknown-column",
        "lookalike-character",
        "number-damaged",
        "text-damaged",
        "stray-quote",
        "unclosed-quote",
    ] {
        assert!(ran.stdout.lines().any(|line| line == rule), "{rule} is not listed:\n{}", ran.stdout);
    }
}

#[test]
fn duplicates_over_several_files_name_both_places() {
    let folder = Folder::new();
    folder.write("a.csv", enrollments(3));
    folder.write(
        "b.csv",
        format!("type,profiletemplateuuid,target\nEnroll,{TEMPLATE},{}\nEnroll,{TEMPLATE},{}\n", guid(9), guid(2)),
    );
    let ran = folder.run(&["validate", "a.csv", "b.csv"]).exits(3);
    let line = ran.stderr.lines().find(|line| line.starts_with("b.csv:3:")).unwrap();
    assert!(line.contains("error[duplicate-row]") && line.contains("a.csv:3"), "{line}");
    let ran = folder.run(&["validate", "a.csv", "b.csv", "--on-duplicate", "first", "--json"]).exits(0);
    assert_eq!((ran.json()["valid"].clone(), ran.json()["skipped"].clone()), (4.into(), 1.into()));
}

#[test]
fn rows_that_differ_only_in_a_profile_are_one_call_unless_it_is_sent() {
    let folder = Folder::new();
    let row = |profile: u32| format!("Renew,{TEMPLATE},{},{}\n", guid(1), guid(profile));
    folder.write("a.csv", format!("type,profiletemplateuuid,target,profile\n{}{}", row(2), row(3)));
    folder.run(&["validate", "a.csv"]).exits(3).says("duplicate-row").says("template; the profile is not sent)");
    folder.run(&["validate", "a.csv", "--profile-property", "profileuuid"]).exits(0);
}

#[test]
fn misspelled_values_come_with_what_was_meant() {
    let folder = Folder::new();
    folder.write("a.csv", format!("type,profiletemplateuuid,taget\nEnrol,{TEMPLATE},{}\n", guid(1)));
    folder.run(&["validate", "a.csv"]).exits(3).says("target");
    folder.write("b.csv", format!("type,profiletemplateuuid,target\nEnrol,{TEMPLATE},{}\n", guid(1)));
    folder.run(&["validate", "b.csv"]).exits(3).says("did you mean Enroll?");
}

#[test]
fn text_from_manifests_cannot_steer_the_terminal() {
    let folder = Folder::new();
    folder.write("a.csv", format!("type,profiletemplateuuid,target\n\u{1b}[2JEnroll\u{202e},{TEMPLATE},{}\n", guid(1)));
    let ran = folder.run(&["validate", "a.csv"]).exits(3);
    assert!(!ran.stderr.contains('\u{1b}') && !ran.stderr.contains('\u{202e}'), "{}", ran.stderr);
}

#[test]
fn a_manifest_without_rows_is_an_error_unless_allowed() {
    let folder = Folder::new();
    folder.write("sweep.csv", "type,profiletemplateuuid,target\n");
    folder.run(&["validate", "sweep.csv"]).exits(3).says("--allow-empty");
    folder.run(&["validate", "sweep.csv", "--allow-empty"]).exits(0);
    folder.run(&["submit", "sweep.csv", "--simulate", "--allow-empty"]).exits(0).says("no rows");
    for text in ["", "\n", "\u{feff}"] {
        folder.write("sweep.csv", text);
        folder.write("sweep.gz", gzip(text.as_bytes()));
        for name in ["sweep.csv", "sweep.gz"] {
            folder.run(&["validate", name]).exits(3).says("error[no-rows]").says("--allow-empty");
            folder.run(&["submit", name, "--simulate"]).exits(3).says("--allow-empty");
            folder.run(&["submit", name, "--simulate", "--allow-empty", "--json"]).exits(0).says("no rows");
        }
        let words = ["submit", "-", "--simulate", "--allow-empty", "--ledger", "x.ledger"];
        folder.run_with_input(&words, text).exits(0).says("no rows");
    }
    assert!(!folder.file("sweep.rehearsal.ledger").exists() && !folder.file("x.ledger").exists());
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

#[test]
fn usage_errors_exit_2_and_help_exits_0() {
    let folder = Folder::new();
    folder.run(&["validate"]).exits(2);
    folder.run(&["submit", "a.csv", "--rate", "fast"]).exits(2).says("50/s");
    // Of an option given twice the last one counts, where it takes one value.
    folder.write("a.csv", enrollments(1));
    let words = ["submit", "a.csv", "--simulate", "--dry-run", "--rate", "5/s", "--json", "--rate", "6/s", "--json"];
    folder.run(&words).exits(0).says("rate: 6/s");
    folder.run(&["--help"]).exits(0);
    folder.run(&["submit", "--help"]).exits(0);
    assert!(folder.run(&["--version"]).exits(0).stdout.starts_with("cmbatch "));
}
