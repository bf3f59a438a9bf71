//! Where a field stands, found by reading its record once more; only diagnostics ask.

use std::ops::Range;

use memchr::{memchr, memchr2};

use super::options::Delimiter;
use super::row::{Cells, RawRow};
use super::scan::{behind_line_end, count_line_ends};

/// A place in a manifest.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Place {
    /// The physical line, from 1.
    pub line: u64,
    /// The column in characters of the decoded line, from 1.
    pub column: u64,
}

impl RawRow<'_> {
    /// Returns where a field (from 0) begins: for CSV its first character, a quote included; for JSON the property's value.
    ///
    /// The line differs from the row's where quoted line breaks come before. A field that the row does not have is where
    /// the row ends. The delimiter is the manifest's; JSON has none.
    ///
    /// ```
    /// use cmbatch::manifest::{Cells, Delimiter, RawRow};
    /// let cells = csv::ByteRecord::from(vec!["1", "two\nlines", "Enroll"]);
    /// let row = RawRow { number: 1, line: 7, raw: b"1,\"two\nlines\",Enroll", cells: Cells::Csv(&cells) };
    /// let place = row.place_of(2, Delimiter::COMMA);
    /// assert_eq!((place.line, place.column), (8, 8));
    /// ```
    pub fn place_of(&self, field: usize, delimiter: Delimiter) -> Place {
        let offset = match self.cells {
            Cells::Csv(_) => Fields::new(self.raw, delimiter).nth(field).map(|field| field.span.start),
            Cells::Json(_) => Properties::new(self.raw).nth(field).map(|property| property.value),
        };
        place_in(self.raw, self.line, offset.unwrap_or(self.raw.len()))
    }

    /// Returns the column where a field begins, on the line that [`place_of`](Self::place_of) gives.
    pub fn column_of(&self, field: usize, delimiter: Delimiter) -> u64 {
        self.place_of(field, delimiter).column
    }

    /// Returns where the name of a JSON property (from 0) begins; for CSV, where the field begins.
    pub fn place_of_name(&self, field: usize, delimiter: Delimiter) -> Place {
        match self.cells {
            Cells::Csv(_) => self.place_of(field, delimiter),
            Cells::Json(_) => {
                let offset = Properties::new(self.raw).nth(field).map_or(self.raw.len(), |property| property.name);
                place_in(self.raw, self.line, offset)
            }
        }
    }
}

/// Returns the place of a byte of a record that begins on `line`.
pub(super) fn place_in(raw: &[u8], line: u64, offset: usize) -> Place {
    let before = &raw[..offset];
    let line_start = memchr::memrchr2(b'\n', b'\r', before).map_or(0, |at| at + 1);
    // A character has one byte that is no continuation byte.
    let n_characters = before[line_start..].iter().filter(|byte| **byte & 0xc0 != 0x80).count() as u64;
    Place { line: line + count_line_ends(before) as u64, column: n_characters + 1 }
}

/// A field of a CSV record as it is written.
pub(super) struct Field {
    /// Its bytes in the record, quotes included.
    pub(super) span: Range<usize>,
    /// How it begins, where that is a quote.
    pub(super) quoted: Option<QuotedPart>,
}

/// The quoted part of a field: from its first byte, which is a quote, to the quote that closes it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct QuotedPart {
    /// How many bytes it takes, both quotes included; all of the record where it does not end.
    pub(super) n_bytes: usize,
    /// Whether it ends.
    pub(super) is_closed: bool,
    /// Whether there are doubled quotes inside.
    pub(super) has_doubled: bool,
}

impl QuotedPart {
    fn new(text: &[u8]) -> Self {
        let mut from = 1;
        let mut has_doubled = false;
        while let Some(at) = text.get(from..).and_then(|rest| memchr(b'"', rest)) {
            let behind = from + at + 1;
            if text.get(behind) != Some(&b'"') {
                return Self { n_bytes: behind, is_closed: true, has_doubled };
            }
            has_doubled = true;
            from = behind + 1;
        }
        Self { n_bytes: text.len(), is_closed: false, has_doubled }
    }
}

