use rcgen::{CertificateParams, KeyPair, PKCS_ECDSA_P256_SHA256, PKCS_ECDSA_P384_SHA384, PKCS_ED25519};
use rustls::crypto::WebPkiSupportedAlgorithms;
use rustls::pki_types::CertificateDer;
use tempfile::TempDir;

use super::*;
use crate::platform::set_mode;

/// A key of 2048 bits, made for these tests by `openssl genpkey -algorithm RSA`.
const RSA_KEY: &str = include_str!("rsa_key.pem");

fn certified(key: &KeyPair) -> CertificateDer<'static> {
    CertificateParams::new(vec!["cmbatch".to_owned()]).unwrap().self_signed(key).unwrap().der().clone()
}

fn written(certificate: &CertificateDer<'_>, key: &KeyPair) -> (TempDir, Identity) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("client.pem");
    let certificate = data_encoding::BASE64.encode(certificate);
    let pem = format!("-----BEGIN CERTIFICATE-----\n{certificate}\n-----END CERTIFICATE-----\n");
    std::fs::write(&path, pem + &key.serialize_pem()).unwrap();
    set_mode(&path, 0o600);
    (folder, Identity { certificate: path, key: None, password: None })
}

fn json_of(part: &str) -> serde_json::Value {
    serde_json::from_slice(&BASE64URL_NOPAD.decode(part.as_bytes()).unwrap()).unwrap()
}

/// Writes a number of 32 bytes as DER does.
fn integer(number: &[u8]) -> Vec<u8> {
    let bare: Vec<u8> = number.iter().copied().skip_while(|byte| *byte == 0).collect();
    let sign: &[u8] = if bare.first().is_none_or(|byte| *byte >= 0x80) { &[0] } else { &[] };
    [&[2, u8::try_from(sign.len() + bare.len()).unwrap()], sign, &bare].concat()
}

fn der(signature: &[u8]) -> Vec<u8> {
    let numbers = [integer(&signature[..32]), integer(&signature[32..])].concat();
    [&[0x30, u8::try_from(numbers.len()).unwrap()], numbers.as_slice()].concat()
}

/// Checks the signature with the certificate's public key, by a library that knows nothing of JWTs.
fn assert_signed(text: &str, signature: &[u8], certificate: &CertificateDer<'_>, scheme: SignatureScheme) {
    let algorithms: WebPkiSupportedAlgorithms =
        rustls::crypto::ring::default_provider().signature_verification_algorithms;
    let (_, parsed) = X509Certificate::from_der(certificate).unwrap();
    let key = &parsed.public_key().subject_public_key.data;
    let (_, by) = algorithms.mapping.iter().find(|(known, _)| *known == scheme).unwrap();
    assert!(by.iter().any(|by| by.verify_signature(key, text.as_bytes(), signature).is_ok()));
}

fn made(key: &KeyPair) -> (String, String, Vec<u8>, CertificateDer<'static>) {
    let certificate = certified(key);
    let (_folder, identity) = written(&certificate, key);
    let now = UNIX_EPOCH + Duration::from_secs(1_750_000_000);
    let id = Uuid::from_u128(7);
    let jwt = AssertionKey::read(&identity).unwrap().assertion("cm batch", "https://adfs.test/token", now, id).unwrap();
    let (text, signature) = jwt.rsplit_once('.').unwrap();
    let header = text.split_once('.').unwrap().0.to_owned();
    (header, text.to_owned(), BASE64URL_NOPAD.decode(signature.as_bytes()).unwrap(), certificate)
}

