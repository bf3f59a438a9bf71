//! How a simulator starts, what it is seeded with, and what it logs.

use super::*;
use crate::request::{CreateRequest, Guid, RequestType, RequestUuid};
use crate::simulator::{SeededRequest, SimulatorError};

fn seeded(byte: u8) -> SeededRequest {
    let mut request = CreateRequest::new(RequestType::Renew);
    request.template = Some(Guid::from_bytes([1; 16]));
    request.profile = Some(Guid::from_bytes([2; 16]));
    request.data.push("name", "x");
    request.comment = "not this".to_owned();
    SeededRequest {
        uuid: RequestUuid::new(Guid::from_bytes([byte; 16])),
        request,
        comment: "[cmb:x] this".to_owned(),
        submitted: None,
    }
}

#[test]
fn it_listens_on_loopback_alone() {
    for address in ["0.0.0.0:0", "192.0.2.1:8080", "[::]:0"] {
        let error = Simulator::start(quick(), address.parse().unwrap(), Vec::new()).err().unwrap();
        assert!(matches!(error, SimulatorError::NotLoopback { .. }), "{error}");
        assert!(error.to_string().starts_with("the simulator listens on loopback only, and "), "{error}");
    }
}

#[test]
fn a_port_in_use_is_named() {
    let first = start(quick());
    let error = Simulator::start(quick(), first.address(), Vec::new()).err().unwrap();
    let port = first.address().port();
    assert_eq!(
        error.to_string(),
        format!(
            "port {port} on 127.0.0.1 is in use; stop the program that listens there, or use port 0 for any free one"
        )
    );
}

#[test]
fn seeded_requests_exist_from_the_start_and_only_once() {
    let simulator = Simulator::start(quick(), loopback(), vec![seeded(7)]).unwrap();
    let object = Raw::connect(&simulator).get("/requests/07070707-0707-0707-0707-070707070707").unwrap().json();
    assert_eq!((&object["Comment"], &object["RequestType"]), (&"[cmb:x] this".into(), &3.into()));
    assert_eq!(object["OldProfileUuid"], "02020202-0202-0202-0202-020202020202");
    assert_eq!(object["DataCollection"], serde_json::json!([{"Name": "name", "Value": "x"}]));
    create(&simulator, "y");
    assert_eq!(simulator.requests().len(), 2);

    let error = Simulator::start(quick(), loopback(), vec![seeded(7), seeded(8), seeded(7)]).err().unwrap();
    let uuid = "07070707-0707-0707-0707-070707070707";
    assert_eq!(error.to_string(), format!("the request {uuid} is seeded twice; give every request its own uuid"));
}

#[test]
fn the_log_tells_every_arrival_in_memory_in_the_file_and_by_http() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("arrivals.jsonl");
    let faults = vec!["drop-after-create=at 2".parse().unwrap()];
    let simulator = start(Script { log: Some(path.clone()), faults, ..quick() });
    create(&simulator, "one");
    let mut raw = Raw::connect(&simulator);
    raw.post(&enroll("two")).unwrap_err();
    Raw::connect(&simulator).get("/requests?status=Approved").unwrap();

    let read: Vec<serde_json::Value> =
        std::fs::read_to_string(&path).unwrap().lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let answer = Raw::connect(&simulator).call("GET", "/__cmbatch/arrivals", "", "").unwrap();
    assert_eq!(answer.json(), serde_json::Value::Array(read.clone()), "it is no arrival itself");

    let arrivals = simulator.arrivals();
    assert_eq!(arrivals.len(), 3);
    for (line, arrival) in read.iter().zip(&arrivals) {
        assert_eq!(line["number"], arrival.number);
        assert_eq!(line["at"], arrival.wall.to_string());
        assert_eq!(line["body"].as_str().unwrap().as_bytes(), arrival.body);
        assert_eq!(line["created"].as_str().map(str::to_owned), arrival.created.map(|uuid| uuid.to_string()));
        assert_eq!((&line["method"], &line["user_agent"]), (&arrival.method.as_str().into(), &"raw".into()));
    }
    assert_eq!((&read[1]["answered"], &read[2]["query"]), (&serde_json::Value::Null, &"status=Approved".into()));
    assert_eq!(arrivals[0].content_type.as_deref(), Some("application/json"));
    assert!(arrivals.windows(2).all(|two| two[0].at <= two[1].at));
    assert!(simulator.take_log_error().is_none());
}

#[cfg(unix)]
#[test]
fn the_log_is_for_its_owner_alone_and_must_be_writable() {
    use std::os::unix::fs::PermissionsExt;
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("arrivals.jsonl");
    start(Script { log: Some(path.clone()), ..quick() }).stop();
    assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
    let missing = folder.path().join("missing").join("arrivals.jsonl");
    let error = Simulator::start(Script { log: Some(missing), ..quick() }, loopback(), Vec::new()).err().unwrap();
    assert!(matches!(error, SimulatorError::Log { .. }), "{error}");
}

#[test]
fn many_arrivals_come_by_http_as_one_list() {
    let simulator = start(quick());
    let empty = Raw::connect(&simulator).call("GET", "/__cmbatch/arrivals", "", "").unwrap();
    assert_eq!(empty.body, "[]");
    statuses(&simulator, 200);
    let list = Raw::connect(&simulator).call("GET", "/__cmbatch/arrivals", "", "").unwrap().json();
    let numbers: Vec<_> = list.as_array().unwrap().iter().map(|one| one["number"].as_u64().unwrap()).collect();
    assert_eq!(numbers, (1..=200).collect::<Vec<_>>());
}
