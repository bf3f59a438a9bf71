//! The committed samples are what their generator makes, and do what README says of them.

use std::io::Read;
use std::path::Path;

use crate::common::Folder;

#[path = "../../samples/generate.rs"]
#[expect(dead_code, reason = "the generator's own main is not used here")]
pub(crate) mod generate;

fn committed(name: &str) -> Vec<u8> {
    std::fs::read(Path::new(env!("CARGO_MANIFEST_DIR")).join("samples").join(name)).unwrap()
}

fn unpacked(bytes: &[u8]) -> Vec<u8> {
    let mut plain = Vec::new();
    flate2::read::MultiGzDecoder::new(bytes).read_to_end(&mut plain).unwrap();
    plain
}

#[test]
fn the_generator_makes_the_committed_samples_again() {
    let folder = Folder::new();
    generate::write_all(folder.path()).unwrap();
    for name in ["onboarding.csv", "revocation.jsonl", "broken.csv"] {
        assert_eq!(std::fs::read(folder.file(name)).unwrap(), committed(name), "{name}");
    }
    let made = std::fs::read(folder.file("renewal.csv.gz")).unwrap();
    assert_eq!(unpacked(&made), unpacked(&committed("renewal.csv.gz")));
}

#[test]
fn the_good_samples_are_valid_and_the_broken_one_names_every_mistake() {
    let folder = Folder::new();
    generate::write_all(folder.path()).unwrap();
    for (name, rows) in [("onboarding.csv", 250), ("revocation.jsonl", 120), ("renewal.csv.gz", 2_000)] {
        let ran = folder.run(&["validate", name, "--json"]).exits(0);
        assert_eq!(ran.json()["valid"], rows, "{name}");
    }
    let ran = folder.run(&["validate", "broken.csv", "--json"]).exits(3);
    let summary = ran.json();
    assert_eq!(summary["rows"], 20);
    assert_eq!(summary["valid"], 2, "{}", ran.stderr);
}
