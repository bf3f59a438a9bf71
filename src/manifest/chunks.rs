//! One pass over a manifest's rows, cut into chunks at record ends.

use std::sync::Arc;

use memchr::memchr2;

use super::chunk::{Chunk, Record};
use super::decode::Text;
use super::error::ManifestError;
use super::open::Layout;
use super::scan::{Shape, Step, behind_line_end, short};

/// What a pass read: two passes over the same bytes have the same.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Digest {
    /// The SHA-256 of the bytes as stored (compressed where they are).
    pub sha256: [u8; 32],
    /// Their number.
    pub size_bytes: u64,
    /// How many records there are, bad ones included, the header not.
    pub n_rows: u32,
}

/// One pass over a manifest's rows.
///
/// It can be shared by threads behind a mutex: each takes the next chunk and takes it apart outside of the lock.
pub struct Chunks {
    layout: Arc<Layout>,
    text: Text,
    /// Text that is not given yet, from the start of a record, or of the rest of a line that is dropped.
    buffer: Vec<u8>,
    /// The offset of the buffer's first byte in the text.
    offset: u64,
    /// The physical line of the buffer's first byte.
    line: u64,
    /// How many rows were given.
    n_rows: u32,
    /// Whether no record ends in the buffer, so that it takes more text than a chunk's worth.
    is_short: bool,
    /// Whether the buffer begins within a line that is too long.
    is_dropping: bool,
    has_failed: bool,
}

impl Chunks {
    pub(super) fn new(layout: Arc<Layout>) -> Result<Self, ManifestError> {
        let failed = |error| ManifestError::of_expanding(&layout.name, 1, error);
        let mut text = layout.text().map_err(failed)?;
        let mut buffer = Vec::new();
        let body = layout.body;
        while buffer.len() < body.offset && !text.at_end() {
            let n_missing = body.offset - buffer.len();
            text.fill(&mut buffer, n_missing).map_err(failed)?;
        }
        let skipped = body.offset.min(buffer.len());
        buffer.drain(..skipped);
        let offset = skipped as u64;
        while text.take_fault_before(offset).is_some() {}
        Ok(Self {
            text,
            buffer,
            offset,
            line: body.line,
            n_rows: 0,
            is_short: false,
            is_dropping: false,
            has_failed: false,
            layout,
        })
    }

    /// Returns the next chunk, in order; none at the end.
    ///
    /// # Errors
    ///
    /// [`ManifestError::Read`], [`Truncated`](ManifestError::Truncated), [`Corrupt`](ManifestError::Corrupt) and the like
    /// where the bytes cannot be read on; [`TooManyRows`](ManifestError::TooManyRows). After one, every further call is
    /// [`ManifestError::Failed`].
    pub fn next_chunk(&mut self) -> Result<Option<Chunk>, ManifestError> {
        if self.has_failed {
            return Err(ManifestError::Failed { file: self.layout.name.clone() });
        }
        let result = self.cut_next();
        self.has_failed = result.is_err();
        result
    }

    /// Reads what is left, and tells what was read.
    ///
    /// # Errors
    ///
    /// As [`next_chunk`](Self::next_chunk).
    pub fn finish(mut self) -> Result<Digest, ManifestError> {
        while self.next_chunk()?.is_some() {}
        let (sha256, size_bytes) = self.text.finish().map_err(|source| ManifestError::Read {
            file: self.layout.name.clone(),
            line: self.line,
            source,
        })?;
        Ok(Digest { sha256, size_bytes, n_rows: self.n_rows })
    }

    fn cut_next(&mut self) -> Result<Option<Chunk>, ManifestError> {
        loop {
            self.fill()?;
            if self.is_dropping {
                self.drop_line();
            }
            let (line, at) = (self.line, self.scan()?);
            self.is_short = at.records.is_empty();
            if !self.is_short {
                return Ok(Some(self.cut(line, at)));
            }
            self.buffer.drain(..at.end);
            self.offset += at.end as u64;
            if self.text.at_end() && self.buffer.is_empty() {
                return Ok(None);
            }
        }
    }

