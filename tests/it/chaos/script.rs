//! What the server does with a call.

use std::io::Write;
use std::sync::Arc;

use serde_json::Value;

/// Says what becomes of the create call of this number, from 1, with this body.
pub(crate) type FateOf = Box<dyn Fn(u32, &Value) -> Fate + Send + Sync>;

/// How the server behaves. The default creates what it is asked for and lists all of it.
pub(crate) struct Script {
    /// Whether the connection of this number, from 1, is reset as soon as it is made.
    pub(crate) refuses: Box<dyn Fn(u32) -> bool + Send + Sync>,
    /// Whether the create call of this number, from 1, is broken before it arrived whole.
    pub(crate) breaks: Box<dyn Fn(u32) -> Option<Break> + Send + Sync>,
    /// What becomes of a create call that arrived whole.
    pub(crate) fate: FateOf,
    pub(crate) list: Listing,
    pub(crate) read: ReadAs,
    /// How what is right is written.
    pub(crate) written: Written,
    /// At how many characters comments are cut when a request is created.
    pub(crate) comment_limit: usize,
}

impl Default for Script {
    fn default() -> Self {
        Self {
            refuses: Box::new(|_| false),
            breaks: Box::new(|_| None),
            fate: Box::new(|_, _| Fate::creates(Answer::Created)),
            list: Listing::default(),
            read: ReadAs::Whole,
            written: Written::Plain,
            comment_limit: usize::MAX,
        }
    }
}

impl Script {
    /// A server that does this with the create calls of these numbers, and what it is asked for with all others.
    pub(crate) fn on(numbers: &'static [u32], fate: Fate) -> Self {
        Self {
            fate: Box::new(
                move |number, _| {
                    if numbers.contains(&number) { fate.clone() } else { Fate::creates(Answer::Created) }
                },
            ),
            ..Self::default()
        }
    }

    /// A server that breaks the create calls of these numbers.
    pub(crate) fn breaking(numbers: &'static [u32], at: Break) -> Self {
        Self { breaks: Box::new(move |number| numbers.contains(&number).then_some(at)), ..Self::default() }
    }

    pub(crate) fn listing(self, as_what: ListAs) -> Self {
        Self { list: Listing { as_what, ..self.list }, ..self }
    }
}

/// Where a create call is broken by a reset before it arrived whole.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Break {
    /// When its first byte came, unread.
    FirstByte,
    /// When its head was read, and its body was not.
    Head,
}

/// What becomes of a create call that arrived whole.
#[derive(Clone, Debug)]
pub(crate) struct Fate {
    pub(crate) creates: bool,
    pub(crate) answer: Answer,
}

impl Fate {
    pub(crate) fn creates(answer: Answer) -> Self {
        Self { creates: true, answer }
    }

    pub(crate) fn refuses(answer: Answer) -> Self {
        Self { creates: false, answer }
    }
}

/// What is answered.
#[derive(Clone, Debug)]
pub(crate) enum Answer {
    /// A 201 as the page shows it.
    Created,
    /// A 201 that has its URI in `Location` alone.
    LocationOnly,
    /// A 201 after `100 Continue`.
    AfterContinue,
    /// A 201, and the connection is closed without a word.
    CreatedAndClosed,
    /// The first half of a 201, then the end.
    Half,
    /// A 201 at one byte a second.
    Trickle,
    /// A 201 with 100 MB behind it.
    Flood,
    /// These bytes; the connection lives on.
    Bytes(Arc<[u8]>),
    /// Nothing, as long as the client waits.
    Silence,
    /// The connection is closed.
    Close,
    /// The connection is reset.
    Reset,
}

/// Returns an answer with this status line, these header lines and this body.
pub(crate) fn answer(status: &str, headers: &str, body: &str) -> Answer {
    let text = format!("HTTP/1.1 {status}\r\n{headers}Content-Length: {}\r\n\r\n{body}", body.len());
    Answer::Bytes(text.into_bytes().into())
}

/// Returns an answer with this status line and a message as ASP.NET writes it.
pub(crate) fn status(status: &str) -> Answer {
    answer(status, "Content-Type: application/json\r\n", r#"{"Message":"as scripted"}"#)
}

/// How answers of JSON are written, unasked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Written {
    Plain,
    Gzip,
    /// What HTTP calls so, which is zlib's form.
    Deflate,
    /// What some servers call so.
    RawDeflate,
    /// With its mark.
    Utf16,
    /// In a way that nobody understands.
    Brotli,
}

/// Returns the header that says a server's time.
pub(super) fn date() -> String {
    format!("Date: {}\r\n", httpdate::fmt_http_date(std::time::SystemTime::now()))
}

impl Written {
    /// Returns a whole answer of JSON.
    pub(super) fn json(self, status: &str, text: &str) -> Vec<u8> {
        let level = flate2::Compression::default();
        let (header, body) = match self {
            Self::Plain => ("", text.as_bytes().to_vec()),
            Self::Gzip => {
                let mut out = flate2::write::GzEncoder::new(Vec::new(), level);
                out.write_all(text.as_bytes()).unwrap();
                ("Content-Encoding: gzip\r\n", out.finish().unwrap())
            }
            Self::Deflate => {
                let mut out = flate2::write::ZlibEncoder::new(Vec::new(), level);
                out.write_all(text.as_bytes()).unwrap();
                ("Content-Encoding: deflate\r\n", out.finish().unwrap())
            }
            Self::RawDeflate => {
                let mut out = flate2::write::DeflateEncoder::new(Vec::new(), level);
                out.write_all(text.as_bytes()).unwrap();
                ("Content-Encoding: deflate\r\n", out.finish().unwrap())
            }
            Self::Brotli => ("Content-Encoding: br\r\n", text.bytes().rev().collect()),
            Self::Utf16 => ("", format!("\u{feff}{text}").encode_utf16().flat_map(u16::to_le_bytes).collect()),
        };
        let charset = if self == Self::Utf16 { "; charset=utf-16" } else { "" };
        let head = format!(
            "HTTP/1.1 {status}\r\nContent-Type: application/json{charset}\r\n{header}{}Content-Length: {}\r\n\r\n",
            date(),
            body.len()
        );
        [head.into_bytes(), body].concat()
    }
}

/// The list of requests.
pub(crate) struct Listing {
    pub(crate) as_what: ListAs,
    /// Whether it is as it should be until something was created.
    pub(crate) later: bool,
    /// Which requests it does not have, by their number from 0 in the order of creation.
    pub(crate) hides: Box<dyn Fn(usize) -> bool + Send + Sync>,
}

impl Default for Listing {
    fn default() -> Self {
        Self { as_what: ListAs::Whole, later: false, hides: Box::new(|_| false) }
    }
}

/// How the list is given.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ListAs {
    Whole,
    /// With comments cut at so many characters.
    CommentsCut(usize),
    /// It breaks off in its middle, though its length is known.
    CutOff,
    /// It breaks off in its middle, and looks as if it ended well.
    CutOffChunked,
    /// An array without its end, in a whole answer.
    Unclosed,
    /// Something stands in it that is no object.
    Malformed,
    /// 204, whatever exists.
    NoContent,
    /// This status.
    Status(u16),
    /// A page of HTML with 200.
    Html,
    /// This text, whatever exists, with these header lines.
    Text(&'static str, &'static str),
}

/// How a single request is given.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ReadAs {
    Whole,
    /// This status.
    Status(u16),
}
