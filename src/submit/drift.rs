//! Clocks that jump against each other, and a process that stood still: what another one did meanwhile is looked for first.

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};

use crate::machine::Machine;

/// A jump longer than this is one.
const MAX: SignedDuration = SignedDuration::from_secs(5);
/// So long between two turns of the loop, which takes one at least every second, the process stood still.
const STOOD_STILL: Duration = Duration::from_secs(5);

/// How far the wall clock and the server's are from the clock that runs during sleep.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Drift {
    /// The wall clock's distance.
    wall: SignedDuration,
    /// The server's, the greatest that was seen: several servers behind one name may have clocks of their own, and a machine
    /// that was put back sees the server ahead.
    server: Option<SignedDuration>,
    has_jumped: bool,
    /// When the loop took its last turn, by the clock that runs during sleep; none where a round begins.
    turned: Option<Duration>,
}

impl Drift {
    pub(crate) fn new(machine: &Machine) -> Self {
        Self { wall: distance(machine.now(), machine.since_boot()), server: None, has_jumped: false, turned: None }
    }

    /// Takes the server's clock from an answer.
    pub(crate) fn server(&mut self, date: Timestamp, machine: &Machine) {
        let now = distance(date, machine.since_boot());
        match self.server {
            Some(known) if now <= known => {}
            Some(known) => {
                self.has_jumped |= now - known > MAX;
                self.server = Some(now);
            }
            None => self.server = Some(now),
        }
    }

    /// Begins a round: what was waited for before it is no standstill.
    pub(crate) const fn round_begins(&mut self) {
        self.turned = None;
    }

    /// Takes a turn of the loop; returns whether the process stood still before it, for longer than claims are good for.
    pub(crate) fn stood_still(&mut self, machine: &Machine) -> bool {
        let since_boot = machine.since_boot();
        let turned = self.turned.replace(since_boot);
        turned.is_some_and(|turned| since_boot.saturating_sub(turned) > STOOD_STILL)
    }

    /// Returns whether a clock jumped since this was asked last.
    pub(crate) fn take_jump(&mut self, machine: &Machine) -> bool {
        let wall = distance(machine.now(), machine.since_boot());
        if (wall - self.wall).abs() > MAX {
            self.wall = wall;
            self.has_jumped = true;
        }
        std::mem::take(&mut self.has_jumped)
    }
}

fn distance(wall: Timestamp, since_boot: Duration) -> SignedDuration {
    let since_boot = SignedDuration::try_from(since_boot).unwrap_or(SignedDuration::MAX);
    wall.duration_since(Timestamp::UNIX_EPOCH).saturating_sub(since_boot)
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicU64, Ordering};

    use super::*;
    use crate::machine::{Chance, Clock, Threads};

    /// A machine whose clocks the test turns: seconds of the wall, and since boot.
    #[derive(Default)]
    struct Hands(AtomicU64, AtomicU64);

    impl Clock for Hands {
        fn since_boot(&self) -> Duration {
            Duration::from_secs(self.1.load(Ordering::Relaxed))
        }

        fn now(&self) -> Timestamp {
            Timestamp::UNIX_EPOCH + Duration::from_secs(self.0.load(Ordering::Relaxed))
        }
    }

    impl Chance for Hands {
        fn fill(&self, _: &mut [u8]) -> Result<(), getrandom::Error> {
            Ok(())
        }
    }

    #[test]
    fn a_wall_clock_that_jumps_either_way_is_noticed_once() {
        let hands = Arc::new(Hands(1_000.into(), 10.into()));
        let machine = Machine::new(hands.clone(), hands.clone(), Threads::One);
        let turn = |wall: u64, boot: u64| {
            hands.0.store(wall, Ordering::Relaxed);
            hands.1.store(boot, Ordering::Relaxed);
        };
        let mut drift = Drift::new(&machine);
        for (wall, boot, jumped) in [
            (1_003, 13, false),
            (5_003, 4_013, false),
            (5_010, 4_016, false),
            (5_017, 4_017, true),
            (5_018, 4_018, false),
        ] {
            turn(wall, boot);
            assert_eq!(drift.take_jump(&machine), jumped, "{wall} {boot}");
        }
        turn(4_000, 4_019);
        assert!(drift.take_jump(&machine) && !drift.take_jump(&machine));
    }

    #[test]
    fn a_process_that_stood_still_between_two_turns_of_a_round_notices_it() {
        let hands = Arc::new(Hands(1_000.into(), 10.into()));
        let machine = Machine::new(hands.clone(), hands.clone(), Threads::One);
        let mut drift = Drift::new(&machine);
        for (boot, stood_still) in [(10, false), (15, false), (21, true), (22, false)] {
            hands.1.store(boot, Ordering::Relaxed);
            assert_eq!(drift.stood_still(&machine), stood_still, "{boot}");
        }
        hands.1.store(90, Ordering::Relaxed);
        drift.round_begins();
        assert!(!drift.stood_still(&machine), "what lies between two rounds is no standstill");
    }

    #[test]
    fn a_server_that_is_ahead_of_itself_is_noticed_and_one_of_several_that_is_behind_is_not() {
        let hands = Arc::new(Hands(1_000.into(), 10.into()));
        let machine = Machine::new(hands.clone(), hands, Threads::One);
        let mut drift = Drift::new(&machine);
        let at = |s| Timestamp::UNIX_EPOCH + Duration::from_secs(s);
        for (date, jumped) in
            [(900, false), (904, false), (800, false), (904, false), (910, true), (800, false), (910, false)]
        {
            drift.server(at(date), &machine);
            assert_eq!(drift.take_jump(&machine), jumped, "{date}");
        }
    }
}
