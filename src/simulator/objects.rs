//! The JSON objects of the API, in the shapes of the published pages.

use std::fmt::Display;

use jiff::Timestamp;
use serde::{Serialize, Serializer};

use super::chance::derived;
use super::script::{Template, TemplateKind};
use super::status::RequestStatus;
use super::store::{CALLER, DataItem, Seen};
use crate::request::{Guid, RequestType};

/// Something that stands in JSON as the string it is displayed as.
struct Text<T>(T);

impl<T: Display> Serialize for Text<T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(&self.0)
    }
}

const NO_GUID: Text<Guid> = Text(Guid::from_bytes([0; 16]));

/// The value of `Completed` of a request that is not: without zone, as the pages show it.
const NOT_COMPLETED: &str = "0001-01-01T00:00:00";

/// A request: 21 properties, in the order of the page.
#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct RequestObject<'a> {
    uuid: Text<Guid>,
    request_type: u8,
    status: u8,
    flags: u8,
    data_collection: Vec<DataObject<'a>>,
    data_collection_flags: u8,
    originator_user_uuid: Text<Guid>,
    target_user_uuid: Text<Guid>,
    submitted: String,
    completed: String,
    new_profile_uuid: Text<Guid>,
    old_profile_uuid: Text<Guid>,
    new_smartcard_uuid: Text<Guid>,
    old_smartcard_uuid: Text<Guid>,
    priority: u8,
    comment: &'a str,
    profile_template_uuid: Text<Guid>,
    security_descriptor: String,
    is_smartcard: bool,
    is_enrollment_agent: bool,
    is_data_collection_complete: bool,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct DataObject<'a> {
    name: &'a str,
    value: Option<&'a str>,
}

/// Appends a request object.
pub(crate) fn write_request(seen: Seen<'_>, out: &mut Vec<u8>) {
    let row = seen.row;
    let ids = Ids::of(seen);
    let object = RequestObject {
        uuid: Text(row.uuid),
        request_type: type_number(row.kind),
        status: seen.status.number(),
        // 2 goes with smart cards in every published sample; that it means just this is inferred.
        flags: if row.on_card { 2 } else { 0 },
        data_collection: row.data.iter().map(data_object).collect(),
        data_collection_flags: 32,
        originator_user_uuid: Text(CALLER),
        target_user_uuid: Text(row.target),
        submitted: time(row.submitted_ms),
        completed: seen.completed_ms.map_or_else(|| NOT_COMPLETED.to_owned(), time),
        new_profile_uuid: Text(ids.new_profile),
        old_profile_uuid: Text(ids.old_profile),
        new_smartcard_uuid: Text(ids.new_card),
        old_smartcard_uuid: Text(ids.old_card),
        priority: row.priority,
        comment: &row.comment,
        profile_template_uuid: Text(row.template),
        security_descriptor: security_descriptor(&row.uuid),
        is_smartcard: row.on_card,
        is_enrollment_agent: false,
        // The samples show false even for completed requests.
        is_data_collection_complete: false,
    };
    serde_json::to_writer(out, &object).expect("numbers and strings always serialize");
}

fn data_object(item: &DataItem) -> DataObject<'_> {
    DataObject { name: &item.name, value: item.value.as_deref() }
}

/// Returns the number of a type. 1 and 5 stand in published examples and 6 in one of the SDK; the others are inferred
/// from the order of the SDK's member names, and above 10 made up.
pub(crate) const fn type_number(kind: RequestType) -> u8 {
    match kind {
        RequestType::Enroll => 1,
        RequestType::Recover => 2,
        RequestType::Renew => 3,
        RequestType::Revoke => 4,
        RequestType::Unblock => 5,
        RequestType::Duplicate => 6,
        RequestType::Retire => 7,
        RequestType::RecoverOnBehalf => 8,
        RequestType::Reinstate => 9,
        RequestType::OnlineUpdate => 10,
        RequestType::OfflineUnblock => 11,
        RequestType::TemporaryCards => 12,
    }
}

/// The profiles and cards of a request.
struct Ids {
    new_profile: Guid,
    old_profile: Guid,
    new_card: Guid,
    old_card: Guid,
}

