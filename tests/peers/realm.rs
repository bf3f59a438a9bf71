//! A Kerberos realm of its own: MIT's KDC, and Apache as the server that asks for its tickets, with the simulator behind it.
//! All of it listens on loopback and lives in one folder; it ends with this value.

use std::fs::Permissions;
use std::io::{BufRead, BufReader};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use tempfile::TempDir;

use crate::common::{Folder, enrollments, wait_until};
use crate::log::seen_in;
use crate::oracle::{Seen, assert_kept, rows};

const REALM: &str = "CONTOSO.TEST";
/// The account of the runs, and its key.
pub(crate) const ACCOUNT: &str = "svc-cmbatch";
pub(crate) const KEYTAB: &str = "client.keytab";
/// An account whose tickets are good for a minute.
pub(crate) const SHORT: &str = "svc-short";
pub(crate) const SHORT_KEYTAB: &str = "short.keytab";
/// A keytab whose key is no longer the account's.
pub(crate) const STALE: &str = "svc-stale";
pub(crate) const STALE_KEYTAB: &str = "stale.keytab";
/// The password of all accounts but [`STALE`], and the account that signs in with it by NTLM.
pub(crate) const PASSWORD: &str = "P@ssw0rd of \u{e9}cole";
pub(crate) const NTLM_ACCOUNT: &str = "CONTOSO\\ntlm-user";
/// How the third message of NTLM begins, the one with the proof, in base64.
pub(crate) const NTLM_PROOF: &str = "TlRMTVNTUAAD";

const MODULES: [&str; 12] = [
    "mpm_event",
    "authn_core",
    "authz_core",
    "authz_user",
    "auth_gssapi",
    "headers",
    "env",
    "socache_shmcb",
    "ssl",
    "proxy",
    "proxy_http",
    "reqtimeout",
];

/// The processes and their folder.
pub(crate) struct Realm {
    folder: TempDir,
    kdc: Child,
    apache: Child,
    simulator: Child,
    http_port: u16,
    https_port: u16,
    backend: String,
}

impl Drop for Realm {
    fn drop(&mut self) {
        for child in [&mut self.apache, &mut self.kdc, &mut self.simulator] {
            end(child);
        }
    }
}

/// Asks a server to end, and waits until it has: killed, it would leave its workers behind.
pub(crate) fn end(child: &mut Child) {
    use nix::sys::signal::{Signal, kill};
    use nix::unistd::Pid;
    // One that has ended already is no longer anybody's process to signal.
    if let Ok(None) = child.try_wait() {
        let _ = kill(Pid::from_raw(child.id().cast_signed()), Signal::SIGTERM);
        let _ = child.wait();
    }
}

/// Returns a port for a server that is started next. It is below those that the system gives to the ends of connections
/// (`ip_local_port_range`), of which another test's traffic may take one in between.
pub(crate) fn free_port() -> u16 {
    loop {
        let [first, second, ..] = *uuid::Uuid::new_v4().as_bytes();
        let port = 16_384 + u16::from_be_bytes([first, second]) % 16_384;
        if TcpListener::bind((Ipv4Addr::LOCALHOST, port)).is_ok() {
            return port;
        }
    }
}

pub(crate) fn wait_for_port(port: u16) {
    wait_until(|| TcpStream::connect((Ipv4Addr::LOCALHOST, port)).is_ok());
}

