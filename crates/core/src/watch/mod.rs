//! Notices changes: hints from the system, which shorten the wait for the next poll.
//!
//! A hint may come late, twice, for nothing or not at all: it only says where to look first. One watch for each
//! directory is enough; a file that is a symbolic link needs one of its own, since it changes elsewhere. Where the
//! system cannot watch, files are polled.
//!
//! The thread `tailmerge-watch` waits for the system, tells discovery of new names, and puts hints into the mailboxes
//! of the shards. While a reader's job waits for hints, the job does that itself, unless something holds it up for
//! long. The thread ends with the writer's thread, or with whoever reads a tail alone.

pub(crate) mod names;
#[cfg(any(target_os = "linux", target_os = "android"))]
pub(crate) mod pace;
#[cfg(any(target_os = "linux", target_os = "android"))]
#[path = "inotify.rs"]
pub(crate) mod system;
#[cfg(not(any(target_os = "linux", target_os = "android")))]
#[path = "other.rs"]
pub(crate) mod system;

use std::collections::HashMap;
use std::ffi::OsStr;
use std::fmt::Debug;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::Instant;

use crate::fs::{FileId, Fs, here, is_missing};
use crate::own_thread;
use crate::report::event::Event;
use crate::report::ledger::Ledger;
use crate::sync::lock::lock;
use crate::sync::wake::Wake;
use crate::watch::names::{NameNow, Names};

/// Beyond so many inputs with hints, all inputs are looked at.
const HINTS_MAX: usize = 4096;

/// So many files are watched at most beside their directories: anybody can make any number that have several names.
const FILES_MAX: usize = 4096;

/// The way in which changes are noticed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum WatchMode {
    /// By notification where the system can, else by polling, which is told once.
    #[default]
    Auto,
    /// The same, but not to have notification at all is an error.
    Notify,
    /// By polling only: each file is looked at once every poll interval.
    Poll,
}

/// Watches for changes, and knows what is watched.
pub(crate) trait ChangeWatch: Debug + Send + Sync + 'static {
    /// Watches a directory. Returns false if it has to be polled.
    fn watch_dir(&self, path: &Path, id: FileId) -> bool;

    /// Returns true if the system notifies changes of the file at a path.
    fn is_watched(&self, path: &Path) -> bool;

    /// Watches a file that has other names: its directory tells only of what is written by this one. False: it has to
    /// be polled.
    fn watch_file(&self, _: &Path) -> bool {
        false
    }

    /// Stops watching such a file.
    fn leave_file(&self, _: &Path) {}

    /// Stops watching all paths but those to keep.
    fn retain(&self, keep: &dyn Fn(&Path) -> bool);
}

/// The hints for one reader, by the paths that it follows.
#[derive(Debug, Default)]
pub(crate) struct Mailbox {
    hints: Mutex<Hints>,
    /// True once there was a hint at a path, so that it makes sense to wait for the next one.
    hinted: AtomicBool,
    /// True if everything has to be looked at when it is its turn.
    all_in_turn: AtomicBool,
    pub(crate) wake: Wake,
}

/// The hints that are not taken yet.
#[derive(Debug, Default)]
struct Hints {
    /// True if anything may have changed.
    all: bool,
    /// The reader's index of each path.
    places: HashMap<Arc<Path>, Place>,
    /// The kind of change at each index, if there is one.
    news: Vec<Option<Change>>,
    /// The indexes with a change.
    with_news: Vec<u32>,
}

#[derive(Clone, Copy, Debug)]
struct Place {
    at: u32,
    /// True if no input finds the path any more.
    gone: bool,
}

