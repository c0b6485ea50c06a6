//! The host's lines as they are in the output: rendered, and those over the line limit cut as a file's are.

use memchr::memrchr;

use crate::batch::{Batch, Extent};
use crate::line::{LineLimit, LongLines};
use crate::report::{Event, GapReason, Ledger};

/// Whether a line in the batch is over the limit.
pub(super) fn is_needed(batch: &Batch, limit: LineLimit) -> bool {
    let mut rest = batch.bytes();
    // What is left cannot be over the limit when it is no longer than that.
    while rest.len() > limit.max + 1 {
        match memrchr(b'\n', &rest[..=limit.max]) {
            Some(at) => rest = &rest[at + 1..],
            None => return true,
        }
    }
    false
}

/// Renders all lines of a batch into another one, which grows as need be.
pub(super) fn render(from: &Batch, into: &mut Batch, limit: LineLimit, ledger: &Ledger) {
    let mut bytes = from.bytes();
    for extent in from.extents() {
        let (lines, rest) = bytes.split_at(extent.len_out as usize);
        bytes = rest;
        into.set_source(&extent.source, extent.generation);
        let mut rendering = Rendering { extent, limit, ledger, into, rendered: Vec::new(), from: 0, at: 0 };
        lines.split_inclusive(|&byte| byte == b'\n').for_each(|line| rendering.line(&line[..line.len() - 1]));
        rendering.deliver(lines.len());
    }
}

/// Rendering one extent.
struct Rendering<'a> {
    extent: &'a Extent,
    limit: LineLimit,
    ledger: &'a Ledger,
    into: &'a mut Batch,
    /// Lines from `from` on, which are not in the batch yet.
    rendered: Vec<u8>,
    from: usize,
    at: usize,
}

impl Rendering<'_> {
    fn line(&mut self, content: &[u8]) {
        let renderer = self.extent.source.renderer();
        let (max, end) = (self.limit.max, self.at + content.len());
        if content.len() <= max {
            renderer.push(content, &mut self.rendered);
            self.at = end + 1;
            return;
        }
        self.tell();
        match self.limit.policy {
            LongLines::Split => content.chunks(max).for_each(|piece| renderer.push(piece, &mut self.rendered)),
            LongLines::Truncate => {
                renderer.push(&content[..max], &mut self.rendered);
                self.leave_out(self.at + max, end, end + 1);
            }
            LongLines::Skip => self.leave_out(self.at, end + 1, end + 1),
        }
        self.at = end + 1;
    }

    fn tell(&self) {
        let Extent { source, .. } = self.extent;
        if self.ledger.long_line(source) {
            let (offset, _) = self.range(self.at, self.at);
            let (limit, policy) = (self.limit.max, self.limit.policy);
            self.ledger.tell(&Event::LongLine { input: source.path(), offset, limit, policy });
        }
    }

    /// Counts these bytes as a gap, and goes on at `next`.
    fn leave_out(&mut self, start: usize, end: usize, next: usize) {
        let (from, to) = self.range(start, end);
        if self.is_verbatim() {
            self.deliver(start);
            self.from = next;
        }
        self.ledger.gap(self.extent.source.path(), from, to, GapReason::LineLimit);
    }

    /// Puts what is rendered into the batch, made from the bytes up to `end`.
    fn deliver(&mut self, end: usize) {
        let (start, end) = self.range(self.from, end);
        self.into.reserve(self.rendered.len());
        self.into.push(start, end - start, &self.rendered);
        self.rendered.clear();
    }

    /// Where in the input these bytes of the extent came from: anywhere in it, if it was changed on its way.
    fn range(&self, start: usize, end: usize) -> (u64, u64) {
        let Extent { start: from, len_in, .. } = *self.extent;
        if self.is_verbatim() { (from + start as u64, from + end as u64) } else { (from, from + len_in) }
    }

    fn is_verbatim(&self) -> bool {
        self.extent.len_in == self.extent.len_out
    }
}
