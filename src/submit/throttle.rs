//! How a run slows down when the server throttles it, and how it finds its way back.
//!
//! Two things happen at a 429. The whole run holds for as long as the server asks (or 1 s, 2 s, 4 s, ... where it does not
//! say). After that, calls start at half of the rate that was too fast, and that rate climbs by steady steps: 15 % of the
//! rate that was too fast every second, so that it is there again after 3 to 4 s. Past it, that rate was not what is too fast
//! (a burst was, or a trouble that is over), and the steps get larger with each doubling, so that the run is not slow for
//! long. `--rate` stays the ceiling above all this.

use std::collections::VecDeque;
use std::time::Duration;

use tokio::time::Instant;

use super::backoff;

/// The lowest rate that a cut leads to, in calls a second.
const FLOOR: f64 = 1.0;
/// How much faster the rate gets in a second, as a share of the one that was too fast.
const STEP: f64 = 0.15;
/// The same, once that one is passed, as a share of the last doubling of it.
const STEP_PAST: f64 = 0.5;
/// How much too early a call may start, so that a timer of a millisecond can keep rates above 1,000/s.
const TOLERANCE: Duration = Duration::from_millis(2);
/// The time over which calls are counted to know how fast the run is.
const LOOK_BACK: Duration = Duration::from_secs(1);

/// What follows from one throttled call.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Slowed {
    /// How long the whole run waits from now, where that is longer than it would have anyway.
    pub(crate) hold: Option<Duration>,
    /// The new rate, in calls a second, where it was cut.
    pub(crate) cut_to: Option<f64>,
    /// What the server asked for with this call, or the wait in its place.
    pub(crate) delay: Duration,
}

/// A rate below the ceiling, kept by starting calls evenly.
#[derive(Clone, Copy, Debug)]
struct Spacing {
    per_second: f64,
    /// The rate that was too fast, doubled each time that it is passed.
    mark: f64,
    /// By how much the rate is raised in a second.
    step: f64,
    /// When the next call is due.
    next: Instant,
    /// Whether a call had to wait for that: only then the rate is worth raising.
    binds: bool,
}

/// How a run slows down.
#[derive(Clone, Debug)]
pub(crate) struct Throttle {
    /// `--rate` in calls a second; none for no limit.
    ceiling: Option<f64>,
    hold_until: Option<Instant>,
    /// Holds in a row without a created row between.
    holds_in_a_row: u32,
    spacing: Option<Spacing>,
    /// When calls started, the holds left out.
    recent: VecDeque<Duration>,
    begin: Instant,
    /// All holds until now and under way.
    held: Duration,
    last_cut: Option<Instant>,
}

impl Throttle {
    pub(crate) fn new(ceiling: Option<f64>, now: Instant) -> Self {
        Self {
            ceiling,
            hold_until: None,
            holds_in_a_row: 0,
            spacing: None,
            recent: VecDeque::new(),
            begin: now,
            held: Duration::ZERO,
            last_cut: None,
        }
    }

    /// Returns until when no call starts, where the run holds.
    pub(crate) fn held_until(&self, now: Instant) -> Option<Instant> {
        self.hold_until.filter(|until| *until > now)
    }

    /// Returns the rate that calls start at, in calls a second, where it is below the ceiling.
    pub(crate) fn per_second(&self) -> Option<f64> {
        self.spacing.map(|spacing| spacing.per_second)
    }

    /// Says whether a call may start now, or when to ask again.
    pub(crate) fn check(&mut self, now: Instant) -> Result<(), Instant> {
        if let Some(until) = self.held_until(now) {
            return Err(until);
        }
        match &mut self.spacing {
            Some(spacing) if now + TOLERANCE < spacing.next => {
                spacing.binds = true;
                Err(spacing.next)
            }
            Some(_) | None => Ok(()),
        }
    }

