//! Against the Windows, or the Wine, that runs them.

use windows_sys::Win32::Foundation::SEC_E_INVALID_TOKEN;

use super::exchange::{channel_bindings, service_name};
use super::*;

/// The challenge of MS-NLMP 4.2.4: NTLMv2, from the server `Server` of the domain `Domain`.
const CHALLENGE: &[u8] = b"NTLMSSP\0\x02\0\0\0\x0c\0\x0c\0\x38\0\0\0\x33\x82\x8a\xe2\x01\x23\x45\x67\x89\xab\xcd\xef\
    \0\0\0\0\0\0\0\0\x24\0\x24\0\x44\0\0\0\x06\0\x70\x17\0\0\0\x0f\
    S\0e\0r\0v\0e\0r\0\x02\0\x0c\0D\0o\0m\0a\0i\0n\0\x01\0\x0c\0S\0e\0r\0v\0e\0r\0\0\0\0\0";
const ACCOUNT: Account<'static> =
    Account { user: "User", domain: Some("DOMAIN"), password: "Pa\u{df}w\u{f6}rd \u{1f511}" };
const BINDING: &[u8] = b"tls-server-end-point:0123456789abcdef0123456789abcdef";

const fn is_send_and_sync<T: Send + Sync>() {}
const _: () = is_send_and_sync::<Credentials>();
const _: () = is_send_and_sync::<Exchange>();

/// Reads where a message of NTLM has a field, and gives the field.
fn field(message: &[u8], at: usize) -> &[u8] {
    let length = usize::from(u16::from_le_bytes([message[at], message[at + 1]]));
    let offset = usize::from(u16::from_le_bytes([message[at + 4], message[at + 5]]));
    &message[offset..offset + length]
}

fn utf16(text: &str) -> Vec<u8> {
    text.encode_utf16().flat_map(u16::to_le_bytes).collect()
}

#[test]
fn ntlm_with_an_account_answers_a_challenge() {
    let credentials = Credentials::acquire(Package::Ntlm, Some(ACCOUNT)).unwrap();
    assert!(credentials.principal.contains("User"), "{}", credentials.principal);
    let mut exchange = Exchange::new();
    // Bound in the last step alone, which is where NTLM looks at it: Wine takes no binding in a first step.
    let first = exchange.step(&credentials, "HTTP@server", None, &[]).unwrap();
    assert!(first.token.starts_with(b"NTLMSSP\0\x01\0\0\0") && !first.is_complete, "{first:?}");
    let last = exchange.step(&credentials, "HTTP@server", Some(BINDING), CHALLENGE).unwrap();
    assert!(last.token.starts_with(b"NTLMSSP\0\x03\0\0\0") && last.is_complete, "{last:?}");
    assert_eq!(field(&last.token, 28), utf16("DOMAIN"));
    assert_eq!(field(&last.token, 36), utf16("User"));
    assert!(!last.is_mutual);
    assert!(exchange.step(&credentials, "HTTP@server", None, CHALLENGE).is_err());
}

#[test]
fn an_answer_that_is_no_token_ends_the_exchange() {
    let credentials = Credentials::acquire(Package::Ntlm, Some(ACCOUNT)).unwrap();
    for answer in [&b""[..], b"nonsense"] {
        let mut exchange = Exchange::new();
        exchange.step(&credentials, "HTTP/server", None, &[]).unwrap();
        let error = exchange.step(&credentials, "HTTP/server", None, answer).unwrap_err();
        assert_eq!(error.status(), SEC_E_INVALID_TOKEN, "{error}");
        assert!(exchange.step(&credentials, "HTTP/server", None, CHALLENGE).is_err());
    }
}

#[test]
fn negotiate_with_an_account_makes_a_token() {
    let credentials = Credentials::acquire(Package::Negotiate, Some(ACCOUNT)).unwrap();
    let step = Exchange::new().step(&credentials, "HTTP/server", None, &[]).unwrap();
    assert!(!step.token.is_empty() && !step.is_complete, "{step:?}");
}

#[test]
fn bindings_are_eight_numbers_and_what_is_bound_to() {
    let words = channel_bindings(b"tls-unique:ab");
    assert_eq!(words[..8], [0, 0, 0, 0, 0, 0, 13, 32]);
    let bytes: Vec<u8> = words[8..].iter().flat_map(|word| word.to_ne_bytes()).collect();
    assert_eq!(bytes, b"tls-unique:ab\0\0\0");
}

#[test]
fn services_are_named_as_windows_names_them() {
    for (text, name) in [
        ("HTTP@cm.contoso.test", "HTTP/cm.contoso.test"),
        ("HTTP/cm.contoso.test", "HTTP/cm.contoso.test"),
        ("HTTP/cm.contoso.test@CONTOSO.TEST", "HTTP/cm.contoso.test@CONTOSO.TEST"),
        ("svc-web", "svc-web"),
    ] {
        assert_eq!(service_name(text), name);
    }
}

#[test]
fn a_zero_byte_is_refused_and_no_password_is_shown() {
    let account = Account { password: "se\0cret", ..ACCOUNT };
    let error = Credentials::acquire(Package::Ntlm, Some(account)).unwrap_err();
    assert_eq!(error.to_string(), "the password has a zero byte in it");
    assert!(!format!("{account:?}").contains("cret"));
}