#[test]
fn an_assertion_says_who_to_whom_and_until_when_and_is_signed_with_rsa() {
    let (header, text, signature, certificate) = made(&KeyPair::from_pem(RSA_KEY).unwrap());
    assert_signed(&text, &signature, &certificate, SignatureScheme::RSA_PKCS1_SHA256);
    let encoded = |bytes: &[u8]| BASE64URL_NOPAD.encode(bytes);
    assert_eq!(
        json_of(&header),
        json!({
            "alg": "RS256",
            "typ": "JWT",
            "x5t": encoded(&Sha1::digest(&certificate)),
            "x5t#S256": encoded(&Sha256::digest(&certificate)),
        })
    );
    assert_eq!(
        json_of(text.split_once('.').unwrap().1),
        json!({
            "iss": "cm batch",
            "sub": "cm batch",
            "aud": "https://adfs.test/token",
            "jti": "00000000-0000-0000-0000-000000000007",
            "nbf": 1_750_000_000,
            "iat": 1_750_000_000,
            "exp": 1_750_000_300,
        })
    );
}

#[test]
fn a_p256_signature_has_64_bytes() {
    // One in 256 has a number that DER writes with fewer bytes.
    for _ in 0..40 {
        let (header, text, signature, certificate) = made(&KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256).unwrap());
        assert_eq!((&json_of(&header)["alg"], signature.len()), (&json!("ES256"), 64));
        assert_signed(&text, &der(&signature), &certificate, SignatureScheme::ECDSA_NISTP256_SHA256);
    }
}

#[test]
fn numbers_of_any_length_become_32_bytes_each() {
    let mut long = [0xff; 64];
    long[32..].fill(1);
    let mut short = [0; 64];
    short[31] = 7;
    short[63] = 0x80;
    for signature in [long, short] {
        assert_eq!(es256(&der(&signature)), Some(signature));
    }
    let good = der(&long);
    let too_long = [&[0x30, 38, 2, 33, 1], [7; 32].as_slice(), &[2, 1, 1]].concat();
    for wrong in [&[][..], &[0x30], &good[..good.len() - 1], &[good.clone(), vec![0]].concat(), &too_long] {
        assert_eq!(es256(wrong), None, "{wrong:?}");
    }
}

#[test]
fn what_cannot_sign_says_why() {
    let said = |certificate: &CertificateDer<'_>, key: &KeyPair| {
        let (_folder, identity) = written(certificate, key);
        AssertionKey::read(&identity).err().unwrap().to_string()
    };
    for kind in [&PKCS_ED25519, &PKCS_ECDSA_P384_SHA384] {
        let key = KeyPair::generate_for(kind).unwrap();
        let said = said(&certified(&key), &key);
        assert!(said.contains("client.pem\" has a key that cannot be used here") && said.contains("P-256"), "{said}");
    }
    let (key, other) = (KeyPair::generate().unwrap(), KeyPair::generate().unwrap());
    let not_together = said(&certified(&other), &key);
    assert!(not_together.contains("do not belong together; check --client-assertion-key"), "{not_together}");

    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("cert.pem");
    std::fs::write(&path, "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n").unwrap();
    set_mode(&path, 0o600);
    let no_key = AssertionKey::read(&Identity { certificate: path, key: None, password: None }).err().unwrap();
    assert!(no_key.to_string().contains("its own file with --client-assertion-key"), "{no_key}");
}

#[test]
fn a_certificate_that_ended_is_named_where_it_is_refused() {
    let key = KeyPair::generate().unwrap();
    let mut params = CertificateParams::new(vec!["cmbatch".to_owned()]).unwrap();
    params.not_after = rcgen::date_time_ymd(2021, 3, 4);
    let certificate = params.self_signed(&key).unwrap().der().clone();
    let (_folder, identity) = written(&certificate, &key);
    let read = AssertionKey::read(&identity).unwrap();
    let thumbprint = HEXUPPER.encode(&Sha1::digest(&certificate));
    let before = read.check(UNIX_EPOCH + Duration::from_secs(1_600_000_000));
    assert!(before.contains(&format!("(thumbprint {thumbprint}) is known there")), "{before}");
    let after = read.check(UNIX_EPOCH + Duration::from_secs(1_700_000_000));
    assert!(after.contains("ended on") && after.contains("2021"), "{after}");
}
