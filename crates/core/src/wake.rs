//! Waking whoever waits, in a task or on a thread.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use event_listener::{Event, Listener, listener};

/// Remembers that somebody is to wake, until it does.
///
/// Not a channel, since a job on the blocking pool waits here for a bounded time.
#[derive(Debug, Default)]
pub(crate) struct Wake {
    set: AtomicBool,
    event: Event,
}

impl Wake {
    /// Wakes whoever waits, or else the next who does.
    pub(crate) fn wake(&self) {
        if !self.set.swap(true, Ordering::SeqCst) {
            self.event.notify(1);
        }
    }

    /// Waits to be woken. Cancel safe.
    pub(crate) async fn woken(&self) {
        loop {
            listener!(self.event => listener);
            if self.take() {
                return;
            }
            listener.await;
        }
    }

    /// Waits on this thread, for so long; tells whether it was woken.
    pub(crate) fn woken_within(&self, within: Duration) -> bool {
        listener!(self.event => listener);
        self.take() || listener.wait_timeout(within).is_some() && self.take()
    }

    fn take(&self) -> bool {
        self.set.swap(false, Ordering::SeqCst)
    }
}
