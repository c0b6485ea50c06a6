//! Reading one file from where it was left to its end, in whole lines.
//!
//! The rule that matters: `offset` only ever moves past bytes that are committed to a batch or accounted
//! for as a gap. A fragment stays in the file until its newline is there.

pub(crate) mod bytes;
pub(crate) mod content;
pub(crate) mod read;
pub(crate) mod stat;
pub(crate) mod turn;
pub(crate) mod unnamed;

use std::io;
use std::path::Path;
use std::time::{Duration, Instant, SystemTime};

use crate::batch::Source;
use crate::follow::context::TailContext;
use crate::follow::descriptors::Slot;
use crate::follow::file::bytes::storage;
use crate::follow::fingerprint::Fingerprint;
use crate::follow::registry::{Kept, Position};
use crate::fs::{FileId, ReadFile, Storage, is_missing};
use crate::record::framer::LineState;
use crate::report::gap::GapReason;

/// How long a file has not changed that is idle.
const IDLE_AFTER: Duration = Duration::from_secs(10);

/// Most bytes that are read of a file whose size says nothing, and which may have no end.
const PSEUDO_MAX: u64 = 16 * 1024 * 1024;

/// How far apart, at least, two places are in time that are remembered for finding short copies.
const MARK_EVERY: Duration = Duration::from_secs(1);

/// What one visit came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ReadOutcome {
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
    fingerprint: Fingerprint,
    /// No newline between `offset` and here.
    searched: u64,
    /// What stands before `searched`, while that is far from the offset.
    searched_fingerprint: Fingerprint,
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
    marks: Option<Box<[(Instant, Position); 2]>>,
    line: LineState,
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
            fingerprint: Fingerprint::default(),
            searched: 0,
            searched_fingerprint: Fingerprint::default(),
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
            line: LineState::Start,
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

    /// Closes the file by whose name it can be opened again, if it is read and has not changed for long.
    pub(crate) fn close_idle(&mut self, cx: &TailContext) {
        let old = |modified: SystemTime| modified.elapsed().is_ok_and(|age| age > IDLE_AFTER);
        if cx.descriptors.is_crowded() && self.offset == self.size && !self.suspect && self.modified.is_some_and(old) {
            self.close();
        }
    }

    /// Whether all that was seen is read, so that the next read tells as much as a look.
    pub(crate) fn is_read(&self) -> bool {
        self.is_open() && self.offset > 0 && !self.has_news() && self.storage == Some(Storage::Local)
    }

    /// Has the content before the offset checked at the next visit.
    pub(crate) fn suspect(&mut self) {
        self.suspect = true;
    }

    /// Reads with the open file; none if it is closed.
    pub(crate) fn with_file<T>(&self, read: impl FnOnce(&dyn ReadFile) -> io::Result<T>) -> io::Result<Option<T>> {
        self.file.as_ref().map(|(file, _)| read(&**file)).transpose()
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
            let kind = cx.registry.storage(stat.id.dev, || file.storage().unwrap_or_default());
            self.storage = Some(storage(&*file, kind, stat.size)?);
            if self.is_pseudo() {
                (self.size, self.suspect) = (0, true);
            }
        }
        self.file = Some((file, slot));
        self.apply_stat(&stat);
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
    fn tried(&mut self, visit: io::Result<ReadOutcome>) -> io::Result<ReadOutcome> {
        match visit {
            Ok(ReadOutcome::Changed) => self.failing = None,
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
        (self.offset, self.searched, self.line) = (end, end, LineState::Start);
    }
}
