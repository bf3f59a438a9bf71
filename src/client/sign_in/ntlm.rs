//! Signing connections in with NTLM ([MS-NLMP], over HTTP [MS-NTHT] or inside of Negotiate): three messages on one connection,
//! which is signed in from then on, and no other.
//!
//! They go with calls that change nothing. A create request goes on a connection that is signed in, without any token.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use http::header::AUTHORIZATION;
use http::{HeaderValue, Method};
use reqwest::{Request, Response};
use tokio::time::{Instant, timeout_at};

use super::challenge::{Challenge, Scheme};
use super::connection::{is_last, read_to_end, this_end};
use super::offers::{Offer, Offers};
use super::remedy::without_ntlm;
use super::settings::{Negotiate, SignInError};
use super::{Aim, Held, Lane, Leg, MAX_LEGS, SHORTEST_LEG, SignIn, Unanswered, kerberos, locked, waiting};
use crate::client::once::Departed;
use crate::platform::negotiate::{Credentials, Exchange, Mechanism, Name, System};

/// How often a connection is tried: one may end between two messages, and a password is offered twice.
const MAX_LOGONS: u32 = 3;

const SPLIT: &str = "the messages of NTLM do not stay on one connection, or that ends behind them; a proxy or load balancer that \
                     shares connections cannot carry it: call the server past it, or use Kerberos";

/// The password of a process, and how often it was offered.
pub(crate) struct Ntlm {
    system: &'static System,
    settings: Arc<Negotiate>,
    service: Arc<Name>,
    pub(super) spn: String,
    offers: Offers,
    /// The scheme that the server takes, once it is known.
    scheme: Mutex<Option<Scheme>>,
}

/// How a logon went.
enum Logon {
    /// The connection with this end is signed in, or was until it ended.
    Taken(Option<SocketAddr>),
    /// The server refuses the account or its password.
    Refused,
    /// The messages did not go over one connection, or the certificate became another one between them.
    NotOneConnection,
}

/// What came back for one message.
pub(super) struct Reply {
    status: u16,
    challenge: Challenge,
    /// This end of the connection.
    end: Option<SocketAddr>,
    /// Whether the connection can go on.
    goes_on: bool,
}

impl Reply {
    /// Says whether a server, or what stands before it, only cannot answer now.
    fn check_ready(&self) -> Result<(), Unanswered> {
        match self.status {
            407 | 408 | 429 | 500.. => Err(Unanswered::NotReady { status: self.status }),
            _ => Ok(()),
        }
    }
}

impl Ntlm {
    /// Makes ready; the password is read when it is needed.
    ///
    /// # Errors
    /// The library is not there, the service's name is none, or there is no account or no password.
    pub(crate) fn new(settings: Arc<Negotiate>, host: &str) -> Result<Self, SignInError> {
        let system = System::load().map_err(|error| SignInError::new(error.to_string(), None))?;
        let spn = settings.service(host);
        let service = Arc::new(kerberos::service(system, &spn)?);
        Ok(Self { system, settings, service, spn, offers: Offers::default(), scheme: Mutex::default() })
    }

    /// Makes credentials out of the account and its password, as the file has it now. Asks nobody.
    ///
    /// # Errors
    /// The password cannot be read, or NTLM is not installed.
    pub(crate) fn credentials(&self) -> Result<Credentials, SignInError> {
        let (Some(account), Some(password)) = (&self.settings.principal, &self.settings.password) else {
            return Err(SignInError::new("NTLM needs an account and its password".to_owned(), None));
        };
        let password = password.read("the password").map_err(|fault| SignInError::new(fault, None))?;
        self.system.acquire_by_password(Mechanism::Ntlm, account, &password).map_err(|error| {
            let (said, help) = without_ntlm(&error);
            SignInError::new(said, help)
        })
    }

    fn refusal(&self) -> Unanswered {
        let account = self.settings.principal.as_deref().unwrap_or_default();
        let what = if self.offers.is_refused() {
            format!(
                "the server refuses {account:?} with its password by NTLM (401); check --principal and the password"
            )
        } else {
            format!("the server does not say whether it takes the password of {account:?}; see why it fails at that")
        };
        Unanswered::NotSignedIn(format!("{what}; it is not offered again, so that the account is not locked"))
    }
}

