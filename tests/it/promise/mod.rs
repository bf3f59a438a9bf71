//! Never twice, never lost, in a world where files are copied and put back, lists are cut, answers are swapped and several work at
//! once: each way that was found to break the promise, through the binary, against a server of another make.

mod across;
mod answers;
mod commands;
mod copies;
mod files;
mod first;
mod lags;
mod lists;
mod pins;
mod server;
mod signals;
mod tokens;
mod ways;
mod words;

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use serde_json::Value;

use crate::common::{Ran, enrollments, wait_until};
use server::{Cm, Manner};

/// A server and the folders of those who use it.
struct World {
    root: tempfile::TempDir,
    server: Cm,
}

/// A folder, the command in it, and the state folder of its host.
struct Place<'a> {
    world: &'a World,
    folder: PathBuf,
    state: PathBuf,
}

/// Short waits, and calls as fast as they go.
const QUICK: &[&str] = &["--settle", "1s", "--server-limit", "1s", "--rate", "unlimited", "--timeout", "20s"];

impl World {
    fn new(manner: Manner) -> Self {
        Self { root: tempfile::tempdir().unwrap(), server: Cm::start(manner) }
    }

    /// A folder on the usual host.
    fn place(&self, name: &str) -> Place<'_> {
        self.on_host(name, "host")
    }

    fn on_host(&self, name: &str, host: &str) -> Place<'_> {
        let folder = self.root.path().join(name);
        std::fs::create_dir_all(&folder).unwrap();
        Place { world: self, folder, state: self.root.path().join(format!("state-{host}")) }
    }

    /// A folder with a list of so many rows in it.
    fn with_rows(&self, name: &str, n_rows: u32) -> Place<'_> {
        let place = self.place(name);
        place.write("wave.csv", enrollments(n_rows));
        place
    }
}

