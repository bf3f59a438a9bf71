//! Reading requests, one and all.

use std::io::Write;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::time::Duration;

use futures_util::StreamExt;

use super::raw::{BODY, Peer, RawServer, UUID, answer};
use crate::client::{Answer, Kept, ListItem, ListTimeouts, ReadError, RequestObject, RequestStatus, TransportFault};
use crate::request::RequestUuid;

fn object(number: u32) -> String {
    format!(
        r#"{{"Uuid":"3f0c2a10-7b44-4f2e-9a51-{number:012x}","RequestType":1,"Status":3,"Flags":2,"DataCollection":[{{"Name":"Sample item","Value":null}}],"DataCollectionFlags":32,"OriginatorUserUuid":"5a1e0f77-2c3d-4b8a-8e10-9d0c7b6a5f02","TargetUserUuid":"5a1e0f77-2c3d-4b8a-8e10-9d0c7b6a5f02","Submitted":"2024-03-05T10:11:12.93Z","Completed":"0001-01-01T00:00:00","NewProfileUuid":"00000000-0000-0000-0000-000000000000","OldProfileUuid":"00000000-0000-0000-0000-000000000000","NewSmartcardUuid":"00000000-0000-0000-0000-000000000000","OldSmartcardUuid":"00000000-0000-0000-0000-000000000000","Priority":0,"Comment":"batch {number}","ProfileTemplateUuid":"c4d5e6f7-1029-4837-b6a5-564738291003","SecurityDescriptor":"O:S-1-5-21-1-2-3-1104D:(A;;RC;;;WD)\u0000\u0000","IsSmartcard":true,"IsEnrollmentAgent":false,"IsDataCollectionComplete":false}}"#
    )
}

fn list(n_objects: u32) -> String {
    let objects: Vec<String> = (1..=n_objects).map(object).collect();
    format!("[{}]", objects.join(","))
}

/// Reads a list to its end: the comments of its objects, and the error that ended it.
async fn read(server: &RawServer) -> (Vec<String>, Option<ReadError>) {
    let mut stream = match server.client().list(ListTimeouts::default()).await {
        Ok(stream) => stream,
        Err(error) => return (Vec::new(), Some(error)),
    };
    let mut comments = Vec::new();
    let mut ended_by = None;
    while let Some(next) = stream.next().await {
        assert!(ended_by.is_none(), "an error is the last that is given");
        match next {
            Ok(ListItem::Request(object)) => comments.push(object.comment),
            Ok(ListItem::Unread { number, reason }) => comments.push(format!("{number} unread: {reason}")),
            Err(error) => ended_by = Some(error),
        }
    }
    assert!(stream.next().await.is_none());
    (comments, ended_by)
}

async fn serving(answer: String) -> RawServer {
    RawServer::answering(answer).await
}

#[tokio::test]
async fn a_list_is_read_to_its_end() {
    let server = serving(answer("200 OK", "Content-Type: application/json\r\n", &list(3))).await;
    let (comments, error) = read(&server).await;
    assert_eq!(comments, ["batch 1", "batch 2", "batch 3"]);
    assert!(error.is_none(), "{error:?}");
    let head = server.log.arrivals().remove(0).head;
    assert!(head.starts_with("GET /CertificateManagement/api/v1.0/requests HTTP/1.1\r\n"), "{head}");
    assert!(head.contains("cache-control: no-cache\r\n"), "{head}");

    for (whole, n_objects) in [
        (answer("204 No Content", "", ""), 0),
        (answer("200 OK", "", "[]"), 0),
        (answer("200 OK", "", &object(1)), 1),
        (format!("HTTP/1.0 200 OK\r\n\r\n{}", list(2)), 2),
    ] {
        let (comments, error) = read(&serving(whole).await).await;
        assert_eq!(comments.len(), n_objects);
        assert!(error.is_none(), "{error:?}");
    }
}

#[tokio::test]
async fn the_list_can_be_taken_as_a_stream() {
    let server = serving(answer("200 OK", "", &list(3))).await;
    let requests: Vec<_> = server.client().list(ListTimeouts::default()).await.unwrap().into_stream().collect().await;
    assert_eq!(requests.len(), 3);
    assert!(requests.iter().all(Result::is_ok));
}

