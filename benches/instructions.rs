//! How many instructions a row costs, by callgrind: figures that do not depend on how busy the machine is.
//!
//! ```text
//! cargo bench --bench instructions                compares with benches/instructions.csv; more than 3 % more is an error
//! cargo bench --bench instructions -- --record    writes it anew
//! ```
//!
//! Each part runs under `valgrind --tool=callgrind` with so many rows and with three times as many, in a process of its own
//! and on one thread; the difference is what the rows cost. Valgrind shows the processor without its SHA instructions, so a
//! hash counts some ten times what it takes.

#![expect(clippy::print_stdout, reason = "the figures are the result")]

use std::error::Error;
use std::fmt::Write as _;
use std::hint::black_box;
use std::path::Path;
use std::process::Command;

use cmbatch::client::{Answer, HttpAnswer, On503, classify};
use cmbatch::ledger::{
    AttemptRecord, Item, Ledger, LedgerError, LoadRow, ManifestPart, Requeue, RowPlace, RunIdentity, SessionInfo, Step,
};
use cmbatch::manifest::{Manifest, ReadOptions, Source};
use cmbatch::request::{
    CreateRequest, DataEncoding, Guid, NamedValue, Outcome, RequestType, RowId, RunId, RunKey, TagPosition,
};
use cmbatch::submit::Wire;
use cmbatch::validate::{Rules, survey};
use jiff::Timestamp;

type Result<T> = std::result::Result<T, Box<dyn Error>>;

const N_ROWS: u32 = 2_000;
/// How much more than recorded is an error, in percent.
const TOLERANCE: f64 = 3.0;
const RECORDED: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/benches/instructions.csv");

/// A part: its name, what it needs that is not counted, and what is counted.
struct Part {
    name: &'static str,
    prepare: fn(&Path, u32) -> Result<()>,
    run: fn(&Path, u32) -> Result<()>,
}

const PARTS: [Part; 6] = [
    Part { name: "parse", prepare: write_manifest, run: parse },
    Part { name: "validate", prepare: write_manifest, run: validate },
    Part { name: "load", prepare: nothing, run: load },
    Part { name: "claim_and_record", prepare: load, run: claim_and_record },
    Part { name: "body", prepare: nothing, run: body },
    Part { name: "classify", prepare: nothing, run: classify_answers },
];

fn nothing(_: &Path, _: u32) -> Result<()> {
    Ok(())
}

fn guid(number: u32) -> Guid {
    let mixed = u128::from(number).wrapping_mul(0x9E37_79B9_7F4A_7C15_F39C_C060_5CED_C835);
    Guid::from_bytes(mixed.to_be_bytes())
}

fn write_manifest(path: &Path, n_rows: u32) -> Result<()> {
    let mut text = "id,type,profiletemplateuuid,target,comment,data.City,data.Department,note.Name\n".to_owned();
    let template = guid(u32::MAX);
    for row in 1..=n_rows {
        let target = guid(row);
        writeln!(text, "E{row:07},Enroll,{template},{target},new hire,Oslo,Engineering,Person {row:07} Doe")?;
    }
    Ok(std::fs::write(path, text)?)
}

fn open(path: &Path) -> Result<Manifest> {
    let options = ReadOptions { format: Some(cmbatch::manifest::Format::Csv), ..ReadOptions::default() };
    Ok(Manifest::open(Source::File(path.to_owned()), &options)?)
}

fn parse(path: &Path, n_rows: u32) -> Result<()> {
    let mut chunks = open(path)?.chunks()?;
    let mut n_read = 0;
    while let Some(chunk) = chunks.next_chunk()? {
        chunk.for_each(|row| n_read += u32::from(row.is_ok()));
    }
    assert_eq!(n_read, n_rows);
    Ok(())
}

fn validate(path: &Path, n_rows: u32) -> Result<()> {
    let found = survey(&[open(path)?], &Rules::default(), &|_| {})?;
    assert_eq!(found.n_valid, u64::from(n_rows));
    Ok(())
}

fn request(number: u32) -> CreateRequest {
    CreateRequest {
        template: Some(guid(0)),
        target: Some(guid(number)),
        comment: "onboarding wave".to_owned(),
        data: [NamedValue::new("City", "Oslo"), NamedValue::new("Department", "Engineering")].into_iter().collect(),
        ..CreateRequest::new(RequestType::Enroll)
    }
}

fn row(number: u32) -> RowId {
    RowId::new(number).expect("rows count from 1")
}

fn session() -> SessionInfo {
    SessionInfo {
        version: "bench".to_owned(),
        user: "bench".to_owned(),
        host: "bench".to_owned(),
        pid: 1,
        command: "bench".to_owned(),
        options: Vec::new(),
        started_at: Timestamp::UNIX_EPOCH,
    }
}

fn load(path: &Path, n_rows: u32) -> Result<()> {
    let identity = RunIdentity { server: "bench".to_owned(), rehearsal: true, options: Vec::new() };
    let mut ledger = Ledger::create(&cmbatch::machine::Machine::system(), path, &identity, &session(), |loader| {
        for number in 1..=n_rows {
            loader.add(LoadRow::Item(Box::new(Item {
                row: row(number),
                place: RowPlace { part: 1, part_row: number, line: u64::from(number) + 1 },
                id: Some(format!("E{number:07}")),
                request: request(number),
                notes: [NamedValue::new("Name", "Person Doe")].into_iter().collect(),
                skipped: None,
            })))?;
        }
        let (name, first_row) = ("bench".to_owned(), row(1));
        Ok::<_, LedgerError>(vec![ManifestPart { part: 1, name, size_bytes: 1, sha256: [0; 32], first_row, n_rows }])
    })?;
    Ok(ledger.start_run().map(|_| ())?)
}

