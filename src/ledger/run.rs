//! What a ledger says about its run as a whole.

use jiff::Timestamp;
use rusqlite::Connection;

use super::error::{Damage, Fault};
use super::item::{ManifestPart, RunIdentity};
use super::query::{self, Micros};
use crate::request::{NamedValue, NamedValues, RunId, RunKey};

/// A run: what was loaded, and when it was told to run.
#[derive(Clone, Debug)]
pub struct RunInfo {
    /// The run's id.
    pub id: RunId,
    /// The key of its tags. Never printed.
    pub key: RunKey,
    /// The server and the options that shape rows.
    pub identity: RunIdentity,
    /// Its manifests, in order.
    pub parts: Vec<ManifestPart>,
    /// When it was loaded.
    pub created_at: Timestamp,
    /// When it was told to run; none where it was only loaded.
    pub started_at: Option<Timestamp>,
}

impl RunInfo {
    /// Returns how many rows it has, invalid ones included.
    pub fn n_rows(&self) -> u64 {
        n_rows(&self.parts)
    }

    /// Returns the manifest of the run that has this content, where there is one.
    pub fn part_of(&self, sha256: &[u8; 32]) -> Option<&ManifestPart> {
        self.parts.iter().find(|part| part.sha256 == *sha256)
    }
}

/// Returns how many rows these manifests have.
pub(super) fn n_rows(parts: &[ManifestPart]) -> u64 {
    parts.iter().map(|part| u64::from(part.n_rows)).sum()
}

/// Returns options as the ledger keeps them.
pub(super) fn options_to_pairs(options: &[(String, String)]) -> NamedValues {
    options.iter().map(|(name, value)| NamedValue::new(name, value)).collect()
}

/// Returns options from what the ledger keeps.
pub(super) fn options_of(pairs: &NamedValues) -> Vec<(String, String)> {
    pairs.to_vec().into_iter().map(|pair| (pair.name, pair.value)).collect()
}

/// Writes the run and its manifests.
pub(super) fn insert_run(conn: &Connection, run: &RunInfo) -> rusqlite::Result<()> {
    query::change(
        conn,
        "INSERT INTO run (id, key, server, rehearsal, options, created_at) VALUES (?, ?, ?, ?, ?, ?)",
        (
            run.id.as_bytes(),
            run.key.as_bytes(),
            &run.identity.server,
            run.identity.rehearsal,
            options_to_pairs(&run.identity.options),
            Micros(run.created_at),
        ),
    )?;
    insert_parts(conn, &run.parts)
}

/// Writes manifests of the run.
pub(super) fn insert_parts(conn: &Connection, parts: &[ManifestPart]) -> rusqlite::Result<()> {
    let sql = "INSERT INTO manifests (part, name, size_bytes, sha256, first_row, n_rows) VALUES (?, ?, ?, ?, ?, ?)";
    for part in parts {
        let ManifestPart { part, name, size_bytes, sha256, first_row, n_rows } = part;
        query::change(conn, sql, (part, name, size_bytes, sha256, first_row, n_rows))?;
    }
    Ok(())
}

/// Reads the run, and checks that its rows add up.
pub(super) fn load_run(conn: &Connection) -> Result<RunInfo, Fault> {
    let parts = load_parts(conn)?;
    let sql = "SELECT id, key, server, rehearsal, options, created_at, started_at FROM run";
    let run = query::first(conn, sql, [], |line| {
        Ok(RunInfo {
            id: RunId::from_bytes(line.get(0)?),
            key: RunKey::from_bytes(line.get(1)?),
            identity: RunIdentity { server: line.get(2)?, rehearsal: line.get(3)?, options: options_of(&line.get(4)?) },
            parts,
            created_at: line.get::<_, Micros>(5)?.0,
            started_at: line.get::<_, Option<Micros>>(6)?.map(|at| at.0),
        })
    })?;
    let n_runs: u64 = query::value(conn, "SELECT count(*) FROM run", [])?;
    let run = run
        .filter(|_| n_runs == 1)
        .ok_or_else(|| Damage::Contradiction("it does not hold exactly one run".to_owned()))?;
    let tallied: u64 = query::value(conn, "SELECT coalesce(sum(n), 0) FROM tallies", [])?;
    if tallied != run.n_rows() {
        let why = format!("its tallies count {tallied} rows, and it was loaded with {}", run.n_rows());
        return Err(Damage::Contradiction(why).into());
    }
    Ok(run)
}

fn load_parts(conn: &Connection) -> rusqlite::Result<Vec<ManifestPart>> {
    let sql = "SELECT part, name, size_bytes, sha256, first_row, n_rows FROM manifests ORDER BY part";
    query::all(conn, sql, [], |line| {
        Ok(ManifestPart {
            part: line.get(0)?,
            name: line.get(1)?,
            size_bytes: line.get(2)?,
            sha256: line.get(3)?,
            first_row: line.get(4)?,
            n_rows: line.get(5)?,
        })
    })
}
