//! Reading one file from where it was left to its end, in whole lines.
//!
//! The rule that matters: `offset` only ever moves past bytes that are committed to a batch or accounted
//! for as a gap. A fragment stays in the file until its newline is there.

use std::io;
use std::path::Path;
use std::sync::Arc;
use std::time::Instant;

use memchr::{memchr, memrchr};

use super::claims::Slot;
use super::{StartAt, TailContext};
use crate::batch::{Batch, Source};
use crate::fs::{FileId, ReadFile};
use crate::line::Piece;
use crate::report::{Event, GapReason};

/// A fragment longer than this, in bytes, is not read again to see whether its newline has come: only
/// what is new is searched.
const FRAGMENT_REREAD_MAX: u64 = 16 * 1024;

/// What one visit came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Visit {
    /// There is probably more.
    More,
    /// All whole lines that are there have been taken.
    End,
    /// The batch has no room for the next line.
    Full,
}

/// Buffers of a shard, for what cannot be read straight into a batch.
#[derive(Debug, Default)]
pub(super) struct Scratch {
    bytes: Vec<u8>,
    line: Vec<u8>,
}

impl Scratch {
    fn bytes(&mut self, len: usize) -> &mut [u8] {
        if self.bytes.len() < len {
            self.bytes.resize(len, 0);
        }
        &mut self.bytes[..len]
    }

    /// The buffer by value, for use beside the other one; it is given back afterwards.
    fn take(&mut self, len: usize) -> Vec<u8> {
        self.bytes(len);
        std::mem::take(&mut self.bytes)
    }

    fn give_back(&mut self, bytes: Vec<u8>) {
        self.bytes = bytes;
    }
}

/// Where in a line the offset stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Within {
    /// At its start.
    Start,
    /// In a line over the limit, of which pieces are out already.
    Long,
    /// In a line over the limit that is dropped from `from` on; with its newline, if `whole`.
    Dropped { from: u64, whole: bool },
}

/// One file that is, or was, under an input's name.
#[derive(Debug)]
pub(super) struct Generation {
    /// Counts up with each file, or truncation, of an input.
    pub(super) number: u32,
    pub(super) id: FileId,
    file: Option<(Box<dyn ReadFile>, Slot)>,
    /// Everything before is delivered.
    offset: u64,
    /// No newline between `offset` and here.
    searched: u64,
    /// Length when last seen.
    size: u64,
    /// When the length was last seen to move.
    moved: Instant,
    within: Within,
}

impl Generation {
    pub(super) fn new(number: u32, id: FileId, size: u64, offset: u64) -> Self {
        Self { number, id, file: None, offset, searched: offset, size, moved: Instant::now(), within: Within::Start }
    }

    pub(super) fn offset(&self) -> u64 {
        self.offset
    }

    pub(super) fn size(&self) -> u64 {
        self.size
    }

    /// Whether a file that lost its name has been quiet for long enough to be let go.
    pub(super) fn is_quiet(&self, cx: &TailContext) -> bool {
        self.moved.elapsed() >= cx.grace
    }

    pub(super) fn is_open(&self) -> bool {
        self.file.is_some()
    }

    /// Whether there are bytes that were never looked at.
    pub(super) fn has_news(&self) -> bool {
        self.size > self.searched
    }

    /// Opens the file under `path`; false if that is another one by now.
    pub(super) fn open(&mut self, path: &Path, cx: &TailContext) -> io::Result<bool> {
        let slot = cx.claims.slot();
        let file = cx.fs.open(path)?;
        if file.stat()?.id != self.id {
            return Ok(false);
        }
        self.file = Some((file, slot));
        Ok(true)
    }

    pub(super) fn close(&mut self) {
        self.file = None;
    }

