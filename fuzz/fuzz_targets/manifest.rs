//! Any bytes as a manifest: every row is valid, skipped or invalid, both passes agree, and what would be sent is JSON.

#![no_main]

use std::convert::Infallible;
use std::path::{Path, PathBuf};

use cmbatch::manifest::{Delimiter, Format, Manifest, ReadOptions, Source, TextEncoding};
use cmbatch::request::{DataEncoding, Tag};
use cmbatch::validate::{CheckedRow, ExtraColumns, OnDuplicate, Rules, deliver, survey};
use libfuzzer_sys::fuzz_target;

/// Reads options out of the first byte.
fn options(byte: u8) -> (ReadOptions, Rules) {
    let reading = ReadOptions {
        format: [None, Some(Format::Csv), Some(Format::Jsonl), Some(Format::Csv)][usize::from(byte & 3)],
        encoding: (byte & 4 != 0).then_some(TextEncoding::Windows1252),
        delimiter: (byte & 8 != 0).then_some(Delimiter::SEMICOLON),
    };
    let rules = Rules {
        on_duplicate: if byte & 16 == 0 { OnDuplicate::Error } else { OnDuplicate::First },
        extra_columns: if byte & 32 == 0 { ExtraColumns::Error } else { ExtraColumns::Keep },
        target_self: byte & 64 != 0,
        allow_empty: byte & 128 != 0,
        ..Rules::default()
    };
    (reading, rules)
}

fn check(path: &Path, reading: &ReadOptions, rules: &Rules) {
    let Ok(manifest) = Manifest::open(Source::File(path.to_owned()), reading) else { return };
    let manifests = [manifest];
    let Ok(found) = survey(&manifests, rules, &|_| {}) else { return };
    assert_eq!(found.n_rows, found.n_valid + found.n_invalid + found.n_skipped);
    let (mut n_valid, mut n_invalid, mut n_skipped) = (0, 0, 0);
    let mut last = 0;
    let mut number = |row: u32| {
        assert_eq!(row, last + 1, "rows come in order, each once");
        last = row;
    };
    deliver::<Infallible>(&manifests, rules, &found, |row| {
        match row {
            CheckedRow::Valid(valid) => {
                number(valid.row.get());
                n_valid += 1;
                assert!(!valid.request.comment.contains(Tag::PREFIX));
                for encoding in [DataEncoding::Array, DataEncoding::String] {
                    let body = valid.request.wire_body(&valid.request.comment, encoding);
                    let read: serde_json::Value = serde_json::from_slice(&body).expect("a body is JSON");
                    assert_eq!(read["comment"], valid.request.comment.as_str());
                    assert_eq!(read["type"], valid.request.kind.as_str());
                }
                let _ = valid.request.fingerprint();
            }
            CheckedRow::Skipped(valid, why) => {
                number(valid.row.get());
                n_skipped += 1;
                assert!(!why.is_empty());
            }
            CheckedRow::Invalid(invalid) => {
                number(invalid.row.get());
                n_invalid += 1;
                assert!(!invalid.diagnostics.is_empty() || found.header_invalid);
                let original: serde_json::Value = serde_json::from_str(&invalid.original_json()).expect("it is JSON");
                assert!(original.is_object());
                assert!(!invalid.errors().chars().any(|c| c.is_control() && c != '\n'), "errors can be printed");
            }
        }
        Ok(())
    })
    .expect("the second pass reads what the first one read");
    assert_eq!((found.n_valid, found.n_invalid, found.n_skipped), (n_valid, n_invalid, n_skipped));
}

fuzz_target!(|bytes: &[u8]| {
    let Some((first, rest)) = bytes.split_first() else { return };
    // A file that is overwritten: shared memory is faster than a disk.
    let path = PathBuf::from(format!("/dev/shm/cmbatch-fuzz-{}", std::process::id()));
    std::fs::write(&path, rest).unwrap();
    let (reading, rules) = options(*first);
    check(&path, &reading, &rules);
});