impl Ids {
    /// The samples show equal, non-zero ids for Unblock, and new ids for a completed Enroll; the rest is inferred.
    fn of(seen: Seen<'_>) -> Self {
        let row = seen.row;
        let zero = NO_GUID.0;
        let old_profile = match (row.profile.is_zero(), row.smartcard.is_zero()) {
            (false, _) => row.profile,
            (true, false) => derived(&row.smartcard, PROFILE),
            (true, true) => zero,
        };
        let old = Self { new_profile: zero, old_profile, new_card: zero, old_card: row.smartcard };
        match row.kind {
            RequestType::Unblock | RequestType::OfflineUnblock => {
                Self { new_profile: old.old_profile, new_card: old.old_card, ..old }
            }
            RequestType::Enroll
            | RequestType::Duplicate
            | RequestType::Renew
            | RequestType::Recover
            | RequestType::RecoverOnBehalf
            | RequestType::TemporaryCards
                if seen.status == RequestStatus::Completed =>
            {
                let new_card = if row.on_card { derived(&row.uuid, CARD) } else { zero };
                Self { new_profile: derived(&row.uuid, PROFILE), new_card, ..old }
            }
            RequestType::Enroll
            | RequestType::Duplicate
            | RequestType::Renew
            | RequestType::Recover
            | RequestType::RecoverOnBehalf
            | RequestType::TemporaryCards
            | RequestType::OnlineUpdate
            | RequestType::Reinstate
            | RequestType::Retire
            | RequestType::Revoke => old,
        }
    }
}

/// Salts for the ids that belong to a request or card.
const PROFILE: u64 = 1;
const CARD: u64 = 2;

/// Writes a time with a `Z` and as few decimals as it needs. The samples have two or three decimals, which is what a SQL
/// `datetime` with its steps of 1/300 second gives; that it is one is inferred.
fn time(ms: i64) -> String {
    let steps = (ms.saturating_mul(3) + 5).div_euclid(10);
    let rounded = (steps * 10 + 1).div_euclid(3);
    Timestamp::from_millisecond(rounded).unwrap_or(Timestamp::MAX).to_string()
}

/// Writes SDDL padded with NUL characters, whose number differs from request to request as in the samples.
fn security_descriptor(uuid: &Guid) -> String {
    let padding = usize::from(uuid.as_bytes()[15] % 4) + 1;
    format!("O:S-1-5-21-1-2-3-1104D:(A;;RC;;;WD){}", "\0".repeat(padding))
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct TemplateObject<'a> {
    name: &'a str,
    description: &'a str,
    uuid: Text<Guid>,
    is_smartcard_profile_template: bool,
    is_virtual_smartcard_profile_template: bool,
}

impl<'a> TemplateObject<'a> {
    /// That a virtual smart card template counts as one of smart cards too is inferred.
    fn new(template: &'a Template) -> Self {
        Self {
            name: &template.name,
            description: &template.description,
            uuid: Text(template.uuid),
            is_smartcard_profile_template: template.kind != TemplateKind::Software,
            is_virtual_smartcard_profile_template: template.kind == TemplateKind::VirtualSmartcard,
        }
    }
}

/// Returns a template object: the limited view of the list. No page shows that of a single template; *chosen* alike.
pub(crate) fn template(template: &Template) -> Vec<u8> {
    json(&TemplateObject::new(template))
}

/// Returns the list of templates.
pub(crate) fn templates(templates: &[Template]) -> Vec<u8> {
    json(&templates.iter().map(TemplateObject::new).collect::<Vec<_>>())
}

/// A workflow policy. The page names these properties and shows no sample: the values are made up.
#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct PolicyObject {
    approvals_needed: u8,
    authorized_approver: &'static str,
    authorized_enrollment_agent: &'static str,
    authorized_initiator: &'static str,
    collect_comments: bool,
    collect_request_priority: bool,
    default_request_priority: u8,
    documents: [u8; 0],
    enabled: bool,
    enroll_agent_required: bool,
    one_time_password_policy: u8,
    personalization: u8,
    policy_data_collection: [u8; 0],
    self_service_enabled: bool,
}

/// Whether a policy lets its request type be asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum PolicyState {
    Enabled,
    Disabled,
}

