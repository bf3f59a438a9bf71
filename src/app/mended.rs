//! Corrected rows that take the place of failed or invalid ones.

use std::collections::{BTreeMap, HashMap};
use std::path::Path;

use super::check::Checked;
use super::exit::Exit;
use super::failure::Failure;
use super::known::{Repeats, place};
use super::load::{self, LeftOut};
use super::next::{Next, Piece};
use super::stopped_by::StoppedBy;
use super::stored::RowNames;
use super::words::grouped;
use crate::ledger::{Ledger, Reader, RowState, SessionInfo};
use crate::machine::Machine;
use crate::request::{RequestType, RowId, RunMark, printable};
use crate::validate::{self, CheckedRow, Rules, ValidRow};

/// How many faults are told.
const MAX_TOLD: usize = 20;

/// A corrected manifest whose rows are matched with rows of the ledger.
pub(super) struct Mended<'a> {
    checked: &'a Checked,
    rules: &'a Rules,
    /// The ledger, as it was named.
    ledger: &'a Path,
    /// The row of the ledger that each row of the manifest stands for, by its number in the manifest.
    stands_for: HashMap<RowId, RowId>,
    by_type: BTreeMap<RequestType, u64>,
    /// The manifest is in the ledger already, with its rows from this number on.
    first_row: Option<RowId>,
}

/// Finds for each row of a manifest the one that it stands for.
pub(super) fn read<'a>(
    checked: &'a Checked,
    rules: &'a Rules,
    ledger: &'a Path,
    reader: &Reader,
) -> Result<Mended<'a>, Failure> {
    let first_part = checked.survey.parts.first();
    let first_row = first_part.and_then(|part| reader.run().part_of(&part.sha256).map(|known| known.first_row));
    let (stands_for, by_type) = (HashMap::new(), BTreeMap::new());
    let mut mended = Mended { checked, rules, ledger, stands_for, by_type, first_row };
    mended.match_again(reader)?;
    Ok(mended)
}

impl Mended<'_> {
    pub(super) fn n_rows(&self) -> u64 {
        self.by_type.values().sum()
    }

    /// Returns whether the ledger has the manifest already.
    pub(super) const fn is_taken_in(&self) -> bool {
        self.first_row.is_some()
    }

    pub(super) fn by_type(&self) -> Vec<(RequestType, u64)> {
        self.by_type.iter().map(|(kind, n)| (*kind, *n)).collect()
    }

    /// Matches the rows with those of the ledger as they are now. A manifest that was taken in already matches as it did then.
    pub(super) fn match_again(&mut self, reader: &Reader) -> Result<(), Failure> {
        if self.first_row.is_some() {
            return Ok(());
        }
        self.stands_for.clear();
        self.by_type.clear();
        self.match_rows(reader)
    }

    fn match_rows(&mut self, reader: &Reader) -> Result<(), Failure> {
        let mut names = RowNames::of(reader);
        let mut faults = Vec::new();
        let mut taken: HashMap<RowId, String> = HashMap::new();
        let (checked, rules, ledger) = (self.checked, self.rules, self.ledger);
        let own_run = RunMark::of(reader.run().id).to_string();
        let (stands_for, by_type) = (&mut self.stands_for, &mut self.by_type);
        validate::deliver(&checked.manifests, rules, &checked.survey, |row| -> Result<(), Failure> {
            let CheckedRow::Valid(row) = row else { return Ok(()) };
            let here = place(&row, checked);
            if let Some(run) = row.from_run.as_deref().filter(|run| *run != own_run) {
                return Err(of_another_run(&here, run, &own_run, ledger));
            }
            match match_row(&row, reader, &mut names)? {
                Ok(old) => {
                    if let Some(earlier) = taken.insert(old, here.clone()) {
                        faults.push(format!(
                            "{here}:1: error[row-replaced-twice]: {earlier} stands for row {old} already"
                        ));
                    }
                    stands_for.insert(row.row, old);
                    *by_type.entry(row.request.kind).or_default() += 1;
                }
                Err(fault) => faults.push(format!("{here}:1: error{fault}")),
            }
            Ok(())
        })?;
        if faults.is_empty() {
            self.repeats(reader)?;
            return Ok(());
        }
        let n_faults = faults.len();
        faults.truncate(MAX_TOLD);
        if n_faults > MAX_TOLD {
            faults.push(format!("... and {} more", grouped((n_faults - MAX_TOLD) as u64)));
        }
        Err(Failure::new(
            Exit::InvalidManifest,
            format!("the corrected rows do not match the ledger; nothing was sent\n{}", faults.join("\n")),
        ))
    }

    fn repeats(&self, reader: &Reader) -> Result<Repeats, Failure> {
        Repeats::find(reader, self.checked, self.rules, |new| self.stands_for.get(&new).copied())
    }

    /// Takes the rows into the ledger in place of the old ones; returns the ledger, open, and the new rows.
    pub(super) fn take_in(
        self,
        machine: &Machine,
        path: &Path,
        session: &SessionInfo,
    ) -> Result<(Ledger, Vec<RowId>), Failure> {
        let n_rows = u32::try_from(self.checked.survey.n_rows).unwrap_or(u32::MAX);
        let numbers = |first: u32| (first..first.saturating_add(n_rows)).filter_map(RowId::new).collect();
        if let Some(first) = self.first_row {
            return Ok((Ledger::open(machine, path, session)?, numbers(first.get())));
        }
        let reader = Reader::open(path)?;
        let repeats = self.repeats(&reader)?;
        let first = u32::try_from(reader.run().n_rows()).unwrap_or(u32::MAX).saturating_add(1);
        drop(reader);
        let left_out = |row: &ValidRow| repeats.reason(row.row);
        let stands_for = |new| self.stands_for.get(&new).copied();
        let left_out = LeftOut(&left_out);
        let ledger = load::append(machine, path, session, self.rules, self.checked, left_out, &stands_for)?;
        Ok((ledger, numbers(first)))
    }
}

