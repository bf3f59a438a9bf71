//! What comes before the first row: blank lines, `sep=`, `#TYPE`, and the header.

use csv::ByteRecord;

use super::csv_chunk::split;
use super::decode::{Text, in_windows_1252};
use super::detect;
use super::error::{HeaderQuote, ManifestError};
use super::limits::{Limits, MAX_COLUMNS};
use super::options::{Delimiter, TextEncoding};
use super::place::{Fields, first_line, place_in};
use super::scan::{Scanner, Shape, Step};

/// How much text is read at once while looking for the header.
const BLOCK_BYTES: usize = 16 << 10;

/// The header of a CSV manifest.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Header {
    names: Vec<String>,
    columns: Vec<u64>,
    line: u64,
}

impl Header {
    /// Returns the names as written, in their own case, without quotes and surrounding white space. Some may be empty.
    pub fn names(&self) -> &[String] {
        &self.names
    }

    /// Returns the physical line where the header begins, from 1.
    pub const fn line(&self) -> u64 {
        self.line
    }

    /// Returns the column in characters, from 1, where the name of this field (from 0) begins; for a field that the header
    /// does not have, that of the last name.
    pub fn column_of(&self, field: usize) -> u64 {
        self.columns.get(field).or(self.columns.last()).copied().unwrap_or(1)
    }
}

/// Where the rows begin.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Body {
    /// In bytes of text.
    pub(super) offset: usize,
    /// The physical line, from 1.
    pub(super) line: u64,
}

/// The start of a manifest's text, as much of it as was needed so far.
pub(super) struct Head<'a> {
    pub(super) file: &'a str,
    pub(super) text: Text,
    pub(super) encoding: TextEncoding,
    pub(super) limits: Limits,
    pub(super) bytes: Vec<u8>,
}

