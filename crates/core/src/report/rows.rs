//! What is known of each input: what of it is in the output, and what may have been lost. Each is a row of the report;
//! many of those that are over share one.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::batch::Written;
use crate::batch::position::FilePosition;
use crate::batch::source::Source;
use crate::fs::FileId;
use crate::report::committed::CommittedFiles;
use crate::report::summary::InputReport;

/// Beyond so many rows, the oldest of those inputs that are over are folded into one.
const ROWS_MAX: usize = 10_000;

/// At most so many files are remembered that another input is about to go on with.
const HANDED_OVER_MAX: usize = 16 * 1024;

/// The inputs, in the order of joining.
#[derive(Debug)]
pub(super) struct Rows {
    /// In the order of their sources' numbers.
    rows: Vec<Row>,
    /// The number of the next source.
    next: u64,
    /// At so many rows, those of inputs that are over are folded.
    fold_at: usize,
    /// The number of folded inputs, and their sums.
    folded: u64,
    sums: Sums,
    /// Files that another input is about to go on with: the number of the source that has their positions, and their
    /// generations there.
    handed_over: HashMap<FileId, (u64, u32)>,
}

#[derive(Clone, Copy, Debug, Default)]
struct Sums {
    /// The number of bytes taken from the input and written.
    bytes: u64,
    /// The number of lines of output.
    lines: u64,
    possible_losses: u64,
}

#[derive(Debug)]
struct Row {
    source: Arc<Source>,
    sums: Sums,
    /// True once [`Event::LongLine`](crate::Event::LongLine) was emitted for it.
    has_long_line: bool,
    /// The newest file of the name of which something is in the output (see
    /// [`Extent::generation`](crate::Extent::generation)), and up to which offset it is.
    generation: u32,
    offset: u64,
    files: CommittedFiles,
}

impl Row {
    /// Records an offset up to which a file is in the output. An older file, which is written to late, says nothing of
    /// where the newest one is read.
    fn reach(&mut self, generation: u32, offset: u64) {
        if generation >= self.generation {
            (self.generation, self.offset) = (generation, offset);
        }
    }
}

impl Default for Rows {
    fn default() -> Self {
        // A source's number is 0 before it is one of a merge.
        let (sums, handed_over) = (Sums::default(), HashMap::new());
        Self { rows: Vec::new(), next: 1, fold_at: ROWS_MAX, folded: 0, sums, handed_over }
    }
}

impl Rows {
    pub(super) fn add(&mut self, name: Arc<Path>) -> Arc<Source> {
        if self.rows.len() >= self.fold_at {
            self.fold();
            // So that where most are not over, it is not looked for that each time.
            self.fold_at = ROWS_MAX.max(2 * self.rows.len());
        }
        let source = Source::new(self.next, name);
        self.next += 1;
        let row = Row {
            source: source.clone(),
            sums: Sums::default(),
            has_long_line: false,
            generation: 0,
            offset: 0,
            files: CommittedFiles::default(),
        };
        self.rows.push(row);
        source
    }

    /// Folds half of them, if they are over: nobody else has them, so that nothing more of them will be written.
    fn fold(&mut self) {
        let mut surplus = self.rows.len() - ROWS_MAX / 2;
        self.rows.retain_mut(|row| {
            if surplus == 0 || Arc::get_mut(&mut row.source).is_none() {
                return true;
            }
            surplus -= 1;
            self.folded += 1;
            self.sums.bytes += row.sums.bytes;
            self.sums.lines += row.sums.lines;
            self.sums.possible_losses += row.sums.possible_losses;
            false
        });
    }

    /// Returns the row of a source. A source has one for as long as anybody has the source.
    fn row(&mut self, source: &Source) -> Option<&mut Row> {
        self.row_of(source.number())
    }

    fn row_of(&mut self, number: u64) -> Option<&mut Row> {
        let at = self.rows.binary_search_by_key(&number, |row| row.source.number()).ok()?;
        self.rows.get_mut(at)
    }

    /// Records that reading of an input's file begins at a position.
    pub(super) fn begin(&mut self, source: &Source, generation: u32, at: FilePosition) {
        if let Some(row) = self.row(source) {
            row.reach(generation, at.offset());
            row.files.begin(generation, at);
        }
        if let Some((number, generation)) = self.handed_over.remove(&at.file)
            && let Some(row) = self.row_of(number)
        {
            row.files.is_taken_over(generation);
        }
    }

    /// Records that an input's file, of which everything up to an offset was read, is read no more, and whether another
    /// input is about to go on with it.
    pub(super) fn give_up(&mut self, source: &Source, generation: u32, read_to: u64, hand_over: bool) {
        let row = self.row(source);
        if let Some(file) = row.and_then(|row| row.files.give_up(generation, read_to, hand_over)) {
            if self.handed_over.len() >= HANDED_OVER_MAX {
                // Nobody goes on with so many.
                for (_, (number, generation)) in std::mem::take(&mut self.handed_over) {
                    self.row_of(number).into_iter().for_each(|row| row.files.is_taken_over(generation));
                }
            }
            self.handed_over.insert(file, (source.number(), generation));
        }
    }

