//! SSPI, as GSSAPI is asked: Kerberos inside of Negotiate and nothing else, or NTLM by itself.

use std::convert::Infallible;
use std::fmt;
use std::time::Duration;

use super::{CredentialStore, Mechanism, Step, WITHOUT_END};
use crate::platform::sspi::{self, Account, Package, SspiError};

/// How each message of NTLM begins, inside of Negotiate too.
const NTLM_MESSAGE: &[u8] = b"NTLMSSP\0";

/// Windows itself.
#[derive(Debug)]
pub struct System;

/// It is always there.
pub type SystemMissing = Infallible;

impl System {
    /// Returns the system.
    ///
    /// # Errors
    /// None.
    pub const fn load() -> Result<&'static Self, SystemMissing> {
        Ok(&Self)
    }

    /// Acquires the current user's credentials for Negotiate with Kerberos. Asks no domain controller.
    ///
    /// # Errors
    /// [`SspiError`]: there are none, or those of somebody else are asked for.
    pub fn acquire(&'static self, store: &CredentialStore<'_>) -> Result<Credentials, SspiError> {
        if store.keytab.is_some() || store.cache.is_some() {
            return Err(SspiError::not_asked("Windows has neither keytabs nor files of tickets".to_owned()));
        }
        let credentials = Credentials::kerberos(None)?;
        // Windows has two names for an account, `user@domain` and `DOMAIN\user`.
        let is_ours = |wanted: &str| {
            let also = sspi::current_user().unwrap_or_default();
            [&credentials.principal, &also].iter().any(|name| wanted.eq_ignore_ascii_case(name))
        };
        match store.principal {
            Some(wanted) if !is_ours(wanted) => Err(SspiError::not_asked(format!(
                "this runs as {:?}, and to sign in as {wanted:?} its password is needed",
                credentials.principal
            ))),
            Some(_) | None => Ok(credentials),
        }
    }

    /// Acquires credentials from an account's name and password. Asks nobody whether they are right.
    ///
    /// # Errors
    /// [`SspiError`]: the account cannot be written as Windows wants it, or the mechanism is switched off.
    pub fn acquire_by_password(
        &'static self,
        mechanism: Mechanism,
        user: &str,
        password: &str,
    ) -> Result<Credentials, SspiError> {
        // The long name, `user@realm`, is not taken apart: what stands behind the @ need not be the domain.
        let (domain, user) = user.split_once('\\').map_or((None, user), |(domain, user)| (Some(domain), user));
        let account = Some(Account { user, domain, password });
        match mechanism {
            Mechanism::Kerberos => Credentials::kerberos(account),
            Mechanism::Ntlm => {
                let made = sspi::Credentials::acquire(Package::Ntlm, account)?;
                Ok(Credentials::of(made, Mechanism::Ntlm, None))
            }
        }
    }

    /// Takes the name of a service: `HTTP@host`, `HTTP/host` or `HTTP/host@REALM`.
    ///
    /// # Errors
    /// [`SspiError`]: it has a zero byte in it.
    pub fn service(&'static self, text: &str) -> Result<Name, SspiError> {
        if text.contains('\0') {
            return Err(SspiError::not_asked("the service's name has a zero byte in it".to_owned()));
        }
        Ok(Name(text.to_owned()))
    }
}

/// The name of a service.
#[derive(Debug)]
pub struct Name(String);

/// Credentials that sign in to services.
pub struct Credentials {
    inner: sspi::Credentials,
    /// Those of Kerberos by itself, to hear why there is no ticket.
    kerberos: Option<sspi::Credentials>,
    /// How they sign in.
    pub mechanism: Mechanism,
    /// Whose they are, such as `CONTOSO\svc-cmbatch`.
    pub principal: String,
    /// How long they are good: without end, because Windows renews tickets by itself.
    pub lifetime: Duration,
}

impl Credentials {
    fn of(inner: sspi::Credentials, mechanism: Mechanism, kerberos: Option<sspi::Credentials>) -> Self {
        let principal = inner.principal.clone();
        Self { inner, kerberos, mechanism, principal, lifetime: WITHOUT_END }
    }

    fn kerberos(account: Option<Account<'_>>) -> Result<Self, SspiError> {
        let kerberos = sspi::Credentials::acquire(Package::Kerberos, account)?;
        let inner = sspi::Credentials::acquire(Package::Negotiate, account)?;
        Ok(Self::of(inner, Mechanism::Kerberos, Some(kerberos)))
    }

