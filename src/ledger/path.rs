//! Where a ledger lies, and the files beside it.

use std::ffi::{OsStr, OsString};
use std::fs::Metadata;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use super::error::LedgerError;
use crate::platform::{FileSystem, file_system, folder_of, n_names, real_folder};

/// The extensions of manifests, which a ledger's name leaves out.
const MANIFEST_EXTENSIONS: [&str; 7] = ["csv", "tsv", "txt", "jsonl", "ndjson", "gz", "zst"];

/// What a ledger is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Purpose {
    /// Requests to a server.
    Sending,
    /// A rehearsal on the embedded simulator; its ledger never stands where that of the real run would.
    Rehearsal,
}

impl Purpose {
    const fn extension(self) -> &'static str {
        match self {
            Self::Sending => ".ledger",
            Self::Rehearsal => ".rehearsal.ledger",
        }
    }
}

/// Returns where the ledger of a manifest lies when no other place is named: beside it, with `.ledger` in place of its known
/// extensions (csv, tsv, txt, jsonl, ndjson, gz, zst, in any case), or `.rehearsal.ledger` for a rehearsal.
///
/// ```
/// use std::path::Path;
/// use cmbatch::ledger::{Purpose, default_path};
/// assert_eq!(default_path(Path::new("in/wave.csv.gz"), Purpose::Sending), Path::new("in/wave.ledger"));
/// assert_eq!(default_path(Path::new("in/wave.csv.gz"), Purpose::Rehearsal), Path::new("in/wave.rehearsal.ledger"));
/// ```
pub fn default_path(manifest: &Path, purpose: Purpose) -> PathBuf {
    let mut name = stem(manifest);
    name.push(purpose.extension());
    manifest.with_file_name(name)
}

/// Returns where the ledger of a manifest lies in a folder for ledgers (`--ledger-dir`): the manifest's name without known
/// extensions, a dash, and the first 8 hexadecimal digits of its SHA-256.
pub fn path_in_dir(dir: &Path, manifest: &Path, sha256: &[u8; 32], purpose: Purpose) -> PathBuf {
    let mut name = stem(manifest);
    name.push("-");
    name.push(data_encoding::HEXLOWER.encode(&sha256[..4]));
    name.push(purpose.extension());
    dir.join(name)
}

fn stem(manifest: &Path) -> OsString {
    let mut name = PathBuf::from(manifest.file_name().unwrap_or(OsStr::new("manifest")));
    while let Some(extension) = name.extension().and_then(OsStr::to_str)
        && MANIFEST_EXTENSIONS.iter().any(|known| known.eq_ignore_ascii_case(extension))
    {
        name.set_extension("");
    }
    name.into_os_string()
}

/// Returns the path with this text at its end.
pub(super) fn beside(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(suffix);
    PathBuf::from(name)
}

/// Returns the path with its folder's links resolved, so that no part of it is a symbolic link except the file itself,
/// which is the caller's to check: SQLite is told to follow none.
pub(super) fn resolve(path: &Path) -> Result<PathBuf, LedgerError> {
    let folder = folder_of(path);
    let found = real_folder(folder).map_err(|source| LedgerError::Unreadable(folder.to_owned(), source))?;
    let name = path.file_name().ok_or_else(|| LedgerError::NotALedger(path.to_owned()))?;
    Ok(found.join(name))
}

/// Looks at what stands at this path, where anything does; a symbolic link is an error.
fn look_at(path: &Path) -> Result<Option<Metadata>, LedgerError> {
    match path.symlink_metadata() {
        Ok(metadata) if metadata.is_symlink() => Err(LedgerError::Symlink(path.to_owned())),
        Ok(metadata) => Ok(Some(metadata)),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
        Err(source) => Err(LedgerError::Unreadable(path.to_owned(), source)),
    }
}

