//! What is decided about rows outside of their attempts, and what readers need to decide it.

use jiff::Timestamp;

use super::history::Source;
use super::item::RowPlace;
use super::state::RowState;
use crate::request::{AttemptNo, CreateRequest, ErrorCode, RequestKind, RequestUri, RequestUuid, RowId};

/// A decision about one row that is not how an attempt ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Resolution {
    /// The row.
    pub row: RowId,
    /// What is decided.
    pub verdict: RowVerdict,
    /// Who says so.
    pub source: Source,
    /// Why, in words for people; kept as the row's message. None keeps the message of its last attempt.
    pub reason: Option<String>,
}

/// What can be decided about a row, and from which states.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RowVerdict {
    /// The request exists: in_doubt, pending, failed, skipped, replaced or created (as another request) -> created. No two rows
    /// are one request when all verdicts of a call are taken, so that two rows can exchange theirs.
    Exists(RequestUri),
    /// It does not, and the row may be sent again: in_doubt -> pending.
    Absent,
    /// It does not, and the row is not sent again by itself: in_doubt -> failed, with the cause of its last attempt.
    AbsentForGood,
    /// The server has a request with the row's tag that is not the row's, or the row's request under another row's tag:
    /// in_doubt, pending, failed or created -> in_doubt.
    Contradicted,
    /// It is left out on purpose: pending or failed -> skipped.
    LeftOut,
    /// It is left out because this request of another run stands for it: pending or failed -> skipped.
    Elsewhere(RequestUuid),
    /// It is closed by a person: pending, failed, in_doubt or invalid -> skipped.
    Dropped,
    /// It is not left out any more, and is what it was before: its state, its cause, its place among the pending, its next attempt
    /// and what counts of the earlier ones. Not for rows that were skipped when they were loaded.
    Restored,
    /// It is to be sent again on a person's order: failed -> pending. Attempts before this no longer count.
    Again,
}

/// An entry for the audit trail.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AuditEvent {
    /// What kind of event.
    pub kind: String,
    /// What happened.
    pub detail: String,
}

/// A row in doubt, with what is needed to settle it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DoubtfulRow {
    /// The row's number in the run.
    pub row: RowId,
    /// Where it stands in its manifest.
    pub place: RowPlace,
    /// The user's own key of the row.
    pub id: Option<String>,
    /// What was sent, without tag.
    pub request: CreateRequest,
    /// Its last attempt.
    pub attempt: AttemptNo,
    /// The session that made that attempt; of a row without attempt, the one that recorded it.
    pub session: u32,
    /// The session that recorded how it ended: another one where its own died before.
    pub recorded_by: u32,
    /// Why the row is in doubt.
    pub code: Option<ErrorCode>,
    /// When the attempt started, by the wall clock; where its process died, when it was claimed.
    pub started_at: Option<Timestamp>,
    /// When it was recorded as in doubt, by the wall clock.
    pub recorded_at: Timestamp,
    /// How many attempts count against `--max-attempts`, this one included.
    pub counted_attempts: u32,
}

impl DoubtfulRow {
    /// Returns the time before which its request was not sent, by the wall clock; where that is not known, when it was recorded.
    pub fn sent_at(&self) -> Timestamp {
        self.started_at.unwrap_or(self.recorded_at)
    }
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

/// A kind of request of which one was created.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KindRecord {
    /// The kind.
    pub kind: RequestKind,
    /// The first row of it that was created.
    pub row: RowId,
    /// That row's request.
    pub uuid: RequestUuid,
    /// What was read back of it, or why nothing could be; none where nobody looked yet.
    pub read_back: Option<String>,
}
