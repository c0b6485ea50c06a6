//! The handle of a running merge.

pub(crate) mod stop;

use std::ffi::{OsStr, OsString};
use std::fmt;
use std::path::PathBuf;
use std::sync::{Arc, OnceLock};
use std::time::Instant;

use crate::batch::pool::BatchPool;
use crate::batch::position::FilePosition;
use crate::batch::queue::{Flushed, WriterQueue};
use crate::follow::registry::FileRegistry;
use crate::output::Sleep;
use crate::output::thread::WriterThread;
use crate::own_thread::is_own_thread;
use crate::pipeline::error::{Closed, FollowError};
use crate::pipeline::readers::Readers;
use crate::record::format::LineFormat;
use crate::report::committed::one_of_each;
use crate::report::events::Events;
use crate::report::ledger::Ledger;
use crate::report::snapshot::Snapshot;
use crate::report::summary::InputReport;
use crate::source::host_lines::HostLines;
use crate::source::sender::LineSender;

/// A running merge.
///
/// It runs until it is stopped, or ends by itself: under [`once`](crate::Builder::once), when the reader of the
/// output goes away, or when the output fails.
///
/// Dropping the handle stops as [`Merge::stop_now`] does, and waits on this thread for as long as that takes: a
/// moment as a rule, two seconds at most, and no second time after a stop that had to give up the writer. It needs no
/// other thread of the host's, so it does not deadlock even on the only one.
///
/// Within the merge's calls of the host (an observer, a logger, a tailer, a writer), the blocking methods would wait
/// for themselves. There they start what they are asked for without waiting, or are refused.
///
/// # Examples
///
/// ```no_run
/// # async fn example(backend: impl tailmerge::Backend) -> Result<(), Box<dyn std::error::Error>> {
/// use std::time::Duration;
/// use tailmerge::Builder;
///
/// let merge = Builder::new().input("logs/*.log").output("all.log").start_on(backend).await?;
/// merge.sender("app").send("started").await?;
/// merge.follow("other/app.log").await?;
/// merge.flush().await?; // what was read and sent so far is in the output
///
/// let report = merge.stop(Duration::from_secs(10)).await?;
/// println!("{} lines, {} gaps", report.lines, report.gap_count);
/// # Ok(())
/// # }
/// ```
///
/// In a program whose only thread has a loop and must not wait:
///
/// ```no_run
/// # fn example(merge: tailmerge::Merge) -> Result<(), tailmerge::MergeError> {
/// # let draw_a_frame = || ();
/// use std::time::Duration;
///
/// merge.begin_stop();
/// while !merge.is_finished() {
///     draw_a_frame();
/// }
/// let report = merge.stop_blocking(Duration::ZERO)?; // it has ended, so this does not wait
/// println!("{} lines", report.lines);
/// # Ok(())
/// # }
/// ```
#[must_use = "dropping a merge stops it"]
pub struct Merge {
    parts: Parts,
    asked: Asked,
}

/// The moments when the merge was first stopped at once and first aborted. The time for each is counted from there.
#[derive(Default)]
struct Asked {
    leave: OnceLock<Instant>,
    abort: OnceLock<Instant>,
}

pub(crate) struct Parts {
    pub(crate) backend: String,
    pub(crate) thread: WriterThread,
    pub(crate) ledger: Arc<Ledger>,
    pub(crate) registry: Arc<FileRegistry>,
    pub(crate) readers: Readers,
    pub(crate) host: Arc<HostLines>,
    pub(crate) pool: Arc<BatchPool>,
    pub(crate) queue: WriterQueue,
    pub(crate) sleep: Arc<Sleep>,
    pub(crate) format: LineFormat,
}

impl Merge {
    pub(crate) fn new(parts: Parts) -> Self {
        Self { parts, asked: Asked::default() }
    }

    /// Lets the readers go.
    pub(crate) fn begin(&self) {
        self.parts.readers.begin();
    }

    /// The executor that it runs on: the backend's `Debug` form.
    pub fn backend(&self) -> &str {
        &self.parts.backend
    }

    /// A sender of the host's own lines into the output. Those of one name are one input of the report: to ask for it
    /// anew for each line costs little. Of more than 10,000 names, those that no sender has are forgotten.
    pub fn sender(&self, name: impl Into<OsString>) -> LineSender {
        let source = self.parts.host.source(&name.into(), self.parts.format);
        LineSender::new(self.parts.host.clone(), source)
    }

