//! Running a merge to its end: by itself, or by the signals that stop it.
//!
//! The first SIGINT or SIGTERM asks the merge to write what is there and end; the second one stops it at once. SIGHUP
//! has it open its output anew.

use std::future::{Future, pending};
use std::io;
use std::time::Duration;

use async_signal::{Signal, Signals};
use futures_lite::{StreamExt, future};
use tailmerge::{Backend, Builder, Merge, MergeError, Report, StartError};

use crate::status::Failure;
use crate::voice::Voice;

/// How long a stop may take without a word.
pub(crate) const TELL_AFTER: Duration = Duration::from_secs(1);

/// Why there is no report, or one of a merge that failed.
#[derive(Debug)]
pub(crate) enum RunError {
    Start(StartError),
    Merge(MergeError),
    /// It could not even be tried.
    Other(Failure),
}

/// Runs a merge until it ends or a signal ends it.
pub(crate) async fn run<B: Backend>(
    builder: Builder,
    backend: &B,
    stop_timeout: Duration,
    stops: &mut Stops<'_>,
    voice: &Voice,
) -> Result<Report, RunError> {
    // A signal that comes early is served when the merge has started; the wait for that has its limit too.
    let mut starting = std::pin::pin!(builder.start_on(backend.clone()));
    let started = match stops.or(starting.as_mut(), None).await {
        Some(started) => started,
        None => {
            let tell = tell_of_stop("its start is waited for", stop_timeout, backend, voice);
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
    let tell = tell_of_stop("what is there is written first", stop_timeout, backend, voice);
    match stops.or(future::or(merge.stop(stop_timeout), tell), Some(&merge)).await {
        Some(stopped) => stopped,
        None => merge.stop_now().await,
    }
    .map_err(RunError::Merge)
}

/// Says what a stop that takes long waits for. Never completes.
async fn tell_of_stop<B: Backend, T>(what: &str, within: Duration, backend: &B, voice: &Voice) -> T {
    backend.sleep(TELL_AFTER).await;
    voice.note(format_args!("stopping: {what}, for {within:?} at most; a second signal stops at once"));
    pending().await
}

/// The signals that stop the program.
pub(crate) struct Stops<'a> {
    signals: Signals,
    voice: &'a Voice,
    /// How many have come.
    count: u32,
}

impl<'a> Stops<'a> {
    pub(crate) fn new(voice: &'a Voice) -> io::Result<Self> {
        // Received in place of dying of it: a write that would make a file too large fails then.
        let mut signals = Signals::new([Signal::Int, Signal::Term, Signal::Xfsz])?;
        if !hangup_is_ignored() {
            signals.add_signals([Signal::Hup])?;
        }
        Ok(Self { signals, voice, count: 0 })
    }

    /// Waits for the future, or for the next signal that stops: then there is nothing. Serves SIGHUP meanwhile; before
    /// there is a merge, its output is only just being opened.
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
                        self.voice.note(format_args!("signals are not received any more: {error}"));
                        return pending().await;
                    }
                    None => return pending().await,
                }
            }
        })
        .await
    }

    /// Waits for the future until there has been a second signal; if there has been one already, until the next.
    pub(crate) async fn or_second<T>(&mut self, future: impl Future<Output = T>) -> Option<T> {
        let mut future = std::pin::pin!(future);
        loop {
            let done = self.or(future.as_mut(), None).await;
            if done.is_some() || self.count >= 2 {
                return done;
            }
        }
    }

    /// Whether the program is to stop at once.
    pub(crate) fn at_once(&self) -> bool {
        self.count >= 2
    }
}

/// Whether the program was started by `nohup` or the like, which a handler of its own would undo.
fn hangup_is_ignored() -> bool {
    const HANGUP: u64 = 1 << 0;
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let ignored = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    ignored.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok()).is_some_and(|mask| mask & HANGUP != 0)
}
