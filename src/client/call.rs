//! The client: one call at a time, and what was seen of it.

use std::fmt;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use bytes::Bytes;
use http::header::{self, HeaderMap, HeaderName, HeaderValue};
use reqwest::{Body, Method, Request, Response};

use super::answer::{Answer, HttpAnswer, TransportFault};
use super::auth::Auth;
use super::base_url::BaseUrl;
use super::body::{self, Broken, Decoder};
use super::credential::{Credential, Renewed};
use super::endpoint::Endpoint;
use super::error::{ClientError, ReadError};
use super::given::Given;
use super::list::{Clocked, ListTimeouts, RequestStream};
use super::oauth::{self, OAuthError};
use super::object::RequestObject;
use super::once::{Departed, LeaveBy, OnceBody};
use super::route::{KEEP_IDLE, Route};
use super::server_time::{ServerTime, date_of};
use super::sign_in::{Aim, Held, Leg, Service, SignIn, SignedIn, Unanswered};
use super::splitter::MAX_OBJECT_BYTES;
use super::transport::{self, PROXY_ASKS, Seen};
use super::{message, retry_after, session};
use crate::machine::Machine;
use crate::request::RequestUuid;

/// The most that is read of an answer to a create call, in bytes; a URI needs 200.
const MAX_ANSWER_BYTES: usize = 64 * 1024;

/// The time-out of a call that must not have the client's: longer than any process lives.
const NO_TIMEOUT: Duration = Duration::from_secs(100 * 365 * 24 * 3600);

/// A client of one server. Cheap to clone; all clones share connections and credentials. Its calls need a tokio runtime
/// with I/O and time.
///
/// ```
/// use cmbatch::client::{AllowHttp, Answer, BaseUrl, Client, Endpoint, On503, TransportFault, classify};
/// use cmbatch::request::Outcome;
///
/// let base = BaseUrl::parse("http://127.0.0.1:1", AllowHttp::LoopbackOnly)?;
/// let client = Client::new(&Endpoint::new(base))?;
/// let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
/// // Nobody listens there: nothing was sent, and the row may be sent again.
/// let answer = runtime.block_on(client.create(br#"{"type":"Enroll"}"#.to_vec(), None));
/// assert!(matches!(answer, Answer::None { fault: TransportFault::ConnectionRefused, .. }));
/// assert!(matches!(classify(&answer, On503::InDoubt), Outcome::Pending(_)));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone)]
pub struct Client {
    inner: Arc<Inner>,
}

struct Inner {
    http: reqwest::Client,
    /// What signs calls in, where a header that stays the same does not.
    sign_in: Option<SignIn>,
    /// Who gets tokens, where a token server gives them.
    tokens: Option<oauth::Tokens>,
    base: BaseUrl,
    requests: url::Url,
    credential: Credential,
    given: Given,
    timeout: Duration,
    machine: Machine,
    server_time: ServerTime,
    /// The proxy that calls go through, as `host:port`.
    proxy: Option<String>,
}

impl Client {
    /// Makes a client: reads the token and the certificates, connects to nothing.
    ///
    /// # Errors
    ///
    /// [`ClientError`]: the token or the CA file is not taken, or the system has no root certificates (asked only where
    /// calls go over TLS).
    pub fn new(endpoint: &Endpoint) -> Result<Self, ClientError> {
        Self::by(endpoint, Route::to(&endpoint.base.requests(), endpoint)?)
    }

