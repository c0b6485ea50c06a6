//! A tail: the inputs as a stream of lines, or of batches, without a merge.

use std::ffi::OsStr;
use std::fmt;
use std::ops::Deref;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use async_channel::Receiver;
use futures_lite::Stream;
use memchr::memchr;

use crate::backend::Backend;
use crate::batch::Batch;
use crate::batch::pool::BatchPool;
use crate::batch::source::Source;
use crate::pipeline::builder::Builder;
use crate::pipeline::error::{FollowError, StartError};
use crate::pipeline::readers::Readers;
use crate::pipeline::start::{TailParts, tail_on};
use crate::source::tailer::TailError;
use crate::sync::stop::Stage;

/// Follows a path, or a pattern, as a stream: short for [`Builder::new`] with one [`input`](Builder::input).
///
/// # Examples
///
/// ```no_run
/// use futures_lite::StreamExt;
/// use tailmerge::{StartAt, tail};
/// # async fn example(backend: impl tailmerge::Backend) -> Result<(), Box<dyn std::error::Error>> {
///
/// let mut lines = tail("app.log").from(StartAt::End).lines_on(backend).await?;
/// while let Some(line) = lines.next().await {
///     println!("{}", line?.bytes.escape_ascii());
/// }
/// # Ok(())
/// # }
/// ```
pub fn tail(input: impl AsRef<OsStr>) -> Builder {
    Builder::new().input(input)
}

impl Builder {
    /// Starts a tail, without a merge: the inputs as a stream of batches, which is the cheapest way to many lines.
    ///
    /// All settings count but those of the output, which must not be set. There is no report: gaps are told to the
    /// [`observer`](Self::observer) only, and logged.
    ///
    /// # Errors
    ///
    /// If a setting is out of range, a pattern is malformed, or an output is set.
    ///
    /// # Cancel safety
    ///
    /// Dropped before it completes, it has started nothing.
    ///
    /// # Examples
    ///
    /// ```no_run
    /// # async fn example(backend: impl tailmerge::Backend) -> Result<(), Box<dyn std::error::Error>> {
    /// use futures_lite::StreamExt;
    ///
    /// let mut batches = tailmerge::tail("logs/*.log").batches_on(backend).await?;
    /// while let Some(batch) = batches.next().await.transpose()? {
    ///     for (extent, bytes) in batch.parts() {
    ///         println!("{}: {} lines, {} bytes", extent.source.path().display(), extent.lines, bytes.len());
    ///     }
    /// }
    /// # Ok(())
    /// # }
    /// ```
    pub async fn batches_on<B: Backend>(self, backend: B) -> Result<Batches, StartError> {
        let runner = backend.clone();
        backend.unblock(move || tail_on(self, runner)).await.map(Batches::new)
    }

    /// Starts a tail, without a merge: the inputs as a stream of lines. It is otherwise as
    /// [`batches_on`](Self::batches_on).
    ///
    /// # Errors
    ///
    /// As [`Builder::batches_on`].
    ///
    /// # Cancel safety
    ///
    /// As [`Builder::batches_on`].
    ///
    /// # Examples
    ///
    /// ```no_run
    /// # async fn example(backend: impl tailmerge::Backend) -> Result<(), Box<dyn std::error::Error>> {
    /// use futures_lite::StreamExt;
    /// use tailmerge::{Builder, StartAt};
    ///
    /// let builder = Builder::new().input("logs/*.log").input("app.log").from(StartAt::End);
    /// let mut lines = builder.lines_on(backend).await?;
    /// while let Some(line) = lines.next().await.transpose()? {
    ///     println!("{}: {}", line.source.path().display(), line.bytes.escape_ascii());
    /// }
    /// # Ok(())
    /// # }
    /// ```
    pub async fn lines_on<B: Backend>(self, backend: B) -> Result<Lines, StartError> {
        let batches = self.batches_on(backend).await?;
        Ok(Lines { batches, current: None })
    }
}

type Taken = Result<Batch, TailError>;

/// A stream of batches of whole lines; see [`Builder::batches_on`].
///
/// Reading waits while the batches taken from it are held. Dropping it stops the readers; it does not wait
/// for them.
///
/// # Cancel safety
///
/// Waiting for the next batch and giving up loses nothing.
#[must_use = "dropping it stops the readers"]
pub struct Batches {
    full: Pin<Box<Receiver<Taken>>>,
    pool: Arc<BatchPool>,
    readers: Readers,
}

impl Batches {
    fn new(parts: TailParts) -> Self {
        let TailParts { full, pool, readers } = parts;
        Self { full: Box::pin(full), pool, readers }
    }

    /// Makes the stream end after what is in the inputs now. It does not wait.
    pub fn stop(&self) {
        self.readers.stop();
    }

    /// Follows one more input, as [`Merge::follow`](crate::Merge::follow) does.
    ///
    /// # Errors
    ///
    /// If the stream is ending, or the pattern is malformed.
    ///
    /// # Cancel safety
    ///
    /// Dropped before it completes, the input may or may not be followed.
    pub async fn follow(&self, input: impl AsRef<OsStr>) -> Result<(), FollowError> {
        self.readers.follow(input.as_ref()).await
    }

