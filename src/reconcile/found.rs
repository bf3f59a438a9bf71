//! What the tags in the server's list say of the rows.

use jiff::Timestamp;

use crate::client::RequestObject;
use crate::ledger::{CreatedMarks, LedgerError, RowFacts, RowState};
use crate::request::{RequestUuid, RowId, Tag};

use super::ask::{Identity, Tagging};
use super::book::Book;
use super::matching::{Disagreement, disagreements};
use super::proof::Expected;
use super::report::{Ambiguous, Doubles, Strays};
use super::scan::Seen;
use super::tagless::Tagless;

/// In which state a row was before it was found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Before {
    InDoubt,
    /// The ledger is older than the server, or an earlier verdict was wrong.
    Pending,
    /// As with pending.
    Failed,
}

/// What a request that carries a row's tag says of the row.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Reading {
    /// What the ledger knows.
    Known,
    /// The row was created, and this is another request of it.
    Further(RequestUuid),
    /// The row was created.
    Exists(Before),
    /// The request is not what the row asked for.
    Contradicts(Vec<Disagreement>),
    /// A call is open, whose answer will tell.
    Open,
    /// The row cannot have been sent, by what the ledger knows.
    Stray(Option<RowState>),
}

fn read(facts: Option<&RowFacts>, object: &RequestObject) -> Reading {
    let Some(facts) = facts else { return Reading::Stray(None) };
    let before = match facts.state {
        RowState::Created | RowState::Canceled => {
            return match facts.uuid {
                Some(known) if known != object.uuid => Reading::Further(known),
                Some(_) | None => Reading::Known,
            };
        }
        RowState::Sending => return Reading::Open,
        RowState::Skipped | RowState::Invalid | RowState::Replaced => return Reading::Stray(Some(facts.state)),
        RowState::InDoubt => Before::InDoubt,
        RowState::Pending => Before::Pending,
        RowState::Failed => Before::Failed,
    };
    let Some(request) = &facts.request else { return Reading::Stray(Some(facts.state)) };
    let differs = disagreements(request, None, object);
    if differs.is_empty() { Reading::Exists(before) } else { Reading::Contradicts(differs) }
}

/// A row that was found: 32 bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Exists {
    pub(super) row: RowId,
    pub(super) uuid: RequestUuid,
    /// When the server says that it was submitted, in milliseconds since 1970; the greatest number where it does not say.
    submitted_ms: i64,
    pub(super) before: Before,
}

impl Exists {
    pub(super) fn new(row: RowId, uuid: RequestUuid, submitted: Option<Timestamp>, before: Before) -> Self {
        let submitted_ms = submitted.map_or(i64::MAX, Timestamp::as_millisecond);
        Self { row, uuid, submitted_ms, before }
    }
}

/// A row whose tag stands on a request that is not the row's.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Contradiction {
    pub(super) row: RowId,
    uuid: RequestUuid,
    /// What differs, in words.
    pub(super) reason: Box<str>,
}

/// Reads a list for the tags of a run. What it keeps grows with the rows that are not known as created, and not with the list.
#[derive(Debug)]
pub(super) struct TagScan<'a> {
    who: &'a Identity,
    expected: Expected,
    exists: Vec<Exists>,
    contradictions: Vec<Contradiction>,
    doubles: Doubles,
    strays: Strays,
    tagless: Tagless,
    /// How often the ledger was asked for a row.
    n_asked: u32,
    /// The rows that are known as created, once a list has many of them.
    marks: Option<CreatedMarks>,
}

/// How many rows are looked up one by one before the marks of all created ones are read, 4 bytes each.
const ASKED_ONE_BY_ONE: u32 = if cfg!(test) { 2 } else { 1_000 };

impl<'a> TagScan<'a> {
    pub(super) fn new(who: &'a Identity, expected: Expected, tagless: Tagless) -> Self {
        debug_assert_eq!(who.tagging, Tagging::Tagged);
        Self {
            who,
            expected,
            exists: Vec::new(),
            contradictions: Vec::new(),
            doubles: Doubles::default(),
            strays: Strays::default(),
            tagless,
            n_asked: 0,
            marks: None,
        }
    }

