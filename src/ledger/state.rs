//! The states of a row.

use std::fmt;
use std::str::FromStr;

/// The state of a row; each row of a run is in exactly one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum RowState {
    /// Validated, never attempted, or safe to attempt again.
    Pending,
    /// The intent is durable, the outcome not yet; without its process this reads as [`InDoubt`](Self::InDoubt).
    Sending,
    /// The server answered 201; URI and uuid are recorded.
    Created,
    /// Known not to exist on the server; the reason is recorded.
    Failed,
    /// It may or may not have been created.
    InDoubt,
    /// Did not pass validation and was left out.
    Invalid,
    /// Left out on purpose; the reason is recorded. Counts as settled.
    Skipped,
    /// Created, then withdrawn.
    Canceled,
    /// Failed or invalid, and a mended row stands for it.
    Replaced,
}

impl RowState {
    /// All states, in the order in which they are shown.
    pub const ALL: [Self; 9] = [
        Self::Created,
        Self::Pending,
        Self::Sending,
        Self::InDoubt,
        Self::Failed,
        Self::Invalid,
        Self::Skipped,
        Self::Canceled,
        Self::Replaced,
    ];

    /// Returns the name, as the ledger, exports and options write it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Sending => "sending",
            Self::Created => "created",
            Self::Failed => "failed",
            Self::InDoubt => "in_doubt",
            Self::Invalid => "invalid",
            Self::Skipped => "skipped",
            Self::Canceled => "canceled",
            Self::Replaced => "replaced",
        }
    }
}

impl fmt::Display for RowState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

/// The text is none of the states of a row.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is not a state of a row")]
pub struct UnknownState(pub String);

impl FromStr for RowState {
    type Err = UnknownState;

    fn from_str(text: &str) -> Result<Self, UnknownState> {
        Self::ALL.into_iter().find(|state| state.as_str() == text).ok_or_else(|| UnknownState(text.to_owned()))
    }
}
