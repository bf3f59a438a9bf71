use super::*;
use crate::client::RequestStatus;
use crate::request::{RequestUuid, RowId, RunId, RunKey};

fn guid(byte: u8) -> Guid {
    Guid::from_bytes([byte; 16])
}

fn request() -> CreateRequest {
    CreateRequest { target: Some(guid(1)), template: Some(guid(2)), ..CreateRequest::new(RequestType::Enroll) }
}

fn tag() -> Tag {
    let key = RunKey::from_bytes([3; 32]);
    Tag::new(RunId::from_bytes([4; 16]), &key, RowId::new(1).unwrap(), request().fingerprint())
}

/// What the server has of the request, with its tag.
fn object() -> RequestObject {
    RequestObject {
        uuid: RequestUuid::new(guid(9)),
        request_type: Some(1),
        status: RequestStatus::Approved,
        target: request().target,
        template: request().template,
        originator: None,
        old_profile: None,
        new_profile: None,
        old_smartcard: None,
        new_smartcard: None,
        comment: tag().to_string(),
        submitted: None,
        completed: None,
        priority: None,
    }
}

#[test]
fn a_request_that_is_the_rows_has_nothing_to_say() {
    assert_eq!(check_person(&request(), Some(tag()), &object()), Ok(()));
}

#[test]
fn each_difference_is_named() {
    let found = RequestObject { comment: "cut \u{1b}".to_owned(), target: None, ..object() };
    let found = RequestObject { template: Some(guid(5)), old_profile: Some(guid(6)), request_type: Some(5), ..found };
    let sent = CreateRequest { profile: Some(guid(7)), smartcard: Some(guid(8)), ..request() };
    let differs = check_person(&sent, Some(tag()), &found).unwrap_err();
    let words: Vec<String> = differs.iter().map(ToString::to_string).collect();
    assert_eq!(words.len(), 5, "{words:?}");
    assert!(words[0].contains("cut \\u{1b}") && words[0].contains("[cmb:"), "{}", words[0]);
    assert!(words[1].starts_with("it has no target"), "{}", words[1]);
    assert!(words[2].contains("profiletemplateuuid") && words[2].contains(&guid(5).to_string()), "{}", words[2]);
    assert!(words[3].starts_with("its profile is"), "{}", words[3]);
    assert_eq!(words[4], "its type is number 5, and the row's is Enroll");
}

#[test]
fn a_number_is_compared_where_it_is_known_whose_it_is() {
    for (sent, found, expected) in [
        (RequestType::Enroll, 1, true),
        (RequestType::Enroll, 2, false),
        (RequestType::Unblock, 5, true),
        (RequestType::Renew, 3, true),
        (RequestType::Renew, 99, true),
        (RequestType::Renew, 6, false),
    ] {
        assert_eq!(type_may_be(sent, Some(found)), expected, "{sent} {found}");
    }
    assert!(type_may_be(RequestType::Enroll, None));
    let without_type = RequestObject { request_type: None, ..object() };
    let all = check_person(&request(), None, &without_type).unwrap_err();
    assert_eq!(all[0].to_string(), "its type cannot be read, and the row's is Enroll");
}
