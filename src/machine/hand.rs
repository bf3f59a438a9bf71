//! Machines for tests: their clocks are in the test's hand, and they have one thread.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use tokio::time::Instant;

use super::{Chance, Clock, Machine, Threads};

/// What both clocks show when a test begins.
const BEGIN: (Duration, &str) = (Duration::from_secs(10_000), "2026-03-01T12:00:00Z");

/// How far the clocks are from where they began: both, and the wall clock in addition.
#[derive(Debug, Default)]
struct Turned {
    passed: Duration,
    wall: SignedDuration,
    n_boots: u32,
}

/// The clocks of a machine. They stand still, or go with tokio's.
#[derive(Debug)]
pub(crate) struct HandClock {
    turned: Mutex<Turned>,
    tokio: Option<Instant>,
}

impl HandClock {
    /// Clocks that stand until the test turns them.
    pub(crate) fn standing() -> Arc<Self> {
        Arc::new(Self { turned: Mutex::default(), tokio: None })
    }

    /// Clocks that go with tokio's, which a test pauses.
    pub(crate) fn going() -> Arc<Self> {
        Arc::new(Self { turned: Mutex::default(), tokio: Some(Instant::now()) })
    }

    /// Lets time pass by both clocks.
    pub(crate) fn pass(&self, passed: Duration) {
        self.turned.lock().unwrap().passed += passed;
    }

    /// Turns the wall clock alone.
    pub(crate) fn turn_wall(&self, by: SignedDuration) {
        self.turned.lock().unwrap().wall += by;
    }

    /// Starts the machine anew; its clocks go on.
    pub(crate) fn boot(&self) {
        self.turned.lock().unwrap().n_boots += 1;
    }

    /// Returns how much time has passed.
    pub(crate) fn passed(&self) -> Duration {
        self.turned.lock().unwrap().passed + self.tokio.map_or(Duration::ZERO, |begin| begin.elapsed())
    }

    /// Returns a machine with these clocks.
    pub(crate) fn machine(self: &Arc<Self>) -> Machine {
        Machine::new(Arc::<Self>::clone(self), Arc::new(Dice), Threads::One)
    }
}

impl Clock for HandClock {
    fn since_boot(&self) -> Duration {
        BEGIN.0 + self.passed()
    }

    fn now(&self) -> Timestamp {
        let begin: Timestamp = BEGIN.1.parse().unwrap();
        begin + self.passed() + self.turned.lock().unwrap().wall
    }

    fn boot_id(&self) -> Option<String> {
        Some(format!("boot {}", self.turned.lock().unwrap().n_boots))
    }
}

/// The system's random bytes.
struct Dice;

impl Chance for Dice {
    fn fill(&self, bytes: &mut [u8]) -> Result<(), getrandom::Error> {
        getrandom::fill(bytes)
    }
}
