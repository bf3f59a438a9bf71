use std::io::Write as _;

use super::super::error::{Compression, ForeignFile, ManifestError};
use super::super::limits::Limits;
use super::super::options::{Delimiter, Format, ReadOptions, TextEncoding};
use super::super::row::RowFault;
use super::super::source::Source;
use super::super::testing::{Row, message, open, open_as, read, rows};
use super::Manifest;

fn gzip(text: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
    encoder.write_all(text).unwrap();
    encoder.finish().unwrap()
}

/// Compresses with a checksum, as the zstd program does.
fn zstd(text: &[u8]) -> Vec<u8> {
    let mut encoder = zstd::Encoder::new(Vec::new(), 3).unwrap();
    encoder.include_checksum(true).unwrap();
    encoder.write_all(text).unwrap();
    encoder.finish().unwrap()
}

fn utf16(text: &str) -> Vec<u8> {
    text.encode_utf16().flat_map(u16::to_le_bytes).collect()
}

fn names(manifest: &Manifest) -> Vec<&str> {
    manifest.header().unwrap().names().iter().map(String::as_str).collect()
}

#[test]
fn the_format_is_told_by_option_then_name_then_content() {
    let format = |name: &str, text: &str, format| {
        let options = ReadOptions { format, ..ReadOptions::default() };
        open_as(name, text.as_bytes(), &options, Limits::default()).unwrap().format()
    };
    assert_eq!(format("m.csv", "{\n", None), Format::Csv);
    assert_eq!(format("m.jsonl", "", None), Format::Jsonl);
    assert_eq!(format("m.txt", "a\tb", None), Format::Csv);
    assert_eq!(format("m", "\u{feff}\n \r\n {\"a\":1}", None), Format::Jsonl);
    assert_eq!(format("m", "type,target", None), Format::Csv);
    assert_eq!(format("m.csv", "{\"a\":1}", Some(Format::Jsonl)), Format::Jsonl);
    assert_eq!(format("m.jsonl", "a,b", Some(Format::Csv)), Format::Csv);
}

#[test]
fn the_header_is_found_behind_what_other_programs_write_before_it() {
    for text in [
        "type;target\n1;2\n",
        "\u{feff}type;target\r\n1;2\r\n",
        "\n\r\n\rtype;target\n1;2",
        "sep=;\r\ntype;target\r\n1;2\r\n",
        "\u{feff}sep=;\ntype;target\n1;2",
        "#TYPE System.Object\r\n\"type\";\"target\"\r\n\"1\";\"2\"\r\n",
        " type ;\"target\u{a0}\"\n1;2\n",
    ] {
        let manifest = open("m.csv", text).unwrap();
        assert_eq!(names(&manifest), ["type", "target"], "{text:?}");
        assert_eq!(manifest.delimiter(), Delimiter::SEMICOLON, "{text:?}");
        assert_eq!(read(&manifest).unwrap().0[0].texts(), ["1", "2"], "{text:?}");
    }
    let manifest = open("m.csv", "sep=,\n\n#TYPE x\n\n\"a\nb\",\"c\",\u{e4}d,e\n1\n").unwrap();
    let header = manifest.header().unwrap();
    assert_eq!((header.line(), header.column_of(0), header.column_of(1)), (5, 1, 4));
    assert_eq!((header.column_of(2), header.column_of(3), header.column_of(9)), (8, 11, 11));
    assert_eq!(read(&manifest).unwrap().0[0].line(), Some(7));
}

#[test]
fn the_delimiter_is_told_by_option_then_separator_line_then_name_then_header() {
    let delimiter = |name: &str, text: &str, delimiter| {
        let options = ReadOptions { delimiter, ..ReadOptions::default() };
        open_as(name, text.as_bytes(), &options, Limits::default()).unwrap().delimiter()
    };
    assert_eq!(delimiter("m.csv", "sep=;\na,b|c", Some(Delimiter::PIPE)), Delimiter::PIPE);
    assert_eq!(delimiter("m.csv", "sep=|\na,b", None), Delimiter::PIPE);
    assert_eq!(delimiter("m.tsv", "a, b, c\td", None), Delimiter::TAB);
    assert_eq!(delimiter("m.tsv", "a,b", None), Delimiter::COMMA);
    assert_eq!(delimiter("m.csv", "a, b, c\td", None), Delimiter::COMMA);
    assert_eq!(delimiter("m.txt", "a\tb", None), Delimiter::TAB);
}

