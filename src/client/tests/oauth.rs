//! Tokens of a token server.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use url::form_urlencoded;

use super::raw::{BODY, Peer, RawServer, answer, created, endpoint, fault};
use super::tls::{Authority, start_answering};
use crate::client::{
    Answer, Auth, Client, ClientError, ClientProof, Endpoint, Identity, OAuth, Secret, StoredSecret, TransportFault,
};
use crate::platform::set_mode;

fn granted(token: &str, expires_in: &str) -> String {
    let json = format!("{{\"access_token\":\"{token}\",\"token_type\":\"Bearer\",\"expires_in\":{expires_in}}}");
    answer("200 OK", "Content-Type: application/json\r\n", &json)
}

/// Starts a token server that gives `token-1`, `token-2` and so on.
async fn token_server(expires_in: &'static str) -> RawServer {
    let n_given = Arc::new(AtomicUsize::new(0));
    RawServer::start(move |mut peer: Peer| {
        let n_given = Arc::clone(&n_given);
        async move {
            while peer.request().await.is_some() {
                let number = n_given.fetch_add(1, Ordering::SeqCst) + 1;
                peer.write(granted(&format!("token-{number}"), expires_in)).await;
            }
        }
    })
    .await
}

fn client(server: &RawServer, tokens: &RawServer) -> Client {
    client_with(server, tokens, ClientProof::Secret(StoredSecret::Given(Secret::new("hunter2:x".to_owned()))))
}

fn client_with(server: &RawServer, tokens: &RawServer, proof: ClientProof) -> Client {
    let oauth = OAuth {
        token_url: format!("http://{}/adfs/oauth2/token", tokens.address).parse().unwrap(),
        client_id: "cm batch".to_owned(),
        proof,
        resource: Some("https://cm.contoso.test/".to_owned()),
        scope: None,
    };
    let through = Endpoint { auth: Auth::OAuth(Arc::new(oauth)), ..endpoint(&format!("http://{}", server.address)) };
    Client::new(&through).unwrap()
}

fn authorizations(server: &RawServer) -> Vec<String> {
    let header = |head: &str| head.lines().find_map(|line| Some(line.strip_prefix("authorization: ")?.to_owned()));
    server.log.arrivals().iter().filter_map(|arrival| header(&arrival.head)).collect()
}

#[tokio::test]
async fn one_token_is_got_for_all_calls_and_kept() {
    let (server, tokens) = (RawServer::answering(created()).await, token_server("3600").await);
    let client = client(&server, &tokens);
    let calls = (0..20).map(|_| client.create(BODY.to_vec(), None));
    for seen in futures_util::future::join_all(calls).await {
        assert!(matches!(seen, Answer::Http(answer) if answer.status == 201));
    }
    assert_eq!(authorizations(&server), vec!["Bearer token-1"; 20]);
    let asked = tokens.log.arrivals();
    assert_eq!(asked.len(), 1);
    assert_eq!(asked[0].body, b"grant_type=client_credentials&resource=https%3A%2F%2Fcm.contoso.test%2F");
    // "cm+batch:hunter2%3Ax": both are encoded as in a form.
    assert_eq!(authorizations(&tokens), ["Basic Y20rYmF0Y2g6aHVudGVyMiUzQXg="]);
    assert!(!format!("{client:?}").contains("hunter2"));
}

#[tokio::test]
async fn a_client_with_a_certificate_signs_each_request_for_a_token_anew() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("client.pem");
    let made = rcgen::generate_simple_self_signed(["cmbatch".to_owned()]).unwrap();
    std::fs::write(&path, made.cert.pem() + &made.signing_key.serialize_pem()).unwrap();
    set_mode(&path, 0o600);
    let proof = || ClientProof::Certificate(Identity { certificate: path.clone(), key: None, password: None });

    let (server, tokens) = (RawServer::answering(created()).await, token_server("0").await);
    let signed = client_with(&server, &tokens, proof());
    for _ in 0..2 {
        signed.create(BODY.to_vec(), None).await;
    }
    assert_eq!(authorizations(&server), ["Bearer token-1", "Bearer token-2"]);
    assert!(authorizations(&tokens).is_empty(), "an assertion goes in the form alone");
    let mut assertions = Vec::new();
    for asked in tokens.log.arrivals() {
        let form: Vec<(String, String)> = form_urlencoded::parse(&asked.body).into_owned().collect();
        let (assertion, rest) = form.split_last().unwrap();
        let rest: Vec<_> = rest.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
        assert_eq!(
            rest,
            [
                ("grant_type", "client_credentials"),
                ("resource", "https://cm.contoso.test/"),
                ("client_id", "cm batch"),
                ("client_assertion_type", "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"),
            ]
        );
        assert_eq!(assertion.0, "client_assertion");
        assertions.push(assertion.1.clone());
    }
    assert_ne!(assertions[0], assertions[1]);

    let refusal = answer("401 Unauthorized", "", r#"{"error":"invalid_client"}"#);
    let refusing = RawServer::answering(refusal).await;
    let said = client_with(&server, &refusing, proof()).sign_in().await.unwrap_err().to_string();
    assert!(said.contains("invalid_client") && said.contains("(thumbprint "), "{said}");
    if cfg!(windows) {
        return;
    }
    set_mode(&path, 0o644);
    let replaced = client_with(&server, &tokens, proof());
    for _ in 0..3 {
        replaced.sign_in().await.unwrap_err();
    }
    let said = replaced.sign_in().await.unwrap_err().to_string();
    assert!(said.contains("client.pem\" is open to others (mode 644); type: chmod 600"), "{said}");
    // Nobody refused anything, so the file may be mended during a run.
    set_mode(&path, 0o600);
    replaced.sign_in().await.unwrap();
}

