//! The table of the inputs by how their files begin, in which a new file is looked up that may be a copy of one.

use std::collections::{HashMap, VecDeque};
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use crate::batch::position::Position;
use crate::clock;
use crate::fs::FileId;
use crate::sync::lock::lock;

/// So many bytes at the start of a file are summed up. Shorter files are not looked up.
pub(crate) const HEAD: usize = 64;

/// So many files that were cut are remembered.
const CUTS_MAX: usize = 64;

/// The table remembers at most so many files that begin alike.
const ALIKE_MAX: usize = 16;

/// The inputs by the check sums of their heads, and the new files that may be copies of them.
#[derive(Debug, Default)]
pub(crate) struct Heads {
    paths: Mutex<HashMap<u32, Alike>>,
    held: Mutex<HashMap<FileId, Vec<Held>>>,
    /// The heads of files that were cut, each with the position up to which it was read, and the time of that.
    cuts: Mutex<VecDeque<(Instant, u32, Position)>>,
}

/// The paths of inputs that begin alike.
#[derive(Debug)]
enum Alike {
    One(Arc<Path>),
    Several(Vec<Arc<Path>>),
}

/// A new file that may be a copy of an input.
#[derive(Clone, Debug)]
pub(crate) struct Held {
    pub(crate) id: FileId,
    pub(crate) path: Arc<Path>,
}

impl Heads {
    /// Remembers the head of an input's file.
    pub(crate) fn add(&self, head: &[u8; HEAD], path: &Arc<Path>) -> u32 {
        let sum = crc32fast::hash(head);
        let mut paths = lock(&self.paths);
        match paths.remove(&sum) {
            None => paths.insert(sum, Alike::One(path.clone())),
            Some(Alike::One(other)) => paths.insert(sum, Alike::Several(vec![other, path.clone()])),
            Some(Alike::Several(mut all)) => {
                if all.len() < ALIKE_MAX {
                    all.push(path.clone());
                }
                paths.insert(sum, Alike::Several(all))
            }
        };
        sum
    }

    /// Forgets a head that was remembered.
    pub(crate) fn remove(&self, sum: u32, path: &Path) {
        let mut paths = lock(&self.paths);
        match paths.get_mut(&sum) {
            Some(Alike::One(one)) if **one == *path => drop(paths.remove(&sum)),
            Some(Alike::Several(all)) => {
                all.retain(|other| **other != *path);
                if all.is_empty() {
                    paths.remove(&sum);
                }
            }
            _ => {}
        }
    }

    /// Returns the paths of the inputs that begin so.
    pub(crate) fn with(&self, head: &[u8; HEAD]) -> Vec<Arc<Path>> {
        match lock(&self.paths).get(&crc32fast::hash(head)) {
            None => Vec::new(),
            Some(Alike::One(path)) => vec![path.clone()],
            Some(Alike::Several(all)) => all.clone(),
        }
    }

    /// Holds a file as a possible copy of another one.
    pub(crate) fn hold(&self, original: FileId, copy: Held) {
        lock(&self.held).entry(original).or_default().push(copy);
    }

    /// Holds a file no longer.
    pub(crate) fn let_go(&self, original: FileId, copy: FileId) {
        let mut held = lock(&self.held);
        if let Some(copies) = held.get_mut(&original) {
            copies.retain(|held| held.id != copy);
            if copies.is_empty() {
                held.remove(&original);
            }
        }
    }

    /// Remembers a file that was cut, for copies of it that are found later.
    pub(crate) fn note_cut(&self, head: u32, read_to: Position) {
        let mut cuts = lock(&self.cuts);
        if cuts.len() == CUTS_MAX {
            cuts.pop_front();
        }
        cuts.push_back((clock::now(), head, read_to));
    }

    /// Returns up to where files were read that began so and were cut within a time, the latest first.
    pub(crate) fn cut_within(&self, time: Duration, head: &[u8; HEAD]) -> Vec<Position> {
        let (cuts, sum) = (lock(&self.cuts), crc32fast::hash(head));
        let recent = cuts.iter().rev().take_while(|(since, ..)| clock::since(*since) < time);
        recent.filter(|(_, head, _)| *head == sum).map(|(.., read_to)| *read_to).collect()
    }

    /// Returns true if a file was cut within a time.
    pub(crate) fn has_cuts_within(&self, time: Duration) -> bool {
        lock(&self.cuts).back().is_some_and(|(since, ..)| clock::since(*since) < time)
    }

    /// Takes the files that are held as copies of one that was cut.
    pub(crate) fn take(&self, original: FileId) -> Vec<Held> {
        lock(&self.held).remove(&original).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_forgotten_is_not_found() {
        let (heads, head) = (Heads::default(), &[b'x'; HEAD]);
        let paths: Vec<Arc<Path>> = ["a", "b", "c"].map(|name| Path::new(name).into()).to_vec();
        let sums: Vec<_> = paths.iter().map(|path| heads.add(head, path)).collect();
        assert_eq!(heads.with(head), paths);
        assert!(heads.with(&[b'y'; HEAD]).is_empty());
        for (at, path) in paths.iter().enumerate() {
            heads.remove(sums[at], path);
            assert_eq!(heads.with(head), paths[at + 1..]);
        }
    }
}
