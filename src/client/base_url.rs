//! The address of the API.

use std::fmt;
use std::net::Ipv6Addr;

use url::{Host, Url};

use crate::request::RequestUuid;

/// Whether plain http may go over a network.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum AllowHttp {
    /// Only to this machine.
    #[default]
    LoopbackOnly,
    /// Anywhere (`--allow-http`): sign-in and names of people are readable on the way.
    Yes,
}

/// The base of the API: scheme, host, port and the virtual folder, without trailing slash.
///
/// Its text form reads back as the same value. The path keeps its case: IIS compares without case, a proxy may not.
///
/// ```
/// use cmbatch::client::{AllowHttp, BaseUrl};
/// let base = BaseUrl::parse("cm.contoso.test", AllowHttp::LoopbackOnly).unwrap();
/// assert_eq!(base.to_string(), "https://cm.contoso.test/CertificateManagement");
/// assert!(BaseUrl::parse("http://cm.contoso.test", AllowHttp::LoopbackOnly).is_err());
/// ```
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct BaseUrl {
    url: Url,
}

/// Why a text is not taken as the address of the API. Never holds a password or a query.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BaseUrlError {
    /// The text is empty.
    #[error("the server's address is empty; give its host, as in cm.contoso.test")]
    Empty,
    /// The text has white space or control characters inside.
    #[error(
        "the server's address {0} has white space or a control character in it; give its host, as in cm.contoso.test"
    )]
    WhiteSpace(Shown),
    /// The text is not an address.
    #[error("the server's address {text} cannot be read ({reason}); give its host, as in cm.contoso.test")]
    Unreadable {
        /// What was given.
        text: Shown,
        /// What the URL parser says.
        reason: url::ParseError,
    },
    /// Neither http nor https.
    #[error("the server's address begins with {0:?}; only https (and http to this machine) is spoken")]
    Scheme(String),
    /// Plain http over a network.
    #[error("plain http to {0:?} would show sign-in and names on the way; write https://, or allow it by --allow-http")]
    PlainHttp(String),
    /// A user name or password in the address.
    #[error("the server's address holds a user name or password; take it out, sign-in has its own options")]
    UserInfo,
    /// A query or fragment in the address.
    #[error("the server's address has a query or fragment (from \"?\" or \"#\" on); take it out")]
    Query,
    /// `/api/v1.0` with nothing before it.
    #[error(
        "the address {0} has nothing before \"/api/v1.0\"; give the base, as in https://cm.contoso.test/CertificateManagement"
    )]
    NoFolder(Shown),
}

/// A text of the user's, fit for a message: what may hold a password is not shown.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Shown(Option<String>);

impl Shown {
    fn new(text: &str) -> Self {
        let secret = text.contains(['@', '?', '#']);
        Self((!secret).then(|| text.chars().take(200).collect()))
    }
}

impl fmt::Display for Shown {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Some(text) => write!(f, "{text:?}"),
            None => f.write_str("(not shown, it may hold a password)"),
        }
    }
}

impl BaseUrl {
    /// The virtual folder that setup proposes (*Deploying MIM CM*).
    pub const DEFAULT_FOLDER: &'static str = "/CertificateManagement";

    const API: &'static str = "/api/v1.0";

    /// Reads a host, `host:port`, `https://host` or the whole base; `/api/v1.0` and `/api/v1.0/requests` behind it are
    /// taken off. Without a scheme it is https, without a path [`DEFAULT_FOLDER`](Self::DEFAULT_FOLDER).
    ///
    /// # Errors
    ///
    /// [`BaseUrlError`], by variant.
    pub fn parse(text: &str, allow_http: AllowHttp) -> Result<Self, BaseUrlError> {
        let text = text.trim();
        if text.is_empty() {
            return Err(BaseUrlError::Empty);
        }
        // The URL parser would drop line breaks and tabs without a word.
        if text.chars().any(|c| c.is_control() || c.is_whitespace()) {
            return Err(BaseUrlError::WhiteSpace(Shown::new(text)));
        }
        let with_scheme = if text.contains("://") { text.to_owned() } else { format!("https://{text}") };
        let mut url =
            Url::parse(&with_scheme).map_err(|reason| BaseUrlError::Unreadable { text: Shown::new(text), reason })?;
        if !matches!(url.scheme(), "http" | "https") {
            return Err(BaseUrlError::Scheme(url.scheme().to_owned()));
        }
        if !url.username().is_empty() || url.password().is_some() {
            return Err(BaseUrlError::UserInfo);
        }
        if url.query().is_some() || url.fragment().is_some() {
            return Err(BaseUrlError::Query);
        }
        let folder = Self::folder(url.path()).ok_or_else(|| BaseUrlError::NoFolder(Shown::new(text)))?.to_owned();
        url.set_path(&folder);
        let base = Self { url };
        if base.url.scheme() == "http" && allow_http == AllowHttp::LoopbackOnly && !base.is_loopback() {
            return Err(BaseUrlError::PlainHttp(base.host().to_owned()));
        }
        Ok(base)
    }

