//! Manifests of every form give the same bodies.

use std::io::Write;

use serde_json::Value;

use crate::common::{Folder, TEMPLATE, bodies, guid, simulator, untagged};

/// Three rows with everything that is hard to carry: a comma, a quote, a line break, letters beyond ASCII.
const ROWS: [[&str; 4]; 3] = [
    ["a1", "Enroll", "Grüße, \"Zoë\"", "Łódź"],
    ["a2", "renew", "two\nlines", "Kraków"],
    ["a3", "REVOKE", "", "Zürich; Süd"],
];

fn csv_with(delimiter: char, line_end: &str) -> String {
    let quoted = |text: &str| format!("\"{}\"", text.replace('"', "\"\""));
    let mut text =
        ["id", "type", "profiletemplateuuid", "target", "comment", "data.City"].join(&delimiter.to_string()) + line_end;
    for (row, [id, kind, comment, city]) in (1..).zip(ROWS) {
        let cells = [id.to_owned(), kind.to_owned(), TEMPLATE.to_owned(), guid(row), quoted(comment), quoted(city)];
        text += &(cells.join(&delimiter.to_string()) + line_end);
    }
    text
}

fn jsonl() -> String {
    let mut text = String::new();
    for (row, [id, kind, comment, city]) in (1..).zip(ROWS) {
        let object = serde_json::json!({
            "id": id, "type": kind, "profiletemplateuuid": format!("{{{}}}", TEMPLATE.to_uppercase()), "target": guid(row),
            "comment": comment, "datacollection": [{"City": city}],
        });
        text += &format!("{object}\n");
    }
    text
}

fn utf16(text: &str, big: bool) -> Vec<u8> {
    let mut bytes = if big { vec![0xFE, 0xFF] } else { vec![0xFF, 0xFE] };
    for unit in text.encode_utf16() {
        bytes.extend(if big { unit.to_be_bytes() } else { unit.to_le_bytes() });
    }
    bytes
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut out = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    out.write_all(bytes).unwrap();
    out.finish().unwrap()
}

fn sent(name: &str, content: &[u8], options: &[&str]) -> Vec<Value> {
    let folder = Folder::new();
    let simulator = simulator(&[]);
    let server = simulator.base_url();
    let mut words =
        vec!["submit", name, "--server", &server, "--rate", "unlimited", "--confirm", "1", "--concurrency", "1"];
    words.extend(options);
    if name == "-" {
        words.extend(["--ledger", "stdin.ledger"]);
        folder.run_with_input(&words, content).exits(0);
    } else {
        folder.write(name, content);
        folder.run(&words).exits(0);
    }
    bodies(&simulator).into_iter().map(untagged).collect()
}

#[test]
fn every_supported_form_gives_the_same_bodies() {
    let expected = sent("plain.csv", csv_with(',', "\n").as_bytes(), &[]);
    assert_eq!(expected.len(), 3);
    assert_eq!(expected[0]["comment"], "Grüße, \"Zoë\"");
    assert_eq!(expected[1]["comment"], "two\nlines");
    assert_eq!(expected[2]["type"], "Revoke");
    let semicolons = csv_with(';', "\r\n");
    let with_bom = [b"\xEF\xBB\xBF", csv_with(',', "\r\n").as_bytes()].concat();
    let halves = csv_with(',', "\n");
    let (one, two) = halves.split_at(200);
    let forms: Vec<(&str, Vec<u8>, &[&str])> = vec![
        ("crlf.csv", csv_with(',', "\r\n").into_bytes(), &[]),
        ("bom.csv", with_bom, &[]),
        ("blank.csv", csv_with(',', "\n\n").into_bytes(), &[]),
        ("semicolon.csv", semicolons.clone().into_bytes(), &[]),
        ("sep.csv", format!("sep=;\r\n{semicolons}").into_bytes(), &[]),
        ("tab.tsv", csv_with('\t', "\n").into_bytes(), &[]),
        ("bar.csv", csv_with('|', "\n").into_bytes(), &["--delimiter", "|"]),
        (
            "powershell.csv",
            format!("#TYPE System.Management.Automation.PSCustomObject\r\n{}", csv_with(',', "\r\n")).into_bytes(),
            &[],
        ),
        ("unicode.txt", utf16(&csv_with('\t', "\r\n"), false), &[]),
        ("unicode-be.csv", utf16(&csv_with(',', "\r\n"), true), &[]),
        ("rows.jsonl", jsonl().into_bytes(), &[]),
        ("rows.ndjson", jsonl().replace('\n', "\r\n\r\n").into_bytes(), &[]),
        ("rows.data", jsonl().into_bytes(), &["--input-format", "jsonl"]),
        ("packed.csv.gz", gzip(csv_with(',', "\n").as_bytes()), &[]),
        ("members.csv.gz", [gzip(one.as_bytes()), gzip(two.as_bytes())].concat(), &[]),
        ("packed.jsonl.zst", zstd::encode_all(jsonl().as_bytes(), 3).unwrap(), &[]),
        ("-", csv_with(',', "\n").into_bytes(), &[]),
        ("-", jsonl().into_bytes(), &[]),
        ("-", gzip(jsonl().as_bytes()), &[]),
    ];
    for (name, content, options) in forms {
        assert_eq!(sent(name, &content, options), expected, "{name} {options:?}");
    }
}

#[test]
fn other_encodings_are_read_when_they_are_named() {
    let text = csv_with(',', "\r\n").replace("Łódź", "Linz").replace("Kraków", "Graz");
    let (bytes, _, lossy) = encoding_rs::WINDOWS_1252.encode(&text);
    assert!(!lossy);
    let expected = sent("utf8.csv", text.as_bytes(), &[]);
    assert_eq!(sent("ansi.csv", &bytes, &["--encoding", "windows-1252"]), expected);
}

#[test]
fn the_data_collection_can_be_sent_as_a_string() {
    let expected = sent("plain.csv", csv_with(',', "\n").as_bytes(), &[]);
    let strings = sent("plain.csv", csv_with(',', "\n").as_bytes(), &["--datacollection", "string"]);
    for (array, string) in expected.iter().zip(&strings) {
        let inner: Value = serde_json::from_str(string["datacollection"].as_str().unwrap()).unwrap();
        assert_eq!(inner, array["datacollection"]);
    }
}

#[test]
fn columns_that_are_missing_can_be_given_for_all_rows() {
    let manifest = format!("target\n{}\n{}\n", guid(1), guid(2));
    let options = ["--type", "enroll", "--template", TEMPLATE, "--comment", "wave 3", "--priority", "7"];
    let folder = Folder::new();
    let simulator = simulator(&[]);
    let server = simulator.base_url();
    folder.write("targets.csv", manifest);
    let mut words = vec!["submit", "targets.csv", "--server", &server, "--concurrency", "1"];
    words.extend(options);
    folder.run(&words).exits(0);
    let body = bodies(&simulator).into_iter().map(untagged).next().unwrap();
    assert_eq!((&body["type"], &body["comment"], &body["priority"]), (&"Enroll".into(), &"wave 3".into(), &"7".into()));
}
