//! Points in time at which something is due.

use std::time::{Duration, Instant};

/// Returns true if a deadline, if there is one, has passed.
pub(crate) fn is_over(until: Option<Instant>) -> bool {
    until.is_some_and(|until| Instant::now() >= until)
}

/// Returns the time so long after another, or one so late that it does not matter.
pub(crate) fn after(instant: Instant, wait: Duration) -> Instant {
    const LATE: Duration = Duration::from_secs(365 * 24 * 3600);
    instant + wait.min(LATE)
}
