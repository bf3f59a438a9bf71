//! The states of a row.

use std::fmt;

use super::verdict::RowVerdict;
use crate::request::Outcome;

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
    /// Failed or invalid, and a mended row stands for it.
    Replaced,
}

impl RowState {
    /// All states, in the order in which they are shown.
    pub const ALL: [Self; 8] = [
        Self::Created,
        Self::Pending,
        Self::Sending,
        Self::InDoubt,
        Self::Failed,
        Self::Invalid,
        Self::Skipped,
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
            Self::Replaced => "replaced",
        }
    }

    /// Returns whether a row in this state has a cause: what its last attempt ended with, or what contradicts it.
    pub(super) const fn has_cause(self) -> bool {
        match self {
            Self::Pending | Self::Failed | Self::InDoubt => true,
            Self::Sending | Self::Created | Self::Invalid | Self::Skipped | Self::Replaced => false,
        }
    }

    /// Returns the state that a row in this state goes to.
    ///
    /// # Errors
    /// The event cannot happen to a row in this state.
    pub fn next(self, event: RowEvent) -> Result<Self, IllegalTransition> {
        let (from, to, _) = event.rule();
        if from.contains(&self) { Ok(to) } else { Err(IllegalTransition { state: self, event }) }
    }
}

/// What happens to a row: while a run is sent, or by a decision about it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RowEvent {
    /// The row may be sent; the intent is durable.
    Claimed,
    /// The request exists.
    Created,
    /// Nothing was created; the row may be sent again.
    NothingCreated,
    /// Nothing was created, for good.
    Failed,
    /// It is not known whether the request exists.
    InDoubt,
    /// The row was claimed and not sent.
    GivenBack,
    /// The row's process ended before the outcome was recorded.
    LeftOpen,
    /// The request was found to exist.
    Found,
    /// It was proven not to exist; the row may be sent again.
    Absent,
    /// It was proven not to exist; the row is not sent again by itself.
    AbsentForGood,
    /// The server has a request with the row's tag that is not the row's, or has the row's request under another row's tag.
    Contradicted,
    /// The row is left out on purpose, before it is sent or after it failed.
    LeftOut,
    /// A person closes the row, whose request is not known to exist.
    Dropped,
    /// The row is not left out any more, and is in this state again.
    Restored(RowState),
    /// The row is to be sent again on a person's order.
    Again,
    /// A mended row stands for it.
    Replaced,
}

impl RowEvent {
    /// Returns the states of rows to which it can happen, the state that they go to, and what is said of them.
    const fn rule(self) -> (&'static [RowState], RowState, &'static str) {
        use RowState::{Created, Failed, InDoubt, Invalid, Pending, Replaced, Sending, Skipped};
        match self {
            Self::Claimed => (&[Pending], Sending, "claimed"),
            Self::Created => (&[Sending], Created, "recorded as created"),
            Self::NothingCreated => (&[Sending], Pending, "recorded as pending"),
            Self::Failed => (&[Sending], Failed, "recorded as failed"),
            Self::InDoubt => (&[Sending], InDoubt, "recorded as in doubt"),
            Self::GivenBack => (&[Sending], Pending, "given back"),
            Self::LeftOpen => (&[Sending], InDoubt, "left open"),
            Self::Found => (&[InDoubt, Pending, Failed, Skipped, Replaced, Created], Created, "settled as created"),
            Self::Absent => (&[InDoubt], Pending, "settled as not created"),
            Self::AbsentForGood => (&[InDoubt], Failed, "settled as failed"),
            Self::Contradicted => (&[InDoubt, Pending, Failed, Created], InDoubt, "contradicted"),
            Self::LeftOut => (&[Pending, Failed], Skipped, "left out"),
            Self::Dropped => (&[Pending, Failed, InDoubt, Invalid], Skipped, "dropped"),
            Self::Restored(to @ (Pending | Failed | InDoubt | Invalid)) => (&[Skipped], to, "restored"),
            // No row in one of these was left out later.
            Self::Restored(to) => (&[], to, "restored"),
            Self::Again => (&[Failed], Pending, "sent again on order"),
            Self::Replaced => (&[Failed, Invalid], Replaced, "replaced"),
        }
    }

    /// Returns what a verdict means for its row, `beneath` being the state that the row has when it is not left out.
    pub const fn of_verdict(verdict: &RowVerdict, beneath: RowState) -> Self {
        match verdict {
            RowVerdict::Exists(_) => Self::Found,
            RowVerdict::Absent => Self::Absent,
            RowVerdict::AbsentForGood => Self::AbsentForGood,
            RowVerdict::Contradicted => Self::Contradicted,
            RowVerdict::LeftOut | RowVerdict::Elsewhere(_) => Self::LeftOut,
            RowVerdict::Dropped => Self::Dropped,
            RowVerdict::Restored => Self::Restored(beneath),
            RowVerdict::Again => Self::Again,
        }
    }

