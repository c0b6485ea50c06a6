//! Runs a merge until it ends or is stopped by a signal.
//!
//! The first SIGINT or SIGTERM asks the merge to write what is there and end; the second one stops it at once. SIGHUP
//! makes it reopen its output.

use std::future::{Future, pending};
use std::io;
use std::time::Duration;

use async_signal::{Signal, Signals};
use futures_lite::{StreamExt, future};
use tailmerge::{Backend, Builder, Merge, MergeError, Report, StartError};

use crate::console::Console;
use crate::status::Failure;

/// A stop that takes longer than this is explained to the user.
pub(crate) const TELL_AFTER: Duration = Duration::from_secs(1);

/// The reason why a merge failed; the report is within [`MergeError`] if it had started.
#[derive(Debug)]
pub(crate) enum RunError {
    Start(StartError),
    Merge(MergeError),
    /// Something outside the merge failed.
    Other(Failure),
}

/// Runs a merge until it ends or a signal ends it.
pub(crate) async fn run<B: Backend>(
    builder: Builder,
    backend: &B,
    stop_timeout: Duration,
    stops: &mut Stops<'_>,
    console: &Console,
) -> Result<Report, RunError> {
    // A signal that comes early is served when the merge has started; the wait for that has its limit too.
    let mut starting = std::pin::pin!(builder.start_on(backend.clone()));
    let started = match stops.or(starting.as_mut(), None).await {
        Some(started) => started,
        None => {
            let tell = tell_of_stop("its start is waited for", stop_timeout, backend, console);
            let late = future::or(async { Some(starting.await) }, async {
                backend.sleep(stop_timeout).await;
                None
            });
            stops.or(future::or(late, tell), None).await.flatten().ok_or_else(|| {
                RunError::Other(Failure::run_time(
                    "stopped before the merge had started: the output was not open yet, or the inputs not looked at",
                ))
            })?
        }
    };
    let merge = started.map_err(RunError::Start)?;

    if stops.count == 0 {
        stops.or(merge.finished(), Some(&merge)).await;
    }
    let tell = tell_of_stop("what is there is written first", stop_timeout, backend, console);
    match stops.or(future::or(merge.stop(stop_timeout), tell), Some(&merge)).await {
        Some(stopped) => stopped,
        None => merge.stop_now().await,
    }
    .map_err(RunError::Merge)
}

/// Tells the user what a slow stop waits for. The future never completes.
async fn tell_of_stop<B: Backend, T>(what: &str, within: Duration, backend: &B, console: &Console) -> T {
    backend.sleep(TELL_AFTER).await;
    console.note(format_args!("stopping: {what}, for {within:?} at most; a second signal stops at once"));
    pending().await
}

/// The signals that stop the program.
pub(crate) struct Stops<'a> {
    signals: Signals,
    console: &'a Console,
    /// The number of stop signals received.
    count: u32,
}

impl<'a> Stops<'a> {
    pub(crate) fn new(console: &'a Console) -> io::Result<Self> {
        // Received in place of dying of it: a write that would make a file too large fails then.
        let mut signals = Signals::new([Signal::Int, Signal::Term, Signal::Xfsz])?;
        if !hangup_is_ignored() {
            signals.add_signals([Signal::Hup])?;
        }
        Ok(Self { signals, console, count: 0 })
    }

    /// Waits for the future and returns its output, or none if a stop signal comes first. Handles SIGHUP meanwhile; it
    /// is ignored before there is a merge, since the output is just being opened then.
    async fn or<T>(&mut self, future: impl Future<Output = T>, merge: Option<&Merge>) -> Option<T> {
        future::or(async { Some(future.await) }, async {
            loop {
                match self.signals.next().await {
                    Some(Ok(Signal::Xfsz)) => {}
                    Some(Ok(Signal::Hup)) => {
                        if let Some(merge) = merge {
                            // Asked for by the first poll; it may wait for an output that stands still.
                            future::poll_once(merge.reopen_output()).await;
                        }
                    }
                    Some(Ok(_)) => {
                        self.count += 1;
                        return None;
                    }
                    Some(Err(error)) => {
                        self.console.note(format_args!("signals are not received any more: {error}"));
                        return pending().await;
                    }
                    None => return pending().await,
                }
            }
        })
        .await
    }

    /// Waits for the future until the second stop signal; after the second one, until the next.
    pub(crate) async fn or_second<T>(&mut self, future: impl Future<Output = T>) -> Option<T> {
        let mut future = std::pin::pin!(future);
        loop {
            let done = self.or(future.as_mut(), None).await;
            if done.is_some() || self.count >= 2 {
                return done;
            }
        }
    }

    /// Returns true if the program has to stop at once.
    pub(crate) fn at_once(&self) -> bool {
        self.count >= 2
    }
}

/// Returns true if SIGHUP is ignored, as under `nohup`, which a handler would undo.
fn hangup_is_ignored() -> bool {
    const HANGUP: u64 = 1 << 0;
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let ignored = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    ignored.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok()).is_some_and(|mask| mask & HANGUP != 0)
}
