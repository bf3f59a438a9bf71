//! Files: what tells them apart, what makes a new file's name durable. Who may read a file is not said here: a new one inherits
//! that from its folder.

use std::fs::{File, OpenOptions};
use std::io;
use std::os::windows::fs::{FileExt, MetadataExt, OpenOptionsExt};
use std::path::{Component, Path, PathBuf, Prefix};

use winapi_util::file::{Information, information, typ};
use windows_sys::Win32::Storage::FileSystem::{
    FILE_ADD_FILE, FILE_FLAG_BACKUP_SEMANTICS, FILE_FLAG_OPEN_REPARSE_POINT, FILE_READ_ATTRIBUTES, FILE_SHARE_READ,
    FILE_SHARE_WRITE,
};

use crate::platform::Stamp;

/// A time of a file counts 100 ns from 1601 on; so many seconds later is 1970.
const EPOCH_S: i64 = 11_644_473_600;
const TICKS_PER_S: u64 = 10_000_000;
const TICK_NS: u64 = 100;

/// The longest path, in units of UTF-16, that all programs take without the prefix `\\?\`, with room for what is put behind it.
const LONGEST_PLAIN: usize = 200;

/// What the system says where this process has too many files or connections open: `ERROR_TOO_MANY_OPEN_FILES`, `WSAEMFILE`.
pub(in crate::platform) const TOO_MANY_OPEN: &[i32] = &[4, 10_024];

/// Makes a new, empty file, open for reading and writing. Its folder says who else may read it.
///
/// # Errors
/// `AlreadyExists` where anything stands at the path, a dangling symbolic link included; otherwise the system's reason.
pub fn create_private(path: &Path) -> io::Result<File> {
    OpenOptions::new().read(true).write(true).create_new(true).open(path)
}

/// Makes a folder, with those above it that are missing. The one above says who else may enter it.
///
/// # Errors
/// The system's reason.
pub fn create_private_folder(path: &Path) -> io::Result<()> {
    std::fs::create_dir_all(path)
}

/// Others may read and write a file that is open for its lock, as far as the lock lets them, and not delete it: on a new file of
/// its name another process would hold the same lock.
const KEPT: u32 = FILE_SHARE_READ | FILE_SHARE_WRITE;

/// Opens a file for its lock; it is made where it does not exist. A symbolic link is an error.
pub(in crate::platform) fn open_to_lock(path: &Path) -> io::Result<File> {
    let mut options = OpenOptions::new();
    options.read(true).write(true).create(true).truncate(false).share_mode(KEPT);
    not_a_link(options.custom_flags(FILE_FLAG_OPEN_REPARSE_POINT).open(path)?)
}

/// Opens a file to look at its lock. A symbolic link is an error.
pub(in crate::platform) fn open_to_look(path: &Path) -> io::Result<File> {
    not_a_link(OpenOptions::new().read(true).share_mode(KEPT).custom_flags(FILE_FLAG_OPEN_REPARSE_POINT).open(path)?)
}

fn not_a_link(file: File) -> io::Result<File> {
    if file.metadata()?.is_symlink() { Err(io::Error::other("it is a symbolic link")) } else { Ok(file) }
}

/// Reads at a place of the file, counted in bytes from its start. Those who read at places of their own do not disturb each
/// other; where the file is read without a place it goes on behind this one.
///
/// # Errors
/// The system's reason.
pub fn read_at(file: &File, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
    file.seek_read(buffer, offset)
}

/// Makes the names in a folder durable, as far as Windows lets a program do that: a folder is flushed where the file system knows
/// how. NTFS writes what became of names into one log, in order, so that whatever is flushed later takes a name along.
///
/// # Errors
/// There is no such folder.
pub fn sync_folder(folder: &Path) -> io::Result<()> {
    folder.metadata()?;
    let open = OpenOptions::new().access_mode(FILE_ADD_FILE).custom_flags(FILE_FLAG_BACKUP_SEMANTICS).open(folder);
    if let Ok(open) = open {
        // What cannot flush a folder says so in many ways.
        drop(open.sync_all());
    }
    Ok(())
}

