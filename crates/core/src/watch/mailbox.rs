//! The hints for one reader, until it takes them.

use std::collections::HashMap;
use std::fmt::Debug;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

use crate::sync::lock::lock;
use crate::sync::wake::Wake;

/// Beyond so many inputs with hints, all inputs are looked at.
pub(crate) const HINTS_MAX: usize = 4096;

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

impl Mailbox {
    /// Hints at one path. Returns true if it is followed here.
    pub(crate) fn hint(&self, path: &Path, change: Change) -> bool {
        let mut hints = lock(&self.hints);
        let Some(&Place { at, gone }) = hints.places.get(path) else { return false };
        let known = hints.news[at as usize];
        let is_news = known < Some(change) || change.is_of_name() && known.is_some_and(Change::is_of_name);
        if (!hints.all || change.is_of_name()) && is_news {
            if hints.news[at as usize].replace(change).is_none() {
                hints.with_news.push(at);
                hints.all |= hints.with_news.len() > HINTS_MAX;
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
    pub(super) fn hint_all_in_turn(&self) {
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
            // No look tells how a file came to its name.
            into.retain(|(_, change)| change.is_of_name());
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

/// The hints that are not taken yet.
#[derive(Debug, Default)]
pub(crate) struct Hints {
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
pub(crate) struct Place {
    at: u32,
    /// True if no input finds the path any more.
    gone: bool,
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
    /// A name was added, or a directory may have become readable. `moved`: it was given to a file that was there before.
    Came { is_dir: bool, moved: bool },
    /// The watch was removed.
    Gone,
}

impl Change {
    /// Returns true if a name was added or removed. Of several such changes, the last one counts.
    pub(crate) fn is_of_name(self) -> bool {
        matches!(self, Self::Went | Self::Came { .. })
    }

    /// Returns true if a file was renamed to the name.
    pub(crate) fn is_move(self) -> bool {
        matches!(self, Self::Came { moved: true, .. })
    }
}
