//! An exclusive lock on a file, held by one process at a time.

use std::fs::{File, TryLockError};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::path::Path;

use super::system::files::{open_to_lock, open_to_look};

/// How often a lock is tried again that only a look at it stood in the way of; each such look takes microseconds.
pub(super) const MAX_TRIES: u32 = 1000;

/// An exclusive lock on a file; it ends when this value is dropped, and with the process however that ends.
///
/// The lock is advisory (`flock`): it keeps out those who ask for it. On Windows it is not (`LockFileEx`): nobody else can read
/// or write the file meanwhile. The file itself stays, because deleting a lock file lets two processes hold "the" lock on two files of one name.
#[derive(Debug)]
pub struct FileLock {
    file: File,
}

impl FileLock {
    /// Takes the lock on `path` if it is free, and never waits. The file is made (mode 0600) where it does not exist; a
    /// symbolic link is an error.
    ///
    /// Returns none where another process, or another value in this one, holds the lock.
    ///
    /// # Errors
    /// The file cannot be made or opened, or the file system has no locks.
    pub fn try_acquire(path: &Path) -> io::Result<Option<Self>> {
        for _ in 0..MAX_TRIES {
            let file = open_to_lock(path)?;
            if locked(file.try_lock())? {
                return Ok(Some(Self { file }));
            }
            // A shared lock is refused by a holder, but not by those who merely look whether there is one.
            if !locked(file.try_lock_shared())? {
                return Ok(None);
            }
            // Closed, the file is not locked any more.
            drop(file);
            std::thread::yield_now();
        }
        Ok(None)
    }

    /// Reads what stands in the file.
    ///
    /// # Errors
    /// It cannot be read, or is no text.
    pub fn read(&self) -> io::Result<String> {
        let mut text = String::new();
        (&self.file).seek(SeekFrom::Start(0))?;
        (&self.file).read_to_string(&mut text)?;
        Ok(text)
    }

    /// Writes over what stands at the beginning of the file. A process that is killed leaves all of it or nothing; nothing of it is
    /// forced onto the disk.
    ///
    /// # Errors
    /// It cannot be written.
    pub fn write(&self, text: &str) -> io::Result<()> {
        (&self.file).seek(SeekFrom::Start(0))?;
        (&self.file).write_all(text.as_bytes())
    }

    /// Returns whether someone holds the lock on `path` now. A file that does not exist is not locked.
    ///
    /// # Errors
    /// The file exists and cannot be opened, or the file system has no locks.
    pub fn is_held(path: &Path) -> io::Result<bool> {
        let file = match open_to_look(path) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(false),
            Err(error) => return Err(error),
        };
        Ok(!locked(file.try_lock_shared())?)
    }
}

/// Returns whether a lock was taken.
pub(super) fn locked(result: Result<(), TryLockError>) -> io::Result<bool> {
    match result {
        Ok(()) => Ok(true),
        Err(TryLockError::WouldBlock) => Ok(false),
        Err(TryLockError::Error(error)) => Err(error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_lock_is_held_once_and_ends_with_its_value() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("x.lock");
        assert!(!FileLock::is_held(&path).unwrap());
        let lock = FileLock::try_acquire(&path).unwrap().unwrap();
        assert!(FileLock::is_held(&path).unwrap());
        assert!(FileLock::try_acquire(&path).unwrap().is_none());
        drop(lock);
        assert!(!FileLock::is_held(&path).unwrap());
        assert!(path.exists());
        assert!(FileLock::try_acquire(&path).unwrap().is_some());
    }

    #[cfg(windows)]
    #[test]
    fn a_lock_that_is_held_cannot_be_deleted() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("x.lock");
        let lock = FileLock::try_acquire(&path).unwrap().unwrap();
        assert!(std::fs::remove_file(&path).is_err());
        drop(lock);
        std::fs::remove_file(&path).unwrap();
    }

    #[test]
    fn looking_does_not_keep_the_lock_from_being_taken() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("x.lock");
        drop(FileLock::try_acquire(&path).unwrap());
        std::thread::scope(|scope| {
            for _ in 0..2 {
                scope.spawn(|| (0..500).filter(|_| FileLock::is_held(&path).unwrap()).count());
            }
            for _ in 0..200 {
                assert!(FileLock::try_acquire(&path).unwrap().is_some());
            }
        });
    }

    #[cfg(unix)]
    #[test]
    fn the_file_is_the_owners_alone_and_no_symbolic_link() {
        use std::os::unix::fs::PermissionsExt;

        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("x.lock");
        drop(FileLock::try_acquire(&path).unwrap());
        assert_eq!(path.metadata().unwrap().permissions().mode() & 0o777, 0o600);
        std::fs::remove_file(&path).unwrap();
        std::os::unix::fs::symlink(folder.path().join("elsewhere"), &path).unwrap();
        assert!(FileLock::try_acquire(&path).is_err());
        assert!(FileLock::is_held(&path).is_err());
        assert!(!folder.path().join("elsewhere").exists());
    }
}
