//! How fast rows are validated, beside what the csv crate alone takes to read them on one thread.

use std::convert::Infallible;
use std::fmt::Write as _;
use std::fs;
use std::hint::black_box;
use std::path::Path;

use cmbatch::manifest::{Manifest, ReadOptions, Source};
use cmbatch::request::Guid;
use cmbatch::validate::{Rules, deliver, survey};
use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};

/// A step of a linear congruential generator (Knuth's MMIX constants): the same rows on every machine.
fn next(seed: &mut u64) -> u64 {
    *seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
    *seed
}

fn guid(seed: &mut u64) -> Guid {
    let bytes = (u128::from(next(seed)) << 64 | u128::from(next(seed))).to_be_bytes();
    Guid::from_bytes(bytes)
}

/// Rows of about 170 bytes, all of them valid.
fn csv_text(n_rows: usize) -> String {
    let mut seed = 20_240_305;
    let template = guid(&mut seed);
    let mut text = "id,type,profiletemplateuuid,target,comment,data.City,data.Department,note.Name\n".to_owned();
    for row in 0..n_rows {
        let target = guid(&mut seed);
        writeln!(
            text,
            "E{row:07},Enroll,{template},{target},new hire of wave three,Oslo,Engineering,Person {row:07} Doe"
        )
        .expect("writing to a String cannot fail");
    }
    text
}

/// What any reader of the file takes at least.
fn bare_read(path: &Path) -> u64 {
    let mut reader = csv::Reader::from_path(path).expect("the file was just written");
    let mut record = csv::ByteRecord::new();
    let mut n_fields = 0;
    while reader.read_byte_record(&mut record).expect("the file is sound") {
        n_fields += record.len() as u64;
    }
    n_fields
}

fn validate_rows(criterion: &mut Criterion) {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let rules = Rules::default();
    for n_rows in [1_000, 100_000] {
        let path = folder.path().join(format!("{n_rows}.csv"));
        fs::write(&path, csv_text(n_rows)).expect("room for the file");
        let manifest = Manifest::open(Source::File(path.clone()), &ReadOptions::default()).expect("a sound manifest");
        let manifests = [manifest];
        let surveyed = survey(&manifests, &rules, &|_| {}).expect("a readable manifest");
        assert_eq!(surveyed.n_valid, n_rows as u64);

        let mut group = criterion.benchmark_group("validate_rows");
        group.throughput(Throughput::Elements(n_rows as u64)).sample_size(20);
        group.bench_function(BenchmarkId::new("bare_csv", n_rows), |b| b.iter(|| bare_read(&path)));
        group.bench_function(BenchmarkId::new("survey", n_rows), |b| {
            b.iter(|| survey(&manifests, &rules, &|_| {}).expect("a readable manifest"));
        });
        group.bench_function(BenchmarkId::new("deliver", n_rows), |b| {
            b.iter(|| {
                deliver::<Infallible>(&manifests, &rules, &surveyed, |row| {
                    black_box(row);
                    Ok(())
                })
                .expect("the same manifest");
            });
        });
        group.finish();
    }
}

criterion_group!(benches, validate_rows);
criterion_main!(benches);
