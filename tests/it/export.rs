//! Exports and status.

use std::collections::BTreeSet;

use serde_json::Value;

use crate::common::{Folder, TEMPLATE, bodies, enrollments, guid, posts, simulator, untagged};

#[test]
fn the_export_holds_the_uri_of_each_row() {
    let folder = Folder::new();
    folder.write("wave.csv", enrollments(25));
    let simulator = simulator(&[]);
    folder.run(&["submit", "wave.csv", "--server", &simulator.base_url(), "--rate", "unlimited"]).exits(0);
    let exported = folder.run(&["export", "wave.ledger", "--format", "jsonl"]).exits(0);
    let rows: Vec<Value> = exported.stdout.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let uuids: BTreeSet<&str> = rows.iter().map(|row| row["request_uuid"].as_str().unwrap()).collect();
    let created: Vec<String> = posts(&simulator).iter().map(|post| post.created.unwrap().to_string()).collect();
    assert_eq!(uuids, created.iter().map(String::as_str).collect());
    for (n, row) in (1..).zip(&rows) {
        assert_eq!((&row["row"], &row["state"], &row["attempts"]), (&n.into(), &"created".into(), &1.into()));
        assert!(row["request_uri"].as_str().unwrap().ends_with(row["request_uuid"].as_str().unwrap()));
        assert_eq!(row["http_status"], 201);
    }
    let csv = folder.run(&["export", "wave.ledger"]).exits(0).stdout;
    assert!(csv.starts_with("row,id,type,profiletemplateuuid,target,smartcard,state,request_uri,request_uuid,http_status,error_code,error_message,correlation_id,attempts,first_attempt_at,last_attempt_at,latency_ms"));
    assert_eq!(csv.lines().count(), 26);
    assert_eq!(folder.run(&["export", "wave.ledger", "--state", "failed"]).exits(0).stdout.lines().count(), 1);
}

#[test]
fn formulas_are_defused_in_results_and_kept_in_manifests() {
    let folder = Folder::new();
    folder.write(
        "wave.csv",
        format!("type,profiletemplateuuid,target,data.x,note.who\nEnroll,{TEMPLATE},{},=cmd,@SUM(A1)\n", guid(1)),
    );
    folder.run(&["submit", "wave.csv", "--simulate"]).exits(0);
    let csv = folder.run(&["export", "wave.rehearsal.ledger"]).exits(0).stdout;
    assert!(csv.contains(",'@SUM(A1)"), "{csv}");
    folder
        .run(&["submit", "wave.csv", "--simulate", "--fault", "forbid-type=Enroll", "--ledger", "failed.ledger"])
        .exits(1);
    let manifest = folder.run(&["export", "failed.ledger", "--format", "manifest"]).exits(0).stdout;
    assert!(manifest.contains(",=cmd,@SUM(A1)"), "{manifest}");
}

#[test]
fn an_invalid_row_keeps_its_id_and_notes() {
    let folder = Folder::new();
    folder.write(
        "wave.csv",
        format!("id,type,profiletemplateuuid,target,note.who\nE-1,Enroll,{TEMPLATE},{},Zoë\nE-2,Enroll,{TEMPLATE},nobody,Anna\n", guid(1)),
    );
    folder.run(&["submit", "wave.csv", "--simulate", "--on-invalid", "skip"]).exits(1);
    let exported = folder.run(&["export", "wave.rehearsal.ledger", "--format", "jsonl", "--state", "invalid"]).exits(0);
    let row: Value = serde_json::from_str(exported.stdout.trim()).unwrap();
    assert_eq!((&row["id"], &row["note.who"], &row["state"]), (&"E-2".into(), &"Anna".into(), &"invalid".into()));
    assert!(row["error_message"].as_str().unwrap().contains("invalid-guid"), "{row}");
}

#[test]
fn an_exported_manifest_gives_the_same_bodies_again() {
    let folder = Folder::new();
    let manifest = format!(
        "id,type,profiletemplateuuid,target,smartcard,profile,comment,priority,data.b,data.a,body.reason,note.n\n\
         1,Enroll,{TEMPLATE},{},,,\"a, \"\"b\"\"\",,x,y,,n1\n\
         2,Revoke,,{},{},{},,0,,z,5,\n",
        guid(1),
        guid(2),
        guid(3),
        guid(4)
    );
    folder.write("wave.csv", manifest);
    let first = simulator(&["forbid-type=Enroll", "forbid-type=Revoke"]);
    let second = simulator(&[]);
    let options = ["--profile-property", "profileuuid", "--confirm", "1", "--concurrency", "1"];
    let send = |name: &str, server: &str, status: i32| {
        let mut words = vec!["submit", name, "--server", server];
        words.extend(options);
        folder.run(&words).exits(status);
    };
    send("wave.csv", &first.base_url(), 1);
    folder.run(&["export", "wave.ledger", "--format", "manifest", "--output", "again.csv"]).exits(0);
    send("again.csv", &second.base_url(), 0);
    let untag = |bodies: Vec<Value>| -> Vec<Value> { bodies.into_iter().map(untagged).collect() };
    assert_eq!(untag(bodies(&first)), untag(bodies(&second)));
    assert_eq!(bodies(&first)[1]["profileuuid"], guid(4));
}

