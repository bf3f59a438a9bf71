//! Stable names for what ended a command early: `stopped_by` of the JSON object.

use super::exit::Exit;
use crate::client::{ReadError, TransportFault};
use crate::submit::StopReason;

/// What ended a command before its work was done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StoppedBy {
    /// Options, files or a configuration that are not right.
    Usage,
    /// Rows that take certificates away are not confirmed.
    NotConfirmed,
    /// Rows were requested before, from another ledger.
    RequestedBefore,
    /// The ledger is that of another run or server.
    OtherRun,
    /// The manifest is invalid.
    InvalidManifest,
    /// The ledger is missing, damaged, or cannot be written.
    Ledger,
    /// Another process works on the ledger.
    LedgerInUse,
    /// The state folder or an output cannot be written.
    Disk,
    /// The server, or the way to it, cannot be reached.
    Unreachable,
    /// The server's list of requests cannot be read.
    NoList,
    /// The sign-in was not accepted.
    SignIn,
    /// There is no API at the address.
    ApiNotFound,
    /// Too many calls failed.
    Breaker,
    /// The server throttles, and nothing is created.
    Stall,
    /// The first rows of a kind were all refused alike.
    Refused,
    /// The first request of a kind is not what was asked for.
    NotAsAsked,
    /// The first rows of a kind are in doubt, and no list shows one.
    FirstInDoubt,
    /// A request cannot be read, and so not be checked.
    NotReadBack,
    /// No list shows the row that was sent alone.
    NotShown,
    /// The list lacks requests that the ledger knows, and the ledger is behind.
    ListNotWhole,
    /// Another process works on this run, or has to send these rows.
    AnotherAtWork,
    /// Another run requested rows of this one meanwhile.
    RequestedElsewhere,
    /// The clocks jumped.
    Clock,
    /// A person or the system stopped it.
    Interrupted,
}

impl StoppedBy {
    /// All of them.
    pub const ALL: [Self; 24] = [
        Self::Usage,
        Self::NotConfirmed,
        Self::RequestedBefore,
        Self::OtherRun,
        Self::InvalidManifest,
        Self::Ledger,
        Self::LedgerInUse,
        Self::Disk,
        Self::Unreachable,
        Self::NoList,
        Self::SignIn,
        Self::ApiNotFound,
        Self::Breaker,
        Self::Stall,
        Self::Refused,
        Self::NotAsAsked,
        Self::FirstInDoubt,
        Self::NotReadBack,
        Self::NotShown,
        Self::ListNotWhole,
        Self::AnotherAtWork,
        Self::RequestedElsewhere,
        Self::Clock,
        Self::Interrupted,
    ];

    /// Returns its stable name.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Usage => "usage",
            Self::NotConfirmed => "not-confirmed",
            Self::RequestedBefore => "requested-before",
            Self::OtherRun => "other-run",
            Self::InvalidManifest => "invalid-manifest",
            Self::Ledger => "ledger",
            Self::LedgerInUse => "ledger-in-use",
            Self::Disk => "disk",
            Self::Unreachable => "unreachable",
            Self::NoList => "no-list",
            Self::SignIn => "sign-in",
            Self::ApiNotFound => "api-not-found",
            Self::Breaker => "breaker",
            Self::Stall => "stall",
            Self::Refused => "refused",
            Self::NotAsAsked => "not-as-asked",
            Self::FirstInDoubt => "first-in-doubt",
            Self::NotReadBack => "not-read-back",
            Self::NotShown => "not-shown",
            Self::ListNotWhole => "list-not-whole",
            Self::AnotherAtWork => "another-at-work",
            Self::RequestedElsewhere => "requested-elsewhere",
            Self::Clock => "clock",
            Self::Interrupted => "interrupted",
        }
    }

    /// Returns what stands behind an exit status where nothing more is known; none for what is no stop.
    pub const fn of_exit(exit: Exit) -> Option<Self> {
        match exit {
            Exit::Done | Exit::SomeRows => None,
            Exit::Usage => Some(Self::Usage),
            Exit::InvalidManifest => Some(Self::InvalidManifest),
            Exit::Server => Some(Self::Unreachable),
            Exit::SignIn => Some(Self::SignIn),
            Exit::NoApi => Some(Self::ApiNotFound),
            Exit::Disk => Some(Self::Disk),
            Exit::InUse => Some(Self::LedgerInUse),
            Exit::Interrupted => Some(Self::Interrupted),
        }
    }

    /// Returns what a list that cannot be read stands for.
    pub const fn of_list(error: &ReadError) -> Self {
        match error {
            ReadError::Status { status: 401, .. } | ReadError::Transport { fault: TransportFault::NotSignedIn, .. } => {
                Self::SignIn
            }
            ReadError::Status { status: 404, .. } => Self::ApiNotFound,
            ReadError::Transport {
                fault:
                    TransportFault::ConnectionRefused
                    | TransportFault::NameNotResolved
                    | TransportFault::TlsFailed
                    | TransportFault::NotConnected
                    | TransportFault::ProxyRefused,
                ..
            } => Self::Unreachable,
            ReadError::Status { .. }
            | ReadError::Transport {
                fault:
                    TransportFault::TooLate
                    | TransportFault::Timeout
                    | TransportFault::ConnectionLost
                    | TransportFault::AnswerBroken { .. },
                ..
            }
            | ReadError::NoContent
            | ReadError::CutOff { .. }
            | ReadError::Malformed { .. }
            | ReadError::Object { .. }
            | ReadError::Cached(_)
            | ReadError::Page(_)
            | ReadError::NotUnderstood(_)
            | ReadError::TooLong { .. } => Self::NoList,
        }
    }
}

impl From<&StopReason> for StoppedBy {
    fn from(reason: &StopReason) -> Self {
        match reason {
            StopReason::Breaker(_) => Self::Breaker,
            StopReason::Unreachable(_) => Self::Unreachable,
            StopReason::Stalled { .. } => Self::Stall,
            StopReason::NotAsAsked { .. } => Self::NotAsAsked,
            StopReason::FirstInDoubt { .. } => Self::FirstInDoubt,
            StopReason::NotReadBack { .. } => Self::NotReadBack,
            StopReason::NotShown(_) => Self::NotShown,
            StopReason::Lacking(_) => Self::ListNotWhole,
            StopReason::AnotherAtWork { .. } => Self::AnotherAtWork,
            StopReason::RequestedElsewhere { .. } => Self::RequestedElsewhere,
            StopReason::ClockJumped => Self::Clock,
            StopReason::NoList(error) => Self::of_list(error),
            StopReason::Refused { .. } => Self::Refused,
            StopReason::NotSignedIn(_) => Self::SignIn,
            StopReason::ApiNotFound(_) => Self::ApiNotFound,
            StopReason::Interrupted => Self::Interrupted,
            StopReason::Ledger(_) => Self::Ledger,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_page_has_every_name_and_no_two_are_alike() {
        let page = include_str!("../../docs/exit-status.md");
        let mut names: Vec<&str> = StoppedBy::ALL.map(StoppedBy::name).into();
        for name in &names {
            assert!(page.contains(&format!("`{name}`")), "docs/exit-status.md lacks {name}");
        }
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), StoppedBy::ALL.len());
    }
}
