//! The writer's loop: receives a batch, writes it, flushes when the queue is empty, and gives the batch back.

use std::fmt;
use std::future::{Future, poll_fn};
use std::io;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use futures_lite::future::or;

use crate::batch::Batch;
use crate::batch::pool::BatchPool;
use crate::batch::queue::{LineBuffer, Message, WriterQueue};
use crate::output::partial::Fate;
use crate::output::{Sleep, Writer};
use crate::report::event::Event;
use crate::report::ledger::Ledger;
use crate::stall::timed;
use crate::sync::inbox::Nothing;
use crate::sync::stop::{Stage, Stop};

/// The first pause before a failed write is tried again; each further one is longer.
const PAUSE_MIN: Duration = Duration::from_millis(20);
/// The longest pause before a failed write is tried again.
const PAUSE_MAX: Duration = Duration::from_secs(1);

/// The outcome of a writer's loop that did not fail.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// All that was submitted is written and flushed.
    Drained,
    /// The reader of the output went away.
    OutputClosed,
    /// It was aborted.
    Aborted,
}

/// The failure of a writer.
#[derive(Clone, Debug)]
pub(crate) enum WriterError {
    Write(Arc<io::Error>),
    Flush(Arc<io::Error>),
    Panicked(String),
}

/// The loop's inbox, and what it needs to process messages.
pub(crate) struct WriterLoop {
    pub(crate) messages: WriterQueue,
    pub(crate) pool: Arc<BatchPool>,
    pub(crate) lines: Arc<dyn LineBuffer>,
    pub(crate) ledger: Arc<Ledger>,
    pub(crate) stop: Arc<Stop>,
    pub(crate) sleep: Arc<Sleep>,
    pub(crate) stall_limit: Option<Duration>,
    /// The capacity of a batch in bytes.
    pub(crate) capacity: usize,
}

impl WriterLoop {
    /// Writes until the queue is closed and empty, the output is closed, or something fails for good.
    pub(crate) async fn run<W: Writer>(&self, writer: &mut W) -> Result<Outcome, WriterError> {
        let mut spare = Batch::with_capacity(self.capacity);
        let mut flushed = true;
        let mut done = Vec::new();
        // One for all rests: to begin to wait for it costs as much as all else that a rest takes.
        let mut aborted = pin!(self.stop.reached(Stage::Aborted));
        loop {
            let received = self.messages.next();
            // Several at a time: to wake a reader costs as much as writing tens of kilobytes.
            if received.is_err() || 2 * done.len() >= self.pool.count() {
                self.pool.give_back(done.drain(..));
            }
            let message = match received {
                Ok(message) => message,
                Err(Nothing::Yet) if flushed => match self.idle(writer, aborted.as_mut()).await {
                    Ok(message) => message,
                    Err(outcome) => return Ok(outcome),
                },
                Err(Nothing::More) if flushed => return Ok(Outcome::Drained),
                Err(_) => match self.flush(writer).await? {
                    None => {
                        flushed = true;
                        continue;
                    }
                    Some(outcome) => return Ok(outcome),
                },
            };
            match message {
                Message::Batch(mut batch) => {
                    flushed = false;
                    if let Some(outcome) = self.write(writer, &mut batch).await? {
                        return Ok(outcome);
                    }
                    done.push(batch);
                }
                Message::Lines => {
                    flushed = false;
                    spare = self.lines.take(spare);
                    if let Some(outcome) = self.write(writer, &mut spare).await? {
                        return Ok(outcome);
                    }
                    spare.clear(self.capacity);
                }
                Message::Flush(request) => {
                    if request.reopen
                        && let Some(outcome) = self.unless_ended(writer.reopen()).await?
                    {
                        return Ok(outcome);
                    }
                    if let Some(outcome) = self.flush(writer).await? {
                        return Ok(outcome);
                    }
                    flushed = true;
                    request.done();
                }
            }
        }
    }

