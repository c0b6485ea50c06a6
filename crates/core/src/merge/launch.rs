//! Starting: the writer's thread first, then, once the output is open, the readers.

use std::ffi::OsString;
use std::fmt;
use std::io;
use std::panic::AssertUnwindSafe;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use async_channel::{Receiver, Sender};
use futures_lite::FutureExt;

use super::handle::Parts;
use super::{Builder, FollowError, Merge, StartError};
use crate::backend::Backend;
use crate::batch::{Batch, Source};
use crate::pool::BatchPool;
use crate::report::{Event, Ledger};
use crate::stall::guard_with;
use crate::stop::{Stage, Stop};
use crate::tail::{
    Discovery, Excludes, Failures, Feed, FileShard, Many, Request, Spec, StartAt, TailContext, TailError, Tailer,
    discover, read,
};
use crate::write::{HostLines, Message, Queue, Serve, Session, Sleep, WriterThread};

/// Most readers of files at a time. With discovery and the host's tailers that makes at most four jobs on
/// the blocking pool.
const FILE_READERS_MAX: usize = 2;

/// A builder whose settings are checked.
pub(super) struct Prepared {
    pub(super) specs: Vec<Spec>,
    pub(super) excludes: Excludes,
    pub(super) start: StartAt,
    pub(super) tailers: Vec<(Arc<Source>, Box<dyn Tailer>)>,
    pub(super) tail: TailContext,
    pub(super) poll_interval: Duration,
    pub(super) stall_limit: Option<Duration>,
    /// Bytes in a batch.
    pub(super) capacity: usize,
    pub(super) batches: usize,
    pub(super) serve: Serve,
}

pub(super) async fn start_on<B: Backend>(builder: Builder, backend: B) -> Result<Merge, StartError> {
    let prepared = backend.unblock(move || builder.prepare()).await?;
    let (merge, ready, readers) = launch(prepared, backend)?;
    begin(merge, ready.recv().await, readers)
}

pub(super) fn start_on_blocking<B: Backend>(builder: Builder, backend: B) -> Result<Merge, StartError> {
    let (merge, ready, readers) = launch(builder.prepare()?, backend)?;
    begin(merge, ready.recv_blocking(), readers)
}

type Ready = Result<io::Result<()>, async_channel::RecvError>;

/// The writer is ready, or never will be: lets the readers go.
fn begin(merge: Merge, ready: Ready, readers: Box<dyn FnOnce() + Send>) -> Result<Merge, StartError> {
    match ready {
        Ok(Ok(())) => {
            readers();
            Ok(merge)
        }
        Ok(Err(error)) => Err(StartError::output(error)),
        Err(_) => Err(StartError::ended()),
    }
}

type Launched = (Merge, Receiver<io::Result<()>>, Box<dyn FnOnce() + Send>);

/// Starts the writer's thread and gives what starts the readers.
fn launch<B: Backend>(prepared: Prepared, backend: B) -> Result<Launched, StartError> {
    let Prepared { tailers, tail, stall_limit, capacity, batches, serve, poll_interval, .. } = prepared;
    let ledger = tail.ledger.clone();
    let stop = Arc::new(Stop::new());
    let (queue, messages) = async_channel::unbounded();
    let pool = BatchPool::new(batches, capacity);
    let host = HostLines::new(capacity, tail.limit.max, queue.clone(), ledger.clone());
    let sleep: Arc<Sleep> = {
        let backend = backend.clone();
        Arc::new(move |duration| backend.sleep(duration).boxed())
    };
    let (ready_to, ready) = async_channel::bounded(1);
    let claims = tail.claims.clone();
    let session = Session {
        queue: Queue {
            messages,
            pool: pool.clone(),
            host: host.clone(),
            ledger: ledger.clone(),
            stop: stop.clone(),
            sleep: sleep.clone(),
            stall_limit,
            capacity,
        },
        ready: ready_to,
        forbid: Box::new(move |files| files.into_iter().for_each(|id| claims.forbid(id))),
    };
    let readers = Arc::new(Readers {
        live: AtomicUsize::new(0),
        lost: AtomicBool::new(false),
        left: AtomicBool::new(false),
        failures: Arc::default(),
        once: tail.once,
        stop: stop.clone(),
        end: {
            let (queue, host) = (queue.clone(), host.clone());
            Box::new(move || {
                host.close();
                queue.close();
            })
        },
    });
    let submit: Submit = {
        let (queue, ledger) = (queue.clone(), ledger.clone());
        Arc::new(move |batch: Batch| {
            ledger.submitted.fetch_add(batch.len() as u64, Ordering::Relaxed);
            // Closed only when the merge ends at once: then these lines are reported as not written.
            drop(queue.try_send(Message::Batch(batch)));
        })
    };
    let name = format!("{backend:?}");
    let thread = WriterThread::start(backend.clone(), serve, session).map_err(StartError::thread)?;
    let hub =
        Hub { backend, pool, submit, readers: readers.clone(), ledger: ledger.clone(), stall_limit, poll_interval };
    let files = Files { specs: prepared.specs, excludes: prepared.excludes, start: prepared.start, tail: tail.clone() };
    let (wakes, requests) = (Arc::new(Mutex::new(Vec::new())), Arc::new(Mutex::new(None)));
    let has_files = !files.specs.is_empty();
    let follow: Box<dyn FnOnce() + Send> = {
        let (hub, wakes, requests) = (hub.clone(), wakes.clone(), requests.clone());
        Box::new(move || {
            let (asks, more) = hub.follow(files);
            wakes.lock().unwrap_or_else(PoisonError::into_inner).extend(more);
            *requests.lock().unwrap_or_else(PoisonError::into_inner) = Some(asks);
        })
    };
    let follow = Arc::new(Mutex::new(Some(follow)));
    let merge = Merge::new(Parts {
        backend: name,
        stop,
        thread,
        ledger,
        readers,
        host,
        queue,
        sleep,
        format: tail.format,
        requests,
        wakes: wakes.clone(),
        follow: follow.clone(),
    });
    let begin = move || {
        if !tailers.is_empty() {
            let failures = hub.readers.failures.clone();
            let wake = hub.spawn("tailmerge: tailers", Many::new(tailers, capacity, failures));
            wakes.lock().unwrap_or_else(PoisonError::into_inner).push(wake);
        }
        if has_files && let Some(follow) = follow.lock().unwrap_or_else(PoisonError::into_inner).take() {
            follow();
        }
    };
    Ok((merge, ready, Box::new(begin)))
}

