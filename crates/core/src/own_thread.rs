//! Knowing whether this thread does the merge's own work.
//!
//! The rule: what runs for the library (its threads, its jobs, the polls of its tasks) is marked, and nothing that waits
//! for the writer waits there. Loggers, observers, tailers and writers of the host's are called there, and the writer, or
//! who feeds it, would wait for itself.

use std::cell::Cell;
use std::fmt;
use std::future::{Future, poll_fn};
use std::pin::pin;
use std::time::Duration;

use crate::backend::Backend;

/// Whose work a thread does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Work {
    Host,
    Library,
    Writer,
}

thread_local! {
    static WORK: Cell<Work> = const { Cell::new(Work::Host) };
}

/// Whether this thread does the library's work now.
pub(crate) fn is_own_thread() -> bool {
    WORK.get() != Work::Host
}

/// Whether it is the writer's.
pub(crate) fn is_writer_thread() -> bool {
    WORK.get() == Work::Writer
}

/// Does a part of the library's work.
pub(crate) fn mark<T>(work: impl FnOnce() -> T) -> T {
    mark_as(Work::Library, work)
}

/// Does the writer's work.
pub(crate) fn mark_writer<T>(work: impl FnOnce() -> T) -> T {
    mark_as(Work::Writer, work)
}

fn mark_as<T>(kind: Work, work: impl FnOnce() -> T) -> T {
    /// Puts back what was, also after a panic.
    struct Before(Work);

    impl Drop for Before {
        fn drop(&mut self) {
            WORK.set(self.0);
        }
    }

    let _before = Before(WORK.replace(kind));
    work()
}

/// An executor as the library uses it: its tasks and jobs are marked.
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

/// Marks each poll of a task.
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
