//! One create request, and the only place that makes its wire body.

use sha2::{Digest, Sha256};

use super::guid::Guid;
use super::kind::{RequestKind, RequestType};
use super::named::{NamedValue, NamedValues, push_quoted};
use super::tag::Fingerprint;

/// How `datacollection` stands in the body; the published examples show both.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum DataEncoding {
    /// An array of single-key objects: `[{"name":"x"},{"city":"y"}]`.
    #[default]
    Array,
    /// A JSON string that holds such an array: `"[{\"name\":\"x\"}]"`.
    String,
}

/// What one row asks the server to create (*Create request*), before the tag is put into its comment.
///
/// ```
/// use cmbatch::request::{CreateRequest, DataEncoding, RequestType};
/// let request = CreateRequest::new(RequestType::Unblock);
/// let body = request.wire_body("", DataEncoding::Array);
/// assert_eq!(body, br#"{"datacollection":[],"type":"Unblock","comment":""}"#);
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CreateRequest {
    /// The request type.
    pub kind: RequestType,
    /// The profile template.
    pub template: Option<Guid>,
    /// The target user; the server takes a missing one for the caller.
    pub target: Option<Guid>,
    /// The smart card.
    pub smartcard: Option<Guid>,
    /// The software profile that the row means; sent only where `body` names it too.
    pub profile: Option<Guid>,
    /// The row's own comment, without tag.
    pub comment: String,
    /// 0 (highest) to 255.
    pub priority: Option<u8>,
    /// The data collection, in the row's order.
    pub data: NamedValues,
    /// Further properties, passed through as strings.
    pub body: Vec<NamedValue>,
}

impl CreateRequest {
    /// The properties that `body.` columns may not name, because the row's own columns set them.
    pub const OWN_PROPERTIES: [&'static str; 7] =
        ["profiletemplateuuid", "datacollection", "target", "type", "smartcard", "comment", "priority"];

    /// Returns a request of this type with nothing else set.
    pub const fn new(kind: RequestType) -> Self {
        Self {
            kind,
            template: None,
            target: None,
            smartcard: None,
            profile: None,
            comment: String::new(),
            priority: None,
            data: NamedValues::new(),
            body: Vec::new(),
        }
    }

    /// Returns the type and profile template of the row.
    pub const fn request_kind(&self) -> RequestKind {
        RequestKind { request_type: self.kind, template: self.template }
    }

    /// Returns the JSON body of the call, with this comment (the row's own with its tag).
    ///
    /// `type`, `datacollection` and `comment` always stand in it, because the page calls them required and lets them be
    /// empty; of the other properties only those that the row has. The priority is a string, as in the published example.
    pub fn wire_body(&self, comment: &str, encoding: DataEncoding) -> Vec<u8> {
        // The property names and what stands around the values take some 150 bytes.
        let mut body = String::with_capacity(320 + comment.len() + self.data.as_json().len());
        let mut begin = '{';
        let mut property = |name: &str, write: &dyn Fn(&mut String)| {
            body.push(std::mem::replace(&mut begin, ','));
            push_quoted(&mut body, name);
            body.push(':');
            write(&mut body);
        };
        if let Some(template) = self.template {
            property("profiletemplateuuid", &|json| push_guid(json, template));
        }
        property("datacollection", &|json| match encoding {
            DataEncoding::Array => json.push_str(self.data.as_json()),
            DataEncoding::String => push_quoted(json, self.data.as_json()),
        });
        if let Some(target) = self.target {
            property("target", &|json| push_guid(json, target));
        }
        property("type", &|json| push_quoted(json, self.kind.as_str()));
        if let Some(smartcard) = self.smartcard {
            property("smartcard", &|json| push_guid(json, smartcard));
        }
        property("comment", &|json| push_quoted(json, comment));
        if let Some(priority) = self.priority {
            property("priority", &|json| push_quoted(json, &priority.to_string()));
        }
        for item in &self.body {
            property(&item.name, &|json| push_quoted(json, &item.value));
        }
        body.push('}');
        body.into_bytes()
    }

    /// Returns the fingerprint of what would make a second request the same request: type, target, template, card and
    /// `body.` values, a profile that is sent among them. Order and case of the `body.` names do not matter.
    pub fn fingerprint(&self) -> Fingerprint {
        let mut hash = Sha256::new();
        hash.update(self.kind.as_str().as_bytes());
        // In the third place a profile once stood, sent or not; without it fingerprints stay what they were.
        for guid in [self.target, self.template, None, self.smartcard] {
            match guid {
                Some(guid) => {
                    hash.update([1]);
                    hash.update(guid.as_bytes());
                }
                None => hash.update([0]),
            }
        }
        let mut body: Vec<(String, &str)> =
            self.body.iter().map(|item| (item.name.to_lowercase(), item.value.as_str())).collect();
        body.sort();
        for (name, value) in &body {
            for text in [name.as_str(), value] {
                hash.update((text.len() as u64).to_be_bytes());
                hash.update(text.as_bytes());
            }
        }
        let digest = hash.finalize();
        Fingerprint::from_bytes([digest[0], digest[1], digest[2], digest[3], digest[4]])
    }
}

fn push_guid(json: &mut String, guid: Guid) {
    json.push('"');
    json.push_str(guid.encode(&mut [0; Guid::LEN]));
    json.push('"');
}

#[cfg(test)]
mod tests {
    use super::*;

