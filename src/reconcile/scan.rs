//! Reading a list for the rows of a run, by tags or by properties.

use jiff::Timestamp;

use crate::client::RequestObject;
use crate::ledger::{DoubtfulRow, LedgerError};
use crate::request::RowId;

use super::absence::Doubt;
use super::ask::{Identity, Tagging};
use super::book::Book;
use super::found::{Before, Contradiction, Exists, TagScan};
use super::proof::{Completeness, Expected, N_NEWEST};
use super::report::{Ambiguous, Doubles, Strays};
use super::tagless::Tagless;
use super::untagged::PropertyScan;

/// How many rows in doubt are read at once.
const PAGE: u32 = 1000;

/// What is read of a list, by the way in which the run's requests are known.
#[derive(Debug)]
pub(super) enum Scan<'a> {
    Tags(TagScan<'a>),
    Properties(PropertyScan),
}

/// What a list that ended well says.
#[derive(Debug)]
pub(super) struct Seen {
    pub(super) completeness: Completeness,
    /// By row, one of each: the request that is the row's.
    pub(super) exists: Vec<Exists>,
    /// By row, one of each; of rows that are not in `exists`.
    pub(super) contradictions: Vec<Contradiction>,
    /// By row: rows of which it is not clear which request is theirs.
    pub(super) unclear: Vec<RowId>,
    /// The same, for people.
    pub(super) ambiguous: Ambiguous,
    pub(super) doubles: Doubles,
    pub(super) strays: Strays,
    /// Requests that may have lost a row's tag.
    pub(super) tagless: Tagless,
}

impl<'a> Scan<'a> {
    /// Reads from the ledger what is expected of a list that is yet to be asked for, and the rows in doubt, by row. What comes
    /// to be known later proves nothing of that list, and is not settled by it.
    pub(super) async fn prepare(book: &impl Book, who: &'a Identity) -> Result<(Self, Vec<Doubt>), LedgerError> {
        let expected = Expected::new(book.newest_created(N_NEWEST)?, who.tagging);
        match who.tagging {
            Tagging::Tagged => {
                let mut earliest: Option<Timestamp> = None;
                let doubts = read_doubts(book, |doubt| {
                    let sent = doubt.sent_at();
                    earliest = Some(earliest.map_or(sent, |known| known.min(sent)));
                })
                .await?;
                Ok((Self::Tags(TagScan::new(who, expected, Tagless::since(earliest))), doubts))
            }
            Tagging::Untagged => {
                let mut scan = PropertyScan::new(expected);
                let doubts = read_doubts(book, |doubt| scan.add(doubt)).await?;
                if !doubts.is_empty() {
                    read_created(book, &mut scan).await?;
                }
                Ok((Self::Properties(scan.ready()), doubts))
            }
        }
    }

    /// Takes note of a request in the list.
    pub(super) fn take(&mut self, book: &impl Book, object: &RequestObject) -> Result<(), LedgerError> {
        match self {
            Self::Tags(scan) => scan.take(book, object),
            Self::Properties(scan) => {
                scan.take(object);
                Ok(())
            }
        }
    }

    /// Sums up a list that ended well.
    pub(super) fn finish(self) -> Seen {
        match self {
            Self::Tags(scan) => scan.finish(),
            Self::Properties(scan) => scan.finish(),
        }
    }
}

impl Seen {
    /// Takes the rows out of those that may be absent of which a request may have lost the tag.
    pub(super) async fn look_for_lost_tags(&mut self, book: &impl Book) -> Result<(), LedgerError> {
        let mut after = 0;
        while !self.tagless.is_empty() {
            let page = book.in_doubt(after, PAGE)?;
            let Some(last) = page.last() else { break };
            after = last.row.get();
            for doubt in page.iter().filter(|doubt| !self.speaks_of(doubt.row)).collect::<Vec<_>>() {
                if let Some(candidates) = self.tagless.of(doubt) {
                    self.unclear.push(doubt.row);
                    self.ambiguous.add(doubt.row, candidates.into_iter());
                }
            }
            tokio::task::yield_now().await;
        }
        Ok(())
    }

    /// Returns whether the list says anything of a row, so that it is not absent.
    pub(super) fn speaks_of(&self, row: RowId) -> bool {
        self.exists.binary_search_by_key(&row, |found| found.row).is_ok()
            || self.contradictions.binary_search_by_key(&row, |found| found.row).is_ok()
            || self.unclear.binary_search(&row).is_ok()
    }

    /// Returns how many rows in this state are found.
    pub(super) fn n_found(&self, before: Before) -> u64 {
        self.exists.iter().filter(|found| found.before == before).count() as u64
    }
}

async fn read_doubts(book: &impl Book, mut show: impl FnMut(&DoubtfulRow)) -> Result<Vec<Doubt>, LedgerError> {
    let mut doubts = Vec::new();
    let mut after = 0;
    loop {
        let page = book.in_doubt(after, PAGE)?;
        let Some(last) = page.last() else { return Ok(doubts) };
        after = last.row.get();
        for doubt in &page {
            show(doubt);
            let DoubtfulRow { row, code, counted_attempts, .. } = *doubt;
            doubts.push(Doubt { row, counted_attempts, code });
        }
        // A page takes milliseconds; others have their turn in between.
        tokio::task::yield_now().await;
    }
}

async fn read_created(book: &impl Book, scan: &mut PropertyScan) -> Result<(), LedgerError> {
    let mut after = 0;
    loop {
        let page = book.created(after, PAGE)?;
        let Some(last) = page.last() else { return Ok(()) };
        after = last.row.get();
        scan.add_created(&page);
        tokio::task::yield_now().await;
    }
}
