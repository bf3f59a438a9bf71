//! The servers under which the program is killed, and what each of them saw.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use serde_json::Value;

use crate::chaos::{Answer, Break, Chaos, Fate, Script, answer, status};
use crate::common::{Folder, wait_until};
use crate::log::seen_in;
use crate::oracle::Seen;
use crate::random::Random;

/// The longest that the simulator works on a call.
const LONGEST_LATENCY: Duration = Duration::from_millis(1_400);

/// A server that can be told to behave.
pub(crate) trait Server {
    /// What to give as `--server`.
    fn url(&self) -> String;
    /// The create calls that it saw, when it works on none any more.
    fn seen(&self) -> Vec<Seen>;
    /// A number that is larger after each call.
    fn progress(&self) -> u64;
    /// The longest that it works on a call.
    fn longest_latency(&self) -> Duration;
}

/// The simulator, as a process of its own: it outlives every kill, and its log is written call by call.
pub(crate) struct SimulatorProcess {
    child: Child,
    url: String,
    log: PathBuf,
}

/// What can go wrong with a create call. The list stays truthful.
const FAULTS: [&str; 20] = [
    "drop-before",
    "500",
    "502",
    "503",
    "504",
    "302",
    "html",
    "created-500",
    "created-502",
    "created-503",
    "created-504",
    "drop-after-create",
    "truncate",
    "garbage",
    "empty-201",
    "null-location",
    "location-only",
    "hang-up",
    "slow",
    "429",
];

/// Returns faults of one to three in a hundred each, four in five of those that there are.
fn random_faults(random: &mut Random) -> Vec<String> {
    let mut faults = Vec::new();
    for name in FAULTS {
        // Throttling slows the whole run, so there is little of it.
        let share = if name == "429" { 1 } else { 1 + random.below(3) };
        if random.below(5) > 0 {
            let parameter = match name {
                "slow" => ",pause=2ms",
                "429" => ",retry-after=0",
                _ => "",
            };
            faults.push(format!("{name}={share}%{parameter}"));
        }
    }
    // A call that times out at the client and is acted on all the same.
    faults.push(format!("latency=700ms..{}ms,{}%", LONGEST_LATENCY.as_millis(), 1 + random.below(3)));
    faults
}

impl SimulatorProcess {
    pub(crate) fn start(folder: &Folder, random: &mut Random) -> Self {
        let mut options = vec!["--latency".to_owned(), "1ms..20ms".to_owned()];
        options.extend(["--seed".to_owned(), random.next().to_string()]);
        for fault in random_faults(random) {
            options.extend(["--fault".to_owned(), fault]);
        }
        Self::with(folder, &options)
    }

    /// Starts one that answers at once.
    pub(crate) fn without_faults(folder: &Folder) -> Self {
        Self::with(folder, &[])
    }

    fn with(folder: &Folder, options: &[String]) -> Self {
        let log = folder.file("arrivals.jsonl");
        let mut command = Command::new(env!("CARGO_BIN_EXE_cmbatch"));
        command.args(["simulate", "--port", "0", "--log"]).arg(&log).args(options);
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
        let mut url = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut url).unwrap();
        assert!(url.starts_with("http://"), "the simulator did not start: {url:?}");
        Self { child, url: url.trim().to_owned(), log }
    }

    /// Returns whether every call that arrived was acted on.
    fn is_idle(&self) -> bool {
        let address = self.url.trim_start_matches("http://").split('/').next().unwrap();
        let mut stream = TcpStream::connect(address).unwrap();
        // HTTP/1.0: the body ends with the connection.
        stream.write_all(b"GET /__cmbatch/arrivals HTTP/1.0\r\n\r\n").unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        let (_, body) = answer.split_once("\r\n\r\n").unwrap();
        let arrivals: Vec<Value> = serde_json::from_str(body).unwrap();
        arrivals.iter().all(|arrival| arrival["acted"] == true)
    }
}

impl Server for SimulatorProcess {
    fn url(&self) -> String {
        self.url.clone()
    }

    fn seen(&self) -> Vec<Seen> {
        wait_until(|| self.is_idle());
        let log = std::fs::read_to_string(&self.log).unwrap();
        seen_in(&log)
    }

    fn progress(&self) -> u64 {
        std::fs::metadata(&self.log).unwrap().len()
    }

    fn longest_latency(&self) -> Duration {
        LONGEST_LATENCY
    }
}

impl Drop for SimulatorProcess {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The server of bytes and threads, with a mix of its own faults.
pub(crate) struct RawServer(Chaos);

/// What a call meets, by a number from 0 to 199: one in ten meets something.
fn fate(roll: u64) -> Fate {
    let text = |line| status(line);
    match roll {
        0 => Fate::creates(text("500 Internal Server Error")),
        1 => Fate::refuses(text("500 Internal Server Error")),
        2 | 3 => Fate::creates(text("502 Bad Gateway")),
        4 => Fate::refuses(text("502 Bad Gateway")),
        5 => Fate::creates(text("503 Service Unavailable")),
        6 => Fate::refuses(text("503 Service Unavailable")),
        7 => Fate::creates(text("504 Gateway Timeout")),
        8 => Fate::creates(Answer::Half),
        9 => Fate::creates(Answer::Reset),
        10 => Fate::refuses(Answer::Reset),
        11 => Fate::creates(Answer::Close),
        12 => Fate::refuses(Answer::Close),
        13 => Fate::creates(answer("201 Created", "", "garbage")),
        14 => Fate::creates(answer("201 Created", "", "")),
        15 => Fate::creates(Answer::LocationOnly),
        16 => Fate::creates(Answer::AfterContinue),
        17 => Fate::creates(Answer::CreatedAndClosed),
        18 => Fate::refuses(answer("429 Too Many Requests", "Retry-After: 0\r\n", "")),
        19 => Fate::refuses(answer("302 Found", "Location: /elsewhere\r\n", "")),
        _ => Fate::creates(Answer::Created),
    }
}

impl RawServer {
    pub(crate) fn start(seed: u64) -> Self {
        // Each call has its own random number, whatever the order in which threads ask.
        let roll = move |number: u32, salt: u64| Random::new(seed ^ salt ^ (u64::from(number) << 20)).below(200);
        let is_first = AtomicBool::new(true);
        Self(Chaos::start(Script {
            refuses: Box::new(move |number| roll(number, 1) < 4),
            breaks: Box::new(move |number| match roll(number, 2) {
                0 => Some(Break::FirstByte),
                1 => Some(Break::Head),
                _ => None,
            }),
            // The first request is made in any case: a run that never created one has nothing to go by.
            fate: Box::new(move |number, _| match is_first.swap(false, Ordering::SeqCst) {
                true => Fate::creates(Answer::Created),
                false => fate(roll(number, 3)),
            }),
            ..Script::default()
        }))
    }
}

impl Server for RawServer {
    fn url(&self) -> String {
        self.0.base_url()
    }

    fn seen(&self) -> Vec<Seen> {
        self.0.seen()
    }

    fn progress(&self) -> u64 {
        self.0.n_posts() as u64
    }

    /// It works on nothing: what it does is done before it waits.
    fn longest_latency(&self) -> Duration {
        Duration::ZERO
    }
}