/// Checks that a ledger may be opened at this path, without opening it.
pub(super) fn check_is_file(path: &Path) -> Result<(), LedgerError> {
    let metadata = look_at(path)?.ok_or_else(|| LedgerError::NotFound(path.to_owned()))?;
    // SQLite takes an empty file for a database without tables, and deletes the log beside it.
    let may_be_one = metadata.is_file() && metadata.len() > 0;
    if may_be_one { Ok(()) } else { Err(LedgerError::NotALedger(path.to_owned())) }
}

/// Checks that a ledger that is to be written has one name: its log is named after it, so that two names would be two logs.
pub(super) fn check_has_one_name(path: &Path) -> Result<(), LedgerError> {
    let counted = n_names(path).map_err(|source| LedgerError::Unreadable(path.to_owned(), source))?;
    match counted {
        0 | 1 => Ok(()),
        n_names => Err(LedgerError::HardLinked(path.to_owned(), n_names)),
    }
}

/// Checks that nothing stands where a new ledger is to be made: neither the file, nor a log of a ledger that is gone, which
/// SQLite would take for the new one's.
pub(super) fn check_is_free(path: &Path) -> Result<(), LedgerError> {
    for one in [path.to_owned(), beside(path, "-wal"), beside(path, "-journal")] {
        if look_at(&one)?.is_some() {
            return Err(LedgerError::AlreadyExists(one));
        }
    }
    Ok(())
}

/// Checks that the ledger's folder is on a disk of this machine.
pub(super) fn check_is_local(path: &Path) -> Result<(), LedgerError> {
    match file_system(folder_of(path)) {
        Ok(FileSystem::Local) => Ok(()),
        Ok(FileSystem::Network(kind)) => Err(LedgerError::NetworkFileSystem(path.to_owned(), kind)),
        Err(source) => Err(LedgerError::Unreadable(path.to_owned(), source)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_ledger_is_named_after_its_manifest() {
        for (manifest, ledger) in [
            ("wave.csv", "wave.ledger"),
            ("in/wave.CSV.GZ", "in/wave.ledger"),
            ("wave.v2.jsonl.zst", "wave.v2.ledger"),
            ("wave", "wave.ledger"),
            ("wave.xlsx", "wave.xlsx.ledger"),
            (".csv", ".csv.ledger"),
            ("/wave.ndjson", "/wave.ledger"),
        ] {
            assert_eq!(default_path(Path::new(manifest), Purpose::Sending), Path::new(ledger), "{manifest}");
        }
        assert_eq!(default_path(Path::new("wave.tsv"), Purpose::Rehearsal), Path::new("wave.rehearsal.ledger"));
    }

    #[test]
    fn in_a_folder_for_ledgers_the_hash_tells_manifests_apart() {
        let mut sha256 = [0; 32];
        sha256[..5].copy_from_slice(&[0xDE, 0xAD, 0xBE, 0x0F, 0x11]);
        let path = path_in_dir(Path::new("/var/ledgers"), Path::new("in/wave.csv.gz"), &sha256, Purpose::Sending);
        assert_eq!(path, Path::new("/var/ledgers/wave-deadbe0f.ledger"));
    }

    #[test]
    fn a_log_of_a_ledger_that_is_gone_is_not_taken_over() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("wave.ledger");
        check_is_free(&path).unwrap();
        let log = folder.path().join("wave.ledger-wal");
        std::fs::write(&log, "x").unwrap();
        assert!(matches!(check_is_free(&path), Err(LedgerError::AlreadyExists(path)) if path == log));
    }

    #[test]
    fn only_a_plain_file_can_be_a_ledger() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("wave.ledger");
        assert!(matches!(check_is_file(&path), Err(LedgerError::NotFound(..))));
        assert!(matches!(check_is_file(folder.path()), Err(LedgerError::NotALedger(..))));
        check_is_local(&path).unwrap();
        #[cfg(unix)]
        {
            std::os::unix::fs::symlink(folder.path().join("x"), &path).unwrap();
            assert!(matches!(check_is_file(&path), Err(LedgerError::Symlink(..))));
            assert!(matches!(check_is_free(&path), Err(LedgerError::Symlink(..))));
        }
    }
}
