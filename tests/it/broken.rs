//! Broken manifests: exit 3, file and line, and no request.

use crate::common::{Folder, TEMPLATE, guid, posts, simulator};

/// A header and a good row, on lines 1 and 2; the broken one follows on line 3.
fn after_a_good_row(row: &str) -> Vec<u8> {
    format!(
        "id,type,profiletemplateuuid,target,comment,priority,data.x\ng,Enroll,{TEMPLATE},{},ok,,y\n{row}\n",
        guid(1)
    )
    .into_bytes()
}

fn row(kind: &str, template: &str, target: &str, comment: &str, priority: &str, data: &str) -> Vec<u8> {
    after_a_good_row(&format!("b,{kind},{template},{target},{comment},{priority},{data}"))
}

/// Name of the file, its content, the line, the rule.
fn broken() -> Vec<(&'static str, Vec<u8>, u32, &'static str)> {
    let target = guid(2);
    let t = target.as_str();
    let json = |line: &str| {
        format!("{{\"type\":\"Enroll\",\"profiletemplateuuid\":\"{TEMPLATE}\",\"target\":\"{}\"}}\n{line}\n", guid(1))
            .into_bytes()
    };
    vec![
        ("type.csv", row("Enrol", TEMPLATE, t, "", "", ""), 3, "unknown-type"),
        ("guid.csv", row("Enroll", TEMPLATE, "97cc3493", "", "", ""), 3, "invalid-guid"),
        ("template.csv", row("Enroll", "no-such-name", t, "", "", ""), 3, "invalid-guid"),
        ("target.csv", row("Enroll", TEMPLATE, "", "", "", ""), 3, "missing-target"),
        ("priority.csv", row("Enroll", TEMPLATE, t, "", "256", ""), 3, ""),
        ("dash.csv", row("Enroll", TEMPLATE, &t.replace('-', "\u{2013}"), "", "", ""), 3, "lookalike-character"),
        ("space.csv", row("Enroll", TEMPLATE, &format!("{t}\u{a0}"), "", "", ""), 3, "lookalike-character"),
        ("number.csv", row("Enroll", TEMPLATE, t, "", "", "6.1E+15"), 3, "number-damaged"),
        ("text.csv", row("Enroll", TEMPLATE, t, "Z\u{fffd}rich", "", ""), 3, "text-damaged"),
        ("zero.csv", row("Enroll", TEMPLATE, "00000000-0000-0000-0000-000000000000", "", "", ""), 3, ""),
        ("nul.csv", row("Enroll", TEMPLATE, t, "a\0b", "", ""), 3, ""),
        ("tag.csv", row("Enroll", TEMPLATE, t, "[cmb:x]", "", ""), 3, ""),
        ("quote.csv", row("Enroll", TEMPLATE, t, "5\" card", "", ""), 3, "stray-quote"),
        (
            "open.csv",
            after_a_good_row(&format!("b,Enroll,{TEMPLATE},{t},\"never closed,,\nc,Enroll")),
            3,
            "unclosed-quote",
        ),
        ("few.csv", after_a_good_row("b,Enroll"), 3, ""),
        ("many.csv", row("Enroll", TEMPLATE, t, "one, two", "", ""), 3, ""),
        ("ansi.csv", [&row("Enroll", TEMPLATE, t, "", "", "Z")[..], b"e,Enroll,,,\xfc,,\n"].concat(), 4, ""),
        ("same.csv", after_a_good_row(&format!("b,enroll,{TEMPLATE},{},other,,", guid(1))), 3, "duplicate-row"),
        ("id.csv", after_a_good_row(&format!("g,Enroll,{TEMPLATE},{t},,,")), 3, "duplicate-id"),
        ("long.csv", row("Enroll", TEMPLATE, t, &"x".repeat(1_100_000), "", ""), 3, ""),
        (
            "column.csv",
            format!("type,profiletemplateuuid,taget\nEnroll,{TEMPLATE},{t}\n").into_bytes(),
            1,
            "unknown-column",
        ),
        (
            "twice.csv",
            format!("type,profiletemplateuuid,target,Type\nEnroll,{TEMPLATE},{t},Enroll\n").into_bytes(),
            1,
            "",
        ),
        ("empty.csv", b"type,profiletemplateuuid,target\n".to_vec(), 1, ""),
        ("json.jsonl", json("{\"type\":\"Enroll\","), 2, ""),
        ("array.jsonl", json("[1,2]"), 2, ""),
        ("repeated.jsonl", json(&format!("{{\"type\":\"Enroll\",\"target\":\"{t}\",\"target\":\"{t}\"}}")), 2, ""),
        ("property.jsonl", json(&format!("{{\"type\":\"Enroll\",\"targt\":\"{t}\"}}")), 2, "unknown-column"),
        (
            "data.jsonl",
            json(&format!(
                "{{\"type\":\"Enroll\",\"profiletemplateuuid\":\"{TEMPLATE}\",\"target\":\"{t}\",\"datacollection\":[{{\"a\":1,\"b\":2}}]}}"
            )),
            2,
            "",
        ),
    ]
}

