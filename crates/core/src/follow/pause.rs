//! Growing pauses between tries that come to nothing.

use std::time::{Duration, Instant};

use crate::clock;

/// So many tries in a row are made at the usual pace.
const USUAL: u32 = 4;

/// A pause doubles so often at most, and up to [`PAUSE_MAX`].
const DOUBLED_MAX: u32 = 6;

/// The longest pause, unless the usual one is longer.
const PAUSE_MAX: Duration = Duration::from_secs(5);

/// The pause before the next try.
#[derive(Debug, Default)]
pub(crate) struct Pause {
    /// The number of fruitless tries in a row.
    failed: u32,
    until: Option<Instant>,
}

impl Pause {
    /// Records a fruitless try; `usual` is the pause without it.
    pub(crate) fn failed(&mut self, usual: Duration) {
        self.failed = self.failed.saturating_add(1);
        if let Some(doubled) = self.failed.checked_sub(USUAL) {
            let pause = usual.saturating_mul(1 << (doubled + 1).min(DOUBLED_MAX)).min(PAUSE_MAX.max(usual));
            self.until = Some(clock::now() + pause);
        }
    }

    /// Records a try that made progress.
    pub(crate) fn succeeded(&mut self) {
        *self = Self::default();
    }

    /// Returns true if the last try was fruitless.
    pub(crate) fn has_failed(&self) -> bool {
        self.failed > 0
    }

    /// Returns the end of the current pause, if there is one.
    pub(crate) fn until(&self) -> Option<Instant> {
        self.until.filter(|until| clock::now() < *until)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_grow_up_to_a_bound_and_end_with_a_success() {
        const USUAL_PAUSE: Duration = Duration::from_millis(100);
        let mut pause = Pause::default();
        let mut lasts = Vec::new();
        for _ in 0..40 {
            pause.failed(USUAL_PAUSE);
            let until = pause.until().map(|until| until.saturating_duration_since(Instant::now()).as_millis());
            lasts.push(until.unwrap_or(0).div_ceil(100) * 100);
        }
        assert_eq!(lasts[..10], [0, 0, 0, 200, 400, 800, 1600, 3200, 5000, 5000]);
        assert!(lasts[10..].iter().all(|&last| last == 5000), "{lasts:?}");
        pause.succeeded();
        assert!(pause.until().is_none() && !pause.has_failed());
    }

    #[test]
    fn a_pause_is_never_shorter_than_the_usual_one() {
        let mut pause = Pause::default();
        for _ in 0..10 {
            pause.failed(Duration::from_secs(60));
        }
        let left = pause.until().expect("a pause").saturating_duration_since(Instant::now());
        assert!(left > Duration::from_secs(59), "{left:?}");
    }
}
