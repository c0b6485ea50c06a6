//! The registry of files: each file is read by one input, whatever its names.
//!
//! Shared by the shards; the lock is held for a look-up only, and only on threads that may block.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock};
use std::time::{Duration, Instant};

use crate::batch::position::{FilePosition, Position};
use crate::clock;
use crate::follow::heads::Heads;
use crate::fs::{FileId, Fs, Storage};
use crate::sync::lock::lock;

/// So many released files are remembered, in case they turn up under another name.
const RELEASED_MAX: usize = 16 * 1024;

/// At most so many paths that wait for a file are hinted at. The others take it over at the next sweep.
const WAITING_MAX: usize = 16 * 1024;

/// The storage of a device is remembered for this long, since its number may be given to another one.
const DEVICE_KNOWN: Duration = Duration::from_secs(1);

/// The registry of all files that are read, were read, or must not be read.
#[derive(Debug, Default)]
pub(crate) struct FileRegistry {
    state: Mutex<State>,
    /// The paths of files that the merge writes itself, such as the output.
    own_paths: Mutex<Arc<Vec<PathBuf>>>,
    /// The last device that was asked about, its storage, and the time of that.
    device: Mutex<Option<(u64, Storage, Instant)>>,
    /// The number of unread bytes of deleted files.
    deleted: Arc<AtomicU64>,
    /// The inputs by how their files begin.
    pub(crate) heads: Heads,
    /// Called with the paths that wait for a file when it is free.
    on_free: OnceLock<OnFree>,
}

/// Hints at paths whose file is free.
pub(crate) struct OnFree(pub(crate) Box<dyn Fn(&Path) + Send + Sync>);

impl fmt::Debug for OnFree {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("OnFree")
    }
}

#[derive(Debug, Default)]
struct State {
    files: HashMap<FileId, Registration>,
    /// Released files by the numbers of their releases, but those of an earlier merge.
    released: BTreeMap<u64, FileId>,
    /// The number of the next release.
    next: u64,
    /// Files that are never read, such as the output.
    forbidden: HashSet<FileId>,
    /// Other paths of files that are read, which wait for them to be free.
    waiting: HashMap<FileId, HashSet<Arc<Path>>>,
    /// The positions at which an earlier merge has left the files of a path.
    left: HashMap<PathBuf, Vec<FilePosition>>,
    /// The number of these paths.
    waiting_count: usize,
}

#[derive(Debug)]
enum Registration {
    /// An input reads it. `wanted`: another name of it is followed, too.
    Held { wanted: bool },
    /// It was read up to a position. Boxed, since most files are held.
    Released(Box<Released>),
}

#[derive(Debug)]
struct Released {
    at: Position,
    /// Counts releases.
    number: u64,
}

/// The answer to a claim of a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Claimed {
    /// The caller reads it, from the position where it was released if there is one.
    Taken { resume: Option<Position> },
    /// Another input reads it.
    Held,
    /// It must not be read.
    Forbidden,
}

impl State {
    /// Registers a file. Returns the position where it was released, if it was.
    fn register(&mut self, id: FileId, registration: Registration) -> Option<Position> {
        match self.files.insert(id, registration) {
            Some(Registration::Released(released)) => {
                self.released.remove(&released.number);
                Some(released.at)
            }
            _ => None,
        }
    }

    /// Registers a file that an earlier merge has left at a position; `is_later`: one is known, which this one replaces.
    fn know(&mut self, left: FilePosition, is_later: bool) {
        if let Some(Registration::Released(released)) = self.files.get(&left.file)
            && !is_later
            && released.at.offset > left.offset()
        {
            return;
        }
        // It stays until it is claimed.
        let released = Released { at: left.position, number: u64::MAX };
        self.files.insert(left.file, Registration::Released(Box::new(released)));
    }
}

