//! A request as the server gives it.

use std::borrow::Cow;
use std::fmt;

use jiff::Timestamp;
use jiff::civil::DateTime;
use jiff::tz::TimeZone;
use serde::de::{Deserialize, Deserializer, Error, IgnoredAny, MapAccess, SeqAccess, Visitor};

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
    /// None is given, or something that is no number.
    Unknown,
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
            Self::Unknown => f.pad("unknown"),
        }
    }
}

/// A request as the server gives it: what this program needs of its 21 properties.
///
/// Names are taken in any case, other properties are passed over. Without a readable `Uuid`, or with a `Comment` that is no text,
/// there is no object: nobody could say whose it is. Any other property that has another shape than the pages show, or stands
/// there twice, is unknown, as one that is missing is; so is an all-zero GUID. A date is none where it is
/// `0001-01-01T00:00:00`, with or without zone; one without zone is taken as UTC, which is what the ones with a zone are in
/// (`Z`) and what the product stores.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RequestObject {
    /// `Uuid`.
    pub uuid: RequestUuid,
    /// `RequestType`; only 1 (Enroll) and 5 (Unblock) are published.
    pub request_type: Option<i64>,
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

/// Why there is no request object.
#[derive(Debug, thiserror::Error)]
pub enum ObjectFault {
    /// The text is no JSON.
    #[error("it is not JSON: {0}")]
    NotJson(serde_json::Error),
    /// It is JSON, and whose request it is cannot be read.
    #[error("{0}")]
    Unread(String),
}

impl RequestObject {
    /// Reads one JSON object, a byte order mark before it included.
    ///
    /// # Errors
    ///
    /// What is not JSON, not an object, or has no readable `Uuid` or `Comment`.
    pub fn from_json(json: &[u8]) -> Result<Self, ObjectFault> {
        let json = json.strip_prefix("\u{feff}".as_bytes()).unwrap_or(json);
        let read = serde_json::from_slice::<Properties<'_>>(json);
        match read {
            Ok(properties) => properties.object().map_err(|reason| ObjectFault::Unread(reason.to_owned())),
            // Half of a surrogate pair, say: JSON's grammar lets it stand, and no text has it.
            Err(error) if serde_json::from_slice::<IgnoredAny>(json).is_ok() => {
                Err(ObjectFault::Unread(error.to_string()))
            }
            Err(error) => Err(ObjectFault::NotJson(error)),
        }
    }
}

/// The properties that are read, by their places in [`NAMES`].
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
}

const NAMES: [&str; 14] = [
    "Uuid",
    "RequestType",
    "Status",
    "TargetUserUuid",
    "ProfileTemplateUuid",
    "OriginatorUserUuid",
    "OldProfileUuid",
    "NewProfileUuid",
    "OldSmartcardUuid",
    "NewSmartcardUuid",
    "Comment",
    "Submitted",
    "Completed",
    "Priority",
];

/// A property's place in [`NAMES`], or none.
struct Place(Option<usize>);

impl<'de> Deserialize<'de> for Place {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Name;

        impl Visitor<'_> for Name {
            type Value = Place;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a property name")
            }

            fn visit_str<E: Error>(self, name: &str) -> Result<Place, E> {
                Ok(Place(NAMES.iter().position(|known| known.eq_ignore_ascii_case(name))))
            }
        }

        deserializer.deserialize_identifier(Name)
    }
}

/// A property's value, whatever it is.
#[derive(Clone, Default)]
enum Value<'de> {
    /// `null`, or not there.
    #[default]
    Null,
    Text(Cow<'de, str>),
    Integer(i64),
    /// Of another shape.
    Odd,
    /// The same name stands there twice (two cases of it among them), so that it is open which one is meant.
    Twice,
}

impl<'de> Deserialize<'de> for Value<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Any;

        impl<'de> Visitor<'de> for Any {
            type Value = Value<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a value")
            }

            fn visit_unit<E: Error>(self) -> Result<Value<'de>, E> {
                Ok(Value::Null)
            }

            fn visit_borrowed_str<E: Error>(self, text: &'de str) -> Result<Value<'de>, E> {
                Ok(Value::Text(Cow::Borrowed(text)))
            }

            fn visit_str<E: Error>(self, text: &str) -> Result<Value<'de>, E> {
                Ok(Value::Text(Cow::Owned(text.to_owned())))
            }

            fn visit_i64<E: Error>(self, number: i64) -> Result<Value<'de>, E> {
                Ok(Value::Integer(number))
            }

            fn visit_u64<E: Error>(self, number: u64) -> Result<Value<'de>, E> {
                Ok(i64::try_from(number).map_or(Value::Odd, Value::Integer))
            }

            fn visit_f64<E: Error>(self, _: f64) -> Result<Value<'de>, E> {
                Ok(Value::Odd)
            }

            fn visit_bool<E: Error>(self, _: bool) -> Result<Value<'de>, E> {
                Ok(Value::Odd)
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Value<'de>, A::Error> {
                while seq.next_element::<IgnoredAny>()?.is_some() {}
                Ok(Value::Odd)
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Value<'de>, A::Error> {
                while map.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
                Ok(Value::Odd)
            }
        }

        deserializer.deserialize_any(Any)
    }
}

