//! Signing in with Negotiate (RFC 4559): who sends tokens when, on which connection.
//!
//! Calls go through *lanes*. A lane is an HTTP client with one connection and one call at a time, because what is signed in
//! is the connection, and a pool shared by all calls would not say which one a call goes over.

mod binding;
mod challenge;
mod habit;
mod kerberos;

use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use http::HeaderValue;
use http::header::AUTHORIZATION;
use reqwest::tls::TlsInfo;
use reqwest::{Request, Response};

use self::challenge::Challenge;
pub(crate) use self::habit::Aim;
use self::habit::Habits;
use self::kerberos::{Begun, Tokens};
pub use self::kerberos::{KerberosError, Negotiate, SignedIn};
use super::once::{Departed, Sent};

/// How often one call is sent at most: without a token, with one, with another one because IIS may refuse the first request of
/// an application (KB 2749007), and with one that is bound to the right certificate.
const MAX_LEGS: u32 = 4;

/// The most that is read of a challenge's body; IIS's page has 1.3 KiB.
const MAX_CHALLENGE_BYTES: usize = 64 * 1024;

/// Makes the HTTP client of a lane.
type MakeClient = dyn Fn() -> reqwest::Result<reqwest::Client> + Send + Sync;

/// A request that can be sent several times, and what tells whether it was sent.
pub(crate) struct Leg {
    pub(crate) request: Request,
    pub(crate) sent: Option<Sent>,
}

/// Why a call has no answer.
pub(crate) enum Unanswered {
    /// None came.
    Transport { error: reqwest::Error, departed: Departed },
    /// It was not sent, or turned away: there is no token that the server takes.
    NotSignedIn(String),
    /// One came, and nothing proves that it is the server's.
    NotProven { status: u16, why: String },
}

/// Signs calls in.
pub(crate) struct SignIn {
    tokens: Arc<Tokens>,
    make: Box<MakeClient>,
    is_https: bool,
    idle: Mutex<Vec<Lane>>,
    habits: Mutex<Habits>,
    /// The binding to the certificate that was seen last.
    binding: Mutex<Option<Vec<u8>>>,
}

struct Lane {
    http: reqwest::Client,
    is_signed_in: bool,
}

/// A lane in use; it is free again when this is dropped.
pub(crate) struct Held<'s> {
    sign_in: &'s SignIn,
    lane: Option<Lane>,
}

impl Drop for Held<'_> {
    fn drop(&mut self) {
        if let Some(lane) = self.lane.take() {
            // The last one is the first to be used again, so that few connections are kept busy.
            locked(&self.sign_in.idle).push(lane);
        }
    }
}

