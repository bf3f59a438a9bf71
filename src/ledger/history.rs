//! The state of rows, derived from what was appended about them.

use std::collections::BTreeMap;

use jiff::Timestamp;
use rusqlite::{CachedStatement, Connection, Row, params};

use super::query::{self, Micros};
use super::run::Stamp;
use super::state::{RowEvent, RowState};
use crate::request::{AttemptNo, CorrelationId, ErrorCode, RequestUri, RequestUuid, RowId};

/// Who says what became of a row.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Source {
    /// The process that made the call.
    Answer,
    /// The session that found the attempt left open by a dead one.
    Takeover,
    /// The server's own list.
    List,
    /// A person (`cmbatch settle`).
    Person,
    /// A person's order to send failed rows again (`cmbatch replay`).
    Replay,
}

impl Source {
    /// All sources.
    pub const ALL: [Self; 5] = [Self::Answer, Self::Takeover, Self::List, Self::Person, Self::Replay];

    /// Returns the name, as the ledger writes it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Answer => "answer",
            Self::Takeover => "takeover",
            Self::List => "list",
            Self::Person => "person",
            Self::Replay => "replay",
        }
    }
}

/// One line of `outcomes`.
#[derive(Clone, Debug)]
pub(super) struct OutcomeLine {
    pub(super) attempt: u32,
    pub(super) verdict: u32,
    pub(super) state: RowState,
    pub(super) source: Source,
    pub(super) session: u32,
    /// The session that made the attempt, where that is another one.
    pub(super) made_by: Option<u32>,
    pub(super) recorded_at: Timestamp,
    pub(super) started_at: Option<Timestamp>,
    pub(super) latency_us: Option<u64>,
    pub(super) http_status: Option<u16>,
    pub(super) code: Option<ErrorCode>,
    pub(super) message: Option<String>,
    pub(super) correlation_id: Option<CorrelationId>,
    pub(super) uri: Option<RequestUri>,
    pub(super) replaced_by: Option<RowId>,
}

const OUTCOME_COLUMNS: &str = "attempt, verdict, state, source, session, recorded_at, started_at, latency_us, \
     http_status, code, message, correlation_id, uri, replaced_by, made_by";

impl OutcomeLine {
    /// Reads a line from [`OUTCOME_COLUMNS`].
    fn read(line: &Row<'_>) -> rusqlite::Result<Self> {
        Ok(Self {
            attempt: line.get(0)?,
            verdict: line.get(1)?,
            state: line.get(2)?,
            source: line.get(3)?,
            session: line.get(4)?,
            recorded_at: line.get::<_, Micros>(5)?.0,
            started_at: line.get::<_, Option<Micros>>(6)?.map(|at| at.0),
            latency_us: line.get(7)?,
            http_status: line.get(8)?,
            code: line.get(9)?,
            message: line.get(10)?,
            correlation_id: line.get(11)?,
            uri: line.get(12)?,
            replaced_by: line.get(13)?,
            made_by: line.get(14)?,
        })
    }

    /// Returns a line that says who says what and when, and nothing else yet.
    pub(super) const fn new(
        (attempt, verdict): (u32, u32),
        state: RowState,
        source: Source,
        Stamp { session, at: recorded_at }: Stamp,
    ) -> Self {
        Self {
            attempt,
            verdict,
            state,
            source,
            session,
            made_by: None,
            recorded_at,
            started_at: None,
            latency_us: None,
            http_status: None,
            code: None,
            message: None,
            correlation_id: None,
            uri: None,
            replaced_by: None,
        }
    }

