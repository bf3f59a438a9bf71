//! The first pass: what is in the manifests, and what is wrong with them.

mod takers;

use std::ops::ControlFlow;
use std::sync::atomic::{AtomicUsize, Ordering};

use self::takers::{ChunkFound, ChunkSurvey, Shown, Suspects};
use super::chunk::RowChecker;
use super::diagnostic::Diagnostic;
use super::duplicates::{self, Entry, Repeat, Same, Suspect};
use super::key_hash::KeyHasher;
use super::pass::{Part, PassEnd, over_manifest};
use super::rule::{Rule, RuleCounts};
use super::rules::{OnDuplicate, Rules, RulesError};
use crate::manifest::{Chunk, Digest, Manifest, ManifestError};
use crate::request::{RequestType, RowId};

/// How many diagnostics a survey keeps; all others are counted.
pub(super) const KEPT_DIAGNOSTICS: usize = 20;

/// From how many rows on duplicate requests and duplicate ids are looked for one after the other.
const MANY_ROWS: u64 = 1_000_000;

/// How many diagnostics about one header line a survey keeps; a line that has more is no header line.
const KEPT_HEADER: usize = 100;

/// What was read of one manifest.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PartDigest {
    /// The manifest's name, as the user gave it.
    pub name: String,
    /// The SHA-256 of its bytes, as stored (compressed where it is).
    pub sha256: [u8; 32],
    /// How many bytes these are.
    pub size_bytes: u64,
    /// The number of its first row in the run, from 1.
    pub first_row: u32,
    /// How many rows it has, invalid ones included.
    pub n_rows: u32,
}

/// What a survey found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Survey {
    /// The manifests, in their order.
    pub parts: Vec<PartDigest>,
    /// How many rows they have; each is valid, invalid or skipped.
    pub n_rows: u64,
    /// How many rows are to be sent.
    pub n_valid: u64,
    /// How many rows break a rule, or stand under a header line that does.
    pub n_invalid: u64,
    /// How many rows are left out because an earlier one asks for the same ([`OnDuplicate::First`]).
    pub n_skipped: u64,
    /// How many rows of each type are to be sent, in the order of the published table; types without rows are left out.
    pub by_type: Vec<(RequestType, u64)>,
    /// How often each rule was broken, most often first.
    pub by_rule: Vec<(Rule, u64)>,
    /// The first 20 diagnostics, in manifest order.
    pub first: Vec<Diagnostic>,
    /// What is wrong with header lines, and with manifests as a whole; at most 100 of each.
    pub header: Vec<Diagnostic>,
    /// Whether there is any such thing. It makes the whole run invalid: nothing may be sent, whatever becomes of
    /// invalid rows.
    pub header_invalid: bool,
    /// The rows that repeat an earlier one, in their order.
    pub(super) repeats: Vec<Repeat>,
}

impl Survey {
    /// Returns whether nothing at all was found.
    pub fn is_valid(&self) -> bool {
        self.n_invalid == 0 && !self.header_invalid
    }

    /// Returns how many diagnostics there are, over all rules.
    pub fn n_diagnostics(&self) -> u64 {
        self.by_rule.iter().map(|(_, count)| count).sum()
    }
}

/// How far a survey or a delivery is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Progress {
    /// What is being done.
    pub phase: Phase,
    /// The manifest that is read, from 1.
    pub part: u32,
    /// How many rows of the run were read in this phase.
    pub n_rows: u64,
    /// How many of them break a rule, repeated rows left out.
    pub n_invalid: u64,
}

/// What a survey does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Phase {
    /// Each row is checked by itself.
    Checking,
    /// Rows that may be equal are compared.
    Comparing,
}

