//! `cmbatch settle`: a person's verdict on a row in doubt.

use std::time::Duration;

use jiff::Timestamp;
use jiff::tz::TimeZone;
use serde_json::{Value, json};

use super::job::{Context, block_on};
use super::stored::{self, Given};
use super::target::Target;
use crate::cli::args::SettleArgs;
use crate::cli::config::World;
use crate::cli::exit::Exit;
use crate::cli::failure::{Failure, chain};
use crate::cli::invocation::quoted;
use crate::cli::layers::Origins;
use crate::cli::output::{self, rows};
use crate::cli::summary::Summary;
use crate::ledger::{AuditEvent, DoubtfulRow, Ledger, Reader, Resolution, RowVerdict, SessionEnd, Source};
use crate::reconcile::check_person;
use crate::report::Counts;
use crate::request::{ErrorCode, Guid, RequestUri, RequestUuid, RowId, printable};
use crate::submit::Wire;

/// How many rows in doubt are read at a time.
const PAGE: u32 = 1_000;
/// How far clocks may be apart, and a server may take to write down what it was asked.
const SLACK: Duration = Duration::from_secs(150);

/// Runs the command.
pub(crate) fn run(
    args: &SettleArgs,
    origins: &Origins,
    world: World,
    context: &Context<'_>,
    as_json: bool,
) -> Result<Option<Summary>, Failure> {
    let reader = Reader::open(&args.ledger)?;
    if args.list {
        return list(&reader, args, as_json).map(Some);
    }
    stored::check_free(&reader, &args.ledger)?;
    if args.reason.as_ref().is_some_and(|reason| reason.trim().is_empty()) {
        return Err(Failure::new(Exit::Usage, "--reason is empty: say how it is known, for those who ask later"));
    }
    let number = args.row.ok_or_else(|| Failure::new(Exit::Usage, "--row N is missing"))?;
    let row = find(&reader, RowId::from(number))?;
    let verdict = match args.created {
        Some(uuid) => read_and_check(args, origins, world, context, &reader, &row, uuid)?,
        None => {
            warn_of_haste(&row, context);
            absent(&row)
        }
    };
    drop(reader);
    record(args, context, &row, verdict).map(Some)
}

fn find(reader: &Reader, number: RowId) -> Result<DoubtfulRow, Failure> {
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
fn read_and_check(
    args: &SettleArgs,
    origins: &Origins,
    world: World,
    context: &Context<'_>,
    reader: &Reader,
    row: &DoubtfulRow,
    uuid: Guid,
) -> Result<RowVerdict, Failure> {
    let given = Given { server: &args.server, rehearsal: &args.rehearsal, pace: None, doubt: None };
    let reach = stored::reach(reader, &args.ledger, &given, origins, world, context.shell)?;
    let wire = stored::wire(reader.run());
    let mut target = Target::prepare(&reach.destination)?;
    target.start(&args.ledger, &reach, &wire)?;
    let uuid = RequestUuid::new(uuid);
    let object = block_on(target.client()?.request(uuid))?.map_err(|error| {
        let why = printable(&chain(&error));
        Failure::new(Exit::Server, format!("request {uuid} cannot be read ({why}); nothing was recorded"))
            .with_next(format!("check the uuid, then: {}", context.invocation.again()))
    })?;
    let tag = wire.tag(row.row, &row.request);
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
    })?;
    let uri = RequestUri::published(uuid)
        .map_err(|_| Failure::new(Exit::Usage, format!("--created: {uuid} is not the uuid of a request")))?;
    Ok(RowVerdict::Exists(uri))
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

/// A server may still act on a call that ended just now.
fn warn_of_haste(row: &DoubtfulRow, context: &Context<'_>) {
    let until = row.recorded_at.checked_add(SLACK).unwrap_or(row.recorded_at);
    if Timestamp::now() < until {
        let until = until.to_zoned_datetime(TimeZone::system());
        context.shell.warn(&format!(
            "the server may still be at work on row {} until {}; look for it in the portal again then",
            row.row,
            until.strftime("%H:%M:%S")
        ));
    }
}

fn absent(row: &DoubtfulRow) -> RowVerdict {
    match row.code {
        // A server that failed on the row is likely to do so again: a person sends it by replay.
        Some(ErrorCode::ServerError) => RowVerdict::AbsentForGood,
        _ => RowVerdict::Absent,
    }
}

fn record(
    args: &SettleArgs,
    context: &Context<'_>,
    row: &DoubtfulRow,
    verdict: RowVerdict,
) -> Result<Summary, Failure> {
    let ledger = Ledger::open(&crate::machine::Machine::system(), &args.ledger, &context.session)?;
    let who = format!("{}@{}", context.session.user, context.session.host);
    let said = args.reason.as_deref().unwrap_or("named the request");
    let text = match &verdict {
        RowVerdict::Exists(uri) => format!("row {} is created, as request {}", row.row, uri.uuid()),
        RowVerdict::AbsentForGood => {
            format!("row {} was not created and is failed; cmbatch replay sends it again", row.row)
        }
        _ => format!("row {} was not created and is pending", row.row),
    };
    let resolution =
        Resolution { row: row.row, verdict, source: Source::Person, reason: Some(format!("{who}: {said}")) };
    let event = AuditEvent { kind: "settle".to_owned(), detail: format!("{who}: {text}: {said}") };
    ledger.resolve_blocking(vec![resolution], Some(event))?;
    ledger.close(SessionEnd::Finished)?;
    let reader = Reader::open(&args.ledger)?;
    let counts = Counts::of(&reader)?;
    Ok(Summary::of_counts(&reader, &args.ledger, &counts).recorded(&text))
}

