//! What one visit of a file does: read a chunk, commit its whole lines, deal with those that are too long.

use std::io::{self, IoSliceMut};
use std::time::Instant;

use memchr::{memchr, memrchr};

use super::{Generation, Turn, Visit, Within, read_at};
use crate::batch::Source;
use crate::line::Piece;
use crate::report::{Event, GapReason};
use crate::tail::TailContext;
use crate::tail::check::{Check, Window};

/// A fragment longer than this, in bytes, is not read again to see whether its newline has come: only
/// what is new is searched.
const FRAGMENT_REREAD_MAX: u64 = 16 * 1024;

/// Rendered lines go to the batch together, but once they are so many bytes: the buffer for them is beyond the bound
/// for memory.
const RENDER_STEP: usize = 64 * 1024;

impl Generation {
    /// Reads once, at most `cx.chunk` bytes and not beyond `end`, and commits the whole lines.
    pub(in crate::tail) fn read(&mut self, end: u64, turn: &mut Turn<'_>) -> io::Result<Visit> {
        let visit = self.read_once(end, turn);
        self.tried(visit)
    }

    fn read_once(&mut self, end: u64, turn: &mut Turn<'_>) -> io::Result<Visit> {
        let cx = turn.cx;
        self.suspect = false;
        self.mark();
        if self.shrunk.is_some() && !self.is_same_after_cut(turn)? {
            return Ok(Visit::Changed);
        }
        if self.offset == 0
            && let Some(end) = self.known()
            && !self.holds(end)?
        {
            return Ok(Visit::Changed);
        }
        if let Within::Dropped { .. } = self.within {
            return self.drop_rest(turn);
        }
        let mut want = cx.chunk;
        if self.searched - self.offset > reread_max(cx) {
            let bytes = turn.scratch.bytes(cx.chunk);
            let Some((got, mut window)) = self.read_on(bytes, self.searched, self.searched_check)? else {
                return Ok(Visit::Changed);
            };
            let newline = memchr(b'\n', &bytes[..got]);
            self.searched_check = window.slide(&bytes[..newline.unwrap_or(got)]);
            self.searched += newline.unwrap_or(got) as u64;
            let content = self.searched - self.offset;
            if content > cx.limit.max as u64 {
                return self.cut(turn);
            }
            match newline {
                Some(_) => want = content as usize + 1,
                None => return Ok(if got == cx.chunk { Visit::More } else { Visit::End }),
            }
        }
        let bound = usize::try_from(end.saturating_sub(self.offset)).unwrap_or(usize::MAX);
        turn.batch.set_source(turn.source, self.number);
        let visit = if turn.source.renderer().is_verbatim() && cx.limit.max >= cx.chunk {
            self.read_verbatim(want.min(bound), turn)
        } else {
            self.read_rendered(want.min(bound), turn)
        }?;
        Ok(if visit == Visit::More && bound <= want { Visit::End } else { visit })
    }

    /// Whether a file that got shorter still holds what was read of it; then only its end is lost.
    fn is_same_after_cut(&mut self, turn: &Turn<'_>) -> io::Result<bool> {
        let same = self.offset > 0 && self.read_checked(&mut [], self.offset, self.check)?.is_some();
        if let Some(seen) = self.shrunk.take_if(|_| same) {
            turn.cx.ledger.gap(turn.source.path(), self.size.min(seen), seen, GapReason::Truncated);
        }
        Ok(same)
    }

    /// A read ended before the size last seen: the file has been cut since.
    fn cut_short(&mut self, turn: &Turn<'_>) -> io::Result<Visit> {
        self.shrunk = self.shrunk.max(Some(self.size));
        self.look(turn.cx)?;
        Ok(if self.is_same_after_cut(turn)? { Visit::More } else { Visit::Changed })
    }

