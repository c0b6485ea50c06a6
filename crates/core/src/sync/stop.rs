//! The stages of a merge's end. Each part of a merge waits for the stage that concerns it.

use std::fmt;

use event_listener::{Event, listener};

use super::Mutex;
use super::atomic::{AtomicU8, Ordering};
use super::lock::lock;

/// A stage of a merge's end. Stages only advance.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u8)]
pub(crate) enum Stage {
    /// The merge follows its inputs.
    Running,
    /// A stop was asked for: discovery lists directories a last time.
    Stopping,
    /// No input joins any more: readers read what is there now and end.
    Draining,
    /// Readers end at once; submitted batches are still written.
    Leaving,
    /// The writer ends at once, too.
    Aborted,
}

/// The stage, shared by all parts of a merge.
pub(crate) struct Stop {
    stage: AtomicU8,
    changed: Event,
    /// Called once the last stage is reached.
    on_abort: Mutex<Vec<Box<dyn FnOnce() + Send>>>,
}

impl Stop {
    pub(crate) fn new() -> Self {
        Self { stage: AtomicU8::new(Stage::Running as u8), changed: Event::new(), on_abort: Mutex::default() }
    }

    pub(crate) fn stage(&self) -> Stage {
        match self.stage.load(Ordering::SeqCst) {
            0 => Stage::Running,
            1 => Stage::Stopping,
            2 => Stage::Draining,
            3 => Stage::Leaving,
            _ => Stage::Aborted,
        }
    }

    /// Advances to `stage`, unless that or a later one is reached already.
    pub(crate) fn advance(&self, stage: Stage) {
        self.stage.fetch_max(stage as u8, Ordering::SeqCst);
        self.changed.notify(usize::MAX);
        if stage == Stage::Aborted {
            let hooks = std::mem::take(&mut *lock(&self.on_abort));
            hooks.into_iter().for_each(|hook| hook());
        }
    }

    /// Sets a hook that is called at the last stage, for threads that wait where no future can wake them.
    pub(crate) fn on_abort(&self, hook: impl FnOnce() + Send + 'static) {
        lock(&self.on_abort).push(Box::new(hook));
        if self.stage() == Stage::Aborted {
            self.advance(Stage::Aborted);
        }
    }

    /// Completes once `stage` or a later one is reached. Cancel safe: it holds nothing.
    pub(crate) async fn reached(&self, stage: Stage) {
        while self.stage() < stage {
            listener!(self.changed => changed);
            if self.stage() >= stage {
                return;
            }
            changed.await;
        }
    }
}

impl fmt::Debug for Stop {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Stop").field("stage", &self.stage()).finish_non_exhaustive()
    }
}
