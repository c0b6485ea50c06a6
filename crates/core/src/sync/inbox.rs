//! The writer's inbox: a queue with one receiver.
//!
//! A general channel wakes its receiver while it holds its lock, and the two threads then wait for each other at each
//! batch. This queue wakes its receiver after it has released the lock.

use std::collections::VecDeque;
use std::fmt;
use std::future::poll_fn;
use std::task::{Poll, Waker};

use super::lock::lock;
use super::{Arc, Mutex};

/// A queue of messages. A clone is the same queue.
pub(crate) struct Inbox<T>(Arc<Mutex<State<T>>>);

struct State<T> {
    messages: VecDeque<T>,
    closed: bool,
    /// The waker of the receiver, while it waits.
    waker: Option<Waker>,
}

/// The reason why there is no message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Nothing {
    /// The queue is empty.
    Yet,
    /// The queue is empty and closed.
    More,
}

impl<T> Inbox<T> {
    pub(crate) fn new() -> Self {
        Self(Arc::new(Mutex::new(State { messages: VecDeque::new(), closed: false, waker: None })))
    }

    /// Adds a message. It never waits.
    ///
    /// # Errors
    ///
    /// If the queue is closed; the message is in the error.
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

    /// Offers the last message to `serve`, and adds a new one if `serve` does not take it. Returns none if it is
    /// closed.
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

    /// Closes the queue. Messages that are in it can still be received.
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

    /// Returns the next message, if there is one.
    pub(crate) fn next(&self) -> Result<T, Nothing> {
        lock(&self.0).next()
    }

    /// Waits for the next message; returns none once the queue is closed and empty. Only one task may wait at a time.
    /// Cancel safe.
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