    /// Moves to the end, or to the start of the last line if that has no newline yet.
    pub(super) fn skip_to_end(&mut self, start: StartAt, scratch: &mut Scratch) -> io::Result<()> {
        let Some((file, _)) = self.file.as_ref().filter(|_| start == StartAt::End) else { return Ok(()) };
        let mut end = self.size;
        while end > 0 {
            let bytes = scratch.bytes(usize::try_from(end).unwrap_or(usize::MAX).min(64 * 1024));
            let from = end - bytes.len() as u64;
            let got = read_at(&**file, bytes, from)?;
            if let Some(at) = memrchr(b'\n', &bytes[..got]) {
                end = from + at as u64 + 1;
                break;
            }
            end = from;
        }
        (self.offset, self.searched) = (end, end);
        Ok(())
    }

    /// Asks the open file for its length, and for its number of names.
    pub(super) fn look(&mut self) -> io::Result<u64> {
        let Some((file, _)) = &self.file else { return Ok(0) };
        let stat = file.stat()?;
        self.saw(stat.size);
        Ok(stat.links)
    }

    /// Takes note of the file's length. True if it was cut below what has been read: that part is over.
    pub(super) fn saw(&mut self, size: u64) -> bool {
        if size != self.size {
            self.moved = Instant::now();
        }
        if size < self.searched {
            self.searched = self.offset.min(size);
        }
        if size < self.offset {
            return true;
        }
        self.size = size;
        false
    }

    /// Starts again at the file's first byte; what was not read of the old content is a gap.
    pub(super) fn restart(&mut self, number: u32, size: u64, source: &Source, cx: &TailContext) {
        self.finish_drop(false, source, cx);
        cx.ledger.gap(source.path(), self.offset, self.size.max(self.offset), GapReason::Truncated);
        *self = Self { file: self.file.take(), ..Self::new(number, self.id, size, 0) };
    }

    /// Gives up on what was not read.
    pub(super) fn abandon(&mut self, source: &Source, cx: &TailContext) {
        self.finish_drop(false, source, cx);
        cx.ledger.gap(source.path(), self.offset, self.size.max(self.offset), GapReason::Gone);
        self.offset = self.size.max(self.offset);
    }

    /// Reads once, at most `cx.chunk` bytes and not beyond `end`, and commits the whole lines.
    pub(super) fn read(
        &mut self,
        source: &Arc<Source>,
        end: u64,
        batch: &mut Batch,
        scratch: &mut Scratch,
        cx: &TailContext,
    ) -> io::Result<Visit> {
        if let Within::Dropped { .. } = self.within {
            return self.drop_rest(source, scratch, cx);
        }
        let mut want = cx.chunk;
        if self.searched - self.offset > FRAGMENT_REREAD_MAX {
            let bytes = scratch.bytes(cx.chunk);
            let got = self.read_file(bytes, self.searched)?;
            let newline = memchr(b'\n', &bytes[..got]);
            self.searched += newline.unwrap_or(got) as u64;
            let content = self.searched - self.offset;
            if content > cx.limit.max as u64 {
                return self.cut(source, batch, scratch, cx);
            }
            match newline {
                Some(_) => want = content as usize + 1,
                None => return Ok(if got == cx.chunk { Visit::More } else { Visit::End }),
            }
        }
        let bound = usize::try_from(end.saturating_sub(self.offset)).unwrap_or(usize::MAX);
        batch.set_source(source, self.number);
        let visit = if source.renderer().is_verbatim() && cx.limit.max >= cx.chunk {
            self.read_verbatim(source, want.min(bound), batch, scratch, cx)
        } else {
            self.read_rendered(source, want.min(bound), batch, scratch, cx)
        }?;
        Ok(if visit == Visit::More && bound <= want { Visit::End } else { visit })
    }

