//! The main job: a list in, one request a row, nothing twice.

use serde_json::json;

use crate::common::{Folder, TEMPLATE, bodies, enrollments, guid, posts, simulator, untagged, wait_until};

const TYPES: [&str; 12] = [
    "Enroll",
    "Duplicate",
    "OfflineUnblock",
    "OnlineUpdate",
    "Renew",
    "Recover",
    "RecoverOnBehalf",
    "Reinstate",
    "Retire",
    "Revoke",
    "TemporaryCards",
    "Unblock",
];

#[test]
fn a_rehearsal_creates_every_row_and_the_second_run_sends_nothing() {
    let folder = Folder::new();
    folder.write("wave.csv", enrollments(40));
    let words = ["submit", "wave.csv", "--simulate", "--rate", "500/s", "--json"];
    let ran = folder.run(&words).exits(0).says("plan: send 40 rows (40 Enroll) to the embedded simulator");
    let summary = ran.json();
    assert_eq!((summary["rows"].clone(), summary["created"].clone()), (json!(40), json!(40)));
    assert_eq!((summary["exit"].clone(), summary["already_finished"].clone()), (json!(0), json!(false)));
    assert!(folder.file("wave.rehearsal.ledger").exists());
    let again = folder.run(&words).exits(0).says("nothing is left to send");
    assert_eq!(again.json()["already_finished"], true);
    assert!(!again.stderr.contains("plan:"));
}

#[test]
fn six_hundred_rows_of_all_types_arrive_exactly_as_published() {
    let folder = Folder::new();
    let simulator = simulator(&[]);
    let mut manifest =
        "id,type,profiletemplateuuid,target,smartcard,comment,priority,data.name,data.city,body.reason\n".to_owned();
    let mut expected = Vec::new();
    for row in 0..600_u32 {
        let kind = TYPES[row as usize % 12];
        let written = if row % 2 == 0 { kind.to_uppercase() } else { kind.to_lowercase() };
        let target = guid(row).to_uppercase();
        let card = if row % 3 == 0 { format!("{{{}}}", guid(10_000 + row)) } else { String::new() };
        let priority = if row % 5 == 0 { (row % 256).to_string() } else { String::new() };
        let name = if row % 7 == 0 { String::new() } else { format!("Zoë {row}") };
        let reason = if row % 4 == 0 { "1" } else { "" };
        let comment = if row % 2 == 0 { "" } else { "\"two\r\nlines, one comma\"" };
        manifest +=
            &format!("r{row},{written},{TEMPLATE},{target},{card},{comment},{priority},{name},seattle,{reason}\n");
        let mut data = Vec::new();
        if !name.is_empty() {
            data.push(json!({"name": name}));
        }
        data.push(json!({"city": "seattle"}));
        let mut body = json!({
            "profiletemplateuuid": TEMPLATE, "datacollection": data, "target": guid(row), "type": kind,
            "comment": if row % 2 == 0 { "" } else { "two\r\nlines, one comma" },
        });
        if !card.is_empty() {
            body["smartcard"] = guid(10_000 + row).into();
        }
        if !priority.is_empty() {
            body["priority"] = priority.into();
        }
        if !reason.is_empty() {
            body["reason"] = reason.into();
        }
        expected.push(body);
    }
    folder.write("all.csv", manifest);
    let server = simulator.base_url();
    let words =
        ["submit", "all.csv", "--server", &server, "--rate", "unlimited", "--confirm", "100", "--concurrency", "1"];
    folder.run(&words).exits(0);
    let mut sent: Vec<_> = bodies(&simulator).into_iter().map(untagged).collect();
    assert_eq!(sent.len(), 600);
    // Until the first of its kind was read back, a kind waits and others go before it.
    sent.sort_by_key(|body| body["target"].as_str().unwrap().to_owned());
    for (row, (sent, expected)) in sent.iter().zip(&expected).enumerate() {
        assert_eq!(sent, expected, "row {row}");
    }
    let first = &posts(&simulator)[0];
    assert!(first.path.eq_ignore_ascii_case("/CertificateManagement/api/v1.0/requests"), "{}", first.path);
}

