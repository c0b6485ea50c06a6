//! Starting: the writer's thread first, then, once the output is open, the readers.

use std::io;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use async_channel::Receiver;
use futures_lite::FutureExt;

use crate::backend::Backend;
use crate::batch::Batch;
use crate::batch::pool::BatchPool;
use crate::batch::queue::{LineBuffer, Message, WriterQueue};
use crate::batch::sink::BatchSink;
use crate::follow::context::Settings;
use crate::follow::registry::FileRegistry;
use crate::fs::FileId;
use crate::output::thread::{Session, WriterThread};
use crate::output::writer_loop::WriterLoop;
use crate::output::{OwnFiles, Sleep};
use crate::own_thread::Marked;
use crate::pipeline::builder::Builder;
use crate::pipeline::builder::prepare::Prepared;
use crate::pipeline::error::StartError;
use crate::pipeline::merge::{Merge, Parts};
use crate::pipeline::readers::Readers;
use crate::source::host_lines::HostLines;
use crate::source::host_tailers::Failures;
use crate::source::tailer::TailError;
use crate::sync::lock::lock;
use crate::watch::thread::WatchSlot;

impl Builder {
    /// Starts the merge on an executor.
    ///
    /// It completes once the output is open; readers start then.
    ///
    /// # Errors
    ///
    /// If a setting is out of range, a pattern is malformed, or the output cannot be opened.
    ///
    /// # Cancel safety
    ///
    /// Dropped before it completes, it stops what it started, as dropping a [`Merge`] does.
    pub async fn start_on<B: Backend>(self, backend: B) -> Result<Merge, StartError> {
        let prepared = backend.unblock(move || prepare(self)).await?;
        let (merge, ready) = launch(prepared, backend)?;
        begin(merge, ready.recv().await)
    }

    /// Starts the merge on an executor.
    ///
    /// # Errors
    ///
    /// As [`Builder::start_on`].
    ///
    /// # Blocking
    ///
    /// Waits on this thread until the output is open.
    ///
    /// # Examples
    ///
    /// ```no_run
    /// # fn example(backend: impl tailmerge::Backend) -> Result<(), Box<dyn std::error::Error>> {
    /// use std::time::Duration;
    /// use tailmerge::Builder;
    ///
    /// let merge = Builder::new().input("logs/*.log").output("all.log").start_on_blocking(backend)?;
    /// let report = merge.stop_blocking(Duration::from_secs(10))?;
    /// println!("{} lines", report.lines);
    /// # Ok(())
    /// # }
    /// ```
    pub fn start_on_blocking<B: Backend>(self, backend: B) -> Result<Merge, StartError> {
        let (merge, ready) = launch(prepare(self)?, backend)?;
        begin(merge, ready.recv_blocking())
    }
}

fn prepare(builder: Builder) -> Result<Prepared, StartError> {
    builder.check_output()?;
    builder.prepare()
}

impl OwnFiles for FileRegistry {
    fn add(&self, id: FileId) -> bool {
        self.forbid(id)
    }

    fn remove(&self, id: FileId) {
        self.allow(id);
    }

    fn add_path(&self, path: &Path) {
        self.forbid_path(path);
    }
}

/// The writer is ready, or never will be.
fn begin(merge: Merge, ready: Result<io::Result<()>, async_channel::RecvError>) -> Result<Merge, StartError> {
    match ready {
        Ok(Ok(())) => {
            merge.begin();
            Ok(merge)
        }
        Ok(Err(error)) => Err(StartError::output(error)),
        Err(_) => Err(StartError::ended()),
    }
}

/// Starts the writer's thread. The receiver hears when the writer is ready for the readers to begin.
fn launch<B: Backend>(prepared: Prepared, backend: B) -> Result<(Merge, Receiver<io::Result<()>>), StartError> {
    let Prepared { inputs, batches, serve } = prepared;
    let Settings { capacity, limit, format, stall_limit, .. } = inputs.cx.settings;
    let (ledger, stop, registry) = (inputs.cx.ledger.clone(), inputs.cx.stop.clone(), inputs.cx.registry.clone());
    let queue = WriterQueue::new();
    let pool = BatchPool::new(batches, capacity);
    let host = HostLines::new(capacity, limit.max, queue.clone(), ledger.clone());
    let sleep: Arc<Sleep> = {
        let backend = backend.clone();
        Arc::new(move |duration| backend.sleep(duration).boxed())
    };
    let (ready_to, ready) = async_channel::bounded(1);
    let watch = WatchSlot::default();
    let session = Session {
        writer_loop: WriterLoop {
            messages: queue.clone(),
            pool: pool.clone(),
            lines: host.clone(),
            ledger: ledger.clone(),
            stop: stop.clone(),
            sleep: sleep.clone(),
            stall_limit,
            capacity,
        },
        ready: ready_to,
        own_files: registry.clone(),
    };
    let submit = {
        let (queue, ledger) = (queue.clone(), ledger.clone());
        move |batch: Batch| {
            ledger.submitted.fetch_add(batch.len() as u64, Ordering::Relaxed);
            // Closed only when the merge ends at once: then these lines are reported as not written.
            queue.put(Message::Batch(batch)).ok();
        }
    };
    let end = {
        let (queue, host) = (queue.clone(), host.clone());
        Box::new(move |_: &_, _| {
            host.close();
            queue.close();
        })
    };
    let (executor, logging) = (Marked(backend.clone()), Arc::downgrade(&ledger));
    ledger.on_unlogged(move || {
        let ledger = logging.clone();
        executor.spawn(executor.unblock(move || ledger.upgrade().iter().for_each(|ledger| ledger.log_rest())));
    });
    let close_watch = {
        let watch = watch.clone();
        move || watch.close()
    };
    let name = format!("{backend:?}");
    let thread = WriterThread::start(backend.clone(), serve, session, close_watch).map_err(StartError::thread)?;
    let readers = Readers::new(backend, inputs, BatchSink::new(pool.clone(), submit), watch, end);
    let merge =
        Merge::new(Parts { backend: name, thread, ledger, registry, readers, host, pool, queue, sleep, format });
    Ok((merge, ready))
}

/// A tail: what its readers read, and what ends them.
pub(crate) struct TailParts {
    pub(crate) full: Receiver<Result<Batch, TailError>>,
    pub(crate) pool: Arc<BatchPool>,
    pub(crate) readers: Readers,
}

/// Starts readers without a writer.
pub(crate) fn tail_on<B: Backend>(builder: Builder, backend: B) -> Result<TailParts, StartError> {
    builder.check_no_output()?;
    let Prepared { inputs, batches, .. } = builder.prepare()?;
    let pool = BatchPool::new(batches, inputs.cx.settings.capacity);
    let (full, taken) = async_channel::unbounded();
    let submit = {
        let full = full.clone();
        // Closed only when whoever took the lines is gone.
        move |batch| drop(full.try_send(Ok(batch)))
    };
    let end = Box::new(move |failures: &Failures, lost: bool| {
        // Whoever takes the lines may be gone.
        if lost {
            full.try_send(Err(TailError::new("the executor dropped the readers"))).ok();
        }
        for (_, error) in lock(failures).drain(..) {
            full.try_send(Err(error)).ok();
        }
        full.close();
    });
    let readers = Readers::new(backend, inputs, BatchSink::new(pool.clone(), submit), WatchSlot::default(), end);
    readers.begin();
    readers.end_if_none();
    Ok(TailParts { full: taken, pool, readers })
}
