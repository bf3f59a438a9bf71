//! Keys that a server must have, whatever authority vouches for it.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use data_encoding::BASE64;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::server::ParsedCertificate;
use rustls::{CertificateError, DigitallySignedStruct, Error, OtherError, SignatureScheme};
use sha2::{Digest, Sha256};

use super::host_id::HostId;
use super::unknown_authority::UnknownAuthority;

/// The SHA-256 of a server's public key (its SubjectPublicKeyInfo, DER), as curl writes it: `sha256//` and base64.
///
/// ```
/// use cmbatch::client::Pin;
/// let text = "sha256//47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=";
/// assert_eq!(text.parse::<Pin>().unwrap().to_string(), text);
/// ```
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Pin([u8; 32]);

/// The text is not a pin.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("write sha256// and the base64 of the SHA-256 of the server's public key, 44 characters")]
pub struct InvalidPin;

impl Pin {
    const PREFIX: &'static str = "sha256//";

    /// Returns the pin of a certificate's key.
    fn of(certificate: &CertificateDer<'_>) -> Result<Self, Error> {
        let key = ParsedCertificate::try_from(certificate)?.subject_public_key_info();
        Ok(Self(Sha256::digest(key.as_ref()).into()))
    }
}

impl FromStr for Pin {
    type Err = InvalidPin;

    fn from_str(text: &str) -> Result<Self, InvalidPin> {
        let text = text.trim().strip_prefix(Self::PREFIX).ok_or(InvalidPin)?;
        let bytes = BASE64.decode(text.as_bytes()).map_err(|_| InvalidPin)?;
        bytes.try_into().map(Self).map_err(|_| InvalidPin)
    }
}

impl fmt::Display for Pin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}{}", Self::PREFIX, BASE64.encode(&self.0))
    }
}

impl fmt::Debug for Pin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// The server has another key than those that it may have.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the server's key is none that --pin names: it is {0}; if that is right, give that pin")]
pub(crate) struct NotPinned(Pin);

/// Trusts what another verifier trusts, if the key is one of these.
#[derive(Debug)]
pub(crate) struct Pinned<V> {
    pub(crate) inner: V,
    /// The server that the pins are about.
    pub(crate) server: Option<HostId>,
    /// A proxy on the way, which has a key of its own.
    pub(crate) proxy: Option<HostId>,
    pub(crate) pins: Vec<Pin>,
    /// Whether further authorities are trusted (`--ca-file`).
    pub(crate) has_ca_file: bool,
}

impl<V: ServerCertVerifier> ServerCertVerifier for Pinned<V> {
    fn verify_server_cert(
        &self,
        certificate: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        name: &ServerName<'_>,
        ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        let verified = self.inner.verify_server_cert(certificate, intermediates, name, ocsp_response, now);
        let verified = verified.map_err(|error| match error {
            Error::InvalidCertificate(CertificateError::UnknownIssuer) => {
                UnknownAuthority::of(certificate, intermediates, self.has_ca_file).into()
            }
            other => other,
        })?;
        let peer = Some(HostId::of_server(name));
        if self.pins.is_empty() || (peer == self.proxy && peer != self.server) {
            return Ok(verified);
        }
        // Whoever else this is has to have a pinned key: no pin goes without effect.
        let pin = Pin::of(certificate)?;
        if self.pins.contains(&pin) {
            return Ok(verified);
        }
        Err(CertificateError::Other(OtherError(Arc::new(NotPinned(pin)))).into())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.inner.verify_tls12_signature(message, certificate, signature)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.inner.verify_tls13_signature(message, certificate, signature)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.inner.supported_verify_schemes()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_pin_is_refused() {
        for text in ["", "sha256//", "sha256//AAAA", "sha1//47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=", "47DEQpj8"] {
            assert_eq!(text.parse::<Pin>(), Err(InvalidPin), "{text}");
        }
    }
}
