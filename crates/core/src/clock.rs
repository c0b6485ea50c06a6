//! The one clock of the core.
//!
//! A test puts it forward, with a backend whose sleeps follow it, and so has hours pass within milliseconds. What waits
//! for the system itself, a few milliseconds at most, waits as long as ever.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant, SystemTime};

/// The clock of this process is so many nanoseconds ahead of the system's.
static AHEAD: AtomicU64 = AtomicU64::new(0);

fn ahead() -> Duration {
    Duration::from_nanos(AHEAD.load(Ordering::Relaxed))
}

/// Puts the clock forward, for all merges of this process. For tests.
#[doc(hidden)]
pub fn put_forward(by: Duration) {
    AHEAD.fetch_add(u64::try_from(by.as_nanos()).unwrap_or(u64::MAX), Ordering::Relaxed);
}

/// Returns the time now.
#[doc(hidden)]
#[must_use]
pub fn now() -> Instant {
    Instant::now() + ahead()
}

/// Returns the time since a point in time; zero if that is to come.
pub(crate) fn since(instant: Instant) -> Duration {
    now().saturating_duration_since(instant)
}

/// Returns the time until a point in time; zero if that has passed.
pub(crate) fn until(instant: Instant) -> Duration {
    instant.saturating_duration_since(now())
}

/// Returns the time of day.
pub(crate) fn time_of_day() -> SystemTime {
    SystemTime::now() + ahead()
}

/// Returns the time since a time of day; none if that is to come.
pub(crate) fn age(time: SystemTime) -> Option<Duration> {
    time_of_day().duration_since(time).ok()
}

/// Returns true if a deadline, if there is one, has passed.
pub(crate) fn is_over(until: Option<Instant>) -> bool {
    until.is_some_and(|until| now() >= until)
}

/// Returns the time so long after another, or one so late that it does not matter.
pub(crate) fn after(instant: Instant, wait: Duration) -> Instant {
    const LATE: Duration = Duration::from_secs(365 * 24 * 3600);
    instant + wait.min(LATE)
}
