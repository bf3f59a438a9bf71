//! Whole answers, and the wire form of a call.

use std::io::Write;
use std::time::Duration;

use super::raw::{BODY, Peer, RawServer, UUID, answer, created, meaning};
use crate::client::{Answer, Auth, Client, Endpoint, Renewed, Secret};
use crate::request::{ErrorCode, Outcome};

#[track_caller]
fn assert_created(seen: (Outcome, usize)) {
    match seen {
        (Outcome::Created(uri), 1) => assert_eq!(uri.uuid().to_string(), UUID),
        other => panic!("{other:?}"),
    }
}

#[track_caller]
fn assert_in_doubt(seen: (Outcome, usize), code: ErrorCode) {
    match seen {
        (Outcome::InDoubt(fault), 1) => assert_eq!(fault.code, code),
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn the_call_has_its_documented_wire_form() {
    let server = RawServer::answering(created()).await;
    assert_created(meaning(server.call().await));
    let arrivals = server.log.arrivals();
    let lines: Vec<String> = arrivals[0].head.trim_end().split("\r\n").map(str::to_lowercase).collect();
    assert_eq!(lines[0], "post /certificatemanagement/api/v1.0/requests http/1.1");
    assert!(arrivals[0].head.starts_with("POST /CertificateManagement/api/v1.0/requests HTTP/1.1\r\n"));
    let mut headers = lines[1..].to_vec();
    headers.sort();
    assert_eq!(
        headers,
        [
            "accept: application/json".to_owned(),
            format!("content-length: {}", BODY.len()),
            "content-type: application/json".to_owned(),
            format!("host: {}", server.address),
            format!("user-agent: cmbatch/{}", env!("CARGO_PKG_VERSION")),
        ]
    );
}

#[tokio::test]
async fn a_201_is_read_in_each_form_and_doubted_without_uri() {
    let uri = format!("/CertificateManagement/api/v1.0/requests/{UUID}");
    let location = format!("Location: {uri}\r\n");
    assert_created(meaning(RawServer::answering(answer("201 Created", &location, "")).await.call().await));
    assert_created(meaning(RawServer::answering(answer("201 Created", "", &uri)).await.call().await));
    let chunked = format!(
        "HTTP/1.1 201 Created\r\nTransfer-Encoding: chunked\r\n\r\n1\r\n\"\r\n{:x}\r\n{uri}\r\n1\r\n\"\r\n0\r\n\r\n",
        uri.len()
    );
    assert_created(meaning(RawServer::answering(chunked).await.call().await));
    let until_close = format!("HTTP/1.0 201 Created\r\n\r\n\"{uri}\"");
    assert_created(meaning(RawServer::answering(until_close).await.call().await));

    for body in ["", "garbage", "<html><title>Welcome</title></html>", "{\"Uuid\":\"x\"}"] {
        let server = RawServer::answering(answer("201 Created", "", body)).await;
        assert_in_doubt(meaning(server.call().await), ErrorCode::NoUri);
    }
}

#[tokio::test]
async fn a_201_that_is_compressed_is_read_and_one_that_cannot_be_says_so() {
    let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
    gzip.write_all(format!("\"api/v1.0/requests/{UUID}\"").as_bytes()).unwrap();
    let gzip = gzip.finish().unwrap();
    let with = |status: &str, coding: &str, body: &[u8]| {
        let head = format!("HTTP/1.1 {status}\r\nContent-Encoding: {coding}\r\nContent-Length: {}\r\n\r\n", body.len());
        [head.as_bytes(), body].concat()
    };
    assert_created(meaning(RawServer::answering(with("201 Created", "gzip", &gzip)).await.call().await));
    for (coding, body, says) in
        [("br", &gzip[..], "Content-Encoding: br"), ("gzip", &gzip[..gzip.len() - 9], "its gzip is damaged")]
    {
        let (outcome, _) = meaning(RawServer::answering(with("201 Created", coding, body)).await.call().await);
        let fault = outcome.fault().unwrap();
        assert_eq!(fault.code, ErrorCode::NoUri);
        assert!(fault.message.contains(says), "{fault:?}");
        // The status says enough.
        let (outcome, _) = meaning(RawServer::answering(with("403 Forbidden", coding, body)).await.call().await);
        assert!(matches!(&outcome, Outcome::Failed(fault) if fault.message.contains(says)), "{outcome:?}");
    }
    let mut bomb = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
    bomb.write_all(&vec![b' '; 10_000_000]).unwrap();
    let seen = RawServer::answering(with("201 Created", "gzip", &bomb.finish().unwrap())).await.call().await;
    assert_in_doubt(meaning(seen), ErrorCode::AnswerBroken);
}

#[tokio::test]
async fn interim_answers_are_passed_over() {
    let interim = "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\n";
    let server = RawServer::answering(format!("{interim}{}", created())).await;
    assert_created(meaning(server.call().await));
}

#[tokio::test]
async fn a_redirect_is_not_followed() {
    for status in ["301 Moved", "302 Found", "303 See Other", "307 Temporary Redirect", "308 Permanent Redirect"] {
        let server = RawServer::answering(answer(status, "Location: /elsewhere\r\n", "")).await;
        assert_in_doubt(meaning(server.call().await), ErrorCode::UnexpectedStatus);
        assert_eq!(server.log.arrivals().len(), 1, "{status}");
    }
}

#[tokio::test]
async fn a_proxys_page_gives_its_title() {
    let page = "<html><head><title>502 Bad Gateway</title></head><body>nginx</body></html>";
    let server = RawServer::answering(answer("502 Bad Gateway", "Content-Type: text/html\r\n", page)).await;
    match meaning(server.call().await) {
        (Outcome::InDoubt(fault), 1) => {
            assert_eq!((fault.code, fault.message.as_str()), (ErrorCode::BadGateway, "502 Bad Gateway"));
        }
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn the_time_to_wait_is_read_from_the_answer() {
    let dated = "Date: Sun, 06 Nov 1994 08:49:07 GMT\r\nRetry-After: Sun, 06 Nov 1994 08:49:37 GMT\r\n";
    for (headers, expect) in
        [("Retry-After: 7\r\n", Some(7)), (dated, Some(30)), ("", None), ("Retry-After: x\r\n", None)]
    {
        let server = RawServer::answering(answer("429 Too Many Requests", headers, "")).await;
        match server.call().await {
            (Answer::Http(answer), 1) => assert_eq!(answer.retry_after, expect.map(Duration::from_secs), "{headers}"),
            other => panic!("{other:?}"),
        }
    }
}

fn authorization(head: &str) -> Option<&str> {
    head.lines().find_map(|line| line.strip_prefix("authorization: "))
}

#[tokio::test]
async fn a_token_file_is_read_again_when_asked() {
    let server = RawServer::start(async |mut peer: Peer| peer.serve(created()).await).await;
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), "first\n").unwrap();
    let auth = Auth::BearerFile(file.path().to_owned());
    let client = Client::new(&Endpoint { auth, ..server.endpoint() }).unwrap();

    client.create(BODY.to_vec(), None).await;
    assert_eq!(client.renew().unwrap(), Renewed::Same);
    std::fs::write(file.path(), "second\n").unwrap();
    client.create(BODY.to_vec(), None).await;
    assert_eq!(client.clone().renew().unwrap(), Renewed::Changed);
    client.create(BODY.to_vec(), None).await;
    std::fs::write(file.path(), "").unwrap();
    assert!(client.renew().is_err());
    client.create(BODY.to_vec(), None).await;

    let arrivals = server.log.arrivals();
    let sent: Vec<_> = arrivals.iter().map(|arrival| authorization(&arrival.head).unwrap()).collect();
    assert_eq!(sent, ["Bearer first", "Bearer first", "Bearer second", "Bearer second"]);
}

#[tokio::test]
async fn other_credentials_cannot_be_renewed() {
    let server = RawServer::start(async |mut peer: Peer| peer.serve(created()).await).await;
    let auth = Auth::BearerEnv { name: "TOKEN".into(), value: Secret::new("fixed".into()) };
    let client = Client::new(&Endpoint { auth, ..server.endpoint() }).unwrap();
    client.create(BODY.to_vec(), None).await;
    assert_eq!(authorization(&server.log.arrivals()[0].head), Some("Bearer fixed"));
    assert_eq!(client.renew().unwrap(), Renewed::NotPossible);
    assert_eq!(server.client().renew().unwrap(), Renewed::NotPossible);
}
