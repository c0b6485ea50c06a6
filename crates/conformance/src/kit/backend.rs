//! Backends around the one that is tested: hosts that keep an eye on their executor, lose it, or have one thread.

use std::cell::Cell;
use std::fmt;
use std::future::{Future, poll_fn};
use std::pin::pin;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::Duration;

use async_channel::{Receiver, Sender};
use async_executor::Executor;
use futures_lite::future::or;
use tailmerge_core::Backend;

/// A host that watches what runs on its executor, and may lose it.
#[derive(Clone)]
pub struct Host<B> {
    inner: B,
    shared: Arc<Shared>,
}

struct Shared {
    /// Tasks that have not ended.
    tasks: AtomicUsize,
    /// Jobs that were given to the blocking pool.
    jobs: AtomicUsize,
    /// Those that run just now, and how many that were at most.
    running: AtomicUsize,
    running_most: AtomicUsize,
    /// Closed once the executor is lost.
    lost: (Sender<()>, Receiver<()>),
    /// The threads where `block_on` was called.
    blocked: Mutex<Vec<String>>,
}

thread_local! {
    /// Whether a task is being polled here.
    static POLLING: Cell<bool> = const { Cell::new(false) };
}

impl<B: Backend> Host<B> {
    pub fn new(inner: B) -> Self {
        let shared = Shared {
            tasks: AtomicUsize::new(0),
            jobs: AtomicUsize::new(0),
            running: AtomicUsize::new(0),
            running_most: AtomicUsize::new(0),
            lost: async_channel::bounded(1),
            blocked: Mutex::default(),
        };
        Self { inner, shared: Arc::new(shared) }
    }

    /// How many tasks there are.
    pub fn tasks(&self) -> usize {
        self.shared.tasks.load(Ordering::SeqCst)
    }

    /// How many jobs there were for the blocking pool.
    pub fn jobs(&self) -> usize {
        self.shared.jobs.load(Ordering::SeqCst)
    }

    /// How many jobs there were at a time on the blocking pool, at most.
    pub fn jobs_at_a_time(&self) -> usize {
        self.shared.running_most.load(Ordering::SeqCst)
    }

    /// Drops all tasks, as an executor does that is dropped.
    pub fn lose_executor(&self) {
        self.shared.lost.0.close();
    }

    /// The threads where `block_on` was called, by their names.
    pub fn blocked(&self) -> Vec<String> {
        self.shared.blocked.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

/// Whether this is called by a task while the executor polls it.
pub fn is_polling() -> bool {
    POLLING.get()
}

/// Polls a future as a task of the host's: see [`is_polling`].
pub async fn as_task<F: Future>(future: F) -> F::Output {
    let mut future = pin!(future);
    poll_fn(|cx| {
        let before = POLLING.replace(true);
        let poll = future.as_mut().poll(cx);
        POLLING.set(before);
        poll
    })
    .await
}

impl<B: Backend> Backend for Host<B> {
    fn block_on<F: Future>(&self, future: F) -> F::Output {
        let name = thread::current().name().unwrap_or_default().to_owned();
        self.shared.blocked.lock().unwrap_or_else(PoisonError::into_inner).push(name);
        self.inner.block_on(future)
    }

    fn spawn(&self, task: impl Future<Output = ()> + Send + 'static) {
        let counted = Counted::new(self.shared.clone());
        self.inner.spawn(async move {
            // In this order: the task is dropped before it is no longer counted.
            let _counted = &counted;
            let lost = async {
                // An error is what it waits for.
                counted.0.lost.1.recv().await.ok();
            };
            or(as_task(task), lost).await;
        });
    }

    fn unblock<T: Send + 'static>(
        &self,
        job: impl FnOnce() -> T + Send + 'static,
    ) -> impl Future<Output = T> + Send + 'static {
        self.shared.jobs.fetch_add(1, Ordering::SeqCst);
        let shared = self.shared.clone();
        self.inner.unblock(move || {
            let running = shared.running.fetch_add(1, Ordering::SeqCst) + 1;
            shared.running_most.fetch_max(running, Ordering::SeqCst);
            let done = job();
            shared.running.fetch_sub(1, Ordering::SeqCst);
            done
        })
    }

    fn sleep(&self, duration: Duration) -> impl Future<Output = ()> + Send + 'static {
        self.inner.sleep(duration)
    }
}

impl<B: Backend> fmt::Debug for Host<B> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Host({:?})", self.inner)
    }
}

/// Counts a task until it is dropped.
struct Counted(Arc<Shared>);

impl Counted {
    fn new(shared: Arc<Shared>) -> Self {
        shared.tasks.fetch_add(1, Ordering::SeqCst);
        Self(shared)
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        self.0.tasks.fetch_sub(1, Ordering::SeqCst);
    }
}

/// A host whose tasks all run on one thread, where it runs its executor itself.
#[derive(Clone)]
pub struct OneThread<B> {
    inner: B,
    executor: Arc<Executor<'static>>,
}

impl<B: Backend> OneThread<B> {
    pub fn new(inner: B) -> Self {
        Self { inner, executor: Arc::default() }
    }

    /// Runs the executor until the future is done.
    pub async fn run<F: Future>(&self, future: F) -> F::Output {
        self.executor.run(future).await
    }
}

impl<B: Backend> Backend for OneThread<B> {
    fn block_on<F: Future>(&self, future: F) -> F::Output {
        self.inner.block_on(future)
    }

    fn spawn(&self, task: impl Future<Output = ()> + Send + 'static) {
        self.executor.spawn(task).detach();
    }

    fn unblock<T: Send + 'static>(
        &self,
        job: impl FnOnce() -> T + Send + 'static,
    ) -> impl Future<Output = T> + Send + 'static {
        self.inner.unblock(job)
    }

    fn sleep(&self, duration: Duration) -> impl Future<Output = ()> + Send + 'static {
        self.inner.sleep(duration)
    }
}

impl<B: Backend> fmt::Debug for OneThread<B> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "OneThread({:?})", self.inner)
    }
}

/// A host that is wrong: it does what blocks within the task.
#[derive(Clone, Debug)]
pub struct Inline<B>(pub B);

impl<B: Backend> Backend for Inline<B> {
    fn block_on<F: Future>(&self, future: F) -> F::Output {
        self.0.block_on(future)
    }

    fn spawn(&self, task: impl Future<Output = ()> + Send + 'static) {
        self.0.spawn(task);
    }

    #[expect(clippy::manual_async_fn, reason = "an async fn would borrow the backend")]
    fn unblock<T: Send + 'static>(
        &self,
        job: impl FnOnce() -> T + Send + 'static,
    ) -> impl Future<Output = T> + Send + 'static {
        async move { job() }
    }

    fn sleep(&self, duration: Duration) -> impl Future<Output = ()> + Send + 'static {
        self.0.sleep(duration)
    }
}
