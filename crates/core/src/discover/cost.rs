//! Limits the share of time that listing directories takes.

use std::time::Duration;

/// Scanning directories takes at most one part in so many of the time, and so does listing large ones: where the system
/// notifies new names, and where it does not.
const SHARES: [u32; 2] = [400, 20];

pub(crate) fn share(watched: bool) -> u32 {
    SHARES[usize::from(!watched)]
}

/// The durations of the last few runs of something.
#[derive(Debug, Default)]
pub(crate) struct Cost([Duration; 4]);

impl Cost {
    pub(crate) fn note(&mut self, took: Duration) {
        self.0.rotate_right(1);
        self.0[0] = took;
    }

    /// Returns the shortest of these, and zero before there are enough. A longer one was delayed by something else,
    /// such as a busy processor.
    pub(crate) fn least(&self) -> Duration {
        self.0.into_iter().min().unwrap_or_default()
    }
}
