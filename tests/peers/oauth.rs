//! Signing in at a token server: npm's oidc-provider, and a gateway before the simulator that lets in who has a good token.

use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

use crate::common::{Folder, enrollments, wait_until};
use crate::oracle::{assert_kept, rows};
use crate::realm::free_port;
use crate::token_server::{TokenServer, write_private};

/// Returns a run of `wave.csv` with so many rows.
fn submit(folder: &Folder, server: &TokenServer, n_rows: u32) -> Command {
    folder.write("wave.csv", enrollments(n_rows));
    let mut command = Command::new(env!("CARGO_BIN_EXE_cmbatch"));
    command.current_dir(folder.path()).envs(folder.host()).args(["submit", "wave.csv", "--server", &server.api()]);
    command.args(["--concurrency", "16", "--settle", "200ms", "--server-limit", "500ms"]);
    command.env_remove("CMBATCH_CLIENT_SECRET").env_remove("CMBATCH_TOKEN");
    command
}

/// Returns one that asks the token server for its tokens.
fn oauth(folder: &Folder, server: &TokenServer, n_rows: u32, client: &str) -> Command {
    let mut command = submit(folder, server, n_rows);
    command.args(["--auth", "oauth", "--token-url", &server.token_url(), "--client-id", client]);
    command.args(["--resource", &server.api()]);
    command
}

/// Returns one of the client with a secret.
fn with_secret(folder: &Folder, server: &TokenServer, n_rows: u32) -> Command {
    let mut command = oauth(folder, server, n_rows, "cm-secret");
    command.arg("--client-secret-file").arg(server.file("secret.txt"));
    command
}

fn start(command: &mut Command) -> Child {
    command.stderr(Stdio::piped()).spawn().unwrap()
}

