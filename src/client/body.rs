//! An answer's body, with what it is coded with undone: compression and charset, asked for or not.

use std::io::Write;

use bytes::{Buf, Bytes};
use encoding_rs::Encoding;
use flate2::write::MultiGzDecoder;
use flate2::{Decompress, FlushDecompress, Status};
use http::header::{CONTENT_ENCODING, CONTENT_TYPE, HeaderMap};
use reqwest::Response;

use super::transport;
use crate::request::printable;

/// How much that is compressed is taken at once: it grows to 1032 times that at most, so that what is kept stays bounded.
const PIECE_BYTES: usize = 1024;

/// Why a body was not read to its end.
#[derive(Debug)]
pub(crate) enum Broken {
    /// It is longer than the limit.
    TooLong,
    /// It broke off.
    Lost(String),
    /// What it is coded with is not understood, or damaged.
    NotUnderstood(String),
}

/// Reads a body to its end, or stops where it is longer than the limit, as sent or decoded; the connection is closed then.
pub(crate) async fn read(mut response: Response, limit: usize) -> Result<Bytes, Broken> {
    if response.content_length().is_some_and(|length| length > limit as u64) {
        return Err(Broken::TooLong);
    }
    let mut decoder = Decoder::of(response.headers());
    let (mut body, mut n_raw) = (Vec::new(), 0);
    let add = |body: &mut Vec<u8>, decoded: Result<Bytes, String>| {
        let decoded = decoded.map_err(Broken::NotUnderstood)?;
        if body.len() + decoded.len() > limit {
            return Err(Broken::TooLong);
        }
        body.extend_from_slice(&decoded);
        Ok(())
    };
    loop {
        let chunk = response.chunk().await.map_err(|error| Broken::Lost(transport::message(&error)))?;
        let Some(mut chunk) = chunk else { break };
        n_raw += chunk.len();
        if n_raw > limit {
            return Err(Broken::TooLong);
        }
        while !chunk.is_empty() {
            let decoded = match &mut decoder {
                Ok(decoder) => decoder.next(&mut chunk),
                Err(why) => Err(why.clone()),
            };
            add(&mut body, decoded)?;
        }
    }
    if let Ok(decoder) = &mut decoder {
        add(&mut body, decoder.finish())?;
    }
    Ok(body.into())
}

/// Undoes compression and charset, chunk by chunk: what comes out is UTF-8.
#[derive(Debug)]
pub(crate) struct Decoder {
    coding: Coding,
    charset: Charset,
}

#[derive(Debug)]
enum Coding {
    None,
    Gzip(Box<MultiGzDecoder<Vec<u8>>>),
    Deflate(Deflate),
}

/// What HTTP calls deflate is zlib's form, and what some servers send is deflate itself (RFC 9110, 8.4.1.2).
#[derive(Debug)]
enum Deflate {
    /// So few bytes that it is not known yet which.
    Begun(Vec<u8>),
    Known(Decompress),
    Ended,
}

enum Charset {
    /// The first bytes may say it; else it is the one that is given, or UTF-8.
    Begun(Vec<u8>, Option<&'static Encoding>),
    Utf8,
    Other(encoding_rs::Decoder),
}

impl std::fmt::Debug for Charset {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Begun(..) => "Begun",
            Self::Utf8 => "Utf8",
            Self::Other(decoder) => decoder.encoding().name(),
        })
    }
}

impl Decoder {
    /// Returns what undoes that with which these headers say that the body is coded.
    ///
    /// # Errors
    /// It is not understood; what, as the end of a sentence about the answer.
    pub(crate) fn of(headers: &HeaderMap) -> Result<Self, String> {
        Ok(Self { coding: Coding::of(headers)?, charset: Charset::of(headers)? })
    }

    /// Takes from a chunk's front what can be decoded at once, and returns it decoded. The chunk is not empty.
    ///
    /// # Errors
    /// It is damaged; why.
    pub(crate) fn next(&mut self, chunk: &mut Bytes) -> Result<Bytes, String> {
        let piece = match self.coding {
            Coding::None => std::mem::take(chunk),
            Coding::Gzip(_) | Coding::Deflate(_) => chunk.split_to(chunk.len().min(PIECE_BYTES)),
        };
        let piece = self.coding.undo(piece)?;
        Ok(self.charset.undo(piece, false))
    }

    /// Returns what was held back, after the last chunk.
    ///
    /// # Errors
    /// The answer ended before what was compressed did.
    pub(crate) fn finish(&mut self) -> Result<Bytes, String> {
        let rest = self.coding.finish()?;
        Ok(self.charset.undo(rest, true))
    }
}

impl Coding {
    fn of(headers: &HeaderMap) -> Result<Self, String> {
        let mut values =
            headers.get_all(CONTENT_ENCODING).iter().map(|value| String::from_utf8_lossy(value.as_bytes()));
        let all = values.by_ref().collect::<Vec<_>>().join(", ").trim().to_ascii_lowercase();
        match all.as_str() {
            "" | "identity" => Ok(Self::None),
            "gzip" | "x-gzip" => Ok(Self::Gzip(Box::new(MultiGzDecoder::new(Vec::new())))),
            "deflate" => Ok(Self::Deflate(Deflate::Begun(Vec::new()))),
            other => Err(format!(
                "it is compressed in a way that is not understood (Content-Encoding: {}): have the server, or what is before \
                 it, send it plain or as gzip",
                printable(other)
            )),
        }
    }

