//! Requests in the list that may be a row's and have lost its tag: a server may cut long comments alone.

use jiff::Timestamp;

use crate::client::RequestObject;
use crate::ledger::DoubtfulRow;
use crate::request::{CreateRequest, Guid};

use super::anchors::FirstLooks;
use super::matching::{CLOCKS_DIFFER, Disagreement, before, disagreements, type_may_be};
use super::report::Candidate;

/// How many such requests are kept (some 200 bytes each); of more, nobody can say whose they are.
const MAX_KEPT: usize = 50_000;

/// How many of them are named of a row.
const MAX_CANDIDATES: usize = 5;

/// The requests without a readable tag that were submitted since the first of the rows in doubt was sent.
#[derive(Debug, Default)]
pub(super) struct Tagless {
    /// From when on; none where no row is in doubt.
    since: Option<Timestamp>,
    requests: Vec<RequestObject>,
    has_more: bool,
}

impl Tagless {
    /// Begins to keep what was submitted since then.
    pub(super) fn since(since: Option<Timestamp>) -> Self {
        Self { since, ..Self::default() }
    }

    /// Takes note of a request that has no readable tag.
    pub(super) fn take(&mut self, object: &RequestObject) {
        let Some(since) = self.since else { return };
        if object.submitted.is_some_and(|at| at < since) {
            return;
        }
        if self.requests.len() == MAX_KEPT {
            self.has_more = true;
            return;
        }
        self.requests.push(RequestObject { comment: String::new(), ..object.clone() });
    }

    /// Ends the taking of requests: from now on they are looked up.
    pub(super) fn order(&mut self) {
        self.requests.sort_by_key(|object| (object.target, *object.uuid.guid()));
    }

    /// Returns the requests that may be a row's, at most 5; none where it is certain that there is none.
    pub(super) fn of(&self, doubt: &DoubtfulRow) -> Option<Vec<Candidate>> {
        let found: Vec<Candidate> = self
            .of_target(doubt.request.target)
            .filter(|object| is_like(&doubt.request, object))
            .map(|object| Candidate { uuid: object.uuid, submitted: object.submitted })
            .take(MAX_CANDIDATES)
            .collect();
        (self.has_more || !found.is_empty()).then_some(found)
    }

    /// Returns those that may be for this target: they name it, or none.
    fn of_target(&self, target: Option<Guid>) -> impl Iterator<Item = &RequestObject> {
        let n_without = self.requests.partition_point(|object| object.target.is_none());
        let (without, named) = self.requests.split_at(n_without);
        let named = target.map_or(named, |target| {
            let named = &named[named.partition_point(|object| object.target < Some(target))..];
            &named[..named.partition_point(|object| object.target == Some(target))]
        });
        named.iter().chain(without)
    }
}

/// Returns since when, by the server's clock, a row's request was submitted if it was.
pub(super) fn since(doubt: &DoubtfulRow, looks: &FirstLooks) -> Timestamp {
    looks.server_time(doubt).map_or(Timestamp::MIN, |at| before(at, CLOCKS_DIFFER))
}

/// Returns whether nothing that the request names is another one than the row's.
fn is_like(request: &CreateRequest, object: &RequestObject) -> bool {
    let differs = disagreements(request, None, object);
    type_may_be(request.kind, object.request_type) && differs.iter().all(Disagreement::is_unnamed)
}

#[cfg(test)]
mod tests;
