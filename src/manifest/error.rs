//! Why a manifest cannot be read at all. What is wrong with one row is a [`RowFault`](super::RowFault) instead.

use std::fmt;
use std::io;

use super::decompress::ExpandError;
use super::limits::{MAX_COLUMNS, MAX_EXPANDED_BYTES, MAX_RECORD_BYTES, MAX_SPOOLED_BYTES, MAX_ZSTD_WINDOW_BYTES};
use super::options::TextEncoding;
use crate::request::printable;

/// How a manifest is compressed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Compression {
    /// gzip (RFC 1952), any number of members.
    Gzip,
    /// Zstandard (RFC 8878), any number of frames.
    Zstd,
}

impl fmt::Display for Compression {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Gzip => "gzip",
            Self::Zstd => "zstd",
        })
    }
}

/// A kind of file that is no manifest, known by its first bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ForeignFile {
    /// A zip archive, which is what an .xlsx, .ods or .docx file is.
    Xlsx,
    /// An OLE compound file: .xls, .doc, .msg.
    Xls,
    /// A PDF document.
    Pdf,
    /// An SQLite database, which is what a ledger is.
    Ledger,
    /// Compressed by something else than gzip and zstd.
    OtherArchive,
    /// Compressed twice.
    CompressedTwice,
    /// UTF-32 text.
    Utf32,
}

impl ForeignFile {
    /// Returns what the file is, and what to do instead.
    const fn advice(self) -> &'static str {
        match self {
            Self::Xlsx => "is an Excel workbook or another zip archive; save it as \"CSV UTF-8\" and give that file",
            Self::Xls => "is an old Excel workbook (.xls); save it as \"CSV UTF-8\" and give that file",
            Self::Pdf => "is a PDF document; give the table that it was made from, saved as \"CSV UTF-8\"",
            Self::Ledger => {
                "is an SQLite database, perhaps a ledger; give the manifest, or use replay, status or export with a ledger"
            }
            Self::OtherArchive => "is compressed by bzip2, xz or 7-Zip; unpack it, or compress it with gzip or zstd",
            Self::CompressedTwice => "is compressed twice; unpack it once",
            Self::Utf32 => "is UTF-32 text; save it as UTF-8",
        }
    }
}

/// What is wrong with the quotes of a header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HeaderQuote {
    /// A quote inside an unquoted name, or text behind a closing quote.
    Stray,
    /// A quoted name that does not end.
    Unclosed,
}

impl HeaderQuote {
    const fn advice(self) -> &'static str {
        match self {
            Self::Stray => "the header has a stray quote; put the whole name in quotes and double the quotes inside",
            Self::Unclosed => "the header has a quote that is never closed; close or remove it",
        }
    }
}