    /// Notes that a call starts.
    pub(crate) fn started(&mut self, now: Instant) {
        let active = self.active(now);
        self.recent.push_back(active);
        self.forget_before(active);
        let Some(spacing) = &mut self.spacing else { return };
        if std::mem::take(&mut spacing.binds) {
            spacing.climb();
        }
        spacing.next = spacing.next.max(now) + Duration::from_secs_f64(1.0 / spacing.per_second);
        if self.ceiling.is_some_and(|ceiling| spacing.per_second >= ceiling) {
            self.spacing = None;
        }
    }

    /// Notes that a row was created: the next hold is a short one.
    pub(crate) fn created(&mut self) {
        self.holds_in_a_row = 0;
    }

    /// Takes the end of a throttled call that had started at `started`.
    pub(crate) fn throttled(&mut self, retry_after: Option<Duration>, started: Instant, now: Instant) -> Slowed {
        // Calls that were on their way together are throttled together: they are one sign, not many.
        let is_new = self.last_cut.is_none_or(|cut| started > cut);
        let cut_to = if is_new { self.cut(now) } else { None };
        let holding = self.held_until(now);
        let delay = retry_after.unwrap_or_else(|| backoff::throttle_delay(self.holds_in_a_row));
        if holding.is_some() && retry_after.is_none() {
            return Slowed { hold: None, cut_to, delay };
        }
        self.holds_in_a_row = self.holds_in_a_row.saturating_add(u32::from(holding.is_none()));
        let until = now + delay;
        if holding.is_some_and(|old| until <= old) {
            return Slowed { hold: None, cut_to, delay };
        }
        self.held += until - holding.unwrap_or(now);
        self.hold_until = Some(until);
        Slowed { hold: Some(delay), cut_to, delay }
    }

    /// Cuts the rate to half of what it was lately; says to what, unless it was at its lowest.
    fn cut(&mut self, now: Instant) -> Option<f64> {
        self.last_cut = Some(now);
        let active = self.active(now);
        self.forget_before(active);
        #[expect(clippy::cast_precision_loss, reason = "a count of calls in a second")]
        let measured = self.recent.len() as f64;
        let was = self.per_second().or(self.ceiling).map_or(measured, |rate| rate.min(measured));
        let floor = self.ceiling.map_or(FLOOR, |ceiling| ceiling.min(FLOOR));
        let to = (was / 2.0).max(floor);
        let is_lower = self.per_second().or(self.ceiling).is_none_or(|rate| to < rate);
        let next = self.spacing.map_or(now, |spacing| spacing.next);
        let mark = was.max(to);
        self.spacing = Some(Spacing { per_second: to, mark, step: mark * STEP, next, binds: false });
        is_lower.then_some(to)
    }

    /// Returns the time of sending until now: the holds left out.
    fn active(&self, now: Instant) -> Duration {
        let begin = self.begin + self.held;
        // While the run holds, that time stands still.
        let still_to_hold = self.held_until(now).map_or(Duration::ZERO, |until| until - now);
        (now + still_to_hold).saturating_duration_since(begin)
    }

    fn forget_before(&mut self, active: Duration) {
        while self.recent.front().is_some_and(|start| *start + LOOK_BACK <= active) {
            self.recent.pop_front();
        }
    }
}

