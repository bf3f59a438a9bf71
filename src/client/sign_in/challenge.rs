//! What a server asks for, and what it says of itself: `WWW-Authenticate` and `Persistent-Auth`.

use data_encoding::BASE64;
use http::HeaderValue;
use http::header::{HeaderMap, HeaderName, WWW_AUTHENTICATE};

use reqwest::Response;

use super::MAX_CHALLENGE_BYTES;
use crate::client::{body, message};

/// IIS says with it whether the connection stays signed in ([MS-N2HT], 2.2.2).
const PERSISTENT_AUTH: HeaderName = HeaderName::from_static("persistent-auth");

/// A scheme that carries tokens.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Scheme {
    /// RFC 4559; its tokens are Kerberos's or NTLM's.
    Negotiate,
    /// What IIS takes beside it, or alone ([MS-NTHT]).
    Ntlm,
}

impl Scheme {
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Negotiate => "Negotiate",
            Self::Ntlm => "NTLM",
        }
    }

    /// Returns the header that carries a token.
    pub(crate) fn header(self, token: &[u8]) -> HeaderValue {
        let text = format!("{} {}", self.name(), BASE64.encode(token));
        let mut header = HeaderValue::from_str(&text).expect("base64 is ASCII");
        header.set_sensitive(true);
        header
    }
}

/// Returns what the body of a challenge says, where that is not too long.
pub(super) async fn said_in(response: Response) -> String {
    body::read(response, MAX_CHALLENGE_BYTES).await.map(|body| message::of_body(&body)).unwrap_or_default()
}

/// What the headers of an answer say about signing in.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Challenge {
    /// The names of the schemes that the server takes, as it wrote them, and the token that came with each (RFC 4559, 5): the
    /// server's part of the exchange.
    schemes: Vec<(String, Option<Vec<u8>>)>,
    /// Whether the connection stays signed in, where the server says so.
    pub(crate) persistent: Option<bool>,
}

impl Challenge {
    /// Reads the headers of an answer.
    pub(crate) fn of(headers: &HeaderMap) -> Self {
        let mut challenge = Self { persistent: persistent(headers), ..Self::default() };
        for value in headers.get_all(WWW_AUTHENTICATE).iter().filter_map(|value| value.to_str().ok()) {
            // Several challenges may share a line (RFC 9110, 11.6.1); what has "=" behind its first word is a parameter.
            for part in value.split(',').map(str::trim) {
                let (scheme, rest) = part.split_once(' ').unwrap_or((part, ""));
                if scheme.is_empty() || scheme.contains('=') || rest.trim_start().starts_with('=') {
                    continue;
                }
                let token = BASE64.decode(rest.trim().as_bytes()).ok().filter(|token| !token.is_empty());
                challenge.schemes.push((scheme.to_owned(), token));
            }
        }
        challenge
    }

    /// Returns whether the server takes a scheme.
    pub(crate) fn has(&self, scheme: Scheme) -> bool {
        self.names(scheme.name())
    }

    /// Returns whether the server names a scheme, be it one that is spoken or not.
    pub(crate) fn names(&self, scheme: &str) -> bool {
        self.schemes.iter().any(|(name, _)| name.eq_ignore_ascii_case(scheme))
    }

    /// Returns whether the server names none.
    pub(crate) fn is_empty(&self) -> bool {
        self.schemes.is_empty()
    }

    /// Returns the token that came with a scheme.
    pub(crate) fn token(&self, scheme: Scheme) -> Option<&[u8]> {
        let mut of_scheme = self.schemes.iter().filter(|(name, _)| name.eq_ignore_ascii_case(scheme.name()));
        of_scheme.find_map(|(_, token)| token.as_deref())
    }

    /// Returns the schemes in words.
    pub(crate) fn offers(&self) -> String {
        let names: Vec<&str> = self.schemes.iter().map(|(name, _)| name.as_str()).collect();
        if names.is_empty() { "no sign-in at all".to_owned() } else { names.join(", ") }
    }
}

fn persistent(headers: &HeaderMap) -> Option<bool> {
    let value = headers.get(PERSISTENT_AUTH)?.to_str().ok()?.trim();
    match value {
        _ if value.eq_ignore_ascii_case("true") => Some(true),
        _ if value.eq_ignore_ascii_case("false") => Some(false),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn challenge(lines: &[(&'static str, &'static str)]) -> Challenge {
        let mut headers = HeaderMap::new();
        for (name, value) in lines {
            headers.append(HeaderName::from_static(name), HeaderValue::from_static(value));
        }
        Challenge::of(&headers)
    }

    #[test]
    fn schemes_tokens_and_persistence_are_read_from_what_servers_write() {
        let first = challenge(&[("www-authenticate", "Negotiate"), ("www-authenticate", "NTLM")]);
        assert_eq!((first.token(Scheme::Negotiate), first.offers().as_str()), (None, "Negotiate, NTLM"));
        assert!(first.has(Scheme::Negotiate) && first.has(Scheme::Ntlm));

        let proof = challenge(&[("www-authenticate", "Negotiate b3h5Z2Vu"), ("persistent-auth", "True")]);
        assert_eq!((proof.token(Scheme::Negotiate), proof.persistent), (Some(b"oxygen".as_slice()), Some(true)));
        assert_eq!(challenge(&[("persistent-auth", "false")]).persistent, Some(false));
        assert_eq!(challenge(&[("persistent-auth", "maybe")]).persistent, None);

        let ntlm = challenge(&[("www-authenticate", "Negotiate, NTLM b3h5Z2Vu")]);
        assert_eq!((ntlm.token(Scheme::Negotiate), ntlm.token(Scheme::Ntlm)), (None, Some(b"oxygen".as_slice())));

        let other = challenge(&[("www-authenticate", "Bearer realm=\"cm\"")]);
        assert!(!other.has(Scheme::Negotiate));
        assert_eq!(other.offers(), "Bearer");
        assert_eq!(challenge(&[]).offers(), "no sign-in at all");
        for line in ["NTLM, Negotiate", "Negotiate,NTLM", "Digest realm=\"a\", nonce=\"b\", Negotiate"] {
            assert!(challenge(&[("www-authenticate", line)]).has(Scheme::Negotiate), "{line}");
        }
        assert_eq!(challenge(&[("www-authenticate", "Digest realm=\"a\", nonce = \"b\"")]).offers(), "Digest");
        // What is no token is none.
        for damaged in ["Negotiate ?", "Negotiate b3h5Z2V", "negotiate ", "Negotiate"] {
            assert_eq!(challenge(&[("www-authenticate", damaged)]).token(Scheme::Negotiate), None, "{damaged}");
        }
    }
}
