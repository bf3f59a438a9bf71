//! Reconciling a ledger with a long list over a socket: how long it takes, and how much memory it takes at most.
//!
//! `cargo bench --bench reconcile_list -- 1000000` for a list of that length; without a number it is 100,000.

#![expect(clippy::print_stdout, reason = "the figures are the result")]

use std::collections::BTreeSet;
use std::io::{BufRead, BufReader, BufWriter, Write};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::time::{Duration, Instant};

use cmbatch::client::{AllowHttp, BaseUrl, Client, Endpoint, ListTimeouts};
use cmbatch::ledger::{
    AttemptRecord, Item, Ledger, LedgerError, LoadRow, ManifestPart, Reader, Requeue, RowPlace, RowState, RunIdentity,
    RunInfo, SessionInfo, Step,
};
use cmbatch::reconcile::{self, Asking, Identity, OwnDoubts, Probe, Tagging, Trust, Waits};
use cmbatch::request::{
    CreateRequest, ErrorCode, Fault, Guid, NamedValues, Outcome, RequestType, RowId, Tag, TagPosition,
};
use jiff::Timestamp;

/// Every so manieth row is in doubt, and every second one of these is in the list.
const DOUBTFUL: u32 = 200;

fn guid(space: u8, number: u32) -> Guid {
    let mut bytes = [space; 16];
    bytes[..4].copy_from_slice(&number.to_be_bytes());
    Guid::from_bytes(bytes)
}

fn row(number: u32) -> RowId {
    RowId::new(number).expect("rows count from 1")
}

fn request(number: u32) -> CreateRequest {
    CreateRequest {
        template: Some(guid(1, 0)),
        target: Some(guid(2, number)),
        comment: "onboarding wave".to_owned(),
        ..CreateRequest::new(RequestType::Enroll)
    }
}

fn load(path: &Path, n_rows: u32) -> Ledger {
    let session = SessionInfo {
        version: "0.1.0".to_owned(),
        user: "bench".to_owned(),
        host: "localhost".to_owned(),
        pid: 1,
        command: "submit".to_owned(),
        options: Vec::new(),
        started_at: Timestamp::UNIX_EPOCH,
    };
    let identity = RunIdentity { server: "https://cm.example.test".to_owned(), rehearsal: false, options: Vec::new() };
    let made = Ledger::create(&cmbatch::machine::Machine::system(), path, &identity, &session, |loader| {
        for number in 1..=n_rows {
            loader.add(LoadRow::Item(Box::new(Item {
                row: row(number),
                place: RowPlace { part: 1, part_row: number, line: u64::from(number) + 1 },
                id: None,
                request: request(number),
                notes: NamedValues::new(),
                skipped: None,
            })))?;
        }
        let (name, first_row) = ("wave.csv".to_owned(), row(1));
        Ok::<_, LedgerError>(vec![ManifestPart { part: 1, name, size_bytes: 1, sha256: [0; 32], first_row, n_rows }])
    });
    let mut ledger = made.expect("the bench folder can be written");
    ledger.start_run().expect("the bench folder can be written");
    ledger
}

/// Sends all rows, as far as the ledger can tell.
fn run_through(ledger: &Ledger) {
    let outcome = |number: u32| {
        if number.is_multiple_of(DOUBTFUL) {
            return Outcome::InDoubt(Fault::without_answer(ErrorCode::Timeout, "no answer"));
        }
        Outcome::Created(format!("api/v1.0/requests/{}", guid(3, number)).parse().expect("that is how they look"))
    };
    let mut step = Step { number: 1, claim: 250, ..Step::default() };
    loop {
        let number = step.number;
        let answer = ledger.step_blocking(step).expect("the bench folder can be written");
        if answer.rows.is_empty() {
            return;
        }
        let record = answer.rows.iter().map(|claimed| AttemptRecord {
            row: claimed.row,
            attempt: claimed.attempt,
            started_at: Timestamp::UNIX_EPOCH,
            latency_us: 1_000,
            outcome: outcome(claimed.row.get()),
            then: Requeue::Anyone,
        });
        step = Step { number: number + 1, record: record.collect(), claim: 250, ..Step::default() };
    }
}

