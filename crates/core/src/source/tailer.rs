//! The trait of an input that is polled for lines.

use std::any::Any;
use std::error::Error;
use std::fmt;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use crate::batch::Batch;
use crate::panic::panic_message;

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
/// use tailmerge::{Batch, Builder, Progress, TailError, Tailer};
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
///
/// let builder = Builder::new().tailer("count", Count(0));
/// # Ok::<(), TailError>(())
/// ```
pub trait Tailer: Send + 'static {
    /// Puts whole lines into the batch, as far as there are any and there is room.
    ///
    /// [`Progress::More`]: called again at once, with the next free batch; one that says so a thousand times and more
    /// and gives nothing is made to pause in between. [`Progress::Idle`]: called again after what
    /// [`idle_timeout`](Self::idle_timeout) says, or sooner when [`Merge::wake`](crate::Merge::wake) hints at new
    /// lines; once a stop is asked for, this counts as the end. [`Progress::Ended`]: never called again, and dropped.
    ///
    /// Lines over the limit of the merge are split, truncated or left out, as those of files are.
    ///
    /// # Errors
    ///
    /// An error, or a panic of any of its methods or of its drop, ends this tailer, is told at once, and comes back
    /// when the merge is stopped; other inputs go on. Lines committed before it are delivered.
    fn fill(&mut self, batch: &mut Batch) -> Result<Progress, TailError>;

    /// Looks at the inputs without reading, to keep hold of what would be gone later, such as a file that is deleted.
    /// It is called now and then while the output is behind and no batch is free. Does nothing by default.
    fn look(&mut self) {}

    /// Returns how long the tailer may be left alone after [`Progress::Idle`], unless the host wakes the merge. It is
    /// called in the same job, right after. Default: a poll interval.
    fn idle_timeout(&self) -> Option<Duration> {
        None
    }
}

/// The answer of a [`Tailer`].
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

/// The reason why a [`Tailer`] cannot go on.
#[derive(Clone, Debug)]
pub struct TailError {
    cause: Arc<dyn Error + Send + Sync>,
    panicked: bool,
}

impl TailError {
    /// Makes an error with a cause.
    pub fn new(cause: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        let cause: Box<dyn Error + Send + Sync> = cause.into();
        Self { cause: cause.into(), panicked: false }
    }

    /// Returns true if the tailer panicked.
    pub fn is_panic(&self) -> bool {
        self.panicked
    }

    /// Makes the error of a panic that [`catch_unwind`](std::panic::catch_unwind) caught.
    pub(crate) fn panicked(panic: &(dyn Any + Send)) -> Self {
        Self { panicked: true, ..Self::new(format!("panicked: {}", panic_message(panic))) }
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
