//! What SSPI's status codes say, and the way out. Windows has texts too, in the language of the machine and without remedies.

use windows_sys::Win32::Foundation::{
    SEC_E_BAD_BINDINGS, SEC_E_BUFFER_TOO_SMALL, SEC_E_CONTEXT_EXPIRED, SEC_E_DOWNGRADE_DETECTED, SEC_E_INTERNAL_ERROR,
    SEC_E_INVALID_TOKEN, SEC_E_KDC_UNKNOWN_ETYPE, SEC_E_LOGON_DENIED, SEC_E_MUTUAL_AUTH_FAILED,
    SEC_E_NO_AUTHENTICATING_AUTHORITY, SEC_E_NO_CREDENTIALS, SEC_E_SECPKG_NOT_FOUND, SEC_E_SMARTCARD_LOGON_REQUIRED,
    SEC_E_TARGET_UNKNOWN, SEC_E_TIME_SKEW, SEC_E_UNKNOWN_CREDENTIALS, SEC_E_UNSUPPORTED_FUNCTION,
    SEC_E_WRONG_PRINCIPAL,
};
use windows_sys::core::HRESULT;

/// A call of SSPI failed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{text}")]
pub struct SspiError {
    /// Zero where SSPI was not asked.
    status: HRESULT,
    text: String,
}

impl SspiError {
    pub(super) fn check(call: &'static str, status: HRESULT) -> Result<(), Self> {
        if status < 0 { Err(Self::of(call, status)) } else { Ok(()) }
    }

    pub(super) fn of(call: &'static str, status: HRESULT) -> Self {
        let text = known(status).map_or_else(
            || format!("{call} gave 0x{status:08X}, which certutil -error 0x{status:08X} explains"),
            |known| format!("{} ({} 0x{status:08X} of {call})", known.text, known.name),
        );
        Self { status, text }
    }

    pub(super) fn zero_byte(what: &'static str) -> Self {
        Self::not_asked(format!("{what} has a zero byte in it"))
    }

    /// Says why SSPI is not asked, or that it answered what nobody can use.
    pub(in crate::platform) const fn not_asked(text: String) -> Self {
        Self { status: 0, text }
    }

    /// Returns what happened, in English, with the status code.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// Returns what a person can do, where that is known.
    pub fn help(&self) -> Option<&'static str> {
        known(self.status).map(|known| known.help)
    }

    /// Returns the status code; zero where SSPI was not asked.
    pub const fn status(&self) -> i32 {
        self.status
    }

    /// Returns whether the ticket is over.
    pub const fn is_expired(&self) -> bool {
        self.status == SEC_E_CONTEXT_EXPIRED
    }

    /// Returns whether there are no credentials.
    pub const fn has_no_credentials(&self) -> bool {
        self.status == SEC_E_NO_CREDENTIALS
    }

    /// Returns whether Kerberos is not to be had here, whatever the credentials.
    pub const fn is_out_of_reach(&self) -> bool {
        matches!(self.status, SEC_E_NO_AUTHENTICATING_AUTHORITY | SEC_E_TARGET_UNKNOWN | SEC_E_SECPKG_NOT_FOUND)
    }

    /// Returns whether these credentials will not be taken the next time either, so that another try only brings the account
    /// nearer to being locked.
    pub const fn is_refused(&self) -> bool {
        matches!(self.status, SEC_E_LOGON_DENIED | SEC_E_UNKNOWN_CREDENTIALS | SEC_E_SMARTCARD_LOGON_REQUIRED)
    }
}

struct Known {
    status: HRESULT,
    name: &'static str,
    text: &'static str,
    help: &'static str,
}

fn known(status: HRESULT) -> Option<&'static Known> {
    KNOWN.iter().find(|known| known.status == status)
}

