//! How many calls may be in flight: all of `--concurrency`, unless the server does not keep up.

use std::num::NonZeroUsize;

use tokio::time::Instant;

/// How the window gets wider.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Growth {
    /// By one, after as many answers as it is wide.
    ByOne,
    /// Twice as wide, after as many answers as it is wide: after an outage, until it is open or there is trouble.
    Doubling,
}

/// The calls that may be in flight.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Window {
    open: usize,
    limit: usize,
    /// Answers since it was changed.
    answers: usize,
    growth: Growth,
    last_cut: Option<Instant>,
}

impl Window {
    /// Returns an open window.
    pub(crate) const fn new(concurrency: NonZeroUsize) -> Self {
        let open = concurrency.get();
        Self { open, limit: open, answers: 0, growth: Growth::ByOne, last_cut: None }
    }

    /// Returns how many calls may be in flight.
    pub(crate) const fn limit(&self) -> usize {
        self.limit
    }

    /// Returns whether it is as wide as it may be.
    pub(crate) const fn is_open(&self) -> bool {
        self.limit == self.open
    }

    /// Takes an answer that says what became of a row.
    pub(crate) fn answered(&mut self) {
        if self.is_open() {
            return;
        }
        self.answers += 1;
        if self.answers >= self.limit {
            self.answers = 0;
            self.limit = match self.growth {
                Growth::ByOne => self.limit + 1,
                Growth::Doubling => (self.limit * 2).min(self.open),
            };
        }
    }

    /// Takes a sign that the server does not keep up, from a call that had started at `started`. Returns the new width where
    /// that makes it narrower.
    pub(crate) fn trouble(&mut self, started: Instant, now: Instant) -> Option<usize> {
        // Calls that were on their way together are one sign, not many.
        if self.last_cut.is_some_and(|cut| started <= cut) {
            return None;
        }
        self.last_cut = Some(now);
        self.growth = Growth::ByOne;
        self.answers = 0;
        let limit = (self.limit / 2).max(1);
        let is_narrower = limit < self.limit;
        self.limit = limit;
        is_narrower.then_some(limit)
    }

    /// Begins with one call at a time, as after an outage.
    pub(crate) fn begin_slowly(&mut self) {
        self.limit = 1;
        self.answers = 0;
        self.growth = Growth::Doubling;
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn window() -> Window {
        Window::new(NonZeroUsize::new(16).unwrap())
    }

    /// Answers until the window changes; returns how many there were, and the new width.
    fn next_width(window: &mut Window) -> (usize, usize) {
        let before = window.limit();
        let n_answers = (1..100).find(|_| {
            window.answered();
            window.limit() != before
        });
        (n_answers.unwrap_or(0), window.limit())
    }

    #[test]
    fn trouble_halves_it_once_an_episode_and_answers_open_it_by_one() {
        let (mut window, now) = (window(), Instant::now());
        let after = |s| now + Duration::from_secs(s);
        assert_eq!(window.trouble(now, after(2)), Some(8));
        assert_eq!(window.trouble(after(1), after(3)), None, "it started before the cut");
        assert_eq!(window.trouble(after(3), after(4)), Some(4));
        assert_eq!(next_width(&mut window), (4, 5));
        assert_eq!(next_width(&mut window), (5, 6));
        for start in 5..9 {
            window.trouble(after(start), after(start));
        }
        assert_eq!(window.limit(), 1);
        assert_eq!(window.trouble(after(20), after(21)), None, "one call is the least");
        (0..1_000).for_each(|_| window.answered());
        assert!(window.is_open());
        assert_eq!(window.limit(), 16);
    }

    #[test]
    fn after_an_outage_it_doubles_until_it_is_open_or_there_is_trouble() {
        let mut window = window();
        window.begin_slowly();
        let widths: Vec<_> = (0..4).map(|_| next_width(&mut window)).collect();
        assert_eq!(widths, [(1, 2), (2, 4), (4, 8), (8, 16)]);
        window.begin_slowly();
        assert_eq!(next_width(&mut window), (1, 2));
        assert_eq!(next_width(&mut window), (2, 4));
        window.trouble(Instant::now(), Instant::now());
        assert_eq!(window.limit(), 2);
        assert_eq!(next_width(&mut window), (2, 3));
    }
}