#[test]
fn compressed_manifests_are_known_by_name_and_by_content() {
    let text = "id\n1\n2\n";
    for (name, bytes) in [("m.csv.gz", gzip(text.as_bytes())), ("m.csv.zst", zstd(text.as_bytes()))] {
        assert_eq!(rows(name, &bytes).len(), 2);
        assert_eq!(rows("m.csv", &bytes).len(), 2);
        assert_eq!(rows("m", &bytes).len(), 2);
    }
    assert_eq!(
        message(open("m.csv.gz", text)),
        "m.csv.gz:1: its name says gzip and its content does not; give it its right name, or get it once more"
    );
    for name in ["m.jsonl.gz", "m.jsonl.zst"] {
        assert!(matches!(open(name, ""), Err(ManifestError::NotCompressed { .. })));
    }
    assert!(message(open("m.csv.gz", gzip(&gzip(text.as_bytes())))).contains("is compressed twice"));
}

#[test]
fn all_members_and_frames_are_read() {
    let parts = ["id\n1\n2", "\n3\n", "", "4\n"];
    let of = |pack: fn(&[u8]) -> Vec<u8>| parts.map(|part| pack(part.as_bytes())).concat();
    assert_eq!(rows("m.csv.gz", of(gzip)).len(), 4);
    assert_eq!(rows("m.csv.zst", of(zstd)).len(), 4);
    let skippable = [b"\x50\x2a\x4d\x18\x03\0\0\0abc", &of(zstd)[..]].concat();
    assert_eq!(rows("m.csv.zst", skippable).len(), 4);
}

#[test]
fn compressed_data_that_break_off_or_go_on_are_errors_wherever_that_is() {
    let text: String = (0..2000).map(|row| format!("{row},{}\n", row * 7919 % 65_537)).collect();
    for (name, packed, compression) in [
        ("m.csv.gz", gzip(text.as_bytes()), Compression::Gzip),
        ("m.csv.zst", zstd(text.as_bytes()), Compression::Zstd),
    ] {
        let error_of = |bytes: &[u8]| match open(name, bytes) {
            Err(error) => error,
            Ok(manifest) => read(&manifest).unwrap_err(),
        };
        for length in (5..packed.len()).step_by(97).chain(packed.len() - 12..packed.len()) {
            let error = error_of(&packed[..length]);
            assert!(
                matches!(error, ManifestError::Truncated { compression: found, .. } if found == compression),
                "{length} of {}: {error:?}",
                packed.len()
            );
        }
        for garbage in [&b"x"[..], b"\0\0\0\0\0\0\0\0", b"trailing garbage"] {
            let error = error_of(&[&packed[..], garbage].concat());
            assert!(
                matches!(error, ManifestError::Corrupt { .. } | ManifestError::Truncated { .. }),
                "{name} {garbage:?}: {error:?}"
            );
        }
        let mut damaged = packed.clone();
        let middle = damaged.len() / 2;
        damaged[middle] ^= 0x55;
        assert!(matches!(error_of(&damaged), ManifestError::Corrupt { .. } | ManifestError::Truncated { .. }));
    }
}

#[test]
fn what_would_take_too_much_to_unpack_is_refused() {
    let mut encoder = zstd::Encoder::new(Vec::new(), 1).unwrap();
    encoder.window_log(27).unwrap();
    encoder.write_all(b"id\n1\n").unwrap();
    let packed = encoder.finish().unwrap();
    assert_eq!(
        message(open("m.csv.zst", packed)),
        "m.csv.zst:1: unpacking takes a window over 64 MiB; compress it without --long and --ultra"
    );
    let limits = Limits { expanded_bytes: 100_000, ..Limits::default() };
    let text = format!("id\n{}", "1\n".repeat(100_000));
    for (name, packed) in [("m.csv.gz", gzip(text.as_bytes())), ("m.csv.zst", zstd(text.as_bytes()))] {
        let manifest = open_as(name, &packed, &ReadOptions::default(), limits);
        assert!(message(manifest).contains("expands to more than 16 GiB"));
    }
    assert!(open_as("m.csv", text.as_bytes(), &ReadOptions::default(), limits).is_ok());
}

#[test]
fn text_of_other_encodings_is_decoded() {
    let options = |label: &str| ReadOptions { encoding: Some(label.parse().unwrap()), ..ReadOptions::default() };
    let cells = |bytes: &[u8], options: &ReadOptions| {
        read(&open_as("m.txt", bytes, options, Limits::default()).unwrap()).unwrap().0[0].texts()
    };
    let none = ReadOptions::default();
    let marked = [b"\xff\xfe".to_vec(), utf16("id\tname\r\n1\tM\u{fc}\u{1f600}\r\n")].concat();
    assert_eq!(cells(&marked, &none), ["1", "M\u{fc}\u{1f600}"]);
    assert_eq!(cells(&marked, &options("utf-16")), ["1", "M\u{fc}\u{1f600}"]);
    assert_eq!(cells(&utf16("id\tname\n1\tx"), &options("utf-16le")), ["1", "x"]);
    assert_eq!(cells(b"id,name\n1,M\xfc\x80\n", &options("windows-1252")), ["1", "M\u{fc}\u{20ac}"]);
    assert_eq!(cells(b"id,name\n1,\x83\x65\n", &options("shift_jis")), ["1", "\u{30c6}"]);
    assert_eq!(open("m.txt", &marked).unwrap().encoding(), TextEncoding::Utf16Le);
}

