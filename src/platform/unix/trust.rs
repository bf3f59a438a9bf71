//! Whether a file can be believed to say what its owner wrote.

use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use nix::unistd::Uid;

use crate::platform::{FileTrust, folder_of};

/// The bits of a mode that let group or others write.
const OTHERS_WRITE: u32 = 0o022;

/// Returns whether a file and its folder belong to this user or root, and no one else may write them. A symbolic link is
/// judged by the file that it leads to and by both folders.
///
/// # Errors
/// There is no such file, or it cannot be asked.
pub fn trust(path: &Path) -> io::Result<FileTrust> {
    let real = path.canonicalize()?;
    let me = Uid::effective().as_raw();
    for one in [real.as_path(), folder_of(&real), folder_of(path)] {
        let metadata = one.metadata()?;
        if !only_ours(me, metadata.uid(), metadata.mode()) {
            return Ok(FileTrust::OthersMayWrite);
        }
    }
    Ok(FileTrust::Ours)
}

fn only_ours(me: u32, owner: u32, mode: u32) -> bool {
    (owner == me || owner == 0) && mode & OTHERS_WRITE == 0
}

#[cfg(test)]
mod tests {
    use std::fs::Permissions;
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn ours_or_roots_and_no_one_elses_to_write() {
        for (owner, mode, trusted) in [
            (1000, 0o100_600, true),
            (1000, 0o100_644, true),
            (0, 0o100_644, true),
            (1000, 0o040_755, true),
            (1001, 0o100_600, false),
            (1000, 0o100_664, false),
            (1000, 0o100_646, false),
            (0, 0o041_777, false),
        ] {
            assert_eq!(only_ours(1000, owner, mode), trusted, "{owner} {mode:o}");
        }
    }

    #[test]
    fn file_folder_and_both_ends_of_a_link_are_asked() {
        let folder = tempfile::tempdir().unwrap();
        let open = folder.path().join("open");
        std::fs::create_dir(&open).unwrap();
        let file = folder.path().join("cmbatch.toml");
        std::fs::write(&file, "").unwrap();
        std::fs::set_permissions(&file, Permissions::from_mode(0o600)).unwrap();
        assert_eq!(trust(&file).unwrap(), FileTrust::Ours);
        let link = open.join("cmbatch.toml");
        std::os::unix::fs::symlink(&file, &link).unwrap();
        std::fs::set_permissions(&open, Permissions::from_mode(0o755)).unwrap();
        assert_eq!(trust(&link).unwrap(), FileTrust::Ours);
        std::fs::set_permissions(&open, Permissions::from_mode(0o777)).unwrap();
        assert_eq!(trust(&link).unwrap(), FileTrust::OthersMayWrite);
        assert_eq!(trust(&file).unwrap(), FileTrust::Ours);
        std::fs::set_permissions(&file, Permissions::from_mode(0o620)).unwrap();
        assert_eq!(trust(&file).unwrap(), FileTrust::OthersMayWrite);
        assert!(trust(&folder.path().join("missing")).is_err());
    }
}