#[tokio::test]
async fn a_list_that_is_cut_off_is_an_error_after_its_objects() {
    let whole = list(3);
    let cut = &whole[..whole.len() - 100];
    // By the length that was promised, by a missing last chunk, and by nothing but the JSON.
    let promised = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{cut}", whole.len());
    let chunked = format!("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n{:x}\r\n{cut}\r\n", cut.len());
    for broken in [promised, chunked] {
        let (comments, error) = read(&serving(broken).await).await;
        assert_eq!(comments.len(), 2);
        let fault = TransportFault::AnswerBroken { status: 200 };
        assert!(matches!(error, Some(ReadError::Transport { fault: seen, .. }) if seen == fault), "{error:?}");
    }
    let (comments, error) = read(&serving(format!("HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n{cut}")).await).await;
    assert_eq!(comments.len(), 2);
    assert!(matches!(error, Some(ReadError::CutOff { after: 2 })), "{error:?}");
    // A whole list in an answer that is not whole is doubted too.
    let short = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{whole}", whole.len() + 1);
    let (comments, error) = read(&serving(short).await).await;
    assert_eq!((comments.len(), error.is_some()), (3, true));
}

#[tokio::test]
async fn what_is_no_list_is_an_error_that_says_what_it_is() {
    let (_, error) = read(&serving(answer("200 OK", "", "<html>sign in</html>")).await).await;
    let message = error.unwrap().to_string();
    assert!(message.contains("byte 0 is '<' where a list was expected"), "{message}");
    let (_, error) = read(&serving(answer("200 OK", "", "")).await).await;
    assert!(matches!(error, Some(ReadError::CutOff { after: 0 })), "{error:?}");
    let (comments, error) = read(&serving(answer("200 OK", "", &format!("[{},{{]}}]", object(1)))).await).await;
    assert_eq!(comments.len(), 1);
    assert!(matches!(error, Some(ReadError::Object { number: 2, .. })), "{error:?}");
    let page = answer("200 OK", "Content-Type: text/html\r\n", "<title>Sign in</title><p>Your password, please");
    let (_, error) = read(&serving(page).await).await;
    assert!(matches!(&error, Some(ReadError::Page(said)) if said == "Sign in: Your password, please"), "{error:?}");
    // What says that it failed is no list of one.
    let (comments, error) = read(&serving(answer("200 OK", "", "{\"Message\":\"failed\"}")).await).await;
    assert_eq!(comments.len(), 0);
    assert!(matches!(error, Some(ReadError::Object { number: 1, .. })), "{error:?}");
    let long = format!("[{},{{\"Comment\":\"{}\"}}]", object(1), "x".repeat(1024 * 1024));
    let (comments, error) = read(&serving(answer("200 OK", "", &long)).await).await;
    assert_eq!(comments.len(), 1);
    assert!(matches!(error, Some(ReadError::TooLong { number: 2 })), "{error:?}");
}

#[tokio::test]
async fn a_request_that_is_nobodys_ends_no_list() {
    let odd = object(2).replace("\"RequestType\":1,\"Status\":3", "\"RequestType\":\"Enroll\",\"Status\":\"Approved\"");
    let list = format!("[{},{{\"Comment\":\"x\"}},{odd}]", object(1));
    let (comments, error) = read(&serving(answer("200 OK", "", &list)).await).await;
    assert_eq!(comments, ["batch 1", "2 unread: it has no Uuid", "batch 2"]);
    assert!(error.is_none(), "{error:?}");
}

#[tokio::test]
async fn a_list_in_another_form_is_read_or_named() {
    let utf16: Vec<u8> = list(3).encode_utf16().flat_map(u16::to_le_bytes).collect();
    let mut zlib = flate2::write::ZlibEncoder::new(Vec::new(), flate2::Compression::default());
    zlib.write_all(&utf16).unwrap();
    let zlib = zlib.finish().unwrap();
    let serving = async |coding: &str, body: &[u8]| {
        let head = format!("HTTP/1.1 200 OK\r\nContent-Encoding: {coding}\r\nContent-Length: {}\r\n\r\n", body.len());
        RawServer::answering([head.as_bytes(), body].concat()).await
    };
    let (comments, error) = read(&serving("deflate", &zlib).await).await;
    assert_eq!((comments.len(), error.is_none()), (3, true));
    let (comments, error) = read(&serving("deflate", &zlib[..zlib.len() - 4]).await).await;
    assert!(matches!(error, Some(ReadError::NotUnderstood(_))), "{} {error:?}", comments.len());
    let (_, error) = read(&serving("zstd", &zlib).await).await;
    assert!(error.unwrap().to_string().contains("Content-Encoding: zstd"));
}