    /// Prepares what [`insert`](Self::insert) runs; looking it up each time would cost a fifth of that.
    pub(super) fn prepare_insert(conn: &Connection) -> rusqlite::Result<CachedStatement<'_>> {
        conn.prepare_cached(&format!(
            "INSERT INTO outcomes (row, {OUTCOME_COLUMNS}, uuid) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"
        ))
    }

    /// Appends the line to what is known of a row.
    pub(super) fn insert(&self, prepared: &mut CachedStatement<'_>, row: RowId) -> rusqlite::Result<()> {
        prepared.execute(params![
            row,
            self.attempt,
            self.verdict,
            self.state,
            self.source,
            self.session,
            Micros(self.recorded_at),
            self.started_at.map(Micros),
            self.latency_us,
            self.http_status,
            self.code,
            self.message,
            self.correlation_id.as_ref().map(CorrelationId::as_str),
            self.uri.as_ref().map(RequestUri::as_str),
            self.replaced_by,
            self.made_by,
            self.uuid(),
        ])?;
        Ok(())
    }

    /// Returns the uuid of the request, where it is known.
    pub(super) fn uuid(&self) -> Option<RequestUuid> {
        self.uri.as_ref().map(RequestUri::uuid)
    }

    /// Returns whether the line is how an attempt ended, not what was decided later.
    pub(super) const fn ends_attempt(&self) -> bool {
        self.attempt > 0 && self.verdict == 0
    }
}

/// The latest claim of a row.
#[derive(Clone, Copy, Debug)]
pub(super) struct ClaimLine {
    pub(super) attempt: u32,
    pub(super) session: u32,
    pub(super) claimed_at: Timestamp,
}

impl ClaimLine {
    /// Reads a claim from the columns `attempt, session, claimed_at` that begin at column `at`.
    pub(super) fn read(line: &Row<'_>, at: usize) -> rusqlite::Result<Self> {
        let Micros(claimed_at) = line.get(at + 2)?;
        Ok(Self { attempt: line.get(at)?, session: line.get(at + 1)?, claimed_at })
    }

    /// Returns the line that says that the claim was left open, as it is recorded by another session.
    pub(super) fn left_open(self, stamp: Stamp) -> OutcomeLine {
        let state = RowState::Sending.next(RowEvent::LeftOpen).expect("what is being sent can be left open");
        OutcomeLine {
            started_at: Some(self.claimed_at),
            made_by: Some(self.session),
            code: Some(ErrorCode::LeftOpen),
            ..OutcomeLine::new((self.attempt, 0), state, Source::Takeover, stamp)
        }
    }
}

/// Why a row is left out, and what takes it back.
#[derive(Clone, Debug)]
pub(super) struct LeftOutLine {
    /// The number of its next attempt, where it was listed as pending again.
    pub(super) attempt: Option<AttemptNo>,
    pub(super) reason: Option<String>,
}

/// All that was appended about one row.
#[derive(Clone, Debug, Default)]
pub(super) struct RowHistory {
    /// The latest claim.
    pub(super) claim: Option<ClaimLine>,
    /// The number of the next attempt, where the row is pending again.
    pub(super) next_attempt: Option<AttemptNo>,
    /// Why it is left out, where it is.
    pub(super) left_out: Option<LeftOutLine>,
    /// What became of it, the earliest first.
    pub(super) outcomes: Vec<OutcomeLine>,
}

impl RowHistory {
    /// Returns the number of the next attempt, where the row is pending again, or was when it was left out.
    fn listed(&self) -> Option<AttemptNo> {
        self.next_attempt.or_else(|| self.left_out.as_ref()?.attempt)
    }

    /// Returns the claim whose outcome is not known yet.
    pub(super) fn open_claim(&self) -> Option<ClaimLine> {
        let ended = self.outcomes.last().map_or(0, |line| line.attempt);
        self.claim.filter(|claim| self.listed().is_none() && claim.attempt > ended)
    }

    /// Returns the row's state, `loaded` being the one that it was loaded with.
    pub(super) fn state(&self, loaded: RowState) -> RowState {
        if self.left_out.is_some() { RowState::Skipped } else { self.beneath(loaded) }
    }

    /// Returns the state that the row has when it is not left out.
    pub(super) fn beneath(&self, loaded: RowState) -> RowState {
        if self.open_claim().is_some() {
            RowState::Sending
        } else if self.listed().is_some() {
            RowState::Pending
        } else {
            self.outcomes.last().map_or(loaded, |line| line.state)
        }
    }

