//! How often a password is offered: a domain counts refusals and locks the account.

use std::sync::{Mutex, PoisonError};

use tokio::sync::{Semaphore, SemaphorePermit};

/// How often one process offers a password that is refused, in all.
const MAX_REFUSED: u32 = 2;

/// The offers of a process. There are never more under way than may still be refused.
#[derive(Debug)]
pub(crate) struct Offers {
    left: Semaphore,
    /// How often in a row it was refused.
    n_refused: Mutex<u32>,
}

/// An offer that is under way. Dropped, it was neither taken nor refused.
#[derive(Debug)]
pub(crate) struct Offer<'o> {
    offers: &'o Offers,
    permit: SemaphorePermit<'o>,
}

impl Default for Offers {
    fn default() -> Self {
        Self { left: Semaphore::new(MAX_REFUSED as usize), n_refused: Mutex::new(0) }
    }
}

impl Offers {
    /// Waits until the password may be offered; none where it was refused too often.
    pub(crate) async fn next(&self) -> Option<Offer<'_>> {
        let permit = self.left.acquire().await.ok()?;
        Some(Offer { offers: self, permit })
    }
}

impl Offer<'_> {
    /// The password was taken: what was refused before was not for its sake.
    pub(crate) fn taken(self) {
        let mut n_refused = self.offers.n_refused.lock().unwrap_or_else(PoisonError::into_inner);
        self.offers.left.add_permits(std::mem::take(&mut *n_refused) as usize);
    }

    /// It was refused.
    pub(crate) fn refused(self) {
        let Self { offers, permit } = self;
        permit.forget();
        let mut n_refused = offers.n_refused.lock().unwrap_or_else(PoisonError::into_inner);
        *n_refused += 1;
        if *n_refused >= MAX_REFUSED {
            offers.left.close();
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
}
