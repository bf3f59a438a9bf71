//! Integration tests: a file for each topic, through the binary where the wiring counts.

mod broken;
mod common;
mod export;
mod faults;
mod forms;
mod guards;
mod layers;
mod pace;
mod samples;
mod submit;
mod validate;
