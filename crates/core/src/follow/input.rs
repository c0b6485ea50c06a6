//! One input: a path, the file that is there now, and those that were there before and are not yet read
//! to their end.

pub(crate) mod older;

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use crate::batch::{Batch, Source};
use crate::discover::command::Related;
use crate::discover::pattern::is_pattern;
use crate::follow::context::{StartAt, TailContext};
use crate::follow::copies::Copies;
use crate::follow::fifo::{FifoInput, Streams};
use crate::follow::file::turn::{Scratch, Turn};
use crate::follow::file::{Generation, ReadOutcome};
use crate::follow::pause::Pause;
use crate::follow::registry::{Claimed, Position};
use crate::follow::trouble::Trouble;
use crate::fs::{FileId, Kind, RefusedLink, Stat, here, is_missing, is_shortage};
use crate::report::event::Event;
use crate::report::gap::GapReason;

/// At the end, reading is tried again so often.
const LAST_TRIES: u8 = 3;

/// A file that grows after this long may have been cut meanwhile: its content is checked at once, since it may be cut
/// again before it is its turn to be read.
const UNWATCHED_MAX: Duration = Duration::from_secs(1);

/// The place where reading begins in a file.
#[derive(Clone, Copy, Debug)]
enum Begin {
    Start,
    /// At the start of the line in which this offset is, or of the file if that is shorter by then.
    At(u64),
    /// At the position where the file was released.
    Resume(Position),
}

/// The way in which an input is polled.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Polling {
    /// Not at all: its changes are notified.
    Never,
    /// With others like it, so many at a time: nothing is read there now. Anybody can make any number of these, such as
    /// names of one file.
    ByTurns,
    Always,
}

/// A path that a merge follows.
#[derive(Debug)]
pub(crate) struct Input {
    pub(crate) path: Arc<Path>,
    /// Made when the first file is opened: an input without any file does not appear in the report.
    source: Option<Arc<Source>>,
    /// True if the user named it; otherwise a pattern matched it.
    named: bool,
    /// The place to begin in a file that is there at first.
    start: StartAt,
    /// The file at the path now.
    current: Option<Generation>,
    /// Files that were at the path, the oldest first.
    older: Vec<Generation>,
    next_number: u32,
    /// True while it waits to be read.
    pub(crate) hot: bool,
    /// True if it is among those that are polled.
    pub(crate) polled: bool,
    /// True if changes at the path are notified.
    is_watched: bool,
    /// True if it is among those that are polled by turns.
    pub(crate) has_turn: bool,
    /// True if the file has other names: writes by a name elsewhere are not notified by its directory.
    linked: bool,
    /// The file that is watched by itself for that.
    watched_file: Option<Box<FileId>>,
    /// True if the last outcome may change without a notice: it failed, or waits for something.
    unsettled: bool,
    /// The pause after fruitless tries, unless there is a hint.
    pause: Pause,
    /// No pattern finds it any more.
    pub(crate) gone: bool,
    /// The inputs that it is related to.
    related: Option<Box<Related>>,
    /// True if it was there at the start and has not been opened.
    present: bool,
    /// Files beside it that may be copies of its content.
    copies: Copies,
    /// The state of the file when it was set aside as too old.
    aside: Option<Box<Stat>>,
    /// The place to begin in the current file, as long as that was never opened.
    unopened: Option<Box<Begin>>,
    /// The FIFO at the path, while it is read as a stream.
    fifo: Option<FifoInput>,
    /// The last trouble that was emitted, so that each is emitted once.
    trouble: Option<Trouble>,
    /// The error of the last failed read that was emitted.
    read_failed: Option<io::ErrorKind>,
    /// The number of tries at the end.
    last_tries: u8,
    /// The offset up to which the current file is read, once no input joins any more.
    until: Option<u64>,
}

impl Input {
    pub(crate) fn new(
        path: Arc<Path>,
        named: bool,
        start: StartAt,
        present: bool,
        related: Option<Box<Related>>,
    ) -> Self {
        Self {
            path,
            source: None,
            named,
            start,
            current: None,
            older: Vec::new(),
            next_number: 0,
            hot: false,
            polled: false,
            is_watched: false,
            has_turn: false,
            linked: false,
            watched_file: None,
            unsettled: false,
            pause: Pause::default(),
            gone: false,
            related,
            present,
            copies: Copies::default(),
            aside: None,
            unopened: None,
            fifo: None,
            trouble: None,
            read_failed: None,
            last_tries: 0,
            until: None,
        }
    }

