//! Counts by state, cause and type, so that no one has to pass over all rows.

use std::collections::BTreeMap;

use rusqlite::Connection;

use super::query;
use super::result::Holder;
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

/// The state of a row, and the code of its last line, which counts where the state has a cause.
type Cause = (RowState, Option<ErrorCode>);

/// Changes to the tallies, by cause and type (none of an invalid row), gathered over one transaction and written at its end.
#[derive(Debug, Default)]
pub(super) struct TallyChanges(BTreeMap<(Cause, Option<RequestType>), i64>);

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
        *self.0.entry(((state, code), kind)).or_default() += by;
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
        for (((state, code), kind), change) in self.0 {
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

/// Reads how many rows are in which state for which cause, the holder being there or not, in the order of both.
pub(super) fn load_tallies(conn: &Connection, holder: Holder) -> rusqlite::Result<Vec<Tally>> {
    let sql = "SELECT state, code, sum(n) FROM tallies WHERE n > 0 GROUP BY state, code";
    let mut causes: BTreeMap<Cause, u64> = BTreeMap::new();
    for (state, code, n) in query::all(conn, sql, [], |line| <(RowState, _, u64)>::try_from(line))? {
        let code = if state == RowState::Sending { holder.cause_of_open() } else { code };
        *causes.entry((holder.reads(state), code)).or_default() += n;
    }
    Ok(causes.into_iter().map(|((state, code), n)| Tally { state, code, n }).collect())
}

/// Returns how many rows the tallies count in a state.
pub(super) fn n_in(conn: &Connection, state: RowState) -> rusqlite::Result<u64> {
    query::value(conn, "SELECT ifnull(sum(n), 0) FROM tallies WHERE state = ?", [state])
}