#[tokio::test]
async fn a_list_of_an_earlier_call_is_none() {
    let error = read(&serving(answer("200 OK", "Age: 7\r\n", &list(1))).await).await.1;
    assert!(matches!(error, Some(ReadError::Cached(Kept::Age(7)))), "{error:?}");
    assert!(read(&serving(answer("200 OK", "Age: 0\r\n", &list(1))).await).await.1.is_none());

    // The server's clock goes as it likes; what counts is what it said last.
    let next = Arc::new(AtomicUsize::new(0));
    let server = RawServer::start(move |mut peer: Peer| {
        let next = Arc::clone(&next);
        async move {
            while let Some(arrival) = peer.request().await {
                let time = ["08:00:10", "08:00:11", "08:00:04", "07:00:00", "07:00:01"][next.fetch_add(1, Relaxed)];
                let headers = format!("Date: Sun, 06 Nov 1994 {time} GMT\r\n");
                let status = if arrival.head.starts_with("GET ") { "200 OK" } else { "201 Created" };
                peer.write(answer(status, &headers, "[]")).await;
            }
        }
    })
    .await;
    let client = server.client();
    let date = async || -> Result<String, ReadError> {
        let mut list = client.list(ListTimeouts::default()).await?;
        assert!(list.next().await.is_none());
        Ok(list.date().unwrap().to_string())
    };
    assert_eq!(date().await.unwrap(), "1994-11-06T08:00:10Z");
    assert_eq!(date().await.unwrap(), "1994-11-06T08:00:11Z");
    let error = date().await;
    assert!(matches!(error, Err(ReadError::Cached(Kept::Date(_)))), "{error:?}");
    // The answer to a POST is nobody else's.
    match client.create(BODY.to_vec(), None).await {
        Answer::Http(answer) => assert_eq!(answer.date.unwrap().to_string(), "1994-11-06T07:00:00Z"),
        other => panic!("{other:?}"),
    }
    assert_eq!(date().await.unwrap(), "1994-11-06T07:00:01Z");
}

#[tokio::test]
async fn an_error_status_keeps_what_the_server_said() {
    let id = "71e2d3c4-b5a6-4978-8899-aabbccddee06";
    let body = format!("{{\"Message\":\"no. Correlation id {id}\"}}");
    let server = serving(answer("503 Service Unavailable", "Retry-After: 9\r\n", &body)).await;
    match read(&server).await.1 {
        Some(ReadError::Status { status, message, correlation_id, retry_after }) => {
            assert_eq!((status, retry_after), (503, Some(Duration::from_secs(9))));
            assert_eq!((message, correlation_id.unwrap().as_str()), (format!("no. Correlation id {id}"), id));
        }
        other => panic!("{other:?}"),
    }
    for (line, status) in [("401 Unauthorized", 401), ("404 Not Found", 404), ("302 Found", 302), ("201 Created", 201)]
    {
        let error = read(&serving(answer(line, "Location: /elsewhere\r\n", "")).await).await.1.unwrap();
        assert_eq!(error.status(), Some(status));
        assert!(error.to_string().starts_with(&format!("the server answered {status}: ")), "{error}");
    }
    let broken = "HTTP/1.1 500 Internal Server Error\r\nContent-Length: 99\r\n\r\nhalf".to_owned();
    assert_eq!(read(&serving(broken).await).await.1.unwrap().status(), Some(500));
}

#[tokio::test(start_paused = true)]
async fn a_slow_list_is_waited_for_and_a_silent_one_is_not() {
    let slow = RawServer::start(async |mut peer: Peer| {
        peer.request().await.unwrap();
        peer.write("HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n[").await;
        for number in 1..=20 {
            // Five minutes and more in all, with a time-out of one.
            tokio::time::sleep(Duration::from_secs(50)).await;
            let comma = if number == 20 { "]" } else { "," };
            peer.write(format!("{}{comma}", object(number))).await;
        }
    })
    .await;
    let (comments, error) = read(&slow).await;
    assert_eq!(comments.len(), 20);
    assert!(error.is_none(), "{error:?}");

    let silent = RawServer::start(async |mut peer: Peer| {
        peer.request().await.unwrap();
        peer.write(format!("HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n[{},", object(1))).await;
        peer.until_closed().await;
    })
    .await;
    let (comments, error) = read(&silent).await;
    assert_eq!(comments.len(), 1);
    assert!(matches!(error, Some(ReadError::Transport { fault: TransportFault::Timeout, .. })), "{error:?}");

    let short = ListTimeouts { whole: Duration::from_secs(300), ..ListTimeouts::default() };
    let mut list = slow.client().list(short).await.unwrap();
    let error = loop {
        if let Err(error) = list.next().await.unwrap() {
            break error.to_string();
        }
    };
    assert!(error.contains("did not end within 300s"), "{error}");

    let mute = RawServer::start(async |mut peer: Peer| peer.until_closed().await).await;
    let (_, error) = read(&mute).await;
    assert!(matches!(error, Some(ReadError::Transport { fault: TransportFault::Timeout, .. })), "{error:?}");
}

