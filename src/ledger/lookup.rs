//! Looking up single rows and kinds, fast enough to be asked for each request of a server's list.

use std::cell::OnceCell;
use std::collections::BTreeSet;

use rusqlite::{Connection, Row};

use super::error::LedgerError;
use super::history::{OutcomeLine, history_of};
use super::item::{kind_of, load_row};
use super::query::{self, LAST_WORD, Micros, UNDECIDED};
use super::reader::Reader;
use super::result::{CreatedAt, ResultRow};
use super::state::RowState;
use super::working::{KindRecord, fresh_after, load_kinds};
use crate::request::{CreateRequest, Guid, RequestUuid, RowId};

/// Returns the statement that lists the pending rows behind ?1, where claims in row order have come to ?2; up to ?3 of them.
pub(super) fn pending_rows() -> String {
    format!(
        "SELECT row FROM pending_again WHERE row > ?1
         UNION ALL
         SELECT row FROM items i WHERE row > max(?1, ?2) AND reason IS NULL AND {UNDECIDED}
         ORDER BY row LIMIT ?3"
    )
}

/// What a ledger knows of one row, whatever its state.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RowFacts {
    /// The state. `sending` only while this session has it claimed.
    pub state: RowState,
    /// What is or was to be sent; none of an invalid row.
    pub request: Option<CreateRequest>,
    /// The uuid of its request, where it is created.
    pub uuid: Option<RequestUuid>,
    /// The session that made its last attempt, or was to; none where none was made.
    pub session: Option<u32>,
}

/// Returns the statement that finds the rows that are created now as a request. Left to itself, SQLite would rather pass over all
/// outcomes, which are in the wanted order.
pub(super) fn rows_of_uuid() -> String {
    format!(
        "SELECT row FROM outcomes o INDEXED BY outcomes_by_uuid WHERE uuid = ? AND state = 'created' AND {LAST_WORD}
         ORDER BY row LIMIT 2"
    )
}

/// Returns the row that is created now as this request, and a second one, which is only there while verdicts are taken.
pub(super) fn rows_of(conn: &Connection, uuid: RequestUuid) -> rusqlite::Result<Vec<RowId>> {
    query::all(conn, &rows_of_uuid(), [uuid], |line| line.get(0))
}

impl Reader {
    /// Returns what is known of a row, or none where the run has no such row. A few lookups by index.
    ///
    /// # Errors
    /// The ledger cannot be read.
    pub fn facts(&self, row: RowId) -> Result<Option<RowFacts>, LedgerError> {
        let facts = self.read(|conn| facts_of(conn, row))?;
        match facts {
            // Only then it matters whether the process lives that sends it; asking that opens the lock file.
            Some(facts) if facts.state == RowState::Sending => {
                Ok(Some(RowFacts { state: self.holder_state()?.reads(facts.state), ..facts }))
            }
            Some(_) | None => Ok(facts),
        }
    }

    /// Returns up to `limit` numbers of pending rows behind row number `after`, in order. An empty page is the end.
    ///
    /// # Errors
    /// The ledger cannot be read.
    pub fn pending(&self, after: u32, limit: u32) -> Result<Vec<RowId>, LedgerError> {
        self.read(|conn| query::all(conn, &pending_rows(), (after, fresh_after(conn)?, limit), |line| line.get(0)))
    }

    /// Returns up to `limit` rows that were invalid when they were loaded, in order: those in these states now, in any where none is
    /// named. It looks at no other rows.
    ///
    /// # Errors
    /// The ledger cannot be read.
    pub fn invalid(&self, limit: usize, states: &[RowState]) -> Result<Vec<ResultRow>, LedgerError> {
        let sql = "SELECT row FROM items WHERE original IS NOT NULL ORDER BY row";
        let loaded: Vec<RowId> = self.read(|conn| query::all(conn, sql, [], |line| line.get(0)))?;
        let mut found = Vec::new();
        for row in loaded {
            if found.len() == limit {
                break;
            }
            let row = self.page(row.get() - 1, 1, &[])?.into_iter();
            found.extend(row.filter(|row| states.is_empty() || states.contains(&row.state)));
        }
        Ok(found)
    }

    /// Returns the row that has this id in its manifest, or none. Of a row that was replaced and the one that stands for it,
    /// which have the same id, it is the latter.
    ///
    /// # Errors
    /// The ledger cannot be read.
    pub fn row_of_id(&self, id: &str) -> Result<Option<RowId>, LedgerError> {
        let sql = "SELECT max(row) FROM items WHERE id = ?";
        self.read(|conn| query::value(conn, sql, [id]))
    }

    /// Returns the row that is created now as this request, or none. One lookup by index.
    ///
    /// # Errors
    /// The ledger cannot be read.
    pub fn row_of_uuid(&self, uuid: RequestUuid) -> Result<Option<RowId>, LedgerError> {
        self.read(|conn| Ok(rows_of(conn, uuid)?.into_iter().next()))
    }

