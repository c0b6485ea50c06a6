//! The inputs that a journal knows, by their numbers.

use std::cmp::Reverse;
use std::collections::{HashMap, HashSet};
use std::hash::{Hash, Hasher};
use std::path::Path;
use std::sync::Arc;

use crate::batch::extent::Extent;
use crate::batch::position::Position;
use crate::fs::FileId;
use crate::output::journal::format::Entry;

/// So many files are remembered that are not the newest ones of their names, in case they still have another name.
const OLDER_MAX: usize = 4096;
/// So many names are remembered, those of inputs that are gone included.
const NAMES_MAX: usize = 1 << 18;

/// The name of an input, as a key: paths are slow to hash and to compare, byte by byte they are not.
#[derive(Clone, Debug)]
pub(super) struct Name(Arc<Path>);

impl PartialEq for Name {
    fn eq(&self, other: &Self) -> bool {
        self.0.as_os_str() == other.0.as_os_str()
    }
}

impl Eq for Name {}

impl Hash for Name {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.0.as_os_str().hash(state);
    }
}

impl Entry {
    pub(super) fn name(&self) -> Name {
        Name(self.path.clone())
    }
}

/// Returns the newest generation of each name.
pub(super) fn newest<'a>(entries: impl Iterator<Item = &'a Entry>) -> HashMap<Name, u32> {
    let mut newest = HashMap::new();
    for entry in entries {
        let newest = newest.entry(entry.name()).or_default();
        *newest = entry.generation.max(*newest);
    }
    newest
}

/// The inputs, each with the position up to which it is in the output or in an intent.
#[derive(Debug, Default)]
pub(crate) struct Table {
    rows: Vec<Row>,
    /// Those of this merge: by source, generation and file.
    known: HashMap<(u64, u32, Option<FileId>), usize>,
    /// Those of earlier merges, until this one goes on with them.
    left: HashMap<(Name, Option<FileId>), usize>,
    /// The number of the first file that this merge reads of a name, if earlier ones have read some.
    first: HashMap<Name, u32>,
    /// Counts intents.
    intents: u64,
}

#[derive(Debug)]
struct Row {
    entry: Entry,
    /// The last intent that it was in.
    moved: u64,
}

impl Table {
    /// Makes a table of what earlier merges have left, in the order in which it was written to.
    pub(crate) fn new(left: Vec<Entry>) -> Self {
        let mut table = Self::default();
        for entry in left {
            let first = table.first.entry(entry.name()).or_default();
            *first = (*first).max(entry.generation.saturating_add(1));
            table.rows.push(Row { entry, moved: 0 });
        }
        table.compact(OLDER_MAX, NAMES_MAX);
        table.left = table.rows.iter().enumerate().map(|(at, row)| (row.key(), at)).collect();
        table
    }

    /// Begins an intent.
    pub(crate) fn begin(&mut self) {
        self.intents += 1;
    }

    /// Moves an input to the end of an extent. Returns its number; a new one is added to `new`.
    pub(crate) fn move_to(&mut self, extent: &Extent, new: &mut Vec<Entry>) -> usize {
        let key = (extent.source.number(), extent.generation, extent.file);
        let number = self.known.get(&key).copied().unwrap_or_else(|| {
            let number = self.join(extent, new);
            self.known.insert(key, number);
            number
        });
        let row = &mut self.rows[number];
        (row.entry.position, row.entry.is_gone, row.moved) = (extent.end, false, self.intents);
        number
    }

    /// Returns the number of an input that is new in this merge.
    fn join(&mut self, extent: &Extent, new: &mut Vec<Entry>) -> usize {
        let path: Arc<Path> = extent.source.path().into();
        let key = (Name(path), extent.file);
        // A file that was truncated since is another one by now.
        if let Some(number) = self.left.remove(&key)
            && self.rows[number].entry.position.offset == extent.start
        {
            return number;
        }
        let (name, file) = key;
        let generation = self.first.get(&name).map_or(0, |first| *first).saturating_add(extent.generation);
        let entry = Entry { path: name.0, file, generation, position: Position::at(extent.start), is_gone: false };
        new.push(entry.clone());
        self.rows.push(Row { entry, moved: self.intents });
        self.rows.len() - 1
    }

    /// Returns what is to be remembered, and numbers it anew.
    pub(crate) fn entries(&mut self) -> Vec<Entry> {
        self.compact(OLDER_MAX, NAMES_MAX);
        self.rows.iter().map(|row| row.entry.clone()).collect()
    }

