//! Waking whoever waits, in a task or on a thread.

use std::future::poll_fn;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::task::{Poll, Waker};
use std::time::Duration;

/// Remembers that somebody is to wake, until it does. Only one may wait at a time.
///
/// Not a channel, since a job on the blocking pool waits here for a bounded time; and whoever waits is woken after the
/// lock is free, so that two threads need not meet there.
#[derive(Debug, Default)]
pub(crate) struct Wake {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct State {
    set: bool,
    /// Of a task that waits.
    waker: Option<Waker>,
}

impl Wake {
    /// Wakes whoever waits, or else the next who does.
    pub(crate) fn wake(&self) {
        let mut state = self.lock();
        state.set = true;
        let waker = state.waker.take();
        drop(state);
        match waker {
            Some(waker) => waker.wake(),
            None => self.changed.notify_one(),
        }
    }

    /// Waits to be woken. Cancel safe.
    pub(crate) async fn woken(&self) {
        poll_fn(|cx| {
            let mut state = self.lock();
            if std::mem::take(&mut state.set) {
                return Poll::Ready(());
            }
            state.waker = Some(cx.waker().clone());
            Poll::Pending
        })
        .await;
    }

    /// Waits on this thread, for so long; tells whether it was woken.
    pub(crate) fn woken_within(&self, within: Duration) -> bool {
        let mut state = self.lock();
        // Of a task that has stopped waiting.
        state.waker = None;
        let waited = self.changed.wait_timeout_while(state, within, |state| !state.set);
        let (mut state, _) = waited.unwrap_or_else(PoisonError::into_inner);
        std::mem::take(&mut state.set)
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
