//! A person's verdict on a row in doubt.

use std::path::Path;

use super::ending::{Ending, Lead};
use super::env::Env;
use super::exit::Exit;
use super::failure::{Failure, chain};
use super::next::{Next, Piece};
use super::part::Ids;
use super::stopped_by::StoppedBy;
use super::stored::{no_row, wire_of};
use super::words::rows;
use crate::ledger::{AuditEvent, DoubtfulRow, Ledger, Reader, Resolution, RowVerdict, SessionEnd, Source};
use crate::reconcile::check_person;
use crate::report::in_words;
use crate::request::{ErrorCode, RequestUri, RequestUuid, RowId, printable};
use crate::submit::Calls;

/// What a person says of a row in doubt.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Said {
    /// It was created as this request.
    Created(RequestUuid),
    /// It was not created.
    NotCreated,
}

/// Returns a row that is in doubt.
///
/// # Errors
/// The run has no such row, or it is not in doubt.
pub fn find_doubtful(path: &Path, reader: &Reader, number: RowId) -> Result<DoubtfulRow, Failure> {
    let found = reader.in_doubt(number.get() - 1, 1)?.into_iter().next().filter(|row| row.row == number);
    if let Some(row) = found {
        return Ok(row);
    }
    match reader.facts(number)? {
        None => Err(no_row(reader, number, "recorded")),
        Some(facts) => Err(Failure::new(
            Exit::Usage,
            format!("row {number} is {} and not in doubt; there is nothing to settle", in_words(facts.state)),
        )
        .with_next(Next::from("see which rows are: ").and(Piece::on_ledger("settle", path, &["--list"])))),
    }
}

/// Returns the rows in doubt of these numbers and ids.
///
/// # Errors
/// One of them is not in doubt, or none is named.
pub fn doubtful_rows(
    path: &Path,
    reader: &Reader,
    numbers: &[RowId],
    ids: Option<&Ids>,
) -> Result<Vec<DoubtfulRow>, Failure> {
    let mut rows = numbers.to_vec();
    if let Some(ids) = ids {
        rows.extend(ids.rows(reader)?);
    }
    rows.sort_unstable();
    rows.dedup();
    if rows.is_empty() {
        return Err(Failure::new(Exit::Usage, "no row is named: give --row N, or --ids FILE"));
    }
    rows.into_iter().map(|row| find_doubtful(path, reader, row)).collect()
}

/// Closes what lists showed to be wrong with rows, because a person looked at it.
///
/// # Errors
/// Nothing is open of a row, or the ledger is in use or failed.
pub async fn close_findings<S>(path: &Path, rows: &[RowId], reason: &str, env: &Env<'_, S>) -> Result<Ending, Failure> {
    let open = Reader::open(path)?.open_findings()?;
    if let Some(row) = rows.iter().find(|row| open.iter().all(|finding| finding.finding.row != Some(**row))) {
        return Err(Failure::new(Exit::Usage, format!("nothing is open of row {row}; nothing was recorded")));
    }
    let who = format!("{}@{}", env.session.user, env.session.host);
    let ledger = Ledger::open(env.machine, path, env.session)?;
    for row in rows {
        ledger.close_finding(*row, &format!("{who}: {reason}"))?;
    }
    ledger.close(SessionEnd::Finished)?;
    let text = format!("what was found of {} is closed", super::words::rows(rows.len() as u64));
    Ok(Ending { lead: Lead::Recorded(text), ..Ending::of(&Reader::open(path)?, path)? })
}

