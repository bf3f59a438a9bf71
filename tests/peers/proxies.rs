//! Calls through forward proxies: who is let through, what is said to whom is not, and proxies that go away.

use std::path::PathBuf;
use std::process::{Command, Stdio};

use cmbatch::simulator::Simulator;

use crate::common::{Folder, Ran, enrollments, posts, simulator, wait_until};
use crate::forward_proxy::{CREDENTIALS, ForwardProxy, IN_BASE64, Kind, knowing_the_server};
use crate::oracle::{Row, Seen, assert_kept, rows};
use crate::realm::{ACCOUNT, KEYTAB, NTLM_ACCOUNT, PASSWORD, Realm, free_port};
use crate::tls_front::{Clients, Front, make_certificates, private, start_nginx};

const N_ROWS: u32 = 200;

/// tinyproxy ends each connection behind its answer and does not say so: a call that just then takes one up is in doubt.
const FAST: [&str; 8] = ["--rate", "unlimited", "--concurrency", "8", "--settle", "200ms", "--server-limit", "500ms"];

/// A simulator with nginx before it, and the folder of a run.
struct Site {
    folder: Folder,
    server: Simulator,
    front: Front,
}

impl Site {
    fn start(faults: &[&str], n_rows: u32) -> Self {
        let (folder, server) = (Folder::new(), simulator(faults));
        make_certificates(&folder);
        let front = start_nginx(&folder, &server.base_url(), Clients::AreAnybody);
        folder.write("wave.csv", enrollments(n_rows));
        folder.write("proxy.txt", format!("{CREDENTIALS}\n"));
        folder.write("wrong.txt", "anna:wrong\n");
        ["proxy.txt", "wrong.txt"].iter().for_each(|name| private(&folder, name));
        Self { folder, server, front }
    }

    /// Returns the server's addresses without and with TLS, and with what requests to either begin at a proxy.
    fn addresses(&self) -> [(String, &'static str); 2] {
        [(self.server.base_url(), "POST "), (format!("https://localhost:{}", self.front.port), "CONNECT ")]
    }

    fn words<'w>(url: &'w str, proxy: &'w str, more: &[&'w str]) -> Vec<&'w str> {
        let words = ["submit", "wave.csv", "--server", url, "--ca-file", "ca.pem", "--proxy", proxy];
        [&words, more].concat()
    }

    /// Submits; `--ledger` has to be among the words where several runs are made.
    fn submit(&self, url: &str, proxy: &str, more: &[&str]) -> Ran {
        self.folder.run(&Self::words(url, proxy, more))
    }

    fn seen(&self) -> Vec<Seen> {
        let seen = |arrival: &cmbatch::simulator::Arrival| {
            Seen::new(&serde_json::from_slice(&arrival.body).unwrap(), arrival.created.map(|uuid| uuid.to_string()))
        };
        posts(&self.server).iter().map(seen).collect()
    }

    /// Returns the rows of a run after exactly once was asserted.
    #[track_caller]
    fn kept(&self, ledger: &str, n_before: usize, n_rows: u32) -> Vec<Row> {
        let rows = rows(&self.folder, ledger);
        assert_kept(&rows, &self.seen()[n_before..], n_rows as usize);
        rows
    }
}

#[track_caller]
fn keeps_silent(what: &[u8]) {
    let password = CREDENTIALS.split_once(':').unwrap().1;
    for secret in [password, IN_BASE64] {
        let found = memchr::memmem::find(what, secret.as_bytes());
        assert!(found.is_none(), "a secret in:\n{}", String::from_utf8_lossy(what));
    }
}

#[test]
fn rows_go_through_a_proxy_that_knows_who_calls_and_its_password_is_kept_nowhere() {
    let site = Site::start(&[], N_ROWS);
    for kind in [Kind::OpenTinyproxy, Kind::Tinyproxy, Kind::Apache] {
        let proxy = ForwardProxy::start(kind);
        let given: &[&str] = if kind == Kind::OpenTinyproxy { &[] } else { &["--proxy-credentials", "proxy.txt"] };
        for (n, (url, begin)) in site.addresses().iter().enumerate() {
            let (ledger, n_before) = (format!("{kind:?}-{n}.ledger"), site.seen().len());
            let more = [&FAST[..], &["--already", "send", "--ledger", &ledger, "-vvv"], given].concat();
            let ran = site.submit(url, &proxy.url(), &more).exits(0);
            let rows = site.kept(&ledger, n_before, N_ROWS);
            assert!(rows.iter().all(|row| row.state == "created"));
            assert!(proxy.n_requests(begin) > 0, "{kind:?}: nothing went through the proxy");

            let doctor = ["doctor", "--json", "--server", url, "--ca-file", "ca.pem", "--proxy", &proxy.url(), "-vvv"];
            let doctor = site.folder.run(&[&doctor[..], given].concat()).exits(0);
            for said in [&ran.stdout, &ran.stderr, &doctor.stdout, &doctor.stderr] {
                keeps_silent(said.as_bytes());
            }
            for file in [format!("{ledger}-wal"), ledger] {
                keeps_silent(&std::fs::read(site.folder.file(&file)).unwrap_or_default());
            }
        }
    }
}

