//! Sending again: replay, mended rows, a person's verdict, parts of a run, further manifests.

use cmbatch::simulator::Simulator;
use serde_json::{Value, json};

use crate::common::{Folder, Ran, TEMPLATE, bodies, enrollments, guid, posts, simulator};

/// Options with which rows in doubt are settled within a test's time.
const QUICK: [&str; 6] = ["--settle", "0s", "--server-limit", "1s", "--rate", "500/s"];

fn run(folder: &Folder, words: &[&str]) -> Ran {
    let mut all = words.to_vec();
    all.extend(QUICK);
    folder.run(&all)
}

fn count(ran: &Ran, state: &str) -> u64 {
    ran.json()[state].as_u64().unwrap()
}

/// The rows of an export, by row number.
fn exported(folder: &Folder, ledger: &str) -> Vec<Value> {
    let text = folder.run(&["export", ledger, "--format", "jsonl"]).exits(0).stdout;
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

/// A run of ten rows of which one (3) is forbidden and two (5 and 8: a fault counts the calls that reach it) failed on the
/// server.
fn with_failures() -> (Folder, Simulator) {
    let folder = Folder::new();
    folder.write("wave.csv", enrollments(10));
    let forbidden = format!("forbid-target={}", guid(3));
    let simulator = simulator(&["500=at 5", "500=at 7", &forbidden]);
    let words = ["submit", "wave.csv", "--server", &simulator.base_url(), "--concurrency", "1"];
    run(&folder, &words).exits(1).says("7 created, 3 failed");
    (folder, simulator)
}

#[test]
fn replay_sends_failed_rows_again_and_says_before_how_many() {
    let (folder, simulator) = with_failures();
    let before = posts(&simulator).len();
    folder.run(&["replay", "wave.ledger", "--dry-run"]).exits(0).says("again: 3 failed and 0 pending");
    assert_eq!(posts(&simulator).len(), before);
    let ran = run(&folder, &["replay", "wave.ledger", "--json"]).exits(1).says("again: 3 failed and 0 pending");
    assert_eq!((count(&ran, "created"), count(&ran, "failed")), (9, 1));
    assert_eq!(posts(&simulator).len(), before + 3);
    let tags: std::collections::HashSet<String> =
        bodies(&simulator).iter().map(|body| body["comment"].as_str().unwrap()[..39].to_owned()).collect();
    assert_eq!(tags.len(), 10, "a row keeps its tag over all attempts");
}

#[test]
fn replay_is_narrowed_by_cause_state_row_id_and_number() {
    for (options, n_sent) in [
        (&["--cause", "refused"][..], 1),
        (&["--cause", "server-error"], 2),
        (&["--cause", "refused,server-error"], 3),
        (&["--cause", "not-sent"], 0),
        (&["--cause", "unknown"], 0),
        (&["--state", "pending"], 0),
        (&["--state", "failed"], 3),
        (&["--row", "5"], 1),
        (&["--id", "E-8", "--row", "5"], 2),
        (&["--limit", "2"], 2),
        (&["--cause", "server-error", "--limit", "1"], 1),
    ] {
        let (folder, simulator) = with_failures();
        let before = posts(&simulator).len();
        let mut words = vec!["replay", "wave.ledger"];
        words.extend(options);
        run(&folder, &words);
        assert_eq!(posts(&simulator).len() - before, n_sent, "{options:?}");
    }
}

#[test]
fn replay_refuses_rows_that_are_not_there_or_not_to_be_sent() {
    let (folder, simulator) = with_failures();
    let before = posts(&simulator).len();
    folder.run(&["replay", "wave.ledger", "--row", "11"]).exits(2).says("the run has no row 11");
    folder.run(&["replay", "wave.ledger", "--row", "1"]).exits(2).says("row 1 is created and is not sent again");
    folder.run(&["replay", "wave.ledger", "--id", "E-99"]).exits(2).says("E-99");
    folder.run(&["replay", "wave.ledger", "--state", "created"]).exits(2).says("failed or pending");
    folder.run(&["replay", "wave.ledger", "--server", "http://127.0.0.1:1"]).exits(2).says("another server");
    folder.run(&["replay", "wave.ledger", "--simulate"]).exits(2).says("another server");
    folder.run(&["replay", "none.ledger"]).exits(2).says("none.ledger");
    assert_eq!(posts(&simulator).len(), before);
}

#[test]
fn a_replay_of_destructive_rows_needs_their_number() {
    let folder = Folder::new();
    let mut list = "type,profiletemplateuuid,target\n".to_owned();
    for row in 1..=4 {
        list += &format!("Revoke,{TEMPLATE},{}\n", guid(row));
    }
    folder.write("list.csv", list);
    let simulator = simulator(&["403=at 2", "403=at 3"]);
    let server = simulator.base_url();
    run(&folder, &["submit", "list.csv", "--server", &server, "--confirm", "4", "--concurrency", "1"]).exits(1);
    let before = posts(&simulator).len();
    run(&folder, &["replay", "list.ledger"]).exits(2).says("--confirm 2");
    run(&folder, &["replay", "list.ledger", "--confirm", "4"]).exits(2).says("--confirm 2");
    assert_eq!(posts(&simulator).len(), before);
    run(&folder, &["replay", "list.ledger", "--confirm", "2"]).exits(0);
    assert_eq!(posts(&simulator).len(), before + 2);
}

#[test]
fn mended_rows_take_the_place_of_failed_and_invalid_ones() {
    let folder = Folder::new();
    let manifest = format!("{}E-9,Enroll,{TEMPLATE},nobody,x\n,Enroll,{TEMPLATE},noone,y\n", enrollments(4));
    folder.write("wave.csv", manifest);
    let forbidden = format!("forbid-target={}", guid(2));
    let simulator = simulator(&[&forbidden]);
    let server = simulator.base_url();
    let words = [
        "submit",
        "wave.csv",
        "--server",
        &server,
        "--on-invalid",
        "skip",
        "--rejects",
        "rejects.csv",
        "--concurrency",
        "1",
    ];
    run(&folder, &words).exits(1);
    // By id, by id of an invalid row, and by _row where there is no id.
    let mended = format!(
        "id,type,profiletemplateuuid,target,comment,_row\nE-2,Enroll,{TEMPLATE},{},x,\nE-9,Enroll,{TEMPLATE},{},x,\n,Enroll,{TEMPLATE},{},y,6\n",
        guid(102),
        guid(109),
        guid(110)
    );
    folder.write("mended.csv", &mended);
    let before = posts(&simulator).len();
    let ran = run(&folder, &["replay", "wave.ledger", "--from", "mended.csv", "--json"]).exits(0);
    assert_eq!((count(&ran, "created"), count(&ran, "replaced"), count(&ran, "rows")), (6, 3, 9));
    let sent = bodies(&simulator);
    assert_eq!(sent.len(), before + 3);
    let targets: Vec<&Value> = sent[before..].iter().map(|body| &body["target"]).collect();
    for target in [guid(102), guid(109), guid(110)] {
        assert!(targets.contains(&&json!(target)), "{target} in {targets:?}");
    }
    let rows = exported(&folder, "wave.ledger");
    assert_eq!(
        (&rows[1]["state"], &rows[4]["state"], &rows[6]["id"]),
        (&json!("replaced"), &json!("replaced"), &json!("E-2"))
    );
    // The same command again has nothing left to do.
    run(&folder, &["replay", "wave.ledger", "--from", "mended.csv"]).exits(0).says("nothing is left to send");
    assert_eq!(posts(&simulator).len(), before + 3);
}

#[test]
fn mended_rows_that_match_nothing_or_change_nothing_are_errors() {
    let (folder, simulator) = with_failures();
    let before = posts(&simulator).len();
    let header = "id,type,profiletemplateuuid,target,comment,_row\n";
    for (rows, says) in [
        (format!("E-3,Enroll,{TEMPLATE},{},new hire,\n", guid(3)), "row-unchanged"),
        (format!("E-1,Enroll,{TEMPLATE},{},new hire,\n", guid(101)), "row 1 is created"),
        (format!("E-99,Enroll,{TEMPLATE},{},new hire,\n", guid(101)), "row-not-matched"),
        (format!(",Enroll,{TEMPLATE},{},new hire,77\n", guid(101)), "the ledger has no row 77"),
        (format!("E-3,Enroll,{TEMPLATE},{},new hire,5\n", guid(101)), "its id is that of row 3, and its _row says 5"),
        (format!("E-3,Enroll,{TEMPLATE},{},new hire,\n", guid(1)), "duplicate-row"),
        (format!("E-3,Enroll,{TEMPLATE},nobody,new hire,\n"), "invalid-guid"),
    ] {
        folder.write("mended.csv", format!("{header}{rows}"));
        run(&folder, &["replay", "wave.ledger", "--from", "mended.csv"]).exits(3).says(says);
    }
    assert_eq!(posts(&simulator).len(), before);
    assert_eq!(exported(&folder, "wave.ledger").len(), 10);
}

#[test]
fn an_exported_manifest_can_be_mended_and_taken_back() {
    let (folder, simulator) = with_failures();
    folder
        .run(&["export", "wave.ledger", "--format", "manifest", "--state", "failed", "--output", "failed.csv"])
        .exits(0);
    folder.write("failed.csv", folder.read("failed.csv").replace("new hire", "new hire 2"));
    run(&folder, &["replay", "wave.ledger", "--from", "failed.csv"]).exits(1).says("9 created, 1 failed, 3 replaced");
    let tags: std::collections::HashSet<String> =
        bodies(&simulator).iter().map(|body| body["comment"].as_str().unwrap()[..39].to_owned()).collect();
    assert_eq!(tags.len(), 13, "a mended row has a tag of its own");
}

#[test]
fn a_part_of_the_rows_is_sent_and_the_others_wait() {
    let folder = Folder::new();
    folder.write("wave.csv", enrollments(20));
    let simulator = simulator(&[]);
    let server = simulator.base_url();
    let submit = |part: &[&str]| {
        let mut words = vec!["submit", "wave.csv", "--server", server.as_str()];
        words.extend(part);
        run(&folder, &words)
    };
    submit(&["--limit", "5"]).exits(0).says("15 rows left pending as asked");
    assert_eq!(posts(&simulator).len(), 5);
    folder.write("ids.txt", "E-18\n\n E-2 \nE-11\n");
    submit(&["--ids", "ids.txt"]).exits(0).says("13 rows left pending as asked");
    folder.write("ids.txt", "E-18\nE-77\n");
    submit(&["--ids", "ids.txt"]).exits(2).says("ids.txt:2: the run has no row with id \"E-77\"");
    folder.write("ids.txt", "\n");
    submit(&["--ids", "ids.txt"]).exits(2).says("holds no id");
    submit(&["--limit", "3", "--dry-run"]).exits(0).says("dry run: 3 rows would be sent");
    folder.write("ids.txt", "E-2\n");
    submit(&["--ids", "ids.txt"]).exits(1).says("none of the rows that were asked for is to be sent");
    let mut typed_only = folder.command(&["submit", "wave.csv", "--server", &server]);
    let refused: Ran = typed_only.env("CMBATCH_LIMIT", "1").output().unwrap().into();
    refused.exits(2).says("CMBATCH_LIMIT: --limit is taken from the command line alone");
    // What was passed over is not lost, whatever comes in between.
    submit(&["--limit", "1"]).exits(0).says("12 rows left pending as asked");
    submit(&[]).exits(0).says("20 created");
    let mut targets: Vec<String> = bodies(&simulator).iter().map(|body| body["target"].to_string()).collect();
    targets.sort();
    targets.dedup();
    assert_eq!((targets.len(), posts(&simulator).len()), (20, 20));
}

#[test]
fn a_new_run_can_begin_with_a_part_and_counts_what_it_confirms() {
    let folder = Folder::new();
    let mut list = "id,type,profiletemplateuuid,target\n".to_owned();
    for row in 1..=6 {
        list += &format!("R-{row},Retire,{TEMPLATE},{}\n", guid(row));
    }
    folder.write("list.csv", list);
    folder.write("ids.txt", "R-4\nR-6\n");
    let simulator = simulator(&[]);
    let server = simulator.base_url();
    let words = ["submit", "list.csv", "--server", &server, "--ids", "ids.txt"];
    run(&folder, &words).exits(2).says("--confirm 2");
    assert!(!folder.file("list.ledger").exists());
    let mut confirmed = words.to_vec();
    confirmed.extend(["--confirm", "2"]);
    run(&folder, &confirmed).exits(0).says("4 rows left pending as asked");
    let sent: Vec<String> = bodies(&simulator).iter().map(|body| body["target"].as_str().unwrap().to_owned()).collect();
    assert_eq!(sent, [guid(4), guid(6)]);
}

#[test]
fn a_further_manifest_is_taken_into_the_ledger() {
    let folder = Folder::new();
    folder.write("wave.csv", enrollments(5));
    let simulator = simulator(&[]);
    let server = simulator.base_url();
    run(&folder, &["submit", "wave.csv", "--server", &server]).exits(0);
    let late = format!(
        "id,type,profiletemplateuuid,target,comment\nL-1,Enroll,{TEMPLATE},{},late\nL-2,Enroll,{TEMPLATE},{},late\n",
        guid(51),
        guid(52)
    );
    folder.write("late.csv", &late);
    let append = |more: &[&str]| {
        let mut words = vec!["submit", "late.csv", "--server", server.as_str(), "--ledger", "wave.ledger"];
        words.extend(more);
        run(&folder, &words)
    };
    append(&[]).exits(2).says("--append");
    run(&folder, &["submit", "late.csv", "--server", &server, "--append"]).exits(2).says("--ledger");
    let ran = append(&["--append", "--json"]).exits(0);
    assert_eq!((count(&ran, "created"), count(&ran, "rows")), (7, 7));
    append(&["--append"]).exits(0).says("nothing is left to send");
    let rows = exported(&folder, "wave.ledger");
    assert_eq!((&rows[5]["row"], &rows[5]["id"]), (&json!(6), &json!("L-1")));
    // All manifests together are the run now.
    let both = ["submit", "wave.csv", "late.csv", "--server", &server, "--ledger", "wave.ledger"];
    run(&folder, &both).exits(0).says("nothing is left to send");
    // The first command goes on, too; the further manifest alone does not name the run.
    run(&folder, &["submit", "wave.csv", "--server", &server]).exits(0).says("nothing is left to send");
    append(&[]).exits(2).says("manifest:");
    assert_eq!(posts(&simulator).len(), 7);
}

#[test]
fn ids_and_duplicates_count_over_all_manifests_of_a_ledger() {
    let folder = Folder::new();
    folder.write("wave.csv", enrollments(5));
    let simulator = simulator(&[]);
    let server = simulator.base_url();
    run(&folder, &["submit", "wave.csv", "--server", &server]).exits(0);
    let header = "id,type,profiletemplateuuid,target,comment\n";
    let append = |more: &[&str]| {
        let mut words = vec!["submit", "late.csv", "--server", server.as_str(), "--ledger", "wave.ledger", "--append"];
        words.extend(more);
        run(&folder, &words)
    };
    folder.write("late.csv", format!("{header}E-3,Enroll,{TEMPLATE},{},late\n", guid(60)));
    append(&[]).exits(3).says("late.csv:2:1: error[duplicate-id]: id \"E-3\" is already that of row 3");
    folder.write(
        "late.csv",
        format!("{header}L-1,Enroll,{TEMPLATE},{},late\n", guid(60))
            + &format!("L-2,Enroll,{TEMPLATE},{},late\n", guid(4)),
    );
    append(&[]).exits(3).says("late.csv:3:1: error[duplicate-row]: the row asks for the same as row 4");
    append(&["--on-duplicate", "first"]).exits(2).says("on-duplicate");
    assert_eq!((posts(&simulator).len(), exported(&folder, "wave.ledger").len()), (5, 5));
}

/// A run of three rows of which the second is in doubt for good: its answer was lost, and the list hides it.
fn with_doubt(fault: &str) -> (Folder, Simulator) {
    let folder = Folder::new();
    folder.write("wave.csv", enrollments(3));
    let simulator = simulator(&[fault, "list:403=after 1"]);
    let words = ["submit", "wave.csv", "--server", &simulator.base_url(), "--concurrency", "1"];
    run(&folder, &words).exits(1).says("could not be read");
    (folder, simulator)
}

#[test]
fn a_person_settles_what_no_list_can() {
    let (folder, simulator) = with_doubt("drop-after-create=at 2");
    let listed = folder.run(&["settle", "wave.ledger", "--list"]).exits(0).says("1 row in doubt").stdout;
    assert!(
        listed.contains("row 2, id E-2 (wave.csv:3)") && listed.contains("[cmb:") && listed.contains(&guid(2)),
        "{listed}"
    );
    let created: Vec<String> = simulator.requests().iter().map(|request| request.uuid.to_string()).collect();
    let settle = |more: &[&str]| {
        let mut words = vec!["settle", "wave.ledger", "--row", "2"];
        words.extend(more);
        folder.run(&words)
    };
    settle(&["--created", &created[0]]).exits(2).says("is that of row 1 already");
    settle(&["--created", &guid(999)]).exits(4).says("cannot be read");
    settle(&["--created", "no-uuid"]).exits(2);
    settle(&["--not-created"]).exits(2).says("--reason");
    settle(&["--not-created", "--reason", " "]).exits(2).says("--reason is empty");
    folder.run(&["settle", "wave.ledger", "--list", "--row", "2"]).exits(2);
    let listed = folder.run(&["settle", "wave.ledger", "--list", "--json"]).exits(0).json();
    assert_eq!((&listed["rows_in_doubt"][0]["id"], &listed["in_doubt"]), (&json!("E-2"), &json!(1)));
    settle(&["--created", &created[1], "--reason", "seen in the portal"]).exits(0).says("row 2 is created");
    settle(&["--created", &created[1]]).exits(2).says("row 2 is created and not in doubt");
    let rows = exported(&folder, "wave.ledger");
    assert_eq!((&rows[1]["state"], &rows[1]["request_uuid"]), (&json!("created"), &json!(created[1])));
    assert_eq!(posts(&simulator).len(), 3);
}

#[test]
fn a_verdict_of_not_created_makes_the_row_pending_and_after_a_500_failed() {
    for (fault, state) in [("drop-before=at 2", "pending"), ("500=at 2", "failed")] {
        let (folder, _simulator) = with_doubt(fault);
        let words = ["settle", "wave.ledger", "--row", "2", "--not-created", "--reason", "asked the CM team"];
        folder.run(&words).exits(0).says("row 2 was not created");
        let rows = exported(&folder, "wave.ledger");
        assert_eq!(rows[1]["state"], state, "{fault}");
    }
}

#[test]
fn reconcile_settles_and_sends_nothing() {
    let folder = Folder::new();
    folder.write("wave.csv", enrollments(6));
    // Two lists in a row cannot be read: a fault counts the calls that reach it.
    let simulator = simulator(&["drop-after-create=at 3", "drop-before=at 5", "list:403=at 2", "list:403=at 2"]);
    let words = ["submit", "wave.csv", "--server", &simulator.base_url(), "--concurrency", "1"];
    run(&folder, &words).exits(1).says("2 in doubt");
    let words = ["reconcile", "wave.ledger", "--settle", "0s", "--server-limit", "1s", "--json"];
    let ran = folder.run(&words).exits(1);
    assert_eq!((count(&ran, "created"), count(&ran, "pending"), count(&ran, "in_doubt")), (5, 1, 0));
    assert_eq!(posts(&simulator).len(), 6);
    folder.run(&["reconcile", "wave.ledger"]).exits(1).says("nothing is in doubt");
    run(&folder, &["submit", "wave.csv", "--server", &simulator.base_url()]).exits(0);
    assert_eq!(posts(&simulator).len(), 7);
}

#[test]
fn a_rehearsal_is_replayed_on_the_simulator() {
    let folder = Folder::new();
    folder.write("wave.csv", enrollments(6));
    let words = ["submit", "wave.csv", "--simulate", "--fault", "403=at 2", "--concurrency", "1"];
    run(&folder, &words).exits(1).says("5 created, 1 failed");
    run(&folder, &["replay", "wave.rehearsal.ledger"]).exits(0).says("6 created");
    folder.run(&["replay", "wave.rehearsal.ledger", "--server", "http://127.0.0.1:1"]).exits(0).says("nothing is left");
}

#[test]
fn rows_whose_connections_were_refused_in_an_outage_are_sent_after_it() {
    let folder = Folder::new();
    folder.write("wave.csv", enrollments(120));
    let simulator = simulator(&["reboot-after=40,reboot-for=2s"]);
    let words = [
        "submit",
        "wave.csv",
        "--server",
        &simulator.base_url(),
        "--wait-for-server",
        "20s",
        "--breaker-in-a-row",
        "10",
    ];
    run(&folder, &words).exits(0).says("server does not answer; waiting up to 20 s").says("120 created");
    let mut targets: Vec<String> = bodies(&simulator).iter().map(|body| body["target"].to_string()).collect();
    targets.sort();
    targets.dedup();
    assert_eq!((targets.len(), simulator.requests().len()), (120, 120));
}

#[test]
fn a_row_stays_in_doubt_while_a_request_like_it_may_have_lost_its_tag() {
    let folder = Folder::new();
    let long = "x".repeat(300);
    let mut manifest = "type,profiletemplateuuid,target,comment\n".to_owned();
    for row in 1..=8 {
        let comment = if row == 4 { long.as_str() } else { "short" };
        manifest += &format!("Enroll,{TEMPLATE},{},{comment}\n", guid(row));
    }
    folder.write("wave.csv", manifest);
    // The server keeps 255 characters: the tag behind the long comment is lost, and so is that call's answer.
    let simulator = simulator(&["comment-limit=255", "drop-after-create=at 4"]);
    let server = simulator.base_url();
    let words = ["submit", "wave.csv", "--server", &server, "--tag-position", "end", "--concurrency", "1"];
    run(&folder, &words)
        .exits(1)
        .says("requests without a readable tag may be those of 1 of them")
        .says("settle wave.ledger");
    run(&folder, &words).exits(1);
    assert_eq!((posts(&simulator).len(), simulator.requests().len()), (8, 8));
}

#[test]
fn a_ledger_with_two_names_is_refused() {
    let folder = Folder::new();
    folder.write("wave.csv", enrollments(6));
    let simulator = simulator(&[]);
    let server = simulator.base_url();
    run(&folder, &["submit", "wave.csv", "--server", &server, "--limit", "2"]).exits(0);
    std::fs::hard_link(folder.file("wave.ledger"), folder.file("other.ledger")).unwrap();
    for ledger in ["wave.ledger", "other.ledger"] {
        run(&folder, &["submit", "wave.csv", "--server", &server, "--ledger", ledger]).exits(2).says("hard links");
    }
    folder.run(&["status", "wave.ledger"]).exits(1);
    assert_eq!(posts(&simulator).len(), 2);
}
