//! What a ledger says about how its run is sent: for use cases that have no manifest to ask.

use std::collections::{BTreeMap, HashMap};
use std::path::Path;

use super::exit::Exit;
use super::failure::Failure;
use super::next::{Next, Piece};
use crate::ledger::{LedgerError, Reader, ResultRow, RunIdentity, RunInfo, SessionInfo, SessionRecord, TEMPLATE_NAME};
use crate::request::{DataEncoding, Guid, RowId, TagPosition, printable};
use crate::submit::Wire;
use crate::validate::{Defaults, ExtraColumns, OnDuplicate, Rules};

/// Returns the value of an option that shaped the rows of the run.
fn option<'r>(run: &'r RunInfo, name: &str) -> Option<&'r str> {
    run.identity.options.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
}

/// Returns what turns the run's rows into wire bodies.
pub fn wire_of(run: &RunInfo) -> Wire {
    let tag_position = match (option(run, "tag"), option(run, "tag-position")) {
        (Some("no"), _) => TagPosition::None,
        (_, Some("end")) => TagPosition::End,
        _ => TagPosition::Start,
    };
    let data = match option(run, "datacollection") {
        Some("string") => DataEncoding::String,
        _ => DataEncoding::Array,
    };
    Wire { run: run.id, key: run.key.clone(), tag_position, data }
}

/// Returns what the names of templates meant when the run was made.
fn templates_of(run: &RunInfo) -> impl Iterator<Item = (String, Guid)> {
    let of_run =
        |(name, value): &(String, String)| Some((name.strip_prefix(TEMPLATE_NAME)?.to_owned(), value.parse().ok()?));
    run.identity.options.iter().filter_map(of_run)
}

/// Says which names of templates mean another template today than when the run was made.
pub(super) fn renamed_templates(run: &RunInfo, today: &BTreeMap<String, Guid>) -> Vec<String> {
    let note = |(name, then): (String, Guid)| {
        let now = today.iter().find(|(known, now)| known.eq_ignore_ascii_case(&name) && **now != then)?.1;
        Some(format!("template {name} is {then} in this run, and {now} in the configuration: rows keep {then}"))
    };
    templates_of(run).filter_map(note).collect()
}

/// Returns the rules that the run's rows were checked by. What unknown columns were is not the run's: see [`extra_columns_of`].
pub fn rules_of(run: &RunInfo, mut templates: BTreeMap<String, Guid>) -> Rules {
    for (name, guid) in templates_of(run) {
        templates.retain(|today, _| !today.eq_ignore_ascii_case(&name));
        templates.insert(name, guid);
    }
    Rules {
        defaults: Defaults {
            kind: option(run, "type").and_then(|text| text.parse().ok()),
            template: option(run, "template").and_then(|text| text.parse().ok()),
            comment: option(run, "comment").map(str::to_owned),
            priority: option(run, "priority").and_then(|text| text.parse().ok()),
        },
        templates,
        target_self: option(run, "target-self") == Some("yes"),
        on_duplicate: match option(run, "on-duplicate") {
            Some("first") => OnDuplicate::First,
            Some("send") => OnDuplicate::Send,
            _ => OnDuplicate::Error,
        },
        extra_columns: ExtraColumns::Error,
        allow_empty: false,
        profile_property: option(run, "profile-property").map(str::to_owned),
        tagged: option(run, "tag") != Some("no"),
    }
}

/// Returns what unknown columns of corrected rows are: those that a list of the run was allowed to have stand in its rejects.
///
/// # Errors
/// The ledger cannot be read.
pub fn extra_columns_of(reader: &Reader) -> Result<ExtraColumns, LedgerError> {
    let keeps = |session: &SessionRecord| session.info.option(SessionInfo::EXTRA_COLUMNS) == Some("keep");
    Ok(if reader.sessions()?.iter().any(keeps) { ExtraColumns::Keep } else { ExtraColumns::Error })
}

/// Refuses a ledger that another process holds.
///
/// # Errors
/// Another process holds it, or it cannot be read.
pub fn check_free(reader: &Reader, path: &Path) -> Result<(), Failure> {
    match reader.holder()? {
        None => Ok(()),
        Some(holder) => Err(LedgerError::InUse { path: path.to_owned(), holder: Some(Box::new(holder)) }.into()),
    }
}

/// Refuses a run that was loaded and never told to run.
///
/// # Errors
/// It is such a run.
pub fn check_started(run: &RunInfo, path: &Path) -> Result<(), Failure> {
    if run.started_at.is_some() {
        return Ok(());
    }
    Err(Failure::new(
        Exit::Usage,
        format!("the run in {} was loaded and not told to run; nothing was sent", path.display()),
    )
    .with_next(Next(vec![Piece::Command(submits(run, path))])))
}

/// Returns the words of the command that submits the run's lists, as far as the ledger knows them.
pub(super) fn submits(run: &RunInfo, path: &Path) -> Vec<String> {
    let mut words = vec!["submit".to_owned()];
    words.extend(run.parts.iter().map(|part| part.name.clone()));
    words.extend(["--ledger".to_owned(), path.to_string_lossy().into_owned()]);
    let RunIdentity { server, rehearsal, options } = &run.identity;
    words.extend(match rehearsal {
        true => vec!["--simulate".to_owned()],
        false => vec!["--server".to_owned(), server.clone()],
    });
    for (name, value) in options.iter().filter(|(name, _)| !name.starts_with(TEMPLATE_NAME)) {
        match (name.as_str(), value.as_str()) {
            ("tag", "no") => words.push("--no-tag".to_owned()),
            ("target-self", "yes") => words.push("--target-self".to_owned()),
            // What nobody has to say.
            ("tag" | "target-self", _)
            | ("tag-position", "start")
            | ("datacollection", "array")
            | ("on-invalid" | "on-duplicate", "abort" | "error") => {}
            _ => words.extend([format!("--{name}"), value.clone()]),
        }
    }
    words
}

/// Says that a run has no such row; nothing was sent or recorded.
pub(super) fn no_row(reader: &Reader, row: RowId, done: &str) -> Failure {
    let n_rows = reader.run().n_rows();
    Failure::new(Exit::Usage, format!("the run has no row {row}; it has rows 1 to {n_rows}; nothing was {done}"))
}

/// The rows of a run by their ids. Invalid ones have theirs in what was read of them alone.
pub(super) struct RowNames<'r> {
    reader: &'r Reader,
    invalid: Option<HashMap<String, RowId>>,
}

impl<'r> RowNames<'r> {
    pub(super) const fn of(reader: &'r Reader) -> Self {
        Self { reader, invalid: None }
    }

    /// Returns the row with this id; a sound one before an invalid one.
    pub(super) fn find(&mut self, id: &str) -> Result<Option<RowId>, LedgerError> {
        if let Some(row) = self.reader.row_of_id(id)? {
            return Ok(Some(row));
        }
        let invalid = match self.invalid.take() {
            Some(known) => known,
            None => {
                let id_of = |row: ResultRow| Some((row.invalid?.cell("id")?, row.row));
                self.reader.invalid(usize::MAX, &[])?.into_iter().filter_map(id_of).collect()
            }
        };
        Ok(self.invalid.insert(invalid).get(id).copied())
    }
}

/// Returns the row with this id.
///
/// # Errors
/// The run has none; nothing was sent or recorded.
pub(super) fn row_of_id(reader: &Reader, id: &str, done: &str) -> Result<RowId, Failure> {
    RowNames::of(reader).find(id)?.ok_or_else(|| {
        Failure::new(Exit::Usage, format!("--id: the run has no row with id \"{}\"; nothing was {done}", printable(id)))
    })
}
