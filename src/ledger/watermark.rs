//! How far a run has come, noted beside its ledger: so that an older copy of the file is told from the newest.

use std::collections::HashMap;
use std::str::FromStr;

use crate::platform::{FileLock, FileMark};
use crate::request::RunId;

/// How far a run has come. None of it ever goes back.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Progress {
    /// The newest session.
    pub(super) session: u32,
    /// The highest row that was claimed, or passed over.
    pub(super) claimed: u32,
    /// How many claims are on record: second attempts tell in it.
    pub(super) n_claims: u64,
    /// How many failed rows were ordered to be sent again.
    pub(super) n_again: u64,
}

impl Progress {
    /// Returns whether this is behind the other in anything.
    pub(super) const fn is_behind(&self, other: &Self) -> bool {
        self.session < other.session
            || self.claimed < other.claimed
            || self.n_claims < other.n_claims
            || self.n_again < other.n_again
    }
}

/// What is noted of a run.
///
/// It stands in the file whose lock is the lock on the ledger. It is written after the commit that it tells of and not
/// synced: a power cut may leave it behind the ledger, which is harmless, and nothing can leave it ahead, unless the ledger
/// is an older one (a restored backup, or one whose write-ahead log was deleted).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Note {
    pub(super) run: RunId,
    pub(super) progress: Progress,
    /// The ledger file as the session left it that ended by itself; none while one is at work, or where it died.
    pub(super) at_rest: Option<AtRest>,
}

/// What tells whether a file at rest was written since.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct AtRest {
    size_bytes: u64,
    changed_s: i64,
    changed_ns: i64,
}

impl AtRest {
    /// Returns what is noted of a file.
    pub(super) const fn of(file: &FileMark) -> Self {
        Self { size_bytes: file.size_bytes, changed_s: file.changed_s, changed_ns: file.changed_ns }
    }
}

impl Note {
    /// Writes it beside the ledger. What cannot be noted guards nothing, and harms nothing either.
    pub(super) fn write(&self, lock: &FileLock) {
        drop(lock.note(&self.text()));
    }

    /// Reads what is noted of this run, if anything is.
    pub(super) fn read(run: RunId, lock: &FileLock) -> Option<Self> {
        Self::parse(run, &lock.noted().ok()?)
    }

    /// Every number has a fixed width, so that a note is written over the one before in place.
    fn text(&self) -> String {
        let Progress { session, claimed, n_claims, n_again } = self.progress;
        let progress = format!(
            "run {} session {session:010} claimed {claimed:010} claims {n_claims:020} again {n_again:020}",
            self.run
        );
        match self.at_rest {
            None => progress + &" ".repeat(AT_REST_WIDTH) + "\n",
            Some(AtRest { size_bytes, changed_s, changed_ns }) => {
                progress + &format!(" size {size_bytes:020} changed {changed_s:020} ns {changed_ns:09}") + "\n"
            }
        }
    }

    fn parse(run: RunId, text: &str) -> Option<Self> {
        let words: Vec<&str> = text.split_whitespace().collect();
        let values: HashMap<&str, &str> = words.chunks_exact(2).map(|pair| (pair[0], pair[1])).collect();
        if *values.get("run")? != run.to_string() {
            return None;
        }
        // An older program noted less; what it did not note is not ahead of anything.
        let progress = Progress {
            session: number(&values, "session")?,
            claimed: number(&values, "claimed")?,
            n_claims: number(&values, "claims").unwrap_or(0),
            n_again: number(&values, "again").unwrap_or(0),
        };
        Some(Self { run, progress, at_rest: parse_at_rest(&values) })
    }
}

/// The length of what is noted of a file at rest.
const AT_REST_WIDTH: usize = " size ".len() + 20 + " changed ".len() + 20 + " ns ".len() + 9;

fn parse_at_rest(values: &HashMap<&str, &str>) -> Option<AtRest> {
    Some(AtRest {
        size_bytes: number(values, "size")?,
        changed_s: number(values, "changed")?,
        changed_ns: number(values, "ns")?,
    })
}

fn number<T: FromStr>(values: &HashMap<&str, &str>, name: &str) -> Option<T> {
    values.get(name)?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    const RUN: RunId = RunId::from_bytes([7; 16]);

    fn note(at_rest: Option<AtRest>) -> Note {
        let progress = Progress { session: 2, claimed: 40, n_claims: 9, n_again: 1 };
        Note { run: RUN, progress, at_rest }
    }

    #[test]
    fn a_note_comes_back_and_always_has_the_same_length() {
        let at_rest = AtRest { size_bytes: 4096, changed_s: 1_780_000_000, changed_ns: 7 };
        for noted in [note(None), note(Some(at_rest))] {
            assert_eq!(Note::parse(RUN, &noted.text()), Some(noted));
            assert_eq!(noted.text().len(), note(None).text().len());
        }
        assert_eq!(Note::parse(RunId::from_bytes([8; 16]), &note(None).text()), None);
        for other in ["", "anything else", "run", "session 3 claimed 4"] {
            assert_eq!(Note::parse(RUN, other), None, "{other}");
        }
    }

    #[test]
    fn the_note_of_an_older_program_is_read() {
        let noted = Note::parse(RUN, &format!("run {RUN} session 2 claimed 0000000040\n")).unwrap();
        assert_eq!(noted.progress, Progress { session: 2, claimed: 40, ..Progress::default() });
        assert_eq!(noted.at_rest, None);
    }

    #[test]
    fn what_is_less_in_anything_is_behind() {
        let noted = note(None).progress;
        assert!(!noted.is_behind(&noted));
        assert!(!Progress { session: 3, claimed: 41, n_claims: 10, n_again: 2 }.is_behind(&noted));
        for behind in [
            Progress { session: 1, ..noted },
            Progress { claimed: 39, ..noted },
            Progress { n_claims: 8, ..noted },
            Progress { n_again: 0, ..noted },
        ] {
            assert!(behind.is_behind(&noted), "{behind:?}");
        }
    }
}
