//! Reading one file from where it was left to its end, in whole lines.
//!
//! The rule that matters: `offset` only ever moves past bytes that are committed to a batch or accounted
//! for as a gap. A fragment stays in the file until its newline is there.

pub(crate) mod read;

use std::io::{self, IoSliceMut};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use memchr::memrchr;

use crate::batch::{Batch, Source};
use crate::follow::context::TailContext;
use crate::follow::descriptors::Slot;
use crate::follow::fingerprint::{Check, Window};
use crate::follow::registry::{Kept, Resume};
use crate::fs::{FileId, MODIFIED_GRAIN, ReadFile, Stat, Storage, is_missing};
use crate::record::framer::LineState;
use crate::record::to_batch::ToBatch;
use crate::report::gap::GapReason;

/// How long a file has not changed that is idle.
const IDLE_AFTER: Duration = Duration::from_secs(10);

/// So often at most a visit reads on, once it has news, where reads come back short: it is to be a matter of
/// milliseconds.
const READS_MAX: usize = 1024;

/// Most bytes that are read of a file whose size says nothing, and which may have no end.
const PSEUDO_MAX: u64 = 16 * 1024 * 1024;

/// How far apart, at least, two places are in time that are remembered for finding short copies.
const MARK_EVERY: Duration = Duration::from_secs(1);

/// What one visit came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Visit {
    /// Something was read or passed by, and there is probably more.
    More,
    /// Nothing came of it, but it is to be tried again in its turn.
    Again,
    /// All whole lines that are there have been taken.
    End,
    /// The batch has no room for the next line.
    Full,
    /// The file does not hold any more, before the offset, what was read there.
    Changed,
    /// There is no descriptor to open the file with.
    Short,
}

/// Buffers of a shard, for what cannot be read straight into a batch.
#[derive(Debug, Default)]
pub(crate) struct Scratch {
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

/// What a file is read with, when it is its turn.
#[derive(Debug)]
pub(crate) struct Turn<'a> {
    /// Whose lines they are.
    pub(crate) source: &'a Arc<Source>,
    pub(crate) batch: &'a mut Batch,
    pub(crate) scratch: &'a mut Scratch,
    pub(crate) cx: &'a TailContext,
}

impl Turn<'_> {
    /// Returns what renders records into the batch.
    fn sink(&mut self) -> ToBatch<'_> {
        let Self { source, batch, scratch, cx } = self;
        ToBatch::new(source, source.renderer(), cx.limit, &cx.ledger, batch, &mut scratch.line)
    }
}

/// One file that is, or was, under an input's name.
#[derive(Debug)]
pub(crate) struct Generation {
    /// Counts up with each file, or truncation, of an input.
    pub(crate) number: u32,
    pub(crate) id: FileId,
    file: Option<(Box<dyn ReadFile>, Slot)>,
    /// On what kind of file system it is, once it was open.
    storage: Option<Storage>,
    /// Everything before is delivered.
    offset: u64,
    /// What stands before the offset.
    check: Check,
    /// No newline between `offset` and here.
    searched: u64,
    /// What stands before `searched`, while that is far from the offset.
    searched_check: Check,
    /// Length when last seen, as far as that can be believed.
    size: u64,
    /// A length that was seen, but is more than could be read.
    ahead: Option<u64>,
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
    /// Since when it cannot be read.
    failing: Option<Instant>,
    /// When it was seen that it has lost its name.
    retired: Option<Instant>,
    /// Whether its content may have become another while it had its name.
    unsure: bool,
    /// Another name that it was found under then, by which it can be opened again.
    found: Option<Box<Path>>,
    /// What is not read of it, once it is deleted.
    kept: Option<Box<Kept>>,
    /// Earlier places, the last one first, of a file that is read again and again.
    marks: Option<Box<[(Instant, Resume); 2]>>,
    within: LineState,
    /// Where the hole began that is being passed by.
    hole: Option<u64>,
}

