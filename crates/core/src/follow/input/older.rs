//! The older files of an input: each is read to its end before the next, and then closed.

use std::io;

use crate::batch::source::Source;
use crate::follow::context::ReadContext;
use crate::follow::file::turn::{Scratch, Turn};
use crate::follow::file::{Generation, ReadOutcome};
use crate::follow::input::lost::{find, lose};
use crate::follow::input::{Input, LAST_TRIES};
use crate::follow::trouble::Trouble;
use crate::fs::{is_gone, is_shortage};
use crate::report::event::Event;
use crate::report::gap::GapReason;

/// What follows a visit of one of the older files.
enum Step {
    /// The next one is read.
    Next,
    /// The list has changed, or this one is to be read again.
    Again,
    /// The input's turn is over.
    Leave(ReadOutcome),
}

impl Input {
    /// Applies their states, and gives up those that are gone.
    pub(crate) fn stat_older(&mut self, scratch: &mut Scratch, cx: &ReadContext) {
        let Some(source) = self.source.clone() else { return };
        let mut at = 0;
        while at < self.older.len() {
            let older = &mut self.older[at];
            let gone = match older.stat_open(cx) {
                Ok((_, 0)) if older.has_expired(cx) => Some(GapReason::Expired),
                Ok((cut, links)) => {
                    if links > 0 {
                        older.stop_counting();
                    }
                    if cut || older.has_nuls() {
                        older.suspect();
                    }
                    None
                }
                // It has moved on from where it was found, or it is gone.
                Err(error) if is_gone(&error) && !scratch.has_time() => None,
                Err(error) if is_gone(&error) => match find(&self.path, older.id, cx) {
                    Ok(Some(found)) => {
                        older.close();
                        older.retire(Some(found), cx);
                        None
                    }
                    Ok(None) => Some(GapReason::Gone),
                    Err(_) if older.has_expired(cx) => Some(GapReason::Expired),
                    Err(error) if is_shortage(&error) => None,
                    Err(error) => {
                        self.search_failed(&error, cx);
                        None
                    }
                },
                Err(_) if older.has_expired(cx) => Some(GapReason::Expired),
                Err(error) => {
                    self.search_failed(&error, cx);
                    None
                }
            };
            match gone {
                None => at += 1,
                Some(reason) => {
                    let mut older = self.older.remove(at);
                    if reason == GapReason::Gone {
                        lose(older, &source, cx);
                    } else {
                        older.give_up(false, &source, cx);
                        older.abandon(reason, &source, cx);
                        cx.registry.forget(older.id);
                    }
                }
            }
        }
    }

    /// Emits what keeps an older file from being found; it is searched for ever more seldom.
    fn search_failed(&mut self, error: &io::Error, cx: &ReadContext) {
        let trouble = Trouble::unreadable(error);
        if let Trouble::Link(_) = trouble {
            self.unsettled = true;
            self.pause.failed(cx.settings.poll_interval);
        }
        self.trouble(trouble, cx);
    }

    /// Returns true while newer files wait for an older one that cannot be read, to keep the order.
    fn waits_for(&self, older: &Generation, cx: &ReadContext) -> bool {
        match self.until {
            None => older.failing().is_some_and(|time| time < cx.settings.grace),
            Some(_) => self.last_tries < LAST_TRIES,
        }
    }

    /// Reads the older files, each to its end before the next, and closes those that stay quiet.
    pub(crate) fn visit_older(&mut self, turn: &mut Turn<'_>) -> io::Result<ReadOutcome> {
        let mut at = 0;
        while at < self.older.len() {
            match self.visit_older_at(at, turn)? {
                Step::Next => at += 1,
                Step::Again => {}
                Step::Leave(visit) => return Ok(visit),
            }
        }
        Ok(ReadOutcome::End)
    }

