//! Exit statuses, by whom to call.

use std::process::ExitCode;

use super::failure::exit_of;
use crate::ledger::{LedgerError, LedgerTrouble};
use crate::submit::StopReason;

/// How the program ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Exit {
    /// All rows created or skipped; all valid; nothing to complain of.
    Done,
    /// Some rows failed, are in doubt or pending, or were left out as invalid.
    SomeRows,
    /// Usage, configuration, a missing confirmation, a foreign or damaged ledger or one of another manifest or server.
    Usage,
    /// The manifest is invalid, nothing was sent.
    InvalidManifest,
    /// The server: breaker, stall, unreachable, not what was asked for.
    Server,
    /// Sign-in or rights.
    SignIn,
    /// API disabled or wrong address.
    NoApi,
    /// The ledger or an output cannot be written.
    Disk,
    /// The ledger is in use.
    InUse,
    /// Ctrl-C or SIGTERM.
    Interrupted,
}

/// What to do where there is no API.
pub(crate) const NO_API_REMEDY: &str = "check --server, whose path usually ends in /CertificateManagement, and that Clm.WebApi.Enabled is true in Web.config (it \
     is false by default)";

impl Exit {
    /// Returns the status that the process ends with.
    pub const fn status(self) -> u8 {
        match self {
            Self::Done => 0,
            Self::SomeRows => 1,
            Self::Usage => 2,
            Self::InvalidManifest => 3,
            Self::Server => 4,
            Self::SignIn => 5,
            Self::NoApi => 6,
            Self::Disk => 7,
            Self::InUse => 8,
            Self::Interrupted => 130,
        }
    }

    /// Returns the exit of a run that was stopped for this reason.
    pub fn of_stop(reason: &StopReason) -> Self {
        match reason {
            StopReason::Breaker(_)
            | StopReason::Unreachable(_)
            | StopReason::Stalled { .. }
            | StopReason::NotAsAsked { .. }
            | StopReason::FirstInDoubt { .. }
            | StopReason::NotReadBack { .. }
            | StopReason::NotShown(_)
            | StopReason::Lacking(_)
            | StopReason::ClockJumped => Self::Server,
            StopReason::AnotherAtWork { .. } | StopReason::RequestedElsewhere { .. } => Self::InUse,
            StopReason::NoList(error) => exit_of(error),
            StopReason::NotSignedIn(_) | StopReason::Refused { .. } => Self::SignIn,
            StopReason::ApiNotFound(_) => Self::NoApi,
            StopReason::Interrupted => Self::Interrupted,
            StopReason::Ledger(error) => Self::of_ledger(error),
        }
    }

    /// Returns the exit of a ledger that cannot be worked on.
    pub fn of_ledger(error: &LedgerError) -> Self {
        match error.trouble() {
            LedgerTrouble::Unusable | LedgerTrouble::Misuse => Self::Usage,
            LedgerTrouble::Unwritable => Self::Disk,
            LedgerTrouble::InUse => Self::InUse,
        }
    }
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit.status())
    }
}