impl Mailbox {
    /// Hints at one path. Returns true if it is followed here.
    pub(crate) fn hint(&self, path: &Path, change: Change) -> bool {
        let mut hints = lock(&self.hints);
        let Some(&Place { at, gone }) = hints.places.get(path) else { return false };
        if !hints.all && hints.news[at as usize] < Some(change) {
            if hints.news[at as usize].replace(change).is_none() {
                hints.with_news.push(at);
                hints.all = hints.with_news.len() > HINTS_MAX;
            }
            drop(hints);
            self.hinted.store(true, Ordering::Relaxed);
            self.wake.wake();
        }
        !gone
    }

    /// Hints at everything.
    pub(crate) fn hint_all(&self) {
        lock(&self.hints).all = true;
        self.wake.wake();
    }

    /// Hints at everything, to be looked at when it is its turn.
    fn hint_all_in_turn(&self) {
        self.all_in_turn.store(true, Ordering::Relaxed);
        self.wake.wake();
    }

    /// Takes the hint of [`hint_all_in_turn`](Self::hint_all_in_turn).
    pub(crate) fn take_all_in_turn(&self) -> bool {
        self.all_in_turn.load(Ordering::Relaxed) && self.all_in_turn.swap(false, Ordering::Relaxed)
    }

    /// Returns true if there were hints at paths here.
    pub(crate) fn is_hinted_at(&self) -> bool {
        self.hinted.load(Ordering::Relaxed)
    }

    /// Takes the hints at places, after those that were left of the last ones. True: there may be news of anything.
    pub(crate) fn take(&self, into: &mut Vec<(usize, Change)>) -> bool {
        let Hints { all, news, with_news, .. } = &mut *lock(&self.hints);
        into.extend(with_news.drain(..).filter_map(|at| Some((at as usize, news[at as usize].take()?))));
        if *all {
            into.clear();
        }
        std::mem::take(all)
    }

    /// Returns the index of a path that is followed.
    pub(crate) fn place(&self, path: &Path) -> Option<usize> {
        lock(&self.hints).places.get(path).map(|place| place.at as usize)
    }

    /// Returns the paths that are followed, in order.
    pub(crate) fn paths(&self) -> Vec<Arc<Path>> {
        let mut paths: Vec<_> = lock(&self.hints).places.keys().cloned().collect();
        paths.sort_unstable();
        paths
    }

    /// Adds a path with its index.
    pub(crate) fn follow(&self, path: Arc<Path>, at: usize) {
        let mut hints = lock(&self.hints);
        if hints.news.len() <= at {
            hints.news.resize(at + 1, None);
        }
        hints.places.insert(path, Place { at: u32::try_from(at).expect("fewer inputs than that"), gone: false });
    }

    /// Records whether no input finds a followed path any more.
    pub(crate) fn set_gone(&self, path: &Path, gone: bool) {
        if let Some(place) = lock(&self.hints).places.get_mut(path) {
            place.gone = gone;
        }
    }

    /// Removes a path.
    pub(crate) fn leave(&self, path: &Path) {
        lock(&self.hints).places.remove(path);
    }
}

/// A kind of change, as the system notifies it. Later ones outweigh earlier ones.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Change {
    /// Only the content of a file changed.
    Content,
    /// Something about a file changed.
    File,
    /// A name was removed.
    Went,
    /// A name was added, or a directory may have become readable.
    Came { is_dir: bool },
    /// The watch was removed.
    Gone,
}

/// Receives a change: of a name in what is watched, or of that itself.
type Tell<'a> = &'a mut dyn FnMut(Option<&system::Key>, Option<&OsStr>, Change);

/// The system's notification of changes.
#[derive(Debug)]
pub(crate) struct Notifier(system::System);

impl Notifier {
    /// Makes the notification that the mode asks for; none if everything has to be polled.
    ///
    /// # Errors
    ///
    /// Under [`WatchMode::Notify`], if the system has no notification, or its limits are exhausted.
    pub(crate) fn new(mode: WatchMode, fs: &dyn Fs, ledger: &Ledger) -> io::Result<Option<Self>> {
        if mode == WatchMode::Poll || mode == WatchMode::Auto && !fs.notifies() {
            return Ok(None);
        }
        match system::System::new() {
            Ok(system) if fs.notifies() => Ok(Some(Self(system))),
            Ok(_) => Err(io::ErrorKind::Unsupported.into()),
            Err(error) if mode == WatchMode::Notify => Err(io::Error::other(system::reason(&error))),
            Err(error) => {
                ledger.emit(&Event::Polled { path: None, reason: system::reason(&error) });
                Ok(None)
            }
        }
    }
}

