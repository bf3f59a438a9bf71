//! New rows against those that a ledger has already: ids and requests that would stand there twice.

use std::collections::{HashMap, HashSet};

use super::check::Checked;
use super::exit::Exit;
use super::failure::Failure;
use super::words::grouped;
use crate::ledger::{Reader, RowState};
use crate::request::{CreateRequest, RowId, printable};
use crate::validate::{self, CheckedRow, OnDuplicate, Rules, ValidRow};

/// How many clashes are told.
const MAX_TOLD: usize = 20;

/// What the new rows of checked manifests repeat.
#[derive(Debug, Default)]
pub(super) struct Repeats {
    /// New rows that are left out, with the row of the ledger that asks for the same.
    skipped: HashMap<RowId, RowId>,
}

impl Repeats {
    /// Returns why a new row is left out, where it is.
    pub(super) fn reason(&self, new: RowId) -> Option<String> {
        self.skipped.get(&new).map(|old| format!("duplicate of row {old}"))
    }

    /// Compares the new rows with those of the ledger that do not stand replaced; `stands_for` names the row of the ledger
    /// that a new row takes the place of.
    pub(super) fn find(
        reader: &Reader,
        checked: &Checked,
        rules: &Rules,
        stands_for: impl Fn(RowId) -> Option<RowId>,
    ) -> Result<Self, Failure> {
        let mut clashes = Vec::new();
        // Corrected rows may exchange what they ask for: what stands replaced after this is nobody's double.
        let mut replaced = HashSet::new();
        let mut known = fingerprints(reader)?;
        known.sort_unstable();
        // A few bytes a row of the ledger; the new rows themselves are kept only where they may repeat one.
        let mut suspects: HashMap<u64, Vec<New>> = HashMap::new();
        validate::deliver(&checked.manifests, rules, &checked.survey, |row| -> Result<(), Failure> {
            let CheckedRow::Valid(row) = row else { return Ok(()) };
            let stands_for = stands_for(row.row);
            replaced.extend(stands_for);
            let new = New { row: row.row, place: place(&row, checked), request: row.request.clone() };
            if let Some(id) = &row.id
                && let Some(old) = reader.row_of_id(id)?
                && stands_for != Some(old)
                && reader.facts(old)?.is_some_and(|facts| facts.state != RowState::Replaced)
            {
                clashes.push(Clash { new: new.clone(), old, same: Same::Id(id.clone()) });
            }
            let print = row.request.fingerprint().number();
            if known.binary_search(&print).is_ok() {
                suspects.entry(print).or_default().push(new);
            }
            Ok(())
        })?;
        if !suspects.is_empty() {
            for_each_standing(reader, |old, request| {
                for new in suspects.get(&request.fingerprint().number()).into_iter().flatten() {
                    if new.asks_for_the_same(request) && !replaced.contains(&old) {
                        clashes.push(Clash { new: new.clone(), old, same: Same::Request });
                    }
                }
            })?;
        }
        judge(clashes, rules.on_duplicate)
    }
}

/// A new row.
#[derive(Clone, Debug)]
struct New {
    row: RowId,
    place: String,
    request: CreateRequest,
}

impl New {
    fn asks_for_the_same(&self, other: &CreateRequest) -> bool {
        let identity = |request: &CreateRequest| (request.kind, request.target, request.template, request.smartcard);
        identity(&self.request) == identity(other)
    }
}

/// Returns `late.csv:14`.
pub(super) fn place(row: &ValidRow, checked: &Checked) -> String {
    let part = checked.survey.parts.get(row.part as usize - 1).map_or("-", |part| part.name.as_str());
    format!("{}:{}", printable(part), row.line)
}

/// What a new row has in common with a row of the ledger.
#[derive(Debug)]
enum Same {
    Request,
    Id(String),
    /// The row itself, with its id.
    Both,
}

#[derive(Debug)]
struct Clash {
    new: New,
    old: RowId,
    same: Same,
}

impl Clash {
    fn line(&self) -> String {
        let Self { new, old, same } = self;
        match same {
            Same::Request => format!(
                "{}:1: error[duplicate-row]: the row asks for the same as row {old} of the ledger; leave it out",
                new.place
            ),
            Same::Both => format!(
                "{}:1: error[duplicate-row]: this is row {old} of the ledger, with the same id; leave it out",
                new.place
            ),
            Same::Id(id) => format!(
                "{}:1: error[duplicate-id]: id \"{}\" is already that of row {old} of the ledger; give the row an id of its own",
                new.place,
                printable(id)
            ),
        }
    }
}

fn judge(clashes: Vec<Clash>, on_duplicate: OnDuplicate) -> Result<Repeats, Failure> {
    let mut repeats = Repeats::default();
    let mut errors = Vec::new();
    for clash in clashes {
        match (&clash.same, on_duplicate) {
            (Same::Request, OnDuplicate::First) => {
                repeats.skipped.entry(clash.new.row).or_insert(clash.old);
            }
            (Same::Request, OnDuplicate::Send) => {}
            (Same::Request, OnDuplicate::Error) | (Same::Id(_) | Same::Both, _) => errors.push(clash),
        }
    }
    if errors.is_empty() {
        return Ok(repeats);
    }
    errors.sort_by_key(|clash| (clash.new.row, clash.old));
    errors.dedup_by(|later, earlier| {
        let is_same = later.new.row == earlier.new.row && later.old == earlier.old;
        if is_same {
            earlier.same = Same::Both;
        }
        is_same
    });
    let n_rows = errors.iter().map(|clash| clash.new.row).collect::<HashSet<_>>().len();
    let mut lines: Vec<String> = errors.iter().take(MAX_TOLD).map(Clash::line).collect();
    if errors.len() > MAX_TOLD {
        lines.push(format!("... and {} more", grouped((errors.len() - MAX_TOLD) as u64)));
    }
    Err(Failure::new(
        Exit::InvalidManifest,
        format!(
            "{} of the new rows stand in the ledger already; nothing was sent\n{}",
            grouped(n_rows as u64),
            lines.join("\n")
        ),
    ))
}

fn fingerprints(reader: &Reader) -> Result<Vec<u64>, Failure> {
    let mut prints = Vec::new();
    for_each_standing(reader, |_, request| prints.push(request.fingerprint().number()))?;
    Ok(prints)
}

/// Shows all valid rows of the ledger that do not stand replaced.
fn for_each_standing(reader: &Reader, mut each: impl FnMut(RowId, &CreateRequest)) -> Result<(), Failure> {
    reader.for_each_row(&[], |row| {
        if let Some(request) = &row.request
            && row.state != RowState::Replaced
        {
            each(row.row, request);
        }
        Ok(())
    })
}
