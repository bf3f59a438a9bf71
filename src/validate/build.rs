//! The request of a good row.

use super::cells::{self, Value};
use super::columns::{Layout, Role};
use super::row::Judged;
use super::rules::Rules;
use crate::manifest::Cells;
use crate::request::{CreateRequest, NamedValue, NamedValues, RowId};

/// What a good row says, owned.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Built {
    pub(super) id: Option<String>,
    pub(super) request: CreateRequest,
    pub(super) notes: NamedValues,
    pub(super) from_row: Option<RowId>,
    pub(super) from_run: Option<String>,
}

/// The columns that hold where a row was rejected or exported from: its number, and the run.
const FROM_ROW: &str = "_row";
const FROM_RUN: &str = "_run";

/// Makes the request of a row that was found good. Empty data, body and note cells are left out.
pub(super) fn build(rules: &Rules, layout: &Layout, row: Cells<'_>, judged: Judged<'_>) -> Built {
    let mut request = CreateRequest {
        template: judged.template,
        target: judged.target,
        smartcard: judged.smartcard,
        profile: judged.profile,
        priority: judged.priority,
        comment: rules.defaults.comment.clone().unwrap_or_default(),
        ..CreateRequest::new(judged.kind)
    };
    judged.collection.iter().for_each(|item| request.data.push(&item.name, &item.value));
    let (mut notes, mut from_row, mut from_run) = (NamedValues::new(), None, None);
    for (column, role) in layout.roles.iter().enumerate() {
        let bytes = match cells::value(row, column) {
            Value::Absent => continue,
            Value::Text(bytes) => bytes,
            Value::Nested(json) => json.as_bytes(),
        };
        let text = || cells::text(bytes);
        match role {
            Role::Comment => request.comment = text().into_owned(),
            Role::Data(name) => request.data.push(name, &text()),
            Role::Body { name, .. } => request.body.push(NamedValue::new(name.as_str(), text())),
            Role::Note(name) => notes.push(name, &text()),
            Role::Id
            | Role::Type
            | Role::Template
            | Role::Target
            | Role::Smartcard
            | Role::Priority
            | Role::DataCollection
            | Role::Profile
            | Role::Faulty => {}
            Role::Ignored => {
                let is = |wanted: &str| layout.names.get(column).is_some_and(|name| name.eq_ignore_ascii_case(wanted));
                if is(FROM_ROW) {
                    from_row = text().trim().parse().ok().and_then(RowId::new);
                } else if is(FROM_RUN) {
                    from_run = Some(text().trim().to_ascii_lowercase()).filter(|run| !run.is_empty());
                }
            }
        }
    }
    if let (Some(property), Some(profile)) = (&rules.profile_property, judged.profile) {
        request.body.push(NamedValue::new(property.as_str(), profile.to_string()));
    }
    Built { id: judged.id.map(|id| cells::text(id).into_owned()), request, notes, from_row, from_run }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::request::{DataEncoding, RequestType};
    use crate::validate::columns::Form;
    use crate::validate::finding::Findings;
    use crate::validate::{Defaults, row};

    const GUID: &str = "97cc3493-f556-4c9b-9d8b-982434201527";
    const CARD: &str = "17cf063d-e337-4aa9-a822-346554ddd3c9";

    fn built(rules: &Rules, pairs: &[(&str, &str)]) -> Built {
        let (names, values): (Vec<_>, Vec<_>) = pairs.iter().copied().unzip();
        let layout = Layout::resolve(Form::Csv, names, rules);
        let record = csv::ByteRecord::from(values);
        let cells = Cells::Csv(&record);
        let judged = row::check(rules, &layout, cells, &mut Findings::default()).unwrap();
        build(rules, &layout, cells, judged)
    }

    #[test]
    fn every_cell_finds_its_place() {
        let built = built(
            &Rules::default(),
            &[
                ("id", " A17 "),
                ("type", "revoke"),
                ("profiletemplateuuid", "{97CC3493-F556-4C9B-9D8B-982434201527}"),
                ("target", CARD),
                ("comment", " left, Zoë\r\nlast day "),
                ("priority", "04"),
                ("data.City", " Oslo"),
                ("data.Empty", ""),
                ("body.Reason", "1"),
                ("profile", GUID),
                ("note.Name", "Zoë"),
                ("_error", "x"),
                ("_Row", " 17 "),
                ("_run", " 620F9407-cb "),
            ],
        );
        assert_eq!((built.from_row, built.from_run.as_deref()), (RowId::new(17), Some("620f9407-cb")));
        assert_eq!(built.id.as_deref(), Some("A17"));
        assert_eq!(built.notes.to_vec(), [NamedValue::new("Name", "Zoë")]);
        let expected = CreateRequest {
            template: GUID.parse().ok(),
            target: CARD.parse().ok(),
            profile: GUID.parse().ok(),
            comment: " left, Zoë\r\nlast day ".to_owned(),
            priority: Some(4),
            data: NamedValues::from_iter([NamedValue::new("City", " Oslo")]),
            body: vec![NamedValue::new("Reason", "1")],
            ..CreateRequest::new(RequestType::Revoke)
        };
        assert_eq!(built.request, expected);
    }

    #[test]
    fn a_profile_is_sent_only_as_the_property_that_is_named() {
        let row = [("type", "Revoke"), ("target", CARD), ("profile", GUID)];
        let rules = Rules { profile_property: Some("ProfileUuid".to_owned()), ..Rules::default() };
        let body = built(&rules, &row).request.wire_body("", DataEncoding::Array);
        assert!(String::from_utf8(body).unwrap().contains(&format!("\"ProfileUuid\":\"{GUID}\"")));
        let kept = built(&Rules::default(), &[("type", "Unblock"), ("smartcard", CARD), ("profile", GUID)]).request;
        assert!(kept.body.is_empty() && kept.profile.is_some());
    }

    #[test]
    fn the_default_comment_fills_empty_cells_and_the_collection_the_data() {
        let rules = Rules {
            defaults: Defaults { comment: Some("wave 3".to_owned()), ..Defaults::default() },
            ..Rules::default()
        };
        let card = [("type", "Unblock"), ("smartcard", CARD)];
        assert_eq!(built(&rules, &card).request.comment, "wave 3");
        assert_eq!(built(&rules, &[card[0], card[1], ("comment", "own")]).request.comment, "own");
        let data = built(&rules, &[card[0], card[1], ("datacollection", r#"[{"city":"Oslo"},{"n":4}]"#)]).request.data;
        assert_eq!(data.to_vec(), [NamedValue::new("city", "Oslo"), NamedValue::new("n", "4")]);
    }
}
