//! A person's verdict on a row in doubt.

use std::path::Path;

use super::env::Env;
use super::exit::Exit;
use super::failure::{Failure, chain};
use super::job::{Ending, Lead};
use super::next::Next;
use super::stored::wire_of;
use crate::ledger::{DoubtfulRow, Ledger, Reader, Resolution, RowVerdict, SessionEnd, Source};
use crate::reconcile::check_person;
use crate::request::{ErrorCode, RequestUri, RequestUuid, RowId, printable};
use crate::submit::Calls;

/// How many rows are read at a time.
const PAGE: u32 = 1_000;

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
pub fn find_doubtful(reader: &Reader, number: RowId) -> Result<DoubtfulRow, Failure> {
    let found = reader.in_doubt(number.get() - 1, 1)?.into_iter().next().filter(|row| row.row == number);
    if let Some(row) = found {
        return Ok(row);
    }
    let message = match reader.facts(number)? {
        None => format!("the run has no row {number}; it has rows 1 to {}", reader.run().n_rows),
        Some(facts) => format!("row {number} is {} and not in doubt; there is nothing to settle", facts.state),
    };
    Err(Failure::new(Exit::Usage, message))
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
            .with_next(Next::again().after("check the uuid"))
    })?;
    let tag = wire_of(reader.run()).tag(row.row, &row.request);
    if tag.is_none()
        && let Some(other) = row_with(reader, uuid)?
    {
        // Nothing else tells two requests for the same apart.
        return Err(Failure::new(
            Exit::Usage,
            format!("request {uuid} is that of row {other} already; nothing was recorded"),
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

/// Returns the row that a request is known to be of, if one is.
fn row_with(reader: &Reader, uuid: RequestUuid) -> Result<Option<RowId>, Failure> {
    let mut after = 0;
    loop {
        let page = reader.created(after, PAGE)?;
        let Some(last) = page.last() else { return Ok(None) };
        after = last.row.get();
        if let Some(known) = page.iter().find(|known| known.uuid == uuid) {
            return Ok(Some(known.row));
        }
    }
}

/// Returns what is recorded of a row that a person says was not created.
fn absent(row: &DoubtfulRow) -> RowVerdict {
    match row.code {
        // A server that failed on the row is likely to do so again: a person sends it by replay.
        Some(ErrorCode::ServerError) => RowVerdict::AbsentForGood,
        _ => RowVerdict::Absent,
    }
}

/// Records a verdict, with who gave it and why.
///
/// # Errors
/// The row is no longer in doubt, or the ledger is in use or failed.
pub async fn record_verdict<S>(
    path: &Path,
    row: &DoubtfulRow,
    said: &Said,
    reason: &str,
    env: &Env<'_, S>,
) -> Result<Ending, Failure> {
    let number = row.row;
    let (verdict, text) = match said {
        Said::Created(uuid) => {
            let uri = RequestUri::published(*uuid)
                .map_err(|_| Failure::new(Exit::Usage, format!("--created: {uuid} is not the uuid of a request")))?;
            (RowVerdict::Exists(uri), format!("row {number} is created, as request {uuid}"))
        }
        Said::NotCreated => match absent(row) {
            RowVerdict::AbsentForGood => (
                RowVerdict::AbsentForGood,
                format!("row {number} was not created and is failed; cmbatch replay sends it again"),
            ),
            verdict => (verdict, format!("row {number} was not created and is pending")),
        },
    };
    let who = format!("{}@{}", env.session.user, env.session.host);
    let ledger = Ledger::open(env.machine, path, env.session)?;
    ledger.record_event("settle", &format!("{who}: {text}: {reason}"))?;
    let reason = Some(format!("{who}: {reason}"));
    ledger.resolve(vec![Resolution { row: number, verdict, source: Source::Person, reason }]).await?;
    ledger.close(SessionEnd::Finished)?;
    Ok(Ending { lead: Lead::Recorded(text), ..Ending::of(&Reader::open(path)?, path)? })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_row_that_failed_on_the_server_is_not_sent_again_by_itself() {
        let row = |code| DoubtfulRow {
            row: RowId::new(1).unwrap(),
            place: crate::ledger::RowPlace { part: 1, part_row: 1, line: 2 },
            id: None,
            request: crate::request::CreateRequest::new(crate::request::RequestType::Enroll),
            attempt: crate::request::AttemptNo::FIRST,
            session: 1,
            code: Some(code),
            started_at: "2026-03-01T08:00:00Z".parse().ok(),
            recorded_at: "2026-03-01T08:02:10Z".parse().unwrap(),
            counted_attempts: 1,
        };
        assert_eq!(absent(&row(ErrorCode::ServerError)), RowVerdict::AbsentForGood);
        assert_eq!(absent(&row(ErrorCode::Timeout)), RowVerdict::Absent);
    }
}
