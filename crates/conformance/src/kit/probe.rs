//! A first look at a backend: one that cannot run a task fails each case at once, with the reason, and not only by the
//! deadline of each.

use std::collections::BTreeMap;
use std::sync::mpsc::{RecvTimeoutError, Sender, channel};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::thread;
use std::time::Duration;

use tailmerge_core::Backend;

use super::DEADLINE;

/// The outcome of the first look at a backend: none before it, then an error if it cannot be used.
type Probed = Arc<OnceLock<Result<(), String>>>;

/// The backend of each module of tests.
static PROBED: Mutex<BTreeMap<String, Probed>> = Mutex::new(BTreeMap::new());

/// Fails if the backend of a test cannot be used. The first test of a module finds it out, and the others wait for that.
///
/// `test` is the path of the test: its module, the topic and the case.
pub(crate) fn assert_usable<B: Backend>(test: &str, backend: impl FnOnce() -> B) {
    let module = test.rsplitn(3, "::").nth(2).unwrap_or_default().to_owned();
    let probed = PROBED.lock().unwrap_or_else(PoisonError::into_inner).entry(module).or_default().clone();
    if let Err(reason) = probed.get_or_init(|| probe(backend(), DEADLINE)) {
        panic!("no case can pass: {reason}");
    }
}

/// Calls each method as a merge does. Returns what a backend does not do in time.
fn probe<B: Backend>(backend: B, within: Duration) -> Result<(), String> {
    let (step, steps) = channel();
    // Not joined: it may never end.
    thread::Builder::new()
        .name("conformance: first look".to_owned())
        .spawn(move || call_each(&backend, &step))
        .map_err(|error| format!("no thread can be started: {error}"))?;
    let mut expected = "the first look begins";
    loop {
        match steps.recv_timeout(within) {
            Ok("") => return Ok(()),
            Ok(next) => expected = next,
            Err(RecvTimeoutError::Timeout) => {
                return Err(format!("not so after {} s: {expected}", within.as_secs_f32()));
            }
            Err(RecvTimeoutError::Disconnected) => return Err(format!("it panicked, or dropped a task: {expected}")),
        }
    }
}

/// Says before each step what is expected of it, and nothing at the end.
fn call_each<B: Backend>(backend: &B, step: &Sender<&'static str>) {
    let expect = |what| step.send(what).ok(); // Nobody listens any more if it took too long.
    let (go, gone) = async_channel::bounded::<()>(1);
    let (done, result) = channel();
    let runner = backend.clone();
    expect("`Backend::spawn` returns while its task waits: it does not run the task itself");
    backend.spawn(async move {
        let told = gone.recv().await;
        runner.sleep(Duration::from_millis(1)).await;
        done.send(runner.unblock(move || told).await).ok(); // As above.
    });
    go.try_send(()).ok(); // The task may be dropped.
    expect("a task runs to its end, with a `Backend::sleep` and a `Backend::unblock` in it");
    let Ok(Ok(())) = result.recv() else { return };
    expect("`Backend::block_on` returns");
    backend.block_on(backend.sleep(Duration::from_millis(1)));
    expect("");
}

#[cfg(test)]
mod tests {
    use std::future::Future;

    use futures_lite::future::block_on;

    use super::*;
    use crate::Threads;

    /// A backend that is right but for one thing.
    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    enum Wrong {
        Nothing,
        SpawnBlocks,
        SpawnDrops,
        SleepNeverEnds,
    }

    impl Backend for Wrong {
        fn block_on<F: Future>(&self, future: F) -> F::Output {
            block_on(future)
        }

        fn spawn(&self, task: impl Future<Output = ()> + Send + 'static) {
            match self {
                Self::SpawnBlocks => block_on(task),
                Self::SpawnDrops => drop(task),
                _ => Threads::new().spawn(task),
            }
        }

        fn unblock<T: Send + 'static>(
            &self,
            job: impl FnOnce() -> T + Send + 'static,
        ) -> impl Future<Output = T> + Send + 'static {
            blocking::unblock(job)
        }

        fn sleep(&self, duration: Duration) -> impl Future<Output = ()> + Send + 'static {
            static THREADS: Threads = Threads;
            THREADS.sleep(if *self == Self::SleepNeverEnds { Duration::MAX } else { duration })
        }
    }

    #[test]
    fn a_backend_that_cannot_run_a_task_is_told() {
        assert_eq!(probe(Wrong::Nothing, DEADLINE), Ok(()));
        for (wrong, reason) in [
            (Wrong::SpawnBlocks, "`Backend::spawn` returns"),
            (Wrong::SpawnDrops, "dropped a task"),
            (Wrong::SleepNeverEnds, "a task runs to its end"),
        ] {
            let told = probe(wrong, Duration::from_millis(100)).expect_err("it is wrong");
            assert!(told.contains(reason), "{wrong:?}: {told}");
        }
    }
}