impl FileRegistry {
    /// Claims a file at a path for the caller. If another input reads it, the path is hinted at once it is free.
    /// `came_on` is the file system, if the file came after the start.
    pub(crate) fn claim(&self, id: FileId, path: &Path, came_on: Option<&dyn Fs>) -> Claimed {
        // Before the writer learns of it: whoever moved the output may have put another file in its place.
        if let Some(fs) = came_on
            && self.is_untouched(id)
        {
            let own = lock(&self.own_paths).clone();
            if own.iter().any(|path| fs.stat(path).is_ok_and(|stat| stat.id == id)) {
                return Claimed::Forbidden;
            }
        }
        let state = &mut *lock(&self.state);
        if state.forbidden.contains(&id) {
            return Claimed::Forbidden;
        }
        if let Some(Registration::Held { wanted }) = state.files.get_mut(&id) {
            *wanted = true;
            let waiting = state.waiting.entry(id).or_default();
            if state.waiting_count < WAITING_MAX && !waiting.contains(path) {
                waiting.insert(path.into());
                state.waiting_count += 1;
            }
            return Claimed::Held;
        }
        Claimed::Taken { resume: state.register(id, Registration::Held { wanted: false }) }
    }

    /// Returns true if an input reads this file, or none may.
    pub(crate) fn is_held(&self, id: FileId) -> bool {
        let state = lock(&self.state);
        state.forbidden.contains(&id) || matches!(state.files.get(&id), Some(Registration::Held { .. }))
    }

    /// Returns true if the registry does not know the file.
    fn is_untouched(&self, id: FileId) -> bool {
        let state = lock(&self.state);
        !state.files.contains_key(&id) && !state.forbidden.contains(&id)
    }

    /// Returns true if no input has claimed this file.
    pub(crate) fn is_new(&self, id: FileId) -> bool {
        !lock(&self.state).files.contains_key(&id)
    }

    /// Returns true if another name of this file is followed, so that its reading will continue.
    pub(crate) fn is_wanted(&self, id: FileId) -> bool {
        matches!(lock(&self.state).files.get(&id), Some(Registration::Held { wanted: true }))
    }

    /// Releases a file that was read up to a position and still has a name.
    pub(crate) fn release(&self, id: FileId, at: Position) {
        let mut state = lock(&self.state);
        let number = state.next;
        state.next += 1;
        state.register(id, Registration::Released(Box::new(Released { at, number })));
        state.released.insert(number, id);
        if state.released.len() > RELEASED_MAX
            && let Some((_, oldest)) = state.released.pop_first()
        {
            state.files.remove(&oldest);
        }
        self.hint_waiting(id, state);
    }

    /// Keeps the position at which an earlier merge has left a file that was followed by this path. Of two for one path
    /// the later one counts, of two for several names of a file the one that is further.
    pub(crate) fn keep_position(&self, path: &Path, left: FilePosition) {
        let state = &mut *lock(&self.state);
        let known = state.left.entry(path.to_owned()).or_default();
        let is_later = known.iter().any(|known| known.file == left.file);
        known.push(left);
        state.know(left, is_later);
    }

    /// Keeps the position of a file that is at its path no more, in case it turns up under another one.
    pub(crate) fn keep_position_of_moved(&self, left: FilePosition) {
        lock(&self.state).know(left, false);
    }

    /// Returns the paths of which positions are kept and were not taken.
    pub(crate) fn kept_paths(&self) -> Vec<PathBuf> {
        lock(&self.state).left.keys().cloned().collect()
    }

    /// Returns the positions that are kept for a path, in the order in which they were.
    pub(crate) fn positions(&self, path: &Path) -> Vec<FilePosition> {
        lock(&self.state).left.get(path).cloned().unwrap_or_default()
    }

    /// Drops the positions that were kept for a path, which is followed from there on.
    pub(crate) fn drop_positions(&self, path: &Path) {
        lock(&self.state).left.remove(path);
    }

    /// Returns the positions that are kept, by their paths, after those of `others`, which are of one moment with them.
    pub(crate) fn kept_positions(
        &self,
        others: impl FnOnce() -> Vec<(PathBuf, FilePosition)>,
    ) -> Vec<(PathBuf, FilePosition)> {
        let state = lock(&self.state);
        let mut positions = others();
        let mut kept: Vec<_> = state.left.iter().collect();
        kept.sort_unstable_by_key(|(path, _)| *path);
        positions.extend(kept.into_iter().flat_map(|(path, left)| left.iter().map(|left| (path.clone(), *left))));
        positions
    }

