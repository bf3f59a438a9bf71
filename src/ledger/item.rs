//! What a ledger is loaded with, and how that is read again.

use std::collections::BTreeMap;

use jiff::Timestamp;
use rusqlite::{Connection, Row};
use serde_json::Value as Json;

use super::query;
use super::state::RowState;
use crate::request::{CreateRequest, NamedValues, RequestKind, RequestType, RowId};

/// One manifest of a run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ManifestPart {
    /// The part's number in the run, from 1.
    pub part: u32,
    /// The manifest's name, as the user gave it.
    pub name: String,
    /// Its size in bytes, as stored (compressed where it is).
    pub size_bytes: u64,
    /// The SHA-256 of those bytes.
    pub sha256: [u8; 32],
    /// The number of its first row in the run.
    pub first_row: RowId,
    /// How many rows it has, invalid ones included.
    pub n_rows: u32,
}

/// Where a row stands in its manifest.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RowPlace {
    /// The part, from 1.
    pub part: u32,
    /// The row's number in that manifest, from 1.
    pub part_row: u32,
    /// The physical line where it starts, from 1.
    pub line: u64,
}

/// A row that passed validation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Item {
    /// The row's number in the run.
    pub row: RowId,
    /// Where it stands.
    pub place: RowPlace,
    /// The user's own key of the row.
    pub id: Option<String>,
    /// What to send.
    pub request: CreateRequest,
    /// The `note.` columns.
    pub notes: NamedValues,
    /// Why the row is skipped from the start (a duplicate); none where it is to be sent.
    pub skipped: Option<String>,
}

/// A row that did not pass validation and was left out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InvalidItem {
    /// The row's number in the run.
    pub row: RowId,
    /// Where it stands.
    pub place: RowPlace,
    /// The row as a JSON object of its original columns and their text.
    pub original_json: String,
    /// What is wrong, one diagnostic a line.
    pub errors: String,
}

impl InvalidItem {
    /// Returns the columns and their text, trimmed, where they can be read; empty ones are left out.
    pub fn cells(&self) -> Vec<(String, String)> {
        let Ok(Json::Object(original)) = serde_json::from_str(&self.original_json) else { return Vec::new() };
        let text = |(name, value): (String, Json)| match value {
            Json::String(text) if !text.trim().is_empty() => Some((name, text.trim().to_owned())),
            _ => None,
        };
        original.into_iter().filter_map(text).collect()
    }

    /// Returns the text of a column, whatever the case of its name.
    pub fn cell(&self, name: &str) -> Option<String> {
        self.cells().into_iter().find(|(known, _)| known.eq_ignore_ascii_case(name)).map(|(_, text)| text)
    }
}

/// One row to load.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LoadRow {
    /// A valid row, boxed because it is far larger than the other.
    Item(Box<Item>),
    /// An invalid one.
    Invalid(Box<InvalidItem>),
}

/// The server and the options that shape rows: with the manifests, a run's identity.
///
/// Two runs are the same only where all of it is equal; [`RunIdentity::differences`] names what is not.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RunIdentity {
    /// The server's base URL, or `simulator` for a rehearsal.
    pub server: String,
    /// Whether the run is a rehearsal against the embedded simulator.
    pub rehearsal: bool,
    /// Option name (without dashes) and value, sorted by name.
    pub options: Vec<(String, String)>,
}

/// One value in which two runs differ.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Difference {
    /// What differs: `server`, `manifest`, or an option's name.
    pub what: String,
    /// The value in the ledger.
    pub in_ledger: String,
    /// The value asked for now.
    pub now: String,
}

/// What the options begin with that tell what a template's name stood for when the run was loaded.
pub const TEMPLATE_NAME: &str = "templates.";

impl RunIdentity {
    /// Returns in what `now` differs from this one (the ledger's), in the order server, options.
    pub fn differences(&self, now: &Self) -> Vec<Difference> {
        let mut values: BTreeMap<&str, [Option<&str>; 2]> = BTreeMap::new();
        for (place, identity) in [self, now].into_iter().enumerate() {
            for (name, value) in &identity.options {
                values.entry(name).or_default()[place] = Some(value);
            }
        }
        // The name of a template that only one of them knows changes no row.
        values.retain(|name, both| !name.starts_with(TEMPLATE_NAME) || both.iter().all(Option::is_some));
        let server = ("server", [Some(self.server.as_str()), Some(now.server.as_str())]);
        let differing = std::iter::once(server).chain(values).filter(|(_, [in_ledger, now])| in_ledger != now);
        let told = |value: Option<&str>| value.unwrap_or("(not set)").to_owned();
        differing
            .map(|(what, [in_ledger, now])| Difference {
                what: what.to_owned(),
                in_ledger: told(in_ledger),
                now: told(now),
            })
            .collect()
    }
}