impl SignIn {
    /// Sends a request on a connection that is signed in, which this does first where it is not.
    pub(super) async fn send_after_logon(
        &self,
        ntlm: &Arc<Ntlm>,
        aim: Aim,
        mut leg: impl FnMut() -> Leg,
    ) -> Result<(Response, Held<'_>), Unanswered> {
        let deadline = Instant::now() + self.service.timeout;
        let mut held = self.lane()?;
        let lane = held.lane.as_mut().expect("the lane was just put there");
        let mut is_last = false;
        for _ in 0..MAX_LEGS {
            if lane.signed_in.is_none() {
                self.log_on(ntlm, lane, deadline).await?;
            }
            let Leg { mut request, sent } = leg();
            if aim == Aim::Reads {
                limit(&mut request, deadline);
            }
            let answered = lane.http.execute(request).await;
            let response = answered.map_err(|error| Unanswered::lost(error, sent))?;
            self.see_certificate(lane, &response);
            if response.status() != 401 {
                self.got_through(lane, &response, aim)?;
                return Ok((response, held));
            }
            let is_same = lane.signed_in == this_end(&response);
            lane.signed_in = None;
            if is_same && is_last {
                // What the server says of it stands in the body.
                return Ok((response, held));
            }
            // On another connection nobody was turned away: the one that had signed in had ended.
            is_last |= is_same;
            read_to_end(response, super::MAX_CHALLENGE_BYTES).await;
        }
        Err(Unanswered::NotSignedIn("the server ends each connection that has signed in by NTLM".to_owned()))
    }

    /// Signs the connection of a lane in.
    pub(super) async fn log_on(&self, ntlm: &Arc<Ntlm>, lane: &mut Lane, deadline: Instant) -> Result<(), Unanswered> {
        let mut is_split = false;
        for _ in 0..MAX_LOGONS {
            // A connection that may be signed in, or half so, is not signed in anew: not every server bears that.
            if !std::mem::take(&mut lane.is_fresh) {
                lane.http = self.client()?;
                lane.binding = None;
            }
            let scheme = self.scheme(ntlm, lane, deadline).await?;
            let too_late =
                |_| Unanswered::NotReached("its turn to sign in did not come within the call's time".to_owned());
            let offer = timeout_at(deadline, ntlm.offers.next()).await.map_err(too_late)?;
            let Some(mut offer) = offer else {
                return Err(if is_split { Unanswered::NotSignedIn(SPLIT.to_owned()) } else { ntlm.refusal() });
            };
            match self.offer(ntlm, scheme, lane, &mut offer, deadline).await? {
                Logon::Taken(end) => {
                    offer.taken();
                    if end.is_some() {
                        lane.signed_in = end;
                        return Ok(());
                    }
                }
                Logon::Refused => offer.refused(),
                Logon::NotOneConnection => is_split = true,
            }
        }
        Err(Unanswered::NotSignedIn(SPLIT.to_owned()))
    }

    /// Returns the scheme that the server takes, asking where that is not known; over TLS it is asked on each connection, which
    /// shows the certificate of that very one.
    async fn scheme(&self, ntlm: &Ntlm, lane: &mut Lane, deadline: Instant) -> Result<Scheme, Unanswered> {
        let known = *locked(&ntlm.scheme);
        if let Some(scheme) = known.filter(|_| !self.service.is_https) {
            return Ok(scheme);
        }
        let reply = self.ask(lane, None, deadline).await?;
        reply.check_ready()?;
        if reply.status != 401 {
            let status = reply.status;
            return Err(Unanswered::NotSignedIn(format!(
                "the server asks for no sign-in (it answers {status}): check --server, whose path usually ends in \
                 /CertificateManagement, or leave --auth out if none is meant"
            )));
        }
        let Some(scheme) = [Scheme::Negotiate, Scheme::Ntlm].into_iter().find(|scheme| reply.challenge.has(*scheme))
        else {
            let offers = reply.challenge.offers();
            return Err(Unanswered::NotSignedIn(format!("the server does not take NTLM (401); it offers {offers}")));
        };
        *locked(&ntlm.scheme) = Some(scheme);
        Ok(scheme)
    }

