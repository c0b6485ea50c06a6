//! Merges two files by a backend made of the standard library alone: threads, and nothing else.
//!
//! `outside DIRECTORY` merges what is in there as `a.log` and `b.log` into `all`.

use std::error::Error;
use std::future::Future;
use std::path::PathBuf;
use std::pin::{Pin, pin};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, Wake, Waker};
use std::thread::{self, Thread};
use std::time::Duration;

use tailmerge::{Backend, Builder};

fn main() -> Result<(), Box<dyn Error>> {
    let dir = PathBuf::from(std::env::args_os().nth(1).ok_or("a directory is wanted")?);
    let builder = Builder::new().once(true).path(dir.join("a.log")).path(dir.join("b.log")).output(dir.join("all"));
    let merge = Threads.block_on(builder.start_on(Threads))?;
    merge.sender("outside").send_blocking("from outside")?;
    Threads.block_on(merge.finished());
    let report = merge.stop_blocking(Duration::from_secs(30))?;
    if !report.is_complete() {
        return Err(format!("{report:?}").into());
    }
    println!("{} lines on {}", report.lines, merge.backend());
    Ok(())
}

#[derive(Clone, Debug)]
struct Threads;

impl Backend for Threads {
    fn block_on<F: Future>(&self, future: F) -> F::Output {
        let mut future = pin!(future);
        let waker = Waker::from(Arc::new(Unpark(thread::current())));
        loop {
            if let Poll::Ready(output) = future.as_mut().poll(&mut Context::from_waker(&waker)) {
                return output;
            }
            thread::park();
        }
    }

    fn spawn(&self, task: impl Future<Output = ()> + Send + 'static) {
        thread::spawn(|| Threads.block_on(task));
    }

    // A thread for each job, which a real backend would have a pool for.
    fn unblock<T: Send + 'static>(
        &self,
        job: impl FnOnce() -> T + Send + 'static,
    ) -> impl Future<Output = T> + Send + 'static {
        let done: Done<T> = Done::default();
        let state = done.0.clone();
        thread::spawn(move || {
            let result = job();
            let mut state = state.lock().unwrap_or_else(PoisonError::into_inner);
            state.result = Some(result);
            if let Some(waker) = state.waker.take() {
                waker.wake();
            }
        });
        done
    }

    fn sleep(&self, duration: Duration) -> impl Future<Output = ()> + Send + 'static {
        self.unblock(move || thread::sleep(duration))
    }
}

struct Unpark(Thread);

impl Wake for Unpark {
    fn wake(self: Arc<Self>) {
        self.0.unpark();
    }
}

/// The result of a job, to come.
struct Done<T>(Arc<Mutex<State<T>>>);

struct State<T> {
    result: Option<T>,
    waker: Option<Waker>,
}

impl<T> Default for Done<T> {
    fn default() -> Self {
        Self(Arc::new(Mutex::new(State { result: None, waker: None })))
    }
}

impl<T> Future for Done<T> {
    type Output = T;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<T> {
        let mut state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        match state.result.take() {
            Some(result) => Poll::Ready(result),
            None => {
                state.waker = Some(cx.waker().clone());
                Poll::Pending
            }
        }
    }
}
