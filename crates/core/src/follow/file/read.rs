//! One visit of a file: reads a chunk, commits its whole lines, and handles lines that are too long.

use std::io::{self, IoSliceMut};

use memchr::{memchr, memrchr};

use crate::batch::fingerprint::{Fingerprint, FingerprintWindow};
use crate::batch::position::LineState;
use crate::batch::source::Source;
use crate::clock;
use crate::follow::context::ReadContext;
use crate::follow::file::bytes::{read_all, read_at};
use crate::follow::file::nuls::PIECE;
use crate::follow::file::turn::Turn;
use crate::follow::file::{Generation, PSEUDO_MAX, ReadOutcome};
use crate::fs::Storage;
use crate::record::framer::{Framer, RecordSink};
use crate::report::gap::GapReason;

/// A fragment longer than this, in bytes, is not read again to search its newline: only new bytes are searched.
const FRAGMENT_REREAD_MAX: u64 = 16 * 1024;

impl Generation {
    /// Reads once, at most `cx.settings.chunk` bytes and not beyond `end`, and commits the whole lines.
    pub(crate) fn read(&mut self, end: u64, turn: &mut Turn<'_>) -> io::Result<ReadOutcome> {
        let end = if self.is_pseudo() { PSEUDO_MAX } else { end };
        let (offset, content, looked) = (self.at.offset, self.searched.to, self.looked_to());
        let visit = match self.read_once(end, turn) {
            Ok(ReadOutcome::More) if self.at.offset <= offset && self.looked_to() <= looked => Ok(ReadOutcome::Again),
            // It has nothing to give just now, and may have no end.
            Err(error) if error.kind() == io::ErrorKind::WouldBlock && self.is_pseudo() => Ok(ReadOutcome::End),
            visit => visit,
        };
        self.nuls.take_if(|nuls| nuls.to <= self.searched.to && !nuls.waits());
        if self.searched.to > content && self.has_nuls() {
            // It does not get longer while NULs are overwritten.
            self.length.moved = clock::now();
        }
        if self.at.offset > offset {
            turn.batch.reach(offset, self.position());
        }
        self.tried(visit)
    }

    fn read_once(&mut self, end: u64, turn: &mut Turn<'_>) -> io::Result<ReadOutcome> {
        let cx = turn.cx;
        self.suspect = false;
        if self.is_endless() {
            return Ok(ReadOutcome::End);
        }
        self.mark();
        if self.length.shrunk.is_some() && !self.is_same_after_cut(turn)? {
            return Ok(ReadOutcome::Changed);
        }
        if self.at.offset == 0
            && let Some(end) = self.known()
            && !self.holds(end)?
        {
            return Ok(ReadOutcome::Changed);
        }
        let bound = usize::try_from(end.saturating_sub(self.at.offset)).unwrap_or(usize::MAX);
        turn.batch.set_source(turn.source, Some(self.id), self.number);
        let is_dropped = matches!(self.at.line, LineState::Dropped { .. });
        // Where there are NULs, most of a chunk would be such.
        let mut want =
            if self.has_lost_hole || self.nuls.is_some() { PIECE.min(cx.settings.chunk) } else { cx.settings.chunk };
        if !is_dropped && self.searched.to - self.at.offset > reread_max(cx) {
            let bytes = turn.scratch.bytes(cx.settings.chunk);
            let Some(mut read) = self.read_on(bytes, self.searched.to, self.searched.fingerprint, 1)? else {
                return Ok(ReadOutcome::Changed);
            };
            let read_to = self.searched.to + read.len as u64;
            let (content, nuls) = self.split_nuls(&bytes[..read.len], self.searched.to);
            let newline = memchr(b'\n', &bytes[..content]);
            self.searched.fingerprint = read.window.slide(&bytes[..newline.unwrap_or(content)]);
            self.searched.to += newline.unwrap_or(content) as u64;
            let fragment = self.searched.to - self.at.offset;
            if fragment > cx.settings.limit.max as u64 {
                return self.read_framed(cx.settings.limit.max + 1, turn);
            }
            match (newline, nuls) {
                (Some(_), _) => want = fragment as usize + 1,
                (None, Some(nuls)) => return self.meet_nuls(nuls, turn),
                (None, None) => return self.after(&read, read_to, turn),
            }
        }
        let visit = if turn.renderer.is_verbatim() && cx.settings.limit.max >= cx.settings.chunk && !is_dropped {
            self.read_verbatim(want.min(bound), turn)
        } else {
            self.read_framed(want.min(bound), turn)
        }?;
        Ok(if visit == ReadOutcome::More && self.searched.to >= end { ReadOutcome::End } else { visit })
    }

