//! A part of the rows: the first ones, or those with certain ids.

use std::collections::HashSet;
use std::path::Path;

use super::exit::Exit;
use super::failure::Failure;
use super::stored::RowNames;
use crate::ledger::{Reader, RowState};
use crate::request::{RowId, printable};

/// How many row numbers are read from the ledger at a time.
const PAGE: u32 = 10_000;

/// A part of the rows: those that are asked for.
#[derive(Debug)]
pub struct Part {
    /// At most so many.
    pub limit: Option<usize>,
    /// Only those with these ids.
    pub ids: Option<Ids>,
}

/// The ids of a file, in its order, with the line of each.
#[derive(Debug)]
pub struct Ids {
    file: String,
    lines: Vec<(u64, String)>,
}

impl Part {
    /// Returns the pending rows that are asked for, in row order.
    pub(super) fn pending(&self, reader: &Reader) -> Result<Vec<RowId>, Failure> {
        let limit = self.limit.unwrap_or(usize::MAX);
        let mut chosen = match &self.ids {
            Some(ids) => ids.pending(reader)?,
            None => pending(reader, limit)?,
        };
        chosen.truncate(limit);
        Ok(chosen)
    }

    /// Leaves of these rows, in row order, those that are asked for.
    pub(super) fn narrow(&self, reader: &Reader, mut chosen: Vec<RowId>) -> Result<Vec<RowId>, Failure> {
        if let Some(ids) = &self.ids {
            let wanted: HashSet<RowId> = ids.rows(reader)?.into_iter().collect();
            chosen.retain(|row| wanted.contains(row));
        }
        chosen.truncate(self.limit.unwrap_or(usize::MAX));
        Ok(chosen)
    }
}

impl Ids {
    /// Reads a file of ids, one a line.
    ///
    /// # Errors
    /// It cannot be read, or holds none.
    pub fn read(path: &Path) -> Result<Self, Failure> {
        let file = path.display().to_string();
        let text = std::fs::read_to_string(path)
            .map_err(|error| Failure::new(Exit::Usage, format!("--ids: {file} cannot be read: {error}")))?;
        let text = text.strip_prefix('\u{feff}').unwrap_or(&text);
        let lines: Vec<(u64, String)> = (1..)
            .zip(text.lines())
            .map(|(line, id)| (line, id.trim().to_owned()))
            .filter(|(_, id)| !id.is_empty())
            .collect();
        if lines.is_empty() {
            return Err(Failure::new(Exit::Usage, format!("--ids: {file} holds no id; write one id a line")));
        }
        Ok(Self { file, lines })
    }

    pub(super) fn rows(&self, reader: &Reader) -> Result<Vec<RowId>, Failure> {
        let mut names = RowNames::of(reader);
        let find = |(line, id): &(u64, String)| names.find(id)?.ok_or_else(|| unknown_id(&self.file, *line, id));
        let mut found = self.lines.iter().map(find).collect::<Result<Vec<RowId>, Failure>>()?;
        found.sort_unstable();
        found.dedup();
        Ok(found)
    }

    fn pending(&self, reader: &Reader) -> Result<Vec<RowId>, Failure> {
        let mut found = Vec::new();
        for row in self.rows(reader)? {
            if reader.facts(row)?.is_some_and(|facts| facts.state == RowState::Pending) {
                found.push(row);
            }
        }
        Ok(found)
    }
}

fn unknown_id(file: &str, line: u64, id: &str) -> Failure {
    let id = printable(id);
    Failure::new(Exit::Usage, format!("{file}:{line}: the run has no row with id \"{id}\"; nothing was sent"))
}

/// Returns up to `limit` pending rows, in row order.
pub(super) fn pending(reader: &Reader, limit: usize) -> Result<Vec<RowId>, Failure> {
    let mut found: Vec<RowId> = Vec::new();
    loop {
        let after = found.last().map_or(0, |row| row.get());
        let page = reader.pending(after, PAGE)?;
        let is_last = page.is_empty();
        found.extend(page);
        if is_last || found.len() >= limit {
            found.truncate(limit);
            return Ok(found);
        }
    }
}
