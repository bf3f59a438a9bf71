//! No secret stands in anything that a run leaves or says, however it signs in and whatever goes wrong.

use std::fs::Permissions;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use data_encoding::BASE64;

use crate::common::{Folder, enrollments, simulator};
use crate::realm::{ACCOUNT, KEYTAB, NTLM_ACCOUNT, PASSWORD, Realm};
use crate::tls_front::{Clients, make_certificates, start_nginx};
use crate::token_server::{SECRET, TokenServer};

const TOKEN: &str = "eyJhbGciOi.hunter2hunter2hunter2.c2lnbmF0dXJl";
const COOKIE: &str = "hunter2hunter2cookie";

/// Everything that can go wrong with a call, in some of the calls; the rest succeeds.
const FAULTS: [&str; 9] = [
    "create:503=at 3",
    "create:429=at 5,retry-after=1",
    "create:400=at 7",
    "create:500=at 9",
    "drop-before=at 11",
    "drop-after-create=at 13",
    "truncate=at 15",
    "garbage=at 17",
    "create:302=at 19",
];

/// A run's folder, and what must not be found in it.
struct Search<'a> {
    folder: &'a Folder,
    server: &'a str,
    how: &'a [&'a str],
    variables: &'a [(&'a str, &'a str)],
    secrets: &'a [&'a [u8]],
}

impl Search<'_> {
    /// Runs each command that calls the server, and those that tell of the run afterwards; `exits` is how `submit` ends.
    fn run(&self, name: &str, exits: i32) {
        let (ledger, csv, jsonl) =
            (format!("{name}.ledger"), format!("{name}.csv.export"), format!("{name}.jsonl.export"));
        let rejects = format!("{name}.rejects");
        self.folder.write("list.csv", enrollments(25) + "E-99,Enroll,nothing,nobody,\n");
        let common = ["--server", self.server, "-vvv"];
        let submit = [
            "submit",
            "list.csv",
            "--ledger",
            &ledger,
            "--already",
            "send",
            "--on-invalid",
            "skip",
            "--rejects",
            &rejects,
            "--settle",
            "200ms",
            "--server-limit",
            "500ms",
        ];
        let mut is_first = true;
        for log in [["--log-format", "text"], ["--log-format", "json"]] {
            let status = self.search(&[&submit, &common[..], self.how, &log].concat());
            assert!(!is_first || status == Some(exits), "{name}: {status:?}");
            is_first = false;
        }
        self.search(&[&["replay", &ledger, "--state", "failed", "--json"], &common[..], self.how].concat());
        self.search(&[&["reconcile", &ledger], &common[..], self.how].concat());
        self.search(&[&["doctor", "--json"], &common[..], self.how].concat());
        self.search(&["status", &ledger, "--json"]);
        self.search(&["status", &ledger]);
        self.search(&["export", &ledger, "--format", "csv", "--output", &csv]);
        self.search(&["export", &ledger, "--format", "jsonl", "--output", &jsonl]);
    }

    /// Runs a command, and looks through what it says and through each file that is there then.
    fn search(&self, words: &[&str]) -> Option<i32> {
        let mut command = self.folder.command(words);
        let output = command.envs(self.variables.iter().copied()).output().unwrap();
        self.assert_none("standard output", &output.stdout);
        self.assert_none("standard error", &output.stderr);
        for file in std::fs::read_dir(self.folder.path()).unwrap() {
            let path = file.unwrap().path();
            if path.is_file() {
                self.assert_none(&path.display().to_string(), &std::fs::read(&path).unwrap());
            }
        }
        output.status.code()
    }

    fn assert_none(&self, place: &str, text: &[u8]) {
        for secret in self.secrets {
            for form in forms(secret) {
                let found = memchr::memmem::find(text, &form);
                assert!(found.is_none(), "{place} holds {:?}", String::from_utf8_lossy(&form));
            }
        }
    }
}

/// Returns the ways in which a secret may be written.
fn forms(secret: &[u8]) -> Vec<Vec<u8>> {
    let text = String::from_utf8_lossy(secret);
    let debug = format!("{text:?}");
    let form: String = url::form_urlencoded::byte_serialize(secret).collect();
    let mut forms = vec![secret.to_vec(), debug.trim_matches('"').as_bytes().to_vec(), form.into_bytes()];
    // Behind a name and a colon, whatever the name's length: groups of three bytes begin at one of three places.
    forms.extend((0..3).map(|skipped| {
        let behind = &secret[skipped..];
        BASE64.encode(&behind[..behind.len() / 3 * 3]).into_bytes()
    }));
    forms
}

/// Writes secrets where the search does not look, and returns the path.
fn kept(folder: &Path, name: &str, secret: &str) -> String {
    let path = folder.join(name);
    std::fs::write(&path, format!("{secret}\n")).unwrap();
    std::fs::set_permissions(&path, Permissions::from_mode(0o600)).unwrap();
    path.display().to_string()
}

