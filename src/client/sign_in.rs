//! Signing in with Negotiate (RFC 4559) or NTLM: who sends tokens when, on which connection.
//!
//! Calls go through *lanes*. A lane is an HTTP client with one connection and one call at a time, because what is signed in
//! is the connection, and a pool shared by all calls would not say which one a call goes over.

mod binding;
mod challenge;
mod connection;
mod habit;
mod kerberos;
mod ntlm;
mod offers;
mod remedy;
mod settings;

use std::fmt;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use http::header::AUTHORIZATION;
use reqwest::tls::TlsInfo;
use reqwest::{Request, Response};
use tokio::runtime::{Handle, Id};
use tokio::sync::OnceCell;
use tokio::time::{Instant, timeout_at};

pub(crate) use self::challenge::Challenge;
use self::challenge::Scheme;
use self::connection::{is_last, read_to_end, this_end};
pub(crate) use self::habit::Aim;
use self::habit::Habits;
use self::kerberos::{Begun, Tokens};
use self::ntlm::{Ntlm, limit};
pub use self::settings::{Mechanism, Negotiate, SignInError, SignedIn};
use super::once::{Departed, Sent};
use crate::platform::negotiate::WITHOUT_END;

/// How often one call is sent at most: without a token, with one, with another one because IIS may refuse the first request of
/// an application (KB 2749007), and with one that is bound to the right certificate.
const MAX_LEGS: u32 = 4;

/// The most that is read of a challenge's body; IIS's page has 1.3 KiB.
const MAX_CHALLENGE_BYTES: usize = 64 * 1024;

/// The most that is read of the answer to a call that is made for the sign-in's sake: a list of profile templates.
const MAX_PROBE_BYTES: usize = 16 * 1024 * 1024;

/// The least time that a leg gets, however long the ones before it took.
const SHORTEST_LEG: Duration = Duration::from_secs(1);

/// How long before a connection's end none is taken any more for one that is signed in.
const NEARLY: Duration = Duration::from_millis(500);

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
    /// It was not sent: the call that was to sign its connection in was answered with an error that may pass.
    NotReady { status: u16 },
    /// It was not sent: it had to wait for too long.
    NotReached(String),
}

impl Unanswered {
    /// A request was not answered. One that only reads changes nothing on the server, so that only what is said of it depends
    /// on whether it had left.
    pub(crate) fn lost(error: reqwest::Error, sent: Option<Sent>) -> Self {
        let departed = match sent {
            Some(sent) => sent.withdraw(),
            None if error.is_connect() => Departed::No,
            None => Departed::Maybe,
        };
        Self::Transport { error, departed }
    }
}

/// Whom calls go to.
pub(crate) struct Service {
    /// The host, for the service's name.
    pub(crate) host: String,
    pub(crate) is_https: bool,
    /// An address that may be read to see the server's certificate.
    pub(crate) probe: url::Url,
    /// How long a call may take, all its legs together.
    pub(crate) timeout: Duration,
    /// How long a connection is kept for the next call.
    pub(crate) keep_idle: Duration,
}

/// Signs calls in.
pub(crate) struct SignIn {
    means: Means,
    make: Box<MakeClient>,
    service: Service,
    idle: Mutex<Vec<Lane>>,
    habits: Mutex<Habits>,
    /// The binding to the certificate that was seen last.
    binding: Mutex<Option<Vec<u8>>>,
}

/// By what.
enum Means {
    Kerberos(Arc<Tokens>),
    Ntlm(Arc<Ntlm>),
    /// By NTLM where Kerberos is not to be had, which is found out once; beside it, why.
    Either(Arc<Tokens>, Arc<Ntlm>, OnceCell<Option<String>>),
}

/// One of them.
enum Way<'s> {
    Kerberos(&'s Arc<Tokens>),
    Ntlm(&'s Arc<Ntlm>, Option<String>),
}

struct Lane {
    http: reqwest::Client,
    /// Whether nothing was sent over it yet.
    is_fresh: bool,
    /// This end of the connection that is signed in, as far as is known.
    signed_in: Option<SocketAddr>,
    /// The binding to the certificate that this lane saw last.
    binding: Option<Vec<u8>>,
    /// Where its connection is driven, and ends.
    runtime: Id,
    freed_at: Instant,
}

/// A lane in use; it is free again when this is dropped.
pub(crate) struct Held<'s> {
    sign_in: &'s SignIn,
    lane: Option<Lane>,
}

