//! What a session does first with an older ledger: a restored copy, or one whose log is gone.

use jiff::Timestamp;
use rusqlite::{Connection, params};

use super::error::Fault;
use super::history::{ClaimLine, history_of};
use super::schema::RUN;
use super::session::insert_event;
use super::sql::Sql;
use super::state::RowState;
use super::takeover::record_left_open;
use super::tally::{TallyChanges, TallyKey};
use super::watermark::Progress;
use super::working::fresh_after;
use crate::request::{AttemptNo, RowId};

/// How many row numbers are held at once.
const ROWS_A_LOOK: u32 = 1000;

const FRESH_ROWS: &str = "SELECT row FROM items i WHERE run = ?1 AND row > ?2 AND row <= ?4 AND skipped IS NULL
    AND NOT EXISTS (SELECT 1 FROM outcomes o WHERE o.run = i.run AND o.row = i.row) ORDER BY row LIMIT ?3";

const AGAIN_ROWS: &str =
    "SELECT row FROM pending_again WHERE run = ?1 AND row > ?2 AND row <= ?4 ORDER BY row LIMIT ?3";

const FAILED_ROWS: &str = "SELECT row FROM outcomes o WHERE run = ?1 AND row > ?2 AND row <= ?4 AND state = 'failed'
    AND NOT EXISTS (SELECT 1 FROM outcomes x WHERE x.run = o.run AND x.row = o.row
        AND (x.attempt, x.verdict) > (o.attempt, o.verdict)) ORDER BY row LIMIT ?3";

/// Takes the rows into doubt that may have been sent since the ledger was copied, as if this session had claimed them and
/// died: all that were never claimed up to the highest that is noted as claimed, all that are pending again, and the failed
/// ones where any were ordered to be sent again since. Part of the transaction that begins the session.
///
/// # Errors
/// [`Fault::Older`] where rows were claimed or passed over that the ledger does not have, or SQLite failed.
pub(super) fn doubt_what_may_be_sent(
    conn: &Connection,
    session: u32,
    now: Timestamp,
    own: &Progress,
    noted: &Progress,
) -> Result<(), Fault> {
    let n_rows: u32 = conn.query_row("SELECT n_rows FROM runs WHERE run = ?", [RUN], |row| row.get(0))?;
    if noted.claimed > n_rows {
        return Err(Fault::Older);
    }
    let mut doubt = Doubt { conn, session, now, tallies: TallyChanges::default(), n_doubted: 0 };
    doubt.take_each(FRESH_ROWS, RowState::Pending, fresh_after(conn)?, noted.claimed)?;
    doubt.take_each(AGAIN_ROWS, RowState::Pending, 0, n_rows)?;
    if own.n_again < noted.n_again {
        doubt.take_each(FAILED_ROWS, RowState::Failed, 0, n_rows)?;
    }
    let Doubt { tallies, n_doubted, .. } = doubt;
    tallies.write(conn)?;
    conn.execute(
        "UPDATE progress SET fresh_after = max(fresh_after, ?), n_again = max(n_again, ?) WHERE run = ?",
        params![noted.claimed, Sql(noted.n_again), RUN],
    )?;
    let detail = format!("older than its last session: {n_doubted} rows that may have been sent since are in doubt");
    insert_event(conn, session, now, "older", &detail)?;
    Ok(())
}

struct Doubt<'a> {
    conn: &'a Connection,
    session: u32,
    now: Timestamp,
    tallies: TallyChanges,
    n_doubted: u64,
}

impl Doubt<'_> {
    /// Takes all rows of a selection behind row `after` and up to `last`, which are in `state`.
    fn take_each(&mut self, selection: &str, state: RowState, mut after: u32, last: u32) -> Result<(), Fault> {
        loop {
            let rows = self
                .conn
                .prepare_cached(selection)?
                .query_map((RUN, after, ROWS_A_LOOK, last), |line| Ok(line.get::<_, Sql<RowId>>(0)?.0))?
                .collect::<rusqlite::Result<Vec<_>>>()?;
            let Some(highest) = rows.last() else { return Ok(()) };
            after = highest.get();
            for row in rows {
                self.take(row, state)?;
            }
        }
    }

    fn take(&mut self, row: RowId, state: RowState) -> Result<(), Fault> {
        let history = history_of(self.conn, row)?;
        let listed = history.next_attempt.and_then(AttemptNo::new);
        let is_fresh = history.claim.is_none() && history.outcomes.is_empty();
        let attempt = listed.unwrap_or_else(|| if is_fresh { AttemptNo::FIRST } else { history.attempt_after() });
        self.conn.prepare_cached("DELETE FROM pending_again WHERE run = ? AND row = ?")?.execute((RUN, Sql(row)))?;
        self.conn
            .prepare_cached(
                "INSERT INTO claims (run, first_row, attempt, last_row, session, claimed_at) VALUES (?, ?, ?, ?, ?, ?)",
            )?
            .execute(params![RUN, Sql(row), Sql(attempt), Sql(row), self.session, Sql(self.now)])?;
        let claim = ClaimLine { attempt: attempt.get(), session: self.session, claimed_at: self.now };
        let kind = record_left_open(self.conn, self.session, self.now, row, claim)?.request_type();
        self.tallies.shift(TallyKey::of(state, history.code(), kind), TallyKey::left_open(kind));
        self.n_doubted += 1;
        Ok(())
    }
}
