//! `cmbatch settle`: a person's verdict on a row in doubt.

use std::time::Duration;

use jiff::Timestamp;
use jiff::tz::TimeZone;
use serde_json::{Value, json};

use super::job::{Context, OwnRuntime};
use super::reconcile::ask;
use super::stored::{self, Given};
use super::target::Target;
use crate::app::{
    self, Ending, Env, Exit, Failure, Ids, Next, Piece, Said, check_created, find_doubtful, record_verdicts,
};
use crate::cli::args::SettleArgs;
use crate::cli::config::World;
use crate::cli::invocation::Invocation;
use crate::cli::layers::Origins;
use crate::cli::output::{self, rows};
use crate::cli::progress::Lines;
use crate::cli::summary::{Summary, about_contradicted};
use crate::ledger::{DoubtfulRow, Reader, ResultRow};
use crate::report::wrapped;
use crate::request::{ErrorCode, Guid, RequestUuid, RowId, printable};
use crate::submit::Wire;

/// How many rows in doubt are read at a time.
const PAGE: u32 = 1_000;
/// The width of what is said of a row.
const WIDTH: usize = 68;
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
    let given = Given { server: &args.server, rehearsal: &args.rehearsal, pace: None, doubt: Some(&args.doubt) };
    let has_verdict = args.created.is_some() || args.not_created || args.looked_at;
    if !has_verdict && !args.list {
        return ask(&args.ledger, &given, args.max_attempts, args.all, origins, world, context).map(Some);
    }
    let reader = Reader::open(&args.ledger)?;
    if args.list {
        return list(&reader, args, context.invocation, as_json).map(Some);
    }
    app::check_free(&reader, &args.ledger)?;
    if args.reason.as_ref().is_some_and(|reason| reason.trim().is_empty()) {
        let empty = Failure::new(Exit::Usage, "--reason is empty: say how it is known, for those who ask later");
        return Err(empty.with_next(Next::with("--reason", &["--reason", "TEXT"])));
    }
    let lines = Lines::new(context.shell, context.verbose);
    let env = Env { machine: &context.machine, server: &(), sink: &lines, session: &context.session };
    let numbers: Vec<RowId> = args.row.iter().map(|number| RowId::from(*number)).collect();
    let reason = args.reason.as_deref().unwrap_or("named the request");
    if args.looked_at {
        drop(reader);
        let closed = app::close_findings(&args.ledger, &numbers, reason, &env);
        let ending = OwnRuntime::new()?.block_on(closed)?;
        return Ok(Some(Summary::of_ending(&ending, context.invocation, false)));
    }
    let ids = args.ids.as_deref().map(Ids::read).transpose()?;
    let verdicts = match args.created {
        Some(uuid) => {
            let [number] = numbers.as_slice() else {
                return Err(Failure::new(Exit::Usage, "--created names one request, and so takes one --row"));
            };
            let row = find_doubtful(&args.ledger, &reader, *number)?;
            let uuid = RequestUuid::new(uuid);
            let reach = stored::reach(&reader, &args.ledger, &given, origins, world, context.shell)?;
            let target = Target::prepare(&reach, &args.ledger)?;
            OwnRuntime::new()?.block_on(check_created(&reader, &row, uuid, target.client()))?;
            vec![(row, Said::Created(uuid))]
        }
        None => {
            let rows = app::doubtful_rows(&args.ledger, &reader, &numbers, ids.as_ref())?;
            rows.iter().for_each(|row| warn_of_haste(row, context));
            rows.into_iter().map(|row| (row, Said::NotCreated)).collect()
        }
    };
    drop(reader);
    let ending = OwnRuntime::new()?.block_on(record_verdicts(&args.ledger, &verdicts, reason, &env))?;
    Ok(Some(Summary::of_ending(&ending, context.invocation, false)))
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

