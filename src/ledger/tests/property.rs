//! Random sequences of all that is done to a ledger, crashes and clean ends, against a model of what each row must be.

use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;
use proptest::sample::Index;

use super::agreement::check_agreement;
use super::model::{Fate, Model, ModelRow};
use super::support::*;
use crate::ledger::{
    AttemptRecord, CreateError, Item, Ledger, LedgerError, LoadRow, ManifestPart, Requeue, Resolution, RowState,
    RowVerdict, SessionEnd, Step,
};
use crate::machine::Threads;
use crate::request::{CreateRequest, ErrorCode, Fault, Outcome, RowId};

#[derive(Clone, Debug)]
enum Act {
    /// A step: the fates of the claimed rows in order, whether to claim the held rows, which listed rows to claim by number,
    /// how many rows to claim.
    Step { fates: Vec<Fate>, claim_held: bool, listed: Vec<Index>, claim: u32 },
    /// A step that records a row that is not claimed, beside legal parts.
    BadStep { pick: Index, claim: u32 },
    /// Verdicts on rows, legal or not.
    Resolve(Vec<(Index, RowVerdict, Option<String>)>),
    /// Verdicts on rows in doubt and on failed ones, which are legal.
    Settle(Vec<(Index, bool)>),
    /// Rows are passed over, up to this one.
    Detach(Index),
    /// What was read back of a kind is noted.
    ReadBack(Index),
    /// The process dies; another one opens the ledger.
    Crash,
    /// The session ends, with whatever is open; another one opens the ledger.
    Close,
    /// The session ends or dies; another one appends rows of these kinds, and lets some of them stand for rows.
    Append { dies: bool, kinds: Vec<u8>, replaced: Vec<Index> },
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

fn arb_verdict() -> impl Strategy<Value = RowVerdict> {
    prop_oneof![
        (1_u8..9).prop_map(|byte| RowVerdict::Exists(uri(byte))),
        Just(RowVerdict::Absent),
        Just(RowVerdict::AbsentForGood),
        Just(RowVerdict::Contradicted),
        Just(RowVerdict::LeftOut),
        Just(RowVerdict::Again),
    ]
}

fn arb_act() -> impl Strategy<Value = Act> {
    let picks = || prop::collection::vec(any::<Index>(), 0..4);
    let verdict = (any::<Index>(), arb_verdict(), prop::option::of(Just("because".to_owned())));
    prop_oneof![
        8 => (prop::collection::vec(arb_fate(), 0..12), any::<bool>(), picks(), 0_u32..6)
            .prop_map(|(fates, claim_held, listed, claim)| Act::Step { fates, claim_held, listed, claim }),
        1 => (any::<Index>(), 0_u32..4).prop_map(|(pick, claim)| Act::BadStep { pick, claim }),
        3 => prop::collection::vec(verdict, 1..3).prop_map(Act::Resolve),
        3 => prop::collection::vec(any::<(Index, bool)>(), 1..5).prop_map(Act::Settle),
        1 => any::<Index>().prop_map(Act::Detach),
        1 => any::<Index>().prop_map(Act::ReadBack),
        1 => Just(Act::Crash),
        1 => Just(Act::Close),
        1 => (any::<bool>(), prop::collection::vec(0_u8..8, 0..4), picks())
            .prop_map(|(dies, kinds, replaced)| Act::Append { dies, kinds, replaced }),
    ]
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

/// A row of one of the kinds, and what the model knows of it.
fn loaded(number: u32, kind: u8) -> (LoadRow, ModelRow) {
    let item = full_item(number);
    let request = CreateRequest { template: Some(guid(kind % 3)), ..item.request };
    let request_kind = Some(request.request_kind());
    match kind {
        0 => (skipped(number), ModelRow::loaded(RowState::Skipped, None)),
        1 => (invalid(number), ModelRow::loaded(RowState::Invalid, None)),
        _ => (load(Item { request, ..item }), ModelRow::loaded(RowState::Pending, request_kind)),
    }
}

struct Run {
    place: Place,
    ledger: Option<Ledger>,
    number: u64,
    n_parts: u32,
    model: Model,
}

impl Run {
    fn new(threads: Threads, kinds: &[u8]) -> Self {
        let place = Place::on(machine_of(threads));
        let (mut rows, mut known) = (Vec::new(), BTreeMap::new());
        for (number, kind) in (1..).zip(kinds) {
            let (line, model) = loaded(number, *kind);
            rows.push(line);
            known.insert(row(number), model);
        }
        let ledger = Some(place.started(rows));
        let model = Model { rows: known, open: BTreeMap::new(), touched: BTreeSet::new(), kinds: BTreeSet::new() };
        Self { place, ledger, number: 0, n_parts: 1, model }
    }

    fn ledger(&self) -> &Ledger {
        self.ledger.as_ref().unwrap()
    }

    fn act(&mut self, act: &Act) {
        match act {
            Act::Step { fates, claim_held, listed, claim } => self.step(fates, *claim_held, listed, *claim),
            Act::BadStep { pick, claim } => self.bad_step(*pick, *claim),
            Act::Resolve(verdicts) => self.resolve_any(verdicts),
            Act::Settle(picks) => self.settle(picks),
            Act::Detach(pick) => {
                let through = *pick.get(&self.model.rows.keys().collect::<Vec<_>>());
                self.ledger().detach(*through).unwrap();
                self.model.detach(*through);
            }
            Act::ReadBack(pick) => self.read_back(*pick),
            Act::Crash => {
                self.end(true);
                self.check();
                self.reopen();
            }
            Act::Close => {
                self.end(false);
                self.check();
                self.reopen();
            }
            Act::Append { dies, kinds, replaced } => {
                self.end(*dies);
                self.append(kinds, replaced);
            }
        }
        self.check();
    }

    fn end(&mut self, dies: bool) {
        let ledger = self.ledger.take().unwrap();
        if dies {
            return drop(ledger);
        }
        ledger.close(SessionEnd::Finished).unwrap();
        assert_eq!(self.place.names(), ["wave.ledger"]);
    }

    fn reopen(&mut self) {
        let ledger = self.place.open();
        self.ledger = Some(ledger);
        self.number = 0;
        self.model.die();
    }

    fn append(&mut self, kinds: &[u8], replaced: &[Index]) {
        let mut model = self.model.clone();
        model.die();
        let last = u32::try_from(model.rows.len()).unwrap();
        let mut added: Vec<(LoadRow, RowId)> = Vec::new();
        for (number, kind) in (last + 1..).zip(kinds) {
            let (line, known) = loaded(number, *kind);
            added.push((line, row(number)));
            model.rows.insert(row(number), known);
        }
        let old: Vec<RowId> = self.model.rows.keys().copied().collect();
        let pairs: Vec<(RowId, RowId)> = if added.is_empty() {
            vec![]
        } else {
            replaced.iter().map(|one| (*one.get(&old), one.get(&added).1)).collect()
        };
        let by_items = pairs.iter().all(|(_, new)| model.rows[new].state != RowState::Invalid);
        let expected = model.replaced(&pairs).filter(|_| by_items);
        let before = dump(&self.place.path);
        let part = ManifestPart {
            part: self.n_parts + 1,
            first_row: row(last + 1),
            n_rows: u32::try_from(kinds.len()).unwrap(),
            ..part(0)
        };
        let appended =
            Ledger::open_and_append(&self.place.machine, &self.place.path, &session("replay"), |loader, run| {
                assert_eq!(run.n_rows, u64::from(last));
                for (line, _) in added {
                    loader.add(line)?;
                }
                pairs.iter().try_for_each(|(old, new)| loader.replace(*old, *new))?;
                Ok::<_, LedgerError>(vec![part])
            });
        match (appended, expected) {
            (Ok(ledger), Some(model)) => {
                assert_eq!(ledger.run().n_rows, u64::from(last) + kinds.len() as u64);
                (self.ledger, self.number, self.model) = (Some(ledger), 0, model);
                self.n_parts += 1;
            }
            (Err(CreateError::Ledger(_) | CreateError::Feed(_)), None) => {
                assert_eq!(dump(&self.place.path), before);
                self.reopen();
            }
            (appended, expected) => panic!("{appended:?} where {expected:?} was expected"),
        }
    }

    fn step(&mut self, fates: &[Fate], claim_held: bool, listed: &[Index], claim: u32) {
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
        let free: Vec<RowId> =
            self.model.claimable().into_iter().filter(|row| self.model.touched.contains(row)).collect();
        let by_number: BTreeSet<RowId> =
            listed.iter().filter(|_| !free.is_empty()).map(|one| *one.get(&free)).collect();
        step.claim_rows.extend(&by_number);
        step.number = self.number + 1;
        let mut expected = step.claim_rows.clone();
        expected.extend(self.model.claimable().into_iter().filter(|row| !by_number.contains(row)).take(claim as usize));
        let ledger = self.ledger();
        let answer = ledger.step_blocking(step.clone()).unwrap();
        assert_eq!(ledger.step_blocking(step).unwrap(), answer, "the same number gives the same answer");
        self.number += 1;
        assert_eq!(answer.rows.iter().map(|claimed| claimed.row).collect::<Vec<_>>(), expected);
        for claimed in &answer.rows {
            self.model.claim(claimed.row, claimed.attempt, claimed.counted_attempts);
        }
        assert_eq!(answer.pending_left, self.model.in_state(RowState::Pending).len() as u64);
    }

    fn bad_step(&mut self, pick: Index, claim: u32) {
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
        self.ledger().step_blocking(step).unwrap_err();
        assert_eq!(dump(&self.place.path), before);
    }

    fn resolve_any(&mut self, verdicts: &[(Index, RowVerdict, Option<String>)]) {
        let rows: Vec<RowId> = self.model.rows.keys().copied().collect();
        let resolution = |(pick, verdict, reason): &(Index, RowVerdict, Option<String>)| Resolution {
            reason: reason.clone(),
            ..resolution(pick.get(&rows).get(), verdict.clone())
        };
        self.resolve(verdicts.iter().map(resolution).collect());
    }

    fn settle(&mut self, picks: &[(Index, bool)]) {
        let mut undecided = self.model.in_state(RowState::InDoubt);
        undecided.extend(self.model.in_state(RowState::Failed));
        if undecided.is_empty() {
            return;
        }
        let settled: BTreeMap<RowId, bool> =
            picks.iter().map(|(pick, exists)| (*pick.get(&undecided), *exists)).collect();
        let verdict = |row: RowId, exists: bool| match (exists, self.model.rows[&row].state) {
            (true, _) => RowVerdict::Exists(uri(9)),
            (false, RowState::Failed) => RowVerdict::Again,
            (false, _) => RowVerdict::Absent,
        };
        self.resolve(settled.into_iter().map(|(row, exists)| resolution(row.get(), verdict(row, exists))).collect());
    }

    fn resolve(&mut self, resolutions: Vec<Resolution>) {
        let before = dump(&self.place.path);
        let expected = self.model.resolved(&resolutions);
        match (self.ledger().resolve_blocking(resolutions), expected) {
            (Ok(()), Some(model)) => self.model = model,
            (Err(LedgerError::Step(_)), None) => assert_eq!(dump(&self.place.path), before),
            (done, expected) => panic!("{done:?} where {expected:?} was expected"),
        }
    }

    fn read_back(&mut self, pick: Index) {
        let kinds: Vec<_> = self.model.rows.values().filter_map(|row| row.kind).collect();
        if kinds.is_empty() {
            return;
        }
        let kind = *pick.get(&kinds);
        let noted = block_on(self.ledger().note_read_back(kind, "as sent".to_owned()));
        assert_eq!(noted.is_ok(), self.model.kinds.contains(&kind));
    }

    fn check(&self) {
        let reader = self.place.reader();
        let lives = self.ledger.is_some();
        let rows = reader.page(0, u32::MAX, &[]).unwrap();
        let reads = |state| if state == RowState::Sending && !lives { RowState::InDoubt } else { state };
        let found: Vec<_> = rows.iter().map(|row| (row.row, row.state, row.attempts, row.replaced_by)).collect();
        let expected: Vec<_> = self
            .model
            .rows
            .iter()
            .map(|(row, known)| (*row, reads(known.state), known.attempts, known.replaced_by))
            .collect();
        assert_eq!(found, expected);
        let kinds: Vec<_> = reader.kinds().unwrap().iter().map(|known| known.kind).collect();
        assert_eq!(kinds, self.model.kinds.iter().copied().collect::<Vec<_>>());
        check_agreement(&self.place, &reader, &rows);
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 32, ..ProptestConfig::default() })]
    #[test]
    fn every_row_is_in_exactly_one_legal_state_whatever_happens(
        threads in prop_oneof![Just(Threads::Many), Just(Threads::One)],
        kinds in prop::collection::vec(0_u8..8, 1..24),
        acts in prop::collection::vec(arb_act(), 1..24),
    ) {
        let mut run = Run::new(threads, &kinds);
        for act in &acts {
            run.act(act);
        }
    }
}
