//! The first of its kind: until one request of a type and template is created and seen as it was asked for, that kind goes one row
//! at a time, and its refusals and doubts are counted.

use std::collections::BTreeMap;

use super::memory::KnownKind;
use super::read_back::ToRead;
use super::stop::StopReason;
use crate::request::{Outcome, RequestKind, RequestUuid, RowId};

/// How the rows of a kind were refused of which none was created.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Refusals {
    /// Not at all.
    #[default]
    None,
    /// All of them with one status.
    Alike { status: u16, n_rows: u32 },
    /// With more than one.
    Mixed,
}

impl Refusals {
    fn and(self, with: u16) -> Self {
        match self {
            Self::None => Self::Alike { status: with, n_rows: 1 },
            Self::Alike { status, n_rows } if status == with => {
                Self::Alike { status, n_rows: n_rows.saturating_add(1) }
            }
            Self::Alike { .. } | Self::Mixed => Self::Mixed,
        }
    }
}

/// What a list is to tell of a kind.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Awaiting {
    /// Whether one of these rows, which are in doubt, was created.
    Doubts(Vec<RowId>),
    /// Whether one of these rows, all of them answered with 500, was created all the same. Where none was, that is for each to tell.
    Errors(Vec<RowId>),
    /// Whether this row's request, which cannot be found by its uuid, is what was asked for.
    Created(RowId, RequestUuid),
}

/// How far a kind is.
#[derive(Clone, Debug)]
enum Progress {
    /// None of it was created yet, in this session or before.
    Untried {
        is_calling: bool,
        refusals: Refusals,
        doubts: Vec<RowId>,
        /// Whether a list had none of the rows that were answered with 500.
        is_looked: bool,
    },
    /// One was created, and is to be seen.
    Unread { first: ToRead, is_reading: bool },
    /// Only a list can tell: these rows are in doubt, or the one that was created cannot be read by itself.
    AwaitsList(Awaiting),
    /// One was created and is what was asked for.
    Open,
}

const UNTRIED: Progress =
    Progress::Untried { is_calling: false, refusals: Refusals::None, doubts: Vec::new(), is_looked: false };

/// So many rows in doubt of a kind of which none was created, and only a list can tell.
const MAX_DOUBTS: usize = 2;

/// What a session knows of the kinds of request.
#[derive(Clone, Debug)]
pub(crate) struct Kinds {
    kinds: BTreeMap<RequestKind, Progress>,
    /// So many rows refused alike stop the run; 0 for never.
    max_refusals: u32,
    /// Whether this run created anything, in this session or before.
    has_created: bool,
}

impl Kinds {
    pub(crate) fn new(known: Vec<KnownKind>, max_refusals: u32) -> Self {
        let progress = |one| match one {
            KnownKind::Confirmed(kind) => (kind, Progress::Open),
            KnownKind::Unread { row, uuid, request } => {
                let first = ToRead { kind: request.request_kind(), row, uuid, request, recorded_by: None };
                (first.kind, Progress::Unread { first, is_reading: false })
            }
        };
        let kinds: BTreeMap<_, _> = known.into_iter().map(progress).collect();
        Self { has_created: !kinds.is_empty(), kinds, max_refusals }
    }

    /// Returns whether a call of this kind may start.
    pub(crate) fn may_start(&self, kind: RequestKind) -> bool {
        match self.kinds.get(&kind) {
            None | Some(Progress::Open | Progress::Untried { is_calling: false, .. }) => true,
            Some(Progress::Untried { is_calling: true, .. } | Progress::Unread { .. } | Progress::AwaitsList(_)) => {
                false
            }
        }
    }

    /// Returns whether any number of calls of this kind may start.
    pub(crate) fn is_open(&self, kind: RequestKind) -> bool {
        matches!(self.kinds.get(&kind), Some(Progress::Open))
    }

    /// Returns the kinds of which any number of rows may be claimed.
    pub(crate) fn open(&self) -> Vec<RequestKind> {
        self.kinds.keys().copied().filter(|kind| self.is_open(*kind)).collect()
    }

    /// Returns the kinds of which no row may be claimed now.
    pub(crate) fn held(&self) -> Vec<RequestKind> {
        self.kinds.keys().copied().filter(|kind| !self.may_start(*kind)).collect()
    }

    /// Returns whether only a list can tell how this kind goes on.
    pub(crate) fn awaits_list(&self, kind: RequestKind) -> bool {
        matches!(self.kinds.get(&kind), Some(Progress::AwaitsList(_)))
    }