#[tokio::test]
async fn a_long_list_is_read_object_by_object() {
    let server = RawServer::start(async |mut peer: Peer| {
        peer.request().await.unwrap();
        peer.write("HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n[").await;
        for number in 1..20_000 {
            if !peer.write(format!("{},", object(number))).await {
                return;
            }
        }
        peer.write(format!("{}]", object(20_000))).await;
    })
    .await;
    let mut stream = server.client().list(ListTimeouts::default()).await.unwrap();
    let mut n_read = 0;
    while let Some(next) = stream.next().await {
        n_read += 1;
        let ListItem::Request(object) = next.unwrap() else { panic!("number {n_read}") };
        assert_eq!(object.comment, format!("batch {n_read}"));
    }
    assert_eq!(n_read, 20_000);
}

async fn read_one(answer: String) -> (Result<RequestObject, ReadError>, RawServer) {
    let server = serving(answer).await;
    let uuid = RequestUuid::new(UUID.parse().unwrap());
    (server.client().request(uuid).await, server)
}

#[tokio::test]
async fn one_request_is_read_by_its_uuid() {
    let (object, server) = read_one(answer("200 OK", "", &object(7))).await;
    let object = object.unwrap();
    assert_eq!((object.status, object.comment.as_str()), (RequestStatus::Approved, "batch 7"));
    let head = server.log.arrivals().remove(0).head;
    assert!(head.starts_with(&format!("GET /CertificateManagement/api/v1.0/requests/{UUID} HTTP/1.1\r\n")), "{head}");
}

#[tokio::test]
async fn one_request_that_cannot_be_read_says_why() {
    let error = async |answer: String| read_one(answer).await.0.unwrap_err();
    assert!(matches!(error(answer("204 No Content", "", "")).await, ReadError::NoContent));
    assert_eq!(error(answer("404 Not Found", "", "")).await.status(), Some(404));
    assert!(matches!(error(answer("200 OK", "", "[]")).await, ReadError::Object { number: 1, .. }));
    assert!(matches!(error(answer("200 OK", "", "<html>")).await, ReadError::Object { number: 1, .. }));
    assert!(matches!(
        error(answer("200 OK", "", &" ".repeat(1024 * 1024 + 1))).await,
        ReadError::TooLong { number: 1 }
    ));
    let half = "HTTP/1.1 200 OK\r\nContent-Length: 99\r\n\r\n{".to_owned();
    let fault = TransportFault::AnswerBroken { status: 200 };
    assert!(matches!(error(half).await, ReadError::Transport { fault: seen, .. } if seen == fault));
    let lost = TransportFault::ConnectionLost;
    assert!(matches!(error(String::new()).await, ReadError::Transport { fault: seen, .. } if seen == lost));
}

#[tokio::test]
async fn a_server_is_there_where_it_answers_below_500_with_a_few_exceptions() {
    for (status, is_there) in [
        ("200 OK", true),
        ("204 No Content", true),
        ("302 Found", true),
        ("400 Bad Request", true),
        ("401 Unauthorized", true),
        ("403 Forbidden", true),
        ("429 Too Many Requests", true),
        ("404 Not Found", false),
        ("408 Request Timeout", false),
        ("500 Internal Server Error", false),
        ("503 Service Unavailable", false),
    ] {
        let server = serving(answer(status, "", "")).await;
        assert_eq!(server.client().probe().await.is_ok(), is_there, "{status}");
        let head = server.log.arrivals().remove(0).head;
        assert!(head.starts_with("GET /CertificateManagement/api/v1.0/profiletemplates HTTP/1.1\r\n"), "{head}");
    }
}
