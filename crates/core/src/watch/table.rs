//! Which paths are watched, and by which watches of the system.

use std::collections::HashMap;
use std::fmt::Debug;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::fs::FileId;
use crate::watch::system;

/// The paths that are watched.
#[derive(Debug, Default)]
pub(crate) struct Table {
    /// The paths of each watch, as they are spelled: `a.log` is in the empty path, and `./a.log` in the same directory
    /// under another one.
    pub(super) watches: HashMap<system::Key, Vec<Arc<Path>>>,
    /// The watch of each path.
    pub(super) paths: HashMap<Arc<Path>, Watched>,
    /// The number of paths that lead to files.
    pub(super) files: usize,
    /// The path of the current event. Kept so that events allocate nothing.
    pub(super) changed: PathBuf,
}

impl Table {
    /// Adds a path to a watch. Returns the watch that no path leads to any more, and true if the path led to another
    /// directory before.
    pub(super) fn enter(&mut self, path: &Path, watched: Watched) -> (Option<system::Key>, bool) {
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
    pub(super) fn leave(&mut self, path: &Path) -> Option<system::Key> {
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
    pub(super) fn remove(&mut self, key: &system::Key) -> bool {
        let paths = self.watches.remove(key).unwrap_or_default();
        let watched: Vec<_> = paths.iter().filter_map(|path| self.paths.remove(path)).collect();
        let files = watched.iter().filter(|watched| watched.id.is_none()).count();
        self.files -= files;
        files < watched.len()
    }
}

#[derive(Debug)]
pub(crate) struct Watched {
    pub(super) key: system::Key,
    /// The identity of a directory; none for a file.
    pub(super) id: Option<FileId>,
}
