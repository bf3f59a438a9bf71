//! Where a manifest's bytes come from, and the bytes as they are stored.

use std::convert::Infallible;
use std::fs::File;
use std::io::{self, IsTerminal, Read};
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::sync::Arc;

use sha2::{Digest as _, Sha256};

use super::error::ManifestError;
use super::limits::MAX_SPOOLED_BYTES;
use crate::platform::{is_device, read_at};

/// Where a manifest is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Source {
    /// A file, or a pipe with a name.
    File(PathBuf),
    /// Standard input, written `-`.
    Stdin,
}

impl Source {
    /// Returns the name as the user wrote it.
    pub fn name(&self) -> String {
        match self {
            Self::File(path) => path.to_string_lossy().into_owned(),
            Self::Stdin => "-".to_owned(),
        }
    }

    /// Returns the path, where there is one.
    pub fn path(&self) -> Option<&Path> {
        match self {
            Self::File(path) => Some(path),
            Self::Stdin => None,
        }
    }
}

impl From<PathBuf> for Source {
    fn from(path: PathBuf) -> Self {
        if path.as_os_str() == "-" { Self::Stdin } else { Self::File(path) }
    }
}

impl FromStr for Source {
    type Err = Infallible;

    fn from_str(text: &str) -> Result<Self, Infallible> {
        Ok(PathBuf::from(text).into())
    }
}

/// Opens the source as something that can be read at any place, any number of times.
///
/// Pipes (standard input, `<(command)`) give their bytes once only: they are read to their end into a temporary file that
/// has no name and mode 0600.
pub(super) fn open(source: &Source) -> Result<File, ManifestError> {
    match source {
        Source::Stdin => spool(&source.name(), &mut io::stdin().lock()),
        Source::File(path) => {
            let failed = |source_error| ManifestError::Open { file: source.name(), source: source_error };
            let mut file = match File::open(path) {
                Ok(file) => file,
                // Elsewhere a folder can be opened.
                Err(_) if cfg!(windows) && path.is_dir() => return Err(ManifestError::Folder { file: source.name() }),
                Err(error) => return Err(failed(error)),
            };
            let kind = file.metadata().map_err(failed)?.file_type();
            if kind.is_dir() {
                Err(ManifestError::Folder { file: source.name() })
            } else if is_device(&file).map_err(failed)? && !file.is_terminal() {
                // /dev/zero and its like never end.
                Err(ManifestError::Device { file: source.name() })
            } else if kind.is_file() {
                Ok(file)
            } else {
                spool(&source.name(), &mut file)
            }
        }
    }
}

/// Copies what the input gives into a temporary file without a name.
fn spool(name: &str, input: &mut impl Read) -> Result<File, ManifestError> {
    let failed = |source| ManifestError::Spool { file: name.to_owned(), source };
    let mut file = tempfile::tempfile().map_err(failed)?;
    let n_bytes = io::copy(&mut input.take(MAX_SPOOLED_BYTES + 1), &mut file).map_err(failed)?;
    if n_bytes > MAX_SPOOLED_BYTES {
        return Err(ManifestError::Endless { file: name.to_owned() });
    }
    Ok(file)
}

/// One pass over the bytes as they are stored, from the first one on; takes their SHA-256 on the way.
///
/// It reads at places of its own, so that passes over the same file do not disturb each other.
#[derive(Debug)]
pub(super) struct Stored {
    file: Arc<File>,
    offset: u64,
    hash: Sha256,
    failed: bool,
}

impl Stored {
    /// Begins a pass.
    pub(super) fn new(file: Arc<File>) -> Self {
        Self { file, offset: 0, hash: Sha256::new(), failed: false }
    }

    /// Returns whether the system failed to read (and not whoever takes the bytes apart).
    pub(super) const fn has_failed(&self) -> bool {
        self.failed
    }

    /// Reads what is left; returns the SHA-256 and how many bytes there were.
    pub(super) fn finish(mut self) -> io::Result<([u8; 32], u64)> {
        io::copy(&mut self, &mut io::sink())?;
        Ok((self.hash.finalize().into(), self.offset))
    }
}

impl Read for Stored {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let n = loop {
            match read_at(&self.file, buffer, self.offset) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => {
                    self.failed = true;
                    return Err(error);
                }
                Ok(n) => break n,
            }
        };
        self.hash.update(&buffer[..n]);
        self.offset += n as u64;
        Ok(n)
    }
}