#[test]
fn what_other_encodings_cannot_decode_is_a_bad_row() {
    let bad = |bytes: Vec<u8>, label: Option<&str>| {
        let options = ReadOptions { encoding: label.map(|label| label.parse().unwrap()), ..ReadOptions::default() };
        let rows = read(&open_as("m.csv", &bytes, &options, Limits::default()).unwrap()).unwrap().0;
        rows.iter().filter_map(Row::bad).map(|bad| (bad.number, bad.at, bad.fault.clone())).collect::<Vec<_>>()
    };
    let fault = |unit, in_windows_1252| RowFault::Undecodable { unit, in_windows_1252 };
    let units = |units: &[u16]| units.iter().flat_map(|unit| unit.to_le_bytes()).collect::<Vec<u8>>();

    // A lead surrogate before a letter, a trail surrogate alone, a lead at the very end of a line.
    let mut bytes = [b"\xff\xfe".to_vec(), utf16("id\n1\n2")].concat();
    bytes.extend(units(&[0xd800, 0x41, 0x0a, 0xdc12, 0x0a, 0x33, 0xdbff, 0x0a, 0x34, 0x0a]));
    assert_eq!(
        bad(bytes.clone(), None),
        [(2, (3, 2), fault(0xd800, None)), (3, (4, 1), fault(0xdc12, None)), (4, (5, 2), fault(0xdbff, None))]
    );
    // Half a unit at the end, behind the last line end.
    bytes.push(0x35);
    assert_eq!(bad(bytes, None)[3], (6, (7, 1), fault(0x35, None)));

    assert_eq!(
        bad(b"id,x\n1,\x83\x65\n2,a\x80\n3,\xff\n4,\x83".to_vec(), Some("shift_jis")),
        // 0x80 is a control character there, which is text.
        [(3, (4, 3), fault(0xff, Some('\u{ff}'))), (4, (5, 3), fault(0x83, Some('\u{192}')))]
    );
    let rows = read(
        &open_as(
            "m.jsonl",
            b"{\"a\":\"\xe4\xff\"}\n{\"a\":1}",
            &ReadOptions { encoding: Some("shift_jis".parse().unwrap()), ..ReadOptions::default() },
            Limits::default(),
        )
        .unwrap(),
    )
    .unwrap()
    .0;
    assert_eq!(rows[0].bad().unwrap().at, (1, 7));
    assert_eq!(rows[1].line(), Some(2));
}

#[test]
fn a_header_that_is_no_text_is_an_error_with_its_place() {
    assert_eq!(
        message(open("m.csv", b"\ntype,\xc3\xa4\xfc\n1,2\n")),
        "m.csv:2:7: byte 0xFC (\"\u{fc}\" in windows-1252) in the header is not utf-8 text; \
         give --encoding windows-1252 if that is right, or save it as UTF-8"
    );
    let units = [0xfeff_u16, 0x61, 0x2c, 0xd800, 0x0a].iter().flat_map(|unit| unit.to_le_bytes()).collect::<Vec<_>>();
    assert_eq!(
        message(open("m.csv", units)),
        "m.csv:1:3: unit 0xD800 in the header is not utf-16le text; give its --encoding, or save it as UTF-8"
    );
}

#[test]
fn byte_order_marks_are_believed() {
    let asked = |label: &str, bytes: &[u8]| {
        let options = ReadOptions { encoding: Some(label.parse().unwrap()), ..ReadOptions::default() };
        open_as("m.csv", bytes, &options, Limits::default())
    };
    assert_eq!(
        message(asked("windows-1252", b"\xef\xbb\xbfid\n1\n")),
        "m.csv:1: begins with the byte order mark of utf-8, and --encoding says windows-1252; leave --encoding out"
    );
    assert!(matches!(asked("utf-16", b"\xfe\xff\0i"), Err(ManifestError::OtherByteOrderMark { .. })));
    for (bytes, probable) in [(utf16("type,target\n"), "utf-16le"), (b"\0t\0y\0p\0e\0\n".to_vec(), "utf-16be")] {
        assert_eq!(
            message(open("m.csv", &bytes)),
            format!(
                "m.csv:1: is full of NUL bytes, as UTF-16 without byte order mark is; \
                 give --encoding {probable}, or save it as UTF-8"
            )
        );
        assert!(asked(probable, &bytes).is_ok());
    }
}

