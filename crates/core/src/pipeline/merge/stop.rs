//! The end of a merge: what a stop asks for, and how long it waits.

use std::sync::OnceLock;
use std::time::{Duration, Instant};

use futures_lite::future::or;

use crate::batch::queue::LineBuffer;
use crate::clock;
use crate::output::writer_loop::Outcome;
use crate::own_thread::is_own_thread;
use crate::pipeline::error::{Cause, MergeError};
use crate::pipeline::merge::{Merge, Parts};
use crate::report::summary::Report;
use crate::sync::stop::Stage;

/// When a merge ends at once, writing what was submitted may still take this long.
const LEAVE_WITHIN: Duration = Duration::from_secs(1);

/// Once the writer is aborted, its current call may still take this long.
const ABORT_WITHIN: Duration = Duration::from_secs(1);

impl Merge {
    /// Completes when the merge has ended by itself; [`Merge::stop`] tells how.
    ///
    /// # Cancel safety
    ///
    /// It holds nothing.
    pub async fn finished(&self) {
        self.parts.thread.ended.wait().await.ok(); // `stop` returns it.
    }

    /// Waits until the merge has ended by itself.
    ///
    /// # Blocking
    ///
    /// Waits on this thread, for ever if the merge is never stopped.
    pub fn finished_blocking(&self) {
        if !is_own_thread() {
            self.parts.thread.ended.wait_blocking(None);
        }
    }

    /// Reads what is in the inputs now, writes it, flushes, and ends the writer's thread.
    ///
    /// If that takes longer than `within` it ends all the same, whatever the output does, and the report says what
    /// was not written. May be called again, for the same answer.
    ///
    /// # Errors
    ///
    /// If something failed; the report is in the error. The failure of one tailer does not stop the others from being
    /// drained.
    ///
    /// # Cancel safety
    ///
    /// Dropped before it completes, the merge goes on draining, without a deadline, until it is stopped again
    /// or the handle is dropped.
    pub async fn stop(&self, within: Duration) -> Result<Report, MergeError> {
        self.begin_stop();
        if !self.ended_within(self.patience(within)).await {
            self.abort().await;
        }
        self.result()
    }

    /// Reads what is there now, writes it, flushes, and ends the writer's thread.
    ///
    /// # Errors
    ///
    /// As [`Merge::stop`].
    ///
    /// # Blocking
    ///
    /// Waits on this thread for `within` and a moment at most. Not for a task on the host's only thread: the readers
    /// could not run, and it would wait for nothing. Where the merge itself calls the host, it asks for the stop, does
    /// not wait, and says so by an error.
    pub fn stop_blocking(&self, within: Duration) -> Result<Report, MergeError> {
        self.begin_stop();
        self.end_blocking(self.patience(within))
    }

    /// Ends without reading any more. What was submitted is written, if the output takes it within a second.
    ///
    /// # Errors
    ///
    /// As [`Merge::stop`].
    ///
    /// # Cancel safety
    ///
    /// As [`Merge::stop`].
    pub async fn stop_now(&self) -> Result<Report, MergeError> {
        if !self.ended_within(self.leave()).await {
            self.abort().await;
        }
        self.result()
    }

    /// Ends without reading any more.
    ///
    /// # Errors
    ///
    /// As [`Merge::stop`].
    ///
    /// # Blocking
    ///
    /// Waits on this thread, two seconds at most.
    pub fn stop_now_blocking(&self) -> Result<Report, MergeError> {
        self.end_blocking(self.leave())
    }

    /// Asks the merge to read what is in the inputs now, write it, flush, and end. It does not wait: ask
    /// [`is_finished`](Self::is_finished), and then [`stop_blocking`](Self::stop_blocking) for the report.
    pub fn begin_stop(&self) {
        self.parts.host.close();
        self.parts.readers.stop();
    }

    /// Asks everybody to end at once; says how long they still have for that.
    fn leave(&self) -> Duration {
        self.parts.readers.leave(Stage::Leaving);
        self.patience(left(&self.asked.leave, LEAVE_WITHIN))
    }

    /// Aborts readers and writer; returns how long they still have to return.
    fn begin_abort(&self) -> Duration {
        self.parts.readers.leave(Stage::Aborted);
        left(&self.asked.abort, ABORT_WITHIN)
    }

    /// Returns `within`, or nothing once the merge was aborted.
    fn patience(&self, within: Duration) -> Duration {
        if self.asked.abort.get().is_some() { Duration::ZERO } else { within }
    }

    /// Waits on this thread for the end that was asked for. One of the merge's own threads is part of what must end.
    fn end_blocking(&self, within: Duration) -> Result<Report, MergeError> {
        let ended = &self.parts.thread.ended;
        if !is_own_thread() && ended.wait_blocking(clock::now().checked_add(within)).is_none() {
            ended.wait_blocking(clock::now().checked_add(self.begin_abort()));
        }
        self.result()
    }

    async fn ended_within(&self, within: Duration) -> bool {
        let ended = async {
            self.parts.thread.ended.wait().await.ok(); // `result` returns it.
            true
        };
        let late = async {
            (self.parts.sleep)(within).await;
            false
        };
        or(ended, late).await
    }

    async fn abort(&self) {
        self.ended_within(self.begin_abort()).await;
    }

    /// Returns the report, or the failure, of a merge that has ended.
    fn result(&self) -> Result<Report, MergeError> {
        let Parts { thread, ledger, readers, .. } = &self.parts;
        let ended = thread.ended.get();
        if ended.is_some() && !is_own_thread() {
            thread.join();
        }
        if !is_own_thread() {
            // If nobody has done it: the host's executor may be lost.
            ledger.log_rest();
        }
        let mut report = ledger.report();
        report.readers_lost = readers.were_lost();
        let waits = if is_own_thread() { Cause::OwnThread } else { Cause::WriterStuck };
        let tailers = readers.failures();
        match ended.map_or(Err(waits), |ended| ended.map_err(Cause::Writer)) {
            Ok(outcome) if tailers.is_empty() => {
                report.output_closed = outcome == Outcome::OutputClosed;
                report.drained = outcome == Outcome::Drained && !report.readers_lost && !readers.had_to_leave();
                Ok(report)
            }
            outcome => Err(MergeError { cause: outcome.err(), report: Box::new(report), tailers }),
        }
    }
}

/// Returns how much is left of a time that begins with the first call.
fn left(since: &OnceLock<Instant>, within: Duration) -> Duration {
    within.saturating_sub(clock::since(*since.get_or_init(clock::now)))
}

impl Drop for Merge {
    fn drop(&mut self) {
        self.stop_now_blocking().ok(); // A host that wants the outcome calls `stop` before.
    }
}
