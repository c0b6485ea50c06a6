//! Which file is read by whom, so that two names of one file are one input.
//!
//! Shared by the shards; the lock is held for a look-up only, and only on threads that may block.

use std::collections::{HashMap, HashSet, VecDeque};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, OnceLock};
use std::time::{Duration, Instant};

use crate::follow::fingerprint::Fingerprint;
use crate::fs::{FileId, Fs, Storage};
use crate::record::framer::LineState;
use crate::sync::lock::lock;

/// How many files that were let go are remembered, in case they turn up under another name.
const RELEASED_MAX: usize = 16 * 1024;

/// For how long a device is known: its number may be another one's later.
const DEVICE_KNOWN: Duration = Duration::from_secs(1);

/// The files that are taken.
#[derive(Debug, Default)]
pub(crate) struct FileRegistry {
    state: Mutex<State>,
    /// Where the output is, if that is a file.
    output: OnceLock<PathBuf>,
    /// The device that was asked for last, what kind of storage it is, and when that was.
    device: Mutex<Option<(u64, Storage, Instant)>>,
    /// Bytes of deleted files that are not read.
    kept: Arc<AtomicU64>,
}

#[derive(Debug, Default)]
struct State {
    files: HashMap<FileId, Registration>,
    /// Released ones, oldest first; entries may be out of date.
    released: VecDeque<FileId>,
    /// Never to be read: the output.
    forbidden: HashSet<FileId>,
}

#[derive(Debug)]
enum Registration {
    /// Somebody reads it. `wanted`: another name of it is followed too.
    Held { wanted: bool },
    /// Read up to here and let go. Boxed, since most files are held.
    Released { at: Box<Position> },
}

/// Where a file was left, and what stood there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Position {
    pub(crate) offset: u64,
    pub(crate) fingerprint: Fingerprint,
    pub(crate) line: LineState,
}

impl Position {
    /// Whether it is known what stood there.
    pub(crate) fn is_sure(&self) -> bool {
        self.offset == 0 || self.fingerprint.len() > 0
    }
}

/// What came of asking for a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Claimed {
    /// It is the caller's, who begins where it was left off, if it was.
    Taken { resume: Option<Position> },
    /// Somebody else reads it.
    Held,
    /// It is the output.
    Forbidden,
}

impl FileRegistry {
    /// Asks for a file. `came_on`: the file system, if the file came after the start.
    pub(crate) fn claim(&self, id: FileId, came_on: Option<&dyn Fs>) -> Claimed {
        // Before the writer learns of it: whoever moved the output may have put another file in its place.
        let leads_there = |path: &PathBuf| came_on.is_some_and(|fs| fs.stat(path).is_ok_and(|stat| stat.id == id));
        if came_on.is_some() && self.is_untouched(id) && self.output.get().is_some_and(leads_there) {
            return Claimed::Forbidden;
        }
        let mut state = lock(&self.state);
        if state.forbidden.contains(&id) {
            return Claimed::Forbidden;
        }
        match state.files.get_mut(&id) {
            Some(Registration::Held { wanted }) => {
                *wanted = true;
                Claimed::Held
            }
            Some(claim @ Registration::Released { .. }) => {
                let released = std::mem::replace(claim, Registration::Held { wanted: false });
                let Registration::Released { at } = released else { unreachable!("it was") };
                Claimed::Taken { resume: Some(*at) }
            }
            None => {
                state.files.insert(id, Registration::Held { wanted: false });
                Claimed::Taken { resume: None }
            }
        }
    }

    /// Whether somebody reads this file, or nobody may.
    pub(crate) fn is_held(&self, id: FileId) -> bool {
        let state = lock(&self.state);
        state.forbidden.contains(&id) || matches!(state.files.get(&id), Some(Registration::Held { .. }))
    }

    /// Whether it is neither an input nor the output, as far as is known.
    fn is_untouched(&self, id: FileId) -> bool {
        let state = lock(&self.state);
        !state.files.contains_key(&id) && !state.forbidden.contains(&id)
    }

    /// Whether nobody has had to do with this file.
    pub(crate) fn is_new(&self, id: FileId) -> bool {
        !lock(&self.state).files.contains_key(&id)
    }

    /// Whether another name of this file is followed, so that somebody will go on reading it.
    pub(crate) fn is_wanted(&self, id: FileId) -> bool {
        matches!(lock(&self.state).files.get(&id), Some(Registration::Held { wanted: true }))
    }

    /// Lets go of a file that was read up to a place and still has a name.
    pub(crate) fn release(&self, id: FileId, at: Position) {
        let mut state = lock(&self.state);
        state.files.insert(id, Registration::Released { at: Box::new(at) });
        state.released.push_back(id);
        if state.released.len() > RELEASED_MAX
            && let Some(oldest) = state.released.pop_front()
            && let Some(Registration::Released { .. }) = state.files.get(&oldest)
        {
            state.files.remove(&oldest);
        }
    }

    /// Forgets a file that is gone for good, or was never read.
    pub(crate) fn forget(&self, id: FileId) {
        lock(&self.state).files.remove(&id);
    }

    /// Says that this file is never an input. False: it is one.
    pub(crate) fn forbid(&self, id: FileId) -> bool {
        let mut state = lock(&self.state);
        let free = !state.files.contains_key(&id);
        if free {
            state.forbidden.insert(id);
        }
        free
    }

    /// Says that there is no such file any more.
    pub(crate) fn allow(&self, id: FileId) {
        lock(&self.state).forbidden.remove(&id);
    }

    /// Has what this path leads to be no input, whichever file that is by then.
    pub(crate) fn forbid_path(&self, output: &Path) {
        // Set once, as the merge starts.
        self.output.set(output.to_owned()).ok();
    }

    /// What kind of storage a device is; `ask` says so where it was another device that was asked for last.
    pub(crate) fn storage(&self, device: u64, ask: impl FnOnce() -> Storage) -> Storage {
        let known = *lock(&self.device);
        if let Some((last, storage, when)) = known
            && last == device
            && when.elapsed() < DEVICE_KNOWN
        {
            return storage;
        }
        // Without the lock: it may take long where a device hangs.
        let storage = ask();
        *lock(&self.device) = Some((device, storage, Instant::now()));
        storage
    }

    /// Counts bytes of a deleted file that are not read, for as long as what is returned lives.
    pub(crate) fn keep(&self, bytes: u64) -> Kept {
        self.kept.fetch_add(bytes, Ordering::Relaxed);
        Kept { bytes, all: self.kept.clone() }
    }

    /// Bytes of all deleted files that are not read.
    pub(crate) fn kept(&self) -> u64 {
        self.kept.load(Ordering::Relaxed)
    }
}

/// Bytes on the disk that nobody but us keeps there.
#[derive(Debug)]
pub(crate) struct Kept {
    bytes: u64,
    all: Arc<AtomicU64>,
}

impl Drop for Kept {
    fn drop(&mut self) {
        self.all.fetch_sub(self.bytes, Ordering::Relaxed);
    }
}
