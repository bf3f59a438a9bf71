//! How far a run has come, noted beside its ledger: so that an older copy of the file is told from the newest.

use std::path::Path;

use super::error::LedgerError;
use crate::platform::FileLock;
use crate::request::RunId;

/// The newest session and the last row that was claimed in row order. Neither ever goes back.
///
/// It stands in the file whose lock is the lock on the ledger. It is written after the commit that it tells of and not
/// synced: a power cut may leave it behind the ledger, which is harmless, and nothing can leave it ahead, unless the ledger
/// is an older one (a restored backup, or one whose write-ahead log was deleted).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Watermark {
    pub(super) run: RunId,
    pub(super) session: u32,
    pub(super) claimed: u32,
}

impl Watermark {
    /// Notes it beside the ledger. What cannot be noted guards nothing, and harms nothing either.
    pub(super) fn note(&self, lock: &FileLock) {
        drop(lock.note(&format!("run {} session {} claimed {:010}\n", self.run, self.session, self.claimed)));
    }

    /// Refuses a ledger that is behind what was noted of the same run.
    ///
    /// # Errors
    /// [`LedgerError::Older`].
    pub(super) fn check(&self, path: &Path, lock: &FileLock) -> Result<(), LedgerError> {
        let noted = lock.noted().unwrap_or_default();
        let is_older = self.is_behind(&noted);
        if is_older { Err(LedgerError::Older { path: path.to_owned() }) } else { Ok(()) }
    }

    fn is_behind(&self, noted: &str) -> bool {
        let words: Vec<&str> = noted.split_whitespace().collect();
        let ["run", run, "session", session, "claimed", claimed] = words[..] else { return false };
        let ahead = |noted: &str, own: u32| noted.parse::<u32>().is_ok_and(|noted| noted > own);
        run == self.run.to_string() && (ahead(session, self.session) || ahead(claimed, self.claimed))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_is_behind_the_note_of_its_own_run_is_older() {
        let run = RunId::from_bytes([7; 16]);
        let mark = Watermark { run, session: 2, claimed: 40 };
        let noted =
            |run: RunId, session: u32, claimed: u32| format!("run {run} session {session} claimed {claimed:010}\n");
        for (text, expected) in [
            (noted(run, 2, 40), false),
            (noted(run, 1, 16), false),
            (noted(run, 3, 40), true),
            (noted(run, 2, 41), true),
            (noted(RunId::from_bytes([8; 16]), 9, 900), false),
            (String::new(), false),
            ("anything else".to_owned(), false),
        ] {
            assert_eq!(mark.is_behind(&text), expected, "{text}");
        }
    }
}
