//! Signing in with Kerberos: MIT's KDC, Apache with mod_auth_gssapi, the simulator behind it.

use std::process::{Command, Stdio};
use std::time::Duration;

use crate::common::{Folder, enrollments, wait_until};
use crate::oracle::{Row, assert_kept, rows};
use crate::realm::{ACCOUNT, KEYTAB, Realm, SHORT, SHORT_KEYTAB, STALE, STALE_KEYTAB, go_on_after_kills};

/// How many rows; each run asks for tickets thousands of times, or signs in a few connections.
const N_ROWS: u32 = 2_000;

/// Returns a run of `wave.csv` that signs in with Kerberos.
fn negotiate(folder: &Folder, realm: &Realm, server: &str) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_cmbatch"));
    command.current_dir(folder.path()).envs(folder.host()).args([
        "submit",
        "wave.csv",
        "--server",
        server,
        "--auth",
        "negotiate",
    ]);
    command.env("KRB5_CONFIG", realm.file("krb5.conf")).env_remove("KRB5CCNAME").env_remove("KRB5_CLIENT_KTNAME");
    command
}

/// Returns one that signs in with this keytab.
fn submit(folder: &Folder, realm: &Realm, server: &str, keytab: &str) -> Command {
    let mut command = negotiate(folder, realm, server);
    command.arg("--keytab").arg(realm.file(keytab)).args(["--concurrency", "8"]);
    command
}

fn said(command: &mut Command) -> (Option<i32>, String) {
    let output = command.output().unwrap();
    (output.status.code(), String::from_utf8_lossy(&output.stderr).into_owned())
}

/// Sends the rows, and returns them; exactly once is asserted.
fn send(realm: &Realm, server: &str, more: &[&str]) -> Vec<Row> {
    let folder = Folder::new();
    folder.write("wave.csv", enrollments(N_ROWS));
    let n_before = realm.seen().len();
    let (exit, text) = said(submit(&folder, realm, server, KEYTAB).args(["--rate", "unlimited"]).args(more));
    assert_eq!(exit, Some(0), "{text}");
    assert!(text.contains(&format!("as {ACCOUNT}@CONTOSO.TEST (Kerberos)")), "{text}");
    let rows = rows(&folder, "wave.ledger");
    assert_kept(&rows, &realm.seen()[n_before..], N_ROWS as usize);
    assert!(rows.iter().all(|row| row.state == "created"));
    // Whose ticket it was is kept for whoever asks later.
    let status = folder.run(&["status", "wave.ledger"]).exits(0).stdout;
    assert!(status.contains(&format!("calls as {ACCOUNT}@CONTOSO.TEST (Kerberos)")), "{status}");
    // The challenge is no attempt.
    let export = folder.run(&["export", "wave.ledger", "--format", "jsonl"]).exits(0).stdout;
    assert!(export.lines().all(|line| line.contains("\"attempts\":1,")), "{}", export.lines().next().unwrap());
    rows
}

fn n_tokens(access: &[String]) -> usize {
    access.iter().filter(|line| line.contains("Negotiate")).count()
}

#[test]
fn a_server_that_asks_for_a_ticket_with_every_request_gets_one() {
    let realm = Realm::start();
    send(&realm, &realm.server("krb"), &[]);
    let access = realm.access();
    assert!(n_tokens(&access) >= N_ROWS as usize);
    // Once for each connection that tried whether it stays signed in.
    let n_refused = access.iter().filter(|line| line.starts_with("401")).count();
    assert!(n_refused <= 8, "{n_refused} challenges");
    // No token is used twice, and none stands anywhere but on the wire.
    let mut tokens: Vec<&str> =
        access.iter().filter_map(|line| line.split_once("Negotiate ")).map(|pair| pair.1).collect();
    let n = tokens.len();
    tokens.sort_unstable();
    tokens.dedup();
    assert_eq!(tokens.len(), n);

    let folder = Folder::new();
    folder.write("wave.csv", enrollments(30));
    let mut command = submit(&folder, &realm, &realm.server("krbconn"), KEYTAB);
    let (exit, text) = said(command.args(["-vvv", "--already", "send"]));
    assert_eq!(exit, Some(0), "{text}");
    let ledger = std::fs::read(folder.file("wave.ledger")).unwrap();
    for kept in [text.as_bytes(), &ledger] {
        for token in realm.access().iter().filter_map(|line| line.split_once("Negotiate ")) {
            assert!(memchr::memmem::find(kept, &token.1.as_bytes()[..60]).is_none(), "a token is kept");
        }
    }
}

