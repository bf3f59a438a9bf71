//! The credentials of a process, and the tokens made with them. Everything here may wait, for the KDC or for names: it is
//! called on threads that may wait.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use crate::client::private_file::{self, FileFault, Sharing};
use crate::client::renewal::{Failed, Renewal, Rules};
use crate::platform::gss::{CredentialStore, Credentials, Exchange, Gss, GssError, GssMissing, Name};
use crate::platform::{process_id, since_boot};

/// MIT's library asks for a new ticket from the half of its time on. It offers a key that is refused to a second KDC by itself, so
/// that one acquisition offers it twice.
const RULES: Rules = Rules { at_percent: 60, max_refusals: 1 };

/// What a KDC says of credentials that it will not take the next time either.
const REFUSALS: [&str; 4] = [
    "Preauthentication failed",
    "credentials have been revoked",
    "Password has expired",
    "entry in database has expired",
];

/// How to sign in with Negotiate.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Negotiate {
    /// A keytab with the key of the account; none takes the environment's (`KRB5_CLIENT_KTNAME`) or its ticket cache.
    pub keytab: Option<PathBuf>,
    /// The account, such as `svc-cmbatch@CONTOSO.TEST`; none takes the keytab's first or the cache's.
    pub principal: Option<String>,
    /// The name of the service; none takes `HTTP@` and the server's host.
    pub spn: Option<String>,
}

/// Why there is no token.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{message}{}", .help.map(|help| format!("; {help}")).unwrap_or_default())]
pub struct KerberosError {
    message: String,
    help: Option<&'static str>,
}

/// Who signs in, and for how long that is good.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SignedIn {
    /// The principal.
    pub principal: String,
    /// How long its ticket is good.
    pub lifetime: Duration,
}

/// The tokens of a process, for one service.
#[derive(Debug)]
pub(crate) struct Tokens {
    gss: &'static Gss,
    settings: Negotiate,
    spn: String,
    service: Name,
    held: Mutex<Held>,
}

#[derive(Debug)]
struct Held {
    renewal: Renewal<Arc<Credentials>, GssError>,
    /// How often credentials were acquired.
    n_acquired: u32,
}

/// An exchange whose first token was made.
#[derive(Debug)]
pub(crate) struct Begun {
    exchange: Exchange,
    credentials: Arc<Credentials>,
    /// What the token is bound to.
    pub(crate) binding: Option<Vec<u8>>,
    /// What is to be sent.
    pub(crate) token: Vec<u8>,
}

impl Tokens {
    /// Makes ready for a service; asks nobody yet.
    ///
    /// # Errors
    /// The library is not there, the service's name is none, or the keytab cannot be used.
    pub(crate) fn new(settings: &Negotiate, host: &str) -> Result<Self, KerberosError> {
        let gss = Gss::load().map_err(|error: GssMissing| KerberosError { message: error.to_string(), help: None })?;
        let spn = settings.spn.clone().unwrap_or_else(|| format!("HTTP@{host}"));
        let service = gss.service(&spn).map_err(|error| KerberosError {
            message: format!("{spn:?} is not the name of a service ({error})"),
            help: Some("write it as HTTP@host or HTTP/host@REALM"),
        })?;
        if let Some(keytab) = &settings.keytab {
            check_keytab(keytab)?;
        }
        let held = Mutex::new(Held { renewal: Renewal::new(RULES), n_acquired: 0 });
        Ok(Self { gss, settings: settings.clone(), spn, service, held })
    }

    /// Returns who signs in; acquires the credentials where there are none yet.
    ///
    /// # Errors
    /// There are none, or the KDC refuses them.
    pub(crate) fn who(&self) -> Result<SignedIn, KerberosError> {
        let credentials = self.credentials(&mut self.held.lock().unwrap_or_else(PoisonError::into_inner))?;
        Ok(SignedIn { principal: credentials.principal.clone(), lifetime: credentials.lifetime })
    }

    /// Makes the first token of an exchange.
    ///
    /// # Errors
    /// There are no credentials, the KDC refuses them, or it does not know the service.
    pub(crate) fn begin(&self, binding: Option<&[u8]>) -> Result<Begun, KerberosError> {
        let credentials = self.credentials(&mut self.held.lock().unwrap_or_else(PoisonError::into_inner))?;
        match self.first_token(credentials, binding) {
            // The ticket can end between two looks at the clock, or be destroyed by a person.
            Err(error) if error.is_expired() => {
                let mut held = self.held.lock().unwrap_or_else(PoisonError::into_inner);
                held.renewal.expire();
                let credentials = self.credentials(&mut held)?;
                drop(held);
                self.first_token(credentials, binding)
            }
            begun => begun,
        }
        .map_err(|error| self.explained(&error))
    }

