//! Integration tests: a file for each topic, through the binary where the wiring counts.

// They end, limit and trace processes as Unix does.
#![cfg(unix)]
#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]
#![expect(clippy::format_push_string, reason = "manifests are written as they read")]

mod again;
mod answers;
mod broken;
mod chaos;
mod common;
mod crash;
mod disk;
mod doctor;
mod export;
mod faults;
mod forms;
mod guards;
mod judged;
mod layers;
mod lists;
mod oracle;
mod pace;
mod promise;
mod readme;
mod samples;
mod submit;
mod validate;
