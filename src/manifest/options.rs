//! How a manifest is to be read: what the user may say instead of having it detected.

use std::fmt;
use std::str::FromStr;

use encoding_rs::Encoding;

/// How rows are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// Separated values with a header line.
    Csv,
    /// One JSON object a line.
    Jsonl,
}

impl Format {
    /// Returns the name that `--input-format` takes.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Csv => "csv",
            Self::Jsonl => "jsonl",
        }
    }
}

impl fmt::Display for Format {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

/// The text is not the name of a format.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("input format {0:?} is not known; use csv or jsonl")]
pub struct UnknownFormat(pub String);

impl FromStr for Format {
    type Err = UnknownFormat;

    fn from_str(text: &str) -> Result<Self, UnknownFormat> {
        [Self::Csv, Self::Jsonl]
            .into_iter()
            .find(|format| format.as_str().eq_ignore_ascii_case(text))
            .ok_or_else(|| UnknownFormat(text.to_owned()))
    }
}

/// How characters are written.
///
/// ```
/// use cmbatch::manifest::TextEncoding;
/// assert_eq!("UTF-16".parse(), Ok(TextEncoding::Utf16Le));
/// assert_eq!("latin1".parse(), Ok(TextEncoding::Windows1252));
/// assert_eq!("shift-jis".parse::<TextEncoding>().unwrap().to_string(), "shift_jis");
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TextEncoding {
    /// UTF-8.
    Utf8,
    /// UTF-16, low byte first.
    Utf16Le,
    /// UTF-16, high byte first.
    Utf16Be,
    /// windows-1252, what Western European Windows calls ANSI; every byte is a character.
    Windows1252,
    /// Any other encoding of the WHATWG standard.
    Other(&'static Encoding),
}

impl TextEncoding {
    /// Returns the decoder's description.
    pub(super) const fn encoding(self) -> &'static Encoding {
        match self {
            Self::Utf8 => encoding_rs::UTF_8,
            Self::Utf16Le => encoding_rs::UTF_16LE,
            Self::Utf16Be => encoding_rs::UTF_16BE,
            Self::Windows1252 => encoding_rs::WINDOWS_1252,
            Self::Other(encoding) => encoding,
        }
    }

    /// Returns whether characters are made of 16-bit units.
    pub(super) const fn is_utf16(self) -> bool {
        match self {
            Self::Utf16Le | Self::Utf16Be => true,
            Self::Utf8 | Self::Windows1252 | Self::Other(_) => false,
        }
    }
}

impl fmt::Display for TextEncoding {
    /// Writes a label that `FromStr` takes, in lower case.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.encoding().name().to_ascii_lowercase())
    }
}

/// The text is not the label of an encoding.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("encoding {0:?} is not known; use utf-8, utf-16le, utf-16be, windows-1252 or another label of the WHATWG list")]
pub struct UnknownEncoding(pub String);

impl FromStr for TextEncoding {
    type Err = UnknownEncoding;

    /// Reads a label of the WHATWG Encoding Standard, in any case. `utf-16` means low byte first, as there.
    fn from_str(text: &str) -> Result<Self, UnknownEncoding> {
        // The "replacement" encoding stands for ones that browsers refuse to decode: nothing can be read with it.
        let encoding =
            Encoding::for_label_no_replacement(text.as_bytes()).ok_or_else(|| UnknownEncoding(text.to_owned()))?;
        let known = [Self::Utf8, Self::Utf16Le, Self::Utf16Be, Self::Windows1252];
        Ok(known.into_iter().find(|known| known.encoding() == encoding).unwrap_or(Self::Other(encoding)))
    }
}

/// What stands between two fields: one ASCII character that is not a quote and no line end.
///
/// ```
/// use cmbatch::manifest::Delimiter;
/// let tab: Delimiter = r"\t".parse().unwrap();
/// assert_eq!(tab, "tab".parse().unwrap());
/// assert_eq!(tab.as_byte(), b'\t');
/// assert!("\"".parse::<Delimiter>().is_err());
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Delimiter(u8);