#[tokio::test]
async fn a_token_is_renewed_before_its_end() {
    let (server, tokens) = (RawServer::answering(created()).await, token_server("\"0\"").await);
    let client = client(&server, &tokens);
    for _ in 0..3 {
        client.create(BODY.to_vec(), None).await;
    }
    assert_eq!(authorizations(&server), ["Bearer token-1", "Bearer token-2", "Bearer token-3"]);
}

#[tokio::test]
async fn a_token_that_the_api_refuses_is_replaced_once() {
    let server = RawServer::start(async |mut peer: Peer| {
        while let Some(arrival) = peer.request().await {
            let is_new = arrival.head.contains("token-2");
            let refusal = answer("401 Unauthorized", "WWW-Authenticate: Bearer\r\n", "");
            peer.write(if is_new { created() } else { refusal }).await;
        }
    })
    .await;
    let tokens = token_server("3600").await;
    let seen = client(&server, &tokens).create(BODY.to_vec(), None).await;
    assert!(matches!(seen, Answer::Http(answer) if answer.status == 201));
    assert_eq!((server.log.n_posts(BODY), tokens.log.arrivals().len()), (2, 2));

    let refusing = RawServer::answering(answer("401 Unauthorized", "", "")).await;
    let seen = client(&refusing, &tokens).create(BODY.to_vec(), None).await;
    assert!(matches!(seen, Answer::Http(answer) if answer.status == 401));
    assert_eq!(refusing.log.n_posts(BODY), 2);
}

#[tokio::test]
async fn a_token_server_that_fails_is_asked_once_for_all_calls_that_wait() {
    let failing = answer("503 Service Unavailable", "", "");
    let (server, tokens) = (RawServer::answering(created()).await, RawServer::answering(failing).await);
    let client = client(&server, &tokens);
    for n_asked in 1..=2 {
        let calls = (0..20).map(|_| client.create(BODY.to_vec(), None));
        for seen in futures_util::future::join_all(calls).await {
            assert_eq!(fault((seen, 0)), (TransportFault::NotSignedIn, 0));
        }
        assert_eq!((tokens.log.arrivals().len(), server.log.n_posts(BODY)), (n_asked, 0));
    }
}

#[tokio::test]
async fn a_token_server_that_gives_none_says_why_and_is_asked_twice_at_most() {
    let refusal = answer("400 Bad Request", "", r#"{"error":"invalid_client","error_description":"MSIS9622"}"#);
    let (server, tokens) = (RawServer::answering(created()).await, RawServer::answering(refusal).await);
    let refused = client(&server, &tokens);
    let error = refused.sign_in().await.unwrap_err();
    let said = error.to_string();
    assert!(matches!(error, ClientError::OAuth(_)) && said.contains("invalid_client: MSIS9622"), "{said}");
    assert!(!said.contains("hunter2"), "{said}");
    for _ in 0..5 {
        let seen = refused.create(BODY.to_vec(), None).await;
        assert_eq!(fault((seen, 0)), (TransportFault::NotSignedIn, 0));
    }
    assert_eq!((tokens.log.arrivals().len(), server.log.n_posts(BODY)), (2, 0));

    for wrong in [answer("200 OK", "", "<html>"), answer("503 Service Unavailable", "", ""), String::new()] {
        let tokens = RawServer::answering(wrong).await;
        let said = client(&server, &tokens).sign_in().await.unwrap_err().to_string();
        assert!(said.contains("the token server 127.0.0.1"), "{said}");
    }
}

#[tokio::test]
async fn a_token_server_is_trusted_by_itself() {
    let authority = Authority::new("ours");
    let granted = granted("token-1", "3600");
    let oauth = |host: &str, tokens: &RawServer| OAuth {
        token_url: format!("https://{host}:{}/token", tokens.address.port()).parse().unwrap(),
        client_id: "cm".to_owned(),
        proof: ClientProof::Secret(StoredSecret::Given(Secret::new("hunter2".to_owned()))),
        resource: None,
        scope: None,
    };
    let with = |api: Endpoint, oauth: OAuth| {
        Client::new(&Endpoint { auth: Auth::OAuth(Arc::new(oauth)), ca_file: Some(authority.file()), ..api }).unwrap()
    };
    // An API without TLS does not take the roots from its token server.
    let plain = RawServer::answering(created()).await;
    let (tokens, _) = start_answering(authority.acceptor("127.0.0.1", rustls::ALL_VERSIONS), granted.clone()).await;
    let seen = with(plain.endpoint(), oauth("127.0.0.1", &tokens)).create(BODY.to_vec(), None).await;
    assert!(matches!(&seen, Answer::Http(answer) if answer.status == 201), "{seen:?}");

    // The API's pin is about the API's host.
    let pins = vec!["sha256//47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=".parse().unwrap()];
    let api = || Endpoint { pins: pins.clone(), ..endpoint("https://localhost:1") };
    let (same, _) = start_answering(authority.acceptor("localhost", rustls::ALL_VERSIONS), granted).await;
    for (host, tokens, is_pinned) in [("127.0.0.1", &tokens, false), ("LOCALHOST", &same, true)] {
        let signed_in = with(api(), oauth(host, tokens)).sign_in().await;
        match signed_in {
            Err(error) => assert!(is_pinned && error.to_string().contains("--pin"), "{error}"),
            Ok(_) => assert!(!is_pinned),
        }
    }
}
