//! Proxies: which one a call goes through.

use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;

use hyper_util::client::proxy::matcher::Matcher;
use url::Url;

use super::base_url;
use super::error::ClientError;
use super::host_id::HostId;
use super::private_file;

/// The longest file with a user and a password, in bytes.
const MAX_FILE_BYTES: usize = 4 * 1024;

/// Whether calls go through a proxy. A server on this machine is called without, unless one is given by name.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Proxy {
    /// Never.
    None,
    /// As the environment says: `HTTPS_PROXY`, `HTTP_PROXY`, `ALL_PROXY` and `NO_PROXY`, in either case; where they are not
    /// set, on Windows and macOS the system's own settings.
    #[default]
    Environment,
    /// This one, always.
    Given {
        /// Its address.
        address: ProxyAddress,
        /// A file with `user:password` on its first line, which nobody else may read.
        credentials: Option<PathBuf>,
    },
}

/// The address of a proxy, without credentials.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProxyAddress(Url);

/// Why a text is not the address of a proxy. Never holds a password.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ProxyAddressError {
    /// It cannot be read.
    #[error("write the proxy as http://HOST:PORT or https://HOST:PORT, or none")]
    Unreadable,
    /// A user name or password in it.
    #[error(
        "the proxy's address holds a user name or password: put them into a file, and name that with --proxy-credentials"
    )]
    UserInfo,
}

impl FromStr for ProxyAddress {
    type Err = ProxyAddressError;

    fn from_str(text: &str) -> Result<Self, ProxyAddressError> {
        let text = text.trim();
        let with_scheme = if text.contains("://") { text.to_owned() } else { format!("http://{text}") };
        let url = Url::parse(&with_scheme).map_err(|_| ProxyAddressError::Unreadable)?;
        if !url.username().is_empty() || url.password().is_some() {
            return Err(ProxyAddressError::UserInfo);
        }
        let is_bare = url.path() == "/" && url.query().is_none() && url.fragment().is_none();
        if !matches!(url.scheme(), "http" | "https") || url.host_str().is_none_or(str::is_empty) || !is_bare {
            return Err(ProxyAddressError::Unreadable);
        }
        Ok(Self(url))
    }
}

impl fmt::Display for ProxyAddress {
    /// Writes `host:port`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let host = self.0.host_str().unwrap_or_default();
        match self.0.port_or_known_default() {
            Some(port) => write!(f, "{host}:{port}"),
            None => f.write_str(host),
        }
    }
}

impl ProxyAddress {
    /// Returns whether calls to the proxy itself go over TLS.
    pub fn is_https(&self) -> bool {
        self.0.scheme() == "https"
    }
}

/// The proxy that calls to a server go through.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Through {
    /// As `host:port`, without credentials.
    pub(super) shown: String,
    /// Its host, where calls to the proxy itself go over TLS.
    pub(super) tls_host: Option<HostId>,
}

impl Proxy {
    /// Returns the proxy that calls to this address go through. The environment is asked by the same matcher that reqwest asks
    /// (its `src/proxy.rs`, `Matcher::system`), so that both come to the same answer.
    pub(super) fn of(&self, url: &Url, environment: impl FnOnce() -> Matcher) -> Option<Through> {
        let matcher = match self {
            Self::Given { address, .. } => {
                let tls_host = if address.is_https() { HostId::of_url(&address.0) } else { None };
                return Some(Through { shown: address.to_string(), tls_host });
            }
            Self::Environment if !base_url::is_loopback(url) => environment(),
            Self::Environment | Self::None => return None,
        };
        let proxy = matcher.intercept(&url.as_str().parse().ok()?)?;
        let uri = proxy.uri();
        let shown = match (uri.host(), uri.port_u16()) {
            (Some(host), Some(port)) => format!("{host}:{port}"),
            (host, _) => host.unwrap_or_default().to_owned(),
        };
        let is_tls = uri.scheme_str() == Some("https");
        let tls_host = Url::parse(&uri.to_string()).ok().filter(|_| is_tls).as_ref().and_then(HostId::of_url);
        Some(Through { shown, tls_host })
    }

