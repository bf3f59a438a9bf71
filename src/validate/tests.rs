//! The module as a whole: from manifests to checked rows.

use std::cell::RefCell;
use std::fmt::Write as _;
use std::sync::Mutex;

use proptest::prelude::*;

use super::test_helpers::{Delivered, assert_agree, checked, guid, lines, manifest, surveyed, without_folders};
use super::*;
use crate::manifest::{Manifest, ReadOptions, Source};
use crate::request::RequestType;

const CARD: &str = "17cf063d-e337-4aa9-a822-346554ddd3c9";

/// Rules under which each example breaks what it is an example of.
fn example_rules() -> Rules {
    Rules { templates: [("Smart card users".to_owned(), guid(1))].into(), ..Rules::default() }
}

/// The bytes of an example, with what it writes for people undone.
fn example_bytes(rule: Rule) -> Vec<u8> {
    let text = rule.example().replace("\\u{7}", "\u{7}").replace("(1 MiB)", &"x".repeat(1 << 20));
    let mut bytes = text.into_bytes();
    while let Some(at) = memchr::memmem::find(&bytes, b"\\xE9") {
        bytes.splice(at..at + 4, [0xE9]);
    }
    bytes
}

fn example(rule: Rule) -> Manifest {
    let name = if rule.example().starts_with(['{', '[']) { "wave.jsonl" } else { "wave.csv" };
    manifest(name, example_bytes(rule))
}

#[test]
fn every_example_breaks_its_rule_and_no_other() {
    for rule in Rule::ALL {
        let manifests = [example(rule)];
        let (survey, rows) = checked(&manifests, &example_rules());
        assert_eq!(survey.by_rule, [(rule, 1)], "{rule}: {:?}", survey.first);
        assert_agree(&survey, &rows);
    }
}

#[test]
fn the_message_of_every_rule() {
    let mut all = String::new();
    for rule in Rule::ALL {
        let survey = surveyed(&[example(rule)], &example_rules());
        for line in lines(&survey.first) {
            writeln!(all, "{line}").unwrap();
        }
    }
    insta::assert_snapshot!(all);
}

/// How long a cell is that makes a manifest fall into several chunks (of about 256 KiB).
const PADDING: usize = 2048;

/// A manifest in which every third row or so is wrong in some way, and some rows repeat others.
fn mixed_manifest(n_rows: u32) -> String {
    let mut text = "id,type,profiletemplateuuid,target,comment,priority,note.Padding\n".to_owned();
    let padding = "x".repeat(PADDING);
    for row in 1..=n_rows {
        let kind = ["Enroll", "renew", "Revoke", "Enrol"][row as usize % 4];
        let target = if row % 11 == 0 { "nobody".to_owned() } else { guid(row % 150).to_string() };
        let id = if row % 17 == 0 { "A1".to_owned() } else { format!("A{row}") };
        let priority = if row % 13 == 0 { "high" } else { "4" };
        writeln!(text, "{id},{kind},{CARD},{target},row {row} Zoë,{priority},{padding}").unwrap();
    }
    text
}

#[test]
fn the_result_does_not_depend_on_the_number_of_threads() {
    for on_duplicate in [OnDuplicate::Error, OnDuplicate::First, OnDuplicate::Send] {
        let rules = Rules { on_duplicate, ..Rules::default() };
        let manifests = [
            manifest("a.csv", mixed_manifest(1000)),
            manifest("b.csv", "target\n"),
            manifest("c.csv", mixed_manifest(333)),
        ];
        let run = |threads| {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
            pool.install(|| checked(&manifests, &rules))
        };
        let (survey, rows) = run(1);
        assert_agree(&survey, &rows);
        assert_eq!(survey.n_rows, 1333);
        assert_eq!(survey.first.len(), 20);
        assert!(survey.n_valid > 100 && survey.n_invalid > 100);
        assert_eq!(survey.n_skipped > 0, on_duplicate == OnDuplicate::First);
        for threads in [2, 7] {
            assert_eq!(run(threads), (survey.clone(), rows.clone()), "{threads} threads");
        }
        assert_eq!(checked(&manifests, &rules), (survey, rows), "the global pool");
    }
}

