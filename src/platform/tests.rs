//! What holds on each system.

use std::time::Duration;

use super::{can_write, since_boot};

#[test]
fn a_file_can_be_written_and_one_that_is_not_there_cannot() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("x");
    assert!(!can_write(&file));
    std::fs::write(&file, "").unwrap();
    assert!(can_write(&file));
    assert!(can_write(folder.path()));
}

#[test]
fn the_clock_goes_on() {
    let before = since_boot();
    assert!(before > Duration::ZERO);
    assert!(since_boot() >= before);
}
