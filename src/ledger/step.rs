//! The step: record, give back and claim in one durable commit.

use jiff::Timestamp;
use rusqlite::{CachedStatement, Connection};

use super::crash;
use super::error::{Damage, Fault};
use super::guard::{Admission, Guard};
use super::history::{OutcomeLine, Source, history_of};
use super::item::{LoadRow, REQUEST_COLUMNS, load_row, request_of};
use super::lookup::rows_of;
use super::query::{self, Micros, UNDECIDED};
use super::run::Stamp;
use super::state::{RowEvent, RowState};
use super::tally::TallyChanges;
use super::working::{InFlight, Working};
use crate::request::{AttemptNo, CreateRequest, ErrorCode, Fault as Answer, Outcome, RequestKind, RequestUuid, RowId};

/// What became of one attempt, for the ledger to keep.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AttemptRecord {
    /// The row.
    pub row: RowId,
    /// The attempt's number, as the claim gave it.
    pub attempt: AttemptNo,
    /// When the call started.
    pub started_at: Timestamp,
    /// How long the call took, in microseconds, by a monotonic clock.
    pub latency_us: u64,
    /// What became of it.
    pub outcome: Outcome,
    /// Who sends the row next where the outcome is [`Outcome::Pending`]; else without meaning.
    pub then: Requeue,
}

/// Who sends a row next that is pending after an attempt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Requeue {
    /// Any later claim.
    Anyone,
    /// Only a claim that lists it (`Step::claim_rows`), as long as this session lives: the pipeline waits out its backoff.
    Listed,
}

/// One step. Everything in it becomes durable together or not at all.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Step {
    /// The step's number within its session, from 1, each one more than the last. The same number again, after a lost
    /// answer, gives the same answer and does nothing twice.
    pub number: u64,
    /// Attempts that ended.
    pub record: Vec<AttemptRecord>,
    /// Claimed rows that were not sent and go back: pending again, no attempt.
    pub give_back: Vec<(RowId, AttemptNo)>,
    /// Pending rows to claim by number (second attempts after a backoff).
    pub claim_rows: Vec<RowId>,
    /// How many further pending rows to claim, in row order.
    pub claim: u32,
    /// Of which kinds those are, and the rows that are claimed by number: what is passed over of either waits for a
    /// later claim by number.
    pub kinds: ClaimKinds,
}

/// Of which kinds rows are claimed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum ClaimKinds {
    /// Of all, as they come.
    #[default]
    All,
    /// As far as the kinds are known to go well, so that a crash leaves no more than one row in doubt of any other kind.
    Guarded {
        /// Any number of rows of these kinds.
        open: Vec<RequestKind>,
        /// None of these. Of every other kind at most one is claimed at a time.
        held: Vec<RequestKind>,
        /// How many rows may be passed over, at most, before the claim stops short. A row that is passed over stays pending, also
        /// after a crash, and this session alone claims it, by number, as with [`Requeue::Listed`].
        pass_over: u32,
    },
}

/// A row that may be sent now: its claim is durable.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClaimedRow {
    /// The row.
    pub row: RowId,
    /// The attempt that may be made.
    pub attempt: AttemptNo,
    /// How many earlier attempts count against `--max-attempts` (throttled ones and ones left open by a dead session do not).
    pub counted_attempts: u32,
    /// What to send, without tag.
    pub request: CreateRequest,
}

/// The answer to a step, given after its commit is durable: the permission to send these rows.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct StepAnswer {
    /// The number of the step that this answers.
    pub number: u64,
    /// The rows that may be sent.
    pub rows: Vec<ClaimedRow>,
    /// The rows that were passed over ([`ClaimKinds::Guarded`]), with their kinds.
    pub passed_over: Vec<(RowId, RequestKind)>,
    /// Whether the claim ended because too many rows were to be passed over: fewer rows than asked for does not mean then that
    /// there are no more.
    pub stopped_short: bool,
    /// Rows whose call was answered with a request that is another row's, which stands second: they are in doubt.
    pub shared: Vec<(RowId, RowId, RequestUuid)>,
}

