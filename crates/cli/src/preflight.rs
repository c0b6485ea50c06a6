//! Checks that there are enough threads, descriptors and memory for a merge, before any file is opened.
//!
//! An executor that cannot start a thread or open a descriptor panics or tries again for ever, and a program that gets
//! no memory aborts. So everything that a merge needs is allocated here at once and released; then the executor is
//! started.

use std::env;
use std::io;
use std::panic;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError, mpsc};
use std::thread;
use std::time::Duration;

use futures_lite::future;
use rustix::process::{Resource, getrlimit};
use tailmerge::Backend;
use tailmerge::internal::escaped;

use crate::POOL_THREADS;
use crate::console;
use crate::status::Failure;

/// A merge opens so many descriptors besides streams: 15 of its own and its executor's, and at least three for files,
/// which are then opened by turns.
const DESCRIPTORS: usize = 18;

/// A merge has so many threads besides those of its executor and of the pool: for timers, the writer, the watch, and
/// the start of the executor.
const THREADS: usize = 4;

/// The size of a thread's stack in bytes, unless the user sets another, with what the system adds to it.
const STACK: usize = 2 * 1024 * 1024 + 64 * 1024;

/// Bytes of memory for everything but buffers: names, positions, temporary values.
const MEMORY: usize = 16 * 1024 * 1024;

/// An executor that has not started after this time never will.
const START_MAX: Duration = Duration::from_secs(10);

/// True while the executor is being started.
static STARTING: AtomicBool = AtomicBool::new(false);

/// The needs of a merge that depend on its settings.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Needs {
    /// The number of the executor's threads.
    pub(crate) executor: usize,
    /// The number of inputs that are open all the time.
    pub(crate) streams: usize,
    /// The size of all buffers in bytes.
    pub(crate) buffers: usize,
}

/// Checks that a merge can have what it needs, and starts the executor.
pub(crate) fn check<B: Backend>(backend: &B, needs: Needs) -> Result<(), Failure> {
    if needs.executor == 0 {
        return Err(Failure::usage("the environment allows the executor no thread: unset SMOL_THREADS"));
    }
    try_descriptors(DESCRIPTORS + needs.streams)?;
    let threads = THREADS + POOL_THREADS.get() + needs.executor;
    try_memory(MEMORY.saturating_add(needs.buffers).saturating_add(threads * STACK))?;
    try_threads(threads)?;
    start(backend)
}

fn try_descriptors(number: usize) -> Result<(), Failure> {
    let all: io::Result<Vec<_>> =
        (0..number).map(|_| Ok(rustix::io::fcntl_dupfd_cloexec(rustix::stdio::stderr(), 0)?)).collect();
    all.map(drop).map_err(|error| {
        let limit = getrlimit(Resource::Nofile).current.map_or("unlimited".to_owned(), |limit| limit.to_string());
        Failure::run_time(format!(
            "a merge opens {number} files and more, which the system does not allow ({error}): \
             raise the limit of open files ('ulimit -n', now {limit})"
        ))
    })
}

fn try_memory(bytes: usize) -> Result<(), Failure> {
    Vec::<u8>::new().try_reserve_exact(bytes).map_err(|_| {
        Failure::run_time(format!(
            "the merge needs {} MiB of memory, which the system does not give: raise the limit ('ulimit -v'), or \
             lower --memory or --max-line-bytes",
            bytes.div_ceil(1024 * 1024)
        ))
    })
}

fn try_threads(number: usize) -> Result<(), Failure> {
    let hold = Mutex::new(());
    let lock = || hold.lock().unwrap_or_else(PoisonError::into_inner);
    thread::scope(|scope| {
        let held = lock();
        let all: io::Result<Vec<_>> =
            (0..number).map(|_| thread::Builder::new().spawn_scoped(scope, || drop(lock()))).collect();
        drop(held);
        all.map(drop)
    })
    .map_err(|error| no_threads(&error))
}

/// Returns the failure for a thread that cannot be started, with what to do about it.
pub(crate) fn no_threads(error: &io::Error) -> Failure {
    Failure::run_time(format!(
        "not all threads can be started ({error}): raise the limit of processes ('ulimit -u', or the cgroup's \
         pids.max) or of memory ('ulimit -v'), or end other processes"
    ))
}

