//! What readers are told about rows.

use std::sync::Arc;

use jiff::Timestamp;
use rusqlite::{Connection, Row};
use serde_json::Value as Json;

use super::history::{OutcomeLine, RowHistory};
use super::item::{ManifestPart, RowPlace};
use super::query;
use super::schema::RUN;
use super::sql::{PLACE_COLUMNS, REQUEST_COLUMNS, place_of, request_of};
use super::state::RowState;
use crate::request::{
    CorrelationId, CreateRequest, ErrorCode, NamedValues, RequestKind, RequestUri, RequestUuid, RowId,
};

/// One row and what became of it. Times, status and error are those of its last attempt; a row whose call is open has none.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ResultRow {
    /// The row's number in the run.
    pub row: RowId,
    /// Where it stands in its manifest.
    pub place: RowPlace,
    /// The manifest's name.
    pub manifest: Arc<str>,
    /// The user's own key of the row.
    pub id: Option<String>,
    /// What was to be sent; none of an invalid row.
    pub request: Option<CreateRequest>,
    /// The `note.` columns.
    pub notes: NamedValues,
    /// The state; `sending` only while the process that sends it lives.
    pub state: RowState,
    /// The URI of the created request.
    pub request_uri: Option<RequestUri>,
    /// The uuid of the created request.
    pub request_uuid: Option<RequestUuid>,
    /// The HTTP status.
    pub http_status: Option<u16>,
    /// Why it was not created.
    pub error_code: Option<ErrorCode>,
    /// What the server or the library said: text from outside; of a row that was left out later, why it was.
    pub error_message: Option<String>,
    /// The id under which the server logged it.
    pub correlation_id: Option<CorrelationId>,
    /// How many attempts are on record, throttled ones and an open one included.
    pub attempts: u32,
    /// When the first attempt started; where its process died, when it was claimed.
    pub first_attempt_at: Option<Timestamp>,
    /// When the last attempt started; where its process died, when it was claimed.
    pub last_attempt_at: Option<Timestamp>,
    /// How long the last attempt took, in milliseconds.
    pub latency_ms: Option<u64>,
    /// What is wrong with an invalid row.
    pub invalid: Option<InvalidText>,
    /// Why the row was left out from the start, where it was and still is.
    pub skipped: Option<String>,
    /// The mended row that stands for this one, where it is replaced.
    pub replaced_by: Option<RowId>,
}

/// An invalid row as text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InvalidText {
    /// The row as a JSON object of its original columns and their text.
    pub original_json: String,
    /// What is wrong, one diagnostic a line.
    pub errors: String,
}

impl InvalidText {
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

/// Why rows failed or are in doubt, and how many.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FailureReason {
    /// `failed` or `in_doubt`.
    pub state: RowState,
    /// The cause.
    pub code: Option<ErrorCode>,
    /// How many rows.
    pub n: u64,
    /// One such row.
    pub row: Option<RowId>,
    /// What the server or the library said about that row: text from outside.
    pub message: Option<String>,
}

/// A request that the ledger knows as created, with its place among the others.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CreatedAt {
    /// The row.
    pub row: RowId,
    /// Its request's uuid.
    pub uuid: RequestUuid,
    /// What the row asks for.
    pub kind: RequestKind,
    /// The session that made its last attempt; of a row without attempt, the one that recorded it as created.
    pub session: u32,
    /// When that attempt started, by that session's time; of a row without attempt, when it was recorded as created.
    pub started_at: Timestamp,
}

/// Reads the rows from `first` to `last` as they were loaded, in order.
pub(super) fn load_rows(
    conn: &Connection,
    parts: &[ManifestPart],
    first: u32,
    last: u32,
) -> rusqlite::Result<Vec<ResultRow>> {
    let items = format!(
        "SELECT row, {PLACE_COLUMNS}, id, notes, skipped, {REQUEST_COLUMNS} FROM items
         WHERE run = ? AND row BETWEEN ? AND ?"
    );
    let mut rows = query::all(conn, &items, (RUN, first, last), |line| loaded_item(line, parts))?;
    let invalid = format!(
        "SELECT row, {PLACE_COLUMNS}, original, errors FROM invalid_rows WHERE run = ? AND row BETWEEN ? AND ?"
    );
    rows.extend(query::all(conn, &invalid, (RUN, first, last), |line| loaded_invalid(line, parts))?);
    rows.sort_by_key(|row| row.row);
    Ok(rows)
}

