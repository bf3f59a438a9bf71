//! What readers are told about rows.

use std::sync::Arc;

use jiff::Timestamp;

use super::history::{OutcomeLine, RowHistory};
use super::item::{InvalidItem, Item, LoadRow, ManifestPart, RowPlace};
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
    pub invalid: Option<InvalidItem>,
    /// Why the row was left out from the start, where it was and still is.
    pub skipped: Option<String>,
    /// The mended row that stands for this one, where it is replaced.
    pub replaced_by: Option<RowId>,
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

/// Why rows are skipped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SkipCause {
    /// They were left out when they were loaded.
    Loaded,
    /// A request of another run stands for them.
    Elsewhere,
    /// A person dropped them.
    Dropped,
}

/// How many rows are skipped for a cause, and the first of them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SkipReason {
    /// The cause.
    pub cause: SkipCause,
    /// How many rows.
    pub n: u64,
    /// The first of them; none where the ledger does not have it any more.
    pub row: Option<RowId>,
    /// Why that one is, in words for people.
    pub message: Option<String>,
    /// The request that stands for it.
    pub uuid: Option<RequestUuid>,
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
    pub(super) fn reads(self, state: RowState) -> RowState {
        if self == Self::Gone && state == RowState::Sending { RowState::InDoubt } else { state }
    }

    /// Returns the cause of a row whose call is open.
    pub(super) fn cause_of_open(self) -> Option<ErrorCode> {
        if self == Self::Gone { Some(ErrorCode::LeftOpen) } else { None }
    }
}

impl ResultRow {
    /// Puts together what was loaded and what was appended about it.
    pub(super) fn of(loaded: LoadRow, history: RowHistory, holder: Holder, parts: &[ManifestPart]) -> Self {
        let state = holder.reads(history.state(loaded.state()));
        let is_as_loaded = state == RowState::Skipped && history.left_out.is_none();
        let claimed_at = history.open_claim().map(|claim| claim.claimed_at);
        let ended: Vec<&OutcomeLine> = history.outcomes.iter().filter(|line| line.ends_attempt()).collect();
        let n_attempts = ended.len() + usize::from(claimed_at.is_some());
        // What the last line says of a row that is left out, or is sent again, says nothing of it now.
        let last = history.outcomes.last().filter(|_| claimed_at.is_none() && history.left_out.is_none());
        let (row, place, id, request, notes, skipped, invalid) = match loaded {
            LoadRow::Item(item) => {
                let Item { row, place, id, request, notes, skipped } = *item;
                (row, place, id, Some(request), notes, skipped, None)
            }
            LoadRow::Invalid(item) => (item.row, item.place, None, None, NamedValues::new(), None, Some(*item)),
        };
        let name = parts.iter().find(|part| part.part == place.part).map_or("", |part| part.name.as_str());
        Self {
            row,
            place,
            manifest: name.into(),
            id,
            request,
            notes,
            state,
            request_uri: last.and_then(|line| line.uri.clone()),
            request_uuid: last.and_then(OutcomeLine::uuid),
            http_status: last.and_then(|line| line.http_status),
            error_code: last.map_or(claimed_at.and(holder.cause_of_open()), |line| line.code),
            error_message: history
                .left_out
                .as_ref()
                .map_or(last.and_then(|line| line.message.clone()), |line| line.reason.clone()),
            correlation_id: last.and_then(|line| line.correlation_id.clone()),
            attempts: u32::try_from(n_attempts).unwrap_or(u32::MAX),
            first_attempt_at: ended.first().map_or(claimed_at, |line| line.started_at),
            last_attempt_at: claimed_at.or_else(|| ended.last()?.started_at),
            latency_ms: ended
                .last()
                .filter(|_| claimed_at.is_none())
                .and_then(|line| line.latency_us)
                .map(|us| us / 1000),
            invalid,
            skipped: skipped.filter(|_| is_as_loaded),
            replaced_by: last.and_then(|line| line.replaced_by),
        }
    }
}
