//! Why a server's certificate is of nobody who is trusted: whose certificate is missing, and who has to give it.

use std::fmt;
use std::sync::Arc;

use rustls::pki_types::CertificateDer;
use rustls::{CertificateError, Error, OtherError};
use x509_parser::prelude::{FromDer, X509Certificate};

use crate::request::printable;

/// What the server sent, as far as it tells what is missing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct UnknownAuthority {
    /// Who vouches for the last certificate that the server sent.
    issuer: String,
    /// Whether it vouches for itself.
    is_its_own: bool,
    /// Whether the server sent no certificate but its own.
    is_alone: bool,
    has_ca_file: bool,
}

impl UnknownAuthority {
    pub(crate) fn of(
        certificate: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        has_ca_file: bool,
    ) -> Self {
        let last = intermediates.last().unwrap_or(certificate);
        let (issuer, is_its_own) = match X509Certificate::from_der(last) {
            Ok((_, read)) => (printable(&read.issuer().to_string()), read.issuer() == read.subject()),
            Err(_) => ("an authority that cannot be read".to_owned(), false),
        };
        Self { issuer, is_its_own, is_alone: intermediates.is_empty(), has_ca_file }
    }
}

impl fmt::Display for UnknownAuthority {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { issuer, is_its_own, is_alone, has_ca_file } = self;
        let who =
            if *has_ca_file { "neither this machine nor --ca-file trusts" } else { "this machine does not trust" };
        write!(f, "the server's certificate is of an authority that {who} ({issuer}): ")?;
        let add = if *has_ca_file { "add it to the file of --ca-file" } else { "give it with --ca-file" };
        if *is_alone && !is_its_own {
            write!(
                f,
                "the server does not send its intermediate certificate, or has none; have it send the whole chain, or {add}"
            )
        } else {
            write!(f, "{add}, or install it on this machine")
        }
    }
}

impl std::error::Error for UnknownAuthority {}

impl From<UnknownAuthority> for Error {
    fn from(unknown: UnknownAuthority) -> Self {
        CertificateError::Other(OtherError(Arc::new(unknown))).into()
    }
}

#[cfg(test)]
mod tests {
    use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair};

    use super::*;

    #[test]
    fn who_has_to_give_the_missing_certificate_is_told() {
        let named = |name: &str| {
            let mut params = CertificateParams::new(Vec::new()).unwrap();
            params.distinguished_name.push(DnType::CommonName, name);
            params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
            params
        };
        let root = CertifiedIssuer::self_signed(named("Root"), KeyPair::generate().unwrap()).unwrap();
        let issuing = CertifiedIssuer::signed_by(named("Issuing"), KeyPair::generate().unwrap(), &root).unwrap();
        let leaf = named("Leaf").signed_by(&KeyPair::generate().unwrap(), &issuing).unwrap();
        let said = |chain: &[&CertificateDer<'static>], has_ca_file| {
            let (first, rest) = chain.split_first().unwrap();
            let rest: Vec<_> = rest.iter().map(|one| (*one).clone()).collect();
            UnknownAuthority::of(first, &rest, has_ca_file).to_string()
        };
        let alone = said(&[leaf.der()], true);
        assert!(alone.contains("neither this machine nor --ca-file trusts (CN=Issuing"), "{alone}");
        assert!(alone.contains("does not send its intermediate certificate"), "{alone}");
        assert!(alone.contains("add it to the file of --ca-file"), "{alone}");
        let alone = said(&[leaf.der()], false);
        assert!(alone.contains("this machine does not trust (CN=Issuing"), "{alone}");
        assert!(alone.contains("or give it with --ca-file"), "{alone}");
        let whole = said(&[leaf.der(), issuing.der()], true);
        assert!(whole.contains("(CN=Root") && !whole.contains("intermediate"), "{whole}");
        let own = said(&[root.der()], false);
        assert!(own.contains("(CN=Root") && !own.contains("intermediate"), "{own}");
        assert_eq!(said(&[&CertificateDer::from(vec![1])], false).matches("cannot be read").count(), 1);
    }
}
