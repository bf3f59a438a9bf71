//! OAuth 2 client credentials (RFC 6749, 4.4), as AD FS gives them: a token from a token server, renewed before it ends.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use data_encoding::BASE64;
use http::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE};
use http::{HeaderValue, Method};
use reqwest::{Body, Request};
use serde::Deserialize;
use tokio::sync::Mutex;
use url::{Url, form_urlencoded};
use uuid::Uuid;

use self::assertion::{AssertionError, AssertionKey};
use super::auth::bearer;
use super::base_url::{AllowHttp, BaseUrl};
use super::body::{self, Broken};
use super::identity::Identity;
use super::renewal::{Failed, Renewal, Rules};
use super::sign_in::waiting;
use super::stored_secret::StoredSecret;
use super::transport;
use crate::platform::since_boot;
use crate::request::printable;

mod assertion;

/// The longest answer of a token server that is read, in bytes.
const MAX_ANSWER_BYTES: usize = 256 * 1024;
const RULES: Rules = Rules { at_percent: 80, max_refusals: 2 };
/// The time of a token whose server does not say (RFC 6749, 5.1, lets it): what AD FS gives by default.
const USUAL_LIFETIME: Duration = Duration::from_secs(3600);
/// The address of a token server: https, or http to this machine.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TokenUrl(Url);

/// The text is not the address of a token server.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("write the token server's address as https://HOST/PATH, such as https://adfs.contoso.com/adfs/oauth2/token")]
pub struct InvalidTokenUrl;

impl FromStr for TokenUrl {
    type Err = InvalidTokenUrl;

    fn from_str(text: &str) -> Result<Self, InvalidTokenUrl> {
        let url = Url::parse(text.trim()).map_err(|_| InvalidTokenUrl)?;
        let is_bare = url.username().is_empty() && url.password().is_none() && url.fragment().is_none();
        // What is refused of the API's address is refused here: above all plain http over a network.
        let mut origin = url.clone();
        origin.set_query(None);
        if is_bare && BaseUrl::parse(origin.as_str(), AllowHttp::LoopbackOnly).is_ok() {
            Ok(Self(url))
        } else {
            Err(InvalidTokenUrl)
        }
    }
}

impl TokenUrl {
    pub(crate) const fn url(&self) -> &Url {
        &self.0
    }
}

/// What the client shows to the token server.
#[derive(Debug)]
pub enum ClientProof {
    /// A secret that both know.
    Secret(StoredSecret),
    /// What the key of its certificate has signed (`private_key_jwt`, RFC 7523).
    Certificate(Identity),
}

/// How to get a token.
#[derive(Debug)]
pub struct OAuth {
    /// The token server.
    pub token_url: TokenUrl,
    /// The client's id there.
    pub client_id: String,
    /// What shows that it is that client.
    pub proof: ClientProof,
    /// What the token is for, as AD FS wants to know it.
    pub resource: Option<String>,
    /// The scope.
    pub scope: Option<String>,
}

/// Why there is no token.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct OAuthError(String);

/// The token of a process.
pub(crate) struct Tokens {
    http: reqwest::Client,
    settings: Arc<OAuth>,
    /// One task gets a token; the others wait for it here.
    held: Mutex<Held>,
}

struct Held {
    renewal: Renewal<HeaderValue, OAuthError>,
    /// When the token server was last asked in vain with no token left, and what came of it.
    failed: Option<(Duration, OAuthError)>,
}

/// A token server's answer (RFC 6749, 5.1).
#[derive(Deserialize)]
struct Granted {
    access_token: String,
    token_type: String,
    expires_in: Option<Seconds>,
}

/// AD FS writes a number, others write text.
#[derive(Deserialize)]
#[serde(untagged)]
enum Seconds {
    Number(u64),
    Text(String),
}

/// A token server's refusal (RFC 6749, 5.2).
#[derive(Deserialize)]
struct Refused {
    error: String,
    error_description: Option<String>,
}

impl Tokens {
    pub(crate) fn new(http: reqwest::Client, settings: Arc<OAuth>) -> Self {
        Self { http, settings, held: Mutex::new(Held { renewal: Renewal::new(RULES), failed: None }) }
    }

    /// Returns the header of now, getting a token where that is due.
    ///
    /// # Errors
    /// There is none.
    pub(crate) async fn header(&self) -> Result<HeaderValue, OAuthError> {
        let began = since_boot();
        let mut held = self.held.lock().await;
        let now = since_boot();
        if let Some(settled) = held.renewal.without_asking(now) {
            return settled;
        }
        // Who waited while another asked in vain does not ask once more: that may take a time-out each.
        if let Some((_, error)) = held.failed.as_ref().filter(|(at, _)| *at >= began) {
            return Err(error.clone());
        }
        let header = held.renewal.taken(now, self.fetch().await);
        held.failed = header.as_ref().err().map(|error| (since_boot(), error.clone()));
        header
    }

    /// Forgets a token that the API refused, unless another call did so before.
    pub(crate) async fn refused(&self, header: &HeaderValue) {
        let mut held = self.held.lock().await;
        if held.renewal.held() == Some(header) {
            held.renewal.expire();
        }
    }