    /// Straight into the batch. No line of a chunk can be over the limit, unless the chunk has no newline.
    fn read_verbatim(&mut self, want: usize, turn: &mut Turn<'_>) -> io::Result<Visit> {
        let room = turn.batch.spare().len();
        let spare = &mut turn.batch.spare()[..want.min(room)];
        let Some((got, mut window)) = self.read_on(spare, self.offset, self.check)? else {
            return Ok(Visit::Changed);
        };
        let full = got == spare.len();
        if !full && self.offset + (got as u64) < self.size {
            return self.cut_short(turn);
        }
        let last = memrchr(b'\n', &spare[..got]);
        if self.is_hole(&spare[..got]) && self.skip_hole(turn.source, turn.cx)? {
            return Ok(Visit::More);
        }
        self.set_searched(self.offset + got as u64, &spare[..got], turn.cx);
        if let Some(last) = last {
            self.check = window.slide(&spare[..=last]);
            turn.batch.commit(self.offset, last + 1);
            self.past(last + 1);
            return Ok(if full { Visit::More } else { Visit::End });
        }
        if self.searched - self.offset > turn.cx.limit.max as u64 {
            return self.cut(turn);
        }
        Ok(match full {
            false => Visit::End,
            true if want > room => Visit::Full,
            true => Visit::More,
        })
    }

    /// By way of the scratch buffer, line by line: for labels, JSON, and limits below the chunk's size.
    fn read_rendered(&mut self, want: usize, turn: &mut Turn<'_>) -> io::Result<Visit> {
        let mut bytes = turn.scratch.take(want);
        let visit = self.read_on(&mut bytes[..want], self.offset, self.check).and_then(|read| {
            let Some((got, mut window)) = read else { return Ok(Visit::Changed) };
            if got < want && self.offset + (got as u64) < self.size {
                return self.cut_short(turn);
            }
            let bytes = &bytes[..got];
            if self.is_hole(bytes) && self.skip_hole(turn.source, turn.cx)? {
                return Ok(Visit::More);
            }
            let start = self.offset;
            let visit = self.render(bytes, turn);
            self.check = window.slide(&bytes[..(self.offset - start) as usize]);
            self.set_searched(self.searched, &bytes[..(self.searched - start) as usize], turn.cx);
            Ok(if visit == Visit::More && got < want { Visit::End } else { visit })
        });
        turn.scratch.give_back(bytes);
        visit
    }

    /// Takes the lines of `bytes`, which stand at the offset, and notes how far they were searched.
    fn render(&mut self, bytes: &[u8], turn: &mut Turn<'_>) -> Visit {
        let max = turn.cx.limit.max;
        let start = self.offset;
        let mut from = start;
        turn.scratch.line.clear();
        loop {
            let rest = &bytes[(self.offset - start) as usize..];
            let newline = memchr(b'\n', rest);
            let len = newline.unwrap_or(rest.len());
            let end = self.offset + len as u64;
            self.searched = end;
            if len > max {
                self.deliver(&mut from, turn);
                if !self.cut_head(&rest[..max], turn) {
                    return Visit::Full;
                }
                if let Within::Dropped { .. } = self.within {
                    self.offset = end;
                    self.searched = end;
                    if newline.is_none() {
                        return Visit::More;
                    }
                    self.finish_drop(true, turn.source, turn.cx);
                    self.past(1);
                }
                from = self.offset;
                turn.scratch.line.clear();
                continue;
            }
            if newline.is_none() {
                self.deliver(&mut from, turn);
                return Visit::More;
            }
            let line = &mut turn.scratch.line;
            let fits = line.len();
            turn.source.renderer().push(&rest[..len], line);
            if line.len() > turn.batch.spare().len() && (fits > 0 || !turn.batch.is_empty()) {
                line.truncate(fits);
                self.deliver(&mut from, turn);
                return Visit::Full;
            }
            self.past(len + 1);
            if turn.scratch.line.len() >= RENDER_STEP {
                self.deliver(&mut from, turn);
            }
        }
    }

    /// Puts the rendered lines into the batch that stand from `from` up to the offset, and goes on from there.
    fn deliver(&self, from: &mut u64, turn: &mut Turn<'_>) {
        let taken = turn.batch.push(*from, self.offset - *from, &turn.scratch.line);
        debug_assert!(taken, "there is room for them, or the batch is empty and grows");
        *from = self.offset;
        turn.scratch.line.clear();
    }

