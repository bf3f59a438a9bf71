//! What kind of file system a file lies on.

use std::fmt;
use std::io;
use std::path::Path;

/// A file system that lies on another machine, where locks and syncs do not keep what they promise.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NetworkFileSystem {
    /// NFS.
    Nfs,
    /// A Windows share (SMB or CIFS).
    Smb,
    /// AFS.
    Afs,
    /// A remote machine through FUSE and ssh.
    Sshfs,
}

impl fmt::Display for NetworkFileSystem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Nfs => "NFS",
            Self::Smb => "SMB",
            Self::Afs => "AFS",
            Self::Sshfs => "sshfs",
        })
    }
}

/// What kind of file system a file lies on, as far as it matters here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FileSystem {
    /// A disk of this machine, or one that cannot be told from it.
    Local,
    /// Another machine's.
    Network(NetworkFileSystem),
}

/// Returns the kind of the file system that an existing file or folder lies on. Asked without opening it. On systems other
/// than Linux and Windows it cannot be told, and every one counts as local.
///
/// # Errors
/// There is no such file, or it cannot be asked.
#[cfg(target_os = "linux")]
pub fn file_system(path: &Path) -> io::Result<FileSystem> {
    use std::os::unix::fs::MetadataExt;

    let magic = linux::magic(path)?;
    Ok(match linux::by_magic(magic) {
        linux::Magic::Known(kind) => kind,
        linux::Magic::Fuse => {
            // Only the table of mounts names the program behind a FUSE mount. Without the table it stays unknown.
            let mounts = std::fs::read_to_string("/proc/self/mountinfo").unwrap_or_default();
            linux::fuse_by_mount(&mounts, path.metadata()?.dev())
        }
    })
}

/// Returns the kind of the file system that an existing file or folder lies on: what Windows reaches over the network has a
/// path of its own kind when all links and drive letters are resolved.
///
/// # Errors
/// There is no such file, or it cannot be asked.
#[cfg(windows)]
pub fn file_system(path: &Path) -> io::Result<FileSystem> {
    use std::path::{Component, Prefix};

    Ok(match path.canonicalize()?.components().next() {
        Some(Component::Prefix(prefix)) => match prefix.kind() {
            Prefix::UNC(..) | Prefix::VerbatimUNC(..) => FileSystem::Network(NetworkFileSystem::Smb),
            _ => FileSystem::Local,
        },
        _ => FileSystem::Local,
    })
}

/// Returns the kind of the file system that an existing file or folder lies on. On this system it cannot be told, and every
/// one counts as local.
///
/// # Errors
/// There is no such file.
#[cfg(not(any(target_os = "linux", windows)))]
pub fn file_system(path: &Path) -> io::Result<FileSystem> {
    path.metadata().map(|_| FileSystem::Local)
}

#[cfg(target_os = "linux")]
mod linux {
    use std::io;
    use std::path::Path;

    use super::{FileSystem, NetworkFileSystem};

    /// What a magic number of statfs(2) says.
    #[derive(Debug, PartialEq, Eq)]
    pub(super) enum Magic {
        /// The kind.
        Known(FileSystem),
        /// FUSE: whatever a program makes of it.
        Fuse,
    }

    /// Returns the magic number of the file system, in the 32 bits that the numbers of statfs(2) have.
    pub(super) fn magic(path: &Path) -> io::Result<u32> {
        let wide = nix::sys::statfs::statfs(path)?.filesystem_type().0;
        let bytes = wide.to_ne_bytes();
        let low = if cfg!(target_endian = "big") { &bytes[bytes.len() - 4..] } else { &bytes[..4] };
        Ok(u32::from_ne_bytes(low.try_into().expect("four bytes were taken")))
    }

    /// Returns what the magic number says; the numbers stand in statfs(2) and `linux/magic.h`.
    pub(super) const fn by_magic(magic: u32) -> Magic {
        match magic {
            0x6969 => Magic::Known(FileSystem::Network(NetworkFileSystem::Nfs)),
            0x517B | 0xFF53_4D42 | 0xFE53_4D42 => Magic::Known(FileSystem::Network(NetworkFileSystem::Smb)),
            0x5346_414F | 0x6B41_4653 => Magic::Known(FileSystem::Network(NetworkFileSystem::Afs)),
            0x6573_5546 => Magic::Fuse,
            _ => Magic::Known(FileSystem::Local),
        }
    }

    /// Returns the kind of the FUSE mount of this device number, by the type that proc_pid_mountinfo(5) gives for it.
    pub(super) fn fuse_by_mount(mountinfo: &str, device: u64) -> FileSystem {
        let wanted = format!("{}:{}", nix::sys::stat::major(device), nix::sys::stat::minor(device));
        let type_of = |line: &str| {
            // Optional fields stand before the separator, so the type is found from there.
            let (before, after) = line.split_once(" - ")?;
            let same = before.split(' ').nth(2)? == wanted;
            same.then(|| after.split(' ').next().map(str::to_owned))?
        };
        match mountinfo.lines().find_map(type_of).as_deref() {
            Some("fuse.sshfs") => FileSystem::Network(NetworkFileSystem::Sshfs),
            Some(_) | None => FileSystem::Local,
        }
    }
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use super::linux::{Magic, by_magic, fuse_by_mount};
    use super::*;

    #[test]
    fn magic_numbers_tell_shares_from_disks() {
        let network = |kind| Magic::Known(FileSystem::Network(kind));
        for (magic, kind) in [
            (0x6969, network(NetworkFileSystem::Nfs)),
            (0x517B, network(NetworkFileSystem::Smb)),
            (0xFF53_4D42, network(NetworkFileSystem::Smb)),
            (0xFE53_4D42, network(NetworkFileSystem::Smb)),
            (0x5346_414F, network(NetworkFileSystem::Afs)),
            (0x6573_5546, Magic::Fuse),
            (0xEF53, Magic::Known(FileSystem::Local)),
            (0x0102_1994, Magic::Known(FileSystem::Local)),
            (0x9123_683E, Magic::Known(FileSystem::Local)),
            (0x794C_7630, Magic::Known(FileSystem::Local)),
        ] {
            assert_eq!(by_magic(magic), kind, "{magic:x}");
        }
    }

    #[test]
    fn a_fuse_mount_is_known_by_its_type() {
        let mountinfo = "\
            22 1 8:1 / / rw,relatime shared:1 - ext4 /dev/sda1 rw\n\
            90 22 0:51 / /mnt/far rw,nosuid shared:7 master:3 - fuse.sshfs me@far:/ rw,user_id=0\n\
            91 22 0:52 / /mnt/ntfs rw - fuseblk /dev/sdb1 rw\n\
            broken line\n";
        assert_eq!(fuse_by_mount(mountinfo, 51), FileSystem::Network(NetworkFileSystem::Sshfs));
        assert_eq!(fuse_by_mount(mountinfo, 52), FileSystem::Local);
        assert_eq!(fuse_by_mount(mountinfo, 53), FileSystem::Local);
        assert_eq!(fuse_by_mount("", 51), FileSystem::Local);
    }

    #[test]
    fn a_folder_of_this_machine_is_local() {
        let folder = tempfile::tempdir().unwrap();
        assert_eq!(file_system(folder.path()).unwrap(), FileSystem::Local);
        assert!(file_system(&folder.path().join("missing")).is_err());
    }
}
