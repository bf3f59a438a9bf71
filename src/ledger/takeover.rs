//! What a session does first with the rows that a dead one left open.

use std::collections::BTreeMap;

use rusqlite::Connection;

use super::error::{Damage, Fault};
use super::history::{ClaimLine, OutcomeLine};
use super::loaded::Loaded;
use super::schema::RUN;
use super::session::{Stamp, insert_event};
use super::state::RowState;
use super::tally::{TallyChanges, count_in, load_tallies};
use crate::request::RowId;

/// Records the rows in doubt that the session before (`previous`) claimed and that have no outcome. Part of the transaction
/// that begins the session, so that it happens once.
pub(super) fn take_over(conn: &Connection, previous: u32, stamp: Stamp) -> Result<(), Fault> {
    let tallied = count_in(&load_tallies(conn)?, RowState::Sending);
    if tallied == 0 {
        return Ok(());
    }
    // The session before took over what was open then, so what is open now is its own.
    let open_rows = open_claims(conn, previous)?;
    let open = open_rows.len() as u64;
    if open != tallied {
        return Err(Damage::OpenRowsDiffer { tallied, open }.into());
    }
    let (mut tallies, mut insert) = (TallyChanges::default(), OutcomeLine::prepare_insert(conn)?);
    for (row, claim) in open_rows {
        let line = claim.left_open(stamp);
        line.insert(&mut insert, row)?;
        let kind = Loaded::read(conn, row)?.ok_or(Damage::RowGone(row))?.request_type();
        tallies.shift(kind, (RowState::Sending, None), (line.state, line.code));
    }
    tallies.write(conn)?;
    let detail = format!("{open} rows that session {previous} left open are in doubt");
    Ok(insert_event(conn, stamp, "takeover", &detail)?)
}

// Ranges hold nothing but the rows that they claim. Of a row that came back and was claimed again, the later claim is last.
const OPEN_CLAIMS: &str = "SELECT i.row, c.attempt, c.session, c.claimed_at
    FROM claims c JOIN items i ON i.run = c.run AND i.row BETWEEN c.first_row AND c.last_row
    WHERE c.run = ? AND c.session = ?
        AND NOT EXISTS (SELECT 1 FROM outcomes o WHERE o.run = c.run AND o.row = i.row AND o.attempt >= c.attempt)
        AND NOT EXISTS (SELECT 1 FROM pending_again p WHERE p.run = c.run AND p.row = i.row)
        AND NOT EXISTS (SELECT 1 FROM left_out l WHERE l.run = c.run AND l.row = i.row)
    ORDER BY c.attempt";

/// Returns the claims of a session that have no outcome and were not given back, by row. It looks at the rows that this
/// session claimed.
pub(super) fn open_claims(conn: &Connection, session: u32) -> rusqlite::Result<BTreeMap<RowId, ClaimLine>> {
    let mut statement = conn.prepare(OPEN_CLAIMS)?;
    statement.query_map((RUN, session), |line| Ok((line.get(0)?, ClaimLine::read(line, 1)?)))?.collect()
}