    /// Forgets what is no more, and numbers the others in the order in which they were moved.
    fn compact(&mut self, older_max: usize, names_max: usize) {
        let newest = newest(self.rows.iter().map(|row| &row.entry));
        // The last ones first. Of a file that was truncated the last content is met first.
        let mut order: Vec<usize> = (0..self.rows.len()).collect();
        order.sort_by_key(|at| Reverse((self.rows[*at].moved, *at)));
        let (mut older, mut names, mut seen) = (0, 0, HashSet::new());
        order.retain(|at| {
            let Row { entry, .. } = &self.rows[*at];
            let is_newest = newest.get(&entry.name()) == Some(&entry.generation);
            let (count, max) = if is_newest { (&mut names, names_max) } else { (&mut older, older_max) };
            let is_kept = seen.insert(self.rows[*at].key()) && *count < max;
            *count += usize::from(is_kept);
            is_kept
        });
        order.reverse();
        let number: HashMap<usize, usize> = order.iter().enumerate().map(|(number, at)| (*at, number)).collect();
        let mut rows: Vec<_> = std::mem::take(&mut self.rows).into_iter().map(Some).collect();
        self.rows = order.iter().filter_map(|at| rows[*at].take()).collect();
        let renumber = |at: &mut usize| {
            number.get(at).is_some_and(|number| {
                *at = *number;
                true
            })
        };
        self.known.retain(|_, at| renumber(at));
        self.left.retain(|_, at| renumber(at));
    }
}

impl Row {
    fn key(&self) -> (Name, Option<FileId>) {
        (self.entry.name(), self.entry.file)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::batch::Batch;
    use crate::batch::source::Source;

    fn file(ino: u64) -> FileId {
        FileId::new(1, ino)
    }

    fn entry(path: &str, ino: u64, generation: u32, offset: u64) -> Entry {
        Entry {
            path: Path::new(path).into(),
            file: Some(file(ino)),
            generation,
            position: Position::at(offset),
            is_gone: false,
        }
    }

    /// Moves an input from `start` by a line of ten bytes. Returns its number, and whether it is a new one.
    fn move_by(table: &mut Table, source: &Arc<Source>, ino: u64, generation: u32, start: u64) -> (usize, bool) {
        let mut batch = Batch::with_capacity(100);
        batch.set_source(source, Some(file(ino)), generation);
        assert!(batch.push(start, 10, b"x\n"));
        table.begin();
        let mut new = Vec::new();
        let number = table.move_to(&batch.extents()[0], &mut new);
        (number, !new.is_empty())
    }

    fn known(table: &mut Table) -> Vec<(String, u64, u32, u64)> {
        let entries = table.entries().into_iter();
        let known = entries.map(|entry| {
            let path = entry.path.display().to_string();
            (path, entry.file.map_or(0, |file| file.ino), entry.generation, entry.position.offset)
        });
        known.collect()
    }

    #[test]
    fn files_of_an_earlier_merge_go_on_and_later_ones_are_numbered_on() {
        let left = vec![entry("a", 1, 4, 100), entry("a", 2, 5, 50), entry("b", 3, 0, 7)];
        let (mut table, [a, b]) =
            (Table::new(left), [(1, "a"), (2, "b")].map(|(n, path)| Source::new(n, Path::new(path).into())));
        assert_eq!(move_by(&mut table, &a, 2, 0, 50), (1, false), "it goes on");
        assert_eq!(move_by(&mut table, &a, 2, 0, 60), (1, false));
        assert_eq!(move_by(&mut table, &a, 9, 1, 0), (3, true), "it was rotated");
        assert_eq!(move_by(&mut table, &b, 3, 0, 0), (4, true), "it was truncated meanwhile");
        let all = [("a", 1, 4, 100), ("a", 2, 5, 70), ("a", 9, 7, 10), ("b", 3, 1, 10)];
        assert_eq!(
            known(&mut table),
            all.map(|(path, ino, generation, offset)| (path.to_owned(), ino, generation, offset))
        );
        assert_eq!(move_by(&mut table, &b, 3, 0, 10), (3, false), "they have new numbers");
        assert_eq!(move_by(&mut table, &a, 2, 0, 70), (1, false));
        assert_eq!(known(&mut table).last().map(|last| last.1), Some(2), "those that moved come last");
    }

    #[test]
    fn what_is_remembered_is_bounded() {
        let (mut table, source) = (Table::new(vec![entry("b", 0, 0, 7)]), Source::new(1, Path::new("a").into()));
        let count = OLDER_MAX as u64 + 100;
        for ino in 1..=count {
            move_by(&mut table, &source, ino, ino as u32, 0);
        }
        let entries = known(&mut table);
        let inos: Vec<_> = entries.iter().map(|entry| entry.1).collect();
        assert_eq!(inos, [&[0], &(count - OLDER_MAX as u64..=count).collect::<Vec<_>>()[..]].concat());
        assert_eq!(table.known.len(), OLDER_MAX + 1);
        assert_eq!(move_by(&mut table, &source, 1, 1, 10), (entries.len(), true), "it was forgotten");

        let mut table = Table::new((0..5).map(|ino| entry(&ino.to_string(), ino, 0, 1)).collect());
        table.compact(1, 3);
        assert_eq!(table.rows.iter().map(|row| row.entry.file.unwrap().ino).collect::<Vec<_>>(), [2, 3, 4]);
    }
}
