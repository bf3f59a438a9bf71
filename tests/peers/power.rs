//! What a disk holds when the power goes: what was written and then synced, and nothing else.

use std::collections::HashMap;
use std::path::Path;

use crate::trace::{Call, Event};

/// The files of a folder.
///
/// It is the worst disk that keeps its promises: nothing that is written arrives before a sync asks for it, and a new file has
/// no name before its folder is synced. A sync covers the writes that had ended before it began.
#[derive(Debug, Default)]
pub(crate) struct Disk {
    files: HashMap<String, File>,
    /// What each thread's sync will have made durable: the folder's new names, or a file's content.
    syncing: HashMap<u32, Vec<(String, Vec<u8>)>>,
    /// How many syncs of a file that was written have ended.
    pub(crate) n_syncs: usize,
}

#[derive(Clone, Debug, Default)]
struct File {
    written: Vec<u8>,
    synced: Vec<u8>,
    has_durable_name: bool,
}

impl Disk {
    /// Puts a file on the disk that was there before.
    pub(crate) fn put(&mut self, path: &Path, content: Vec<u8>) {
        let file = File { written: content.clone(), synced: content, has_durable_name: true };
        self.files.insert(path.to_str().unwrap().to_owned(), file);
    }

    /// Lets a system call happen.
    pub(crate) fn take(&mut self, event: &Event) {
        match event {
            Event::Begins(call) if is_sync(call) => self.begin_sync(call),
            Event::Ends(call) if is_sync(call) => self.end_sync(call),
            Event::Ends(call) => self.write(call),
            Event::Begins(_) => {}
        }
    }

    fn write(&mut self, call: &Call) {
        let Some(offset) = call.offset else { return };
        let written = &mut self.files.entry(call.target.clone()).or_default().written;
        let end = offset + call.bytes.len();
        written.resize(written.len().max(end), 0);
        written[offset..end].copy_from_slice(&call.bytes);
    }

    fn begin_sync(&mut self, call: &Call) {
        let content = self.files.get(&call.target).map(|file| (call.target.clone(), file.written.clone()));
        self.syncing.insert(call.thread, content.into_iter().collect());
    }

    fn end_sync(&mut self, call: &Call) {
        for (path, content) in self.syncing.remove(&call.thread).unwrap_or_default() {
            self.n_syncs += 1;
            self.files.entry(path).or_default().synced = content;
        }
        for (path, file) in &mut self.files {
            file.has_durable_name |= Path::new(path).parent() == Some(Path::new(&call.target));
        }
    }

    /// Returns what the disk holds of a file when the power goes now; none where it has not even its name.
    pub(crate) fn after_power_loss(&self, path: &Path) -> Option<&[u8]> {
        let file = self.files.get(path.to_str().unwrap())?;
        file.has_durable_name.then_some(&file.synced)
    }
}

fn is_sync(call: &Call) -> bool {
    call.name == "fsync" || call.name == "fdatasync"
}

#[test]
fn only_what_was_synced_under_a_durable_name_is_there() {
    let call = |name: &str, target: &str, bytes: &[u8]| Call {
        thread: 1,
        name: name.to_owned(),
        target: target.to_owned(),
        bytes: bytes.to_owned(),
        offset: (name == "pwrite64").then_some(1),
    };
    let mut disk = Disk::default();
    let done = |disk: &mut Disk, call: Call| {
        disk.take(&Event::Begins(call.clone()));
        disk.take(&Event::Ends(call));
    };
    let log = Path::new("/a/x-wal");
    disk.take(&Event::Begins(call("fsync", "/a/x-wal", &[])));
    disk.take(&Event::Ends(call("fsync", "/a/x-wal", &[])));
    done(&mut disk, call("pwrite64", "/a/x-wal", b"1"));
    done(&mut disk, call("fdatasync", "/a/x-wal", &[]));
    assert_eq!(disk.after_power_loss(log), None, "its name is not durable");
    done(&mut disk, call("fsync", "/a", &[]));
    assert_eq!(disk.after_power_loss(log), Some(b"\x001".as_slice()));
    done(&mut disk, call("pwrite64", "/a/x-wal", b"2"));
    assert_eq!(disk.after_power_loss(log), Some(b"\x001".as_slice()));
    disk.take(&Event::Begins(call("fdatasync", "/a/x-wal", &[])));
    done(&mut disk, call("pwrite64", "/a/x-wal", b"3"));
    disk.take(&Event::Ends(call("fdatasync", "/a/x-wal", &[])));
    assert_eq!(disk.after_power_loss(log), Some(b"\x002".as_slice()), "3 was written while the sync was under way");
}
