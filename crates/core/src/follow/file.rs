//! Reading one file from where it was left to its end, in whole lines.
//!
//! The rule that matters: `offset` only ever moves past bytes that are committed to a batch or accounted
//! for as a gap. A fragment stays in the file until its newline is there.

pub(crate) mod bytes;
pub(crate) mod content;
pub(crate) mod nuls;
pub(crate) mod read;
pub(crate) mod realign;
pub(crate) mod stat;
pub(crate) mod turn;
pub(crate) mod unnamed;

use std::io;
use std::path::Path;
use std::time::{Duration, Instant, SystemTime};

use crate::batch::fingerprint::{Fingerprint, LineStart};
use crate::batch::position::{FilePosition, LineState, Position};
use crate::batch::source::Source;
use crate::clock;
use crate::follow::context::ReadContext;
use crate::follow::descriptors::Slot;
use crate::follow::file::bytes::storage;
use crate::follow::registry::DeletedBytes;
use crate::fs::{FileId, ReadFile, Storage, is_missing};
use crate::report::gap::GapReason;

/// A file that has not changed for this long is idle.
const IDLE_AFTER: Duration = Duration::from_secs(10);

/// At most so many bytes are read of a file whose size does not tell its length, since it may have no end.
const PSEUDO_MAX: u64 = 16 * 1024 * 1024;

/// Two positions that are remembered for finding short copies are at least this far apart in time.
const MARK_EVERY: Duration = Duration::from_secs(1);

/// The outcome of reading a file once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ReadOutcome {
    /// Bytes were read or skipped, and there are probably more.
    More,
    /// No progress was made; it is tried again when it is its turn.
    Again,
    /// All whole lines that are there have been taken.
    End,
    /// The batch has no room for the next line.
    Full,
    /// The file does not hold the bytes any more that were read before the offset.
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
    /// The kind of its file system; none before it was first opened.
    storage: Option<Storage>,
    /// Where reading continues: all bytes before it are delivered or counted as a gap.
    at: Position,
    searched: Searched,
    length: Length,
    /// True if the content may have changed although the length is the same.
    suspect: bool,
    /// The time since which it cannot be read.
    failing: Option<Instant>,
    /// Present once it was seen to have lost its name.
    unnamed: Option<Box<Unnamed>>,
    /// Two earlier positions, the later one first.
    marks: Option<Box<[(Instant, Position); 2]>>,
    /// NULs behind the content, if there were any when it was last read.
    nuls: Option<Box<Nuls>>,
    /// NULs before this offset are content.
    solid: u64,
    /// True if the content is what came after a truncation.
    was_cut: bool,
    /// True once a hole in it stayed for so long that it counts as lost: no other one is waited for.
    has_lost_hole: bool,
    /// The offset before which a hole was made of what was read, and the length that was seen before that.
    punched: Option<(u64, u64)>,
    /// The bytes at its start, once they were read from there: a check sum by which it is looked up.
    pub(crate) head: Option<u32>,
    /// The starts of the last lines, in case they are written anew.
    line_starts: [LineStart; 2],
}

/// How far the next newline was searched.
#[derive(Debug)]
struct Searched {
    /// There is no newline between the position and this offset.
    to: u64,
    /// The fingerprint of the bytes before it, while that is far from the position.
    fingerprint: Fingerprint,
}

/// The length of a file, as far as the system can be believed, and what it tells of the content.
#[derive(Debug)]
struct Length {
    /// The length when it was last seen.
    size: u64,
    /// A length that was seen, although fewer bytes could be read.
    ahead: Option<u64>,
    /// The length when the content was last known to be the same.
    sure: u64,
    /// The length before it got shorter, until it is known whether the content before the position is the same.
    shrunk: Option<u64>,
    /// The time when the length was last seen to change.
    moved: Instant,
    /// The modification time when it was last seen; none if a later change may not have moved it.
    modified: Option<SystemTime>,
}

/// NULs behind the content that was found so far.
#[derive(Debug, Default)]
struct Nuls {
    /// The end of that content when the search began.
    from: u64,
    /// All bytes up to here were NUL.
    to: u64,
    /// True if the search began at `from`, and nothing was waited for since.
    is_fresh: bool,
    /// The time when content was first seen behind a hole.
    behind: Option<Instant>,
    /// True once content was seen behind NULs that were written: they are content if they are there after that, too.
    has_data_behind: bool,
}

