//! The same over a real ledger, crashes included.

use std::path::PathBuf;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use proptest::prelude::*;
use tempfile::TempDir;

use super::property::{arb_act, play};
use super::support::*;
use super::world::{Desk, World};
use crate::ledger::{
    AttemptRecord, CreatedMarks, CreatedRow, DoubtfulRow, Item, Ledger, LedgerError, LoadRow, ManifestPart, Reader,
    Requeue, Resolution, RowFacts, RowPlace, RunIdentity, SessionInfo, Step,
};
use crate::reconcile::{Book, Identity, LedgerBook, Tagging};
use crate::request::{AttemptNo, CreateRequest, NamedValues, Outcome, RowId};

/// A ledger in a folder of its own.
struct RealDesk {
    _folder: TempDir,
    path: PathBuf,
    /// None only while another process opens it.
    open: Option<Open>,
}

struct Open {
    ledger: Ledger,
    reader: Reader,
    n_steps: u64,
    claimed: Vec<(RowId, AttemptNo)>,
}

impl Open {
    fn of(ledger: Ledger) -> Self {
        let reader = Reader::open(ledger.path()).unwrap();
        Self { ledger, reader, n_steps: 0, claimed: Vec::new() }
    }

    fn step(&mut self, step: Step) -> Vec<crate::ledger::ClaimedRow> {
        self.n_steps += 1;
        let answer = self.ledger.step_blocking(Step { number: self.n_steps, ..step }).unwrap();
        self.claimed.extend(answer.rows.iter().map(|claimed| (claimed.row, claimed.attempt)));
        answer.rows
    }
}

fn session() -> SessionInfo {
    SessionInfo {
        version: "0.1.0".to_owned(),
        user: "alice".to_owned(),
        host: "ops1".to_owned(),
        pid: 4711,
        command: "submit".to_owned(),
        options: Vec::new(),
        started_at: noon(),
    }
}

fn item(number: u32) -> LoadRow {
    LoadRow::Item(Box::new(Item {
        row: row(number),
        place: RowPlace { part: 1, part_row: number, line: u64::from(number) + 1 },
        id: None,
        request: request(number),
        notes: NamedValues::new(),
        skipped: None,
    }))
}

impl RealDesk {
    fn new(n_rows: u32) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("wave.ledger");
        let identity =
            RunIdentity { server: "https://cm.example.test".to_owned(), rehearsal: false, options: Vec::new() };
        let mut ledger = Ledger::create(&crate::machine::Machine::system(), &path, &identity, &session(), |loader| {
            (1..=n_rows).try_for_each(|number| loader.add(item(number)))?;
            let name = "wave.csv".to_owned();
            let part = ManifestPart { part: 1, name, size_bytes: 9, sha256: [0; 32], first_row: row(1), n_rows };
            Ok::<_, LedgerError>(vec![part])
        })
        .unwrap();
        ledger.start_run().unwrap();
        Self { _folder: folder, path, open: Some(Open::of(ledger)) }
    }

    fn who(&self) -> Identity {
        let run = self.open().ledger.run();
        Identity { run: run.id, key: run.key.clone(), tagging: Tagging::Tagged }
    }

    fn open(&self) -> &Open {
        self.open.as_ref().unwrap()
    }

    fn book(&self) -> LedgerBook<'_> {
        LedgerBook::new(&self.open().ledger, &self.open().reader)
    }
}

impl Book for RealDesk {
    fn in_doubt(&self, after: u32, limit: u32) -> Result<Vec<DoubtfulRow>, LedgerError> {
        self.book().in_doubt(after, limit)
    }

    fn n_in_doubt(&self) -> Result<u64, LedgerError> {
        self.book().n_in_doubt()
    }

    fn newest_created(&self, limit: u32) -> Result<Vec<CreatedRow>, LedgerError> {
        self.book().newest_created(limit)
    }

    fn created(&self, after: u32, limit: u32) -> Result<Vec<CreatedRow>, LedgerError> {
        self.book().created(after, limit)
    }

    fn facts(&self, row: RowId) -> Result<Option<RowFacts>, LedgerError> {
        self.book().facts(row)
    }

    fn created_marks(&self) -> Result<CreatedMarks, LedgerError> {
        self.book().created_marks()
    }

    async fn resolve(&self, resolutions: Vec<Resolution>) -> Result<(), LedgerError> {
        self.book().resolve(resolutions).await
    }
}

impl Desk for RealDesk {
    fn claim(&mut self, n: usize) -> Vec<(RowId, u32, CreateRequest)> {
        let step = Step { claim: u32::try_from(n).unwrap(), ..Step::default() };
        let rows = self.open.as_mut().unwrap().step(step);
        rows.into_iter().map(|claimed| (claimed.row, claimed.counted_attempts, claimed.request)).collect()
    }

    fn record(&mut self, row: RowId, started_at: Timestamp, took: Duration, outcome: Outcome) {
        let open = self.open.as_mut().unwrap();
        let at = open.claimed.iter().position(|(claimed, _)| *claimed == row).unwrap();
        let (row, attempt) = open.claimed.swap_remove(at);
        let latency_us = u64::try_from(took.as_micros()).unwrap();
        let record = AttemptRecord { row, attempt, started_at, latency_us, outcome, then: Requeue::Anyone };
        open.step(Step { record: vec![record], ..Step::default() });
    }

    fn crash(&mut self, _now: Timestamp) {
        drop(self.open.take());
        self.open = Some(Open::of(Ledger::open(&crate::machine::Machine::system(), &self.path, &session()).unwrap()));
    }

    fn back_up(&mut self) {}

    /// What to do with an older copy is not decided by the ledger: here the process only dies.
    fn restore(&mut self, now: Timestamp) {
        self.crash(now);
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, ..ProptestConfig::default() })]

    #[test]
    fn a_real_ledger_keeps_the_promise_too(
        n_rows in 1_u32..8,
        acts in prop::collection::vec(arb_act(Tagging::Tagged), 0..16),
    ) {
        let desk = RealDesk::new(n_rows);
        let who = desk.who();
        play(World::new(desk, n_rows, who, SignedDuration::ZERO), &acts);
    }
}
