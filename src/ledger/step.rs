//! The step: record, give back and claim in one durable commit.

use jiff::Timestamp;

use crate::request::{AttemptNo, CreateRequest, Outcome, RequestKind, RequestUuid, RowId};

/// What became of one attempt, for the ledger to keep.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AttemptRecord {
    /// The row.
    pub row: RowId,
    /// The attempt's number, as the claim gave it.
    pub attempt: AttemptNo,
    /// When the call started.
    pub started_at: Timestamp,
    /// How long the call took, in microseconds, by a monotonic clock.
    pub latency_us: u64,
    /// What became of it.
    pub outcome: Outcome,
    /// Who sends the row next where the outcome is [`Outcome::Pending`]; else without meaning.
    pub then: Requeue,
}

/// Who sends a row next that is pending after an attempt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Requeue {
    /// Any later claim.
    Anyone,
    /// Only a claim that lists it (`Step::claim_rows`), as long as this session lives: the pipeline waits out its backoff.
    Listed,
}

/// One step. Everything in it becomes durable together or not at all.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Step {
    /// The step's number within its session, from 1, each one more than the last. The same number again, after a lost
    /// answer, gives the same answer and does nothing twice.
    pub number: u64,
    /// Attempts that ended.
    pub record: Vec<AttemptRecord>,
    /// Claimed rows that were not sent and go back: pending again, no attempt.
    pub give_back: Vec<(RowId, AttemptNo)>,
    /// Pending rows to claim by number (second attempts after a backoff).
    pub claim_rows: Vec<RowId>,
    /// How many further pending rows to claim, in row order.
    pub claim: u32,
    /// Of which kinds those are, and the rows that are claimed by number: what is passed over of either waits for a
    /// later claim by number.
    pub kinds: ClaimKinds,
}

/// Of which kinds rows are claimed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum ClaimKinds {
    /// Of all, as they come.
    #[default]
    All,
    /// As far as the kinds are known to go well, so that a crash leaves no more than one row in doubt of any other kind.
    Guarded {
        /// Any number of rows of these kinds.
        open: Vec<RequestKind>,
        /// None of these. Of every other kind at most one is claimed at a time.
        held: Vec<RequestKind>,
        /// How many rows may be passed over, at most, before the claim stops short. A row that is passed over stays pending, also
        /// after a crash, and this session alone claims it, by number, as with [`Requeue::Listed`].
        pass_over: u32,
    },
}

/// A row that may be sent now: its claim is durable.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClaimedRow {
    /// The row.
    pub row: RowId,
    /// The attempt that may be made.
    pub attempt: AttemptNo,
    /// How many earlier attempts count against `--max-attempts` (throttled ones and ones left open by a dead session do not).
    pub counted_attempts: u32,
    /// What to send, without tag.
    pub request: CreateRequest,
}

/// The answer to a step, given after its commit is durable: the permission to send these rows.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct StepAnswer {
    /// The number of the step that this answers.
    pub number: u64,
    /// The rows that may be sent.
    pub rows: Vec<ClaimedRow>,
    /// The rows that were passed over ([`ClaimKinds::Guarded`]), with their kinds.
    pub passed_over: Vec<(RowId, RequestKind)>,
    /// Whether the claim ended because too many rows were to be passed over: fewer rows than asked for does not mean then that
    /// there are no more.
    pub stopped_short: bool,
    /// Rows whose call was answered with a request that is another row's, which stands second: they are in doubt.
    pub shared: Vec<(RowId, RowId, RequestUuid)>,
}
