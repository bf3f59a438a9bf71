//! What `doctor` says of settings that are wrong, against real servers: what is wrong, and what to do.

use std::path::Path;
use std::process::Command;

use crate::common::{Folder, simulator};
use crate::realm::{KEYTAB, NTLM_ACCOUNT, Realm, STALE, STALE_KEYTAB};
use crate::tls_front::{Clients, make_certificates, openssl, start_nginx};

/// Runs it in a folder, and asserts its exit status, what it says, and how its last line begins.
fn assert_told(command: &mut Command, exit: i32, step: &str, says: &[&str]) {
    let output = command.output().unwrap();
    let told = String::from_utf8(output.stdout).unwrap();
    assert_eq!(output.status.code(), Some(exit), "{told}");
    assert!(told.lines().all(|line| line.chars().count() <= 80 || !line.trim().contains(' ')), "{told}");
    let told = told.split_whitespace().collect::<Vec<_>>().join(" ");
    let (_, fault) = told.split_once("fault ").unwrap_or_else(|| panic!("no fault: {told}"));
    assert!(fault.starts_with(step), "{told}");
    for says in says {
        assert!(fault.contains(says), "{says:?}: {told}");
    }
    let end = String::from_utf8(output.stderr).unwrap();
    assert!(end.contains("next: correct that, then: cmbatch doctor"), "{end}");
}

fn doctor(folder: &Path, server: &str, more: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_cmbatch"));
    command.current_dir(folder).args(["doctor", "--server", server]).args(more);
    command.env_remove("KRB5CCNAME").env_remove("KRB5_CLIENT_KTNAME");
    command
}

#[test]
fn tls_that_does_not_fit_is_named() {
    let server = simulator(&[]);
    let base = server.base_url();
    let folder = Folder::new();
    make_certificates(&folder);
    let front = start_nginx(&folder, &base, Clients::ShowCertificates);
    let (url, by_address) = (format!("https://localhost:{}", front.port), format!("https://127.0.0.1:{}", front.port));
    let told = |server: &str, more: &[&str], exit, step, says: &[&str]| {
        assert_told(&mut doctor(folder.path(), server, more), exit, step, says);
    };
    // Its authority is not known here.
    told(&url, &[], 4, "TLS", &["does not trust", "--ca-file"]);
    // It is not the name in the certificate.
    told(&by_address, &["--ca-file", "ca.pem"], 4, "TLS", &["for another name", "localhost"]);
    // It asks for a client certificate.
    told(&url, &["--ca-file", "ca.pem"], 5, "TLS", &["client certificate", "--client-cert"]);
    // One of another authority.
    openssl(&folder, "req -x509 -newkey rsa:2048 -nodes -keyout other.key -out other.pem -days 2 -subj /CN=other");
    folder.write("other.both", folder.read("other.key") + &folder.read("other.pem"));
    std::fs::set_permissions(folder.file("other.both"), std::os::unix::fs::PermissionsExt::from_mode(0o600)).unwrap();
    let other = ["--ca-file", "ca.pem", "--client-cert", "other.both"];
    told(&url, &other, 5, "TLS", &["client certificate", "--client-cert"]);
    // Another key than the pinned one.
    let pin = "sha256//47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=";
    told(&url, &["--ca-file", "ca.pem", "--pin", pin], 4, "TLS", &["sha256//"]);
    // Plain http to a port that speaks TLS.
    let plain = format!("http://localhost:{}", front.port);
    told(&plain, &[], 4, "API", &["400"]);

    // A certificate that is over.
    let past = Folder::new();
    make_certificates(&past);
    openssl(
        &past,
        "x509 -req -in server.csr -CA ca.pem -CAkey ca.key -CAcreateserial -days -1 -extfile server.ext -out server.pem",
    );
    let front = start_nginx(&past, &base, Clients::AreAnybody);
    let url = format!("https://localhost:{}", front.port);
    assert_told(&mut doctor(past.path(), &url, &["--ca-file", "ca.pem"]), 4, "TLS", &["is over", "renewed"]);

    // Nobody behind it.
    let gone = Folder::new();
    make_certificates(&gone);
    let front = start_nginx(&gone, "http://127.0.0.1:1", Clients::AreAnybody);
    let url = format!("https://localhost:{}", front.port);
    assert_told(&mut doctor(gone.path(), &url, &["--ca-file", "ca.pem"]), 4, "API", &["502", "application pool"]);
}

#[test]
fn a_sign_in_that_does_not_fit_is_named() {
    let mut realm = Realm::start();
    let file = |name: &str| realm.file(name).display().to_string();
    let (keytab, stale, wrong) = (file(KEYTAB), file(STALE_KEYTAB), realm.password_file("wrong").display().to_string());
    let told = |realm: &Realm, place: &str, auth: &str, more: &[&str], step, says: &[&str]| {
        let words = [&["--auth", auth], more].concat();
        let mut command = doctor(realm.file("").as_path(), &realm.server(place), &words);
        assert_told(command.env("KRB5_CONFIG", realm.file("krb5.conf")), 5, step, says);
    };
    let by = |account: &str, file: &str, words: [&str; 2]| {
        [words[0].to_owned(), account.to_owned(), words[1].to_owned(), file.to_owned()]
    };
    let words = by(STALE, &stale, ["--principal", "--keytab"]);
    let words = words.each_ref().map(String::as_str);
    told(&realm, "krb", "negotiate", &words, "ticket", &["Preauthentication failed", "write a new keytab"]);
    let nobody = ["--keytab", &keytab, "--principal", "svc-nobody"];
    told(&realm, "krb", "negotiate", &nobody, "ticket", &["no key for this account", "klist -k"]);
    told(&realm, "krb", "negotiate", &[], "ticket", &["kinit", "--keytab"]);
    let alias = ["--keytab", &keytab, "--spn", "HTTP/alias.contoso.test"];
    told(&realm, "krb", "negotiate", &alias, "ticket", &["no account has this service name", "setspn"]);
    // A server that takes NTLM alone.
    told(&realm, "ntlm", "negotiate", &["--keytab", &keytab], "sign-in", &["401"]);
    let words = by(NTLM_ACCOUNT, &wrong, ["--principal", "--password-file"]);
    let words = words.each_ref().map(String::as_str);
    told(&realm, "ntlm", "ntlm", &words, "sign-in", &["check --principal and the password"]);
    // One that takes Kerberos alone.
    told(&realm, "krb", "ntlm", &words, "sign-in", &["does not go on with NTLM"]);
    // No sign-in at all.
    told(&realm, "krb", "none", &[], "sign-in", &["401", "--auth"]);

    realm.kill_kdc();
    told(&realm, "krb", "negotiate", &["--keytab", &keytab], "ticket", &["no domain controller answers", "port 88"]);
}