#[test]
fn a_proxy_that_does_not_know_who_calls_stops_the_run_before_it_claims() {
    let site = Site::start(&[], N_ROWS);
    for (kind, given) in
        [(Kind::Tinyproxy, &[][..]), (Kind::Apache, &[]), (Kind::Apache, &["--proxy-credentials", "wrong.txt"])]
    {
        let proxy = ForwardProxy::start(kind);
        for (url, _) in site.addresses() {
            let doctor = ["doctor", "--server", &url, "--ca-file", "ca.pem", "--proxy", &proxy.url()];
            site.folder.run(&[&doctor[..], given].concat()).exits(4).says("(407): check --proxy-credentials FILE");
            let ran = site.submit(&url, &proxy.url(), given).exits(4);
            ran.says("(407): check --proxy-credentials FILE; nothing was sent");
            assert!(!site.folder.file("wave.ledger").exists());
        }
    }
    assert_eq!(site.seen().len(), 0);
}

#[test]
fn a_proxy_that_does_not_know_who_calls_takes_no_row_into_doubt() {
    // The list is asked for first, so that no row is claimed.
    let site = Site::start(&[], N_ROWS);
    for (n, kind) in [Kind::Tinyproxy, Kind::Apache].into_iter().enumerate() {
        let proxy = ForwardProxy::start(kind);
        for (url, begin) in site.addresses() {
            let ledger = format!("{n}-{}.ledger", begin.trim());
            let n_before = site.seen().len();
            let more = ["--already", "send", "--ledger", &ledger];
            site.submit(&url, &proxy.url(), &more).exits(4).says("(407)").says("nothing was sent");
            assert!(!site.folder.file(&ledger).exists());
            // The same command with the credentials goes on.
            let more = [&more[..], &FAST, &["--proxy-credentials", "proxy.txt"]].concat();
            site.submit(&url, &proxy.url(), &more).exits(0);
            assert!(site.kept(&ledger, n_before, N_ROWS).iter().all(|row| row.state == "created"));
        }
    }
}

#[test]
fn tinyproxy_says_no_to_wrong_credentials_by_another_status_and_nothing_is_created() {
    let site = Site::start(&[], N_ROWS);
    let proxy = ForwardProxy::start(Kind::Tinyproxy);
    let [(plain, _), (tls, _)] = site.addresses();
    let wrong = ["--proxy-credentials", "wrong.txt"];
    // Over http its 401 reads as the server's own.
    site.submit(&plain, &proxy.url(), &wrong).exits(5).says("the server answered 401");
    assert!(!site.folder.file("wave.ledger").exists());
    site.submit(&tls, &proxy.url(), &wrong).exits(4).says("check --proxy-credentials, and what the proxy allows");
    assert!(!site.folder.file("wave.ledger").exists());
    assert_eq!(site.seen().len(), 0);
}

#[test]
fn a_proxy_that_is_not_there_is_named() {
    let site = Site::start(&[], N_ROWS);
    let nobody = format!("127.0.0.1:{}", free_port());
    for (n, (url, _)) in site.addresses().iter().enumerate() {
        let ledger = format!("{n}.ledger");
        let ran = site.submit(url, &nobody, &["--ledger", &ledger]).exits(4);
        ran.says(&format!("through the proxy {nobody}: "));
        assert!(!site.folder.file(&ledger).exists());
        let doctor = ["doctor", "--server", url, "--ca-file", "ca.pem", "--proxy", &nobody];
        site.folder.run(&doctor).exits(4).says("check the port in --proxy");
    }
    assert_eq!(site.seen().len(), 0);
}