/// Does a step: records, gives back, sets aside, claims by number, claims in row order, in this order. The caller commits, or rolls back
/// and forgets `working`.
///
/// # Errors
/// The step cannot be done as it is, or SQLite failed. Either way the transaction must be rolled back.
pub(super) fn execute(
    conn: &Connection,
    working: &mut Working,
    step: &Step,
    stamp: Stamp,
) -> Result<StepAnswer, Fault> {
    crash::point("step-begin");
    let answer = StepAnswer { number: step.number, ..StepAnswer::default() };
    let mut exec = StepExec { conn, working, stamp, tallies: TallyChanges::default(), answer };
    exec.record_all(&step.record)?;
    for &(row, attempt) in &step.give_back {
        exec.give_back(row, attempt)?;
    }
    crash::point("step-recorded");
    let in_flight = exec.working.in_flight.values().map(|flight| flight.kind);
    let mut guard = Guard::new(&step.kinds, in_flight, step.claim);
    for &row in &step.claim_rows {
        exec.claim_listed(row, &mut guard)?;
    }
    if step.claim > 0 {
        exec.claim_free(&mut guard)?;
        exec.claim_fresh(&mut guard)?;
    }
    exec.answer.stopped_short = guard.stopped_short;
    exec.tallies.write(conn)?;
    crash::point("step-claimed");
    Ok(exec.answer)
}

struct StepExec<'a> {
    conn: &'a Connection,
    working: &'a mut Working,
    stamp: Stamp,
    tallies: TallyChanges,
    answer: StepAnswer,
}