    /// Straight into the batch. No line of a chunk can be over the limit, unless the chunk has no newline.
    fn read_verbatim(
        &mut self,
        source: &Arc<Source>,
        want: usize,
        batch: &mut Batch,
        scratch: &mut Scratch,
        cx: &TailContext,
    ) -> io::Result<Visit> {
        let room = batch.spare().len();
        let spare = &mut batch.spare()[..want.min(room)];
        let got = self.read_file(spare, self.offset)?;
        let full = got == spare.len();
        if let Some(last) = memrchr(b'\n', &spare[..got]) {
            batch.commit(self.offset, last + 1);
            self.searched = self.offset + got as u64;
            self.past(last + 1);
            return Ok(if full { Visit::More } else { Visit::End });
        }
        self.searched = self.searched.max(self.offset + got as u64);
        if self.searched - self.offset > cx.limit.max as u64 {
            return self.cut(source, batch, scratch, cx);
        }
        Ok(match full {
            false => Visit::End,
            true if want > room => Visit::Full,
            true => Visit::More,
        })
    }

    /// By way of the scratch buffer, line by line: for labels, JSON, and limits below the chunk's size.
    fn read_rendered(
        &mut self,
        source: &Arc<Source>,
        want: usize,
        batch: &mut Batch,
        scratch: &mut Scratch,
        cx: &TailContext,
    ) -> io::Result<Visit> {
        let mut bytes = scratch.take(want);
        let visit = self.read_file(&mut bytes[..want], self.offset).map(|got| {
            let visit = self.render(source, &bytes[..got], batch, &mut scratch.line, cx);
            if visit == Visit::More && got < want { Visit::End } else { visit }
        });
        scratch.give_back(bytes);
        visit
    }

    /// Takes the lines of `bytes`, which stand at the offset, and notes how far they were searched.
    fn render(
        &mut self,
        source: &Arc<Source>,
        bytes: &[u8],
        batch: &mut Batch,
        line: &mut Vec<u8>,
        cx: &TailContext,
    ) -> Visit {
        let max = cx.limit.max;
        let start = self.offset;
        loop {
            let rest = &bytes[(self.offset - start) as usize..];
            let newline = memchr(b'\n', rest);
            let len = newline.unwrap_or(rest.len());
            self.searched = self.offset + len as u64;
            if len > max {
                if !self.cut_head(&rest[..max], source, batch, line, cx) {
                    return Visit::Full;
                }
                if let Within::Dropped { .. } = self.within {
                    self.offset = self.searched;
                    if newline.is_none() {
                        return Visit::More;
                    }
                    self.finish_drop(true, source, cx);
                    self.past(1);
                }
                continue;
            }
            if newline.is_none() {
                return Visit::More;
            }
            line.clear();
            source.renderer().push(&rest[..len], line);
            if !batch.push(self.offset, len as u64 + 1, line) {
                return Visit::Full;
            }
            self.past(len + 1);
        }
    }

    /// Deals with the head of a line that is over the limit, of which nothing is in memory.
    fn cut(
        &mut self,
        source: &Arc<Source>,
        batch: &mut Batch,
        scratch: &mut Scratch,
        cx: &TailContext,
    ) -> io::Result<Visit> {
        let mut bytes = scratch.take(cx.limit.max);
        batch.set_source(source, self.number);
        let visit = self.read_full(&mut bytes[..cx.limit.max], self.offset).map(|got| {
            if got < cx.limit.max {
                // Truncated meanwhile.
                return Visit::End;
            }
            let head = &bytes[..got];
            if self.cut_head(head, source, batch, &mut scratch.line, cx) { Visit::More } else { Visit::Full }
        });
        scratch.give_back(bytes);
        visit
    }

