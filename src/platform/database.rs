//! Which files are a database, and which lie beside one: none of them is replaced by an output.

use std::ffi::OsString;
use std::io::Read;
use std::path::{Path, PathBuf};

use super::folder_of;

/// What SQLite databases begin with (its file format, 1.3.1).
const MAGIC: &[u8; 16] = b"SQLite format 3\0";

/// What stands behind a database's name in the names of its files: its own, those of SQLite, and its lock.
const ENDS: [&str; 5] = ["", "-wal", "-shm", "-journal", ".lock"];

/// Returns whether two paths name one file, or the same place for one that does not exist.
pub fn same_file(a: &Path, b: &Path) -> bool {
    real(a) == real(b)
}

fn real(path: &Path) -> PathBuf {
    let in_folder = || Some(std::fs::canonicalize(folder_of(path)).ok()?.join(path.file_name()?));
    std::fs::canonicalize(path).ok().or_else(in_folder).unwrap_or_else(|| path.to_owned())
}

/// Returns whether a path names this database or a file beside it, whether they exist or not. No file is opened: closing it would
/// take SQLite's locks away where this process has the database open.
pub fn is_of_database(path: &Path, database: &Path) -> bool {
    let named = |end: &str| {
        let mut name = OsString::from(database);
        name.push(end);
        same_file(path, Path::new(&name))
    };
    ENDS.iter().any(|end| named(end))
}

/// Returns the database that a path names, or beside which it lies. It is opened for that: not to be asked of one that this process
/// has open.
pub(super) fn database_of(path: &Path) -> Option<PathBuf> {
    let name = path.file_name()?.to_string_lossy();
    let all = ENDS.iter().filter_map(|end| name.strip_suffix(end)).map(|name| path.with_file_name(name));
    std::iter::once(path.to_owned()).chain(all).find(|path| is_database(path))
}

fn is_database(path: &Path) -> bool {
    let mut begin = [0; MAGIC.len()];
    // A pipe would be waited for.
    let is_file = path.metadata().is_ok_and(|metadata| metadata.is_file());
    is_file && std::fs::File::open(path).is_ok_and(|mut file| file.read_exact(&mut begin).is_ok() && begin == *MAGIC)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_database_is_known_by_its_content_and_what_lies_beside_it_by_its_name() {
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| folder.path().join(name);
        std::fs::write(path("a.ledger"), [MAGIC, &[0; 16][..]].concat()).unwrap();
        std::fs::write(path("b.csv"), "id,type\n").unwrap();
        for name in ["a.ledger", "a.ledger-wal", "a.ledger-shm", "a.ledger-journal", "a.ledger.lock"] {
            assert_eq!(database_of(&path(name)), Some(path("a.ledger")), "{name}");
            assert!(is_of_database(&path(name), &path("a.ledger")), "{name}");
            assert!(!is_of_database(&path(name), &path("b.csv")), "{name}");
        }
        for name in ["b.csv", "b.csv-wal", "c.ledger", "a.ledger.csv", "-wal"] {
            assert_eq!(database_of(&path(name)), None, "{name}");
        }
        // One that is yet to be made.
        assert!(is_of_database(&folder.path().join("./new.ledger-wal"), &path("new.ledger")));
    }
}
