//! Calls over TLS.

use std::path::PathBuf;
use std::sync::Arc;

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair};
use rustls::pki_types::{CertificateDer, PrivatePkcs8KeyDer};
use rustls::{ServerConfig, SupportedProtocolVersion};
use tempfile::TempDir;
use tokio_rustls::TlsAcceptor;

use super::raw::{BODY, Log, Peer, RawServer, created, endpoint, fault};
use crate::client::{Answer, Client, Endpoint, TransportFault};

/// A certificate authority, and its certificate in a file.
pub(super) struct Authority {
    issuer: CertifiedIssuer<'static, KeyPair>,
    folder: TempDir,
}

impl Authority {
    pub(super) fn new(name: &str) -> Self {
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.distinguished_name.push(DnType::CommonName, name);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let issuer = CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap();
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("ca.pem"), issuer.pem()).unwrap();
        Self { issuer, folder }
    }

    pub(super) fn file(&self) -> PathBuf {
        self.folder.path().join("ca.pem")
    }

    pub(super) fn acceptor(&self, name: &str, versions: &[&'static SupportedProtocolVersion]) -> TlsAcceptor {
        let key = KeyPair::generate().unwrap();
        let params = CertificateParams::new([name.to_owned()]).unwrap();
        let certificate = params.signed_by(&key, &self.issuer).unwrap();
        acceptor_with(certificate.der().clone(), &key, versions)
    }
}

fn acceptor_with(
    certificate: CertificateDer<'static>,
    key: &KeyPair,
    versions: &[&'static SupportedProtocolVersion],
) -> TlsAcceptor {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ServerConfig::builder_with_provider(provider)
        .with_protocol_versions(versions)
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![certificate], PrivatePkcs8KeyDer::from(key.serialize_der()).into())
        .unwrap();
    TlsAcceptor::from(Arc::new(config))
}

/// Starts a server with TLS. Whole requests are in the log that is returned.
async fn start(acceptor: TlsAcceptor) -> (RawServer, Log) {
    start_answering(acceptor, created()).await
}

/// Starts a server with TLS that answers each request so.
pub(super) async fn start_answering(acceptor: TlsAcceptor, answer: String) -> (RawServer, Log) {
    let log = Log::default();
    let of_server = log.clone();
    let server = RawServer::start(move |peer: Peer| {
        let (acceptor, log, answer) = (acceptor.clone(), of_server.clone(), answer.clone());
        async move {
            if let Ok(stream) = acceptor.accept(peer.stream).await {
                Peer::new(stream, peer.number, log).serve(answer).await;
            }
        }
    })
    .await;
    (server, log)
}

async fn call(server: &RawServer, host: &str, ca_file: Option<PathBuf>) -> Answer {
    let endpoint = Endpoint { ca_file, ..endpoint(&format!("https://{host}:{}", server.address.port())) };
    Client::new(&endpoint).unwrap().create(BODY.to_vec(), None).await
}

#[tokio::test]
async fn a_server_of_an_unknown_authority_is_not_spoken_to_and_with_its_ca_file_it_is() {
    let (ours, other) = (Authority::new("ours"), Authority::new("other"));
    let (server, log) = start(ours.acceptor("127.0.0.1", rustls::ALL_VERSIONS)).await;
    let seen = call(&server, "127.0.0.1", Some(other.file())).await;
    if let Answer::None { message, .. } = &seen {
        assert!(message.contains("--ca-file") && message.contains("CN=ours"), "{message}");
    }
    assert_eq!(fault((seen, log.n_posts(BODY))), (TransportFault::TlsFailed, 0));

    let seen = call(&server, "127.0.0.1", Some(ours.file())).await;
    assert!(matches!(seen, Answer::Http(answer) if answer.status == 201));
    assert_eq!(log.n_posts(BODY), 1);
}

#[tokio::test]
async fn an_authoritys_certificate_is_no_servers() {
    let mut params = CertificateParams::new(["localhost".to_owned()]).unwrap();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let key = KeyPair::generate().unwrap();
    let certificate = params.self_signed(&key).unwrap();
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("self.pem"), certificate.pem()).unwrap();
    let (server, log) = start(acceptor_with(certificate.der().clone(), &key, rustls::ALL_VERSIONS)).await;
    let seen = call(&server, "localhost", Some(folder.path().join("self.pem"))).await;
    if let Answer::None { message, .. } = &seen {
        assert!(message.contains("that of an authority (CA:TRUE)"), "{message}");
    }
    assert_eq!(fault((seen, log.n_posts(BODY))), (TransportFault::TlsFailed, 0));
}

