//! Output files that hold who gets what.

use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};

use tempfile::{Builder, NamedTempFile};

use super::database::database_of;
use super::{folder_of, sync_folder};

/// What to do where the output's target exists.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Overwrite {
    /// It is an error (the default of every command).
    Refuse,
    /// It is replaced when the output is committed (`--force`).
    Allow,
}

/// An output file could not be made.
#[derive(Debug, thiserror::Error)]
pub enum OutputError {
    /// The target exists.
    #[error("{path:?} already exists; take another name, or --force to replace it")]
    Exists {
        /// The target.
        path: PathBuf,
    },
    /// The target is a folder, a device or a pipe.
    #[error("{path:?} is no file; take another name")]
    NoFile {
        /// The target.
        path: PathBuf,
    },
    /// The target is a database, such as a ledger, or one of the files beside it.
    #[error(
        "{path:?} is one of the files of {database:?}, a ledger or another database, and is not replaced; take another name"
    )]
    OfDatabase {
        /// The target.
        path: PathBuf,
        /// The database.
        database: PathBuf,
    },
    /// The file could not be written.
    #[error("cannot write {path:?}")]
    Write {
        /// The target.
        path: PathBuf,
        /// The system's reason.
        #[source]
        source: io::Error,
    },
}

/// A file of mode 0600 that appears under its name only when it is whole: it is written beside the target and renamed by
/// [`commit`](Self::commit). Dropped before that, it leaves nothing behind. Writes are buffered.
///
/// ```
/// use std::io::Write;
/// use cmbatch::platform::{Overwrite, PrivateOutput};
/// let folder = tempfile::tempdir().unwrap();
/// let path = folder.path().join("wave.results.csv");
/// let mut output = PrivateOutput::create(&path, Overwrite::Refuse).unwrap();
/// output.write_all(b"row,state\n").unwrap();
/// assert!(!path.exists());
/// output.commit().unwrap();
/// assert_eq!(std::fs::read(&path).unwrap(), b"row,state\n");
/// ```
#[derive(Debug)]
pub struct PrivateOutput {
    file: BufWriter<NamedTempFile>,
    target: PathBuf,
    overwrite: Overwrite,
}

impl PrivateOutput {
    /// Starts an output for `target`, which is no database that this process has open. A symbolic link at the target counts as existing, and is replaced, never followed.
    ///
    /// # Errors
    /// [`OutputError::OfDatabase`] whatever `overwrite` says, [`OutputError::Exists`], so that a refused output costs no work; [`OutputError::Write`] where the folder is
    /// missing or cannot be written.
    pub fn create(target: &Path, overwrite: Overwrite) -> Result<Self, OutputError> {
        let exists = target.symlink_metadata().is_ok();
        // Renamed over a device or a pipe, the output would take its place.
        if target.metadata().is_ok_and(|metadata| !metadata.is_file()) {
            return Err(OutputError::NoFile { path: target.to_owned() });
        }
        refuse_database(target)?;
        match overwrite {
            Overwrite::Refuse if exists => return Err(OutputError::Exists { path: target.to_owned() }),
            Overwrite::Refuse | Overwrite::Allow => {}
        }
        // tempfile makes its files exclusively and with mode 0600.
        let file = Builder::new()
            .prefix(".cmbatch-")
            .suffix(".tmp")
            .tempfile_in(folder_of(target))
            .map_err(|source| OutputError::Write { path: target.to_owned(), source })?;
        Ok(Self { file: BufWriter::new(file), target: target.to_owned(), overwrite })
    }

