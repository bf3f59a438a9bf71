//! Random sequences of all that is done to a ledger, crashes and clean ends, against a model of what each row must be.

use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;
use proptest::sample::Index;

use super::agreement::check_agreement;
use super::model::{Fate, Model, ModelRow};
use super::support::*;
use crate::ledger::{
    AttemptRecord, ClaimKinds, CreateError, Item, Ledger, LedgerError, LoadRow, ManifestPart, Requeue, Resolution,
    RowEvent, RowState, RowVerdict, SessionEnd, Step,
};
use crate::machine::Threads;
use crate::request::{CreateRequest, ErrorCode, Fault, Outcome, RequestKind, RequestType, RowId};

#[derive(Clone, Debug)]
enum Act {
    /// A step: the fates of the claimed rows in order, whether to claim the held rows, which listed rows to claim by number,
    /// how many rows to claim, and of which kinds.
    Step { fates: Vec<Fate>, claim_held: bool, listed: Vec<Index>, claim: u32, kinds: ClaimKinds },
    /// A step that records a row that is not claimed, beside legal parts.
    BadStep { pick: Index, claim: u32 },
    /// Verdicts on rows, legal or not.
    Resolve(Vec<(Index, RowVerdict, Option<String>)>),
    /// Verdicts on rows in doubt and on failed ones, which are legal.
    Settle(Vec<(Index, bool)>),
    /// Rows that can be dropped are.
    Drop(Vec<Index>),
    /// Rows that are left out are not any more.
    Restore(Vec<Index>),
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
        (1_u32..200).prop_map(Fate::Created),
        (1_u32..9).prop_map(Fate::Created),
        Just(Fate::Failed),
        Just(Fate::InDoubt),
        Just(Fate::Pending(Requeue::Anyone)),
        Just(Fate::Pending(Requeue::Listed)),
        Just(Fate::GivenBack),
    ]
}

fn arb_verdict() -> impl Strategy<Value = RowVerdict> {
    prop_oneof![
        2 => (1_u32..9).prop_map(|number| RowVerdict::Exists(uri(number))),
        1 => Just(RowVerdict::Absent),
        1 => Just(RowVerdict::AbsentForGood),
        1 => Just(RowVerdict::Contradicted),
        1 => Just(RowVerdict::LeftOut),
        1 => (1_u32..9).prop_map(|number| RowVerdict::Elsewhere(uuid(number))),
        2 => Just(RowVerdict::Dropped),
        2 => Just(RowVerdict::Restored),
        1 => Just(RowVerdict::Again),
    ]
}

fn arb_kinds() -> impl Strategy<Value = ClaimKinds> {
    let some = || prop::sample::subsequence((0..3).map(kind_of).collect::<Vec<_>>(), 0..=3);
    prop_oneof![
        Just(ClaimKinds::All),
        (some(), some(), 0_u32..4).prop_map(|(open, held, pass_over)| ClaimKinds::Guarded { open, held, pass_over }),
    ]
}

fn arb_act() -> impl Strategy<Value = Act> {
    let picks = || prop::collection::vec(any::<Index>(), 0..4);
    let verdict = (any::<Index>(), arb_verdict(), prop::option::of(Just("because".to_owned())));
    prop_oneof![
        8 => (prop::collection::vec(arb_fate(), 0..12), any::<bool>(), picks(), 0_u32..6, arb_kinds())
            .prop_map(|(fates, claim_held, listed, claim, kinds)| Act::Step { fates, claim_held, listed, claim, kinds }),
        1 => (any::<Index>(), 0_u32..4).prop_map(|(pick, claim)| Act::BadStep { pick, claim }),
        3 => prop::collection::vec(verdict, 1..3).prop_map(Act::Resolve),
        3 => prop::collection::vec(any::<(Index, bool)>(), 1..5).prop_map(Act::Settle),
        2 => prop::collection::vec(any::<Index>(), 1..4).prop_map(Act::Drop),
        2 => prop::collection::vec(any::<Index>(), 1..4).prop_map(Act::Restore),
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
        Fate::Created(number) => created(number),
        Fate::Failed => Outcome::Failed(fault),
        Fate::InDoubt => Outcome::InDoubt(fault),
        Fate::Pending(_) => Outcome::Pending(fault),
        Fate::StaysOpen | Fate::GivenBack => unreachable!("these are not recorded"),
    }
}

fn kind_of(number: u8) -> RequestKind {
    RequestKind { request_type: RequestType::Enroll, template: Some(guid(number)) }
}

