//! A backend of plain threads: an example of a backend of one's own, made of what anybody has.
//!
//! It is for the tests, and to be copied. Programs with an executor write the same four methods over that.

use std::collections::BTreeMap;
use std::future::Future;
use std::pin::Pin;
use std::sync::{Condvar, Mutex, MutexGuard, Once, PoisonError};
use std::task::{Context, Poll, Waker};
use std::thread;
use std::time::{Duration, Instant};

use futures_lite::future::block_on;
use tailmerge_core::Backend;

/// Runs a merge without an executor: each task has a thread of its own.
///
/// # Threads
///
/// A task has a thread `host-task`, which ends with the task. Files are read on the threads of [`blocking`]. All
/// timers of the process share one thread, `host-timer`, which is started by the first and never ends.
///
/// # Examples
///
/// ```
/// use std::time::Duration;
/// use tailmerge::Builder;
/// use tailmerge_conformance::Threads;
///
/// # let dir = std::env::temp_dir().join(format!("tailmerge-threads-doc-{}", std::process::id()));
/// # std::fs::create_dir_all(&dir)?;
/// # std::fs::write(dir.join("a.log"), "one\n")?;
/// let builder = Builder::new().path(dir.join("a.log")).output(dir.join("all"));
/// let merge = builder.start_on_blocking(Threads::new())?;
/// let report = merge.stop_blocking(Duration::from_secs(10))?;
/// assert_eq!(report.lines, 1);
/// # std::fs::remove_dir_all(&dir)?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Copy, Debug, Default)]
pub struct Threads;

impl Threads {
    /// The threads of this process.
    #[must_use]
    pub fn new() -> Self {
        Self
    }
}

impl Backend for Threads {
    fn block_on<F: Future>(&self, future: F) -> F::Output {
        block_on(future)
    }

    fn spawn(&self, task: impl Future<Output = ()> + Send + 'static) {
        let started = thread::Builder::new().name("host-task".into()).spawn(|| block_on(task));
        if let Err(error) = started {
            // The task is dropped, which the merge notices.
            log::error!("no thread for a task: {error}");
        }
    }

    fn unblock<T: Send + 'static>(
        &self,
        job: impl FnOnce() -> T + Send + 'static,
    ) -> impl Future<Output = T> + Send + 'static {
        blocking::unblock(job)
    }

    // Not a job that sleeps: the pool's threads are few, and shared with the host.
    fn sleep(&self, duration: Duration) -> impl Future<Output = ()> + Send + 'static {
        Sleep { until: Instant::now().checked_add(duration), place: None }
    }
}

/// Completes at a moment.
#[derive(Debug)]
struct Sleep {
    /// None: later than the clock can tell.
    until: Option<Instant>,
    /// Its place in the timer.
    place: Option<Place>,
}

impl Future for Sleep {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        match self.until {
            Some(until) if until <= Instant::now() => Poll::Ready(()),
            Some(until) => {
                self.place = Some(TIMER.wait(self.place, until, cx.waker()));
                Poll::Pending
            }
            None => Poll::Pending,
        }
    }
}

impl Drop for Sleep {
    fn drop(&mut self) {
        if let Some(place) = self.place {
            // Dropped after the lock is let go: with a waker may go a task, and with that another sleep.
            let _waker = TIMER.lock().waiting.remove(&place);
        }
    }
}

/// When, and a number that tells apart those of one moment.
type Place = (Instant, u64);

static TIMER: Timer = Timer {
    waiting: Mutex::new(Waiting { waiting: BTreeMap::new(), next: 0 }),
    sooner: Condvar::new(),
    started: Once::new(),
};

/// Who is to be woken, and when.
struct Timer {
    waiting: Mutex<Waiting>,
    /// Notified when there is one to wake before all others.
    sooner: Condvar,
    started: Once,
}

struct Waiting {
    waiting: BTreeMap<Place, Waker>,
    next: u64,
}

impl Timer {
    /// Has `waker` woken at `until`; `place` is where it waits already.
    fn wait(&'static self, place: Option<Place>, until: Instant, waker: &Waker) -> Place {
        self.started.call_once(|| {
            let thread = thread::Builder::new().name("host-timer".into());
            thread.spawn(|| self.run()).expect("the system has room for one thread more");
        });
        let mut state = self.lock();
        let place = place.unwrap_or_else(|| {
            state.next += 1;
            (until, state.next)
        });
        let former = state.waiting.insert(place, waker.clone());
        if state.waiting.first_key_value().is_some_and(|(first, _)| *first == place) {
            self.sooner.notify_one();
        }
        drop(state);
        drop(former);
        place
    }

    /// The thread's life.
    fn run(&self) {
        let mut state = self.lock();
        loop {
            let now = Instant::now();
            let later = state.waiting.split_off(&(now, u64::MAX));
            let due = std::mem::replace(&mut state.waiting, later);
            if !due.is_empty() {
                drop(state);
                due.into_values().for_each(Waker::wake);
                state = self.lock();
                continue;
            }
            let first = state.waiting.first_key_value().map(|((until, _), _)| *until - now);
            state = match first {
                Some(left) => self.sooner.wait_timeout(state, left).unwrap_or_else(PoisonError::into_inner).0,
                None => self.sooner.wait(state).unwrap_or_else(PoisonError::into_inner),
            };
        }
    }

    fn lock(&self) -> MutexGuard<'_, Waiting> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