    /// Waits for a message, or for the end of the merge.
    async fn idle<W: Writer>(&self, writer: &mut W, aborted: impl Future<Output = ()>) -> Result<Message, Outcome> {
        let message = async { self.messages.wait().await.ok_or(Outcome::Drained) };
        let closed = async {
            writer.closed().await;
            Err(Outcome::OutputClosed)
        };
        let aborted = async {
            aborted.await;
            Err(Outcome::Aborted)
        };
        or(message, or(closed, aborted)).await
    }

    /// Writes a batch, however long it takes. Returns an outcome if the merge ends.
    async fn write<W: Writer>(&self, writer: &mut W, batch: &mut Batch) -> Result<Option<Outcome>, WriterError> {
        let mut pause = PAUSE_MIN;
        let ended = loop {
            let write = async {
                match batch.is_empty() {
                    true => writer.left_out(batch).await,
                    false => writer.write(batch).await,
                }
            };
            let write = self.guard("tailmerge-writer: write", write);
            let Some(written) = self.unless_aborted(write).await else { break Some(Outcome::Aborted) };
            let Err(failed) = written else {
                batch.advance(batch.bytes().len());
                self.ledger.output_works();
                break None;
            };
            batch.advance(failed.written);
            if self.stop.stage() == Stage::Aborted {
                break Some(Outcome::Aborted);
            }
            match failed.fate() {
                Fate::Again => self.ledger.output_waits(&failed.error.to_string()),
                Fate::Closed => break Some(Outcome::OutputClosed),
                Fate::Final => {
                    self.ledger.commit(batch);
                    return Err(WriterError::Write(Arc::new(failed.error)));
                }
            }
            if self.unless_aborted((self.sleep)(pause)).await.is_none() {
                break Some(Outcome::Aborted);
            }
            pause = (pause * 2).min(PAUSE_MAX);
        };
        self.ledger.commit(batch);
        Ok(ended)
    }

    /// Flushes, however long it takes. Returns an outcome if the merge ends.
    async fn flush<W: Writer>(&self, writer: &mut W) -> Result<Option<Outcome>, WriterError> {
        let ended = self.unless_ended(self.guard("tailmerge-writer: flush", writer.flush())).await?;
        if ended.is_none() {
            self.ledger.output_works();
        }
        Ok(ended)
    }

    /// Waits for a call of the writer, however long it takes. Returns an outcome if the merge ends.
    async fn unless_ended(&self, done: impl Future<Output = io::Result<()>>) -> Result<Option<Outcome>, WriterError> {
        match self.unless_aborted(done).await {
            Some(Ok(())) => Ok(None),
            Some(Err(error)) if error.kind() == io::ErrorKind::BrokenPipe => Ok(Some(Outcome::OutputClosed)),
            Some(Err(error)) => Err(WriterError::Flush(Arc::new(error))),
            None => Ok(Some(Outcome::Aborted)),
        }
    }

    async fn unless_aborted<T>(&self, future: impl Future<Output = T>) -> Option<T> {
        let aborted = async {
            self.stop.reached(Stage::Aborted).await;
            None
        };
        or(async { Some(future.await) }, aborted).await
    }

    /// Measures like [`guard_with`](crate::stall::guard_with), but without an allocation for each batch.
    async fn guard<F: Future>(&self, name: &str, future: F) -> F::Output {
        let Some(limit) = self.stall_limit else { return future.await };
        let mut future = pin!(future);
        poll_fn(|cx| {
            let (poll, took) = timed(|| future.as_mut().poll(cx));
            if took > limit {
                self.ledger.emit(&Event::Stalled { name: name.to_owned(), took });
            }
            poll
        })
        .await
    }
}

impl fmt::Debug for WriterLoop {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("WriterLoop").field("messages", &self.messages).finish_non_exhaustive()
    }
}

impl fmt::Display for WriterError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Write(error) => write!(f, "the output cannot be written: {error}"),
            Self::Flush(error) => write!(f, "the output cannot be flushed: {error}"),
            Self::Panicked(message) => write!(f, "the writer panicked: {message}"),
        }
    }
}
