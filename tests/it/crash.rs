//! The program ended at each point of its way, as a crash would end it, and started again.

use std::os::unix::process::ExitStatusExt;

use cmbatch::simulator::Simulator;

use crate::common::{Folder, enrollments, posts, simulator, wait_until};
use crate::oracle::{Seen, assert_kept, rows};

/// The variable that arms a point; only debug builds look at it.
const CRASH_AT: &str = "CMBATCH_CRASH_AT";

/// How many rows are sent: more than are claimed at once at this pace, so that some are created in any case.
const N_ROWS: u32 = 60;

const PACE: &[&str] = &["--rate", "200/s", "--concurrency", "4"];
const PATIENCE: &[&str] = &["--settle", "100ms", "--server-limit", "300ms", "--timeout", "5s"];

/// What is run, and what is wrong with the server meanwhile.
struct Scene {
    folder: Folder,
    simulator: Simulator,
}

impl Scene {
    fn new(faults: &[&str]) -> Self {
        let scene = Self { folder: Folder::new(), simulator: simulator(faults) };
        scene.folder.write("wave.csv", enrollments(N_ROWS));
        scene
    }

    fn words<'a>(&self, url: &'a str, words: &[&'a str]) -> Vec<&'a str> {
        [words, &["--server", url], PACE, PATIENCE].concat()
    }

    /// Runs the command with a point armed; it must die there, by a signal and not by an exit.
    #[track_caller]
    fn dies(&self, words: &[&str], point: &str) {
        let url = self.simulator.base_url();
        let output = self.folder.command(&self.words(&url, words)).env(CRASH_AT, point).output().unwrap();
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.signal(), Some(nix::libc::SIGABRT), "{point} was not come to: {said}");
    }

    /// Runs the command until nothing is left to do.
    #[track_caller]
    fn ends(&self, words: &[&str], point: &str, n_rows: u32) {
        let url = self.simulator.base_url();
        let ran = self.folder.run(&self.words(&url, words));
        assert_eq!(ran.status, 0, "after {point}: {}", ran.stderr);
        let rows = rows(&self.folder, "wave.ledger");
        assert_kept(&rows, &seen(&self.simulator), n_rows as usize);
        assert!(rows.iter().all(|row| row.state == "created"), "after {point}");
        assert_eq!(self.simulator.requests().len(), n_rows as usize, "after {point}");
        if point.starts_with("close-") {
            // All was settled and the session had ended: the second command had nothing to write, so the log stayed.
            return;
        }
        let mut files: Vec<String> = std::fs::read_dir(self.folder.path())
            .unwrap()
            .map(|entry| entry.unwrap().file_name().to_string_lossy().into_owned())
            .filter(|name| !name.ends_with(".csv"))
            .collect();
        files.sort();
        assert_eq!(files, ["wave.ledger"], "after {point}: a ledger at rest is one file");
    }
}

fn seen(simulator: &Simulator) -> Vec<Seen> {
    let read = |body: &[u8]| serde_json::from_slice(body).unwrap();
    // A call whose client died is acted on all the same.
    wait_until(|| simulator.arrivals().iter().all(|arrival| arrival.acted));
    posts(simulator)
        .iter()
        .map(|call| Seen::new(&read(&call.body), call.created.map(|uuid| uuid.to_string())))
        .collect()
}

/// Runs each of these, two at a time: each waits for its pace most of the time.
fn each(points: &[(&str, u32)], check: impl Fn(&str, u32) + Sync) {
    for pair in points.chunks(4) {
        std::thread::scope(|scope| {
            for (point, number) in pair {
                scope.spawn(|| check(point, *number));
            }
        });
    }
}

#[test]
fn while_rows_are_sent() {
    let points = [
        ("create-before-rename", 1),
        ("create-after-rename", 1),
        ("start-committed", 1),
        ("step-begin", 1),
        ("step-begin", 4),
        ("step-recorded", 1),
        ("step-recorded", 5),
        ("step-claimed", 1),
        ("step-claimed", 3),
        ("step-committed", 1),
        ("step-committed", 6),
        ("send-before", 1),
        ("send-before", 20),
        ("send-after", 1),
        ("send-after", 17),
        ("close-before-checkpoint", 1),
    ];
    each(&points, |point, number| {
        let scene = Scene::new(&["latency=0ms..3ms"]);
        let at = format!("{point}:{number}");
        scene.dies(&["submit", "wave.csv"], &at);
        scene.ends(&["submit", "wave.csv"], &at, N_ROWS);
    });
}

#[test]
fn while_rows_in_doubt_are_settled() {
    let points = [("resolve-before-commit", 1), ("resolve-committed", 1)];
    each(&points, |point, number| {
        // Two exist and their answers were lost, two do not exist and their answers do not say so.
        let faults = ["drop-after-create=at 7", "drop-after-create=at 8", "502=at 12", "502=at 13"];
        let scene = Scene::new(&faults);
        let at = format!("{point}:{number}");
        scene.dies(&["submit", "wave.csv"], &at);
        scene.ends(&["submit", "wave.csv"], &at, N_ROWS);
    });
}

#[test]
fn while_a_dead_sessions_rows_are_taken_over() {
    each(&[("takeover-before-commit", 1)], |point, number| {
        let scene = Scene::new(&[]);
        let at = format!("{point}:{number}");
        scene.dies(&["submit", "wave.csv"], "send-after:9");
        scene.dies(&["submit", "wave.csv"], &at);
        scene.dies(&["submit", "wave.csv"], "send-before:5");
        scene.ends(&["submit", "wave.csv"], &at, N_ROWS);
    });
}

/// Rows of another manifest, with targets of their own.
fn further(n_rows: u32) -> String {
    let mut text = enrollments(n_rows).replace("97cc3493", "a1b2c3d4");
    text = text.replace("E-", "F-");
    text
}

#[test]
fn while_a_further_manifest_is_taken_in() {
    let points = [("append-before-commit", 1), ("append-committed", 1), ("step-committed", 2)];
    each(&points, |point, number| {
        let scene = Scene::new(&[]);
        scene.folder.write("more.csv", further(20));
        let at = format!("{point}:{number}");
        scene.ends(&["submit", "wave.csv"], &at, N_ROWS);
        let append = ["submit", "more.csv", "--append", "--ledger", "wave.ledger"];
        scene.dies(&append, &at);
        scene.ends(&append, &at, N_ROWS + 20);
    });
}

#[test]
fn while_rows_are_sent_again_on_a_persons_order() {
    let points = [("resolve-before-commit", 1), ("resolve-committed", 1), ("step-committed", 1), ("send-after", 2)];
    each(&points, |point, number| {
        // Five rows fail for certain; a person lets them be sent again.
        let scene = Scene::new(&["400=at 10", "400=at 20", "400=at 30", "400=at 40", "400=at 50"]);
        let url = scene.simulator.base_url();
        let at = format!("{point}:{number}");
        scene.folder.run(&scene.words(&url, &["submit", "wave.csv"])).exits(1);
        scene.dies(&["replay", "wave.ledger"], &at);
        scene.ends(&["replay", "wave.ledger"], &at, N_ROWS);
    });
}

#[test]
fn again_and_again_at_the_same_point() {
    each(&[("step-committed", 2), ("send-after", 3), ("step-recorded", 2)], |point, number| {
        let scene = Scene::new(&[]);
        let at = format!("{point}:{number}");
        for _ in 0..5 {
            scene.dies(&["submit", "wave.csv"], &at);
        }
        scene.ends(&["submit", "wave.csv"], &at, N_ROWS);
    });
}
