//! The rows that are listed as pending again, and how far claims in row order have come: who may claim what.

use rusqlite::Connection;

use super::query;
use super::schema::RUN;
use super::step::Requeue;
use super::working::Working;
use crate::request::{AttemptNo, RowId};

impl Working {
    /// Lists a row as pending again, with the number of its next attempt.
    pub(super) fn list(
        &mut self,
        conn: &Connection,
        row: RowId,
        attempt: AttemptNo,
        then: Requeue,
    ) -> rusqlite::Result<()> {
        let holder = match then {
            Requeue::Anyone => None,
            Requeue::Listed => Some(self.session),
        };
        let sql = "INSERT INTO pending_again (run, row, attempt, session) VALUES (?, ?, ?, ?)";
        query::change(conn, sql, (RUN, row, attempt, holder))?;
        self.n_free += u64::from(holder.is_none());
        Ok(())
    }

    /// Takes a row off the list, and returns the number of its next attempt; none where it is not on it.
    pub(super) fn unlist(&mut self, conn: &Connection, row: RowId) -> rusqlite::Result<Option<AttemptNo>> {
        let sql = "DELETE FROM pending_again WHERE run = ? AND row = ? RETURNING attempt, session";
        let listed: Option<(_, Option<u32>)> = query::first(conn, sql, (RUN, row), |line| line.try_into())?;
        let is_free = listed.is_some_and(|(_, holder)| holder != Some(self.session));
        self.n_free -= u64::from(is_free);
        Ok(listed.map(|(attempt, _)| attempt))
    }

    /// Keeps a listed row for this session's claims by number.
    pub(super) fn hold(&mut self, conn: &Connection, row: RowId) -> rusqlite::Result<()> {
        let sql = "UPDATE pending_again SET session = ?1 WHERE run = ?2 AND row = ?3 AND session IS NOT ?1";
        self.n_free -= query::change(conn, sql, (self.session, RUN, row))? as u64;
        Ok(())
    }

    /// Lets any claim take the rows that this session holds for itself.
    pub(super) fn release(&mut self, conn: &Connection) -> rusqlite::Result<()> {
        let sql = "UPDATE pending_again SET session = NULL WHERE run = ? AND session = ?";
        self.n_free += query::change(conn, sql, (RUN, self.session))? as u64;
        Ok(())
    }

    /// Lists the rows up to `through` that were never claimed as pending, with their first attempt to come, and lets claims in row
    /// order go on behind them.
    ///
    /// A part of a run (`--ids`, `--limit`, a narrowed replay) is claimed by number. Claims in row order know of no gaps: all
    /// they remember is how far they came. So the rows between those that are claimed by number are listed too, else they would be
    /// passed over and never sent; and how far that went is written down, because the claims alone do not tell it when none of
    /// the listed rows was claimed.
    pub(super) fn detach(&mut self, conn: &Connection, through: RowId) -> rusqlite::Result<()> {
        // Rows that are appended later are none of those that are meant, whatever number was given.
        let last: u32 = query::value(conn, "SELECT n_rows FROM runs WHERE run = ?", [RUN])?;
        let through = through.get().min(last);
        if self.fresh_after >= through {
            return Ok(());
        }
        let sql = format!(
            "INSERT INTO pending_again (run, row, attempt) SELECT run, row, ? FROM items i
             WHERE run = ? AND row > ? AND row <= ? AND skipped IS NULL {UNDECIDED}"
        );
        let n_listed = query::change(conn, &sql, (AttemptNo::FIRST, RUN, self.fresh_after, through))?;
        self.n_free += n_listed as u64;
        self.fresh_after = through;
        note_fresh_after(conn, through)
    }
}

/// Leaves out rows of `items i` about which something was decided before they were ever claimed.
pub(super) const UNDECIDED: &str = "AND NOT EXISTS (SELECT 1 FROM outcomes o WHERE o.run = i.run AND o.row = i.row)
    AND NOT EXISTS (SELECT 1 FROM left_out l WHERE l.run = i.run AND l.row = i.row)";

/// Returns the row up to which no row is claimed in row order any more, or 0: the last that was, or that was passed over
/// by [`detach`](Working::detach).
///
/// Attempt 1 is claimed in row order, or by number after the row was passed over; so the last claim of it and the mark of
/// what was passed over tell it together.
pub(super) fn fresh_after(conn: &Connection) -> rusqlite::Result<u32> {
    let sql = "SELECT max(fresh_after, ifnull((SELECT last_row FROM claims
            WHERE run = ?1 AND attempt = 1 ORDER BY first_row DESC LIMIT 1), 0))
        FROM progress WHERE run = ?1";
    query::value(conn, sql, [RUN])
}

/// Writes down that no row up to this one is claimed in row order any more: where rows are listed that were never claimed, the
/// claims do not tell it.
pub(super) fn note_fresh_after(conn: &Connection, row: u32) -> rusqlite::Result<()> {
    query::change(conn, "UPDATE progress SET fresh_after = max(fresh_after, ?) WHERE run = ?", (row, RUN)).map(drop)
}
