"""A Kerberos realm on loopback: MIT's KDC, and Apache before another server, which asks for a sign-in in each way."""

import os
import subprocess
from pathlib import Path

from servers import Server, free_port

NAME = "CONTOSO.TEST"
ACCOUNT = "svc-cmbatch"
NTLM_ACCOUNT = "CONTOSO\\ntlm-user"
PASSWORD = "P@ssw0rd"

MODULES = ["mpm_event", "authn_core", "authz_core", "authz_user", "auth_gssapi", "headers", "env", "proxy", "proxy_http"]

# The place, and what it asks for.
PLACES = {
    "open": "",
    "krb": "GssapiAllowedMech krb5\nGssapiConnectionBound Off",
    "krbconn": "GssapiAllowedMech krb5\nGssapiConnectionBound On\nHeader always set Persistent-Auth true",
    "ntlm": "GssapiAllowedMech ntlmssp\nGssapiConnectionBound On",
}


class Place:
    """One of Apache's places, as a server to send to."""

    def __init__(self, port: int, name: str):
        self.base = f"http://localhost:{port}/{name}/CertificateManagement"


class Realm:
    """The realm and its Apache, until the block that uses it is left."""

    def __init__(self, folder: Path, backend: Server):
        self.folder = folder / "realm"
        self.folder.mkdir()
        # Apache's workers are another account's where this runs as root.
        for one in (folder, self.folder):
            one.chmod(0o755)
        self.keytab, self.service_keytab, self.password = (self.folder / name for name in ("client.keytab", "http.keytab", "pw"))
        kdc_port, port = free_port(), free_port()
        self.environment = {"KRB5_CONFIG": str(self.folder / "krb5.conf"), "KRB5_KDC_PROFILE": str(self.folder / "kdc.conf"),
                            "KRB5RCACHENAME": "none:", "NTLM_USER_FILE": str(self.folder / "ntlm-users")}
        os.environ.update(self.environment)
        self._write_kerberos(kdc_port)
        self._make_accounts()
        log = self.folder / "log"
        self.kdc = Server(["/usr/sbin/krb5kdc", "-n", "-r", NAME, "-P", self.folder / "kdc.pid"], log, kdc_port)
        self._write_apache(port, backend)
        self.apache = Server(["/usr/sbin/apache2", "-DFOREGROUND", "-f", self.folder / "httpd.conf"], log, port)
        # cmbatch signs in with the password that it is given, and not with Apache's list.
        del os.environ["NTLM_USER_FILE"]
        self.port = port

    def __enter__(self):
        self.kdc.__enter__()
        self.apache.__enter__()
        return self

    def __exit__(self, *_):
        self.apache.stop()
        self.kdc.stop()

    def place(self, name: str) -> Place:
        return Place(self.port, name)

    def _write_kerberos(self, port: int) -> None:
        at = self.folder
        (at / "krb5.conf").write_text(
            f"[libdefaults]\n default_realm = {NAME}\n dns_lookup_kdc = false\n dns_canonicalize_hostname = false\n rdns = false\n"
            f" udp_preference_limit = 1\n[realms]\n {NAME} = {{\n  kdc = 127.0.0.1:{port}\n }}\n[domain_realm]\n localhost = {NAME}\n")
        (at / "kdc.conf").write_text(
            f"[kdcdefaults]\n kdc_listen = 127.0.0.1:{port}\n kdc_tcp_listen = 127.0.0.1:{port}\n[realms]\n {NAME} = {{\n"
            f"  database_name = {at}/principal\n  key_stash_file = {at}/stash\n  acl_file = {at}/acl\n"
            f"  supported_enctypes = aes256-cts-hmac-sha1-96:normal\n }}\n")
        (at / "acl").touch()
        (at / "ntlm-users").write_text(f"{NTLM_ACCOUNT.replace(chr(92), ':')}:{PASSWORD}\n")
        self.password.write_text(f"{PASSWORD}\n")
        self.password.chmod(0o600)

    def _make_accounts(self) -> None:
        quiet = {"check": True, "stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
        subprocess.run(["/usr/sbin/kdb5_util", "-r", NAME, "create", "-s", "-P", "master"], **quiet)
        for query in ["addprinc -randkey HTTP/localhost", f"ktadd -k {self.service_keytab} HTTP/localhost",
                      f"addprinc +requires_preauth -randkey {ACCOUNT}", f"ktadd -k {self.keytab} {ACCOUNT}"]:
            subprocess.run(["/usr/sbin/kadmin.local", "-r", NAME, "-q", query], **quiet)
        self.service_keytab.chmod(0o644)

    def _write_apache(self, port: int, backend: Server) -> None:
        at = self.folder
        text = "".join(f"LoadModule {name}_module /usr/lib/apache2/modules/mod_{name}.so\n" for name in MODULES)
        if os.geteuid() == 0:
            text += "User nobody\nGroup nogroup\n"
        text += (f"ServerRoot {at}\nServerName localhost\nDefaultRuntimeDir {at}\nPidFile {at}/httpd.pid\nMutex file:{at} default\n"
                 f"ErrorLog {at}/error.log\nLogLevel warn\nListen 127.0.0.1:{port}\nServerLimit 2\nStartServers 1\n"
                 "ThreadsPerChild 64\nMaxRequestWorkers 128\nKeepAlive On\nMaxKeepAliveRequests 0\nKeepAliveTimeout 60\n")
        for name, asks in PLACES.items():
            signs_in = (f"AuthType GSSAPI\nAuthName cm\nGssapiCredStore keytab:{self.service_keytab}\n"
                        f"GssapiAcceptorName HTTP@localhost\n{asks}\nRequire valid-user\n") if asks else ""
            text += f"<Location /{name}/>\n{signs_in}ProxyPass {backend.base}/\n</Location>\n"
        (at / "httpd.conf").write_text(text)
