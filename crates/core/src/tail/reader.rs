//! The blocking-pool adapter: carries a tailer's lines from the blocking pool to whoever takes them.
//!
//! The tailer and a batch travel into the job and back by value, and handing over a full batch never
//! waits, since only so many batches exist. So there is nothing that a dropped future could lose, but
//! what was read and not yet handed over.

use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::Duration;

use async_channel::Receiver;
use futures_lite::future::or;

use super::{Progress, TailError, Tailer};
use crate::backend::Backend;
use crate::batch::Batch;
use crate::pool::BatchPool;
use crate::stop::{Stage, Stop};

/// How often a tailer looks at its files while the output is behind.
const LOOK_EVERY: Duration = Duration::from_millis(100);

/// Most batches that one job fills, so that it is a matter of milliseconds.
const BATCHES_A_JOB: usize = 16;

/// How long a job waits for the next batch. Going back to the task and coming again takes two hops between
/// threads; while the output keeps up a batch is free sooner than that.
const WAIT_IN_JOB: Duration = Duration::from_millis(1);

/// What a reader needs besides its tailer.
pub(crate) struct Feed {
    pub(crate) pool: Arc<BatchPool>,
    /// Takes a batch with lines in it. Never waits.
    pub(crate) submit: Arc<dyn Fn(Batch) + Send + Sync>,
    /// Hints that there may be news.
    pub(crate) wake: Receiver<()>,
    pub(crate) stop: Arc<Stop>,
    pub(crate) poll_interval: Duration,
}

impl fmt::Debug for Feed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Feed").finish_non_exhaustive()
    }
}

/// Polls a tailer through the blocking pool until it ends or is to stop.
///
/// # Errors
///
/// What the tailer said, or its panic. Lines that it committed before are submitted.
pub(crate) async fn read<B: Backend, T: Tailer>(backend: B, mut tailer: T, feed: Feed) -> Result<(), TailError> {
    loop {
        let batch;
        (tailer, batch) = match feed.pool.try_take() {
            Some(batch) => (tailer, batch),
            None => match wait_for_batch(&backend, tailer, &feed).await? {
                Some(both) => both,
                None => return Ok(()),
            },
        };
        // Read before the job: what is there when a stop is asked for is to be read.
        let stage = feed.stop.stage();
        if stage >= Stage::Leaving {
            return Ok(());
        }
        let (pool, submit) = (feed.pool.clone(), feed.submit.clone());
        let progress;
        (tailer, progress) = backend.unblock(move || work(tailer, batch, &pool, &*submit)).await;
        match progress? {
            Progress::More => {}
            Progress::Ended => return Ok(()),
            Progress::Idle if stage >= Stage::Draining => return Ok(()),
            Progress::Idle => {
                let woken = async {
                    // An error means that nobody will hint any more: the others wake it.
                    if feed.wake.recv().await.is_err() {
                        std::future::pending().await
                    }
                };
                or(woken, or(feed.stop.reached(Stage::Draining), backend.sleep(feed.poll_interval))).await;
            }
        }
    }
}

/// A tailer's turn on the blocking pool: fills the batch, and more of them while there are some.
fn work<T: Tailer>(
    mut tailer: T,
    mut batch: Batch,
    pool: &BatchPool,
    submit: &dyn Fn(Batch),
) -> (T, Result<Progress, TailError>) {
    for left in (0..BATCHES_A_JOB).rev() {
        let filled = catch_unwind(AssertUnwindSafe(|| tailer.fill(&mut batch)));
        match batch.is_empty() {
            true => pool.give_back([batch]),
            false => submit(batch),
        }
        let progress = filled.unwrap_or_else(|panic| Err(TailError::panicked(&*panic)));
        let again = matches!(progress, Ok(Progress::More)) && left > 0;
        match if again { pool.take_within(WAIT_IN_JOB) } else { None } {
            Some(free) => batch = free,
            None => return (tailer, progress),
        }
    }
    unreachable!("the last round returns")
}

/// Waits while the output is behind, and has the tailer look at its files meanwhile. None: it is to end.
async fn wait_for_batch<B: Backend, T: Tailer>(
    backend: &B,
    mut tailer: T,
    feed: &Feed,
) -> Result<Option<(T, Batch)>, TailError> {
    loop {
        let free = async { Some(Some(feed.pool.take().await)) };
        let leave = async {
            feed.stop.reached(Stage::Leaving).await;
            Some(None)
        };
        let look = async {
            backend.sleep(LOOK_EVERY).await;
            None
        };
        if let Some(batch) = or(free, or(leave, look)).await {
            return Ok(batch.map(|batch| (tailer, batch)));
        }
        let looked = backend.unblock(move || match catch_unwind(AssertUnwindSafe(|| tailer.look())) {
            Ok(()) => Ok(tailer),
            Err(panic) => Err(TailError::panicked(&*panic)),
        });
        tailer = looked.await?;
    }
}