    /// Deals with the head of a line that is over the limit, of which nothing is in memory.
    fn cut(&mut self, turn: &mut Turn<'_>) -> io::Result<Visit> {
        let max = turn.cx.limit.max;
        let mut bytes = turn.scratch.take(max);
        turn.batch.set_source(turn.source, self.number);
        let visit = self.read_checked(&mut bytes[..max], self.offset, self.check).map(|read| {
            let Some((got, mut window)) = read else { return Visit::Changed };
            if got < max {
                // Truncated meanwhile.
                return Visit::End;
            }
            let (head, start) = (&bytes[..got], self.offset);
            let cut = self.cut_head(head, turn);
            self.check = window.slide(&head[..(self.offset - start) as usize]);
            if cut { Visit::More } else { Visit::Full }
        });
        turn.scratch.give_back(bytes);
        visit
    }

    /// Deals with the first `max` bytes of a line that is over the limit. False if the batch has no room.
    fn cut_head(&mut self, head: &[u8], turn: &mut Turn<'_>) -> bool {
        let Turn { source, batch, scratch, cx } = turn;
        let piece = cx.limit.over();
        if piece != Piece::Nothing {
            scratch.line.clear();
            source.renderer().push(head, &mut scratch.line);
            if !batch.push(self.offset, head.len() as u64, &scratch.line) {
                return false;
            }
        }
        if self.within == Within::Start && cx.ledger.long_line(source) {
            cx.ledger.tell(&Event::LongLine {
                input: source.path(),
                offset: self.offset,
                limit: head.len(),
                policy: cx.limit.policy,
            });
        }
        self.within = match piece {
            Piece::Line => Within::Long,
            Piece::LastLine => Within::Dropped { from: self.offset + head.len() as u64, whole: false },
            Piece::Nothing => Within::Dropped { from: self.offset, whole: true },
        };
        self.offset += head.len() as u64;
        if piece != Piece::Line {
            // What was searched is read again to be dropped, this time against the check before the offset.
            self.searched = self.offset;
        }
        true
    }

    /// Searches for the newline that ends a line which is being dropped.
    fn drop_rest(&mut self, turn: &mut Turn<'_>) -> io::Result<Visit> {
        let chunk = turn.cx.chunk;
        let bytes = turn.scratch.bytes(chunk);
        let Some((got, mut window)) = self.read_on(bytes, self.offset, self.check)? else {
            return Ok(Visit::Changed);
        };
        let newline = memchr(b'\n', &bytes[..got]);
        self.offset += newline.unwrap_or(got) as u64;
        self.searched = self.offset;
        self.check = window.slide(&bytes[..newline.map_or(got, |at| at + 1)]);
        if newline.is_some() {
            self.finish_drop(true, turn.source, turn.cx);
            self.past(1);
        }
        Ok(if newline.is_some() || got == chunk { Visit::More } else { Visit::End })
    }

    /// Accounts for a dropped line up to the offset. Without its newline, the rest of it is to be dropped too.
    pub(super) fn finish_drop(&mut self, newline: bool, source: &Source, cx: &TailContext) {
        if let Within::Dropped { from, whole } = self.within {
            cx.ledger.gap(source.path(), from, self.offset + u64::from(whole && newline), GapReason::LineLimit);
            self.within = if newline { Within::Start } else { Within::Dropped { from: self.offset, whole } };
        }
    }

    /// Delivers what is left after the last newline, now that the input is over. False if the batch has no room.
    pub(in crate::tail) fn finish(&mut self, turn: &mut Turn<'_>) -> io::Result<bool> {
        self.finish_drop(false, turn.source, turn.cx);
        let len = (self.searched - self.offset) as usize;
        if len == 0 {
            return Ok(true);
        }
        turn.batch.set_source(turn.source, self.number);
        let mut bytes = turn.scratch.take(len);
        let finished = self.read_checked(&mut bytes[..len], self.offset, self.check).map(|read| {
            let Some((got, mut window)) = read else {
                self.abandon(GapReason::Overwritten, turn.source, turn.cx);
                return true;
            };
            let line = &mut turn.scratch.line;
            line.clear();
            turn.source.renderer().push(&bytes[..got], line);
            if got > 0 && !turn.batch.push(self.offset, got as u64, line) {
                return false;
            }
            turn.cx.ledger.unterminated_line();
            self.check = window.slide(&bytes[..got]);
            self.past(len);
            true
        });
        turn.scratch.give_back(bytes);
        finished
    }

