//! The kinds of request of which one was created.

use std::collections::HashSet;
use std::sync::Arc;

use rusqlite::Connection;

use super::error::{Fault, StepError};
use super::loaded::kind_of;
use super::query;
use super::resolution::KindRecord;
use super::schema::RUN;
use crate::request::{RequestKind, RequestUuid, RowId};

/// The kinds that have a line in the table. Shared by the writer's memory and its copies, which seldom differ in it.
#[derive(Clone, Debug, Default)]
pub(super) struct KnownKinds(Arc<HashSet<RequestKind>>);

impl KnownKinds {
    /// Reads the kinds.
    pub(super) fn load(conn: &Connection) -> rusqlite::Result<Self> {
        Ok(Self(Arc::new(load_kinds(conn)?.into_iter().map(|known| known.kind).collect())))
    }

    /// Writes the line of a kind where this is its first row that is created.
    pub(super) fn see(
        &mut self,
        conn: &Connection,
        kind: RequestKind,
        row: RowId,
        uuid: RequestUuid,
    ) -> rusqlite::Result<()> {
        if self.0.contains(&kind) {
            return Ok(());
        }
        query::change(
            conn,
            "INSERT INTO kinds (run, type, template, row, uuid) VALUES (?, ?, ?, ?, ?)",
            (RUN, kind.request_type, template_key(&kind), row, uuid),
        )?;
        Arc::make_mut(&mut self.0).insert(kind);
        Ok(())
    }
}

/// Returns the template as the key of the table holds it.
fn template_key(kind: &RequestKind) -> &[u8] {
    kind.template.as_ref().map_or(&[], |guid| guid.as_bytes().as_slice())
}

/// Notes what was read back of a kind's first row.
///
/// # Errors
/// [`StepError::NoSuchKind`], or SQLite failed.
pub(super) fn note_read_back(conn: &Connection, kind: RequestKind, text: &str) -> Result<(), Fault> {
    let n_changed = query::change(
        conn,
        "UPDATE kinds SET read_back = ? WHERE run = ? AND type = ? AND template = ?",
        (text, RUN, kind.request_type, template_key(&kind)),
    )?;
    if n_changed == 0 { Err(StepError::NoSuchKind(kind).into()) } else { Ok(()) }
}

/// Reads all kinds, in the order of type and template.
pub(super) fn load_kinds(conn: &Connection) -> rusqlite::Result<Vec<KindRecord>> {
    let sql = "SELECT type, template, row, uuid, read_back FROM kinds WHERE run = ? ORDER BY type, template";
    query::all(conn, sql, [RUN], |line| {
        Ok(KindRecord { kind: kind_of(line, 0)?, row: line.get(2)?, uuid: line.get(3)?, read_back: line.get(4)? })
    })
}
