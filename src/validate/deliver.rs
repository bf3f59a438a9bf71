//! The second pass: each row of the run, judged, in order.

use std::ops::ControlFlow;

use super::build::build;
use super::checked::{CheckedRow, InvalidRow, ValidRow};
use super::chunk::{self, RowChecker, RowTaker, Seen};
use super::diagnostic::Diagnostic;
use super::duplicates::{Repeat, repeat_of};
use super::finding::Wording;
use super::original::{Kept, Original};
use super::pass::{Part, PassEnd, over_manifest};
use super::rules::{Rules, RulesError};
use super::survey::{Survey, is_error, is_unchanged, row_id};
use crate::manifest::{Chunk, Manifest, ManifestError};

/// The rows could not all be delivered. Whatever `each` did with those before must not stand.
#[derive(Debug, thiserror::Error)]
pub enum DeliverError<E> {
    /// A manifest could not be read.
    #[error(transparent)]
    Manifest(ManifestError),
    /// The rules themselves cannot be followed.
    #[error(transparent)]
    Rules(RulesError),
    /// A manifest is not the one that was surveyed.
    #[error("{name:?} was changed after it was checked; start again when nothing writes it any more")]
    Changed {
        /// Its name.
        name: String,
    },
    /// The taker of the rows refused to go on.
    #[error("a row could not be taken over")]
    Each(#[source] E),
}

impl<E> From<PassEnd<E>> for DeliverError<E> {
    fn from(end: PassEnd<E>) -> Self {
        match end {
            PassEnd::Manifest(error) => Self::Manifest(error),
            PassEnd::Taker(error) => Self::Each(error),
        }
    }
}

/// Reads the manifests again and gives each row of the run to `each`: exactly once, in order, on this thread, while other
/// rows are checked on others.
///
/// The rules must be those of the survey. That the manifests are the same is known only at their ends: on
/// [`DeliverError::Changed`] the rows that were delivered are void.
///
/// # Errors
///
/// [`DeliverError`].
pub fn deliver<E>(
    manifests: &[Manifest],
    rules: &Rules,
    survey: &Survey,
    mut each: impl FnMut(CheckedRow<'_>) -> Result<(), E>,
) -> Result<(), DeliverError<E>> {
    rules.check().map_err(DeliverError::Rules)?;
    let parts: Vec<Part> = (1..)
        .zip(manifests.iter().zip(&survey.parts))
        .map(|(number, (manifest, before))| Part::new(number, manifest, rules, before.first_row))
        .collect();
    if let Some(extra) = manifests.get(survey.parts.len()) {
        return Err(DeliverError::Changed { name: extra.name().to_owned() });
    }
    if let Some(absent) = survey.parts.get(manifests.len()) {
        return Err(DeliverError::Changed { name: absent.name.clone() });
    }
    for ((part, manifest), before) in parts.iter().zip(manifests).zip(&survey.parts) {
        let names = part.layout.as_ref().map(|layout| layout.names.as_slice()).unwrap_or_default();
        let work = |chunk: &Chunk| {
            let mut rows = Rows {
                rules,
                part,
                parts: &parts,
                repeats: &survey.repeats,
                rows: Vec::with_capacity(chunk.n_rows() as usize),
            };
            RowChecker::new(rules, part).for_each(chunk, &mut rows);
            rows.rows
        };
        let take = |rows: Vec<OwnedRow>| {
            for row in rows {
                row.hand_over(names, &mut each)?;
            }
            Ok(ControlFlow::Continue(()))
        };
        if let Some(digest) = over_manifest(manifest, work, take)?
            && !is_unchanged(&digest, before)
        {
            return Err(DeliverError::Changed { name: part.name.clone() });
        }
    }
    Ok(())
}

/// A row on its way from the thread that checked it.
enum OwnedRow {
    Valid(ValidRow),
    Skipped(ValidRow, String),
    Invalid { row: u32, part: u32, part_row: u32, line: u64, kept: Kept, diagnostics: Vec<Diagnostic> },
}

struct Rows<'c> {
    rules: &'c Rules,
    part: &'c Part,
    parts: &'c [Part],
    repeats: &'c [Repeat],
    rows: Vec<OwnedRow>,
}

impl RowTaker for Rows<'_> {
    fn wants(&self, _row: u32) -> Option<Wording> {
        Some(Wording::Full)
    }

    fn take(&mut self, seen: Seen<'_>, mut diagnostics: Vec<Diagnostic>) {
        let number = self.part.run_row(seen.part_row());
        let (raw, layout, judged) = match seen {
            Seen::Good { raw, layout, judged } => (raw, layout, judged),
            Seen::Wrong { .. } | Seen::Bad { .. } => return self.push_invalid(number, &seen, diagnostics),
        };
        let repeat = repeat_of(self.repeats, number);
        if let Some(repeat) = repeat
            && is_error(repeat, self.rules.on_duplicate)
        {
            diagnostics.push(chunk::repeated(self.part, self.parts, layout, raw, &judged, repeat));
            return self.push_invalid(number, &Seen::Wrong { raw }, diagnostics);
        }
        let built = build(self.rules, layout, raw.cells, judged);
        let valid = ValidRow {
            row: row_id(number),
            part: self.part.number,
            part_row: raw.number,
            line: raw.line,
            id: built.id,
            request: built.request,
            notes: built.notes,
            from_row: built.from_row,
            from_run: built.from_run,
        };
        self.rows.push(match repeat {
            Some(repeat) => OwnedRow::Skipped(valid, chunk::skip_reason(self.parts, repeat)),
            None => OwnedRow::Valid(valid),
        });
    }
}

impl Rows<'_> {
    fn push_invalid(&mut self, row: u32, seen: &Seen<'_>, diagnostics: Vec<Diagnostic>) {
        self.rows.push(OwnedRow::Invalid {
            row,
            part: self.part.number,
            part_row: seen.part_row(),
            line: seen.line(),
            kept: seen.kept(),
            diagnostics,
        });
    }
}

impl OwnedRow {
    /// Hands the row out, under the names of its part's header line.
    fn hand_over<E>(self, names: &[String], each: &mut impl FnMut(CheckedRow<'_>) -> Result<(), E>) -> Result<(), E> {
        match self {
            Self::Valid(valid) => each(CheckedRow::Valid(valid)),
            Self::Skipped(valid, reason) => each(CheckedRow::Skipped(valid, reason)),
            Self::Invalid { row, part, part_row, line, kept, diagnostics } => {
                let original = Original { names, kept: &kept };
                each(CheckedRow::Invalid(InvalidRow { row: row_id(row), part, part_row, line, original, diagnostics }))
            }
        }
    }
}
