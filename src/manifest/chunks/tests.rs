use proptest::prelude::*;

use super::super::limits::{Limits, MAX_RECORD_BYTES};
use super::super::options::{Delimiter, Format, ReadOptions, TextEncoding};
use super::super::row::RowFault;
use super::super::testing::{Bad, Row, open, open_as, read, rows};
use super::super::{Chunk, Chunks, Manifest, ManifestError};

fn bad(row: &Row) -> &Bad {
    row.bad().unwrap_or_else(|| panic!("a bad row is expected: {row:?}"))
}

#[test]
fn a_manifest_and_its_chunks_can_be_shared_by_threads() {
    fn is_shared<T: Send + Sync>() {}
    fn is_sent<T: Send>() {}
    is_shared::<Manifest>();
    is_shared::<Chunk>();
    is_sent::<Chunks>();
}

#[test]
fn lines_are_counted_for_every_kind_of_line_end_and_blank_lines() {
    for end in ["\n", "\r\n", "\r"] {
        let text = ["id,comment", "", "1,a", "2,\"two", "lines\"", "", "", "3,c", "\"4\",\"\"", "5,e"].join(end);
        let rows = rows("m.csv", &text);
        let lines: Vec<_> = rows.iter().map(|row| row.line().unwrap()).collect();
        assert_eq!(lines, [3, 4, 8, 9, 10], "{end:?}");
        assert_eq!(rows[1].texts(), ["2".to_owned(), format!("two{end}lines")]);
        assert_eq!(rows[1].raw(), format!("2,\"two{end}lines\"").as_bytes());
        assert_eq!(rows[3].texts(), ["4", ""]);
        assert_eq!(rows.iter().map(Row::number).collect::<Vec<_>>(), [1, 2, 3, 4, 5]);
    }
}

#[test]
fn stray_quotes_are_bad_rows_and_the_next_row_is_read() {
    let rows = rows("m.csv", "id,x\n1,5\" card\n2,\"a\"b\n3,ok\n4,\"two\nlines\" more\n5,\u{e4}\"\n6,ok\n");
    let faults: Vec<_> = rows.iter().filter_map(Row::bad).map(|bad| (bad.number, bad.at, bad.field)).collect();
    // The fourth is reported where its field opens, on the line before.
    assert_eq!(faults, [(1, (2, 4), Some(1)), (2, (3, 6), Some(1)), (4, (5, 3), Some(1)), (5, (7, 4), Some(1))]);
    assert!(rows.iter().filter_map(Row::bad).all(|bad| bad.fault == RowFault::StrayQuote));
    assert_eq!(rows[0].texts(), ["1", "5\" card"]);
    assert_eq!(rows[1].texts(), ["2", "ab"]);
    assert_eq!(rows[2].texts(), ["3", "ok"]);
    assert_eq!(rows[3].texts(), ["4", "two\nlines more"]);
    assert_eq!(rows[5].line(), Some(8));
}

#[test]
fn an_unclosed_quote_costs_its_own_line_alone() {
    for end in ["\n", "\r\n", "\r"] {
        let text = ["id,x,y", "1,\"open,z", "2,b,c", "3,d,e"].join(end);
        let rows = rows("m.csv", &text);
        let first = bad(&rows[0]);
        assert_eq!((first.fault.clone(), first.at, first.field), (RowFault::UnclosedQuote, (2, 3), Some(1)));
        assert_eq!(first.raw, b"1,\"open,z");
        assert_eq!(rows[0].texts(), ["1", "open,z"]);
        assert_eq!(rows[1].texts(), ["2", "b", "c"]);
        assert_eq!(rows[2].line(), Some(4));
        assert_eq!(rows.len(), 3);
    }
    // A field before that spans lines belongs to the record, and the fault is told at its own line.
    let rows = rows("m.csv", "id,x,y\n1,\"two\nlines\",\"open\n2,b,c\n");
    assert_eq!((bad(&rows[0]).at, bad(&rows[0]).field), ((3, 8), Some(2)));
    assert_eq!(bad(&rows[0]).raw, b"1,\"two\nlines\",\"open");
    assert_eq!(rows[1].line(), Some(4));
}