#[test]
fn repeated_rows_and_ids_name_both_places_across_files() {
    let manifests = [
        manifest("wave.csv", format!("id,type,smartcard\nA,Unblock,{CARD}\nB,Unblock,{}\n", guid(2))),
        manifest("late.csv", format!("type,id,smartcard\nunblock,C,{{{}}}\nRenew,B,{CARD}\n", CARD.to_uppercase())),
    ];
    let (survey, rows) = checked(&manifests, &Rules::default());
    assert_agree(&survey, &rows);
    let lines = lines(&survey.first);
    assert!(
        lines[0].starts_with(
            "late.csv:2:1: error[duplicate-row]: the row asks for the same as wave.csv:2 (same type, smartcard);"
        ),
        "{lines:?}"
    );
    assert!(
        lines[1].starts_with("late.csv:3:7: error[duplicate-id]: id \"B\" is already that of wave.csv:3;"),
        "{lines:?}"
    );
    assert_eq!(survey.first[0].id.as_deref(), Some("C"));
    assert_eq!(survey.first[1].field.as_deref(), Some("id"));

    let first = Rules { on_duplicate: OnDuplicate::First, ..Rules::default() };
    let (survey, rows) = checked(&manifests, &first);
    assert_agree(&survey, &rows);
    assert_eq!((survey.n_valid, survey.n_skipped, survey.n_invalid), (2, 1, 1));
    assert!(matches!(&rows[2], Delivered::Skipped(_, reason) if without_folders(reason) == "duplicate of wave.csv:2"));

    let send = Rules { on_duplicate: OnDuplicate::Send, ..Rules::default() };
    let (survey, rows) = checked(&manifests, &send);
    assert_agree(&survey, &rows);
    assert_eq!((survey.n_valid, survey.n_skipped, survey.n_invalid), (3, 0, 1));
}

#[test]
fn invalid_rows_take_no_part_in_the_comparison() {
    let text = format!("id,type,smartcard,priority\nA,Unblock,{CARD},high\nA,Unblock,{CARD},4\n");
    let (survey, rows) = checked(&[manifest("wave.csv", text)], &Rules::default());
    assert_agree(&survey, &rows);
    assert_eq!(survey.by_rule, [(Rule::InvalidPriority, 1)]);
    assert_eq!(survey.n_valid, 1);
}

#[test]
fn every_row_twice_is_found_and_the_first_diagnostics_are_in_order() {
    let half: String = (1..=200).fold(String::new(), |mut text, row| {
        writeln!(text, "A{row},Unblock,{}", guid(row)).unwrap();
        text
    });
    let text = format!("id,type,smartcard\n{half}x,Foo,{CARD}\n{half}");
    let (survey, rows) = checked(&[manifest("wave.csv", text)], &Rules::default());
    assert_agree(&survey, &rows);
    assert_eq!(survey.by_rule, [(Rule::DuplicateRow, 200), (Rule::UnknownType, 1)]);
    assert_eq!(survey.first.iter().map(|found| found.line).collect::<Vec<_>>(), (202..222).collect::<Vec<_>>());
}

#[test]
fn header_findings_stand_before_the_rows_of_their_manifest_and_make_the_run_invalid() {
    let manifests = [
        manifest("a.csv", format!("type,smartcard\nUnblock,{CARD}\nFoo,{CARD}\n")),
        manifest("b.csv", format!("typ,target\nRenew,{CARD}\nRenew,x\n")),
        manifest("c.csv", "type,smartcard\n"),
    ];
    let (survey, rows) = checked(&manifests, &Rules::default());
    assert_agree(&survey, &rows);
    assert!(survey.header_invalid && !survey.is_valid());
    let found: Vec<_> =
        survey.first.iter().map(|found| (without_folders(&found.file), found.line, found.rule)).collect();
    assert_eq!(
        found,
        [
            ("a.csv".to_owned(), 3, Rule::UnknownType),
            ("b.csv".to_owned(), 1, Rule::UnknownColumn),
            ("b.csv".to_owned(), 1, Rule::MissingTemplate),
            ("b.csv".to_owned(), 3, Rule::InvalidGuid),
            ("c.csv".to_owned(), 1, Rule::NoRows),
        ]
    );
    // The rows of b.csv cannot be sent, and the one without an error of its own has none.
    assert_eq!((survey.n_valid, survey.n_invalid), (1, 3));
    assert!(matches!(&rows[2], Delivered::Invalid { diagnostics, .. } if diagnostics.is_empty()));
    let allowed = Rules { allow_empty: true, ..Rules::default() };
    assert!(surveyed(&manifests[2..], &allowed).is_valid());
}

