//! Polls the files whose changes are not notified.

use std::time::Instant;

use crate::clock;
use crate::clock::after;
use crate::follow::input::{Input, Polling};
use crate::follow::shard::{FileShard, POLLED_MAX};

/// So many inputs are polled at once of those that are polled by turns.
const TURNS: usize = 32;

impl FileShard {
    /// Lists an input for polling if need be.
    pub(super) fn note_restless(&mut self, at: usize) {
        let Some(input) = self.inputs[at].as_mut().filter(|_| self.cx.watch.is_some()) else { return };
        match input.polling() {
            Polling::Always if !input.polled => {
                input.polled = true;
                self.needs_polling.push(at);
                self.poll_due = self.poll_due.min(after(clock::now(), self.pace.poll));
                if self.needs_polling.len() == POLLED_MAX + 1 {
                    self.sweep.within(self.pace.poll);
                }
            }
            Polling::ByTurns if !input.has_turn => {
                input.has_turn = true;
                self.turns.push_back(at);
                self.poll_due = self.poll_due.min(after(clock::now(), self.pace.poll));
            }
            _ => {}
        }
    }

    /// Returns true if inputs are polled by themselves.
    pub(super) fn polls(&self) -> bool {
        // With more than these the sweep is so frequent, and has the others in it.
        self.needs_polling.len() <= POLLED_MAX && !(self.needs_polling.is_empty() && self.turns.is_empty())
    }

    /// Polls the inputs that are listed for it, if that is due.
    pub(super) fn poll(&mut self) {
        if !self.polls() || clock::now() < self.poll_due {
            return;
        }
        let next = after(clock::now(), self.pace.poll);
        let (mut rest, mut all_rest) = (None, true);
        for at in self.take_restless() {
            match self.inputs[at].as_ref().and_then(Input::rests_until) {
                Some(until) => {
                    rest = Some(rest.map_or(until, |rest: Instant| rest.min(until)));
                    self.note_restless(at);
                }
                None => {
                    all_rest = false;
                    self.apply_path_stat(at);
                }
            }
        }
        for &at in &self.turns {
            let until = self.inputs[at].as_ref().and_then(Input::rests_until);
            all_rest &= until.is_some();
            rest = until.map(|until| rest.map_or(until, |rest| rest.min(until)));
            if !all_rest {
                break;
            }
        }
        self.poll_due = rest.filter(|_| all_rest).map_or(next, |rest| rest.max(next));
        for _ in 0..self.turns.len().min(TURNS) {
            let Some(at) = self.turns.pop_front() else { return };
            match self.inputs[at].as_mut().filter(|input| input.rests_until().is_some()) {
                Some(_) => self.turns.push_back(at),
                None => {
                    self.inputs[at].iter_mut().for_each(|input| input.has_turn = false);
                    self.apply_path_stat(at);
                }
            }
        }
    }

    /// Takes the inputs that are polled. Those that still need it are listed again when they are polled.
    pub(super) fn take_restless(&mut self) -> Vec<usize> {
        let needs_polling = std::mem::take(&mut self.needs_polling);
        for &at in &needs_polling {
            self.inputs[at].iter_mut().for_each(|input| input.polled = false);
        }
        needs_polling
    }
}
