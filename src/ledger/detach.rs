//! Who may claim a row: rows that were never claimed become claimable by number, and rows that a session held for itself become
//! anyone's.

use rusqlite::{Connection, params};

use super::error::Fault;
use super::schema::RUN;
use super::working::Working;
use crate::request::{AttemptNo, RowId};

/// Lists the rows up to `through` that were never claimed as pending, with their first attempt to come, and lets claims in row
/// order go on behind them.
///
/// A part of a run (`--ids`, `--limit`, a narrowed replay) is claimed by number. Claims in row order know of no gaps: all
/// they remember is how far they came. So the rows between those that are claimed by number are listed too, else they would be
/// passed over and never sent; and how far that went is written down, because the claims alone do not tell it when none of
/// the listed rows was claimed.
pub(super) fn detach(conn: &Connection, working: &mut Working, through: RowId) -> Result<(), Fault> {
    // Rows that are appended later are none of those that are meant, whatever number was given.
    let last: u32 = conn.query_row("SELECT n_rows FROM runs WHERE run = ?", [RUN], |line| line.get(0))?;
    let through = through.get().min(last);
    if working.fresh_after >= through {
        return Ok(());
    }
    let n_listed = conn.execute(
        "INSERT INTO pending_again (run, row, attempt) SELECT run, row, ?1 FROM items i
         WHERE run = ?2 AND row > ?3 AND row <= ?4 AND skipped IS NULL
             AND NOT EXISTS (SELECT 1 FROM outcomes o WHERE o.run = i.run AND o.row = i.row)
             AND NOT EXISTS (SELECT 1 FROM left_out l WHERE l.run = i.run AND l.row = i.row)",
        params![AttemptNo::FIRST, RUN, working.fresh_after, through],
    )?;
    working.n_free += n_listed as u64;
    working.fresh_after = through;
    conn.execute("UPDATE progress SET fresh_after = ? WHERE run = ?", params![through, RUN])?;
    Ok(())
}

/// Lets any claim take the rows that this session holds for itself.
pub(super) fn release(conn: &Connection, working: &mut Working) -> Result<(), Fault> {
    let n_released =
        conn.execute("UPDATE pending_again SET session = NULL WHERE run = ? AND session = ?", (RUN, working.session))?;
    working.n_free += n_released as u64;
    Ok(())
}