/// Returns a workflow policy.
pub(crate) fn policy(template: &Template, approvals_needed: u8, state: PolicyState) -> Vec<u8> {
    json(&PolicyObject {
        approvals_needed,
        authorized_approver: "D:",
        authorized_enrollment_agent: "D:",
        authorized_initiator: "D:(A;;RC;;;WD)",
        collect_comments: false,
        collect_request_priority: false,
        default_request_priority: template.default_priority,
        documents: [],
        enabled: state == PolicyState::Enabled,
        enroll_agent_required: false,
        one_time_password_policy: 0,
        personalization: 0,
        policy_data_collection: [],
        self_service_enabled: true,
    })
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct ProfileObject {
    uuid: Text<Guid>,
    status: u8,
    flags: u8,
    parent_profile_uuid: Text<Guid>,
    primary_profile_uuid: Text<Guid>,
    assigned_user_uuid: Text<Guid>,
    profile_template_uuid: Text<Guid>,
    profile_template_version: u8,
    comment: &'static str,
    profile_operations: [&'static str; 3],
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct SmartcardObject {
    uuid: Text<Guid>,
    status: u8,
    flags: u8,
    parent_smartcard_uuid: Text<Guid>,
    primary_smartcard_uuid: Text<Guid>,
    permanent_smartcard_uuid: Text<Guid>,
    assigned_user_uuid: Text<Guid>,
    profile_template_uuid: Text<Guid>,
    profile_template_version: u8,
    comment: &'static str,
    serial_number: &'static str,
    middleware: &'static str,
    atr: &'static str,
}

/// The caller's one software profile. Made up.
pub(crate) const PROFILE_UUID: Guid = Guid::from_bytes(0x0d9c_8b7a_6f5e_4d3c_a2b1_a0b1_c2d3_e405_u128.to_be_bytes());

/// The caller's one smart card. Made up.
pub(crate) const CARD_UUID: Guid = Guid::from_bytes(0x71e2_d3c4_b5a6_4978_8899_aabb_ccdd_ee06_u128.to_be_bytes());

/// Its serial number, with the braces of the sample.
pub(crate) const CARD_SERIAL: &str = "{9b8a7c6d-5e4f-4031-a2b3-c4d5e6f70807}";

/// What the caller's profile offers, in the lower case of the page.
pub(crate) const PROFILE_OPERATIONS: [&str; 3] = ["renew", "disable", "recover"];

/// What the caller's card offers.
pub(crate) const CARD_OPERATIONS: [&str; 3] = ["renew", "unblock", "retire"];

/// Returns the caller's profiles: a list of one, also where one is asked for, as the page has it.
pub(crate) fn profiles(templates: &[Template]) -> Vec<u8> {
    let template = first_uuid(templates, |kind| kind == TemplateKind::Software);
    json(&[ProfileObject {
        uuid: Text(PROFILE_UUID),
        status: 2,
        flags: 1,
        parent_profile_uuid: NO_GUID,
        primary_profile_uuid: NO_GUID,
        assigned_user_uuid: Text(CALLER),
        profile_template_uuid: Text(template),
        profile_template_version: 8,
        comment: "",
        profile_operations: PROFILE_OPERATIONS,
    }])
}

/// Returns the caller's smart card: one object, as the page has it.
pub(crate) fn smartcard(templates: &[Template]) -> Vec<u8> {
    let template = first_uuid(templates, |kind| kind != TemplateKind::Software);
    json(&SmartcardObject {
        uuid: Text(CARD_UUID),
        status: 3,
        flags: 1,
        parent_smartcard_uuid: NO_GUID,
        primary_smartcard_uuid: NO_GUID,
        permanent_smartcard_uuid: NO_GUID,
        assigned_user_uuid: Text(CALLER),
        profile_template_uuid: Text(template),
        profile_template_version: 46,
        comment: "",
        serial_number: CARD_SERIAL,
        middleware: "MSBaseCSP",
        atr: "3b00",
    })
}

fn first_uuid(templates: &[Template], wanted: impl Fn(TemplateKind) -> bool) -> Guid {
    templates.iter().find(|template| wanted(template.kind)).map_or(NO_GUID.0, |template| template.uuid)
}

/// Returns a JSON string, or a list of them.
pub(crate) fn json<T: Serialize + ?Sized>(value: &T) -> Vec<u8> {
    serde_json::to_vec(value).expect("numbers and strings always serialize")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_have_a_zone_and_the_steps_of_a_sql_datetime() {
        let base = "2024-03-05T10:11:12Z".parse::<Timestamp>().unwrap().as_millisecond();
        for (ms, text) in [
            (0, "2024-03-05T10:11:12Z"),
            (1, "2024-03-05T10:11:12Z"),
            (2, "2024-03-05T10:11:12.003Z"),
            (5, "2024-03-05T10:11:12.007Z"),
            (930, "2024-03-05T10:11:12.93Z"),
            (933, "2024-03-05T10:11:12.933Z"),
            (998, "2024-03-05T10:11:12.997Z"),
            (999, "2024-03-05T10:11:13Z"),
        ] {
            assert_eq!(time(base + ms), text, "{ms}");
        }
    }

    #[test]
    fn every_type_has_its_own_number() {
        let mut numbers: Vec<_> = RequestType::ALL.into_iter().map(type_number).collect();
        for kind in RequestType::ALL {
            if let Some(confirmed) = kind.confirmed_number() {
                assert_eq!(i64::from(type_number(kind)), confirmed);
            }
        }
        numbers.sort_unstable();
        assert_eq!(numbers, (1..=12).collect::<Vec<_>>());
    }
}
