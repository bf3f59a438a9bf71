//! What MIT's library says, and what a person can do about it: the library names causes and no remedies.

/// What a KDC says of credentials that it will not take the next time either.
const REFUSALS: [&str; 4] = [
    "Preauthentication failed",
    "credentials have been revoked",
    "Password has expired",
    "entry in database has expired",
];

/// Returns what a person can do about what the library says.
pub(super) fn remedy(said: &str) -> Option<&'static str> {
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

/// Returns the same about credentials that are a password: there is no keytab to be written.
pub(super) fn password_remedy(said: &str) -> Option<&'static str> {
    PASSWORD_REMEDIES.iter().find(|(text, _)| said.contains(text)).map(|(_, help)| *help).or_else(|| remedy(said))
}

/// Returns whether Kerberos is not to be had here, whatever the credentials: where Windows takes NTLM instead. What the KDC says
/// of the credentials themselves is none of this.
pub(super) fn is_out_of_reach(said: &str) -> bool {
    OUT_OF_REACH.iter().any(|text| said.contains(text))
}

/// Returns whether the KDC will not take these credentials the next time either.
pub(super) fn is_refusal(said: &str) -> bool {
    let is_unknown = said.contains("not found in Kerberos database") && !said.contains("Server ");
    is_unknown || REFUSALS.iter().any(|refusal| said.contains(refusal))
}

/// What the library says where there is no KDC to ask, or none that knows the account or the service.
const OUT_OF_REACH: [&str; 4] =
    ["Cannot contact any KDC", "Cannot find KDC for realm", "not found in Kerberos database", "Configuration file"];

/// What the library says where there is neither a ticket nor a key.
pub(super) const NO_TICKET: [&str; 3] =
    ["No Kerberos credentials available", "No credentials cache found", "Can't find client principal"];

const NEW_TICKET: &str = "get a new ticket (kinit), or give --keytab FILE, which renews by itself";

pub(in crate::client::sign_in) const OTHER_KEY: &str = "klist -k shows those that it has; check --principal";

/// What is to be installed where NTLM is missing.
pub(super) const NO_NTLM: &str =
    "NTLM is not installed on this machine: install it (Debian: gss-ntlmssp, Red Hat: gssntlmssp)";

/// What the library says (MIT krb5, `krb5_err.et` and its kin), and what to do about it; the first that fits counts.
const REMEDIES: [(&str, &str); 14] = [
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
    ("Ticket expired", NEW_TICKET),
    ("credential has expired", NEW_TICKET),
    ("Configuration file", "check /etc/krb5.conf"),
];

/// What is another thing to do where it is about a password.
const PASSWORD_REMEDIES: [(&str, &str); 2] = [
    (
        "Preauthentication failed",
        "check --principal and the password; it is not offered again, so that the account is not locked",
    ),
    ("Password has expired", "set a new password, and give that one"),
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
            ("The referenced credential has expired", "kinit"),
        ] {
            assert!(remedy(said).is_some_and(|found| found.contains(help)), "{said}: {:?}", remedy(said));
        }
        assert_eq!(remedy("something else"), None);
    }

    #[test]
    fn who_has_a_password_is_not_told_to_write_a_keytab() {
        for (said, help) in [
            ("Preauthentication failed", "check --principal and the password"),
            ("Password has expired", "set a new password, and give that one"),
            ("Client's credentials have been revoked", "unlocked"),
            ("Client's entry in database has expired", "extended"),
        ] {
            assert!(password_remedy(said).is_some_and(|found| found.contains(help)), "{said}");
        }
    }

    #[test]
    fn a_refused_password_is_no_reason_for_another_mechanism() {
        assert!(is_out_of_reach("Cannot contact any KDC for realm 'CONTOSO.TEST'"));
        assert!(is_out_of_reach("Server HTTP/cm@CONTOSO.TEST not found in Kerberos database"));
        for said in REFUSALS.into_iter().chain(["Clock skew too great", "Ticket expired"]) {
            assert!(!is_out_of_reach(said), "{said}");
        }
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
}