#[test]
fn each_kind_exits_3_with_file_and_line_and_sends_nothing() {
    let simulator = simulator(&[]);
    let server = simulator.base_url();
    for (name, content, line, rule) in broken() {
        let folder = Folder::new();
        folder.write(name, &content);
        for words in [vec!["validate", name], vec!["submit", name, "--server", &server]] {
            let ran = folder.run(&words).exits(3);
            let place = format!("{name}:{line}:");
            let diagnostic = ran.stderr.lines().find(|text| text.starts_with(&place) && text.contains(": error["));
            let diagnostic = diagnostic.unwrap_or_else(|| panic!("{place} is missing in:\n{}", ran.stderr));
            assert!(diagnostic.contains(&format!("error[{rule}")), "{rule}: {diagnostic}");
        }
        assert!(!folder.file(&name.replace(".csv", ".ledger").replace(".jsonl", ".ledger")).exists());
    }
    assert!(posts(&simulator).is_empty());
}

#[test]
fn files_that_cannot_be_read_at_all_are_errors_too() {
    let gzip = {
        use std::io::Write;
        let mut out = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        out.write_all(&row("Enroll", TEMPLATE, &guid(2), "", "", "")).unwrap();
        out.finish().unwrap()
    };
    let zstd = zstd::encode_all(&row("Enroll", TEMPLATE, &guid(2), "", "", "")[..], 3).unwrap();
    let cases: Vec<(&str, Vec<u8>)> = vec![
        ("nothing.csv", Vec::new()),
        ("cut.csv.gz", gzip[..gzip.len() - 9].to_vec()),
        ("cut-trailer.csv.gz", gzip[..gzip.len() - 4].to_vec()),
        ("cut.csv.zst", zstd[..zstd.len() - 5].to_vec()),
        ("book.xlsx", b"PK\x03\x04 and so on".to_vec()),
        ("binary.csv", (0..=255).cycle().take(5_000).collect()),
    ];
    for (name, content) in cases {
        let folder = Folder::new();
        folder.write(name, &content);
        folder.run(&["validate", name]).exits(3).says(name);
        folder.run(&["submit", name, "--simulate"]).exits(3).says(name);
    }
    Folder::new().run(&["validate", "absent.csv"]).exits(2).says("absent.csv");
}

#[test]
fn all_errors_are_told_at_once_with_the_way_out() {
    let folder = Folder::new();
    let mut manifest = after_a_good_row(&format!("b,Enrol,{TEMPLATE},x,,300,"));
    for n in 0..30 {
        manifest.extend(format!("c{n},Enroll,{TEMPLATE},,,,\n").bytes());
    }
    folder.write("wave.csv", &manifest);
    let ran = folder.run(&["submit", "wave.csv", "--simulate", "--errors", "all.csv"]).exits(3);
    let shown = ran.stderr.lines().filter(|line| line.starts_with("wave.csv:")).count();
    assert_eq!(shown, 20, "{}", ran.stderr);
    assert!(ran.stderr.contains("31 of 32 rows are invalid"), "{}", ran.stderr);
    assert!(ran.stderr.contains("--on-invalid skip --rejects wave.rejects.csv"), "{}", ran.stderr);
    let errors = folder.read("all.csv");
    assert_eq!(errors.lines().count(), 1 + 3 + 30, "{errors}");
}

#[test]
fn a_rejected_duplicate_is_not_sent_before_someone_decides() {
    let folder = Folder::new();
    let simulator = simulator(&[]);
    let server = simulator.base_url();
    folder.write(
        "wave.csv",
        after_a_good_row(&format!("b,Enroll,{TEMPLATE},{},ok,,y\nc,Enroll,{TEMPLATE},{}", guid(1), guid(3))),
    );
    let words = ["submit", "wave.csv", "--server", &server, "--on-invalid", "skip", "--rejects", "rejects.csv"];
    folder.run(&words).exits(1);
    assert_eq!(posts(&simulator).len(), 1);
    folder.run(&["submit", "rejects.csv", "--server", &server]).exits(3).says("undecided-reject");
    let rejects = folder.read("rejects.csv");
    assert_eq!(rejects.matches("UNDECIDED").count(), 2, "{rejects}");
    assert_eq!(posts(&simulator).len(), 1);
}

#[test]
fn rejects_can_be_mended_and_are_a_manifest_again() {
    let folder = Folder::new();
    let simulator = simulator(&[]);
    let server = simulator.base_url();
    folder.write("wave.csv", after_a_good_row(&format!("b,Enrol,{TEMPLATE},{},\"a, b\",,", guid(2))));
    let words = ["submit", "wave.csv", "--server", &server, "--on-invalid", "skip", "--rejects", "rejects.csv"];
    folder.run(&words).exits(1);
    assert_eq!(posts(&simulator).len(), 1);
    let rejects = folder.read("rejects.csv");
    assert!(rejects.lines().next().unwrap().ends_with("_error") || rejects.lines().next().unwrap().contains("_error"));
    folder.run(&["validate", "rejects.csv"]).exits(3);
    folder.write("rejects.csv", rejects.replace("Enrol,", "Enroll,"));
    folder.run(&["submit", "rejects.csv", "--server", &server]).exits(0);
    assert_eq!(posts(&simulator).len(), 2);

    folder.write("wave.jsonl", "{\"type\":\"Enrol\",\"note.who\":\"Zoë\"}\n");
    folder.run(&["validate", "wave.jsonl", "--rejects", "r.jsonl"]).exits(3);
    let object: serde_json::Value = serde_json::from_str(folder.read("r.jsonl").trim()).unwrap();
    assert_eq!(object["note.who"], "Zoë");
    assert!(object["_error"].as_str().unwrap().contains("Enroll"));
}
