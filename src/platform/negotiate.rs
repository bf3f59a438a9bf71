//! Signing in by what the system has for it: one interface over GSSAPI, and over SSPI on Windows.

#[cfg(windows)]
mod windows;

use std::time::Duration;

#[cfg(windows)]
pub use self::windows::{Credentials, Exchange, Name, System, SystemMissing};
#[cfg(unix)]
pub use super::gss::{
    Credentials, Exchange, Gss as System, GssError as SystemError, GssMissing as SystemMissing, Name,
};
#[cfg(windows)]
pub use super::sspi::SspiError as SystemError;

/// How long credentials are good that do not end.
pub const WITHOUT_END: Duration = Duration::from_secs(0xffff_ffff);

/// How a client proves who it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mechanism {
    /// Kerberos inside of Negotiate (RFC 4178): the server proves who it is, too.
    Kerberos,
    /// NTLM ([MS-NLMP]) without any wrapping: in three messages, and the server proves nothing.
    Ntlm,
}

/// Where credentials come from. What is none is as the environment says: `KRB5CCNAME`, `KRB5_CLIENT_KTNAME`, else the
/// defaults of `krb5.conf`. On Windows they are the current user's, and nothing else can be asked for.
#[derive(Clone, Copy, Debug, Default)]
pub struct CredentialStore<'a> {
    /// The principal.
    pub principal: Option<&'a str>,
    /// A keytab that has the principal's key, as `FILE:/path`.
    pub keytab: Option<&'a str>,
    /// The ticket cache, such as `MEMORY:name`.
    pub cache: Option<&'a str>,
}

/// What a step gave.
#[derive(Debug)]
pub struct Step {
    /// What is to be sent; empty where nothing is.
    pub token: Vec<u8>,
    /// Whether the exchange is at its end: with Kerberos the service has proven who it is.
    pub is_complete: bool,
    /// How long the ticket for the service is good; zero where that is not known.
    pub lifetime: Duration,
}