/// Starts the executor, its timers and the first thread of its pool, so that a limit lowered later slows a merge down at
/// most: jobs wait for each other then. The pool starts more threads for more jobs, and each that it has started wakes
/// up twice a second.
/// Runs on a thread of its own, since it panics or spins if another process takes the resources meanwhile.
fn start<B: Backend>(backend: &B) -> Result<(), Failure> {
    STARTING.store(true, Ordering::Relaxed);
    let backend = backend.clone();
    let (started, told) = mpsc::channel();
    let starting = thread::Builder::new().name("tailmerge-start".into()).spawn(move || {
        // Polled, a timer starts what drives timers.
        future::block_on(future::poll_once(backend.sleep(START_MAX)));
        let job = backend.unblock(|| ());
        backend.spawn(async move {
            job.await;
            // Whoever asked has given up.
            started.send(()).ok();
        });
    });
    let starting = starting.map_err(|error| no_threads(&error))?;
    told.recv_timeout(START_MAX).map_err(|_| no_threads(&io::ErrorKind::WouldBlock.into()))?;
    starting.join().ok(); // It ends now that it is done.
    STARTING.store(false, Ordering::Relaxed);
    Ok(())
}

/// Prints a panic in one line. Prints nothing while the executor is started: its failure is reported by itself.
pub(crate) fn tell_panics() {
    panic::set_hook(Box::new(|panicked| {
        if !STARTING.load(Ordering::Relaxed) {
            let place = panicked.location().map_or_else(|| "an unknown place".to_owned(), ToString::to_string);
            let payload = panicked.payload();
            let why = payload.downcast_ref::<&str>().copied();
            let why = why.or_else(|| payload.downcast_ref().map(String::as_str)).unwrap_or("a panic");
            let message = format!("{why}, at {place}: a bug in the program, please report it");
            console::write_line(&escaped(&message).to_string());
        }
    }));
}

/// Starts the program again with one heap for all threads, if its address space is limited.
///
/// The GNU C library gives each thread a heap of its own and reserves 64 MiB of address space for it, however little is
/// used. How much is left for buffers and stacks could not be computed then.
#[cfg(target_env = "gnu")]
pub(crate) fn share_one_heap() {
    use std::os::unix::process::CommandExt;
    use std::process::Command;

    const HEAPS: &str = "MALLOC_ARENA_MAX";
    // Where there is next to nothing, not even the program's libraries can be loaded again.
    let is_limited = getrlimit(Resource::As).current.is_some_and(|bytes| bytes > MEMORY as u64);
    if !is_limited || env::var_os(HEAPS).is_some() {
        return;
    }
    let mut args = env::args_os();
    if let (Some(name), Ok(program)) = (args.next(), env::current_exe()) {
        // If it fails, this process goes on.
        drop(Command::new(program).arg0(name).args(args).env(HEAPS, "1").exec());
    }
}

#[cfg(test)]
mod tests {
    use std::future::{Future, pending, ready};

    use super::*;

    /// Acts like an executor that gets no thread.
    #[derive(Clone, Debug)]
    struct Broken;

    impl Backend for Broken {
        fn block_on<F: Future>(&self, future: F) -> F::Output {
            future::block_on(future)
        }

        fn spawn(&self, _task: impl Future<Output = ()> + Send + 'static) {
            panic!("cannot spawn executor thread");
        }

        fn unblock<T: Send + 'static>(
            &self,
            _job: impl FnOnce() -> T + Send + 'static,
        ) -> impl Future<Output = T> + Send + 'static {
            pending()
        }

        fn sleep(&self, _duration: Duration) -> impl Future<Output = ()> + Send + 'static {
            ready(())
        }
    }

    #[test]
    fn an_executor_that_cannot_start_is_told() {
        let needs = Needs { executor: 1, streams: 0, buffers: 0 };
        let failure = check(&Broken, needs).unwrap_err();
        assert!(failure.message.contains("not all threads can be started"), "{failure:?}");
    }
}
