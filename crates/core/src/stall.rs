//! Reports polls of a task that take too long.
//!
//! A future that blocks holds up every other task of its thread. [`Guard`] measures each poll of the future that it
//! wraps, and reports one that takes longer than a limit. It cannot interrupt a poll: it reports it once it is over.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use crate::clock;
use crate::report::event::Event;

/// The default limit of a poll.
pub const STALL_LIMIT: Duration = Duration::from_millis(100);

/// Wraps a future and logs a warning when one poll of it takes longer than `limit`.
///
/// The warning has the name and the duration, and the target `tailmerge`. Use [`guard_with`] to handle it in code.
///
/// # Examples
///
/// ```
/// # futures_lite::future::block_on(async {
/// use std::time::Duration;
///
/// let answer = tailmerge::stall::guard("answer", Duration::from_millis(100), async { 42 }).await;
/// assert_eq!(answer, 42);
/// # });
/// ```
pub fn guard<F: Future>(name: impl Into<String>, limit: Duration, future: F) -> Guard<F, impl FnMut(&str, Duration)> {
    guard_with(name, limit, future, |name, took| {
        let event = Event::Stalled { name: name.to_owned(), took };
        log::log!(target: "tailmerge", event.level(), "{event}");
    })
}

/// Wraps a future and calls `tell` with its name and the duration when one poll takes longer than `limit`.
///
/// `tell` runs on the thread that polled, right after that poll.
///
/// # Examples
///
/// ```
/// # futures_lite::future::block_on(async {
/// use std::time::Duration;
/// use tailmerge::stall::guard_with;
///
/// let work = async { std::thread::sleep(Duration::from_millis(2)) };
/// let mut stalls = Vec::new();
/// guard_with("work", Duration::from_millis(1), work, |name, took| stalls.push((name.to_owned(), took))).await;
/// assert_eq!(stalls[0].0, "work");
/// # });
/// ```
pub fn guard_with<F: Future, T: FnMut(&str, Duration) + Unpin>(
    name: impl Into<String>,
    limit: Duration,
    future: F,
    tell: T,
) -> Guard<F, T> {
    Guard { name: name.into(), limit, future: Box::pin(future), tell }
}

/// Runs `act` and returns how long that took.
pub(crate) fn timed<T>(act: impl FnOnce() -> T) -> (T, Duration) {
    let start = clock::now();
    let done = act();
    (done, clock::since(start))
}

/// A future whose polls are timed; see [`guard`].
#[must_use = "futures do nothing unless they are polled"]
pub struct Guard<F, T> {
    name: String,
    limit: Duration,
    future: Pin<Box<F>>,
    tell: T,
}

impl<F: Future, T: FnMut(&str, Duration) + Unpin> Future for Guard<F, T> {
    type Output = F::Output;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<F::Output> {
        let this = self.get_mut();
        let (poll, took) = timed(|| this.future.as_mut().poll(cx));
        if took > this.limit {
            (this.tell)(&this.name, took);
        }
        poll
    }
}

impl<F, T> fmt::Debug for Guard<F, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Guard").field("name", &self.name).field("limit", &self.limit).finish_non_exhaustive()
    }
}