    /// Returns the folder of a path, or none where only the API's own part is there.
    fn folder(path: &str) -> Option<&str> {
        let path = path.trim_end_matches('/');
        let api_at = [format!("{}/requests", Self::API), Self::API.to_owned()].into_iter().find_map(|suffix| {
            let at = path.len().checked_sub(suffix.len())?;
            path.get(at..)?.eq_ignore_ascii_case(&suffix).then_some(at)
        });
        match api_at {
            Some(at) => Some(path[..at].trim_end_matches('/')).filter(|folder| !folder.is_empty()),
            None if path.is_empty() => Some(Self::DEFAULT_FOLDER),
            None => Some(path),
        }
    }

    /// Returns the port.
    pub fn port(&self) -> u16 {
        self.url.port_or_known_default().unwrap_or(443)
    }

    /// Returns the host in lower case; IPv6 addresses in brackets.
    pub fn host(&self) -> &str {
        self.url.host_str().unwrap_or_default()
    }

    /// Returns whether the host is this machine: 127.0.0.0/8, `::1` or `localhost`.
    pub fn is_loopback(&self) -> bool {
        is_loopback(&self.url)
    }

    /// Returns whether calls go over TLS.
    pub fn is_https(&self) -> bool {
        self.url.scheme() == "https"
    }

    /// Returns the address of the requests route.
    pub(crate) fn requests(&self) -> Url {
        let mut url = self.url.clone();
        url.set_path(&format!("{}{}/requests", self.url.path(), Self::API));
        url
    }

    /// Returns the address of the list of profile templates.
    pub(crate) fn templates(&self) -> Url {
        let mut url = self.url.clone();
        url.set_path(&format!("{}{}/profiletemplates", self.url.path(), Self::API));
        url
    }

    /// Returns the address of one request.
    pub(crate) fn request(&self, uuid: RequestUuid) -> Url {
        let mut url = self.url.clone();
        url.set_path(&format!("{}{}/requests/{uuid}", self.url.path(), Self::API));
        url
    }
}

/// Returns whether the host of an address is this machine.
pub(super) fn is_loopback(url: &Url) -> bool {
    match url.host() {
        Some(Host::Ipv4(address)) => address.is_loopback(),
        Some(Host::Ipv6(address)) => address == Ipv6Addr::LOCALHOST,
        Some(Host::Domain(name)) => name.strip_suffix('.').unwrap_or(name) == "localhost",
        None => false,
    }
}

impl fmt::Display for BaseUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.url.as_str())
    }
}