    /// Returns true if nothing is left of an input that no pattern finds any more.
    pub(crate) fn is_over(&self) -> bool {
        self.gone && self.current.is_none() && self.older.is_empty()
    }

    /// Returns how the input has to be polled.
    pub(crate) fn polling(&self) -> Polling {
        let reads = self.current.is_some() || !self.older.is_empty() || !self.copies.is_empty();
        // Who may change where a refused link leads is found out by the sweep.
        let is_refused = matches!(self.trouble, Some(Trouble::Link(_)));
        let needs_polling = !self.is_watched && !is_refused
            || self.linked && self.watched_file.is_none() && self.trouble != Some(Trouble::SameFile)
            || self.unsettled
            || self.pause.has_failed()
            || !self.older.is_empty()
            || !self.copies.is_empty()
            || self.current.as_ref().is_some_and(Generation::is_pseudo);
        match (needs_polling, reads) {
            (false, _) => Polling::Never,
            (true, true) => Polling::Always,
            (true, false) => Polling::ByTurns,
        }
    }

    /// Returns the time until which it is left alone, unless there is a hint.
    pub(crate) fn rests_until(&self) -> Option<Instant> {
        self.pause.until()
    }

    /// Records that the path may lead elsewhere, or through a link: whether it is watched is asked again.
    pub(crate) fn invalidate_watch(&mut self) {
        self.is_watched = false;
    }

    /// Returns the path that leads to the same file, and true if a new file waits for that one.
    pub(crate) fn alias_of(&self) -> Option<(&Arc<Path>, bool)> {
        let related = self.related.as_ref()?;
        related.alias_of.as_ref().map(|alias_of| (alias_of, related.left.is_some()))
    }

    /// Returns the path of the input that this one may be a copy of.
    pub(crate) fn base(&self) -> Option<&Arc<Path>> {
        self.related.as_ref()?.base.as_ref()
    }

    /// Returns true if the file that appeared at `path` is held, since it may be a copy of this one.
    fn holds_copy(&mut self, path: &Path, stat: &Stat, cx: &TailContext) -> bool {
        let original = self.current.as_ref().filter(|_| self.unopened.is_none());
        original.is_some_and(|original| self.copies.holds(original, path, stat, cx))
    }

    /// Looks what is under the path now, without reading. True if there is something to read. `base_input` is the input
    /// that this one is beside.
    pub(crate) fn stat_path(&mut self, base_input: Option<&mut Self>, scratch: &mut Scratch, cx: &TailContext) -> bool {
        let start = std::mem::take(&mut self.start);
        let base_input = base_input.filter(|_| !self.present);
        (self.unsettled, self.linked) = (false, false);
        let renewed = !self.is_watched;
        if renewed {
            self.is_watched = cx.is_watched(&self.path);
        }
        let stat = cx.fs.stat(&self.path);
        if let Some(fifo) = &self.fifo
            && !stat.as_ref().is_ok_and(|stat| stat.id == fifo.id())
        {
            self.fifo = None;
        }
        match stat {
            Ok(stat) => match Trouble::of(stat.kind) {
                None => {
                    self.apply_path_stat(stat, start, base_input, scratch, cx);
                    self.note_names(&stat, renewed, cx);
                }
                Some(trouble) => {
                    self.retire_current(cx);
                    match &cx.streams {
                        Some(streams) if self.named && stat.kind == Kind::Fifo => self.stream(stat.id, streams, cx),
                        _ => self.trouble(trouble, cx),
                    }
                }
            },
            Err(error) if is_missing(&error) => {
                if !self.named && !self.gone && self.next_number == 0 && self.trouble.is_none() {
                    self.unseen(cx);
                }
                self.retire_current(cx);
                self.trouble(Trouble::Missing, cx);
                // What a link led to may come back without a word.
                self.is_watched = cx.is_watched(&self.path);
                if self.older.is_empty() && !self.named && cx.watch.is_some() && cx.fs.is_link(&self.path) {
                    // Anybody can make links that lead nowhere: they are looked at ever more seldom.
                    self.unsettled = true;
                    self.pause.failed(cx.poll_interval);
                }
            }
            Err(error) => {
                let trouble = Trouble::unreadable(&error);
                match trouble {
                    Trouble::Link(_) => self.retire_current(cx),
                    // Whatever it is, it was there by now.
                    _ => self.start = start,
                }
                self.trouble(trouble, cx);
            }
        }
        self.present = false;
        self.stat_older(scratch, cx);
        if let Some(current) = self.current.as_mut().filter(|current| current.is_pseudo()) {
            // Only reading tells whether there is anything new; under `once` it is read once.
            if !cx.once && self.pause.until().is_none() {
                current.suspect();
            }
        } else if !self.unsettled && !self.has_news(cx) {
            self.pause.succeeded();
        }
        self.has_news(cx)
    }