impl StepExec<'_> {
    fn record_all(&mut self, records: &[AttemptRecord]) -> Result<(), Fault> {
        let mut insert = OutcomeLine::prepare_insert(self.conn)?;
        // Calls end in any order, and SQLite adds a row behind the last one for less than between others.
        let mut in_order: Vec<&AttemptRecord> = records.iter().collect();
        in_order.sort_unstable_by_key(|record| record.row);
        for record in in_order {
            if let Outcome::Created(uri) = &record.outcome
                && let Some(&other) = rows_of(self.conn, uri.uuid())?.first()
                && other != record.row
            {
                // Nobody knows which of them it is.
                let message = format!("the server answered with request {}, which is that of row {other}", uri.uuid());
                let code = ErrorCode::UuidShared;
                let fault = Answer { code, http_status: Some(201), message, correlation_id: None };
                self.record(&AttemptRecord { outcome: Outcome::InDoubt(fault), ..record.clone() }, &mut insert)?;
                self.answer.shared.push((record.row, other, uri.uuid()));
            } else {
                self.record(record, &mut insert)?;
            }
        }
        Ok(())
    }

    fn record(&mut self, record: &AttemptRecord, insert: &mut CachedStatement<'_>) -> Result<(), Fault> {
        let AttemptRecord { row, attempt, outcome, then, .. } = record;
        let (flight, state) = self.land(*row, *attempt, RowEvent::of_outcome(outcome))?;
        let line = line_of(record, state, self.stamp);
        line.insert(insert, *row)?;
        match outcome {
            Outcome::Pending(_) => self.working.list(self.conn, *row, attempt.next(), *then)?,
            Outcome::Created(uri) => self.working.see_created(self.conn, flight.kind, *row, uri.uuid())?,
            Outcome::Failed(_) | Outcome::InDoubt(_) => {}
        }
        self.tallies.shift(Some(flight.kind.request_type), (RowState::Sending, None), (state, line.code));
        Ok(())
    }

    fn give_back(&mut self, row: RowId, attempt: AttemptNo) -> Result<(), Fault> {
        let (flight, state) = self.land(row, attempt, RowEvent::GivenBack)?;
        // The number is not used again: a late record of the attempt that was not made must not pass for the next one's.
        self.working.list(self.conn, row, attempt.next(), Requeue::Anyone)?;
        self.tallies.shift(Some(flight.kind.request_type), (RowState::Sending, None), (state, flight.last_code));
        Ok(())
    }

    /// Takes a row out of those in flight, and returns what it goes to.
    fn land(&mut self, row: RowId, attempt: AttemptNo, event: RowEvent) -> Result<(InFlight, RowState), Fault> {
        let Some(&flight) = self.working.in_flight.get(&row) else { return self.refuse(row, event) };
        if flight.attempt != attempt {
            let (found, claimed) = (attempt.get(), flight.attempt.get());
            let why = format!("row {row}: attempt {found} is not the one that is claimed ({claimed})");
            return Err(Fault::Refused(why));
        }
        let state = RowState::Sending.next(event).map_err(|illegal| Fault::illegal(row, illegal))?;
        self.working.in_flight.remove(&row);
        Ok((flight, state))
    }

    /// Claims rows that are pending again and that this session does not hold, the lowest first.
    fn claim_free(&mut self, guard: &mut Guard<'_>) -> Result<(), Fault> {
        if self.working.n_free == 0 {
            return Ok(());
        }
        let sql = "SELECT row FROM pending_again WHERE session IS NOT ? ORDER BY row LIMIT ?";
        let free = (self.working.session, guard.n_to_look_at());
        for row in query::all(self.conn, sql, free, |line| line.get(0))? {
            let Some(LoadRow::Item(item)) = load_row(self.conn, row)? else { return Err(Damage::row_gone(row).into()) };
            match guard.admit(item.request.request_kind()) {
                Admission::Claim => self.claim_again(row, item.request)?,
                Admission::PassOver => self.pass_over(row, item.request.request_kind())?,
                Admission::Stop => return Ok(()),
            }
        }
        Ok(())
    }

    /// Keeps a listed row for this session's claims by number.
    fn pass_over(&mut self, row: RowId, kind: RequestKind) -> rusqlite::Result<()> {
        self.answer.passed_over.push((row, kind));
        self.working.hold(self.conn, row)
    }

    /// Claims a row by its number, or passes it over.
    fn claim_listed(&mut self, row: RowId, guard: &mut Guard<'_>) -> Result<(), Fault> {
        match load_row(self.conn, row)? {
            Some(LoadRow::Item(item)) if guard.admits(item.request.request_kind()) => {
                self.claim_again(row, item.request)
            }
            Some(LoadRow::Item(item)) => Ok(self.pass_over(row, item.request.request_kind())?),
            Some(LoadRow::Invalid(_)) | None => self.refuse(row, RowEvent::Claimed),
        }
    }

    /// Claims a row that is pending again.
    fn claim_again(&mut self, row: RowId, request: CreateRequest) -> Result<(), Fault> {
        let Some(attempt) = self.working.unlist(self.conn, row)? else {
            return self.refuse(row, RowEvent::Claimed);
        };
        self.insert_claim(row, row, attempt)?;
        let history = history_of(self.conn, row)?;
        let counted_attempts = history.counted_attempts();
        self.take_off(ClaimedRow { row, attempt, counted_attempts, request }, history.code());
        Ok(())
    }

    /// Claims rows that were never claimed, in row order. One about which something was decided is left alone: it is settled,
    /// or it is listed as pending again.
    fn claim_fresh(&mut self, guard: &mut Guard<'_>) -> Result<(), Fault> {
        if self.working.fresh_after == u32::MAX || guard.wanted == 0 {
            return Ok(());
        }
        let fresh = self.look_at_fresh(guard)?;
        for range in fresh.chunk_by(|(one, _), (other, _)| other.get() - one.get() == 1) {
            if let [(first, _), ..] = range
                && let [.., (last, _)] = range
            {
                self.insert_claim(*first, *last, AttemptNo::FIRST)?;
            }
        }
        for (row, request) in fresh {
            self.take_off(ClaimedRow { row, attempt: AttemptNo::FIRST, counted_attempts: 0, request }, None);
        }
        Ok(())
    }

    /// Looks at rows that were never claimed, lists those that are passed over, and returns those that are to be claimed.
    fn look_at_fresh(&mut self, guard: &mut Guard<'_>) -> rusqlite::Result<Vec<(RowId, CreateRequest)>> {
        let conn = self.conn;
        // Hardly ever was anything decided about rows that are not yet claimed; then it need not be asked for each.
        let has_decisions = self.has_decisions_after(self.working.fresh_after)?;
        let undecided = if has_decisions { format!("AND {UNDECIDED}") } else { String::new() };
        let mut statement = conn.prepare_cached(&format!(
            "SELECT {REQUEST_COLUMNS}, row FROM items i WHERE row > ? AND reason IS NULL {undecided} ORDER BY row LIMIT ?"
        ))?;
        let mut n_left = guard.n_to_look_at();
        let mut lines = statement.query((self.working.fresh_after, n_left))?;
        let mut fresh = Vec::new();
        while let Some(line) = lines.next()? {
            let (row, request): (RowId, _) = (line.get(9)?, request_of(line, 0)?);
            let kind = request.request_kind();
            match guard.admit(kind) {
                Admission::Claim => fresh.push((row, request)),
                Admission::PassOver => {
                    self.answer.passed_over.push((row, kind));
                    self.working.list(conn, row, AttemptNo::FIRST, Requeue::Listed)?;
                }
                Admission::Stop => return Ok(fresh),
            }
            self.working.fresh_after = row.get();
            n_left -= 1;
        }
        if n_left > 0 {
            // There are no more: the rows behind the last one (all skipped) are not searched again at every step.
            self.working.fresh_after = u32::MAX;
        }
        Ok(fresh)
    }

    fn has_decisions_after(&self, row: u32) -> rusqlite::Result<bool> {
        let sql = "SELECT EXISTS (SELECT 1 FROM outcomes WHERE row > ?1)
            OR EXISTS (SELECT 1 FROM left_out WHERE row > ?1)";
        query::value(self.conn, sql, [row])
    }

    fn insert_claim(&self, first: RowId, last: RowId, attempt: AttemptNo) -> rusqlite::Result<()> {
        let sql = "INSERT INTO claims (first_row, attempt, last_row, session, claimed_at) VALUES (?, ?, ?, ?, ?)";
        let Stamp { session, at } = self.stamp;
        query::change(self.conn, sql, (first, attempt, last, session, Micros(at))).map(drop)
    }

    /// Counts a claimed row as in flight and puts it into the answer.
    fn take_off(&mut self, claimed: ClaimedRow, last_code: Option<ErrorCode>) {
        let state = RowState::Pending.next(RowEvent::Claimed).expect("a pending row can be claimed");
        let kind = claimed.request.request_kind();
        self.tallies.shift(Some(kind.request_type), (RowState::Pending, last_code), (state, None));
        self.working.in_flight.insert(claimed.row, InFlight { attempt: claimed.attempt, kind, last_code });
        self.answer.rows.push(claimed);
    }

    /// Says why a row that is not in the state for an event cannot take it.
    fn refuse<T>(&self, row: RowId, event: RowEvent) -> Result<T, Fault> {
        let loaded = load_row(self.conn, row)?.ok_or_else(|| Fault::no_such_row(row))?;
        let state = history_of(self.conn, row)?.state(loaded.state());
        state.next(event).map_err(|illegal| Fault::illegal(row, illegal))?;
        if state == RowState::Pending {
            let why = format!("row {row} was never attempted; such rows are claimed in row order");
            return Err(Fault::Refused(why));
        }
        // The tables say that it is claimed, and this session did not claim it.
        Err(Damage::row_gone(row).into())
    }
}

/// Returns the line that says how an attempt ended.
fn line_of(record: &AttemptRecord, state: RowState, stamp: Stamp) -> OutcomeLine {
    let line = OutcomeLine {
        started_at: Some(record.started_at),
        latency_us: Some(record.latency_us),
        ..OutcomeLine::new((record.attempt.get(), 0), state, Source::Answer, stamp)
    };
    match &record.outcome {
        // 201 is the only status that an outcome without fault comes from.
        Outcome::Created(uri) => OutcomeLine { http_status: Some(201), uri: Some(uri.clone()), ..line },
        Outcome::Pending(fault) | Outcome::Failed(fault) | Outcome::InDoubt(fault) => OutcomeLine {
            http_status: fault.http_status,
            code: Some(fault.code),
            message: Some(fault.message.clone()),
            correlation_id: fault.correlation_id.clone(),
            ..line
        },
    }
}
