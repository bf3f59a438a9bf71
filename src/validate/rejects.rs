//! Rejected rows as a manifest again, to be mended and submitted.

use std::collections::HashMap;
use std::io::Write;

use serde::ser::{Serialize, SerializeMap, Serializer};

use super::cells;
use super::checked::InvalidRow;
use super::columns::{Form, Layout, Role, UNREAD_LINE, role_key};
use super::diagnostic::Diagnostic;
use super::original::Kept;
use super::rule::Rule;
use super::rules::{ExtraColumns, Rules};
use crate::manifest::{Format, Header, Manifest};
use crate::request::RunMark;

/// The column with the row's number in the run it was rejected from.
const ROW: &str = "_row";
/// The column with the mark of that run: a number alone may be taken for that of a row of another one.
const RUN: &str = "_run";
/// The column with what was wrong.
const ERROR: &str = "_error";
/// How an `_error` begins whose row needs a decision: alone in the rejects file it may look like a good one.
pub(super) const UNDECIDED: &str = "UNDECIDED";

/// A rejects file cannot be written.
#[derive(Debug, thiserror::Error)]
pub enum RejectsError {
    /// Some manifests are CSV and others JSONL.
    #[error("the manifests are of both forms, CSV and JSONL, and a rejects file has one; validate them one by one")]
    MixedForms,
    /// What the writer says.
    #[error("the rejects file cannot be written")]
    Write(#[source] std::io::Error),
}

impl From<csv::Error> for RejectsError {
    fn from(error: csv::Error) -> Self {
        Self::Write(error.into())
    }
}

/// Writes rejected rows with their own columns, `_row`, `_run` and `_error`: a manifest again, once the rows are mended.
///
/// CSV manifests give CSV with the columns of all of them; JSONL gives the objects with the two properties added. A row
/// that repeats another one, or that could not be taken apart with certainty (a wrong number of fields, a stray quote), has
/// an `_error` that begins with `UNDECIDED`, and is refused until a person has emptied that cell. The text is UTF-8 without byte order mark.
pub struct RejectsWriter<W: Write> {
    sink: Sink<W>,
    /// The mark of the run, empty where there is none.
    run: String,
}

enum Sink<W: Write> {
    Csv {
        csv: Box<csv::Writer<W>>,
        /// How many columns there are, `_row`, `_run` and `_error` left out.
        n_columns: usize,
        /// For each manifest, the place of each of its columns; none for `_row`, `_run` and `_error` of its own.
        places: Vec<Vec<Option<usize>>>,
    },
    Jsonl(W),
}

impl<W: Write> RejectsWriter<W> {
    /// Starts a rejects file for rows of these manifests, as rows of this run; none where there is none yet.
    ///
    /// # Errors
    ///
    /// [`RejectsError::MixedForms`] where some are CSV and others JSONL; [`RejectsError::Write`].
    pub fn new(manifests: &[Manifest], run: Option<RunMark>, writer: W) -> Result<Self, RejectsError> {
        let header = |manifest| match Manifest::format(manifest) {
            Format::Csv => Some(manifest.header().map_or(&[][..], Header::names)),
            Format::Jsonl => None,
        };
        let headers: Vec<_> = manifests.iter().map(header).collect();
        let run = run.map(|run| run.to_string()).unwrap_or_default();
        Ok(Self { sink: Sink::with_headers(&headers, writer)?, run })
    }

    /// Writes one row.
    ///
    /// # Errors
    ///
    /// [`RejectsError::Write`].
    pub fn write(&mut self, row: &InvalidRow<'_>) -> Result<(), RejectsError> {
        let error = what_is_wrong(&row.diagnostics);
        match &mut self.sink {
            Sink::Csv { csv, n_columns, places } => {
                let places = places.get(row.part as usize - 1).map(Vec::as_slice).unwrap_or_default();
                Ok(csv.write_record(csv_record(row, *n_columns, places, [&self.run, &error]))?)
            }
            Sink::Jsonl(writer) => {
                let mut line = serde_json::to_vec(&JsonReject { row, run: &self.run, error: &error })
                    .expect("strings always serialize");
                line.push(b'\n');
                writer.write_all(&line).map_err(RejectsError::Write)
            }
        }
    }

