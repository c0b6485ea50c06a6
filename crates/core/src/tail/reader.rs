//! The blocking-pool adapter: carries a tailer's lines from the blocking pool to whoever takes them.
//!
//! The tailer and a batch travel into the job and back by value, and handing over a full batch never
//! waits, since only so many batches exist. So there is nothing that a dropped future could lose, but
//! what was read and not yet handed over.

use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::Duration;

use async_channel::{Receiver, Sender};
use futures_lite::future::or;

use super::{Progress, TailError, Tailer};
use crate::backend::Backend;
use crate::batch::Batch;
use crate::stop::{Stage, Stop};

/// How often a tailer looks at its files while the output is behind.
const LOOK_EVERY: Duration = Duration::from_millis(100);

/// What a reader needs besides its tailer.
pub(crate) struct Feed {
    /// Empty batches, to and from.
    pub(crate) free: Receiver<Batch>,
    pub(crate) give_back: Sender<Batch>,
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
        (tailer, batch) = match feed.free.try_recv() {
            Ok(batch) => (tailer, batch),
            Err(_) => match wait_for_batch(&backend, tailer, &feed).await? {
                Some(both) => both,
                None => return Ok(()),
            },
        };
        // Read before the job: what is there when a stop is asked for is to be read.
        let stage = feed.stop.stage();
        if stage >= Stage::Leaving {
            return Ok(());
        }
        let (back, batch, progress) = backend
            .unblock(move || {
                let mut both = (tailer, batch);
                let filled = catch_unwind(AssertUnwindSafe(|| both.0.fill(&mut both.1)));
                (both.0, both.1, filled.unwrap_or_else(|panic| Err(TailError::panicked(&*panic))))
            })
            .await;
        tailer = back;
        if batch.is_empty() {
            // Closed only if nobody takes batches any more.
            drop(feed.give_back.try_send(batch));
        } else {
            (feed.submit)(batch);
        }
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

/// Waits while the output is behind, and has the tailer look at its files meanwhile. None: it is to end.
async fn wait_for_batch<B: Backend, T: Tailer>(
    backend: &B,
    mut tailer: T,
    feed: &Feed,
) -> Result<Option<(T, Batch)>, TailError> {
    loop {
        // An error means that nobody takes batches any more.
        let free = async { Some(feed.free.recv().await.ok()) };
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
