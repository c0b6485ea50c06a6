//! The reading side: following files, many of them in one job of the blocking pool.
//!
//! Inputs come from [`discover`], are followed by a [`shard`], and what a shard reads is carried to
//! whoever wants it by [`reader`], the only part here that is asynchronous.

mod check;
mod claims;
mod copies;
mod descriptors;
mod discover;
mod explain;
mod file;
mod input;
mod many;
#[cfg(test)]
mod model;
mod pattern;
mod pause;
mod pipe;
mod reader;
mod remote;
mod shard;
mod stream;
mod trouble;
mod twins;
mod watch;

use std::any::Any;
use std::error::Error;
use std::fmt;
use std::io;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

pub(crate) use claims::Claims;
pub(crate) use descriptors::{Descriptors, OpenLimits};
pub(crate) use discover::{Discovery, Request, Requests, SharedDiscovery, Spec, discover, requests};
pub use explain::{Explained, Verdict};
pub(crate) use explain::{explain, find_file, nothing_to_read};
pub(crate) use many::{Failures, Joining, Many, ManyContext, record_failure};
pub(crate) use pattern::Excludes;
pub use pattern::PatternError;
pub(crate) use pipe::{PipeTailer, Streams};
pub(crate) use reader::{Feed, read};
pub(crate) use remote::{REMOTE_READERS_MAX, RemoteReader, RemoteReaders, RemoteStatus, Remotes};
pub(crate) use shard::{FileShard, Pace};
pub use stream::{Batches, Line, Lines, ReadBatch, Tail, tail};
pub use watch::WatchMode;
pub(crate) use watch::{
    Change, Mailbox, NameChange, NameNow, Names, Notifier, Vouch, Waiting, WatchSlot, Watcher, Watching,
};

use crate::batch::Batch;
use crate::fs::{FileId, Fs};
use crate::line::{LineFormat, LineLimit};
use crate::panic::panic_message;
use crate::report::Ledger;

/// One or many growing inputs.
///
/// A tailer is synchronous: it is polled on the blocking pool, by one job at a time, and never waits for
/// data to come. It travels into each job and back, so it needs no lock.
///
/// # Examples
///
/// A tailer that counts to three:
///
/// ```
/// use tailmerge_core::{Batch, Progress, TailError, Tailer};
///
/// struct Count(u64);
///
/// impl Tailer for Count {
///     fn fill(&mut self, batch: &mut Batch) -> Result<Progress, TailError> {
///         self.0 += 1;
///         let line = format!("{}\n", self.0);
///         batch.spare()[..line.len()].copy_from_slice(line.as_bytes());
///         batch.commit(2 * (self.0 - 1), line.len());
///         Ok(if self.0 < 3 { Progress::More } else { Progress::Ended })
///     }
/// }
///
/// let mut batch = Batch::with_capacity(64);
/// let mut count = Count(0);
/// while let Progress::More = count.fill(&mut batch)? {}
/// assert_eq!(batch.bytes(), b"1\n2\n3\n");
/// # Ok::<(), TailError>(())
/// ```
pub trait Tailer: Send + 'static {
    /// Puts whole lines into the batch, as far as there are any and there is room.
    ///
    /// [`Progress::More`]: called again at once, with the next free batch; one that says so a thousand times and more
    /// and gives nothing is made to pause in between. [`Progress::Idle`]: called again after what [`rest`](Self::rest)
    /// says, or sooner when [`Merge::wake`](crate::Merge::wake) hints at new lines; once a stop is asked for, this counts
    /// as the end. [`Progress::Ended`]: never called again, and dropped.
    ///
    /// Lines over the limit of the merge are split, truncated or left out, as those of files are.
    ///
    /// # Errors
    ///
    /// An error, or a panic of any of its methods or of its drop, ends this tailer, is told at once, and comes back when
    /// the merge is stopped; other inputs go on. Lines committed before it are delivered.
    fn fill(&mut self, batch: &mut Batch) -> Result<Progress, TailError>;

    /// Called now and then while the output is behind and no batch is free: time to notice what would be
    /// gone later, such as a file that is deleted. Nothing to do by default.
    fn look(&mut self) {}

    /// How long it may be left alone after [`Progress::Idle`], unless something hints at new lines. Asked in the same
    /// job, right after. Default: a poll interval.
    fn rest(&self) -> Option<Duration> {
        None
    }
}