const KNOWN: [Known; 18] = [
    Known {
        status: SEC_E_LOGON_DENIED,
        name: "SEC_E_LOGON_DENIED",
        text: "the account or its password is refused",
        help: "check user, domain and password, and whether the account is locked or its password is over",
    },
    Known {
        status: SEC_E_NO_CREDENTIALS,
        name: "SEC_E_NO_CREDENTIALS",
        text: "there are no credentials to sign in with",
        help: "run this as an account of the domain, or give an account and its password",
    },
    Known {
        status: SEC_E_UNKNOWN_CREDENTIALS,
        name: "SEC_E_UNKNOWN_CREDENTIALS",
        text: "the credentials are not known to the security package",
        help: "check user, domain and password",
    },
    Known {
        status: SEC_E_TARGET_UNKNOWN,
        name: "SEC_E_TARGET_UNKNOWN",
        text: "the domain does not know the name of the service",
        help: "use the host name that the service is registered with; setspn -Q HTTP/host shows who has it",
    },
    Known {
        status: SEC_E_WRONG_PRINCIPAL,
        name: "SEC_E_WRONG_PRINCIPAL",
        text: "the service does not run as the account that its name belongs to",
        help: "register HTTP/host with the account of the server's application pool, once (setspn -S), and look for two with setspn -X",
    },
    Known {
        status: SEC_E_NO_AUTHENTICATING_AUTHORITY,
        name: "SEC_E_NO_AUTHENTICATING_AUTHORITY",
        text: "no domain controller can be reached for the sign-in",
        help: "check the network and the domain; nltest /dsgetdc:DOMAIN shows what Windows finds",
    },
    Known {
        status: SEC_E_DOWNGRADE_DETECTED,
        name: "SEC_E_DOWNGRADE_DETECTED",
        text: "a domain controller cannot be reached, or somebody tries to weaken the sign-in",
        help: "check the network, and whether the password has to be changed",
    },
    Known {
        status: SEC_E_TIME_SKEW,
        name: "SEC_E_TIME_SKEW",
        text: "the clocks of this machine and of the domain differ too much",
        help: "set the clock: w32tm /resync",
    },
    Known {
        status: SEC_E_INTERNAL_ERROR,
        name: "SEC_E_INTERNAL_ERROR",
        text: "the security package failed",
        help: "look into the System event log of this machine",
    },
    Known {
        status: SEC_E_INVALID_TOKEN,
        name: "SEC_E_INVALID_TOKEN",
        text: "what the service answered is no token of this exchange",
        help: "check that the server has Windows authentication switched on, and that each request of a sign-in reaches it over one connection",
    },
    Known {
        status: SEC_E_BAD_BINDINGS,
        name: "SEC_E_BAD_BINDINGS",
        text: "the sign-in is bound to another TLS channel than the server's",
        help: "look for a proxy that opens TLS on the way to the server",
    },
    Known {
        status: SEC_E_BUFFER_TOO_SMALL,
        name: "SEC_E_BUFFER_TOO_SMALL",
        text: "the ticket is too large",
        help: "use an account that is in fewer groups",
    },
    Known {
        status: SEC_E_CONTEXT_EXPIRED,
        name: "SEC_E_CONTEXT_EXPIRED",
        text: "the ticket is over",
        help: "sign in again",
    },
    Known {
        status: SEC_E_MUTUAL_AUTH_FAILED,
        name: "SEC_E_MUTUAL_AUTH_FAILED",
        text: "the service does not prove who it is",
        help: "check the name of the service and that no proxy answers for it",
    },
    Known {
        status: SEC_E_KDC_UNKNOWN_ETYPE,
        name: "SEC_E_KDC_UNKNOWN_ETYPE",
        text: "the domain has no kind of encryption that both sides know",
        help: "let the service's account have AES keys (msDS-SupportedEncryptionTypes) and set its password anew",
    },
    Known {
        status: SEC_E_SMARTCARD_LOGON_REQUIRED,
        name: "SEC_E_SMARTCARD_LOGON_REQUIRED",
        text: "the account may sign in only with a smart card",
        help: "use an account that may sign in with its password",
    },
    Known {
        status: SEC_E_UNSUPPORTED_FUNCTION,
        name: "SEC_E_UNSUPPORTED_FUNCTION",
        text: "the security package does not do this",
        help: "look for a policy against NTLM (Network security: Restrict NTLM)",
    },
    Known {
        status: SEC_E_SECPKG_NOT_FOUND,
        name: "SEC_E_SECPKG_NOT_FOUND",
        text: "Windows does not have this security package",
        help: "look for a policy that takes Negotiate or NTLM away",
    },
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_known_status_says_what_it_is_and_what_to_do() {
        let error = SspiError::of("AcquireCredentialsHandle", SEC_E_NO_CREDENTIALS);
        assert_eq!(
            error.to_string(),
            "there are no credentials to sign in with (SEC_E_NO_CREDENTIALS 0x8009030E of AcquireCredentialsHandle)"
        );
        assert!(error.help().is_some_and(|help| help.contains("give an account")));
        assert!(!error.is_refused() && !error.is_expired());
    }

    #[test]
    fn an_unknown_status_says_where_to_look_it_up() {
        let error = SspiError::of("InitializeSecurityContext", -2_146_893_000);
        assert_eq!(
            error.to_string(),
            "InitializeSecurityContext gave 0x80090338, which certutil -error 0x80090338 explains"
        );
        assert_eq!(error.help(), None);
    }

    #[test]
    fn no_status_stands_twice_in_the_table() {
        for (index, one) in KNOWN.iter().enumerate() {
            assert!(one.status < 0, "{}", one.name);
            assert!(KNOWN.iter().skip(index + 1).all(|other| other.status != one.status), "{}", one.name);
        }
    }
}