#[test]
fn a_connection_that_stays_signed_in_gets_one_ticket() {
    let realm = Realm::start();
    send(&realm, &realm.server("krbconn"), &[]);
    // Apache ends a connection after a hundred requests; the next one is signed in anew, and no row notices.
    let n = n_tokens(&realm.access());
    assert!((20..=80).contains(&n), "{n} tokens");
    // No create request goes as nobody's.
    assert!(!realm.access().iter().any(|line| line.starts_with("401") && line.ends_with("POST")));
}

#[test]
fn over_tls_tokens_are_bound_to_the_channel() {
    for place in ["krb", "krbconn"] {
        let realm = Realm::start();
        let authority = realm.file("tls.crt").display().to_string();
        send(&realm, &realm.tls_server(place), &["--ca-file", &authority]);
    }
}

#[test]
fn a_principal_a_service_name_and_a_ticket_of_kinit_can_be_given() {
    let realm = Realm::start();
    let server = realm.server("krbconn");
    send(&realm, &server, &["--principal", "svc-cmbatch@CONTOSO.TEST", "--spn", "HTTP/localhost"]);

    let realm = Realm::start();
    let server = realm.server("krbconn");
    let folder = Folder::new();
    folder.write("wave.csv", enrollments(20));
    let cache = realm.kinit("1h");
    let (exit, text) = said(negotiate(&folder, &realm, &server).env("KRB5CCNAME", &cache));
    assert_eq!(exit, Some(0), "{text}");
}

#[test]
fn a_run_that_is_longer_than_its_ticket_goes_on() {
    let realm = Realm::start();
    let folder = Folder::new();
    folder.write("wave.csv", enrollments(1_200));
    let mut command = submit(&folder, &realm, &realm.server("krb"), SHORT_KEYTAB);
    let begin = std::time::Instant::now();
    let (exit, text) = said(command.args(["--rate", "10/s", "--principal", SHORT]));
    assert_eq!(exit, Some(0), "{text}");
    assert!(begin.elapsed() > Duration::from_secs(100), "two tickets' time");
    let rows = rows(&folder, "wave.ledger");
    assert_kept(&rows, &realm.seen(), 1_200);
    assert!(rows.iter().all(|row| row.state == "created"));
}

/// Runs what cannot sign in: nothing is made and nothing is sent.
fn refused(realm: &Realm, keytab: &str, more: &[&str]) -> String {
    let folder = Folder::new();
    folder.write("wave.csv", enrollments(100));
    let n_before = realm.access().len();
    let server = realm.server("krb");
    let mut command = negotiate(&folder, realm, &server);
    command.arg("--keytab").arg(realm.file(keytab)).args(["--concurrency", "64"]);
    let (exit, text) = said(command.args(more));
    assert_eq!(exit, Some(5), "{text}");
    assert!(!folder.file("wave.ledger").exists(), "{text}");
    assert_eq!(realm.access().len(), n_before, "{text}");
    text
}

#[test]
fn what_cannot_sign_in_claims_nothing_and_says_what_to_do() {
    let mut realm = Realm::start();
    let text = refused(&realm, STALE_KEYTAB, &["--principal", STALE]);
    assert!(text.contains("Preauthentication failed") && text.contains("write a new keytab"), "{text}");
    assert!((1..=2).contains(&realm.n_bad_logons()), "{} bad logons", realm.n_bad_logons());

    // One that the environment names is no other.
    let folder = Folder::new();
    folder.write("wave.csv", enrollments(100));
    let mut command = negotiate(&folder, &realm, &realm.server("krb"));
    command.env("KRB5_CLIENT_KTNAME", format!("FILE:{}", realm.file(STALE_KEYTAB).display()));
    let n_before = realm.n_bad_logons();
    let (exit, text) = said(command.args(["--principal", STALE]));
    assert_eq!(exit, Some(5), "{text}");
    assert!((1..=2).contains(&(realm.n_bad_logons() - n_before)), "{} bad logons", realm.n_bad_logons());
    let mut command = negotiate(&folder, &realm, &realm.server("krb"));
    let (exit, text) = said(command.env("KRB5_CLIENT_KTNAME", realm.file(KEYTAB)));
    assert_eq!(exit, Some(0), "{text}");

    let text = refused(&realm, "missing.keytab", &[]);
    assert!(text.contains("missing.keytab\" cannot be read"), "{text}");
    let text = refused(&realm, KEYTAB, &["--principal", "svc-nobody"]);
    assert!(text.contains("has no key for this account"), "{text}");

    realm.kill_kdc();
    let text = refused(&realm, KEYTAB, &[]);
    assert!(text.contains("no domain controller answers"), "{text}");
}