    fn has_news(&self, cx: &TailContext) -> bool {
        self.unopened.is_some()
            || self.current.as_ref().is_some_and(Generation::has_news)
            || self.older.iter().any(|older| older.has_news() || older.is_quiet(cx))
    }

    /// Notes whether the file has other names. What is read is watched itself then, if it can be: that tells of what is
    /// written by any of them. `renewed`: what is under the path may be another file than the one that is watched.
    fn note_names(&mut self, stat: &Stat, renewed: bool, cx: &TailContext) {
        self.linked = stat.links > 1;
        let Some(watch) = &cx.watch else { return };
        let reads = self.is_watched && self.current.as_ref().is_some_and(|current| current.id == stat.id);
        let wanted = (self.linked && reads).then(|| Box::new(stat.id));
        if wanted == self.watched_file && !(renewed && self.linked) {
            return;
        }
        let before = std::mem::take(&mut self.watched_file);
        match wanted {
            Some(_) if watch.watch_file(&self.path) => {
                // It may have been written to before it was watched.
                self.unsettled |= before != wanted;
                self.watched_file = wanted;
            }
            _ if before.is_some() => watch.leave_file(&self.path),
            _ => {}
        }
    }

    /// Stops watching the file by itself.
    fn leave_names(&mut self, cx: &TailContext) {
        if let (Some(_), Some(watch)) = (self.watched_file.take(), &cx.watch) {
            watch.leave_file(&self.path);
        }
    }

    /// Records that a file was gone before it was opened.
    fn unseen(&self, cx: &TailContext) {
        // A pattern may be a path as well, of which nothing is known; a link may have led nowhere all the time.
        if !is_pattern(self.path.as_os_str()) && !cx.fs.is_link(&self.path) {
            cx.ledger.possible_loss_unseen();
        }
    }

    /// Only the content changed of what is under the path: looks at that, which costs half as much, or not at all if
    /// it is read next, which tells as much. True if there is something to read; none if a whole look is needed.
    pub(crate) fn stat_content(&mut self, read_next: bool, cx: &TailContext) -> Option<bool> {
        let current = self.current.as_mut().filter(|_| self.older.is_empty() && !self.unsettled)?;
        if read_next && self.is_watched && !self.linked && current.is_read() {
            current.suspect();
            return Some(true);
        }
        let stat = current.with_file(|file| file.stat()).ok()??;
        if stat.links != 1 {
            return None;
        }
        self.apply_current_stat(&stat, read_next, cx);
        self.current.as_ref().map(Generation::has_news)
    }

    /// Handles a FIFO at the path, which is read as a stream.
    fn stream(&mut self, id: FileId, streams: &Streams, cx: &TailContext) {
        if self.fifo.is_some() {
            return;
        }
        match cx.registry.claim(id, &self.path, Some(&*cx.fs)) {
            Claimed::Taken { .. } => {
                self.fifo = Some(FifoInput::new(&self.path, id, &cx.registry, cx.grace, streams));
                self.trouble = None;
            }
            Claimed::Held => self.trouble(Trouble::SameFile, cx),
            Claimed::Forbidden => self.trouble(Trouble::Output, cx),
        }
    }

