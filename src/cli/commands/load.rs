//! Checked rows become a ledger: all of them, or none.

use std::path::Path;

use super::check::Checked;
use super::submit::Context;
use crate::cli::failure::Failure;
use crate::ledger::{CreateError, InvalidItem, Item, Ledger, LoadRow, ManifestPart, RowPlace, RunIdentity};
use crate::request::RowId;
use crate::validate::{self, CheckedRow, InvalidRow, Rules, Survey, ValidRow};

/// Makes the ledger of a run with all its rows.
pub(crate) fn create(
    path: &Path,
    identity: &RunIdentity,
    context: &Context<'_>,
    rules: &Rules,
    checked: &Checked,
) -> Result<Ledger, Failure> {
    let survey = &checked.survey;
    let created = Ledger::create(path, identity, &context.session, |loader| {
        validate::deliver(&checked.manifests, rules, survey, |row| -> Result<(), Failure> {
            Ok(loader.add(load_row(row))?)
        })?;
        Ok::<_, Failure>(parts(survey))
    });
    created.map_err(|error| match error {
        CreateError::Ledger(error) => error.into(),
        CreateError::Feed(failure) => Failure { message: format!("{}; nothing was sent", failure.message), ..failure }
            .with_next(context.invocation.again()),
    })
}

fn parts(survey: &Survey) -> Vec<ManifestPart> {
    let part = |(place, digest): (usize, &validate::PartDigest)| {
        Some(ManifestPart {
            part: u32::try_from(place).ok()?.checked_add(1)?,
            name: digest.name.clone(),
            size_bytes: digest.size_bytes,
            sha256: digest.sha256,
            first_row: RowId::new(digest.first_row)?,
            n_rows: digest.n_rows,
        })
    };
    // Rows are numbered from 1 and parts are few, so no part is lost here.
    survey.parts.iter().enumerate().filter_map(part).collect()
}

fn load_row(row: CheckedRow<'_>) -> LoadRow {
    match row {
        CheckedRow::Valid(row) => LoadRow::Item(Box::new(item(row, None))),
        CheckedRow::Skipped(row, reason) => LoadRow::Item(Box::new(item(row, Some(reason)))),
        CheckedRow::Invalid(row) => LoadRow::Invalid(Box::new(invalid_item(&row))),
    }
}

fn item(row: ValidRow, skipped: Option<String>) -> Item {
    Item {
        row: row.row,
        place: RowPlace { part: row.part, part_row: row.part_row, line: row.line },
        id: row.id,
        request: row.request,
        notes: row.notes,
        skipped,
    }
}

fn invalid_item(row: &InvalidRow<'_>) -> InvalidItem {
    InvalidItem {
        row: row.row,
        place: RowPlace { part: row.part, part_row: row.part_row, line: row.line },
        original_json: row.original_json(),
        errors: row.errors(),
    }
}
