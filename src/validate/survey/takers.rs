//! What the passes of a survey take from each chunk.

use super::{Order, TypeCounts};
use crate::validate::chunk::{self, RowTaker, Seen};
use crate::validate::diagnostic::Diagnostic;
use crate::validate::duplicates::{self, Entry, Repeat, RowSet, Suspect, ValueDigest};
use crate::validate::finding::Wording;
use crate::validate::key_hash::KeyHasher;
use crate::validate::pass::Part;
use crate::validate::rule::RuleCounts;
use crate::validate::rules::{OnDuplicate, Rules};

/// What the first pass takes from a chunk.
pub(super) struct ChunkSurvey<'c> {
    rules: &'c Rules,
    part: &'c Part,
    hasher: &'c KeyHasher,
    n_rows: u32,
    room: usize,
    found: ChunkFound,
}

/// What it gives: counts, the first diagnostics, and what finds rows that may be equal.
#[derive(Default)]
pub(super) struct ChunkFound {
    pub(super) n_rows: u32,
    pub(super) n_good: u32,
    pub(super) by_type: TypeCounts,
    pub(super) counts: RuleCounts,
    pub(super) first: Vec<(Order, Diagnostic)>,
    pub(super) requests: Vec<Entry>,
    pub(super) ids: Vec<Entry>,
}

impl<'c> ChunkSurvey<'c> {
    /// Prepares for a chunk of so many rows; `room` is how many diagnostics are still wanted.
    pub(super) fn new(rules: &'c Rules, part: &'c Part, hasher: &'c KeyHasher, n_rows: u32, room: usize) -> Self {
        Self { rules, part, hasher, n_rows, room, found: ChunkFound::default() }
    }

    /// Returns what was found; the checker has counted the rules.
    pub(super) fn done(self, counts: RuleCounts) -> ChunkFound {
        ChunkFound { counts, ..self.found }
    }
}

impl RowTaker for ChunkSurvey<'_> {
    fn wants(&self, _row: u32) -> Option<Wording> {
        let has_room = self.found.first.len() < self.room;
        Some(if has_room { Wording::Full } else { Wording::CountOnly })
    }

    fn take(&mut self, seen: Seen<'_>, diagnostics: Vec<Diagnostic>) {
        let row = self.part.run_row(seen.part_row());
        let found = &mut self.found;
        found.n_rows += 1;
        let room = self.room.saturating_sub(found.first.len());
        found.first.extend(diagnostics.into_iter().take(room).map(|diagnostic| ((row, true), diagnostic)));
        let Seen::Good { raw, layout, judged } = &seen else { return };
        found.n_good += 1;
        found.by_type[judged.kind as usize] += 1;
        // What is kept to the end of the run is asked for in its size, once.
        if self.rules.on_duplicate != OnDuplicate::Send {
            if found.requests.is_empty() {
                found.requests.reserve_exact(self.n_rows as usize);
            }
            found.requests.push(Entry::new(self.hasher.row(judged, layout, raw.cells), row));
        }
        if let Some(id) = judged.id {
            if found.ids.is_empty() {
                found.ids.reserve_exact(self.n_rows as usize);
            }
            found.ids.push(Entry::new(self.hasher.id(id), row));
        }
    }
}

/// What the comparing pass takes from a chunk: the values of rows whose hash another row has.
pub(super) struct Suspects<'c> {
    pub(super) part: &'c Part,
    pub(super) requests: &'c RowSet,
    pub(super) ids: &'c RowSet,
    pub(super) same_request: Vec<Suspect>,
    pub(super) same_id: Vec<Suspect>,
}

impl RowTaker for Suspects<'_> {
    fn wants(&self, row: u32) -> Option<Wording> {
        (self.requests.contains(row) || self.ids.contains(row)).then_some(Wording::CountOnly)
    }

    fn take(&mut self, seen: Seen<'_>, _diagnostics: Vec<Diagnostic>) {
        let Seen::Good { raw, layout, judged } = &seen else { return };
        let row = self.part.run_row(raw.number);
        let line = u32::try_from(raw.line).unwrap_or(u32::MAX);
        let suspect = |digest| Suspect { digest, row, line, kind: judged.kind };
        if self.requests.contains(row) {
            self.same_request.push(suspect(ValueDigest::of_row(judged, layout, raw.cells)));
        }
        if let Some(id) = judged.id
            && self.ids.contains(row)
        {
            self.same_id.push(suspect(ValueDigest::of_id(id)));
        }
    }
}

/// What the last look takes from a chunk: the diagnostics of the first repeats.
pub(super) struct Shown<'c> {
    pub(super) part: &'c Part,
    pub(super) parts: &'c [Part],
    pub(super) shown: &'c [Repeat],
    pub(super) found: Vec<(Order, Diagnostic)>,
}

impl RowTaker for Shown<'_> {
    fn wants(&self, row: u32) -> Option<Wording> {
        duplicates::repeat_of(self.shown, row).map(|_| Wording::CountOnly)
    }

    fn take(&mut self, seen: Seen<'_>, _diagnostics: Vec<Diagnostic>) {
        let Seen::Good { raw, layout, judged } = &seen else { return };
        let row = self.part.run_row(raw.number);
        let Some(repeat) = duplicates::repeat_of(self.shown, row) else { return };
        let diagnostic = chunk::repeated(self.part, self.parts, layout, raw, judged, repeat);
        self.found.push(((row, true), diagnostic));
    }
}