    /// Returns the proxy for the HTTP library, where one is given by name; its credentials are read here.
    ///
    /// # Errors
    /// The credentials cannot be read.
    pub(super) fn given(&self) -> Result<Option<reqwest::Proxy>, ClientError> {
        let Self::Given { address, credentials } = self else { return Ok(None) };
        let proxy = reqwest::Proxy::all(address.0.clone()).map_err(|error| ClientError::Http(error.without_url()))?;
        let Some(path) = credentials else { return Ok(Some(proxy)) };
        let refused = |fault: String| ClientError::ProxyCredentials { path: path.clone(), fault };
        let bytes = private_file::read(path, MAX_FILE_BYTES)
            .map_err(|fault| refused(format!("{fault}{}", fault.remedy(path))))?;
        let line = private_file::first_line(&bytes).ok_or_else(|| refused("are not UTF-8 text".to_owned()))?;
        match line.split_once(':') {
            Some((user, password)) if !user.is_empty() => Ok(Some(proxy.basic_auth(user, password))),
            Some(_) | None => Err(refused("are not there: write user:password on the first line".to_owned())),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_environments_proxy_is_taken_unless_the_server_is_this_machine_or_named_as_direct() {
        let environment = || {
            Matcher::builder()
                .https("http://anna:hunter2@proxy.contoso.test:3128")
                .http("http://plain.contoso.test")
                .no("intern.contoso.test,10.0.0.0/8")
                .build()
        };
        let given = Proxy::Given { address: "proxy.test:8080".parse().unwrap(), credentials: None };
        for (server, choice, expect) in [
            ("https://cm.contoso.test", Proxy::Environment, Some("proxy.contoso.test:3128")),
            ("http://cm.contoso.test", Proxy::Environment, Some("plain.contoso.test")),
            ("https://cm.contoso.test", Proxy::None, None),
            ("https://cm.intern.contoso.test", Proxy::Environment, None),
            ("https://10.1.2.3", Proxy::Environment, None),
            ("https://127.0.0.1:8443", Proxy::Environment, None),
            ("https://localhost", Proxy::Environment, None),
            ("http://[::1]:8080", Proxy::Environment, None),
            ("http://[::1]:8080", given.clone(), Some("proxy.test:8080")),
            ("https://cm.intern.contoso.test", given, Some("proxy.test:8080")),
        ] {
            let through = choice.of(&Url::parse(server).unwrap(), environment);
            assert_eq!(through.as_ref().map(|through| through.shown.as_str()), expect, "{server}");
            assert!(through.is_none_or(|through| through.tls_host.is_none()));
        }
        let url = Url::parse("https://cm.contoso.test").unwrap();
        let host = Some(HostId::Name("proxy.test".to_owned()));
        let given = Proxy::Given { address: "https://Proxy.test:8080".parse().unwrap(), credentials: None };
        assert_eq!(given.of(&url, environment).unwrap().tls_host, host);
        let environment = || Matcher::builder().https("https://proxy.test:3128").build();
        assert_eq!(Proxy::Environment.of(&url, environment).unwrap().tls_host, host);
    }

    #[test]
    fn an_address_is_a_host_and_a_port_and_holds_no_password() {
        for (text, shown) in
            [("proxy.test", "proxy.test:80"), ("http://proxy.test:3128/", "proxy.test:3128"), ("https://p", "p:443")]
        {
            assert_eq!(text.parse::<ProxyAddress>().unwrap().to_string(), shown);
        }
        let with_password = "http://anna:hunter2@proxy.test:3128".parse::<ProxyAddress>();
        assert_eq!(with_password, Err(ProxyAddressError::UserInfo));
        for text in ["", "socks5://proxy.test", "http://proxy.test/path", "http://", "http://proxy.test?x"] {
            assert_eq!(text.parse::<ProxyAddress>(), Err(ProxyAddressError::Unreadable), "{text}");
        }
    }

    #[test]
    fn credentials_are_a_user_and_a_password_that_nobody_else_may_read() {
        use crate::platform::set_mode;
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("proxy.txt");
        let proxy = Proxy::Given { address: "proxy.test".parse().unwrap(), credentials: Some(path.clone()) };
        let write = |content: &str, mode| {
            std::fs::write(&path, content).unwrap();
            set_mode(&path, mode);
        };
        write("anna:hunter2\n", 0o600);
        assert!(proxy.given().unwrap().is_some());
        for (content, mode, says) in [("anna", 0o600, "user:password"), ("anna:hunter2", 0o644, "chmod 600")] {
            if mode != 0o600 && cfg!(windows) {
                continue;
            }
            write(content, mode);
            let said = proxy.given().unwrap_err().to_string();
            assert!(said.contains(says) && !said.contains("hunter2"), "{said}");
        }
    }
}