type Submit = Arc<dyn Fn(Batch) + Send + Sync>;

/// What is to be followed.
struct Files {
    specs: Vec<Spec>,
    excludes: Excludes,
    start: StartAt,
    tail: TailContext,
}

/// Where readers are started, and what all of them share.
#[derive(Clone)]
struct Hub<B> {
    backend: B,
    pool: Arc<BatchPool>,
    submit: Submit,
    readers: Arc<Readers>,
    ledger: Arc<Ledger>,
    stall_limit: Option<Duration>,
    poll_interval: Duration,
}

impl<B: Backend> Hub<B> {
    /// Starts a reader; gives what wakes it.
    fn spawn(&self, name: &'static str, tailer: impl Tailer) -> Sender<()> {
        let (wake, woken) = async_channel::bounded(1);
        let feed = Feed {
            pool: self.pool.clone(),
            submit: self.submit.clone(),
            wake: woken,
            stop: self.readers.stop.clone(),
            poll_interval: self.poll_interval,
        };
        self.run(name, read(self.backend.clone(), tailer, feed));
        wake
    }

    /// Starts the readers of files and their discovery.
    fn follow(&self, files: Files) -> (Sender<Request>, Vec<Sender<()>>) {
        let Files { specs, excludes, start, tail } = files;
        let (requests, asked) = async_channel::unbounded();
        let (mut shards, mut wakes) = (Vec::new(), Vec::new());
        for _ in 0..FILE_READERS_MAX {
            let (commands, inbox) = async_channel::unbounded();
            shards.push(commands);
            wakes.push(self.spawn("tailmerge: reader", FileShard::new(tail.clone(), inbox, self.poll_interval)));
        }
        let discovery = Discovery::new(tail, specs, excludes, start, shards);
        let wake = {
            let wakes = wakes.clone();
            move || wake_all(&wakes)
        };
        let (backend, stop, every) = (self.backend.clone(), self.readers.stop.clone(), self.poll_interval);
        let last = (stop.clone(), wake.clone());
        self.run("tailmerge: discovery", async move {
            let discovered = discover(backend, discovery, asked, stop, every, wake).await;
            let (stop, wake) = last;
            if stop.stage() > Stage::Running {
                stop.advance(Stage::Draining);
            }
            wake();
            discovered
        });
        (requests, wakes)
    }

    /// Runs a task that counts as a reader.
    fn run(&self, name: &'static str, task: impl Future<Output = Result<(), TailError>> + Send + 'static) {
        let mut reader = Reader::new(self.readers.clone());
        let ledger = self.ledger.clone();
        let task = async move {
            // Futures of this crate; only what the host gave can panic, and that is caught where it is called,
            // but for its executor, whose panic leaves nothing of ours half done.
            let ended = AssertUnwindSafe(task).catch_unwind().await;
            let ended = ended.unwrap_or_else(|panic| Err(TailError::panicked(&*panic)));
            reader.end(name, ended, &ledger);
        };
        let ledger = self.ledger.clone();
        match self.stall_limit {
            Some(limit) => self.backend.spawn(guard_with(name, limit, task, move |name, took| {
                ledger.tell(&Event::Stalled { name, took });
            })),
            None => self.backend.spawn(task),
        }
    }
}