/// Returns true if notification is wanted and available.
pub(crate) fn can_notify(mode: WatchMode, fs: &dyn Fs) -> bool {
    mode != WatchMode::Poll && fs.notifies() && system::System::new().is_ok()
}

/// Returns true if a path is where the system does not notify all changes.
pub(crate) fn is_remote(path: &Path) -> bool {
    system::is_remote(path).is_some() || system::is_mounted(path)
}

/// Puts hints from the system into mailboxes.
#[derive(Debug)]
pub(crate) struct Watcher {
    system: system::System,
    table: Mutex<Table>,
    fs: Arc<dyn Fs>,
    ledger: Arc<Ledger>,
    shards: Vec<Arc<Mailbox>>,
    /// Names for discovery.
    names: Arc<Names>,
    /// True once it was told that something has to be polled.
    told: AtomicBool,
    /// True once it was told that a file is mounted over its name.
    told_mounted: AtomicBool,
}

/// The paths that are watched.
#[derive(Debug, Default)]
struct Table {
    /// The paths of each watch, as they are spelled: `a.log` is in the empty path, and `./a.log` in the same directory
    /// under another one.
    watches: HashMap<system::Key, Vec<Arc<Path>>>,
    /// The watch of each path.
    paths: HashMap<Arc<Path>, Watched>,
    /// The number of paths that lead to files.
    files: usize,
    /// The path of the current event. Kept so that events allocate nothing.
    changed: PathBuf,
}

#[derive(Debug)]
struct Watched {
    key: system::Key,
    /// The identity of a directory; none for a file.
    id: Option<FileId>,
}

/// Holds the watching of a merge, once there is one, until it is closed.
#[derive(Clone, Debug, Default)]
pub(crate) struct WatchSlot(Arc<Mutex<Slot>>);

#[derive(Debug, Default)]
struct Slot {
    watching: Option<Watching>,
    closed: bool,
}

impl WatchSlot {
    /// Holds it until the slot is closed, which may be the case already.
    pub(crate) fn put(&self, watching: Watching) {
        let mut slot = lock(&self.0);
        if !slot.closed {
            slot.watching = Some(watching);
        }
    }

    /// Ends the thread, if there is one, and joins it. That is quick: the thread blocks on nothing else.
    pub(crate) fn close(&self) {
        let mut slot = lock(&self.0);
        slot.closed = true;
        slot.watching = None;
    }
}

/// Keeps the thread `tailmerge-watch` running until it is dropped.
#[derive(Debug)]
pub(crate) struct Watching {
    watcher: Arc<Watcher>,
    thread: Option<JoinHandle<()>>,
}

/// Waits for hints in a job. Once it waits, the job receives the system's events itself, until this is dropped.
#[derive(Debug)]
pub(crate) struct Waiting<'a> {
    watcher: &'a Watcher,
    turn: Option<system::Turn<'a>>,
}

impl<'a> Waiting<'a> {
    pub(crate) fn new(watcher: &'a Watcher) -> Self {
        Self { watcher, turn: None }
    }

    /// Waits on this thread for a hint. Returns true if there is one.
    pub(crate) fn hint_by(&mut self, mailbox: &Mailbox, deadline: Instant) -> bool {
        if self.turn.is_none() {
            self.turn = self.watcher.system.turn();
        }
        match &mut self.turn {
            Some(turn) => turn.woken_by(&mailbox.wake, deadline, &mut |key, name, change| {
                self.watcher.changed(key, name, change);
            }),
            None => mailbox.wake.woken_by(deadline),
        }
    }
}

