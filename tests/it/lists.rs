//! What the server's list proves, and what it does not.

use serde_json::Value;

use crate::chaos::{Answer, Chaos, Fate, ListAs, Listing, ReadAs, Script, answer, status};
use crate::common::{Folder, Ran, TEMPLATE, enrollments, guid};
use crate::oracle::{Row, assert_kept, rows};

/// How many rows each test sends; the calls 4 to 7 are answered so that their rows are in doubt, and every other of them
/// creates its request.
const N_ROWS: u32 = 12;

fn lossy(list: Listing) -> Script {
    let lost = |creates| Fate { creates, answer: answer("502 Bad Gateway", "", "") };
    let fate = move |number: u32, _: &Value| match number {
        4..=7 => lost(number.is_multiple_of(2)),
        _ => Fate::creates(Answer::Created),
    };
    Script { fate: Box::new(fate), list, ..Script::default() }
}

fn whole(as_what: ListAs) -> Listing {
    Listing { as_what, later: true, ..Listing::default() }
}

/// A folder, a server, and what is run between them.
struct Scene {
    folder: Folder,
    server: Chaos,
}

impl Scene {
    /// Sends the rows; whatever the list says, the run ends.
    fn after_submit(script: Script) -> (Self, Ran) {
        let scene = Self { folder: Folder::new(), server: Chaos::start(script) };
        scene.folder.write("wave.csv", enrollments(N_ROWS));
        let ran = scene.submit(&[]);
        (scene, ran)
    }

    fn submit(&self, more: &[&str]) -> Ran {
        self.run(&[&["submit", "wave.csv", "--rate", "unlimited"], PATIENCE, more].concat())
    }

    fn run(&self, words: &[&str]) -> Ran {
        let url = self.server.base_url();
        self.folder.run(&[words, &["--server", &url]].concat())
    }

    #[track_caller]
    fn rows(&self) -> Vec<Row> {
        let rows = rows(&self.folder, "wave.ledger");
        assert_kept(&rows, &self.server.seen(), N_ROWS as usize);
        rows
    }

    fn n_in(&self, state: &str) -> usize {
        self.rows().iter().filter(|row| row.state == state).count()
    }
}

const PATIENCE: &[&str] = &["--settle", "100ms", "--server-limit", "200ms", "--timeout", "20s"];

/// Nothing is settled by this list, however often it is read; the whole list settles all.
fn proves_nothing(as_what: ListAs) {
    let (scene, ran) = Scene::after_submit(lossy(whole(as_what)));
    ran.exits(1);
    assert_eq!((scene.n_in("in_doubt"), scene.server.n_posts()), (4, N_ROWS as usize), "{as_what:?}");
    let said = |row: &Row| row.state == "created" || row.code.as_deref() == Some("bad-gateway");
    assert!(scene.rows().iter().all(said), "{as_what:?}");
    // Where it cannot be read, the next start says so, and that is all it does.
    let status = scene.submit(&[]).status;
    assert!([1, 4].contains(&status), "{as_what:?}: {status}");
    assert_eq!(scene.server.n_posts(), N_ROWS as usize, "{as_what:?}");
    scene.server.behave(Script::default());
    scene.submit(&[]).exits(0);
    assert_eq!((scene.n_in("created"), scene.server.n_posts()), (12, N_ROWS as usize + 2), "{as_what:?}");
}

#[test]
fn a_list_that_does_not_prove_itself_settles_nothing_and_nothing_is_sent_twice() {
    let lists = [
        ListAs::CommentsCut(10),
        ListAs::NoContent,
        ListAs::CutOff,
        ListAs::CutOffChunked,
        ListAs::Unclosed,
        ListAs::Malformed,
        ListAs::Html,
        ListAs::Status(403),
    ];
    // All at once: they wait most of the time.
    std::thread::scope(|scope| {
        for as_what in lists {
            scope.spawn(move || proves_nothing(as_what));
        }
    });
}

#[test]
fn a_list_that_hides_rows_is_not_believed() {
    // Every third request is hidden. One call at a time, so that calls 4 and 6 (in doubt, and created) are known by their
    // places in the list: 3 and 4, and both are shown; a row that was answered 201 is what is missing.
    let hiding = Listing { hides: Box::new(|place| place % 3 == 2), ..Listing::default() };
    let scene = Scene { folder: Folder::new(), server: Chaos::start(lossy(hiding)) };
    scene.folder.write("wave.csv", enrollments(N_ROWS));
    scene.submit(&["--concurrency", "1"]).exits(1);
    assert_eq!(scene.server.n_posts(), N_ROWS as usize);
    let left = scene.n_in("in_doubt");
    assert_eq!(left, 2, "those that do not exist");
    scene.run(&[&["reconcile", "wave.ledger"], PATIENCE_OF_RECONCILE].concat()).exits(1);
    assert_eq!((scene.n_in("in_doubt"), scene.server.n_posts()), (left, N_ROWS as usize));
    // A person takes the risk.
    scene.submit(&["--trust-list"]).says("--trust-list");
    assert!(scene.server.n_posts() > N_ROWS as usize);
}