impl Drop for Held<'_> {
    fn drop(&mut self) {
        if let Some(mut lane) = self.lane.take() {
            // An answer that was not read to its end ends its connection.
            lane.signed_in = None;
            self.sign_in.free(lane);
        }
    }
}

impl Held<'_> {
    /// Frees the lane after its answer was read to its end: the connection is as it was.
    pub(crate) fn finish(mut self) {
        if let Some(lane) = self.lane.take() {
            self.sign_in.free(lane);
        }
    }

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
    /// The Kerberos library is not there, the service's name is none, or the keytab cannot be used.
    pub(crate) fn new(settings: &Arc<Negotiate>, service: Service, make: Box<MakeClient>) -> Result<Self, SignInError> {
        let tokens = || Tokens::new(Arc::clone(settings), &service.host).map(Arc::new);
        let ntlm = || Ntlm::new(Arc::clone(settings), &service.host).map(Arc::new);
        let means = match (settings.may_be_kerberos(), settings.password.is_some()) {
            (true, false) => Means::Kerberos(tokens()?),
            (true, true) => Means::Either(tokens()?, ntlm()?, OnceCell::new()),
            (false, _) => Means::Ntlm(ntlm()?),
        };
        let (idle, habits, binding) = (Mutex::default(), Mutex::default(), Mutex::default());
        Ok(Self { means, make, service, idle, habits, binding })
    }

    /// Returns who signs in: with Kerberos after a ticket for the service was acquired, with NTLM after a connection signed in. A
    /// server that is not there now is no error: whether it waits is for the calls to say.
    ///
    /// # Errors
    /// There are no credentials, or they are refused, or the KDC does not know the service.
    pub(crate) async fn who(&self) -> Result<SignedIn, SignInError> {
        match self.way().await? {
            Way::Kerberos(tokens) => {
                let (spn, tokens) = (tokens.spn().to_owned(), Arc::clone(tokens));
                let credentials = waiting(move || tokens.begin(None).and_then(|_| tokens.who())).await?;
                let (principal, lifetime) = (credentials.principal.clone(), credentials.lifetime);
                let lifetime = (lifetime < WITHOUT_END).then_some(lifetime);
                Ok(SignedIn { principal, mechanism: Mechanism::Kerberos, spn, lifetime, instead: None })
            }
            Way::Ntlm(ntlm, instead) => {
                let principal = {
                    let ntlm = Arc::clone(ntlm);
                    waiting(move || ntlm.credentials()).await?.principal
                };
                if let Err(Unanswered::NotSignedIn(why)) = self.try_logon(ntlm).await {
                    let first =
                        instead.map(|first| format!("; NTLM was tried in place of {first}")).unwrap_or_default();
                    return Err(SignInError::new(format!("{why}{first}"), None));
                }
                let (mechanism, spn) = (Mechanism::Ntlm, ntlm.spn.clone());
                Ok(SignedIn { principal, mechanism, spn, lifetime: None, instead })
            }
        }
    }

    /// Signs a connection in, which ends with the runtime of whoever asks.
    async fn try_logon(&self, ntlm: &Arc<Ntlm>) -> Result<(), Unanswered> {
        let mut held = self.lane()?;
        let lane = held.lane.as_mut().expect("the lane was just put there");
        self.log_on(ntlm, lane, Instant::now() + self.service.timeout).await?;
        held.give_up();
        Ok(())
    }

    /// Returns by what calls sign in.
    async fn way(&self) -> Result<Way<'_>, SignInError> {
        let (tokens, ntlm, instead) = match &self.means {
            Means::Kerberos(tokens) => return Ok(Way::Kerberos(tokens)),
            Means::Ntlm(ntlm) => return Ok(Way::Ntlm(ntlm, None)),
            Means::Either(tokens, ntlm, instead) => (tokens, ntlm, instead),
        };
        let find_out = || async {
            let (tokens, ntlm) = (Arc::clone(tokens), Arc::clone(ntlm));
            waiting(move || match tokens.begin(None) {
                Ok(_) => Ok(None),
                Err(error) if error.is_out_of_reach => match ntlm.credentials() {
                    Ok(_) => Ok(Some(error.to_string())),
                    Err(also) => Err(SignInError::new(format!("{error}; and by NTLM: {also}"), None)),
                },
                Err(error) => Err(error),
            })
            .await
        };
        match instead.get_or_try_init(find_out).await? {
            None => Ok(Way::Kerberos(tokens)),
            Some(why) => Ok(Way::Ntlm(ntlm, Some(why.clone()))),
        }
    }

    /// Sends a request signed in, however many legs that takes; `leg` makes it anew for each. The lane is the answer's until
    /// its body was read.
    pub(crate) async fn send(&self, aim: Aim, leg: impl FnMut() -> Leg) -> Result<(Response, Held<'_>), Unanswered> {
        match self.way().await.map_err(|error| Unanswered::NotSignedIn(error.to_string()))? {
            Way::Kerberos(tokens) => self.send_with_tokens(tokens, aim, leg).await,
            Way::Ntlm(ntlm, _) => self.send_after_logon(ntlm, aim, leg).await,
        }
    }

    /// Sends a request with a token, or on a connection that had one.
    async fn send_with_tokens(
        &self,
        tokens: &Arc<Tokens>,
        aim: Aim,
        mut leg: impl FnMut() -> Leg,
    ) -> Result<(Response, Held<'_>), Unanswered> {
        let deadline = Instant::now() + self.service.timeout;
        let mut held = self.lane()?;
        let lane = held.lane.as_mut().expect("the lane was just put there");
        if aim == Aim::Creates && self.service.is_https && self.binding_for(lane).is_none() {
            // The certificate to which tokens are to be bound: a create request never goes without a token on a connection that
            // is not signed in.
            self.ask(lane, None, deadline).await?;
        }
        let (mut n_refused, mut has_answer) = (0, false);
        for _ in 0..MAX_LEGS {
            let mut begun = if self.is_token_due(lane, aim, has_answer) {
                Some(self.begin(tokens, lane, deadline).await?)
            } else {
                None
            };
            let Leg { mut request, sent } = leg();
            // What creates has its whole time, however long the legs before it took: cut short, it would be in doubt.
            if aim == Aim::Reads {
                limit(&mut request, deadline);
            }
            if let Some(begun) = &begun {
                request.headers_mut().insert(AUTHORIZATION, Scheme::Negotiate.header(&begun.token));
            }
            let response = match lane.http.execute(request).await {
                Ok(response) => response,
                Err(error) => return Err(Unanswered::lost(error, sent)),
            };
            self.see_certificate(lane, &response);
            has_answer = true;
            let challenge = Challenge::of(response.headers());
            if response.status() != 401 {
                match begun {
                    Some(begun) => self.signed_in(tokens, lane, &response, &challenge, begun).await?,
                    None => self.got_through(lane, &response, aim)?,
                }
                return Ok((response, held));
            }
            match begun.take() {
                // With a token that was bound to another certificate nobody was refused.
                Some(begun) if !self.service.is_https || begun.binding == lane.binding => n_refused += 1,
                Some(_) => {}
                None if lane.signed_in.is_some() => locked(&self.habits).turned_away(),
                None => {}
            }
            lane.signed_in = None;
            if !challenge.has(Scheme::Negotiate) {
                let offers = challenge.offers();
                return Err(Unanswered::NotSignedIn(format!(
                    "the server does not take Negotiate (401); it offers {offers}"
                )));
            }
            if n_refused == 2 {
                let said = challenge::said_in(response).await;
                return Err(Unanswered::NotSignedIn(remedy::refused(tokens.spn(), self.service.is_https, &said)));
            }
            // Read to its end, the answer leaves its connection for the next leg.
            read_to_end(response, MAX_CHALLENGE_BYTES).await;
        }
        Err(Unanswered::NotSignedIn(format!("the server turned the call away {MAX_LEGS} times (401)")))
    }

    /// Takes an answer other than 401 to a call with a token.
    async fn signed_in(
        &self,
        tokens: &Arc<Tokens>,
        lane: &mut Lane,
        response: &Response,
        challenge: &Challenge,
        begun: Begun,
    ) -> Result<(), Unanswered> {
        lane.signed_in = None;
        let status = response.status().as_u16();
        let not_proven = |why| Err(Unanswered::NotProven { status, why });
        let Some(proof) = challenge.token(Scheme::Negotiate).map(<[u8]>::to_vec) else {
            // What stands before the server, such as a load balancer, may say no by itself; over TLS its certificate is
            // proof enough for that. A success is the server's own to say.
            if self.service.is_https && !response.status().is_success() {
                return Ok(());
            }
            return not_proven("it came without the server's proof of who it is".to_owned());
        };
        let proven = if begun.is_at_once {
            tokens.prove(begun, &proof)
        } else {
            // The library may look names up again.
            let tokens = Arc::clone(tokens);
            waiting(move || tokens.prove(begun, &proof)).await
        };
        if let Err(why) = proven {
            return not_proven(format!("the server could not prove who it is: {why}"));
        }
        lane.signed_in = this_end(response).filter(|_| !is_last(response));
        locked(&self.habits).said(challenge.persistent);
        Ok(())
    }

    /// Takes an answer other than 401 to a call without a token.
    fn got_through(&self, lane: &mut Lane, response: &Response, aim: Aim) -> Result<(), Unanswered> {
        let is_same = lane.signed_in.is_some() && lane.signed_in == this_end(response);
        if !is_same {
            lane.signed_in = None;
            if aim == Aim::Creates && response.status().is_success() {
                let status = response.status().as_u16();
                let why = "the connection that had signed in had ended, and the server took the call as nobody's";
                return Err(Unanswered::NotProven { status, why: why.to_owned() });
            }
            return Ok(());
        }
        if response.status().is_success() {
            // Another status may be said to anybody.
            locked(&self.habits).got_through();
        }
        if is_last(response) {
            lane.signed_in = None;
        }
        Ok(())
    }

    fn lane(&self) -> Result<Held<'_>, Unanswered> {
        let runtime = Handle::current().id();
        let idle = locked(&self.idle).pop();
        let lane = match idle {
            Some(mut lane) if lane.runtime == runtime => {
                if lane.freed_at.elapsed() >= self.service.keep_idle.saturating_sub(NEARLY) {
                    // Its connection ends about now.
                    lane.signed_in = None;
                }
                lane
            }
            Some(_) | None => Lane {
                http: self.client()?,
                is_fresh: true,
                signed_in: None,
                binding: None,
                runtime,
                freed_at: Instant::now(),
            },
        };
        Ok(Held { sign_in: self, lane: Some(lane) })
    }

    fn client(&self) -> Result<reqwest::Client, Unanswered> {
        (self.make)().map_err(|error| Unanswered::Transport { error: error.without_url(), departed: Departed::No })
    }

    /// Puts a lane back. The last one is the first to be used again, so that few connections are kept busy.
    fn free(&self, mut lane: Lane) {
        lane.freed_at = Instant::now();
        locked(&self.idle).push(lane);
    }

    fn binding_for(&self, lane: &Lane) -> Option<Vec<u8>> {
        lane.binding.clone().or_else(|| locked(&self.binding).clone())
    }

    /// Returns whether the next leg takes a token along. To a certificate that was never seen no token can be bound: what only
    /// reads goes without one then, and its answer shows it, unless a proxy's tunnel hides it.
    fn is_token_due(&self, lane: &Lane, aim: Aim, has_answer: bool) -> bool {
        let can_bind = aim == Aim::Creates || has_answer || !self.service.is_https || self.binding_for(lane).is_some();
        can_bind && locked(&self.habits).needs_token(lane.signed_in.is_some(), aim)
    }

    async fn begin(&self, tokens: &Arc<Tokens>, lane: &Lane, deadline: Instant) -> Result<Begun, Unanswered> {
        let binding = self.binding_for(lane);
        if let Some(begun) = tokens.begin_at_once(binding.as_deref()) {
            return Ok(begun);
        }
        let tokens = Arc::clone(tokens);
        let begun = timeout_at(deadline, waiting(move || tokens.begin(binding.as_deref()))).await;
        match begun {
            Ok(begun) => begun.map_err(|error| Unanswered::NotSignedIn(error.to_string())),
            Err(_) => Err(Unanswered::NotSignedIn("no ticket came within the call's time".to_owned())),
        }
    }

    /// Notes the server's certificate.
    fn see_certificate(&self, lane: &mut Lane, response: &Response) {
        let info = response.extensions().get::<TlsInfo>();
        if let Some(der) = info.and_then(TlsInfo::peer_certificate) {
            let seen = Some(binding::to_certificate(der));
            if lane.binding != seen {
                lane.binding.clone_from(&seen);
                *locked(&self.binding) = seen;
            }
        }
    }
}

impl fmt::Debug for SignIn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SignIn").field("host", &self.service.host).finish_non_exhaustive()
    }
}

/// Runs what may wait for the KDC where it holds up nothing else.
pub(super) async fn waiting<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> T {
    match tokio::task::spawn_blocking(work).await {
        Ok(done) => done,
        Err(error) => match error.try_into_panic() {
            Ok(panic) => std::panic::resume_unwind(panic),
            Err(_) => std::future::pending().await,
        },
    }
}