impl Generation {
    pub(crate) fn new(number: u32, id: FileId, size: u64) -> Self {
        Self {
            number,
            id,
            file: None,
            storage: None,
            offset: 0,
            check: Check::default(),
            searched: 0,
            searched_check: Check::default(),
            size,
            ahead: None,
            sure_size: 0,
            moved: Instant::now(),
            modified: None,
            suspect: false,
            shrunk: None,
            failing: None,
            retired: None,
            unsure: false,
            found: None,
            kept: None,
            marks: None,
            within: LineState::Start,
            hole: None,
        }
    }

    pub(crate) fn offset(&self) -> u64 {
        self.offset
    }

    pub(crate) fn size(&self) -> u64 {
        self.size
    }

    /// Its length as it says itself; if that says nothing, as much as may be.
    pub(crate) fn claimed_size(&self) -> u64 {
        if self.is_pseudo() { u64::MAX } else { self.ahead.unwrap_or(self.size) }
    }

    /// Whether its size says nothing of what can be read.
    pub(crate) fn is_pseudo(&self) -> bool {
        self.storage == Some(Storage::Pseudo)
    }

    /// Whether there is more than is read of a file whose size says nothing.
    pub(crate) fn is_endless(&self) -> bool {
        self.is_pseudo() && self.searched >= PSEUDO_MAX
    }

    /// Whether a file that lost its name has been quiet for long enough to be let go.
    pub(crate) fn is_quiet(&self, cx: &TailContext) -> bool {
        self.is_quieter_than(cx.grace)
    }

    /// Whether its length has not moved for longer.
    pub(crate) fn is_quieter_than(&self, time: Duration) -> bool {
        self.moved.elapsed() >= time
    }

    pub(crate) fn is_open(&self) -> bool {
        self.file.is_some()
    }

    /// Whether there may be bytes that were never looked at.
    pub(crate) fn has_news(&self) -> bool {
        self.has_more() || self.suspect
    }

    /// Whether there are bytes that were never looked at, by the size last seen.
    pub(crate) fn has_more(&self) -> bool {
        self.size > self.searched
    }

    /// Notes that the file has lost its name, and which other one it was found under, if it was searched for.
    pub(crate) fn retire(&mut self, found: Option<PathBuf>, cx: &TailContext) {
        if self.retired.is_none() {
            self.retired = Some(Instant::now());
            // One that was found by its inode's number only may be another file altogether.
            self.unsure = found.is_none() && self.has_news();
        }
        if let (None, Some((_, slot))) = (&found, &mut self.file) {
            *slot = cx.descriptors.nameless_slot();
        }
        self.found = found.map(PathBuf::into_boxed_path);
    }

    /// Notes that the file has the name again by which it is followed.
    pub(crate) fn regain(&mut self, cx: &TailContext) {
        if let Some((_, slot)) = &mut self.file {
            *slot = cx.descriptors.slot();
        }
        (self.retired, self.found, self.kept) = (None, None, None);
    }

    /// Whether it is open, and could not be opened again.
    pub(crate) fn is_nameless(&self) -> bool {
        self.is_open() && self.retired.is_some() && self.found.is_none()
    }

    /// Whether it can be opened again once it is closed.
    pub(crate) fn is_closable(&self) -> bool {
        self.is_open() && !self.is_nameless()
    }

    /// When it was seen that it has lost its name, or else when its length was last seen to move.
    pub(crate) fn changed_at(&self) -> Instant {
        self.retired.unwrap_or(self.moved)
    }

    /// Has the file open, by `path` unless it is: see [`ready`](Self::ready). One that lost its name is opened by
    /// the one that it was found under.
    pub(crate) fn ready_found(&mut self, cx: &TailContext) -> io::Result<bool> {
        match self.found.clone() {
            Some(path) => self.ready(&path, cx),
            None => Ok(self.is_open()),
        }
    }