    async fn fetch(&self) -> Result<(HeaderValue, Duration), Failed<OAuthError>> {
        let place = self.settings.token_url.0.host_str().unwrap_or_default().to_owned();
        let settings = Arc::clone(&self.settings);
        // Opening a PKCS#12 file and signing take their time.
        let signed = waiting(move || settings.request()).await;
        // Nobody was asked: a file that is being replaced may be good the next time.
        let Made { request, check } = signed.map_err(Failed::Unanswered)?;
        let unanswered = |said: String| Failed::Unanswered(OAuthError(format!("the token server {place}: {said}")));
        let response = self.http.execute(request).await.map_err(|error| unanswered(transport::message(&error)))?;
        let status = response.status();
        let body = body::read(response, MAX_ANSWER_BYTES).await.map_err(|broken| {
            unanswered(match broken {
                Broken::TooLong => "its answer is too long".to_owned(),
                Broken::Lost(said) => said,
                Broken::NotUnderstood(why) => format!("its answer cannot be read: {why}"),
            })
        })?;
        if !status.is_success() {
            let refused = serde_json::from_slice::<Refused>(&body);
            let is_of_client =
                is_of_client(status.as_u16(), refused.as_ref().ok().map(|refused| refused.error.as_str()));
            let said = match refused {
                Ok(Refused { error, error_description: Some(more) }) => printable(&format!("{error}: {more}")),
                Ok(Refused { error, error_description: None }) => printable(&error),
                Err(_) => status.to_string(),
            };
            return Err(if is_of_client {
                Failed::Refused(OAuthError(format!("the token server {place} refuses the client ({said}); {check}")))
            } else {
                unanswered(format!("it gives no token now ({said}); check --token-url where that does not pass"))
            });
        }
        let granted: Granted = serde_json::from_slice(&body)
            .map_err(|_| unanswered("its answer is no token (RFC 6749, 5.1); check --token-url".to_owned()))?;
        if !granted.token_type.eq_ignore_ascii_case("bearer") {
            return Err(unanswered(format!("its token is of the type {}, not bearer", printable(&granted.token_type))));
        }
        let header = bearer(&granted.access_token).map_err(|fault| unanswered(format!("its token {fault}")))?;
        let lifetime = match granted.expires_in {
            Some(Seconds::Number(seconds)) => Some(seconds),
            Some(Seconds::Text(text)) => text.trim().parse().ok(),
            None => None,
        };
        Ok((header, lifetime.map_or(USUAL_LIFETIME, Duration::from_secs)))
    }
}

/// Returns whether an error is about who asks and what for, and will be the same the next time. What a server says that is busy,
/// fails or is another one is none of this.
fn is_of_client(status: u16, error: Option<&str>) -> bool {
    matches!(status, 400 | 401 | 403)
        && !matches!(error, Some("temporarily_unavailable" | "server_error" | "slow_down"))
}

/// A request for a token, and what is to be looked at where it is refused.
struct Made {
    request: Request,
    check: String,
}

impl OAuth {
    fn request(&self) -> Result<Made, OAuthError> {
        let mut form = form_urlencoded::Serializer::new(String::new());
        form.append_pair("grant_type", "client_credentials");
        for (name, value) in [("resource", &self.resource), ("scope", &self.scope)] {
            if let Some(value) = value {
                form.append_pair(name, value);
            }
        }
        let mut request = Request::new(Method::POST, self.token_url.0.clone());
        let headers = request.headers_mut();
        headers.insert(ACCEPT, HeaderValue::from_static("application/json"));
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/x-www-form-urlencoded"));
        let check = match &self.proof {
            ClientProof::Secret(secret) => {
                headers.insert(AUTHORIZATION, self.basic(secret)?);
                "check --client-id, its secret and --resource".to_owned()
            }
            ClientProof::Certificate(identity) => {
                let refused = |error: AssertionError| OAuthError(error.to_string());
                let (key, now) = (AssertionKey::read(identity).map_err(refused)?, SystemTime::now());
                let audience = self.token_url.0.as_str();
                let assertion = key.assertion(&self.client_id, audience, now, Uuid::new_v4()).map_err(refused)?;
                // AD FS wants the id beside the assertion, which names it, too.
                form.append_pair("client_id", &self.client_id);
                form.append_pair("client_assertion_type", assertion::TYPE);
                form.append_pair("client_assertion", &assertion);
                key.check(now)
            }
        };
        *request.body_mut() = Some(Body::from(form.finish()));
        Ok(Made { request, check })
    }

    fn basic(&self, secret: &StoredSecret) -> Result<HeaderValue, OAuthError> {
        let secret = secret.read("the client's secret").map_err(OAuthError)?;
        // RFC 6749, 2.3.1: both are encoded as a form is, before they go into a header.
        let encoded = |text: &str| form_urlencoded::byte_serialize(text.as_bytes()).collect::<String>();
        let basic = BASE64.encode(format!("{}:{}", encoded(&self.client_id), encoded(&secret)).as_bytes());
        let mut basic = HeaderValue::from_str(&format!("Basic {basic}")).expect("base64 is ASCII");
        basic.set_sensitive(true);
        Ok(basic)
    }
}

impl fmt::Debug for Tokens {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Tokens").field("settings", &self.settings).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_server_that_is_busy_has_refused_nobody() {
        for (status, error) in [(401, Some("invalid_client")), (400, Some("invalid_grant")), (403, None), (400, None)] {
            assert!(is_of_client(status, error), "{status} {error:?}");
        }
        let busy = Some("temporarily_unavailable");
        for (status, error) in
            [(429, None), (429, busy), (400, busy), (503, None), (302, None), (404, None), (407, None)]
        {
            assert!(!is_of_client(status, error), "{status} {error:?}");
        }
    }

    #[test]
    fn a_token_server_is_https_or_this_machine() {
        for text in ["https://adfs.contoso.com/adfs/oauth2/token", "http://127.0.0.1:8080/token", "https://a/t?x=1"] {
            assert!(text.parse::<TokenUrl>().is_ok(), "{text}");
        }
        for text in
            ["", "adfs.contoso.com", "http://adfs.contoso.com/token", "https://a:b@adfs.contoso.com/", "ftp://a/"]
        {
            assert_eq!(text.parse::<TokenUrl>(), Err(InvalidTokenUrl), "{text}");
        }
    }
}
