//! A row as it was loaded, as far as deciding about it needs that.

use rusqlite::{Connection, Row};

use super::query;
use super::schema::RUN;
use super::state::RowState;
use crate::request::{RequestKind, RequestType, RowId};

/// What a row was loaded as.
#[derive(Clone, Copy, Debug)]
pub(super) struct Loaded {
    /// The state without all that happened since.
    pub(super) state: RowState,
    /// What it asks for; none of an invalid row.
    pub(super) kind: Option<RequestKind>,
}

impl Loaded {
    /// Reads a row, or none where the run has no such row.
    pub(super) fn read(conn: &Connection, row: RowId) -> rusqlite::Result<Option<Self>> {
        let sql = "SELECT type, template, skipped IS NOT NULL FROM items WHERE run = ? AND row = ?";
        let item = query::first(conn, sql, (RUN, row), |line| {
            let state = if line.get(2)? { RowState::Skipped } else { RowState::Pending };
            Ok(Self { state, kind: Some(kind_of(line, 0)?) })
        })?;
        if item.is_some() {
            return Ok(item);
        }
        let sql = "SELECT 1 FROM invalid_rows WHERE run = ? AND row = ?";
        query::first(conn, sql, (RUN, row), |_| Ok(Self { state: RowState::Invalid, kind: None }))
    }

    /// Returns the type; none of an invalid row.
    pub(super) fn request_type(&self) -> Option<RequestType> {
        self.kind.map(|kind| kind.request_type)
    }
}

/// Reads a kind from the columns `type, template` that begin at column `at`; an empty template is none.
pub(super) fn kind_of(line: &Row<'_>, at: usize) -> rusqlite::Result<RequestKind> {
    let template = match line.get_ref(at + 1)? {
        rusqlite::types::ValueRef::Blob([]) => None,
        _ => line.get(at + 1)?,
    };
    Ok(RequestKind { request_type: line.get(at)?, template })
}