    fn first_token(&self, credentials: Arc<Credentials>, binding: Option<&[u8]>) -> Result<Begun, GssError> {
        let mut exchange = Exchange::new(self.gss);
        let step = exchange.step(&credentials, &self.service, binding, &[])?;
        Ok(Begun { exchange, credentials, binding: binding.map(<[u8]>::to_vec), token: step.token })
    }

    /// Takes the server's proof of who it is.
    ///
    /// # Errors
    /// It proves nothing.
    pub(crate) fn prove(&self, begun: Begun, proof: &[u8]) -> Result<(), String> {
        let Begun { mut exchange, credentials, binding, .. } = begun;
        match exchange.step(&credentials, &self.service, binding.as_deref(), proof) {
            Ok(step) if step.is_complete => Ok(()),
            Ok(_) => Err("the server's part of the exchange is not whole".to_owned()),
            Err(error) => Err(error.to_string()),
        }
    }

    /// Returns credentials that are good, acquiring them where that is due. One thread does; the others wait for the lock.
    fn credentials(&self, held: &mut Held) -> Result<Arc<Credentials>, KerberosError> {
        let now = since_boot();
        let credentials = match held.renewal.without_asking(now) {
            Some(settled) => settled,
            None => {
                let acquired = self.acquire(held);
                held.renewal.taken(now, acquired)
            }
        };
        credentials.map_err(|error| self.explained(&error))
    }

    fn acquire(&self, held: &mut Held) -> Result<(Arc<Credentials>, Duration), Failed<GssError>> {
        let keytab = self.settings.keytab.as_ref().map(|path| format!("FILE:{}", path.display()));
        held.n_acquired += 1;
        // In memory: a file would cost twice as much for each token. A new one each time: over a ticket that is still good the
        // library keeps silent about a key that is refused.
        let cache = keytab.as_ref().map(|_| format!("MEMORY:cmbatch-{}-{}", process_id(), held.n_acquired));
        // Whoever the run began as stays its account, whatever the ticket cache of this user holds by then.
        let before = held.renewal.held().map(|credentials| credentials.principal.as_str());
        let acquired = self.gss.acquire(&CredentialStore {
            principal: before.or(self.settings.principal.as_deref()),
            keytab: keytab.as_deref(),
            cache: cache.as_deref(),
        });
        match acquired {
            Ok(credentials) => {
                let lifetime = credentials.lifetime;
                Ok((Arc::new(credentials), lifetime))
            }
            Err(error) if is_refusal(error.text()) => Err(Failed::Refused(error)),
            Err(error) => Err(Failed::Unanswered(error)),
        }
    }

    /// Says what a person can do about an error of the library, which names causes and no remedies.
    fn explained(&self, error: &GssError) -> KerberosError {
        let said = error.text();
        let (message, help) = match &self.settings.keytab {
            // Where a keytab has no key that fits, the library falls back to the cache, which is empty.
            Some(keytab) if NO_TICKET.iter().any(|text| said.contains(text)) => {
                (format!("the keytab {keytab:?} has no key for this account"), Some(OTHER_KEY))
            }
            Some(keytab) => (format!("Kerberos for {} with the keytab {keytab:?}: {said}", self.spn), remedy(said)),
            None => (format!("Kerberos for {}: {said}", self.spn), remedy(said)),
        };
        KerberosError { message, help }
    }
}

/// Returns what a person can do about what the library says.
fn remedy(said: &str) -> Option<&'static str> {
    if said.contains("not found in Kerberos database") {
        // MIT: "Client 'NAME@REALM' not found in Kerberos database", "Server NAME@REALM not found in Kerberos database".
        return Some(if said.contains("Server ") {
            "no account has this service name: give the right one with --spn HTTP/NAME, or have it set (setspn -S)"
        } else {
            "there is no such account: check --principal, with the realm in capitals"
        });
    }
    REMEDIES.iter().find(|(text, _)| said.contains(text)).map(|(_, help)| *help)
}

/// Returns whether the KDC will not take these credentials the next time either.
fn is_refusal(said: &str) -> bool {
    let is_unknown = said.contains("not found in Kerberos database") && !said.contains("Server ");
    is_unknown || REFUSALS.iter().any(|refusal| said.contains(refusal))
}

