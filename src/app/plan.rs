//! The plan: what is about to be sent. A value; `cli` shows it, always, before the first call.

use std::path::PathBuf;

use super::exit::Exit;
use super::failure::Failure;
use super::next::Next;
use super::stopped_by::StoppedBy;
use super::words::{by_type, rows};
use crate::request::RequestType;

/// What is about to happen to a run.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Plan {
    /// Rows that are pending now, by type.
    pub by_type: Vec<(RequestType, u64)>,
    /// Rows of the run that are settled already.
    pub settled: u64,
    /// The ledger.
    pub ledger: PathBuf,
    /// Whether it was made for this.
    pub ledger_is_new: bool,
    /// Rows whose answer was not seen: they are settled first, and sent again where the server does not have them.
    pub in_doubt: u64,
    /// Whether only a part of the rows was asked for: others stay as they are.
    pub is_part: bool,
    /// Whether no list tells of rows in doubt: the run sends no tags, or the list cannot be read.
    pub is_without_list: bool,
    /// What else is to be known, a line each.
    pub notes: Vec<String>,
}

impl Plan {
    /// Returns how many rows are sent.
    pub fn n_rows(&self) -> u64 {
        self.by_type.iter().map(|(_, n)| n).sum()
    }

    /// Returns the rows that take certificates away, by type.
    pub fn destructive(&self) -> Vec<(RequestType, u64)> {
        self.by_type.iter().copied().filter(|(kind, n)| kind.is_destructive() && *n > 0).collect()
    }

    /// Returns how many rows take certificates away.
    pub fn n_destructive(&self) -> u64 {
        self.destructive().iter().map(|(_, n)| n).sum()
    }

    /// Checks the number that confirms rows which take certificates away. Where there are none, any number will do.
    ///
    /// # Errors
    /// The number is missing, or another one.
    pub fn check_confirmed(&self, given: Option<u64>) -> Result<(), Failure> {
        let wanted = self.n_destructive();
        if wanted == 0 || given == Some(wanted) {
            return Ok(());
        }
        let kinds = by_type(&self.destructive());
        let message = match given {
            None => format!("this takes certificates away ({kinds}) and is not confirmed; nothing was sent"),
            Some(given) => format!(
                "--confirm {given} is not the number of rows that take certificates away: {} would be sent now ({kinds}); \
                 nothing was sent",
                rows(wanted)
            ),
        };
        let failure = Failure::new(Exit::Usage, message).stopping(StoppedBy::NotConfirmed);
        Err(failure.with_next(Next::confirming(wanted).after("check the list")))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_exact_number_confirms() {
        let by_type = vec![(RequestType::Revoke, 4_310), (RequestType::Enroll, 20), (RequestType::Retire, 2)];
        let plan = Plan { by_type, ..Plan::default() };
        assert_eq!((plan.n_rows(), plan.n_destructive()), (4_332, 4_312));
        assert!(plan.check_confirmed(Some(4_312)).is_ok());
        for wrong in [None, Some(0), Some(4_311), Some(4_332)] {
            let failure = plan.check_confirmed(wrong).unwrap_err();
            assert_eq!(failure.exit, Exit::Usage);
            assert!(failure.message.contains("4,310 Revoke, 2 Retire"), "{}", failure.message);
        }
        let harmless = Plan { by_type: vec![(RequestType::Enroll, 20)], ..Plan::default() };
        assert!(harmless.check_confirmed(None).is_ok() && harmless.check_confirmed(Some(7)).is_ok());
    }
}