impl Spacing {
    /// Raises the rate by what is due for one call.
    fn climb(&mut self) {
        // As many calls start in a second as the rate says, so that the steps of a second add up.
        self.per_second += (self.step / self.per_second).min(self.per_second);
        if self.per_second > self.mark {
            self.step = self.mark * STEP_PAST;
            self.mark *= 2.0;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    /// Starts calls as they may for a time; says how many.
    fn go_on(throttle: &mut Throttle, now: &mut Instant, time: Duration) -> u32 {
        let (until, mut n_calls) = (*now + time, 0);
        while *now < until {
            while *now < until && throttle.check(*now).is_ok() {
                throttle.started(*now);
                n_calls += 1;
                // What a call without any limit costs.
                *now += Duration::from_micros(500);
            }
            *now += Duration::from_millis(1);
        }
        n_calls
    }

    #[test]
    fn the_rate_is_cut_to_half_of_what_it_was_and_climbs_back() {
        let mut now = Instant::now();
        let mut throttle = Throttle::new(Some(200.0), now);
        for _ in 0..100 {
            now += Duration::from_millis(10);
            throttle.started(now);
        }
        let slowed = throttle.throttled(Some(SECOND), now - Duration::from_millis(20), now);
        assert_eq!(slowed, Slowed { hold: Some(SECOND), cut_to: Some(50.0), delay: SECOND });
        assert_eq!(throttle.check(now), Err(now + SECOND));
        // Another call of the same time changes nothing but the hold.
        let later = now + Duration::from_millis(50);
        let slowed = throttle.throttled(Some(SECOND), now - Duration::from_millis(10), later);
        assert_eq!((slowed.hold, slowed.cut_to), (Some(SECOND), None));
        now = later + SECOND;
        let counts: Vec<u32> = (0..8).map(|_| go_on(&mut throttle, &mut now, SECOND)).collect();
        assert!((50..=65).contains(&counts[0]), "{counts:?}");
        assert!((92..=112).contains(&counts[3]), "back at the old rate after 3 to 4 s: {counts:?}");
        assert!(counts.windows(2).take(5).all(|pair| pair[0] <= pair[1] + 1), "{counts:?}");
        assert_eq!(throttle.per_second(), None, "the ceiling is the only limit again: {counts:?}");
    }

    #[test]
    fn what_started_after_a_cut_cuts_again_down_to_the_floor() {
        let mut now = Instant::now();
        let mut throttle = Throttle::new(None, now);
        for _ in 0..16 {
            throttle.started(now);
        }
        let mut rates = Vec::new();
        for _ in 0..6 {
            now += Duration::from_millis(20);
            rates.extend(throttle.throttled(Some(SECOND), now - Duration::from_millis(1), now).cut_to);
            now += SECOND;
            throttle.started(now);
        }
        assert_eq!(rates[..3], [8.0, 4.0, 2.0]);
        assert_eq!(throttle.per_second(), Some(FLOOR), "{rates:?}");
        assert!(rates.len() < 6, "what is at the floor is not cut: {rates:?}");
    }

    #[test]
    fn a_slow_rate_is_not_made_faster_by_a_cut() {
        let now = Instant::now();
        let mut throttle = Throttle::new(Some(0.1), now);
        throttle.started(now);
        assert_eq!(throttle.throttled(None, now, now + SECOND).cut_to, None);
        assert_eq!(throttle.per_second(), Some(0.1));
    }

    #[test]
    fn without_a_word_from_the_server_holds_get_longer_until_a_row_is_created() {
        let mut now = Instant::now();
        let mut throttle = Throttle::new(Some(50.0), now);
        let mut holds = Vec::new();
        for _ in 0..4 {
            let slowed = throttle.throttled(None, now, now);
            assert_eq!(throttle.throttled(None, now, now).hold, None, "while it holds");
            holds.extend(slowed.hold.map(|hold| hold.as_secs()));
            now += slowed.delay;
        }
        assert_eq!(holds, [1, 2, 4, 8]);
        throttle.created();
        assert_eq!(throttle.throttled(None, now, now).hold, Some(SECOND));
    }

    #[test]
    fn a_rate_that_does_not_bind_does_not_climb() {
        let mut now = Instant::now();
        let mut throttle = Throttle::new(None, now);
        (0..100).for_each(|_| throttle.started(now));
        throttle.throttled(Some(Duration::ZERO), now, now);
        for _ in 0..100 {
            now += Duration::from_millis(100);
            assert_eq!(throttle.check(now), Ok(()));
            throttle.started(now);
        }
        assert_eq!(throttle.per_second(), Some(50.0));
    }
}
