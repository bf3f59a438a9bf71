//! `cmbatch status`.

use std::path::Path;

use serde_json::json;

use crate::app::{Ending, Failure};
use crate::cli::invocation::{Invocation, quoted};
use crate::cli::output;
use crate::cli::summary::Summary;
use crate::ledger::{Reader, RowState, SessionEnd, SessionFate, SessionRecord};
use crate::report::{Counts, Status};
use crate::request::{printable, printable_lines};

/// Shows what became of a run.
pub(crate) fn run(path: &Path, invocation: &Invocation, as_json: bool) -> Result<Summary, Failure> {
    let reader = Reader::open(path)?;
    let status = Status::of(&reader)?;
    let sessions = reader.sessions()?;
    if !as_json {
        let doubt = about_doubt(&status.counts, path);
        let text = format!("{}\n{}{doubt}", heading(&reader, &sessions, reader.holder()?.is_some()), status.table());
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
    let summary = Summary::of_ending(&Ending::of(&reader, path)?, invocation, false)
        .with("server", reader.run().identity.server.clone())
        .with("rehearsal", reader.run().identity.rehearsal)
        .with("reasons", reasons);
    Ok(summary)
}

fn heading(reader: &Reader, sessions: &[SessionRecord], is_held: bool) -> String {
    let run = reader.run();
    let mut lines = vec![format!("run {} against {}", run.id, printable(&run.identity.server))];
    for part in &run.parts {
        lines.push(format!("  manifest {}: {} rows", printable(&part.name), part.n_rows));
    }
    lines.push(format!("  loaded {:.0}", run.created_at));
    for session in sessions.iter().rev().take(3).rev() {
        let how = match &session.fate {
            SessionFate::Open if is_held => "at work now".to_owned(),
            SessionFate::Open => "its process died".to_owned(),
            SessionFate::Died => "its process died".to_owned(),
            SessionFate::Ended { at, end } => format!("{} {at:.0}", how_ended(end)),
        };
        lines.push(format!(
            "  {} by {}@{} (pid {}) {:.0}, {how}",
            session.info.command, session.info.user, session.info.host, session.info.pid, session.info.started_at
        ));
        lines.extend(session.info.account().map(|account| format!("    calls as {}", printable(account))));
    }
    lines.push(String::new());
    lines.join("\n")
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
        "  In doubt: the call was made, and whether the request exists is not known: its\n  \
         answer was not seen, says nothing for certain, or is contradicted. Such a row\n  \
         is never sent again blindly. submit, replay and reconcile look for it in the\n  \
         server's own list of requests; where that settles nothing, a person does:\n  \
         cmbatch settle {ledger} --list\n\n"
    )
}
