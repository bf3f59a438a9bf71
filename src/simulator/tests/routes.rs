//! The shape of every route, against the published pages.

use std::time::Duration;

use serde_json::{Value, json};

use super::*;
use crate::request::{CreateRequest, Guid, RequestType, RequestUuid};
use crate::simulator::{Life, RequestStatus, SeededRequest};

const ZERO: &str = "00000000-0000-0000-0000-000000000000";
const CALLER: &str = "5a1e0f77-2c3d-4b8a-8e10-9d0c7b6a5f02";

fn get(simulator: &Simulator, rest: &str) -> Answer {
    Raw::connect(simulator).get(rest).unwrap()
}

/// The names of an object's properties, in the order in which they were sent.
fn keys(body: &str) -> Vec<String> {
    let mut keys = Vec::new();
    let mut depth = 0;
    let mut rest = body;
    while let Some(at) = rest.find(['{', '}', '[', ']', '"']) {
        let (symbol, behind) = (rest.as_bytes()[at], &rest[at + 1..]);
        rest = behind;
        match symbol {
            b'{' | b'[' => depth += 1,
            b'}' | b']' => depth -= 1,
            _ => {
                let end = rest.find('"').unwrap();
                let text = &rest[..end];
                rest = &rest[end + 1..];
                if depth == 1 && rest.starts_with(':') {
                    keys.push(text.to_owned());
                }
            }
        }
    }
    keys
}

#[test]
fn a_created_request_answers_a_json_string_and_nothing_else() {
    let simulator = start(quick());
    let body = r#"{"datacollection":"[]","type":"Enroll","profiletemplateuuid":"a039b4d0-5ce8-4eff-8651-181c6576fda3","comment":""}"#;
    let answer = Raw::connect(&simulator).post(body).unwrap();
    assert_eq!(answer.status, 201);
    assert!(answer.body.starts_with("\"api/v1.0/requests/") && answer.body.ends_with('"'), "{}", answer.body);
    assert_eq!(answer.header("content-type"), Some("application/json"));
    assert_eq!(answer.header("content-length"), Some(answer.body.len().to_string().as_str()));
    for absent in ["location", "etag", "retry-after", "set-cookie"] {
        assert_eq!(answer.header(absent), None);
    }
    let stored = simulator.requests();
    assert_eq!(stored.len(), 1);
    assert_eq!(stored[0].uuid.to_string(), answer.uuid());
    assert_eq!((stored[0].kind, stored[0].status), (RequestType::Enroll, RequestStatus::Approved));
    simulator.stop();
}

#[test]
fn a_request_has_the_published_properties_in_their_order() {
    let simulator = start(quick());
    let body = r#"{"profiletemplateuuid":"A039B4D0-5CE8-4EFF-8651-181C6576FDA3","datacollection":[{"name":"pavle"},{"city":null}],
        "target":"97CC3493-F556-4C9B-9D8B-982434201527","type":"Enroll","comment":"LALALALA","priority":"4","surprise":1}"#;
    let uuid = Raw::connect(&simulator).post(body).unwrap().uuid();
    let answer = get(&simulator, &format!("/requests/{uuid}"));
    assert_eq!(answer.status, 200);
    let names = "Uuid RequestType Status Flags DataCollection DataCollectionFlags OriginatorUserUuid TargetUserUuid \
        Submitted Completed NewProfileUuid OldProfileUuid NewSmartcardUuid OldSmartcardUuid Priority Comment \
        ProfileTemplateUuid SecurityDescriptor IsSmartcard IsEnrollmentAgent IsDataCollectionComplete";
    assert_eq!(keys(&answer.body), names.split_whitespace().collect::<Vec<_>>());

    let mut object = answer.json();
    let submitted = object["Submitted"].take();
    let submitted: jiff::Timestamp = submitted.as_str().unwrap().parse().unwrap();
    let away = submitted.duration_since(jiff::Timestamp::now()).abs();
    assert!(away < jiff::SignedDuration::from_secs(60), "{submitted}");
    let descriptor = object["SecurityDescriptor"].take();
    let bare = descriptor.as_str().unwrap().trim_end_matches('\0');
    assert!(bare.len() < descriptor.as_str().unwrap().len() && bare.ends_with("(A;;RC;;;WD)"), "{descriptor}");
    assert_eq!(
        object,
        json!({
            "Uuid": uuid, "RequestType": 1, "Status": 3, "Flags": 2,
            "DataCollection": [{"Name": "name", "Value": "pavle"}, {"Name": "city", "Value": null}],
            "DataCollectionFlags": 32, "OriginatorUserUuid": CALLER,
            "TargetUserUuid": "97cc3493-f556-4c9b-9d8b-982434201527", "Submitted": null,
            "Completed": "0001-01-01T00:00:00", "NewProfileUuid": ZERO, "OldProfileUuid": ZERO,
            "NewSmartcardUuid": ZERO, "OldSmartcardUuid": ZERO, "Priority": 4, "Comment": "LALALALA",
            "ProfileTemplateUuid": "a039b4d0-5ce8-4eff-8651-181c6576fda3", "SecurityDescriptor": null,
            "IsSmartcard": true, "IsEnrollmentAgent": false, "IsDataCollectionComplete": false
        })
    );
    assert_eq!(simulator.requests()[0].extra["surprise"], 1);
}

