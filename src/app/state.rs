//! The state folder: who works on which server from this machine and account, so that two at once see each other before the
//! server's list shows either.

use std::collections::BTreeSet;
use std::error::Error;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

use super::exit::Exit;
use super::failure::{Failure, chain, remedy};
use super::next::{Next, Piece};
use super::stopped_by::StoppedBy;
use super::words::rows;
use crate::ledger::{Extent, LedgerError, Reader, RowState, SessionInfo};
use crate::machine::Machine;
use crate::platform::{FileLock, OutputError, Overwrite, PrivateOutput, create_private_folder, is_alive};
use crate::reconcile::Hits;
use crate::request::{Guid, RunId, RunMark, printable};

/// For how long after its end a run counts as one that may have sent what no list shows yet.
const LINGERS: SignedDuration = SignedDuration::from_mins(15);
/// How long the folder's lock is waited for; it is held for some milliseconds.
const LOCK_WAIT: Duration = Duration::from_secs(10);
/// The time between two tries.
const LOCK_EVERY: Duration = Duration::from_millis(20);

/// What a run notes of itself in the state folder.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Noted {
    run: String,
    /// The server, as it was named.
    #[serde(default)]
    server: String,
    ledger: PathBuf,
    pid: u32,
    command: String,
    account: Option<String>,
    /// The account's GUID on the server, where a list has shown it.
    originator: Option<String>,
    /// How far the ledger was when the session ended; none while it works, or where it died.
    extent: Option<(u32, u64, u64)>,
    /// What tells this start of the machine from others, where the system says it.
    #[serde(default)]
    boot: Option<String>,
    /// When it ended or was found dead, by the wall clock and by the one that runs during sleep, in seconds.
    ended: Option<(i64, u64)>,
    /// Whether it did not end by itself.
    #[serde(default)]
    has_died: bool,
    /// Whether nothing of it was in doubt at its end, and a list had shown all that it created.
    #[serde(default)]
    is_quiet: bool,
}

/// The part of the state folder where runs note themselves: those on all servers, because one server has many names.
#[derive(Clone, Debug)]
pub struct StateFolder {
    path: PathBuf,
    /// The server, as it is named now.
    server: String,
}

/// How a ledger was left.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Left {
    /// How far it was.
    pub(super) extent: Extent,
    /// Whether nothing of it is in doubt, and a list has shown all that it created.
    pub(super) is_quiet: bool,
}

/// A run's note, held while this process works on it.
#[derive(Debug)]
pub struct Note {
    folder: StateFolder,
    noted: Noted,
    /// What was noted of the run before.
    known: Option<Noted>,
    others: Vec<Other>,
    /// The process that left the run open, where that is known to have died on this machine since it was started.
    died: Option<u32>,
    originators: BTreeSet<Guid>,
    /// The note's lock. The file says how many rows the last session claimed that did: what a kill leaves of it is never less than the
    /// rows whose calls left.
    lock: FileLock,
}

/// Another run on the same server.
#[derive(Debug)]
struct Other {
    noted: Noted,
    is_alive: bool,
}

impl StateFolder {
    /// Returns the folder for runs below the state folder `root`, and makes it where it is missing.
    ///
    /// # Errors
    /// It cannot be made.
    pub fn open(root: &Path, server: &str) -> Result<Self, Failure> {
        let path = root.join("runs");
        create_private_folder(&path).map_err(|error| unusable(root, &error))?;
        Ok(Self { path, server: server.to_owned() })
    }