#[test]
fn a_service_that_the_realm_does_not_know_stops_the_run_before_it_claims() {
    let realm = Realm::start();
    let folder = Folder::new();
    folder.write("wave.csv", enrollments(100));
    let mut command = submit(&folder, &realm, &realm.server("krb"), KEYTAB);
    let (exit, text) = said(command.args(["--spn", "HTTP/cm.contoso.test"]));
    assert_eq!(exit, Some(5), "{text}");
    assert!(text.contains("no account has this service name") && text.contains("--spn"), "{text}");
    assert!(!folder.file("wave.ledger").exists(), "{text}");
    assert_eq!(realm.seen().len(), 0);
}

#[test]
fn a_kdc_that_dies_does_not_stop_a_run_whose_tickets_are_good() {
    let mut realm = Realm::start();
    let folder = Folder::new();
    folder.write("wave.csv", enrollments(400));
    let mut command = submit(&folder, &realm, &realm.server("krb"), KEYTAB);
    let mut child = command.args(["--rate", "100/s"]).spawn().unwrap();
    wait_until(|| realm.seen().len() > 20);
    realm.kill_kdc();
    assert_eq!(child.wait().unwrap().code(), Some(0));
    assert_kept(&rows(&folder, "wave.ledger"), &realm.seen(), 400);
}

#[test]
fn the_doctor_tells_whose_ticket_it_is_and_why_there_is_none() {
    let realm = Realm::start();
    let doctor = |place: &str, more: &[&str]| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_cmbatch"));
        command.args(["doctor", "--server", &realm.server(place), "--auth", "negotiate"]).args(more);
        let output = command.env("KRB5_CONFIG", realm.file("krb5.conf")).output().unwrap();
        (output.status.code(), String::from_utf8(output.stdout).unwrap())
    };
    let keytab = |name: &str| realm.file(name).display().to_string();
    for place in ["krb", "krbconn"] {
        let (exit, said) = doctor(place, &["--keytab", &keytab(KEYTAB)]);
        assert_eq!(exit, Some(0), "{said}");
        assert!(said.contains("svc-cmbatch@CONTOSO.TEST (Kerberos) for HTTP@localhost, good"), "{said}");
    }
    let (exit, said) = doctor("krb", &["--keytab", &keytab(STALE_KEYTAB), "--principal", STALE]);
    assert_eq!(exit, Some(5), "{said}");
    assert!(said.contains("fault ticket"), "{said}");
}

#[test]
fn a_run_that_is_killed_while_it_signs_in_goes_on() {
    let realm = Realm::start();
    go_on_after_kills(&realm, |folder| submit(folder, &realm, &realm.server("krbconn"), KEYTAB));
}

#[test]
fn a_password_that_is_changed_during_a_run_locks_no_account() {
    let realm = Realm::start();
    let folder = Folder::new();
    folder.write("wave.csv", enrollments(3_000));
    let mut command = negotiate(&folder, &realm, &realm.server("krb"));
    command.arg("--keytab").arg(realm.file(SHORT_KEYTAB)).args(["--principal", SHORT, "--concurrency", "64"]);
    let child = command.args(["--rate", "20/s"]).stderr(Stdio::piped()).spawn().unwrap();
    wait_until(|| realm.seen().len() > 20);
    realm.change_password(SHORT);
    // The ticket is good for a minute, and is used to its end.
    let output = child.wait_with_output().unwrap();
    let text = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(5), "{text}");
    assert!(text.contains("Preauthentication failed") && text.contains("write a new keytab"), "{text}");
    assert!((1..=2).contains(&realm.n_bad_logons()), "{} bad logons", realm.n_bad_logons());
    let rows = rows(&folder, "wave.ledger");
    assert_kept(&rows, &realm.seen(), 3_000);
    assert!(rows.iter().all(|row| row.state == "created" || row.state == "pending"));
    assert!(realm.seen().len() > 600, "{} rows", realm.seen().len());
}
