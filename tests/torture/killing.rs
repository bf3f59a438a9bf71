//! Start, kill, start again; at the end let it finish, and compare both sides.

use std::fs::File;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::Duration;

use crate::common::{Folder, enrollments, wait_until};
use crate::oracle::{Row, assert_kept, breaches, rows};
use crate::random::Random;
use crate::servers::Server;

/// What is done to the program.
#[derive(Debug)]
pub(crate) struct Plan {
    pub(crate) seed: u64,
    pub(crate) n_kills: u64,
    pub(crate) n_rows: u32,
    pub(crate) rate: &'static str,
    /// More than twice the longest that the server works on a call: absence is not believed before.
    pub(crate) server_limit: Duration,
}

/// How often the program may be started to come to an end by itself, after the last kill.
const MAX_RUNS: usize = 30;

const LEDGER: &str = "wave.ledger";

/// Shorter than the longest latency, so that some calls are given up that the server acts on later.
const TIMEOUT: Duration = Duration::from_secs(1);

/// Says the seed when a test fails.
struct SaySeed<'a>(&'a Plan, &'a Folder);

impl Drop for SaySeed<'_> {
    #[expect(clippy::print_stderr, reason = "this is for whoever reads why the test failed")]
    fn drop(&mut self) {
        if std::thread::panicking() {
            let said = std::fs::read_to_string(self.1.file("stderr.txt")).unwrap_or_default();
            eprintln!("{:?}; again with CMBATCH_TORTURE_SEED={}\nlast words:\n{said}", self.0, self.0.seed);
        }
    }
}

/// Sends a manifest to this server through a program that is killed again and again.
pub(crate) fn torture<S: Server>(plan: &Plan, start: impl FnOnce(&Folder) -> S) {
    let folder = Folder::new();
    let _say = SaySeed(plan, &folder);
    folder.write("wave.csv", enrollments(plan.n_rows));
    let server = start(&folder);
    let run = Run { folder: &folder, server: &server, plan };
    assert!(plan.server_limit > 2 * server.longest_latency());
    let mut random = Random::new(!plan.seed);
    let mut n_kills = 0;
    while n_kills < plan.n_kills && run.killed(&["submit", "wave.csv"], &mut random) {
        n_kills += 1;
        // What is wrong in the middle need not be wrong at the end: look now and then.
        if n_kills % 10 == 0 && folder.file(LEDGER).exists() {
            check_in_the_middle(&folder, &server.seen(), plan);
        }
    }
    run.to_the_end(&["submit", "wave.csv"]);
    let sent = rows(&folder, LEDGER);
    assert_kept(&sent, &server.seen(), plan.n_rows as usize);
    assert_settled(&sent);
    // Rows whose 500 was the last word are failed until a person says otherwise; that is killed at, too.
    for _ in 0..3 {
        run.killed(&["replay", LEDGER], &mut random);
    }
    let all_created = (0..MAX_RUNS).any(|_| {
        let is_over = run.end(&["replay", LEDGER]).code() == Some(0);
        run.settle_truly();
        is_over
    });
    let (rows, seen) = (rows(&folder, LEDGER), server.seen());
    assert_kept(&rows, &seen, plan.n_rows as usize);
    assert!(all_created, "replay never came to its end");
    assert!(rows.iter().all(|row| row.state == "created"));
    assert_eq!(seen.iter().filter(|call| call.created.is_some()).count(), plan.n_rows as usize);
}

/// Between two sessions only the states are behind the server: nothing may have been sent twice, and a row that is said to be
/// created is.
fn check_in_the_middle(folder: &Folder, seen: &[crate::oracle::Seen], plan: &Plan) {
    let rows = rows(folder, LEDGER);
    let found = breaches(&rows, seen, plan.n_rows as usize);
    assert!(found.is_empty(), "in the middle:\n{}", found.join("\n"));
}

