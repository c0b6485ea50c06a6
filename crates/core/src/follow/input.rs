//! One input: a path, the file that is there now, and those that were there before and are not yet read
//! to their end.

pub(crate) mod finish;
pub(crate) mod held;
pub(crate) mod look;
pub(crate) mod lost;
pub(crate) mod older;
pub(crate) mod open;
pub(crate) mod replaced;
pub(crate) mod visit;

use std::io;
use std::path::Path;
use std::sync::Arc;
use std::time::Instant;

#[cfg(test)]
use crate::batch::position::FilePosition;
use crate::batch::position::Position;
use crate::batch::source::Source;
use crate::discover::command::Related;
use crate::follow::context::{ReadContext, StartAt};
use crate::follow::copies::Copies;
use crate::follow::fifo::FifoInput;
use crate::follow::file::Generation;
use crate::follow::pause::Pause;
use crate::follow::trouble::Trouble;
use crate::fs::{FileId, Kind, RefusedLink, Stat};
use crate::record::format::Renderer;
use crate::report::event::Event;

/// At the end, reading is tried again so often.
const LAST_TRIES: u8 = 3;

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

/// The way in which a file came to a path, as far as the system has told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Arrival {
    Untold,
    /// It is waited for that it is told, since then.
    Awaited(Instant),
    Made,
    /// By a rename.
    Moved,
}

/// The inputs that one is related to.
#[derive(Debug)]
struct Relations {
    related: Related,
    /// A file that was left to the input of the other name, which may take it.
    left: Option<FileId>,
}

/// A file that is held, since it may be a copy of another input.
#[derive(Debug)]
struct PossibleCopy {
    id: FileId,
    original: FileId,
    /// The original's length when this one was first seen: a copy of it is complete then.
    complete: u64,
    size: u64,
    /// The time when it was last seen to grow, though not beyond that length.
    moved: Instant,
}

/// A path that a merge follows.
#[derive(Debug)]
pub(crate) struct Input {
    pub(crate) path: Arc<Path>,
    /// Made when the first file is opened: an input without any file does not appear in the report.
    source: Option<Arc<Source>>,
    renderer: Renderer,
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
    /// The way in which another file came to the path.
    arrival: Arrival,
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
    /// The inputs that it is related to. Boxed, since most have none.
    related: Option<Box<Relations>>,
    /// True if it was there at the start and has not been opened.
    present: bool,
    /// The file at the path, while it is not read since it may be a copy of another input.
    possible_copy: Option<Box<PossibleCopy>>,
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
    pub(crate) fn new(path: Arc<Path>, named: bool, start: StartAt, present: bool, related: Option<Related>) -> Self {
        Self {
            path,
            source: None,
            renderer: Renderer::default(),
            named,
            start,
            current: None,
            older: Vec::new(),
            next_number: 0,
            hot: false,
            polled: false,
            is_watched: false,
            has_turn: false,
            arrival: Arrival::Untold,
            linked: false,
            watched_file: None,
            unsettled: false,
            pause: Pause::default(),
            gone: false,
            related: related.map(|related| Box::new(Relations { related, left: None })),
            present,
            possible_copy: None,
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
            || self.waits_for_hole()
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

    /// Records an event at the path's name. `moved`: a file was renamed to it.
    pub(crate) fn name_changed(&mut self, moved: bool) {
        self.invalidate_watch();
        self.arrival = if moved { Arrival::Moved } else { Arrival::Made };
    }

    /// Returns the path that leads to the same file, and true if a new file waits for that one.
    pub(crate) fn alias_of(&self) -> Option<(&Arc<Path>, bool)> {
        let related = self.related.as_ref()?;
        related.related.alias_of.as_ref().map(|alias_of| (alias_of, related.left.is_some()))
    }

    /// Returns the path of the input that this one may be a copy of.
    pub(crate) fn base(&self) -> Option<&Arc<Path>> {
        self.related.as_ref()?.related.base.as_ref()
    }

    /// Returns true if the current file has content behind a hole that may be filled yet.
    fn waits_for_hole(&self) -> bool {
        self.current.as_ref().is_some_and(Generation::waits_for_hole)
    }

    /// Returns true if copies of the current file are known by its head.
    fn has_head(&self) -> bool {
        self.current.as_ref().is_some_and(|current| current.head.is_some())
    }

    /// Returns true if the file that appeared at `path` is held, since it may be a copy of this one.
    fn holds_copy(&mut self, path: &Path, stat: &Stat, cx: &ReadContext) -> bool {
        let original = self.current.as_ref().filter(|_| self.unopened.is_none());
        original.is_some_and(|original| self.copies.holds((original, &self.path), path, stat, cx))
    }

    /// Emits a new trouble, and records the input as failed if nothing will be read of it.
    fn trouble(&mut self, trouble: Trouble, cx: &ReadContext) {
        self.unsettled |= matches!(trouble, Trouble::Unreadable(_));
        if let Trouble::Unreadable(_) = trouble {
            self.pause.failed(cx.settings.poll_interval);
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
            _ if cx.settings.once
                && (self.named || matches!(trouble, Trouble::Unreadable(_)))
                && self.source.is_none() =>
            {
                cx.ledger.input_failed(&self.path, &trouble);
            }
            // It is told at the end, if it cannot be opened by then.
            Trouble::Unreadable(_) if cx.settings.once && self.unopened.is_some() => {}
            Trouble::Missing => cx.ledger.emit(&Event::Missing { input: self.path.to_path_buf(), seen }),
            Trouble::Unreadable(_) => {
                let reason = format!("{trouble}; trying again");
                cx.ledger.emit(&Event::Refused { input: self.path.to_path_buf(), reason });
            }
            _ => cx.ledger.emit(&Event::Refused { input: self.path.to_path_buf(), reason: trouble.to_string() }),
        }
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

    /// Returns the positions of its files, as far as it is known where reading begins in them.
    #[cfg(test)]
    pub(crate) fn positions(&self) -> impl Iterator<Item = FilePosition> {
        let is_known = !matches!(self.unopened.as_deref(), Some(Begin::At(_)));
        let files = self.older.iter().chain(self.current.as_ref().filter(|_| is_known));
        files.map(|file| FilePosition { file: file.id, position: file.position() })
    }

    /// Returns true if a visit has to open a file first.
    pub(crate) fn is_closed(&self) -> bool {
        self.older.iter().chain(&self.current).any(|file| !file.is_open())
    }
}