fn claim_and_record(path: &Path, n_rows: u32) -> Result<()> {
    let ledger = Ledger::open(&cmbatch::machine::Machine::system(), path, &session())?;
    let uri = "api/v1.0/requests/0c96d73f-967b-420e-854a-43ad2a1504bc".parse().expect("a published example");
    let outcome = Outcome::Created(uri);
    let (mut n_claimed, mut number, mut record) = (0, 0, Vec::new());
    loop {
        number += 1;
        let answer = ledger.step_blocking(Step { number, record, claim: 100, ..Step::default() })?;
        if answer.rows.is_empty() {
            assert_eq!(n_claimed, n_rows as usize);
            return Ok(());
        }
        n_claimed += answer.rows.len();
        record = answer.rows.iter().map(|claimed| attempt(claimed.row, claimed.attempt, outcome.clone())).collect();
    }
}

fn attempt(row: RowId, attempt: cmbatch::request::AttemptNo, outcome: Outcome) -> AttemptRecord {
    AttemptRecord { row, attempt, started_at: Timestamp::UNIX_EPOCH, latency_us: 1_000, outcome, then: Requeue::Anyone }
}

fn body(_: &Path, n_rows: u32) -> Result<()> {
    let wire = Wire {
        run: RunId::from_bytes([7; 16]),
        key: RunKey::from_bytes([9; 32]),
        tag_position: TagPosition::Start,
        data: DataEncoding::Array,
    };
    let request = request(1);
    (1..=n_rows).for_each(|number| drop(black_box(wire.body(row(number), &request))));
    Ok(())
}

fn classify_answers(_: &Path, n_rows: u32) -> Result<()> {
    let answer = Answer::Http(HttpAnswer {
        status: 201,
        body: br#""api/v1.0/requests/0c96d73f-967b-420e-854a-43ad2a1504bc""#.to_vec().into(),
        location: None,
        retry_after: None,
        date: None,
        advice: None,
    });
    for _ in 0..n_rows {
        assert!(matches!(black_box(classify(black_box(&answer), On503::InDoubt)), Outcome::Created(_)));
    }
    Ok(())
}

/// Returns the instructions of one part with so many rows.
fn count(part: &Part, n_rows: u32) -> Result<u64> {
    let folder = tempfile::tempdir()?;
    let path = folder.path().join("part");
    (part.prepare)(&path, n_rows)?;
    let ran = Command::new("valgrind")
        .args(["--tool=callgrind", "--callgrind-out-file=/dev/null"])
        .arg(std::env::current_exe()?)
        .args(["--part", part.name, &n_rows.to_string()])
        .arg(&path)
        .env("RAYON_NUM_THREADS", "1")
        .output()
        .map_err(|error| format!("valgrind (Debian's package of that name) does not start: {error}"))?;
    let said = String::from_utf8_lossy(&ran.stderr);
    let collected = said.lines().find_map(|line| line.split_once("Collected :")?.1.trim().parse().ok());
    collected.filter(|_| ran.status.success()).ok_or_else(|| format!("{}: {said}", part.name).into())
}

fn recorded() -> Vec<(String, u64)> {
    let text = std::fs::read_to_string(RECORDED).unwrap_or_default();
    text.lines()
        .filter_map(|line| line.split_once(','))
        .filter_map(|(n, v)| Some((n.to_owned(), v.parse().ok()?)))
        .collect()
}

fn compare(record: bool) -> Result<()> {
    let known = recorded();
    let mut written = "part,instructions_per_row\n".to_owned();
    let mut worse = Vec::new();
    println!("{:<18} {:>10} {:>10} {:>8}", "part", "now", "recorded", "change");
    for part in &PARTS {
        let per_row = (count(part, 3 * N_ROWS)? - count(part, N_ROWS)?) / u64::from(2 * N_ROWS);
        writeln!(written, "{},{per_row}", part.name)?;
        let Some((_, before)) = known.iter().find(|(name, _)| name == part.name) else {
            println!("{:<18} {per_row:>10}", part.name);
            continue;
        };
        #[expect(clippy::cast_precision_loss, reason = "some ten thousand")]
        let change = 100.0 * (per_row as f64 / *before as f64 - 1.0);
        println!("{:<18} {per_row:>10} {before:>10} {change:>+7.1}%", part.name);
        if change > TOLERANCE {
            worse.push(part.name);
        }
    }
    if record {
        std::fs::write(RECORDED, written)?;
    } else if !worse.is_empty() {
        return Err(format!("more than {TOLERANCE} % more: {}", worse.join(", ")).into());
    }
    Ok(())
}

fn main() -> Result<()> {
    let words: Vec<String> = std::env::args().skip(1).filter(|word| word != "--bench").collect();
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    match words[..] {
        ["--part", name, n_rows, path] => {
            let part = PARTS.iter().find(|part| part.name == name).ok_or("no such part")?;
            (part.run)(Path::new(path), n_rows.parse()?)
        }
        [] => compare(false),
        ["--record"] => compare(true),
        _ => Err("see the head of benches/instructions.rs".into()),
    }
}