    /// Says why Windows would sign in by NTLM.
    fn without_ticket(&self, service: &Name) -> SspiError {
        let asked = self.kerberos.as_ref().map(|kerberos| sspi::Exchange::new().step(kerberos, &service.0, None, &[]));
        match asked {
            Some(Err(error)) => error,
            Some(Ok(_)) | None => {
                SspiError::not_asked("Windows would sign in by NTLM, although there is a ticket".to_owned())
            }
        }
    }
}

impl fmt::Debug for Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Credentials").field("principal", &self.principal).finish_non_exhaustive()
    }
}

/// One exchange that signs in: tokens go to the service and come back until both sides are sure of each other.
#[derive(Debug, Default)]
pub struct Exchange(sspi::Exchange);

impl Exchange {
    /// Begins an exchange.
    pub const fn new(_system: &'static System) -> Self {
        Self(sspi::Exchange::new())
    }

    /// Makes the next token, from what the service sent; nothing at first. The first one for a service may ask a domain
    /// controller, and waits for it. `binding` ties the sign-in to the TLS channel (RFC 5056); the same in each step.
    ///
    /// # Errors
    /// [`SspiError`]; the exchange is over then. With Kerberos also where Windows would take NTLM instead.
    pub fn step(
        &mut self,
        credentials: &Credentials,
        service: &Name,
        binding: Option<&[u8]>,
        input: &[u8],
    ) -> Result<Step, SspiError> {
        match credentials.mechanism {
            Mechanism::Kerberos => {
                let step = self.0.step(&credentials.inner, &service.0, binding, input)?;
                if step.package.as_deref() == Some("NTLM") || holds(&step.token, NTLM_MESSAGE) {
                    return Err(credentials.without_ticket(service));
                }
                Ok(Step { token: step.token, is_complete: step.is_mutual, lifetime: Duration::ZERO })
            }
            Mechanism::Ntlm => {
                // Its last message has the binding; a first step with nothing else to read is not taken everywhere.
                let binding = binding.filter(|_| !input.is_empty());
                let step = self.0.step(&credentials.inner, &service.0, binding, input)?;
                Ok(Step { token: step.token, is_complete: step.is_complete, lifetime: Duration::ZERO })
            }
        }
    }
}

fn holds(token: &[u8], part: &[u8]) -> bool {
    token.windows(part.len()).any(|window| window == part)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_current_user_is_the_only_one_without_a_password() {
        let system = System::load().unwrap();
        let other = CredentialStore { principal: Some("somebody@ELSE.TEST"), ..CredentialStore::default() };
        assert!(system.acquire(&other).is_err());
        let keytab = CredentialStore { keytab: Some("FILE:x"), ..CredentialStore::default() };
        assert!(system.acquire(&keytab).unwrap_err().text().contains("neither keytabs"));
    }

    #[test]
    fn kerberos_is_never_ntlm() {
        let system = System::load().unwrap();
        let service = system.service("HTTP@server.invalid").unwrap();
        // No domain knows the service: where Windows would fall back to NTLM there is an error, and no token.
        let made = system
            .acquire_by_password(Mechanism::Kerberos, "User@DOMAIN.INVALID", "secret")
            .and_then(|credentials| Exchange::new(system).step(&credentials, &service, None, &[]));
        let error = made.unwrap_err();
        assert!(!error.text().is_empty() && !error.text().contains("secret"), "{error}");
        assert!(holds(b"\x60\x40NTLMSSP\0\x01", NTLM_MESSAGE) && !holds(b"NTLMSSP", NTLM_MESSAGE));
    }

    #[test]
    fn ntlm_is_in_no_wrapping() {
        let system = System::load().unwrap();
        let credentials = system.acquire_by_password(Mechanism::Ntlm, r"DOMAIN\User", "secret").unwrap();
        assert_eq!(credentials.lifetime, WITHOUT_END);
        let service = system.service("HTTP/server").unwrap();
        let step = Exchange::new(system).step(&credentials, &service, Some(b"x"), &[]).unwrap();
        assert!(step.token.starts_with(NTLM_MESSAGE) && !step.is_complete);
    }
}
