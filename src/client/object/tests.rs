use super::*;

/// The object of the *Get request* page, with made-up ids.
pub(super) const PUBLISHED: &str = r#"{"Uuid":"3f0c2a10-7b44-4f2e-9a51-0c6d1e2f3a01", "RequestType":1, "Status":3, "Flags":2,
 "DataCollection":[{"Name":"Sample item","Value":null}], "DataCollectionFlags":32,
 "OriginatorUserUuid":"5a1e0f77-2c3d-4b8a-8e10-9d0c7b6a5f02", "TargetUserUuid":"5a1e0f77-2c3d-4b8a-8e10-9d0c7b6a5f02",
 "Submitted":"2024-03-05T10:11:12.93Z", "Completed":"0001-01-01T00:00:00",
 "NewProfileUuid":"00000000-0000-0000-0000-000000000000", "OldProfileUuid":"00000000-0000-0000-0000-000000000000",
 "NewSmartcardUuid":"00000000-0000-0000-0000-000000000000", "OldSmartcardUuid":"00000000-0000-0000-0000-000000000000",
 "Priority":0, "Comment":"", "ProfileTemplateUuid":"c4d5e6f7-1029-4837-b6a5-564738291003",
 "SecurityDescriptor":"O:S-1-5-21-1-2-3-1104D:(A;;RC;;;WD)\u0000\u0000",
 "IsSmartcard":true, "IsEnrollmentAgent":false, "IsDataCollectionComplete":false}"#;

fn read(json: &str) -> RequestObject {
    RequestObject::from_json(json.as_bytes()).unwrap()
}

#[test]
fn the_published_object_is_read() {
    let object = read(PUBLISHED);
    assert_eq!(object.uuid.to_string(), "3f0c2a10-7b44-4f2e-9a51-0c6d1e2f3a01");
    assert_eq!((object.request_type, object.status, object.priority), (Some(1), RequestStatus::Approved, Some(0)));
    assert_eq!(object.target.unwrap().to_string(), "5a1e0f77-2c3d-4b8a-8e10-9d0c7b6a5f02");
    assert_eq!(object.originator, object.target);
    assert_eq!(object.template.unwrap().to_string(), "c4d5e6f7-1029-4837-b6a5-564738291003");
    assert_eq!((object.new_profile, object.old_profile), (None, None));
    assert_eq!((object.new_smartcard, object.old_smartcard), (None, None));
    assert_eq!(object.submitted.unwrap().to_string(), "2024-03-05T10:11:12.93Z");
    assert_eq!((object.completed, object.comment.as_str()), (None, ""));
    assert_eq!(RequestObject::from_json(format!("\u{feff}{PUBLISHED}").as_bytes()).unwrap(), object);
}

#[test]
fn names_are_taken_in_any_case_and_null_is_none() {
    let object = read(
        r#"{"uuid":"{3F0C2A10-7B44-4F2E-9A51-0C6D1E2F3A01}","REQUESTTYPE":5,"status":77,"comment":null,
            "OldSmartcardUuid":"71e2d3c4-b5a6-4978-8899-aabbccddee06","submitted":null,"targetuseruuid":null,"priority":null,
            "extra":{"deep":[1,{"Uuid":"x"}]}}"#,
    );
    assert_eq!(object.uuid.to_string(), "3f0c2a10-7b44-4f2e-9a51-0c6d1e2f3a01");
    assert_eq!((object.request_type, object.status), (Some(5), RequestStatus::Other(77)));
    assert_eq!(object.old_smartcard.unwrap().to_string(), "71e2d3c4-b5a6-4978-8899-aabbccddee06");
    assert_eq!((object.target, object.submitted, object.priority), (None, None, None));
    assert_eq!(object.comment, "");
}

#[test]
fn escapes_in_names_and_values_are_undone() {
    let object = read(
        r#"{"\u0055uid":"3f0c2a10-7b44-4f2e-9a51-0c6d1e2f3\u006101","RequestType":1,"Status":3,
            "Comment":"[cmb:x] \u00fc\n","Submitted":"2024-03-05T10:11:12\u002e93Z"}"#,
    );
    assert_eq!(object.uuid.to_string(), "3f0c2a10-7b44-4f2e-9a51-0c6d1e2f3a01");
    assert_eq!(object.comment, "[cmb:x] ü\n");
    assert_eq!(object.submitted.unwrap().to_string(), "2024-03-05T10:11:12.93Z");
}

const UUID: &str = r#""Uuid":"3f0c2a10-7b44-4f2e-9a51-0c6d1e2f3a01""#;

