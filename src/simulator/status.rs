//! The status of a request, and how it changes by itself.

use std::str::FromStr;
use std::time::Duration;

use super::script::Life;

/// The status of a request on the simulated server.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum RequestStatus {
    /// Waits for an approval.
    Pending,
    /// Ready to run.
    Approved,
    /// Being completed.
    Executing,
    /// Done.
    Completed,
    /// Not approved.
    Denied,
    /// Withdrawn.
    Canceled,
    /// Ended by an error, or abandoned.
    Failed,
}

impl RequestStatus {
    /// All statuses.
    pub const ALL: [Self; 7] =
        [Self::Pending, Self::Approved, Self::Executing, Self::Completed, Self::Denied, Self::Canceled, Self::Failed];

    /// Returns the number that stands in a request object. 3 and 8 stand in published examples; the others are those of
    /// the product's SQL interface, and *inferred* for this one.
    pub const fn number(self) -> u8 {
        match self {
            Self::Approved => 3,
            Self::Denied => 4,
            Self::Completed => 8,
            Self::Failed => 9,
            Self::Pending => 16,
            Self::Canceled => 17,
            Self::Executing => 18,
        }
    }

    /// Returns the name, as the filter of the list takes it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Pending => "Pending",
            Self::Approved => "Approved",
            Self::Executing => "Executing",
            Self::Completed => "Completed",
            Self::Denied => "Denied",
            Self::Canceled => "Canceled",
            Self::Failed => "Failed",
        }
    }
}

/// What the `status` filter of the list asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum StatusFilter {
    /// Requests of this status.
    Only(RequestStatus),
    /// `None`, a published filter that no request of the simulator has.
    Nothing,
}

/// The text is none of the eight published filters.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct UnknownFilter;

impl FromStr for StatusFilter {
    type Err = UnknownFilter;

    /// Takes any case, which is *chosen*.
    fn from_str(text: &str) -> Result<Self, UnknownFilter> {
        if text.eq_ignore_ascii_case("None") {
            return Ok(Self::Nothing);
        }
        let known = RequestStatus::ALL.into_iter().find(|status| status.name().eq_ignore_ascii_case(text));
        known.map(Self::Only).ok_or(UnknownFilter)
    }
}

/// What a client may ask of a request by PUT.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Change {
    Complete,
    Cancel,
    Abandon,
}

impl Change {
    /// Reads `Completed`, `Canceled` or `Abandoned`, in any case (*chosen*).
    pub(crate) fn from_name(name: &str) -> Option<Self> {
        let known = [("Completed", Self::Complete), ("Canceled", Self::Cancel), ("Abandoned", Self::Abandon)];
        known.into_iter().find(|(known, _)| known.eq_ignore_ascii_case(name)).map(|(_, change)| change)
    }

    /// Returns the status that a request of this status goes to, or none where the change is not allowed. The SDK says
    /// that abandoning needs Approved or Executing and gives Failed; the other preconditions are *chosen*.
    pub(crate) const fn applied_to(self, status: RequestStatus) -> Option<RequestStatus> {
        match (self, status) {
            (Self::Complete, RequestStatus::Approved | RequestStatus::Executing) => Some(RequestStatus::Completed),
            (Self::Cancel, RequestStatus::Pending | RequestStatus::Approved) => Some(RequestStatus::Canceled),
            (Self::Abandon, RequestStatus::Approved | RequestStatus::Executing) => Some(RequestStatus::Failed),
            (
                Self::Complete,
                RequestStatus::Pending
                | RequestStatus::Completed
                | RequestStatus::Denied
                | RequestStatus::Canceled
                | RequestStatus::Failed,
            )
            | (
                Self::Cancel,
                RequestStatus::Executing
                | RequestStatus::Completed
                | RequestStatus::Denied
                | RequestStatus::Canceled
                | RequestStatus::Failed,
            )
            | (
                Self::Abandon,
                RequestStatus::Pending
                | RequestStatus::Completed
                | RequestStatus::Denied
                | RequestStatus::Canceled
                | RequestStatus::Failed,
            ) => None,
        }
    }
}

