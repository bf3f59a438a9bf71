//! Counts by state, cause and type, so that no one has to pass over all rows.

use std::collections::BTreeMap;

use rusqlite::Connection;

use super::query;
use super::state::RowState;
use crate::request::{ErrorCode, RequestType};

/// How many rows are in a state for a cause.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Tally {
    /// The state.
    pub state: RowState,
    /// The cause of pending, failed and in-doubt rows: what their last attempt ended with, where they had one.
    pub code: Option<ErrorCode>,
    /// The number of rows.
    pub n: u64,
}

/// What rows are counted by.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct TallyKey {
    /// The state.
    pub(super) state: RowState,
    /// The cause, where the state has one.
    pub(super) code: Option<ErrorCode>,
    /// The type; none of an invalid row.
    pub(super) kind: Option<RequestType>,
}

/// The state of a row, and the code of its last line, which counts where the state has a cause.
type Cause = (RowState, Option<ErrorCode>);

/// Changes to the tallies, gathered over one transaction and written at its end.
#[derive(Debug, Default)]
pub(super) struct TallyChanges(BTreeMap<TallyKey, i64>);

impl TallyChanges {
    /// Counts one more row of a type.
    pub(super) fn add(&mut self, kind: Option<RequestType>, to: Cause) {
        self.change(kind, to, 1);
    }

    /// Counts a row of a type there that was counted here.
    pub(super) fn shift(&mut self, kind: Option<RequestType>, from: Cause, to: Cause) {
        self.change(kind, from, -1);
        self.change(kind, to, 1);
    }

    fn change(&mut self, kind: Option<RequestType>, (state, code): Cause, by: i64) {
        let code = code.filter(|_| state.has_cause());
        *self.0.entry(TallyKey { state, code, kind }).or_default() += by;
    }

    /// Writes the changes.
    ///
    /// # Errors
    /// A count would fall below zero, which the table refuses: then rows and tallies disagree.
    pub(super) fn write(self, conn: &Connection) -> rusqlite::Result<()> {
        // An upsert checks the new row before it finds the old one, so a change below zero needs its own statement.
        let mut update =
            conn.prepare_cached("UPDATE tallies SET n = n + ? WHERE state = ? AND code IS ? AND type IS ?")?;
        let mut insert = conn.prepare_cached("INSERT INTO tallies (n, state, code, type) VALUES (?, ?, ?, ?)")?;
        for (TallyKey { state, code, kind }, change) in self.0 {
            if change == 0 {
                continue;
            }
            let values = (change, state, code, kind);
            if update.execute(values)? == 0 {
                insert.execute(values)?;
            }
        }
        Ok(())
    }
}

/// Reads all tallies that are not zero.
pub(super) fn load_tallies(conn: &Connection) -> rusqlite::Result<Vec<(TallyKey, u64)>> {
    let sql = "SELECT state, code, type, n FROM tallies WHERE n > 0 ORDER BY state, code, type";
    query::all(conn, sql, [], |line| {
        Ok((TallyKey { state: line.get(0)?, code: line.get(1)?, kind: line.get(2)? }, line.get(3)?))
    })
}

/// Returns how many rows the tallies count in a state.
pub(super) fn count_in(tallies: &[(TallyKey, u64)], state: RowState) -> u64 {
    tallies.iter().filter(|(key, _)| key.state == state).map(|(_, n)| n).sum()
}
