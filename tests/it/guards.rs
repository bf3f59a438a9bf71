//! What keeps a wrong list, a wrong server or a second process from doing harm.

use crate::common::{Folder, TEMPLATE, enrollments, guid, posts, simulator, wait_until};

fn revocations(n_rows: u32) -> String {
    let mut text = "type,profiletemplateuuid,target\n".to_owned();
    for row in 1..=n_rows {
        text += &format!("{},{TEMPLATE},{}\n", if row % 3 == 0 { "Retire" } else { "Revoke" }, guid(row));
    }
    text
}

#[test]
fn rows_that_take_certificates_away_need_their_exact_number() {
    let folder = Folder::new();
    folder.write("list.csv", revocations(9));
    let simulator = simulator(&[]);
    let server = simulator.base_url();
    let submit = |confirm: &[&str]| {
        let mut words = vec!["submit", "list.csv", "--server", server.as_str()];
        words.extend(confirm);
        folder.run(&words)
    };
    submit(&[]).exits(2).says("3 Retire, 6 Revoke").says("--confirm 9");
    submit(&["--confirm", "8"]).exits(2).says("--confirm 9");
    submit(&["--confirm", "10"]).exits(2);
    assert!(posts(&simulator).is_empty());
    assert!(!folder.file("list.ledger").exists(), "nothing is left behind by a run that was not confirmed");
    submit(&["--confirm", "9"]).exits(0);
    assert_eq!(posts(&simulator).len(), 9);
    submit(&[]).exits(0).says("nothing is left to send");
    assert_eq!(posts(&simulator).len(), 9);
}

#[test]
fn a_rehearsal_asks_for_the_confirmation_too() {
    let folder = Folder::new();
    folder.write("list.csv", revocations(2));
    folder.run(&["submit", "list.csv", "--simulate"]).exits(2).says("--confirm 2");
    folder.run(&["submit", "list.csv", "--simulate", "--confirm", "2"]).exits(0);
}

#[test]
fn a_dry_run_shows_the_plan_and_leaves_nothing() {
    let folder = Folder::new();
    folder.write("list.csv", revocations(4));
    let ran = folder.run(&["submit", "list.csv", "--server", "http://127.0.0.1:9", "--dry-run"]);
    ran.exits(0).says("plan: send 4 rows (1 Retire, 3 Revoke) to http://127.0.0.1:9/CertificateManagement");
    assert!(!folder.file("list.ledger").exists());
}

#[test]
fn another_manifest_server_or_option_is_refused_with_what_differs() {
    let folder = Folder::new();
    let first = simulator(&[]);
    let second = simulator(&[]);
    folder.write("wave.csv", enrollments(3));
    let (server, other) = (first.base_url(), second.base_url());
    folder.run(&["submit", "wave.csv", "--server", &server]).exits(0);
    folder.run(&["submit", "wave.csv", "--server", &other]).exits(2).says("server:");
    folder
        .run(&["submit", "wave.csv", "--server", &server, "--priority", "3"])
        .exits(2)
        .says("priority: (not set) in the ledger, 3 now");
    folder.run(&["submit", "wave.csv", "--server", &server, "--new"]).exits(2).says("--new");
    folder.run(&["submit", "wave.csv", "--simulate", "--ledger", "wave.ledger"]).exits(2).says("server:");
    folder.write("wave.csv", enrollments(4));
    folder.run(&["submit", "wave.csv", "--server", &server]).exits(2).says("manifest:");
    assert_eq!(posts(&first).len(), 3);
    assert!(posts(&second).is_empty());
}

#[test]
fn foreign_and_damaged_ledgers_are_refused() {
    let folder = Folder::new();
    folder.write("wave.csv", enrollments(3));
    folder.write("wave.rehearsal.ledger", "this is a diary, not a database\n".repeat(200));
    folder.run(&["submit", "wave.csv", "--simulate"]).exits(2);
    assert!(folder.read("wave.rehearsal.ledger").starts_with("this is a diary"));
    let words = ["submit", "wave.csv", "--simulate", "--ledger", "own.ledger"];
    folder.run(&words).exits(0);
    let whole = std::fs::read(folder.file("own.ledger")).unwrap();
    std::fs::write(folder.file("own.ledger"), &whole[..whole.len() / 2]).unwrap();
    folder.run(&["status", "own.ledger"]).exits(2);
    folder.run(&["status", "none.ledger"]).exits(2).says("none.ledger");
    folder.run(&["status", "wave.csv"]).exits(2);
}

#[test]
fn a_patience_of_nothing_is_warned_of_at_a_server() {
    let folder = Folder::new();
    folder.write("wave.csv", enrollments(1));
    let words = ["submit", "wave.csv", "--settle", "0s", "--dry-run"];
    let at = |end: &[&str]| folder.run(&[&words[..], end].concat()).exits(0);
    at(&["--server", "cm.contoso.test"]).says("warning: --settle is less than 1 s").says("sent twice");
    assert!(!at(&["--simulate"]).stderr.contains("warning"));
}