    /// Returns the kinds of which only a list can tell how they go on, each with what that is to tell.
    pub(crate) fn awaiting(&self) -> Vec<(RequestKind, Awaiting)> {
        let rows = |(kind, progress): (&RequestKind, &Progress)| match progress {
            Progress::AwaitsList(awaiting) => Some((*kind, awaiting.clone())),
            Progress::Untried { .. } | Progress::Unread { .. } | Progress::Open => None,
        };
        self.kinds.iter().filter_map(rows).collect()
    }

    /// Notes that a call of this kind starts; says whether it is one of a first try, whose request is to be kept.
    pub(crate) fn started(&mut self, kind: RequestKind) -> bool {
        match self.kinds.entry(kind).or_insert(UNTRIED) {
            Progress::Untried { is_calling, .. } => {
                *is_calling = true;
                true
            }
            Progress::Unread { .. } | Progress::AwaitsList(_) | Progress::Open => false,
        }
    }

    /// Notes that a row was created; `first` is it where it was a first try.
    pub(crate) fn created(&mut self, first: Option<ToRead>) {
        self.has_created = true;
        if let Some(first) = first {
            self.kinds.insert(first.kind, Progress::Unread { first, is_reading: false });
        }
    }

    /// Notes how a call ended that created nothing for certain; gives the reason where the run is to stop.
    pub(crate) fn ended(&mut self, kind: RequestKind, row: RowId, outcome: &Outcome) -> Option<StopReason> {
        let Some(Progress::Untried { is_calling, refusals, doubts, is_looked }) = self.kinds.get_mut(&kind) else {
            return None;
        };
        *is_calling = false;
        let status = match outcome {
            Outcome::InDoubt(fault) => {
                doubts.push(row);
                // A 500 is counted as a refusal alike, too: a server answers so to what a row has wrong.
                fault.http_status.filter(|status| *status == 500)
            }
            Outcome::Failed(fault) => fault.http_status,
            Outcome::Pending(_) | Outcome::Created(_) => None,
        };
        if let Some(status) = status {
            *refusals = refusals.and(status);
        }
        let (refusals, doubts, is_looked) = (*refusals, doubts.clone(), *is_looked);
        let is_all_500 = matches!(refusals, Refusals::Alike { status: 500, n_rows } if n_rows as usize >= doubts.len());
        if doubts.len() >= MAX_DOUBTS && !(is_all_500 && is_looked) {
            let awaiting = if is_all_500 { Awaiting::Errors(doubts) } else { Awaiting::Doubts(doubts) };
            self.kinds.insert(kind, Progress::AwaitsList(awaiting));
        }
        match refusals {
            Refusals::Alike { status, n_rows } if self.max_refusals > 0 && n_rows >= self.max_refusals => {
                let is_refusal = (400..500).contains(&status) || (status == 500 && self.has_created);
                let last = outcome.fault().filter(|_| is_refusal)?.clone();
                Some(StopReason::Refused { kind, status, n_rows, last })
            }
            Refusals::None | Refusals::Alike { .. } | Refusals::Mixed => None,
        }
    }

    /// Returns the next request to read back: one that this session created, once it is `recorded` as a step says, or an
    /// earlier session's of a kind that is `wanted`.
    pub(crate) fn next_read_back(
        &mut self,
        recorded: impl Fn(u64) -> bool,
        wanted: impl Fn(RequestKind) -> bool,
    ) -> Option<ToRead> {
        self.kinds.values_mut().find_map(|progress| match progress {
            Progress::Unread { first, is_reading }
                if !*is_reading && first.recorded_by.map_or_else(|| wanted(first.kind), &recorded) =>
            {
                *is_reading = true;
                Some(first.clone())
            }
            Progress::Unread { .. } | Progress::Untried { .. } | Progress::AwaitsList(_) | Progress::Open => None,
        })
    }

    /// Notes that the first of a kind was seen as it was asked for, or that nobody wants to know: its kind is held up no longer.
    pub(crate) fn confirm(&mut self, kind: RequestKind) {
        self.has_created = true;
        self.kinds.insert(kind, Progress::Open);
    }

    /// Notes that the first of a kind is not to be read by itself: a list has to show it.
    pub(crate) fn await_list(&mut self, kind: RequestKind, row: RowId, uuid: RequestUuid) {
        self.kinds.insert(kind, Progress::AwaitsList(Awaiting::Created(row, uuid)));
    }

