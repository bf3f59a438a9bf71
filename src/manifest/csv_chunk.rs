//! Taking CSV records apart.

use csv::ByteRecord;
use memchr::{memchr, memchr_iter};

use super::chunk::Chunk;
use super::options::Delimiter;
use super::place::{Fields, QuotedPart, field_at, place_in};
use super::row::{BadRow, Cells, RawRow, RowFault};
use super::scan::Shape;

/// Gives each record of the chunk.
pub(super) fn for_each(chunk: &Chunk, delimiter: Delimiter, mut f: impl FnMut(Result<RawRow<'_>, BadRow<'_>>)) {
    let mut cells = ByteRecord::new();
    let mut unquoted = Vec::new();
    for record in chunk.records() {
        let (number, line, raw) = (record.number, record.line, record.raw);
        split(raw, record.shape, delimiter, &mut cells, &mut unquoted);
        let fault = match record.shape {
            Shape::Plain | Shape::Quoted => record.text.err(),
            Shape::StrayQuote { at } => Some((at as usize, RowFault::StrayQuote)),
            Shape::UnclosedQuote { at } => Some((at as usize, RowFault::UnclosedQuote)),
            Shape::TooLong => Some((0, RowFault::TooLong)),
        };
        f(match fault {
            None => Ok(RawRow { number, line, raw, cells: Cells::Csv(&cells) }),
            Some((offset, fault)) => {
                let place = place_in(raw, line, offset);
                let field = (fault != RowFault::TooLong).then(|| field_at(raw, delimiter, offset));
                let (line, column) = (place.line, place.column);
                Err(BadRow { number, line, column, field, raw, cells: Some(&cells), fault })
            }
        });
    }
}

/// Splits a record into its values, exactly as the csv crate reads it (a test compares them).
///
/// The csv crate goes byte by byte; knowing where the record ends and whether it has quotes, this can jump.
pub(super) fn split(raw: &[u8], shape: Shape, delimiter: Delimiter, cells: &mut ByteRecord, unquoted: &mut Vec<u8>) {
    cells.clear();
    if shape == Shape::Plain {
        let mut start = 0;
        for end in memchr_iter(delimiter.as_byte(), raw) {
            cells.push_field(&raw[start..end]);
            start = end + 1;
        }
        cells.push_field(&raw[start..]);
        return;
    }
    for field in Fields::new(raw, delimiter) {
        let text = &raw[field.span];
        cells.push_field(field.quoted.map_or(text, |quoted| unquote(text, quoted, unquoted)));
    }
}

/// Returns a quoted field without its quotes.
fn unquote<'a>(field: &'a [u8], quoted: QuotedPart, buffer: &'a mut Vec<u8>) -> &'a [u8] {
    let inner = &field[1..quoted.n_bytes - usize::from(quoted.is_closed)];
    if quoted.n_bytes == field.len() && !quoted.has_doubled {
        return inner;
    }
    buffer.clear();
    let mut rest = inner;
    while let Some(at) = memchr(b'"', rest) {
        // Quotes inside are doubled; the first of each pair is kept.
        buffer.extend_from_slice(&rest[..=at]);
        rest = rest.get(at + 2..).unwrap_or_default();
    }
    buffer.extend_from_slice(rest);
    buffer.extend_from_slice(&field[quoted.n_bytes..]);
    buffer
}
