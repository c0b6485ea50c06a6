//! Doing things in rounds when there is much to do: a wake-up costs as much as copying tens of kilobytes.

use std::time::{Duration, Instant};

/// So many events in a [`WINDOW`] are many: 3000 a second.
const EVENTS_MAX: u32 = 30;

const WINDOW: Duration = Duration::from_millis(10);

/// How long events are left to gather while there are many. A line comes out so much later then.
const PAUSE: Duration = Duration::from_millis(10);

/// Counts events.
#[derive(Debug)]
pub(crate) struct Rounds {
    since: Instant,
    count: u32,
    /// Whether there were many when it was last known.
    many: bool,
}

impl Rounds {
    pub(crate) fn new() -> Self {
        Self { since: Instant::now(), count: 0, many: false }
    }

    /// After a round with so many events: how long others are to be left to gather, if there have been many.
    pub(crate) fn pause(&mut self, events: u32) -> Option<Duration> {
        self.count = self.count.saturating_add(events);
        let elapsed = self.since.elapsed();
        if self.count > EVENTS_MAX || elapsed >= WINDOW {
            let windows = (elapsed.as_micros() / WINDOW.as_micros()).max(1);
            self.many = u128::from(self.count) > windows * u128::from(EVENTS_MAX);
            (self.since, self.count) = (Instant::now(), 0);
        }
        self.many.then_some(PAUSE)
    }
}
