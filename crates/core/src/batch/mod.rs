//! A batch: whole lines on their way from the inputs to the output, and where they came from.
//!
//! A fixed number of batches circulates between readers and writer. A reader reads straight into a
//! batch's spare room and then commits what it holds of whole lines as an [`Extent`]; nothing else
//! keeps positions.

pub(crate) mod pool;
pub(crate) mod queue;

use std::ffi::OsStr;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};

use memchr::{memchr_iter, memrchr};

use crate::record::format::Renderer;

/// One input of a merge, as its batches name it: a path, a tailer of the host's, or a line sender.
#[derive(Debug)]
pub struct Source {
    name: Arc<Path>,
    renderer: Renderer,
    pub(crate) written: Written,
    /// True once [`Event::LongLine`](crate::Event::LongLine) was emitted for it.
    pub(crate) long_line_told: AtomicBool,
    /// The number of possible losses of this input.
    pub(crate) possible_losses: AtomicU64,
}

/// The part of a source that is in the output.
#[derive(Debug, Default)]
pub(crate) struct Written {
    /// The number of bytes taken from the input.
    pub(crate) bytes: AtomicU64,
    /// The number of lines of output.
    pub(crate) lines: AtomicU64,
    /// The generation of the newest file of which an extent was written: see [`Extent::generation`].
    generation: AtomicU32,
    /// The offset in that file where the extent ended.
    pub(crate) offset: AtomicU64,
}

impl Source {
    pub(crate) fn new(name: Arc<Path>, renderer: Renderer) -> Arc<Self> {
        let (long_line_told, possible_losses) = (AtomicBool::new(false), AtomicU64::new(0));
        Arc::new(Self { name, renderer, written: Written::default(), long_line_told, possible_losses })
    }

    /// Returns the path, or the name that the host gave.
    pub fn name(&self) -> &OsStr {
        self.name.as_os_str()
    }

    /// The name as a path.
    pub fn path(&self) -> &Path {
        &self.name
    }

    pub(crate) fn renderer(&self) -> &Renderer {
        &self.renderer
    }
}

/// A run of whole lines of one source within a batch.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Extent {
    /// The input.
    pub source: Arc<Source>,
    /// The number of the file of that name: 0 for the first, one more after each rotation or truncation.
    pub generation: u32,
    /// The offset of the first byte in the input.
    pub start: u64,
    /// The number of bytes taken from the input.
    pub len_in: u64,
    /// The number of bytes in the batch. It differs from `len_in` where a label, JSON or a newline was added.
    pub len_out: u64,
    /// The number of lines.
    pub lines: u64,
}

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
    /// The source of the next commit.
    source: Arc<Source>,
    generation: u32,
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
            source: Source::new(Path::new("").into(), Renderer::default()),
            generation: 0,
        }
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
            (end > self.done).then(|| (extent, &self.buf[start.max(self.done)..end]))
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
        let (source, generation) = (self.source.clone(), self.generation);
        self.note(Extent { source, generation, start, len_in, len_out: len as u64, lines });
    }

    /// Sets the source of the next commits.
    pub(crate) fn set_source(&mut self, source: &Arc<Source>, generation: u32) {
        if !Arc::ptr_eq(&self.source, source) {
            self.source = source.clone();
        }
        self.generation = generation;
    }

    /// Appends rendered lines, if any; grows when they need more than the room of an empty batch.
    ///
    /// Returns false, and takes nothing, if there is no room and the batch has lines already.
    pub(crate) fn push(&mut self, start: u64, len_in: u64, lines: &[u8]) -> bool {
        if lines.is_empty() {
            return true;
        }
        if lines.len() > self.spare().len() {
            if self.filled > 0 {
                return false;
            }
            self.buf.resize(lines.len(), 0);
        }
        self.spare()[..lines.len()].copy_from_slice(lines);
        self.commit_changed(start, len_in, lines.len());
        true
    }

    /// Adds an extent, to the last one where it goes on from there.
    fn note(&mut self, extent: Extent) {
        if let Some(last) = self.extents.last_mut() {
            let verbatim = last.len_in == last.len_out && extent.len_in == extent.len_out;
            if Arc::ptr_eq(&last.source, &extent.source)
                && last.generation == extent.generation
                && last.start + last.len_in == extent.start
                && (verbatim || last.len_in != last.len_out)
            {
                last.len_in += extent.len_in;
                last.len_out += extent.len_out;
                last.lines += extent.lines;
                return;
            }
        }
        self.extents.push(extent);
    }

    /// Notes that the first `bytes` of those still to be written are written.
    pub(crate) fn advance(&mut self, bytes: usize) {
        self.done = (self.done + bytes).min(self.filled);
    }

    /// Records in each source what is in the output now: all its extents, or those that [`Batch::advance`] covers.
    /// Returns the number of lines.
    pub(crate) fn acknowledge(&self) -> u64 {
        let (mut from, mut all_lines) = (0, 0);
        for extent in &self.extents {
            let end = from + extent.len_out as usize;
            let (len_in, lines) = if end <= self.done {
                (extent.len_in, extent.lines)
            } else if extent.len_in == extent.len_out && from < self.done {
                let written = &self.buf[from..self.done];
                let whole = memrchr(b'\n', written).map_or(0, |last| last + 1);
                (whole as u64, memchr_iter(b'\n', &written[..whole]).count() as u64)
            } else {
                break;
            };
            let written = &extent.source.written;
            written.bytes.fetch_add(len_in, Ordering::Relaxed);
            written.lines.fetch_add(lines, Ordering::Relaxed);
            all_lines += lines;
            // An older file, which is written to late, says nothing of where the newest one is read.
            if extent.generation >= written.generation.load(Ordering::Relaxed) {
                written.generation.store(extent.generation, Ordering::Relaxed);
                written.offset.store(extent.start + len_in, Ordering::Relaxed);
            }
            from = end;
        }
        all_lines
    }

    /// Makes room for `len` bytes, whatever the capacity.
    pub(crate) fn reserve(&mut self, len: usize) {
        if self.spare().len() < len {
            self.buf.resize(self.filled + len, 0);
        }
    }

    /// Empties the batch and gives it this capacity.
    pub(crate) fn clear(&mut self, capacity: usize) {
        self.filled = 0;
        self.done = 0;
        self.extents.clear();
        if self.buf.len() != capacity {
            self.buf = vec![0; capacity];
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_and_lines_are_those_that_are_still_to_be_written() {
        let mut batch = Batch::with_capacity(100);
        let source = |name: &str| Source::new(Path::new(name).into(), Renderer::default());
        for (name, text) in [("a", "1\n22\n"), ("b", "333\n")] {
            batch.set_source(&source(name), 0);
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
            batch.advance(1);
        }
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
