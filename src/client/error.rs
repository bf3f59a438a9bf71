//! What can go wrong before a call, and on calls that only read.

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::request::CorrelationId;

use super::answer::TransportFault;
use super::cookie::EndedCookie;
use super::identity::IdentityError;
use super::oauth::OAuthError;
use super::private_file::FileFault;
use super::sign_in::SignInError;

/// Why there is no client.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    /// The sign-in cannot be made.
    #[error(transparent)]
    Token(#[from] TokenError),
    /// The session cookie cannot be sent.
    #[error(transparent)]
    Cookie(#[from] CookieError),
    /// The session is over, or was never one.
    #[error("{0}")]
    Session(String),
    /// There are no credentials for Negotiate, or they are refused.
    #[error(transparent)]
    SignIn(SignInError),
    /// No token server gives a token.
    #[error(transparent)]
    OAuth(OAuthError),
    /// The file of `--ca-file` is not taken.
    #[error("the certificates in {} {fault}", Quoted(.path))]
    CaFile {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        fault: CaFileFault,
    },
    /// The client certificate cannot be shown.
    #[error("the client certificate in {0}")]
    Identity(#[from] IdentityError),
    /// The client certificate and its key do not belong together, or are of a kind that is not spoken.
    #[error("the client certificate cannot be used with its key: {0}")]
    OtherKey(#[source] rustls::Error),
    /// The file with the proxy's user and password is not taken.
    #[error("the proxy's credentials in {} {fault}", Quoted(.path))]
    ProxyCredentials {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        fault: String,
    },
    /// No root certificate to trust.
    #[error("this system's root certificates cannot be read; install them (package ca-certificates) or give --ca-file")]
    NoRoots(#[source] rustls::Error),
    /// The TLS settings are refused by the TLS library.
    #[error("TLS cannot be set up")]
    Tls(#[source] rustls::Error),
    /// The HTTP library refuses its settings.
    #[error("the HTTP client cannot be set up")]
    Http(#[source] reqwest::Error),
}

/// What is wrong with the file of `--ca-file`.
#[derive(Debug, thiserror::Error)]
pub enum CaFileFault {
    /// It cannot be read.
    #[error("cannot be read: {0}")]
    Unreadable(io::Error),
    /// It is a certificate in binary form.
    #[error("are in binary form (DER); write them as text with: openssl x509 -inform der -in FILE -out FILE.pem")]
    Der,
    /// No certificate in it.
    #[error("cannot be found: no \"-----BEGIN CERTIFICATE-----\" in it; give the CA's certificates as PEM text")]
    Empty,
    /// A private key in it.
    #[error("stand beside a private key; give a file with the CA's certificates alone, and keep the key to its owner")]
    PrivateKey,
    /// A certificate in it is damaged.
    #[error("are damaged: certificate {number} of the file cannot be read ({reason})")]
    Damaged {
        /// Its number in the file, from 1.
        number: usize,
        /// What the library says.
        reason: DamagedReason,
    },
}

/// Why a certificate cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum DamagedReason {
    /// Its PEM text.
    #[error("{0}")]
    Pem(rustls::pki_types::pem::Error),
    /// Its content.
    #[error("{0}")]
    Certificate(rustls::Error),
}

/// Why a bearer token is not taken. Never holds any of the token.
#[derive(Debug, thiserror::Error)]
#[error("the bearer token in {place} {fault}{}", Remedy(.place, .fault))]
pub struct TokenError {
    /// Where the token was to come from.
    pub place: TokenPlace,
    /// What is wrong.
    pub fault: TokenFault,
}

/// Where a token comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TokenPlace {
    /// A file.
    File(PathBuf),
    /// An environment variable.
    Variable(String),
}

impl fmt::Display for TokenPlace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File(path) => Quoted(path).fmt(f),
            Self::Variable(name) => write!(f, "the environment variable {name}"),
        }
    }
}

/// What is wrong with a token.
#[derive(Debug, thiserror::Error)]
pub enum TokenFault {
    /// The file itself.
    #[error(transparent)]
    File(#[from] FileFault),
    /// There is nothing in it.
    #[error("is empty")]
    Empty,
    /// It stands in quotes.
    #[error("stands in quotes, which are no part of it: write the token alone there")]
    Quoted,
    /// It is the whole answer of a token server.
    #[error(
        "is JSON, such as a token server's whole answer: write the value of its \"access_token\" alone there, without quotes, \
         or have the token fetched with --auth oauth"
    )]
    Json,
    /// There is more, or something else, than a token.
    #[error(
        "is not a token: it has white space, control or non-ASCII characters; put the token alone there, without the word \"Bearer\""
    )]
    NotAToken,
}

/// Why a file with session cookies is not taken. Never holds any of their values.
#[derive(Debug, thiserror::Error)]
#[error("the session cookie in {} {fault}{}", Quoted(.path), CookieRemedy(.path, .fault))]
pub struct CookieError {
    /// The file.
    pub path: PathBuf,
    /// What is wrong.
    pub fault: CookieFault,
}

