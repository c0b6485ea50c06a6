//! The end of an input.

use std::io;

use crate::batch::Batch;
use crate::follow::context::ReadContext;
use crate::follow::fifo::FifoInput;
use crate::follow::file::Generation;
use crate::follow::file::turn::{Scratch, Turn};
use crate::follow::input::{Input, LAST_TRIES};
use crate::follow::trouble::Trouble;
use crate::report::gap::GapReason;

impl Input {
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
    pub(crate) fn finish(&mut self, batch: &mut Batch, scratch: &mut Scratch, cx: &ReadContext) -> bool {
        let Some(source) = self.source.clone() else {
            if let (Some(trouble @ Trouble::Unreadable(_)), false) = (self.trouble, cx.settings.once) {
                cx.ledger.input_failed(&self.path, &trouble);
            }
            return true;
        };
        let renderer = self.renderer.clone();
        let finished = self.finish_all(&mut Turn { source: &source, renderer: &renderer, batch, scratch, cx });
        finished.unwrap_or_else(|error| {
            cx.ledger.input_failed(&self.path, &format_args!("its last line cannot be read: {error}"));
            true
        })
    }

    pub(super) fn finish_all(&mut self, turn: &mut Turn<'_>) -> io::Result<bool> {
        let cx = turn.cx;
        if self.last_tries > LAST_TRIES {
            for file in self.older.iter_mut().chain(&mut self.current).filter(|file| file.is_unread()) {
                file.abandon(GapReason::Unreadable, turn.source, cx);
            }
        }
        for older in &mut self.older {
            older.finish_drop(turn.source, cx);
            if older.is_to_be_finished(cx) {
                let open = older.ready_found(cx)?;
                if !older.finish_or_abandon(open, turn)? {
                    return Ok(false);
                }
            }
        }
        if let Some(current) = &mut self.current {
            current.finish_drop(turn.source, cx);
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

    /// Stops following. If the file is followed again, reading continues at its position.
    pub(crate) fn abandon(&mut self, cx: &ReadContext) {
        self.leave_names(cx);
        self.forget_head(cx);
        self.fifo.take().into_iter().for_each(FifoInput::leave);
        let Some(source) = &self.source else { return };
        for mut generation in self.older.drain(..).chain(self.current.take()) {
            generation.finish_drop(source, cx);
            let goes_on = !matches!(generation.stat_open(cx), Ok((_, 0)));
            generation.give_up(goes_on, source, cx);
            match goes_on {
                true => cx.registry.release(generation.id, generation.position()),
                false => cx.registry.forget(generation.id),
            }
        }
        self.unopened = None;
    }
}
