//! A token server of its own: npm's oidc-provider, and before the simulator a gateway that lets in who has one of its tokens.
//! `oidc/server.mjs` is both; it listens on loopback, lives in one folder, and ends with this value.

use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use tempfile::TempDir;

use crate::common::wait_until;
use crate::log::seen_in;
use crate::oracle::Seen;
use crate::realm::{end, start_simulator};

/// Where `tests/run.sh` installs Node and oidc-provider.
const TOOLS: &str = concat!(env!("CARGO_TARGET_TMPDIR"), "/oidc");
/// The secret of the client `cm-secret`, with characters that a form does not have as they are.
pub(crate) const SECRET: &str = "c0rrect:horse & battery=+%";

/// The processes and their folder.
pub(crate) struct TokenServer {
    folder: TempDir,
    node: Child,
    simulator: Child,
    origin: String,
}

impl Drop for TokenServer {
    fn drop(&mut self) {
        end(&mut self.node);
        end(&mut self.simulator);
    }
}

impl TokenServer {
    /// Starts one whose tokens are good for so many seconds.
    pub(crate) fn start(ttl_s: u32) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let at = folder.path();
        write_private(&at.join("secret.txt"), &format!("{SECRET}\n"));
        write_private(&at.join("password.txt"), "p12 password\n");
        make_certificates(at);
        let node = Path::new(TOOLS).join("node");
        assert!(node.exists(), "{node:?} is not there: run tests/run.sh, which installs it");
        let (simulator, backend) = start_simulator(at);
        let mut node = Command::new(node)
            .arg(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/peers/oidc/server.mjs"))
            .arg(Path::new(TOOLS).join("node_modules"))
            .arg(at)
            .args([&backend, &ttl_s.to_string()])
            .stdout(Stdio::piped())
            .stderr(std::fs::File::create(at.join("node.log")).unwrap())
            .spawn()
            .unwrap();
        let mut origin = String::new();
        let mut lines = BufReader::new(node.stdout.take().unwrap());
        // The library warns of what it would have otherwise on standard output.
        while !origin.starts_with("http://127.0.0.1:") {
            origin.clear();
            let n_read = lines.read_line(&mut origin).unwrap();
            let log = || std::fs::read_to_string(at.join("node.log")).unwrap_or_default();
            assert!(n_read > 0, "the token server did not start: {}", log());
        }
        Self { node, simulator, origin: origin.trim().to_owned(), folder }
    }

    pub(crate) fn file(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub(crate) fn api(&self) -> String {
        format!("{}/CertificateManagement", self.origin)
    }

    pub(crate) fn token_url(&self) -> String {
        format!("{}/token", self.origin)
    }

    /// Makes a file that the server knows: it begins to fail, for one.
    pub(crate) fn tell(&self, name: &str) {
        std::fs::write(self.file(name), "").unwrap();
    }

    /// Ends what a file began.
    pub(crate) fn untell(&self, name: &str) {
        std::fs::remove_file(self.file(name)).unwrap();
    }

    /// Makes a file, and waits until the server has done what it means.
    pub(crate) fn have_done(&self, name: &str) {
        self.tell(name);
        wait_until(|| !self.file(name).exists());
    }

    /// Returns status and client of each request for a token.
    pub(crate) fn token_requests(&self) -> Vec<String> {
        self.lines("token.log")
    }

    /// Returns how often a client was refused.
    pub(crate) fn n_refusals(&self) -> usize {
        self.token_requests().iter().filter(|line| line.starts_with("401")).count()
    }

    /// Returns the status of each call that the gateway refused.
    pub(crate) fn refused(&self) -> Vec<String> {
        self.lines("refused.log")
    }

    /// Returns the create calls that reached the simulator.
    pub(crate) fn seen(&self) -> Vec<Seen> {
        seen_in(&std::fs::read_to_string(self.file("arrivals.jsonl")).unwrap_or_default())
    }

    fn lines(&self, name: &str) -> Vec<String> {
        std::fs::read_to_string(self.file(name)).unwrap_or_default().lines().map(str::to_owned).collect()
    }
}

pub(crate) fn write_private(path: &Path, text: &str) {
    use std::os::unix::fs::PermissionsExt;

    std::fs::write(path, text).unwrap();
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o600)).unwrap();
}

/// Makes the clients' certificates by openssl: one with an RSA key, as PKCS#12 with a password, too, and one with a P-256 key.
fn make_certificates(at: &Path) {
    let openssl = |words: &str| {
        let command = Command::new("openssl").current_dir(at).args(words.split(' ')).output().unwrap();
        assert!(command.status.success(), "{}", String::from_utf8_lossy(&command.stderr));
    };
    let request = "req -x509 -nodes -days 30 -subj /CN=cmbatch";
    openssl(&format!("{request} -newkey rsa:2048 -keyout rsa.key -out rsa.crt"));
    openssl(&format!("{request} -newkey ec -pkeyopt ec_paramgen_curve:P-256 -keyout p256.key -out p256.crt"));
    openssl("pkcs12 -export -in rsa.crt -inkey rsa.key -out rsa.p12 -passout file:password.txt");
    for name in ["rsa.crt", "rsa.key", "rsa.p12", "p256.crt", "p256.key"] {
        use std::os::unix::fs::PermissionsExt;
        std::fs::set_permissions(at.join(name), std::fs::Permissions::from_mode(0o600)).unwrap();
    }
}
