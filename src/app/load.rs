//! Checked rows become a ledger, or a further part of one: all of them, or none.

use std::path::Path;

use super::check::Checked;
use super::exit::Exit;
use super::failure::Failure;
use super::next::Next;
use crate::ledger::{
    CreateError, InvalidItem, Item, Ledger, LoadRow, Loader, ManifestPart, RowPlace, RunIdentity, RunInfo, SessionInfo,
};
use crate::machine::Machine;
use crate::request::RowId;
use crate::validate::{self, CheckedRow, InvalidRow, Rules, Survey, ValidRow};

/// Says of a sound row why it is left out, where it is.
pub(super) struct LeftOut<'a>(pub(super) &'a dyn Fn(&ValidRow) -> Option<String>);

/// Makes the ledger of a run with all its rows.
pub(super) fn create(
    machine: &Machine,
    path: &Path,
    identity: &RunIdentity,
    session: &SessionInfo,
    rules: &Rules,
    checked: &Checked,
) -> Result<Ledger, Failure> {
    let left_out = LeftOut(&|_| None);
    let created = Ledger::create(machine, path, identity, session, |loader| {
        feed(loader, rules, checked, Behind::default(), &left_out, &|_| None)
    });
    created.map_err(not_loaded)
}

/// Takes further manifests into a ledger, behind the rows that it has; some may take the place of those.
pub(super) fn append(
    machine: &Machine,
    path: &Path,
    session: &SessionInfo,
    rules: &Rules,
    checked: &Checked,
    left_out: LeftOut<'_>,
    stands_for: &dyn Fn(RowId) -> Option<RowId>,
) -> Result<Ledger, Failure> {
    let appended = Ledger::open_and_append(machine, path, session, |loader, run| {
        feed(loader, rules, checked, Behind::of(run), &left_out, stands_for)
    });
    appended.map_err(not_loaded)
}

/// What stands in a ledger before new rows.
#[derive(Clone, Copy, Default)]
struct Behind {
    n_rows: u32,
    n_parts: u32,
}

impl Behind {
    fn of(run: &RunInfo) -> Self {
        // Rows are numbered in 32 bits, and parts are fewer.
        let n_rows = u32::try_from(run.n_rows()).unwrap_or(u32::MAX);
        Self { n_rows, n_parts: u32::try_from(run.parts.len()).unwrap_or(u32::MAX) }
    }

    fn row(self, row: RowId) -> Result<RowId, Failure> {
        let number = row.get().checked_add(self.n_rows).and_then(RowId::new);
        number.ok_or_else(|| Failure::new(Exit::Usage, "the ledger would have more than 4,294,967,295 rows"))
    }
}

fn feed(
    loader: &mut Loader,
    rules: &Rules,
    checked: &Checked,
    behind: Behind,
    left_out: &LeftOut<'_>,
    stands_for: &dyn Fn(RowId) -> Option<RowId>,
) -> Result<Vec<ManifestPart>, Failure> {
    let survey = &checked.survey;
    validate::deliver(&checked.manifests, rules, survey, |row| -> Result<(), Failure> {
        let number = match &row {
            CheckedRow::Valid(row) | CheckedRow::Skipped(row, _) => row.row,
            CheckedRow::Invalid(row) => row.row,
        };
        let new = behind.row(number)?;
        loader.add(load_row(row, new, behind.n_parts, left_out))?;
        if let Some(old) = stands_for(number) {
            loader.replace(old, new)?;
        }
        Ok(())
    })?;
    parts(survey, behind)
}

fn not_loaded(error: CreateError<Failure>) -> Failure {
    match error {
        CreateError::Ledger(error) => error.into(),
        CreateError::Feed(failure) => {
            Failure { message: format!("{}; nothing was sent", failure.message), ..failure }.with_next(Next::again())
        }
    }
}

fn parts(survey: &Survey, behind: Behind) -> Result<Vec<ManifestPart>, Failure> {
    let mut parts = Vec::new();
    for (number, digest) in (behind.n_parts.saturating_add(1)..).zip(&survey.parts) {
        let first =
            RowId::new(digest.first_row).ok_or_else(|| Failure::new(Exit::Usage, "a manifest has no first row"))?;
        parts.push(ManifestPart {
            part: number,
            name: digest.name.clone(),
            size_bytes: digest.size_bytes,
            sha256: digest.sha256,
            first_row: behind.row(first)?,
            n_rows: digest.n_rows,
        });
    }
    Ok(parts)
}

fn load_row(row: CheckedRow<'_>, number: RowId, n_parts: u32, left_out: &LeftOut<'_>) -> LoadRow {
    match row {
        CheckedRow::Valid(row) => {
            let reason = (left_out.0)(&row);
            LoadRow::Item(Box::new(item(row, number, n_parts, reason)))
        }
        CheckedRow::Skipped(row, reason) => LoadRow::Item(Box::new(item(row, number, n_parts, Some(reason)))),
        CheckedRow::Invalid(row) => LoadRow::Invalid(Box::new(invalid_item(&row, number, n_parts))),
    }
}

fn item(row: ValidRow, number: RowId, n_parts: u32, skipped: Option<String>) -> Item {
    Item {
        row: number,
        place: RowPlace { part: n_parts + row.part, part_row: row.part_row, line: row.line },
        id: row.id,
        request: row.request,
        notes: row.notes,
        skipped,
    }
}

fn invalid_item(row: &InvalidRow<'_>, number: RowId, n_parts: u32) -> InvalidItem {
    InvalidItem {
        row: number,
        place: RowPlace { part: n_parts + row.part, part_row: row.part_row, line: row.line },
        original_json: row.original_json(),
        errors: row.errors(),
    }
}
