//! Reading and checking manifests.

use super::failure::Failure;
use crate::manifest::{Manifest, ReadOptions, Source};
use crate::validate::{self, Progress, Rules, Survey};

/// Manifests that were read once, and what is to be said of them.
pub struct Checked {
    /// The manifests.
    pub manifests: Vec<Manifest>,
    /// What was found.
    pub survey: Survey,
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