    /// Returns what an attempt's outcome means for its row.
    pub const fn of_outcome(outcome: &Outcome) -> Self {
        match outcome {
            Outcome::Created(_) => Self::Created,
            Outcome::Pending(_) => Self::NothingCreated,
            Outcome::Failed(_) => Self::Failed,
            Outcome::InDoubt(_) => Self::InDoubt,
        }
    }
}

impl fmt::Display for RowEvent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.rule().2)
    }
}

/// The event cannot happen to a row in this state.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a row that is {state} cannot be {event}")]
pub struct IllegalTransition {
    /// The row's state.
    pub state: RowState,
    /// What should have happened to it.
    pub event: RowEvent,
}

impl fmt::Display for RowState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const EVENTS: [RowEvent; 23] = [
        RowEvent::Claimed,
        RowEvent::Created,
        RowEvent::NothingCreated,
        RowEvent::Failed,
        RowEvent::InDoubt,
        RowEvent::GivenBack,
        RowEvent::LeftOpen,
        RowEvent::Found,
        RowEvent::Absent,
        RowEvent::AbsentForGood,
        RowEvent::Contradicted,
        RowEvent::LeftOut,
        RowEvent::Dropped,
        RowEvent::Restored(RowState::Pending),
        RowEvent::Restored(RowState::Sending),
        RowEvent::Restored(RowState::Created),
        RowEvent::Restored(RowState::Failed),
        RowEvent::Restored(RowState::InDoubt),
        RowEvent::Restored(RowState::Invalid),
        RowEvent::Restored(RowState::Skipped),
        RowEvent::Restored(RowState::Replaced),
        RowEvent::Again,
        RowEvent::Replaced,
    ];

    #[test]
    fn only_these_transitions_are_legal() {
        let legal = [
            (RowState::Pending, RowEvent::Claimed, RowState::Sending),
            (RowState::Sending, RowEvent::Created, RowState::Created),
            (RowState::Sending, RowEvent::NothingCreated, RowState::Pending),
            (RowState::Sending, RowEvent::Failed, RowState::Failed),
            (RowState::Sending, RowEvent::InDoubt, RowState::InDoubt),
            (RowState::Sending, RowEvent::GivenBack, RowState::Pending),
            (RowState::Sending, RowEvent::LeftOpen, RowState::InDoubt),
            (RowState::InDoubt, RowEvent::Found, RowState::Created),
            (RowState::Pending, RowEvent::Found, RowState::Created),
            (RowState::Failed, RowEvent::Found, RowState::Created),
            (RowState::Skipped, RowEvent::Found, RowState::Created),
            (RowState::Replaced, RowEvent::Found, RowState::Created),
            (RowState::Created, RowEvent::Found, RowState::Created),
            (RowState::Created, RowEvent::Contradicted, RowState::InDoubt),
            (RowState::Pending, RowEvent::Dropped, RowState::Skipped),
            (RowState::Failed, RowEvent::Dropped, RowState::Skipped),
            (RowState::InDoubt, RowEvent::Dropped, RowState::Skipped),
            (RowState::Invalid, RowEvent::Dropped, RowState::Skipped),
            (RowState::Skipped, RowEvent::Restored(RowState::Pending), RowState::Pending),
            (RowState::Skipped, RowEvent::Restored(RowState::Failed), RowState::Failed),
            (RowState::Skipped, RowEvent::Restored(RowState::InDoubt), RowState::InDoubt),
            (RowState::Skipped, RowEvent::Restored(RowState::Invalid), RowState::Invalid),
            (RowState::InDoubt, RowEvent::Absent, RowState::Pending),
            (RowState::InDoubt, RowEvent::AbsentForGood, RowState::Failed),
            (RowState::InDoubt, RowEvent::Contradicted, RowState::InDoubt),
            (RowState::Pending, RowEvent::Contradicted, RowState::InDoubt),
            (RowState::Failed, RowEvent::Contradicted, RowState::InDoubt),
            (RowState::Pending, RowEvent::LeftOut, RowState::Skipped),
            (RowState::Failed, RowEvent::LeftOut, RowState::Skipped),
            (RowState::Failed, RowEvent::Again, RowState::Pending),
            (RowState::Failed, RowEvent::Replaced, RowState::Replaced),
            (RowState::Invalid, RowEvent::Replaced, RowState::Replaced),
        ];
        for state in RowState::ALL {
            for event in EVENTS {
                let expected = legal.iter().find(|(from, by, _)| (*from, *by) == (state, event)).map(|(.., to)| *to);
                assert_eq!(state.next(event).ok(), expected, "{state} {event}");
            }
        }
        let refused = RowState::Created.next(RowEvent::Claimed).unwrap_err();
        assert_eq!(refused.to_string(), "a row that is created cannot be claimed");
    }
}
