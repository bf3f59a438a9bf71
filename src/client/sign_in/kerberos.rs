//! The credentials of a process, and the tokens made with them. Everything here may wait, for the KDC or for names: it is
//! called on threads that may wait.

use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use super::remedy::{OTHER_KEY, has_no_ticket, is_out_of_reach, is_refusal, password_remedy, remedy};
use super::settings::{Negotiate, SignInError};
use crate::client::private_file::{self, FileFault, Sharing};
use crate::client::renewal::{Failed, Renewal, Rules};
use crate::platform::negotiate::{CredentialStore, Credentials, Exchange, Mechanism, Name, System, SystemError};
use crate::platform::since_boot;

/// MIT's library asks for a new ticket from the half of its time on. It offers a key that is refused to a second KDC by itself, so
/// that one acquisition offers it twice.
const RULES: Rules = Rules { at_percent: 60, max_refusals: 1 };

/// What a token takes at most where nobody is asked for it.
const AT_ONCE: Duration = Duration::from_millis(10);

/// The tokens of a process, for one service.
#[derive(Debug)]
pub(crate) struct Tokens {
    system: &'static System,
    settings: Arc<Negotiate>,
    spn: String,
    service: Name,
    held: Mutex<Held>,
}

#[derive(Debug)]
struct Held {
    renewal: Renewal<Arc<Credentials>, SignInError>,
    /// How often credentials were acquired.
    n_acquired: u32,
    /// Until when tokens are made at once: nobody is asked for them.
    at_once_until: Duration,
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
    /// Whether it was made at once, which the rest of its exchange is, too.
    pub(crate) is_at_once: bool,
}

impl Tokens {
    /// Makes ready for a service; asks nobody yet.
    ///
    /// # Errors
    /// The library is not there, the service's name is none, or the keytab cannot be used.
    pub(crate) fn new(settings: Arc<Negotiate>, host: &str) -> Result<Self, SignInError> {
        let system = System::load().map_err(|error| SignInError::new(error.to_string(), None))?;
        let spn = settings.service(host);
        let service = service(system, &spn)?;
        if let Some(keytab) = &settings.keytab {
            check_keytab(keytab)?;
        }
        let held = Mutex::new(Held { renewal: Renewal::new(RULES), n_acquired: 0, at_once_until: Duration::ZERO });
        Ok(Self { system, settings, spn, service, held })
    }

