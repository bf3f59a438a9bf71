//! Findings of one row, before they have a place: counted always, worded only where someone will read them.

use super::rule::{Rule, RuleCounts};

/// What is wrong and what to write instead.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Advice {
    pub(super) what: String,
    pub(super) help: String,
}

impl Advice {
    pub(super) fn new(what: impl Into<String>, help: impl Into<String>) -> Self {
        Self { what: what.into(), help: help.into() }
    }
}

/// One finding.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Finding {
    pub(super) rule: Rule,
    /// The number of the field in its row, from 0; none where the whole row is meant.
    pub(super) field: Option<usize>,
    pub(super) advice: Advice,
}

/// Where a row's findings go.
///
/// A million bad rows must not become a million texts: the closure that words a finding runs only when the texts of this
/// row are wanted.
#[derive(Debug, Default)]
pub(super) struct Findings {
    counts: RuleCounts,
    n_row: u32,
    worded: Wording,
    row: Vec<Finding>,
}

/// Whether the findings of the current row are worded.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Wording {
    /// Counted and worded.
    #[default]
    Full,
    /// Only counted.
    CountOnly,
}

impl Findings {
    /// Starts the next row.
    pub(super) fn start_row(&mut self, worded: Wording) {
        self.n_row = 0;
        self.worded = worded;
        self.row.clear();
    }

    /// Takes a finding.
    pub(super) fn report(&mut self, rule: Rule, field: Option<usize>, advice: impl FnOnce() -> Advice) {
        self.counts.add(rule);
        self.n_row += 1;
        if self.worded == Wording::Full {
            self.row.push(Finding { rule, field, advice: advice() });
        }
    }

    /// Returns how many findings the current row has.
    pub(super) const fn n_in_row(&self) -> u32 {
        self.n_row
    }

    /// Takes the worded findings of the current row: by field, those about the whole row last.
    pub(super) fn take_row(&mut self) -> Vec<Finding> {
        self.row.sort_by_key(|finding| finding.field.unwrap_or(usize::MAX));
        std::mem::take(&mut self.row)
    }

    /// Returns how often each rule was broken, over all rows.
    pub(super) const fn counts(&self) -> &RuleCounts {
        &self.counts
    }
}
