//! Doing things in rounds when there is much to do: a wake-up costs as much as copying tens of kilobytes.

use std::time::{Duration, Instant};

/// So many events in a [`WINDOW`] are many: 3000 a second.
const EVENTS_MAX: u32 = 30;

const WINDOW: Duration = Duration::from_millis(10);

/// How long events are left to gather while there are many. A line comes out so much later then.
const PAUSE: Duration = Duration::from_millis(10);

/// For how long there are taken to be many once there were. How many come in a pause does not tell: those of one file
/// become one.
const STRETCH: Duration = Duration::from_millis(100);

/// Counts events.
#[derive(Debug)]
pub(crate) struct Rounds {
    since: Instant,
    count: u32,
    /// Until when there are taken to be many.
    until: Instant,
}

impl Rounds {
    pub(crate) fn new() -> Self {
        let now = Instant::now();
        Self { since: now, count: 0, until: now }
    }

    /// After a round with so many events: how long others are to be left to gather, if there have been many.
    pub(crate) fn pause(&mut self, events: u32) -> Option<Duration> {
        let now = Instant::now();
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
