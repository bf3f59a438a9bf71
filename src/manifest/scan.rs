//! Where a record ends, what shape it has, and how many physical lines it takes.
//!
//! This follows the rule of csv-core: a quote opens only at a field's start, `""` inside quotes is one quote, whatever
//! follows a closing quote belongs to the field, and LF, CRLF and a lone CR end a record alike. Counting quotes would not
//! do: `a,5" card` holds one, and it opens nothing.

use memchr::{memchr, memchr2, memchr2_iter, memchr3};

use super::options::Delimiter;

/// The shape of a record, as far as the scanner has to know it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Shape {
    /// One line without any quote (CSV), or any line (JSONL).
    Plain,
    /// Quotes, all where they belong.
    Quoted,
    /// A quote inside an unquoted field, or text behind a closing quote.
    StrayQuote {
        /// Where, in bytes from the record's start.
        at: u32,
    },
    /// A quoted field that does not end; the record is cut at the end of the line where it opens.
    UnclosedQuote {
        /// Where it opens, in bytes from the record's start.
        at: u32,
    },
    /// Cut because it is too long.
    TooLong,
}

/// What the scanner finds at the start of a text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Step {
    /// It takes more bytes to tell.
    More,
    /// A blank line.
    Blank {
        /// Where the next line starts.
        next: usize,
    },
    /// A record.
    Record {
        /// Where its last line end starts.
        end: usize,
        /// Where the next record starts.
        next: usize,
        /// How many physical lines it takes.
        n_lines: u32,
        /// Its shape.
        shape: Shape,
    },
    /// A record that is too long: what is kept of it. The rest of its last line is to be dropped.
    TooLong {
        /// How many bytes are kept.
        keep: usize,
        /// How many physical lines it takes, the one that is to be dropped included.
        n_lines: u32,
    },
}

/// How records are told apart.
#[derive(Clone, Copy, Debug)]
pub(super) enum Scanner {
    /// By lines, quotes respected.
    Csv {
        /// What stands between two fields.
        delimiter: Delimiter,
        /// The most bytes of a record.
        max_bytes: usize,
    },
    /// By lines.
    Jsonl {
        /// The most bytes of a line.
        max_bytes: usize,
    },
}

impl Scanner {
    /// Tells what stands at the start of the text, which is not empty. `at_end`: no more text comes behind it.
    pub(super) fn step(self, text: &[u8], at_end: bool) -> Step {
        match self {
            Self::Csv { delimiter, max_bytes } => {
                let scan = Scan { text, at_end, max_bytes };
                match memchr3(b'\n', b'\r', b'"', text) {
                    Some(at) if text[at] == b'"' => scan.quoted(delimiter.as_byte(), at),
                    Some(0) => scan.blank(0),
                    Some(end) => scan.record(end, Shape::Plain),
                    None => scan.open_end(Shape::Plain),
                }
            }
            Self::Jsonl { max_bytes } => {
                let scan = Scan { text, at_end, max_bytes };
                let end = memchr2(b'\n', b'\r', text);
                let line = &text[..end.unwrap_or(text.len())];
                let is_blank = line.iter().all(|byte| matches!(byte, b' ' | b'\t'));
                match end {
                    Some(end) if is_blank && end <= max_bytes => scan.blank(end),
                    Some(end) => scan.record(end, Shape::Plain),
                    None if is_blank && at_end => Step::Blank { next: text.len() },
                    None => scan.open_end(Shape::Plain),
                }
            }
        }
    }
}

#[derive(Clone, Copy)]
struct Scan<'a> {
    text: &'a [u8],
    at_end: bool,
    max_bytes: usize,
}

