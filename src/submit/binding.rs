//! What keeps a run from being faster.

use std::time::Duration;

use tokio::time::Instant;

use crate::event::Bound;

/// Over how long it is counted what holds calls back: shorter, and the answer would change with every call.
const PERIOD: Duration = Duration::from_millis(500);

/// Counts what holds calls back.
#[derive(Clone, Debug, Default)]
pub(crate) struct Binding {
    rate: u32,
    server: u32,
    concurrency: u32,
    since: Option<Instant>,
    told: Option<Bound>,
}

impl Binding {
    /// Counts one call that could not start. At the end of a period it returns what held most of them back, where that is
    /// another thing than before.
    pub(crate) fn held_back(&mut self, by: Bound, now: Instant) -> Option<Bound> {
        match by {
            Bound::Rate => self.rate += 1,
            Bound::Server => self.server += 1,
            Bound::Concurrency => self.concurrency += 1,
        }
        let since = *self.since.get_or_insert(now);
        if now.saturating_duration_since(since) < PERIOD {
            return None;
        }
        let most = self.most();
        let is_new = self.told != Some(most);
        *self = Self { told: Some(most), ..Self::default() };
        is_new.then_some(most)
    }

    fn most(&self) -> Bound {
        if self.server >= self.rate && self.server >= self.concurrency {
            Bound::Server
        } else if self.rate >= self.concurrency {
            Bound::Rate
        } else {
            Bound::Concurrency
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_holds_most_calls_back_is_told_when_it_changes() {
        let (mut binding, begin) = (Binding::default(), Instant::now());
        let mut told = Vec::new();
        for ms in 0..3_000 {
            let by = match ms {
                0..900 if ms % 5 == 0 => Bound::Concurrency,
                0..900 => Bound::Rate,
                900..2_000 => Bound::Server,
                _ => Bound::Concurrency,
            };
            told.extend(binding.held_back(by, begin + Duration::from_millis(ms)));
        }
        assert_eq!(told, [Bound::Rate, Bound::Server, Bound::Concurrency]);
    }
}
