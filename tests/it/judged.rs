//! Whole servers that are wrong, and how few calls it takes to see it; other people's ledgers; throttling.

use std::sync::Mutex;
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::chaos::{Answer, Chaos, Fate, ListAs, Listing, Script, answer, status};
use crate::common::{Folder, Ran, TEMPLATE, enrollments, guid};
use crate::oracle::{assert_kept, rows};

/// The create calls are all answered so; the list says this.
fn all(line: &'static str, list: ListAs) -> Script {
    let script = Script { fate: Box::new(move |_, _| Fate::refuses(status(line))), ..Script::default() };
    script.listing(list)
}

fn submit(folder: &Folder, server: &Chaos, more: &[&str]) -> Ran {
    let url = server.base_url();
    let rate: &[&str] = if more.contains(&"--rate") { &[] } else { &["--rate", "unlimited"] };
    folder.run(&[&["submit", "wave.csv", "--server", &url, "--json"], rate, PATIENCE, more].concat())
}

const PATIENCE: &[&str] = &["--settle", "100ms", "--server-limit", "200ms"];

#[test]
fn a_server_that_refuses_everything_is_left_alone_soon() {
    for (script, exit, by, most) in [
        (all("404 Not Found", ListAs::Whole), 5, "refused", 45),
        (all("404 Not Found", ListAs::Status(404)), 6, "api-not-found", 0),
        (all("401 Unauthorized", ListAs::Whole), 5, "sign-in", 80),
        (all("401 Unauthorized", ListAs::Status(401)), 5, "sign-in", 0),
        (all("500 Internal Server Error", ListAs::Whole), 4, "breaker", 300),
    ] {
        let folder = Folder::new();
        folder.write("wave.csv", enrollments(1_000));
        let server = Chaos::start(script);
        let summary = submit(&folder, &server, &[]).exits(exit).json();
        assert_eq!(summary["stopped_by"], by, "{summary}");
        assert!(server.n_posts() <= most, "{} calls; {summary}", server.n_posts());
        if server.n_posts() > 0 {
            assert_kept(&rows(&folder, "wave.ledger"), &server.seen(), 1_000);
        }
    }
}

#[test]
fn a_server_that_cuts_comments_is_stopped_after_one_call() {
    let folder = Folder::new();
    folder.write("wave.csv", enrollments(50));
    let server = Chaos::start(Script { comment_limit: 20, ..Script::default() });
    submit(&folder, &server, &[]).exits(4).says("comment");
    assert_eq!(server.n_posts(), 1);
    submit(&folder, &server, &[]).exits(4);
    assert_eq!(server.n_posts(), 1, "the same command again sees the same");
}

/// Rows of two templates in turn.
fn two_kinds(n_rows: u32) -> String {
    let mut text = "type,profiletemplateuuid,target\n".to_owned();
    for row in 1..=n_rows {
        let template = if row % 2 == 0 { TEMPLATE } else { FORBIDDEN };
        text += &format!("Enroll,{template},{}\n", guid(row));
    }
    text
}

const FORBIDDEN: &str = "f0f0f0f0-5ce8-4eff-8651-181c6576fda3";

#[test]
fn a_template_without_rights_stops_the_run_within_45_refusals() {
    for manifest in [two_kinds(400), enrollments(400).replace(TEMPLATE, FORBIDDEN)] {
        for line in ["403 Forbidden", "400 Bad Request"] {
            let folder = Folder::new();
            folder.write("wave.csv", &manifest);
            let fate = move |_: u32, body: &Value| {
                let forbidden = body["profiletemplateuuid"] == FORBIDDEN;
                if forbidden { Fate::refuses(status(line)) } else { Fate::creates(Answer::Created) }
            };
            let server = Chaos::start(Script { fate: Box::new(fate), ..Script::default() });
            submit(&folder, &server, &[]).exits(5).says(FORBIDDEN);
            let seen = server.seen();
            let n_refused = seen.iter().filter(|call| call.created.is_none()).count();
            assert!((25..=45).contains(&n_refused), "{n_refused} refusals");
            assert_kept(&rows(&folder, "wave.ledger"), &seen, 400);
        }
    }
}

#[test]
fn the_same_manifest_from_another_ledger_sends_nothing() {
    let server = Chaos::start(Script::default());
    let (mine, theirs) = (Folder::new(), Folder::new());
    for folder in [&mine, &theirs] {
        folder.write("wave.csv", enrollments(30));
    }
    submit(&mine, &server, &[]).exits(0);
    for _ in 0..2 {
        submit(&theirs, &server, &[]).exits(2).says("30");
        assert_eq!(server.n_posts(), 30);
    }
    // Where it is not known who this account is on the server, a person vouches for who asked before.
    let refused = submit(&theirs, &server, &["--already", "skip"]).exits(2).says("which user on the server");
    let (_, originator) = refused.stderr.trim().rsplit_once("--already skip --originator ").unwrap();
    let vouched = ["--already", "skip", "--originator", originator];
    let summary = submit(&theirs, &server, &vouched).exits(0).json();
    assert_eq!((&summary["skipped"], server.n_posts()), (&30.into(), 30));
    // Part of it is new: the rest is left out.
    let other = Folder::new();
    other.write("wave.csv", enrollments(40));
    submit(&other, &server, &[]).exits(2);
    let summary = submit(&other, &server, &vouched).exits(0).json();
    assert_eq!((&summary["created"], &summary["skipped"]), (&10.into(), &30.into()));
    assert_eq!(server.n_posts(), 40);
    // A list showed this host what its own account requested.
    other.write("wave.csv", enrollments(41));
    let summary = submit(&other, &server, &["--already", "skip", "--ledger", "second.ledger"]).exits(0).json();
    assert_eq!((&summary["created"], &summary["skipped"]), (&1.into(), &40.into()));
    let again = Folder::new();
    again.write("wave.csv", enrollments(5));
    submit(&again, &server, &["--already", "send"]).exits(0);
    assert_eq!(server.n_posts(), 46);
}