impl Realm {
    pub(crate) fn start() -> Self {
        let folder = tempfile::tempdir().unwrap();
        // Apache's workers are another account's where this runs as root.
        std::fs::set_permissions(folder.path(), Permissions::from_mode(0o755)).unwrap();
        let at = folder.path();
        let (kdc_port, http_port, https_port) = (free_port(), free_port(), free_port());
        write_kerberos_files(at, kdc_port);
        make_accounts(at);
        write_ntlm_accounts(at, PASSWORD);
        let kdc =
            kerberos_program("krb5kdc", at).args(["-n", "-r", REALM]).args(["-P"]).arg(at.join("kdc.pid")).spawn();
        let kdc = kdc.unwrap();
        wait_for_port(kdc_port);
        make_certificate(at);
        let (simulator, backend) = start_simulator(at);
        std::fs::write(at.join("httpd.conf"), apache_configuration(at, http_port, https_port, &backend)).unwrap();
        let apache = Command::new("/usr/sbin/apache2")
            .args(["-DFOREGROUND", "-f"])
            .arg(at.join("httpd.conf"))
            // No replay cache: what is tried here is the client.
            .env("KRB5RCACHENAME", "none:")
            // The accounts that NTLM knows, as if Apache were their domain's controller.
            .env("NTLM_USER_FILE", at.join("ntlm-users"))
            .env("KRB5_CONFIG", at.join("krb5.conf"))
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        wait_for_port(http_port);
        wait_for_port(https_port);
        Self { folder, kdc, apache, simulator, http_port, https_port, backend }
    }

