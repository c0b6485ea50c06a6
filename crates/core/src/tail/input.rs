//! One input: a path, the file that is there now, and those that were there before and are not yet read
//! to their end.

use std::fmt;
use std::io;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use super::claims::{Claimed, Resume};
use super::file::{Generation, Scratch, Visit};
use super::{StartAt, TailContext};
use crate::batch::{Batch, Source};
use crate::fs::{Kind, Stat};
use crate::report::{Event, GapReason};

/// What a merge follows under one path.
#[derive(Debug)]
pub(super) struct Input {
    pub(super) path: Arc<Path>,
    /// Made when the first file is opened: an input that never is one does not appear in the report.
    source: Option<Arc<Source>>,
    /// Whether the user named it; otherwise a pattern matched it.
    named: bool,
    /// Where to begin in a file that the first look finds.
    start: StartAt,
    /// The file under the path now.
    current: Option<Generation>,
    /// Files that were under the path, oldest first.
    older: Vec<Generation>,
    next_number: u32,
    /// Whether it waits to be visited.
    pub(super) hot: bool,
    /// No pattern finds it any more.
    pub(super) gone: bool,
    /// The last trouble that was told, so that each is told once.
    trouble: Option<Trouble>,
    /// Once no input joins any more: how far the current file is to be read.
    until: Option<u64>,
}

/// Why there is nothing to read under a path.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Trouble {
    Missing,
    NotAFile(Kind),
    Output,
    SameFile,
    Unreadable(io::ErrorKind),
}

impl Trouble {
    /// What is wrong with a file of this kind as an input.
    pub(super) fn of(kind: Kind) -> Option<Self> {
        (kind != Kind::File).then_some(Self::NotAFile(kind))
    }
}

impl fmt::Display for Trouble {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Missing => f.write_str("no such file"),
            Self::NotAFile(Kind::Dir) => f.write_str("a directory, not a file; give a pattern, such as DIR/*.log"),
            Self::NotAFile(Kind::Fifo) => f.write_str("a named pipe; only regular files are followed"),
            Self::NotAFile(Kind::Socket) => f.write_str("a socket; only regular files are followed"),
            Self::NotAFile(_) => f.write_str("a device; only regular files are followed"),
            Self::Output => f.write_str("written by this program itself, not an input"),
            Self::SameFile => f.write_str("another name of a file that is followed"),
            Self::Unreadable(kind) => write!(f, "cannot be opened: {kind}"),
        }
    }
}

impl Input {
    pub(super) fn new(path: Arc<Path>, named: bool, start: StartAt) -> Self {
        Self {
            path,
            source: None,
            named,
            start,
            current: None,
            older: Vec::new(),
            next_number: 0,
            hot: false,
            gone: false,
            trouble: None,
            until: None,
        }
    }

    /// Whether nothing is left of an input that no pattern finds any more.
    pub(super) fn is_over(&self) -> bool {
        self.gone && self.current.is_none() && self.older.is_empty()
    }

    /// Looks what is under the path now, without reading. True if there is something to read.
    pub(super) fn look(&mut self, scratch: &mut Scratch, cx: &TailContext) -> bool {
        let start = std::mem::take(&mut self.start);
        match cx.fs.stat(&self.path) {
            Ok(stat) => match Trouble::of(stat.kind) {
                None => self.look_at(stat, start, scratch, cx),
                Some(trouble) => {
                    self.retire_current(cx);
                    self.trouble(trouble, cx);
                }
            },
            Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => {
                self.retire_current(cx);
                self.trouble(Trouble::Missing, cx);
            }
            Err(error) => self.trouble(Trouble::Unreadable(error.kind()), cx),
        }
        self.look_at_older(cx);
        self.current.as_ref().is_some_and(Generation::has_news)
            || self.older.iter().any(|older| older.has_news() || older.is_quiet(cx))
    }

    /// There is a regular file under the path.
    fn look_at(&mut self, stat: Stat, start: StartAt, scratch: &mut Scratch, cx: &TailContext) {
        if let Some(current) = self.current.as_mut().filter(|current| current.id == stat.id) {
            if current.saw(&stat) {
                self.restart(stat.size, GapReason::Truncated, cx);
            }
            return;
        }
        if self.current.is_some() {
            cx.ledger.tell(&Event::Rotated { input: &self.path });
            self.retire_current(cx);
        }
        if let Some(at) = self.older.iter().position(|older| older.id == stat.id) {
            // Renamed back.
            self.current = Some(self.older.remove(at));
            return;
        }
        match cx.claims.claim(stat.id) {
            Claimed::Taken { resume } => self.open(stat, resume, start, scratch, cx),
            Claimed::Held => self.trouble(Trouble::SameFile, cx),
            Claimed::Forbidden => self.trouble(Trouble::Output, cx),
        }
    }

