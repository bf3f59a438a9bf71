//! What an answer means, line by line, against a server that is made of bytes: the state that the row ends in, the exit
//! status, and how many create calls arrived whole.

use crate::chaos::{Answer, Break, Chaos, Fate, Script, Written, answer, status};
use crate::common::{Folder, enrollments};
use crate::oracle::{assert_kept, rows};

/// How many rows each case sends.
const N_ROWS: u32 = 10;

/// The create calls that meet the fault: not the first ones, which are made one at a time.
const FAULTY: &[u32] = &[4, 5, 6];

/// One kind of fault alone.
struct Case {
    name: &'static str,
    script: Script,
    /// Options of its own.
    options: &'static [&'static str],
    expect: Expect,
}

/// What the run is to end with.
struct Expect {
    exit: i32,
    /// The rows that end in another state than created: how many in which.
    others: (usize, &'static str),
    /// How many create calls are to arrive whole.
    n_posts: usize,
}

/// All rows are created, with a call each.
const ONCE: Expect = Expect { exit: 0, others: (0, ""), n_posts: N_ROWS as usize };

/// All rows are created; those that met the fault were sent again, when it was certain that they do not exist.
const AGAIN: Expect = Expect { exit: 0, others: (0, ""), n_posts: N_ROWS as usize + FAULTY.len() };

/// The rows that met the fault are failed, after one call each.
const FAILED: Expect = Expect { exit: 1, others: (FAULTY.len(), "failed"), n_posts: N_ROWS as usize };

const SHORT: &[&str] = &["--timeout", "1s"];

fn case(name: &'static str, script: Script, expect: Expect) -> Case {
    Case { name, script, options: &["--timeout", "20s"], expect }
}

/// The fault meets a call that created its request, and one that did not.
fn both(name: &'static str, answer: &Answer, absent: Expect) -> [Case; 2] {
    [
        case(name, Script::on(FAULTY, Fate::creates(answer.clone())), ONCE),
        case(name, Script::on(FAULTY, Fate::refuses(answer.clone())), absent),
    ]
}

impl Case {
    fn check(self) {
        let Self { name, script, options, expect } = self;
        let folder = Folder::new();
        folder.write("wave.csv", enrollments(N_ROWS));
        let server = Chaos::start(script);
        let url = server.base_url();
        let mut words = vec!["submit", "wave.csv", "--server", &url, "--rate", "unlimited"];
        words.extend(["--settle", "200ms", "--server-limit", "400ms"]);
        words.extend(options);
        let ran = folder.run(&words);
        let rows = rows(&folder, "wave.ledger");
        let seen = server.seen();
        let others: Vec<&str> = rows.iter().map(|row| row.state.as_str()).filter(|state| *state != "created").collect();
        let (n_others, other) = expect.others;
        assert_eq!(others, vec![other; n_others], "{name}:\n{}", ran.stderr);
        assert_eq!((ran.status, seen.len()), (expect.exit, expect.n_posts), "{name}:\n{}", ran.stderr);
        assert_kept(&rows, &seen, N_ROWS as usize);
    }
}

/// Checks all cases at once: they wait most of the time.
fn check(cases: impl IntoIterator<Item = Case>) {
    std::thread::scope(|scope| {
        let running: Vec<_> = cases.into_iter().map(|case| (case.name, scope.spawn(|| case.check()))).collect();
        let failed: Vec<&str> =
            running.into_iter().filter_map(|(name, case)| case.join().is_err().then_some(name)).collect();
        assert!(failed.is_empty(), "{failed:?}");
    });
}

#[test]
fn connections_that_end_before_the_answer() {
    let closing = Script { fate: Box::new(|_, _| Fate::creates(Answer::CreatedAndClosed)), ..Script::default() };
    let cases = [
        case(
            "reset when it is made",
            Script { refuses: Box::new(|number| number % 3 == 2), ..Script::default() },
            ONCE,
        ),
        case("reset at the first byte", Script::breaking(FAULTY, Break::FirstByte), ONCE),
        case("reset after the head", Script::breaking(FAULTY, Break::Head), ONCE),
        case("closed after each answer", closing, ONCE),
    ];
    let after = both("reset after the request", &Answer::Reset, AGAIN);
    let closed = both("closed after the request", &Answer::Close, AGAIN);
    check(cases.into_iter().chain(after).chain(closed));
}

#[test]
fn answers_that_do_not_come_as_they_should() {
    let short = |case: Case| Case { options: SHORT, ..case };
    let created = |name, answer| case(name, Script::on(FAULTY, Fate::creates(answer)), ONCE);
    let flood = created("100 MB", Answer::Flood);
    let half = both("half an answer", &Answer::Half, AGAIN);
    let slow = both("a byte a second", &Answer::Trickle, AGAIN).map(short);
    let silent = both("no answer", &Answer::Silence, AGAIN).map(short);
    let cases = [
        flood,
        created("201 with Location alone", Answer::LocationOnly),
        created("100 Continue before", Answer::AfterContinue),
    ];
    let bytes = both("no HTTP", &Answer::Bytes(b"SSH-2.0-OpenSSH_9.2\r\n\r\n".as_slice().into()), AGAIN);
    check(cases.into_iter().chain(half).chain(slow).chain(silent).chain(bytes));
}

#[test]
fn answers_of_201_that_name_no_request() {
    let page = "<html><title>Welcome</title></html>";
    let html = answer("201 Created", "Content-Type: text/html\r\n", page);
    let cases = [
        both("201 with garbage", &answer("201 Created", "", "garbage"), AGAIN),
        both("201 with nothing", &answer("201 Created", "", ""), AGAIN),
        both("201 with null", &answer("201 Created", "", "null"), AGAIN),
        both("201 with HTML", &html, AGAIN),
    ];
    check(cases.into_iter().flatten());
}

#[test]
fn statuses_after_which_the_row_is_in_doubt() {
    let page = "<html><head><title>Sign in</title></head></html>";
    let html = answer("200 OK", "Content-Type: text/html\r\n", page);
    let redirect = answer("302 Found", "Location: /elsewhere\r\n", "");
    let throttled = answer("503 Service Unavailable", "Retry-After: 1\r\n", "");
    let cases = [
        both("200 and a proxy's page", &html, AGAIN),
        both("204", &Answer::Bytes(b"HTTP/1.1 204 No Content\r\n\r\n".as_slice().into()), AGAIN),
        both("302", &redirect, AGAIN),
        both("408", &status("408 Request Timeout"), AGAIN),
        both("500", &status("500 Internal Server Error"), FAILED),
        both("502", &status("502 Bad Gateway"), AGAIN),
        both("503", &status("503 Service Unavailable"), AGAIN),
        both("503 with Retry-After", &throttled, AGAIN),
        both("504", &status("504 Gateway Timeout"), AGAIN),
    ];
    check(cases.into_iter().flatten());
}

/// The date that many seconds from now.
fn http_date(seconds: u64) -> String {
    httpdate::fmt_http_date(std::time::SystemTime::now() + std::time::Duration::from_secs(seconds))
}

#[test]
fn statuses_that_say_for_certain_that_nothing_was_created() {
    let refused = |name, line| case(name, Script::on(FAULTY, Fate::refuses(status(line))), FAILED);
    let throttled = |name, headers: &str| {
        let answer = answer("429 Too Many Requests", headers, "");
        case(name, Script::on(FAULTY, Fate::refuses(answer)), AGAIN)
    };
    check([
        refused("400", "400 Bad Request"),
        refused("403", "403 Forbidden"),
        refused("409", "409 Conflict"),
        throttled("429 with seconds", "Retry-After: 1\r\n"),
        throttled("429 with a date", &format!("Retry-After: {}\r\n", http_date(2))),
        throttled("429 alone", ""),
    ]);
}

/// Answers, requests that are read back, and lists: none of it was asked for in this form, and all of it is read.
#[test]
fn answers_that_are_compressed_or_in_another_charset() {
    let lost = |written| Script { written, ..Script::on(FAULTY, Fate::creates(Answer::Reset)) };
    check([
        case("gzip", lost(Written::Gzip), ONCE),
        case("deflate", lost(Written::Deflate), ONCE),
        case("deflate without zlib's form", lost(Written::RawDeflate), ONCE),
        case("UTF-16", lost(Written::Utf16), ONCE),
    ]);
}

/// What stops the run: rows that met the answer are pending, and the run says whom to call.
#[test]
fn statuses_that_are_not_the_rows_fault_stop_the_run() {
    let (line, exit, by) = ("401 Unauthorized", 5, "sign-in");
    {
        let folder = Folder::new();
        folder.write("wave.csv", enrollments(200));
        let refuse = move |number: u32| {
            if number > 3 { Fate::refuses(status(line)) } else { Fate::creates(Answer::Created) }
        };
        let server = Chaos::start(Script { fate: Box::new(move |number, _| refuse(number)), ..Script::default() });
        let url = server.base_url();
        let words = ["submit", "wave.csv", "--server", &url, "--rate", "unlimited", "--json"];
        let summary = folder.run(&words).exits(exit).json();
        assert_eq!(summary["stopped_by"], by);
        assert_eq!((&summary["created"], &summary["pending"]), (&3.into(), &197.into()), "{summary}");
        // The first calls and those that were in flight with the refused one.
        assert!(server.n_posts() <= 3 + 17, "{} for {line}", server.n_posts());
        server.behave(Script::default());
        folder.run(&words).exits(0);
        assert_kept(&rows(&folder, "wave.ledger"), &server.seen(), 200);
    }
}

/// Submits one row to a server that answers so, and returns what is said.
fn told(answer: Answer, exit: i32) -> String {
    let folder = Folder::new();
    folder.write("wave.csv", enrollments(1));
    let server =
        Chaos::start(Script { fate: Box::new(move |_, _| Fate::refuses(answer.clone())), ..Script::default() });
    let words = ["submit", "wave.csv", "--server", &server.base_url(), "--settle", "200ms", "--server-limit", "400ms"];
    let ran = folder.run(&words).exits(exit);
    format!("{}{}", ran.stderr, folder.run(&["export", "wave.ledger", "--format", "csv"]).stdout)
}

#[test]
fn the_servers_own_words_reach_the_person() {
    let page =
        "<html><title>Bad Request</title><h2>Request Too Long</h2><p>The size of the request headers is too long.</p>";
    let said = told(answer("403 Forbidden", "Content-Type: text/html\r\n", page), 1);
    assert!(said.contains("The size of the request headers is too long."), "{said}");
    assert!(said.contains(",refused,"), "{said}");

    let said = told(answer("403 Forbidden", "", r#"{"Message":"An error has occurred.","ExceptionMessage":"no"}"#), 1);
    assert!(said.contains(",forbidden,") && said.contains("An error has occurred. no"), "{said}");

    let said = told(answer("302 Found", "Location: https://a:b@sts.test/adfs/ls?ctx=secret\r\n", ""), 1);
    assert!(said.contains("the call is sent on to https://sts.test/adfs/ls"), "{said}");
    assert!(!said.contains("secret") && !said.contains("a:b"), "{said}");

    let offers = "WWW-Authenticate: Negotiate\r\nWWW-Authenticate: NTLM\r\n";
    let said = told(answer("401 Unauthorized", offers, ""), 5);
    assert!(said.contains("offers Negotiate, NTLM: give --auth negotiate, or --auth ntlm"), "{said}");
    assert!(!said.contains("token"), "{said}");

    let said = told(answer("429 Too Many Requests", "Retry-After: 3600\r\n", ""), 4);
    assert!(said.contains("the server asks to come back in 1 h 0 min, at "), "{said}");
}

#[cfg(unix)]
#[test]
fn too_many_open_files_are_no_full_disk() {
    let folder = Folder::new();
    folder.write("wave.csv", enrollments(1));
    let server = Chaos::start(Script::default());
    let command = env!("CARGO_BIN_EXE_cmbatch");
    // Wherever it runs out: at the first file, at the ledger's, at the first connection.
    for limit in 12..=24 {
        let script = format!("ulimit -n {limit}; exec {command} submit wave.csv --server {}", server.base_url());
        let ran = std::process::Command::new("sh")
            .args(["-c", &script])
            .current_dir(folder.path())
            .envs(folder.host())
            .output()
            .unwrap();
        let said = String::from_utf8(ran.stderr).unwrap();
        if ran.status.success() {
            break;
        }
        assert!(
            said.contains("raise the limit") && !said.contains("make room") && !said.contains("writable"),
            "{limit}: {said}"
        );
    }
    assert_kept(&rows(&folder, "wave.ledger"), &server.seen(), 1);
}

#[test]
fn what_stands_around_a_token_is_refused_before_anything_is_sent() {
    let folder = Folder::new();
    folder.write("wave.csv", enrollments(1));
    let server = Chaos::start(Script::default());
    let token = folder.write("token", r#"{"access_token":"hunter2","token_type":"Bearer"}"#);
    #[cfg(unix)]
    std::fs::set_permissions(&token, std::os::unix::fs::PermissionsExt::from_mode(0o600)).unwrap();
    let words = ["submit", "wave.csv", "--server", &server.base_url(), "--token-file", token.to_str().unwrap()];
    let ran = folder.run(&words).exits(2).says("write the value of its \"access_token\" alone there");
    assert!(!ran.stderr.contains("hunter2"), "{}", ran.stderr);
    assert_eq!(server.n_posts(), 0);
}
