//! Looks at an input's path, and applies what is there now.

use std::time::Duration;

use crate::clock;
use crate::discover::pattern::is_pattern;
use crate::follow::context::{ReadContext, StartAt};
use crate::follow::fifo::{FifoInput, Streams};
use crate::follow::file::Generation;
use crate::follow::file::turn::Scratch;
use crate::follow::heads::HEAD;
use crate::follow::input::replaced::Successor;
use crate::follow::input::{Arrival, Input};
use crate::follow::registry::Claimed;
use crate::follow::trouble::Trouble;
use crate::fs::{FileId, Kind, Stat, is_missing};
use crate::report::event::Event;
use crate::report::gap::GapReason;

/// A file that grows after this long may have been cut meanwhile: its content is checked at once, since it may be cut
/// again before it is its turn to be read.
const UNWATCHED_MAX: Duration = Duration::from_secs(1);

impl Input {
    /// Looks what is under the path now, without reading. True if there is something to read. `base_input` is the input
    /// that this one is beside.
    pub(crate) fn stat_path(&mut self, base_input: Option<&mut Self>, scratch: &mut Scratch, cx: &ReadContext) -> bool {
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
                    self.pause.failed(cx.settings.poll_interval);
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
        self.release_copy(cx);
        self.present = false;
        self.stat_older(scratch, cx);
        if let Some(current) = self.current.as_mut().filter(|current| current.is_pseudo()) {
            // Only reading tells whether there is anything new; under `once` it is read once.
            if !cx.settings.once && self.pause.until().is_none() {
                current.suspect();
            }
        } else if !self.unsettled && !self.has_news(cx) && !self.waits_for_hole() {
            self.pause.succeeded();
        }
        // A write through a mapping of the file moves neither its size nor, for a while, its times.
        self.current.iter_mut().filter(|current| current.has_nuls()).for_each(Generation::suspect);
        self.has_news(cx)
    }

    pub(super) fn has_news(&self, cx: &ReadContext) -> bool {
        self.unopened.is_some()
            || self.current.as_ref().is_some_and(Generation::has_news)
            || self.older.iter().any(|older| older.has_news() || older.is_quiet(cx))
    }

    /// Records that a file was gone before it was opened.
    pub(super) fn unseen(&self, cx: &ReadContext) {
        // A pattern may be a path as well, of which nothing is known; a link may have led nowhere all the time.
        if !is_pattern(self.path.as_os_str()) && !cx.fs.is_link(&self.path) {
            cx.ledger.possible_loss_unseen();
        }
    }

    /// Only the content changed of what is under the path: looks at that, which costs half as much, or not at all if
    /// it is read next, which tells as much. True if there is something to read; none if a whole look is needed.
    pub(crate) fn stat_content(&mut self, read_next: bool, cx: &ReadContext) -> Option<bool> {
        let current =
            self.current.as_mut().filter(|current| self.older.is_empty() && !self.unsettled && current.offset() > 0)?;
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
    pub(super) fn stream(&mut self, id: FileId, streams: &Streams, cx: &ReadContext) {
        if self.fifo.is_some() {
            return;
        }
        match cx.registry.claim(id, &self.path, Some(&*cx.fs)) {
            Claimed::Taken { .. } => {
                self.fifo = Some(FifoInput::new(&self.path, id, &cx.registry, cx.settings.grace, streams));
                self.trouble = None;
            }
            Claimed::Held => self.trouble(Trouble::SameFile, cx),
            Claimed::Forbidden => self.trouble(Trouble::Output, cx),
        }
    }

    /// Applies the state of a regular file at the path.
    pub(super) fn apply_path_stat(
        &mut self,
        stat: Stat,
        start: StartAt,
        base_input: Option<&mut Self>,
        scratch: &mut Scratch,
        cx: &ReadContext,
    ) {
        if self.current.as_ref().is_some_and(|current| current.id == stat.id) {
            self.arrival = Arrival::Untold;
            if self.turns_out_as_copy(&stat, cx) {
                self.unsettled = true;
                return;
            }
            return self.apply_current_stat(&stat, false, cx);
        }
        match self.arrival_of(&stat, cx) {
            Successor::Unknown => return,
            Successor::Copy => return self.apply_current_stat(&stat, false, cx),
            Successor::Other => {}
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
        // What is too short to be known by its head is compared with the input beside it.
        let base_input = base_input.filter(|base_input| stat.size < HEAD as u64 || !base_input.has_head());
        if cx.registry.is_new(stat.id) && base_input.is_none() && self.is_held_as_copy(&stat, cx) {
            self.unsettled = true;
            return;
        }
        if cx.registry.is_new(stat.id)
            && base_input.is_some_and(|base_input| base_input.holds_copy(&self.path, &stat, cx))
        {
            // That ends without a word; an empty one cannot but change first.
            self.unsettled = stat.size > 0;
            return;
        }
        if let Some(related) = self.related.as_mut().filter(|related| related.related.alias_of.is_some()) {
            let left = related.left.take();
            if left != Some(stat.id) && !cx.registry.is_held(stat.id) {
                related.left = Some(stat.id);
                self.unsettled = true;
                return;
            }
        }
        let copied = if cx.registry.is_new(stat.id) { self.place_in_copy(&stat, cx) } else { None };
        match cx.registry.claim(stat.id, &self.path, (!self.present).then_some(&*cx.fs)) {
            Claimed::Taken { resume } => self.open(stat, resume.or(copied), start, scratch, cx),
            Claimed::Held => self.trouble(Trouble::SameFile, cx),
            Claimed::Forbidden => self.trouble(Trouble::Output, cx),
        }
    }

    /// Applies the state of the current file. The next read checks its content.
    pub(super) fn apply_current_stat(&mut self, stat: &Stat, read_next: bool, cx: &ReadContext) {
        let Some(current) = &mut self.current else { return };
        let stirs = !read_next && stat.size != current.size() && current.is_quieter_than(UNWATCHED_MAX);
        if current.apply_stat(stat) {
            self.restart(stat.size, GapReason::Truncated, cx);
        } else if !current.has_news() {
            current.close_idle(cx);
        } else if stirs && !current.holds(current.position()).unwrap_or(true) {
            self.changed(cx).ok(); // Where it cannot be told how long it is now, the next read comes to the same.
        } else if !cx.settings.once {
            current.fingerprint_end().ok(); // What cannot be read just now is read in its turn.
        }
    }

    /// Returns true if a new file has not changed for so long that it is set aside until it does.
    pub(super) fn is_set_aside(&mut self, stat: &Stat, cx: &ReadContext) -> bool {
        if self.current.is_some() || !self.older.is_empty() {
            return false;
        }
        let same = |old: &Stat| (old.id, old.size, old.modified) == (stat.id, stat.size, stat.modified);
        if let Some(old) = &self.aside {
            return same(old);
        }
        let age = stat.modified.and_then(clock::age);
        let old = self.next_number == 0 && age.zip(cx.settings.ignore_older).is_some_and(|(age, older)| age > older);
        if old {
            self.aside = Some(Box::new(*stat));
        }
        old
    }

    /// Notes whether the file has other names. What is read is watched itself then, if it can be: that tells of what is
    /// written by any of them. `renewed`: what is under the path may be another file than the one that is watched.
    pub(super) fn note_names(&mut self, stat: &Stat, renewed: bool, cx: &ReadContext) {
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
    pub(super) fn leave_names(&mut self, cx: &ReadContext) {
        if let (Some(_), Some(watch)) = (self.watched_file.take(), &cx.watch) {
            watch.leave_file(&self.path);
        }
    }
}
