//! Random sequences of steps, crashes and clean ends against a model of what each row must be.

use std::collections::BTreeMap;

use proptest::prelude::*;

use super::support::*;
use super::view::results;
use crate::ledger::{AttemptRecord, Ledger, LoadRow, Reader, Requeue, RowState, SessionEnd, Step};
use crate::request::{AttemptNo, ErrorCode, Fault, Outcome, RowId};

/// What happens to a claimed row in a step.
#[derive(Clone, Copy, Debug)]
enum Fate {
    StaysOpen,
    Created,
    Failed,
    InDoubt,
    Pending(Requeue),
    GivenBack,
}

#[derive(Clone, Debug)]
enum Act {
    /// A step: the fates of the claimed rows in order, whether to claim the held rows, how many rows to claim.
    Step { fates: Vec<Fate>, claim_held: bool, claim: u32 },
    /// A step that records a row that is not claimed, beside legal parts.
    BadStep { pick: prop::sample::Index, claim: u32 },
    /// The process dies; another one opens the ledger.
    Crash,
    /// The session ends, with whatever is open; another one opens the ledger.
    Close,
}

fn arb_fate() -> impl Strategy<Value = Fate> {
    prop_oneof![
        Just(Fate::StaysOpen),
        Just(Fate::Created),
        Just(Fate::Created),
        Just(Fate::Failed),
        Just(Fate::InDoubt),
        Just(Fate::Pending(Requeue::Anyone)),
        Just(Fate::Pending(Requeue::Listed)),
        Just(Fate::GivenBack),
    ]
}

fn arb_act() -> impl Strategy<Value = Act> {
    prop_oneof![
        6 => (prop::collection::vec(arb_fate(), 0..12), any::<bool>(), 0_u32..6)
            .prop_map(|(fates, claim_held, claim)| Act::Step { fates, claim_held, claim }),
        1 => (any::<prop::sample::Index>(), 0_u32..4).prop_map(|(pick, claim)| Act::BadStep { pick, claim }),
        1 => Just(Act::Crash),
        1 => Just(Act::Close),
    ]
}

#[derive(Clone, Debug, PartialEq)]
struct ModelRow {
    state: RowState,
    attempts: u32,
    counted: u32,
    /// Whether this session alone may claim it.
    is_held: bool,
}

#[derive(Clone, Debug)]
struct Model {
    rows: BTreeMap<RowId, ModelRow>,
    open: BTreeMap<RowId, AttemptNo>,
    /// Claimed once: such rows are claimed before those that never were.
    touched: std::collections::BTreeSet<RowId>,
}

impl Model {
    fn row(&mut self, row: RowId) -> &mut ModelRow {
        self.rows.get_mut(&row).unwrap()
    }

    fn claim(&mut self, row: RowId, attempt: AttemptNo, counted: u32) {
        let known = self.row(row);
        assert_eq!((known.state, known.counted), (RowState::Pending, counted), "row {row} was claimed");
        (known.state, known.is_held) = (RowState::Sending, false);
        known.attempts += 1;
        assert_eq!(self.open.insert(row, attempt), None);
        self.touched.insert(row);
    }

    fn end(&mut self, row: RowId, fate: Fate, code: ErrorCode) {
        let known = self.rows.get_mut(&row).unwrap();
        known.counted += u32::from(code != ErrorCode::Throttled);
        match fate {
            Fate::StaysOpen => unreachable!("an open row does not end"),
            Fate::Created => known.state = RowState::Created,
            Fate::Failed => known.state = RowState::Failed,
            Fate::InDoubt => known.state = RowState::InDoubt,
            Fate::Pending(then) => {
                (known.state, known.is_held) = (RowState::Pending, then == Requeue::Listed);
            }
            Fate::GivenBack => {
                known.state = RowState::Pending;
                known.attempts -= 1;
                known.counted -= u32::from(code != ErrorCode::Throttled);
            }
        }
        self.open.remove(&row);
    }

