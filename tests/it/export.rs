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
    let manifest = folder.run(&["export", "wave.rehearsal.ledger", "--format", "manifest"]).exits(0).stdout;
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
    let first = simulator(&[]);
    let second = simulator(&[]);
    let options = ["--profile-property", "profileuuid", "--confirm", "1", "--concurrency", "1"];
    let send = |name: &str, server: &str| {
        let mut words = vec!["submit", name, "--server", server];
        words.extend(options);
        folder.run(&words).exits(0);
    };
    send("wave.csv", &first.base_url());
    folder.run(&["export", "wave.ledger", "--format", "manifest", "--output", "again.csv"]).exits(0);
    send("again.csv", &second.base_url());
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
