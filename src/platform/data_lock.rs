//! The lock on a data file that SQLite opens: one process works on it at a time.

// Where a process's lock on a whole file (flock) does not keep SQLite's own locks on its parts out, it is the file's own. On the
// BSDs and macOS it does, and on Windows nobody could read the file.
#[cfg(any(test, not(any(target_os = "linux", target_os = "android"))))]
#[cfg_attr(
    any(target_os = "linux", target_os = "android"),
    expect(dead_code, unreachable_pub, reason = "here only its tests use it")
)]
mod beside;
#[cfg(any(target_os = "linux", target_os = "android"))]
mod own;

#[cfg(not(any(target_os = "linux", target_os = "android")))]
pub use beside::DataLock;
#[cfg(any(target_os = "linux", target_os = "android"))]
pub use own::DataLock;

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use tempfile::TempDir;

    use super::*;

    fn place() -> (TempDir, PathBuf) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("x.data");
        std::fs::write(&path, "data").unwrap();
        (folder, path)
    }

    macro_rules! tests_of {
        ($name:ident, $lock:ty) => {
            mod $name {
                use super::*;

                #[test]
                fn the_lock_is_held_once_and_ends_with_its_value() {
                    let (_folder, path) = place();
                    let watcher = <$lock>::open(&path).unwrap();
                    assert!(!watcher.is_held().unwrap());
                    let mut lock = <$lock>::open(&path).unwrap();
                    assert!(lock.try_hold().unwrap());
                    assert!(lock.is_held().unwrap() && watcher.is_held().unwrap());
                    assert!(!<$lock>::open(&path).unwrap().try_hold().unwrap());
                    drop(lock);
                    assert!(!watcher.is_held().unwrap());
                    assert!(<$lock>::open(&path).unwrap().try_hold().unwrap());
                    assert!(<$lock>::open(&path.with_extension("gone")).is_err());
                }

                #[test]
                fn a_file_that_is_made_is_held_from_the_first_moment_on() {
                    let (_folder, path) = place();
                    let (new, data) = (path.with_extension("new"), path.with_extension("renamed"));
                    std::fs::write(&new, "left of a maker that died").unwrap();
                    let lock = <$lock>::create(&new, &data).unwrap().unwrap();
                    assert_eq!(std::fs::read(&new).unwrap(), b"");
                    assert!(crate::platform::is_private(&new));
                    assert!(<$lock>::create(&new, &data).unwrap().is_none());
                    lock.sync(&new).unwrap();
                    std::fs::rename(&new, &data).unwrap();
                    assert!(lock.is_of(&data).unwrap() && !lock.is_of(&new).unwrap() && !lock.is_of(&path).unwrap());
                    assert!(!<$lock>::open(&data).unwrap().try_hold().unwrap());
                }

                #[test]
                fn looking_does_not_keep_the_lock_from_being_taken() {
                    let (_folder, path) = place();
                    std::thread::scope(|scope| {
                        for _ in 0..2 {
                            scope.spawn(|| {
                                (0..500).filter(|_| <$lock>::open(&path).unwrap().is_held().unwrap()).count()
                            });
                        }
                        for _ in 0..200 {
                            assert!(<$lock>::open(&path).unwrap().try_hold().unwrap());
                        }
                    });
                }
            }
        };
    }

    #[cfg(any(target_os = "linux", target_os = "android"))]
    tests_of!(on_the_file, super::own::DataLock);
    tests_of!(beside_the_file, super::beside::DataLock);

    #[cfg(any(target_os = "linux", target_os = "android"))]
    mod on_linux {
        use std::process::{Command, Stdio};

        use super::*;

        /// Runs `flock` on the file in another process; tells whether it got the lock.
        fn flock(path: &std::path::Path, mode: &str) -> bool {
            let path = path.to_str().unwrap();
            let done = Command::new("flock").args([mode, "-n", path, "true"]).stderr(Stdio::null()).status().unwrap();
            done.success()
        }

        #[test]
        fn other_processes_meet_the_lock_on_the_file_by_any_of_its_names() {
            let (folder, path) = place();
            let other = folder.path().join("y.data");
            std::fs::hard_link(&path, &other).unwrap();
            let mut lock = DataLock::open(&path).unwrap();
            assert!(flock(&path, "-x"));
            assert!(lock.try_hold().unwrap());
            assert!(!flock(&other, "-s"));
            assert!(!DataLock::open(&other).unwrap().try_hold().unwrap());
            // The file stays open for one that watches, and is not locked any more.
            let watcher = DataLock::open(&other).unwrap();
            drop(lock);
            assert!(flock(&path, "-x") && !watcher.is_held().unwrap());
        }

        #[test]
        fn only_a_plain_file_is_opened_and_nothing_waits() {
            let (folder, path) = place();
            let pipe = folder.path().join("pipe");
            assert!(Command::new("mkfifo").arg(&pipe).status().unwrap().success());
            let link = folder.path().join("link");
            std::os::unix::fs::symlink(&path, &link).unwrap();
            for other in [&pipe, &link, &folder.path().to_owned()] {
                assert!(DataLock::open(other).is_err(), "{other:?}");
                assert!(!matches!(DataLock::create(other, &path), Ok(Some(_))), "{other:?}");
            }
        }

        #[test]
        fn locks_of_sqlite_outlive_those_who_look() {
            let (_folder, path) = place();
            std::fs::remove_file(&path).unwrap();
            drop(
                rusqlite::Connection::open(&path)
                    .unwrap()
                    .execute_batch("CREATE TABLE t (a); INSERT INTO t VALUES (1)"),
            );
            let lock = DataLock::open(&path).unwrap();
            let conn = rusqlite::Connection::open(&path).unwrap();
            conn.execute_batch("BEGIN; SELECT * FROM t").unwrap();
            let n_locks = || {
                use std::os::unix::fs::MetadataExt;
                let inode = format!(":{} ", path.metadata().unwrap().ino());
                let locks = std::fs::read_to_string("/proc/locks").unwrap();
                locks.lines().filter(|line| line.contains("POSIX") && line.contains(&inode)).count()
            };
            let before = n_locks();
            assert!(before > 0);
            drop(DataLock::open(&path).unwrap());
            assert!(!DataLock::open(&path).unwrap().is_held().unwrap());
            assert_eq!(n_locks(), before);
            drop((conn, lock));
        }
    }
}
