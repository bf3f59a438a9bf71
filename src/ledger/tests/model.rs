//! What each row of a ledger must be, by the simplest means.

use std::collections::{BTreeMap, BTreeSet};

use crate::ledger::{Resolution, RowEvent, RowState, RowVerdict};
use crate::request::{AttemptNo, ErrorCode, RequestKind, RowId};

/// What becomes of a claimed row in a step.
#[derive(Clone, Copy, Debug)]
pub(super) enum Fate {
    StaysOpen,
    Created,
    Failed,
    InDoubt,
    Pending(crate::ledger::Requeue),
    GivenBack,
}

#[derive(Clone, Debug, PartialEq)]
pub(super) struct ModelRow {
    pub(super) state: RowState,
    pub(super) attempts: u32,
    pub(super) counted: u32,
    /// Whether this session alone may claim it.
    pub(super) is_held: bool,
    /// What it asks for; none of an invalid row.
    pub(super) kind: Option<RequestKind>,
    pub(super) replaced_by: Option<RowId>,
}

impl ModelRow {
    pub(super) const fn loaded(state: RowState, kind: Option<RequestKind>) -> Self {
        Self { state, attempts: 0, counted: 0, is_held: false, kind, replaced_by: None }
    }
}

#[derive(Clone, Debug)]
pub(super) struct Model {
    pub(super) rows: BTreeMap<RowId, ModelRow>,
    pub(super) open: BTreeMap<RowId, AttemptNo>,
    /// Not claimed in row order any more: claimed once, decided about or passed over.
    pub(super) touched: BTreeSet<RowId>,
    /// The kinds of which a row was created.
    pub(super) kinds: BTreeSet<RequestKind>,
}

impl Model {
    pub(super) fn row(&mut self, row: RowId) -> &mut ModelRow {
        self.rows.get_mut(&row).unwrap()
    }

    pub(super) fn claim(&mut self, row: RowId, attempt: AttemptNo, counted: u32) {
        let known = self.row(row);
        assert_eq!((known.state, known.counted), (RowState::Pending, counted), "row {row} was claimed");
        (known.state, known.is_held) = (RowState::Sending, false);
        known.attempts += 1;
        assert_eq!(self.open.insert(row, attempt), None);
        self.touched.insert(row);
    }

    pub(super) fn end(&mut self, row: RowId, fate: Fate, code: ErrorCode) {
        let known = self.rows.get_mut(&row).unwrap();
        known.counted += u32::from(code != ErrorCode::Throttled);
        match fate {
            Fate::StaysOpen => unreachable!("an open row does not end"),
            Fate::Created => {
                known.state = RowState::Created;
                self.kinds.extend(known.kind);
            }
            Fate::Failed => known.state = RowState::Failed,
            Fate::InDoubt => known.state = RowState::InDoubt,
            Fate::Pending(then) => {
                (known.state, known.is_held) = (RowState::Pending, then == crate::ledger::Requeue::Listed);
            }
            Fate::GivenBack => {
                known.state = RowState::Pending;
                known.attempts -= 1;
                known.counted -= u32::from(code != ErrorCode::Throttled);
            }
        }
        self.open.remove(&row);
    }

    /// Takes verdicts in the order of the rows, or returns none where one of them is illegal.
    pub(super) fn resolved(&self, resolutions: &[Resolution]) -> Option<Self> {
        let mut sorted: Vec<&Resolution> = resolutions.iter().collect();
        sorted.sort_by_key(|resolution| resolution.row);
        let mut model = self.clone();
        for resolution in sorted {
            let known = model.rows.get_mut(&resolution.row)?;
            known.state = known.state.next(RowEvent::of_verdict(&resolution.verdict)).ok()?;
            known.is_held = false;
            match resolution.verdict {
                RowVerdict::Exists(_) => model.kinds.extend(known.kind),
                RowVerdict::Again => known.counted = 0,
                RowVerdict::Absent | RowVerdict::AbsentForGood | RowVerdict::Contradicted | RowVerdict::LeftOut => {}
            }
            model.touched.insert(resolution.row);
        }
        Some(model)
    }

    /// Lets rows stand for others, or returns none where one of them cannot be replaced.
    pub(super) fn replaced(&self, pairs: &[(RowId, RowId)]) -> Option<Self> {
        let mut model = self.clone();
        for (old, new) in pairs {
            let known = model.rows.get_mut(old)?;
            known.state = known.state.next(RowEvent::Replaced).ok()?;
            known.replaced_by = Some(*new);
        }
        Some(model)
    }

    pub(super) fn detach(&mut self, through: RowId) {
        let fresh = self.rows.range(..=through).filter(|(_, known)| known.state == RowState::Pending);
        let passed_over: Vec<RowId> = fresh.map(|(row, _)| *row).collect();
        self.touched.extend(passed_over);
    }

    /// The rows that a claim in order must give, the first ones first.
    pub(super) fn claimable(&self) -> Vec<RowId> {
        let free = |row: &RowId| self.rows[row].state == RowState::Pending && !self.rows[row].is_held;
        let again = self.rows.keys().filter(|row| free(row) && self.touched.contains(row));
        let fresh = self.rows.keys().filter(|row| free(row) && !self.touched.contains(row));
        again.chain(fresh).copied().collect()
    }

    pub(super) fn in_state(&self, state: RowState) -> Vec<RowId> {
        self.rows.iter().filter(|(_, known)| known.state == state).map(|(row, _)| *row).collect()
    }

    pub(super) fn die(&mut self) {
        for row in std::mem::take(&mut self.open).into_keys() {
            self.row(row).state = RowState::InDoubt;
        }
        self.rows.values_mut().for_each(|row| row.is_held = false);
    }
}
