//! Files: who may read them, what tells them apart, what makes a new file's name durable.

use std::fs::{File, OpenOptions, Permissions};
use std::io;
use std::os::unix::fs::{DirBuilderExt, FileExt, FileTypeExt, MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use nix::libc::{EMFILE, ENFILE, O_NOFOLLOW};

use crate::platform::Stamp;

/// What the system says where this process, or all together, have too many files open.
pub(in crate::platform) const TOO_MANY_OPEN: &[i32] = &[EMFILE, ENFILE];

/// Makes a new, empty file of mode 0600 whatever the umask, open for reading and writing.
///
/// # Errors
/// `AlreadyExists` where anything stands at the path, a dangling symbolic link included; otherwise the system's reason.
pub fn create_private(path: &Path) -> io::Result<File> {
    let file =
        OpenOptions::new().read(true).write(true).create_new(true).mode(0o600).custom_flags(O_NOFOLLOW).open(path)?;
    // A umask can take bits away from the mode above, and then the owner could not open the file again.
    file.set_permissions(Permissions::from_mode(0o600))?;
    Ok(file)
}

/// Makes a folder that only its owner may enter (mode 0700), with those above it that are missing. One that exists stays as it is.
///
/// # Errors
/// The system's reason.
pub fn create_private_folder(path: &Path) -> io::Result<()> {
    std::fs::DirBuilder::new().recursive(true).mode(0o700).create(path)
}

/// Opens a file for its lock; it is made (mode 0600) where it does not exist. A symbolic link is an error.
pub(in crate::platform) fn open_to_lock(path: &Path) -> io::Result<File> {
    OpenOptions::new()
        .read(true)
        .write(true)
        .create(true)
        .truncate(false)
        .mode(0o600)
        .custom_flags(O_NOFOLLOW)
        .open(path)
}

/// Opens a file to look at its lock. A symbolic link is an error.
pub(in crate::platform) fn open_to_look(path: &Path) -> io::Result<File> {
    OpenOptions::new().read(true).custom_flags(O_NOFOLLOW).open(path)
}

/// Opens a plain file to read it, and nothing else: no symbolic link, and no pipe, which would wait for its other end.
#[cfg(any(target_os = "linux", target_os = "android"))]
pub(in crate::platform) fn open_plain(path: &Path) -> io::Result<File> {
    let file = OpenOptions::new().read(true).custom_flags(O_NOFOLLOW | nix::libc::O_NONBLOCK).open(path)?;
    if file.metadata()?.is_file() { Ok(file) } else { Err(io::Error::other("it is no plain file")) }
}

/// Returns the number that tells a file from others of its file system, without opening it.
#[cfg(any(test, not(any(target_os = "linux", target_os = "android"))))]
pub(in crate::platform) fn file_id(path: &Path) -> io::Result<u64> {
    Ok(path.symlink_metadata()?.ino())
}

/// Reads at a place of the file, counted in bytes from its start, wherever others read in it.
///
/// # Errors
/// The system's reason.
pub fn read_at(file: &File, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
    file.read_at(buffer, offset)
}

/// Makes the names in a folder durable: a file that was made or renamed in it is still there after a power cut.
///
/// # Errors
/// The folder cannot be opened or synced.
pub fn sync_folder(folder: &Path) -> io::Result<()> {
    File::open(folder)?.sync_all()
}

/// Returns a folder's path with all links resolved.
///
/// # Errors
/// There is no such folder, or it cannot be asked.
pub fn real_folder(folder: &Path) -> io::Result<PathBuf> {
    folder.canonicalize()
}

/// Returns whether a file is a device, which may never end.
///
/// # Errors
/// It cannot be asked.
pub fn is_device(file: &File) -> io::Result<bool> {
    let kind = file.metadata()?.file_type();
    Ok(kind.is_char_device() || kind.is_block_device())
}

/// Returns how many names a file has. A symbolic link is not followed.
///
/// # Errors
/// There is no such file, or it cannot be asked.
pub fn n_names(path: &Path) -> io::Result<u64> {
    Ok(path.symlink_metadata()?.nlink())
}

/// Sets a file's mode, where there is such a thing.
#[cfg(test)]
#[track_caller]
pub(crate) fn set_mode(path: &Path, mode: u32) {
    std::fs::set_permissions(path, Permissions::from_mode(mode)).unwrap();
}

/// Returns whether a file has mode 0600, where there is such a thing.
#[cfg(test)]
#[track_caller]
pub(crate) fn is_private(path: &Path) -> bool {
    path.metadata().unwrap().permissions().mode() & 0o777 == 0o600
}

/// Looks at a file; none where it cannot be seen. A link counts as what it leads to.
pub fn stamp(path: &Path) -> Option<Stamp> {
    let seen = std::fs::metadata(path).ok()?;
    Some(Stamp {
        device: seen.dev(),
        inode: seen.ino(),
        size_bytes: seen.len(),
        modified: (seen.mtime(), seen.mtime_nsec()),
        changed: (seen.ctime(), seen.ctime_nsec()),
    })
}
