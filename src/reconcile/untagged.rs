//! Finding the requests of a run without tags: by their properties and time.

use std::ops::Range;

use jiff::{SignedDuration, Timestamp};

use crate::client::RequestObject;
use crate::ledger::{CreatedRow, DoubtfulRow};
use crate::request::{CreateRequest, Guid, RequestUuid, RowId, Tag};

use super::found::{Before, Exists};
use super::matching::{CLOCKS_DIFFER, before, disagreements, type_may_be};
use super::proof::Expected;
use super::report::{Ambiguous, Candidate, Doubles, Strays};
use super::scan::Seen;
use super::tagless::Tagless;

/// How far the server's clock may be from this machine's where a request is taken for a row's.
const CLOCKS_AGREE: SignedDuration = SignedDuration::from_secs(5);

/// How many requests are kept of a row; with more it is beyond telling which is its.
const MAX_KEPT: usize = Ambiguous::MAX_CANDIDATES + 1;

/// A row in doubt, by what its request must be like.
#[derive(Debug)]
struct Wanted {
    row: RowId,
    request: CreateRequest,
    /// When the attempt was made; none where that is not known.
    made: Option<Range<Timestamp>>,
    recorded_at: Timestamp,
    /// Requests submitted while the attempt was made.
    fits: Vec<Kept>,
    /// Requests that only wrong clocks could make the row's.
    may_fit: Vec<Candidate>,
}

/// A request that fits a row.
#[derive(Clone, Copy, Debug)]
struct Kept {
    candidate: Candidate,
    /// Whether it fits another row too.
    is_shared: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fit {
    Fits,
    MayFit,
}

/// Reads a list for requests that are like those of rows in doubt.
///
/// Keeps the rows in doubt (some 250 bytes each), and the uuids of all created rows (16 bytes each): a request that is known to
/// be another row's is nobody's candidate.
#[derive(Debug)]
pub(super) struct PropertyScan {
    expected: Expected,
    /// By target and template, so that a request is compared only with rows that name the same or none.
    wanted: Vec<Wanted>,
    /// In order.
    created: Vec<Guid>,
}

impl PropertyScan {
    /// Makes a scan for rows that are yet to be added.
    pub(super) const fn new(expected: Expected) -> Self {
        Self { expected, wanted: Vec::new(), created: Vec::new() }
    }

    /// Adds rows that are known as created.
    pub(super) fn add_created(&mut self, created: &[CreatedRow]) {
        self.created.extend(created.iter().map(|known| *known.uuid.guid()));
    }

    /// Adds a row in doubt.
    pub(super) fn add(&mut self, doubt: &DoubtfulRow) {
        let request = CreateRequest {
            template: doubt.request.template,
            target: doubt.request.target,
            smartcard: doubt.request.smartcard,
            profile: doubt.request.profile,
            ..CreateRequest::new(doubt.request.kind)
        };
        self.wanted.push(Wanted {
            row: doubt.row,
            request,
            // A row of an older ledger is doubted with the time of that, since nothing is known of the attempt.
            made: doubt.started_at.map(|started| started..doubt.recorded_at).filter(|made| !made.is_empty()),
            recorded_at: doubt.recorded_at,
            fits: Vec::new(),
            may_fit: Vec::new(),
        });
    }

    /// Ends the adding of rows.
    pub(super) fn ready(mut self) -> Self {
        self.created.sort_unstable();
        self.wanted.sort_by_key(|wanted| (wanted.request.target, wanted.request.template, wanted.row));
        self
    }

    /// Takes note of a request in the list.
    pub(super) fn take(&mut self, object: &RequestObject) {
        self.expected.see(object, None);
        // A run without tags sends none, and a manifest's comment may not contain one.
        if self.created.binary_search(object.uuid.guid()).is_ok() || Tag::find(&object.comment).is_some() {
            return;
        }
        let mut fitting = Vec::new();
        for at in self.named_alike(object) {
            let wanted = &mut self.wanted[at];
            match wanted.fit(object) {
                Some(Fit::Fits) => fitting.push(at),
                Some(Fit::MayFit) => keep(&mut wanted.may_fit, candidate(object), |kept| kept.uuid),
                None => {}
            }
        }
        let is_shared = fitting.len() > 1;
        for at in fitting {
            let kept = Kept { candidate: candidate(object), is_shared };
            keep(&mut self.wanted[at].fits, kept, |kept| kept.candidate.uuid);
        }
    }