/// The manifests could not be surveyed.
#[derive(Debug, thiserror::Error)]
pub enum ValidateError {
    /// A manifest could not be read.
    #[error(transparent)]
    Manifest(#[from] ManifestError),
    /// The rules themselves cannot be followed.
    #[error(transparent)]
    Rules(#[from] RulesError),
    /// A manifest changed between two passes.
    #[error("{name:?} was changed while it was read; start again when nothing writes it any more")]
    Changed {
        /// Its name.
        name: String,
    },
    /// More rows than row numbers.
    #[error("the manifests have more than 4,294,967,295 rows together; split them into several runs")]
    TooManyRows,
}

impl From<PassEnd<Self>> for ValidateError {
    fn from(end: PassEnd<Self>) -> Self {
        match end {
            PassEnd::Manifest(error) => Self::Manifest(error),
            PassEnd::Taker(error) => error,
        }
    }
}

/// Reads all manifests once (again as far as rows may be equal), checks every row by every rule, and counts.
///
/// The result does not depend on the number of threads. `progress` is called after each chunk, on this thread.
///
/// ```
/// use cmbatch::manifest::{Manifest, ReadOptions, Source};
/// use cmbatch::validate::{CheckedRow, Rules, deliver, survey};
///
/// let folder = tempfile::tempdir()?;
/// let path = folder.path().join("wave.csv");
/// std::fs::write(&path, "type,smartcard\nUnblock,17cf063d-e337-4aa9-a822-346554ddd3c9\nRenewal,17cf063d\n")?;
/// let manifests = [Manifest::open(Source::File(path), &ReadOptions::default())?];
/// let rules = Rules::default();
///
/// let found = survey(&manifests, &rules, &|_| {})?;
/// assert_eq!((found.n_rows, found.n_valid, found.n_invalid), (2, 1, 1));
/// assert!(found.first[0].to_string().contains(":3:1: error[unknown-type]: type \"Renewal\" is not a request type"));
///
/// let mut to_send = Vec::new();
/// deliver::<std::io::Error>(&manifests, &rules, &found, |row| {
///     if let CheckedRow::Valid(valid) = row {
///         to_send.push(valid.request);
///     }
///     Ok(())
/// })?;
/// assert_eq!(to_send.len(), 1);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// # Errors
///
/// [`ValidateError`]; what is wrong with rows is no error but the survey's result.
pub fn survey(
    manifests: &[Manifest],
    rules: &Rules,
    progress: &(dyn Fn(Progress) + Sync),
) -> Result<Survey, ValidateError> {
    rules.check()?;
    let mut surveyor = Surveyor::new(rules, progress);
    let mut parts = Vec::with_capacity(manifests.len());
    for (number, manifest) in (1..).zip(manifests) {
        let part = Part::new(number, manifest, rules, surveyor.next_row()?);
        surveyor.read_part(&part, manifest)?;
        parts.push(part);
    }
    surveyor.compare(manifests, &parts)?;
    Ok(surveyor.into_survey())
}

/// Where a diagnostic stands among those of a run: by row; what concerns a whole manifest before its first row.
type Order = (u32, bool);

struct Surveyor<'c> {
    rules: &'c Rules,
    progress: &'c (dyn Fn(Progress) + Sync),
    hasher: KeyHasher,
    parts: Vec<PartDigest>,
    n_rows: u64,
    n_good: u64,
    n_skipped: u64,
    by_type: TypeCounts,
    counts: RuleCounts,
    first: Vec<(Order, Diagnostic)>,
    header: Vec<Diagnostic>,
    /// Chunk by chunk: one list for all would be copied as it grows.
    requests: Vec<Vec<Entry>>,
    ids: Vec<Vec<Entry>>,
    repeats: Vec<Repeat>,
}

/// How many rows each type has.
type TypeCounts = [u64; RequestType::ALL.len()];

impl<'c> Surveyor<'c> {
    fn new(rules: &'c Rules, progress: &'c (dyn Fn(Progress) + Sync)) -> Self {
        Self {
            rules,
            progress,
            hasher: KeyHasher::new(),
            parts: Vec::new(),
            n_rows: 0,
            n_good: 0,
            n_skipped: 0,
            by_type: TypeCounts::default(),
            counts: RuleCounts::default(),
            first: Vec::new(),
            header: Vec::new(),
            requests: Vec::new(),
            ids: Vec::new(),
            repeats: Vec::new(),
        }
    }

    fn next_row(&self) -> Result<u32, ValidateError> {
        u32::try_from(self.n_rows + 1).map_err(|_| ValidateError::TooManyRows)
    }

    fn read_part(&mut self, part: &Part, manifest: &Manifest) -> Result<(), ValidateError> {
        self.judge_header(part, manifest);
        let (rules, hasher) = (self.rules, self.hasher);
        // Workers word no more findings than there is room for. A late look at the number only words too many.
        let n_kept = AtomicUsize::new(self.first.len());
        let work = |chunk: &Chunk| {
            let room = KEPT_DIAGNOSTICS.saturating_sub(n_kept.load(Ordering::Relaxed));
            let mut found = ChunkSurvey::new(rules, part, &hasher, chunk.n_rows(), room);
            let mut checker = RowChecker::new(rules, part);
            checker.for_each(chunk, &mut found);
            found.done(checker.counts().clone())
        };
        let take = |found: ChunkFound| {
            self.take(part, found)?;
            n_kept.store(self.first.len(), Ordering::Relaxed);
            Ok(ControlFlow::Continue(()))
        };
        if let Some(digest) = over_manifest::<_, ValidateError>(manifest, work, take)? {
            self.end_part(part, manifest, digest);
        }
        Ok(())
    }

