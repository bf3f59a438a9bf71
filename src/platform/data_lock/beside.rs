//! The lock on a file beside the data file: for systems whose lock on a file keeps SQLite from it.

use std::io;
use std::path::{Path, PathBuf};

use super::super::lock::FileLock;
use crate::platform::system::files::{create_private, file_id};

/// A user of the lock on a data file, who may hold it.
#[derive(Debug)]
pub struct DataLock {
    /// The file whose lock it is: the data file's name with `.lock` behind it.
    beside: PathBuf,
    /// What tells the data file from others.
    id: u64,
    held: Option<FileLock>,
}

fn beside(data: &Path) -> PathBuf {
    let mut name = data.as_os_str().to_owned();
    name.push(".lock");
    PathBuf::from(name)
}

impl DataLock {
    /// Opens the lock of a data file that exists, without taking it.
    ///
    /// # Errors
    /// There is no such file, or it cannot be asked.
    pub fn open(path: &Path) -> io::Result<Self> {
        Ok(Self { beside: beside(path), id: file_id(path)?, held: None })
    }

    /// Makes the new, empty, private file that a data file is made of, and takes the data file's lock. A file of this name whose
    /// maker is gone is deleted first.
    ///
    /// Returns none where someone else is making it, or holds the data file.
    ///
    /// # Errors
    /// The file cannot be made or deleted.
    pub fn create(new: &Path, data: &Path) -> io::Result<Option<Self>> {
        let beside = beside(data);
        let Some(held) = FileLock::try_acquire(&beside)? else { return Ok(None) };
        match std::fs::remove_file(new) {
            Ok(()) => {}
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(error),
        }
        drop(create_private(new)?);
        Ok(Some(Self { beside, id: file_id(new)?, held: Some(held) }))
    }

    /// Takes the lock if it is free, and never waits. Returns whether this value holds it now.
    ///
    /// # Errors
    /// The file cannot be made or opened, or the file system has no locks.
    pub fn try_hold(&mut self) -> io::Result<bool> {
        if self.held.is_none() {
            self.held = FileLock::try_acquire(&self.beside)?;
        }
        Ok(self.held.is_some())
    }

    /// Returns whether someone holds the lock now, in this process or another one.
    ///
    /// # Errors
    /// The file exists and cannot be opened, or the file system has no locks.
    pub fn is_held(&self) -> io::Result<bool> {
        if self.held.is_some() { Ok(true) } else { FileLock::is_held(&self.beside) }
    }

    /// Returns whether this is the lock of the file that has this name now.
    ///
    /// # Errors
    /// It cannot be asked.
    pub fn is_of(&self, path: &Path) -> io::Result<bool> {
        match file_id(path) {
            Ok(id) => Ok(id == self.id),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// Returns whether taking the lock makes a file beside the data file.
    pub fn makes_a_file(&self) -> bool {
        self.beside.symlink_metadata().is_err()
    }

    /// Makes the content of the data file durable.
    ///
    /// # Errors
    /// The system's reason.
    pub fn sync(&self, path: &Path) -> io::Result<()> {
        // No connection is open on it, so closing this handle takes no lock of SQLite's away. Windows syncs only what was opened to
        // be written.
        std::fs::OpenOptions::new().write(true).open(path)?.sync_all()
    }
}
