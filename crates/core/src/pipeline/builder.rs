//! The settings of a merge.

pub(crate) mod buffers;
pub(crate) mod guard;
pub(crate) mod inputs;
pub(crate) mod output;
pub(crate) mod prepare;

use std::ffi::OsString;
use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use crate::batch::position::FilePosition;
use crate::follow::context::StartAt;
use crate::fs::{Fs, Links, OsFs};
use crate::output::thread::Serve;
use crate::pipeline::builder::buffers::{Buffers, HOST_BATCHES, LINE_BYTES_MAX};
use crate::pipeline::error::StartError;
use crate::record::format::{Format, LineFormat, Prefix};
use crate::record::limit::{LineLimit, LongLines};
use crate::report::event::{Event, Observer};
use crate::source::tailer::Tailer;
use crate::stall::STALL_LIMIT;
use crate::watch::WatchMode;

/// The default line limit, in bytes.
const LINE_MAX: usize = 1024 * 1024;

/// The settings of a merge, which [`start_on`](Self::start_on) starts, or of a tail, which
/// [`lines_on`](Self::lines_on) starts.
///
/// # Examples
///
/// ```no_run
/// # async fn example(backend: impl tailmerge::Backend) -> Result<(), Box<dyn std::error::Error>> {
/// use std::time::Duration;
/// use tailmerge::Builder;
///
/// let merge = Builder::new().input("logs/*.log").output("all.log").start_on(backend).await?;
/// // …
/// let report = merge.stop(Duration::from_secs(10)).await?;
/// println!("{} lines", report.lines);
/// # Ok(())
/// # }
/// ```
#[must_use = "a builder does nothing until it is started"]
pub struct Builder {
    inputs: Vec<Wanted>,
    stdin: bool,
    excludes: Vec<String>,
    never: Vec<PathBuf>,
    positions: Vec<(PathBuf, FilePosition)>,
    tailers: Vec<(OsString, Box<dyn Tailer>)>,
    start: StartAt,
    once: bool,
    poll_interval: Duration,
    watch: WatchMode,
    rotated_grace: Duration,
    ignore_older: Option<Duration>,
    deleted_max_age: Option<Duration>,
    deleted_max_bytes: Option<u64>,
    limit: LineLimit,
    format: LineFormat,
    memory: Option<usize>,
    stall_limit: Option<Duration>,
    observer: Box<dyn Observer>,
    fs: Arc<dyn Fs>,
    links: Links,
    output: Output,
    append: bool,
    state: Option<PathBuf>,
}

/// An input as the user gave it.
enum Wanted {
    Any(OsString),
    Path(PathBuf),
}

/// The output as the user gave it.
enum Output {
    Stdout,
    File(PathBuf),
    Own(Serve),
}

impl Builder {
    /// The greatest line limit, 1 GiB: each buffer has room for a line.
    pub const LINE_BYTES_MAX: usize = LINE_BYTES_MAX;

    /// A merge of nothing into standard output, with all settings at their defaults.
    pub fn new() -> Self {
        Self {
            inputs: Vec::new(),
            stdin: false,
            excludes: Vec::new(),
            never: Vec::new(),
            positions: Vec::new(),
            tailers: Vec::new(),
            start: StartAt::Start,
            once: false,
            poll_interval: Duration::from_millis(100),
            watch: WatchMode::Auto,
            rotated_grace: Duration::from_secs(5),
            ignore_older: None,
            deleted_max_age: None,
            deleted_max_bytes: None,
            limit: LineLimit { max: LINE_MAX, policy: LongLines::Split },
            format: LineFormat::default(),
            memory: None,
            stall_limit: Some(STALL_LIMIT),
            observer: Box::new(|_: &Event| {}),
            fs: Arc::new(OsFs),
            links: Links::Follow,
            output: Output::Stdout,
            append: false,
            state: None,
        }
    }

    /// Ends when every input's end is reached: the size that it has when that is first looked at. A last
    /// line without a newline gets one. Default: follow until stopped.
    ///
    /// If no input can be read at all, the start fails, and an output file that holds something is left as it is.
    ///
    /// # Examples
    ///
    /// ```no_run
    /// # async fn example(backend: impl tailmerge::Backend) -> Result<(), Box<dyn std::error::Error>> {
    /// use std::time::Duration;
    /// use tailmerge::Builder;
    ///
    /// let merge = Builder::new().input("logs/*.log").output("all.log").once(true).start_on(backend).await?;
    /// merge.finished().await;
    /// let report = merge.stop(Duration::ZERO).await?; // it has ended: this gives the report
    /// println!("complete: {}", report.is_complete());
    /// # Ok(())
    /// # }
    /// ```
    pub fn once(mut self, once: bool) -> Self {
        self.once = once;
        self
    }

    /// Sets how often files are polled where changes are not notified. Default: 100 ms.
    pub fn poll_interval(mut self, interval: Duration) -> Self {
        self.poll_interval = interval;
        self
    }