    /// Returns how many attempts count against `--max-attempts`: none of those before a person's last order to send the row
    /// again.
    pub(super) fn counted_attempts(&self) -> u32 {
        let since_order = self.outcomes.rsplit(|line| line.source == Source::Replay).next().unwrap_or_default();
        let counted = since_order.iter().filter(|line| line.ends_attempt() && counts(line.source, line.code)).count();
        u32::try_from(counted).unwrap_or(u32::MAX)
    }

    /// Returns how the last attempt ended that was made.
    pub(super) fn last_attempt(&self) -> Option<&OutcomeLine> {
        self.outcomes.iter().rfind(|line| line.ends_attempt())
    }

    /// Returns the cause of the row's state.
    pub(super) fn code(&self) -> Option<ErrorCode> {
        self.outcomes.last().and_then(|line| line.code)
    }

    /// Returns the attempt and the verdict number of the next decision about the row. It stands behind all that is known of
    /// the row, a claim that was given back included: else that claim would read as open.
    pub(super) fn next_verdict(&self) -> (u32, u32) {
        let claimed = self.claim.map_or(0, |claim| claim.attempt);
        match self.outcomes.last() {
            Some(line) if line.attempt >= claimed => (line.attempt, line.verdict + 1),
            Some(_) | None => (claimed, 1),
        }
    }

    /// Returns the number of the attempt after the last one that was claimed, for a row that has a line. It is never 1:
    /// a claim of attempt 1 says how far claims in row order have come, and this row may lie behind that.
    pub(super) fn attempt_after(&self) -> AttemptNo {
        let known = self.next_verdict().0;
        AttemptNo::new(known).unwrap_or(AttemptNo::FIRST).next()
    }
}

/// Returns whether an attempt counts against `--max-attempts` of later sessions, too: it does not where the row had no fair try,
/// because a dead session left it open, the server throttled, wanted a sign-in, or had no API there, or nothing left.
pub(super) fn counts(source: Source, code: Option<ErrorCode>) -> bool {
    match source {
        Source::Takeover | Source::List | Source::Person | Source::Replay => false,
        Source::Answer => code.is_none_or(|code| !code.is_no_try()),
    }
}

/// Reads the history of one row.
pub(super) fn history_of(conn: &Connection, row: RowId) -> rusqlite::Result<RowHistory> {
    Ok(load_histories(conn, row.get(), row.get())?.remove(&row.get()).unwrap_or_default())
}

// Ranges do not overlap, so of those that begin before the first row that is asked for only the last can reach it.
const CLAIMS: &str = "SELECT first_row, last_row, attempt, session, claimed_at FROM claims
    WHERE last_row >= ?1 AND first_row BETWEEN ifnull((SELECT first_row FROM claims
        WHERE attempt = 1 AND first_row <= ?1 ORDER BY first_row DESC LIMIT 1), ?1) AND ?2";

