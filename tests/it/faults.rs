//! What becomes of rows when the server misbehaves.

use serde_json::Value;

use crate::common::{Folder, enrollments, posts, simulator};

/// Sends so many rows to a simulator with these faults; gives exit status, summary and number of POSTs.
fn sent(n_rows: u32, faults: &[&str], options: &[&str]) -> (i32, Value, usize) {
    let folder = Folder::new();
    folder.write("wave.csv", enrollments(n_rows));
    let simulator = simulator(faults);
    let server = simulator.base_url();
    let mut words = vec!["submit", "wave.csv", "--server", &server, "--rate", "unlimited", "--json"];
    words.extend(options);
    let ran = folder.run(&words);
    (ran.status, ran.json(), posts(&simulator).len())
}

#[track_caller]
fn check(summary: &Value, state: &str, n_rows: u64) {
    assert_eq!(summary[state], n_rows, "{summary}");
}

#[test]
fn an_answer_that_was_not_seen_leaves_two_rows_in_doubt_and_nothing_else_is_sent() {
    // Nothing was created, and nothing is known as created, so that no list can prove it.
    for fault in ["502=100%", "503=100%", "504=100%", "html=100%"] {
        let (status, summary, n_posts) = sent(6, &[fault], &["--settle", "0s", "--server-limit", "1s"]);
        check(&summary, "in_doubt", 2);
        check(&summary, "pending", 4);
        assert_eq!((status, n_posts), (4, 2), "{fault}: {summary}");
    }
}

#[test]
fn a_row_whose_answer_was_lost_is_found_in_the_servers_list() {
    for fault in ["drop-after-create=100%", "truncate=100%", "garbage=100%", "empty-201=100%", "created-500=100%"] {
        let (status, summary, n_posts) = sent(6, &[fault], &[]);
        check(&summary, "created", 6);
        assert_eq!((status, n_posts), (0, 6), "{fault}: {summary}");
    }
}

#[test]
fn refusals_fail_the_row() {
    let (status, summary, n_posts) = sent(6, &["forbid-type=Enroll"], &[]);
    check(&summary, "failed", 6);
    assert_eq!((status, n_posts), (1, 6));
}

#[test]
fn a_disabled_api_and_a_refused_sign_in_stop_the_run() {
    let (status, summary, n_posts) = sent(300, &["api-disabled"], &[]);
    assert_eq!((status, summary["stopped_by"].clone()), (6, "api-not-found".into()));
    check(&summary, "pending", 300);
    assert!(n_posts <= 40, "{n_posts}");
    let (status, summary, n_posts) = sent(300, &["unauthorized"], &[]);
    assert_eq!((status, summary["stopped_by"].clone()), (5, "sign-in".into()));
    check(&summary, "pending", 300);
    assert!(n_posts <= 80, "{n_posts}");
}

#[test]
fn a_server_that_fails_every_call_trips_the_breaker() {
    let (status, summary, n_posts) = sent(1_000, &["500=100%"], &[]);
    assert_eq!((status, summary["stopped_by"].clone()), (4, "breaker".into()));
    assert!(n_posts <= 300, "{n_posts}");
    check(&summary, "in_doubt", n_posts as u64);
    check(&summary, "pending", 1_000 - n_posts as u64);
}

#[test]
fn a_server_that_is_not_there_leaves_all_rows_pending() {
    let folder = Folder::new();
    folder.write("wave.csv", enrollments(100));
    let address = {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        listener.local_addr().unwrap()
    };
    let ran =
        folder.run(&["submit", "wave.csv", "--server", &format!("http://{address}"), "--rate", "unlimited", "--json"]);
    let summary = ran.json();
    assert_eq!(ran.status, 4, "{}", ran.stderr);
    check(&summary, "pending", 100);
}

#[test]
fn throttled_rows_are_sent_again() {
    let (status, summary, n_posts) = sent(30, &["429=first 5,retry-after=1"], &[]);
    assert_eq!(status, 0, "{summary}");
    check(&summary, "created", 30);
    assert_eq!(n_posts, 35);
}

#[test]
fn a_503_can_be_taken_as_not_acted_on() {
    let (status, summary, _) = sent(10, &["503=first 2"], &["--resend-503", "--concurrency", "1"]);
    assert_eq!(status, 0, "{summary}");
    check(&summary, "created", 10);
}