#[test]
fn a_fault_in_json_says_null_of_what_nobody_counted() {
    let folder = Folder::new();
    let json = folder.run(&["status", "none.ledger", "--json"]).exits(2).json();
    assert!(json["rows"].is_null() && json["created"].is_null() && json["in_doubt"].is_null(), "{json}");
    let json = folder.run(&["submit", "wave.csv", "--rate", "fast", "--json"]).exits(2).json();
    assert!(json["rows"].is_null() && json["pending"].is_null(), "{json}");
}

#[test]
fn the_name_of_a_file_cannot_steer_the_terminal() {
    let folder = Folder::new();
    let name = "w\u{1b}]0;x\u{7}\u{9b}31m\u{202e}.csv";
    let ledger = name.replace(".csv", ".rehearsal.ledger");
    folder.write(name, format!("{}E-9,Enroll,{TEMPLATE},nobody,\n", enrollments(2)));
    folder.write("broken\u{1b}\n.csv", "a,b\"c\n");
    let run = |words: &[&str], status: i32| {
        let ran = folder.run(words).exits(status);
        for text in [&ran.stdout, &ran.stderr] {
            let steers = |c: char| (c.is_control() && c != '\n') || c == '\u{202e}';
            assert!(!text.contains(steers), "{words:?}: {text:?}");
        }
        ran
    };
    run(&["validate", name], 3).says("\\u{1b}").says("$'w\\U0000001b");
    run(&["validate", "broken\u{1b}\n.csv"], 3).says("broken\\u{1b}\\n.csv:1:4: ");
    run(&["validate", &format!("--{name}")], 2);
    for end in [&[][..], &["--dry-run"], &["--on-invalid", "skip", "--dry-run"], &["--config", name]] {
        let status = if end.is_empty() || end[0] == "--dry-run" {
            3
        } else if end[0] == "--config" {
            2
        } else {
            1
        };
        run(&[&["submit", name, "--simulate"], end].concat(), status);
    }
    run(&["submit", name, "--simulate", "--on-invalid", "skip"], 1).says("ledger: w\\u{1b}");
    run(&["status", &ledger], 1);
    run(&["export", &ledger, "--output", name, "--force"], 2);
    run(&["export", &ledger, "--output", &format!("{name}.out")], 0).says("written to w\\u{1b}");
    for log in ["text", "json"] {
        run(&["export", name, "--log-format", log], 2);
        run(&["submit", name, "--simulate", "--log-format", log, "--new", "--on-invalid", "skip"], 2);
    }
}

#[test]
fn plain_http_goes_to_this_machine_only() {
    let folder = Folder::new();
    folder.write("wave.csv", enrollments(1));
    folder
        .run(&["submit", "wave.csv", "--server", "http://cm.contoso.test", "--dry-run"])
        .exits(2)
        .says("--allow-http");
    folder.run(&["submit", "wave.csv", "--dry-run"]).exits(2).says("--server");
    folder
        .run(&["submit", "wave.csv", "--server", "cm.contoso.test", "--dry-run"])
        .exits(0)
        .says("https://cm.contoso.test/CertificateManagement");
}

#[test]
fn secrets_are_neither_printed_nor_kept() {
    let folder = Folder::new();
    folder.write("wave.csv", enrollments(2));
    let simulator = simulator(&[]);
    let server = simulator.base_url();
    let secret = "eyJ-this-is-the-secret-token";
    let mut command = folder.command(&["submit", "wave.csv", "--server", &server, "-vv", "--json"]);
    let output = command.env("CMBATCH_TOKEN", secret).output().unwrap();
    assert!(output.status.success());
    let holds = |bytes: &[u8]| bytes.windows(secret.len()).any(|window| window == secret.as_bytes());
    assert!(!holds(&output.stdout) && !holds(&output.stderr));
    assert!(!holds(&std::fs::read(folder.file("wave.ledger")).unwrap()));
    folder.write("token.txt", secret);
    set_mode(&folder.file("token.txt"), 0o644);
    let words = [
        "submit",
        "wave.csv",
        "--server",
        &server,
        "--token-file",
        "token.txt",
        "--ledger",
        "b.ledger",
        "--already",
        "send",
    ];
    let ran = folder.run(&words).exits(2).says("chmod");
    assert!(!holds(ran.stderr.as_bytes()));
    set_mode(&folder.file("token.txt"), 0o600);
    folder.run(&words).exits(0);
}

fn set_mode(path: &std::path::Path, mode: u32) {
    use std::os::unix::fs::PermissionsExt;
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).unwrap();
}