impl Scan<'_> {
    /// A record that has a quote; the first one stands at `first`.
    fn quoted(self, delimiter: u8, first: usize) -> Step {
        let text = self.text;
        let mut stray = None;
        let mut quote = first;
        // Each turn begins at a quote that is not inside of quotes.
        loop {
            let opens = quote == 0 || text[quote - 1] == delimiter;
            let unquoted_from = if opens {
                let close = match self.closing_quote(quote + 1) {
                    Some(close) if close < self.max_bytes => close,
                    Some(_) => return self.unclosed(quote),
                    None if self.at_end || text.len() > self.max_bytes => return self.unclosed(quote),
                    None => return Step::More,
                };
                match (text.get(close + 1), text.get(close + 2)) {
                    // It may be the first quote of a doubled one.
                    (None, _) if !self.at_end => return Step::More,
                    // Where all fields are quoted, the next one is found without a search.
                    (Some(&byte), Some(b'"')) if byte == delimiter => {
                        quote = close + 2;
                        continue;
                    }
                    (Some(b'\n' | b'\r'), _) => return self.record(close + 1, self.shape(stray)),
                    (Some(&byte), _) if byte != delimiter => stray = stray.or(Some((quote, close + 1))),
                    (Some(_) | None, _) => {}
                }
                close + 1
            } else {
                stray = stray.or(Some((quote, quote)));
                quote + 1
            };
            let found = memchr3(b'\n', b'\r', b'"', &text[unquoted_from..]).map(|at| unquoted_from + at);
            match found {
                Some(at) if text[at] == b'"' => quote = at,
                Some(end) => return self.record(end, self.shape(stray)),
                None => return self.open_end(self.shape(stray)),
            }
        }
    }

    /// Returns the shape of a record with quotes. A stray quote is reported where it stands, or where its field opens
    /// if that is on an earlier line: there is what must be mended.
    fn shape(self, stray: Option<(usize, usize)>) -> Shape {
        match stray {
            None => Shape::Quoted,
            Some((field, at)) => {
                let spans_lines = memchr2(b'\n', b'\r', &self.text[field..at]).is_some();
                Shape::StrayQuote { at: short(if spans_lines { field } else { at }) }
            }
        }
    }

    /// Returns the quote that closes a field whose text begins here.
    fn closing_quote(self, from: usize) -> Option<usize> {
        let mut from = from;
        loop {
            let at = from + memchr(b'"', self.text.get(from..)?)?;
            if self.text.get(at + 1) != Some(&b'"') {
                return Some(at);
            }
            from = at + 2;
        }
    }

    /// The quote at `open` is never closed: the record is cut at the end of its line, and reading goes on behind it.
    fn unclosed(self, open: usize) -> Step {
        let shape = Shape::UnclosedQuote { at: short(open) };
        match memchr2(b'\n', b'\r', &self.text[open..]) {
            Some(at) => self.record(open + at, shape),
            None => self.open_end(shape),
        }
    }

    /// A blank line that ends here.
    fn blank(self, end: usize) -> Step {
        match self.behind_line_end(end) {
            Some(next) => Step::Blank { next },
            None => Step::More,
        }
    }

    /// A record whose line end starts here.
    fn record(self, end: usize, shape: Shape) -> Step {
        if end > self.max_bytes {
            return self.too_long(shape);
        }
        match self.behind_line_end(end) {
            Some(next) => Step::Record { end, next, n_lines: self.n_lines(end, shape), shape },
            None => Step::More,
        }
    }

    /// A record whose end is not in the text.
    fn open_end(self, shape: Shape) -> Step {
        let end = self.text.len();
        if end > self.max_bytes {
            self.too_long(shape)
        } else if self.at_end {
            Step::Record { end, next: end, n_lines: self.n_lines(end, shape), shape }
        } else {
            Step::More
        }
    }

    fn too_long(self, shape: Shape) -> Step {
        Step::TooLong { keep: self.max_bytes, n_lines: self.n_lines(self.max_bytes, shape) }
    }

    fn n_lines(self, end: usize, shape: Shape) -> u32 {
        match shape {
            Shape::Plain => 1,
            Shape::Quoted | Shape::StrayQuote { .. } | Shape::UnclosedQuote { .. } | Shape::TooLong => {
                short(count_line_ends(&self.text[..end])) + 1
            }
        }
    }

    /// Returns what follows the line end that starts here; none where a CR is the last byte so far.
    fn behind_line_end(self, at: usize) -> Option<usize> {
        behind_line_end(self.text, at, self.at_end)
    }
}

/// Returns the offset behind the line end that starts at `at`; none where that is a CR and the last byte so far.
pub(super) fn behind_line_end(text: &[u8], at: usize, at_end: bool) -> Option<usize> {
    match (text[at], text.get(at + 1)) {
        (b'\r', Some(b'\n')) => Some(at + 2),
        (b'\r', None) if !at_end => None,
        _ => Some(at + 1),
    }
}

/// Counts line ends: LF, CRLF (once) and lone CR.
pub(super) fn count_line_ends(text: &[u8]) -> usize {
    memchr2_iter(b'\n', b'\r', text).filter(|&at| text[at] == b'\n' || text.get(at + 1) != Some(&b'\n')).count()
}

/// Narrows an offset within a chunk.
pub(super) fn short(offset: usize) -> u32 {
    u32::try_from(offset).expect("a chunk has a few MiB at most")
}
