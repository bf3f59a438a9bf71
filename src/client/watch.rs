//! When a file that another process rewrites is read again: a pure decision.

use crate::platform::Stamp;

/// What is to be done after a look.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Look {
    /// Nothing: what was read is still there, or nothing is.
    Keep,
    /// It is another one, and perhaps being written: it is to be looked at again soon.
    Again,
    /// The file is to be read.
    Read,
}

/// What is known of a file.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Watch {
    /// What it was when its content was last taken.
    taken: Option<Stamp>,
    /// What it was at the last look.
    seen: Option<Stamp>,
}

impl Watch {
    /// Notes that the content was taken, of a file that was this just before: what is written in between is another look's.
    pub(crate) const fn taken(&mut self, stamp: Option<Stamp>) {
        self.taken = stamp;
    }

    /// Takes what a look saw. A file is read when two looks in a row saw the same: one that is written in place is empty or
    /// half there at first.
    pub(crate) fn looked(&mut self, stamp: Option<Stamp>) -> Look {
        let before = std::mem::replace(&mut self.seen, stamp);
        match stamp {
            None => Look::Keep,
            _ if stamp == self.taken => Look::Keep,
            _ if stamp == before => Look::Read,
            Some(_) => Look::Again,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_read_when_it_is_another_one_and_stays_so() {
        let [a, b, c] =
            [1, 2, 3].map(|inode| Some(Stamp { device: 0, inode, size_bytes: 0, modified: (0, 0), changed: (0, 0) }));
        let mut watch = Watch::default();
        watch.taken(a);
        for (seen, expect) in [
            (a, Look::Keep),
            (a, Look::Keep),
            (b, Look::Again),
            (c, Look::Again),
            (None, Look::Keep),
            (None, Look::Keep),
            (c, Look::Again),
            (c, Look::Read),
            // What could not be taken is tried again.
            (c, Look::Read),
        ] {
            assert_eq!(watch.looked(seen), expect, "{seen:?}");
        }
        watch.taken(c);
        assert_eq!(watch.looked(c), Look::Keep);
        // A copy of the old one is another one, too.
        assert_eq!((watch.looked(a), watch.looked(a)), (Look::Again, Look::Read));
    }

    #[cfg(unix)]
    #[test]
    fn each_way_to_rewrite_a_file_is_seen() {
        use std::os::unix::fs::PermissionsExt;

        use crate::platform::stamp;

        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("token");
        assert_eq!(stamp(&path), None);
        std::fs::write(&path, "one").unwrap();
        let first = stamp(&path);
        assert!(first.is_some() && first == stamp(&path));
        std::fs::write(&path, "longer").unwrap();
        let second = stamp(&path);
        assert_ne!(first, second);
        std::fs::write(folder.path().join("new"), "longer").unwrap();
        std::fs::rename(folder.path().join("new"), &path).unwrap();
        let third = stamp(&path);
        assert_ne!(second, third);
        let open = std::fs::metadata(&path).unwrap().permissions().mode();
        // The clock of files has steps of some milliseconds, within which a change is not seen.
        let has_changed = (0..1_000_000).any(|n| {
            std::fs::set_permissions(&path, std::fs::Permissions::from_mode(open ^ ((n & 1) << 5))).unwrap();
            stamp(&path) != third
        });
        assert!(has_changed);
    }
}
