use super::*;
use crate::request::{Guid, RequestType};
use crate::validate::Defaults;

fn csv(names: &[&str], rules: &Rules) -> Layout {
    Layout::resolve(Form::Csv, names.iter().copied(), rules)
}

fn found(layout: &Layout) -> Vec<(Rule, Option<usize>)> {
    layout.findings.iter().map(|finding| (finding.rule, finding.column)).collect()
}

#[test]
fn names_are_known_in_any_case_and_with_blanks_around() {
    let layout = csv(
        &[
            " ID ",
            "Type",
            "ProfileTemplateUUID",
            "TARGET\u{a0}",
            "SmartCard",
            "comment",
            "Priority",
            "DataCollection",
            "profile",
            "Data.Cost Center",
            "BODY.Reason",
            "note.Name",
            "_row",
            "_Error",
        ],
        &Rules::default(),
    );
    assert_eq!(found(&layout), []);
    assert_eq!(
        layout.roles,
        [
            Role::Id,
            Role::Type,
            Role::Template,
            Role::Target,
            Role::Smartcard,
            Role::Comment,
            Role::Priority,
            Role::DataCollection,
            Role::Profile,
            Role::Data("Cost Center".to_owned()),
            Role::Body { name: "Reason".to_owned(), folded: "reason".to_owned() },
            Role::Note("Name".to_owned()),
            Role::Ignored,
            Role::Ignored,
        ]
    );
    assert_eq!(layout.names[0], "ID");
}

#[test]
fn unknown_columns_are_errors_or_notes_and_near_misses_always_errors() {
    let names = ["type", "smartcard", "Department", "Templte uuid", "data:city"];
    assert_eq!(
        found(&csv(&names, &Rules::default())),
        [(Rule::UnknownColumn, Some(2)), (Rule::UnknownColumn, Some(3)), (Rule::UnknownColumn, Some(4))]
    );
    let keep = Rules { extra_columns: ExtraColumns::Keep, ..Rules::default() };
    let layout = csv(&["type", "smartcard", "Department", "template", "data:city"], &keep);
    assert_eq!(found(&layout), [(Rule::UnknownColumn, Some(3)), (Rule::UnknownColumn, Some(4))]);
    assert_eq!(layout.roles[2], Role::Note("Department".to_owned()));
    assert_eq!(layout.findings[1].advice.help, "did you mean \"data.city\"?");
}

#[test]
fn repeated_columns_are_found_whatever_their_case_and_items_by_their_exact_name() {
    let layout = csv(
        &["type", "smartcard", "TYPE", "data.a", "data.A", "data.a", "body.x", "Body.X", "type"],
        &Rules::default(),
    );
    assert_eq!(
        found(&layout),
        [
            (Rule::RepeatedColumn, Some(2)),
            (Rule::RepeatedColumn, Some(5)),
            (Rule::RepeatedColumn, Some(7)),
            (Rule::RepeatedColumn, Some(8)),
        ]
    );
    let keep = Rules { extra_columns: ExtraColumns::Keep, ..Rules::default() };
    assert_eq!(found(&csv(&["type", "smartcard", "note.Floor", "Floor"], &keep)), [(Rule::RepeatedColumn, Some(3))]);
}

#[test]
fn columns_without_a_name_are_one_finding() {
    let layout = csv(&["type", "", "smartcard", "", ""], &Rules::default());
    assert_eq!(found(&layout), [(Rule::UnnamedColumn, Some(1))]);
    assert_eq!(layout.findings[0].advice.what, "column 2 has no name, and 2 others neither");
    assert_eq!(found(&csv(&["type", "smartcard", "data. "], &Rules::default())), [(Rule::UnnamedColumn, Some(2))]);
}

#[test]
fn body_columns_may_not_stand_for_own_properties() {
    for name in CreateRequest::OWN_PROPERTIES {
        let column = format!("body.{}", name.to_uppercase());
        assert_eq!(
            found(&csv(&["type", "smartcard", &column], &Rules::default())),
            [(Rule::ReservedProperty, Some(2))],
            "{name}"
        );
    }
}

#[test]
fn the_profile_property_has_one_source() {
    let rules = Rules { profile_property: Some("ProfileUuid".to_owned()), ..Rules::default() };
    let layout = csv(&["type", "smartcard", "profile", "body.profileuuid"], &rules);
    assert_eq!(found(&layout), [(Rule::ConflictingColumns, Some(3))]);
    assert_eq!(found(&csv(&["type", "smartcard", "body.profileuuid"], &rules)), []);
}

#[test]
fn a_missing_column_is_one_finding_that_an_option_or_another_column_settles() {
    let none = csv(&["comment"], &Rules::default());
    assert_eq!(found(&none), [(Rule::MissingType, None), (Rule::MissingTemplate, None), (Rule::MissingTarget, None)]);
    let guid = Guid::from_bytes([1; 16]);
    let given = Rules {
        defaults: Defaults { kind: Some(RequestType::Renew), template: Some(guid), ..Defaults::default() },
        target_self: true,
        ..Rules::default()
    };
    assert_eq!(found(&csv(&["comment"], &given)), []);
    assert_eq!(found(&csv(&["type", "smartcard"], &Rules::default())), []);
    assert_eq!(found(&csv(&["type", "target", "body.reason"], &Rules::default())), []);
    let property = Rules { profile_property: Some("profileuuid".to_owned()), ..Rules::default() };
    assert_eq!(found(&csv(&["type", "target", "profile"], &property)), []);
    assert_eq!(found(&csv(&["type", "target", "profile"], &Rules::default())), [(Rule::MissingTemplate, None)]);
}

#[test]
fn a_misspelled_column_is_not_also_reported_as_missing() {
    let layout = csv(&["typ", "targte", "template"], &Rules::default());
    assert_eq!(
        found(&layout),
        [(Rule::UnknownColumn, Some(0)), (Rule::UnknownColumn, Some(1)), (Rule::UnknownColumn, Some(2))]
    );
    assert_eq!(layout.missing, Missing { kind: true, template: true, target: true });
}

#[test]
fn damaged_names_are_named_as_such() {
    let layout = csv(&["type", "smartcard", "data.St\u{fffd}dt", "a\u{7}b"], &Rules::default());
    assert_eq!(found(&layout), [(Rule::TextDamaged, Some(2)), (Rule::ControlCharacter, Some(3))]);
}

#[test]
fn properties_of_an_object_are_not_missed_before_the_row_is_known() {
    let layout = Layout::resolve(Form::Jsonl, ["type", "Type"], &Rules::default());
    assert_eq!(found(&layout), [(Rule::RepeatedColumn, Some(1))]);
    assert!(layout.findings[0].advice.what.starts_with("property \"Type\" stands twice"));
}

#[test]
fn rows_are_not_asked_for_what_a_misspelled_property_was_meant_to_give() {
    let missing = |names: &[&str]| Layout::resolve(Form::Jsonl, names.iter().copied(), &Rules::default()).missing;
    assert_eq!(missing(&["type", "smartcart"]), Missing { kind: false, template: true, target: true });
    assert_eq!(missing(&["Typ", "Department"]), Missing { kind: true, template: false, target: false });
    assert_eq!(missing(&["type", "target", "bdoy.reason"]), Missing { kind: false, template: true, target: false });
}
