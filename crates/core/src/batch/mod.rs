//! A batch: whole lines on their way from the inputs to the output, and where they came from.
//!
//! A fixed number of batches circulates between readers and writer. A reader reads straight into a
//! batch's spare room and then commits what it holds of whole lines as an [`Extent`]; nothing else
//! keeps positions.

pub(crate) mod extent;
pub(crate) mod fingerprint;
pub(crate) mod pool;
pub(crate) mod position;
pub(crate) mod queue;
pub(crate) mod sink;
pub(crate) mod source;

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use memchr::{memchr_iter, memrchr};

use crate::batch::extent::Extent;
use crate::batch::fingerprint::{Fingerprint, FingerprintWindow};
use crate::batch::position::Position;
use crate::batch::source::Source;
use crate::fs::FileId;

/// Whole lines on their way to the output.
///
/// A [`Tailer`](crate::Tailer) fills it: it takes [`spare`](Batch::spare), puts bytes there, and calls
/// [`commit`](Batch::commit) for those that are whole lines. A [`Writer`](crate::Writer) writes
/// [`bytes`](Batch::bytes).
///
/// # Examples
///
/// ```
/// use tailmerge::Batch;
///
/// let mut batch = Batch::with_capacity(64);
/// batch.spare()[..8].copy_from_slice(b"one\ntwo\n");
/// batch.commit(0, 8); // these 8 bytes begin at offset 0 of the input
///
/// assert_eq!(batch.bytes(), b"one\ntwo\n");
/// assert_eq!(batch.extents()[0].lines, 2);
/// assert_eq!(batch.spare().len(), 56);
/// ```
#[derive(Debug)]
pub struct Batch {
    /// Always initialized as a whole; only `..filled` holds lines.
    buf: Vec<u8>,
    filled: usize,
    done: usize,
    extents: Vec<Extent>,
    /// The records of extents that are not verbatim, in order.
    records: Vec<RecordLen>,
    /// The number of records that the next commit has.
    pending: usize,
    /// The source, file and generation of the next commit.
    source: Arc<Source>,
    file: Option<FileId>,
    generation: u32,
    growth: Growth,
}

/// The lengths of a record in the input and in the output.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct RecordLen {
    pub(crate) len_in: u32,
    pub(crate) len_out: u32,
}

/// Lets only one batch of a pool at a time grow, for a line that no batch has room for. Anybody's line may become
/// six times as long as JSON, and all of them together would take that much more memory.
#[derive(Debug, Default)]
struct Growth {
    /// True while a batch of the pool has grown.
    has_one: Arc<AtomicBool>,
    this: Grown,
}

/// The growth of one batch.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Grown {
    #[default]
    No,
    Yes,
    /// It had to, while another one had.
    Refused,
}

impl Batch {
    /// Makes a batch for `capacity` bytes. Memory is touched only as far as the batch gets filled.
    ///
    /// A merge makes its own batches; this is for trying a tailer or a writer alone.
    pub fn with_capacity(capacity: usize) -> Self {
        Self {
            buf: vec![0; capacity],
            filled: 0,
            done: 0,
            extents: Vec::new(),
            records: Vec::new(),
            pending: 0,
            source: Source::new(0, Path::new("").into()),
            file: None,
            generation: 0,
            growth: Growth::default(),
        }
    }

    /// Makes a batch of a pool, whose batches share `has_grown`.
    pub(crate) fn in_pool(capacity: usize, has_grown: Arc<AtomicBool>) -> Self {
        Self { growth: Growth { has_one: has_grown, this: Grown::No }, ..Self::with_capacity(capacity) }
    }

    /// Returns the lines that are still to be written: all of them, without the bytes that a
    /// [`PartialWrite`](crate::PartialWrite) has reported as written.
    pub fn bytes(&self) -> &[u8] {
        &self.buf[self.done..self.filled]
    }

    /// Returns the extents, in the order of their bytes.
    pub fn extents(&self) -> &[Extent] {
        &self.extents
    }

    /// Returns the extents with their bytes, those that are still to be written: without the bytes that a
    /// [`PartialWrite`](crate::PartialWrite) has reported as written, so that the first ones may be the rest of an extent.
    ///
    /// # Examples
    ///
    /// ```
    /// use tailmerge::Batch;
    ///
    /// fn route(batch: &Batch) {
    ///     for (extent, bytes) in batch.parts() {
    ///         println!("{}: {} bytes", extent.source.path().display(), bytes.len());
    ///     }
    /// }
    /// ```
    pub fn parts(&self) -> impl Iterator<Item = (&Extent, &[u8])> {
        let mut end = 0;
        self.extents.iter().filter_map(move |extent| {
            let start = end;
            end += extent.len_out as usize;
            (end > self.done && !extent.is_left_out()).then(|| (extent, &self.buf[start.max(self.done)..end]))
        })
    }

