//! A manifest that was opened: what it is, and where its rows begin.

use std::fs::File;
use std::path::Path;
use std::sync::Arc;

use super::chunks::Chunks;
use super::decode::Text;
use super::decompress::{ExpandError, Expanded};
use super::detect::{self, HEAD_BYTES, NamedFormat};
use super::error::{Compression, ManifestError};
use super::header::{Body, Head, Header};
use super::limits::Limits;
use super::options::{Delimiter, Format, ReadOptions, TextEncoding};
use super::scan::Scanner;
use super::source::{self, Source};

/// A manifest that can be read any number of times, by several threads at once.
///
/// Each pass reads the file anew, so that its memory does not grow with the manifest. The [`Digest`](super::Digest) at the
/// end of a pass tells whether the file has changed since another one.
///
/// ```
/// use cmbatch::manifest::{Cells, Manifest, ReadOptions, Source};
///
/// let folder = tempfile::tempdir()?;
/// let path = folder.path().join("wave.csv");
/// std::fs::write(&path, "type;target\r\nEnroll;97cc3493-f556-4c9b-9d8b-982434201527\r\n")?;
///
/// let manifest = Manifest::open(Source::File(path), &ReadOptions::default())?;
/// assert_eq!(manifest.header().unwrap().names(), ["type", "target"]);
/// let mut chunks = manifest.chunks()?;
/// while let Some(chunk) = chunks.next_chunk()? {
///     // A chunk can be taken apart by any thread.
///     chunk.for_each(|row| {
///         let row = row.expect("no row is bad");
///         assert_eq!((row.number, row.line), (1, 2));
///         let Cells::Csv(cells) = row.cells else { panic!("this is CSV") };
///         assert_eq!(&cells[0], b"Enroll");
///     });
/// }
/// assert_eq!(chunks.finish()?.n_rows, 1);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
pub struct Manifest {
    layout: Arc<Layout>,
}

/// What is known of a manifest once it was opened.
#[derive(Debug)]
pub(super) struct Layout {
    pub(super) name: String,
    source: Source,
    file: Arc<File>,
    compression: Option<Compression>,
    pub(super) encoding: TextEncoding,
    mark_bytes: usize,
    format: Format,
    delimiter: Delimiter,
    header: Option<Header>,
    pub(super) body: Body,
    pub(super) limits: Limits,
}

impl Manifest {
    /// Opens a manifest and finds out what was not said: compression, encoding, format, delimiter; reads a CSV header.
    ///
    /// Standard input is read to its end here, into a temporary file without a name.
    ///
    /// # Errors
    ///
    /// Any [`ManifestError`] but those that need the rows.
    pub fn open(source: Source, options: &ReadOptions) -> Result<Self, ManifestError> {
        Self::open_within(source, options, Limits::default())
    }

    /// Opens a manifest with other limits.
    pub(super) fn open_within(source: Source, options: &ReadOptions, limits: Limits) -> Result<Self, ManifestError> {
        let file = Arc::new(source::open(&source)?);
        Self::of_file(source, file, options, limits)
    }

    /// Takes a file that was opened already.
    pub(super) fn of_file(
        source: Source,
        file: Arc<File>,
        options: &ReadOptions,
        limits: Limits,
    ) -> Result<Self, ManifestError> {
        let name = source.name();
        let failed = |error| ManifestError::of_expanding(&name, 1, error);
        let compression = compression_of(&source, &name, &file)?;
        let mut expanded = Expanded::new(Arc::clone(&file), compression, limits.expanded_bytes).map_err(failed)?;
        let head = expanded.peek(HEAD_BYTES).map_err(failed)?;
        if let Some(kind) = detect::foreign(head) {
            return Err(ManifestError::Foreign { file: name, kind });
        }
        let (encoding, mark_bytes) = encoding_of(head, &name, options.encoding)?;
        let text = Text::new(expanded, encoding, mark_bytes).map_err(failed)?;

        let mut head = Head { file: &name, text, encoding, limits, bytes: Vec::new() };
        let named = source.path().and_then(detect::format_by_name);
        let format = match (options.format, named) {
            (Some(format), _) => format,
            (None, Some(NamedFormat::Csv | NamedFormat::Tsv)) => Format::Csv,
            (None, Some(NamedFormat::Jsonl)) => Format::Jsonl,
            (None, None) => detect::format_by_content(head.first_character()?),
        };
        let (header, delimiter, body) = match format {
            Format::Csv => {
                let (header, delimiter, body) = head.csv(options.delimiter, named == Some(NamedFormat::Tsv))?;
                (header, delimiter, body)
            }
            Format::Jsonl => {
                head.refuse_spread_json()?;
                (None, Delimiter::COMMA, Body { offset: 0, line: 1 })
            }
        };
        let layout =
            Layout { name, source, file, compression, encoding, mark_bytes, format, delimiter, header, body, limits };
        Ok(Self { layout: Arc::new(layout) })
    }

