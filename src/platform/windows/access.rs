//! What this process may do with a file, asked of the system.

use std::fs::OpenOptions;
use std::os::windows::fs::OpenOptionsExt;
use std::path::Path;

use windows_sys::Win32::Storage::FileSystem::{FILE_ADD_FILE, FILE_FLAG_BACKUP_SEMANTICS};

/// Returns whether this process may write the file or folder: opens it so, and writes nothing. A path that does not exist cannot
/// be written.
pub fn can_write(path: &Path) -> bool {
    // The right to add files to a folder is the same bit as that to write a file, and the flag opens folders too.
    OpenOptions::new().access_mode(FILE_ADD_FILE).custom_flags(FILE_FLAG_BACKUP_SEMANTICS).open(path).is_ok()
}
