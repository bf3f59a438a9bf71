//! What a server asks for, and what it says of itself: `WWW-Authenticate` and `Persistent-Auth`.

use data_encoding::BASE64;
use http::header::{HeaderMap, HeaderName, WWW_AUTHENTICATE};

/// IIS says with it whether the connection stays signed in ([MS-N2HT], 2.2.2).
const PERSISTENT_AUTH: HeaderName = HeaderName::from_static("persistent-auth");

/// What the headers of an answer say about signing in.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Challenge {
    /// The token that came with `Negotiate` (RFC 4559, 5): the server's part of the exchange.
    pub(crate) token: Option<Vec<u8>>,
    /// The names of the schemes that the server takes, as it wrote them.
    pub(crate) schemes: Vec<String>,
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
                if scheme.eq_ignore_ascii_case("Negotiate") && challenge.token.is_none() {
                    challenge.token = BASE64.decode(rest.trim().as_bytes()).ok().filter(|token| !token.is_empty());
                }
                challenge.schemes.push(scheme.to_owned());
            }
        }
        challenge
    }

    /// Returns whether the server takes Negotiate.
    pub(crate) fn offers_negotiate(&self) -> bool {
        self.schemes.iter().any(|scheme| scheme.eq_ignore_ascii_case("Negotiate"))
    }

    /// Returns the schemes in words.
    pub(crate) fn offers(&self) -> String {
        if self.schemes.is_empty() { "no sign-in at all".to_owned() } else { self.schemes.join(", ") }
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
    use http::HeaderValue;

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
        assert_eq!((first.token.as_deref(), first.offers().as_str()), (None, "Negotiate, NTLM"));
        assert!(first.offers_negotiate());

        let proof = challenge(&[("www-authenticate", "Negotiate b3h5Z2Vu"), ("persistent-auth", "True")]);
        assert_eq!((proof.token.as_deref(), proof.persistent), (Some(b"oxygen".as_slice()), Some(true)));
        assert_eq!(challenge(&[("persistent-auth", "false")]).persistent, Some(false));
        assert_eq!(challenge(&[("persistent-auth", "maybe")]).persistent, None);

        let other = challenge(&[("www-authenticate", "Bearer realm=\"cm\"")]);
        assert!(!other.offers_negotiate());
        assert_eq!(other.offers(), "Bearer");
        assert_eq!(challenge(&[]).offers(), "no sign-in at all");
        for line in ["NTLM, Negotiate", "Negotiate,NTLM", "Digest realm=\"a\", nonce=\"b\", Negotiate"] {
            assert!(challenge(&[("www-authenticate", line)]).offers_negotiate(), "{line}");
        }
        assert_eq!(challenge(&[("www-authenticate", "Digest realm=\"a\", nonce = \"b\"")]).offers(), "Digest");
        // What is no token is none.
        for damaged in ["Negotiate ?", "Negotiate b3h5Z2V", "negotiate ", "Negotiate"] {
            assert_eq!(challenge(&[("www-authenticate", damaged)]).token, None, "{damaged}");
        }
    }
}