/// Reads the histories of the rows from `first` to `last`; a row about which nothing was appended has none.
pub(super) fn load_histories(conn: &Connection, first: u32, last: u32) -> rusqlite::Result<BTreeMap<u32, RowHistory>> {
    let mut histories: BTreeMap<u32, RowHistory> = BTreeMap::new();
    let rows = (first, last);
    let claims = query::all(conn, CLAIMS, rows, |line| Ok((line.get(0)?, line.get(1)?, ClaimLine::read(line, 2)?)))?;
    for (range_first, range_last, claim) in claims {
        for number in first.max(range_first)..=last.min(range_last) {
            let history = histories.entry(number).or_default();
            if history.claim.is_none_or(|known| known.attempt < claim.attempt) {
                history.claim = Some(claim);
            }
        }
    }
    let listed = "SELECT row, attempt FROM pending_again WHERE row BETWEEN ? AND ?";
    for (number, attempt) in query::all(conn, listed, rows, |line| line.try_into())? {
        histories.entry(number).or_default().next_attempt = attempt;
    }
    let left_out = "SELECT row, attempt, reason FROM left_out WHERE row BETWEEN ? AND ?";
    for (number, attempt, reason) in query::all(conn, left_out, rows, |line| line.try_into())? {
        histories.entry(number).or_default().left_out = Some(LeftOutLine { attempt, reason });
    }
    let outcomes =
        format!("SELECT {OUTCOME_COLUMNS}, row FROM outcomes WHERE row BETWEEN ? AND ? ORDER BY row, attempt, verdict");
    for (number, line) in query::all(conn, &outcomes, rows, |line| Ok((line.get(15)?, OutcomeLine::read(line)?)))? {
        histories.entry(number).or_default().outcomes.push(line);
    }
    Ok(histories)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(attempt: u32, verdict: u32, state: RowState, source: Source, code: Option<ErrorCode>) -> OutcomeLine {
        let stamp = Stamp { session: 1, at: Timestamp::UNIX_EPOCH };
        OutcomeLine { code, ..OutcomeLine::new((attempt, verdict), state, source, stamp) }
    }

    #[test]
    fn the_latest_claim_or_outcome_decides_the_state() {
        let ended = |attempt, verdict, state| line(attempt, verdict, state, Source::Answer, None);
        for (claimed, next_attempt, outcomes, expected) in [
            (None, None, vec![], RowState::Pending),
            (Some(1), None, vec![], RowState::Sending),
            (Some(1), Some(2), vec![], RowState::Pending),
            (Some(1), None, vec![ended(1, 0, RowState::Created)], RowState::Created),
            (Some(1), Some(2), vec![ended(1, 0, RowState::Pending)], RowState::Pending),
            (Some(2), None, vec![ended(1, 0, RowState::Pending)], RowState::Sending),
            (Some(2), None, vec![ended(1, 0, RowState::Pending), ended(2, 0, RowState::Failed)], RowState::Failed),
            // What is decided later stands above how the attempt ended, also of a row that had no attempt.
            (Some(1), None, vec![ended(1, 0, RowState::InDoubt), ended(1, 1, RowState::Created)], RowState::Created),
            (None, None, vec![ended(0, 1, RowState::Skipped)], RowState::Skipped),
        ] {
            let claim = claimed.map(|attempt| ClaimLine { attempt, session: 1, claimed_at: Timestamp::UNIX_EPOCH });
            let history =
                RowHistory { claim, next_attempt: next_attempt.and_then(AttemptNo::new), left_out: None, outcomes };
            assert_eq!(history.state(RowState::Pending), expected, "{history:?}");
        }
    }

    #[test]
    fn attempts_count_where_the_row_had_a_fair_try() {
        let all = ErrorCode::ALL.into_iter().map(Some).chain([None]);
        let uncounted: Vec<_> = all.filter(|code| !counts(Source::Answer, *code)).collect();
        let no_try = [
            ErrorCode::ConnectionRefused,
            ErrorCode::NameNotResolved,
            ErrorCode::TlsFailed,
            ErrorCode::NotConnected,
            ErrorCode::Expired,
            ErrorCode::Throttled,
            ErrorCode::NotSignedIn,
            ErrorCode::ApiNotFound,
        ];
        assert_eq!(uncounted, no_try.map(Some));
        assert!(!counts(Source::Takeover, Some(ErrorCode::LeftOpen)));
        let outcomes = vec![
            line(1, 0, RowState::InDoubt, Source::Takeover, Some(ErrorCode::LeftOpen)),
            line(1, 1, RowState::Pending, Source::Answer, None),
            line(2, 0, RowState::Pending, Source::Answer, Some(ErrorCode::Unavailable)),
            line(3, 0, RowState::Pending, Source::Answer, Some(ErrorCode::NotConnected)),
            line(4, 0, RowState::Pending, Source::Answer, Some(ErrorCode::Throttled)),
        ];
        assert_eq!(RowHistory { outcomes, ..RowHistory::default() }.counted_attempts(), 1);
    }
}
