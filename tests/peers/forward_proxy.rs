//! Forward proxies: tinyproxy and Apache, with and without a password of their own.

use std::os::unix::fs::PermissionsExt;
use std::process::{Child, Command, Stdio};

use crate::common::Folder;
use crate::realm::{end, free_port, wait_for_port};
use crate::tls_front::{openssl, private};

/// What a proxy wants to be told, and the same in the form of its header.
pub(crate) const CREDENTIALS: &str = "anna:hunter2-of-the-proxy";
pub(crate) const IN_BASE64: &str = "YW5uYTpodW50ZXIyLW9mLXRoZS1wcm94eQ";

/// Which proxy it is, and whether it asks for credentials.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    OpenTinyproxy,
    Tinyproxy,
    Apache,
}

/// A proxy on loopback, which ends with this value.
pub(crate) struct ForwardProxy {
    folder: Folder,
    kind: Kind,
    child: Child,
    port: u16,
}

impl Drop for ForwardProxy {
    fn drop(&mut self) {
        end(&mut self.child);
    }
}

/// Returns a program to which `cm.contoso.test` is this machine, in a namespace of its own.
pub(crate) fn knowing_the_server(folder: &Folder, program: &str) -> Command {
    let hosts = folder.write("hosts", "127.0.0.1 localhost cm.contoso.test\n");
    let mut command = Command::new("unshare");
    command.args(["--user", "--map-root-user", "--mount", "sh", "-c", "mount --bind \"$0\" /etc/hosts && exec \"$@\""]);
    command.arg(hosts).arg(program);
    command
}

impl ForwardProxy {
    pub(crate) fn start(kind: Kind) -> Self {
        let folder = Folder::new();
        // Apache's workers are another account's where this runs as root.
        std::fs::set_permissions(folder.path(), std::fs::Permissions::from_mode(0o755)).unwrap();
        let port = free_port();
        match kind {
            Kind::OpenTinyproxy | Kind::Tinyproxy => write_tinyproxy(&folder, port, kind),
            Kind::Apache => write_apache(&folder, port),
        }
        let child = run(&folder, kind, port);
        Self { folder, kind, child, port }
    }

    pub(crate) fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    /// Ends it between two bytes of its connections.
    pub(crate) fn kill(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    /// Starts it again where it was.
    pub(crate) fn start_again(&mut self) {
        self.child = run(&self.folder, self.kind, self.port);
    }

    /// Returns how many of the requests that it had begin like this.
    pub(crate) fn n_requests(&self, begin: &str) -> usize {
        let log = std::fs::read_to_string(self.folder.file("proxy.log")).unwrap();
        log.lines().filter(|line| line.contains(begin)).count()
    }
}

fn run(folder: &Folder, kind: Kind, port: u16) -> Child {
    let mut command = match kind {
        Kind::OpenTinyproxy | Kind::Tinyproxy => {
            let mut command = knowing_the_server(folder, "tinyproxy");
            command.args(["-d", "-c"]);
            command
        }
        Kind::Apache => {
            let mut command = Command::new("/usr/sbin/apache2");
            command.args(["-DFOREGROUND", "-f"]);
            command
        }
    };
    command.arg(folder.file("proxy.conf")).stdout(Stdio::null()).stderr(Stdio::null());
    let child = command.spawn().unwrap();
    wait_for_port(port);
    child
}

fn write_tinyproxy(folder: &Folder, port: u16, kind: Kind) {
    let (user, password) = CREDENTIALS.split_once(':').unwrap();
    let asks = if kind == Kind::Tinyproxy { format!("BasicAuth {user} {password}\n") } else { String::new() };
    let at = folder.path().display();
    folder.write(
        "proxy.conf",
        format!(
            "Port {port}\nListen 127.0.0.1\nTimeout 60\nMaxClients 100\n{asks}LogFile \"{at}/proxy.log\"\nLogLevel Connect\n"
        ),
    );
}

fn write_apache(folder: &Folder, port: u16) {
    let (user, password) = CREDENTIALS.split_once(':').unwrap();
    folder.write("password", format!("{password}\n"));
    private(folder, "password");
    folder.write("users", format!("{user}:{}", openssl(folder, "passwd -apr1 -in password")));
    let at = folder.path().display();
    let mut text = String::new();
    for module in [
        "mpm_event",
        "authn_core",
        "authn_file",
        "authz_core",
        "authz_user",
        "auth_basic",
        "proxy",
        "proxy_http",
        "proxy_connect",
    ] {
        text += &format!("LoadModule {module}_module /usr/lib/apache2/modules/mod_{module}.so\n");
    }
    if nix::unistd::geteuid().is_root() {
        text += "User nobody\nGroup nogroup\n";
    }
    text += &format!(
        "ServerRoot {at}\nServerName localhost\nDefaultRuntimeDir {at}\nPidFile {at}/httpd.pid\nMutex file:{at} default\n\
         ErrorLog {at}/error.log\nLogFormat \"%r\" short\nCustomLog {at}/proxy.log short\nListen 127.0.0.1:{port}\n\
         ServerLimit 2\nStartServers 1\nThreadsPerChild 64\nMaxRequestWorkers 128\n\
         ProxyRequests On\nAllowCONNECT 443 1024-65535\n\
         <Proxy \"*\">\nAuthType Basic\nAuthName proxy\nAuthBasicProvider file\nAuthUserFile {at}/users\n\
         Require valid-user\n</Proxy>\n"
    );
    folder.write("proxy.conf", text);
}