    /// Applies the state of a regular file at the path.
    fn apply_path_stat(
        &mut self,
        stat: Stat,
        start: StartAt,
        base_input: Option<&mut Self>,
        scratch: &mut Scratch,
        cx: &TailContext,
    ) {
        if self.current.as_ref().is_some_and(|current| current.id == stat.id) {
            return self.apply_current_stat(&stat, false, cx);
        }
        if self.is_set_aside(&stat, cx) {
            return self.trouble(Trouble::Old, cx);
        }
        if self.is_watched && (self.next_number > 0 || self.trouble.is_some()) {
            // It may be a link by now, or one that leads elsewhere.
            self.is_watched = cx.is_watched(&self.path);
        }
        if self.current.is_some() {
            cx.ledger.emit(&Event::Rotated { input: self.path.to_path_buf() });
            self.retire_current(cx);
        }
        if let Some(at) = self.older.iter().position(|older| older.id == stat.id) {
            // Renamed back.
            let mut current = self.older.remove(at);
            current.regain(cx);
            self.current = Some(current);
            return self.apply_path_stat(stat, start, base_input, scratch, cx);
        }
        if cx.registry.is_new(stat.id)
            && base_input.is_some_and(|base_input| base_input.holds_copy(&self.path, &stat, cx))
        {
            // That ends without a word; an empty one cannot but change first.
            self.unsettled = stat.size > 0;
            return;
        }
        if let Some(related) = self.related.as_mut().filter(|related| related.alias_of.is_some()) {
            let left = related.left.take();
            if left != Some(stat.id) && !cx.registry.is_held(stat.id) {
                related.left = Some(stat.id);
                self.unsettled = true;
                return;
            }
        }
        match cx.registry.claim(stat.id, &self.path, (!self.present).then_some(&*cx.fs)) {
            Claimed::Taken { resume } => self.open(stat, resume, start, scratch, cx),
            Claimed::Held => self.trouble(Trouble::SameFile, cx),
            Claimed::Forbidden => self.trouble(Trouble::Output, cx),
        }
    }

    /// Applies the state of the current file. The next read checks its content.
    fn apply_current_stat(&mut self, stat: &Stat, read_next: bool, cx: &TailContext) {
        let Some(current) = &mut self.current else { return };
        let stirs = !read_next && stat.size != current.size() && current.is_quieter_than(UNWATCHED_MAX);
        if current.apply_stat(stat) {
            self.restart(stat.size, GapReason::Truncated, cx);
        } else if !current.has_news() {
            current.close_idle(cx);
        } else if stirs && !current.holds(current.position()).unwrap_or(true) {
            // Where it cannot be told how long it is now, the next read comes to the same.
            drop(self.changed(cx));
        } else if !cx.once {
            // What cannot be read just now is read in its turn.
            drop(current.fingerprint_end());
        }
    }

    /// Returns true if a new file has not changed for so long that it is set aside until it does.
    fn is_set_aside(&mut self, stat: &Stat, cx: &TailContext) -> bool {
        if self.current.is_some() || !self.older.is_empty() {
            return false;
        }
        let same = |old: &Stat| (old.id, old.size, old.modified) == (stat.id, stat.size, stat.modified);
        if let Some(old) = &self.aside {
            return same(old);
        }
        let age = stat.modified.and_then(|modified| modified.elapsed().ok());
        let old = self.next_number == 0 && age.zip(cx.ignore_older).is_some_and(|(age, older)| age > older);
        if old {
            self.aside = Some(Box::new(*stat));
        }
        old
    }