/// Prints what to look for in the portal, row by row.
fn list(reader: &Reader, args: &SettleArgs, as_json: bool) -> Result<Summary, Failure> {
    let wire = stored::wire(reader.run());
    let zone = TimeZone::system();
    let (mut n_rows, mut listed) = (0, Vec::new());
    let mut after = 0;
    loop {
        let page = reader.in_doubt(after, PAGE)?;
        let Some(last) = page.last() else { break };
        after = last.row.get();
        for row in &page {
            if as_json {
                listed.push(as_object(row, &wire));
            } else {
                output::result(&described(row, reader, &wire, &zone)?)?;
            }
            n_rows += 1;
        }
    }
    let shown = quoted(&args.ledger.to_string_lossy());
    let summary = Summary::new(Exit::Done, format!("{} in doubt", rows(n_rows))).with("in_doubt", n_rows);
    let summary = if as_json { summary.with("rows_in_doubt", listed) } else { summary };
    Ok(if n_rows == 0 {
        summary
    } else {
        summary.with_next(format!(
            "look for each in the CM portal, then: cmbatch settle {shown} --row N --created UUID, or --not-created --reason TEXT"
        ))
    })
}

/// Returns what is known of a row in doubt, in lines of at most 80 columns but for long texts of the row itself.
fn described(row: &DoubtfulRow, reader: &Reader, wire: &Wire, zone: &TimeZone) -> Result<String, Failure> {
    let request = &row.request;
    let name = reader.run().parts.iter().find(|part| part.part == row.place.part).map_or("", |part| &part.name);
    let id = row.id.as_ref().map_or_else(String::new, |id| format!(", id {}", printable(id)));
    let mut lines = vec![format!("row {}{id} ({}:{})", row.row, printable(name), row.place.line)];
    let mut add = |label: &str, value: Option<String>| {
        if let Some(value) = value.filter(|value| !value.is_empty()) {
            lines.push(format!("  {label:<9} {value}"));
        }
    };
    add("type", Some(request.kind.to_string()));
    add("template", request.template.map(|guid| guid.to_string()));
    add("target", request.target.map(|guid| guid.to_string()));
    add("card", request.smartcard.map(|guid| guid.to_string()));
    add("comment", Some(printable(&wire.comment(row.row, request))));
    add("submitted", Some(window(row, zone)));
    add("why", row.code.map(|code| code.meaning().to_owned()));
    for note in reader.page(row.row.get() - 1, 1, &[])?.into_iter().flat_map(|row| row.notes.to_vec()) {
        add(&printable(&note.name), Some(printable(&note.value)));
    }
    lines.push(String::new());
    lines.push(String::new());
    Ok(lines.join("\n"))
}

/// Returns the same for scripts.
fn as_object(row: &DoubtfulRow, wire: &Wire) -> Value {
    let request = &row.request;
    let text = |guid: Option<Guid>| guid.map(|guid| guid.to_string());
    json!({
        "row": row.row.get(), "id": row.id, "type": request.kind.as_str(), "profiletemplateuuid": text(request.template),
        "target": text(request.target), "smartcard": text(request.smartcard),
        "comment": wire.comment(row.row, request), "error_code": row.code.map(|code| code.as_str()),
        "from": row.started_at.map(|at| at.to_string()), "until": row.recorded_at.checked_add(SLACK).ok().map(|at| at.to_string()),
    })
}

/// Returns the time within which the server would have written the request down, in local time.
fn window(row: &DoubtfulRow, zone: &TimeZone) -> String {
    let local = |at: Timestamp| at.to_zoned_datetime(zone.clone());
    let from = row.sent_at();
    let until = row.recorded_at.checked_add(SLACK).unwrap_or(row.recorded_at);
    let (from, until) = (local(from), local(until));
    format!("{} to {}", from.strftime("%Y-%m-%d %H:%M:%S"), until.strftime("%H:%M:%S %Z"))
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
            recorded_by: 1,
            code: Some(code),
            started_at: "2026-03-01T08:00:00Z".parse().ok(),
            recorded_at: "2026-03-01T08:02:10Z".parse().unwrap(),
            counted_attempts: 1,
        };
        assert_eq!(absent(&row(ErrorCode::ServerError)), RowVerdict::AbsentForGood);
        assert_eq!(absent(&row(ErrorCode::Timeout)), RowVerdict::Absent);
        let zone = TimeZone::get("Europe/Berlin").unwrap_or(TimeZone::UTC);
        assert_eq!(window(&row(ErrorCode::Timeout), &TimeZone::UTC), "2026-03-01 08:00:00 to 08:04:40 UTC");
        assert!(window(&row(ErrorCode::Timeout), &zone).starts_with("2026-03-01 "));
    }
}
