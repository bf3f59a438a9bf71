//! How often a password is offered: a domain counts refusals and locks the account.

use std::sync::{Mutex, MutexGuard, PoisonError};

use tokio::sync::{Semaphore, SemaphorePermit};

/// How often one process offers a password that is refused, in all.
const MAX_REFUSED: u32 = 2;

/// How often in a row nobody says what became of a password that this process had signed in with before.
const MAX_UNKNOWN: u32 = 6;

/// The offers of a process. There are never more under way than may still be refused.
#[derive(Debug)]
pub(crate) struct Offers {
    left: Semaphore,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    /// How often in a row it was refused.
    n_refused: u32,
    /// How often in a row it had left, and no answer came: a domain may have counted that as a refusal.
    n_unknown: u32,
    /// How many permits are withheld.
    n_withheld: u32,
    /// Whether it was ever taken.
    is_proven: bool,
}

/// An offer that is under way. Dropped, it was not made; where it is [`out`](Self::out), nobody knows what became of it.
#[derive(Debug)]
pub(crate) struct Offer<'o> {
    offers: &'o Offers,
    permit: Option<SemaphorePermit<'o>>,
    is_out: bool,
}

impl Default for Offers {
    fn default() -> Self {
        Self { left: Semaphore::new(MAX_REFUSED as usize), state: Mutex::default() }
    }
}

impl Offers {
    /// Waits until the password may be offered; none where it was refused too often.
    pub(crate) async fn next(&self) -> Option<Offer<'_>> {
        let permit = self.left.acquire().await.ok()?;
        Some(Offer { offers: self, permit: Some(permit), is_out: false })
    }

    /// Returns whether it was refused, and not only lost sight of.
    pub(crate) fn is_refused(&self) -> bool {
        self.state().n_refused > 0
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Offer<'_> {
    /// The password leaves now.
    pub(crate) fn out(&mut self) {
        self.is_out = true;
    }

    /// It was taken: what was refused before was not for its sake.
    pub(crate) fn taken(mut self) {
        drop(self.permit.take());
        let mut state = self.offers.state();
        self.offers.left.add_permits(state.n_withheld as usize);
        *state = State { is_proven: true, ..State::default() };
    }

    /// It was refused.
    pub(crate) fn refused(mut self) {
        let mut state = self.offers.state();
        state.n_refused += 1;
        self.withhold(&mut state);
    }

    fn withhold(&mut self, state: &mut State) {
        if let Some(permit) = self.permit.take() {
            permit.forget();
            state.n_withheld += 1;
        }
        if state.n_withheld >= MAX_REFUSED {
            self.offers.left.close();
        }
    }
}

impl Drop for Offer<'_> {
    fn drop(&mut self) {
        if !self.is_out || self.permit.is_none() {
            return;
        }
        let mut state = self.offers.state();
        state.n_unknown += 1;
        if !state.is_proven {
            self.withhold(&mut state);
        } else if state.n_unknown >= MAX_UNKNOWN {
            self.offers.left.close();
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};

    use super::*;

    fn run(test: impl Future<Output = ()>) {
        tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(test);
    }

    /// Has many tasks offer, each until it is taken; the answers are given in order. Returns how often was offered.
    async fn offered(answers: &'static [bool]) -> usize {
        let (offers, n) = (Arc::new(Offers::default()), Arc::new(AtomicUsize::new(0)));
        let tasks: Vec<_> = (0..64)
            .map(|_| {
                let (offers, n) = (Arc::clone(&offers), Arc::clone(&n));
                tokio::spawn(async move {
                    while let Some(offer) = offers.next().await {
                        let is_taken = answers.get(n.fetch_add(1, SeqCst)).copied().unwrap_or(true);
                        tokio::task::yield_now().await;
                        if is_taken {
                            return offer.taken();
                        }
                        offer.refused();
                    }
                })
            })
            .collect();
        for task in tasks {
            task.await.unwrap();
        }
        n.load(SeqCst)
    }

    #[test]
    fn a_password_that_is_refused_is_offered_twice_and_never_again() {
        run(async {
            assert_eq!(offered(&[false; 128]).await, 2);
        });
    }

    #[test]
    fn one_refusal_costs_nobody_the_sign_in() {
        run(async {
            assert_eq!(offered(&[]).await, 64);
            assert_eq!(offered(&[false]).await, 65);
            // Taken in between, it may be refused again.
            let offers = Offers::default();
            for _ in 0..5 {
                offers.next().await.unwrap().refused();
                offers.next().await.unwrap().taken();
            }
            drop(offers.next().await.unwrap());
            offers.next().await.unwrap().refused();
            offers.next().await.unwrap().refused();
            assert!(offers.next().await.is_none());
        });
    }

    #[test]
    fn what_left_and_was_not_answered_counts_as_refused_until_it_is_taken() {
        run(async {
            let lose = async |offers: &Offers| {
                let mut offer = offers.next().await?;
                offer.out();
                Some(())
            };
            let offers = Offers::default();
            // What did not leave is offered to nobody.
            for _ in 0..10 {
                drop(offers.next().await.unwrap());
            }
            assert!(lose(&offers).await.is_some() && lose(&offers).await.is_some());
            assert!(offers.next().await.is_none() && !offers.is_refused());

            let offers = Offers::default();
            lose(&offers).await.unwrap();
            offers.next().await.unwrap().taken();
            // One that was taken before may get lost a few times more.
            for _ in 0..MAX_UNKNOWN {
                lose(&offers).await.unwrap();
            }
            assert!(offers.next().await.is_none());
        });
    }
}