    /// Follows one more input: a path or a pattern, as [`Builder::input`](crate::Builder::input) takes it.
    ///
    /// Files are read from their start; one that was followed before, from where that ended. When it
    /// completes, files that are there now will be read, even if a stop is asked for at once.
    ///
    /// # Errors
    ///
    /// If the merge is ending, or the pattern is malformed.
    ///
    /// # Cancel safety
    ///
    /// Dropped before it completes, the input may or may not be followed.
    pub async fn follow(&self, input: impl AsRef<OsStr>) -> Result<(), FollowError> {
        self.parts.readers.follow(input.as_ref()).await
    }

    /// Follows one more input.
    ///
    /// # Errors
    ///
    /// As [`Merge::follow`].
    ///
    /// # Blocking
    ///
    /// Reads the file system on this thread, and waits while another listing is under way. It needs no other thread of
    /// the host's executor. Within the merge's calls of the host, it only asks for it and does not wait.
    pub fn follow_blocking(&self, input: impl AsRef<OsStr>) -> Result<(), FollowError> {
        self.parts.readers.follow_blocking(input.as_ref())
    }

    /// Stops following an input, given by the same text as when it was added.
    ///
    /// A file that another input finds is still followed. Lines that were read already are written.
    ///
    /// # Errors
    ///
    /// If the merge is ending or follows no files.
    ///
    /// # Cancel safety
    ///
    /// Dropped before it completes, the input may or may not be followed.
    pub async fn unfollow(&self, input: impl AsRef<OsStr>) -> Result<(), FollowError> {
        self.parts.readers.unfollow(input.as_ref()).await
    }

    /// Stops following an input.
    ///
    /// # Errors
    ///
    /// As [`Merge::unfollow`].
    ///
    /// # Blocking
    ///
    /// Waits on this thread for a look at the file system, if one is under way; otherwise as
    /// [`Merge::follow_blocking`].
    pub fn unfollow_blocking(&self, input: impl AsRef<OsStr>) -> Result<(), FollowError> {
        self.parts.readers.unfollow_blocking(input.as_ref())
    }

    /// Completes when all that was submitted before the call is written and the writer has flushed it.
    ///
    /// Submitted is what readers have read and what senders have sent.
    ///
    /// # Errors
    ///
    /// If the merge ends before; [`Merge::stop`] returns the reason.
    ///
    /// # Cancel safety
    ///
    /// Dropped before it completes, the flush happens all the same.
    pub async fn flush(&self) -> Result<(), Closed> {
        match self.ask_flush()?.wait().await {
            true => Ok(()),
            false => Err(Closed),
        }
    }

    /// Waits until all that was submitted before is written and flushed.
    ///
    /// # Errors
    ///
    /// As [`Merge::flush`], and within the merge's calls of the host.
    ///
    /// # Blocking
    ///
    /// Waits on this thread for as long as the output is behind.
    pub fn flush_blocking(&self) -> Result<(), Closed> {
        if is_own_thread() {
            return Err(Closed);
        }
        match self.ask_flush()?.wait_blocking() {
            true => Ok(()),
            false => Err(Closed),
        }
    }

    fn ask_flush(&self) -> Result<Flushed, Closed> {
        self.parts.queue.ask_flush().ok_or(Closed)
    }

    /// Makes the writer check whether the output is still at its path, and reopen it if it was moved or removed. Call
    /// it after a rotation of the output, or on SIGHUP. Without it, that is noticed before a line is written, if the
    /// last look is a second old, and within seconds where none is.
    ///
    /// Completes when that is done, and all that was submitted before the call is written and flushed. An output that
    /// cannot be opened just now is tried again, and told as [`Event::OutputWaiting`](crate::Event::OutputWaiting).
    ///
    /// # Errors
    ///
    /// If the merge ends before; [`Merge::stop`] returns the reason.
    ///
    /// # Cancel safety
    ///
    /// Dropped before it completes, the output is opened anew all the same.
    pub async fn reopen_output(&self) -> Result<(), Closed> {
        match self.parts.queue.ask_reopen().ok_or(Closed)?.wait().await {
            true => Ok(()),
            false => Err(Closed),
        }
    }

