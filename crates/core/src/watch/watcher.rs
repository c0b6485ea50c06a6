//! Watches paths, and puts what the system tells into mailboxes.

use std::ffi::OsStr;
use std::fmt::Debug;
use std::io;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Instant;

use crate::fs::{FileId, Fs, here, is_missing};
use crate::report::event::Event;
use crate::report::ledger::Ledger;
use crate::sync::lock::lock;
use crate::watch::mailbox::{Change, Mailbox};
use crate::watch::names::{NameNow, Names};
use crate::watch::table::{Table, Watched};
use crate::watch::{ChangeWatch, WakeSource, system};

/// So many files are watched at most beside their directories: anybody can make any number that have several names.
pub(crate) const FILES_MAX: usize = 4096;

/// Puts hints from the system into mailboxes.
#[derive(Debug)]
pub(crate) struct Watcher {
    pub(super) system: system::System,
    pub(super) table: Mutex<Table>,
    pub(super) fs: Arc<dyn Fs>,
    pub(super) ledger: Arc<Ledger>,
    pub(super) shards: Vec<Arc<Mailbox>>,
    /// Names for discovery.
    pub(super) names: Arc<Names>,
    /// True once it was told that something has to be polled.
    pub(super) told: AtomicBool,
    /// True once it was told that a file is mounted over its name.
    pub(super) told_mounted: AtomicBool,
}

impl ChangeWatch for Watcher {
    fn watch_dir(&self, path: &Path, id: FileId) -> bool {
        if lock(&self.table).paths.get(path).is_some_and(|watched| watched.id == Some(id)) {
            return true;
        }
        match system::is_unnotified(here(path)) {
            Some(kind) => {
                self.tell(path, &format!("{kind} does not tell of changes made elsewhere"));
                false
            }
            None => self.watch(path, Some(id)),
        }
    }

    fn is_watched(&self, path: &Path) -> bool {
        let dir = path.parent().unwrap_or(path);
        if !lock(&self.table).paths.contains_key(dir) {
            return false;
        }
        if system::is_mounted(path) {
            if !self.told_mounted.swap(true, Ordering::Relaxed) {
                self.ledger.emit(&Event::Polled {
                    path: Some(path.to_owned()),
                    reason: "it is mounted over the name".to_owned(),
                });
            }
            return false;
        }
        !self.fs.is_link(path) || system::is_unnotified(path).is_none() && self.watch(path, None)
    }

    fn watch_file(&self, path: &Path) -> bool {
        // A link is watched for where it leads already.
        if self.fs.is_link(path) {
            return true;
        }
        let mut table = lock(&self.table);
        if table.files >= FILES_MAX {
            return false;
        }
        let Ok(key) = self.system.add(path) else { return false };
        table.enter(path, Watched { key, id: None }).0.inspect(|key| self.system.remove(key));
        true
    }

    fn leave_file(&self, path: &Path) {
        if !self.fs.is_link(path) {
            lock(&self.table).leave(path).inspect(|key| self.system.remove(key));
        }
    }

    fn retain(&self, keep: &dyn Fn(&Path) -> bool) {
        let mut table = lock(&self.table);
        let unused: Vec<_> = table.paths.keys().filter(|path| !keep(path)).cloned().collect();
        for path in unused {
            table.leave(&path).inspect(|key| self.system.remove(key));
        }
    }
}

impl Watcher {
    /// Waits in a job for a hint. Returns true if there is one. The job calls [`leave`](Self::leave) at its end.
    pub(crate) fn wait(&self, mailbox: &Mailbox, deadline: Instant) -> bool {
        self.system.wait(&mailbox.wake, deadline, &mut |key, name, change| self.changed(key, name, change))
    }

    /// Ends the waits of a job.
    pub(crate) fn leave(&self) {
        self.system.leave();
    }

    /// Handles a change. Without a watch, anything may have changed.
    pub(super) fn changed(&self, key: Option<&system::Key>, name: Option<&OsStr>, change: Change) {
        let Some(key) = key else { return self.all_changed() };
        let mut table = lock(&self.table);
        let Table { watches, paths, changed, .. } = &mut *table;
        for path in watches.get(key).into_iter().flatten() {
            match name {
                // The path may lead to another directory by now.
                None if paths.get(path).is_some_and(|watched| watched.id.is_some()) => self.names.all_changed(),
                None => drop(self.hint(path, change)),
                Some(name) => {
                    changed.clear();
                    changed.push(path);
                    changed.push(name);
                    let known = self.hint(changed, change);
                    let what = match change {
                        Change::Came { is_dir: true, .. } => NameNow::Dir,
                        Change::Came { is_dir: false, .. } if !known => NameNow::File,
                        Change::Went => NameNow::Nothing,
                        _ => continue,
                    };
                    self.names.changed(path, name, what);
                }
            }
        }
        if change == Change::Gone && table.remove(key) {
            drop(table);
            self.all_changed();
        }
    }

    /// Hints at one path. Returns true if it is followed.
    fn hint(&self, path: &Path, change: Change) -> bool {
        self.shards.iter().any(|shard| shard.hint(path, change))
    }

    fn all_changed(&self) {
        self.names.all_changed();
        // Anybody who can write somewhere can have this told again and again.
        self.shards.iter().for_each(|shard| shard.hint_all_in_turn());
    }

    /// Watches the file or directory that a path leads to now.
    fn watch(&self, path: &Path, id: Option<FileId>) -> bool {
        // Held while the watch is made, so that its first events are understood.
        let mut table = lock(&self.table);
        let key = match self.system.add(here(path)) {
            Ok(key) => key,
            // Gone by now, or not to be read, which is noticed elsewhere.
            Err(error) if is_missing(&error) || error.kind() == io::ErrorKind::PermissionDenied => return false,
            Err(error) => {
                drop(table);
                self.tell(path, &system::reason(&error));
                return false;
            }
        };
        let (unused, is_other) = table.enter(path, Watched { key, id });
        unused.inspect(|key| self.system.remove(key));
        drop(table);
        if is_other {
            // The files in it are others, which nobody hinted at.
            self.shards.iter().for_each(|shard| shard.hint_all());
        }
        true
    }

    fn tell(&self, path: &Path, reason: &str) {
        if !self.told.swap(true, Ordering::Relaxed) {
            self.ledger.emit(&Event::Polled { path: Some(here(path).to_owned()), reason: reason.to_owned() });
        }
    }
}
