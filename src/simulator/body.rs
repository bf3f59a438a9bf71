//! Reading the body of a create call.
//!
//! The page names the properties and says which are required; what the server does with anything else is not published.
//! *Chosen* here: names count in the exact case of the page, a required property that is missing and a value that
//! cannot be read are an internal error (500), other properties are accepted and kept.

use serde_json::{Map, Value};

use super::store::DataItem;
use crate::request::{Guid, RequestType};

/// What a create call asks for.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct NewRequest {
    pub(crate) kind: RequestType,
    pub(crate) template: Option<Guid>,
    pub(crate) target: Option<Guid>,
    pub(crate) smartcard: Option<Guid>,
    /// The software profile: see [`profile_among`].
    pub(crate) profile: Option<Guid>,
    pub(crate) comment: String,
    pub(crate) priority: Option<u8>,
    pub(crate) data: Vec<DataItem>,
    /// Properties that the page does not name.
    pub(crate) extra: Map<String, Value>,
}

/// Why a body asks for nothing that can be created.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum BadBody {
    #[error("the body is not a JSON object")]
    NotAnObject,
    #[error("the property '{0}' is missing")]
    Missing(&'static str),
    #[error("the property '{0}' has no usable value")]
    Unusable(&'static str),
    #[error("the request type '{0}' does not exist")]
    UnknownType(String),
    #[error("the request names no profile template, smart card or profile")]
    NothingNamed,
}

impl NewRequest {
    /// Reads a body.
    pub(crate) fn parse(body: &[u8]) -> Result<Self, BadBody> {
        let mut rest: Map<String, Value> = serde_json::from_slice(body).map_err(|_| BadBody::NotAnObject)?;
        let kind = take_text(&mut rest, "type")?.ok_or(BadBody::Missing("type"))?;
        let kind = kind.parse().map_err(|_| BadBody::UnknownType(kind))?;
        let template = take_guid(&mut rest, "profiletemplateuuid")?;
        let target = take_guid(&mut rest, "target")?;
        let smartcard = take_guid(&mut rest, "smartcard")?;
        let comment = take_text(&mut rest, "comment")?.ok_or(BadBody::Missing("comment"))?;
        let priority = take_priority(&mut rest)?;
        let data = take_data(&mut rest)?;
        let profile = profile_among(&rest);
        // In the published Unblock example a card stands in place of the template.
        if template.is_none() && kind == RequestType::Enroll {
            return Err(BadBody::Missing("profiletemplateuuid"));
        }
        if template.is_none() && smartcard.is_none() && rest.is_empty() {
            return Err(BadBody::NothingNamed);
        }
        Ok(Self { kind, template, target, smartcard, profile, comment, priority, data, extra: rest })
    }
}

/// Finds the software profile among the properties that no page names: the first whose name contains "profile" and
/// whose value is a GUID. *Chosen*, because no page says how a request names a software profile.
pub(crate) fn profile_among(extra: &Map<String, Value>) -> Option<Guid> {
    let named = extra.iter().filter(|(name, _)| name.to_ascii_lowercase().contains("profile"));
    named.filter_map(|(_, value)| value.as_str()?.parse().ok()).next()
}

/// Takes a property out; `null` counts as missing.
fn take(rest: &mut Map<String, Value>, name: &str) -> Option<Value> {
    rest.remove(name).filter(|value| !value.is_null())
}

fn take_text(rest: &mut Map<String, Value>, name: &'static str) -> Result<Option<String>, BadBody> {
    match take(rest, name) {
        None => Ok(None),
        Some(Value::String(text)) => Ok(Some(text)),
        Some(_) => Err(BadBody::Unusable(name)),
    }
}

fn take_guid(rest: &mut Map<String, Value>, name: &'static str) -> Result<Option<Guid>, BadBody> {
    let text = take_text(rest, name)?;
    text.map(|text| text.parse().map_err(|_| BadBody::Unusable(name))).transpose()
}

/// A string in the published example, a byte in the SDK: both are taken.
fn take_priority(rest: &mut Map<String, Value>) -> Result<Option<u8>, BadBody> {
    let unusable = BadBody::Unusable("priority");
    match take(rest, "priority") {
        None => Ok(None),
        Some(Value::String(text)) => text.parse().map(Some).map_err(|_| unusable),
        Some(value) => value.as_u64().and_then(|number| number.try_into().ok()).map(Some).ok_or(unusable),
    }
}

/// An array of single-key objects, or a string that holds one: the published examples show both.
fn take_data(rest: &mut Map<String, Value>) -> Result<Vec<DataItem>, BadBody> {
    let unusable = || BadBody::Unusable("datacollection");
    let array = match take(rest, "datacollection") {
        None => return Err(BadBody::Missing("datacollection")),
        Some(Value::String(text)) => serde_json::from_str(&text).map_err(|_| unusable())?,
        Some(value) => value,
    };
    let Value::Array(items) = array else { return Err(unusable()) };
    let mut data = Vec::with_capacity(items.len());
    for item in items {
        let Value::Object(item) = item else { return Err(unusable()) };
        data.extend(item.into_iter().map(|(name, value)| DataItem { name, value: as_text(value) }));
    }
    Ok(data)
}

fn as_text(value: Value) -> Option<String> {
    match value {
        Value::Null => None,
        Value::String(text) => Some(text),
        value @ (Value::Bool(_) | Value::Number(_) | Value::Array(_) | Value::Object(_)) => Some(value.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::request::{CreateRequest, DataEncoding, NamedValue};

    fn item(name: &str, value: &str) -> DataItem {
        DataItem { name: name.to_owned(), value: Some(value.to_owned()) }
    }

    #[test]
    fn the_published_examples_are_read() {
        let first = NewRequest::parse(
            br#"{ "datacollection":"[]", "type":"Enroll",
                "profiletemplateuuid":"a039b4d0-5ce8-4eff-8651-181c6576fda3", "comment":"" }"#,
        );
        let first = first.unwrap();
        assert_eq!((first.kind, first.target, first.data), (RequestType::Enroll, None, vec![]));
        let second = NewRequest::parse(
            br#"{ "datacollection":"[]", "type":"Unblock",
                "smartcard":"17cf063d-e337-4aa9-a822-346554ddd3c9", "comment":"" }"#,
        );
        let second = second.unwrap();
        assert_eq!(second.smartcard.unwrap().to_string(), "17cf063d-e337-4aa9-a822-346554ddd3c9");
        assert_eq!(second.template, None);
        let third = NewRequest::parse(
            br#"{ "profiletemplateuuid" : "97CD65FA-AF4B-4587-9309-0DD6BFD8B4E1",
                "datacollection": [ {"name" : "pavle"}, {"city" : "seattle"} ],
                "target" : "97CC3493-F556-4C9B-9D8B-982434201527",
                "type" : "Enroll", "comment" : "LALALALA", "priority" :  "4" }"#,
        );
        let third = third.unwrap();
        assert_eq!(third.data, [item("name", "pavle"), item("city", "seattle")]);
        assert_eq!((third.priority, third.comment.as_str()), (Some(4), "LALALALA"));
        assert_eq!(third.target.unwrap().to_string(), "97cc3493-f556-4c9b-9d8b-982434201527");
    }

    #[test]
    fn what_cmbatch_sends_is_read_back() {
        let mut request = CreateRequest::new(RequestType::Revoke);
        request.smartcard = Some(Guid::from_bytes([3; 16]));
        request.priority = Some(255);
        request.data = [NamedValue::new("a", "1"), NamedValue::new("b", "")].into_iter().collect();
        request.body =
            vec![NamedValue::new("reason", "1"), NamedValue::new("profileuuid", Guid::from_bytes([4; 16]).to_string())];
        for encoding in [DataEncoding::Array, DataEncoding::String] {
            let read = NewRequest::parse(&request.wire_body("why", encoding)).unwrap();
            assert_eq!((read.kind, read.smartcard, read.priority), (request.kind, request.smartcard, request.priority));
            assert_eq!(read.data, [item("a", "1"), item("b", "")]);
            assert_eq!(read.extra["reason"], "1");
            assert_eq!(read.profile, Some(Guid::from_bytes([4; 16])));
            assert_eq!(read.comment, "why");
        }
    }

    #[test]
    fn a_body_that_asks_for_nothing_is_told_apart() {
        let unusable = BadBody::Unusable;
        for (body, why) in [
            ("", BadBody::NotAnObject),
            ("[]", BadBody::NotAnObject),
            ("{", BadBody::NotAnObject),
            ("{}", BadBody::Missing("type")),
            (r#"{"type":null}"#, BadBody::Missing("type")),
            (r#"{"Type":"Enroll"}"#, BadBody::Missing("type")),
            (r#"{"type":1}"#, unusable("type")),
            (r#"{"type":"Enrol"}"#, BadBody::UnknownType("Enrol".to_owned())),
            (r#"{"type":"Enroll","profiletemplateuuid":"x"}"#, unusable("profiletemplateuuid")),
            (r#"{"type":"Enroll"}"#, BadBody::Missing("comment")),
            (r#"{"type":"Enroll","comment":""}"#, BadBody::Missing("datacollection")),
            (r#"{"type":"Enroll","comment":"","datacollection":"x"}"#, unusable("datacollection")),
            (r#"{"type":"Enroll","comment":"","datacollection":{}}"#, unusable("datacollection")),
            (r#"{"type":"Enroll","comment":"","datacollection":["x"]}"#, unusable("datacollection")),
            (r#"{"type":"Enroll","comment":"","datacollection":[]}"#, BadBody::Missing("profiletemplateuuid")),
            (r#"{"type":"Revoke","comment":"","datacollection":[]}"#, BadBody::NothingNamed),
            (r#"{"type":"Revoke","comment":"","datacollection":[],"priority":"256"}"#, unusable("priority")),
            (r#"{"type":"Revoke","comment":"","datacollection":[],"priority":-1}"#, unusable("priority")),
        ] {
            assert_eq!(NewRequest::parse(body.as_bytes()), Err(why), "{body}");
        }
    }

    #[test]
    fn numbers_and_nulls_in_the_data_collection_are_kept_as_the_objects_show_them() {
        let body =
            br#"{"type":"Revoke","comment":"","datacollection":[{"a":null},{"b":7}],"priority":4,"reason":{"x":1}}"#;
        let read = NewRequest::parse(body).unwrap();
        assert_eq!(read.data, [DataItem { name: "a".to_owned(), value: None }, item("b", "7")]);
        assert_eq!(read.priority, Some(4));
        assert_eq!(read.extra["reason"]["x"], 1);
    }
}
