//! nginx as the server's TLS front, with an authority of its own; here it asks for a client certificate.

use std::os::unix::fs::PermissionsExt;
use std::process::{Child, Command, Stdio};

use crate::common::{Folder, enrollments, posts, simulator};
use crate::realm::{end, free_port, wait_for_port};

const N_ROWS: u32 = 200;

/// An nginx that speaks TLS; it ends with this value.
pub(crate) struct Front {
    child: Child,
    pub(crate) port: u16,
}

impl Drop for Front {
    fn drop(&mut self) {
        end(&mut self.child);
    }
}

pub(crate) fn openssl(folder: &Folder, words: &str) -> String {
    let words: Vec<&str> = words.split_whitespace().collect();
    let output = Command::new("openssl").args(&words).current_dir(folder.path()).output().unwrap();
    assert!(output.status.success(), "{words:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

pub(crate) fn private(folder: &Folder, name: &str) {
    std::fs::set_permissions(folder.file(name), std::fs::Permissions::from_mode(0o600)).unwrap();
}

/// Makes an authority, a server's certificate, and a client's in each form.
pub(crate) fn make_certificates(folder: &Folder) {
    folder.write("server.ext", "subjectAltName=DNS:localhost,DNS:cm.contoso.test\nextendedKeyUsage=serverAuth\n");
    folder.write("client.ext", "extendedKeyUsage=clientAuth\n");
    openssl(folder, "req -x509 -newkey rsa:2048 -nodes -keyout ca.key -out ca.pem -days 2 -subj /CN=ours");
    for name in ["server", "client"] {
        openssl(
            folder,
            &format!("req -new -newkey rsa:2048 -nodes -keyout {name}.key -out {name}.csr -subj /CN={name}"),
        );
        openssl(
            folder,
            &format!(
                "x509 -req -in {name}.csr -CA ca.pem -CAkey ca.key -CAcreateserial -days 2 -extfile {name}.ext -out {name}.pem"
            ),
        );
    }
    folder.write("p12.txt", "correct horse\n");
    openssl(
        folder,
        "pkcs12 -export -inkey client.key -in client.pem -certfile ca.pem -out client.p12 -passout file:p12.txt",
    );
    for name in ["client.pem", "client.key", "client.p12", "p12.txt"] {
        private(folder, name);
    }
}

/// What nginx does about clients' certificates.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Clients {
    ShowCertificates,
    AreAnybody,
}

/// Starts nginx before the server at this address.
pub(crate) fn start_nginx(folder: &Folder, base_url: &str, clients: Clients) -> Front {
    let backend = base_url.trim_end_matches("/CertificateManagement");
    let asks = match clients {
        Clients::ShowCertificates => {
            format!("ssl_client_certificate {}/ca.pem;\nssl_verify_client on;\n", folder.path().display())
        }
        Clients::AreAnybody => String::new(),
    };
    let port = free_port();
    let at = folder.path().display();
    folder.write(
        "nginx.conf",
        format!(
            "daemon off;\npid {at}/nginx.pid;\nerror_log {at}/error.log;\nevents {{}}\nhttp {{\naccess_log off;\n\
             client_body_temp_path {at}/b;\nproxy_temp_path {at}/p;\nfastcgi_temp_path {at}/f;\n\
             uwsgi_temp_path {at}/u;\nscgi_temp_path {at}/s;\n\
             server {{\nlisten 127.0.0.1:{port} ssl;\nssl_certificate {at}/server.pem;\n\
             ssl_certificate_key {at}/server.key;\n{asks}\
             location / {{ proxy_pass {backend}; }}\n}}\n}}\n"
        ),
    );
    let child = Command::new("nginx")
        .args(["-p", &at.to_string(), "-c"])
        .arg(folder.file("nginx.conf"))
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    wait_for_port(port);
    Front { child, port }
}

#[test]
fn a_server_that_asks_for_a_client_certificate_gets_one_from_pem_or_pkcs_12() {
    let server = simulator(&[]);
    let folder = Folder::new();
    make_certificates(&folder);
    let front = start_nginx(&folder, &server.base_url(), Clients::ShowCertificates);
    let url = format!("https://localhost:{}", front.port);
    folder.write("wave.csv", enrollments(N_ROWS));
    let common = ["submit", "wave.csv", "--server", &url, "--ca-file", "ca.pem", "--rate", "unlimited"];
    let with = |ledger: &str, more: &[&str]| {
        let words = [&common[..], &["--ledger", ledger, "--already", "send"], more].concat();
        folder.run(&words)
    };
    with("pem.ledger", &["--client-cert", "client.pem", "--client-key", "client.key"]).exits(0);
    with("p12.ledger", &["--client-cert", "client.p12", "--client-cert-password", "p12.txt"]).exits(0);
    assert_eq!(posts(&server).len(), 2 * N_ROWS as usize);

    folder.write("wrong.txt", "wrong\n");
    private(&folder, "wrong.txt");
    with("x.ledger", &["--client-cert", "client.p12", "--client-cert-password", "wrong.txt"])
        .exits(2)
        .says("cannot be opened as PKCS#12");
    with("x.ledger", &["--client-cert", "client.pem"]).exits(2).says("--client-key");
    with("x.ledger", &["--client-cert", "client.pem", "--client-key", "server.key"]).exits(2);
    assert!(!folder.file("x.ledger").exists());
    assert_eq!(posts(&server).len(), 2 * N_ROWS as usize);
}
