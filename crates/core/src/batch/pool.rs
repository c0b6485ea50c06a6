//! The pool of empty batches. Reading takes a batch, which bounds memory.

use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use event_listener::{Event, Listener, listener};

use crate::batch::Batch;
use crate::sync::lock::lock;

/// Holds the empty ones of a fixed number of batches.
///
/// It is no channel, since a job on the blocking pool waits here with a timeout.
#[derive(Debug)]
pub(crate) struct BatchPool {
    free: Mutex<Vec<Batch>>,
    given_back: Event,
    /// The capacity of a batch in bytes.
    capacity: usize,
    /// The number of all batches.
    count: usize,
}

impl BatchPool {
    pub(crate) fn new(count: usize, capacity: usize) -> Arc<Self> {
        let free = (0..count).map(|_| Batch::with_capacity(capacity)).collect();
        Arc::new(Self { free: Mutex::new(free), given_back: Event::new(), capacity, count })
    }

    /// Returns the number of all batches.
    pub(crate) fn count(&self) -> usize {
        self.count
    }

    /// Returns the number of batches that are not in the pool.
    pub(crate) fn in_use(&self) -> usize {
        self.count - lock(&self.free).len()
    }

    pub(crate) fn try_take(&self) -> Option<Batch> {
        lock(&self.free).pop()
    }

    /// Waits for a batch. Cancel safe: the batch is taken only when the future completes.
    pub(crate) async fn take(&self) -> Batch {
        loop {
            listener!(self.given_back => given_back);
            if let Some(batch) = self.try_take() {
                return batch;
            }
            given_back.await;
        }
    }

    /// Waits for a batch on this thread, at most for `timeout`.
    pub(crate) fn take_within(&self, within: Duration) -> Option<Batch> {
        if let Some(batch) = self.try_take() {
            return Some(batch);
        }
        let deadline = Instant::now() + within;
        loop {
            listener!(self.given_back => given_back);
            if let Some(batch) = self.try_take() {
                return Some(batch);
            }
            given_back.wait_deadline(deadline)?;
        }
    }

    /// Empties batches and puts them into the pool.
    pub(crate) fn give_back(&self, batches: impl IntoIterator<Item = Batch>) {
        let mut free = lock(&self.free);
        let before = free.len();
        free.extend(batches.into_iter().map(|mut batch| {
            batch.clear(self.capacity);
            batch
        }));
        let more = free.len() - before;
        drop(free);
        self.given_back.notify_additional(more);
    }
}
