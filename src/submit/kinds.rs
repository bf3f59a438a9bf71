//! The first of its kind: until one request of a type and template is created and read back, that kind goes one call at a
//! time, and its refusals are counted.

use std::collections::HashMap;
use std::time::Duration;

use tokio::time::Instant;

use super::memory::KnownKind;
use super::read_back::ToRead;
use super::stop::StopReason;
use crate::request::{ErrorCode, Outcome, RequestKind, RowId};

/// So many time-outs of a kind in a row stop the run, where nothing was created yet.
const FIRST_TIME_OUTS: u32 = 2;

/// A kind that is held up for longer than this must not hold up others.
const STUCK: Duration = Duration::from_secs(1);

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

/// How far a kind is.
#[derive(Clone, Debug)]
enum Progress {
    /// None of it was created yet.
    Untried { calling_since: Option<Instant>, refusals: Refusals, timeouts: u32 },
    /// One was created, and is to be read back.
    Unread { first: ToRead, since: Instant, is_reading: bool },
    /// One was created and looked at.
    Confirmed,
}

const UNTRIED: Progress = Progress::Untried { calling_since: None, refusals: Refusals::None, timeouts: 0 };

/// What a session knows of the kinds of request.
#[derive(Clone, Debug)]
pub(crate) struct Kinds {
    kinds: HashMap<RequestKind, Progress>,
    /// So many rows refused alike stop the run; 0 for never.
    max_refusals: u32,
    /// Whether this run created anything, in this session or before.
    has_created: bool,
}

impl Kinds {
    pub(crate) fn new(known: Vec<KnownKind>, max_refusals: u32, now: Instant) -> Self {
        let mut kinds = HashMap::new();
        let mut has_created = false;
        for one in known {
            let (kind, progress) = match one {
                KnownKind::Confirmed(kind) => (kind, Progress::Confirmed),
                KnownKind::Unread { row, uuid, request } => {
                    let first = ToRead { kind: request.request_kind(), row, uuid, request, recorded_by: None };
                    (first.kind, Progress::Unread { first, since: now, is_reading: false })
                }
                KnownKind::Refused(known) => {
                    let refusals = match known.status {
                        _ if known.n_rows == 0 => Refusals::None,
                        Some(status) => Refusals::Alike { status, n_rows: known.n_rows },
                        None => Refusals::Mixed,
                    };
                    (known.kind, Progress::Untried { calling_since: None, refusals, timeouts: 0 })
                }
            };
            has_created |= !matches!(progress, Progress::Untried { .. });
            kinds.insert(kind, progress);
        }
        Self { kinds, max_refusals, has_created }
    }

    /// Returns whether a call of this kind may start.
    pub(crate) fn may_start(&self, kind: RequestKind) -> bool {
        match self.kinds.get(&kind) {
            None | Some(Progress::Confirmed | Progress::Untried { calling_since: None, .. }) => true,
            Some(Progress::Untried { calling_since: Some(_), .. } | Progress::Unread { .. }) => false,
        }
    }

    /// Returns whether any number of calls of this kind may start.
    pub(crate) fn is_confirmed(&self, kind: RequestKind) -> bool {
        matches!(self.kinds.get(&kind), Some(Progress::Confirmed))
    }

    /// Returns when a kind counts as held up for long, where it is held up.
    pub(crate) fn stuck_from(&self, kind: RequestKind) -> Option<Instant> {
        match self.kinds.get(&kind)? {
            Progress::Untried { calling_since, .. } => calling_since.map(|since| since + STUCK),
            Progress::Unread { since, .. } => Some(*since + STUCK),
            Progress::Confirmed => None,
        }
    }

    /// Notes that a call of this kind starts; says whether it is one of a first try, whose request is to be kept.
    pub(crate) fn started(&mut self, kind: RequestKind, now: Instant) -> bool {
        match self.kinds.entry(kind).or_insert(UNTRIED) {
            Progress::Untried { calling_since, .. } => {
                *calling_since = Some(now);
                true
            }
            Progress::Unread { .. } | Progress::Confirmed => false,
        }
    }

