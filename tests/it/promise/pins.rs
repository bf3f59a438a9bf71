//! A pin holds for a server however its address is spelled.

use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;
use tokio_rustls::rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};

use super::World;
use super::server::Manner;

/// TLS before a server, with a certificate for this machine's loopback addresses.
pub(super) struct Front {
    pub(super) port: u16,
    pub(super) authority: String,
}

impl Front {
    pub(super) fn before(server: SocketAddr) -> Self {
        let names = ["localhost", "127.0.0.1", "::ffff:127.0.0.1", "tokens.test"].map(str::to_owned);
        let made = rcgen::generate_simple_self_signed(names).unwrap();
        let key = PrivateKeyDer::from(PrivatePkcs8KeyDer::from(made.signing_key.serialize_der()));
        let provider = Arc::new(tokio_rustls::rustls::crypto::ring::default_provider());
        let config = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(vec![made.cert.der().clone()], key)
            .unwrap();
        let acceptor = TlsAcceptor::from(Arc::new(config));
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let port = listener.local_addr().unwrap().port();
        listener.set_nonblocking(true).unwrap();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let serve = async move {
            let listener = tokio::net::TcpListener::from_std(listener).unwrap();
            while let Ok((stream, _)) = listener.accept().await {
                let acceptor = acceptor.clone();
                tokio::spawn(async move {
                    let Ok(mut client) = acceptor.accept(stream).await else { return };
                    let mut server = tokio::net::TcpStream::connect(server).await.unwrap();
                    let _ = tokio::io::copy_bidirectional(&mut client, &mut server).await;
                });
            }
        };
        // It ends with the test's process.
        std::thread::spawn(move || runtime.block_on(serve));
        Self { port, authority: made.cert.pem() }
    }
}

#[test]
fn a_pin_holds_however_the_address_is_spelled() {
    let world = World::new(Manner::default());
    let address = world.server.url().replace("http://", "").replace("/CertificateManagement", "");
    let front = Front::before(address.parse().unwrap());
    let wrong = format!("sha256//{}=", "A".repeat(43));
    let number = AtomicUsize::new(0);
    for host in ["127.0.0.1", "localhost", "LOCALHOST", "[::ffff:127.0.0.1]", "[::ffff:7f00:1]", "2130706433"] {
        let url = format!("https://{host}:{}/CertificateManagement", front.port);
        let n = number.fetch_add(1, Ordering::SeqCst);
        let place = world.on_host(&format!("p{n}"), "host");
        place.write("ca.pem", &front.authority);
        place.write("wave.csv", super::further_manifest(2, &format!("a1b2c3d{n}")));
        let submit = |pin: &str| {
            let words = ["submit", "wave.csv", "--server", &url, "--ca-file", "ca.pem", "--pin", pin];
            let mut command = place.command(env!("CARGO_BIN_EXE_cmbatch"));
            let ran: crate::common::Ran = command.args(words).output().unwrap().into();
            ran
        };
        let n_made = world.server.n_made();
        let ran = submit(&wrong);
        assert_ne!(ran.status, 0, "{host}: a wrong pin was ignored");
        assert_eq!(world.server.n_made(), n_made, "{host}: {}", ran.stderr);
        let Some((_, rest)) = ran.stderr.split_once("it is sha256//") else { continue };
        let right = format!("sha256//{}", &rest[..44]);
        submit(&right).exits(0);
        assert_eq!(world.server.n_made(), n_made + 2, "{host}");
    }
}
