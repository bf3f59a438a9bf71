//! What there is to know of a file, whatever the system.

use std::path::Path;

/// Returns the folder that a path names a file in: its parent, or `.` for a bare name.
pub fn folder_of(path: &Path) -> &Path {
    match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        Some(_) | None => Path::new("."),
    }
}

/// What tells a file apart from what it was, without reading it. The times are in seconds and nanoseconds since 1970 UTC.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stamp {
    /// The file system.
    pub device: u64,
    /// The inode number.
    pub inode: u64,
    /// The size in bytes.
    pub size_bytes: u64,
    /// When its content was written.
    pub modified: (i64, i64),
    /// When its owner or mode was changed: a file that was open to others is taken once it is not.
    pub changed: (i64, i64),
}

/// Whether a file can be believed to say what its owner wrote.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FileTrust {
    /// It and its folder belong to this user or the system, and no one else may write them.
    Ours,
    /// Others may write it or its folder.
    OthersMayWrite,
    /// This system is not asked who may write it.
    Unknown,
}

#[cfg(test)]
mod tests {
    use std::io;

    use super::*;
    use crate::platform::{create_private, n_names, stamp, sync_folder};

    #[test]
    fn a_private_file_is_never_another_file() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("x");
        drop(create_private(&path).unwrap());
        assert_eq!(create_private(&path).unwrap_err().kind(), io::ErrorKind::AlreadyExists);
        sync_folder(folder.path()).unwrap();
        let before = stamp(&path).unwrap();
        assert_ne!(before.inode, stamp(folder.path()).unwrap().inode);
        std::fs::write(&path, "x").unwrap();
        assert_ne!(stamp(&path).unwrap(), before);
        assert_eq!(n_names(&path).unwrap(), 1);
        std::fs::hard_link(&path, folder.path().join("y")).unwrap();
        assert_eq!(n_names(&path).unwrap(), 2);
        assert!(n_names(&folder.path().join("missing")).is_err());
    }

    #[cfg(unix)]
    #[test]
    fn a_private_file_is_the_owners_alone() {
        use std::os::unix::fs::PermissionsExt;

        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("x");
        let file = create_private(&path).unwrap();
        assert_eq!(file.metadata().unwrap().permissions().mode() & 0o777, 0o600);
        let link = folder.path().join("link");
        std::os::unix::fs::symlink(folder.path().join("elsewhere"), &link).unwrap();
        assert_eq!(create_private(&link).unwrap_err().kind(), io::ErrorKind::AlreadyExists);
    }

    #[test]
    fn the_folder_of_a_bare_name_is_the_current_one() {
        for (path, folder) in [("wave.csv", "."), ("a/wave.csv", "a"), ("/wave.csv", "/"), ("./wave.csv", ".")] {
            assert_eq!(folder_of(Path::new(path)), Path::new(folder), "{path}");
        }
    }
}