    /// Returns the outcome of a read that ended at `at`, all bytes of which are handled.
    fn after(&mut self, read: &Read, at: u64, turn: &Turn<'_>) -> io::Result<ReadOutcome> {
        match read.whole || at < self.claimed_size() {
            true if read.ended && self.is_pseudo() => Ok(ReadOutcome::End),
            true if read.ended => self.ended_early(at, turn),
            true => Ok(ReadOutcome::More),
            false => Ok(ReadOutcome::End),
        }
    }

    /// Returns true if a file that got shorter still has the bytes that were read of it. Then only its end is lost.
    fn is_same_after_cut(&mut self, turn: &Turn<'_>) -> io::Result<bool> {
        let same = self.at.offset > 0 && self.has_before(self.at.offset, self.at.fingerprint)?;
        if let Some(seen) = self.length.shrunk.take_if(|_| same) {
            turn.cx.ledger.gap(turn.source.path(), self.length.size.min(seen), seen, GapReason::Truncated);
        }
        Ok(same)
    }

    /// Handles a file that ended before the size last seen: it has been cut, or its size is wrong.
    ///
    /// # Errors
    ///
    /// `UnexpectedEof` if it still reports the same size.
    fn ended_early(&mut self, at: u64, turn: &Turn<'_>) -> io::Result<ReadOutcome> {
        self.stat_open(turn.cx)?;
        if self.length.shrunk.is_none() {
            if at < self.length.size {
                (self.length.ahead, self.length.size) = (Some(self.length.size), at);
            }
            if let Some(size) = self.length.ahead {
                return Err(ended_early(at, size));
            }
        }
        Ok(if self.is_same_after_cut(turn)? { ReadOutcome::More } else { ReadOutcome::Changed })
    }

    /// Reads straight into the batch. No line of a chunk can be over the limit, unless the chunk has no newline.
    fn read_verbatim(&mut self, want: usize, turn: &mut Turn<'_>) -> io::Result<ReadOutcome> {
        let room = turn.batch.spare().len();
        let spare = &mut turn.batch.spare()[..want.min(room)];
        let Some(mut read) = self.read_on(spare, self.at.offset, self.at.fingerprint, self.news_at())? else {
            return Ok(ReadOutcome::Changed);
        };
        let (content, nuls) = self.split_nuls(&spare[..read.len], self.at.offset);
        let (bytes, read_to) = (&spare[..content], self.at.offset + read.len as u64);
        self.set_searched(self.at.offset + content as u64, bytes, turn.cx);
        if let Some(last) = memrchr(b'\n', bytes) {
            self.at.fingerprint = read.window.slide(&bytes[..=last]);
            self.line_starts = read.window.line_starts();
            turn.batch.commit(self.at.offset, last + 1);
            self.past(last + 1);
        } else if self.searched.to - self.at.offset > turn.cx.settings.limit.max as u64 {
            return self.read_framed(turn.cx.settings.limit.max + 1, turn);
        } else if read.whole && want > room && nuls.is_none() {
            return Ok(ReadOutcome::Full);
        }
        match nuls {
            Some(nuls) => self.meet_nuls(nuls, turn),
            None => self.after(&read, read_to, turn),
        }
    }