impl Watcher {
    /// Handles a change. Without a watch, anything may have changed.
    fn changed(&self, key: Option<&system::Key>, name: Option<&OsStr>, change: Change) {
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
                        Change::Came { is_dir: true } => NameNow::Dir,
                        Change::Came { is_dir: false } if !known => NameNow::File,
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

impl ChangeWatch for Watcher {
    fn watch_dir(&self, path: &Path, id: FileId) -> bool {
        if lock(&self.table).paths.get(path).is_some_and(|watched| watched.id == Some(id)) {
            return true;
        }
        match system::is_remote(here(path)) {
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
        !self.fs.is_link(path) || system::is_remote(path).is_none() && self.watch(path, None)
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

impl Table {
    /// Adds a path to a watch. Returns the watch that no path leads to any more, and true if the path led to another
    /// directory before.
    fn enter(&mut self, path: &Path, watched: Watched) -> (Option<system::Key>, bool) {
        let old = self.paths.get_mut(path);
        let is_other = watched.id.is_some() && old.as_ref().is_some_and(|old| old.id != watched.id);
        if let Some(old) = old.filter(|old| old.key == watched.key) {
            self.files += usize::from(watched.id.is_none());
            self.files -= usize::from(old.id.is_none());
            old.id = watched.id;
            return (None, is_other);
        }
        let unused = self.leave(path);
        let path: Arc<Path> = path.into();
        self.watches.entry(watched.key.clone()).or_default().push(path.clone());
        self.files += usize::from(watched.id.is_none());
        self.paths.insert(path, watched);
        (unused, is_other)
    }

    /// Removes a path. Returns its watch if that was the last path of it.
    fn leave(&mut self, path: &Path) -> Option<system::Key> {
        let Watched { key, id } = self.paths.remove(path)?;
        self.files -= usize::from(id.is_none());
        let paths = self.watches.get_mut(&key)?;
        paths.retain(|other| **other != *path);
        if !paths.is_empty() {
            return None;
        }
        self.watches.remove(&key);
        Some(key)
    }

    /// Removes a watch. Returns true if it was that of a directory.
    fn remove(&mut self, key: &system::Key) -> bool {
        let paths = self.watches.remove(key).unwrap_or_default();
        let watched: Vec<_> = paths.iter().filter_map(|path| self.paths.remove(path)).collect();
        let files = watched.iter().filter(|watched| watched.id.is_none()).count();
        self.files -= files;
        files < watched.len()
    }
}

impl Watching {
    /// Starts the thread. Returns none if it cannot be started: everything has to be polled.
    pub(crate) fn start(
        notifier: Notifier,
        fs: Arc<dyn Fs>,
        ledger: Arc<Ledger>,
        shards: Vec<Arc<Mailbox>>,
        names: Arc<Names>,
    ) -> Option<Self> {
        let (table, told, told_mounted) = (Mutex::default(), AtomicBool::new(false), AtomicBool::new(false));
        let watcher = Arc::new(Watcher { system: notifier.0, table, fs, ledger, shards, names, told, told_mounted });
        let its = watcher.clone();
        let run = move || its.system.run(&mut |key, name, change| its.changed(key, name, change));
        match own_thread::start("tailmerge-watch", run) {
            Ok(thread) => Some(Self { watcher, thread: Some(thread) }),
            Err(error) => {
                watcher.ledger.emit(&Event::Polled { path: None, reason: error.to_string() });
                None
            }
        }
    }

    pub(crate) fn watcher(&self) -> Arc<Watcher> {
        self.watcher.clone()
    }
}

impl Drop for Watching {
    fn drop(&mut self) {
        self.watcher.system.stop();
        if let Some(thread) = self.thread.take() {
            thread.join().ok(); // It has nothing that could panic; a panic was printed already.
        }
    }
}
