//! The lock on the data file itself, by a second open file on it.
//!
//! A process that closes any open file of its drops all of its POSIX locks on that file, which are those that SQLite holds. So a
//! process opens each data file once for this, and closes it when the last user of it is gone.

use std::collections::BTreeMap;
use std::fs::File;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::sync::{Mutex, MutexGuard, PoisonError};

use super::super::lock::{MAX_TRIES, locked};
use crate::platform::system::files::{create_private, open_plain};

/// What tells a file from all others: device and inode.
type Key = (u64, u64);

/// The data files that this process has open for their locks. All that is done to one of them is done while this is locked,
/// which takes microseconds.
static OPEN: Mutex<BTreeMap<Key, Open>> = Mutex::new(BTreeMap::new());

/// One data file.
struct Open {
    file: File,
    /// Further open files on it: closed with the first one, not before.
    also: Vec<File>,
    n_users: usize,
    /// Whether one of its users holds the lock.
    is_held: bool,
}

/// A user of the lock on a data file, who may hold it.
#[derive(Debug)]
pub struct DataLock {
    key: Key,
    holds: bool,
}

fn open_files() -> MutexGuard<'static, BTreeMap<Key, Open>> {
    OPEN.lock().unwrap_or_else(PoisonError::into_inner)
}

fn key_at(path: &Path) -> io::Result<Key> {
    let found = path.symlink_metadata()?;
    Ok((found.dev(), found.ino()))
}

impl DataLock {
    /// Opens the lock of a data file that exists, without taking it. This comes before SQLite opens the file, and the value is
    /// dropped after SQLite has closed it. It never waits, and follows no symbolic link.
    ///
    /// # Errors
    /// There is no such file, it is no plain file, or it cannot be read.
    pub fn open(path: &Path) -> io::Result<Self> {
        let mut open = open_files();
        let key = key_at(path)?;
        if let Some(known) = open.get_mut(&key) {
            known.n_users += 1;
            return Ok(Self { key, holds: false });
        }
        let file = open_plain(path)?;
        Self::add(&mut open, file)
    }

    fn add(open: &mut BTreeMap<Key, Open>, file: File) -> io::Result<Self> {
        let found = file.metadata()?;
        let key = (found.dev(), found.ino());
        match open.get_mut(&key) {
            // Another file had the name a moment ago.
            Some(known) => {
                known.also.push(file);
                known.n_users += 1;
            }
            None => drop(open.insert(key, Open { file, also: Vec::new(), n_users: 1, is_held: false })),
        }
        Ok(Self { key, holds: false })
    }

    /// Makes the new, empty, private file that a data file is made of, and takes its lock. A file of this name whose maker is gone
    /// is deleted first. The lock stays with the file when it is renamed.
    ///
    /// Returns none where someone else is making it.
    ///
    /// # Errors
    /// The file cannot be made, opened or deleted, or something else has its name.
    pub fn create(new: &Path, _data: &Path) -> io::Result<Option<Self>> {
        let mut left_behind = None;
        for _ in 0..MAX_TRIES {
            let (mut lock, is_new) = match create_private(new) {
                Ok(file) => (Self::add(&mut open_files(), file)?, true),
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => match Self::open(new) {
                    Ok(lock) => (lock, false),
                    Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
                    Err(error) => return Err(error),
                },
                Err(error) => return Err(error),
            };
            if !lock.try_hold()? {
                return Ok(None);
            }
            // Whoever takes an old file away holds its lock, so that of two only one does.
            if lock.is_of(new)? {
                if is_new {
                    return Ok(Some(lock));
                }
                std::fs::remove_file(new)?;
            }
            left_behind.replace(lock);
        }
        Ok(None)
    }

    /// Takes the lock if it is free, and never waits. Returns whether this value holds it now.
    ///
    /// # Errors
    /// The file system has no locks.
    pub fn try_hold(&mut self) -> io::Result<bool> {
        for _ in 0..MAX_TRIES {
            {
                let mut open = open_files();
                let Some(known) = open.get_mut(&self.key).filter(|known| !known.is_held) else { return Ok(self.holds) };
                if locked(known.file.try_lock())? {
                    (known.is_held, self.holds) = (true, true);
                    return Ok(true);
                }
                // A shared lock is refused by a holder, but not by those who merely look whether there is one.
                if !locked(known.file.try_lock_shared())? {
                    return Ok(false);
                }
                known.file.unlock()?;
            }
            std::thread::yield_now();
        }
        Ok(false)
    }

    /// Returns whether someone holds the lock now, in this process or another one.
    ///
    /// # Errors
    /// The file system has no locks.
    pub fn is_held(&self) -> io::Result<bool> {
        let open = open_files();
        match open.get(&self.key) {
            Some(known) if !known.is_held => {
                let is_free = locked(known.file.try_lock_shared())?;
                if is_free {
                    known.file.unlock()?;
                }
                Ok(!is_free)
            }
            Some(_) => Ok(true),
            None => Ok(self.holds),
        }
    }

    /// Returns whether this is the lock of the file that has this name now.
    ///
    /// # Errors
    /// It cannot be asked.
    pub fn is_of(&self, path: &Path) -> io::Result<bool> {
        match key_at(path) {
            Ok(key) => Ok(key == self.key),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// Returns whether taking the lock makes a file beside the data file.
    pub const fn makes_a_file(&self) -> bool {
        false
    }

    /// Makes the content of the data file durable.
    ///
    /// # Errors
    /// The system's reason.
    pub fn sync(&self, _path: &Path) -> io::Result<()> {
        open_files().get(&self.key).map_or(Ok(()), |known| known.file.sync_all())
    }
}

impl Drop for DataLock {
    fn drop(&mut self) {
        let mut open = open_files();
        let Some(known) = open.get_mut(&self.key) else { return };
        known.n_users -= 1;
        if known.n_users == 0 {
            // Closed while no one else can open it.
            drop(open.remove(&self.key));
        } else if self.holds {
            // Another user of this process keeps the file open, so that closing it does not end the lock.
            drop(known.file.unlock());
            known.is_held = false;
        }
    }
}