/// Only a row that the server failed with 500 and that was proven absent is left failed.
fn assert_settled(rows: &[Row]) {
    let is_settled =
        |row: &&Row| row.state != "created" && !(row.state == "failed" && row.code.as_deref() == Some("server-error"));
    let open: Vec<&Row> = rows.iter().filter(is_settled).collect();
    assert!(open.is_empty(), "not settled: {open:?}");
}

struct Run<'a> {
    folder: &'a Folder,
    server: &'a dyn Server,
    plan: &'a Plan,
}

impl Run<'_> {
    fn start(&self, words: &[&str]) -> Child {
        let millis = |time: Duration| format!("{}ms", time.as_millis());
        let mut command = Command::new(env!("CARGO_BIN_EXE_cmbatch"));
        command.current_dir(self.folder.path()).envs(self.folder.host()).args(words).args([
            "--server",
            &self.server.url(),
            "--rate",
            self.plan.rate,
        ]);
        command.args([
            "--timeout",
            &millis(TIMEOUT),
            "--settle",
            "200ms",
            "--server-limit",
            &millis(self.plan.server_limit),
        ]);
        command.args(["--concurrency", "8", "--max-attempts", "50"]);
        let said = File::create(self.folder.file("stderr.txt")).unwrap();
        command.stdout(Stdio::null()).stderr(said).spawn().unwrap()
    }

    /// Starts the program and kills it at a random moment; says whether there is more to do.
    fn killed(&self, words: &[&str], random: &mut Random) -> bool {
        let before = self.server.progress();
        let mut child = self.start(words);
        // One in four dies while it starts, the others while calls are under way.
        let moment = if random.below(4) == 0 {
            random.below(60_000)
        } else {
            wait_until(|| self.server.progress() > before || child.try_wait().unwrap().is_some());
            random.below(200_000)
        };
        // A kill comes at a time, not after an event: that is what is tried here.
        std::thread::sleep(Duration::from_micros(moment));
        child.kill().unwrap();
        let ended = child.wait().unwrap();
        let Some(status) = ended.code() else { return true };
        self.assert_allowed(ended);
        // A run that the breaker stopped goes on.
        status == 4
    }

    /// Lets the program end by itself, as often as it takes to settle all rows.
    fn to_the_end(&self, words: &[&str]) {
        let ended = |status: ExitStatus| {
            let open = rows(self.folder, LEDGER).iter().any(|row| row.state == "pending" || row.state == "in_doubt");
            status.code() == Some(0) || (status.code() == Some(1) && !open)
        };
        let settled = (0..MAX_RUNS).any(|_| {
            let is_over = ended(self.end(words));
            if !is_over {
                self.settle_truly();
            }
            is_over
        });
        assert!(settled, "it never came to its end");
    }

    /// Says of the rows in doubt that the server did not make that it did not: one whose answers were lost twice is a person's.
    fn settle_truly(&self) {
        let seen = self.server.seen();
        let is_made = |row: &Row| seen.iter().any(|call| call.target == row.target && call.created.is_some());
        let doubts = rows(self.folder, LEDGER).into_iter().filter(|row| row.state == "in_doubt" && !is_made(row));
        let named: Vec<String> = doubts.flat_map(|row| ["--row".to_owned(), row.number.to_string()]).collect();
        if !named.is_empty() {
            let named: Vec<&str> = named.iter().map(String::as_str).collect();
            let verdict = ["--not-created", "--reason", "the server did not make it"];
            self.folder.run(&[&["settle", LEDGER][..], &named, &verdict].concat()).exits(0);
        }
    }

    fn end(&self, words: &[&str]) -> ExitStatus {
        let ended = self.start(words).wait().unwrap();
        self.assert_allowed(ended);
        ended
    }

    /// All created, some not, or the breaker: nothing else may come of the same command.
    fn assert_allowed(&self, ended: ExitStatus) {
        let said = || std::fs::read_to_string(self.folder.file("stderr.txt")).unwrap();
        assert!(matches!(ended.code(), Some(0 | 1 | 4)), "{ended}:\n{}", said());
    }
}
