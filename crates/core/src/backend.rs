//! The four things a merge wants of an executor.
//!
//! Nothing else in this crate touches an executor, so a program brings its own by implementing one
//! trait of four methods. The rule that matters: [`Backend::block_on`] is called on the writer's own
//! thread and nowhere else.

use std::fmt::Debug;
use std::future::Future;
use std::time::Duration;

/// What a merge needs from an executor.
///
/// A backend is cheap to clone, and a clone means the same executor. Its `Debug` form is the name that
/// [`Merge::backend`](crate::Merge::backend) gives.
///
/// # Examples
///
/// Threads alone are enough:
///
/// ```
/// use std::future::Future;
/// use std::time::Duration;
/// use tailmerge::Backend;
///
/// #[derive(Clone, Debug)]
/// struct Threads;
///
/// impl Backend for Threads {
///     fn block_on<F: Future>(&self, future: F) -> F::Output {
///         futures_lite::future::block_on(future)
///     }
///
///     fn spawn(&self, task: impl Future<Output = ()> + Send + 'static) {
///         std::thread::spawn(|| futures_lite::future::block_on(task));
///     }
///
///     fn unblock<T: Send + 'static>(
///         &self,
///         job: impl FnOnce() -> T + Send + 'static,
///     ) -> impl Future<Output = T> + Send + 'static {
///         blocking::unblock(job)
///     }
///
///     fn sleep(&self, duration: Duration) -> impl Future<Output = ()> + Send + 'static {
///         blocking::unblock(move || std::thread::sleep(duration))
///     }
/// }
/// ```
pub trait Backend: Clone + Debug + Send + Sync + 'static {
    /// Runs a future to its end on the calling thread.
    ///
    /// Called once a merge, on the thread `tailmerge-writer`, for as long as the merge lasts. It may
    /// drive timers meanwhile; it must not run tasks given to [`Backend::spawn`].
    fn block_on<F: Future>(&self, future: F) -> F::Output;

    /// Runs a task to its end, in the background.
    ///
    /// Called a few times at the start of a merge, and when its writer's thread has something for the log. If the
    /// executor is dropped it drops the task; the merge notices, writes what was submitted and reports that its readers
    /// were lost.
    fn spawn(&self, task: impl Future<Output = ()> + Send + 'static);

    /// Runs a job that blocks on a thread where blocking harms nobody, and gives its result.
    ///
    /// A merge has at most four such jobs under way at a time, and three more that read file systems of networks and of
    /// programs, where a job may hang: a pool with fewer threads should expect that. A job takes milliseconds as a rule.
    /// The merge catches its jobs' panics itself.
    ///
    /// The job may start at once, or when the future is first polled: the merge polls each one at once. It must not run
    /// within that poll.
    ///
    /// The future is dropped before its end only if the host drops what polls it: the executor with its tasks, or a
    /// future such as that of [`Builder::start_on`](crate::Builder::start_on). The drop must not wait for the job. A job
    /// that has begun then runs to its end, and its result is dropped; one that has not may run or be dropped. Either is
    /// right, since a job owns all that it works on.
    fn unblock<T: Send + 'static>(
        &self,
        job: impl FnOnce() -> T + Send + 'static,
    ) -> impl Future<Output = T> + Send + 'static;

    /// Completes after `duration` at the earliest.
    fn sleep(&self, duration: Duration) -> impl Future<Output = ()> + Send + 'static;
}