/// Says why a keytab cannot be used, without asking the library, whose words do not say which file it means.
fn check_keytab(path: &Path) -> Result<(), KerberosError> {
    // A group of administrators may share one.
    let Err(fault) = private_file::open(path, Sharing::Group) else { return Ok(()) };
    let (what, help) = match fault {
        FileFault::OpenToOthers { mode } => {
            (format!("is open to everybody (mode {mode:03o})"), "whoever has it is the account: type chmod o= on it")
        }
        fault => (fault.to_string(), "check --keytab, and the file's owner"),
    };
    Err(KerberosError { message: format!("the keytab {path:?} {what}"), help: Some(help) })
}

/// What the library says where there is neither a ticket nor a key.
const NO_TICKET: [&str; 3] =
    ["No Kerberos credentials available", "No credentials cache found", "Can't find client principal"];

const OTHER_KEY: &str = "klist -k shows those that it has; check --principal";

/// What the library says (MIT krb5, `krb5_err.et` and its kin), and what to do about it; the first that fits counts.
const REMEDIES: [(&str, &str); 13] = [
    ("Preauthentication failed", "the key is not the account's: its password was changed; write a new keytab"),
    ("credentials have been revoked", "the account is locked or disabled; have it unlocked"),
    ("Password has expired", "set a new password and write a new keytab"),
    ("entry in database has expired", "the account has expired; have it extended"),
    ("Clock skew too great", "set this machine's clock (timedatectl, chronyc tracking)"),
    ("Cannot contact any KDC", "no domain controller answers: check the network, port 88, and kdc in /etc/krb5.conf"),
    ("Cannot find KDC for realm", "the realm has no domain controller in DNS or /etc/krb5.conf: add it there"),
    ("no suitable keys", OTHER_KEY),
    (NO_TICKET[0], "get a ticket (kinit), or give --keytab FILE"),
    (NO_TICKET[1], "get a ticket (kinit), or give --keytab FILE"),
    (NO_TICKET[2], "get a ticket (kinit), or give --keytab FILE"),
    ("Ticket expired", "get a new ticket (kinit), or give --keytab FILE, which renews by itself"),
    ("Configuration file", "check /etc/krb5.conf"),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_library_says_has_a_remedy() {
        for (said, help) in [
            ("Server HTTP/cm@CONTOSO.TEST not found in Kerberos database", "--spn"),
            ("Client 'svc@CONTOSO.TEST' not found in Kerberos database", "--principal"),
            ("Preauthentication failed", "new keytab"),
            ("Clock skew too great", "clock"),
            ("Cannot contact any KDC for realm 'CONTOSO.TEST'", "port 88"),
            ("Cannot find KDC for realm \"CONTOSO.TEST\"", "krb5.conf"),
            ("Keytab contains no suitable keys for svc@CONTOSO.TEST", "klist -k"),
            ("Ticket expired", "kinit"),
        ] {
            assert!(remedy(said).is_some_and(|found| found.contains(help)), "{said}: {:?}", remedy(said));
        }
        assert_eq!(remedy("something else"), None);
    }

    #[test]
    fn only_what_will_not_change_is_not_asked_again() {
        for said in ["Preauthentication failed", "Client 'svc@CONTOSO.TEST' not found in Kerberos database"] {
            assert!(is_refusal(said), "{said}");
        }
        for said in
            ["Cannot contact any KDC", "Server HTTP/cm@R not found in Kerberos database", "Clock skew too great"]
        {
            assert!(!is_refusal(said), "{said}");
        }
    }

    #[test]
    fn a_keytab_that_cannot_be_used_is_named() {
        use std::os::unix::fs::PermissionsExt;
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("svc.keytab");
        let said = |path: &Path| check_keytab(path).unwrap_err().to_string();
        assert!(said(&path).contains("svc.keytab\" cannot be read: No such file"), "{}", said(&path));
        assert!(said(folder.path()).contains("not a regular file"));
        std::fs::write(&path, b"\x05\x02").unwrap();
        let mode = |mode| std::fs::set_permissions(&path, std::fs::Permissions::from_mode(mode)).unwrap();
        mode(0o644);
        assert!(said(&path).contains("open to everybody (mode 644)"), "{}", said(&path));
        mode(0o640);
        assert_eq!(check_keytab(&path), Ok(()));
    }
}
