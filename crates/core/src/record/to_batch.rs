//! Puts records into a batch, rendered.

use std::ops::Range;
use std::sync::Arc;

use crate::batch::Batch;
use crate::batch::source::Source;
use crate::record::format::Renderer;
use crate::record::framer::RecordSink;
use crate::record::limit::LineLimit;
use crate::report::event::Event;
use crate::report::gap::GapReason;
use crate::report::ledger::Ledger;

/// Rendered records go to the batch together, but at the latest once they have so many bytes: their buffer is beyond
/// the limit for memory.
const RENDER_STEP: usize = 64 * 1024;

/// A [`RecordSink`] that renders records into a batch, whose source is set already.
///
/// [`flush`](Self::flush) moves the last ones there.
#[derive(Debug)]
pub(crate) struct ToBatch<'a> {
    source: &'a Arc<Source>,
    renderer: &'a Renderer,
    limit: LineLimit,
    ledger: &'a Ledger,
    batch: &'a mut Batch,
    /// Rendered records that are not in the batch yet.
    rendered: &'a mut Vec<u8>,
    /// They may have so many bytes before they go to the batch.
    step: usize,
    /// The bytes of the input that they were made from.
    range: Range<u64>,
    /// True if the batch grows as need be.
    grows: bool,
    /// True if it is known only of all records together which bytes they were made from.
    is_merged: bool,
}

impl<'a> ToBatch<'a> {
    pub(crate) fn new(
        source: &'a Arc<Source>,
        renderer: &'a Renderer,
        limit: LineLimit,
        ledger: &'a Ledger,
        batch: &'a mut Batch,
        rendered: &'a mut Vec<u8>,
    ) -> Self {
        rendered.clear();
        let step = RENDER_STEP.min(batch.spare().len());
        Self { source, renderer, limit, ledger, batch, rendered, step, range: 0..0, grows: false, is_merged: false }
    }

    /// Has the batch grow as need be, so that there always is room.
    pub(crate) fn growing(self) -> Self {
        Self { grows: true, step: RENDER_STEP, ..self }
    }

    /// Takes records that were made from these bytes, all together.
    pub(crate) fn made_from(self, range: Range<u64>) -> Self {
        Self { range, is_merged: true, step: usize::MAX, ..self }
    }

    /// Moves the records that are left into the batch.
    pub(crate) fn flush(&mut self) {
        self.flush_first(self.rendered.len());
    }

    /// Moves the first `len` bytes of rendered records into the batch. They are whole records, and those of the range.
    fn flush_first(&mut self, len: usize) {
        if self.grows {
            self.batch.reserve(len);
        }
        let taken = self.batch.push(self.range.start, self.range.end - self.range.start, &self.rendered[..len]);
        debug_assert!(taken, "there is room for them, or the batch is empty and grows");
        self.rendered.drain(..len);
        if self.rendered.is_empty() {
            self.rendered.shrink_to(self.limit.max + RENDER_STEP);
        }
        self.range.start = self.range.end;
        if !self.grows {
            self.step = RENDER_STEP.min(self.batch.spare().len());
        }
    }

    /// Takes a record that does not continue the last one byte for byte.
    #[cold]
    fn record_apart(&mut self, content: &[u8], start: u64, end: u64) -> bool {
        if self.is_merged {
            self.renderer.push(content, self.rendered);
            return true;
        }
        self.flush();
        self.range = start..start;
        let room = self.append(content, end);
        if self.is_changed(content, start, end) {
            self.flush();
        }
        room
    }

    /// Returns true for a record that gets a newline, which the input does not have, and is otherwise unchanged. It is
    /// an extent of its own: all of an extent is in the batch byte for byte, or none.
    fn is_changed(&self, content: &[u8], start: u64, end: u64) -> bool {
        end - start == content.len() as u64 && self.renderer.is_verbatim()
    }

    #[inline]
    fn append(&mut self, content: &[u8], end: u64) -> bool {
        let before = self.rendered.len();
        self.renderer.push(content, self.rendered);
        let len_out = self.rendered.len() - before;
        if self.rendered.len() > self.step && !self.step_is_over(before) {
            return false;
        }
        if !self.renderer.is_verbatim() {
            self.batch.add_record(end - self.range.end, len_out);
        }
        self.range.end = end;
        true
    }

    /// Makes room in the buffer, after the record that begins at `before`. Returns false if that one has no room in the
    /// batch.
    #[cold]
    fn step_is_over(&mut self, before: usize) -> bool {
        self.flush_first(before);
        // A record that no batch has room for makes an empty one grow.
        let room = self.grows || self.rendered.len() <= self.batch.spare().len() || self.batch.may_grow();
        if !room {
            self.rendered.clear();
        }
        room
    }
}

impl RecordSink for ToBatch<'_> {
    #[inline]
    fn record(&mut self, content: &[u8], start: u64, end: u64) -> bool {
        if self.is_merged || start != self.range.end || self.is_changed(content, start, end) {
            return self.record_apart(content, start, end);
        }
        self.append(content, end)
    }

    fn long_line(&mut self, start: u64) {
        if self.ledger.long_line(self.source) {
            let offset = if self.is_merged { self.range.start } else { start };
            let LineLimit { max: limit, policy } = self.limit;
            self.ledger.emit(&Event::LongLine { input: self.source.path().to_owned(), offset, limit, policy });
        }
    }

    fn dropped(&mut self, start: u64, end: u64) {
        let Range { start, end } = if self.is_merged { self.range.clone() } else { start..end };
        self.ledger.gap(self.source.path(), start, end, GapReason::LineLimit);
    }
}