/// Refuses rows that were taken from another run: its numbers and ids are not this one's.
fn of_another_run(here: &str, run: &str, own_run: &str, ledger: &Path) -> Failure {
    let run = printable(run);
    let message = format!(
        "{here}: the row is of run {run} by its _run, and {} is the ledger of run {own_run}; nothing was sent",
        ledger.display()
    );
    Failure::new(Exit::Usage, message).stopping(StoppedBy::OtherRun).with_next(
        Next::from("give the file to the ledger of its run; or see how the rows of this one are written to a file: ")
            .and(Piece::on_ledger("status", ledger, &[])),
    )
}

/// Returns the id of a row of the ledger, where it has one; of an invalid row that which was read.
fn id_of(reader: &Reader, row: RowId) -> Result<Option<String>, Failure> {
    let found = reader.page(row.get() - 1, 1, &[])?.into_iter().next();
    Ok(found.and_then(|found| found.id.or_else(|| found.invalid?.cell("id"))))
}

/// Finds the row that a mended one stands for, or says what is wrong with that.
fn match_row(row: &ValidRow, reader: &Reader, names: &mut RowNames<'_>) -> Result<Result<RowId, String>, Failure> {
    let by_id = match &row.id {
        None => None,
        Some(id) => names.find(id)?,
    };
    let old = match (by_id, row.from_row) {
        (Some(by_id), Some(by_row)) if by_id != by_row => {
            return Ok(Err(format!(
                "[row-not-matched]: its id is that of row {by_id}, and its _row says {by_row}; correct one of them"
            )));
        }
        (Some(old), _) | (None, Some(old)) => old,
        (None, None) => {
            return Ok(Err(
                "[row-not-matched]: neither its id nor a _row cell names a row of the ledger; take the row from a rejects \
                 file or from `cmbatch export --format manifest`, which have _row"
                    .to_owned(),
            ));
        }
    };
    let Some(facts) = reader.facts(old)? else {
        return Ok(Err(format!("[row-not-matched]: the ledger has no row {old}; correct its _row")));
    };
    // A number alone may be that of another run's row, and so may the row be another one.
    if let (Some(id), None, None) = (&row.id, by_id, &row.from_run)
        && let Some(known) = id_of(reader, old)?
    {
        let (id, known) = (printable(id), printable(&known));
        return Ok(Err(format!(
            "[row-not-matched]: its id is \"{id}\", and row {old} of the ledger has the id \"{known}\"; correct its id, or \
             delete the row where it is of another run"
        )));
    }
    match facts.state {
        RowState::Failed | RowState::Invalid => {}
        state @ (RowState::Pending
        | RowState::Sending
        | RowState::Created
        | RowState::InDoubt
        | RowState::Skipped
        | RowState::Replaced) => {
            return Ok(Err(format!(
                "[row-not-replaceable]: row {old} is {state}, and only failed and invalid rows are replaced; delete the row"
            )));
        }
    }
    if facts.request.as_ref() == Some(&row.request) {
        return Ok(Err(format!(
            "[row-unchanged]: it asks for the same as row {old} did; correct it, or delete it and send row {old} again with \
             replay alone"
        )));
    }
    Ok(Ok(old))
}
