//! Reading one file from where it was left to its end, in whole lines.
//!
//! The rule that matters: `offset` only ever moves past bytes that are committed to a batch or accounted
//! for as a gap. A fragment stays in the file until its newline is there.

use std::io::{self, IoSliceMut};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use memchr::{memchr, memrchr};

use super::TailContext;
use super::check::{Check, Window};
use super::claims::{Resume, Slot};
use crate::batch::{Batch, Source};
use crate::fs::{FileId, ReadFile, Stat};
use crate::line::Piece;
use crate::report::{Event, GapReason};

/// A fragment longer than this, in bytes, is not read again to see whether its newline has come: only
/// what is new is searched.
const FRAGMENT_REREAD_MAX: u64 = 16 * 1024;

/// A file that changed less than this before it was looked at may change again without showing it.
const MODIFIED_GRAIN: Duration = Duration::from_millis(50);

/// What one visit came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Visit {
    /// There is probably more.
    More,
    /// All whole lines that are there have been taken.
    End,
    /// The batch has no room for the next line.
    Full,
    /// The file does not hold any more, before the offset, what was read there.
    Changed,
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
pub(super) enum Within {
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
    /// What stands before the offset.
    check: Check,
    /// No newline between `offset` and here.
    searched: u64,
    /// What stands before `searched`, while that is far from the offset.
    searched_check: Check,
    /// Length when last seen.
    size: u64,
    /// Length when the content was last seen to be the same.
    sure_size: u64,
    /// When the length was last seen to move.
    moved: Instant,
    /// Last change of the content when last seen; none if it may have changed again without showing it.
    modified: Option<SystemTime>,
    /// Whether the content may be another although the length is the same.
    suspect: bool,
    /// Its length before it got shorter, until it is known whether the content before the offset is the same.
    shrunk: Option<u64>,
    /// When it was seen that it has lost its name.
    retired: Option<Instant>,
    /// Whether its content may have become another while it had its name.
    unsure: bool,
    /// Another name that it was found under then, by which it can be opened again.
    found: Option<Box<Path>>,
    within: Within,
}