impl Held<'_> {
    /// Gives the lane up: its answer is read after this, and another call must not wait for it.
    pub(crate) fn give_up(mut self) {
        self.lane = None;
    }
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl SignIn {
    /// Makes ready; reads no credentials yet.
    ///
    /// # Errors
    /// The Kerberos library is not there, or the service's name is none.
    pub(crate) fn new(
        settings: &Negotiate,
        host: &str,
        is_https: bool,
        make: Box<MakeClient>,
    ) -> Result<Self, KerberosError> {
        Ok(Self {
            tokens: Arc::new(Tokens::new(settings, host)?),
            make,
            is_https,
            idle: Mutex::default(),
            habits: Mutex::default(),
            binding: Mutex::default(),
        })
    }

    /// Returns who signs in, after the credentials and a ticket for the service were acquired.
    ///
    /// # Errors
    /// There are none, or the KDC refuses them, or it does not know the service.
    pub(crate) async fn who(&self) -> Result<SignedIn, KerberosError> {
        let tokens = Arc::clone(&self.tokens);
        waiting(move || tokens.begin(None).and_then(|_| tokens.who())).await
    }

    /// Sends a request signed in, however many legs that takes; `leg` makes it anew for each. The lane is the answer's until
    /// its body was read.
    pub(crate) async fn send(
        &self,
        aim: Aim,
        mut leg: impl FnMut() -> Leg,
    ) -> Result<(Response, Held<'_>), Unanswered> {
        let mut held = self.lane()?;
        let lane = held.lane.as_mut().expect("the lane was just put there");
        let mut n_refused = 0;
        for _ in 0..MAX_LEGS {
            let mut begun = if self.is_token_due(lane, aim) { Some(self.begin().await?) } else { None };
            let Leg { mut request, sent } = leg();
            if let Some(begun) = &begun {
                request.headers_mut().insert(AUTHORIZATION, header(&begun.token));
            }
            let response = match lane.http.execute(request).await {
                Ok(response) => response,
                Err(error) => {
                    lane.is_signed_in = false;
                    let departed = sent.map_or(Departed::Maybe, Sent::withdraw);
                    return Err(Unanswered::Transport { error, departed });
                }
            };
            let is_rebound = self.see_certificate(&response);
            let challenge = Challenge::of(response.headers());
            if response.status() != 401 {
                self.got_through(lane, &response, &challenge, begun.as_mut())?;
                return Ok((response, held));
            }
            if begun.is_none() {
                if lane.is_signed_in {
                    locked(&self.habits).turned_away();
                }
                lane.is_signed_in = false;
            } else if !is_rebound {
                n_refused += 1;
            }
            if !challenge.offers_negotiate() {
                let offers = challenge.offers();
                return Err(Unanswered::NotSignedIn(format!(
                    "the server does not take Negotiate (401); it offers {offers}"
                )));
            }
            if n_refused == 2 {
                // What the server says of it stands in the body.
                lane.is_signed_in = false;
                return Ok((response, held));
            }
            // Read to its end, the answer leaves its connection for the next leg.
            read_away(response).await;
        }
        Err(Unanswered::NotSignedIn(format!("the server turned the call away {MAX_LEGS} times (401)")))
    }

    /// Takes what an answer other than 401 says.
    fn got_through(
        &self,
        lane: &mut Lane,
        response: &Response,
        challenge: &Challenge,
        begun: Option<&mut Begun>,
    ) -> Result<(), Unanswered> {
        let Some(begun) = begun else {
            // Another status may be said to anybody.
            if lane.is_signed_in && response.status().is_success() {
                locked(&self.habits).got_through();
            }
            return Ok(());
        };
        let status = response.status().as_u16();
        let not_proven = |why| Err(Unanswered::NotProven { status, why });
        match &challenge.token {
            Some(proof) => {
                if let Err(why) = self.tokens.prove(begun, proof) {
                    lane.is_signed_in = false;
                    return not_proven(format!("the server could not prove who it is: {why}"));
                }
                lane.is_signed_in = true;
                locked(&self.habits).said(challenge.persistent);
                Ok(())
            }
            // What stands before the server, such as a load balancer, may say no by itself; over TLS its certificate is
            // proof enough for that. A success is the server's own to say.
            None if self.is_https && !response.status().is_success() => Ok(()),
            None => {
                lane.is_signed_in = false;
                not_proven("it came without the server's proof of who it is".to_owned())
            }
        }
    }

    fn lane(&self) -> Result<Held<'_>, Unanswered> {
        let idle = locked(&self.idle).pop();
        let lane = match idle {
            Some(lane) => lane,
            None => {
                let http = (self.make)()
                    .map_err(|error| Unanswered::Transport { error: error.without_url(), departed: Departed::No })?;
                Lane { http, is_signed_in: false }
            }
        };
        Ok(Held { sign_in: self, lane: Some(lane) })
    }

    /// Returns whether the next leg takes a token along. To a certificate that was never seen no token can be bound: the
    /// first answer shows it.
    fn is_token_due(&self, lane: &Lane, aim: Aim) -> bool {
        let can_bind = !self.is_https || locked(&self.binding).is_some();
        can_bind && locked(&self.habits).needs_token(lane.is_signed_in, aim)
    }

    async fn begin(&self) -> Result<Begun, Unanswered> {
        let (tokens, binding) = (Arc::clone(&self.tokens), locked(&self.binding).clone());
        let begun = waiting(move || tokens.begin(binding.as_deref())).await;
        begun.map_err(|error| Unanswered::NotSignedIn(error.to_string()))
    }

    /// Notes the server's certificate, and returns whether it is another one than tokens were bound to.
    fn see_certificate(&self, response: &Response) -> bool {
        let info = response.extensions().get::<TlsInfo>();
        let Some(der) = info.and_then(TlsInfo::peer_certificate) else { return false };
        let mut binding = locked(&self.binding);
        let seen = Some(binding::to_certificate(der));
        let is_other = *binding != seen;
        *binding = seen;
        is_other
    }
}

impl fmt::Debug for SignIn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SignIn").field("tokens", &self.tokens).finish_non_exhaustive()
    }
}

/// Reads an answer that nobody wants to its end, or closes its connection where it is long.
async fn read_away(mut response: Response) {
    let mut n_bytes = 0;
    while let Ok(Some(chunk)) = response.chunk().await {
        n_bytes += chunk.len();
        if n_bytes > MAX_CHALLENGE_BYTES {
            return;
        }
    }
}

fn header(token: &[u8]) -> HeaderValue {
    let text = format!("Negotiate {}", data_encoding::BASE64.encode(token));
    let mut header = HeaderValue::from_str(&text).expect("base64 is ASCII");
    header.set_sensitive(true);
    header
}

/// Runs what may wait for the KDC where it holds up nothing else.
async fn waiting<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> T {
    match tokio::task::spawn_blocking(work).await {
        Ok(done) => done,
        Err(error) => match error.try_into_panic() {
            Ok(panic) => std::panic::resume_unwind(panic),
            Err(_) => std::future::pending().await,
        },
    }
}
