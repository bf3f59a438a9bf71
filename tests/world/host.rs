//! Hosts: a folder on a memory disk, two clocks, random bytes, files that are copied, put back and cut.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::time::Duration;

use cmbatch::machine::{Chance, Clock, Machine, Threads};
use jiff::{SignedDuration, Timestamp};
use tokio::time::Instant;

use crate::step::{Beside, Files, Place, hash};

/// The clocks and the random bytes of a host. Waiting is tokio's.
struct Parts {
    begin: Instant,
    /// How much longer than the world the machine runs, in ms.
    boot_ahead: u64,
    /// How often it was started.
    n_boots: AtomicU64,
    /// How far the wall clock is off, in s.
    wall_off: AtomicI64,
    seed: u64,
    drawn: AtomicU64,
}

impl Clock for Parts {
    fn since_boot(&self) -> Duration {
        Duration::from_secs(1_000) + self.begin.elapsed() + Duration::from_millis(self.boot_ahead)
    }

    fn now(&self) -> Timestamp {
        wall(self.begin) + SignedDuration::from_secs(self.wall_off.load(Ordering::Relaxed))
    }

    fn boot_id(&self) -> Option<String> {
        Some(format!("{:x}-{}", self.seed, self.n_boots.load(Ordering::Relaxed)))
    }
}

impl Chance for Parts {
    fn fill(&self, bytes: &mut [u8]) -> Result<(), getrandom::Error> {
        for chunk in bytes.chunks_mut(8) {
            let n = self.drawn.fetch_add(1, Ordering::Relaxed);
            chunk.copy_from_slice(&hash(&[self.seed, n]).to_le_bytes()[..chunk.len()]);
        }
        Ok(())
    }
}

/// Returns the true time.
pub(crate) fn wall(begin: Instant) -> Timestamp {
    let noon: Timestamp = "2026-03-02T12:00:00Z".parse().unwrap();
    noon + SignedDuration::try_from(begin.elapsed()).unwrap()
}

/// All files of a folder, by name.
pub(crate) type Photo = BTreeMap<PathBuf, Vec<u8>>;

/// A host.
pub(crate) struct Host {
    pub(crate) folder: PathBuf,
    parts: Arc<Parts>,
}

impl Host {
    pub(crate) fn new(root: &Path, number: u8, seed: u64, begin: Instant) -> Self {
        let folder = root.join(format!("h{number}"));
        fs::create_dir_all(folder.join("state")).unwrap();
        let parts = Parts {
            begin,
            boot_ahead: u64::from(number) * 50_000,
            n_boots: AtomicU64::new(0),
            wall_off: AtomicI64::new(0),
            seed: hash(&[seed, u64::from(number)]),
            drawn: AtomicU64::new(0),
        };
        Self { folder, parts: Arc::new(parts) }
    }

    pub(crate) fn machine(&self) -> Machine {
        Machine::new(self.parts.clone(), self.parts.clone(), Threads::One)
    }

    pub(crate) fn turn_wall_clock(&self, by_s: i64) {
        self.parts.wall_off.fetch_add(by_s, Ordering::Relaxed);
    }

    /// Starts the machine anew.
    pub(crate) fn boot(&self) {
        self.parts.n_boots.fetch_add(1, Ordering::Relaxed);
    }

    /// Returns all files, those of the state folder among them.
    pub(crate) fn photo(&self) -> Photo {
        photo(&self.folder)
    }

    /// Writes files back over those that are there, so that they stay the same files; others stay where `others` says so.
    pub(crate) fn put_back(&self, photo: &Photo, others: bool) {
        put_back(&self.folder, photo, others);
    }

    /// Cuts each log behind one of its commits, and loses the notes: the first `keep` commits of ten are left, and those that are
    /// folded into the file, before which the log is synced.
    pub(crate) fn lose_power(&self, keep: u8) {
        let photo = self.photo();
        for (name, bytes) in &photo {
            if name.to_string_lossy().ends_with(".ledger-wal") {
                let ends = commit_ends(bytes);
                let file = photo.get(Path::new(name.to_string_lossy().trim_end_matches("-wal")));
                let folded = file.map_or(0, |file| folded(bytes, &ends, file));
                let left = ends.len() * usize::from(keep.min(10)) / 10;
                let end = if left == 0 { 0 } else { ends[left - 1] }.max(folded);
                fs::write(self.folder.join(name), &bytes[..end]).unwrap();
            } else if name.to_string_lossy().ends_with("-shm") {
                fs::remove_file(self.folder.join(name)).unwrap();
            }
        }
    }
}

