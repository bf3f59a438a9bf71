//! Reading a ledger, also while another process works on it.

use std::path::{Path, PathBuf};

use rusqlite::Connection;

use super::connection::{fold_when_last, has_log_with_rows, open_for_reading};
use super::error::{Fault, LedgerError};
use super::history::{Source, load_histories};
use super::item::{LoadRow, SessionInfo, load_rows};
use super::path::{check_is_file, resolve};
use super::query::{self, LAST_WORD};
use super::result::{FailureReason, Holder, ResultRow, SkipCause, SkipReason};
use super::run::{RunInfo, SessionFate, SessionRecord, load_run, load_sessions};
use super::state::RowState;
use super::tally::{Tally, load_tallies, n_in};
use crate::platform::DataLock;
use crate::request::{RequestType, RequestUuid, RowId};

/// How many rows a page looks at in one transaction: about 10 ms, so that the writer's log can be folded in between.
const ROWS_A_LOOK: u32 = 1000;

/// How many rows are looked at for an example of a cause.
const MAX_EXAMPLES: u32 = 100;

/// A read-only view of a ledger, on a connection of its own. It takes no lock, keeps nobody from working, and writes no row.
///
/// Every answer is one moment of the ledger; two answers may be two moments. The order of rows is that of their numbers.
#[derive(Debug)]
pub struct Reader {
    conn: Connection,
    path: PathBuf,
    run: RunInfo,
    /// Given up last, after SQLite has closed the file.
    lock: DataLock,
}

impl Reader {
    /// Opens a ledger to read it. On a read-only disk that works for a ledger at rest.
    ///
    /// # Errors
    /// There is none, it is none, it is damaged, newer, or cannot be read.
    pub fn open(path: &Path) -> Result<Self, LedgerError> {
        let path = resolve(path)?;
        check_is_file(&path)?;
        let lock = DataLock::open(&path).map_err(|source| LedgerError::Unreadable(path.clone(), source))?;
        let conn = open_for_reading(&path)?;
        let run = load_run(&conn).map_err(|fault| fault.at(&path))?;
        Ok(Self { conn, path, run, lock })
    }

    /// Returns what the ledger said about its run when it was opened.
    pub const fn run(&self) -> &RunInfo {
        &self.run
    }

    /// Returns how many rows are in which state for which cause, without a look at the rows.
    ///
    /// # Errors
    /// The ledger cannot be read.
    pub fn tallies(&self) -> Result<Vec<Tally>, LedgerError> {
        let holder = self.holder_state()?;
        self.read(|conn| load_tallies(conn, holder))
    }

    /// Returns how many rows of each type are in a state, without a look at the rows.
    ///
    /// # Errors
    /// The ledger cannot be read.
    pub fn by_type(&self, wanted: RowState) -> Result<Vec<(RequestType, u64)>, LedgerError> {
        let sql = "SELECT type, sum(n) FROM tallies WHERE state = ? AND type IS NOT NULL AND n > 0 GROUP BY type";
        let mut types: Vec<_> = self.read(|conn| query::all(conn, sql, [wanted], |line| line.try_into()))?;
        types.sort_unstable();
        Ok(types)
    }

    /// Returns why rows failed or are in doubt, the most frequent cause first, with an example of each.
    ///
    /// # Errors
    /// The ledger cannot be read.
    pub fn failures(&self, limit: usize) -> Result<Vec<FailureReason>, LedgerError> {
        let holder = self.holder_state()?;
        let sql = format!(
            "SELECT row, message FROM (SELECT * FROM outcomes WHERE code = ? AND state = ? ORDER BY row LIMIT ?) o
             WHERE {LAST_WORD} AND NOT EXISTS (SELECT 1 FROM left_out l WHERE l.row = o.row) ORDER BY row LIMIT 1"
        );
        self.read(|conn| {
            let mut reasons: Vec<FailureReason> = load_tallies(conn, holder)?
                .into_iter()
                .filter(|tally| matches!(tally.state, RowState::Failed | RowState::InDoubt))
                .map(|Tally { state, code, n }| FailureReason { state, code, n, row: None, message: None })
                .collect();
            reasons.sort_by_key(|reason| std::cmp::Reverse(reason.n));
            reasons.truncate(limit);
            for reason in &mut reasons {
                let of = (reason.code, reason.state, MAX_EXAMPLES);
                let example: Option<(_, Option<String>)> = query::first(conn, &sql, of, |line| line.try_into())?;
                (reason.row, reason.message) = example.map_or((None, None), |(row, message)| (Some(row), message));
            }
            Ok(reasons)
        })
    }