    fn judge_header(&mut self, part: &Part, manifest: &Manifest) {
        let (Some(layout), Some(header)) = (&part.layout, manifest.header()) else { return };
        for finding in layout.findings.iter().skip(KEPT_HEADER) {
            self.counts.add(finding.rule);
        }
        for finding in layout.findings.iter().take(KEPT_HEADER) {
            self.take_header(
                part,
                Diagnostic {
                    file: part.name.clone(),
                    line: header.line(),
                    column: finding.column.map_or(1, |column| header.column_of(column)),
                    field: finding.column.map(|column| layout.names[column].clone()),
                    rule: finding.rule,
                    message: finding.advice.what.clone(),
                    help: finding.advice.help.clone(),
                    row: None,
                    id: None,
                },
            );
        }
    }

    fn take_header(&mut self, part: &Part, diagnostic: Diagnostic) {
        self.counts.add(diagnostic.rule);
        self.first.push(((part.first_row, false), diagnostic.clone()));
        self.first.truncate(KEPT_DIAGNOSTICS);
        self.header.push(diagnostic);
    }

    fn take(&mut self, part: &Part, found: ChunkFound) -> Result<(), ValidateError> {
        self.n_rows += u64::from(found.n_rows);
        self.next_row()?;
        self.n_good += u64::from(found.n_good);
        for (total, count) in self.by_type.iter_mut().zip(found.by_type) {
            *total += count;
        }
        self.counts.merge(&found.counts);
        let room = KEPT_DIAGNOSTICS - self.first.len();
        self.first.extend(found.first.into_iter().take(room));
        self.requests.push(found.requests);
        self.ids.push(found.ids);
        (self.progress)(Progress {
            phase: Phase::Checking,
            part: part.number,
            n_rows: self.n_rows,
            n_invalid: self.n_rows - self.n_good,
        });
        Ok(())
    }

    fn end_part(&mut self, part: &Part, manifest: &Manifest, digest: Digest) {
        if digest.n_rows == 0 && !self.rules.allow_empty {
            self.take_header(
                part,
                Diagnostic {
                    file: part.name.clone(),
                    line: manifest.header().map_or(1, |header| header.line()),
                    column: 1,
                    field: None,
                    rule: Rule::NoRows,
                    message: "the manifest has no rows".to_owned(),
                    help: "export the list again, or give --allow-empty where that is normal".to_owned(),
                    row: None,
                    id: None,
                },
            );
        }
        self.parts.push(PartDigest {
            name: part.name.clone(),
            sha256: digest.sha256,
            size_bytes: digest.size_bytes,
            first_row: part.first_row,
            n_rows: digest.n_rows,
        });
    }

    /// Finds rows that repeat an earlier one. Most runs have no two equal hashes and read nothing again.
    fn compare(&mut self, manifests: &[Manifest], parts: &[Part]) -> Result<(), ValidateError> {
        let (requests, ids) = (std::mem::take(&mut self.requests), std::mem::take(&mut self.ids));
        // Beyond a million rows memory counts more than some milliseconds: each needs its own tables of bits.
        let is_long = self.n_good > MANY_ROWS;
        let suspects = duplicates::suspects;
        let (requests, ids) = if is_long {
            (suspects(requests), suspects(ids))
        } else {
            rayon::join(|| suspects(requests), || suspects(ids))
        };
        let (n_requests, n_ids) = (requests.n_rows(), ids.n_rows());
        if n_requests + n_ids == 0 {
            return Ok(());
        }
        // With their final size at once: where every row has its repeat, growing would take half as much memory again.
        let (mut same_request, mut same_id) = (Vec::with_capacity(n_requests), Vec::with_capacity(n_ids));
        let rules = self.rules;
        let mut n_rows = 0;
        for ((part, manifest), before) in parts.iter().zip(manifests).zip(&self.parts) {
            let work = |chunk: &Chunk| {
                let mut found =
                    Suspects { part, requests: &requests, ids: &ids, same_request: Vec::new(), same_id: Vec::new() };
                RowChecker::new(rules, part).for_each(chunk, &mut found);
                (chunk.n_rows(), found.same_request, found.same_id)
            };
            let take = |(n_chunk, more_requests, more_ids)| {
                same_request.extend::<Vec<Suspect>>(more_requests);
                same_id.extend::<Vec<Suspect>>(more_ids);
                n_rows += u64::from(n_chunk);
                let n_invalid = self.n_rows - self.n_good;
                (self.progress)(Progress { phase: Phase::Comparing, part: part.number, n_rows, n_invalid });
                Ok(ControlFlow::Continue(()))
            };
            if let Some(digest) = over_manifest::<_, ValidateError>(manifest, work, take)?
                && !is_unchanged(&digest, before)
            {
                return Err(ValidateError::Changed { name: part.name.clone() });
            }
        }
        self.repeats = duplicates::repeats(same_request, same_id);
        self.count_repeats();
        self.show_first_repeats(manifests, parts)
    }

