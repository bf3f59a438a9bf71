//! Where the sign-in comes from.

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use http::HeaderValue;

use super::error::{TokenError, TokenFault, TokenPlace};
use super::oauth::OAuth;
use super::private_file::{self, FileFault};
use super::sign_in::Negotiate;

/// A text that is never shown: no `Display`, and `Debug` prints `[redacted]`.
///
/// ```
/// use cmbatch::client::Secret;
/// assert_eq!(format!("{:?}", Secret::new("hunter2".to_owned())), "[redacted]");
/// ```
pub struct Secret(String);

impl Secret {
    /// Takes the text.
    pub const fn new(text: String) -> Self {
        Self(text)
    }

    /// Returns the text, for the header alone.
    pub(crate) fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[redacted]")
    }
}

/// How calls sign in.
#[derive(Debug)]
pub enum Auth {
    /// Not at all.
    None,
    /// With Negotiate (Kerberos), call by call or connection by connection, or with NTLM by connection.
    Negotiate(Arc<Negotiate>),
    /// With a bearer token that a token server gives (OAuth 2 client credentials).
    OAuth(Arc<OAuth>),
    /// With a bearer token out of a file, which is read at start, again where it was rewritten, and by
    /// [`Client::renew`](super::Client::renew).
    BearerFile(PathBuf),
    /// With the cookies of a browser's session out of a file, which is read as that of a token is.
    CookieFile(PathBuf),
    /// With a bearer token out of the environment.
    BearerEnv {
        /// The variable's name, for messages.
        name: String,
        /// Its value.
        value: Secret,
    },
}

/// The longest token that is taken, in bytes: IIS takes 16 KiB of headers by default.
const MAX_TOKEN_BYTES: usize = 64 * 1024;

impl Auth {
    /// Returns the `Authorization` header of now, marked as sensitive; none where calls do not sign in.
    ///
    /// # Errors
    ///
    /// [`TokenError`] where the file cannot be read, others may read it, or it holds no token.
    pub(crate) fn header(&self) -> Result<Option<HeaderValue>, TokenError> {
        match self {
            // Negotiate has a header of its own for each call, and a token server is asked for one.
            // Cookies have a header of their own.
            Self::None | Self::Negotiate(_) | Self::OAuth(_) | Self::CookieFile(_) => Ok(None),
            Self::BearerFile(path) => of_token_file(path).map(Some),
            Self::BearerEnv { name, value } => bearer(value.expose())
                .map(Some)
                .map_err(|fault| TokenError { place: TokenPlace::Variable(name.clone()), fault }),
        }
    }
}

/// Returns the header for the token in a file.
pub(crate) fn of_token_file(path: &Path) -> Result<HeaderValue, TokenError> {
    let header = read_token_file(path).and_then(|text| bearer(&text));
    header.map_err(|fault| TokenError { place: TokenPlace::File(path.to_owned()), fault })
}

/// Returns the header for a token. The fault never holds any of it.
pub(crate) fn bearer(text: &str) -> Result<HeaderValue, TokenFault> {
    // Windows editors write a byte order mark.
    let token = text.strip_prefix('\u{feff}').unwrap_or(text).trim();
    if token.is_empty() {
        return Err(TokenFault::Empty);
    }
    if token.len() > MAX_TOKEN_BYTES {
        return Err(FileFault::TooLong(MAX_TOKEN_BYTES).into());
    }
    match token.as_bytes()[0] {
        b'{' | b'[' => return Err(TokenFault::Json),
        b'"' | b'\'' => return Err(TokenFault::Quoted),
        _ => {}
    }
    // RFC 6750, 2.1: no character of a token is outside of visible ASCII. A line break would begin another header.
    if !token.bytes().all(|byte| byte.is_ascii_graphic()) {
        return Err(TokenFault::NotAToken);
    }
    let mut header = HeaderValue::from_str(&format!("Bearer {token}")).map_err(|_| TokenFault::NotAToken)?;
    header.set_sensitive(true);
    Ok(header)
}