    /// Takes note of a request in the list.
    pub(super) fn take(&mut self, book: &impl Book, object: &RequestObject) -> Result<(), LedgerError> {
        let tagged = self.who.row_of(&object.comment);
        self.expected.see(object, tagged);
        let Some(row) = tagged else {
            // A whole tag is another run's, or forged. Without one the request may be anybody's.
            if Tag::find(&object.comment).is_none() {
                self.tagless.take(object);
            }
            return Ok(());
        };
        if self.is_marked(book, row, object.uuid)? {
            return Ok(());
        }
        match read(book.facts(row)?.as_ref(), object) {
            Reading::Known | Reading::Open => {}
            Reading::Further(known) => self.doubles.add(row, &[known, object.uuid]),
            Reading::Stray(state) => self.strays.add(row, object.uuid, state),
            Reading::Exists(before) => {
                self.exists.push(Exists::new(row, object.uuid, object.submitted, before));
            }
            Reading::Contradicts(differs) => {
                let reason = reason(object.uuid, &differs).into();
                self.contradictions.push(Contradiction { row, uuid: object.uuid, reason });
            }
        }
        Ok(())
    }

    /// Returns whether the row is known as created by this request, as far as that can be told without a look at the row.
    fn is_marked(&mut self, book: &impl Book, row: RowId, uuid: RequestUuid) -> Result<bool, LedgerError> {
        self.n_asked += 1;
        let marks = match &mut self.marks {
            Some(marks) => marks,
            none if self.n_asked > ASKED_ONE_BY_ONE => none.insert(book.created_marks()?),
            None => return Ok(false),
        };
        Ok(marks.has(row, uuid))
    }

    /// Sums up a list that ended well. Where a row was found twice, the request that was submitted first is taken for the
    /// row's, because the later one is the one too many.
    pub(super) fn finish(mut self) -> Seen {
        self.exists.sort_unstable_by_key(|found| (found.row, found.submitted_ms, *found.uuid.guid()));
        self.contradictions.sort_by_key(|found| (found.row, *found.uuid.guid()));
        for same in self.exists.chunk_by(|a, b| a.row == b.row) {
            self.doubles.add_if_several(same[0].row, same.iter().map(|found| found.uuid));
        }
        for same in self.contradictions.chunk_by(|a, b| a.row == b.row) {
            let row = same[0].row;
            let known = self.exists.binary_search_by_key(&row, |found| found.row).ok();
            let known = known.map(|at| self.exists[at].uuid);
            self.doubles.add_if_several(row, known.into_iter().chain(same.iter().map(|found| found.uuid)));
        }
        self.exists.dedup_by_key(|found| found.row);
        self.contradictions.dedup_by_key(|found| found.row);
        self.contradictions.retain(|found| self.exists.binary_search_by_key(&found.row, |found| found.row).is_err());
        Seen {
            completeness: self.expected.completeness(),
            exists: self.exists,
            contradictions: self.contradictions,
            unclear: Vec::new(),
            ambiguous: Ambiguous::default(),
            doubles: self.doubles,
            strays: self.strays,
            tagless: self.tagless.ready(),
        }
    }

    /// Returns how many bytes are kept, those of the requests aside that the list must hold.
    #[cfg(test)]
    pub(super) fn kept_bytes(&self) -> usize {
        let reasons: usize = self.contradictions.iter().map(|found| found.reason.len()).sum();
        self.exists.capacity() * size_of::<Exists>()
            + self.contradictions.capacity() * size_of::<Contradiction>()
            + reasons
    }
}

fn reason(uuid: RequestUuid, differs: &[Disagreement]) -> String {
    let differs: Vec<String> = differs.iter().map(ToString::to_string).collect();
    format!("request {uuid} carries the row's tag and is not the row's: {}", differs.join("; "))
}

#[cfg(test)]
mod tests;