    /// Stops following an input, as [`Merge::unfollow`](crate::Merge::unfollow) does.
    ///
    /// # Errors
    ///
    /// If the stream is ending.
    ///
    /// # Cancel safety
    ///
    /// Dropped before it completes, the input may or may not be followed.
    pub async fn unfollow(&self, input: impl AsRef<OsStr>) -> Result<(), FollowError> {
        self.readers.unfollow(input.as_ref()).await
    }
}

impl Stream for Batches {
    type Item = Result<ReadBatch, TailError>;

    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let this = self.get_mut();
        let next = ready!(this.full.as_mut().poll_next(cx));
        let read = |batch| ReadBatch { batch: Some(batch), pool: this.pool.clone() };
        Poll::Ready(next.map(|batch| batch.map(read)))
    }
}

impl Drop for Batches {
    fn drop(&mut self) {
        self.readers.leave(Stage::Leaving);
    }
}

impl fmt::Debug for Batches {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Batches").finish_non_exhaustive()
    }
}

/// A batch that was read; dropped, it goes back to be filled again.
#[derive(Debug)]
pub struct ReadBatch {
    /// Always there until it is dropped.
    batch: Option<Batch>,
    pool: Arc<BatchPool>,
}

impl Deref for ReadBatch {
    type Target = Batch;

    fn deref(&self) -> &Batch {
        self.batch.as_ref().expect("a batch is given back only by drop")
    }
}

impl Drop for ReadBatch {
    fn drop(&mut self) {
        self.pool.give_back(self.batch.take());
    }
}

/// A line of a tail.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Line {
    /// The input.
    pub source: Arc<Source>,
    /// The number of the file of that name; see [`Extent::generation`](crate::Extent::generation).
    pub generation: u32,
    /// The offset of the line in that file, in bytes; none if the line was changed (a label, JSON, an added newline).
    pub offset: Option<u64>,
    /// Its bytes, without the newline.
    pub bytes: Vec<u8>,
}

/// A stream of lines; see [`Builder::lines_on`].
///
/// # Cancel safety
///
/// Waiting for the next line and giving up loses nothing.
///
/// # Examples
///
/// The lines that are there now:
///
/// ```no_run
/// # async fn example(backend: impl tailmerge::Backend) -> Result<(), Box<dyn std::error::Error>> {
/// use futures_lite::StreamExt;
///
/// let mut lines = tailmerge::tail("app.log").lines_on(backend).await?;
/// lines.stop(); // it ends after them
/// while let Some(line) = lines.next().await.transpose()? {
///     println!("byte {:?}: {}", line.offset, line.bytes.escape_ascii());
/// }
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
#[must_use = "dropping it stops the readers"]
pub struct Lines {
    batches: Batches,
    /// The current batch, and where its next line is.
    current: Option<(ReadBatch, Cursor)>,
}

#[derive(Clone, Copy, Debug, Default)]
struct Cursor {
    at: usize,
    /// The index of the next extent.
    next: usize,
    /// Where the extent starts and ends.
    start: usize,
    end: usize,
}

impl Lines {
    /// Makes the stream end after what is in the inputs now. It does not wait.
    pub fn stop(&self) {
        self.batches.stop();
    }

    /// Follows one more input; see [`Batches::follow`].
    ///
    /// # Errors
    ///
    /// As [`Batches::follow`].
    ///
    /// # Cancel safety
    ///
    /// As [`Batches::follow`].
    pub async fn follow(&self, input: impl AsRef<OsStr>) -> Result<(), FollowError> {
        self.batches.follow(input).await
    }

    /// Stops following an input; see [`Batches::unfollow`].
    ///
    /// # Errors
    ///
    /// As [`Batches::unfollow`].
    ///
    /// # Cancel safety
    ///
    /// As [`Batches::unfollow`].
    pub async fn unfollow(&self, input: impl AsRef<OsStr>) -> Result<(), FollowError> {
        self.batches.unfollow(input).await
    }
}

impl Stream for Lines {
    type Item = Result<Line, TailError>;

    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let this = self.get_mut();
        loop {
            if let Some((batch, cursor)) = &mut this.current
                && let Some(line) = cursor.next(batch)
            {
                return Poll::Ready(Some(Ok(line)));
            }
            this.current = None;
            match ready!(Pin::new(&mut this.batches).poll_next(cx)) {
                Some(Ok(batch)) => this.current = Some((batch, Cursor::default())),
                Some(Err(error)) => return Poll::Ready(Some(Err(error))),
                None => return Poll::Ready(None),
            }
        }
    }
}

impl Cursor {
    fn next(&mut self, batch: &Batch) -> Option<Line> {
        let rest = &batch.bytes()[self.at..];
        let len = memchr(b'\n', rest)?;
        while self.at == self.end {
            self.start = self.end;
            self.end += batch.extents()[self.next].len_out as usize;
            self.next += 1;
        }
        let extent = &batch.extents()[self.next - 1];
        let offset = extent.is_verbatim().then(|| extent.start + (self.at - self.start) as u64);
        self.at += len + 1;
        let (source, generation) = (extent.source.clone(), extent.generation);
        Some(Line { source, generation, offset, bytes: rest[..len].to_vec() })
    }
}