    fn count_repeats(&mut self) {
        for repeat in &self.repeats {
            self.n_good -= 1;
            self.by_type[repeat.kind as usize] -= 1;
            match (repeat.same, self.rules.on_duplicate) {
                (Same::Request, OnDuplicate::First) => self.n_skipped += 1,
                (Same::Request, OnDuplicate::Error | OnDuplicate::Send) => self.counts.add(Rule::DuplicateRow),
                (Same::Id, _) => self.counts.add(Rule::DuplicateId),
            }
        }
    }

    /// Words the first repeats and puts them where they belong among the first diagnostics.
    fn show_first_repeats(&mut self, manifests: &[Manifest], parts: &[Part]) -> Result<(), ValidateError> {
        let rules = self.rules;
        let shown: Vec<Repeat> = self
            .repeats
            .iter()
            .filter(|repeat| is_error(repeat, rules.on_duplicate))
            .take(KEPT_DIAGNOSTICS)
            .copied()
            .collect();
        for (part, manifest) in parts.iter().zip(manifests) {
            let end = parts.get(part.number as usize).map_or(u32::MAX, |next| next.first_row);
            let Some(last) = shown.iter().map(|repeat| repeat.row).rfind(|row| (part.first_row..end).contains(row))
            else {
                continue;
            };
            let work = |chunk: &Chunk| {
                let mut found = Shown { part, parts, shown: &shown, found: Vec::new() };
                RowChecker::new(rules, part).for_each(chunk, &mut found);
                (part.run_row(chunk.first_row().saturating_add(chunk.n_rows())), found.found)
            };
            let take = |(next_row, found): (u32, Vec<(Order, Diagnostic)>)| {
                self.first.extend(found);
                Ok(if next_row > last { ControlFlow::Break(()) } else { ControlFlow::Continue(()) })
            };
            over_manifest::<_, ValidateError>(manifest, work, take)?;
        }
        self.first.sort_by_key(|(order, _)| *order);
        self.first.truncate(KEPT_DIAGNOSTICS);
        Ok(())
    }

    fn into_survey(self) -> Survey {
        let by_type = RequestType::ALL.into_iter().zip(self.by_type).filter(|(_, count)| *count > 0).collect();
        Survey {
            parts: self.parts,
            n_rows: self.n_rows,
            n_valid: self.n_good,
            n_invalid: self.n_rows - self.n_good - self.n_skipped,
            n_skipped: self.n_skipped,
            by_type,
            by_rule: self.counts.broken(),
            first: self.first.into_iter().map(|(_, diagnostic)| diagnostic).collect(),
            header_invalid: !self.header.is_empty(),
            header: self.header,
            repeats: self.repeats,
        }
    }
}

/// Returns whether a repeated row is an error, not a skipped row.
pub(super) const fn is_error(repeat: &Repeat, on_duplicate: OnDuplicate) -> bool {
    !matches!((repeat.same, on_duplicate), (Same::Request, OnDuplicate::First))
}

/// Returns whether a manifest is the one that was surveyed.
pub(super) fn is_unchanged(digest: &Digest, before: &PartDigest) -> bool {
    (digest.sha256, digest.size_bytes, digest.n_rows) == (before.sha256, before.size_bytes, before.n_rows)
}

/// Returns the row of this number. Numbers of rows start at 1 and were counted by the survey.
pub(super) fn row_id(number: u32) -> RowId {
    RowId::new(number).expect("rows count from 1")
}