#[test]
fn an_unblock_names_its_card_twice_and_a_missing_target_is_the_caller() {
    let simulator = start(quick());
    let body =
        r#"{"datacollection":"[]","type":"Unblock","smartcard":"17cf063d-e337-4aa9-a822-346554ddd3c9","comment":""}"#;
    let uuid = Raw::connect(&simulator).post(body).unwrap().uuid();
    let object = get(&simulator, &format!("/requests/{}", uuid.to_uppercase())).json();
    assert_eq!((&object["RequestType"], &object["IsSmartcard"]), (&json!(5), &json!(true)));
    assert_eq!(object["TargetUserUuid"], CALLER);
    assert_eq!(object["OldSmartcardUuid"], "17cf063d-e337-4aa9-a822-346554ddd3c9");
    assert_eq!(object["NewSmartcardUuid"], object["OldSmartcardUuid"]);
    assert_eq!(object["NewProfileUuid"], object["OldProfileUuid"]);
    assert_ne!(object["OldProfileUuid"], ZERO);
    assert_eq!(object["ProfileTemplateUuid"], ZERO);
}

#[test]
fn equal_requests_are_two_requests() {
    let simulator = start(quick());
    assert_ne!(create(&simulator, "x").uuid(), create(&simulator, "x").uuid());
    assert_eq!(simulator.requests().len(), 2);
}

