//! Calls through a proxy.

use tokio::io::copy_bidirectional;
use tokio::net::TcpStream;

use super::raw::{BODY, Log, Peer, RawServer, answer, created, endpoint, fault, meaning};
use super::tls::Authority;
use crate::client::proxy::Through;
use crate::client::route::Route;
use crate::client::{Answer, Client, Endpoint, Proxy, TransportFault};
use crate::platform::set_mode;
use crate::request::{ErrorCode, Outcome};

const SERVER: &str = "https://cm.contoso.test";

/// Makes a client of this server that goes through this proxy, without touching the environment.
fn client(endpoint: &Endpoint, proxy: &str) -> Client {
    let through = reqwest::Proxy::all(format!("http://anna:hunter2@{proxy}")).unwrap();
    let builder = move || reqwest::Client::builder().proxy(through.clone());
    let through = Through { shown: proxy.to_owned(), tls_host: None };
    let route = Route::by(builder, &endpoint.base.requests(), endpoint, Some(through)).unwrap();
    Client::by(endpoint, route).unwrap()
}

async fn call(proxy: &str) -> Answer {
    let authority = Authority::new("other");
    let endpoint = Endpoint { ca_file: Some(authority.file()), ..endpoint(SERVER) };
    client(&endpoint, proxy).create(BODY.to_vec(), None).await
}

#[tokio::test]
async fn a_proxy_that_does_not_connect_sent_nothing_on() {
    let (no_way, says) = (TransportFault::NotConnected, "check --proxy-credentials, and what the proxy allows");
    for (refusal, expect, says) in [
        (
            answer("407 Proxy Authentication Required", "Proxy-Authenticate: Basic realm=\"x\"\r\n", ""),
            TransportFault::ProxyRefused,
            "(407): check --proxy-credentials FILE",
        ),
        (answer("401 Unauthorized", "", ""), no_way, says),
        (answer("403 Forbidden", "", "no"), no_way, says),
        (answer("502 Bad Gateway", "", ""), no_way, says),
        (answer("503 Service Unavailable", "", ""), no_way, says),
        (String::new(), no_way, "unexpected end of file"),
        ("garbage\r\n\r\n".to_owned(), no_way, says),
    ] {
        let proxy = RawServer::answering(refusal.clone()).await;
        let seen = call(&proxy.address.to_string()).await;
        if let Answer::None { message, .. } = &seen {
            assert!(message.starts_with(&format!("through the proxy {}: ", proxy.address)), "{message}");
            assert!(message.contains(says) && !message.contains("hunter2"), "{message}");
        }
        assert_eq!(fault((seen, proxy.log.n_posts(BODY))), (expect, 0), "{refusal}");
        assert!(proxy.log.arrivals()[0].head.starts_with("CONNECT cm.contoso.test:443 HTTP/1.1\r\n"));
    }
}

#[tokio::test]
async fn a_proxy_that_cannot_be_reached_is_not_the_server() {
    let proxy = RawServer::answering("").await;
    let address = proxy.address.to_string();
    drop(proxy);
    // The listener is gone when its task is.
    while TcpStream::connect(&address).await.is_ok() {
        tokio::task::yield_now().await;
    }
    assert_eq!(fault((call(&address).await, 0)), (TransportFault::NotConnected, 0));
    assert_eq!(fault((call("nonexistent.invalid:3128").await, 0)), (TransportFault::NotConnected, 0));
}

#[tokio::test]
async fn tls_goes_through_the_proxy_to_the_server_itself() {
    let authority = Authority::new("ours");
    let acceptor = authority.acceptor("cm.contoso.test", rustls::ALL_VERSIONS);
    let log = Log::default();
    let of_server = log.clone();
    let server = RawServer::start(move |peer: Peer| {
        let (acceptor, log) = (acceptor.clone(), of_server.clone());
        async move {
            if let Ok(stream) = acceptor.accept(peer.stream).await {
                Peer::new(stream, peer.number, log).serve(created()).await;
            }
        }
    })
    .await;
    let behind = server.address;
    let proxy = RawServer::start(move |mut peer: Peer| async move {
        peer.request().await.unwrap();
        peer.write("HTTP/1.1 200 Connection established\r\n\r\n").await;
        let mut onward = TcpStream::connect(behind).await.unwrap();
        // How the tunnel ends is its two ends' affair.
        let _ended = copy_bidirectional(&mut peer.stream, &mut onward).await;
    })
    .await;

    let known = Endpoint { ca_file: Some(authority.file()), ..endpoint(SERVER) };
    let seen = client(&known, &proxy.address.to_string()).create(BODY.to_vec(), None).await;
    assert!(matches!(seen, Answer::Http(answer) if answer.status == 201));
    assert_eq!(log.n_posts(BODY), 1);

    let unknown = call(&proxy.address.to_string()).await;
    assert_eq!(fault((unknown, log.n_posts(BODY))), (TransportFault::TlsFailed, 1));
}

#[tokio::test]
async fn over_plain_http_the_proxy_has_the_request_and_its_407_is_certain() {
    let proxy = RawServer::answering(answer("407 Proxy Authentication Required", "", "")).await;
    let plain = endpoint("http://cm.contoso.test");
    // TLS is set up, because the proxy's address may ask for it; no CA file is needed where the system has roots.
    let authority = Authority::new("ours");
    let plain = Endpoint { ca_file: Some(authority.file()), ..plain };
    let seen = client(&plain, &proxy.address.to_string()).create(BODY.to_vec(), None).await;
    let arrivals = proxy.log.arrivals();
    assert!(
        arrivals[0].head.starts_with("POST http://cm.contoso.test/CertificateManagement/api/v1.0/requests HTTP/1.1")
    );
    match meaning((seen, proxy.log.n_posts(BODY))) {
        (Outcome::Pending(fault), 1) => {
            assert_eq!((fault.code, fault.http_status), (ErrorCode::NotConnected, Some(407)));
        }
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn a_proxy_that_is_given_has_every_call_and_its_credentials() {
    let proxy = RawServer::answering(created()).await;
    let folder = tempfile::tempdir().unwrap();
    let credentials = folder.path().join("proxy.txt");
    std::fs::write(&credentials, "anna:hunter2\n").unwrap();
    set_mode(&credentials, 0o600);
    let address = proxy.address.to_string().parse().unwrap();
    let authority = Authority::new("ours");
    let through = Endpoint {
        proxy: Proxy::Given { address, credentials: Some(credentials) },
        ca_file: Some(authority.file()),
        ..endpoint("http://127.0.0.1:1")
    };
    let client = Client::new(&through).unwrap();
    let seen = client.create(BODY.to_vec(), None).await;
    assert!(matches!(seen, Answer::Http(answer) if answer.status == 201));
    let head = proxy.log.arrivals()[0].head.clone();
    assert!(head.starts_with("POST http://127.0.0.1:1/"), "{head}");
    // base64 of anna:hunter2
    assert!(head.to_ascii_lowercase().contains("proxy-authorization: basic yw5uytpodw50zxiy"), "{head}");
    assert!(!format!("{client:?}").contains("hunter2"));
}