const PATIENCE_OF_RECONCILE: &[&str] = &["--settle", "100ms", "--server-limit", "200ms"];

#[test]
fn reconcile_settles_and_sends_nothing() {
    let (scene, ran) = Scene::after_submit(lossy(whole(ListAs::Status(403))));
    ran.exits(1).says("403");
    scene.server.behave(Script::default());
    let ran = scene.run(&[&["reconcile", "wave.ledger", "--json"], PATIENCE_OF_RECONCILE].concat());
    let summary = ran.exits(1).json();
    // Of the two that are absent one is settled; the other one when a list has shown that one.
    assert_eq!((&summary["created"], &summary["pending"], &summary["in_doubt"]), (&10.into(), &1.into(), &1.into()));
    assert_eq!(scene.server.n_posts(), N_ROWS as usize);
    scene.submit(&[]).exits(0);
    assert_eq!((scene.n_in("created"), scene.server.n_posts()), (12, N_ROWS as usize + 2));
}

#[test]
fn absence_is_not_believed_before_its_time() {
    let (scene, _) = Scene::after_submit(lossy(whole(ListAs::Status(403))));
    scene.server.behave(Script::default());
    // The attempts of an earlier session count from when this one began: it waits for both times.
    let begin = std::time::Instant::now();
    let words = ["reconcile", "wave.ledger", "--settle", "2s", "--server-limit", "1s"];
    scene.run(&words).exits(1);
    assert!(begin.elapsed().as_secs_f64() >= 2.0, "{:?}", begin.elapsed());
    assert_eq!((scene.n_in("pending"), scene.n_in("in_doubt")), (1, 1));
}

/// A row proven absent is sent again, once: where its answer is lost again, a person settles it.
#[test]
fn a_row_proven_absent_is_sent_again_once() {
    let fate = |_: u32, body: &Value| {
        let lost = body["target"] == guid(5);
        if lost { Fate::refuses(status("502 Bad Gateway")) } else { Fate::creates(Answer::Created) }
    };
    let (scene, ran) = Scene::after_submit(Script { fate: Box::new(fate), ..Script::default() });
    ran.exits(1);
    assert_eq!(scene.server.n_posts(), N_ROWS as usize - 1 + 2);
    assert_eq!((scene.n_in("created"), scene.n_in("in_doubt")), (11, 1));
}

#[test]
fn without_any_created_row_the_list_proves_nothing() {
    // Ten time-outs would stop the run: a few rows whose answers say nothing, and no row that is known.
    let script =
        Script { fate: Box::new(|_, _| Fate::refuses(answer("502 Bad Gateway", "", ""))), ..Script::default() };
    let folder = Folder::new();
    folder.write("wave.csv", enrollments(3));
    let server = Chaos::start(script);
    let url = server.base_url();
    let words = [&["submit", "wave.csv", "--server", &url], PATIENCE].concat();
    let status = folder.run(&words).status;
    assert!(status == 1 || status == 4, "{status}");
    let n_posts = server.n_posts();
    server.behave(Script::default());
    // What was never sent is sent now, and then the list proves itself.
    folder.run(&words);
    let rows = rows(&folder, "wave.ledger");
    assert_kept(&rows, &server.seen(), 3);
    if n_posts == 3 {
        assert!(rows.iter().all(|row| row.state == "in_doubt"), "{rows:?}");
        assert_eq!(server.n_posts(), 3);
    } else {
        assert!(rows.iter().all(|row| row.state == "created"), "{rows:?}");
    }
}

#[test]
fn a_request_that_cannot_be_read_back_stops_the_run_unless_that_is_waived() {
    let script = Script { read: ReadAs::Status(403), ..Script::default() };
    let (scene, ran) = Scene::after_submit(script);
    ran.exits(4).says("the first request cannot be checked").says("--check-first warn");
    assert_eq!(scene.server.n_posts(), 1);
    scene.submit(&["--check-first", "warn"]).exits(0);
    assert_eq!(scene.server.n_posts(), N_ROWS as usize);
}