    /// Returns who signs in; acquires the credentials where there are none yet.
    ///
    /// # Errors
    /// There are none, or the KDC refuses them.
    pub(crate) fn who(&self) -> Result<Arc<Credentials>, SignInError> {
        self.credentials(&mut self.held.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Returns the name of the service.
    pub(crate) fn spn(&self) -> &str {
        &self.spn
    }

    /// Makes the first token of an exchange, where the ticket for the service is there and stays for a while; none where
    /// somebody may have to be asked, or it cannot be made. May be called where nothing may wait.
    pub(crate) fn begin_at_once(&self, binding: Option<&[u8]>) -> Option<Begun> {
        let now = since_boot();
        let credentials = {
            let held = self.held.try_lock().ok()?;
            if now >= held.at_once_until {
                return None;
            }
            held.renewal.without_asking(now)?.ok()?
        };
        self.first_token(credentials, binding).ok()
    }

    /// Makes the first token of an exchange.
    ///
    /// # Errors
    /// There are no credentials, the KDC refuses them, or it does not know the service.
    pub(crate) fn begin(&self, binding: Option<&[u8]>) -> Result<Begun, SignInError> {
        if cfg!(windows) && self.settings.password.is_some() {
            return self.begin_in_turn(binding);
        }
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

    /// Makes the first token where that offers a password to the domain, as Windows does, and not before: by one thread at a time,
    /// and never again after a refusal, because a domain counts those and locks the account.
    fn begin_in_turn(&self, binding: Option<&[u8]>) -> Result<Begun, SignInError> {
        let mut held = self.held.lock().unwrap_or_else(PoisonError::into_inner);
        let credentials = self.credentials(&mut held)?;
        self.first_token(credentials, binding).map_err(|error| {
            let said = self.explained(&error);
            if is_refusal(&error) {
                held.renewal.expire();
                drop(held.renewal.taken(since_boot(), Err(Failed::Refused(said.clone()))));
            }
            said
        })
    }

    fn first_token(&self, credentials: Arc<Credentials>, binding: Option<&[u8]>) -> Result<Begun, SystemError> {
        let begin = since_boot();
        let mut exchange = Exchange::new(self.system);
        let step = exchange.step(&credentials, &self.service, binding, &[])?;
        let now = since_boot();
        let is_at_once = now.saturating_sub(begin) <= AT_ONCE;
        // One that is busy acquires others; those are looked at anew.
        // What another program may rewrite, such as the cache of kinit, says nothing of the next token.
        let is_own = self.settings.keytab.is_some() || self.settings.password.is_some();
        if let Ok(mut held) = self.held.try_lock()
            && is_own
            && held.renewal.held().is_some_and(|now| Arc::ptr_eq(now, &credentials))
        {
            let good = step.lifetime / 100 * RULES.at_percent;
            held.at_once_until = if is_at_once { now.saturating_add(good) } else { Duration::ZERO };
        }
        let binding = binding.map(<[u8]>::to_vec);
        Ok(Begun { exchange, credentials, binding, token: step.token, is_at_once })
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
    fn credentials(&self, held: &mut Held) -> Result<Arc<Credentials>, SignInError> {
        let now = since_boot();
        match held.renewal.without_asking(now) {
            Some(settled) => settled,
            None => {
                let acquired = self.acquire(held);
                held.renewal.taken(now, acquired)
            }
        }
    }

    fn acquire(&self, held: &mut Held) -> Result<(Arc<Credentials>, Duration), Failed<SignInError>> {
        held.n_acquired += 1;
        // With others the ticket for the service is to be asked for anew.
        held.at_once_until = Duration::ZERO;
        // Whoever the run began as stays its account, whatever the ticket cache of this user holds by then.
        let before = held.renewal.held().map(|credentials| credentials.principal.as_str());
        let principal = before.or(self.settings.principal.as_deref());
        let acquired = match &self.settings.password {
            Some(password) => {
                let password =
                    password.read("the password").map_err(|fault| Failed::Unanswered(SignInError::new(fault, None)))?;
                self.system.acquire_by_password(Mechanism::Kerberos, principal.unwrap_or_default(), &password)
            }
            None => {
                // Where none is given, a keytab that has nothing: one that the library finds by itself would be offered again
                // and again where it is refused while a ticket is still good.
                let none = cfg!(unix).then(|| "MEMORY:cmbatch-none".to_owned());
                let keytab = self.settings.keytab.as_ref().map(|path| format!("FILE:{}", path.display())).or(none);
                // In memory: a file would cost twice as much for each token. A new one each time: over a ticket that is still
                // good the library keeps silent about a key that is refused.
                let cache = self
                    .settings
                    .keytab
                    .as_ref()
                    .map(|_| format!("MEMORY:cmbatch-{}-{}", std::process::id(), held.n_acquired));
                let store = CredentialStore { principal, keytab: keytab.as_deref(), cache: cache.as_deref() };
                self.system.acquire(&store)
            }
        };
        match acquired {
            Ok(credentials) => {
                let lifetime = credentials.lifetime;
                Ok((Arc::new(credentials), lifetime))
            }
            Err(error) if is_refusal(&error) => Err(Failed::Refused(self.explained(&error))),
            Err(error) => Err(Failed::Unanswered(self.explained(&error))),
        }
    }

    /// Says what a person can do about an error of the library, which names causes and no remedies.
    fn explained(&self, error: &SystemError) -> SignInError {
        let (said, help) = (error.text(), remedy(error));
        let (message, help) = match &self.settings.keytab {
            // Where a keytab has no key that fits, the library falls back to the cache, which is empty.
            Some(keytab) if has_no_ticket(error) => {
                (format!("the keytab {keytab:?} has no key for this account"), Some(OTHER_KEY))
            }
            Some(keytab) => (format!("Kerberos for {} with the keytab {keytab:?}: {said}", self.spn), help),
            None => {
                let help = if self.settings.password.is_some() { password_remedy(error) } else { help };
                (format!("Kerberos for {}: {said}", self.spn), help)
            }
        };
        SignInError::new(message, help).out_of_reach(is_out_of_reach(error))
    }
}

/// Reads the name of a service.
pub(super) fn service(system: &'static System, spn: &str) -> Result<Name, SignInError> {
    system.service(spn).map_err(|error| {
        let help = Some("write it as HTTP@host or HTTP/host@REALM");
        SignInError::new(format!("{spn:?} is not the name of a service ({error})"), help)
    })
}

/// Says why a keytab cannot be used, without asking the library, whose words do not say which file it means.
fn check_keytab(path: &Path) -> Result<(), SignInError> {
    // A group of administrators may share one.
    let fault = match private_file::open(path, Sharing::Group) {
        Ok(mut file) => {
            // The first bytes of each keytab: 5, and its version (MIT's "keytab file format").
            let mut first = [0; 2];
            return match std::io::Read::read_exact(&mut file, &mut first) {
                Ok(()) if matches!(first, [5, 1 | 2]) => Ok(()),
                Ok(()) | Err(_) => {
                    Err(SignInError::new(format!("{path:?} is no keytab"), Some("write a new one (ktutil, ktpass)")))
                }
            };
        }
        Err(fault) => fault,
    };
    let (what, help) = match fault {
        FileFault::OpenToOthers { mode } => {
            (format!("is open to everybody (mode {mode:03o})"), "whoever has it is the account: type chmod o= on it")
        }
        fault => (fault.to_string(), "check --keytab, and the file's owner"),
    };
    Err(SignInError::new(format!("the keytab {path:?} {what}"), Some(help)))
}

#[cfg(all(test, unix))]
mod tests {
    use super::*;

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
        for other in ["", "-----BEGIN"] {
            std::fs::write(&path, other).unwrap();
            assert!(said(&path).contains("is no keytab"));
        }
    }
}