#[test]
fn what_does_not_exist_is_204_and_what_cannot_be_asked_is_500() {
    let simulator = start(quick());
    let unknown = Guid::from_bytes([9; 16]);
    let mut raw = Raw::connect(&simulator);
    for rest in ["/requests", &format!("/requests/{unknown}"), &format!("/profiletemplates/{unknown}")] {
        let answer = raw.get(rest).unwrap();
        assert_eq!((answer.status, answer.body.as_str()), (204, ""), "{rest}");
        assert_eq!(answer.header("content-type"), None);
    }
    for rest in [
        "/requests/17",
        "/requests?status=Surprise",
        "/requests?targetuser=someone",
        "/profiletemplates?targetuser=someone",
    ] {
        let answer = raw.get(rest).unwrap();
        assert_eq!(answer.status, 500, "{rest}");
        let json = answer.json();
        let message = json["Message"].as_str().unwrap();
        let id: Guid = message.rsplit(' ').next().unwrap().parse().unwrap();
        assert!(message.contains("Correlation id: ") && !id.is_zero(), "{message}");
    }
    let bad = raw.post(r#"{"type":"Enrol"}"#).unwrap();
    assert_eq!(bad.status, 500);
    assert!(bad.body.contains("the request type 'Enrol' does not exist"), "{}", bad.body);
    let on_software = r#"{"type":"Unblock","comment":"","datacollection":[],"profiletemplateuuid":"97CD65FA-AF4B-4587-9309-0DD6BFD8B4E1"}"#;
    assert_eq!(raw.post(on_software).unwrap().status, 500);
    assert_eq!(raw.get("/certificates").unwrap().status, 404);
    assert_eq!(raw.call("DELETE", &path("/requests"), "", "").unwrap().status, 405);
    assert_eq!(raw.call("GET", "/api/v1.0/requests", "", "").unwrap().status, 404);
    assert!(simulator.requests().is_empty());
}

#[test]
fn the_list_is_filtered_by_status_and_target() {
    let simulator = start(quick());
    let mut raw = Raw::connect(&simulator);
    raw.post(&enroll("own")).unwrap();
    raw.post(&revoke(3)).unwrap();
    let comments = |answer: Answer| -> Vec<(Value, Value)> {
        let list = answer.json();
        list.as_array().unwrap().iter().map(|one| (one["RequestType"].clone(), one["Status"].clone())).collect()
    };
    let (own, other) = ((json!(1), json!(3)), (json!(4), json!(3)));
    assert_eq!(comments(raw.get("/requests").unwrap()), [own.clone(), other.clone()]);
    assert_eq!(comments(raw.get("/requests?targetuser=current&status=Approved").unwrap()), [own]);
    assert_eq!(comments(raw.get("/requests?Status=approved").unwrap()).len(), 2);
    for empty in ["/requests?status=Pending", "/requests?status=None", "/requests?targetuser=current&status=Failed"] {
        assert_eq!(raw.get(empty).unwrap().status, 204, "{empty}");
    }
}

#[test]
fn a_long_list_is_sent_in_parts_and_every_request_stands_in_it_once() {
    let seed = |number: u16| {
        let mut bytes = [7; 16];
        bytes[..2].copy_from_slice(&number.to_be_bytes());
        SeededRequest {
            uuid: RequestUuid::new(Guid::from_bytes(bytes)),
            request: CreateRequest::new(RequestType::Revoke),
            comment: format!("[cmb:{number}]"),
            submitted: Some("2024-03-05T10:11:12.93Z".parse().unwrap()),
        }
    };
    let seeded: Vec<_> = (0..5_000).map(seed).collect();
    let simulator = Simulator::start(quick(), loopback(), seeded).unwrap();
    let answer = get(&simulator, "/requests");
    assert_eq!(answer.header("transfer-encoding"), Some("chunked"));
    let list = answer.json();
    let list = list.as_array().unwrap();
    assert_eq!(list.len(), 5_000);
    for (number, object) in list.iter().enumerate() {
        assert_eq!(object["Comment"], format!("[cmb:{number}]"));
        assert_eq!(object["Submitted"], "2024-03-05T10:11:12.93Z");
    }
    let one = get(&simulator, &format!("/requests/{}", list[17]["Uuid"].as_str().unwrap()));
    assert_eq!(one.json(), list[17]);
}

#[test]
fn a_client_completes_cancels_and_abandons() {
    let simulator = start(quick());
    let mut raw = Raw::connect(&simulator);
    for (name, status, stored) in [
        ("Completed", 8, RequestStatus::Completed),
        ("Canceled", 17, RequestStatus::Canceled),
        ("Abandoned", 9, RequestStatus::Failed),
    ] {
        let uuid = raw.post(&enroll("x")).unwrap().uuid();
        let rest = format!("/requests/{uuid}");
        let object = raw.put(&rest, &format!(r#"{{"status":"{name}"}}"#)).unwrap().json();
        assert_eq!((&object["Uuid"], &object["Status"]), (&json!(uuid), &json!(status)));
        let is_completed = stored == RequestStatus::Completed;
        assert_eq!(object["Completed"].as_str().unwrap().ends_with('Z'), is_completed);
        assert_eq!(object["NewProfileUuid"] != ZERO, is_completed);
        assert_eq!(object["OldProfileUuid"], ZERO);
        assert_eq!(raw.get(&rest).unwrap().json(), object);
        // It has ended, and is not changed any more.
        assert_eq!(raw.put(&rest, r#"{"status":"Canceled"}"#).unwrap().status, 500);
        assert_eq!(simulator.requests().last().unwrap().status, stored);
    }
    let rest = format!("/requests/{}", simulator.requests()[0].uuid);
    for bad in ["", "{}", r#"{"status":"Approved"}"#, r#"{"status":8}"#] {
        assert_eq!(raw.put(&rest, bad).unwrap().status, 500, "{bad}");
    }
    let unknown = format!("/requests/{}", Guid::from_bytes([9; 16]));
    assert_eq!(raw.put(&unknown, r#"{"status":"Completed"}"#).unwrap().status, 204);
}

#[test]
fn a_slow_life_begins_pending() {
    let life = Life { approve_after: Duration::from_secs(3600), complete_after: Some(Duration::from_secs(1)) };
    let simulator = start(Script { life, ..quick() });
    let mut raw = Raw::connect(&simulator);
    let uuid = raw.post(&enroll("x")).unwrap().uuid();
    assert_eq!(raw.get(&format!("/requests/{uuid}")).unwrap().json()["Status"], 16);
    assert_eq!(raw.get("/requests?targetuser=current&status=Pending").unwrap().json()[0]["Uuid"], uuid);
    let policy = "/profiletemplates/97CD65FA-AF4B-4587-9309-0DD6BFD8B4E1/policies/enroll";
    assert_eq!(raw.get(policy).unwrap().json()["ApprovalsNeeded"], 1);
    assert_eq!(raw.put(&format!("/requests/{uuid}"), r#"{"status":"Completed"}"#).unwrap().status, 500);
}

#[test]
fn templates_and_policies_have_their_published_properties() {
    let simulator = start(quick());
    let mut raw = Raw::connect(&simulator);
    let list = raw.get("/profiletemplates?targetuser=current").unwrap().json();
    assert_eq!(list.as_array().unwrap().len(), 3);
    let one = raw.get("/profiletemplates/97cd65fa-af4b-4587-9309-0dd6bfd8b4e1").unwrap();
    let names = ["Name", "Description", "Uuid", "IsSmartcardProfileTemplate", "IsVirtualSmartcardProfileTemplate"];
    assert_eq!(keys(&one.body), names);
    assert_eq!(one.json(), list[1]);
    assert_eq!(
        (&list[0][names[3]], &list[1][names[3]], &list[2][names[4]]),
        (&json!(true), &json!(false), &json!(true))
    );

    let base = "/profiletemplates/97cd65fa-af4b-4587-9309-0dd6bfd8b4e1";
    let enroll = raw.get(&format!("{base}/policy/workflow/Enroll")).unwrap();
    let names = "ApprovalsNeeded AuthorizedApprover AuthorizedEnrollmentAgent AuthorizedInitiator CollectComments \
        CollectRequestPriority DefaultRequestPriority Documents Enabled EnrollAgentRequired OneTimePasswordPolicy \
        Personalization PolicyDataCollection SelfServiceEnabled";
    assert_eq!(keys(&enroll.body), names.split_whitespace().collect::<Vec<_>>());
    assert_eq!(raw.get(&format!("{base}/policies/enroll")).unwrap().json(), enroll.json());
    assert_eq!(raw.get(&format!("{base}/policies/unblock")).unwrap().json()["Enabled"], false);
    assert_eq!(raw.get(&format!("{base}/policies/TemporaryEnroll")).unwrap().json()["Enabled"], false);
    for unknown in ["TemporaryCards", "Surprise"] {
        assert_eq!(raw.get(&format!("{base}/policies/{unknown}")).unwrap().status, 500, "{unknown}");
    }
}

#[test]
fn profiles_and_cards_have_their_published_properties() {
    let simulator = start(quick());
    let mut raw = Raw::connect(&simulator);
    let list = raw.get("/profiles?status=Active").unwrap();
    let names = "Uuid Status Flags ParentProfileUuid PrimaryProfileUuid AssignedUserUuid ProfileTemplateUuid \
        ProfileTemplateVersion Comment ProfileOperations";
    let object = list.body.strip_prefix('[').unwrap().strip_suffix(']').unwrap();
    assert_eq!(keys(object), names.split_whitespace().collect::<Vec<_>>());
    let uuid = list.json()[0]["Uuid"].as_str().unwrap().to_owned();
    assert_eq!(raw.get(&format!("/profiles/{uuid}")).unwrap().body, list.body);
    let operations = raw.get(&format!("/profiles/{uuid}/operations")).unwrap().json();
    assert_eq!(operations, list.json()[0]["ProfileOperations"]);
    assert_eq!(raw.get("/profiles?status=Pending").unwrap().status, 204);
    assert_eq!(raw.get("/profiles?status=Surprise").unwrap().status, 500);

    let card = raw.get("/smartcards").unwrap();
    let names = "Uuid Status Flags ParentSmartcardUuid PrimarySmartcardUuid PermanentSmartcardUuid AssignedUserUuid \
        ProfileTemplateUuid ProfileTemplateVersion Comment SerialNumber Middleware Atr";
    assert_eq!(keys(&card.body), names.split_whitespace().collect::<Vec<_>>());
    let uuid = card.json()["Uuid"].as_str().unwrap().to_owned();
    let serial = card.json()["SerialNumber"].as_str().unwrap().trim_matches(['{', '}']).to_owned();
    for rest in
        [format!("/smartcards/{uuid}"), format!("/smartcards?cardid={serial}"), format!("/smartcards?cardid={uuid}")]
    {
        assert_eq!(raw.get(&rest).unwrap().body, card.body, "{rest}");
    }
    assert_eq!(
        raw.get(&format!("/smartcards/{uuid}/operations")).unwrap().json(),
        json!(["renew", "unblock", "retire"])
    );
    assert_eq!(raw.get("/smartcards?cardid=x").unwrap().status, 204);
    assert_eq!(raw.get(&format!("/smartcards/{ZERO}")).unwrap().status, 204);
}