/// What is known of a file that has lost its name.
#[derive(Debug)]
struct Unnamed {
    /// The time when that was seen.
    since: Instant,
    /// True if its content may have changed while it had its name.
    unsure: bool,
    /// The other name that it was then found under, by which it can be opened again.
    found: Option<Box<Path>>,
    /// Counts its unread bytes among those of deleted files.
    counted: Option<DeletedBytes>,
}

impl Generation {
    pub(crate) fn new(number: u32, id: FileId, size: u64) -> Self {
        Self {
            number,
            id,
            file: None,
            storage: None,
            at: Position::at(0),
            searched: Searched { to: 0, fingerprint: Fingerprint::default() },
            length: Length { size, ahead: None, sure: 0, shrunk: None, moved: clock::now(), modified: None },
            suspect: false,
            failing: None,
            unnamed: None,
            marks: None,
            nuls: None,
            solid: 0,
            was_cut: false,
            has_lost_hole: false,
            punched: None,
            head: None,
            line_starts: [LineStart::default(); 2],
        }
    }

    pub(crate) fn offset(&self) -> u64 {
        self.at.offset
    }

    pub(crate) fn size(&self) -> u64 {
        self.length.size
    }

    /// Returns the length that the system reports; the greatest possible one if that does not tell it.
    pub(crate) fn claimed_size(&self) -> u64 {
        if self.is_pseudo() { u64::MAX } else { self.length.ahead.unwrap_or(self.length.size) }
    }

    /// Returns the kind of its file system; none before it was first opened.
    pub(crate) fn storage(&self) -> Option<Storage> {
        self.storage
    }

    /// Returns true if its size does not tell how much can be read.
    pub(crate) fn is_pseudo(&self) -> bool {
        self.storage == Some(Storage::Pseudo)
    }

    /// Returns true if a file whose size does not tell its length was read to the limit.
    pub(crate) fn is_endless(&self) -> bool {
        self.is_pseudo() && self.searched.to >= PSEUDO_MAX
    }

    /// Returns true if a file without its name has been quiet for long enough to be closed.
    pub(crate) fn is_quiet(&self, cx: &ReadContext) -> bool {
        self.is_quieter_than(cx.settings.grace)
    }

    /// Returns true if its length has not changed for longer than `time`.
    pub(crate) fn is_quieter_than(&self, time: Duration) -> bool {
        clock::since(self.length.moved) >= time
    }

    pub(crate) fn is_open(&self) -> bool {
        self.file.is_some()
    }

    /// Returns true if there may be bytes that were never read.
    pub(crate) fn has_news(&self) -> bool {
        self.has_more() || self.suspect
    }

    /// Returns true if there are bytes that were never read, by the size last seen.
    pub(crate) fn has_more(&self) -> bool {
        self.length.size > self.looked_to()
    }

    /// Closes a file that can be opened again by its name, if it is read and has not changed for long.
    pub(crate) fn close_idle(&mut self, cx: &ReadContext) {
        let old = |modified: SystemTime| clock::age(modified).is_some_and(|age| age > IDLE_AFTER);
        if cx.descriptors.is_crowded()
            && self.at.offset == self.length.size
            && !self.suspect
            && self.length.modified.is_some_and(old)
        {
            self.close();
        }
    }

    /// Returns true if all bytes that were seen are read, so that the next read tells as much as a stat.
    pub(crate) fn is_read(&self) -> bool {
        self.is_open() && self.at.offset > 0 && !self.has_news() && self.storage == Some(Storage::Local)
    }

    /// Makes the next visit check the content before the offset.
    pub(crate) fn suspect(&mut self) {
        self.suspect = true;
    }

    /// Calls `read` with the open file; returns none if it is closed.
    pub(crate) fn with_file<T>(&self, read: impl FnOnce(&dyn ReadFile) -> io::Result<T>) -> io::Result<Option<T>> {
        self.file.as_ref().map(|(file, _)| read(&**file)).transpose()
    }

    /// Returns true if bytes of it are unread and cannot be read now. A file whose length is ahead of its bytes can be
    /// read as far as it goes.
    pub(crate) fn is_unread(&self) -> bool {
        self.content_size() > self.at.offset
            && (!self.is_open() || self.failing.is_some() && self.length.ahead.is_none())
    }

