//! What a client needs to know.

use std::path::PathBuf;
use std::time::Duration;

use super::auth::Auth;
use super::base_url::BaseUrl;
use super::identity::Identity;
use super::pin::Pin;
use super::proxy::Proxy;
use crate::machine::Machine;

/// Where the API is, and how it is called.
#[derive(Debug)]
pub struct Endpoint {
    /// The address.
    pub base: BaseUrl,
    /// A PEM file with CA certificates that are trusted in addition to the system's own.
    pub ca_file: Option<PathBuf>,
    /// The certificate that is shown to a server which asks for one.
    pub identity: Option<Identity>,
    /// The keys of which the server must have one; any where there are none.
    pub pins: Vec<Pin>,
    /// Whether the server's certificate is kept with each answer, for who wants to look at it.
    pub keep_certificate: bool,
    /// How calls sign in.
    pub auth: Auth,
    /// How long a call may take from start to the answer's last byte. A list has times of its own
    /// ([`ListTimeouts`](super::ListTimeouts)).
    pub timeout: Duration,
    /// How long connecting may take: name, TCP, proxy and TLS together.
    pub connect_timeout: Duration,
    /// How many connections are kept for the next calls: the concurrency.
    pub max_idle: usize,
    /// Whether calls go through a proxy.
    pub proxy: Proxy,
    /// The machine whose clocks count.
    pub machine: Machine,
}

impl Endpoint {
    /// The default of [`timeout`](Self::timeout): above the 110 s plus 15 s after which ASP.NET gives a request up, so
    /// that a slow success is heard, not guessed.
    pub const DEFAULT_TIMEOUT: Duration = Duration::from_secs(130);
    /// The default of [`connect_timeout`](Self::connect_timeout).
    pub const DEFAULT_CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
    /// The default of [`max_idle`](Self::max_idle).
    pub const DEFAULT_MAX_IDLE: usize = 16;

    /// Returns whether credentials would go over the network unencrypted.
    pub fn sends_secrets_in_clear(&self) -> bool {
        !self.base.is_https() && !self.base.is_loopback() && !matches!(self.auth, Auth::None)
    }

    /// Returns an endpoint at this address with every default, and without sign-in.
    pub fn new(base: BaseUrl) -> Self {
        Self {
            base,
            ca_file: None,
            identity: None,
            pins: Vec::new(),
            keep_certificate: false,
            auth: Auth::None,
            timeout: Self::DEFAULT_TIMEOUT,
            connect_timeout: Self::DEFAULT_CONNECT_TIMEOUT,
            max_idle: Self::DEFAULT_MAX_IDLE,
            proxy: Proxy::Environment,
            machine: Machine::system(),
        }
    }
}