    fn undo(&mut self, piece: Bytes) -> Result<Bytes, String> {
        match self {
            Self::None => Ok(piece),
            Self::Gzip(gzip) => {
                // Nothing of it is lost: what the decoder has not written out yet it writes with the next piece.
                gzip.write_all(&piece).map_err(|error| format!("its gzip is damaged ({error})"))?;
                Ok(std::mem::take(gzip.get_mut()).into())
            }
            Self::Deflate(deflate) => deflate.undo(&piece),
        }
    }

    fn finish(&mut self) -> Result<Bytes, String> {
        match self {
            Self::None => Ok(Bytes::new()),
            Self::Gzip(gzip) if gzip.header().is_none() => Ok(Bytes::new()),
            Self::Gzip(gzip) => {
                gzip.try_finish().map_err(|error| format!("its gzip is damaged, or ended too early ({error})"))?;
                Ok(std::mem::take(gzip.get_mut()).into())
            }
            Self::Deflate(Deflate::Begun(first)) if first.is_empty() => Ok(Bytes::new()),
            Self::Deflate(Deflate::Ended) => Ok(Bytes::new()),
            Self::Deflate(Deflate::Begun(_) | Deflate::Known(_)) => Err("its deflate ended too early".to_owned()),
        }
    }
}

impl Deflate {
    fn undo(&mut self, piece: &[u8]) -> Result<Bytes, String> {
        let mut out = Vec::new();
        match self {
            Self::Begun(first) => {
                first.extend_from_slice(piece);
                let [cmf, flags, ..] = first[..] else { return Ok(Bytes::new()) };
                let is_zlib = cmf & 0x0F == 8 && u16::from_be_bytes([cmf, flags]).is_multiple_of(31);
                let first = std::mem::take(first);
                *self = Self::Known(Decompress::new(is_zlib));
                return self.undo(&first);
            }
            Self::Known(inflate) => {
                let (mut rest, mut status) = (piece, Status::Ok);
                // A full buffer may leave some behind that needs no more bytes.
                while status != Status::StreamEnd && (!rest.is_empty() || out.len() == out.capacity()) {
                    out.reserve(8 * PIECE_BYTES);
                    let (n_before, n_out) = (inflate.total_in(), out.len());
                    status = inflate
                        .decompress_vec(rest, &mut out, FlushDecompress::None)
                        .map_err(|error| format!("its deflate is damaged ({error})"))?;
                    let n_read = usize::try_from(inflate.total_in() - n_before).unwrap_or(rest.len());
                    rest = &rest[n_read..];
                    if n_read == 0 && out.len() == n_out {
                        break;
                    }
                }
                if status == Status::StreamEnd {
                    *self = Self::Ended;
                }
            }
            // What comes after the end is none of it.
            Self::Ended => {}
        }
        Ok(out.into())
    }
}

impl Charset {
    fn of(headers: &HeaderMap) -> Result<Self, String> {
        let kind = headers.get(CONTENT_TYPE).map(|kind| String::from_utf8_lossy(kind.as_bytes()));
        let label = kind.as_ref().and_then(|kind| {
            let mut parameters = kind.split(';').skip(1).filter_map(|parameter| parameter.split_once('='));
            let (_, value) = parameters.find(|(name, _)| name.trim().eq_ignore_ascii_case("charset"))?;
            Some(value.trim().trim_matches(['"', '\''])).filter(|value| !value.is_empty())
        });
        let known = label.map(|label| {
            Encoding::for_label_no_replacement(label.as_bytes())
                .ok_or_else(|| format!("its charset is not understood (charset={})", printable(label)))
        });
        Ok(Self::Begun(Vec::new(), known.transpose()?))
    }

    fn undo(&mut self, piece: Bytes, is_last: bool) -> Bytes {
        match self {
            Self::Utf8 => piece,
            Self::Begun(first, given) => {
                let whole = if first.is_empty() { piece } else { [&first[..], &piece].concat().into() };
                if whole.len() < 2 && !is_last {
                    *first = whole.into();
                    return Bytes::new();
                }
                let found = of_first_bytes(whole.chunk()).or(*given);
                *self = match found {
                    Some(other) if other != encoding_rs::UTF_8 => Self::Other(other.new_decoder()),
                    Some(_) | None => Self::Utf8,
                };
                self.undo(whole, is_last)
            }
            Self::Other(decoder) => {
                let longest = decoder.max_utf8_buffer_length(piece.len()).unwrap_or(usize::MAX);
                let mut text = String::with_capacity(longest);
                let _ = decoder.decode_to_string(&piece, &mut text, is_last);
                text.into()
            }
        }
    }
}

/// Returns the UTF-16 that a text's first two bytes show: by its mark, or by half of an ASCII character, with which JSON and HTML
/// begin.
const fn of_first_bytes(bytes: &[u8]) -> Option<&'static Encoding> {
    match bytes {
        [0xFF, 0xFE, ..] | [1..=0xFF, 0, ..] => Some(encoding_rs::UTF_16LE),
        [0xFE, 0xFF, ..] | [0, 1..=0xFF, ..] => Some(encoding_rs::UTF_16BE),
        _ => None,
    }
}

#[cfg(test)]
mod tests;