    /// Notes that this process begins to work on a run, and reads the notes of others.
    ///
    /// # Errors
    /// Another process works on a ledger of the same run, or the folder cannot be written.
    pub async fn enter(
        &self,
        machine: &Machine,
        run: RunId,
        ledger: &Path,
        session: &SessionInfo,
    ) -> Result<Note, Failure> {
        let _entry = self.lock().await?;
        let name = run.to_string();
        let own = self.lock_of(&name)?;
        let Some(lock) = own else {
            let holder = self.read(&name)?;
            let who =
                holder.as_ref().map_or_else(String::new, |noted| format!(" ({}, pid {})", noted.told(), noted.pid));
            return Err(Failure::new(
                Exit::InUse,
                format!("another process works on this run, from another copy of its ledger{who}; nothing was sent"),
            )
            .stopping(StoppedBy::AnotherAtWork)
            .with_next(Noted::wait(holder.as_ref(), "wait until it has ended")));
        };
        let known = self.read(&name)?;
        let account = session.account().map(str::to_owned);
        let mut others = Vec::new();
        let mut originators = BTreeSet::new();
        for noted in self.all()? {
            if noted.account == account && noted.server == self.server {
                originators.extend(noted.originator.as_ref().and_then(|guid| guid.parse::<Guid>().ok()));
            }
            if noted.run == name {
                continue;
            }
            let is_alive = self.lock_of(&noted.run)?.is_none();
            let noted = if is_alive { noted } else { self.found_dead(noted, machine)? };
            if is_alive || noted.is_recent(machine) {
                others.push(Other { noted, is_alive });
            }
        }
        let noted = Noted {
            run: name,
            server: self.server.clone(),
            ledger: ledger.to_owned(),
            pid: session.pid,
            command: session.command.clone(),
            account,
            originator: known.as_ref().and_then(|noted| noted.originator.clone()),
            extent: known.as_ref().and_then(|noted| noted.extent),
            boot: machine.boot_id(),
            ended: None,
            has_died: false,
            is_quiet: false,
        };
        let left_open = known.as_ref().filter(|noted| noted.is_open() && noted.boot == machine.boot_id());
        let died = left_open.map(|noted| noted.pid).filter(|pid| !is_alive(*pid));
        let note = Note { folder: self.clone(), noted, known, others, died, originators, lock };
        note.write()?;
        Ok(note)
    }

    /// Takes note of a run that died: from now on it counts as one that has just ended.
    fn found_dead(&self, noted: Noted, machine: &Machine) -> Result<Noted, Failure> {
        if noted.ended.is_some() {
            return Ok(noted);
        }
        let ended = Some((machine.now().as_second(), machine.since_boot().as_secs()));
        let noted = Noted { ended, has_died: true, ..noted };
        self.write(&noted)?;
        Ok(noted)
    }

    fn write(&self, noted: &Noted) -> Result<(), Failure> {
        let write = || -> Result<(), OutputError> {
            let path = self.path_of(&noted.run);
            let mut output = PrivateOutput::create(&path, Overwrite::Allow)?;
            serde_json::to_writer(&mut output, noted)
                .map_err(|error| OutputError::Write { path: path.clone(), source: error.into() })?;
            output.commit()
        };
        write().map_err(|error| unusable(&self.path, &error))
    }

    /// Takes the folder's lock, for some milliseconds.
    async fn lock(&self) -> Result<FileLock, Failure> {
        let mut waited = Duration::ZERO;
        loop {
            match FileLock::try_acquire(&self.path.join("lock")) {
                Ok(Some(lock)) => return Ok(lock),
                Ok(None) if waited < LOCK_WAIT => {
                    tokio::time::sleep(LOCK_EVERY).await;
                    waited += LOCK_EVERY;
                }
                Ok(None) => {
                    let text = format!(
                        "the state folder {} is locked by another process; nothing was sent",
                        shown(&self.path)
                    );
                    return Err(Failure::new(Exit::InUse, text).stopping(StoppedBy::AnotherAtWork));
                }
                Err(error) => return Err(unusable(&self.path, &error)),
            }
        }
    }

    fn lock_of(&self, run: &str) -> Result<Option<FileLock>, Failure> {
        FileLock::try_acquire(&self.path.join(format!("{run}.lock"))).map_err(|error| unusable(&self.path, &error))
    }

    fn path_of(&self, run: &str) -> PathBuf {
        self.path.join(format!("{run}.json"))
    }

    /// Reads a note; one that says nothing is none.
    fn read(&self, run: &str) -> Result<Option<Noted>, Failure> {
        let path = self.path_of(run);
        // What is no file is no note: a pipe would be waited for.
        if std::fs::metadata(&path).is_ok_and(|found| !found.is_file() && !found.is_dir()) {
            return Ok(None);
        }
        match std::fs::read(path) {
            Ok(text) => Ok(serde_json::from_slice(&text).ok().filter(|noted: &Noted| noted.run == run)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            // What another run notes there may be what this one must not send.
            Err(error) => Err(unusable(&self.path, &error)),
        }
    }

    fn all(&self) -> Result<Vec<Noted>, Failure> {
        let entries = std::fs::read_dir(&self.path).map_err(|error| unusable(&self.path, &error))?;
        let mut names: Vec<String> = entries
            .filter_map(|entry| Some(entry.ok()?.file_name().to_str()?.strip_suffix(".json")?.to_owned()))
            .filter(|name| name.parse::<Guid>().is_ok())
            .collect();
        names.sort_unstable();
        names.iter().filter_map(|name| self.read(name).transpose()).collect()
    }
}

impl Noted {
    /// Opens its ledger; none where that is gone, or another run's.
    fn reader(&self) -> Option<Reader> {
        Reader::open(&self.ledger).ok().filter(|reader| reader.run().id.to_string() == self.run)
    }