    fn published_example() -> CreateRequest {
        CreateRequest {
            template: Some("97CD65FA-AF4B-4587-9309-0DD6BFD8B4E1".parse().unwrap()),
            target: Some("97CC3493-F556-4C9B-9D8B-982434201527".parse().unwrap()),
            comment: "LALALALA".to_owned(),
            priority: Some(4),
            data: [NamedValue::new("name", "pavle"), NamedValue::new("city", "seattle")].into_iter().collect(),
            ..CreateRequest::new(RequestType::Enroll)
        }
    }

    #[test]
    fn the_published_example_is_made_as_published() {
        let body: serde_json::Value =
            serde_json::from_slice(&published_example().wire_body("LALALALA", DataEncoding::Array)).unwrap();
        assert_eq!(
            body,
            serde_json::json!({
                "profiletemplateuuid": "97cd65fa-af4b-4587-9309-0dd6bfd8b4e1",
                "datacollection": [{"name": "pavle"}, {"city": "seattle"}],
                "target": "97cc3493-f556-4c9b-9d8b-982434201527",
                "type": "Enroll",
                "comment": "LALALALA",
                "priority": "4"
            })
        );
    }

    #[test]
    fn the_data_collection_can_be_a_string_and_body_properties_pass_through() {
        let mut request = published_example();
        request.body.push(NamedValue::new("revocationreason", "1"));
        let body: serde_json::Value = serde_json::from_slice(&request.wire_body("x", DataEncoding::String)).unwrap();
        assert_eq!(body["datacollection"], r#"[{"name":"pavle"},{"city":"seattle"}]"#);
        assert_eq!(body["revocationreason"], "1");
        let empty = CreateRequest::new(RequestType::Unblock).wire_body("", DataEncoding::String);
        assert_eq!(empty, br#"{"datacollection":"[]","type":"Unblock","comment":""}"#);
    }

    #[test]
    fn the_fingerprint_covers_what_identifies_a_request_and_nothing_else() {
        let base = published_example();
        let mut same = base.clone();
        same.comment = "other".to_owned();
        same.priority = None;
        same.data = NamedValues::new();
        same.profile = Some(Guid::from_bytes([7; 16]));
        assert_eq!(base.fingerprint(), same.fingerprint());

        let guid = Some(Guid::from_bytes([7; 16]));
        let changes: [fn(&mut CreateRequest, Option<Guid>); 4] =
            [|r, _| r.kind = RequestType::Renew, |r, g| r.target = g, |r, g| r.template = g, |r, g| r.smartcard = g];
        for change in changes {
            let mut other = base.clone();
            change(&mut other, guid);
            assert_ne!(base.fingerprint(), other.fingerprint());
        }
        let mut one = base.clone();
        one.body = vec![NamedValue::new("A", "1"), NamedValue::new("b", "2")];
        let mut two = base.clone();
        two.body = vec![NamedValue::new("B", "2"), NamedValue::new("a", "1")];
        assert_eq!(one.fingerprint(), two.fingerprint());
        assert_ne!(one.fingerprint(), base.fingerprint());
    }
}
