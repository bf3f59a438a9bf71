//! Requests of other runs that ask for what rows of this one ask for: never twice, across ledgers.

use std::collections::BTreeMap;

use jiff::Timestamp;

use crate::client::{RequestObject, RequestStatus};
use crate::ledger::{LedgerError, Reader, Resolution, RowState, RowVerdict, Source};
use crate::request::{CreateRequest, Guid, RequestUuid, RowId, RunMark, Tag};

use super::matching::type_may_be;

/// How many accounts are named of a run.
const MAX_ORIGINATORS: usize = 5;

/// How many requests of other runs are kept before it is known what the rows ask for (10 MiB).
const MAX_KEPT: usize = 65_536;

/// A request of another run that asks for what a row asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Hit {
    /// The request.
    pub uuid: RequestUuid,
    /// The run that its tag is of.
    pub run: RunMark,
    /// The account that made it.
    pub originator: Option<Guid>,
    /// When it was submitted, by the server.
    pub submitted: Option<Timestamp>,
    /// Its status.
    pub status: RequestStatus,
}

impl Hit {
    /// Returns the verdict that this request stands for a row, which is left out.
    pub fn leaves_out(&self, row: RowId) -> Resolution {
        let reason = Some(format!("requested before as {} by run {}", self.uuid, self.run));
        Resolution { row, verdict: RowVerdict::Elsewhere(self.uuid), source: Source::List, reason }
    }
}

/// The requests of other runs that ask for what rows ask for.
#[derive(Clone, Debug, Default)]
pub struct Hits {
    /// By fingerprint, the latest request first.
    hits: Vec<Found>,
}

#[derive(Clone, Debug)]
struct Found {
    fingerprint: u64,
    /// How many rows have this fingerprint.
    n_rows: u64,
    request_type: Option<i64>,
    target: Option<Guid>,
    template: Option<Guid>,
    hit: Hit,
}

/// What another run has of the rows, for people.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RunHits {
    /// The run.
    pub run: RunMark,
    /// How many rows it has.
    pub n_rows: u64,
    /// When the first of its requests was submitted, where the server says.
    pub first_submitted: Option<Timestamp>,
    /// When the last one was.
    pub last_submitted: Option<Timestamp>,
    /// The accounts that made them, at most 5.
    pub originators: Vec<Guid>,
}

/// Gathers the requests of other runs while a list is read.
#[derive(Debug, Default)]
pub(super) struct Strangers {
    kept: Vec<Found>,
    /// The fingerprints of the rows that may be sent, in order: read when too many requests were kept to go on without them.
    wanted: Option<Vec<u64>>,
}

impl Strangers {
    /// Takes note of a request that has another run's tag, where it stands for what was asked and was submitted at `since` or
    /// later, or at a time that the server does not say.
    pub(super) fn take(
        &mut self,
        object: &RequestObject,
        tag: &Tag,
        since: Option<Timestamp>,
        reader: &Reader,
    ) -> Result<(), LedgerError> {
        let is_too_old = since.is_some_and(|since| object.submitted.is_some_and(|at| at < since));
        if is_too_old || !stands(object.status) {
            return Ok(());
        }
        let RequestObject { uuid, originator, submitted, status, target, template, request_type, .. } = *object;
        let hit = Hit { uuid, run: tag.run_mark(), originator, submitted, status };
        let fingerprint = tag.fingerprint().number();
        if self.wanted.as_ref().is_some_and(|wanted| wanted.binary_search(&fingerprint).is_err()) {
            return Ok(());
        }
        self.kept.push(Found { fingerprint, n_rows: 0, request_type, target, template, hit });
        if self.kept.len() > MAX_KEPT && self.wanted.is_none() {
            let wanted = fingerprints(reader, &[RowState::Pending, RowState::InDoubt, RowState::Failed])?;
            self.kept.retain(|found| wanted.binary_search(&found.fingerprint).is_ok());
            self.wanted = Some(wanted);
        }
        Ok(())
    }

    /// Returns all of them, each with its fingerprint.
    pub(super) fn all(&self) -> impl Iterator<Item = (u64, RequestUuid)> {
        self.kept.iter().map(|found| (found.fingerprint, found.hit.uuid))
    }

    /// Returns those that ask for what rows in these states ask for.
    pub(super) fn hits(&self, reader: &Reader, states: &[RowState]) -> Result<Hits, LedgerError> {
        if self.kept.is_empty() {
            return Ok(Hits::default());
        }
        let wanted = fingerprints(reader, states)?;
        let counted = |found: &Found| {
            let first = wanted.partition_point(|known| *known < found.fingerprint);
            let n_rows = wanted[first..].partition_point(|known| *known == found.fingerprint) as u64;
            (n_rows > 0).then(|| Found { n_rows, ..found.clone() })
        };
        Ok(Hits::new(self.kept.iter().filter_map(counted).collect()))
    }
}

