//! One step, inside its transaction.

use jiff::Timestamp;
use rusqlite::{Connection, OptionalExtension, Statement, params};

use super::crash;
use super::error::{Damage, Fault, StepError};
use super::guard::{Admission, Guard};
use super::history::{Source, history_of};
use super::loaded::{Loaded, kind_of};
use super::schema::RUN;
use super::sql::{Micros, REQUEST_COLUMNS, request_of};
use super::state::{RowEvent, RowState};
use super::step::{AttemptRecord, ClaimedRow, Requeue, Step, StepAnswer};
use super::tally::{TallyChanges, TallyKey};
use super::uuids::{ROWS_OF_UUID, rows_of, shared_with};
use super::working::{InFlight, Working, note_fresh_after};
use crate::request::{AttemptNo, CreateRequest, ErrorCode, Outcome, RequestKind, RequestUuid, RowId};

/// Does a step: records, gives back, sets aside, claims by number, claims in row order, in this order. The caller commits, or rolls back
/// and forgets `working`.
///
/// # Errors
/// The step cannot be done as it is, or SQLite failed. Either way the transaction must be rolled back.
pub(super) fn execute(
    conn: &Connection,
    working: &mut Working,
    step: &Step,
    now: Timestamp,
) -> Result<StepAnswer, Fault> {
    crash::point("step-begin");
    let answer = StepAnswer { number: step.number, ..StepAnswer::default() };
    let mut exec = StepExec { conn, working, now, tallies: TallyChanges::default(), n_wanted: step.claim, answer };
    exec.record_all(&step.record)?;
    for &(row, attempt) in &step.give_back {
        exec.give_back(row, attempt)?;
    }
    crash::point("step-recorded");
    let mut guard = Guard::new(&step.kinds, exec.working.in_flight.values().map(|flight| flight.kind));
    for &row in &step.claim_rows {
        exec.claim_listed(row, &mut guard)?;
    }
    if step.claim > 0 {
        exec.claim_free(&mut guard)?;
        exec.claim_fresh(&mut guard)?;
    }
    exec.tallies.write(conn)?;
    crash::point("step-claimed");
    Ok(exec.answer)
}

/// Reads what a row asks for.
fn request_in(conn: &Connection, row: RowId) -> Result<CreateRequest, Fault> {
    conn.prepare_cached(&format!("SELECT {REQUEST_COLUMNS} FROM items WHERE run = ? AND row = ?"))?
        .query_row((RUN, row), |line| request_of(line, 0))
        .optional()?
        .ok_or_else(|| Damage::RowGone(row).into())
}

const INSERT_OUTCOME: &str =
    "INSERT INTO outcomes (run, row, attempt, verdict, state, source, session, recorded_at, started_at, latency_us,
         http_status, code, message, correlation_id, uuid, uri)
     VALUES (?, ?, ?, 0, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)";

/// Leaves out rows about which something was decided before they were ever claimed.
const UNDECIDED: &str = "AND NOT EXISTS (SELECT 1 FROM outcomes o WHERE o.run = i.run AND o.row = i.row)
    AND NOT EXISTS (SELECT 1 FROM left_out l WHERE l.run = i.run AND l.row = i.row)";

/// A row that was never claimed, and what it asks for.
type FreshRow = (RowId, CreateRequest);

/// Rows that are passed over, with their kinds.
type PassedOver = Vec<(RowId, RequestKind)>;

struct StepExec<'a> {
    conn: &'a Connection,
    working: &'a mut Working,
    now: Timestamp,
    tallies: TallyChanges,
    /// How many rows are still to be claimed in row order.
    n_wanted: u32,
    answer: StepAnswer,
}

