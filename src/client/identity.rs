//! The certificate that calls show to a server which asks for one.

use std::path::{Path, PathBuf};

use p12_keystore::{KeyStore, Pkcs12ImportPolicy};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};

use super::private_file::{self, FileFault};

/// The longest file that is taken, in bytes.
const MAX_FILE_BYTES: usize = 1024 * 1024;
/// The longest password that is taken, in bytes.
const MAX_PASSWORD_BYTES: usize = 4 * 1024;

/// Where the certificate is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Identity {
    /// PEM text with the certificate, those between it and its authority, and the private key; or a PKCS#12 file (`.p12`, `.pfx`).
    pub certificate: PathBuf,
    /// PEM text with the private key, where it is in a file of its own.
    pub key: Option<PathBuf>,
    /// A file with the password of a PKCS#12 file; none where it has none.
    pub password: Option<PathBuf>,
}

/// The options that name a certificate's other files, for messages.
#[derive(Clone, Copy, Debug)]
pub(crate) struct OptionNames {
    /// The one for the key's own file.
    pub(crate) key: &'static str,
    /// The one for the file with the password.
    pub(crate) password: &'static str,
}

/// Why a certificate cannot be shown.
#[derive(Debug, thiserror::Error)]
#[error("{path:?} {fault}")]
pub struct IdentityError {
    path: PathBuf,
    fault: IdentityFault,
}

/// What is wrong.
#[derive(Debug, thiserror::Error)]
enum IdentityFault {
    /// The file itself.
    #[error("{0}")]
    File(String),
    /// PEM text that cannot be read.
    #[error("is damaged: {0}")]
    Pem(rustls::pki_types::pem::Error),
    /// No certificate.
    #[error("has no certificate: \"-----BEGIN CERTIFICATE-----\" is not in it")]
    NoCertificate,
    /// No private key.
    #[error("has no private key: add it to the file, or give its own file with {0}; it must not be encrypted")]
    NoKey(&'static str),
    /// PKCS#12 that cannot be read.
    #[error("cannot be opened as PKCS#12 ({said}): is the password in {option} that of this file?")]
    Pkcs12 {
        /// What the library says.
        said: String,
        /// The option that names the password's file.
        option: &'static str,
    },
}

impl OptionNames {
    /// Those of the certificate that is shown in TLS.
    pub(crate) const TLS: Self = Self { key: "--client-key", password: "--client-cert-password" };
}

/// A certificate with those that lead to its authority, and its key.
pub(crate) type Shown = (Vec<CertificateDer<'static>>, PrivateKeyDer<'static>);

impl Identity {
    /// Reads the files; `options` are those that name them.
    ///
    /// # Errors
    /// A file cannot be read, others may read it, or it is not what it should be.
    pub(crate) fn read(&self, options: OptionNames) -> Result<Shown, IdentityError> {
        let bytes = read(&self.certificate)?;
        let at = |fault| IdentityError { path: self.certificate.clone(), fault };
        // ASN.1: a sequence whose length takes two bytes. PEM begins with text.
        if bytes.starts_with(&[0x30, 0x82]) {
            return from_pkcs12(&bytes, &self.password()?, options).map_err(at);
        }
        let chain: Vec<_> =
            CertificateDer::pem_slice_iter(&bytes).collect::<Result<_, _>>().map_err(|e| at(IdentityFault::Pem(e)))?;
        if chain.is_empty() {
            return Err(at(IdentityFault::NoCertificate));
        }
        let (path, bytes) = match &self.key {
            Some(path) => (path, read(path)?),
            None => (&self.certificate, bytes),
        };
        let key = PrivateKeyDer::from_pem_slice(&bytes)
            .map_err(|_| IdentityError { path: path.clone(), fault: IdentityFault::NoKey(options.key) })?;
        Ok((chain, key))
    }

