//! A request as the server gives it.

use std::fmt;

use jiff::Timestamp;
use jiff::civil::{DateTime, date};
use jiff::tz::TimeZone;
use serde::de::{Deserialize, Deserializer, Error, IgnoredAny, MapAccess, Unexpected, Visitor};

use crate::request::{Guid, RequestUuid};

/// The state of a request on the server. The numbers 3 and 8 are shown by the API's pages, the others stand in the
/// description of the same product's `externalGetStatus`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum RequestStatus {
    /// 0: not processed yet.
    None,
    /// 3: ready to be carried out.
    Approved,
    /// 4: refused by an approver. Final.
    Denied,
    /// 8: done. Final.
    Completed,
    /// 9: ended by an error, or abandoned. Final.
    Failed,
    /// 16: waits for approval.
    Pending,
    /// 17: withdrawn. Final.
    Canceled,
    /// 18: being completed.
    Executing,
    /// A number that no page names.
    Other(i64),
}

impl RequestStatus {
    /// Returns the status of this number.
    pub const fn from_number(number: i64) -> Self {
        match number {
            0 => Self::None,
            3 => Self::Approved,
            4 => Self::Denied,
            8 => Self::Completed,
            9 => Self::Failed,
            16 => Self::Pending,
            17 => Self::Canceled,
            18 => Self::Executing,
            other => Self::Other(other),
        }
    }

    /// Returns the number.
    pub const fn number(self) -> i64 {
        match self {
            Self::None => 0,
            Self::Approved => 3,
            Self::Denied => 4,
            Self::Completed => 8,
            Self::Failed => 9,
            Self::Pending => 16,
            Self::Canceled => 17,
            Self::Executing => 18,
            Self::Other(number) => number,
        }
    }
}

impl fmt::Display for RequestStatus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::None => f.pad("None"),
            Self::Approved => f.pad("Approved"),
            Self::Denied => f.pad("Denied"),
            Self::Completed => f.pad("Completed"),
            Self::Failed => f.pad("Failed"),
            Self::Pending => f.pad("Pending"),
            Self::Canceled => f.pad("Canceled"),
            Self::Executing => f.pad("Executing"),
            Self::Other(number) => f.pad(&format!("status {number}")),
        }
    }
}

/// A request as the server gives it: what this program needs of its 21 properties.
///
/// Names are taken in any case, other properties are passed over. `Uuid`, `RequestType` and `Status` must be there; an
/// all-zero GUID, `null` and a missing property are all none. A date is none where it is `0001-01-01T00:00:00`, with or
/// without zone; one without zone is taken as UTC, which is what the ones with a zone are in (`Z`) and what the product
/// stores. A property that has another shape makes the whole object an error: nothing is settled by guesses.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RequestObject {
    /// `Uuid`.
    pub uuid: RequestUuid,
    /// `RequestType`; only 1 (Enroll) and 5 (Unblock) are published.
    pub request_type: i64,
    /// `Status`.
    pub status: RequestStatus,
    /// `TargetUserUuid`.
    pub target: Option<Guid>,
    /// `ProfileTemplateUuid`.
    pub template: Option<Guid>,
    /// `OriginatorUserUuid`: the account that made the request.
    pub originator: Option<Guid>,
    /// `OldProfileUuid`.
    pub old_profile: Option<Guid>,
    /// `NewProfileUuid`.
    pub new_profile: Option<Guid>,
    /// `OldSmartcardUuid`.
    pub old_smartcard: Option<Guid>,
    /// `NewSmartcardUuid`.
    pub new_smartcard: Option<Guid>,
    /// `Comment`, empty where there is none. Text from outside.
    pub comment: String,
    /// `Submitted`.
    pub submitted: Option<Timestamp>,
    /// `Completed`, none while it is not.
    pub completed: Option<Timestamp>,
    /// `Priority`, 0 being the highest.
    pub priority: Option<i64>,
}