#[test]
fn a_persons_verdict_is_checked_and_recorded() {
    let (scene, _) = Scene::after_submit(lossy(whole(ListAs::Status(403))));
    let in_doubt: Vec<Row> = scene.rows().into_iter().filter(|row| row.state == "in_doubt").collect();
    let listed = scene.folder.run(&["settle", "wave.ledger", "--list"]).exits(0);
    for row in &in_doubt {
        assert!(listed.stdout.contains(&row.target), "{}", listed.stdout);
    }
    let seen = scene.server.seen();
    let uuid_of = |row: &Row| seen.iter().find(|call| call.target == row.target).unwrap().created.clone();
    let (exists, absent): (Vec<_>, Vec<_>) = in_doubt.iter().partition(|row| uuid_of(row).is_some());
    let (mine, other) = (uuid_of(exists[0]).unwrap(), uuid_of(exists[1]).unwrap());
    let number = exists[0].number.to_string();
    let settle = |words: &[&str]| scene.run(&[&["settle", "wave.ledger"], words].concat());
    // Another row's request is not this row's.
    let ran = settle(&["--row", &number, "--created", &other]);
    assert_ne!(ran.status, 0, "{}", ran.stderr);
    settle(&["--row", &number, "--created", &mine]).exits(0);
    let number = absent[0].number.to_string();
    let ran = settle(&["--row", &number, "--not-created"]);
    assert_ne!(ran.status, 0, "a verdict needs its reason: {}", ran.stderr);
    settle(&["--row", &number, "--not-created", "--reason", "looked in the portal"]).exits(0);
    assert_eq!((scene.n_in("in_doubt"), scene.n_in("pending"), scene.n_in("created")), (2, 1, 9));
    scene.server.behave(Script::default());
    scene.submit(&[]).exits(0);
    assert_eq!((scene.n_in("created"), scene.server.n_posts()), (12, N_ROWS as usize + 2));
}

#[test]
fn without_tags_a_person_settles_what_is_in_doubt() {
    let scene = Scene { folder: Folder::new(), server: Chaos::start(lossy(Listing::default())) };
    scene.folder.write("wave.csv", enrollments(N_ROWS));
    let part = ["--no-tag", "--limit", "10"];
    let ran = scene.submit(&part).exits(1).says("only a person can tell whether 4 of them exist");
    let n_in = |state: &str| rows(&scene.folder, "wave.ledger").iter().filter(|row| row.state == state).count();
    assert_eq!((n_in("in_doubt"), scene.server.n_posts()), (4, 10));
    let seen = scene.server.seen();
    for row in rows(&scene.folder, "wave.ledger").iter().filter(|row| row.state == "in_doubt") {
        let number = row.number.to_string();
        let settle = |words: &[&str]| {
            scene.run(&[&["settle", "wave.ledger", "--row", &number], words].concat()).exits(0);
        };
        match &seen.iter().find(|call| call.target == row.target).unwrap().created {
            Some(uuid) => {
                assert!(ran.stderr.contains(&format!("row {number} ({uuid})")), "{}", ran.stderr);
                settle(&["--created", uuid]);
            }
            None => {
                assert!(ran.stderr.contains(&format!("row {number} (no request is like it)")), "{}", ran.stderr);
                settle(&["--not-created", "--reason", "looked in the portal"]);
            }
        }
    }
    assert_eq!((n_in("created"), n_in("pending")), (8, 4));
    // What was never sent is sent now, and what a person says was not created.
    scene.submit(&["--no-tag"]).exits(0);
    assert_eq!((n_in("created"), scene.server.n_posts()), (12, N_ROWS as usize + 2));
    assert_eq!(scene.server.n_requests(), N_ROWS as usize);
}

#[test]
fn without_tags_all_requests_that_may_be_a_rows_are_named() {
    let fate = |number: u32, _: &Value| match number {
        4 => Fate::creates(answer("502 Bad Gateway", "", "")),
        _ => Fate::creates(Answer::Created),
    };
    let script = Script { fate: Box::new(fate), list: whole(ListAs::Status(403)), ..Script::default() };
    let scene = Scene { folder: Folder::new(), server: Chaos::start(script) };
    scene.folder.write("wave.csv", enrollments(4));
    scene.submit(&["--no-tag", "--without-list", "--concurrency", "1"]).exits(1);
    scene.server.behave(Script::default());
    // A colleague asks for the same.
    scene.folder.write("twin.csv", format!("type,profiletemplateuuid,target\nEnroll,{TEMPLATE},{}\n", guid(4)));
    scene.run(&["submit", "twin.csv", "--no-tag", "--state-dir", "a-colleagues"]).exits(0);
    let ran = scene.run(&[&["reconcile", "wave.ledger"], PATIENCE_OF_RECONCILE].concat()).exits(1);
    let states: Vec<String> = rows(&scene.folder, "wave.ledger").into_iter().map(|row| row.state).collect();
    assert_eq!(states, ["created", "created", "created", "in_doubt"]);
    let seen = scene.server.seen();
    let created: Vec<_> = seen.iter().filter(|call| call.target == guid(4)).map(|call| call.created.as_ref()).collect();
    assert_eq!(created.len(), 2);
    assert!(created.iter().all(|uuid| ran.stderr.contains(uuid.unwrap())), "{}", ran.stderr);
}
