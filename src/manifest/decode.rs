//! From expanded bytes to UTF-8.

use std::collections::VecDeque;

use encoding_rs::{Decoder, DecoderResult};
use memchr::memchr2;

use super::decompress::{ExpandError, Expanded};
use super::options::TextEncoding;

/// How far back the decoder may say that something was malformed (6 bytes, in ISO-2022-JP).
const MALFORMED_REACH_BYTES: usize = 8;

/// What stands in the text where something could not be decoded, so that columns stay right. It is never taken for
/// text: the row is reported.
const PLACEHOLDER: &[u8] = "\u{fffd}".as_bytes();

/// Something that could not be decoded. Noted once a line, where it is the first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct DecodeFault {
    /// Where its placeholder stands, in bytes from the start of the pass's text.
    pub(super) offset: u64,
    /// The byte, or the 16-bit unit.
    pub(super) unit: u16,
}

/// Decodes whatever is not UTF-8. UTF-8 goes through as it is, and is checked chunk by chunk, in parallel.
struct Transcoder {
    decoder: Decoder,
    encoding: TextEncoding,
    /// The last block, behind the last bytes of the one before.
    input: Vec<u8>,
}

/// One pass over a manifest's text, without byte order mark.
pub(super) struct Text {
    expanded: Expanded,
    transcoder: Option<Transcoder>,
    /// What could not be decoded and was not asked for yet, in order.
    faults: VecDeque<DecodeFault>,
    /// How many bytes of text were given.
    n_given: u64,
    at_end: bool,
}

impl Text {
    /// Begins a pass behind the byte order mark, which has this many bytes.
    pub(super) fn new(mut expanded: Expanded, encoding: TextEncoding, mark_bytes: usize) -> Result<Self, ExpandError> {
        let mut mark = [0; 4];
        let mut n_skipped = 0;
        while n_skipped < mark_bytes {
            match expanded.read(&mut mark[n_skipped..mark_bytes])? {
                0 => break,
                n => n_skipped += n,
            }
        }
        let transcoder = (encoding != TextEncoding::Utf8).then(|| Transcoder {
            decoder: encoding.encoding().new_decoder_without_bom_handling(),
            encoding,
            input: Vec::new(),
        });
        Ok(Self { expanded, transcoder, faults: VecDeque::new(), n_given: 0, at_end: false })
    }

    /// Returns whether all text was given.
    pub(super) const fn at_end(&self) -> bool {
        self.at_end
    }

    /// Appends about `n` bytes (`n` > 0), fewer only at the end.
    pub(super) fn fill(&mut self, out: &mut Vec<u8>, n: usize) -> Result<(), ExpandError> {
        let from = out.len();
        while out.len() - from < n && !self.at_end {
            let left = n - (out.len() - from);
            let given = out.len();
            match &mut self.transcoder {
                None => self.at_end = read_some(&mut self.expanded, out, left)? == 0,
                Some(transcoder) => {
                    self.at_end = transcoder.fill(&mut self.expanded, out, left, self.n_given, &mut self.faults)?;
                }
            }
            self.n_given += (out.len() - given) as u64;
        }
        Ok(())
    }

    /// Takes the next fault out if it lies before this offset of the text.
    pub(super) fn take_fault_before(&mut self, offset: u64) -> Option<DecodeFault> {
        self.faults.pop_front_if(|fault| fault.offset < offset)
    }

    /// Ends the pass; returns the SHA-256 and the number of the stored bytes.
    pub(super) fn finish(self) -> std::io::Result<([u8; 32], u64)> {
        self.expanded.finish()
    }
}

/// Appends what one read gives; returns how much that is, 0 only at the end.
fn read_some(expanded: &mut Expanded, out: &mut Vec<u8>, n: usize) -> Result<usize, ExpandError> {
    let from = out.len();
    out.resize(from + n, 0);
    let result = expanded.read(&mut out[from..]);
    out.truncate(from + result.as_ref().map_or(0, |n_read| *n_read));
    result
}

impl Transcoder {
    /// Reads and decodes one block of at most `n` bytes; returns whether it was the last.
    fn fill(
        &mut self,
        expanded: &mut Expanded,
        out: &mut Vec<u8>,
        n: usize,
        n_given: u64,
        faults: &mut VecDeque<DecodeFault>,
    ) -> Result<bool, ExpandError> {
        self.input.drain(..self.input.len().saturating_sub(MALFORMED_REACH_BYTES));
        let mut at = self.input.len();
        let last = read_some(expanded, &mut self.input, n)? == 0;

        let from = out.len();
        let mut to = from;
        let mut line_is_noted = false;
        // Room for the worst case at once: growing at every fault would make a file of nothing but faults quadratic.
        out.resize(from + 3 * (self.input.len() - at) + 16, 0);
        loop {
            let (result, n_read, n_written) =
                self.decoder.decode_to_utf8_without_replacement(&self.input[at..], &mut out[to..], last);
            line_is_noted &= memchr2(b'\n', b'\r', &out[to..to + n_written]).is_none();
            at += n_read;
            to += n_written;
            match result {
                DecoderResult::InputEmpty => break,
                DecoderResult::OutputFull => out.resize(out.len() + 64, 0),
                DecoderResult::Malformed(length, after) => {
                    if !line_is_noted {
                        let start = at.saturating_sub(usize::from(length) + usize::from(after));
                        let offset = n_given + (to - from) as u64;
                        faults.push_back(DecodeFault { offset, unit: self.unit(start, length) });
                        line_is_noted = true;
                    }
                    if out.len() < to + PLACEHOLDER.len() {
                        out.resize(to + PLACEHOLDER.len(), 0);
                    }
                    out[to..to + PLACEHOLDER.len()].copy_from_slice(PLACEHOLDER);
                    to += PLACEHOLDER.len();
                }
            }
        }
        out.truncate(to);
        Ok(last)
    }

    /// Returns the byte or 16-bit unit that begins a malformed sequence of so many bytes.
    fn unit(&self, start: usize, length: u8) -> u16 {
        let byte = |at: usize| u16::from(self.input.get(at).copied().unwrap_or_default());
        match self.encoding {
            TextEncoding::Utf16Le if length > 1 => byte(start + 1) << 8 | byte(start),
            TextEncoding::Utf16Be if length > 1 => byte(start) << 8 | byte(start + 1),
            TextEncoding::Utf8
            | TextEncoding::Utf16Le
            | TextEncoding::Utf16Be
            | TextEncoding::Windows1252
            | TextEncoding::Other(_) => byte(start),
        }
    }
}

/// Returns the character that the byte is in windows-1252, where it is one that can be seen.
pub(super) fn in_windows_1252(byte: u8) -> Option<char> {
    let (text, _) = encoding_rs::WINDOWS_1252.decode_without_bom_handling(std::slice::from_ref(&byte));
    // The WHATWG table maps the five bytes without a character to control characters.
    text.chars().next().filter(|character| !character.is_control())
}