    /// Returns why rows are skipped, with the first of each.
    ///
    /// # Errors
    /// The ledger cannot be read.
    pub fn skipped(&self) -> Result<Vec<SkipReason>, LedgerError> {
        // The other columns are those of the line with the least row.
        let sql = "SELECT count(*), min(row), reason, uuid FROM left_out GROUP BY uuid IS NULL ORDER BY uuid IS NULL";
        self.read(|conn| {
            let mut reasons = query::all(conn, sql, [], |line| {
                let uuid: Option<RequestUuid> = line.get(3)?;
                Ok(SkipReason {
                    cause: if uuid.is_some() { SkipCause::Elsewhere } else { SkipCause::Dropped },
                    n: line.get(0)?,
                    row: Some(line.get(1)?),
                    message: line.get(2)?,
                    uuid,
                })
            })?;
            let n_later = reasons.iter().map(|reason| reason.n).sum();
            let n = n_in(conn, RowState::Skipped)?.saturating_sub(n_later);
            if n > 0 {
                // The first about which nothing was decided since.
                let sql = "SELECT row, reason FROM items i WHERE reason IS NOT NULL AND original IS NULL
                    AND NOT EXISTS (SELECT 1 FROM outcomes o WHERE o.row = i.row) ORDER BY row LIMIT 1";
                let (row, message) = query::first(conn, sql, [], |line| Ok((line.get(0)?, line.get(1)?)))?.unzip();
                reasons.insert(0, SkipReason { cause: SkipCause::Loaded, n, row, message, uuid: None });
            }
            Ok(reasons)
        })
    }

    /// Returns who dropped a row, and why; none where no person did.
    ///
    /// # Errors
    /// The ledger cannot be read.
    pub fn dropped_by(&self, row: RowId) -> Result<Option<String>, LedgerError> {
        let sql = "SELECT ifnull(reason, '') FROM left_out WHERE row = ? AND uuid IS NULL AND source = ?";
        self.read(|conn| query::first(conn, sql, (row, Source::Person), |line| line.get(0)))
    }

    /// Returns the rows that are left out because a request of another run stands for theirs, with that request, in order.
    ///
    /// # Errors
    /// The ledger cannot be read.
    pub fn skipped_elsewhere(&self) -> Result<Vec<(RowId, RequestUuid)>, LedgerError> {
        let sql = "SELECT row, uuid FROM left_out WHERE uuid IS NOT NULL ORDER BY row";
        self.read(|conn| query::all(conn, sql, [], |line| line.try_into()))
    }

    /// Calls `each` for every row in these states (all, where none is named), in row order, a page in memory at a time.
    ///
    /// # Errors
    /// The ledger cannot be read, or what `each` returned.
    pub fn for_each_row<E: From<LedgerError>>(
        &self,
        states: &[RowState],
        mut each: impl FnMut(ResultRow) -> Result<(), E>,
    ) -> Result<(), E> {
        let mut after = 0;
        loop {
            let page = self.page(after, ROWS_A_LOOK, states)?;
            let Some(last) = page.last() else { return Ok(()) };
            after = last.row.get();
            page.into_iter().try_for_each(&mut each)?;
        }
    }

