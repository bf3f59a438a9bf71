//! `cmbatch doctor`: each thing that can be wrong has its line, its exit status and its remedy.

use std::net::{Ipv4Addr, TcpListener};

use crate::chaos::{Chaos, ListAs, Script, Written};
use crate::common::{Folder, posts, simulator};

/// Returns what it says on standard output and at its end.
fn doctor(folder: &Folder, server: &str, more: &[&str]) -> (i32, String, String) {
    let ran = folder.run(&[&["doctor", "--server", server], more].concat());
    (ran.status, ran.stdout, ran.stderr)
}

#[test]
fn a_server_that_can_be_worked_with_is_told_to_be_one() {
    let server = simulator(&[]);
    let folder = Folder::new();
    let (status, said, end) = doctor(&folder, &server.base_url(), &[]);
    assert_eq!(status, 0, "{said}{end}");
    for step in ["connection", "account", "clock", "templates", "requests", "latency", "suggested"] {
        assert!(said.lines().any(|line| line.starts_with("ok") && line.contains(step)), "{step}: {said}");
    }
    assert!(said.lines().all(|line| line.chars().count() <= 80), "{said}");
    assert!(end.contains("can be worked with"), "{end}");
    assert_eq!(posts(&server).len(), 0, "it changes nothing");

    let (status, said, _) = doctor(&folder, &server.base_url(), &["--json", "--quiet"]);
    let object: serde_json::Value = serde_json::from_str(&said).unwrap();
    assert_eq!((status, &object["exit"], &object["checks"][0]["verdict"]), (0, &0.into(), &"ok".into()));
    let (_, said, _) = doctor(&folder, &server.base_url(), &["--quiet"]);
    assert_eq!(said, "");
}

#[test]
fn each_fault_has_its_status_and_says_what_to_do() {
    let folder = Folder::new();
    let server = simulator(&[]);
    let disabled = simulator(&["api-disabled"]);
    let locked = simulator(&["token=secret"]);
    let port = server.base_url().trim_end_matches("/CertificateManagement").rsplit_once(':').unwrap().1.to_owned();
    let free = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap().local_addr().unwrap().port();
    folder.write("ca.pem", "no certificate");
    for (server, more, status, says) in [
        (format!("http://127.0.0.1:{free}"), &[][..], 4, "check the port in --server"),
        ("nonexistent.invalid".to_owned(), &[], 4, "has no address"),
        (format!("https://127.0.0.1:{port}"), &[], 4, "does not speak TLS here"),
        (format!("http://127.0.0.1:{port}/Other"), &[], 6, "Clm.WebApi.Enabled"),
        (disabled.base_url(), &[], 6, "Clm.WebApi.Enabled"),
        (locked.base_url(), &[], 5, "does not take the sign-in (401)"),
        (server.base_url(), &["--ca-file", "ca.pem"], 2, "BEGIN CERTIFICATE"),
        (server.base_url(), &["--proxy", "nonexistent.invalid:8080"], 4, "check --proxy"),
        (server.base_url(), &["--auth", "negotiate", "--keytab", "missing.keytab"], 5, "missing.keytab"),
        (format!("https://127.0.0.1:{port}"), &["--client-cert", "missing.pem"], 2, "missing.pem"),
    ] {
        let (found, said, end) = doctor(&folder, &server, more);
        assert_eq!(found, status, "{server} {more:?}: {said}{end}");
        let said = said.split_whitespace().collect::<Vec<_>>().join(" ");
        assert!(said.contains("fault") && said.contains(says), "{server} {more:?}: {said}");
        assert!(end.contains(says) && end.contains("next: correct that, then: cmbatch doctor"), "{end}");
    }
}

#[test]
fn what_is_given_in_vain_or_gives_a_password_away_is_refused() {
    let folder = Folder::new();
    for (more, says) in [
        (&["--proxy", "http://anna:hunter2@proxy.test:3128"][..], "--proxy-credentials"),
        (&["--proxy", "socks5://proxy.test"], "write the proxy as http://HOST:PORT"),
        (&["--pin", "sha256//47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU="], "--pin has a meaning with https alone"),
        (&["--client-cert", "client.pem"], "--client-cert has a meaning with https alone"),
        (&["--keytab", "svc.keytab"], "--keytab goes with --auth negotiate"),
    ] {
        let (status, said, end) = doctor(&folder, "http://127.0.0.1:1", more);
        assert_eq!(status, 2, "{said}{end}");
        assert!(end.contains(says) && !end.contains("hunter2"), "{end}");
    }
}

/// Returns what it says, in one line, and its exit status.
fn examined(script: Script) -> (i32, String) {
    let server = Chaos::start(script);
    let (status, said, _) = doctor(&Folder::new(), &server.base_url(), &[]);
    (status, said.split_whitespace().collect::<Vec<_>>().join(" "))
}

#[test]
fn answers_are_judged_as_a_run_judges_them() {
    const GOOD: &str = r#"{"Uuid":"3f0c2a10-7b44-4f2e-9a51-0c6d1e2f3a01","RequestType":1,"Status":3}"#;
    const MIXED: &str =
        r#"[{"Uuid":"3f0c2a10-7b44-4f2e-9a51-0c6d1e2f3a01","RequestType":1,"Status":3},{"Comment":"x"}]"#;
    const NAMED: &str =
        r#"[{"Uuid":"3f0c2a10-7b44-4f2e-9a51-0c6d1e2f3a01","RequestType":"Enroll","Status":"Approved"}]"#;
    for (as_what, status, says) in [
        (ListAs::Text("", GOOD), 0, "ok requests the list of requests can be read (1 request in 0.0 s)"),
        (
            ListAs::Text("", MIXED),
            0,
            "note requests the list has 2 requests in 0.0 s, and 1 of them cannot be read (request 2: it has no Uuid)",
        ),
        (ListAs::Text("", NAMED), 0, "1 of them have no number as type or status"),
        (
            ListAs::Text("", r#"[{"Uuid":7}]"#),
            4,
            "fault requests the list has 1 request in 0.0 s, and 1 of them cannot be read",
        ),
        (
            ListAs::Text("Age: 30\r\n", "[]"),
            4,
            "fault requests the list is an old one that something before the server kept (Age: 30)",
        ),
        (
            ListAs::Html,
            4,
            "fault sign-in the server answers with a page for people in place of the API's JSON; the page says: Sign in",
        ),
        (ListAs::CutOffChunked, 4, "fault requests"),
    ] {
        let (found, said) = examined(Script::default().listing(as_what));
        assert_eq!(found, status, "{as_what:?}: {said}");
        assert!(said.contains(says), "{as_what:?}: {said}");
    }
    for (written, status, says) in [
        (Written::Gzip, 0, "ok templates"),
        (Written::Utf16, 0, "ok templates"),
        (
            Written::Brotli,
            4,
            "fault templates the answer cannot be read: it is compressed in a way that is not understood",
        ),
    ] {
        let (found, said) = examined(Script { written, ..Script::default() });
        assert_eq!(found, status, "{written:?}: {said}");
        assert!(said.contains(says), "{written:?}: {said}");
    }
}
