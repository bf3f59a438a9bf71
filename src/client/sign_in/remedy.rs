//! What the system says where nobody is signed in, and what a person can do about it.

#[cfg(unix)]
mod mit;

use crate::platform::negotiate::SystemError;

#[cfg(unix)]
pub(super) use self::mit::OTHER_KEY;
/// There are no keytabs.
#[cfg(windows)]
pub(super) const OTHER_KEY: &str = "leave --keytab out";

/// Returns what a person can do about it.
pub(super) fn remedy(error: &SystemError) -> Option<&'static str> {
    #[cfg(unix)]
    return mit::remedy(error.text());
    #[cfg(windows)]
    return error.help();
}

/// Returns the same about credentials that are a password: there is no keytab to be written.
pub(super) fn password_remedy(error: &SystemError) -> Option<&'static str> {
    #[cfg(unix)]
    return mit::password_remedy(error.text());
    #[cfg(windows)]
    return error.help();
}

/// Says that a server refuses tokens that the KDC gave, and what that may be.
pub(super) fn refused(spn: &str, is_https: bool, said: &str) -> String {
    let binding = if is_https {
        "; or what ends TLS before it shows a certificate of its own (TLS inspection, a load balancer), and the server refuses \
         tokens that are bound to that one (Extended Protection): call it past that"
    } else {
        ""
    };
    let said = if said.is_empty() { String::new() } else { format!("; it says: {said}") };
    format!(
        "the server refuses the token for {spn} (401): check that the service runs as the account which has that name \
         (setspn -Q), --spn, and the server's clock{binding}{said}"
    )
}

/// Returns whether Kerberos is not to be had here, whatever the credentials.
pub(super) fn is_out_of_reach(error: &SystemError) -> bool {
    #[cfg(unix)]
    return mit::is_out_of_reach(error.text());
    #[cfg(windows)]
    return error.is_out_of_reach();
}

/// Returns whether these credentials will not be taken the next time either.
pub(super) fn is_refusal(error: &SystemError) -> bool {
    #[cfg(unix)]
    return mit::is_refusal(error.text());
    #[cfg(windows)]
    return error.is_refused();
}

/// Returns whether there is neither a ticket nor a key.
pub(super) fn has_no_ticket(error: &SystemError) -> bool {
    #[cfg(unix)]
    return mit::NO_TICKET.iter().any(|text| error.text().contains(text));
    #[cfg(windows)]
    return error.has_no_credentials();
}

/// Returns what to say where NTLM makes no credentials, and what a person can do about it.
pub(super) fn without_ntlm(error: &SystemError) -> (String, Option<&'static str>) {
    #[cfg(unix)]
    if error.is_mechanism_missing() {
        return (mit::NO_NTLM.to_owned(), None);
    }
    (format!("NTLM: {error}"), if cfg!(windows) { remedy(error) } else { None })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_over_tls_can_another_certificate_be_why_a_token_is_refused() {
        let said = refused("HTTP@cm.contoso.test", true, "Not Authorized");
        assert!(said.contains("HTTP@cm.contoso.test") && said.contains("TLS inspection"), "{said}");
        assert!(said.ends_with("it says: Not Authorized"), "{said}");
        let said = refused("HTTP@cm.contoso.test", false, "");
        assert!(!said.contains("TLS") && said.ends_with("the server's clock"), "{said}");
    }
}
