//! What a session does first with the rows that a dead one left open.

use std::collections::BTreeMap;

use jiff::Timestamp;
use rusqlite::{Connection, params};

use super::error::{Damage, Fault};
use super::history::{ClaimLine, Source, load_histories};
use super::schema::RUN;
use super::session::insert_event;
use super::sql::Sql;
use super::state::{RowEvent, RowState};
use super::tally::{TallyChanges, TallyKey, count_in, load_tallies};
use crate::request::{ErrorCode, RequestType};

/// Records the rows in doubt that were claimed before this session and have no outcome. Part of the transaction that begins
/// the session, so that it happens once.
pub(super) fn take_over(conn: &Connection, session: u32, now: Timestamp) -> Result<(), Fault> {
    let tallied = count_in(&load_tallies(conn)?, RowState::Sending);
    if tallied == 0 {
        return Ok(());
    }
    // The session before this one took over what was open then, so what is open now is its own.
    let open_rows = open_claims(conn, session - 1)?;
    let open = open_rows.len() as u64;
    if open != tallied {
        return Err(Damage::OpenRowsDiffer { tallied, open }.into());
    }
    let mut tallies = TallyChanges::default();
    for (row, claim) in open_rows {
        record_left_open(conn, session, now, row, claim, &mut tallies)?;
    }
    tallies.write(conn)?;
    let detail = format!("{open} rows that session {} left open are in doubt", session - 1);
    insert_event(conn, session, now, "takeover", &detail)?;
    Ok(())
}

fn open_claims(conn: &Connection, session: u32) -> rusqlite::Result<BTreeMap<u32, ClaimLine>> {
    let mut statement = conn.prepare("SELECT first_row, last_row FROM claims WHERE run = ? AND session = ?")?;
    let ranges = statement.query_map((RUN, session), |row| Ok((row.get(0)?, row.get(1)?)))?;
    let mut open = BTreeMap::new();
    for range in ranges {
        let (first, last) = range?;
        let histories = load_histories(conn, first, last)?;
        open.extend(histories.into_iter().filter_map(|(row, history)| Some((row, history.open_claim()?))));
    }
    Ok(open)
}

fn record_left_open(
    conn: &Connection,
    session: u32,
    now: Timestamp,
    row: u32,
    claim: ClaimLine,
    tallies: &mut TallyChanges,
) -> Result<(), Fault> {
    let kind = conn
        .prepare_cached("SELECT type FROM items WHERE run = ? AND row = ?")?
        .query_row((RUN, row), |line| Ok(line.get::<_, Sql<RequestType>>(0)?.0))?;
    let state = RowState::Sending.next(RowEvent::LeftOpen).expect("what is being sent can be left open");
    conn.prepare_cached(
        "INSERT INTO outcomes (run, row, attempt, verdict, state, source, session, recorded_at, started_at, code)
         VALUES (?, ?, ?, 0, ?, ?, ?, ?, ?, ?)",
    )?
    .execute(params![
        RUN,
        row,
        claim.attempt,
        Sql(state),
        Sql(Source::Takeover),
        session,
        Sql(now),
        Sql(claim.claimed_at),
        Sql(ErrorCode::LeftOpen),
    ])?;
    tallies.shift(TallyKey::new(RowState::Sending, None, kind), TallyKey::new(state, Some(ErrorCode::LeftOpen), kind));
    Ok(())
}