    /// Notes that a row was created; `first` is it where it was a first try.
    pub(crate) fn created(&mut self, first: Option<ToRead>, now: Instant) {
        self.has_created = true;
        if let Some(first) = first {
            self.kinds.insert(first.kind, Progress::Unread { first, since: now, is_reading: false });
        }
    }

    /// Notes how a call ended that created nothing for certain; gives the reason where the run is to stop.
    pub(crate) fn ended(&mut self, kind: RequestKind, row: RowId, outcome: &Outcome) -> Option<StopReason> {
        let Some(Progress::Untried { calling_since, refusals, timeouts }) = self.kinds.get_mut(&kind) else {
            return None;
        };
        *calling_since = None;
        let has_timed_out = outcome.fault().is_some_and(|fault| fault.code == ErrorCode::Timeout);
        *timeouts = if has_timed_out { *timeouts + 1 } else { 0 };
        if *timeouts >= FIRST_TIME_OUTS && !self.has_created {
            return Some(StopReason::FirstTimedOut { kind, row });
        }
        *refusals = refusals.and(refusal(outcome)?);
        match *refusals {
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
            Progress::Unread { first, is_reading, .. }
                if !*is_reading && first.recorded_by.map_or_else(|| wanted(first.kind), &recorded) =>
            {
                *is_reading = true;
                Some(first.clone())
            }
            Progress::Unread { .. } | Progress::Untried { .. } | Progress::Confirmed => None,
        })
    }

    /// Notes that the first of a kind was looked at, or that it cannot be: its kind is held up no longer.
    pub(crate) fn confirm(&mut self, kind: RequestKind) {
        self.kinds.insert(kind, Progress::Confirmed);
    }

    /// Notes that the first of a kind says nothing: the next one stands in its place.
    pub(crate) fn try_anew(&mut self, kind: RequestKind) {
        self.kinds.insert(kind, UNTRIED);
    }

    /// Notes that no call and no reading is under way any more.
    pub(crate) fn round_ends(&mut self) {
        for progress in self.kinds.values_mut() {
            match progress {
                Progress::Untried { calling_since, .. } => *calling_since = None,
                Progress::Unread { is_reading, .. } => *is_reading = false,
                Progress::Confirmed => {}
            }
        }
    }
}

