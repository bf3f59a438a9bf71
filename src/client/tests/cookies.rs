//! The cookies of a browser's session, and servers that send calls on to a sign-in.

use std::path::Path;

use super::raw::{BODY, Peer, RawServer, answer, created, endpoint, fault, meaning};
use crate::client::{Auth, Client, ClientError, Endpoint, ListTimeouts, Renewed, TransportFault};
use crate::platform::set_mode;
use crate::request::{ErrorCode, Outcome};

fn write(path: &Path, text: &str) {
    std::fs::write(path, text).unwrap();
    set_mode(path, 0o600);
}

fn client(server: &RawServer, path: &Path) -> Result<Client, ClientError> {
    let auth = Auth::CookieFile(path.to_owned());
    Client::new(&Endpoint { auth, ..endpoint(&format!("http://{}", server.address)) })
}

fn to_sign_in() -> String {
    answer("302 Found", "Location: https://adfs.test/adfs/ls/?wctx=hunter2\r\n", "<html><title>Moved</title>")
}

/// Starts a server that knows the session `FedAuth=good`, and sends other calls on to the sign-in.
async fn gateway() -> RawServer {
    RawServer::start(async |mut peer: Peer| {
        while let Some(arrival) = peer.request().await {
            let is_good = arrival.head.contains("\r\ncookie: FedAuth=good\r\n");
            peer.write(if is_good { created() } else { to_sign_in() }).await;
        }
    })
    .await
}

#[tokio::test]
async fn cookies_go_with_each_call_in_a_header_of_their_own() {
    let (server, folder) = (gateway().await, tempfile::tempdir().unwrap());
    let path = folder.path().join("cookies.txt");
    write(&path, "#HttpOnly_127.0.0.1\tFALSE\t/\tFALSE\t0\tFedAuth\tgood\n");
    let client = client(&server, &path).unwrap();
    client.sign_in().await.unwrap();
    assert!(matches!(meaning((client.create(BODY.to_vec(), None).await, 0)).0, Outcome::Created(_)));
    let heads: Vec<_> = server.log.arrivals().into_iter().map(|arrival| arrival.head).collect();
    assert_eq!(heads.len(), 2);
    assert!(heads.iter().all(|head| head.contains("\r\ncookie: FedAuth=good\r\n")), "{heads:?}");
    assert!(heads.iter().all(|head| !head.contains("authorization:")), "{heads:?}");
    assert!(!format!("{client:?}").contains("good"));
}

#[tokio::test]
async fn a_call_that_is_sent_on_to_the_sign_in_is_in_doubt_and_no_other_goes_out() {
    let (server, folder) = (gateway().await, tempfile::tempdir().unwrap());
    let path = folder.path().join("cookies.txt");
    write(&path, "FedAuth=old\n");
    let client = client(&server, &path).unwrap();
    match meaning((client.create(BODY.to_vec(), None).await, 0)).0 {
        Outcome::InDoubt(fault) => {
            assert_eq!((fault.code, fault.http_status), (ErrorCode::UnexpectedStatus, Some(302)));
        }
        other => panic!("{other:?}"),
    }
    for _ in 0..3 {
        match meaning((client.create(BODY.to_vec(), None).await, 0)).0 {
            Outcome::Pending(fault) => {
                assert_eq!(fault.code, ErrorCode::NotSignedIn);
                let said = &fault.message;
                assert!(said.contains("cookies.txt\" (written 0 min ago) is over"), "{said}");
                assert!(said.contains("https://adfs.test/adfs/ls/ (302)") && !said.contains("hunter2"), "{said}");
            }
            other => panic!("{other:?}"),
        }
    }
    // It was sent once, and nobody followed.
    assert_eq!((server.log.n_posts(BODY), server.log.arrivals().len()), (1, 1));

    // Another session in the file is taken at once.
    write(&path, "FedAuth=good\n");
    assert!(matches!(meaning((client.create(BODY.to_vec(), None).await, 0)).0, Outcome::Created(_)));
    assert_eq!(client.renew().unwrap(), Renewed::Changed);
    write(&path, "");
    assert!(client.renew().unwrap_err().to_string().contains("cookies.txt\" is empty"));
}

#[tokio::test]
async fn a_session_is_tried_before_anything_is_sent() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("cookies.txt");
    write(&path, "FedAuth=old\n");
    let page = answer("200 OK", "Content-Type: text/html\r\n", "<html><title>Sign in</title>");
    for (over, says) in [(to_sign_in(), "sends the call on"), (page, "answers with a page for people (200)")] {
        let server = RawServer::answering(over).await;
        let error = client(&server, &path).unwrap().sign_in().await.unwrap_err();
        assert!(matches!(&error, ClientError::Session(said) if said.contains(says)), "{error}");
        let listed = client(&server, &path).unwrap().list(ListTimeouts::default()).await.err().unwrap();
        assert!(listed.to_string().contains(says), "{listed}");
        assert!(server.log.arrivals().iter().all(|arrival| arrival.head.starts_with("GET ")));
    }
    for other in [answer("200 OK", "Content-Type: application/json\r\n", "[]"), answer("404 Not Found", "", "")] {
        client(&RawServer::answering(other).await, &path).unwrap().sign_in().await.unwrap();
    }
    // Where calls sign in otherwise, what is sent on is what it was.
    let server = RawServer::answering(to_sign_in()).await;
    assert_eq!(server.client().create(BODY.to_vec(), None).await, server.client().create(BODY.to_vec(), None).await);
}

#[tokio::test]
async fn a_file_without_cookies_for_the_server_makes_no_client() {
    let (server, folder) = (gateway().await, tempfile::tempdir().unwrap());
    let path = folder.path().join("cookies.txt");
    for (text, says) in [
        ("other.test\tFALSE\t/\tFALSE\t0\tFedAuth\tgood\n", "is of no use: there is no cookie for 127.0.0.1"),
        ("127.0.0.1\tFALSE\t/\tFALSE\t1\tFedAuth\tgood\n", "; FedAuth ended on 1970-01-01"),
        ("good\n", "is in neither form"),
    ] {
        write(&path, text);
        let error = client(&server, &path).unwrap_err();
        assert!(matches!(error, ClientError::Cookie(_)));
        let said = format!("{error} {error:?}");
        assert!(said.contains(says) && !said.contains("good\""), "{said}");
    }
    if cfg!(unix) {
        set_mode(&path, 0o644);
        let said = client(&server, &path).unwrap_err().to_string();
        assert!(said.contains("is open to others (mode 644); type: chmod 600"), "{said}");
    }
}

#[tokio::test]
async fn a_session_that_is_over_lets_no_create_call_leave() {
    let (server, folder) = (gateway().await, tempfile::tempdir().unwrap());
    let path = folder.path().join("cookies.txt");
    write(&path, "FedAuth=old\n");
    let client = client(&server, &path).unwrap();
    client.sign_in().await.unwrap_err();
    assert_eq!(
        fault((client.create(BODY.to_vec(), None).await, server.log.n_posts(BODY))),
        (TransportFault::NotSignedIn, 0)
    );
}
