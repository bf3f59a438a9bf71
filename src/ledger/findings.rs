//! What lists showed that is not as it should be, until a list or a person says otherwise; and what of it a person accepted.

use std::collections::HashSet;

use jiff::Timestamp;
use rusqlite::Connection;

use super::error::{Fault, LedgerError};
use super::query::{self, Micros, Uuids};
use super::reader::Reader;
use super::run::Stamp;
use crate::request::{RequestUuid, RowId};

/// What kind of finding.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum FindingKind {
    /// Two requests have the tag and type of one row.
    Double,
    /// A request has the tag of a row that is failed, skipped, invalid or replaced.
    Unsent,
    /// The request of a row is missing, although earlier and later ones are there.
    Missing,
    /// Another run has asked for the same meanwhile.
    Elsewhere,
    /// The request for which a row was skipped came to nothing.
    SkippedGone,
}

impl FindingKind {
    /// All kinds.
    pub const ALL: [Self; 5] = [Self::Double, Self::Unsent, Self::Missing, Self::Elsewhere, Self::SkippedGone];

    /// Returns the stable name, as the ledger and `--json` write it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Double => "double",
            Self::Unsent => "unsent",
            Self::Missing => "missing",
            Self::Elsewhere => "elsewhere",
            Self::SkippedGone => "skipped-gone",
        }
    }
}

/// Something that a list showed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// What kind.
    pub kind: FindingKind,
    /// The row that it is about, where there is one.
    pub row: Option<RowId>,
    /// The requests that it is about. Kind, row and these tell it from others, in whatever order they come.
    pub uuids: Vec<RequestUuid>,
    /// What there is to say, in words for people.
    pub detail: String,
}

/// A finding that is not closed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OpenFinding {
    /// Its number in the run, from 1.
    pub number: i64,
    /// When it was first seen.
    pub found_at: Timestamp,
    /// The session that saw it first.
    pub session: u32,
    /// What was seen; the uuids sorted.
    pub finding: Finding,
}

/// Why a finding is closed that the newest list did not show.
const NOT_SEEN: &str = "not seen any more";

/// Makes exactly these the open findings, with what is said of them now, but for those that a person has closed: what was looked at
/// stays looked at.
pub(super) fn set_findings(conn: &Connection, stamp: Stamp, findings: Vec<Finding>) -> rusqlite::Result<()> {
    let Stamp { session, at: now } = stamp;
    let mut shown = HashSet::new();
    for Finding { kind, row, mut uuids, detail } in findings {
        uuids.sort_unstable();
        uuids.dedup();
        let known = "SELECT finding FROM findings
            WHERE kind = ? AND row IS ? AND uuids = ? AND (closed_at IS NULL OR reason <> ?)";
        let what = (kind, row, Uuids(uuids.as_slice()), NOT_SEEN);
        if let Some(number) = query::first(conn, known, what, |line| line.get(0))? {
            let sql = "UPDATE findings SET detail = ? WHERE finding = ? AND closed_at IS NULL";
            query::change(conn, sql, (detail, number))?;
            shown.insert(number);
        } else {
            let sql = "INSERT INTO findings (kind, row, uuids, detail, found_at, session) VALUES (?, ?, ?, ?, ?, ?)";
            query::change(conn, sql, (kind, row, Uuids(uuids.as_slice()), detail, Micros(now), session))?;
            shown.insert(conn.last_insert_rowid());
        }
    }
    for number in load_open(conn)?.into_iter().map(|open| open.number).filter(|number| !shown.contains(number)) {
        let sql = "UPDATE findings SET closed_at = ?, reason = ? WHERE finding = ?";
        query::change(conn, sql, (Micros(now), NOT_SEEN, number))?;
    }
    Ok(())
}

/// Closes the open findings about a row.
///
/// # Errors
/// None is open, or SQLite failed.
pub(super) fn close_findings(conn: &Connection, now: Timestamp, row: RowId, reason: &str) -> Result<(), Fault> {
    let sql = "UPDATE findings SET closed_at = ?, reason = ? WHERE row = ? AND closed_at IS NULL";
    let n_closed = query::change(conn, sql, (Micros(now), reason, row))?;
    if n_closed == 0 { Err(Fault::Refused(format!("no finding about row {row} is open"))) } else { Ok(()) }
}

fn load_open(conn: &Connection) -> rusqlite::Result<Vec<OpenFinding>> {
    let sql = "SELECT finding, kind, row, uuids, detail, found_at, session FROM findings
        WHERE closed_at IS NULL ORDER BY finding";
    query::all(conn, sql, [], |line| {
        let (kind, row, Uuids(uuids), detail) = (line.get(1)?, line.get(2)?, line.get(3)?, line.get(4)?);
        let Micros(found_at) = line.get(5)?;
        let finding = Finding { kind, row, uuids, detail };
        Ok(OpenFinding { number: line.get(0)?, found_at, session: line.get(6)?, finding })
    })
}

/// Keeps requests of other runs beside which a person wants those of this run sent; those that are there stay as they are.
pub(super) fn accept_hits(conn: &Connection, stamp: Stamp, hits: &[RequestUuid]) -> rusqlite::Result<()> {
    let Stamp { session, at } = stamp;
    let sql = "INSERT INTO accepted_hits (uuid, session, recorded_at) VALUES (?, ?, ?) ON CONFLICT DO NOTHING";
    hits.iter().try_for_each(|uuid| query::change(conn, sql, (uuid, session, Micros(at))).map(drop))
}

impl Reader {
    /// Returns the findings that are open, the one seen first first.
    ///
    /// # Errors
    /// The ledger cannot be read.
    pub fn open_findings(&self) -> Result<Vec<OpenFinding>, LedgerError> {
        self.read(load_open)
    }

    /// Returns the requests of other runs that a person has accepted ([`Ledger::accept_hits`](super::Ledger::accept_hits)),
    /// sorted.
    ///
    /// # Errors
    /// The ledger cannot be read.
    pub fn accepted_hits(&self) -> Result<Vec<RequestUuid>, LedgerError> {
        let sql = "SELECT uuid FROM accepted_hits ORDER BY uuid";
        self.read(|conn| query::all(conn, sql, [], |line| line.get(0)))
    }
}
