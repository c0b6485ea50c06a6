//! Doing things in rounds when there is much to do: a wake-up costs as much as copying tens of kilobytes.

use std::time::{Duration, Instant};

use crate::clock;

/// So many events in a [`WINDOW`] are many: 3000 a second.
const EVENTS_MAX: u32 = 30;

const WINDOW: Duration = Duration::from_millis(10);

/// While there are many events, they gather for this long. A line is out that much later then.
const PAUSE: Duration = Duration::from_millis(10);

/// Once there were many events, there are taken to be many for this long. Their number in a pause does not tell, since
/// those of one file become one.
const STRETCH: Duration = Duration::from_millis(100);

/// Counts events.
#[derive(Debug)]
pub(crate) struct Rounds {
    since: Instant,
    count: u32,
    /// The time until which there are taken to be many.
    until: Instant,
}

impl Rounds {
    pub(crate) fn new() -> Self {
        let now = clock::now();
        Self { since: now, count: 0, until: now }
    }

    /// Counts the events of a round. Returns how long the next ones gather, if there have been many.
    pub(crate) fn pause(&mut self, events: u32) -> Option<Duration> {
        let now = clock::now();
        if now < self.until {
            return Some(PAUSE);
        }
        if now.duration_since(self.since) >= WINDOW {
            (self.since, self.count) = (now, 0);
        }
        self.count = self.count.saturating_add(events);
        let many = self.count > EVENTS_MAX;
        if many {
            self.until = now + STRETCH;
        }
        many.then_some(PAUSE)
    }
}
