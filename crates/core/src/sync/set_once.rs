//! A value that is set once, and that many wait for.

use std::time::Instant;

use event_listener::{Event, Listener, listener};

use crate::clock;

use super::Mutex;
use super::lock::lock;

/// A value that is set once. Any number of tasks and threads may wait for it; each gets a clone.
#[derive(Debug)]
pub(crate) struct SetOnce<T> {
    value: Mutex<Option<T>>,
    is_set: Event,
}

impl<T> Default for SetOnce<T> {
    fn default() -> Self {
        Self { value: Mutex::new(None), is_set: Event::new() }
    }
}

impl<T: Clone> SetOnce<T> {
    /// Sets the value, unless it is set already.
    pub(crate) fn set(&self, value: T) {
        lock(&self.value).get_or_insert(value);
        self.is_set.notify(usize::MAX);
    }

    pub(crate) fn get(&self) -> Option<T> {
        lock(&self.value).clone()
    }

    /// Waits for the value. Cancel safe.
    pub(crate) async fn wait(&self) -> T {
        loop {
            listener!(self.is_set => is_set);
            if let Some(value) = self.get() {
                return value;
            }
            is_set.await;
        }
    }

    /// Waits for the value on this thread, until `deadline` if there is one.
    pub(crate) fn wait_blocking(&self, deadline: Option<Instant>) -> Option<T> {
        loop {
            listener!(self.is_set => is_set);
            if let Some(value) = self.get() {
                return Some(value);
            }
            match deadline {
                None => is_set.wait(),
                Some(deadline) => {
                    if is_set.wait_timeout(clock::until(deadline)).is_none() {
                        return self.get();
                    }
                }
            }
        }
    }
}