fn read_token_file(path: &Path) -> Result<String, TokenFault> {
    // A byte order mark and line ends may stand around the token.
    let bytes = private_file::read(path, MAX_TOKEN_BYTES + 64)?;
    String::from_utf8(bytes).map_err(|_| TokenFault::NotAToken)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn env(value: &str) -> Result<Option<HeaderValue>, TokenError> {
        Auth::BearerEnv { name: "CMBATCH_BEARER_TOKEN".into(), value: Secret::new(value.into()) }.header()
    }

    #[test]
    fn a_token_is_trimmed_and_its_header_is_sensitive() {
        for text in ["abc.DEF-1_2~3+4/5==", "  abc.DEF-1_2~3+4/5==\r\n", "\u{feff}abc.DEF-1_2~3+4/5==\n"] {
            let header = env(text).unwrap().unwrap();
            assert_eq!(header.as_bytes(), b"Bearer abc.DEF-1_2~3+4/5==");
            assert_eq!(format!("{header:?}"), "Sensitive");
        }
        assert_eq!(Auth::None.header().unwrap(), None);
    }

    #[test]
    fn what_is_no_token_is_refused_and_never_shown() {
        for text in ["", " \n", "hunter2 hunter2", "Bearer hunter2", "hunter2\r\nX-Admin: 1", "hunter2\0", "hünter2"] {
            let error = env(text).unwrap_err();
            let shown = format!("{error} {error:?}");
            assert!(!shown.contains("hunter2") && !shown.contains("X-Admin"), "{shown}");
            assert!(shown.contains("CMBATCH_BEARER_TOKEN"), "{shown}");
        }
        assert!(matches!(
            env(&"a".repeat(MAX_TOKEN_BYTES + 1)).unwrap_err().fault,
            TokenFault::File(FileFault::TooLong(_))
        ));
    }

    #[test]
    fn what_stands_around_a_token_is_never_sent() {
        for (text, says) in [
            ("\"hunter2\"", "stands in quotes"),
            ("'hunter2'", "stands in quotes"),
            ("{\"access_token\":\"hunter2\",\"token_type\":\"Bearer\"}", "value of its \"access_token\""),
            ("[\"hunter2\"]", "is JSON"),
        ] {
            let said = env(text).unwrap_err().to_string();
            assert!(said.contains(says) && !said.contains("hunter2"), "{said}");
        }
    }

    #[cfg(unix)]
    #[test]
    fn a_token_file_that_others_may_read_is_refused_with_the_command_to_type() {
        use std::os::unix::fs::PermissionsExt;

        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("it's a token");
        std::fs::write(&path, "hunter2\n").unwrap();
        let mode = |mode| std::fs::set_permissions(&path, std::fs::Permissions::from_mode(mode)).unwrap();
        let auth = Auth::BearerFile(path.clone());

        mode(0o640);
        let error = auth.header().unwrap_err();
        assert!(matches!(error.fault, TokenFault::File(FileFault::OpenToOthers { mode: 0o640 })));
        let command = format!("chmod 600 '{}/it'\\''s a token'", folder.path().display());
        assert!(error.to_string().contains(&command), "{error}");
        assert!(!format!("{error} {error:?}").contains("hunter2"));

        mode(0o600);
        assert_eq!(auth.header().unwrap().unwrap().as_bytes(), b"Bearer hunter2");
    }

    #[test]
    fn a_token_file_that_is_none_says_so() {
        let folder = tempfile::tempdir().unwrap();
        let missing = Auth::BearerFile(folder.path().join("missing")).header().unwrap_err();
        assert!(matches!(missing.fault, TokenFault::File(FileFault::Unreadable(_))));
        let a_folder = Auth::BearerFile(folder.path().to_owned()).header().unwrap_err();
        assert!(matches!(a_folder.fault, TokenFault::File(FileFault::NotAFile)));
    }
}