    /// Makes a client that goes this way.
    pub(super) fn by(endpoint: &Endpoint, route: Route) -> Result<Self, ClientError> {
        let refused = |error: reqwest::Error| ClientError::Http(error.without_url());
        let (http, proxy) = (route.client(endpoint.max_idle).map_err(refused)?, route.proxy.clone());
        let sign_in = match &endpoint.auth {
            Auth::Negotiate(settings) => {
                let service = Service {
                    host: endpoint.base.host().to_owned(),
                    is_https: endpoint.base.is_https(),
                    probe: endpoint.base.templates(),
                    timeout: endpoint.timeout,
                    keep_idle: KEEP_IDLE,
                };
                Some(SignIn::new(settings, service, Box::new(move || route.client(1))).map_err(ClientError::SignIn)?)
            }
            Auth::None | Auth::BearerFile(_) | Auth::CookieFile(_) | Auth::BearerEnv { .. } | Auth::OAuth(_) => None,
        };
        let tokens = match &endpoint.auth {
            Auth::OAuth(settings) => {
                let http = Route::to(settings.token_url.url(), endpoint)?.client(1).map_err(refused)?;
                Some(oauth::Tokens::new(http, Arc::clone(settings)))
            }
            Auth::None | Auth::BearerFile(_) | Auth::CookieFile(_) | Auth::BearerEnv { .. } | Auth::Negotiate(_) => {
                None
            }
        };
        Ok(Self {
            inner: Arc::new(Inner {
                http,
                sign_in,
                tokens,
                requests: endpoint.base.requests(),
                base: endpoint.base.clone(),
                credential: Credential::new(&endpoint.auth, &endpoint.base)?,
                given: Given::of(&endpoint.auth),
                timeout: endpoint.timeout,
                machine: endpoint.machine.clone(),
                server_time: ServerTime::default(),
                proxy,
            }),
        })
    }

    /// Sends one create request (`POST …/api/v1.0/requests`) and reads what came back. It is sent at most once, and the
    /// answer says so where it was not sent at all; nothing is sent after `send_before` of the machine's clock that runs during
    /// sleep ([`TransportFault::TooLate`]).
    ///
    /// The body goes out as `application/json` without a charset: RFC 8259 defines none, and the API's page names the
    /// bare type.
    pub async fn create(&self, body: Vec<u8>, send_before: Option<Duration>) -> Answer {
        let body = Bytes::from(body);
        let leave_by = send_before.map(|at| LeaveBy { machine: self.inner.machine.clone(), at });
        match self.send(Aim::Creates, || self.create_leg(body.clone(), leave_by.clone())).await {
            Ok((response, lane)) => {
                if response.status().is_success() {
                    // No cache answers a POST.
                    self.inner.server_time.take(self.inner.machine.since_boot(), date_of(response.headers()));
                }
                let advice = self.advice(&response);
                let answer = read_answer(response, advice).await;
                if let (Some(lane), Answer::Http(_)) = (lane, &answer) {
                    lane.finish();
                }
                answer
            }
            Err(unanswered) => {
                let (fault, message) = self.not_answered(unanswered);
                Answer::None { fault, message }
            }
        }
    }

    /// Sends a request, signed in, once or in several legs of which the server acts on the last; `leg` makes it anew for each.
    /// The lane, where there is one, is the answer's until its body was read.
    async fn send(&self, aim: Aim, mut leg: impl FnMut() -> Leg) -> Result<(Response, Option<Held<'_>>), Unanswered> {
        if let Some(sign_in) = &self.inner.sign_in {
            let (response, lane) = sign_in.send(aim, leg).await?;
            return Ok((response, Some(lane)));
        }
        let Some(tokens) = &self.inner.tokens else { return Ok((self.send_with_header(aim, leg).await?, None)) };
        let with = |Leg { mut request, sent }, token: HeaderValue| {
            request.headers_mut().insert(header::AUTHORIZATION, token);
            Leg { request, sent }
        };
        let no_token = |error: OAuthError| Unanswered::NotSignedIn(error.to_string());
        let token = tokens.header().await.map_err(no_token)?;
        let response = self.execute(with(leg(), token.clone())).await?;
        if response.status() != 401 {
            return Ok((response, None));
        }
        // The server did not act: once more with another token.
        tokens.refused(&token).await;
        let token = tokens.header().await.map_err(no_token)?;
        Ok((self.execute(with(leg(), token)).await?, None))
    }

    /// Sends a request that a header signs in, or nothing does.
    async fn send_with_header(&self, aim: Aim, mut leg: impl FnMut() -> Leg) -> Result<Response, Unanswered> {
        let credential = &self.inner.credential;
        credential.check_session().map_err(Unanswered::NotSignedIn)?;
        let leg = leg();
        let cookies = credential.cookies_of(leg.request.headers());
        let response = self.execute(leg).await?;
        match cookies.and_then(|cookies| credential.see_answer(&cookies, &response)) {
            Some(why) if aim == Aim::Reads => Err(Unanswered::NotSignedIn(why)),
            // Nobody knows whether a create call came through before it was sent on: its answer is looked at as any other.
            Some(_) | None => Ok(response),
        }
    }