    /// Closes the file by whose name it can be opened again, if it is read and has not changed for long.
    pub(crate) fn close_idle(&mut self, cx: &TailContext) {
        let old = |modified: SystemTime| modified.elapsed().is_ok_and(|age| age > IDLE_AFTER);
        if cx.descriptors.is_crowded() && self.offset == self.size && !self.suspect && self.modified.is_some_and(old) {
            self.close();
        }
    }

    /// Closes the file if it can be opened again. True if it was open.
    pub(crate) fn close_found(&mut self) -> bool {
        self.found.is_some() && self.file.take().is_some()
    }

    /// Counts its bytes among those of deleted files no more.
    pub(crate) fn release_kept(&mut self) {
        self.kept = None;
    }

    /// Whether a deleted file is kept for longer than the user wants, or takes more of the disk, with the others.
    pub(crate) fn has_expired(&mut self, cx: &TailContext) -> bool {
        if let Some(max) = cx.deleted_max_bytes {
            self.kept = None;
            self.kept = Some(Box::new(cx.claims.keep(self.size - self.offset.min(self.size))));
            if cx.claims.kept() > max {
                return true;
            }
        }
        self.retired.zip(cx.deleted_max_age).is_some_and(|(retired, max)| retired.elapsed() > max)
    }

    /// Whether what it holds now may have been written while it had its name.
    pub(crate) fn is_unsure(&self) -> bool {
        self.unsure
    }

    /// Whether all that was seen is read, so that the next read tells as much as a look.
    pub(crate) fn is_read(&self) -> bool {
        self.is_open() && self.offset > 0 && !self.has_news() && self.storage == Some(Storage::Local)
    }

    /// Has the content before the offset checked at the next visit.
    pub(crate) fn suspect(&mut self) {
        self.suspect = true;
    }

    /// Where the file is left, for whoever goes on.
    pub(crate) fn place(&self) -> Resume {
        Resume { offset: self.offset, check: self.check, within: self.within }
    }

    /// Takes note of what a file ends with of which nothing is read yet: by that it is known again, and so is its
    /// copy should it be cut before it is read.
    pub(crate) fn peek(&mut self) -> io::Result<()> {
        if self.searched == 0
            && self.size > 0
            && self.marks.is_none()
            && let Some(check) = self.check_at(self.size)?
        {
            let end = Resume { offset: self.size, check, within: LineState::Start };
            self.marks = Some(Box::new([(Instant::now(), end); 2]));
            self.sure_size = self.size;
        }
        Ok(())
    }

    /// By which place this content is known from others: where it was read up to, or was seen to end before.
    pub(crate) fn known(&self) -> Option<Resume> {
        match &self.marks {
            _ if self.offset > 0 => Some(self.place()),
            marks => marks.as_ref().map(|marks| marks[0].1),
        }
    }

    /// Whether the file that is open holds, at a place, what stood there.
    pub(crate) fn holds(&self, at: Resume) -> io::Result<bool> {
        Ok(at.offset <= self.claimed_size() && self.has_before(at.offset, at.check)?)
    }

    /// Remembers where the file is read from now, if it is some time since that was done.
    fn mark(&mut self) {
        // What is read has come just now.
        let now = (self.moved, self.place());
        match &mut self.marks {
            _ if self.offset == 0 => {}
            None => self.marks = Some(Box::new([now; 2])),
            Some(marks) if marks[0].1.offset == self.offset => {}
            Some(marks) if self.moved.saturating_duration_since(marks[0].0) < MARK_EVERY => {}
            Some(marks) => **marks = [now, marks[0]],
        }
    }