/// Returns up to which of its commits a log is folded into its file: the last one of which the file has every page.
fn folded(log: &[u8], ends: &[usize], file: &[u8]) -> usize {
    let word = |at: usize| u32::from_be_bytes(log[at..at + 4].try_into().unwrap()) as usize;
    let is_in_it = |end: &usize| {
        let page = word(8);
        let frames = (32..*end).step_by(24 + page);
        let newest: BTreeMap<usize, &[u8]> = frames.map(|at| (word(at), &log[at + 24..at + 24 + page])).collect();
        newest.iter().all(|(number, bytes)| file.get((number - 1) * page..number * page) == Some(bytes))
    };
    ends.iter().rev().copied().find(is_in_it).unwrap_or(0)
}

/// Returns where the commits of a log end that belong to its newest round.
fn commit_ends(log: &[u8]) -> Vec<usize> {
    let word = |at: usize| log.get(at..at + 4).map(|bytes| u32::from_be_bytes(bytes.try_into().unwrap()));
    let Some(page) = word(8) else { return Vec::new() };
    let salts = log.get(16..24);
    let frame = 24 + page as usize;
    let mut ends = Vec::new();
    let mut at = 32;
    while at + frame <= log.len() && log.get(at + 8..at + 16) == salts {
        if word(at + 4).is_some_and(|n_pages| n_pages != 0) {
            ends.push(at + frame);
        }
        at += frame;
    }
    ends
}

pub(crate) fn photo(folder: &Path) -> Photo {
    let mut files = Photo::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(one) = folders.pop() {
        for entry in fs::read_dir(&one).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else {
                files.insert(path.strip_prefix(folder).unwrap().to_owned(), fs::read(&path).unwrap());
            }
        }
    }
    files
}

pub(crate) fn put_back(folder: &Path, kept: &Photo, others: bool) {
    let now = photo(folder);
    for (name, bytes) in kept {
        if now.get(name) != Some(bytes) {
            let path = folder.join(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, bytes).unwrap();
        }
    }
    if !others {
        for name in now.keys().filter(|name| !kept.contains_key(*name)) {
            fs::remove_file(folder.join(name)).unwrap();
        }
    }
}

/// Returns the path of a ledger on a host.
pub(crate) fn ledger_path(root: &Path, at: Place) -> PathBuf {
    root.join(format!("h{}", at.host)).join(format!("{}.ledger", char::from(b'a' + at.ledger % 26)))
}

fn beside(path: &Path, end: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(end);
    name.into()
}

/// Copies files of a ledger. What stands at the other place and is not copied over goes away.
pub(crate) fn copy(root: &Path, from: Place, to: Place, files: Files) -> bool {
    let (from, to) = (ledger_path(root, from), ledger_path(root, to));
    if !from.exists() || from == to {
        return false;
    }
    let ends: &[&str] = match files {
        Files::Single => &[""],
        Files::WithLog => &["", "-wal"],
        Files::All => &["", "-wal", ".lock"],
    };
    for end in ["", "-wal", "-shm", ".lock"] {
        // What is not there need not go away.
        let _ = fs::remove_file(beside(&to, end));
    }
    for end in ends {
        if let Ok(bytes) = fs::read(beside(&from, end)) {
            fs::write(beside(&to, end), bytes).unwrap();
        }
    }
    true
}

/// Moves away what lies beside a ledger, or all of it.
pub(crate) fn move_away(root: &Path, at: Place, what: Beside) -> bool {
    let path = ledger_path(root, at);
    let ends: &[&str] = match what {
        Beside::Lock => &[".lock"],
        Beside::Log => &["-wal", "-shm"],
        Beside::LogAndLock => &["-wal", "-shm", ".lock"],
        Beside::Ledger => &["", "-wal", "-shm", ".lock"],
        Beside::State => {
            let state = path.with_file_name("state");
            let has_any = !photo(&state).is_empty();
            fs::remove_dir_all(&state).unwrap();
            fs::create_dir(&state).unwrap();
            return has_any;
        }
    };
    ends.iter().filter(|end| fs::remove_file(beside(&path, end)).is_ok()).count() > 0
}