    /// Returns the places of the rows that name the request's target and template, or leave one of them or both open.
    fn named_alike(&self, object: &RequestObject) -> Vec<usize> {
        let mut keys =
            vec![(None, None), (None, object.template), (object.target, None), (object.target, object.template)];
        keys.sort_unstable();
        keys.dedup();
        let key = |wanted: &Wanted| (wanted.request.target, wanted.request.template);
        keys.into_iter()
            .flat_map(|named| {
                let first = self.wanted.partition_point(|wanted| key(wanted) < named);
                let n = self.wanted[first..].partition_point(|wanted| key(wanted) == named);
                first..first + n
            })
            .collect()
    }

    /// Sums up a list that ended well.
    pub(super) fn finish(mut self) -> Seen {
        self.wanted.sort_by_key(|wanted| wanted.row);
        let found = |wanted: &Wanted| {
            let Candidate { uuid, submitted } = wanted.only_one()?;
            Some(Exists::new(wanted.row, uuid, submitted, Before::InDoubt))
        };
        let exists: Vec<Exists> = self.wanted.iter().filter_map(found).collect();
        let mut taken: Vec<Guid> = exists.iter().map(|found| *found.uuid.guid()).collect();
        taken.sort_unstable();
        let (mut unclear, mut ambiguous) = (Vec::new(), Ambiguous::default());
        for wanted in &self.wanted {
            if wanted.only_one().is_some() || !wanted.may_exist(&taken) {
                continue;
            }
            unclear.push(wanted.row);
            let fits = wanted.fits.iter().map(|kept| kept.candidate);
            ambiguous.add(wanted.row, fits.chain(wanted.may_fit.iter().copied()));
        }
        Seen {
            completeness: self.expected.completeness(),
            exists,
            contradictions: Vec::new(),
            unclear,
            ambiguous,
            doubles: Doubles::default(),
            strays: Strays::default(),
            tagless: Tagless::default(),
        }
    }
}

impl Wanted {
    /// Returns whether a request that has the target and template that the row names may be the row's.
    ///
    /// It is taken for the row's only where the row says whom or what it is about, nothing differs, and it was submitted while
    /// the attempt was made. What differs in card or profile, or in time by what clocks may be wrong, or has no time, is not
    /// the row's for certain, nor for certain another's.
    fn fit(&self, object: &RequestObject) -> Option<Fit> {
        if !type_may_be(self.request.kind, object.request_type) {
            return None;
        }
        let Some(submitted) = object.submitted else { return Some(Fit::MayFit) };
        let within = |time: &Range<Timestamp>, leeway: SignedDuration| {
            submitted >= before(time.start, leeway)
                && submitted <= time.end.saturating_add(leeway).unwrap_or(Timestamp::MAX)
        };
        let is_certain = object.request_type.is_some()
            && self.is_about(object)
            && disagreements(&self.request, None, object).is_empty();
        match &self.made {
            Some(made) if is_certain && within(made, CLOCKS_AGREE) => Some(Fit::Fits),
            Some(made) => within(made, CLOCKS_DIFFER).then_some(Fit::MayFit),
            None => within(&(Timestamp::MIN..self.recorded_at), CLOCKS_DIFFER).then_some(Fit::MayFit),
        }
    }

    /// Returns whether the row says whom or what it is about, and the request is about the same: a type and a template alone
    /// are what anybody may have asked for in those seconds.
    fn is_about(&self, object: &RequestObject) -> bool {
        let same = |named: Option<Guid>, found: Option<Guid>| named.is_some() && named == found;
        same(self.request.target, object.target)
            || same(self.request.smartcard, object.old_smartcard)
            || same(self.request.profile, object.old_profile)
    }

    /// Returns the row's request, where there is one and it is nobody else's.
    fn only_one(&self) -> Option<Candidate> {
        match self.fits.as_slice() {
            [Kept { candidate, is_shared: false }] => Some(*candidate),
            [] | [_, ..] => None,
        }
    }

    /// Returns whether a request that is not `taken` by another row may be this one's.
    fn may_exist(&self, taken: &[Guid]) -> bool {
        let is_free = |candidate: &Candidate| taken.binary_search(candidate.uuid.guid()).is_err();
        // Of more than are kept, some that are not may be free.
        !self.fits.is_empty() || self.may_fit.len() == MAX_KEPT || self.may_fit.iter().any(is_free)
    }
}

const fn candidate(object: &RequestObject) -> Candidate {
    Candidate { uuid: object.uuid, submitted: object.submitted }
}

/// Keeps one more request unless it is kept already, or there are too many to tell.
fn keep<T>(kept: &mut Vec<T>, one_more: T, uuid_of: impl Fn(&T) -> RequestUuid) {
    if kept.len() < MAX_KEPT && !kept.iter().any(|known| uuid_of(known) == uuid_of(&one_more)) {
        kept.push(one_more);
    }
}

#[cfg(test)]
mod tests;
