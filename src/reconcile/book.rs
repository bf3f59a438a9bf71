//! What reconciling needs of a ledger.

use std::future::Future;

use crate::ledger::{CreatedMarks, CreatedRow, DoubtfulRow, Ledger, LedgerError, Reader, Resolution, RowFacts};
use crate::request::RowId;

/// A ledger, as far as settling its rows needs it.
///
/// While rows are settled no call is in flight: whoever asks for it does not send meanwhile.
pub trait Book {
    /// Returns up to `limit` rows in doubt behind row number `after` (0 for the first page), by row number. An empty page is
    /// the end.
    ///
    /// # Errors
    /// The ledger cannot be read.
    fn in_doubt(&self, after: u32, limit: u32) -> Result<Vec<DoubtfulRow>, LedgerError>;

    /// Returns how many rows are in doubt.
    ///
    /// # Errors
    /// The ledger cannot be read.
    fn n_in_doubt(&self) -> Result<u64, LedgerError>;

    /// Returns up to `limit` created rows, those that were recorded last.
    ///
    /// # Errors
    /// The ledger cannot be read.
    fn newest_created(&self, limit: u32) -> Result<Vec<CreatedRow>, LedgerError>;

    /// Returns up to `limit` created rows behind row number `after` (0 for the first page), by row number. An empty page is
    /// the end.
    ///
    /// # Errors
    /// The ledger cannot be read.
    fn created(&self, after: u32, limit: u32) -> Result<Vec<CreatedRow>, LedgerError>;

    /// Returns what is known of a row, or none where the run has no such row. Asked once for each tag of the run in the
    /// server's list, so it must be a matter of microseconds.
    ///
    /// # Errors
    /// The ledger cannot be read.
    fn facts(&self, row: RowId) -> Result<Option<RowFacts>, LedgerError>;

    /// Returns the marks of the rows that are created, for the lists that have many of them.
    ///
    /// # Errors
    /// The ledger cannot be read.
    fn created_marks(&self) -> Result<CreatedMarks, LedgerError>;

    /// Records what was decided about rows: all of it, durably, or nothing.
    ///
    /// # Errors
    /// The ledger cannot be written, or a verdict does not go with its row's state.
    fn resolve(&self, resolutions: Vec<Resolution>) -> impl Future<Output = Result<(), LedgerError>>;
}

/// A ledger that this process holds, and a reader on it.
#[derive(Clone, Copy, Debug)]
pub struct LedgerBook<'a> {
    ledger: &'a Ledger,
    reader: &'a Reader,
}

impl<'a> LedgerBook<'a> {
    /// Returns what settling needs of a ledger. Both must be of the same one.
    pub fn new(ledger: &'a Ledger, reader: &'a Reader) -> Self {
        debug_assert_eq!(ledger.run().id, reader.run().id);
        Self { ledger, reader }
    }
}

impl Book for LedgerBook<'_> {
    fn in_doubt(&self, after: u32, limit: u32) -> Result<Vec<DoubtfulRow>, LedgerError> {
        self.reader.in_doubt(after, limit)
    }

    fn n_in_doubt(&self) -> Result<u64, LedgerError> {
        self.reader.n_in_doubt()
    }

    fn newest_created(&self, limit: u32) -> Result<Vec<CreatedRow>, LedgerError> {
        self.reader.newest_created(limit)
    }

    fn created(&self, after: u32, limit: u32) -> Result<Vec<CreatedRow>, LedgerError> {
        self.reader.created(after, limit)
    }

    fn facts(&self, row: RowId) -> Result<Option<RowFacts>, LedgerError> {
        self.reader.facts(row)
    }

    fn created_marks(&self) -> Result<CreatedMarks, LedgerError> {
        self.reader.created_marks()
    }

    async fn resolve(&self, resolutions: Vec<Resolution>) -> Result<(), LedgerError> {
        self.ledger.resolve(resolutions, None).await
    }
}
