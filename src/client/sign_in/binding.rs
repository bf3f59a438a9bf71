//! Channel bindings of the type `tls-server-end-point` (RFC 5929, 4): a token is worth nothing on another TLS connection.

use sha2::{Digest, Sha256, Sha384, Sha512};

/// The object identifiers of signature algorithms whose hash is not SHA-256, as they stand in a certificate (with tag and
/// length): those whose hash is to be used for the binding instead.
const SHA384: [&[u8]; 2] = [
    b"\x06\x09\x2a\x86\x48\x86\xf7\x0d\x01\x01\x0c", // sha384WithRSAEncryption
    b"\x06\x08\x2a\x86\x48\xce\x3d\x04\x03\x03",     // ecdsa-with-SHA384
];
const SHA512: [&[u8]; 2] = [
    b"\x06\x09\x2a\x86\x48\x86\xf7\x0d\x01\x01\x0d", // sha512WithRSAEncryption
    b"\x06\x08\x2a\x86\x48\xce\x3d\x04\x03\x04",     // ecdsa-with-SHA512
];

/// Returns the binding to a server's certificate (DER): its hash, by the algorithm of its signature, or SHA-256 where that is
/// MD5 or SHA-1.
pub(crate) fn to_certificate(der: &[u8]) -> Vec<u8> {
    let mut binding = b"tls-server-end-point:".to_vec();
    let algorithm = signature_algorithm(der).unwrap_or_default();
    if SHA384.iter().any(|oid| algorithm.starts_with(oid)) {
        binding.extend_from_slice(&Sha384::digest(der));
    } else if SHA512.iter().any(|oid| algorithm.starts_with(oid)) {
        binding.extend_from_slice(&Sha512::digest(der));
    } else {
        binding.extend_from_slice(&Sha256::digest(der));
    }
    binding
}

/// Returns the bytes from the signature algorithm's identifier on. A certificate is a sequence of what is signed, the
/// algorithm (a sequence that begins with its identifier) and the signature (RFC 5280, 4.1).
fn signature_algorithm(der: &[u8]) -> Option<&[u8]> {
    let (certificate, _) = contents(der)?;
    let (_, behind_signed) = contents(certificate)?;
    contents(behind_signed).map(|(algorithm, _)| algorithm)
}

/// Splits what begins with a DER element into the element's contents and what follows it.
fn contents(der: &[u8]) -> Option<(&[u8], &[u8])> {
    let (&length, rest) = der.get(1..)?.split_first()?;
    let (length, rest) = match length {
        ..0x80 => (usize::from(length), rest),
        0x81..=0x84 => {
            let (bytes, rest) = rest.split_at_checked(usize::from(length - 0x80))?;
            (bytes.iter().fold(0, |length, byte| length << 8 | usize::from(*byte)), rest)
        }
        // An indefinite length, which DER does not have, or one that no certificate has.
        0x80 | 0x85.. => return None,
    };
    rest.split_at_checked(length)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn certificate(algorithm: &'static rcgen::SignatureAlgorithm) -> Vec<u8> {
        let key = rcgen::KeyPair::generate_for(algorithm).unwrap();
        let parameters = rcgen::CertificateParams::new(vec!["cm.contoso.test".to_owned()]).unwrap();
        parameters.self_signed(&key).unwrap().der().to_vec()
    }

    #[test]
    fn the_hash_is_that_of_the_certificates_signature() {
        let prefix = b"tls-server-end-point:".len();
        let der = certificate(&rcgen::PKCS_ECDSA_P256_SHA256);
        assert_eq!(to_certificate(&der)[prefix..], *Sha256::digest(&der));
        let der = certificate(&rcgen::PKCS_ECDSA_P384_SHA384);
        assert_eq!(to_certificate(&der)[prefix..], *Sha384::digest(&der));
    }

    #[test]
    fn what_is_no_certificate_has_a_binding_too_and_no_panic() {
        let der = certificate(&rcgen::PKCS_ECDSA_P256_SHA256);
        for end in 0..der.len() {
            assert!(to_certificate(&der[..end]).len() > 32);
        }
        assert!(to_certificate(b"\x30\x84\xff\xff\xff\xff").len() > 32);
    }
}