impl RequestObject {
    /// Reads one JSON object, a byte order mark before it included.
    ///
    /// # Errors
    ///
    /// What is not JSON, not an object, or has a property of another shape.
    pub fn from_json(json: &[u8]) -> Result<Self, serde_json::Error> {
        serde_json::from_slice(json.strip_prefix("\u{feff}".as_bytes()).unwrap_or(json))
    }
}

#[derive(Clone, Copy)]
enum Property {
    Uuid,
    RequestType,
    Status,
    Target,
    Template,
    Originator,
    OldProfile,
    NewProfile,
    OldSmartcard,
    NewSmartcard,
    Comment,
    Submitted,
    Completed,
    Priority,
    Unknown,
}

impl Property {
    const NAMES: [(&'static str, Self); 14] = [
        ("Uuid", Self::Uuid),
        ("RequestType", Self::RequestType),
        ("Status", Self::Status),
        ("TargetUserUuid", Self::Target),
        ("ProfileTemplateUuid", Self::Template),
        ("OriginatorUserUuid", Self::Originator),
        ("OldProfileUuid", Self::OldProfile),
        ("NewProfileUuid", Self::NewProfile),
        ("OldSmartcardUuid", Self::OldSmartcard),
        ("NewSmartcardUuid", Self::NewSmartcard),
        ("Comment", Self::Comment),
        ("Submitted", Self::Submitted),
        ("Completed", Self::Completed),
        ("Priority", Self::Priority),
    ];
}

impl<'de> Deserialize<'de> for Property {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Name;

        impl Visitor<'_> for Name {
            type Value = Property;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a property name")
            }

            fn visit_str<E: Error>(self, name: &str) -> Result<Property, E> {
                let known = Property::NAMES.iter().find(|(known, _)| known.eq_ignore_ascii_case(name));
                Ok(known.map_or(Property::Unknown, |(_, property)| *property))
            }
        }

        deserializer.deserialize_identifier(Name)
    }
}

/// A GUID, or none for zero.
struct GuidOrZero(Option<Guid>);

impl<'de> Deserialize<'de> for GuidOrZero {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = <std::borrow::Cow<'de, str>>::deserialize(deserializer)?;
        let guid: Guid = text.parse().map_err(|_| D::Error::invalid_value(Unexpected::Str(&text), &"a GUID"))?;
        Ok(Self((!guid.is_zero()).then_some(guid)))
    }
}

/// A date, or none for the first day of year 1.
struct DateOrNever(Option<Timestamp>);

impl<'de> Deserialize<'de> for DateOrNever {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = <std::borrow::Cow<'de, str>>::deserialize(deserializer)?;
        match date_or_never(&text) {
            Some(date) => Ok(Self(date)),
            None => Err(D::Error::invalid_value(Unexpected::Str(&text), &"a date as in 2024-03-05T10:11:12.93Z")),
        }
    }
}

/// Returns the time that a date of the API means, none inside where it means "never", none outside where it is no date.
fn date_or_never(text: &str) -> Option<Option<Timestamp>> {
    let local: DateTime = text.strip_suffix(['Z', 'z']).unwrap_or(text).parse().ok()?;
    if local.date() == date(1, 1, 1) {
        return Some(None);
    }
    match text.parse::<Timestamp>() {
        Ok(timestamp) => Some(Some(timestamp)),
        Err(_) => TimeZone::UTC.to_timestamp(local).ok().map(Some),
    }
}

#[derive(Default)]
struct Slots {
    uuid: Option<GuidOrZero>,
    request_type: Option<i64>,
    status: Option<i64>,
    target: Option<Option<GuidOrZero>>,
    template: Option<Option<GuidOrZero>>,
    originator: Option<Option<GuidOrZero>>,
    old_profile: Option<Option<GuidOrZero>>,
    new_profile: Option<Option<GuidOrZero>>,
    old_smartcard: Option<Option<GuidOrZero>>,
    new_smartcard: Option<Option<GuidOrZero>>,
    comment: Option<Option<String>>,
    submitted: Option<Option<DateOrNever>>,
    completed: Option<Option<DateOrNever>>,
    priority: Option<Option<i64>>,
}

