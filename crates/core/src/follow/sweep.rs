//! When all files are looked at.

use std::time::{Duration, Instant};

use crate::clock;
use crate::clock::after;

/// A look at all inputs, a step at a time, whether or not their changes are notified.
#[derive(Debug)]
pub(crate) struct Sweep {
    /// The index of the next input; at the end if no sweep is under way.
    pub(crate) at: usize,
    /// The time of its next step, if it is a slow one, which is spread over the time until the next one.
    pub(crate) resume: Option<Instant>,
    /// True if the next one is a slow one.
    pub(crate) spread: bool,
    /// The time when the last one began.
    pub(crate) began: Instant,
    /// True if it was put off for files with unread bytes.
    pub(crate) waits: bool,
    /// True if anything may have changed, so that paused inputs are polled, too.
    pub(crate) hinted: bool,
    /// The time that it took so far, without the pauses.
    pub(crate) cost: Duration,
    /// The time when the next one is due.
    pub(crate) due: Instant,
}

impl Sweep {
    /// Returns true if one is under way or due.
    pub(crate) fn is_due(&self, inputs: usize) -> bool {
        self.at < inputs && self.resume.is_none() || clock::now() >= self.next(inputs)
    }

    /// Returns the time of its next step, or of the next one.
    pub(crate) fn next(&self, inputs: usize) -> Instant {
        self.resume.filter(|_| self.at < inputs).map_or(self.due, |resume| resume.min(self.due))
    }

    /// Makes the next one due so soon after the last one, if it is not due before.
    pub(crate) fn within(&mut self, time: Duration) {
        let due = after(self.began, time);
        if due < self.due {
            (self.due, self.spread) = (due, false);
        }
    }
}

impl Default for Sweep {
    fn default() -> Self {
        let now = clock::now();
        let due = after(now, Duration::MAX);
        Self { at: 0, resume: None, spread: false, began: now, waits: false, hinted: false, cost: Duration::ZERO, due }
    }
}
