//! Waking whoever waits, in a task or on a thread.

use std::future::poll_fn;
use std::sync::{Condvar, Mutex, PoisonError};
use std::task::{Poll, Waker};
use std::time::Instant;

use crate::lock::lock;

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
    /// Whether a thread waits.
    waits: bool,
    /// Of a task that waits.
    waker: Option<Waker>,
}

impl Wake {
    /// Wakes whoever waits, or else the next who does.
    pub(crate) fn wake(&self) {
        let mut state = lock(&self.state);
        state.set = true;
        let (waker, waits) = (state.waker.take(), state.waits);
        drop(state);
        waker.into_iter().for_each(Waker::wake);
        if waits {
            self.changed.notify_one();
        }
    }

    /// Waits to be woken. Cancel safe.
    pub(crate) async fn woken(&self) {
        poll_fn(|cx| if self.is_woken_or(cx.waker()) { Poll::Ready(()) } else { Poll::Pending }).await;
    }

    /// Whether somebody is to wake; if not, `waker` is what will be woken.
    pub(crate) fn is_woken_or(&self, waker: &Waker) -> bool {
        let mut state = lock(&self.state);
        let woken = std::mem::take(&mut state.set);
        if !woken {
            state.waker = Some(waker.clone());
        }
        woken
    }

    /// Whether somebody is to wake. No task waits any more.
    #[cfg_attr(not(any(target_os = "linux", target_os = "android")), expect(dead_code, reason = "for who polls"))]
    pub(crate) fn is_woken(&self) -> bool {
        let mut state = lock(&self.state);
        state.waker = None;
        std::mem::take(&mut state.set)
    }

    /// Waits on this thread; tells whether it was woken.
    pub(crate) fn woken_by(&self, deadline: Instant) -> bool {
        let within = deadline.saturating_duration_since(Instant::now());
        let mut state = lock(&self.state);
        // Of a task that has stopped waiting.
        state.waker = None;
        state.waits = true;
        let waited = self.changed.wait_timeout_while(state, within, |state| !state.set);
        let (mut state, _) = waited.unwrap_or_else(PoisonError::into_inner);
        state.waits = false;
        std::mem::take(&mut state.set)
    }
}