impl Head<'_> {
    /// Returns the first byte that is no white space.
    pub(super) fn first_character(&mut self) -> Result<Option<u8>, ManifestError> {
        let mut at = 0;
        loop {
            if let Some(found) = self.bytes[at..].iter().find(|byte| !byte.is_ascii_whitespace()) {
                return Ok(Some(*found));
            }
            at = self.bytes.len();
            if self.is_exhausted() {
                return Ok(None);
            }
            self.read_on(1)?;
        }
    }

    /// Refuses JSON that is written over several lines, which would else be an error on every one of them.
    pub(super) fn refuse_spread_json(&mut self) -> Result<(), ManifestError> {
        let (mut at, mut line) = (0, 1);
        while let Some((end, next)) = self.line_at(at, line)? {
            match self.bytes[at..end].trim_ascii() {
                b"" => {}
                bracket @ (b"[" | b"{") => {
                    return Err(ManifestError::SpreadJson { file: self.file.to_owned(), line, array: bracket == b"[" });
                }
                _ => break,
            }
            (at, line) = (next, line + 1);
        }
        Ok(())
    }

    /// Reads the header and what comes before it; text that has no line with anything in it has none, and no rows. `asked` is the user's delimiter, `tabs` says that the name is that of a
    /// file with tabs.
    pub(super) fn csv(
        &mut self,
        asked: Option<Delimiter>,
        tabs: bool,
    ) -> Result<(Option<Header>, Delimiter, Body), ManifestError> {
        let (mut at, mut line) = (0, 1);
        let mut separator = None;
        let first = loop {
            let Some((end, next)) = self.line_at(at, line)? else {
                if self.text.at_end() {
                    let delimiter = asked.or(separator).unwrap_or(Delimiter::COMMA);
                    return Ok((None, delimiter, Body { offset: self.bytes.len(), line }));
                }
                return Err(ManifestError::HeaderTooLong { file: self.file.to_owned(), line });
            };
            let text = &self.bytes[at..end];
            if let (None, Some(found)) = (separator, detect::separator_line(text)) {
                separator = Some(found);
            } else if !text.is_empty() && !detect::is_type_line(text) {
                break at..end;
            }
            (at, line) = (next, line + 1);
        };
        let text = &self.bytes[first];
        let by_name = (tabs && text.contains(&b'\t')).then_some(Delimiter::TAB);
        let delimiter = asked.or(separator).or(by_name).unwrap_or_else(|| detect::delimiter_of(text));
        let (header, body) = self.header_at(at, line, delimiter)?;
        Ok((Some(header), delimiter, body))
    }

    fn header_at(&mut self, at: usize, line: u64, delimiter: Delimiter) -> Result<(Header, Body), ManifestError> {
        let scanner = Scanner::Csv { delimiter, max_bytes: self.limits.record_bytes };
        let (end, next, n_lines, shape) = loop {
            match scanner.step(&self.bytes[at..], self.text.at_end()) {
                Step::Record { end, next, n_lines, shape } => break (at + end, at + next, n_lines, shape),
                Step::More if !self.text.at_end() => self.read_on(line)?,
                Step::More | Step::Blank { .. } | Step::TooLong { .. } => {
                    return Err(ManifestError::HeaderTooLong { file: self.file.to_owned(), line });
                }
            }
        };
        let raw = self.bytes[at..end].to_vec();
        self.refuse_undecodable(&raw, at, line)?;
        let quote = match shape {
            Shape::Plain | Shape::Quoted | Shape::TooLong => None,
            Shape::StrayQuote { at } => Some((at, HeaderQuote::Stray)),
            Shape::UnclosedQuote { at } => Some((at, HeaderQuote::Unclosed)),
        };
        if let Some((at, quote)) = quote {
            let place = place_in(&raw, line, at as usize);
            let file = self.file.to_owned();
            return Err(ManifestError::HeaderQuotes { file, line: place.line, column: place.column, quote });
        }
        let mut cells = ByteRecord::new();
        split(&raw, shape, delimiter, &mut cells, &mut Vec::new());
        if cells.len() > MAX_COLUMNS {
            return Err(ManifestError::TooManyColumns { file: self.file.to_owned(), line, n_columns: cells.len() });
        }
        let names = cells.iter().map(|name| String::from_utf8_lossy(name).trim().to_owned()).collect();
        let columns = Fields::new(&raw, delimiter).map(|field| place_in(&raw, line, field.span.start).column).collect();
        Ok((Header { names, columns, line }, Body { offset: next, line: line + u64::from(n_lines) }))
    }

    /// Refuses a header with something that is not text. `at` is where it begins in the manifest's text.
    fn refuse_undecodable(&mut self, raw: &[u8], at: usize, line: u64) -> Result<(), ManifestError> {
        // What lies in the lines before the header is nobody's concern.
        while self.text.take_fault_before(at as u64).is_some() {}
        let noted = self.text.take_fault_before((at + raw.len()) as u64);
        let found = match (noted, str::from_utf8(raw)) {
            (Some(fault), _) => {
                let offset = usize::try_from(fault.offset).unwrap_or(usize::MAX).saturating_sub(at);
                Some((offset.min(raw.len()), fault.unit))
            }
            (None, Err(error)) => Some((error.valid_up_to(), u16::from(raw[error.valid_up_to()]))),
            (None, Ok(_)) => None,
        };
        let Some((offset, unit)) = found else { return Ok(()) };
        let place = place_in(raw, line, offset);
        Err(ManifestError::HeaderUndecodable {
            file: self.file.to_owned(),
            line: place.line,
            column: place.column,
            unit,
            in_windows_1252: character_of(unit, self.encoding),
            encoding: self.encoding,
        })
    }

    /// Returns where the line that begins at `at` ends, and where the next one begins; none behind the last line, and
    /// where none ends within the limit.
    fn line_at(&mut self, at: usize, line: u64) -> Result<Option<(usize, usize)>, ManifestError> {
        loop {
            let at_end = self.text.at_end();
            if at_end && at == self.bytes.len() {
                return Ok(None);
            }
            if let Some((end, next)) = first_line(&self.bytes[at..], at_end) {
                return Ok(Some((at + end, at + next)));
            }
            if self.is_exhausted() {
                return Ok(None);
            }
            self.read_on(line)?;
        }
    }

    /// Returns whether nothing more is read for the header's sake.
    fn is_exhausted(&self) -> bool {
        self.text.at_end() || self.bytes.len() > self.limits.record_bytes
    }

    fn read_on(&mut self, line: u64) -> Result<(), ManifestError> {
        self.text
            .fill(&mut self.bytes, BLOCK_BYTES)
            .map_err(|error| ManifestError::of_expanding(self.file, line, error))
    }
}

/// Returns the character that an undecodable unit is in windows-1252, where the encoding is one of bytes.
pub(super) fn character_of(unit: u16, encoding: TextEncoding) -> Option<char> {
    if encoding.is_utf16() { None } else { u8::try_from(unit).ok().and_then(in_windows_1252) }
}