impl fmt::Debug for BaseUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "BaseUrl({:?})", self.url.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(text: &str, expect: &str) {
        let base = BaseUrl::parse(text, AllowHttp::LoopbackOnly).unwrap();
        assert_eq!(base.to_string(), expect, "{text}");
        assert_eq!(BaseUrl::parse(expect, AllowHttp::LoopbackOnly).as_ref(), Ok(&base), "{text} reads back");
    }

    #[test]
    fn host_port_url_and_whole_base_are_taken() {
        check("cm.contoso.test", "https://cm.contoso.test/CertificateManagement");
        check(" CM.Contoso.Test ", "https://cm.contoso.test/CertificateManagement");
        check("cm.contoso.test:8443", "https://cm.contoso.test:8443/CertificateManagement");
        check("https://cm.contoso.test:443/", "https://cm.contoso.test/CertificateManagement");
        check("HTTPS://cm.contoso.test/certificatemanagement/", "https://cm.contoso.test/certificatemanagement");
        check("cm.contoso.test/CM/Portal", "https://cm.contoso.test/CM/Portal");
        check(
            "https://cm.contoso.test/CertificateManagement/api/v1.0",
            "https://cm.contoso.test/CertificateManagement",
        );
        check(
            "https://cm.contoso.test/certificatemanagement/API/V1.0/",
            "https://cm.contoso.test/certificatemanagement",
        );
        check("cm.contoso.test/cm/api/v1.0/Requests", "https://cm.contoso.test/cm");
        check("http://127.9.9.9:8080", "http://127.9.9.9:8080/CertificateManagement");
        check("http://[::1]:8080", "http://[::1]:8080/CertificateManagement");
        check("http://localhost", "http://localhost/CertificateManagement");
        check("https://müller.test", "https://xn--mller-kva.test/CertificateManagement");
    }

    #[test]
    fn what_is_not_an_address_is_refused_with_the_way_out() {
        let error = |text: &str| BaseUrl::parse(text, AllowHttp::LoopbackOnly).unwrap_err();
        assert_eq!(error("  "), BaseUrlError::Empty);
        assert!(matches!(error("cm contoso"), BaseUrlError::WhiteSpace(_)));
        assert!(matches!(error("cm.contoso.test\t/x"), BaseUrlError::WhiteSpace(_)));
        assert!(matches!(error("https://"), BaseUrlError::Unreadable { .. }));
        assert!(matches!(error("cm.contoso.test:99999"), BaseUrlError::Unreadable { .. }));
        assert_eq!(error("ftp://cm.contoso.test"), BaseUrlError::Scheme("ftp".into()));
        assert_eq!(error("https://cm.contoso.test/x?y=1"), BaseUrlError::Query);
        assert_eq!(error("https://cm.contoso.test/#x"), BaseUrlError::Query);
        assert_eq!(error("anna@cm.contoso.test"), BaseUrlError::UserInfo);
        assert!(matches!(error("https://cm.contoso.test/api/v1.0"), BaseUrlError::NoFolder(_)));
        assert_eq!(
            error("ftp://x").to_string(),
            "the server's address begins with \"ftp\"; only https (and http to this machine) is spoken"
        );
    }

    #[test]
    fn plain_http_goes_to_this_machine_only_unless_allowed() {
        for text in ["http://cm.contoso.test", "http://10.0.0.1", "http://localhost.contoso.test", "http://128.0.0.1"] {
            assert!(matches!(BaseUrl::parse(text, AllowHttp::LoopbackOnly), Err(BaseUrlError::PlainHttp(_))), "{text}");
            let base = BaseUrl::parse(text, AllowHttp::Yes).unwrap();
            assert!(!base.is_https() && !base.is_loopback());
        }
    }

    #[test]
    fn no_error_shows_a_password_or_a_query() {
        for text in [
            "https://anna:hunter2@cm.contoso.test",
            "https://anna:hunter2@cm.contoso.test:99999",
            "https://anna:hun ter2@cm.contoso.test",
            "https://cm.contoso.test:99999/?token=hunter2",
            "anna:hunter2@:",
        ] {
            let error = BaseUrl::parse(text, AllowHttp::LoopbackOnly).unwrap_err();
            let shown = format!("{error} {error:?}");
            assert!(!shown.contains("hunter2") && !shown.contains("ter2"), "{shown}");
        }
    }

    #[test]
    fn addresses_are_built_below_the_base() {
        let base = BaseUrl::parse("cm.contoso.test/cm", AllowHttp::LoopbackOnly).unwrap();
        assert_eq!(base.requests().as_str(), "https://cm.contoso.test/cm/api/v1.0/requests");
        let uuid = RequestUuid::new("a9b4b42c-cc50-4c9b-89d1-bbc0bcd5a099".parse().unwrap());
        assert_eq!(
            base.request(uuid).as_str(),
            "https://cm.contoso.test/cm/api/v1.0/requests/a9b4b42c-cc50-4c9b-89d1-bbc0bcd5a099"
        );
        assert_eq!(base.templates().as_str(), "https://cm.contoso.test/cm/api/v1.0/profiletemplates");
        assert_eq!(base.host(), "cm.contoso.test");
    }
}
