//! The settings of a merge.

pub(crate) mod buffers;
pub(crate) mod guard;
pub(crate) mod prepare;

use std::ffi::{OsStr, OsString};
use std::fmt;
use std::future::Future;
use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use crate::batch::position::FilePosition;
use crate::discover::explain::{Explained, Verdict, explain};
use crate::discover::pattern::Excludes;
use crate::discover::spec::Spec;
use crate::follow::context::StartAt;
use crate::fs::{FileId, Fs, Links, OsFs};
use crate::output::thread::{Serve, serve};
use crate::output::{Writer, WriterContext};
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
}

/// An input as the user gave it.
enum Wanted {
    Any(OsString),
    Path(PathBuf),
}

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
        }
    }

    /// Adds an input: a path, and if it has wildcards a pattern as well.
    ///
    /// A pattern has `*`, `?`, `[a-z]` and `{a,b}` within a name, and `**` for any number of directories; it has at
    /// most 4096 bytes, and braces are nested at most 10 deep. Files that match later join then, and so does one that
    /// has the wildcards in its name, as `app[1].log` has. A path need not be there yet, nor its directory.
    ///
    /// # Examples
    ///
    /// ```
    /// use tailmerge::Builder;
    ///
    /// let builder = Builder::new()
    ///     .input("/var/log/app.log") // a path
    ///     .input("/var/log/*/*.log") // in each directory of /var/log
    ///     .input("/srv/**/{error,access}.log"); // in /srv, and in each directory below it
    /// ```
    pub fn input(mut self, input: impl AsRef<OsStr>) -> Self {
        self.inputs.push(Wanted::Any(input.as_ref().to_owned()));
        self
    }

    /// Adds an input that is a path, whatever characters it has.
    pub fn path(mut self, path: impl Into<PathBuf>) -> Self {
        self.inputs.push(Wanted::Path(path.into()));
        self
    }

    /// Leaves out files that match: their name, or their whole path if the pattern has a `/`.
    ///
    /// It applies to files that an input with wildcards finds; a path that is named is not left out.
    ///
    /// # Examples
    ///
    /// ```
    /// use tailmerge::Builder;
    ///
    /// let builder = Builder::new()
    ///     .input("/var/log/**")
    ///     .exclude("*.gz") // a name, in any directory
    ///     .exclude("/var/log/journal/**"); // a path
    /// ```
    pub fn exclude(mut self, glob: impl Into<String>) -> Self {
        self.excludes.push(glob.into());
        self
    }

    /// Adds standard input, until its end. It cannot be read again: after a crash, what was read of it and not
    /// written is gone.
    pub fn stdin(mut self) -> Self {
        self.stdin = true;
        self
    }

    /// Says that a file is never an input, even when a pattern matches it: one that the host itself writes.
    ///
    /// It goes by which file that is when the merge starts, not by its name. The output needs no mention.
    pub fn never(mut self, path: impl Into<PathBuf>) -> Self {
        self.never.push(path.into());
        self
    }

    /// Adds a tailer of the host's own. All of them take turns in one job of the blocking pool.
    pub fn tailer(mut self, name: impl Into<OsString>, tailer: impl Tailer) -> Self {
        self.tailers.push((name.into(), Box::new(tailer)));
        self
    }

    /// Sets where reading begins in files that are present at the start. Files that come later are read from their
    /// first byte. Default: [`StartAt::Start`].
    pub fn from(mut self, start: StartAt) -> Self {
        self.start = start;
        self
    }

    /// Continues a file where an earlier merge has left it, in place of where reading would begin otherwise.
    ///
    /// [`Merge::committed`](crate::Merge::committed) returns both. Or `path` is the input's name then
    /// ([`Source::path`](crate::Source::path)), and `position` what [`Extent::position`](crate::Extent::position) said of
    /// the last lines that the host has stored. A file that was
    /// renamed in its directory since is found again, and read to its end before the one that is at the path now. Where
    /// the bytes before the position are others by now, the file was truncated or written anew: it is read from its
    /// start. A file that is gone counts as a possible loss. Several positions of one path are given in the order of
    /// their generations. A path that is no input of this merge is ignored.
    ///
    /// # Examples
    ///
    /// ```no_run
    /// # async fn example(backend: impl tailmerge::Backend) -> Result<(), Box<dyn std::error::Error>> {
    /// use tailmerge::{Builder, FilePosition};
    ///
    /// let mut builder = Builder::new().input("logs/*.log");
    /// for line in std::fs::read_to_string("positions")?.lines() {
    ///     let (position, path) = line.split_once(' ').ok_or("a position, a space, and a path")?;
    ///     builder = builder.resume(path, position.parse::<FilePosition>()?);
    /// }
    /// let merge = builder.start_on(backend).await?;
    /// # Ok(())
    /// # }
    /// ```
    pub fn resume(mut self, path: impl Into<PathBuf>, position: FilePosition) -> Self {
        self.positions.push((path.into(), position));
        self
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

    /// Sets files aside that have not changed for longer than this when they are found. One that changes later
    /// gives its new lines only. Default: none are.
    pub fn ignore_older(mut self, age: Duration) -> Self {
        self.ignore_older = Some(age);
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

    /// Which symbolic links on the way to an input are followed. Default: [`Links::Follow`], which a program that runs
    /// as root should not leave so.
    ///
    /// A link that is not followed is told once, as [`Event::Refused`], and counts as a failure only where it is named
    /// and the merge is to end by itself. The output's own path is followed whatever links it has. A file system of the
    /// host's own that has no such policy ([`Fs::with_links`]) keeps the merge from starting.
    ///
    /// # Examples
    ///
    /// ```
    /// use tailmerge::{Builder, Links};
    ///
    /// let builder = Builder::new().input("/home/*/log/*.log").links(Links::Owned);
    /// ```
    pub fn links(mut self, links: Links) -> Self {
        self.links = links;
        self
    }

    /// Writes to a file, which is emptied first, or to what else there is of that name: a FIFO, a terminal.
    ///
    /// The file is created if need be, its directory is not. While a merge writes to it, another is refused. One that
    /// holds something and is found by a pattern among the inputs is refused, too: leave it out by
    /// [`exclude`](Self::exclude), or [`append`](Self::append) to it.
    pub fn output(mut self, path: impl Into<PathBuf>) -> Self {
        self.output = Output::File(path.into());
        self
    }

    /// Writes to standard output. This is the default.
    pub fn stdout(mut self) -> Self {
        self.output = Output::Stdout;
        self
    }

    /// Keeps what the output file holds and writes after it; several may do so at a time.
    pub fn append(mut self, append: bool) -> Self {
        self.append = append;
        self
    }

    /// Writes to a writer of the host's own, made and used on the writer's thread.
    ///
    /// If `make` fails, the merge does not start.
    ///
    /// # Examples
    ///
    /// Lines into a TCP connection:
    ///
    /// ```no_run
    /// use std::io::{self, Write};
    /// use std::net::TcpStream;
    /// use tailmerge::{Batch, Builder, PartialWrite, Writer};
    ///
    /// struct Tcp(TcpStream);
    ///
    /// impl Writer for Tcp {
    ///     async fn write(&mut self, batch: &Batch) -> Result<(), PartialWrite> {
    ///         // Nobody can tell how much of it got through.
    ///         self.0.write_all(batch.bytes()).map_err(|error| PartialWrite::fatal(0, error))
    ///     }
    ///
    ///     async fn flush(&mut self) -> io::Result<()> {
    ///         self.0.flush()
    ///     }
    /// }
    ///
    /// let builder = Builder::new().input("logs/*.log");
    /// let builder = builder.writer(|_| async { Ok(Tcp(TcpStream::connect("collector:5140")?)) });
    /// ```
    pub fn writer<M, F, W>(mut self, make: M) -> Self
    where
        M: FnOnce(WriterContext) -> F + Send + 'static,
        F: Future<Output = io::Result<W>> + 'static,
        W: Writer,
    {
        self.output = Output::Own(serve(make));
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

    /// Explains the inputs as they are now: which files match, which do not and why, where each would start. It changes
    /// nothing.
    ///
    /// # Errors
    ///
    /// If a pattern is malformed.
    ///
    /// # Blocking
    ///
    /// Reads the file system on this thread.
    ///
    /// # Examples
    ///
    /// ```no_run
    /// use tailmerge::Builder;
    ///
    /// for explained in Builder::new().input("logs/*.log").exclude("*.gz").explain()? {
    ///     println!("{explained}");
    /// }
    /// # Ok::<(), tailmerge::StartError>(())
    /// ```
    pub fn explain(&self) -> Result<Vec<Explained>, StartError> {
        let mut forbidden = self.never_ids();
        if let Output::File(path) = &self.output {
            forbidden.extend(self.fs.stat(path).map(|stat| stat.id));
        }
        let fs = self.inputs_fs()?;
        let (specs, excludes) = (self.specs(&*fs)?, Excludes::new(self.excludes.clone())?);
        let mut explained = explain(&*fs, &specs, &excludes, self.start, self.ignore_older, &forbidden, self.watch);
        if self.stdin {
            explained.push(Explained { path: "-".into(), leads_to: None, verdict: Verdict::Stream });
        }
        Ok(explained)
    }

    /// The files that would be followed now, each once, in the order of the inputs.
    ///
    /// # Errors
    ///
    /// As [`Builder::explain`].
    ///
    /// # Blocking
    ///
    /// As [`Builder::explain`].
    pub fn inputs_now(&self) -> Result<Vec<PathBuf>, StartError> {
        let followed = |explained: &Explained| matches!(explained.verdict, Verdict::Follow { .. });
        Ok(self.explain()?.into_iter().filter(followed).map(|explained| explained.path).collect())
    }

    /// Returns the files that are never inputs.
    fn never_ids(&self) -> Vec<FileId> {
        self.never.iter().filter_map(|path| self.fs.stat(path).ok()).map(|stat| stat.id).collect()
    }

    /// The file system as the inputs are to see it.
    fn inputs_fs(&self) -> Result<Arc<dyn Fs>, StartError> {
        match self.links {
            Links::Follow => Ok(self.fs.clone()),
            links => self.fs.with_links(links).map_err(|error| {
                StartError::setting(format!("links cannot be followed as asked on this file system: {error}"))
            }),
        }
    }

    fn specs(&self, fs: &dyn Fs) -> Result<Vec<Spec>, StartError> {
        let specs = self.inputs.iter().map(|wanted| match wanted {
            Wanted::Any(input) => Spec::new(input, fs),
            Wanted::Path(path) => Ok(Spec::named(path, fs)),
        });
        Ok(specs.collect::<Result<_, _>>()?)
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
