//! Signing in with NTLM, and with a password: Apache with gss-ntlmssp, the simulator behind it.

use std::io::{BufRead, BufReader, Write};
use std::net::TcpListener;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};

use crate::common::{Folder, enrollments, wait_until};
use crate::oracle::{assert_kept, rows};
use crate::realm::{ACCOUNT, NTLM_ACCOUNT, NTLM_PROOF, PASSWORD, Realm, go_on_after_kills};

/// Apache ends a connection after so many requests.
const N_ON_A_CONNECTION: usize = 100;

const FAST: [&str; 4] = ["--rate", "unlimited", "--concurrency", "8"];

/// Returns a run of `wave.csv` that signs in with a password.
fn submit(folder: &Folder, realm: &Realm, server: &str, auth: &str, account: &str, password: &Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_cmbatch"));
    command
        .current_dir(folder.path())
        .envs(folder.host())
        .args(["submit", "wave.csv", "--server", server, "--auth", auth]);
    command.args(["--principal", account, "--already", "send", "--password-file"]).arg(password);
    command.env("KRB5_CONFIG", realm.file("krb5.conf")).env_remove("KRB5CCNAME").env_remove("KRB5_CLIENT_KTNAME");
    command
}

fn said(command: &mut Command) -> (Option<i32>, String) {
    let output = command.output().unwrap();
    (output.status.code(), String::from_utf8_lossy(&output.stderr).into_owned())
}

#[test]
fn each_connection_signs_in_once_and_every_row_is_created_once() {
    let realm = Realm::start();
    let password = realm.password_file(PASSWORD);
    let authority = realm.file("tls.crt").display().to_string();
    for (server, more) in [
        (realm.server("nego"), vec![]),
        (realm.server("ntlm"), vec![]),
        (realm.tls_server("nego"), vec!["--ca-file", &authority]),
    ] {
        let folder = Folder::new();
        folder.write("wave.csv", enrollments(2_000));
        let (n_before, (logons_before, _)) = (realm.seen().len(), realm.ntlm_logons());
        let mut command = submit(&folder, &realm, &server, "ntlm", NTLM_ACCOUNT, &password);
        let (exit, text) = said(command.args(FAST).args(more));
        assert_eq!(exit, Some(0), "{text}");
        assert!(text.contains(&format!("as {NTLM_ACCOUNT} (NTLM)")), "{text}");
        let rows = rows(&folder, "wave.ledger");
        assert_kept(&rows, &realm.seen()[n_before..], 2_000);
        assert!(rows.iter().all(|row| row.state == "created"));
        // No message of NTLM is an attempt.
        let export = folder.run(&["export", "wave.ledger", "--format", "jsonl"]).exits(0).stdout;
        assert!(export.lines().all(|line| line.contains("\"attempts\":1,")), "{}", export.lines().next().unwrap());
        // The first look at the server, eight workers, and as many again as connections end.
        let (logons, refused) = realm.ntlm_logons();
        let n = logons - logons_before;
        assert!(refused == 0 && n <= 2 * 8 + 2 * 2_000 / N_ON_A_CONNECTION, "{n} logons, {refused} refused");
    }
    // What creates goes with no token, on a connection that is signed in; the password's proof goes once for each.
    let access = realm.access();
    assert!(!access.iter().any(|line| line.starts_with("401") && line.ends_with("POST")));
    assert!(!access.iter().any(|line| line.contains("TlRMTVNTUAA") && line.ends_with("POST")));
    let mut proofs: Vec<&str> =
        access.iter().filter_map(|line| line.split_once(NTLM_PROOF)).map(|pair| pair.1).collect();
    let n = proofs.len();
    proofs.sort_unstable();
    proofs.dedup();
    assert_eq!(proofs.len(), n);
}

#[test]
fn a_connection_that_was_idle_for_long_is_signed_in_before_it_creates() {
    let realm = Realm::start();
    let password = realm.password_file(PASSWORD);
    let folder = Folder::new();
    folder.write("wave.csv", enrollments(4));
    // The connection's idle time is 3 s.
    let mut command = submit(&folder, &realm, &realm.server("ntlm"), "ntlm", NTLM_ACCOUNT, &password);
    let (exit, text) = said(command.args(["--rate", "17/m", "--burst", "1", "--concurrency", "1"]));
    assert_eq!(exit, Some(0), "{text}");
    assert_eq!(realm.seen().len(), 4);
    let access = realm.access();
    assert!(!access.iter().any(|line| line.starts_with("401") && line.ends_with("POST")), "{access:?}");
    assert!(realm.ntlm_logons().0 >= 4);
}

