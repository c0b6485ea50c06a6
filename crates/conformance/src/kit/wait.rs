//! Waiting for a condition, a future or a thread, each until a deadline.

use std::future::Future;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::task::{Context, Poll, Wake, Waker};
use std::thread::{self, Thread};
use std::time::{Duration, Instant};

/// What is waited for must come before this. Only a case that fails waits so long.
pub const DEADLINE: Duration = Duration::from_secs(30);

/// How often a condition is looked at.
pub(super) const LOOK_EVERY: Duration = Duration::from_millis(1);

/// Waits until the condition holds.
#[track_caller]
pub fn until(what: &str, mut holds: impl FnMut() -> bool) {
    let start = Instant::now();
    while !holds() {
        assert!(start.elapsed() < DEADLINE, "not so after {} s: {what}", DEADLINE.as_secs());
        thread::sleep(LOOK_EVERY);
    }
}

/// Runs a future to its end on this thread, as any host might.
#[track_caller]
pub fn block_on<F: Future>(what: &str, future: F) -> F::Output {
    let start = Instant::now();
    let mut future = pin!(future);
    let waker = Waker::from(Arc::new(Unpark(thread::current())));
    loop {
        if let Poll::Ready(output) = future.as_mut().poll(&mut Context::from_waker(&waker)) {
            return output;
        }
        let left = DEADLINE.saturating_sub(start.elapsed());
        assert!(!left.is_zero(), "not done after {} s: {what}", DEADLINE.as_secs());
        thread::park_timeout(left);
    }
}

struct Unpark(Thread);

impl Wake for Unpark {
    fn wake(self: Arc<Self>) {
        self.0.unpark();
    }
}

/// Polls a future once; whoever polls it on must do so without having been woken.
pub fn poll_once<F: Future>(future: &mut Pin<&mut F>) -> Poll<F::Output> {
    future.as_mut().poll(&mut Context::from_waker(Waker::noop()))
}

/// Does something that blocks on a thread of its own.
pub fn on_thread<T: Send + 'static>(what: &'static str, job: impl FnOnce() -> T + Send + 'static) -> OnThread<T> {
    let (done, result) = channel();
    let thread = thread::Builder::new().name(format!("conformance: {what}"));
    // Nobody is there to take the result if the case has failed.
    let started = thread.spawn(move || drop(done.send(job())));
    started.expect("the system has room for one thread more");
    OnThread { what, result }
}

/// What is done on another thread.
#[must_use = "whether it is done is known once it is waited for"]
#[derive(Debug)]
pub struct OnThread<T> {
    what: &'static str,
    result: Receiver<T>,
}

impl<T> OnThread<T> {
    /// Waits for the result.
    #[track_caller]
    pub fn wait(self) -> T {
        match self.result.recv_timeout(DEADLINE) {
            Ok(result) => result,
            Err(RecvTimeoutError::Timeout) => panic!("not done after {} s: {}", DEADLINE.as_secs(), self.what),
            Err(RecvTimeoutError::Disconnected) => panic!("panicked: {}", self.what),
        }
    }
}
