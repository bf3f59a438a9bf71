//! Files that hold a secret.

use std::fmt;
use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

/// Why a file with a secret is not taken. Never holds any of it.
#[derive(Debug, thiserror::Error)]
pub enum FileFault {
    /// The file cannot be read.
    #[error("cannot be read: {0}")]
    Unreadable(io::Error),
    /// The path is a folder, a pipe or a device.
    #[error("cannot be read: it is not a regular file")]
    NotAFile,
    /// Others than the owner may read or write the file.
    #[error("is open to others (mode {mode:03o})")]
    OpenToOthers {
        /// The file's mode.
        mode: u32,
    },
    /// It is longer than what it is to hold can be.
    #[error("is longer than {} KiB", .0 / 1024)]
    TooLong(usize),
}

impl FileFault {
    /// Returns what to type against it, where there is such a thing.
    pub(crate) const fn remedy<'a>(&'a self, path: &'a Path) -> Remedy<'a> {
        Remedy(self, path)
    }
}

pub(crate) struct Remedy<'a>(&'a FileFault, &'a Path);

impl fmt::Display for Remedy<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            FileFault::OpenToOthers { .. } => {
                write!(f, "; type: chmod 600 '{}'", self.1.display().to_string().replace('\'', "'\\''"))
            }
            FileFault::Unreadable(_) | FileFault::NotAFile | FileFault::TooLong(_) => Ok(()),
        }
    }
}

/// Who may have a file beside its owner.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Sharing {
    /// Nobody.
    Nobody,
    /// Its group.
    Group,
}

/// Opens a file that nobody else may have.
pub(crate) fn open(path: &Path, sharing: Sharing) -> Result<File, FileFault> {
    // Asked of the path first: opening a named pipe would wait for its other end.
    if !std::fs::metadata(path).map_err(FileFault::Unreadable)?.is_file() {
        return Err(FileFault::NotAFile);
    }
    let file = File::open(path).map_err(FileFault::Unreadable)?;
    check_mode(&file, sharing)?;
    Ok(file)
}

/// Reads a file that nobody but its owner may read.
pub(crate) fn read(path: &Path, max_bytes: usize) -> Result<Vec<u8>, FileFault> {
    let file = open(path, Sharing::Nobody)?;
    let mut bytes = Vec::new();
    file.take(max_bytes as u64 + 1).read_to_end(&mut bytes).map_err(FileFault::Unreadable)?;
    if bytes.len() > max_bytes { Err(FileFault::TooLong(max_bytes)) } else { Ok(bytes) }
}

/// Returns the first line of a text, without the byte order mark that Windows editors write; none where it is no UTF-8. Nothing
/// else is taken off: a password may end with a space.
pub(crate) fn first_line(bytes: &[u8]) -> Option<&str> {
    let text = str::from_utf8(bytes).ok()?;
    Some(text.strip_prefix('\u{feff}').unwrap_or(text).lines().next().unwrap_or_default())
}

#[cfg(unix)]
fn check_mode(file: &File, sharing: Sharing) -> Result<(), FileFault> {
    use std::os::unix::fs::PermissionsExt;

    let mode = file.metadata().map_err(FileFault::Unreadable)?.permissions().mode();
    let others = match sharing {
        Sharing::Nobody => 0o077,
        Sharing::Group => 0o007,
    };
    if mode & others == 0 { Ok(()) } else { Err(FileFault::OpenToOthers { mode: mode & 0o777 }) }
}

#[cfg(not(unix))]
fn check_mode(_file: &File, _sharing: Sharing) -> Result<(), FileFault> {
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_line_is_taken_as_it_is() {
        assert_eq!(first_line(b"\xef\xbb\xbfcorrect horse \r\nbattery"), Some("correct horse "));
        assert_eq!(first_line(b""), Some(""));
        assert_eq!(first_line(b"caf\xe9"), None);
    }
}