    async fn offer(
        &self,
        ntlm: &Arc<Ntlm>,
        scheme: Scheme,
        lane: &mut Lane,
        offer: &mut Offer<'_>,
        deadline: Instant,
    ) -> Result<Logon, Unanswered> {
        let binding = self.binding_for(lane);
        let mut work = {
            let (ntlm, binding) = (Arc::clone(ntlm), binding.clone());
            waiting(move || {
                let credentials = ntlm.credentials()?;
                Dialogue::begin(&ntlm, credentials, binding)
            })
            .await
            .map_err(|error| Unanswered::NotSignedIn(error.to_string()))?
        };
        let first = self.ask(lane, Some(scheme.header(&work.message)), deadline).await?;
        first.check_ready()?;
        let challenge = match first.challenge.token(scheme) {
            Some(token) if first.status == 401 => token.to_vec(),
            _ => {
                return Err(Unanswered::NotSignedIn(format!(
                    "the server does not go on with NTLM after its first message ({}); it may take Kerberos alone: --auth \
                     negotiate",
                    first.status
                )));
            }
        };
        if !first.goes_on || first.end.is_none() || binding != self.binding_for(lane) {
            return Ok(Logon::NotOneConnection);
        }
        work = waiting(move || work.go_on(&challenge)).await.map_err(Unanswered::NotSignedIn)?;
        // From here on, a domain may count it.
        offer.out();
        let last = self.ask(lane, Some(scheme.header(&work.message)), deadline).await?;
        last.check_ready()?;
        Ok(match (last.end == first.end, last.status) {
            (true, 401) => Logon::Refused,
            (true, _) => Logon::Taken(last.end.filter(|_| last.goes_on)),
            // What stands in between may have brought it to the right one all the same: it is counted.
            (false, _) => Logon::NotOneConnection,
        })
    }

    /// Makes a call that changes nothing, with a message or without, and reads its answer to the end.
    pub(super) async fn ask(
        &self,
        lane: &mut Lane,
        message: Option<HeaderValue>,
        deadline: Instant,
    ) -> Result<Reply, Unanswered> {
        let mut request = Request::new(Method::GET, self.service.probe.clone());
        limit(&mut request, deadline);
        if let Some(message) = message {
            request.headers_mut().insert(AUTHORIZATION, message);
        }
        let answered = lane.http.execute(request).await;
        let response = answered.map_err(|error| Unanswered::Transport { error, departed: Departed::No })?;
        self.see_certificate(lane, &response);
        let (status, challenge) = (response.status().as_u16(), Challenge::of(response.headers()));
        let (end, is_last) = (this_end(&response), is_last(&response));
        let is_whole = read_to_end(response, super::MAX_PROBE_BYTES).await;
        Ok(Reply { status, challenge, end, goes_on: is_whole && !is_last })
    }
}

/// The messages of one logon.
struct Dialogue {
    exchange: Exchange,
    credentials: Credentials,
    service: Arc<Name>,
    binding: Option<Vec<u8>>,
    /// What is to be sent.
    message: Vec<u8>,
}

impl Dialogue {
    fn begin(ntlm: &Ntlm, credentials: Credentials, binding: Option<Vec<u8>>) -> Result<Self, SignInError> {
        let mut exchange = Exchange::new(ntlm.system);
        let service = Arc::clone(&ntlm.service);
        let step = exchange
            .step(&credentials, &service, binding.as_deref(), &[])
            .map_err(|error| SignInError::new(format!("NTLM: {error}"), None))?;
        Ok(Self { exchange, credentials, service, binding, message: step.token })
    }

    fn go_on(mut self, challenge: &[u8]) -> Result<Self, String> {
        let step = self.exchange.step(&self.credentials, &self.service, self.binding.as_deref(), challenge);
        self.message = step.map_err(|error| format!("the server's challenge is no NTLM: {error}"))?.token;
        Ok(self)
    }
}

/// Gives a leg what is left of the call's time.
pub(super) fn limit(request: &mut Request, deadline: Instant) {
    if request.timeout().is_none() {
        let left = deadline.saturating_duration_since(Instant::now());
        *request.timeout_mut() = Some(left.max(SHORTEST_LEG));
    }
}
