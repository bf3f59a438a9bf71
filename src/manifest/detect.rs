//! What can be told from a manifest's name and first bytes.

use std::path::Path;

use super::error::{Compression, ForeignFile};
use super::options::{Delimiter, Format, TextEncoding};

/// How many bytes are looked at.
pub(super) const HEAD_BYTES: usize = 1024;

/// Returns the extension and the rest of the name.
fn split_extension(path: &Path) -> (Option<String>, &Path) {
    let extension = path.extension().map(|extension| extension.to_string_lossy().to_ascii_lowercase());
    (extension, path.file_stem().map_or(path, Path::new))
}

/// Returns the compression that the name says.
pub(super) fn compression_by_name(path: &Path) -> Option<Compression> {
    match split_extension(path).0.as_deref() {
        Some("gz" | "gzip") => Some(Compression::Gzip),
        Some("zst" | "zstd") => Some(Compression::Zstd),
        _ => None,
    }
}

/// Returns the compression that the first bytes say.
pub(super) fn compression_by_content(head: &[u8]) -> Option<Compression> {
    match head {
        [0x1f, 0x8b, 0x08, ..] => Some(Compression::Gzip),
        [0x28, 0xb5, 0x2f, 0xfd, ..] => Some(Compression::Zstd),
        // A skippable frame, which parallel compressors write first (RFC 8878, 3.1.2).
        [0x50..=0x5f, 0x2a, 0x4d, 0x18, ..] => Some(Compression::Zstd),
        _ => None,
    }
}

/// What an extension says about the rows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum NamedFormat {
    /// CSV, with any delimiter.
    Csv,
    /// CSV with tabs.
    Tsv,
    /// JSONL.
    Jsonl,
}

/// Returns the format that the name says, behind the extension of a compression.
pub(super) fn format_by_name(path: &Path) -> Option<NamedFormat> {
    let (extension, stem) = split_extension(path);
    let extension = if compression_by_name(path).is_some() { split_extension(stem).0 } else { extension };
    match extension.as_deref() {
        Some("csv" | "txt") => Some(NamedFormat::Csv),
        Some("tsv") => Some(NamedFormat::Tsv),
        Some("jsonl" | "ndjson" | "json") => Some(NamedFormat::Jsonl),
        _ => None,
    }
}

/// Returns the format of text by its first byte that is no white space.
pub(super) const fn format_by_content(first: Option<u8>) -> Format {
    match first {
        Some(b'{') => Format::Jsonl,
        Some(_) | None => Format::Csv,
    }
}

