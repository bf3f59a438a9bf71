//! The look for requests that another ledger made: never twice, across ledgers.

use std::collections::BTreeMap;
use std::convert::Infallible;

use jiff::Timestamp;

use crate::client::{ReadError, RequestObject, RequestStatus};
use crate::request::{CreateRequest, Guid, RequestUuid, RunMark, Tag};

use super::lists::{Lists, read_list};

/// How many accounts are named of a run.
const MAX_ORIGINATORS: usize = 5;

/// The rows that are to be sent, by fingerprint: 8 bytes each.
///
/// ```
/// # use cmbatch::client::RequestObject;
/// # use cmbatch::reconcile::{Look, Lists};
/// # use cmbatch::request::{CreateRequest, RequestType, RunId, RunMark};
/// # async fn look(client: &cmbatch::client::Client) -> Result<(), Box<dyn std::error::Error>> {
/// let row = CreateRequest::new(RequestType::Enroll);
/// let mut look = Look::default();
/// look.add(&row);
/// let since = jiff::Timestamp::now() - jiff::SignedDuration::from_hours(30 * 24);
/// let hits = look.search(client, RunMark::of(RunId::random()), since).await?;
/// if let Some(hit) = hits.of(&row) {
///     println!("run {} has it as request {}", hit.run, hit.uuid);
/// }
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug, Default)]
pub struct Look {
    fingerprints: Vec<u64>,
}

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

/// The requests of other runs that ask for what rows ask for.
#[derive(Clone, Debug, Default)]
pub struct Hits {
    /// By fingerprint, the latest request first.
    hits: Vec<Found>,
    n_read: u64,
}

#[derive(Clone, Debug)]
struct Found {
    fingerprint: u64,
    /// How many rows have this fingerprint.
    n_rows: u64,
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

impl Look {
    /// Adds a row that is to be sent.
    pub fn add(&mut self, request: &CreateRequest) {
        self.fingerprints.push(request.fingerprint().number());
    }

    /// Reads the server's list once for open and completed requests of other runs than `own` that ask for what the rows ask
    /// for, submitted at `since` or later, or at a time that the server does not say. [`Strangers`]
    /// reads it before the rows are known.
    ///
    /// # Errors
    /// The list could not be read to its end. What was found in a part of it says nothing of the rest.
    pub async fn search(self, lists: &impl Lists, own: RunMark, since: Timestamp) -> Result<Hits, ReadError> {
        let sorted = self.sorted();
        let mut hits = Vec::new();
        let Ok(list) = read_list(lists, |object| {
            hits.extend(Found::of(object, own, since).and_then(|found| sorted.wanted(found)));
            Ok::<(), Infallible>(())
        })
        .await;
        list.end?;
        Ok(Hits::new(hits, list.n_objects))
    }

    fn sorted(mut self) -> Sorted {
        self.fingerprints.sort_unstable();
        Sorted(self.fingerprints)
    }
}

/// The fingerprints of the rows in order.
struct Sorted(Vec<u64>);

impl Sorted {
    /// Returns what was found where a row asks for it, with the number of such rows.
    fn wanted(&self, found: Found) -> Option<Found> {
        let first = self.0.partition_point(|known| *known < found.fingerprint);
        let n_rows = self.0[first..].partition_point(|known| *known == found.fingerprint) as u64;
        (n_rows > 0).then_some(Found { n_rows, ..found })
    }
}

impl Found {
    /// Returns the request of another run, where it stands for what was asked and is not too old; whoever's row that is.
    fn of(object: &RequestObject, own: RunMark, since: Timestamp) -> Option<Self> {
        let tag = Tag::find(&object.comment)?;
        let run = tag.run_mark();
        if run == own || !stands(object.status) || object.submitted.is_some_and(|at| at < since) {
            return None;
        }
        let RequestObject { uuid, originator, submitted, status, target, template, .. } = *object;
        let hit = Hit { uuid, run, originator, submitted, status };
        Some(Self { fingerprint: tag.fingerprint().number(), n_rows: 0, target, template, hit })
    }
}

/// How many requests of other runs are kept at most while the rows are not known (10 MiB).
const MAX_STRANGERS: usize = 65_536;

/// What other runs requested, read before it is known what the rows ask for: most servers have nothing of them, and then no
/// row need be looked at.
#[derive(Debug)]
pub struct Strangers {
    /// None where there are too many to keep.
    found: Option<Vec<Found>>,
    n_read: u64,
}

impl Strangers {
    /// Reads the server's list once for open and completed requests of other runs than `own`, submitted at `since` or later,
    /// or at a time that the server does not say.
    ///
    /// # Errors
    /// The list could not be read to its end.
    pub async fn read(lists: &impl Lists, own: RunMark, since: Timestamp) -> Result<Self, ReadError> {
        let mut kept = Some(Vec::new());
        let Ok(list) = read_list(lists, |object| {
            if let Some(found) = Found::of(object, own, since)
                && let Some(strangers) = &mut kept
            {
                strangers.push(found);
                if strangers.len() > MAX_STRANGERS {
                    kept = None;
                }
            }
            Ok::<(), Infallible>(())
        })
        .await;
        list.end?;
        Ok(Self { found: kept, n_read: list.n_objects })
    }

    /// Returns the hits where no row can have one, because there are no requests of other runs.
    pub fn no_hits(&self) -> Option<Hits> {
        let is_none = self.found.as_ref().is_some_and(Vec::is_empty);
        is_none.then(|| Hits::new(Vec::new(), self.n_read))
    }

    /// Returns those that ask for what the rows ask for.
    ///
    /// # Errors
    /// There are too many to keep; the rows come back, for [`Look::search`].
    pub fn hits(self, rows: Look) -> Result<Hits, Look> {
        let Some(found) = self.found else { return Err(rows) };
        let sorted = rows.sorted();
        Ok(Hits::new(found.into_iter().filter_map(|found| sorted.wanted(found)).collect(), self.n_read))
    }
}

impl Hits {
    fn new(mut hits: Vec<Found>, n_read: u64) -> Self {
        hits.sort_by_key(|found| (found.fingerprint, std::cmp::Reverse(found.hit.submitted), *found.hit.uuid.guid()));
        hits.dedup_by_key(|found| found.hit.uuid);
        Self { hits, n_read }
    }

    /// Returns whether there are none.
    pub const fn is_empty(&self) -> bool {
        self.hits.is_empty()
    }

    /// Returns how many requests of the list were read.
    pub const fn n_read(&self) -> u64 {
        self.n_read
    }

    /// Returns the request that stands for a row, the latest of several. Where the server says that a request is for another
    /// target or template, it is not the row's: fingerprints have 40 bits.
    pub fn of(&self, request: &CreateRequest) -> Option<&Hit> {
        // Usually there are none, and no row's fingerprint is needed.
        self.hits.first()?;
        let fingerprint = request.fingerprint().number();
        let first = self.hits.partition_point(|found| found.fingerprint < fingerprint);
        let same = self.hits[first..].iter().take_while(|found| found.fingerprint == fingerprint);
        let is_other =
            |wanted: Option<Guid>, found: Option<Guid>| wanted.is_some() && found.is_some() && wanted != found;
        same.filter(|found| !is_other(request.target, found.target) && !is_other(request.template, found.template))
            .map(|found| &found.hit)
            .next()
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

/// Returns whether a request in this state stands for what was asked: it is open or done. What no page names counts,
/// because it does not say that the request came to nothing.
const fn stands(status: RequestStatus) -> bool {
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

#[cfg(test)]
mod tests;
