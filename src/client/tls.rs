//! Which servers are trusted.

use std::path::Path;
use std::sync::Arc;

use rustls::ClientConfig;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use rustls_platform_verifier::Verifier;

use super::error::{CaFileFault, ClientError, DamagedReason};
use super::host_id::HostId;
use super::identity::{Identity, OptionNames};
use super::pin::{Pin, Pinned};

/// Whether the call can meet TLS at all.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Roots {
    /// Yes: the system's root certificates are read, with those of the CA file.
    Needed,
    /// No (plain http, no proxy): a machine without root certificates can do it.
    NotNeeded,
}

/// What a server must be like, and what is shown to it.
#[derive(Debug)]
pub(crate) struct Trust<'e> {
    pub(crate) ca_file: Option<&'e Path>,
    pub(crate) identity: Option<&'e Identity>,
    pub(crate) pins: &'e [Pin],
    /// The server that the pins are about.
    pub(crate) server: Option<HostId>,
    /// The proxy before it that is spoken to over TLS.
    pub(crate) proxy: Option<HostId>,
}

/// Returns the TLS settings: 1.2 and 1.3, ring's algorithms (in this config itself, so that no process-wide default has
/// to be there), the system's roots and those of the CA file in addition, the pins, the client certificate, `http/1.1` alone. rustls offers no early data
/// unless asked to: nothing that is sent can be replayed on the way.
pub(crate) fn config(roots: Roots, trust: &Trust<'_>) -> Result<ClientConfig, ClientError> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let extra = match trust.ca_file {
        Some(path) => read_ca_file(path).map_err(|fault| ClientError::CaFile { path: path.to_owned(), fault })?,
        None => Vec::new(),
    };
    let has_ca_file = !extra.is_empty();
    let builder = ClientConfig::builder_with_provider(Arc::clone(&provider))
        .with_safe_default_protocol_versions()
        .map_err(ClientError::Tls)?;
    let builder = match roots {
        Roots::Needed => {
            // Without roots of one's own Windows makes no second chain for them.
            let made = match &extra[..] {
                [] => Verifier::new(provider),
                _ => Verifier::new_with_extra_roots(extra, provider),
            };
            let inner = made.map_err(ClientError::NoRoots)?;
            let Trust { server, proxy, pins, .. } = trust;
            let (server, proxy, pins) = (server.clone(), proxy.clone(), pins.to_vec());
            let verifier = Pinned { inner, server, proxy, pins, has_ca_file };
            builder.dangerous().with_custom_certificate_verifier(Arc::new(verifier))
        }
        Roots::NotNeeded => builder.with_root_certificates(rustls::RootCertStore::empty()),
    };
    let mut config = match trust.identity {
        Some(identity) => {
            let (chain, key) = identity.read(OptionNames::TLS)?;
            builder.with_client_auth_cert(chain, key).map_err(ClientError::OtherKey)?
        }
        None => builder.with_no_client_auth(),
    };
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(config)
}

fn read_ca_file(path: &Path) -> Result<Vec<CertificateDer<'static>>, CaFileFault> {
    let bytes = std::fs::read(path).map_err(CaFileFault::Unreadable)?;
    if memchr::memmem::find(&bytes, b"PRIVATE KEY-----").is_some() {
        return Err(CaFileFault::PrivateKey);
    }
    // A certificate in binary form is an ASN.1 sequence with a length of two bytes.
    if bytes.starts_with(&[0x30, 0x82]) {
        return Err(CaFileFault::Der);
    }
    let mut certificates = Vec::new();
    for (index, certificate) in CertificateDer::pem_slice_iter(&bytes).enumerate() {
        let damaged = |reason| CaFileFault::Damaged { number: index + 1, reason };
        let certificate = certificate.map_err(|error| damaged(DamagedReason::Pem(error)))?;
        rustls::RootCertStore::empty()
            .add(certificate.clone())
            .map_err(|error| damaged(DamagedReason::Certificate(error)))?;
        certificates.push(certificate);
    }
    if certificates.is_empty() { Err(CaFileFault::Empty) } else { Ok(certificates) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of_ca_file(path: &Path) -> Result<ClientConfig, ClientError> {
        let trust = Trust { ca_file: Some(path), identity: None, pins: &[], server: None, proxy: None };
        config(Roots::NotNeeded, &trust)
    }

    #[track_caller]
    fn fault(content: &[u8]) -> CaFileFault {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), content).unwrap();
        match of_ca_file(file.path()) {
            Err(ClientError::CaFile { path, fault }) => {
                assert_eq!(path, file.path());
                fault
            }
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn a_ca_file_that_is_none_says_what_it_is() {
        let key = rcgen::generate_simple_self_signed(["cm.contoso.test".to_owned()]).unwrap();
        let pem = key.cert.pem();
        assert!(matches!(fault(b""), CaFileFault::Empty));
        assert!(matches!(fault(b"hello"), CaFileFault::Empty));
        assert!(matches!(fault(key.cert.der()), CaFileFault::Der));
        let with_key = format!("{pem}{}", key.signing_key.serialize_pem());
        assert!(matches!(fault(with_key.as_bytes()), CaFileFault::PrivateKey));
        let half = &pem[..pem.len() / 2];
        assert!(matches!(fault(half.as_bytes()), CaFileFault::Damaged { number: 1, .. } | CaFileFault::Empty));
        let not_one = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";
        assert!(matches!(fault(format!("{pem}{not_one}").as_bytes()), CaFileFault::Damaged { number: 2, .. }));
        let missing = of_ca_file(Path::new("/nonexistent/ca.pem")).unwrap_err();
        assert!(missing.to_string().contains("\"/nonexistent/ca.pem\" cannot be read"), "{missing}");
    }
}