/// A row of one of the kinds, and what the model knows of it.
fn loaded(number: u32, kind: u8) -> (LoadRow, ModelRow) {
    let item = full_item(number);
    let request = CreateRequest { template: kind_of(kind % 3).template, ..item.request };
    let request_kind = Some(request.request_kind());
    let skipped_kind = RequestKind { request_type: RequestType::Unblock, template: None };
    match kind {
        0 => (skipped(number), ModelRow::loaded(RowState::Skipped, Some(skipped_kind))),
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
        let model = Model { rows: known, ..Model::default() };
        Self { place, ledger, number: 0, n_parts: 1, model }
    }

    fn ledger(&self) -> &Ledger {
        self.ledger.as_ref().unwrap()
    }

    fn act(&mut self, act: &Act) {
        match act {
            Act::Step { fates, claim_held, listed, claim, kinds } => {
                self.step(fates, *claim_held, listed, (*claim, kinds));
            }
            Act::BadStep { pick, claim } => self.bad_step(*pick, *claim),
            Act::Resolve(verdicts) => self.resolve_any(verdicts),
            Act::Settle(picks) => self.settle(picks),
            Act::Drop(picks) => {
                self.give_each(picks, RowVerdict::Dropped, |known| known.state.next(RowEvent::Dropped).is_ok())
            }
            Act::Restore(picks) => self.give_each(picks, RowVerdict::Restored, |known| known.beneath.is_some()),
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
                assert_eq!(run.n_rows(), u64::from(last));
                for (line, _) in added {
                    loader.add(line)?;
                }
                pairs.iter().try_for_each(|(old, new)| loader.replace(*old, *new))?;
                Ok::<_, LedgerError>(vec![part])
            });
        match (appended, expected) {
            (Ok(ledger), Some(model)) => {
                assert_eq!(ledger.run().n_rows(), u64::from(last) + kinds.len() as u64);
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

    fn step(&mut self, fates: &[Fate], claim_held: bool, listed: &[Index], (claim, kinds): (u32, &ClaimKinds)) {
        let mut step = Step { claim, kinds: kinds.clone(), ..Step::default() };
        let open: Vec<_> = self.model.open.iter().map(|(row, attempt)| (*row, *attempt)).collect();
        let mut shared = Vec::new();
        for (&fate, (row, attempt)) in fates.iter().zip(open) {
            let passing = [ErrorCode::Throttled, ErrorCode::NotConnected, ErrorCode::Unavailable];
            let passing = passing[row.get() as usize % passing.len()];
            let code = if matches!(fate, Fate::Pending(_)) { passing } else { ErrorCode::Timeout };
            match fate {
                Fate::StaysOpen => continue,
                Fate::GivenBack => step.give_back.push((row, attempt)),
                Fate::Created(_) | Fate::Failed | Fate::InDoubt | Fate::Pending(_) => {
                    let then = if let Fate::Pending(then) = fate { then } else { Requeue::Anyone };
                    let outcome = outcome_of(fate, code);
                    step.record.push(AttemptRecord { then, ..record(row.get(), attempt.get(), outcome) });
                }
            }
            let owner = self.model.end(row, fate, code);
            if let (Some(owner), Fate::Created(number)) = (owner, fate) {
                shared.push((row, owner, uuid(number)));
            }
        }
        if claim_held {
            step.claim_rows = self.model.rows.iter().filter(|(_, row)| row.is_held).map(|(row, _)| *row).collect();
        }
        let free = self.model.free_again();
        let by_number: BTreeSet<RowId> =
            listed.iter().filter(|_| !free.is_empty()).map(|one| *one.get(&free)).collect();
        step.claim_rows.extend(&by_number);
        step.number = self.number + 1;
        let claimed = self.model.claims(claim, kinds, &step.claim_rows);
        let expected: Vec<RowId> = claimed.by_number.iter().chain(&claimed.rows).copied().collect();
        let ledger = self.ledger();
        let answer = ledger.step_blocking(step.clone()).unwrap();
        assert_eq!(ledger.step_blocking(step).unwrap(), answer, "the same number gives the same answer");
        self.number += 1;
        assert_eq!(answer.rows.iter().map(|claimed| claimed.row).collect::<Vec<_>>(), expected);
        assert_eq!((&answer.passed_over, answer.stopped_short), (&claimed.passed_over, claimed.stopped_short));
        assert_eq!(answer.shared, shared);
        for claimed in &answer.rows {
            self.model.claim(claimed.row, claimed.attempt, claimed.counted_attempts);
        }
    }

    /// Gives rows of those that can take it the same verdict.
    fn give_each(&mut self, picks: &[Index], verdict: RowVerdict, can: impl Fn(&ModelRow) -> bool) {
        let rows: Vec<RowId> = self.model.rows.iter().filter(|(_, known)| can(known)).map(|(row, _)| *row).collect();
        if rows.is_empty() {
            return;
        }
        let picked: BTreeSet<RowId> = picks.iter().map(|pick| *pick.get(&rows)).collect();
        self.resolve(picked.into_iter().map(|row| resolution(row.get(), verdict.clone())).collect());
    }

    fn bad_step(&mut self, pick: Index, claim: u32) {
        let closed: Vec<RowId> =
            self.model.rows.keys().filter(|row| !self.model.open.contains_key(row)).copied().collect();
        if closed.is_empty() {
            return;
        }
        let mut records: Vec<_> = self
            .model
            .open
            .iter()
            .map(|(row, attempt)| record(row.get(), attempt.get(), created(900 + row.get())))
            .collect();
        records.push(record(pick.get(&closed).get(), 1, created(900)));
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
            (true, _) => RowVerdict::Exists(uri(300 + row.get())),
            (false, RowState::Failed) => RowVerdict::Again,
            (false, _) => RowVerdict::Absent,
        };
        self.resolve(settled.into_iter().map(|(row, exists)| resolution(row.get(), verdict(row, exists))).collect());
    }

    fn resolve(&mut self, resolutions: Vec<Resolution>) {
        let before = dump(&self.place.path);
        let expected = self.model.resolved(&resolutions);
        match (self.ledger().resolve_blocking(resolutions, None), expected) {
            (Ok(()), Some(model)) => self.model = model,
            (Err(LedgerError::Refused(_)), None) => assert_eq!(dump(&self.place.path), before),
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
        let found: Vec<_> =
            rows.iter().map(|row| (row.row, row.state, row.attempts, row.replaced_by, row.request_uuid)).collect();
        let expected: Vec<_> = self
            .model
            .rows
            .iter()
            .map(|(row, known)| (*row, reads(known.state), known.attempts, known.replaced_by, known.uuid))
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