    /// Returns its ledger for people.
    fn told(&self) -> String {
        let missing = if self.reader().is_none() { ", which is missing: put it back" } else { "" };
        format!("ledger {}{missing}", shown(&self.ledger))
    }

    /// Returns what to do about a run that is in the way: wait, or go on with its ledger.
    fn wait(other: Option<&Self>, first: &str) -> Next {
        let next = Next::again().after(first);
        match other.filter(|noted| noted.reader().is_some()) {
            Some(noted) => {
                next.text("; or go on with that ledger: ").and(Piece::on_ledger("status", &noted.ledger, &[]))
            }
            None => next,
        }
    }

    /// Returns whether its process left it open.
    const fn is_open(&self) -> bool {
        self.ended.is_none() || self.has_died
    }

    /// Returns whether it ended a short time ago, by either clock: one of them may have been turned.
    fn is_recent(&self, machine: &Machine) -> bool {
        let Some((wall, boot)) = self.ended else { return false };
        let since_wall = machine.now().duration_since(Timestamp::from_second(wall).unwrap_or(Timestamp::MIN)).abs();
        let since_boot = machine.since_boot().as_secs().checked_sub(boot);
        since_wall < LINGERS || since_boot.is_some_and(|s| i64::try_from(s).is_ok_and(|s| s < LINGERS.as_secs()))
    }
}

impl Note {
    /// Returns whether the ledger is as far as it was when the last session ended that this folder knows of; none as one that was
    /// just made.
    pub(super) fn agrees(&self, extent: Option<Extent>) -> bool {
        self.left_open_by().is_none() && self.before() == extent
    }

    /// Returns whether the ledger is not as far as it was when the last session ended: an older copy.
    pub(super) fn is_ahead_of(&self, extent: Extent) -> bool {
        self.before().is_some_and(|before| {
            extent.session < before.session
                || extent.n_claims < before.n_claims
                || extent.n_outcomes < before.n_outcomes
        })
    }

    /// Notes that a session has claimed so many rows. It is not forced onto the disk: what a machine loses that goes down is told by
    /// its next start. That it cannot be written makes no difference but to a copy that is put back.
    pub(super) fn claimed(&self, session: u32, n_rows: u64) {
        let _ = self.lock.write(&format!("{session:>10} {n_rows:>20}\n"));
    }

    /// Returns how many rows the last session claimed that did, as far as this folder knows.
    pub(super) fn last_claims(&self) -> Option<(u32, u64)> {
        let text = self.lock.read().ok()?;
        let (session, n_rows) = text.trim().split_once(' ')?;
        Some((session.parse().ok()?, n_rows.trim().parse().ok()?))
    }

    /// Returns how far the ledger was when the last session ended that this folder knows of.
    fn before(&self) -> Option<Extent> {
        let (session, n_claims, n_outcomes) = self.known.as_ref()?.extent?;
        Some(Extent { session, n_claims, n_outcomes })
    }

    /// Returns the process that left the run open, as far as this folder knows.
    pub(super) fn left_open_by(&self) -> Option<u32> {
        self.known.as_ref().filter(|known| known.is_open()).map(|known| known.pid)
    }

    /// Returns whether the process that left the run open is known to have died here. Else it may be at work elsewhere: on the
    /// machine that this one is a clone of, on the host that the ledger was copied from.
    pub(super) fn knows_that_it_died(&self, pid: u32) -> bool {
        self.died == Some(pid)
    }

    /// Returns the accounts on the server that are known as this one.
    pub(super) fn originators(&self) -> BTreeSet<Guid> {
        self.originators.clone()
    }

    /// Returns the ledger of a run that worked on this server from here, where it still is there.
    pub(super) fn ledger_of(&self, run: RunMark) -> Option<PathBuf> {
        let all = self.folder.all().ok()?;
        let noted = all.into_iter().find(|noted| noted.run.starts_with(&run.to_string()));
        noted.map(|noted| noted.ledger).filter(|ledger| ledger.exists())
    }

    /// Notes the account's GUID on the server.
    pub(super) fn learn(&mut self, originator: Option<Guid>) {
        if let Some(guid) = originator {
            self.originators.insert(guid);
            self.noted.originator = Some(guid.to_string());
        }
    }