#[test]
fn a_wrong_password_is_offered_twice_at_most_and_nothing_is_claimed() {
    let realm = Realm::start();
    let wrong = realm.password_file("wrong");
    for place in ["nego", "ntlm"] {
        let folder = Folder::new();
        folder.write("wave.csv", enrollments(500));
        let (_, before) = realm.ntlm_logons();
        let mut command = submit(&folder, &realm, &realm.server(place), "ntlm", NTLM_ACCOUNT, &wrong);
        let (exit, text) = said(command.args(["--concurrency", "64"]));
        assert_eq!(exit, Some(5), "{text}");
        assert!(text.contains("check --principal and the password"), "{text}");
        assert!(!folder.file("wave.ledger").exists(), "{text}");
        let (_, refused) = realm.ntlm_logons();
        assert!((1..=2).contains(&(refused - before)), "{} bad logons", refused - before);
    }
    assert_eq!(realm.seen().len(), 0);
}

#[test]
fn a_password_that_is_changed_during_a_run_locks_no_account() {
    let realm = Realm::start();
    let password = realm.password_file(PASSWORD);
    let folder = Folder::new();
    folder.write("wave.csv", enrollments(20_000));
    let mut command = submit(&folder, &realm, &realm.server("ntlm"), "ntlm", NTLM_ACCOUNT, &password);
    let child = command.args(["--concurrency", "64", "--rate", "1000/s"]).stderr(Stdio::piped()).spawn().unwrap();
    wait_until(|| realm.seen().len() > 500);
    realm.change_ntlm_password();
    // Apache ends each connection sooner or later, and none can sign in again.
    let output = child.wait_with_output().unwrap();
    let text = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(5), "{text}");
    assert!(text.contains("so that the account is not locked"), "{text}");
    let (_, refused) = realm.ntlm_logons();
    assert!((1..=2).contains(&refused), "{refused} bad logons");
    let (kept, n_seen) = (rows(&folder, "wave.ledger"), realm.seen().len());
    assert_kept(&kept, &realm.seen(), 20_000);
    assert!(kept.iter().all(|row| row.state == "created" || row.state == "pending"));
    assert!((500..20_000).contains(&n_seen), "{n_seen} rows");
}

/// A server's second message of NTLM.
const CHALLENGE: &str = "TlRMTVNTUAACAAAADgAOADgAAAAFgoniAQIDBAUGBwgAAAAAAAAAACAAIABGAAAACgBhSgAAAA9DAE8ATgBUAE8AUw\
    BPAAIADgBDAE8ATgBUAE8AUwBPAAEABgBTAFIAVgAAAAAA";

/// Answers the first messages of NTLM, and each proof with these bytes, behind which the connection ends; counts the proofs.
fn answer_proofs(answer: &'static str) -> (u16, Arc<AtomicUsize>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let (port, n_proofs) = (listener.local_addr().unwrap().port(), Arc::new(AtomicUsize::new(0)));
    let counted = Arc::clone(&n_proofs);
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let (mut stream, counted) = (stream.unwrap(), Arc::clone(&counted));
            std::thread::spawn(move || {
                let mut lines = BufReader::new(stream.try_clone().unwrap()).lines();
                let mut says = String::new();
                while let Some(Ok(line)) = lines.next() {
                    if line.to_ascii_lowercase().starts_with("authorization:") {
                        says = line;
                    } else if line.is_empty() && says.contains(NTLM_PROOF) {
                        counted.fetch_add(1, SeqCst);
                        let _ = stream.write_all(answer.as_bytes());
                        return;
                    } else if line.is_empty() {
                        let with = if says.is_empty() { String::new() } else { format!(" {CHALLENGE}") };
                        says.clear();
                        let head = "HTTP/1.1 401 Unauthorized\r\nContent-Length: 0\r\nWWW-Authenticate: Negotiate";
                        if stream.write_all(format!("{head}{with}\r\n\r\n").as_bytes()).is_err() {
                            return;
                        }
                    }
                }
            });
        }
    });
    (port, n_proofs)
}

#[test]
fn a_password_whose_fate_nobody_tells_is_not_offered_again_and_again() {
    let realm = Realm::start();
    let password = realm.password_file(PASSWORD);
    for answer in ["", "HTTP/1.1 502 Bad Gateway\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"] {
        let (port, n_proofs) = answer_proofs(answer);
        let folder = Folder::new();
        folder.write("wave.csv", enrollments(300));
        let server = format!("http://127.0.0.1:{port}/CertificateManagement");
        let mut command = submit(&folder, &realm, &server, "ntlm", NTLM_ACCOUNT, &password);
        let (exit, text) = said(command.args(["--concurrency", "64", "--rate", "unlimited"]));
        assert!(matches!(exit, Some(4 | 5)), "{text}");
        assert!(n_proofs.load(SeqCst) <= 2, "{text}");
        assert!(!folder.file("wave.ledger").exists(), "nothing was sent: {text}");
    }
}

