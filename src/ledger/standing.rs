//! In which condition a ledger is when a session begins.

use super::resolution::Standing;
use super::session::{SessionFate, SessionRecord};
use super::watermark::{AtRest, Note, Progress};
use crate::platform::FileMark;

/// What is seen of a ledger before a session begins.
#[derive(Debug)]
pub(super) struct Found<'a> {
    /// The newest session; none where the ledger is new.
    pub(super) newest: Option<&'a SessionRecord>,
    /// How far the ledger says that the run has come.
    pub(super) progress: Progress,
    /// What is noted of the run beside the ledger.
    pub(super) note: Option<Note>,
    /// The ledger file.
    pub(super) file: FileMark,
    /// The host that looks.
    pub(super) host: &'a str,
}

impl Found<'_> {
    /// Returns the ledger's condition: the gravest that holds.
    pub(super) fn standing(&self) -> Standing {
        // Asked before all else: where the log was deleted with everything that was ever sent, no session is left either.
        let is_behind = self.note.is_some_and(|note| self.progress.is_behind(&note.progress));
        let Some(newest) = self.newest else { return if is_behind { Standing::Older } else { Standing::Clean } };
        let is_elsewhere = newest.info.host != self.host || newest.ledger_inode != self.file.inode;
        let is_as_left = self
            .note
            .is_some_and(|note| note.progress.session == newest.number && note.at_rest == Some(AtRest::of(&self.file)));
        if is_behind {
            Standing::Older
        } else if is_elsewhere {
            Standing::Copied
        } else {
            match newest.fate {
                // Without the note nothing vouches for how far the run came.
                SessionFate::Open | SessionFate::Died if self.note.is_none() => Standing::Copied,
                SessionFate::Open | SessionFate::Died => Standing::Unclean,
                SessionFate::Ended { .. } if is_as_left => Standing::Clean,
                SessionFate::Ended { .. } => Standing::Copied,
            }
        }
    }
}