/// Starts a run through the proxy, and kills that when a hundred rows were created.
fn cut(site: &Site, url: &str, proxy: &mut ForwardProxy, more: &[&str]) -> std::process::Child {
    let proxy_url = proxy.url();
    let words =
        Site::words(url, &proxy_url, &["--rate", "400/s", "--settle", "200ms", "--server-limit", "500ms", "-vvv"]);
    let mut command = Command::new(env!("CARGO_BIN_EXE_cmbatch"));
    command.current_dir(site.folder.path()).envs(site.folder.host()).args(words).args(more).stderr(Stdio::piped());
    let n_before = site.seen().len();
    let child = command.spawn().unwrap();
    wait_until(|| site.seen().len() > n_before + 100);
    proxy.kill();
    child
}

#[test]
fn a_proxy_that_dies_and_comes_back_during_a_run_loses_no_row_and_doubles_none() {
    let site = Site::start(&["answer-delay=20ms..60ms"], 600);
    for (n, (url, _)) in site.addresses().iter().enumerate() {
        let (mut proxy, ledger) = (ForwardProxy::start(Kind::OpenTinyproxy), format!("{n}.ledger"));
        let n_before = site.seen().len();
        let more = ["--wait-for-server", "1m", "--already", "send", "--ledger", &ledger];
        let child = cut(&site, url, &mut proxy, &more);
        proxy.start_again();
        let ran: Ran = child.wait_with_output().unwrap().into();
        // Calls were on their way when it died.
        let ran = ran.exits(0).says("the connection was lost; it may have happened");
        keeps_silent(ran.stderr.as_bytes());
        assert!(site.kept(&ledger, n_before, 600).iter().all(|row| row.state == "created"));
    }
}

#[test]
fn a_proxy_that_dies_ends_the_run_and_the_same_command_goes_on() {
    let site = Site::start(&["answer-delay=20ms..60ms"], 600);
    for (n, (url, _)) in site.addresses().iter().enumerate() {
        let (mut proxy, ledger) = (ForwardProxy::start(Kind::OpenTinyproxy), format!("{n}.ledger"));
        let n_before = site.seen().len();
        let more = ["--already", "send", "--ledger", &ledger];
        let child = cut(&site, url, &mut proxy, &more);
        let ran: Ran = child.wait_with_output().unwrap().into();
        ran.exits(4).says("the connection was lost; it may have happened");
        let rows = site.kept(&ledger, n_before, 600);
        let n = |state: &str| rows.iter().filter(|row| row.state == state).count();
        assert!(n("in_doubt") > 0 && n("pending") > 0 && n("created") > 0, "{rows:?}");
        assert_eq!(n("in_doubt") + n("pending") + n("created"), 600);

        proxy.start_again();
        let again = [&more[..], &FAST].concat();
        site.submit(url, &proxy.url(), &again).exits(0);
        assert!(site.kept(&ledger, n_before, 600).iter().all(|row| row.state == "created"));
    }
}

/// Returns a run through a proxy to the realm's server, signed in.
fn signed_in(folder: &Folder, realm: &Realm, url: &str, proxy: &ForwardProxy, ledger: &str) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_cmbatch"));
    command
        .current_dir(folder.path())
        .envs(folder.host())
        .args(["submit", "wave.csv", "--server", url, "--ledger", ledger]);
    command.args(["--already", "send", "--proxy", &proxy.url(), "--proxy-credentials", "proxy.txt"]).args(FAST);
    command.arg("--ca-file").arg(realm.file("tls.crt"));
    command.env("KRB5_CONFIG", realm.file("krb5.conf")).env_remove("KRB5CCNAME").env_remove("KRB5_CLIENT_KTNAME");
    command
}

#[test]
fn sign_in_goes_through_a_proxy_that_connects() {
    let realm = Realm::start();
    let folder = Folder::new();
    folder.write("wave.csv", enrollments(1_000));
    folder.write("proxy.txt", CREDENTIALS);
    private(&folder, "proxy.txt");
    let password = realm.password_file(PASSWORD);
    for kind in [Kind::Tinyproxy, Kind::Apache] {
        let proxy = ForwardProxy::start(kind);
        for place in ["krb", "krbconn", "ntlm"] {
            let (n_before, n_access) = (realm.seen().len(), realm.access().len());
            let ledger = format!("{kind:?}-{place}.ledger");
            let mut command = signed_in(&folder, &realm, &realm.tls_server(place), &proxy, &ledger);
            match place {
                "ntlm" => {
                    command.args(["--auth", "ntlm", "--principal", NTLM_ACCOUNT, "--password-file"]).arg(&password)
                }
                _ => command.args(["--auth", "negotiate", "--principal", ACCOUNT, "--keytab"]).arg(realm.file(KEYTAB)),
            };
            let ran: Ran = command.output().unwrap().into();
            ran.exits(0);
            let rows = rows(&folder, &ledger);
            assert_kept(&rows, &realm.seen()[n_before..], 1_000);
            assert!(rows.iter().all(|row| row.state == "created"));
            // The tunnel is the connection: were each to carry one call, each would sign in.
            let n_tokens = realm.access()[n_access..].iter().filter(|line| line.contains(" N")).count();
            assert!(place == "krb" || n_tokens < 1_000, "{place}: {n_tokens} tokens");
        }
        assert!(proxy.n_requests("CONNECT ") > 0);
    }
}

