//! The simulator over real sockets, asked by a client that knows nothing but HTTP/1.1.

mod connections;
mod faults;
mod raw;
mod routes;
mod script;

use std::net::SocketAddr;

use super::route::BASE;
use super::{Fault, LatencyRange, Script, Simulator};
use raw::{Answer, Raw};

fn loopback() -> SocketAddr {
    "127.0.0.1:0".parse().unwrap()
}

fn quick() -> Script {
    Script { latency: LatencyRange::NONE, ..Script::default() }
}

fn start(script: Script) -> Simulator {
    Simulator::start(script, loopback(), Vec::new()).unwrap()
}

fn with_faults(texts: &[&str]) -> Simulator {
    let faults: Vec<Fault> = texts.iter().map(|text| text.parse().unwrap()).collect();
    start(Script { faults, seed: 7, ..quick() })
}

const TEMPLATE: &str = "c4d5e6f7-1029-4837-b6a5-564738291003";

fn enroll(comment: &str) -> String {
    format!(r#"{{"profiletemplateuuid":"{TEMPLATE}","datacollection":[],"type":"Enroll","comment":"{comment}"}}"#)
}

fn revoke(target: u8) -> String {
    let target = crate::request::Guid::from_bytes([target; 16]);
    let start = r#"{"profiletemplateuuid":"c4d5e6f7-1029-4837-b6a5-564738291003","datacollection":[],"#;
    format!(r#"{start}"type":"Revoke","comment":"","target":"{target}"}}"#)
}

/// Creates a request on a connection of its own.
#[track_caller]
fn create(simulator: &Simulator, comment: &str) -> Answer {
    Raw::connect(simulator).post(&enroll(comment)).unwrap()
}

/// The statuses of so many create calls on one connection after the other; 0 for none.
fn statuses(simulator: &Simulator, calls: usize) -> Vec<u16> {
    (0..calls).map(|_| Raw::connect(simulator).post(&enroll("x")).map_or(0, |answer| answer.status)).collect()
}

fn path(rest: &str) -> String {
    format!("{BASE}{rest}")
}
