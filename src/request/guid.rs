//! GUIDs as the API writes them.

use std::fmt;
use std::str::FromStr;

use uuid::Uuid;

/// A GUID: 8-4-4-4-12 hexadecimal digits, written in lower case without braces.
///
/// ```
/// use cmbatch::request::Guid;
/// let guid: Guid = "{97CD65FA-AF4B-4587-9309-0DD6BFD8B4E1}".parse().unwrap();
/// assert_eq!(guid.to_string(), "97cd65fa-af4b-4587-9309-0dd6bfd8b4e1");
/// ```
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Guid(Uuid);

impl Guid {
    /// Returns the GUID of these 16 bytes (in the order in which they are written).
    pub const fn from_bytes(bytes: [u8; 16]) -> Self {
        Self(Uuid::from_bytes(bytes))
    }

    /// Returns a new random GUID (version 4).
    pub fn random() -> Self {
        Self(Uuid::new_v4())
    }

    /// Returns the 16 bytes, in the order in which they are written.
    pub const fn as_bytes(&self) -> &[u8; 16] {
        self.0.as_bytes()
    }

    /// The length of a GUID as text.
    pub const LEN: usize = 36;

    /// Writes the text into a buffer, and returns it.
    pub fn encode<'b>(&self, buffer: &'b mut [u8; Self::LEN]) -> &'b str {
        self.0.hyphenated().encode_lower(buffer)
    }

    /// Returns whether all bits are zero, which the API uses for "none".
    pub const fn is_zero(&self) -> bool {
        self.0.is_nil()
    }
}

impl fmt::Display for Guid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut text = Uuid::encode_buffer();
        f.pad(self.0.hyphenated().encode_lower(&mut text))
    }
}

impl fmt::Debug for Guid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// The text is not a GUID.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not a GUID: 32 hexadecimal digits in groups of 8-4-4-4-12, with or without braces")]
pub struct InvalidGuid;

impl FromStr for Guid {
    type Err = InvalidGuid;

    /// Reads `8-4-4-4-12` hexadecimal digits in any case, with or without braces, and nothing else.
    fn from_str(text: &str) -> Result<Self, InvalidGuid> {
        let bare = match text.strip_prefix('{') {
            Some(rest) => rest.strip_suffix('}').ok_or(InvalidGuid)?,
            None => text,
        };
        // The length keeps out the other forms that the uuid crate takes (simple, URN).
        if bare.len() != 36 {
            return Err(InvalidGuid);
        }
        Uuid::try_parse(bare).map(Self).map_err(|_| InvalidGuid)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn braces_and_case_are_free_and_nothing_else_is() {
        let plain: Guid = "a039b4d0-5ce8-4eff-8651-181c6576fda3".parse().unwrap();
        for same in [
            "A039B4D0-5CE8-4EFF-8651-181C6576FDA3",
            "{a039b4d0-5ce8-4eff-8651-181c6576fda3}",
            "{A039B4D0-5ce8-4EFF-8651-181c6576fda3}",
        ] {
            assert_eq!(same.parse(), Ok(plain));
        }
        for bad in [
            "",
            "{",
            "{}",
            "a039b4d05ce84eff8651181c6576fda3",
            "{a039b4d0-5ce8-4eff-8651-181c6576fda3",
            "a039b4d0-5ce8-4eff-8651-181c6576fda3}",
            "{{a039b4d0-5ce8-4eff-8651-181c6576fda3}}",
            "urn:uuid:a039b4d0-5ce8-4eff-8651-181c6576fda3",
            "a039b4d0-5ce8-4eff-8651-181c6576fda",
            "a039b4d0-5ce8-4eff-8651-181c6576fdag",
            "a039b4d05-ce8-4eff-8651-181c6576fda3",
            "a039b4d0\u{2013}5ce8-4eff-8651-181c6576fda3",
        ] {
            assert_eq!(bad.parse::<Guid>(), Err(InvalidGuid), "{bad}");
        }
    }
}