    /// Returns the marks of all requests that the ledger knows as created. It passes over all outcomes once, which is cheaper
    /// than some ten thousand calls of [`facts`](Self::facts).
    ///
    /// # Errors
    /// The ledger cannot be read.
    pub fn created_marks(&self) -> Result<CreatedMarks, LedgerError> {
        let sql = format!(
            "SELECT row, uuid, target, template FROM outcomes o JOIN items i USING (row)
             WHERE o.state = 'created' AND o.uuid IS NOT NULL AND {LAST_WORD} ORDER BY row"
        );
        let mut marks = CreatedMarks::default();
        let mut add = |line: &Row<'_>| -> rusqlite::Result<()> {
            marks.add(line.get(0)?, Mark::new(line.get(1)?, line.get(2)?, line.get(3)?));
            Ok(())
        };
        self.read(|conn| query::all(conn, &sql, [], &mut add))?;
        Ok(marks)
    }

    /// Calls `each` for every row that is created now, in the order in which the requests came to be, as far as the ledger knows:
    /// by the session that made the attempt, by its start, by row. One that a list found may be that of the first attempt. It passes over all outcomes and sorts them once; one is in
    /// memory here at a time.
    ///
    /// # Errors
    /// The ledger cannot be read.
    pub fn created_in_order(&self, mut each: impl FnMut(CreatedAt)) -> Result<(), LedgerError> {
        let sql = format!(
            "SELECT o.row, o.uuid, i.type, i.template, coalesce(a.made_by, a.session, o.session),
                 coalesce(a.started_at, o.recorded_at)
             FROM outcomes o JOIN items i ON i.row = o.row
             LEFT JOIN outcomes a ON a.row = o.row AND a.verdict = 0 AND a.attempt =
                 CASE WHEN o.verdict = 0 THEN o.attempt ELSE (SELECT min(x.attempt) FROM outcomes x
                     WHERE x.row = o.row AND x.verdict = 0) END
             WHERE o.state = 'created' AND o.uuid IS NOT NULL AND {LAST_WORD} ORDER BY 5, 6, 1"
        );
        let created = |line: &Row<'_>| -> rusqlite::Result<()> {
            let (kind, Micros(started_at)) = (kind_of(line, 2)?, line.get(5)?);
            each(CreatedAt { row: line.get(0)?, uuid: line.get(1)?, kind, session: line.get(4)?, started_at });
            Ok(())
        };
        self.read(|conn| query::all(conn, &sql, [], created)).map(drop)
    }

    /// Returns the rows that a list had shown to be absent, and that could be sent again for it, whatever became of them since. It passes
    /// over all outcomes once.
    ///
    /// # Errors
    /// The ledger cannot be read.
    pub fn found_absent(&self) -> Result<BTreeSet<RowId>, LedgerError> {
        let sql = "SELECT row FROM outcomes WHERE source = 'list' AND state = 'pending'";
        Ok(self.read(|conn| query::all(conn, sql, [], |line| line.get(0)))?.into_iter().collect())
    }

    /// Returns the last session at whose end a list had shown all that was created; 0 where none had.
    ///
    /// # Errors
    /// The ledger cannot be read.
    pub fn looked_to(&self) -> Result<u32, LedgerError> {
        let sql = "SELECT ifnull(max(session), 0) FROM sessions WHERE looked";
        self.read(|conn| query::value(conn, sql, []))
    }

    /// Returns whether a list has shown all that was created, or nothing was ever claimed.
    ///
    /// # Errors
    /// The ledger cannot be read.
    pub fn is_looked_through(&self) -> Result<bool, LedgerError> {
        let sql = "SELECT ifnull((SELECT max(session) FROM claims), 0)
            <= ifnull((SELECT max(session) FROM sessions WHERE looked), 0)";
        self.read(|conn| query::value(conn, sql, []))
    }

    /// Returns the accounts on the server that lists named as this run's.
    ///
    /// # Errors
    /// The ledger cannot be read.
    pub fn originators(&self) -> Result<BTreeSet<Guid>, LedgerError> {
        Ok(self.sessions()?.into_iter().filter_map(|session| session.first_look?.originator).collect())
    }

    /// Returns how many rows a session claimed; one that it claimed twice counts twice.
    ///
    /// # Errors
    /// The ledger cannot be read.
    pub fn n_claimed(&self, session: u32) -> Result<u64, LedgerError> {
        let sql = "SELECT ifnull(sum(last_row - first_row + 1), 0) FROM claims WHERE session = ?";
        self.read(|conn| query::value(conn, sql, [session]))
    }

    /// Returns the kinds of request of which one was created, in the order of type and template.
    ///
    /// # Errors
    /// The ledger cannot be read.
    pub fn kinds(&self) -> Result<Vec<KindRecord>, LedgerError> {
        self.read(load_kinds)
    }

    /// Returns the pending rows that were never claimed, or of whose last attempt a person said that it created nothing, in order: no
    /// copy of the ledger as it is can have sent them.
    ///
    /// # Errors
    /// The ledger cannot be read.
    pub fn never_claimed(&self) -> Result<Vec<RowId>, LedgerError> {
        let sql = format!(
            "SELECT row FROM ({}) p WHERE NOT EXISTS
                 (SELECT 1 FROM claims c WHERE p.row BETWEEN c.first_row AND c.last_row AND c.attempt >
                     ifnull((SELECT max(o.attempt) FROM outcomes o WHERE o.row = p.row
                         AND o.source = 'person'), 0))
             ORDER BY row",
            pending_rows()
        );
        self.read(|conn| query::all(conn, &sql, (0, fresh_after(conn)?, -1), |line| line.get(0)))
    }

    /// Returns how far the run has come.
    ///
    /// # Errors
    /// The ledger cannot be read.
    pub fn extent(&self) -> Result<Extent, LedgerError> {
        let sql = "SELECT (SELECT ifnull(max(session), 0) FROM claims),
                 (SELECT count(*) FROM claims),
                 (SELECT count(*) FROM outcomes WHERE source NOT IN ('person', 'takeover'))";
        let extent =
            |line: &Row<'_>| Ok(Extent { session: line.get(0)?, n_claims: line.get(1)?, n_outcomes: line.get(2)? });
        self.read(|conn| conn.query_row(sql, [], extent))
    }
}

