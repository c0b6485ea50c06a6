//! Wakes a waiting task or thread.

use std::future::poll_fn;
use std::sync::PoisonError;
use std::task::{Poll, Waker};
use std::time::Instant;

use crate::clock;

use super::lock::lock;
use super::{Condvar, Mutex};

/// Remembers a wake-up until the one who waits takes it. Only one task or thread may wait at a time.
///
/// It is no channel, since a job on the blocking pool waits here with a timeout, and since it wakes after it has
/// released its lock, so that the two threads do not wait for each other.
#[derive(Debug, Default)]
pub(crate) struct Wake {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct State {
    set: bool,
    /// True while a thread waits.
    waits: bool,
    /// The waker of a task, while it waits.
    waker: Option<Waker>,
}

impl Wake {
    /// Wakes the task or thread that waits, or else the next one that does.
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

    /// Waits for a wake-up. Cancel safe.
    pub(crate) async fn woken(&self) {
        poll_fn(|cx| if self.is_woken_or(cx.waker()) { Poll::Ready(()) } else { Poll::Pending }).await;
    }

    /// Takes a wake-up and returns true; if there is none, `waker` is woken by the next one.
    pub(crate) fn is_woken_or(&self, waker: &Waker) -> bool {
        let mut state = lock(&self.state);
        let woken = std::mem::take(&mut state.set);
        if !woken {
            state.waker = Some(waker.clone());
        }
        woken
    }

    /// Takes a wake-up, if there is one. No task waits after that.
    #[cfg_attr(not(any(target_os = "linux", target_os = "android")), expect(dead_code, reason = "for who polls"))]
    pub(crate) fn is_woken(&self) -> bool {
        let mut state = lock(&self.state);
        state.waker = None;
        std::mem::take(&mut state.set)
    }

    /// Waits on this thread; returns true if it was woken.
    pub(crate) fn woken_by(&self, deadline: Instant) -> bool {
        let mut state = lock(&self.state);
        // Of a task that has stopped waiting.
        state.waker = None;
        state.waits = true;
        while !state.set {
            let within = clock::until(deadline);
            if within.is_zero() {
                break;
            }
            (state, _) = self.changed.wait_timeout(state, within).unwrap_or_else(PoisonError::into_inner);
        }
        state.waits = false;
        std::mem::take(&mut state.set)
    }
}