    /// Reads into the scratch buffer, and frames and renders records: for labels, JSON, and lines that may be over the
    /// limit.
    fn read_framed(&mut self, want: usize, turn: &mut Turn<'_>) -> io::Result<ReadOutcome> {
        let mut bytes = turn.scratch.take(want);
        let mut met = None;
        let visit =
            self.read_on(&mut bytes[..want], self.at.offset, self.at.fingerprint, self.news_at()).and_then(|read| {
                let Some(mut read) = read else { return Ok(ReadOutcome::Changed) };
                let read_to = self.at.offset + read.len as u64;
                let (content, nuls) = self.split_nuls(&bytes[..read.len], self.at.offset);
                let bytes = &bytes[..content];
                let at = self.at.offset + bytes.len() as u64;
                let mut framer = Framer::new(turn.cx.settings.limit, self.at.line);
                let mut sink = turn.sink();
                let framed = framer.frame(bytes, self.at.offset, &mut sink);
                sink.flush();
                self.at.fingerprint = read.window.slide(&bytes[..framed.taken]);
                self.at.line = framer.state();
                self.line_starts = read.window.line_starts();
                self.at.offset += framed.taken as u64;
                self.searched.to = self.searched.to.max(self.at.offset);
                if let LineState::Dropped { .. } = self.at.line {
                    // What was searched is read again to be dropped, this time against the check before the offset.
                    self.searched.to = self.at.offset;
                }
                if !framed.room {
                    return Ok(ReadOutcome::Full);
                }
                self.set_searched(at, bytes, turn.cx);
                if nuls.is_some() {
                    met = nuls;
                    return Ok(ReadOutcome::More);
                }
                self.after(&read, read_to, turn)
            });
        turn.scratch.give_back(bytes);
        match (visit, met) {
            (Ok(ReadOutcome::More), Some(nuls)) => self.meet_nuls(nuls, turn),
            (visit, _) => visit,
        }
    }

    /// Records the dropped part of a line as a gap up to the offset. Its rest is dropped, too.
    pub(crate) fn finish_drop(&mut self, source: &Source, cx: &ReadContext) {
        if let LineState::Dropped { from, whole } = self.at.line {
            cx.ledger.gap(source.path(), from, self.at.offset, GapReason::LineLimit);
            self.at.line = LineState::Dropped { from: self.at.offset, whole };
        }
    }

    /// Delivers the unterminated last line of an input that is over. Returns false if the batch has no room.
    pub(crate) fn finish(&mut self, turn: &mut Turn<'_>) -> io::Result<bool> {
        self.finish_drop(turn.source, turn.cx);
        let len = (self.searched.to - self.at.offset) as usize;
        if len == 0 {
            self.count_nuls_at_end(turn.source, turn.cx);
            return Ok(true);
        }
        turn.batch.set_source(turn.source, Some(self.id), self.number);
        let mut bytes = turn.scratch.take(len);
        let finished =
            self.read_checked(&mut bytes[..len], self.at.offset, self.at.fingerprint, len).and_then(|read| {
                let Some(mut read) = read else {
                    if self.is_pseudo() {
                        return Err(io::Error::other("it changed while it was read"));
                    }
                    self.abandon(GapReason::Overwritten, turn.source, turn.cx);
                    return Ok(true);
                };
                let bytes = &bytes[..read.len];
                let mut sink = turn.sink();
                if !bytes.is_empty() && !sink.record(bytes, self.at.offset, self.at.offset + bytes.len() as u64) {
                    return Ok(false);
                }
                sink.flush();
                if bytes.len() < len && !self.is_pseudo() {
                    // The rest was cut off meanwhile.
                    let (end, seen) = (self.at.offset + bytes.len() as u64, self.at.offset + len as u64);
                    turn.cx.ledger.gap(turn.source.path(), end, seen, GapReason::Truncated);
                }
                if !bytes.is_empty() {
                    turn.cx.ledger.unterminated_line();
                }
                let start = self.at.offset;
                self.at.fingerprint = read.window.slide(bytes);
                self.past(len);
                turn.batch.reach(start, self.position());
                self.count_nuls_at_end(turn.source, turn.cx);
                Ok(true)
            });
        turn.scratch.give_back(bytes);
        finished
    }

    /// Returns true if the end needs more than to stop reading: a last line is to be delivered, or unread bytes are in
    /// a closed file.
    pub(crate) fn is_to_be_finished(&self, cx: &ReadContext) -> bool {
        self.is_over(cx) && (self.has_rest() || self.has_nuls()) || !self.is_open() && self.has_more()
    }

    /// Returns true if a last line without a newline will get no more bytes. A later merge that goes on here may find
    /// them, unless the file lost its name and was not written to for the grace time.
    fn is_over(&self, cx: &ReadContext) -> bool {
        let is_old = || self.length.modified.and_then(clock::age).is_some_and(|age| age >= cx.settings.grace);
        cx.settings.once && (!cx.settings.goes_on || self.unnamed.is_some() && is_old())
    }

    /// Finishes a file that is open, or abandons one that is gone. Returns false if the batch has no room.
    pub(crate) fn finish_or_abandon(&mut self, open: bool, turn: &mut Turn<'_>) -> io::Result<bool> {
        if !open {
            self.abandon(GapReason::Gone, turn.source, turn.cx);
        }
        if open && self.is_over(turn.cx) { self.finish(turn) } else { Ok(true) }
    }