/// How far sending has come, whatever a person said of the rows, and whoever opened the ledger since. None of it ever goes back.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Extent {
    /// The newest session that claimed a row.
    pub session: u32,
    /// How many claims are on record.
    pub n_claims: u64,
    /// How many outcomes are, those by lists included.
    pub n_outcomes: u64,
}

/// Some bits of the request of each row that is known as created, and of what was asked for (8 bytes a row): enough to pass over
/// what a long list says of it again.
#[derive(Clone, Debug, Default)]
pub struct CreatedMarks {
    rows: Vec<Mark>,
    /// The bits of the uuids alone, in order: read when they are first asked for (4 bytes a row).
    uuids: OnceCell<Vec<u32>>,
}

/// 32 bits of a request's uuid, 16 of its target and of its template. 0 stands for none.
#[derive(Clone, Copy, Debug, Default)]
struct Mark {
    uuid: u32,
    target: u16,
    template: u16,
}

impl Mark {
    fn new(uuid: RequestUuid, target: Option<Guid>, template: Option<Guid>) -> Self {
        let short = |guid: Option<Guid>| guid.map_or(0, |guid| (hash(guid) >> 16) as u16 | 1);
        Self { uuid: hash(*uuid.guid()).max(1), target: short(target), template: short(template) }
    }
}

impl CreatedMarks {
    fn add(&mut self, row: RowId, mark: Mark) {
        let place = row.get() as usize;
        if place >= self.rows.len() {
            self.rows.resize(place + 1, Mark::default());
        }
        self.rows[place] = mark;
    }

    /// Returns whether some row may be known as created by this request.
    pub fn has_uuid(&self, uuid: RequestUuid) -> bool {
        let uuids = self.uuids.get_or_init(|| {
            let mut uuids: Vec<u32> = self.rows.iter().map(|mark| mark.uuid).filter(|uuid| *uuid != 0).collect();
            uuids.sort_unstable();
            uuids
        });
        uuids.binary_search(&hash(*uuid.guid()).max(1)).is_ok()
    }

    /// Returns whether the row is known as created by this request, and the request is for the row's target and template, where both
    /// name them. Of 4 billion other requests one would be taken for it, of 32,768 other targets one for the row's.
    pub fn has(&self, row: RowId, uuid: RequestUuid, target: Option<Guid>, template: Option<Guid>) -> bool {
        let found = Mark::new(uuid, target, template);
        let agrees = |sent: u16, found: u16| sent == 0 || found == 0 || sent == found;
        self.rows.get(row.get() as usize).is_some_and(|sent| {
            sent.uuid == found.uuid && agrees(sent.target, found.target) && agrees(sent.template, found.template)
        })
    }
}

fn hash(guid: Guid) -> u32 {
    let words = guid.as_bytes().as_chunks::<4>().0.iter().map(|word| u32::from_be_bytes(*word));
    words.fold(0_u32, |hash, word| (hash.rotate_left(5) ^ word).wrapping_mul(0x9E37_79B1))
}

fn facts_of(conn: &Connection, row: RowId) -> rusqlite::Result<Option<RowFacts>> {
    let Some(loaded) = load_row(conn, row)? else { return Ok(None) };
    let history = history_of(conn, row)?;
    let state = history.state(loaded.state());
    let created = history.outcomes.last().filter(|_| state == RowState::Created);
    Ok(Some(RowFacts {
        state,
        request: loaded.request().cloned(),
        uuid: created.and_then(OutcomeLine::uuid),
        session: history.claim.map(|claim| claim.session),
    }))
}
