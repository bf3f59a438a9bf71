//! A part of the rows: `--limit`, `--ids`.

use std::collections::HashSet;
use std::path::Path;

use crate::cli::args::PartArgs;
use crate::cli::exit::Exit;
use crate::cli::failure::Failure;
use crate::cli::output::rows;
use crate::ledger::{Reader, RowState};
use crate::request::{RowId, printable};

/// How many row numbers are read from the ledger at a time.
const PAGE: u32 = 10_000;

/// The rows that are asked for.
#[derive(Debug)]
pub(crate) struct Part {
    limit: Option<usize>,
    ids: Option<Ids>,
}

/// The ids of a file, in its order, with the line of each.
#[derive(Debug)]
struct Ids {
    file: String,
    lines: Vec<(u64, String)>,
    known: HashSet<String>,
}

impl Part {
    /// Reads what the options say; none where they ask for all rows.
    pub(crate) fn read(args: &PartArgs) -> Result<Option<Self>, Failure> {
        if args.limit.is_none() && args.ids.is_none() {
            return Ok(None);
        }
        Ok(Some(Self {
            limit: args.limit.map(|limit| limit.get() as usize),
            ids: args.ids.as_deref().map(Ids::read).transpose()?,
        }))
    }

    /// Returns a filter for rows that are not in a ledger yet, to be asked once for each row that would be sent, in order.
    pub(crate) fn filter(&self) -> impl FnMut(Option<&str>) -> bool {
        let mut left = self.limit.unwrap_or(usize::MAX);
        move |id| {
            let takes =
                left > 0 && self.ids.as_ref().is_none_or(|ids| id.is_some_and(|id| ids.known.contains(id.trim())));
            left -= usize::from(takes);
            takes
        }
    }

    /// Returns the pending rows that are asked for, in row order.
    pub(crate) fn pending(&self, reader: &Reader) -> Result<Vec<RowId>, Failure> {
        let limit = self.limit.unwrap_or(usize::MAX);
        let mut chosen = match &self.ids {
            Some(ids) => ids.pending(reader)?,
            None => pending(reader, limit)?,
        };
        chosen.truncate(limit);
        Ok(chosen)
    }

    /// Leaves of these rows, in row order, those that are asked for.
    pub(crate) fn narrow(&self, reader: &Reader, mut chosen: Vec<RowId>) -> Result<Vec<RowId>, Failure> {
        if let Some(ids) = &self.ids {
            let wanted: HashSet<RowId> = ids.rows(reader)?.into_iter().collect();
            chosen.retain(|row| wanted.contains(row));
        }
        chosen.truncate(self.limit.unwrap_or(usize::MAX));
        Ok(chosen)
    }

    /// Checks that each id of the file is one of the given, of rows that are not in a ledger yet.
    pub(crate) fn check_ids(&self, exists: impl Fn(&str) -> bool) -> Result<(), Failure> {
        match &self.ids {
            Some(ids) => ids
                .lines
                .iter()
                .try_for_each(|(line, id)| if exists(id) { Ok(()) } else { Err(unknown_id(&ids.file, *line, id)) }),
            None => Ok(()),
        }
    }
}

impl Ids {
    fn read(path: &Path) -> Result<Self, Failure> {
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
        let known = lines.iter().map(|(_, id)| id.clone()).collect();
        Ok(Self { file, lines, known })
    }

    fn rows(&self, reader: &Reader) -> Result<Vec<RowId>, Failure> {
        let find = |(line, id): &(u64, String)| reader.row_of_id(id)?.ok_or_else(|| unknown_id(&self.file, *line, id));
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
pub(crate) fn pending(reader: &Reader, limit: usize) -> Result<Vec<RowId>, Failure> {
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

/// Returns the last words of a run that was asked for a part of its rows.
pub(crate) fn left_as_asked(n_left: u64) -> String {
    format!("{} left pending as asked", rows(n_left))
}
