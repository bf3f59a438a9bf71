//! What each row of a ledger must be, by the simplest means.

use std::collections::{BTreeMap, BTreeSet};

use crate::ledger::{ClaimKinds, Requeue, Resolution, RowEvent, RowState, RowVerdict};
use crate::request::{AttemptNo, ErrorCode, RequestKind, RequestUuid, RowId};

/// What becomes of a claimed row in a step.
#[derive(Clone, Copy, Debug)]
pub(super) enum Fate {
    StaysOpen,
    /// Answered with the request of this number.
    Created(u32),
    Failed,
    InDoubt,
    Pending(Requeue),
    GivenBack,
}

#[derive(Clone, Debug, PartialEq)]
pub(super) struct ModelRow {
    pub(super) state: RowState,
    /// What it is when it is not left out, where it is.
    pub(super) beneath: Option<RowState>,
    pub(super) attempts: u32,
    pub(super) counted: u32,
    /// The number of its next attempt.
    pub(super) next: u32,
    /// Whether this session alone may claim it.
    pub(super) is_held: bool,
    /// What it asks for; none of an invalid row.
    pub(super) kind: Option<RequestKind>,
    /// Its request, while it is created.
    pub(super) uuid: Option<RequestUuid>,
    pub(super) replaced_by: Option<RowId>,
}

impl ModelRow {
    pub(super) const fn loaded(state: RowState, kind: Option<RequestKind>) -> Self {
        let (beneath, uuid, replaced_by) = (None, None, None);
        Self { state, beneath, attempts: 0, counted: 0, next: 1, is_held: false, kind, uuid, replaced_by }
    }
}

#[derive(Clone, Debug, Default)]
pub(super) struct Model {
    pub(super) rows: BTreeMap<RowId, ModelRow>,
    pub(super) open: BTreeMap<RowId, AttemptNo>,
    /// Not claimed in row order any more: claimed once, decided about or passed over.
    pub(super) touched: BTreeSet<RowId>,
    /// The kinds of which a row was created.
    pub(super) kinds: BTreeSet<RequestKind>,
    /// The row up to which claims in row order have come.
    pub(super) fresh_after: u32,
    /// The same, as the next session knows it.
    pub(super) fresh_kept: u32,
}

/// What a claim in row order must give.
#[derive(Debug, Default, PartialEq)]
pub(super) struct Claimed {
    /// Those of the rows that were asked for by number.
    pub(super) by_number: Vec<RowId>,
    pub(super) rows: Vec<RowId>,
    pub(super) passed_over: Vec<(RowId, RequestKind)>,
    pub(super) stopped_short: bool,
}

impl Model {
    pub(super) fn row(&mut self, row: RowId) -> &mut ModelRow {
        self.rows.get_mut(&row).unwrap()
    }

    /// Returns the row that is created as this request.
    pub(super) fn owner(&self, uuid: RequestUuid) -> Option<RowId> {
        self.rows.iter().find(|(_, known)| known.uuid == Some(uuid)).map(|(row, _)| *row)
    }

    pub(super) fn claim(&mut self, row: RowId, attempt: AttemptNo, counted: u32) {
        let known = self.row(row);
        let expected = (RowState::Pending, known.counted, known.next);
        assert_eq!((known.state, counted, attempt.get()), expected, "row {row} was claimed");
        (known.state, known.is_held, known.next) = (RowState::Sending, false, attempt.get() + 1);
        known.attempts += 1;
        assert_eq!(self.open.insert(row, attempt), None);
        self.touched.insert(row);
    }

    /// Ends an attempt; returns the row whose request it was answered with.
    pub(super) fn end(&mut self, row: RowId, fate: Fate, code: ErrorCode) -> Option<RowId> {
        let owner = if let Fate::Created(number) = fate { self.owner(super::support::uuid(number)) } else { None };
        let known = self.rows.get_mut(&row).unwrap();
        let counts = u32::from(!code.is_no_try());
        known.counted += counts;
        match fate {
            Fate::StaysOpen => unreachable!("an open row does not end"),
            Fate::Created(_) if owner.is_some() => known.state = RowState::InDoubt,
            Fate::Created(number) => {
                (known.state, known.uuid) = (RowState::Created, Some(super::support::uuid(number)));
                self.kinds.extend(known.kind);
            }
            Fate::Failed => known.state = RowState::Failed,
            Fate::InDoubt => known.state = RowState::InDoubt,
            Fate::Pending(then) => {
                (known.state, known.is_held) = (RowState::Pending, then == Requeue::Listed);
            }
            Fate::GivenBack => {
                known.state = RowState::Pending;
                known.attempts -= 1;
                known.counted -= counts;
            }
        }
        self.open.remove(&row);
        owner
    }

    /// Takes verdicts in the order of the rows, or returns none where one of them is illegal.
    pub(super) fn resolved(&self, resolutions: &[Resolution]) -> Option<Self> {
        let mut sorted: Vec<&Resolution> = resolutions.iter().collect();
        sorted.sort_by_key(|resolution| resolution.row);
        let mut model = self.clone();
        for resolution in &sorted {
            model = model.decided(resolution)?;
        }
        for resolution in &sorted {
            let RowVerdict::Exists(uri) = &resolution.verdict else { continue };
            if model.rows.values().filter(|known| known.uuid == Some(uri.uuid())).count() > 1 {
                return None;
            }
        }
        Some(model)
    }