/// The fields of a CSV record.
pub(super) struct Fields<'a> {
    raw: &'a [u8],
    delimiter: u8,
    next: Option<usize>,
}

impl<'a> Fields<'a> {
    pub(super) const fn new(raw: &'a [u8], delimiter: Delimiter) -> Self {
        Self { raw, delimiter: delimiter.as_byte(), next: Some(0) }
    }
}

impl Iterator for Fields<'_> {
    type Item = Field;

    fn next(&mut self) -> Option<Field> {
        let start = self.next?;
        let text = &self.raw[start..];
        let quoted = (text.first() == Some(&b'"')).then(|| QuotedPart::new(text));
        let n_quoted = quoted.map_or(0, |quoted| quoted.n_bytes);
        let length = match text.get(n_quoted) {
            // Behind a closing quote, no search is needed.
            Some(&byte) if byte == self.delimiter => Some(n_quoted),
            Some(_) => memchr(self.delimiter, &text[n_quoted..]).map(|at| n_quoted + at),
            None => None,
        };
        self.next = length.map(|length| start + length + 1);
        Some(Field { span: start..start + length.unwrap_or(text.len()), quoted })
    }
}

/// Returns the number of the field that the byte belongs to.
pub(super) fn field_at(raw: &[u8], delimiter: Delimiter, offset: usize) -> usize {
    Fields::new(raw, delimiter).take_while(|field| field.span.end < offset).count()
}

/// Where a property of a JSON object stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct PropertyPlace {
    /// The quote that opens its name.
    pub(super) name: usize,
    /// The first byte of its value.
    pub(super) value: usize,
}

/// The places of the properties of an object that is known to be JSON; of anything else those that can be found.
pub(super) struct Properties<'a> {
    raw: &'a [u8],
    at: usize,
}

impl<'a> Properties<'a> {
    pub(super) fn new(raw: &'a [u8]) -> Self {
        Self { raw, at: memchr(b'{', raw).map_or(raw.len(), |at| at + 1) }
    }

    fn skip_while(&mut self, skipped: impl Fn(u8) -> bool) {
        while self.raw.get(self.at).is_some_and(|byte| skipped(*byte)) {
            self.at += 1;
        }
    }

    /// Goes behind the string that begins here.
    fn skip_string(&mut self) {
        self.at += 1;
        while let Some(at) = memchr2(b'"', b'\\', self.raw.get(self.at..).unwrap_or_default()) {
            let is_end = self.raw[self.at + at] == b'"';
            self.at += at + if is_end { 1 } else { 2 };
            if is_end {
                return;
            }
        }
        self.at = self.raw.len();
    }

    /// Goes to the `,` or `}` behind the value that begins here.
    fn skip_value(&mut self) {
        let mut depth = 0_u32;
        while let Some(byte) = self.raw.get(self.at) {
            match byte {
                b'"' => {
                    self.skip_string();
                    continue;
                }
                b'{' | b'[' => depth += 1,
                b',' | b'}' if depth == 0 => return,
                b'}' | b']' => depth = depth.saturating_sub(1),
                _ => {}
            }
            self.at += 1;
        }
    }
}

impl Iterator for Properties<'_> {
    type Item = PropertyPlace;

    fn next(&mut self) -> Option<PropertyPlace> {
        let is_space = |byte: u8| matches!(byte, b' ' | b'\t' | b'\r' | b'\n');
        self.skip_while(|byte| is_space(byte) || byte == b',');
        if self.raw.get(self.at) != Some(&b'"') {
            return None;
        }
        let name = self.at;
        self.skip_string();
        self.skip_while(|byte| is_space(byte) || byte == b':');
        let value = self.at;
        self.skip_value();
        Some(PropertyPlace { name, value })
    }
}

/// Returns the first physical line of a text: where it ends and where the next one begins. None where its end is not there.
pub(super) fn first_line(text: &[u8], at_end: bool) -> Option<(usize, usize)> {
    match memchr2(b'\n', b'\r', text) {
        Some(end) => behind_line_end(text, end, at_end).map(|next| (end, next)),
        None => at_end.then_some((text.len(), text.len())),
    }
}

#[cfg(test)]
mod tests;