/// The values of a JSON object's properties, by their places in [`NAMES`].
#[derive(Default)]
struct Properties<'de> {
    values: [Option<Value<'de>>; NAMES.len()],
}

impl<'de> Deserialize<'de> for Properties<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Object;

        impl<'de> Visitor<'de> for Object {
            type Value = Properties<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a request object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Properties<'de>, A::Error> {
                let mut properties = Properties::default();
                while let Some(Place(place)) = map.next_key()? {
                    let Some(at) = place else {
                        map.next_value::<IgnoredAny>()?;
                        continue;
                    };
                    let value = map.next_value()?;
                    let slot = &mut properties.values[at];
                    *slot = Some(if slot.is_some() { Value::Twice } else { value });
                }
                Ok(properties)
            }
        }

        deserializer.deserialize_map(Object)
    }
}

impl Properties<'_> {
    fn take(&mut self, property: Property) -> Value<'_> {
        self.values[property as usize].take().unwrap_or_default()
    }

    fn text(&mut self, property: Property) -> Option<Cow<'_, str>> {
        match self.take(property) {
            Value::Text(text) => Some(text),
            Value::Null | Value::Integer(_) | Value::Odd | Value::Twice => None,
        }
    }

    fn integer(&mut self, property: Property) -> Option<i64> {
        match self.take(property) {
            Value::Integer(number) => Some(number),
            Value::Text(text) => text.trim().parse().ok(),
            Value::Null | Value::Odd | Value::Twice => None,
        }
    }

    fn guid(&mut self, property: Property) -> Option<Guid> {
        self.text(property)?.trim().parse().ok().filter(|guid: &Guid| !guid.is_zero())
    }

    fn date(&mut self, property: Property) -> Option<Timestamp> {
        date(&self.text(property)?)
    }

    /// Returns the request, or why nobody could say whose it is.
    fn object(mut self) -> Result<RequestObject, &'static str> {
        let uuid = match self.take(Property::Uuid) {
            Value::Text(text) => text.trim().parse::<Guid>().map_err(|_| "its Uuid is no GUID")?,
            Value::Null => return Err("it has no Uuid"),
            Value::Integer(_) | Value::Odd => return Err("its Uuid is no text"),
            Value::Twice => return Err("it has more than one Uuid"),
        };
        if uuid.is_zero() {
            return Err("its Uuid is zero");
        }
        let comment = match self.take(Property::Comment) {
            Value::Text(text) => text.into_owned(),
            Value::Null => String::new(),
            Value::Integer(_) | Value::Odd => return Err("its Comment is no text"),
            Value::Twice => return Err("it has more than one Comment"),
        };
        Ok(RequestObject {
            uuid: RequestUuid::new(uuid),
            request_type: self.integer(Property::RequestType),
            status: self.integer(Property::Status).map_or(RequestStatus::Unknown, RequestStatus::from_number),
            target: self.guid(Property::Target),
            template: self.guid(Property::Template),
            originator: self.guid(Property::Originator),
            old_profile: self.guid(Property::OldProfile),
            new_profile: self.guid(Property::NewProfile),
            old_smartcard: self.guid(Property::OldSmartcard),
            new_smartcard: self.guid(Property::NewSmartcard),
            comment,
            submitted: self.date(Property::Submitted),
            completed: self.date(Property::Completed),
            priority: self.integer(Property::Priority),
        })
    }
}

/// Returns the time that a date means; none where it means "never", or is no date.
fn date(text: &str) -> Option<Timestamp> {
    let text = text.trim();
    let at = match text.strip_prefix("/Date(").and_then(|text| text.strip_suffix(")/")) {
        // Milliseconds, and perhaps the zone of whoever wrote them, which changes nothing (Microsoft's older JSON).
        Some(text) => {
            let end = text.rfind(['+', '-']).filter(|at| *at > 0).unwrap_or(text.len());
            Timestamp::from_millisecond(text[..end].parse().ok()?).ok()?
        }
        None => {
            let local: DateTime = text.strip_suffix(['Z', 'z']).unwrap_or(text).parse().ok()?;
            text.parse().or_else(|_| TimeZone::UTC.to_timestamp(local)).ok()?
        }
    };
    // Another zone's first day of year 1 among them.
    (TimeZone::UTC.to_datetime(at).year() > 1).then_some(at)
}

#[cfg(test)]
mod tests;
