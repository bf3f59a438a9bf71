//! What is kept of a long list.

use super::support::*;
use crate::client::RequestObject;
use crate::ledger::{CreatedMarks, CreatedRow, DoubtfulRow, LedgerError, Resolution, RowFacts, RowState};
use crate::reconcile::found::TagScan;
use crate::reconcile::proof::{Expected, N_NEWEST};
use crate::reconcile::tagless::Tagless;
use crate::reconcile::{Book, Tagging};
use crate::request::RowId;

const ROWS: u32 = 20_000;

/// A ledger whose every 200th row is in doubt, and whose other rows are created.
struct LongBook;

impl Book for LongBook {
    fn in_doubt(&self, _after: u32, _limit: u32) -> Result<Vec<DoubtfulRow>, LedgerError> {
        unreachable!("the scan asks for facts alone")
    }

    fn n_in_doubt(&self) -> Result<u64, LedgerError> {
        unreachable!("the scan asks for facts alone")
    }

    fn newest_created(&self, _limit: u32) -> Result<Vec<CreatedRow>, LedgerError> {
        unreachable!("the scan asks for facts alone")
    }

    fn created(&self, _after: u32, _limit: u32) -> Result<Vec<CreatedRow>, LedgerError> {
        unreachable!("the scan asks for facts alone")
    }

    fn facts(&self, row: RowId) -> Result<Option<RowFacts>, LedgerError> {
        let is_in_doubt = row.get().is_multiple_of(200);
        let known = (!is_in_doubt).then(|| uuid(u128::from(row.get())));
        let state = if is_in_doubt { RowState::InDoubt } else { RowState::Created };
        Ok(Some(RowFacts { state, request: Some(request(row.get())), uuid: known }))
    }

    fn created_marks(&self) -> Result<CreatedMarks, LedgerError> {
        let mut marks = CreatedMarks::default();
        (1..=ROWS).filter(|n| !n.is_multiple_of(200)).for_each(|n| marks.add(row(n), uuid(u128::from(n))));
        Ok(marks)
    }

    async fn resolve(&self, _resolutions: Vec<Resolution>) -> Result<(), LedgerError> {
        unreachable!("the scan settles nothing")
    }
}

#[test]
fn of_a_long_list_no_more_is_kept_than_what_is_found() {
    let who = tagged();
    let newest = (1..=N_NEWEST).map(|n| CreatedRow { row: row(n), uuid: uuid(u128::from(n)), request: request(n) });
    let mut scan = TagScan::new(&who, Expected::new(newest.collect(), Tagging::Tagged), Tagless::default());
    for number in 1..=ROWS {
        // Between the run's own, requests of other people.
        let other = RequestObject { comment: "by hand".to_owned(), ..object_of(&who, number) };
        for object in [object_of(&who, number), other] {
            scan.take(&LongBook, &object).unwrap();
        }
    }
    let kept = scan.kept_bytes();
    assert!(kept <= 128 * 32, "{kept} bytes for 100 rows that were found");
    assert_eq!(scan.finish().exists.len(), 100);
}