    /// Notes that a list has none of the rows that were answered with 500: the next ones are tried one at a time, and counted on.
    pub(crate) fn go_on(&mut self, kind: RequestKind, doubts: Vec<RowId>) {
        let n_rows = u32::try_from(doubts.len()).unwrap_or(u32::MAX);
        let refusals = Refusals::Alike { status: 500, n_rows };
        self.kinds.insert(kind, Progress::Untried { is_calling: false, refusals, doubts, is_looked: true });
    }

    /// Notes that the first of a kind says nothing: the next one is looked at in its place.
    pub(crate) fn try_anew(&mut self, kind: RequestKind) {
        self.kinds.insert(kind, UNTRIED);
    }

    /// Forgets what was seen of the kinds: each begins anew, with one row.
    pub(crate) fn forget(&mut self) {
        self.kinds.clear();
    }

    /// Notes that no call and no reading is under way any more.
    pub(crate) fn round_ends(&mut self) {
        for progress in self.kinds.values_mut() {
            match progress {
                Progress::Untried { is_calling, .. } => *is_calling = false,
                Progress::Unread { is_reading, .. } => *is_reading = false,
                Progress::AwaitsList(_) | Progress::Open => {}
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::request::{CreateRequest, ErrorCode, Fault, RequestType};

    const ROW: RowId = RowId::new(7).unwrap();

    fn kind(request_type: RequestType) -> RequestKind {
        RequestKind { request_type, template: None }
    }

    fn first(request_type: RequestType) -> ToRead {
        ToRead {
            kind: kind(request_type),
            row: ROW,
            uuid: crate::request::RequestUuid::new(crate::request::Guid::from_bytes([1; 16])),
            request: Box::new(CreateRequest::new(request_type)),
            recorded_by: Some(3),
        }
    }

    fn knowing(known: Vec<KnownKind>) -> Kinds {
        Kinds::new(known, 25)
    }

    fn answered(status: u16) -> Outcome {
        let fault = Fault { http_status: Some(status), ..Fault::without_answer(ErrorCode::Refused, "") };
        if status < 500 { Outcome::Failed(fault) } else { Outcome::InDoubt(fault) }
    }

    fn timed_out() -> Outcome {
        Outcome::InDoubt(Fault::without_answer(ErrorCode::Timeout, ""))
    }

    /// Makes calls of one kind, and returns how many there were when the run was to stop or the kind was held.
    fn calls_until_held(kinds: &mut Kinds, outcomes: impl IntoIterator<Item = Outcome>) -> (usize, Option<StopReason>) {
        let enroll = kind(RequestType::Enroll);
        let mut n_calls = 0;
        for outcome in outcomes {
            if let Some((_, Awaiting::Errors(rows))) = kinds.awaiting().first().cloned() {
                assert!(rows.len() == 2 && !kinds.may_start(enroll));
                kinds.go_on(enroll, rows);
            }
            if !kinds.may_start(enroll) {
                return (n_calls, None);
            }
            n_calls += 1;
            assert!(kinds.started(enroll));
            assert!(!kinds.may_start(enroll), "one at a time");
            let reason = kinds.ended(enroll, ROW, &outcome);
            if reason.is_some() {
                return (n_calls, reason);
            }
        }
        (n_calls, None)
    }

    #[test]
    fn a_kind_goes_one_call_at_a_time_until_its_first_is_seen() {
        let (enroll, renew) = (kind(RequestType::Enroll), kind(RequestType::Renew));
        let mut kinds = knowing(vec![KnownKind::Confirmed(renew)]);
        assert!(kinds.started(enroll) && !kinds.started(renew));
        assert!(!kinds.may_start(enroll) && kinds.may_start(renew));
        assert_eq!((kinds.open(), kinds.held()), (vec![renew], vec![enroll]));
        assert!(kinds.next_read_back(|_| true, |_| true).is_none());
        kinds.created(Some(first(RequestType::Enroll)));
        assert!(!kinds.may_start(enroll));
        assert!(kinds.next_read_back(|step| step < 3, |_| true).is_none(), "it is not recorded yet");
        assert_eq!(kinds.next_read_back(|step| step <= 3, |_| false).map(|first| first.kind), Some(enroll));
        assert!(kinds.next_read_back(|_| true, |_| true).is_none(), "it is being read");
        kinds.confirm(enroll);
        assert!(kinds.may_start(enroll) && !kinds.started(enroll));
        kinds.forget();
        assert!(kinds.may_start(enroll) && kinds.started(enroll) && !kinds.may_start(enroll));
    }

    #[test]
    fn what_an_earlier_session_created_is_read_back_when_its_kind_is_wanted() {
        let renew = kind(RequestType::Renew);
        let ToRead { row, uuid, request, .. } = first(RequestType::Renew);
        let mut kinds = knowing(vec![KnownKind::Unread { row, uuid, request }]);
        assert!(!kinds.may_start(renew));
        assert!(kinds.next_read_back(|_| true, |_| false).is_none());
        assert!(kinds.next_read_back(|_| true, |kind| kind == renew).is_some());
        kinds.round_ends();
        assert!(kinds.next_read_back(|_| true, |kind| kind == renew).is_some(), "the round ended before it was read");
        kinds.try_anew(renew);
        assert!(kinds.may_start(renew) && kinds.started(renew));
    }

    #[test]
    fn so_many_refusals_alike_stop_the_run() {
        for status in [400, 403, 409] {
            let (n, stop) = calls_until_held(&mut knowing(Vec::new()), (0..40).map(|_| answered(status)));
            assert!(matches!(stop, Some(StopReason::Refused { status: seen, n_rows: 25, .. }) if seen == status));
            assert_eq!(n, 25);
        }
        let (n, stop) = calls_until_held(&mut Kinds::new(Vec::new(), 0), (0..100).map(|_| answered(403)));
        assert!(n == 100 && stop.is_none());
    }

    #[test]
    fn refusals_that_differ_never_stop_it_and_what_is_no_refusal_does_not_count() {
        let outcomes = (0..100).map(|n| answered(if n == 20 { 400 } else { 403 }));
        assert!(calls_until_held(&mut knowing(Vec::new()), outcomes).1.is_none());
        let throttled = || Outcome::Pending(Fault::without_answer(ErrorCode::Throttled, ""));
        let outcomes = (0..60).map(|n| if n % 2 == 0 { throttled() } else { answered(403) });
        let (n, stop) = calls_until_held(&mut knowing(Vec::new()), outcomes);
        assert!(n == 50 && matches!(stop, Some(StopReason::Refused { .. })));
    }

    #[test]
    fn five_hundred_counts_only_where_another_kind_succeeds() {
        let (n, stop) = calls_until_held(&mut knowing(Vec::new()), (0..100).map(|_| answered(500)));
        assert!(n == 100 && stop.is_none());
        let mut kinds = knowing(vec![KnownKind::Confirmed(kind(RequestType::Renew))]);
        let (n, stop) = calls_until_held(&mut kinds, (0..100).map(|_| answered(500)));
        assert!(n == 25 && matches!(stop, Some(StopReason::Refused { status: 500, .. })), "{stop:?}");
    }

    #[test]
    fn a_doubt_does_not_hold_the_next_row_and_two_wait_for_a_list() {
        let enroll = kind(RequestType::Enroll);
        let mut kinds = knowing(Vec::new());
        let (n, stop) = calls_until_held(&mut kinds, [timed_out(), answered(400), answered(502), answered(400)]);
        assert!(n == 3 && stop.is_none());
        assert!(kinds.awaits_list(enroll));
        assert_eq!(kinds.awaiting(), [(enroll, Awaiting::Doubts(vec![ROW, ROW]))]);
        kinds.confirm(enroll);
        assert!(kinds.is_open(enroll) && kinds.awaiting().is_empty());
        // The first one in doubt, the second one created: the kind goes on.
        let mut kinds = knowing(Vec::new());
        assert_eq!(calls_until_held(&mut kinds, [timed_out()]).0, 1);
        assert!(kinds.may_start(enroll) && kinds.started(enroll));
        kinds.created(Some(first(RequestType::Enroll)));
        kinds.await_list(enroll, ROW, first(RequestType::Enroll).uuid);
        assert!(kinds.awaits_list(enroll) && !kinds.may_start(enroll));
        // Two that were answered with 500 wait for one list; another answer that is lost waits for one again.
        let mut kinds = knowing(Vec::new());
        let outcomes = [answered(500), answered(500), answered(500), timed_out(), answered(500)];
        assert_eq!(calls_until_held(&mut kinds, outcomes).0, 4);
        assert_eq!(kinds.awaiting(), [(enroll, Awaiting::Doubts(vec![ROW; 4]))]);
    }
}
