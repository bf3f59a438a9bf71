use super::super::row::RowFault;
use super::super::testing::{Row, rows};

fn one(line: &str) -> Row {
    let mut rows = rows("m.jsonl", line);
    assert_eq!(rows.len(), 1);
    rows.remove(0)
}

fn cells(line: &str) -> Vec<(String, String)> {
    match one(line) {
        Row::Json { cells, .. } => cells,
        other => panic!("{other:?}"),
    }
}

fn fault(line: &str) -> (u64, RowFault) {
    match one(line) {
        Row::Bad(bad) => {
            assert_eq!((bad.number, bad.at.0, &bad.raw[..]), (1, 1, line.as_bytes()));
            (bad.at.1, bad.fault)
        }
        other => panic!("{other:?}"),
    }
}

#[test]
fn values_are_given_as_they_are_written() {
    let line =
        r#" {"a":"x","b" : "l\nm\u00e4","\u0063":-1.50e3,"d":true,"e":null,"f":[1, {"a":2}],"g":{"a":3},"h":""} "#;
    let expected = [
        ("a", "text x"),
        ("b", "text l\nm\u{e4}"),
        ("c", "literal -1.50e3"),
        ("d", "literal true"),
        ("e", "null"),
        ("f", "nested [1, {\"a\":2}]"),
        ("g", "nested {\"a\":3}"),
        ("h", "text "),
    ];
    assert_eq!(cells(line), expected.map(|(name, value)| (name.to_owned(), value.to_owned())));
    assert_eq!(cells("{}"), []);
}

#[test]
fn lines_are_counted_and_blank_ones_skipped() {
    let rows = rows("m.jsonl", "\u{feff}\n{\"a\":1}\r\n \t\r\n{\"a\":2}\r{\"a\":3}\n\n{\"a\":4}");
    let lines: Vec<_> = rows.iter().map(|row| row.line().unwrap()).collect();
    assert_eq!(lines, [2, 4, 5, 7]);
}

#[test]
fn a_repeated_property_is_a_fault_in_any_case() {
    assert_eq!(fault(r#"{"type":1,"\u00e4":{"x":1},"Type":2}"#), (28, RowFault::RepeatedProperty("Type".to_owned())));
    assert_eq!(fault("{\"\u{e4}\":1, \"\u{c4}\":2}"), (9, RowFault::RepeatedProperty("\u{c4}".to_owned())));
    assert_eq!(fault(r#"{"a":1,"\u0061":2}"#), (8, RowFault::RepeatedProperty("a".to_owned())));
    let many = |last: &str| {
        let names: Vec<String> = (0..100).map(|i| format!("\"p{i}\":0")).collect();
        format!("{{{},\"{last}\":0}}", names.join(","))
    };
    assert_eq!(cells(&many("q")).len(), 101);
    assert_eq!(fault(&many("P7")).1, RowFault::RepeatedProperty("P7".to_owned()));
}

#[test]
fn what_is_no_json_object_is_a_fault_with_its_column() {
    let json = |reason: &str| RowFault::Json(reason.to_owned());
    assert_eq!(fault("  [1]"), (3, RowFault::NotAnObject));
    assert_eq!(fault("\"x\""), (1, RowFault::NotAnObject));
    assert_eq!(fault("12"), (1, RowFault::NotAnObject));
    assert_eq!(fault("type,target"), (2, json("expected ident")));
    assert_eq!(fault("{\"\u{e4}\":}"), (6, json("expected value")));
    assert_eq!(fault("{\"a\":1} x"), (9, json("trailing characters")));
    assert_eq!(fault("{\"a\":1,}"), (8, json("trailing comma")));
    assert_eq!(fault("{\"a\":\"x\u{1}\"}").1, json("control character (\\u0000-\\u001F) found while parsing a string"));
    assert_eq!(fault("{\"a\":1").1, json("EOF while parsing an object"));
    assert!(matches!(fault(r#"{"a":"\ud800"}"#).1, RowFault::Json(_)));
    assert!(matches!(fault(&"[".repeat(100_000)).1, RowFault::Json(_)));
    assert!(matches!(fault(&format!("{{\"a\":{}", "[".repeat(100_000))).1, RowFault::Json(_)));
}

#[test]
fn bytes_that_are_no_text_are_a_fault() {
    let rows = rows("m.jsonl", b"{\"a\":1}\n{\"\xc3\xa4\":\"\xfc\"}\n{\"a\":3}");
    let bad = rows[1].bad().unwrap();
    assert_eq!((bad.at, bad.field, bad.cells.is_none()), ((2, 7), None, true));
    assert_eq!(bad.fault, RowFault::Undecodable { unit: 0xfc, in_windows_1252: Some('\u{fc}') });
    assert_eq!(rows[2].line(), Some(3));
}