#[test]
fn files_that_hold_who_gets_what_are_private() {
    use std::os::unix::fs::PermissionsExt;
    let folder = Folder::new();
    folder.write("wave.csv", format!("{}E-9,Enroll,{TEMPLATE},nobody,\n", enrollments(2)));
    let words = [
        "submit",
        "wave.csv",
        "--simulate",
        "--on-invalid",
        "skip",
        "--rejects",
        "rejects.csv",
        "--errors",
        "errors.csv",
    ];
    folder.run(&words).exits(1);
    folder.run(&["export", "wave.rehearsal.ledger", "--output", "out.csv"]).exits(0);
    for name in ["wave.rehearsal.ledger", "rejects.csv", "errors.csv", "out.csv"] {
        let mode = std::fs::metadata(folder.file(name)).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600, "{name}");
    }
    folder.run(&["export", "wave.rehearsal.ledger", "--output", "out.csv"]).exits(2).says("--force");
    folder.run(&["export", "wave.rehearsal.ledger", "--output", "out.csv", "--force"]).exits(0);
    folder.run(&["export", "wave.rehearsal.ledger", "--output", "wave.rehearsal.ledger", "--force"]).exits(2);
    folder.run(&["validate", "wave.csv", "--errors", "wave.csv", "--force"]).exits(2);
}

/// Ends a run of so many rows in its middle, as a crash would; gives the command that goes on.
fn killed_midway(folder: &Folder, server: &str, n_posts: impl Fn() -> usize) -> Vec<String> {
    folder.write("wave.csv", enrollments(200));
    let words = ["submit", "wave.csv", "--server", server, "--rate", "50/s"];
    let mut run = folder.start(&words);
    wait_until(|| n_posts() >= 20);
    run.kill().unwrap();
    run.wait().unwrap();
    words.map(str::to_owned).into()
}

#[test]
fn a_refused_or_dry_run_leaves_the_ledger_as_it_is() {
    let folder = Folder::new();
    let simulator = simulator(&[]);
    let server = simulator.base_url();
    killed_midway(&folder, &server, || posts(&simulator).len());
    folder.write("other.csv", enrollments(3));
    let sessions = || {
        let json = folder.run(&["status", "wave.ledger", "--json"]).exits(1).json();
        json["next"].as_str().unwrap().to_owned()
    };
    let next = sessions();
    assert!(next.contains("submit wave.csv"), "{next}");
    folder.run(&["submit", "other.csv", "--server", &server, "--ledger", "wave.ledger"]).exits(2);
    folder.run(&["submit", "wave.csv", "--server", &server, "--dry-run"]).exits(0);
    assert_eq!(sessions(), next);
}

#[test]
fn rejects_are_written_once_and_the_same_command_goes_on() {
    let folder = Folder::new();
    folder.write("wave.csv", format!("{}E-9,Enroll,{TEMPLATE},nobody,\n", enrollments(2)));
    let words = ["submit", "wave.csv", "--simulate", "--on-invalid", "skip", "--rejects", "rejects.csv"];
    let mut dry = words.to_vec();
    dry.push("--dry-run");
    folder.run(&dry).exits(1);
    assert!(!folder.file("rejects.csv").exists());
    folder.run(&words).exits(1);
    assert!(folder.file("rejects.csv").exists());
    folder.run(&words).exits(1).says("nothing is left to send");
}

#[test]
fn outputs_replace_neither_devices_nor_each_other() {
    let folder = Folder::new();
    folder.write("wave.csv", "type\nEnrol\n");
    folder.run(&["validate", "wave.csv", "--errors", "/dev/null", "--force"]).exits(2).says("no file");
    folder.run(&["validate", "wave.csv", "--errors", "x.csv", "--rejects", "x.csv"]).exits(2).says("the same file");
    folder.run(&["validate", "/dev/zero"]).exits(2).says("device");
    folder.write("cmbatch.toml", format!("[templates]\ncard = \"{TEMPLATE}\"\nCard = \"{}\"\n", guid(1)));
    folder.run(&["validate", "wave.csv"]).exits(2).says("differ in case alone");
}

#[test]
fn a_second_process_is_told_who_holds_the_ledger() {
    let folder = Folder::new();
    folder.write("wave.csv", enrollments(500));
    let simulator = simulator(&[]);
    let server = simulator.base_url();
    let words = ["submit", "wave.csv", "--server", &server, "--rate", "20/s"];
    let mut first = folder.start(&words);
    wait_until(|| !posts(&simulator).is_empty());
    let pid = first.id().to_string();
    folder.run(&words).exits(8).says(&pid);
    let status = folder.run(&["status", "wave.ledger", "--json"]).exits(1);
    assert_eq!(status.json()["rows"], 500);
    first.kill().unwrap();
    first.wait().unwrap();
}

#[test]
fn a_found_configuration_file_sets_no_credentials() {
    let folder = Folder::new();
    folder.write("wave.csv", enrollments(1));
    folder.write("cmbatch.toml", "token-file = \"token.txt\"\n");
    folder.run(&["submit", "wave.csv", "--simulate"]).exits(2).says("token-file");
    folder.write("cmbatch.toml", "rate = \"500/s\"\n[templates]\ncard = \"a039b4d0-5ce8-4eff-8651-181c6576fda3\"\n");
    folder.run(&["submit", "wave.csv", "--simulate", "--template", "card"]).exits(0).says("rate: 500/s");
    set_mode(&folder.file("cmbatch.toml"), 0o666);
    folder.run(&["submit", "wave.csv", "--simulate"]).exits(2).says("chmod go-w");
}