    /// The rows that a claim in order must give, the first ones first.
    fn claimable(&self) -> Vec<RowId> {
        let free = |row: &RowId| self.rows[row].state == RowState::Pending && !self.rows[row].is_held;
        let again = self.rows.keys().filter(|row| free(row) && self.touched.contains(row));
        let fresh = self.rows.keys().filter(|row| free(row) && !self.touched.contains(row));
        again.chain(fresh).copied().collect()
    }

    fn die(&mut self) {
        for row in std::mem::take(&mut self.open).into_keys() {
            self.row(row).state = RowState::InDoubt;
        }
        self.rows.values_mut().for_each(|row| row.is_held = false);
    }
}

fn outcome_of(fate: Fate, code: ErrorCode) -> Outcome {
    let fault = Fault::without_answer(code, "said");
    match fate {
        Fate::Created => created(1),
        Fate::Failed => Outcome::Failed(fault),
        Fate::InDoubt => Outcome::InDoubt(fault),
        Fate::Pending(_) => Outcome::Pending(fault),
        Fate::StaysOpen | Fate::GivenBack => unreachable!("these are not recorded"),
    }
}

struct Run {
    place: Place,
    ledger: Option<Ledger>,
    number: u64,
    model: Model,
}

impl Run {
    fn new(kinds: &[u8]) -> Self {
        let place = Place::new();
        let mut rows = BTreeMap::new();
        let mut loaded: Vec<LoadRow> = Vec::new();
        for (number, kind) in (1..).zip(kinds) {
            let (line, state) = match kind {
                0 => (skipped(number), RowState::Skipped),
                1 => (invalid(number), RowState::Invalid),
                _ => (load(full_item(number)), RowState::Pending),
            };
            loaded.push(line);
            rows.insert(row(number), ModelRow { state, attempts: 0, counted: 0, is_held: false });
        }
        let ledger = Some(place.started(loaded));
        Self { place, ledger, number: 0, model: Model { rows, open: BTreeMap::new(), touched: Default::default() } }
    }

    fn act(&mut self, act: &Act) {
        match act {
            Act::Step { fates, claim_held, claim } => self.step(fates, *claim_held, *claim),
            Act::BadStep { pick, claim } => self.bad_step(*pick, *claim),
            Act::Crash => {
                drop(self.ledger.take());
                self.check();
                self.reopen();
            }
            Act::Close => {
                self.ledger.take().unwrap().close(SessionEnd::Finished).unwrap();
                assert_eq!(self.place.names(), ["wave.ledger", "wave.ledger.lock"]);
                self.reopen();
            }
        }
        self.check();
    }

    fn reopen(&mut self) {
        self.ledger = Some(self.place.open());
        self.number = 0;
        self.model.die();
    }

    fn step(&mut self, fates: &[Fate], claim_held: bool, claim: u32) {
        let mut step = Step { claim, ..Step::default() };
        let open: Vec<_> = self.model.open.iter().map(|(row, attempt)| (*row, *attempt)).collect();
        for (&fate, (row, attempt)) in fates.iter().zip(open) {
            let code = if row.get().is_multiple_of(3) { ErrorCode::Throttled } else { ErrorCode::NotConnected };
            let code = if matches!(fate, Fate::Pending(_)) { code } else { ErrorCode::Timeout };
            match fate {
                Fate::StaysOpen => continue,
                Fate::GivenBack => step.give_back.push((row, attempt)),
                Fate::Created | Fate::Failed | Fate::InDoubt | Fate::Pending(_) => {
                    let then = if let Fate::Pending(then) = fate { then } else { Requeue::Anyone };
                    let outcome = outcome_of(fate, code);
                    step.record.push(AttemptRecord { then, ..record(row.get(), attempt.get(), outcome) });
                }
            }
            self.model.end(row, fate, code);
        }
        if claim_held {
            step.claim_rows = self.model.rows.iter().filter(|(_, row)| row.is_held).map(|(row, _)| *row).collect();
        }
        step.number = self.number + 1;
        let mut expected = step.claim_rows.clone();
        expected.extend(self.model.claimable().into_iter().take(claim as usize));
        let ledger = self.ledger.as_ref().unwrap();
        let answer = ledger.step_blocking(step.clone()).unwrap();
        assert_eq!(ledger.step_blocking(step).unwrap(), answer, "the same number gives the same answer");
        self.number += 1;
        assert_eq!(answer.rows.iter().map(|claimed| claimed.row).collect::<Vec<_>>(), expected);
        for claimed in &answer.rows {
            self.model.claim(claimed.row, claimed.attempt, claimed.counted_attempts);
        }
        let pending = self.model.rows.values().filter(|row| row.state == RowState::Pending).count();
        assert_eq!(answer.pending_left, pending as u64);
    }