/// Takes a property's value. The same name twice (two cases of it among them) would leave open which one is meant.
fn fill<'de, T: Deserialize<'de>, M: MapAccess<'de>>(
    slot: &mut Option<T>,
    name: &'static str,
    map: &mut M,
) -> Result<(), M::Error> {
    if slot.is_some() {
        return Err(M::Error::duplicate_field(name));
    }
    *slot = Some(map.next_value()?);
    Ok(())
}

impl Slots {
    fn take<'de, M: MapAccess<'de>>(&mut self, property: Property, map: &mut M) -> Result<(), M::Error> {
        match property {
            Property::Uuid => fill(&mut self.uuid, "Uuid", map),
            Property::RequestType => fill(&mut self.request_type, "RequestType", map),
            Property::Status => fill(&mut self.status, "Status", map),
            Property::Target => fill(&mut self.target, "TargetUserUuid", map),
            Property::Template => fill(&mut self.template, "ProfileTemplateUuid", map),
            Property::Originator => fill(&mut self.originator, "OriginatorUserUuid", map),
            Property::OldProfile => fill(&mut self.old_profile, "OldProfileUuid", map),
            Property::NewProfile => fill(&mut self.new_profile, "NewProfileUuid", map),
            Property::OldSmartcard => fill(&mut self.old_smartcard, "OldSmartcardUuid", map),
            Property::NewSmartcard => fill(&mut self.new_smartcard, "NewSmartcardUuid", map),
            Property::Comment => fill(&mut self.comment, "Comment", map),
            Property::Submitted => fill(&mut self.submitted, "Submitted", map),
            Property::Completed => fill(&mut self.completed, "Completed", map),
            Property::Priority => fill(&mut self.priority, "Priority", map),
            Property::Unknown => map.next_value::<IgnoredAny>().map(|_| ()),
        }
    }

    fn finish<E: Error>(self) -> Result<RequestObject, E> {
        let uuid = self.uuid.ok_or_else(|| E::missing_field("Uuid"))?;
        let uuid = uuid.0.ok_or_else(|| E::custom("Uuid is zero"))?;
        let guid = |slot: Option<Option<GuidOrZero>>| slot.flatten().and_then(|guid| guid.0);
        Ok(RequestObject {
            uuid: RequestUuid::new(uuid),
            request_type: self.request_type.ok_or_else(|| E::missing_field("RequestType"))?,
            status: RequestStatus::from_number(self.status.ok_or_else(|| E::missing_field("Status"))?),
            target: guid(self.target),
            template: guid(self.template),
            originator: guid(self.originator),
            old_profile: guid(self.old_profile),
            new_profile: guid(self.new_profile),
            old_smartcard: guid(self.old_smartcard),
            new_smartcard: guid(self.new_smartcard),
            comment: self.comment.flatten().unwrap_or_default(),
            submitted: self.submitted.flatten().and_then(|date| date.0),
            completed: self.completed.flatten().and_then(|date| date.0),
            priority: self.priority.flatten(),
        })
    }
}

impl<'de> Deserialize<'de> for RequestObject {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Object;

        impl<'de> Visitor<'de> for Object {
            type Value = RequestObject;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a request object")
            }

            fn visit_map<M: MapAccess<'de>>(self, mut map: M) -> Result<RequestObject, M::Error> {
                let mut slots = Slots::default();
                while let Some(property) = map.next_key()? {
                    slots.take(property, &mut map)?;
                }
                slots.finish()
            }
        }

        deserializer.deserialize_map(Object)
    }
}

#[cfg(test)]
mod tests;
