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
    assert_eq!((object.request_type, object.status, object.priority), (1, RequestStatus::Approved, Some(0)));
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
    assert_eq!((object.request_type, object.status), (5, RequestStatus::Other(77)));
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

#[test]
fn another_shape_is_an_error_that_names_the_property() {
    let with = |property: &str| {
        let json =
            format!(r#"{{"Uuid":"3f0c2a10-7b44-4f2e-9a51-0c6d1e2f3a01","RequestType":1,"Status":3,{property}}}"#);
        RequestObject::from_json(json.as_bytes()).unwrap_err().to_string()
    };
    assert!(with(r#""TargetUserUuid":"anna""#).contains("expected a GUID"));
    assert!(with(r#""TargetUserUuid":"""#).contains("expected a GUID"));
    assert!(with(r#""Submitted":"yesterday""#).contains("expected a date"));
    assert!(with(r#""Submitted":"/Date(1709633472930)/""#).contains("expected a date"));
    assert!(with(r#""Comment":7"#).contains("expected a string"));
    assert!(with(r#""status":4"#).contains("duplicate field `Status`"));
    for (json, missing) in [
        (r#"{"RequestType":1,"Status":3}"#, "Uuid"),
        (r#"{"Uuid":"3f0c2a10-7b44-4f2e-9a51-0c6d1e2f3a01","Status":3}"#, "RequestType"),
        (r#"{"Uuid":"3f0c2a10-7b44-4f2e-9a51-0c6d1e2f3a01","RequestType":1}"#, "Status"),
        (r#"{"Uuid":"00000000-0000-0000-0000-000000000000","RequestType":1,"Status":3}"#, "Uuid is zero"),
        ("[]", "expected a request object"),
        ("", "EOF"),
    ] {
        let error = RequestObject::from_json(json.as_bytes()).unwrap_err().to_string();
        assert!(error.contains(missing), "{json}: {error}");
    }
}

#[test]
fn dates_are_read_in_every_published_form() {
    let time = |text: &str| Some(Some(text.parse::<Timestamp>().unwrap()));
    for (text, expect) in [
        ("2024-03-05T10:11:12.93Z", time("2024-03-05T10:11:12.930Z")),
        ("2024-03-05T10:11:12.935Z", time("2024-03-05T10:11:12.935Z")),
        ("2024-03-05T10:11:12Z", time("2024-03-05T10:11:12Z")),
        ("2024-03-05T10:11:12.1234567Z", time("2024-03-05T10:11:12.1234567Z")),
        ("2024-03-05T10:11:12", time("2024-03-05T10:11:12Z")),
        ("2024-03-05T11:11:12.5+01:00", time("2024-03-05T10:11:12.5Z")),
        ("0001-01-01T00:00:00", Some(None)),
        ("0001-01-01T00:00:00Z", Some(None)),
        ("0001-01-01T00:00:00.000", Some(None)),
        ("", None),
        ("2024-13-05T10:11:12Z", None),
        ("1709633472", None),
    ] {
        assert_eq!(date_or_never(text), expect, "{text}");
    }
}

#[test]
fn every_status_keeps_its_number() {
    for number in -1..30 {
        let status = RequestStatus::from_number(number);
        assert_eq!(status.number(), number);
        assert!(!status.to_string().is_empty());
    }
    assert_eq!(RequestStatus::from_number(99).to_string(), "status 99");
    assert_eq!(format!("{:>9}", RequestStatus::Completed), "Completed");
}