    async fn execute(&self, Leg { request, sent }: Leg) -> Result<Response, Unanswered> {
        self.inner.http.execute(request).await.map_err(|error| Unanswered::lost(error, sent))
    }

    /// Makes a create request that leaves this process once.
    fn create_leg(&self, body: Bytes, leave_by: Option<LeaveBy>) -> Leg {
        let (body, sent) = OnceBody::new(body, leave_by);
        let mut request = self.signed(Method::POST, self.inner.requests.clone());
        request.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
        *request.body_mut() = Some(Body::wrap(body));
        Leg { request, sent: Some(sent) }
    }

    /// Makes a call that changes nothing, signed in. The lane is held until the answer was read.
    async fn read(&self, url: &url::Url) -> Result<(Response, Option<Held<'_>>), ReadError> {
        let leg = || Leg { request: self.signed(Method::GET, url.clone()), sent: None };
        self.send_read(leg).await
    }

    async fn send_read(&self, leg: impl FnMut() -> Leg) -> Result<(Response, Option<Held<'_>>), ReadError> {
        let (response, lane) = self.send(Aim::Reads, leg).await.map_err(|unanswered| {
            let (fault, message) = self.not_answered(unanswered);
            ReadError::Transport { fault, message }
        })?;
        if response.status().is_success() {
            self.inner.server_time.take_later(self.inner.machine.since_boot(), date_of(response.headers()));
        }
        Ok((response, lane))
    }

    fn not_answered(&self, unanswered: Unanswered) -> (TransportFault, String) {
        match unanswered {
            Unanswered::Transport { error, departed } => self.unanswered(&error, departed),
            Unanswered::NotSignedIn(message) => (TransportFault::NotSignedIn, message),
            Unanswered::NotProven { status, why } => {
                (TransportFault::AnswerBroken { status }, format!("the answer ({status}) is not taken: {why}"))
            }
            Unanswered::NotReached(message) => (TransportFault::NotConnected, message),
            Unanswered::NotReady { status: 407 } => (TransportFault::ProxyRefused, PROXY_ASKS.to_owned()),
            Unanswered::NotReady { status } => {
                (TransportFault::NotConnected, format!("no connection could be signed in: the server answers {status}"))
            }
        }
    }

    /// Acquires the credentials where calls sign in with some, and returns whose they are; none where a header is sent. A
    /// browser's session is tried with a call that changes nothing.
    ///
    /// # Errors
    ///
    /// [`ClientError::SignIn`], [`ClientError::OAuth`], [`ClientError::Session`]: there are none, or they are refused.
    pub async fn sign_in(&self) -> Result<Option<SignedIn>, ClientError> {
        if let Some(tokens) = &self.inner.tokens {
            tokens.header().await.map_err(ClientError::OAuth)?;
        }
        if self.inner.credential.is_session()
            && let Err(ReadError::Transport { fault: TransportFault::NotSignedIn, message }) = self.templates().await
        {
            return Err(ClientError::Session(message));
        }
        match &self.inner.sign_in {
            Some(sign_in) => sign_in.who().await.map(Some).map_err(ClientError::SignIn),
            None => Ok(None),
        }
    }

    /// Reads one request (`GET …/api/v1.0/requests/{uuid}`).
    ///
    /// # Errors
    ///
    /// [`ReadError`]; a 404 is a [`ReadError::Status`] and proves nothing, no page says what it means here.
    pub async fn request(&self, uuid: RequestUuid) -> Result<RequestObject, ReadError> {
        let url = self.inner.base.request(uuid);
        let (response, lane) = self.read(&url).await?;
        match response.status().as_u16() {
            200 => {}
            204 => return Err(ReadError::NoContent),
            _ => return Err(self.status_error(response).await),
        }
        let status = response.status().as_u16();
        match body::read(response, MAX_OBJECT_BYTES).await {
            Ok(body) => {
                if let Some(lane) = lane {
                    lane.finish();
                }
                RequestObject::from_json(&body)
                    .map_err(|fault| ReadError::Object { number: 1, reason: fault.to_string() })
            }
            Err(Broken::TooLong) => Err(ReadError::TooLong { number: 1 }),
            Err(Broken::NotUnderstood(why)) => Err(ReadError::NotUnderstood(why)),
            Err(Broken::Lost(message)) => {
                Err(ReadError::Transport { fault: TransportFault::AnswerBroken { status }, message })
            }
        }
    }