#[test]
fn other_files_are_refused_with_the_way_out() {
    for (bytes, part) in [
        (&b"PK\x03\x04\x14\0"[..], "save it as \"CSV UTF-8\""),
        (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1\0\0", "save it as \"CSV UTF-8\""),
        (b"%PDF-1.7\n", "PDF"),
        (b"SQLite format 3\0", "ledger"),
        (b"BZh91AY", "unpack it"),
        (b"\xff\xfe\0\0t\0\0\0", "UTF-32"),
    ] {
        let text = message(open("m.csv", bytes));
        assert!(text.starts_with("m.csv:1: ") && text.contains(part), "{text}");
    }
    assert!(matches!(
        open("m.csv.gz", gzip(b"PK\x03\x04")),
        Err(ManifestError::Foreign { kind: ForeignFile::Xlsx, .. })
    ));
}

#[test]
fn headers_that_are_not_there_or_not_sound_are_errors() {
    for text in ["", "\n", "\u{feff}", "\n\r\n\r", "sep=;\n", "#TYPE x\n\n"] {
        for (name, bytes) in [("m.csv", text.as_bytes().to_vec()), ("m.csv.gz", gzip(text.as_bytes()))] {
            assert_eq!(open(name, &bytes).unwrap().header(), None, "{name} {text:?}");
            assert_eq!(rows(name, bytes), [], "{name} {text:?}");
        }
    }
    assert_eq!(
        message(open("m.csv", "a,b\"c\n")),
        "m.csv:1:4: the header has a stray quote; put the whole name in quotes and double the quotes inside"
    );
    assert_eq!(
        message(open("m.csv", "\na,\"b\n1,2\n")),
        "m.csv:2:3: the header has a quote that is never closed; close or remove it"
    );
    for text in ["a".repeat(2 << 20), "\n".repeat(2 << 20), format!("{}\n1\n", "a".repeat((1 << 20) + 1))] {
        let text = message(open("m.csv", text));
        assert!(text.ends_with(": no header line ends within the first 1 MiB; is this a CSV file?"), "{text}");
    }
    assert_eq!(rows("m.jsonl", ""), []);
    assert_eq!(rows("m.jsonl", "\n \t\n"), []);
    assert_eq!(rows("m.csv", "a,b"), []);
}

#[test]
fn json_over_several_lines_is_one_error_instead_of_many() {
    assert_eq!(
        message(open("m.json", "\n[\n  {\"a\": 1},\n")),
        "m.json:2: JSON is spread over several lines; write one object a line: jq -c '.[]' FILE"
    );
    assert_eq!(
        message(open("m", "{\n  \"a\": 1\n}\n")),
        "m:1: JSON is spread over several lines; write one object a line: jq -c '.' FILE"
    );
    assert_eq!(rows("m.json", "[1]\n{\"a\":1}\n").len(), 2);
}

#[test]
fn files_that_cannot_be_opened_are_named() {
    let folder = tempfile::tempdir().unwrap();
    let open = |path: std::path::PathBuf| Manifest::open(Source::File(path), &ReadOptions::default());
    assert!(matches!(open(folder.path().to_owned()), Err(ManifestError::Folder { .. })));
    let missing = open(folder.path().join("missing.csv")).unwrap_err();
    assert!(missing.to_string().contains("missing.csv: the manifest cannot be opened"), "{missing}");
    assert!(std::error::Error::source(&missing).is_some());
}

#[cfg(unix)]
#[test]
fn a_pipe_is_kept_so_that_it_can_be_read_twice() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("pipe.csv.gz");
    nix::unistd::mkfifo(&path, nix::sys::stat::Mode::S_IRWXU).unwrap();
    let bytes = gzip(b"id\n1\n2\n");
    let manifest = std::thread::scope(|scope| {
        scope.spawn(|| std::fs::write(&path, &bytes).unwrap());
        Manifest::open(Source::File(path.clone()), &ReadOptions::default()).unwrap()
    });
    let (rows, digest) = read(&manifest).unwrap();
    assert_eq!((rows.len(), digest.size_bytes), (2, bytes.len() as u64));
    assert_eq!(read(&manifest).unwrap(), (rows, digest));
    assert_eq!(manifest.path(), Some(path.as_path()));
}

#[test]
fn a_dash_is_standard_input() {
    assert_eq!("-".parse(), Ok(Source::Stdin));
    assert_eq!("./-".parse(), Ok(Source::File("./-".into())));
    assert_eq!(Source::Stdin.name(), "-");
    assert_eq!(Source::Stdin.path(), None);
}