/// Reads the request that a person names, and checks that it is the row's.
///
/// # Errors
/// It cannot be read, or is another row's.
pub async fn check_created(
    reader: &Reader,
    row: &DoubtfulRow,
    uuid: RequestUuid,
    calls: &impl Calls,
) -> Result<(), Failure> {
    let object = calls.read_back(uuid).await.map_err(|error| {
        let why = printable(&chain(&error));
        Failure::new(Exit::Server, format!("request {uuid} cannot be read ({why}); nothing was recorded"))
            .stopping(StoppedBy::NotReadBack)
            .with_next(Next::again().after("check the uuid, and that the account may read requests"))
    })?;
    let tag = wire_of(reader.run()).tag(row.row, &row.request);
    if let Some(other) = reader.row_of_uuid(uuid)? {
        return Err(Failure::new(
            Exit::Usage,
            format!("request {uuid} is that of row {other} already; nothing was recorded"),
        ));
    }
    // Without tags nothing else tells a request of today from one that was there before the run.
    let asked_first = reader.sessions()?.iter().find_map(|session| session.first_look.as_ref()?.date);
    if let (None, Some(submitted), Some(since)) = (tag, object.submitted, asked_first)
        && submitted < since
    {
        return Err(Failure::new(
            Exit::Usage,
            format!(
                "request {uuid} is not that of row {}: it was submitted at {submitted:.0}, and the run began at {since:.0}, by the \
                 server's clock; nothing was recorded",
                row.row
            ),
        ));
    }
    check_person(&row.request, tag, &object).map_err(|differences| {
        let differences: Vec<String> = differences.iter().map(ToString::to_string).collect();
        Failure::new(
            Exit::Usage,
            format!("request {uuid} is not that of row {}: {}; nothing was recorded", row.row, differences.join("; ")),
        )
    })
}

/// Returns what is recorded of a row that a person says was not created.
fn absent(row: &DoubtfulRow) -> RowVerdict {
    match row.code {
        // A server that failed on the row is likely to do so again: a person sends it by replay.
        Some(ErrorCode::ServerError) => RowVerdict::AbsentForGood,
        _ => RowVerdict::Absent,
    }
}

/// Records verdicts, with who gave them and why: all of them, or none.
///
/// # Errors
/// A row is no longer in doubt, or the ledger is in use or failed.
pub async fn record_verdicts<S>(
    path: &Path,
    verdicts: &[(DoubtfulRow, Said)],
    reason: &str,
    env: &Env<'_, S>,
) -> Result<Ending, Failure> {
    let who = format!("{}@{}", env.session.user, env.session.host);
    let mut texts = Vec::new();
    let mut resolutions = Vec::new();
    for (row, said) in verdicts {
        let (verdict, text) = verdict(row, said)?;
        let reason = Some(format!("{who}: {reason}"));
        resolutions.push(Resolution { row: row.row, verdict, source: Source::Person, reason });
        texts.push(text);
    }
    let text = match texts.as_slice() {
        [text] => text.clone(),
        _ => format!("{} are settled", rows(texts.len() as u64)),
    };
    let ledger = Ledger::open(env.machine, path, env.session)?;
    let event = AuditEvent { kind: "settle".to_owned(), detail: format!("{who}: {}: {reason}", texts.join("; ")) };
    let resolved = ledger.resolve(resolutions, Some(event)).await;
    ledger.close(SessionEnd::Finished)?;
    resolved?;
    Ok(Ending { lead: Lead::Recorded(text), ..Ending::of(&Reader::open(path)?, path)? })
}

fn verdict(row: &DoubtfulRow, said: &Said) -> Result<(RowVerdict, String), Failure> {
    let number = row.row;
    match said {
        Said::Created(uuid) => {
            let uri = RequestUri::published(*uuid)
                .map_err(|_| Failure::new(Exit::Usage, format!("--created: {uuid} is not the uuid of a request")))?;
            Ok((RowVerdict::Exists(uri), format!("row {number} is created, as request {uuid}")))
        }
        Said::NotCreated => Ok(match absent(row) {
            RowVerdict::AbsentForGood => (
                RowVerdict::AbsentForGood,
                format!("row {number} was not created and is failed; cmbatch replay sends it again"),
            ),
            verdict => (verdict, format!("row {number} was not created and is pending")),
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ledger::testing::doubtful;

    #[test]
    fn a_row_that_failed_on_the_server_is_not_sent_again_by_itself() {
        assert_eq!(absent(&doubtful(ErrorCode::ServerError)), RowVerdict::AbsentForGood);
        assert_eq!(absent(&doubtful(ErrorCode::Timeout)), RowVerdict::Absent);
    }
}