    /// Opens a new file that this input has claimed.
    fn open(&mut self, stat: Stat, resume: Option<Position>, start: StartAt, scratch: &mut Scratch, cx: &TailContext) {
        let begin = match (resume, self.aside.take()) {
            (Some(at), _) => Begin::Resume(at),
            (None, Some(old)) if old.id == stat.id && old.size <= stat.size => Begin::At(old.size),
            (None, None) if start == StartAt::End => Begin::At(stat.size),
            _ => Begin::Start,
        };
        let mut generation = Generation::new(self.next_number, stat.id, stat.size);
        generation.apply_stat(&stat);
        match begin {
            Begin::Start => {}
            Begin::At(offset) => generation.expect(Position { offset, ..generation.position() }),
            Begin::Resume(at) => generation.expect(at),
        }
        if self.source.is_none() {
            let source = Source::new(self.path.clone(), cx.format.labelled(&self.path));
            cx.ledger.add_source(&source);
            self.source = Some(source);
        }
        self.next_number += 1;
        (self.current, self.unopened) = (Some(generation), Some(Box::new(begin)));
        match self.begin(scratch, cx) {
            Ok(true) => {
                if let Some(current) = self.current.as_mut().filter(|_| cx.descriptors.is_full()) {
                    current.close();
                }
            }
            // Another file by now: the next look finds it.
            Ok(false) => self.unsettled = true,
            // It is opened in its turn.
            Err(error) if is_shortage(&error) => {}
            Err(error) => self.trouble(Trouble::unreadable(&error), cx),
        }
    }

    /// Opens the current file for the first time, and moves to where reading begins. Returns false if another file is
    /// there by now.
    fn begin(&mut self, scratch: &mut Scratch, cx: &TailContext) -> io::Result<bool> {
        let (Some(current), Some(source), Some(begin)) = (&mut self.current, &self.source, &self.unopened) else {
            return Ok(true);
        };
        let mut generation = Generation::new(current.number, current.id, current.size());
        if !generation.open(&self.path, cx)? {
            return Ok(false);
        }
        match **begin {
            Begin::At(offset) if offset <= generation.claimed_size() => generation.skip_to(offset, scratch)?,
            Begin::Resume(at) => drop(generation.resume(at)?),
            Begin::Start | Begin::At(_) => {}
        }
        if generation.number == 0 {
            source.written.offset.store(generation.offset(), Ordering::Relaxed);
        }
        cx.ledger.emit(&Event::Joined { input: source.path().to_owned(), offset: generation.offset() });
        if generation.is_pseudo() && !cx.once {
            cx.ledger.emit(&Event::SizeUnknown { input: source.path().to_owned() });
        }
        *current = generation;
        (self.trouble, self.unopened) = (None, None);
        self.read_failed = self.read_failed.filter(|_| !self.older.is_empty());
        Ok(true)
    }

    /// Handles changed content of the file at the path. If its state cannot be read, that is an error, and nothing is
    /// done.
    fn changed(&mut self, cx: &TailContext) -> io::Result<()> {
        let (Some(current), Some(source)) = (&mut self.current, &self.source) else { return Ok(()) };
        if current.is_pseudo() {
            current.restart(self.next_number, 0, GapReason::Overwritten, source, cx);
            self.next_number += 1;
            return Ok(());
        }
        let (reason, size) = (current.why_changed(cx)?, current.size());
        self.restart(size, reason, cx);
        Ok(())
    }

    /// Starts to read the new content of the file at the path.
    fn restart(&mut self, size: u64, reason: GapReason, cx: &TailContext) {
        let (Some(current), Some(source)) = (&mut self.current, &self.source) else { return };
        cx.ledger.emit(&Event::Truncated { input: self.path.to_path_buf() });
        if self.unopened.is_none()
            && let Some(copy) = self.copies.adopt(current, &self.path, self.next_number, cx)
        {
            current.accounted(copy.size());
            self.older.push(copy);
            self.next_number += 1;
        }
        current.restart(self.next_number, size, reason, source, cx);
        self.next_number += 1;
        self.unopened.iter_mut().for_each(|begin| **begin = Begin::Start);
        // It may be cut again before it is read.
        drop(current.fingerprint_end());
    }

    /// Handles a current file that has left the path: it is read to its end and then closed.
    fn retire_current(&mut self, cx: &TailContext) {
        self.leave_names(cx);
        let (Some(mut current), Some(source)) = (self.current.take(), &self.source) else { return };
        let found = match self.unopened.take().as_deref() {
            // Where reading begins in it is not known by now.
            Some(Begin::At(_) | Begin::Resume(_)) => Ok(None),
            // Nothing of its content is known, by which it could be told from the next one with its inode number.
            Some(Begin::Start) if current.id.born.is_none() => Ok(None),
            _ if current.is_open() => Ok(None),
            _ => find(&self.path, current.id, cx),
        };
        match found {
            Ok(None) if !current.is_open() => lose(current, source, cx),
            // What cannot be searched for just now is searched for again at the next look.
            found => {
                current.retire(found.unwrap_or_default(), cx);
                self.older.push(current);
            }
        }
    }