    /// Opens a file that is new here, and ours to read.
    fn open(&mut self, stat: Stat, resume: Option<Resume>, start: StartAt, scratch: &mut Scratch, cx: &TailContext) {
        let mut generation = Generation::new(self.next_number, stat.id, stat.size);
        generation.saw(&stat);
        let opened = generation.open(&self.path, cx).and_then(|same| {
            match resume {
                _ if !same => {}
                Some(at) => generation.resume(at)?,
                None => generation.skip_to_end(start, scratch)?,
            }
            Ok(same)
        });
        match opened {
            Ok(true) => {
                let source = self.source.get_or_insert_with(|| {
                    let source = Source::new(self.path.clone(), cx.format.labelled(&self.path));
                    cx.ledger.add_source(&source);
                    source
                });
                source.written.offset.store(generation.offset(), Ordering::Relaxed);
                cx.ledger.tell(&Event::Joined { input: source.path(), offset: generation.offset() });
                self.next_number += 1;
                self.trouble = None;
                if cx.claims.open() > cx.open_files {
                    generation.close();
                }
                self.current = Some(generation);
                return;
            }
            // Another file by now: the next look finds it.
            Ok(false) => {}
            Err(error) => self.trouble(Trouble::Unreadable(error.kind()), cx),
        }
        match resume {
            Some(at) => cx.claims.release(stat.id, at),
            None => cx.claims.forget(stat.id),
        }
    }

    /// The file under the path has another content now, which is read from its start.
    fn restart(&mut self, size: u64, reason: GapReason, cx: &TailContext) {
        let (Some(current), Some(source)) = (&mut self.current, &self.source) else { return };
        cx.ledger.tell(&Event::Truncated { input: &self.path });
        current.restart(self.next_number, size, reason, source, cx);
        self.next_number += 1;
    }

    /// The current file is not under the path any more: it is read to its end and then let go.
    fn retire_current(&mut self, cx: &TailContext) {
        let (Some(mut current), Some(source)) = (self.current.take(), &self.source) else { return };
        if current.is_open() {
            self.older.push(current);
        } else if current.offset() == current.size() {
            cx.claims.release(current.id, current.place());
        } else {
            current.abandon(GapReason::Gone, source, cx);
            cx.claims.forget(current.id);
        }
    }

    fn look_at_older(&mut self, cx: &TailContext) {
        for at in 0..self.older.len() {
            match self.older[at].look() {
                Ok((false, _)) => {}
                Ok((true, _)) => self.older[at].suspect(),
                Err(error) => self.trouble(Trouble::Unreadable(error.kind()), cx),
            }
        }
    }

    /// Tells a trouble that is new, and counts it against the input where nothing will be read of it.
    fn trouble(&mut self, trouble: Trouble, cx: &TailContext) {
        if self.trouble == Some(trouble) {
            return;
        }
        self.trouble = Some(trouble);
        match trouble {
            _ if self.gone => {}
            Trouble::SameFile => cx.ledger.tell(&Event::SameFile { input: &self.path }),
            Trouble::Missing if !self.named => {}
            Trouble::Output if !self.named => {}
            Trouble::NotAFile(Kind::Dir) if !self.named => {}
            _ if cx.once && (self.named || matches!(trouble, Trouble::Unreadable(_))) && self.source.is_none() => {
                cx.ledger.input_failed(&self.path, &trouble);
            }
            Trouble::Missing => cx.ledger.tell(&Event::Missing { input: &self.path }),
            Trouble::Unreadable(_) => {
                let reason = format!("{trouble}; trying again");
                cx.ledger.tell(&Event::Refused { input: &self.path, reason: &reason });
            }
            _ => cx.ledger.tell(&Event::Refused { input: &self.path, reason: &trouble.to_string() }),
        }
    }

    /// Reads what is there, the oldest file first, a bounded number of bytes.
    pub(super) fn visit(&mut self, batch: &mut Batch, scratch: &mut Scratch, cx: &TailContext) -> Visit {
        let Some(source) = self.source.clone() else { return Visit::End };
        // What the new file holds now was written after what the old ones will turn out to hold.
        let end = if self.older.is_empty() { u64::MAX } else { self.current.as_ref().map_or(0, Generation::size) };
        let visit = self.visit_older(&source, batch, scratch, cx).and_then(|visit| match &mut self.current {
            Some(current) if visit == Visit::End => {
                if current.is_open() || current.open(&self.path, cx)? {
                    current.read(&source, end, batch, scratch, cx)
                } else {
                    // Another file by now: the next look finds it.
                    Ok(Visit::End)
                }
            }
            _ => Ok(visit),
        });
        if let (Ok(Visit::Changed), Some(current)) = (&visit, &mut self.current) {
            let cut = current.look().is_ok_and(|(cut, _)| cut);
            let (size, reason) = (current.size(), if cut { GapReason::Truncated } else { GapReason::Overwritten });
            self.restart(size, reason, cx);
            return Visit::More;
        }
        visit.unwrap_or_else(|error| {
            self.trouble(Trouble::Unreadable(error.kind()), cx);
            Visit::End
        })
    }

