//! Directories that are reached by more than one path: through a link, or mounted twice.
//!
//! A name in such a directory is one file under two paths, and when it is rotated, so is the next one. Both paths
//! go to one shard, where the first of them takes either file, in order.

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use crate::fs::{FileId, Fs, here};

/// At most so many directories are remembered.
const DIRS_MAX: usize = 16 * 1024;

/// The first path by which each directory was found.
#[derive(Debug, Default)]
pub(crate) struct Aliases {
    first: HashMap<FileId, PathBuf>,
    /// The last directory that was asked about, and the first path to it if that is another one.
    last: Option<(PathBuf, Option<PathBuf>)>,
}

impl Aliases {
    /// Forgets the last answer, so that each directory is looked up again.
    pub(crate) fn refresh(&mut self) {
        self.last = None;
    }

    /// Returns the path by which the same name in the same directory was found before.
    pub(crate) fn alias_of(&mut self, path: &Path, fs: &dyn Fs) -> Option<PathBuf> {
        let (dir, name) = (path.parent()?, path.file_name()?);
        if self.last.as_ref().is_none_or(|(last, _)| last != dir) {
            self.last = Some((dir.to_owned(), self.other(dir, fs)));
        }
        let (_, other) = self.last.as_ref()?;
        other.as_ref().map(|other| other.join(name))
    }

    fn other(&mut self, dir: &Path, fs: &dyn Fs) -> Option<PathBuf> {
        let id = fs.stat(here(dir)).ok()?.id;
        if self.first.len() >= DIRS_MAX {
            self.first.clear();
        }
        let first = self.first.entry(id).or_insert_with(|| dir.to_owned());
        (first != dir).then(|| first.clone())
    }
}
