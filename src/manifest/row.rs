//! Located raw rows: what the readers give, before anyone asks whether it is right.

use std::borrow::Cow;

/// One value of a JSON row, as it stands in the manifest.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum JsonValue<'a> {
    /// A string, with its escapes undone.
    Text(Cow<'a, str>),
    /// A number, `true` or `false`, as written.
    Literal(&'a str),
    /// `null`.
    Null,
    /// An array or object, as written.
    Nested(&'a str),
}

/// One property of a JSON row.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct JsonCell<'a> {
    /// The property's name, with its escapes undone.
    pub name: Cow<'a, str>,
    /// Its value.
    pub value: JsonValue<'a>,
}

/// The values of one row.
#[derive(Clone, Copy, Debug)]
pub enum Cells<'a> {
    /// A CSV record; the names are in the manifest's [`Header`](super::Header). The bytes may be no UTF-8
    /// only where the row comes with a [`RowFault`].
    Csv(&'a csv::ByteRecord),
    /// The properties of a JSON object, in their order, none twice.
    Json(&'a [JsonCell<'a>]),
}

/// One record of a manifest that could be taken apart.
#[derive(Clone, Copy, Debug)]
pub struct RawRow<'a> {
    /// The record's number in its manifest, from 1; header and blank lines do not count, bad records do.
    pub number: u32,
    /// The physical line of the record's first byte, from 1.
    pub line: u64,
    /// The record's own bytes (UTF-8), without its line end.
    pub raw: &'a [u8],
    /// The values.
    pub cells: Cells<'a>,
}

/// Why a record could not be taken apart. The other records of the manifest are not concerned.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RowFault {
    /// A quote inside an unquoted field, or text behind a closing quote.
    StrayQuote,
    /// A quoted field that does not end (within 1 MiB, or at all); the record is its opening line alone.
    UnclosedQuote,
    /// A line or field over 1 MiB.
    TooLong,
    /// A byte that is not text in the manifest's encoding, with what it would be in windows-1252 where that has it.
    Undecodable {
        /// The byte (UTF-8), or the 16-bit unit (UTF-16).
        unit: u16,
        /// The character that the byte is in windows-1252.
        in_windows_1252: Option<char>,
    },
    /// The line is not JSON; the reason is the parser's, without position.
    Json(String),
    /// The line is JSON and not an object.
    NotAnObject,
    /// A property stands twice in the object.
    RepeatedProperty(String),
}

/// A record that could not be taken apart.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BadRow<'a> {
    /// The record's number in its manifest, from 1, counted like those of good ones.
    pub number: u32,
    /// The physical line where the fault is reported, from 1 (for an unclosed quote, where it opens).
    pub line: u64,
    /// The column in characters of the decoded line, from 1.
    pub column: u64,
    /// The number of the field, from 0, where it is known (CSV).
    pub field: Option<usize>,
    /// The record's bytes, as far as they were read, without the line end.
    pub raw: &'a [u8],
    /// The values as far as the csv crate reads them, for the rejects file (CSV).
    pub cells: Option<&'a csv::ByteRecord>,
    /// What is wrong.
    pub fault: RowFault,
}