    /// Returns the lines that are still to be written, without their newlines, each with the extent that it belongs to.
    /// After a [`PartialWrite`](crate::PartialWrite) the first one may be the rest of a line.
    ///
    /// # Examples
    ///
    /// ```
    /// use tailmerge::Batch;
    ///
    /// fn errors(batch: &Batch) -> usize {
    ///     batch.lines().filter(|(_, line)| line.starts_with(b"ERROR")).count()
    /// }
    /// ```
    pub fn lines(&self) -> impl Iterator<Item = (&Extent, &[u8])> {
        self.parts().flat_map(|(extent, bytes)| {
            let lines = bytes.split_inclusive(|&byte| byte == b'\n');
            lines.map(move |line| (extent, &line[..line.len() - 1]))
        })
    }

    /// Returns true if the batch has no lines.
    ///
    /// It may have extents all the same: those of bytes that were left out.
    pub fn is_empty(&self) -> bool {
        self.filled == 0
    }

    /// Returns the number of bytes of lines in the batch, written or not.
    pub fn len(&self) -> usize {
        self.filled
    }

    /// Returns the spare room, for reading into. Its content is left over from earlier use.
    pub fn spare(&mut self) -> &mut [u8] {
        &mut self.buf[self.filled..]
    }

    /// Takes the first `len` bytes of the spare room for whole lines, read at offset `start` of the input
    /// byte for byte.
    ///
    /// # Panics
    ///
    /// If there is less room, if the last of these bytes is no newline, or if they end beyond offset 2^64.
    pub fn commit(&mut self, start: u64, len: usize) {
        self.commit_changed(start, len as u64, len);
    }

    /// Takes the first `len` bytes of the spare room for whole lines made from `len_in` bytes of the input.
    ///
    /// Use it for lines that got a label, another format or an added newline.
    ///
    /// # Panics
    ///
    /// If there is less room, if the last of these bytes is no newline, or if they end beyond offset 2^64.
    pub fn commit_changed(&mut self, start: u64, len_in: u64, len: usize) {
        let bytes = &self.buf[self.filled..self.filled + len];
        assert_eq!(bytes.last(), Some(&b'\n'), "a batch holds whole lines");
        assert!(start.checked_add(len_in).is_some(), "an input ends before 2^64 bytes");
        let lines = memchr_iter(b'\n', bytes).count() as u64;
        self.filled += len;
        self.note(start, len_in, len as u64, lines, Position::at(start + len_in));
    }

    /// Adds a record, in bytes of the input and of the output, to those that the next commit has. Without them nothing is
    /// known of a part of that extent. Does nothing for a record beyond 4 GiB, which is an extent of its own.
    pub(crate) fn add_record(&mut self, len_in: u64, len_out: usize) {
        if let (Ok(len_in), Ok(len_out)) = (u32::try_from(len_in), u32::try_from(len_out)) {
            self.records.push(RecordLen { len_in, len_out });
            self.pending += 1;
        }
    }

    /// Sets the source of the next commits, and the file if it is one.
    pub(crate) fn set_source(&mut self, source: &Arc<Source>, file: Option<FileId>, generation: u32) {
        if !Arc::ptr_eq(&self.source, source) {
            self.source = source.clone();
        }
        (self.file, self.generation) = (file, generation);
    }

    /// Records that the source's bytes from `start` up to a position have been processed: those of them that are not in
    /// the batch were left out.
    pub(crate) fn reach(&mut self, start: u64, position: Position) {
        let mut from = start;
        if let Some(last) = self.extents.last_mut().filter(|last| last.is_of(&self.source, self.generation)) {
            from = from.max(last.end.offset);
            if from == position.offset {
                last.end = position;
            }
        }
        if from < position.offset {
            self.note(from, position.offset - from, 0, 0, position);
        }
    }

    /// Appends rendered lines, if any; grows when they need more than the room of an empty batch.
    ///
    /// Returns false, and takes nothing, if there is no room and the batch [may not grow](Self::may_grow).
    pub(crate) fn push(&mut self, start: u64, len_in: u64, lines: &[u8]) -> bool {
        if lines.is_empty() {
            return true;
        }
        if lines.len() > self.spare().len() {
            if !self.may_grow() {
                return false;
            }
            self.buf.resize(lines.len(), 0);
        }
        self.spare()[..lines.len()].copy_from_slice(lines);
        self.commit_changed(start, len_in, lines.len());
        true
    }

    /// Returns true if the batch may grow: it has no lines, and no other batch of its pool has grown.
    pub(crate) fn may_grow(&mut self) -> bool {
        if self.filled > 0 {
            return false;
        }
        let Growth { has_one, this } = &mut self.growth;
        let may = *this == Grown::Yes || !has_one.swap(true, Ordering::Relaxed);
        *this = if may { Grown::Yes } else { Grown::Refused };
        may
    }