    /// Whether this file holds the beginning, and no more, of what was read of the other one. All of it then counts
    /// as read.
    pub(crate) fn skip_short_copy(&mut self, original: &Self) -> io::Result<bool> {
        let short = self.size < original.offset;
        for (_, place) in original.marks.iter().flat_map(|marks| marks.iter()).filter(|_| short) {
            if self.resume(*place)? {
                self.move_to(self.size)?;
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Goes on where somebody left off, if the bytes there are still the same; else, false, at the start.
    pub(crate) fn resume(&mut self, at: Resume) -> io::Result<bool> {
        let same = self.holds(at)?;
        if same {
            self.expect(at);
            self.sure_size = self.size;
        }
        Ok(same)
    }

    /// Reads with the open file; none if it is closed.
    pub(crate) fn with_file<T>(&self, read: impl FnOnce(&dyn ReadFile) -> io::Result<T>) -> io::Result<Option<T>> {
        self.file.as_ref().map(|(file, _)| read(&**file)).transpose()
    }

    /// Has reading begin where somebody left off, once the file is opened.
    pub(crate) fn expect(&mut self, at: Resume) {
        (self.offset, self.searched) = (at.offset, at.offset);
        (self.check, self.within) = (at.check, at.within);
    }

    /// Whether something of it is left to be read that cannot be read now. Where only its length is ahead of it, what
    /// there is can be.
    pub(crate) fn is_unread(&self) -> bool {
        self.size > self.offset && (!self.is_open() || self.failing.is_some() && self.ahead.is_none())
    }

    /// Whether it ends in a fragment.
    pub(crate) fn has_rest(&self) -> bool {
        self.searched > self.offset
    }

    /// Counts bytes up to an offset as accounted for elsewhere.
    pub(crate) fn accounted(&mut self, offset: u64) {
        let seen = self.shrunk.unwrap_or(0).max(self.size);
        self.offset = self.offset.max(offset.min(seen));
    }

    /// Opens the file under `path`; false if that is another one by now, or none.
    pub(crate) fn open(&mut self, path: &Path, cx: &TailContext) -> io::Result<bool> {
        if !cx.descriptors.may_open() {
            return Err(cx.descriptors.refusal());
        }
        let slot = cx.descriptors.slot();
        let file = match cx.fs.open(path) {
            Err(error) if is_missing(&error) => return Ok(false),
            opened => opened.inspect_err(|error| cx.descriptors.failed(error, &cx.ledger))?,
        };
        cx.descriptors.opened(file.descriptor(), &cx.ledger);
        let stat = file.stat()?;
        if stat.id != self.id {
            return Ok(false);
        }
        if self.storage.is_none() {
            let kind = cx.claims.storage(stat.id.dev, || file.storage().unwrap_or_default());
            self.storage = Some(storage(&*file, kind, stat.size)?);
            if self.is_pseudo() {
                (self.size, self.suspect) = (0, true);
            }
        }
        self.file = Some((file, slot));
        self.saw(&stat);
        Ok(true)
    }

    /// Has the file open, under `path` if it is closed; false if that is another one by now. After a failed read it
    /// is opened anew: its descriptor may be what is wrong, as when a file server has forgotten it.
    pub(crate) fn ready(&mut self, path: &Path, cx: &TailContext) -> io::Result<bool> {
        if self.file.is_none() {
            return self.open(path, cx);
        }
        if self.failing.is_some() {
            // Where that fails there is still the descriptor, which may do again.
            drop(self.open(path, cx));
        }
        Ok(true)
    }

    /// Takes note of what came of reading: what failed is tried again.
    fn tried(&mut self, visit: io::Result<Visit>) -> io::Result<Visit> {
        match visit {
            Ok(Visit::Changed) => self.failing = None,
            Ok(_) => {
                self.failing = None;
                self.sure_size = self.size;
                self.unsure = false;
            }
            Err(_) => {
                self.failing.get_or_insert_with(Instant::now);
                self.suspect = true;
            }
        }
        visit
    }

    /// For how long it cannot be read, if so.
    pub(crate) fn failing(&self) -> Option<Duration> {
        self.failing.map(|since| since.elapsed())
    }

    pub(crate) fn close(&mut self) {
        self.file = None;
    }

    /// Moves to an offset, or to the start of the line that it stands in.
    pub(crate) fn skip_to(&mut self, mut end: u64, scratch: &mut Scratch) -> io::Result<()> {
        let Some((file, _)) = &self.file else { return Ok(()) };
        if self.is_pseudo() {
            end = PSEUDO_MAX;
        }
        while end > 0 {
            let bytes = scratch.bytes(usize::try_from(end).unwrap_or(usize::MAX).min(64 * 1024));
            let from = end - bytes.len() as u64;
            let got = read_all(&**file, bytes, from)?;
            if let Some(at) = memrchr(b'\n', &bytes[..got]) {
                end = from + at as u64 + 1;
                break;
            }
            end = from;
        }
        self.move_to(end)
    }

    /// Moves to an offset, and takes note of what stands before it.
    pub(crate) fn move_to(&mut self, end: u64) -> io::Result<()> {
        if self.is_open() {
            // Where the file ends sooner, there is nothing to tell by.
            self.check = self.check_at(end)?.unwrap_or_default();
            (self.offset, self.searched) = (end, end);
        }
        Ok(())
    }

    /// What stands before an offset; none if the file is closed, or ends sooner.
    fn check_at(&self, end: u64) -> io::Result<Option<Check>> {
        let Some((file, _)) = &self.file else { return Ok(None) };
        let mut window = Window::new(usize::try_from(end).unwrap_or(usize::MAX));
        let from = end - window.bytes_mut().len() as u64;
        let got = read_all(&**file, window.bytes_mut(), from)?;
        Ok((got == window.bytes_mut().len()).then(|| window.check()))
    }

    /// Asks how the file is: whether it was cut below what has been read, and how many names it has.
    pub(crate) fn look(&mut self, cx: &TailContext) -> io::Result<(bool, u64)> {
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

    /// Why it does not hold what was read of it, by how it is now. An error: that cannot be told, and it is checked again
    /// at the next visit. A length of before would have bytes counted as lost that come out.
    pub(crate) fn why_changed(&mut self, cx: &TailContext) -> io::Result<GapReason> {
        let (cut, _) = self.look(cx).inspect_err(|_| self.suspect())?;
        Ok(if cut || self.shrunk.is_some() { GapReason::Truncated } else { GapReason::Overwritten })
    }

    /// Takes note of how the file is. True if it was cut below what has been read, or before anything was: that part
    /// is over.
    pub(crate) fn saw(&mut self, stat: &Stat) -> bool {
        if self.is_pseudo() {
            return false;
        }
        self.ahead = self.ahead.filter(|size| *size == stat.size);
        let size = if self.ahead.is_some() { self.size } else { stat.size };
        let shrank = size < self.size;
        if size != self.size {
            self.moved = Instant::now();
        }
        if size < self.searched {
            self.searched = self.offset;
        }
        if shrank {
            self.shrunk = self.shrunk.max(Some(self.size));
            self.suspect = true;
        }
        self.size = size;
        // Nothing before the offset could tell later that it is another content: each cut counts by itself.
        if size < self.offset || shrank && self.offset == 0 {
            return !self.disproves(size);
        }
        self.suspect |= stat.modified != self.modified && self.searched > 0;
        let age = stat.modified.and_then(|modified| SystemTime::now().duration_since(modified).ok());
        self.modified = stat.modified.filter(|_| age.is_none_or(|age| age >= MODIFIED_GRAIN));
        false
    }

    /// Whether it still has what is known to stand beyond a size that it says to have, which is then not believed. On
    /// local file systems it is. Where nothing of it is known, that there is a byte where it ended before says as much.
    fn disproves(&mut self, size: u64) -> bool {
        if !self.is_open() || self.storage != Some(Storage::Other) {
            return false;
        }
        let (end, has) = match (self.known(), self.shrunk) {
            (Some(at), _) => (at.offset, at.offset > size && self.has_before(at.offset, at.check).unwrap_or(false)),
            (None, Some(before)) => (before, self.has_byte(before.saturating_sub(1)).unwrap_or(false)),
            (None, None) => return false,
        };
        if has {
            (self.size, self.shrunk) = (end, None);
        }
        has
    }

    fn has_byte(&self, at: u64) -> io::Result<bool> {
        let Some((file, _)) = &self.file else { return Ok(false) };
        Ok(read_all(&**file, &mut [0], at)? > 0)
    }

    /// Starts again at the file's first byte; what was not read of the old content is a gap.
    pub(crate) fn restart(&mut self, number: u32, size: u64, reason: GapReason, source: &Source, cx: &TailContext) {
        self.abandon(reason, source, cx);
        let (file, storage, retired, found) = (self.file.take(), self.storage, self.retired, self.found.take());
        *self = Self { file, storage, retired, found, ..Self::new(number, self.id, size) };
    }

    /// Gives up on what was not read.
    pub(crate) fn abandon(&mut self, reason: GapReason, source: &Source, cx: &TailContext) {
        self.leave(source, cx);
        // Of content that is gone, only so much was there for certain.
        let seen = match (self.shrunk.take(), reason) {
            _ if self.is_pseudo() => self.offset,
            (Some(before), GapReason::Truncated) => before,
            (Some(before), _) => before.max(self.size),
            (None, GapReason::Overwritten) => self.sure_size,
            (None, _) => self.size,
        };
        let end = seen.max(self.offset);
        match end > self.offset {
            true => cx.ledger.gap(source.path(), self.offset, end, reason),
            // What came after it was last looked at is nowhere to be seen.
            false => cx.ledger.possible_loss(source),
        }
        (self.offset, self.searched, self.within) = (end, end, LineState::Start);
    }
}

/// On what kind of storage a file is that says to be so long, if its device is of this kind. Where nothing is known of
/// that, a file that is empty by its size and yet has something to read is like those of the kernel.
fn storage(file: &dyn ReadFile, kind: Storage, size: u64) -> io::Result<Storage> {
    match kind {
        Storage::Other if size == 0 && read_all(file, &mut [0], 0)? > 0 && file.stat()?.size == 0 => {
            Ok(Storage::Pseudo)
        }
        storage => Ok(storage),
    }
}

/// A read that may be made of several.
#[derive(Clone, Copy, Debug)]
struct Got {
    len: usize,
    /// Whether the file had no more.
    ended: bool,
    /// Whether it was more than one read, so that the bytes may not be of one moment.
    torn: bool,
}

/// Reads on where a read comes back short, until the buffers are full or the file has no more; but no further than
/// `known`, up to where there are bytes for certain, or for too long, once `need` bytes are there.
fn read_at(
    file: &dyn ReadFile,
    mut bufs: &mut [IoSliceMut<'_>],
    offset: u64,
    need: usize,
    known: u64,
) -> io::Result<Got> {
    let room = bufs.iter().map(|buf| buf.len()).sum();
    let (mut len, mut reads, mut more) = (0, 0, READS_MAX);
    while len < room {
        if len >= need && reads > 0 {
            if more == 0 || offset + len as u64 >= known {
                return Ok(Got { len, ended: false, torn: reads > 1 });
            }
            more -= 1;
        }
        match file.read_at(bufs, offset + len as u64) {
            Ok(0) => return Ok(Got { len, ended: true, torn: reads > 1 }),
            Ok(got) => {
                IoSliceMut::advance_slices(&mut bufs, got);
                (len, reads) = (len + got, reads + 1);
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            // What is there counts; what is wrong is found again by the next read.
            Err(_) if len >= need && reads > 0 => more = 0,
            Err(error) => return Err(error),
        }
    }
    Ok(Got { len, ended: false, torn: reads > 1 })
}

/// Reads all of the buffer, or up to the end of the file. Tells how much that is.
pub(crate) fn read_all(file: &dyn ReadFile, bytes: &mut [u8], offset: u64) -> io::Result<usize> {
    let need = bytes.len();
    read_at(file, &mut [IoSliceMut::new(bytes)], offset, need, u64::MAX).map(|got| got.len)
}