/// A manifest cannot be read, or not to its end. `file` is its name as the user gave it, `line` the physical line from 1.
#[derive(Debug, thiserror::Error)]
pub enum ManifestError {
    /// The file cannot be opened.
    #[error("{file}: the manifest cannot be opened; check its name, and that you may read it", file = printable(file))]
    Open {
        /// The manifest.
        file: String,
        /// What the system said.
        source: io::Error,
    },
    /// It is a folder.
    #[error("{file}: is a folder; give the manifest's own name", file = printable(file))]
    Folder {
        /// The manifest.
        file: String,
    },
    /// It is a device, which has no end.
    #[error("{file}: is a device; give the manifest as a file, or pipe it in and write - for it", file = printable(file))]
    Device {
        /// The manifest.
        file: String,
    },
    /// A pipe gives more than is kept.
    #[error("{file}: gives more than {} GiB; give the manifest as a file", MAX_SPOOLED_BYTES >> 30, file = printable(file))]
    Endless {
        /// The manifest.
        file: String,
    },
    /// Standard input, or a pipe, cannot be kept for reading it twice.
    #[error(
        "{file}: cannot be kept in a temporary file, which it takes to read it twice; \
         make room there, set TMPDIR to another folder, or give the manifest as a file", file = printable(file))]
    Spool {
        /// The manifest.
        file: String,
        /// What the system said.
        source: io::Error,
    },
    /// The system could not read on.
    #[error("{file}:{line}: the manifest cannot be read from here on; try again, or copy it to a local disk first", file = printable(file))]
    Read {
        /// The manifest.
        file: String,
        /// Where reading stopped.
        line: u64,
        /// What the system said.
        source: io::Error,
    },
    /// A pass is asked for more after it failed.
    #[error("{file}: this reading of the manifest has failed before; begin a new one", file = printable(file))]
    Failed {
        /// The manifest.
        file: String,
    },
    /// The extension says that the file is compressed, its bytes do not.
    #[error(
        "{file}:1: its name says {compression} and its content does not; give it its right name, or get it once more", file = printable(file))]
    NotCompressed {
        /// The manifest.
        file: String,
        /// What the extension says.
        compression: Compression,
    },
    /// The compressed data break off.
    #[error("{file}:{line}: the {compression} data break off here; the file is not whole, get it once more", file = printable(file))]
    Truncated {
        /// The manifest.
        file: String,
        /// Where reading stopped.
        line: u64,
        /// How it is compressed.
        compression: Compression,
        /// What the decoder said.
        source: io::Error,
    },
    /// The compressed data are damaged, or something else follows them.
    #[error("{file}:{line}: the {compression} data are damaged or end in something else; get the file once more", file = printable(file))]
    Corrupt {
        /// The manifest.
        file: String,
        /// Where reading stopped.
        line: u64,
        /// How it is compressed.
        compression: Compression,
        /// What the decoder said.
        source: io::Error,
    },
    /// Unpacking would take more memory than allowed.
    #[error(
        "{file}:{line}: unpacking takes a window over {} MiB; compress it without --long and --ultra",
        MAX_ZSTD_WINDOW_BYTES >> 20, file = printable(file))]
    ZstdWindow {
        /// The manifest.
        file: String,
        /// Where reading stopped.
        line: u64,
    },
    /// The expanded manifest is too large.
    #[error("{file}:{line}: expands to more than {} GiB; split it, or unpack it first", MAX_EXPANDED_BYTES >> 30, file = printable(file))]
    TooLarge {
        /// The manifest.
        file: String,
        /// Where reading stopped.
        line: u64,
    },
    /// The manifest has more rows than can be numbered.
    #[error("{file}:{line}: has more than {} rows; split it", u32::MAX, file = printable(file))]
    TooManyRows {
        /// The manifest.
        file: String,
        /// The first line that is too much.
        line: u64,
    },
    /// The file is something else than a manifest.
    #[error("{file}:1: {}", kind.advice(), file = printable(file))]
    Foreign {
        /// The manifest.
        file: String,
        /// What it is.
        kind: ForeignFile,
    },
    /// Text full of NUL bytes: UTF-16 without byte order mark.
    #[error(
        "{file}:1: is full of NUL bytes, as UTF-16 without byte order mark is; give --encoding {probable}, or save it as UTF-8", file = printable(file))]
    NoByteOrderMark {
        /// The manifest.
        file: String,
        /// What the bytes look like.
        probable: TextEncoding,
    },
    /// The byte order mark is of another encoding than the user said.
    #[error("{file}:1: begins with the byte order mark of {found}, and --encoding says {asked}; leave --encoding out", file = printable(file))]
    OtherByteOrderMark {
        /// The manifest.
        file: String,
        /// What the user said.
        asked: TextEncoding,
        /// What the mark says.
        found: TextEncoding,
    },
    /// No header line where it must be.
    #[error("{file}:{line}: no header line ends within the first {} MiB; is this a CSV file?", MAX_RECORD_BYTES >> 20, file = printable(file))]
    HeaderTooLong {
        /// The manifest.
        file: String,
        /// Where the header begins, or would.
        line: u64,
    },
    /// The header names more columns than a spreadsheet has.
    #[error("{file}:{line}: has {n_columns} columns, and at most {MAX_COLUMNS} are read; delete the empty ones", file = printable(file))]
    TooManyColumns {
        /// The manifest.
        file: String,
        /// The header's line.
        line: u64,
        /// How many there are.
        n_columns: usize,
    },
    /// The header holds something that is not text.
    #[error(
        "{file}:{line}:{column}: {} in the header is not {encoding} text; {}",
        Unit { unit: *unit, in_windows_1252: *in_windows_1252 }, Unit::advice(*in_windows_1252), file = printable(file))]
    HeaderUndecodable {
        /// The manifest.
        file: String,
        /// The line.
        line: u64,
        /// The column in characters, from 1.
        column: u64,
        /// The byte, or the 16-bit unit.
        unit: u16,
        /// The character that the byte is in windows-1252.
        in_windows_1252: Option<char>,
        /// The encoding that was used.
        encoding: TextEncoding,
    },
    /// The header's quotes are wrong.
    #[error("{file}:{line}:{column}: {}", quote.advice(), file = printable(file))]
    HeaderQuotes {
        /// The manifest.
        file: String,
        /// The line.
        line: u64,
        /// The column in characters, from 1.
        column: u64,
        /// What is wrong.
        quote: HeaderQuote,
    },
    /// JSON that does not have one object a line.
    #[error("{file}:{line}: JSON is spread over several lines; write one object a line: jq -c '{}' FILE", jq(*array), file = printable(file))]
    SpreadJson {
        /// The manifest.
        file: String,
        /// The line.
        line: u64,
        /// Whether the whole is an array.
        array: bool,
    },
}

impl ManifestError {
    /// Adds name and line to what the bytes say.
    pub(super) fn of_expanding(file: &str, line: u64, error: ExpandError) -> Self {
        let file = file.to_owned();
        match error {
            ExpandError::Read(source) => Self::Read { file, line, source },
            ExpandError::Truncated(compression, source) => Self::Truncated { file, line, compression, source },
            ExpandError::Corrupt(compression, source) => Self::Corrupt { file, line, compression, source },
            ExpandError::ZstdWindow => Self::ZstdWindow { file, line },
            ExpandError::TooLarge => Self::TooLarge { file, line },
        }
    }
}

/// Returns the jq program that makes one object a line.
const fn jq(array: bool) -> &'static str {
    if array { ".[]" } else { "." }
}

/// Writes `byte 0xE4 ("ä" in windows-1252)`.
struct Unit {
    unit: u16,
    in_windows_1252: Option<char>,
}

impl Unit {
    const fn advice(in_windows_1252: Option<char>) -> &'static str {
        match in_windows_1252 {
            Some(_) => "give --encoding windows-1252 if that is right, or save it as UTF-8",
            None => "give its --encoding, or save it as UTF-8",
        }
    }
}

impl fmt::Display for Unit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (u8::try_from(self.unit), self.in_windows_1252) {
            (Ok(byte), Some(character)) => write!(f, "byte 0x{byte:02X} (\"{character}\" in windows-1252)"),
            (Ok(byte), None) => write!(f, "byte 0x{byte:02X}"),
            (Err(_), _) => write!(f, "unit 0x{:04X}", self.unit),
        }
    }
}