    /// Writes what is buffered and gives the writer back.
    ///
    /// # Errors
    ///
    /// [`RejectsError::Write`].
    pub fn finish(self) -> Result<W, RejectsError> {
        match self.sink {
            Sink::Csv { csv, .. } => csv.into_inner().map_err(|error| RejectsError::Write(error.into_error())),
            Sink::Jsonl(mut writer) => {
                writer.flush().map_err(RejectsError::Write)?;
                Ok(writer)
            }
        }
    }
}

impl<W: Write> Sink<W> {
    fn with_headers(headers: &[Option<&[String]>], writer: W) -> Result<Self, RejectsError> {
        let csv_headers: Vec<&[String]> = headers.iter().copied().flatten().collect();
        if csv_headers.is_empty() {
            return Ok(Self::Jsonl(writer));
        }
        if csv_headers.len() < headers.len() {
            return Err(RejectsError::MixedForms);
        }
        let mut columns = Vec::new();
        let places = union(&csv_headers, &mut columns);
        let mut csv = csv::WriterBuilder::new().flexible(true).from_writer(writer);
        csv.write_record(columns.iter().map(String::as_str).chain([ROW, RUN, ERROR]))?;
        Ok(Self::Csv { csv: Box::new(csv), n_columns: columns.len(), places })
    }
}

/// Collects the columns of all headers, each once: two spellings of one column are one, as the rules see it.
fn union(headers: &[&[String]], columns: &mut Vec<String>) -> Vec<Vec<Option<usize>>> {
    let mut known: HashMap<String, usize> = HashMap::new();
    let keep = Rules { extra_columns: ExtraColumns::Keep, ..Rules::default() };
    let mut place_all = |names: &[String]| {
        let layout = Layout::resolve(Form::Csv, names.iter().map(String::as_str), &keep);
        let mut used = vec![false; columns.len() + names.len()];
        layout
            .names
            .iter()
            .zip(&layout.roles)
            .map(|(name, role)| {
                if *role == Role::Ignored {
                    return None;
                }
                // A faulty column keeps its name, and with it its fault.
                let key = role_key(role, name).unwrap_or_else(|| format!("?{name}"));
                let place = match known.get(&key) {
                    Some(place) if !used[*place] => *place,
                    Some(_) | None => {
                        columns.push(name.clone());
                        known.insert(key, columns.len() - 1);
                        columns.len() - 1
                    }
                };
                used[place] = true;
                Some(place)
            })
            .collect()
    };
    headers.iter().map(|names| place_all(names)).collect()
}

/// Returns all that is wrong with a row, for its `_error` cell.
fn what_is_wrong(diagnostics: &[Diagnostic]) -> String {
    if diagnostics.is_empty() {
        return "the header line is at fault".to_owned();
    }
    let texts: Vec<_> = diagnostics.iter().map(|found| format!("{}; {}", found.message, found.help)).collect();
    let text = texts.join(" | ");
    if diagnostics.iter().any(|found| needs_decision(found.rule)) { format!("{UNDECIDED}: {text}") } else { text }
}

fn csv_record(row: &InvalidRow<'_>, n_columns: usize, places: &[Option<usize>], behind: [&str; 2]) -> Vec<String> {
    let mut record = vec![String::new(); n_columns];
    let mut surplus = Vec::new();
    match row.original.kept {
        Kept::Csv(fields) => {
            for (column, bytes) in fields.iter().enumerate() {
                match places.get(column) {
                    Some(Some(place)) => record[*place] = cells::text(bytes).into_owned(),
                    Some(None) => {}
                    None => surplus.push(cells::text(bytes).into_owned()),
                }
            }
        }
        Kept::Line(bytes) => match record.first_mut() {
            Some(first) => *first = cells::text(bytes).into_owned(),
            None => surplus.push(cells::text(bytes).into_owned()),
        },
        // Not met: a CSV manifest has no JSON rows.
        Kept::Json(_) => {}
    }
    record.push(row.row.to_string());
    record.extend(behind.map(str::to_owned));
    record.append(&mut surplus);
    record
}

/// Returns whether the row may look right in the rejects file and be wrong: it repeats another row, which is not in the
/// file, or it is uncertain where its fields begin and end.
const fn needs_decision(rule: Rule) -> bool {
    matches!(
        rule,
        Rule::DuplicateRow
            | Rule::DuplicateId
            | Rule::FieldCount
            | Rule::StrayQuote
            | Rule::UnclosedQuote
            | Rule::TooLong
            | Rule::UndecodableByte
            | Rule::UndecidedReject
    )
}

struct JsonReject<'a> {
    row: &'a InvalidRow<'a>,
    run: &'a str,
    error: &'a str,
}

impl Serialize for JsonReject<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        match self.row.original.kept {
            Kept::Json(properties) => {
                for (name, value) in properties {
                    if ![ROW, RUN, ERROR].iter().any(|own| name.eq_ignore_ascii_case(own)) {
                        map.serialize_entry(name, value)?;
                    }
                }
            }
            Kept::Line(bytes) => map.serialize_entry(UNREAD_LINE, &cells::text(bytes))?,
            // Not met: a JSONL manifest has no CSV rows.
            Kept::Csv(_) => {}
        }
        map.serialize_entry(ROW, &self.row.row.get())?;
        map.serialize_entry(RUN, self.run)?;
        map.serialize_entry(ERROR, self.error)?;
        map.end()
    }
}

#[cfg(test)]
mod tests;