    /// Reads on until there is a chunk's worth of text, or, where that was not enough to find a record, that much more.
    /// A buffer that grew for one long record is used up before more is read.
    fn fill(&mut self) -> Result<(), ManifestError> {
        let chunk_bytes = self.layout.limits.chunk_bytes;
        let n_missing = chunk_bytes.saturating_sub(self.buffer.len());
        let n = if n_missing == 0 && self.is_short { chunk_bytes } else { n_missing };
        if n == 0 || self.text.at_end() {
            return Ok(());
        }
        self.text
            .fill(&mut self.buffer, n)
            .map_err(|error| ManifestError::of_expanding(&self.layout.name, self.line, error))
    }

    /// Drops what is there of a line that is too long.
    fn drop_line(&mut self) {
        let line_end = memchr2(b'\n', b'\r', &self.buffer);
        let next = line_end.and_then(|at| behind_line_end(&self.buffer, at, self.text.at_end()));
        if next.is_some() {
            self.is_dropping = false;
            self.line += 1;
        }
        // A CR stays until it is known whether an LF follows.
        let n_dropped = next.or(line_end).unwrap_or(self.buffer.len());
        self.buffer.drain(..n_dropped);
        self.offset += n_dropped as u64;
        // Nobody sees what could not be decoded there.
        while self.text.take_fault_before(self.offset).is_some() {}
    }

    /// Finds the records at the start of the buffer.
    fn scan(&mut self) -> Result<Scanned, ManifestError> {
        let scanner = self.layout.scanner();
        let at_end = self.text.at_end();
        let first_line = self.line;
        let mut scanned = Scanned { records: Vec::new(), end: 0 };
        while !self.is_dropping
            && scanned.end < self.buffer.len()
            && scanned.records.len() < self.layout.limits.chunk_records
        {
            let start = scanned.end;
            let (end, next, n_lines, shape) = match scanner.step(&self.buffer[start..], at_end) {
                Step::More => break,
                Step::Blank { next } => {
                    scanned.end += next;
                    self.line += 1;
                    continue;
                }
                Step::Record { end, next, n_lines, shape } => (end, next, n_lines, shape),
                Step::TooLong { keep, n_lines } => {
                    self.is_dropping = true;
                    // The line that is dropped counts when its end comes.
                    (keep, keep, n_lines - 1, Shape::TooLong)
                }
            };
            let line = u32::try_from(self.line - first_line).expect("a chunk has fewer lines than bytes");
            scanned.records.push(Record { start: short(start), end: short(start + end), line, shape });
            scanned.end += next;
            self.line += u64::from(n_lines);
            if self.n_rows.checked_add(short(scanned.records.len())).is_none_or(|n| n > self.layout.limits.n_rows) {
                let line = first_line + u64::from(line);
                return Err(ManifestError::TooManyRows { file: self.layout.name.clone(), line });
            }
        }
        Ok(scanned)
    }

    /// Makes a chunk of what was found.
    fn cut(&mut self, line: u64, scanned: Scanned) -> Chunk {
        let rest = self.buffer.split_off(scanned.end);
        let text = std::mem::replace(&mut self.buffer, rest);
        let start = self.offset;
        self.offset += scanned.end as u64;
        let mut faults = Vec::new();
        while let Some(fault) = self.text.take_fault_before(self.offset) {
            let offset = usize::try_from(fault.offset - start).expect("the fault lies in the buffer");
            faults.push((short(offset), fault.unit));
        }
        let first_row = self.n_rows + 1;
        self.n_rows += short(scanned.records.len());
        Chunk { layout: Arc::clone(&self.layout), text, records: scanned.records, first_row, line, faults }
    }
}

/// What was found at the start of the buffer.
struct Scanned {
    records: Vec<Record>,
    /// Where the first record begins that is not found yet.
    end: usize,
}

#[cfg(test)]
mod tests;