/// Prints what to look for in the portal, row by row.
fn list(reader: &Reader, args: &SettleArgs, invocation: &Invocation, as_json: bool) -> Result<Summary, Failure> {
    let wire = app::wire_of(reader.run());
    let zone = TimeZone::system();
    let (mut n_rows, mut listed, mut first) = (0, Vec::new(), None);
    let mut after = 0;
    loop {
        let page = reader.in_doubt(after, PAGE)?;
        let Some(last) = page.last() else { break };
        after = last.row.get();
        let is_open = |row: &&DoubtfulRow| row.code != Some(ErrorCode::Contradicted);
        first = first.or_else(|| page.iter().find(is_open).map(|row| row.row));
        for row in &page {
            let known = reader.page(row.row.get() - 1, 1, &[])?.pop();
            if as_json {
                listed.push(as_object(row, known.as_ref(), &wire));
            } else {
                output::result(&described(row, known, reader, &wire, &zone))?;
            }
            n_rows += 1;
        }
    }
    let summary = Summary::new(Exit::Done, format!("{} in doubt", rows(n_rows))).with("in_doubt", n_rows);
    let summary = if as_json { summary.with("rows_in_doubt", listed) } else { summary };
    if let Some(wait) = stored::while_busy(reader, &args.ledger, &["--list"], invocation)? {
        return Ok(summary.with_next(wait));
    }
    let ending = Ending::of(reader, &args.ledger)?;
    let mut next = about_contradicted(&ending, invocation).into_iter().collect::<Vec<_>>();
    if let Some(first) = first.map(|row| row.to_string()) {
        // The request is read from the server, which the command that sent rows knew how to find.
        let recorded = ending.last_sent_by.as_deref().and_then(Invocation::parse);
        let created = Piece::asking("settle", &args.ledger, &["--row", &first, "--created", "UUID"]);
        let created = invocation.way(recorded.as_ref()).shown_next(&Next(vec![created]));
        let absent = ["--row", &first, "--not-created", "--reason", "TEXT"];
        let absent = invocation.shown_next(&Next::on_ledger("settle", &args.ledger, &absent));
        next.push(format!(
            "look for each in the CM portal, then of each that is there: {created}; or, of one that is not: {absent}"
        ));
    }
    Ok(if next.is_empty() { summary } else { summary.with_next(next.join("; then ")) })
}

/// Returns what is known of a row in doubt, in lines of at most 80 columns but for long texts of the row itself.
fn described(row: &DoubtfulRow, known: Option<ResultRow>, reader: &Reader, wire: &Wire, zone: &TimeZone) -> String {
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
    let busy_until = row.recorded_at.checked_add(SLACK).ok().filter(|until| *until > Timestamp::now());
    let busy_until = busy_until.map(|until| until.to_zoned_datetime(zone.clone()).strftime("%H:%M:%S").to_string());
    add("", busy_until.map(|until| format!("(the server may be at work on it until {until}: look again then)")));
    let said = known.as_ref().and_then(|row| row.error_message.as_deref());
    let why = row.code.map(|code| code.meaning().to_owned()).into_iter().chain(said.map(printable));
    let why: Vec<String> = why.flat_map(|text| wrapped(&text, WIDTH)).collect();
    add("why", Some(why.join(&format!("\n{:12}", ""))));
    for note in known.into_iter().flat_map(|row| row.notes.to_vec()) {
        add(&printable(&note.name), Some(printable(&note.value)));
    }
    lines.push(String::new());
    lines.push(String::new());
    lines.join("\n")
}

/// Returns the same for scripts.
fn as_object(row: &DoubtfulRow, known: Option<&ResultRow>, wire: &Wire) -> Value {
    let request = &row.request;
    let text = |guid: Option<Guid>| guid.map(|guid| guid.to_string());
    json!({
        "row": row.row.get(), "id": row.id, "type": request.kind.as_str(), "profiletemplateuuid": text(request.template),
        "target": text(request.target), "smartcard": text(request.smartcard),
        "comment": wire.comment(row.row, request), "error_code": row.code.map(|code| code.as_str()),
        "error_message": known.and_then(|known| known.error_message.as_deref()),
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
    use crate::ledger::testing::doubtful;

    #[test]
    fn the_time_to_look_for_is_local_and_has_some_slack() {
        let zone = TimeZone::get("Europe/Berlin").unwrap_or(TimeZone::UTC);
        assert_eq!(window(&doubtful(ErrorCode::Timeout), &TimeZone::UTC), "2026-03-01 08:00:00 to 08:04:40 UTC");
        assert!(window(&doubtful(ErrorCode::Timeout), &zone).starts_with("2026-03-01 "));
    }
}