    /// Deals with the first `max` bytes of a line that is over the limit. False if the batch has no room.
    fn cut_head(
        &mut self,
        head: &[u8],
        source: &Arc<Source>,
        batch: &mut Batch,
        line: &mut Vec<u8>,
        cx: &TailContext,
    ) -> bool {
        let piece = cx.limit.over();
        if piece != Piece::Nothing {
            line.clear();
            source.renderer().push(head, line);
            if !batch.push(self.offset, head.len() as u64, line) {
                return false;
            }
        }
        if self.within == Within::Start && cx.ledger.long_line(source) {
            cx.ledger.tell(&Event::LongLine { input: source.path(), offset: self.offset, limit: head.len() });
        }
        self.within = match piece {
            Piece::Line => Within::Long,
            Piece::LastLine => Within::Dropped { from: self.offset + head.len() as u64, whole: false },
            Piece::Nothing => Within::Dropped { from: self.offset, whole: true },
        };
        if piece != Piece::Nothing {
            self.offset += head.len() as u64;
        }
        true
    }

    /// Searches for the newline that ends a line which is being dropped.
    fn drop_rest(&mut self, source: &Source, scratch: &mut Scratch, cx: &TailContext) -> io::Result<Visit> {
        let bytes = scratch.bytes(cx.chunk);
        let got = self.read_file(bytes, self.searched)?;
        let newline = memchr(b'\n', &bytes[..got]);
        self.searched += newline.unwrap_or(got) as u64;
        self.offset = self.searched;
        if newline.is_some() {
            self.finish_drop(true, source, cx);
            self.past(1);
        }
        Ok(if newline.is_some() || got == cx.chunk { Visit::More } else { Visit::End })
    }

    /// Accounts for a dropped line that ends at the offset, where a newline may follow.
    fn finish_drop(&mut self, newline: bool, source: &Source, cx: &TailContext) {
        if let Within::Dropped { from, whole } = self.within {
            cx.ledger.gap(source.path(), from, self.offset + u64::from(whole && newline), GapReason::LineLimit);
            self.within = Within::Start;
        }
    }

    /// Delivers what is left after the last newline, now that the input is over. False if the batch has no room.
    pub(super) fn finish(
        &mut self,
        source: &Arc<Source>,
        batch: &mut Batch,
        scratch: &mut Scratch,
        cx: &TailContext,
    ) -> io::Result<bool> {
        self.finish_drop(false, source, cx);
        let len = (self.searched - self.offset) as usize;
        if len == 0 {
            return Ok(true);
        }
        batch.set_source(source, self.number);
        let mut bytes = scratch.take(len);
        let finished = self.read_full(&mut bytes[..len], self.offset).map(|got| {
            scratch.line.clear();
            source.renderer().push(&bytes[..got], &mut scratch.line);
            if got > 0 && !batch.push(self.offset, got as u64, &scratch.line) {
                return false;
            }
            cx.ledger.unterminated_line();
            self.past(len);
            true
        });
        scratch.give_back(bytes);
        finished
    }

    /// Stops reading where the offset stands; a line that was being dropped is accounted for.
    pub(super) fn leave(&mut self, source: &Source, cx: &TailContext) {
        self.finish_drop(false, source, cx);
    }

    /// Moves on past whole lines.
    fn past(&mut self, len: usize) {
        self.offset += len as u64;
        self.searched = self.searched.max(self.offset);
        self.within = Within::Start;
    }

    /// One read, which ends early only at the end of the file.
    fn read_file(&self, bytes: &mut [u8], offset: u64) -> io::Result<usize> {
        match &self.file {
            Some((file, _)) => read_at(&**file, bytes, offset),
            None => Ok(0),
        }
    }

    /// Reads until the buffer is full or the file ends.
    fn read_full(&self, bytes: &mut [u8], offset: u64) -> io::Result<usize> {
        let mut got = 0;
        while got < bytes.len() {
            match self.read_file(&mut bytes[got..], offset + got as u64)? {
                0 => break,
                more => got += more,
            }
        }
        Ok(got)
    }
}

fn read_at(file: &dyn ReadFile, bytes: &mut [u8], offset: u64) -> io::Result<usize> {
    loop {
        match file.read_at(bytes, offset) {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            read => return read,
        }
    }
}
