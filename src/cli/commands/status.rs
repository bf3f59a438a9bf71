//! `cmbatch status`.

use std::path::Path;

use serde_json::{Value, json};

use super::stored;
use crate::app::{Ending, Failure};
use crate::cli::invocation::{Invocation, quoted};
use crate::cli::output::{self, rows};
use crate::cli::summary::Summary;
use crate::ledger::{Reader, RowState, SessionEnd, SessionFate, SessionInfo, SessionRecord};
use crate::report::{Counts, Status, wrapped};
use crate::request::{printable, printable_lines};

/// How many sessions are shown, the last ones.
const MAX_SESSIONS: usize = 3;

/// Shows what became of a run.
pub(crate) fn run(path: &Path, invocation: &Invocation, as_json: bool) -> Result<Summary, Failure> {
    let reader = Reader::open(path)?;
    let status = Status::of(&reader)?;
    let sessions = reader.sessions()?;
    let is_held = reader.holder()?.is_some();
    if !as_json {
        let doubt = about_doubt(&status.counts, path);
        let text = format!("{}\n{}{doubt}", heading(&reader, path, &sessions, is_held), status.table());
        output::result(&printable_lines(&text))?;
    }
    let reasons: Vec<serde_json::Value> = status
        .reasons
        .iter()
        .map(|reason| {
            json!({
                "state": reason.state.as_str(), "error_code": reason.code.map(|code| code.as_str()), "rows": reason.n_rows,
                "example_row": reason.example.map(|row| row.get()), "example_id": reason.example_id, "message": reason.message,
            })
        })
        .collect();
    let invalid: Vec<serde_json::Value> =
        status.invalid.iter().map(|row| json!({ "row": row.row.get(), "id": row.id, "errors": row.errors })).collect();
    let summary = Summary::of_ending(&Ending::of(&reader, path)?, invocation, false)
        .with("server", reader.run().identity.server.clone())
        .with("rehearsal", reader.run().identity.rehearsal)
        .with("reasons", reasons)
        .with("invalid_rows", invalid)
        .with("sessions", sessions.iter().map(|session| as_object(session, is_held)).collect::<Vec<_>>());
    Ok(match stored::while_busy(&reader, path, &[], invocation)? {
        Some(wait) => summary.with_next(wait),
        None => summary,
    })
}

fn heading(reader: &Reader, path: &Path, sessions: &[SessionRecord], is_held: bool) -> String {
    let run = reader.run();
    let mut lines = vec![format!("run {}", run.id), format!("  server {}", printable(&run.identity.server))];
    for part in &run.parts {
        lines.push(format!("  manifest {}: {}", printable(&part.name), rows(part.n_rows.into())));
    }
    lines.push(format!("  loaded {:.0}", run.created_at));
    let n_earlier = sessions.len().saturating_sub(MAX_SESSIONS);
    if n_earlier > 0 {
        let were = if n_earlier == 1 {
            "1 earlier session is".to_owned()
        } else {
            format!("{n_earlier} earlier sessions are")
        };
        let ledger = quoted(&path.to_string_lossy());
        lines.push(format!("  {were} in \"sessions\" of: cmbatch status {ledger} --json"));
    }
    for session in &sessions[n_earlier..] {
        let SessionInfo { command, user, host, pid, started_at, .. } = &session.info;
        lines.push(format!("  {command} by {}@{} (pid {pid}) {started_at:.0}", printable(user), printable(host)));
        let account = session.info.account().map(|account| format!("calls as {}", printable(account)));
        let told = std::iter::once(how_it_ended(session, is_held)).chain(account);
        lines.extend(told.flat_map(|text| wrapped(&text, 76)).map(|line| format!("    {line}")));
    }
    lines.push(String::new());
    lines.join("\n")
}

fn how_it_ended(session: &SessionRecord, is_held: bool) -> String {
    match &session.fate {
        SessionFate::Open if is_held => "at work now".to_owned(),
        SessionFate::Open | SessionFate::Died => "its process died".to_owned(),
        SessionFate::Ended { at, end } => format!("{} {at:.0}", how_ended(end)),
    }
}

/// Returns what is recorded of a session, for scripts.
fn as_object(session: &SessionRecord, is_held: bool) -> Value {
    let SessionInfo { command, user, host, pid, started_at, .. } = &session.info;
    let ended_at = match &session.fate {
        SessionFate::Open | SessionFate::Died => None,
        SessionFate::Ended { at, .. } => Some(at.to_string()),
    };
    json!({
        "command": command, "user": user, "host": host, "pid": pid, "account": session.info.account(),
        "command_line": session.info.option(SessionInfo::COMMAND_LINE), "started_at": started_at.to_string(), "ended_at": ended_at,
        "end": how_it_ended(session, is_held),
    })
}

fn how_ended(end: &SessionEnd) -> String {
    match end {
        SessionEnd::Finished => "finished".to_owned(),
        SessionEnd::Stopped(reason) => format!("stopped ({})", printable(reason)),
        SessionEnd::Interrupted => "interrupted".to_owned(),
    }
}

/// Returns what being in doubt means for the person who reads it; nothing where no row is.
fn about_doubt(counts: &Counts, path: &Path) -> String {
    if counts.get(RowState::InDoubt) == 0 {
        return String::new();
    }
    let ledger = quoted(&path.to_string_lossy());
    format!(
        "\n  In doubt: the call was made, and whether the request exists is not known: its\n  \
         answer was not seen, says nothing for certain, or is contradicted. Such a row\n  \
         is never sent again blindly. submit, replay and reconcile look for it in the\n  \
         server's own list of requests; where that settles nothing, a person does:\n  \
         cmbatch settle {ledger} --list\n\n"
    )
}