impl Delimiter {
    /// `,`
    pub const COMMA: Self = Self(b',');
    /// `;`, what spreadsheets write where `,` is the decimal separator.
    pub const SEMICOLON: Self = Self(b';');
    /// The tab character.
    pub const TAB: Self = Self(b'\t');
    /// `|`
    pub const PIPE: Self = Self(b'|');

    /// Returns the delimiter of this byte, if it can be one.
    pub const fn new(byte: u8) -> Option<Self> {
        match byte {
            b'"' | b'\r' | b'\n' => None,
            0..=0x7f => Some(Self(byte)),
            _ => None,
        }
    }

    /// Returns the character.
    pub const fn as_byte(self) -> u8 {
        self.0
    }
}

impl fmt::Display for Delimiter {
    /// Writes the character, and `tab` for a tab; `FromStr` takes both.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            b'\t' => f.pad("tab"),
            byte => f.pad(char::from(byte).encode_utf8(&mut [0; 4])),
        }
    }
}

/// The text cannot be a delimiter.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("delimiter {0:?} cannot be used; give one ASCII character that is not a quote and no line end, or tab")]
pub struct InvalidDelimiter(pub String);

impl FromStr for Delimiter {
    type Err = InvalidDelimiter;

    /// Reads one character, or `tab`, `\t`, `comma`, `semicolon`, `pipe`.
    fn from_str(text: &str) -> Result<Self, InvalidDelimiter> {
        let named = [
            ("tab", Self::TAB),
            ("\\t", Self::TAB),
            ("comma", Self::COMMA),
            ("semicolon", Self::SEMICOLON),
            ("pipe", Self::PIPE),
        ];
        let by_name = named.into_iter().find(|(name, _)| name.eq_ignore_ascii_case(text)).map(|(_, it)| it);
        let by_character = || match text.as_bytes() {
            &[byte] => Self::new(byte),
            _ => None,
        };
        by_name.or_else(by_character).ok_or_else(|| InvalidDelimiter(text.to_owned()))
    }
}

/// What the user said about a manifest; what is none is detected.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ReadOptions {
    /// The format; else by the name's extension, else by the first character.
    pub format: Option<Format>,
    /// The encoding; else by the byte order mark, else UTF-8.
    pub encoding: Option<TextEncoding>,
    /// The delimiter; else by a `sep=` line, else by the header line.
    pub delimiter: Option<Delimiter>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read_back() {
        for format in [Format::Csv, Format::Jsonl] {
            assert_eq!(format.to_string().parse(), Ok(format));
        }
        assert_eq!("JSONL".parse(), Ok(Format::Jsonl));
        assert_eq!("xml".parse::<Format>(), Err(UnknownFormat("xml".to_owned())));

        let other = TextEncoding::Other(encoding_rs::KOI8_R);
        for encoding in
            [TextEncoding::Utf8, TextEncoding::Utf16Le, TextEncoding::Utf16Be, TextEncoding::Windows1252, other]
        {
            assert_eq!(encoding.to_string().parse(), Ok(encoding));
        }
        for bad in ["", "utf", "iso-2022-kr", "ebcdic"] {
            assert_eq!(bad.parse::<TextEncoding>(), Err(UnknownEncoding(bad.to_owned())));
        }

        for delimiter in [Delimiter::COMMA, Delimiter::SEMICOLON, Delimiter::TAB, Delimiter::PIPE] {
            assert_eq!(delimiter.to_string().parse(), Ok(delimiter));
        }
        assert_eq!("\t".parse(), Ok(Delimiter::TAB));
        for bad in ["", "\"", "\r", "\n", ",,", "\u{e4}", "tabs"] {
            assert_eq!(bad.parse::<Delimiter>(), Err(InvalidDelimiter(bad.to_owned())));
        }
    }
}
