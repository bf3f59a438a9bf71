//! Reading the list once, and settling rows by it.

use crate::ledger::{LedgerError, Resolution, RowVerdict, Source};
use crate::request::{ErrorCode, RequestUri, RequestUuid, RowId};

use super::absence::{Doubt, Fate, fate};
use super::ask::{Ask, Identity, Tagging, Trust};
use super::book::Book;
use super::found::{Before, Contradiction, Exists};
use super::lists::{ListRead, Lists, read_list};
use super::proof::Completeness;
use super::report::{Report, WhyLeft};
use super::scan::{Scan, Seen};

/// How many rows are settled at once.
const BATCH: usize = 1000;

/// How many rows are named that are in doubt because their tag stands on another request.
const MAX_NAMED: usize = 5;

/// Rows could not be settled because the ledger failed; what was settled before is durable.
#[derive(Debug, thiserror::Error)]
pub enum ReconcileError {
    /// The ledger cannot be read or written.
    #[error(transparent)]
    Ledger(#[from] LedgerError),
}

/// Reads the server's list once and settles rows by it: those that it has are created; those in doubt that it does not have are
/// absent, where the list is asked for late enough (`ask.ripe`) and shows itself complete.
///
/// A list that cannot be read to its end settles nothing, which is no error: the report says so. What is settled is durable
/// when this returns. It is recorded in batches, so that whatever ends the process on the way leaves some rows settled and the
/// others as they were. Nothing may be sent meanwhile.
///
/// Memory does not grow with the list, nor with rows that are known as created. A row in doubt takes some 50 bytes; without
/// tags 250, and each created row 16.
///
/// # Errors
/// The ledger cannot be read or written.
pub async fn reconcile(
    book: &impl Book,
    lists: &impl Lists,
    who: &Identity,
    ask: &Ask,
) -> Result<Report, ReconcileError> {
    let (mut scan, doubts) = Scan::prepare(book, who).await?;
    let ListRead { n_objects, end } = read_list(lists, |object| scan.take(book, object)).await?;
    let mut report = Report { read: n_objects, ..Report::default() };
    match end {
        Ok(()) => {
            let mut seen = scan.finish();
            seen.look_for_lost_tags(book).await?;
            settle_found(book, &seen, who.tagging, &mut report).await?;
            settle_contradicted(book, &seen, &doubts, &mut report).await?;
            settle_absent(book, &seen, &doubts, ask, &mut report).await?;
            report.completeness = Some(seen.completeness);
            report.doubles = seen.doubles;
            report.strays = seen.strays;
        }
        Err(error) => report.why_left.push(WhyLeft::Unreadable(error)),
    }
    report.left = book.n_in_doubt()?;
    Ok(report)
}

/// Records the rows that the list has as created.
async fn settle_found(book: &impl Book, seen: &Seen, tagging: Tagging, report: &mut Report) -> Result<(), LedgerError> {
    for batch in seen.exists.chunks(BATCH) {
        book.resolve(batch.iter().map(|found| exists(found, tagging)).collect()).await?;
    }
    report.found = seen.n_found(Before::InDoubt);
    report.found_unexpectedly = seen.n_found(Before::Pending) + seen.n_found(Before::Failed);
    if seen.ambiguous.n > 0 {
        let ambiguous = seen.ambiguous.clone();
        report.why_left.push(match tagging {
            Tagging::Tagged => WhyLeft::LostTag(ambiguous),
            Tagging::Untagged => WhyLeft::Ambiguous(ambiguous),
        });
    }
    Ok(())
}

fn exists(found: &Exists, tagging: Tagging) -> Resolution {
    let reason = match tagging {
        Tagging::Tagged => "found in the server's list by its tag",
        Tagging::Untagged => "found in the server's list by its properties and time",
    };
    Resolution {
        row: found.row,
        verdict: RowVerdict::Exists(uri_of(found.uuid)),
        source: Source::List,
        reason: Some(reason.to_owned()),
    }
}

fn uri_of(uuid: RequestUuid) -> RequestUri {
    RequestUri::published(uuid).expect("the list's reader takes no zero uuid")
}

/// Records the rows whose tag stands on a request that is not theirs, where that is new, and names those that are in doubt for
/// it, also from an earlier list.
async fn settle_contradicted(
    book: &impl Book,
    seen: &Seen,
    doubts: &[Doubt],
    report: &mut Report,
) -> Result<(), LedgerError> {
    let known: Vec<RowId> =
        doubts.iter().filter(|doubt| doubt.code == Some(ErrorCode::Contradicted)).map(|doubt| doubt.row).collect();
    for batch in seen.contradictions.chunks(BATCH) {
        let is_new = |found: &&Contradiction| known.binary_search(&found.row).is_err();
        let resolutions: Vec<_> = batch.iter().filter(is_new).map(contradicted).collect();
        if !resolutions.is_empty() {
            book.resolve(resolutions).await?;
        }
    }
    report.contradicted = seen.contradictions.len() as u64;
    let unseen = known.into_iter().filter(|row| !seen.speaks_of(*row));
    let rows: Vec<RowId> = seen.contradictions.iter().map(|found| found.row).chain(unseen).collect();
    if !rows.is_empty() {
        let first = rows.iter().copied().take(MAX_NAMED).collect();
        report.why_left.push(WhyLeft::Contradicted { n: rows.len() as u64, first });
    }
    Ok(())
}

fn contradicted(found: &Contradiction) -> Resolution {
    Resolution {
        row: found.row,
        verdict: RowVerdict::Contradicted,
        source: Source::List,
        reason: Some(found.reason.to_string()),
    }
}

/// Records the rows in doubt that the list does not have as absent, where that is proven; else says why it is not.
async fn settle_absent(
    book: &impl Book,
    seen: &Seen,
    doubts: &[Doubt],
    ask: &Ask,
    report: &mut Report,
) -> Result<(), LedgerError> {
    let not_seen = doubts.iter().filter(|doubt| !seen.speaks_of(doubt.row));
    let absent: Vec<(RowId, Fate)> = not_seen
        .filter_map(|doubt| Some((doubt.row, fate(doubt.code, doubt.counted_attempts, ask.max_attempts)?)))
        .collect();
    if absent.is_empty() {
        return Ok(());
    }
    let obstacles = obstacles(ask, &seen.completeness, absent.len() as u64);
    if !obstacles.is_empty() {
        report.why_left.extend(obstacles);
        return Ok(());
    }
    for batch in absent.chunks(BATCH) {
        book.resolve(batch.iter().map(|(row, fate)| fate.resolution(*row, ask.trust)).collect()).await?;
    }
    report.failed = absent.iter().filter(|(_, fate)| *fate == Fate::Failed).count() as u64;
    report.absent = absent.len() as u64 - report.failed;
    Ok(())
}

/// Returns why rows that a list does not have are not proven absent; nothing where they are.
fn obstacles(ask: &Ask, completeness: &Completeness, n: u64) -> Vec<WhyLeft> {
    let time = (!ask.ripe).then_some(WhyLeft::NotRipe { n });
    let list = match (ask.trust, completeness) {
        (Trust::List, _) | (Trust::Proof, Completeness::Complete) => None,
        (Trust::Proof, Completeness::Incomplete(gaps)) => Some(WhyLeft::Incomplete(gaps.clone())),
        (Trust::Proof, Completeness::NothingKnown) => Some(WhyLeft::NothingKnown),
    };
    time.into_iter().chain(list).collect()
}