#[test]
fn an_odd_property_is_unknown_and_the_others_are_read() {
    let base = read(&format!("{{{UUID}}}"));
    assert_eq!((base.request_type, base.status, base.comment.as_str()), (None, RequestStatus::Unknown, ""));
    for odd in [
        r#""TargetUserUuid":"anna""#,
        r#""TargetUserUuid":"""#,
        r#""TargetUserUuid":{"Value":"5a1e0f77-2c3d-4b8a-8e10-9d0c7b6a5f02"}"#,
        r#""TargetUserUuid":"5a1e0f77-2c3d-4b8a-8e10-9d0c7b6a5f02","targetuseruuid":null"#,
        r#""ProfileTemplateUuid":7"#,
        r#""RequestType":"Enroll""#,
        r#""RequestType":1.5"#,
        r#""RequestType":18446744073709551615"#,
        r#""RequestType":1,"requesttype":1"#,
        r#""Status":"Approved""#,
        r#""Status":true"#,
        r#""Status":null"#,
        r#""status":[3]"#,
        r#""Submitted":"yesterday""#,
        r#""Submitted":1709633472930"#,
        r#""Priority":"high""#,
    ] {
        assert_eq!(read(&format!("{{{UUID},{odd}}}")), base, "{odd}");
    }
    let text = read(&format!(r#"{{{UUID},"RequestType":"5","Status":" 8 ","Priority":"0"}}"#));
    assert_eq!((text.request_type, text.status, text.priority), (Some(5), RequestStatus::Completed, Some(0)));
}

#[test]
fn without_uuid_or_comment_nobody_can_say_whose_it_is() {
    for (json, says) in [
        (r#"{"RequestType":1}"#.to_owned(), "it has no Uuid"),
        (r#"{"Uuid":null}"#.to_owned(), "it has no Uuid"),
        (r#"{"Uuid":"x"}"#.to_owned(), "its Uuid is no GUID"),
        (r#"{"Uuid":7}"#.to_owned(), "its Uuid is no text"),
        (r#"{"Uuid":"00000000-0000-0000-0000-000000000000"}"#.to_owned(), "its Uuid is zero"),
        (format!("{{{UUID},{UUID}}}"), "it has more than one Uuid"),
        (format!(r#"{{{UUID},"Comment":7}}"#), "its Comment is no text"),
        (format!(r#"{{{UUID},"Comment":["x"]}}"#), "its Comment is no text"),
        (format!(r#"{{{UUID},"Comment":"a","comment":"b"}}"#), "it has more than one Comment"),
        (format!(r#"{{{UUID},"Comment":"\ud83d"}}"#), "escape"),
        ("[]".to_owned(), "expected a request object"),
    ] {
        let fault = RequestObject::from_json(json.as_bytes()).unwrap_err();
        assert!(matches!(&fault, ObjectFault::Unread(reason) if reason.contains(says)), "{json}: {fault:?}");
    }
    for broken in ["", "{", "{]}", r#"{"Uuid"}"#, "{\"Comment\":\"\u{1}\"}"] {
        let fault = RequestObject::from_json(broken.as_bytes()).unwrap_err();
        assert!(matches!(fault, ObjectFault::NotJson(_)), "{broken}: {fault:?}");
    }
}

#[test]
fn dates_are_read_in_every_published_form() {
    let time = |text: &str| Some(text.parse::<Timestamp>().unwrap());
    for (text, expect) in [
        ("2024-03-05T10:11:12.93Z", time("2024-03-05T10:11:12.930Z")),
        ("2024-03-05T10:11:12.935Z", time("2024-03-05T10:11:12.935Z")),
        ("2024-03-05T10:11:12Z", time("2024-03-05T10:11:12Z")),
        ("2024-03-05T10:11:12.1234567Z", time("2024-03-05T10:11:12.1234567Z")),
        ("2024-03-05T10:11:12", time("2024-03-05T10:11:12Z")),
        ("2024-03-05T11:11:12.5+01:00", time("2024-03-05T10:11:12.5Z")),
        ("0001-01-01T00:00:00", None),
        ("0001-01-01T00:00:00Z", None),
        ("0001-01-01T00:00:00.000", None),
        ("/Date(1709633472930)/", time("2024-03-05T10:11:12.93Z")),
        ("/Date(1709633472930+0100)/", time("2024-03-05T10:11:12.93Z")),
        ("/Date(-62135596800000)/", None),
        ("/Date(-86400000-0500)/", time("1969-12-31T00:00:00Z")),
        ("/Date()/", None),
        ("", None),
        ("2024-13-05T10:11:12Z", None),
        ("1709633472", None),
    ] {
        assert_eq!(date(text), expect, "{text}");
    }
}

#[test]
fn a_status_that_no_page_names_keeps_its_number() {
    assert_eq!(RequestStatus::from_number(18), RequestStatus::Executing);
    assert_eq!(RequestStatus::from_number(99).to_string(), "status 99");
    assert_eq!(format!("{:>9}", RequestStatus::Completed), "Completed");
}
