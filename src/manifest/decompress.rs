//! From stored bytes to expanded bytes.

use std::fs::File;
use std::io::{self, BufReader, Read};
use std::sync::Arc;

use flate2::bufread::MultiGzDecoder;

use super::error::Compression;
use super::limits::MAX_ZSTD_WINDOW_LOG;
use super::source::Stored;

/// How many stored bytes are read at once where they are compressed; uncompressed ones are read a chunk at once.
const STORED_BLOCK_BYTES: usize = 64 << 10;

/// Why expanded bytes cannot be read on; the manifest adds its name and line.
#[derive(Debug)]
pub(super) enum ExpandError {
    /// The system failed.
    Read(io::Error),
    /// The compressed data break off.
    Truncated(Compression, io::Error),
    /// The compressed data are damaged.
    Corrupt(Compression, io::Error),
    /// The window of a zstd frame is too large.
    ZstdWindow,
    /// There are too many expanded bytes.
    TooLarge,
}

enum Decoder {
    Plain(Stored),
    // `read::GzDecoder` would take the first member of several for the whole.
    Gzip(Box<MultiGzDecoder<BufReader<Stored>>>),
    Zstd(Box<zstd::Decoder<'static, BufReader<Stored>>>),
}

/// One pass over a manifest's bytes, expanded where they are compressed.
pub(super) struct Expanded {
    decoder: Decoder,
    /// Bytes that were looked at in advance, and how many of them were given since.
    peeked: Vec<u8>,
    n_given: usize,
    n_expanded: u64,
    max_expanded: u64,
}

impl Expanded {
    /// Begins a pass. `max_expanded` counts only where the file is compressed.
    pub(super) fn new(file: Arc<File>, how: Option<Compression>, max_expanded: u64) -> Result<Self, ExpandError> {
        let stored = Stored::new(file);
        let decoder = match how {
            None => Decoder::Plain(stored),
            Some(Compression::Gzip) => {
                let input = BufReader::with_capacity(STORED_BLOCK_BYTES, stored);
                Decoder::Gzip(Box::new(MultiGzDecoder::new(input)))
            }
            Some(Compression::Zstd) => {
                let input = BufReader::with_capacity(STORED_BLOCK_BYTES, stored);
                let mut decoder = zstd::Decoder::with_buffer(input).map_err(ExpandError::Read)?;
                decoder.window_log_max(MAX_ZSTD_WINDOW_LOG).map_err(ExpandError::Read)?;
                Decoder::Zstd(Box::new(decoder))
            }
        };
        Ok(Self { decoder, peeked: Vec::new(), n_given: 0, n_expanded: 0, max_expanded })
    }

    /// Returns the first bytes that are not read yet, `n` of them unless the end comes before.
    pub(super) fn peek(&mut self, n: usize) -> Result<&[u8], ExpandError> {
        while self.peeked.len() - self.n_given < n {
            let mut block = [0; 4096];
            match self.read_through(&mut block)? {
                0 => break,
                n_read => self.peeked.extend_from_slice(&block[..n_read]),
            }
        }
        Ok(&self.peeked[self.n_given..])
    }

    /// Reads into the buffer; returns how many bytes, 0 only at the end.
    pub(super) fn read(&mut self, buffer: &mut [u8]) -> Result<usize, ExpandError> {
        let waiting = &self.peeked[self.n_given..];
        if waiting.is_empty() {
            return self.read_through(buffer);
        }
        let n = waiting.len().min(buffer.len());
        buffer[..n].copy_from_slice(&waiting[..n]);
        self.n_given += n;
        Ok(n)
    }

    /// Reads the stored bytes to their end; returns their SHA-256 and number.
    pub(super) fn finish(self) -> io::Result<([u8; 32], u64)> {
        match self.decoder {
            Decoder::Plain(stored) => stored,
            Decoder::Gzip(decoder) => decoder.into_inner().into_inner(),
            Decoder::Zstd(decoder) => decoder.finish().into_inner(),
        }
        .finish()
    }

    fn read_through(&mut self, buffer: &mut [u8]) -> Result<usize, ExpandError> {
        let (compression, result, has_failed) = match &mut self.decoder {
            Decoder::Plain(stored) => return stored.read(buffer).map_err(ExpandError::Read),
            Decoder::Gzip(decoder) => {
                let result = decoder.read(buffer);
                (Compression::Gzip, result, decoder.get_ref().get_ref().has_failed())
            }
            Decoder::Zstd(decoder) => {
                let result = decoder.read(buffer);
                (Compression::Zstd, result, decoder.get_ref().get_ref().has_failed())
            }
        };
        let n = result.map_err(|error| match error.kind() {
            _ if has_failed => ExpandError::Read(error),
            io::ErrorKind::UnexpectedEof => ExpandError::Truncated(compression, error),
            // The zstd library tells its errors by name only.
            _ if error.to_string().contains("too much memory") => ExpandError::ZstdWindow,
            _ => ExpandError::Corrupt(compression, error),
        })?;
        self.n_expanded += n as u64;
        if self.n_expanded > self.max_expanded { Err(ExpandError::TooLarge) } else { Ok(n) }
    }
}