    /// Checks that no other run from here still has to send what rows of this one in these states ask for, or sent it a short time
    /// ago without the list showing that.
    ///
    /// # Errors
    /// One has.
    pub(super) fn check_others(
        &self,
        machine: &Machine,
        own: &Reader,
        may_send: &[RowState],
        hits: &Hits,
    ) -> Result<(), Failure> {
        if self.others.is_empty() {
            return Ok(());
        }
        let mut wanted = BTreeSet::new();
        own.for_each_row(may_send, |row| -> Result<(), Failure> {
            wanted.extend(row.request.map(|request| request.fingerprint().number()));
            Ok(())
        })?;
        for other in &self.others {
            let n = match other.n_shared(machine, &self.folder.server, &wanted, hits) {
                Some(0) => continue,
                shared => shared,
            };
            let what = n.map_or_else(
                || "may have to send some of these rows".to_owned(),
                |n| format!("has {} of these", rows(n)),
            );
            let (when, first) = if other.is_alive {
                (format!("is at work (pid {})", other.noted.pid), "wait until it has ended")
            } else {
                ("ended a short time ago".to_owned(), "wait 15 minutes, until the server's list shows what it sent")
            };
            return Err(Failure::new(
                Exit::InUse,
                format!("another run from this machine {when} and {what}: {}; nothing was sent", other.noted.told()),
            )
            .stopping(StoppedBy::AnotherAtWork)
            .with_next(Noted::wait(Some(&other.noted), first)));
        }
        Ok(())
    }

    /// Notes that this process has ended its work, with the ledger as far as this. What is known of a ledger that was further stays:
    /// this one is an older copy.
    pub(super) fn end(mut self, machine: &Machine, left: Option<Left>) {
        if let Some(Left { extent, is_quiet }) = left.filter(|left| !self.is_ahead_of(left.extent)) {
            self.noted.extent = Some((extent.session, extent.n_claims, extent.n_outcomes));
            self.noted.is_quiet = is_quiet;
        }
        self.noted.ended = Some((machine.now().as_second(), machine.since_boot().as_secs()));
        // What is not noted counts as a process that died, which is the careful way.
        let _ = self.write();
    }

    /// Notes that nothing was done, so that what was known stays known.
    pub(super) fn undo(mut self) {
        if let Some(known) = self.known.take() {
            self.noted = known;
            let _ = self.write();
        } else {
            let _ = std::fs::remove_file(self.folder.path_of(&self.noted.run));
        }
    }

    fn write(&self) -> Result<(), Failure> {
        self.folder.write(&self.noted)
    }
}

impl Other {
    /// Returns how many of the wanted rows this run has to send yet, or sent a short time ago; none where that cannot be told.
    fn n_shared(&self, machine: &Machine, server: &str, wanted: &BTreeSet<u64>, hits: &Hits) -> Option<u64> {
        // Of what is gone nobody knows what it sent last, but where all of that was shown.
        let Some(reader) = self.noted.reader() else { return (!self.is_alive && self.noted.is_quiet).then_some(0) };
        let shown: BTreeSet<_> = hits.iter().map(|hit| hit.uuid).collect();
        let is_elsewhere = self.noted.server != server;
        // A machine that lost its power may have lost what was written last.
        let may_lack = self.noted.has_died && self.noted.boot != machine.boot_id();
        let mut n = 0;
        let counted = reader.for_each_row(&[], |row| -> Result<(), LedgerError> {
            let counts = match row.state {
                RowState::Pending => self.is_alive || may_lack,
                RowState::Sending | RowState::InDoubt => true,
                // What a list of the other name had shown is on another server, where this one's does not show it.
                RowState::Created => {
                    !(is_elsewhere && self.noted.is_quiet) && row.request_uuid.is_none_or(|uuid| !shown.contains(&uuid))
                }
                // A row that was dropped after an attempt may exist all the same.
                RowState::Skipped => row.last_attempt_at.is_some(),
                RowState::Failed | RowState::Invalid | RowState::Replaced => false,
            };
            if counts && row.request.is_some_and(|request| wanted.contains(&request.fingerprint().number())) {
                n += 1;
            }
            Ok(())
        });
        counted.ok().map(|()| n)
    }
}

fn shown(path: &Path) -> String {
    printable(&path.to_string_lossy())
}

fn unusable(path: &Path, error: &(dyn Error + 'static)) -> Failure {
    let next = match remedy(error) {
        Some(remedy) => Next::again().after(remedy),
        None => Next::with("--state-dir", &["--state-dir", "DIR"]).after("make it writable, or name another one"),
    };
    let text = format!("the state folder {} cannot be used ({}); nothing was sent", shown(path), chain(error));
    Failure::new(Exit::Disk, text).with_next(next)
}

#[cfg(test)]
mod tests;