fn text(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

/// Asserts that a run ended well, and that each row was created exactly once and sent once.
#[track_caller]
fn assert_done(output: &Output, folder: &Folder, server: &TokenServer, n_rows: u32) {
    let said = text(output);
    assert_eq!(output.status.code(), Some(0), "{said}");
    let rows = rows(folder, "wave.ledger");
    assert_kept(&rows, &server.seen(), n_rows as usize);
    assert!(rows.iter().all(|row| row.state == "created"), "{said}");
    let export = folder.run(&["export", "wave.ledger", "--format", "jsonl"]).exits(0).stdout;
    assert!(export.lines().all(|line| line.contains("\"attempts\":1,")), "a refused token is no attempt");
}

/// Asserts that a run was stopped by its sign-in, and that its rows are as they should be: created once, or pending.
#[track_caller]
fn assert_stopped(output: &Output, folder: &Folder, server: &TokenServer, n_rows: u32) {
    let said = text(output);
    assert_eq!(output.status.code(), Some(5), "{said}");
    let rows = rows(folder, "wave.ledger");
    assert_kept(&rows, &server.seen(), n_rows as usize);
    assert!(rows.iter().all(|row| row.state == "created" || row.state == "pending"), "{said}");
    assert!(rows.iter().any(|row| row.state == "pending"), "{said}");
}

/// Asserts that a run ended before it made or sent anything.
#[track_caller]
fn assert_nothing_made(output: &Output, folder: &Folder, server: &TokenServer) -> String {
    let said = text(output);
    assert_eq!(output.status.code(), Some(5), "{said}");
    assert!(!folder.file("wave.ledger").exists(), "{said}");
    assert_eq!((server.seen().len(), server.refused().len()), (0, 0), "{said}");
    said
}

#[test]
fn a_client_with_a_secret_gets_one_token_for_all_calls() {
    let (server, folder) = (TokenServer::start(600), Folder::new());
    let output = with_secret(&folder, &server, 500).args(["--rate", "unlimited", "-vvv"]).output().unwrap();
    assert_done(&output, &folder, &server, 500);
    assert_eq!(server.token_requests(), ["200 cm-secret"]);
    assert!(server.refused().is_empty());
    let ledger = std::fs::read(folder.file("wave.ledger")).unwrap();
    for kept in [&output.stderr, &output.stdout, &ledger] {
        assert!(memchr::memmem::find(kept, b"horse").is_none(), "the secret is kept");
    }
}

#[test]
fn a_client_with_a_certificate_needs_no_secret() {
    let server = TokenServer::start(600);
    let file = |name: &str| server.file(name).display().to_string();
    for (n, (client, files)) in [
        ("cm-rsa", vec![("cert", "rsa.crt"), ("key", "rsa.key")]),
        ("cm-rsa", vec![("cert", "rsa.p12"), ("password", "password.txt")]),
        ("cm-p256", vec![("cert", "p256.crt"), ("key", "p256.key")]),
    ]
    .into_iter()
    .enumerate()
    {
        let folder = Folder::new();
        let mut command = oauth(&folder, &server, 50, client);
        for (option, name) in files {
            command.args([&format!("--client-assertion-{option}"), &file(name)]);
        }
        let n_before = server.seen().len();
        // The same list goes out once for each.
        let output = command.args(["--rate", "unlimited", "--already", "send"]).output().unwrap();
        assert_eq!(output.status.code(), Some(0), "{client}: {}", text(&output));
        assert_kept(&rows(&folder, "wave.ledger"), &server.seen()[n_before..], 50);
        assert_eq!((server.token_requests().len(), &*server.token_requests()[n]), (n + 1, &*format!("200 {client}")));
    }

    // A certificate that is another client's is refused, and what to look at is said.
    let folder = Folder::new();
    let mut command = oauth(&folder, &server, 50, "cm-p256");
    command.args(["--client-assertion-cert", &file("rsa.crt"), "--client-assertion-key", &file("rsa.key")]);
    let output = command.args(["--already", "send"]).output().unwrap();
    let said = text(&output);
    assert_eq!(output.status.code(), Some(5), "{said}");
    assert!(said.contains("invalid_client") && said.contains("thumbprint"), "{said}");
    assert!(!folder.file("wave.ledger").exists(), "{said}");
}

#[test]
fn a_run_that_is_longer_than_its_tokens_gets_each_once() {
    let (server, folder) = (TokenServer::start(5), Folder::new());
    let begin = Instant::now();
    let output = with_secret(&folder, &server, 750).args(["--rate", "50/s"]).output().unwrap();
    assert_done(&output, &folder, &server, 750);
    assert!(begin.elapsed() > Duration::from_secs(14), "three tokens' time");
    // After 4 s of 5 each is renewed, by one of the calls in flight for all. The server counts whole seconds, so that a call that
    // is slow to arrive may come after its token's end.
    let (n_tokens, n_refused) = (server.token_requests().len() as u64, server.refused().len() as u64);
    assert!((3..=begin.elapsed().as_secs() / 4 + 1 + n_refused).contains(&n_tokens), "{n_tokens} tokens");
    assert!(n_refused < 16, "{n_refused} calls refused");
}

#[test]
fn a_token_that_ends_early_is_renewed_once_for_all_calls_and_no_row_notices() {
    let (server, folder) = (TokenServer::start(600), Folder::new());
    let run = start(with_secret(&folder, &server, 600).args(["--rate", "200/s"]));
    wait_until(|| server.seen().len() > 100);
    server.have_done("revoke");
    let output = run.wait_with_output().unwrap();
    assert_done(&output, &folder, &server, 600);
    assert_eq!(server.token_requests(), ["200 cm-secret"; 2]);
    let n_refused = server.refused().len();
    assert!((1..=16).contains(&n_refused), "{n_refused} calls refused");
}

#[test]
fn a_token_server_that_fails_for_a_while_stops_no_run_whose_token_is_good() {
    let (server, folder) = (TokenServer::start(10), Folder::new());
    let run = start(with_secret(&folder, &server, 600).args(["--rate", "50/s"]));
    wait_until(|| server.seen().len() > 20);
    server.tell("failing");
    wait_until(|| server.token_requests().len() > 1);
    server.untell("failing");
    let output = run.wait_with_output().unwrap();
    assert_done(&output, &folder, &server, 600);
    assert_eq!(server.token_requests()[..3], ["200 cm-secret", "503 cm-secret", "200 cm-secret"]);
}

#[test]
fn a_token_server_that_fails_for_longer_stops_the_run_and_the_next_one_goes_on() {
    let (server, folder) = (TokenServer::start(5), Folder::new());
    let run = start(with_secret(&folder, &server, 600).args(["--rate", "50/s"]));
    wait_until(|| server.seen().len() > 20);
    server.tell("failing");
    let output = run.wait_with_output().unwrap();
    assert_stopped(&output, &folder, &server, 600);
    assert!(text(&output).contains("the token server 127.0.0.1") && text(&output).contains("503"), "{}", text(&output));
    server.untell("failing");
    let output = with_secret(&folder, &server, 600).args(["--rate", "unlimited"]).output().unwrap();
    assert_eq!(output.status.code(), Some(0), "{}", text(&output));
    let rows = rows(&folder, "wave.ledger");
    assert_kept(&rows, &server.seen(), 600);
    assert!(rows.iter().all(|row| row.state == "created"));
}

#[test]
fn without_a_token_nothing_is_made_and_nothing_is_sent() {
    let server = TokenServer::start(600);
    let folder = Folder::new();
    let nobody = format!("http://127.0.0.1:{}/token", free_port());
    let mut command = submit(&folder, &server, 100);
    command.args(["--auth", "oauth", "--client-id", "cm-secret", "--token-url", &nobody]);
    command.env("CMBATCH_CLIENT_SECRET", "x");
    let said = assert_nothing_made(&command.output().unwrap(), &folder, &server);
    assert!(said.contains("the token server 127.0.0.1") && said.contains("refused"), "{said}");

    server.tell("failing");
    let said = assert_nothing_made(&with_secret(&folder, &server, 100).output().unwrap(), &folder, &server);
    assert!(said.contains("503"), "{said}");
    server.untell("failing");

    write_private(&server.file("wrong.txt"), "hunter2\n");
    let mut command = oauth(&folder, &server, 100, "cm-secret");
    let output = command.arg("--client-secret-file").arg(server.file("wrong.txt")).output().unwrap();
    let said = assert_nothing_made(&output, &folder, &server);
    assert!(said.contains("invalid_client") && !said.contains("hunter2"), "{said}");
    // The line is written when the answer is out.
    wait_until(|| server.n_refusals() > 0);
    assert!(server.n_refusals() <= 2, "{:?}", server.token_requests());
}

#[test]
fn a_secret_that_is_changed_during_a_run_is_offered_twice_at_most() {
    let (server, folder) = (TokenServer::start(5), Folder::new());
    let run = start(with_secret(&folder, &server, 1_500).args(["--rate", "50/s"]));
    wait_until(|| server.seen().len() > 20);
    write_private(&server.file("secret.txt"), "hunter2\n");
    let output = run.wait_with_output().unwrap();
    assert_stopped(&output, &folder, &server, 1_500);
    assert!(text(&output).contains("invalid_client"), "{}", text(&output));
    wait_until(|| server.n_refusals() > 0);
    assert!(server.n_refusals() <= 2, "{:?}", server.token_requests());
}

#[test]
fn a_token_file_that_a_sidecar_rewrites_is_followed_without_a_refusal() {
    let (server, folder) = (TokenServer::start(5), Folder::new());
    let mut command = submit(&folder, &server, 600);
    let output = command.arg("--token-file").arg(server.file("token.txt")).args(["--rate", "50/s"]).output().unwrap();
    assert_done(&output, &folder, &server, 600);
    assert!(server.refused().is_empty(), "{:?}", server.refused());
}

#[test]
fn a_session_that_ends_stops_the_run_and_another_one_goes_on() {
    let (server, folder) = (TokenServer::start(600), Folder::new());
    let command = |rate: &str| {
        let mut command = submit(&folder, &server, 600);
        command.args(["--auth", "cookie", "--cookie-file"]).arg(server.file("cookies.txt")).args(["--rate", rate]);
        command
    };
    let run = start(&mut command("200/s"));
    wait_until(|| server.seen().len() > 100);
    server.have_done("revoke");
    let output = run.wait_with_output().unwrap();
    let said = text(&output);
    assert_eq!(output.status.code(), Some(5), "{said}");
    assert!(said.contains("cookies.txt") && said.contains("/adfs/ls/ (302)"), "{said}");
    let kept = rows(&folder, "wave.ledger");
    assert_kept(&kept, &server.seen(), 600);
    let n_in_doubt = kept.iter().filter(|row| row.state == "in_doubt").count();
    assert!((1..=16).contains(&n_in_doubt), "{n_in_doubt} rows in doubt");

    // With the session that is over nothing is claimed.
    let n_before = server.refused().len();
    let output = command("200/s").output().unwrap();
    assert_eq!((output.status.code(), server.refused().len()), (Some(5), n_before + 1), "{}", text(&output));

    server.have_done("session.new");
    let output = command("unlimited").output().unwrap();
    assert_eq!(output.status.code(), Some(0), "{}", text(&output));
    let kept = rows(&folder, "wave.ledger");
    assert_kept(&kept, &server.seen(), 600);
    assert!(kept.iter().all(|row| row.state == "created"));
}