impl Place<'_> {
    fn file(&self, name: &str) -> PathBuf {
        self.folder.join(name)
    }

    fn write(&self, name: &str, content: impl AsRef<[u8]>) {
        std::fs::write(self.file(name), content).unwrap();
    }

    fn command(&self, program: impl AsRef<std::ffi::OsStr>) -> Command {
        let mut command = Command::new(program);
        command
            .current_dir(&self.folder)
            .env("NO_COLOR", "1")
            .env("HOME", &self.state)
            .env("XDG_STATE_HOME", &self.state);
        command.env_remove("STATE_DIRECTORY").stdin(Stdio::null());
        command
    }

    fn words(&self, words: &[&str]) -> Vec<String> {
        let mut all: Vec<String> = words.iter().map(|word| (*word).to_owned()).collect();
        let asks = ["submit", "replay", "reconcile", "settle"].contains(&words[0]);
        if asks {
            all.extend(["--server".to_owned(), self.world.server.url()]);
            let sends = ["submit", "replay"].contains(&words[0]);
            let options = if sends { QUICK } else { &QUICK[..4] };
            // What a test says itself wins over this.
            for pair in options.chunks(2).filter(|pair| !words.contains(&pair[0])) {
                all.extend(pair.iter().map(|word| (*word).to_owned()));
            }
        }
        all
    }

    /// Runs a command, with the server's options where it has such.
    #[track_caller]
    fn run(&self, words: &[&str]) -> Ran {
        self.run_with(words, &[])
    }

    #[track_caller]
    fn run_with(&self, words: &[&str], variables: &[(&str, &str)]) -> Ran {
        let mut command = self.command(env!("CARGO_BIN_EXE_cmbatch"));
        let ran: Ran = command.args(self.words(words)).envs(variables.iter().copied()).output().unwrap().into();
        self.next_can_be_typed(&ran);
        ran
    }

    /// Tries every command of the last `next:` line, as it is printed and so that it changes nothing.
    #[track_caller]
    fn next_can_be_typed(&self, ran: &Ran) {
        for command in next_commands(&ran.stderr) {
            let end = match command.split(' ').nth(1) {
                Some("submit" | "replay") => " --dry-run",
                Some("export") => " --force",
                Some("status") => "",
                Some("settle") if command.ends_with("--list") => "",
                // They ask the server, or have words that stand for others.
                _ => continue,
            };
            // What a person has to correct first is not corrected here.
            if ["--from ", "UUID", "REJECTS", "LEDGER", "FILE", "TEXT"].iter().any(|word| command.contains(word)) {
                continue;
            }
            let tried = self.shell(&format!("{command}{end}"));
            assert!([0, 1].contains(&tried.status), "{command}{end} ends with {}:\n{}", tried.status, tried.stderr);
        }
    }

    fn shell(&self, command: &str) -> Ran {
        let program = Path::new(env!("CARGO_BIN_EXE_cmbatch")).parent().unwrap().to_str().unwrap();
        let mut shell = self.command("sh");
        shell.args(["-c", command]).env("PATH", format!("{program}:/usr/bin:/bin")).output().unwrap().into()
    }

    fn submit(&self, more: &[&str]) -> Ran {
        self.run(&[&["submit", "wave.csv"], more].concat())
    }

    fn start(&self, words: &[&str]) -> Child {
        let mut command = self.command(env!("CARGO_BIN_EXE_cmbatch"));
        command.args(self.words(words)).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
    }

    /// Starts the list, and ends it as a crash would once so many create calls have come.
    fn submit_killed_at(&self, n_posts: usize, more: &[&str]) {
        let mut run = self.start(&[&["submit", "wave.csv"], more].concat());
        wait_until(|| self.world.server.n_posts() >= n_posts);
        run.kill().unwrap();
        run.wait().unwrap();
        // What it had sent is acted on all the same.
        let quiet = || {
            let n_made = self.world.server.n_made();
            std::thread::sleep(std::time::Duration::from_millis(100));
            self.world.server.n_made() == n_made
        };
        wait_until(quiet);
    }

    /// Repeats the command until nothing is left to do, and fails where it takes more than a few times.
    #[track_caller]
    fn until_done(&self, words: &[&str]) -> Ran {
        let mut said = String::new();
        for _ in 0..4 {
            let ran = self.run(words);
            if ran.status == 0 {
                return ran;
            }
            said += &format!("exit {}:\n{}\n", ran.status, ran.stderr);
        }
        panic!("{words:?} does not come to an end:\n{said}");
    }

    /// The rows of a ledger, as they are exported.
    #[track_caller]
    fn rows(&self, ledger: &str) -> Vec<Value> {
        let ran = self.run(&["export", ledger, "--format", "jsonl"]).exits(0);
        ran.stdout.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }

    #[track_caller]
    fn row(&self, ledger: &str, number: u64) -> Value {
        self.rows(ledger).into_iter().find(|row| row["row"] == number).unwrap()
    }

    #[track_caller]
    fn n_in(&self, ledger: &str, state: &str) -> usize {
        self.rows(ledger).iter().filter(|row| row["state"] == state).count()
    }

    /// Fails where a ledger says of one of its rows what the server's memory does not: created and not there, or with another
    /// one's uuid; not created and there.
    #[track_caller]
    fn never_lost(&self, ledger: &str) {
        let made = self.world.server.made();
        for row in self.rows(ledger) {
            let target = row["target"].as_str().unwrap_or_default();
            let kind = row["type"].as_str().unwrap_or_default();
            let of_row: Vec<_> =
                made.iter().filter(|made| made.target() == target && made.text("type") == kind).collect();
            let is_there = of_row.iter().any(|made| row["request_uuid"] == made.uuid.as_str());
            match row["state"].as_str().unwrap() {
                "created" => assert!(is_there, "{row} is not what was made: {of_row:?}"),
                "pending" | "failed" | "invalid" => assert!(of_row.is_empty(), "{row} exists: {of_row:?}"),
                _ => {}
            }
        }
    }

    /// All rows of the list exist once, and the ledger says so.
    #[track_caller]
    fn all_once(&self, ledger: &str, n_rows: usize) {
        self.world.server.never_twice();
        assert_eq!(self.world.server.n_made(), n_rows);
        self.never_lost(ledger);
        assert_eq!(self.n_in(ledger, "created"), n_rows);
    }

    /// Copies a file of another place here.
    fn take(&self, from: &Place<'_>, name: &str) {
        std::fs::copy(from.file(name), self.file(name)).unwrap();
    }

    /// Runs a command of the last `next:` line as it is printed: the one that has this text in it.
    #[track_caller]
    fn run_next(&self, ran: &Ran, having: &str) -> Ran {
        let all = next_commands(&ran.stderr);
        let found = all.iter().find(|command| command.contains(having));
        let command = found.unwrap_or_else(|| panic!("no next command with {having:?} in:\n{}", ran.stderr));
        let ran = self.shell(command);
        assert!(!ran.stderr.contains("Usage: cmbatch"), "{command} is no command:\n{}", ran.stderr);
        ran
    }
}

/// The commands of the last `next:` line, as they are printed.
fn next_commands(stderr: &str) -> Vec<String> {
    let Some(line) = stderr.lines().rev().find_map(|line| line.strip_prefix("next: ")) else { return Vec::new() };
    let mut found = Vec::new();
    for (at, _) in line.match_indices("cmbatch ") {
        if at > 0 && !line[..at].ends_with(": ") {
            continue;
        }
        let command = &line[at..];
        let end =
            ["; or", "; then", "; and", "; how", ", which", "; see"].iter().filter_map(|end| command.find(end)).min();
        found.push(command[..end.unwrap_or(command.len())].to_owned());
    }
    found
}

/// Ends the process as a person does, and returns its exit status.
fn signal(child: &Child, signal: nix::sys::signal::Signal) {
    let pid = nix::unistd::Pid::from_raw(i32::try_from(child.id()).unwrap());
    nix::sys::signal::kill(pid, signal).unwrap();
}

/// A list of so many rows with targets and ids of their own.
fn further_manifest(n_rows: u32, begin: &str) -> String {
    enrollments(n_rows).replace("97cc3493", begin).replace("E-", &format!("{begin}-"))
}

/// Copies a folder as it is, as `cp -a` does.
fn copy_folder(from: &Path, to: &Path) {
    let done = Command::new("cp").args(["-a", "-T"]).arg(from).arg(to).status().unwrap();
    assert!(done.success());
}