#[test]
fn the_search_finds_what_is_there() {
    let text = format!("Basic {}", BASE64.encode(b"cmbatch:hunter2 hunter2"));
    for (text, secret) in
        [("a hunter2 b", "hunter2"), ("a=hunter2+hunter2", "hunter2 hunter2"), (&text, "hunter2 hunter2")]
    {
        assert!(forms(secret.as_bytes()).iter().any(|form| text.contains(&*String::from_utf8_lossy(form))), "{text}");
    }
}

#[test]
fn tokens_and_cookies() {
    let secrets = tempfile::tempdir().unwrap();
    let token_file = kept(secrets.path(), "token", TOKEN);
    let cookie_file = kept(secrets.path(), "cookies", &format!("FedAuth={COOKIE}"));
    let folder = Folder::new();
    let search = |how: &[&str], variables: &[(&str, &str)], name: &str, server: &str, exits| {
        let secrets: [&[u8]; 2] = [TOKEN.as_bytes(), COOKIE.as_bytes()];
        Search { folder: &folder, server, how, variables, secrets: &secrets }.run(name, exits);
    };
    search(&["--token-file", &token_file], &[], "file", &simulator(&FAULTS).base_url(), 1);
    search(&["--auth", "cookie", "--cookie-file", &cookie_file], &[], "cookie", &simulator(&FAULTS).base_url(), 5);
    search(&[], &[("CMBATCH_TOKEN", TOKEN)], "environment", &simulator(&FAULTS).base_url(), 1);

    // Refused, of the wrong form, open to others, and with nobody there.
    let whole = simulator(&[]);
    let server = whole.base_url();
    let locked = simulator(&["token=another"]);
    search(&["--token-file", &token_file], &[], "refused", &locked.base_url(), 5);
    search(&["--auth", "cookie", "--cookie-file", &cookie_file], &[], "refused-cookie", &locked.base_url(), 5);
    let wrong = kept(secrets.path(), "wrong", &format!("Bearer {TOKEN} {COOKIE}"));
    search(&["--token-file", &wrong], &[], "wrong", &server, 2);
    search(&["--auth", "cookie", "--cookie-file", &wrong], &[], "wrong-cookie", &server, 2);
    std::fs::set_permissions(&token_file, Permissions::from_mode(0o644)).unwrap();
    search(&["--token-file", &token_file], &[], "open", &server, 2);
    search(&[], &[("CMBATCH_TOKEN", TOKEN)], "nobody", "http://127.0.0.1:1", 4);
    // A person writes it into the address, where it has no place.
    let address = format!("http://anna:{TOKEN}@127.0.0.1:1");
    search(&[], &[], "address", &address, 2);
    search(&["--proxy", &address], &[], "proxy", &server, 2);
}

#[test]
fn keys_certificates_and_the_proxys_password() {
    let secrets = Folder::new();
    make_certificates(&secrets);
    let faulty = simulator(&FAULTS);
    let front = start_nginx(&secrets, &faulty.base_url(), Clients::ShowCertificates);
    let server = format!("https://localhost:{}", front.port);
    let file = |name: &str| secrets.file(name).display().to_string();
    let proxy = kept(secrets.path(), "proxy", "anna:hunter2 of the proxy");
    let wrong = kept(secrets.path(), "wrong", "hunter2 is wrong");
    let key = secrets.read("client.key");
    let line = key.lines().nth(3).unwrap();
    let folder = Folder::new();
    let (authority, pem, p12, password, key) =
        (file("ca.pem"), file("client.pem"), file("client.p12"), file("p12.txt"), file("client.key"));
    let search = |more: &[&str], name: &str, exits| {
        let how = [&["--ca-file", &authority], more].concat();
        let secrets: [&[u8]; 4] = [b"correct horse", b"hunter2 of the proxy", b"hunter2 is wrong", line.as_bytes()];
        Search { folder: &folder, server: &server, how: &how, variables: &[], secrets: &secrets }.run(name, exits);
    };
    search(&["--client-cert", &pem, "--client-key", &key], "pem", 1);
    search(&["--client-cert", &p12, "--client-cert-password", &password], "p12", 1);
    search(&["--client-cert", &p12, "--client-cert-password", &wrong], "wrong", 2);
    search(&["--client-cert", &key], "key", 2);
    search(&["--proxy", "http://127.0.0.1:1", "--proxy-credentials", &proxy], "proxy", 4);
    search(&["--proxy", "http://127.0.0.1:1", "--proxy-credentials", &wrong], "wrong-proxy", 2);
}

