#![doc = include_str!("../README.md")]

use std::fmt;
use std::future::Future;
use std::sync::{Arc, Weak};
use std::time::Duration;

use tailmerge_core::Backend;

/// Runs a merge on smol: on its global executor, or on one that the host hands in.
///
/// # Threads
///
/// [`Smol::new`] uses smol's global executor, which starts its own threads (`smol-1`, …; their number is set by
/// the environment variable `SMOL_THREADS`) when it is first used. With [`Smol::with_executor`] that one is not
/// started: tasks run where the host runs its executor. In both cases files are read on the threads of
/// [`blocking`], and timers are those of `async-io`, which has a thread of that name.
///
/// # Examples
///
/// On an executor of the host's own:
///
/// ```
/// use std::sync::Arc;
/// use std::time::Duration;
/// use tailmerge::{Builder, Smol};
///
/// # let dir = std::env::temp_dir().join(format!("tailmerge-smol-doc-{}", std::process::id()));
/// # std::fs::create_dir_all(&dir)?;
/// # std::fs::write(dir.join("a.log"), "one\n")?;
/// let executor = Arc::new(smol::Executor::new());
/// let backend = Smol::with_executor(&executor);
/// let builder = Builder::new().path(dir.join("a.log")).output(dir.join("all"));
/// let report = smol::block_on(executor.run(async {
///     let merge = builder.start_on(backend).await?;
///     merge.stop(Duration::from_secs(10)).await.map_err(Box::<dyn std::error::Error>::from)
/// }))?;
/// assert_eq!(report.lines, 1);
/// # std::fs::remove_dir_all(&dir)?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Default)]
pub struct Smol {
    executor: Executor,
}

#[derive(Clone, Default)]
enum Executor {
    /// smol's global executor.
    #[default]
    Global,
    /// One that the host keeps. The reference is weak, since the tasks in the executor hold it.
    Shared(Weak<smol::Executor<'static>>),
    /// One that lives as long as the program.
    Static(&'static smol::Executor<'static>),
}

impl Smol {
    /// smol's global executor.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// An executor of the host's own, which the host runs.
    ///
    /// The host keeps it. If it is dropped, or not run, nothing is read any more; what was submitted is still
    /// written.
    #[must_use]
    pub fn with_executor(executor: &Arc<smol::Executor<'static>>) -> Self {
        Self { executor: Executor::Shared(Arc::downgrade(executor)) }
    }

    /// An executor of the host's own that lives as long as the program, and which the host runs.
    ///
    /// # Examples
    ///
    /// ```
    /// use tailmerge::Smol;
    ///
    /// static EXECUTOR: smol::Executor<'static> = smol::Executor::new();
    ///
    /// let backend = Smol::with_static_executor(&EXECUTOR);
    /// # drop(backend);
    /// ```
    #[must_use]
    pub fn with_static_executor(executor: &'static smol::Executor<'static>) -> Self {
        Self { executor: Executor::Static(executor) }
    }
}

impl Backend for Smol {
    fn block_on<F: Future>(&self, future: F) -> F::Output {
        smol::block_on(future)
    }

    fn spawn(&self, task: impl Future<Output = ()> + Send + 'static) {
        match &self.executor {
            Executor::Global => smol::spawn(task).detach(),
            Executor::Static(executor) => executor.spawn(task).detach(),
            // An executor that the host has dropped drops its tasks, and so this one.
            Executor::Shared(executor) => {
                if let Some(executor) = executor.upgrade() {
                    executor.spawn(task).detach();
                }
            }
        }
    }

    fn unblock<T: Send + 'static>(
        &self,
        job: impl FnOnce() -> T + Send + 'static,
    ) -> impl Future<Output = T> + Send + 'static {
        blocking::unblock(job)
    }

    fn sleep(&self, duration: Duration) -> impl Future<Output = ()> + Send + 'static {
        let timer = smol::Timer::after(duration);
        async move {
            timer.await;
        }
    }
}

impl fmt::Debug for Smol {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Smol")
    }
}