    /// Returns true if it ends in a fragment.
    pub(crate) fn has_rest(&self) -> bool {
        self.searched.to > self.at.offset
    }

    /// Counts bytes up to an offset as accounted for elsewhere.
    pub(crate) fn accounted(&mut self, offset: u64) {
        let seen = self.length.shrunk.unwrap_or(0).max(self.length.size);
        self.at.offset = self.at.offset.max(offset.min(seen));
    }

    /// Opens the file at `path`. Returns false if another one is there by now, or none.
    pub(crate) fn open(&mut self, path: &Path, cx: &ReadContext) -> io::Result<bool> {
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
                (self.length.size, self.suspect) = (0, true);
            }
        }
        self.file = Some((file, slot));
        self.apply_stat(&stat);
        Ok(true)
    }

    /// Opens the file at `path` if it is closed. Returns false if another one is there by now. After a failed read it
    /// is opened again: its descriptor may be the cause, as when a file server has forgotten it.
    pub(crate) fn ready(&mut self, path: &Path, cx: &ReadContext) -> io::Result<bool> {
        if self.file.is_none() {
            return self.open(path, cx);
        }
        if self.failing.is_some() {
            self.open(path, cx).ok(); // Where that fails there is still the descriptor, which may do again.
        }
        Ok(true)
    }

    /// Records the outcome of a read. A failed one is tried again.
    fn tried(&mut self, visit: io::Result<ReadOutcome>) -> io::Result<ReadOutcome> {
        match visit {
            Ok(ReadOutcome::Changed) => self.failing = None,
            Ok(_) => {
                self.failing = None;
                self.length.sure = self.length.size;
                if let Some(unnamed) = &mut self.unnamed {
                    unnamed.unsure = false;
                }
            }
            Err(_) => {
                self.failing.get_or_insert_with(clock::now);
                self.suspect = true;
            }
        }
        visit
    }

    /// Returns for how long it could not be read, if it cannot be read.
    pub(crate) fn failing(&self) -> Option<Duration> {
        self.failing.map(clock::since)
    }

    pub(crate) fn close(&mut self) {
        self.file = None;
    }

    /// Starts again at the file's first byte; what was not read of the old content is a gap.
    pub(crate) fn restart(&mut self, number: u32, size: u64, reason: GapReason, source: &Source, cx: &ReadContext) {
        self.abandon(reason, source, cx);
        let (file, storage, mut unnamed) = (self.file.take(), self.storage, self.unnamed.take());
        if let Some(unnamed) = &mut unnamed {
            (unnamed.unsure, unnamed.counted) = (false, None);
        }
        let was_cut = reason == GapReason::Truncated;
        *self = Self { file, storage, unnamed, was_cut, ..Self::new(number, self.id, size) };
        self.tell_begin(source, cx);
    }

    /// Records that reading begins at the position, or is to begin there.
    pub(crate) fn tell_begin(&self, source: &Source, cx: &ReadContext) {
        cx.ledger.begins(source, self.number, FilePosition { file: self.id, position: self.at });
    }

    /// Records that it is read no more: what is then left unread is a gap. If it `goes_on`, another input that waits for
    /// it is about to continue at its position.
    pub(crate) fn give_up(&self, goes_on: bool, source: &Source, cx: &ReadContext) {
        cx.ledger.gives_up(source, self.number, self.at.offset, goes_on && cx.registry.is_wanted(self.id));
    }

    /// Records the unread bytes as a gap.
    pub(crate) fn abandon(&mut self, reason: GapReason, source: &Source, cx: &ReadContext) {
        self.finish_drop(source, cx);
        // Of content that is gone, only so much was there for certain.
        let seen = match (self.length.shrunk.take(), reason) {
            _ if self.is_pseudo() => self.at.offset,
            (Some(before), GapReason::Truncated) => before,
            (Some(before), _) => before.max(self.content_size()),
            (None, GapReason::Overwritten) => self.length.sure.min(self.content_size()),
            (None, _) => self.content_size(),
        };
        let end = seen.max(self.at.offset);
        match end > self.at.offset {
            true => cx.ledger.gap(source.path(), self.at.offset, end, reason),
            // What came after it was last looked at is nowhere to be seen.
            false => cx.ledger.possible_loss(source),
        }
        (self.at.offset, self.searched.to, self.at.line) = (end, end, LineState::Start);
    }
}
