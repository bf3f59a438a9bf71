//! How a server is reached: through which proxy, trusting whom, and never a second time by itself.

use std::time::Duration;

use http::header::{self, HeaderMap, HeaderValue};
use hyper_util::client::proxy::matcher::Matcher;
use reqwest::ClientBuilder;
use url::Url;

use super::auth::Auth;
use super::endpoint::Endpoint;
use super::error::ClientError;
use super::host_id::HostId;
use super::proxy::Through;
use super::tls::{self, Roots, Trust};

/// How long a connection is kept for the next call. Far below IIS's 120 s and the 60 s of usual load balancers, so that a
/// connection is hardly ever taken up again while the other side is closing it.
pub(super) const KEEP_IDLE: Duration = Duration::from_secs(3);

/// The way to one server.
pub(super) struct Route {
    make: Box<dyn Fn(usize) -> reqwest::Result<reqwest::Client> + Send + Sync>,
    /// The proxy that calls go through, as `host:port`.
    pub(super) proxy: Option<String>,
}

impl Route {
    /// Finds the way to the server of an address: the API's, or a token server's. Each has a proxy of its own, or none, as the
    /// environment says; what is known of the API's server alone, pins and the certificate that it asks for, holds for no other.
    ///
    /// # Errors
    /// [`ClientError`]: a file is not taken, or the system has no root certificates where they are needed.
    pub(super) fn to(url: &Url, endpoint: &Endpoint) -> Result<Self, ClientError> {
        let through = endpoint.proxy.of(url, Matcher::from_system);
        let (is_proxied, given) = (through.is_some(), endpoint.proxy.given()?);
        let builder = move || match &given {
            Some(given) => reqwest::Client::builder().no_proxy().proxy(given.clone()),
            None if is_proxied => reqwest::Client::builder(),
            // Where the environment names no proxy for this server, none is used for certain.
            None => reqwest::Client::builder().no_proxy(),
        };
        Self::by(builder, url, endpoint, through)
    }

    /// Finds the way by builders that already know their proxies, named as they are to be shown.
    pub(super) fn by(
        builder: impl Fn() -> ClientBuilder + Send + Sync + 'static,
        url: &Url,
        endpoint: &Endpoint,
        through: Option<Through>,
    ) -> Result<Self, ClientError> {
        let roots = if url.scheme() == "https" || through.is_some() { Roots::Needed } else { Roots::NotNeeded };
        let server = HostId::of_url(url);
        let is_api = server == HostId::of_url(&endpoint.base.requests());
        let trust = Trust {
            ca_file: endpoint.ca_file.as_deref(),
            identity: endpoint.identity.as_ref().filter(|_| is_api),
            pins: if is_api { &endpoint.pins } else { &[] },
            server,
            proxy: through.as_ref().and_then(|through| through.tls_host.clone()),
        };
        let tls = tls::config(roots, &trust)?;
        let (connect_timeout, timeout) = (endpoint.connect_timeout, endpoint.timeout);
        // Tokens are bound to the server's certificate.
        let wants_certificate = endpoint.keep_certificate || matches!(endpoint.auth, Auth::Negotiate(_));
        let make = move |max_idle| {
            builder()
                .tls_backend_preconfigured(tls.clone())
                .tls_info(wants_certificate)
                .http1_only()
                // Neither of these may send a request again behind the ledger's back.
                .redirect(reqwest::redirect::Policy::none())
                .retry(reqwest::retry::never())
                .referer(false)
                .connect_timeout(connect_timeout)
                .timeout(timeout)
                .pool_idle_timeout(KEEP_IDLE)
                .pool_max_idle_per_host(max_idle)
                .tcp_nodelay(true)
                .user_agent(concat!("cmbatch/", env!("CARGO_PKG_VERSION")))
                .default_headers(HeaderMap::from_iter([(header::ACCEPT, HeaderValue::from_static("application/json"))]))
                .build()
        };
        Ok(Self { make: Box::new(make), proxy: through.map(|through| through.shown) })
    }

    /// Makes an HTTP client that keeps so many connections for the next calls.
    pub(super) fn client(&self, max_idle: usize) -> reqwest::Result<reqwest::Client> {
        (self.make)(max_idle)
    }
}
