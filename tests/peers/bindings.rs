//! Channel bindings, before a server that insists on them (`acceptor.py`).

use std::process::{Child, Command, Stdio};

use crate::common::{Folder, Ran, enrollments, wait_until};
use crate::oracle::{assert_kept, rows};
use crate::realm::{KEYTAB, Realm, end, free_port, wait_for_port};
use crate::tls_front::{Clients, make_certificates, openssl, start_nginx};

const N_ROWS: u32 = 300;

/// A realm with such a server, and the folder of a run with the certificates.
struct Site {
    realm: Realm,
    folder: Folder,
    acceptor: Child,
    port: u16,
}

impl Drop for Site {
    fn drop(&mut self) {
        end(&mut self.acceptor);
    }
}

/// A certificate and the hash of its signature.
const RSA: (&str, &str) = ("server", "sha256");
const EC: (&str, &str) = ("ec", "sha384");
const RENEWED: (&str, &str) = ("renewed", "sha384");

fn make_other_certificates(folder: &Folder) {
    make_certificates(folder);
    // sha384WithRSAEncryption, of the same authority.
    openssl(folder, "req -new -newkey rsa:2048 -nodes -keyout renewed.key -out renewed.csr -subj /CN=renewed");
    let by = "-CA ca.pem -CAkey ca.key -CAcreateserial -days 2 -extfile server.ext";
    openssl(folder, &format!("x509 -req -sha384 -in renewed.csr {by} -out renewed.pem"));
    // ecdsa-with-SHA384.
    let curve = "-newkey ec -pkeyopt ec_paramgen_curve:P-384 -nodes";
    openssl(folder, &format!("req -x509 {curve} -sha384 -keyout ec-ca.key -out ec-ca.pem -days 2 -subj /CN=ec"));
    openssl(folder, &format!("req -new {curve} -keyout ec.key -out ec.csr -subj /CN=server"));
    let by = "-CA ec-ca.pem -CAkey ec-ca.key -CAcreateserial -days 2 -extfile server.ext";
    openssl(folder, &format!("x509 -req -sha384 -in ec.csr {by} -out ec.pem"));
    folder.write("authorities.pem", folder.read("ca.pem") + &folder.read("ec-ca.pem"));
}

fn write_settings(folder: &Folder, (name, hash): (&str, &str)) {
    let at = folder.path().display();
    let settings = format!("{{\"certificate\":\"{at}/{name}.pem\",\"key\":\"{at}/{name}.key\",\"hash\":\"{hash}\"}}");
    folder.write("settings.json", settings);
}

impl Site {
    fn start(certificate: (&str, &str)) -> Self {
        let (realm, folder, port) = (Realm::start(), Folder::new(), free_port());
        make_other_certificates(&folder);
        write_settings(&folder, certificate);
        folder.write("requests.log", "");
        let backend = url::Url::parse(&realm.backend()).unwrap().port().unwrap();
        let acceptor = Command::new("/usr/bin/python3")
            .arg(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/peers/acceptor.py"))
            .arg(port.to_string())
            .args([folder.file("settings.json"), folder.file("requests.log")])
            .arg(backend.to_string())
            .env("KRB5_CONFIG", realm.file("krb5.conf"))
            .env("KRB5_KTNAME", realm.file("http.keytab"))
            .env("KRB5RCACHENAME", "none:")
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        wait_for_port(port);
        Self { realm, folder, acceptor, port }
    }

    /// Has the server show another certificate from now on.
    fn renew(&self, certificate: (&str, &str)) {
        use nix::sys::signal::{Signal, kill};
        use nix::unistd::Pid;
        write_settings(&self.folder, certificate);
        kill(Pid::from_raw(self.acceptor.id().cast_signed()), Signal::SIGHUP).unwrap();
    }

    fn command(&self, words: &[&str], port: u16) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_cmbatch"));
        command
            .current_dir(self.folder.path())
            .envs(self.folder.host())
            .args(words)
            .args(["--server", &format!("https://localhost:{port}")]);
        command.args(["--ca-file", "authorities.pem", "--auth", "negotiate", "--keytab"]).arg(self.realm.file(KEYTAB));
        command.env("KRB5_CONFIG", self.realm.file("krb5.conf"));
        command.env_remove("KRB5CCNAME").env_remove("KRB5_CLIENT_KTNAME");
        command
    }