    /// Reads the server's list (`GET …/api/v1.0/requests`, without filter) as a stream. 204 is an empty list.
    ///
    /// It is asked to be made for this call (`Cache-Control: no-cache`). One that says that it is older (`Age`), or whose `Date`
    /// is more than 5 s before the call by the server's clock as its earlier answers showed it, is none.
    ///
    /// # Errors
    ///
    /// [`ReadError`] where no list begins; how it goes on is the stream's to say.
    pub async fn list(&self, timeouts: ListTimeouts) -> Result<RequestStream, ReadError> {
        let (clocked, begun) = (Clocked::start(timeouts), self.inner.machine.since_boot());
        let leg = || {
            let mut request = self.signed(Method::GET, self.inner.requests.clone());
            request.headers_mut().insert(header::CACHE_CONTROL, HeaderValue::from_static("no-cache"));
            *request.timeout_mut() = Some(NO_TIMEOUT);
            Leg { request, sent: None }
        };
        let (response, lane) = clocked.wait(self.send_read(leg)).await??;
        if let Some(lane) = lane {
            lane.give_up();
        }
        match response.status().as_u16() {
            200 | 204 if let Some(kept) = self.inner.server_time.kept(response.headers(), begun) => {
                Err(ReadError::Cached(kept))
            }
            200 if session::is_page(response.headers()) => {
                let said = body::read(response, MAX_ANSWER_BYTES).await.map(|page| message::of_body(&page));
                Err(ReadError::Page(said.unwrap_or_default()))
            }
            200 => {
                let decoder = Decoder::of(response.headers()).map_err(ReadError::NotUnderstood)?;
                Ok(RequestStream::new(response, decoder, clocked))
            }
            204 => Ok(RequestStream::empty(clocked, date_of(response.headers()))),
            _ => Err(self.status_error(response).await),
        }
    }

    /// Asks whether the server is there: reads the list of profile templates (`GET …/api/v1.0/profiletemplates`), and where
    /// there is none (404) that of requests; both change nothing. Any answer below 500 says that it is, except 404 (no API
    /// there), 407 (a proxy's) and 408 (a gateway's, which waited in vain); the answer's body is not waited for.
    ///
    /// # Errors
    ///
    /// [`ReadError::Transport`] or [`ReadError::Status`]: it is not there, or not yet.
    pub async fn probe(&self) -> Result<(), ReadError> {
        match self.answers(self.inner.base.templates()).await {
            // Not every gateway lets this route through; the one that the run needs tells the two apart.
            Err(ReadError::Status { status: 404, .. }) => self.answers(self.inner.requests.clone()).await,
            answered => answered,
        }
    }

    /// Calls the list of profile templates, and reads no more than the answer's head.
    pub(super) async fn templates(&self) -> Result<Response, ReadError> {
        let (response, _lane) = self.read(&self.inner.base.templates()).await?;
        Ok(response)
    }

    /// Calls it without signing in.
    pub(super) async fn templates_as_nobody(&self) -> Result<Response, ReadError> {
        let request = Request::new(Method::GET, self.inner.base.templates());
        self.execute(Leg { request, sent: None }).await.map_err(|unanswered| {
            let (fault, message) = self.not_answered(unanswered);
            ReadError::Transport { fault, message }
        })
    }

    /// Says whether a route answers, by the head of the answer alone.
    async fn answers(&self, url: url::Url) -> Result<(), ReadError> {
        let (response, _lane) = self.read(&url).await?;
        match response.status().as_u16() {
            404 | 407 | 408 | 500.. => Err(self.status_error(response).await),
            _ => Ok(()),
        }
    }

    /// Reads the credentials again, as is to be done once after a 401. Reads a small file, and waits for it.
    ///
    /// # Errors
    ///
    /// [`ClientError::Token`] where the file is no longer taken; the client goes on with what it had.
    pub fn renew(&self) -> Result<Renewed, ClientError> {
        self.inner.credential.renew()
    }

