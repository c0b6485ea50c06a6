//! How much of the time listing directories may take.

use std::time::Duration;

/// Looking at directories takes at most one part in this many of the time, and so does listing large ones: where the
/// system tells of the names that come, and where it does not.
const SHARES: [u32; 2] = [200, 20];

pub(crate) fn share(watched: bool) -> u32 {
    SHARES[usize::from(!watched)]
}

/// How long something took the last few times.
#[derive(Debug, Default)]
pub(crate) struct Cost([Duration; 4]);

impl Cost {
    pub(crate) fn note(&mut self, took: Duration) {
        self.0.rotate_right(1);
        self.0[0] = took;
    }

    /// The shortest of these, and nothing before there are so many: what takes longer was held up by something else,
    /// such as a busy processor.
    pub(crate) fn least(&self) -> Duration {
        self.0.into_iter().min().unwrap_or_default()
    }
}
