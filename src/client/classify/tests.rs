use bytes::Bytes;
use proptest::prelude::*;

use super::*;

const A: &str = "a9b4b42c-cc50-4c9b-89d1-bbc0bcd5a099";
const B: &str = "0c96d73f-967b-420e-854a-43ad2a1504bc";

/// What the row's next state is, with the code that says why.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Created,
    Pending(ErrorCode),
    Failed(ErrorCode),
    InDoubt(ErrorCode),
}

fn state(outcome: &Outcome) -> State {
    match outcome {
        Outcome::Created(_) => State::Created,
        Outcome::Pending(fault) => State::Pending(fault.code),
        Outcome::Failed(fault) => State::Failed(fault.code),
        Outcome::InDoubt(fault) => State::InDoubt(fault.code),
    }
}

fn http(status: u16, location: Option<&str>, body: &str) -> Answer {
    Answer::Http(HttpAnswer {
        status,
        location: location.map(str::to_owned),
        retry_after: None,
        date: None,
        advice: None,
        body: Bytes::from(body.to_owned()),
    })
}

/// Section "What an answer means" of the design, row by row; 503 as it is by default.
#[test]
fn every_row_of_the_table_has_its_state() {
    use ErrorCode as Code;
    let quoted = format!("\"api/v1.0/requests/{A}\"");
    let location = format!("/CertificateManagement/api/v1.0/requests/{A}");
    let none = |fault| Answer::None { fault, message: "said".into() };
    let table = [
        ("201 and a URI in the body", http(201, None, &quoted), State::Created),
        ("201 and a URI in Location", http(201, Some(&location), ""), State::Created),
        ("201 and no usable URI", http(201, None, ""), State::InDoubt(Code::NoUri)),
        ("refused", none(TransportFault::ConnectionRefused), State::Pending(Code::ConnectionRefused)),
        ("DNS", none(TransportFault::NameNotResolved), State::Pending(Code::NameNotResolved)),
        ("TLS", none(TransportFault::TlsFailed), State::Pending(Code::TlsFailed)),
        ("nothing sent", none(TransportFault::NotConnected), State::Pending(Code::NotConnected)),
        ("too late", none(TransportFault::TooLate), State::Pending(Code::Expired)),
        ("429", http(429, None, ""), State::Pending(Code::Throttled)),
        ("503", http(503, None, ""), State::InDoubt(Code::Unavailable)),
        ("401", http(401, None, ""), State::Pending(Code::NotSignedIn)),
        ("404", http(404, None, ""), State::Failed(Code::Refused)),
        ("404 of the API", http(404, None, r#"{"Message":"User not found"}"#), State::Failed(Code::Refused)),
        ("404, a page", http(404, None, "<html><h1>404</h1></html>"), State::Pending(Code::ApiNotFound)),
        (
            "404, no route",
            http(404, None, r#"{"Message":"No HTTP resource was found that matches the request URI 'x'."}"#),
            State::Pending(Code::ApiNotFound),
        ),
        ("400", http(400, None, ""), State::Failed(Code::BadRequest)),
        ("403", http(403, None, ""), State::Failed(Code::Forbidden)),
        ("402", http(402, None, ""), State::Failed(Code::Refused)),
        ("405", http(405, None, ""), State::Failed(Code::Refused)),
        ("409", http(409, None, ""), State::Failed(Code::Refused)),
        ("415", http(415, None, ""), State::Failed(Code::Refused)),
        ("425", http(425, None, ""), State::Failed(Code::Refused)),
        ("498", http(498, None, ""), State::Failed(Code::Refused)),
        ("407, of a proxy that sent nothing on", http(407, None, ""), State::Pending(Code::NotConnected)),
        ("408, of a gateway", http(408, None, ""), State::InDoubt(Code::UnexpectedStatus)),
        ("499, of a gateway", http(499, None, ""), State::InDoubt(Code::UnexpectedStatus)),
        ("500", http(500, None, ""), State::InDoubt(Code::ServerError)),
        ("502", http(502, None, ""), State::InDoubt(Code::BadGateway)),
        ("504", http(504, None, ""), State::InDoubt(Code::GatewayTimeout)),
        ("time-out", none(TransportFault::Timeout), State::InDoubt(Code::Timeout)),
        ("lost", none(TransportFault::ConnectionLost), State::InDoubt(Code::ConnectionLost)),
        ("truncated", none(TransportFault::AnswerBroken { status: 201 }), State::InDoubt(Code::AnswerBroken)),
        ("200", http(200, None, &quoted), State::InDoubt(Code::UnexpectedStatus)),
        ("202", http(202, Some(&location), &quoted), State::InDoubt(Code::UnexpectedStatus)),
        ("204", http(204, None, ""), State::InDoubt(Code::UnexpectedStatus)),
        ("302", http(302, Some(&location), ""), State::InDoubt(Code::UnexpectedStatus)),
        ("101", http(101, None, ""), State::InDoubt(Code::UnexpectedStatus)),
        ("501", http(501, None, ""), State::InDoubt(Code::UnexpectedStatus)),
        ("999", http(999, None, ""), State::InDoubt(Code::UnexpectedStatus)),
    ];
    for (row, answer, expect) in table {
        assert_eq!(state(&classify(&answer, On503::InDoubt)), expect, "{row}");
    }
}

#[test]
fn the_option_for_503_changes_503_alone() {
    assert_eq!(state(&classify(&http(503, None, ""), On503::NotActedOn)), State::Pending(ErrorCode::Unavailable));
    for status in (100..=999).filter(|status| *status != 503) {
        let answer = http(status, None, "");
        assert_eq!(classify(&answer, On503::NotActedOn), classify(&answer, On503::InDoubt), "{status}");
    }
}

#[test]
fn the_uri_is_taken_in_every_string_form_and_in_no_other() {
    for body in [
        format!("\"api/v1.0/requests/{A}\""),
        format!("\u{feff} \"/CertificateManagement/api/v1.0/requests/{A}\"\r\n"),
        format!("\" api\\/v1.0\\/requests\\/{A} \""),
        format!("https://cm.contoso.test/CertificateManagement/api/v1.0/requests/{A}\n"),
        format!("\"{A}\""),
    ] {
        match classify(&http(201, None, &body), On503::InDoubt) {
            Outcome::Created(uri) => assert_eq!(uri.uuid().to_string(), A, "{body}"),
            other => panic!("{body}: {other:?}"),
        }
    }
    for body in [
        format!("{{\"Uri\":\"api/v1.0/requests/{A}\"}}"),
        format!("[\"api/v1.0/requests/{A}\"]"),
        format!("\"api/v1.0/requests/{A}"),
        format!("\"api/v1.0/requests/{A}?x=1\""),
        format!("see api/v1.0/requests/{A}"),
        "\"api/v1.0/requests/00000000-0000-0000-0000-000000000000\"".to_owned(),
        "null".to_owned(),
        "<html>".to_owned(),
    ] {
        let outcome = classify(&http(201, None, &body), On503::InDoubt);
        assert_eq!(state(&outcome), State::InDoubt(ErrorCode::NoUri), "{body}");
    }
}

#[test]
fn body_and_location_must_name_the_same_request() {
    let body = format!("\"api/v1.0/requests/{A}\"");
    let same = format!("https://cm.contoso.test/CertificateManagement/api/v1.0/requests/{}", A.to_uppercase());
    match classify(&http(201, Some(&same), &body), On503::InDoubt) {
        Outcome::Created(uri) => assert_eq!(uri.as_str(), format!("api/v1.0/requests/{A}")),
        other => panic!("{other:?}"),
    }
    let other = format!("api/v1.0/requests/{B}");
    let outcome = classify(&http(201, Some(&other), &body), On503::InDoubt);
    assert_eq!(state(&outcome), State::InDoubt(ErrorCode::NoUri));
    let message = &outcome.fault().unwrap().message;
    assert!(message.contains(A) && message.contains(B), "{message}");
    // What cannot be read does not contradict.
    assert_eq!(state(&classify(&http(201, Some("/elsewhere"), &body), On503::InDoubt)), State::Created);
    assert_eq!(state(&classify(&http(201, Some(&other), "garbage"), On503::InDoubt)), State::Created);
}

#[test]
fn a_fault_says_what_the_server_said() {
    let body = format!("{{\"Message\":\"An error has occurred. Correlation ID: {A}\"}}");
    let outcome = classify(&http(500, None, &body), On503::InDoubt);
    let fault = outcome.fault().unwrap();
    assert_eq!(fault.http_status, Some(500));
    assert_eq!(fault.message, format!("An error has occurred. Correlation ID: {A}"));
    assert_eq!(fault.correlation_id.as_ref().unwrap().as_str(), A);

    let silent = classify(&http(403, None, " "), On503::InDoubt);
    assert_eq!(silent.fault().unwrap().message, "403 Forbidden");
    let strange = classify(&http(999, None, ""), On503::InDoubt);
    assert_eq!(strange.fault().unwrap().message, "999");

    let broken = Answer::None { fault: TransportFault::AnswerBroken { status: 500 }, message: "cut".into() };
    let outcome = classify(&broken, On503::InDoubt);
    assert_eq!((outcome.fault().unwrap().http_status, outcome.fault().unwrap().message.as_str()), (Some(500), "cut"));
}

fn arb_body() -> impl Strategy<Value = Vec<u8>> {
    let piece = prop_oneof![
        Just(A.as_bytes().to_vec()),
        Just(B.as_bytes().to_vec()),
        Just(b"\"".to_vec()),
        Just(b"api/v1.0/requests/".to_vec()),
        Just(b"{\"Message\":".to_vec()),
        Just(b"<title>".to_vec()),
        Just(b"</title>".to_vec()),
        Just(b"Correlation ID: ".to_vec()),
        Just("\u{feff}ü".as_bytes().to_vec()),
        proptest::collection::vec(any::<u8>(), 0..40),
        Just(vec![b'x'; 5000]),
    ];
    proptest::collection::vec(piece, 0..8).prop_map(|pieces| pieces.concat())
}

proptest! {
    #[test]
    fn every_answer_has_a_meaning_and_only_201_is_created(
        status in any::<u16>(),
        location in proptest::option::of("(?s).{0,60}"),
        body in arb_body(),
        not_acted_on in any::<bool>(),
    ) {
        let on_503 = if not_acted_on { On503::NotActedOn } else { On503::InDoubt };
        let answer = Answer::Http(HttpAnswer { status, location, retry_after: None, date: None, advice: None, body: body.into() });
        let outcome = classify(&answer, on_503);
        match &outcome {
            Outcome::Created(_) => prop_assert_eq!(status, 201),
            Outcome::Failed(_) => prop_assert!((400..500).contains(&status)),
            Outcome::Pending(_) => prop_assert!([401, 404, 407, 429, 503].contains(&status)),
            Outcome::InDoubt(_) => {}
        }
        if let Some(fault) = outcome.fault() {
            prop_assert!(fault.message.len() <= message::MAX_BYTES && !fault.message.is_empty());
            prop_assert_eq!(fault.http_status, Some(status));
        }
    }
}
