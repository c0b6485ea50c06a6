//! The writer's inbox: what is to be written, in order.
//!
//! Not a channel: a general one wakes its receiver with its lock held, and the two threads then meet at that lock for
//! each batch. There is one receiver here, which is woken after the lock is free.

use std::collections::VecDeque;
use std::fmt;
use std::future::poll_fn;
use std::sync::{Arc, Mutex};
use std::task::{Poll, Waker};

use crate::lock::lock;

/// Takes messages until it is closed. A clone is the same one.
pub(crate) struct Inbox<T>(Arc<Mutex<State<T>>>);

struct State<T> {
    messages: VecDeque<T>,
    closed: bool,
    /// Of whoever waits for the next message.
    waker: Option<Waker>,
}

/// Why there is no message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Nothing {
    /// There may be one later.
    Yet,
    /// There will be none.
    More,
}

impl<T> Inbox<T> {
    pub(crate) fn new() -> Self {
        Self(Arc::new(Mutex::new(State { messages: VecDeque::new(), closed: false, waker: None })))
    }

    /// Puts a message in. Never waits.
    ///
    /// # Errors
    ///
    /// If it is closed: the message is given back.
    pub(crate) fn put(&self, message: T) -> Result<(), T> {
        let mut state = lock(&self.0);
        if state.closed {
            return Err(message);
        }
        state.messages.push_back(message);
        let waker = state.waker.take();
        drop(state);
        waker.into_iter().for_each(Waker::wake);
        Ok(())
    }

    /// Has the last message serve one more who asks, where `serve` can, or else a new one. None if it is closed.
    pub(crate) fn put_or_join<R>(&self, make: impl FnOnce() -> T, serve: impl Fn(&mut T) -> Option<R>) -> Option<R> {
        let mut state = lock(&self.0);
        if state.closed {
            return None;
        }
        if let Some(joined) = state.messages.back_mut().and_then(&serve) {
            return Some(joined);
        }
        let mut message = make();
        let served = serve(&mut message);
        state.messages.push_back(message);
        let waker = state.waker.take();
        drop(state);
        waker.into_iter().for_each(Waker::wake);
        served
    }

    /// Takes no more messages; those that are in it can still be had.
    pub(crate) fn close(&self) {
        let mut state = lock(&self.0);
        state.closed = true;
        let waker = state.waker.take();
        drop(state);
        waker.into_iter().for_each(Waker::wake);
    }

    pub(crate) fn is_closed(&self) -> bool {
        lock(&self.0).closed
    }

    /// The next message.
    pub(crate) fn next(&self) -> Result<T, Nothing> {
        lock(&self.0).next()
    }

    /// Waits for the next message. None: there will be none. Only one may wait at a time. Cancel safe.
    pub(crate) async fn wait(&self) -> Option<T> {
        poll_fn(|cx| {
            let mut state = lock(&self.0);
            match state.next() {
                Ok(message) => Poll::Ready(Some(message)),
                Err(Nothing::More) => Poll::Ready(None),
                Err(Nothing::Yet) => {
                    state.waker = Some(cx.waker().clone());
                    Poll::Pending
                }
            }
        })
        .await
    }
}

impl<T> State<T> {
    fn next(&mut self) -> Result<T, Nothing> {
        self.messages.pop_front().ok_or(if self.closed { Nothing::More } else { Nothing::Yet })
    }
}

impl<T> Clone for Inbox<T> {
    fn clone(&self) -> Self {
        Self(self.0.clone())
    }
}

impl<T> fmt::Debug for Inbox<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Inbox").field("messages", &lock(&self.0).messages.len()).finish_non_exhaustive()
    }
}