    /// Emits a new trouble, and records the input as failed if nothing will be read of it.
    fn trouble(&mut self, trouble: Trouble, cx: &TailContext) {
        self.unsettled |= matches!(trouble, Trouble::Unreadable(_));
        if let Trouble::Unreadable(_) = trouble {
            self.pause.failed(cx.poll_interval);
        }
        if self.trouble == Some(trouble) {
            return;
        }
        let seen = self.trouble.replace(trouble).is_some() || self.source.is_some();
        match trouble {
            _ if self.gone => {}
            Trouble::Old => cx.ledger.emit(&Event::SetAside { input: self.path.to_path_buf() }),
            Trouble::SameFile => cx.ledger.emit(&Event::SameFile { input: self.path.to_path_buf() }),
            Trouble::Missing if !self.named => {}
            Trouble::Output if !self.named => {}
            Trouble::NotAFile(Kind::Dir) | Trouble::Link(RefusedLink { owner: None, .. }) if !self.named => {}
            _ if cx.once && (self.named || matches!(trouble, Trouble::Unreadable(_))) && self.source.is_none() => {
                cx.ledger.input_failed(&self.path, &trouble);
            }
            // It is told at the end, if it cannot be opened by then.
            Trouble::Unreadable(_) if cx.once && self.unopened.is_some() => {}
            Trouble::Missing => cx.ledger.emit(&Event::Missing { input: self.path.to_path_buf(), seen }),
            Trouble::Unreadable(_) => {
                let reason = format!("{trouble}; trying again");
                cx.ledger.emit(&Event::Refused { input: self.path.to_path_buf(), reason });
            }
            _ => cx.ledger.emit(&Event::Refused { input: self.path.to_path_buf(), reason: trouble.to_string() }),
        }
    }

    /// Reads what is there, the oldest file first, a bounded number of bytes.
    pub(crate) fn visit(&mut self, batch: &mut Batch, scratch: &mut Scratch, cx: &TailContext) -> ReadOutcome {
        let Some(source) = self.source.clone() else { return ReadOutcome::End };
        // What the new file holds now was written after what the old ones will turn out to hold.
        let end =
            if self.older.is_empty() { u64::MAX } else { self.current.as_ref().map_or(0, Generation::claimed_size) };
        scratch.was_put_off();
        let mut turn = Turn { source: &source, batch, scratch, cx };
        let visit = self.visit_older(&mut turn).and_then(|visit| match &mut self.current {
            Some(_) if visit == ReadOutcome::End && self.unopened.is_some() => match self.begin(turn.scratch, cx)? {
                true => Ok(ReadOutcome::More),
                // Another file by now: the next look finds it.
                false => Ok(ReadOutcome::End),
            },
            Some(current) if visit == ReadOutcome::End => {
                if current.ready(&self.path, cx)? {
                    let visit = current.read(end, &mut turn)?;
                    if visit == ReadOutcome::End {
                        current.close_idle(cx);
                    }
                    Ok(visit)
                } else {
                    // Another file by now: the next look finds it.
                    Ok(ReadOutcome::End)
                }
            }
            _ => Ok(visit),
        });
        match self.visited(visit, cx) {
            ReadOutcome::End if scratch.was_put_off() => ReadOutcome::More,
            visit => visit,
        }
    }