    pub(crate) fn file(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Returns the address of the server that asks for a ticket with every request (`krb`), or once on each connection
    /// (`krbconn`), or takes NTLM as well (`nego`) or alone (`ntlm`).
    pub(crate) fn server(&self, place: &str) -> String {
        format!("http://localhost:{}/{place}/CertificateManagement", self.http_port)
    }

    /// Returns the same over TLS; its certificate is its own authority.
    pub(crate) fn tls_server(&self, place: &str) -> String {
        format!("https://localhost:{}/{place}/CertificateManagement", self.https_port)
    }

    /// Returns the address of the simulator, which asks nobody who he is.
    pub(crate) fn backend(&self) -> String {
        format!("{}/CertificateManagement", self.backend)
    }

    /// Gives an account another password: its keytab is of no use any more.
    pub(crate) fn change_password(&self, account: &str) {
        self.administer(&format!("cpw -pw another {account}"));
    }

    /// Does what an administrator of the realm can do.
    pub(crate) fn administer(&self, query: &str) {
        let mut command = kerberos_program("kadmin.local", self.folder.path());
        assert!(command.args(["-r", REALM, "-q", query]).status().unwrap().success(), "{query}");
    }

    /// Gets a ticket into a cache of its own, as a person does, and returns the cache's name.
    pub(crate) fn kinit(&self, lifetime: &str) -> String {
        let cache = format!("FILE:{}", self.file("kinit.cache").display());
        let status = Command::new("kinit")
            .args(["-l", lifetime, "-k", "-t"])
            .arg(self.file(KEYTAB))
            .args(["-c", &cache, ACCOUNT])
            .env("KRB5_CONFIG", self.file("krb5.conf"))
            .status();
        assert!(status.unwrap().success());
        cache
    }

    /// Gives the account of NTLM another password.
    pub(crate) fn change_ntlm_password(&self) {
        write_ntlm_accounts(self.folder.path(), "another");
    }

    /// Writes a file with a password, and returns its path.
    pub(crate) fn password_file(&self, password: &str) -> PathBuf {
        let path = self.file("password");
        std::fs::write(&path, format!("{password}\n")).unwrap();
        std::fs::set_permissions(&path, Permissions::from_mode(0o600)).unwrap();
        path
    }

    /// Returns how often NTLM was given a proof, and how often it was refused.
    pub(crate) fn ntlm_logons(&self) -> (usize, usize) {
        let access = self.access();
        let proofs: Vec<_> = access.iter().filter(|line| line.contains(NTLM_PROOF)).collect();
        (proofs.len(), proofs.iter().filter(|line| line.starts_with("401")).count())
    }

    /// Ends the KDC.
    pub(crate) fn kill_kdc(&mut self) {
        self.kdc.kill().unwrap();
        self.kdc.wait().unwrap();
    }

    /// Returns how often the KDC was given a wrong key.
    pub(crate) fn n_bad_logons(&self) -> usize {
        let log = std::fs::read_to_string(self.file("kdc.log")).unwrap_or_default();
        log.lines().filter(|line| line.contains("PREAUTH_FAILED") || line.contains("verify failure")).count()
    }

    /// Returns Apache's log: status, user and the beginning of the sign-in of each request.
    pub(crate) fn access(&self) -> Vec<String> {
        // Apache listens before it opens its logs.
        let log = std::fs::read_to_string(self.file("access.log")).unwrap_or_default();
        log.lines().map(str::to_owned).collect()
    }

    /// Returns the create calls that reached the simulator.
    pub(crate) fn seen(&self) -> Vec<Seen> {
        let log = std::fs::read_to_string(self.file("arrivals.jsonl")).unwrap_or_default();
        seen_in(&log)
    }
}

/// Kills a run of 600 rows three times, has it go on to its end, and asserts that each row was created once.
pub(crate) fn go_on_after_kills(realm: &Realm, run: impl Fn(&Folder) -> Command) {
    let folder = Folder::new();
    folder.write("wave.csv", enrollments(600));
    let command = || {
        let mut command = run(&folder);
        command.args(["--rate", "200/s", "--settle", "200ms", "--server-limit", "500ms"]);
        command
    };
    for kill in 1..=3 {
        let mut child = command().spawn().unwrap();
        wait_until(|| realm.seen().len() > kill * 60);
        child.kill().unwrap();
        child.wait().unwrap();
    }
    let output = command().output().unwrap();
    assert_eq!(output.status.code(), Some(0), "{}", String::from_utf8_lossy(&output.stderr));
    let rows = rows(&folder, "wave.ledger");
    assert_kept(&rows, &realm.seen(), 600);
    assert!(rows.iter().all(|row| row.state == "created"));
}

fn write_kerberos_files(at: &Path, kdc_port: u16) {
    let shown = at.display();
    let client = format!(
        "[libdefaults]\n default_realm = {REALM}\n dns_lookup_kdc = false\n dns_lookup_realm = false\n \
         dns_canonicalize_hostname = false\n rdns = false\n udp_preference_limit = 1\n \
         default_ccache_name = FILE:{shown}/ccache\n\
         [realms]\n {REALM} = {{\n  kdc = 127.0.0.1:{kdc_port}\n }}\n\
         [domain_realm]\n localhost = {REALM}\n .contoso.test = {REALM}\n"
    );
    std::fs::write(at.join("krb5.conf"), client).unwrap();
    let server = format!(
        "[kdcdefaults]\n kdc_listen = 127.0.0.1:{kdc_port}\n kdc_tcp_listen = 127.0.0.1:{kdc_port}\n\
         [realms]\n {REALM} = {{\n  database_name = {shown}/principal\n  key_stash_file = {shown}/stash\n  \
         acl_file = {shown}/acl\n  max_life = 10h\n  supported_enctypes = aes256-cts-hmac-sha1-96:normal\n }}\n\
         [logging]\n kdc = FILE:{shown}/kdc.log\n"
    );
    std::fs::write(at.join("kdc.conf"), server).unwrap();
    std::fs::write(at.join("acl"), "").unwrap();
}

fn kerberos_program(name: &str, at: &Path) -> Command {
    let mut command = Command::new(format!("/usr/sbin/{name}"));
    command.env("KRB5_CONFIG", at.join("krb5.conf")).env("KRB5_KDC_PROFILE", at.join("kdc.conf"));
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    command
}

fn write_ntlm_accounts(at: &Path, password: &str) {
    let path = at.join("ntlm-users");
    std::fs::write(&path, format!("{}:{password}\n", NTLM_ACCOUNT.replace('\\', ":"))).unwrap();
    std::fs::set_permissions(&path, Permissions::from_mode(0o644)).unwrap();
}

fn make_accounts(at: &Path) {
    let made = kerberos_program("kdb5_util", at).args(["-r", REALM, "create", "-s", "-P", "master"]).status().unwrap();
    assert!(made.success());
    let keytab = |name: &str| at.join(name).display().to_string();
    for query in [
        "addprinc -randkey HTTP/localhost".to_owned(),
        format!("ktadd -k {} HTTP/localhost", keytab("http.keytab")),
        format!("addprinc +requires_preauth -pw \"{PASSWORD}\" {ACCOUNT}"),
        format!("ktadd -norandkey -k {} {ACCOUNT}", keytab(KEYTAB)),
        format!("addprinc +requires_preauth -maxlife 60seconds -pw one {SHORT}"),
        format!("ktadd -norandkey -k {} {SHORT}", keytab(SHORT_KEYTAB)),
        format!("addprinc +requires_preauth -pw one {STALE}"),
        format!("ktadd -norandkey -k {} {STALE}", keytab(STALE_KEYTAB)),
        format!("cpw -pw two {STALE}"),
    ] {
        let done = kerberos_program("kadmin.local", at).args(["-r", REALM, "-q", &query]).status().unwrap();
        assert!(done.success(), "{query}");
    }
    std::fs::set_permissions(at.join("http.keytab"), Permissions::from_mode(0o644)).unwrap();
}

fn make_certificate(at: &Path) {
    let key = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    std::fs::write(at.join("tls.crt"), key.cert.pem()).unwrap();
    std::fs::write(at.join("tls.key"), key.signing_key.serialize_pem()).unwrap();
}

/// Starts the simulator, whose arrivals are logged in `arrivals.jsonl`, and returns it with its address.
pub(crate) fn start_simulator(at: &Path) -> (Child, String) {
    let mut child = Command::new(env!("CARGO_BIN_EXE_cmbatch"))
        .args(["simulate", "--port", "0", "--log"])
        .arg(at.join("arrivals.jsonl"))
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let mut url = String::new();
    BufReader::new(child.stdout.take().unwrap()).read_line(&mut url).unwrap();
    let host = url.trim().trim_end_matches("/CertificateManagement").to_owned();
    assert!(host.starts_with("http://127.0.0.1:"), "the simulator did not start: {url:?}");
    (child, host)
}

fn apache_configuration(at: &Path, http_port: u16, https_port: u16, backend: &str) -> String {
    let shown = at.display();
    let mut text = String::new();
    for module in MODULES {
        text += &format!("LoadModule {module}_module /usr/lib/apache2/modules/mod_{module}.so\n");
    }
    if nix::unistd::geteuid().is_root() {
        text += "User nobody\nGroup nogroup\n";
    }
    text += &format!(
        "ServerRoot {shown}\nServerName localhost\nDefaultRuntimeDir {shown}\nPidFile {shown}/httpd.pid\n\
         Mutex file:{shown} default\nErrorLog {shown}/error.log\nLogLevel warn\n\
         LogFormat \"%>s %u %{{Authorization}}i %m\" short\nCustomLog {shown}/access.log short\n\
         Listen 127.0.0.1:{http_port}\nListen 127.0.0.1:{https_port}\n\
         ServerLimit 2\nStartServers 1\nThreadsPerChild 64\nMaxRequestWorkers 128\n\
         KeepAlive On\nMaxKeepAliveRequests 100\nKeepAliveTimeout 60\n"
    );
    let mut site = String::new();
    for (place, bound, mechanisms) in [
        ("krb", "Off", &["krb5"][..]),
        ("krbconn", "On", &["krb5"]),
        ("nego", "On", &["krb5", "ntlmssp"]),
        ("ntlm", "On", &["ntlmssp"]),
    ] {
        let says = if bound == "On" { "Header always set Persistent-Auth true\n" } else { "" };
        let mechanisms: String = mechanisms.iter().map(|name| format!("GssapiAllowedMech {name}\n")).collect();
        site += &format!(
            "<Location /{place}/>\nAuthType GSSAPI\nAuthName cm\nGssapiCredStore keytab:{shown}/http.keytab\n\
             GssapiAcceptorName HTTP@localhost\n{mechanisms}GssapiConnectionBound {bound}\n\
             Require valid-user\nProxyPass {backend}/\n{says}</Location>\n"
        );
    }
    text += &format!("<VirtualHost 127.0.0.1:{http_port}>\n{site}</VirtualHost>\n");
    text += &format!(
        "<VirtualHost 127.0.0.1:{https_port}>\nSSLEngine on\nSSLCertificateFile {shown}/tls.crt\n\
         SSLCertificateKeyFile {shown}/tls.key\n{site}</VirtualHost>\n"
    );
    text
}