#[test]
fn ntlm_through_a_proxy_that_ends_each_connection_is_told_apart_from_a_wrong_password() {
    let realm = Realm::start();
    let folder = Folder::new();
    folder.write("wave.csv", enrollments(N_ROWS));
    folder.write("proxy.txt", CREDENTIALS);
    private(&folder, "proxy.txt");
    let proxy = ForwardProxy::start(Kind::Tinyproxy);
    let mut command = signed_in(&folder, &realm, &realm.server("ntlm"), &proxy, "wave.ledger");
    command.args(["--auth", "ntlm", "--principal", NTLM_ACCOUNT, "--password-file"]).arg(realm.password_file(PASSWORD));
    let ran: Ran = command.output().unwrap().into();
    ran.exits(5).says("do not stay on one connection");
    assert!(!folder.file("wave.ledger").exists());
    assert_eq!(realm.seen().len(), 0);
}

#[test]
fn the_environments_proxy_is_taken_unless_it_is_told_not_to() {
    let site = Site::start(&[], N_ROWS);
    let proxy = ForwardProxy::start(Kind::Tinyproxy);
    let with_password = proxy.url().replace("://", &format!("://{CREDENTIALS}@"));
    let port = |url: &str| url::Url::parse(url).unwrap().port().unwrap();
    let [plain, tls] = site.addresses().map(|(url, begin)| {
        let scheme = url.split_once(':').unwrap().0.to_owned();
        (format!("{scheme}://cm.contoso.test:{}", port(&url)), begin)
    });
    let run = |n: usize, mut command: Command, url: &str, more: &[&str]| -> (Ran, PathBuf) {
        let ledger = format!("{n}.ledger");
        command.current_dir(site.folder.path()).args(["submit", "wave.csv", "--server", url, "--ca-file", "ca.pem"]);
        command.args(["--allow-http", "--already", "send", "--ledger", &ledger, "-vvv"]).args(FAST).args(more);
        let n_before = site.seen().len();
        let ran: Ran = command.output().unwrap().into();
        let ran = ran.exits(0);
        assert!(site.kept(&ledger, n_before, N_ROWS).iter().all(|row| row.state == "created"));
        (ran, site.folder.file(&ledger))
    };
    // The name is one to the proxy alone, so that each row has gone through it.
    for (n, ((url, begin), variable)) in
        [(&tls, "HTTPS_PROXY"), (&plain, "HTTP_PROXY"), (&tls, "ALL_PROXY")].iter().enumerate()
    {
        let n_before = proxy.n_requests(begin);
        let mut command = Command::new(env!("CARGO_BIN_EXE_cmbatch"));
        command.env(variable, &with_password).env_remove("NO_PROXY").env_remove("no_proxy");
        let (ran, ledger) = run(n, command, url, &[]);
        assert!(proxy.n_requests(begin) > n_before);
        keeps_silent(ran.stderr.as_bytes());
        keeps_silent(ran.stdout.as_bytes());
        keeps_silent(&std::fs::read(ledger).unwrap());
    }
    // Here the name is one to the command, and nothing goes through the proxy.
    let n_before = proxy.n_requests("CONNECT ");
    for (n, (no_proxy, more)) in [(".contoso.test", &[][..]), ("", &["--proxy", "none"])].into_iter().enumerate() {
        let mut command = knowing_the_server(&site.folder, env!("CARGO_BIN_EXE_cmbatch"));
        command.env("HTTPS_PROXY", &with_password).env_remove("no_proxy").env("NO_PROXY", no_proxy);
        run(10 + n, command, &tls.0, more);
    }
    assert_eq!(proxy.n_requests("CONNECT "), n_before);
}