    /// Asserts that all rows of a run were created once.
    #[track_caller]
    fn kept(&self, ledger: &str, n_rows: u32) {
        let rows = rows(&self.folder, ledger);
        assert_kept(&rows, &self.realm.seen(), n_rows as usize);
        assert!(rows.iter().all(|row| row.state == "created"));
    }

    /// Returns how many requests the server judged so.
    fn n_judged(&self, verdict: &str) -> usize {
        self.folder.read("requests.log").lines().filter(|line| *line == verdict).count()
    }
}

#[test]
fn a_server_that_insists_on_bindings_gets_them_whatever_its_certificates_hash() {
    for certificate in [RSA, RENEWED, EC] {
        let site = Site::start(certificate);
        site.folder.write("wave.csv", enrollments(N_ROWS));
        let mut command = site.command(&["submit", "wave.csv", "--rate", "unlimited", "--concurrency", "8"], site.port);
        Ran::from(command.output().unwrap()).exits(0);
        site.kept("wave.ledger", N_ROWS);
        assert_eq!(site.n_judged("bound POST"), N_ROWS as usize);
        for verdict in ["unbound", "other-binding", "refused"] {
            assert_eq!(site.n_judged(&format!("{verdict} POST")), 0, "{verdict}");
        }
        Ran::from(site.command(&["doctor"], site.port).output().unwrap()).exits(0);
    }
}

#[test]
fn what_ends_tls_with_another_certificate_is_not_signed_in_through() {
    let site = Site::start(EC);
    let front = start_nginx(&site.folder, &format!("https://localhost:{}", site.port), Clients::AreAnybody);
    site.folder.write("wave.csv", enrollments(N_ROWS));
    let hint = "(TLS inspection, a load balancer)";
    let mut command = site.command(&["submit", "wave.csv"], front.port);
    Ran::from(command.output().unwrap()).exits(5).says(hint).says("nothing was sent");
    assert!(!site.folder.file("wave.ledger").exists());
    assert_eq!(site.realm.seen().len(), 0);
    assert_eq!((site.n_judged("other-binding POST"), site.n_judged("bound POST")), (0, 0));

    let doctor = Ran::from(site.command(&["doctor"], front.port).output().unwrap()).exits(5);
    doctor.says(hint);
    // It is the other certificate that is refused: past it the same rows go.
    let words = ["submit", "wave.csv", "--ledger", "past.ledger", "--rate", "unlimited"];
    Ran::from(site.command(&words, site.port).output().unwrap()).exits(0);
    site.kept("past.ledger", N_ROWS);
}

#[test]
fn a_certificate_that_is_renewed_during_a_run_doubles_no_row() {
    let site = Site::start(RSA);
    site.folder.write("wave.csv", enrollments(1_000));
    let mut command = site.command(&["submit", "wave.csv", "--rate", "200/s"], site.port);
    let child = command.stderr(Stdio::piped()).spawn().unwrap();
    for (n_seen, certificate) in [(200, RENEWED), (400, EC), (600, RSA)] {
        wait_until(|| site.realm.seen().len() > n_seen);
        site.renew(certificate);
    }
    Ran::from(child.wait_with_output().unwrap()).exits(0);
    site.kept("wave.ledger", 1_000);
    assert_eq!(site.n_judged("bound POST"), 1_000);
    // What was bound to the certificate of before was turned away, and nothing else.
    assert!(site.n_judged("other-binding POST") > 0);
    assert_eq!(site.n_judged("unbound POST") + site.n_judged("refused POST"), 0);
    let export = site.folder.run(&["export", "wave.ledger", "--format", "jsonl"]).exits(0).stdout;
    assert!(export.lines().all(|line| line.contains("\"attempts\":1,")), "{}", export.lines().next().unwrap());
}
