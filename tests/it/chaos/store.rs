//! What the server did: the oracle of a test.

use std::time::Instant;

use serde_json::{Value, json};

use crate::oracle::Seen;

/// A request that exists.
#[derive(Clone, Debug)]
pub(crate) struct Stored {
    pub(crate) uuid: String,
    pub(crate) comment: String,
    pub(crate) body: Value,
    pub(crate) submitted: String,
}

/// Calls and requests.
#[derive(Default)]
pub(super) struct Store {
    /// The create calls that arrived whole, with the time when they did.
    pub(super) calls: Vec<(Instant, Seen)>,
    pub(super) requests: Vec<Stored>,
}

impl Store {
    /// Keeps a call, and makes a request of it; returns the uuid.
    pub(super) fn create(&mut self, body: Value, comment_limit: usize) -> String {
        let uuid = format!("c0ffee00-0000-4000-8000-{:012x}", self.requests.len() + 1);
        let comment = body["comment"].as_str().unwrap_or_default();
        let comment = comment.chars().take(comment_limit).collect();
        self.calls.push((Instant::now(), Seen::new(&body, Some(uuid.clone()))));
        self.requests.push(Stored { uuid: uuid.clone(), comment, body, submitted: jiff::Timestamp::now().to_string() });
        uuid
    }

    /// Keeps a call that creates nothing.
    pub(super) fn refuse(&mut self, body: &Value) {
        self.calls.push((Instant::now(), Seen::new(body, None)));
    }
}

const NO_GUID: &str = "00000000-0000-0000-0000-000000000000";

impl Stored {
    /// The object of the API, with this many characters of its comment.
    pub(super) fn object(&self, comment_limit: usize) -> Value {
        let of_body = |name: &str| self.body[name].as_str().unwrap_or(NO_GUID).to_owned();
        json!({
            "Uuid": self.uuid, "RequestType": type_number(&of_body("type")), "Status": 3, "Flags": 0,
            "DataCollection": [], "DataCollectionFlags": 32,
            "OriginatorUserUuid": "5a1e0f77-2c3d-4b8a-8e10-9d0c7b6a5f02", "TargetUserUuid": of_body("target"),
            "Submitted": self.submitted, "Completed": "0001-01-01T00:00:00",
            "NewProfileUuid": NO_GUID, "OldProfileUuid": NO_GUID,
            "NewSmartcardUuid": NO_GUID, "OldSmartcardUuid": of_body("smartcard"),
            "Priority": 0, "Comment": self.comment.chars().take(comment_limit).collect::<String>(),
            "ProfileTemplateUuid": of_body("profiletemplateuuid"), "SecurityDescriptor": "O:S-1-5-21-1-2-3-1104\u{0}",
            "IsSmartcard": false, "IsEnrollmentAgent": false, "IsDataCollectionComplete": false,
        })
    }
}

/// The numbers that are published, and others for the rest.
fn type_number(kind: &str) -> u32 {
    match kind {
        "Enroll" => 1,
        "Unblock" => 5,
        "Duplicate" => 6,
        "Revoke" => 4,
        "Retire" => 7,
        _ => 9,
    }
}
