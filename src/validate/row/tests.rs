use std::borrow::Cow;

use super::*;
use crate::manifest::{JsonCell, JsonValue};
use crate::validate::columns::Form;
use crate::validate::finding::{Finding, Wording};
use crate::validate::{Defaults, ExtraColumns};

const GUID: &str = "97cc3493-f556-4c9b-9d8b-982434201527";
const CARD: &str = "17cf063d-e337-4aa9-a822-346554ddd3c9";

/// Columns and cells by pairs.
type CsvRow<'a> = &'a [(&'a str, &'a str)];
/// Properties and values by pairs.
type JsonRow<'a> = &'a [(&'a str, JsonValue<'a>)];

/// Checks one CSV row and gives what was found, and a short text of what was read.
fn check_csv(rules: &Rules, columns: &[&str], cells: &[&str]) -> Result<String, Vec<Finding>> {
    let layout = Layout::resolve(Form::Csv, columns.iter().copied(), rules);
    let record = csv::ByteRecord::from(cells.to_vec());
    outcome(rules, &layout, Cells::Csv(&record))
}

fn outcome(rules: &Rules, layout: &Layout, cells: Cells<'_>) -> Result<String, Vec<Finding>> {
    let mut findings = Findings::default();
    findings.start_row(Wording::Full);
    match check(rules, layout, cells, &mut findings) {
        Some(judged) => {
            assert_eq!(findings.n_in_row(), 0);
            Ok(format!("{judged:?}"))
        }
        None => Err(findings.take_row()),
    }
}

fn broken(result: Result<String, Vec<Finding>>) -> Vec<Rule> {
    result.err().unwrap_or_default().into_iter().map(|finding| finding.rule).collect()
}

/// The row of a table: columns and cells by pairs.
fn pairs(rules: &Rules, row: &[(&str, &str)]) -> Vec<Rule> {
    let (columns, cells): (Vec<_>, Vec<_>) = row.iter().copied().unzip();
    broken(check_csv(rules, &columns, &cells))
}

