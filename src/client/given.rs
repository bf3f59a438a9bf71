//! What calls sign in with, and what to do where the server does not take it.

use http::header::HeaderMap;

use super::auth::Auth;
use super::error::TokenPlace;
use super::sign_in::Challenge;

/// What calls sign in with, without any secret.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Given {
    Nothing,
    Token(TokenPlace),
    TokenServer,
    Session,
    Account,
}

impl Given {
    pub(crate) fn of(auth: &Auth) -> Self {
        match auth {
            Auth::None => Self::Nothing,
            Auth::BearerFile(path) => Self::Token(TokenPlace::File(path.clone())),
            Auth::BearerEnv { name, .. } => Self::Token(TokenPlace::Variable(name.clone())),
            Auth::OAuth(_) => Self::TokenServer,
            Auth::CookieFile(_) => Self::Session,
            Auth::Negotiate(_) => Self::Account,
        }
    }

    /// Returns what to do about a 401 with these headers.
    pub(crate) fn advice(&self, headers: &HeaderMap) -> String {
        let challenge = Challenge::of(headers);
        let offers = challenge.offers();
        let takes_tokens = challenge.names("Bearer") || challenge.is_empty();
        match self {
            Self::Nothing => format!(
                "it takes no call without a sign-in, and none was given; it offers {offers}: {}",
                ways(&challenge)
            ),
            Self::Token(_) | Self::TokenServer if !takes_tokens => {
                format!("it takes no token; it offers {offers}: {} in place of the token", ways(&challenge))
            }
            Self::Token(place) => format!("it does not take the token in {place}; it offers {offers}: get a new token"),
            Self::TokenServer => format!(
                "it does not take the token that the token server gave; it offers {offers}: check --client-id, --resource and --scope"
            ),
            Self::Session => format!(
                "it does not take the cookies; it offers {offers}: sign in with the browser again, and write the file anew"
            ),
            Self::Account => format!("it does not take the account; it offers {offers}: check the account"),
        }
    }
}

/// Returns the options that do what the server offers.
fn ways(challenge: &Challenge) -> String {
    let known =
        [("Negotiate", "--auth negotiate"), ("NTLM", "--auth ntlm"), ("Bearer", "--token-file FILE, or --auth oauth")];
    let ways: Vec<&str> =
        known.into_iter().filter(|(name, _)| challenge.names(name)).map(|(_, option)| option).collect();
    match ways.as_slice() {
        [] if challenge.is_empty() => {
            "ask who runs it how to sign in; --auth negotiate is what CM usually wants".to_owned()
        }
        [] => "have Windows authentication (Negotiate) turned on there".to_owned(),
        ways => format!("give {}", ways.join(", or ")),
    }
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use http::HeaderValue;
    use http::header::WWW_AUTHENTICATE;

    use super::*;

    #[test]
    fn a_401_says_what_the_server_offers_and_what_to_give() {
        let headers = |offers: &[&'static str]| {
            offers.iter().map(|offer| (WWW_AUTHENTICATE, HeaderValue::from_static(offer))).collect::<HeaderMap>()
        };
        let token = Given::Token(TokenPlace::File(PathBuf::from("t")));
        for (given, offers, says) in [
            (
                &Given::Nothing,
                &["Negotiate", "NTLM"][..],
                "none was given; it offers Negotiate, NTLM: give --auth negotiate, or --auth ntlm",
            ),
            (&Given::Nothing, &["Bearer realm=\"x\""], "offers Bearer: give --token-file FILE, or --auth oauth"),
            (&Given::Nothing, &["Basic realm=\"x\""], "offers Basic: have Windows authentication"),
            (&Given::Nothing, &[], "offers no sign-in at all: ask who runs it"),
            (&token, &["Bearer"], "it does not take the token in \"t\"; it offers Bearer: get a new token"),
            (&token, &[], "it does not take the token in \"t\""),
            (
                &token,
                &["Negotiate"],
                "it takes no token; it offers Negotiate: give --auth negotiate in place of the token",
            ),
            (&Given::TokenServer, &["Bearer"], "check --client-id, --resource and --scope"),
            (&Given::Session, &[], "sign in with the browser again"),
            (&Given::Account, &["Negotiate"], "check the account"),
        ] {
            let said = given.advice(&headers(offers));
            assert!(said.contains(says), "{given:?} {offers:?}: {said}");
        }
    }
}
