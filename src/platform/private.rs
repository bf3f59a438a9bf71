//! Files that only their owner may read, and what makes a new file's name durable.

use std::fs::{File, OpenOptions, Permissions};
use std::io;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::Path;

use nix::libc::O_NOFOLLOW;

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

/// Returns the folder that a path names a file in: its parent, or `.` for a bare name.
pub fn folder_of(path: &Path) -> &Path {
    match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        Some(_) | None => Path::new("."),
    }
}

/// Makes the names in a folder durable: a file that was made or renamed in it is still there after a power cut.
///
/// # Errors
/// The folder cannot be opened or synced.
pub fn sync_folder(folder: &Path) -> io::Result<()> {
    File::open(folder)?.sync_all()
}

/// Returns the file's inode number, without opening it.
///
/// # Errors
/// There is no such file, or it cannot be asked.
pub fn inode(path: &Path) -> io::Result<u64> {
    Ok(path.symlink_metadata()?.ino())
}

/// What tells a file from others, and from itself before it was written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FileMark {
    /// The inode number.
    pub inode: u64,
    /// The size in bytes.
    pub size_bytes: u64,
    /// When content, name, owner or mode last changed, in whole seconds since 1970 UTC.
    pub changed_s: i64,
    /// The nanoseconds of that second.
    pub changed_ns: i64,
}

/// Returns a file's mark, without opening it.
///
/// # Errors
/// There is no such file, or it cannot be asked.
pub fn file_mark(path: &Path) -> io::Result<FileMark> {
    let file = path.symlink_metadata()?;
    Ok(FileMark { inode: file.ino(), size_bytes: file.size(), changed_s: file.ctime(), changed_ns: file.ctime_nsec() })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_private_file_is_the_owners_alone_and_never_another_file() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("x");
        let file = create_private(&path).unwrap();
        assert_eq!(file.metadata().unwrap().permissions().mode() & 0o777, 0o600);
        assert_eq!(create_private(&path).unwrap_err().kind(), io::ErrorKind::AlreadyExists);
        let link = folder.path().join("link");
        std::os::unix::fs::symlink(folder.path().join("elsewhere"), &link).unwrap();
        assert_eq!(create_private(&link).unwrap_err().kind(), io::ErrorKind::AlreadyExists);
        sync_folder(folder.path()).unwrap();
        assert_eq!(inode(&path).unwrap(), file.metadata().unwrap().ino());
        let mark = file_mark(&path).unwrap();
        assert_eq!((mark.inode, mark.size_bytes), (file.metadata().unwrap().ino(), 0));
        std::fs::write(&path, "x").unwrap();
        assert_ne!(file_mark(&path).unwrap(), mark);
    }

    #[test]
    fn the_folder_of_a_bare_name_is_the_current_one() {
        for (path, folder) in [("wave.csv", "."), ("a/wave.csv", "a"), ("/wave.csv", "/"), ("./wave.csv", ".")] {
            assert_eq!(folder_of(Path::new(path)), Path::new(folder), "{path}");
        }
    }
}
