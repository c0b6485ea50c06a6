//! The pool of empty batches. Reading takes a batch, which bounds memory.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use event_listener::{Event, Listener, listener};

use crate::batch::{Batch, Grown};
use crate::clock;
use crate::sync::lock::lock;

/// Holds the empty ones of a fixed number of batches.
///
/// It is no channel, since a job on the blocking pool waits here with a timeout.
#[derive(Debug)]
pub(crate) struct BatchPool {
    free: Mutex<Free>,
    /// True while a batch has grown.
    has_grown: Arc<AtomicBool>,
    given_back: Event,
    /// The capacity of a batch in bytes.
    capacity: usize,
    /// The number of all batches.
    count: usize,
}

#[derive(Debug)]
struct Free {
    batches: Vec<Batch>,
    /// True while a batch that may grow is needed and another one has grown: none is taken until that is given back.
    waits: bool,
}

impl BatchPool {
    pub(crate) fn new(count: usize, capacity: usize) -> Arc<Self> {
        let has_grown = Arc::<AtomicBool>::default();
        let batches = (0..count).map(|_| Batch::in_pool(capacity, has_grown.clone())).collect();
        let free = Free { batches, waits: false };
        Arc::new(Self { free: Mutex::new(free), has_grown, given_back: Event::new(), capacity, count })
    }

    /// Returns the number of all batches.
    pub(crate) fn count(&self) -> usize {
        self.count
    }

    /// Returns the number of batches that are not in the pool.
    pub(crate) fn in_use(&self) -> usize {
        self.count - lock(&self.free).batches.len()
    }

    pub(crate) fn try_take(&self) -> Option<Batch> {
        let mut free = lock(&self.free);
        if free.waits { None } else { free.batches.pop() }
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
        let deadline = clock::now() + within;
        loop {
            listener!(self.given_back => given_back);
            if let Some(batch) = self.try_take() {
                return Some(batch);
            }
            given_back.wait_timeout(clock::until(deadline))?;
        }
    }

    /// Empties batches and puts them into the pool.
    pub(crate) fn give_back(&self, batches: impl IntoIterator<Item = Batch>) {
        let mut free = lock(&self.free);
        let (before, waited) = (free.batches.len(), free.waits);
        for mut batch in batches {
            match batch.clear(self.capacity) {
                Grown::Yes => free.waits = false,
                Grown::Refused => free.waits |= self.has_grown.load(Ordering::Relaxed),
                Grown::No => {}
            }
            free.batches.push(batch);
        }
        let more = match (waited, free.waits) {
            (_, true) => 0,
            (true, false) => free.batches.len(),
            (false, false) => free.batches.len() - before,
        };
        drop(free);
        self.given_back.notify_additional(more);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_batch_at_a_time_grows_and_others_wait_for_it() {
        let pool = BatchPool::new(3, 10);
        let line = [b"xxxxxxxxxxxx", &b"\n"[..]].concat();
        let [mut first, mut second] = [pool.try_take().unwrap(), pool.try_take().unwrap()];
        assert!(first.push(0, 13, &line));
        assert!(!second.push(0, 13, &line), "another one has grown");
        pool.give_back([second]);
        assert!(pool.try_take().is_none(), "it would be refused again");
        pool.give_back([first]);
        let mut second = pool.try_take().unwrap();
        assert!(second.push(0, 13, &line), "its turn");
        let mut third = pool.try_take().unwrap();
        assert!(third.push(0, 2, b"x\n") && !third.may_grow(), "it has lines");
        pool.give_back([third]);
        assert!(pool.try_take().is_some(), "nobody waits for the one that has grown");
        pool.give_back([second]);
        assert_eq!(pool.in_use(), 1);
    }
}
