//! What is known of a directory from its last listing.

use std::borrow::Borrow;
use std::collections::{HashMap, HashSet};
use std::ffi::{OsStr, OsString};
use std::hash::{Hash, Hasher};
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use crate::clock;
use crate::discover::cost::share;
use crate::discover::pattern::State;
use crate::fs::{FileId, Stat};

/// A directory is listed again at the latest after this time, even if it does not seem to have changed, unless that
/// takes too much time.
const RELIST_AFTER: Duration = Duration::from_secs(10);

/// The state of a directory when it was last listed.
#[derive(Debug)]
pub(crate) struct Dir {
    pub(super) state: State,
    /// Its identity.
    pub(super) id: Option<FileId>,
    /// The time of its last change by then.
    pub(super) modified: Option<SystemTime>,
    /// The time when it was listed.
    pub(super) listed: Instant,
    /// The duration of the last listing, if there was one.
    pub(super) took: Option<Duration>,
    /// The known duration of a listing.
    pub(super) cost: Duration,
    /// True if it may have changed since without showing it.
    pub(super) unsure: bool,
    /// Its failure, and the time until which it is left alone.
    pub(super) failing: Option<Failing>,
    /// True once it was told that it cannot be listed.
    pub(super) told: bool,
    /// The files in it that match.
    pub(crate) files: HashSet<ByName>,
    /// The directories in it that are scanned.
    pub(super) dirs: HashMap<OsString, State>,
}

impl Dir {
    pub(super) fn new(state: State) -> Self {
        Self {
            state,
            id: None,
            modified: None,
            listed: clock::now(),
            took: None,
            cost: Duration::ZERO,
            unsure: true,
            failing: None,
            told: false,
            files: HashSet::new(),
            dirs: HashMap::new(),
        }
    }

    /// Returns true if it has to be listed again: it has changed, or was listed more than `relist` ago.
    pub(super) fn is_stale(&self, stat: &Stat, watched: bool, relist: Duration) -> bool {
        let age = clock::since(self.listed);
        let changed = self.unsure || stat.modified.is_none() || stat.modified != self.modified;
        age >= self.cost * share(watched) && (changed || age >= RELIST_AFTER.max(relist))
    }

    pub(super) fn is_left_alone(&self) -> bool {
        self.failing.is_some_and(|failing| clock::now() < failing.again)
    }
}

/// The failure of a directory that is tried again more and more seldom.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Failing {
    pub(super) again: Instant,
    pub(super) wait: Duration,
}

/// A path that is compared by its last component.
#[derive(Debug)]
pub(crate) struct ByName(pub(crate) Arc<Path>);

impl PartialEq for ByName {
    fn eq(&self, other: &Self) -> bool {
        Borrow::<OsStr>::borrow(self) == Borrow::<OsStr>::borrow(other)
    }
}

impl Hash for ByName {
    fn hash<H: Hasher>(&self, state: &mut H) {
        Borrow::<OsStr>::borrow(self).hash(state);
    }
}

impl Borrow<OsStr> for ByName {
    fn borrow(&self) -> &OsStr {
        self.0.file_name().unwrap_or_default()
    }
}
