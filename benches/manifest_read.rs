//! Reading a manifest, against a bare loop of the csv crate over the same file.
//!
//! `bare` is what a program would do at least: one thread, one reused record, neither lines nor a hash. `one_thread` and
//! `two_threads` read, hash, locate and take every row apart. Rows have about 190 bytes, from a fixed seed.

use std::fs::File;
use std::hint::black_box;
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};

use cmbatch::manifest::{Cells, Chunks, Manifest, ReadOptions, Source};

const SIZES: [u64; 2] = [1_000, 100_000];

/// How a manifest's rows are written.
#[derive(Clone, Copy)]
enum Style {
    /// Quotes where they are needed, which is in one row of eight.
    Plain,
    /// Every field in quotes, as PowerShell writes.
    Quoted,
    /// One JSON object a line.
    Jsonl,
}

/// A fixed sequence of numbers that look random (xorshift).
struct Numbers(u64);

impl Numbers {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    fn guid(&mut self) -> String {
        let (one, two) = (self.next(), self.next());
        let hex = format!("{one:016x}{two:016x}");
        format!("{}-{}-{}-{}-{}", &hex[..8], &hex[8..12], &hex[12..16], &hex[16..20], &hex[20..])
    }
}

fn write_manifest(path: &Path, style: Style, n_rows: u64) {
    let mut out = BufWriter::new(File::create(path).expect("a file in a new folder"));
    let mut numbers = Numbers(0x9e37_79b9_7f4a_7c15);
    let names = ["id", "type", "profiletemplateuuid", "target", "comment", "priority", "data.Name", "note.site"];
    let template = numbers.guid();
    let mut write = |fields: &[String]| match style {
        Style::Plain => writeln!(out, "{}", fields.join(",")),
        Style::Quoted => writeln!(out, "\"{}\"", fields.join("\",\"")),
        Style::Jsonl => {
            let properties: Vec<String> =
                names.iter().zip(fields).map(|(name, value)| format!("\"{name}\":\"{value}\"")).collect();
            writeln!(out, "{{{}}}", properties.join(","))
        }
    };
    if !matches!(style, Style::Jsonl) {
        write(&names.map(str::to_owned)).expect("room for the manifest");
    }
    for row in 0..n_rows {
        let number = numbers.next();
        let comment = match (style, row % 8) {
            (Style::Plain, 0) => format!("\"new hire, wave {}\"", number % 90),
            _ => format!("new hire of wave {} in the spring", number % 90),
        };
        let fields = [
            format!("E{row:07}"),
            "Enroll".to_owned(),
            template.clone(),
            numbers.guid(),
            comment,
            (number % 256).to_string(),
            format!("Given{} Family{}", number % 997, number % 7919),
            format!("Building {}, floor {}", number % 40, number % 9).replace(", ", " "),
        ];
        write(&fields).expect("room for the manifest");
    }
    out.flush().expect("room for the manifest");
}

fn bare(path: &Path) -> u64 {
    let mut reader = csv::ReaderBuilder::new().flexible(true).from_path(path).expect("the manifest exists");
    let mut record = csv::ByteRecord::new();
    let mut n_fields = 0;
    while reader.read_byte_record(&mut record).expect("CSV is never wrong") {
        n_fields += record.len() as u64;
    }
    n_fields
}

fn open(path: &Path) -> Manifest {
    Manifest::open(Source::File(path.to_owned()), &ReadOptions::default()).expect("the manifest is sound")
}

/// Takes chunks and counts their fields until there are none.
fn drain(chunks: &Mutex<Chunks>) -> u64 {
    let mut n_fields = 0;
    loop {
        let chunk = chunks.lock().expect("no thread panics").next_chunk().expect("the manifest is sound");
        let Some(chunk) = chunk else { return n_fields };
        chunk.for_each(|row| {
            n_fields += match black_box(row).expect("no row is bad").cells {
                Cells::Csv(cells) => cells.len() as u64,
                Cells::Json(cells) => cells.len() as u64,
            };
        });
    }
}

fn on_threads(path: &Path, n_threads: usize) -> u64 {
    let chunks = Mutex::new(open(path).chunks().expect("the manifest is sound"));
    let n_fields = AtomicU64::new(0);
    rayon::scope(|scope| {
        for _ in 0..n_threads {
            scope.spawn(|_| {
                n_fields.fetch_add(drain(&chunks), Ordering::Relaxed);
            });
        }
    });
    let digest = chunks.into_inner().expect("no thread panics").finish().expect("the manifest is sound");
    black_box(digest);
    n_fields.into_inner()
}

fn manifest_read(criterion: &mut Criterion) {
    let folder = tempfile::tempdir().expect("a folder for the manifests");
    for (name, style) in [("plain", Style::Plain), ("quoted", Style::Quoted), ("jsonl", Style::Jsonl)] {
        let mut group = criterion.benchmark_group(format!("manifest_read/{name}"));
        group.sample_size(10).warm_up_time(Duration::from_millis(500)).measurement_time(Duration::from_secs(2));
        for n_rows in SIZES {
            let extension = if matches!(style, Style::Jsonl) { "jsonl" } else { "csv" };
            let path: PathBuf = folder.path().join(format!("{name}-{n_rows}.{extension}"));
            write_manifest(&path, style, n_rows);
            assert_eq!(on_threads(&path, 2), 8 * n_rows);
            group.throughput(Throughput::Elements(n_rows));
            if !matches!(style, Style::Jsonl) {
                group.bench_function(BenchmarkId::new("bare", n_rows), |bencher| bencher.iter(|| bare(&path)));
            }
            group.bench_function(BenchmarkId::new("one_thread", n_rows), |bencher| {
                bencher.iter(|| on_threads(&path, 1));
            });
            group.bench_function(BenchmarkId::new("two_threads", n_rows), |bencher| {
                bencher.iter(|| on_threads(&path, 2));
            });
        }
        group.finish();
    }
}

criterion_group!(benches, manifest_read);
criterion_main!(benches);
