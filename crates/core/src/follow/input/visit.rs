//! Reads what is there of an input.

use std::io;

use crate::batch::Batch;
use crate::follow::context::ReadContext;
use crate::follow::file::turn::{Scratch, Turn};
use crate::follow::file::{Generation, ReadOutcome};
use crate::follow::input::{Begin, Input, LAST_TRIES};
use crate::follow::trouble::Trouble;
use crate::fs::{Storage, is_shortage};
use crate::report::event::{Continuation, Event};
use crate::report::gap::GapReason;

impl Input {
    /// Reads what is there, the oldest file first, a bounded number of bytes.
    pub(crate) fn visit(&mut self, batch: &mut Batch, scratch: &mut Scratch, cx: &ReadContext) -> ReadOutcome {
        let Some(source) = self.source.clone() else { return ReadOutcome::End };
        if !self.older.is_empty() {
            self.check_for_copy(cx);
        }
        // What the new file holds now was written after what the old ones will turn out to hold.
        let end =
            if self.older.is_empty() { u64::MAX } else { self.current.as_ref().map_or(0, Generation::claimed_size) };
        scratch.was_put_off();
        let renderer = self.renderer.clone();
        let mut turn = Turn { source: &source, renderer: &renderer, batch, scratch, cx };
        let visit = self.visit_older(&mut turn).and_then(|visit| match &mut self.current {
            Some(_) if visit == ReadOutcome::End && self.unopened.is_some() => match self.begin(turn.scratch, cx)? {
                true => Ok(ReadOutcome::More),
                // Another file by now: the next look finds it.
                false => Ok(ReadOutcome::End),
            },
            Some(current) if visit == ReadOutcome::End => {
                if current.ready(&self.path, cx)? {
                    let visit = match current.read(end, &mut turn) {
                        // The open file may be an old copy of what is at the path.
                        Err(error)
                            if error.kind() == io::ErrorKind::UnexpectedEof
                                && current.storage() == Some(Storage::Other)
                                && current.open(&self.path, cx)? =>
                        {
                            current.read(end, &mut turn)?
                        }
                        visit => visit?,
                    };
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
        self.note_head(cx);
        match self.visited(visit, cx) {
            ReadOutcome::End if scratch.was_put_off() => ReadOutcome::More,
            visit => visit,
        }
    }

    /// Handles the outcome of a read.
    pub(super) fn visited(&mut self, visit: io::Result<ReadOutcome>, cx: &ReadContext) -> ReadOutcome {
        let is_failing = |input: &Self| input.older.iter().chain(&input.current).any(|file| file.failing().is_some());
        let is_pseudo = self.current.as_ref().is_some_and(Generation::is_pseudo);
        match visit {
            Ok(ReadOutcome::Changed) if is_pseudo && cx.settings.once => {
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
                    Some(_) if is_pseudo && visit == ReadOutcome::End => self.pause.failed(cx.settings.poll_interval),
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
    pub(super) fn came_to_nothing(&mut self, cx: &ReadContext) -> ReadOutcome {
        self.unsettled = true;
        self.pause.failed(cx.settings.poll_interval);
        if self.until.is_some() {
            return self.try_again(&io::Error::other("it changes faster than it can be read"), cx);
        }
        ReadOutcome::Again
    }

    /// Emits that a file cannot be read.
    pub(super) fn read_failed(&mut self, error: &io::Error, cx: &ReadContext) {
        self.unsettled = true;
        self.pause.failed(cx.settings.poll_interval);
        if self.read_failed.replace(error.kind()) != Some(error.kind()) {
            cx.ledger.emit(&Event::ReadFailed {
                input: self.path.to_path_buf(),
                kind: error.kind(),
                reason: error.to_string(),
            });
        }
    }

    /// Schedules another try after a failed read: at the next poll, or at the end at once, a few times.
    pub(super) fn try_again(&mut self, error: &io::Error, cx: &ReadContext) -> ReadOutcome {
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
    pub(crate) fn give_up(&mut self, error: &io::Error, cx: &ReadContext) {
        self.last_tries = LAST_TRIES + 1;
        match self.unopened {
            Some(_) => cx.ledger.input_failed(&self.path, &format_args!("cannot be opened: {error}")),
            None => cx.ledger.input_failed(&self.path, &format_args!("cannot be read to its end: {error}")),
        }
    }

    /// Handles changed content of the file at the path. If its state cannot be read, that is an error, and nothing is
    /// done.
    pub(super) fn changed(&mut self, cx: &ReadContext) -> io::Result<()> {
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

    /// Starts to read the new content of the file at the path, unless part of the old one is there.
    pub(super) fn restart(&mut self, size: u64, reason: GapReason, cx: &ReadContext) {
        let (Some(current), Some(source)) = (&mut self.current, &self.source) else { return };
        // What cannot be read just now is taken for another content.
        let goes_on = current.ready(&self.path, cx).is_ok_and(|ready| ready) && self.unopened.is_none();
        let read_to = current.offset();
        if goes_on && let Ok(Some(how)) = current.realign(source, cx) {
            return self.goes_on(read_to, how, cx);
        }
        if self.unopened.is_none()
            && let Some(copy) = self.copies.adopt(current, &self.path, self.next_number, cx)
        {
            cx.ledger.continues_in_copy(source, current.number, copy.id, copy.offset());
            copy.tell_begin(source, cx);
            current.accounted(copy.size());
            self.older.push(copy);
            self.next_number += 1;
        } else if goes_on && reason == GapReason::Overwritten && current.pass_punched_head().unwrap_or(false) {
            return self.goes_on(read_to, Continuation::HeadRemoved, cx);
        }
        cx.ledger.emit(&Event::Truncated { input: self.path.to_path_buf() });
        if let Some(sum) = current.head.take() {
            cx.registry.heads.remove(sum, &self.path);
            cx.registry.heads.note_cut(sum, current.position());
        }
        current.restart(self.next_number, size, reason, source, cx);
        self.next_number += 1;
        self.unopened.iter_mut().for_each(|begin| **begin = Begin::Start);
        current.fingerprint_end().ok(); // It may be cut again before it is read.
    }

    /// Goes on in new content of which part is the old one, that was read up to an offset.
    fn goes_on(&mut self, read_to: u64, how: Continuation, cx: &ReadContext) {
        let (Some(current), Some(source)) = (&mut self.current, &self.source) else { return };
        cx.ledger.gives_up(source, current.number, read_to, false);
        current.number = self.next_number;
        self.next_number += 1;
        current.tell_begin(source, cx);
        cx.ledger.emit(&Event::Continued { input: self.path.to_path_buf(), offset: current.offset(), how });
    }
}