    /// Handles the outcome of a read.
    fn visited(&mut self, visit: io::Result<ReadOutcome>, cx: &TailContext) -> ReadOutcome {
        let is_failing = |input: &Self| input.older.iter().chain(&input.current).any(|file| file.failing().is_some());
        let is_pseudo = self.current.as_ref().is_some_and(Generation::is_pseudo);
        match visit {
            Ok(ReadOutcome::Changed) if is_pseudo && cx.once => {
                self.give_up(&io::Error::other("it changed while it was read"), cx);
                ReadOutcome::End
            }
            Ok(ReadOutcome::Changed) => match self.changed(cx) {
                Ok(()) if is_pseudo => ReadOutcome::Again,
                Ok(()) => self.came_to_nothing(cx),
                Err(error) => {
                    self.read_failed(&error, cx);
                    self.try_again(&error, cx)
                }
            },
            Ok(ReadOutcome::Again) => self.came_to_nothing(cx),
            Ok(visit) => {
                match &self.current {
                    // Whether there will ever be more, nobody knows.
                    Some(_) if is_pseudo && visit == ReadOutcome::End => self.pause.failed(cx.poll_interval),
                    Some(_) if is_pseudo => {}
                    _ if is_failing(self) => {}
                    _ => self.pause.succeeded(),
                }
                visit
            }
            Err(error) if is_shortage(&error) && !is_failing(self) => ReadOutcome::Short,
            Err(error) => {
                match is_failing(self) {
                    true => self.read_failed(&error, cx),
                    false => self.trouble(Trouble::unreadable(&error), cx),
                }
                self.try_again(&error, cx)
            }
        }
    }

    /// Handles a visit without progress, although there seem to be bytes to read.
    fn came_to_nothing(&mut self, cx: &TailContext) -> ReadOutcome {
        self.unsettled = true;
        self.pause.failed(cx.poll_interval);
        if self.until.is_some() {
            return self.try_again(&io::Error::other("it changes faster than it can be read"), cx);
        }
        ReadOutcome::Again
    }

    /// Emits that a file cannot be read.
    fn read_failed(&mut self, error: &io::Error, cx: &TailContext) {
        self.unsettled = true;
        self.pause.failed(cx.poll_interval);
        if self.read_failed.replace(error.kind()) != Some(error.kind()) {
            cx.ledger.emit(&Event::ReadFailed {
                input: self.path.to_path_buf(),
                kind: error.kind(),
                reason: error.to_string(),
            });
        }
    }

    /// Schedules another try after a failed read: at the next poll, or at the end at once, a few times.
    fn try_again(&mut self, error: &io::Error, cx: &TailContext) -> ReadOutcome {
        if self.until.is_none() || self.last_tries > LAST_TRIES {
            return ReadOutcome::End;
        }
        self.last_tries += 1;
        if self.last_tries <= LAST_TRIES {
            return ReadOutcome::Again;
        }
        self.give_up(error, cx);
        ReadOutcome::End
    }

    /// Gives up a file that cannot be read at the end.
    pub(crate) fn give_up(&mut self, error: &io::Error, cx: &TailContext) {
        self.last_tries = LAST_TRIES + 1;
        match self.unopened {
            Some(_) => cx.ledger.input_failed(&self.path, &format_args!("cannot be opened: {error}")),
            None => cx.ledger.input_failed(&self.path, &format_args!("cannot be read to its end: {error}")),
        }
    }

    /// Fixes the end of reading: what is there now is the last that is read.
    pub(crate) fn set_end(&mut self) {
        self.until = Some(self.current.as_ref().map_or(0, Generation::claimed_size));
    }

    /// Returns true if everything up to the fixed end has been read.
    pub(crate) fn is_at_end(&self) -> bool {
        self.unopened.is_none()
            && self.older.iter().all(|older| !older.has_news())
            && self.current.as_ref().is_none_or(|current| !current.is_pseudo() && Some(current.offset()) >= self.until)
    }

    /// Ends an input. Under `once` its last line gets a newline; when following, it is left for the next run. Returns
    /// false if the batch has no room.
    pub(crate) fn finish(&mut self, batch: &mut Batch, scratch: &mut Scratch, cx: &TailContext) -> bool {
        let Some(source) = self.source.clone() else {
            if let (Some(trouble @ Trouble::Unreadable(_)), false) = (self.trouble, cx.once) {
                cx.ledger.input_failed(&self.path, &trouble);
            }
            return true;
        };
        let finished = self.finish_all(&mut Turn { source: &source, batch, scratch, cx });
        finished.unwrap_or_else(|error| {
            cx.ledger.input_failed(&self.path, &format_args!("its last line cannot be read: {error}"));
            true
        })
    }