#[test]
fn an_unclosed_quote_is_given_up_after_a_mebibyte_and_nothing_is_lost() {
    let n_rows = 60_000;
    let following: String = (2..=n_rows).map(|row| format!("{row},0123456789012345\n")).collect();
    let text = format!("id,x\n1,\"open\n{following}");
    assert!(text.len() > MAX_RECORD_BYTES);
    let rows = rows("m.csv", &text);
    assert_eq!(rows.len(), n_rows);
    assert_eq!(bad(&rows[0]).fault, RowFault::UnclosedQuote);
    assert!(rows[1..].iter().zip(3..).all(|(row, line)| row.line() == Some(line)));
}

#[test]
fn a_line_over_a_mebibyte_is_cut_and_the_next_row_is_read() {
    for (end, quote) in [("\n", ""), ("\r\n", ""), ("\r", ""), ("\n", "\"")] {
        let exact = "x".repeat(MAX_RECORD_BYTES - 2);
        let long = "x".repeat(3 * MAX_RECORD_BYTES);
        let text = ["id,x", &format!("1,{exact}"), &format!("2,{quote}{long}{quote}"), "3,c", "4,d"].join(end);
        let rows = rows("m.csv", &text);
        assert_eq!(rows.len(), 4, "{end:?}");
        assert_eq!(rows[0].raw().len(), MAX_RECORD_BYTES);
        let cut = bad(&rows[1]);
        assert_eq!((cut.fault.clone(), cut.at, cut.raw.len()), (RowFault::TooLong, (3, 1), MAX_RECORD_BYTES));
        assert_eq!((rows[2].line(), rows[3].line()), (Some(4), Some(5)));
        assert_eq!(rows[2].texts(), ["3", "c"]);
    }
    let long = format!("{{\"a\":\"{}\"}}", "x".repeat(2 * MAX_RECORD_BYTES));
    let rows = rows("m.jsonl", format!("{{\"a\":1}}\n{long}\n{{\"a\":3}}"));
    assert_eq!((bad(&rows[1]).fault.clone(), bad(&rows[1]).at), (RowFault::TooLong, (2, 1)));
    assert_eq!(rows[2].line(), Some(3));
}

#[test]
fn memory_does_not_grow_with_a_line_that_does_not_end() {
    let limits = Limits { chunk_bytes: 1000, record_bytes: 500, ..Limits::default() };
    for body in ["x".repeat(1 << 20), format!("\"{}", "x\n".repeat(1 << 19)), "\n".repeat(1 << 20)] {
        let manifest = open_as("m.csv", format!("id\n{body}").as_bytes(), &ReadOptions::default(), limits).unwrap();
        let mut chunks = manifest.chunks().unwrap();
        let mut largest = 0;
        while let Some(chunk) = chunks.next_chunk().unwrap() {
            largest = largest.max(chunk.text.len()).max(chunks.buffer.capacity());
        }
        largest = largest.max(chunks.buffer.capacity());
        assert!(largest < 8000, "{largest}");
    }
}

#[test]
fn a_buffer_that_grew_for_one_record_is_used_up_before_more_is_read() {
    let limits = Limits { chunk_bytes: 1000, chunk_records: 10, record_bytes: 5000, ..Limits::default() };
    let text = format!("id\n\"{}", "a\n".repeat(50_000));
    let manifest = open_as("m.csv", text.as_bytes(), &ReadOptions::default(), limits).unwrap();
    let mut chunks = manifest.chunks().unwrap();
    let mut most = 0;
    while chunks.next_chunk().unwrap().is_some() {
        most = most.max(chunks.buffer.len());
    }
    assert!(most <= 5000 + 2 * 1000, "{most} bytes were held");
}