    /// Moves on past whole lines.
    fn past(&mut self, len: usize) {
        self.at.offset += len as u64;
        self.searched.to = self.searched.to.max(self.at.offset);
        self.at.line = LineState::Start;
    }

    /// Notes that there is no newline up to `searched`, of bytes that were read from the offset on.
    fn set_searched(&mut self, searched: u64, bytes: &[u8], cx: &ReadContext) {
        self.searched.to = self.searched.to.max(searched);
        if self.searched.to - self.at.offset > reread_max(cx) && self.searched.to == searched {
            self.searched.fingerprint = FingerprintWindow::new(0).slide(bytes);
        }
    }

    /// Returns how many bytes must be read at the offset for one of them to be new.
    fn news_at(&self) -> usize {
        (self.searched.to - self.at.offset) as usize + 1
    }

    /// Reads like [`read_checked`](Self::read_checked), and updates the size of a file that has grown.
    fn read_on(&mut self, bytes: &mut [u8], offset: u64, check: Fingerprint, need: usize) -> io::Result<Option<Read>> {
        let read = self.read_checked(bytes, offset, check, need)?;
        if let Some(read) = &read
            && offset + read.len as u64 > self.length.size
        {
            (self.length.size, self.length.moved, self.length.modified) =
                (offset + read.len as u64, clock::now(), None);
        }
        Ok(read)
    }

    /// Returns true if the file has, before an offset, the bytes of a fingerprint.
    pub(crate) fn has_before(&self, offset: u64, check: Fingerprint) -> io::Result<bool> {
        Ok(self.read_checked(&mut [], offset, check, 0)?.is_some())
    }

    /// Reads at `offset`, in one read with the bytes before it. Returns none if those do not match the fingerprint, or
    /// the file ends before the offset. After a short read, others follow until `need` bytes are there, or all that the
    /// file has.
    ///
    /// # Errors
    ///
    /// `UnexpectedEof` if the file ends before the offset, but reports a greater size.
    fn read_checked(&self, bytes: &mut [u8], offset: u64, check: Fingerprint, need: usize) -> io::Result<Option<Read>> {
        let mut window = FingerprintWindow::new(check.len());
        let Some((file, _)) = &self.file else {
            return Ok(Some(Read { len: 0, whole: bytes.is_empty(), ended: false, window }));
        };
        let (before, room) = (check.len(), bytes.len());
        let from = offset - before as u64;
        let bufs = &mut [IoSliceMut::new(window.bytes_mut()), IoSliceMut::new(bytes)];
        let need = if self.storage == Some(Storage::Local) { 0 } else { need.min(room) };
        let got = read_at(&**file, bufs, from, before + need, self.claimed_size())?;
        if got.len < before {
            if self.is_pseudo() {
                return Ok(None);
            }
            let (at, size) = (from + got.len as u64, file.stat()?.size);
            return if size < offset { Ok(None) } else { Err(ended_early(at, size)) };
        }
        if window.check() != check {
            return Ok(None);
        }
        if got.torn && before > 0 && room > 0 {
            // The bytes came after those that were checked, which may be others by now.
            let mut again = FingerprintWindow::new(before);
            if read_all(&**file, again.bytes_mut(), from)? < before || again.check() != check {
                return Ok(None);
            }
        }
        let len = got.len - before;
        Ok(Some(Read { len, whole: len == room, ended: got.ended, window }))
    }
}

/// The result of a read at an offset.
#[derive(Debug)]
struct Read {
    len: usize,
    /// True if the buffer was filled.
    whole: bool,
    /// True if the file had no more bytes.
    ended: bool,
    /// The bytes before the offset.
    window: FingerprintWindow,
}

/// Returns the error of a file that ends before its size.
fn ended_early(at: u64, size: u64) -> io::Error {
    io::Error::new(io::ErrorKind::UnexpectedEof, format!("it ends at byte {at}, although its size is {size} bytes"))
}

/// Returns the length up to which a fragment is read again. It is less than a chunk, so that reading again makes
/// progress.
fn reread_max(cx: &ReadContext) -> u64 {
    FRAGMENT_REREAD_MAX.min(cx.settings.chunk as u64 - 1)
}
