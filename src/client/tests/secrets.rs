//! Nothing that is printed shows a secret.

use super::raw::{BODY, RawServer, answer};
use crate::client::{Auth, Client, Endpoint, ListTimeouts, On503, Secret, classify};

const TOKEN: &str = "hunter2-hunter2";

#[tokio::test]
async fn no_debug_form_and_no_error_shows_the_token() {
    let server = RawServer::answering(answer("401 Unauthorized", "", "")).await;
    let auth = Auth::BearerEnv { name: "CMBATCH_BEARER_TOKEN".into(), value: Secret::new(TOKEN.into()) };
    let endpoint = Endpoint { auth, ..server.endpoint() };
    let client = Client::new(&endpoint).unwrap();
    let refused = client.create(BODY.to_vec(), None).await;
    let unread = client.list(ListTimeouts::default()).await.unwrap_err();
    let address = server.address;
    drop(server);
    let unsent = client.create(BODY.to_vec(), None).await;
    let bad = Auth::BearerEnv { name: "T".into(), value: Secret::new(format!("{TOKEN} {TOKEN}")) };
    let no_client =
        Client::new(&Endpoint { auth: bad, ..super::raw::endpoint(&format!("http://{address}")) }).unwrap_err();

    let outcome = classify(&refused, On503::InDoubt);
    let shown = format!(
        "{endpoint:?} {client:?} {refused:?} {outcome:?} {unread} {unread:?} {unsent:?} {no_client} {no_client:?}"
    );
    assert!(shown.contains("[redacted]") && shown.contains("401"), "{shown}");
    assert!(!shown.contains("hunter2"), "{shown}");
}
