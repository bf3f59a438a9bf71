//! The rows as they were loaded.

use rusqlite::{Connection, Row};

use super::item::{InvalidItem, Item, LoadRow, RowPlace};
use super::query;
use super::state::RowState;
use crate::request::{CreateRequest, NamedValues, RequestKind, RequestType, RowId};

/// The columns that [`request_of`] reads, in its order.
pub(super) const REQUEST_COLUMNS: &str = "type, template, target, smartcard, profile, comment, priority, data, body";

/// Reads a request from [`REQUEST_COLUMNS`] that begin at column `at`.
pub(super) fn request_of(line: &Row<'_>, at: usize) -> rusqlite::Result<CreateRequest> {
    Ok(CreateRequest {
        kind: line.get(at)?,
        template: line.get(at + 1)?,
        target: line.get(at + 2)?,
        smartcard: line.get(at + 3)?,
        profile: line.get(at + 4)?,
        comment: line.get(at + 5)?,
        priority: line.get(at + 6)?,
        data: line.get(at + 7)?,
        body: line.get::<_, NamedValues>(at + 8)?.to_vec(),
    })
}

/// Reads a kind from the columns `type, template` that begin at column `at`.
pub(super) fn kind_of(line: &Row<'_>, at: usize) -> rusqlite::Result<RequestKind> {
    Ok(RequestKind { request_type: line.get(at)?, template: line.get(at + 1)? })
}

/// Reads a row, or none where the run has no such row.
pub(super) fn load_row(conn: &Connection, row: RowId) -> rusqlite::Result<Option<LoadRow>> {
    Ok(load_rows(conn, row.get(), row.get())?.pop())
}

/// Reads the rows from `first` to `last`, in order.
pub(super) fn load_rows(conn: &Connection, first: u32, last: u32) -> rusqlite::Result<Vec<LoadRow>> {
    let sql = format!(
        "SELECT row, part, part_row, line, reason, original, id, notes, {REQUEST_COLUMNS}
         FROM items WHERE row BETWEEN ? AND ? ORDER BY row"
    );
    query::all(conn, &sql, (first, last), |line| {
        let (row, reason) = (line.get(0)?, line.get::<_, Option<String>>(4)?);
        let place = RowPlace { part: line.get(1)?, part_row: line.get(2)?, line: line.get(3)? };
        if let Some(original_json) = line.get(5)? {
            let errors = reason.unwrap_or_default();
            return Ok(LoadRow::Invalid(Box::new(InvalidItem { row, place, original_json, errors })));
        }
        let (id, notes, request) = (line.get(6)?, line.get(7)?, request_of(line, 8)?);
        Ok(LoadRow::Item(Box::new(Item { row, place, id, request, notes, skipped: reason })))
    })
}

impl LoadRow {
    /// Returns the row's number.
    pub(super) fn row(&self) -> RowId {
        match self {
            Self::Item(item) => item.row,
            Self::Invalid(item) => item.row,
        }
    }

    /// Returns the row's state without all that happens later.
    pub(super) fn state(&self) -> RowState {
        match self {
            Self::Item(item) if item.skipped.is_some() => RowState::Skipped,
            Self::Item(_) => RowState::Pending,
            Self::Invalid(_) => RowState::Invalid,
        }
    }

    /// Returns what it asks for; none of an invalid row.
    pub(super) fn request(&self) -> Option<&CreateRequest> {
        match self {
            Self::Item(item) => Some(&item.request),
            Self::Invalid(_) => None,
        }
    }

    /// Returns the type of what it asks for; none of an invalid row.
    pub(super) fn request_type(&self) -> Option<RequestType> {
        self.request().map(|request| request.kind)
    }
}
