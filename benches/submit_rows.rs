//! Sending rows to the simulator: the whole pipeline with its ledger, beside a bare loop of the same client.

use std::hint::black_box;
use std::net::{Ipv4Addr, SocketAddr};
use std::num::{NonZeroU32, NonZeroUsize};
use std::path::Path;
use std::time::Duration;

use cmbatch::client::{AllowHttp, BaseUrl, Client, Endpoint, On503};
use cmbatch::event::NoSink;
use cmbatch::ledger::{
    Item, Ledger, LedgerError, LoadRow, ManifestPart, RowPlace, RunIdentity, SessionEnd, SessionInfo,
};
use cmbatch::machine::Machine;
use cmbatch::reconcile::Asking;
use cmbatch::request::{CreateRequest, DataEncoding, Guid, NamedValues, RequestType, RowId, TagPosition};
use cmbatch::simulator::{LatencyRange, Script, Simulator};
use cmbatch::submit::{self, BreakerRules, CheckFirst, Limits, Memory, Rate, Sending, StopLevel, Wire, Work};
use criterion::{BatchSize, Criterion, Throughput, criterion_group, criterion_main};
use futures_util::StreamExt;
use jiff::Timestamp;

const N_ROWS: u32 = 1_000;
const CONCURRENCY: usize = 16;

fn request(row: u32) -> CreateRequest {
    let mut target = [0; 16];
    target[..4].copy_from_slice(&row.to_be_bytes());
    CreateRequest {
        template: Some(Guid::from_bytes([7; 16])),
        target: Some(Guid::from_bytes(target)),
        comment: "New hire".to_owned(),
        ..CreateRequest::new(RequestType::Enroll)
    }
}

fn load(path: &Path) -> Ledger {
    let identity = RunIdentity { server: "simulator".to_owned(), rehearsal: true, options: Vec::new() };
    let session = SessionInfo {
        version: "bench".to_owned(),
        user: "bench".to_owned(),
        host: "bench".to_owned(),
        pid: std::process::id(),
        command: "bench".to_owned(),
        options: Vec::new(),
        started_at: Timestamp::now(),
    };
    let first_row = RowId::new(1).expect("1 is a row");
    let mut ledger = Ledger::create(&cmbatch::machine::Machine::system(), path, &identity, &session, |loader| {
        for (row, id) in (1..=N_ROWS).filter_map(|row| RowId::new(row).map(|id| (row, id))) {
            loader.add(LoadRow::Item(Box::new(Item {
                row: id,
                place: RowPlace { part: 1, part_row: row, line: u64::from(row) + 1 },
                id: None,
                request: request(row),
                notes: NamedValues::new(),
                skipped: None,
            })))?;
        }
        let part = ManifestPart {
            part: 1,
            name: "bench".to_owned(),
            size_bytes: 0,
            sha256: [0; 32],
            first_row,
            n_rows: N_ROWS,
        };
        Ok::<_, LedgerError>(vec![part])
    })
    .expect("the ledger is made");
    ledger.start_run().expect("the run is started");
    ledger
}

fn submit_rows(criterion: &mut Criterion) {
    let script = Script { latency: LatencyRange::NONE, keep_arrivals: 0, ..Script::default() };
    let simulator =
        Simulator::start(script, SocketAddr::from((Ipv4Addr::LOCALHOST, 0)), Vec::new()).expect("a port is free");
    let base = BaseUrl::parse(&simulator.base_url(), AllowHttp::LoopbackOnly).expect("loopback");
    let client = Client::new(&Endpoint::new(base)).expect("a client");
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    let limits = Limits {
        rate: Rate::Unlimited,
        burst: NonZeroU32::MIN,
        concurrency: NonZeroUsize::new(CONCURRENCY).expect("not 0"),
        max_attempts: NonZeroU32::MIN,
        stall: Duration::from_secs(600),
        breaker: BreakerRules::default(),
        on_503: On503::InDoubt,
        read_back: Duration::from_secs(30),
        check_first: CheckFirst::Stop,
        n_around: Asking::N_AROUND,
    };
    let mut group = criterion.benchmark_group("submit_rows");
    group.throughput(Throughput::Elements(N_ROWS.into())).sample_size(10);
    group.bench_function("pipeline_with_ledger", |bencher| {
        bencher.iter_batched(
            || {
                let folder = tempfile::tempdir().expect("a folder");
                let ledger = load(&folder.path().join("bench.ledger"));
                (folder, ledger)
            },
            |(folder, ledger)| {
                let run = ledger.run();
                let wire = Wire {
                    run: run.id,
                    key: run.key.clone(),
                    tag_position: TagPosition::Start,
                    data: DataEncoding::Array,
                };
                let control = tokio::sync::watch::channel(StopLevel::Run).1;
                let mut memory = Memory::new(&Machine::system(), &limits, Vec::new());
                let sending = Sending { engine: &ledger, calls: &client, wire: &wire, limits: &limits, sink: &NoSink };
                let round = submit::run(&sending, &mut memory, Work::InOrder, N_ROWS.into(), control);
                let report = runtime.block_on(round);
                assert_eq!(report.created, u64::from(N_ROWS));
                ledger.close(SessionEnd::Finished).expect("the ledger is closed");
                folder
            },
            BatchSize::PerIteration,
        );
    });
    group.bench_function("bare_client_loop", |bencher| {
        bencher.iter(|| {
            let calls = futures_util::stream::iter(1..=N_ROWS)
                .map(|row| client.create(request(row).wire_body("x", DataEncoding::Array), None))
                .buffer_unordered(CONCURRENCY);
            black_box(runtime.block_on(calls.count()))
        });
    });
    group.finish();
    simulator.stop();
}

criterion_group!(benches, submit_rows);
criterion_main!(benches);
