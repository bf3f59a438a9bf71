//! Reading and checking manifests.

use super::failure::Failure;
use crate::ledger::RowState;
use crate::manifest::{Manifest, ReadOptions, Source};
use crate::report::Counts;
use crate::validate::{self, Progress, Rules, Survey};

/// Manifests that were read once, and what is to be said of them.
pub struct Checked {
    /// The manifests.
    pub manifests: Vec<Manifest>,
    /// What was found.
    pub survey: Survey,
}

impl Checked {
    /// Returns how the rows stand before anything is done with them.
    pub fn counts(&self) -> Counts {
        let Survey { n_valid, n_invalid, n_skipped, .. } = self.survey;
        let mut counts = Counts::default();
        for (state, n) in [(RowState::Pending, n_valid), (RowState::Invalid, n_invalid), (RowState::Skipped, n_skipped)]
        {
            counts.add(state, n);
        }
        counts
    }
}

/// Reads and checks manifests; `at` is told how far that is.
///
/// # Errors
/// One of them cannot be read. That rows are invalid is no error: the survey says so.
pub fn check(
    sources: &[Source],
    reading: &ReadOptions,
    rules: &Rules,
    at: &(dyn Fn(Progress) + Sync),
) -> Result<Checked, Failure> {
    let open = |source: &Source| Manifest::open(source.clone(), reading);
    let manifests = sources.iter().map(open).collect::<Result<Vec<_>, _>>()?;
    let survey = validate::survey(&manifests, rules, at)?;
    Ok(Checked { manifests, survey })
}