    fn password(&self) -> Result<String, IdentityError> {
        let Some(path) = &self.password else { return Ok(String::new()) };
        let bytes = private_file::read(path, MAX_PASSWORD_BYTES).map_err(|fault| of_file(path, &fault))?;
        let fault = IdentityFault::File("is not UTF-8 text".to_owned());
        let line = private_file::first_line(&bytes).ok_or_else(|| IdentityError { path: path.clone(), fault })?;
        Ok(line.to_owned())
    }
}

fn read(path: &Path) -> Result<Vec<u8>, IdentityError> {
    private_file::read(path, MAX_FILE_BYTES).map_err(|fault| of_file(path, &fault))
}

fn of_file(path: &Path, fault: &FileFault) -> IdentityError {
    IdentityError { path: path.to_owned(), fault: IdentityFault::File(format!("{fault}{}", fault.remedy(path))) }
}

fn from_pkcs12(bytes: &[u8], password: &str, options: OptionNames) -> Result<Shown, IdentityFault> {
    let store = KeyStore::from_pkcs12(bytes, password, Pkcs12ImportPolicy::Relaxed)
        .map_err(|error| IdentityFault::Pkcs12 { said: error.to_string(), option: options.password })?;
    let (_, chain) = store.private_key_chain().ok_or(IdentityFault::NoKey(options.key))?;
    let certificates = chain.certs().iter().map(|certificate| CertificateDer::from(certificate.as_der().to_vec()));
    let key = PrivateKeyDer::try_from(chain.key().as_der().to_vec()).map_err(|_| IdentityFault::NoKey(options.key))?;
    Ok((certificates.collect(), key))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::platform::set_mode;

    fn private(folder: &Path, name: &str, content: impl AsRef<[u8]>) -> PathBuf {
        let path = folder.join(name);
        std::fs::write(&path, content).unwrap();
        set_mode(&path, 0o600);
        path
    }

    fn identity(certificate: PathBuf) -> Identity {
        Identity { certificate, key: None, password: None }
    }

    #[test]
    fn pem_is_read_from_one_file_or_two() {
        let folder = tempfile::tempdir().unwrap();
        let made = rcgen::generate_simple_self_signed(["svc".to_owned()]).unwrap();
        let (certificate, key) = (made.cert.pem(), made.signing_key.serialize_pem());
        let both = identity(private(folder.path(), "both.pem", format!("{certificate}{key}")));
        let (chain, _) = both.read(OptionNames::TLS).unwrap();
        assert_eq!(chain, [made.cert.der().clone()]);
        let apart = Identity {
            key: Some(private(folder.path(), "key.pem", &key)),
            ..identity(private(folder.path(), "cert.pem", &certificate))
        };
        assert_eq!(apart.read(OptionNames::TLS).unwrap().0.len(), 1);
    }

    #[test]
    fn what_cannot_be_shown_says_why() {
        let folder = tempfile::tempdir().unwrap();
        let made = rcgen::generate_simple_self_signed(["svc".to_owned()]).unwrap();
        let said = |identity: &Identity| identity.read(OptionNames::TLS).unwrap_err().to_string();
        let missing = identity(folder.path().join("missing.pem"));
        assert!(said(&missing).contains("missing.pem\" cannot be read"), "{}", said(&missing));
        let no_key = identity(private(folder.path(), "cert.pem", made.cert.pem()));
        assert!(said(&no_key).contains("has no private key") && said(&no_key).contains("--client-key"));
        let nothing = identity(private(folder.path(), "empty.pem", "hello"));
        assert!(said(&nothing).contains("has no certificate"));
        if cfg!(unix) {
            let open = private(folder.path(), "open.pem", made.cert.pem());
            set_mode(&open, 0o644);
            assert!(said(&identity(open)).contains("open to others (mode 644); type: chmod 600"));
        }
        let damaged = identity(private(folder.path(), "x.p12", [0x30, 0x82, 0, 1, 0]));
        assert!(said(&damaged).contains("cannot be opened as PKCS#12"), "{}", said(&damaged));
    }
}