    fn finish_all(&mut self, turn: &mut Turn<'_>) -> io::Result<bool> {
        let cx = turn.cx;
        if self.last_tries > LAST_TRIES {
            for file in self.older.iter_mut().chain(&mut self.current).filter(|file| file.is_unread()) {
                file.abandon(GapReason::Unreadable, turn.source, cx);
            }
        }
        for older in &mut self.older {
            older.leave(turn.source, cx);
            if older.is_to_be_finished(cx) {
                let open = older.ready_found(cx)?;
                if !older.finish_or_abandon(open, turn)? {
                    return Ok(false);
                }
            }
        }
        if let Some(current) = &mut self.current {
            current.leave(turn.source, cx);
            // A file that has grown since its end was fixed is still being written: its last line is not over.
            let is_over = current.is_pseudo() || Some(current.offset()) < self.until;
            if is_over && current.is_to_be_finished(cx) {
                let open = current.ready(&self.path, cx)?;
                if !current.finish_or_abandon(open, turn)? {
                    return Ok(false);
                }
            }
            if current.is_endless() {
                let reason = "only its first 16 MiB are read, since its size says nothing of what it holds";
                cx.ledger.input_failed(&self.path, &reason);
            }
        }
        Ok(true)
    }

    /// Returns, for an open file that can be opened again, whether it has unread bytes, and when it last changed.
    pub(crate) fn closable(&self) -> Option<(bool, Instant)> {
        let file = self.older.iter().chain(&self.current).find(|file| file.is_closable())?;
        Some((file.has_news(), file.changed_at()))
    }

    /// Closes a file that can be opened again.
    pub(crate) fn close(&mut self) {
        let file = self.older.iter_mut().chain(&mut self.current).find(|file| file.is_closable());
        file.into_iter().for_each(Generation::close);
    }

    /// Returns the open files without a name.
    pub(crate) fn nameless(&self) -> usize {
        self.older.iter().filter(|older| older.is_nameless()).count()
    }

    /// Returns true if a visit has to open a file first.
    pub(crate) fn is_closed(&self) -> bool {
        self.older.iter().chain(&self.current).any(|file| !file.is_open())
    }

    /// Stops following. If the file is followed again, reading continues at its position.
    pub(crate) fn abandon(&mut self, cx: &TailContext) {
        self.leave_names(cx);
        self.fifo.take().into_iter().for_each(FifoInput::leave);
        let Some(source) = &self.source else { return };
        for mut generation in self.older.drain(..).chain(self.current.take()) {
            generation.leave(source, cx);
            match generation.stat_open(cx) {
                Ok((_, 0)) => cx.registry.forget(generation.id),
                _ => cx.registry.release(generation.id, generation.position()),
            }
        }
        self.unopened = None;
    }
}

/// Gives up a closed file that cannot be found. If it turns up under another followed name, reading continues at its
/// position: a gap too many is better than lines twice.
fn lose(mut file: Generation, source: &Source, cx: &TailContext) {
    let place = file.position();
    file.abandon(GapReason::Gone, source, cx);
    match place.is_sure() {
        true => cx.registry.release(file.id, place),
        false => cx.registry.forget(file.id),
    }
}

/// Returns the name that a file has now in its directory, after it lost the name `path`. After an error it may be there
/// all the same.
fn find(path: &Path, id: FileId, cx: &TailContext) -> io::Result<Option<PathBuf>> {
    let dir = path.parent().unwrap_or(Path::new(""));
    let mut found = Vec::new();
    let listed = cx.fs.list(here(dir), &mut |entry| {
        // The number may be another's by now: a link with it leads to some other file, or nowhere.
        if entry.ino == id.ino && matches!(entry.kind, Kind::File | Kind::Unknown) {
            found.push(dir.join(entry.name));
        }
    });
    let mut failed = listed.err().filter(|error| !is_missing(error));
    if let Some(error) = &failed {
        cx.descriptors.failed(error, &cx.ledger);
    }
    for path in found {
        match cx.fs.stat(&path) {
            Ok(stat) if stat.id == id => return Ok(Some(path)),
            Err(error) if !is_missing(&error) && !cx.fs.is_link(&path) => failed = Some(error),
            _ => {}
        }
    }
    failed.map_or(Ok(None), Err)
}