    /// Adds an extent, to the last one where it goes on from there.
    fn note(&mut self, start: u64, len_in: u64, len_out: u64, lines: u64, end: Position) {
        let records = std::mem::take(&mut self.pending);
        if let Some(last) = self.extents.last_mut()
            && last.is_of(&self.source, self.generation)
            && last.end.offset == start
            && last.is_left_out() == (len_out == 0)
            && (!last.is_verbatim() || len_in == len_out)
            && (last.records > 0) == (records > 0)
        {
            last.len_in += len_in;
            last.len_out += len_out;
            last.lines += lines;
            last.records += records;
            last.end = end;
            return;
        }
        let (source, file, generation) = (self.source.clone(), self.file, self.generation);
        self.extents.push(Extent { source, file, generation, start, len_in, len_out, lines, records, end });
    }

    /// Notes that the first `bytes` of those still to be written are written.
    pub(crate) fn advance(&mut self, bytes: usize) {
        self.done = (self.done + bytes).min(self.filled);
    }

    /// Returns the extents of which something was written, as far as [`Batch::advance`] covers them.
    pub(crate) fn written(&self) -> impl Iterator<Item = Written<'_>> {
        let (mut from, mut records) = (0, self.records.iter());
        self.extents.iter().map_while(move |extent| {
            let (start, end) = (from, from + extent.len_out as usize);
            from = end;
            if end <= self.done {
                records.by_ref().take(extent.records).for_each(drop);
                return Some(Written { extent, len_in: extent.len_in, lines: extent.lines, end: extent.end });
            }
            let done = self.done.checked_sub(start).filter(|done| *done > 0)?;
            let (len_in, lines, fingerprint) = if extent.is_verbatim() {
                let bytes = &self.buf[start..self.done];
                let whole = memrchr(b'\n', bytes).map_or(&[][..], |last| &bytes[..=last]);
                let lines = memchr_iter(b'\n', whole).count() as u64;
                (whole.len() as u64, lines, FingerprintWindow::new(0).slide(whole))
            } else {
                let mut out = 0;
                let whole = records.by_ref().take(extent.records).take_while(|record| {
                    out += u64::from(record.len_out);
                    out <= done as u64
                });
                let (len_in, lines) =
                    whole.fold((0, 0), |(len_in, lines), record| (len_in + u64::from(record.len_in), lines + 1));
                (len_in, lines, Fingerprint::default())
            };
            Some(Written {
                extent,
                len_in,
                lines,
                end: Position { fingerprint, ..Position::at(extent.start + len_in) },
            })
        })
    }

    /// Returns the extents with all their bytes, written or not, and the lengths of their records where these are known.
    pub(crate) fn whole_parts(&self) -> impl Iterator<Item = (&Extent, &[u8], &[RecordLen])> {
        let (mut end, mut records) = (0, 0);
        self.extents.iter().map(move |extent| {
            let (start, first) = (end, records);
            end += extent.len_out as usize;
            records += extent.records;
            (extent, &self.buf[start..end], &self.records[first..records])
        })
    }

    /// Returns true if there is nothing in the batch to be recorded, neither lines nor bytes that were left out.
    pub(crate) fn is_blank(&self) -> bool {
        self.extents.is_empty()
    }

    /// Makes room for `len` bytes, whatever the capacity.
    pub(crate) fn reserve(&mut self, len: usize) {
        if self.spare().len() < len {
            self.buf.resize(self.filled + len, 0);
        }
    }

    /// Empties the batch and gives it this capacity. Returns whether it had grown.
    pub(crate) fn clear(&mut self, capacity: usize) -> Grown {
        (self.filled, self.done) = (0, 0);
        self.extents.clear();
        self.records.clear();
        self.pending = 0;
        if self.buf.len() != capacity {
            self.buf = vec![0; capacity];
        }
        let grown = std::mem::take(&mut self.growth.this);
        if grown == Grown::Yes {
            self.growth.has_one.store(false, Ordering::Relaxed);
        }
        grown
    }
}

