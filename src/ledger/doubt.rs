//! The rows in doubt.

use jiff::Timestamp;
use rusqlite::Connection;

use super::error::{Damage, Fault, LedgerError};
use super::history::history_of;
use super::item::{LoadRow, RowPlace, load_row};
use super::open::open_claims;
use super::query::{self, LAST_WORD};
use super::reader::Reader;
use super::result::Holder;
use super::run::{Stamp, last_session};
use super::state::RowState;
use super::tally::n_in;
use crate::request::{AttemptNo, CreateRequest, ErrorCode, RowId};

/// A row in doubt, with what is needed to settle it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DoubtfulRow {
    /// The row's number in the run.
    pub row: RowId,
    /// Where it stands in its manifest.
    pub place: RowPlace,
    /// The user's own key of the row.
    pub id: Option<String>,
    /// What was sent, without tag.
    pub request: CreateRequest,
    /// Its last attempt.
    pub attempt: AttemptNo,
    /// The session that made that attempt; of a row without attempt, the one that recorded it.
    pub session: u32,
    /// The session that recorded how it ended: another one where its own died before.
    pub recorded_by: u32,
    /// Why the row is in doubt.
    pub code: Option<ErrorCode>,
    /// When the attempt started, by the wall clock; where its process died, when it was claimed.
    pub started_at: Option<Timestamp>,
    /// When it was recorded as in doubt, by the wall clock.
    pub recorded_at: Timestamp,
    /// How many attempts count against `--max-attempts`, this one included.
    pub counted_attempts: u32,
}

impl DoubtfulRow {
    /// Returns the time before which its request was not sent, by the wall clock; where that is not known, when it was recorded.
    pub fn sent_at(&self) -> Timestamp {
        self.started_at.unwrap_or(self.recorded_at)
    }
}

impl Reader {
    /// Returns up to `limit` rows in doubt behind row number `after`, in order. An empty page is the end. Rows that a dead
    /// process left open are among them, also where no session has taken over yet.
    ///
    /// It looks at the rows that are or were in doubt, by an index, and at no other.
    ///
    /// # Errors
    /// The ledger cannot be read.
    pub fn in_doubt(&self, after: u32, limit: u32) -> Result<Vec<DoubtfulRow>, LedgerError> {
        let holder = self.holder_state()?;
        self.examine(|conn| {
            let mut rows = query::all(conn, &rows_in_doubt(), (after, limit), |line| line.get(0))?;
            rows.extend(left_open(conn, holder)?.into_iter().filter(|row| row.get() > after));
            rows.sort_unstable();
            rows.truncate(limit as usize);
            rows.into_iter().map(|row| doubtful(conn, row)).collect()
        })
    }

    /// Returns how many rows are in doubt, without a look at the rows.
    ///
    /// # Errors
    /// The ledger cannot be read.
    pub fn n_in_doubt(&self) -> Result<u64, LedgerError> {
        let tallies = self.tallies()?;
        Ok(tallies.iter().filter(|tally| tally.state == RowState::InDoubt).map(|tally| tally.n).sum())
    }
}

/// Returns the statement that finds them. The state stands in the text, because SQLite takes the index of these rows only then.
pub(super) fn rows_in_doubt() -> String {
    format!(
        "SELECT row FROM outcomes o WHERE row > ? AND state = 'in_doubt' AND {LAST_WORD}
             AND NOT EXISTS (SELECT 1 FROM left_out l WHERE l.row = o.row) ORDER BY row LIMIT ?"
    )
}

/// Returns the rows whose process died and that no session has taken over; never more than a pipeline's window.
fn left_open(conn: &Connection, holder: Holder) -> rusqlite::Result<Vec<RowId>> {
    if holder == Holder::Lives || n_in(conn, RowState::Sending)? == 0 {
        return Ok(Vec::new());
    }
    Ok(open_claims(conn, last_session(conn)?)?.into_keys().collect())
}

fn doubtful(conn: &Connection, row: RowId) -> Result<DoubtfulRow, Fault> {
    let history = history_of(conn, row)?;
    let Some(LoadRow::Item(item)) = load_row(conn, row)? else { return Err(Damage::row_gone(row).into()) };
    let open =
        history.open_claim().map(|claim| claim.left_open(Stamp { session: claim.session, at: claim.claimed_at }));
    let last =
        open.as_ref().or(history.last_attempt()).or(history.outcomes.last()).ok_or_else(|| Damage::row_gone(row))?;
    Ok(DoubtfulRow {
        row,
        place: item.place,
        id: item.id,
        request: item.request,
        // A row without attempt is in doubt only where the server contradicts it.
        attempt: AttemptNo::new(last.attempt).unwrap_or(AttemptNo::FIRST),
        session: last.made_by.unwrap_or(last.session),
        recorded_by: last.session,
        code: open.as_ref().map_or(history.code(), |line| line.code),
        started_at: last.started_at,
        recorded_at: last.recorded_at,
        counted_attempts: history.counted_attempts(),
    })
}
