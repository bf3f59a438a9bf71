//! Each fault, seen from the other end of the connection.

use std::time::{Duration, Instant};

use super::raw::Ended;
use super::*;
use crate::simulator::RequestStatus;

#[test]
fn statuses_come_in_place_of_the_answer_and_nothing_is_created() {
    for (fault, status, kind) in [
        ("500", 500, Some("application/json")),
        ("502", 502, Some("text/html")),
        ("503", 503, Some("text/html")),
        ("504", 504, Some("text/html")),
        ("429", 429, Some("application/json")),
        ("400", 400, Some("application/json")),
        ("302", 302, None),
        ("html", 200, Some("text/html")),
        ("api-disabled", 404, Some("text/html")),
    ] {
        let simulator = with_faults(&[fault]);
        let answer = create(&simulator, "x");
        assert_eq!((answer.status, answer.header("content-type")), (status, kind), "{fault}");
        assert_eq!(answer.header("retry-after"), None);
        assert!(simulator.requests().is_empty());
        let arrivals = simulator.arrivals();
        assert_eq!((arrivals[0].answered, arrivals[0].created), (Some(status), None));
    }
}

#[test]
fn retry_after_is_seconds_or_a_date() {
    let simulator = with_faults(&["503=first 1,retry-after=2", "429=always,retry-after-date=100"]);
    assert_eq!(create(&simulator, "x").header("retry-after"), Some("2"));
    let answer = create(&simulator, "x");
    let date = answer.header("retry-after").unwrap();
    let date = jiff::fmt::rfc2822::parse(date).unwrap().timestamp();
    let wait = date.duration_since(jiff::Timestamp::now()).as_secs();
    assert!((60..=101).contains(&wait), "{answer:?}");
}

#[test]
fn faults_meet_the_calls_of_their_scope_in_the_order_of_the_script() {
    let simulator = with_faults(&["list:500=first 2", "503=at 2", "any:502=at 4"]);
    let mut raw = Raw::connect(&simulator);
    let listed: Vec<u16> = (0..3).map(|_| raw.get("/requests").unwrap().status).collect();
    // The two refused lists did not reach the fault for any call, the third did: it is the first of the four there.
    assert_eq!(listed, [500, 500, 204]);
    assert_eq!(statuses(&simulator, 4), [201, 503, 201, 502]);
}

#[test]
fn the_same_seed_meets_the_same_calls() {
    let run = |seed| {
        let faults = ["503=20%", "drop-before=10%", "created-500=10%"].map(|text| text.parse().unwrap()).to_vec();
        statuses(&start(Script { seed, faults, ..quick() }), 200)
    };
    let (one, two) = (run(1), run(2));
    assert_eq!(one, run(1));
    assert_ne!(one, two);
    for status in [0, 201, 500, 503] {
        assert!(one.contains(&status), "{status}");
    }
}

#[test]
fn dropped_connections_carry_no_byte_of_an_answer() {
    let simulator = with_faults(&["drop-before=first 1", "drop-after-create=first 1"]);
    for created in [false, true] {
        let mut raw = Raw::connect(&simulator);
        assert_eq!(raw.post(&enroll("x")).unwrap_err(), Ended(String::new()));
        let arrival = simulator.arrivals().pop().unwrap();
        assert!(arrival.acted);
        assert_eq!(arrival.answered, None);
        assert_eq!(arrival.created.is_some(), created);
        assert_eq!(simulator.requests().len(), usize::from(created));
    }
    assert_eq!(create(&simulator, "x").status, 201);
}

#[test]
fn a_truncated_answer_is_shorter_than_its_head_says() {
    let simulator = with_faults(&["truncate=first 1"]);
    let Ended(seen) = Raw::connect(&simulator).post(&enroll("x")).unwrap_err();
    let (head, body) = seen.split_once("\r\n\r\n").unwrap();
    assert!(head.starts_with("HTTP/1.1 201 Created\r\n"), "{head}");
    let whole = create(&simulator, "x").body;
    assert!(head.to_lowercase().contains(&format!("content-length: {}", whole.len())), "{head}");
    assert_eq!(body.len(), whole.len() / 2);
    assert_eq!(simulator.requests().len(), 2);
}

#[test]
fn a_truncated_list_breaks_off_in_the_middle() {
    let simulator = with_faults(&["list:truncate=first 1"]);
    statuses(&simulator, 10);
    let mut raw = Raw::connect(&simulator);
    let Ended(seen) = raw.get("/requests").unwrap_err();
    assert_eq!(seen.matches("\"Uuid\"").count(), 5, "{seen}");
    assert_eq!(Raw::connect(&simulator).get("/requests").unwrap().json().as_array().unwrap().len(), 10);
}

#[test]
fn a_created_request_can_be_answered_wrongly_in_many_ways() {
    for (fault, status, body) in [
        ("garbage", 201, "\"Your request was created.\""),
        ("empty-201", 201, ""),
        ("null-location", 201, "null"),
        ("location-only", 201, ""),
        ("created-503", 503, "<html>"),
        ("created-500", 500, "{\"Message\":\"An error has occurred. Correlation id: "),
        ("created-204", 204, ""),
        ("rooted-uri", 201, "\"/CertificateManagement/api/v1.0/requests/"),
    ] {
        let simulator = with_faults(&[fault]);
        let answer = create(&simulator, "x");
        assert_eq!(answer.status, status, "{fault}");
        assert!(answer.body.starts_with(body) && answer.body.is_empty() == body.is_empty(), "{fault}: {}", answer.body);
        let requests = simulator.requests();
        assert_eq!(requests.len(), 1, "{fault}");
        assert_eq!(simulator.arrivals()[0].created, Some(requests[0].uuid), "{fault}");
        assert_eq!(simulator.arrivals()[0].answered, Some(status), "{fault}");
        let location = format!("/CertificateManagement/api/v1.0/requests/{}", requests[0].uuid);
        assert_eq!(answer.header("location"), (fault == "location-only").then_some(location.as_str()));
    }
}