/// A part of an extent that is in the output.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Written<'a> {
    pub(crate) extent: &'a Extent,
    /// The number of bytes of the input, and of lines.
    pub(crate) len_in: u64,
    pub(crate) lines: u64,
    /// Where the part ends in the input.
    pub(crate) end: Position,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::batch::position::LineState;

    #[test]
    fn parts_and_lines_are_those_that_are_still_to_be_written() {
        let mut batch = Batch::with_capacity(100);
        let source = |name: &str| Source::new(1, Path::new(name).into());
        for (name, text) in [("a", "1\n22\n"), ("b", "333\n")] {
            batch.set_source(&source(name), None, 0);
            assert!(batch.push(0, text.len() as u64, text.as_bytes()));
        }
        let want: [&[(&str, &[u8])]; 10] = [
            &[("a", b"1"), ("a", b"22"), ("b", b"333")],
            &[("a", b""), ("a", b"22"), ("b", b"333")],
            &[("a", b"22"), ("b", b"333")],
            &[("a", b"2"), ("b", b"333")],
            &[("a", b""), ("b", b"333")],
            &[("b", b"333")],
            &[("b", b"33")],
            &[("b", b"3")],
            &[("b", b"")],
            &[],
        ];
        for (done, want) in want.into_iter().enumerate() {
            let lines: Vec<_> = batch.lines().map(|(extent, line)| (extent.source.path(), line)).collect();
            let want: Vec<_> = want.iter().map(|(name, line)| (Path::new(name), *line)).collect();
            assert_eq!(lines, want, "{done} bytes are written");
            let parts: Vec<_> = batch.parts().flat_map(|(_, bytes)| bytes.to_vec()).collect();
            assert_eq!(parts, batch.bytes());
            let whole: Vec<_> = batch.whole_parts().map(|(_, bytes, _)| bytes).collect();
            assert_eq!(whole, [b"1\n22\n", &b"333\n"[..]]);
            batch.advance(1);
        }
    }

    #[test]
    fn what_was_left_out_moves_the_position_on() {
        let (mut batch, source) = (Batch::with_capacity(100), Source::new(1, Path::new("a").into()));
        let position = |offset, sum| Position {
            offset,
            fingerprint: Fingerprint::from_parts(2, sum).unwrap(),
            line: LineState::default(),
        };
        batch.set_source(&source, None, 0);
        batch.reach(0, position(10, 1));
        assert!(batch.is_empty() && !batch.is_blank());
        assert!(batch.push(10, 2, b"1\n") && batch.push(12, 2, b"2\n"));
        batch.reach(10, position(14, 2));
        batch.reach(14, position(14, 2));
        batch.reach(14, position(20, 3));
        batch.reach(20, position(30, 4));
        let extents = |batch: &Batch| -> Vec<_> {
            batch.written().map(|w| (w.extent.start, w.len_in, w.lines, w.end.offset)).collect()
        };
        assert_eq!(extents(&batch), [(0, 10, 0, 10)], "what comes before the first bytes");
        batch.advance(3);
        assert_eq!(extents(&batch), [(0, 10, 0, 10), (10, 2, 1, 12)], "the lines that are whole");
        batch.advance(1);
        assert_eq!(extents(&batch), [(0, 10, 0, 10), (10, 4, 2, 14), (14, 16, 0, 30)]);
        let sums: Vec<_> = batch.extents().iter().map(|extent| extent.end.fingerprint.sum()).collect();
        assert_eq!(sums, [1, 2, 4]);
    }

    #[test]
    fn of_rendered_lines_those_are_known_that_are_written() {
        let (mut batch, source) = (Batch::with_capacity(100), Source::new(1, Path::new("a").into()));
        batch.set_source(&source, None, 0);
        for (start, lines) in [(0, "a: 1\na: 22\n"), (5, "a: 333\n")] {
            for line in lines.split_inclusive('\n') {
                batch.add_record(line.len() as u64 - 3, line.len());
            }
            let len_in = lines.len() as u64 - 3 * lines.matches('\n').count() as u64;
            assert!(batch.push(start, len_in, lines.as_bytes()));
        }
        assert_eq!(batch.extents().len(), 1, "they follow upon each other");
        let lengths: Vec<_> = batch.whole_parts().flat_map(|(_, _, records)| records).collect();
        assert_eq!(lengths.iter().map(|len| (len.len_in, len.len_out)).collect::<Vec<_>>(), [(2, 5), (3, 6), (4, 7)]);
        let want = [(4, 0, 0), (5, 2, 1), (10, 2, 1), (11, 5, 2), (17, 5, 2), (18, 9, 3)];
        for (done, len_in, lines) in want {
            batch.advance(done - batch.done);
            let written: Vec<_> = batch.written().map(|w| (w.len_in, w.lines, w.end.offset)).collect();
            assert_eq!(written, [(len_in, lines, len_in)], "{done} bytes are written");
        }
        assert_eq!(batch.clear(100), Grown::No);
        assert_eq!(batch.written().count(), 0);
    }

    /// The panic comes from the commit, not from the writer.
    #[test]
    #[should_panic(expected = "an input ends before 2^64 bytes")]
    fn what_ends_beyond_all_offsets_is_refused() {
        let mut batch = Batch::with_capacity(2);
        batch.spare().copy_from_slice(b"x\n");
        batch.commit(u64::MAX - 1, 2);
    }
}
