//! Taking the rows of a manifest into a ledger.

use std::path::Path;

use rusqlite::{Connection, Statement, params};

use super::error::{Fault, LedgerError};
use super::history::{OutcomeLine, Source, history_of};
use super::item::{InvalidItem, Item, LoadRow, ManifestPart};
use super::query;
use super::run::n_rows;
use super::session::Stamp;
use super::state::RowEvent;
use super::tally::TallyChanges;
use super::verdict::Change;
use crate::request::{NamedValues, RowId};

const INSERT_ITEM: &str =
    "INSERT INTO items (row, part, part_row, line, reason, id, notes, type, template, target, smartcard, profile,
        comment, priority, data, body)
     VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)";

/// Takes the rows of a new ledger, or further rows of one that exists.
#[derive(Debug)]
pub struct Loader<'a> {
    conn: &'a Connection,
    /// What adds an item; looking it up costs a fifth of running it.
    insert: Option<Statement<'a>>,
    ledger: &'a Path,
    /// With which session the rows come, and when.
    stamp: Stamp,
    /// The manifests that the run has already.
    parts: &'a [ManifestPart],
    tallies: TallyChanges,
    n_rows: u64,
    last: u32,
    /// The rows that are replaced, each with the one that stands for it.
    replaced: Vec<(RowId, RowId)>,
}

impl<'a> Loader<'a> {
    pub(super) fn new(conn: &'a Connection, ledger: &'a Path, stamp: Stamp, parts: &'a [ManifestPart]) -> Self {
        let tallies = TallyChanges::default();
        Self { conn, insert: None, ledger, stamp, parts, tallies, n_rows: 0, last: 0, replaced: Vec::new() }
    }

    /// Adds one row. Rows in order of their numbers are fastest.
    ///
    /// # Errors
    /// The row came twice, or SQLite could not write. The load has failed then.
    pub fn add(&mut self, row: LoadRow) -> Result<(), LedgerError> {
        let added = match &row {
            LoadRow::Item(item) => self.add_item(item),
            LoadRow::Invalid(item) => self.add_invalid(item),
        };
        added.map_err(|error| self.failed(row.row(), error))?;
        self.tallies.add(row.request_type(), (row.state(), None));
        self.n_rows += 1;
        self.last = self.last.max(row.row().get());
        Ok(())
    }

    fn add_item(&mut self, item: &Item) -> rusqlite::Result<()> {
        let request = &item.request;
        let insert = match &mut self.insert {
            Some(insert) => insert,
            None => self.insert.insert(self.conn.prepare(INSERT_ITEM)?),
        };
        insert.execute(params![
            item.row,
            item.place.part,
            item.place.part_row,
            item.place.line,
            item.skipped,
            item.id,
            item.notes,
            request.kind,
            request.template,
            request.target,
            request.smartcard,
            request.profile,
            request.comment,
            request.priority,
            request.data,
            NamedValues::from_iter(request.body.iter().cloned()),
        ])?;
        Ok(())
    }

    fn add_invalid(&self, item: &InvalidItem) -> rusqlite::Result<()> {
        let InvalidItem { row, place, original_json, errors } = item;
        let sql = "INSERT INTO items (row, part, part_row, line, reason, original) VALUES (?, ?, ?, ?, ?, ?)";
        query::change(self.conn, sql, (row, place.part, place.part_row, place.line, errors, original_json)).map(drop)
    }

    fn failed(&self, row: RowId, error: rusqlite::Error) -> LedgerError {
        match error.sqlite_error_code() {
            Some(rusqlite::ErrorCode::ConstraintViolation) => {
                LedgerError::Refused(format!("row {row} was loaded twice"))
            }
            Some(_) | None => LedgerError::of_sqlite(self.ledger, error),
        }
    }

    /// Lets a row of this load stand for one that is failed or invalid, which is `replaced` then. The new row may be added
    /// before or after.
    ///
    /// # Errors
    /// [`LedgerError::Refused`]: the run has no such row, or it is neither failed nor invalid. Where the new row is not valid or is
    /// none of this load, the load fails at its end.
    pub fn replace(&mut self, old: RowId, new: RowId) -> Result<(), LedgerError> {
        self.append_replaced(old, new).map_err(|fault| fault.at(self.ledger))
    }

    fn append_replaced(&mut self, old: RowId, new: RowId) -> Result<(), Fault> {
        let history = history_of(self.conn, old)?;
        let Change { loaded, before, after } = Change::of(self.conn, old, &history, |_| RowEvent::Replaced)?;
        let line = OutcomeLine {
            message: Some(format!("row {new} stands for it")),
            replaced_by: Some(new),
            ..OutcomeLine::new(history.next_verdict(), after, Source::Replay, self.stamp)
        };
        line.insert(&mut OutcomeLine::prepare_insert(self.conn)?, old)?;
        self.tallies.shift(loaded.request_type(), (before, history.code()), (after, None));
        self.replaced.push((old, new));
        Ok(())
    }

    /// Checks that all rows of these manifests are there, and writes their counts.
    ///
    /// # Errors
    /// They are not, or SQLite failed. The load has failed then.
    pub(super) fn finish(self, parts: &[ManifestPart]) -> Result<(), Fault> {
        let expected = n_rows(parts);
        if self.n_rows != expected || u64::from(self.last) > n_rows(self.parts) + expected {
            let (loaded, last) = (self.n_rows, self.last);
            return Err(Fault::Refused(format!(
                "{loaded} rows were loaded, the last of them row {last}, and the manifests have {expected}"
            )));
        }
        self.check_parts(parts)?;
        self.check_replaced()?;
        self.tallies.write(self.conn)?;
        Ok(())
    }

    fn check_parts(&self, parts: &[ManifestPart]) -> Result<(), Fault> {
        let mut row = n_rows(self.parts) + 1;
        for (number, part) in (self.parts.len() as u64 + 1..).zip(parts) {
            if u64::from(part.part) != number || u64::from(part.first_row.get()) != row {
                return Err(Fault::Refused(format!(
                    "manifest {} begins with row {}, where manifest {number} with row {row} was due",
                    part.part, part.first_row
                )));
            }
            row += u64::from(part.n_rows);
        }
        Ok(())
    }

    fn check_replaced(&self) -> Result<(), Fault> {
        let mut is_item = self.conn.prepare("SELECT 1 FROM items WHERE row = ? AND original IS NULL")?;
        for &(row, by) in &self.replaced {
            if u64::from(by.get()) <= n_rows(self.parts) || !is_item.exists([by])? {
                return Err(Fault::Refused(format!(
                    "row {row} cannot be replaced by row {by}, which is no valid row of this load"
                )));
            }
        }
        Ok(())
    }
}
