//! Calls that end without a whole answer.

use std::time::Duration;

use tokio::net::TcpListener;

use super::raw::{BODY, Peer, RawServer, created, endpoint, fault, meaning};
use crate::client::{Answer, Client, Endpoint, TransportFault};
use crate::machine::Machine;
use crate::request::{ErrorCode, Outcome};

async fn closed_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap().port()
}

#[tokio::test]
async fn a_refused_connection_is_certain() {
    let endpoint = endpoint(&format!("http://127.0.0.1:{}", closed_port().await));
    let answer = Client::new(&endpoint).unwrap().create(BODY.to_vec(), None).await;
    assert_eq!(fault((answer, 0)), (TransportFault::ConnectionRefused, 0));
}

#[tokio::test]
async fn a_name_without_address_is_certain() {
    let answer = Client::new(&endpoint("http://nonexistent.invalid")).unwrap().create(BODY.to_vec(), None).await;
    assert_eq!(fault((answer, 0)), (TransportFault::NameNotResolved, 0));
}

#[tokio::test]
async fn a_reset_before_the_request_was_begun_is_certain() {
    let server = RawServer::start(async |peer: Peer| peer.reset()).await;
    for _ in 0..20 {
        let seen = fault(server.call().await);
        // Which of the two comes first is the system's to say; that nothing is called certain which was written is ours.
        assert!(seen == (TransportFault::NotConnected, 0) || seen == (TransportFault::ConnectionLost, 0), "{seen:?}");
    }
}

#[tokio::test]
async fn a_reset_before_the_request_is_read_is_in_doubt() {
    let server = RawServer::start(async |peer: Peer| {
        peer.until_first_byte().await;
        peer.reset();
    });
    assert_eq!(fault(server.await.call().await), (TransportFault::ConnectionLost, 0));
}

#[tokio::test]
async fn a_reset_in_the_middle_of_the_request_is_in_doubt() {
    let server = RawServer::start(async |mut peer: Peer| {
        peer.head().await.unwrap();
        peer.reset();
    })
    .await;
    let body = vec![b' '; 16 * 1024 * 1024];
    let answer = server.client().create(body.clone(), None).await;
    assert_eq!(fault((answer, server.log.n_posts(&body))), (TransportFault::ConnectionLost, 0));
}

#[tokio::test]
async fn a_connection_that_ends_after_the_request_is_in_doubt() {
    let reset = RawServer::start(async |mut peer: Peer| {
        peer.request().await.unwrap();
        peer.reset();
    });
    assert_eq!(fault(reset.await.call().await), (TransportFault::ConnectionLost, 1));
    let closed = RawServer::answering("");
    assert_eq!(fault(closed.await.call().await), (TransportFault::ConnectionLost, 1));
    let half_a_head = RawServer::answering("HTTP/1.1 201 Created\r\nContent-Le");
    assert_eq!(fault(half_a_head.await.call().await), (TransportFault::ConnectionLost, 1));
    let not_http = RawServer::answering("SSH-2.0-OpenSSH_9.2\r\n");
    assert_eq!(fault(not_http.await.call().await), (TransportFault::ConnectionLost, 1));
    let endless_head = RawServer::answering(format!("HTTP/1.1 201 Created\r\nX: {}", "x".repeat(1024 * 1024)));
    assert_eq!(fault(endless_head.await.call().await), (TransportFault::ConnectionLost, 1));
}

#[tokio::test]
async fn an_answer_that_breaks_off_keeps_its_status() {
    let broken = TransportFault::AnswerBroken { status: 201 };
    let whole = created();
    let half = whole[..whole.len() - 20].to_owned();
    assert_eq!(fault(RawServer::answering(half.clone()).await.call().await), (broken, 1));
    let reset = RawServer::start(move |mut peer: Peer| {
        let half = half.clone();
        async move {
            peer.request().await.unwrap();
            peer.write(half).await;
            peer.reset();
        }
    });
    // The reset may overtake the head.
    let seen = fault(reset.await.call().await);
    assert!(seen == (broken, 1) || seen == (TransportFault::ConnectionLost, 1), "{seen:?}");
    let chunked = "HTTP/1.1 201 Created\r\nTransfer-Encoding: chunked\r\n\r\n5\r\n\"api/\r\n";
    assert_eq!(fault(RawServer::answering(chunked).await.call().await), (broken, 1));
}

#[tokio::test]
async fn a_refusal_to_know_the_caller_needs_no_body() {
    for (status, code) in [(401, ErrorCode::NotSignedIn), (407, ErrorCode::NotConnected)] {
        let half = format!("HTTP/1.1 {status} No\r\nContent-Length: 100\r\n\r\n<html>");
        match meaning(RawServer::answering(half).await.call().await) {
            (Outcome::Pending(fault), 1) => assert_eq!((fault.code, fault.http_status), (code, Some(status))),
            other => panic!("{other:?}"),
        }
    }
}