#[tokio::test]
async fn tls_1_2_and_1_3_are_spoken() {
    let authority = Authority::new("ours");
    for version in [&rustls::version::TLS12, &rustls::version::TLS13] {
        let (server, log) = start(authority.acceptor("localhost", &[version])).await;
        let seen = call(&server, "localhost", Some(authority.file())).await;
        assert!(matches!(seen, Answer::Http(answer) if answer.status == 201), "{version:?}");
        assert_eq!(log.n_posts(BODY), 1);
    }
}

#[tokio::test]
async fn a_server_of_another_name_is_not_spoken_to() {
    let authority = Authority::new("ours");
    let (server, log) = start(authority.acceptor("elsewhere.test", rustls::ALL_VERSIONS)).await;
    let seen = call(&server, "127.0.0.1", Some(authority.file())).await;
    if let Answer::None { message, .. } = &seen {
        assert!(message.contains("for another name than 127.0.0.1") && message.contains("elsewhere.test"), "{message}");
    }
    assert_eq!(fault((seen, log.n_posts(BODY))), (TransportFault::TlsFailed, 0));
}

#[tokio::test]
async fn a_server_with_another_key_than_the_pinned_one_is_not_spoken_to() {
    let authority = Authority::new("ours");
    let (server, log) = start(authority.acceptor("localhost", rustls::ALL_VERSIONS)).await;
    let with = |pins| Endpoint {
        ca_file: Some(authority.file()),
        pins,
        ..endpoint(&format!("https://localhost:{}", server.address.port()))
    };
    let other = "sha256//47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=".parse().unwrap();
    let seen = Client::new(&with(vec![other])).unwrap().create(BODY.to_vec(), None).await;
    let Answer::None { message, .. } = &seen else { panic!("{seen:?}") };
    assert!(message.contains("--pin"), "{message}");
    // The message has the pin that would do.
    let right = message.split_whitespace().find_map(|word| word.trim_end_matches(';').parse().ok()).unwrap();
    assert_eq!(fault((seen, log.n_posts(BODY))), (TransportFault::TlsFailed, 0));

    let seen = Client::new(&with(vec![other, right])).unwrap().create(BODY.to_vec(), None).await;
    assert!(matches!(seen, Answer::Http(answer) if answer.status == 201));
}

#[tokio::test]
async fn a_pin_holds_however_the_server_is_spelled() {
    let authority = Authority::new("ours");
    let (server, log) = start(authority.acceptor("::ffff:127.0.0.1", rustls::ALL_VERSIONS)).await;
    let pins = vec!["sha256//47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=".parse().unwrap()];
    let address = format!("https://[::ffff:127.0.0.1]:{}", server.address.port());
    for (pins, n_posts) in [(pins, 0), (Vec::new(), 1)] {
        let endpoint = Endpoint { ca_file: Some(authority.file()), pins, ..endpoint(&address) };
        let seen = Client::new(&endpoint).unwrap().create(BODY.to_vec(), None).await;
        let is_refused = matches!(&seen, Answer::None { message, .. } if message.contains("--pin"));
        assert_eq!((is_refused, log.n_posts(BODY)), (n_posts == 0, n_posts), "{seen:?}");
    }
}

#[tokio::test]
async fn what_speaks_no_tls_is_told_from_what_is_not_trusted() {
    let plain = RawServer::start(async |mut peer: Peer| {
        peer.write("HTTP/1.1 400 Bad Request\r\n\r\n").await;
        peer.until_closed().await;
    })
    .await;
    let authority = Authority::new("ours");
    let seen = call(&plain, "127.0.0.1", Some(authority.file())).await;
    assert!(matches!(&seen, Answer::None { message, .. } if message.contains("does not speak TLS")), "{seen:?}");
}

#[tokio::test]
async fn a_handshake_that_ends_early_is_certain() {
    let authority = Authority::new("ours");
    let plain = RawServer::start(async |mut peer: Peer| {
        peer.write("HTTP/1.1 400 Bad Request\r\n\r\n").await;
        peer.until_closed().await;
    })
    .await;
    let closing = RawServer::start(async |peer: Peer| peer.until_first_byte().await).await;
    let resetting = RawServer::start(async |peer: Peer| {
        peer.until_first_byte().await;
        peer.reset();
    })
    .await;
    for server in [plain, closing, resetting] {
        let seen = call(&server, "127.0.0.1", Some(authority.file())).await;
        assert_eq!(fault((seen, server.log.arrivals().len())), (TransportFault::TlsFailed, 0));
    }
}