#[test]
fn undecodable_bytes_are_bad_rows_with_their_windows_character() {
    let rows = rows("m.csv", b"id,name\n1,M\xfcller\n2,\xc3\xa4\xff\n3,ok\n4,\"two\nl\xednes\"\n5,\x81\n");
    let faults: Vec<_> = rows.iter().filter_map(Row::bad).map(|bad| (bad.at, bad.field, bad.fault.clone())).collect();
    let fault = |unit, in_windows_1252| RowFault::Undecodable { unit, in_windows_1252 };
    assert_eq!(
        faults,
        [
            ((2, 4), Some(1), fault(0xfc, Some('\u{fc}'))),
            ((3, 4), Some(1), fault(0xff, Some('\u{ff}'))),
            ((6, 2), Some(1), fault(0xed, Some('\u{ed}'))),
            ((7, 3), Some(1), fault(0x81, None)),
        ]
    );
    assert_eq!(bad(&rows[0]).raw, b"1,M\xfcller");
    assert_eq!(bad(&rows[0]).cells.as_ref().unwrap()[1], b"M\xfcller");
    assert_eq!(rows[2].texts(), ["3", "ok"]);
}

#[test]
fn rows_that_cannot_be_numbered_are_an_error() {
    let limits = Limits { n_rows: 3, chunk_records: 2, ..Limits::default() };
    let read_n = |text: &str| read(&open_as("m.csv", text.as_bytes(), &ReadOptions::default(), limits).unwrap());
    assert_eq!(read_n("id\n1\n2\n3\n").unwrap().0.len(), 3);
    let error = read_n("id\n1\n2\n\n3\n4\n").unwrap_err();
    assert!(matches!(error, ManifestError::TooManyRows { line: 6, .. }), "{error:?}");
}

#[test]
fn the_digest_is_of_the_stored_bytes_and_tells_a_change() {
    use sha2::Digest as _;
    let text = "id\n1\n2\n";
    let mut packed = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    std::io::Write::write_all(&mut packed, text.as_bytes()).unwrap();
    let packed = packed.finish().unwrap();
    for (name, bytes) in [("m.csv", text.as_bytes()), ("m.csv.gz", &packed)] {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join(name);
        std::fs::write(&path, bytes).unwrap();
        let manifest = Manifest::open(path.clone().into(), &ReadOptions::default()).unwrap();
        let digest = manifest.chunks().unwrap().finish().unwrap();
        assert_eq!(digest.sha256, <[u8; 32]>::from(sha2::Sha256::digest(bytes)));
        assert_eq!((digest.size_bytes, digest.n_rows), (bytes.len() as u64, 2));
        assert_eq!(manifest.chunks().unwrap().finish().unwrap(), digest);
        if name == "m.csv" {
            std::fs::write(&path, "id\n1\n3\n").unwrap();
            assert_ne!(manifest.chunks().unwrap().finish().unwrap().sha256, digest.sha256);
        }
    }
}

#[test]
fn two_passes_at_once_do_not_disturb_each_other() {
    let limits = Limits { chunk_bytes: 10, ..Limits::default() };
    let text: String = (0..100).map(|row| format!("{row},x\n")).collect();
    let manifest = open_as("m.csv", format!("id,x\n{text}").as_bytes(), &ReadOptions::default(), limits).unwrap();
    let (mut one, mut two) = (manifest.chunks().unwrap(), manifest.chunks().unwrap());
    for _ in 0..10 {
        assert_eq!(one.next_chunk().unwrap().unwrap().text, two.next_chunk().unwrap().unwrap().text);
    }
    assert_eq!(one.finish().unwrap(), two.finish().unwrap());
}

/// What the csv crate would have to know of a text: its records' lines, and whether its quotes are in order.
struct Naive {
    lines: Vec<u64>,
    is_sound: bool,
}

