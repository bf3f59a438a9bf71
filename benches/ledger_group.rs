//! Loading a ledger, and the step that a run lives on: record a group of outcomes and claim the next rows in one commit.
//!
//! The ledger lies in the folder for temporary files; on a memory disk a sync costs nothing and the figures say little.

use std::hint::black_box;
use std::path::Path;
use std::time::{Duration, Instant};

use cmbatch::ledger::{
    AttemptRecord, Item, Ledger, LedgerError, LoadRow, ManifestPart, Reader, Requeue, RowPlace, RowState, RunIdentity,
    SessionEnd, SessionInfo, Step,
};
use cmbatch::request::{CreateRequest, Guid, NamedValue, Outcome, RequestType, RowId};
use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use jiff::Timestamp;

const ROWS: u32 = 100_000;

fn session() -> SessionInfo {
    SessionInfo {
        version: "0.1.0".to_owned(),
        user: "bench".to_owned(),
        host: "localhost".to_owned(),
        pid: 1,
        command: "submit".to_owned(),
        options: Vec::new(),
        started_at: Timestamp::UNIX_EPOCH,
    }
}

fn guid(number: u32) -> Guid {
    // Spread like random GUIDs, and the same in every run.
    let mixed = u64::from(number).wrapping_mul(0x9E37_79B9_7F4A_7C15);
    let mut bytes = [0; 16];
    bytes[..8].copy_from_slice(&mixed.to_be_bytes());
    bytes[8..].copy_from_slice(&mixed.rotate_left(32).to_be_bytes());
    Guid::from_bytes(bytes)
}

fn item(number: u32) -> Item {
    Item {
        row: RowId::new(number).expect("rows count from 1"),
        place: RowPlace { part: 1, part_row: number, line: u64::from(number) + 1 },
        id: Some(format!("E{:06}", guid(number).as_bytes()[0])),
        request: CreateRequest {
            template: Some(guid(0)),
            target: Some(guid(number)),
            comment: "onboarding wave".to_owned(),
            data: [NamedValue::new("department", "Finance"), NamedValue::new("building", "B2")].into_iter().collect(),
            ..CreateRequest::new(RequestType::Enroll)
        },
        notes: [NamedValue::new("name", "Zoë Example")].into_iter().collect(),
        skipped: None,
    }
}

fn create(path: &Path, n_rows: u32) -> Ledger {
    let identity = RunIdentity { server: "https://cm.example.test".to_owned(), rehearsal: false, options: Vec::new() };
    let made = Ledger::create(&cmbatch::machine::Machine::system(), path, &identity, &session(), |loader| {
        for number in 1..=n_rows {
            loader.add(LoadRow::Item(Box::new(item(number))))?;
        }
        let first_row = RowId::new(1).expect("rows count from 1");
        let name = "wave.csv".to_owned();
        Ok::<_, LedgerError>(vec![ManifestPart { part: 1, name, size_bytes: 1, sha256: [0; 32], first_row, n_rows }])
    });
    let mut ledger = made.expect("the bench folder can be written");
    ledger.start_run().expect("the bench folder can be written");
    ledger
}

fn load(c: &mut Criterion) {
    let mut group = c.benchmark_group("load");
    group.sample_size(10);
    for n_rows in [1_000, ROWS] {
        group.throughput(Throughput::Elements(u64::from(n_rows)));
        group.bench_function(BenchmarkId::from_parameter(n_rows), |bencher| {
            bencher.iter_custom(|times| {
                let mut taken = Duration::ZERO;
                for _ in 0..times {
                    let folder = tempfile::tempdir().expect("a folder for temporary files");
                    let start = Instant::now();
                    let ledger = create(&folder.path().join("bench.ledger"), n_rows);
                    taken += start.elapsed();
                    drop(ledger);
                }
                taken
            });
        });
    }
    group.finish();
}

/// Runs a whole ledger through, a group at a time, and returns how long that took and how many steps it was.
fn run_through(n_rows: u32, group_size: u32) -> Duration {
    let folder = tempfile::tempdir().expect("a folder for temporary files");
    let ledger = create(&folder.path().join("bench.ledger"), n_rows);
    let uri = "api/v1.0/requests/0c96d73f-967b-420e-854a-43ad2a1504bc".parse().expect("a published example");
    let outcome = Outcome::Created(uri);
    let start = Instant::now();
    let mut step = Step { number: 1, claim: group_size, ..Step::default() };
    loop {
        let number = step.number;
        let answer = ledger.step_blocking(step).expect("the bench folder can be written");
        if answer.rows.is_empty() {
            break;
        }
        let record = answer.rows.iter().map(|claimed| AttemptRecord {
            row: claimed.row,
            attempt: claimed.attempt,
            started_at: Timestamp::UNIX_EPOCH,
            latency_us: 1_000,
            outcome: outcome.clone(),
            then: Requeue::Anyone,
        });
        step = Step { number: number + 1, record: record.collect(), claim: group_size, ..Step::default() };
    }
    let taken = start.elapsed();
    ledger.close(SessionEnd::Finished).expect("the bench folder can be written");
    taken
}

fn steps(c: &mut Criterion) {
    let mut group = c.benchmark_group("record_and_claim");
    group.sample_size(10);
    for group_size in [10, 100, 250] {
        let n_rows = group_size * 100;
        group.throughput(Throughput::Elements(u64::from(n_rows)));
        group.bench_function(BenchmarkId::from_parameter(group_size), |bencher| {
            bencher.iter_custom(|times| (0..times).map(|_| run_through(n_rows, group_size)).sum());
        });
    }
    group.sample_size(10).throughput(Throughput::Elements(u64::from(ROWS)));
    group.bench_function(BenchmarkId::new("whole", ROWS), |bencher| {
        bencher.iter_custom(|times| (0..times).map(|_| run_through(ROWS, 100)).sum());
    });
    group.finish();
}

fn read(c: &mut Criterion) {
    let folder = tempfile::tempdir().expect("a folder for temporary files");
    let path = folder.path().join("bench.ledger");
    let _ledger = create(&path, ROWS);
    let reader = Reader::open(&path).expect("it was just made");
    let mut group = c.benchmark_group("read");
    group.sample_size(10);
    group.bench_function("tallies", |bencher| bencher.iter(|| black_box(reader.tallies())));
    group.throughput(Throughput::Elements(u64::from(ROWS)));
    group.bench_function("all_pages", |bencher| {
        bencher.iter(|| {
            let mut after = 0;
            while let Some(last) = reader.page(after, 1000, &[]).expect("it can be read").last() {
                after = last.row.get();
            }
            after
        });
    });
    group.bench_function("a_page_that_no_row_is_on", |bencher| {
        bencher.iter(|| black_box(reader.page(0, 1000, &[RowState::Failed])));
    });
    group.finish();
}

criterion_group!(benches, load, steps, read);
criterion_main!(benches);