    /// Records that an input's file is cut, and its copy is read on from an offset.
    pub(super) fn continue_in_copy(&mut self, source: &Source, generation: u32, copy: FileId, offset: u64) {
        if let Some(row) = self.row(source) {
            row.files.continue_in_copy(generation, copy, offset);
        }
    }

    /// Returns the committed positions of the inputs' files, where one file may have several.
    pub(super) fn committed(&self) -> Vec<(PathBuf, FilePosition)> {
        let mut committed = Vec::new();
        for row in &self.rows {
            committed.extend(row.files.positions().map(|at| (row.source.path().to_owned(), at)));
        }
        committed
    }

    /// Records what is in the output now. Returns the number of lines.
    pub(super) fn commit(&mut self, written: Written<'_>) -> u64 {
        let Written { extent, len_in, lines, end } = written;
        if let Some(row) = self.row(&extent.source) {
            row.sums.bytes += if extent.is_left_out() { 0 } else { len_in };
            row.sums.lines += lines;
            if len_in > 0 {
                row.reach(extent.generation, end.offset);
                row.files.commit(extent.generation, end);
            }
        }
        lines
    }

    /// Counts a possible loss of an input.
    pub(super) fn possible_loss(&mut self, source: &Source) {
        if let Some(row) = self.row(source) {
            row.sums.possible_losses += 1;
        }
    }

    /// Records that an input has a line over the limit. Returns true for the first one.
    pub(super) fn long_line(&mut self, source: &Source) -> bool {
        self.row(source).is_some_and(|row| !std::mem::replace(&mut row.has_long_line, true))
    }

    /// Returns the number of inputs that were folded into the first row.
    pub(super) fn folded(&self) -> u64 {
        self.folded
    }

    pub(super) fn report(&self) -> Vec<InputReport> {
        let report = |name: &Path, sums: Sums, offset| InputReport {
            name: name.to_owned(),
            bytes: sums.bytes,
            lines: sums.lines,
            possible_losses: sums.possible_losses,
            offset,
        };
        let folded = (self.folded > 0).then(|| report(Path::new(""), self.sums, 0));
        let row = |row: &Row| report(row.source.path(), row.sums, row.offset);
        folded.into_iter().chain(self.rows.iter().map(row)).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::batch::Batch;

    fn add(rows: &mut Rows, number: usize) -> Arc<Source> {
        rows.add(Path::new(&number.to_string()).into())
    }

    #[test]
    fn inputs_that_are_over_are_folded_and_the_sums_stay() {
        let mut rows = Rows::default();
        let mut live = Vec::new();
        let mut batch = Batch::with_capacity(10);
        for number in 0..5 * ROWS_MAX {
            let source = add(&mut rows, number);
            batch.set_source(&source, None, 0);
            assert!(batch.push(0, 10, b"x\n"));
            batch.advance(2);
            batch.written().for_each(|written| assert_eq!(rows.commit(written), 1));
            batch = Batch::with_capacity(10);
            if number % 10 == 0 {
                live.push(source);
            }
        }
        let report = rows.report();
        assert!(report.len() <= ROWS_MAX + 1, "{} rows", report.len());
        assert_eq!(rows.folded() as usize + report.len() - 1, 5 * ROWS_MAX);
        assert_eq!(
            report.iter().map(|row| (row.bytes, row.lines)).fold((0, 0), |a, b| (a.0 + b.0, a.1 + b.1)),
            (50 * ROWS_MAX as u64, 5 * ROWS_MAX as u64)
        );
        assert_eq!(report[0].name, Path::new(""));
        assert!(live.iter().all(|source| report.iter().any(|row| row.name == source.path())), "the others have rows");
        assert_eq!(report.last().map(|row| row.name.clone()), Some((5 * ROWS_MAX - 1).to_string().into()));
        assert!(live.iter().all(|source| rows.long_line(source) && !rows.long_line(source)));
    }

    #[test]
    fn inputs_that_go_on_are_never_folded() {
        let mut rows = Rows::default();
        let _live: Vec<_> = (0..3 * ROWS_MAX).map(|number| add(&mut rows, number)).collect();
        assert_eq!((rows.folded(), rows.report().len()), (0, 3 * ROWS_MAX));
    }

    #[test]
    fn late_lines_of_an_older_file_leave_the_newest_position() {
        let mut rows = Rows::default();
        let source = add(&mut rows, 0);
        let mut batch = Batch::with_capacity(100);
        for (generation, start) in [(0, 100), (1, 0), (0, 200)] {
            batch.set_source(&source, None, generation);
            assert!(batch.push(start, 2, b"x\n"));
        }
        batch.advance(6);
        let lines: u64 = batch.written().map(|written| rows.commit(written)).sum();
        assert_eq!((lines, rows.report()[0].offset, rows.report()[0].bytes), (3, 2, 6));
    }
}