/// Goes through the text byte by byte, by the book.
fn naive(text: &[u8]) -> Naive {
    #[derive(PartialEq)]
    enum State {
        RecordStart,
        FieldStart,
        Unquoted,
        Quoted,
        Closed,
    }
    let (mut state, mut line) = (State::RecordStart, 1);
    let mut naive = Naive { lines: Vec::new(), is_sound: true };
    for (at, &byte) in text.iter().enumerate() {
        let ends_line = byte == b'\n' || byte == b'\r';
        if state == State::RecordStart && !ends_line {
            naive.lines.push(line);
            state = State::FieldStart;
        }
        state = match (state, byte) {
            (State::Quoted, b'"') => State::Closed,
            (State::Quoted, _) => State::Quoted,
            (State::FieldStart | State::Closed, b'"') => State::Quoted,
            (_, b'\n' | b'\r') => State::RecordStart,
            (_, b',') => State::FieldStart,
            (State::Closed, _) => {
                naive.is_sound = false;
                State::Unquoted
            }
            (_, b'"') => {
                naive.is_sound = false;
                State::Unquoted
            }
            (_, _) => State::Unquoted,
        };
        line += u64::from(ends_line && !(byte == b'\n' && at > 0 && text[at - 1] == b'\r'));
    }
    naive.is_sound &= state != State::Quoted;
    naive
}

/// Texts of what matters to CSV, and little else.
fn arb_csv() -> impl Strategy<Value = Vec<u8>> {
    let piece = prop_oneof![
        4 => Just("\""),
        3 => Just(","),
        2 => Just("\n"),
        1 => Just("\r"),
        2 => Just("\r\n"),
        1 => Just("\u{feff}"),
        3 => Just("a"),
        1 => Just("\u{e4}"),
        1 => Just("\"\""),
        1 => Just(",\""),
        1 => Just("\","),
        1 => Just("\"\n"),
        1 => Just("long enough to stop at"),
    ];
    proptest::collection::vec(piece, 0..40).prop_map(|pieces| pieces.concat().into_bytes())
}

/// CSV whose quotes are in order.
fn arb_sound_csv() -> impl Strategy<Value = Vec<u8>> {
    let text = proptest::collection::vec(prop_oneof![Just("a"), Just("\u{e4}"), Just("\u{feff}"), Just(" ")], 0..4);
    let quoted = proptest::collection::vec(
        prop_oneof![Just("a"), Just(","), Just("\n"), Just("\r"), Just("\r\n"), Just("\"\""), Just("\u{e4}")],
        0..6,
    );
    let field = prop_oneof![
        text.prop_map(|pieces| pieces.concat()),
        quoted.prop_map(|pieces| format!("\"{}\"", pieces.concat())),
    ];
    let end = prop_oneof![4 => Just(","), 2 => Just("\n"), 1 => Just("\r"), 1 => Just("\r\n"), 1 => Just("\n\n\r")];
    proptest::collection::vec((field, end), 0..20).prop_map(|fields| {
        fields.into_iter().flat_map(|(field, end)| [field, end.to_owned()]).collect::<String>().into_bytes()
    })
}

fn csv_options() -> ReadOptions {
    ReadOptions { delimiter: Some(Delimiter::COMMA), ..ReadOptions::default() }
}

fn read_csv(text: &[u8], limits: Limits) -> Vec<Row> {
    read(&open_as("m.csv", text, &csv_options(), limits).unwrap()).unwrap().0
}