    /// Returns the address that this client calls.
    pub fn base(&self) -> &BaseUrl {
        &self.inner.base
    }

    /// Returns the proxy that calls go through, as `host:port`, without credentials.
    pub fn proxy(&self) -> Option<&str> {
        self.inner.proxy.as_deref()
    }

    /// Makes a request with the credentials as they are now. It has the client's time-out, without costs of its own.
    fn signed(&self, method: Method, url: url::Url) -> Request {
        let mut request = Request::new(method, url);
        self.inner.credential.sign(request.headers_mut());
        request
    }

    fn unanswered(&self, error: &reqwest::Error, departed: Departed) -> (TransportFault, String) {
        let fault = Seen::of(error, departed, self.inner.proxy.is_some()).fault();
        let message = transport::message(error);
        match &self.inner.proxy {
            Some(proxy) => (fault, format!("through the proxy {proxy}: {message}")),
            None => (fault, message),
        }
    }

    /// Says what to do where an answer is a 401.
    fn advice(&self, response: &Response) -> Option<String> {
        (response.status() == 401).then(|| self.inner.given.advice(response.headers()))
    }

    pub(super) async fn status_error(&self, response: Response) -> ReadError {
        let status = response.status().as_u16();
        if status == 407 {
            return ReadError::Transport { fault: TransportFault::ProxyRefused, message: PROXY_ASKS.to_owned() };
        }
        let (location, retry_after) = (location_of(response.headers()), wait_of(response.headers()));
        let advice = self.advice(&response);
        let reading = body::read(response, MAX_ANSWER_BYTES);
        // The status alone says what is to be done; a body that does not come whole takes nothing from it.
        let body = match tokio::time::timeout(self.inner.timeout, reading).await {
            Ok(Ok(body)) => body,
            Ok(Err(Broken::NotUnderstood(why))) => not_understood(&why),
            Ok(Err(Broken::TooLong | Broken::Lost(_))) | Err(_) => Bytes::new(),
        };
        let message = message::of_answer(status, location.as_deref(), advice.as_deref(), &body);
        let correlation_id = message::correlation_id(&message, &body);
        ReadError::Status { status, message, correlation_id, retry_after }
    }
}

impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Client")
            .field("base", &self.inner.base)
            .field("proxy", &self.inner.proxy)
            .finish_non_exhaustive()
    }
}

/// Reads the answer to a create call. The total time-out goes on meanwhile: passed now it is a broken answer, because the
/// head with its status is there and worth keeping.
async fn read_answer(response: Response, advice: Option<String>) -> Answer {
    let status = response.status().as_u16();
    let location = location_of(response.headers());
    let (retry_after, date) = (wait_of(response.headers()), date_of(response.headers()));
    let http = |body| Answer::Http(HttpAnswer { status, location, retry_after, date, advice, body });
    let broken = |message| Answer::None { fault: TransportFault::AnswerBroken { status }, message };
    match body::read(response, MAX_ANSWER_BYTES).await {
        Ok(body) => http(body),
        Err(Broken::NotUnderstood(why)) => http(not_understood(&why)),
        // The head says it all. Some proxies close the connection over a request that they did not read, and the end of what
        // they say is lost by that.
        Err(Broken::Lost(_)) if matches!(status, 401 | 407) => http(Bytes::new()),
        Err(Broken::TooLong) => broken(format!("the answer ({status}) is longer than {MAX_ANSWER_BYTES} bytes")),
        Err(Broken::Lost(message)) => broken(format!("the answer ({status}) broke off: {message}")),
    }
}

/// What stands for a body that nobody can read: the status counts all the same.
fn not_understood(why: &str) -> Bytes {
    format!("the answer's text cannot be read: {why}").into()
}

fn text_of<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Option<&'a str> {
    headers.get(name)?.to_str().ok()
}

fn location_of(headers: &HeaderMap) -> Option<String> {
    text_of(headers, &header::LOCATION).map(str::to_owned)
}

fn wait_of(headers: &HeaderMap) -> Option<Duration> {
    let value = text_of(headers, &header::RETRY_AFTER)?;
    retry_after::parse(value, text_of(headers, &header::DATE), SystemTime::now())
}
