//! A piece of a manifest that holds whole records, for one thread to take apart.

use std::sync::Arc;

use super::csv_chunk;
use super::header::character_of;
use super::json_chunk;
use super::open::Layout;
use super::row::{BadRow, RawRow, RowFault};
use super::scan::{Scanner, Shape};

/// Where a record lies in its chunk.
#[derive(Clone, Copy, Debug)]
pub(super) struct Record {
    /// In bytes of the chunk's text.
    pub(super) start: u32,
    /// Where its last line end starts.
    pub(super) end: u32,
    /// Its line, counted from the chunk's.
    pub(super) line: u32,
    pub(super) shape: Shape,
}

/// Consecutive records of a manifest, at least one: about 256 KiB, more only for a record that is longer.
#[derive(Debug)]
pub struct Chunk {
    pub(super) layout: Arc<Layout>,
    /// UTF-8 where that is what the manifest says it is.
    pub(super) text: Vec<u8>,
    pub(super) records: Vec<Record>,
    pub(super) first_row: u32,
    /// The physical line of the text's first byte.
    pub(super) line: u64,
    /// What could not be decoded: offset and unit, in order.
    pub(super) faults: Vec<(u32, u16)>,
}

impl Chunk {
    /// Returns how many records there are, bad ones included.
    pub fn n_rows(&self) -> u32 {
        super::scan::short(self.records.len())
    }

    /// Returns the number of the first record in its manifest, from 1.
    pub const fn first_row(&self) -> u32 {
        self.first_row
    }

    /// Gives each record once, in order.
    pub fn for_each(&self, f: impl FnMut(Result<RawRow<'_>, BadRow<'_>>)) {
        match self.layout.scanner() {
            Scanner::Csv { delimiter, .. } => csv_chunk::for_each(self, delimiter, f),
            Scanner::Jsonl { .. } => json_chunk::for_each(self, f),
        }
    }

    /// Returns the records with their numbers, lines and bytes.
    pub(super) fn records(&self) -> impl Iterator<Item = LocatedRecord<'_>> {
        // The whole is looked at once; record by record only where something is wrong somewhere.
        let whole = simdutf8::basic::from_utf8(&self.text).ok();
        (self.first_row..).zip(&self.records).map(move |(number, record)| {
            let (start, end) = (record.start as usize, record.end as usize);
            let raw = &self.text[start..end];
            let text = match (self.noted_fault(record), whole.and_then(|whole| whole.get(start..end))) {
                (Some(fault), _) => Err(fault),
                (None, Some(text)) => Ok(text),
                (None, None) => str::from_utf8(raw).map_err(|error| {
                    let offset = error.valid_up_to();
                    (offset, u16::from(raw[offset]))
                }),
            };
            let line = self.line + u64::from(record.line);
            let text = text.map_err(|(offset, unit)| (offset, self.undecodable(unit)));
            LocatedRecord { number, line, raw, text, shape: record.shape }
        })
    }

    /// Returns what the decoder noted within the record first: offset in the record and unit.
    fn noted_fault(&self, record: &Record) -> Option<(usize, u16)> {
        if self.faults.is_empty() {
            return None;
        }
        let first = self.faults.partition_point(|(offset, _)| *offset < record.start);
        let (offset, unit) = self.faults.get(first).copied().filter(|(offset, _)| *offset < record.end)?;
        Some(((offset - record.start) as usize, unit))
    }

    fn undecodable(&self, unit: u16) -> RowFault {
        RowFault::Undecodable { unit, in_windows_1252: character_of(unit, self.layout.encoding) }
    }
}

/// A record that is still to be taken apart.
pub(super) struct LocatedRecord<'a> {
    pub(super) number: u32,
    pub(super) line: u64,
    pub(super) raw: &'a [u8],
    /// The same as text, or where and why it is none.
    pub(super) text: Result<&'a str, (usize, RowFault)>,
    pub(super) shape: Shape,
}