/// Returns the status that a row was refused with: by an answer after which it is not sent again by itself.
fn refusal(outcome: &Outcome) -> Option<u16> {
    match outcome {
        Outcome::Failed(fault) | Outcome::InDoubt(fault) if fault.code != ErrorCode::AnswerBroken => fault.http_status,
        Outcome::Failed(_) | Outcome::InDoubt(_) | Outcome::Pending(_) | Outcome::Created(_) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ledger::KindRefusals;
    use crate::request::{CreateRequest, Fault, RequestType};

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
        Kinds::new(known, 25, Instant::now())
    }

    fn answered(status: u16) -> Outcome {
        let fault = Fault { http_status: Some(status), ..Fault::without_answer(ErrorCode::Refused, "") };
        if status < 500 { Outcome::Failed(fault) } else { Outcome::InDoubt(fault) }
    }

    fn timed_out() -> Outcome {
        Outcome::InDoubt(Fault::without_answer(ErrorCode::Timeout, ""))
    }

    /// Makes calls of one kind, and returns how many there were when the run was to stop.
    fn calls_until_stop(kinds: &mut Kinds, outcomes: impl IntoIterator<Item = Outcome>) -> Option<(usize, StopReason)> {
        let enroll = kind(RequestType::Enroll);
        outcomes.into_iter().enumerate().find_map(|(n, outcome)| {
            assert!(kinds.may_start(enroll));
            assert!(kinds.started(enroll, Instant::now()));
            assert!(!kinds.may_start(enroll), "one at a time");
            kinds.ended(enroll, ROW, &outcome).map(|reason| (n + 1, reason))
        })
    }

    #[test]
    fn a_kind_goes_one_call_at_a_time_until_its_first_is_read_back() {
        let (enroll, renew) = (kind(RequestType::Enroll), kind(RequestType::Renew));
        let mut kinds = knowing(vec![KnownKind::Confirmed(renew)]);
        assert!(kinds.started(enroll, Instant::now()) && !kinds.started(renew, Instant::now()));
        assert!(!kinds.may_start(enroll) && kinds.may_start(renew));
        assert!(kinds.next_read_back(|_| true, |_| true).is_none());
        kinds.created(Some(first(RequestType::Enroll)), Instant::now());
        assert!(!kinds.may_start(enroll));
        assert!(kinds.next_read_back(|step| step < 3, |_| true).is_none(), "it is not recorded yet");
        assert_eq!(kinds.next_read_back(|step| step <= 3, |_| false).map(|first| first.kind), Some(enroll));
        assert!(kinds.next_read_back(|_| true, |_| true).is_none(), "it is being read");
        kinds.confirm(enroll);
        assert!(kinds.may_start(enroll) && !kinds.started(enroll, Instant::now()));
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
        assert!(kinds.may_start(renew) && kinds.started(renew, Instant::now()));
    }

    #[test]
    fn so_many_refusals_alike_stop_the_run() {
        for status in [400, 403, 409] {
            let mut kinds = knowing(Vec::new());
            let stop = calls_until_stop(&mut kinds, (0..40).map(|_| answered(status)));
            assert!(matches!(stop, Some((25, StopReason::Refused { status: seen, n_rows: 25, .. })) if seen == status));
        }
        let mut off = Kinds::new(Vec::new(), 0, Instant::now());
        assert!(calls_until_stop(&mut off, (0..100).map(|_| answered(403))).is_none());
    }

    #[test]
    fn refusals_that_differ_never_stop_it_and_what_is_no_refusal_does_not_count() {
        let mut kinds = knowing(Vec::new());
        let outcomes = (0..100).map(|n| answered(if n == 20 { 400 } else { 403 }));
        assert!(calls_until_stop(&mut kinds, outcomes).is_none());
        let mut kinds = knowing(Vec::new());
        let throttled = || Outcome::Pending(Fault::without_answer(ErrorCode::Throttled, ""));
        let outcomes = (0..60).map(|n| if n % 2 == 0 { throttled() } else { answered(403) });
        assert!(matches!(calls_until_stop(&mut kinds, outcomes), Some((50, StopReason::Refused { .. }))));
        // A proxy's 502 is not a right that is missing.
        let mut kinds = knowing(Vec::new());
        kinds.created(None, Instant::now());
        assert!(calls_until_stop(&mut kinds, (0..60).map(|_| answered(502))).is_none());
    }

    #[test]
    fn five_hundred_counts_only_where_another_kind_succeeds() {
        let mut kinds = knowing(Vec::new());
        assert!(calls_until_stop(&mut kinds, (0..100).map(|_| answered(500))).is_none());
        let mut kinds = knowing(vec![KnownKind::Confirmed(kind(RequestType::Renew))]);
        let stop = calls_until_stop(&mut kinds, (0..100).map(|_| answered(500)));
        assert!(matches!(stop, Some((25, StopReason::Refused { status: 500, .. }))), "{stop:?}");
    }

    #[test]
    fn refusals_of_earlier_sessions_count() {
        let seeded = |n_rows, status| {
            let refusals = KindRefusals { kind: kind(RequestType::Enroll), n_rows, status };
            knowing(vec![KnownKind::Refused(refusals)])
        };
        for (n_rows, status, expect) in [(20, Some(403), Some(5)), (25, Some(403), Some(1)), (20, None, None)] {
            let stop = calls_until_stop(&mut seeded(n_rows, status), (0..60).map(|_| answered(403)));
            assert_eq!(stop.map(|(n, _)| n), expect, "{n_rows} before, {status:?}");
        }
        let stop = calls_until_stop(&mut seeded(20, Some(400)), (0..60).map(|_| answered(403)));
        assert!(stop.is_none(), "they differ");
    }

    #[test]
    fn two_time_outs_in_a_row_stop_a_run_that_created_nothing() {
        let mut kinds = knowing(Vec::new());
        let outcomes = [timed_out(), answered(400), timed_out(), timed_out()];
        assert!(matches!(calls_until_stop(&mut kinds, outcomes), Some((4, StopReason::FirstTimedOut { .. }))));
        let mut kinds = knowing(vec![KnownKind::Confirmed(kind(RequestType::Renew))]);
        assert!(calls_until_stop(&mut kinds, (0..10).map(|_| timed_out())).is_none());
    }
}