/// Returns what rows in these states ask for, in order.
fn fingerprints(reader: &Reader, states: &[RowState]) -> Result<Vec<u64>, LedgerError> {
    let mut all = Vec::new();
    reader.for_each_row(states, |row| -> Result<(), LedgerError> {
        all.extend(row.request.map(|request| request.fingerprint().number()));
        Ok(())
    })?;
    all.sort_unstable();
    Ok(all)
}

impl Hits {
    fn new(mut hits: Vec<Found>) -> Self {
        hits.sort_by_key(|found| (found.fingerprint, std::cmp::Reverse(found.hit.submitted), found.hit.uuid));
        hits.dedup_by_key(|found| (found.fingerprint, found.hit.uuid));
        Self { hits }
    }

    /// Returns whether there are none.
    pub const fn is_empty(&self) -> bool {
        self.hits.is_empty()
    }

    /// Leaves the hits that pass.
    #[must_use]
    pub fn filtered(mut self, passes: impl Fn(&Hit) -> bool) -> Self {
        self.hits.retain(|found| passes(&found.hit));
        self
    }

    /// Returns all of them.
    pub fn iter(&self) -> impl Iterator<Item = &Hit> {
        self.hits.iter().map(|found| &found.hit)
    }

    /// Returns the request that stands for a row, the latest of several. Where the server says that a request is for another
    /// target or template, or of another type, it is not the row's: fingerprints have 40 bits.
    pub fn of(&self, request: &CreateRequest) -> Option<&Hit> {
        // Usually there are none, and no row's fingerprint is needed.
        self.hits.first()?;
        self.all_of(request).next()
    }

    /// Returns all requests that stand for a row, the latest first.
    pub fn all_of(&self, request: &CreateRequest) -> impl Iterator<Item = &Hit> {
        let fingerprint = request.fingerprint().number();
        let first = self.hits.partition_point(|found| found.fingerprint < fingerprint);
        let same = self.hits[first..].iter().take_while(move |found| found.fingerprint == fingerprint);
        let is_other =
            |wanted: Option<Guid>, found: Option<Guid>| wanted.is_some() && found.is_some() && wanted != found;
        let (target, template, kind) = (request.target, request.template, request.kind);
        let is_rows = move |found: &&Found| {
            !is_other(target, found.target)
                && !is_other(template, found.template)
                && type_may_be(kind, found.request_type)
        };
        same.filter(is_rows).map(|found| &found.hit)
    }

    /// Returns what each other run has of the rows, the run with most rows first. By fingerprint alone.
    pub fn by_run(&self) -> Vec<RunHits> {
        let mut runs: BTreeMap<RunMark, RunHits> = BTreeMap::new();
        for same in self.hits.chunk_by(|a, b| a.fingerprint == b.fingerprint) {
            let mut counted: Vec<RunMark> = Vec::new();
            for Found { n_rows, hit, .. } in same {
                let run = runs.entry(hit.run).or_insert_with(|| RunHits::new(hit.run));
                run.add(hit);
                if !counted.contains(&hit.run) {
                    counted.push(hit.run);
                    run.n_rows += n_rows;
                }
            }
        }
        let mut runs: Vec<RunHits> = runs.into_values().collect();
        runs.sort_by_key(|run| std::cmp::Reverse(run.n_rows));
        runs
    }
}

impl RunHits {
    const fn new(run: RunMark) -> Self {
        Self { run, n_rows: 0, first_submitted: None, last_submitted: None, originators: Vec::new() }
    }

    fn add(&mut self, hit: &Hit) {
        if let Some(at) = hit.submitted {
            self.first_submitted = Some(self.first_submitted.map_or(at, |first| first.min(at)));
            self.last_submitted = Some(self.last_submitted.map_or(at, |last| last.max(at)));
        }
        if let Some(originator) = hit.originator
            && self.originators.len() < MAX_ORIGINATORS
            && !self.originators.contains(&originator)
        {
            self.originators.push(originator);
        }
    }
}

/// Returns whether a request in this state stands for what was asked: it is open or done. What no page names counts, because it
/// does not say that the request came to nothing.
pub(super) const fn stands(status: RequestStatus) -> bool {
    match status {
        RequestStatus::None
        | RequestStatus::Approved
        | RequestStatus::Completed
        | RequestStatus::Pending
        | RequestStatus::Executing
        | RequestStatus::Other(_)
        | RequestStatus::Unknown => true,
        RequestStatus::Denied | RequestStatus::Failed | RequestStatus::Canceled => false,
    }
}

/// Returns whether a request in this state will change no more.
pub(super) const fn has_ended(status: RequestStatus) -> bool {
    match status {
        RequestStatus::Completed | RequestStatus::Denied | RequestStatus::Failed | RequestStatus::Canceled => true,
        RequestStatus::None
        | RequestStatus::Approved
        | RequestStatus::Pending
        | RequestStatus::Executing
        | RequestStatus::Other(_)
        | RequestStatus::Unknown => false,
    }
}

#[cfg(test)]
mod tests;
