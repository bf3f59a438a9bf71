//! Whose credentials sign in.

use std::fmt;
use std::ptr::null;

use windows_sys::Win32::Foundation::SEC_E_OK;
use windows_sys::Win32::Security::Authentication::Identity::{
    AcquireCredentialsHandleW, FreeCredentialsHandle, QueryCredentialsAttributesW, SECPKG_CRED_ATTR_NAMES,
    SECPKG_CRED_OUTBOUND, SecPkgCredentials_NamesW,
};
use windows_sys::Win32::Security::Credentials::SecHandle;
use windows_sys::Win32::System::Rpc::{SEC_WINNT_AUTH_IDENTITY_UNICODE, SEC_WINNT_AUTH_IDENTITY_W};

use super::memory::{Allocated, Wide, text_at};
use super::{Package, SspiError, current_user};

/// Another account than the current user's.
#[derive(Clone, Copy)]
pub(in crate::platform) struct Account<'a> {
    /// Its name alone, such as `svc-cmbatch`; or the long one, `svc-cmbatch@contoso.test`, and no domain.
    pub(in crate::platform) user: &'a str,
    /// Its domain, or the name of the server whose local account it is.
    pub(in crate::platform) domain: Option<&'a str>,
    /// Its password.
    pub(in crate::platform) password: &'a str,
}

impl Account<'_> {
    fn name(&self) -> String {
        self.domain.map_or_else(|| self.user.to_owned(), |domain| format!("{domain}\\{}", self.user))
    }
}

impl fmt::Debug for Account<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Account")
            .field("user", &self.user)
            .field("domain", &self.domain)
            .field("password", &format_args!("[redacted]"))
            .finish()
    }
}

pub(super) struct CredentialsHandle(pub(super) SecHandle);

impl CredentialsHandle {
    /// Returns whose credentials these are, where the package says it.
    fn name(&self) -> Option<String> {
        let mut names = SecPkgCredentials_NamesW::default();
        // SAFETY: see the module; this attribute fills this structure.
        let status =
            unsafe { QueryCredentialsAttributesW(&raw const self.0, SECPKG_CRED_ATTR_NAMES, (&raw mut names).cast()) };
        let owner = Allocated(names.sUserName.cast());
        // SAFETY: it is null, or SSPI wrote the name there, with a zero at its end.
        let name = unsafe { text_at(owner.0.cast()) };
        (status == SEC_E_OK && !name.is_empty()).then_some(name)
    }
}

impl Drop for CredentialsHandle {
    fn drop(&mut self) {
        // SAFETY: the handle is this value's own and is given back once.
        unsafe { FreeCredentialsHandle(&raw const self.0) };
    }
}

/// Credentials that sign in to services.
pub(in crate::platform) struct Credentials {
    pub(super) handle: CredentialsHandle,
    pub(super) package: Package,
    /// Whose they are, such as `CONTOSO\svc-cmbatch`.
    pub(in crate::platform) principal: String,
}

impl Credentials {
    /// Acquires credentials: without an account those of the current user. Asks no domain controller: a wrong password is
    /// found by the first step with Kerberos, and with NTLM by the service.
    ///
    /// # Errors
    /// [`SspiError`]: there are none, or the account cannot be written as Windows wants it.
    pub(in crate::platform) fn acquire(package: Package, account: Option<Account<'_>>) -> Result<Self, SspiError> {
        let texts = account.map(|account| Identity::new(&account)).transpose()?;
        let identity = texts.as_ref().map(Identity::as_windows_has_it);
        let mut handle = SecHandle::default();
        // Not of interest: Windows renews tickets by itself.
        let mut expiry = 0;
        // SAFETY: see the module; `texts` lives until the end of this function. Without an identity it is the current user.
        let status = unsafe {
            AcquireCredentialsHandleW(
                null(),
                package.name(),
                SECPKG_CRED_OUTBOUND,
                null(),
                identity.as_ref().map_or(null(), |identity| (&raw const *identity).cast()),
                None,
                null(),
                &raw mut handle,
                &raw mut expiry,
            )
        };
        SspiError::check("AcquireCredentialsHandle", status)?;
        let handle = CredentialsHandle(handle);
        let principal = handle
            .name()
            .or_else(|| account.map_or_else(current_user, |account| Some(account.name())))
            .unwrap_or_else(|| "the current user".to_owned());
        Ok(Self { handle, package, principal })
    }
}

impl fmt::Debug for Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Credentials")
            .field("package", &self.package)
            .field("principal", &self.principal)
            .finish_non_exhaustive()
    }
}

/// What an account's identity points to.
struct Identity {
    user: Wide,
    domain: Wide,
    password: Wide,
}

impl Identity {
    fn new(account: &Account<'_>) -> Result<Self, SspiError> {
        Ok(Self {
            user: Wide::new("the user", account.user)?,
            domain: Wide::new("the domain", account.domain.unwrap_or_default())?,
            password: Wide::new("the password", account.password)?,
        })
    }

    fn as_windows_has_it(&self) -> SEC_WINNT_AUTH_IDENTITY_W {
        SEC_WINNT_AUTH_IDENTITY_W {
            User: self.user.pointer(),
            UserLength: self.user.length(),
            Domain: self.domain.pointer(),
            DomainLength: self.domain.length(),
            Password: self.password.pointer(),
            PasswordLength: self.password.length(),
            Flags: SEC_WINNT_AUTH_IDENTITY_UNICODE,
        }
    }
}
