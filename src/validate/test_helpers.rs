//! Manifests and rows for tests.

use std::convert::Infallible;
use std::path::MAIN_SEPARATOR;

use super::{CheckedRow, Diagnostic, Rules, Survey, ValidRow, deliver, survey};
use crate::manifest::{Manifest, ReadOptions, Source};
use crate::request::{Guid, RequestType};

/// Opens a manifest of this text. The file is gone when this returns; the manifest keeps it open.
pub(super) fn manifest(name: &str, text: impl AsRef<[u8]>) -> Manifest {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join(name);
    std::fs::write(&path, text).unwrap();
    Manifest::open(Source::File(path), &ReadOptions::default()).unwrap()
}

/// Returns a text without the temporary folders of its manifests.
pub(super) fn without_folders(text: &str) -> String {
    let folder = std::env::temp_dir();
    // That of Windows has a separator at its end.
    let folder = folder.display().to_string();
    let folder = format!("{}{MAIN_SEPARATOR}", folder.trim_end_matches(MAIN_SEPARATOR));
    let mut parts = text.split(&folder);
    let mut shown = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        shown.push_str(part.split_once(MAIN_SEPARATOR).map_or(part, |(_, rest)| rest));
    }
    shown
}

/// Returns the lines of diagnostics, with the bare names of their files.
pub(super) fn lines(diagnostics: &[Diagnostic]) -> Vec<String> {
    diagnostics.iter().map(|diagnostic| without_folders(&diagnostic.to_string())).collect()
}

/// Surveys without progress.
pub(super) fn surveyed(manifests: &[Manifest], rules: &Rules) -> Survey {
    survey(manifests, rules, &|_| {}).unwrap()
}

/// A delivered row, owned, for comparison.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Delivered {
    Valid(ValidRow),
    Skipped(ValidRow, String),
    Invalid { row: u32, part: u32, part_row: u32, line: u64, json: String, diagnostics: Vec<Diagnostic> },
}

impl Delivered {
    pub(super) fn row(&self) -> u32 {
        match self {
            Self::Valid(valid) | Self::Skipped(valid, _) => valid.row.get(),
            Self::Invalid { row, .. } => *row,
        }
    }
}

/// Surveys and delivers.
pub(super) fn checked(manifests: &[Manifest], rules: &Rules) -> (Survey, Vec<Delivered>) {
    let survey = surveyed(manifests, rules);
    let mut rows = Vec::new();
    deliver::<Infallible>(manifests, rules, &survey, |row| {
        rows.push(match row {
            CheckedRow::Valid(valid) => Delivered::Valid(valid),
            CheckedRow::Skipped(valid, reason) => Delivered::Skipped(valid, reason),
            CheckedRow::Invalid(invalid) => Delivered::Invalid {
                row: invalid.row.get(),
                part: invalid.part,
                part_row: invalid.part_row,
                line: invalid.line,
                json: invalid.original_json(),
                diagnostics: invalid.diagnostics,
            },
        });
        Ok(())
    })
    .unwrap();
    (survey, rows)
}

/// Checks that the two passes agree: each row delivered once and in order, and every count the same.
#[track_caller]
pub(super) fn assert_agree(survey: &Survey, rows: &[Delivered]) {
    let numbers: Vec<u64> = rows.iter().map(|row| u64::from(row.row())).collect();
    assert_eq!(numbers, (1..=survey.n_rows).collect::<Vec<_>>());
    let mut by_type: Vec<(RequestType, u64)> = Vec::new();
    let mut diagnostics = survey.header.clone();
    let (mut n_skipped, mut n_invalid) = (0, 0);
    for row in rows {
        match row {
            Delivered::Valid(valid) => match by_type.iter_mut().find(|(kind, _)| *kind == valid.request.kind) {
                Some((_, count)) => *count += 1,
                None => by_type.push((valid.request.kind, 1)),
            },
            Delivered::Skipped(..) => n_skipped += 1,
            Delivered::Invalid { diagnostics: found, .. } => {
                n_invalid += 1;
                diagnostics.extend(found.iter().cloned());
            }
        }
    }
    by_type.sort();
    assert_eq!(by_type, survey.by_type);
    assert_eq!((n_skipped, n_invalid), (survey.n_skipped, survey.n_invalid));
    assert_eq!(survey.n_valid + n_skipped + n_invalid, survey.n_rows);
    assert_eq!(diagnostics.len() as u64, survey.n_diagnostics());
    for (rule, count) in &survey.by_rule {
        assert_eq!(diagnostics.iter().filter(|found| found.rule == *rule).count() as u64, *count, "{rule}");
    }
    // Header findings of later manifests stand between rows, so only the rows' own order is compared.
    let of_rows = |all: &[Diagnostic]| all.iter().filter(|found| found.row.is_some()).cloned().collect::<Vec<_>>();
    let first = of_rows(&survey.first);
    assert_eq!(of_rows(&diagnostics)[..first.len()], first);
}

/// A GUID that differs by number.
pub(super) fn guid(number: u32) -> Guid {
    let mut bytes = [0x4a; 16];
    bytes[..4].copy_from_slice(&number.to_be_bytes());
    Guid::from_bytes(bytes)
}
