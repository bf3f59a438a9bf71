//! SSPI, the part of Windows that signs in: credentials of the current user or of an account with its password, and the
//! tokens of Negotiate and of NTLM. The twin of `gss`.
//!
//! What holds for every block of `unsafe` code: functions and structures are those that `windows-sys` makes from Microsoft's
//! metadata; each pointer that is handed over is to a value that lives until the call returns, because SSPI keeps none of them;
//! what SSPI allocates goes back to it once, by the `Drop` of its owner: [`Allocated`], [`CredentialsHandle`], [`Context`].
//!
//! Handles are numbers, so that all types here are `Send` and `Sync` by themselves. SSPI takes a handle of credentials from
//! several threads at once, and that of a context from one at a time: a step borrows its exchange mutably.

#![expect(unsafe_code, reason = "Windows is called here")]

mod credentials;
mod errors;
mod exchange;
mod memory;

use windows_sys::Win32::Security::Authentication::Identity::{
    GetUserNameExW, ISC_REQ_CONNECTION, ISC_REQ_MUTUAL_AUTH, MICROSOFT_KERBEROS_NAME_W, NEGOSSP_NAME_W, NTLMSP_NAME,
    NameSamCompatible,
};
use windows_sys::core::PCWSTR;

pub(super) use self::credentials::{Account, Credentials};
pub use self::errors::SspiError;
pub(super) use self::exchange::Exchange;

/// As long as a domain, a backslash and a user can be, and more.
const LONGEST_NAME: u32 = 1024;

/// Which of Windows' packages makes the tokens.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Package {
    /// Kerberos where the domain knows the service, else NTLM, in the wrapping of RFC 4178.
    Negotiate,
    /// Kerberos by itself, which says why there is none.
    Kerberos,
    /// NTLM by itself.
    Ntlm,
}

impl Package {
    const fn name(self) -> PCWSTR {
        match self {
            Self::Negotiate => NEGOSSP_NAME_W,
            Self::Kerberos => MICROSOFT_KERBEROS_NAME_W,
            Self::Ntlm => NTLMSP_NAME,
        }
    }

    const fn requests(self) -> u32 {
        match self {
            Self::Negotiate | Self::Kerberos => ISC_REQ_CONNECTION | ISC_REQ_MUTUAL_AUTH,
            // It cannot prove who the service is.
            Self::Ntlm => ISC_REQ_CONNECTION,
        }
    }
}

/// Returns the current user, as `DOMAIN\user`, where Windows says it.
pub(super) fn current_user() -> Option<String> {
    let mut name = [0; LONGEST_NAME as usize];
    let mut length = LONGEST_NAME;
    // SAFETY: see the module; so many units are there to be written.
    let is_known = unsafe { GetUserNameExW(NameSamCompatible, name.as_mut_ptr(), &raw mut length) };
    let units = name.get(..length as usize).filter(|units| is_known && !units.is_empty())?;
    Some(String::from_utf16_lossy(units))
}

#[cfg(test)]
mod tests;
