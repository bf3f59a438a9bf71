//! What the tests share: a folder of their own, the command, the simulator.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::process::{Child, Output, Stdio};

use assert_cmd::Command;
use cmbatch::simulator::{Arrival, Script, Simulator};
use serde_json::Value;

/// A template and targets for rows that mean nothing.
pub(crate) const TEMPLATE: &str = "a039b4d0-5ce8-4eff-8651-181c6576fda3";

/// Returns a GUID that depends on the number alone.
pub(crate) fn guid(number: u32) -> String {
    format!("97cc3493-f556-4c9b-9d8b-{number:012x}")
}

/// A folder that is removed at the end, with the command run in it, and the state folder of a host of its own beside it.
pub(crate) struct Folder {
    path: PathBuf,
    state: PathBuf,
    _root: tempfile::TempDir,
}

/// What a run of the command left.
pub(crate) struct Ran {
    pub(crate) status: i32,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl Ran {
    #[track_caller]
    pub(crate) fn exits(self, status: i32) -> Self {
        assert_eq!(self.status, status, "stdout:\n{}\nstderr:\n{}", self.stdout, self.stderr);
        self
    }

    #[track_caller]
    pub(crate) fn says(self, text: &str) -> Self {
        assert!(self.stderr.contains(text), "{text:?} is missing in:\n{}", self.stderr);
        self
    }

    #[track_caller]
    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.stdout).unwrap_or_else(|error| panic!("{error} in:\n{}", self.stdout))
    }
}

impl From<Output> for Ran {
    fn from(output: Output) -> Self {
        Self {
            status: output.status.code().unwrap_or(-1),
            stdout: String::from_utf8(output.stdout).unwrap(),
            stderr: String::from_utf8(output.stderr).unwrap(),
        }
    }
}

impl Folder {
    pub(crate) fn new() -> Self {
        let root = tempfile::tempdir().unwrap();
        let (path, state) = (root.path().join("work"), root.path().join("state"));
        std::fs::create_dir(&path).unwrap();
        Self { path, state, _root: root }
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// The variables by which runs find the state folder.
    pub(crate) fn host(&self) -> [(&'static str, &Path); 2] {
        [("HOME", &self.state), ("XDG_STATE_HOME", &self.state)]
    }

    pub(crate) fn file(&self, name: &str) -> PathBuf {
        self.path().join(name)
    }

    pub(crate) fn write(&self, name: &str, content: impl AsRef<[u8]>) -> PathBuf {
        let path = self.file(name);
        std::fs::write(&path, content).unwrap();
        path
    }

    pub(crate) fn read(&self, name: &str) -> String {
        std::fs::read_to_string(self.file(name)).unwrap()
    }

    /// The command in this folder, without the variables of the machine that tests run on.
    pub(crate) fn command(&self, words: &[&str]) -> Command {
        let mut command = Command::cargo_bin("cmbatch").unwrap();
        command.current_dir(self.path()).args(words).env("NO_COLOR", "1").envs(self.host());
        #[expect(
            clippy::disallowed_methods,
            reason = "the command under test must not see the variables of this machine"
        )]
        for (name, _) in std::env::vars_os() {
            if name.to_string_lossy().starts_with("CMBATCH_") {
                command.env_remove(name);
            }
        }
        command
    }

    #[track_caller]
    pub(crate) fn run(&self, words: &[&str]) -> Ran {
        self.command(words).output().unwrap().into()
    }

    /// Starts the command in this folder and does not wait for it.
    pub(crate) fn start(&self, words: &[&str]) -> Child {
        let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_cmbatch"));
        command.args(words).current_dir(self.path()).envs(self.host()).stderr(Stdio::null()).spawn().unwrap()
    }

    #[track_caller]
    pub(crate) fn run_with_input(&self, words: &[&str], input: impl Into<Vec<u8>>) -> Ran {
        self.command(words).write_stdin(input).output().unwrap().into()
    }
}

/// Starts a simulator on any port.
pub(crate) fn simulator(faults: &[&str]) -> Simulator {
    let faults = faults.iter().map(|fault| fault.parse().unwrap()).collect();
    let script = Script { faults, ..Script::default() };
    Simulator::start(script, SocketAddr::from((Ipv4Addr::LOCALHOST, 0)), Vec::new()).unwrap()
}

/// The create calls that arrived.
pub(crate) fn posts(simulator: &Simulator) -> Vec<Arrival> {
    simulator.arrivals().into_iter().filter(|arrival| arrival.method == "POST").collect()
}

/// The bodies of the create calls that arrived, as JSON.
pub(crate) fn bodies(simulator: &Simulator) -> Vec<Value> {
    posts(simulator).iter().map(|arrival| serde_json::from_slice(&arrival.body).unwrap()).collect()
}

/// Takes the tag off a body's comment, so that bodies of two runs can be compared.
pub(crate) fn untagged(mut body: Value) -> Value {
    let comment = body["comment"].as_str().unwrap().to_owned();
    assert!(comment.starts_with("[cmb:"), "{comment}");
    body["comment"] = comment[39..].trim_start_matches(' ').into();
    body
}

/// A CSV manifest of so many Enroll rows.
pub(crate) fn enrollments(n_rows: u32) -> String {
    let mut text = "id,type,profiletemplateuuid,target,comment\n".to_owned();
    for row in 1..=n_rows {
        text += &format!("E-{row},Enroll,{TEMPLATE},{},new hire\n", guid(row));
    }
    text
}

/// Waits for something that another process brings about.
pub(crate) fn wait_until(mut done: impl FnMut() -> bool) {
    let begin = std::time::Instant::now();
    while !done() {
        assert!(begin.elapsed().as_secs() < 60, "it did not happen within a minute");
        std::thread::yield_now();
    }
}