/// Writes a list of the rows, as objects of the shape that the API's pages show.
fn write_list(stream: TcpStream, run: &RunInfo) -> std::io::Result<()> {
    let mut reader = BufReader::new(stream.try_clone()?);
    let mut line = String::new();
    while reader.read_line(&mut line)? > 2 {
        line.clear();
    }
    let mut out = BufWriter::with_capacity(64 * 1024, stream);
    out.write_all(b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nConnection: close\r\n\r\n[")?;
    let zero = "00000000-0000-0000-0000-000000000000";
    let descriptor = format!("D:{}{}", "(A;;RC;;;WD)".repeat(8), "\\u0000".repeat(40));
    let n_rows = u32::try_from(run.n_rows()).expect("rows have numbers of 32 bits");
    let in_list = (1..=n_rows).filter(|number| !number.is_multiple_of(2 * DOUBTFUL));
    for (n, number) in in_list.enumerate() {
        let request = request(number);
        let tag = Tag::new(run.id, &run.key, row(number), request.fingerprint());
        let comment = tag.into_comment(&request.comment, TagPosition::Start);
        write!(
            out,
            r#"{}{{"Uuid":"{uuid}", "RequestType":1, "Status":3, "Flags":2,
 "DataCollection":[{{"Name":"Sample item","Value":null}}], "DataCollectionFlags":32,
 "OriginatorUserUuid":"{originator}", "TargetUserUuid":"{target}",
 "NewProfileUuid":"{zero}","OldProfileUuid":"{zero}","NewSmartcardUuid":"{zero}","OldSmartcardUuid":"{zero}",
 "ProfileTemplateUuid":"{template}","ProfileTemplateVersion":46,"Comment":"{comment}","Priority":0,
 "SecurityDescriptor":"{descriptor}","Submitted":"2026-03-05T10:11:12.93Z","Completed":"0001-01-01T00:00:00",
 "IsSmartcard":true,"ApprovalsNeeded":0,"IsDataCollectionComplete":false}}"#,
            if n == 0 { "" } else { "," },
            uuid = guid(3, number),
            originator = guid(4, 0),
            target = guid(2, number),
            template = guid(1, 0),
        )?;
    }
    out.write_all(b"]")?;
    out.flush()
}

/// Forgets how much memory the process took at most so far.
fn forget_peak() {
    std::fs::write("/proc/self/clear_refs", "5").expect("Linux lets a process do that");
}

fn memory_kib(name: &str) -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").expect("Linux has it");
    let line = status.lines().find(|line| line.starts_with(name)).unwrap_or_default();
    line.split_whitespace().nth(1).and_then(|number| number.parse().ok()).unwrap_or_default()
}

fn main() {
    let n_rows = std::env::args().find_map(|text| text.parse().ok()).unwrap_or(100_000);
    let folder = tempfile::tempdir().expect("a folder for temporary files");
    let ledger = load(&folder.path().join("bench.ledger"), n_rows);
    run_through(&ledger);

    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let address = listener.local_addr().expect("it is bound");
    let run = ledger.run().clone();
    std::thread::spawn(move || listener.incoming().flatten().try_for_each(|stream| write_list(stream, &run)));
    let base = BaseUrl::parse(&format!("http://{address}"), AllowHttp::LoopbackOnly).expect("it is a URL");
    let client = Client::new(&Endpoint::new(base)).expect("nothing is signed in");
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");

    let other = load(&folder.path().join("other.ledger"), n_rows);
    for (what, ledger) in [("another run's list", &other), ("the run's own list", &ledger)] {
        let reader = Reader::open(ledger.path()).expect("it was just made");
        measure(what, || {
            let report = runtime.block_on(look(ledger, &reader, &client));
            let n_elsewhere: u64 = report.hits.by_run().iter().map(|run| run.n_rows).sum();
            format!(
                "{} read, {} found, {} left, {n_elsewhere} rows of another run",
                report.read, report.found, report.left
            )
        });
    }
}

/// Reads the list once, as at the start of a session.
async fn look(ledger: &Ledger, reader: &Reader, client: &Client) -> reconcile::Report {
    let who = Identity { run: ledger.run().id, key: ledger.run().key.clone(), tagging: Tagging::Tagged };
    let asking = Asking {
        who: &who,
        trust: Trust::Proof,
        waits: Waits { settle: Duration::from_secs(30), server_limit: Duration::from_secs(125) },
        max_attempts: 5,
        session: ledger.session(),
        audited_from: ledger.session(),
        began: Duration::ZERO,
        asked_at: Duration::from_secs(3_600),
        own_doubts: &OwnDoubts::default(),
        recent: &[],
        lag: None,
        lags: false,
        first_date: None,
        probe: Probe::None,
        probe_since: None,
        may_send: &[RowState::Pending],
        leave_out: &BTreeSet::new(),
        look_back: Some(Duration::MAX),
        n_around: Asking::N_AROUND,
    };
    let looked = reconcile::look(ledger, reader, client, ListTimeouts::default(), &asking).await;
    looked.expect("the ledger is sound")
}

fn measure(what: &str, work: impl FnOnce() -> String) {
    forget_peak();
    let (start, before) = (Instant::now(), memory_kib("VmRSS:"));
    let result = work();
    let (taken, peak) = (start.elapsed().as_secs_f64(), memory_kib("VmHWM:"));
    println!("{what}: {result}; {taken:.2} s, peak {peak} KiB, {before} KiB of it before");
}
