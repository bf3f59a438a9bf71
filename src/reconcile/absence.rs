//! What becomes of a row whose request is proven not to exist.

use crate::ledger::{Resolution, RowVerdict, Source};
use crate::request::{ErrorCode, RowId};

use super::ask::Trust;

/// A row in doubt, as far as its absence is concerned: 12 bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Doubt {
    pub(super) row: RowId,
    /// How many attempts count against `--max-attempts`.
    pub(super) counted_attempts: u32,
    /// Why it is in doubt.
    pub(super) code: Option<ErrorCode>,
}

/// What becomes of a row in doubt that is absent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fate {
    /// It may be sent again.
    Pending,
    /// It is not sent again by itself.
    Failed,
}

/// Returns what becomes of a row in doubt that is absent, or none where no list settles it.
///
/// After a 500 the server has looked at the row and not done it, so that it is likely to fail again, and a person decides.
pub(super) fn fate(code: Option<ErrorCode>, counted_attempts: u32, max_attempts: u32) -> Option<Fate> {
    if code == Some(ErrorCode::Contradicted) {
        // Something stood on the server under the row's tag. A list without it shows that the list has changed, not that
        // nothing was done.
        None
    } else if code == Some(ErrorCode::ServerError) || counted_attempts >= max_attempts {
        Some(Fate::Failed)
    } else {
        Some(Fate::Pending)
    }
}

impl Fate {
    /// Returns the decision about a row that is absent.
    pub(super) fn resolution(self, row: RowId, trust: Trust) -> Resolution {
        let (verdict, reason) = match self {
            Self::Pending => (RowVerdict::Absent, Some(basis(trust).to_owned())),
            // What the server said of the last attempt says more.
            Self::Failed => (RowVerdict::AbsentForGood, None),
        };
        Resolution { row, verdict, source: Source::List, reason }
    }
}

const fn basis(trust: Trust) -> &'static str {
    match trust {
        Trust::Proof => "the server's list is complete and does not have it",
        Trust::List => "the server's list does not have it (trusted without proof)",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_row_proven_absent_is_sent_again_unless_the_server_failed_or_its_attempts_are_used_up() {
        for (code, counted, expected) in [
            (None, 0, Some(Fate::Pending)),
            (Some(ErrorCode::Timeout), 1, Some(Fate::Pending)),
            (Some(ErrorCode::Timeout), 4, Some(Fate::Pending)),
            (Some(ErrorCode::Timeout), 5, Some(Fate::Failed)),
            (Some(ErrorCode::LeftOpen), 0, Some(Fate::Pending)),
            (Some(ErrorCode::LeftOpen), 7, Some(Fate::Failed)),
            (Some(ErrorCode::Unavailable), 1, Some(Fate::Pending)),
            (Some(ErrorCode::NoUri), 1, Some(Fate::Pending)),
            (Some(ErrorCode::ServerError), 0, Some(Fate::Failed)),
            (Some(ErrorCode::ServerError), 5, Some(Fate::Failed)),
            (Some(ErrorCode::Contradicted), 0, None),
            (Some(ErrorCode::Contradicted), 9, None),
        ] {
            assert_eq!(fate(code, counted, 5), expected, "{code:?} after {counted}");
        }
    }

    #[test]
    fn what_the_server_said_stays_the_message_of_a_failed_row_and_a_pending_one_says_on_what_basis() {
        let row = RowId::new(3).unwrap();
        let failed = Fate::Failed.resolution(row, Trust::Proof);
        assert_eq!((failed.verdict, failed.reason), (RowVerdict::AbsentForGood, None));
        let proven = Fate::Pending.resolution(row, Trust::Proof);
        assert_eq!((proven.verdict, proven.source), (RowVerdict::Absent, Source::List));
        assert!(proven.reason.is_some_and(|reason| !reason.contains("trusted")));
        let vouched = Fate::Pending.resolution(row, Trust::List);
        assert!(vouched.reason.is_some_and(|reason| reason.contains("trusted without proof")));
    }

    #[test]
    fn a_row_in_doubt_takes_little_memory() {
        assert!(size_of::<Doubt>() <= 12);
    }
}