    /// Returns up to `limit` rows behind row number `after` (0 for the first page) that are in one of these states, in any
    /// where none is named. An empty page is the end.
    ///
    /// # Errors
    /// The ledger cannot be read.
    pub fn page(&self, after: u32, limit: u32, states: &[RowState]) -> Result<Vec<ResultRow>, LedgerError> {
        let (mut page, mut after) = (Vec::new(), after);
        while page.len() < limit as usize {
            let rows = self.look(after)?;
            let Some(last) = rows.last() else { break };
            after = last.row.get();
            let wanted = rows.into_iter().filter(|row| states.is_empty() || states.contains(&row.state));
            page.extend(wanted.take(limit as usize - page.len()));
        }
        Ok(page)
    }

    /// Returns all sessions, the first one first.
    ///
    /// # Errors
    /// The ledger cannot be read.
    pub fn sessions(&self) -> Result<Vec<SessionRecord>, LedgerError> {
        self.read(|conn| load_sessions(conn, 0, u32::MAX))
    }

    /// Returns one session, or none where the run has none of this number.
    ///
    /// # Errors
    /// The ledger cannot be read.
    pub fn session(&self, number: u32) -> Result<Option<SessionRecord>, LedgerError> {
        self.read(|conn| Ok(load_sessions(conn, number, number)?.pop()))
    }

    /// Returns who works on the ledger now, if anyone does.
    ///
    /// # Errors
    /// The ledger or its lock cannot be read.
    pub fn holder(&self) -> Result<Option<SessionInfo>, LedgerError> {
        match self.holder_state()? {
            Holder::Lives => self.last_open_session(),
            Holder::Gone => Ok(None),
        }
    }

    /// Returns the last session where it has not ended: the holder's, or a dead one's.
    pub(super) fn last_open_session(&self) -> Result<Option<SessionInfo>, LedgerError> {
        let last = self.sessions()?.pop();
        Ok(last.filter(|session| session.fate == SessionFate::Open).map(|session| session.info))
    }

    pub(super) fn holder_state(&self) -> Result<Holder, LedgerError> {
        match self.lock.is_held() {
            Ok(true) => Ok(Holder::Lives),
            Ok(false) => Ok(Holder::Gone),
            Err(source) => Err(LedgerError::Unreadable(self.path.clone(), source)),
        }
    }

    /// Returns the next rows behind row number `after`; none at the end.
    fn look(&self, after: u32) -> Result<Vec<ResultRow>, LedgerError> {
        let Some(first) = after.checked_add(1) else { return Ok(Vec::new()) };
        let (last, holder) = (after.saturating_add(ROWS_A_LOOK), self.holder_state()?);
        self.read(|conn| {
            let mut histories = load_histories(conn, first, last)?;
            let with_history = |row: LoadRow| {
                let history = histories.remove(&row.row().get()).unwrap_or_default();
                ResultRow::of(row, history, holder, &self.run.parts)
            };
            Ok(load_rows(conn, first, last)?.into_iter().map(with_history).collect())
        })
    }

    /// Reads in one transaction: one moment of the ledger.
    pub(super) fn read<T>(&self, look: impl FnOnce(&Connection) -> rusqlite::Result<T>) -> Result<T, LedgerError> {
        self.examine(|conn| Ok(look(conn)?))
    }

    /// Reads as [`read`](Self::read) does, and may find that what is there contradicts itself.
    pub(super) fn examine<T>(&self, look: impl FnOnce(&Connection) -> Result<T, Fault>) -> Result<T, LedgerError> {
        let transaction = self.conn.unchecked_transaction().map_err(Fault::from);
        transaction.and_then(|transaction| look(&transaction)).map_err(|fault| fault.at(&self.path))
    }
}

impl Drop for Reader {
    fn drop(&mut self) {
        // The last connection deletes an empty log, so that a ledger at rest stays one file. A log with rows in it belongs to
        // a process that lives or died; folding it in is the next session's work, not a reader's.
        if !has_log_with_rows(&self.path) {
            // Without it SQLite would leave the empty log there, which is not wrong either.
            drop(fold_when_last(&self.conn));
        }
    }
}
