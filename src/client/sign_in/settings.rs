//! How to sign in, who did, and why nobody can.

use std::path::PathBuf;
use std::time::Duration;

use crate::client::stored_secret::StoredSecret;
pub use crate::platform::negotiate::Mechanism;

/// How to sign in with Negotiate or NTLM.
#[derive(Debug, Default)]
pub struct Negotiate {
    /// A keytab with the key of the account; none takes the environment's (`KRB5_CLIENT_KTNAME`) or its ticket cache.
    pub keytab: Option<PathBuf>,
    /// The account, such as `svc-cmbatch@CONTOSO.TEST`, or for NTLM `CONTOSO\\svc-cmbatch`; none takes the keytab's first or the
    /// cache's.
    pub principal: Option<String>,
    /// The name of the service; none takes `HTTP@` and the server's host.
    pub spn: Option<String>,
    /// The account's password, instead of a keytab or a ticket; NTLM needs it.
    pub password: Option<StoredSecret>,
    /// Whether NTLM is asked for by name; else it is taken where Kerberos is not to be had and a password is given.
    pub only_ntlm: bool,
}

impl Negotiate {
    /// Returns the name of the service on a host.
    pub(super) fn service(&self, host: &str) -> String {
        self.spn.clone().unwrap_or_else(|| format!("HTTP@{host}"))
    }

    /// Returns whether Kerberos can be tried: it knows no accounts of the form `DOMAIN\\name`, of which only Windows finds the realm.
    pub(super) fn may_be_kerberos(&self) -> bool {
        let has_no_realm = cfg!(unix) && self.principal.as_ref().is_some_and(|name| name.contains('\\'));
        !(self.only_ntlm || self.password.is_some() && has_no_realm)
    }
}

/// Who signs in, how, and for how long that is good.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SignedIn {
    /// The principal.
    pub principal: String,
    /// By what.
    pub mechanism: Mechanism,
    /// The name of the service.
    pub spn: String,
    /// How long its ticket is good; none where there is no ticket, or where it does not end.
    pub lifetime: Option<Duration>,
    /// Why it is not Kerberos, where that was tried first.
    pub instead: Option<String>,
}

/// Why nobody is signed in.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{message}{}", .help.map(|help| format!("; {help}")).unwrap_or_default())]
pub struct SignInError {
    message: String,
    help: Option<&'static str>,
    /// Whether another mechanism may do.
    pub(super) is_out_of_reach: bool,
}

impl SignInError {
    pub(super) const fn new(message: String, help: Option<&'static str>) -> Self {
        Self { message, help, is_out_of_reach: false }
    }

    /// Says whether another mechanism may do.
    pub(super) fn out_of_reach(self, is_out_of_reach: bool) -> Self {
        Self { is_out_of_reach, ..self }
    }
}