    fn decided(mut self, resolution: &Resolution) -> Option<Self> {
        let row = resolution.row;
        let known = self.rows.get_mut(&row)?;
        let before = known.state;
        let beneath = known.beneath.unwrap_or(before);
        known.state = before.next(RowEvent::of_verdict(&resolution.verdict, beneath)).ok()?;
        (known.is_held, known.beneath) = (false, None);
        match &resolution.verdict {
            RowVerdict::Exists(uri) => {
                known.uuid = Some(uri.uuid());
                self.kinds.insert(known.kind?);
            }
            RowVerdict::Again => (known.counted, known.next) = (0, known.next.max(2)),
            RowVerdict::Absent => known.next = known.next.max(2),
            RowVerdict::AbsentForGood => {}
            RowVerdict::Contradicted => {
                known.uuid = None;
                known.next = known.next.max(2);
            }
            RowVerdict::LeftOut | RowVerdict::Elsewhere(_) | RowVerdict::Dropped => {
                known.beneath = Some(before);
                return Some(self);
            }
            RowVerdict::Restored => {
                if known.state == RowState::Pending && !self.touched.contains(&row) && row.get() <= self.fresh_after {
                    self.touched.insert(row);
                    self.fresh_kept = self.fresh_kept.max(row.get());
                }
                return Some(self);
            }
        }
        self.touched.insert(row);
        Some(self)
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
        if self.fresh_after >= through.get() {
            return;
        }
        let fresh = self.rows.range(..=through).filter(|(_, known)| known.state == RowState::Pending);
        let passed_over: Vec<RowId> = fresh.map(|(row, _)| *row).collect();
        self.touched.extend(passed_over);
        (self.fresh_after, self.fresh_kept) = (through.get(), self.fresh_kept.max(through.get()));
    }

    fn is_free(&self, row: RowId) -> bool {
        self.rows[&row].state == RowState::Pending && !self.rows[&row].is_held
    }

    /// The rows that are pending again and that anyone may claim.
    pub(super) fn free_again(&self) -> Vec<RowId> {
        self.touched.iter().copied().filter(|row| self.is_free(*row)).collect()
    }

    /// What a claim in row order must give, once these rows are claimed by number.
    pub(super) fn claims(&mut self, limit: u32, kinds: &ClaimKinds, by_number: &[RowId]) -> Claimed {
        let mut claimed = Claimed::default();
        let again: Vec<RowId> = self.free_again().into_iter().filter(|row| !by_number.contains(row)).collect();
        let fresh: Vec<RowId> =
            self.rows.keys().copied().filter(|row| self.is_free(*row) && !self.touched.contains(row)).collect();
        let mut taken: BTreeSet<RequestKind> = self.open.keys().filter_map(|row| self.rows[row].kind).collect();
        for &row in by_number {
            let kind = self.rows[&row].kind.unwrap();
            let is_admitted = match kinds {
                ClaimKinds::All => true,
                ClaimKinds::Guarded { open, held, .. } => {
                    open.contains(&kind) || (!held.contains(&kind) && taken.insert(kind))
                }
            };
            if is_admitted {
                claimed.by_number.push(row);
            } else {
                claimed.passed_over.push((row, kind));
                self.row(row).is_held = true;
            }
        }
        let n_listed_over = claimed.passed_over.len();
        let (n_again, mut n_claimed_again) = (again.len(), 0);
        for (at, row) in again.into_iter().chain(fresh).enumerate() {
            let kind = self.rows[&row].kind.unwrap();
            if claimed.rows.len() == limit as usize {
                return claimed;
            }
            let is_fresh = at >= n_again;
            match kinds {
                ClaimKinds::All => claimed.rows.push(row),
                ClaimKinds::Guarded { open, .. } if open.contains(&kind) => claimed.rows.push(row),
                ClaimKinds::Guarded { held, .. } if !held.contains(&kind) && taken.insert(kind) => {
                    claimed.rows.push(row);
                }
                ClaimKinds::Guarded { pass_over, .. } => {
                    if claimed.passed_over.len() == n_listed_over + *pass_over as usize {
                        claimed.stopped_short = true;
                        return claimed;
                    }
                    claimed.passed_over.push((row, kind));
                    self.row(row).is_held = true;
                    self.touched.insert(row);
                }
            }
            if !is_fresh {
                n_claimed_again = claimed.rows.len();
            } else {
                (self.fresh_after, self.fresh_kept) = (row.get(), self.fresh_kept.max(row.get()));
            }
        }
        // A guarded claim looks at one row more than it could claim, so that it sees that there is none.
        let n_seen = if *kinds == ClaimKinds::All { claimed.rows.len() } else { n_claimed_again };
        if n_seen < limit as usize {
            self.fresh_after = u32::MAX;
        }
        claimed
    }

    pub(super) fn in_state(&self, state: RowState) -> Vec<RowId> {
        self.rows.iter().filter(|(_, known)| known.state == state).map(|(row, _)| *row).collect()
    }

    pub(super) fn die(&mut self) {
        for row in std::mem::take(&mut self.open).into_keys() {
            self.row(row).state = RowState::InDoubt;
        }
        self.rows.values_mut().for_each(|row| row.is_held = false);
        self.fresh_after = self.fresh_kept;
    }
}