/// Returns what the file is, where its first bytes (expanded) say that it is no text that can be read.
pub(super) fn foreign(head: &[u8]) -> Option<ForeignFile> {
    let kinds: [(&[u8], ForeignFile); 10] = [
        (b"PK\x03\x04", ForeignFile::Xlsx),
        (b"PK\x05\x06", ForeignFile::Xlsx),
        (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", ForeignFile::Xls),
        (b"%PDF-", ForeignFile::Pdf),
        (b"SQLite format 3\0", ForeignFile::Ledger),
        (b"BZh", ForeignFile::OtherArchive),
        (b"\xfd7zXZ\0", ForeignFile::OtherArchive),
        (b"7z\xbc\xaf\x27\x1c", ForeignFile::OtherArchive),
        (b"\xff\xfe\0\0", ForeignFile::Utf32),
        (b"\0\0\xfe\xff", ForeignFile::Utf32),
    ];
    let known = kinds.into_iter().find(|(magic, _)| head.starts_with(magic)).map(|(_, kind)| kind);
    known.or_else(|| compression_by_content(head).map(|_| ForeignFile::CompressedTwice))
}

/// Returns the encoding of the byte order mark, and the mark's length in bytes.
pub(super) fn byte_order_mark(head: &[u8]) -> Option<(TextEncoding, usize)> {
    match head {
        [0xef, 0xbb, 0xbf, ..] => Some((TextEncoding::Utf8, 3)),
        [0xff, 0xfe, ..] => Some((TextEncoding::Utf16Le, 2)),
        [0xfe, 0xff, ..] => Some((TextEncoding::Utf16Be, 2)),
        _ => None,
    }
}

/// Returns which UTF-16 the bytes look like: column names are ASCII, so that every second byte is NUL.
///
/// A quarter is asked for, because rows further down may be in any script.
pub(super) fn utf16_without_mark(head: &[u8]) -> Option<TextEncoding> {
    let n_nul = |from: usize| head.iter().skip(from).step_by(2).filter(|byte| **byte == 0).count();
    let (n_even, n_odd) = (n_nul(0), n_nul(1));
    if n_even.max(n_odd) == 0 || n_even.max(n_odd) * 4 < head.len() {
        None
    } else if n_odd >= n_even {
        Some(TextEncoding::Utf16Le)
    } else {
        Some(TextEncoding::Utf16Be)
    }
}

/// Returns the delimiter that a `sep=;` line sets. Spreadsheets write and read it as the first line.
pub(super) fn separator_line(line: &[u8]) -> Option<Delimiter> {
    let bare = line.strip_prefix(b"\"").and_then(|rest| rest.strip_suffix(b"\"")).unwrap_or(line);
    match bare.split_at_checked(4) {
        Some((name, &[byte])) if name.eq_ignore_ascii_case(b"sep=") => Delimiter::new(byte),
        _ => None,
    }
}

/// Returns whether this is the line that PowerShell's `Export-Csv` writes before the header (`#TYPE System.Object`).
pub(super) fn is_type_line(line: &[u8]) -> bool {
    line.strip_prefix(b"\"").unwrap_or(line).starts_with(b"#TYPE ")
}

/// Returns the delimiter of a header line: of `,`, `;` and tab the one that stands most often outside of quotes; `,`
/// where there is none.
pub(super) fn delimiter_of(header_line: &[u8]) -> Delimiter {
    // The last one of equals is taken, so the most likely stands last.
    let candidates = [Delimiter::TAB, Delimiter::SEMICOLON, Delimiter::COMMA];
    let mut counts = [0_u32; 3];
    let mut in_quotes = false;
    let mut at_field_start = true;
    for &byte in header_line {
        if byte == b'"' {
            // A quote opens at a field's start only; inside, a doubled one closes and opens again.
            (in_quotes, at_field_start) = (!in_quotes && at_field_start, in_quotes);
            continue;
        }
        let found = candidates.iter().position(|candidate| candidate.as_byte() == byte).filter(|_| !in_quotes);
        if let Some(found) = found {
            counts[found] += 1;
        }
        at_field_start = found.is_some();
    }
    let most = (0..counts.len()).max_by_key(|index| counts[*index]).unwrap_or_default();
    candidates[most]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_say_format_and_compression() {
        let check = |name: &str, format, compression| {
            let path = Path::new(name);
            assert_eq!((format_by_name(path), compression_by_name(path)), (format, compression), "{name}");
        };
        check("a.csv", Some(NamedFormat::Csv), None);
        check("dir.d/A.CSV.GZ", Some(NamedFormat::Csv), Some(Compression::Gzip));
        check("a.txt", Some(NamedFormat::Csv), None);
        check("a.tsv.zst", Some(NamedFormat::Tsv), Some(Compression::Zstd));
        check("a.jsonl", Some(NamedFormat::Jsonl), None);
        check("a.ndjson.gz", Some(NamedFormat::Jsonl), Some(Compression::Gzip));
        check("a.json", Some(NamedFormat::Jsonl), None);
        check("wave", None, None);
        check("wave.gz", None, Some(Compression::Gzip));
        check("a.csv.bak", None, None);
        check("", None, None);
    }

    #[test]
    fn first_bytes_say_what_a_file_is() {
        assert_eq!(compression_by_content(b"\x1f\x8b\x08\0"), Some(Compression::Gzip));
        assert_eq!(compression_by_content(b"\x28\xb5\x2f\xfd"), Some(Compression::Zstd));
        assert_eq!(compression_by_content(b"\x51\x2a\x4d\x18"), Some(Compression::Zstd));
        assert_eq!(compression_by_content(b"type,target"), None);
        assert_eq!(foreign(b"PK\x03\x04\x14"), Some(ForeignFile::Xlsx));
        assert_eq!(foreign(b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1"), Some(ForeignFile::Xls));
        assert_eq!(foreign(b"%PDF-1.7"), Some(ForeignFile::Pdf));
        assert_eq!(foreign(b"SQLite format 3\0"), Some(ForeignFile::Ledger));
        assert_eq!(foreign(b"\x1f\x8b\x08\0"), Some(ForeignFile::CompressedTwice));
        assert_eq!(foreign(b"\xff\xfe\0\0t\0\0\0"), Some(ForeignFile::Utf32));
        assert_eq!(foreign(b"\xff\xfet\0"), None);
        assert_eq!(foreign(b"PK,type"), None);
        assert_eq!(byte_order_mark(b"\xef\xbb\xbf"), Some((TextEncoding::Utf8, 3)));
        assert_eq!(byte_order_mark(b"\xff\xfea"), Some((TextEncoding::Utf16Le, 2)));
        assert_eq!(byte_order_mark(b"\xfe\xff"), Some((TextEncoding::Utf16Be, 2)));
        assert_eq!(byte_order_mark(b"\xef\xbb"), None);
        assert_eq!(utf16_without_mark(b"t\0y\0p\0e\0"), Some(TextEncoding::Utf16Le));
        assert_eq!(utf16_without_mark(b"\0t\0y\0p\0e"), Some(TextEncoding::Utf16Be));
        assert_eq!(utf16_without_mark(b"type,target\nEnroll\0,"), None);
        assert_eq!(utf16_without_mark(b""), None);
    }

    #[test]
    fn the_delimiter_is_the_one_that_stands_most_often_outside_of_quotes() {
        for (line, delimiter) in [
            ("type,target", Delimiter::COMMA),
            ("type;target;data.Name, first", Delimiter::SEMICOLON),
            ("type\ttarget", Delimiter::TAB),
            ("\"a;b;c;d\",type", Delimiter::COMMA),
            ("\"a\"\"\t\t\t\",type", Delimiter::COMMA),
            ("a\"\"\tb,c,d", Delimiter::COMMA),
            ("type", Delimiter::COMMA),
            ("", Delimiter::COMMA),
            ("a,b;c", Delimiter::COMMA),
            ("a|b|c", Delimiter::COMMA),
        ] {
            assert_eq!(delimiter_of(line.as_bytes()), delimiter, "{line}");
        }
    }

    #[test]
    fn lines_before_the_header_are_known() {
        assert_eq!(separator_line(b"sep=;"), Some(Delimiter::SEMICOLON));
        assert_eq!(separator_line(b"SEP=\t"), Some(Delimiter::TAB));
        assert_eq!(separator_line(b"\"sep=|\""), Some(Delimiter::PIPE));
        for no in [&b"sep="[..], b"sep=;;", b"sep=\"", b"separator", b"type,target"] {
            assert_eq!(separator_line(no), None);
        }
        assert!(is_type_line(b"#TYPE System.Management.Automation.PSCustomObject"));
        assert!(!is_type_line(b"#TYPE"));
        assert!(!is_type_line(b"type"));
    }
}