    /// Reads the older files, each to its end before the next, and lets go of those that stay quiet.
    fn visit_older(
        &mut self,
        source: &Arc<Source>,
        batch: &mut Batch,
        scratch: &mut Scratch,
        cx: &TailContext,
    ) -> io::Result<Visit> {
        let mut at = 0;
        while at < self.older.len() {
            match self.older[at].read(source, u64::MAX, batch, scratch, cx)? {
                Visit::End if self.older[at].is_quiet(cx) => {
                    if !self.let_go(at, source, batch, scratch, cx)? {
                        return Ok(Visit::Full);
                    }
                }
                Visit::End => at += 1,
                Visit::Changed => {
                    // Whoever follows another name of it reads the new content.
                    let mut older = self.older.remove(at);
                    older.abandon(GapReason::Overwritten, source, cx);
                    cx.claims.forget(older.id);
                }
                visit => return Ok(visit),
            }
        }
        Ok(Visit::End)
    }

    /// Ends an older file that is read: its last line gets its newline, unless it goes on under another
    /// name that is followed. False if the batch has no room.
    fn let_go(
        &mut self,
        at: usize,
        source: &Arc<Source>,
        batch: &mut Batch,
        scratch: &mut Scratch,
        cx: &TailContext,
    ) -> io::Result<bool> {
        let older = &mut self.older[at];
        let (_, links) = older.look()?;
        let goes_on = links > 0 && cx.claims.is_wanted(older.id);
        if !goes_on && !older.finish(source, batch, scratch, cx)? {
            return Ok(false);
        }
        match links {
            0 => cx.claims.forget(older.id),
            _ => cx.claims.release(older.id, older.place()),
        }
        self.older.remove(at);
        Ok(true)
    }

    /// No input joins any more: what is there now is the last that will be read.
    pub(super) fn set_end(&mut self) {
        self.until = self.current.as_ref().map(Generation::size);
    }

    /// Whether all that was there when the end was set has been read.
    pub(super) fn is_at_end(&self) -> bool {
        self.older.iter().all(|older| !older.has_news())
            && self.current.as_ref().is_none_or(|current| Some(current.offset()) >= self.until)
    }

    /// The last thing that happens to an input. Under `once` its last line gets its newline; when following
    /// it is left for next time. False if the batch has no room.
    pub(super) fn finish(&mut self, batch: &mut Batch, scratch: &mut Scratch, cx: &TailContext) -> bool {
        let Some(source) = self.source.clone() else { return true };
        let finished = self.finish_all(&source, batch, scratch, cx);
        finished.unwrap_or_else(|error| {
            self.trouble(Trouble::Unreadable(error.kind()), cx);
            true
        })
    }

    fn finish_all(
        &mut self,
        source: &Arc<Source>,
        batch: &mut Batch,
        scratch: &mut Scratch,
        cx: &TailContext,
    ) -> io::Result<bool> {
        for older in &mut self.older {
            older.leave(source, cx);
            if cx.once && !older.finish(source, batch, scratch, cx)? {
                return Ok(false);
            }
        }
        if let Some(current) = &mut self.current {
            current.leave(source, cx);
            // A file that has grown since its end was fixed is still being written: its last line is not over.
            if cx.once && Some(current.offset()) < self.until {
                let open = current.is_open() || current.open(&self.path, cx)?;
                if open && !current.finish(source, batch, scratch, cx)? {
                    return Ok(false);
                }
            }
        }
        Ok(true)
    }

    /// Closes the current file, which can be opened again by its name. True if it was open.
    pub(super) fn close(&mut self) -> bool {
        match &mut self.current {
            Some(current) if current.is_open() => {
                current.close();
                true
            }
            _ => false,
        }
    }

    /// Whether a visit needs a file opened first.
    pub(super) fn is_closed(&self) -> bool {
        self.current.as_ref().is_some_and(|current| !current.is_open())
    }

    /// Stops following, where it stands: should the file be followed again, it goes on from there.
    pub(super) fn abandon(&mut self, cx: &TailContext) {
        let Some(source) = &self.source else { return };
        for mut generation in self.older.drain(..).chain(self.current.take()) {
            generation.leave(source, cx);
            cx.claims.release(generation.id, generation.place());
        }
    }
}