#[test]
fn a_run_that_is_killed_signs_in_again_and_goes_on() {
    let realm = Realm::start();
    let password = realm.password_file(PASSWORD);
    go_on_after_kills(&realm, |folder| submit(folder, &realm, &realm.server("nego"), "ntlm", NTLM_ACCOUNT, &password));
}

#[test]
fn negotiate_takes_kerberos_where_it_can_and_says_which_it_got() {
    let mut realm = Realm::start();
    let password = realm.password_file(PASSWORD);
    let run = |realm: &Realm, place: &str, account: &str, password: &Path| {
        let folder = Folder::new();
        folder.write("wave.csv", enrollments(300));
        let n_before = realm.seen().len();
        let mut command = submit(&folder, realm, &realm.server(place), "negotiate", account, password);
        let (exit, text) = said(command.args(FAST));
        if exit == Some(0) {
            assert_kept(&rows(&folder, "wave.ledger"), &realm.seen()[n_before..], 300);
        }
        (exit, text)
    };
    let principal = format!("{ACCOUNT}@CONTOSO.TEST");
    for place in ["krb", "nego"] {
        let (exit, text) = run(&realm, place, &principal, &password);
        assert_eq!(exit, Some(0), "{text}");
        assert!(text.contains(&format!("as {principal} (Kerberos)")), "{text}");
    }
    assert_eq!(realm.ntlm_logons(), (0, 0));
    // Kerberos knows no names of this form.
    let (exit, text) = run(&realm, "nego", NTLM_ACCOUNT, &password);
    assert_eq!(exit, Some(0), "{text}");
    assert!(text.contains(&format!("as {NTLM_ACCOUNT} (NTLM)")), "{text}");

    // A password that the KDC refuses is not tried elsewhere.
    let (logons_before, _) = realm.ntlm_logons();
    let wrong = realm.password_file("wrong");
    let (exit, text) = run(&realm, "nego", &principal, &wrong);
    assert_eq!(exit, Some(5), "{text}");
    assert!(text.contains("check --principal and the password"), "{text}");
    assert!((1..=2).contains(&realm.n_bad_logons()), "{} bad logons", realm.n_bad_logons());
    assert_eq!(realm.ntlm_logons().0, logons_before);

    // Without a KDC it is NTLM.
    realm.kill_kdc();
    let password = realm.password_file(PASSWORD);
    let (exit, text) = run(&realm, "nego", "ntlm-user@CONTOSO", &password);
    assert_eq!(exit, Some(0), "{text}");
    assert!(text.contains(&format!("as {NTLM_ACCOUNT} (NTLM instead of Kerberos)")), "{text}");
    // And where that does not do either, both reasons are told.
    let (exit, text) = run(&realm, "krb", "ntlm-user@CONTOSO", &password);
    assert_eq!(exit, Some(5), "{text}");
    assert!(text.contains("does not go on with NTLM") && text.contains("in place of Kerberos for HTTP@"), "{text}");
    assert!(text.contains("Cannot"), "{text}");
}

#[test]
fn what_is_not_installed_or_not_offered_is_said() {
    let realm = Realm::start();
    let password = realm.password_file(PASSWORD);
    let folder = Folder::new();
    folder.write("wave.csv", enrollments(10));
    let mut command = submit(&folder, &realm, &realm.server("ntlm"), "ntlm", NTLM_ACCOUNT, &password);
    // The library's list of mechanisms is an empty file's.
    let (exit, text) = said(command.env("GSS_MECH_CONFIG", "/dev/null"));
    assert_eq!(exit, Some(5), "{text}");
    assert!(text.contains("Debian: gss-ntlmssp"), "{text}");

    let (exit, text) = said(&mut submit(&folder, &realm, &realm.server("krb"), "ntlm", NTLM_ACCOUNT, &password));
    assert_eq!(exit, Some(5), "{text}");
    assert!(text.contains("does not go on with NTLM"), "{text}");

    let (exit, text) = said(&mut submit(&folder, &realm, &realm.backend(), "ntlm", NTLM_ACCOUNT, &password));
    assert_eq!(exit, Some(5), "{text}");
    assert!(text.contains("asks for no sign-in"), "{text}");
    assert!(!folder.file("wave.ledger").exists());
    assert_eq!(realm.seen().len(), 0);
}