#[test]
fn tags_differ_by_row_and_stand_where_they_are_asked_for() {
    let folder = Folder::new();
    folder.write("wave.csv", enrollments(3));
    for (option, check) in [
        (
            &["--tag-position", "start"][..],
            (|c: &str| c.starts_with("[cmb:") && c.ends_with("] new hire")) as fn(&str) -> bool,
        ),
        (&["--tag-position", "end"][..], |c| c.starts_with("new hire [cmb:") && c.ends_with(']')),
        (&["--no-tag"][..], |c| c == "new hire"),
    ] {
        let simulator = simulator(&[]);
        let server = simulator.base_url();
        let ledger = format!("wave{}.ledger", option.join(""));
        let mut words = vec!["submit", "wave.csv", "--server", &server, "--ledger", &ledger];
        words.extend(option);
        folder.run(&words).exits(0);
        let comments: Vec<String> =
            bodies(&simulator).iter().map(|body| body["comment"].as_str().unwrap().to_owned()).collect();
        assert!(comments.iter().all(|comment| check(comment)), "{comments:?}");
        if option[0] != "--no-tag" {
            assert_ne!(comments[0], comments[1]);
        }
    }
}

#[test]
fn a_run_that_was_stopped_goes_on_where_it_stopped() {
    let folder = Folder::new();
    folder.write("wave.csv", enrollments(60));
    let simulator = simulator(&[]);
    let server = simulator.base_url();
    let words = ["submit", "wave.csv", "--server", &server, "--rate", "20/s"];
    let mut first = folder.start(&words);
    wait_until(|| posts(&simulator).len() >= 5);
    let pid = nix::unistd::Pid::from_raw(i32::try_from(first.id()).unwrap());
    nix::sys::signal::kill(pid, nix::sys::signal::Signal::SIGTERM).unwrap();
    assert_eq!(first.wait().unwrap().code(), Some(130));
    let sent = posts(&simulator).len();
    assert!(sent < 60, "{sent} were sent before the signal");
    let status = folder.run(&["status", "wave.ledger", "--json"]).exits(1).json();
    assert_eq!(status["created"], sent);
    assert_eq!(status["pending"], 60 - sent);

    folder.run(&["submit", "wave.csv", "--server", &server, "--rate", "500/s"]).exits(0);
    let mut targets: Vec<String> =
        bodies(&simulator).iter().map(|body| body["target"].as_str().unwrap().to_owned()).collect();
    assert_eq!(targets.len(), 60);
    targets.sort();
    targets.dedup();
    assert_eq!(targets.len(), 60, "a row was sent twice");
}

#[test]
fn a_run_behind_nohup_outlives_its_terminal() {
    let folder = Folder::new();
    folder.write("wave.csv", enrollments(40));
    let simulator = simulator(&[]);
    let words = ["submit", "wave.csv", "--server", &simulator.base_url(), "--rate", "20/s"];
    let hang_up = |wrapper: &[&str]| {
        let before = posts(&simulator).len();
        let mut run = std::process::Command::new(wrapper[0])
            .args(&wrapper[1..])
            .arg(env!("CARGO_BIN_EXE_cmbatch"))
            .args(words)
            .current_dir(folder.path())
            .envs(folder.host())
            .stdout(std::process::Stdio::null())
            .stderr(std::process::Stdio::null())
            .spawn()
            .unwrap();
        wait_until(|| posts(&simulator).len() > before + 3);
        let pid = nix::unistd::Pid::from_raw(i32::try_from(run.id()).unwrap());
        nix::sys::signal::kill(pid, nix::sys::signal::Signal::SIGHUP).unwrap();
        run.wait().unwrap().code()
    };
    assert_eq!(hang_up(&["env"]), Some(130), "without it, a terminal that goes away stops the run");
    assert!(posts(&simulator).len() < 40);
    assert_eq!(hang_up(&["nohup"]), Some(0));
    assert_eq!(posts(&simulator).len(), 40);
}

#[test]
fn an_interruption_before_sending_says_so_and_sends_nothing() {
    let folder = Folder::new();
    let simulator = simulator(&[]);
    // The manifest is a pipe that gives its rows only when the signal has come.
    let mut run = std::process::Command::new(env!("CARGO_BIN_EXE_cmbatch"))
        .args(["submit", "-", "--server", &simulator.base_url(), "--ledger", "run.ledger", "--json"])
        .current_dir(folder.path())
        .envs(folder.host())
        .stdin(std::process::Stdio::piped())
        .stdout(std::process::Stdio::piped())
        .stderr(std::process::Stdio::piped())
        .spawn()
        .unwrap();
    let handled = format!("/proc/{}/status", run.id());
    let catches = |text: &str| {
        let mask = text.lines().find_map(|line| line.strip_prefix("SigCgt:")).unwrap().trim().to_owned();
        u64::from_str_radix(&mask, 16).unwrap() & (1 << 14) != 0
    };
    wait_until(|| catches(&std::fs::read_to_string(&handled).unwrap()));
    let pid = nix::unistd::Pid::from_raw(i32::try_from(run.id()).unwrap());
    nix::sys::signal::kill(pid, nix::sys::signal::Signal::SIGTERM).unwrap();
    let held_open = run.stdin.take();
    let output = run.wait_with_output().unwrap();
    drop(held_open);
    assert_eq!(output.status.code(), Some(130));
    let summary: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!((&summary["exit"], &summary["created"]), (&130.into(), &0.into()));
    assert!(posts(&simulator).is_empty());
    assert!(!folder.file("run.ledger").exists());
}