impl StepExec<'_> {
    fn record_all(&mut self, records: &[AttemptRecord]) -> Result<(), Fault> {
        // Looking a statement up costs a fifth of running it.
        let mut insert = self.conn.prepare_cached(INSERT_OUTCOME)?;
        let mut owner = self.conn.prepare_cached(ROWS_OF_UUID)?;
        // Calls end in any order, and SQLite adds a row behind the last one for less than between others.
        let mut in_order: Vec<&AttemptRecord> = records.iter().collect();
        in_order.sort_unstable_by_key(|record| record.row);
        for record in in_order {
            match &record.outcome {
                Outcome::Created(uri) => match rows_of(&mut owner, uri.uuid())? {
                    (Some(other), _) if other != record.row => {
                        self.record_shared(record, other, uri.uuid(), &mut insert)?;
                    }
                    (Some(_) | None, _) => self.record(record, &mut insert)?,
                },
                Outcome::Pending(_) | Outcome::Failed(_) | Outcome::InDoubt(_) => self.record(record, &mut insert)?,
            }
        }
        Ok(())
    }

    /// Records a row whose call was answered with another row's request.
    fn record_shared(
        &mut self,
        record: &AttemptRecord,
        other: RowId,
        uuid: RequestUuid,
        insert: &mut Statement<'_>,
    ) -> Result<(), Fault> {
        let outcome = Outcome::InDoubt(shared_with(other, uuid));
        self.record(&AttemptRecord { outcome, ..record.clone() }, insert)?;
        self.answer.shared.push((record.row, other, uuid));
        Ok(())
    }

    fn record(&mut self, record: &AttemptRecord, insert: &mut Statement<'_>) -> Result<(), Fault> {
        let (flight, state) = self.land(record.row, record.attempt, RowEvent::of_outcome(&record.outcome))?;
        self.insert_outcome(record, state, insert)?;
        let code = record.outcome.fault().map(|fault| fault.code);
        match &record.outcome {
            Outcome::Pending(_) => self.requeue(record.row, record.attempt.next(), record.then)?,
            Outcome::Created(uri) => self.working.kinds.see(self.conn, flight.kind, record.row, uri.uuid())?,
            Outcome::Failed(_) | Outcome::InDoubt(_) => {}
        }
        self.shift(flight, (RowState::Sending, None), (state, code));
        Ok(())
    }

    fn give_back(&mut self, row: RowId, attempt: AttemptNo) -> Result<(), Fault> {
        let (flight, state) = self.land(row, attempt, RowEvent::GivenBack)?;
        // The number is not used again: a late record of the attempt that was not made must not pass for the next one's.
        self.requeue(row, attempt.next(), Requeue::Anyone)?;
        self.shift(flight, (RowState::Sending, None), (state, flight.last_code));
        Ok(())
    }

    /// Takes a row out of those in flight, and returns what it goes to.
    fn land(&mut self, row: RowId, attempt: AttemptNo, event: RowEvent) -> Result<(InFlight, RowState), Fault> {
        let Some(&flight) = self.working.in_flight.get(&row) else { return Err(self.refusal(row, event)) };
        if flight.attempt != attempt {
            return Err(StepError::OtherAttempt { row, claimed: flight.attempt, found: attempt }.into());
        }
        let state = RowState::Sending.next(event).map_err(|illegal| StepError::Illegal { row, illegal })?;
        self.working.in_flight.remove(&row);
        Ok((flight, state))
    }

    fn insert_outcome(
        &self,
        record: &AttemptRecord,
        state: RowState,
        insert: &mut Statement<'_>,
    ) -> rusqlite::Result<()> {
        let fault = record.outcome.fault();
        let uri = match &record.outcome {
            Outcome::Created(uri) => Some(uri),
            Outcome::Pending(_) | Outcome::Failed(_) | Outcome::InDoubt(_) => None,
        };
        // 201 is the only status that an outcome without fault comes from.
        let http_status = fault.map_or(Some(201), |fault| fault.http_status);
        insert.execute(params![
            RUN,
            record.row,
            record.attempt,
            state,
            Source::Answer,
            self.working.session,
            Micros(self.now),
            Micros(record.started_at),
            record.latency_us,
            http_status,
            fault.map(|fault| fault.code),
            fault.map(|fault| fault.message.as_str()),
            fault.and_then(|fault| fault.correlation_id.as_ref()).map(|id| id.as_str()),
            uri.map(|uri| uri.uuid()),
            uri.map(|uri| uri.as_str()),
        ])?;
        Ok(())
    }

    fn requeue(&mut self, row: RowId, next: AttemptNo, then: Requeue) -> rusqlite::Result<()> {
        let holder = match then {
            Requeue::Anyone => {
                self.working.n_free += 1;
                None
            }
            Requeue::Listed => Some(self.working.session),
        };
        self.conn
            .prepare_cached("INSERT INTO pending_again (run, row, attempt, session) VALUES (?, ?, ?, ?)")?
            .execute(params![RUN, row, next, holder])?;
        Ok(())
    }

    /// Claims rows that are pending again and that this session does not hold, the lowest first.
    fn claim_free(&mut self, guard: &mut Guard<'_>) -> Result<(), Fault> {
        if self.working.n_free == 0 {
            return Ok(());
        }
        let rows = self
            .conn
            .prepare_cached(
                "SELECT p.row, i.type, i.template FROM pending_again p JOIN items i ON i.run = p.run AND i.row = p.row
                 WHERE p.run = ? AND p.session IS NOT ? ORDER BY p.row LIMIT ?",
            )?
            .query_map((RUN, self.working.session, guard.n_to_look_at(self.n_wanted)), |line| {
                Ok((line.get(0)?, kind_of(line, 1)?))
            })?
            .collect::<rusqlite::Result<Vec<_>>>()?;
        for (row, kind) in rows {
            match self.admit(guard, kind) {
                Admission::Claim => self.claim_again(row)?,
                Admission::PassOver => {
                    self.hold(row)?;
                    self.answer.passed_over.push((row, kind));
                }
                Admission::Stop => return Ok(()),
            }
        }
        Ok(())
    }

    /// Keeps a row that is passed over for this session's claims by number.
    fn hold(&mut self, row: RowId) -> rusqlite::Result<()> {
        let n_held = self
            .conn
            .prepare_cached("UPDATE pending_again SET session = ?1 WHERE run = ?2 AND row = ?3 AND session IS NOT ?1")?
            .execute((self.working.session, RUN, row))?;
        self.working.n_free -= n_held as u64;
        Ok(())
    }

    /// Decides about a row that a claim in row order comes to, and counts it.
    fn admit(&mut self, guard: &mut Guard<'_>, kind: RequestKind) -> Admission {
        if self.n_wanted == 0 {
            return Admission::Stop;
        }
        let admission = guard.admit(kind);
        match admission {
            Admission::Claim => self.n_wanted -= 1,
            Admission::PassOver => {}
            Admission::Stop => (self.n_wanted, self.answer.stopped_short) = (0, true),
        }
        admission
    }

    /// Claims a row by its number, or passes it over.
    fn claim_listed(&mut self, row: RowId, guard: &mut Guard<'_>) -> Result<(), Fault> {
        if let Some(kind) = guard.looks_at_kinds().then(|| self.kind_in(row)).transpose()?.flatten()
            && !guard.admits(kind)
        {
            self.hold(row)?;
            self.answer.passed_over.push((row, kind));
            return Ok(());
        }
        self.claim_again(row)
    }

    fn kind_in(&self, row: RowId) -> rusqlite::Result<Option<RequestKind>> {
        self.conn
            .prepare_cached("SELECT type, template FROM items WHERE run = ? AND row = ?")?
            .query_row((RUN, row), |line| kind_of(line, 0))
            .optional()
    }

    /// Claims a row that is pending again.
    fn claim_again(&mut self, row: RowId) -> Result<(), Fault> {
        let next = self
            .conn
            .prepare_cached("DELETE FROM pending_again WHERE run = ? AND row = ? RETURNING attempt, session")?
            .query_row((RUN, row), |line| Ok((line.get(0)?, line.get(1)?)))
            .optional()?;
        let Some((attempt, holder)): Option<(_, Option<u32>)> = next else {
            return Err(self.refusal(row, RowEvent::Claimed));
        };
        if holder != Some(self.working.session) {
            self.working.n_free -= 1;
        }
        self.insert_claim(row, row, attempt)?;
        let history = history_of(self.conn, row)?;
        let request = request_in(self.conn, row)?;
        self.take_off(row, attempt, history.code(), history.counted_attempts(), request);
        Ok(())
    }

    /// Claims rows that were never claimed, in row order. One about which something was decided is left alone: it is settled,
    /// or it is listed as pending again.
    fn claim_fresh(&mut self, guard: &mut Guard<'_>) -> Result<(), Fault> {
        if self.n_wanted == 0 || self.working.fresh_after == u32::MAX {
            return Ok(());
        }
        let (fresh, passed_over) = self.look_at_fresh(guard)?;
        for range in fresh.chunk_by(|(one, _), (other, _)| other.get() - one.get() == 1) {
            if let [(first, _), ..] = range
                && let [.., (last, _)] = range
            {
                self.insert_claim(*first, *last, AttemptNo::FIRST)?;
            }
        }
        for (row, request) in fresh {
            self.take_off(row, AttemptNo::FIRST, None, 0, request);
        }
        for &(row, _) in &passed_over {
            self.requeue(row, AttemptNo::FIRST, Requeue::Listed)?;
        }
        if let Some((last, _)) = passed_over.last() {
            note_fresh_after(self.conn, *last)?;
        }
        self.answer.passed_over.extend(passed_over);
        Ok(())
    }

    /// Looks at rows that were never claimed, and returns which of them are to be claimed, and which are passed over.
    fn look_at_fresh(&mut self, guard: &mut Guard<'_>) -> Result<(Vec<FreshRow>, PassedOver), Fault> {
        let conn = self.conn;
        // Hardly ever was anything decided about rows that are not yet claimed; then it need not be asked for each.
        let undecided = if self.has_decisions_after(self.working.fresh_after)? { UNDECIDED } else { "" };
        let mut statement = conn.prepare_cached(&format!(
            "SELECT {REQUEST_COLUMNS}, row FROM items i WHERE run = ? AND row > ? AND skipped IS NULL {undecided}
             ORDER BY row LIMIT ?"
        ))?;
        let mut n_left = guard.n_to_look_at(self.n_wanted);
        let mut lines = statement.query((RUN, self.working.fresh_after, n_left))?;
        let (mut fresh, mut passed_over) = (Vec::new(), Vec::new());
        while let Some(line) = lines.next()? {
            let (row, kind) = (line.get(9)?, kind_of(line, 0)?);
            match self.admit(guard, kind) {
                Admission::Claim => fresh.push((row, request_of(line, 0)?)),
                Admission::PassOver => passed_over.push((row, kind)),
                Admission::Stop => return Ok((fresh, passed_over)),
            }
            self.working.fresh_after = row.get();
            n_left -= 1;
        }
        if n_left > 0 {
            // There are no more: the rows behind the last one (all skipped) are not searched again at every step.
            self.working.fresh_after = u32::MAX;
        }
        Ok((fresh, passed_over))
    }

    fn has_decisions_after(&self, row: u32) -> rusqlite::Result<bool> {
        self.conn
            .prepare_cached(
                "SELECT EXISTS (SELECT 1 FROM outcomes WHERE run = ?1 AND row > ?2)
                     OR EXISTS (SELECT 1 FROM left_out WHERE run = ?1 AND row > ?2)",
            )?
            .query_row((RUN, row), |line| line.get(0))
    }

    fn insert_claim(&mut self, first: RowId, last: RowId, attempt: AttemptNo) -> rusqlite::Result<()> {
        self.conn
            .prepare_cached(
                "INSERT INTO claims (run, first_row, attempt, last_row, session, claimed_at) VALUES (?, ?, ?, ?, ?, ?)",
            )?
            .execute(params![RUN, first, attempt, last, self.working.session, Micros(self.now)])?;
        Ok(())
    }

    /// Counts a claimed row as in flight and puts it into the answer.
    fn take_off(
        &mut self,
        row: RowId,
        attempt: AttemptNo,
        last_code: Option<ErrorCode>,
        counted_attempts: u32,
        request: CreateRequest,
    ) {
        let state = RowState::Pending.next(RowEvent::Claimed).expect("a pending row can be claimed");
        let flight = InFlight { attempt, kind: request.request_kind(), last_code };
        self.shift(flight, (RowState::Pending, last_code), (state, None));
        self.working.in_flight.insert(row, flight);
        self.answer.rows.push(ClaimedRow { row, attempt, counted_attempts, request });
    }

    fn shift(&mut self, flight: InFlight, from: (RowState, Option<ErrorCode>), to: (RowState, Option<ErrorCode>)) {
        let kind = flight.kind.request_type;
        self.tallies.shift(TallyKey::new(from.0, from.1, kind), TallyKey::new(to.0, to.1, kind));
    }

    /// Says why a row that is not in the state for an event cannot take it.
    fn refusal(&self, row: RowId, event: RowEvent) -> Fault {
        match state_of(self.conn, row) {
            Err(error) => error.into(),
            Ok(None) => StepError::NoSuchRow { row }.into(),
            Ok(Some(state)) => match state.next(event) {
                Err(illegal) => StepError::Illegal { row, illegal }.into(),
                Ok(_) if state == RowState::Pending => StepError::Fresh { row }.into(),
                // The tables say that it is claimed, and this session did not claim it.
                Ok(_) => Damage::RowGone(row).into(),
            },
        }
    }
}

/// Returns the state of one row, or none where the run has no such row.
fn state_of(conn: &Connection, row: RowId) -> rusqlite::Result<Option<RowState>> {
    let Some(loaded) = Loaded::read(conn, row)? else { return Ok(None) };
    Ok(Some(history_of(conn, row)?.state(loaded.state)))
}