#[test]
fn sign_in_is_asked_for() {
    let simulator = with_faults(&["unauthorized=first 1", "token=made-up"]);
    let mut raw = Raw::connect(&simulator);
    let answer = raw.get("/requests").unwrap();
    assert_eq!((answer.status, answer.header("www-authenticate")), (401, Some("Negotiate")));
    let answer = raw.get("/requests").unwrap();
    assert_eq!((answer.status, answer.header("www-authenticate")), (401, Some("Bearer")));
    let mut with =
        |token: &str| raw.call("GET", &path("/requests"), &format!("Authorization: {token}\r\n"), "").unwrap();
    assert_eq!(with("Bearer other").status, 401);
    assert_eq!(with("Bearer made-up").status, 204);
    let signed: Vec<bool> = simulator.arrivals().iter().map(|arrival| arrival.authorization).collect();
    assert_eq!(signed, [false, false, true, true]);
}

#[test]
fn a_pace_is_kept_by_429() {
    let simulator = with_faults(&["throttle=2/h,burst=3"]);
    assert_eq!(statuses(&simulator, 4), [201, 201, 201, 429]);
    let wait: u32 = create(&simulator, "x").header("retry-after").unwrap().parse().unwrap();
    assert!((1700..=1800).contains(&wait), "{wait}");
    assert_eq!(Raw::connect(&simulator).get("/requests").unwrap().status, 200, "only create calls are throttled");
}

#[test]
fn rights_can_be_missing() {
    let target = "07070707-0707-0707-0707-070707070707";
    for (fault, enrolled, revoked) in [
        ("forbid-type=Revoke", 201, 403),
        ("forbid-template=c4d5e6f7-1029-4837-b6a5-564738291003", 403, 403),
        (&format!("forbid-target={target}"), 201, 403),
    ] {
        let simulator = with_faults(&[fault]);
        let mut raw = Raw::connect(&simulator);
        assert_eq!(raw.post(&enroll("x")).unwrap().status, enrolled, "{fault}");
        let answer = raw.post(&revoke(7)).unwrap();
        assert_eq!(answer.status, revoked, "{fault}");
        assert!(answer.json()["Message"].as_str().unwrap().contains("permission"));
        assert_eq!(simulator.requests().len(), usize::from(enrolled == 201), "{fault}");
    }
}

#[test]
fn what_is_already_revoked_stays_so() {
    let simulator = with_faults(&["already-revoked=30%"]);
    let run = || -> Vec<u16> {
        let mut raw = Raw::connect(&simulator);
        (0..100).map(|target| raw.post(&revoke(target)).unwrap().status).collect()
    };
    let first = run();
    assert_eq!(first, run());
    let refused = first.iter().filter(|status| **status == 500).count();
    assert!((15..45).contains(&refused), "{refused}");
    assert_eq!(first.len() - refused, first.iter().filter(|status| **status == 201).count());
}

#[test]
fn requests_can_be_kept_otherwise_than_asked() {
    let simulator = with_faults(&["comment-limit=5", "deny=at 2"]);
    for comment in ["\u{e9}\u{e9}\u{e9}\u{e9}\u{e9}\u{e9}", "short"] {
        create(&simulator, comment);
    }
    let seen: Vec<_> = simulator.requests().into_iter().map(|request| (request.comment, request.status)).collect();
    let cut = "\u{e9}".repeat(5);
    assert_eq!(seen, [(cut, RequestStatus::Approved), ("short".to_owned(), RequestStatus::Denied)]);
}

#[test]
fn a_list_can_hide_requests_and_lag_behind() {
    let simulator = with_faults(&["list-hides=30%"]);
    statuses(&simulator, 100);
    let mut raw = Raw::connect(&simulator);
    let first = raw.get("/requests").unwrap();
    let n_shown = first.json().as_array().unwrap().len();
    assert!((50..90).contains(&n_shown), "{n_shown}");
    assert_eq!(first.body, raw.get("/requests").unwrap().body, "always the same are hidden");
    for request in simulator.requests() {
        assert_eq!(raw.get(&format!("/requests/{}", request.uuid)).unwrap().status, 200);
    }

    let simulator = with_faults(&["list-lags=1h,first 1"]);
    create(&simulator, "x");
    assert_eq!(Raw::connect(&simulator).get("/requests").unwrap().status, 204);
    assert_eq!(Raw::connect(&simulator).get("/requests").unwrap().status, 200);
}

#[test]
fn waits_are_kept() {
    for fault in ["latency=60ms", "answer-delay=60ms..80ms"] {
        let simulator = with_faults(&[fault]);
        let begun = Instant::now();
        assert_eq!(create(&simulator, "x").status, 201);
        assert!(begun.elapsed() >= Duration::from_millis(60), "{fault}");
    }
}

#[test]
fn a_slow_answer_comes_whole_at_last() {
    let simulator = with_faults(&["any:slow,pause=1ms"]);
    let begun = Instant::now();
    let answer = create(&simulator, "x");
    assert!(answer.uuid().len() == 36 && begun.elapsed() >= Duration::from_millis(answer.body.len() as u64));
    create(&simulator, "x");
    assert_eq!(Raw::connect(&simulator).get("/requests").unwrap().json().as_array().unwrap().len(), 2);
}
