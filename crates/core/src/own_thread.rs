//! Starts the library's threads, and marks those that do the merge's own work.
//!
//! The library's threads, jobs and polls of tasks are marked while they run, and a call of the host that would wait for
//! the writer does not wait there. The host's loggers, observers, tailers and writers are called there, and the merge
//! would wait for itself.

use std::cell::Cell;
use std::fmt;
use std::future::{Future, poll_fn};
use std::io;
use std::pin::pin;
use std::thread::{self, JoinHandle};
use std::time::Duration;

use crate::backend::Backend;

/// The kind of work that a thread does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Work {
    Host,
    Library,
    Writer,
}

thread_local! {
    static WORK: Cell<Work> = const { Cell::new(Work::Host) };
}

/// Returns true if this thread does the library's work now.
pub(crate) fn is_own_thread() -> bool {
    WORK.get() != Work::Host
}

/// Returns true if this thread does the writer's work now.
pub(crate) fn is_writer_thread() -> bool {
    WORK.get() == Work::Writer
}

/// Starts a thread of the library's, which is marked as long as it runs. No other place starts one.
pub(crate) fn start(name: &str, work: impl FnOnce() + Send + 'static) -> io::Result<JoinHandle<()>> {
    thread::Builder::new().name(name.to_owned()).spawn(|| mark(work))
}

/// Runs a part of the library's work, with the thread marked.
pub(crate) fn mark<T>(work: impl FnOnce() -> T) -> T {
    mark_as(Work::Library, work)
}

/// Runs the writer's work, with the thread marked.
pub(crate) fn mark_writer<T>(work: impl FnOnce() -> T) -> T {
    mark_as(Work::Writer, work)
}

fn mark_as<T>(kind: Work, work: impl FnOnce() -> T) -> T {
    /// Restores the former mark, also after a panic.
    struct Before(Work);

    impl Drop for Before {
        fn drop(&mut self) {
            WORK.set(self.0);
        }
    }

    let _before = Before(WORK.replace(kind));
    work()
}

/// Wraps a backend so that its tasks and jobs are marked.
#[derive(Clone)]
pub(crate) struct Marked<B>(pub(crate) B);

impl<B: Backend> Backend for Marked<B> {
    fn block_on<F: Future>(&self, future: F) -> F::Output {
        self.0.block_on(future)
    }

    fn spawn(&self, task: impl Future<Output = ()> + Send + 'static) {
        self.0.spawn(mark_task(task));
    }

    fn unblock<T: Send + 'static>(
        &self,
        job: impl FnOnce() -> T + Send + 'static,
    ) -> impl Future<Output = T> + Send + 'static {
        self.0.unblock(|| mark(job))
    }

    fn sleep(&self, duration: Duration) -> impl Future<Output = ()> + Send + 'static {
        self.0.sleep(duration)
    }
}

impl<B: fmt::Debug> fmt::Debug for Marked<B> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// Wraps a task so that each poll is marked.
async fn mark_task<F: Future>(task: F) -> F::Output {
    let mut task = pin!(task);
    poll_fn(|cx| mark(|| task.as_mut().poll(cx))).await
}

#[cfg(test)]
mod tests {
    use std::panic::{catch_unwind, resume_unwind};

    use super::*;

    #[test]
    fn a_thread_is_marked_while_it_works() {
        assert!(!is_own_thread());
        mark(|| {
            mark(|| assert!(is_own_thread()));
            assert!(is_own_thread());
        });
        assert!(mark_writer(|| is_writer_thread() && is_own_thread()) && !mark(is_writer_thread));
        catch_unwind(|| mark(|| resume_unwind(Box::new(())))).unwrap_err();
        assert!(!is_own_thread());
        futures_lite::future::block_on(async {
            assert!(mark_task(async { is_own_thread() }).await);
            assert!(!is_own_thread());
        });
    }
}
