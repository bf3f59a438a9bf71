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

    /// Returns the 40 bits as a number, for sorting and searching.
    pub const fn number(self) -> u64 {
        let [a, b, c, d, e] = self.0;
        u64::from_be_bytes([0, 0, 0, a, b, c, d, e])
    }
}

/// The part of a run's id that stands in its tags: the first 40 bits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct RunMark([u8; 5]);

impl RunMark {
    /// Returns the mark of a run.
    pub fn of(run: RunId) -> Self {
        let [a, b, c, d, e, ..] = *run.as_bytes();
        Self([a, b, c, d, e])
    }
}

impl fmt::Display for RunMark {
    /// Writes the first 10 hexadecimal digits of the run's id, in its groups: `620f9407-cb`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let digits = data_encoding::HEXLOWER.encode(&self.0);
        write!(f, "{}-{}", &digits[..8], &digits[8..])
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

    /// Finds the first tag in a comment, wherever it stands. Whether it is genuine is for [`is_of`](Self::is_of) to say.
    ///
    /// ```
    /// use cmbatch::request::{Fingerprint, RowId, RunId, RunKey, Tag};
    /// let (run, key) = (RunId::random(), RunKey::from_bytes([7; 32]));
    /// let tag = Tag::new(run, &key, RowId::new(3).unwrap(), Fingerprint::from_bytes([1; 5]));
    /// let found = Tag::find(&format!("added by the server: {tag} new hire")).unwrap();
    /// assert_eq!(found, tag);
    /// assert!(found.is_of(run, &key));
    /// assert_eq!(found.row(), RowId::new(3));
    /// ```
    pub fn find(comment: &str) -> Option<Self> {
        Self::all_in(comment).next()
    }

    /// Returns all tags in a comment, in their order: a comment that was copied from an earlier request holds that one's, too.
    pub fn all_in(comment: &str) -> impl Iterator<Item = Self> {
        let at = comment.match_indices(Self::PREFIX).map(|(at, _)| at);
        at.filter_map(|at| Self::parse(comment.as_bytes().get(at..at + Self::LEN)?))
    }

    fn parse(text: &[u8]) -> Option<Self> {
        let inner = text.strip_prefix(Self::PREFIX.as_bytes())?.strip_suffix(b"]")?;
        let (ident, rest) = inner.split_at_checked(24)?;
        let mut tag = Self { ident: [0; 15], fingerprint: Fingerprint([0; 5]) };
        let decode = |text: &[u8], into: &mut [u8]| BASE32_NOPAD.decode_mut(text, into).ok();
        decode(ident, &mut tag.ident)?;
        decode(rest.strip_prefix(b"-")?, &mut tag.fingerprint.0)?;
        Some(tag)
    }

    /// Returns whether the tag was made for a row of this run, by whoever has its key.
    pub fn is_of(&self, run: RunId, key: &RunKey) -> bool {
        self.row().is_some_and(|row| Self::new(run, key, row, self.fingerprint) == *self)
    }

    /// Returns the mark of the run that the tag says it is of.
    pub fn run_mark(&self) -> RunMark {
        let [a, b, c, d, e, ..] = self.ident;
        RunMark([a, b, c, d, e])
    }

    /// Returns the row that the tag says it is of.
    pub fn row(&self) -> Option<RowId> {
        let [_, _, _, _, _, a, b, c, d, ..] = self.ident;
        RowId::new(u32::from_be_bytes([a, b, c, d]))
    }

    /// Returns the fingerprint of the row.
    pub const fn fingerprint(&self) -> Fingerprint {
        self.fingerprint
    }

    /// Writes the text into a buffer, and returns it.
    pub fn encode<'b>(&self, buffer: &'b mut [u8; Self::LEN]) -> &'b str {
        *buffer = *b"[cmb:........................-........]";
        BASE32_NOPAD.encode_mut(&self.ident, &mut buffer[5..29]);
        BASE32_NOPAD.encode_mut(&self.fingerprint.0, &mut buffer[30..38]);
        str::from_utf8(buffer).expect("base32 is ASCII")
    }

    /// Returns the comment to send: the tag at its position, one space, the row's own comment where it has one.
    pub fn into_comment(self, own: &str, position: TagPosition) -> String {
        let mut buffer = [0; Self::LEN];
        let tag = self.encode(&mut buffer);
        let (first, second) = match position {
            TagPosition::None => return own.to_owned(),
            TagPosition::Start => (tag, own),
            TagPosition::End => (own, tag),
        };
        let mut comment = String::with_capacity(Self::LEN + 1 + own.len());
        comment.push_str(first);
        if !own.is_empty() {
            comment.push(' ');
        }
        comment.push_str(second);
        comment
    }
}

impl fmt::Display for Tag {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.encode(&mut [0; Self::LEN]))
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
        assert_eq!(tag.into_comment("", TagPosition::End), tag.to_string());
        assert_eq!(tag.into_comment("new hire", TagPosition::Start), format!("{tag} new hire"));
        assert_eq!(tag.into_comment("new hire", TagPosition::End), format!("new hire {tag}"));
        assert_eq!(tag.into_comment("new hire", TagPosition::None), "new hire");
    }

    #[test]
    fn a_tag_is_found_wherever_it_stands_and_only_whole() {
        let tag = tag(7, 7);
        for comment in [format!("{tag}"), format!("x [cmb: {tag}\u{0}"), format!("Zo\u{eb} {tag} [cmb:")] {
            assert_eq!(Tag::find(&comment), Some(tag), "{comment}");
        }
        let text = tag.to_string();
        for broken in [&text[..38], &text[1..], &text.to_lowercase(), &text.replace('-', "A"), "", "[cmb:\u{eb}"] {
            assert_eq!(Tag::find(broken), None, "{broken}");
        }
        // A decimal digit that base32 does not have.
        assert_eq!(Tag::find(&text.replace('A', "1")), None);
    }

    #[test]
    fn a_tag_of_another_run_key_or_row_is_not_genuine() {
        let run = RunId::from_bytes([0xAB; 16]);
        let genuine = tag(7, 7);
        assert!(genuine.is_of(run, &RunKey::from_bytes([7; 32])));
        assert!(!genuine.is_of(run, &RunKey::from_bytes([8; 32])));
        assert!(!genuine.is_of(RunId::from_bytes([0xAC; 16]), &RunKey::from_bytes([7; 32])));
        for byte in 0..15 {
            let mut forged = genuine;
            forged.ident[byte] ^= 1;
            assert!(!forged.is_of(run, &RunKey::from_bytes([7; 32])), "byte {byte}");
        }
        assert_eq!(genuine.run_mark(), RunMark::of(run));
        assert_eq!(genuine.run_mark().to_string(), "abababab-ab");
        assert_eq!((genuine.row(), genuine.fingerprint()), (RowId::new(7), Fingerprint::from_bytes([1, 2, 3, 4, 5])));
    }

    #[test]
    fn the_key_is_not_in_its_debug_form() {
        assert_eq!(format!("{:?}", RunKey::from_bytes([9; 32])), "RunKey([redacted])");
    }
}