#[test]
fn what_is_older_than_the_look_back_stands_in_nobodys_way() {
    let server = Chaos::start(Script::default());
    let (mine, theirs) = (Folder::new(), Folder::new());
    for folder in [&mine, &theirs] {
        folder.write("wave.csv", enrollments(3));
    }
    submit(&mine, &server, &[]).exits(0);
    let newest = Instant::now();
    while newest.elapsed() < Duration::from_millis(2_100) {
        // Requests carry their time in the server's words: they are that old only when they are.
        std::thread::sleep(Duration::from_millis(50));
    }
    submit(&theirs, &server, &["--look-back", "1s"]).exits(0);
    assert_eq!(server.n_posts(), 6);
}

#[test]
fn a_list_that_cannot_be_read_keeps_every_row_from_being_sent_unless_it_is_waived() {
    let folder = Folder::new();
    folder.write("wave.csv", enrollments(5));
    let server = Chaos::start(Script::default().listing(ListAs::Status(403)));
    submit(&folder, &server, &[]).exits(4).says("403").says("nothing was sent");
    assert_eq!(server.n_posts(), 0);
    submit(&folder, &server, &["--without-list"]).exits(0).says("403");
    assert_eq!(server.n_posts(), 5);
}

/// Lets so many calls through in any second.
fn throttle(per_second: usize, headers: &'static str) -> Script {
    let passed: Mutex<Vec<Instant>> = Mutex::default();
    let fate = move |_: u32, _: &Value| {
        let mut passed = passed.lock().unwrap();
        let now = Instant::now();
        passed.retain(|at| now.duration_since(*at) < Duration::from_secs(1));
        if passed.len() >= per_second {
            return Fate::refuses(answer("429 Too Many Requests", headers, ""));
        }
        passed.push(now);
        Fate::creates(Answer::Created)
    };
    Script { fate: Box::new(fate), ..Script::default() }
}

#[test]
fn a_server_that_throttles_is_found_its_pace() {
    std::thread::scope(|scope| {
        for headers in ["Retry-After: 1\r\n", ""] {
            scope.spawn(move || {
                let folder = Folder::new();
                folder.write("wave.csv", enrollments(600));
                let server = Chaos::start(throttle(60, headers));
                let begin = Instant::now();
                let ran = submit(&folder, &server, &["--rate", "500/s"]).exits(0);
                assert!(begin.elapsed() < Duration::from_secs(40), "{:?}: {}", begin.elapsed(), ran.stderr);
                let seen = server.seen();
                let n_refused = seen.iter().filter(|call| call.created.is_none()).count();
                assert!(n_refused * 2 < seen.len(), "{n_refused} of {} refused ({headers:?})", seen.len());
                assert_kept(&rows(&folder, "wave.ledger"), &seen, 600);
            });
        }
    });
}

#[test]
fn a_server_that_only_throttles_ends_the_run() {
    let folder = Folder::new();
    folder.write("wave.csv", enrollments(20));
    let server = Chaos::start(Script {
        fate: Box::new(|_, _| Fate::refuses(answer("429 Too Many Requests", "Retry-After: 1\r\n", ""))),
        ..Script::default()
    });
    let summary = submit(&folder, &server, &["--stall", "2s"]).exits(4).json();
    assert_eq!((&summary["stopped_by"], &summary["pending"]), (&"stall".into(), &20.into()));
}

/// A server that is away for a while: the run outlives it.
#[test]
fn a_run_that_may_wait_outlives_a_reboot() {
    let folder = Folder::new();
    folder.write("wave.csv", enrollments(200));
    let back = Mutex::new(None);
    let fate = move |number: u32, _: &Value| {
        let away = match number {
            0..100 => false,
            _ => back.lock().unwrap().get_or_insert_with(Instant::now).elapsed() < Duration::from_secs(2),
        };
        if away { Fate::refuses(status("503 Service Unavailable")) } else { Fate::creates(Answer::Created) }
    };
    let server = Chaos::start(Script { fate: Box::new(fate), list: Listing::default(), ..Script::default() });
    let ran = submit(&folder, &server, &["--wait-for-server", "1m", "--rate", "200/s"]).exits(0);
    assert_kept(&rows(&folder, "wave.ledger"), &server.seen(), 200);
    assert!(ran.stderr.contains("waiting"), "{}", ran.stderr);
}