    /// Forgets a file that is gone for good, or was never read.
    pub(crate) fn forget(&self, id: FileId) {
        let mut state = lock(&self.state);
        if let Some(Registration::Released(released)) = state.files.remove(&id) {
            state.released.remove(&released.number);
        }
        self.hint_waiting(id, state);
    }

    /// Hints at the paths that wait for a file.
    fn hint_waiting(&self, id: FileId, mut state: MutexGuard<'_, State>) {
        let waiting = state.waiting.remove(&id).unwrap_or_default();
        state.waiting_count -= waiting.len();
        drop(state);
        if let Some(on_free) = self.on_free.get() {
            waiting.iter().for_each(|path| (on_free.0)(path));
        }
    }

    /// Sets what hints at paths whose file is free.
    pub(crate) fn on_free(&self, hint: impl Fn(&Path) + Send + Sync + 'static) {
        self.on_free.set(OnFree(Box::new(hint))).ok(); // Set once, as the readers start.
    }

    /// Forbids that this file becomes an input. Returns false if it is one.
    pub(crate) fn forbid(&self, id: FileId) -> bool {
        let mut state = lock(&self.state);
        let free = !state.files.contains_key(&id);
        if free {
            state.forbidden.insert(id);
        }
        free
    }

    /// Removes a forbidden file that is gone.
    pub(crate) fn allow(&self, id: FileId) {
        lock(&self.state).forbidden.remove(&id);
    }

    /// Forbids whatever file is at this path at any time.
    pub(crate) fn forbid_path(&self, own: &Path) {
        Arc::make_mut(&mut *lock(&self.own_paths)).push(own.to_owned());
    }

    /// Returns the kind of a device's storage. It calls `ask` if the last question was about another device.
    pub(crate) fn storage(&self, device: u64, ask: impl FnOnce() -> Storage) -> Storage {
        let known = *lock(&self.device);
        if let Some((last, storage, when)) = known
            && last == device
            && clock::since(when) < DEVICE_KNOWN
        {
            return storage;
        }
        // Without the lock: it may take long where a device hangs.
        let storage = ask();
        *lock(&self.device) = Some((device, storage, clock::now()));
        storage
    }

    /// Counts unread bytes of a deleted file, until the returned value is dropped.
    pub(crate) fn count_deleted(&self, bytes: u64) -> DeletedBytes {
        self.deleted.fetch_add(bytes, Ordering::Relaxed);
        DeletedBytes { bytes, all: self.deleted.clone() }
    }

    /// Returns the number of unread bytes of all deleted files.
    pub(crate) fn deleted_bytes(&self) -> u64 {
        self.deleted.load(Ordering::Relaxed)
    }
}

/// Counts unread bytes of a deleted file that only this process keeps on the disk.
#[derive(Debug)]
pub(crate) struct DeletedBytes {
    bytes: u64,
    all: Arc<AtomicU64>,
}

impl Drop for DeletedBytes {
    fn drop(&mut self) {
        self.all.fetch_sub(self.bytes, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_that_is_released_again_is_remembered_like_a_new_one() {
        let (registry, path) = (FileRegistry::default(), Path::new("a"));
        let file = |ino| FileId { dev: 1, ino, born: None };
        let claim = |ino| registry.claim(file(ino), path, None);
        assert_eq!(claim(0), Claimed::Taken { resume: None });
        registry.release(file(0), Position::at(5));
        assert_eq!(claim(1), Claimed::Taken { resume: None });
        registry.release(file(1), Position::at(1));
        for round in 0..2 * RELEASED_MAX {
            assert_eq!(claim(0), Claimed::Taken { resume: Some(Position::at(5)) }, "round {round}");
            registry.release(file(0), Position::at(5));
        }
        assert_eq!(claim(1), Claimed::Taken { resume: Some(Position::at(1)) }, "one file takes no other's place");
        for ino in 2..RELEASED_MAX as u64 + 2 {
            registry.release(file(ino), Position::at(1));
        }
        assert_eq!(claim(0), Claimed::Taken { resume: None }, "it is the oldest by now");
    }
}
