//! All cases that a backend must pass, on each backend that is switched on, and on plain threads.

use tailmerge_conformance::{Threads, conformance};

conformance!(threads, Threads::new());

#[cfg(feature = "smol")]
conformance!(smol, tailmerge::Smol::new());

#[cfg(feature = "smol")]
conformance!(smol_of_the_host, host::backend());

#[cfg(feature = "async-std")]
conformance!(async_std, tailmerge::AsyncStd::new());

/// A host that runs an executor of its own on two threads.
#[cfg(feature = "smol")]
mod host {
    use std::future::pending;
    use std::sync::{Arc, OnceLock};
    use std::thread;

    use smol::Executor;
    use tailmerge::Smol;

    const THREADS: usize = 2;

    pub(crate) fn backend() -> Smol {
        static EXECUTOR: OnceLock<Arc<Executor<'static>>> = OnceLock::new();
        let executor = EXECUTOR.get_or_init(|| {
            let executor: Arc<Executor<'static>> = Arc::default();
            for number in 0..THREADS {
                let executor = executor.clone();
                let thread = thread::Builder::new().name(format!("host-{number}"));
                let run = move || smol::block_on(executor.run(pending::<()>()));
                thread.spawn(run).expect("the system has room for one thread more");
            }
            executor
        });
        Smol::with_executor(executor)
    }
}