#[test]
fn passwords_keytabs_and_tickets() {
    let realm = Realm::start();
    let secrets = tempfile::tempdir().unwrap();
    let right = kept(secrets.path(), "right", PASSWORD);
    let wrong = kept(secrets.path(), "wrong", "hunter2 is wrong");
    let configuration = realm.file("krb5.conf").display().to_string();
    let keytab = realm.file(KEYTAB).display().to_string();
    let key = std::fs::read(&keytab).unwrap();
    let folder = Folder::new();
    let search = |place: &str, how: &[&str], variables: &[(&str, &str)], name: &str, exits| {
        let variables = [&[("KRB5_CONFIG", &*configuration)], variables].concat();
        // The last bytes of a keytab's entry are of its key.
        let tail = &key[key.len() - 20..];
        let secrets: [&[u8]; 3] = [PASSWORD.as_bytes(), b"hunter2 is wrong", tail];
        let server = realm.server(place);
        let search = Search { folder: &folder, server: &server, how, variables: &variables, secrets: &secrets };
        search.run(name, exits);
    };
    let principal = format!("{ACCOUNT}@CONTOSO.TEST");
    let negotiate = ["--auth", "negotiate", "--principal", &principal];
    search("krb", &[&negotiate[..], &["--keytab", &keytab]].concat(), &[], "keytab", 1);
    search("krb", &[&negotiate[..], &["--password-file", &right]].concat(), &[], "password", 1);
    search("krb", &[&negotiate[..], &["--password-file", &wrong]].concat(), &[], "wrong", 5);
    let ntlm = ["--auth", "ntlm", "--principal", NTLM_ACCOUNT];
    search("ntlm", &[&ntlm[..], &["--password-file", &right]].concat(), &[], "ntlm", 1);
    search("ntlm", &[&ntlm[..], &["--password-file", &wrong]].concat(), &[], "ntlm-wrong", 5);
    search("ntlm", &ntlm, &[("CMBATCH_PASSWORD", PASSWORD)], "ntlm-environment", 1);
    search("nowhere", &ntlm, &[("CMBATCH_PASSWORD", PASSWORD)], "ntlm-elsewhere", 5);
}

#[test]
fn secrets_of_oauth_clients() {
    let server = TokenServer::start(3600);
    let (api, token_url) = (server.api(), server.token_url());
    let file = |name: &str| server.file(name).display().to_string();
    let (secret, wrong) = (file("secret.txt"), kept(server.file("").as_path(), "wrong", "hunter2 is wrong"));
    let (certificate, key) = (file("rsa.crt"), file("rsa.key"));
    let key_text = std::fs::read_to_string(&key).unwrap();
    let line = key_text.lines().nth(3).unwrap();
    let folder = Folder::new();
    let search = |client: &str, more: &[&str], variables: &[(&str, &str)], name: &str, exits| {
        let how = ["--auth", "oauth", "--token-url", &token_url, "--client-id", client, "--resource", &api];
        let how = [&how[..], more].concat();
        // A token of the server's own kind has 43 characters, and each run another: none is in anything that says "Bearer".
        let secrets: [&[u8]; 4] = [SECRET.as_bytes(), b"hunter2 is wrong", line.as_bytes(), b"Bearer "];
        Search { folder: &folder, server: &api, how: &how, variables, secrets: &secrets }.run(name, exits);
    };
    search("cm-secret", &["--client-secret-file", &secret], &[], "file", 1);
    search("cm-secret", &["--client-secret-file", &wrong], &[], "wrong", 5);
    search("cm-secret", &[], &[("CMBATCH_CLIENT_SECRET", SECRET)], "environment", 1);
    let signed = ["--client-assertion-cert", &certificate, "--client-assertion-key", &key];
    search("cm-rsa", &signed, &[], "certificate", 1);
    search("cm-p256", &signed, &[], "other-certificate", 5);
    server.tell("failing");
    search("cm-secret", &["--client-secret-file", &secret], &[], "failing", 5);
}

/// As a person sets it up: everything in a configuration file, one profile for each server.
#[test]
fn a_profile_of_the_configuration_signs_in() {
    let realm = Realm::start();
    let folder = Folder::new();
    folder.write("wave.csv", enrollments(20));
    folder.write(
        "cm.toml",
        format!(
            "rate = \"50/s\"\n\n[profile.test]\nserver = \"http://127.0.0.1:1\"\n\n[profile.production]\n\
             server = \"{}\"\nauth = \"negotiate\"\nkeytab = \"{}\"\nprincipal = \"{ACCOUNT}\"\nlabel = \"PRODUCTION\"\n",
            realm.server("krbconn"),
            realm.file(KEYTAB).display(),
        ),
    );
    let run = |profile: &str| {
        let mut command = folder.command(&["submit", "wave.csv", "--config", "cm.toml", "--profile", profile]);
        command.env("KRB5_CONFIG", realm.file("krb5.conf")).env_remove("KRB5CCNAME");
        command
    };
    let output = run("production").output().unwrap();
    let said = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(0), "{said}");
    assert!(said.contains("PRODUCTION") && said.contains("svc-cmbatch@CONTOSO.TEST (Kerberos)"), "{said}");
    assert_eq!(realm.seen().len(), 20);
    // What a profile does not say is not another one's.
    let output = run("test").output().unwrap();
    assert_ne!(output.status.code(), Some(0));
    assert_eq!(realm.seen().len(), 20);
}
