//! Exports: every row with what became of it.

use std::io::{self, Write};

use serde_json::{Map, Value as Json};

use super::columns::{Names, RESULT_COLUMNS, Value, values};
use crate::ledger::{LedgerError, Reader, ResultRow, RowState};

/// Why an export broke off.
#[derive(Debug, thiserror::Error)]
pub enum ExportError {
    /// The ledger could not be read.
    #[error(transparent)]
    Ledger(#[from] LedgerError),
    /// The output could not be written.
    #[error("the export cannot be written: {0}")]
    Output(#[from] io::Error),
    /// The output could not be written as CSV.
    #[error("the export cannot be written: {0}")]
    Csv(#[from] csv::Error),
}

impl ExportError {
    /// Returns whether the reader of the output went away, which is no error.
    pub fn is_closed_pipe(&self) -> bool {
        let closed = |error: &io::Error| error.kind() == io::ErrorKind::BrokenPipe;
        match self {
            Self::Output(error) => closed(error),
            Self::Csv(error) => matches!(error.kind(), csv::ErrorKind::Io(error) if closed(error)),
            Self::Ledger(_) => false,
        }
    }
}

/// Calls `each` for every row in these states (all, where none is named), in row order.
pub(super) fn for_each_row(
    reader: &Reader,
    states: &[RowState],
    mut each: impl FnMut(ResultRow) -> Result<(), ExportError>,
) -> Result<(), ExportError> {
    reader.for_each_row(states, |row| each(named(row)))
}

/// Gives an invalid row the id and the notes of its original, so that people find it again.
fn named(mut row: ResultRow) -> ResultRow {
    let Some(invalid) = &row.invalid else { return row };
    for (name, value) in invalid.cells() {
        match name.split_once('.') {
            None if name.eq_ignore_ascii_case("id") => row.id = Some(value),
            Some((prefix, note)) if prefix.eq_ignore_ascii_case("note") => row.notes.push(note, &value),
            None | Some(_) => {}
        }
    }
    row
}

/// Writes the results as CSV: the result columns, then the `note.` columns. Returns how many rows were written.
///
/// Cells that a spreadsheet would run as a formula get an apostrophe in front.
///
/// # Errors
/// Where the ledger cannot be read or the output not be written; rows written before stay written.
pub fn results_csv(reader: &Reader, states: &[RowState], out: impl Write) -> Result<u64, ExportError> {
    let mut notes = Names::default();
    for_each_row(reader, states, |row| {
        notes.see(&row.notes);
        Ok(())
    })?;
    let mut csv = csv::WriterBuilder::new().terminator(csv::Terminator::CRLF).from_writer(out);
    let header = RESULT_COLUMNS.iter().map(ToString::to_string);
    csv.write_record(header.chain(notes.all().iter().map(|name| defused(&format!("note.{name}")))))?;
    let mut n_rows = 0;
    for_each_row(reader, states, |row| {
        for value in values(&row) {
            match value {
                Value::None => csv.write_field("")?,
                Value::Text(text) => csv.write_field(defused(&text))?,
                Value::Number(number) => csv.write_field(number.to_string())?,
            }
        }
        for note in notes.values(&row.notes) {
            csv.write_field(defused(&note))?;
        }
        csv.write_record(None::<&[u8]>)?;
        n_rows += 1;
        Ok(())
    })?;
    csv.flush()?;
    Ok(n_rows)
}

/// Writes the results as JSON, one object a line, with the names of the CSV columns; what is missing is `null`.
/// Returns how many rows were written.
///
/// # Errors
/// As [`results_csv`].
pub fn results_jsonl(reader: &Reader, states: &[RowState], mut out: impl Write) -> Result<u64, ExportError> {
    let mut n_rows = 0;
    for_each_row(reader, states, |row| {
        let mut object = Map::new();
        for (name, value) in RESULT_COLUMNS.iter().zip(values(&row)) {
            let value = match value {
                Value::None => Json::Null,
                Value::Text(text) => Json::String(text),
                Value::Number(number) => number.into(),
            };
            object.insert((*name).to_owned(), value);
        }
        row.notes.for_each(|name, value| {
            object.insert(format!("note.{name}"), value.into());
        });
        serde_json::to_writer(&mut out, &object).map_err(io::Error::from)?;
        out.write_all(b"\n")?;
        n_rows += 1;
        Ok(())
    })?;
    out.flush()?;
    Ok(n_rows)
}

/// Returns a cell that no spreadsheet runs as a formula (OWASP, CSV injection).
fn defused(text: &str) -> String {
    if text.starts_with(['=', '+', '-', '@', '\t', '\r', '\n', '\u{ff1d}', '\u{ff0b}', '\u{ff0d}', '\u{ff20}']) {
        format!("'{text}")
    } else {
        text.to_owned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn formulas_are_defused() {
        for formula in ["=1+1", "+49 30", "-1", "@SUM(A1)", "\t=1"] {
            assert_eq!(defused(formula), format!("'{formula}"));
        }
        assert_eq!(defused("a=1"), "a=1");
        assert_eq!(defused(""), "");
    }
}
