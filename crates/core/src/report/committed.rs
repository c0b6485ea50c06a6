//! The position up to which each file of an input is in the output.
//!
//! A file has one from when reading begins in it until it is given up and all that was read of it is in the output.

use std::collections::HashMap;

use crate::batch::position::{FilePosition, Position};
use crate::fs::FileId;

/// At most so many files of an input are remembered: those that came last.
const FILES_MAX: usize = 8;

/// The committed positions of an input's files, the oldest first.
#[derive(Debug, Default)]
pub(super) struct CommittedFiles(Vec<CommittedFile>);

#[derive(Debug)]
struct CommittedFile {
    generation: u32,
    at: FilePosition,
    /// The offset up to which it was read, once it is given up.
    read_to: Option<u64>,
    /// True if another input is about to go on with it, which has no position of it yet.
    handed_over: bool,
}

impl CommittedFile {
    /// Returns true if it is given up, and all that was read of it is in the output.
    fn is_over(&self) -> bool {
        !self.handed_over && self.read_to.is_some_and(|read_to| self.at.offset() >= read_to)
    }
}

impl CommittedFiles {
    /// Records that reading of a file begins at a position. The content that it had before is over.
    pub(super) fn begin(&mut self, generation: u32, at: FilePosition) {
        self.0.retain(|known| known.at.file != at.file || known.read_to.is_some());
        if self.0.len() == FILES_MAX {
            self.0.remove(0);
        }
        // Most inputs have one file.
        self.0.reserve_exact(1);
        self.0.push(CommittedFile { generation, at, read_to: None, handed_over: false });
    }

    /// Records that a file is in the output up to a position.
    pub(super) fn commit(&mut self, generation: u32, position: Position) {
        self.update(generation, |known| known.at.position = position);
    }

    /// Records that a file, of which everything up to an offset was read, is read no more. If another input is about to
    /// go on with it, which file that is is returned.
    pub(super) fn give_up(&mut self, generation: u32, read_to: u64, hand_over: bool) -> Option<FileId> {
        let mut handed_over = None;
        self.update(generation, |known| {
            known.read_to.get_or_insert(read_to);
            known.handed_over = hand_over;
            handed_over = hand_over.then_some(known.at.file);
        });
        handed_over
    }

    /// Records that another input goes on with a file.
    pub(super) fn is_taken_over(&mut self, generation: u32) {
        self.update(generation, |known| known.handed_over = false);
    }

    /// Records that a file is cut, and its copy is read on from an offset. Until that is reached, lines of the file are
    /// committed which the copy has as well.
    pub(super) fn continue_in_copy(&mut self, generation: u32, copy: FileId, offset: u64) {
        self.update(generation, |known| (known.at.file, known.read_to) = (copy, Some(offset)));
    }

    fn update(&mut self, generation: u32, change: impl FnOnce(&mut CommittedFile)) {
        if let Some(at) = self.0.iter().rposition(|known| known.generation == generation) {
            change(&mut self.0[at]);
            if self.0[at].is_over() {
                self.0.remove(at);
            }
        }
    }

    pub(super) fn positions(&self) -> impl Iterator<Item = FilePosition> {
        self.0.iter().map(|known| known.at)
    }
}

/// Leaves one position of each file. While lines are on their way that an input has read before it gave the file up,
/// those that continued it have a later one.
pub(crate) fn one_of_each<P>(mut positions: Vec<(P, FilePosition)>) -> Vec<(P, FilePosition)> {
    let mut first = HashMap::with_capacity(positions.len());
    for (_, at) in &positions {
        let least: &mut u64 = first.entry(at.file).or_insert(at.offset());
        *least = at.offset().min(*least);
    }
    positions.retain(|(_, at)| first.get(&at.file) == Some(&at.offset()) && first.remove(&at.file).is_some());
    positions
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(ino: u64, offset: u64) -> FilePosition {
        FilePosition { file: FileId::new(1, ino), position: Position::at(offset) }
    }

    fn positions(files: &CommittedFiles) -> Vec<(u64, u64)> {
        files.positions().map(|at| (at.file.ino, at.offset())).collect()
    }

    #[test]
    fn a_file_that_is_given_up_stays_until_what_was_read_of_it_is_in_the_output() {
        let mut files = CommittedFiles::default();
        files.begin(0, at(10, 0));
        files.commit(0, Position::at(100));
        files.begin(1, at(11, 0));
        files.give_up(0, 300, false);
        assert_eq!(positions(&files), [(10, 100), (11, 0)]);
        files.commit(1, Position::at(50));
        files.commit(0, Position::at(200));
        assert_eq!(positions(&files), [(10, 200), (11, 50)]);
        files.commit(0, Position::at(300));
        assert_eq!(positions(&files), [(11, 50)]);
        files.commit(0, Position::at(300));
        files.give_up(1, 50, false);
        assert_eq!(positions(&files), []);
    }

    #[test]
    fn a_file_that_is_handed_over_stays_until_it_is_taken_over() {
        let mut files = CommittedFiles::default();
        files.begin(0, at(10, 0));
        files.commit(0, Position::at(100));
        assert_eq!(files.give_up(0, 100, true), Some(FileId::new(1, 10)));
        assert_eq!(positions(&files), [(10, 100)]);
        files.is_taken_over(0);
        assert_eq!(positions(&files), []);
    }

    #[test]
    fn content_that_is_over_has_no_position() {
        let mut files = CommittedFiles::default();
        files.begin(0, at(10, 500));
        files.begin(1, at(10, 0));
        files.commit(0, Position::at(600));
        assert_eq!(positions(&files), [(10, 0)]);
    }

    #[test]
    fn a_copy_has_what_is_still_to_come_of_the_original() {
        let mut files = CommittedFiles::default();
        files.begin(0, at(10, 0));
        files.commit(0, Position::at(100));
        files.continue_in_copy(0, FileId::new(1, 11), 300);
        files.begin(1, at(11, 300));
        files.begin(2, at(10, 0));
        let committed = |files: &CommittedFiles| -> Vec<_> {
            let all = files.positions().map(|at| ((), at)).collect();
            one_of_each(all).into_iter().map(|(_, at)| (at.file.ino, at.offset())).collect()
        };
        assert_eq!(committed(&files), [(11, 100), (10, 0)]);
        files.commit(0, Position::at(300));
        assert_eq!(committed(&files), [(11, 300), (10, 0)]);
    }

    #[test]
    fn the_newest_files_are_remembered() {
        let mut files = CommittedFiles::default();
        (0..20).for_each(|generation| files.begin(generation, at(generation.into(), 0)));
        assert_eq!(positions(&files), [12, 13, 14, 15, 16, 17, 18, 19].map(|ino| (ino, 0)));
    }
}