    /// Makes the writer reopen the output if it was moved or removed.
    ///
    /// # Errors
    ///
    /// As [`Merge::reopen_output`].
    ///
    /// # Blocking
    ///
    /// Waits on this thread for as long as the output is behind.
    pub fn reopen_output_blocking(&self) -> Result<(), Closed> {
        if is_own_thread() {
            return Err(Closed);
        }
        match self.parts.queue.ask_reopen().ok_or(Closed)?.wait_blocking() {
            true => Ok(()),
            false => Err(Closed),
        }
    }

    /// Hints that an input has news: readers look now rather than after the poll interval.
    pub fn wake(&self) {
        self.parts.readers.wake();
    }

    /// Returns the events from now on as a stream, for a host whose reaction to an event may take time: an
    /// [`Observer`](crate::Observer) must not block. It ends when the merge has ended.
    ///
    /// # Examples
    ///
    /// ```no_run
    /// use futures_lite::StreamExt;
    /// use tailmerge::Event;
    ///
    /// # async fn example(merge: &tailmerge::Merge) {
    /// let mut events = merge.events();
    /// while let Some(event) = events.next().await {
    ///     if let Event::Gap(gap) = event {
    ///         eprintln!("lost: {gap}");
    ///     }
    /// }
    /// # }
    /// ```
    pub fn events(&self) -> Events {
        self.parts.ledger.subscribe()
    }

    /// Returns the state of the merge at this moment: counts, how far the output is behind, and whether it has ended. It
    /// does not wait, and costs a few loads and short locks.
    ///
    /// # Examples
    ///
    /// ```no_run
    /// # fn frame(merge: &tailmerge::Merge) {
    /// // In the loop of a program that must not wait:
    /// let now = merge.snapshot();
    /// println!("{} lines, {} bytes behind", now.lines, now.pending_bytes);
    /// # }
    /// ```
    pub fn snapshot(&self) -> Snapshot {
        let Parts { thread, ledger, pool, .. } = &self.parts;
        let is_finished = thread.ended.get().is_some();
        Snapshot { batches_in_use: pool.in_use(), batches: pool.count(), is_finished, ..ledger.snapshot() }
    }

    /// Returns the account of each input so far, as [`Report::inputs`](crate::Report::inputs) has it at the end. It does
    /// not wait, and takes time and memory for each input.
    pub fn inputs(&self) -> Vec<InputReport> {
        self.parts.ledger.inputs()
    }

    /// Returns the position up to which each followed file is in the output, with the path of its input, as
    /// [`Builder::resume`](crate::Builder::resume) takes them: of each input the oldest file first.
    ///
    /// An input has more than one file where the older ones, which were rotated away, may still be written to, or lines of
    /// them are not in the output yet; beyond eight, the oldest are left out. A file that was given up is not listed. One
    /// of which nothing is in the output is, at the place where reading begins; and so is one that an earlier merge has
    /// left and this one has not come upon. Streams, the host's tailers and its own lines have no positions.
    ///
    /// In the output means that the writer has written it: [`flush`](Self::flush) before, where that is not enough. After
    /// a stop, a later merge continues with the next line. A host that polls this, and is killed, continues from the last
    /// positions that it has stored: lines that were written later come again. To have each line once even then, store
    /// the positions together with the lines, in a [`Writer`](crate::Writer): see
    /// [`Extent::position`](crate::Extent::position).
    ///
    /// It does not wait, and takes time and memory for each input.
    ///
    /// # Examples
    ///
    /// ```no_run
    /// # async fn example(backend: impl tailmerge::Backend, merge: tailmerge::Merge) -> Result<(), Box<dyn std::error::Error>> {
    /// use std::time::Duration;
    /// use tailmerge::Builder;
    ///
    /// merge.stop(Duration::from_secs(10)).await?;
    ///
    /// let mut builder = Builder::new().input("logs/*.log").output("all.log").append(true);
    /// for (path, position) in merge.committed() {
    ///     builder = builder.resume(path, position);
    /// }
    /// let merge = builder.start_on(backend).await?;
    /// # Ok(())
    /// # }
    /// ```
    pub fn committed(&self) -> Vec<(PathBuf, FilePosition)> {
        let Parts { registry, ledger, .. } = &self.parts;
        one_of_each(registry.kept_positions(|| ledger.committed()))
    }

    /// Returns true if the merge has ended. It does not wait.
    pub fn is_finished(&self) -> bool {
        self.parts.thread.ended.get().is_some()
    }
}

impl fmt::Debug for Merge {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Merge").field("backend", &self.parts.backend).finish_non_exhaustive()
    }
}
