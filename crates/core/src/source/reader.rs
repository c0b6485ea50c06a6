//! The blocking-pool adapter: runs a tailer on the blocking pool and submits its batches.
//!
//! The tailer and a batch travel into the job and back by value, and handing over a full batch never
//! waits, since only so many batches exist. So there is nothing that a dropped future could lose, but
//! what was read and not yet handed over.

use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::{Duration, Instant};

use futures_lite::future::or;

use crate::backend::Backend;
use crate::batch::Batch;
use crate::batch::sink::BatchSink;
use crate::clock;
use crate::discover::remote::RemoteStatus;
use crate::source::tailer::{Progress, TailError, Tailer};
use crate::sync::stop::{Stage, Stop};
use crate::watch::mailbox::Mailbox;
use crate::watch::watcher::Watcher;

/// While the output is behind, a tailer looks at its files this often.
const LOOK_EVERY: Duration = Duration::from_millis(100);

/// A job reads at most so many bytes, so that it takes milliseconds.
const BYTES_A_JOB: usize = 4 * 1024 * 1024;

/// A job ends after so many fills in a row without lines, so that it takes milliseconds also where bytes are only
/// skipped.
const EMPTY_FILLS_MAX: u32 = 16;

/// A job waits this long for the next batch. To return to the task and start another job takes two switches of threads;
/// while the output keeps up, a batch is free sooner than that.
const WAIT_IN_JOB: Duration = Duration::from_millis(1);

/// A job that delivered lines waits this long for the next ones, for the same reason. A busy input is read without the
/// executor that way, and an idle one holds no thread.
const LINGER: Duration = Duration::from_millis(10);

/// The context of a reader.
#[derive(Clone)]
pub(crate) struct Feed {
    pub(crate) batches: BatchSink,
    /// Wakes the reader when there may be news.
    pub(crate) mailbox: Arc<Mailbox>,
    /// The watch that fills the mailbox, if the system notifies changes.
    pub(crate) watcher: Option<Arc<Watcher>>,
    /// Watches the jobs, if they may hang.
    pub(crate) remote: Option<Arc<RemoteStatus>>,
    pub(crate) stop: Arc<Stop>,
    pub(crate) poll_interval: Duration,
}

impl Feed {
    /// Runs a job on the blocking pool.
    async fn unblock<B: Backend, T: Send + 'static>(&self, backend: &B, job: impl FnOnce() -> T + Send + 'static) -> T {
        let job = backend.unblock(job);
        match &self.remote {
            None => job.await,
            Some(remote) => remote.watch(backend, job).await,
        }
    }
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
/// The tailer's answer, or its panic. Lines that it committed before are submitted.
pub(crate) async fn read<B: Backend, T: Tailer>(backend: B, mut tailer: T, feed: Feed) -> Result<(), TailError> {
    let ended = loop {
        let batch;
        (tailer, batch) = match feed.batches.pool.try_take() {
            Some(batch) => (tailer, Some(batch)),
            None => wait_for_batch(&backend, tailer, &feed).await?,
        };
        // Read before the job: what is there when a stop is asked for is to be read.
        let stage = feed.stop.stage();
        let Some(batch) = batch.filter(|_| stage < Stage::Leaving) else { break Ok(()) };
        let with = feed.clone();
        let progress;
        let job = move || {
            let worked = work(tailer, batch, &with, stage);
            with.watcher.iter().for_each(|watcher| watcher.leave());
            worked
        };
        (tailer, progress) = feed.unblock(&backend, job).await;
        match progress {
            Err(error) => break Err(error),
            Ok(Progress::More) => {}
            Ok(Progress::Ended) => break Ok(()),
            Ok(Progress::Idle) if stage >= Stage::Draining => break Ok(()),
            Ok(Progress::Idle) => {
                let rest = backend.sleep(tailer.idle_timeout().unwrap_or(feed.poll_interval));
                or(feed.mailbox.wake.woken(), or(feed.stop.reached(Stage::Draining), rest)).await;
            }
        }
    };
    // It closes files, and does what the host's tailers do at their end: not on the executor.
    feed.unblock(&backend, move || drop(tailer)).await;
    ended
}

/// Runs a tailer on the blocking pool: fills the batch, and more of them while there are some.
fn work<T: Tailer>(mut tailer: T, mut batch: Batch, feed: &Feed, stage: Stage) -> (T, Result<Progress, TailError>) {
    let (mut delivered, mut bytes, mut empty) = (None, 0, 0);
    loop {
        let filled = catch_unwind(AssertUnwindSafe(|| tailer.fill(&mut batch)));
        match batch.is_blank() {
            true => {
                empty += 1;
                feed.batches.pool.give_back([batch]);
            }
            false => {
                empty = 0;
                bytes += batch.len();
                feed.batches.submit(batch);
                delivered = Some(clock::now());
            }
        }
        let progress = filled.unwrap_or_else(|panic| Err(TailError::panicked(&*panic)));
        let again = match progress {
            Ok(Progress::More) => true,
            Ok(Progress::Idle) => delivered.is_some_and(|delivered| linger(delivered, feed)),
            _ => false,
        };
        if !again {
            return (tailer, progress);
        }
        // A stop is for the task to see.
        let over = bytes >= BYTES_A_JOB || empty >= EMPTY_FILLS_MAX || feed.stop.stage() != stage;
        match if over { None } else { feed.batches.pool.take_within(WAIT_IN_JOB) } {
            Some(free) => batch = free,
            // There may be more, or the hint at it is taken already.
            None => return (tailer, Ok(Progress::More)),
        }
    }
}

/// Waits for a hint for as long as is worth it after the last lines. True: there is one.
fn linger(delivered: Instant, Feed { mailbox, watcher, .. }: &Feed) -> bool {
    mailbox.is_hinted_at() && watcher.as_ref().is_some_and(|watcher| watcher.wait(mailbox, delivered + LINGER))
}

/// Waits for a batch while the output is behind, and lets the tailer look at its files meanwhile. Returns none if the
/// reader has to end.
async fn wait_for_batch<B: Backend, T: Tailer>(
    backend: &B,
    mut tailer: T,
    feed: &Feed,
) -> Result<(T, Option<Batch>), TailError> {
    loop {
        let free = async { Some(Some(feed.batches.pool.take().await)) };
        let leave = async {
            feed.stop.reached(Stage::Leaving).await;
            Some(None)
        };
        let look = async {
            backend.sleep(LOOK_EVERY).await;
            None
        };
        if let Some(batch) = or(free, or(leave, look)).await {
            return Ok((tailer, batch));
        }
        let looked = feed.unblock(backend, move || match catch_unwind(AssertUnwindSafe(|| tailer.look())) {
            Ok(()) => Ok(tailer),
            Err(panic) => Err(TailError::panicked(&*panic)),
        });
        tailer = looked.await?;
    }
}