    fn bad_step(&mut self, pick: prop::sample::Index, claim: u32) {
        let closed: Vec<RowId> =
            self.model.rows.keys().filter(|row| !self.model.open.contains_key(row)).copied().collect();
        if closed.is_empty() {
            return;
        }
        let mut records: Vec<_> =
            self.model.open.iter().map(|(row, attempt)| record(row.get(), attempt.get(), created(1))).collect();
        records.push(record(pick.get(&closed).get(), 1, created(2)));
        let step = Step { number: self.number + 1, record: records, claim, ..Step::default() };
        let before = dump(&self.place.path);
        self.ledger.as_ref().unwrap().step_blocking(step).unwrap_err();
        assert_eq!(dump(&self.place.path), before);
    }

    fn check(&self) {
        let reader = self.place.reader();
        let lives = self.ledger.is_some();
        let rows = reader.page(0, u32::MAX, &[]).unwrap();
        let reads = |state| if state == RowState::Sending && !lives { RowState::InDoubt } else { state };
        let found: Vec<_> = rows.iter().map(|row| (row.row, row.state, row.attempts)).collect();
        let expected: Vec<_> =
            self.model.rows.iter().map(|(row, known)| (*row, reads(known.state), known.attempts)).collect();
        assert_eq!(found, expected);
        check_tallies(&reader, &rows);
        check_view(&self.place, &rows);
    }
}

fn check_tallies(reader: &Reader, rows: &[crate::ledger::ResultRow]) {
    let mut counted = BTreeMap::new();
    for row in rows {
        let has_cause = matches!(row.state, RowState::Pending | RowState::Failed | RowState::InDoubt);
        *counted.entry((row.state, row.error_code.filter(|_| has_cause))).or_insert(0) += 1;
    }
    let tallied: BTreeMap<_, _> =
        reader.tallies().unwrap().into_iter().map(|tally| ((tally.state, tally.code), tally.n)).collect();
    assert_eq!(tallied, counted);
}

fn check_view(place: &Place, rows: &[crate::ledger::ResultRow]) {
    let view = results(place);
    let lines: Vec<Vec<&str>> = view.lines().skip(1).map(|line| line.split('|').collect()).collect();
    assert_eq!(lines.len(), rows.len());
    for (line, row) in lines.iter().zip(rows) {
        let state = if row.state == RowState::Sending { RowState::InDoubt } else { row.state };
        assert_eq!((line[0], line[6]), (row.row.to_string().as_str(), state.as_str()));
        assert_eq!(line[13], row.attempts.to_string(), "attempts of row {}", row.row);
        for (column, at) in [(14, row.first_attempt_at), (15, row.last_attempt_at)] {
            let millis = at.map(|at| jiff::Timestamp::from_millisecond(at.as_millisecond()).unwrap());
            assert_eq!(line[column], millis.map_or_else(String::new, |at| format!("{at:.3}")), "row {}", row.row);
        }
        if row.state != RowState::Sending {
            assert_eq!(line[10], row.error_code.map_or("", ErrorCode::as_str), "row {}", row.row);
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 40, ..ProptestConfig::default() })]
    #[test]
    fn every_row_is_in_exactly_one_legal_state_whatever_happens(
        kinds in prop::collection::vec(0_u8..8, 1..24),
        acts in prop::collection::vec(arb_act(), 1..24),
    ) {
        let mut run = Run::new(&kinds);
        for act in &acts {
            run.act(act);
        }
    }
}