#[test]
fn every_rule_of_a_row_by_table() {
    let card = ("smartcard", CARD);
    let unblock = ("type", "Unblock");
    let table: &[(CsvRow<'_>, &[Rule])] = &[
        (&[unblock, card], &[]),
        (&[("type", "  uNBLOCK\t"), ("smartcard", " {17CF063D-E337-4AA9-A822-346554DDD3C9} ")], &[]),
        (&[("type", "Enroll"), ("profiletemplateuuid", GUID), ("target", GUID)], &[]),
        (&[("type", "Enroll"), card], &[Rule::MissingTemplate]),
        (&[("type", "Enroll"), card, ("body.x", "1")], &[Rule::MissingTemplate]),
        (&[("type", "Renew"), ("target", GUID), ("body.x", "1")], &[]),
        (&[("type", "Renew"), ("target", GUID), ("body.x", "")], &[Rule::MissingTemplate]),
        (&[("type", "Renew"), ("profiletemplateuuid", GUID), ("target", " ")], &[Rule::MissingTarget]),
        (&[("type", " "), card], &[Rule::MissingType]),
        (&[("type", "Enrol"), card], &[Rule::UnknownType]),
        (&[("type", "Enrоll"), card], &[Rule::LookalikeCharacter]),
        (&[("type", "Enroll\u{a0}"), card], &[Rule::LookalikeCharacter]),
        (&[("type", "#NAME?"), card], &[Rule::SpreadsheetError]),
        (&[unblock, ("smartcard", "x")], &[Rule::InvalidGuid]),
        (&[unblock, ("smartcard", "00000000-0000-0000-0000-000000000000")], &[Rule::ZeroGuid]),
        (&[unblock, ("smartcard", "17cf063d\u{2013}e337-4aa9-a822-346554ddd3c9")], &[Rule::LookalikeCharacter]),
        (&[unblock, card, ("profile", "17")], &[Rule::InvalidGuid]),
        (&[unblock, card, ("priority", "0")], &[]),
        (&[unblock, card, ("priority", " 255 ")], &[]),
        (&[unblock, card, ("priority", "256")], &[Rule::InvalidPriority]),
        (&[unblock, card, ("priority", "+4")], &[Rule::InvalidPriority]),
        (&[unblock, card, ("priority", "-1")], &[Rule::InvalidPriority]),
        (&[unblock, card, ("priority", "4.0")], &[Rule::InvalidPriority]),
        (&[unblock, card, ("priority", "４")], &[Rule::LookalikeCharacter]),
        (&[unblock, card, ("comment", "Zoë\r\nlost\tit")], &[]),
        (&[unblock, card, ("comment", "a\0")], &[Rule::ControlCharacter]),
        (&[unblock, card, ("comment", "a\u{9b}")], &[Rule::ControlCharacter]),
        (&[unblock, card, ("comment", "6.1E+15")], &[]),
        (&[unblock, card, ("comment", "x [cmb:y")], &[Rule::TagInComment]),
        (&[unblock, card, ("comment", "x [CMB:y")], &[]),
        (&[unblock, card, ("comment", "a\nb"), ("note.x", "a\tb\nc")], &[]),
        (&[unblock, card, ("data.x", "a\nb")], &[Rule::ControlCharacter]),
        (&[unblock, card, ("_error", "UNDECIDED: asks for the same"), ("_row", "4")], &[Rule::UndecidedReject]),
        (&[unblock, card, ("_error", "type \"Foo\" is not a request type")], &[]),
        (&[unblock, card, ("data.x", "6.1E+15")], &[Rule::NumberDamaged]),
        (&[unblock, card, ("data.x", "#N/A")], &[Rule::SpreadsheetError]),
        (&[unblock, card, ("body.x", "1,23457E+15")], &[Rule::NumberDamaged]),
        (&[unblock, card, ("body.x", "a\nb")], &[Rule::ControlCharacter]),
        (&[unblock, card, ("id", "6.1E+15")], &[Rule::NumberDamaged]),
        (&[unblock, card, ("id", "A\u{7}")], &[Rule::ControlCharacter]),
        (&[unblock, card, ("note.x", "6.1E+15 \n#N/A")], &[]),
        (&[unblock, card, ("note.x", "\u{fffd}")], &[Rule::TextDamaged]),
        (&[unblock, card, ("datacollection", "[]")], &[]),
        (&[unblock, card, ("datacollection", " ")], &[]),
        (&[unblock, card, ("datacollection", r#"[{"a":"1"}]"#)], &[]),
        (&[unblock, card, ("datacollection", "x")], &[Rule::InvalidDataCollection]),
        (&[unblock, card, ("datacollection", r#"[{"a":"1"},{"a":"1"}]"#)], &[Rule::RepeatedDataItem]),
        (&[unblock, card, ("datacollection", r#"[{"a":6.1E+15}]"#)], &[Rule::NumberDamaged]),
        (&[unblock, card, ("datacollection", r#"[{"a":"\u0007"}]"#)], &[Rule::ControlCharacter]),
        (&[unblock, card, ("datacollection", r#"[{"a":"1"}]"#), ("data.b", "2")], &[Rule::ConflictingColumns]),
        (&[unblock, card, ("datacollection", "[]"), ("data.b", "2")], &[]),
        (&[unblock, card, ("datacollection", r#"[{"a":"1"}]"#), ("data.b", "")], &[]),
        (&[("type", ""), ("smartcard", " "), ("note.x", "")], &[Rule::EmptyRow]),
        (&[("type", ""), ("smartcard", ""), ("_row", "17"), ("_error", "x")], &[Rule::EmptyRow]),
        (&[unblock, card, ("_row", "\0"), ("_error", "\u{fffd}")], &[]),
    ];
    for (row, expected) in table {
        assert_eq!(pairs(&Rules::default(), row), *expected, "{row:?}");
    }
}

#[test]
fn every_error_of_a_row_is_found_in_the_order_of_its_columns() {
    let row = [("target", "x"), ("priority", "high"), ("comment", "\0"), ("type", "Foo"), ("id", "1E+15")];
    let (columns, cells): (Vec<_>, Vec<_>) = row.into_iter().unzip();
    let layout_free =
        Rules { defaults: Defaults { template: GUID.parse().ok(), ..Defaults::default() }, ..Rules::default() };
    let findings = check_csv(&layout_free, &columns, &cells).unwrap_err();
    let found: Vec<_> = findings.iter().map(|finding| (finding.rule, finding.field)).collect();
    assert_eq!(
        found,
        [
            (Rule::InvalidGuid, Some(0)),
            (Rule::InvalidPriority, Some(1)),
            (Rule::ControlCharacter, Some(2)),
            (Rule::UnknownType, Some(3)),
            (Rule::NumberDamaged, Some(4)),
        ]
    );
}

#[test]
fn a_line_with_another_number_of_fields_has_only_that_error() {
    let columns = ["type", "smartcard", "comment"];
    for cells in [&["Foo", "x"][..], &["Foo", "x", "y", "z"], &[""]] {
        assert_eq!(broken(check_csv(&Rules::default(), &columns, cells)), [Rule::FieldCount], "{cells:?}");
    }
}

#[test]
fn defaults_stand_in_for_empty_cells() {
    let template: Guid = GUID.parse().unwrap();
    let rules = Rules {
        defaults: Defaults {
            kind: Some(RequestType::Enroll),
            template: Some(template),
            comment: None,
            priority: Some(7),
        },
        target_self: true,
        ..Rules::default()
    };
    let read = check_csv(&rules, &["type", "profiletemplateuuid", "note.n"], &["", " ", "x"]).unwrap();
    assert!(read.contains("kind: Enroll") && read.contains(GUID) && read.contains("priority: Some(7)"), "{read}");
    let own = check_csv(&rules, &["type", "priority"], &["Renew", "3"]).unwrap();
    assert!(own.contains("kind: Renew") && own.contains("priority: Some(3)"), "{own}");
    // A row of empty cells stays an error: with every default it would otherwise be sent.
    assert_eq!(broken(check_csv(&rules, &["type", "priority"], &["", ""])), [Rule::EmptyRow]);
}

#[test]
fn templates_can_be_named_in_any_case() {
    let rules =
        Rules { templates: [("Smart Card Üsers".to_owned(), GUID.parse().unwrap())].into(), ..Rules::default() };
    let columns = ["type", "profiletemplateuuid", "target"];
    let read = check_csv(&rules, &columns, &["Enroll", " SMART card üsers ", CARD]).unwrap();
    assert!(read.contains(&format!("template: Some({GUID})")), "{read}");
    for (cell, rule) in [
        ("Smart Card User", Rule::UnknownTemplate),
        ("97cc3493-f556-4c9b-9d8b-98243420152", Rule::InvalidGuid),
        ("97cc3493\u{2013}f556-4c9b-9d8b-982434201527", Rule::LookalikeCharacter),
        ("00000000-0000-0000-0000-000000000000", Rule::ZeroGuid),
    ] {
        assert_eq!(broken(check_csv(&rules, &columns, &["Enroll", cell, CARD])), [rule], "{cell}");
    }
}

#[test]
fn a_profile_that_is_sent_stands_for_a_template_and_one_that_is_kept_does_not() {
    let row = [("type", "Revoke"), ("target", GUID), ("profile", CARD), ("profiletemplateuuid", "")];
    let sent = Rules { profile_property: Some("profileuuid".to_owned()), ..Rules::default() };
    assert_eq!(pairs(&sent, &row), []);
    assert_eq!(pairs(&Rules::default(), &row), [Rule::MissingTemplate]);
}

#[test]
fn rows_under_a_faulty_header_are_judged_without_errors_that_follow_from_it() {
    let columns = ["type", "comment", "Department"];
    assert_eq!(broken(check_csv(&Rules::default(), &columns, &["Renew", "", "x"])), []);
    assert_eq!(
        broken(check_csv(&Rules::default(), &columns, &["Foo", "\0", "x"])),
        [Rule::UnknownType, Rule::ControlCharacter]
    );
    assert!(check_csv(&Rules::default(), &columns, &["Renew", "", "x"]).is_err());
}

fn json_row<'a>(properties: &[(&'a str, JsonValue<'a>)]) -> Vec<JsonCell<'a>> {
    properties.iter().map(|(name, value)| JsonCell { name: Cow::Borrowed(name), value: value.clone() }).collect()
}

fn check_json(rules: &Rules, properties: &[(&str, JsonValue<'_>)]) -> Result<String, Vec<Finding>> {
    let row = json_row(properties);
    let layout = Layout::resolve(Form::Jsonl, cells::names(&row), rules);
    outcome(rules, &layout, Cells::Json(&row))
}

#[test]
fn json_values_are_taken_as_their_text_and_null_as_nothing() {
    let text = |text: &'static str| JsonValue::Text(Cow::Borrowed(text));
    let card = ("smartcard", text(CARD));
    let read = check_json(
        &Rules::default(),
        &[
            ("type", text("unblock")),
            card.clone(),
            ("priority", JsonValue::Literal("4")),
            ("id", JsonValue::Literal("17")),
            ("target", JsonValue::Null),
            ("data.vip", JsonValue::Literal("true")),
            ("note.any", JsonValue::Nested("{\"a\":[1]}")),
            ("datacollection", JsonValue::Null),
        ],
    )
    .unwrap();
    assert!(read.contains("priority: Some(4)") && read.contains("id: Some([49, 55])"), "{read}");
    let collection = check_json(
        &Rules::default(),
        &[("type", text("unblock")), card.clone(), ("datacollection", JsonValue::Nested(r#"[{"n":1}]"#))],
    );
    assert!(collection.unwrap().contains(r#"name: "n", value: "1""#));

    let table: &[(JsonRow<'_>, &[Rule])] = &[
        (&[], &[Rule::EmptyRow]),
        (&[("type", JsonValue::Null)], &[Rule::EmptyRow]),
        (&[("type", JsonValue::Nested("[]")), card.clone()], &[Rule::UnexpectedValue]),
        (&[("type", text("Unblock")), ("smartcard", JsonValue::Nested("{}"))], &[Rule::UnexpectedValue]),
        (&[("type", text("Unblock")), card.clone(), ("priority", JsonValue::Literal("1.5"))], &[Rule::InvalidPriority]),
        (&[("type", text("Unblock")), card.clone(), ("id", JsonValue::Literal("6.1E+15"))], &[Rule::NumberDamaged]),
        (&[("type", text("Unblock")), card.clone(), ("data.x", JsonValue::Nested("[1]"))], &[Rule::UnexpectedValue]),
        (
            &[("type", text("Unblock")), card.clone(), ("datacollection", JsonValue::Literal("4"))],
            &[Rule::InvalidDataCollection],
        ),
        (&[("type", text("Unblock")), card.clone(), ("Departement", text("x"))], &[Rule::UnknownColumn]),
        (&[("type", text("Unblock")), card.clone(), ("SmartCard", text(CARD))], &[Rule::RepeatedColumn]),
        (&[("comment", text("x"))], &[Rule::MissingType, Rule::MissingTemplate, Rule::MissingTarget]),
    ];
    for (row, expected) in table {
        assert_eq!(broken(check_json(&Rules::default(), row)), *expected, "{row:?}");
    }
    let keep = Rules { extra_columns: ExtraColumns::Keep, ..Rules::default() };
    assert_eq!(
        broken(check_json(&keep, &[("type", text("Unblock")), card, ("Departement", JsonValue::Nested("[1]"))])),
        []
    );
}

#[test]
fn bytes_that_are_no_utf8_are_an_error_and_never_a_panic() {
    let rules = Rules::default();
    let columns = ["id", "type", "smartcard", "comment", "priority", "datacollection"];
    let layout = Layout::resolve(Form::Csv, columns, &rules);
    for column in 0..columns.len() {
        let cells: Vec<&[u8]> =
            (0..columns.len()).map(|at| if at == column { &b"\xe9\xff"[..] } else { b"" }).collect();
        let record = csv::ByteRecord::from(cells);
        assert!(broken(outcome(&rules, &layout, Cells::Csv(&record))).contains(&Rule::TextDamaged), "{column}");
    }
}
