#![doc = include_str!("../README.md")]

use std::future::Future;
use std::time::Duration;

use tailmerge_core::Backend;

/// Runs a merge on async-std's global executor.
///
/// # Threads
///
/// async-std starts one thread a processor when it is first used, `async-std/runtime` (their number is set by the
/// environment variable `ASYNC_STD_THREAD_COUNT`). Files are read on the threads of [`blocking`].
///
/// # Examples
///
/// ```
/// use std::time::Duration;
/// use tailmerge::{AsyncStd, Builder};
///
/// # let dir = std::env::temp_dir().join(format!("tailmerge-async-std-doc-{}", std::process::id()));
/// # std::fs::create_dir_all(&dir)?;
/// # std::fs::write(dir.join("a.log"), "one\n")?;
/// let builder = Builder::new().path(dir.join("a.log")).output(dir.join("all"));
/// let report = async_std::task::block_on(async {
///     let merge = builder.start_on(AsyncStd::new()).await?;
///     merge.stop(Duration::from_secs(10)).await.map_err(Box::<dyn std::error::Error>::from)
/// })?;
/// assert_eq!(report.lines, 1);
/// # std::fs::remove_dir_all(&dir)?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Copy, Debug, Default)]
pub struct AsyncStd;

impl AsyncStd {
    /// async-std's global executor.
    #[must_use]
    pub fn new() -> Self {
        Self
    }
}

impl Backend for AsyncStd {
    fn block_on<F: Future>(&self, future: F) -> F::Output {
        async_std::task::block_on(future)
    }

    fn spawn(&self, task: impl Future<Output = ()> + Send + 'static) {
        // A handle that is dropped detaches its task.
        drop(async_std::task::spawn(task));
    }

    // Not async-std's own spawn_blocking, which goes by way of its executor to the same pool.
    fn unblock<T: Send + 'static>(
        &self,
        job: impl FnOnce() -> T + Send + 'static,
    ) -> impl Future<Output = T> + Send + 'static {
        blocking::unblock(job)
    }

    fn sleep(&self, duration: Duration) -> impl Future<Output = ()> + Send + 'static {
        async_std::task::sleep(duration)
    }
}