/// Who works on a ledger: one process, from its start to its end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SessionInfo {
    /// The program's version.
    pub version: String,
    /// The operating system user.
    pub user: String,
    /// The host's name.
    pub host: String,
    /// The process id.
    pub pid: u32,
    /// What the process does: `submit`, `replay`.
    pub command: String,
    /// The options in force, name and value, never a secret.
    pub options: Vec<(String, String)>,
    /// When it started.
    pub started_at: Timestamp,
}

impl SessionInfo {
    /// The option that holds the account of the session's calls.
    pub const ACCOUNT: &'static str = "account";

    /// The option that holds the command as it was typed.
    pub const COMMAND_LINE: &'static str = "command-line";

    /// The option that says what unknown columns of a list are.
    pub const EXTRA_COLUMNS: &'static str = "extra-columns";

    /// Returns the account of the session's calls, where it is known.
    pub fn account(&self) -> Option<&str> {
        self.option(Self::ACCOUNT)
    }

    /// Returns the value of an option, where it is recorded.
    pub fn option(&self, wanted: &str) -> Option<&str> {
        self.options.iter().find(|(name, _)| name == wanted).map(|(_, value)| value.as_str())
    }
}

/// The columns that [`request_of`] reads, in its order.
pub(super) const REQUEST_COLUMNS: &str = "type, template, target, smartcard, profile, comment, priority, data, body";

/// Reads a request from [`REQUEST_COLUMNS`] that begin at column `at`.
pub(super) fn request_of(line: &Row<'_>, at: usize) -> rusqlite::Result<CreateRequest> {
    Ok(CreateRequest {
        kind: line.get(at)?,
        template: line.get(at + 1)?,
        target: line.get(at + 2)?,
        smartcard: line.get(at + 3)?,
        profile: line.get(at + 4)?,
        comment: line.get(at + 5)?,
        priority: line.get(at + 6)?,
        data: line.get(at + 7)?,
        body: line.get::<_, NamedValues>(at + 8)?.to_vec(),
    })
}

/// Reads a kind from the columns `type, template` that begin at column `at`.
pub(super) fn kind_of(line: &Row<'_>, at: usize) -> rusqlite::Result<RequestKind> {
    Ok(RequestKind { request_type: line.get(at)?, template: line.get(at + 1)? })
}

/// Reads a row, or none where the run has no such row.
pub(super) fn load_row(conn: &Connection, row: RowId) -> rusqlite::Result<Option<LoadRow>> {
    Ok(load_rows(conn, row.get(), row.get())?.pop())
}

/// Reads the rows from `first` to `last`, in order.
pub(super) fn load_rows(conn: &Connection, first: u32, last: u32) -> rusqlite::Result<Vec<LoadRow>> {
    let sql = format!(
        "SELECT row, part, part_row, line, reason, original, id, notes, {REQUEST_COLUMNS}
         FROM items WHERE row BETWEEN ? AND ? ORDER BY row"
    );
    query::all(conn, &sql, (first, last), |line| {
        let (row, reason) = (line.get(0)?, line.get::<_, Option<String>>(4)?);
        let place = RowPlace { part: line.get(1)?, part_row: line.get(2)?, line: line.get(3)? };
        if let Some(original_json) = line.get(5)? {
            let errors = reason.unwrap_or_default();
            return Ok(LoadRow::Invalid(Box::new(InvalidItem { row, place, original_json, errors })));
        }
        let (id, notes, request) = (line.get(6)?, line.get(7)?, request_of(line, 8)?);
        Ok(LoadRow::Item(Box::new(Item { row, place, id, request, notes, skipped: reason })))
    })
}

impl LoadRow {
    /// Returns the row's number.
    pub(super) fn row(&self) -> RowId {
        match self {
            Self::Item(item) => item.row,
            Self::Invalid(item) => item.row,
        }
    }

    /// Returns the row's state without all that happens later.
    pub(super) fn state(&self) -> RowState {
        match self {
            Self::Item(item) if item.skipped.is_some() => RowState::Skipped,
            Self::Item(_) => RowState::Pending,
            Self::Invalid(_) => RowState::Invalid,
        }
    }

    /// Returns what it asks for; none of an invalid row.
    pub(super) fn request(&self) -> Option<&CreateRequest> {
        match self {
            Self::Item(item) => Some(&item.request),
            Self::Invalid(_) => None,
        }
    }

    /// Returns the type of what it asks for; none of an invalid row.
    pub(super) fn request_type(&self) -> Option<RequestType> {
        self.request().map(|request| request.kind)
    }
}