    /// Stops reading where the offset stands; a line that was being dropped is accounted for.
    pub(in crate::tail) fn leave(&mut self, source: &Source, cx: &TailContext) {
        self.finish_drop(false, source, cx);
    }

    /// Moves on past whole lines.
    fn past(&mut self, len: usize) {
        self.offset += len as u64;
        self.searched = self.searched.max(self.offset);
        self.within = Within::Start;
    }

    /// Notes that there is no newline up to `searched`, of bytes that were read from the offset on.
    fn set_searched(&mut self, searched: u64, bytes: &[u8], cx: &TailContext) {
        self.searched = self.searched.max(searched);
        if self.searched - self.offset > reread_max(cx) && self.searched == searched {
            self.searched_check = Window::new(0).slide(bytes);
        }
    }

    /// Whether bytes read at the offset may belong to a hole.
    fn is_hole(&self, bytes: &[u8]) -> bool {
        self.within == Within::Start && bytes.first() == Some(&0)
    }

    /// Moves on to where the file has data, if the offset is in a hole. NUL bytes that were written are data.
    fn skip_hole(&mut self, source: &Source, cx: &TailContext) -> io::Result<bool> {
        let Some((file, _)) = &self.file else { return Ok(false) };
        let mut data = file.next_data(self.offset)?.unwrap_or(self.size).max(self.offset);
        if data == self.offset {
            return Ok(false);
        }
        // A hole ends with a block of the file system; what is left of it in the first block with data is NUL too.
        let mut block = [0; 4096];
        loop {
            let got = read_at(&**file, &mut [IoSliceMut::new(&mut block)], data)?;
            let nuls = block[..got].iter().take_while(|&&byte| byte == 0).count();
            data += nuls as u64;
            if nuls < got || got == 0 || nuls < block.len() {
                break;
            }
        }
        cx.ledger.hole(source.path(), self.offset, data);
        // The bytes of a hole are read as NUL.
        self.check = Window::new(usize::try_from(data - self.offset).unwrap_or(usize::MAX)).check();
        (self.offset, self.searched) = (data, data);
        Ok(true)
    }

    /// The same as [`read_checked`](Self::read_checked) where the file may have grown.
    fn read_on(&mut self, bytes: &mut [u8], offset: u64, check: Check) -> io::Result<Option<(usize, Window)>> {
        let read = self.read_checked(bytes, offset, check)?;
        if let Some((got, _)) = &read
            && offset + *got as u64 > self.size
        {
            (self.size, self.moved, self.modified) = (offset + *got as u64, Instant::now(), None);
        }
        Ok(read)
    }

    /// Reads at `offset`, in one read with the bytes before it. None: those are not what `check` says.
    pub(super) fn read_checked(
        &self,
        bytes: &mut [u8],
        offset: u64,
        check: Check,
    ) -> io::Result<Option<(usize, Window)>> {
        let mut window = Window::new(check.len());
        let Some((file, _)) = &self.file else { return Ok(Some((0, window))) };
        let before = window.bytes_mut();
        let (from, before_len) = (offset - before.len() as u64, before.len());
        let got = read_at(&**file, &mut [IoSliceMut::new(before), IoSliceMut::new(bytes)], from)?;
        Ok((got >= before_len && window.check() == check).then(|| (got - before_len, window)))
    }
}

/// How long a fragment may be to be read again: less than a chunk, or reading it again would not get further.
fn reread_max(cx: &TailContext) -> u64 {
    FRAGMENT_REREAD_MAX.min(cx.chunk as u64 - 1)
}