#[test]
fn a_killed_run_loses_nothing_and_sends_nothing_twice() {
    let folder = Folder::new();
    folder.write("wave.csv", enrollments(300));
    let simulator = simulator(&["latency=5ms..30ms"]);
    let server = simulator.base_url();
    let words = ["submit", "wave.csv", "--server", &server, "--rate", "200/s"];
    for kill in 0..3 {
        let mut run = folder.start(&words);
        wait_until(|| posts(&simulator).len() >= 30 * (kill + 1));
        run.kill().unwrap();
        run.wait().unwrap();
    }
    let quick = ["--settle", "1s", "--server-limit", "1s"];
    let mut words = vec!["submit", "wave.csv", "--server", &server, "--rate", "unlimited", "--json"];
    words.extend(quick);
    let ran = folder.run(&words);
    let summary = ran.json();
    let count = |state: &str| summary[state].as_u64().unwrap();
    assert_eq!(count("created") + count("in_doubt"), 300, "{summary}");
    assert_eq!(count("pending") + count("sending") + count("failed"), 0);
    assert_eq!((ran.status, count("in_doubt")), (0, 0), "{}", ran.stderr);
    let mut targets: Vec<String> =
        bodies(&simulator).iter().map(|body| body["target"].as_str().unwrap().to_owned()).collect();
    let sent = targets.len();
    targets.sort();
    targets.dedup();
    assert_eq!(targets.len(), sent, "a row was sent twice");
    assert!(count("created") <= sent as u64 && sent <= 300);
}

#[test]
fn standard_input_and_several_manifests_need_a_ledger_of_their_own() {
    let folder = Folder::new();
    folder.write("a.csv", enrollments(2));
    folder.write(
        "b.jsonl",
        format!("{{\"type\":\"Enroll\",\"profiletemplateuuid\":\"{TEMPLATE}\",\"target\":\"{}\"}}\n", guid(99)),
    );
    folder.run(&["submit", "a.csv", "b.jsonl", "--simulate"]).exits(2).says("--ledger");
    folder.run_with_input(&["submit", "-", "--simulate"], enrollments(2)).exits(2).says("--ledger");
    let ran = folder.run(&["submit", "a.csv", "b.jsonl", "--simulate", "--ledger", "both.ledger", "--json"]).exits(0);
    assert_eq!(ran.json()["created"], 3);
    let words = ["submit", "-", "--simulate", "--ledger", "stdin.ledger", "--json"];
    assert_eq!(folder.run_with_input(&words, enrollments(2)).exits(0).json()["created"], 2);
    let again = folder.run_with_input(&words, enrollments(2)).exits(0);
    assert_eq!(again.json()["already_finished"], true);
}

#[test]
fn the_ledger_can_stand_in_a_folder_under_the_manifests_digest() {
    let folder = Folder::new();
    folder.write("wave.csv.gz", gzipped(enrollments(2).as_bytes()));
    std::fs::create_dir(folder.file("ledgers")).unwrap();
    folder.run(&["submit", "wave.csv.gz", "--simulate", "--ledger-dir", "ledgers"]).exits(0);
    let names: Vec<String> = std::fs::read_dir(folder.file("ledgers"))
        .unwrap()
        .map(|entry| entry.unwrap().file_name().to_string_lossy().into_owned())
        .filter(|name| name.ends_with(".ledger"))
        .collect();
    assert!(
        names.len() == 1 && names[0].starts_with("wave-") && names[0].len() == "wave-12345678.rehearsal.ledger".len(),
        "{names:?}"
    );
}

fn gzipped(bytes: &[u8]) -> Vec<u8> {
    use std::io::Write;
    let mut out = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    out.write_all(bytes).unwrap();
    out.finish().unwrap()
}