#[test]
fn status_names_reasons_with_an_example() {
    let folder = Folder::new();
    folder.write("wave.csv", enrollments(4));
    let simulator = simulator(&["forbid-type=Enroll"]);
    folder.run(&["submit", "wave.csv", "--server", &simulator.base_url()]).exits(1);
    let ran = folder.run(&["status", "wave.ledger"]).exits(1);
    assert!(ran.stdout.contains("forbidden") && ran.stdout.contains("row 1 (E-1)"), "{}", ran.stdout);
    for line in ran.stdout.lines().filter(|line| line.starts_with("  ")) {
        assert!(line.chars().count() <= 100, "{line}");
    }
    let json = folder.run(&["status", "wave.ledger", "--json"]).exits(1).json();
    assert_eq!(json["reasons"][0]["error_code"], "forbidden");
    assert_eq!(json["reasons"][0]["rows"], 4);
}

/// Sends three Enroll rows, a Renew row that is refused and a Revoke row; what the faults leave in doubt stays so.
fn mixed_run(folder: &Folder, faults: &[&str], says: &str) {
    let mut manifest = "id,type,profiletemplateuuid,target,comment,data.x,note.who\n".to_owned();
    for (row, kind) in (1..).zip(["Enroll", "Enroll", "Renew", "Enroll", "Revoke"]) {
        manifest += &format!("E-{row},{kind},{TEMPLATE},{},new hire,x,Zoë\n", guid(row));
    }
    folder.write("wave.csv", manifest);
    let simulator = simulator(&[&["forbid-type=Renew"], faults].concat());
    let server = simulator.base_url();
    let words = ["--server", &server, "--concurrency", "1", "--confirm", "1", "--settle", "1s", "--server-limit", "1s"];
    folder.run(&[&["submit", "wave.csv"], &words[..]].concat()).exits(1).says(says);
}

#[test]
fn a_manifest_never_holds_rows_that_exist_or_may() {
    let folder = Folder::new();
    mixed_run(&folder, &["create:drop-after-create=at 4", "list-hides=100%"], "3 created, 1 in doubt, 1 failed");
    let export = |words: &[&str]| folder.run(&[&["export", "wave.ledger", "--format", "manifest"], words].concat());
    export(&["--state", "failed,in_doubt"]).exits(2).says("rows in doubt").says("cmbatch reconcile wave.ledger");
    export(&["--state", "created", "--output", "x.csv"]).exits(2).says("twice").says("--as Revoke");
    export(&["--state", "sending"]).exits(2).says("being sent");
    assert!(!folder.file("x.csv").exists());
    let ran = export(&[]).exits(0).says("4 rows left out (3 created, 1 in doubt)");
    let rows: Vec<&str> = ran.stdout.lines().skip(1).collect();
    assert!(rows.len() == 1 && rows[0].starts_with("3,") && rows[0].contains(",E-3,Renew,"), "{rows:?}");
    let json = export(&["--output", "again.csv", "--json"]).exits(0).says("1 row written to again.csv").json();
    assert_eq!((&json["rows"], &json["left_out"]), (&1.into(), &4.into()));
}

#[test]
fn created_rows_become_a_list_of_another_type() {
    let folder = Folder::new();
    mixed_run(&folder, &[], "4 created, 1 failed");
    let export = |words: &[&str]| folder.run(&[&["export", "wave.ledger"], words].concat());
    for words in [
        &["--as", "Revoke"][..],
        &["--as", "Revoke", "--state", "created"],
        &["--as", "Revoke", "--format", "manifest"],
        &["--as", "Revoke", "--format", "manifest", "--state", "created,failed"],
    ] {
        export(words).exits(2).says("--format manifest --state created");
    }
    let words = ["--as", "revoke", "--format", "manifest", "--state", "created", "--output", "revoke.csv"];
    export(&words).exits(0).says("3 rows written to revoke.csv; 1 row left out (1 created)");
    let list = folder.read("revoke.csv");
    let run = list.lines().nth(1).unwrap().split(',').nth(1).unwrap();
    assert_eq!(
        list,
        format!(
            "_row,_run,id,type,profiletemplateuuid,target,smartcard,profile,comment,priority,note.who\n\
             1,{run},E-1,Revoke,{TEMPLATE},{},,,,,Zoë\n2,{run},E-2,Revoke,{TEMPLATE},{},,,,,Zoë\n\
             4,{run},E-4,Revoke,{TEMPLATE},{},,,,,Zoë\n",
            guid(1),
            guid(2),
            guid(4)
        )
    );
    folder.run(&["validate", "revoke.csv"]).exits(0);
}
