//! What becomes of files and hosts.

use super::World;
use crate::host;
use crate::host::ledger_path;
use crate::oracle::Known;
use crate::process;
use crate::step::Files;
use crate::step::{Place, Step};

impl World<'_> {
    pub(super) fn take_files(&mut self, step: &Step) -> bool {
        self.oracle.is_involved = true;
        match step {
            Step::Copy { from, to, files } => {
                self.host(from.host);
                self.host(to.host);
                self.oracle.put_back.insert(to.host);
                // Nobody copies over a ledger that is at work.
                let is_busy = |(p, known): (&u32, &Known)| known.at == *to && self.processes[p].running.is_some();
                if self.oracle.known.iter().any(is_busy) || !host::copy(&self.root, *from, *to, *files) {
                    return false;
                }
                if let Some(meta) = self.metas.get(from).cloned() {
                    self.metas.insert(*to, meta);
                }
                self.oracle.last.remove(to);
            }
            Step::Keep { host, slot } => {
                let photo = self.host(*host).photo();
                let is_kept = |at: &Place| at.host == *host && ledger_path(&self.root, *at).exists();
                let metas = self.metas.iter().filter(|(at, _)| is_kept(at)).map(|(at, meta)| (*at, meta.clone()));
                let metas = metas.collect();
                self.slots.insert((*host, *slot), (photo, metas));
            }
            Step::PutBack { host, slot, state_too } => {
                self.oracle.put_back.insert(*host);
                let Some((mut photo, metas)) = self.slots.get(&(*host, *slot)).cloned() else { return false };
                // Nobody writes over a ledger that is at work.
                self.kill_all_of(*host);
                if !state_too {
                    photo.retain(|name, _| !name.starts_with("state"));
                }
                self.host(*host).put_back(&photo, true);
                // A log that is not in the backup is not left beside what is.
                for name in self.host(*host).photo().keys().filter(|name| !photo.contains_key(*name) && is_log(name)) {
                    std::fs::remove_file(self.hosts[host].folder.join(name)).unwrap();
                }
                self.metas.extend(metas);
                if *state_too {
                    self.oracle.notes_too.insert(*host);
                    self.forget(*host);
                }
            }
            Step::Revert { host, slot } => {
                self.oracle.put_back.insert(*host);
                self.oracle.notes_too.insert(*host);
                let Some((photo, metas)) = self.slots.get(&(*host, *slot)).cloned() else { return false };
                self.kill_all_of(*host);
                self.host(*host).put_back(&photo, false);
                self.host(*host).boot();
                self.metas.retain(|at, _| at.host != *host);
                self.metas.extend(metas);
                self.forget(*host);
                self.oracle.last.retain(|at, _| at.host != *host);
            }
            Step::Clone { from, to } => {
                self.oracle.put_back.insert(*to);
                self.oracle.notes_too.extend([*from, *to]);
                if from == to || self.hosts.contains_key(to) {
                    return false;
                }
                let photo = self.host(*from).photo();
                self.host(*to).put_back(&photo, false);
                let metas: Vec<_> = self
                    .metas
                    .iter()
                    .filter(|(at, _)| at.host == *from)
                    .map(|(at, meta)| (*at, meta.clone()))
                    .collect();
                self.metas.extend(metas.into_iter().map(|(at, meta)| (Place { host: *to, ..at }, meta)));
            }
            _ => return false,
        }
        true
    }

    pub(super) fn forget(&mut self, host: u8) {
        let now = self.now();
        self.oracle.forgot.insert(host, now);
    }

    pub(super) fn kill_all_of(&mut self, host: u8) {
        let on_it = self.processes.iter().filter(|(_, process)| process.host == host).map(|(p, _)| *p);
        for p in on_it.collect::<Vec<_>>() {
            self.kill(p, "process: killed");
        }
    }

    /// Reads the rows of a ledger from a copy, so that looking changes nothing.
    pub(super) fn rows(&self, at: Place) -> Option<Vec<process::RowSeen>> {
        let aside = Place { host: 255, ledger: at.ledger };
        std::fs::create_dir_all(self.root.join("h255")).unwrap();
        if !host::copy(&self.root, at, aside, Files::All) {
            return None;
        }
        process::rows(&ledger_path(&self.root, aside)).ok()
    }
}

fn is_log(name: &std::path::Path) -> bool {
    let name = name.to_string_lossy();
    name.ends_with("-wal") || name.ends_with("-shm")
}