/// Returns a folder's path with all links resolved, without the prefix `\\?\` where it can go without.
///
/// # Errors
/// There is no such folder, or it cannot be asked.
pub fn real_folder(folder: &Path) -> io::Result<PathBuf> {
    folder.canonicalize().map(plain)
}

fn plain(path: PathBuf) -> PathBuf {
    let Some(Component::Prefix(prefix)) = path.components().next() else { return path };
    match (prefix.kind(), path.to_str()) {
        (Prefix::VerbatimDisk(_), Some(text)) if text.encode_utf16().count() < LONGEST_PLAIN => {
            PathBuf::from(text.trim_start_matches(r"\\?\"))
        }
        _ => path,
    }
}

/// Returns whether a file is a device, which may never end: the console, a serial port.
///
/// # Errors
/// It cannot be asked.
pub fn is_device(file: &File) -> io::Result<bool> {
    typ(file).map(|kind| kind.is_char())
}

/// Looks at what stands at the path, which nobody is kept from reading or writing meanwhile.
fn look(path: &Path, flags: u32) -> io::Result<Information> {
    let flags = flags | FILE_FLAG_BACKUP_SEMANTICS;
    information(OpenOptions::new().access_mode(FILE_READ_ATTRIBUTES).custom_flags(flags).open(path)?)
}

fn since_1970(ticks: u64) -> (i64, i64) {
    let seconds = (ticks / TICKS_PER_S).cast_signed() - EPOCH_S;
    (seconds, (ticks % TICKS_PER_S * TICK_NS).cast_signed())
}

/// Returns the file's index, which is what an inode number is elsewhere. A symbolic link is not followed.
pub(in crate::platform) fn file_id(path: &Path) -> io::Result<u64> {
    look(path, FILE_FLAG_OPEN_REPARSE_POINT).map(|file| file.file_index())
}

/// Returns how many names a file has. A symbolic link is not followed.
///
/// # Errors
/// There is no such file, or it cannot be asked.
pub fn n_names(path: &Path) -> io::Result<u64> {
    look(path, FILE_FLAG_OPEN_REPARSE_POINT).map(|file| file.number_of_links())
}

/// Sets a file's mode, where there is such a thing.
#[cfg(test)]
pub(crate) fn set_mode(_path: &Path, _mode: u32) {}

/// Returns whether a file has mode 0600, where there is such a thing.
#[cfg(test)]
pub(crate) fn is_private(path: &Path) -> bool {
    path.exists()
}

/// Looks at a file; none where it cannot be seen. A link counts as what it leads to.
pub fn stamp(path: &Path) -> Option<Stamp> {
    let seen = look(path, 0).ok()?;
    let modified = since_1970(seen.last_write_time().unwrap_or(0));
    // Who may read a file is not checked here, so that nothing waits for that to change.
    let made = since_1970(std::fs::metadata(path).ok()?.creation_time());
    let (device, inode, size_bytes) = (seen.volume_serial_number(), seen.file_index(), seen.file_size());
    Some(Stamp { device, inode, size_bytes, modified, changed: made })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_written_as_people_do() {
        for (path, shown) in [
            (r"\\?\C:\in\wave.ledger", r"C:\in\wave.ledger"),
            (r"\\?\UNC\server\share\wave.ledger", r"\\?\UNC\server\share\wave.ledger"),
            (r"C:\in", r"C:\in"),
        ] {
            assert_eq!(plain(PathBuf::from(path)), Path::new(shown));
        }
        let long = format!(r"\\?\C:\{}", "a".repeat(LONGEST_PLAIN));
        assert_eq!(plain(PathBuf::from(&long)), Path::new(&long));
    }

    #[test]
    fn times_count_from_1970() {
        assert_eq!(since_1970(EPOCH_S.cast_unsigned() * TICKS_PER_S + 12_345_678), (1, 234_567_800));
    }
}
