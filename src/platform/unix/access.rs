//! What this process may do with a file, asked of the system.

use std::path::Path;

use nix::fcntl::{AT_FDCWD, AtFlags};
use nix::unistd::{AccessFlags, faccessat};

/// Returns whether this process may write the file or folder, by its effective user. A read-only mount counts; a path
/// that does not exist cannot be written.
pub fn can_write(path: &Path) -> bool {
    faccessat(AT_FDCWD, path, AccessFlags::W_OK, AtFlags::AT_EACCESS).is_ok()
}
