//! The tag that stands in a request's comment, so that the request can be found again in the server's list.

use std::fmt;

use data_encoding::BASE32_NOPAD;
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;

use super::ids::{RowId, RunId};

/// 40 bits of a SHA-256 over what would make a second request the same request.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Fingerprint([u8; 5]);

impl Fingerprint {
    /// Returns the fingerprint of these bytes.
    pub const fn from_bytes(bytes: [u8; 5]) -> Self {
        Self(bytes)
    }

    /// Returns the 5 bytes.
    pub const fn as_bytes(&self) -> &[u8; 5] {
        &self.0
    }
}

/// The random key of a run: what makes its tags unforgeable. Never printed.
#[derive(Clone)]
pub struct RunKey([u8; 32]);

impl RunKey {
    /// Returns the key of these bytes.
    pub const fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// Returns the bytes, for the ledger to keep.
    pub const fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }
}

impl fmt::Debug for RunKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("RunKey([redacted])")
    }
}

/// Where the tag stands in the comment.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum TagPosition {
    /// Before the row's own comment: what a server cuts is the end.
    #[default]
    Start,
    /// After it, for sites that insist.
    End,
    /// Nowhere (`--no-tag`).
    None,
}

/// The tag of one row: `[cmb:` + 24 base32 characters + `-` + 8 for the fingerprint + `]` (RFC 4648, upper case).
///
/// The 24 characters hold 40 bits of the run's id, the row's number in 32 bits, and 48 bits of HMAC-SHA-256 over both
/// with the run's key. All attempts of a row carry the same tag.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Tag {
    ident: [u8; 15],
    fingerprint: Fingerprint,
}

impl Tag {
    /// What every tag begins with; a comment in a manifest may not contain it.
    pub const PREFIX: &'static str = "[cmb:";
    /// The length of a tag, in bytes.
    pub const LEN: usize = 39;

    /// Makes the tag of a row.
    pub fn new(run: RunId, key: &RunKey, row: RowId, fingerprint: Fingerprint) -> Self {
        let mut ident = [0; 15];
        ident[..5].copy_from_slice(&run.as_bytes()[..5]);
        ident[5..9].copy_from_slice(&row.get().to_be_bytes());
        let mut mac = Hmac::<Sha256>::new_from_slice(key.as_bytes()).expect("HMAC takes a key of any length");
        mac.update(&ident[..9]);
        ident[9..].copy_from_slice(&mac.finalize().into_bytes()[..6]);
        Self { ident, fingerprint }
    }

    /// Returns the comment to send: the tag at its position, one space, the row's own comment where it has one.
    pub fn into_comment(self, own: &str, position: TagPosition) -> String {
        match (position, own.is_empty()) {
            (TagPosition::None, _) => own.to_owned(),
            (TagPosition::Start | TagPosition::End, true) => self.to_string(),
            (TagPosition::Start, false) => format!("{self} {own}"),
            (TagPosition::End, false) => format!("{own} {self}"),
        }
    }
}

impl fmt::Display for Tag {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{}{}-{}]",
            Self::PREFIX,
            BASE32_NOPAD.encode_display(&self.ident),
            BASE32_NOPAD.encode_display(&self.fingerprint.0)
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tag(row: u32, key: u8) -> Tag {
        let run = RunId::from_bytes([0xAB; 16]);
        Tag::new(
            run,
            &RunKey::from_bytes([key; 32]),
            RowId::new(row).unwrap(),
            Fingerprint::from_bytes([1, 2, 3, 4, 5]),
        )
    }

    #[test]
    fn a_tag_has_its_published_form_and_depends_on_row_and_key() {
        let text = tag(1, 1).to_string();
        assert_eq!(text.len(), Tag::LEN);
        assert!(text.starts_with("[cmb:") && text.ends_with("-AEBAGBAF]"), "{text}");
        assert_eq!(text, tag(1, 1).to_string());
        assert_ne!(text, tag(2, 1).to_string());
        assert_ne!(text, tag(1, 2).to_string());
    }

    #[test]
    fn the_comment_keeps_the_rows_own_text() {
        let tag = tag(7, 7);
        assert_eq!(tag.into_comment("", TagPosition::Start), tag.to_string());
        assert_eq!(tag.into_comment("new hire", TagPosition::Start), format!("{tag} new hire"));
        assert_eq!(tag.into_comment("new hire", TagPosition::End), format!("new hire {tag}"));
        assert_eq!(tag.into_comment("new hire", TagPosition::None), "new hire");
    }

    #[test]
    fn the_key_is_not_in_its_debug_form() {
        assert_eq!(format!("{:?}", RunKey::from_bytes([9; 32])), "RunKey([redacted])");
    }
}
