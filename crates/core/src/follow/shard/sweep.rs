//! Looks at all files from time to time, whether or not their changes are notified.

use std::time::Duration;

use crate::clock;
use crate::clock::after;
use crate::follow::shard::{FileShard, POLLED_MAX, SWEEP_STEP};

/// So many files are polled between two pauses of a slow sweep.
const SPREAD_STEP: usize = 256;

/// The slow sweep takes at most one part in so many of the time.
const SWEEP_SHARE: u32 = 1000;

impl FileShard {
    /// Continues the sweep, but reads files with unread bytes first. Returns true if it is complete.
    pub(super) fn sweep_in_turn(&mut self) -> bool {
        let due = self.sweep.is_due(self.inputs.len());
        self.sweep.waits = due && !self.sweep.waits && !self.hot.is_empty();
        !due || !self.sweep.waits && self.sweep()
    }

    /// Polls the next files of the sweep under way, or of a new one if that is due. Returns true if it is complete.
    pub(super) fn sweep(&mut self) -> bool {
        if !self.sweep.is_due(self.inputs.len()) {
            return true;
        }
        let began = clock::now();
        if self.sweep.at >= self.inputs.len() || self.sweep.resume.is_some() && began >= self.sweep.due {
            (self.sweep.at, self.sweep.began, self.sweep.cost) = (0, began, Duration::ZERO);
            self.sweep.resume = self.sweep.spread.then_some(began);
            // What is hinted at from here on makes the next one due.
            self.sweep.due = after(began, Duration::MAX);
            if !self.polls() {
                self.take_restless();
                self.poll_due = after(began, self.pace.poll);
            }
        }
        let step = if self.sweep.resume.is_some() { SPREAD_STEP } else { SWEEP_STEP };
        let end = self.inputs.len().min(self.sweep.at + step);
        for at in self.sweep.at..end {
            let rests = self.inputs[at].as_ref().is_some_and(|input| input.rests_until().is_some());
            if self.sweep.hinted || !rests {
                self.apply_path_stat(at);
            }
        }
        self.sweep.at = end;
        let took = clock::since(began);
        self.sweep.cost += took;
        if end < self.inputs.len() {
            let resume = self.sweep.resume.as_mut();
            return resume.map(|resume| *resume = clock::now() + took * SWEEP_SHARE).is_some();
        }
        self.sweep.resume = None;
        let watched = self.cx.watch.is_some() && self.needs_polling.len() <= POLLED_MAX;
        let every = match watched {
            true => self.pace.sweep.max(self.sweep.cost * SWEEP_SHARE),
            false => self.pace.poll,
        };
        self.sweep.hinted &= self.sweep.is_due(self.inputs.len());
        let due = self.sweep.due;
        self.sweep.within(every);
        self.sweep.spread = watched && self.sweep.due < due;
        true
    }
}