/// What becomes of a request in the end, if no client changes it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fate {
    Completed,
    Denied,
    Failed,
}

/// Returns the status of a request of this age, and for an ended one the age at which it ended.
pub(crate) fn status_at_age(life: Life, fate: Fate, age: Duration) -> (RequestStatus, Option<Duration>) {
    if age < life.approve_after {
        return (RequestStatus::Pending, None);
    }
    if fate == Fate::Denied {
        return (RequestStatus::Denied, Some(life.approve_after));
    }
    let Some(complete_after) = life.complete_after else { return (RequestStatus::Approved, None) };
    let since = age - life.approve_after;
    if since < complete_after / 2 {
        (RequestStatus::Approved, None)
    } else if since < complete_after {
        (RequestStatus::Executing, None)
    } else {
        let ended = Some(life.approve_after + complete_after);
        match fate {
            Fate::Completed | Fate::Denied => (RequestStatus::Completed, ended),
            Fate::Failed => (RequestStatus::Failed, ended),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_goes_its_way_by_age() {
        let at = |life: Life, fate, seconds| status_at_age(life, fate, Duration::from_secs(seconds)).0;
        let still = Life::default();
        assert_eq!(at(still, Fate::Completed, 0), RequestStatus::Approved);
        assert_eq!(at(still, Fate::Completed, 1_000_000), RequestStatus::Approved);
        assert_eq!(at(still, Fate::Denied, 0), RequestStatus::Denied);

        let life = Life { approve_after: Duration::from_secs(10), complete_after: Some(Duration::from_secs(4)) };
        for (seconds, status) in [
            (0, RequestStatus::Pending),
            (9, RequestStatus::Pending),
            (10, RequestStatus::Approved),
            (11, RequestStatus::Approved),
            (12, RequestStatus::Executing),
            (13, RequestStatus::Executing),
            (14, RequestStatus::Completed),
        ] {
            assert_eq!(at(life, Fate::Completed, seconds), status, "{seconds}");
        }
        assert_eq!(at(life, Fate::Failed, 14), RequestStatus::Failed);
        assert_eq!(at(life, Fate::Denied, 9), RequestStatus::Pending);
        assert_eq!(at(life, Fate::Denied, 14), RequestStatus::Denied);
        let ended = status_at_age(life, Fate::Completed, Duration::from_secs(99)).1;
        assert_eq!(ended, Some(Duration::from_secs(14)));
    }

    #[test]
    fn changes_need_their_status() {
        use RequestStatus::{Approved, Canceled, Completed, Executing, Failed, Pending};
        let allowed = |change: Change| -> Vec<(RequestStatus, RequestStatus)> {
            let all = RequestStatus::ALL.into_iter();
            all.filter_map(|from| change.applied_to(from).map(|to| (from, to))).collect()
        };
        assert_eq!(allowed(Change::Complete), [(Approved, Completed), (Executing, Completed)]);
        assert_eq!(allowed(Change::Cancel), [(Pending, Canceled), (Approved, Canceled)]);
        assert_eq!(allowed(Change::Abandon), [(Approved, Failed), (Executing, Failed)]);
        assert_eq!(Change::from_name("completed"), Some(Change::Complete));
        assert_eq!(Change::from_name("Failed"), None);
    }

    #[test]
    fn the_filter_takes_the_eight_published_names() {
        for status in RequestStatus::ALL {
            assert_eq!(status.name().parse(), Ok(StatusFilter::Only(status)));
        }
        assert_eq!("pending".parse(), Ok(StatusFilter::Only(RequestStatus::Pending)));
        assert_eq!("None".parse(), Ok(StatusFilter::Nothing));
        assert_eq!("Abandoned".parse::<StatusFilter>(), Err(UnknownFilter));
    }
}
