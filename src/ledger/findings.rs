//! What lists showed that is not as it should be, until a list or a person says otherwise; and what of it a person accepted.

use jiff::Timestamp;
use rusqlite::Connection;

use super::error::{Fault, LedgerError};
use super::query::{self, Micros, Uuids};
use super::reader::Reader;
use super::session::Stamp;
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

impl Finding {
    fn sorted(mut self) -> Self {
        self.uuids.sort_unstable();
        self.uuids.dedup();
        self
    }

    fn is_same(&self, other: &Self) -> bool {
        (self.kind, self.row, &self.uuids) == (other.kind, other.row, &other.uuids)
    }
}

/// A finding that is not closed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OpenFinding {
    /// Its number in the run, from 1.
    pub number: u64,
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
    let known = load_open(conn)?;
    let mut passed_over: Vec<Finding> = load(conn, LOOKED_AT)?.into_iter().map(|closed| closed.finding).collect();
    let mut kept = vec![false; known.len()];
    for finding in findings.into_iter().map(Finding::sorted) {
        if let Some(at) = known.iter().position(|open| open.finding.is_same(&finding)) {
            kept[at] = true;
            let sql = "UPDATE findings SET detail = ?1 WHERE finding = ?2 AND detail <> ?1";
            query::change(conn, sql, (finding.detail, known[at].number))?;
        } else if !passed_over.iter().any(|one| one.is_same(&finding)) {
            let (row, uuids) = (finding.row, Uuids(finding.uuids.as_slice()));
            query::change(
                conn,
                "INSERT INTO findings (kind, row, uuids, detail, found_at, session) VALUES (?, ?, ?, ?, ?, ?)",
                (finding.kind, row, uuids, &finding.detail, Micros(now), session),
            )?;
            passed_over.push(finding);
        }
    }
    for (open, _) in known.iter().zip(kept).filter(|(_, is_kept)| !is_kept) {
        let sql = "UPDATE findings SET closed_at = ?, reason = ? WHERE finding = ?";
        query::change(conn, sql, (Micros(now), NOT_SEEN, open.number))?;
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
    load(conn, "closed_at IS NULL")
}

/// Closed, and not by a list.
const LOOKED_AT: &str = "closed_at IS NOT NULL AND reason <> 'not seen any more'";

fn load(conn: &Connection, which: &str) -> rusqlite::Result<Vec<OpenFinding>> {
    let sql = format!(
        "SELECT finding, kind, row, uuids, detail, found_at, session FROM findings WHERE {which} ORDER BY finding"
    );
    query::all(conn, &sql, [], |line| {
        Ok(OpenFinding {
            number: line.get(0)?,
            found_at: line.get::<_, Micros>(5)?.0,
            session: line.get(6)?,
            finding: Finding {
                kind: line.get(1)?,
                row: line.get(2)?,
                uuids: line.get::<_, Uuids<_>>(3)?.0,
                detail: line.get(4)?,
            },
        })
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