proptest! {
    #![proptest_config(ProptestConfig { max_global_rejects: 10_000, ..ProptestConfig::default() })]

    #[test]
    fn sound_csv_is_read_as_the_csv_crate_reads_it(
        body in prop_oneof![arb_csv(), arb_sound_csv()], chunk_bytes in 1_usize..30, marked: bool,
    ) {
        let mark = if marked { "\u{feff}" } else { "" };
        let text = [mark.as_bytes(), b"h\n", &body].concat();
        let naive = naive(&text[mark.len()..]);
        prop_assume!(naive.is_sound);
        let limits = Limits { chunk_bytes, ..Limits::default() };
        let found = read_csv(&text, limits);

        let mut reader = csv::ReaderBuilder::new().flexible(true).from_reader(&text[..]);
        let expected: Vec<csv::ByteRecord> = reader.byte_records().map(Result::unwrap).collect();
        let expected: Vec<Vec<Vec<u8>>> =
            expected.iter().map(|record| record.iter().map(<[u8]>::to_vec).collect()).collect();
        let cells: Vec<Vec<Vec<u8>>> = found
            .iter()
            .map(|row| match row {
                Row::Csv { cells, .. } => cells.clone(),
                other => panic!("{other:?}"),
            })
            .collect();
        prop_assert_eq!(cells, expected);
        let lines: Vec<u64> = found.iter().filter_map(Row::line).collect();
        prop_assert_eq!(&lines[..], &naive.lines[1..]);
    }

    #[test]
    fn any_csv_is_read_alike_whatever_the_chunks_and_nothing_is_lost(
        body in arb_csv(), chunk_bytes in 1_usize..30, chunk_records in 1_usize..4,
    ) {
        let text = [b"h\n", &body[..]].concat();
        // A limit that the texts reach.
        let limits = Limits { record_bytes: 24, ..Limits::default() };
        let whole = read_csv(&text, limits);
        let cut = read_csv(&text, Limits { chunk_bytes, chunk_records, ..limits });
        prop_assert_eq!(&whole, &cut);

        let mut at = 0;
        for (row, number) in whole.iter().zip(1..) {
            prop_assert_eq!(row.number(), number);
            // Nothing but line ends stands between two records, except behind one that was too long.
            let gap = body[at..].windows(row.raw().len().max(1)).position(|window| window == row.raw()).unwrap();
            prop_assert!(body[at..at + gap].iter().all(|byte| b"\r\n".contains(byte)));
            at += gap + row.raw().len();
            if row.bad().is_some_and(|bad| bad.fault == RowFault::TooLong) {
                at += body[at..].iter().take_while(|byte| !b"\r\n".contains(byte)).count();
            }
        }
        prop_assert!(body[at..].iter().all(|byte| b"\r\n".contains(byte)));
    }

    #[test]
    fn cells_of_bad_rows_are_what_the_csv_crate_reads_of_them(body in arb_csv()) {
        for row in read_csv(&[b"h\n", &body[..]].concat(), Limits::default()) {
            let bytes = [b"h\n", row.raw()].concat();
            let mut reader = csv::ReaderBuilder::new().flexible(true).from_reader(&bytes[..]);
            let record = reader.byte_records().next().unwrap().unwrap();
            let expected: Vec<String> = record.iter().map(|cell| String::from_utf8_lossy(cell).into_owned()).collect();
            prop_assert_eq!(row.texts(), expected);
        }
    }

    #[test]
    fn csv_that_was_written_is_read_back(
        rows in proptest::collection::vec(proptest::collection::vec(any::<String>(), 3), 0..20),
        always: bool, crlf: bool, chunk_bytes in 1_usize..200,
    ) {
        let style = if always { csv::QuoteStyle::Always } else { csv::QuoteStyle::Necessary };
        let end = if crlf { csv::Terminator::CRLF } else { csv::Terminator::Any(b'\n') };
        let mut writer = csv::WriterBuilder::new().quote_style(style).terminator(end).from_writer(Vec::new());
        writer.write_record(["a", "b", "c"]).unwrap();
        for row in &rows {
            writer.write_record(row).unwrap();
        }
        let text = writer.into_inner().unwrap();
        let found = read_csv(&text, Limits { chunk_bytes, ..Limits::default() });
        let found: Vec<Vec<String>> = found.iter().map(Row::texts).collect();
        prop_assert_eq!(found, rows);
    }

    #[test]
    fn jsonl_that_was_written_is_read_back(
        rows in proptest::collection::vec(proptest::collection::vec(any::<String>(), 0..5), 0..20),
        chunk_bytes in 1_usize..200,
    ) {
        let mut text = String::new();
        for row in &rows {
            let cells: serde_json::Map<String, serde_json::Value> =
                row.iter().enumerate().map(|(i, value)| (format!("p{i}"), value.as_str().into())).collect();
            text.push_str(&serde_json::Value::from(cells).to_string());
            text.push('\n');
        }
        let limits = Limits { chunk_bytes, ..Limits::default() };
        let manifest = open_as("m.jsonl", text.as_bytes(), &ReadOptions::default(), limits).unwrap();
        let found: Vec<Vec<String>> = read(&manifest).unwrap().0.iter().map(|row| match row {
            Row::Json { cells, .. } => cells.iter().map(|(_, text)| text["text ".len()..].to_owned()).collect(),
            other => panic!("{other:?}"),
        }).collect();
        prop_assert_eq!(found, rows);
    }

    #[test]
    fn utf16_is_read_as_the_same_text_in_utf8(
        // Text with NULs, which UTF-8 hardly ever has, reads as UTF-16 without a mark.
        rows in proptest::collection::vec("[^\0\r\n\"\t,;]{1,20}", 1..20), big_endian: bool, chunk_bytes in 1_usize..60,
    ) {
        let text = format!("h\n{}\n", rows.join("\n"));
        let units = std::iter::once(0xfeff).chain(text.encode_utf16());
        let bytes: Vec<u8> =
            units.flat_map(|unit: u16| if big_endian { unit.to_be_bytes() } else { unit.to_le_bytes() }).collect();
        let found = read_csv(&bytes, Limits { chunk_bytes, ..Limits::default() });
        prop_assert_eq!(found, read_csv(text.as_bytes(), Limits::default()));
    }

    #[test]
    fn no_bytes_make_it_panic(
        bytes in proptest::collection::vec(any::<u8>(), 0..300),
        prefix in proptest::sample::select(vec![&b""[..], b"\xff\xfe", b"\xfe\xff", b"h\n", b"{", b"\x1f\x8b\x08", b"\x28\xb5\x2f\xfd", b"sep=;\n"]),
        name in proptest::sample::select(vec!["m", "m.csv", "m.tsv", "m.jsonl", "m.csv.gz", "m.zst"]),
        encoding in proptest::sample::select(vec![
            None, Some("utf-8"), Some("utf-16le"), Some("utf-16be"), Some("windows-1252"), Some("shift_jis"),
            Some("iso-2022-jp"), Some("gb18030"), Some("big5"),
        ]),
        format in proptest::sample::select(vec![None, Some(Format::Csv), Some(Format::Jsonl)]),
        chunk_bytes in 1_usize..40,
    ) {
        let bytes = [prefix, &bytes].concat();
        let encoding = encoding.map(|label| label.parse::<TextEncoding>().unwrap());
        let options = ReadOptions { format, encoding, delimiter: None };
        let limits = Limits { chunk_bytes, record_bytes: 60, ..Limits::default() };
        if let Ok(manifest) = open_as(name, &bytes, &options, limits)
            && let Ok((rows, _)) = read(&manifest)
        {
            super::super::testing::places(&manifest);
            let other = Limits { chunk_bytes: 1 << 20, ..limits };
            let whole = open_as(name, &bytes, &options, other).unwrap();
            prop_assert_eq!(read(&whole).unwrap().0, rows);
        }
    }
}

#[test]
fn a_pass_that_failed_does_not_go_on() {
    let mut packed = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    let text: String = (0..100_000).map(|row| format!("{row},{}\n", row * 7919 % 65_537)).collect();
    std::io::Write::write_all(&mut packed, text.as_bytes()).unwrap();
    let mut packed = packed.finish().unwrap();
    packed.truncate(packed.len() - 9);
    let manifest = open("m.csv.gz", &packed).unwrap();
    let mut chunks = manifest.chunks().unwrap();
    let first_error = loop {
        match chunks.next_chunk() {
            Ok(chunk) => assert!(chunk.is_some()),
            Err(error) => break error,
        }
    };
    assert!(matches!(first_error, ManifestError::Truncated { .. }), "{first_error:?}");
    assert!(matches!(chunks.next_chunk(), Err(ManifestError::Failed { .. })));
    assert!(matches!(chunks.finish(), Err(ManifestError::Failed { .. })));
}