/// Writes 100 MB behind a head; the client is to stop long before.
async fn flood(head: &'static str) -> ((TransportFault, usize), usize) {
    const CHUNK: usize = 64 * 1024;
    let (tell, told) = tokio::sync::oneshot::channel();
    let tell = std::sync::Arc::new(std::sync::Mutex::new(Some(tell)));
    let server = RawServer::start(move |mut peer: Peer| {
        let tell = tell.lock().unwrap().take();
        async move {
            peer.request().await.unwrap();
            peer.write(head).await;
            let chunk = vec![b'x'; CHUNK];
            let mut n_written = 0;
            while n_written < 100_000_000 && peer.write(&chunk).await {
                n_written += CHUNK;
            }
            tell.unwrap().send(n_written).unwrap();
        }
    })
    .await;
    let seen = fault(server.call().await);
    (seen, told.await.unwrap())
}

#[tokio::test]
async fn a_huge_answer_is_not_read() {
    for head in [
        "HTTP/1.1 201 Created\r\nContent-Length: 100000000\r\n\r\n",
        "HTTP/1.1 201 Created\r\nConnection: close\r\n\r\n",
        "HTTP/1.1 201 Created\r\nTransfer-Encoding: chunked\r\n\r\n5F5E100\r\n",
    ] {
        let (seen, n_written) = flood(head).await;
        assert_eq!(seen, (TransportFault::AnswerBroken { status: 201 }, 1), "{head}");
        // What the two socket buffers of a loopback connection may take.
        assert!(n_written < 50_000_000, "{n_written} bytes were written");
    }
}

#[tokio::test(start_paused = true)]
async fn silence_after_the_request_is_a_time_out() {
    let server = RawServer::start(async |mut peer: Peer| {
        peer.request().await.unwrap();
        peer.until_closed().await;
    })
    .await;
    let started = tokio::time::Instant::now();
    let client = Client::new(&Endpoint { timeout: Duration::from_secs(130), ..server.endpoint() }).unwrap();
    let answer = client.create(BODY.to_vec(), None).await;
    assert_eq!(fault((answer, server.log.n_posts(BODY))), (TransportFault::Timeout, 1));
    assert_eq!(started.elapsed().as_secs(), 130);
}

/// Sends a byte a second.
async fn trickle(bytes: String) -> RawServer {
    RawServer::start(move |mut peer: Peer| {
        let bytes = bytes.clone();
        async move {
            peer.request().await.unwrap();
            for byte in bytes.into_bytes() {
                tokio::time::sleep(Duration::from_secs(1)).await;
                if !peer.write([byte]).await {
                    return;
                }
            }
        }
    })
    .await
}

#[tokio::test(start_paused = true)]
async fn an_answer_of_a_byte_a_second_ends_with_the_total_time_out() {
    let server = trickle(created()).await;
    assert_eq!(fault(server.call().await), (TransportFault::Timeout, 1));

    let head = "HTTP/1.1 201 Created\r\nContent-Length: 80\r\n\r\n";
    assert!(head.len() < 60);
    let server = trickle(format!("{head}{}", " ".repeat(80))).await;
    assert_eq!(fault(server.call().await), (TransportFault::AnswerBroken { status: 201 }, 1));

    let server = trickle(created()).await;
    let client = Client::new(&Endpoint { timeout: Duration::from_secs(600), ..server.endpoint() }).unwrap();
    assert!(matches!(client.create(BODY.to_vec(), None).await, Answer::Http(answer) if answer.status == 201));
    assert_eq!(server.log.n_posts(BODY), 1);
}

/// A server that takes connections and says nothing: TLS never begins.
async fn mute() -> RawServer {
    RawServer::start(async |mut peer: Peer| peer.until_closed().await).await
}

#[tokio::test(start_paused = true)]
async fn a_time_out_before_the_request_is_certain_whichever_it_is() {
    for (timeout, connect_timeout) in [(130, 10), (5, 600)] {
        let server = mute().await;
        let folder = tempfile::tempdir().unwrap();
        let ca = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
        let ca_file = folder.path().join("ca.pem");
        std::fs::write(&ca_file, ca.cert.pem()).unwrap();
        let endpoint = Endpoint {
            timeout: Duration::from_secs(timeout),
            connect_timeout: Duration::from_secs(connect_timeout),
            ca_file: Some(ca_file),
            ..endpoint(&format!("https://{}", server.address))
        };
        let started = tokio::time::Instant::now();
        let answer = Client::new(&endpoint).unwrap().create(BODY.to_vec(), None).await;
        assert_eq!(fault((answer, server.log.arrivals().len())), (TransportFault::NotConnected, 0));
        assert_eq!(started.elapsed().as_secs(), timeout.min(connect_timeout));
    }
}

#[tokio::test]
async fn a_call_whose_time_to_leave_passed_is_not_sent() {
    let server = RawServer::answering(created()).await;
    let now = Machine::system().since_boot();
    let late = server.client().create(BODY.to_vec(), Some(now.saturating_sub(Duration::from_millis(1)))).await;
    assert_eq!(fault((late, server.log.n_posts(BODY))), (TransportFault::TooLate, 0));
    let in_time = server.client().create(BODY.to_vec(), Some(now + Duration::from_secs(60))).await;
    assert!(matches!(in_time, Answer::Http(_)));
    assert_eq!(server.log.n_posts(BODY), 1);
}