/// What a [`Tailer`] says of its inputs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Progress {
    /// There may be more to read right now.
    More,
    /// All that is there has been read.
    Idle,
    /// There will never be more.
    Ended,
}

/// Why a [`Tailer`] cannot go on.
#[derive(Debug)]
pub struct TailError {
    cause: Box<dyn Error + Send + Sync>,
    panicked: bool,
}

impl TailError {
    /// An error with a cause.
    pub fn new(cause: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        Self { cause: cause.into(), panicked: false }
    }

    /// Whether the tailer panicked.
    pub fn is_panic(&self) -> bool {
        self.panicked
    }

    /// What [`catch_unwind`](std::panic::catch_unwind) caught of a tailer.
    pub(crate) fn panicked(panic: &(dyn Any + Send)) -> Self {
        Self { cause: format!("panicked: {}", panic_message(panic)).into(), panicked: true }
    }
}

impl fmt::Display for TailError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.cause.fmt(f)
    }
}

impl Error for TailError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        self.cause.source()
    }
}

impl From<io::Error> for TailError {
    fn from(error: io::Error) -> Self {
        Self::new(error)
    }
}

/// Where to begin in a file that is present at the start.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum StartAt {
    /// At its first byte.
    #[default]
    Start,
    /// At its end; at the start of its last line if that has no newline yet.
    End,
}

/// What everything on the reading side needs to know.
#[derive(Clone, Debug)]
pub(crate) struct TailContext {
    pub(crate) fs: Arc<dyn Fs>,
    pub(crate) ledger: Arc<Ledger>,
    pub(crate) claims: Arc<Claims>,
    /// How many files may be open. Each shard has its share.
    pub(crate) descriptors: Arc<Descriptors>,
    pub(crate) limit: LineLimit,
    pub(crate) format: LineFormat,
    /// Stop at the end of what is there.
    pub(crate) once: bool,
    /// How long a rotated file must have been quiet to be let go.
    pub(crate) grace: Duration,
    /// How long a file that may be a copy of an input is held; zero: copies are not looked for.
    pub(crate) copy_grace: Duration,
    /// Bytes read at a time, and about as many go into a batch.
    pub(crate) chunk: usize,
    /// How often files are looked at of whose changes nobody hints.
    pub(crate) poll_interval: Duration,
    /// A file that has not changed for longer is not read until it does.
    pub(crate) ignore_older: Option<Duration>,
    /// How long a deleted file is kept that could not be read to its end.
    pub(crate) deleted_max_age: Option<Duration>,
    /// Most bytes of deleted files that are kept because they could not be read.
    pub(crate) deleted_max_bytes: Option<u64>,
    /// Who reads a FIFO that is found under a named path; none: it is refused.
    pub(crate) streams: Option<Streams>,
    /// Who hints at changes; none: everything is polled.
    pub(crate) watch: Option<Arc<dyn Vouch>>,
}

impl TailContext {
    /// Whether changes of the file at a path will be hinted at.
    fn vouches(&self, path: &Path) -> bool {
        self.watch.as_ref().is_some_and(|watch| watch.vouches(path))
    }
}

/// Followed paths of the same shard that a path has to do with.
#[derive(Debug)]
pub(crate) struct Kin {
    /// One that this one's name extends.
    beside: Option<Arc<Path>>,
    /// One that leads to the same name in the same directory, and so to the same file: it comes first.
    twin: Option<Arc<Path>>,
    /// A file that was left to the twin, to see whether it takes it.
    left: Option<FileId>,
}

/// What discovery tells a shard.
#[derive(Debug)]
pub(crate) enum Command {
    /// Follow this path.
    Add {
        path: Arc<Path>,
        /// Whether the user named it; otherwise a pattern matched it.
        named: bool,
        start: StartAt,
        /// Whether the first scan found it.
        present: bool,
        /// Followed paths of the same shard that it has to do with. Boxed, since most have none.
        kin: Option<Box<Kin>>,
    },
    /// No pattern finds it any more: let go of it when it is read to its end.
    Gone(Arc<Path>),
    /// Stop following it, where it stands.
    Remove(Arc<Path>),
}
