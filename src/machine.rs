//! What a machine gives that tests must be able to hold in their hands: clocks, random bytes, threads.
//!
//! **Owns**: [`Clock`], [`Chance`], and the system's own of both.
//!
//! **Must not know**: what they are used for.
//!
//! **Flow**: whoever needs the time or a random number is handed a [`Machine`]; nobody asks the system. Waiting is tokio's.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;

use crate::platform;

#[cfg(test)]
pub(crate) mod hand;

/// The two clocks of a machine.
pub trait Clock: Send + Sync {
    /// Returns the time since the machine was started, times of sleep included. It never goes back, and means nothing to another
    /// machine.
    fn since_boot(&self) -> Duration;

    /// Returns the time by the wall clock, which people and time servers set.
    fn now(&self) -> Timestamp;

    /// Returns what tells this start of the machine from all others, where the system says it.
    fn boot_id(&self) -> Option<String> {
        None
    }
}

/// Where random bytes come from.
pub trait Chance: Send + Sync {
    /// Fills the buffer.
    ///
    /// # Errors
    /// The system has none to give.
    fn fill(&self, bytes: &mut [u8]) -> Result<(), getrandom::Error>;
}

/// Whether threads may be started. Where they may not, the same work is done by whoever asks for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Threads {
    /// They may.
    Many,
    /// All happens on the thread that asks, so that it happens in one order.
    One,
}

/// A machine. Cheap to clone.
///
/// ```
/// use cmbatch::machine::Machine;
/// let machine = Machine::system();
/// let earlier = machine.since_boot();
/// assert!(machine.since_boot() >= earlier);
/// ```
#[derive(Clone)]
pub struct Machine {
    clock: Arc<dyn Clock>,
    chance: Arc<dyn Chance>,
    threads: Threads,
}

impl Machine {
    /// Returns the machine that this process runs on.
    pub fn system() -> Self {
        Self::new(Arc::new(System), Arc::new(System), Threads::Many)
    }

    /// Returns a machine of these parts.
    pub fn new(clock: Arc<dyn Clock>, chance: Arc<dyn Chance>, threads: Threads) -> Self {
        Self { clock, chance, threads }
    }

    /// Returns the time since the machine was started, times of sleep included.
    pub fn since_boot(&self) -> Duration {
        self.clock.since_boot()
    }

    /// Returns the time by the wall clock.
    pub fn now(&self) -> Timestamp {
        self.clock.now()
    }

    /// Returns what tells this start of the machine from all others, where the system says it.
    pub fn boot_id(&self) -> Option<String> {
        self.clock.boot_id()
    }

    /// Fills the buffer with random bytes.
    ///
    /// # Errors
    /// The system has none to give.
    pub fn fill(&self, bytes: &mut [u8]) -> Result<(), getrandom::Error> {
        self.chance.fill(bytes)
    }

    /// Returns a random number. Where the system has none to give it is the greatest, which as a wait is the longest and so safe.
    pub fn random(&self) -> u64 {
        let mut bytes = [0xFF; 8];
        match self.fill(&mut bytes) {
            Ok(()) => u64::from_le_bytes(bytes),
            Err(_) => u64::MAX,
        }
    }

    /// Returns whether threads may be started.
    pub const fn threads(&self) -> Threads {
        self.threads
    }
}

impl fmt::Debug for Machine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Machine").field("threads", &self.threads).finish_non_exhaustive()
    }
}

/// The system's clocks and random bytes.
struct System;

impl Clock for System {
    fn since_boot(&self) -> Duration {
        platform::since_boot()
    }

    fn now(&self) -> Timestamp {
        Timestamp::now()
    }

    fn boot_id(&self) -> Option<String> {
        platform::boot_id()
    }
}

impl Chance for System {
    fn fill(&self, bytes: &mut [u8]) -> Result<(), getrandom::Error> {
        getrandom::fill(bytes)
    }
}
