//! What a client with a certificate shows in place of a secret: a JWT that its key has signed (`private_key_jwt`; RFC 7521, 4.2;
//! RFC 7523, 2.2 and 3), in the form that AD FS and Entra ID take.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use data_encoding::{BASE64URL_NOPAD, HEXUPPER};
use rustls::SignatureScheme;
use rustls::crypto::ring::sign::any_supported_type;
use rustls::sign::{Signer, SigningKey};
use serde_json::json;
use sha1::Sha1;
use sha2::{Digest, Sha256};
use uuid::Uuid;
use x509_parser::prelude::{FromDer, X509Certificate};

use crate::client::identity::{Identity, IdentityError, OptionNames};

/// The `client_assertion_type` (RFC 7523, 2.2).
pub(super) const TYPE: &str = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer";
/// How long an assertion is good. It is used at once; the time is for clocks that differ.
const LIFETIME: Duration = Duration::from_secs(300);
const OPTIONS: OptionNames = OptionNames { key: "--client-assertion-key", password: "--client-assertion-password" };

/// Why no assertion can be made.
#[derive(Debug, thiserror::Error)]
pub(super) enum AssertionError {
    /// The files.
    #[error("the client's certificate in {0}")]
    Identity(#[from] IdentityError),
    /// The certificate cannot be read.
    #[error("the client's certificate {0}: its content cannot be read; write it anew with its authority's tools")]
    Damaged(String),
    /// The key belongs to another certificate.
    #[error("the client's certificate {0} and its key do not belong together; check {key}", key = OPTIONS.key)]
    OtherKey(String),
    /// The key signs in no way that a token server takes.
    #[error(
        "the client's certificate {0} has a key that cannot be used here; use one of RSA (2048 bits or more) or P-256"
    )]
    Kind(String),
    /// The signature failed.
    #[error("the client's key cannot sign: {0}")]
    Signature(rustls::Error),
}

/// How an assertion is signed (RFC 7518, 3.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Algorithm {
    Rs256,
    Es256,
}

/// A certificate and what its key signs with.
pub(super) struct AssertionKey {
    signer: Box<dyn Signer>,
    algorithm: Algorithm,
    sha1: [u8; 20],
    sha256: [u8; 32],
    /// The end of the certificate's time, in words.
    ends: String,
    /// The same in seconds since 1970.
    ends_s: i64,
}

impl AssertionKey {
    /// Reads the certificate's files.
    ///
    /// # Errors
    /// They are not taken, do not belong together, or their key is neither RSA nor P-256.
    pub(super) fn read(identity: &Identity) -> Result<Self, AssertionError> {
        let (chain, key) = identity.read(OPTIONS)?;
        let shown = || format!("in {:?}", identity.certificate);
        let certificate = chain.first().ok_or_else(|| AssertionError::Damaged(shown()))?;
        let (_, parsed) = X509Certificate::from_der(certificate).map_err(|_| AssertionError::Damaged(shown()))?;
        let key = any_supported_type(&key).map_err(|_| AssertionError::Kind(shown()))?;
        if key.public_key().is_some_and(|public| public.as_ref() != parsed.public_key().raw) {
            return Err(AssertionError::OtherKey(shown()));
        }
        let (signer, algorithm) = signer(&*key).ok_or_else(|| AssertionError::Kind(shown()))?;
        let ends = parsed.validity().not_after;
        Ok(Self {
            signer,
            algorithm,
            sha1: Sha1::digest(certificate).into(),
            sha256: Sha256::digest(certificate).into(),
            ends: ends.to_string(),
            ends_s: ends.timestamp(),
        })
    }

    /// Returns an assertion for the token server at `audience`; `id` makes it one that was never there before.
    ///
    /// # Errors
    /// The key cannot sign.
    pub(super) fn assertion(
        &self,
        client_id: &str,
        audience: &str,
        now: SystemTime,
        id: Uuid,
    ) -> Result<String, AssertionError> {
        let alg = match self.algorithm {
            Algorithm::Rs256 => "RS256",
            Algorithm::Es256 => "ES256",
        };
        let encoded = |bytes: &[u8]| BASE64URL_NOPAD.encode(bytes);
        // AD FS looks for the certificate by the first thumbprint, Entra ID by either.
        let header = json!({ "alg": alg, "typ": "JWT", "x5t": encoded(&self.sha1), "x5t#S256": encoded(&self.sha256) });
        let now = seconds(now);
        let claims = json!({
            "iss": client_id,
            "sub": client_id,
            "aud": audience,
            "jti": id.to_string(),
            "nbf": now,
            "iat": now,
            "exp": now + LIFETIME.as_secs(),
        });
        let text = format!("{}.{}", encoded(header.to_string().as_bytes()), encoded(claims.to_string().as_bytes()));
        let signature = self.signer.sign(text.as_bytes()).map_err(AssertionError::Signature)?;
        let signature = match self.algorithm {
            Algorithm::Rs256 => signature,
            Algorithm::Es256 => es256(&signature).expect("ring writes ECDSA signatures as DER").to_vec(),
        };
        Ok(format!("{text}.{}", encoded(&signature)))
    }

    /// Returns what is to be looked at where the token server refuses the certificate.
    pub(super) fn check(&self, now: SystemTime) -> String {
        let thumbprint = HEXUPPER.encode(&self.sha1);
        match i64::try_from(seconds(now)) {
            Ok(now) if now > self.ends_s => {
                format!("its certificate (thumbprint {thumbprint}) ended on {}: have a new one made", self.ends)
            }
            Ok(_) | Err(_) => {
                format!(
                    "check --client-id, that its certificate (thumbprint {thumbprint}) is known there, this machine's clock and \
                     --resource"
                )
            }
        }
    }
}

fn seconds(time: SystemTime) -> u64 {
    time.duration_since(UNIX_EPOCH).unwrap_or_default().as_secs()
}

fn signer(key: &dyn SigningKey) -> Option<(Box<dyn Signer>, Algorithm)> {
    let by = |scheme, algorithm| Some((key.choose_scheme(&[scheme])?, algorithm));
    by(SignatureScheme::RSA_PKCS1_SHA256, Algorithm::Rs256)
        .or_else(|| by(SignatureScheme::ECDSA_NISTP256_SHA256, Algorithm::Es256))
}

/// Returns a P-256 signature as JWS has it (RFC 7518, 3.4: r and s of 32 bytes each), out of its DER form (RFC 3279, 2.2.3).
fn es256(der: &[u8]) -> Option<[u8; 64]> {
    let (numbers, rest) = element(der, 0x30)?;
    let (r, numbers) = element(numbers, 0x02)?;
    let (s, numbers) = element(numbers, 0x02)?;
    if !(rest.is_empty() && numbers.is_empty()) {
        return None;
    }
    let mut signature = [0; 64];
    for (number, end) in [(r, 32), (s, 64)] {
        // DER has a zero before a number that would read as negative, and leaves out other zeros.
        let number = number.strip_prefix(&[0]).unwrap_or(number);
        if number.len() > 32 {
            return None;
        }
        signature[end - number.len()..end].copy_from_slice(number);
    }
    Some(signature)
}

/// Returns the content of the DER element that the bytes begin with, and what follows it. Its length has one byte, which is
/// enough for a signature of P-256 (72 bytes at most).
fn element(bytes: &[u8], tag: u8) -> Option<(&[u8], &[u8])> {
    let (&[found, length], rest) = bytes.split_first_chunk()?;
    (found == tag && length < 0x80).then(|| rest.split_at_checked(usize::from(length)))?
}

#[cfg(test)]
mod tests;