/// What is wrong with a file of session cookies.
#[derive(Debug, thiserror::Error)]
pub enum CookieFault {
    /// The file itself.
    #[error(transparent)]
    File(#[from] FileFault),
    /// There is nothing in it.
    #[error("is empty")]
    Empty,
    /// It is not what it should be.
    #[error(
        "is in neither form that is taken: write one line as the Cookie header has it (NAME=VALUE; NAME=VALUE), or the \
         Netscape format of curl and browsers' exporters"
    )]
    Neither,
    /// A line of the Netscape format.
    #[error(
        "has a line that is no cookie of the Netscape format: line {line} needs seven fields with tabs between them"
    )]
    NotACookie {
        /// Its number, from 1.
        line: usize,
    },
    /// A value with a character that no cookie has.
    #[error(
        "cannot be sent: the value of {name} has a character that no cookie has (RFC 6265, 4.1.1), such as a space or a comma"
    )]
    Value {
        /// The cookie's name.
        name: String,
    },
    /// Together they are longer than a header can be.
    #[error("is longer than {} KiB", .0 / 1024)]
    TooLong(usize),
    /// None goes to the server.
    #[error(
        "is of no use: there is no cookie for {host} that is still good{}; sign in with the browser again, and write the \
         file anew",
        EndedOnes(.ended)
    )]
    NoneFor {
        /// The server.
        host: String,
        /// The first ones that went there until they ended.
        ended: Vec<EndedCookie>,
    },
}

struct EndedOnes<'a>(&'a [EndedCookie]);

impl fmt::Display for EndedOnes<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|ended| write!(f, "; {ended}"))
    }
}

struct CookieRemedy<'a>(&'a Path, &'a CookieFault);

impl fmt::Display for CookieRemedy<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let CookieFault::File(fault) = self.1 { fault.remedy(self.0).fmt(f) } else { Ok(()) }
    }
}

struct Remedy<'a>(&'a TokenPlace, &'a TokenFault);

impl fmt::Display for Remedy<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.0, self.1) {
            (TokenPlace::File(path), TokenFault::File(fault)) => fault.remedy(path).fmt(f),
            _ => Ok(()),
        }
    }
}

struct Quoted<'a>(&'a Path);

impl fmt::Display for Quoted<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}", self.0)
    }
}

/// Why requests could not be read from the server. Reading changes nothing there, so it can be tried again.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    /// No whole answer came.
    #[error("{message}")]
    Transport {
        /// How it ended.
        fault: TransportFault,
        /// What the HTTP library said.
        message: String,
    },
    /// The server answered with an error.
    #[error("the server answered {status}: {message}")]
    Status {
        /// The status.
        status: u16,
        /// What the server said, at most 4 KiB; text from outside.
        message: String,
        /// The server's correlation id, where the answer has one.
        correlation_id: Option<CorrelationId>,
        /// `Retry-After`.
        retry_after: Option<Duration>,
    },
    /// The server has nothing to say about this request (204).
    #[error("the server gave no request (204)")]
    NoContent,
    /// The answer ended before the list did.
    #[error("the answer ended before its JSON did, after {after} requests")]
    CutOff {
        /// How many requests were read before.
        after: u64,
    },
    /// The answer is not JSON of the documented shape.
    #[error("the answer is not what the API documents: byte {at} is {found:?} where {expected} was expected")]
    Malformed {
        /// The byte's place in the answer, from 0.
        at: u64,
        /// The byte, as a character.
        found: char,
        /// What was expected instead.
        expected: &'static str,
    },
    /// A request in the answer cannot be read.
    #[error("request {number} of the answer cannot be read: {reason}")]
    Object {
        /// Its number in the answer, from 1.
        number: u64,
        /// What is wrong with it.
        reason: String,
    },
    /// The answer was made for an earlier call.
    #[error(
        "the list is an old one that something before the server kept ({0}); whoever runs that has to let calls of this API \
         through to the server"
    )]
    Cached(Kept),
    /// A page for people came in place of the API's JSON: a gateway's sign-in, say.
    #[error("the server answers with a page for people in place of the API's JSON; the page says: {0}")]
    Page(String),
    /// What the answer is coded with is not understood, or damaged.
    #[error("the answer cannot be read: {0}")]
    NotUnderstood(String),
    /// A request in the answer is longer than 1 MiB.
    #[error("request {number} of the answer is longer than 1 MiB")]
    TooLong {
        /// Its number in the answer, from 1.
        number: u64,
    },
}

/// What shows that an answer was kept from before the call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kept {
    /// It says itself how old it is (`Age`), in seconds.
    Age(u64),
    /// Its `Date` is so much before the call, by the server's own clock.
    Date(Duration),
}

impl fmt::Display for Kept {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Age(seconds) => write!(f, "Age: {seconds}"),
            Self::Date(before) => write!(f, "its Date is {} s before the call", before.as_secs()),
        }
    }
}

impl ReadError {
    /// Returns whether the connection ended before there was an answer: a call that only reads can be made once more.
    pub const fn is_connection_lost(&self) -> bool {
        matches!(self, Self::Transport { fault: TransportFault::ConnectionLost, .. })
    }

    /// Returns the HTTP status, where the server answered with an error.
    pub const fn status(&self) -> Option<u16> {
        match self {
            Self::Status { status, .. } => Some(*status),
            Self::NoContent => Some(204),
            Self::Transport { .. }
            | Self::CutOff { .. }
            | Self::Malformed { .. }
            | Self::Object { .. }
            | Self::Cached(_)
            | Self::Page(_)
            | Self::NotUnderstood(_)
            | Self::TooLong { .. } => None,
        }
    }
}
