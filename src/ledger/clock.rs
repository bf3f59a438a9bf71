//! The time of a session: where the wall clock stood when it began, and what has passed since by the clock that runs during
//! sleep. So within a session no time is before an earlier one, whatever the wall clock does meanwhile.

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};

use crate::machine::Machine;

/// A session's clock. Cheap to clone.
#[derive(Clone, Debug)]
pub(super) struct SessionClock {
    machine: Machine,
    began_wall: Timestamp,
    began: Duration,
}

impl SessionClock {
    /// Starts the clock of a session.
    pub(super) fn start(machine: &Machine) -> Self {
        Self { machine: machine.clone(), began_wall: machine.now(), began: machine.since_boot() }
    }

    /// Returns the machine.
    pub(super) const fn machine(&self) -> &Machine {
        &self.machine
    }

    /// Returns where the wall clock stood when the session began.
    pub(super) const fn began_wall(&self) -> Timestamp {
        self.began_wall
    }

    /// Returns the session's time.
    pub(super) fn now(&self) -> Timestamp {
        let passed = self.machine.since_boot().saturating_sub(self.began);
        let passed = SignedDuration::try_from(passed).unwrap_or(SignedDuration::MAX);
        self.began_wall.saturating_add(passed).unwrap_or(self.began_wall)
    }
}