/// Hints to readers that there may be news. One that has a hint already needs no other.
pub(super) fn wake_all(wakes: &[Sender<()>]) {
    for wake in wakes {
        wake.try_send(()).ok();
    }
}

/// The readers of a merge, and what is to happen when the last of them ends.
pub(super) struct Readers {
    live: AtomicUsize,
    /// Whether one was dropped before its end.
    pub(super) lost: AtomicBool,
    /// Whether one had to leave before it was done.
    pub(super) left: AtomicBool,
    pub(super) failures: Arc<Failures>,
    once: bool,
    stop: Arc<Stop>,
    end: Box<dyn Fn() + Send + Sync>,
}

impl Readers {
    /// Nothing is read any more: what was submitted is written, and then the writer ends.
    pub(super) fn end(&self) {
        (self.end)();
    }

    /// Ends if no reader will.
    pub(super) fn end_if_none(&self) {
        if self.live.load(Ordering::SeqCst) == 0 {
            self.end();
        }
    }
}

impl fmt::Debug for Readers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Readers").field("live", &self.live).finish_non_exhaustive()
    }
}

/// One reader, which counts until it ends or is dropped.
struct Reader {
    readers: Arc<Readers>,
    ended: bool,
}

impl Reader {
    fn new(readers: Arc<Readers>) -> Self {
        readers.live.fetch_add(1, Ordering::SeqCst);
        Self { readers, ended: false }
    }

    fn end(&mut self, name: &str, ended: Result<(), TailError>, ledger: &Ledger) {
        self.ended = true;
        if self.readers.stop.stage() >= Stage::Leaving {
            self.readers.left.store(true, Ordering::SeqCst);
        }
        if let Err(error) = ended {
            ledger.tell(&Event::Failed { name, reason: &error.to_string() });
            self.readers
                .failures
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .push((name.to_owned(), Arc::new(error)));
        }
    }
}

impl Drop for Reader {
    fn drop(&mut self) {
        let readers = &self.readers;
        if !self.ended {
            readers.lost.store(true, Ordering::SeqCst);
        }
        let last = readers.live.fetch_sub(1, Ordering::SeqCst) == 1;
        if last && (readers.once || readers.lost.load(Ordering::SeqCst) || readers.stop.stage() > Stage::Running) {
            readers.end();
        }
    }
}

/// Asks discovery for something.
pub(super) fn ask(
    requests: &Mutex<Option<Sender<Request>>>,
    request: impl FnOnce(OsString, Sender<Result<(), crate::tail::PatternError>>) -> Request,
    input: OsString,
) -> Result<Receiver<Result<(), crate::tail::PatternError>>, FollowError> {
    let (reply, replied) = async_channel::bounded(1);
    let requests = requests.lock().unwrap_or_else(PoisonError::into_inner);
    let requests = requests.as_ref().ok_or(FollowError::Closed)?;
    requests.try_send(request(input, reply)).map_err(|_| FollowError::Closed)?;
    Ok(replied)
}

/// A tail alone: what its readers read, and what ends them.
pub(crate) struct TailParts {
    pub(crate) full: Receiver<Result<Batch, Arc<TailError>>>,
    pub(crate) pool: Arc<BatchPool>,
    pub(crate) stop: Arc<Stop>,
}

/// Starts readers without a writer.
pub(crate) fn tail_on<B: Backend>(builder: Builder, backend: B) -> Result<TailParts, StartError> {
    let Prepared { specs, excludes, start, tailers, tail, stall_limit, capacity, batches, poll_interval, .. } =
        builder.prepare()?;
    let stop = Arc::new(Stop::new());
    let pool = BatchPool::new(batches, capacity);
    let (full, taken) = async_channel::unbounded();
    let failures: Arc<Failures> = Arc::default();
    let readers = Arc::new(Readers {
        live: AtomicUsize::new(0),
        lost: AtomicBool::new(false),
        left: AtomicBool::new(false),
        failures: failures.clone(),
        once: tail.once,
        stop: stop.clone(),
        end: {
            let full = full.clone();
            Box::new(move || {
                for (_, error) in failures.lock().unwrap_or_else(PoisonError::into_inner).drain(..) {
                    // Whoever took the lines is gone if this fails.
                    drop(full.try_send(Err(error)));
                }
                full.close();
            })
        },
    });
    let hub = Hub {
        backend,
        pool: pool.clone(),
        submit: Arc::new(move |batch| drop(full.try_send(Ok(batch)))),
        ledger: tail.ledger.clone(),
        readers,
        stall_limit,
        poll_interval,
    };
    if !tailers.is_empty() {
        drop(hub.spawn("tailmerge: tailers", Many::new(tailers, capacity, hub.readers.failures.clone())));
    }
    if !specs.is_empty() {
        drop(hub.follow(Files { specs, excludes, start, tail }));
    }
    hub.readers.end_if_none();
    Ok(TailParts { full: taken, pool, stop })
}