    /// Returns the name as the user wrote it; `-` is standard input.
    pub fn name(&self) -> &str {
        &self.layout.name
    }

    /// Returns the path, where it is not standard input.
    pub fn path(&self) -> Option<&Path> {
        self.layout.source.path()
    }

    /// Returns how rows are written.
    pub fn format(&self) -> Format {
        self.layout.format
    }

    /// Returns how characters are written.
    pub fn encoding(&self) -> TextEncoding {
        self.layout.encoding
    }

    /// Returns what stands between two fields; without meaning where the format is JSONL.
    pub fn delimiter(&self) -> Delimiter {
        self.layout.delimiter
    }

    /// Returns the header, which JSONL does not have, nor a CSV manifest without any text.
    pub fn header(&self) -> Option<&Header> {
        self.layout.header.as_ref()
    }

    /// Begins a pass over the rows.
    ///
    /// # Errors
    ///
    /// As [`Chunks::next_chunk`].
    pub fn chunks(&self) -> Result<Chunks, ManifestError> {
        Chunks::new(Arc::clone(&self.layout))
    }
}

impl Layout {
    /// Begins a pass over the text.
    pub(super) fn text(&self) -> Result<Text, ExpandError> {
        let expanded = Expanded::new(Arc::clone(&self.file), self.compression, self.limits.expanded_bytes)?;
        Text::new(expanded, self.encoding, self.mark_bytes)
    }

    /// Returns how records are told apart.
    pub(super) const fn scanner(&self) -> Scanner {
        let max_bytes = self.limits.record_bytes;
        match self.format {
            Format::Csv => Scanner::Csv { delimiter: self.delimiter, max_bytes },
            Format::Jsonl => Scanner::Jsonl { max_bytes },
        }
    }
}

/// Returns the compression, which the content decides: a name is easily wrong, but one that promises a compression must
/// keep it, because a download that stopped at nothing would else be an empty manifest.
fn compression_of(source: &Source, name: &str, file: &Arc<File>) -> Result<Option<Compression>, ManifestError> {
    let failed = |error| ManifestError::of_expanding(name, 1, error);
    let mut stored = Expanded::new(Arc::clone(file), None, u64::MAX).map_err(failed)?;
    let found = detect::compression_by_content(stored.peek(HEAD_BYTES).map_err(failed)?);
    match (found, source.path().and_then(detect::compression_by_name)) {
        (None, Some(compression)) => Err(ManifestError::NotCompressed { file: name.to_owned(), compression }),
        (found, _) => Ok(found),
    }
}

/// Returns the encoding and the length of its byte order mark.
fn encoding_of(head: &[u8], name: &str, asked: Option<TextEncoding>) -> Result<(TextEncoding, usize), ManifestError> {
    let file = || name.to_owned();
    match (asked, detect::byte_order_mark(head)) {
        (Some(asked), Some((found, _))) if asked != found => {
            Err(ManifestError::OtherByteOrderMark { file: file(), asked, found })
        }
        (_, Some(found)) => Ok(found),
        (asked, None) => {
            let encoding = asked.unwrap_or(TextEncoding::Utf8);
            match detect::utf16_without_mark(head) {
                Some(probable) if !encoding.is_utf16() => {
                    Err(ManifestError::NoByteOrderMark { file: file(), probable })
                }
                Some(_) | None => Ok((encoding, 0)),
            }
        }
    }
}

#[cfg(test)]
mod tests;
