//! What the pipeline needs to know, and whom it talks to.

use std::num::{NonZeroU32, NonZeroUsize};
use std::time::Duration;

use super::breaker::BreakerRules;
use super::rate::Rate;
use crate::client::{Answer, Client, On503, Renewed};
use crate::ledger::{Ledger, LedgerError, Step, StepAnswer};
use crate::request::{CreateRequest, DataEncoding, RowId, RunId, RunKey, Tag, TagPosition};

/// How fast and how patiently rows are sent.
#[derive(Clone, Debug)]
pub struct Limits {
    /// How many calls may start.
    pub rate: Rate,
    /// How many may start at once after a pause.
    pub burst: NonZeroU32,
    /// How many calls may be in flight.
    pub concurrency: NonZeroUsize,
    /// How often a row is sent at most, where it is certain that nothing arrived.
    pub max_attempts: NonZeroU32,
    /// How long a throttled run goes on without creating anything.
    pub stall: Duration,
    /// When the run is stopped for the server's sake.
    pub breaker: BreakerRules,
    /// What a 503 means here.
    pub on_503: On503,
}

/// What turns a row into a wire body.
#[derive(Clone, Debug)]
pub struct Wire {
    /// The run.
    pub run: RunId,
    /// Its key, for the tags.
    pub key: RunKey,
    /// Where the tag stands.
    pub tag_position: TagPosition,
    /// How the data collection is written.
    pub data: DataEncoding,
}

impl Wire {
    /// Returns the comment of the call for a row: its own with the row's tag.
    pub fn comment(&self, row: RowId, request: &CreateRequest) -> String {
        let tag = Tag::new(self.run, &self.key, row, request.fingerprint());
        tag.into_comment(&request.comment, self.tag_position)
    }

    /// Returns the body of the call for a row.
    pub fn body(&self, row: RowId, request: &CreateRequest) -> Vec<u8> {
        request.wire_body(&self.comment(row, request), self.data)
    }
}

/// Where steps are made durable. SQLite is one such engine.
pub trait Engine {
    /// Makes one step; its answer is given after the commit is durable.
    fn step(&self, step: Step) -> impl Future<Output = Result<StepAnswer, LedgerError>>;
}

impl Engine for Ledger {
    async fn step(&self, step: Step) -> Result<StepAnswer, LedgerError> {
        Self::step(self, step).await
    }
}

/// Who makes the calls.
pub trait Calls {
    /// Makes one create call.
    fn create(&self, body: Vec<u8>) -> impl Future<Output = Answer>;

    /// Renews the credentials after a 401; says whether there are other ones now.
    fn renew(&self) -> bool;
}

impl Calls for Client {
    async fn create(&self, body: Vec<u8>) -> Answer {
        Self::create(self, body).await
    }

    fn renew(&self) -> bool {
        match Self::renew(self) {
            Ok(Renewed::Changed) => true,
            Ok(Renewed::Same | Renewed::NotPossible) | Err(_) => false,
        }
    }
}