    /// Gives the file its name. When this returns, content and name are durable.
    ///
    /// # Errors
    /// [`OutputError::Exists`] where the target came to be meanwhile and may not be replaced, [`OutputError::OfDatabase`] where it
    /// came to be one; [`OutputError::Write`].
    pub fn commit(self) -> Result<(), OutputError> {
        let Self { file, target, overwrite } = self;
        refuse_database(&target)?;
        let failed = |source| OutputError::Write { path: target.clone(), source };
        let file = file.into_inner().map_err(|error| failed(error.into_error()))?;
        file.as_file().sync_all().map_err(failed)?;
        let path = file.into_temp_path();
        let renamed = match overwrite {
            Overwrite::Refuse => path.persist_noclobber(&target),
            Overwrite::Allow => path.persist(&target),
        };
        match (renamed, overwrite) {
            (Ok(()), Overwrite::Refuse | Overwrite::Allow) => {}
            (Err(error), Overwrite::Refuse) if error.error.kind() == io::ErrorKind::AlreadyExists => {
                return Err(OutputError::Exists { path: target });
            }
            (Err(error), Overwrite::Refuse | Overwrite::Allow) => return Err(failed(error.error)),
        }
        sync_folder(folder_of(&target)).map_err(failed)
    }
}

fn refuse_database(target: &Path) -> Result<(), OutputError> {
    match database_of(target) {
        Some(database) => Err(OutputError::OfDatabase { path: target.to_owned(), database }),
        None => Ok(()),
    }
}

impl Write for PrivateOutput {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.file.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(folder: &Path) -> Vec<String> {
        let mut names: Vec<_> =
            folder.read_dir().unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    }

    #[test]
    fn an_output_appears_whole_and_private_or_not_at_all() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("out.csv");
        let mut dropped = PrivateOutput::create(&path, Overwrite::Refuse).unwrap();
        dropped.write_all(b"half").unwrap();
        drop(dropped);
        assert_eq!(names(folder.path()), [""; 0]);
        let mut output = PrivateOutput::create(&path, Overwrite::Refuse).unwrap();
        output.write_all(b"whole").unwrap();
        output.commit().unwrap();
        assert_eq!(names(folder.path()), ["out.csv"]);
        #[cfg(unix)]
        assert_eq!(std::os::unix::fs::PermissionsExt::mode(&path.metadata().unwrap().permissions()) & 0o777, 0o600);
    }

    #[test]
    fn an_existing_target_is_replaced_only_by_force() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("out.csv");
        std::fs::write(&path, "old").unwrap();
        let refused = PrivateOutput::create(&path, Overwrite::Refuse).unwrap_err();
        assert!(matches!(refused, OutputError::Exists { .. }), "{refused}");
        let mut output = PrivateOutput::create(&path, Overwrite::Allow).unwrap();
        output.write_all(b"new").unwrap();
        assert_eq!(std::fs::read(&path).unwrap(), b"old");
        output.commit().unwrap();
        assert_eq!(std::fs::read(&path).unwrap(), b"new");
    }

    #[test]
    fn a_target_that_came_meanwhile_is_kept() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("out.csv");
        let output = PrivateOutput::create(&path, Overwrite::Refuse).unwrap();
        std::fs::write(&path, "theirs").unwrap();
        assert!(matches!(output.commit().unwrap_err(), OutputError::Exists { .. }));
        assert_eq!(std::fs::read(&path).unwrap(), b"theirs");
        assert_eq!(names(folder.path()), ["out.csv"]);
    }

    #[cfg(unix)]
    #[test]
    fn a_link_at_the_target_is_replaced_and_what_it_leads_to_is_not_touched() {
        let folder = tempfile::tempdir().unwrap();
        let (path, other) = (folder.path().join("out.csv"), folder.path().join("other"));
        std::fs::write(&other, "other").unwrap();
        std::os::unix::fs::symlink(&other, &path).unwrap();
        assert!(matches!(PrivateOutput::create(&path, Overwrite::Refuse), Err(OutputError::Exists { .. })));
        PrivateOutput::create(&path, Overwrite::Allow).unwrap().commit().unwrap();
        assert_eq!(std::fs::read(&other).unwrap(), b"other");
        assert!(!path.is_symlink());
    }

    #[test]
    fn a_missing_folder_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let refused = PrivateOutput::create(&folder.path().join("no/out.csv"), Overwrite::Refuse).unwrap_err();
        assert!(refused.to_string().contains("no/out.csv"), "{refused}");
    }
}