fn loaded_item(line: &Row<'_>, parts: &[ManifestPart]) -> rusqlite::Result<ResultRow> {
    let skipped: Option<String> = line.get(6)?;
    Ok(ResultRow {
        id: line.get(4)?,
        notes: line.get(5)?,
        request: Some(request_of(line, 7)?),
        state: if skipped.is_some() { RowState::Skipped } else { RowState::Pending },
        skipped,
        ..untouched(line.get(0)?, place_of(line, 1)?, parts)
    })
}

fn loaded_invalid(line: &Row<'_>, parts: &[ManifestPart]) -> rusqlite::Result<ResultRow> {
    Ok(ResultRow {
        invalid: Some(InvalidText { original_json: line.get(4)?, errors: line.get(5)? }),
        ..untouched(line.get(0)?, place_of(line, 1)?, parts)
    })
}

fn untouched(row: RowId, place: RowPlace, parts: &[ManifestPart]) -> ResultRow {
    let name = parts.iter().find(|part| part.part == place.part).map_or("", |part| part.name.as_str());
    ResultRow {
        row,
        place,
        manifest: name.into(),
        id: None,
        request: None,
        notes: NamedValues::new(),
        state: RowState::Invalid,
        request_uri: None,
        request_uuid: None,
        http_status: None,
        error_code: None,
        error_message: None,
        correlation_id: None,
        attempts: 0,
        first_attempt_at: None,
        last_attempt_at: None,
        latency_ms: None,
        invalid: None,
        skipped: None,
        replaced_by: None,
    }
}

/// Whether the process that holds the ledger lives.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Holder {
    /// Open calls may still be answered.
    Lives,
    /// Open calls are in doubt.
    Gone,
}

impl Holder {
    /// Returns what a state reads as.
    pub(super) const fn reads(self, state: RowState) -> RowState {
        match (self, state) {
            (Self::Gone, RowState::Sending) => RowState::InDoubt,
            (Self::Lives | Self::Gone, state) => state,
        }
    }

    /// Returns the cause of a row whose call is open.
    pub(super) const fn cause_of_open(self) -> Option<ErrorCode> {
        match self {
            Self::Lives => None,
            Self::Gone => Some(ErrorCode::LeftOpen),
        }
    }
}

impl ResultRow {
    /// Adds to a loaded row what was appended about it.
    pub(super) fn with(mut self, history: RowHistory, holder: Holder) -> Self {
        self.state = holder.reads(history.state(self.state));
        let is_as_loaded = self.state == RowState::Skipped && history.left_out.is_none();
        self.skipped = self.skipped.filter(|_| is_as_loaded);
        let open = history.open_claim();
        let ended: Vec<&OutcomeLine> = history.outcomes.iter().filter(|line| line.ends_attempt()).collect();
        let n_attempts = ended.len() + usize::from(open.is_some());
        self.attempts = u32::try_from(n_attempts).unwrap_or(u32::MAX);
        self.first_attempt_at = ended.first().and_then(|line| line.started_at);
        self.last_attempt_at = ended.last().and_then(|line| line.started_at);
        self.latency_ms = ended.last().and_then(|line| line.latency_us).map(|us| us / 1000);
        if let Some(left_out) = history.left_out {
            self.error_message = left_out.reason;
        } else if let Some(claim) = open {
            self.first_attempt_at = self.first_attempt_at.or(Some(claim.claimed_at));
            self.last_attempt_at = Some(claim.claimed_at);
            self.latency_ms = None;
            self.error_code = holder.cause_of_open();
        } else if let Some(last) = history.outcomes.into_iter().next_back() {
            self.request_uuid = last.uuid();
            self.request_uri = last.uri;
            self.http_status = last.http_status;
            self.error_code = last.code;
            self.error_message = last.message;
            self.correlation_id = last.correlation_id;
            self.replaced_by = last.replaced_by;
        }
        self
    }
}
