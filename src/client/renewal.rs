//! What a process signs in with for a while, a ticket or a token: when it is got anew, and how often a refusal is asked for.
//! Times are of the clock that runs during sleep.

use std::time::Duration;

/// How long after a renewal that failed the next one is tried, at least, while what is held is good.
const RENEW_AGAIN: Duration = Duration::from_secs(5);

/// How it is renewed.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Rules {
    /// When, in hundredths of its time.
    pub(crate) at_percent: u32,
    /// How often one process asks again for what is refused: a domain counts bad logons and locks accounts.
    pub(crate) max_refusals: u32,
}

/// Why it could not be got.
#[derive(Debug)]
pub(crate) enum Failed<E> {
    /// It is refused, and will be the next time.
    Refused(E),
    /// It may go better the next time.
    Unanswered(E),
}

/// What is held, and until when.
#[derive(Debug)]
pub(crate) struct Renewal<T, E> {
    rules: Rules,
    held: Option<T>,
    renew_at: Duration,
    ends_at: Duration,
    n_refused: u32,
    refusal: Option<E>,
}

impl<T: Clone, E: Clone> Renewal<T, E> {
    pub(crate) const fn new(rules: Rules) -> Self {
        Self { rules, held: None, renew_at: Duration::ZERO, ends_at: Duration::ZERO, n_refused: 0, refusal: None }
    }

    /// Returns what was got last, whether it is good or not.
    pub(crate) const fn held(&self) -> Option<&T> {
        self.held.as_ref()
    }

    /// Returns what is to be had without asking anybody; none where it is to be got now, and [`taken`](Self::taken) told.
    pub(crate) fn without_asking(&self, now: Duration) -> Option<Result<T, E>> {
        match self.still_good(now) {
            Some(good) if now < self.renew_at => Some(Ok(good)),
            good if self.n_refused >= self.rules.max_refusals => {
                self.refusal.clone().map(|refusal| good.ok_or(refusal))
            }
            _ => None,
        }
    }

    /// Takes what was got with the time that it is good, or why it was not; what is held is used on to its end.
    pub(crate) fn taken(&mut self, now: Duration, got: Result<(T, Duration), Failed<E>>) -> Result<T, E> {
        let error = match got {
            Ok((new, lifetime)) => {
                // In this order, because a server may write any number.
                self.renew_at = now.saturating_add(lifetime / 100 * self.rules.at_percent);
                self.ends_at = now.saturating_add(lifetime);
                self.held = Some(new.clone());
                self.n_refused = 0;
                return Ok(new);
            }
            Err(Failed::Refused(error)) => {
                self.n_refused += 1;
                self.refusal = Some(error.clone());
                error
            }
            Err(Failed::Unanswered(error)) => error,
        };
        self.renew_at = now + RENEW_AGAIN;
        self.still_good(now).ok_or(error)
    }

    /// What is held is good no more, whatever its time.
    pub(crate) const fn expire(&mut self) {
        self.ends_at = Duration::ZERO;
    }

    fn still_good(&self, now: Duration) -> Option<T> {
        self.held.clone().filter(|_| now < self.ends_at)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const RULES: Rules = Rules { at_percent: 80, max_refusals: 2 };

    fn s(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    #[test]
    fn it_is_renewed_before_its_end_and_used_to_its_end_where_that_fails() {
        let mut renewal: Renewal<u32, &str> = Renewal::new(RULES);
        assert_eq!(renewal.without_asking(s(0)), None);
        assert_eq!(renewal.taken(s(0), Ok((1, s(100)))), Ok(1));
        assert_eq!((renewal.without_asking(s(79)), renewal.without_asking(s(80))), (Some(Ok(1)), None));
        assert_eq!(renewal.taken(s(80), Err(Failed::Unanswered("gone"))), Ok(1));
        assert_eq!((renewal.without_asking(s(84)), renewal.without_asking(s(85))), (Some(Ok(1)), None));
        // What is over is never given, though the last try was just now.
        assert_eq!(renewal.taken(s(99), Err(Failed::Unanswered("gone"))), Ok(1));
        assert_eq!(renewal.without_asking(s(100)), None);
        assert_eq!(renewal.taken(s(100), Err(Failed::Unanswered("gone"))), Err("gone"));
        assert_eq!(renewal.without_asking(s(101)), None);
        assert_eq!(renewal.held(), Some(&1));
    }

    #[test]
    fn a_refusal_is_asked_for_so_often_and_no_more() {
        let mut renewal: Renewal<u32, &str> = Renewal::new(RULES);
        for _ in 0..2 {
            assert_eq!(renewal.without_asking(s(0)), None);
            assert_eq!(renewal.taken(s(0), Err(Failed::Refused("no"))), Err("no"));
        }
        assert_eq!(renewal.without_asking(s(1_000)), Some(Err("no")));

        let mut renewal = Renewal::new(Rules { max_refusals: 1, ..RULES });
        assert_eq!(renewal.taken(s(0), Ok((1, s(100)))), Ok(1));
        assert_eq!(renewal.taken(s(80), Err(Failed::Refused("no"))), Ok(1));
        assert_eq!((renewal.without_asking(s(99)), renewal.without_asking(s(100))), (Some(Ok(1)), Some(Err("no"))));
    }

    #[test]
    fn what_is_taken_again_may_be_refused_again() {
        let mut renewal: Renewal<u32, &str> = Renewal::new(RULES);
        for round in 0..5 {
            let now = s(round * 100);
            assert_eq!(renewal.taken(now, Err(Failed::Refused("no"))), Err("no"));
            assert_eq!(renewal.taken(now, Ok((1, s(100)))), Ok(1));
        }
        assert_eq!(renewal.without_asking(s(500)), None);
    }

    #[test]
    fn any_time_may_be_written() {
        let mut renewal: Renewal<u32, &str> = Renewal::new(RULES);
        assert_eq!(renewal.taken(s(10), Ok((1, s(u64::MAX)))), Ok(1));
        assert_eq!(renewal.without_asking(s(1_000_000)), Some(Ok(1)));
        assert_eq!(renewal.taken(s(10), Ok((2, Duration::ZERO))), Ok(2));
        assert_eq!(renewal.without_asking(s(10)), None);
        assert_eq!(renewal.taken(s(10), Ok((3, s(100)))), Ok(3));
        renewal.expire();
        assert_eq!(renewal.without_asking(s(11)), None);
    }
}