#[test]
fn parts_and_rows_are_numbered_over_the_run() {
    let manifests = [
        manifest("a.csv", format!("type,smartcard\nFoo,{CARD}\nUnblock,{CARD}\n")),
        manifest("b.csv", format!("type,smartcard\nRenew,{CARD}\n")),
    ];
    let (survey, rows) = checked(&manifests, &Rules::default());
    let parts: Vec<_> =
        survey.parts.iter().map(|part| (without_folders(&part.name), part.first_row, part.n_rows)).collect();
    assert_eq!(parts, [("a.csv".to_owned(), 1, 2), ("b.csv".to_owned(), 3, 1)]);
    assert_eq!(survey.by_type, [(RequestType::Renew, 1), (RequestType::Unblock, 1)]);
    let Delivered::Valid(last) = &rows[2] else { panic!("{rows:?}") };
    assert_eq!((last.row.get(), last.part, last.part_row, last.line), (3, 2, 1, 2));
    let Delivered::Invalid { row, part, json, .. } = &rows[0] else { panic!("{rows:?}") };
    assert_eq!((*row, *part), (1, 1));
    assert_eq!(*json, format!(r#"{{"type":"Foo","smartcard":"{CARD}"}}"#));
}

#[test]
fn progress_counts_up_to_all_rows() {
    let seen = Mutex::new(Vec::new());
    let manifests = [manifest("a.csv", mixed_manifest(500))];
    let survey = survey(&manifests, &Rules::default(), &|progress| seen.lock().unwrap().push(progress)).unwrap();
    let seen = seen.into_inner().unwrap();
    for phase in [Phase::Checking, Phase::Comparing] {
        let last = seen.iter().rfind(|progress| progress.phase == phase).unwrap();
        assert_eq!((last.part, last.n_rows), (1, survey.n_rows));
    }
    assert!(seen.iter().filter(|progress| progress.phase == Phase::Checking).count() > 2);
    assert!(seen.windows(2).all(|pair| pair[0].phase != pair[1].phase || pair[0].n_rows < pair[1].n_rows));
}

#[test]
fn a_taker_that_refuses_stops_the_delivery() {
    let manifests = [manifest("a.csv", mixed_manifest(500))];
    let survey = surveyed(&manifests, &Rules::default());
    let n_taken = RefCell::new(0);
    let result = deliver(&manifests, &Rules::default(), &survey, |_| {
        *n_taken.borrow_mut() += 1;
        if *n_taken.borrow() == 3 { Err("disk full") } else { Ok(()) }
    });
    assert!(matches!(result, Err(DeliverError::Each("disk full"))));
    assert_eq!(n_taken.into_inner(), 3);
}

#[test]
fn a_manifest_that_changes_after_the_survey_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("wave.csv");
    let text = format!("type,smartcard\nUnblock,{CARD}\n");
    for changed in [text.replace("Unblock", "Reinsta"), format!("{text}Renew,{CARD}\n")] {
        std::fs::write(&path, &text).unwrap();
        let manifests = [Manifest::open(Source::File(path.clone()), &ReadOptions::default()).unwrap()];
        let survey = surveyed(&manifests, &Rules::default());
        std::fs::write(&path, changed).unwrap();
        let result = deliver::<()>(&manifests, &Rules::default(), &survey, |_| Ok(()));
        assert!(matches!(result, Err(DeliverError::Changed { .. })), "{result:?}");
    }
}

#[test]
fn other_manifests_than_the_surveyed_ones_are_refused() {
    let one = manifest("a.csv", format!("type,smartcard\nUnblock,{CARD}\n"));
    let other = manifest("b.csv", format!("type,smartcard\nRenew,{CARD}\n"));
    let survey = surveyed(std::slice::from_ref(&one), &Rules::default());
    for manifests in [vec![], vec![one, other]] {
        let result = deliver::<()>(&manifests, &Rules::default(), &survey, |_| Ok(()));
        assert!(matches!(result, Err(DeliverError::Changed { .. })), "{result:?}");
    }
}

#[test]
fn rules_that_cannot_be_followed_stop_both_passes() {
    let manifests = [manifest("a.csv", mixed_manifest(1))];
    let rules = Rules { profile_property: Some("type".to_owned()), ..Rules::default() };
    assert!(matches!(survey(&manifests, &rules, &|_| {}), Err(ValidateError::Rules(_))));
    let sound = surveyed(&manifests, &Rules::default());
    let result = deliver::<()>(&manifests, &rules, &sound, |_| Ok(()));
    assert!(matches!(result, Err(DeliverError::Rules(_))));
}

#[test]
fn json_rows_of_changing_shape_are_each_judged_by_their_own_names() {
    let mut text = String::new();
    for row in 0..40 {
        let line = match row % 4 {
            0 => format!(r#"{{"type":"Unblock","smartcard":"{}"}}"#, guid(row)),
            1 => format!(r#"{{"smartcard":"{}","Type":"renew","data.x{row}":1}}"#, guid(row)),
            2 => format!(r#"{{"type":"Unblock","smartcart":"{}"}}"#, guid(row)),
            _ => {
                format!(r#"{{"id":{row},"type":"Unblock","smartcard":"{}","datacollection":[{{"a":"1"}}]}}"#, guid(row))
            }
        };
        writeln!(text, "{line}").unwrap();
    }
    let (survey, rows) = checked(&[manifest("wave.jsonl", text)], &Rules::default());
    assert_agree(&survey, &rows);
    assert_eq!((survey.n_valid, survey.n_invalid), (30, 10));
    assert_eq!(survey.by_type, [(RequestType::Renew, 10), (RequestType::Unblock, 20)]);
}

/// Text of a cell: often nearly right.
fn arb_cell() -> impl Strategy<Value = String> {
    prop_oneof![
        4 => (0..6u32).prop_map(|number| guid(number).to_string()),
        2 => prop_oneof![Just("Enroll"), Just("renew"), Just("Unblock"), Just("Enrol"), Just("#N/A"), Just("6.1E+15"), Just("[]")]
            .prop_map(str::to_owned),
        2 => Just(String::new()),
        1 => "\\PC{0,12}",
        1 => "[ -~\u{a0}\u{2013}\u{fffd}\u{7}\u{85}\t]{0,8}",
    ]
}

/// The text of a JSON value.
fn arb_json() -> impl Strategy<Value = String> {
    prop_oneof![
        4 => arb_cell().prop_map(|text| serde_json::Value::from(text).to_string()),
        1 => prop_oneof![Just("null"), Just("true"), Just("4"), Just("6.1E+15"), Just("[]"), Just("{\"a\":[1]}")]
            .prop_map(str::to_owned),
        1 => Just("[{\"a\":\"1\"},{\"b\":2}]".to_owned()),
    ]
}

const COLUMNS: [&str; 12] = [
    "id",
    "type",
    "profiletemplateuuid",
    "target",
    "smartcard",
    "comment",
    "priority",
    "data.City",
    "datacollection",
    "profile",
    "body.Reason",
    "note.Name",
];

fn csv_text(columns: &[&str], rows: &[Vec<String>]) -> Vec<u8> {
    let mut writer = csv::WriterBuilder::new().flexible(true).from_writer(Vec::new());
    writer.write_record(columns).unwrap();
    for row in rows {
        writer.write_record(row).unwrap();
    }
    writer.into_inner().unwrap()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn any_manifest_gives_each_row_once_and_both_passes_agree(
        columns in proptest::sample::subsequence(COLUMNS.to_vec(), 1..=COLUMNS.len()).prop_shuffle(),
        rows in proptest::collection::vec(proptest::collection::vec(arb_cell(), 12), 0..40),
        extra in 0..30usize,
        on_duplicate in prop_oneof![Just(OnDuplicate::Error), Just(OnDuplicate::First), Just(OnDuplicate::Send)],
        threads in 1..4usize,
    ) {
        let rows: Vec<Vec<String>> = rows
            .into_iter()
            .enumerate()
            .map(|(index, mut cells)| {
                // One row in thirty has a field too many.
                cells.truncate(columns.len() + usize::from(index == extra));
                cells.insert(0, "x".repeat(8 * PADDING));
                cells
            })
            .collect();
        let columns: Vec<&str> = ["note.Padding"].into_iter().chain(columns).collect();
        let rules = Rules { on_duplicate, target_self: extra % 2 == 0, ..example_rules() };
        let manifests = [manifest("a.csv", csv_text(&columns, &rows)), manifest("b.csv", csv_text(&columns, &rows[rows.len() / 2..]))];
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
        let (survey, delivered) = pool.install(|| checked(&manifests, &rules));
        assert_agree(&survey, &delivered);
        let serial = rayon::ThreadPoolBuilder::new().num_threads(1).build().unwrap();
        prop_assert_eq!(serial.install(|| checked(&manifests, &rules)), (survey, delivered));
    }

    #[test]
    fn any_jsonl_manifest_gives_each_row_once_and_both_passes_agree(
        rows in proptest::collection::vec(
            proptest::collection::vec((proptest::sample::select(COLUMNS.to_vec()), arb_json()), 0..8),
            0..30,
        ),
        broken in 0..60usize,
    ) {
        let lines = rows.iter().enumerate().map(|(index, row)| {
            let properties: Vec<String> =
                row.iter().map(|(name, value)| format!("{}:{value}", serde_json::Value::from(*name))).collect();
            // A first line that is an opening brace alone makes the file one of JSON over many lines, which is refused whole.
            let end = if index == broken && !row.is_empty() { "" } else { "}" };
            format!("{{{}{end}\n", properties.join(","))
        });
        let manifests = [manifest("a.jsonl", lines.collect::<String>())];
        let rules = Rules { allow_empty: true, extra_columns: ExtraColumns::Keep, ..example_rules() };
        let (survey, delivered) = checked(&manifests, &rules);
        assert_agree(&survey, &delivered);
        prop_assert_eq!(delivered.len(), rows.len());
    }
}