impl Generation {
    pub(super) fn new(number: u32, id: FileId, size: u64) -> Self {
        Self {
            number,
            id,
            file: None,
            offset: 0,
            check: Check::default(),
            searched: 0,
            searched_check: Check::default(),
            size,
            sure_size: 0,
            moved: Instant::now(),
            modified: None,
            suspect: false,
            shrunk: None,
            retired: None,
            unsure: false,
            found: None,
            within: Within::Start,
        }
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

    /// Whether there may be bytes that were never looked at.
    pub(super) fn has_news(&self) -> bool {
        self.size > self.searched || self.suspect
    }

    /// Notes that the file has lost its name, and which other one it was found under, if it was searched for.
    pub(super) fn retire(&mut self, found: Option<PathBuf>) {
        if self.retired.is_none() {
            self.retired = Some(Instant::now());
            // One that was found by its inode's number only may be another file altogether.
            self.unsure = found.is_none() && self.has_news();
        }
        self.found = found.map(PathBuf::into_boxed_path);
    }

    /// Notes that the file has the name again by which it is followed.
    pub(super) fn regain(&mut self) {
        (self.retired, self.found) = (None, None);
    }

    /// Opens a file that lost its name by the one that it was found under.
    pub(super) fn open_found(&mut self, cx: &TailContext) -> io::Result<bool> {
        match self.found.clone() {
            Some(path) => self.open(&path, cx),
            None => Ok(false),
        }
    }

    /// Closes the file if it can be opened again. True if it was open.
    pub(super) fn close_found(&mut self) -> bool {
        self.found.is_some() && self.file.take().is_some()
    }

    /// Whether a file that lost its name is kept for longer than the user wants.
    pub(super) fn has_expired(&self, cx: &TailContext) -> bool {
        self.retired.zip(cx.deleted_max_age).is_some_and(|(retired, max)| retired.elapsed() > max)
    }

    /// Whether it got shorter, and more than what is there now may be lost.
    pub(super) fn was_cut(&self) -> bool {
        self.shrunk.is_some()
    }

    /// Whether what it holds now may have been written while it had its name.
    pub(super) fn is_unsure(&self) -> bool {
        self.unsure
    }

    /// Has the content before the offset checked at the next visit.
    pub(super) fn suspect(&mut self) {
        self.suspect = true;
    }

    /// Where the file is left, for whoever goes on.
    pub(super) fn place(&self) -> Resume {
        Resume { offset: self.offset, check: self.check, within: self.within }
    }

    /// Goes on where somebody left off, if the bytes there are still the same; else, false, at the start.
    pub(super) fn resume(&mut self, at: Resume) -> io::Result<bool> {
        let same = at.offset <= self.size && self.read_checked(&mut [], at.offset, at.check)?.is_some();
        if same {
            (self.offset, self.searched) = (at.offset, at.offset);
            (self.check, self.within) = (at.check, at.within);
            self.sure_size = self.size;
        }
        Ok(same)
    }

    /// Reads with the open file; none if it is closed.
    pub(super) fn with_file<T>(&self, read: impl FnOnce(&dyn ReadFile) -> io::Result<T>) -> io::Result<Option<T>> {
        self.file.as_ref().map(|(file, _)| read(&**file)).transpose()
    }

    /// Counts bytes up to an offset as accounted for elsewhere.
    pub(super) fn accounted(&mut self, offset: u64) {
        self.offset = self.offset.max(offset.min(self.size));
    }

    /// Opens the file under `path`; false if that is another one by now.
    pub(super) fn open(&mut self, path: &Path, cx: &TailContext) -> io::Result<bool> {
        let slot = cx.claims.slot();
        let file = cx.fs.open(path)?;
        let stat = file.stat()?;
        if stat.id != self.id {
            return Ok(false);
        }
        self.file = Some((file, slot));
        self.saw(&stat);
        Ok(true)
    }

    pub(super) fn close(&mut self) {
        self.file = None;
    }

    /// Moves to an offset, or to the start of the line that it stands in.
    pub(super) fn skip_to(&mut self, mut end: u64, scratch: &mut Scratch) -> io::Result<()> {
        let Some((file, _)) = &self.file else { return Ok(()) };
        while end > 0 {
            let bytes = scratch.bytes(usize::try_from(end).unwrap_or(usize::MAX).min(64 * 1024));
            let from = end - bytes.len() as u64;
            let got = read_at(&**file, &mut [IoSliceMut::new(bytes)], from)?;
            if let Some(at) = memrchr(b'\n', &bytes[..got]) {
                end = from + at as u64 + 1;
                break;
            }
            end = from;
        }
        (self.offset, self.searched) = (end, end);
        let mut window = Window::new(usize::try_from(end).unwrap_or(usize::MAX));
        let from = end - window.bytes_mut().len() as u64;
        if read_at(&**file, &mut [IoSliceMut::new(window.bytes_mut())], from)? == window.bytes_mut().len() {
            self.check = window.check();
        }
        Ok(())
    }

    /// Asks how the file is: whether it was cut below what has been read, and how many names it has.
    pub(super) fn look(&mut self, cx: &TailContext) -> io::Result<(bool, u64)> {
        let stat = match (&self.file, &self.found) {
            (Some((file, _)), _) => file.stat()?,
            (None, Some(path)) => cx.fs.stat(path).and_then(|stat| match stat.id == self.id {
                true => Ok(stat),
                false => Err(io::ErrorKind::NotFound.into()),
            })?,
            (None, None) => return Err(io::ErrorKind::NotFound.into()),
        };
        Ok((self.saw(&stat), stat.links))
    }

    /// Takes note of how the file is. True if it was cut below what has been read: that part is over.
    pub(super) fn saw(&mut self, stat: &Stat) -> bool {
        if stat.size != self.size {
            self.moved = Instant::now();
        }
        if stat.size < self.searched {
            self.searched = self.offset;
        }
        if stat.size < self.size {
            self.shrunk = self.shrunk.max(Some(self.size));
            self.suspect = true;
        }
        self.size = stat.size;
        if stat.size < self.offset {
            return true;
        }
        self.suspect |= stat.modified != self.modified && self.searched > 0;
        let age = stat.modified.and_then(|modified| SystemTime::now().duration_since(modified).ok());
        self.modified = stat.modified.filter(|_| age.is_none_or(|age| age >= MODIFIED_GRAIN));
        false
    }

    /// Starts again at the file's first byte; what was not read of the old content is a gap.
    pub(super) fn restart(&mut self, number: u32, size: u64, reason: GapReason, source: &Source, cx: &TailContext) {
        self.abandon(reason, source, cx);
        let (file, retired, found) = (self.file.take(), self.retired, self.found.take());
        *self = Self { file, retired, found, ..Self::new(number, self.id, size) };
    }

    /// Gives up on what was not read.
    pub(super) fn abandon(&mut self, reason: GapReason, source: &Source, cx: &TailContext) {
        self.finish_drop(false, source, cx);
        // Of content that is gone, only so much was there for certain.
        let seen = match (self.shrunk.take(), reason) {
            (Some(before), GapReason::Truncated) => before,
            (Some(before), _) => before.max(self.size),
            (None, GapReason::Overwritten) => self.sure_size,
            (None, _) => self.size,
        };
        cx.ledger.gap(source.path(), self.offset, seen.max(self.offset), reason);
        self.offset = seen.max(self.offset);
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
        self.suspect = false;
        if self.shrunk.is_some() && !self.is_same_after_cut(source, cx)? {
            return Ok(Visit::Changed);
        }
        if let Within::Dropped { .. } = self.within {
            return self.drop_rest(source, scratch, cx);
        }
        let mut want = cx.chunk;
        if self.searched - self.offset > reread_max(cx) {
            let bytes = scratch.bytes(cx.chunk);
            let Some((got, mut window)) = self.read_checked(bytes, self.searched, self.searched_check)? else {
                return Ok(Visit::Changed);
            };
            let newline = memchr(b'\n', &bytes[..got]);
            window.slide(&bytes[..newline.unwrap_or(got)]);
            self.searched_check = window.check();
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
        let size = self.size;
        let visit = if source.renderer().is_verbatim() && cx.limit.max >= cx.chunk {
            self.read_verbatim(source, want.min(bound), batch, scratch, cx)
        } else {
            self.read_rendered(source, want.min(bound), batch, scratch, cx)
        }?;
        if visit != Visit::Changed {
            self.sure_size = size;
            self.unsure = false;
        }
        Ok(if visit == Visit::More && bound <= want { Visit::End } else { visit })
    }

    /// Whether a file that got shorter still holds what was read of it; then only its end is lost.
    fn is_same_after_cut(&mut self, source: &Source, cx: &TailContext) -> io::Result<bool> {
        let same = self.offset > 0 && self.read_checked(&mut [], self.offset, self.check)?.is_some();
        if let Some(seen) = self.shrunk.take_if(|_| same) {
            cx.ledger.gap(source.path(), self.size.min(seen), seen, GapReason::Truncated);
        }
        Ok(same)
    }

    /// A read ended before the size last seen: the file has been cut since.
    fn cut_short(&mut self, source: &Source, cx: &TailContext) -> io::Result<Visit> {
        self.shrunk = self.shrunk.max(Some(self.size));
        self.look(cx)?;
        Ok(if self.is_same_after_cut(source, cx)? { Visit::More } else { Visit::Changed })
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
        let Some((got, mut window)) = self.read_checked(spare, self.offset, self.check)? else {
            return Ok(Visit::Changed);
        };
        let full = got == spare.len();
        if !full && self.offset + (got as u64) < self.size {
            return self.cut_short(source, cx);
        }
        let last = memrchr(b'\n', &spare[..got]);
        if self.is_hole(&spare[..got]) && self.skip_hole(source, cx)? {
            return Ok(Visit::More);
        }
        self.set_searched(self.offset + got as u64, &spare[..got], cx);
        if let Some(last) = last {
            window.slide(&spare[..=last]);
            self.check = window.check();
            batch.commit(self.offset, last + 1);
            self.past(last + 1);
            return Ok(if full { Visit::More } else { Visit::End });
        }
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
        let visit = self.read_checked(&mut bytes[..want], self.offset, self.check).and_then(|read| {
            let Some((got, mut window)) = read else { return Ok(Visit::Changed) };
            if got < want && self.offset + (got as u64) < self.size {
                return self.cut_short(source, cx);
            }
            let bytes = &bytes[..got];
            if self.is_hole(bytes) && self.skip_hole(source, cx)? {
                return Ok(Visit::More);
            }
            let start = self.offset;
            let visit = self.render(source, bytes, batch, &mut scratch.line, cx);
            window.slide(&bytes[..(self.offset - start) as usize]);
            self.check = window.check();
            self.set_searched(self.searched, &bytes[..(self.searched - start) as usize], cx);
            Ok(if visit == Visit::More && got < want { Visit::End } else { visit })
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
            let end = self.offset + len as u64;
            self.searched = end;
            if len > max {
                if !self.cut_head(&rest[..max], source, batch, line, cx) {
                    return Visit::Full;
                }
                if let Within::Dropped { .. } = self.within {
                    self.offset = end;
                    self.searched = end;
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
        let visit = self.read_checked(&mut bytes[..cx.limit.max], self.offset, self.check).map(|read| {
            let Some((got, mut window)) = read else { return Visit::Changed };
            if got < cx.limit.max {
                // Truncated meanwhile.
                return Visit::End;
            }
            let (head, start) = (&bytes[..got], self.offset);
            let cut = self.cut_head(head, source, batch, &mut scratch.line, cx);
            window.slide(&head[..(self.offset - start) as usize]);
            self.check = window.check();
            if cut { Visit::More } else { Visit::Full }
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
        if piece != Piece::Line {
            // What was searched is read again to be dropped, this time against the check before the offset.
            self.searched = self.offset;
        }
        true
    }

    /// Searches for the newline that ends a line which is being dropped.
    fn drop_rest(&mut self, source: &Source, scratch: &mut Scratch, cx: &TailContext) -> io::Result<Visit> {
        let bytes = scratch.bytes(cx.chunk);
        let Some((got, mut window)) = self.read_checked(bytes, self.offset, self.check)? else {
            return Ok(Visit::Changed);
        };
        let newline = memchr(b'\n', &bytes[..got]);
        self.offset += newline.unwrap_or(got) as u64;
        self.searched = self.offset;
        window.slide(&bytes[..newline.map_or(got, |at| at + 1)]);
        self.check = window.check();
        if newline.is_some() {
            self.finish_drop(true, source, cx);
            self.past(1);
        }
        Ok(if newline.is_some() || got == cx.chunk { Visit::More } else { Visit::End })
    }

    /// Accounts for a dropped line up to the offset. Without its newline, the rest of it is to be dropped too.
    fn finish_drop(&mut self, newline: bool, source: &Source, cx: &TailContext) {
        if let Within::Dropped { from, whole } = self.within {
            cx.ledger.gap(source.path(), from, self.offset + u64::from(whole && newline), GapReason::LineLimit);
            self.within = if newline { Within::Start } else { Within::Dropped { from: self.offset, whole } };
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
        let finished = self.read_checked(&mut bytes[..len], self.offset, self.check).map(|read| {
            let Some((got, mut window)) = read else {
                self.abandon(GapReason::Overwritten, source, cx);
                return true;
            };
            scratch.line.clear();
            source.renderer().push(&bytes[..got], &mut scratch.line);
            if got > 0 && !batch.push(self.offset, got as u64, &scratch.line) {
                return false;
            }
            cx.ledger.unterminated_line();
            window.slide(&bytes[..got]);
            self.check = window.check();
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

    /// Notes that there is no newline up to `searched`, of bytes that were read from the offset on.
    fn set_searched(&mut self, searched: u64, bytes: &[u8], cx: &TailContext) {
        self.searched = self.searched.max(searched);
        if self.searched - self.offset > reread_max(cx) && self.searched == searched {
            let mut window = Window::new(0);
            window.slide(bytes);
            self.searched_check = window.check();
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

    /// Reads at `offset`, in one read with the bytes before it. None: those are not what `check` says.
    fn read_checked(&self, bytes: &mut [u8], offset: u64, check: Check) -> io::Result<Option<(usize, Window)>> {
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

/// One read, which ends early only at the end of the file.
fn read_at(file: &dyn ReadFile, bufs: &mut [IoSliceMut<'_>], offset: u64) -> io::Result<usize> {
    loop {
        match file.read_at(bufs, offset) {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            read => return read,
        }
    }
}
