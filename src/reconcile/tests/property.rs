//! Random sequences of calls, crashes, waits and lists: no row is ever sent twice, and each comes to exist when the server
//! lets it.

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use proptest::prelude::*;

use super::support::*;
use super::world::{Act, Call, Desk, LONGEST_WORK, Listing, World};
use crate::ledger::{CreatedMarks, CreatedRow, DoubtfulRow, LedgerError, Resolution, RowFacts, RowState};
use crate::reconcile::{Book, Tagging};
use crate::request::{CreateRequest, ErrorCode, Outcome, RowId};

/// A ledger in memory, and its copy.
#[derive(Default)]
struct MemoryDesk {
    book: MemoryBook,
    copy: MemoryBook,
}

impl MemoryDesk {
    fn new(n_rows: u32) -> Self {
        let book = (1..=n_rows).fold(MemoryBook::default(), |book, number| book.with(number, RowState::Pending));
        for number in 1..=n_rows {
            book.edit(number, |known| {
                (known.code, known.attempts, known.counted, known.started_at) = (None, 0, 0, None);
            });
        }
        Self { copy: book.clone(), book }
    }

    /// Puts rows in doubt whose outcome no one saw.
    fn doubt(&mut self, now: Timestamp, of: RowState, started: bool) {
        for known in self.book.rows.borrow_mut().values_mut().filter(|known| known.state == of) {
            (known.state, known.code, known.recorded_at) = (RowState::InDoubt, Some(ErrorCode::LeftOpen), now);
            known.started_at = known.started_at.filter(|_| started);
        }
    }
}

impl Book for MemoryDesk {
    fn in_doubt(&self, after: u32, limit: u32) -> Result<Vec<DoubtfulRow>, LedgerError> {
        self.book.in_doubt(after, limit)
    }

    fn n_in_doubt(&self) -> Result<u64, LedgerError> {
        self.book.n_in_doubt()
    }

    fn newest_created(&self, limit: u32) -> Result<Vec<CreatedRow>, LedgerError> {
        self.book.newest_created(limit)
    }

    fn created(&self, after: u32, limit: u32) -> Result<Vec<CreatedRow>, LedgerError> {
        self.book.created(after, limit)
    }

    fn facts(&self, row: RowId) -> Result<Option<RowFacts>, LedgerError> {
        self.book.facts(row)
    }

    fn created_marks(&self) -> Result<CreatedMarks, LedgerError> {
        self.book.created_marks()
    }

    async fn resolve(&self, resolutions: Vec<Resolution>) -> Result<(), LedgerError> {
        self.book.resolve(resolutions).await
    }
}

impl Desk for MemoryDesk {
    fn claim(&mut self, n: usize) -> Vec<(RowId, u32, CreateRequest)> {
        let mut rows = self.book.rows.borrow_mut();
        let pending = rows.iter_mut().filter(|(_, known)| known.state == RowState::Pending).take(n);
        pending
            .map(|(row, known)| {
                known.state = RowState::Sending;
                known.attempts += 1;
                (*row, known.counted, known.request.clone())
            })
            .collect()
    }

    fn record(&mut self, row: RowId, started_at: Timestamp, took: Duration, outcome: Outcome) {
        let next =
            self.book.newest_created(1).unwrap().pop().map_or(1, |last| self.book.get(last.row.get()).created_as + 1);
        self.book.edit(row.get(), |known| {
            assert_eq!(known.state, RowState::Sending);
            known.code = outcome.fault().map(|fault| fault.code);
            known.counted += u32::from(known.code != Some(ErrorCode::Throttled));
            known.started_at = Some(started_at);
            known.recorded_at = started_at + SignedDuration::try_from(took).unwrap();
            known.state = match outcome {
                Outcome::Created(uri) => {
                    (known.uuid, known.created_as) = (Some(uri.uuid()), next);
                    RowState::Created
                }
                Outcome::Pending(_) => RowState::Pending,
                Outcome::Failed(_) => RowState::Failed,
                Outcome::InDoubt(_) => RowState::InDoubt,
            };
        });
    }

    fn crash(&mut self, now: Timestamp) {
        for known in self.book.rows.borrow_mut().values_mut().filter(|known| known.state == RowState::Sending) {
            known.started_at = Some(now);
        }
        self.doubt(now, RowState::Sending, true);
    }

    fn back_up(&mut self) {
        self.copy = self.book.clone();
    }

    fn restore(&mut self, now: Timestamp) {
        self.book = self.copy.clone();
        self.doubt(now, RowState::Pending, false);
    }
}

/// What becomes of a call; without tags nothing shows a request for someone else to be the row's.
fn arb_call(tagging: Tagging) -> impl Strategy<Value = Call> {
    let wrong = match tagging {
        Tagging::Tagged => Call::LostAndWrong,
        Tagging::Untagged => Call::Lost,
    };
    prop_oneof![
        3 => Just(Call::Created),
        2 => (0..=LONGEST_WORK).prop_map(Call::LostAndCreated),
        2 => Just(Call::Lost),
        1 => Just(wrong),
        2 => any::<bool>().prop_map(|created| Call::ServerError { created }),
        1 => Just(Call::Refused),
        1 => Just(Call::Throttled),
        1 => Just(Call::NotSent),
    ]
}

fn arb_listing() -> impl Strategy<Value = Listing> {
    prop_oneof![
        4 => Just(Listing::Complete),
        1 => (0_usize..6).prop_map(Listing::CutOff),
        2 => (2_usize..5).prop_map(Listing::Hides),
        2 => (0_u64..=30).prop_map(Listing::Lags),
        1 => Just(Listing::CutsComments),
        1 => prop_oneof![Just(401), Just(403), Just(503)].prop_map(Listing::Refused),
    ]
}

pub(super) fn arb_act(tagging: Tagging) -> impl Strategy<Value = Act> {
    prop_oneof![
        6 => prop::collection::vec(arb_call(tagging), 1..6).prop_map(Act::Send),
        2 => prop::collection::vec(prop::option::of(0..=LONGEST_WORK), 0..4).prop_map(Act::Die),
        3 => prop_oneof![0_u64..40, 100_u64..200].prop_map(Act::Wait),
        6 => arb_listing().prop_map(Act::Reconcile),
        1 => Just(Act::BackUp),
        1 => Just(Act::Restore),
    ]
}

pub(super) fn play<D: Desk>(mut world: World<D>, acts: &[Act]) {
    acts.iter().for_each(|act| world.act(act));
    world.end_well();
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 512, ..ProptestConfig::default() })]

    #[test]
    fn no_row_is_created_twice_and_each_in_the_end(
        n_rows in 1_u32..12,
        acts in prop::collection::vec(arb_act(Tagging::Tagged), 0..24),
    ) {
        play(World::new(MemoryDesk::new(n_rows), n_rows, tagged(), SignedDuration::ZERO), &acts);
    }

    #[test]
    fn without_tags_no_row_is_created_twice_whatever_the_servers_clock_says(
        n_rows in 1_u32..12,
        acts in prop::collection::vec(arb_act(Tagging::Untagged), 0..24),
        skew_s in prop_oneof![Just(0), -6_i64..=6, -80_000_i64..80_000],
    ) {
        play(World::new(MemoryDesk::new(n_rows), n_rows, untagged(), SignedDuration::from_secs(skew_s)), &acts);
    }
}