    fn visit_older_at(&mut self, at: usize, turn: &mut Turn<'_>) -> io::Result<Step> {
        let cx = turn.cx;
        match self.older[at].ready_found(cx) {
            Ok(true) => {}
            // Moved on: the next look finds it. Whatever it is, it does not keep the others from being read.
            Ok(false) => return Ok(Step::Next),
            Err(error) if is_shortage(&error) => return Err(error),
            Err(error) => {
                self.trouble(Trouble::unreadable(&error), cx);
                return Ok(Step::Next);
            }
        }
        let older = &mut self.older[at];
        let mut visit = older.read(u64::MAX, turn);
        if matches!(visit, Ok(ReadOutcome::End))
            && (older.is_quiet(cx) || older.is_nameless() && cx.descriptors.excess_nameless() > 0)
            && turn.scratch.has_time()
        {
            visit = self.let_go(at, turn);
            if matches!(visit, Ok(ReadOutcome::End)) {
                return Ok(Step::Again);
            }
        }
        match visit {
            Err(error) if self.waits_for(&self.older[at], cx) => Err(error),
            Err(error) => Ok(self.pass_over(&error, cx)),
            Ok(ReadOutcome::End) => {
                if cx.descriptors.is_full() {
                    self.older[at].close_found();
                }
                Ok(Step::Next)
            }
            Ok(ReadOutcome::Changed) => Ok(self.older_changed(at, turn)),
            Ok(visit) => Ok(Step::Leave(visit)),
        }
    }

    /// Leaves an older file that cannot be read just now.
    fn pass_over(&mut self, error: &io::Error, cx: &ReadContext) -> Step {
        self.read_failed(error, cx);
        self.try_again(error, cx);
        Step::Next
    }

    /// Handles an older file whose content before the offset has changed.
    fn older_changed(&mut self, at: usize, turn: &Turn<'_>) -> Step {
        let cx = turn.cx;
        let older = &mut self.older[at];
        let reason = match older.why_changed(cx) {
            Ok(reason) => reason,
            Err(error) => return self.pass_over(&error, cx),
        };
        if older.is_unsure() {
            cx.ledger.emit(&Event::Truncated { input: self.path.to_path_buf() });
            older.restart(self.next_number, older.size(), reason, turn.source, cx);
            self.next_number += 1;
        } else {
            // Whoever follows another name of it reads the new content.
            let mut older = self.older.remove(at);
            older.give_up(false, turn.source, cx);
            older.abandon(reason, turn.source, cx);
            cx.registry.forget(older.id);
        }
        Step::Again
    }

    /// Ends an older file that is read: its last line gets its newline, unless it goes on under another
    /// name that is followed.
    fn let_go(&mut self, at: usize, turn: &mut Turn<'_>) -> io::Result<ReadOutcome> {
        let cx = turn.cx;
        let older = &mut self.older[at];
        let (_, links) = older.stat_open(cx)?;
        if older.has_more() {
            return Ok(ReadOutcome::Again);
        }
        let goes_on = links > 0 && cx.registry.is_wanted(older.id);
        if !goes_on && !older.finish(turn)? {
            return Ok(ReadOutcome::Full);
        }
        if !goes_on && !older.is_quiet(cx) {
            // Something may be written to it yet.
            cx.ledger.possible_loss(turn.source);
        }
        self.drop_older(at, links, turn.source, cx);
        Ok(ReadOutcome::End)
    }

    fn drop_older(&mut self, at: usize, links: u64, source: &Source, cx: &ReadContext) {
        let older = self.older.remove(at);
        older.give_up(links > 0, source, cx);
        match links {
            0 => cx.registry.forget(older.id),
            _ => cx.registry.release(older.id, older.position()),
        }
    }

    /// Closes one of too many files without a name: the first that is read to its end, or else, if `unread`, the first
    /// one, with a gap. Returns false if there is none.
    pub(crate) fn let_go_nameless(&mut self, unread: bool, cx: &ReadContext) -> bool {
        let Some(source) = self.source.clone() else { return false };
        let read = self.older.iter_mut().position(|older| {
            let looked = older.is_nameless() && older.stat_open(cx).is_ok();
            looked && !older.has_news() && !older.has_rest()
        });
        let first = || self.older.iter().position(Generation::is_nameless).filter(|_| unread);
        let Some(at) = read.or_else(first) else { return false };
        let older = &mut self.older[at];
        let links = older.stat_open(cx).map_or(0, |(_, links)| links);
        older.give_up(links > 0, &source, cx);
        older.abandon(GapReason::TooManyOpen, &source, cx);
        self.drop_older(at, links, &source, cx);
        true
    }
}