    /// Sets how changes are noticed. Default: [`WatchMode::Auto`]. It has no effect under [`once`](Self::once).
    ///
    /// In every mode each file is also polled every few seconds, or more seldom where that would take more than a
    /// thousandth of the time. This finds changes that the system does not notify: through `mmap(2)`, or below an
    /// overlay file system.
    pub fn watch(mut self, mode: WatchMode) -> Self {
        self.watch = mode;
        self
    }

    /// Sets how long a file without its name must have been quiet before it is closed. Default: 5 s.
    pub fn rotated_grace(mut self, grace: Duration) -> Self {
        self.rotated_grace = grace;
        self
    }

    /// Sets how long a deleted file is kept open that cannot be read to its end because the output is behind. What is
    /// unread then is a gap. Default: no limit.
    pub fn deleted_max_age(mut self, age: Duration) -> Self {
        self.deleted_max_age = Some(age);
        self
    }

    /// Limits the bytes of deleted files that are kept on the disk because the output is behind, all together. Beyond
    /// the limit they are closed one by one, of each input the oldest first, and what is unread of them is a gap. The
    /// limit is checked once a poll interval. Default: no limit.
    pub fn deleted_max_bytes(mut self, bytes: u64) -> Self {
        self.deleted_max_bytes = Some(bytes);
        self
    }

    /// Limits the bytes of a line, its newline not counted; at most [`LINE_BYTES_MAX`](Self::LINE_BYTES_MAX). Default:
    /// 1 MiB.
    pub fn max_line_bytes(mut self, bytes: usize) -> Self {
        self.limit.max = bytes;
        self
    }

    /// Sets what is done with longer lines. Default: [`LongLines::Split`].
    pub fn long_lines(mut self, policy: LongLines) -> Self {
        self.limit.policy = policy;
        self
    }

    /// Sets the label before each line. Default: [`Prefix::None`].
    pub fn prefix(mut self, prefix: Prefix) -> Self {
        self.format.prefix = prefix;
        self
    }

    /// Sets the format of lines in the output. Default: [`Format::Raw`].
    pub fn format(mut self, format: Format) -> Self {
        self.format.format = format;
        self
    }

    /// Limits the buffers between inputs and output, in bytes. Default: 8 MiB, or six of the longest lines if that is
    /// more.
    ///
    /// The buffers must hold at least four lines of the greatest length. A rendered line (with a label, or as JSON) that
    /// does not fit a buffer exceeds the limit until it is written: in one buffer at a time, and in that of the host's own
    /// lines.
    ///
    /// The limit does not cover what each input, sender and reader takes besides, all of it bounded as well:
    ///
    /// * about 1 KiB for each followed file;
    /// * an unfinished line of each FIFO, of standard input and of each [`LineSender`](crate::LineSender), at most as long
    ///   as the line limit, and 64 KiB for a read of the first two;
    /// * in each of at most five readers of files, and in that of the host's tailers, room for a read and for a line, once
    ///   there are lines that are rendered, cut, or much longer than a read;
    /// * up to 1024 events in each stream of [`Merge::events`](crate::Merge::events); for the report up to 10,000 gaps, as
    ///   many failed inputs, and as many inputs that are over.
    pub fn memory(mut self, bytes: usize) -> Self {
        self.memory = Some(bytes);
        self
    }

    /// Sets how long one poll of a task, or one write, may take before [`Event::Stalled`] is emitted. `None` turns the
    /// measurement off. Default: 100 ms.
    pub fn stall_limit(mut self, limit: Option<Duration>) -> Self {
        self.stall_limit = limit;
        self
    }

    /// Sets the observer, which receives each event as it happens.
    pub fn observer(mut self, observer: impl Observer) -> Self {
        self.observer = Box::new(observer);
        self
    }

    /// Reads and writes on another file system, streams included. Default: [`OsFs`].
    pub fn fs(mut self, fs: Arc<dyn Fs>) -> Self {
        self.fs = fs;
        self
    }

    /// Returns how many bytes of memory the merge will use for its buffers.
    ///
    /// # Errors
    ///
    /// If the line limit is out of range, or the buffers cannot hold lines of that length.
    ///
    /// # Examples
    ///
    /// ```
    /// use tailmerge::Builder;
    ///
    /// let builder = Builder::new().max_line_bytes(16 * 1024).memory(1024 * 1024);
    /// assert!(builder.buffer_bytes()? <= 1024 * 1024);
    ///
    /// let too_little = Builder::new().max_line_bytes(1024 * 1024).memory(1024 * 1024);
    /// assert!(too_little.buffer_bytes().is_err_and(|error| error.is_usage()));
    /// # Ok::<(), tailmerge::StartError>(())
    /// ```
    pub fn buffer_bytes(&self) -> Result<usize, StartError> {
        let buffers = Buffers::new(self.limit.max, self.memory)?;
        Ok((buffers.batches + HOST_BATCHES) * buffers.capacity)
    }
}

impl Default for Builder {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for Builder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Builder").field("inputs", &self.inputs.len()).finish_non_exhaustive()
    }
}
